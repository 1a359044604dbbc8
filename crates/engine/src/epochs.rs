//! Epochs: which keys there are, which are valid, and which one to write under
//! (protocol §2.7).

use std::collections::{BTreeMap, BTreeSet};

use ajar_crypto::EpochKey;
use ajar_crypto::epoch::{OpenEpochError, open_epoch};
use ajar_protocol::epoch::{EpochReason, EpochRecord, Recipient};
use ajar_protocol::{DeviceId, EpochId, VerifiedEnvelope};

use crate::loose::{LooseKeys, Source};
use crate::space::Space;

/// Old keys that a new epoch carries; the padded history stays below its 64 KiB.
pub(crate) const HISTORY: usize = 900;
/// Keys in the key file: with everything else in it, it stays below 4 MiB.
const RING: usize = 60_000;

/// What is known of one valid epoch.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) parents: Vec<EpochId>,
    /// Links that its recipients were computed from.
    pub(crate) seqs: Vec<u64>,
    pub(crate) recipients: BTreeSet<[u8; 32]>,
    pub(crate) commitment: [u8; 32],
    /// Why it was made.
    pub(crate) reason: EpochReason,
    pub(crate) key: Option<EpochKey>,
    /// It is sealed to this device, and that seal or the history behind it does not open: its
    /// author lied. Others may have got a good one, so it is an epoch all the same.
    pub(crate) shut: bool,
    /// The envelope that created it.
    pub(crate) device: DeviceId,
    pub(crate) counter: u64,
    /// When it was first seen here, in ms since 1970 by this device's clock; 0 when that is
    /// not known.
    pub(crate) seen_ms: i64,
}

impl Epoch {
    /// Whether its author kept its key from this device, and nobody has handed it on yet.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut && self.key.is_none()
    }

    fn is_sealed_to(&self, wanted: &[Recipient]) -> bool {
        let ids = wanted.iter().map(|recipient| recipient.id);
        self.recipients == ids.collect()
    }
}

/// All valid epochs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epochs {
    all: BTreeMap<EpochId, Epoch>,
    /// Keys of epochs that have no valid record here.
    pub(crate) loose: LooseKeys,
    /// Kept EPOCH envelopes that stand on what the twelve words took away, or on what has not
    /// arrived: they only give keys.
    pub(crate) orphans: BTreeSet<(DeviceId, u64)>,
    /// Stored epochs, ahead of their place, that stand on others that have not arrived.
    pub(crate) waiting: Vec<(DeviceId, u64)>,
    /// Numbers of epochs that were given up: later ones may name them as parents.
    retired: BTreeMap<EpochId, u64>,
    /// The epoch last written under, and how many envelopes there were before it.
    pub(crate) before: Option<(EpochId, u64)>,
}

/// Verdict on an EPOCH envelope.
pub(crate) enum Verdict {
    /// Valid; with the keys found in its history.
    Valid(Box<Epoch>, Vec<(EpochId, EpochKey)>),
    /// Links or parents that it stands on are not there, and the twelve words may have taken
    /// them away: good for reading, and nothing may stand on it.
    Orphan,
    /// Links or parents that it stands on have not arrived.
    Early,
    /// Its author misbehaved.
    Invalid,
}

/// What a new epoch stands on, and the old keys that it hands on.
pub(crate) struct Ground {
    pub(crate) parents: Vec<EpochId>,
    pub(crate) number: u64,
    pub(crate) reason: EpochReason,
    pub(crate) history: Vec<(EpochId, EpochKey)>,
}

pub(crate) fn sealed_to_all(epoch: &Epoch, wanted: &[Recipient]) -> bool {
    let mut wanted = wanted.iter();
    wanted.all(|recipient| epoch.recipients.contains(&recipient.id))
}

impl Epochs {
    pub(crate) fn get(&self, id: &EpochId) -> Option<&Epoch> {
        self.all.get(id)
    }

    /// All valid epochs.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&EpochId, &Epoch)> {
        self.all.iter()
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
        self.orphans.remove(&(epoch.device, epoch.counter));
        for key in self.loose.take(&id) {
            if epoch.key.is_none() && key.commits_to(&space.id, epoch.number, &epoch.commitment) {
                epoch.key = Some(key);
            }
        }
        // A relay that is filled anew will not have one from beyond a cut-off.
        let source = if space.is_cut_off(&epoch.device, epoch.counter) {
            Source::Told(epoch.device)
        } else {
            Source::Handed(epoch.device)
        };
        self.all.entry(id).or_insert(epoch);
        for (old, key) in history {
            self.offer_key(space, old, key, source);
        }
    }

    /// Takes a key that the history of an epoch or the key file names, if it is the
    /// committed one.
    pub(crate) fn offer_key(&mut self, space: &Space, id: EpochId, key: EpochKey, source: Source) {
        if self.all.contains_key(&id) {
            self.complete(space, &id, key);
        } else if !self.is_retired(&id) {
            self.loose.offer(id, key, source);
        }
    }

    /// Gives a known epoch its key, if it has none and this is the committed one. Returns
    /// whether it did.
    pub(crate) fn complete(&mut self, space: &Space, id: &EpochId, key: EpochKey) -> bool {
        match self.all.get_mut(id) {
            Some(epoch)
                if epoch.key.is_none()
                    && key.commits_to(&space.id, epoch.number, &epoch.commitment) =>
            {
                epoch.key = Some(key);
                true
            }
            _ => false,
        }
    }

    /// Takes a key from the history of an epoch whose turn has not come: only the one that the
    /// epoch it is named for has committed to, which may be still to come. Returns whether that is
    /// here and had none.
    pub(crate) fn take_early_key(
        &mut self,
        space: &Space,
        id: EpochId,
        key: EpochKey,
        author: DeviceId,
    ) -> bool {
        if self.all.contains_key(&id) {
            return self.complete(space, &id, key);
        }
        if !self.is_retired(&id) {
            self.loose.offer(id, key, Source::Told(author));
        }
        false
    }

    /// Takes the keys of an EPOCH envelope that nothing may stand on.
    pub(crate) fn take_orphan(&mut self, space: &Space, envelope: &VerifiedEnvelope) {
        let header = envelope.header();
        self.orphans.insert((header.device, header.counter));
        if let Ok(opened) = open_epoch(envelope, &space.device.0, space.secrets.kem_secret()) {
            self.offer_key(space, envelope.id().into(), opened.key, Source::Own);
            // What this device had then, it may be the only one to have now.
            let source = match header.device == space.device {
                true => Source::Own,
                false => Source::Told(header.device),
            };
            for (old, key) in opened.history {
                self.offer_key(space, old, key, source);
            }
        }
    }

    /// Takes the key of an EPOCH envelope that may turn out to be valid later.
    pub(crate) fn take_key(&mut self, space: &Space, envelope: &VerifiedEnvelope) {
        if let Ok(opened) = open_epoch(envelope, &space.device.0, space.secrets.kem_secret()) {
            let author = envelope.header().device;
            let id = envelope.id().into();
            self.offer_key(space, id, opened.key, Source::Told(author));
        }
    }

    /// An epoch is given up: it and its key are gone, its number stays.
    pub(crate) fn retire(&mut self, id: EpochId, number: u64) {
        self.all.remove(&id);
        self.loose.take(&id);
        self.retired.insert(id, number);
    }

    /// Whether an epoch was given up: its key is not taken any more, whoever hands it on.
    pub(crate) fn is_retired(&self, id: &EpochId) -> bool {
        self.retired.contains_key(id)
    }

    /// Epochs that are neither one of the burn epochs of certain authors nor follow all of those.
    pub(crate) fn doomed(&self, counts: impl Fn(&Epoch) -> bool) -> BTreeSet<EpochId> {
        let is_burn = |epoch: &Epoch| epoch.reason == EpochReason::Burn && counts(epoch);
        let burns = self.all.iter().filter(|(_, epoch)| is_burn(epoch));
        let mut doomed = BTreeSet::new();
        for (burn, _) in burns {
            let kept = self.followers(burn);
            doomed.extend(self.all.keys().filter(|id| !kept.contains(id)));
        }
        doomed
    }

    /// An epoch and all that follow it.
    pub(crate) fn followers(&self, first: &EpochId) -> BTreeSet<EpochId> {
        let mut found = BTreeSet::from([*first]);
        let mut grown = true;
        while grown {
            let next = self.all.iter().filter(|(id, epoch)| {
                !found.contains(id) && epoch.parents.iter().any(|parent| found.contains(parent))
            });
            let next: Vec<EpochId> = next.map(|(id, _)| *id).collect();
            grown = !next.is_empty();
            found.extend(next);
        }
        found
    }

    /// What the epochs that stay name as parents.
    pub(crate) fn parents_of_kept(&self, doomed: &BTreeSet<EpochId>) -> BTreeSet<EpochId> {
        let kept = self.all.iter().filter(|(id, _)| !doomed.contains(id));
        kept.flat_map(|(_, epoch)| epoch.parents.iter().copied())
            .collect()
    }

    /// These are the numbers that are known of epochs that were given up.
    pub(crate) fn know_retired(&mut self, numbers: BTreeMap<EpochId, u64>) {
        self.retired = numbers;
    }

    /// Orphans of one author.
    pub(crate) fn orphans_of(&self, device: &DeviceId) -> usize {
        self.orphans.iter().filter(|(d, _)| d == device).count()
    }

    /// Every key of a valid epoch.
    fn keys(&self) -> Vec<(EpochId, EpochKey)> {
        self.all
            .iter()
            .filter_map(|(id, epoch)| epoch.key.clone().map(|key| (*id, key)))
            .collect()
    }

    /// Every key for the key file, those first that no kept envelope would give again: a
    /// member who makes epochs for fun must not make the file larger than can be written.
    pub(crate) fn all_keys(&self, own: &DeviceId) -> Vec<(EpochId, EpochKey)> {
        let mut keys: Vec<_> = self.loose.own().collect();
        let mut known = self.keys();
        let opens_again = |id: &EpochId| {
            let epoch = self.all.get(id);
            epoch.is_some_and(|epoch| !epoch.shut && epoch.recipients.contains(&own.0))
        };
        known.sort_by_cached_key(|(id, _)| opens_again(id));
        keys.extend(known);
        keys.truncate(RING);
        keys
    }

    /// The keys that go into the history of a new epoch, and to a new device: the newest, as
    /// many as fit. Older ones stand in the history of the epochs that these belong to. A
    /// member who makes epochs for fun can so never keep the others from making one. Keys
    /// without a record come first once the twelve words may have taken records away.
    pub(crate) fn history(&self, space: &Space) -> Vec<(EpochId, EpochKey)> {
        let mut history = match space.has_root_link() {
            true => self.loose.to_hand_on(),
            false => Vec::new(),
        };
        let mut keys = self.keys();
        let number = |id: &EpochId| self.all.get(id).map_or(0, |epoch| epoch.number);
        keys.sort_by_key(|(id, _)| std::cmp::Reverse(number(id)));
        history.extend(keys);
        history.truncate(HISTORY);
        history
    }

    /// Whether others may be unable to read what was written under a key that this device
    /// has, until a new epoch hands it on.
    pub(crate) fn has_unshared(&self, space: &Space) -> bool {
        space.has_root_link() && self.loose.is_any_unshared()
    }

    /// Epochs that no other one follows. One that a removed device made beyond its cut-off
    /// only opens what was written under it: a relay that is filled anew will not have it, so
    /// nothing may stand on it. One that is shut here ends nothing here either.
    pub(crate) fn tips(&self, space: &Space) -> Vec<EpochId> {
        let counts =
            |epoch: &&Epoch| !epoch.is_shut() && !space.is_cut_off(&epoch.device, epoch.counter);
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
    /// read now and that know of every removal, the one with the highest number, then the lowest
    /// id. `None`: a new one is needed.
    pub(crate) fn current(&self, space: &Space) -> Option<(EpochId, &EpochKey)> {
        let wanted = space.recipients(&space.seqs())?;
        let removed = space.revoked_at(&space.seqs());
        // A device that joined and left since may have been handed its key, by an epoch that is
        // not here yet: the others would refuse what is written under it.
        let knows_all = |epoch: &Epoch| {
            let known = space.revoked_at(&epoch.seqs);
            removed.iter().all(|device| known.contains(device))
        };
        self.tips(space)
            .into_iter()
            .filter_map(|id| {
                let epoch = self.all.get(&id)?;
                let key = epoch.key.as_ref()?;
                (epoch.is_sealed_to(&wanted) && knows_all(epoch)).then_some((epoch.number, id, key))
            })
            .max_by_key(|(number, id, _)| (*number, std::cmp::Reverse(*id)))
            .map(|(_, id, key)| (id, key))
    }

    /// Whether an epoch that no other one follows is closed to someone who should read now: what
    /// was written under it reaches them through the history of the next epoch only. Two people
    /// who add a device at the same time make such epochs. Those that are closed to this device
    /// too are for others to follow up: its own history would lack their keys.
    pub(crate) fn leaves_out(&self, space: &Space) -> bool {
        let wanted = space.recipients(&space.seqs()).unwrap_or_default();
        let tips = self.tips(space);
        let mut open = tips.iter().filter_map(|id| self.opened(id));
        open.any(|epoch| !sealed_to_all(epoch, &wanted))
    }

    /// An epoch whose key is here.
    fn opened(&self, id: &EpochId) -> Option<&Epoch> {
        self.all.get(id).filter(|epoch| epoch.key.is_some())
    }

    /// Parents, number and reason of the next epoch.
    pub(crate) fn next(&self, space: &Space) -> (Vec<EpochId>, u64, EpochReason) {
        let mut tips = self.tips(space);
        // A parent promises that its key is in the history.
        tips.retain(|id| self.opened(id).is_some());
        // More than four can only come from a member that makes epochs for fun. Those that
        // leave someone out need a successor most.
        let wanted = space.recipients(&space.seqs()).unwrap_or_default();
        tips.sort_by_key(|id| {
            let tip = self.all.get(id);
            let whole = tip.is_some_and(|epoch| sealed_to_all(epoch, &wanted));
            (
                whole,
                std::cmp::Reverse(tip.map_or(0, |epoch| epoch.number)),
            )
        });
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
        if space.chains.len() == 1 && record.head_higher != ajar_protocol::LinkHash::ZERO {
            return Verdict::Invalid;
        }
        // What it stands on may not have arrived, or may have been taken away by the twelve
        // words: then it would never come.
        let missing = || match space.has_root_link() {
            true => Verdict::Orphan,
            false => Verdict::Early,
        };
        let heads = [record.head_lower, record.head_higher];
        let mut seqs = Vec::new();
        for (chain, head) in space.chains.iter().zip(&heads) {
            match chain.seq_of(head) {
                Some(seq) => seqs.push(seq),
                None => return missing(),
            }
        }
        let mut number = 0;
        for parent in &record.parents {
            let known = self.all.get(parent).map(|parent| parent.number);
            match known.or_else(|| self.retired.get(parent).copied()) {
                Some(parent) => number = number.max(parent),
                None => return missing(),
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
        let kem = space.secrets.kem_secret();
        let (opened, shut) = match open_epoch(envelope, &space.device.0, kem) {
            Ok(opened) => (Some(opened), false),
            // From before this device was added: a later epoch's history has the key.
            Err(OpenEpochError::NotARecipient) => (None, false),
            // Whether it is valid must not depend on who looks: a member could otherwise cut
            // two honest devices off from each other with one bad seal.
            Err(_) => (None, true),
        };
        let (key, history) = match opened {
            Some(opened) => (Some(opened.key), opened.history),
            None => (None, Vec::new()),
        };
        let epoch = Epoch {
            number: record.number,
            parents: record.parents,
            seqs,
            recipients: found.into_iter().collect(),
            commitment: record.commitment,
            reason: record.reason,
            key,
            shut,
            device: author,
            counter: envelope.header().counter,
            seen_ms: 0,
        };
        Verdict::Valid(Box::new(epoch), history)
    }
}

#[cfg(test)]
mod tests {
    use ajar_crypto::Secret;

    use super::*;

    /// Seventy thousand epochs of Ben's fit into what a relay gives a space.
    #[test]
    fn epochs_made_for_fun_do_not_make_the_key_file_too_large() {
        let own = DeviceId([1; 32]);
        let mut epochs = Epochs::default();
        let name = |n: u32| {
            let mut name = [0xff; 32];
            name[..4].copy_from_slice(&n.to_be_bytes());
            EpochId(name)
        };
        for n in 0..70_000 {
            let to_us = n < 69_990;
            let epoch = Epoch {
                number: 1,
                parents: Vec::new(),
                seqs: Vec::new(),
                recipients: to_us.then_some(own.0).into_iter().collect(),
                commitment: [0; 32],
                reason: EpochReason::Add,
                key: Some(EpochKey::new(Secret::new([3; 32]))),
                shut: false,
                device: DeviceId([2; 32]),
                counter: u64::from(n),
                seen_ms: 0,
            };
            epochs.all.insert(name(n), epoch);
        }
        let kept = epochs.all_keys(&own);
        assert!(kept.len() * 64 + (256 << 10) < 4 << 20, "{}", kept.len());
        // Those that this device was only told of come from nowhere else.
        for n in 69_990..70_000 {
            assert!(kept.iter().any(|(id, _)| *id == name(n)), "{n}");
        }
    }
}
