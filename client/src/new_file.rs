//! A file that is there whole or not at all: written beside its place, for this user only, and put
//! there when nothing is left to write. What is left of a killed process begins with a dot, and
//! the next attempt removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use crate::report::Failure;

/// A file in the making.
pub(crate) struct NewFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    code: &'static str,
    kept: bool,
}

/// Why `path` cannot be written.
pub(crate) fn trouble(code: &'static str, path: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::AlreadyExists => "something is there already".to_owned(),
        ErrorKind::ResourceBusy => "another command is writing it".to_owned(),
        _ => error.to_string(),
    };
    let code = if error.kind() == ErrorKind::StorageFull {
        "disk-full"
    } else {
        code
    };
    Failure::fixable(code, format!("Cannot write {}: {why}.", path.display()))
        .hint("Name a file that does not exist yet, in a folder you can write to.")
}

impl NewFile {
    /// Begins one. Nothing is ever overwritten.
    pub(crate) fn create(code: &'static str, path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| trouble(code, path, &error);
        if path.symlink_metadata().is_ok() {
            return Err(failed(ErrorKind::AlreadyExists.into()));
        }
        let name = path
            .file_name()
            .ok_or_else(|| failed(ErrorKind::InvalidFilename.into()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".part");
        let part = path.with_file_name(hidden);
        let file = match begin(&part) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                remove_leftover(&part).map_err(failed)?;
                begin(&part)
            }
            other => other,
        };
        Ok(Self {
            file: file.map_err(failed)?,
            part,
            path: path.to_owned(),
            code,
            kept: false,
        })
    }

    /// What is written into.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// A second handle on what is written into.
    pub(crate) fn writer(&self) -> Result<File, Failure> {
        self.file.try_clone().map_err(|error| self.failed(&error))
    }

    /// Says why it cannot be written.
    pub(crate) fn failed(&self, error: &io::Error) -> Failure {
        trouble(self.code, &self.path, error)
    }

    /// Puts it where it belongs, durable when this returns.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        let placed = self
            .file
            .sync_all()
            .and_then(|()| move_to(&self.part, &self.path));
        placed.map_err(|error| self.failed(&error))?;
        self.kept = true;
        let folder = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        // The file is whole in any case; a power cut could only make it vanish.
        let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn begin(part: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)?;
    // Whoever finds it knows that somebody is at it.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Removes what a killed process of this user left; refuses what is anybody else's, or in use.
fn remove_leftover(part: &Path) -> io::Result<()> {
    let found = part.symlink_metadata()?;
    if !found.is_file() || found.uid() != geteuid().as_raw() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let file = File::open(part)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(ErrorKind::ResourceBusy.into());
    }
    fs::remove_file(part)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn move_to(part: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise that.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => move_checked(part, path),
        other => Ok(other?),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn move_to(part: &Path, path: &Path) -> io::Result<()> {
    move_checked(part, path)
}

fn move_checked(part: &Path, path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(part, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_there_whole_and_for_this_user_only_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.zip");
        let mut new = NewFile::create("export-file", &path).unwrap();
        new.file().write_all(b"words").unwrap();
        assert!(!path.exists());
        assert_eq!(names(dir.path()), [".journal.zip.part"]);
        drop(new);
        assert!(names(dir.path()).is_empty());

        let mut new = NewFile::create("export-file", &path).unwrap();
        new.file().write_all(b"words").unwrap();
        new.keep().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["journal.zip"]);
        assert!(NewFile::create("export-file", &path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"words");
    }

    #[test]
    fn what_came_to_be_there_meanwhile_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.zip");
        let new = NewFile::create("export-file", &path).unwrap();
        fs::write(&path, b"another").unwrap();
        assert_eq!(new.keep().unwrap_err().code(), "export-file");
        assert_eq!(fs::read(&path).unwrap(), b"another");
        assert_eq!(names(dir.path()), ["journal.zip"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.zip");
        fs::write(dir.path().join(".journal.zip.part"), b"half").unwrap();
        let new = NewFile::create("export-file", &path).unwrap();
        let other = NewFile::create("export-file", &path).err().unwrap();
        assert!(other.message().contains("another command"));
        new.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
