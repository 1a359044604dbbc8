//! Up to where the index is known good, kept outside the index.
//!
//! ```text
//! "AJARCKPT" | u64 generation | u64 segment | u64 offset | u32 n
//! n times { u64 number | u64 salt | u64 used | u64 delete_bytes | u8 ending } | u32 crc32c
//! ```
//!
//! Replaced as a whole (temp file, sync, rename, sync of the folder). Without it, or if its
//! checksum is wrong, the index is rebuilt from the log.

use std::{io, path::Path};

use crate::{Error, Position, disk::Disk};

const MAGIC: &[u8; 8] = b"AJARCKPT";
const FILE: &str = "checkpoint";
const TEMP: &str = "checkpoint.new";
/// Above a million segments, 64 TiB at the default size, no checkpoint is believed.
const MAX_BYTES: u64 = 40 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Which index folder.
    pub(crate) generation: u64,
    /// The index holds every record before this.
    pub(crate) upto: Position,
    pub(crate) segments: Vec<Known>,
}

/// What was known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) used: u64,
    pub(crate) delete_bytes: u64,
    pub(crate) ending: bool,
}

impl Checkpoint {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.upto.segment.to_le_bytes());
        out.extend_from_slice(&self.upto.offset.to_le_bytes());
        let count = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for known in &self.segments {
            for number in [known.number, known.salt, known.used, known.delete_bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.push(u8::from(known.ending));
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let generation = take_u64(&mut rest)?;
        let upto = Position {
            segment: take_u64(&mut rest)?,
            offset: take_u64(&mut rest)?,
        };
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut segments = Vec::new();
        for _ in 0..u32::from_le_bytes(*count) {
            segments.push(Known {
                number: take_u64(&mut rest)?,
                salt: take_u64(&mut rest)?,
                used: take_u64(&mut rest)?,
                delete_bytes: take_u64(&mut rest)?,
                ending: {
                    let (ending, after) = rest.split_first()?;
                    rest = after;
                    *ending == 1
                },
            });
        }
        rest.is_empty().then_some(Self {
            generation,
            upto,
            segments,
        })
    }

    /// The checkpoint of this log, if there is a good one.
    pub(crate) fn load(disk: &dyn Disk, root: &Path) -> Result<Option<Self>, Error> {
        let read = || -> io::Result<Vec<u8>> {
            let file = disk.open(&root.join(FILE))?;
            let len = file.len()?.min(MAX_BYTES);
            let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            let got = file.read_at(&mut bytes, 0)?;
            bytes.truncate(got);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Self::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read the checkpoint")(error)),
        }
    }

    /// Makes this the checkpoint, durably.
    pub(crate) fn store(&self, disk: &dyn Disk, root: &Path) -> Result<(), Error> {
        let (temp, file) = (root.join(TEMP), root.join(FILE));
        let write = || -> io::Result<()> {
            match disk.remove(&temp) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let new = disk.create(&temp, 0)?;
            new.write_at(&self.encode(), 0)?;
            new.sync_all()?;
            disk.rename(&temp, &file)?;
            disk.sync_dir(root)
        };
        write().map_err(Error::io("write the checkpoint"))
    }

    /// Takes the checkpoint away, durably, so that the next open rebuilds the index.
    pub(crate) fn remove(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
        let remove = || match disk.remove(&root.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => disk.sync_dir(root),
        };
        remove().map_err(Error::io("remove the checkpoint"))
    }
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let known = Known {
            number: 3,
            salt: 9,
            used: 5000,
            delete_bytes: 40,
            ending: true,
        };
        Checkpoint {
            generation: 7,
            upto: Position {
                segment: 4,
                offset: 4096,
            },
            segments: vec![
                known,
                Known {
                    number: 4,
                    ending: false,
                    ..known
                },
            ],
        }
    }

    #[test]
    fn a_checkpoint_reads_back_as_it_was_written() {
        assert_eq!(Checkpoint::decode(&sample().encode()), Some(sample()));
    }

    #[test]
    fn a_checkpoint_with_a_changed_missing_or_extra_byte_is_not_believed() {
        let good = sample().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(Checkpoint::decode(&bad), None, "byte {at} changed");
            assert_eq!(Checkpoint::decode(&good[..at]), None, "cut at {at}");
        }
        let mut long = good;
        long.push(0);
        assert_eq!(Checkpoint::decode(&long), None);
    }

    #[test]
    fn a_count_larger_than_the_file_is_refused_before_anything_is_reserved() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0; 24]);
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        assert_eq!(Checkpoint::decode(&bytes), None);
    }
}
