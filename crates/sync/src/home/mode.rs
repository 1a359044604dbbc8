//! Numbers in the key file that say how a space travels.

use crate::error::ConnectError;

/// As usual: the shared space at once, the private one quietly (protocol §2.13).
pub(crate) const USUAL: u8 = 0;
/// The private space stays on this device's disk only.
pub(crate) const OFF: u8 = 1;
/// The shared space rests until its owner goes on.
pub(crate) const PAUSED: u8 = 2;
/// The shared space was left without a word.
pub(crate) const LEFT: u8 = 3;
/// The same, and the person's other devices are not told yet: *Only me* was locked.
pub(crate) const LEFT_UNTOLD: u8 = 4;

/// Whether the space was left quietly.
pub(crate) fn is_left(mode: u8) -> bool {
    matches!(mode, LEFT | LEFT_UNTOLD)
}

/// Fails when nothing of the space may leave this device. A number from a newer version means
/// a rest of some kind.
pub(crate) fn may_travel(mode: u8) -> Result<(), ConnectError> {
    match mode {
        USUAL => Ok(()),
        OFF => Err(ConnectError::Off),
        LEFT | LEFT_UNTOLD => Err(ConnectError::Left),
        _ => Err(ConnectError::Paused),
    }
}
