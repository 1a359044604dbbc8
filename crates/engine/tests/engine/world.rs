//! Ana and Ben, their devices, the relay between them, and a clock that moves when told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ajar_crypto::{DeviceSecrets, RecoveryPhrase, SlotKeys};
use ajar_engine::membership::{LinkOffer, LinkRequest, NewHalf};
use ajar_engine::outbox::ChangeError;
use ajar_engine::pairing::{self, Agreed, OwnHalf};
use ajar_engine::replica::NewSpace;
use ajar_engine::snapshot::pack::{OpenedPack, SealedPack, open_pack, seal_pack};
use ajar_engine::store::{Key, MemoryStore, Store};
use ajar_engine::{EngineError, Event, NoticeKind, Now, Outputs, Ownership, Replica};
use ajar_protocol::auth::permit;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::codec::Reader;
use ajar_protocol::link::{Link, LinkBody, NewDevice, RevokeReason, proof_hash};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::snapshot::PackRef;
use ajar_protocol::{BlobId, DocId, PartyChain, SpaceGenesis};
use automerge::transaction::{Transactable, Transaction};
use automerge::{AutomergeError, ChangeHash, ROOT, ReadDoc};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::toy_relay::{Answer, ToyRelay};

pub(crate) const ANA: usize = 0;
pub(crate) const BEN: usize = 1;
/// A second device of Ana's.
pub(crate) const LAPTOP: usize = 2;
/// Seed of the relay's key.
const RELAY_SEED: [u8; 32] = [7; 32];
/// The relay's key.
pub(crate) const RELAY: [u8; 32] = [
    0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5, 0xf9,
    0x95, 0x47, 0x76, 0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46, 0xd2, 0x2c,
];
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) type Home = Replica<MemoryStore>;
/// What the network does to a message on its way to a device.
pub(crate) type Fault = Box<dyn FnMut(usize, RelayMsg) -> Vec<RelayMsg>>;

pub(crate) struct Device {
    pub(crate) home: Home,
    pub(crate) store: MemoryStore,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) inbox: VecDeque<RelayMsg>,
    pub(crate) online: bool,
    pub(crate) events: Vec<Event>,
}

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) relay: ToyRelay,
    pub(crate) devices: Vec<Device>,
    pub(crate) fault: Option<Fault>,
    /// Packs of snapshots, where every device finds them.
    pub(crate) blobs: BTreeMap<BlobId, SealedPack>,
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn start() -> Now {
    Now {
        wall_ms: 1_767_225_600_000,
        elapsed: Duration::ZERO,
    }
}

/// The keys from the twelve words on which Ana or Ben stands in the world of this seed.
pub(crate) fn words(seed: u64, who: usize) -> SlotKeys {
    let mut rng = rng(seed * 1000 + 1 + who as u64);
    let words = RecoveryPhrase::generate(&mut rng).unwrap();
    words.slot_keys(1).unwrap()
}

/// Both sides of a pairing, up to the signed genesis.
pub(crate) fn agree(seed: u64) -> (NewSpace, NewSpace) {
    let now = start();
    let half = |name: u64| {
        let mut rng = rng(seed * 1000 + name);
        let words = RecoveryPhrase::generate(&mut rng).unwrap();
        let slot = words.slot_keys(1).unwrap().public();
        OwnHalf::new(now, &mut rng, &slot).unwrap()
    };
    let (ana, ben) = (half(1), half(2));
    let (offer_a, offer_b) = (ana.offer("Ana", None), ben.offer("Ben", None));
    let (ana, signature_a) = ana.meet(&offer_b).unwrap();
    let (ben, signature_b) = ben.meet(&offer_a).unwrap();
    assert_eq!((ana.partner_name(), ben.partner_name()), ("Ben", "Ana"));
    let ana: Agreed = ana.sign(&signature_b).unwrap();
    let ben: Agreed = ben.sign(&signature_a).unwrap();
    assert_eq!(ana.words(), ben.words());
    (
        ana.confirmed(&pairing::verdict(true)).unwrap(),
        ben.confirmed(&pairing::verdict(true)).unwrap(),
    )
}

impl Device {
    pub(crate) fn create(space: NewSpace, seed: u64) -> Self {
        let store = MemoryStore::default();
        let home = Replica::create(store.clone(), space).unwrap();
        Self::with(home, store, seed)
    }

    pub(crate) fn with(home: Home, store: MemoryStore, seed: u64) -> Self {
        Self {
            home,
            store,
            rng: rng(seed),
            inbox: VecDeque::new(),
            online: false,
            events: Vec::new(),
        }
    }
}

impl World {
    /// Ana and Ben have paired; neither has an epoch.
    pub(crate) fn without_epoch(seed: u64) -> Self {
        let (ana, ben) = agree(seed);
        let relay = ToyRelay {
            chains: ana.chains.clone(),
            permit: Some(permit(
                &SigningKey::from_bytes(&RELAY_SEED),
                &ana.genesis.id(),
            )),
            ..ToyRelay::default()
        };
        Self {
            now: start(),
            relay,
            devices: vec![
                Device::create(ana, seed * 1000 + 11),
                Device::create(ben, seed * 1000 + 12),
            ],
            fault: None,
            blobs: BTreeMap::new(),
        }
    }

    /// Ana and Ben have paired and both hold the first epoch, which Ana made.
    pub(crate) fn founded(seed: u64) -> Self {
        let mut world = Self::without_epoch(seed);
        let ana = &mut world.devices[ANA];
        let first = pairing::first_epoch(&mut ana.home, world.now, &mut ana.rng).unwrap();
        pairing::take_first_epoch(&mut world.devices[BEN].home, world.now, &first).unwrap();
        world
    }

    /// As [`Self::founded`], both connected.
    pub(crate) fn online(seed: u64) -> Self {
        let mut world = Self::founded(seed);
        world.connect(ANA);
        world.connect(BEN);
        world.run();
        world
    }

    /// As [`Self::online`], and Ana's laptop is linked and has everything.
    pub(crate) fn with_laptop(seed: u64) -> Self {
        let mut world = Self::online(seed);
        let phone = world.secrets(ANA);
        let place = world.place(ANA);
        let chain = world.relay.chains[place].clone();
        let secrets = DeviceSecrets::generate(&mut rng(seed * 1000 + 13)).unwrap();
        let position = chain.next_place(start().wall_ms.unsigned_abs());
        let hash = proof_hash(
            &position.party,
            position.seq,
            &position.prev,
            &secrets.public(),
        );
        let device = NewDevice {
            keys: secrets.public(),
            sealed_label: Vec::new(),
            proof: secrets.sign_proof(&hash),
        };
        let body = LinkBody::DeviceAdd(device);
        let link = Link::sign(position, body, phone.id().0, phone.signing_key());
        for device in &mut world.devices {
            let link = RelayMsg::Link(link.as_bytes().to_vec());
            device.home.receive(world.now, vec![link]).unwrap();
        }
        world.relay.chains[place].append(link).unwrap();
        let genesis = world.devices[ANA].store.load(&Key::Genesis).unwrap();
        let space = NewSpace {
            genesis: SpaceGenesis::parse(&genesis.unwrap()).unwrap(),
            chains: world.relay.chains.clone(),
            secrets,
            epoch_keys: Vec::new(),
            promised: ajar_protocol::Frontier::default(),
            permits: Vec::new(),
            epochs_beyond: Vec::new(),
        };
        world.devices.push(Device::create(space, seed * 1000 + 14));
        world.connect(LAPTOP);
        world.run();
        // The phone's next words bring the epoch that the laptop can read.
        let doc = world.new_doc(ANA, Ownership::Common);
        world.put(ANA, doc, "linked", "laptop");
        world.run();
        assert_eq!(
            world.value(LAPTOP, doc, "linked").as_deref(),
            Some("laptop")
        );
        world
    }

    /// The new half of a device for the place that `by` offers now, as it travels.
    pub(crate) fn new_half(&mut self, by: usize) -> (NewHalf, LinkRequest) {
        let seed = self.devices.len() as u64;
        let offer = self.devices[by].home.link_offer().encode();
        let offer = LinkOffer::decode(&mut Reader::new(&offer, "offer")).unwrap();
        let mut rng = rng(seed * 7919 + self.now.elapsed.as_secs());
        let half = NewHalf::new(&mut rng, offer).unwrap();
        let request = half.request().encode();
        let request = LinkRequest::decode(&mut Reader::new(&request, "request")).unwrap();
        (half, request)
    }

    pub(crate) fn propose(&mut self, by: usize, request: &LinkRequest) -> Result<(), EngineError> {
        let home = &mut self.devices[by].home;
        let outputs = home.propose_device(self.now, request)?;
        self.take(by, outputs);
        Ok(())
    }

    /// `by` proposes to remove another device; the relay has not answered yet.
    pub(crate) fn propose_removal(&mut self, by: usize, who: usize) {
        let device = self.devices[who].home.device();
        let home = &mut self.devices[by].home;
        let reason = RevokeReason::Stolen;
        let outputs = home.propose_removal(self.now, device, reason).unwrap();
        self.take(by, outputs);
    }

    /// `by` removes another device of its person, and the key changes.
    pub(crate) fn remove(&mut self, by: usize, who: usize) {
        self.propose_removal(by, who);
        self.run();
        self.rotate(by);
        self.run();
    }

    pub(crate) fn rotate(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let outputs = device.home.rotate(self.now, &mut device.rng).unwrap();
        self.take(who, outputs);
    }

    /// `by` links a new device of its person as Ajar does: offer, keys and proof, link, key
    /// change, hand-over. It is not connected yet.
    pub(crate) fn link_offline(&mut self, by: usize) -> usize {
        let (half, request) = self.new_half(by);
        self.propose(by, &request).unwrap();
        self.run();
        self.rotate(by);
        self.run();
        let pack = self.devices[by].home.pack().unwrap();
        let space = half.take(&pack).unwrap();
        let who = self.devices.len();
        let seed = who as u64 * 31 + 5;
        self.devices.push(Device::create(space, seed));
        who
    }

    /// As [`Self::link_offline`], and the new device has received everything.
    pub(crate) fn link(&mut self, by: usize) -> usize {
        let who = self.link_offline(by);
        self.connect(who);
        self.run();
        who
    }

    /// Place in the genesis of the party of a device.
    pub(crate) fn place(&self, who: usize) -> usize {
        let party = self.devices[who].home.own_party();
        let of = |chain: &PartyChain| chain.id() == party;
        self.relay.chains.iter().position(of).unwrap()
    }

    /// Secret keys of a device, as its key file holds them.
    pub(crate) fn secrets(&mut self, who: usize) -> DeviceSecrets {
        let ring = self.devices[who].store.load_keys().unwrap().unwrap();
        DeviceSecrets::from_bytes(&ajar_crypto::Secret::from_slice(&ring[1..97]).unwrap())
    }

    pub(crate) fn connect(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let subscribe = device.home.connected(RELAY);
        device.online = true;
        device.inbox.clear();
        let welcome = self.relay.welcome();
        self.deliver(who, vec![welcome]);
        self.say(who, vec![subscribe]);
    }

    pub(crate) fn disconnect(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.home.disconnected();
        device.online = false;
        device.inbox.clear();
    }

    /// Drops the replica and opens it again from its store, as a new process would.
    pub(crate) fn restart(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.home = Replica::open(device.store.clone()).unwrap();
        device.online = false;
        device.inbox.clear();
    }

    pub(crate) fn reconnect(&mut self, who: usize) {
        self.disconnect(who);
        self.connect(who);
        self.run();
    }

    /// The relay takes messages of a device.
    pub(crate) fn say(&mut self, who: usize, messages: Vec<ClientMsg>) {
        for message in messages {
            let Answer {
                to_sender,
                to_others,
            } = self.relay.handle(message);
            self.deliver(who, to_sender);
            for other in 0..self.devices.len() {
                if other != who && self.devices[other].online {
                    self.deliver(other, to_others.clone());
                }
            }
        }
    }

    fn deliver(&mut self, who: usize, messages: Vec<RelayMsg>) {
        for message in messages {
            let arriving = match &mut self.fault {
                Some(fault) => fault(who, message),
                None => vec![message],
            };
            self.devices[who].inbox.extend(arriving);
        }
    }

    /// Puts an envelope into the relay as if its author had sent it.
    pub(crate) fn inject(&mut self, bytes: Vec<u8>) {
        let answer = self.relay.handle(ClientMsg::Append(bytes));
        assert!(
            matches!(answer.to_sender[..], [RelayMsg::Stored(_)]),
            "the relay did not take it: {:?}",
            answer.to_sender
        );
        for who in 0..self.devices.len() {
            if self.devices[who].online {
                self.deliver(who, answer.to_others.clone());
            }
        }
    }

    /// Puts a link into the relay, which sends it to all that are connected.
    pub(crate) fn inject_link(&mut self, link: &Link) {
        let bytes = link.as_bytes().to_vec();
        let answer = self.relay.handle(ClientMsg::AppendLink(bytes));
        assert!(
            matches!(answer.to_sender[..], [RelayMsg::LinkStored { .. }]),
            "the relay did not take it: {:?}",
            answer.to_sender
        );
        for who in 0..self.devices.len() {
            if self.devices[who].online {
                self.deliver(who, answer.to_others.clone());
            }
        }
    }

    /// One device takes up to `n` waiting messages.
    pub(crate) fn step(&mut self, who: usize, n: usize) {
        let device = &mut self.devices[who];
        let n = n.min(device.inbox.len());
        let messages: Vec<RelayMsg> = device.inbox.drain(..n).collect();
        let outputs = device.home.receive(self.now, messages).unwrap();
        self.take(who, outputs);
    }

    pub(crate) fn take(&mut self, who: usize, outputs: Outputs) {
        self.devices[who].events.extend(outputs.events);
        if self.devices[who].online {
            self.say(who, outputs.send);
        } else {
            assert!(outputs.send.is_empty(), "sent without a connection");
        }
    }

    /// Everything that is under way arrives.
    pub(crate) fn run(&mut self) {
        for _ in 0..10_000 {
            let Some(who) =
                (0..self.devices.len()).find(|who| !self.devices[*who].inbox.is_empty())
            else {
                return;
            };
            self.step(who, 64);
        }
        panic!("the devices and the relay never come to rest");
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.wall_ms += i64::try_from(time.as_millis()).unwrap();
        for who in 0..self.devices.len() {
            let outputs = self.devices[who].home.tick(self.now).unwrap();
            self.take(who, outputs);
        }
        self.run();
    }

    /// `who` makes a snapshot and sends it.
    pub(crate) fn snapshot(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.home.begin_snapshot().unwrap();
        self.pack_all(who);
        let device = &mut self.devices[who];
        let finished = device.home.finish_snapshot(self.now, &mut device.rng);
        let outputs = finished.unwrap().expect("nothing changed meanwhile");
        self.take(who, outputs);
        self.run();
    }

    /// Seals all packs that wait for it.
    pub(crate) fn pack_all(&mut self, who: usize) {
        let device = &mut self.devices[who];
        while let Some(plain) = device.home.next_pack().unwrap() {
            let sealed = seal_pack(&plain, &mut device.rng).unwrap();
            device.home.pack_sealed(sealed.reference.clone());
            self.blobs.insert(sealed.reference.blob, sealed);
        }
    }

    pub(crate) fn open(&self, pack: &PackRef) -> OpenedPack {
        open_pack(pack, &self.blobs[&pack.blob].ciphertext).unwrap()
    }

    /// `who` compares a snapshot that has come with what it holds; returns how many packs it
    /// had to look at.
    pub(crate) fn compare(&mut self, who: usize) -> Option<usize> {
        let packs = self.devices[who].home.snapshot_to_compare().unwrap()?;
        for pack in &packs {
            let opened = self.open(pack);
            let home = &mut self.devices[who].home;
            home.compare_pack(self.now, opened).unwrap();
        }
        self.devices[who].home.end_comparing(self.now).unwrap();
        Some(packs.len())
    }

    /// What `who` does of itself.
    pub(crate) fn errands(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let outputs = device.home.errands(self.now, &mut device.rng).unwrap();
        self.take(who, outputs);
        self.run();
    }

    /// `who` takes in the packs of the snapshot that it begins from.
    pub(crate) fn start(&mut self, who: usize) {
        for pack in self.devices[who].home.packs_to_start() {
            let opened = self.open(&pack);
            let outputs = self.devices[who].home.take_pack(self.now, opened).unwrap();
            self.take(who, outputs);
        }
        self.run();
    }

    /// Everybody who is online does everything that is due, until nobody has anything to do.
    pub(crate) fn rest(&mut self) {
        for _ in 0..20 {
            let before = (self.relay.log.len(), self.relay.trim.clone());
            for who in 0..self.devices.len() {
                if !self.devices[who].online {
                    continue;
                }
                self.start(who);
                self.compare(who);
                self.errands(who);
                if self.devices[who].home.snapshot_due().unwrap() {
                    self.snapshot(who);
                }
                while self.devices[who].home.sweeps() {
                    self.devices[who].home.sweep().unwrap();
                }
                if self.devices[who].home.owes_scrub() {
                    self.devices[who].home.scrubbed().unwrap();
                }
            }
            if before == (self.relay.log.len(), self.relay.trim.clone()) {
                return;
            }
        }
        panic!("the devices never come to rest");
    }

    pub(crate) fn new_doc(&mut self, who: usize, ownership: Ownership) -> DocId {
        let device = &mut self.devices[who];
        device
            .home
            .new_document_id(ownership, &mut device.rng)
            .unwrap()
    }

    pub(crate) fn edit<T>(
        &mut self,
        who: usize,
        doc: DocId,
        apply: impl FnOnce(&mut Transaction<'_>) -> Result<T, AutomergeError>,
    ) -> Result<T, ChangeError<AutomergeError>> {
        let device = &mut self.devices[who];
        let (value, outputs) = device.home.change(self.now, &mut device.rng, doc, apply)?;
        self.take(who, outputs);
        Ok(value)
    }

    pub(crate) fn put(&mut self, who: usize, doc: DocId, key: &str, value: &str) {
        self.edit(who, doc, |tx| tx.put(ROOT, key, value)).unwrap();
    }

    pub(crate) fn value(&mut self, who: usize, doc: DocId, key: &str) -> Option<String> {
        let document = self.devices[who].home.document(&doc).ok()?;
        let (value, _) = document.get(ROOT, key).unwrap()?;
        Some(value.as_str()?.to_owned())
    }

    pub(crate) fn heads(&mut self, who: usize) -> BTreeMap<DocId, Vec<ChangeHash>> {
        heads(&mut self.devices[who].home)
    }

    pub(crate) fn notices(&self, who: usize) -> Vec<NoticeKind> {
        let status = self.devices[who].home.status();
        status.notices.iter().map(|notice| notice.kind).collect()
    }

    /// Every device has the same documents with the same heads, and nothing waits.
    pub(crate) fn assert_converged(&mut self) {
        let first = self.heads(ANA);
        for who in 0..self.devices.len() {
            assert_eq!(self.heads(who), first, "device {who} differs");
            assert_eq!(self.devices[who].home.status().parked, 0, "device {who}");
            assert_eq!(
                self.devices[who].home.frontier(),
                self.devices[ANA].home.frontier(),
                "device {who}"
            );
            assert_eq!(self.sync_words(who), self.sync_words(ANA), "device {who}");
        }
    }

    /// What a person reads out to compare.
    pub(crate) fn sync_words(&self, who: usize) -> [&'static str; 4] {
        self.devices[who].home.sync_words().unwrap()
    }
}

pub(crate) fn heads(home: &mut Home) -> BTreeMap<DocId, Vec<ChangeHash>> {
    let ids: Vec<DocId> = home.documents().unwrap().iter().map(|doc| doc.id).collect();
    let mut all = BTreeMap::new();
    for id in ids {
        let mut heads = home.document(&id).unwrap().get_heads();
        heads.sort();
        all.insert(id, heads);
    }
    all
}

/// The records of a store that say what a person has: everything but Local.
pub(crate) fn content_of(
    home: &mut Home,
) -> (BTreeMap<DocId, Vec<ChangeHash>>, ajar_protocol::Frontier) {
    (heads(home), home.frontier().clone())
}
