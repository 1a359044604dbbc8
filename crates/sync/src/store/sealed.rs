//! The sealed store: records in the log under their segment's own key, which lies in the key
//! file; names in the index are MACs. Losing the key of a segment erases the segment.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ajar_crypto::vault::SegmentKey;
use ajar_engine::store::{Batch, Key, Marker, Store, StoreError};
use ajar_log::{Log, SealError, Sealer};
use ajar_protocol::DeviceId;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::{Error, is_full};
use crate::home::KeyFile;

/// Segments of a journal for two are small, so that a key can erase little.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Version of how records are sealed, part of their AAD.
const SCHEMA: u8 = 1;

/// Seals the segments of one space.
struct Segments {
    keys: Arc<KeyFile>,
    /// Set when the key file could not be written for lack of space: the log passes on words
    /// only.
    full: Arc<AtomicBool>,
}

impl Segments {
    fn key(&self, segment: u64) -> Result<SegmentKey, SealError> {
        self.keys
            .read(|keys| keys.segments.get(&segment).cloned())
            .ok_or_else(|| SealError::new("the key of this part of the journal is gone"))
    }
}

fn aad(segment: u64, name: &[u8]) -> Vec<u8> {
    let mut aad = vec![SCHEMA];
    aad.extend_from_slice(&segment.to_be_bytes());
    aad.extend_from_slice(name);
    aad
}

impl Sealer for Segments {
    fn segment_begins(&self, segment: u64) -> Result<(), SealError> {
        let key = SegmentKey::random(&mut clock::entropy())
            .map_err(|_| SealError::new("no randomness"))?;
        self.keys
            .update(|keys| keys.segments.entry(segment).or_insert(key).clone())
            .map(drop)
            .map_err(|error| {
                self.full
                    .store(matches!(error, Error::DiskFull), Ordering::Release);
                SealError::new(&error.to_string())
            })
    }

    fn seal(&self, segment: u64, name: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError> {
        self.key(segment)?
            .seal_record(&aad(segment, name), value, &mut clock::entropy())
            .map_err(|_| SealError::new("no randomness"))
    }

    fn open(&self, segment: u64, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.key(segment)?
            .open_record(&aad(segment, name), sealed)
            .map(|value| value.to_vec())
            .map_err(|_| SealError::new("a record does not open"))
    }

    fn segment_ended(&self, segment: u64) -> Result<(), SealError> {
        if self.keys.read(|keys| !keys.segments.contains_key(&segment)) {
            return Ok(());
        }
        self.keys
            .update(|keys| keys.segments.remove(&segment).is_some())
            .map(drop)
            .map_err(|error| SealError::new(&error.to_string()))
    }
}

/// The store of one space.
pub(crate) struct SealedStore {
    log: Log,
    keys: Arc<KeyFile>,
    full: Arc<AtomicBool>,
    marker: PathBuf,
    marker_file: Option<File>,
}

/// Dead bytes from which on it is worth writing the live ones of a segment again.
const RECLAIM_FROM: u64 = SEGMENT_BYTES;

impl SealedStore {
    /// Opens or creates the store in `dir`.
    pub(crate) fn open(dir: &Path, keys: Arc<KeyFile>) -> Result<Self, Error> {
        let full = Arc::new(AtomicBool::new(false));
        let log = ajar_log::Options::new()
            .with_segment_bytes(SEGMENT_BYTES)
            .with_sealer(Arc::new(Segments {
                keys: Arc::clone(&keys),
                full: Arc::clone(&full),
            }))
            .open(dir)
            .map_err(|error| open_error(error, full.swap(false, Ordering::AcqRel)))?;
        destroy_stale_keys(&log, &keys);
        Ok(Self {
            log,
            keys,
            full,
            marker: dir.join("applying"),
            marker_file: None,
        })
    }

    /// The same store once more, for a replica that takes the place of one that failed.
    pub(crate) fn again(&self) -> Self {
        Self {
            log: self.log.clone(),
            keys: Arc::clone(&self.keys),
            full: Arc::clone(&self.full),
            marker: self.marker.clone(),
            marker_file: None,
        }
    }

    /// The directory of the store.
    pub(crate) fn dir(&self) -> &Path {
        self.marker.parent().unwrap_or(&self.marker)
    }

    /// Gives the space of dead records back when there are more of them than of live ones.
    /// Their segments' keys are destroyed with them.
    pub(crate) fn tidy(&self) {
        let worth = |stats: ajar_log::Stats| {
            stats.dead_bytes > stats.live_bytes && stats.dead_bytes > RECLAIM_FROM
        };
        let tidied = self.log.stats().and_then(|stats| {
            if worth(stats) {
                self.log.reclaim().map(drop)
            } else {
                Ok(())
            }
        });
        if tidied.is_err() {
            // Nothing depends on it; the next time is as good.
            tracing::warn!("the space of old records could not be given back");
        }
    }

    /// Makes every deleted and replaced record unreadable: segments that hold any are written
    /// again without them, and their keys destroyed.
    pub(crate) fn scrub(&self) -> Result<(), Error> {
        let scrubbed = self.log.erase_dead();
        scrubbed.map(drop).map_err(|error| open_error(error, false))
    }

    /// The log underneath, for checking it.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    fn name(&self, key: &Key) -> [u8; 32] {
        self.keys.local().name(&key.to_bytes())
    }

    fn write_marker(&mut self, content: &[u8]) -> io::Result<()> {
        if self.marker_file.is_none() {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&self.marker)?;
            self.marker_file = Some(file);
        }
        match &self.marker_file {
            Some(file) => file.write_all_at(content, 0),
            None => Ok(()),
        }
    }
}

/// Destroys the keys of segments that are gone: the death between removing a segment and
/// destroying its key leaves one. A segment that is missing against the log's own record may
/// come back from a backup, so its key stays.
fn destroy_stale_keys(log: &Log, keys: &KeyFile) {
    let (there, missing) = (log.segments(), &log.report().missing_segments);
    let Some(last) = there.last() else { return };
    let stale =
        |segment: &u64| segment < last && !there.contains(segment) && !missing.contains(segment);
    if keys.read(|keys| !keys.segments.keys().any(stale)) {
        return;
    }
    let destroyed = keys.update(|keys| keys.segments.retain(|segment, _| !stale(segment)));
    if destroyed.is_err() {
        // Opening goes on; the next opening tries again.
        tracing::warn!("keys of removed parts of the journal could not be destroyed");
    }
}

fn open_error(error: ajar_log::Error, full: bool) -> Error {
    match error {
        ajar_log::Error::Locked { .. } => Error::InUse { pid: None },
        ajar_log::Error::DiskFull => Error::DiskFull,
        ajar_log::Error::Seal { .. } if full => Error::DiskFull,
        other => Error::Store(other.to_string()),
    }
}

fn read_error(error: ajar_log::Error) -> StoreError {
    match error {
        ajar_log::Error::Damaged { .. } | ajar_log::Error::Seal { .. } => {
            StoreError::Damaged(error.to_string())
        }
        other => StoreError::Broken(other.to_string()),
    }
}

/// `full`: the key of a new segment found no space. Nothing was kept then, and later batches
/// may succeed.
fn write_error(error: ajar_log::Error, full: bool) -> StoreError {
    match error {
        ajar_log::Error::DiskFull => StoreError::DiskFull,
        ajar_log::Error::Seal { .. } if full => StoreError::DiskFull,
        other => StoreError::Broken(other.to_string()),
    }
}

impl Store for SealedStore {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.log.get(&self.name(key)).map_err(read_error)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = ajar_log::Batch::new();
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => writes.put(self.name(&key), value),
                None => writes.delete(self.name(&key)),
            }
        }
        self.log
            .append(writes)
            .map_err(|error| write_error(error, self.full.swap(false, Ordering::AcqRel)))
    }

    fn save_keys(&mut self, ring: &Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.keys
            .update(|keys| keys.ring = ring.clone())
            .map_err(|error| match error {
                Error::DiskFull => StoreError::DiskFull,
                other => StoreError::Broken(other.to_string()),
            })
    }

    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self
            .keys
            .read(|keys| (!keys.ring.is_empty()).then(|| keys.ring.clone())))
    }

    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError> {
        let mut content = [0u8; 41];
        if let Some((marker, attempt)) = marker {
            let fields = [
                &[attempt][..],
                &marker.counter.to_be_bytes(),
                &marker.device.0,
            ]
            .concat();
            for (place, byte) in content.iter_mut().zip(fields) {
                *place = byte;
            }
        }
        self.write_marker(&content).map_err(|error| {
            if is_full(&error) {
                StoreError::DiskFull
            } else {
                StoreError::Broken(error.to_string())
            }
        })
    }

    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError> {
        let content = match std::fs::read(&self.marker) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Broken(error.to_string())),
        };
        let mut reader = ajar_protocol::codec::Reader::new(&content, "marker");
        let fields = (reader.u8(), reader.u64(), reader.array());
        // A marker that was cut short was never followed by a death while applying.
        let (Ok(attempt @ 1..), Ok(counter), Ok(device)) = fields else {
            return Ok(None);
        };
        Ok(Some((
            Marker {
                device: DeviceId(device),
                counter,
            },
            attempt,
        )))
    }
}

#[cfg(test)]
mod tests {
    use ajar_crypto::Secret;
    use ajar_crypto::vault::{LocalKeys, WhichSpace};

    use super::*;
    use crate::home::Keys;

    fn key_file(dir: &Path) -> Arc<KeyFile> {
        let (path, local) = (dir.join("keys"), LocalKeys::derive(&Secret::new([7; 32])));
        let which = WhichSpace::Private;
        Arc::new(KeyFile::create(path, which, local, Keys::default()).unwrap())
    }

    fn put(store: &mut SealedStore, name: &str, value: Vec<u8>) {
        let mut batch = Batch::default();
        batch.put(Key::Local(name.to_owned()), value);
        store.commit(batch).unwrap();
    }

    fn keyed(keys: &KeyFile) -> Vec<u64> {
        keys.read(|keys| keys.segments.keys().copied().collect())
    }

    /// Threat 105: what was replaced is gone with the key of its segment.
    #[test]
    fn the_key_of_a_segment_goes_with_it_also_after_a_death_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let keys = key_file(dir.path());
        let mut store = SealedStore::open(&dir.path().join("s"), Arc::clone(&keys)).unwrap();
        for number in 0..24 {
            put(&mut store, "draft", vec![number; 1 << 20]);
        }
        let before = keyed(&keys);
        store.tidy();
        let after = keyed(&keys);
        assert!(after.len() + 2 < before.len(), "{before:?} {after:?}");
        assert_eq!(after, store.log.segments());
        drop(store);
        // Died after removing the file and before destroying the key.
        let gone = before[0];
        let key = SegmentKey::random(&mut clock::entropy()).unwrap();
        keys.update(|keys| keys.segments.insert(gone, key)).unwrap();
        let mut store = SealedStore::open(&dir.path().join("s"), Arc::clone(&keys)).unwrap();
        assert_eq!(keyed(&keys), after);
        let draft = store.load(&Key::Local("draft".to_owned())).unwrap();
        assert_eq!(draft, Some(vec![23; 1 << 20]));
    }

    #[test]
    fn a_little_garbage_is_left_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let keys = key_file(dir.path());
        let mut store = SealedStore::open(&dir.path().join("s"), Arc::clone(&keys)).unwrap();
        for number in 0..100 {
            put(&mut store, "draft", vec![number; 100]);
        }
        let before = store.log.stats().unwrap();
        store.tidy();
        assert_eq!(store.log.stats().unwrap(), before);
        assert!(before.dead_bytes > before.live_bytes);
    }

    /// The space for the key of a new segment may be what is lacking.
    #[test]
    fn no_space_for_a_key_is_no_space_and_not_a_broken_store() {
        let failed = || ajar_log::Error::Seal {
            segment: 3,
            source: SealError::new("words"),
        };
        assert_eq!(write_error(failed(), true), StoreError::DiskFull);
        let broken = write_error(failed(), false);
        assert!(matches!(broken, StoreError::Broken(_)));
        assert!(matches!(open_error(failed(), true), Error::DiskFull));
        assert!(matches!(read_error(failed()), StoreError::Damaged(_)));
    }

    #[test]
    fn a_record_under_a_lost_key_is_damage_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let keys = key_file(dir.path());
        let mut store = SealedStore::open(&dir.path().join("s"), Arc::clone(&keys)).unwrap();
        put(&mut store, "draft", vec![1; 100]);
        keys.update(|keys| keys.segments.clear()).unwrap();
        let read = store.load(&Key::Local("draft".to_owned()));
        assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    }

    #[test]
    fn what_was_being_applied_is_known_after_a_death() {
        let dir = tempfile::tempdir().unwrap();
        let keys = key_file(dir.path());
        let path = dir.path().join("s");
        let marker = Marker {
            device: DeviceId([3; 32]),
            counter: u64::MAX,
        };
        let mut store = SealedStore::open(&path, Arc::clone(&keys)).unwrap();
        assert_eq!(store.marked().unwrap(), None);
        store.mark(Some((marker, 2))).unwrap();
        // A replica that takes the place of a panicked one sees it too.
        assert_eq!(store.again().marked().unwrap(), Some((marker, 2)));
        drop(store);
        let mut store = SealedStore::open(&path, keys).unwrap();
        assert_eq!(store.marked().unwrap(), Some((marker, 2)));
        store.mark(None).unwrap();
        assert_eq!(store.marked().unwrap(), None);
        // Cut short by a death of the machine.
        for length in 0..41 {
            std::fs::write(path.join("applying"), vec![1; length]).unwrap();
            assert_eq!(store.marked().unwrap(), None, "{length}");
        }
    }
}
