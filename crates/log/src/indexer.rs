//! The thread that brings the index up to date, behind the acknowledgements.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering},
    thread,
};

use crate::{
    Error, Position,
    checkpoint::{Checkpoint, Known},
    shared::{Shared, lock, read, write},
};

/// The indexer wakes when this many changes wait.
const WAKE_AT: usize = 16_384;
/// The committer waits when this many changes wait.
const STALL_AT: usize = 131_072;
/// A checkpoint is due after this many bytes of log.
const CHECKPOINT_EVERY: u64 = 32 * 1024 * 1024;

/// What the indexer is asked for, and how far it is.
#[derive(Default)]
pub(crate) struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wake: bool,
    stop: bool,
    /// Requests so far, and how many of them are done.
    asked: u64,
    done: u64,
    /// The last request that wants a checkpoint.
    checkpoint_asked: u64,
    ended: bool,
    failure: Option<Error>,
}

impl Work {
    /// Waits until the index holds all that is acknowledged now; with `checkpoint`, durably.
    pub(crate) fn flush(&self, checkpoint: bool) -> Result<(), Error> {
        let mut state = lock(&self.state);
        state.asked += 1;
        let mine = state.asked;
        if checkpoint {
            state.checkpoint_asked = mine;
        }
        self.changed.notify_all();
        while state.done < mine && state.failure.is_none() && !state.ended {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match &state.failure {
            Some(error) => Err(error.clone()),
            None if state.done < mine => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Tells that `waiting` changes wait; blocks while they are too many.
    pub(crate) fn pace(&self, shared: &Shared, waiting: usize) {
        if waiting < WAKE_AT {
            return;
        }
        let mut state = lock(&self.state);
        state.wake = true;
        self.changed.notify_all();
        while state.failure.is_none() && !state.ended && read(&shared.view).fresh.len() >= STALL_AT
        {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks for the last checkpoint and the end.
    pub(crate) fn stop(&self) {
        lock(&self.state).stop = true;
        self.changed.notify_all();
    }

    /// Why the indexer gave up, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        lock(&self.state).failure.clone()
    }

    fn fail(&self, error: Error) {
        lock(&self.state).failure = Some(error);
        self.changed.notify_all();
    }
}

/// Starts the indexer; it ends after [`Work::stop`], or when the index fails.
///
/// `stored` is the checkpoint that is on the disk.
pub(crate) fn start(
    shared: Arc<Shared>,
    stored: Option<Checkpoint>,
) -> Result<thread::JoinHandle<()>, Error> {
    thread::Builder::new()
        .name("log-indexer".into())
        .spawn(move || {
            if let Err(error) = run(&shared, stored) {
                // The next open must not trust what is there.
                let _ = Checkpoint::remove(&*shared.disk, &shared.root);
                shared.work.fail(error);
            }
            lock(&shared.work.state).ended = true;
            shared.work.changed.notify_all();
        })
        .map_err(Error::io("start a thread"))
}

fn run(shared: &Shared, mut stored: Option<Checkpoint>) -> Result<(), Error> {
    let work = &shared.work;
    let mut upto = shared.index.upto();
    loop {
        let (asked, wants_checkpoint, stop) = {
            let mut state = lock(&work.state);
            while !state.wake && !state.stop && state.asked == state.done {
                state = work
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.wake = false;
            (state.asked, state.checkpoint_asked > state.done, state.stop)
        };
        let checkpoint = take_in(shared)?;
        let due = distance(upto, checkpoint.upto) >= CHECKPOINT_EVERY;
        if wants_checkpoint || stop || due {
            upto = checkpoint.upto;
            if shared.suspect.load(Ordering::Acquire) {
                Checkpoint::remove(&*shared.disk, &shared.root)?;
                stored = None;
            } else if stored.as_ref() != Some(&checkpoint) {
                shared.index.sync()?;
                checkpoint.store(&*shared.disk, &shared.root)?;
                stored = Some(checkpoint);
            }
        }
        lock(&work.state).done = asked;
        work.changed.notify_all();
        if stop {
            return Ok(());
        }
    }
}

/// Moves the waiting changes into the index. Returns the checkpoint that is then right.
fn take_in(shared: &Shared) -> Result<Checkpoint, Error> {
    let (frozen, checkpoint) = {
        let mut view = write(&shared.view);
        let frozen = Arc::new(std::mem::take(&mut view.fresh));
        view.frozen = Some(Arc::clone(&frozen));
        let segments = view.segments.iter().map(|(number, entry)| Known {
            number: *number,
            salt: entry.segment.place.salt,
            used: entry.used,
            delete_bytes: entry.delete_bytes,
            ending: entry.ending,
        });
        let checkpoint = Checkpoint {
            generation: shared.index.generation(),
            upto: view.head(),
            segments: segments.collect(),
        };
        (frozen, checkpoint)
    };
    shared.index.apply(&frozen, checkpoint.upto)?;
    write(&shared.view).frozen = None;
    Ok(checkpoint)
}

/// Bytes of log between two positions, counting a segment boundary as enough.
fn distance(from: Position, to: Position) -> u64 {
    if from.segment == to.segment {
        to.offset.saturating_sub(from.offset)
    } else {
        u64::MAX
    }
}
