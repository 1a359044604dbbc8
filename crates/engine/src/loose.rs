//! Keys without the record of their epoch. Most wait for a record that is on its way. Some
//! never get one: the twelve words took away the links that the epoch stood on, or the device
//! that made it (protocol §2.7). They still open what was honestly written under them: the
//! commitment in each envelope tells the right key from any other.

use std::collections::BTreeMap;

use ajar_crypto::EpochKey;
use ajar_protocol::{DeviceId, EpochId};

/// Different keys that are kept for one epoch on the word of one device; all but one are
/// somebody's lies. Counted for each device, so that lies of one keep out no truth of another.
const CANDIDATES: usize = 4;
/// Keys that are kept on the word of one device, for all epochs; in a life there are some
/// hundred.
const BROUGHT: usize = 4096;
/// Keys without a record that the history of a new epoch carries.
const HANDED_ON: usize = 512;

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was sealed to this device, or its record was known and valid once.
    Own,
    /// The history of a valid epoch of this device: everyone who can open that one has it.
    Handed(DeviceId),
    /// The history of an epoch of this device that nothing stands on.
    Told(DeviceId),
}

#[derive(Clone, Debug)]
struct Candidate {
    key: EpochKey,
    own: bool,
    handed: bool,
    /// Whose word it was kept on.
    from: Option<DeviceId>,
}

/// Keys by the epoch that they are said to be of.
#[derive(Clone, Debug, Default)]
pub(crate) struct LooseKeys {
    all: BTreeMap<EpochId, Vec<Candidate>>,
    /// How many are kept on the word of each device.
    brought: BTreeMap<DeviceId, usize>,
}

impl LooseKeys {
    pub(crate) fn offer(&mut self, id: EpochId, key: EpochKey, source: Source) {
        let (own, handed) = (source == Source::Own, matches!(source, Source::Handed(_)));
        let candidates = self.all.get_mut(&id);
        let mut known = candidates.into_iter().flatten();
        if let Some(known) = known.find(|known| known.key == key) {
            known.own |= own;
            known.handed |= handed;
            return;
        }
        let from = match source {
            Source::Own => None,
            Source::Handed(device) | Source::Told(device) => Some(device),
        };
        if let Some(device) = from {
            let of_epoch = self.all.get(&id).into_iter().flatten();
            let of_epoch = of_epoch.filter(|one| one.from == from).count();
            let brought = self.brought.entry(device).or_default();
            if of_epoch >= CANDIDATES || *brought >= BROUGHT {
                return;
            }
            *brought += 1;
        }
        self.all.entry(id).or_default().push(Candidate {
            key,
            own,
            handed,
            from,
        });
    }

    /// Takes all keys that are said to be of an epoch.
    pub(crate) fn take(&mut self, id: &EpochId) -> Vec<EpochKey> {
        let candidates = self.all.remove(id).unwrap_or_default();
        for device in candidates.iter().filter_map(|one| one.from) {
            if let Some(brought) = self.brought.get_mut(&device) {
                *brought = brought.saturating_sub(1);
            }
        }
        candidates.into_iter().map(|one| one.key).collect()
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All keys that are said to be of an epoch.
    pub(crate) fn of(&self, id: &EpochId) -> impl Iterator<Item = &EpochKey> {
        self.all.get(id).into_iter().flatten().map(|one| &one.key)
    }

    /// What only this device may have: it is for the key file.
    pub(crate) fn own(&self) -> impl Iterator<Item = (EpochId, EpochKey)> + '_ {
        self.all.iter().flat_map(|(id, candidates)| {
            let own = candidates.iter().filter(|one| one.own);
            own.map(|one| (*id, one.key.clone()))
        })
    }

    /// The key of each epoch that is handed on: one's own before one that others name, with
    /// whether it was handed on before.
    fn best(&self) -> impl Iterator<Item = (EpochId, &Candidate)> {
        self.all.iter().filter_map(|(id, candidates)| {
            let best = candidates.iter().max_by_key(|one| (one.own, one.handed))?;
            Some((*id, best))
        })
    }

    /// Whether this device has a key that no valid epoch hands on.
    pub(crate) fn is_any_unshared(&self) -> bool {
        self.best().any(|(_, one)| one.own && !one.handed)
    }

    /// The keys for the history of a new epoch; those that nobody handed on yet come first.
    pub(crate) fn to_hand_on(&self) -> Vec<(EpochId, EpochKey)> {
        let mut best: Vec<_> = self.best().collect();
        best.sort_by_key(|(id, one)| (!one.own || one.handed, !one.handed, *id));
        best.truncate(HANDED_ON);
        let keys = best.into_iter();
        keys.map(|(id, one)| (id, one.key.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use ajar_crypto::Secret;

    use super::*;

    const BEN: DeviceId = DeviceId([7; 32]);
    const LAPTOP: DeviceId = DeviceId([8; 32]);

    fn id(n: u8) -> EpochId {
        EpochId([n; 32])
    }

    fn key(n: u8) -> EpochKey {
        EpochKey::new(Secret::new([n; 32]))
    }

    #[test]
    fn a_key_is_handed_on_once_and_not_for_ever() {
        let mut loose = LooseKeys::default();
        loose.offer(id(1), key(1), Source::Told(BEN));
        assert!(!loose.is_any_unshared());
        loose.offer(id(2), key(2), Source::Own);
        assert!(loose.is_any_unshared());
        assert_eq!(loose.to_hand_on(), [(id(2), key(2)), (id(1), key(1))]);
        // Someone hands on another key under its name: that is not it.
        loose.offer(id(2), key(3), Source::Handed(BEN));
        assert!(loose.is_any_unshared());
        loose.offer(id(2), key(2), Source::Handed(BEN));
        assert!(!loose.is_any_unshared());
        assert_eq!(loose.own().collect::<Vec<_>>(), [(id(2), key(2))]);
    }

    #[test]
    fn lies_about_a_key_are_bounded_and_do_not_displace_ones_own() {
        let mut loose = LooseKeys::default();
        for n in 0..100 {
            loose.offer(id(1), key(n), Source::Handed(BEN));
        }
        assert_eq!(loose.of(&id(1)).count(), CANDIDATES);
        loose.offer(id(1), key(200), Source::Own);
        assert!(loose.of(&id(1)).any(|one| *one == key(200)));
        assert_eq!(loose.to_hand_on(), [(id(1), key(200))]);
        assert_eq!(loose.take(&id(1)).len(), CANDIDATES + 1);
        assert_eq!(loose.of(&id(1)).count(), 0);
    }

    /// Ben names wrong keys for an epoch whose record the twelve words took away, before Ana's
    /// laptop hands on the right one.
    #[test]
    fn lies_of_one_device_do_not_keep_out_the_truth_of_another() {
        let mut loose = LooseKeys::default();
        for n in 0..100 {
            loose.offer(id(1), key(n), Source::Handed(BEN));
        }
        loose.offer(id(1), key(200), Source::Handed(LAPTOP));
        assert!(loose.of(&id(1)).any(|one| *one == key(200)));
    }

    #[test]
    fn histories_full_of_invented_epochs_take_bounded_room_and_shut_nobody_else_out() {
        let name = |n: u32| {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&n.to_be_bytes());
            EpochId(name)
        };
        let mut loose = LooseKeys::default();
        for n in 0..100_000 {
            loose.offer(name(n), key(1), Source::Handed(BEN));
        }
        assert_eq!(loose.all.len(), BROUGHT);
        loose.offer(name(200_000), key(2), Source::Handed(LAPTOP));
        loose.offer(name(200_001), key(2), Source::Own);
        assert_eq!(loose.all.len(), BROUGHT + 2);
        // Room comes back when records come.
        assert_eq!(loose.take(&name(0)).len(), 1);
        loose.offer(name(200_002), key(2), Source::Told(BEN));
        assert_eq!(loose.all.len(), BROUGHT + 2);
    }

    #[test]
    fn the_history_of_an_epoch_never_overflows() {
        let mut loose = LooseKeys::default();
        for n in 0..2000_u16 {
            let mut name = [0; 32];
            name[..2].copy_from_slice(&n.to_be_bytes());
            loose.offer(EpochId(name), key(1), Source::Own);
        }
        assert_eq!(loose.to_hand_on().len(), HANDED_ON);
    }
}
