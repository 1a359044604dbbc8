use std::sync::{Arc, mpsc};

use super::{contents, delete, put, small, state};
use crate::{Batch, Error, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options, Position};

#[test]
fn ana_writes_closes_and_finds_everything_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let mut batch = put("ana/1", "Monday");
    batch.put("ana/2", "Tuesday");
    batch.put("ben/1", "Wednesday");
    log.append(batch).unwrap();
    log.append(delete("ana/2")).unwrap();
    log.append(put("ana/1", "Monday, rain")).unwrap();
    let expected = state(&[("ana/1", "Monday, rain"), ("ben/1", "Wednesday")]);
    assert_eq!(contents(&log), expected);
    assert_eq!(log.get(b"ana/2").unwrap(), None);
    let keys: Vec<_> = log
        .keys_with_prefix(b"ana/")
        .unwrap()
        .into_iter()
        .map(|(k, _)| k)
        .collect();
    assert_eq!(keys, [b"ana/1".to_vec()]);
    log.close().unwrap();

    let log = small().open(folder.path()).unwrap();
    assert_eq!(
        log.report().records_replayed,
        0,
        "a clean end leaves nothing to read again"
    );
    assert_eq!(log.report().index_rebuilt, None);
    assert_eq!(contents(&log), expected);
}

#[test]
fn keys_between_two_come_a_bounded_number_at_a_time_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let name = |n: u32| format!("ana/{n:03}");
    for n in 0..100 {
        log.append(put(&name(n), "a day")).unwrap();
    }
    let between = |from: &str, to: &str, most| -> Vec<String> {
        let found = log.keys_between(from.as_bytes(), to.as_bytes(), most);
        let keys = found.unwrap().into_iter();
        keys.map(|(key, _)| String::from_utf8(key).unwrap())
            .collect()
    };
    // In the index, then with newer changes on top of it.
    log.stats().unwrap();
    assert_eq!(between("ana/", "ana0", 1000).len(), 100);
    for n in 0..50 {
        log.append(delete(&name(n))).unwrap();
    }
    log.append(put("ana/0605", "a night")).unwrap();
    assert_eq!(between("ana/", "ana0", 2), [name(50), name(51)]);
    assert_eq!(
        between(&name(60), &name(62), 9),
        [name(60), "ana/0605".to_owned(), name(61)]
    );
    assert_eq!(between("ana/", "ana0", 1000).len(), 51);
    assert!(between("ana/099", "ana/099", 9).is_empty());
    assert!(between("b", "a", 9).is_empty());
    assert!(between("ana/", "ana0", 0).is_empty());
}

#[test]
fn dropping_the_log_keeps_as_much_as_closing_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let clone = log.clone();
    log.append(put("a", "1")).unwrap();
    drop(log);
    clone.append(put("b", "2")).unwrap();
    drop(clone);
    let log = small().open(folder.path()).unwrap();
    assert_eq!(log.report().records_replayed, 0);
    assert_eq!(contents(&log), state(&[("a", "1"), ("b", "2")]));
}

#[test]
fn a_closed_log_refuses_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let clone = log.clone();
    log.append(put("a", "1")).unwrap();
    log.close().unwrap();
    assert!(matches!(clone.append(put("b", "2")), Err(Error::Closed)));
    assert!(matches!(clone.get(b"b"), Err(Error::Closed)));
    assert!(matches!(clone.stats(), Err(Error::Closed)));
    let again = small().open(folder.path()).unwrap();
    assert_eq!(contents(&again), state(&[("a", "1")]));
}

#[test]
fn a_second_program_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let second = small().open(folder.path()).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }));
    assert!(
        second
            .to_string()
            .contains("in use by another running program")
    );
    drop(log);
    small().open(folder.path()).unwrap();
}

#[test]
fn batches_larger_than_the_index_overlay_are_all_there_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = Options::new()
        .with_segment_bytes(1 << 20)
        .open(folder.path())
        .unwrap();
    let mut before = Position::default();
    for round in 0..40_u32 {
        let mut batch = Batch::new();
        for n in 0..500_u32 {
            batch.put(format!("{:05}", round * 500 + n), n.to_le_bytes());
        }
        log.append(batch).unwrap();
        // Whatever part of it the indexer holds at this moment, every key is seen once.
        assert_eq!(
            log.keys_with_prefix(b"").unwrap().len(),
            (round as usize + 1) * 500
        );
        let newest = log
            .position(format!("{:05}", round * 500 + 499).as_bytes())
            .unwrap();
        assert!(newest > Some(before), "positions follow arrival");
        before = newest.unwrap();
    }
    let stats = log.stats().unwrap();
    assert_eq!(stats.records, 20_000);
    assert_eq!(stats.dead_bytes, 0);
    assert_eq!(contents(&log).len(), 20_000);
    drop(log);
    let log = Options::new().open(folder.path()).unwrap();
    assert_eq!(contents(&log).len(), 20_000);
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..50 {
                    let key = format!("{writer}/{n}");
                    log.append(put(&key, &key)).unwrap();
                    assert_eq!(log.get(key.as_bytes()).unwrap(), Some(key.into_bytes()));
                }
            });
        }
    });
    assert_eq!(contents(&log).len(), 800);
    drop(log);
    assert_eq!(contents(&small().open(folder.path()).unwrap()).len(), 800);
}

#[test]
fn submitted_batches_are_answered_once_and_in_order_and_may_panic_in_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let log = Options::new()
        .with_segment_bytes(1 << 20)
        .open(folder.path())
        .unwrap();
    let (tell, told) = mpsc::channel();
    for n in 0..3000 {
        let tell = tell.clone();
        log.submit(put("last", &n.to_string()), move |result| {
            tell.send((n, result.is_ok())).unwrap();
            assert!(n != 7, "a caller's mistake");
        })
        .unwrap();
    }
    drop(tell);
    let answers: Vec<_> = told.into_iter().collect();
    assert_eq!(answers, (0..3000).map(|n| (n, true)).collect::<Vec<_>>());
    assert_eq!(contents(&log), state(&[("last", "2999")]));
}

#[test]
fn submitting_from_an_answer_is_refused_instead_of_waiting_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let (tell, told) = mpsc::channel();
    let inside = log.clone();
    log.submit(put("a", "1"), move |_| {
        tell.send(inside.append(put("b", "2"))).unwrap();
        // This may be the last clone; dropping it here must not wait for this thread.
        drop(inside);
    })
    .unwrap();
    drop(log);
    assert!(matches!(told.recv().unwrap(), Err(Error::FromCallback)));
}

#[test]
fn an_empty_batch_is_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    assert!(Batch::new().is_empty());
    log.append(Batch::new()).unwrap();
    assert!(contents(&log).is_empty());
    assert_eq!(log.stats().unwrap().dead_bytes, 0);
}

#[test]
fn keys_and_values_over_the_limits_are_refused_and_at_the_limits_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    let long = MAX_KEY_BYTES + 1;
    assert!(matches!(
        log.append(put("", "x")),
        Err(Error::KeyLength { len: 0 })
    ));
    let mut batch = Batch::new();
    batch.put(vec![b'k'; long], "x");
    assert!(matches!(log.append(batch), Err(Error::KeyLength { len }) if len == long));
    let mut batch = Batch::new();
    batch.put("k", vec![0; MAX_VALUE_BYTES + 1]);
    assert!(matches!(
        log.append(batch),
        Err(Error::ValueTooLarge { .. })
    ));
    let mut batch = Batch::new();
    for n in 0..5_u8 {
        batch.put(vec![n], vec![n; MAX_VALUE_BYTES]);
    }
    assert!(matches!(
        log.append(batch),
        Err(Error::BatchTooLarge { .. })
    ));
    assert!(contents(&log).is_empty());

    // Values of zero bytes only look like the unwritten end of a segment.
    let (key, value) = (vec![0; MAX_KEY_BYTES], vec![0; MAX_VALUE_BYTES]);
    let mut batch = Batch::new();
    batch.put(key.clone(), value.clone());
    batch.put("empty", "");
    log.append(batch).unwrap();
    drop(log);
    std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
    let log = small().open(folder.path()).unwrap();
    assert_eq!(log.report().damaged, []);
    assert!(log.get(&key).unwrap() == Some(value));
    assert_eq!(log.get(b"empty").unwrap(), Some(Vec::new()));
}

#[test]
fn a_position_that_is_no_record_is_an_error_and_not_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let log = small().open(folder.path()).unwrap();
    log.append(put("a", "a record inside: looks like one"))
        .unwrap();
    log.append(delete("gone")).unwrap();
    let at = log.position(b"a").unwrap().unwrap();
    for offset in (0..20_000)
        .chain([u64::MAX - 7, u64::MAX])
        .filter(|o| *o != at.offset)
    {
        let wrong = Position { offset, ..at };
        assert!(
            matches!(log.read_at(wrong), Err(Error::NoRecord { .. })),
            "{offset}"
        );
    }
    assert!(matches!(
        log.read_at(Position { segment: 9, ..at }),
        Err(Error::NoRecord { .. })
    ));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("journal");
    let log = small().open(&root).unwrap();
    log.append(put("a", "1")).unwrap();
    log.stats().unwrap();
    log.close().unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for dir in [root.clone(), root.join("log"), root.join("index")] {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
    }
    for file in ["lock", "checkpoint", "log/0000000000000001.seg"] {
        assert_eq!(mode(&root.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_log_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<crate::Log>();
    shared::<Arc<Batch>>();
}
