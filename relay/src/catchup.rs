//! Streaming what a session lacks from storage, in order of arrival, a page at a time: memory
//! is one page and one place per device, however long the journal is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use ajar_protocol::{DeviceId, SpaceId};

use crate::storage::{Arrival, Store, StoreError};

/// A page ends after so many bytes or envelopes.
pub(crate) const PAGE_BYTES: usize = 128 << 10;
pub(crate) const PAGE_ITEMS: usize = 256;

/// An envelope to send.
pub(crate) struct Found {
    pub(crate) device: DeviceId,
    pub(crate) counter: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Something that is read and sent a page at a time.
pub(crate) trait Pages: Send + 'static {
    /// Whether nothing is left to read.
    fn is_done(&self) -> bool;

    /// Reads the next page. Blocks for storage.
    fn page(&mut self) -> Result<Vec<Found>, StoreError>;
}

/// What is left to read.
pub(crate) struct CatchUp {
    store: Arc<dyn Store>,
    space: SpaceId,
    /// Device to its last counter to send.
    last: BTreeMap<DeviceId, u64>,
    /// The next envelope of each device, by arrival.
    next: BinaryHeap<Reverse<(Arrival, DeviceId, u64)>>,
    started: bool,
    ranges: Vec<(DeviceId, u64, u64)>,
}

impl CatchUp {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        space: SpaceId,
        ranges: Vec<(DeviceId, u64, u64)>,
    ) -> Self {
        Self {
            store,
            space,
            last: BTreeMap::new(),
            next: BinaryHeap::new(),
            started: false,
            ranges,
        }
    }

    /// Puts the first envelope of a device from `counter` on that storage has into the heap. A
    /// damaged or lost one is skipped: the client sees the gap and asks the other devices.
    fn look(&mut self, device: DeviceId, counter: u64) -> Result<(), StoreError> {
        let last = self.last.get(&device).copied().unwrap_or(0);
        let mut next = (counter <= last).then_some(counter);
        while let Some(counter) = next {
            if let Some(at) = self.store.arrival(&self.space, &device, counter)? {
                self.next.push(Reverse((at, device, counter)));
                return Ok(());
            }
            tracing::warn!("envelopes are missing in storage; their devices hold them");
            let more = self
                .store
                .counters(&self.space, &device, counter, last, 1)?;
            next = more.first().copied();
        }
        Ok(())
    }
}

impl Pages for CatchUp {
    fn is_done(&self) -> bool {
        self.started && self.next.is_empty()
    }

    fn page(&mut self) -> Result<Vec<Found>, StoreError> {
        if !self.started {
            self.started = true;
            for (device, from, to) in std::mem::take(&mut self.ranges) {
                self.last.insert(device, to);
                self.look(device, from)?;
            }
        }
        let mut page = Vec::new();
        let mut bytes = 0;
        while bytes < PAGE_BYTES
            && page.len() < PAGE_ITEMS
            && let Some(Reverse((_, device, counter))) = self.next.pop()
        {
            match self.store.envelope(&self.space, &device, counter) {
                Ok(Some(found)) => {
                    bytes += found.len();
                    page.push(Found {
                        device,
                        counter,
                        bytes: found,
                    });
                }
                Ok(None) | Err(StoreError::Damaged) => {
                    tracing::warn!("an envelope is damaged in storage; its devices hold it");
                }
                Err(other) => return Err(other),
            }
            self.look(device, counter + 1)?;
        }
        Ok(page)
    }
}
