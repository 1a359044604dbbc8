//! The three secret keys of one device in one space (protocol §2.2). They are made on the
//! device and never leave it except into its own sealed key file.

use std::fmt;

use ajar_protocol::{
    DeviceId, DevicePublic,
    label::{ENV_SIG, LINK_COSIGN, LINK_POP, LINK_SIG, RELAY_AUTH, RELAY_CMD},
    link::signed_message,
};
use ed25519_dalek::{Signer, SigningKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroize;

use crate::{
    error::EntropyFailed,
    secret::{Entropy, Secret},
};

/// Length of [`DeviceSecrets::to_bytes`].
pub const DEVICE_SECRETS: usize = 96;

/// Secret keys of one device in one space. Every key wipes itself when dropped. They stay in one
/// place on the heap: what moves from function to function would leave a copy behind each time,
/// which nobody wipes.
pub struct DeviceSecrets(Box<Keys>);

struct Keys {
    sign: SigningKey,
    kem: StaticSecret,
    auth: SigningKey,
}

impl Clone for DeviceSecrets {
    fn clone(&self) -> Self {
        Self::from_bytes(&self.to_bytes())
    }
}

impl DeviceSecrets {
    /// Draws three independent keys.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        Secret::random(entropy).map(|bytes| Self::from_bytes(&bytes))
    }

    /// Rebuilds the keys from the key file: signing seed ‖ epoch key secret ‖ login seed,
    /// 32 bytes each.
    #[must_use]
    pub fn from_bytes(bytes: &Secret<DEVICE_SECRETS>) -> Self {
        let keys = keys(bytes);
        wipe_stack_below();
        Self(keys)
    }

    /// The keys for the sealed key file, in the order of [`Self::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Secret<DEVICE_SECRETS> {
        let mut bytes = Secret::zero();
        let keys = [
            self.0.sign.as_bytes(),
            self.0.kem.as_bytes(),
            self.0.auth.as_bytes(),
        ];
        for (place, byte) in bytes
            .expose_mut()
            .iter_mut()
            .zip(keys.into_iter().flatten())
        {
            *place = *byte;
        }
        bytes
    }

    /// The public halves, in the form that goes into the party chain.
    #[must_use]
    pub fn public(&self) -> DevicePublic {
        DevicePublic {
            sign: self.0.sign.verifying_key().to_bytes(),
            kem: PublicKey::from(&self.0.kem).to_bytes(),
            auth: self.0.auth.verifying_key().to_bytes(),
        }
    }

    /// Id of the device in its space.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.public().id()
    }

    /// Key for links, the space genesis and envelopes, for the functions of `ajar-protocol`
    /// that write and sign in one step.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.0.sign
    }

    /// Key for logging in at the relay, and for nothing else.
    #[must_use]
    pub fn auth_key(&self) -> &SigningKey {
        &self.0.auth
    }

    /// Secret that opens the epoch keys sealed to this device.
    #[must_use]
    pub fn kem_secret(&self) -> &StaticSecret {
        &self.0.kem
    }

    /// Signs the hash of a party-chain link (§2.3).
    #[must_use]
    pub fn sign_link(&self, hash: &[u8; 32]) -> [u8; 64] {
        sign(&self.0.sign, LINK_SIG, hash)
    }

    /// Signs the proof that a new device holds its keys (§2.3).
    #[must_use]
    pub fn sign_proof(&self, hash: &[u8; 32]) -> [u8; 64] {
        sign(&self.0.sign, LINK_POP, hash)
    }

    /// Signs new root keys as the second signer of ROOT_REPLACE (§2.3).
    #[must_use]
    pub fn sign_cosign(&self, hash: &[u8; 32]) -> [u8; 64] {
        sign(&self.0.sign, LINK_COSIGN, hash)
    }

    /// Signs an envelope id (§2.4).
    #[must_use]
    pub fn sign_envelope(&self, id: &[u8; 32]) -> [u8; 64] {
        sign(&self.0.sign, ENV_SIG, id)
    }

    /// Signs a command to a relay with the envelope key (§2.10, §2.12).
    #[must_use]
    pub fn sign_relay_command(&self, hash: &[u8; 32]) -> [u8; 64] {
        sign(&self.0.sign, RELAY_CMD, hash)
    }

    /// Signs a relay login with the login key (§2.8).
    #[must_use]
    pub fn sign_relay_auth(&self, hash: &[u8; 32]) -> [u8; 64] {
        sign(&self.0.auth, RELAY_AUTH, hash)
    }
}

impl fmt::Debug for DeviceSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceSecrets")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// `Sign(key, label, hash)` of protocol §2.1.
pub(crate) fn sign(key: &SigningKey, label: &str, hash: &[u8; 32]) -> [u8; 64] {
    key.sign(&signed_message(label, hash)).to_bytes()
}

/// Builds the keys in a stack frame of its own, since the libraries hand them over by value.
#[inline(never)]
fn keys(bytes: &Secret<DEVICE_SECRETS>) -> Box<Keys> {
    let [sign, kem, auth] = parts(bytes);
    Box::new(Keys {
        sign: SigningKey::from_bytes(sign.expose()),
        kem: StaticSecret::from(*kem.expose()),
        auth: SigningKey::from_bytes(auth.expose()),
    })
}

/// Overwrites what the last call left below this frame of the stack.
#[inline(never)]
fn wipe_stack_below() {
    /// More than the call of [`keys`] needs, with the multiplications in it.
    const ROOM: usize = 16 << 10;
    let mut room = [0xffu8; ROOM];
    room.zeroize();
    std::hint::black_box(&mut room);
}

fn parts(bytes: &Secret<DEVICE_SECRETS>) -> [Secret<32>; 3] {
    let mut parts = [Secret::zero(), Secret::zero(), Secret::zero()];
    for (part, chunk) in parts.iter_mut().zip(bytes.expose().chunks_exact(32)) {
        part.expose_mut().copy_from_slice(chunk);
    }
    parts
}

#[cfg(test)]
mod tests {
    use ajar_protocol::link::verify;

    use super::*;
    use crate::kdf::test_support::{BrokenEntropy, fixed_entropy};

    #[test]
    fn a_device_is_the_same_after_its_key_file_was_read_back() {
        let device = DeviceSecrets::generate(&mut fixed_entropy(5)).unwrap();
        let again = DeviceSecrets::from_bytes(&device.to_bytes());
        assert_eq!(device.public(), again.public());
        assert_eq!(device.to_bytes(), again.to_bytes());
        assert!(device.public().check().is_ok());
    }

    #[test]
    fn the_three_keys_are_independent() {
        let public = DeviceSecrets::generate(&mut fixed_entropy(5))
            .unwrap()
            .public();
        assert_ne!(public.sign, public.auth);
        assert_ne!(public.sign, public.kem);
    }

    #[test]
    fn a_login_signature_is_no_envelope_signature_and_no_link() {
        let device = DeviceSecrets::generate(&mut fixed_entropy(6)).unwrap();
        let public = device.public();
        let hash = [9; 32];
        let cases = [
            (public.sign, LINK_SIG, device.sign_link(&hash)),
            (public.sign, LINK_POP, device.sign_proof(&hash)),
            (public.sign, LINK_COSIGN, device.sign_cosign(&hash)),
            (public.sign, ENV_SIG, device.sign_envelope(&hash)),
            (public.auth, RELAY_AUTH, device.sign_relay_auth(&hash)),
            (public.sign, RELAY_CMD, device.sign_relay_command(&hash)),
        ];
        for (right, (_, _, signature)) in cases.iter().enumerate() {
            for (tried, (key, label, _)) in cases.iter().enumerate() {
                let verified = verify(key, label, &hash, signature, "test").is_ok();
                assert_eq!(
                    verified,
                    right == tried,
                    "signature {right} against use {tried}"
                );
            }
        }
    }

    #[test]
    fn a_device_prints_its_public_id_only() {
        let device = DeviceSecrets::generate(&mut fixed_entropy(5)).unwrap();
        assert!(format!("{device:?}").starts_with("DeviceSecrets { id: DeviceId("));
        assert!(DeviceSecrets::generate(&mut BrokenEntropy).is_err());
    }
}
