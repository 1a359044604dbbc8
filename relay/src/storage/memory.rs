//! The back end in memory: for tests, and the reference of the conformance suite. It can be told
//! to hold commits back or to fail them, which is how tests see what the relay promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ajar_protocol::{BlobId, DeviceId, EnvelopeType, PartyId, SpaceId};

use super::{Arrival, Blob, BlobFile, BlobFiles, Done, Head, Special, Store, StoreError, Write};

type Place = (SpaceId, DeviceId, u64);

#[derive(Default)]
struct State {
    geneses: BTreeMap<SpaceId, Vec<u8>>,
    links: BTreeMap<(SpaceId, PartyId, u64), Vec<u8>>,
    envelopes: BTreeMap<Place, (u64, Vec<u8>)>,
    heads: BTreeMap<(SpaceId, DeviceId), Head>,
    logins: BTreeMap<[u8; 32], SpaceId>,
    logins_complete: bool,
    claims: BTreeMap<[u8; 32], u32>,
    arrivals: u64,
    /// By space, type and number of arrival; the number comes from all spaces together.
    specials: BTreeMap<(SpaceId, u8, u64), (DeviceId, u64)>,
    indexed: BTreeSet<SpaceId>,
    trims: BTreeMap<SpaceId, Vec<u8>>,
    trimming: BTreeSet<SpaceId>,
    reclaimed: u32,
    blobs: BTreeMap<(SpaceId, BlobId), Blob>,
    /// By space, blob and whether it is whole.
    files: BTreeMap<(SpaceId, BlobId, bool), (Instant, Vec<u8>)>,
    paused: bool,
    held: Vec<(Vec<Write>, Done)>,
    fault: Option<StoreError>,
}

/// Storage that ends with the process.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl State {
    fn index(&mut self, space: SpaceId, (kind, device, counter): (EnvelopeType, DeviceId, u64)) {
        self.arrivals += 1;
        let place = (space, kind as u8, self.arrivals);
        self.specials.insert(place, (device, counter));
    }

    fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Genesis { space, bytes } => {
                    self.geneses.insert(space, bytes);
                    self.indexed.insert(space);
                }
                Write::Link {
                    space,
                    party,
                    seq,
                    bytes,
                } => {
                    self.links.insert((space, party, seq), bytes);
                }
                Write::Unlink {
                    space,
                    party,
                    from,
                    to,
                } => {
                    for seq in from..to {
                        self.links.remove(&(space, party, seq));
                    }
                }
                Write::Login { login, space } => {
                    self.logins.entry(login).or_insert(space);
                }
                Write::LoginsComplete => self.logins_complete = true,
                Write::Envelope {
                    space,
                    counter,
                    kind,
                    head,
                    bytes,
                } => {
                    self.arrivals += 1;
                    let place = (space, head.device, counter);
                    self.envelopes.insert(place, (self.arrivals, bytes));
                    self.heads.insert((space, head.device), head);
                    if kind != EnvelopeType::Changes {
                        self.index(space, (kind, head.device, counter));
                    }
                }
                Write::Specials { space, all } => {
                    self.indexed.insert(space);
                    for special in all {
                        self.index(space, special);
                    }
                }
                Write::Forget {
                    space,
                    counters,
                    head,
                } => {
                    for counter in counters {
                        self.envelopes.remove(&(space, head.device, counter));
                    }
                    self.heads.insert((space, head.device), head);
                }
                Write::Unlist {
                    space,
                    kind,
                    special,
                } => {
                    let place = (space, kind as u8, special.arrival);
                    self.specials.remove(&place);
                }
                Write::Trim {
                    space,
                    record,
                    heads,
                } => {
                    self.trims.insert(space, record);
                    self.trimming.insert(space);
                    for head in heads {
                        self.heads.insert((space, head.device), head);
                    }
                }
                Write::Trimmed { space } => {
                    self.trimming.remove(&space);
                }
                Write::Blob { space, blob } => {
                    self.blobs.insert((space, blob.id), blob);
                }
                Write::Unblob { space, blob } => {
                    self.blobs.remove(&(space, blob.id));
                }
                Write::ClaimUses { claim, uses } => {
                    self.claims.insert(claim, uses);
                }
            }
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on commits wait, as if the disk were slow.
    pub fn pause(&self) {
        self.lock().paused = true;
    }

    /// Finishes all waiting commits, and later ones at once.
    pub fn resume(&self) {
        let mut state = self.lock();
        state.paused = false;
        let held = std::mem::take(&mut state.held);
        let mut finished = Vec::with_capacity(held.len());
        for (writes, done) in held {
            let result = match &state.fault {
                Some(fault) => Err(fault.clone()),
                None => {
                    state.apply(writes);
                    Ok(())
                }
            };
            finished.push((done, result));
        }
        drop(state);
        for (done, result) in finished {
            done(result);
        }
    }

    /// Commits that wait because of [`Self::pause`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().held.len()
    }

    /// From now on commits fail with `fault`, or succeed again with `None`.
    pub fn set_fault(&self, fault: Option<StoreError>) {
        self.lock().fault = fault;
    }

    /// Forgets where login keys are found, as if a relay of the first version had written
    /// everything.
    pub fn forget_logins(&self) {
        let mut state = self.lock();
        state.logins.clear();
        state.logins_complete = false;
    }

    /// Forgets the index of envelopes that are not CHANGES, as if a relay of the first version
    /// had written everything.
    pub fn forget_specials(&self) {
        let mut state = self.lock();
        state.specials.clear();
        state.indexed.clear();
    }

    /// How often room was given back.
    #[must_use]
    pub fn reclaimed(&self) -> u32 {
        self.lock().reclaimed
    }

    /// Makes all files of blobs older.
    pub fn age_files(&self, by: Duration) {
        for (written, _) in self.lock().files.values_mut() {
            *written = written.checked_sub(by).unwrap_or(*written);
        }
    }

    /// Changes what is in the file of a blob, as a bad disk does.
    pub fn damage(&self, space: &SpaceId, blob: &BlobId) {
        if let Some((_, bytes)) = self.lock().files.get_mut(&(*space, *blob, true))
            && let Some(byte) = bytes.last_mut()
        {
            *byte ^= 1;
        }
    }

    /// Forgets that blobs are stored but keeps their files: a death between the two.
    pub fn forget_blobs(&self) {
        self.lock().blobs.clear();
    }

    /// Forgets everything, as a lost disk does.
    pub fn wipe(&self) {
        *self.lock() = State::default();
    }
}

impl Store for MemoryStore {
    fn genesis(&self, space: &SpaceId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().geneses.get(space).cloned())
    }

    fn link(
        &self,
        space: &SpaceId,
        party: &PartyId,
        seq: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().links.get(&(*space, *party, seq)).cloned())
    }

    fn login(&self, login: &[u8; 32]) -> Result<Option<SpaceId>, StoreError> {
        Ok(self.lock().logins.get(login).copied())
    }

    fn logins_complete(&self) -> Result<bool, StoreError> {
        Ok(self.lock().logins_complete)
    }

    fn heads(&self, space: &SpaceId) -> Result<Vec<Head>, StoreError> {
        let state = self.lock();
        let of_space = state
            .heads
            .range((*space, DeviceId([0; 32]))..=(*space, DeviceId([0xff; 32])));
        Ok(of_space.map(|(_, head)| *head).collect())
    }

    fn arrival(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Arrival>, StoreError> {
        let state = self.lock();
        let found = state.envelopes.get(&(*space, *device, counter));
        Ok(found.map(|(arrival, _)| Arrival(0, *arrival)))
    }

    fn envelope(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let state = self.lock();
        let found = state.envelopes.get(&(*space, *device, counter));
        Ok(found.map(|(_, bytes)| bytes.clone()))
    }

    fn counters(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        from: u64,
        to: u64,
        most: usize,
    ) -> Result<Vec<u64>, StoreError> {
        if from > to {
            return Ok(Vec::new());
        }
        let state = self.lock();
        let range = (*space, *device, from)..=(*space, *device, to);
        let found = state.envelopes.range(range).take(most);
        Ok(found.map(|((_, _, counter), _)| *counter).collect())
    }

    fn specials_indexed(&self, space: &SpaceId) -> Result<bool, StoreError> {
        Ok(self.lock().indexed.contains(space))
    }

    fn specials(
        &self,
        space: &SpaceId,
        kind: EnvelopeType,
        from: u64,
        most: usize,
    ) -> Result<Vec<Special>, StoreError> {
        let state = self.lock();
        let range = (*space, kind as u8, from)..=(*space, kind as u8, u64::MAX);
        let found = state.specials.range(range).take(most);
        let special = |(place, named): (&(SpaceId, u8, u64), &(DeviceId, u64))| Special {
            arrival: place.2,
            device: named.0,
            counter: named.1,
        };
        Ok(found.map(special).collect())
    }

    fn trim(&self, space: &SpaceId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().trims.get(space).cloned())
    }

    fn trimming(&self) -> Result<Vec<SpaceId>, StoreError> {
        Ok(self.lock().trimming.iter().copied().collect())
    }

    fn reclaim(&self) -> Result<u64, StoreError> {
        self.lock().reclaimed += 1;
        Ok(0)
    }

    fn erase(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn blob(&self, space: &SpaceId, id: &BlobId) -> Result<Option<Blob>, StoreError> {
        Ok(self.lock().blobs.get(&(*space, *id)).copied())
    }

    fn blobs(&self, space: &SpaceId) -> Result<Vec<Blob>, StoreError> {
        let state = self.lock();
        let all = (*space, BlobId([0; 32]))..=(*space, BlobId([0xff; 32]));
        Ok(state.blobs.range(all).map(|(_, blob)| *blob).collect())
    }

    fn files(&self) -> &dyn BlobFiles {
        self
    }

    fn claim_uses(&self, claim: &[u8; 32]) -> Result<Option<u32>, StoreError> {
        Ok(self.lock().claims.get(claim).copied())
    }

    fn spaces(&self) -> Result<Vec<SpaceId>, StoreError> {
        Ok(self.lock().geneses.keys().copied().collect())
    }

    fn spaces_beginning(&self, byte: u8) -> Result<Vec<SpaceId>, StoreError> {
        let state = self.lock();
        let spaces = state.geneses.keys();
        let spaces = spaces.filter(|space| space.0.first() == Some(&byte));
        Ok(spaces.copied().collect())
    }

    fn commit(&self, writes: Vec<Write>, done: Done) {
        let mut state = self.lock();
        if state.paused {
            state.held.push((writes, done));
            return;
        }
        let result = match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => {
                state.apply(writes);
                Ok(())
            }
        };
        drop(state);
        done(result);
    }

    fn close(&self) -> Result<(), StoreError> {
        self.resume();
        Ok(())
    }
}

impl BlobFiles for MemoryStore {
    fn spaces(&self) -> Result<Vec<SpaceId>, StoreError> {
        let state = self.lock();
        let spaces: BTreeSet<SpaceId> = state.files.keys().map(|(space, ..)| *space).collect();
        Ok(spaces.into_iter().collect())
    }

    fn list(&self, space: &SpaceId, only_parts: bool) -> Result<Vec<BlobFile>, StoreError> {
        let state = self.lock();
        let files = state.files.iter();
        let files = files.filter(|((of, _, whole), _)| of == space && !(only_parts && *whole));
        Ok(files
            .map(|((_, blob, whole), (written, bytes))| BlobFile {
                blob: *blob,
                whole: *whole,
                length: bytes.len() as u64,
                age: written.elapsed(),
            })
            .collect())
    }

    fn begin(&self, space: &SpaceId, blob: &BlobId) -> Result<(u64, bool), StoreError> {
        let mut state = self.lock();
        let whole = state.files.remove(&(*space, *blob, true));
        let was_whole = whole.is_some();
        if let Some((_, bytes)) = whole {
            let file = (Instant::now(), bytes);
            state.files.insert((*space, *blob, false), file);
        }
        let part = state.files.get(&(*space, *blob, false));
        Ok((part.map_or(0, |(_, bytes)| bytes.len() as u64), was_whole))
    }

    fn read(
        &self,
        space: &SpaceId,
        blob: &BlobId,
        whole: bool,
        at: u64,
        most: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let state = self.lock();
        let file = state.files.get(&(*space, *blob, whole));
        let (_, bytes) = file.ok_or(StoreError::Damaged)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        Ok(bytes.iter().skip(at).take(most).copied().collect())
    }

    fn write(
        &self,
        space: &SpaceId,
        blob: &BlobId,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let new = (Instant::now(), Vec::new());
        let file = state.files.entry((*space, *blob, false)).or_insert(new);
        file.0 = Instant::now();
        file.1.truncate(usize::try_from(at).unwrap_or(usize::MAX));
        file.1.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&self, space: &SpaceId, blob: &BlobId) -> Result<(), StoreError> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let part = state.files.remove(&(*space, *blob, false));
        let part = part.ok_or(StoreError::Damaged)?;
        state.files.insert((*space, *blob, true), part);
        Ok(())
    }

    fn remove(&self, space: &SpaceId, blob: &BlobId, whole: bool) -> Result<(), StoreError> {
        self.lock().files.remove(&(*space, *blob, whole));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance;

    #[test]
    fn keeps_what_the_suite_demands() {
        let store = MemoryStore::new();
        conformance::run(&store);
        conformance::still_there(&store);
    }
}
