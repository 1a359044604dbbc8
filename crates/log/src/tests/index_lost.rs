//! The index engine's files, damaged on purpose: everything is still there.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{Dice, contents, delete, put, small};
use crate::{Batch, Log, shared::lock};

/// A log on the real disk, with enough records that the index has several pages.
fn filled(root: &Path) -> super::State {
    let log = small().open(root).unwrap();
    for tens in 0..30 {
        let mut batch = Batch::new();
        for n in tens * 10..tens * 10 + 10 {
            batch.put(format!("key {n}"), format!("value {n}"));
            if n % 3 == 0 {
                batch.delete(format!("key {}", n / 2));
            }
        }
        log.append(batch).unwrap();
    }
    let expected = contents(&log);
    log.close().unwrap();
    expected
}

fn index_files(root: &Path) -> Vec<PathBuf> {
    fn below(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found)
            } else {
                found.push(path)
            }
        }
    }
    let mut found = Vec::new();
    below(&root.join("index"), &mut found);
    found.sort();
    assert!(!found.is_empty());
    found
}

fn check(root: &Path, expected: &super::State, what: &str) -> Log {
    let log = small().open(root).unwrap();
    assert!(contents(&log) == *expected, "{what}");
    log.append(put("after", what)).unwrap();
    assert_eq!(log.get(b"after").unwrap().unwrap(), what.as_bytes());
    log.append(delete("after")).unwrap();
    log
}

#[test]
fn an_index_whose_files_are_cut_changed_or_gone_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let expected = filled(root);
    let mut dice = Dice(11);
    let mut rebuilt = 0;
    for round in 0..60 {
        for file in index_files(root) {
            let mut bytes = fs::read(&file).unwrap();
            let len = bytes.len() as u64;
            let place = |dice: &mut Dice| usize::try_from(dice.below(len.max(1))).unwrap();
            match round % 6 {
                0 => fs::remove_file(&file).unwrap(),
                1 => {
                    bytes.truncate(place(&mut dice));
                    fs::write(&file, bytes).unwrap();
                }
                2 => fs::write(&file, b"").unwrap(),
                3 if len > 0 => {
                    let at = place(&mut dice);
                    bytes[at] ^= 1 << dice.below(8);
                    fs::write(&file, bytes).unwrap();
                }
                4 => {
                    let at = place(&mut dice);
                    let end = (at + 4096).min(bytes.len());
                    bytes[at..end].fill(0);
                    fs::write(&file, bytes).unwrap();
                }
                _ => {
                    bytes.fill_with(|| u8::try_from(dice.below(256)).unwrap());
                    fs::write(&file, bytes).unwrap();
                }
            }
        }
        let log = check(root, &expected, &format!("round {round}"));
        rebuilt += u32::from(log.report().index_rebuilt.is_some());
    }
    assert!(rebuilt >= 20, "only {rebuilt} of 60 were noticed at all");
}

#[test]
fn the_whole_index_folder_may_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path());
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let log = check(folder.path(), &expected, "no index");
    assert!(log.report().index_rebuilt.is_some());
    drop(log);
    let log = check(folder.path(), &expected, "the second time");
    assert_eq!(log.report().index_rebuilt, None, "rebuilt once is enough");
}

#[test]
fn an_index_of_yesterday_is_not_taken_for_todays() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    filled(root);
    let kept: Vec<_> = index_files(root)
        .into_iter()
        .map(|file| (fs::read(&file).unwrap(), file))
        .collect();
    let log = small().open(root).unwrap();
    log.append(put("today", "1")).unwrap();
    log.append(delete("key 299")).unwrap();
    let expected = contents(&log);
    drop(log);
    for file in index_files(root) {
        fs::remove_file(file).unwrap();
    }
    for (bytes, file) in kept {
        fs::write(file, bytes).unwrap();
    }
    let log = check(root, &expected, "yesterday's index");
    assert!(log.report().index_rebuilt.is_some());
}

#[test]
fn a_missing_or_damaged_checkpoint_means_a_rebuild_that_tells_its_progress() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path());
    let checkpoint = folder.path().join("checkpoint");
    for round in 0..3 {
        match round {
            0 => fs::remove_file(&checkpoint).unwrap(),
            1 => fs::write(&checkpoint, b"AJARCKPT nonsense").unwrap(),
            _ => {
                let mut bytes = fs::read(&checkpoint).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fs::write(&checkpoint, bytes).unwrap();
            }
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let log = small()
            .with_progress(move |done, total| lock(&tell).push((done, total)))
            .open(folder.path())
            .unwrap();
        assert!(contents(&log) == expected);
        assert!(log.report().index_rebuilt.is_some());
        let told = lock(&told);
        assert!(told.len() > 1 && told.is_sorted());
        assert!(told.last().is_some_and(|(done, total)| done == total));
    }
}

#[test]
fn an_index_that_silently_lost_or_changed_an_entry_is_noticed() {
    // What the engine does after some power failures: it opens without a word.
    for lose in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let expected = filled(folder.path());
        let index = fs::read_dir(folder.path().join("index"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        {
            let db = sled::open(index.path()).unwrap();
            let one = db.get(b"kkey 298").unwrap().expect("it is there");
            if lose {
                db.remove(b"kkey 298").unwrap();
            } else {
                let other = db.insert(b"kkey 297", &one).unwrap().expect("it is there");
                db.insert(b"kkey 298", other).unwrap();
            }
            db.flush().unwrap();
        }
        let log = check(folder.path(), &expected, "an entry lost or exchanged");
        let why = log.report().index_rebuilt.clone().expect("noticed");
        assert!(why.contains("add up"), "{why}");
    }
}
