//! What a device needs that cannot go on from its frontier (protocol §2.8): all EPOCHs, the newest
//! SNAPSHOT of each device and the newest ENDORSEs, a page at a time. Memory is one page and a
//! bounded list, however many there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ajar_protocol::{DeviceId, EnvelopeType, SpaceId};

use crate::catchup::{Found, PAGE_BYTES, PAGE_ITEMS, Pages};
use crate::storage::{Special, Store, StoreError};

/// Snapshots sent, one of each device: as many as one party may have devices.
const SNAPSHOTS: usize = 8;
/// Endorsements sent, the newest: several of each device that a space may have.
const ENDORSEMENTS: usize = 256;

/// A bootstrap under way.
pub(crate) struct Bootstrap {
    store: Arc<dyn Store>,
    space: SpaceId,
    /// Devices that a chain names; what others wrote counts no more.
    named: BTreeSet<DeviceId>,
    /// The snapshot that the log is trimmed to: a newer one of its author may not have been
    /// endorsed yet.
    trimmed_to: Option<(DeviceId, u64)>,
    /// The next EPOCH by arrival, until there are no more.
    epochs: Option<u64>,
    /// What is left to send.
    list: VecDeque<Special>,
    done: bool,
}

impl Bootstrap {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        space: SpaceId,
        named: BTreeSet<DeviceId>,
        trimmed_to: Option<(DeviceId, u64)>,
    ) -> Self {
        Self {
            store,
            space,
            named,
            trimmed_to,
            epochs: Some(0),
            list: VecDeque::new(),
            done: false,
        }
    }

    fn specials(&self, kind: EnvelopeType, from: u64) -> Result<Vec<Special>, StoreError> {
        self.store.specials(&self.space, kind, from, PAGE_ITEMS)
    }

    /// Calls `take` with each of a type, in order of arrival.
    fn each(&self, kind: EnvelopeType, mut take: impl FnMut(Special)) -> Result<(), StoreError> {
        let mut from = 0;
        loop {
            let page = self.specials(kind, from)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            from = last.arrival.saturating_add(1);
            let named = page.iter().filter(|it| self.named.contains(&it.device));
            named.for_each(|special| take(*special));
        }
    }

    /// The next of what is to be sent; it may be gone meanwhile.
    fn next(&mut self) -> Result<Option<Special>, StoreError> {
        while self.list.is_empty() {
            let Some(from) = self.epochs else {
                return Ok(None);
            };
            let page = self.specials(EnvelopeType::Epoch, from)?;
            self.epochs = page.last().map(|last| last.arrival.saturating_add(1));
            self.list.extend(page);
            if self.epochs.is_none() {
                self.list = self.last()?;
                break;
            }
        }
        Ok(self.list.pop_front())
    }

    /// What follows the EPOCHs: snapshots, newest first, then endorsements.
    fn last(&self) -> Result<VecDeque<Special>, StoreError> {
        let mut newest: BTreeMap<DeviceId, Special> = BTreeMap::new();
        let mut trimmed_to = None;
        self.each(EnvelopeType::Snapshot, |special| {
            if self.trimmed_to == Some((special.device, special.counter)) {
                trimmed_to = Some(special);
            }
            let known = newest.entry(special.device).or_insert(special);
            if known.counter < special.counter {
                *known = special;
            }
        })?;
        let mut snapshots: Vec<Special> = newest.into_values().collect();
        snapshots.sort_unstable_by_key(|special| Reverse(special.arrival));
        snapshots.truncate(SNAPSHOTS);
        let known = |one: &Special| {
            let mut all = snapshots.iter();
            all.any(|it| (it.device, it.counter) == (one.device, one.counter))
        };
        if let Some(special) = trimmed_to.filter(|one| !known(one)) {
            snapshots.push(special);
        }
        let mut endorsements = VecDeque::new();
        self.each(EnvelopeType::Endorse, |special| {
            if endorsements.len() == ENDORSEMENTS {
                endorsements.pop_front();
            }
            endorsements.push_back(special);
        })?;
        Ok(snapshots.into_iter().chain(endorsements).collect())
    }
}

impl Pages for Bootstrap {
    fn is_done(&self) -> bool {
        self.done
    }

    fn page(&mut self) -> Result<Vec<Found>, StoreError> {
        let mut page = Vec::new();
        let mut bytes = 0;
        while bytes < PAGE_BYTES && page.len() < PAGE_ITEMS {
            let Some(special) = self.next()? else {
                self.done = true;
                break;
            };
            let Special {
                device, counter, ..
            } = special;
            if !self.named.contains(&device) {
                continue;
            }
            match self.store.envelope(&self.space, &device, counter) {
                Ok(Some(found)) => {
                    bytes += found.len();
                    page.push(Found {
                        device,
                        counter,
                        bytes: found,
                    });
                }
                // Trimmed since it was listed.
                Ok(None) => {}
                Err(StoreError::Damaged) => {
                    tracing::warn!("an envelope is damaged in storage; its devices hold it");
                }
                Err(other) => return Err(other),
            }
        }
        Ok(page)
    }
}
