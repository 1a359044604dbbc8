//! What has been accepted and waits to be durable, and who waits for it.

use std::sync::Arc;

use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{DeviceId, EnvelopeId, EnvelopeType, PartyId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::trim::Floor;
use crate::storage::Head;

/// The place of an answer in a session's queue, and the memory its object is allowed; both are
/// given back when the answer is there.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) slot: mpsc::OwnedPermit<RelayMsg>,
    pub(crate) budget: Vec<OwnedSemaphorePermit>,
}

impl Waiter {
    pub(crate) fn answer(self, message: RelayMsg) {
        self.slot.send(message);
        drop(self.budget);
    }
}

/// What is to be stored.
#[derive(Debug)]
pub(super) enum Object {
    Envelope {
        name: EnvelopeName,
        kind: EnvelopeType,
        frame: Arc<[u8]>,
        /// An EPOCH at or below the floor: it is not the head of its device.
        old: bool,
    },
    /// A trim record, with the heads of devices of which nothing is here.
    Trim { floor: Arc<Floor>, heads: Vec<Head> },
    /// Envelopes that a trim record covers, of so many bytes.
    Forget {
        device: DeviceId,
        counters: Vec<u64>,
        bytes: u64,
        snapshot: EnvelopeId,
    },
    Link {
        party: PartyId,
        seq: u64,
        bytes: Vec<u8>,
        /// For a link that outranks others: the place after the last of those.
        voided_to: Option<u64>,
        /// The recovery login key that it puts in force.
        login: Option<[u8; 32]>,
        /// The session that it came from.
        from: u64,
    },
}

/// Something accepted, and all who wait to hear of it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) object: Object,
    pub(super) waiters: Vec<Waiter>,
}

impl Pending {
    pub(super) fn stored(&self) -> RelayMsg {
        match &self.object {
            Object::Envelope { name, .. } => RelayMsg::Stored(*name),
            Object::Trim { floor, .. } => RelayMsg::TrimStored(floor.snapshot()),
            Object::Forget { snapshot, .. } => RelayMsg::TrimStored(*snapshot),
            Object::Link { party, seq, .. } => RelayMsg::LinkStored {
                party: *party,
                seq: *seq,
            },
        }
    }

    pub(super) fn not_stored(&self, reason: Refusal) -> RelayMsg {
        match &self.object {
            Object::Envelope { name, .. } => RelayMsg::NotStored(*name, reason),
            Object::Trim { floor, .. } => RelayMsg::TrimNotStored(floor.snapshot(), reason),
            Object::Forget { snapshot, .. } => RelayMsg::TrimNotStored(*snapshot, reason),
            Object::Link { party, seq, .. } => RelayMsg::LinkNotStored {
                party: *party,
                seq: *seq,
                reason,
            },
        }
    }
}
