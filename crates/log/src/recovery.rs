//! Opening a log: what a crash left is repaired, what the index may lack is read again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock, atomic::AtomicBool},
};

use crate::{
    Damage, Error, Inner, Log, OpenReport, Position, Threads,
    checkpoint::Checkpoint,
    committer::{self, Committer, Current, Queue},
    disk::{Disk, private_dir, private_file},
    index::Index,
    indexer::{self, Work},
    options::Options,
    record::{self, Head, Item, Kind, Loc, Place, Scan, is_zero, nonzero_len},
    segment::{self, DATA_START, Segment},
    shared::{Changes, Entry, Shared, View, damage_of},
};

/// Changes given to the index at once.
const APPLY_AT: usize = 8192;
/// After reading this many records again, a checkpoint saves the next open from it.
const MANY_REPLAYED: u64 = 8192;

pub(crate) fn open(options: Options, root: &Path, disk: Arc<dyn Disk>) -> Result<Log, Error> {
    let (dir, index_dir) = (root.join("log"), root.join("index"));
    let new: Vec<&Path> = root
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in [root, &dir, &index_dir] {
        private_dir(folder).map_err(Error::io("make the log's folder"))?;
    }
    for parent in new.iter().filter_map(|folder| folder.parent()) {
        // A relative path may end in the empty name of the current folder.
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        disk.sync_dir(parent)
            .map_err(Error::io("sync the log's folder"))?;
    }
    let lock_file = take_lock(root)?;
    disk.sync_dir(root)
        .map_err(Error::io("sync the log's folder"))?;

    let mut recovery = Recovery {
        options,
        disk,
        root: root.to_owned(),
        dir,
        report: OpenReport::default(),
        entries: BTreeMap::new(),
        ends: BTreeMap::new(),
        highest: 0,
    };
    let checkpoint = Checkpoint::load(&*recovery.disk, root)?;
    recovery.open_segments(checkpoint.as_ref())?;
    let (index, from) = recovery.open_index(&index_dir, checkpoint.as_ref())?;
    let current = recovery.replay(&index, from, checkpoint.as_ref())?;
    let stored = checkpoint.filter(|known| known.generation == index.generation());
    recovery.start(index, current, stored, lock_file)
}

fn take_lock(root: &Path) -> Result<std::fs::File, Error> {
    let file = private_file()
        .create(true)
        .truncate(false)
        .open(root.join("lock"))
        .map_err(Error::io("open the lock file"))?;
    match fs4::FileExt::try_lock(&file) {
        Ok(()) => Ok(file),
        Err(fs4::TryLockError::WouldBlock) => Err(Error::Locked {
            dir: root.to_owned(),
        }),
        Err(fs4::TryLockError::Error(error)) => Err(Error::io("lock the log's folder")(error)),
    }
}

struct Recovery {
    options: Options,
    disk: Arc<dyn Disk>,
    root: PathBuf,
    dir: PathBuf,
    report: OpenReport,
    entries: BTreeMap<u64, Entry>,
    /// Up to where segments are known to have been synced.
    ends: BTreeMap<u64, u64>,
    /// Highest segment number ever seen.
    highest: u64,
}

impl Recovery {
    /// Opens all segment files and finishes removals that had begun.
    fn open_segments(&mut self, checkpoint: Option<&Checkpoint>) -> Result<(), Error> {
        let mut numbers = segment::list(&*self.disk, &self.dir)?;
        let known = checkpoint
            .map(|checkpoint| checkpoint.segments.as_slice())
            .unwrap_or_default();
        for known in known {
            self.highest = self.highest.max(known.number);
            if known.ending {
                if numbers.contains(&known.number) {
                    self.remove(known.number)?;
                    numbers.retain(|number| *number != known.number);
                }
                if let Some(sealer) = &self.options.sealer {
                    let number = known.number;
                    sealer.segment_ended(number).map_err(|source| Error::Seal {
                        segment: number,
                        source,
                    })?;
                }
            } else if numbers.contains(&known.number) {
                self.ends.insert(known.number, known.used);
            } else {
                self.report.missing_segments.push(known.number);
            }
        }
        for number in numbers {
            self.highest = self.highest.max(number);
            let salt = known
                .iter()
                .find(|known| known.number == number)
                .map(|known| known.salt);
            if let Some(segment) = self.open_segment(number, salt)? {
                self.entries.insert(number, Entry::new(Arc::new(segment)));
            }
        }
        // What a killed process did to the folder is visible, but perhaps not durable.
        self.disk
            .sync_dir(&self.dir)
            .map_err(Error::io("sync the segment folder"))
    }

    /// Opens a segment, whose header may be lost.
    fn open_segment(&mut self, number: u64, salt: Option<u64>) -> Result<Option<Segment>, Error> {
        if let Some(segment) = Segment::open(&*self.disk, &self.dir, number)? {
            return Ok(Some(segment));
        }
        let path = segment::path_of(&self.dir, number);
        let file = self
            .disk
            .open(&path)
            .map_err(Error::io("open a segment file"))?;
        let place = Place {
            segment: number,
            salt: salt.unwrap_or(self.options.salt),
        };
        let segment = Segment { place, file };
        let bytes = segment.read_from(DATA_START)?;
        if is_zero(&bytes) {
            // The crash came while it was made; no record was ever written to it.
            self.remove(number)?;
            return Ok(None);
        }
        let at = segment.at(0);
        self.report.damage(Damage {
            at,
            len: DATA_START,
            key: None,
        });
        Ok(Some(segment))
    }

    fn remove(&self, number: u64) -> Result<(), Error> {
        let removed = self.disk.remove(&segment::path_of(&self.dir, number));
        removed
            .and_then(|()| self.disk.sync_dir(&self.dir))
            .map_err(Error::io("remove a segment file"))
    }

    /// The index and from where to replay: the checkpoint's, or a new one from the beginning.
    fn open_index(
        &mut self,
        parent: &Path,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(Index, Position), Error> {
        let lens = self.file_lens()?;
        let exists = |loc: Loc| {
            let end = loc.at.offset.checked_add(u64::from(loc.len));
            let len = lens.get(&loc.at.segment);
            loc.at.offset >= DATA_START && end.zip(len).is_some_and(|(end, len)| end <= *len)
        };
        let opened = match checkpoint {
            None => Err(Error::index("there is no checkpoint for it")),
            Some(_) if !self.report.missing_segments.is_empty() => {
                Err(Error::index("a segment is missing"))
            }
            Some(known) => Index::open(parent, known.generation, known.upto, exists)
                .map(|index| (index, known)),
        };
        let why = match opened {
            Ok((index, checkpoint)) => {
                for known in &checkpoint.segments {
                    if let Some(entry) = self.entries.get_mut(&known.number) {
                        entry.used = known.used;
                        entry.delete_bytes = known.delete_bytes;
                    }
                }
                let upto = index.upto();
                let end = self.ends.entry(upto.segment).or_default();
                *end = upto.offset.max(*end);
                return Ok((index, checkpoint.upto));
            }
            Err(Error::Index { what }) => what,
            Err(error) => return Err(error),
        };
        if !self.entries.is_empty() {
            self.report.index_rebuilt = Some(why.as_ref().to_owned());
        }
        let names = std::fs::read_dir(parent).map_err(Error::io("list the index folder"))?;
        let highest = names
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok())
            .chain(checkpoint.map(|checkpoint| checkpoint.generation))
            .max();
        // The old checkpoint must not vouch for the new index.
        Checkpoint::remove(&*self.disk, &self.root)?;
        let generation = highest.unwrap_or(0).wrapping_add(1);
        Ok((Index::create(parent, generation)?, Position::default()))
    }

    fn file_lens(&self) -> Result<BTreeMap<u64, u64>, Error> {
        let lens = self.entries.iter().map(|(number, entry)| {
            let len = entry.segment.file.len();
            Ok((*number, len.map_err(Error::io("read a segment file"))?))
        });
        lens.collect()
    }

    /// Reads all records from `from` into the index and finds where to go on writing.
    fn replay(
        &mut self,
        index: &Index,
        from: Position,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Option<Current>, Error> {
        let newest = self.entries.last_key_value().map(|(number, _)| *number);
        let mut todo: Vec<u64> = self.entries.keys().copied().collect();
        todo.retain(|number| *number >= from.segment);
        let mut total = 0;
        for number in &todo {
            let entry = self.entries.get(number).expect("listed from it just now");
            total += entry
                .segment
                .file
                .len()
                .map_err(Error::io("read a segment file"))?;
        }
        let (mut done, mut changes, mut current) = (0, Changes::new(), None);
        for number in todo {
            let mut entry = self
                .entries
                .get(&number)
                .expect("listed from it above")
                .clone();
            let start = if number == from.segment {
                from.offset.max(DATA_START)
            } else {
                DATA_START
            };
            let bytes = entry.segment.read_from(start)?;
            let end = self
                .ends
                .get(&number)
                .copied()
                .unwrap_or(DATA_START)
                .max(start);
            let mut pass = Pass {
                entry: &mut entry,
                start,
                bytes: &bytes,
                changes: &mut changes,
                index,
            };
            if Some(number) == newest {
                current = Some(pass.newest(end, &mut self.report)?);
            } else {
                pass.sealed(end, &mut self.report)?;
            }
            self.entries.insert(number, entry);
            done += start + bytes.len() as u64;
            if let (Some(progress), Some(_)) = (&self.options.progress, &self.report.index_rebuilt)
            {
                progress(done, total);
            }
        }
        let head = match (&current, checkpoint) {
            (Some(current), _) => current.segment.at(current.used),
            _ => Position::default(),
        };
        index.apply(&changes, head)?;
        Ok(current)
    }

    fn start(
        self,
        index: Index,
        current: Option<Current>,
        stored: Option<Checkpoint>,
        lock_file: std::fs::File,
    ) -> Result<Log, Error> {
        let next_segment = self.highest + 1;
        let worth =
            self.report.index_rebuilt.is_some() || self.report.records_replayed >= MANY_REPLAYED;
        let shared = Arc::new(Shared {
            disk: self.disk,
            root: self.root,
            dir: self.dir,
            options: self.options,
            report: self.report,
            view: RwLock::new(View {
                segments: self.entries,
                ..View::default()
            }),
            queue: Queue::default(),
            index,
            work: Work::default(),
            stopped: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            reclaiming: Mutex::new(()),
            lock_file: Mutex::new(Some(lock_file)),
        });
        let indexer = indexer::start(Arc::clone(&shared), stored)?;
        let committer = Committer {
            shared: Arc::clone(&shared),
            current,
            next_segment,
            buffer: Vec::new(),
        };
        let committer = match committer::start(committer) {
            Ok(committer) => committer,
            Err(error) => {
                shared.work.stop();
                let _ = indexer.join();
                return Err(error);
            }
        };
        let threads = Mutex::new(Some(Threads { committer, indexer }));
        let log = Log {
            inner: Arc::new(Inner { shared, threads }),
        };
        if worth {
            log.inner.shared.work.flush(true)?;
        }
        Ok(log)
    }
}

/// Reading one segment again.
struct Pass<'a> {
    entry: &'a mut Entry,
    /// Where `bytes` begin in the segment.
    start: u64,
    bytes: &'a [u8],
    changes: &'a mut Changes,
    index: &'a Index,
}

impl<'a> Pass<'a> {
    /// A segment that was full: everything in it was synced, and it reached at least to `end`.
    fn sealed(&mut self, end: u64, report: &mut OpenReport) -> Result<(), Error> {
        let reached = self.synced(self.bytes, report)?;
        report.gap(&self.entry.segment, reached, end);
        self.entry.used = reached.max(end);
        Ok(())
    }

    /// Takes every record in `bytes`, the first of this segment's, and reports what is none.
    /// Returns where they end.
    fn synced(&mut self, bytes: &[u8], report: &mut OpenReport) -> Result<u64, Error> {
        let segment = Arc::clone(&self.entry.segment);
        let mut scan = Scan::new(bytes, self.start, segment.place);
        for item in scan.by_ref() {
            if let Some(damage) = damage_of(&segment, &item) {
                report.damage(damage);
            }
            // A record with a damaged value stays in the index, so that reading it tells.
            if let Item::Record { at, head, .. } = item {
                self.take(segment.at(at), &head, report)?;
            }
        }
        Ok(scan.reached())
    }

    /// The segment written last, known to be synced up to `end`. All groups but the last in it
    /// were synced; of the last one the whole batches at its beginning are kept.
    fn newest(&mut self, end: u64, report: &mut OpenReport) -> Result<Current, Error> {
        let segment = Arc::clone(&self.entry.segment);
        let io = Error::io("repair a segment file");
        let unsure = self.bytes.get(self.index_of(end)..).unwrap_or_default();
        let last_group = Scan::new(unsure, end, segment.place)
            .filter_map(|item| match item {
                Item::Record { head, .. } => Some(u64::from(head.group_start)),
                Item::Damaged { .. } => None,
            })
            .max();
        let synced = last_group.unwrap_or(end).max(end);
        let known = self
            .bytes
            .get(..self.index_of(synced))
            .unwrap_or(self.bytes);
        let reached = self.synced(known, report)?;
        report.gap(&segment, reached, synced);
        let mut used = synced;
        while let Some(batch) = self.batch(used, synced) {
            for (at, head) in &batch {
                self.take(segment.at(*at), head, report)?;
                used = at + head.len() as u64;
            }
        }
        self.entry.used = used;

        let mut repair = || -> std::io::Result<u64> {
            let rest = self.bytes.get(self.index_of(used)..).unwrap_or_default();
            let torn = nonzero_len(rest);
            if torn > 0 {
                // Left in place, these bytes could be read as records after a later crash.
                report.torn_tail = Some(segment.at(used));
                segment.file.write_at(&vec![0; torn], used)?;
            }
            let group = self.bytes.get(self.index_of(synced)..self.index_of(used));
            if let Some(group) = group.filter(|group| !group.is_empty()) {
                // Perhaps only in the system's memory, and perhaps after a failed sync: written
                // again, so that the sync below is about these bytes.
                segment.file.write_at(group, synced)?;
            }
            if torn > 0 || used > synced {
                segment.file.sync_all()?;
            }
            segment.file.len()
        };
        let capacity = repair().map_err(io)?;
        Ok(Current {
            segment: Arc::clone(&segment),
            used,
            capacity,
        })
    }

    /// The batch that begins at `at`, if it is whole and part of the group that began at `group`.
    fn batch(&self, at: u64, group: u64) -> Option<Vec<(u64, Head<'a>)>> {
        let mut records = Vec::new();
        let mut next = at;
        loop {
            let bytes = self.bytes.get(self.index_of(next)..)?;
            let head = record::decode(bytes, self.entry.segment.place, next)?;
            head.value(bytes)?;
            if head.first != records.is_empty() || u64::from(head.group_start) != group {
                return None;
            }
            records.push((next, head));
            next += head.len() as u64;
            if head.last {
                return Some(records);
            }
        }
    }

    fn take(
        &mut self,
        at: Position,
        head: &Head<'_>,
        report: &mut OpenReport,
    ) -> Result<(), Error> {
        report.records_replayed += 1;
        let len = u32::try_from(head.len()).expect("a record is at most 17 MiB");
        let loc = match head.kind {
            Kind::Put => Some(Loc { at, len }),
            Kind::Delete => {
                self.entry.delete_bytes += u64::from(len);
                None
            }
        };
        self.changes.insert(head.key.to_vec(), loc);
        if self.changes.len() >= APPLY_AT {
            self.index.apply(self.changes, Position::default())?;
            self.changes.clear();
        }
        Ok(())
    }

    /// Where `offset` of the segment is in `bytes`, at most their end.
    fn index_of(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.start))
            .unwrap_or(usize::MAX)
            .min(self.bytes.len())
    }
}
