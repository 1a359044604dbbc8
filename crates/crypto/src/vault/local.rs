//! What a local master key opens: the sealed key file, the hidden names of the index, and,
//! through keys kept in the key file, the sealed records of the log.
//!
//! ```text
//! key file   u8 1 | u8 which | nonce 24 | XChaCha20-Poly1305(keyfile key, padded content)
//!            aad = L("ajar/v1/keyfile") ‖ first two bytes
//! record     nonce 24 | XChaCha20-Poly1305(segment key, value), aad from the caller
//! name       HMAC-SHA256(db-name key, logical name)
//! ```

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use super::WhichSpace;
use crate::{
    aead::{TAG, XNONCE, xopen, xseal},
    error::{EntropyFailed, NotOpened},
    kdf::{derive, mac},
    label::{DB_NAME, DB_VALUE, KEYFILE, prefixed},
    pad::{pad_to, strip},
    secret::{Entropy, Secret, random_bytes},
};

/// A key file's content is padded to a multiple of this, in bytes (64 KiB): in practice every
/// key file has the same length.
pub const KEYFILE_BLOCK: usize = 64 << 10;
/// Largest padded content of a key file, in bytes (4 MiB: over 60 000 epochs).
pub const KEYFILE_LARGEST: usize = 64 * KEYFILE_BLOCK;
/// Bytes that sealing adds to a record: nonce and tag.
pub const RECORD_OVERHEAD: usize = XNONCE + TAG;

const VERSION: u8 = 1;
const FRONT: usize = 2;

/// Why a key file was not sealed or does not open.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyfileError {
    /// No randomness; nothing was sealed.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// The content is over [`KEYFILE_LARGEST`].
    #[error("the key file would be too large")]
    TooLarge,
    /// Another key, another space, or changed bytes.
    #[error("the key file is damaged; restore it from a backup or use the recovery words")]
    Damaged,
    /// A version that this program does not know.
    #[error("the key file was made by a newer version of Ajar; update Ajar")]
    Version,
}

/// The keys that follow from one space's local master key. Dropping them is what locking is.
#[derive(Clone)]
pub struct LocalKeys {
    value: SegmentKey,
    name: Secret<32>,
    keyfile: Secret<32>,
}

impl LocalKeys {
    /// Derives the three keys from a local master key, by label.
    #[must_use]
    pub fn derive(lmk: &Secret<32>) -> Self {
        let key = |label| derive(lmk.expose(), &[], label, &[]);
        Self {
            value: SegmentKey(key(DB_VALUE)),
            name: key(DB_NAME),
            keyfile: key(KEYFILE),
        }
    }

    /// Key for values that are stored outside the log.
    #[must_use]
    pub fn value_key(&self) -> &SegmentKey {
        &self.value
    }

    /// The name under which the index stores `logical`: 32 bytes that say nothing.
    #[must_use]
    pub fn name(&self, logical: &[u8]) -> [u8; 32] {
        mac(self.name.expose(), &[logical])
    }

    /// Seals the content of a key file; the result has one of few lengths.
    ///
    /// # Errors
    /// [`KeyfileError::TooLarge`] or [`KeyfileError::Entropy`].
    pub fn seal_keyfile(
        &self,
        which: WhichSpace,
        content: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, KeyfileError> {
        let total = padded(content.len());
        if total > KEYFILE_LARGEST {
            return Err(KeyfileError::TooLarge);
        }
        let nonce: [u8; XNONCE] = random_bytes(entropy)?;
        let front = [VERSION, which as u8];
        let mut body = pad_to(content, total);
        xseal(self.keyfile.expose(), &nonce, &aad(front), &mut body);
        Ok([front.as_slice(), &nonce, &body].concat())
    }

    /// Opens a key file of the given space.
    ///
    /// # Errors
    /// [`KeyfileError::Damaged`] or [`KeyfileError::Version`].
    pub fn open_keyfile(
        &self,
        which: WhichSpace,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyfileError> {
        if sealed.len() > FRONT + RECORD_OVERHEAD + KEYFILE_LARGEST {
            return Err(KeyfileError::Damaged);
        }
        let (front, rest) = sealed
            .split_first_chunk::<FRONT>()
            .ok_or(KeyfileError::Damaged)?;
        let (nonce, body) = rest
            .split_first_chunk::<XNONCE>()
            .ok_or(KeyfileError::Damaged)?;
        let [version, for_space] = *front;
        if version != VERSION {
            return Err(KeyfileError::Version);
        }
        if for_space != which as u8 {
            return Err(KeyfileError::Damaged);
        }
        let mut content = xopen(self.keyfile.expose(), nonce, &aad(*front), body)
            .map_err(|_| KeyfileError::Damaged)?;
        let length = strip(&content).map_err(|_| KeyfileError::Damaged)?.len();
        if content.len() != padded(length) {
            return Err(KeyfileError::Damaged);
        }
        content.truncate(length);
        Ok(content)
    }
}

impl fmt::Debug for LocalKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKeys(..)")
    }
}

fn aad(front: [u8; FRONT]) -> Vec<u8> {
    let mut aad = prefixed(KEYFILE);
    aad.extend_from_slice(&front);
    aad
}

/// Whole blocks that hold `length` bytes and the end mark.
fn padded(length: usize) -> usize {
    length
        .saturating_add(1)
        .div_ceil(KEYFILE_BLOCK)
        .saturating_mul(KEYFILE_BLOCK)
}

/// The random key of one segment of the sealed log. It lives in the key file: destroying it
/// there makes the segment unreadable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentKey(Secret<32>);

impl SegmentKey {
    /// Takes a key back from the key file.
    #[must_use]
    pub fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// Draws the key of a new segment.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        Secret::random(entropy).map(Self)
    }

    /// The 32 bytes, for the key file.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Seals one record; [`RECORD_OVERHEAD`] longer than `value`. `aad` names its place
    /// (segment, name, schema) so that records cannot be moved.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn seal_record(
        &self,
        aad: &[u8],
        value: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EntropyFailed> {
        let nonce: [u8; XNONCE] = random_bytes(entropy)?;
        let mut body = Zeroizing::new(Vec::with_capacity(value.len() + TAG));
        body.extend_from_slice(value);
        xseal(self.expose(), &nonce, aad, &mut body);
        Ok([nonce.as_slice(), &body].concat())
    }

    /// Opens one record at the place `aad`.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open_record(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let (nonce, body) = sealed.split_first_chunk::<XNONCE>().ok_or(NotOpened)?;
        xopen(self.expose(), nonce, aad, body)
    }
}
