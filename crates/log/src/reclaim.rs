//! Giving the space of dead records back.
//!
//! A segment's live records are written again at the head; then the index, which no longer points
//! into the segment, is made durable; then the file is removed, oldest segment first. A delete
//! record is needed for as long as an older segment may hold its key.

use crate::{
    Error, Reclaimed,
    batch::{Op, Request, Ticket},
    record::{Item, Kind, Loc, Scan},
    segment::{self, DATA_START},
    shared::{Entry, Shared, lock, read, write},
};

/// Records written again in one batch.
const MAX_MOVES: usize = 256;
/// Bytes written again in one batch, unless one record is larger.
const MAX_MOVE_BYTES: u64 = 1024 * 1024;

/// Dead bytes from which on the segment that is being filled is ended for them.
const WORTH_LEAVING: u64 = 1024 * 1024;

/// Which segments to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    MostlyDead,
    AnyDead,
}

impl Shared {
    pub(crate) fn reclaim(&self, which: Which) -> Result<Reclaimed, Error> {
        let _one_at_a_time = lock(&self.reclaiming);
        if which == Which::AnyDead {
            self.begin_segment()?;
        }
        self.work.flush(false)?;
        if which == Which::MostlyDead && self.head_is_worth_leaving() {
            self.begin_segment()?;
        }
        let numbers = self.segments();
        let mut reclaimed = Reclaimed::default();
        let Some((_newest, full)) = numbers.split_last() else {
            return Ok(reclaimed);
        };
        for number in full {
            let Some((entry, oldest)) = self.entry(*number) else {
                continue;
            };
            let data = entry.data_bytes();
            let deletes = if oldest { 0 } else { entry.delete_bytes };
            let kept = self.index.live(*number).bytes + deletes;
            let dead = data.saturating_sub(kept);
            let worth = match which {
                Which::MostlyDead => dead > data / 2 || data == 0,
                Which::AnyDead => dead > 0 || data == 0,
            };
            if worth {
                self.rewrite(&entry, oldest, &mut reclaimed)?;
            }
        }
        Ok(reclaimed)
    }

    /// Whether so much of the segment that is being filled is dead that it should end here.
    fn head_is_worth_leaving(&self) -> bool {
        let head = self.segments().last().and_then(|head| self.entry(*head));
        head.is_some_and(|(entry, _)| {
            let number = entry.segment.place.segment;
            let data = entry.data_bytes();
            let kept = self.index.live(number).bytes + entry.delete_bytes;
            let dead = data.saturating_sub(kept);
            dead > data / 2 && dead >= WORTH_LEAVING
        })
    }

    fn entry(&self, number: u64) -> Option<(Entry, bool)> {
        let view = read(&self.view);
        let oldest = view
            .segments
            .first_key_value()
            .is_some_and(|(first, _)| *first == number);
        Some((view.segments.get(&number)?.clone(), oldest))
    }

    fn rewrite(&self, entry: &Entry, oldest: bool, reclaimed: &mut Reclaimed) -> Result<(), Error> {
        let number = entry.segment.place.segment;
        let bytes = entry.segment.read_from(DATA_START)?;
        let used = usize::try_from(entry.data_bytes()).unwrap_or(usize::MAX);
        let records = bytes.get(..used).unwrap_or(&bytes);
        let (mut ops, mut cost, mut moved, mut moved_bytes) = (Vec::new(), 0, 0, 0);
        for item in Scan::new(records, DATA_START, entry.segment.place) {
            let Item::Record { at, head, value_ok } = item else {
                continue;
            };
            let key = head.key.to_vec();
            let len = u32::try_from(head.len()).expect("a record is at most 17 MiB");
            let from = Loc {
                at: entry.segment.at(at),
                len,
            };
            let newest = self.locate(&key)?;
            match head.kind {
                Kind::Put if newest == Some(from) && value_ok => {
                    ops.push(Op::Move { key, from });
                    moved += 1;
                }
                // A delete of a key with a value is followed by that value, later in the log.
                Kind::Delete if !oldest && newest.is_none() => ops.push(Op::MoveDelete { key }),
                _ => continue,
            }
            cost += u64::from(len);
            moved_bytes += u64::from(len);
            if ops.len() >= MAX_MOVES || cost >= MAX_MOVE_BYTES {
                self.append_ops(std::mem::take(&mut ops), false)?;
                cost = 0;
            }
        }
        if !ops.is_empty() {
            self.append_ops(ops, false)?;
        }
        self.work.flush(false)?;
        if self.index.live(number).records > 0 {
            // A live record that is damaged: its loss is for the caller to see, not to hide.
            reclaimed.damaged_segments.push(number);
            return Ok(());
        }
        if let Some(entry) = write(&self.view).segments.get_mut(&number) {
            entry.ending = true;
        }
        self.work.flush(true)?;
        self.remove_segment(number)?;
        reclaimed.segments += 1;
        reclaimed.moved += moved;
        reclaimed.freed_bytes += entry.data_bytes().saturating_sub(moved_bytes);
        Ok(())
    }

    fn remove_segment(&self, number: u64) -> Result<(), Error> {
        write(&self.view).segments.remove(&number);
        self.disk
            .remove(&segment::path_of(&self.dir, number))
            .and_then(|()| self.disk.sync_dir(&self.dir))
            .map_err(Error::io("remove a segment file"))?;
        match &self.options.sealer {
            None => Ok(()),
            Some(sealer) => sealer.segment_ended(number).map_err(|source| Error::Seal {
                segment: number,
                source,
            }),
        }
    }

    /// Makes the next record go to a new segment.
    fn begin_segment(&self) -> Result<(), Error> {
        if read(&self.view).head().offset <= DATA_START {
            return Ok(());
        }
        self.append_ops(Vec::new(), true)
    }

    pub(crate) fn append_ops(&self, ops: Vec<Op>, roll: bool) -> Result<(), Error> {
        let (ticket, done) = Ticket::new();
        let mut request = Request::new(ops, done)?;
        request.roll = roll;
        self.queue.push(request)?;
        ticket.wait()
    }
}
