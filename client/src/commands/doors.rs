//! `ajar doors`: what stands open for this person, in the order of the other's wish.

use ajar_journal::opening::{Opening, Stage};
use ajar_journal::query::Item;
use ajar_journal::records::{Response, When};
use ajar_journal::schema::Kind;
use ajar_journal::summary::Line;
use ajar_sync::{DocId, Error, Home, RowQuery, Space, SpaceKind, doc_id_text};
use serde_json::{Value, json};

use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::records::{Content, Record};
use crate::report::Failure;
use crate::{ids, records, shelf};

/// One door that stands open.
struct Standing {
    id: DocId,
    opening: Opening,
    line: String,
}

pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let standing = match home.space(SpaceKind::Shared) {
        Ok(us) => standing(&us)?,
        Err(Error::NotPaired) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    home.close()?;
    let values: Vec<Value> = standing.iter().map(to_json).collect();
    out.data(&values, || {
        let lines: Vec<String> = standing.iter().map(|door| words(door, &names)).collect();
        lines.join("\n\n")
    })?;
    if standing.is_empty() {
        out.talk("No door stands open just now.");
    }
    Ok(())
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
                opening: *opening,
            });
        }
    }
    standing.sort_by_key(|door| (order(door.opening.when), door.id));
    Ok(standing)
}

fn order(when: When) -> u8 {
    match when {
        When::Now => 0,
        When::Tonight => 1,
        When::Whenever => 2,
    }
}

fn to_json(door: &Standing) -> Value {
    json!({
        "id": doc_id_text(door.id),
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
