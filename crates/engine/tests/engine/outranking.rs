//! A stolen, unlocked phone, and the twelve words that outrank it.

use ajar_crypto::epoch::open_epoch;
use ajar_crypto::{DeviceSecrets, RecoveryPhrase};
use ajar_engine::replica::NewSpace;
use ajar_engine::store::{Key, Store, StoreError};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::link::{
    Cutoff, LeaveMode, Link, LinkBody, NewDevice, RevokeReason, cosign_hash, proof_hash,
    signed_message,
};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{
    DeviceId, DocId, Envelope, EnvelopeId, EnvelopeType, EpochId, Frontier, PartyChain,
    SpaceGenesis, label,
};
use automerge::ROOT;
use automerge::transaction::Transactable;
use ed25519_dalek::Signer;
use rand_core::Rng;

use crate::rogue::Rogue;
use crate::world::{ANA, BEN, Device, World, rng};

/// The keys of Ana's twelve words for the space of `World::online(seed)`.
fn words(seed: u64) -> ajar_crypto::SlotKeys {
    let phrase = RecoveryPhrase::generate(&mut rng(seed * 1000 + 1)).unwrap();
    phrase.slot_keys(1).unwrap()
}

/// A link of Ana's words at place `seq` of her chain as the relay has it.
fn by_words(
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
fn recover(world: &World, seed: u64, seq: u64, revoked: Vec<Cutoff>) -> (Link, DeviceSecrets) {
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
fn recovered_home(world: &mut World, seed: u64, secrets: DeviceSecrets) -> usize {
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
    };
    let who = world.devices.len();
    world
        .devices
        .push(Device::create(space, who as u64 * 37 + 1));
    who
}

/// A link that a device of the party at hand signs as it likes.
fn by_device(world: &mut World, who: usize, body: LinkBody) -> Link {
    let secrets = world.secrets(who);
    let chain = &world.relay.chains[world.place(who)];
    Link::sign(
        chain.next_place(0),
        body,
        secrets.id().0,
        secrets.signing_key(),
    )
}

fn nothing_of(device: DeviceId) -> Cutoff {
    Cutoff {
        device,
        counter: 0,
        id: EnvelopeId::ZERO,
        reason: RevokeReason::Stolen,
    }
}

/// Ana has a phone, a laptop and a tablet; Ben has two devices. Her phone is stolen.
struct Theft {
    seed: u64,
    world: World,
    laptop: usize,
    tablet: usize,
    ben2: usize,
    /// Made by Ana's laptop; Ben wrote into it too.
    common: DocId,
    /// The laptop's own.
    hers: DocId,
    /// Ben's own.
    his: DocId,
    /// Made by the thief.
    stolen: DocId,
    /// The thief's devices.
    thieves: Vec<usize>,
    /// Place of the thief's first link.
    seq: u64,
    /// The phone's last envelope before the theft.
    phone: Cutoff,
    /// The device that is stolen.
    thief: usize,
    /// What the thief says counts of the laptop.
    cutoff: Option<Cutoff>,
    /// Everything that was honestly written.
    wrote: Vec<(DocId, String, String)>,
    /// Whether every process dies and begins again whenever nothing is under way.
    restarts: bool,
}

impl Theft {
    fn new(seed: u64) -> Self {
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
    fn put(&mut self, who: usize, doc: DocId, key: &str) {
        let (key, value) = (format!("{key} ({})", self.seq), format!("{who}"));
        self.world.put(who, doc, &key, &value);
        self.wrote.push((doc, key, value));
    }

    /// Everything that is under way arrives.
    fn rest(&mut self) {
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
    fn maker_of_key(&self) -> DeviceId {
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
    fn steal(&mut self) {
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
        let space = half.take(&pack).unwrap();
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
    fn outrank(&mut self) -> usize {
        let (link, secrets) = recover(&self.world, self.seed, self.seq, vec![self.phone]);
        self.world.inject_link(&link);
        recovered_home(&mut self.world, self.seed, secrets)
    }

    fn honest(&self, new: usize) -> Vec<usize> {
        let mut all = vec![BEN, self.laptop, self.tablet, self.ben2, new];
        all.retain(|who| *who != self.thief);
        all
    }

    /// Key changes that the relay holds.
    fn key_changes(&self) -> usize {
        let kind = |bytes: &&Vec<u8>| Envelope::parse(bytes).unwrap().header().kind;
        let log = self.world.relay.log.iter();
        log.filter(|bytes| kind(bytes) == EnvelopeType::Epoch)
            .count()
    }

    fn everyone_comes_back(&mut self, new: usize) {
        self.all_come_back(&self.honest(new));
    }

    fn all_come_back(&mut self, honest: &[usize]) {
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

    fn value(&mut self, who: usize, doc: DocId, key: &str) -> Option<String> {
        self.world.value(who, doc, key)
    }

    /// What everyone honest must have, and nothing of the thief's.
    fn assert_healed(&mut self, new: usize) {
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

    fn everyone_writes_on(&mut self, new: usize) {
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

/// A replica that is fed by hand, without a world.
fn receive(world: &World, home: &mut crate::world::Home, link: &Link) {
    let message = RelayMsg::Link(link.as_bytes().to_vec());
    home.receive(world.now, vec![message]).unwrap();
}

#[test]
fn the_words_undo_a_theft_and_nothing_that_anyone_honest_wrote_is_lost() {
    let mut theft = Theft::new(700);
    theft.steal();
    for who in [BEN, theft.tablet, theft.ben2] {
        // As long as nobody has spoken the words, the thief's word counts.
        assert_eq!(theft.value(who, theft.common, "laptop"), None);
        assert!(theft.value(who, theft.stolen, "thief").is_some());
    }
    let new = theft.outrank();
    theft.world.run();
    // On the same connection, what the thief had taken away comes again.
    for who in [BEN, theft.tablet, theft.ben2] {
        let found = theft.value(who, theft.common, "laptop");
        assert_eq!(found.as_deref(), Some("before"), "device {who}");
        assert_eq!(theft.value(who, theft.stolen, "thief"), None);
    }
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    for who in theft.honest(new) {
        theft.world.restart(who);
    }
    theft.assert_healed(new);
    for who in theft.honest(new) {
        theft.world.connect(who);
    }
    theft.world.run();
    theft.everyone_writes_on(new);
    theft.assert_healed(new);
    // And then the key changes no more.
    let changes = theft.key_changes();
    for _ in 0..3 {
        theft.everyone_writes_on(new);
    }
    assert_eq!(theft.key_changes(), changes);
    let ana = theft.world.devices[new].home.own_party();
    for who in [BEN, theft.tablet] {
        let notices = theft.world.notices(who);
        assert!(notices.contains(&NoticeKind::Recovered { party: ana }));
    }
}

#[test]
fn whenever_a_process_dies_and_begins_again_a_theft_is_undone() {
    let mut theft = Theft::new(701);
    theft.restarts = true;
    theft.steal();
    let new = theft.outrank();
    theft.rest();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
    theft.assert_healed(new);
}

/// Their own chains are as long as the relay's or longer, so it would never send the link.
#[test]
fn devices_that_were_away_when_the_words_were_spoken_learn_of_it_and_keep_what_they_wrote() {
    let mut theft = Theft::new(702);
    theft.world.disconnect(theft.tablet);
    theft.steal();
    theft.world.disconnect(theft.ben2);
    theft.world.disconnect(BEN);
    for who in [BEN, theft.ben2] {
        for n in 0..3 {
            let text = format!("{n}");
            theft
                .world
                .put(who, theft.his, &format!("offline {who}"), &text);
        }
    }
    let new = theft.outrank();
    theft.world.run();
    // They write on, under the thief's view, long after.
    theft.put(theft.ben2, theft.his, "late");
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

/// More than fits among what waits in memory, all before the key that opens it.
#[test]
fn a_long_time_under_the_thiefs_view_is_read_by_those_the_thief_had_shut_out() {
    let mut theft = Theft::new(703);
    theft.steal();
    for n in 0..300 {
        theft.world.put(BEN, theft.his, "many", &n.to_string());
    }
    theft.world.run();
    let new = theft.outrank();
    theft.world.run();
    // The laptop is back before Ben has handed on the keys.
    theft.world.connect(theft.laptop);
    theft.world.run();
    let laptop = theft.laptop;
    assert_eq!(theft.value(laptop, theft.his, "many"), None);
    let told = |n: &NoticeKind| matches!(n, NoticeKind::Unopenable { .. });
    assert!(theft.world.notices(laptop).iter().any(told));
    theft.world.restart(laptop);
    theft.world.connect(laptop);
    theft.world.run();
    theft.world.put(BEN, theft.his, "after", "ben");
    theft.world.run();
    for who in [laptop, theft.tablet] {
        assert_eq!(theft.value(who, theft.his, "many").as_deref(), Some("299"));
        assert_eq!(theft.value(who, theft.his, "after").as_deref(), Some("ben"));
    }
    assert!(!theft.world.notices(laptop).iter().any(told));
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
}

/// Ana's new device changes the key first, so that Ben has one to write under: nothing but the
/// others' need makes him hand on those that only he has.
#[test]
fn keys_that_only_ben_has_are_handed_on_although_there_is_one_to_write_under() {
    let mut theft = Theft::new(715);
    theft.steal();
    theft.world.disconnect(BEN);
    theft.world.disconnect(theft.ben2);
    let new = theft.outrank();
    theft.world.connect(new);
    theft.world.run();
    theft.world.rotate(new);
    theft.world.run();
    theft.world.connect(theft.laptop);
    theft.world.run();
    theft.world.connect(BEN);
    theft.world.run();
    theft.world.restart(BEN);
    theft.world.connect(BEN);
    theft.world.run();
    theft.put(BEN, theft.his, "after");
    let ben = theft.world.devices[BEN].home.device();
    assert_eq!(theft.maker_of_key(), ben);
    theft.world.run();
    theft.world.connect(theft.ben2);
    theft.world.run();
    theft.assert_healed(new);
}

#[test]
fn the_link_of_the_words_may_come_at_any_time_among_what_it_voids() {
    let mut theft = Theft::new(704);
    theft.world.disconnect(theft.tablet);
    let store = theft.world.devices[theft.tablet].store.copied();
    let known = theft.world.relay.log.len();
    theft.steal();
    let place = theft.world.place(ANA);
    let void = theft.world.relay.chains[place].links().to_vec();
    let from = usize::try_from(theft.seq).unwrap();
    let envelopes = theft.world.relay.log[known..].to_vec();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    let chain = &theft.world.relay.chains[place];
    let root = RelayMsg::Link(chain.links()[from].as_bytes().to_vec());
    let bens = &theft.world.relay.chains[place ^ 1];
    let links = bens.links().iter().chain(&void[from..]);
    let links = links.map(|link| RelayMsg::Link(link.as_bytes().to_vec()));
    let all: Vec<RelayMsg> = links
        .chain(envelopes.into_iter().map(RelayMsg::Envelope))
        .collect();
    for at in 0..=all.len() {
        let seed = 704_000 + at as u64;
        let mut rng = rng(seed);
        let mut messages = all.clone();
        messages.insert(at, root.clone());
        messages.push(RelayMsg::CaughtUp);
        let store = store.copied();
        let mut home = ajar_engine::Replica::open(store.clone()).unwrap();
        let _subscribe = home.connected(crate::world::RELAY);
        while !messages.is_empty() {
            let n = 1 + usize::try_from(rng.next_u64() % messages.len() as u64).unwrap();
            let batch = messages.drain(..n).collect();
            let _answers = home.receive(theft.world.now, batch).unwrap();
        }
        drop(home);
        let home = ajar_engine::Replica::open(store.clone()).unwrap();
        let who = theft.world.devices.len();
        theft.world.devices.push(Device::with(home, store, seed));
        for _ in 0..2 {
            theft.world.reconnect(who);
        }
        let expected = theft.world.heads(BEN);
        assert_eq!(theft.world.heads(who), expected, "at {at}, seed {seed}");
        let bens = theft.world.devices[BEN].home.frontier().clone();
        assert_eq!(theft.world.devices[who].home.frontier(), &bens, "at {at}");
        let status = theft.world.devices[who].home.status();
        assert_eq!((status.parked, status.missing), (0, 0), "at {at}");
        assert!(theft.world.devices[who].home.check().findings.is_empty());
        let forked = |n: &NoticeKind| matches!(n, NoticeKind::ChainFork { .. });
        assert!(!theft.world.notices(who).iter().any(forked), "at {at}");
        theft.world.devices.pop();
    }
}

#[test]
fn a_replacement_that_does_not_reach_the_disk_leaves_all_as_it_was_and_is_done_again() {
    let mut theft = Theft::new(705);
    theft.steal();
    let before = theft.world.heads(BEN);
    let frontier = theft.world.devices[BEN].home.frontier().clone();
    let devices = theft.world.devices[BEN].home.status().devices;
    let new = theft.outrank();
    let ben = &mut theft.world.devices[BEN];
    ben.store.fail_next_commit(StoreError::DiskFull);
    let messages: Vec<RelayMsg> = ben.inbox.drain(..).collect();
    assert!(ben.home.receive(theft.world.now, messages).is_err());
    for _ in 0..2 {
        assert_eq!(theft.world.heads(BEN), before);
        let home = &mut theft.world.devices[BEN].home;
        assert_eq!(home.frontier(), &frontier);
        assert_eq!(home.status().devices, devices);
        assert!(home.check().findings.is_empty());
        theft.world.restart(BEN);
    }
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_lying_relay_that_tells_only_one_device_of_the_words_changes_nothing_in_the_end() {
    let mut theft = Theft::new(706);
    theft.steal();
    let ben2 = theft.ben2;
    let place = theft.world.place(ANA);
    let from = theft.seq;
    theft.world.fault = Some(Box::new(move |to, message| match &message {
        RelayMsg::Link(bytes) => {
            let link = Link::parse(bytes).unwrap();
            let hidden = to == ben2 && link.seq >= from;
            if hidden { Vec::new() } else { vec![message] }
        }
        _ => vec![message],
    }));
    let new = theft.outrank();
    theft.world.run();
    theft.put(BEN, theft.his, "told");
    theft.put(ben2, theft.his, "not told");
    theft.world.run();
    theft.put(BEN, theft.his, "told again");
    theft.world.run();
    let chain = |world: &World, who: usize| world.devices[who].home.status().devices;
    assert_ne!(chain(&theft.world, BEN), chain(&theft.world, ben2));
    assert!(theft.world.relay.chains[place].last_seq() >= from);
    theft.world.fault = None;
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_relay_that_lost_everything_and_was_filled_by_one_who_had_not_heard_learns_the_truth() {
    let mut theft = Theft::new(707);
    theft.steal();
    theft.world.disconnect(theft.ben2);
    let new = theft.outrank();
    theft.world.run();
    let others = [BEN, theft.laptop, theft.tablet, new];
    theft.all_come_back(&others);
    for who in 0..theft.world.devices.len() {
        theft.world.disconnect(who);
    }
    theft.world.relay.wipe();
    // Ben's second device fills it with what the words had voided.
    theft.world.connect(theft.ben2);
    theft.world.run();
    let place = theft.world.place(ANA);
    let thief = theft.world.devices[theft.thieves[0]].home.device();
    assert!(theft.world.relay.chains[place].device(&thief).is_some());
    theft.world.connect(BEN);
    theft.world.run();
    assert!(theft.world.relay.chains[place].device(&thief).is_none());
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_space_that_the_thief_left_is_open_again() {
    let seed = 708;
    let mut theft = Theft::new(seed);
    let link = by_device(&mut theft.world, ANA, LinkBody::Leave(LeaveMode::Ended));
    theft.world.inject_link(&link);
    theft.world.run();
    let his = theft.his;
    let refused = theft.world.edit(BEN, his, |tx| tx.put(ROOT, "x", "closed"));
    assert!(refused.is_err());
    let new = theft.outrank();
    theft.world.run();
    theft.world.put(BEN, his, "x", "open");
    theft.world.run();
    assert_eq!(theft.value(theft.laptop, his, "x").as_deref(), Some("open"));
    theft.world.connect(new);
    theft.world.run();
    assert_eq!(theft.value(new, his, "x").as_deref(), Some("open"));
    theft.world.restart(BEN);
    theft.world.put(BEN, his, "x", "still open");
}

#[test]
fn words_that_were_replaced_void_nothing_that_came_before_or_after() {
    let seed = 709;
    let mut theft = Theft::new(seed);
    let tablet = theft.world.secrets(theft.tablet);
    let new_words = RecoveryPhrase::generate(&mut rng(seed)).unwrap();
    let root = new_words.slot_keys(1).unwrap().public().root;
    let body = LinkBody::Policy { min_version: 1 };
    let policy = by_device(&mut theft.world, ANA, body);
    theft.world.inject_link(&policy);
    let link = by_words(&theft.world, seed, theft.seq + 1, |chain| {
        let hash = cosign_hash(&chain.id(), chain.next_seq(), &chain.head(), &root);
        let message = signed_message(label::LINK_COSIGN, &hash);
        let cosignature = tablet.signing_key().sign(&message).to_bytes();
        LinkBody::RootReplace {
            root,
            cosigner: tablet.id().0,
            cosignature,
        }
    });
    theft.world.inject_link(&link);
    theft.world.run();
    let party = theft.world.devices[theft.tablet].home.own_party();
    for seq in [theft.seq - 1, theft.seq, theft.seq + 1] {
        let (old, _) = recover(&theft.world, seed, seq, Vec::new());
        for who in [BEN, theft.tablet] {
            let before = theft.world.devices[who].home.status().devices;
            let now = &theft.world;
            let (now, bytes) = (now.now, old.as_bytes().to_vec());
            let home = &mut theft.world.devices[who].home;
            for _ in 0..2 {
                home.receive(now, vec![RelayMsg::Link(bytes.clone())])
                    .unwrap();
            }
            assert_eq!(home.status().devices, before);
            let told = theft.world.notices(who);
            assert!(told.contains(&NoticeKind::ChainFork { party }), "{told:?}");
        }
    }
}

#[test]
fn the_words_end_a_fork_that_the_thief_had_made() {
    let mut theft = Theft::new(716);
    let laptop = theft.world.devices[theft.laptop].home.device();
    let one = by_device(
        &mut theft.world,
        ANA,
        LinkBody::DeviceRevoke(nothing_of(laptop)),
    );
    let other = by_device(&mut theft.world, ANA, LinkBody::Policy { min_version: 1 });
    theft.world.inject_link(&one);
    theft.world.run();
    let (now, party) = (theft.world.now, one.party);
    let forked = NoticeKind::ChainFork { party };
    for who in [BEN, theft.tablet] {
        let bytes = other.as_bytes().to_vec();
        let home = &mut theft.world.devices[who].home;
        // The first time, the device asks whether there is more to it.
        for expected in [1, 0] {
            let message = vec![RelayMsg::Link(bytes.clone())];
            let outputs = home.receive(now, message).unwrap();
            assert_eq!(outputs.send.len(), expected);
        }
        assert!(theft.world.notices(who).contains(&forked));
    }
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.stolen = theft.world.new_doc(BEN, Ownership::Common);
    theft.assert_healed(new);
    for who in [BEN, theft.tablet] {
        theft.world.restart(who);
        assert!(!theft.world.notices(who).contains(&forked));
    }
}

#[test]
fn two_links_of_the_words_at_one_place_the_first_that_came_stays() {
    let seed = 710;
    let mut theft = Theft::new(seed);
    theft.steal();
    let (one, _) = recover(&theft.world, seed, theft.seq, vec![theft.phone]);
    let (other, _) = recover(&theft.world, seed, theft.seq, Vec::new());
    assert_ne!(one.hash(), other.hash());
    let (now, party) = (theft.world.now, one.party);
    for (first, second, who) in [(&one, &other, BEN), (&other, &one, theft.ben2)] {
        theft.world.disconnect(who);
        let mut home = ajar_engine::Replica::open(theft.world.devices[who].store.copied()).unwrap();
        receive(&theft.world, &mut home, first);
        let devices = home.status().devices;
        receive(&theft.world, &mut home, second);
        assert_eq!(home.status().devices, devices);
        let kinds: Vec<NoticeKind> = home.status().notices.iter().map(|n| n.kind).collect();
        assert!(kinds.contains(&NoticeKind::ChainFork { party }));
        home.tick(now).unwrap();
    }
}

#[test]
fn a_device_that_the_words_take_away_keeps_its_home_to_read_and_writes_no_more() {
    let mut theft = Theft::new(711);
    theft.steal();
    let [first, second] = theft.thieves[..] else {
        panic!("two thieves");
    };
    let stolen = theft.stolen;
    let kept = theft.world.devices[first].home.status().kept;
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    for who in [first, second] {
        for _ in 0..2 {
            let value = theft.value(who, stolen, "thief");
            assert_eq!(value.as_deref(), Some("3"), "device {who}");
            let refused = theft.world.edit(who, stolen, |tx| tx.put(ROOT, "x", "no"));
            assert!(refused.is_err());
            let ana = theft.world.devices[theft.tablet].home.own_party();
            assert_eq!(theft.world.devices[who].home.own_party(), ana);
            theft.world.restart(who);
        }
    }
    assert_eq!(theft.world.devices[first].home.status().kept, kept);
    assert!(theft.world.devices[first].home.check().findings.is_empty());
    theft.assert_healed(new);
}

#[test]
fn years_later_another_device_is_stolen_and_the_words_undo_that_too() {
    let mut theft = Theft::new(712);
    theft.steal();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    // The tablet this time; Ben's second device sleeps through the end of it.
    theft.thief = theft.tablet;
    let tablet = theft.world.devices[theft.tablet].home.device();
    let last = theft.world.relay.frontier.of(&tablet).unwrap();
    theft.phone = Cutoff {
        device: tablet,
        counter: last.counter,
        id: last.id,
        reason: RevokeReason::Stolen,
    };
    theft.seq = theft.world.relay.chains[theft.world.place(BEN) ^ 1].next_seq();
    theft.put(new, theft.common, "between");
    theft.world.run();
    theft.steal();
    theft.world.disconnect(theft.ben2);
    theft.put(theft.ben2, theft.his, "offline");
    let newer = theft.outrank();
    theft.world.run();
    let again = [BEN, theft.laptop, theft.ben2, new, newer];
    theft.all_come_back(&again);
    theft.assert_healed(new);
    theft.assert_healed(newer);
    for who in again {
        theft.world.restart(who);
        theft.world.connect(who);
    }
    theft.world.run();
    theft.everyone_writes_on(new);
    theft.assert_healed(newer);
}

/// The thief names another envelope than the laptop's own as the last that counts: that would
/// make the laptop look as if it had two histories.
#[test]
fn a_thief_cannot_make_an_honest_device_look_forked_for_ever() {
    let mut theft = Theft::new(713);
    let laptop = theft.world.devices[theft.laptop].home.device();
    let last = theft.world.relay.frontier.of(&laptop).unwrap();
    theft.world.disconnect(theft.tablet);
    theft.put(theft.laptop, theft.common, "sent just before");
    theft.world.run();
    theft.cutoff = Some(Cutoff {
        device: laptop,
        counter: last.counter + 1,
        id: EnvelopeId([9; 32]),
        reason: RevokeReason::Lost,
    });
    theft.steal();
    theft.world.connect(theft.tablet);
    theft.world.run();
    let counter = last.counter + 1;
    let forked = NoticeKind::Forked {
        device: laptop,
        counter,
    };
    for who in [BEN, theft.tablet] {
        assert!(theft.world.notices(who).contains(&forked), "device {who}");
    }
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_member_cannot_fill_the_disk_with_keys_that_nothing_stands_on() {
    let mut theft = Theft::new(714);
    theft.steal();
    let void = theft.world.relay.chains.clone();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    let mut ben = Rogue::of(&mut theft.world, theft.ben2);
    theft.world.disconnect(theft.ben2);
    ben.chains = void;
    let to = ben.recipients();
    let keys = |world: &World| {
        let ring = world.devices[BEN].store.clone().load_keys().unwrap();
        (ring.unwrap().len() - 99) / 64
    };
    let before = keys(&theft.world);
    for _ in 0..300 {
        let bytes = ben.epoch(9, &[ben.epoch], &to);
        theft.world.inject(bytes);
        theft.world.run();
    }
    let after = keys(&theft.world);
    assert!(
        (before + 200..=before + 256).contains(&after),
        "{before} {after}"
    );
    // Honest people go on, with as many key changes as it takes to hand them on: one.
    theft.world.put(BEN, theft.his, "on", "ben");
    theft.world.run();
    let changes = theft.key_changes();
    theft.world.put(BEN, theft.his, "on", "ben again");
    theft.world.run();
    assert_eq!(theft.key_changes(), changes);
    assert_eq!(
        theft.value(new, theft.his, "on").as_deref(),
        Some("ben again")
    );
    theft.world.restart(BEN);
}

/// Ana and Ben write and come and go while the thief does, and the words come at some moment.
#[test]
fn whatever_the_order_everyone_honest_ends_with_the_same() {
    for seed in 7200..7212 {
        let mut theft = Theft::new(seed);
        let mut rng = rng(seed);
        let mut below = move |n: usize| usize::try_from(rng.next_u64() % n as u64).unwrap();
        theft.steal();
        let shared = theft.world.new_doc(BEN, Ownership::Common);
        let mut new = None;
        let words_at = below(120);
        // The relay keeps some things from some, for a while.
        let mut lies = crate::world::rng(seed + 1);
        theft.world.fault = Some(Box::new(move |_, message| match &message {
            RelayMsg::Link(_) | RelayMsg::Envelope(_) if lies.next_u64().is_multiple_of(8) => {
                Vec::new()
            }
            _ => vec![message],
        }));
        for turn in 0..120 {
            if turn == words_at {
                new = Some(theft.outrank());
            }
            let count = theft.world.devices.len();
            let who = below(count);
            let world = &mut theft.world;
            match below(8) {
                0 if world.devices[who].online => world.disconnect(who),
                0 | 1 if !world.devices[who].online => world.connect(who),
                2 | 3 => {
                    let waiting = &mut world.devices[who].inbox;
                    let n = waiting.len();
                    if n > 1 && below(2) == 0 {
                        waiting.swap(below(n), n - 1);
                    }
                    world.step(who, 1 + below(5));
                }
                4 => world.rotate(who),
                5 => {
                    let online = world.devices[who].online;
                    world.restart(who);
                    if online {
                        world.connect(who);
                    }
                }
                _ => {
                    // Whoever may, on top of whatever is there.
                    let doc = [shared, theft.stolen][below(2)];
                    let (key, value) = (format!("{}", below(4)), format!("{turn}"));
                    let _closed = world.edit(who, doc, |tx| tx.put(ROOT, key, value));
                }
            }
        }
        let new = new.unwrap();
        theft.world.run();
        theft.world.fault = None;
        theft.everyone_comes_back(new);
        let expected = theft.world.heads(BEN);
        for who in theft.honest(new) {
            assert_eq!(
                theft.world.heads(who),
                expected,
                "seed {seed}, device {who}"
            );
            for (doc, key, value) in theft.wrote.clone() {
                let found = theft.value(who, doc, &key);
                assert_eq!(found, Some(value), "seed {seed}, device {who}: {key}");
            }
            let status = theft.world.devices[who].home.status();
            assert_eq!((status.parked, status.missing), (0, 0), "seed {seed}");
        }
    }
}
