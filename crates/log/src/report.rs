//! What the log tells about itself.

use crate::{Position, segment::Segment, shared::gap};

/// How many damaged places a report lists; the rest is only counted.
pub(crate) const MAX_LISTED: usize = 1000;

/// A place that does not hold what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub at: Position,
    /// How many bytes.
    pub len: u64,
    /// The key, when it can still be read. Reading it gives [`Error::Damaged`](crate::Error).
    pub key: Option<Vec<u8>>,
}

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Records read again because the index might not have held them.
    pub records_replayed: u64,
    /// Why the index was rebuilt from the log, if it was. A log that is new has none to rebuild.
    pub index_rebuilt: Option<String>,
    /// Where the newest segment was cut, if its end held a write that had not been finished.
    pub torn_tail: Option<Position>,
    /// Damage found in the part that was read: all of the log after a rebuild, else its end.
    /// At most 1000 places.
    pub damaged: Vec<Damage>,
    /// How many damaged places were found, listed or not.
    pub damaged_count: u64,
    /// Segments that the checkpoint knows and the folder has not. Their records are lost.
    pub missing_segments: Vec<u64>,
}

impl OpenReport {
    pub(crate) fn damage(&mut self, damage: Damage) {
        self.damaged_count += 1;
        if self.damaged.len() < MAX_LISTED {
            self.damaged.push(damage);
        }
    }

    /// Notes that nothing is left between `found` and `end`, if that is so.
    pub(crate) fn gap(&mut self, segment: &Segment, found: u64, end: u64) {
        if let Some(damage) = gap(segment, found, end) {
            self.damage(damage);
        }
    }
}

/// Sizes of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Segment files.
    pub segments: u64,
    /// Keys that have a value.
    pub records: u64,
    /// Bytes of the records that are the newest of their key.
    pub live_bytes: u64,
    /// Bytes of all other records, which [`Log::reclaim`](crate::Log::reclaim) may free.
    pub dead_bytes: u64,
}

/// What [`Log::reclaim`](crate::Log::reclaim) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// Segments removed.
    pub segments: u64,
    /// Records written again.
    pub moved: u64,
    /// Bytes of records removed, less those written again.
    pub freed_bytes: u64,
    /// Segments left alone because a live record in them cannot be read.
    pub damaged_segments: Vec<u64>,
}
