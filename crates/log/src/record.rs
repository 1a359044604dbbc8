//! One record on disk.
//!
//! ```text
//! u32 head_crc   crc32c over salt ‖ segment ‖ offset ‖ the rest of the header ‖ key
//! u32 value_crc  crc32c over the value
//! u8 kind        1 put, 2 delete
//! u8 marks       bit 0: first of its batch, bit 1: last of its batch
//! u16 key_len | u32 value_len
//! u32 group_start  offset in the segment where the write began that this record was part of
//! u32 zero
//! key | value | zero bytes up to a multiple of 8
//! ```
//!
//! All numbers little endian. The place and the segment's salt are part of `head_crc`, so bytes
//! that are not where they were written are never taken for a record, nor is a record inside a
//! value. A group that began later in a segment proves that the ones before it were synced.

use crate::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Position, SEALED_EXTRA};

/// Bytes before the key.
pub(crate) const HEADER: usize = 24;
/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// What a record says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Delete,
}

/// What is fixed for a segment and enters every checksum in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) salt: u64,
}

/// A record's header and key, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) kind: Kind,
    pub(crate) first: bool,
    pub(crate) last: bool,
    pub(crate) group_start: u32,
    pub(crate) key: &'a [u8],
    pub(crate) value_len: u32,
    value_crc: u32,
}

impl<'a> Head<'a> {
    /// Bytes of the whole record, padding included.
    pub(crate) fn len(&self) -> usize {
        padded(HEADER + self.key.len() + self.value_len as usize)
    }

    /// The value, if `bytes` (which begin with this record's header) hold it undamaged.
    pub(crate) fn value(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = HEADER + self.key.len();
        let value = bytes.get(start..start + self.value_len as usize)?;
        (crc32c::crc32c(value) == self.value_crc).then_some(value)
    }
}

/// Bytes a record with these lengths takes.
pub(crate) fn record_len(key: usize, value: usize) -> usize {
    padded(HEADER + key + value)
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// What is to be written.
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) first: bool,
    pub(crate) last: bool,
    pub(crate) group_start: u32,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Appends a record that will stand at `offset` of its segment.
///
/// The caller has checked the lengths against the limits.
pub(crate) fn encode(out: &mut Vec<u8>, place: Place, offset: u64, frame: &Frame<'_>) {
    let key_len = u16::try_from(frame.key.len()).expect("key length was checked");
    let value_len = u32::try_from(frame.value.len()).expect("value length was checked");
    let mut rest = [0; HEADER - 4];
    let kind = match frame.kind {
        Kind::Put => 1,
        Kind::Delete => 2,
    };
    let fields = crc32c::crc32c(frame.value)
        .to_le_bytes()
        .into_iter()
        .chain([kind, u8::from(frame.first) | u8::from(frame.last) << 1])
        .chain(key_len.to_le_bytes())
        .chain(value_len.to_le_bytes())
        .chain(frame.group_start.to_le_bytes());
    // The last four bytes stay zero.
    for (slot, byte) in rest.iter_mut().zip(fields) {
        *slot = byte;
    }
    let end = out.len() + record_len(frame.key.len(), frame.value.len());
    out.extend_from_slice(&head_crc(place, offset, &rest, frame.key).to_le_bytes());
    out.extend_from_slice(&rest);
    out.extend_from_slice(frame.key);
    out.extend_from_slice(frame.value);
    out.resize(end, 0);
}

fn head_crc(place: Place, offset: u64, rest: &[u8], key: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(&place.salt.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &place.segment.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    crc = crc32c::crc32c_append(crc, rest);
    crc32c::crc32c_append(crc, key)
}

/// The record header at the start of `bytes`, if one stands there; `offset` is where `bytes` begin.
///
/// The value may still be damaged, or reach beyond `bytes`: [`Head::value`] tells.
pub(crate) fn decode(bytes: &[u8], place: Place, offset: u64) -> Option<Head<'_>> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let kind = match header[8] {
        1 => Kind::Put,
        2 => Kind::Delete,
        _ => return None,
    };
    let marks = header[9];
    let key_len = usize::from(u16::from_le_bytes([header[10], header[11]]));
    let value_len = u32_at(header, 12);
    if marks > 3
        || key_len == 0
        || key_len > MAX_KEY_BYTES
        || value_len as usize > MAX_VALUE_BYTES + SEALED_EXTRA
        || u32_at(header, 20) != 0
    {
        return None;
    }
    let key = bytes.get(HEADER..HEADER + key_len)?;
    if head_crc(place, offset, header.get(4..)?, key) != u32_at(header, 0) {
        return None;
    }
    Some(Head {
        kind,
        first: marks & 1 != 0,
        last: marks & 2 != 0,
        group_start: u32_at(header, 16),
        key,
        value_len,
        value_crc: u32_at(header, 4),
    })
}

fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |four| u32::from_le_bytes(*four))
}

/// What a [`Scan`] meets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A record whose header and key are right. `value_ok` is false if its value is damaged.
    Record {
        at: u64,
        head: Head<'a>,
        value_ok: bool,
    },
    /// Bytes that are no record, up to the next record or the last byte that is not zero.
    Damaged { at: u64, len: u64 },
}

/// Walks the records in the bytes of a segment, stepping over damage.
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    base: u64,
    place: Place,
    next: usize,
}

impl<'a> Scan<'a> {
    /// `bytes` begin at `base` of the segment, a multiple of [`ALIGN`], and may end in zero bytes.
    pub(crate) fn new(bytes: &'a [u8], base: u64, place: Place) -> Self {
        Self {
            bytes,
            base,
            place,
            next: 0,
        }
    }

    /// How far it has come, zero bytes at the end not counted.
    pub(crate) fn reached(&self) -> u64 {
        self.base + self.next as u64
    }

    fn head_at(&self, at: usize) -> Option<Head<'a>> {
        decode(self.bytes.get(at..)?, self.place, self.base + at as u64)
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let start = self.next;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        if let Some(head) = self.head_at(start) {
            let value_ok = head.value(rest).is_some();
            self.next = start.saturating_add(head.len()).min(self.bytes.len());
            return Some(Item::Record {
                at: self.base + start as u64,
                head,
                value_ok,
            });
        }
        if is_zero(rest) {
            return None;
        }
        let mut at = start + ALIGN;
        while at < self.bytes.len() && self.head_at(at).is_none() {
            at += ALIGN;
        }
        let damaged = self
            .bytes
            .get(start..at)
            .unwrap_or_else(|| rest.get(..nonzero_len(rest)).unwrap_or(rest));
        self.next = start + damaged.len();
        Some(Item::Damaged {
            at: self.base + start as u64,
            len: damaged.len() as u64,
        })
    }
}

/// Whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks
        .iter()
        .all(|chunk| chunk.iter().fold(0, |or, byte| or | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}

/// Length up to the last byte that is not zero.
pub(crate) fn nonzero_len(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1)
}

/// A record's place and size, as the index keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loc {
    pub(crate) at: Position,
    pub(crate) len: u32,
}

impl Loc {
    pub(crate) const BYTES: usize = 20;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let fields = self
            .at
            .segment
            .to_le_bytes()
            .into_iter()
            .chain(self.at.offset.to_le_bytes())
            .chain(self.len.to_le_bytes());
        for (slot, byte) in out.iter_mut().zip(fields) {
            *slot = byte;
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (segment, rest) = bytes.split_first_chunk::<8>()?;
        let (offset, len) = rest.split_first_chunk::<8>()?;
        Some(Self {
            at: Position {
                segment: u64::from_le_bytes(*segment),
                offset: u64::from_le_bytes(*offset),
            },
            len: u32::from_le_bytes(len.try_into().ok()?),
        })
    }
}
