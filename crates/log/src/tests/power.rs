//! Power failures at any moment of the log's work, again and again on the same disk.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Dice, FaultyDisk, State, contents, open_on};
use crate::{Batch, Log};

/// Batches submitted so far: what the log should hold after each.
struct Story {
    states: Vec<State>,
    acknowledged: Arc<AtomicU64>,
}

/// Holds the number of the newest batch.
const COUNTER: &[u8] = b"counter";

impl Story {
    fn after(state: State) -> Self {
        Self {
            states: vec![state],
            acknowledged: Arc::default(),
        }
    }

    /// One batch of 1 to 6 puts and deletes, which also says which one it is.
    fn next_batch(&mut self, dice: &mut Dice) -> Batch {
        let mut state = self.states.last().unwrap().clone();
        let mut batch = Batch::new();
        for _ in 0..=dice.below(5) {
            let key = format!("key {}", dice.below(24)).into_bytes();
            if dice.one_in(4) {
                state.remove(&key);
                batch.delete(key);
            } else {
                let most = if dice.one_in(10) { 3000 } else { 200 };
                let len = dice.below(most);
                let byte = u8::try_from(dice.below(256)).unwrap();
                let value = vec![byte; usize::try_from(len).unwrap()];
                state.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        let number = self.states.len().to_string().into_bytes();
        state.insert(COUNTER.to_vec(), number.clone());
        batch.put(COUNTER, number);
        self.states.push(state);
        batch
    }

    fn run(&mut self, log: &Log, dice: &mut Dice) {
        for _ in 0..dice.below(60) {
            let batch = self.next_batch(dice);
            let number = self.states.len() as u64 - 1;
            let acknowledged = Arc::clone(&self.acknowledged);
            if dice.one_in(3) {
                log.append(batch).unwrap();
                acknowledged.store(number, Ordering::SeqCst);
            } else {
                log.submit(batch, move |result| {
                    result.unwrap();
                    acknowledged.store(number, Ordering::SeqCst);
                })
                .unwrap();
            }
            match dice.below(40) {
                0 => drop(log.reclaim().unwrap()),
                1 => drop(log.erase_dead().unwrap()),
                2 => drop(log.stats().unwrap()),
                _ => {}
            }
        }
    }

    /// The log must hold exactly what some prefix of the batches left, no shorter than what had
    /// been acknowledged.
    fn check(&self, log: &Log, acknowledged: u64, what: &str) -> State {
        let found = contents(log);
        let kept = found.get(COUNTER).map_or(0, |number| {
            std::str::from_utf8(number)
                .unwrap()
                .parse::<usize>()
                .unwrap()
        });
        // The first state of a story may hold the counter of the story before.
        let kept = if found == self.states[0] { 0 } else { kept };
        assert!(
            kept as u64 >= acknowledged,
            "{what}: {acknowledged} acknowledged, {kept} kept"
        );
        assert!(
            found == self.states[kept],
            "{what}: not the state after batch {kept}"
        );
        assert_eq!(log.report().damaged, [], "{what}");
        assert!(log.report().missing_segments.is_empty(), "{what}");
        assert_eq!(log.verify().unwrap(), [], "{what}");
        found
    }
}

/// What the power failure left of the index engine's files, which nobody synced.
fn wreck_index(at_failure: &Path, older: &Path, dice: &mut Dice) {
    let files = files_below(at_failure);
    let how = dice.below(6);
    for file in files {
        let mut bytes = fs::read(&file).unwrap();
        let old = fs::read(older.join(file.strip_prefix(at_failure).unwrap())).unwrap_or_default();
        match how {
            0 => {}
            1 => fs::remove_file(&file).unwrap(),
            2 => bytes.truncate(usize::try_from(dice.below(bytes.len() as u64 + 1)).unwrap()),
            3 => bytes = old,
            4 if !bytes.is_empty() => {
                for _ in 0..8 {
                    let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
                    bytes[at] ^= 1 << dice.below(8);
                }
            }
            _ => {
                // Some pages of now, some of before.
                for (page, chunk) in bytes.chunks_mut(512).enumerate() {
                    if dice.one_in(2) {
                        for (n, byte) in chunk.iter_mut().enumerate() {
                            *byte = old.get(page * 512 + n).copied().unwrap_or(0);
                        }
                    }
                }
            }
        }
        if how != 1 {
            fs::write(&file, bytes).unwrap();
        }
    }
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path))
        } else {
            found.push(path)
        }
    }
    found
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        // The engine may remove a file meanwhile.
        let _ = fs::copy(&file, &target);
    }
}

fn one_life(seed: u64) {
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("now");
    let (index, old, failed) = (
        root.join("index"),
        folder.path().join("old"),
        folder.path().join("failed"),
    );
    let mut disk = FaultyDisk::default();
    let mut held = State::new();
    for failure in 0..4 {
        let what = format!("seed {seed}, failure {failure}");
        let mut story = Story::after(held);
        copy_folder(&index, &old);
        let at_failure = Arc::new(AtomicU64::new(u64::MAX));
        {
            let (acknowledged, at_failure) =
                (Arc::clone(&story.acknowledged), Arc::clone(&at_failure));
            let (index, failed) = (index.clone(), failed.clone());
            disk.fail_power_at(1 + dice.below(250), move || {
                at_failure.store(acknowledged.load(Ordering::SeqCst), Ordering::SeqCst);
                copy_folder(&index, &failed);
            });
        }
        let log = open_on(&disk, &root);
        story.check(&log, 0, &what);
        story.run(&log, &mut dice);
        if dice.one_in(3) {
            log.close().unwrap();
        } else {
            drop(log);
        }
        disk = match disk.after_power_failure(&mut dice) {
            Some(after) => {
                wreck_index(&failed, &old, &mut dice);
                copy_folder(&failed, &index);
                after
            }
            None => {
                // The failure did not come in time: it comes now.
                at_failure.store(story.acknowledged.load(Ordering::SeqCst), Ordering::SeqCst);
                copy_folder(&index, &failed);
                wreck_index(&failed, &old, &mut dice);
                copy_folder(&failed, &index);
                disk.fail_power_now(&mut dice)
            }
        };
        let log = open_on(&disk, &root);
        held = story.check(&log, at_failure.load(Ordering::SeqCst), &what);
        held.remove(COUNTER);
        log.append({
            let mut batch = Batch::new();
            batch.delete(COUNTER);
            batch
        })
        .unwrap();
    }
}

#[test]
fn what_was_acknowledged_outlives_power_failures_with_any_part_of_the_rest() {
    let seeds = std::env::var("AJAR_LOG_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(40);
    for seed in 0..seeds {
        one_life(seed);
    }
}

#[test]
fn a_batch_is_there_as_a_whole_or_not_at_all() {
    // Ben's batch of 20 records spans sectors; the power fails between write and sync.
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let log = open_on(&disk, folder.path());
        let mut first = Batch::new();
        first.put("first", "kept");
        log.append(first).unwrap();
        let mut batch = Batch::new();
        for n in 0..20 {
            batch.put(format!("{n}"), vec![7; 150]);
        }
        // The batch's write is the next operation.
        disk.fail_power_at(1, || {});
        log.append(batch).unwrap();
        drop(log);
        let after = disk.after_power_failure(&mut dice).expect("it failed");
        let log = open_on(&after, folder.path());
        let found = contents(&log);
        assert!(found.contains_key(b"first".as_slice()), "seed {seed}");
        assert!(
            found.len() == 1 || found.len() == 21,
            "seed {seed}: {} records",
            found.len()
        );
    }
}

#[test]
fn what_a_reopened_log_shows_after_a_failed_sync_is_durable() {
    // The system reported the failure once and believes its memory to be clean. What the log shows
    // after reopening may be acknowledged to others, so it must be on the disk.
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(super::put("before", "1")).unwrap();
    disk.fail_syncs(true);
    let failed = log.append(super::put("unsure", "2"));
    assert!(
        matches!(failed, Err(crate::Error::NotConfirmed { .. })),
        "{failed:?}"
    );
    disk.fail_syncs(false);
    let later = log.append(super::put("later", "3"));
    assert!(
        matches!(later, Err(crate::Error::Stopped)),
        "it may not pretend: {later:?}"
    );
    assert_eq!(contents(&log), super::state(&[("before", "1")]));
    drop(log);

    let log = open_on(&disk, folder.path());
    let shown = contents(&log);
    assert!(shown.contains_key(b"before".as_slice()));
    let after = disk.fail_power_now(&mut Dice(1));
    drop(log);
    assert_eq!(contents(&open_on(&after, folder.path())), shown);
}
