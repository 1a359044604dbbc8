//! Making and opening homes.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ajar_crypto::recovery::{NoSuchSlot, SLOTS};
use ajar_crypto::vault::{
    KdfParams, LocalKeys, Passphrase, UnlockError, VAULT_HEADER, VaultHeader, VaultSlot, WhichSpace,
};
use ajar_crypto::{RecoveryPhrase, Secret, SlotPublic};
use ajar_engine::pairing::OwnHalf;
use ajar_engine::replica::NewSpace;
use ajar_engine::{Replica, Summarize};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::genesis::SpaceKind;
use zeroize::Zeroizing;

use super::keyfile::{KeyFile, Keys, read_at_most, replace};
use super::lock::Lock;
use super::{Home, VAULT, keys_path, remains, store_path};
use crate::clock;
use crate::error::Error;
use crate::store::SealedStore;

/// Longest name of a person, in characters.
const NAME: usize = 64;

/// What a new home begins with.
#[derive(Clone, Debug)]
pub struct NewHome {
    /// The person's name, 1 to 64 characters. Partners exchange names when pairing.
    pub name: String,
    /// What this device is called, 1 to 64 characters. Only the person's own devices see it.
    pub device: String,
    /// The relay, if there is one yet.
    pub relay: Option<RelayAddress>,
}

/// Makes or opens a home.
pub struct Builder {
    dir: PathBuf,
    passphrase: Option<Passphrase>,
    private_passphrase: Option<Passphrase>,
    kdf: KdfParams,
    summarize: Option<Arc<dyn Summarize>>,
}

impl Builder {
    /// A home in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let kdf = KdfParams::DEFAULT;
        Self {
            dir: dir.into(),
            passphrase: None,
            private_passphrase: None,
            kdf,
            summarize: None,
        }
    }

    /// The passphrase; *Only me* has the same unless it is given one of its own.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: Passphrase) -> Self {
        self.passphrase = Some(passphrase);
        self
    }

    /// The passphrase of *Only me*.
    #[must_use]
    pub fn with_private_passphrase(mut self, passphrase: Passphrase) -> Self {
        self.private_passphrase = Some(passphrase);
        self
    }

    /// Cost of guessing the passphrases of a new home.
    #[must_use]
    pub fn with_kdf(mut self, kdf: KdfParams) -> Self {
        self.kdf = kdf;
        self
    }

    /// What the spaces keep of every document for lists and searches ([`crate::Space::rows`]).
    #[must_use]
    pub fn with_summarize(mut self, summarize: Arc<dyn Summarize>) -> Self {
        self.summarize = Some(summarize);
        self
    }

    /// Makes a home, its private space, and the twelve words that bring everything back.
    /// The words are not kept anywhere: show them once. Needs no network.
    ///
    /// # Errors
    /// [`Error::AlreadyThere`], [`Error::BadName`], [`Error::NoPassphrase`],
    /// [`Error::Unreadable`], [`Error::DiskFull`].
    pub fn create(self, new: NewHome) -> Result<(Home, RecoveryPhrase), Error> {
        let (name, device) = (checked_name(&new.name)?, checked_name(&new.device)?);
        let mut entropy = clock::entropy();
        let phrase = RecoveryPhrase::generate(&mut entropy)?;
        let mut slots = all_slots(&phrase)?;
        let own_slot = slots.remove(0);
        let relay = new.relay.map(|relay| relay.to_string()).unwrap_or_default();
        let keys = Keys {
            name,
            relay: relay.clone(),
            slots,
            device,
            ..Keys::default()
        };
        let private_keys = Keys {
            relay,
            ..Keys::default()
        };
        let unfinished = self.begin(keys, Some(private_keys))?;
        let half = OwnHalf::new(clock::now(), &mut entropy, &own_slot)?;
        unfinished.put(SpaceKind::Private, half.found_private()?)?;
        let home = unfinished.finish()?;
        home.note_this_device()?;
        Ok((home, phrase))
    }

    /// Fails where there is a home already, before anything is made or asked for.
    pub(super) fn check_free(&self) -> Result<(), Error> {
        if self.passphrase.is_none() {
            return Err(Error::NoPassphrase);
        }
        if self.dir.exists() && remains::has_vault(&self.dir)? {
            return Err(Error::AlreadyThere(self.dir.clone()));
        }
        Ok(())
    }

    /// Begins a home: the directory, both slots of the vault and both key files. Without
    /// `private`, *Only me* is not on this device: its slot is under a passphrase that nobody
    /// knows, so that it looks like one that is locked.
    pub(super) fn begin(self, shared: Keys, private: Option<Keys>) -> Result<Unfinished, Error> {
        let passphrase = self.passphrase.ok_or(Error::NoPassphrase)?;
        let dir = make_dir(&self.dir)?;
        if remains::has_vault(&dir)? {
            return Err(Error::AlreadyThere(dir));
        }
        remains::make_private(&dir)?;
        let lock = Lock::take(&dir)?;
        // Again, now that nobody else can be making one.
        if remains::has_vault(&dir)? {
            return Err(Error::AlreadyThere(dir));
        }
        remains::begin(&dir)?;

        let nobodys = match private {
            Some(_) => None,
            None => Some(nobodys_passphrase()?),
        };
        let own = self.private_passphrase.as_ref().unwrap_or(&passphrase);
        let private_passphrase = nobodys.as_ref().unwrap_or(own);
        let shared_lmk = Secret::random(&mut clock::entropy())?;
        let private_lmk = Secret::random(&mut clock::entropy())?;
        let slot = |which, passphrase, lmk| {
            VaultSlot::create(which, passphrase, self.kdf, lmk, &mut clock::entropy())
        };
        let (shared_slot, private_slot) = std::thread::scope(|scope| {
            let private =
                scope.spawn(|| slot(WhichSpace::Private, private_passphrase, &private_lmk));
            let shared = slot(WhichSpace::Shared, &passphrase, &shared_lmk);
            (shared, private.join())
        });
        let private_slot = private_slot.map_err(|_| Error::Bug("making the private slot"))??;
        let header = VaultHeader::new(shared_slot?, private_slot)
            .map_err(|_| Error::Bug("a new vault header"))?;
        let shared = KeyFile::create(
            keys_path(&dir, SpaceKind::Shared),
            WhichSpace::Shared,
            LocalKeys::derive(&shared_lmk),
            shared,
        )?;
        let has_private = private.is_some();
        let private = KeyFile::create(
            keys_path(&dir, SpaceKind::Private),
            WhichSpace::Private,
            LocalKeys::derive(&private_lmk),
            private.unwrap_or_default(),
        )?;
        Ok(Unfinished {
            dir,
            lock,
            header,
            shared: Arc::new(shared),
            private: has_private.then(|| Arc::new(private)),
            summarize: self.summarize,
        })
    }

    /// Opens a home. Takes as long as guessing a passphrase is meant to cost, about half a
    /// second. *Only me* stays locked when it has a passphrase of its own that was not given.
    ///
    /// # Errors
    /// [`Error::NoHome`], [`Error::NoPassphrase`], [`Error::WrongPassphrase`],
    /// [`Error::InUse`], [`Error::Damaged`], [`Error::Unreadable`].
    pub fn open(self) -> Result<Home, Error> {
        let header = read_header(&self.dir)?;
        let passphrase = self.passphrase.ok_or(Error::NoPassphrase)?;
        let dir = remains::own_dir(&self.dir)?;
        let lock = Lock::take(&dir)?;
        remains::finished(&dir)?;
        let private_passphrase = self.private_passphrase.as_ref().unwrap_or(&passphrase);
        let (shared, private) = std::thread::scope(|scope| {
            let slot = header.slot(WhichSpace::Private);
            let private = scope.spawn(move || slot.unlock(private_passphrase));
            (
                header.slot(WhichSpace::Shared).unlock(&passphrase),
                private.join(),
            )
        });
        let private = private.map_err(|_| Error::Bug("unlocking the private slot"))?;
        let shared = KeyFile::open(
            keys_path(&dir, SpaceKind::Shared),
            WhichSpace::Shared,
            LocalKeys::derive(&shared?),
        )?;
        let private = match private {
            Ok(lmk) => KeyFile::open(
                keys_path(&dir, SpaceKind::Private),
                WhichSpace::Private,
                LocalKeys::derive(&lmk),
            )
            .map(|keys| Some(Arc::new(keys)))
            .map_err(missing_is_damage),
            // Another passphrase, and nobody claimed to know it.
            Err(UnlockError::WrongPassphrase) if self.private_passphrase.is_none() => Ok(None),
            Err(error) => return Err(error.into()),
        };
        Home::assemble(dir, lock, Arc::new(shared), private, self.summarize)
    }
}

/// The keys of *Only me* are gone, and the shared space needs none of them.
fn missing_is_damage(error: Error) -> Error {
    match error {
        Error::Unreadable { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            Error::Damaged(format!("{} is missing", path.display()))
        }
        other => other,
    }
}

/// Reads the two passphrase slots of a home.
pub(super) fn read_header(dir: &Path) -> Result<VaultHeader, Error> {
    let vault = dir.join(VAULT);
    let bytes = match read_at_most(&vault, VAULT_HEADER + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NoHome(dir.to_owned()));
        }
        Err(error) => return Err(Error::io(vault, error)),
    };
    VaultHeader::parse(&bytes).map_err(|error| Error::Damaged(format!("vault.hdr: {error}")))
}

/// A name of a person or a device, without blanks around it.
pub(super) fn checked_name(name: &str) -> Result<String, Error> {
    let name = name.trim().to_owned();
    let length = name.chars().count();
    if length == 0 || length > NAME || name.chars().any(char::is_control) {
        return Err(Error::BadName);
    }
    Ok(name)
}

/// Public halves of all nine slots of a phrase, the private one first.
pub(super) fn all_slots(phrase: &RecoveryPhrase) -> Result<Vec<SlotPublic>, Error> {
    (0..SLOTS)
        .map(|slot| Ok(phrase.slot_keys(slot)?.public()))
        .collect::<Result<_, NoSuchSlot>>()
        .map_err(|_| Error::Bug("a key slot"))
}

/// A passphrase that is forgotten at once.
fn nobodys_passphrase() -> Result<Passphrase, Error> {
    let random: Secret<32> = Secret::random(&mut clock::entropy())?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in random.expose() {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(b'a' + half));
        }
    }
    Passphrase::new(&text).map_err(|_| Error::Bug("a random passphrase"))
}

/// A home that is being made. Until [`Self::finish`], the next attempt begins afresh.
pub(super) struct Unfinished {
    dir: PathBuf,
    lock: Lock,
    header: VaultHeader,
    shared: Arc<KeyFile>,
    private: Option<Arc<KeyFile>>,
    summarize: Option<Arc<dyn Summarize>>,
}

impl Unfinished {
    /// Makes the replica of a space in it.
    pub(super) fn put(&self, kind: SpaceKind, space: NewSpace) -> Result<(), Error> {
        let keys = match kind {
            SpaceKind::Shared => Some(&self.shared),
            SpaceKind::Private => self.private.as_ref(),
        };
        let keys = keys.ok_or(Error::Bug("a space without its key file"))?;
        let store = SealedStore::open(&store_path(&self.dir, kind), Arc::clone(keys))?;
        drop(Replica::create(store, space)?);
        Ok(())
    }

    /// Writes the vault, without which there is no home, and opens it.
    pub(super) fn finish(self) -> Result<Home, Error> {
        replace(&self.dir.join(VAULT), &self.header.encode())?;
        remains::finished(&self.dir)?;
        let private = Ok(self.private);
        Home::assemble(self.dir, self.lock, self.shared, private, self.summarize)
    }
}

fn make_dir(dir: &Path) -> Result<PathBuf, Error> {
    let failed = |error| Error::io(dir, error);
    if !dir.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
    }
    remains::own_dir(dir)
}
