//! The back end in memory: for tests, and the reference of the conformance suite. It can be told
//! to hold commits back or to fail them, which is how tests see what the relay promises.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ajar_protocol::{DeviceId, PartyId, SpaceId};

use super::{Arrival, Done, Head, Store, StoreError, Write};

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
    fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Genesis { space, bytes } => {
                    self.geneses.insert(space, bytes);
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
                Write::Envelope { space, head, bytes } => {
                    self.arrivals += 1;
                    let place = (space, head.device, head.counter);
                    self.envelopes.insert(place, (self.arrivals, bytes));
                    self.heads.insert((space, head.device), head);
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
