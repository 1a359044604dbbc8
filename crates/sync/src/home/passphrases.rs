//! Other passphrases (protocol §2.16). What they protect stays as it is: only the slot of
//! `vault.hdr` that wraps the space's key is made anew.

use ajar_crypto::vault::{KdfParams, Passphrase, UnlockError, VaultSlot, WhichSpace};
use ajar_protocol::genesis::SpaceKind;

use super::keyfile::replace;
use super::{Home, VAULT, builder};
use crate::clock;
use crate::error::Error;

impl Home {
    /// Puts a new passphrase in the place of the old one. For the shared space it is the
    /// passphrase of the journal: *Only me* gets the new one too as long as it has none of its
    /// own. For the private space it gives *Only me* one of its own, or takes that back when
    /// it is the same as the journal's. The old one opens nothing from now on, but an old copy
    /// of `vault.hdr` in a backup. Nothing is locked by it, and a death in the middle leaves
    /// the old or the new passphrase. Takes as long as guessing is meant to cost, two to four
    /// times, on a thread for such work. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`] when `old` is not the one in use, [`Error::DiskFull`],
    /// [`Error::Unreadable`], [`Error::Damaged`], [`Error::Closed`].
    pub async fn change_passphrase(
        &self,
        kind: SpaceKind,
        old: Passphrase,
        new: Passphrase,
        kdf: KdfParams,
    ) -> Result<(), Error> {
        let _busy = self.inner.activity.busy();
        let home = self.clone();
        tokio::task::spawn_blocking(move || home.rewrap(kind, &old, &new, kdf))
            .await
            .map_err(|_| Error::Bug("changing a passphrase"))?
    }

    fn rewrap(
        &self,
        kind: SpaceKind,
        old: &Passphrase,
        new: &Passphrase,
        kdf: KdfParams,
    ) -> Result<(), Error> {
        let _turn = self.turn();
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let mut header = builder::read_header(&self.inner.dir)?;
        let which = match kind {
            SpaceKind::Private => WhichSpace::Private,
            SpaceKind::Shared => WhichSpace::Shared,
        };
        let mut slots = vec![rewrapped(header.slot(which), which, old, new, kdf)?];
        if kind == SpaceKind::Shared {
            let private = WhichSpace::Private;
            match rewrapped(header.slot(private), private, old, new, kdf) {
                Ok(slot) => slots.push(slot),
                // It has one of its own.
                Err(UnlockError::WrongPassphrase) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for slot in slots {
            header = header
                .with_slot(slot)
                .map_err(|_| Error::Bug("a new passphrase slot"))?;
        }
        replace(&self.inner.dir.join(VAULT), &header.encode())
    }
}

/// A slot for the same key under another passphrase. The key is in memory for as long as
/// that takes.
fn rewrapped(
    slot: &VaultSlot,
    which: WhichSpace,
    old: &Passphrase,
    new: &Passphrase,
    kdf: KdfParams,
) -> Result<VaultSlot, UnlockError> {
    let lmk = slot.unlock(old)?;
    VaultSlot::create(which, new, kdf, &lmk, &mut clock::entropy())
}
