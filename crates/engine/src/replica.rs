//! The replica: opening, creating, committing, and what it tells about itself.

use std::collections::BTreeMap;

use ajar_crypto::{DeviceSecrets, Entropy};
use ajar_protocol::auth::{Login, login_hash};
use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::frontier::Position;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::Link;
use ajar_protocol::{
    DeviceId, DocId, Envelope, Frontier, PartyChain, PartyId, SpaceGenesis, SpaceId,
};
use automerge::Automerge;

use crate::clock::Now;
use crate::documents::{self, Cache, Directory, DocMeta, Ownership};
use crate::epochs::Epochs;
use crate::error::{EngineError, Misuse};
use crate::handed_over::epochs_to_keep;
use crate::listing::convert_directory;
use crate::notice::{Notice, NoticeKind, Notices};
use crate::output::Event;
use crate::snapshot::{Comparing, Folded, Making, Starting};
use crate::space::Space;
use crate::state::{Meta, Progress, decode_keys, encode_keys};
use crate::store::{Batch, Key, Marker, Store, StoreError};
use crate::table::Table;
use crate::told::own_addition;
use crate::uplink::Uplink;

pub use crate::status::{DeviceStatus, DocInfo, SpaceStatus};

/// Incarnations of a device's actor that are looked for: one more each time that a cut-off
/// takes away what it stood on in a document.
const INCARNATIONS: u32 = 16;

/// What is needed to start the replica of a space that does not exist here yet.
pub struct NewSpace {
    /// Signed genesis.
    pub genesis: SpaceGenesis,
    /// Chains of its parties, in the order of the genesis.
    pub chains: Vec<PartyChain>,
    /// Keys of this device in this space.
    pub secrets: DeviceSecrets,
    /// Epoch keys that another own device handed over.
    pub epoch_keys: Vec<(ajar_protocol::EpochId, ajar_crypto::EpochKey)>,
    /// How far another own device was: what is behind it counts as missing until it comes.
    pub promised: Frontier,
    /// Permits of relays.
    pub permits: Vec<([u8; 32], [u8; 64])>,
    /// Epochs that removed devices made beyond their cut-off, from another own device: a relay
    /// need not have them, and something honest may have been written under them. What is
    /// anything else is not kept.
    pub epochs_beyond: Vec<Envelope>,
}

/// Changes not yet committed, and what to tell when they are.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) events: Vec<Event>,
    pub(crate) meta: bool,
    pub(crate) progress: bool,
    pub(crate) notices: bool,
    pub(crate) keys: bool,
}

/// One replica of one space on one device.
pub struct Replica<S: Store> {
    pub(crate) store: S,
    pub(crate) space: Space,
    pub(crate) epochs: Epochs,
    pub(crate) meta: Meta,
    pub(crate) progress: Progress,
    pub(crate) directory: Directory,
    pub(crate) cache: Cache,
    pub(crate) table: Table,
    pub(crate) notices: Notices,
    pub(crate) pending: Pending,
    /// Envelopes that wait for something, by author and counter.
    pub(crate) parked: BTreeMap<DeviceId, BTreeMap<u64, Envelope>>,
    pub(crate) uplink: Option<Uplink>,
    pub(crate) damaged: u32,
    /// By removed device: the last envelope beyond its cut-off that came on this connection
    /// and stands on the cut-off or on others that came.
    pub(crate) beyond: BTreeMap<DeviceId, Position>,
    /// Snapshots, what was given up, what is being burned.
    pub(crate) folded: Folded,
    pub(crate) making: Option<Making>,
    pub(crate) comparing: Option<Comparing>,
    pub(crate) starting: Option<Starting>,
    /// Something was written here since it was opened.
    pub(crate) wrote: bool,
    /// A link of ours that the relay has not confirmed yet.
    pub(crate) proposed: Option<Link>,
    suspect: Option<(Marker, u8)>,
    broken: bool,
}

impl Pending {
    /// Whether there is nothing to commit.
    pub(crate) fn is_clean(&self) -> bool {
        self.batch.is_empty() && !(self.meta || self.progress || self.notices || self.keys)
    }
}

/// Snapshots and what was given up, as they are kept.
fn load_folded<S: Store>(store: &mut S) -> Result<Folded, EngineError> {
    let state = store.load(&Key::Folded)?;
    let (base, burned) = (store.load(&Key::Base)?, store.load(&Key::Burned)?);
    Folded::decode(state, base, burned).map_err(|_| EngineError::Damaged("the state of snapshots"))
}

/// The chains as they are kept.
fn load_chains<S: Store>(
    store: &mut S,
    genesis: &SpaceGenesis,
    meta: &Meta,
) -> Result<Vec<PartyChain>, EngineError> {
    let mut chains = Vec::new();
    for (party, count) in genesis.parties().into_iter().zip(&meta.links) {
        let mut links = Vec::new();
        for seq in 0..*count {
            let link = store.load(&Key::Link(party, seq))?;
            let link = link.ok_or(EngineError::Damaged("a link is missing"))?;
            links.push(Link::parse(&link).map_err(|_| EngineError::Damaged("a link"))?);
        }
        let chain = PartyChain::from_links(links);
        chains.push(chain.map_err(|_| EngineError::Damaged("a party chain"))?);
    }
    Ok(chains)
}

impl<S: Store> Replica<S> {
    /// Whether memory is what the store holds.
    pub(crate) fn is_clean(&self) -> bool {
        self.pending.is_clean() && self.folded.is_clean()
    }

    /// Starts the replica of a new space and makes it durable. The key ring is written last:
    /// a store without one holds no replica, and is to be made anew.
    ///
    /// # Errors
    /// [`EngineError`]; there is no replica then.
    pub fn create(mut store: S, new: NewSpace) -> Result<Self, EngineError> {
        let space = Space::new(new.genesis, new.chains, new.secrets, None)?;
        let mut batch = Batch::default();
        batch.put(Key::Genesis, space.genesis.encode());
        for chain in &space.chains {
            for link in chain.links() {
                batch.put(Key::Link(chain.id(), link.seq), link.as_bytes().to_vec());
            }
        }
        let mut epochs = Vec::new();
        for envelope in epochs_to_keep(&space, new.epochs_beyond) {
            let (device, counter) = (envelope.header().device, envelope.header().counter);
            let key = Key::Envelope(device, counter);
            batch.put(key, envelope.as_bytes().to_vec());
            epochs.push((device, counter));
        }
        let meta = Meta {
            epoch_seen: vec![0; epochs.len()],
            epochs,
            links: space.chains.iter().map(PartyChain::next_seq).collect(),
            permits: new.permits.into_iter().collect(),
            place: u8::try_from(space.place).ok(),
            ..Meta::default()
        };
        batch.put(Key::Meta, meta.encode());
        let promised = new
            .promised
            .rows()
            .map(|(device, last)| (*device, (last.counter, i64::MAX)));
        let progress = Progress {
            heard: promised.collect(),
            ..Progress::default()
        };
        batch.put(Key::Frontier, progress.encode());
        batch.put(Key::Notices, own_addition(&space).encode());
        store.commit(batch)?;
        // Last: whoever finds keys finds a whole replica, whenever the machine dies.
        store.save_keys(&encode_keys(&space.secrets, &new.epoch_keys))?;
        Self::open(store)
    }

    /// Opens the replica that a store holds.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when the store contradicts itself, [`EngineError::Store`].
    pub fn open(mut store: S) -> Result<Self, EngineError> {
        let keys = store
            .load_keys()?
            .ok_or(EngineError::Damaged("the key file is missing"))?;
        let (secrets, epoch_keys) = decode_keys(&keys)?;
        let suspect = store.marked()?;
        let mut need = |key: Key, what| store.load(&key)?.ok_or(EngineError::Damaged(what));
        let genesis = SpaceGenesis::parse(&need(Key::Genesis, "the genesis is missing")?)
            .map_err(|_| EngineError::Damaged("the genesis"))?;
        let mut meta = Meta::decode(&need(Key::Meta, "the state is missing")?)
            .map_err(|_| EngineError::Damaged("the state"))?;
        let mut progress = Progress::decode(&need(Key::Frontier, "the frontier is missing")?)
            .map_err(|_| EngineError::Damaged("the frontier"))?;
        convert_directory(&mut store, &mut meta, &mut progress)?;
        let chains = load_chains(&mut store, &genesis, &meta)?;
        let space = Space::new(genesis, chains, secrets, meta.place)?;
        let directory = Directory::new(progress.documents);
        let notices = match store.load(&Key::Notices)? {
            Some(bytes) => {
                Notices::decode(&bytes).map_err(|_| EngineError::Damaged("the notices"))?
            }
            None => Notices::default(),
        };
        let folded = load_folded(&mut store)?;
        let mut replica = Self {
            store,
            space,
            epochs: Epochs::default(),
            meta,
            progress,
            directory,
            cache: Cache::default(),
            table: Table::default(),
            notices,
            pending: Pending::default(),
            parked: BTreeMap::new(),
            uplink: None,
            damaged: 0,
            beyond: BTreeMap::new(),
            folded,
            making: None,
            comparing: None,
            starting: None,
            wrote: false,
            proposed: None,
            suspect,
            broken: false,
        };
        replica.load_epochs(epoch_keys)?;
        replica.quarantine_suspect()?;
        Ok(replica)
    }

    /// An envelope that killed the process twice is not tried a third time.
    fn quarantine_suspect(&mut self) -> Result<(), EngineError> {
        if let Some((marker, deaths)) = self.suspect
            && deaths >= 2
        {
            self.meta.quarantined.push((marker.device, marker.counter));
            self.pending.meta = true;
            self.commit()?;
            self.store.mark(None)?;
            self.suspect = None;
        }
        Ok(())
    }

    pub(crate) fn mark(&mut self, device: DeviceId, counter: u64) -> Result<(), EngineError> {
        let marker = Marker { device, counter };
        let attempt = match self.suspect {
            Some((suspect, deaths)) if suspect == marker => deaths.saturating_add(1),
            _ => 1,
        };
        Ok(self.store.mark(Some((marker, attempt)))?)
    }

    /// Makes everything pending durable, then returns its events. On failure, memory is what
    /// the store holds.
    pub(crate) fn commit(&mut self) -> Result<Vec<Event>, EngineError> {
        if self.broken {
            let why = "an earlier write failed".to_owned();
            return Err(EngineError::Store(StoreError::Broken(why)));
        }
        let updated = self.update_rows();
        let mut pending = std::mem::take(&mut self.pending);
        let written = updated.and_then(|()| self.write(&mut pending));
        match written {
            Ok(()) => Ok(pending.events),
            Err(error) => {
                let broken = !matches!(error, EngineError::Store(StoreError::DiskFull));
                self.reload();
                self.broken |= broken;
                Err(error)
            }
        }
    }

    fn write(&mut self, pending: &mut Pending) -> Result<(), EngineError> {
        if pending.keys {
            self.store.save_keys(&encode_keys(
                &self.space.secrets,
                &self.epochs.all_keys(&self.space.device),
            ))?;
        }
        self.folded.save(&mut pending.batch);
        self.table.save(&mut pending.batch);
        self.directory.save(&mut pending.batch);
        let documents = self.directory.counts();
        if documents != self.progress.documents {
            self.progress.documents = documents;
            pending.progress = true;
        }
        if pending.meta {
            self.meta.links = self.space.chains.iter().map(PartyChain::next_seq).collect();
            self.meta.place = u8::try_from(self.space.place).ok();
            pending.batch.put(Key::Meta, self.meta.encode());
        }
        if pending.progress {
            pending.batch.put(Key::Frontier, self.progress.encode());
        }
        if pending.notices {
            pending.batch.put(Key::Notices, self.notices.encode());
        }
        if !pending.batch.is_empty() {
            self.store.commit(std::mem::take(&mut pending.batch))?;
        }
        Ok(())
    }

    /// Takes everything anew from the store after a write that failed.
    fn reload(&mut self) {
        let fresh = self.reread();
        if fresh.is_err() {
            self.broken = true;
        }
    }

    /// Makes memory what the store holds. The connection and what is parked stay: neither
    /// ever runs ahead of the store.
    pub(crate) fn reread(&mut self) -> Result<(), EngineError> {
        self.cache.clear();
        self.table.forget();
        self.pending = Pending::default();
        let read = |store: &mut S, key: Key| -> Result<Vec<u8>, EngineError> {
            store
                .load(&key)?
                .ok_or(EngineError::Damaged("a record is missing"))
        };
        let damaged = |_| EngineError::Damaged("the state");
        self.meta = Meta::decode(&read(&mut self.store, Key::Meta)?).map_err(damaged)?;
        self.progress =
            Progress::decode(&read(&mut self.store, Key::Frontier)?).map_err(damaged)?;
        self.directory = Directory::new(self.progress.documents);
        self.notices = match self.store.load(&Key::Notices)? {
            Some(bytes) => Notices::decode(&bytes).map_err(damaged)?,
            None => Notices::default(),
        };
        self.folded = load_folded(&mut self.store)?;
        (self.making, self.comparing, self.starting) = (None, None, None);
        // Not from memory: a link of the twelve words may have replaced some there.
        self.space.chains = load_chains(&mut self.store, &self.space.genesis, &self.meta)?;
        let keys = self
            .store
            .load_keys()?
            .ok_or(EngineError::Damaged("the key file is missing"))?;
        let (_, epoch_keys) = decode_keys(&keys)?;
        self.epochs = Epochs::default();
        self.load_epochs(epoch_keys)
    }

    pub(crate) fn stored_envelope(
        &mut self,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Envelope>, EngineError> {
        let key = Key::Envelope(*device, counter);
        let bytes = match self.pending.batch.pending(&key) {
            Some(pending) => pending.cloned(),
            None => self.store.load(&key)?,
        };
        bytes
            .map(|bytes| Envelope::parse(&bytes).map_err(|_| EngineError::Damaged("an envelope")))
            .transpose()
    }

    pub(crate) fn notice(&mut self, now: Now, kind: NoticeKind) {
        let notice = Notice {
            kind,
            at_ms: now.wall_ms,
        };
        if self.notices.add(notice) {
            self.pending.notices = true;
            self.pending.events.push(Event::Notice(notice));
        }
    }

    /// Id of the space.
    #[must_use]
    pub fn space_id(&self) -> SpaceId {
        self.space.id
    }

    /// Private or shared.
    #[must_use]
    pub fn kind(&self) -> SpaceKind {
        self.space.kind()
    }

    /// Our own party.
    #[must_use]
    pub fn own_party(&self) -> PartyId {
        self.space.own_party()
    }

    /// The other party of a shared space.
    #[must_use]
    pub fn partner(&self) -> Option<PartyId> {
        self.space.partner()
    }

    /// This device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.space.device
    }

    /// How far every device's chain is applied here.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.progress.frontier
    }

    /// Whether a new epoch is owed because of a change of our own devices: one that was added
    /// cannot read, or one that was removed still could. Whoever made the change may have died
    /// before making the epoch, or somebody else made one at the same time that knew less.
    /// Changes of the partner's devices are the partner's to follow up, or the next writer's:
    /// an envelope that nobody caused would tell that a device is awake.
    #[must_use]
    pub fn owes_epoch(&self) -> bool {
        let chain = self.own_chain();
        let differs = |epoch: &crate::epochs::Epoch| {
            chain
                .devices()
                .any(|(id, device)| epoch.recipients.contains(&id.0) != device.revoked.is_none())
        };
        let tips = self.epochs.tips(&self.space);
        let mut tips = tips
            .iter()
            .filter_map(|id| self.epochs.get(id))
            .filter(|epoch| epoch.key.is_some());
        let settled =
            self.epochs.current(&self.space).is_some() && !self.epochs.leaves_out(&self.space);
        let owed = !settled && tips.any(differs);
        // After the twelve words have voided links of ours, a key that was honestly written
        // under may be on this device alone.
        let by_words = |link: &Link| chain.device(&DeviceId(link.signer)).is_none();
        let unshared = self.epochs.has_unshared(&self.space) && chain.links().iter().any(by_words);
        self.may_write().is_ok() && (owed || unshared)
    }

    /// Party of a device that was ever in the space.
    #[must_use]
    pub fn party_of_device(&self, device: &DeviceId) -> Option<PartyId> {
        self.space
            .device(device)
            .map(|(place, _)| self.space.party_of(place))
    }

    /// Devices by the Automerge actors they write a document under, for attributing changes.
    #[must_use]
    pub fn device_of_actor(&self, doc: &DocId, actor: &[u8]) -> Option<DeviceId> {
        (0..=INCARNATIONS).find_map(|incarnation| {
            let devices = self.space.chains.iter().flat_map(|chain| chain.devices());
            devices
                .map(|(id, _)| *id)
                .find(|id| ajar_protocol::id::actor(&self.space.id, id, doc, incarnation) == actor)
        })
    }

    /// Signs a login for one TLS session (protocol §2.8).
    #[must_use]
    pub fn login(&self, relay: &[u8; 32], exporter: &[u8; 32]) -> Login {
        let auth = self.space.secrets.public().auth;
        let (space, device) = (self.space.id, self.space.device);
        let hash = login_hash(exporter, relay, &space, &device, &auth);
        let signature = self.space.secrets.sign_relay_auth(&hash);
        Login {
            relay: *relay,
            space,
            device,
            auth,
            signature,
        }
    }

    /// What to say to a relay that does not know this space: genesis, credential, all links.
    /// The permit that this relay gave earlier is preferred to `claim`; `None` when there is
    /// neither.
    #[must_use]
    pub fn introduction(
        &self,
        relay: &[u8; 32],
        claim: Option<[u8; 16]>,
    ) -> Option<Vec<ClientMsg>> {
        let permit = self
            .meta
            .permits
            .get(relay)
            .copied()
            .map(Credential::Permit);
        let credential = permit.or(claim.map(Credential::Claim))?;
        let genesis = self.space.genesis.encode();
        let mut messages = vec![ClientMsg::Introduce {
            genesis,
            credential,
        }];
        for chain in &self.space.chains {
            messages.extend(
                chain
                    .links()
                    .iter()
                    .map(|link| ClientMsg::AppendLink(link.as_bytes().to_vec())),
            );
        }
        Some(messages)
    }

    /// Whether this relay has ever admitted this space.
    #[must_use]
    pub fn has_permit(&self, relay: &[u8; 32]) -> bool {
        self.meta.permits.contains_key(relay)
    }

    /// A random id for a new document.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new_document_id(
        &self,
        ownership: Ownership,
        entropy: &mut dyn Entropy,
    ) -> Result<DocId, EngineError> {
        Ok(documents::new_id(ownership, self.space.place, entropy)?)
    }

    /// The id of the document of that name: ours (`Ownership::Mine`) or common. It exists from
    /// its first change on.
    #[must_use]
    pub fn named_document_id(&self, ownership: Ownership, name: &str) -> DocId {
        documents::named_id(&self.space.id, ownership, self.space.place, name)
    }

    /// The id of the partner's own document of that name.
    #[must_use]
    pub fn partners_document_id(&self, name: &str) -> DocId {
        let place = 1 - self.space.place.min(1);
        documents::named_id(&self.space.id, Ownership::Mine, place, name)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`Misuse::NoSuchDocument`], [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn document(&mut self, doc: &DocId) -> Result<&Automerge, EngineError> {
        let meta = self
            .row(doc)?
            .filter(DocMeta::exists)
            .ok_or(Misuse::NoSuchDocument(*doc))?;
        let loaded = self
            .cache
            .load(&meta, &mut self.store, &self.pending.batch)?;
        Ok(&loaded.doc)
    }

    /// Reads local data of the application.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn local(&mut self, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.store.load(&Key::Local(name.to_owned()))?)
    }

    /// Keeps local data of the application. It is sealed like everything and never synced.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn set_local(&mut self, name: &str, value: Option<Vec<u8>>) -> Result<(), EngineError> {
        let key = Key::Local(name.to_owned());
        match value {
            Some(value) => self.pending.batch.put(key, value),
            None => self.pending.batch.delete(key),
        }
        self.commit().map(drop)
    }

    /// Removes notices that are no proofs of anything.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn dismiss_notices(&mut self) -> Result<(), EngineError> {
        if self.notices.dismiss() {
            self.pending.notices = true;
            self.commit()?;
        }
        Ok(())
    }

    /// Own position: counter and id of the last envelope of this device.
    pub(crate) fn own_position(&self) -> Option<Position> {
        self.progress.frontier.of(&self.space.device)
    }
}
