//! The folder `blobs/` of a space.
//!
//! ```text
//! <name>        ciphertext as at the relay; whole, and checked against its id
//! <name>.up     empty: the relay has not confirmed it
//! <name>.part   the front of a blob on its way from the relay
//! new-<random>  a blob that is being made, whose name is not known yet
//! ask           empty: the relay may lack blobs that it had confirmed
//! name          first 16 bytes of HMAC(db-name key, "blob" ‖ blob id) in hex: says nothing
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use ajar_crypto::Entropy;
use ajar_protocol::{BlobId, limits};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::error::Error;
use crate::home::{KeyFile, NO_FOLLOW, sync_dir};

/// Bytes that are read or written at a time.
pub(super) const STEP: usize = 64 << 10;
const UP: &str = ".up";
const PART: &str = ".part";
const NEW: &str = "new-";
const ASK: &str = "ask";

pub(crate) struct Folder {
    dir: PathBuf,
    /// Gone when the space is locked: then no blob has a name.
    keys: Weak<KeyFile>,
}

/// A file that is being written and vanishes unless it is kept.
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Draft {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| Error::io(&self.path, error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_name(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a file of that name in such a folder is one of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    let bare = name.strip_suffix(UP).or_else(|| name.strip_suffix(PART));
    let bare = bare.or_else(|| name.strip_prefix(NEW)).unwrap_or(name);
    is_name(bare) || name == ASK
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

fn open_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.mode(0o600).custom_flags(NO_FOLLOW).open(path)
}

/// SHA-256 of a file from its beginning, and its length.
pub(super) fn hash_file(file: &mut File) -> io::Result<(BlobId, u64)> {
    file.rewind()?;
    let (mut hash, mut length) = (Sha256::new(), 0u64);
    let mut piece = vec![0; STEP];
    loop {
        let read = read_some(file, &mut piece)?;
        if read.is_empty() {
            return Ok((BlobId(hash.finalize().into()), length));
        }
        hash.update(read);
        length += read.len() as u64;
    }
}

/// The next bytes; none at the end.
pub(super) fn read_some<'a>(
    from: &mut (impl Read + ?Sized),
    piece: &'a mut [u8],
) -> io::Result<&'a [u8]> {
    loop {
        match from.read(piece) {
            Ok(read) => return Ok(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Folder {
    /// The folder in the directory of a space. It is made with its first blob.
    pub(crate) fn new(store: &Path, keys: &Arc<KeyFile>) -> Self {
        Self {
            dir: store.join("blobs"),
            keys: Arc::downgrade(keys),
        }
    }

    fn at(&self, name: &str, suffix: &str) -> PathBuf {
        self.dir.join(format!("{name}{suffix}"))
    }

    pub(super) fn name(&self, id: &BlobId) -> Result<String, Error> {
        let keys = self.keys.upgrade().ok_or(Error::Closed)?;
        let mac = keys.local().name(&[b"blob", &id.0[..]].concat());
        Ok(hex(mac.get(..16).unwrap_or_default()))
    }

    fn sync(&self) -> Result<(), Error> {
        sync_dir(&self.dir).map_err(|error| Error::io(&self.dir, error))
    }

    fn create(&self) -> Result<(), Error> {
        let made = DirBuilder::new().mode(0o700).create(&self.dir);
        let failed = |error| Error::io(&self.dir, error);
        match made {
            Ok(()) => sync_dir(self.dir.parent().unwrap_or(&self.dir)).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn files(&self) -> Result<Vec<String>, Error> {
        let failed = |error| Error::io(&self.dir, error);
        let listed = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in listed {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into());
        }
        Ok(names)
    }

    /// Clears what a death left behind, and gives the names of what is to be sent.
    pub(super) fn tidy(&self) -> Result<Vec<String>, Error> {
        let mut up = Vec::new();
        for file in self.files()? {
            if file.starts_with(NEW) && is_ours(&file) {
                remove(&self.dir.join(&file))?;
            }
            let Some(name) = file.strip_suffix(UP).filter(|name| is_name(name)) else {
                continue;
            };
            if self.at(name, "").exists() {
                up.push(name.to_owned());
            } else {
                // Died between marking it and giving it its name.
                remove(&self.at(name, UP))?;
            }
        }
        Ok(up)
    }

    /// Names of all blobs that are here whole.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let mut files = self.files()?;
        files.retain(|file| is_name(file));
        Ok(files)
    }

    /// A file for a blob that is being made.
    pub(super) fn draft(&self) -> Result<Draft, Error> {
        self.create()?;
        let mut random = [0; 16];
        clock::entropy().fill(&mut random)?;
        let path = self.dir.join(format!("{NEW}{}", hex(&random)));
        let file = open_file(&path, OpenOptions::new().write(true).create_new(true));
        Ok(Draft {
            file: file.map_err(|error| Error::io(&path, error))?,
            path,
            kept: false,
        })
    }

    /// Makes a draft durable under its name; with `up`, it is marked before, so that there is no
    /// moment at which nobody would send it.
    pub(super) fn keep(&self, mut draft: Draft, name: &str, up: bool) -> Result<(), Error> {
        let path = self.at(name, "");
        let failed = |error| Error::io(&path, error);
        draft.file.sync_all().map_err(failed)?;
        if up {
            self.mark(name)?;
        }
        if let Err(error) = fs::rename(&draft.path, &path) {
            let _ = self.unmark(name);
            return Err(failed(error));
        }
        draft.kept = true;
        self.sync()
    }

    pub(super) fn mark(&self, name: &str) -> Result<(), Error> {
        let path = self.at(name, UP);
        let opened = open_file(&path, OpenOptions::new().write(true).create(true));
        opened.map(drop).map_err(|error| Error::io(path, error))
    }

    pub(super) fn unmark(&self, name: &str) -> Result<(), Error> {
        remove(&self.at(name, UP))
    }

    /// A blob that is here, and its length in bytes.
    pub(super) fn open(&self, name: &str) -> Result<Option<(File, u64)>, Error> {
        let path = self.at(name, "");
        let opened = open_file(&path, OpenOptions::new().read(true))
            .and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => Ok(Some((file, length))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.at(name, "").is_file()
    }

    /// Removes a blob and everything about it.
    pub(super) fn forget(&self, name: &str) -> Result<(), Error> {
        for suffix in ["", PART, UP] {
            remove(&self.at(name, suffix))?;
        }
        Ok(())
    }

    /// The front of a blob on its way here, and how long it is, in bytes.
    pub(super) fn part(&self, name: &str) -> Result<(File, u64), Error> {
        self.create()?;
        let path = self.at(name, PART);
        open_file(
            &path,
            OpenOptions::new().read(true).append(true).create(true),
        )
        .and_then(|file| Ok((file.metadata()?.len(), file)))
        .map(|(length, file)| (file, length))
        .map_err(|error| Error::io(path, error))
    }

    pub(super) fn drop_part(&self, name: &str) {
        if remove(&self.at(name, PART)).is_err() {
            tracing::warn!("the front of a blob could not be removed");
        }
    }

    /// A blob has come whole: it gets its name if it is what it should be.
    pub(super) fn complete(&self, name: &str, id: &BlobId, part: &mut File) -> Result<bool, Error> {
        let path = self.at(name, PART);
        let failed = |error| Error::io(&path, error);
        let (found, length) = hash_file(part).map_err(failed)?;
        if found != *id || length > limits::BLOB {
            self.drop_part(name);
            return Ok(false);
        }
        part.sync_all().map_err(failed)?;
        fs::rename(&path, self.at(name, "")).map_err(failed)?;
        self.sync()?;
        Ok(true)
    }

    /// Whether the relay is to be asked which blobs it lacks.
    pub(super) fn is_to_ask(&self) -> bool {
        self.dir.join(ASK).exists()
    }

    pub(super) fn set_to_ask(&self, ask: bool) -> Result<(), Error> {
        if !ask {
            return remove(&self.dir.join(ASK));
        }
        if !self.dir.exists() {
            return Ok(());
        }
        self.mark_path(&self.dir.join(ASK))
    }

    fn mark_path(&self, path: &Path) -> Result<(), Error> {
        let opened = open_file(path, OpenOptions::new().write(true).create(true));
        opened.map_err(|error| Error::io(path, error))?;
        self.sync()
    }
}
