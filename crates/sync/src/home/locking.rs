//! Locking and unlocking: *Only me* alone, or everything. Locked means that keys and documents
//! are out of memory and connections are closed (protocol §2.16).

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use ajar_crypto::vault::{LocalKeys, Passphrase, WhichSpace};
use ajar_engine::Replica;
use ajar_protocol::genesis::SpaceKind;

use super::idle::Watch;
use super::keyfile::KeyFile;
use super::lock::Lock;
use super::{Home, builder, keys_path, open_space, store_path};
use crate::core::{REENTERED, on_a_replica_thread};
use crate::error::Error;
use crate::space::Space;
use crate::store::SealedStore;

/// Time for the application to keep what is not saved yet.
const BEFORE_LOCK: Duration = Duration::from_secs(5);

pub(super) type BeforeLock = dyn Fn(&Space) + Send + Sync;

impl Home {
    /// `keep` is asked to keep what a person has typed and not saved, each time before a space
    /// is locked or closed, with the space still open: [`Space::set_local`] is the place for
    /// it. It has five seconds, then the space is locked all the same. A later one takes the
    /// place of an earlier one. It must not hold the home itself, which would then never be
    /// dropped. Dropping the last handle of a home, and closing it from inside a change, asks
    /// nobody.
    pub fn before_lock(&self, keep: impl Fn(&Space) + Send + Sync + 'static) {
        let keep: Arc<BeforeLock> = Arc::new(keep);
        *self.lock_keep() = Some(keep);
    }

    fn lock_keep(&self) -> MutexGuard<'_, Option<Arc<BeforeLock>>> {
        let place = &self.inner.before_lock;
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_watch(&self) -> MutexGuard<'_, Option<Watch>> {
        let place = &self.inner.watch;
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::Acquire)
    }

    /// One locks or unlocks at a time. Not waited for inside a change, for which somebody who
    /// locks may be waiting.
    pub(super) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        let turn = || {
            self.inner
                .turn
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        (!on_a_replica_thread()).then(turn)
    }

    /// Gives the application a chance to keep drafts, on a thread of its own, so that it can
    /// be left behind.
    fn ask_before_lock(&self, spaces: Vec<Space>) {
        let Some(keep) = self.lock_keep().clone() else {
            return;
        };
        if spaces.is_empty() || on_a_replica_thread() {
            return;
        }
        let (done, finished) = sync_channel::<()>(1);
        let asked = std::thread::Builder::new()
            .name("before-lock".to_owned())
            .spawn(move || {
                // Hung up when this thread ends, in whatever way.
                let _done = done;
                for space in spaces {
                    keep(&space.unnoticed());
                }
            });
        let in_time = asked.is_ok()
            && finished.recv_timeout(BEFORE_LOCK) == Err(RecvTimeoutError::Disconnected);
        if !in_time {
            tracing::warn!("locking did not wait any longer for what was not saved");
        }
    }

    /// Locks *Only me*: hangs up, ends its thread, and forgets its keys. Handles on it say
    /// [`Error::Closed`] from now on. A change that is under way is finished first. Nothing
    /// happens when it is locked already.
    ///
    /// # Errors
    /// [`Error::Bug`] from inside a change.
    pub fn lock_private(&self) -> Result<(), Error> {
        if on_a_replica_thread() {
            return Err(REENTERED);
        }
        let _turn = self.turn();
        let is_private = |space: &Space| space.kind() == SpaceKind::Private;
        let open = self.spaces().into_iter().filter(is_private).collect();
        self.ask_before_lock(open);
        let locked: Vec<Space> = {
            let mut spaces = self.lock_spaces();
            self.inner.private.take();
            spaces.extract_if(.., |space| is_private(space)).collect()
        };
        for space in locked {
            space.close();
        }
        Ok(())
    }

    /// Opens *Only me* with its passphrase. Takes as long as guessing a passphrase is meant
    /// to cost, on a thread for such work. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], also when it is open already; [`Error::Damaged`],
    /// [`Error::Unreadable`], [`Error::Closed`].
    pub async fn unlock_private(&self, passphrase: Passphrase) -> Result<(), Error> {
        let _busy = self.inner.activity.busy();
        let home = self.clone();
        tokio::task::spawn_blocking(move || home.unlock(&passphrase))
            .await
            .map_err(|_| Error::Bug("unlocking Only me"))?
    }

    pub(super) fn unlock(&self, passphrase: &Passphrase) -> Result<(), Error> {
        let dir = &self.inner.dir;
        let header = builder::read_header(dir)?;
        let lmk = header.slot(WhichSpace::Private).unlock(passphrase)?;
        let _turn = self.turn();
        if self.is_closed() {
            return Err(Error::Closed);
        }
        if self.is_private_unlocked() {
            return Ok(());
        }
        let keys = Arc::new(KeyFile::open(
            keys_path(dir, SpaceKind::Private),
            WhichSpace::Private,
            LocalKeys::derive(&lmk),
        )?);
        drop(lmk);
        let space = if keys.read(|keys| keys.ring.is_empty()) {
            None
        } else {
            let path = store_path(dir, SpaceKind::Private);
            let store = SealedStore::open(&path, Arc::clone(&keys))?;
            Some(open_space(
                SpaceKind::Private,
                Replica::open(store)?,
                &keys,
                &self.inner.activity,
                self.inner.summarize.clone(),
            )?)
        };
        {
            let mut spaces = self.lock_spaces();
            if self.is_closed() {
                return Err(Error::Closed);
            }
            self.inner.private.put(keys);
            spaces.extend(space);
        }
        self.heed();
        Ok(())
    }

    /// Closes everything, whoever still holds the home, and lets go of the directory.
    pub(super) fn close_all(&self) {
        let lock = self.close_but_lock();
        drop(lock);
    }

    /// Closes everything and hands over the lock of the directory, if it was closed by this.
    pub(super) fn close_but_lock(&self) -> Option<Lock> {
        let inside = on_a_replica_thread();
        let _turn = self.turn();
        if self.is_closed() {
            return None;
        }
        self.ask_before_lock(self.spaces());
        let spaces = {
            let mut spaces = self.lock_spaces();
            self.inner.closed.store(true, Ordering::Release);
            self.inner.private.take();
            self.inner.shared.take();
            std::mem::take(&mut *spaces)
        };
        for space in spaces {
            space.close();
        }
        self.lock_keep().take();
        let watch = self.lock_watch().take();
        drop(watch);
        // Inside a change, the thread still writes; the last handle lets go then.
        if inside {
            return None;
        }
        let mut lock = self
            .inner
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lock.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ajar_crypto::vault::KdfParams;

    use super::*;
    use crate::home::{Builder, NewHome};

    fn home(dir: &std::path::Path) -> Home {
        let new = NewHome {
            name: "Ana".to_owned(),
            device: "laptop".to_owned(),
            relay: None,
        };
        let builder = Builder::new(dir)
            .with_passphrase(Passphrase::new("quiet harbor linen oak").unwrap())
            .with_kdf(KdfParams::FLOOR);
        builder.create(new).unwrap().0
    }

    /// Somebody kept a handle and a document: neither may keep the keys alive.
    #[test]
    fn nothing_holds_the_keys_after_locking() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        let me = home.space(SpaceKind::Private).unwrap();
        let document = me.create_document(ajar_engine::Ownership::Mine).unwrap();
        let private = Arc::downgrade(&home.inner.private.get().unwrap());
        let shared = Arc::downgrade(&home.inner.shared.get().unwrap());
        home.lock_private().unwrap();
        assert!(private.upgrade().is_none());
        assert!(matches!(document.read(|_| ()), Err(Error::Closed)));
        assert!(shared.upgrade().is_some());
        home.clone().close().unwrap();
        assert!(shared.upgrade().is_none());
        assert!(matches!(me.status(), Err(Error::Closed)));
    }
}
