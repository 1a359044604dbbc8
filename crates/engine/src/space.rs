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

impl Space {
    pub(crate) fn new(
        genesis: SpaceGenesis,
        chains: Vec<PartyChain>,
        secrets: DeviceSecrets,
    ) -> Result<Self, EngineError> {
        genesis
            .verify(&chains.iter().collect::<Vec<_>>())
            .map_err(|_| EngineError::Damaged("the genesis of a space"))?;
        let device = secrets.id();
        let place = chains
            .iter()
            .position(|chain| chain.device(&device).is_some())
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

    /// Sequence numbers behind a membership head: `Ok(None)` when a chain here is shorter.
    ///
    /// # Errors
    /// When the head is not that of these chains.
    pub(crate) fn seqs_of(&self, mhead: &[u8; 32]) -> Result<Option<Vec<u64>>, ()> {
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

    /// Whether any device was ever removed.
    pub(crate) fn has_removed(&self) -> bool {
        let mut devices = self.chains.iter().flat_map(PartyChain::devices);
        devices.any(|(_, device)| device.revoked.is_some())
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

    fn place_for(&self, link: &Link) -> Result<usize, ChainError> {
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
