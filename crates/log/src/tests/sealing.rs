//! Values are sealed per segment, in the right order of key and file.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{FaultyDisk, contents, delete, put, small};
use crate::{Error, Log, SealError, Sealer, shared::lock};

/// Seals by adding a byte per segment and a check of segment and key; notes every call.
#[derive(Default)]
struct Locksmith {
    /// Byte of each segment's key.
    keys: Mutex<BTreeMap<u64, u8>>,
    calls: Mutex<Vec<String>>,
    refuse: Mutex<Option<&'static str>>,
}

impl Locksmith {
    fn called(&self, what: &str, segment: u64) -> Result<(), SealError> {
        lock(&self.calls).push(format!("{what} {segment}"));
        if *lock(&self.refuse) == Some(what) {
            return Err(SealError::new("the key file cannot be written"));
        }
        Ok(())
    }

    fn key(&self, segment: u64) -> Result<u8, SealError> {
        lock(&self.keys)
            .get(&segment)
            .copied()
            .ok_or_else(|| SealError::new("no such key"))
    }
}

fn check_of(segment: u64, key: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(key), &segment.to_le_bytes()).to_le_bytes()
}

impl Sealer for Locksmith {
    fn segment_begins(&self, segment: u64) -> Result<(), SealError> {
        self.called("begins", segment)?;
        let byte = u8::try_from(segment % 200).unwrap() + 50;
        lock(&self.keys).insert(segment, byte);
        Ok(())
    }

    fn seal(&self, segment: u64, key: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError> {
        self.called("seal", segment)?;
        let byte = self.key(segment)?;
        let sealed = value.iter().map(|b| b.wrapping_add(byte));
        Ok(check_of(segment, key).into_iter().chain(sealed).collect())
    }

    fn open(&self, segment: u64, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let byte = self.key(segment)?;
        let (check, sealed) = sealed.split_at(4);
        if check != check_of(segment, key) {
            return Err(SealError::new("not sealed for this place"));
        }
        Ok(sealed.iter().map(|b| b.wrapping_sub(byte)).collect())
    }

    fn segment_ended(&self, segment: u64) -> Result<(), SealError> {
        self.called("ended", segment)?;
        lock(&self.keys).remove(&segment);
        Ok(())
    }
}

fn open(disk: &FaultyDisk, root: &std::path::Path, smith: &Arc<Locksmith>) -> Log {
    let sealer = Arc::<Locksmith>::clone(smith);
    small()
        .with_sealer(sealer)
        .open_on(root, Arc::new(disk.clone()))
        .unwrap()
}

#[test]
fn a_key_is_there_before_the_first_record_and_goes_after_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let smith = Arc::new(Locksmith::default());
    let log = open(&disk, folder.path(), &smith);
    assert!(lock(&smith.calls).is_empty(), "no segment without a record");
    for n in 0..40 {
        log.append(put(
            &format!("{}", n % 3),
            &format!("in clear {n} {}", "x".repeat(500)),
        ))
        .unwrap();
    }
    let expected = contents(&log);
    let segments = log.segments();
    assert!(segments.len() > 4);
    {
        let calls = lock(&smith.calls);
        for segment in &segments {
            let first_seal = calls.iter().position(|c| *c == format!("seal {segment}"));
            let begin = calls.iter().position(|c| *c == format!("begins {segment}"));
            assert!(begin.is_some() && begin < first_seal);
        }
    }
    for file in disk.files() {
        disk.edit(&file, |bytes| {
            assert!(
                !bytes.windows(8).any(|window| window == b"in clear"),
                "{}",
                file.display()
            );
        });
    }
    log.reclaim().unwrap();
    let kept = log.segments();
    assert!(kept.len() < segments.len());
    let known: Vec<u64> = lock(&smith.keys).keys().copied().collect();
    assert_eq!(known, kept, "exactly the segments that exist have a key");
    assert_eq!(
        contents(&log),
        expected,
        "moved values are sealed again, for their new segment"
    );
    drop(log);
    let begun = lock(&smith.calls).len();
    let log = open(&disk, folder.path(), &smith);
    assert_eq!(contents(&log), expected);
    assert_eq!(lock(&smith.calls).len(), begun, "opening needs no new key");
}

#[test]
fn a_sealer_that_refuses_fails_the_batch_alone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let smith = Arc::new(Locksmith::default());
    let log = open(&disk, folder.path(), &smith);
    *lock(&smith.refuse) = Some("begins");
    let refused = log.append(put("a", "1"));
    assert!(
        matches!(refused, Err(Error::Seal { segment: 1, .. })),
        "{refused:?}"
    );
    assert!(log.segments().is_empty(), "no segment without its key");
    *lock(&smith.refuse) = None;
    log.append(put("a", "1")).unwrap();
    *lock(&smith.refuse) = Some("seal");
    assert!(matches!(log.append(put("b", "2")), Err(Error::Seal { .. })));
    log.append(delete("a")).unwrap();
    *lock(&smith.refuse) = None;
    log.append(put("c", "3")).unwrap();
    assert_eq!(contents(&log), super::state(&[("c", "3")]));
}

#[test]
fn a_removal_that_was_interrupted_is_finished_and_its_key_destroyed() {
    // The power fails at every step of reclaiming in turn.
    for step in 1..40 {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let smith = Arc::new(Locksmith::default());
        let log = open(&disk, folder.path(), &smith);
        for n in 0..8 {
            log.append(put(
                &format!("{}", n % 2),
                &format!("{n} {}", "x".repeat(1000)),
            ))
            .unwrap();
        }
        let expected = contents(&log);
        let keys_then = Arc::new(Mutex::new(None));
        let (smith_then, keys) = (Arc::clone(&smith), Arc::clone(&keys_then));
        disk.fail_power_at(step, move || {
            *lock(&keys) = Some(lock(&smith_then.keys).clone());
        });
        log.reclaim().unwrap();
        drop(log);
        let Some(after) = disk.after_power_failure(&mut super::Dice(step)) else {
            continue;
        };
        // The keys are durable as of that moment.
        *lock(&smith.keys) = lock(&keys_then).take().unwrap();
        let log = open(&after, folder.path(), &smith);
        assert_eq!(contents(&log), expected, "step {step}");
        assert!(log.report().missing_segments.is_empty(), "step {step}");
        let known: Vec<u64> = lock(&smith.keys).keys().copied().collect();
        let exist = log.segments();
        assert!(
            exist.iter().all(|segment| known.contains(segment)),
            "step {step}"
        );
        let newest = exist.last().copied().unwrap_or(0);
        let stale: Vec<_> = known
            .iter()
            .filter(|key| **key < newest && !exist.contains(key))
            .collect();
        assert!(
            stale.is_empty(),
            "step {step}: the keys of {stale:?} outlived their files"
        );
    }
}
