//! The key file of one space: everything secret that must not lie where deleted data stays.
//! One sealed record, rewritten whole (protocol §2.16).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ajar_crypto::vault::{KEYFILE_LARGEST, LocalKeys, SegmentKey, WhichSpace};
use ajar_crypto::{Secret, SlotPublic};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::link::RootPublic;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::Error;

/// Longest text in a key file, in bytes.
const TEXT: usize = 4096;

/// What a key file holds.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    /// The person's name (shared key file only).
    pub(crate) name: String,
    /// The partner's name (shared key file only).
    pub(crate) partner: String,
    /// Relay address with claim, empty for none.
    pub(crate) relay: String,
    /// Public halves of the key slots that are not used yet (shared key file only).
    pub(crate) slots: Vec<SlotPublic>,
    /// Key ring of the replica; empty before there is one.
    pub(crate) ring: Zeroizing<Vec<u8>>,
    /// Key of each segment of the log.
    pub(crate) segments: BTreeMap<u64, SegmentKey>,
    /// When pairing codes failed lately, ms since 1970.
    pub(crate) failures: Vec<i64>,
    /// What this device is called (shared key file only).
    pub(crate) device: String,
    /// How this space travels: 0 as usual; see [`super::mode`].
    pub(crate) mode: u8,
}

impl Keys {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let capacity = 2048 + self.ring.len() + self.segments.len() * 40 + self.slots.len() * 97;
        let mut out = Writer::with_capacity(capacity);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        out.u8(2)
            .bytes16(self.name.as_bytes())
            .bytes16(self.partner.as_bytes());
        out.bytes16(self.relay.as_bytes())
            .u32(count(self.slots.len()));
        for slot in &self.slots {
            out.u8(slot.slot).raw(&slot.root.root).raw(&slot.root.login);
            out.raw(&slot.root.recovery_kem);
        }
        out.bytes32(&self.ring).u32(count(self.segments.len()));
        for (segment, key) in &self.segments {
            out.u64(*segment).raw(key.expose());
        }
        out.u32(count(self.failures.len()));
        for at in &self.failures {
            out.i64(*at);
        }
        out.bytes16(self.device.as_bytes()).u8(self.mode);
        Zeroizing::new(out.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "key file";
        let mut reader = Reader::new(bytes, WHAT);
        let version = reader.u8()?;
        if !(1..=2).contains(&version) {
            return Err(Malformed::Version(WHAT));
        }
        let mut text = || -> Result<String, Malformed> {
            let bytes = reader.bytes16(TEXT)?;
            String::from_utf8(bytes.to_vec()).map_err(|_| Malformed::Value(WHAT))
        };
        let (name, partner, relay) = (text()?, text()?, text()?);
        let mut keys = Self {
            name,
            partner,
            relay,
            ..Self::default()
        };
        for _ in 0..reader.u32()? {
            let slot = reader.u8()?;
            let root = RootPublic {
                root: reader.array()?,
                login: reader.array()?,
                recovery_kem: reader.array()?,
            };
            keys.slots.push(SlotPublic { slot, root });
        }
        keys.ring = Zeroizing::new(reader.bytes32(usize::MAX)?.to_vec());
        for _ in 0..reader.u32()? {
            let segment = reader.u64()?;
            keys.segments
                .insert(segment, SegmentKey::new(Secret::new(reader.array()?)));
        }
        for _ in 0..reader.u32()? {
            keys.failures.push(reader.i64()?);
        }
        // Version 1 knew one device only.
        if version > 1 {
            let device = reader.bytes16(TEXT)?.to_vec();
            keys.device = String::from_utf8(device).map_err(|_| Malformed::Value(WHAT))?;
            keys.mode = reader.u8()?;
        }
        reader.finish()?;
        Ok(keys)
    }
}

/// The key file of one space, open.
pub(crate) struct KeyFile {
    path: PathBuf,
    which: WhichSpace,
    local: LocalKeys,
    keys: Mutex<Keys>,
}

impl KeyFile {
    /// Writes the first version of a key file.
    pub(crate) fn create(
        path: PathBuf,
        which: WhichSpace,
        local: LocalKeys,
        keys: Keys,
    ) -> Result<Self, Error> {
        let file = Self {
            path,
            which,
            local,
            keys: Mutex::new(keys),
        };
        file.update(|_| ())?;
        Ok(file)
    }

    /// Opens a key file.
    pub(crate) fn open(path: PathBuf, which: WhichSpace, local: LocalKeys) -> Result<Self, Error> {
        let sealed =
            read_at_most(&path, 2 * KEYFILE_LARGEST).map_err(|error| Error::io(&path, error))?;
        let content = local.open_keyfile(which, &sealed)?;
        let keys = Keys::decode(&content).map_err(|error| Error::Damaged(error.to_string()))?;
        Ok(Self {
            path,
            which,
            local,
            keys: Mutex::new(keys),
        })
    }

    pub(crate) fn local(&self) -> &LocalKeys {
        &self.local
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Keys) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the content and makes it durable; on failure the content is as before.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Keys) -> T) -> Result<T, Error> {
        let mut keys = self.lock();
        let mut changed = keys.clone();
        let value = change(&mut changed);
        self.write(&changed)?;
        *keys = changed;
        Ok(value)
    }

    /// As [`Self::update`], but on failure the change holds for as long as the file is open,
    /// and the next one that succeeds writes it down.
    pub(crate) fn insist(&self, change: impl FnOnce(&mut Keys)) -> Result<(), Error> {
        let mut keys = self.lock();
        change(&mut keys);
        self.write(&keys)
    }

    fn write(&self, changed: &Keys) -> Result<(), Error> {
        let texts = [
            &changed.name,
            &changed.partner,
            &changed.relay,
            &changed.device,
        ];
        if texts.iter().any(|text| text.len() > TEXT) {
            return Err(Error::Bug("a text too long for the key file"));
        }
        let sealed =
            self.local
                .seal_keyfile(self.which, &changed.encode(), &mut clock::entropy())?;
        replace(&self.path, &sealed)
    }
}

/// Reads a file whose content is not trusted: no more than `most` bytes of it, so that what
/// is longer is cut short and does not open.
pub(super) fn read_at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut content)?;
    Ok(content)
}

/// Makes what was created, renamed and removed in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Where the next content of a file is written before it takes the file's place.
pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Replaces a file whole: temporary file, fsync, rename, fsync of the directory, and a
/// best-effort overwriting of the old content.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let temporary = temporary(path);
    let failed = |error| Error::io(path, error);
    // What an earlier death left there, with whatever mode or link it has.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(temporary, error));
        }
        _ => {}
    }
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        let old = OpenOptions::new()
            .write(true)
            .custom_flags(super::NO_FOLLOW)
            .open(path)
            .ok();
        fs::rename(&temporary, path)?;
        Ok(old)
    })();
    let old = match written {
        Ok(old) => old,
        Err(error) => {
            // The old file is untouched; the half-written one says nothing without its rest.
            let _ = fs::remove_file(&temporary);
            return Err(failed(error));
        }
    };
    sync_dir(dir).map_err(failed)?;
    if let Some(old) = old {
        overwrite(old);
    }
    Ok(())
}

/// Best effort: file systems and disks may keep the old blocks all the same. Content that
/// still has a name elsewhere is somebody's backup and stays.
fn overwrite(mut old: File) {
    let length = match old.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.nlink() == 0 => metadata.len(),
        _ => return,
    };
    let zeros = vec![0; usize::try_from(length.min(1 << 23)).unwrap_or(0)];
    if old.rewind().is_ok() && old.write_all(&zeros).is_ok() {
        let _ = old.sync_data();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path) -> KeyFile {
        let local = LocalKeys::derive(&Secret::new([7; 32]));
        let keys = Keys {
            name: "Ana".to_owned(),
            ..Keys::default()
        };
        KeyFile::create(
            dir.join("keys-shared.sealed"),
            WhichSpace::Shared,
            local,
            keys,
        )
        .unwrap()
    }

    fn name_in(dir: &Path) -> String {
        let local = LocalKeys::derive(&Secret::new([7; 32]));
        let path = dir.join("keys-shared.sealed");
        let file = KeyFile::open(path, WhichSpace::Shared, local).unwrap();
        file.read(|keys| keys.name.clone())
    }

    #[test]
    fn everything_in_a_key_file_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        file.update(|keys| {
            keys.partner = "Ben".to_owned();
            keys.relay = "ajar-relay:h:1#k".to_owned();
            let root = RootPublic {
                root: [1; 32],
                login: [2; 32],
                recovery_kem: [3; 32],
            };
            keys.slots.push(SlotPublic { slot: 4, root });
            keys.ring = Zeroizing::new(vec![5; 300]);
            let key = SegmentKey::new(Secret::new([6; 32]));
            keys.segments.insert(u64::MAX, key);
            keys.failures = vec![i64::MIN, -1, i64::MAX];
            keys.device = "phone".to_owned();
            keys.mode = 2;
        })
        .unwrap();
        let local = LocalKeys::derive(&Secret::new([7; 32]));
        let again = KeyFile::open(file.path.clone(), WhichSpace::Shared, local).unwrap();
        let (old, new) = (file.read(Keys::encode), again.read(Keys::encode));
        assert_eq!(old, new);
        for length in 0..old.len() {
            assert!(Keys::decode(&old[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_key_file_from_before_several_devices_is_still_read() {
        let keys = Keys {
            name: "Ana".to_owned(),
            failures: vec![7],
            ..Keys::default()
        };
        let mut bytes = keys.encode().to_vec();
        bytes.truncate(bytes.len() - 3);
        bytes[0] = 1;
        let old = Keys::decode(&bytes).unwrap();
        assert_eq!(old.encode(), keys.encode());
    }

    /// A machine that died between writing and renaming.
    #[test]
    fn what_a_death_left_half_written_is_no_hindrance() {
        let dir = tempfile::tempdir().unwrap();
        let keys = file(dir.path());
        fs::write(dir.path().join("keys-shared.new"), b"half").unwrap();
        assert_eq!(name_in(dir.path()), "Ana");
        keys.update(|keys| keys.name = "Anna".to_owned()).unwrap();
        assert_eq!(name_in(dir.path()), "Anna");
        assert!(!dir.path().join("keys-shared.new").exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_temporary_file_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let keys = file(dir.path());
        let victim = dir.path().join("letter");
        fs::write(&victim, b"dear").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("keys-shared.new")).unwrap();
        keys.update(|keys| keys.name = "Anna".to_owned()).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"dear");
        assert_eq!(name_in(dir.path()), "Anna");
    }

    #[test]
    fn overwriting_the_old_content_spares_a_backup_made_of_hard_links() {
        let dir = tempfile::tempdir().unwrap();
        let keys = file(dir.path());
        let (path, backup) = (
            dir.path().join("keys-shared.sealed"),
            dir.path().join("copy"),
        );
        fs::hard_link(&path, &backup).unwrap();
        let before = fs::read(&backup).unwrap();
        keys.update(|keys| keys.name = "Anna".to_owned()).unwrap();
        assert_eq!(fs::read(&backup).unwrap(), before);
    }

    #[test]
    fn the_old_content_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let keys = file(dir.path());
        let mut old = File::open(dir.path().join("keys-shared.sealed")).unwrap();
        keys.update(|keys| keys.name = "Anna".to_owned()).unwrap();
        let mut content = Vec::new();
        old.read_to_end(&mut content).unwrap();
        assert!(!content.is_empty() && content.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_change_that_cannot_be_written_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let keys = file(dir.path());
        // A directory cannot be replaced by a file, even by root.
        fs::create_dir(dir.path().join("keys-shared.new")).unwrap();
        let failed = keys.update(|keys| keys.name = "Anna".to_owned());
        assert!(matches!(failed, Err(Error::Unreadable { .. })));
        assert_eq!(keys.read(|keys| keys.name.clone()), "Ana");
        assert_eq!(name_in(dir.path()), "Ana");
    }

    /// A relay address is the one text that comes from outside and has no limit in its type.
    #[test]
    fn a_text_that_would_not_open_again_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let keys = file(dir.path());
        let long = "x".repeat(TEXT + 1);
        let failed = keys.update(|keys| keys.relay = long);
        assert!(failed.is_err());
        assert_eq!(name_in(dir.path()), "Ana");
    }
}
