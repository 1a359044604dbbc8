//! Party chains: the devices of one person in one space, as a verified line of links.
//!
//! A chain is what the device list on screen, the relay's access list and the recipients of
//! every epoch are computed from; nobody's word about membership counts but these signatures
//! (protocol §2.3, D1).

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::error::Malformed;
use crate::id::{DeviceId, LinkHash, PartyId, hash};
use crate::label;
use crate::limits;
use crate::link::{
    Cutoff, DevicePublic, LeaveMode, Link, LinkBody, LinkPlace, NewDevice, RootPublic, cosign_hash,
    proof_hash, verify,
};

/// A device as its chain knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainDevice {
    /// Its keys.
    pub keys: DevicePublic,
    /// Its sealed name, empty for the first device.
    pub sealed_label: Vec<u8>,
    /// Link that added it.
    pub added: u64,
    /// Time claimed by that link, in ms since 1970.
    pub added_time_ms: u64,
    /// Link that revoked it and up to where its envelopes count.
    pub revoked: Option<Revocation>,
}

/// The end of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Link that revoked it.
    pub seq: u64,
    /// Last accepted envelope.
    pub cutoff: Cutoff,
    /// Whether the cut-off has been raised already.
    pub amended: bool,
}

impl ChainDevice {
    /// Whether it was active when the chain ended with link `seq`.
    #[must_use]
    pub fn active_at(&self, seq: u64) -> bool {
        self.added <= seq && self.revoked.is_none_or(|revocation| revocation.seq > seq)
    }
}

/// Why a link is not accepted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChainError {
    /// The bytes or a signature or key in them are not sound.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The first link is not GENESIS, or a later one is.
    #[error("party chain: GENESIS is the first link and only the first")]
    Genesis,
    /// It belongs to another party.
    #[error("party chain: the link belongs to another party")]
    WrongParty,
    /// Links before it are missing.
    #[error("party chain: link {found} came, {expected} is next")]
    Gap {
        /// Next place of the chain.
        expected: u64,
        /// Place of the link.
        found: u64,
    },
    /// Another link holds this place; this one is signed by a device or root of the party too.
    #[error("party chain: two different links at place {seq}")]
    Fork {
        /// The place.
        seq: u64,
    },
    /// The signer may not write such a link.
    #[error("party chain: the signer may not do this")]
    NotAllowed,
    /// A key that already has a place in this chain.
    #[error("party chain: a key is used twice")]
    KeyReuse,
    /// A limit on devices or links.
    #[error("party chain: too many devices or links")]
    TooMany,
    /// The party has left; nothing may follow.
    #[error("party chain: the party has left this space")]
    Left,
}

/// What appending a link did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is the new head.
    Appended,
    /// It was there already.
    Known,
}

/// A verified chain. Every link in it was checked when it was appended.
#[derive(Clone, Debug)]
pub struct PartyChain {
    id: PartyId,
    links: Vec<Link>,
    devices: BTreeMap<DeviceId, ChainDevice>,
    /// Root keys and the link from which each set counts.
    roots: Vec<(u64, RootPublic)>,
    keys: BTreeSet<[u8; 32]>,
    left: Option<(u64, LeaveMode)>,
    slot: u8,
    min_version: u16,
}

impl PartyChain {
    /// Starts a chain from its GENESIS link, which names and is signed by the first device.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn start(genesis: Link) -> Result<Self, ChainError> {
        let LinkBody::Genesis {
            slot, root, device, ..
        } = &genesis.body
        else {
            return Err(ChainError::Genesis);
        };
        let (slot, root, device) = (*slot, *root, *device);
        if genesis.seq != 0 || genesis.prev != LinkHash::ZERO || genesis.party != PartyId::ZERO {
            return Err(ChainError::Genesis);
        }
        if genesis.signer != device.id().0 {
            return Err(ChainError::NotAllowed);
        }
        genesis.verify(&device.sign)?;
        let mut chain = Self {
            id: PartyId(hash(label::PARTY_ID, &[&genesis.hash().0])),
            links: Vec::new(),
            devices: BTreeMap::new(),
            roots: Vec::new(),
            keys: BTreeSet::new(),
            left: None,
            slot,
            min_version: 0,
        };
        root.check()?;
        device.check()?;
        chain.check_unused(&[root_keys(&root), device_keys(&device)].concat())?;
        chain.put_root(root, 0);
        chain.put_device(device, &[], &genesis);
        chain.links.push(genesis);
        Ok(chain)
    }

    /// Rebuilds a chain from stored or received links, checking each.
    ///
    /// # Errors
    /// [`ChainError`]; [`ChainError::Genesis`] when there are none.
    pub fn from_links(links: impl IntoIterator<Item = Link>) -> Result<Self, ChainError> {
        let mut links = links.into_iter();
        let mut chain = Self::start(links.next().ok_or(ChainError::Genesis)?)?;
        for link in links {
            chain.append(link)?;
        }
        Ok(chain)
    }

    /// Checks a link and makes it the head.
    ///
    /// # Errors
    /// [`ChainError`]; the chain is unchanged then. [`ChainError::Fork`] is only returned for
    /// a link that a device or root of the party signed while it was allowed to, so it is
    /// evidence and never a stranger's invention.
    pub fn append(&mut self, link: Link) -> Result<AppendOutcome, ChainError> {
        let next = self.next_seq();
        if link.seq < next {
            return match self.head_at(link.seq) {
                Some(known) if known == link.hash() => Ok(AppendOutcome::Known),
                _ => Err(self.conflict(&link, link.seq)),
            };
        }
        if link.seq > next {
            return Err(ChainError::Gap {
                expected: next,
                found: link.seq,
            });
        }
        if link.party != self.id {
            return Err(ChainError::WrongParty);
        }
        if link.prev != self.head() {
            return Err(self.conflict(&link, self.last_seq()));
        }
        if self.left.is_some() {
            return Err(ChainError::Left);
        }
        if self.links.len() >= limits::CHAIN_LINKS {
            return Err(ChainError::TooMany);
        }
        self.check(&link)?;
        self.apply(&link);
        self.links.push(link);
        Ok(AppendOutcome::Appended)
    }

    /// What a link means that contradicts the one at place `seq`.
    fn conflict(&self, link: &Link, seq: u64) -> ChainError {
        if link.party != self.id {
            return ChainError::WrongParty;
        }
        let before = link.seq.saturating_sub(1);
        let root = self
            .root_at(before)
            .filter(|root| root.root_id() == link.signer)
            .map(|root| root.root);
        let device = self
            .devices
            .get(&DeviceId(link.signer))
            .filter(|device| device.active_at(before))
            .map(|device| device.keys.sign);
        match root.or(device).map(|key| link.verify(&key)) {
            Some(Ok(())) => ChainError::Fork { seq },
            Some(Err(error)) => error.into(),
            None => ChainError::NotAllowed,
        }
    }

    /// The chain in which a root-signed link takes the place of the device-signed one that
    /// stands there, and of everything after it (§2.3: the twelve words outrank every device).
    /// Links that the root signed are never taken away: someone with words that were
    /// replaced since could otherwise undo the replacement.
    ///
    /// # Errors
    /// [`ChainError::Fork`] when the link does not outrank what stands there, or is itself
    /// signed by a device; [`ChainError`] when it would not be valid in that place.
    pub fn outranked_by(&self, link: Link) -> Result<Self, ChainError> {
        let place = usize::try_from(link.seq).unwrap_or(usize::MAX);
        let fork = ChainError::Fork { seq: link.seq };
        let (Some((kept, voided)), 1..) = (self.links.split_at_checked(place), place) else {
            return Err(ChainError::Gap {
                expected: self.next_seq(),
                found: link.seq,
            });
        };
        let by_root = |link: &Link| {
            let root = self.root_at(link.seq.saturating_sub(1));
            root.is_some_and(|root| root.root_id() == link.signer)
        };
        // Before anything that costs: making the chain anew checks every signature in it.
        if !by_root(&link) || voided.iter().any(by_root) {
            return Err(fork);
        }
        let mut chain = Self::from_links(kept.iter().cloned())?;
        chain.append(link)?;
        Ok(chain)
    }

    /// Checks everything about the next link and changes nothing, so that [`Self::apply`]
    /// cannot stop half-way.
    fn check(&self, link: &Link) -> Result<(), ChainError> {
        let by_root = self.check_signer(link)?;
        match &link.body {
            LinkBody::Genesis { .. } => Err(ChainError::Genesis),
            LinkBody::DeviceAdd(device) => {
                allowed(!by_root)?;
                self.check_new_device(device, link, 0)
            }
            LinkBody::DeviceRevoke(cutoff) => {
                allowed(cutoff.device.0 != link.signer && self.active(&cutoff.device).is_some())
            }
            LinkBody::Recover { device, revoked } => {
                let distinct: BTreeSet<_> = revoked.iter().map(|cutoff| cutoff.device).collect();
                let active = distinct.iter().all(|device| self.active(device).is_some());
                allowed(by_root && active && distinct.len() == revoked.len())?;
                self.check_new_device(device, link, revoked.len())
            }
            LinkBody::RootReplace {
                root,
                cosigner,
                cosignature,
            } => {
                // Two devices without the root would need a delay that is shown on all
                // devices; a chain has no clock, so only root and device together count.
                allowed(by_root)?;
                let device = self
                    .active(&DeviceId(*cosigner))
                    .ok_or(ChainError::NotAllowed)?;
                let message = cosign_hash(&self.id, link.seq, &link.prev, root);
                verify(
                    &device.keys.sign,
                    label::LINK_COSIGN,
                    &message,
                    cosignature,
                    "new words",
                )?;
                root.check()?;
                self.check_unused(&root_keys(root))
            }
            LinkBody::Leave(_) => Ok(()),
            LinkBody::Policy { min_version } => {
                allowed(!by_root && *min_version >= self.min_version)
            }
            LinkBody::RevokeAmend(cutoff) => {
                let revocation = self
                    .devices
                    .get(&cutoff.device)
                    .and_then(|device| device.revoked)
                    .ok_or(ChainError::NotAllowed)?;
                let raised = cutoff.counter > revocation.cutoff.counter;
                allowed(!by_root && !revocation.amended && raised)
            }
        }
    }

    /// Does what a checked link says.
    fn apply(&mut self, link: &Link) {
        match &link.body {
            // Only the first link is one, and `start` has read it.
            LinkBody::Genesis { .. } => {}
            LinkBody::DeviceAdd(device) => {
                self.put_device(device.keys, &device.sealed_label, link);
            }
            LinkBody::DeviceRevoke(cutoff) => self.revoke(cutoff, link.seq),
            LinkBody::Recover { device, revoked } => {
                for cutoff in revoked {
                    self.revoke(cutoff, link.seq);
                }
                self.put_device(device.keys, &device.sealed_label, link);
            }
            LinkBody::RootReplace { root, .. } => self.put_root(*root, link.seq),
            LinkBody::Leave(mode) => self.left = Some((link.seq, *mode)),
            LinkBody::Policy { min_version } => self.min_version = *min_version,
            LinkBody::RevokeAmend(cutoff) => {
                let device = self.devices.get_mut(&cutoff.device);
                if let Some(revocation) = device.and_then(|device| device.revoked.as_mut()) {
                    revocation.cutoff = Cutoff {
                        reason: revocation.cutoff.reason,
                        ..*cutoff
                    };
                    revocation.amended = true;
                }
            }
        }
    }

    /// Returns whether the root signed.
    fn check_signer(&self, link: &Link) -> Result<bool, ChainError> {
        if link.signer == self.root().root_id() {
            link.verify(&self.root().root)?;
            return Ok(true);
        }
        let device = self
            .active(&DeviceId(link.signer))
            .ok_or(ChainError::NotAllowed)?;
        link.verify(&device.keys.sign)?;
        Ok(false)
    }

    /// Checks a device that asks to come in while `leaving` active ones go.
    fn check_new_device(
        &self,
        device: &NewDevice,
        link: &Link,
        leaving: usize,
    ) -> Result<(), ChainError> {
        let message = proof_hash(&self.id, link.seq, &link.prev, &device.keys);
        verify(
            &device.keys.sign,
            label::LINK_POP,
            &message,
            &device.proof,
            "proof of a new device",
        )?;
        device.keys.check()?;
        let active = self
            .devices
            .values()
            .filter(|device| device.revoked.is_none())
            .count();
        if active.saturating_sub(leaving) >= limits::ACTIVE_DEVICES
            || self.devices.len() >= limits::DEVICES_EVER
        {
            return Err(ChainError::TooMany);
        }
        self.check_unused(&device_keys(&device.keys))
    }

    /// Checks that no key has a place in this chain, nor twice in `keys`.
    fn check_unused(&self, keys: &[[u8; 32]]) -> Result<(), ChainError> {
        let distinct: BTreeSet<_> = keys.iter().collect();
        if distinct.len() < keys.len() || keys.iter().any(|key| self.keys.contains(key)) {
            Err(ChainError::KeyReuse)
        } else {
            Ok(())
        }
    }

    fn put_device(&mut self, keys: DevicePublic, sealed_label: &[u8], link: &Link) {
        self.keys.extend(device_keys(&keys));
        let device = ChainDevice {
            keys,
            sealed_label: sealed_label.to_vec(),
            added: link.seq,
            added_time_ms: link.claimed_time_ms,
            revoked: None,
        };
        self.devices.insert(keys.id(), device);
    }

    fn put_root(&mut self, root: RootPublic, seq: u64) {
        self.keys.extend(root_keys(&root));
        self.roots.push((seq, root));
    }

    fn revoke(&mut self, cutoff: &Cutoff, seq: u64) {
        if let Some(device) = self.devices.get_mut(&cutoff.device) {
            device.revoked = Some(Revocation {
                seq,
                cutoff: *cutoff,
                amended: false,
            });
        }
    }

    /// Id of the party.
    #[must_use]
    pub fn id(&self) -> PartyId {
        self.id
    }

    /// Hash of the last link.
    #[must_use]
    pub fn head(&self) -> LinkHash {
        self.links.last().map_or(LinkHash::ZERO, Link::hash)
    }

    /// Number of the last link.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.next_seq().saturating_sub(1)
    }

    /// Number the next link must have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.links.len() as u64
    }

    /// Head as it was when the chain ended with link `seq`.
    #[must_use]
    pub fn head_at(&self, seq: u64) -> Option<LinkHash> {
        self.links.get(usize::try_from(seq).ok()?).map(Link::hash)
    }

    /// Sequence number of the link with this hash.
    #[must_use]
    pub fn seq_of(&self, head: &LinkHash) -> Option<u64> {
        self.links
            .iter()
            .rev()
            .find(|link| link.hash() == *head)
            .map(|link| link.seq)
    }

    /// All links, GENESIS first.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Key slot of the twelve words that this party stands on.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// Lowest version the party accepts.
    #[must_use]
    pub fn min_version(&self) -> u16 {
        self.min_version
    }

    /// A device that was ever in the chain.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&ChainDevice> {
        self.devices.get(id)
    }

    /// A device that is active now.
    #[must_use]
    pub fn active(&self, id: &DeviceId) -> Option<&ChainDevice> {
        self.devices
            .get(id)
            .filter(|device| device.revoked.is_none())
    }

    /// All devices ever, by id.
    pub fn devices(&self) -> impl Iterator<Item = (&DeviceId, &ChainDevice)> {
        self.devices.iter()
    }

    /// The device that signed GENESIS.
    #[must_use]
    pub fn first_device(&self) -> Option<&DevicePublic> {
        match self.links.first().map(|link| &link.body) {
            Some(LinkBody::Genesis { device, .. }) => Some(device),
            _ => None,
        }
    }

    /// Root keys in force.
    ///
    /// # Panics
    /// Never: a chain starts with its root keys.
    #[must_use]
    pub fn root(&self) -> &RootPublic {
        self.roots
            .last()
            .map(|(_, root)| root)
            .expect("a chain starts with its root keys")
    }

    /// Root keys in force when the chain ended with link `seq`.
    #[must_use]
    pub fn root_at(&self, seq: u64) -> Option<&RootPublic> {
        self.roots
            .iter()
            .rev()
            .find(|(from, _)| *from <= seq)
            .map(|(_, root)| root)
    }

    /// How the party left, if it had when the chain ended with link `seq`.
    #[must_use]
    pub fn left_at(&self, seq: u64) -> Option<LeaveMode> {
        self.left.filter(|(at, _)| *at <= seq).map(|(_, mode)| mode)
    }

    /// Whether `key` is used by any device or root of this chain.
    #[must_use]
    pub fn uses_key(&self, key: &[u8; 32]) -> bool {
        self.keys.contains(key)
    }

    /// Whether any key stands in both chains.
    #[must_use]
    pub fn shares_key_with(&self, other: &Self) -> bool {
        self.keys.intersection(&other.keys).next().is_some()
    }

    /// Place of the next link, for [`Link::sign`].
    #[must_use]
    pub fn next_place(&self, claimed_time_ms: u64) -> LinkPlace {
        LinkPlace {
            party: self.id,
            seq: self.next_seq(),
            prev: self.head(),
            claimed_time_ms,
        }
    }
}

fn allowed(yes: bool) -> Result<(), ChainError> {
    if yes {
        Ok(())
    } else {
        Err(ChainError::NotAllowed)
    }
}

fn device_keys(keys: &DevicePublic) -> [[u8; 32]; 3] {
    [keys.sign, keys.kem, keys.auth]
}

fn root_keys(keys: &RootPublic) -> [[u8; 32]; 3] {
    [keys.root, keys.login, keys.recovery_kem]
}

/// Place of a GENESIS link, for [`Link::sign`].
#[must_use]
pub fn genesis_place(claimed_time_ms: u64) -> LinkPlace {
    LinkPlace {
        party: PartyId::ZERO,
        seq: 0,
        prev: LinkHash::ZERO,
        claimed_time_ms,
    }
}
