//! What can go wrong, and what to do next.

use std::{io, path::PathBuf, sync::Arc};

use crate::Position;

/// Why the log refused or failed.
///
/// Cloneable, because one failed write answers every batch that shared it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has this folder open.
    #[error(
        "{} is in use by another running program. Close it, then try again", .dir.display()
    )]
    Locked {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The disk has no room. Nothing of the batch was kept; the log goes on once there is space.
    #[error("the disk is full. Nothing was saved; free some space and try again")]
    DiskFull,
    /// The operating system refused a file operation.
    #[error("could not {what}: {source}")]
    Io {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The disk did not confirm a write. The batch may or may not be there after reopening.
    #[error("the disk did not confirm a write ({source}). Check the disk, then start again")]
    NotConfirmed {
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// An earlier write was not confirmed, so no further one is accepted until the log is reopened.
    #[error("an earlier write failed, so nothing more is saved until a restart. Check the disk")]
    Stopped,
    /// The record at this place is not what was written.
    #[error(
        "a stored record is damaged (segment {}, byte {}). Fetch it again from another device",
        .at.segment, .at.offset
    )]
    Damaged {
        /// Where the damaged record begins.
        at: Position,
    },
    /// No record begins at this position (any more): it was reclaimed, or never was one.
    #[error("no record at segment {}, byte {}; look the key up again", .at.segment, .at.offset)]
    NoRecord {
        /// The position asked for.
        at: Position,
    },
    /// A key is empty or above [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    #[error("a key of {len} bytes; keys have 1 to {} bytes", crate::MAX_KEY_BYTES)]
    KeyLength {
        /// The key's length in bytes.
        len: usize,
    },
    /// A value is above [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES).
    #[error("a value of {len} bytes; the largest is {}", crate::MAX_VALUE_BYTES)]
    ValueTooLarge {
        /// The value's length in bytes.
        len: usize,
    },
    /// A batch is above [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES).
    #[error(
        "a batch of {len} bytes; the largest is {}. Split it",
        crate::MAX_BATCH_BYTES
    )]
    BatchTooLarge {
        /// What the batch would take on disk, in bytes.
        len: u64,
    },
    /// The sealer failed on a record of this segment.
    #[error("segment {segment}: {source}")]
    Seal {
        /// The segment whose key was needed.
        segment: u64,
        /// The sealer's answer.
        source: SealError,
    },
    /// The index failed while running. The records are safe; reopening rebuilds the index.
    #[error("the index failed ({what}). Nothing is lost; start again and it is rebuilt")]
    Index {
        /// What the index engine said.
        what: Arc<str>,
    },
    /// A segment was written by a version this program does not know.
    #[error("segment {segment} was written by a newer version. Update this program")]
    Version {
        /// The segment's number.
        segment: u64,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// `append` or `submit` was called from a `done` callback, which would wait for itself.
    #[error("a batch was submitted from inside a completion callback; hand it to another thread")]
    FromCallback,
}

impl Error {
    /// For mapping the error of a file operation; lack of space becomes [`Error::DiskFull`].
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if is_full(&source) {
                Self::DiskFull
            } else {
                Self::Io {
                    what,
                    source: Arc::new(source),
                }
            }
        }
    }

    pub(crate) fn index(what: impl std::fmt::Display) -> Self {
        Self::Index {
            what: what.to_string().into(),
        }
    }
}

/// Whether the system says there is no space (or no quota) left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Why a [`Sealer`](crate::Sealer) could not do its work. Must not name a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct SealError {
    what: Arc<str>,
}

impl SealError {
    /// An error with these words, which may reach a log file or a screen.
    #[must_use]
    pub fn new(what: &str) -> Self {
        Self { what: what.into() }
    }
}
