//! Ana's phone is stolen while it is unlocked: what the thief does, and her twelve words.

use ajar_crypto::epoch::open_epoch;
use ajar_crypto::{DeviceSecrets, RecoveryPhrase};
use ajar_engine::replica::NewSpace;
use ajar_engine::store::{Key, Store};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::link::{Cutoff, Link, LinkBody, NewDevice, RevokeReason, proof_hash};
use ajar_protocol::{
    DeviceId, DocId, Envelope, EnvelopeId, EnvelopeType, EpochId, Frontier, PartyChain,
    SpaceGenesis,
};

use crate::world::{ANA, BEN, Device, World, rng};

/// The keys of Ana's twelve words for the space of `World::online(seed)`.
pub(crate) fn words(seed: u64) -> ajar_crypto::SlotKeys {
    let phrase = RecoveryPhrase::generate(&mut rng(seed * 1000 + 1)).unwrap();
    phrase.slot_keys(1).unwrap()
}

/// A link of Ana's words at place `seq` of her chain as the relay has it.
pub(crate) fn by_words(
    world: &World,
    seed: u64,
    seq: u64,
    body: impl FnOnce(&PartyChain) -> LinkBody,
) -> Link {
    let chain = &world.relay.chains[world.place(BEN) ^ 1];
    let cut = usize::try_from(seq).unwrap();
    let shorter = PartyChain::from_links(chain.links()[..cut].to_vec()).unwrap();
    let keys = words(seed);
    let root = keys.public().root.root_id();
    Link::sign(shorter.next_place(0), body(&shorter), root, &keys.root)
}

/// RECOVER, with a new device.
pub(crate) fn recover(
    world: &World,
    seed: u64,
    seq: u64,
    revoked: Vec<Cutoff>,
) -> (Link, DeviceSecrets) {
    let secrets = DeviceSecrets::generate(&mut rng(seed * 77 + seq)).unwrap();
    let link = by_words(world, seed, seq, |chain| {
        let (id, prev) = (chain.id(), chain.head());
        let hash = proof_hash(&id, seq, &prev, &secrets.public());
        LinkBody::Recover {
            device: NewDevice {
                keys: secrets.public(),
                sealed_label: Vec::new(),
                proof: secrets.sign_proof(&hash),
            },
            revoked,
        }
    });
    (link, secrets)
}

/// A home for a device that the words have added: with the chains, and with the keys that the
/// words open.
pub(crate) fn recovered_home(world: &mut World, seed: u64, secrets: DeviceSecrets) -> usize {
    let slot = words(seed);
    let id = slot.public().root.recovery_id();
    let mut epoch_keys = Vec::new();
    for bytes in &world.relay.log {
        let envelope = Envelope::parse(bytes).unwrap();
        let device = envelope.header().device;
        let author = world.relay.chains.iter().find_map(|c| c.device(&device));
        let envelope = envelope.verify(&author.unwrap().keys.sign).unwrap();
        if let Ok(opened) = open_epoch(&envelope, &id, &slot.recovery_kem) {
            epoch_keys.push((envelope.id().into(), opened.key));
        }
    }
    let genesis = world.devices[BEN].store.load(&Key::Genesis).unwrap();
    let space = NewSpace {
        genesis: SpaceGenesis::parse(&genesis.unwrap()).unwrap(),
        chains: world.relay.chains.clone(),
        secrets,
        epoch_keys,
        promised: Frontier::default(),
        permits: Vec::new(),
        epochs_beyond: Vec::new(),
    };
    let who = world.devices.len();
    world
        .devices
        .push(Device::create(space, who as u64 * 37 + 1));
    who
}

/// A link that a device of the party at hand signs as it likes.
pub(crate) fn by_device(world: &mut World, who: usize, body: LinkBody) -> Link {
    let secrets = world.secrets(who);
    let chain = &world.relay.chains[world.place(who)];
    Link::sign(
        chain.next_place(0),
        body,
        secrets.id().0,
        secrets.signing_key(),
    )
}

pub(crate) fn nothing_of(device: DeviceId) -> Cutoff {
    Cutoff {
        device,
        counter: 0,
        id: EnvelopeId::ZERO,
        reason: RevokeReason::Stolen,
    }
}

/// Ana has a phone, a laptop and a tablet; Ben has two devices. Her phone is stolen.
pub(crate) struct Theft {
    pub(crate) seed: u64,
    pub(crate) world: World,
    pub(crate) laptop: usize,
    pub(crate) tablet: usize,
    pub(crate) ben2: usize,
    /// Made by Ana's laptop; Ben wrote into it too.
    pub(crate) common: DocId,
    /// The laptop's own.
    pub(crate) hers: DocId,
    /// Ben's own.
    pub(crate) his: DocId,
    /// Made by the thief.
    pub(crate) stolen: DocId,
    /// The thief's devices.
    pub(crate) thieves: Vec<usize>,
    /// Place of the thief's first link.
    pub(crate) seq: u64,
    /// The phone's last envelope before the theft.
    pub(crate) phone: Cutoff,
    /// The device that is stolen.
    pub(crate) thief: usize,
    /// What the thief says counts of the laptop.
    pub(crate) cutoff: Option<Cutoff>,
    /// Everything that was honestly written.
    pub(crate) wrote: Vec<(DocId, String, String)>,
    /// Whether every process dies and begins again whenever nothing is under way.
    pub(crate) restarts: bool,
}

impl Theft {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = World::online(seed);
        let laptop = world.link(ANA);
        let tablet = world.link(ANA);
        let ben2 = world.link(BEN);
        let common = world.new_doc(laptop, Ownership::Common);
        let hers = world.new_doc(laptop, Ownership::Mine);
        let his = world.new_doc(BEN, Ownership::Mine);
        world.put(laptop, common, "laptop", "before");
        world.put(laptop, hers, "laptop", "before");
        world.run();
        world.put(BEN, common, "ben", "before");
        world.put(BEN, his, "ben", "before");
        world.put(ANA, hers, "phone", "before");
        world.put(tablet, hers, "tablet", "before");
        world.run();
        let phone = world.devices[ANA].home.device();
        let last = world.relay.frontier.of(&phone).unwrap();
        let seq = world.relay.chains[world.place(ANA)].next_seq();
        Self {
            seed,
            laptop,
            tablet,
            ben2,
            common,
            hers,
            his,
            stolen: common,
            thieves: Vec::new(),
            seq,
            phone: Cutoff {
                device: phone,
                counter: last.counter,
                id: last.id,
                reason: RevokeReason::Stolen,
            },
            thief: ANA,
            cutoff: None,
            wrote: vec![
                (common, "laptop".to_owned(), "before".to_owned()),
                (common, "ben".to_owned(), "before".to_owned()),
                (hers, "laptop".to_owned(), "before".to_owned()),
                (hers, "phone".to_owned(), "before".to_owned()),
                (hers, "tablet".to_owned(), "before".to_owned()),
                (his, "ben".to_owned(), "before".to_owned()),
            ],
            restarts: false,
            world,
        }
    }

    /// An honest device writes what must never be lost.
    pub(crate) fn put(&mut self, who: usize, doc: DocId, key: &str) {
        let (key, value) = (format!("{key} ({})", self.seq), format!("{who}"));
        self.world.put(who, doc, &key, &value);
        self.wrote.push((doc, key, value));
    }

    /// Everything that is under way arrives.
    pub(crate) fn rest(&mut self) {
        self.world.run();
        for who in 0..self.world.devices.len() {
            if self.restarts && self.world.devices[who].online {
                self.world.restart(who);
                self.world.connect(who);
                self.world.run();
            }
        }
    }

    /// Author of the epoch that the relay's last envelope is written under.
    pub(crate) fn maker_of_key(&self) -> DeviceId {
        let newest = Envelope::parse(self.world.relay.log.last().unwrap()).unwrap();
        let mut all = self
            .world
            .relay
            .log
            .iter()
            .map(|b| Envelope::parse(b).unwrap());
        let epoch = newest.header().epoch;
        let made = all.find(|one| EpochId::from(one.id()) == epoch).unwrap();
        made.header().device
    }

    /// The thief removes the laptop with all it wrote, adds two devices, and writes. Ben sees
    /// it, changes the key, and writes; one of the thief's devices makes a key too.
    pub(crate) fn steal(&mut self) {
        let laptop = self.world.devices[self.laptop].home.device();
        let cutoff = self.cutoff.unwrap_or(nothing_of(laptop));
        let link = by_device(&mut self.world, self.thief, LinkBody::DeviceRevoke(cutoff));
        self.world.inject_link(&link);
        self.rest();
        self.world.disconnect(self.laptop);
        let first = self.world.link(self.thief);
        self.rest();
        self.stolen = self.world.new_doc(first, Ownership::Common);
        self.world.put(first, self.stolen, "thief", "1");
        self.world.put(first, self.stolen, "thief", "2");
        self.rest();
        self.world
            .put(BEN, self.his, "under the phone's key", "ben");
        assert_eq!(self.maker_of_key(), self.phone.device);
        self.put(self.ben2, self.his, "and his other device");
        self.rest();
        // The next key is made by the thief's new device.
        let (half, request) = self.world.new_half(self.thief);
        self.world.propose(self.thief, &request).unwrap();
        self.world.run();
        self.world.put(first, self.stolen, "thief", "3");
        self.rest();
        self.world
            .put(BEN, self.his, "under the thief's key", "ben");
        let thief = self.world.devices[first].home.device();
        assert_eq!(self.maker_of_key(), thief);
        self.rest();
        let pack = self.world.devices[first].home.pack();
        let space = half.take(&pack.unwrap()).unwrap();
        let second = self.world.devices.len();
        self.world.devices.push(Device::create(space, 991));
        self.world.connect(second);
        self.rest();
        self.world.put(second, self.stolen, "second", "1");
        self.world
            .put(second, self.hers, "phone", "changed by the thief");
        self.rest();
        self.thieves.extend([first, second]);
        // Ben adds a device, so that he makes a key himself.
        let (_, request) = self.world.new_half(BEN);
        self.world.propose(BEN, &request).unwrap();
        self.world.run();
        self.put(BEN, self.his, "under his own key");
        let ben = self.world.devices[BEN].home.device();
        assert_eq!(self.maker_of_key(), ben);
        self.rest();
        self.put(self.ben2, self.his, "under Ben's key");
        self.rest();
    }

    /// Ana's words, with a new device that is not connected yet.
    pub(crate) fn outrank(&mut self) -> usize {
        let (link, secrets) = recover(&self.world, self.seed, self.seq, vec![self.phone]);
        self.world.inject_link(&link);
        recovered_home(&mut self.world, self.seed, secrets)
    }

    pub(crate) fn honest(&self, new: usize) -> Vec<usize> {
        let mut all = vec![BEN, self.laptop, self.tablet, self.ben2, new];
        all.retain(|who| *who != self.thief);
        all
    }

    /// Key changes that the relay holds.
    pub(crate) fn key_changes(&self) -> usize {
        let kind = |bytes: &&Vec<u8>| Envelope::parse(bytes).unwrap().header().kind;
        let log = self.world.relay.log.iter();
        log.filter(|bytes| kind(bytes) == EnvelopeType::Epoch)
            .count()
    }

    pub(crate) fn everyone_comes_back(&mut self, new: usize) {
        self.all_come_back(&self.honest(new));
    }

    pub(crate) fn all_come_back(&mut self, honest: &[usize]) {
        for who in honest {
            self.world.reconnect(*who);
            self.rest();
        }
        // Whoever has a key that the others lack hands it on.
        for _ in 0..2 {
            for who in honest {
                self.world.rotate(*who);
                self.rest();
            }
            for who in honest {
                self.world.reconnect(*who);
            }
        }
    }

    pub(crate) fn value(&mut self, who: usize, doc: DocId, key: &str) -> Option<String> {
        self.world.value(who, doc, key)
    }

    /// What everyone honest must have, and nothing of the thief's.
    pub(crate) fn assert_healed(&mut self, new: usize) {
        let expected = self.world.heads(BEN);
        for who in self.honest(new) {
            for (doc, key, value) in self.wrote.clone() {
                let found = self.value(who, doc, &key);
                assert_eq!(found, Some(value), "device {who}: {key}");
            }
            assert_eq!(self.value(who, self.stolen, "thief"), None, "device {who}");
            let world = &mut self.world;
            assert_eq!(world.heads(who), expected, "device {who} differs");
            for thief in &self.thieves {
                let thief = world.devices[*thief].home.device();
                assert!(!world.devices[who].home.is_active(&thief));
                assert_eq!(world.devices[who].home.frontier().of(&thief), None);
            }
            let status = world.devices[who].home.status();
            assert_eq!((status.parked, status.missing), (0, 0), "device {who}");
            let forked = |n: &NoticeKind| {
                matches!(n, NoticeKind::ChainFork { .. } | NoticeKind::Forked { .. })
            };
            let notices = world.notices(who);
            assert!(!notices.iter().any(forked), "device {who}: {notices:?}");
            assert!(world.devices[who].home.check().findings.is_empty());
        }
    }

    pub(crate) fn everyone_writes_on(&mut self, new: usize) {
        for who in self.honest(new) {
            let text = format!("on, {who}");
            self.world.put(who, self.common, &format!("{who}"), &text);
            self.world.run();
        }
        let expected = self.world.heads(BEN);
        for who in self.honest(new) {
            assert_eq!(self.world.heads(who), expected, "device {who} differs");
            for other in self.honest(new) {
                let found = self.world.value(who, self.common, &format!("{other}"));
                assert_eq!(found, Some(format!("on, {other}")), "{who} of {other}");
            }
        }
    }
}
