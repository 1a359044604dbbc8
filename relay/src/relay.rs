//! What all connections share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ajar_protocol::SpaceId;
use tokio::sync::{Semaphore, mpsc};

use crate::claims::Claims;
use crate::hub::Hub;
use crate::identity::Identity;
use crate::limits::Limits;
use crate::mailbox::Mailboxes;
use crate::rate::{Network, Windows};
use crate::space::Space;
use crate::storage::Store;

/// A running relay.
pub(crate) struct Relay {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Hub,
    pub(crate) claims: Claims,
    /// Held while a space is admitted, so that a claim is never counted twice for once.
    pub(crate) admissions: tokio::sync::Mutex<()>,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) append_budget: Arc<Semaphore>,
    /// Transfers of blobs that may still begin.
    pub(crate) transfers: Semaphore,
    bad_introductions: Mutex<Windows>,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    total: u32,
    by_address: HashMap<Network, u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    pub(crate) fn new(
        identity: Identity,
        limits: Limits,
        store: Arc<dyn Store>,
        claims: Claims,
        ready: mpsc::UnboundedSender<Arc<Space>>,
        trims: mpsc::UnboundedSender<SpaceId>,
    ) -> Self {
        Self {
            hub: Hub::new(Arc::clone(&store), limits.bytes_per_space, ready, trims),
            mailboxes: Arc::new(Mailboxes::new(&limits)),
            append_budget: Arc::new(Semaphore::new(limits.append_bytes_in_flight_total as usize)),
            transfers: Semaphore::new(limits.blob_transfers as usize),
            bad_introductions: Mutex::new(Windows::new(
                Duration::from_secs(3600),
                limits.bad_introductions_per_hour,
            )),
            connections: Mutex::default(),
            admissions: tokio::sync::Mutex::new(()),
            identity,
            limits,
            store,
            claims,
        }
    }

    /// Counts a connection in, unless there are too many from its address or in all.
    pub(crate) fn admit_connection(self: &Arc<Self>, ip: IpAddr) -> Option<ConnectionSlot> {
        let from = Network::from(ip);
        let mut connections = lock(&self.connections);
        let own = connections.by_address.get(&from).copied().unwrap_or(0);
        if connections.total >= self.limits.connections
            || own >= self.limits.connections_per_address
        {
            return None;
        }
        connections.total += 1;
        connections.by_address.insert(from, own + 1);
        Some(ConnectionSlot {
            relay: Arc::clone(self),
            from,
        })
    }

    /// Whether this address may still introduce spaces.
    pub(crate) fn may_introduce(&self, from: Network) -> bool {
        lock(&self.bad_introductions).would_allow(from, std::time::Instant::now())
    }

    /// Counts an introduction with a wrong credential.
    pub(crate) fn note_bad_introduction(&self, from: Network) {
        lock(&self.bad_introductions).allow(from, std::time::Instant::now());
    }
}

/// A counted connection; dropping it counts it out.
pub(crate) struct ConnectionSlot {
    relay: Arc<Relay>,
    from: Network,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut connections = lock(&self.relay.connections);
        connections.total = connections.total.saturating_sub(1);
        if let Some(count) = connections.by_address.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                connections.by_address.remove(&self.from);
            }
        }
    }
}
