//! The spaces in use. A space is loaded when somebody enters, shared by all its sessions, and
//! forgotten when the last of them and the last commit are gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ajar_protocol::{Link, PartyChain, PartyId, SpaceGenesis, SpaceId};
use tokio::sync::mpsc;

use crate::space::{Loaded, Space};
use crate::storage::{Store, StoreError, specials};

/// Spaces whose loading does not wait for one another.
const STRIPES: usize = 64;
/// Dead entries of a stripe are swept when it has this many, then twice as many as live.
const SWEEP: usize = 64;

#[derive(Debug)]
struct Stripe {
    spaces: HashMap<SpaceId, Weak<Space>>,
    sweep_at: usize,
}

/// All spaces in use.
pub(crate) struct Hub {
    store: Arc<dyn Store>,
    quota: u64,
    ready: mpsc::UnboundedSender<Arc<Space>>,
    trims: mpsc::UnboundedSender<SpaceId>,
    stripes: Vec<Mutex<Stripe>>,
}

impl Hub {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        quota: u64,
        ready: mpsc::UnboundedSender<Arc<Space>>,
        trims: mpsc::UnboundedSender<SpaceId>,
    ) -> Self {
        let stripe = || {
            Mutex::new(Stripe {
                spaces: HashMap::new(),
                sweep_at: SWEEP,
            })
        };
        Self {
            store,
            quota,
            ready,
            trims,
            stripes: (0..STRIPES).map(|_| stripe()).collect(),
        }
    }

    /// The space, loaded if need be; `None` when it is not known here. Blocks for storage.
    ///
    /// The stripe stays locked while loading: otherwise a space could be loaded, written to and
    /// forgotten by others between our reading and our use of what we read.
    pub(crate) fn open(&self, id: &SpaceId) -> Result<Option<Arc<Space>>, StoreError> {
        let stripe = usize::from(id.0.first().copied().unwrap_or(0)) % STRIPES;
        let Some(stripe) = self.stripes.get(stripe) else {
            return Ok(None);
        };
        let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = stripe.spaces.get(id).and_then(Weak::upgrade) {
            return Ok(Some(space));
        }
        let Some(loaded) = load(self.store.as_ref(), id)? else {
            return Ok(None);
        };
        let (ready, trims) = (self.ready.clone(), self.trims.clone());
        let space = Arc::new(Space::new(*id, loaded, self.quota, ready, trims));
        stripe.spaces.insert(*id, Arc::downgrade(&space));
        if stripe.spaces.len() >= stripe.sweep_at {
            stripe.spaces.retain(|_, space| space.strong_count() > 0);
            stripe.sweep_at = SWEEP.max(2 * stripe.spaces.len());
        }
        Ok(Some(space))
    }

    /// The space, if it is in use.
    pub(crate) fn loaded(&self, id: &SpaceId) -> Option<Arc<Space>> {
        let stripe = usize::from(id.0.first().copied().unwrap_or(0)) % STRIPES;
        let stripe = self.stripes.get(stripe)?;
        let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        stripe.spaces.get(id).and_then(Weak::upgrade)
    }
}

fn load(store: &dyn Store, id: &SpaceId) -> Result<Option<Loaded>, StoreError> {
    let Some(genesis) = store.genesis(id)? else {
        return Ok(None);
    };
    let genesis = SpaceGenesis::parse(&genesis).map_err(|_| StoreError::Damaged)?;
    let parties = genesis.parties();
    let chains = parties
        .iter()
        .map(|party| load_chain(store, id, party))
        .collect::<Result<Vec<_>, _>>()?;
    specials::build(store, id)?;
    let parts = store.files().list(id, true)?;
    let stored = store.blobs(id)?;
    let blob_bytes = stored.iter().map(|blob| blob.length);
    let blob_bytes = blob_bytes.chain(parts.iter().map(|part| part.length)).sum();
    let trim = match store.trim(id) {
        // Its devices hold it, and bring it again.
        Err(StoreError::Damaged) => None,
        trim => trim?,
    };
    let heads = store.heads(id)?;
    Ok(Some(Loaded {
        chains,
        heads,
        blob_bytes,
        trim,
    }))
}

fn load_chain(
    store: &dyn Store,
    space: &SpaceId,
    party: &PartyId,
) -> Result<PartyChain, StoreError> {
    let mut chain: Option<PartyChain> = None;
    let mut seq = 0;
    while let Some(bytes) = store.link(space, party, seq)? {
        let link = Link::parse(&bytes).map_err(|_| StoreError::Damaged)?;
        match &mut chain {
            None => chain = Some(PartyChain::start(link).map_err(|_| StoreError::Damaged)?),
            Some(chain) => {
                chain.append(link).map_err(|_| StoreError::Damaged)?;
            }
        }
        seq += 1;
    }
    chain.ok_or(StoreError::Damaged)
}
