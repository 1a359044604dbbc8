//! What readers, the committer and the indexer share.

use std::{
    collections::BTreeMap,
    fs::File,
    ops::Bound,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Damage, Error, MAX_KEY_BYTES, MAX_VALUE_BYTES, OpenReport, Position, SEALED_EXTRA, Stats,
    committer::Queue,
    disk::Disk,
    index::Index,
    indexer::Work,
    options::Options,
    record::{self, Item, Loc, Scan},
    report::MAX_LISTED,
    segment::{DATA_START, Segment},
};

/// Takes a lock. Nothing in here leaves shared state half changed, so a panic elsewhere is no
/// reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Newest places of keys; `None` for a deleted one.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Loc>>;

/// What is acknowledged, and which segments exist.
#[derive(Default)]
pub(crate) struct View {
    /// Changes the index does not hold yet.
    pub(crate) fresh: Changes,
    /// Changes the indexer is writing; older than `fresh`.
    pub(crate) frozen: Option<Arc<Changes>>,
    pub(crate) segments: BTreeMap<u64, Entry>,
}

/// A segment and what is known of its contents.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) segment: Arc<Segment>,
    /// Where its records end.
    pub(crate) used: u64,
    /// Bytes of the delete records in it.
    pub(crate) delete_bytes: u64,
    /// Being removed: no live record is in it any more.
    pub(crate) ending: bool,
}

impl Entry {
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            used: DATA_START,
            delete_bytes: 0,
            ending: false,
        }
    }

    pub(crate) fn data_bytes(&self) -> u64 {
        self.used.saturating_sub(DATA_START)
    }
}

impl View {
    /// What the changes say about a key; `None` if only the index knows.
    pub(crate) fn lookup(&self, key: &[u8]) -> Option<Option<Loc>> {
        self.fresh
            .get(key)
            .or_else(|| self.frozen.as_ref()?.get(key))
            .copied()
    }

    /// Up to where the log is acknowledged.
    pub(crate) fn head(&self) -> Position {
        self.segments
            .last_key_value()
            .map(|(number, entry)| Position {
                segment: *number,
                offset: entry.used,
            })
            .unwrap_or_default()
    }
}

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    /// The log's folder.
    pub(crate) root: PathBuf,
    /// The folder of the segments.
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) report: OpenReport,
    pub(crate) view: RwLock<View>,
    pub(crate) queue: Queue,
    pub(crate) index: Index,
    pub(crate) work: Work,
    /// A write was not confirmed: nothing more is accepted.
    pub(crate) stopped: AtomicBool,
    /// The index pointed to something wrong: no checkpoint may vouch for it.
    pub(crate) suspect: AtomicBool,
    pub(crate) reclaiming: Mutex<()>,
    /// Held for as long as the log is open.
    pub(crate) lock_file: Mutex<Option<File>>,
}

impl Shared {
    /// Where the newest record of a key stands.
    pub(crate) fn locate(&self, key: &[u8]) -> Result<Option<Loc>, Error> {
        // Changes leave the view only after the index has them, so this order misses nothing.
        let known = read(&self.view).lookup(key);
        known.map_or_else(|| self.index.locate(key), Ok)
    }

    pub(crate) fn value_of(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(mut loc) = self.locate(key)? else {
            return Ok(None);
        };
        loop {
            match self.read_loc(loc, Some(key)) {
                Ok((_, value)) => return Ok(Some(value)),
                Err(Error::NoRecord { at }) => match self.locate(key)? {
                    None => return Ok(None),
                    Some(again) if again == loc => {
                        self.suspect.store(true, Ordering::Release);
                        return Err(Error::Damaged { at });
                    }
                    // It was replaced or reclaimed in between.
                    Some(again) => loc = again,
                },
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn record_at(&self, at: Position) -> Result<(Vec<u8>, Vec<u8>), Error> {
        self.read_loc(Loc { at, len: 0 }, None)
    }

    /// The record at `loc` (length 0: unknown), opened. `NoRecord` if it is not there, or is not
    /// `key`'s.
    pub(crate) fn read_loc(
        &self,
        loc: Loc,
        key: Option<&[u8]>,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let at = loc.at;
        let known_len = (loc.len > 0).then_some(loc.len);
        let most = record::record_len(MAX_KEY_BYTES, MAX_VALUE_BYTES + SEALED_EXTRA);
        let segment = {
            let view = read(&self.view);
            let entry = view
                .segments
                .get(&at.segment)
                .ok_or(Error::NoRecord { at })?;
            if at.offset >= entry.used || loc.len as usize > most {
                return Err(Error::NoRecord { at });
            }
            Arc::clone(&entry.segment)
        };
        let bytes = segment.read_record(at.offset, known_len)?;
        let head =
            record::decode(&bytes, segment.place, at.offset).ok_or(Error::NoRecord { at })?;
        if head.kind != record::Kind::Put || key.is_some_and(|key| key != head.key) {
            return Err(Error::NoRecord { at });
        }
        let value = head.value(&bytes).ok_or(Error::Damaged { at })?;
        Ok((head.key.to_vec(), self.unseal(at.segment, head.key, value)?))
    }

    pub(crate) fn seal(&self, segment: u64, key: &[u8], value: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some(sealer) = &self.options.sealer else {
            return Ok(value);
        };
        let limit = value.len() + SEALED_EXTRA;
        let sealed = sealer
            .seal(segment, key, &value)
            .map_err(|source| Error::Seal { segment, source })?;
        if sealed.len() > limit {
            Err(Error::ValueTooLarge { len: sealed.len() })
        } else {
            Ok(sealed)
        }
    }

    fn unseal(&self, segment: u64, key: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.options.sealer {
            None => Ok(value.to_vec()),
            Some(sealer) => sealer
                .open(segment, key, value)
                .map_err(|source| Error::Seal { segment, source }),
        }
    }

    pub(crate) fn keys_with_prefix(
        &self,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, Position)>, Error> {
        let mut newer = Changes::new();
        {
            let view = read(&self.view);
            for changes in view.frozen.as_deref().into_iter().chain([&view.fresh]) {
                let from = (Bound::Included(prefix), Bound::Unbounded);
                for (key, loc) in changes.range::<[u8], _>(from) {
                    if !key.starts_with(prefix) {
                        break;
                    }
                    newer.insert(key.clone(), *loc);
                }
            }
        }
        let mut found = self.index.with_prefix(prefix)?;
        if newer.is_empty() {
            return Ok(found);
        }
        found.retain(|(key, _)| !newer.contains_key(key));
        found.extend(
            newer
                .into_iter()
                .filter_map(|(key, loc)| Some((key, loc?.at))),
        );
        found.sort_unstable();
        Ok(found)
    }

    /// As [`Self::keys_with_prefix`], for keys from `from` on that are less than `to`, the first
    /// `most` of them.
    pub(crate) fn keys_between(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Position)>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut newer = Changes::new();
        {
            let view = read(&self.view);
            let range = (Bound::Included(from), Bound::Excluded(to));
            for changes in view.frozen.as_deref().into_iter().chain([&view.fresh]) {
                for (key, loc) in changes.range::<[u8], _>(range) {
                    newer.insert(key.clone(), *loc);
                }
            }
        }
        // So many that `most` are left, whichever of them are deleted by newer ones.
        let mut found = self
            .index
            .between(from, to, most.saturating_add(newer.len()))?;
        found.retain(|(key, _)| !newer.contains_key(key));
        found.extend(
            newer
                .into_iter()
                .filter_map(|(key, loc)| Some((key, loc?.at))),
        );
        found.sort_unstable();
        found.truncate(most);
        Ok(found)
    }

    pub(crate) fn stats(&self) -> Result<Stats, Error> {
        self.work.flush(false)?;
        let view = read(&self.view);
        let data: u64 = view.segments.values().map(Entry::data_bytes).sum();
        let (records, live_bytes) = self.index.live_total();
        Ok(Stats {
            segments: view.segments.len() as u64,
            records,
            live_bytes,
            dead_bytes: data.saturating_sub(live_bytes),
        })
    }

    pub(crate) fn segments(&self) -> Vec<u64> {
        read(&self.view).segments.keys().copied().collect()
    }

    pub(crate) fn verify(&self) -> Result<Vec<Damage>, Error> {
        let entries: Vec<Entry> = read(&self.view).segments.values().cloned().collect();
        let mut damaged = Vec::new();
        for entry in entries {
            let bytes = entry.segment.read_from(DATA_START)?;
            let used = usize::try_from(entry.data_bytes()).unwrap_or(usize::MAX);
            let records = bytes.get(..used).unwrap_or(&bytes);
            let mut scan = Scan::new(records, DATA_START, entry.segment.place);
            for item in scan.by_ref() {
                if damaged.len() < MAX_LISTED
                    && let Some(damage) = damage_of(&entry.segment, &item)
                {
                    damaged.push(damage);
                }
            }
            damaged.extend(gap(&entry.segment, scan.reached(), entry.used));
        }
        Ok(damaged)
    }

    /// Gives up the index and the lock, after both threads have ended.
    pub(crate) fn release(&self) {
        self.index.close();
        lock(&self.lock_file).take();
    }
}

/// The damage an item of a scan shows, if any.
pub(crate) fn damage_of(segment: &Segment, item: &Item<'_>) -> Option<Damage> {
    match item {
        Item::Record { value_ok: true, .. } => None,
        Item::Record { at, head, .. } => Some(Damage {
            at: segment.at(*at),
            len: head.len() as u64,
            key: Some(head.key.to_vec()),
        }),
        Item::Damaged { at, len } => Some(Damage {
            at: segment.at(*at),
            len: *len,
            key: None,
        }),
    }
}

/// The damage of records missing between `found` and `end`.
pub(crate) fn gap(segment: &Segment, found: u64, end: u64) -> Option<Damage> {
    (found < end).then(|| Damage {
        at: segment.at(found),
        len: end - found,
        key: None,
    })
}
