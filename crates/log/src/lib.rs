//! An append-only, checksummed, fsynced segment log with a sled index that can always be rebuilt.
//!
//! The log is the truth: a batch is acknowledged once its bytes are synced, and is there after a
//! crash as a whole or not at all. The index maps a key to the place of its newest record, is
//! written after the acknowledgement and is thrown away at the first sign of trouble.
//!
//! Folder: `lock`, `checkpoint`, `log/<number>.seg`, `index/<generation>/`.

mod batch;
mod checkpoint;
mod committer;
mod disk;
mod error;
mod index;
mod indexer;
mod options;
mod reclaim;
mod record;
mod recovery;
mod report;
mod segment;
mod shared;

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

pub use batch::Batch;
pub use error::{Error, SealError};
pub use options::{Options, Sealer};
pub use report::{Damage, OpenReport, Reclaimed, Stats};

use crate::{
    batch::{Done, Request, Ticket},
    shared::{Shared, lock},
};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Largest value, in bytes (before sealing).
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;
/// Largest batch, in bytes on disk.
pub const MAX_BATCH_BYTES: u64 = 64 * 1024 * 1024;
/// How many bytes a [`Sealer`] may add to a value.
pub const SEALED_EXTRA: usize = 256;

/// Where a record stands. Ordered by arrival: a record acknowledged earlier compares lower.
///
/// [`Log::reclaim`] rewrites live records at the head, which gives them new, later positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment's number; numbers grow and are never used twice.
    pub segment: u64,
    /// Bytes from the start of the segment's file.
    pub offset: u64,
}

/// An open log. Clones share it; it closes when the last one is dropped, or at [`Log::close`].
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

/// Owns the two threads.
struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    committer: JoinHandle<()>,
    indexer: JoinHandle<()>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// Writes a batch and waits until it is durable.
    ///
    /// Batches waiting at the same time share one write and one sync.
    ///
    /// # Errors
    /// Nothing of the batch is kept, except after [`Error::NotConfirmed`], when it may or may not
    /// be there after reopening.
    pub fn append(&self, batch: Batch) -> Result<(), Error> {
        let (ticket, done) = Ticket::new();
        self.inner
            .shared
            .queue
            .push(Request::from_batch(batch, done)?)?;
        ticket.wait()
    }

    /// Queues a batch and returns; `done` runs on the log's own thread once the batch is durable
    /// or has failed. Blocks while the queue (1024 batches, 32 MiB) is full.
    ///
    /// Batches become durable, and visible, in the order they were queued. `done` must be short
    /// and must not call [`Log::append`] or [`Log::submit`].
    ///
    /// # Errors
    /// When the batch breaks a limit or the log is closed; `done` is then never called.
    pub fn submit(
        &self,
        batch: Batch,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let request = Request::from_batch(batch, Box::new(done) as Done)?;
        self.inner.shared.queue.push(request)
    }

    /// The newest value of a key, its checksum checked.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the record is not what was written, never another value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.shared.value_of(key)
    }

    /// Whether a key has a value, by the index alone.
    ///
    /// # Errors
    /// When the index fails.
    pub fn contains(&self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.inner.shared.locate(key)?.is_some())
    }

    /// All keys that begin with `prefix`, in the order of their bytes.
    ///
    /// # Errors
    /// When the index fails.
    pub fn keys_with_prefix(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Position)>, Error> {
        self.inner.shared.keys_with_prefix(prefix)
    }

    /// The first `most` keys from `from` on that are less than `to`, in the order of their bytes:
    /// memory is bounded however many there are.
    ///
    /// # Errors
    /// When the index fails.
    pub fn keys_between(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Position)>, Error> {
        self.inner.shared.keys_between(from, to, most)
    }

    /// Where the newest record of a key stands.
    ///
    /// # Errors
    /// When the index fails.
    pub fn position(&self, key: &[u8]) -> Result<Option<Position>, Error> {
        Ok(self.inner.shared.locate(key)?.map(|loc| loc.at))
    }

    /// Key and value of the record at a position that [`Log::position`] or
    /// [`Log::keys_with_prefix`] gave.
    ///
    /// # Errors
    /// [`Error::NoRecord`] when it was reclaimed since, [`Error::Damaged`] when its value is not
    /// what was written.
    pub fn read_at(&self, at: Position) -> Result<(Vec<u8>, Vec<u8>), Error> {
        self.inner.shared.record_at(at)
    }

    /// What was found when the log was opened.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.inner.shared.report
    }

    /// Sizes. Waits until the index holds all that was acknowledged.
    ///
    /// # Errors
    /// When the index fails.
    pub fn stats(&self) -> Result<Stats, Error> {
        self.inner.shared.stats()
    }

    /// Numbers of the segments that exist, ascending. A sealer may destroy the keys of all others
    /// below the last of them.
    #[must_use]
    pub fn segments(&self) -> Vec<u64> {
        self.inner.shared.segments()
    }

    /// Reads every record and checks it. Returns what is damaged.
    ///
    /// # Errors
    /// When a segment cannot be read at all.
    pub fn verify(&self) -> Result<Vec<Damage>, Error> {
        self.inner.shared.verify()
    }

    /// Removes each full segment of which more than half is dead, after writing its live records
    /// again at the head (see [`Position`]). The segment that is being filled is ended for it when
    /// a mebibyte of it is dead too. Appends and reads go on meanwhile.
    ///
    /// # Errors
    /// As [`Log::append`]; what was reclaimed until then stays so.
    pub fn reclaim(&self) -> Result<Reclaimed, Error> {
        self.inner.shared.reclaim(reclaim::Which::MostlyDead)
    }

    /// Removes every segment that holds a dead record, the newest one too, so that nothing that
    /// was deleted or replaced stays in any file (and its segment's key may be destroyed).
    ///
    /// # Errors
    /// As [`Log::reclaim`].
    pub fn erase_dead(&self) -> Result<Reclaimed, Error> {
        self.inner.shared.reclaim(reclaim::Which::AnyDead)
    }

    /// Writes what is queued, brings the index and its checkpoint up to date, and ends the log for
    /// all clones. Dropping the last clone does the same but cannot tell of an error.
    ///
    /// # Errors
    /// When the index cannot be written; nothing acknowledged is lost by that.
    pub fn close(self) -> Result<(), Error> {
        self.inner.shut_down()
    }
}

impl Inner {
    fn shut_down(&self) -> Result<(), Error> {
        let Some(threads) = lock(&self.threads).take() else {
            return Ok(());
        };
        self.shared.queue.close();
        // The last clone may be dropped inside a callback, where waiting would never end; the
        // committer then finishes by itself.
        if !self.shared.queue.on_committer() {
            // A panic in there was reported by the panic hook; the log on disk is consistent.
            let _ = threads.committer.join();
        }
        self.shared.work.stop();
        let _ = threads.indexer.join();
        self.shared.release();
        self.shared.work.failure().map_or(Ok(()), Err)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.shut_down();
    }
}

#[cfg(test)]
mod tests;
