//! A bounded run of every fuzzing target: the seeds, what once showed a defect, and mutations that
//! follow from one number. `tests/fuzz` runs the same targets for as long as you like.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails should fail at the spot, and say what it did"
)]

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ajar_tests::fuzzing::{Fate, TARGETS, Target, runner};

/// One after the other: what one input costs in memory is measured on the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn finds_nothing(name: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    match runner::run(target, runner::seed(), target.inputs) {
        Ok(ran) => {
            println!("{name}: {ran:?}");
            assert!(!ran.ways.is_empty());
            // What is always refused tests the first check only, and what never is tests none.
            for (way, count) in ran.ways {
                assert!(count.seeds > 0, "{name}, {way}: no seed is taken");
                assert!(count.taken > 0, "{name}, {way}: no mutation is taken");
                assert!(count.refused > 0, "{name}, {way}: no mutation is refused");
            }
        }
        Err(finding) => panic!("{finding}"),
    }
}

#[test]
fn an_object_of_the_protocol_has_one_spelling() {
    finds_nothing("objects");
}

#[test]
fn messages_of_a_relay_a_client_or_somebody_who_pairs_are_read_or_refused() {
    finds_nothing("messages");
}

#[test]
fn a_changed_header_or_key_file_opens_nothing() {
    finds_nothing("vault");
}

#[test]
fn changed_files_of_the_log_give_no_value_that_was_not_written() {
    finds_nothing("log");
}

#[test]
fn a_hostile_photo_is_a_clean_picture_or_refused() {
    finds_nothing("photo");
}

#[test]
fn what_anybody_exported_can_be_kept_or_is_left_out() {
    finds_nothing("import");
}

#[test]
fn an_envelope_opens_as_it_was_sealed_or_not_at_all() {
    finds_nothing("sealed");
}

#[test]
fn links_take_in_and_remove_only_who_is_named_by_who_may() {
    finds_nothing("chain");
}

#[test]
fn hostile_key_changes_leave_the_devices_as_they_are() {
    finds_nothing("epochs");
}

#[test]
fn hostile_changes_neither_crash_nor_poison_a_replica() {
    finds_nothing("changes");
}

#[test]
fn hostile_snapshots_are_judged_alike_and_change_nothing() {
    finds_nothing("packs");
}

#[test]
fn damaged_records_of_a_replica_give_errors() {
    finds_nothing("store");
}

#[test]
fn what_was_kept_stays_and_arrives_whatever_fails() {
    finds_nothing("operations");
}

/// Every target is run here and has its program in `tests/fuzz`.
#[test]
fn no_target_is_left_out() {
    let here = include_str!("fuzzing.rs");
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        let program = fuzz.join("fuzz_targets").join(format!("{name}.rs"));
        let program = std::fs::read_to_string(program).unwrap();
        assert!(program.contains(&format!("fuzz(\"{name}\"")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(
            here.contains(&format!("    finds_nothing(\"{name}\");")),
            "{name}"
        );
    }
}

/// Panics when a length of all ones stands behind the letters.
fn planted(input: &[u8]) -> Option<Fate> {
    assert!(!input.ends_with(&[0xff; 4]), "planted");
    None
}

fn planted_seeds() -> Vec<Vec<u8>> {
    vec![b"length of what follows:\0\0\0\x07".to_vec()]
}

/// A run that could not fail would say nothing.
#[test]
fn a_planted_defect_is_found_and_told_with_its_input_and_comes_again_with_its_seed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = Target {
        name: "planted",
        run: planted,
        seeds: planted_seeds,
        inputs: 20_000,
        memory: u64::MAX,
    };
    let found = |seed| runner::run(&target, seed, target.inputs).unwrap_err();
    let finding = found(1);
    assert!(finding.input.ends_with(&[0xff; 4]));
    assert!(finding.round.is_some());
    let told = finding.to_string();
    for part in ["planted", "AJAR_SEED=1", "ffffffff"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(found(1).input, finding.input);
}

fn hungry(_: &[u8]) -> Option<Fate> {
    let mut bytes = vec![1_u8; 64 << 20];
    bytes.fill(2);
    assert!(bytes.iter().all(|byte| *byte == 2));
    None
}

/// Memory is a finding too, where the system tells how much there was.
#[cfg(target_os = "linux")]
#[test]
fn an_input_that_costs_too_much_memory_is_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = Target {
        name: "hungry",
        run: hungry,
        seeds: planted_seeds,
        inputs: 1,
        memory: 1 << 20,
    };
    let finding = runner::run(&target, 1, 1).unwrap_err();
    assert!(finding.why.contains("memory"), "{finding}");
}
