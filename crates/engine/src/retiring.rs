//! Epochs that a burn has ended (protocol §2.14): nobody writes under them any more, no key
//! change hands them on, and they are destroyed with the log that they opened.

use std::collections::{BTreeMap, BTreeSet};

use ajar_crypto::EpochKey;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::snapshot::{RetiredEpoch, Snapshot};
use ajar_protocol::{EpochId, Frontier};

use crate::burning::Burning;
use crate::epochs::Epoch;
use crate::replica::Replica;
use crate::snapshot::Standing;
use crate::store::{Key, Store};

/// Epochs that were given up whose numbers are remembered although nothing here needs them.
const NUMBERS: usize = 256;

/// How a snapshot names an epoch that it gives up.
fn retired(id: EpochId, epoch: &Epoch) -> RetiredEpoch {
    RetiredEpoch {
        device: epoch.device,
        counter: epoch.counter,
        id,
        number: epoch.number,
    }
}

impl<S: Store> Replica<S> {
    /// Epochs that a burn has ended: none of them may be written under, handed on, or kept once
    /// every device has confirmed.
    pub(crate) fn doomed_epochs(&self) -> BTreeSet<EpochId> {
        let mut doomed = self.doomed_by(self.pending_burns(), |_| true);
        doomed.extend(self.leftovers());
        doomed
    }

    /// The epoch of a burn that has come to its end: what it stands on was given up, and whatever
    /// else is kept of the log that was given up follows it.
    fn burned_ground(&self) -> Option<EpochId> {
        if self.folded.retired.is_empty() {
            return None;
        }
        let is_folded = |epoch: &Epoch| self.folded.is_folded(&epoch.device, epoch.counter);
        let folded = self.epochs.all().filter(|(_, epoch)| is_folded(epoch));
        let folded: Vec<(&EpochId, &Epoch)> = folded.collect();
        let stands_on_nothing = |epoch: &Epoch| {
            let mut parents = epoch.parents.iter();
            !epoch.parents.is_empty() && parents.all(|parent| self.epochs.is_retired(parent))
        };
        // Where two burns crossed, two devices may each have made the epoch that follows both.
        let mut grounds = folded
            .iter()
            .filter(|(_, epoch)| epoch.reason == EpochReason::Burn && stands_on_nothing(epoch));
        let ground = grounds.find(|(id, _)| {
            let after = self.epochs.followers(id);
            folded.iter().all(|(one, _)| after.contains(*one))
        });
        ground.map(|(id, _)| **id)
    }

    /// Epochs of somebody who had not heard of a burn that has come to its end: of a device that
    /// waited for it and handed on old keys, of one that was only beginning. They may hold keys
    /// that are destroyed here, and go with the next snapshot.
    fn leftovers(&self) -> BTreeSet<EpochId> {
        let Some(ground) = self.burned_ground() else {
            return BTreeSet::new();
        };
        let after = self.epochs.followers(&ground);
        let all = self.epochs.all().map(|(id, _)| *id);
        all.filter(|id| !after.contains(id)).collect()
    }

    /// Whether an epoch with these parents would be one of those.
    pub(crate) fn is_left_over(&self, parents: &[EpochId]) -> bool {
        self.burned_ground().is_some_and(|ground| {
            let after = self.epochs.followers(&ground);
            !parents.iter().any(|parent| after.contains(parent))
        })
    }

    /// Whether this device should make a snapshot to give up such epochs: it made the one that
    /// stays, or the first of its person does in its place.
    pub(crate) fn wants_leftovers_gone(&self) -> bool {
        let ground = self.burned_ground().and_then(|id| self.epochs.get(&id));
        if !ground.is_some_and(|ground| self.is_responsible(&ground.device)) {
            return false;
        }
        let left = self.leftovers();
        let left = left.iter().filter_map(|id| self.epochs.get(id));
        let here = |epoch: &&Epoch| {
            epoch.counter <= self.progress.frontier.counter(&epoch.device)
                && !self.space.is_cut_off(&epoch.device, epoch.counter)
        };
        let left: Vec<&Epoch> = left.filter(here).collect();
        let mut seen = self.folded.seen.iter();
        let covers = |cover: &Frontier| {
            let mut left = left.iter();
            left.all(|epoch| epoch.counter <= cover.counter(&epoch.device))
        };
        let waits = seen.any(|seen| seen.standing != Standing::Differs && covers(&seen.cover));
        !left.is_empty() && !waits
    }

    /// Whether a snapshot gives up keys that are still here: then it needs the word of every
    /// device, and gets it at once.
    pub(crate) fn gives_up_keys(&self, snapshot: &Snapshot) -> bool {
        let mut retired = snapshot.retired.iter();
        retired.any(|epoch| self.epochs.get(&epoch.id).is_some())
    }

    /// Epochs that the epochs of these burns have ended, of which only such ones count.
    fn doomed_by<'a>(
        &self,
        burns: impl Iterator<Item = &'a Burning>,
        counts: impl Fn(&Epoch) -> bool,
    ) -> BTreeSet<EpochId> {
        let mut parties: BTreeSet<usize> = BTreeSet::new();
        for burn in burns {
            parties.extend(self.space.device(&burn.device).map(|(place, _)| place));
            // Which of both votes came last, devices may see differently.
            if burn.is_common() {
                parties.extend(0..self.space.chains.len());
            }
        }
        if parties.is_empty() {
            return BTreeSet::new();
        }
        self.epochs.doomed(|epoch| {
            let author = self.space.device(&epoch.device);
            // What lies beyond a cut-off ends nothing, since nothing can follow it.
            author.is_some_and(|(place, _)| parties.contains(&place))
                && !self.space.is_cut_off(&epoch.device, epoch.counter)
                && counts(epoch)
        })
    }

    /// Old keys that a new epoch hands on: none that a burn has ended.
    pub(crate) fn history_to_hand_on(&self, reason: EpochReason) -> Vec<(EpochId, EpochKey)> {
        let doomed = self.doomed_epochs();
        if reason == EpochReason::Burn {
            return Vec::new();
        }
        let mut history = self.epochs.history(&self.space);
        if !doomed.is_empty() {
            history.retain(|(id, _)| self.epochs.get(id).is_some() && !doomed.contains(id));
        }
        history
    }

    /// Epochs that a snapshot with this cover gives up: those that a burn has ended, and those
    /// that were given up before and are still named as parents.
    pub(crate) fn epochs_to_retire(&self, cover: &Frontier) -> Vec<RetiredEpoch> {
        let doomed = self.doomed_epochs();
        let mut retired: BTreeMap<EpochId, RetiredEpoch> = BTreeMap::new();
        let parents = self.epochs.parents_of_kept(&doomed);
        for epoch in &self.folded.retired {
            if parents.contains(&epoch.id) {
                retired.insert(epoch.id, *epoch);
            }
        }
        for id in doomed {
            if let Some(epoch) = self.epochs.get(&id)
                && epoch.counter <= cover.counter(&epoch.device)
            {
                retired.insert(id, self::retired(id, epoch));
            }
        }
        let mut retired: Vec<RetiredEpoch> = retired.into_values().collect();
        retired.sort_unstable();
        retired
    }

    /// Whether what a snapshot gives up may be given up.
    pub(crate) fn may_retire(&self, snapshot: &Snapshot) -> bool {
        let doomed = self.doomed_epochs();
        let newest = self.epochs.all().map(|(_, epoch)| epoch.number).max();
        snapshot.retired.iter().all(|epoch| {
            let was = self.folded.retired.iter().any(|known| known == epoch);
            let place = (epoch.device, epoch.counter);
            match self.epochs.get(&epoch.id) {
                Some(known) => {
                    let fits = (known.device, known.counter, known.number)
                        == (place.0, place.1, epoch.number);
                    was || fits && doomed.contains(&epoch.id)
                }
                // Its author had not heard that it was given up; nothing is lost with it.
                None => {
                    let mut all = self.epochs.all();
                    let is_free = all.all(|(_, other)| (other.device, other.counter) != place);
                    was || is_free && newest.is_some_and(|newest| epoch.number < newest)
                }
            }
        })
    }

    /// Destroys the keys that a snapshot has retired, and those of burns that it ends, with the
    /// envelopes that would give them again. The disk is scrubbed afterwards.
    pub(crate) fn retire(&mut self, snapshot: &Snapshot) {
        let burns = self.folded.burns.iter();
        let done: Vec<bool> = burns
            .map(|burn| !burn.done && self.is_answered_within(burn, &snapshot.cover))
            .collect();
        let mut gone: BTreeSet<RetiredEpoch> = snapshot.retired.iter().copied().collect();
        gone.extend(self.ended_with(&done, &snapshot.cover));
        let before = std::mem::take(&mut self.folded.retired);
        let fresh = |epoch: &RetiredEpoch| !before.iter().any(|known| known.id == epoch.id);
        if gone.iter().any(fresh) {
            self.epochs.loose.clear();
            self.pending.keys = true;
            self.pending.meta = true;
        }
        for epoch in &gone {
            let (device, counter) = (epoch.device, epoch.counter);
            self.pending.batch.delete(Key::Envelope(device, counter));
            self.meta.retain_epochs(|d, c| (*d, c) != (device, counter));
            self.epochs.retire(epoch.id, epoch.number);
        }
        gone.extend(before);
        self.keep_numbers(snapshot, gone);
        for (burn, done) in self.folded.burns.iter_mut().zip(done) {
            if done {
                burn.done = true;
                self.folded.scrub = true;
            }
        }
        self.folded.touch();
    }

    /// Remembers the numbers of what was given up, now and earlier: whoever has not heard of it may
    /// yet make an epoch on one of them, and a number is all that there is to judge that by. The
    /// same are known here and in the store: such an epoch must not count until the home is opened
    /// again, and then keep it from opening.
    fn keep_numbers(&mut self, snapshot: &Snapshot, all: BTreeSet<RetiredEpoch>) {
        let parents = self.epochs.parents_of_kept(&BTreeSet::new());
        // From beyond a cut-off, a relay would bring them again and again.
        let is_needed = |one: &RetiredEpoch| {
            snapshot.retired.contains(one)
                || parents.contains(&one.id)
                || self.space.is_cut_off(&one.device, one.counter)
        };
        let (mut kept, mut others): (Vec<RetiredEpoch>, Vec<RetiredEpoch>) =
            all.into_iter().partition(is_needed);
        others.sort_by_key(|one| std::cmp::Reverse(one.number));
        others.truncate(NUMBERS);
        kept.extend(others);
        kept.sort_unstable();
        let numbers = kept.iter().map(|one| (one.id, one.number));
        self.epochs.know_retired(numbers.collect());
        self.folded.retired = kept;
    }

    /// What goes with burns that end, as far as this cover reaches. Its snapshot does not name
    /// what its author has given up before, and no cover reaches beyond a cut-off.
    fn ended_with(&self, done: &[bool], cover: &Frontier) -> Vec<RetiredEpoch> {
        let burns = self.folded.burns.iter().zip(done);
        let burns = burns.filter(|(_, done)| **done).map(|(burn, _)| burn);
        let covers = |epoch: &Epoch| epoch.counter <= cover.counter(&epoch.device);
        let ended = self.doomed_by(burns, covers).into_iter();
        let ended = ended.filter_map(|id| Some((id, self.epochs.get(&id)?)));
        let goes =
            |epoch: &Epoch| covers(epoch) || self.space.is_cut_off(&epoch.device, epoch.counter);
        let ended = ended.filter(|(_, epoch)| goes(epoch));
        ended.map(|(id, epoch)| retired(id, epoch)).collect()
    }
}
