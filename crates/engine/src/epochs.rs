//! Epochs: which keys there are, which are valid, and which one to write under
//! (protocol §2.7).

use std::collections::{BTreeMap, BTreeSet};

use ajar_crypto::EpochKey;
use ajar_crypto::epoch::{OpenEpochError, open_epoch};
use ajar_protocol::epoch::{EpochReason, EpochRecord, Recipient};
use ajar_protocol::{DeviceId, EpochId, VerifiedEnvelope};

use crate::space::Space;

/// Old keys that a new epoch carries; the padded history stays below its 64 KiB.
const HISTORY: usize = 900;

/// What is known of one valid epoch.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) parents: Vec<EpochId>,
    /// Links that its recipients were computed from.
    pub(crate) seqs: Vec<u64>,
    pub(crate) recipients: BTreeSet<[u8; 32]>,
    pub(crate) commitment: [u8; 32],
    pub(crate) key: Option<EpochKey>,
    /// The envelope that created it.
    pub(crate) device: DeviceId,
    pub(crate) counter: u64,
    /// When it was first seen here, in ms since 1970 by this device's clock; 0 when that is
    /// not known.
    pub(crate) seen_ms: i64,
}

impl Epoch {
    fn is_sealed_to(&self, wanted: &[Recipient]) -> bool {
        let ids = wanted.iter().map(|recipient| recipient.id);
        self.recipients == ids.collect()
    }
}

/// All valid epochs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epochs {
    all: BTreeMap<EpochId, Epoch>,
    /// Keys from the history of an epoch whose own record has not arrived.
    spare: BTreeMap<EpochId, EpochKey>,
    /// Stored epochs, ahead of their place, that stand on others that have not arrived.
    pub(crate) waiting: Vec<(DeviceId, u64)>,
    /// The epoch last written under, and how many envelopes there were before it.
    pub(crate) before: Option<(EpochId, u64)>,
}

/// Verdict on an EPOCH envelope.
pub(crate) enum Verdict {
    /// Valid; with the keys found in its history.
    Valid(Box<Epoch>, Vec<(EpochId, EpochKey)>),
    /// Links or parents that it stands on have not arrived.
    Early,
    /// Its author misbehaved.
    Invalid,
}

impl Epochs {
    pub(crate) fn get(&self, id: &EpochId) -> Option<&Epoch> {
        self.all.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &EpochId) -> Option<&mut Epoch> {
        self.all.get_mut(id)
    }

    /// Adds a valid epoch, unless it is known; `seen_ms` as in [`Epoch::seen_ms`].
    pub(crate) fn insert(
        &mut self,
        space: &Space,
        id: EpochId,
        mut epoch: Epoch,
        history: Vec<(EpochId, EpochKey)>,
        seen_ms: i64,
    ) {
        epoch.seen_ms = seen_ms;
        if epoch.key.is_none() {
            epoch.key = self
                .spare
                .remove(&id)
                .filter(|key| key.commits_to(&space.id, epoch.number, &epoch.commitment));
        }
        self.all.entry(id).or_insert(epoch);
        for (old, key) in history {
            self.offer_key(space, old, key);
        }
    }

    /// Takes a key that the history of an epoch or the key file names, if it is the
    /// committed one.
    pub(crate) fn offer_key(&mut self, space: &Space, id: EpochId, key: EpochKey) {
        match self.all.get_mut(&id) {
            Some(epoch) => {
                if epoch.key.is_none() && key.commits_to(&space.id, epoch.number, &epoch.commitment)
                {
                    epoch.key = Some(key);
                }
            }
            None => {
                self.spare.entry(id).or_insert(key);
            }
        }
    }

    /// Every key held, for the key file and for the history of a new epoch.
    pub(crate) fn keys(&self) -> Vec<(EpochId, EpochKey)> {
        self.all
            .iter()
            .filter_map(|(id, epoch)| epoch.key.clone().map(|key| (*id, key)))
            .collect()
    }

    /// Every key held, also of epochs whose record has not arrived, for the key file.
    pub(crate) fn all_keys(&self) -> Vec<(EpochId, EpochKey)> {
        let mut keys = self.keys();
        keys.extend(self.spare.iter().map(|(id, key)| (*id, key.clone())));
        keys
    }

    /// The keys that go into the history of a new epoch: the newest, as many as fit. Older
    /// ones stand in the history of the epochs that these belong to. A member who makes
    /// epochs for fun can so never keep the others from making one.
    pub(crate) fn newest_keys(&self) -> Vec<(EpochId, EpochKey)> {
        let mut keys = self.keys();
        let number = |id: &EpochId| self.all.get(id).map_or(0, |epoch| epoch.number);
        keys.sort_by_key(|(id, _)| std::cmp::Reverse(number(id)));
        keys.truncate(HISTORY);
        keys
    }

    /// Epochs that no other one follows. One that a removed device made beyond its cut-off
    /// only opens what was written under it: a relay that is filled anew will not have it, so
    /// nothing may stand on it.
    pub(crate) fn tips(&self, space: &Space) -> Vec<EpochId> {
        let counts = |epoch: &&Epoch| !space.is_cut_off(&epoch.device, epoch.counter);
        let parents: BTreeSet<EpochId> = self
            .all
            .values()
            .filter(counts)
            .flat_map(|epoch| epoch.parents.iter().copied())
            .collect();
        self.all
            .iter()
            .filter(|(id, epoch)| counts(epoch) && !parents.contains(id))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The epoch to write under: among the tips that are sealed to exactly those who should
    /// read now, the one with the highest number, then the lowest id. `None`: a new one is
    /// needed.
    pub(crate) fn current(&self, space: &Space) -> Option<(EpochId, &EpochKey)> {
        let wanted = space.recipients(&space.seqs())?;
        self.tips(space)
            .into_iter()
            .filter_map(|id| {
                let epoch = self.all.get(&id)?;
                let key = epoch.key.as_ref()?;
                epoch
                    .is_sealed_to(&wanted)
                    .then_some((epoch.number, id, key))
            })
            .max_by_key(|(number, id, _)| (*number, std::cmp::Reverse(*id)))
            .map(|(_, id, key)| (id, key))
    }

    /// Whether something may be written under a key that someone who should read cannot open:
    /// that of an epoch made by a device that had not heard of them. The history of one that
    /// follows it gives them the key.
    pub(crate) fn leave_someone_out(&self, space: &Space) -> bool {
        let wanted = space.recipients(&space.seqs()).unwrap_or_default();
        let tips = self.tips(space);
        let mut held = tips
            .iter()
            .filter_map(|id| self.all.get(id))
            .filter(|epoch| epoch.key.is_some());
        held.any(|epoch| !wanted.iter().all(|one| epoch.recipients.contains(&one.id)))
    }

    /// Parents, number and reason of the next epoch.
    pub(crate) fn next(&self, space: &Space) -> (Vec<EpochId>, u64, EpochReason) {
        let mut tips = self.tips(space);
        // More than four can only come from a member that makes epochs for fun.
        tips.sort_by_key(|id| std::cmp::Reverse(self.all.get(id).map_or(0, |epoch| epoch.number)));
        tips.truncate(ajar_protocol::limits::EPOCH_PARENTS);
        tips.sort_unstable();
        let number = tips
            .iter()
            .filter_map(|id| self.all.get(id))
            .map(|epoch| epoch.number)
            .max()
            .map_or(1, |highest| highest.saturating_add(1));
        let reason = match tips.as_slice() {
            [] => EpochReason::First,
            [one] => self.all.get(one).map_or(EpochReason::Add, |before| {
                let wanted = space.recipients(&space.seqs());
                let same = wanted.is_some_and(|wanted| before.is_sealed_to(&wanted));
                if space.recovered_since(&before.seqs) {
                    EpochReason::Recover
                } else if space.revoked_at(&before.seqs) != space.revoked_at(&space.seqs()) {
                    EpochReason::Revoke
                } else if same {
                    EpochReason::Periodic
                } else {
                    EpochReason::Add
                }
            }),
            _ => EpochReason::Merge,
        };
        (tips, number, reason)
    }

    /// Checks an EPOCH envelope whose author and chain position were checked.
    pub(crate) fn judge(&self, space: &Space, envelope: &VerifiedEnvelope) -> Verdict {
        let author = envelope.header().device;
        let Ok(record) = EpochRecord::parse(envelope.body()) else {
            return Verdict::Invalid;
        };
        // A head that is not in our chain may be one that has not arrived.
        let heads = [record.head_lower, record.head_higher];
        let mut seqs = Vec::new();
        for (chain, head) in space.chains.iter().zip(&heads) {
            match chain.seq_of(head) {
                Some(seq) => seqs.push(seq),
                None => return Verdict::Early,
            }
        }
        if space.chains.len() == 1 && record.head_higher != ajar_protocol::LinkHash::ZERO {
            return Verdict::Invalid;
        }
        let mut number = 0;
        for parent in &record.parents {
            match self.all.get(parent) {
                Some(parent) => number = number.max(parent.number),
                None => return Verdict::Early,
            }
        }
        if record.number != number.saturating_add(1) {
            return Verdict::Invalid;
        }
        let expected: Option<Vec<[u8; 32]>> = space
            .recipients(&seqs)
            .map(|list| list.iter().map(|recipient| recipient.id).collect());
        let found: Vec<[u8; 32]> = record.seals.iter().map(|seal| seal.recipient).collect();
        if expected.as_ref() != Some(&found) || !found.contains(&author.0) {
            return Verdict::Invalid;
        }
        let (key, history) = match open_epoch(envelope, &space.device.0, space.secrets.kem_secret())
        {
            Ok(opened) => (Some(opened.key), opened.history),
            // From before this device was added: a later epoch's history has the key.
            Err(OpenEpochError::NotARecipient) => (None, Vec::new()),
            Err(_) => return Verdict::Invalid,
        };
        let epoch = Epoch {
            number: record.number,
            parents: record.parents,
            seqs,
            recipients: found.into_iter().collect(),
            commitment: record.commitment,
            key,
            device: author,
            counter: envelope.header().counter,
            seen_ms: 0,
        };
        Verdict::Valid(Box::new(epoch), history)
    }
}
