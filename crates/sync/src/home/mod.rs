//! Homes: a directory that holds everything of one person on one device, opened by one
//! process at a time (protocol §2.16).
//!
//! ```text
//! vault.hdr            two passphrase slots, always both present
//! keys-shared.sealed   name, relay, key slots; keys of the shared space
//! keys-private.sealed  relay; keys of the private space
//! shared/  private/    sealed logs and blobs
//! lock                 held while open
//! unfinished           only while the home is being made
//! erasing              only while the home is being destroyed
//! ```

mod builder;
mod check;
mod devices;
mod erasing;
mod following;
mod held;
mod idle;
mod keyfile;
mod leaving;
mod lock;
mod locking;
pub(crate) mod mode;
mod passphrases;
mod records;
mod recovered;
mod recovery;
mod relays;
mod remains;
mod travel;
mod words;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ajar_crypto::SlotPublic;
use ajar_engine::pairing::OwnHalf;
use ajar_engine::{Now, Replica, Summarize};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::genesis::SpaceKind;
use held::Held;
pub(crate) use idle::Activity;

pub use builder::{Builder, NewHome};
pub use check::CheckReport;
pub use devices::{NewDevice, OwnDevice};
pub use erasing::{Erased, erase_dir};
#[cfg(test)]
pub(crate) use keyfile::Keys;
pub(crate) use keyfile::{KeyFile, sync_dir};
pub use leaving::Sharing;
pub use recovered::{MissingSpace, Recovered, RecoveredSpace, Review};
pub use relays::Moved;
pub use travel::Travel;
pub use words::{Replaced, WordsCheck};

use crate::blobs::Blobs;
use crate::clock;
use crate::core::Worker;
use crate::error::{ConnectError, Error};
use crate::invitation::Invitation;
use crate::pairing::{self, Found, Paired};
use crate::space::Space;
use crate::store::SealedStore;
use crate::talk::PairingCode;

const VAULT: &str = "vault.hdr";
/// For opening files of the home: a link in their place is not followed.
pub(crate) const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
/// Codes that may fail within an hour before a pause.
const FAILURES: usize = 5;
const HOUR_MS: i64 = 3_600_000;
const PAUSE_MS: i64 = 900_000;

fn keys_path(dir: &Path, kind: SpaceKind) -> PathBuf {
    dir.join(match kind {
        SpaceKind::Private => "keys-private.sealed",
        SpaceKind::Shared => "keys-shared.sealed",
    })
}

fn store_path(dir: &Path, kind: SpaceKind) -> PathBuf {
    dir.join(match kind {
        SpaceKind::Private => "private",
        SpaceKind::Shared => "shared",
    })
}

struct Inner {
    dir: PathBuf,
    /// Empty when closed.
    shared: Arc<Held>,
    /// Empty while *Only me* is locked.
    private: Arc<Held>,
    /// Spaces that could not be opened because of what is on the disk, and why.
    damaged: Vec<(SpaceKind, String)>,
    spaces: Arc<Mutex<Vec<Space>>>,
    /// Set under the lock of `spaces`; nothing is opened afterwards.
    closed: AtomicBool,
    /// Held while pairing: the second of two would wipe the space of the first.
    pairing: tokio::sync::Mutex<()>,
    /// Held while locking, unlocking and changing passphrases.
    turn: Mutex<()>,
    activity: Arc<Activity>,
    summarize: Option<Arc<dyn Summarize>>,
    before_lock: Mutex<Option<Arc<locking::BeforeLock>>>,
    watch: Mutex<Option<idle::Watch>>,
    // Last: the lock is let go when everything else is closed.
    lock: Mutex<Option<lock::Lock>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let spaces = {
            // Not held while threads end, which may look into it.
            let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *spaces)
        };
        for space in spaces {
            space.close();
        }
    }
}

/// What is wrong with a space, if it is the space and not the machine or us.
fn damage(error: Error) -> Result<String, Error> {
    match error {
        Error::Damaged(why) | Error::Store(why) => Ok(why),
        other => Err(other),
    }
}

/// An open home. Cheap to clone; closed by [`Home::close`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Home {
    inner: Arc<Inner>,
}

impl Home {
    fn assemble(
        dir: PathBuf,
        lock: lock::Lock,
        shared: Arc<KeyFile>,
        private: Result<Option<Arc<KeyFile>>, Error>,
        summarize: Option<Arc<dyn Summarize>>,
    ) -> Result<Self, Error> {
        let mut spaces = Vec::new();
        let mut damaged = Vec::new();
        let activity = Arc::<Activity>::default();
        let mut private = match private {
            Err(error) => {
                damaged.push((SpaceKind::Private, damage(error)?));
                None
            }
            Ok(private) => private,
        };
        for (kind, keys) in [
            (SpaceKind::Private, private.clone()),
            (SpaceKind::Shared, Some(Arc::clone(&shared))),
        ] {
            let Some(keys) = keys else { continue };
            if keys.read(|keys| keys.ring.is_empty()) {
                continue;
            }
            let opened = SealedStore::open(&store_path(&dir, kind), Arc::clone(&keys))
                .and_then(|store| Ok(Replica::open(store)?));
            match opened {
                Ok(replica) => {
                    let summarize = summarize.clone();
                    spaces.push(open_space(kind, replica, &keys, &activity, summarize)?);
                }
                // What is wrong with one space must not take the other along.
                Err(error) => damaged.push((kind, damage(error)?)),
            }
        }
        if damaged.iter().any(|(kind, _)| *kind == SpaceKind::Private) {
            private = None;
        }
        let home = Self {
            inner: Arc::new(Inner {
                dir,
                shared: Arc::new(Held::new(Some(shared))),
                private: Arc::new(Held::new(private)),
                damaged,
                spaces: Arc::new(Mutex::new(spaces)),
                closed: AtomicBool::new(false),
                pairing: tokio::sync::Mutex::new(()),
                turn: Mutex::new(()),
                activity,
                summarize,
                before_lock: Mutex::new(None),
                watch: Mutex::new(None),
                lock: Mutex::new(Some(lock)),
            }),
        };
        home.heed();
        Ok(home)
    }

    fn lock_spaces(&self) -> MutexGuard<'_, Vec<Space>> {
        self.inner
            .spaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The person's own name; empty when closed.
    #[must_use]
    pub fn name(&self) -> String {
        self.inner.shared.read(|keys| keys.name.clone())
    }

    /// What this device is called. Only the person's own devices see it.
    #[must_use]
    pub fn device_name(&self) -> String {
        let name = self.inner.shared.read(|keys| keys.device.clone());
        if name.is_empty() {
            // Homes from before there could be several devices.
            "this device".to_owned()
        } else {
            name
        }
    }

    /// The partner's name as exchanged when pairing.
    #[must_use]
    pub fn partner_name(&self) -> Option<String> {
        let paired = self.space(SpaceKind::Shared).is_ok();
        let name = self.inner.shared.read(|keys| keys.partner.clone());
        (paired && !name.is_empty()).then_some(name)
    }

    /// Whether *Only me* is open.
    #[must_use]
    pub fn is_private_unlocked(&self) -> bool {
        self.inner.private.get().is_some()
    }

    /// A handle on a space.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`], [`Error::NotPaired`], [`Error::Closed`].
    pub fn space(&self, kind: SpaceKind) -> Result<Space, Error> {
        let spaces = self.lock_spaces();
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let found = spaces.iter().find(|space| space.kind() == kind).cloned();
        drop(spaces);
        if found.is_none() {
            self.check_damage(kind)?;
        }
        match (found, kind) {
            (Some(space), _) => Ok(space),
            (None, SpaceKind::Private) => Err(Error::PrivateLocked),
            (None, SpaceKind::Shared) if self.home_record().shared.is_some() => {
                Err(Error::NotOnThisDevice)
            }
            (None, SpaceKind::Shared) => Err(Error::NotPaired),
        }
    }

    /// Spaces that cannot be opened because of what is on the disk, and why, in words.
    #[must_use]
    pub fn damaged(&self) -> &[(SpaceKind, String)] {
        &self.inner.damaged
    }

    fn check_damage(&self, kind: SpaceKind) -> Result<(), Error> {
        let mut damaged = self.inner.damaged.iter();
        match damaged.find(|(of, _)| *of == kind) {
            Some((_, why)) => Err(Error::Damaged(why.clone())),
            None => Ok(()),
        }
    }

    /// The spaces that are open.
    #[must_use]
    pub fn spaces(&self) -> Vec<Space> {
        self.lock_spaces().clone()
    }

    /// Shows a code and waits up to ten minutes for the partner to enter it. `confirm` runs
    /// on a thread of its own and answers whether both people see the same words; `false`
    /// leaves nothing behind.
    ///
    /// # Errors
    /// [`Error::AlreadyPaired`], [`ConnectError::NoRelay`], [`Error::Pairing`],
    /// [`Error::Connect`].
    pub async fn pair(
        &self,
        on_code: impl FnOnce(PairingCode) + Send,
        confirm: impl FnOnce(&Found) -> bool + Send + 'static,
    ) -> Result<Found, Error> {
        let _alone = self.pair_alone()?;
        let _busy = self.inner.activity.busy();
        let relay = self.relay().ok_or(ConnectError::NoRelay)?;
        let (half, slot) = self.begin_pairing()?;
        let paired = pairing::show(&relay, half, &self.name(), on_code, confirm).await;
        let paired = self.count_failure(paired)?;
        self.finish_pairing(paired, &relay, slot).await
    }

    /// Enters the partner's code or invitation.
    ///
    /// # Errors
    /// As [`Self::pair`].
    pub async fn join(
        &self,
        invitation: &Invitation,
        confirm: impl FnOnce(&Found) -> bool + Send + 'static,
    ) -> Result<Found, Error> {
        let _alone = self.pair_alone()?;
        let _busy = self.inner.activity.busy();
        let own = self.relay();
        let relay = match (invitation.relay(), own) {
            // Our own address of the same relay may hold a claim.
            (Some(named), Some(own)) if own.key == named.key => own,
            (Some(named), _) => named.clone(),
            (None, Some(own)) => own,
            (None, None) => return Err(ConnectError::NoRelay.into()),
        };
        let (half, slot) = self.begin_pairing()?;
        let paired = pairing::enter(&relay, invitation, half, &self.name(), confirm).await;
        let paired = self.count_failure(paired)?;
        self.finish_pairing(paired, &relay, slot).await
    }

    fn pair_alone(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        self.inner
            .pairing
            .try_lock()
            .map_err(|_| Error::Pairing("another pairing is going on in this journal".to_owned()))
    }

    /// Fails when there is a shared space that pairing must not replace: one in which the
    /// partner was, or in which something is written.
    fn check_unpaired(&self) -> Result<(), Error> {
        let space = match self.space(SpaceKind::Shared) {
            Ok(space) => space,
            // Keys of a space that could not be opened again: not to be wiped either.
            Err(Error::NotPaired) if self.inner.shared.read(|keys| !keys.ring.is_empty()) => {
                return Err(Error::Closed);
            }
            Err(Error::NotPaired) => return Ok(()),
            Err(error) => return Err(error),
        };
        let (partner, state) = (space.partner(), space.status()?.engine);
        let heard = state
            .devices
            .iter()
            .any(|device| Some(device.party) == partner && device.counter > 0);
        if heard || state.documents > 0 {
            return Err(match self.sharing()? {
                Sharing::Left | Sharing::Ended => Error::Parted,
                _ => Error::AlreadyPaired,
            });
        }
        // A space in which nobody ever was is a pairing that did not finish.
        Ok(())
    }

    /// Fails when so many codes went wrong lately that somebody may be guessing.
    fn check_failures(&self) -> Result<(), Error> {
        let now = clock::now();
        let failures = self.inner.shared.read(|keys| keys.failures.clone());
        let within = |span: i64| failures.iter().filter(move |at| is_lately(now, **at, span));
        if within(HOUR_MS).count() >= FAILURES && within(PAUSE_MS).next().is_some() {
            return Err(Error::TooManyCodes);
        }
        Ok(())
    }

    /// Checks whether pairing is possible and draws this side's half.
    fn begin_pairing(&self) -> Result<(OwnHalf, u8), Error> {
        self.check_unpaired()?;
        self.check_slots()?;
        self.check_failures()?;
        let now = clock::now();
        // Another device of this person may have used a slot meanwhile.
        let used = self.home_record().slots;
        let slot: SlotPublic = self
            .inner
            .shared
            .read(|keys| {
                let mut unused = keys.slots.iter();
                unused.find(|slot| !used.contains_key(&slot.slot)).copied()
            })
            .ok_or_else(|| {
                Error::Pairing("all eight key slots of your words are used".to_owned())
            })?;
        let half = OwnHalf::new(now, &mut clock::entropy(), &slot)?;
        Ok((half, slot.slot))
    }

    /// Remembers a failed code, to notice guessing.
    fn count_failure<T>(&self, paired: Result<T, Error>) -> Result<T, Error> {
        if matches!(paired, Err(Error::Pairing(_))) {
            let now = clock::now();
            self.inner.shared.update(|keys| {
                keys.failures.retain(|at| is_lately(now, *at, HOUR_MS));
                keys.failures.push(now.wall_ms);
            })?;
        }
        paired
    }

    async fn finish_pairing(
        &self,
        paired: Paired,
        relay: &RelayAddress,
        slot: u8,
    ) -> Result<Found, Error> {
        // People take their time; an earlier pairing may have come to life meanwhile.
        self.check_unpaired()?;
        let shower = paired.is_shower();
        let Paired {
            space,
            found,
            claim,
            mut talk,
            ..
        } = paired;
        let unfinished = {
            let mut spaces = self.lock_spaces();
            let place = spaces
                .iter()
                .position(|space| space.kind() == SpaceKind::Shared);
            place.map(|place| spaces.remove(place))
        };
        if let Some(unfinished) = unfinished {
            unfinished.close();
        }
        let mut relay = relay.clone();
        relay.claim = relay.claim.or(claim);
        let dir = store_path(&self.inner.dir, SpaceKind::Shared);
        let partner = found.partner.clone();
        let mut record = self.home_record();
        record.shared = Some(space.genesis.id());
        record.relay = relay.without_claim().to_string();
        record.partner.clone_from(&partner);
        record.left_quietly = false;
        record.slots.insert(slot, space.genesis.id());
        self.inner.shared.update(|keys| {
            // The slot of this half is used, whatever happens next.
            keys.slots.retain(|unused| unused.slot != slot);
            keys.partner = partner;
            keys.mode = mode::USUAL;
            keys.segments.clear();
            keys.ring = zeroize::Zeroizing::new(Vec::new());
            keys.failures.clear();
        })?;
        self.set_relay_of_pairing(&relay)?;
        remains::remove_store(&dir)?;
        let keys = self.inner.shared.get().ok_or(Error::Closed)?;
        let replica = Replica::create(SealedStore::open(&dir, Arc::clone(&keys))?, space)?;
        // Even when the last word is lost, or nobody waits for it any more, the space is
        // there: it is what both signed.
        let mut founded = Founded {
            home: self,
            replica: Some(replica),
        };
        let shared = match &mut founded.replica {
            Some(replica) => pairing::share_first_epoch(&mut talk, shower, replica).await,
            None => Err(Error::Bug("a space that was founded and is gone")),
        };
        founded.open()?;
        talk.close(!shower).await;
        // For the person's other devices; nothing of it is needed here.
        self.note_home(&record)?;
        self.note_this_device()?;
        shared?;
        Ok(found)
    }

    /// Opens a shared space that was just founded.
    fn adopt(&self, replica: Replica<SealedStore>) -> Result<(), Error> {
        {
            let mut spaces = self.lock_spaces();
            let keys = self.inner.shared.get().filter(|_| !self.is_closed());
            let keys = keys.ok_or(Error::Closed)?;
            let activity = &self.inner.activity;
            let summarize = self.inner.summarize.clone();
            let kind = SpaceKind::Shared;
            spaces.push(open_space(kind, replica, &keys, activity, summarize)?);
        }
        self.heed();
        Ok(())
    }

    /// Reads everything there is and says what is not as it should be. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn check(&self) -> Result<Vec<CheckReport>, Error> {
        self.spaces().iter().map(check::check).collect()
    }

    /// Ends connections and threads, closes the stores and forgets all keys, also for those
    /// who hold another handle of the home: it can be opened again at once.
    ///
    /// # Errors
    /// None at present; the result is there so that closing can fail visibly.
    pub fn close(self) -> Result<(), Error> {
        self.close_all();
        Ok(())
    }
}

/// A founded space on its way into the home; dropping it opens the space too.
struct Founded<'a> {
    home: &'a Home,
    replica: Option<Replica<SealedStore>>,
}

impl Founded<'_> {
    fn open(mut self) -> Result<(), Error> {
        self.replica
            .take()
            .map_or(Ok(()), |replica| self.home.adopt(replica))
    }
}

impl Drop for Founded<'_> {
    fn drop(&mut self) {
        if let Some(replica) = self.replica.take() {
            // At the latest, the next opening of the home finds it.
            let _ = self.home.adopt(replica);
        }
    }
}

/// Whether two moments are less than `span` apart, whichever way the clock was set meanwhile.
fn is_lately(now: Now, at: i64, span: i64) -> bool {
    now.wall_ms.abs_diff(at) < span.unsigned_abs()
}

fn open_space(
    kind: SpaceKind,
    mut replica: Replica<SealedStore>,
    keys: &Arc<KeyFile>,
    activity: &Arc<Activity>,
    summarize: Option<Arc<dyn Summarize>>,
) -> Result<Space, Error> {
    if let Some(summarize) = summarize {
        replica.with_summarize(summarize);
    }
    let (own, partner) = (replica.own_party(), replica.partner());
    let blobs = Arc::new(Blobs::open(replica.store().dir(), keys)?);
    let chores = Arc::<tokio::sync::Notify>::default();
    let worker = Worker::start(replica, Arc::clone(&blobs), Arc::clone(&chores))?;
    let activity = Arc::clone(activity);
    Ok(Space::new(
        kind,
        own,
        partner,
        worker,
        (blobs, chores),
        keys,
        activity,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A clock that was wrong once must not forbid pairing for years.
    #[test]
    fn what_happened_in_the_future_is_not_lately() {
        let now = Now {
            wall_ms: 1_000_000_000_000,
            elapsed: Duration::ZERO,
        };
        for (at, lately) in [
            (now.wall_ms, true),
            (now.wall_ms - HOUR_MS + 1, true),
            (now.wall_ms + HOUR_MS - 1, true),
            (now.wall_ms - HOUR_MS, false),
            (now.wall_ms + HOUR_MS, false),
            (i64::MAX, false),
            (i64::MIN, false),
        ] {
            assert_eq!(is_lately(now, at, HOUR_MS), lately, "{at}");
        }
    }
}
