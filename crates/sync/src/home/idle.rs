//! Locking when nobody does anything: *Only me* after a short while, everything after a
//! longer one (protocol §2.16).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use ajar_engine::Now;
use ajar_protocol::genesis::SpaceKind;

use super::{Home, Inner};
use crate::clock;
use crate::error::Error;

/// The wall clock is looked at so often at least: it goes on while the machine sleeps.
const LOOK: Duration = Duration::from_secs(1);

/// When somebody last did something.
#[derive(Clone, Copy)]
struct Moments {
    private: Now,
    all: Now,
}

/// What is done with the spaces of a home, seen from outside.
pub(crate) struct Activity {
    last: Mutex<Moments>,
    busy: AtomicUsize,
}

impl Default for Activity {
    fn default() -> Self {
        let now = clock::now();
        Self {
            last: Mutex::new(Moments {
                private: now,
                all: now,
            }),
            busy: AtomicUsize::new(0),
        }
    }
}

impl Activity {
    fn lock(&self) -> MutexGuard<'_, Moments> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody did something in a space.
    pub(crate) fn touch(&self, kind: SpaceKind) {
        let now = clock::now();
        let mut last = self.lock();
        last.all = now;
        if kind == SpaceKind::Private {
            last.private = now;
        }
    }

    /// Something long goes on until the guard is dropped; nothing is locked meanwhile.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// How long until *Only me* and until everything is to be locked.
    fn left(&self, now: Now, limits: Limits) -> (Option<Duration>, Option<Duration>) {
        if self.busy.load(Ordering::Acquire) > 0 {
            return (limits.private.and(Some(LOOK)), limits.all.and(Some(LOOK)));
        }
        let last = *self.lock();
        let left = |limit: Option<Duration>, since| {
            limit.map(|limit| limit.saturating_sub(idle(now, since)))
        };
        (
            left(limits.private, last.private),
            left(limits.all, last.all),
        )
    }
}

/// See [`Activity::busy`].
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        // What comes after it has its time too.
        self.0.touch(SpaceKind::Private);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How long nothing was done: the longer one of what the two clocks say. The monotonic one
/// stands still while the machine sleeps; the other one may be set back.
fn idle(now: Now, since: Now) -> Duration {
    let wall = now.wall_ms.saturating_sub(since.wall_ms).max(0);
    let wall = Duration::from_millis(wall.unsigned_abs());
    wall.max(now.elapsed.saturating_sub(since.elapsed))
}

#[derive(Clone, Copy)]
struct Limits {
    private: Option<Duration>,
    all: Option<Duration>,
}

/// The thread that locks. Dropping it ends the thread.
pub(super) struct Watch {
    ended: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(home: Weak<Inner>, limits: Limits) -> Result<Self, Error> {
        let ended: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let shared = Arc::clone(&ended);
        let thread = std::thread::Builder::new()
            .name("idle".to_owned())
            .spawn(move || run(&home, limits, &shared))
            .map_err(|error| Error::Store(error.to_string()))?;
        Ok(Self {
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (ended, changed) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        // The thread itself may be the one that closes the home.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn run(home: &Weak<Inner>, limits: Limits, (ended, changed): &(Mutex<bool>, Condvar)) {
    loop {
        let pause = {
            let Some(inner) = home.upgrade() else { return };
            let home = Home { inner };
            match look(&home, limits) {
                Some(pause) => pause,
                None => return,
            }
        };
        let guard = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, pause, |ended| !*ended);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
}

/// Locks what is due; returns when to look again, or `None` when all is closed.
fn look(home: &Home, limits: Limits) -> Option<Duration> {
    let (private, all) = home.inner.activity.left(clock::now(), limits);
    if all.is_some_and(|left| left.is_zero()) {
        home.close_all();
        return None;
    }
    let mut pause = LOOK.min(all.unwrap_or(LOOK));
    if let Some(left) = private
        && home.is_private_unlocked()
    {
        if left.is_zero() {
            if home.lock_private().is_err() {
                tracing::warn!("Only me could not be locked");
            }
        } else {
            pause = pause.min(left);
        }
    }
    Some(pause)
}

impl Home {
    /// After how long without a call *Only me* is locked when nothing else is wished.
    pub const IDLE_PRIVATE: Duration = Duration::from_secs(120);
    /// After how long without a call everything is closed when nothing else is wished.
    pub const IDLE_ALL: Duration = Duration::from_secs(600);

    /// Locks *Only me* when nobody did anything in it for `private`, and closes everything
    /// when nobody did anything at all for `all`; `None` for never, which is how a home
    /// begins. Calls on handles count, looking at status and events does not, and nothing is
    /// locked in the middle of a pairing or a move.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Store`] when the system gives no thread.
    pub fn set_idle(&self, private: Option<Duration>, all: Option<Duration>) -> Result<(), Error> {
        let limits = Limits { private, all };
        let wanted = private.is_some() || all.is_some();
        self.inner.activity.touch(SpaceKind::Private);
        let watch = if wanted {
            Some(Watch::start(Arc::downgrade(&self.inner), limits)?)
        } else {
            None
        };
        // The old one ends outside of the lock.
        let old = {
            let mut place = self.lock_watch();
            if self.is_closed() {
                return Err(Error::Closed);
            }
            std::mem::replace(&mut *place, watch)
        };
        drop(old);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: i64, seconds: u64) -> Now {
        Now {
            wall_ms,
            elapsed: Duration::from_secs(seconds),
        }
    }

    /// A laptop that was shut for an hour: the monotonic clock may stand still meanwhile.
    #[test]
    fn sleep_of_the_machine_counts_and_a_clock_set_back_does_not_help() {
        let since = at(1_000_000, 50);
        for (now, expected) in [
            (at(1_000_000, 50), 0),
            (at(1_060_000, 110), 60),
            (at(4_600_000, 51), 3600),
            (at(0, 170), 120),
            (at(i64::MIN, 40), 0),
        ] {
            assert_eq!(idle(now, since), Duration::from_secs(expected), "{now:?}");
        }
    }

    #[test]
    fn what_is_done_in_the_shared_space_does_not_keep_only_me_open() {
        let activity = Arc::new(Activity::default());
        let limits = Limits {
            private: Some(Duration::from_secs(120)),
            all: Some(Duration::from_secs(600)),
        };
        let begin = activity.lock().all;
        let later = |seconds: u64| Now {
            wall_ms: begin.wall_ms,
            elapsed: begin.elapsed + Duration::from_secs(seconds),
        };
        activity.lock().all = later(100);
        let (private, all) = activity.left(later(130), limits);
        assert_eq!(private, Some(Duration::ZERO));
        assert_eq!(all, Some(Duration::from_secs(570)));
        let none = Limits {
            private: None,
            all: None,
        };
        assert_eq!(activity.left(later(9999), none), (None, None));
        let busy = activity.busy();
        assert_eq!(activity.left(later(9999), limits), (Some(LOOK), Some(LOOK)));
        drop(busy);
        assert_eq!(activity.left(later(9999), limits).1, Some(Duration::ZERO));
    }
}
