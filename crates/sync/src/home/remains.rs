//! What may lie in the directory of a home, and what of it is ours to remove. Whatever has
//! another name stays, in every case.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ajar_protocol::genesis::SpaceKind;

use super::keyfile::{sync_dir, temporary};
use super::{NO_FOLLOW, VAULT, keys_path, store_path};
use crate::error::Error;

/// There from the first file of a new home to its vault: only with it may an init that finds
/// no vault remove what it finds.
pub(super) const UNFINISHED: &str = "unfinished";
/// There from the beginning of erasing to its end: what lies in the directory is a home that
/// is to go, even when its keys are gone already.
pub(super) const ERASING: &str = "erasing";
const BOTH: [SpaceKind; 2] = [SpaceKind::Private, SpaceKind::Shared];

/// Folders and files of one store.
const STORE_FOLDERS: [&str; 3] = ["log", "index", "blobs"];
pub(super) const STORE_FILES: [&str; 4] = ["checkpoint", "checkpoint.new", "applying", "lock"];

/// The directory behind a path. Fails unless it belongs to the user who runs this, and when a
/// link at the path is another user's, who could turn it elsewhere at any moment.
pub(super) fn own_dir(path: &Path) -> Result<PathBuf, Error> {
    let failed = |error| Error::io(path, error);
    let refused = |what| failed(io::Error::new(io::ErrorKind::PermissionDenied, what));
    let user = rustix::process::geteuid().as_raw();
    let at_path = fs::symlink_metadata(path).map_err(failed)?;
    if at_path.is_symlink() && ![user, 0].contains(&at_path.uid()) {
        return Err(refused("it is a link of another user"));
    }
    let dir = path.canonicalize().map_err(failed)?;
    let metadata = fs::metadata(&dir).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    if metadata.uid() != user {
        return Err(refused("it belongs to another user"));
    }
    Ok(dir)
}

/// Makes sure that nobody else writes into the directory of a new home: an empty one is made
/// private, one with content of the person's is left as it is.
pub(super) fn make_private(dir: &Path) -> Result<(), Error> {
    let failed = |error| Error::io(dir, error);
    let mode = fs::metadata(dir).map_err(failed)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = fs::read_dir(dir).map_err(failed)?.next().is_none();
    if empty {
        let private = fs::Permissions::from_mode(0o700);
        return fs::set_permissions(dir, private).map_err(failed);
    }
    if mode & 0o022 != 0 {
        let what = "other users can write into it; choose a directory of your own";
        return Err(failed(io::Error::new(
            io::ErrorKind::PermissionDenied,
            what,
        )));
    }
    Ok(())
}

pub(super) fn has_vault(dir: &Path) -> Result<bool, Error> {
    is_there(&dir.join(VAULT))
}

fn is_there(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Clears what a creation that did not finish left behind, and notes that one begins. Without
/// a vault and without that note, parts of a home are those of a person who lost the vault:
/// they stay.
pub(super) fn begin(dir: &Path) -> Result<(), Error> {
    if is_there(&dir.join(ERASING))? {
        return Err(Error::Damaged(format!(
            "a journal in {} was being erased, and that did not finish: erase it once more, \
             or choose another place for a new journal",
            dir.display()
        )));
    }
    let note = dir.join(UNFINISHED);
    if is_there(&note)? {
        for kind in BOTH {
            remove_store(&store_path(dir, kind))?;
        }
        for kind in BOTH {
            let keys = keys_path(dir, kind);
            gone(fs::remove_file(temporary(&keys)), &keys)?;
            gone(fs::remove_file(&keys), &keys)?;
        }
        let vault = dir.join(VAULT);
        gone(fs::remove_file(temporary(&vault)), &vault)?;
    }
    for kind in BOTH {
        if is_there(&keys_path(dir, kind))? {
            return Err(Error::Damaged(format!(
                "there are parts of a journal in {}, but {VAULT} is missing: put it back from \
                 a backup, or choose another place for a new journal",
                dir.display()
            )));
        }
        let store = store_path(dir, kind);
        if is_there(&store)? {
            return Err(Error::io(store, io::ErrorKind::AlreadyExists.into()));
        }
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(&note)
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_dir(dir))
        .map_err(|error| Error::io(note, error))
}

/// Removes the note of [`begin`]: from now on, nothing in here is ever removed by an init.
/// Called whenever there is a vault, so that a death just before is made up for.
pub(super) fn finished(dir: &Path) -> Result<(), Error> {
    let note = dir.join(UNFINISHED);
    if is_there(&note)? {
        gone(fs::remove_file(&note), &note)?;
        sync_dir(dir).map_err(|error| Error::io(dir, error))?;
    }
    Ok(())
}

/// Removes the store of a space, and nothing else that lies there.
pub(super) fn remove_store(store: &Path) -> Result<(), Error> {
    let at = |name: &str| -> PathBuf { store.join(name) };
    for name in STORE_FOLDERS {
        gone(fs::remove_dir_all(at(name)), &at(name))?;
    }
    for name in STORE_FILES {
        gone(fs::remove_file(at(name)), &at(name))?;
    }
    match fs::remove_dir(store) {
        // Something in it is not ours.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => gone(removed, store),
    }
}

/// What was removed, or was not there, is gone.
pub(super) fn gone(removed: io::Result<()>, path: &Path) -> Result<(), Error> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}
