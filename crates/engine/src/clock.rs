//! Time as an argument.

use std::time::Duration;

/// The moment at which something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, ms since 1970. May jump; only shown, claimed, or compared over days.
    pub wall_ms: i64,
    /// Monotonic clock since any fixed start; for timeouts.
    pub elapsed: Duration,
}
