//! Domain-separation labels for everything that is hashed or signed in public
//! (protocol §2.1). Labels used with secrets live in `ajar-crypto`.
//!
//! A label is written as one length byte followed by its ASCII text ([`prefixed`]).

/// Envelope id.
pub const ENV_HASH: &str = "ajar/v1/env-hash";
/// Envelope signature.
pub const ENV_SIG: &str = "ajar/v1/env-sig";
/// Hash of a party-chain link.
pub const LINK_HASH: &str = "ajar/v1/link-hash";
/// Signature of a party-chain link.
pub const LINK_SIG: &str = "ajar/v1/link-sig";
/// Proof that a new device holds the keys it asks to be linked with.
pub const LINK_POP: &str = "ajar/v1/link-pop";
/// Second signature of ROOT_REPLACE.
pub const LINK_COSIGN: &str = "ajar/v1/link-cosign";
/// Party id, from the hash of its GENESIS link.
pub const PARTY_ID: &str = "ajar/v1/party-id";
/// Space id, from its genesis without signatures.
pub const SPACE_ID: &str = "ajar/v1/space-id";
/// Signatures under a space genesis.
pub const SPACE_SIG: &str = "ajar/v1/space-sig";
/// Device id, from the three public keys of the device.
pub const DEVICE_ID: &str = "ajar/v1/device-id";
/// Id under which a party's root key signs links.
pub const ROOT_ID: &str = "ajar/v1/root-id";
/// Id under which a party's recovery key receives epochs.
pub const RECOVERY_ID: &str = "ajar/v1/recovery-id";
/// Membership head.
pub const MHEAD: &str = "ajar/v1/mhead";
/// Automerge actor id.
pub const ACTOR: &str = "ajar/v1/actor";
/// Document that has its place in a space by a name.
pub const NAMED_DOC: &str = "ajar/v1/named-doc";
/// Commands of a device to its relay: trims and deletions.
pub const RELAY_CMD: &str = "ajar/v1/relay-cmd";
/// Trim statement, before it is signed under [`RELAY_CMD`].
pub const TRIM: &str = "ajar/v1/trim";
/// Deletion of blobs, before it is signed under [`RELAY_CMD`].
pub const DELETE_BLOBS: &str = "ajar/v1/delete-blobs";
/// Documents and heads of a pack.
pub const PACK_HEADS: &str = "ajar/v1/pack-heads";
/// Login at a relay.
pub const RELAY_AUTH: &str = "ajar/v1/relay-auth";
/// Permit that a relay gives to a space it has admitted.
pub const RELAY_PERMIT: &str = "ajar/v1/relay-permit";
/// Words that both partners compare after pairing.
pub const SAFETY_WORDS: &str = "ajar/v1/safety-words";
/// Label of the TLS exporter that binds a login to its connection.
pub const EXPORTER: &[u8] = b"EXPORTER-ajar-v1-relay-auth";

/// `L(s)`: one length byte, then the ASCII text of `label`.
///
/// # Panics
/// Never for the labels of this project, which are all shorter than 256 bytes.
#[must_use]
pub fn prefixed(label: &str) -> Vec<u8> {
    let length = u8::try_from(label.len()).expect("labels are constants shorter than 256 bytes");
    let mut out = Vec::with_capacity(label.len() + 1);
    out.push(length);
    out.extend_from_slice(label.as_bytes());
    out
}
