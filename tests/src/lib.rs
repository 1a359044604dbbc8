//! Harness of the end-to-end tests: real relay and client processes in temporary folders.
//!
//! Nothing in here is used by the product.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a harness that fails should fail loudly and at the spot"
)]

pub mod canary;
pub mod client;
pub mod dayone;
pub mod devices;
pub mod fuzzing;
pub mod initial;
pub mod liar;
pub mod library;
pub mod nobody;
pub mod random;
pub mod recovery;
pub mod relay;
pub mod rogue;
pub mod searcher;
pub mod story;
pub mod traced;
pub mod two;
pub mod wire;

use std::path::PathBuf;

/// Path of a binary of this workspace, built for the same profile as the running program.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let running = std::env::current_exe().unwrap();
    // Tests lie in a folder below that of the binaries.
    let found = running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    let found = found.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built; `tests/run` and `cargo build --workspace --bins` build it")
    })
}
