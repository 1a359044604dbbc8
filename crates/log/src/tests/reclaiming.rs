//! Space comes back, and nothing that lives is lost for it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{FaultyDisk, contents, delete, open_on, put, small, state};
use crate::{Batch, Options, batch::Op};

fn bytes_on_disk(disk: &FaultyDisk) -> usize {
    let mut total = 0;
    for file in disk.files() {
        if file.extension().is_some_and(|extension| extension == "seg") {
            disk.edit(&file, |bytes| total += bytes.len());
        }
    }
    total
}

#[test]
fn reclaiming_keeps_the_live_and_drops_the_dead() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    for n in 0..400 {
        log.append(put(
            &format!("{}", n % 10),
            &format!("{n} {}", "x".repeat(300)),
        ))
        .unwrap();
        if n % 40 == 0 {
            log.append(put(&format!("kept {n}"), "since long ago"))
                .unwrap();
        }
    }
    let expected = contents(&log);
    let before = log.stats().unwrap();
    let size_before = bytes_on_disk(&disk);
    let done = log.reclaim().unwrap();
    let after = log.stats().unwrap();
    assert!(
        done.segments >= before.segments - 2,
        "{done:?} of {before:?}"
    );
    assert!(done.moved >= 9 && done.freed_bytes > 100_000, "{done:?}");
    assert_eq!(contents(&log), expected);
    assert_eq!(
        (after.records, after.live_bytes),
        (before.records, before.live_bytes)
    );
    assert!(after.dead_bytes * 10 < before.dead_bytes, "{after:?}");
    assert!(bytes_on_disk(&disk) * 5 < size_before);
    assert_eq!(
        log.reclaim().unwrap().segments,
        0,
        "the second time there is nothing to do"
    );
    drop(log);
    let log = open_on(&disk, folder.path());
    assert_eq!(contents(&log), expected);
    assert_eq!(log.report().missing_segments, Vec::<u64>::new());
}

#[test]
fn a_deleted_key_does_not_come_back_when_its_delete_record_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("burned", "secret")).unwrap();
    log.append(put("stays", &"x".repeat(3000))).unwrap();
    // Segment 2: the delete, and dead weight, so that it is reclaimed before segment 1.
    for _ in 0..3 {
        log.append(put("weight", &"x".repeat(3000))).unwrap();
    }
    log.append(delete("burned")).unwrap();
    for n in 0..20 {
        log.append(put("weight", &format!("{n}{}", "x".repeat(2000))))
            .unwrap();
    }
    let expected = contents(&log);
    assert!(!expected.contains_key(b"burned".as_slice()));
    assert!(log.reclaim().unwrap().segments > 2);
    assert!(
        log.segments().contains(&1),
        "the record that was deleted is still in its segment"
    );
    assert_eq!(contents(&log), expected);
    drop(log);
    // Only the log decides now.
    disk.edit(&folder.path().join("checkpoint"), |bytes| bytes.clear());
    let log = open_on(&disk, folder.path());
    assert!(log.report().index_rebuilt.is_some());
    assert_eq!(contents(&log), expected);
    // When its segment goes too, the delete record may go.
    log.erase_dead().unwrap();
    log.erase_dead().unwrap();
    assert_eq!(contents(&log), expected);
    assert_eq!(log.stats().unwrap().dead_bytes, 0);
}

#[test]
fn after_erasing_no_file_holds_what_was_deleted_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    for n in 0..30 {
        log.append(put(
            &format!("day {n}"),
            &format!("kept {n} {}", "y".repeat(400)),
        ))
        .unwrap();
    }
    log.append(put("burned", "the words nobody shall read"))
        .unwrap();
    log.append(put("edited", "a first thought, better forgotten"))
        .unwrap();
    log.append(put("edited", "a second thought")).unwrap();
    log.append(delete("burned")).unwrap();
    let expected = contents(&log);
    let holds = |words: &[u8]| {
        let mut found = false;
        for file in disk.files() {
            disk.edit(&file, |bytes| {
                found |= bytes.windows(words.len()).any(|w| w == words)
            });
        }
        found
    };
    assert!(holds(b"nobody shall read"), "the check can see it");
    log.erase_dead().unwrap();
    assert!(!holds(b"nobody shall read") && !holds(b"better forgotten"));
    assert!(holds(b"a second thought"));
    assert_eq!(contents(&log), expected);
}

#[test]
fn reading_and_writing_go_on_while_segments_are_reclaimed() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    for n in 0..20 {
        log.append(put(&format!("old {n}"), &"x".repeat(500)))
            .unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (log, stop) = (&log, &stop);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let mut reads = 0;
                    while !stop.load(Ordering::Relaxed) {
                        for n in 0..20 {
                            let value = log.get(format!("old {n}").as_bytes()).unwrap();
                            assert_eq!(value.map(|value| value.len()), Some(500));
                            reads += 1;
                        }
                        assert!(log.keys_with_prefix(b"old ").unwrap().len() == 20);
                    }
                    reads
                })
            })
            .collect();
        let writer = scope.spawn(move || {
            for n in 0..400 {
                let mut batch = put("counter", &n.to_string());
                batch.put(format!("c{}", n % 7), vec![1; 600]);
                log.append(batch).unwrap();
            }
        });
        let mut removed = 0;
        while !writer.is_finished() {
            removed += log.reclaim().unwrap().segments;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
        assert!(removed > 5, "{removed}");
    });
    assert_eq!(log.get(b"counter").unwrap().unwrap(), b"399");
    let expected = contents(&log);
    assert_eq!(expected.len(), 28);
    drop(log);
    assert_eq!(contents(&small().open(folder.path()).unwrap()), expected);
}

#[test]
fn a_segment_with_a_damaged_live_record_is_left_alone_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("hurt", "a value")).unwrap();
    let at = log.position(b"hurt").unwrap().unwrap();
    for n in 0..10 {
        log.append(put("weight", &format!("{n}{}", "x".repeat(1000))))
            .unwrap();
    }
    let value = usize::try_from(at.offset).unwrap() + 24 + 4;
    disk.edit(&folder.path().join("log/0000000000000001.seg"), |bytes| {
        bytes[value] ^= 4
    });
    let done = log.reclaim().unwrap();
    assert_eq!(done.damaged_segments, [1]);
    assert!(log.segments().contains(&1));
    assert!(matches!(log.get(b"hurt"), Err(crate::Error::Damaged { at: found }) if found == at));
}

#[test]
fn segments_are_not_numbered_again_after_all_records_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("a", "1")).unwrap();
    log.append(delete("a")).unwrap();
    log.erase_dead().unwrap();
    assert_eq!(log.segments(), [2]);
    drop(log);
    let log = open_on(&disk, folder.path());
    let mut batch = Batch::new();
    batch.put("b", vec![1; 9000]);
    log.append(batch).unwrap();
    assert_eq!(
        log.segments(),
        [2, 3],
        "too large for what is left of segment 2"
    );
    log.append(put("c", "3")).unwrap();
    assert_eq!(contents(&log).len(), 2);
    assert_eq!(state(&[]), super::State::new());
}

#[test]
fn what_changed_since_reclaiming_looked_is_not_put_back() {
    // Reclaiming decides what to write again before the committer writes it.
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    let shared = &log.inner.shared;
    log.append(put("day", "first")).unwrap();
    let from = shared.locate(b"day").unwrap().unwrap();
    log.append(put("day", "second")).unwrap();
    shared
        .append_ops(
            vec![Op::Move {
                key: b"day".to_vec(),
                from,
            }],
            false,
        )
        .unwrap();
    shared
        .append_ops(
            vec![Op::MoveDelete {
                key: b"day".to_vec(),
            }],
            false,
        )
        .unwrap();
    assert_eq!(log.get(b"day").unwrap().unwrap(), b"second");
    log.append(delete("day")).unwrap();
    shared
        .append_ops(
            vec![Op::Move {
                key: b"day".to_vec(),
                from,
            }],
            false,
        )
        .unwrap();
    assert_eq!(log.get(b"day").unwrap(), None);
}

/// A relay for two once took 64 MiB for a few changes, and kept 64 MiB of what was deleted.
#[test]
fn a_small_log_takes_little_of_the_disk_and_gives_back_what_died_in_its_only_segment() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = || Options::new().with_salt(7);
    let open =
        |disk: &FaultyDisk| options().open_on(folder.path(), std::sync::Arc::new(disk.clone()));
    let log = open(&disk).unwrap();
    assert_eq!(bytes_on_disk(&disk), 0);
    log.append(put("one", "word")).unwrap();
    assert!(bytes_on_disk(&disk) <= 1 << 20);
    for n in 0..100 {
        log.append(put(&format!("{n}"), &"x".repeat(50_000)))
            .unwrap();
    }
    let written = bytes_on_disk(&disk);
    assert!((5_000_000..=16 << 20).contains(&written), "{written}");
    for n in 0..90 {
        log.append(delete(&format!("{n}"))).unwrap();
    }
    assert_eq!(log.reclaim().unwrap().segments, 1);
    assert!(bytes_on_disk(&disk) <= 2 << 20);
    let expected = contents(&log);
    assert_eq!(expected.len(), 11);
    let after = disk.copy();
    drop(log);
    assert_eq!(contents(&open(&after).unwrap()), expected);
}
