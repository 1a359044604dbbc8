//! Every limit of the protocol, each with its reason.

/// Largest ciphertext of one envelope, without tag, in bytes (1 MiB): bounds what a receiver
/// holds for one object.
pub const ENVELOPE_CIPHERTEXT: usize = 1 << 20;
/// Largest whole envelope on the wire, in bytes.
pub const ENVELOPE: usize = ENVELOPE_CIPHERTEXT + 232 + 16 + 64;
/// Largest content of a CHANGES envelope after decompression, in bytes: one long entry fits
/// into one envelope, and its padded form still fits into [`ENVELOPE_CIPHERTEXT`].
pub const CHANGES_PLAINTEXT: usize = 1_000_000;
/// Largest body of a party-chain link, in bytes.
pub const LINK_BODY: usize = 4096;
/// Largest whole link, in bytes: header, body, signer and signature.
pub const LINK: usize = 88 + LINK_BODY + 32 + 64;
/// Largest signed genesis, in bytes.
pub const GENESIS: usize = 1024;
/// Documents one CHANGES envelope may touch.
pub const DOCS_PER_ENVELOPE: usize = 64;
/// Changes for one document within one envelope.
pub const CHANGES_PER_DOC: usize = 256;
/// Acknowledgements within one envelope: two parties with at most 64 devices ever.
pub const ACKS_PER_ENVELOPE: usize = 128;
/// Parents of an epoch.
pub const EPOCH_PARENTS: usize = 4;
/// Recipients of an epoch: eight devices and one recovery key for each of two parties.
pub const EPOCH_RECIPIENTS: usize = 18;
/// Sealed history inside an epoch record, in bytes (64 KiB: a thousand old epochs).
pub const EPOCH_HISTORY: usize = 64 << 10;
/// Active devices of one party at a time.
pub const ACTIVE_DEVICES: usize = 8;
/// Devices of one party ever; bounds frontiers.
pub const DEVICES_EVER: usize = 64;
/// Links in one party chain; 64 a day is the rate limit, this is the ceiling of a life.
pub const CHAIN_LINKS: usize = 4096;
/// Sealed device label inside DEVICE_ADD, in bytes.
pub const SEALED_LABEL: usize = 256;
/// One frame after login, in bytes: an envelope and its framing.
pub const FRAME: usize = ENVELOPE + 64;
/// One frame before login, in bytes: strangers get no more memory than this.
pub const FRAME_BEFORE_LOGIN: usize = 4096;
/// Entries in a frontier on the wire: two parties with all devices they ever had.
pub const FRONTIER: usize = 2 * DEVICES_EVER;
/// One message in a pairing mailbox, in bytes.
pub const MAILBOX_MESSAGE: usize = 16 << 10;
/// Messages one side may put into a pairing mailbox.
pub const MAILBOX_MESSAGES: usize = 8;
/// Largest content of a blob, in bytes (25 MiB): a large photo; bounds what one download costs.
pub const BLOB_CONTENT: u64 = 25 << 20;
/// Largest ciphertext of a blob, in bytes: the content, its padding (at most an eighth) and a
/// tag for each 64 KiB.
pub const BLOB: u64 = 29 << 20;
/// Blobs named in one message or deletion.
pub const BLOBS_PER_MESSAGE: usize = 1024;
/// Documents that one BURN may name.
pub const DOCS_PER_BURN: usize = 256;
/// Blobs that one BURN may name.
pub const BLOBS_PER_BURN: usize = 4096;
/// Packs of one snapshot: a hundred thousand documents in a thousand months, several to each.
pub const PACKS: usize = 4096;
/// Burned documents that a snapshot names; with [`PACKS`] and [`RETIRED_EPOCHS`] at their limit
/// it still fits into one envelope.
pub const BURNED_DOCS: usize = 20_000;
/// Epochs that one snapshot gives up.
pub const RETIRED_EPOCHS: usize = 1024;
/// Heads of one document: devices that wrote at the same time.
pub const HEADS_PER_DOC: usize = 1024;
/// Largest trim record, in bytes.
pub const TRIM: usize = 64 << 10;
/// Longest relay host name in an address, in bytes.
pub const HOST: usize = 255;
