//! Stories of Ana's and Ben's records on a disk that fails.

mod damage;
mod disk_full;
mod everyday;
mod faulty_disk;
mod index_lost;
mod power;
mod reclaiming;
mod sealing;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::{Batch, Log, Options};
use faulty_disk::FaultyDisk;

/// What a log should hold.
type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

fn delete(key: &str) -> Batch {
    let mut batch = Batch::new();
    batch.delete(key);
    batch
}

/// Options with the smallest segments.
fn small() -> Options {
    Options::new().with_segment_bytes(8192).with_salt(0x5eed)
}

fn open_on(disk: &FaultyDisk, root: &Path) -> Log {
    small()
        .open_on(root, Arc::new(disk.clone()))
        .expect("the log opens")
}

/// Everything in the log, read through every way in.
fn contents(log: &Log) -> State {
    let mut state = State::new();
    let keys = log.keys_with_prefix(b"").expect("the index works");
    assert!(
        keys.is_sorted_by(|a, b| a.0 < b.0),
        "keys come sorted, each once"
    );
    for (key, at) in keys {
        let value = log.get(&key).expect("readable").expect("listed, so there");
        assert!(log.contains(&key).expect("the index works"));
        assert_eq!(log.position(&key).expect("the index works"), Some(at));
        assert_eq!(
            log.read_at(at).expect("readable"),
            (key.clone(), value.clone())
        );
        state.insert(key, value);
    }
    state
}

fn state(pairs: &[(&str, &str)]) -> State {
    pairs
        .iter()
        .map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()))
        .collect()
}

/// A small repeatable source of randomness.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
