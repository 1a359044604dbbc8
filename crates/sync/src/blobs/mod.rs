//! Blobs of one space (protocol §2.12): sealed photos, files and packs, in a folder of their own
//! and at the relay.
//!
//! A blob is put here first, whole, and travels when there is a connection; one that is only at
//! the relay is fetched when somebody waits for it. Both go on where they were when a
//! connection or the process dies.

mod access;
mod folder;
mod queue;
mod streams;
mod transfer;

pub use access::BlobRef;
pub(crate) use access::{forget, ids_of};
pub(crate) use folder::is_ours;
pub(crate) use queue::Blobs;
pub(crate) use transfer::{Answers, Asks, channels, run};
