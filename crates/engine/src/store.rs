//! Storage as a synchronous argument. What a batch holds is there as a whole or not at all,
//! and it is durable when [`Store::commit`] returns.

use std::collections::BTreeMap;

use ajar_protocol::{DeviceId, DocId, PartyId};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why the store failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// No space left; nothing of the batch was kept, and later ones may succeed.
    #[error("the disk is full: nothing was lost, but nothing new can be kept until there is space")]
    DiskFull,
    /// Reading or writing failed and it is unknown what reached the disk: open again.
    #[error("the disk failed while writing ({0}); open the home again, then run `ajar doctor`")]
    Broken(String),
    /// A record does not open or does not match its checksum.
    #[error("a record in the store is damaged ({0}); run `ajar doctor`")]
    Damaged(String),
}

/// Names of records within the store of one space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Signed genesis of the space.
    Genesis,
    /// Slowly changing state: chain lengths, epochs, permits.
    Meta,
    /// Frontier and what goes with it.
    Frontier,
    /// Notices that were not dismissed.
    Notices,
    /// A link of a party chain.
    Link(PartyId, u64),
    /// An envelope as received or sent.
    Envelope(DeviceId, u64),
    /// A page of the directory of documents: ids in order of arrival.
    DocPage(u32),
    /// A document, compacted: generation.
    DocBase(DocId, u32),
    /// Changes of a document since its base: generation, number.
    DocChunk(DocId, u32, u32),
    /// Two signed statements that contradict each other.
    Evidence(u32),
    /// Local data of the application that is never synced.
    Local(String),
    /// What was given up, what snapshots there are, what is being burned.
    Folded,
    /// The last snapshot that was made, checked or begun from.
    Base,
    /// Documents that were burned.
    Burned,
    /// Documents in a pack of a snapshot, by the number of the pack here.
    PackDocs(u32),
    /// What is known of a document without loading it.
    DocRow(DocId),
    /// Which page of the table holds what; there is no table without it.
    TableIndex,
    /// A page of the table.
    TablePage(u32),
}

impl Key {
    /// Unambiguous bytes of the name.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        match self {
            Self::Genesis => out.push(1),
            Self::Meta => out.push(2),
            Self::Frontier => out.push(3),
            Self::Notices => out.push(4),
            Self::Link(party, seq) => {
                out.push(5);
                out.extend_from_slice(&party.0);
                out.extend_from_slice(&seq.to_be_bytes());
            }
            Self::Envelope(device, counter) => {
                out.push(6);
                out.extend_from_slice(&device.0);
                out.extend_from_slice(&counter.to_be_bytes());
            }
            Self::DocPage(page) => {
                out.push(7);
                out.extend_from_slice(&page.to_be_bytes());
            }
            Self::DocBase(doc, generation) => {
                out.push(8);
                out.extend_from_slice(&doc.0);
                out.extend_from_slice(&generation.to_be_bytes());
            }
            Self::DocChunk(doc, generation, number) => {
                out.push(9);
                out.extend_from_slice(&doc.0);
                out.extend_from_slice(&generation.to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Evidence(number) => {
                out.push(10);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Folded => out.push(20),
            Self::Base => out.push(21),
            Self::Burned => out.push(22),
            Self::PackDocs(number) => {
                out.push(23);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Local(name) => {
                out.push(11);
                out.extend_from_slice(name.as_bytes());
            }
            Self::DocRow(doc) => {
                out.push(12);
                out.extend_from_slice(&doc.0);
            }
            Self::TableIndex => out.push(13),
            Self::TablePage(page) => {
                out.push(14);
                out.extend_from_slice(&page.to_be_bytes());
            }
        }
        out
    }
}

/// Writes that happen together; `None` deletes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    writes: BTreeMap<Key, Option<Vec<u8>>>,
}

impl Batch {
    /// Writes a record; the last write of a key counts.
    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.writes.insert(key, Some(value));
    }

    /// Deletes a record.
    pub fn delete(&mut self, key: Key) {
        self.writes.insert(key, None);
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Bytes of all values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.writes.values().flatten().map(Vec::len).sum()
    }

    /// What this batch would leave under `key`: `None` when it does not touch it.
    #[must_use]
    pub fn pending(&self, key: &Key) -> Option<Option<&Vec<u8>>> {
        self.writes.get(key).map(Option::as_ref)
    }

    /// The writes, by key.
    pub fn into_writes(self) -> impl Iterator<Item = (Key, Option<Vec<u8>>)> {
        self.writes.into_iter()
    }
}

/// An envelope that is being applied: if the process dies while it is marked, twice, the
/// envelope is quarantined (§2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its author.
    pub device: DeviceId,
    /// Its counter.
    pub counter: u64,
}

/// Storage of one space of one home.
pub trait Store: Send {
    /// Reads a record.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes a batch, all or none, durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::DiskFull`] nothing of the batch is there.
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// Replaces the key ring, durable on return. It must never lie where deleted data stays.
    ///
    /// # Errors
    /// [`StoreError`].
    fn save_keys(&mut self, keys: &Zeroizing<Vec<u8>>) -> Result<(), StoreError>;

    /// Reads the key ring.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Notes what is being applied, and the how-manieth attempt it is. Needs to survive the
    /// death of the process, not of the machine, so it may be cheap.
    ///
    /// # Errors
    /// [`StoreError`].
    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError>;

    /// What was last marked and not cleared.
    ///
    /// # Errors
    /// [`StoreError`].
    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError>;
}

/// A store in memory, for tests and simulations. Clones share their content, so that a
/// replica can be dropped and opened again.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    inner: std::sync::Arc<std::sync::Mutex<MemoryInner>>,
}

#[derive(Debug, Default)]
struct MemoryInner {
    records: BTreeMap<Key, Vec<u8>>,
    keys: Option<Zeroizing<Vec<u8>>>,
    marker: Option<(Marker, u8)>,
    fail_next: Option<StoreError>,
    commits: u64,
}

impl MemoryStore {
    fn inner(&self) -> std::sync::MutexGuard<'_, MemoryInner> {
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets the next commit fail.
    pub fn fail_next_commit(&self, error: StoreError) {
        self.inner().fail_next = Some(error);
    }

    /// Number of commits so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner().commits
    }

    /// A copy that shares nothing, as a backup of the home would be.
    #[must_use]
    pub fn copied(&self) -> Self {
        let inner = self.inner();
        let copy = MemoryInner {
            records: inner.records.clone(),
            keys: inner.keys.clone(),
            marker: inner.marker,
            fail_next: None,
            commits: inner.commits,
        };
        Self {
            inner: std::sync::Arc::new(std::sync::Mutex::new(copy)),
        }
    }
}

impl Store for MemoryStore {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner().records.get(key).cloned())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if let Some(error) = inner.fail_next.take() {
            return Err(error);
        }
        inner.commits += 1;
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => inner.records.insert(key, value),
                None => inner.records.remove(&key),
            };
        }
        Ok(())
    }

    fn save_keys(&mut self, keys: &Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.inner().keys = Some(keys.clone());
        Ok(())
    }

    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.inner().keys.clone())
    }

    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError> {
        self.inner().marker = marker;
        Ok(())
    }

    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError> {
        Ok(self.inner().marker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_have_the_same_bytes() {
        let (device, party, doc) = (DeviceId([1; 32]), PartyId([1; 32]), DocId([1; 16]));
        let keys = [
            Key::Genesis,
            Key::Meta,
            Key::Frontier,
            Key::Notices,
            Key::Link(party, 1),
            Key::Link(party, 256),
            Key::Envelope(device, 1),
            Key::DocPage(1),
            Key::DocBase(doc, 1),
            Key::DocChunk(doc, 1, 2),
            Key::DocChunk(doc, 2, 1),
            Key::Evidence(1),
            Key::Folded,
            Key::Base,
            Key::Burned,
            Key::PackDocs(1),
            Key::DocRow(doc),
            Key::TableIndex,
            Key::TablePage(1),
            Key::Local(String::new()),
            Key::Local("drafts".to_owned()),
        ];
        let mut names: Vec<Vec<u8>> = keys.iter().map(Key::to_bytes).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), keys.len());
    }

    #[test]
    fn a_batch_is_there_as_a_whole_or_not_at_all() {
        let mut store = MemoryStore::default();
        let mut batch = Batch::default();
        batch.put(Key::Meta, vec![1]);
        batch.put(Key::Genesis, vec![2, 3]);
        assert_eq!(batch.bytes(), 3);
        store.fail_next_commit(StoreError::DiskFull);
        assert_eq!(store.commit(batch.clone()), Err(StoreError::DiskFull));
        assert_eq!(store.load(&Key::Meta), Ok(None));
        store.commit(batch).unwrap();
        let copy = store.copied();
        let mut batch = Batch::default();
        batch.delete(Key::Meta);
        assert_eq!(batch.pending(&Key::Meta), Some(None));
        assert_eq!(batch.pending(&Key::Genesis), None);
        store.commit(batch).unwrap();
        assert_eq!(store.load(&Key::Meta), Ok(None));
        assert_eq!(copy.clone().load(&Key::Meta), Ok(Some(vec![1])));
        assert_eq!((store.commits(), copy.commits()), (2, 1));
    }
}
