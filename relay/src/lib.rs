//! The Ajar relay: stores and forwards the ciphertext of two people's devices.
//!
//! It checks who may enter and that what is stored is signed and in order, and decides nothing
//! about membership: clients check everything themselves. It depends on nothing that could
//! open an envelope, and it may lose its store without anybody losing a word.

mod admission;
pub mod args;
mod bootstrap;
mod catchup;
pub mod claims;
pub mod cli;
mod committer;
pub mod config;
mod connection;
pub mod data;
mod harden;
mod hub;
pub mod identity;
pub mod limits;
mod mailbox;
mod outbox;
mod rate;
mod relay;
mod server;
mod session;
mod space;
pub mod storage;
mod stream;
mod tls;
mod transfers;
mod trimmer;

pub use config::Config;
pub use identity::Identity;
pub use limits::Limits;
pub use server::{Ready, ServeError, serve, serve_on};
