//! Harness of the end-to-end tests: real relay and client processes in temporary folders.
//!
//! Nothing in here is used by the product.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a harness that fails should fail loudly and at the spot"
)]

pub mod canary;
pub mod client;
pub mod relay;

use std::path::PathBuf;

/// Path of a binary of this workspace, built for the same profile as the running test.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let path = profile.join(name);
    assert!(path.exists(), "{name} is not built; run tests/run, which builds the binaries first");
    path
}
