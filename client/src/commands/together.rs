//! Showing something at the same moment: sealing it, showing it when the other has sealed theirs
//! too, and what can be seen of it meanwhile (nothing).

use ajar_journal::Point;
use ajar_journal::between::{self, Due, Held, Theirs};
use ajar_journal::record;
use ajar_journal::records::{Pending, Sealed, Shown, Topic, commitment};
use ajar_journal::text::displayable_line;
use ajar_sync::{DocId, Home, Ownership, Space, SpaceKind, doc_id_text};
use serde_json::{Value, json};

use crate::dates;
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::shelf::{self, Kept};

/// Seals something in the shared space; what opens it stays in Only me. Returns where it is.
pub(super) fn seal(
    home: &Home,
    us: &Space,
    topic: Topic,
    text: Option<String>,
    point: Option<Point>,
) -> Result<DocId, Failure> {
    let me = home.space(SpaceKind::Private)?;
    let document = us.create_document(Ownership::Mine)?;
    let id = doc_id_text(document.id());
    let shown = Shown {
        text,
        point,
        nonce: draw()?,
    };
    let on = dates::today();
    let sealed = Sealed {
        commit: commitment(&id, &topic, &shown),
        topic: topic.clone(),
        shown: None,
        met: Vec::new(),
        on: on.clone(),
    };
    let pending = Pending {
        about: id,
        topic,
        shown,
        over: false,
        on,
    };
    // What opens it comes first: without that it would stay closed for ever.
    shelf::keep(&me, pending)?;
    document.change(move |tx| record::create(tx, &sealed))?;
    Ok(document.id())
}

/// 32 bytes that nobody had before, as hexadecimal digits.
pub(super) fn draw() -> Result<String, Failure> {
    Ok(ajar_sync::new_id()? + &ajar_sync::new_id()?)
}

/// Shows what is due, as far as this device can; returns how many. Devices without Only me cannot.
pub(super) fn show_due(home: &Home) -> Result<usize, Failure> {
    let (Ok(me), Ok(us)) = (
        home.space(SpaceKind::Private),
        home.space(SpaceKind::Shared),
    ) else {
        return Ok(0);
    };
    let mut pending = shelf::all::<Pending>(&me)?;
    pending.retain(|one| !one.record.over);
    if pending.is_empty() {
        return Ok(0);
    }
    let (mut own, theirs) = of_both(shelf::all::<Sealed>(&us)?);
    let mut shown = 0;
    for due in between::due(&held(&own), &held(&theirs)) {
        shown += usize::from(show(&us, &mut own, &pending, due)?);
    }
    for one in pending {
        let open = own
            .iter()
            .find(|sealed| sealed.0 == one.record.about)
            .is_some_and(|sealed| sealed.1.record.shown.is_some());
        if open {
            let over = Pending {
                over: true,
                ..one.record
            };
            shelf::save(&me, one.id, over)?;
        }
    }
    Ok(shown)
}

/// The same after an exchange that was for something else: what does not succeed is tried again with
/// the next one.
pub(super) fn show_due_quietly(home: &Home) -> usize {
    tokio::task::block_in_place(|| show_due(home)).unwrap_or_else(|failure| {
        tracing::info!(code = failure.code(), "what is due was not shown yet");
        0
    })
}

/// A sealed record with its id as text.
type Placed = (String, Kept<Sealed>);

fn show(
    us: &Space,
    own: &mut [Placed],
    pending: &[Kept<Pending>],
    due: Due,
) -> Result<bool, Failure> {
    let Some((id, sealed)) = own.iter_mut().find(|(id, _)| *id == due.id) else {
        return Ok(false);
    };
    let mut opens = pending.iter().filter(|one| one.record.about == *id);
    let fits = |one: &&Kept<Pending>| between::opens(id, &sealed.record, &one.record.shown);
    let Some(opener) = opens.find(fits) else {
        return Ok(false);
    };
    sealed.record.shown = Some(opener.record.shown.clone());
    sealed.record.met = due.met;
    shelf::save(us, sealed.id, sealed.record.clone())
}

/// One's own and the partner's, with their ids.
fn of_both(all: Vec<Kept<Sealed>>) -> (Vec<Placed>, Vec<Placed>) {
    all.into_iter()
        .map(|kept| (kept.id_text(), kept))
        .partition(|(_, kept)| kept.author == Author::Me)
}

fn held(placed: &[Placed]) -> Vec<Held<'_>> {
    let held = placed.iter().map(|(id, kept)| Held {
        id,
        sealed: &kept.record,
    });
    held.collect()
}

/// What can be seen of a topic.
#[derive(Default)]
pub(super) struct Seen {
    /// One has sealed something that is not seen together yet.
    pub(super) waits: bool,
    /// One's own, when both are seen.
    pub(super) mine: Vec<(String, Shown)>,
    /// The other's, when both are seen.
    pub(super) theirs: Vec<(String, Shown)>,
    /// The other shows something that they had not sealed.
    pub(super) is_false: bool,
}

/// Everything sealed in the shared space.
pub(super) struct Seals {
    own: Vec<Placed>,
    theirs: Vec<Placed>,
}

impl Seals {
    pub(super) fn of(us: &Space) -> Result<Self, Failure> {
        let (own, theirs) = of_both(shelf::all::<Sealed>(us)?);
        Ok(Self { own, theirs })
    }

    /// What can be seen of one's own topic: the newest time that both have shown.
    pub(super) fn seen(&self, topic: &Topic) -> Seen {
        let (own, theirs) = (
            of_topic(&self.own, topic),
            of_topic(&self.theirs, &topic.counterpart()),
        );
        let closed = own.iter().any(|one| one.sealed.shown.is_none());
        let Some(newest) = between::rounds(&own, &theirs).pop() else {
            return Seen {
                waits: closed,
                ..Seen::default()
            };
        };
        match newest.theirs {
            Theirs::Closed => Seen {
                waits: true,
                ..Seen::default()
            },
            Theirs::False => Seen {
                waits: closed,
                is_false: true,
                ..Seen::default()
            },
            Theirs::Open(theirs) => Seen {
                waits: closed,
                mine: newest.own,
                theirs,
                is_false: false,
            },
        }
    }

    /// Whether one has sealed anything of this topic.
    pub(super) fn has_own(&self, topic: &Topic) -> bool {
        let mut own = self.own.iter();
        own.any(|(_, kept)| kept.record.topic == *topic)
    }

    /// One's own of this topic that are shown, and where they are.
    pub(super) fn own_shown(&self, topic: &Topic) -> Vec<(DocId, Sealed)> {
        let own = self
            .own
            .iter()
            .filter(|(_, kept)| kept.record.topic == *topic && kept.record.shown.is_some());
        own.map(|(_, kept)| (kept.id, kept.record.clone()))
            .collect()
    }

    /// Topics and days of everything that is shown and was sealed so: of oneself, or of the partner.
    pub(super) fn told(&self, author: Author) -> Vec<(&Topic, &Sealed)> {
        let all = match author {
            Author::Me => &self.own,
            Author::Partner | Author::Both => &self.theirs,
        };
        all.iter()
            .filter(|(id, kept)| kept.record.opened(id).is_some())
            .map(|(_, kept)| (&kept.record.topic, &kept.record))
            .collect()
    }
}

fn of_topic<'a>(all: &'a [Placed], topic: &Topic) -> Vec<Held<'a>> {
    let mut held = held(all);
    held.retain(|one| one.sealed.topic == *topic);
    held
}

impl Seen {
    /// The shape scripts get.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "sealed": self.waits,
            "mine": shown_json(&self.mine),
            "theirs": shown_json(&self.theirs),
            "false": self.is_false,
        })
    }

    /// Both, a line each; nothing while nothing is seen.
    pub(super) fn lines(&self, names: &Names) -> Vec<String> {
        let line = |name: &str, (_, shown): &(String, Shown)| {
            let point = shown.point.map(Point::in_words);
            let text = shown.text.as_deref().map(displayable_line);
            let parts: Vec<String> = point.into_iter().chain(text).collect();
            format!("{name}: {}", parts.join(". "))
        };
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.mine.iter().map(|one| line(names.own(), one)));
        lines.extend(self.theirs.iter().map(|one| line(names.partner(), one)));
        if self.is_false {
            let name = names.partner();
            lines.push(format!(
                "What {name} shows is not what {name} had sealed. It is not shown here."
            ));
        }
        lines
    }
}

fn shown_json(shown: &[(String, Shown)]) -> Vec<Value> {
    let shown = shown.iter();
    shown
        .map(|(id, shown)| json!({"id": id, "point": shown.point, "text": shown.text}))
        .collect()
}
