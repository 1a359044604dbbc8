//! Numbers in the key file that say how a space travels.

/// As usual: the shared space at once, the private one quietly (protocol §2.13).
pub(crate) const USUAL: u8 = 0;
/// The private space stays on this device's disk only.
pub(crate) const OFF: u8 = 1;
/// The shared space rests until its owner goes on.
pub(crate) const PAUSED: u8 = 2;
/// The shared space was left without a word.
pub(crate) const LEFT: u8 = 3;
