//! Keys that a burn has ended, for devices that joined meanwhile (protocol §2.14). No epoch that
//! stays may hand them on. But somebody who was away may have made an epoch and written under
//! it before hearing of a device that was linked at the same time: what hands its key on to
//! that device is an epoch that the burn ends with the others.

use std::collections::BTreeSet;

use ajar_crypto::Entropy;
use ajar_protocol::EpochId;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::limits::EPOCH_PARENTS;

use crate::clock::Now;
use crate::epochs::{Epochs, Ground, HISTORY, sealed_to_all};
use crate::error::EngineError;
use crate::replica::Replica;
use crate::space::Space;
use crate::store::Store;

/// Epochs that are made at once to hand on old keys; two burns at once need two.
const AT_ONCE: usize = 4;
/// Doomed epochs, the newest, that are looked at: older ones stand in their histories.
const LOOKED_AT: usize = 64;

/// Epochs by the burns that they follow. An epoch hands on the keys of those before it that
/// follow just as many; whoever made it took the others for doomed.
struct Ages {
    /// For each epoch of a burn, itself and what follows it.
    after: Vec<BTreeSet<EpochId>>,
}

impl Ages {
    fn of(epochs: &Epochs) -> Self {
        let burns = epochs.all().filter(|(_, e)| e.reason == EpochReason::Burn);
        let after = burns.map(|(id, _)| epochs.followers(id)).collect();
        Self { after }
    }

    fn same(&self, one: &EpochId, other: &EpochId) -> bool {
        let mut after = self.after.iter();
        after.all(|after| after.contains(one) == after.contains(other))
    }
}

impl Epochs {
    /// What an epoch has to stand on to hand on doomed keys that are here and that somebody who
    /// should read now may lack; `None` when there are none.
    fn owed_of(&self, space: &Space, doomed: &BTreeSet<EpochId>) -> Option<Ground> {
        let wanted = space.recipients(&space.seqs())?;
        let counts = |id: &EpochId| {
            let epoch = self.get(id);
            epoch.is_some_and(|e| e.key.is_some() && !space.is_cut_off(&e.device, e.counter))
        };
        let is_whole = |id: &EpochId| self.get(id).is_some_and(|e| sealed_to_all(e, &wanted));
        let number = |id: &EpochId| self.get(id).map_or(0, |epoch| epoch.number);
        let mut newest: Vec<EpochId> = doomed.iter().copied().filter(counts).collect();
        newest.sort_by_key(|id| std::cmp::Reverse(number(id)));
        newest.truncate(LOOKED_AT);
        newest.retain(|id| !is_whole(id));
        if newest.is_empty() {
            return None;
        }
        let ages = Ages::of(self);
        let is_handed_on = |id: &EpochId| {
            let mut later = self.followers(id).into_iter();
            later.any(|later| counts(&later) && is_whole(&later) && ages.same(id, &later))
        };
        newest.retain(|id| !is_handed_on(id));
        let first = *newest.first()?;
        newest.retain(|id| ages.same(&first, id));
        let behind = |id: &EpochId| {
            let after = self.followers(id);
            newest.iter().any(|one| one != id && after.contains(one))
        };
        let mut parents: Vec<EpochId> = newest.iter().copied().filter(|id| !behind(id)).collect();
        parents.truncate(EPOCH_PARENTS);
        let highest = parents.iter().map(number).max()?;
        let reason = match parents.as_slice() {
            [_] => EpochReason::Add,
            _ => EpochReason::Merge,
        };
        parents.sort_unstable();
        let mut history: Vec<_> = self
            .all()
            .filter(|(id, _)| ages.same(&first, id))
            .filter_map(|(id, epoch)| Some((*id, epoch.key.clone()?)))
            .collect();
        history.sort_by_key(|(id, _)| std::cmp::Reverse(number(id)));
        history.truncate(HISTORY);
        Some(Ground {
            parents,
            number: highest.saturating_add(1),
            reason,
            history,
        })
    }
}

impl<S: Store> Replica<S> {
    /// Hands on keys that a burn has ended to those who joined meanwhile, with epochs that it
    /// ends too.
    pub(crate) fn hand_on_doomed(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), EngineError> {
        for _ in 0..AT_ONCE {
            let doomed = self.doomed_epochs();
            if doomed.is_empty() {
                break;
            }
            let Some(ground) = self.epochs.owed_of(&self.space, &doomed) else {
                break;
            };
            self.make_epoch_on(now, entropy, ground)?;
        }
        Ok(())
    }
}
