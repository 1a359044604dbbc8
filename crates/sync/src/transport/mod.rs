//! The way to a relay: one QUIC connection per space, with the relay's key pinned.

mod quic;
mod tls;

pub(crate) use quic::{Closer, Wire, WireReader, WireWriter};
