//! The embedded back end: a segment log with a rebuildable index, one folder, one process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ajar_log::{Batch, Error, Log, Options};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::{BlobId, DeviceId, EnvelopeId, EnvelopeType, PartyId, SpaceId};

use super::blobs::Folder;
use super::{Arrival, Blob, BlobFiles, Done, Head, Special, Store, StoreError, Write, keys};

/// Storage in `ajar-log`, with blobs in files.
#[derive(Debug)]
pub struct LocalStore {
    log: Log,
    files: Folder,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Locked { .. } => Self::Locked,
            Error::DiskFull => Self::DiskFull,
            Error::Damaged { .. } => Self::Damaged,
            Error::NotConfirmed { .. } | Error::Stopped => Self::Stopped(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl LocalStore {
    /// Opens or creates the store in `dir`, with the files of blobs in `blobs`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open.
    pub fn open(dir: &Path, blobs: &Path) -> Result<Self, StoreError> {
        // Members choose the bytes that are stored: they must not be able to forge a record.
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|error| StoreError::Failed(error.to_string()))?;
        let log = Options::new()
            .with_salt(u64::from_be_bytes(salt))
            .open(dir)?;
        let files = Folder::new(blobs);
        Ok(Self { log, files })
    }

    /// Number of damaged records found when the store was opened.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.log.report().damaged_count
    }

    fn spaces_of(&self, prefix: &[u8]) -> Result<Vec<SpaceId>, StoreError> {
        let keys = self.log.keys_with_prefix(prefix)?;
        Ok(keys
            .iter()
            .filter_map(|(key, _)| keys::space_of(key))
            .collect())
    }

    /// Reads and checks every record; returns how many are damaged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn verify(&self) -> Result<usize, StoreError> {
        Ok(self.log.verify()?.len())
    }
}

fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = Writer::with_capacity(48);
    out.u64(head.counter).raw(&head.id.0).u64(head.bytes);
    out.finish()
}

fn decode_head(device: DeviceId, value: &[u8]) -> Result<Head, StoreError> {
    let mut reader = Reader::new(value, "stored head");
    let mut read = || {
        Ok(Head {
            device,
            counter: reader.u64()?,
            id: EnvelopeId(reader.array()?),
            bytes: reader.u64()?,
        })
    };
    read().map_err(|_: ajar_protocol::Malformed| StoreError::Damaged)
}

/// The next numbers of arrival, for the spaces of one batch.
struct Arrivals<'a> {
    log: &'a Log,
    next: BTreeMap<SpaceId, u64>,
}

impl Arrivals<'_> {
    /// Indexes an envelope. What came before is durable: a space has one commit at a time.
    fn index(
        &mut self,
        batch: &mut Batch,
        space: SpaceId,
        (kind, device, counter): (EnvelopeType, DeviceId, u64),
    ) -> Result<(), Error> {
        let next = match self.next.get(&space) {
            Some(next) => *next,
            None => {
                let stored = self.log.get(&keys::arrivals(&space))?;
                let stored = stored.and_then(|bytes| bytes.try_into().ok());
                stored.map_or(0, u64::from_be_bytes)
            }
        };
        let special = Special {
            arrival: next,
            device,
            counter,
        };
        batch.put(keys::special(&space, kind, &special), Vec::new());
        self.next.insert(space, next + 1);
        Ok(())
    }

    fn write(self, batch: &mut Batch) {
        for (space, next) in self.next {
            batch.put(keys::arrivals(&space), next.to_be_bytes().to_vec());
        }
    }
}

/// Of several writes for one key the last counts.
fn batch_of(log: &Log, writes: Vec<Write>) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    let mut arrivals = Arrivals {
        log,
        next: BTreeMap::new(),
    };
    for write in writes {
        match write {
            Write::Genesis { space, bytes } => {
                batch.put(keys::genesis(&space), bytes);
                arrivals.next.insert(space, 0);
            }
            Write::Link {
                space,
                party,
                seq,
                bytes,
            } => batch.put(keys::link(&space, &party, seq), bytes),
            Write::Unlink {
                space,
                party,
                from,
                to,
            } => {
                for seq in from..to {
                    batch.delete(keys::link(&space, &party, seq));
                }
            }
            Write::Login { login, space } => {
                let key = keys::login(&login);
                // Rare, and the index alone answers.
                if !log.contains(&key)? {
                    batch.put(key, space.0.to_vec());
                }
            }
            Write::LoginsComplete => batch.put(keys::LOGINS_COMPLETE, Vec::new()),
            Write::Envelope {
                space,
                counter,
                kind,
                head,
                bytes,
            } => {
                batch.put(keys::envelope(&space, &head.device, counter), bytes);
                batch.put(keys::head(&space, &head.device), encode_head(&head));
                if kind != EnvelopeType::Changes {
                    arrivals.index(&mut batch, space, (kind, head.device, counter))?;
                }
            }
            Write::Specials { space, all } => {
                arrivals.next.insert(space, 0);
                for special in all {
                    arrivals.index(&mut batch, space, special)?;
                }
            }
            Write::Forget {
                space,
                counters,
                head,
            } => {
                for counter in counters {
                    batch.delete(keys::envelope(&space, &head.device, counter));
                }
                batch.put(keys::head(&space, &head.device), encode_head(&head));
            }
            Write::Unlist {
                space,
                kind,
                special,
            } => batch.delete(keys::special(&space, kind, &special)),
            Write::Trim {
                space,
                record,
                heads,
            } => {
                batch.put(keys::trim(&space), record);
                batch.put(keys::trimming(&space), Vec::new());
                for head in heads {
                    batch.put(keys::head(&space, &head.device), encode_head(&head));
                }
            }
            Write::Trimmed { space } => batch.delete(keys::trimming(&space)),
            Write::Blob { space, blob } => batch.put(keys::blob(&space, &blob), Vec::new()),
            Write::Unblob { space, blob } => batch.delete(keys::blob(&space, &blob)),
            Write::ClaimUses { claim, uses } => {
                batch.put(keys::claim(&claim), uses.to_be_bytes().to_vec());
            }
        }
    }
    arrivals.write(&mut batch);
    Ok(batch)
}

impl Store for LocalStore {
    fn genesis(&self, space: &SpaceId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.log.get(&keys::genesis(space))?)
    }

    fn link(
        &self,
        space: &SpaceId,
        party: &PartyId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.log.get(&keys::link(space, party, seq))?)
    }

    fn login(&self, login: &[u8; 32]) -> Result<Option<SpaceId>, StoreError> {
        match self.log.get(&keys::login(login))? {
            None => Ok(None),
            Some(value) => value
                .try_into()
                .map(|id| Some(SpaceId(id)))
                .map_err(|_| StoreError::Damaged),
        }
    }

    fn logins_complete(&self) -> Result<bool, StoreError> {
        Ok(self.log.contains(keys::LOGINS_COMPLETE)?)
    }

    fn heads(&self, space: &SpaceId) -> Result<Vec<Head>, StoreError> {
        let prefix = keys::heads(space);
        let mut heads = Vec::new();
        for (key, _) in self.log.keys_with_prefix(&prefix)? {
            let device = key
                .strip_prefix(prefix.as_slice())
                .and_then(|rest| rest.try_into().ok())
                .map(DeviceId)
                .ok_or(StoreError::Damaged)?;
            if let Some(value) = self.log.get(&key)? {
                heads.push(decode_head(device, &value)?);
            }
        }
        Ok(heads)
    }

    fn arrival(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Arrival>, StoreError> {
        let at = self.log.position(&keys::envelope(space, device, counter))?;
        Ok(at.map(|at| Arrival(at.segment, at.offset)))
    }

    fn envelope(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.log.get(&keys::envelope(space, device, counter))?)
    }

    fn counters(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        from: u64,
        to: u64,
        most: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let (from, to) = keys::envelopes(space, device, from, to);
        let found = self.log.keys_between(&from, &to, most)?;
        let counters = found.iter().filter_map(|(key, _)| keys::counter_of(key));
        Ok(counters.collect())
    }

    fn specials_indexed(&self, space: &SpaceId) -> Result<bool, StoreError> {
        Ok(self.log.contains(&keys::arrivals(space))?)
    }

    fn specials(
        &self,
        space: &SpaceId,
        kind: EnvelopeType,
        from: u64,
        most: usize,
    ) -> Result<Vec<Special>, StoreError> {
        let (from, to) = keys::specials(space, kind, from);
        let found = self.log.keys_between(&from, &to, most)?;
        let specials = found.iter().filter_map(|(key, _)| keys::special_of(key));
        Ok(specials.collect())
    }

    fn trim(&self, space: &SpaceId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.log.get(&keys::trim(space))?)
    }

    fn trimming(&self) -> Result<Vec<SpaceId>, StoreError> {
        let found = self.log.keys_with_prefix(keys::TRIMMING)?;
        let spaces = found.iter().filter_map(|(key, _)| keys::trimming_of(key));
        Ok(spaces.collect())
    }

    fn reclaim(&self) -> Result<u64, StoreError> {
        Ok(self.log.reclaim()?.freed_bytes)
    }

    fn erase(&self) -> Result<(), StoreError> {
        self.log.erase_dead()?;
        Ok(())
    }

    fn blob(&self, space: &SpaceId, id: &BlobId) -> Result<Option<Blob>, StoreError> {
        let found = self.log.keys_with_prefix(&keys::blob_named(space, id))?;
        Ok(found.first().and_then(|(key, _)| keys::blob_of(key)))
    }

    fn blobs(&self, space: &SpaceId) -> Result<Vec<Blob>, StoreError> {
        let found = self.log.keys_with_prefix(&keys::blobs(space))?;
        Ok(found
            .iter()
            .filter_map(|(key, _)| keys::blob_of(key))
            .collect())
    }

    fn files(&self) -> &dyn BlobFiles {
        &self.files
    }

    fn claim_uses(&self, claim: &[u8; 32]) -> Result<Option<u32>, StoreError> {
        match self.log.get(&keys::claim(claim))? {
            None => Ok(None),
            Some(value) => value
                .try_into()
                .map(|uses| Some(u32::from_be_bytes(uses)))
                .map_err(|_| StoreError::Damaged),
        }
    }

    fn spaces(&self) -> Result<Vec<SpaceId>, StoreError> {
        self.spaces_of(keys::GENESES)
    }

    fn spaces_beginning(&self, byte: u8) -> Result<Vec<SpaceId>, StoreError> {
        self.spaces_of(&keys::geneses_beginning(byte))
    }

    fn commit(&self, writes: Vec<Write>, done: Done) {
        let batch = match batch_of(&self.log, writes) {
            Ok(batch) => batch,
            Err(error) => return done(Err(error.into())),
        };
        // The log drops its callback when it refuses a batch at once; the caller is still told.
        let slot = Arc::new(Mutex::new(Some(done)));
        let take =
            |slot: &Mutex<Option<Done>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let inner = Arc::clone(&slot);
        let queued = self.log.submit(batch, move |result| {
            if let Some(done) = take(&inner) {
                done(result.map_err(StoreError::from));
            }
        });
        if let Err(error) = queued
            && let Some(done) = take(&slot)
        {
            done(Err(error.into()));
        }
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(self.log.clone().close()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance;

    fn open(dir: &Path) -> Result<LocalStore, StoreError> {
        LocalStore::open(&dir.join("db"), &dir.join("blobs"))
    }

    #[test]
    fn keeps_what_the_suite_demands() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).unwrap();
        conformance::run(&store);
        store.close().unwrap();
        drop(store);
        let store = open(dir.path()).unwrap();
        conformance::still_there(&store);
    }

    #[test]
    fn a_second_relay_on_the_same_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = open(dir.path()).unwrap();
        assert_eq!(open(dir.path()).err(), Some(StoreError::Locked));
    }
}
