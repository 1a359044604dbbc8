//! Space genesis: names the one or two parties of a space, for ever (protocol §2.3).
//!
//! ```text
//!  0   1  version = 1
//!  1   1  kind: 1 private, 2 shared
//!  2   2  flags = 0
//!  4  32  party, the lower id
//! 36  32  party, the higher id (zero if private)
//! 68  16  random of the lower party
//! 84  16  random of the higher party (zero if private)
//! 100 64  signature of the lower party's first device over the space id
//! 164 64  signature of the higher party's first device (absent if private)
//! ```

use ed25519_dalek::{Signer, SigningKey};

use crate::chain::PartyChain;
use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{PartyId, SpaceId, hash};
use crate::link::{signed_message, verify};
use crate::{label, version};

const WHAT: &str = "space genesis";
const UNSIGNED: usize = 100;

/// Private or shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SpaceKind {
    /// One party: *Only me*.
    Private = 1,
    /// Two parties: *Us*.
    Shared = 2,
}

/// One party's side of a genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Founder {
    /// The party.
    pub party: PartyId,
    /// Its random bytes.
    pub random: [u8; 16],
}

/// The unsigned content of a genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisBody {
    kind: SpaceKind,
    lower: Founder,
    higher: Founder,
}

impl GenesisBody {
    /// A private space.
    #[must_use]
    pub fn private(founder: Founder) -> Self {
        let nobody = Founder {
            party: PartyId::ZERO,
            random: [0; 16],
        };
        Self {
            kind: SpaceKind::Private,
            lower: founder,
            higher: nobody,
        }
    }

    /// A shared space of two different parties, in either order.
    ///
    /// # Errors
    /// [`Malformed::Value`] when both are the same party.
    pub fn shared(one: Founder, other: Founder) -> Result<Self, Malformed> {
        if one.party == other.party {
            return Err(Malformed::Value(WHAT));
        }
        let (lower, higher) = if one.party < other.party {
            (one, other)
        } else {
            (other, one)
        };
        Ok(Self {
            kind: SpaceKind::Shared,
            lower,
            higher,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(UNSIGNED);
        out.u8(version::OBJECT).u8(self.kind as u8).u16(0);
        out.raw(&self.lower.party.0).raw(&self.higher.party.0);
        out.raw(&self.lower.random).raw(&self.higher.random);
        out.finish()
    }

    /// Id of the space.
    #[must_use]
    pub fn space_id(&self) -> SpaceId {
        SpaceId(hash(label::SPACE_ID, &[&self.encode()]))
    }

    /// Signature of a first device, with `Sign(sk, "ajar/v1/space-sig", space id)`.
    #[must_use]
    pub fn sign(&self, first_device: &SigningKey) -> [u8; 64] {
        first_device
            .sign(&signed_message(label::SPACE_SIG, &self.space_id().0))
            .to_bytes()
    }

    /// Private or shared.
    #[must_use]
    pub fn kind(&self) -> SpaceKind {
        self.kind
    }

    /// Both parties, lower first; one when private.
    #[must_use]
    pub fn parties(&self) -> Vec<PartyId> {
        match self.kind {
            SpaceKind::Private => vec![self.lower.party],
            SpaceKind::Shared => vec![self.lower.party, self.higher.party],
        }
    }
}

/// A signed genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceGenesis {
    body: GenesisBody,
    signatures: Vec<[u8; 64]>,
}

impl SpaceGenesis {
    /// Joins a body with the signatures of its parties, lower party first.
    ///
    /// # Errors
    /// [`Malformed::Value`] when their number is wrong.
    pub fn new(body: GenesisBody, signatures: Vec<[u8; 64]>) -> Result<Self, Malformed> {
        if signatures.len() == body.parties().len() {
            Ok(Self { body, signatures })
        } else {
            Err(Malformed::Value(WHAT))
        }
    }

    /// Parses a genesis; [`Self::verify`] checks the signatures.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != version::OBJECT {
            return Err(Malformed::Version(WHAT));
        }
        let kind = match reader.u8()? {
            1 => SpaceKind::Private,
            2 => SpaceKind::Shared,
            _ => return Err(Malformed::Kind(WHAT)),
        };
        if reader.u16()? != 0 {
            return Err(Malformed::Reserved(WHAT));
        }
        let (one, other) = (PartyId(reader.array()?), PartyId(reader.array()?));
        let (random_one, random_other) = (reader.array()?, reader.array()?);
        let lower = Founder {
            party: one,
            random: random_one,
        };
        let higher = Founder {
            party: other,
            random: random_other,
        };
        let ordered = match kind {
            SpaceKind::Private => {
                higher
                    == Founder {
                        party: PartyId::ZERO,
                        random: [0; 16],
                    }
            }
            SpaceKind::Shared => one < other,
        };
        if !ordered {
            return Err(Malformed::Order(WHAT));
        }
        let body = GenesisBody {
            kind,
            lower,
            higher,
        };
        let mut signatures = Vec::with_capacity(2);
        for _ in body.parties() {
            signatures.push(reader.array()?);
        }
        reader.finish()?;
        Ok(Self { body, signatures })
    }

    /// The genesis with its signatures, as sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.body.encode();
        for signature in &self.signatures {
            out.extend_from_slice(signature);
        }
        out
    }

    /// Checks that `chains` are the named parties, in order, that their first devices signed,
    /// and that no key stands in both chains.
    ///
    /// # Errors
    /// [`Malformed::Value`], [`Malformed::Key`] or [`Malformed::Signature`].
    pub fn verify(&self, chains: &[&PartyChain]) -> Result<(), Malformed> {
        let ids: Vec<PartyId> = chains.iter().map(|chain| chain.id()).collect();
        if ids != self.body.parties() {
            return Err(Malformed::Value(WHAT));
        }
        let space = self.id();
        for (chain, signature) in chains.iter().zip(&self.signatures) {
            let first = chain.first_device().ok_or(Malformed::Value(WHAT))?;
            verify(&first.sign, label::SPACE_SIG, &space.0, signature, WHAT)?;
        }
        if let [one, other] = chains
            && one.shares_key_with(other)
        {
            return Err(Malformed::Key(WHAT));
        }
        Ok(())
    }

    /// Id of the space.
    #[must_use]
    pub fn id(&self) -> SpaceId {
        self.body.space_id()
    }

    /// Private or shared.
    #[must_use]
    pub fn kind(&self) -> SpaceKind {
        self.body.kind
    }

    /// Both parties, lower first; one when private.
    #[must_use]
    pub fn parties(&self) -> Vec<PartyId> {
        self.body.parties()
    }
}

/// Membership view of a writer (protocol §2.3): `u32 seq(lower) ‖ u32 seq(higher) ‖ first 24
/// bytes of Hash("ajar/v1/mhead", head(lower) ‖ head(higher))`; a private space has zeros for
/// the higher party. `None` when a chain is shorter than the asked sequence number.
#[must_use]
pub fn membership_head(chains: &[&PartyChain], seqs: &[u64]) -> Option<[u8; 32]> {
    let mut out = Writer::with_capacity(32);
    let mut heads = Vec::with_capacity(64);
    for party in 0..2 {
        match (chains.get(party), seqs.get(party)) {
            (Some(chain), Some(seq)) => {
                out.u32(u32::try_from(*seq).ok()?);
                heads.extend_from_slice(&chain.head_at(*seq)?.0);
            }
            _ => {
                out.u32(0);
                heads.extend_from_slice(&[0; 32]);
            }
        }
    }
    let full = hash(label::MHEAD, &[&heads]);
    out.raw(full.split_at(24).0);
    out.finish().try_into().ok()
}

/// The two sequence numbers in a membership head.
#[must_use]
pub fn membership_seqs(mhead: &[u8; 32]) -> (u64, u64) {
    let mut reader = Reader::new(mhead, "membership head");
    let lower = reader.u32().unwrap_or(0);
    let higher = reader.u32().unwrap_or(0);
    (u64::from(lower), u64::from(higher))
}
