//! Keys and sealing: envelopes, epochs, pairing, recovery words, vault, padding.
//!
//! Everything here is a pure function of its arguments: randomness comes in through
//! [`Entropy`], there is no clock, no I/O and no thread. Secrets are zeroized when dropped, are
//! redacted in `Debug`, and cannot be serialized by accident. Byte layouts follow
//! `docs/protocol.md` and are pinned by the vectors in `tests/vectors`.

mod aead;
pub mod blob;
pub mod device;
pub mod epoch;
pub mod error;
pub mod kdf;
pub mod label;
pub mod pad;
pub mod pairing;
pub mod recovery;
pub mod seal;
pub mod secret;
pub mod vault;
pub mod words;

pub use device::DeviceSecrets;
pub use epoch::EpochKey;
pub use error::EntropyFailed;
pub use recovery::{RecoveryPhrase, SlotKeys, SlotPublic};
pub use secret::{Entropy, Secret};
pub use words::PairingWords;
