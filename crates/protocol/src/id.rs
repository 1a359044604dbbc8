//! Identifiers. All but [`DocId`] are SHA-256 hashes under a label of their own, so an id
//! binds what it names.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::label;

/// `Hash(s, x) = SHA-256(L(s) ‖ x)` over the concatenation of `parts` (protocol §2.1).
#[must_use]
pub fn hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(label::prefixed(label));
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            #[doc = concat!("All zero: stands for \"none\" where the layout says so (", stringify!($len), " bytes).")]
            pub const ZERO: Self = Self([0; $len]);

            /// The bytes of the id.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Lower-case hexadecimal text.
            #[must_use]
            pub fn to_hex(&self) -> String {
                HEXLOWER.encode(&self.0)
            }

            /// Parses [`Self::to_hex`]; `None` when it is not exactly that.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let head: Vec<u8> = self.0.iter().copied().take(4).collect();
                write!(f, "{}({}…)", stringify!($name), HEXLOWER.encode(&head))
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

id!(
    /// A space: an encrypted replicated container of one or two parties (protocol §2.3).
    SpaceId, 32
);
id!(
    /// A party: one person's signed device chain within one space (protocol §2.3).
    PartyId, 32
);
id!(
    /// A device within one space, the hash of its three public keys (protocol §2.2).
    DeviceId, 32
);
id!(
    /// An envelope, the hash of its header and ciphertext (protocol §2.4).
    EnvelopeId, 32
);
id!(
    /// An epoch, the id of the EPOCH envelope that created it (protocol §2.7).
    EpochId, 32
);
id!(
    /// A party-chain link without its signature (protocol §2.3).
    LinkHash, 32
);
id!(
    /// A blob: SHA-256 of its ciphertext (protocol §2.12).
    BlobId, 32
);
id!(
    /// A document: random, so it says nothing.
    DocId, 16
);

impl From<EnvelopeId> for EpochId {
    fn from(id: EnvelopeId) -> Self {
        Self(id.0)
    }
}

/// Automerge actor id of a device for one document: the first 16 bytes of
/// `Hash("ajar/v1/actor", space ‖ device ‖ doc ‖ incarnation)` (protocol §2.6).
#[must_use]
pub fn actor(space: &SpaceId, device: &DeviceId, doc: &DocId, incarnation: u32) -> [u8; 16] {
    let full = hash(
        label::ACTOR,
        &[&space.0, &device.0, &doc.0, &incarnation.to_be_bytes()],
    );
    let mut out = [0; 16];
    out.copy_from_slice(full.split_at(16).0);
    out
}
