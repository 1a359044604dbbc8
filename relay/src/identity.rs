//! The relay's identity: one Ed25519 key that devices pin. It signs the TLS handshake and the
//! permits of admitted spaces; whoever loses it has a new address to hand out.

use std::fmt;

use ajar_protocol::SpaceId;
use ajar_protocol::auth;
use ed25519_dalek::SigningKey;

/// The identity key. Zeroized on drop, never shown.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    /// The identity of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The public key that devices pin (32 bytes).
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The seed, for the key file and for the TLS library.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Permit for a space (protocol §2.8).
    pub(crate) fn permit(&self, space: &SpaceId) -> [u8; 64] {
        auth::permit(&self.key, space)
    }
}
