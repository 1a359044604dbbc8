//! Keys without the record of their epoch. Most wait for a record that is on its way. Some
//! never get one: the twelve words took away the links that the epoch stood on, or the device
//! that made it (protocol §2.7). They still open what was honestly written under them: the
//! commitment in each envelope tells the right key from any other.

use std::collections::BTreeMap;

use ajar_crypto::EpochKey;
use ajar_protocol::EpochId;

/// Different keys that are kept for one epoch; all but one are somebody's lies.
const CANDIDATES: usize = 4;
/// Keys without a record that the history of a new epoch carries.
const HANDED_ON: usize = 512;

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was sealed to this device, or its record was known and valid once.
    Own,
    /// The history of a valid epoch: everyone who can open that one has it.
    Handed,
    /// The history of an epoch that nothing stands on.
    Told,
}

#[derive(Clone, Debug)]
struct Candidate {
    key: EpochKey,
    own: bool,
    handed: bool,
}

/// Keys by the epoch that they are said to be of.
#[derive(Clone, Debug, Default)]
pub(crate) struct LooseKeys {
    all: BTreeMap<EpochId, Vec<Candidate>>,
}

impl LooseKeys {
    pub(crate) fn offer(&mut self, id: EpochId, key: EpochKey, source: Source) {
        let candidates = self.all.entry(id).or_default();
        let room = candidates.len() < CANDIDATES;
        let known = candidates.iter_mut().find(|known| known.key == key);
        let (own, handed) = (source == Source::Own, source == Source::Handed);
        match known {
            Some(known) => {
                known.own |= own;
                known.handed |= handed;
            }
            None if room || own => {
                candidates.push(Candidate { key, own, handed });
            }
            None => {}
        }
    }

    /// Takes all keys that are said to be of an epoch.
    pub(crate) fn take(&mut self, id: &EpochId) -> Vec<EpochKey> {
        let candidates = self.all.remove(id).unwrap_or_default();
        candidates.into_iter().map(|one| one.key).collect()
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

    fn id(n: u8) -> EpochId {
        EpochId([n; 32])
    }

    fn key(n: u8) -> EpochKey {
        EpochKey::new(Secret::new([n; 32]))
    }

    #[test]
    fn a_key_is_handed_on_once_and_not_for_ever() {
        let mut loose = LooseKeys::default();
        loose.offer(id(1), key(1), Source::Told);
        assert!(!loose.is_any_unshared());
        loose.offer(id(2), key(2), Source::Own);
        assert!(loose.is_any_unshared());
        assert_eq!(loose.to_hand_on(), [(id(2), key(2)), (id(1), key(1))]);
        // Someone hands on another key under its name: that is not it.
        loose.offer(id(2), key(3), Source::Handed);
        assert!(loose.is_any_unshared());
        loose.offer(id(2), key(2), Source::Handed);
        assert!(!loose.is_any_unshared());
        assert_eq!(loose.own().collect::<Vec<_>>(), [(id(2), key(2))]);
    }

    #[test]
    fn lies_about_a_key_are_bounded_and_do_not_displace_ones_own() {
        let mut loose = LooseKeys::default();
        for n in 0..100 {
            loose.offer(id(1), key(n), Source::Handed);
        }
        assert_eq!(loose.of(&id(1)).count(), CANDIDATES);
        loose.offer(id(1), key(200), Source::Own);
        assert!(loose.of(&id(1)).any(|one| *one == key(200)));
        assert_eq!(loose.to_hand_on(), [(id(1), key(200))]);
        assert_eq!(loose.take(&id(1)).len(), CANDIDATES + 1);
        assert_eq!(loose.of(&id(1)).count(), 0);
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
