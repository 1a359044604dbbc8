//! What needs both: the book, its words and agreements, days to remember, rituals.
//!
//! Every record belongs to whoever wrote it, so nobody can sign for the other. What both want is
//! computed from what each has said in a record of their own: whatever order the records come in,
//! and on whose device they are looked at, the result is the same.

use automerge::ReadDoc;
use serde_json::Value;

use crate::error::Unreadable;
use crate::record;
use crate::records::{Agreement, Consent, Milestone, OurWord, Page, Ritual, digest};
use crate::schema::{self, Kind};
use crate::tree;

/// One of the two, as seen from a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Whoever's device this is.
    Mine,
    /// The other.
    Theirs,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Mine => Self::Theirs,
            Self::Theirs => Self::Mine,
        }
    }
}

/// What one person has said to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// Nothing yet.
    Nothing,
    /// Yes, to what stands there now.
    Yes,
    /// Yes, to something that stood there before.
    OtherWords,
    /// Not any more.
    No,
}

/// What both have said to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What this person says.
    pub mine: Saying,
    /// What the other says.
    pub theirs: Saying,
}

/// Who something waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// For this person: the other has said yes.
    ForMe,
    /// For both. It may be that the other has not seen it, has not decided, or does not want it:
    /// that is not told.
    ForBoth,
}

impl Standing {
    /// Whether both want it as it stands.
    #[must_use]
    pub fn is_both(self) -> bool {
        self.mine == Saying::Yes && self.theirs == Saying::Yes
    }

    /// What one of them has said.
    #[must_use]
    pub fn of(self, side: Side) -> Saying {
        match side {
            Side::Mine => self.mine,
            Side::Theirs => self.theirs,
        }
    }

    /// Who it waits for. What this person has declined, or what nobody wants any more, waits for
    /// nobody: nobody is asked twice.
    #[must_use]
    pub fn waits(self) -> Option<Waits> {
        use Saying::{No, Nothing, OtherWords, Yes};
        match (self.mine, self.theirs) {
            (Yes, Nothing | OtherWords | No) => Some(Waits::ForBoth),
            (Nothing, Yes) | (OtherWords, Yes | OtherWords) => Some(Waits::ForMe),
            _ => None,
        }
    }
}

/// What both say to something that was written by `author` and now has this digest.
///
/// The author's own consent is for their own words, so it holds whatever they make of them. With
/// `proposed`, having written it is a consent already.
#[must_use]
pub fn standing<'a>(
    author: Option<Side>,
    proposed: bool,
    digest: &str,
    consents: impl IntoIterator<Item = (Side, &'a Consent)>,
) -> Standing {
    let begins = |side| match proposed && author == Some(side) {
        true => Saying::Yes,
        false => Saying::Nothing,
    };
    let mut standing = Standing {
        mine: begins(Side::Mine),
        theirs: begins(Side::Theirs),
    };
    for (side, consent) in consents {
        let said = if !consent.given {
            Saying::No
        } else if author == Some(side) || consent.digest == digest {
            Saying::Yes
        } else {
            Saying::OtherWords
        };
        let saying = match side {
            Side::Mine => &mut standing.mine,
            Side::Theirs => &mut standing.theirs,
        };
        *saying = firmer(*saying, said);
    }
    standing
}

/// Of two things that one person said, the one that counts. There is only one record of it; should
/// there be more, a no counts before a yes.
fn firmer(one: Saying, other: Saying) -> Saying {
    let weight = |saying| match saying {
        Saying::Nothing => 0,
        Saying::OtherWords => 1,
        Saying::Yes => 2,
        Saying::No => 3,
    };
    if weight(other) > weight(one) {
        other
    } else {
        one
    }
}

/// Whether writing such a record says yes to it.
#[must_use]
pub fn is_proposal(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Page | Kind::OurWord | Kind::Agreement | Kind::Milestone | Kind::Ritual
    )
}

/// Whether such a record can stand in a chapter of the book.
#[must_use]
pub fn is_for_the_book(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Opening
            | Kind::Page
            | Kind::Letter
            | Kind::Milestone
            | Kind::RitualDone
            | Kind::MapAnswer
            | Kind::Response
    )
}

/// What somebody consents to who says yes to a record as it stands.
///
/// # Errors
/// [`Unreadable`].
pub fn digest_of<D: ReadDoc>(doc: &D) -> Result<String, Unreadable> {
    let kind = schema::kind_of(doc)?;
    Ok(match kind {
        Kind::Page => record::read::<Page, D>(doc)?.digest(),
        Kind::OurWord => record::read::<OurWord, D>(doc)?.digest(),
        Kind::Agreement => record::read::<Agreement, D>(doc)?.digest(),
        Kind::Milestone => record::read::<Milestone, D>(doc)?.digest(),
        Kind::Ritual => record::read::<Ritual, D>(doc)?.digest(),
        kind => digest(&[kind.as_str(), &Value::Object(tree::read(doc)?).to_string()]),
    })
}

#[cfg(test)]
mod tests {
    use automerge::Automerge;
    use proptest::prelude::*;

    use super::*;

    fn consent(digest: &str, given: bool) -> Consent {
        Consent {
            about: "0".repeat(32),
            digest: digest.to_owned(),
            given,
            on: "2026-07-01".to_owned(),
        }
    }

    fn said(consents: &[(Side, Consent)], author: Option<Side>, proposed: bool) -> Standing {
        let consents = consents.iter().map(|(side, consent)| (*side, consent));
        standing(author, proposed, "now", consents)
    }

    #[test]
    fn nothing_is_there_until_both_want_it() {
        let yes = |side| (side, consent("now", true));
        assert!(!said(&[], Some(Side::Mine), false).is_both());
        let mine = said(&[yes(Side::Mine)], Some(Side::Theirs), false);
        assert_eq!(mine.waits(), Some(Waits::ForBoth));
        let theirs = said(&[yes(Side::Theirs)], Some(Side::Mine), false);
        assert_eq!(theirs.waits(), Some(Waits::ForMe));
        let both = said(&[yes(Side::Mine), yes(Side::Theirs)], None, false);
        assert!(both.is_both() && both.waits().is_none());
    }

    #[test]
    fn a_proposal_is_its_authors_yes_until_they_take_it_back() {
        let ben = (Side::Theirs, consent("now", true));
        let agreed = said(std::slice::from_ref(&ben), Some(Side::Mine), true);
        assert!(agreed.is_both());
        let back = (Side::Mine, consent("now", false));
        let withdrawn = said(&[ben, back], Some(Side::Mine), true);
        assert!(!withdrawn.is_both());
        assert_eq!(withdrawn.waits(), None);
    }

    #[test]
    fn a_yes_to_other_words_is_none_and_asks_again() {
        let before = (Side::Mine, consent("before", true));
        let changed = said(&[before], Some(Side::Theirs), true);
        assert_eq!(changed.mine, Saying::OtherWords);
        assert_eq!(changed.waits(), Some(Waits::ForMe));
        // Of one's own words it stays a yes: one has written them.
        let own = said(
            &[(Side::Mine, consent("before", true))],
            Some(Side::Mine),
            false,
        );
        assert_eq!(own.mine, Saying::Yes);
    }

    #[test]
    fn what_one_has_declined_is_not_asked_again() {
        let no = (Side::Mine, consent("now", false));
        assert_eq!(said(&[no], Some(Side::Theirs), true).waits(), None);
    }

    #[test]
    fn another_text_has_another_digest() {
        let mut doc = Automerge::new();
        let mut agreement = Agreement {
            text: "No phones at the table.".to_owned(),
            on: "2026-07-01".to_owned(),
        };
        doc.transact(|tx| record::create(tx, &agreement)).unwrap();
        let before = digest_of(&doc).unwrap();
        assert_eq!(before, agreement.digest());
        agreement.text.push_str(" Nor in bed.");
        doc.transact(|tx| record::update(tx, &agreement)).unwrap();
        assert_ne!(digest_of(&doc).unwrap(), before);
        assert!(digest_of(&Automerge::new()).is_err());
    }

    fn any_side() -> impl Strategy<Value = Side> {
        prop_oneof![Just(Side::Mine), Just(Side::Theirs)]
    }

    proptest! {
        #[test]
        fn the_same_for_both_and_in_any_order(
            consents in proptest::collection::vec((any_side(), any::<bool>(), any::<bool>()), 0..6),
            author in proptest::option::of(any_side()),
            proposed in any::<bool>(),
            seed in any::<usize>(),
        ) {
            let consents: Vec<(Side, Consent)> = consents
                .into_iter()
                .map(|(side, now, given)| (side, consent(if now { "now" } else { "before" }, given)))
                .collect();
            let here = said(&consents, author, proposed);
            let mut turned: Vec<(Side, Consent)> = consents
                .iter()
                .map(|(side, consent)| (side.other(), consent.clone()))
                .collect();
            if !turned.is_empty() {
                let by = seed % turned.len();
                turned.rotate_left(by);
            }
            turned.reverse();
            let there = said(&turned, author.map(Side::other), proposed);
            prop_assert_eq!((here.mine, here.theirs), (there.theirs, there.mine));
            prop_assert_eq!(here.is_both(), there.is_both());
        }
    }
}
