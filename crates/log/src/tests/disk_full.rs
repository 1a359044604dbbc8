//! No space left, at the moments where space is needed.

use std::sync::mpsc;

use super::{FaultyDisk, contents, open_on, put, state};
use crate::{Error, disk::Disk as _};

#[test]
fn a_full_disk_saves_nothing_says_so_and_goes_on_once_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    log.append(put("a", "1")).unwrap();
    disk.set_space(Some(100));
    let mut batch = put("b", &"x".repeat(200));
    batch.put("c", "3");
    let full = log.append(batch);
    assert!(matches!(full, Err(Error::DiskFull)), "{full:?}");
    assert!(full.unwrap_err().to_string().contains("free some space"));
    assert_eq!(contents(&log), state(&[("a", "1")]));
    // A smaller one still fits, and takes the place of the one that failed.
    log.append(put("d", "4")).unwrap();
    disk.set_space(None);
    log.append(put("e", "5")).unwrap();
    let expected = state(&[("a", "1"), ("d", "4"), ("e", "5")]);
    assert_eq!(contents(&log), expected);

    // Nothing of the half that was written is found later, with or without the index.
    for seed in 0..8 {
        let after = disk.fail_power_now(&mut super::Dice(seed));
        let elsewhere = tempfile::tempdir().unwrap();
        let moved = FaultyDisk::default();
        let from = folder.path().join("log/0000000000000001.seg");
        let mut bytes = Vec::new();
        after.edit(&from, |file| bytes.clone_from(file));
        let name = elsewhere.path().join("log/0000000000000001.seg");
        drop(moved.create(&name, 0).unwrap());
        moved.edit(&name, |file| *file = bytes);
        let reopened = open_on(&moved, elsewhere.path());
        assert_eq!(contents(&reopened), expected, "seed {seed}");
        assert_eq!(reopened.report().damaged, []);
    }
}

#[test]
fn a_segment_that_cannot_be_reserved_leaves_no_file_and_the_log_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    // Room for writing, but not for another segment of 8 KiB.
    disk.set_space(Some(8192 + 4096 + 3000));
    let mut kept = 0;
    let full = loop {
        match log.append(put(&kept.to_string(), &"x".repeat(1000))) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::DiskFull), "{full:?}");
    assert!(kept >= 1);
    let segments = |disk: &FaultyDisk| {
        disk.files()
            .iter()
            .filter(|file| file.extension().is_some_and(|e| e == "seg"))
            .count()
    };
    assert_eq!(segments(&disk), 1);
    assert_eq!(contents(&log).len(), kept);
    disk.set_space(None);
    log.append(put("again", &"x".repeat(5000))).unwrap();
    assert_eq!(segments(&disk), 2);
    drop(log);
    let log = open_on(&disk, folder.path());
    assert_eq!(contents(&log).len(), kept + 1);
}

#[test]
fn a_disk_that_is_full_from_the_start_can_be_opened_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    disk.set_space(Some(0));
    let log = open_on(&disk, folder.path());
    assert!(matches!(log.append(put("a", "1")), Err(Error::DiskFull)));
    assert_eq!(log.get(b"a").unwrap(), None);
    disk.set_space(None);
    log.append(put("a", "1")).unwrap();
    assert_eq!(contents(&log), state(&[("a", "1")]));
}

#[test]
fn batches_that_found_no_space_do_not_come_back_behind_a_shorter_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let log = open_on(&disk, folder.path());
    // While the first answer is held up, three more batches queue, to be written as one group.
    let (go, wait) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    log.submit(put("a", "1"), move |result| {
        result.unwrap();
        entered.send(()).unwrap();
        wait.recv().unwrap();
    })
    .unwrap();
    inside.recv().unwrap();
    let (tell, told) = mpsc::channel();
    for (key, value) in [("b", "2"), ("c", "3"), ("d", "x")] {
        let tell = tell.clone();
        let value = if key == "d" {
            value.repeat(500)
        } else {
            value.to_owned()
        };
        log.submit(put(key, &value), move |result| tell.send(result).unwrap())
            .unwrap();
    }
    disk.set_space(Some(0));
    go.send(()).unwrap();
    for _ in 0..3 {
        assert!(matches!(told.recv().unwrap(), Err(Error::DiskFull)));
    }
    disk.set_space(None);
    // Exactly as long as the record of b, behind which that of c had been written.
    log.append(put("e", "5")).unwrap();
    let expected = state(&[("a", "1"), ("e", "5")]);
    assert_eq!(contents(&log), expected);
    let after = disk.fail_power_now(&mut super::Dice(3));
    drop(log);
    assert_eq!(contents(&open_on(&after, folder.path())), expected);
}
