//! A zip that anybody may have made. Nothing is written anywhere, members are read one by one, and
//! nothing that the zip says about a length is believed.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::{CompressionMethod, ZipArchive};

use super::members::{Member, Members, Unfit, safe_name};
use super::{MEMBERS_MAX, Refused, Skipped};
use crate::text::displayable_line;

/// Most bytes that may be read to learn what is in a zip: its list of members comes into memory.
const LIST_BYTES_MAX: u64 = 32 << 20;
/// How much larger than its packed form a member may be. Ordinary text stays below 20; the most
/// that the packing can do is 1032.
const RATIO_MAX: u64 = 200;
/// A member of so many bytes may be packed as well as it likes.
const RATIO_FREE: u64 = 4 << 20;
/// How much may be read of members altogether besides [`RATIO_MAX`] times the zip: many names for the
/// same packed bytes are a bomb too.
const TOTAL_FREE: u64 = 64 << 20;

/// The members of a zip.
pub struct Archive<R> {
    zip: ZipArchive<Metered<R>>,
    list: Vec<Member>,
    /// For each of `list`, its place in the zip.
    places: Vec<usize>,
    left_out: Vec<Skipped>,
    length: u64,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl<R> std::fmt::Debug for Archive<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Reads which members a zip has.
    ///
    /// # Errors
    /// [`Refused::BadArchive`], [`Refused::TooManyMembers`].
    pub fn open(mut reader: R) -> Result<Self, Refused> {
        let length = reader
            .seek(SeekFrom::End(0))
            .map_err(|_| Refused::BadArchive)?;
        let left = Rc::new(Cell::new(LIST_BYTES_MAX));
        let metered = Metered {
            inner: reader,
            left: Rc::clone(&left),
        };
        let zip = ZipArchive::new(metered).map_err(|_| match left.get() {
            0 => Refused::TooManyMembers,
            _ => Refused::BadArchive,
        })?;
        // From here on each read is bounded by itself.
        left.set(u64::MAX);
        if zip.len() > MEMBERS_MAX {
            return Err(Refused::TooManyMembers);
        }
        let total = length.saturating_mul(RATIO_MAX);
        let mut archive = Self {
            zip,
            list: Vec::new(),
            places: Vec::new(),
            left_out: Vec::new(),
            length,
            left: total.saturating_add(TOTAL_FREE),
        };
        if archive.zip.has_duplicate_names() {
            archive.left_out.push(Skipped {
                what: "a file whose name is in the zip twice".to_owned(),
                why: "only the last one of that name counts".to_owned(),
            });
        }
        for place in 0..archive.zip.len() {
            archive.note(place)?;
        }
        Ok(archive)
    }

    /// Takes a member into the list, or says why not.
    fn note(&mut self, place: usize) -> Result<(), Refused> {
        let (name, size, link) = {
            let entry = self
                .zip
                .by_index_data(place)
                .map_err(|_| Refused::BadArchive)?;
            if entry.is_dir() {
                return Ok(());
            }
            // Much is UTF-8 without saying so.
            let name = match std::str::from_utf8(entry.name_raw()) {
                Ok(name) => name.to_owned(),
                Err(_) => match entry.name() {
                    Ok(name) => name.into_owned(),
                    Err(_) => String::from_utf8_lossy(entry.name_raw()).into_owned(),
                },
            };
            (name, entry.size(), entry.is_symlink())
        };
        let safe = match safe_name(&name) {
            Ok(safe) if !link => Ok(safe),
            Ok(_) => Err("it is a link to another file"),
            Err(why) => Err(why),
        };
        match safe {
            Ok(name) if is_noise(&name) => {}
            Ok(name) => {
                self.list.push(Member { name, size });
                self.places.push(place);
            }
            Err(why) if self.left_out.len() < super::SKIPPED_MAX => {
                let shown: String = name.chars().take(200).collect();
                self.left_out.push(Skipped {
                    what: displayable_line(&shown),
                    why: why.to_owned(),
                });
            }
            Err(_) => {}
        }
        Ok(())
    }
}

/// What systems put into zips beside what people put there.
fn is_noise(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/")
        || last.starts_with("._")
        || matches!(last, ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

impl<R: Read + Seek> Members for Archive<R> {
    fn list(&self) -> &[Member] {
        &self.list
    }

    fn left_out(&self) -> &[Skipped] {
        &self.left_out
    }

    fn read(&mut self, place: usize, most: u64) -> Result<Vec<u8>, Unfit> {
        let place = self.places.get(place).ok_or(Unfit::Unreadable)?;
        let entry = self
            .zip
            .by_index_data(*place)
            .map_err(|_| Unfit::Unreadable)?;
        if entry.encrypted() {
            return Err(Unfit::Locked);
        }
        let method = entry.compression();
        if !matches!(
            method,
            CompressionMethod::Stored | CompressionMethod::Deflated
        ) {
            return Err(Unfit::UnknownPacking);
        }
        if entry.size() > most {
            return Err(Unfit::TooLarge);
        }
        let file = self.zip.by_index(*place).map_err(|_| Unfit::Damaged)?;
        let packed = file.compressed_size().min(self.length);
        let plausible = packed.saturating_mul(RATIO_MAX).max(RATIO_FREE);
        let allowed = most.min(plausible).min(self.left);
        let mut bytes = Vec::new();
        let read = file.take(allowed.saturating_add(1)).read_to_end(&mut bytes);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(length);
        if length > most {
            return Err(Unfit::TooLarge);
        }
        if length > allowed {
            return Err(Unfit::Bomb);
        }
        read.map_err(|_| Unfit::Damaged)?;
        Ok(bytes)
    }
}

/// A reader that gives only so much.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("more than may be read"));
        }
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(part) = buffer.get_mut(..most) else {
            return Ok(0);
        };
        let read = self.inner.read(part)?;
        if left != u64::MAX {
            let taken = u64::try_from(read).unwrap_or(left);
            self.left.set(left.saturating_sub(taken));
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
