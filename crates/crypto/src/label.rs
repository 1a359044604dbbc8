//! Domain-separation labels for everything that involves a secret or is shown to people as
//! words (protocol §2.1). Labels for public hashes and signatures live in `ajar-protocol`.
//!
//! One key, one purpose: each constant is used in exactly one place.

pub use ajar_protocol::label::prefixed;

/// Envelope key and its commitment (§2.4).
pub const ENV_KEY: &str = "ajar/v1/env-key";
/// Commitment of an epoch record to its key (§2.7).
pub const EPOCH_COMMIT: &str = "ajar/v1/epoch-commit";
/// HPKE info when an epoch key is sealed to a recipient (§2.7).
pub const EPOCH_SEAL: &str = "ajar/v1/epoch-seal";
/// Key under which an epoch record carries older epoch keys (§2.7).
pub const EPOCH_HIST: &str = "ajar/v1/epoch-hist";
/// Key of an attachment (§2.12).
pub const BLOB_KEY: &str = "ajar/v1/blob-key";
/// Pairing identity when a person links a device of their own (§2.9).
pub const PAIR_DEVICE_LINK: &str = "ajar/v1/pair/device-link";
/// Pairing identity when two people meet (§2.9).
pub const PAIR_PARTNER_LINK: &str = "ajar/v1/pair/partner-link";
/// Confirmation by the side that shows the code (§2.9).
pub const PAIR_CONFIRM_A: &str = "ajar/v1/pair-confirm-a";
/// Confirmation by the side that enters the code (§2.9).
pub const PAIR_CONFIRM_B: &str = "ajar/v1/pair-confirm-b";
/// Channel key from the shower to the enterer (§2.9).
pub const PAIR_KEY_AB: &str = "ajar/v1/pair-key-ab";
/// Channel key from the enterer to the shower (§2.9).
pub const PAIR_KEY_BA: &str = "ajar/v1/pair-key-ba";
/// Extraction salt and slot ids of the recovery phrase (§2.2).
pub const RECOVERY: &str = "ajar/v1/recovery";
/// Root signing key of a party (§2.2).
pub const PARTY_ROOT: &str = "ajar/v1/party-root";
/// Relay login key used during recovery only (§2.2).
pub const PARTY_LOGIN: &str = "ajar/v1/party-login";
/// Recovery key that receives every epoch (§2.2).
pub const PARTY_RECOVERY_KEM: &str = "ajar/v1/party-recovery-kem";
/// Key that wraps a local master key under a passphrase (§2.16).
pub const VAULT_KEK: &str = "ajar/v1/vault-kek";
/// Key that seals values of the local store (§2.16).
pub const DB_VALUE: &str = "ajar/v1/db-value";
/// Key that hides names of the local store (§2.16).
pub const DB_NAME: &str = "ajar/v1/db-name";
/// Key of the sealed key file (§2.16).
pub const KEYFILE: &str = "ajar/v1/keyfile";
/// Six words that both partners compare after pairing (§2.9).
pub use ajar_protocol::label::SAFETY_WORDS;
/// Four words over the frontier, compared in person (§2.11).
pub const SYNC_WORDS: &str = "ajar/v1/sync-words";
/// Four words over a pairing, shown on the new device (§2.9).
pub const LINK_SAS: &str = "ajar/v1/link-sas";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_purposes_share_a_label() {
        let mut all = [
            ENV_KEY,
            EPOCH_COMMIT,
            EPOCH_SEAL,
            EPOCH_HIST,
            BLOB_KEY,
            PAIR_DEVICE_LINK,
            PAIR_PARTNER_LINK,
            PAIR_CONFIRM_A,
            PAIR_CONFIRM_B,
            PAIR_KEY_AB,
            PAIR_KEY_BA,
            RECOVERY,
            PARTY_ROOT,
            PARTY_LOGIN,
            PARTY_RECOVERY_KEM,
            VAULT_KEK,
            DB_VALUE,
            DB_NAME,
            KEYFILE,
            SAFETY_WORDS,
            SYNC_WORDS,
            LINK_SAS,
        ];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(all.iter().all(|label| label.starts_with("ajar/v1/")));
    }
}
