//! One replica of one space, without I/O.
//!
//! A [`Replica`] holds the party chains, epochs, frontier and documents of a space. Time and
//! randomness are arguments, storage is a synchronous trait ([`store::Store`]), and the
//! network is a list of messages to send ([`output::Outputs`]). The rule of its loop: one
//! mutation, one atomic and durable batch, then events. Nothing is reported, and nothing is
//! sent, that is not on disk.
//!
//! What is checked, and in which order, is §2.5 and §2.6 of the protocol (`docs/protocol.md`).

mod answers;
mod blobs;
mod burning;
pub mod check;
pub mod clock;
pub mod documents;
mod doomed;
pub mod epochs;
mod errands;
pub mod error;
pub mod evidence;
mod frozen;
mod handed_over;
mod inbox;
pub mod incoming;
mod links;
mod listing;
mod loose;
pub mod membership;
mod missing;
pub mod notice;
mod orphans;
pub mod outbox;
pub mod output;
mod outranking;
pub mod pairing;
mod proposals;
mod rebuild;
pub mod recovery;
pub mod replica;
mod retiring;
mod schedule;
pub mod snapshot;
mod space;
mod state;
mod status;
pub mod store;
pub mod table;
mod told;
mod uplink;
mod votes;

pub use burning::BurnStatus;
pub use clock::Now;
pub use documents::Ownership;
pub use error::{EngineError, Misuse};
pub use incoming::{Incoming, Signers};
pub use notice::{Notice, NoticeKind};
pub use output::{Event, Outputs};
pub use replica::{DocInfo, Replica, SpaceStatus};
pub use table::{RowQuery, Summarize, Summary, TableRow};
