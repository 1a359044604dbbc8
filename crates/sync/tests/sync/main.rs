//! Homes, threads and connections of the sync crate, with people who use them, machines that
//! die, and relays that mean ill. Relays are real QUIC servers inside the test.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test should fail at the spot"
)]

mod blobs;
mod closing;
mod driver;
mod erasing;
mod homes;
mod honest;
mod host;
mod leaving;
mod locking;
mod moving;
mod pairing;
mod passphrases;
mod people;
mod recovery;
mod shelf;
mod table;
mod transport;
mod travelling;
mod unfinished;
mod vault;
mod worker;
