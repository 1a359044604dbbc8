//! The key file of one space: everything secret that must not lie where deleted data stays.
//! One sealed record, rewritten whole (protocol §2.16).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ajar_crypto::vault::{LocalKeys, SegmentKey, WhichSpace};
use ajar_crypto::{Secret, SlotPublic};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::link::RootPublic;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::Error;

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
}

impl Keys {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let capacity = 2048 + self.ring.len() + self.segments.len() * 40 + self.slots.len() * 97;
        let mut out = Writer::with_capacity(capacity);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        out.u8(1)
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
        Zeroizing::new(out.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "key file";
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let mut text = || -> Result<String, Malformed> {
            let bytes = reader.bytes16(4096)?;
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
        let sealed = fs::read(&path).map_err(|error| Error::io(&path, error))?;
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
        let sealed =
            self.local
                .seal_keyfile(self.which, &changed.encode(), &mut clock::entropy())?;
        replace(&self.path, &sealed)?;
        *keys = changed;
        Ok(value)
    }
}

/// Replaces a file whole: temporary file, fsync, rename, fsync of the directory, and a
/// best-effort overwriting of the old content.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("new");
    let failed = |error| Error::io(path, error);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()
    })();
    if let Err(error) = written {
        // The old file is untouched; the half-written one says nothing without its rest.
        let _ = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    let old = OpenOptions::new().write(true).open(path).ok();
    fs::rename(&temporary, path).map_err(failed)?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed)?;
    if let Some(old) = old {
        overwrite(old);
    }
    Ok(())
}

/// Best effort: file systems and disks may keep the old blocks all the same.
fn overwrite(mut old: File) {
    let Ok(length) = old.metadata().map(|metadata| metadata.len()) else {
        return;
    };
    let zeros = vec![0; usize::try_from(length.min(1 << 23)).unwrap_or(0)];
    if old.rewind().is_ok() && old.write_all(&zeros).is_ok() {
        let _ = old.sync_data();
    }
}
