//! What a space tells while it is in use.

use std::time::Duration;

use ajar_engine::{Event, Notice, SpaceStatus};
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{DocId, PartyId};
use tokio::sync::broadcast;

use crate::error::ConnectError;

/// State of the connection of one space to its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Not wanted.
    Off,
    /// Being made.
    Connecting,
    /// There.
    Online {
        /// Everything the relay held at login has been received.
        caught_up: bool,
        /// The relay has confirmed everything held here.
        delivered: bool,
    },
    /// Not there; tried again after a while.
    Waiting {
        /// Why.
        why: ConnectError,
        /// After how long.
        retry_in: Duration,
    },
}

/// Something that happened in a space. Everything reported is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceEvent {
    /// A document is new or has changed.
    Document {
        /// The document.
        doc: DocId,
        /// Who changed it.
        by: PartyId,
        /// Whether this device did.
        here: bool,
    },
    /// A document was burned: it is gone for good.
    Burned {
        /// The document.
        doc: DocId,
        /// Whose devices burned it.
        by: PartyId,
    },
    /// This device has everything up to the snapshot that it began from.
    Started,
    /// The devices of a party have changed.
    Member {
        /// The party.
        party: PartyId,
    },
    /// The relay did not take a change of the person's own devices; nothing changed.
    MemberRefused(Refusal),
    /// Everything that the relay held has been received.
    CaughtUp,
    /// The relay has confirmed everything held here.
    Delivered,
    /// Something a person should know.
    Notice(Notice),
    /// The connection has changed.
    Connection(Connection),
    /// The listener was too slow and events were dropped: look at the documents anew.
    Missed,
}

impl SpaceEvent {
    pub(crate) fn from_engine(event: Event) -> Option<Self> {
        Some(match event {
            Event::DocumentChanged { doc, by, here, .. } => Self::Document { doc, by, here },
            Event::DocumentBurned { doc, by } => Self::Burned { doc, by },
            Event::Started => Self::Started,
            Event::Member { party } => Self::Member { party },
            Event::LinkRefused(reason) => Self::MemberRefused(reason),
            Event::CaughtUp => Self::CaughtUp,
            Event::Delivered => Self::Delivered,
            Event::Notice(notice) => Self::Notice(notice),
            _ => return None,
        })
    }
}

/// A stream of events, from the moment it was asked for.
pub struct Events {
    receiver: broadcast::Receiver<SpaceEvent>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<SpaceEvent>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` when the space is closed.
    pub async fn next(&mut self) -> Option<SpaceEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(SpaceEvent::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// State of a space, for people.
#[derive(Clone, Debug)]
pub struct SpaceReport {
    /// What the replica says.
    pub engine: SpaceStatus,
    /// The connection.
    pub connection: Connection,
}

/// A completed round with the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Documents that others changed while it went on.
    pub changed: usize,
}
