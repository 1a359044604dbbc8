//! Envelopes: the unit that is sealed, signed, chained, stored and forwarded (protocol §2.4).
//!
//! ```text
//! off len
//!   0   1  version = 1
//!   1   1  type
//!   2   1  suite
//!   3   1  flags = 0
//!   4  32  space id
//!  36  32  epoch id (EPOCH: zero)
//!  68  32  device id
//! 100   8  counter: 1, 2, 3… per space and device
//! 108  32  prev: id of this device's previous envelope, zero for counter 1
//! 140  32  mhead: membership view of the author
//! 172  24  nonce (EPOCH: zero)
//! 196  32  key commitment (EPOCH: zero)
//! 228   4  ciphertext length, without tag (≤ 1 MiB)
//! 232   …  ciphertext ‖ 16-byte tag (EPOCH: payload in clear, no tag)
//!   …  64  signature
//! ```

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{DeviceId, EnvelopeId, EpochId, SpaceId, hash};
use crate::link::verify;
use crate::{label, limits, version};

const WHAT: &str = "envelope";
/// Length of the header, which is also the AAD of the ciphertext.
pub const HEADER: usize = 232;
/// Length of the authentication tag.
pub const TAG: usize = 16;
/// Length of the signature.
pub const SIGNATURE: usize = 64;

/// Types of envelope; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EnvelopeType {
    /// Changes of documents.
    Changes = 1,
    /// A snapshot of the space.
    Snapshot = 2,
    /// A new epoch; its payload is in clear and holds sealed keys.
    Epoch = 3,
    /// Documents to be forgotten.
    Burn = 4,
    /// Agreement with a snapshot.
    Endorse = 5,
}

impl EnvelopeType {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            1 => Self::Changes,
            2 => Self::Snapshot,
            3 => Self::Epoch,
            4 => Self::Burn,
            5 => Self::Endorse,
            _ => return Err(Malformed::Kind(WHAT)),
        })
    }
}

/// Header fields in the order of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeHeader {
    /// Type.
    pub kind: EnvelopeType,
    /// Space it belongs to.
    pub space: SpaceId,
    /// Epoch it is sealed under; zero in EPOCH.
    pub epoch: EpochId,
    /// Author.
    pub device: DeviceId,
    /// Place in the author's chain, from 1.
    pub counter: u64,
    /// Id of the author's previous envelope, zero for counter 1.
    pub prev: EnvelopeId,
    /// Membership view of the author.
    pub mhead: [u8; 32],
    /// Fresh random nonce; zero in EPOCH.
    pub nonce: [u8; 24],
    /// Commitment to the envelope key; zero in EPOCH.
    pub commitment: [u8; 32],
    /// Length of ciphertext or payload in bytes, without tag.
    pub length: u32,
}

impl EnvelopeHeader {
    /// The header as sent, which is the AAD of the ciphertext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(HEADER);
        out.u8(version::OBJECT)
            .u8(self.kind as u8)
            .u8(version::SUITE)
            .u8(0);
        out.raw(&self.space.0)
            .raw(&self.epoch.0)
            .raw(&self.device.0);
        out.u64(self.counter).raw(&self.prev.0).raw(&self.mhead);
        out.raw(&self.nonce).raw(&self.commitment).u32(self.length);
        out.finish()
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if reader.u8()? != version::OBJECT {
            return Err(Malformed::Version(WHAT));
        }
        let kind = EnvelopeType::from_byte(reader.u8()?)?;
        if reader.u8()? != version::SUITE {
            return Err(Malformed::Version(WHAT));
        }
        if reader.u8()? != 0 {
            return Err(Malformed::Reserved(WHAT));
        }
        let header = Self {
            kind,
            space: SpaceId(reader.array()?),
            epoch: EpochId(reader.array()?),
            device: DeviceId(reader.array()?),
            counter: reader.u64()?,
            prev: EnvelopeId(reader.array()?),
            mhead: reader.array()?,
            nonce: reader.array()?,
            commitment: reader.array()?,
            length: reader.u32()?,
        };
        if header.length as usize > limits::ENVELOPE_CIPHERTEXT {
            return Err(Malformed::TooLarge(WHAT));
        }
        if header.counter == 0 || (header.counter == 1) != (header.prev == EnvelopeId::ZERO) {
            return Err(Malformed::Value("envelope counter"));
        }
        if kind == EnvelopeType::Epoch
            && (header.epoch != EpochId::ZERO
                || header.nonce != [0; 24]
                || header.commitment != [0; 32])
        {
            return Err(Malformed::Reserved(WHAT));
        }
        Ok(header)
    }
}

/// A parsed envelope whose signature is not known to be its author's.
#[derive(Clone, Debug)]
pub struct Envelope {
    bytes: Vec<u8>,
    header: EnvelopeHeader,
    id: EnvelopeId,
    /// A key that the signature was found to be valid for.
    valid_for: Option<[u8; 32]>,
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Envelope {}

impl Envelope {
    /// Parses an envelope of exactly the length that its header says.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > limits::ENVELOPE {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        let header = EnvelopeHeader::decode(&mut reader)?;
        reader.take(body_length(&header))?;
        reader.take(SIGNATURE)?;
        reader.finish()?;
        let id = envelope_id(bytes, &header);
        Ok(Self {
            bytes: bytes.to_vec(),
            header,
            id,
            valid_for: None,
        })
    }

    /// Header.
    #[must_use]
    pub fn header(&self) -> &EnvelopeHeader {
        &self.header
    }

    /// Id: hash of header and ciphertext; the tag is part of the ciphertext's bytes, the
    /// signature is not.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        self.id
    }

    /// The envelope as sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks the signature against a key ahead of [`Self::verify`], which takes time then only
    /// for another key. It says nothing about whose key that is.
    ///
    /// # Errors
    /// [`Malformed::Signature`] or [`Malformed::Key`].
    pub fn check_signature(&mut self, sign_key: &[u8; 32]) -> Result<(), Malformed> {
        if self.valid_for.as_ref() == Some(sign_key) {
            return Ok(());
        }
        let (_, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE);
        let signature = signature
            .try_into()
            .map_err(|_| Malformed::Truncated(WHAT))?;
        verify(sign_key, label::ENV_SIG, &self.id.0, signature, WHAT)?;
        self.valid_for = Some(*sign_key);
        Ok(())
    }

    /// Checks the signature against the author's key and consumes the unchecked value.
    ///
    /// # Errors
    /// [`Malformed::Signature`] or [`Malformed::Key`].
    pub fn verify(mut self, sign_key: &[u8; 32]) -> Result<VerifiedEnvelope, Malformed> {
        self.check_signature(sign_key)?;
        Ok(VerifiedEnvelope(self))
    }
}

/// An envelope whose signature was checked against the key of its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEnvelope(Envelope);

impl VerifiedEnvelope {
    /// Header.
    #[must_use]
    pub fn header(&self) -> &EnvelopeHeader {
        self.0.header()
    }

    /// Id.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        self.0.id()
    }

    /// The envelope as sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Header as received: the AAD.
    #[must_use]
    pub fn aad(&self) -> &[u8] {
        self.0.bytes.split_at(HEADER).0
    }

    /// Ciphertext with its tag, or the payload of an EPOCH.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let (signed, _) = self.0.bytes.split_at(self.0.bytes.len() - SIGNATURE);
        signed.split_at(HEADER).1
    }
}

fn body_length(header: &EnvelopeHeader) -> usize {
    let tag = if header.kind == EnvelopeType::Epoch {
        0
    } else {
        TAG
    };
    header.length as usize + tag
}

fn envelope_id(bytes: &[u8], header: &EnvelopeHeader) -> EnvelopeId {
    let signed = HEADER + body_length(header);
    EnvelopeId(hash(
        label::ENV_HASH,
        &[bytes.split_at(signed.min(bytes.len())).0],
    ))
}

/// Joins header, body and the author's signature over the envelope id into the bytes to send.
/// `sign` receives the id and returns `Sign(sign_sk, "ajar/v1/env-sig", id)`.
///
/// # Errors
/// [`Malformed::TooLarge`] when the body is longer than the header can say.
pub fn assemble(
    header: &EnvelopeHeader,
    body: &[u8],
    sign: impl FnOnce(&EnvelopeId) -> [u8; 64],
) -> Result<Envelope, Malformed> {
    if body.len() != body_length(header) || header.length as usize > limits::ENVELOPE_CIPHERTEXT {
        return Err(Malformed::TooLarge(WHAT));
    }
    let mut bytes = header.encode();
    bytes.extend_from_slice(body);
    let id = envelope_id(&bytes, header);
    bytes.extend_from_slice(&sign(&id));
    Envelope::parse(&bytes)
}
