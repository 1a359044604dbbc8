//! The twelve words: whether these are they, and new ones in their place (protocol §2.18).

use std::time::Duration;

use ajar_crypto::{RecoveryPhrase, SlotPublic};
use ajar_engine::Misuse;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::RootPublic;

use super::builder::all_slots;
use super::{Home, mode};
use crate::error::{ConnectError, Error};
use crate::space::Space;

/// Where it is kept which words the unused slots belong to.
const SLOTS_OF: &str = "ajar/words-of-slots";

/// Which of the open spaces some words belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordsCheck {
    /// Each open space, and whether the words bring it back.
    pub spaces: Vec<(SpaceKind, bool)>,
}

impl WordsCheck {
    /// Whether they bring back everything that is open.
    #[must_use]
    pub fn all(&self) -> bool {
        !self.spaces.is_empty() && self.spaces.iter().all(|(_, theirs)| *theirs)
    }
}

/// What became of replacing the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Spaces that stand on the new words now, also those that did before.
    pub replaced: Vec<SpaceKind>,
    /// Spaces that are not changed, because they were ended or left quietly, or this device was
    /// removed from them: the old words still bring back what was written there until then.
    pub closed: Vec<SpaceKind>,
    /// Spaces that belong neither to the old words nor to the new ones.
    pub strangers: Vec<SpaceKind>,
}

/// The public halves of the words for the slot of a space, and those in force there.
fn roots(space: &Space, phrase: &RecoveryPhrase) -> Result<(RootPublic, RootPublic), Error> {
    let (slot, in_force) = space
        .worker()
        .call(|core| (core.replica.slot(), core.replica.root()))?;
    let keys = phrase
        .slot_keys(slot)
        .map_err(|_| Error::Bug("the slot of a space"))?;
    Ok((keys.public().root, in_force))
}

impl Home {
    /// Which of the open spaces these words would bring back if every device were lost.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn check_words(&self, phrase: &RecoveryPhrase) -> Result<WordsCheck, Error> {
        let mut spaces = Vec::new();
        for space in self.spaces() {
            let (theirs, in_force) = roots(&space, phrase)?;
            spaces.push((space.kind(), theirs == in_force));
        }
        Ok(WordsCheck { spaces })
    }

    /// Puts new words in the place of the old ones, in both spaces, online, and changes the
    /// keys: what is written afterwards cannot be opened with the old words, and they bring
    /// nothing back any more. May be repeated after any failure, with the same words.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`] when *Only me* is not open, since it would stay behind;
    /// [`Error::Misuse`] with [`Misuse::WrongWords`] when nothing here belongs to the words;
    /// [`Error::Undelivered`], [`Error::MemberRefused`]: to be repeated.
    pub async fn replace_words(
        &self,
        old: &RecoveryPhrase,
        new: &RecoveryPhrase,
        wait: Duration,
    ) -> Result<Replaced, Error> {
        let _busy = self.inner.activity.busy();
        self.space(SpaceKind::Private)?;
        // The old words would still bring that one back.
        self.check_damage(SpaceKind::Shared)?;
        let mut outcome = Replaced::default();
        let mut ours = Vec::new();
        for space in self.spaces() {
            let (theirs, in_force) = roots(&space, old)?;
            let (wanted, _) = roots(&space, new)?;
            if in_force == wanted || in_force == theirs {
                ours.push((space, wanted, in_force == wanted));
            } else {
                outcome.strangers.push(space.kind());
            }
        }
        if ours.is_empty() {
            return Err(Misuse::WrongWords.into());
        }
        let left = mode::is_left(self.inner.shared.read(|keys| keys.mode));
        for (space, wanted, done) in ours {
            // Nothing of it is to be heard, and the other space is not to wait for it.
            if left && space.kind() == SpaceKind::Shared {
                outcome.closed.push(space.kind());
                continue;
            }
            let changed = async {
                match done {
                    true => space.rotate().await?,
                    false => change(&space, old, wanted, wait).await?,
                }
                // Until the new key is at the relay, the new words open nothing there.
                space.sync(wait).await
            };
            match changed.await {
                Ok(_) => outcome.replaced.push(space.kind()),
                // Nothing of a space that was left quietly may be sent, not even this.
                Err(
                    Error::Misuse(Misuse::Closed | Misuse::Removed)
                    | Error::Connect(ConnectError::Left)
                    | Error::Undelivered(ConnectError::Left),
                ) => outcome.closed.push(space.kind()),
                Err(error) => return Err(error),
            }
        }
        if outcome.replaced.contains(&SpaceKind::Private) {
            self.give_slots(new)?;
        }
        Ok(outcome)
    }

    /// Tells this device about words that were replaced on another one, so that a space that
    /// is founded here stands on them too.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`]; [`Error::Misuse`] with [`Misuse::WrongWords`].
    pub fn adopt_words(&self, phrase: &RecoveryPhrase) -> Result<(), Error> {
        let me = self.space(SpaceKind::Private)?;
        let (theirs, in_force) = roots(&me, phrase)?;
        if theirs != in_force {
            return Err(Misuse::WrongWords.into());
        }
        self.give_slots(phrase)
    }

    /// The slots that are not used yet are those of these words from now on.
    fn give_slots(&self, phrase: &RecoveryPhrase) -> Result<(), Error> {
        let all = all_slots(phrase)?;
        self.inner.shared.update(|keys| {
            let renewed = |unused: &SlotPublic| all.iter().find(|new| new.slot == unused.slot);
            keys.slots = keys.slots.iter().filter_map(renewed).copied().collect();
        })?;
        self.note_words()
    }

    /// Remembers that the unused slots belong to the words in force.
    pub(crate) fn note_words(&self) -> Result<(), Error> {
        let Ok(me) = self.space(SpaceKind::Private) else {
            return Ok(());
        };
        let root = me.worker().call(|core| core.replica.root())?;
        me.set_local(SLOTS_OF, Some(root.root.to_vec()))
    }

    /// Fails when the words were replaced on another device and the slots here are still those
    /// of the old ones: whoever found those could take over a space that is founded on them.
    pub(super) fn check_slots(&self) -> Result<(), Error> {
        let Ok(me) = self.space(SpaceKind::Private) else {
            return Ok(());
        };
        let (first, in_force) = me
            .worker()
            .call(|core| (core.replica.first_root(), core.replica.root()))?;
        let noted = me.local(SLOTS_OF)?;
        let known = noted.or_else(|| first.map(|first| first.root.to_vec()));
        if known.as_deref() == Some(&in_force.root) {
            Ok(())
        } else {
            Err(Error::WordsReplaced)
        }
    }
}

async fn change(
    space: &Space,
    old: &RecoveryPhrase,
    wanted: RootPublic,
    wait: Duration,
) -> Result<(), Error> {
    let slot = space.worker().call(|core| core.replica.slot())?;
    let old = old
        .slot_keys(slot)
        .map_err(|_| Error::Bug("the slot of a space"))?;
    space
        .change_membership(wait, move |replica, now| {
            replica.propose_root_replace(now, &old, &wanted)
        })
        .await
}
