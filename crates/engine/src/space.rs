//! Who is in a space: its genesis, the chains of its parties, and which of them is ours.

use ajar_crypto::DeviceSecrets;
use ajar_protocol::chain::{AppendOutcome, ChainDevice, ChainError};
use ajar_protocol::genesis::{SpaceKind, membership_head, membership_seqs};
use ajar_protocol::link::{Link, LinkBody};
use ajar_protocol::{DeviceId, PartyChain, PartyId, SpaceGenesis, SpaceId};

use crate::error::EngineError;

pub(crate) struct Space {
    pub(crate) genesis: SpaceGenesis,
    pub(crate) id: SpaceId,
    /// In the order of the genesis.
    pub(crate) chains: Vec<PartyChain>,
    /// Place of our own party.
    pub(crate) place: usize,
    pub(crate) device: DeviceId,
    pub(crate) secrets: DeviceSecrets,
}

/// What the author of an envelope knew of the membership.
pub(crate) enum View {
    /// These links.
    Links(Vec<u64>),
    /// Links that have not arrived.
    Early,
    /// Links that never were.
    Wrong,
}

/// Number of the first link that the twelve words signed. Every other one is signed by a device
/// of the chain.
fn root_seq(chain: &PartyChain) -> Option<u64> {
    let by_root = |link: &&Link| chain.device(&DeviceId(link.signer)).is_none();
    chain.links().iter().find(by_root).map(|link| link.seq)
}

impl Space {
    /// `place` is that of our own party, if it is known: it counts when this device is in no
    /// chain any more.
    pub(crate) fn new(
        genesis: SpaceGenesis,
        chains: Vec<PartyChain>,
        secrets: DeviceSecrets,
        place: Option<u8>,
    ) -> Result<Self, EngineError> {
        genesis
            .verify(&chains.iter().collect::<Vec<_>>())
            .map_err(|_| EngineError::Damaged("the genesis of a space"))?;
        let device = secrets.id();
        let place = chains
            .iter()
            .position(|chain| chain.device(&device).is_some())
            .or(place.map(usize::from))
            .filter(|place| *place < chains.len())
            .ok_or(EngineError::Damaged(
                "this device is in no chain of the space",
            ))?;
        let id = genesis.id();
        Ok(Self {
            genesis,
            id,
            chains,
            place,
            device,
            secrets,
        })
    }

    pub(crate) fn kind(&self) -> SpaceKind {
        self.genesis.kind()
    }

    pub(crate) fn own_party(&self) -> PartyId {
        self.chains
            .get(self.place)
            .map_or(PartyId::ZERO, PartyChain::id)
    }

    pub(crate) fn partner(&self) -> Option<PartyId> {
        self.chains.get(1 - self.place.min(1)).map(PartyChain::id)
    }

    /// Place of the party of a device, and what its chain says of it.
    pub(crate) fn device(&self, id: &DeviceId) -> Option<(usize, &ChainDevice)> {
        self.chains
            .iter()
            .enumerate()
            .find_map(|(place, chain)| chain.device(id).map(|device| (place, device)))
    }

    pub(crate) fn party_of(&self, place: usize) -> PartyId {
        self.chains.get(place).map_or(PartyId::ZERO, PartyChain::id)
    }

    /// Numbers of the last links.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.chains.iter().map(PartyChain::last_seq).collect()
    }

    fn refs(&self) -> Vec<&PartyChain> {
        self.chains.iter().collect()
    }

    /// Our membership view.
    pub(crate) fn mhead(&self) -> Result<[u8; 32], EngineError> {
        membership_head(&self.refs(), &self.seqs()).ok_or(EngineError::Bug("membership head"))
    }

    /// The view behind a membership head, of an author of the party at `place`.
    ///
    /// A head that does not fit these chains may name links that the twelve words took away
    /// since. Its author is then taken to know as little as it may have known: the link that
    /// added it, and the other party's first. It could have named that itself, so nobody gains
    /// anything, and nothing that an honest device wrote is refused.
    pub(crate) fn view(&self, mhead: &[u8; 32], place: usize, author: &ChainDevice) -> View {
        match self.seqs_of(mhead) {
            Ok(Some(seqs)) => View::Links(seqs),
            _ if self.may_be_voided(mhead) => {
                let mut seqs = vec![0; self.chains.len()];
                if let Some(own) = seqs.get_mut(place) {
                    *own = author.added;
                }
                View::Links(seqs)
            }
            Ok(None) => View::Early,
            Err(()) => View::Wrong,
        }
    }

    /// Whether a membership head may name links that a link of the twelve words voided: such a
    /// link stands at one of the two places or before it.
    fn may_be_voided(&self, mhead: &[u8; 32]) -> bool {
        let (lower, higher) = membership_seqs(mhead);
        if self.chains.len() < 2 && higher != 0 {
            return false;
        }
        let mut named = self.chains.iter().zip([lower, higher]);
        named.any(|(chain, seq)| root_seq(chain).is_some_and(|root| root <= seq))
    }

    /// Whether the twelve words signed any link, so that they may have voided others.
    pub(crate) fn has_root_link(&self) -> bool {
        self.chains.iter().any(|chain| root_seq(chain).is_some())
    }

    /// Whether the twelve words took this device out of its chain.
    pub(crate) fn is_outside(&self) -> bool {
        self.device(&self.device).is_none()
    }

    /// Sequence numbers behind a membership head: `Ok(None)` when a chain here is shorter.
    ///
    /// # Errors
    /// When the head is not that of these chains.
    fn seqs_of(&self, mhead: &[u8; 32]) -> Result<Option<Vec<u64>>, ()> {
        let (lower, higher) = membership_seqs(mhead);
        let seqs: Vec<u64> = [lower, higher]
            .into_iter()
            .take(self.chains.len())
            .collect();
        if self.chains.len() < 2 && higher != 0 {
            return Err(());
        }
        match membership_head(&self.refs(), &seqs) {
            None => Ok(None),
            Some(ours) if ours == *mhead => Ok(Some(seqs)),
            Some(_) => Err(()),
        }
    }

    /// Recipients that an epoch at these links must have.
    pub(crate) fn recipients(&self, seqs: &[u64]) -> Option<Vec<ajar_protocol::epoch::Recipient>> {
        ajar_protocol::epoch::recipients(&self.refs(), seqs)
    }

    /// Devices revoked at or before the given links.
    pub(crate) fn revoked_at(&self, seqs: &[u64]) -> Vec<DeviceId> {
        let mut revoked = Vec::new();
        for (chain, seq) in self.chains.iter().zip(seqs) {
            for (id, device) in chain.devices() {
                if device
                    .revoked
                    .is_some_and(|revocation| revocation.seq <= *seq)
                {
                    revoked.push(*id);
                }
            }
        }
        revoked
    }

    /// Whether a party recovered with its twelve words after the given links.
    pub(crate) fn recovered_since(&self, seqs: &[u64]) -> bool {
        let mut chains = self.chains.iter().zip(seqs);
        chains.any(|(chain, seq)| {
            let mut later = chain.links().iter().filter(|link| link.seq > *seq);
            later.any(|link| matches!(link.body, LinkBody::Recover { .. }))
        })
    }

    /// Whether an envelope lies beyond the cut-off of its author.
    pub(crate) fn is_cut_off(&self, device: &DeviceId, counter: u64) -> bool {
        self.cutoff_of(device)
            .is_some_and(|cutoff| counter > cutoff)
    }

    /// Counter of the last envelope of a removed device that counts.
    pub(crate) fn cutoff_of(&self, device: &DeviceId) -> Option<u64> {
        let revoked = self.device(device).and_then(|(_, device)| device.revoked);
        revoked.map(|revocation| revocation.cutoff.counter)
    }

    /// Whether any device was ever removed, by a link or by taking away the one that added it.
    pub(crate) fn has_removed(&self) -> bool {
        let mut devices = self.chains.iter().flat_map(PartyChain::devices);
        devices.any(|(_, device)| device.revoked.is_some()) || self.has_root_link()
    }

    /// Checks a link as [`Self::append`] does, and changes nothing.
    pub(crate) fn check(&self, link: &Link) -> Result<(), ChainError> {
        let place = self.place_for(link)?;
        let chain = self.chains.get(place).ok_or(ChainError::WrongParty)?;
        chain.clone().append(link.clone()).map(drop)
    }

    /// Appends a link to the chain that it names.
    pub(crate) fn append(&mut self, link: Link) -> Result<(usize, AppendOutcome), ChainError> {
        let place = self.place_for(&link)?;
        let chain = self.chains.get_mut(place).ok_or(ChainError::WrongParty)?;
        chain.append(link).map(|outcome| (place, outcome))
    }

    /// Place and chain that a link of the twelve words leaves, which voids what stands where it
    /// belongs and after.
    ///
    /// # Errors
    /// As [`PartyChain::outranked_by`].
    pub(crate) fn outranked_by(&self, link: Link) -> Result<(usize, PartyChain), ChainError> {
        let place = self.place_for(&link)?;
        let chain = self.chains.get(place).ok_or(ChainError::WrongParty)?;
        Ok((place, chain.outranked_by(link)?))
    }

    /// Whether a link of a device contradicts one of the twelve words, on the same ground: it
    /// is void, whoever still has it.
    pub(crate) fn is_void(&self, link: &Link) -> bool {
        let of = |chain: &&PartyChain| chain.id() == link.party;
        let (Some(chain), Some(before)) = (self.chains.iter().find(of), link.seq.checked_sub(1))
        else {
            return false;
        };
        let root = chain.root_at(before).map(|root| root.root_id());
        let ours = usize::try_from(link.seq)
            .ok()
            .and_then(|place| chain.links().get(place));
        chain.head_at(before) == Some(link.prev)
            && ours.is_some_and(|ours| Some(ours.signer) == root)
            && Some(link.signer) != root
    }

    /// Whether the twelve words have decided against a link: one that they signed stands at its
    /// place or after it, and everything before that stays. They say nothing against what
    /// they signed themselves.
    pub(crate) fn is_decided(&self, link: &Link) -> bool {
        let of = |chain: &&PartyChain| chain.id() == link.party;
        let Some(chain) = self.chains.iter().find(of) else {
            return false;
        };
        let by_root = |ours: &&Link| chain.device(&DeviceId(ours.signer)).is_none();
        let last = chain.links().iter().rev().find(by_root);
        last.is_some_and(|ours| ours.seq >= link.seq && ours.signer != link.signer)
    }

    pub(crate) fn place_for(&self, link: &Link) -> Result<usize, ChainError> {
        let place = self
            .chains
            .iter()
            .position(|chain| {
                if link.seq == 0 {
                    chain.head_at(0) == Some(link.hash())
                } else {
                    chain.id() == link.party
                }
            })
            .ok_or(ChainError::WrongParty)?;
        // No key may stand in both chains (§2.3, rule 3).
        if let (LinkBody::DeviceAdd(device) | LinkBody::Recover { device, .. }, Some(other)) = (
            &link.body,
            self.chains
                .get(1 - place.min(1))
                .filter(|_| self.chains.len() == 2),
        ) && [device.keys.sign, device.keys.kem, device.keys.auth]
            .iter()
            .any(|key| other.uses_key(key))
        {
            return Err(ChainError::KeyReuse);
        }
        Ok(place)
    }
}
