//! Deletes what trim records cover: one space after the other, a batch at a time, so that nothing
//! waits for it. What is left to do is known to storage and goes on after a restart.

use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DeviceId, Envelope, EnvelopeType, SpaceId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::admission::open;
use crate::relay::Relay;
use crate::session::blocking;
use crate::space::{Floor, Space, Waiter, rows};
use crate::storage::{Store, StoreError, Write, commit_now};

/// Envelopes looked at for one commit, and bytes after which no more are.
const PAGE: usize = 128;
const PAGE_BYTES: u64 = 2 << 20;
/// What a disk that is full or failing is given before the next attempt.
const RETRY: Duration = Duration::from_secs(60);
/// Room is given back at most so often: it rewrites what is left of whole segments.
const RECLAIM: Duration = Duration::from_secs(60);
/// What was burned is erased soon, and then at most so often: it rewrites nearly everything.
const ERASE: Duration = Duration::from_secs(3600);
/// Types that are listed.
const LISTED: [EnvelopeType; 4] = [
    EnvelopeType::Snapshot,
    EnvelopeType::Epoch,
    EnvelopeType::Burn,
    EnvelopeType::Endorse,
];

/// Runs until the relay stops.
pub(crate) async fn run(
    relay: Arc<Relay>,
    mut wanted: mpsc::UnboundedReceiver<SpaceId>,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        () = work(&relay, &mut wanted) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn work(relay: &Arc<Relay>, wanted: &mut mpsc::UnboundedReceiver<SpaceId>) {
    let store = Arc::clone(&relay.store);
    let mut again: Vec<SpaceId> = match blocking(move || store.trimming()).await {
        Ok(left) => left,
        Err(error) => {
            tracing::warn!(%error, "what is left to trim is not known until the next start");
            Vec::new()
        }
    };
    let (mut freed, mut reclaim_at) = (false, Instant::now());
    let (mut burned, mut erase_at) = (Vec::new(), Instant::now());
    loop {
        let mut failed = Vec::new();
        for space in std::mem::take(&mut again) {
            match trim(relay, space).await {
                Ok(unerased) => {
                    freed = true;
                    burned.retain(|(of, _): &Unerased| of.id() != space);
                    burned.extend(unerased);
                }
                Err(error) => {
                    tracing::warn!(%error, "a trim is not finished; it goes on later");
                    failed.push(space);
                }
            }
        }
        if freed && wanted.is_empty() && Instant::now() >= reclaim_at {
            freed = false;
            let store = Arc::clone(&relay.store);
            match blocking(move || store.reclaim()).await {
                Ok(0) => {}
                Ok(bytes) => tracing::info!(bytes, "room was given back to the disk"),
                Err(error) => tracing::warn!(%error, "no room could be given back"),
            }
            reclaim_at = Instant::now() + RECLAIM;
        }
        if !burned.is_empty() && wanted.is_empty() && Instant::now() >= erase_at {
            match erase(relay, &burned).await {
                Ok(()) => burned.clear(),
                Err(error) => tracing::warn!(%error, "what was burned is not erased yet"),
            }
            erase_at = Instant::now() + ERASE;
        }
        again = failed;
        // At most one entry for each record that was accepted.
        let next = async {
            match (again.is_empty(), freed, !burned.is_empty()) {
                (true, false, false) => std::future::pending().await,
                (true, true, _) => tokio::time::sleep_until(reclaim_at).await,
                (true, false, true) => tokio::time::sleep_until(erase_at).await,
                (false, ..) => tokio::time::sleep(RETRY).await,
            }
        };
        tokio::select! {
            space = wanted.recv() => match space {
                Some(space) => again.push(space),
                None => return,
            },
            () = next => {}
        }
        while let Ok(space) = wanted.try_recv() {
            again.push(space);
        }
        again.sort_unstable();
        again.dedup();
    }
}

/// A trim whose dead records must be erased before it is done.
type Unerased = (Arc<Space>, Arc<Floor>);

/// Deletes what the record of a space covers. One that gives up epochs is not done before they
/// are erased; it is returned, and until then known to storage, so that a restart goes on.
async fn trim(relay: &Arc<Relay>, id: SpaceId) -> Result<Option<Unerased>, StoreError> {
    let unavailable = |reason| StoreError::Failed(format!("a space cannot be opened: {reason:?}"));
    let Some(space) = open(relay, id).await.map_err(unavailable)? else {
        return Ok(None);
    };
    // A newer record may come meanwhile, and is asked for then.
    let Some(floor) = space.floor() else {
        return Ok(None);
    };
    let mut gone = 0;
    for (device, last) in rows(&floor) {
        let mut from = 1;
        while from <= last {
            let (store, covering) = (Arc::clone(&relay.store), Arc::clone(&floor));
            let page = blocking(move || page(store.as_ref(), id, &covering, device, from, last));
            let page = page.await?;
            from = page.next;
            if !page.counters.is_empty() {
                gone += page.counters.len();
                forget(&space, &floor, device, page.counters, page.bytes).await?;
            }
        }
    }
    let (store, covering) = (Arc::clone(&relay.store), Arc::clone(&floor));
    blocking(move || unlist(store.as_ref(), id, &covering)).await?;
    tracing::info!(envelopes = gone, "a space was trimmed");
    if floor.statement.retired.is_empty() {
        done(relay, &space, &floor).await?;
        return Ok(None);
    }
    Ok(Some((space, floor)))
}

/// Nothing is left to do for a record, unless a newer one has come.
async fn done(
    relay: &Arc<Relay>,
    space: &Arc<Space>,
    floor: &Arc<Floor>,
) -> Result<(), StoreError> {
    let newest = space.floor();
    if newest.is_some_and(|newest| Arc::ptr_eq(&newest, floor)) {
        let store = Arc::clone(&relay.store);
        let writes = vec![Write::Trimmed { space: space.id() }];
        blocking(move || commit_now(store.as_ref(), writes)).await?;
    }
    Ok(())
}

/// Erases the dead records, and those trims are done.
async fn erase(relay: &Arc<Relay>, burned: &[Unerased]) -> Result<(), StoreError> {
    let store = Arc::clone(&relay.store);
    blocking(move || store.erase()).await?;
    for (space, floor) in burned {
        done(relay, space, floor).await?;
    }
    Ok(())
}

/// Some of what is to be deleted.
struct Page {
    counters: Vec<u64>,
    bytes: u64,
    /// Where to go on.
    next: u64,
}

/// Looks at the next envelopes of a device. Blocks for storage.
fn page(
    store: &dyn Store,
    space: SpaceId,
    floor: &Floor,
    device: DeviceId,
    from: u64,
    last: u64,
) -> Result<Page, StoreError> {
    let mut page = Page {
        counters: Vec::new(),
        bytes: 0,
        next: last + 1,
    };
    let here = store.counters(&space, &device, from, last, PAGE)?;
    if here.len() == PAGE {
        page.next = here.last().map_or(page.next, |counter| counter + 1);
    }
    for counter in here {
        if page.bytes >= PAGE_BYTES {
            page.next = counter;
            break;
        }
        let stored = match store.envelope(&space, &device, counter) {
            // What cannot be read is of no use to anybody; how long it was is not known.
            Err(StoreError::Damaged) => None,
            stored => stored?,
        };
        let parsed = stored.as_deref().and_then(|it| Envelope::parse(it).ok());
        let epoch = parsed.is_some_and(|it| it.header().kind == EnvelopeType::Epoch);
        if !epoch || floor.retires(&device, counter) {
            page.counters.push(counter);
            page.bytes += stored.map_or(0, |bytes| bytes.len() as u64);
        }
    }
    Ok(page)
}

/// Deletes envelopes through the space, whose commits say how much it holds.
async fn forget(
    space: &Arc<Space>,
    floor: &Floor,
    device: DeviceId,
    counters: Vec<u64>,
    bytes: u64,
) -> Result<(), StoreError> {
    let (answers, mut answer) = mpsc::channel(1);
    let closed = || StoreError::Failed("nobody answers".to_owned());
    let waiter = Waiter {
        slot: answers.reserve_owned().await.map_err(|_| closed())?,
        budget: Vec::new(),
    };
    space.forget(floor, device, counters, bytes, waiter);
    match answer.recv().await {
        Some(RelayMsg::TrimStored(_)) => Ok(()),
        Some(RelayMsg::TrimNotStored(_, reason)) => {
            Err(StoreError::Failed(format!("deleting: {reason:?}")))
        }
        _ => Err(closed()),
    }
}

/// Takes envelopes that are gone off the lists of their types. Blocks for storage.
fn unlist(store: &dyn Store, space: SpaceId, floor: &Floor) -> Result<(), StoreError> {
    for kind in LISTED {
        let mut from = 0;
        loop {
            let listed = store.specials(&space, kind, from, PAGE)?;
            let Some(last) = listed.last() else {
                break;
            };
            from = last.arrival.saturating_add(1);
            let mut writes = Vec::new();
            for special in listed {
                let (device, counter) = (special.device, special.counter);
                let covered = counter <= floor.statement.cover.counter(&device);
                if covered
                    && store
                        .counters(&space, &device, counter, counter, 1)?
                        .is_empty()
                {
                    writes.push(Write::Unlist {
                        space,
                        kind,
                        special,
                    });
                }
            }
            if !writes.is_empty() {
                commit_now(store, writes)?;
            }
        }
    }
    Ok(())
}
