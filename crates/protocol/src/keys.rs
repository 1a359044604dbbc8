//! Public keys as they stand in chains, and strict verification under them
//! (protocol §2.1, §2.2).

use ed25519_dalek::{Signature, VerifyingKey};

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{DeviceId, hash};
use crate::label;

/// The three public keys of one device in one space (protocol §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePublic {
    /// Ed25519: envelopes and links.
    pub sign: [u8; 32],
    /// X25519: receives epoch keys.
    pub kem: [u8; 32],
    /// Ed25519: login at the relay, nothing else.
    pub auth: [u8; 32],
}

impl DevicePublic {
    /// Id of the device: `Hash("ajar/v1/device-id", sign ‖ kem ‖ auth)`.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId(hash(label::DEVICE_ID, &[&self.sign, &self.kem, &self.auth]))
    }

    /// Checks that both Ed25519 keys are sound, and that the X25519 key is not of low order
    /// and canonical.
    ///
    /// # Errors
    /// [`Malformed::Key`].
    pub fn check(&self) -> Result<(), Malformed> {
        verifying_key(&self.sign, "device signing key")?;
        verifying_key(&self.auth, "device login key")?;
        check_kem(&self.kem)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let keys = Self {
            sign: reader.array()?,
            kem: reader.array()?,
            auth: reader.array()?,
        };
        keys.check()?;
        Ok(keys)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.raw(&self.sign).raw(&self.kem).raw(&self.auth);
    }
}

/// Parses an Ed25519 key and refuses weak ones and second spellings of a key, both of which
/// `VerifyingKey::from_bytes` accepts.
///
/// # Errors
/// [`Malformed::Key`].
pub fn verifying_key(bytes: &[u8; 32], what: &'static str) -> Result<VerifyingKey, Malformed> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| Malformed::Key(what))?;
    if key.is_weak() || !is_below_p(bytes) {
        Err(Malformed::Key(what))
    } else {
        Ok(key)
    }
}

/// Whether the coordinate in the lower 255 bits is below p = 2^255 - 19.
fn is_below_p(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    *first < 0xed || *last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// The X25519 points of small order that make a shared secret of zero (RFC 7748 §6.1), by
/// their only canonical encodings.
const LOW_ORDER: [[u8; 32]; 5] = {
    let zero = [0; 32];
    let (mut one, mut minus_one) = (zero, [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    [
        zero,
        one,
        minus_one,
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
            0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
            0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83,
            0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd,
            0xd0, 0x9f, 0x11, 0x57,
        ],
    ]
};

/// Refuses points of small order, and second spellings of a point, under which one key could
/// stand in a space twice.
fn check_kem(key: &[u8; 32]) -> Result<(), Malformed> {
    let [.., last] = key;
    if *last >= 0x80 || !is_below_p(key) || LOW_ORDER.contains(key) {
        Err(Malformed::Key("epoch key"))
    } else {
        Ok(())
    }
}

/// The public halves of what a party's twelve words control (protocol §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootPublic {
    /// Ed25519: outranks devices in the chain.
    pub root: [u8; 32],
    /// Ed25519: relay login during recovery only.
    pub login: [u8; 32],
    /// X25519: recipient of every epoch.
    pub recovery_kem: [u8; 32],
}

impl RootPublic {
    /// Signer id of root-signed links.
    #[must_use]
    pub fn root_id(&self) -> [u8; 32] {
        hash(label::ROOT_ID, &[&self.root])
    }

    /// Recipient id of the recovery key in epoch records.
    #[must_use]
    pub fn recovery_id(&self) -> [u8; 32] {
        hash(label::RECOVERY_ID, &[&self.recovery_kem])
    }

    /// Checks that the keys are sound.
    ///
    /// # Errors
    /// [`Malformed::Key`].
    pub fn check(&self) -> Result<(), Malformed> {
        verifying_key(&self.root, "root key")?;
        verifying_key(&self.login, "recovery login key")?;
        check_kem(&self.recovery_kem)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let keys = Self {
            root: reader.array()?,
            login: reader.array()?,
            recovery_kem: reader.array()?,
        };
        keys.check()?;
        Ok(keys)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.raw(&self.root).raw(&self.login).raw(&self.recovery_kem);
    }
}

/// `L(label) ‖ hash`: what `Sign(sk, label, hash)` signs (protocol §2.1).
#[must_use]
pub fn signed_message(label: &str, hash: &[u8; 32]) -> Vec<u8> {
    let mut message = label::prefixed(label);
    message.extend_from_slice(hash);
    message
}

/// `Verify(pk, label, hash)`, strict and against a key that is not weak.
///
/// # Errors
/// [`Malformed::Key`] or [`Malformed::Signature`].
pub fn verify(
    key: &[u8; 32],
    label: &str,
    hash: &[u8; 32],
    signature: &[u8; 64],
    what: &'static str,
) -> Result<(), Malformed> {
    verifying_key(key, what)?
        .verify_strict(
            &signed_message(label, hash),
            &Signature::from_bytes(signature),
        )
        .map_err(|_| Malformed::Signature(what))
}
