//! Homes: a directory that holds everything of one person on one device, opened by one
//! process at a time (protocol §2.16).
//!
//! ```text
//! vault.hdr            two passphrase slots, always both present
//! keys-shared.sealed   name, relay, key slots; keys of the shared space
//! keys-private.sealed  relay; keys of the private space
//! shared/  private/    sealed logs
//! lock                 held while open
//! ```

mod builder;
mod check;
mod keyfile;
mod lock;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ajar_crypto::SlotPublic;
use ajar_engine::Replica;
use ajar_engine::pairing::OwnHalf;
use ajar_protocol::address::RelayAddress;
use ajar_protocol::genesis::SpaceKind;

pub use builder::{Builder, NewHome};
pub use check::CheckReport;
pub(crate) use keyfile::KeyFile;

use crate::clock;
use crate::core::Worker;
use crate::error::{ConnectError, Error};
use crate::invitation::Invitation;
use crate::pairing::{self, Found, Paired, PairingCode};
use crate::space::Space;
use crate::store::SealedStore;

const VAULT: &str = "vault.hdr";
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
    shared: Arc<KeyFile>,
    /// `None` while *Only me* is locked.
    private: Option<Arc<KeyFile>>,
    spaces: Mutex<Vec<Space>>,
    // Last: the lock is let go when everything else is closed.
    _lock: lock::Lock,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for space in self
            .spaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            space.close();
        }
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
        private: Option<Arc<KeyFile>>,
    ) -> Result<Self, Error> {
        let mut spaces = Vec::new();
        let both = [
            (SpaceKind::Private, private.as_ref()),
            (SpaceKind::Shared, Some(&shared)),
        ];
        for (kind, keys) in both {
            if let Some(keys) = keys
                && keys.read(|keys| !keys.ring.is_empty())
            {
                let store = SealedStore::open(&store_path(&dir, kind), Arc::clone(keys))?;
                spaces.push(open_space(kind, Replica::open(store)?, Arc::clone(keys))?);
            }
        }
        let spaces = Mutex::new(spaces);
        Ok(Self {
            inner: Arc::new(Inner {
                dir,
                shared,
                private,
                spaces,
                _lock: lock,
            }),
        })
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

    /// The person's own name.
    #[must_use]
    pub fn name(&self) -> String {
        self.inner.shared.read(|keys| keys.name.clone())
    }

    /// The partner's name as exchanged when pairing.
    #[must_use]
    pub fn partner_name(&self) -> Option<String> {
        let paired = self.space(SpaceKind::Shared).is_ok();
        let name = self.inner.shared.read(|keys| keys.partner.clone());
        (paired && !name.is_empty()).then_some(name)
    }

    /// Address of the relay, with its claim if there still is one.
    #[must_use]
    pub fn relay(&self) -> Option<RelayAddress> {
        self.inner.shared.read(|keys| keys.relay.parse().ok())
    }

    /// Uses another relay from the next connection on, for both spaces.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::DiskFull`].
    pub fn set_relay(&self, relay: &RelayAddress) -> Result<(), Error> {
        let text = relay.to_string();
        self.inner
            .shared
            .update(|keys| keys.relay.clone_from(&text))?;
        if let Some(private) = &self.inner.private {
            private.update(|keys| keys.relay = text)?;
        }
        Ok(())
    }

    /// Whether *Only me* is open.
    #[must_use]
    pub fn is_private_unlocked(&self) -> bool {
        self.inner.private.is_some()
    }

    /// A handle on a space.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`], [`Error::NotPaired`].
    pub fn space(&self, kind: SpaceKind) -> Result<Space, Error> {
        let found = self
            .lock_spaces()
            .iter()
            .find(|space| space.kind() == kind)
            .cloned();
        found.ok_or(match kind {
            SpaceKind::Private => Error::PrivateLocked,
            SpaceKind::Shared => Error::NotPaired,
        })
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
        let relay = self.relay().ok_or(ConnectError::NoRelay)?;
        let half = self.begin_pairing()?;
        let paired = pairing::show(&relay, half, &self.name(), on_code, confirm).await;
        let paired = self.count_failure(paired)?;
        self.finish_pairing(paired, &relay).await
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
        let own = self.relay();
        let relay = match (invitation.relay(), own) {
            // Our own address of the same relay may hold a claim.
            (Some(named), Some(own)) if own.key == named.key => own,
            (Some(named), _) => named.clone(),
            (None, Some(own)) => own,
            (None, None) => return Err(ConnectError::NoRelay.into()),
        };
        let half = self.begin_pairing()?;
        let paired = pairing::enter(&relay, invitation, half, &self.name(), confirm).await;
        let paired = self.count_failure(paired)?;
        self.finish_pairing(paired, &relay).await
    }

    /// Checks whether pairing is possible and draws this side's half.
    fn begin_pairing(&self) -> Result<OwnHalf, Error> {
        if let Ok(space) = self.space(SpaceKind::Shared) {
            let partner = space.partner();
            let heard = space
                .status()?
                .engine
                .devices
                .iter()
                .any(|device| Some(device.party) == partner && device.counter > 0);
            // A space in which the partner never was is a pairing that did not finish.
            if heard {
                return Err(Error::AlreadyPaired);
            }
        }
        let now = clock::now();
        let failures = self.inner.shared.read(|keys| keys.failures.clone());
        let lately = failures
            .iter()
            .filter(|at| now.wall_ms.saturating_sub(**at) < HOUR_MS)
            .count();
        let last = failures.iter().max().copied().unwrap_or(0);
        if lately >= FAILURES && now.wall_ms.saturating_sub(last) < PAUSE_MS {
            return Err(Error::TooManyCodes);
        }
        let slot: SlotPublic = self
            .inner
            .shared
            .read(|keys| keys.slots.first().copied())
            .ok_or_else(|| {
                Error::Pairing("all eight key slots of your words are used".to_owned())
            })?;
        Ok(OwnHalf::new(now, &mut clock::entropy(), &slot)?)
    }

    /// Remembers a failed code, to notice guessing.
    fn count_failure(&self, paired: Result<Paired, Error>) -> Result<Paired, Error> {
        if matches!(paired, Err(Error::Pairing(_))) {
            let now = clock::now().wall_ms;
            self.inner.shared.update(|keys| {
                keys.failures.retain(|at| now.saturating_sub(*at) < HOUR_MS);
                keys.failures.push(now);
            })?;
        }
        paired
    }

    async fn finish_pairing(&self, paired: Paired, relay: &RelayAddress) -> Result<Found, Error> {
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
        self.inner.shared.update(|keys| {
            // The slot of this half is used, whatever happens next.
            if !keys.slots.is_empty() {
                keys.slots.remove(0);
            }
            keys.partner = partner;
            keys.segments.clear();
            keys.ring = zeroize::Zeroizing::new(Vec::new());
            keys.failures.clear();
        })?;
        self.set_relay(&relay)?;
        if dir.exists() {
            std::fs::remove_dir_all(&dir).map_err(|error| Error::io(&dir, error))?;
        }
        let keys = Arc::clone(&self.inner.shared);
        let mut replica = Replica::create(SealedStore::open(&dir, Arc::clone(&keys))?, space)?;
        let shared = pairing::share_first_epoch(&mut talk, shower, &mut replica).await;
        // Even when the last word was lost the space is there; it is what both signed.
        self.lock_spaces()
            .push(open_space(SpaceKind::Shared, replica, keys)?);
        talk.close(!shower).await;
        shared?;
        Ok(found)
    }

    /// Reads everything there is and says what is not as it should be. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn check(&self) -> Result<Vec<CheckReport>, Error> {
        self.spaces().iter().map(check::check).collect()
    }

    /// Ends connections and threads and closes the stores.
    ///
    /// # Errors
    /// None at present; the result is there so that closing can fail visibly.
    pub fn close(self) -> Result<(), Error> {
        for space in self.lock_spaces().drain(..) {
            space.close();
        }
        Ok(())
    }
}

fn open_space(
    kind: SpaceKind,
    replica: Replica<SealedStore>,
    keys: Arc<KeyFile>,
) -> Result<Space, Error> {
    let (own, partner) = (replica.own_party(), replica.partner());
    Ok(Space::new(
        kind,
        own,
        partner,
        Worker::start(replica)?,
        keys,
    ))
}
