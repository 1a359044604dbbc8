//! The bounded run: every seed and every kept input as it is, then mutations that follow from one
//! number, so that a failure can be repeated.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::mutate::mutated;
use super::{Fate, Target, panics};
use crate::random::Random;

/// The seed of the ordinary run.
const SEED: u64 = 4711;
/// How long one input may take, on a slow and busy machine.
const SLOWEST: Duration = Duration::from_secs(30);

/// An input that showed a defect.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Name of the target.
    pub target: &'static str,
    /// Seed of the run.
    pub seed: u64,
    /// How many mutations came before; `None` for a seed or a kept input.
    pub round: Option<usize>,
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, why, .. } = self;
        writeln!(f, "{target}: {why}")?;
        match self.round {
            Some(round) => write!(f, "mutation {round}, replay with AJAR_SEED={}", self.seed)?,
            None => write!(f, "a seed or an input that is kept")?,
        }
        write!(f, "\n{} bytes: ", self.input.len())?;
        self.input
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What became of the inputs that one reader got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Seeds that it took.
    pub seeds: usize,
    /// Mutations that it took.
    pub taken: usize,
    /// Mutations that it refused.
    pub refused: usize,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Inputs.
    pub inputs: usize,
    /// Time for all of them.
    pub took: Duration,
    /// The slowest of them.
    pub slowest: Duration,
    /// By reader.
    pub ways: BTreeMap<&'static str, Count>,
}

/// The seed of a run: `AJAR_SEED`, or always the same. Printed, so that it can be repeated.
#[expect(
    clippy::print_stdout,
    reason = "the seed is for whoever repeats the run"
)]
#[must_use]
pub fn seed() -> u64 {
    let seed = std::env::var("AJAR_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("replay with AJAR_SEED={seed}");
    seed
}

/// Inputs that once showed a defect, from `tests/fuzz/crashers`.
#[must_use]
pub fn kept(target: &Target) -> Vec<Vec<u8>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz/crashers", target.name]
        .iter()
        .collect();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Runs a target: kept inputs, seeds, then mutations up to `inputs` inputs in all.
///
/// # Errors
/// The first [`Finding`].
pub fn run(target: &Target, seed: u64, inputs: usize) -> Result<Ran, Box<Finding>> {
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut ways: BTreeMap<&'static str, Count> = BTreeMap::new();
    let mut look = |round: Option<usize>, input: Vec<u8>| {
        let (fate, took) = one(target, &input).map_err(|why| {
            Box::new(Finding {
                target: target.name,
                seed,
                round,
                input: input.clone(),
                why,
            })
        })?;
        slowest = slowest.max(took);
        if let Some(Fate { way, taken }) = fate {
            let count = ways.entry(way).or_default();
            match (round, taken) {
                (None, _) => count.seeds += usize::from(taken),
                (Some(_), true) => count.taken += 1,
                (Some(_), false) => count.refused += 1,
            }
        }
        Ok::<_, Box<Finding>>(())
    };
    let mut corpus = kept(target);
    corpus.extend((target.seeds)());
    for input in &corpus {
        look(None, input.clone())?;
    }
    if corpus.is_empty() {
        corpus.push(Vec::new());
    }
    let mut random = Random::of(seed);
    for round in 0..inputs.saturating_sub(corpus.len()) {
        let mut any = || {
            let at = random.below(corpus.len() as u64);
            corpus[usize::try_from(at).unwrap()].as_slice()
        };
        let (input, other) = (any(), any());
        look(Some(round), mutated(&mut random, input, other))?;
    }
    Ok(Ran {
        inputs: inputs.max(corpus.len()),
        took: began.elapsed(),
        slowest,
        ways,
    })
}

/// One input, with what it may cost.
fn one(target: &Target, input: &[u8]) -> Result<(Option<Fate>, Duration), String> {
    forget_peak();
    let (before, began) = (peak_memory(), Instant::now());
    let fate = panics::of(|| (target.run)(input))?;
    let took = began.elapsed();
    if took > SLOWEST {
        return Err(format!("took {took:?}"));
    }
    let grown = peak_memory().saturating_sub(before);
    if grown > target.memory {
        return Err(format!("took {grown} bytes of memory"));
    }
    Ok((fate, took))
}

/// From here on the highest memory counts anew, where the system can do that.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Highest resident memory of this process so far, in bytes; 0 where nothing says so.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
