//! What a space says about its blobs: how many bytes are left, who writes which of them, and who
//! may delete.

use std::sync::{Arc, Weak};
use std::time::Duration;

use ajar_protocol::blob_msg::DeleteBlobs;
use ajar_protocol::{BlobId, DeviceId, PartyChain, PartyId};
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::timeout;

use super::{Space, State};

/// Turns that nobody has any more are swept when there are so many.
const SWEEP: usize = 64;

/// Who writes or deletes a blob: one at a time, in the order of asking.
#[derive(Debug)]
pub(super) struct Turn {
    lock: Weak<tokio::sync::Mutex<()>>,
    /// The device that asked last, and how to tell it that it has come back.
    device: DeviceId,
    replaced: Arc<Notify>,
}

/// A turn that somebody has; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _guard: OwnedMutexGuard<()>,
    /// Told when the same device asks again, over another connection: this one is dead.
    pub(crate) replaced: Arc<Notify>,
}

/// Bytes promised to an upload.
#[derive(Debug)]
pub(crate) struct Reservation {
    space: Arc<Space>,
    /// Counted for it, what is there included.
    counted: u64,
    /// What is there, which goes on counting.
    pub(crate) there: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space
            .give_back(self.counted.saturating_sub(self.there));
    }
}

/// A transfer that is under way.
#[derive(Debug)]
pub(crate) struct Transfer(Arc<Space>);

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.transfers = state.transfers.saturating_sub(1);
    }
}

impl State {
    /// Whether `bytes` more are within the quota.
    pub(super) fn has_room(&mut self, bytes: u64, quota: u64) -> bool {
        let used = self.bytes.saturating_add(self.blob_bytes);
        let room = used.saturating_add(bytes) <= quota;
        // Once: a device that tries again and again must not fill the log.
        if !room && !std::mem::replace(&mut self.quota_told, true) {
            tracing::warn!("a space has used up its quota (bytes_per_space)");
        }
        room
    }
}

impl Space {
    /// Counts a transfer in, unless `most` are under way.
    pub(crate) fn begin_transfer(self: &Arc<Self>, most: u32) -> Option<Transfer> {
        let mut state = self.lock();
        (state.transfers < most).then(|| {
            state.transfers += 1;
            Transfer(Arc::clone(self))
        })
    }

    /// Promises an upload of `length` bytes, of which `there` are here and `counted` count
    /// already, what is missing.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        length: u64,
        counted: u64,
        there: u64,
    ) -> Option<Reservation> {
        let mut state = self.lock();
        let missing = length.saturating_sub(counted);
        state.has_room(missing, self.quota).then(|| {
            state.blob_bytes += missing;
            Reservation {
                space: Arc::clone(self),
                counted: length,
                there,
            }
        })
    }

    /// Bytes of blobs are there that nobody knew of.
    pub(crate) fn take_on(&self, bytes: u64) {
        let mut state = self.lock();
        state.blob_bytes = state.blob_bytes.saturating_add(bytes);
    }

    /// Bytes of blobs are there no more.
    pub(crate) fn give_back(&self, bytes: u64) {
        let mut state = self.lock();
        state.blob_bytes = state.blob_bytes.saturating_sub(bytes);
        state.quota_told &= bytes == 0;
    }

    /// Waits for the turn to write or delete a blob; `None` when another has it for too long. A
    /// device that asks again has lost its earlier connection: what that one does ends.
    pub(crate) async fn turn(
        &self,
        blob: BlobId,
        device: DeviceId,
        patience: Duration,
    ) -> Option<Held> {
        let replaced = Arc::new(Notify::new());
        let lock = {
            let mut state = self.lock();
            if state.turns.len() >= SWEEP {
                state.turns.retain(|_, turn| turn.lock.strong_count() > 0);
            }
            let turn = state.turns.get(&blob);
            let before = turn.and_then(|turn| Some((turn, turn.lock.upgrade()?)));
            let lock = match before {
                Some((turn, lock)) => {
                    if turn.device == device {
                        turn.replaced.notify_one();
                    }
                    lock
                }
                None => Arc::default(),
            };
            let turn = Turn {
                lock: Arc::downgrade(&lock),
                device,
                replaced: Arc::clone(&replaced),
            };
            state.turns.insert(blob, turn);
            lock
        };
        let guard = timeout(patience, lock.lock_owned()).await.ok()?;
        Some(Held {
            _guard: guard,
            replaced,
        })
    }

    /// Place of a party in this space.
    pub(crate) fn place(&self, party: &PartyId) -> Option<u8> {
        let state = self.lock();
        let place = state.chains.iter().position(|c| c.accepted.id() == *party);
        place.and_then(|place| u8::try_from(place).ok())
    }

    /// The place of the party whose device signed a deletion; `None` when it may not.
    pub(crate) fn may_delete(&self, command: &DeleteBlobs) -> Option<u8> {
        let state = self.lock();
        let chains: Vec<&PartyChain> = state.chains.iter().map(|chain| &chain.accepted).collect();
        let place = command.verify(&self.id, &chains).ok()?;
        u8::try_from(place).ok()
    }
}
