//! Many seeds, and that the oracle finds what is wrong.

use std::fmt::Write as _;
use std::str::FromStr;

use super::oracle::Rule;
use super::plan::{Deed, Plan};
use super::{Defect, minimise, run};

/// Seeds that failed once.
const FAILED_ONCE: &str = include_str!("seeds.txt");

fn variable<T: FromStr>(name: &str, default: T) -> T {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn failed_once() -> impl Iterator<Item = u64> {
    let lines = FAILED_ONCE.lines().map(|line| {
        let end = line.find('#').unwrap_or(line.len());
        line[..end].trim()
    });
    lines
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().unwrap())
}

/// Runs a seed; what is to be said when it fails.
fn trial(seed: u64) -> Result<usize, String> {
    let mut plan = Plan::new(seed);
    let mut ran = run(&plan, None);
    let Some(mut failure) = ran.failure else {
        return Ok(ran.changes);
    };
    if std::env::var_os("AJAR_MINIMISE").is_some() {
        plan = minimise(&plan, None, failure.rule);
        ran = run(&plan, None);
        failure = ran.failure.unwrap();
    }
    let mut text = format!("seed {seed}: {:?}: {}\n", failure.rule, failure.what);
    let last = ran.trace.len().saturating_sub(variable("AJAR_TRACE", 40));
    for line in &ran.trace[last..] {
        writeln!(text, "  {line}").unwrap();
    }
    writeln!(
        text,
        "again: AJAR_SEED={seed} AJAR_SEEDS=1 cargo nextest run -p ajar-engine simulation \
         --no-capture"
    )
    .unwrap();
    Err(text)
}

#[test]
fn a_few_hundred_seeds_hold() {
    let (first, count) = (variable("AJAR_SEED", 1), variable("AJAR_SEEDS", 300));
    let kept = failed_once().filter(|_| std::env::var_os("AJAR_SEED").is_none());
    let mut failures = Vec::new();
    let mut changes = 0;
    for seed in kept.chain(first..first + count) {
        if std::env::var_os("AJAR_TELL").is_some() {
            eprintln!("seed {seed}");
        }
        match trial(seed) {
            Ok(kept) => changes += kept,
            Err(text) => {
                eprintln!("{text}");
                failures.push(seed);
            }
        }
        if failures.len() >= variable("AJAR_FAILURES", 3) {
            break;
        }
    }
    eprintln!("{changes} changes were kept in all");
    assert!(failures.is_empty(), "these seeds failed: {failures:?}");
}

#[test]
fn a_seed_run_twice_happens_twice_in_the_same_way() {
    for seed in [3, 11] {
        let plan = Plan::new(seed);
        let (one, other) = (run(&plan, None), run(&plan, None));
        assert!(one.trace.len() > 20);
        assert_eq!(one.trace, other.trace);
        assert_eq!(one.failure, other.failure);
    }
}

/// The first failure of one of the rules that a defect is to break, on some seed whose plan
/// has this deed.
fn found(defect: Defect, deed: Deed, rules: &[Rule]) {
    let plans = (1..400).map(Plan::new);
    let plans = plans.filter(|plan| plan.steps.iter().filter(|s| s.deed == deed).count() > 1);
    for plan in plans.take(20) {
        if let Some(failure) = run(&plan, Some(defect)).failure {
            assert!(rules.contains(&failure.rule), "{failure:?}");
            return;
        }
    }
    panic!("{defect:?} was not found");
}

#[test]
fn a_disk_that_lies_is_found() {
    found(
        Defect::DiskLies,
        Deed::Die,
        &[Rule::Kept, Rule::Counter, Rule::Sound],
    );
}

#[test]
fn a_relay_that_hides_is_found() {
    found(Defect::RelayHides, Deed::Edit, &[Rule::Converged]);
}

#[test]
fn a_draft_that_leaks_is_found() {
    found(Defect::DraftLeaks, Deed::Open, &[Rule::Private]);
}

#[test]
fn words_at_the_relay_are_found() {
    found(Defect::RelayReads, Deed::Write, &[Rule::Private]);
}

#[test]
fn a_burn_that_does_nothing_is_found() {
    found(Defect::BurnForgets, Deed::Burn, &[Rule::Burned]);
}

#[test]
fn keys_in_the_hands_of_a_removed_device_are_found() {
    found(Defect::KeysAreGiven, Deed::Revoke, &[Rule::Removed]);
}

#[test]
fn a_copy_that_nobody_knows_of_is_found() {
    found(
        Defect::SecretCopy,
        Deed::Restore,
        &[Rule::Counter, Rule::FalseAlarm],
    );
}
