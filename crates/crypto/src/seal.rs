//! Sealing and opening envelopes (protocol §2.4): pad, derive `K ‖ C`, encrypt, then sign; and
//! back, with the commitment compared before anything is decrypted.

use ajar_protocol::{
    DeviceId, Envelope, EnvelopeHeader, EnvelopeId, EnvelopeType, EpochId, Malformed, SpaceId,
    VerifiedEnvelope, envelope, limits,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    aead::{XNONCE, xopen, xseal},
    device::DeviceSecrets,
    epoch::EpochKey,
    error::EntropyFailed,
    kdf::{derive, same},
    label::ENV_KEY,
    pad::{pad, padded_len, unpad},
    secret::{Entropy, Secret, random_bytes},
};

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// The content, padded, is over the limit of its field.
    #[error("too much for one envelope; write it in smaller parts")]
    TooLarge,
    /// EPOCH envelopes are made by [`crate::epoch::create_epoch`], which seals keys, not text.
    #[error("an epoch is not sealed as content")]
    WrongType,
    /// A recipient's key takes part in no key exchange: it is of low order. The chain should
    /// never have accepted it.
    #[error("a recipient's key is unusable; remove that device and link it again")]
    UnusableKey,
    /// The same older epoch was given twice.
    #[error("an older key was given twice")]
    RepeatedHistory,
    /// The fields do not make a valid object: counter and previous id, order of recipients or
    /// of parents.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Why an envelope with a valid signature does not open.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// EPOCH envelopes are opened by [`crate::epoch::open_epoch`].
    #[error("an epoch is not opened as content")]
    WrongType,
    /// The commitment in the header is not of the key derived from this epoch key.
    #[error("sealed with another key than that of its epoch")]
    WrongKey,
    /// Commitment right, ciphertext wrong: its author's software is faulty or hostile.
    #[error("the content does not open although the key is right")]
    NotOpened,
    /// Opened, but the padding is not canonical.
    #[error("the content is not padded as it must be")]
    BadPadding,
}

/// Where an author's next envelope goes: the same for every type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Space.
    pub space: SpaceId,
    /// The author's next counter, from 1.
    pub counter: u64,
    /// Id of the author's previous envelope, zero for counter 1.
    pub prev: EnvelopeId,
    /// Membership view of the author.
    pub mhead: [u8; 32],
}

/// What is to be sealed, and under which epoch.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Any type but EPOCH.
    pub kind: EnvelopeType,
    /// Epoch to seal under.
    pub epoch: EpochId,
    /// Key of that epoch.
    pub key: &'a EpochKey,
    /// Encoded content, not padded. At most 1 MiB less one byte.
    pub plaintext: &'a [u8],
}

/// Pads, encrypts and signs one envelope with a fresh nonce.
///
/// # Errors
/// [`SealError`]; nothing was signed then.
pub fn seal_envelope(
    place: &Placement,
    draft: &Draft<'_>,
    device: &DeviceSecrets,
    entropy: &mut dyn Entropy,
) -> Result<Envelope, SealError> {
    if draft.kind == EnvelopeType::Epoch {
        return Err(SealError::WrongType);
    }
    let length = draft
        .plaintext
        .len()
        .checked_add(1)
        .map(padded_len)
        .ok_or(SealError::TooLarge)?;
    if length > limits::ENVELOPE_CIPHERTEXT {
        return Err(SealError::TooLarge);
    }
    let nonce: [u8; XNONCE] = random_bytes(entropy)?;
    let mut header = EnvelopeHeader {
        kind: draft.kind,
        space: place.space,
        epoch: draft.epoch,
        device: device.id(),
        counter: place.counter,
        prev: place.prev,
        mhead: place.mhead,
        nonce,
        commitment: [0; 32],
        length: u32::try_from(length).map_err(|_| SealError::TooLarge)?,
    };
    let keys = EnvelopeKeys::derive(&header, draft.key);
    header.commitment = keys.commitment;
    let mut body = pad(draft.plaintext);
    xseal(keys.key.expose(), &nonce, &header.encode(), &mut body);
    Ok(envelope::assemble(&header, &body, |id| {
        device.sign_envelope(&id.0)
    })?)
}

/// Opens one envelope and returns its content without padding.
///
/// # Errors
/// [`OpenError`].
pub fn open_envelope(
    envelope: &VerifiedEnvelope,
    key: &EpochKey,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let header = envelope.header();
    if header.kind == EnvelopeType::Epoch {
        return Err(OpenError::WrongType);
    }
    let keys = EnvelopeKeys::derive(header, key);
    if !same(&keys.commitment, &header.commitment) {
        return Err(OpenError::WrongKey);
    }
    let mut content = xopen(
        keys.key.expose(),
        &header.nonce,
        envelope.aad(),
        envelope.body(),
    )
    .map_err(|_| OpenError::NotOpened)?;
    let length = unpad(&content).map_err(|_| OpenError::BadPadding)?.len();
    content.truncate(length);
    Ok(content)
}

/// Key and commitment of one envelope: `K ‖ C` (§2.2).
struct EnvelopeKeys {
    key: Secret<32>,
    commitment: [u8; 32],
}

impl EnvelopeKeys {
    fn derive(header: &EnvelopeHeader, epoch_key: &EpochKey) -> Self {
        let DeviceId(device) = header.device;
        let salt = [header.nonce.as_slice(), &device].concat();
        let context: [&[u8]; 3] = [&header.space.0, &header.epoch.0, &[header.kind as u8]];
        let both: Secret<64> = derive(epoch_key.expose(), &salt, ENV_KEY, &context);
        let (key, commitment) = both.expose().split_at(32);
        Self {
            key: Secret::from_slice(key).expect("half of 64 bytes"),
            commitment: commitment.try_into().expect("half of 64 bytes"),
        }
    }
}
