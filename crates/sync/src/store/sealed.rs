//! The sealed store: records in the log under their segment's own key, which lies in the key
//! file; names in the index are MACs. Losing the key of a segment erases the segment.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ajar_crypto::vault::SegmentKey;
use ajar_engine::store::{Batch, Key, Marker, Store, StoreError};
use ajar_log::{Log, SealError, Sealer};
use ajar_protocol::DeviceId;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::Error;
use crate::home::KeyFile;

/// Segments of a journal for two are small, so that a key can erase little.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Version of how records are sealed, part of their AAD.
const SCHEMA: u8 = 1;

/// Seals the segments of one space.
struct Segments {
    keys: Arc<KeyFile>,
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
            .map_err(|error| SealError::new(&error.to_string()))
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
    marker: PathBuf,
    marker_file: Option<File>,
}

impl SealedStore {
    /// Opens or creates the store in `dir`.
    pub(crate) fn open(dir: &Path, keys: Arc<KeyFile>) -> Result<Self, Error> {
        let log = ajar_log::Options::new()
            .with_segment_bytes(SEGMENT_BYTES)
            .with_sealer(Arc::new(Segments {
                keys: Arc::clone(&keys),
            }))
            .open(dir)
            .map_err(open_error)?;
        Ok(Self {
            log,
            keys,
            marker: dir.join("applying"),
            marker_file: None,
        })
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

fn open_error(error: ajar_log::Error) -> Error {
    match error {
        ajar_log::Error::Locked { .. } => Error::InUse { pid: None },
        ajar_log::Error::DiskFull => Error::DiskFull,
        other => Error::Store(other.to_string()),
    }
}

fn store_error(error: ajar_log::Error) -> StoreError {
    match error {
        ajar_log::Error::DiskFull => StoreError::DiskFull,
        ajar_log::Error::Damaged { .. } => StoreError::Damaged(error.to_string()),
        other => StoreError::Broken(other.to_string()),
    }
}

impl Store for SealedStore {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.log.get(&self.name(key)).map_err(store_error)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = ajar_log::Batch::new();
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => writes.put(self.name(&key), value),
                None => writes.delete(self.name(&key)),
            }
        }
        self.log.append(writes).map_err(store_error)
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
        self.write_marker(&content)
            .map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => StoreError::DiskFull,
                _ => StoreError::Broken(error.to_string()),
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
