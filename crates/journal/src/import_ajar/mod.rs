//! Reading an archive that an export wrote (`docs/export-format.md`), on its way into the private
//! space.
//!
//! Whatever is in an archive may have been written by anybody. Nothing of it becomes a path, sizes
//! are bounded before memory is taken, and a record that does not hold is skipped with a reason.
//! An archive is looked through once ([`Archive::survey`]) before anything is kept of it.

mod json;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use zeroize::Zeroizing;
use zip::ZipArchive;
use zip::result::ZipError;

pub use record::{Bytes, Record, Why};

use crate::export::archive::{DATA, MEDIA, sha256};
use crate::export::manifest::{Expected, MANIFEST, Print, Printing};
use crate::export::{FORMAT, VERSION};
use crate::schema;

/// Most files in an archive.
const FILES_MAX: usize = 500_000;
/// Largest `data.json`, in bytes.
const DATA_MAX: u64 = 4 << 30;
/// What may come out of an archive, for each byte it has, and besides. Photos hardly get smaller
/// when they are packed, and texts by less than ten.
const EXPANSION_MAX: u64 = 64;
const EXPANSION_BESIDES: u64 = 64 << 20;
/// Largest `manifest.json`, in bytes: a line and a half for each file.
const MANIFEST_MAX: u64 = 256 << 20;
/// Most records in an archive.
const RECORDS_MAX: usize = 1_000_000;
/// Most bytes that are looked at to see what a file is.
const BEGINNING: u64 = 256;

/// Why an archive as a whole is not read. Nothing was kept of it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is no zip, or a damaged one.
    #[error("this is no archive that can be read, or it was cut short; copy it anew and try again")]
    NoArchive,
    /// It is a zip of something else.
    #[error("this archive was not written by Ajar; it has no `data.json` that says so")]
    NotAjar,
    /// A newer version wrote it.
    #[error("a newer version of Ajar wrote this archive (layout {0}); update Ajar and try again")]
    Newer(u64),
    /// It has names that lead elsewhere, links, a passphrase, or the same place twice.
    #[error(
        "this archive holds something that no export writes ({0}); it was changed after it was written, so nothing of it was read"
    )]
    Strange(&'static str),
    /// What would come out of it is out of all proportion.
    #[error(
        "far more would come out of this archive than any export puts into one; nothing of it was read"
    )]
    TooLarge,
    /// `data.json` is not as it should be.
    #[error("`data.json` in this archive is damaged at line {0}; nothing of it was read")]
    Damaged(usize),
    /// `data.json` is not what `manifest.json` says.
    #[error(
        "`data.json` in this archive was changed after it was written: it is not what `manifest.json` says of it; nothing of it was read"
    )]
    Changed,
    /// `manifest.json` is not as it should be.
    #[error(
        "`manifest.json` in this archive is damaged, so nothing vouches for the rest; nothing of it was read"
    )]
    NoManifest,
    /// A record is larger or deeper than any.
    #[error("a record in this archive is larger than a journal can write; nothing of it was read")]
    RecordTooLarge,
    /// It could not be read.
    #[error("the archive cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// Why a photo or file is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMedia {
    /// The archive never had it.
    #[error("it was not in the archive when that was written")]
    NotThere,
    /// It is not in the archive, though the archive says so.
    #[error("it is missing in the archive")]
    Missing,
    /// It is not what its name says.
    #[error("it is damaged: its content is not what its name says")]
    Damaged,
}

/// Something of an archive that is not kept, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What, by its place or id.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// What looking through an archive showed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Ids of the records that can be kept.
    pub ids: BTreeSet<String>,
    /// What cannot.
    pub skipped: Vec<Skipped>,
    /// Photos that are left out: record, photo and why.
    pub without: Vec<(String, String, NoMedia)>,
    /// How many photos there are to be kept.
    pub photos: usize,
}

crate::redacted_debug!(Skipped, Survey);

impl From<ZipError> for Refused {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Self::Read(error)
            }
            _ => Self::NoArchive,
        }
    }
}

/// Whether a file is an archive of Ajar, by its beginning; its other contents are not looked at.
pub fn is_ajar<R: Read + Seek>(reader: R) -> bool {
    let Ok(mut zip) = ZipArchive::new(reader) else {
        return false;
    };
    let Ok(data) = zip.by_name(DATA) else {
        return false;
    };
    let mut beginning = Vec::new();
    if data.take(BEGINNING).read_to_end(&mut beginning).is_err() {
        return false;
    }
    let words: String = String::from_utf8_lossy(&beginning)
        .split_whitespace()
        .collect();
    words.starts_with(&format!("{{\"format\":\"{FORMAT}\""))
}

/// An archive that may be read.
pub struct Archive<R: Read + Seek> {
    /// The same archive twice: photos are read while `data.json` is.
    data: ZipArchive<R>,
    media: ZipArchive<R>,
    /// Bytes that may come out of it.
    room: u64,
    /// What `data.json` was when it was written, if the archive says so.
    expected: Option<Print>,
}

impl<R: Read + Seek> fmt::Debug for Archive<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Opens an archive. `again` is the same file, opened by itself.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(mut reader: R, again: R) -> Result<Self, Refused> {
        let size = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        let mut data = ZipArchive::new(reader)?;
        look_at_names(&mut data)?;
        if data.index_for_name(DATA).is_none() {
            return Err(Refused::NotAjar);
        }
        let room = size.saturating_mul(EXPANSION_MAX);
        let room = room.saturating_add(EXPANSION_BESIDES);
        let expected = manifest(&mut data, room)?;
        Ok(Self {
            data,
            media: ZipArchive::new(again)?,
            room,
            expected,
        })
    }

    /// Looks all of it through. `here` has the records that are in the journal already, by the id
    /// they have in an archive: they are not wanted again.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn survey(&mut self, here: &BTreeMap<String, String>) -> Result<Survey, Refused> {
        let mut survey = Survey::default();
        let mut bytes = self.data.by_name(DATA)?.size();
        let media = &self.media;
        let mut records = 0;
        let print = read_data(&mut self.data, self.room, &mut |number, value| {
            records += 1;
            if records > RECORDS_MAX {
                return Err(Refused::TooLarge);
            }
            let record = Record::of(value).and_then(|record| {
                if here.contains_key(record.id()) {
                    return Err((record.id().to_owned(), Why::AlreadyHere));
                }
                if survey.ids.contains(record.id()) {
                    return Err((record.id().to_owned(), Why::Twice));
                }
                record
                    .check()
                    .map_err(|why| (record.id().to_owned(), why))?;
                Ok(record)
            });
            let record = match record {
                Ok(record) => record,
                Err((id, why)) => {
                    let what = if id.is_empty() {
                        format!("record {number}")
                    } else {
                        id
                    };
                    survey.skipped.push(Skipped { what, why });
                    return Ok(());
                }
            };
            for (photo, file) in record.photos() {
                match size_of(media, file) {
                    Ok(size) => {
                        bytes = bytes.saturating_add(size);
                        survey.photos += 1;
                    }
                    Err(why) => {
                        let place = (record.id().to_owned(), photo.to_owned(), why);
                        survey.without.push(place);
                    }
                }
            }
            survey.ids.insert(record.id().to_owned());
            Ok(())
        })?;
        if bytes > self.room {
            return Err(Refused::TooLarge);
        }
        if self.expected.as_ref().is_some_and(|one| *one != print) {
            return Err(Refused::Changed);
        }
        Ok(survey)
    }

    /// Hands out the records that a survey found, one at a time, each with a way to its photos.
    ///
    /// # Errors
    /// [`Refused`], or what `keep` says.
    #[expect(
        clippy::type_complexity,
        reason = "a type of its own would hide that it is a function handed in"
    )]
    pub fn each<E: From<Refused>>(
        &mut self,
        survey: &Survey,
        keep: &mut dyn FnMut(Record, &mut Media<'_, R>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        let mut media = Media(&mut self.media);
        let mut seen = BTreeSet::new();
        let read = read_data(&mut self.data, self.room, &mut |_, value| {
            let Ok(record) = Record::of(value) else {
                return Ok(());
            };
            if !survey.ids.contains(record.id()) || !seen.insert(record.id().to_owned()) {
                return Ok(());
            }
            keep(record, &mut media).map_err(|error| {
                failed = Some(error);
                Refused::TooLarge
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(read.map(drop)?),
        }
    }
}

/// The photos and files of an archive.
pub struct Media<'a, R: Read + Seek>(&'a mut ZipArchive<R>);

impl<R: Read + Seek> fmt::Debug for Media<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").finish_non_exhaustive()
    }
}

impl<R: Read + Seek> Media<'_, R> {
    /// The bytes of a photo, if they are what its name says.
    ///
    /// # Errors
    /// [`NoMedia`].
    pub fn bytes(&mut self, file: Option<&str>) -> Result<Zeroizing<Vec<u8>>, NoMedia> {
        let size = size_of(self.0, file)?;
        let name = file.ok_or(NoMedia::NotThere)?;
        let found = self.0.by_name(name).map_err(|_| NoMedia::Missing)?;
        let mut bytes = Zeroizing::new(Vec::new());
        // What is longer than it says is looked at no further.
        let read = found.take(size.saturating_add(1)).read_to_end(&mut bytes);
        let holds = read.is_ok()
            && bytes.len() as u64 == size
            && hash_of(name).is_some_and(|hash| hash == sha256(&bytes));
        if holds {
            Ok(bytes)
        } else {
            Err(NoMedia::Damaged)
        }
    }
}

/// How long a photo says that it is.
fn size_of<R: Read + Seek>(zip: &ZipArchive<R>, file: Option<&str>) -> Result<u64, NoMedia> {
    let name = file.ok_or(NoMedia::NotThere)?;
    hash_of(name).ok_or(NoMedia::Damaged)?;
    let index = zip.index_for_name(name).ok_or(NoMedia::Missing)?;
    let size = zip
        .by_index_data(index)
        .map_err(|_| NoMedia::Damaged)?
        .size();
    if (1..=schema::PHOTO_BYTES_MAX).contains(&size) {
        Ok(size)
    } else {
        Err(NoMedia::Damaged)
    }
}

/// The hash in the name of a photo; `None` for what is no such name.
fn hash_of(name: &str) -> Option<&str> {
    let name = name.strip_prefix(MEDIA)?.strip_prefix('/')?;
    let (hash, ending) = name.split_once('.')?;
    let hex = hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let plain = ending.bytes().all(|b| b.is_ascii_alphanumeric());
    (hash.len() == 64 && hex && plain && (1..=8).contains(&ending.len())).then_some(hash)
}

fn look_at_names<R: Read + Seek>(zip: &mut ZipArchive<R>) -> Result<(), Refused> {
    if zip.len() > FILES_MAX {
        return Err(Refused::Strange("more files than any journal has"));
    }
    if zip.has_duplicate_names() {
        return Err(Refused::Strange("one name twice"));
    }
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index)?;
        if entry.is_symlink() {
            return Err(Refused::Strange("a link"));
        }
        if entry.encrypted() {
            return Err(Refused::Strange("a file with a passphrase"));
        }
        let raw = entry.name_raw();
        let leads = raw.starts_with(b"/")
            || raw.iter().any(|b| matches!(b, b'\\' | b':' | 0))
            || raw.split(|b| *b == b'/').any(|part| part == b"..");
        if leads {
            return Err(Refused::Strange("a name that leads elsewhere"));
        }
    }
    if zip.has_overlapping_files()? {
        return Err(Refused::Strange("files that share their bytes"));
    }
    Ok(())
}

/// What `manifest.json` says of `data.json`; `None` if there is no manifest, as in what other
/// programs and the first versions wrote.
fn manifest<R: Read + Seek>(zip: &mut ZipArchive<R>, room: u64) -> Result<Option<Print>, Refused> {
    let Some(index) = zip.index_for_name(MANIFEST) else {
        return Ok(None);
    };
    let manifest = zip.by_index(index)?;
    let size = manifest.size();
    if size > room.min(MANIFEST_MAX) {
        return Err(Refused::TooLarge);
    }
    let read: Expected = match serde_json::from_reader(BufReader::new(manifest.take(size))) {
        Ok(read) => read,
        Err(_) => return Err(Refused::NoManifest),
    };
    if read.version > VERSION {
        return Err(Refused::Newer(read.version));
    }
    Ok(Some(read.files.data))
}

type Each<'a> = &'a mut dyn FnMut(usize, serde_json::Value) -> Result<(), Refused>;

fn read_data<R: Read + Seek>(
    zip: &mut ZipArchive<R>,
    room: u64,
    each: Each<'_>,
) -> Result<Print, Refused> {
    let data = zip.by_name(DATA)?;
    if data.size() > room.min(DATA_MAX) {
        return Err(Refused::TooLarge);
    }
    // Its size is what it says of itself: no more is read.
    let size = data.size();
    let mut data = Printing::new(data.take(size));
    let head = json::read(&mut data, each)?;
    match (head.format.as_deref(), head.version) {
        (Some(FORMAT), Some(version)) if version == VERSION => Ok(data.print()),
        (Some(FORMAT), Some(newer)) if newer > VERSION => Err(Refused::Newer(newer)),
        _ => Err(Refused::NotAjar),
    }
}

#[cfg(test)]
mod tests;
