//! What a replica wants to happen outside: messages to send, and events for the person.

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{BlobId, DeviceId, DocId, PartyId};

use crate::notice::Notice;

/// Something that has happened and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A document is new or has changed.
    DocumentChanged {
        /// The document.
        doc: DocId,
        /// Who changed it.
        by: PartyId,
        /// On which device.
        device: DeviceId,
        /// Whether this device did.
        here: bool,
    },
    /// The membership of a party has changed.
    Member {
        /// The party.
        party: PartyId,
    },
    /// The relay did not take a link that was proposed.
    LinkRefused(Refusal),
    /// Everything that the relay held has been received.
    CaughtUp,
    /// The relay has confirmed everything that was written here.
    Delivered,
    /// The relay cannot take more at the moment.
    RelayPaused(Refusal),
    /// Something a person should know.
    Notice(Notice),
    /// A document was burned: it is gone, and nothing can bring it back.
    DocumentBurned {
        /// The document.
        doc: DocId,
        /// Whose devices burned it.
        by: PartyId,
    },
    /// Blobs that only burned documents used, as the one who burned them says.
    BlobsBurned {
        /// The blobs.
        blobs: Vec<BlobId>,
        /// Whose devices burned them.
        by: PartyId,
    },
    /// Packs of snapshots that nobody begins from any more.
    PacksObsolete(Vec<BlobId>),
    /// All of a snapshot is here: this device has everything up to it.
    Started,
}

/// Messages to send in order, and events in order.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// To the relay.
    pub send: Vec<ClientMsg>,
    /// To the application.
    pub events: Vec<Event>,
}

impl Outputs {
    /// Appends another's messages and events.
    pub fn extend(&mut self, other: Self) {
        self.send.extend(other.send);
        self.events.extend(other.events);
    }
}
