//! The machine's clocks and randomness: here they enter, as arguments to everything below.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ajar_engine::Now;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This moment.
pub(crate) fn now() -> Now {
    // Before 1970 only by a clock that was never set; it is shown, never relied on.
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        elapsed: START.elapsed(),
    }
}

/// The operating system's randomness.
pub(crate) fn entropy() -> getrandom::SysRng {
    getrandom::SysRng
}
