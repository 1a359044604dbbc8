//! Everything is lost but the twelve words and the relay's address: making a home out of them
//! (protocol §2.18).
//!
//! *Only me* comes first: only there it stands which shared space there is, at which relay, and
//! whether it was left without a word; until that is read, nothing is said in a shared space.
//! A person may stop or a machine may die at any point: before the home is there, the next
//! attempt begins afresh and removes the device that this one added; afterwards
//! [`Home::recover_shared`] and [`Home::finish_recovery`] go on.

use std::time::Duration;

use ajar_crypto::{RecoveryPhrase, SlotKeys};
use ajar_engine::Replica;
use ajar_protocol::address::RelayAddress;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::{DeviceId, SpaceId};
use tokio::time::Instant;

use super::builder::{all_slots, checked_name};
use super::keyfile::Keys;
use super::records::HomeRecord;
use super::recovered::{MissingSpace, Place, Recovered, Review};
use super::{Builder, Home, NewHome, remains, store_path};
use crate::clock;
use crate::error::{ConnectError, Error};
use crate::recovering::{self, Look};
use crate::space::Space;
use crate::store::SealedStore;

fn slot_keys(phrase: &RecoveryPhrase, slot: u8) -> Result<SlotKeys, Error> {
    phrase.slot_keys(slot).map_err(|_| Error::Bug("a key slot"))
}

/// Looks what the words find at a relay, slot by slot.
async fn look_all(
    phrase: &RecoveryPhrase,
    slots: impl IntoIterator<Item = u8>,
    relay: &RelayAddress,
    until: Instant,
    told: &mut Recovered,
) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for slot in slots {
        let keys = slot_keys(phrase, slot)?;
        // A private space on a slot for shared ones, or the other way round, is nothing that an
        // honest device ever made.
        let wanted = match slot {
            0 => SpaceKind::Private,
            _ => SpaceKind::Shared,
        };
        match recovering::look(relay, &keys, until).await? {
            Look::Found(found) if found.kind() == wanted => {
                let relay = relay.clone();
                let place = Place { found, relay };
                told.spaces.push(place.describe());
                places.push(place);
            }
            Look::Nothing => {}
            Look::Unsound | Look::Found(_) => told.unsound.push(slot),
        }
    }
    Ok(places)
}

/// Asks the person, on a thread where waiting is fine.
async fn ask(
    told: &Recovered,
    review: impl FnOnce(&Recovered) -> Review + Send + 'static,
) -> Result<Review, Error> {
    let shown = told.clone();
    let review = tokio::task::spawn_blocking(move || review(&shown))
        .await
        .map_err(|_| Error::NotConfirmed)?;
    if review.go_on {
        Ok(review)
    } else {
        Err(Error::NotConfirmed)
    }
}

/// Signs the recovery of a space and has its relay store the link.
async fn recover(
    phrase: &RecoveryPhrase,
    place: &Place,
    review: &Review,
    until: Instant,
) -> Result<ajar_engine::replica::NewSpace, Error> {
    let found = &place.found;
    let keys = slot_keys(phrase, found.slot())?;
    let keep: Vec<DeviceId> = match review.keep_devices {
        true => found.devices().iter().map(|device| device.id).collect(),
        false => Vec::new(),
    };
    let undo = review.undo(found.space());
    let recovery = found.recover(clock::now(), &mut clock::entropy(), &keys, &keep, undo)?;
    recovering::store(&place.relay, &keys, recovery.link(), until).await?;
    Ok(recovery.into_space())
}

impl Builder {
    /// Makes a home out of the twelve words and the address of a relay: looks what they find,
    /// asks the person (on a thread of its own), removes the lost devices, and fetches
    /// everything. `wait` bounds each stage: looking, recovering, and fetching.
    ///
    /// What was not finished when this returns (see [`Recovered::complete`]) goes on with
    /// [`Home::finish_recovery`] and [`Home::recover_shared`].
    ///
    /// # Errors
    /// [`Error::NothingToRecover`], [`Error::PrivateNotFound`], [`Error::NotConfirmed`],
    /// [`Error::Recover`], [`Error::MemberRefused`], [`Error::Connect`],
    /// [`ConnectError::NoRelay`], and those of [`Self::create`]. There is no home then.
    pub async fn recover(
        self,
        new: NewHome,
        phrase: RecoveryPhrase,
        wait: Duration,
        review: impl FnOnce(&Recovered) -> Review + Send + 'static,
    ) -> Result<(Home, Recovered), Error> {
        self.check_free()?;
        let (name, device) = (checked_name(&new.name)?, checked_name(&new.device)?);
        let relay = new.relay.ok_or(ConnectError::NoRelay)?;
        let mut told = Recovered::default();
        let until = Instant::now() + wait;
        let mut places = look_all(&phrase, 0..=8, &relay, until, &mut told).await?;
        if places.is_empty() {
            return Err(match told.unsound.is_empty() {
                true => Error::NothingToRecover,
                false => nonsense(),
            });
        }
        let review = ask(&told, review).await?;
        let private = places
            .iter()
            .position(|place| place.found.kind() == SpaceKind::Private)
            .map(|at| places.swap_remove(at));
        let first = match private {
            Some(private) => private,
            None if review.without_private => {
                best(&mut places, None, &review).ok_or(Error::NothingToRecover)?
            }
            None => return Err(Error::PrivateNotFound),
        };
        let kind = first.found.kind();
        let mut slots = all_slots(&phrase)?;
        // Which other slots are used stands in the private space.
        let used = |slot: &u8| *slot == 0 || told.spaces.iter().any(|space| space.slot == *slot);
        slots.retain(|slot| kind == SpaceKind::Private && !used(&slot.slot));
        let keys = Keys {
            name,
            relay: relay.to_string(),
            slots,
            device,
            ..Keys::default()
        };
        let private_keys = (kind == SpaceKind::Private).then(|| Keys {
            relay: relay.to_string(),
            ..Keys::default()
        });
        let blocking = |_| Error::Bug("making a recovered home");
        let unfinished = tokio::task::spawn_blocking(move || self.begin(keys, private_keys))
            .await
            .map_err(blocking)??;
        let until = Instant::now() + wait;
        let space = recover(&phrase, &first, &review, until).await?;
        let id = space.genesis.id();
        let home = tokio::task::spawn_blocking(move || {
            unfinished.put(kind, space)?;
            unfinished.finish()
        })
        .await
        .map_err(blocking)??;
        told.taken(id);
        // From here on there is a home: what fails now is done later.
        home.note_words()?;
        let mut rest = true;
        if kind == SpaceKind::Private {
            let shared = home.recover_rest(&phrase, places, &relay, &review, wait, &mut told);
            if let Err(error) = shared.await {
                tracing::info!(code = error.code(), "the shared space is not recovered yet");
                rest = false;
            }
        }
        drop(phrase);
        rest &= told.missing.is_none();
        told.complete = home.finish_recovery(wait).await.is_ok() && rest;
        Ok((home, told))
    }
}

fn nonsense() -> Error {
    ConnectError::Violation("what it showed belongs to other words".to_owned()).into()
}

/// Takes the shared space that a home is to have: the one that the private space names, else
/// the newest that was not ended.
fn best(places: &mut Vec<Place>, named: Option<SpaceId>, review: &Review) -> Option<Place> {
    let usable = places
        .iter()
        .enumerate()
        .filter(|(_, place)| review.allows(&place.found))
        .filter(|(_, place)| named.is_none_or(|named| named == place.found.space()));
    // Slots are used in ascending order.
    let newest = usable.max_by_key(|(_, place)| (!place.found.partner_left(), place.found.slot()));
    let at = newest.map(|(at, _)| at)?;
    Some(places.swap_remove(at))
}

impl Home {
    /// Brings a shared space that is not here into this home, with the words it stands on: at
    /// `relay`, or at this home's, or at the one that the private space names.
    ///
    /// # Errors
    /// [`Error::AlreadyPaired`], [`Error::PrivateLocked`], [`Error::NothingToRecover`],
    /// [`Error::NotConfirmed`], [`Error::Misuse`] for other words than those of *Only me*, and
    /// those of [`Builder::recover`]. The home is as it was then.
    pub async fn recover_shared(
        &self,
        phrase: &RecoveryPhrase,
        relay: Option<&RelayAddress>,
        wait: Duration,
        review: impl FnOnce(&Recovered) -> Review + Send + 'static,
    ) -> Result<Recovered, Error> {
        let _busy = self.inner.activity.busy();
        self.space(SpaceKind::Private)?;
        if self.space(SpaceKind::Shared).is_ok() {
            return Err(Error::AlreadyPaired);
        }
        self.check_damage(SpaceKind::Shared)?;
        if !self.check_words(phrase)?.all() {
            return Err(ajar_engine::Misuse::WrongWords.into());
        }
        let relay = relay.cloned().or_else(|| self.relay());
        let relay = relay.ok_or(ConnectError::NoRelay)?;
        let mut told = Recovered::default();
        let until = Instant::now() + wait;
        let places = look_all(phrase, 1..=8, &relay, until, &mut told).await?;
        let review = ask(&told, review).await?;
        self.recover_rest(phrase, places, &relay, &review, wait, &mut told)
            .await?;
        if told.missing.is_some() {
            return Ok(told);
        }
        if told.of(SpaceKind::Shared).all(|space| !space.taken) && !told.left_quietly {
            return Err(Error::NothingToRecover);
        }
        told.complete = self.finish_recovery(wait).await.is_ok();
        Ok(told)
    }

    /// The shared space, once the private one can be read.
    async fn recover_rest(
        &self,
        phrase: &RecoveryPhrase,
        mut places: Vec<Place>,
        relay: &RelayAddress,
        review: &Review,
        wait: Duration,
        told: &mut Recovered,
    ) -> Result<(), Error> {
        let _alone = self.pair_alone()?;
        if self.space(SpaceKind::Shared).is_ok() {
            return Err(Error::AlreadyPaired);
        }
        self.check_damage(SpaceKind::Shared)?;
        // Whatever stands in there counts more than what a relay shows.
        self.space(SpaceKind::Private)?.sync(wait).await?;
        let record = self.home_record();
        told.left_quietly = record.left_quietly;
        if record.left_quietly {
            return Ok(());
        }
        let until = Instant::now() + wait;
        if let Some(place) = self
            .named_elsewhere(phrase, &places, relay, &record, until, told)
            .await
        {
            places.push(place);
        }
        let Some(place) = best(&mut places, record.shared, review) else {
            let known = |named: &SpaceId| told.spaces.iter().all(|space| space.id != *named);
            told.missing = record.shared.filter(known).map(|space| MissingSpace {
                space,
                relay: record.relay,
            });
            return Ok(());
        };
        let space = recover(phrase, &place, review, until).await?;
        let id = space.genesis.id();
        self.take_in(space, &place, &record.partner)?;
        told.taken(id);
        Ok(())
    }

    /// Looks at the relay that the private space names for the shared one.
    async fn named_elsewhere(
        &self,
        phrase: &RecoveryPhrase,
        places: &[Place],
        relay: &RelayAddress,
        record: &HomeRecord,
        until: Instant,
        told: &mut Recovered,
    ) -> Option<Place> {
        let named = record.shared?;
        if places.iter().any(|place| place.found.space() == named) {
            return None;
        }
        let other: RelayAddress = record.relay.parse().ok()?;
        if other.key == relay.key && other.host == relay.host && other.port == relay.port {
            return None;
        }
        let slot = record.slots.iter().find(|(_, space)| **space == named);
        let slots = slot.map_or(1..=8, |(slot, _)| *slot..=*slot);
        // That relay may be gone: the space is missing then.
        let found = look_all(phrase, slots, &other, until, told).await.ok()?;
        let mut found = found.into_iter();
        found.find(|place| place.found.space() == named)
    }

    /// Makes the store of a recovered shared space and opens it.
    fn take_in(
        &self,
        space: ajar_engine::replica::NewSpace,
        place: &Place,
        partner: &str,
    ) -> Result<(), Error> {
        let dir = store_path(&self.inner.dir, SpaceKind::Shared);
        let slot = place.found.slot();
        let relay = match self.relay() {
            // Our own address of the same relay may hold a claim.
            Some(own) if own.key == place.relay.key => own,
            _ => place.relay.clone(),
        };
        self.inner.shared.update(|keys| {
            keys.slots.retain(|unused| unused.slot != slot);
            keys.partner = partner.to_owned();
            keys.relay = relay.to_string();
            keys.segments.clear();
            keys.ring = zeroize::Zeroizing::new(Vec::new());
        })?;
        remains::remove_store(&dir)?;
        let store = SealedStore::open(&dir, self.inner.shared.get().ok_or(Error::Closed)?)?;
        self.adopt(Replica::create(store, space)?)
    }

    /// Finishes a recovery: fetches what the relay holds, changes the keys, and notes in the
    /// private space what the person's devices know of each other. May be repeated, and does
    /// nothing when all is done.
    ///
    /// # Errors
    /// [`Error::Undelivered`], and then it is to be repeated.
    pub async fn finish_recovery(&self, wait: Duration) -> Result<(), Error> {
        let _busy = self.inner.activity.busy();
        let mut unfinished = Vec::new();
        for space in self.spaces() {
            let fresh = space
                .worker()
                .call(|core| core.replica.is_recovery_unfinished())?;
            if fresh {
                unfinished.push(space);
            }
        }
        for space in &unfinished {
            // A key change that follows nothing would be one of its own.
            space.sync(wait).await?;
        }
        if let Ok(me) = self.space(SpaceKind::Private) {
            self.note_recovered(&unfinished, &me)?;
        }
        for space in &unfinished {
            space.rotate().await?;
            space.sync(wait).await?;
        }
        Ok(())
    }

    fn note_recovered(&self, unfinished: &[Space], me: &Space) -> Result<(), Error> {
        if unfinished.is_empty() && !self.device_records(&[me.device()?]).is_empty() {
            return Ok(());
        }
        if let Ok(us) = self.space(SpaceKind::Shared) {
            let (id, slot) = us
                .worker()
                .call(|core| (core.replica.space_id(), core.replica.slot()))?;
            let mut record = self.home_record();
            record.slots.insert(slot, id);
            if record.shared.is_none() {
                record.shared = Some(id);
            }
            let relay = self.relay();
            record.relay = relay.map_or(record.relay, |relay| relay.without_claim().to_string());
            self.note_home(&record)?;
        }
        self.note_this_device()
    }
}
