//! What a space offers about blobs.

use std::fmt;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use ajar_crypto::Secret;
use ajar_crypto::blob::{BlobKey, BlobOpener, BlobSealError, BlobSealer, SEALED_CHUNK, sealed_len};
use ajar_protocol::{BlobId, limits};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::folder::{STEP, hash_file, read_some};
use super::queue::{Blobs, Want};
use crate::clock;
use crate::core::Core;
use crate::error::{ConnectError, Error};
use crate::event::Connection;
use crate::space::{Space, is_final};

/// Local data: ids of blobs that the relay is still to delete, one after the other.
pub(super) const FORGET: &str = "sync/blobs-to-forget";
/// Deletions that may wait: more than a journal of a life has photos.
const FORGET_MOST: usize = 1 << 16;

/// Where a blob is and what opens it. It belongs into a sealed record and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// SHA-256 of the ciphertext.
    pub id: BlobId,
    /// Key and salt.
    pub key: BlobKey,
    /// Length of the content in bytes.
    pub length: u64,
}

impl BlobRef {
    /// Puts together what a record holds.
    #[must_use]
    pub fn new(id: [u8; 32], key: &[u8; 32], salt: [u8; 16], length: u64) -> Self {
        Self {
            id: BlobId(id),
            key: BlobKey::new(Secret::new(*key), salt),
            length,
        }
    }
}

impl fmt::Debug for BlobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobRef(..)")
    }
}

/// Work that waits for the disk, on a thread that may wait if there is one.
fn at_the_disk<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}

pub(crate) fn ids_of(bytes: &[u8]) -> Vec<BlobId> {
    let (ids, _) = bytes.as_chunks::<32>();
    ids.iter().copied().map(BlobId).collect()
}

pub(super) fn ids_to_bytes(ids: &[BlobId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

fn reading(error: std::io::Error) -> Error {
    Error::Unreadable {
        path: Path::new("the content").to_owned(),
        source: error,
    }
}

fn sealing(error: BlobSealError) -> Error {
    match error {
        BlobSealError::TooLarge => Error::BlobTooLarge,
        _ => Error::BlobChanged,
    }
}

impl Blobs {
    fn put(&self, content: &mut dyn Read, length: u64) -> Result<BlobRef, Error> {
        if length > limits::BLOB_CONTENT {
            return Err(Error::BlobTooLarge);
        }
        let key = BlobKey::random(&mut clock::entropy())?;
        let mut sealer = BlobSealer::new(&key, length).map_err(sealing)?;
        let mut draft = self.folder.draft()?;
        let mut piece = Zeroizing::new(vec![0; STEP]);
        let mut sealed = Vec::with_capacity(2 * SEALED_CHUNK);
        loop {
            let read = read_some(content, &mut piece).map_err(reading)?;
            if read.is_empty() {
                break;
            }
            sealer.push(read, &mut sealed).map_err(sealing)?;
            draft.write(&sealed)?;
            sealed.clear();
        }
        let id = BlobId(sealer.finish(&mut sealed).map_err(sealing)?);
        draft.write(&sealed)?;
        self.keep(draft, &id, true)?;
        Ok(BlobRef { id, key, length })
    }

    fn keep(&self, draft: super::folder::Draft, id: &BlobId, up: bool) -> Result<(), Error> {
        let name = self.folder.name(id)?;
        self.folder.keep(draft, &name, up)?;
        if up {
            self.to_send(name);
        }
        Ok(())
    }

    /// Keeps a blob whose ciphertext is at hand; with `up`, it is sent to the relay.
    pub(crate) fn put_sealed(&self, id: &BlobId, sealed: &[u8], up: bool) -> Result<(), Error> {
        if sealed.len() as u64 > limits::BLOB {
            return Err(Error::BlobTooLarge);
        }
        if Sha256::digest(sealed).as_slice() != id.0 {
            return Err(Error::BlobDamaged);
        }
        let mut draft = self.folder.draft()?;
        draft.write(sealed)?;
        self.keep(draft, id, up)
    }

    /// The ciphertext, if it is here and right; wrong bytes are removed.
    pub(crate) fn sealed(&self, id: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        let name = self.folder.name(id)?;
        let Some((file, length)) = self.folder.open(&name)? else {
            return Ok(None);
        };
        let mut sealed = Vec::new();
        let longest = limits::BLOB.min(length) + 1;
        file.take(longest)
            .read_to_end(&mut sealed)
            .map_err(reading)?;
        if Sha256::digest(&sealed).as_slice() != id.0 {
            self.lose(&name)?;
            return Ok(None);
        }
        Ok(Some(sealed))
    }

    /// Opens a blob that is here into `out`; `false` when it is not here, or was damaged and is
    /// gone now. Nothing is written before its hash was right.
    fn open_here(&self, blob: &BlobRef, out: &mut dyn Write) -> Result<bool, Error> {
        let name = self.folder.name(&blob.id)?;
        let Some((mut file, _)) = self.folder.open(&name)? else {
            return Ok(false);
        };
        let (found, _) = hash_file(&mut file).map_err(reading)?;
        if found != blob.id {
            self.lose(&name)?;
            return Ok(false);
        }
        file.rewind().map_err(reading)?;
        // The right bytes that do not open: whoever named them named a wrong key or length.
        let wrong = |_| Error::BlobDamaged;
        let mut opener = BlobOpener::new(&blob.key, blob.id.0, blob.length).map_err(wrong)?;
        let mut piece = vec![0; STEP];
        let mut content = Zeroizing::new(Vec::with_capacity(2 * SEALED_CHUNK));
        loop {
            let read = read_some(&mut file, &mut piece).map_err(reading)?;
            if read.is_empty() {
                break;
            }
            opener.push(read, &mut content).map_err(wrong)?;
            out.write_all(&content)
                .map_err(|error| Error::io("the output", error))?;
            content.clear();
        }
        opener.finish().map_err(wrong)?;
        Ok(true)
    }

    /// A file that is not what its name says.
    fn lose(&self, name: &str) -> Result<(), Error> {
        tracing::warn!("a blob of this device was damaged and is removed");
        self.folder.forget(name)?;
        self.not_to_send(name);
        Ok(())
    }

    /// Removes a blob here.
    pub(crate) fn forget(&self, id: &BlobId) -> Result<(), Error> {
        let name = self.folder.name(id)?;
        self.not_to_send(&name);
        self.folder.forget(&name)
    }

    /// The relay lacks a blob that it had confirmed, or is another one.
    pub(super) fn send_again(&self, id: &BlobId) -> Result<(), Error> {
        let name = self.folder.name(id)?;
        if self.folder.has(&name) {
            self.folder.mark(&name)?;
            self.to_send(name);
        }
        Ok(())
    }

    /// The relay of this connection has lost something, or is another one.
    pub(crate) fn ask_relay(&self) -> Result<(), Error> {
        self.set_asking(true)
    }
}

/// Removes blobs from this device; with `at_relay`, the relay is asked to delete those that this
/// person put there, now or with the next connection.
pub(crate) fn forget(core: &mut Core, ids: &[BlobId], at_relay: bool) -> Result<(), Error> {
    if at_relay {
        let mut queue = ids_of(&core.replica.local(FORGET)?.unwrap_or_default());
        queue.extend(ids);
        queue.sort_unstable();
        queue.dedup();
        queue.truncate(FORGET_MOST);
        let queue = ids_to_bytes(&queue);
        core.replica.set_local(FORGET, Some(queue))?;
    }
    for id in ids {
        core.blobs.forget(id)?;
    }
    core.blobs.work.notify_one();
    core.blobs_changed();
    Ok(())
}

impl Space {
    /// Seals `length` bytes of content, at most 25 MiB, and keeps them here; they travel with
    /// the space. When this returns, they are on the disk. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`]; [`Error::BlobChanged`] when the content has another length;
    /// [`Error::Unreadable`], [`Error::DiskFull`], [`Error::Closed`]. Nothing is left then.
    pub fn put_blob(&self, content: &mut dyn Read, length: u64) -> Result<BlobRef, Error> {
        self.check_writable()?;
        let blob = self.inner().blobs.put(content, length)?;
        self.worker().call(Core::blobs_changed)?;
        Ok(blob)
    }

    /// Writes the content of a blob into `out`: from here, or else from the relay, for which it
    /// waits at most `wait`. A download that was cut short goes on where it was. `out` gets
    /// nothing before the whole ciphertext was checked.
    ///
    /// # Errors
    /// [`Error::BlobMissing`] when the relay does not have it (yet), [`Error::BlobDamaged`] when
    /// what is there is not what was asked for, [`Error::Connect`] when the relay could not be
    /// reached in time.
    pub async fn open_blob(
        &self,
        blob: &BlobRef,
        out: &mut (dyn Write + Send),
        wait: Duration,
    ) -> Result<(), Error> {
        let sealed = sealed_len(blob.length).filter(|sealed| *sealed <= limits::BLOB);
        let sealed = sealed.ok_or(Error::BlobDamaged)?;
        let blobs = &self.inner().blobs;
        if at_the_disk(|| blobs.open_here(blob, out))? {
            return Ok(());
        }
        self.fetch(blob.id, Some(sealed), wait).await?;
        if at_the_disk(|| blobs.open_here(blob, out))? {
            return Ok(());
        }
        Err(Error::BlobMissing)
    }

    /// The ciphertext of a blob, from here or else from the relay.
    ///
    /// # Errors
    /// As [`Self::open_blob`].
    pub async fn sealed_blob(&self, id: BlobId, wait: Duration) -> Result<Vec<u8>, Error> {
        let blobs = &self.inner().blobs;
        if let Some(sealed) = at_the_disk(|| blobs.sealed(&id))? {
            return Ok(sealed);
        }
        self.fetch(id, None, wait).await?;
        at_the_disk(|| blobs.sealed(&id))?.ok_or(Error::BlobMissing)
    }

    /// Keeps a blob whose ciphertext is at hand, and sends it to the relay.
    ///
    /// # Errors
    /// [`Error::BlobDamaged`] when it is not what its id says, [`Error::BlobTooLarge`],
    /// [`Error::DiskFull`], [`Error::Closed`].
    pub fn put_sealed_blob(&self, id: BlobId, sealed: &[u8]) -> Result<(), Error> {
        self.check_writable()?;
        // Forgotten before, and wanted again.
        self.worker().call(move |core| -> Result<(), Error> {
            let mut queue = ids_of(&core.replica.local(FORGET)?.unwrap_or_default());
            let before = queue.len();
            queue.retain(|forgotten| *forgotten != id);
            if queue.len() < before {
                let left = (!queue.is_empty()).then(|| ids_to_bytes(&queue));
                core.replica.set_local(FORGET, left)?;
            }
            Ok(())
        })??;
        self.inner().blobs.put_sealed(&id, sealed, true)?;
        self.worker().call(Core::blobs_changed)
    }

    /// Whether a blob is on this device, whole.
    #[must_use]
    pub fn has_blob(&self, id: &BlobId) -> bool {
        let folder = &self.inner().blobs.folder;
        folder.name(id).is_ok_and(|name| folder.has(&name))
    }

    /// Removes blobs from this device, and asks the relay to delete those that this person put
    /// there, now or with the next connection.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::DiskFull`], [`Error::Unreadable`], [`Error::Closed`].
    pub fn forget_blobs(&self, ids: &[BlobId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.to_vec();
        self.worker().call(move |core| forget(core, &ids, true))?
    }

    /// How many blobs of this device the relay has not confirmed yet.
    #[must_use]
    pub fn blobs_pending(&self) -> usize {
        self.inner().blobs.pending()
    }

    /// Brings a blob here from the relay.
    async fn fetch(&self, id: BlobId, sealed: Option<u64>, wait: Duration) -> Result<(), Error> {
        let inner = self.inner();
        let visit = self.visit()?;
        let fetched = timeout(wait, async {
            let place = inner.blobs.places.acquire().await;
            let _place = place.map_err(|_| Error::Closed)?;
            let told = inner.blobs.want(Want { id, sealed });
            tokio::select! {
                told = told => told.unwrap_or(Err(Error::Closed)),
                why = self.hopeless() => Err(why.into()),
            }
        })
        .await
        .unwrap_or_else(|_| Err(self.why_not().into()));
        visit.done().await;
        fetched
    }

    /// Waits until trying again cannot help.
    async fn hopeless(&self) -> ConnectError {
        let mut connection = self.inner().worker.connection();
        loop {
            match &*connection.borrow_and_update() {
                Connection::Waiting { why, .. } if is_final(why) => return why.clone(),
                Connection::Off => return ConnectError::Lost,
                _ => {}
            }
            if connection.changed().await.is_err() {
                return ConnectError::Lost;
            }
        }
    }
}
