//! Packs: documents of one shelf, saved, compressed and sealed into a blob. Pure functions; they
//! may run on any thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ajar_crypto::blob::{BlobKey, BlobOpener, BlobSealer};
use ajar_crypto::{Entropy, EntropyFailed, Secret};
use ajar_protocol::snapshot::{PackRef, decode_pack, pack_digest};
use ajar_protocol::{BlobId, DocId, limits};
use automerge::Automerge;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::documents::prescan::prescan_document;
use crate::documents::{MAX_DOCUMENT_BYTES, Owner, owner};

/// Level of zstd: packs are written once and read often.
const LEVEL: i32 = 19;
/// Largest pack after decompression, in bytes: one largest document, or many small ones.
const EXPANDED: usize = 64 << 20;
/// Rows that all documents of a pack may stand for when they are loaded, and so many more for each
/// byte: what a hostile pack can cost is bounded by what it weighs.
const ROWS: u64 = 500_000;
const ROWS_PER_BYTE: u64 = 8;
/// Largest window of compression, as a power of two: what decompressing may hold in memory.
const WINDOW_LOG: u32 = 26;

/// A pack before it is sealed.
pub struct PlainPack {
    pub(crate) shelf: u32,
    pub(crate) docs: u32,
    pub(crate) digest: [u8; 32],
    pub(crate) content: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PlainPack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainPack")
            .field("shelf", &self.shelf)
            .field("docs", &self.docs)
            .finish_non_exhaustive()
    }
}

/// A pack as it travels.
#[derive(Clone, Debug)]
pub struct SealedPack {
    /// What a snapshot says of it.
    pub reference: PackRef,
    /// Its ciphertext.
    pub ciphertext: Vec<u8>,
}

/// Why a pack cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// It is over the limit of a blob.
    #[error("a pack of a snapshot is too large")]
    TooLarge,
    /// The ciphertext is not the one that its id names, or does not open.
    #[error("a pack of a snapshot is damaged")]
    Damaged,
    /// It opens, and what is in it is not what a snapshot may hold, or not what it says.
    #[error("a pack of a snapshot does not hold what it says")]
    Content,
}

/// Compresses and seals a pack under a key of its own.
///
/// # Errors
/// [`PackError::Entropy`], [`PackError::TooLarge`].
pub fn seal_pack(pack: &PlainPack, entropy: &mut dyn Entropy) -> Result<SealedPack, PackError> {
    let small = zstd::bulk::compress(&pack.content, LEVEL).map_err(|_| PackError::TooLarge)?;
    let small = Zeroizing::new(small);
    let length = small.len() as u64;
    if length > limits::BLOB_CONTENT {
        return Err(PackError::TooLarge);
    }
    let key = BlobKey::random(entropy)?;
    let mut sealer = BlobSealer::new(&key, length).map_err(|_| PackError::TooLarge)?;
    let mut ciphertext = Vec::with_capacity(small.len() + small.len() / 8 + 1024);
    sealer
        .push(&small, &mut ciphertext)
        .map_err(|_| PackError::TooLarge)?;
    let id = sealer
        .finish(&mut ciphertext)
        .map_err(|_| PackError::TooLarge)?;
    let reference = PackRef {
        shelf: pack.shelf,
        blob: BlobId(id),
        key: *key.key().expose(),
        salt: *key.salt(),
        length,
        docs: pack.docs,
        digest: pack.digest,
    };
    Ok(SealedPack {
        reference,
        ciphertext,
    })
}

/// A document of a pack, loaded and found to be what the pack says.
pub struct OpenedDoc {
    pub(crate) doc: DocId,
    pub(crate) saved: Vec<u8>,
    pub(crate) loaded: Automerge,
}

/// A pack whose documents are all what it says.
pub struct OpenedPack {
    pub(crate) reference: PackRef,
    pub(crate) docs: Vec<OpenedDoc>,
}

impl std::fmt::Debug for OpenedPack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedPack")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// Opens a pack and loads its documents. Everything in it is looked at before Automerge sees
/// it: whoever made it may be hostile.
///
/// # Errors
/// [`PackError::Damaged`], [`PackError::Content`].
pub fn open_pack(reference: &PackRef, ciphertext: &[u8]) -> Result<OpenedPack, PackError> {
    let key = BlobKey::new(Secret::new(reference.key), reference.salt);
    let mut small = Vec::new();
    let mut opener = BlobOpener::new(&key, reference.blob.0, reference.length)
        .map_err(|_| PackError::Damaged)?;
    opener
        .push(ciphertext, &mut small)
        .map_err(|_| PackError::Damaged)?;
    opener.finish().map_err(|_| PackError::Damaged)?;
    let small = Zeroizing::new(small);
    let content = expand(&small).ok_or(PackError::Content)?;
    let packed = decode_pack(&content).map_err(|_| PackError::Content)?;
    let digest = pack_digest(packed.iter().map(|doc| (&doc.doc, doc.heads.as_slice())));
    if digest != reference.digest || packed.len() != reference.docs as usize {
        return Err(PackError::Content);
    }
    let mut docs = Vec::with_capacity(packed.len());
    let mut room = ROWS + content.len() as u64 * ROWS_PER_BYTE;
    for doc in packed {
        if owner(&doc.doc).is_none() || doc.saved.len() as u64 > 2 * MAX_DOCUMENT_BYTES {
            return Err(PackError::Content);
        }
        let rows = prescan_document(doc.saved).map_err(|_| PackError::Content)?;
        room = room.checked_sub(rows).ok_or(PackError::Content)?;
        let loaded = catch_unwind(AssertUnwindSafe(|| Automerge::load(doc.saved)));
        let Ok(Ok(loaded)) = loaded else {
            return Err(PackError::Content);
        };
        if heads(&loaded) != doc.heads {
            return Err(PackError::Content);
        }
        docs.push(OpenedDoc {
            doc: doc.doc,
            saved: doc.saved.to_vec(),
            loaded,
        });
    }
    Ok(OpenedPack {
        reference: reference.clone(),
        docs,
    })
}

/// Heads of a document as a pack lists them.
pub(crate) fn heads(doc: &Automerge) -> Vec<[u8; 32]> {
    let mut heads: Vec<[u8; 32]> = doc.get_heads().into_iter().map(|head| head.0).collect();
    heads.sort_unstable();
    heads
}

/// Decompresses one zstd frame, never more than [`EXPANDED`] bytes whatever it claims.
fn expand(small: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    use std::io::Read;
    let mut reader = zstd::stream::read::Decoder::new(small).ok()?;
    reader.window_log_max(WINDOW_LOG).ok()?;
    let mut content = Zeroizing::new(Vec::new());
    let most = EXPANDED as u64 + 1;
    reader.take(most).read_to_end(&mut content).ok()?;
    (content.len() <= EXPANDED).then_some(content)
}

impl Owner {
    /// Place of the party in the genesis, if it belongs to one.
    pub(crate) fn place(self) -> Option<usize> {
        match self {
            Self::Party(place) => Some(place),
            Self::Common => None,
        }
    }
}
