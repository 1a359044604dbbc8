//! Epoch keys: drawn, committed to, sealed to every recipient, and opened again
//! (protocol §2.7). The layout of the record is in `ajar_protocol::epoch`; whether its
//! recipients are the right ones is for the engine to check.

use ajar_protocol::{
    Envelope, EnvelopeHeader, EnvelopeType, EpochId, LinkHash, Malformed, SpaceId,
    VerifiedEnvelope, envelope,
    envelope::HEADER,
    epoch::{EpochReason, EpochRecord, EpochSeal, Recipient},
    limits,
};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use thiserror::Error;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::{
    aead::{TAG, XNONCE, xopen, xseal},
    device::DeviceSecrets,
    error::EntropyFailed,
    kdf::{derive, mac, same},
    label::{EPOCH_COMMIT, EPOCH_HIST, EPOCH_SEAL, prefixed},
    pad::{pad, unpad},
    seal::{Placement, SealError},
    secret::{Entropy, Secret, random_bytes, seeded_rng},
};

/// Bytes of one entry of the history: epoch id and key.
const HISTORY_ENTRY: usize = 64;

/// The key of one epoch of one space: whoever has it reads everything sealed under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochKey(Secret<32>);

impl EpochKey {
    /// Takes a key back from the sealed key file.
    #[must_use]
    pub fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// Draws a new key.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        Secret::random(entropy).map(Self)
    }

    /// The 32 bytes, for the sealed key file.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Whether this is the key that an epoch record commits to, compared in constant time.
    #[must_use]
    pub fn commits_to(&self, space: &SpaceId, number: u64, commitment: &[u8; 32]) -> bool {
        same(&self.commitment(space, number), commitment)
    }

    /// `ek_commit`: every recipient recomputes it, so one record cannot give different keys to
    /// different devices.
    fn commitment(&self, space: &SpaceId, number: u64) -> [u8; 32] {
        mac(
            self.expose(),
            &[&prefixed(EPOCH_COMMIT), &space.0, &number.to_be_bytes()],
        )
    }

    fn history_key(&self) -> Secret<32> {
        derive(self.expose(), &[], EPOCH_HIST, &[])
    }
}

/// A new epoch, before its key is drawn.
#[derive(Clone, Debug)]
pub struct NewEpoch<'a> {
    /// One more than the highest parent's number.
    pub number: u64,
    /// Why the space rotates.
    pub reason: EpochReason,
    /// Epochs that this one follows, ascending.
    pub parents: &'a [EpochId],
    /// Head of the lower party's chain.
    pub head_lower: LinkHash,
    /// Head of the higher party's chain, zero in a private space.
    pub head_higher: LinkHash,
    /// Exactly the recipients that `ajar_protocol::epoch::recipients` computes at those heads.
    pub recipients: &'a [Recipient],
    /// Older epochs that are still needed, in any order, none twice.
    pub history: &'a [(EpochId, EpochKey)],
}

/// Draws a key, seals it to every recipient and signs the EPOCH envelope. The id of the new
/// epoch is the id of the returned envelope.
///
/// # Errors
/// [`SealError`]; nothing was signed then.
pub fn create_epoch(
    place: &Placement,
    new: &NewEpoch<'_>,
    device: &DeviceSecrets,
    entropy: &mut dyn Entropy,
) -> Result<(Envelope, EpochKey), SealError> {
    if new.recipients.len() > limits::EPOCH_RECIPIENTS || new.parents.len() > limits::EPOCH_PARENTS
    {
        return Err(SealError::TooLarge);
    }
    let key = EpochKey::random(entropy)?;
    let history_nonce: [u8; XNONCE] = random_bytes(entropy)?;
    let mut rng = seeded_rng(entropy)?;

    let mut history = pad(&encode_history(new.history)?);
    if history.len() + TAG > limits::EPOCH_HISTORY {
        return Err(SealError::TooLarge);
    }
    let mut recipients = new.recipients.to_vec();
    recipients.sort_unstable();
    let mut record = EpochRecord {
        number: new.number,
        reason: new.reason,
        parents: new.parents.to_vec(),
        head_lower: new.head_lower,
        head_higher: new.head_higher,
        commitment: key.commitment(&place.space, new.number),
        seals: recipients
            .iter()
            .map(|recipient| blank_seal(recipient.id))
            .collect(),
        history_nonce,
        // Only its length matters yet: the header, which holds the length of the whole, is
        // part of what the seals below are bound to.
        history: vec![0; history.len() + TAG],
    };
    let header = EnvelopeHeader {
        kind: EnvelopeType::Epoch,
        space: place.space,
        epoch: EpochId::ZERO,
        device: device.id(),
        counter: place.counter,
        prev: place.prev,
        mhead: place.mhead,
        nonce: [0; XNONCE],
        commitment: [0; 32],
        length: u32::try_from(record.encode().len()).map_err(|_| SealError::TooLarge)?,
    };
    let aad = header.encode();
    for (seal, recipient) in record.seals.iter_mut().zip(&recipients) {
        let info = seal_info(&place.space, new.number, &record.commitment, &recipient.id);
        *seal = seal_to(recipient, &key, &info, &aad, &mut rng)?;
    }
    let history_aad = [aad.as_slice(), &record.encode_front()].concat();
    xseal(
        key.history_key().expose(),
        &history_nonce,
        &history_aad,
        &mut history,
    );
    record.history.copy_from_slice(&history);

    let payload = record.encode();
    // What the others would refuse is not signed here either.
    EpochRecord::parse(&payload)?;
    let envelope = envelope::assemble(&header, &payload, |id| device.sign_envelope(&id.0))?;
    Ok((envelope, key))
}

/// An epoch that was opened.
#[derive(Clone, Debug)]
pub struct OpenedEpoch {
    /// Its key.
    pub key: EpochKey,
    /// Keys of older epochs that its author still needed, ascending by id.
    pub history: Vec<(EpochId, EpochKey)>,
}

/// Why an EPOCH envelope with a valid signature did not give a key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenEpochError {
    /// The envelope is of another type.
    #[error("not an epoch")]
    WrongType,
    /// The payload is not an epoch record.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// No seal names this recipient.
    #[error("this device is not among the recipients of the key change")]
    NotARecipient,
    /// The seal does not open with this secret.
    #[error("the key change is sealed to another key than this device's")]
    WrongKey,
    /// The sealed key is not the committed one: proof that the author's device misbehaved.
    #[error("the key change gives different keys to different devices and was ignored")]
    CommitMismatch,
    /// Older keys do not open or are not in canonical form: proof that the author's device
    /// misbehaved.
    #[error("the older keys inside the key change are damaged")]
    HistoryDamaged,
}

/// Opens an epoch for one recipient: a device (its id and epoch secret) or a recovery key
/// (its recovery id and secret).
///
/// # Errors
/// [`OpenEpochError`].
pub fn open_epoch(
    envelope: &VerifiedEnvelope,
    recipient: &[u8; 32],
    secret: &StaticSecret,
) -> Result<OpenedEpoch, OpenEpochError> {
    let header = envelope.header();
    if header.kind != EnvelopeType::Epoch {
        return Err(OpenEpochError::WrongType);
    }
    let record = EpochRecord::parse(envelope.body())?;
    let seal = record
        .seals
        .iter()
        .find(|seal| seal.recipient == *recipient)
        .ok_or(OpenEpochError::NotARecipient)?;
    let info = seal_info(&header.space, record.number, &record.commitment, recipient);
    let key = open_seal(seal, secret, &info, envelope.aad()).ok_or(OpenEpochError::WrongKey)?;
    if !same(
        &key.commitment(&header.space, record.number),
        &record.commitment,
    ) {
        return Err(OpenEpochError::CommitMismatch);
    }
    let history = open_history(envelope, &record, &key).ok_or(OpenEpochError::HistoryDamaged)?;
    Ok(OpenedEpoch { key, history })
}

fn seal_info(space: &SpaceId, number: u64, commitment: &[u8; 32], recipient: &[u8; 32]) -> Vec<u8> {
    [
        &prefixed(EPOCH_SEAL),
        space.0.as_slice(),
        &number.to_be_bytes(),
        commitment,
        recipient,
    ]
    .concat()
}

fn blank_seal(recipient: [u8; 32]) -> EpochSeal {
    EpochSeal {
        recipient,
        encapsulated: [0; 32],
        ciphertext: [0; 48],
    }
}

fn seal_to(
    recipient: &Recipient,
    key: &EpochKey,
    info: &[u8],
    aad: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<EpochSeal, SealError> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&recipient.kem)
        .map_err(|_| SealError::UnusableKey)?;
    let (encapsulated, ciphertext) = single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &public, info, key.expose(), aad, rng)
    .map_err(|_| SealError::UnusableKey)?;
    let mut seal = blank_seal(recipient.id);
    seal.encapsulated.copy_from_slice(&encapsulated.to_bytes());
    seal.ciphertext = ciphertext.try_into().map_err(|_| SealError::UnusableKey)?;
    Ok(seal)
}

fn open_seal(seal: &EpochSeal, secret: &StaticSecret, info: &[u8], aad: &[u8]) -> Option<EpochKey> {
    let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret.as_bytes()).ok()?;
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&seal.encapsulated).ok()?;
    let key = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        info,
        &seal.ciphertext,
        aad,
    )
    .map(Zeroizing::new)
    .ok()?;
    Secret::from_slice(&key).map(EpochKey)
}

fn encode_history(history: &[(EpochId, EpochKey)]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut sorted: Vec<&(EpochId, EpochKey)> = history.iter().collect();
    sorted.sort_unstable_by_key(|(id, _)| *id);
    if sorted
        .windows(2)
        .any(|pair| matches!(pair, [(one, _), (other, _)] if one == other))
    {
        return Err(SealError::RepeatedHistory);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(history.len() * HISTORY_ENTRY));
    for (id, key) in sorted {
        out.extend_from_slice(&id.0);
        out.extend_from_slice(key.expose());
    }
    Ok(out)
}

fn open_history(
    envelope: &VerifiedEnvelope,
    record: &EpochRecord,
    key: &EpochKey,
) -> Option<Vec<(EpochId, EpochKey)>> {
    // Everything before the length of the history, as it was received.
    let front = envelope
        .body()
        .len()
        .checked_sub(4 + XNONCE + record.history.len())?;
    let aad = [envelope.aad(), envelope.body().get(..front)?].concat();
    debug_assert_eq!(envelope.aad().len(), HEADER);
    let padded = xopen(
        key.history_key().expose(),
        &record.history_nonce,
        &aad,
        &record.history,
    )
    .ok()?;
    let content = unpad(&padded).ok()?;
    let mut history: Vec<(EpochId, EpochKey)> = Vec::with_capacity(content.len() / HISTORY_ENTRY);
    let entries = content.chunks_exact(HISTORY_ENTRY);
    if !entries.remainder().is_empty() {
        return None;
    }
    for entry in entries {
        let (id, old) = entry.split_first_chunk::<32>()?;
        let id = EpochId(*id);
        if history.last().is_some_and(|(last, _)| *last >= id) {
            return None;
        }
        history.push((id, EpochKey(Secret::from_slice(old)?)));
    }
    Some(history)
}
