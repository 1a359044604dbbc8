//! A person's own devices: adding one, being one that is added, listing and removing them.

use std::time::Duration;

use ajar_engine::membership::NewHalf;
use ajar_engine::replica::DeviceStatus;
use ajar_protocol::DeviceId;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::RevokeReason;
use ajar_protocol::mailbox::Purpose;

use super::builder::checked_name;
use super::keyfile::Keys;
use super::records::{DEVICE_NAME, DeviceRecord};
use super::{Builder, Home};
use crate::clock;
use crate::error::{ConnectError, Error};
use crate::invitation::Invitation;
use crate::linking::{self, Accepted, Candidate, Hello, LinkWords};
use crate::space::Space;
use crate::talk::{PairingCode, Talk, failed};
use ajar_protocol::address::RelayAddress;

/// What a device that is to be added begins with.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// What it is to be called, 1 to 64 characters. Only the person's own devices see it.
    pub name: String,
    /// The relay through which the devices meet, if the code does not name it.
    pub relay: Option<RelayAddress>,
}

/// A device of the person whose home this is. Computed from the party chains; its name comes
/// from the private space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDevice {
    /// What it is called, if that is known here. Neutralise it before showing it.
    pub name: Option<String>,
    /// Its id in the private space, if it is or was there.
    pub private: Option<DeviceId>,
    /// Its id in the shared space, if it is or was there.
    pub shared: Option<DeviceId>,
    /// Whether it is this one.
    pub this: bool,
    /// Whether it may still read and write in any space.
    pub active: bool,
    /// Since when, ms since 1970, as the chains claim.
    pub since_ms: u64,
}

impl OwnDevice {
    /// The id it is named by: that of the private space, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<DeviceId> {
        self.private.or(self.shared)
    }

    fn id_in(&self, kind: SpaceKind) -> Option<DeviceId> {
        match kind {
            SpaceKind::Private => self.private,
            SpaceKind::Shared => self.shared,
        }
    }
}

const BOTH: [SpaceKind; 2] = [SpaceKind::Private, SpaceKind::Shared];

impl Home {
    /// Adds a device of one's own to some spaces: shows a code, waits up to ten minutes for
    /// the other device to enter it, and hands the spaces over when `choose` (on a thread of
    /// its own) has named the line that the other device shows. Returns what the device is
    /// called.
    ///
    /// # Errors
    /// [`Error::Pairing`] when nothing was added; [`Error::PrivateLocked`],
    /// [`Error::NotPaired`] for a space that is not open here; [`Error::Undelivered`] when
    /// the relay was not there in time; [`Error::Misuse`] at eight devices.
    pub async fn add_device(
        &self,
        kinds: &[SpaceKind],
        wait: Duration,
        on_code: impl FnOnce(PairingCode) + Send,
        choose: impl FnOnce(&Candidate) -> Option<usize> + Send + 'static,
    ) -> Result<String, Error> {
        let _alone = self.pair_alone()?;
        let _busy = self.inner.activity.busy();
        self.check_failures()?;
        let mut spaces = Vec::new();
        for kind in BOTH {
            if kinds.contains(&kind) {
                spaces.push(self.space(kind)?);
            }
        }
        if spaces.is_empty() {
            return Err(failed("name at least one space for the new device"));
        }
        // The relay of the shared space may be the partner's, and is not to learn of a device
        // that has nothing to do there.
        let meet_at = match kinds.contains(&SpaceKind::Shared) {
            true => SpaceKind::Shared,
            false => SpaceKind::Private,
        };
        let relay = self.relay_of(meet_at).ok_or(ConnectError::NoRelay)?;
        // The place that is offered must still be free when the link is made.
        for space in &spaces {
            space.sync(wait).await?;
        }
        if kinds.contains(&SpaceKind::Private) {
            // Slots of words that were replaced are not passed on.
            self.check_slots()?;
        }
        let mut size = 0;
        for space in &spaces {
            size += space.worker().call(|core| core.replica.pack())??.len();
        }
        linking::check_size(size)?;
        let hello = self.hello(&spaces)?;
        let linked = async {
            let talk = Talk::show(&relay, Purpose::DeviceLink, on_code).await?;
            linking::offer(talk, &hello, choose).await
        };
        let accepted = self.count_failure(linked.await)?;
        self.link_all(&spaces, accepted, wait).await
    }

    fn hello(&self, spaces: &[Space]) -> Result<Hello, Error> {
        let mut offers = Vec::new();
        for space in spaces {
            offers.push(space.worker().call(|core| core.replica.link_offer())?);
        }
        let has = |kind| spaces.iter().any(|space| space.kind() == kind);
        let bare = |text: &str| -> String {
            let relay = text.parse::<RelayAddress>();
            relay.map_or_else(|_| String::new(), |relay| relay.without_claim().to_string())
        };
        let keys = self.inner.shared.read(|keys| Keys {
            name: keys.name.clone(),
            partner: keys.partner.clone(),
            relay: keys.relay.clone(),
            slots: keys.slots.clone(),
            ..Keys::default()
        });
        let private_relay = match self.inner.private.get() {
            Some(private) => private.read(|keys| bare(&keys.relay)),
            None => String::new(),
        };
        Ok(Hello {
            offers,
            name: keys.name,
            partner: keys.partner,
            relay: bare(&keys.relay),
            private_relay,
            // Which slots are used is known in the private space.
            slots: if has(SpaceKind::Private) {
                keys.slots
            } else {
                Vec::new()
            },
        })
    }

    /// Links the device in every space, then hands them over.
    async fn link_all(
        &self,
        spaces: &[Space],
        accepted: Accepted,
        wait: Duration,
    ) -> Result<String, Error> {
        let name: String = accepted.name.chars().take(DEVICE_NAME).collect();
        let mut linked: Vec<(Space, DeviceId)> = Vec::new();
        for (space, request) in spaces.iter().zip(accepted.requests.clone()) {
            let device = request.keys.id();
            let done = space
                .change_membership(wait, move |replica, now| {
                    replica.propose_device(now, &request)
                })
                .await;
            if let Err(error) = done {
                // A device that is in one space only is nothing that anybody asked for.
                for (space, device) in linked {
                    let _half = remove_from(&space, device, RevokeReason::Retired, wait).await;
                }
                accepted.give_up().await;
                return Err(error);
            }
            linked.push((space.clone(), device));
        }
        let in_space = |kind| {
            let mut all = linked.iter();
            all.find(|(space, _)| space.kind() == kind)
                .map(|(_, device)| *device)
        };
        self.note_device(&DeviceRecord {
            name: name.clone(),
            private: in_space(SpaceKind::Private),
            shared: in_space(SpaceKind::Shared),
        })?;
        let mut packs = Vec::new();
        for (space, _) in &linked {
            let pack = space.worker().call(|core| core.replica.pack())??;
            packs.push((space.kind(), pack));
        }
        accepted.hand_over(&packs).await?;
        if let Ok(me) = self.space(SpaceKind::Private) {
            // The name of the device; it may travel later as well.
            let _later = me.sync(wait).await;
        }
        Ok(name)
    }

    /// The person's own devices, the oldest first. Names are known while *Only me* is open.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn devices(&self) -> Result<Vec<OwnDevice>, Error> {
        let mut found: Vec<(SpaceKind, DeviceStatus)> = Vec::new();
        for space in self.spaces() {
            let own = space.own_party();
            let status = space.status()?.engine;
            let devices = status.devices.into_iter();
            let of_own = devices.filter(|device| device.party == own);
            found.extend(of_own.map(|device| (space.kind(), device)));
        }
        let ids: Vec<DeviceId> = found.iter().map(|(_, device)| device.id).collect();
        let records = self.device_records(&ids);
        let mut devices: Vec<OwnDevice> = Vec::new();
        for (kind, status) in found {
            let id = status.id;
            let record = records
                .iter()
                .find(|record| record.private == Some(id) || record.shared == Some(id));
            let same = |device: &&mut OwnDevice| {
                let linked = record.is_some_and(|record| {
                    [record.private, record.shared]
                        .iter()
                        .flatten()
                        .any(|id| device.private == Some(*id) || device.shared == Some(*id))
                });
                linked || device.this && status.this
            };
            let device = match devices.iter_mut().find(same) {
                Some(device) => device,
                None => {
                    devices.push(OwnDevice {
                        name: record.map(|record| record.name.clone()),
                        private: None,
                        shared: None,
                        this: false,
                        active: false,
                        since_ms: status.since_ms,
                    });
                    let Some(device) = devices.last_mut() else {
                        continue;
                    };
                    device
                }
            };
            match kind {
                SpaceKind::Private => device.private = Some(id),
                SpaceKind::Shared => device.shared = Some(id),
            }
            device.this |= status.this;
            device.active |= status.active;
            device.since_ms = device.since_ms.min(status.since_ms);
        }
        for device in &mut devices {
            if device.this && device.name.is_none() {
                device.name = Some(self.device_name());
            }
        }
        devices.sort_by_key(|device| (device.since_ms, device.id()));
        Ok(devices)
    }

    /// Removes one of the person's other devices from every space that it is in: it reads
    /// nothing new, and what it writes from now on counts nowhere. May be repeated when the
    /// relay was not there for one of the spaces.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`] when it is in *Only me*, which is not open;
    /// [`Error::Misuse`] for this device; [`Error::Undelivered`], [`Error::MemberRefused`].
    pub async fn remove_device(
        &self,
        device: &OwnDevice,
        reason: RevokeReason,
        wait: Duration,
    ) -> Result<(), Error> {
        // A device that stays where nobody looked is none that was removed.
        self.check_damage(SpaceKind::Shared)?;
        let _busy = self.inner.activity.busy();
        let mut places = Vec::new();
        for kind in BOTH {
            if let Some(id) = device.id_in(kind) {
                let space = self.space(kind)?;
                let status = space.status()?.engine;
                let active = status.devices.iter().any(|one| one.id == id && one.active);
                if active {
                    places.push((space, id));
                }
            }
        }
        if places.is_empty() {
            return Err(ajar_engine::Misuse::NoSuchDevice.into());
        }
        for (space, id) in places {
            remove_from(&space, id, reason, wait).await?;
        }
        Ok(())
    }

    /// Lets in what a removed device of the person sent before it could hear of its removal
    /// (protocol §2.3, REVOKE_AMEND): whatever of it the relay shows now. Once for each device
    /// and space, within seven days, and only for a device that was merely lost: whoever holds
    /// a stolen one may have written this. Returns how many envelopes count now that did not
    /// before.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`] when it was in *Only me*, which is not open; [`Error::Misuse`]
    /// with [`ajar_engine::Misuse::NothingBeyond`] or [`ajar_engine::Misuse::TooLate`];
    /// [`Error::Undelivered`], [`Error::MemberRefused`].
    pub async fn keep_late_entries(
        &self,
        device: &OwnDevice,
        wait: Duration,
    ) -> Result<u64, Error> {
        let mut places = Vec::new();
        for kind in BOTH {
            if let Some(id) = device.id_in(kind) {
                places.push((self.space(kind)?, id));
            }
        }
        let mut kept = 0_u64;
        let mut refused = None;
        for (space, id) in places {
            let (tell, told) = std::sync::mpsc::channel();
            let amended = space
                .change_membership(wait, move |replica, now| {
                    // Counted where it is decided: it is known while the relay is there.
                    let _nobody = tell.send(replica.beyond(&id));
                    replica.propose_amend(now, id)
                })
                .await;
            match amended {
                Ok(()) => kept = kept.saturating_add(told.try_recv().unwrap_or(0)),
                // The other space may have something all the same.
                Err(Error::Misuse(why)) => refused = refused.or(Some(why)),
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(why) if kept == 0 => Err(why.into()),
            _ => Ok(kept),
        }
    }

    /// Gives a device of one's own another name.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::PrivateLocked`].
    pub fn name_device(&self, device: &OwnDevice, name: &str) -> Result<(), Error> {
        let name = checked_name(name)?;
        self.space(SpaceKind::Private)?;
        if device.this {
            self.inner
                .shared
                .update(|keys| keys.device.clone_from(&name))?;
        }
        self.note_device(&DeviceRecord {
            name,
            private: device.private,
            shared: device.shared,
        })
    }
}

async fn remove_from(
    space: &Space,
    device: DeviceId,
    reason: RevokeReason,
    wait: Duration,
) -> Result<(), Error> {
    space
        .change_membership(wait, move |replica, now| {
            replica.propose_removal(now, device, reason)
        })
        .await
}

impl Builder {
    /// Makes the home of a device that is added to those of a person: enters the code that an
    /// older device shows. `on_words` gets the four words to be found on that device. Nothing
    /// is left behind when it does not succeed.
    ///
    /// # Errors
    /// [`Error::AlreadyThere`], [`Error::BadName`], [`Error::NoPassphrase`],
    /// [`ConnectError::NoRelay`], [`Error::Pairing`], [`Error::Connect`].
    pub async fn link(
        self,
        new: NewDevice,
        invitation: &Invitation,
        on_words: impl FnOnce(LinkWords) + Send,
    ) -> Result<Home, Error> {
        self.check_free()?;
        let device = checked_name(&new.name)?;
        let relay = invitation.relay().cloned().or(new.relay);
        let relay = relay.ok_or(ConnectError::NoRelay)?;
        let talk = Talk::enter(&relay, Purpose::DeviceLink, invitation).await?;
        let asking = linking::hear_offer(talk).await?;
        let halves = asking
            .hello
            .offers
            .iter()
            .map(|offer| NewHalf::new(&mut clock::entropy(), *offer))
            .collect::<Result<Vec<_>, _>>()?;
        let requests: Vec<_> = halves.iter().map(NewHalf::request).collect();
        let hello = &asking.hello;
        let has = |kind| hello.offers.iter().any(|offer| offer.kind == kind);
        let (shared, private) = (has(SpaceKind::Shared), has(SpaceKind::Private));
        let name = checked_name(&hello.name)?;
        let keys = Keys {
            name,
            partner: hello.partner.clone(),
            relay: hello.relay.clone(),
            slots: hello.slots.clone(),
            device: device.clone(),
            ..Keys::default()
        };
        let private_keys = private.then(|| Keys {
            relay: hello.private_relay.clone(),
            ..Keys::default()
        });
        let (packs, given) = asking.ask(&device, &requests, on_words).await?;
        if !(shared || private) || packs.len() != halves.len() {
            return Err(failed(
                "the other device handed over something else than it offered",
            ));
        }
        let mut spaces = Vec::new();
        for half in halves {
            let kind = half.kind();
            let pack = packs.iter().find(|(of, _)| *of == kind);
            let (_, pack) = pack.ok_or_else(|| failed("the other device left a space out"))?;
            spaces.push((kind, half.take(pack)?));
        }
        let home = tokio::task::spawn_blocking(move || {
            let unfinished = self.begin(keys, private_keys)?;
            for (kind, space) in spaces {
                unfinished.put(kind, space)?;
            }
            let home = unfinished.finish()?;
            // The slots that came along belong to the words in force.
            home.note_words()?;
            Ok::<_, Error>(home)
        })
        .await
        .map_err(|_| Error::Bug("making the home of a new device"))??;
        given.done().await;
        Ok(home)
    }
}
