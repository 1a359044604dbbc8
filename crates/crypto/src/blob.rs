//! Blobs (protocol §2.12): photos, files and packs, sealed as a stream of chunks so that nobody
//! needs to hold a whole one in memory.
//!
//! ```text
//! plaintext   content ‖ 0x80 ‖ 0x00…, padded as every content (§2.13)
//! chunks      64 KiB of plaintext each, the last one with what is left (never empty)
//! key         Derive(ikm = random key, salt, "ajar/v1/blob-key", 32)
//! nonce       u88 number of the chunk from 0 ‖ u8 1 for the last chunk, else 0
//! chunk       ChaCha20-Poly1305(key, nonce, no aad, plaintext): ciphertext ‖ tag 16
//! blob id     SHA-256(all chunks, one after the other)
//! ```
//!
//! The length of the content is known on both sides, so both know how many chunks there are and
//! which is the last: a stream that ends early, goes on, or does not mark its last chunk is
//! found out. What [`BlobOpener::push`] gives is not to be shown or kept before
//! [`BlobOpener::finish`] has said yes.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    aead::{TAG, open_counted_in_place, seal_counted_in_place},
    error::EntropyFailed,
    kdf::{derive, same},
    label::BLOB_KEY,
    pad::{END_OF_CONTENT, padded_len},
    secret::{Entropy, Secret, random_bytes},
};

/// Plaintext of every chunk but the last, in bytes.
pub const CHUNK: usize = 64 << 10;
/// Every chunk but the last as it is sealed, in bytes.
pub const SEALED_CHUNK: usize = CHUNK + TAG;
/// Bytes of the salt that stands beside a blob's key.
pub const SALT: usize = 16;

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobSealError {
    /// The length is over anything that can be sealed.
    #[error("too large to be sealed as one blob")]
    TooLarge,
    /// More content came than was announced, or less: the file changed while it was read.
    #[error("the content is not as long as announced; it changed while it was read")]
    OtherLength,
}

/// Why a blob does not open. Nothing of it may be used then.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobOpenError {
    /// The announced length is over anything that can be sealed.
    #[error("the announced length of the blob cannot be")]
    TooLarge,
    /// A chunk does not open: another key or salt, another place, or changed bytes.
    #[error("a chunk of the blob does not open")]
    NotOpened,
    /// It ends before its last chunk does.
    #[error("the blob is cut short")]
    Truncated,
    /// Something follows the last chunk.
    #[error("something follows the end of the blob")]
    TrailingBytes,
    /// After the announced content comes something else than its padding.
    #[error("the padding of the blob is not canonical")]
    BadPadding,
    /// All chunks open, but together they are not the blob that was asked for.
    #[error("this is another blob than the one asked for")]
    OtherBlob,
}

/// Key and salt of one blob. Each blob has its own; they lie in the sealed record that names
/// the blob.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobKey {
    key: Secret<32>,
    salt: [u8; SALT],
}

impl BlobKey {
    /// Takes back what a record holds.
    #[must_use]
    pub fn new(key: Secret<32>, salt: [u8; SALT]) -> Self {
        Self { key, salt }
    }

    /// Draws key and salt of a new blob.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        Ok(Self {
            key: Secret::random(entropy)?,
            salt: random_bytes(entropy)?,
        })
    }

    /// The key, for the record that names the blob.
    #[must_use]
    pub fn key(&self) -> &Secret<32> {
        &self.key
    }

    /// The salt, for the record that names the blob.
    #[must_use]
    pub fn salt(&self) -> &[u8; SALT] {
        &self.salt
    }

    fn stream(&self) -> Stream {
        Stream {
            key: derive(self.key.expose(), &self.salt, BLOB_KEY, &[]),
            next: 0,
            hash: Sha256::new(),
        }
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobKey(..)")
    }
}

/// Length of the plaintext with its padding, in bytes.
fn padded(length: u64) -> Option<u64> {
    let length = usize::try_from(length).ok()?.checked_add(1)?;
    let padded = padded_len(length);
    if padded < length {
        return None;
    }
    u64::try_from(padded).ok()
}

/// Bytes of the sealed form of `length` bytes of content; `None` when that cannot be.
#[must_use]
pub fn sealed_len(length: u64) -> Option<u64> {
    let padded = padded(length)?;
    let chunks = padded.div_ceil(CHUNK as u64);
    padded.checked_add(chunks.checked_mul(TAG as u64)?)
}

/// What sealing and opening have in common: the key, the next nonce, the hash.
struct Stream {
    key: Secret<32>,
    next: u64,
    hash: Sha256,
}

impl Stream {
    /// The nonce of the next chunk. A `u64` of chunks is more than there are bytes.
    fn nonce(&mut self, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        let number = self.next.to_be_bytes();
        for (place, byte) in nonce.iter_mut().skip(3).zip(number) {
            *place = byte;
        }
        if let Some(flag) = nonce.last_mut() {
            *flag = u8::from(last);
        }
        self.next += 1;
        nonce
    }
}

/// Seals one blob, piece by piece.
pub struct BlobSealer {
    stream: Stream,
    /// Content that is still to come.
    content_left: u64,
    /// Plaintext with padding that is still to be sealed, what lies in the chunk included.
    plaintext_left: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl BlobSealer {
    /// Begins to seal `length` bytes of content.
    ///
    /// # Errors
    /// [`BlobSealError::TooLarge`].
    pub fn new(key: &BlobKey, length: u64) -> Result<Self, BlobSealError> {
        let plaintext_left = padded(length).ok_or(BlobSealError::TooLarge)?;
        Ok(Self {
            stream: key.stream(),
            content_left: length,
            plaintext_left,
            chunk: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK)),
        })
    }

    /// Takes the next bytes of content and appends to `out` what is sealed by now.
    ///
    /// # Errors
    /// [`BlobSealError::OtherLength`] when it is more than was announced.
    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), BlobSealError> {
        self.content_left = u64::try_from(content.len())
            .ok()
            .and_then(|more| self.content_left.checked_sub(more))
            .ok_or(BlobSealError::OtherLength)?;
        self.fill(content, out);
        Ok(())
    }

    /// Pads, seals the last chunk, and gives the blob's id.
    ///
    /// # Errors
    /// [`BlobSealError::OtherLength`] when content is missing.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<[u8; 32], BlobSealError> {
        if self.content_left > 0 {
            return Err(BlobSealError::OtherLength);
        }
        self.fill(&[END_OF_CONTENT], out);
        while self.plaintext_left > 0 {
            let room = CHUNK.saturating_sub(self.chunk.len()) as u64;
            let missing = self.plaintext_left.saturating_sub(self.chunk.len() as u64);
            let zeros = usize::try_from(missing.min(room)).unwrap_or(0);
            let filled = self.chunk.len() + zeros;
            self.chunk.resize(filled, 0);
            self.seal_if_full(out);
        }
        Ok(self.stream.hash.finalize().into())
    }

    fn fill(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) {
        while !plaintext.is_empty() {
            let room = CHUNK.saturating_sub(self.chunk.len()).min(plaintext.len());
            let (now, later) = plaintext.split_at(room);
            self.chunk.extend_from_slice(now);
            plaintext = later;
            self.seal_if_full(out);
        }
    }

    /// Seals the chunk once it is full or holds all that is left.
    fn seal_if_full(&mut self, out: &mut Vec<u8>) {
        let length = self.chunk.len() as u64;
        let last = length == self.plaintext_left;
        if !last && self.chunk.len() < CHUNK {
            return;
        }
        let nonce = self.stream.nonce(last);
        seal_counted_in_place(self.stream.key.expose(), &nonce, &[], &mut self.chunk);
        self.stream.hash.update(&*self.chunk);
        out.extend_from_slice(&self.chunk);
        self.plaintext_left -= length;
        // What is in it is ciphertext now.
        self.chunk.clear();
    }
}

impl fmt::Debug for BlobSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobSealer(..)")
    }
}

/// Opens one blob, piece by piece.
pub struct BlobOpener {
    stream: Stream,
    id: [u8; 32],
    /// Content that is still to come.
    content_left: u64,
    /// Whether the end mark of the content was seen.
    marked: bool,
    /// Plaintext with padding that is still to come, what lies sealed in the chunk included.
    plaintext_left: u64,
    chunk: Zeroizing<Vec<u8>>,
}

impl BlobOpener {
    /// Begins to open the blob `id`, which holds `length` bytes of content.
    ///
    /// # Errors
    /// [`BlobOpenError::TooLarge`].
    pub fn new(key: &BlobKey, id: [u8; 32], length: u64) -> Result<Self, BlobOpenError> {
        let plaintext_left = padded(length).ok_or(BlobOpenError::TooLarge)?;
        Ok(Self {
            stream: key.stream(),
            id,
            content_left: length,
            marked: false,
            plaintext_left,
            chunk: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK)),
        })
    }

    /// Takes the next sealed bytes and appends to `out` the content that is open by now. It
    /// must not be used before [`Self::finish`].
    ///
    /// # Errors
    /// [`BlobOpenError`]; the blob is to be given up then.
    pub fn push(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), BlobOpenError> {
        self.stream.hash.update(sealed);
        while !sealed.is_empty() {
            let plaintext = self.plaintext_left.min(CHUNK as u64);
            if plaintext == 0 {
                return Err(BlobOpenError::TrailingBytes);
            }
            let whole = usize::try_from(plaintext).unwrap_or(CHUNK) + TAG;
            let room = whole.saturating_sub(self.chunk.len()).min(sealed.len());
            let (now, later) = sealed.split_at(room);
            self.chunk.extend_from_slice(now);
            sealed = later;
            if self.chunk.len() == whole {
                self.open_chunk(plaintext, out)?;
            }
        }
        Ok(())
    }

    fn open_chunk(&mut self, plaintext: u64, out: &mut Vec<u8>) -> Result<(), BlobOpenError> {
        let nonce = self.stream.nonce(plaintext == self.plaintext_left);
        open_counted_in_place(self.stream.key.expose(), &nonce, &[], &mut self.chunk)
            .map_err(|_| BlobOpenError::NotOpened)?;
        self.plaintext_left -= plaintext;
        let content = usize::try_from(self.content_left.min(plaintext)).unwrap_or(0);
        let (content, mut padding) = self.chunk.split_at(content);
        self.content_left -= content.len() as u64;
        out.extend_from_slice(content);
        if !self.marked
            && let Some((mark, rest)) = padding.split_first()
        {
            if *mark != END_OF_CONTENT {
                return Err(BlobOpenError::BadPadding);
            }
            self.marked = true;
            padding = rest;
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(BlobOpenError::BadPadding);
        }
        self.chunk.clear();
        Ok(())
    }

    /// Says whether this was the whole blob and the one that was asked for.
    ///
    /// # Errors
    /// [`BlobOpenError::Truncated`], [`BlobOpenError::OtherBlob`].
    pub fn finish(self) -> Result<(), BlobOpenError> {
        if self.plaintext_left > 0 || !self.marked {
            return Err(BlobOpenError::Truncated);
        }
        let found: [u8; 32] = self.stream.hash.finalize().into();
        if !same(&found, &self.id) {
            return Err(BlobOpenError::OtherBlob);
        }
        Ok(())
    }
}

impl fmt::Debug for BlobOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobOpener(..)")
    }
}
