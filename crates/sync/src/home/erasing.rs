//! Destroying a home on this device (protocol §2.19): first the keys, after which the rest is
//! noise, then the rest. What is not ours stays, and is named. Every step can be repeated, so
//! a death in the middle is made up for by doing it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ajar_protocol::genesis::SpaceKind;

use super::keyfile::{sync_dir, temporary};
use super::lock::{LOCK, Lock};
use super::remains::{ERASING, STORE_FILES, UNFINISHED, gone, own_dir};
use super::{Home, NO_FOLLOW, VAULT, keys_path, store_path};
use crate::blobs::is_ours;
use crate::error::Error;

/// Text that an editor had, in a folder of its own: `draft-PID-MS/`.
const DRAFT: &str = "draft-";
/// The first bytes of a segment of a log.
const SEGMENT: &[u8] = b"AJARLOG";
/// Largest piece that is overwritten at a time.
const STEP: usize = 64 << 10;

/// What came of erasing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// What is left in the directory, which stays too: it is not the journal's. Names only.
    pub left: Vec<PathBuf>,
}

impl Home {
    /// Closes the home and destroys it on this device, whoever still holds a handle: first
    /// the keys, then everything else of it. It cannot be taken back. Other devices, the
    /// partner and the relay keep what they have, and are told nothing.
    ///
    /// # Errors
    /// [`Error::Unreadable`]: erase again with [`erase_dir`]. [`Error::Bug`] from inside a
    /// change.
    pub fn erase(self) -> Result<Erased, Error> {
        if crate::core::on_a_replica_thread() {
            return Err(crate::core::REENTERED);
        }
        let lock = self.close_but_lock();
        // Closed by somebody else meanwhile.
        let lock = match lock {
            Some(lock) => lock,
            None => Lock::take(&self.inner.dir)?,
        };
        erase(&self.inner.dir, lock)
    }
}

/// As [`Home::erase`], for a home that cannot be opened any more, or whose erasing was cut
/// short. Needs no passphrase, as deleting files needs none.
///
/// # Errors
/// [`Error::NoHome`] when nothing there says that it is one, [`Error::InUse`],
/// [`Error::Unreadable`].
pub fn erase_dir(dir: &Path) -> Result<Erased, Error> {
    let evidence = [
        dir.join(VAULT),
        keys_path(dir, SpaceKind::Shared),
        keys_path(dir, SpaceKind::Private),
        dir.join(ERASING),
        dir.join(UNFINISHED),
    ];
    if !evidence
        .iter()
        .any(|path| fs::symlink_metadata(path).is_ok())
    {
        return Err(Error::NoHome(dir.to_owned()));
    }
    let dir = own_dir(dir)?;
    let lock = Lock::take(&dir)?;
    erase(&dir, lock)
}

fn erase(dir: &Path, lock: Lock) -> Result<Erased, Error> {
    let failed = |error| Error::io(dir, error);
    note(dir)?;
    let mut keys = vec![dir.join(VAULT)];
    keys.extend([SpaceKind::Private, SpaceKind::Shared].map(|kind| keys_path(dir, kind)));
    for path in &keys {
        destroy(path)?;
        destroy(&temporary(path))?;
    }
    sync_dir(dir).map_err(failed)?;
    for kind in [SpaceKind::Private, SpaceKind::Shared] {
        erase_store(&store_path(dir, kind))?;
    }
    for draft in entries(dir, is_draft)? {
        erase_draft(&draft)?;
    }
    sync_dir(dir).map_err(failed)?;
    // Last, and the note at the very end: until then it can be done again.
    for name in [UNFINISHED, LOCK, ERASING] {
        destroy(&dir.join(name))?;
    }
    sync_dir(dir).map_err(failed)?;
    drop(lock);
    let left = entries(dir, |_| true)?;
    let names = left.iter().filter_map(|path| path.file_name());
    Ok(Erased {
        left: names.map(PathBuf::from).collect(),
    })
}

fn note(dir: &Path) -> Result<(), Error> {
    let path = dir.join(ERASING);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(&path)
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_dir(dir))
        // A full disk, or something else of that name, must not keep keys alive: then only
        // a death in the middle is harder to make up for.
        .or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Err(Error::io(path, error))
            }
            _ => Ok(()),
        })
}

/// Overwrites a file, as far as file system and disk let that happen, and removes it. A link
/// is removed and not followed; content that has a name elsewhere too is somebody's backup.
fn destroy(path: &Path) -> Result<(), Error> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(path, error)),
    };
    if metadata.is_dir() {
        return Ok(());
    }
    if metadata.is_file() && metadata.nlink() == 1 {
        // What cannot be overwritten is removed all the same.
        if overwrite(path).is_err() {
            tracing::warn!("a file was removed without being overwritten");
        }
    }
    gone(fs::remove_file(path), path)
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .custom_flags(NO_FOLLOW)
        .open(path)?;
    let mut left = file.metadata()?.len();
    let zeros = vec![0; STEP];
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(STEP).min(STEP);
        file.write_all(zeros.get(..step).unwrap_or_default())?;
        left = left.saturating_sub(u64::try_from(step).unwrap_or(left));
    }
    file.sync_all()
}

/// Removes what a store consists of. A folder of the person's own that happens to have its
/// name is left alone: the store's log has segments.
fn erase_store(store: &Path) -> Result<(), Error> {
    // Not through a link in the place of the folder.
    if !fs::symlink_metadata(store).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    let log = store.join("log");
    let segments = entries(&log, is_segment_name)?;
    if !segments.iter().any(|path| begins_with(path, SEGMENT)) {
        // Nothing, or what a death left of an earlier try: folders that are empty.
        for folder in [&log, store] {
            let _ = fs::remove_dir(folder);
        }
        return Ok(());
    }
    for name in STORE_FILES {
        let path = store.join(name);
        gone(fs::remove_file(&path), &path)?;
    }
    // Generations of the index are numbers.
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let index = store.join("index");
    for generation in entries(&index, is_number)? {
        gone(fs::remove_dir_all(&generation), &generation)?;
    }
    let blobs = store.join("blobs");
    for blob in entries(&blobs, is_ours)? {
        gone(fs::remove_file(&blob), &blob)?;
    }
    // Last: they are what says that this is a store.
    for segment in &segments {
        gone(fs::remove_file(segment), segment)?;
    }
    for folder in [&index, &blobs, &log, store] {
        // Something in it may not be ours.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn is_segment_name(name: &str) -> bool {
    let number = name.strip_suffix(".seg").unwrap_or_default();
    number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn begins_with(path: &Path, magic: &[u8]) -> bool {
    let mut front = vec![0; magic.len()];
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(NO_FOLLOW)
        .open(path);
    let read = opened.and_then(|mut file: File| file.read_exact(&mut front));
    // A segment that was being made when the machine died is all zeros.
    read.is_ok() && (front == magic || front.iter().all(|byte| *byte == 0))
}

fn is_draft(name: &str) -> bool {
    let numbers = name.strip_prefix(DRAFT).unwrap_or_default();
    numbers.split_once('-').is_some_and(|(process, moment)| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number(process) && is_number(moment)
    })
}

/// The text of an entry that lies open, with the backups that an editor put beside it.
fn erase_draft(folder: &Path) -> Result<(), Error> {
    if !fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    for file in entries(folder, |_| true)? {
        destroy(&file)?;
    }
    let _ = fs::remove_dir(folder);
    Ok(())
}

/// What lies in a directory and has such a name; nothing where there is no directory.
fn entries(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::io(dir, error);
    // A link in the place of one of our folders is not followed.
    let is_dir = fs::symlink_metadata(dir).is_ok_and(|metadata| metadata.is_dir());
    if !is_dir {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if wanted(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
