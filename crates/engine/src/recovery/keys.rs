//! Epoch keys that the twelve words open, with the older ones that stand in their history.

use std::collections::BTreeMap;

use ajar_crypto::epoch::open_epoch;
use ajar_crypto::{EpochKey, SlotKeys};
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{DeviceId, EpochId, SpaceId, VerifiedEnvelope};

/// Epochs that are kept; in a life there are some hundred.
const EPOCHS: usize = 8192;
/// Different keys that histories may name for an epoch which has not come yet.
const CLAIMS: usize = 4;

struct Record {
    author: DeviceId,
    space: SpaceId,
    number: u64,
    commitment: [u8; 32],
    key: Option<EpochKey>,
}

impl Record {
    fn offer(&mut self, key: &EpochKey) {
        if self.key.is_none() && key.commits_to(&self.space, self.number, &self.commitment) {
            self.key = Some(key.clone());
        }
    }
}

/// What is known of the epochs of one space.
#[derive(Default)]
pub(super) struct FoundKeys {
    records: BTreeMap<EpochId, Record>,
    /// Keys from the history of an epoch whose own record has not come. What a member wrote
    /// there may be wrong, so that a few are kept.
    claimed: BTreeMap<EpochId, Vec<EpochKey>>,
}

impl FoundKeys {
    /// Takes an EPOCH envelope; `None` when its author wrote nonsense.
    pub(super) fn take(
        &mut self,
        envelope: &VerifiedEnvelope,
        recipient: &[u8; 32],
        keys: &SlotKeys,
    ) -> Option<()> {
        let record = EpochRecord::parse(envelope.body()).ok()?;
        // Otherwise it is from before the words were replaced, or by a member who sealed nonsense
        // to them: a later epoch's history has the key.
        let opened = open_epoch(envelope, recipient, &keys.recovery_kem).ok();
        let id: EpochId = envelope.id().into();
        let header = envelope.header();
        let (key, history) = match opened {
            Some(opened) => (Some(opened.key), opened.history),
            None => (None, Vec::new()),
        };
        let mut record = Record {
            author: header.device,
            space: header.space,
            number: record.number,
            commitment: record.commitment,
            key,
        };
        for key in self.claimed.remove(&id).unwrap_or_default() {
            record.offer(&key);
        }
        if self.make_room(&record.author) {
            self.records.insert(id, record);
        }
        for (old, key) in history {
            self.offer(old, key);
        }
        Some(())
    }

    /// Whether there is room for one more of this author. When all is full, whoever made the
    /// most gives way: a member that makes epochs for fun only harms itself.
    fn make_room(&mut self, author: &DeviceId) -> bool {
        if self.records.len() < EPOCHS {
            return true;
        }
        let mut counts: BTreeMap<DeviceId, usize> = BTreeMap::new();
        for record in self.records.values() {
            *counts.entry(record.author).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let Some(greedy) = most.map(|(device, _)| device).filter(|g| g != author) else {
            return false;
        };
        let of = |(_, record): &(&EpochId, &Record)| record.author == greedy;
        let newest = self.records.iter().filter(of).max_by_key(|(_, r)| r.number);
        if let Some(id) = newest.map(|(id, _)| *id) {
            self.records.remove(&id);
        }
        true
    }

    fn offer(&mut self, id: EpochId, key: EpochKey) {
        if let Some(record) = self.records.get_mut(&id) {
            record.offer(&key);
            return;
        }
        let room = self.claimed.len() < EPOCHS || self.claimed.contains_key(&id);
        if room {
            let claims = self.claimed.entry(id).or_default();
            if claims.len() < CLAIMS && !claims.contains(&key) {
                claims.push(key);
            }
        }
    }

    pub(super) fn get(&self, id: &EpochId) -> Option<&EpochKey> {
        self.records.get(id)?.key.as_ref()
    }

    /// Epochs of which there is no key.
    pub(super) fn unopened(&self) -> usize {
        let without = self.records.values().filter(|record| record.key.is_none());
        without.count()
    }

    pub(super) fn into_keys(self) -> Vec<(EpochId, EpochKey)> {
        self.records
            .into_iter()
            .filter_map(|(id, record)| record.key.map(|key| (id, key)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ajar_crypto::Secret;

    use super::*;

    fn record(author: u8, number: u64) -> Record {
        Record {
            author: DeviceId([author; 32]),
            space: SpaceId([0; 32]),
            number,
            commitment: [0; 32],
            key: None,
        }
    }

    fn id(number: u64) -> EpochId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        EpochId(id)
    }

    /// A thief with a stolen device fills the relay with epochs, so that those that the
    /// journal was written under should find no room.
    #[test]
    fn who_makes_epochs_for_fun_pushes_nobody_else_out() {
        let mut keys = FoundKeys::default();
        for number in 0..EPOCHS as u64 {
            assert!(keys.make_room(&DeviceId([9; 32])));
            keys.records.insert(id(number), record(9, number));
        }
        assert!(!keys.make_room(&DeviceId([9; 32])));
        for number in 0..500 {
            let number = EPOCHS as u64 + number;
            assert!(keys.make_room(&DeviceId([1; 32])));
            keys.records.insert(id(number), record(1, number));
        }
        assert_eq!(keys.records.len(), EPOCHS);
        let anas = keys.records.values().filter(|r| r.author.0 == [1; 32]);
        assert_eq!(anas.count(), 500);
    }

    #[test]
    fn what_a_hostile_history_claims_takes_bounded_room() {
        let mut keys = FoundKeys::default();
        for number in 0..EPOCHS as u64 + 100 {
            for byte in 0..10 {
                keys.offer(id(number), EpochKey::new(Secret::new([byte; 32])));
            }
        }
        assert_eq!(keys.claimed.len(), EPOCHS);
        assert!(keys.claimed.values().all(|claims| claims.len() == CLAIMS));
    }
}
