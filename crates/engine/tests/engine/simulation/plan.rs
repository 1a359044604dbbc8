//! From a seed to what happens: who does what when, and what may fail.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Randomness of the simulation: never that of the engine, so that a change in one does not
/// shift the other.
pub(super) struct Dice(ChaCha20Rng);

impl Dice {
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&purpose.to_le_bytes());
        Self(ChaCha20Rng::from_seed(key))
    }

    pub(super) fn luck(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Less than `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap().max(1);
        usize::try_from(self.luck() % n).unwrap()
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let place = self.below(of.len());
        of.get(place).copied()
    }

    pub(super) fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.luck() % (to - from + 1))
    }
}

/// Something that a person or the world does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Writes a new document into the shared space.
    Write,
    Edit,
    /// Writes, and rewrites, in the private space.
    Draft,
    /// Opens a draft to the other: its last words, in a new document.
    Open,
    /// Takes back what was opened.
    TakeBack,
    Burn,
    Link,
    Revoke,
    Rotate,
    /// Loses devices and comes back with the words.
    Recover,
    Snapshot,
    Trim,
    /// All devices of one person go to another relay.
    Move,
    /// Copies a home, and uses the copy from now on: instead of the original, or beside it.
    Restore,
    /// A connection breaks.
    Cut,
    /// A device is away for some time.
    Away,
    /// A process dies and is started again.
    Die,
    /// A disk will fail soon.
    Fail,
    /// Days go by.
    Pass,
}

/// What may happen in one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// Usual delay of a message, in ms.
    pub(super) delay: u64,
    /// Percent of connections that break by themselves.
    pub(super) cuts: usize,
    /// Percent of messages that the relay sends twice.
    pub(super) twice: usize,
    pub(super) disks: bool,
    pub(super) copies: bool,
    pub(super) moves: bool,
    pub(super) recovers: bool,
    pub(super) burns: bool,
    pub(super) snapshots: bool,
    pub(super) members: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) after: Duration,
    pub(super) deed: Deed,
    pub(super) luck: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) traits: Traits,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        // Two histories of one device at two relays, or at a relay and in what the words find,
        // are proofs of a fork: copies are for runs without these.
        let copies = dice.chance(15);
        let burns = dice.chance(40);
        // Words that are used at another relay than the devices find an older chain there.
        let recovers = dice.chance(25) && !copies;
        let traits = Traits {
            delay: [5, 50, 400][dice.below(3)],
            cuts: [0, 15, 50][dice.below(3)],
            twice: [0, 5][dice.below(2)],
            disks: dice.chance(50),
            copies,
            moves: !copies && dice.chance(20) && !recovers,
            recovers,
            burns,
            snapshots: dice.chance(50),
            members: dice.chance(60),
        };
        let weights = weights(&traits);
        let total: usize = weights.iter().map(|(_, weight)| weight).sum();
        let count = 15 + dice.below(30);
        let mut draw = || {
            let mut left = dice.below(total);
            let heavier = |(_, weight): &&(Deed, usize)| {
                let here = left < *weight;
                left = left.saturating_sub(*weight);
                here
            };
            let (deed, _) = *weights.iter().find(heavier).unwrap();
            // Mostly at once, so that things cross; sometimes after all has come to rest.
            let after = match dice.below(4) {
                0 => Duration::ZERO,
                1 => dice.ms(1, 100),
                2 => dice.ms(100, 2000),
                _ => dice.ms(5_000, 60_000),
            };
            let luck = dice.luck();
            Step { after, deed, luck }
        };
        let steps = (0..count).map(|_| draw()).collect();
        Self {
            seed,
            traits,
            steps,
        }
    }
}

fn weights(traits: &Traits) -> Vec<(Deed, usize)> {
    let only = |on: bool, weight| if on { weight } else { 0 };
    vec![
        (Deed::Write, 14),
        (Deed::Edit, 22),
        (Deed::Draft, 6),
        (Deed::Open, 4),
        (Deed::TakeBack, only(traits.burns, 3)),
        (Deed::Burn, only(traits.burns, 6)),
        (Deed::Link, only(traits.members, 8)),
        (Deed::Revoke, only(traits.members, 5)),
        (Deed::Rotate, 2),
        (Deed::Recover, only(traits.recovers, 3)),
        (Deed::Snapshot, only(traits.snapshots, 6)),
        (Deed::Trim, only(traits.snapshots, 5)),
        (Deed::Move, only(traits.moves, 4)),
        (Deed::Restore, only(traits.copies, 5)),
        (Deed::Cut, only(traits.cuts > 0, 6)),
        (Deed::Away, only(traits.cuts > 0, 5)),
        (Deed::Die, 3),
        (Deed::Fail, only(traits.disks, 8)),
        (Deed::Pass, 2),
    ]
}
