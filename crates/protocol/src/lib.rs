//! What is on the wire and what is signed: ids, limits, frames, envelopes, party chains and
//! their verification.
//!
//! This crate holds no secret, reads no clock, performs no I/O and decrypts nothing: the relay
//! is built on it and must not be able to do more. Every parser is bounded by the constants in
//! [`limits`], and hashes and signatures are always computed over the bytes as received.
//!
//! The byte layouts are described in `docs/protocol.md` and pinned by the vectors in
//! `tests/vectors`.

pub mod address;
pub mod auth;
pub mod blob_msg;
pub mod burn;
pub mod chain;
pub mod changes;
pub mod client_msg;
pub mod codec;
pub mod envelope;
pub mod epoch;
pub mod error;
pub mod frame;
pub mod frontier;
pub mod genesis;
pub mod id;
mod keys;
pub mod label;
pub mod limits;
pub mod link;
pub mod mailbox;
pub mod relay_msg;
pub mod snapshot;
pub mod trim;
pub mod version;

pub use chain::{AppendOutcome, ChainError, PartyChain};
pub use envelope::{Envelope, EnvelopeHeader, EnvelopeType, VerifiedEnvelope};
pub use error::Malformed;
pub use frontier::{Frontier, Position};
pub use genesis::SpaceGenesis;
pub use id::{BlobId, DeviceId, DocId, EnvelopeId, EpochId, LinkHash, PartyId, SpaceId};
pub use link::{DevicePublic, Link, LinkBody, LinkKind};
