//! The local store's keys (protocol §2.16): `vault.hdr` as bytes, the keys derived from a
//! local master key, the sealed key file, hidden names and sealed records.

mod header;
mod local;

pub use header::{
    KdfParams, Passphrase, PassphraseError, UnlockError, VAULT_HEADER, VAULT_SLOT, VaultHeader,
    VaultHeaderError, VaultSlot, WhichSpace,
};
pub use local::{
    KEYFILE_BLOCK, KEYFILE_LARGEST, KeyfileError, LocalKeys, RECORD_OVERHEAD, SegmentKey,
};
