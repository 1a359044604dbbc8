//! A look at the bytes of an Automerge change before Automerge sees them (protocol §2.6,
//! D14). Automerge 0.12 expands run-length encoding and DEFLATE without a bound: a valid
//! change of 127 bytes can hold ten million operations. Everything here is linear in the
//! length of the input and allocates a list of at most 64 columns.

use thiserror::Error;

/// Dependencies of one change.
pub const MAX_DEPS: u64 = 256;
/// Actors that one change may mention besides its own.
pub const MAX_ACTORS: u64 = 64;
/// Rows that a column may expand to: operations of one change.
pub const MAX_ROWS: u64 = 50_000;
/// Columns of one change; Automerge writes fewer than twenty.
const MAX_COLUMNS: u64 = 64;
/// Actors that have written into one document: every device of two people, some of them anew.
const MAX_DOCUMENT_ACTORS: u64 = 4096;
/// Rows of a column of a document that its length allows: a few bytes may stand for many rows,
/// but honest documents hold words.
const ROWS_PER_BYTE: u64 = 16;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHUNK_DOCUMENT: u8 = 0;
const CHUNK_CHANGE: u8 = 1;
const DEFLATE: u64 = 0b1000;

/// Why a change is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// It is not a chunk of Automerge, or cut short.
    #[error("not an Automerge change")]
    NotAChange,
    /// A document, a compressed change or a bundle.
    #[error("a kind of chunk that is not accepted")]
    ChunkType,
    /// The chunk is longer or shorter than its item.
    #[error("the length does not match")]
    Length,
    /// Too many dependencies, actors, columns or operations.
    #[error("over a limit")]
    TooMany,
    /// A compressed column.
    #[error("a compressed column")]
    Compressed,
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn take(&mut self, n: u64) -> Result<&'a [u8], Refused> {
        let n = usize::try_from(n).map_err(|_| Refused::NotAChange)?;
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Refused::NotAChange)?;
        self.rest = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Refused> {
        let (first, tail) = self.rest.split_first().ok_or(Refused::NotAChange)?;
        self.rest = tail;
        Ok(*first)
    }

    fn unsigned(&mut self) -> Result<u64, Refused> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Refused::NotAChange);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Refused::NotAChange)
    }

    fn signed(&mut self) -> Result<i64, Refused> {
        let mut value: i64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if shift < 57 && byte & 0x40 != 0 {
                    value |= -1i64 << (shift + 7);
                }
                return Ok(value);
            }
        }
        Err(Refused::NotAChange)
    }
}

/// Checks one change chunk. On success, Automerge's parser will not expand it beyond
/// [`MAX_ROWS`] rows a column.
///
/// # Errors
/// [`Refused`].
pub fn prescan(change: &[u8]) -> Result<(), Refused> {
    let mut scan = Scan { rest: change };
    if scan.take(4)? != MAGIC {
        return Err(Refused::NotAChange);
    }
    scan.take(4)?;
    if scan.byte()? != CHUNK_CHANGE {
        return Err(Refused::ChunkType);
    }
    if scan.unsigned()? != scan.rest.len() as u64 {
        return Err(Refused::Length);
    }
    let deps = scan.unsigned()?;
    if deps > MAX_DEPS {
        return Err(Refused::TooMany);
    }
    scan.take(deps * 32)?;
    let actor = scan.unsigned()?;
    scan.take(actor)?;
    scan.unsigned()?; // seq
    scan.unsigned()?; // start op
    scan.signed()?; // time
    let message = scan.unsigned()?;
    scan.take(message)?;
    let actors = scan.unsigned()?;
    if actors > MAX_ACTORS {
        return Err(Refused::TooMany);
    }
    for _ in 0..actors {
        let length = scan.unsigned()?;
        scan.take(length)?;
    }
    let columns = columns(&mut scan)?;
    for (spec, length) in columns {
        rows(spec & 0b111, scan.take(length)?, MAX_ROWS)?;
    }
    Ok(())
}

/// Checks one saved document, which is a chunk of another kind. On success, Automerge's parser
/// will not expand it beyond the number of rows that is returned, in any column.
///
/// # Errors
/// [`Refused`].
pub fn prescan_document(saved: &[u8]) -> Result<u64, Refused> {
    let mut scan = Scan { rest: saved };
    if scan.take(4)? != MAGIC {
        return Err(Refused::NotAChange);
    }
    scan.take(4)?;
    if scan.byte()? != CHUNK_DOCUMENT {
        return Err(Refused::ChunkType);
    }
    if scan.unsigned()? != scan.rest.len() as u64 {
        return Err(Refused::Length);
    }
    let actors = scan.unsigned()?;
    if actors > MAX_DOCUMENT_ACTORS {
        return Err(Refused::TooMany);
    }
    for _ in 0..actors {
        let length = scan.unsigned()?;
        scan.take(length)?;
    }
    let heads = scan.unsigned()?;
    if heads > MAX_DEPS.saturating_mul(4) {
        return Err(Refused::TooMany);
    }
    scan.take(heads * 32)?;
    let changes = columns(&mut scan)?;
    let operations = columns(&mut scan)?;
    let most = (saved.len() as u64)
        .saturating_mul(ROWS_PER_BYTE)
        .saturating_add(MAX_ROWS)
        .min(super::MAX_DOCUMENT_OPS);
    let mut largest = 0;
    for (spec, length) in changes.into_iter().chain(operations) {
        largest = rows(spec & 0b111, scan.take(length)?, most)?.max(largest);
    }
    Ok(largest)
}

/// Reads the list of columns: specification and length of each.
fn columns(scan: &mut Scan<'_>) -> Result<Vec<(u64, u64)>, Refused> {
    let n = scan.unsigned()?;
    if n > MAX_COLUMNS {
        return Err(Refused::TooMany);
    }
    let mut columns = Vec::new();
    for _ in 0..n {
        let spec = scan.unsigned()?;
        if spec & DEFLATE != 0 {
            return Err(Refused::Compressed);
        }
        columns.push((spec, scan.unsigned()?));
    }
    Ok(columns)
}

/// Adds up the runs of one column, up to `most`. Column types are the low three bits of its
/// spec.
fn rows(column_type: u64, data: &[u8], most: u64) -> Result<u64, Refused> {
    let mut scan = Scan { rest: data };
    let mut total: u64 = 0;
    let mut grouped: u64 = 0;
    while !scan.rest.is_empty() {
        match column_type {
            // Raw bytes of values: no runs.
            7 => return Ok(0),
            // Boolean: alternating counts.
            4 => total = total.saturating_add(scan.unsigned()?),
            _ => {
                let run = scan.signed()?;
                let (count, values) = match run {
                    0 => (scan.unsigned()?, 0),
                    1.. => (run.unsigned_abs(), 1),
                    _ => (run.unsigned_abs(), run.unsigned_abs()),
                };
                total = total.saturating_add(count);
                if total > most {
                    return Err(Refused::TooMany);
                }
                for _ in 0..values {
                    match column_type {
                        // A group says how many rows of its columns belong to one operation.
                        0 => {
                            let repeats = if run > 0 { count } else { 1 };
                            grouped =
                                grouped.saturating_add(scan.unsigned()?.saturating_mul(repeats));
                            if grouped > most {
                                return Err(Refused::TooMany);
                            }
                        }
                        3 => {
                            scan.signed()?;
                        }
                        5 => {
                            let length = scan.unsigned()?;
                            scan.take(length)?;
                        }
                        _ => {
                            scan.unsigned()?;
                        }
                    }
                }
            }
        }
        if total > most {
            return Err(Refused::TooMany);
        }
    }
    Ok(total.max(grouped))
}
