//! The bytes of blobs: a folder for each space, a file for each blob, `.part` as long as it is
//! not whole. Which of them are stored is said by records ([`super::Store::blob`]); a whole file
//! without a record was about to be, and counts as a partial one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ajar_protocol::{BlobId, SpaceId};

use super::StoreError;
use crate::data::{create_folder, sync_folder};

/// What the name of a file that is not whole ends with.
const PART: &str = "part";

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobFile {
    /// The blob.
    pub blob: BlobId,
    /// Whether all of it is there.
    pub whole: bool,
    /// Its length in bytes.
    pub length: u64,
    /// How long ago it was last written to.
    pub age: Duration,
}

/// Files of blobs. All of it blocks for the disk. At most one at a time writes, finishes or
/// removes a blob; that is for the caller to see to.
pub trait BlobFiles: Send + Sync {
    /// The spaces that have files.
    ///
    /// # Errors
    /// [`StoreError`].
    fn spaces(&self) -> Result<Vec<SpaceId>, StoreError>;

    /// The files of a space, or only those that are not whole.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, space: &SpaceId, only_parts: bool) -> Result<Vec<BlobFile>, StoreError>;

    /// How much of a blob that is not stored is here, in bytes. A whole file becomes a part
    /// again, as if it had just been written; then `true`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&self, space: &SpaceId, blob: &BlobId) -> Result<(u64, bool), StoreError>;

    /// At most `most` bytes from `at` on; none at the end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is no such file.
    fn read(
        &self,
        space: &SpaceId,
        blob: &BlobId,
        whole: bool,
        at: u64,
        most: usize,
    ) -> Result<Vec<u8>, StoreError>;

    /// Writes bytes of a part, which ends with them.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`]; what was there before `at` stays.
    fn write(
        &self,
        space: &SpaceId,
        blob: &BlobId,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError>;

    /// Makes a part durable, then whole, durably.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish(&self, space: &SpaceId, blob: &BlobId) -> Result<(), StoreError>;

    /// Removes a file; it is no error when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&self, space: &SpaceId, blob: &BlobId, whole: bool) -> Result<(), StoreError>;
}

/// Files in a folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Failed(format!("a file of a blob: {error}")),
    }
}

/// The result, or `other` where there is no such file.
fn unless_gone<T>(result: io::Result<T>, other: T) -> Result<T, StoreError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(other),
        result => result.map_err(failed),
    }
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    fn of(&self, space: &SpaceId) -> PathBuf {
        self.root.join(space.to_hex())
    }

    fn path(&self, space: &SpaceId, blob: &BlobId, whole: bool) -> PathBuf {
        let path = self.of(space).join(blob.to_hex());
        if whole {
            path
        } else {
            path.with_extension(PART)
        }
    }
}

/// What a file in the folder of a space is; `None` for what is not ours.
fn read_entry(entry: &fs::DirEntry, only_parts: bool) -> io::Result<Option<BlobFile>> {
    let path = PathBuf::from(entry.file_name());
    let whole = path.extension().is_none();
    let named = path.file_stem().and_then(|stem| stem.to_str());
    let Some(blob) = named.and_then(BlobId::from_hex) else {
        return Ok(None);
    };
    if (only_parts && whole) || (!whole && path.extension().is_none_or(|end| end != PART)) {
        return Ok(None);
    }
    let file = match entry.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    Ok(Some(BlobFile {
        blob,
        whole,
        length: file.len(),
        // A clock that was set back makes it new.
        age: SystemTime::now()
            .duration_since(file.modified()?)
            .unwrap_or_default(),
    }))
}

impl BlobFiles for Folder {
    fn spaces(&self) -> Result<Vec<SpaceId>, StoreError> {
        let Some(entries) = unless_gone(fs::read_dir(&self.root).map(Some), None)? else {
            return Ok(Vec::new());
        };
        let mut spaces = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            spaces.extend(name.to_str().and_then(SpaceId::from_hex));
        }
        Ok(spaces)
    }

    fn list(&self, space: &SpaceId, only_parts: bool) -> Result<Vec<BlobFile>, StoreError> {
        let Some(entries) = unless_gone(fs::read_dir(self.of(space)).map(Some), None)? else {
            return Ok(Vec::new());
        };
        let mut files = Vec::new();
        for entry in entries {
            files.extend(read_entry(&entry.map_err(failed)?, only_parts).map_err(failed)?);
        }
        Ok(files)
    }

    fn begin(&self, space: &SpaceId, blob: &BlobId) -> Result<(u64, bool), StoreError> {
        let (part, whole) = (self.path(space, blob, false), self.path(space, blob, true));
        let whole = unless_gone(fs::rename(whole, &part).map(|()| true), false)?;
        if whole {
            let file = OpenOptions::new().append(true).open(&part);
            file.and_then(|file| file.set_modified(SystemTime::now()))
                .map_err(failed)?;
        }
        let length = unless_gone(fs::metadata(part).map(|file| file.len()), 0)?;
        Ok((length, whole))
    }

    fn read(
        &self,
        space: &SpaceId,
        blob: &BlobId,
        whole: bool,
        at: u64,
        most: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let file = unless_gone(File::open(self.path(space, blob, whole)).map(Some), None)?;
        let mut file = file.ok_or(StoreError::Damaged)?;
        let mut bytes = Vec::with_capacity(most);
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.take(most as u64).read_to_end(&mut bytes))
            .map_err(failed)?;
        Ok(bytes)
    }

    fn write(
        &self,
        space: &SpaceId,
        blob: &BlobId,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.path(space, blob, false);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The first blob of a space: the names of its folders last as its files do.
                let folder = self.of(space);
                create_folder(&folder).map_err(failed)?;
                sync_folder(&self.root).map_err(failed)?;
                self.root
                    .parent()
                    .map_or(Ok(()), sync_folder)
                    .map_err(failed)?;
                options.open(&path).map_err(failed)?
            }
            file => file.map_err(failed)?,
        };
        let end = at + bytes.len() as u64;
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(bytes))
            .and_then(|()| match file.metadata()?.len() {
                length if length > end => file.set_len(end),
                _ => Ok(()),
            })
            .map_err(failed)
    }

    fn finish(&self, space: &SpaceId, blob: &BlobId) -> Result<(), StoreError> {
        let part = self.path(space, blob, false);
        // Only a file that may be written to can be synced everywhere.
        let file = OpenOptions::new().append(true).open(&part);
        file.and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(part, self.path(space, blob, true)).map_err(failed)?;
        sync_folder(&self.of(space)).map_err(failed)
    }

    fn remove(&self, space: &SpaceId, blob: &BlobId, whole: bool) -> Result<(), StoreError> {
        unless_gone(fs::remove_file(self.path(space, blob, whole)), ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn files_and_folders_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("blobs"));
        let (space, blob) = (SpaceId([1; 32]), BlobId([2; 32]));
        folder.write(&space, &blob, 0, b"sealed").unwrap();
        folder.finish(&space, &blob).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.root), 0o700);
        assert_eq!(mode(&folder.of(&space)), 0o700);
        assert_eq!(mode(&folder.path(&space, &blob, true)), 0o600);
    }

    #[test]
    fn what_is_not_ours_in_the_folder_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let space = SpaceId([1; 32]);
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        fs::create_dir(folder.of(&space)).unwrap();
        for name in [
            "note.txt",
            "abc",
            &format!("{}.old", BlobId([3; 32]).to_hex()),
        ] {
            fs::write(folder.of(&space).join(name), b"a note").unwrap();
        }
        assert_eq!(folder.spaces(), Ok(vec![space]));
        assert_eq!(folder.list(&space, false), Ok(Vec::new()));
    }
}
