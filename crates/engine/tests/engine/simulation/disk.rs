//! A disk that fails where the seed says: before a commit, after it, in the key file, or for
//! want of room.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ajar_engine::store::{Batch, Key, Marker, MemoryStore, Store, StoreError};
use zeroize::Zeroizing;

/// What happens at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies; nothing of the batch is there.
    DiesBefore,
    /// The process dies; the batch is there.
    DiesAfter,
    /// An error is reported; nothing of the batch is there.
    FailsWithout,
    /// An error is reported; the batch is there all the same.
    FailsWith,
    /// There is no room, for so many writes.
    Full(u32),
    /// Success is reported and nothing is there. No disk may do this: the oracle must see it.
    Lies,
}

#[derive(Debug, Default)]
struct State {
    /// In how many writes, and what then.
    next: Option<(u32, Fault)>,
    full: u32,
    dead: bool,
    /// All records that are there.
    names: BTreeSet<Key>,
}

/// Clones share everything, as a process that is started again finds its files.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inner: MemoryStore,
    state: Arc<Mutex<State>>,
}

/// What a write is to do.
enum Verdict {
    Keep,
    KeepAndFail,
    Drop,
    Fail(StoreError),
}

fn broken(why: &str) -> StoreError {
    StoreError::Broken(why.to_owned())
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail_at(&self, write: u32, fault: Fault) {
        self.state().next = Some((write, fault));
    }

    /// Whether the process that used it has died.
    pub(super) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// A new process begins.
    pub(super) fn revive(&self) {
        self.state().dead = false;
    }

    /// Nothing fails any more.
    pub(super) fn heal(&self) {
        let mut state = self.state();
        (state.next, state.full, state.dead) = (None, 0, false);
    }

    /// A copy that shares nothing, as a backup of the home would be.
    pub(super) fn copied(&self) -> Self {
        let names = self.state().names.clone();
        Self {
            inner: self.inner.copied(),
            state: Arc::new(Mutex::new(State {
                names,
                ..State::default()
            })),
        }
    }

    /// Everything that is on it, but the key file.
    pub(super) fn records(&self) -> Vec<(Key, Vec<u8>)> {
        let names = self.state().names.clone();
        let mut inner = self.inner.clone();
        let load = |key: Key| Some((key.clone(), inner.load(&key).ok()??));
        names.into_iter().filter_map(load).collect()
    }

    fn judge(&self) -> Verdict {
        let mut state = self.state();
        if state.dead {
            return Verdict::Fail(broken("the process died"));
        }
        if state.full > 0 {
            state.full -= 1;
            return Verdict::Fail(StoreError::DiskFull);
        }
        let Some((left, fault)) = state.next else {
            return Verdict::Keep;
        };
        if left > 0 {
            state.next = Some((left - 1, fault));
            return Verdict::Keep;
        }
        // An envelope on which a process dies twice is set aside for good. Here no envelope is
        // to blame, so nobody dies a second time on the same one.
        let marked = self.inner.clone().marked().ok().flatten();
        let deadly = matches!(fault, Fault::DiesBefore | Fault::DiesAfter);
        if deadly && marked.is_some_and(|(_, attempt)| attempt >= 2) {
            return Verdict::Keep;
        }
        state.next = None;
        match fault {
            Fault::DiesBefore => {
                state.dead = true;
                Verdict::Fail(broken("the process died"))
            }
            Fault::DiesAfter => {
                state.dead = true;
                Verdict::KeepAndFail
            }
            Fault::FailsWithout => Verdict::Fail(broken("EIO")),
            Fault::FailsWith => Verdict::KeepAndFail,
            Fault::Full(writes) => {
                state.full = writes.saturating_sub(1);
                Verdict::Fail(StoreError::DiskFull)
            }
            Fault::Lies => Verdict::Drop,
        }
    }

    fn write(&mut self, keep: impl FnOnce(&mut MemoryStore)) -> Result<bool, StoreError> {
        match self.judge() {
            Verdict::Keep => {
                keep(&mut self.inner);
                Ok(true)
            }
            Verdict::KeepAndFail => {
                keep(&mut self.inner);
                Err(broken("EIO after the write"))
            }
            Verdict::Drop => Ok(false),
            Verdict::Fail(error) => Err(error),
        }
    }
}

impl Store for Disk {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load(key)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let writes: Vec<(Key, bool)> = batch
            .clone()
            .into_writes()
            .map(|(key, value)| (key, value.is_some()))
            .collect();
        let state = Arc::clone(&self.state);
        self.write(|inner| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, there) in writes {
                match there {
                    true => state.names.insert(key),
                    false => state.names.remove(&key),
                };
            }
            inner.commit(batch).unwrap();
        })
        .map(drop)
    }

    fn save_keys(&mut self, keys: &Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.write(|inner| inner.save_keys(keys).unwrap()).map(drop)
    }

    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.inner.load_keys()
    }

    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError> {
        if self.is_dead() {
            return Err(broken("the process died"));
        }
        self.inner.mark(marker)
    }

    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError> {
        self.inner.marked()
    }
}
