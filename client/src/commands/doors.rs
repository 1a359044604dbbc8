//! `ajar doors`: what stands open for this person, in the order of the other's wish: doors, and bids
//! beside them. What the other says of their room and their pause comes first.

use ajar_journal::opening::{Opening, Stage};
use ajar_journal::query::Item;
use ajar_journal::records::{Level, Pause, Response, When};
use ajar_journal::schema::Kind;
use ajar_journal::summary::Line;
use ajar_sync::{DocId, Error, Home, RowQuery, Space, SpaceKind, doc_id_text};
use serde_json::{Value, json};

use super::{bid, pause};
use crate::between::{self, StandingBid};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::records::{Content, Record};
use crate::report::Failure;
use crate::{dates, ids, records, shelf};

/// One door that stands open.
struct Standing {
    id: DocId,
    opening: Box<Opening>,
    line: String,
}

/// A door or a bid that stands open.
enum Open {
    Door(Standing),
    Bid(StandingBid),
}

impl Open {
    fn wish(&self) -> When {
        match self {
            Self::Door(door) => door.opening.when,
            Self::Bid(bid) => bid.bid.wish,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Door(door) => to_json(door),
            Self::Bid(bid) => {
                let mut value = bid.to_json();
                if let Value::Object(fields) = &mut value {
                    fields.insert("bid".to_owned(), json!(bid.bid.sort));
                    fields.insert("kind".to_owned(), json!(Kind::Bid.as_str()));
                }
                value
            }
        }
    }
}

/// What the partner shows of themselves just now.
#[derive(Default)]
struct Room {
    pause: Option<Pause>,
    level: Option<Level>,
}

impl Room {
    fn of(us: &Space) -> Result<Self, Failure> {
        Ok(Self {
            pause: between::partner_pause(us, dates::now_ms())?,
            level: between::partner_capacity(us, &dates::today())?,
        })
    }

    fn words(&self, names: &Names) -> Vec<String> {
        let name = names.partner();
        let pause = self.pause.as_ref().map(pause::words);
        let level = self.level.map(|level| level.in_words().to_owned());
        let words = [pause, level].into_iter().flatten();
        words.map(|words| format!("{name}: {words}.")).collect()
    }
}

pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let (open, room) = match home.space(SpaceKind::Shared) {
        Ok(us) => (open(&us)?, Room::of(&us)?),
        Err(Error::NotPaired) => (Vec::new(), Room::default()),
        Err(error) => return Err(error.into()),
    };
    home.close()?;
    let values: Vec<Value> = open.iter().map(Open::to_json).collect();
    for line in room.words(&names) {
        out.talk(line);
    }
    out.data(&values, || {
        let lines = open.iter().map(|open| match open {
            Open::Door(door) => words(door, &names),
            Open::Bid(bid) => bid::words(bid, &names),
        });
        lines.collect::<Vec<_>>().join("\n\n")
    })?;
    if open.is_empty() {
        out.talk("No door stands open just now.");
    }
    Ok(())
}

/// Doors and bids of the partner that this person has not answered, by wish and not by age.
fn open(us: &Space) -> Result<Vec<Open>, Failure> {
    let mut open: Vec<Open> = standing(us)?.into_iter().map(Open::Door).collect();
    let bids = between::standing_bids(us, dates::now_ms())?.into_iter();
    open.extend(bids.filter(StandingBid::waits_for_me).map(Open::Bid));
    // Stable: doors before bids of the same wish.
    open.sort_by_key(Open::wish);
    Ok(open)
}

/// Openings of the partner that this person has not answered.
fn standing(us: &Space) -> Result<Vec<Standing>, Failure> {
    let answered = shelf::all::<Response>(us)?;
    let mine = answered.into_iter().filter(|one| one.author == Author::Me);
    let mine: Vec<String> = mine.map(|one| one.record.about).collect();
    let rows = us.rows(RowQuery {
        filter: Some(Box::new(|row| {
            Line::decode(&row.head).is_some_and(|line| *line.kind() == Kind::Opening)
        })),
        ..RowQuery::default()
    })?;
    let mut standing = Vec::new();
    for row in rows {
        let id = doc_id_text(row.doc);
        if Author::of(us, row.owner) != Author::Partner || mine.contains(&id) {
            continue;
        }
        if let Content::Record(Record::Opening(opening)) = records::read(&us.document(row.doc))? {
            standing.push(Standing {
                id: row.doc,
                line: Item::of_opening(id, &opening).heading(),
                opening,
            });
        }
    }
    standing.sort_by_key(|door| (door.opening.when, door.id));
    Ok(standing)
}

fn to_json(door: &Standing) -> Value {
    json!({
        "id": doc_id_text(door.id),
        "kind": Kind::Opening.as_str(),
        "stage": door.opening.stage,
        "need": door.opening.need,
        "when": door.opening.when,
        "reply": door.opening.reply,
        "heading": door.line,
    })
}

fn words(door: &Standing, names: &Names) -> String {
    let name = names.partner();
    let opening = &door.opening;
    let what = match opening.stage {
        Stage::Knock => format!("{name} knocks: something is moving."),
        stage => format!("{name} opened a {stage}: {}", door.line),
    };
    let mut lines = vec![format!("{}  {what}", ids::short(door.id))];
    if let Some(need) = opening.need {
        lines.push(format!("          {}", need.asks(name)));
        lines.extend(need.guidance().map(|line| format!("          {line}")));
    }
    match opening.when {
        When::Now => lines.push("          Now, if you can.".to_owned()),
        When::Tonight => lines.push("          Tonight would be good.".to_owned()),
        When::Whenever => {}
    }
    if !opening.reply {
        lines.push("          No answer is needed.".to_owned());
    }
    lines.join("\n")
}

/// Whether the home has somebody to open a door to.
pub(super) fn not_paired() -> Failure {
    Failure::fixable(
        "not-paired",
        "There is nobody to open it to yet; nothing was shown to anyone.",
    )
    .hint("Meet your partner first: `ajar pair` on one side, `ajar join CODE` on the other.")
}

/// The shared space, or why there is none.
pub(super) fn shared(home: &Home) -> Result<Space, Failure> {
    match home.space(SpaceKind::Shared) {
        Err(Error::NotPaired) => Err(not_paired()),
        other => Ok(other?),
    }
}
