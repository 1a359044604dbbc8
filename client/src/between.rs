//! What stands between the two at this moment: bids, pauses, room for each other. Functions that
//! give data, for the commands that show it.

use ajar_journal::between;
use ajar_journal::record::{self, Record};
use ajar_journal::records::{Bid, BidAnswer, Capacity, Choices, Level, Pause, Sealed};
use ajar_journal::schema::{self, Kind};
use ajar_journal::text::displayable_line;
use ajar_sync::{DocId, Ownership, Space, SpaceKind};
use serde_json::{Value, json};

use crate::names::Author;
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids};

/// Name of a person's own record of the room they have.
pub(crate) const CAPACITY: &str = "capacity";
/// Name of a person's own record of their pause.
pub(crate) const PAUSE: &str = "pause";
/// Name of a person's own record of what they chose.
pub(crate) const CHOICES: &str = "choices";

/// A bid and what was answered.
pub(crate) struct StandingBid {
    pub(crate) id: DocId,
    pub(crate) author: Author,
    pub(crate) bid: Bid,
    pub(crate) answers: Vec<Kept<BidAnswer>>,
}

/// The bids of both that have not faded, by their authors' wish: now, tonight, whenever.
pub(crate) fn standing_bids(us: &Space, now_ms: i64) -> Result<Vec<StandingBid>, Failure> {
    let mut bids = bids(us, now_ms)?;
    bids.retain(|one| !one.bid.has_faded(now_ms));
    Ok(bids)
}

/// The bids of both that are not gone: those that stand, and those that were answered in time.
pub(crate) fn bids(us: &Space, now_ms: i64) -> Result<Vec<StandingBid>, Failure> {
    let mut bids = all_bids(us)?;
    bids.retain(|one| !one.is_gone(now_ms));
    Ok(bids)
}

fn all_bids(us: &Space) -> Result<Vec<StandingBid>, Failure> {
    let mut answers = shelf::all::<BidAnswer>(us)?;
    answers.sort_by_key(|one| (one.record.turn, one.id));
    let bids = shelf::all::<Bid>(us)?.into_iter();
    let mut bids: Vec<StandingBid> = bids
        .map(|kept| {
            let about = kept.id_text();
            StandingBid {
                id: kept.id,
                author: kept.author,
                bid: kept.record,
                answers: answers
                    .extract_if(.., |answer| answer.record.about == about)
                    .collect(),
            }
        })
        .collect();
    bids.sort_by_key(|one| (one.bid.wish, one.id));
    Ok(bids)
}

impl StandingBid {
    /// Whether it is gone for both. Only the other's answer makes it stay.
    fn is_gone(&self, now_ms: i64) -> bool {
        let answered = self.answers.iter().any(|one| one.author != self.author);
        between::is_gone(&self.bid, answered, now_ms)
    }

    /// The shape scripts get. Neither when it was sent nor when it fades.
    pub(crate) fn to_json(&self) -> Value {
        let answers: Vec<Value> = self
            .answers
            .iter()
            .map(|kept| {
                json!({
                    "id": ids::text(kept.id),
                    "author": kept.author.word(),
                    "answer": kept.record.answer,
                    "at": kept.record.at,
                    "text": kept.record.text,
                })
            })
            .collect();
        json!({
            "id": ids::text(self.id),
            "author": self.author.word(),
            "kind": self.bid.sort,
            "words": self.bid.sort.in_words(),
            "text": self.bid.text,
            "wish": self.bid.wish,
            "answers": answers,
        })
    }

    /// The bid as a sentence, safe to print.
    pub(crate) fn words(&self) -> String {
        let asked = self.bid.sort.in_words();
        match &self.bid.text {
            Some(text) => format!("{asked}: {}", displayable_line(text)),
            None => asked.to_owned(),
        }
    }
}

/// One's own bids that have faded without an answer, to be burned.
pub(crate) fn own_gone(us: &Space, now_ms: i64) -> Result<Vec<DocId>, Failure> {
    let bids = all_bids(us)?.into_iter();
    let gone = bids.filter(|one| one.author == Author::Me && one.is_gone(now_ms));
    Ok(gone.map(|one| one.id).collect())
}

/// Whether records of this kind may be gone ([`is_gone`]).
pub(crate) fn may_go(kind: &Kind) -> bool {
    matches!(kind, Kind::Bid | Kind::Sealed)
}

/// Whether a record is not to be seen anywhere: a bid that has faded without an answer, or
/// something that its author had not committed themselves to.
pub(crate) fn is_gone(space: &Space, id: DocId, author: Author) -> Result<bool, Failure> {
    if space.kind() != SpaceKind::Shared {
        return Ok(false);
    }
    let text = ids::text(id);
    let found = space
        .document(id)
        .read(move |doc| match schema::kind_of(doc) {
            Ok(Kind::Bid) => Found::bid(record::read(doc).ok()),
            Ok(Kind::Sealed) => {
                let sealed: Option<Sealed> = record::read(doc).ok();
                Found::Plain(sealed.is_some_and(|sealed| sealed.is_false(&text)))
            }
            _ => Found::Plain(false),
        })?;
    let bid = match found {
        Found::Plain(gone) => return Ok(gone),
        Found::Bid(bid) => bid,
    };
    let now_ms = dates::now_ms();
    if !between::is_gone(&bid, false, now_ms) {
        return Ok(false);
    }
    let answers = shelf::about::<BidAnswer>(space, [ids::text(id)])?;
    let answered = answers.iter().any(|answer| answer.author != author);
    Ok(between::is_gone(&bid, answered, now_ms))
}

/// What [`is_gone`] looks at.
enum Found {
    Bid(Bid),
    Plain(bool),
}

impl Found {
    fn bid(bid: Option<Bid>) -> Self {
        bid.map_or(Self::Plain(false), Self::Bid)
    }
}

/// The partner's pause that goes on.
pub(crate) fn partner_pause(us: &Space, now_ms: i64) -> Result<Option<Pause>, Failure> {
    let pause: Option<Pause> = partners(us, PAUSE)?;
    Ok(pause.filter(|pause| pause.goes_on(now_ms)))
}

/// One's own pause that goes on.
pub(crate) fn own_pause(us: &Space, now_ms: i64) -> Result<Option<Pause>, Failure> {
    let pause: Option<Pause> = own(us, PAUSE)?;
    Ok(pause.filter(|pause| pause.goes_on(now_ms)))
}

/// The room the partner has today, if they show it.
pub(crate) fn partner_capacity(us: &Space, today: &str) -> Result<Option<Level>, Failure> {
    Ok(shown_on(partners(us, CAPACITY)?, today))
}

/// The room one shows to have today.
pub(crate) fn own_capacity(us: &Space, today: &str) -> Result<Option<Level>, Failure> {
    Ok(shown_on(own(us, CAPACITY)?, today))
}

fn shown_on(capacity: Option<Capacity>, today: &str) -> Option<Level> {
    let capacity = capacity.filter(|capacity| capacity.on == today)?;
    capacity.level
}

/// Whether both want deep questions in the week of `today`, and nobody is pausing.
pub(crate) fn deep(us: &Space, today: &str, now_ms: i64) -> Result<bool, Failure> {
    Ok(both_want_deep(us, today)? && !is_pausing(us, now_ms)?)
}

/// Whether both want deep questions in the week of `today`.
pub(crate) fn both_want_deep(us: &Space, today: &str) -> Result<bool, Failure> {
    both_chose(us, |choices| between::wants_deep(Some(choices), today))
}

/// The same, of what both chose before that day: what comes on a day hangs on the days before.
pub(crate) fn both_wanted_deep_before(us: &Space, day: &str) -> Result<bool, Failure> {
    both_chose(us, |choices| {
        choices.on.as_str() < day && between::wants_deep(Some(choices), day)
    })
}

fn both_chose(us: &Space, chose: impl Fn(&Choices) -> bool) -> Result<bool, Failure> {
    let partners: Option<Choices> = partners(us, CHOICES)?;
    Ok(own_choices(us)?.as_ref().is_some_and(&chose) && partners.as_ref().is_some_and(&chose))
}

/// Whether either of them is pausing.
pub(crate) fn is_pausing(us: &Space, now_ms: i64) -> Result<bool, Failure> {
    Ok(own_pause(us, now_ms)?.is_some() || partner_pause(us, now_ms)?.is_some())
}

/// What one chose, as far as the other may know.
pub(crate) fn own_choices(us: &Space) -> Result<Option<Choices>, Failure> {
    own(us, CHOICES)
}

/// One's own record of a name, if there is one that can be read.
pub(crate) fn own<R: Record + Send + 'static>(
    space: &Space,
    name: &str,
) -> Result<Option<R>, Failure> {
    named(space, space.named_document(Ownership::Mine, name)?)
}

/// The partner's record of a name, if there is one that can be read.
pub(crate) fn partners<R: Record + Send + 'static>(
    us: &Space,
    name: &str,
) -> Result<Option<R>, Failure> {
    named(us, us.partners_document(name)?)
}

fn named<R: Record + Send + 'static>(space: &Space, id: DocId) -> Result<Option<R>, Failure> {
    match space.document(id).read(|doc| record::read(doc)) {
        Ok(read) => Ok(read.ok()),
        Err(error) if error.code() == "not-found" => Ok(None),
        Err(error) => Err(error.into()),
    }
}
