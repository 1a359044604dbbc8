//! The key file of a space for as long as the space may be used here. Locking takes it out;
//! its keys are zeroized when the last thread that works with it has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keyfile::{KeyFile, Keys};
use crate::error::Error;

/// A place for an open key file.
#[derive(Default)]
pub(crate) struct Held(Mutex<Option<Arc<KeyFile>>>);

impl Held {
    pub(crate) fn new(keys: Option<Arc<KeyFile>>) -> Self {
        Self(Mutex::new(keys))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<KeyFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key file; `None` while locked.
    pub(crate) fn get(&self) -> Option<Arc<KeyFile>> {
        self.lock().clone()
    }

    pub(crate) fn put(&self, keys: Arc<KeyFile>) {
        *self.lock() = Some(keys);
    }

    pub(crate) fn take(&self) -> Option<Arc<KeyFile>> {
        self.lock().take()
    }

    /// Looks at the content; at an empty one while locked.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Keys) -> T) -> T {
        match self.get() {
            Some(keys) => keys.read(look),
            None => look(&Keys::default()),
        }
    }

    /// As [`KeyFile::update`]; [`Error::Closed`] while locked.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Keys) -> T) -> Result<T, Error> {
        self.get().ok_or(Error::Closed)?.update(change)
    }
}
