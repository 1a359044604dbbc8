//! Links of a party chain: who a party's devices are (protocol §2.3).
//!
//! ```text
//!  0   1  version = 1
//!  1   1  kind
//!  2   2  flags = 0
//!  4  32  party id (zero in GENESIS)
//! 36   8  seq
//! 44  32  prev: hash of the previous link (zero in GENESIS)
//! 76   8  claimed time, ms since 1970 (for display only)
//! 84   4  body length (≤ 4096)
//! 88   …  body
//!  …  32  signer
//!  …  64  signature over the hash of everything before
//! ```

use ed25519_dalek::{Signer, SigningKey};

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{DeviceId, EnvelopeId, LinkHash, PartyId, hash};
pub use crate::keys::{DevicePublic, RootPublic, signed_message, verify, verifying_key};
use crate::{label, limits, version};

const WHAT: &str = "party-chain link";
const HEADER: usize = 88;
const SIGNATURE: usize = 64;

/// Kinds of link; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkKind {
    /// The first link: root keys and the first device.
    Genesis = 1,
    /// Another own device.
    DeviceAdd = 2,
    /// A device that may no longer write or read.
    DeviceRevoke = 3,
    /// A device added by the twelve words, usually revoking all others.
    Recover = 4,
    /// New twelve words.
    RootReplace = 5,
    /// The party leaves the space.
    Leave = 6,
    /// Lowest protocol version the party still accepts.
    Policy = 7,
    /// A cut-off raised once, for a device that was merely lost.
    RevokeAmend = 8,
}

impl LinkKind {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            1 => Self::Genesis,
            2 => Self::DeviceAdd,
            3 => Self::DeviceRevoke,
            4 => Self::Recover,
            5 => Self::RootReplace,
            6 => Self::Leave,
            7 => Self::Policy,
            8 => Self::RevokeAmend,
            _ => return Err(Malformed::Kind(WHAT)),
        })
    }
}

/// Why a device was revoked; for display to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RevokeReason {
    /// It cannot be found.
    Lost = 1,
    /// Someone else has it.
    Stolen = 2,
    /// Its owner stopped using it.
    Retired = 3,
}

impl RevokeReason {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        match byte {
            1 => Ok(Self::Lost),
            2 => Ok(Self::Stolen),
            3 => Ok(Self::Retired),
            _ => Err(Malformed::Value("reason of a revocation")),
        }
    }
}

/// Last envelope of a revoked device that everyone accepts. Counter 0 with a zero id: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoff {
    /// The device.
    pub device: DeviceId,
    /// Counter of the last accepted envelope.
    pub counter: u64,
    /// Id of that envelope.
    pub id: EnvelopeId,
    /// Why.
    pub reason: RevokeReason,
}

impl Cutoff {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let cutoff = Self {
            device: DeviceId(reader.array()?),
            counter: reader.u64()?,
            id: EnvelopeId(reader.array()?),
            reason: RevokeReason::from_byte(reader.u8()?)?,
        };
        if (cutoff.counter == 0) == (cutoff.id == EnvelopeId::ZERO) {
            Ok(cutoff)
        } else {
            Err(Malformed::Value("cut-off of a revocation"))
        }
    }

    fn write(&self, out: &mut Writer) {
        out.raw(&self.device.0)
            .u64(self.counter)
            .raw(&self.id.0)
            .u8(self.reason as u8);
    }
}

/// A device that asks to be in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDevice {
    /// Its keys.
    pub keys: DevicePublic,
    /// Its name, sealed for the party's own devices (≤ 256 bytes).
    pub sealed_label: Vec<u8>,
    /// Signature with its own signing key over [`proof_hash`].
    pub proof: [u8; 64],
}

impl NewDevice {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            keys: DevicePublic::read(reader)?,
            sealed_label: reader.bytes16(limits::SEALED_LABEL)?.to_vec(),
            proof: reader.array()?,
        })
    }

    fn write(&self, out: &mut Writer) {
        self.keys.write(out);
        out.bytes16(&self.sealed_label).raw(&self.proof);
    }
}

/// What a new device signs to prove that it holds its keys, bound to one place in one chain.
#[must_use]
pub fn proof_hash(party: &PartyId, seq: u64, prev: &LinkHash, keys: &DevicePublic) -> [u8; 32] {
    hash(
        label::LINK_POP,
        &[
            &party.0,
            &seq.to_be_bytes(),
            &prev.0,
            &keys.sign,
            &keys.kem,
            &keys.auth,
        ],
    )
}

/// What a co-signer of ROOT_REPLACE signs, bound to one place in one chain.
#[must_use]
pub fn cosign_hash(party: &PartyId, seq: u64, prev: &LinkHash, root: &RootPublic) -> [u8; 32] {
    hash(
        label::LINK_COSIGN,
        &[
            &party.0,
            &seq.to_be_bytes(),
            &prev.0,
            &root.root,
            &root.login,
            &root.recovery_kem,
        ],
    )
}

/// How a party leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LeaveMode {
    /// Closed without a word.
    QuietlyClosed = 1,
    /// Ended, and said so.
    Ended = 2,
}

/// Content of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkBody {
    /// `slot u8 | root 32 | login 32 | recovery kem 32 | sign 32 | kem 32 | auth 32 | random 16`
    Genesis {
        /// Which key slot of the twelve words: 0 private, 1 to 8 shared.
        slot: u8,
        /// Public halves of the twelve words' keys.
        root: RootPublic,
        /// The first device.
        device: DevicePublic,
        /// Makes two chains of the same keys differ.
        random: [u8; 16],
    },
    /// `sign 32 | kem 32 | auth 32 | label u16+… | proof 64`
    DeviceAdd(NewDevice),
    /// `device 32 | counter u64 | envelope 32 | reason u8`
    DeviceRevoke(Cutoff),
    /// as DEVICE_ADD, then `u8 n { device 32 | counter u64 | envelope 32 | reason u8 }`
    Recover {
        /// The device that recovers.
        device: NewDevice,
        /// The devices it revokes.
        revoked: Vec<Cutoff>,
    },
    /// `root 32 | login 32 | recovery kem 32 | cosigner 32 | cosignature 64`
    RootReplace {
        /// The new public halves.
        root: RootPublic,
        /// Second signer: a device id.
        cosigner: [u8; 32],
        /// Its signature over [`cosign_hash`].
        cosignature: [u8; 64],
    },
    /// `mode u8`
    Leave(LeaveMode),
    /// `min_version u16 | flags u16 = 0`
    Policy {
        /// Lowest version that the party's devices accept from now on.
        min_version: u16,
    },
    /// `device 32 | counter u64 | envelope 32 | reason u8`
    RevokeAmend(Cutoff),
}

impl LinkBody {
    /// Kind of this body.
    #[must_use]
    pub fn kind(&self) -> LinkKind {
        match self {
            Self::Genesis { .. } => LinkKind::Genesis,
            Self::DeviceAdd(_) => LinkKind::DeviceAdd,
            Self::DeviceRevoke(_) => LinkKind::DeviceRevoke,
            Self::Recover { .. } => LinkKind::Recover,
            Self::RootReplace { .. } => LinkKind::RootReplace,
            Self::Leave(_) => LinkKind::Leave,
            Self::Policy { .. } => LinkKind::Policy,
            Self::RevokeAmend(_) => LinkKind::RevokeAmend,
        }
    }

    fn read(kind: LinkKind, body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body, "body of a party-chain link");
        let parsed = match kind {
            LinkKind::Genesis => {
                let slot = reader.u8()?;
                if slot > 8 {
                    return Err(Malformed::Value("key slot"));
                }
                Self::Genesis {
                    slot,
                    root: RootPublic::read(&mut reader)?,
                    device: DevicePublic::read(&mut reader)?,
                    random: reader.array()?,
                }
            }
            LinkKind::DeviceAdd => Self::DeviceAdd(NewDevice::read(&mut reader)?),
            LinkKind::DeviceRevoke => Self::DeviceRevoke(Cutoff::read(&mut reader)?),
            LinkKind::Recover => {
                let device = NewDevice::read(&mut reader)?;
                let n = usize::from(reader.u8()?);
                if n > limits::ACTIVE_DEVICES {
                    return Err(Malformed::TooLarge("revocations of a recovery"));
                }
                let revoked = (0..n)
                    .map(|_| Cutoff::read(&mut reader))
                    .collect::<Result<_, _>>()?;
                Self::Recover { device, revoked }
            }
            LinkKind::RootReplace => Self::RootReplace {
                root: RootPublic::read(&mut reader)?,
                cosigner: reader.array()?,
                cosignature: reader.array()?,
            },
            LinkKind::Leave => Self::Leave(match reader.u8()? {
                1 => LeaveMode::QuietlyClosed,
                2 => LeaveMode::Ended,
                _ => return Err(Malformed::Value("mode of leaving")),
            }),
            LinkKind::Policy => {
                let min_version = reader.u16()?;
                if reader.u16()? != 0 {
                    return Err(Malformed::Reserved("policy flags"));
                }
                Self::Policy { min_version }
            }
            LinkKind::RevokeAmend => Self::RevokeAmend(Cutoff::read(&mut reader)?),
        };
        reader.finish()?;
        Ok(parsed)
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Genesis {
                slot,
                root,
                device,
                random,
            } => {
                out.u8(*slot);
                root.write(&mut out);
                device.write(&mut out);
                out.raw(random);
            }
            Self::DeviceAdd(device) => device.write(&mut out),
            Self::DeviceRevoke(cutoff) | Self::RevokeAmend(cutoff) => cutoff.write(&mut out),
            Self::Recover { device, revoked } => {
                device.write(&mut out);
                out.u8(u8::try_from(revoked.len()).expect("at most eight devices are active"));
                for cutoff in revoked {
                    cutoff.write(&mut out);
                }
            }
            Self::RootReplace {
                root,
                cosigner,
                cosignature,
            } => {
                root.write(&mut out);
                out.raw(cosigner).raw(cosignature);
            }
            Self::Leave(mode) => {
                out.u8(*mode as u8);
            }
            Self::Policy { min_version } => {
                out.u16(*min_version).u16(0);
            }
        }
        out.finish()
    }
}

/// One parsed link. Its signature is checked by the chain that it is appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    bytes: Vec<u8>,
    hash: LinkHash,
    /// Party whose chain it belongs to; zero in GENESIS.
    pub party: PartyId,
    /// Place in the chain.
    pub seq: u64,
    /// Hash of the link before it.
    pub prev: LinkHash,
    /// Time its writer claims, in ms since 1970; for display only.
    pub claimed_time_ms: u64,
    /// Content.
    pub body: LinkBody,
    /// Device id or root id of the signer.
    pub signer: [u8; 32],
    signature: [u8; 64],
}

/// Where a new link goes: the fields that its writer does not choose.
#[derive(Clone, Copy, Debug)]
pub struct LinkPlace {
    /// Party, zero for GENESIS.
    pub party: PartyId,
    /// Next place in the chain.
    pub seq: u64,
    /// Hash of the last link, zero for GENESIS.
    pub prev: LinkHash,
    /// Time to claim, in ms since 1970.
    pub claimed_time_ms: u64,
}

impl Link {
    /// Writes and signs a link.
    #[must_use]
    pub fn sign(place: LinkPlace, body: LinkBody, signer: [u8; 32], key: &SigningKey) -> Self {
        let encoded = body.write();
        let mut out = Writer::with_capacity(HEADER + encoded.len() + 32 + SIGNATURE);
        out.u8(version::OBJECT).u8(body.kind() as u8).u16(0);
        out.raw(&place.party.0)
            .u64(place.seq)
            .raw(&place.prev.0)
            .u64(place.claimed_time_ms);
        out.bytes32(&encoded).raw(&signer);
        let hash = LinkHash(hash(label::LINK_HASH, &[out.so_far()]));
        let signature = key
            .sign(&signed_message(label::LINK_SIG, &hash.0))
            .to_bytes();
        out.raw(&signature);
        Self {
            bytes: out.finish(),
            hash,
            party: place.party,
            seq: place.seq,
            prev: place.prev,
            claimed_time_ms: place.claimed_time_ms,
            body,
            signer,
            signature,
        }
    }

    /// Parses a link; does not check its signature.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > limits::LINK {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != version::OBJECT {
            return Err(Malformed::Version(WHAT));
        }
        let kind = LinkKind::from_byte(reader.u8()?)?;
        if reader.u16()? != 0 {
            return Err(Malformed::Reserved(WHAT));
        }
        let party = PartyId(reader.array()?);
        let seq = reader.u64()?;
        let prev = LinkHash(reader.array()?);
        let claimed_time_ms = reader.u64()?;
        let body = LinkBody::read(kind, reader.bytes32(limits::LINK_BODY)?)?;
        let signer = reader.array()?;
        let signature = reader.array()?;
        reader.finish()?;
        let (unsigned, _) = bytes.split_at(bytes.len() - SIGNATURE);
        let hash = LinkHash(hash(label::LINK_HASH, &[unsigned]));
        Ok(Self {
            bytes: bytes.to_vec(),
            hash,
            party,
            seq,
            prev,
            claimed_time_ms,
            body,
            signer,
            signature,
        })
    }

    /// The link as sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hash of the link without its signature.
    #[must_use]
    pub fn hash(&self) -> LinkHash {
        self.hash
    }

    /// Checks the signature against `key`, strictly.
    ///
    /// # Errors
    /// [`Malformed::Signature`] or [`Malformed::Key`].
    pub fn verify(&self, key: &[u8; 32]) -> Result<(), Malformed> {
        verify(key, label::LINK_SIG, &self.hash.0, &self.signature, WHAT)
    }
}
