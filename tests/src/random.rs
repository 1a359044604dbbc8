//! Chance that can be repeated.

use std::process::Child;
use std::time::Duration;

/// A small generator, so that a failing run can be repeated: the seed is printed.
pub struct Random(u64);

impl Random {
    /// From `AJAR_SEED`, or another one every time.
    #[expect(
        clippy::print_stdout,
        reason = "the seed is for whoever repeats the run"
    )]
    #[must_use]
    pub fn new() -> Self {
        let seed = std::env::var("AJAR_SEED").ok();
        let seed = seed.and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        println!("replay with AJAR_SEED={seed}");
        Self(seed)
    }

    /// The same every time.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// Lets a process live for less than `most` milliseconds, then kills it.
    pub fn kill(&mut self, mut child: Child, most: u64) {
        std::thread::sleep(Duration::from_millis(self.below(most)));
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
