//! What the relay keeps: geneses, party chains, envelopes by (space, device, counter), in which
//! space a recovery login is found, blobs and which party brought them, and how often a claim was used. No sequence number over all,
//! no key that could open anything.
//!
//! One trait, one conformance suite ([`conformance`]), several back ends.

mod blobs;
pub mod conformance;
mod keys;
pub mod local;
pub(crate) mod logins;
pub mod memory;
pub(crate) mod specials;

use std::sync::mpsc;

use ajar_protocol::{BlobId, DeviceId, EnvelopeId, EnvelopeType, PartyId, SpaceId};
use thiserror::Error;

pub use blobs::{BlobFile, BlobFiles};
pub use local::LocalStore;
pub use memory::MemoryStore;

/// Why the storage refused or failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process uses this data folder.
    #[error("another ajar-relay is using this data folder; stop it first")]
    Locked,
    /// No room is left; nothing of the commit was kept, reading goes on.
    #[error("the disk is full; free some space, the relay goes on by itself")]
    DiskFull,
    /// A stored record is not what was written.
    #[error("a stored record is damaged; the devices of its space hold it too")]
    Damaged,
    /// The disk did not confirm a write, so no further one is accepted until a restart.
    #[error("the disk did not confirm a write ({0}); check the disk, then start the relay again")]
    Stopped(String),
    /// Anything else.
    #[error("storage: {0}")]
    Failed(String),
}

impl From<tokio::task::JoinError> for StoreError {
    /// A task that panicked says so in words of its own, which may hold anything; where it was,
    /// the process has said already.
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Failed("a task of the relay broke off".to_owned())
    }
}

/// Order of arrival at this relay; a hint for catch-up, nothing relies on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(pub u64, pub u64);

/// The last stored envelope of one device in one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The device.
    pub device: DeviceId,
    /// Counter of its last envelope.
    pub counter: u64,
    /// Id of that envelope.
    pub id: EnvelopeId,
    /// Bytes of all envelopes of this device, for the quota.
    pub bytes: u64,
}

/// A stored blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its id.
    pub id: BlobId,
    /// Place in the space of the party that brought it: 0 the lower, 1 the higher.
    pub party: u8,
    /// Length of its ciphertext in bytes.
    pub length: u64,
}

/// An envelope that is not CHANGES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// Its number among those of its space, in order of arrival. Numbers grow.
    pub arrival: u64,
    /// Its author.
    pub device: DeviceId,
    /// Its counter.
    pub counter: u64,
}

/// One thing to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The signed genesis of a space, before any of its envelopes.
    Genesis {
        /// The space.
        space: SpaceId,
        /// As received.
        bytes: Vec<u8>,
    },
    /// A party-chain link.
    Link {
        /// The space.
        space: SpaceId,
        /// The party.
        party: PartyId,
        /// Place in the chain.
        seq: u64,
        /// As received.
        bytes: Vec<u8>,
    },
    /// Links `from..to` of a party chain are there no more: one that outranks them has come.
    Unlink {
        /// The space.
        space: SpaceId,
        /// The party.
        party: PartyId,
        /// Place of the first of them.
        from: u64,
        /// Place after the last of them.
        to: u64,
    },
    /// An envelope. One that is not CHANGES is indexed under the next number of arrival.
    Envelope {
        /// The space.
        space: SpaceId,
        /// Its counter.
        counter: u64,
        /// Its type.
        kind: EnvelopeType,
        /// The head of its device from now on, with the size of all envelopes of this device,
        /// this one included.
        head: Head,
        /// As received.
        bytes: Vec<u8>,
    },
    /// Envelopes of a space that were written before they were indexed, all of them that are
    /// not CHANGES, in order of arrival.
    Specials {
        /// The space.
        space: SpaceId,
        /// Type, author and counter of each.
        all: Vec<(EnvelopeType, DeviceId, u64)>,
    },
    /// Envelopes of a device are there no more.
    Forget {
        /// The space.
        space: SpaceId,
        /// Their counters.
        counters: Vec<u64>,
        /// The head of the device, with the size of what is left.
        head: Head,
    },
    /// An envelope is listed by its type no more.
    Unlist {
        /// The space.
        space: SpaceId,
        /// Its type.
        kind: EnvelopeType,
        /// How it was listed.
        special: Special,
    },
    /// The newest trim record of a space; from now on [`Store::trimming`] names it.
    Trim {
        /// The space.
        space: SpaceId,
        /// As received.
        record: Vec<u8>,
        /// Heads of devices of which nothing is here: what the record covers.
        heads: Vec<Head>,
    },
    /// What the trim record of a space covers is gone.
    Trimmed {
        /// The space.
        space: SpaceId,
    },
    /// A blob, whose file is whole.
    Blob {
        /// The space.
        space: SpaceId,
        /// The blob.
        blob: Blob,
    },
    /// A blob is there no more; its file is removed after this is durable.
    Unblob {
        /// The space.
        space: SpaceId,
        /// The blob.
        blob: Blob,
    },
    /// In which space a recovery login key is found. The first space that a key was written
    /// for keeps it, so that nobody can lead the words of others elsewhere.
    Login {
        /// The login key.
        login: [u8; 32],
        /// The space.
        space: SpaceId,
    },
    /// From now on every login key in force has been written with [`Write::Login`].
    LoginsComplete,
    /// How many spaces a claim has admitted.
    ClaimUses {
        /// Hash of the claim.
        claim: [u8; 32],
        /// Spaces admitted so far.
        uses: u32,
    },
}

/// Called once a commit is durable, or has failed as a whole. Short, and on any thread.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A back end. Reads may block for a disk access; the relay calls them off its reactor.
pub trait Store: Send + Sync + 'static {
    /// Genesis of a space, if it is known here.
    ///
    /// # Errors
    /// [`StoreError`].
    fn genesis(&self, space: &SpaceId) -> Result<Option<Vec<u8>>, StoreError>;

    /// One link of a party chain.
    ///
    /// # Errors
    /// [`StoreError`].
    fn link(
        &self,
        space: &SpaceId,
        party: &PartyId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// The space of a recovery login key. Whether the key is (still) in force there is for the
    /// space to say.
    ///
    /// # Errors
    /// [`StoreError`].
    fn login(&self, login: &[u8; 32]) -> Result<Option<SpaceId>, StoreError>;

    /// Whether [`Write::LoginsComplete`] was stored; it was not in data folders of the first
    /// version.
    ///
    /// # Errors
    /// [`StoreError`].
    fn logins_complete(&self) -> Result<bool, StoreError>;

    /// Heads of all devices that have written in a space, by device id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn heads(&self, space: &SpaceId) -> Result<Vec<Head>, StoreError>;

    /// When an envelope arrived, if it is here.
    ///
    /// # Errors
    /// [`StoreError`].
    fn arrival(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Arrival>, StoreError>;

    /// An envelope.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] rather than anything that was not written.
    fn envelope(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// The counters of the envelopes of a device that are here, `from..=to`, the first `most` of
    /// them.
    ///
    /// # Errors
    /// [`StoreError`].
    fn counters(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        from: u64,
        to: u64,
        most: usize,
    ) -> Result<Vec<u64>, StoreError>;

    /// Whether the envelopes of a space that are not CHANGES are indexed; they were not in data
    /// folders of the first version.
    ///
    /// # Errors
    /// [`StoreError`].
    fn specials_indexed(&self, space: &SpaceId) -> Result<bool, StoreError>;

    /// The envelopes of a type other than CHANGES by their numbers of arrival, from `from` on, the
    /// first `most` of them. An envelope that is listed may be gone.
    ///
    /// # Errors
    /// [`StoreError`].
    fn specials(
        &self,
        space: &SpaceId,
        kind: EnvelopeType,
        from: u64,
        most: usize,
    ) -> Result<Vec<Special>, StoreError>;

    /// The trim record of a space.
    ///
    /// # Errors
    /// [`StoreError`].
    fn trim(&self, space: &SpaceId) -> Result<Option<Vec<u8>>, StoreError>;

    /// The spaces with a trim record of which something covered may still be here.
    ///
    /// # Errors
    /// [`StoreError`].
    fn trimming(&self) -> Result<Vec<SpaceId>, StoreError>;

    /// Gives the room of what was deleted back to the disk. Takes long; appends and reads go on
    /// meanwhile. Returns the bytes that were freed.
    ///
    /// # Errors
    /// [`StoreError`]; what was given back until then stays so.
    fn reclaim(&self) -> Result<u64, StoreError>;

    /// Writes everything anew that lies beside something deleted, so that nothing deleted is left
    /// in any file: keys that open it may still exist somewhere. Takes longer than
    /// [`Self::reclaim`]; appends and reads go on meanwhile.
    ///
    /// # Errors
    /// As [`Self::reclaim`].
    fn erase(&self) -> Result<(), StoreError>;

    /// A blob, if it is stored.
    ///
    /// # Errors
    /// [`StoreError`].
    fn blob(&self, space: &SpaceId, id: &BlobId) -> Result<Option<Blob>, StoreError>;

    /// All blobs of a space, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn blobs(&self, space: &SpaceId) -> Result<Vec<Blob>, StoreError>;

    /// The files of blobs.
    fn files(&self) -> &dyn BlobFiles;

    /// How many spaces a claim has admitted; `None` when it was never used.
    ///
    /// # Errors
    /// [`StoreError`].
    fn claim_uses(&self, claim: &[u8; 32]) -> Result<Option<u32>, StoreError>;

    /// All spaces, in ascending order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn spaces(&self) -> Result<Vec<SpaceId>, StoreError>;

    /// The spaces whose ids begin with `byte`, in ascending order: all of them, a part at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn spaces_beginning(&self, byte: u8) -> Result<Vec<SpaceId>, StoreError>;

    /// Stores all of `writes` or none. Returns when they are queued; `done` runs when they are
    /// durable. Commits become durable in the order they were queued. At most 1024 commits and
    /// 32 MiB may wait: the caller keeps below that.
    fn commit(&self, writes: Vec<Write>, done: Done);

    /// Finishes what is queued and closes the store.
    ///
    /// # Errors
    /// [`StoreError`]; nothing that was reported durable is lost by that.
    fn close(&self) -> Result<(), StoreError>;
}

/// Commits and waits for it. Blocks, so not on the reactor.
pub(crate) fn commit_now(store: &dyn Store, writes: Vec<Write>) -> Result<(), StoreError> {
    let (tell, told) = mpsc::channel();
    store.commit(
        writes,
        Box::new(move |result| {
            // We wait below for as long as it takes.
            let _ = tell.send(result);
        }),
    );
    told.recv()
        .unwrap_or_else(|_| Err(StoreError::Failed("a commit was dropped".to_owned())))
}
