//! What may leave a process or a disk, and what may not, with real programs: each test is a row of
//! the catalogue of attacks (`docs/attacks.md`).
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

mod disk;
mod memory;
mod private;
mod process;
mod shared;
mod story;
mod wire;
