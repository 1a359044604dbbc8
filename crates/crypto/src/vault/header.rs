//! `vault.hdr`: two slots, always both present and of the same length, so that the file does
//! not say whether the private one is in use.
//!
//! ```text
//! "AJAR" | u8 1 | slot shared 135 | slot private 135
//! slot:   0  1  which: 1 private, 2 shared
//!         1  1  kdf = 1 (Argon2id v0x13)
//!         2  4  m, KiB        6  4  t        10  4  p
//!        14 16  salt
//!        30  1  mode = 1 (passphrase)
//!        31 24  nonce
//!        55 48  XChaCha20-Poly1305(K, LMK), aad = bytes 0..55 of the slot
//!       103 32  HMAC-SHA256(M, bytes 0..103 of the slot)
//! K ‖ M = HKDF-SHA256(Argon2id(passphrase, salt), info = L("ajar/v1/vault-kek")), 64 bytes
//! ```

use std::fmt;

use ajar_protocol::codec::Reader;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::{
    aead::{XNONCE, xopen, xseal},
    error::EntropyFailed,
    kdf::{derive, mac, same},
    label::VAULT_KEK,
    secret::{Entropy, Secret, random_bytes},
};

const MAGIC: &[u8; 4] = b"AJAR";
const VERSION: u8 = 1;
const KDF_ARGON2ID: u8 = 1;
const MODE_PASSPHRASE: u8 = 1;
const FRONT: usize = 55;
const MACED: usize = 103;
/// Length of one slot, in bytes.
pub const VAULT_SLOT: usize = 135;
/// Length of `vault.hdr`, in bytes.
pub const VAULT_HEADER: usize = 5 + 2 * VAULT_SLOT;

/// The two spaces that a device may hold, each behind its own slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WhichSpace {
    /// What only its owner reads.
    Private = 1,
    /// What both partners read.
    Shared = 2,
}

/// A passphrase, in Unicode normal form C, wiped when dropped. Normal form, because keyboards
/// of different systems write the same letter in different bytes.
pub struct Passphrase(Zeroizing<String>);

/// The passphrase cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing was typed.
    #[error("the passphrase is empty; type at least a few words")]
    Empty,
    /// Longer than 1024 bytes.
    #[error("the passphrase is longer than 1024 bytes; use a shorter one")]
    TooLong,
}

impl Passphrase {
    /// Takes what a person typed. No rules of composition; how good it is, is judged elsewhere.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn new(typed: &str) -> Result<Self, PassphraseError> {
        const LONGEST: usize = 1024;
        if typed.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if typed.len() > LONGEST {
            return Err(PassphraseError::TooLong);
        }
        // Normal form C grows a string at most threefold; room for it now avoids copies that
        // would not be wiped.
        let mut normal = Zeroizing::new(String::with_capacity(typed.len() * 3));
        normal.extend(typed.nfc());
        Ok(Self(normal))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Costs of Argon2id, within the compiled-in floor and ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParams {
    /// 64 MiB, three passes, one lane: what a new vault gets before calibration.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 1,
    };
    /// 19 MiB, two passes: nothing below is accepted, not even from an old file.
    pub const FLOOR: Self = Self {
        memory_kib: 19 << 10,
        passes: 2,
        lanes: 1,
    };
    /// 1 GiB, sixteen passes, sixteen lanes: nothing above is tried.
    pub const CEILING: Self = Self {
        memory_kib: 1 << 20,
        passes: 16,
        lanes: 16,
    };

    /// Checks costs against floor and ceiling: memory in KiB, passes, lanes.
    ///
    /// # Errors
    /// [`UnlockError::Downgraded`] or [`UnlockError::TooCostly`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, UnlockError> {
        let (floor, ceiling) = (Self::FLOOR, Self::CEILING);
        if memory_kib < floor.memory_kib || passes < floor.passes || lanes < floor.lanes {
            return Err(UnlockError::Downgraded);
        }
        if memory_kib > ceiling.memory_kib || passes > ceiling.passes || lanes > ceiling.lanes {
            return Err(UnlockError::TooCostly);
        }
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// Memory, in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.lanes
    }
}

/// Why a slot was not made or does not open.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnlockError {
    /// Wrong passphrase, or the slot was changed. These cannot be told apart.
    #[error("this passphrase does not open the journal")]
    WrongPassphrase,
    /// The passphrase is right, but the key inside is damaged.
    #[error(
        "the passphrase is right, but the key file vault.hdr is damaged; restore it from a backup or use the recovery words"
    )]
    Damaged,
    /// The file asks for less work than Ajar has ever written.
    #[error(
        "vault.hdr was changed to make guessing the passphrase easier; restore it from a backup"
    )]
    Downgraded,
    /// The file asks for more memory or time than Ajar ever writes.
    #[error("vault.hdr asks for more memory or time than allowed; restore it from a backup")]
    TooCostly,
    /// The slot is of a kind that this version does not know.
    #[error("vault.hdr was made by a newer version of Ajar; update Ajar")]
    Unknown,
    /// The memory that the passphrase check needs is not there.
    #[error("not enough memory to check the passphrase; close other programs and try again")]
    OutOfMemory,
    /// No randomness; no slot was made.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
}

/// One slot: a local master key under a passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultSlot([u8; VAULT_SLOT]);

impl VaultSlot {
    /// Wraps the local master key `lmk` of one space under a passphrase, with a fresh salt.
    ///
    /// # Errors
    /// [`UnlockError::Entropy`] or [`UnlockError::OutOfMemory`].
    pub fn create(
        which: WhichSpace,
        passphrase: &Passphrase,
        params: KdfParams,
        lmk: &Secret<32>,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, UnlockError> {
        let salt: [u8; 16] = random_bytes(entropy)?;
        let nonce: [u8; XNONCE] = random_bytes(entropy)?;
        let front = Front {
            which: which as u8,
            params,
            salt,
            nonce,
        };
        let (kek, mac_key) = front.stretch(passphrase)?;

        let mut slot = front.encode();
        let mut wrapped = Zeroizing::new(Vec::with_capacity(VAULT_SLOT));
        wrapped.extend_from_slice(lmk.expose());
        xseal(kek.expose(), &nonce, &slot, &mut wrapped);
        slot.extend_from_slice(&wrapped);
        let tag = mac(mac_key.expose(), &[&slot]);
        slot.extend_from_slice(&tag);
        Ok(Self(
            slot.try_into().expect("55, 48 and 32 bytes make a slot"),
        ))
    }

    /// Which space the slot claims to be for. Authentic only after [`Self::unlock`].
    #[must_use]
    pub fn which(&self) -> Option<WhichSpace> {
        match self.0.first() {
            Some(1) => Some(WhichSpace::Private),
            Some(2) => Some(WhichSpace::Shared),
            _ => None,
        }
    }

    /// Costs that the slot asks for, checked against floor and ceiling.
    ///
    /// # Errors
    /// [`UnlockError::Unknown`], [`UnlockError::Downgraded`], [`UnlockError::TooCostly`].
    pub fn params(&self) -> Result<KdfParams, UnlockError> {
        Ok(Front::read(&self.0)?.params)
    }

    /// Opens the slot and returns the local master key. Takes as long and as much memory as
    /// [`Self::params`] says; these are checked before anything is allocated.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Secret<32>, UnlockError> {
        let front = Front::read(&self.0)?;
        let (maced, tag) = self.0.split_at(MACED);
        let (aad, wrapped) = maced.split_at(FRONT);
        let (kek, mac_key) = front.stretch(passphrase)?;
        if !same(&mac(mac_key.expose(), &[maced]), tag) {
            return Err(UnlockError::WrongPassphrase);
        }
        let lmk =
            xopen(kek.expose(), &front.nonce, aad, wrapped).map_err(|_| UnlockError::Damaged)?;
        Secret::from_slice(&lmk).ok_or(UnlockError::Damaged)
    }
}

impl fmt::Debug for VaultSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultSlot")
            .field("which", &self.which())
            .finish_non_exhaustive()
    }
}

/// The slot's fields before the wrapped key.
struct Front {
    which: u8,
    params: KdfParams,
    salt: [u8; 16],
    nonce: [u8; XNONCE],
}

impl Front {
    fn read(slot: &[u8; VAULT_SLOT]) -> Result<Self, UnlockError> {
        let mut reader = Reader::new(slot, "slot of vault.hdr");
        let mut fields = || {
            let which = reader.u8()?;
            let kdf = reader.u8()?;
            let costs = [reader.u32()?, reader.u32()?, reader.u32()?];
            let salt = reader.array()?;
            Ok::<_, ajar_protocol::Malformed>((
                which,
                kdf,
                costs,
                salt,
                reader.u8()?,
                reader.array()?,
            ))
        };
        let (which, kdf, [memory, passes, lanes], salt, mode, nonce) =
            fields().map_err(|_| UnlockError::Damaged)?;
        if kdf != KDF_ARGON2ID || mode != MODE_PASSPHRASE {
            return Err(UnlockError::Unknown);
        }
        Ok(Self {
            which,
            params: KdfParams::new(memory, passes, lanes)?,
            salt,
            nonce,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(VAULT_SLOT);
        out.extend_from_slice(&[self.which, KDF_ARGON2ID]);
        for cost in [
            self.params.memory_kib,
            self.params.passes,
            self.params.lanes,
        ] {
            out.extend_from_slice(&cost.to_be_bytes());
        }
        out.extend_from_slice(&self.salt);
        out.push(MODE_PASSPHRASE);
        out.extend_from_slice(&self.nonce);
        out
    }

    /// Argon2id, then one key to wrap with and one to authenticate the slot with.
    fn stretch(&self, passphrase: &Passphrase) -> Result<(Secret<32>, Secret<32>), UnlockError> {
        let params = Params::new(
            self.params.memory_kib,
            self.params.passes,
            self.params.lanes,
            Some(32),
        )
        .map_err(|_| UnlockError::TooCostly)?;
        let mut memory = Zeroizing::new(Vec::<Block>::new());
        memory
            .try_reserve_exact(params.block_count())
            .map_err(|_| UnlockError::OutOfMemory)?;
        memory.resize(params.block_count(), Block::new());
        let mut stretched = Secret::<32>::zero();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase.bytes(),
                &self.salt,
                stretched.expose_mut(),
                memory.as_mut_slice(),
            )
            .map_err(|_| UnlockError::TooCostly)?;
        let both: Secret<64> = derive(stretched.expose(), &[], VAULT_KEK, &[]);
        let (kek, mac_key) = both.expose().split_at(32);
        let half = |bytes| Secret::from_slice(bytes).expect("half of 64 bytes");
        Ok((half(kek), half(mac_key)))
    }
}

impl Passphrase {
    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// `vault.hdr` cannot be read at all.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaultHeaderError {
    /// Not a vault header, cut short, too long, or its slots are in the wrong places.
    #[error("vault.hdr is damaged; restore it from a backup or use the recovery words")]
    Damaged,
    /// A version that this program does not know.
    #[error("vault.hdr was made by a newer version of Ajar; update Ajar")]
    Version,
}

/// The whole file: a slot for each space. They are independent: a damaged one does not keep
/// the other from opening, and one passphrase never opens the other's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultHeader {
    shared: VaultSlot,
    private: VaultSlot,
}

impl VaultHeader {
    /// Joins both slots. A device without one of the spaces still has a slot for it, under a
    /// passphrase nobody knows, so that the file looks the same.
    ///
    /// # Errors
    /// [`VaultHeaderError::Damaged`] when a slot is for the other space.
    pub fn new(shared: VaultSlot, private: VaultSlot) -> Result<Self, VaultHeaderError> {
        let places = (shared.which(), private.which());
        if places != (Some(WhichSpace::Shared), Some(WhichSpace::Private)) {
            return Err(VaultHeaderError::Damaged);
        }
        Ok(Self { shared, private })
    }

    /// Reads the file. The slots' own fields are judged when they are unlocked.
    ///
    /// # Errors
    /// [`VaultHeaderError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, VaultHeaderError> {
        let (magic, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or(VaultHeaderError::Damaged)?;
        let (version, rest) = rest.split_first().ok_or(VaultHeaderError::Damaged)?;
        if magic != MAGIC {
            return Err(VaultHeaderError::Damaged);
        }
        if *version != VERSION {
            return Err(VaultHeaderError::Version);
        }
        let (shared, rest) = rest
            .split_first_chunk::<VAULT_SLOT>()
            .ok_or(VaultHeaderError::Damaged)?;
        let private = rest.try_into().map_err(|_| VaultHeaderError::Damaged)?;
        Self::new(VaultSlot(*shared), VaultSlot(private))
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> [u8; VAULT_HEADER] {
        [
            MAGIC.as_slice(),
            &[VERSION],
            &self.shared.0,
            &self.private.0,
        ]
        .concat()
        .try_into()
        .expect("five bytes and two slots make a header")
    }

    /// The slot of one space.
    #[must_use]
    pub fn slot(&self, which: WhichSpace) -> &VaultSlot {
        match which {
            WhichSpace::Private => &self.private,
            WhichSpace::Shared => &self.shared,
        }
    }

    /// The header with one slot replaced, for a new passphrase; the other stays as it is.
    ///
    /// # Errors
    /// [`VaultHeaderError::Damaged`] for a slot that names no space.
    pub fn with_slot(self, slot: VaultSlot) -> Result<Self, VaultHeaderError> {
        match slot.which() {
            Some(WhichSpace::Private) => Self::new(self.shared, slot),
            Some(WhichSpace::Shared) => Self::new(slot, self.private),
            None => Err(VaultHeaderError::Damaged),
        }
    }
}
