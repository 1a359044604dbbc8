//! A log whose files are not what was written: opening it never panics, no value comes out that
//! was not written under its key, and what is appended then is there afterwards. The first byte
//! chooses the file, the second whether the rest is its content or changes of single bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use ajar_crypto::Secret;
use ajar_crypto::vault::SegmentKey;
use ajar_log::{Batch, Log, Options, SealError, Sealer};
use rand_chacha::ChaCha20Rng;

use super::Fate;
use super::world::rng;

/// Seals values as a home does: no input can make a value that opens.
struct Seals {
    key: SegmentKey,
    rng: Mutex<ChaCha20Rng>,
}

impl Seals {
    fn new() -> Self {
        Self {
            key: SegmentKey::new(Secret::new([8; 32])),
            rng: Mutex::new(rng(20)),
        }
    }
}

fn aad(segment: u64, key: &[u8]) -> Vec<u8> {
    [&segment.to_be_bytes(), key].concat()
}

impl Sealer for Seals {
    fn segment_begins(&self, _: u64) -> Result<(), SealError> {
        Ok(())
    }

    fn seal(&self, segment: u64, key: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut rng = self.rng.lock().unwrap();
        let sealed = self.key.seal_record(&aad(segment, key), value, &mut *rng);
        sealed.map_err(|_| SealError::new("no randomness"))
    }

    fn open(&self, segment: u64, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let opened = self.key.open_record(&aad(segment, key), sealed);
        let opened = opened.map_err(|_| SealError::new("does not open"))?;
        Ok(opened.to_vec())
    }

    fn segment_ended(&self, _: u64) -> Result<(), SealError> {
        Ok(())
    }
}

fn open(dir: &Path) -> Result<Log, ajar_log::Error> {
    Options::new()
        .with_segment_bytes(8192)
        .with_salt(3)
        .with_sealer(Arc::new(Seals::new()))
        .open(dir)
}

struct Written {
    /// Every file by its path in the folder.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Every value that was ever written under a key.
    values: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// What there was at the end.
    last: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Three segments, with values that were replaced and deleted.
static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    let mut values: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for n in 0..40_u8 {
        let mut batch = Batch::new();
        for part in 0..=n % 3 {
            let key = [b'k', n % 17, part].to_vec();
            let value = vec![n; 40 + usize::from(n) * 3];
            values.entry(key.clone()).or_default().insert(value.clone());
            batch.put(key, value);
        }
        if n % 7 == 6 {
            batch.delete([b'k', (n + 3) % 17, 0]);
        }
        log.append(batch).unwrap();
    }
    let last = values
        .keys()
        .filter_map(|key| Some((key.clone(), log.get(key).unwrap()?)));
    let last = last.collect();
    log.close().unwrap();
    let mut files = BTreeMap::new();
    collect(folder.path(), Path::new(""), &mut files);
    Written {
        files,
        values,
        last,
    }
});

fn collect(root: &Path, inside: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(root.join(inside)).unwrap() {
        let entry = entry.unwrap();
        let path = inside.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, into);
        } else {
            into.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// Names of the files that may be changed: segments, checkpoint, index.
fn names() -> Vec<&'static PathBuf> {
    let is_data = |path: &&PathBuf| !path.starts_with("lock");
    WRITTEN.files.keys().filter(is_data).collect()
}

/// One file is something else.
pub fn log(input: &[u8]) -> Option<Fate> {
    let ([which, how], rest) = input.split_first_chunk::<2>()?;
    let names = names();
    let name = names[usize::from(*which) % names.len()];
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in &WRITTEN.files {
        let whole = folder.path().join(path);
        std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
        let mut bytes = bytes.clone();
        if path == name {
            match how % 2 {
                0 => bytes = rest.to_vec(),
                _ => edit(&mut bytes, rest),
            }
        }
        std::fs::write(whole, bytes).unwrap();
    }
    // A file that a newer version wrote, or none: an error is an answer.
    let Ok(log) = open(folder.path()) else {
        return Fate::of("file", false);
    };
    only_what_was_written(&log);
    let mut last = WRITTEN.last.iter();
    let whole = last.all(|(key, value)| log.get(key).ok().flatten().as_ref() == Some(value));
    let _ = log.verify();
    let mut batch = Batch::new();
    batch.put("after", "goes on");
    log.append(batch).unwrap();
    assert_eq!(log.get(b"after").unwrap().as_deref(), Some(&b"goes on"[..]));
    let _ = log.reclaim();
    only_what_was_written(&log);
    drop(log);
    let log = open(folder.path()).unwrap();
    assert_eq!(log.get(b"after").unwrap().as_deref(), Some(&b"goes on"[..]));
    only_what_was_written(&log);
    Fate::of("file", whole)
}

fn only_what_was_written(log: &Log) {
    let mut keys: BTreeSet<Vec<u8>> = WRITTEN.values.keys().cloned().collect();
    keys.extend(
        log.keys_with_prefix(b"")
            .unwrap()
            .into_iter()
            .map(|(key, _)| key),
    );
    keys.remove(b"after".as_slice());
    for key in keys {
        if let Ok(Some(value)) = log.get(&key) {
            let known = WRITTEN.values.get(&key);
            assert!(
                known.is_some_and(|values| values.contains(&value)),
                "{key:02x?} has a value that was never written"
            );
        }
    }
}

/// Changes single bytes: three for the place, one for the change.
fn edit(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.chunks_exact(4) {
        let at = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        match bytes.len() {
            0 => {}
            length if at >= length => bytes.truncate(at % length),
            _ => bytes[at] ^= edit[3],
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (which, name) in (0_u8..).zip(names()) {
        let bytes = &WRITTEN.files[name];
        if bytes.len() <= 16 << 10 {
            all.push([&[which, 0], bytes.as_slice()].concat());
        }
        all.push(vec![which, 1]);
        // Within the first records, the headers, and in the middle.
        for at in [20, 4100, 4120, 4130, 5000, 300, bytes.len() / 2] {
            let at = u32::try_from(at).unwrap().to_be_bytes();
            all.push(vec![which, 1, at[1], at[2], at[3], 0x40]);
        }
    }
    all
}
