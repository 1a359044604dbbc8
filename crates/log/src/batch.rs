//! What is written together, and how it travels to the committer.

use std::{
    sync::{Arc, Mutex},
    thread::{self, Thread},
};

use crate::{
    Error, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, SEALED_EXTRA,
    record::{Loc, record_len},
    shared::lock,
};

/// Records that are kept all together or not at all.
///
/// Of several for one key the last counts. The values are shown to nobody by `Debug`.
#[derive(Default)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// An empty batch. Appending it does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `key` (1 to [`MAX_KEY_BYTES`] bytes) the value `value` (up to [`MAX_VALUE_BYTES`]).
    /// Keys are stored as they are, also by a log with a sealer.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
        });
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.ops.push(Op::Delete { key: key.into() });
    }

    /// Whether nothing was put or deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many puts and deletes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.ops.len())
            .finish_non_exhaustive()
    }
}

/// One thing to write. The last two are decided by the committer, when it knows what is newest.
pub(crate) enum Op {
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Delete {
        key: Vec<u8>,
    },
    /// Write the record at `from` again, if it still is the newest of its key.
    Move {
        key: Vec<u8>,
        from: Loc,
    },
    /// Write a delete again, if the key still has no value.
    MoveDelete {
        key: Vec<u8>,
    },
}

impl Op {
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. }
            | Self::Delete { key }
            | Self::Move { key, .. }
            | Self::MoveDelete { key } => key,
        }
    }

    /// The most bytes it can take on disk.
    fn cost(&self) -> u64 {
        let bytes = match self {
            Self::Put { key, value } => record_len(key.len(), value.len() + SEALED_EXTRA),
            Self::Delete { key } | Self::MoveDelete { key } => record_len(key.len(), 0),
            Self::Move { from, .. } => record_len(from.len as usize, SEALED_EXTRA),
        };
        bytes as u64
    }
}

/// Called once with the outcome.
pub(crate) type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// A batch in the queue.
pub(crate) struct Request {
    pub(crate) ops: Vec<Op>,
    /// The most bytes it can take on disk.
    pub(crate) cost: u64,
    /// Begin a new segment first, unless the current one is empty.
    pub(crate) roll: bool,
    /// Write it in a group of its own: what it holds depends on what was published before.
    pub(crate) alone: bool,
    pub(crate) done: Done,
}

impl Request {
    pub(crate) fn from_batch(batch: Batch, done: Done) -> Result<Self, Error> {
        for op in &batch.ops {
            let len = op.key().len();
            if len == 0 || len > MAX_KEY_BYTES {
                return Err(Error::KeyLength { len });
            }
            if let Op::Put { value, .. } = op
                && value.len() > MAX_VALUE_BYTES
            {
                return Err(Error::ValueTooLarge { len: value.len() });
            }
        }
        Self::new(batch.ops, done)
    }

    pub(crate) fn new(ops: Vec<Op>, done: Done) -> Result<Self, Error> {
        let cost = ops.iter().map(Op::cost).sum();
        if cost > MAX_BATCH_BYTES {
            return Err(Error::BatchTooLarge { len: cost });
        }
        let alone = ops
            .iter()
            .any(|op| matches!(op, Op::Move { .. } | Op::MoveDelete { .. }));
        Ok(Self {
            ops,
            cost,
            roll: false,
            alone,
            done,
        })
    }
}

/// A thread that waits for the outcome of its batch.
pub(crate) struct Ticket {
    outcome: Mutex<Option<Result<(), Error>>>,
    waiter: Thread,
}

impl Ticket {
    /// A ticket for this thread, and what to call with the outcome.
    pub(crate) fn new() -> (Arc<Self>, Done) {
        let ticket = Arc::new(Self {
            outcome: Mutex::new(None),
            waiter: thread::current(),
        });
        let told = Told(Arc::clone(&ticket));
        (ticket, Box::new(move |result| told.tell(result)))
    }

    /// Waits for the outcome.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        loop {
            if let Some(result) = lock(&self.outcome).take() {
                return result;
            }
            thread::park();
        }
    }
}

/// Tells the waiter, at the latest when it is dropped.
struct Told(Arc<Ticket>);

impl Told {
    fn tell(&self, result: Result<(), Error>) {
        lock(&self.0.outcome).get_or_insert(result);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell(Err(Error::Closed));
        self.0.waiter.unpark();
    }
}
