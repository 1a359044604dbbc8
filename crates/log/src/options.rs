//! How a log is opened.

use std::{path::Path, sync::Arc};

use crate::{
    Error, Log, SealError,
    disk::{Disk, RealDisk},
    recovery,
};

/// Default size of a segment file.
const DEFAULT_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Smallest and largest size of a segment file.
const SEGMENT_BYTES: (u64, u64) = (8 * 1024, 1024 * 1024 * 1024);

/// Seals the values of one segment, for a log whose owner wants them unreadable on the disk.
///
/// Called from the log's threads and from readers, at the same time. Nonces are the sealer's
/// business; a sealed value may be up to [`SEALED_EXTRA`](crate::SEALED_EXTRA) bytes longer.
pub trait Sealer: Send + Sync {
    /// Called before the first record of a new segment is written. The segment's key must be
    /// durable when this returns. Called again for the same number if making the segment failed
    /// or a crash came in between; nothing was sealed for it then, so a new key may replace it.
    ///
    /// # Errors
    /// The batch waiting for the segment then fails with [`Error::Seal`].
    fn segment_begins(&self, segment: u64) -> Result<(), SealError>;

    /// Seals a value, bound to its segment and key.
    ///
    /// # Errors
    /// The batch then fails with [`Error::Seal`].
    fn seal(&self, segment: u64, key: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens what [`Sealer::seal`] returned for the same segment and key.
    ///
    /// # Errors
    /// The read then fails with [`Error::Seal`].
    fn open(&self, segment: u64, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError>;

    /// The segment's file is gone: its key may be destroyed. May be called again for the same
    /// number after a crash.
    ///
    /// # Errors
    /// Reported by [`Log::reclaim`]; compare [`Log::segments`] after the next open.
    fn segment_ended(&self, segment: u64) -> Result<(), SealError>;
}

/// Called with bytes read so far and bytes to read, while an index is rebuilt.
pub(crate) type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// How to open a [`Log`].
#[derive(Clone)]
pub struct Options {
    pub(crate) segment_bytes: u64,
    pub(crate) salt: u64,
    pub(crate) sealer: Option<Arc<dyn Sealer>>,
    pub(crate) progress: Option<Progress>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            salt: 0,
            sealer: None,
            progress: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("segment_bytes", &self.segment_bytes)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Segments of 64 MiB, no sealer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Size of a new segment's file, from 8 KiB to 1 GiB; other sizes become the nearest of these.
    /// A batch that needs more gets a larger segment.
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.clamp(SEGMENT_BYTES.0, SEGMENT_BYTES.1);
        self
    }

    /// Seals all values with `sealer`.
    #[must_use]
    pub fn with_sealer(mut self, sealer: Arc<dyn Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// A random number that enters the checksums of new segments. With it, somebody who may choose
    /// values cannot write one that is taken for a record next to a damaged place.
    #[must_use]
    pub fn with_salt(mut self, salt: u64) -> Self {
        self.salt = salt;
        self
    }

    /// Calls `progress(done, total)`, in bytes, after each segment read while the index is rebuilt.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Opens the log in `dir`, making the folder if needed, and repairs what a crash left.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it open; I/O errors. Damage is no error: it is
    /// in [`Log::report`].
    pub fn open(self, dir: &Path) -> Result<Log, Error> {
        self.open_on(dir, Arc::new(RealDisk))
    }

    pub(crate) fn open_on(self, dir: &Path, disk: Arc<dyn Disk>) -> Result<Log, Error> {
        recovery::open(self, dir, disk)
    }
}
