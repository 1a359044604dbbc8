//! Bytes that change on the disk, and ends that were cut off.

use std::path::{Path, PathBuf};

use super::{Dice, FaultyDisk, State, contents, delete, open_on, put, state};
use crate::{
    Batch, Error, Position,
    record::{Item, Scan},
    segment::DATA_START,
};

fn first_segment(root: &Path) -> PathBuf {
    root.join("log/0000000000000001.seg")
}

/// Ana's five records, each in a batch of its own, then a batch of three by Ben; one deleted.
fn little_log(disk: &FaultyDisk, root: &Path) -> (State, Vec<Position>, u64) {
    let log = open_on(disk, root);
    let mut expected = State::new();
    let mut starts = Vec::new();
    for n in 0..5 {
        let (key, value) = (format!("ana/{n}"), format!("a day in the life, number {n}"));
        log.append(put(&key, &value)).unwrap();
        starts.push(log.position(key.as_bytes()).unwrap().unwrap());
        expected.insert(key.into_bytes(), value.into_bytes());
    }
    let mut batch = Batch::new();
    for n in 0..3 {
        batch.put(format!("ben/{n}"), format!("Ben's {n}"));
        expected.insert(
            format!("ben/{n}").into_bytes(),
            format!("Ben's {n}").into_bytes(),
        );
    }
    log.append(batch).unwrap();
    for n in 0..3 {
        starts.push(
            log.position(format!("ben/{n}").as_bytes())
                .unwrap()
                .unwrap(),
        );
    }
    let end = starts.last().unwrap().offset + 40;
    drop(log);
    // As it is while the log is open, or after a crash.
    disk.edit(&first_segment(root), |bytes| bytes.resize(8192, 0));
    (expected, starts, end)
}

fn forget_index(disk: &FaultyDisk, root: &Path) {
    let checkpoint = root.join("checkpoint");
    disk.edit(&checkpoint, |bytes| bytes[20] ^= 0xff);
}

/// What can be read of the log, and how many keys give `Damaged`.
fn readable(log: &crate::Log) -> (State, usize) {
    let (mut found, mut damaged) = (State::new(), 0);
    for (key, _) in log.keys_with_prefix(b"").unwrap() {
        match log.get(&key) {
            Ok(Some(value)) => drop(found.insert(key, value)),
            Err(Error::Damaged { .. }) => damaged += 1,
            other => panic!("{other:?}"),
        }
    }
    (found, damaged)
}

#[test]
fn a_flipped_bit_anywhere_loses_at_most_its_record_and_is_reported_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (expected, _, end) = little_log(&disk, folder.path());
    let segment = first_segment(folder.path());
    let mut dice = Dice(7);
    let header = (0..64).chain(2040..2080).chain(4080..DATA_START);
    for at in header.chain(DATA_START..end + 16) {
        let bit = 1_u8 << dice.below(8);
        let bad = disk.copy();
        bad.edit(&segment, |bytes| bytes[usize::try_from(at).unwrap()] ^= bit);
        let rebuild = dice.one_in(2);
        if rebuild {
            forget_index(&bad, folder.path());
        }
        let log = open_on(&bad, folder.path());
        let (found, refused) = readable(&log);
        let lost = expected.len() - found.len();
        assert!(
            found
                .iter()
                .all(|(key, value)| expected.get(key) == Some(value)),
            "byte {at}"
        );
        // Of a torn write and a damaged last batch nobody can tell the difference, without a
        // checkpoint: then Ben's batch goes as a whole.
        let torn = log.report().torn_tail.is_some();
        assert!(lost <= if torn { 3 } else { 1 }, "byte {at}: {lost} lost");
        // Bytes after the end look like a write that was never acknowledged.
        assert!(
            !torn || rebuild || at >= end,
            "byte {at}: with a checkpoint it is known to have been whole"
        );
        assert!(
            lost == 0 || refused > 0 || torn || !log.report().damaged.is_empty(),
            "byte {at}"
        );
        if lost > 0 && !torn {
            assert_eq!(log.verify().unwrap().len(), 1, "byte {at}");
        }
        log.append(put("after", "goes on")).unwrap();
        assert_eq!(log.get(b"after").unwrap().unwrap(), b"goes on");
    }
}

#[test]
fn both_headers_of_a_segment_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (expected, ..) = little_log(&disk, folder.path());
    disk.edit(&first_segment(folder.path()), |bytes| {
        bytes[..4096].fill(0xee)
    });
    let log = open_on(&disk, folder.path());
    assert_eq!(contents(&log), expected, "the checkpoint knows the salt");
    assert_eq!(log.report().damaged_count, 1);
}

#[test]
fn a_page_of_zeros_in_the_middle_is_damage_and_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (mut expected, starts, _) = little_log(&disk, folder.path());
    let range = |n: usize| {
        usize::try_from(starts[n].offset).unwrap()..usize::try_from(starts[n + 1].offset).unwrap()
    };
    disk.edit(&first_segment(folder.path()), |bytes| {
        bytes[range(2)].fill(0)
    });
    forget_index(&disk, folder.path());
    let log = open_on(&disk, folder.path());
    expected.remove(b"ana/2".as_slice());
    assert_eq!(contents(&log), expected);
    let damage = &log.report().damaged[..];
    assert_eq!(damage.len(), 1);
    assert_eq!(
        (damage[0].at, damage[0].at.offset + damage[0].len),
        (starts[2], starts[3].offset)
    );
}

#[test]
fn zeros_at_the_end_of_what_was_acknowledged_are_damage_too() {
    // The checkpoint knows how far the segment was full; a drive that lost its newest sectors must
    // not look like a log that ended earlier.
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (_, starts, end) = little_log(&disk, folder.path());
    let lost = usize::try_from(starts[4].offset).unwrap()..usize::try_from(end).unwrap();
    disk.edit(&first_segment(folder.path()), |bytes| bytes[lost].fill(0));
    let log = open_on(&disk, folder.path());
    assert_eq!(readable(&log).0.len(), 4);
    assert!(matches!(log.get(b"ana/4"), Err(Error::Damaged { at }) if at == starts[4]));
    assert_eq!(log.verify().unwrap()[0].at, starts[4]);
    // New records do not take the place of the lost ones.
    log.append(put("new", "x")).unwrap();
    assert!(log.position(b"new").unwrap().unwrap().offset >= end);
    assert!(matches!(log.get(b"ana/4"), Err(Error::Damaged { .. })));
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_at_the_last_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (expected, starts, end) = little_log(&disk, folder.path());
    let segment = first_segment(folder.path());
    forget_index(&disk, folder.path());
    for cut in DATA_START..end {
        let torn = disk.copy();
        // The rest of the preallocated file stays zero, or holds what was never synced.
        let garbage = cut % 2 == 0;
        torn.edit(&segment, |bytes| {
            let rest = &mut bytes[usize::try_from(cut).unwrap()..];
            rest.fill(0);
            if garbage {
                rest[..64].fill(0xa5);
            }
        });
        let log = open_on(&torn, folder.path());
        // The last record ends with four bytes of padding, which hold nothing.
        let whole = |n: usize| starts.get(n + 1).map_or(end - 4, |next| next.offset) <= cut;
        let mut kept: State = expected.clone();
        for n in 0..5 {
            if !whole(n) {
                kept.remove(format!("ana/{n}").as_bytes());
            }
        }
        if !whole(7) {
            kept.retain(|key, _| !key.starts_with(b"ben/"));
        }
        assert_eq!(contents(&log), kept, "cut at {cut}");
        assert_eq!(log.report().damaged, [], "cut at {cut}");
        // What comes next is not mixed with what was cut, also after another crash.
        log.append(put("next", "1")).unwrap();
        kept.insert(b"next".to_vec(), b"1".to_vec());
        let again = torn.fail_power_now(&mut Dice(cut));
        drop(log);
        forget_index_if_there(&again, folder.path());
        let log = open_on(&again, folder.path());
        assert_eq!(contents(&log), kept, "reopened after a cut at {cut}");
    }
}

fn forget_index_if_there(disk: &FaultyDisk, root: &Path) {
    if disk.files().contains(&root.join("checkpoint")) {
        forget_index(disk, root);
    }
}

#[test]
fn a_shortened_segment_file_loses_only_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (mut expected, starts, _) = little_log(&disk, folder.path());
    let keep = usize::try_from(starts[4].offset + 3).unwrap();
    disk.edit(&first_segment(folder.path()), |bytes| bytes.truncate(keep));
    let log = open_on(&disk, folder.path());
    assert!(log.report().index_rebuilt.is_some());
    assert!(log.report().damaged_count > 0);
    expected.retain(|key, _| !key.starts_with(b"ben/") && key != b"ana/4");
    assert_eq!(contents(&log), expected);
    log.append(put("next", "1")).unwrap();
    assert_eq!(log.get(b"next").unwrap().unwrap(), b"1");
}

#[test]
fn a_missing_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    for n in 0..30 {
        log.append(put(&n.to_string(), &"x".repeat(1000))).unwrap();
    }
    let second: Vec<Vec<u8>> = log
        .keys_with_prefix(b"")
        .unwrap()
        .into_iter()
        .filter_map(|(key, at)| (at.segment == 2).then_some(key))
        .collect();
    assert!(!second.is_empty());
    let expected = contents(&log);
    drop(log);
    crate::disk::Disk::remove(&disk, &folder.path().join("log/0000000000000002.seg")).unwrap();
    let log = open_on(&disk, folder.path());
    assert_eq!(log.report().missing_segments, [2]);
    let found = contents(&log);
    assert_eq!(found.len(), expected.len() - second.len());
    assert!(second.iter().all(|key| !found.contains_key(key)));
}

#[test]
fn a_damaged_newer_value_is_not_answered_with_the_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("mood", "sad")).unwrap();
    log.append(put("mood", "glad again")).unwrap();
    log.append(put("other", "1")).unwrap();
    let at = log.position(b"mood").unwrap().unwrap();
    drop(log);
    let value = usize::try_from(at.offset).unwrap() + 24 + 4 + 2;
    disk.edit(&first_segment(folder.path()), |bytes| bytes[value] ^= 1);
    for rebuild in [false, true] {
        if rebuild {
            forget_index(&disk, folder.path());
        }
        let log = open_on(&disk, folder.path());
        assert!(matches!(log.get(b"mood"), Err(Error::Damaged { at: found }) if found == at));
        assert_eq!(
            log.report()
                .damaged
                .iter()
                .filter(|d| d.key.is_some())
                .count()
                == 1,
            rebuild
        );
    }
}

#[test]
fn bytes_of_a_failed_write_do_not_come_back_after_an_unrelated_deletion() {
    // The first batch's record stays torn on the disk; the next batch is shorter.
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("a", "1")).unwrap();
    disk.fail_writes(true);
    let mut batch = put("b", &"long ".repeat(30));
    batch.put("c", "whole, but of a batch that failed");
    batch.put("d", "x".repeat(300));
    assert!(matches!(log.append(batch), Err(Error::NotConfirmed { .. })));
    disk.fail_writes(false);
    assert!(matches!(log.append(delete("a")), Err(Error::Stopped)));
    drop(log);
    let log = open_on(&disk, folder.path());
    assert_eq!(contents(&log), state(&[("a", "1")]));
    log.append(put("b", "2")).unwrap();
    drop(log);
    forget_index(&disk, folder.path());
    let log = open_on(&disk, folder.path());
    assert_eq!(contents(&log), state(&[("a", "1"), ("b", "2")]));
    assert_eq!(log.report().damaged, []);
}

#[test]
fn a_record_inside_a_value_is_never_taken_for_one() {
    // Ben sends an envelope that holds the bytes of a record, at the right place even; then the
    // header in front of it is damaged. Only the salt of the segment keeps the two apart.
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    let key = "envelope";
    let inside_at = DATA_START + 24 + key.len() as u64;
    let mut forged = Vec::new();
    let place = crate::record::Place {
        segment: 1,
        salt: 0,
    };
    let frame = crate::record::Frame {
        kind: crate::record::Kind::Put,
        first: true,
        last: true,
        group_start: u32::try_from(DATA_START).unwrap(),
        key: b"relay secret",
        value: b"forged",
    };
    crate::record::encode(&mut forged, place, inside_at, &frame);
    let scan: Vec<_> = Scan::new(&forged, inside_at, place).collect();
    assert!(
        matches!(scan[..], [Item::Record { value_ok: true, .. }]),
        "well forged"
    );
    let mut batch = Batch::new();
    batch.put(key, forged);
    log.append(batch).unwrap();
    log.append(put("next", "1")).unwrap();
    drop(log);
    disk.edit(&first_segment(folder.path()), |bytes| bytes[4096] ^= 1);
    forget_index(&disk, folder.path());
    assert_eq!(
        contents(&open_on(&disk, folder.path())),
        state(&[("next", "1")])
    );
}

#[test]
fn a_record_that_the_disk_put_in_the_wrong_place_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("mood", "sad.")).unwrap();
    let old = usize::try_from(log.position(b"mood").unwrap().unwrap().offset).unwrap();
    log.append(put("mood", "glad")).unwrap();
    let at = log.position(b"mood").unwrap().unwrap();
    let new = usize::try_from(at.offset).unwrap();
    disk.edit(&first_segment(folder.path()), |bytes| {
        bytes.copy_within(old..new, new)
    });
    assert!(matches!(log.get(b"mood"), Err(Error::Damaged { at: found }) if found == at));
}

#[test]
fn a_segment_of_a_newer_version_is_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    drop(little_log(&disk, folder.path()));
    disk.edit(&first_segment(folder.path()), |bytes| {
        bytes[7] = 2;
        let crc = crc32c::crc32c(&bytes[..24]).to_le_bytes();
        bytes[24..28].copy_from_slice(&crc);
    });
    let options = super::small();
    let error = options
        .open_on(folder.path(), std::sync::Arc::new(disk))
        .unwrap_err();
    assert!(matches!(error, Error::Version { segment: 1 }));
}

proptest::proptest! {
    #[test]
    fn a_scan_of_any_bytes_ends_and_covers_them_in_order(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000),
        flips in proptest::collection::vec((0_usize..3000, proptest::prelude::any::<u8>()), 0..6),
    ) {
        let place = crate::record::Place { segment: 3, salt: 4 };
        let mut image = Vec::new();
        for chunk in bytes.chunks(100) {
            let frame = crate::record::Frame {
                kind: crate::record::Kind::Put,
                first: true,
                last: true,
                group_start: 0,
                key: &chunk[..1],
                value: chunk,
            };
            let at = 4096 + image.len() as u64;
            crate::record::encode(&mut image, place, at, &frame);
        }
        image.extend_from_slice(&bytes);
        for (at, byte) in flips {
            if let Some(slot) = image.get_mut(at) {
                *slot = byte;
            }
        }
        let mut scan = Scan::new(&image, 4096, place);
        let mut next = 4096;
        for item in scan.by_ref() {
            let (at, len) = match item {
                Item::Record { at, head, .. } => (at, head.len() as u64),
                Item::Damaged { at, len } => (at, len),
            };
            assert_eq!(at, next);
            assert!(len > 0);
            next = at + len;
        }
        assert_eq!(next.min(4096 + image.len() as u64), scan.reached());
        let rest = usize::try_from(scan.reached() - 4096).unwrap();
        assert!(image[rest..].iter().all(|byte| *byte == 0));
    }
}
