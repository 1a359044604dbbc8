//! The program is killed at random moments; what it had told to be saved is there afterwards.
//!
//! The test starts itself as the program to be killed, which reports through its output.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use ajar_log::{Batch, Log, Options};

const FOLDER: &str = "AJAR_LOG_KILL_FOLDER";
const KEYS: u64 = 40;
const PER_BATCH: u64 = 4;

fn open(folder: &Path) -> Log {
    Options::new()
        .with_segment_bytes(64 * 1024)
        .open(folder)
        .expect("the log opens")
}

/// Batch `n` of a writer puts four of its forty keys and its counter, and deletes one key.
fn batch(writer: u64, n: u64) -> Batch {
    let mut batch = Batch::new();
    for part in 0..PER_BATCH {
        let key = (n * PER_BATCH + part) % KEYS;
        batch.put(format!("{writer}/{key:02}"), value(n, part));
    }
    batch.delete(format!(
        "{writer}/{:02}",
        (n * PER_BATCH + PER_BATCH + 1) % KEYS
    ));
    batch.put(format!("{writer}/counter"), n.to_string());
    batch
}

fn value(n: u64, part: u64) -> Vec<u8> {
    let byte = u8::try_from((n + part) % 251).expect("below 251");
    vec![byte; usize::try_from((n * 37 + part * 101) % 700).expect("below 700")]
}

/// What writer's keys hold after batch `n`, from the definition of the batches.
fn expected(writer: u64, n: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut state = std::collections::BTreeMap::new();
    for n in n.saturating_sub(30)..=n {
        for part in 0..PER_BATCH {
            let key = (n * PER_BATCH + part) % KEYS;
            state.insert(format!("{writer}/{key:02}").into_bytes(), value(n, part));
        }
        let gone = (n * PER_BATCH + PER_BATCH + 1) % KEYS;
        state.remove(format!("{writer}/{gone:02}").as_bytes());
    }
    state.insert(
        format!("{writer}/counter").into_bytes(),
        n.to_string().into_bytes(),
    );
    state.into_iter().collect()
}

/// The program that is killed: two writers and somebody who reclaims.
#[test]
#[ignore = "started by the other test, as its own process"]
fn victim() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let log = open(Path::new(&folder));
    assert!(log.report().damaged.is_empty(), "{:?}", log.report());
    thread::scope(|scope| {
        for writer in 0..2_u64 {
            let log = &log;
            scope.spawn(move || {
                let counter = log.get(format!("{writer}/counter").as_bytes()).unwrap();
                let mut n = counter.map_or(0, |bytes| {
                    std::str::from_utf8(&bytes).unwrap().parse::<u64>().unwrap() + 1
                });
                loop {
                    log.append(batch(writer, n)).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "saved {writer} {n}").unwrap();
                    out.flush().unwrap();
                    n += 1;
                }
            });
        }
        scope.spawn(|| {
            loop {
                log.reclaim().unwrap();
                thread::sleep(Duration::from_millis(7));
                log.stats().unwrap();
            }
        });
    });
}

#[test]
fn what_was_saved_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var("AJAR_LOG_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(12);
    let mut saved = [None; 2];
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut words = line.split(' ');
                if words.next() == Some("saved")
                    && let (Some(writer), Some(n)) = (words.next(), words.next())
                    && let (Ok(writer), Ok(n)) = (writer.parse::<usize>(), n.parse::<u64>())
                {
                    tell.send((writer, n)).unwrap();
                }
            }
        });
        // Let it come to life, then kill it somewhere in its work.
        told.recv_timeout(Duration::from_secs(30))
            .expect("the program saves something");
        thread::sleep(Duration::from_micros(1 + (kill * 7919) % 150_000));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        for (writer, n) in told {
            saved[writer] = saved[writer].max(Some(n));
        }

        let log = open(folder.path());
        assert!(
            log.report().damaged.is_empty(),
            "kill {kill}: {:?}",
            log.report()
        );
        assert!(log.report().missing_segments.is_empty(), "kill {kill}");
        for (writer, saved) in saved.iter().enumerate() {
            let writer = writer as u64;
            let found: Vec<_> = log
                .keys_with_prefix(format!("{writer}/").as_bytes())
                .unwrap()
                .into_iter()
                .map(|(key, _)| {
                    (
                        key.clone(),
                        log.get(&key).unwrap().expect("listed, so there"),
                    )
                })
                .collect();
            let counter = log.get(format!("{writer}/counter").as_bytes()).unwrap();
            let kept =
                counter.map(|bytes| std::str::from_utf8(&bytes).unwrap().parse::<u64>().unwrap());
            assert!(
                kept >= *saved,
                "kill {kill}: saved {saved:?}, kept {kept:?}"
            );
            if let Some(kept) = kept {
                assert!(
                    found == expected(writer, kept),
                    "kill {kill}: not the state of {kept}"
                );
            }
        }
        log.close().unwrap();
    }
    assert!(
        saved.iter().all(|saved| saved.is_some_and(|n| n > 20)),
        "{saved:?}"
    );
}
