//! The index: one sled tree from a key to the place of its newest record.
//!
//! sled does not sync its files, can panic, and can come back from a power failure with a part of
//! what it had. So it is called behind `catch_unwind`, its files are synced here, and it carries
//! the count and a sum over all its entries, changed together with them: an index whose entries
//! do not add up is thrown away.
//!
//! Entries: `k` ‖ key → segment, offset, length. `m` → up to where, count, sum.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, RwLock},
};

use crate::{
    Error, Position,
    disk::private_dir,
    record::Loc,
    shared::{Changes, lock, read, write},
};

const META: &[u8] = b"m";
const KEY: u8 = b'k';
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Entries changed in one sled batch.
const CHUNK: usize = 1024;

/// Count and size of the live records in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// What the index says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Meta {
    upto: Position,
    count: u64,
    sum: u64,
}

struct Inside {
    meta: Meta,
    live: BTreeMap<u64, Live>,
}

pub(crate) struct Index {
    generation: u64,
    dir: PathBuf,
    db: RwLock<Option<sled::Db>>,
    /// Changed by one thread at a time: recovery, later the indexer.
    inside: Mutex<Inside>,
}

impl Index {
    /// A new, empty index of this generation. What other generations left is removed.
    pub(crate) fn create(parent: &Path, generation: u64) -> Result<Self, Error> {
        for entry in fs::read_dir(parent)
            .map_err(Error::io("list the index folder"))?
            .flatten()
        {
            // What cannot be removed takes space but is never opened: its number is used up.
            let _ = fs::remove_dir_all(entry.path());
        }
        let dir = parent.join(generation.to_string());
        private_dir(&dir).map_err(Error::io("make the index folder"))?;
        let db = open_db(&dir)?;
        let inside = Inside {
            meta: Meta::default(),
            live: BTreeMap::new(),
        };
        Ok(Self {
            generation,
            dir,
            db: RwLock::new(Some(db)),
            inside: Mutex::new(inside),
        })
    }

    /// The index of this generation, if it holds what it should: its entries add up, it reaches at
    /// least to `upto`, and `exists` knows every place it points to.
    pub(crate) fn open(
        parent: &Path,
        generation: u64,
        upto: Position,
        exists: impl Fn(Loc) -> bool,
    ) -> Result<Self, Error> {
        let dir = parent.join(generation.to_string());
        if !dir.is_dir() {
            return Err(Error::index("its folder is missing"));
        }
        let db = open_db(&dir)?;
        let inside = guarded(|| {
            let meta = db.get(META)?.and_then(|bytes| Meta::from_bytes(&bytes));
            let Some(meta) = meta else {
                return Ok(Err("it does not say what it holds"));
            };
            let mut live = BTreeMap::<u64, Live>::new();
            let (mut count, mut sum) = (0_u64, 0_u64);
            for entry in db.scan_prefix([KEY]) {
                let (key, bytes) = entry?;
                let Some(loc) = Loc::from_bytes(&bytes).filter(|loc| exists(*loc)) else {
                    return Ok(Err("it points to a record that is not there"));
                };
                count += 1;
                sum = sum.wrapping_add(weight(key.get(1..).unwrap_or_default(), loc));
                live.entry(loc.at.segment).or_default().add(loc);
            }
            if (count, sum) != (meta.count, meta.sum) {
                return Ok(Err("its entries do not add up"));
            }
            if meta.upto < upto {
                return Ok(Err("it lost its newest entries"));
            }
            Ok(Ok(Inside { meta, live }))
        })?
        .map_err(Error::index)?;
        Ok(Self {
            generation,
            dir,
            db: RwLock::new(Some(db)),
            inside: Mutex::new(inside),
        })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Up to where it holds the log.
    pub(crate) fn upto(&self) -> Position {
        lock(&self.inside).meta.upto
    }

    fn db(&self) -> Result<sled::Db, Error> {
        read(&self.db).clone().ok_or(Error::Closed)
    }

    pub(crate) fn locate(&self, key: &[u8]) -> Result<Option<Loc>, Error> {
        let db = self.db()?;
        let Some(bytes) = guarded(|| db.get(stored(key)))? else {
            return Ok(None);
        };
        Loc::from_bytes(&bytes)
            .map(Some)
            .ok_or_else(|| Error::index("an entry is malformed"))
    }

    pub(crate) fn with_prefix(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Position)>, Error> {
        let db = self.db()?;
        let found = guarded(|| {
            db.scan_prefix(stored(prefix))
                .map(|entry| entry.map(|(key, bytes)| (key, Loc::from_bytes(&bytes))))
                .collect::<sled::Result<Vec<_>>>()
        })?;
        found
            .into_iter()
            .map(|(key, loc)| {
                let loc = loc.ok_or_else(|| Error::index("an entry is malformed"))?;
                Ok((key.get(1..).unwrap_or_default().to_vec(), loc.at))
            })
            .collect()
    }

    /// The first `most` keys from `from` on that are less than `to`.
    pub(crate) fn between(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Position)>, Error> {
        let db = self.db()?;
        let found = guarded(|| {
            db.range(stored(from)..stored(to))
                .take(most)
                .map(|entry| entry.map(|(key, bytes)| (key, Loc::from_bytes(&bytes))))
                .collect::<sled::Result<Vec<_>>>()
        })?;
        found
            .into_iter()
            .map(|(key, loc)| {
                let loc = loc.ok_or_else(|| Error::index("an entry is malformed"))?;
                Ok((key.get(1..).unwrap_or_default().to_vec(), loc.at))
            })
            .collect()
    }

    /// Takes in changes, after which the index holds the log up to `upto`.
    pub(crate) fn apply(&self, changes: &Changes, upto: Position) -> Result<(), Error> {
        let db = self.db()?;
        let mut inside = lock(&self.inside);
        if changes.is_empty() && upto <= inside.meta.upto {
            return Ok(());
        }
        let mut rest = changes.iter();
        loop {
            let mut meta = inside.meta;
            let mut moved = Vec::new();
            let mut batch = sled::Batch::default();
            for (key, loc) in rest.by_ref().take(CHUNK) {
                let stored = stored(key);
                let before = guarded(|| db.get(&stored))?.and_then(|bytes| Loc::from_bytes(&bytes));
                if let Some(before) = before {
                    meta.count = meta.count.saturating_sub(1);
                    meta.sum = meta.sum.wrapping_sub(weight(key, before));
                }
                if let Some(loc) = loc {
                    meta.count += 1;
                    meta.sum = meta.sum.wrapping_add(weight(key, *loc));
                    batch.insert(stored, &loc.to_bytes());
                } else {
                    batch.remove(stored);
                }
                moved.push((before, *loc));
            }
            let done = rest.len() == 0;
            if done {
                meta.upto = meta.upto.max(upto);
            }
            batch.insert(META, meta.to_bytes());
            guarded(|| db.apply_batch(batch))?;
            inside.meta = meta;
            for (before, after) in moved {
                if let Some(loc) = before
                    && let Some(live) = inside.live.get_mut(&loc.at.segment)
                {
                    live.remove(loc);
                }
                if let Some(loc) = after {
                    inside.live.entry(loc.at.segment).or_default().add(loc);
                }
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Makes durable what was applied.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let db = self.db()?;
        guarded(|| db.flush())?;
        sync_tree(&self.dir).map_err(Error::io("sync the index"))
    }

    /// The live records of a segment.
    pub(crate) fn live(&self, segment: u64) -> Live {
        lock(&self.inside)
            .live
            .get(&segment)
            .copied()
            .unwrap_or_default()
    }

    /// Count and bytes of all live records.
    pub(crate) fn live_total(&self) -> (u64, u64) {
        let inside = lock(&self.inside);
        (
            inside.meta.count,
            inside.live.values().map(|live| live.bytes).sum(),
        )
    }

    /// Gives the index up. Later calls get [`Error::Closed`].
    pub(crate) fn close(&self) {
        let db = write(&self.db).take();
        // Dropping a sled flushes it, which can panic; nothing depends on it by now.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(db)));
    }
}

impl Live {
    fn add(&mut self, loc: Loc) {
        self.records += 1;
        self.bytes += u64::from(loc.len);
    }

    fn remove(&mut self, loc: Loc) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::from(loc.len));
    }
}

impl Meta {
    fn to_bytes(self) -> Vec<u8> {
        [self.upto.segment, self.upto.offset, self.count, self.sum]
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let [segment, offset, count, sum] = numbers else {
            return None;
        };
        rest.is_empty().then(|| Self {
            upto: Position {
                segment: u64::from_le_bytes(*segment),
                offset: u64::from_le_bytes(*offset),
            },
            count: u64::from_le_bytes(*count),
            sum: u64::from_le_bytes(*sum),
        })
    }
}

fn stored(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 1);
    out.push(KEY);
    out.extend_from_slice(key);
    out
}

/// What an entry adds to the sum. Mixed after the checksum, which alone is linear: two entries
/// with their places exchanged would add up to the same.
fn weight(key: &[u8], loc: Loc) -> u64 {
    let key_crc = crc32c::crc32c(key);
    let all_crc = crc32c::crc32c_append(key_crc, &loc.to_bytes());
    let mut mixed = u64::from(key_crc) << 32 | u64::from(all_crc);
    mixed ^= loc.at.offset.rotate_left(17) ^ loc.at.segment.rotate_left(41);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn open_db(dir: &Path) -> Result<sled::Db, Error> {
    guarded(|| {
        sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            // Synced by the indexer, when a checkpoint is due.
            .flush_every_ms(None)
            .open()
    })
}

/// Runs a call into sled; an error or a panic of it becomes [`Error::Index`].
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Error::index),
        Err(_) => Err(Error::index("it panicked")),
    }
}

fn sync_tree(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            match File::open(&path) {
                // sled removes its old snapshots by itself.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                opened => opened?.sync_all()?,
            }
        }
    }
    crate::disk::sync_dir(dir)
}
