//! What two people have between them: small requests that fade, what is shown together, the
//! question of a day, and how deep questions may go.
//!
//! Everything here looks at records only, so all devices see the same, whatever came first and
//! however many devices wrote. Nothing private goes in where something shared comes out.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::date;
use crate::records::{Bid, Choices, MET_MAX, Pick, Sealed, Shown, commitment};
use crate::redacted_debug;

/// What the hash of a pick begins with.
const PICK_LABEL: &[u8] = b"ajar/journal/v1/pick";
/// What the hash that the next picks hang on begins with.
const SEED_LABEL: &[u8] = b"ajar/journal/v1/pick-seed";

/// Whether a bid is gone for both: it has faded, and nobody answered it. An answered one stays as
/// a conversation.
#[must_use]
pub fn is_gone(bid: &Bid, answered: bool, now_ms: i64) -> bool {
    !answered && bid.has_faded(now_ms)
}

/// A sealed record and the id of its document.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// The id as text.
    pub id: &'a str,
    /// The record.
    pub sealed: &'a Sealed,
}

redacted_debug!(Due, Round);

impl std::fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("id", &self.id).finish()
    }
}

/// A sealed record of one's own that is to be shown now.
#[derive(Clone, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: String,
    /// The sealed records of the other in exchange for which it is shown.
    pub met: Vec<String>,
}

/// What of one's own may be shown, since the other has committed themselves too. `own` and `theirs`
/// may be about anything; each looks for its counterpart.
#[must_use]
pub fn due(own: &[Held<'_>], theirs: &[Held<'_>]) -> Vec<Due> {
    let used: BTreeSet<&str> = own.iter().flat_map(|one| ids(&one.sealed.met)).collect();
    let closed = own.iter().filter(|one| one.sealed.shown.is_none());
    let mut due: Vec<Due> = closed
        .map(|one| {
            let counterpart = one.sealed.topic.counterpart();
            let met: BTreeSet<String> = theirs
                .iter()
                .filter(|other| other.sealed.topic == counterpart)
                // What was sealed after one's own was seen waits for the next time. Whoever has
                // already been shown something for this one gets it all the same.
                .filter(|other| !used.contains(other.id) || names(other.sealed, one.id))
                .map(|other| other.id.to_owned())
                .collect();
            // Whoever seals more than fits shall not keep this from being shown.
            let met = met.into_iter().take(MET_MAX);
            Due {
                id: one.id.to_owned(),
                met: met.collect(),
            }
        })
        .filter(|due| !due.met.is_empty())
        .collect();
    due.sort_by(|one, other| one.id.cmp(&other.id));
    due
}

fn ids(met: &[String]) -> impl Iterator<Item = &str> {
    met.iter().map(String::as_str)
}

fn names(sealed: &Sealed, id: &str) -> bool {
    ids(&sealed.met).any(|named| named == id)
}

/// What the other shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Theirs {
    /// Not yet.
    Closed,
    /// Something that they had not committed themselves to. It is not to be shown.
    False,
    /// What they had committed themselves to; more than one if they wrote on several devices at the
    /// same time.
    Open(Vec<(String, Shown)>),
}

/// One time that both showed.
#[derive(Clone, PartialEq, Eq)]
pub struct Round {
    /// Ids and contents of one's own.
    pub own: Vec<(String, Shown)>,
    /// What the other shows.
    pub theirs: Theirs,
    /// The day of the newest of one's own.
    pub on: String,
    /// The sealed records of the other.
    met: BTreeSet<String>,
}

/// The times that both have shown something of one topic, the earliest first.
///
/// Only what one's own records were shown for counts, all of it or none: nobody can seal several
/// and open the one that fits best, or seal another when they have seen yours.
#[must_use]
pub fn rounds(own: &[Held<'_>], theirs: &[Held<'_>]) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    let mut own: Vec<&Held<'_>> = own.iter().collect();
    own.sort_by_key(|one| one.id);
    for one in own {
        let Some(shown) = one.sealed.opened(one.id) else {
            continue;
        };
        let mut round = Round {
            own: vec![(one.id.to_owned(), shown.clone())],
            theirs: Theirs::Closed,
            on: one.sealed.on.clone(),
            met: one.sealed.met.iter().cloned().collect(),
        };
        let (same, others): (Vec<_>, Vec<_>) = rounds
            .into_iter()
            .partition(|before| !before.met.is_disjoint(&round.met));
        for mut before in same {
            before.own.append(&mut round.own);
            before.met.append(&mut round.met);
            before.on = before.on.max(round.on);
            round = before;
        }
        rounds = others;
        rounds.push(round);
    }
    for round in &mut rounds {
        round.theirs = shown_by(&round.met, theirs);
        round.own.sort_by(|one, other| one.0.cmp(&other.0));
    }
    let first = |round: &Round| round.own.first().map(|(id, _)| id.clone());
    rounds.sort_by(|one, other| (&one.on, first(one)).cmp(&(&other.on, first(other))));
    rounds
}

fn shown_by(met: &BTreeSet<String>, theirs: &[Held<'_>]) -> Theirs {
    let here = |id: &String| theirs.iter().find(|other| other.id == id);
    if met
        .iter()
        .filter_map(here)
        .any(|other| other.sealed.is_false(other.id))
    {
        return Theirs::False;
    }
    let opened = |id: &String| {
        let other = here(id)?;
        Some((id.clone(), other.sealed.opened(other.id)?.clone()))
    };
    let all: Option<Vec<_>> = met.iter().map(opened).collect();
    all.filter(|all| !all.is_empty())
        .map_or(Theirs::Closed, Theirs::Open)
}

/// Whether `shown` is what the record of this id was sealed with.
#[must_use]
pub fn opens(id: &str, sealed: &Sealed, shown: &Shown) -> bool {
    commitment(id, &sealed.topic, shown) == sealed.commit
}

/// The question both take on a day: of all that were written down and may be asked, the one with
/// the smallest hash. Devices that chose another one take this one.
#[must_use]
pub fn agreed<'a>(
    picks: impl IntoIterator<Item = &'a Pick>,
    day: &str,
    may_be_asked: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let of_day = picks.into_iter().filter(|pick| pick.on == day);
    let asked = of_day.filter(|pick| may_be_asked(&pick.question));
    asked
        .map(|pick| &*pick.question)
        .min_by_key(|question| pick_hash(day, question))
}

fn pick_hash(day: &str, question: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(PICK_LABEL);
    // A day has always the same length.
    hash.update(day);
    hash.update(question);
    hash.finalize().into()
}

/// What the pick of a day hangs on: the random draws in the picks of earlier days, which are known
/// to these two alone. The same picks give the same, in whatever order they came.
#[must_use]
pub fn seed<'a>(picks: impl IntoIterator<Item = &'a Pick>, day: &str) -> [u8; 32] {
    let before = picks.into_iter().filter(|pick| date::day(&pick.on) < day);
    let draws: BTreeSet<&str> = before.filter_map(|pick| pick.draw.as_deref()).collect();
    let mut hash = Sha256::new();
    hash.update(SEED_LABEL);
    for draw in draws {
        hash.update(draw);
    }
    hash.finalize().into()
}

/// Whether somebody wants deep questions in the week of `today`. Weeks begin on Mondays.
#[must_use]
pub fn wants_deep(choices: Option<&Choices>, today: &str) -> bool {
    let chosen = choices.and_then(|choices| choices.deep_in_week_of.as_deref());
    chosen.is_some_and(|day| week(day).is_some() && week(day) == week(today))
}

fn week(day: &str) -> Option<i64> {
    date::day_number(day).map(|number| (number - 1).div_euclid(7))
}

#[cfg(test)]
mod tests;
