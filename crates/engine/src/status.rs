//! What a replica tells about itself.

use std::collections::BTreeMap;

use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::{DeviceId, DocId, PartyId, SpaceId};

use crate::notice::Notice;
use crate::replica::Replica;
use crate::store::Store;

/// A document without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocInfo {
    /// Its id.
    pub id: DocId,
    /// Its owner; `None` when it is common.
    pub owner: Option<PartyId>,
    /// Whether this person may write into it.
    pub writable: bool,
    /// Bytes of all changes accepted so far.
    pub bytes: u64,
}

/// A device as shown to its owner, computed from the chain only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its id.
    pub id: DeviceId,
    /// Its party.
    pub party: PartyId,
    /// Whether it is this one.
    pub this: bool,
    /// Whether it may still read and write.
    pub active: bool,
    /// Since when, ms since 1970, as its chain claims.
    pub since_ms: u64,
    /// Envelopes of it that are applied here.
    pub counter: u64,
}

/// State of a space, for people.
#[derive(Clone, Debug)]
pub struct SpaceStatus {
    /// The space.
    pub space: SpaceId,
    /// Private or shared.
    pub kind: SpaceKind,
    /// Envelopes written by this device: all are kept here.
    pub kept: u64,
    /// How many of them a relay has confirmed.
    pub delivered: u64,
    /// How many the partner's devices have acknowledged inside their own envelopes.
    pub confirmed_by_partner: u64,
    /// Envelopes that others have seen and that have not arrived here.
    pub missing: u64,
    /// Envelopes waiting for something they stand on.
    pub parked: usize,
    /// Documents.
    pub documents: usize,
    /// Devices of both parties.
    pub devices: Vec<DeviceStatus>,
    /// This copy may not write.
    pub stale: bool,
    /// Notices, oldest first.
    pub notices: Vec<Notice>,
}

impl<S: Store> Replica<S> {
    /// State of the space, for people.
    #[must_use]
    pub fn status(&self) -> SpaceStatus {
        let frontier = &self.progress.frontier;
        let missing = self
            .progress
            .heard
            .iter()
            .map(|(device, (counter, _))| counter.saturating_sub(frontier.counter(device)))
            // Claims of a hostile member may be as large as they like.
            .fold(0, u64::saturating_add);
        let mut devices = Vec::new();
        for chain in &self.space.chains {
            for (id, device) in chain.devices() {
                devices.push(DeviceStatus {
                    id: *id,
                    party: chain.id(),
                    this: *id == self.space.device,
                    active: device.revoked.is_none(),
                    since_ms: device.added_time_ms,
                    counter: frontier.counter(id),
                });
            }
        }
        SpaceStatus {
            space: self.space.id,
            kind: self.space.kind(),
            kept: frontier.counter(&self.space.device),
            delivered: self.progress.delivered,
            confirmed_by_partner: self.progress.confirmed,
            missing,
            parked: self.parked.values().map(BTreeMap::len).sum(),
            documents: usize::try_from(self.directory.counts().existing).unwrap_or(usize::MAX),
            devices,
            stale: self.meta.stale,
            notices: self.notices.all().to_vec(),
        }
    }
}
