//! One segment: a preallocated file of records.
//!
//! The first 4 KiB hold the header twice (at 0 and at 2048), so that one bad sector does not take
//! the salt, without which no record of the segment can be checked:
//!
//! ```text
//! "AJARLOG" | u8 version 1 | u64 segment | u64 salt | u32 crc32c of all before
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Error, Position,
    disk::{Disk, DiskFile},
    record::{self, Place},
};

/// Where records begin.
pub(crate) const DATA_START: u64 = 4096;
const SECOND_HEADER: u64 = 2048;
const MAGIC: &[u8; 7] = b"AJARLOG";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 28;

/// An open segment file.
pub(crate) struct Segment {
    pub(crate) place: Place,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl Segment {
    /// Makes and syncs an empty segment of `len` bytes. On failure no file is left behind.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        place: Place,
        len: u64,
    ) -> Result<Self, Error> {
        let path = path_of(dir, place.segment);
        let made = (|| -> io::Result<Self> {
            let file = disk.create(&path, len)?;
            let header = header_bytes(place);
            file.write_at(&header, 0)?;
            file.write_at(&header, SECOND_HEADER)?;
            file.sync_all()?;
            disk.sync_dir(dir)?;
            Ok(Self { place, file })
        })();
        made.map_err(|error| {
            // Best effort: what stays has no records and is removed at the next open.
            let _ = disk.remove(&path);
            Error::io("make a new segment file")(error)
        })
    }

    /// Opens segment `number`; `None` if its header is nowhere to be read.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Option<Self>, Error> {
        let file = disk
            .open(&path_of(dir, number))
            .map_err(Error::io("open a segment file"))?;
        for offset in [0, SECOND_HEADER] {
            let mut header = [0; HEADER_BYTES];
            let got = file
                .read_at(&mut header, offset)
                .map_err(Error::io("read a segment file"))?;
            if got == HEADER_BYTES
                && let Some((version, place)) = parse_header(&header)
                && place.segment == number
            {
                if version != VERSION {
                    return Err(Error::Version { segment: number });
                }
                return Ok(Some(Self { place, file }));
            }
        }
        Ok(None)
    }

    /// All bytes from `from` to the end of the file.
    pub(crate) fn read_from(&self, from: u64) -> Result<Vec<u8>, Error> {
        let read = || -> io::Result<Vec<u8>> {
            let len = self.file.len()?.saturating_sub(from);
            let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            let got = self.file.read_at(&mut bytes, from)?;
            bytes.truncate(got);
            Ok(bytes)
        };
        read().map_err(Error::io("read a segment file"))
    }

    /// The bytes of the record at `offset`, its length known (`len`) or to be read first.
    ///
    /// Whatever stands there is returned; the caller decodes it with [`record::decode`].
    pub(crate) fn read_record(&self, offset: u64, len: Option<u32>) -> Result<Vec<u8>, Error> {
        let probe = len.map_or(record::HEADER + crate::MAX_KEY_BYTES, |len| len as usize);
        let mut bytes = self.read_exactly(offset, probe)?;
        if len.is_none()
            && let Some(full) = record::decode(&bytes, self.place, offset).map(|head| head.len())
            && full > bytes.len()
        {
            bytes = self.read_exactly(offset, full)?;
        }
        Ok(bytes)
    }

    fn read_exactly(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len];
        let got = self
            .file
            .read_at(&mut bytes, offset)
            .map_err(Error::io("read a segment file"))?;
        bytes.truncate(got);
        Ok(bytes)
    }

    /// The position of `offset` in this segment.
    pub(crate) fn at(&self, offset: u64) -> Position {
        Position {
            segment: self.place.segment,
            offset,
        }
    }
}

/// The file of a segment.
pub(crate) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.seg"))
}

/// Numbers of the segments in `dir`, ascending.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, Error> {
    let names = disk
        .list(dir)
        .map_err(Error::io("list the segment files"))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| {
            let digits = name.strip_suffix(".seg")?;
            let number = u64::from_str_radix(digits, 16).ok()?;
            (format!("{number:016x}") == digits).then_some(number)
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn header_bytes(place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&place.segment.to_le_bytes());
    out.extend_from_slice(&place.salt.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

fn parse_header(bytes: &[u8; HEADER_BYTES]) -> Option<(u8, Place)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = body.split_first_chunk::<7>()?;
    let (version, rest) = rest.split_first()?;
    let (segment, salt) = rest.split_first_chunk::<8>()?;
    if magic != MAGIC || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let salt = u64::from_le_bytes(salt.try_into().ok()?);
    Some((
        *version,
        Place {
            segment: u64::from_le_bytes(*segment),
            salt,
        },
    ))
}
