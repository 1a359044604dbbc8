//! How fast 1 KiB records become durable, next to what the disk allows.
//!
//! The file loop is the least any log must do: append to a preallocated file and sync, as many
//! records at once as there are producers. Run with `cargo bench -p ajar-log --bench append`.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use ajar_log::{Batch, Log, Options};

const VALUE: usize = 1024;
const ROUND: Duration = Duration::from_millis(1000);
const ROUNDS: usize = 5;
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Records per second of the bare file loop.
fn file_loop(dir: &Path, producers: usize) -> f64 {
    use std::os::unix::fs::FileExt as _;
    let path = dir.join("bare");
    let options = || {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).read(true).write(true);
        options.open(&path).expect("a file")
    };
    let mut file = options();
    fs4::FileExt::allocate(&file, FILE_BYTES).expect("space");
    file.sync_all().expect("synced");
    let block = vec![0x5a; VALUE * producers];
    let (start, mut records, mut at) = (Instant::now(), 0_u64, 0_u64);
    while start.elapsed() < ROUND {
        if at + block.len() as u64 > FILE_BYTES {
            file = options();
            fs4::FileExt::allocate(&file, FILE_BYTES).expect("space");
            file.sync_all().expect("synced");
            at = 0;
        }
        file.write_all_at(&block, at).expect("written");
        file.sync_data().expect("synced");
        at += block.len() as u64;
        records += producers as u64;
    }
    let rate = records as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).expect("removed");
    rate
}

/// Records per second of the log, each producer waiting for its own before the next.
fn log_loop(dir: &Path, producers: usize) -> f64 {
    let root = dir.join("log");
    let log = Options::new().open(&root).expect("a log");
    // The first segment and the index are made before the clock starts, as for the file.
    log.append(batch(usize::MAX, 0)).expect("saved");
    let start = Instant::now();
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..producers)
            .map(|producer| {
                let log = &log;
                scope.spawn(move || produce(log, producer, start))
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().expect("no panic"))
            .collect()
    });
    let rate = counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64();
    log.close().expect("closed");
    std::fs::remove_dir_all(&root).expect("removed");
    rate
}

fn produce(log: &Log, producer: usize, start: Instant) -> u64 {
    let mut count = 0;
    while start.elapsed() < ROUND {
        log.append(batch(producer, count)).expect("saved");
        count += 1;
    }
    count
}

/// Records per second with one caller that keeps `producers` batches under way by `submit`.
fn submit_loop(dir: &Path, producers: usize) -> f64 {
    let root = dir.join("log");
    let log = Options::new().open(&root).expect("a log");
    log.append(batch(usize::MAX, 0)).expect("saved");
    let (tell, told) = std::sync::mpsc::sync_channel(producers);
    let (start, mut sent, mut done) = (Instant::now(), 0_u64, 0_u64);
    while start.elapsed() < ROUND {
        while sent - done < producers as u64 {
            let tell = tell.clone();
            log.submit(batch(0, sent), move |result| {
                result.expect("saved");
                tell.send(()).expect("somebody listens");
            })
            .expect("queued");
            sent += 1;
        }
        told.recv().expect("answered");
        done += 1;
        while told.try_recv().is_ok() {
            done += 1;
        }
    }
    let rate = done as f64 / start.elapsed().as_secs_f64();
    while done < sent {
        told.recv().expect("answered");
        done += 1;
    }
    log.close().expect("closed");
    std::fs::remove_dir_all(&root).expect("removed");
    rate
}

fn batch(producer: usize, count: u64) -> Batch {
    let mut batch = Batch::new();
    let mut key = Vec::with_capacity(32);
    key.extend_from_slice(&(producer as u64).to_be_bytes());
    key.extend_from_slice(&[7; 16]);
    key.extend_from_slice(&count.to_be_bytes());
    batch.put(key, vec![0x5a; VALUE]);
    batch
}

fn main() {
    let dir = std::env::var_os("AJAR_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(dir).expect("a folder");
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "producers   file loop/s   log/s (ratio)     submit/s (ratio)"
    )
    .expect("stdout");
    for producers in [1, 16, 256] {
        // Five rounds in turn, the middle one of each: the disk's mood changes by the second.
        let loops: [fn(&Path, usize) -> f64; 3] = [file_loop, log_loop, submit_loop];
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (rates, run) in rates.iter_mut().zip(loops) {
                rates.push(run(dir.path(), producers));
            }
        }
        let [file, log, submit] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates.get(ROUNDS / 2).copied().unwrap_or_default()
        });
        writeln!(
            out,
            "{producers:>9} {file:>13.0} {log:>9.0} ({:.2}) {submit:>13.0} ({:.2})",
            log / file,
            submit / file
        )
        .expect("stdout");
    }
}
