//! The data folder: `relay.key` (0600), `relay.toml`, `relay.addr` (where the running relay
//! listens), `claims/`, `db/`, `blobs/`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::config;
use crate::identity::Identity;

/// What can go wrong with the data folder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// `init` where a relay is already.
    #[error(
        "{0} holds a relay already; its key was not touched. Run `ajar-relay serve`, or name another \
         folder with --data"
    )]
    Exists(PathBuf),
    /// Anything else than `init` where no relay is.
    #[error("{0} holds no relay; run `ajar-relay init` first, or name another folder with --data")]
    NotInitialised(PathBuf),
    /// The key file is not 32 bytes in hexadecimal.
    #[error("{0} is not a relay key; put the right file back (a new key means a new address)")]
    Key(PathBuf),
    /// The folder is another user's.
    #[error(
        "{0} belongs to another user; run this as that user (`sudo -u USER`), or name a folder of \
         your own with --data"
    )]
    Foreign(PathBuf),
    /// An address that cannot be used.
    #[error("{0}")]
    Address(String),
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// A file operation failed.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Paths of a data folder.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_path_buf();
    move |source| DataError::Io { what, path, source }
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder that only its owner can look into.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    let _ = path;
    Ok(())
}

/// Writes a file whole: temporary name, fsync, rename, fsync of the folder.
///
/// # Errors
/// [`DataError::Io`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = folder.join(name);
    let write = || {
        let _ = fs::remove_file(&temporary);
        let mut file = new_file(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    };
    write().map_err(io_error("write", path))
}

impl DataDir {
    /// The folder at `root`, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Fails when the folder, or a link in its place, is another user's, who could look into it
    /// or put another one there. What belongs to root is as good as one's own.
    fn check_owner(&self) -> Result<(), DataError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let trusted = [rustix::process::geteuid().as_raw(), 0];
            let seen = [fs::symlink_metadata(&self.root), fs::metadata(&self.root)];
            // What cannot be looked at is said by whoever opens it.
            let mut owners = seen.into_iter().flatten().map(|seen| seen.uid());
            if owners.any(|owner| !trusted.contains(&owner)) {
                return Err(DataError::Foreign(self.root.clone()));
            }
        }
        Ok(())
    }

    /// Makes the folder (0700), a new key (0600) and a configuration with commented defaults.
    ///
    /// # Errors
    /// [`DataError::Exists`] when there is a key already, [`DataError::Foreign`].
    pub fn init(
        &self,
        listen: Option<SocketAddr>,
        advertise: Option<&str>,
    ) -> Result<Identity, DataError> {
        create_folder(&self.root).map_err(io_error("create", &self.root))?;
        self.check_owner()?;
        let path = self.key_file();
        if path.exists() {
            return Err(DataError::Exists(self.root.clone()));
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|_| DataError::Random)?;
        let identity = Identity::from_seed(&seed);
        let text = Zeroizing::new(data_encoding::HEXLOWER.encode(identity.seed()));
        let write = || {
            let mut file = new_file(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_folder(&self.root)
        };
        write().map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => DataError::Exists(self.root.clone()),
            _ => io_error("write", &path)(e),
        })?;
        let toml = self.config_file();
        if !toml.exists() {
            write_whole(&toml, config::template(listen, advertise).as_bytes())?;
        }
        let claims = self.claims();
        create_folder(&claims).map_err(io_error("create", &claims))?;
        Ok(identity)
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`DataError::NotInitialised`], [`DataError::Foreign`], [`DataError::Key`].
    pub fn identity(&self) -> Result<Identity, DataError> {
        self.check_owner()?;
        let path = self.key_file();
        let mut text = Zeroizing::new(String::with_capacity(256));
        let file = File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => DataError::NotInitialised(self.root.clone()),
            _ => io_error("read", &path)(e),
        })?;
        file.take(256)
            .read_to_string(&mut text)
            .map_err(|_| DataError::Key(path.clone()))?;
        let seed = Zeroizing::new(
            data_encoding::HEXLOWER
                .decode(text.trim().as_bytes())
                .map_err(|_| DataError::Key(path.clone()))?,
        );
        let seed: &[u8; 32] = seed
            .as_slice()
            .try_into()
            .map_err(|_| DataError::Key(path.clone()))?;
        Ok(Identity::from_seed(seed))
    }

    /// Notes where the relay listens, for `ajar-relay invite`.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn note_bound(&self, bound: SocketAddr) -> Result<(), DataError> {
        write_whole(
            &self.root.join("relay.addr"),
            format!("{bound}\n").as_bytes(),
        )
    }

    /// Where a relay with this folder last listened.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn bound(&self) -> Result<Option<SocketAddr>, DataError> {
        let path = self.root.join("relay.addr");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &path)(e)),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The key file.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.root.join("relay.key")
    }

    /// The configuration, `relay.toml`.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.root.join("relay.toml")
    }

    /// Whether other users of this machine may read the key file.
    #[must_use]
    pub fn key_is_open_to_others(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::metadata(self.key_file()).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
        }
        #[cfg(not(unix))]
        false
    }

    /// The folder of claims.
    #[must_use]
    pub fn claims(&self) -> PathBuf {
        self.root.join("claims")
    }

    /// The folder of blobs.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The folder of the embedded store.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.root.join("db")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_init_keeps_the_key_and_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("relay"));
        assert!(matches!(data.identity(), Err(DataError::NotInitialised(_))));
        let identity = data.init(None, None).unwrap();
        assert!(matches!(data.init(None, None), Err(DataError::Exists(_))));
        assert_eq!(data.identity().unwrap().public(), identity.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(data.root()), 0o700);
            assert_eq!(mode(&data.key_file()), 0o600);
            assert!(!data.key_is_open_to_others());
            fs::set_permissions(data.key_file(), fs::Permissions::from_mode(0o644)).unwrap();
            assert!(data.key_is_open_to_others());
        }
    }

    #[test]
    fn a_damaged_key_is_named_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        for text in ["", "abc", &"0".repeat(62), &"zz".repeat(32)] {
            fs::write(data.key_file(), text).unwrap();
            assert!(matches!(data.identity(), Err(DataError::Key(_))), "{text}");
            assert!(matches!(data.init(None, None), Err(DataError::Exists(_))));
        }
    }
}
