//! Founding spaces: the private one alone, the shared one with a partner over a pairing
//! channel (protocol §2.9, *Partner*). Pure: bytes in, bytes out.
//!
//! Messages of the partner pairing, each the plaintext of one message of the channel:
//!
//! ```text
//! both  offer     u8 1 | random 16 | link u16+… | name u8+… | u8 claim? { 16 }
//! both  signature u8 2 | signature 64
//! both  verdict   u8 3 | u8 (1 we see the same words, 0 we do not)
//! shower first    u8 4 | first epoch u32+…
//! ```

use ajar_crypto::words::safety_words;
use ajar_crypto::{DeviceSecrets, Entropy, SlotPublic};
use ajar_protocol::chain::genesis_place;
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::genesis::{Founder, GenesisBody};
use ajar_protocol::link::{Link, LinkBody};
use ajar_protocol::{Frontier, PartyChain, SpaceGenesis, limits};
use thiserror::Error;

use crate::clock::Now;
use crate::error::EngineError;
use crate::replica::{NewSpace, Replica};
use crate::store::Store;

/// Longest name of a person, in bytes.
pub const NAME: usize = 255;

/// Why founding a space failed. The code is used up in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FoundError {
    /// The other side sent what no honest one sends.
    #[error(
        "the other device sent something that Ajar does not understand; try again with a new code, both with the newest Ajar"
    )]
    Malformed(#[from] Malformed),
    /// The other side's party chain is not sound.
    #[error("the other device's keys are not sound; nothing was paired")]
    Chain,
    /// A person saw other words.
    #[error(
        "the words were not the same on both screens, so nothing was paired; try again with a new code"
    )]
    WordsDiffer,
    /// Our own side.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// One's own half of a space: keys and the GENESIS link.
pub struct OwnHalf {
    secrets: DeviceSecrets,
    chain: PartyChain,
    founder: Founder,
}

impl OwnHalf {
    /// Draws device keys and signs the GENESIS link of a party on a slot of the twelve words.
    ///
    /// # Errors
    /// [`EngineError::Entropy`].
    pub fn new(
        now: Now,
        entropy: &mut dyn Entropy,
        slot: &SlotPublic,
    ) -> Result<Self, EngineError> {
        let secrets = DeviceSecrets::generate(entropy)?;
        let mut random = [0; 16];
        entropy.fill(&mut random)?;
        let device = secrets.public();
        let body = LinkBody::Genesis {
            slot: slot.slot,
            root: slot.root,
            device,
            random,
        };
        let place = genesis_place(u64::try_from(now.wall_ms).unwrap_or(0));
        let link = Link::sign(place, body, device.id().0, secrets.signing_key());
        let chain =
            PartyChain::start(link).map_err(|_| EngineError::Bug("own GENESIS is not valid"))?;
        let mut random = [0; 16];
        entropy.fill(&mut random)?;
        let founder = Founder {
            party: chain.id(),
            random,
        };
        Ok(Self {
            secrets,
            chain,
            founder,
        })
    }

    /// Founds a private space.
    ///
    /// # Errors
    /// [`EngineError::Bug`].
    pub fn found_private(self) -> Result<NewSpace, EngineError> {
        let body = GenesisBody::private(self.founder);
        let signature = body.sign(self.secrets.signing_key());
        let genesis = SpaceGenesis::new(body, vec![signature])
            .map_err(|_| EngineError::Bug("a private genesis"))?;
        Ok(new_space(genesis, vec![self.chain], self.secrets))
    }

    /// The offer to the partner, with the name to be shown there and, if the partner may use
    /// it, the claim of our relay.
    #[must_use]
    pub fn offer(&self, name: &str, claim: Option<[u8; 16]>) -> Vec<u8> {
        let mut out = Writer::default();
        let link = self
            .chain
            .links()
            .first()
            .map(Link::as_bytes)
            .unwrap_or_default();
        let name = cut(name);
        out.u8(1).raw(&self.founder.random).bytes16(link);
        out.u8(u8::try_from(name.len()).unwrap_or(0))
            .raw(name.as_bytes());
        match claim {
            Some(claim) => out.u8(1).raw(&claim),
            None => out.u8(0),
        };
        out.finish()
    }

    /// Takes the partner's offer; returns the signature to send.
    ///
    /// # Errors
    /// [`FoundError`].
    pub fn meet(self, offer: &[u8]) -> Result<(Met, Vec<u8>), FoundError> {
        let mut reader = Reader::new(offer, "offer of the partner");
        tag(&mut reader, 1)?;
        let random = reader.array()?;
        let link = Link::parse(reader.bytes16(limits::LINK)?)?;
        let length = usize::from(reader.u8()?);
        let name = std::str::from_utf8(reader.take(length)?)
            .map_err(|_| Malformed::Value("name of the partner"))?
            .to_owned();
        let claim = match reader.u8()? {
            0 => None,
            1 => Some(reader.array()?),
            _ => return Err(Malformed::Value("claim").into()),
        };
        reader.finish()?;
        let partner = PartyChain::start(link).map_err(|_| FoundError::Chain)?;
        if partner.shares_key_with(&self.chain) {
            return Err(FoundError::Chain);
        }
        let founder = Founder {
            party: partner.id(),
            random,
        };
        let body = GenesisBody::shared(self.founder, founder)?;
        let signature = body.sign(self.secrets.signing_key());
        let mut out = Writer::default();
        out.u8(2).raw(&signature);
        Ok((
            Met {
                own: self,
                partner,
                body,
                signature,
                name,
                claim,
            },
            out.finish(),
        ))
    }
}

/// A space that begins here, with nothing in it.
fn new_space(genesis: SpaceGenesis, chains: Vec<PartyChain>, secrets: DeviceSecrets) -> NewSpace {
    NewSpace {
        genesis,
        chains,
        secrets,
        epoch_keys: Vec::new(),
        promised: Frontier::default(),
        permits: Vec::new(),
        epochs_beyond: Vec::new(),
    }
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

fn tag(reader: &mut Reader<'_>, expected: u8) -> Result<(), Malformed> {
    if reader.u8()? == expected {
        Ok(())
    } else {
        Err(Malformed::Kind("pairing message"))
    }
}

/// Both halves are known; the signatures are not yet exchanged.
pub struct Met {
    own: OwnHalf,
    partner: PartyChain,
    body: GenesisBody,
    signature: [u8; 64],
    name: String,
    claim: Option<[u8; 16]>,
}

impl Met {
    /// Name that the partner goes by.
    #[must_use]
    pub fn partner_name(&self) -> &str {
        &self.name
    }

    /// Claim for the relay that the partner passed on.
    #[must_use]
    pub fn claim(&self) -> Option<[u8; 16]> {
        self.claim
    }

    /// Takes the partner's signature.
    ///
    /// # Errors
    /// [`FoundError`].
    pub fn sign(self, message: &[u8]) -> Result<Agreed, FoundError> {
        let mut reader = Reader::new(message, "signature of the partner");
        tag(&mut reader, 2)?;
        let theirs = reader.array()?;
        reader.finish()?;
        let we_are_lower = self.own.chain.id() < self.partner.id();
        let own_chain = self.own.chain;
        let (signatures, chains) = if we_are_lower {
            (vec![self.signature, theirs], vec![own_chain, self.partner])
        } else {
            (vec![theirs, self.signature], vec![self.partner, own_chain])
        };
        let genesis = SpaceGenesis::new(self.body, signatures)?;
        genesis.verify(&chains.iter().collect::<Vec<_>>())?;
        Ok(Agreed {
            space: new_space(genesis, chains, self.own.secrets),
        })
    }
}

/// The genesis is signed by both; the people have not compared the words.
pub struct Agreed {
    space: NewSpace,
}

/// Message that says whether the person here saw the same words.
#[must_use]
pub fn verdict(same: bool) -> Vec<u8> {
    vec![3, u8::from(same)]
}

impl Agreed {
    /// The six words that both people must see.
    #[must_use]
    pub fn words(&self) -> [&'static str; 6] {
        let mut parties = self.space.genesis.parties().into_iter();
        let lower = parties.next().unwrap_or(ajar_protocol::PartyId::ZERO);
        let higher = parties.next().unwrap_or(ajar_protocol::PartyId::ZERO);
        safety_words(&self.space.genesis.id(), &lower, &higher)
    }

    /// Takes the partner's verdict; gives the space to create.
    ///
    /// # Errors
    /// [`FoundError::WordsDiffer`] when the partner saw other words.
    pub fn confirmed(self, message: &[u8]) -> Result<NewSpace, FoundError> {
        match message {
            [3, 1] => Ok(self.space),
            [3, 0] => Err(FoundError::WordsDiffer),
            _ => Err(Malformed::Value("verdict of the partner").into()),
        }
    }
}

/// The first epoch as a message, made by the side that showed the code, so that both can
/// write at once, online or not.
///
/// # Errors
/// [`EngineError`].
pub fn first_epoch<S: Store>(
    replica: &mut Replica<S>,
    now: Now,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, EngineError> {
    let envelope = replica.make_epoch(now, entropy)?;
    let mut out = Writer::default();
    out.u8(4).bytes32(&envelope);
    Ok(out.finish())
}

/// Takes the first epoch.
///
/// # Errors
/// [`FoundError`].
pub fn take_first_epoch<S: Store>(
    replica: &mut Replica<S>,
    now: Now,
    message: &[u8],
) -> Result<(), FoundError> {
    let mut reader = Reader::new(message, "first epoch");
    tag(&mut reader, 4)?;
    let envelope = reader.bytes32(limits::ENVELOPE)?;
    reader.finish()?;
    replica.take_first_epoch(now, envelope)?;
    Ok(())
}
