//! Login at a relay, bound to the TLS session, and the permit a relay gives to its spaces
//! (protocol §2.8).
//!
//! ```text
//! u8 1 | relay_pk 32 | space_id 32 | device_id 32 | auth_pk 32 | signature 64
//! signature = Sign(auth_sk, "ajar/v1/relay-auth",
//!                  SHA-256(exporter 32 ‖ relay_pk ‖ space_id ‖ device_id ‖ auth_pk))
//! ```

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{DeviceId, SpaceId, hash};
use crate::link::{signed_message, verify};
use crate::{label, version};

const WHAT: &str = "login";

/// A login message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// Relay it is meant for: a login cannot be forwarded to another one.
    pub relay: [u8; 32],
    /// Space to enter; zero in a recovery login, which names it by the login key alone.
    pub space: SpaceId,
    /// Device that enters; zero in a recovery login.
    pub device: DeviceId,
    /// Its login key.
    pub auth: [u8; 32],
    /// Signature over [`login_hash`].
    pub signature: [u8; 64],
}

/// What a login signs. `exporter` is 32 bytes of keying material exported from the TLS
/// session under [`label::EXPORTER`] with an empty context.
#[must_use]
pub fn login_hash(
    exporter: &[u8; 32],
    relay: &[u8; 32],
    space: &SpaceId,
    device: &DeviceId,
    auth: &[u8; 32],
) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [exporter, relay, &space.0, &device.0, auth] {
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl Login {
    /// Writes the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(193);
        out.u8(version::OBJECT)
            .raw(&self.relay)
            .raw(&self.space.0)
            .raw(&self.device.0);
        out.raw(&self.auth).raw(&self.signature);
        out.finish()
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != version::OBJECT {
            return Err(Malformed::Version(WHAT));
        }
        let login = Self {
            relay: reader.array()?,
            space: SpaceId(reader.array()?),
            device: DeviceId(reader.array()?),
            auth: reader.array()?,
            signature: reader.array()?,
        };
        reader.finish()?;
        Ok(login)
    }

    /// Checks that the login was made for this relay in this TLS session by its own key.
    /// That the key belongs to an active device of the space is the caller's check.
    ///
    /// # Errors
    /// [`Malformed::Value`] for another relay, [`Malformed::Key`], [`Malformed::Signature`].
    pub fn verify(&self, relay: &[u8; 32], exporter: &[u8; 32]) -> Result<(), Malformed> {
        if self.relay != *relay {
            return Err(Malformed::Value(WHAT));
        }
        let message = login_hash(exporter, &self.relay, &self.space, &self.device, &self.auth);
        verify(
            &self.auth,
            label::RELAY_AUTH,
            &message,
            &self.signature,
            WHAT,
        )
    }
}

/// Permit of a relay for a space: its signature under its identity key. A relay that lost
/// its data but not its key re-admits its own spaces by it, and no others.
#[must_use]
pub fn permit(relay_key: &SigningKey, space: &SpaceId) -> [u8; 64] {
    relay_key
        .sign(&signed_message(label::RELAY_PERMIT, &permit_hash(space)))
        .to_bytes()
}

/// Checks a permit.
///
/// # Errors
/// [`Malformed::Signature`] or [`Malformed::Key`].
pub fn verify_permit(
    relay: &[u8; 32],
    space: &SpaceId,
    permit: &[u8; 64],
) -> Result<(), Malformed> {
    verify(
        relay,
        label::RELAY_PERMIT,
        &permit_hash(space),
        permit,
        "relay permit",
    )
}

fn permit_hash(space: &SpaceId) -> [u8; 32] {
    hash(label::RELAY_PERMIT, &[&space.0])
}
