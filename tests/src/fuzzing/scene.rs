//! What the targets with replicas begin from. Ben has a phone and a laptop, both honest; Ana's
//! keys are in the hands of somebody who writes whatever they like.

use std::sync::LazyLock;

use ajar_crypto::seal::{Draft, Placement, seal_envelope};
use ajar_crypto::{DeviceSecrets, EpochKey, Secret, epoch::open_epoch};
use ajar_engine::membership::{LinkOffer, NewHalf};
use ajar_engine::store::MemoryStore;
use ajar_engine::{Ownership, Replica, pairing};
use ajar_protocol::auth::permit;
use ajar_protocol::genesis::membership_head;
use ajar_protocol::{
    DocId, Envelope, EnvelopeId, EnvelopeType, EpochId, PartyChain, Position, SpaceId, id,
};
use automerge::ROOT;
use automerge::transaction::Transactable;

use super::world::{Device, LAPTOP, PHONE, ToyRelay, World, agree, relay_key, rng, start};

/// Somebody with Ana's keys.
pub(super) struct Rogue {
    pub(super) secrets: DeviceSecrets,
    pub(super) space: SpaceId,
    pub(super) place: Placement,
    pub(super) chains: Vec<PartyChain>,
    pub(super) epoch: EpochId,
    pub(super) key: EpochKey,
}

impl Rogue {
    /// How far Ben's phone has what Ana's keys signed.
    pub(super) fn known(&self, world: &World) -> Option<Position> {
        let home = &world.devices[PHONE].home;
        home.frontier().of(&self.secrets.id())
    }

    pub(super) fn actor(&self, doc: &DocId) -> [u8; 16] {
        id::actor(&self.space, &self.secrets.id(), doc, 0)
    }

    /// Seals any plaintext as Ana's next envelope.
    pub(super) fn seal(&self, kind: EnvelopeType, plaintext: &[u8]) -> Option<Envelope> {
        let draft = Draft {
            kind,
            epoch: self.epoch,
            key: &self.key,
            plaintext,
        };
        seal_envelope(&self.place, &draft, &self.secrets, &mut rng(666)).ok()
    }
}

/// What every input begins from.
pub(super) struct Scene {
    pub(super) rogue: Rogue,
    /// A document of both, with a text, which everybody has.
    pub(super) common: DocId,
    /// Three that nobody has begun.
    pub(super) fresh: [DocId; 3],
    /// One of Ben's.
    pub(super) own: DocId,
    /// The common one, saved.
    pub(super) saved: Vec<u8>,
    /// The place for Ben's laptop, and what the phone handed over to it.
    pub(super) offer: LinkOffer,
    pub(super) handed_over: Vec<u8>,
    relay: ToyRelay,
    stores: Vec<MemoryStore>,
}

/// Seed of the keys of Ben's laptop.
pub(super) const LAPTOP_KEYS: u64 = 73;

pub(super) static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

impl Scene {
    fn new() -> Self {
        let (ana, ben) = agree(7);
        let secrets = DeviceSecrets::from_bytes(&ana.secrets.to_bytes());
        let genesis = ana.genesis.clone();
        let relay = ToyRelay {
            chains: ana.chains.clone(),
            permit: Some(permit(&relay_key(), &genesis.id())),
            ..ToyRelay::default()
        };
        let mut world = World {
            now: start(),
            relay,
            devices: vec![Device::create(ben, 71)],
        };
        let mut ana = Device::create(ana, 72);
        let first = pairing::first_epoch(&mut ana.home, start(), &mut ana.rng).unwrap();
        pairing::take_first_epoch(&mut world.devices[PHONE].home, start(), &first).unwrap();
        world.devices.push(ana);
        world.connect(PHONE);
        world.connect(1);
        world.run();
        let common = world.new_doc(1, Ownership::Common);
        world.put(1, common, "title", "ours");
        let device = &mut world.devices[1];
        let typed = device.home.change(start(), &mut device.rng, common, |tx| {
            let text = tx.put_object(ROOT, "body", automerge::ObjType::Text)?;
            tx.splice_text(&text, 0, 0, "as we wrote it")?;
            let tags = tx.put_object(ROOT, "tags", automerge::ObjType::List)?;
            tx.insert(&tags, 0, 1)?;
            tx.insert(&tags, 1, "two")
        });
        world.take(1, typed.unwrap().1);
        world.run();
        let fresh = [(); 3].map(|()| world.new_doc(1, Ownership::Common));
        let own = world.new_doc(PHONE, Ownership::Mine);
        world.put(PHONE, own, "text", "Ben's own");
        world.run();
        // From here on nobody honest has Ana's keys.
        let mut ana = world.devices.remove(1);
        let (offer, handed_over) = Self::link_laptop(&mut world);
        world.put(PHONE, common, "his", "words");
        world.run();
        assert_eq!(
            world.value(LAPTOP, own, "text").as_deref(),
            Some("Ben's own")
        );
        assert_eq!(world.heads(PHONE), world.heads(LAPTOP));
        let rogue = Self::rogue(&world, &genesis.id(), secrets, &mut ana);
        let home = &mut world.devices[PHONE].home;
        Self {
            saved: home.document(&common).unwrap().save_nocompress(),
            rogue,
            common,
            fresh,
            own,
            offer,
            handed_over,
            relay: world.relay.clone(),
            stores: world.devices.iter().map(|it| it.store.copied()).collect(),
        }
    }

    /// Ben links his laptop as Ajar does.
    fn link_laptop(world: &mut World) -> (LinkOffer, Vec<u8>) {
        let phone = &mut world.devices[PHONE];
        let offer = phone.home.link_offer();
        let half = NewHalf::new(&mut rng(LAPTOP_KEYS), offer).unwrap();
        let proposed = phone.home.propose_device(start(), &half.request()).unwrap();
        world.take(PHONE, proposed);
        world.run();
        let phone = &mut world.devices[PHONE];
        let outputs = phone.home.rotate(start(), &mut phone.rng).unwrap();
        world.take(PHONE, outputs);
        world.run();
        let pack = world.devices[PHONE].home.pack().unwrap();
        let space = half.take(&pack).unwrap();
        world.devices.push(Device::create(space, 74));
        world.connect(LAPTOP);
        world.run();
        (offer, pack.to_vec())
    }

    /// What Ana's keys can do now: she has received everything.
    fn rogue(world: &World, space: &SpaceId, secrets: DeviceSecrets, ana: &mut Device) -> Rogue {
        let chains = world.relay.chains.clone();
        let newest = world.relay.log.iter().rev().find_map(|bytes| {
            let envelope = Envelope::parse(bytes).unwrap();
            (envelope.header().kind == EnvelopeType::Epoch).then_some(envelope)
        });
        let newest = newest.unwrap();
        let epoch = EpochId::from(newest.id());
        let author = newest.header().device;
        let mut devices = chains.iter().filter_map(|chain| chain.device(&author));
        let verified = newest.verify(&devices.next().unwrap().keys.sign).unwrap();
        let opened = open_epoch(&verified, &secrets.id().0, secrets.kem_secret()).unwrap();
        let last = ana.home.frontier().of(&secrets.id());
        let last = last.unwrap_or(Position {
            counter: 0,
            id: EnvelopeId::ZERO,
        });
        let refs: Vec<&PartyChain> = chains.iter().collect();
        let seqs: Vec<u64> = chains.iter().map(PartyChain::last_seq).collect();
        Rogue {
            place: Placement {
                space: *space,
                counter: last.counter + 1,
                prev: last.id,
                mhead: membership_head(&refs, &seqs).unwrap(),
            },
            key: EpochKey::new(Secret::new(*opened.key.expose())),
            space: *space,
            secrets,
            chains,
            epoch,
        }
    }

    /// Both of Ben's devices, connected, as they were then.
    pub(super) fn begin(&self) -> World {
        let device = |(seed, store): (u64, &MemoryStore)| {
            let store = store.copied();
            Device::of(Replica::open(store.clone()).unwrap(), store, seed)
        };
        let mut world = World {
            now: start(),
            relay: self.relay.clone(),
            devices: (81..).zip(&self.stores).map(device).collect(),
        };
        for who in [PHONE, LAPTOP] {
            world.connect(who);
        }
        world.run();
        world
    }

    /// Every envelope so far.
    pub(super) fn log(&self) -> &[Vec<u8>] {
        &self.relay.log
    }

    /// The store of Ben's phone.
    pub(super) fn store(&self) -> MemoryStore {
        self.stores[PHONE].copied()
    }
}
