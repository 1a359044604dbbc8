//! The one thread that writes: takes what has queued, writes it at once, syncs once, answers all.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, atomic::Ordering},
    thread::{self, JoinHandle, ThreadId},
    time::{Duration, Instant},
};

use crate::{
    Error, Position,
    batch::{Done, Op, Request},
    error::is_full,
    record::{self, Frame, Kind, Loc, Place, record_len},
    segment::{DATA_START, Segment},
    shared::{Entry, Shared, lock, write},
};

const MAX_QUEUED: usize = 1024;
const MAX_QUEUED_BYTES: u64 = 32 * 1024 * 1024;
/// How much is written before a sync, unless a single batch is larger.
const GROUP_BYTES: u64 = 4 * 1024 * 1024;
/// What the only segment of a log reserves at first: a small log takes little of the disk. Others
/// reserve all they may hold, so that nobody waits for more.
const RESERVED_AT_FIRST: u64 = 64 * 1024;
/// What is reserved grows by this factor when it is used up.
const GROWTH: u64 = 4;
/// The largest buffer kept from one group to the next.
const KEPT_BUFFER: usize = 8 * 1024 * 1024;
/// What is being done when more is reserved.
const EXTEND: &str = "extend a segment file";
/// How often, and for how long, the producers just answered are let run before the next group.
const MAX_YIELDS: usize = 16;
const MAX_YIELDING: Duration = Duration::from_micros(100);

/// Batches on their way to the committer.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
    drained: Condvar,
    committer: OnceLock<ThreadId>,
}

#[derive(Default)]
struct QueueState {
    requests: VecDeque<Request>,
    bytes: u64,
    closed: bool,
    /// The committer waits for a request; producers wait for room. Waking nobody costs a system
    /// call too.
    committer_waits: bool,
    producers_wait: bool,
}

impl Queue {
    pub(crate) fn push(&self, request: Request) -> Result<(), Error> {
        if self.on_committer() {
            return Err(Error::FromCallback);
        }
        let mut state = lock(&self.state);
        // A batch larger than the bound may still enter an empty queue.
        while !state.closed
            && (state.requests.len() >= MAX_QUEUED
                || state.bytes > 0 && state.bytes + request.cost > MAX_QUEUED_BYTES)
        {
            state.producers_wait = true;
            state = self
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(Error::Closed);
        }
        state.bytes += request.cost;
        state.requests.push_back(request);
        let wake = std::mem::take(&mut state.committer_waits);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes what has queued, up to a group's size; `None` when closed and empty.
    ///
    /// `before` batches were answered just now. Their producers often have the next one ready in
    /// a moment, and would wait for a whole sync if it just missed this group, so those that can
    /// run are let run first. On an idle machine this takes a few microseconds.
    fn take(&self, before: usize) -> Option<Vec<Request>> {
        let mut state = lock(&self.state);
        let start = (before > 1).then(Instant::now);
        for _ in 0..MAX_YIELDS {
            let enough = state.requests.len() >= before || state.closed;
            if enough || start.is_none_or(|start| start.elapsed() > MAX_YIELDING) {
                break;
            }
            drop(state);
            thread::yield_now();
            state = lock(&self.state);
        }
        while state.requests.is_empty() && !state.closed {
            state.committer_waits = true;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        let mut cost = 0;
        while let Some(next) = state.requests.front() {
            if !taken.is_empty() && cost + next.cost > GROUP_BYTES {
                break;
            }
            cost += next.cost;
            taken.extend(state.requests.pop_front());
        }
        state.bytes = state.bytes.saturating_sub(cost);
        let wake = std::mem::take(&mut state.producers_wait);
        drop(state);
        if wake {
            self.drained.notify_all();
        }
        (!taken.is_empty()).then_some(taken)
    }

    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Whether this runs on the committer's thread, that is, in a callback.
    pub(crate) fn on_committer(&self) -> bool {
        self.committer.get() == Some(&thread::current().id())
    }
}

/// Where the committer writes next.
pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) current: Option<Current>,
    pub(crate) next_segment: u64,
    /// The bytes of a group, kept for the next one.
    pub(crate) buffer: Vec<u8>,
}

/// The segment being filled.
pub(crate) struct Current {
    pub(crate) segment: Arc<Segment>,
    pub(crate) used: u64,
    /// The file's length.
    pub(crate) capacity: u64,
}

impl Current {
    /// Reserves more of the disk: at least up to `need`, at most up to `full`.
    fn extend(&mut self, need: u64, full: u64) -> Result<(), Error> {
        let file = &self.segment.file;
        let wanted = self.capacity.saturating_mul(GROWTH).clamp(need, full);
        let capacity = match file.reserve(wanted) {
            Ok(()) => wanted,
            // Too little for that may be enough for what is to be written.
            Err(error) if is_full(&error) => {
                file.reserve(need).map_err(Error::io(EXTEND))?;
                need
            }
            Err(error) => return Err(Error::io(EXTEND)(error)),
        };
        // The system may have dropped the new length and would say yes the next time.
        file.sync_all().map_err(not_confirmed)?;
        self.capacity = capacity;
        Ok(())
    }

    /// Cuts the file behind the last record. If that fails, the rest stays zero, which reads as
    /// the end too.
    fn cut(&self) {
        if self.used == self.capacity {
            return;
        }
        let file = &self.segment.file;
        let _ = file.set_len(self.used).and_then(|()| file.sync_all());
    }
}

/// A group being put together.
struct Group {
    bytes: Vec<u8>,
    place: Place,
    start: u64,
    /// In the order of the records: of two for one key the later counts.
    changes: Vec<(Vec<u8>, Option<Loc>)>,
    delete_bytes: u64,
    accepted: Vec<Done>,
}

/// Starts the committer; it ends after [`Queue::close`], when the queue is empty.
pub(crate) fn start(mut committer: Committer) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new()
        .name("log-committer".into())
        .spawn(move || {
            let _ = committer.shared.queue.committer.set(thread::current().id());
            let mut before = 0;
            while let Some(requests) = committer.shared.queue.take(before) {
                before = requests.len();
                committer.commit(requests);
            }
            committer.end();
        })
        .map_err(Error::io("start a thread"))
}

fn not_confirmed(error: std::io::Error) -> Error {
    Error::NotConfirmed {
        source: Arc::new(error),
    }
}

fn answer(done: Done, result: Result<(), Error>) {
    // A panicking callback must not take the log down; the panic hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(move || done(result)));
}

impl Committer {
    fn commit(&mut self, requests: Vec<Request>) {
        let mut rest = VecDeque::from(requests);
        while let Some(first) = rest.front() {
            let (cost, roll) = (first.cost, first.roll);
            if let Err(error) = self.make_room(cost, roll) {
                if let Some(request) = rest.pop_front() {
                    answer(request.done, Err(error));
                }
                continue;
            }
            self.write_group(&mut rest);
        }
    }

    /// Gives back the space that was reserved, so that the next open need not search it for a
    /// write that was interrupted.
    fn end(&self) {
        if let Some(current) = &self.current
            && !self.shared.stopped.load(Ordering::Acquire)
        {
            current.cut();
        }
    }

    /// Makes sure that the current segment has room for `cost` bytes.
    fn make_room(&mut self, cost: u64, roll: bool) -> Result<(), Error> {
        if self.shared.stopped.load(Ordering::Acquire) {
            return Err(Error::Stopped);
        }
        if let Some(error) = self.shared.work.failure() {
            return Err(error);
        }
        if let Some(current) = &mut self.current
            && (!roll || current.used == DATA_START)
        {
            let full = self.shared.options.segment_bytes;
            let need = current.used + cost;
            if need > current.capacity && need <= full {
                let extended = current.extend(need, full);
                if let Err(Error::NotConfirmed { .. }) = &extended {
                    self.shared.stopped.store(true, Ordering::Release);
                }
                extended?;
            }
            if need <= current.capacity {
                return Ok(());
            }
        }
        let shared = &self.shared;
        let number = self.next_segment;
        if let Some(sealer) = &shared.options.sealer {
            sealer
                .segment_begins(number)
                .map_err(|source| Error::Seal {
                    segment: number,
                    source,
                })?;
        }
        let place = Place {
            segment: number,
            salt: shared.options.salt,
        };
        let is_only = shared.segments().len() <= 1 && (roll || self.current.is_none());
        let most = if is_only { RESERVED_AT_FIRST } else { u64::MAX };
        let capacity = shared.options.segment_bytes.min(most);
        let capacity = capacity.max(DATA_START + cost);
        let segment = Arc::new(Segment::create(
            &*shared.disk,
            &shared.dir,
            place,
            capacity,
        )?);
        write(&shared.view)
            .segments
            .insert(number, Entry::new(Arc::clone(&segment)));
        self.next_segment += 1;
        let full = self.current.replace(Current {
            segment,
            used: DATA_START,
            capacity,
        });
        if let Some(full) = full {
            full.cut();
        }
        Ok(())
    }

    /// Writes the batches at the front of `rest` that fit into the current segment.
    fn write_group(&mut self, rest: &mut VecDeque<Request>) {
        let Some(current) = &self.current else { return };
        let mut group = Group {
            bytes: std::mem::take(&mut self.buffer),
            place: current.segment.place,
            start: current.used,
            changes: Vec::new(),
            delete_bytes: 0,
            accepted: Vec::new(),
        };
        let room = current.capacity - current.used;
        let (mut cost, mut taken) = (0, 0);
        while let Some(next) = rest.front() {
            if cost + next.cost > room || (next.roll || next.alone) && taken > 0 {
                break;
            }
            cost += next.cost;
            taken += 1;
            let Some(Request {
                ops, done, alone, ..
            }) = rest.pop_front()
            else {
                break;
            };
            match group.add(&self.shared, ops) {
                Ok(()) => group.accepted.push(done),
                Err(error) => answer(done, Err(error)),
            }
            if alone {
                break;
            }
        }
        if group.accepted.is_empty() {
            return;
        }
        let result = if group.bytes.is_empty() {
            Ok(())
        } else {
            self.write(&group)
        };
        if result.is_ok() {
            self.publish(&mut group);
        }
        if group.bytes.capacity() <= KEPT_BUFFER {
            group.bytes.clear();
            self.buffer = group.bytes;
        }
        for done in group.accepted {
            answer(done, result.clone());
        }
    }

    /// Writes and syncs. Afterwards the group is durable, or is gone, or the log has stopped.
    fn write(&mut self, group: &Group) -> Result<(), Error> {
        let Some(current) = &mut self.current else {
            return Err(Error::Closed);
        };
        let file = &current.segment.file;
        if let Err(error) = file.write_at(&group.bytes, group.start) {
            let undo = || -> std::io::Result<()> {
                file.set_len(group.start)?;
                file.set_len(current.capacity)?;
                file.sync_all()
            };
            if is_full(&error) && undo().is_ok() {
                return Err(Error::DiskFull);
            }
            self.shared.stopped.store(true, Ordering::Release);
            return Err(not_confirmed(error));
        }
        if let Err(error) = file.sync_data() {
            // The system may have dropped the bytes and would say yes the next time.
            self.shared.stopped.store(true, Ordering::Release);
            return Err(not_confirmed(error));
        }
        current.used += group.bytes.len() as u64;
        Ok(())
    }

    /// Lets readers see the group.
    fn publish(&self, group: &mut Group) {
        let waiting = {
            let mut view = write(&self.shared.view);
            view.fresh.extend(std::mem::take(&mut group.changes));
            if let Some(entry) = view.segments.get_mut(&group.place.segment) {
                entry.used = group.start + group.bytes.len() as u64;
                entry.delete_bytes += group.delete_bytes;
            }
            view.fresh.len()
        };
        self.shared.work.pace(&self.shared, waiting);
    }
}

impl Group {
    /// Encodes a batch. On an error nothing of it is left in the group.
    fn add(&mut self, shared: &Shared, ops: Vec<Op>) -> Result<(), Error> {
        let segment = self.place.segment;
        let mut records = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    let sealed = shared.seal(segment, &key, value)?;
                    records.push((Kind::Put, key, sealed));
                }
                Op::Delete { key } => records.push((Kind::Delete, key, Vec::new())),
                Op::Move { key, from } => {
                    if shared.locate(&key)? == Some(from) {
                        let (_, value) = shared.read_loc(from, Some(&key))?;
                        let sealed = shared.seal(segment, &key, value)?;
                        records.push((Kind::Put, key, sealed));
                    }
                }
                Op::MoveDelete { key } => {
                    if shared.locate(&key)?.is_none() {
                        records.push((Kind::Delete, key, Vec::new()));
                    }
                }
            }
        }
        let count = records.len();
        let group_start = u32::try_from(self.start).expect("segments are at most 1 GiB");
        for (at, (kind, key, value)) in records.into_iter().enumerate() {
            let offset = self.start + self.bytes.len() as u64;
            let frame = Frame {
                kind,
                first: at == 0,
                last: at + 1 == count,
                group_start,
                key: &key,
                value: &value,
            };
            record::encode(&mut self.bytes, self.place, offset, &frame);
            let len = record_len(key.len(), value.len());
            let loc = match kind {
                Kind::Put => Some(Loc {
                    at: Position { segment, offset },
                    len: u32::try_from(len).expect("a record is at most 17 MiB"),
                }),
                Kind::Delete => {
                    self.delete_bytes += len as u64;
                    None
                }
            };
            self.changes.push((key, loc));
        }
        Ok(())
    }
}
