//! Errors shared by several modules; each module's own errors live next to its functions.

use thiserror::Error;

/// The operating system gave no randomness. Nothing was generated, sealed or sent: every
/// operation that meets this stops instead of going on with a predictable value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no randomness from the operating system; nothing was done, try again")]
pub struct EntropyFailed;

/// A sealed record did not open: wrong key, wrong place, or changed bytes. These are not told
/// apart, on purpose.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the sealed bytes do not open: another key, another place, or damaged")]
pub struct NotOpened;
