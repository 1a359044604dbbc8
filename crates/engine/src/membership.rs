//! Own devices: what a new one is asked for and given, and the key change that goes with it
//! (protocol §2.3, §2.9 *Own device*). Links are proposed in [`crate::Replica`]'s
//! `propose_…`.

use ajar_crypto::{DeviceSecrets, Entropy, EpochKey, Secret};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::{DevicePublic, Link, RootPublic, proof_hash};
use ajar_protocol::{
    DeviceId, Envelope, EpochId, Frontier, LinkHash, PartyChain, PartyId, SpaceGenesis, SpaceId,
    limits,
};
use zeroize::Zeroizing;

use crate::clock::Now;
use crate::error::EngineError;
use crate::output::Outputs;
use crate::pairing::FoundError;
use crate::replica::{NewSpace, Replica};
use crate::store::Store;

/// Epoch keys that a new device is given at once. The history of the epoch that is made for
/// it has the others; a pairing channel has little room.
const PACKED_KEYS: usize = 64;
/// Bytes of the partner's links that a new device is given; the relay has the others. A partner
/// could otherwise make so many that no device can ever be added here.
const PACKED_LINKS: usize = 16 << 10;
/// Version of what a new device is given.
const PACK: u8 = 2;

/// The place in a chain that a new device is to take: what it must sign to prove its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOffer {
    /// Private or shared.
    pub kind: SpaceKind,
    /// The space.
    pub space: SpaceId,
    party: PartyId,
    seq: u64,
    prev: LinkHash,
}

impl LinkOffer {
    /// `u8 kind | space 32 | party 32 | seq u64 | prev 32`
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(105);
        out.u8(self.kind as u8)
            .raw(&self.space.0)
            .raw(&self.party.0);
        out.u64(self.seq).raw(&self.prev.0);
        out.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = match reader.u8()? {
            1 => SpaceKind::Private,
            2 => SpaceKind::Shared,
            _ => return Err(Malformed::Kind("kind of a space")),
        };
        Ok(Self {
            kind,
            space: SpaceId(reader.array()?),
            party: PartyId(reader.array()?),
            seq: reader.u64()?,
            prev: LinkHash(reader.array()?),
        })
    }
}

/// What a new device answers to a [`LinkOffer`]: its keys, and the proof that it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRequest {
    /// Public keys of the new device.
    pub keys: DevicePublic,
    pub(crate) proof: [u8; 64],
}

impl LinkRequest {
    /// `sign 32 | kem 32 | auth 32 | proof 64`
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(160);
        out.raw(&self.keys.sign)
            .raw(&self.keys.kem)
            .raw(&self.keys.auth)
            .raw(&self.proof);
        out.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let keys = DevicePublic {
            sign: reader.array()?,
            kem: reader.array()?,
            auth: reader.array()?,
        };
        keys.check()?;
        Ok(Self {
            keys,
            proof: reader.array()?,
        })
    }
}

/// The new device's side of one space, until it is given the space.
pub struct NewHalf {
    offer: LinkOffer,
    secrets: DeviceSecrets,
}

impl NewHalf {
    /// Draws the keys of a new device for an offered place.
    ///
    /// # Errors
    /// [`EngineError::Entropy`].
    pub fn new(entropy: &mut dyn Entropy, offer: LinkOffer) -> Result<Self, EngineError> {
        Ok(Self {
            offer,
            secrets: DeviceSecrets::generate(entropy)?,
        })
    }

    /// Which space it is for.
    #[must_use]
    pub fn kind(&self) -> SpaceKind {
        self.offer.kind
    }

    /// Keys and proof.
    #[must_use]
    pub fn request(&self) -> LinkRequest {
        let keys = self.secrets.public();
        let LinkOffer {
            party, seq, prev, ..
        } = self.offer;
        let proof = self
            .secrets
            .sign_proof(&proof_hash(&party, seq, &prev, &keys));
        LinkRequest { keys, proof }
    }

    /// Takes the space that the old device hands over, after checking that it is the offered
    /// one and that this device is in it.
    ///
    /// # Errors
    /// [`FoundError`].
    pub fn take(self, pack: &[u8]) -> Result<NewSpace, FoundError> {
        let offer = self.offer;
        let space = unpack(pack, self.secrets)?;
        let device = space.secrets.id();
        let before = offer.seq.checked_sub(1);
        // The chain that goes on from the offered place, with this device in it.
        let ours = space.chains.iter().any(|chain| {
            chain.id() == offer.party
                && chain.active(&device).is_some()
                && before.and_then(|seq| chain.head_at(seq)) == Some(offer.prev)
        });
        if !ours || space.genesis.id() != offer.space || space.genesis.kind() != offer.kind {
            return Err(FoundError::Chain);
        }
        Ok(space)
    }
}

fn unpack(pack: &[u8], secrets: DeviceSecrets) -> Result<NewSpace, FoundError> {
    const WHAT: &str = "space for a new device";
    let mut reader = Reader::new(pack, WHAT);
    if reader.u8()? != PACK {
        return Err(Malformed::Version(WHAT).into());
    }
    let genesis = SpaceGenesis::parse(reader.bytes16(1024)?)?;
    let mut chains: Vec<PartyChain> = Vec::new();
    for _ in genesis.parties() {
        let mut links = Vec::new();
        for _ in 0..reader.u16()? {
            links.push(Link::parse(reader.bytes16(limits::LINK)?)?);
        }
        chains.push(PartyChain::from_links(links).map_err(|_| FoundError::Chain)?);
    }
    genesis.verify(&chains.iter().collect::<Vec<_>>())?;
    let promised = Frontier::decode(&mut reader)?;
    let mut epoch_keys = Vec::new();
    for _ in 0..reader.u16()? {
        let id = EpochId(reader.array()?);
        epoch_keys.push((id, EpochKey::new(Secret::new(reader.array()?))));
    }
    let mut permits = Vec::new();
    for _ in 0..reader.u8()? {
        permits.push((reader.array()?, reader.array()?));
    }
    let mut epochs_beyond = Vec::new();
    for _ in 0..reader.u16()? {
        epochs_beyond.push(Envelope::parse(reader.bytes32(limits::ENVELOPE)?)?);
    }
    reader.finish()?;
    Ok(NewSpace {
        genesis,
        chains,
        secrets,
        epoch_keys,
        promised,
        permits,
        epochs_beyond,
    })
}

impl<S: Store> Replica<S> {
    /// The place that a new device of ours would take now.
    #[must_use]
    pub fn link_offer(&self) -> LinkOffer {
        let chain = self.space.chains.get(self.space.place);
        LinkOffer {
            kind: self.space.kind(),
            space: self.space.id,
            party: self.space.own_party(),
            seq: chain.map_or(0, PartyChain::next_seq),
            prev: chain.map_or(LinkHash::ZERO, PartyChain::head),
        }
    }

    /// Makes a new epoch if there is none that exactly those who should read now can open, or
    /// if that one has served for 90 days or 2^20 envelopes, and sends it. Writing does the
    /// same; time alone never does, since an envelope that nobody asked for would tell when a
    /// device is awake.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn rotate(&mut self, now: Now, entropy: &mut dyn Entropy) -> Result<Outputs, EngineError> {
        if self.may_write().is_err() {
            return Ok(Outputs::default());
        }
        let rotated = self.ensure_epoch(now, entropy);
        if rotated.is_err() {
            self.reread()?;
        }
        rotated?;
        let events = self.commit()?;
        Ok(Outputs {
            send: self.pump()?,
            events,
        })
    }

    /// Everything that a new device needs to be a replica of this space: genesis, chains, how
    /// far we are, the epoch keys, the permits of relays, and the epochs from beyond a cut-off
    /// that something honest was written under, which a relay may not have. It holds keys: it
    /// travels only through a pairing channel.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn pack(&mut self) -> Result<Zeroizing<Vec<u8>>, EngineError> {
        let epochs_beyond = self.epochs_beyond()?;
        let mut keys = self.epochs.history(&self.space);
        keys.truncate(PACKED_KEYS);
        let mut out = Writer::with_capacity(64 << 10);
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        out.u8(PACK).bytes16(&self.space.genesis.encode());
        for (place, chain) in self.space.chains.iter().enumerate() {
            let mut room = match place == self.space.place {
                true => usize::MAX,
                false => PACKED_LINKS,
            };
            let fits = |link: &&Link| {
                let left = room.checked_sub(link.as_bytes().len());
                room = left.unwrap_or(0);
                left.is_some()
            };
            let links: Vec<&Link> = chain.links().iter().take_while(fits).collect();
            out.u16(count(links.len()));
            for link in links {
                out.bytes16(link.as_bytes());
            }
        }
        self.progress.frontier.encode(&mut out);
        out.u16(count(keys.len()));
        for (id, key) in &keys {
            out.raw(&id.0).raw(key.expose());
        }
        let permits = self.meta.permits.iter().take(8);
        out.u8(u8::try_from(self.meta.permits.len().min(8)).unwrap_or(0));
        for (relay, permit) in permits {
            out.raw(relay).raw(permit);
        }
        out.u16(count(epochs_beyond.len()));
        for envelope in &epochs_beyond {
            out.bytes32(envelope.as_bytes());
        }
        Ok(Zeroizing::new(out.finish()))
    }

    /// Whether this device was removed from its party: it may read, and nothing else.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        !self.is_active(&self.space.device)
    }

    /// Whether one of the parties has left: nobody writes any more, reading stays.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut chains = self.space.chains.iter();
        chains.any(|chain| chain.left_at(chain.last_seq()).is_some())
    }

    /// Root keys of our own party in force: the public half of its twelve words.
    ///
    /// # Panics
    /// Never: a replica is of a space in which its party has a chain.
    #[must_use]
    pub fn root(&self) -> RootPublic {
        *self.own_chain().root()
    }

    /// Key slot of the twelve words that our own party stands on, 0 to 8.
    ///
    /// # Panics
    /// Never: a replica is of a space in which its party has a chain.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.own_chain().slot()
    }

    /// Chain of our own party, as far as it is known here.
    ///
    /// # Panics
    /// Never: a replica is of a space in which its party has a chain.
    #[must_use]
    pub fn own_chain(&self) -> &PartyChain {
        let chain = self.space.chains.get(self.space.place);
        chain.expect("a replica is of a space in which its party has a chain")
    }

    /// Whether a device of either party may read and write.
    #[must_use]
    pub fn is_active(&self, device: &DeviceId) -> bool {
        self.space
            .device(device)
            .is_some_and(|(_, device)| device.revoked.is_none())
    }
}
