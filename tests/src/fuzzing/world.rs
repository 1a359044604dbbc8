//! Ana and Ben with real keys over stores in memory, and a relay between them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ajar_crypto::RecoveryPhrase;
use ajar_engine::pairing::{self, OwnHalf};
use ajar_engine::replica::NewSpace;
use ajar_engine::store::MemoryStore;
use ajar_engine::{Now, Outputs, Ownership, Replica};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DocId, Envelope};
use automerge::transaction::Transactable;
use automerge::{ChangeHash, ROOT, ReadDoc};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::scene::Scene;
use toy_relay::Answer;
pub(super) use toy_relay::ToyRelay;

#[path = "../../../crates/engine/tests/engine/toy_relay.rs"]
#[expect(dead_code, reason = "the engine's tests use all of it")]
mod toy_relay;

/// Ben's devices in [`World::devices`].
pub(super) const PHONE: usize = 0;
pub(super) const LAPTOP: usize = 1;
/// Seed of the relay's key.
const RELAY_SEED: [u8; 32] = [7; 32];

/// The relay's key.
pub(super) fn relay_key() -> SigningKey {
    SigningKey::from_bytes(&RELAY_SEED)
}

pub(super) type Home = Replica<MemoryStore>;

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn start() -> Now {
    Now {
        wall_ms: 1_767_225_600_000,
        elapsed: Duration::ZERO,
    }
}

/// Both sides of a pairing: Ana's and Ben's.
pub(super) fn agree(seed: u64) -> (NewSpace, NewSpace) {
    let half = |name: u64| {
        let mut rng = rng(seed * 1000 + name);
        let words = RecoveryPhrase::generate(&mut rng).unwrap();
        let slot = words.slot_keys(1).unwrap().public();
        OwnHalf::new(start(), &mut rng, &slot).unwrap()
    };
    let (ana, ben) = (half(1), half(2));
    let (offer_a, offer_b) = (ana.offer("Ana", None), ben.offer("Ben", None));
    let (ana, signature_a) = ana.meet(&offer_b).unwrap();
    let (ben, signature_b) = ben.meet(&offer_a).unwrap();
    let ana = ana.sign(&signature_b).unwrap();
    let ben = ben.sign(&signature_a).unwrap();
    let yes = pairing::verdict(true);
    (ana.confirmed(&yes).unwrap(), ben.confirmed(&yes).unwrap())
}

/// One honest device.
pub(super) struct Device {
    pub(super) home: Home,
    pub(super) store: MemoryStore,
    pub(super) rng: ChaCha20Rng,
    pub(super) inbox: VecDeque<RelayMsg>,
    pub(super) online: bool,
}

impl Device {
    pub(super) fn of(home: Home, store: MemoryStore, seed: u64) -> Self {
        Self {
            home,
            store,
            rng: rng(seed),
            inbox: VecDeque::new(),
            online: false,
        }
    }

    pub(super) fn create(space: NewSpace, seed: u64) -> Self {
        let store = MemoryStore::default();
        let home = Replica::create(store.clone(), space).unwrap();
        Self::of(home, store, seed)
    }
}

/// Devices and the relay between them.
pub(super) struct World {
    pub(super) now: Now,
    pub(super) relay: ToyRelay,
    pub(super) devices: Vec<Device>,
}

impl World {
    pub(super) fn connect(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let subscribe = device
            .home
            .connected(relay_key().verifying_key().to_bytes());
        device.online = true;
        device.inbox.clear();
        device.inbox.push_back(self.relay.welcome());
        self.say(who, vec![subscribe]);
    }

    pub(super) fn disconnect(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.home.disconnected();
        device.online = false;
        device.inbox.clear();
    }

    /// Drops a replica and opens it again from its store, as a new process would.
    pub(super) fn restart(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.home = Replica::open(device.store.clone()).unwrap();
        device.online = false;
        device.inbox.clear();
    }

    fn say(&mut self, who: usize, messages: Vec<ClientMsg>) {
        for message in messages {
            let Answer {
                to_sender,
                to_others,
            } = self.relay.handle(message);
            self.devices[who].inbox.extend(to_sender);
            self.tell_others(Some(who), &to_others);
        }
    }

    fn tell_others(&mut self, but: Option<usize>, messages: &[RelayMsg]) {
        for (other, device) in self.devices.iter_mut().enumerate() {
            if Some(other) != but && device.online {
                device.inbox.extend(messages.iter().cloned());
            }
        }
    }

    pub(super) fn take(&mut self, who: usize, outputs: Outputs) {
        if self.devices[who].online {
            self.say(who, outputs.send);
        }
    }

    /// Everything that is under way arrives.
    pub(super) fn run(&mut self) {
        for _ in 0..1000 {
            let waiting = |device: &Device| !device.inbox.is_empty();
            let Some(who) = self.devices.iter().position(waiting) else {
                return;
            };
            let device = &mut self.devices[who];
            let messages = device.inbox.drain(..).collect::<Vec<_>>();
            let outputs = device.home.receive(self.now, messages).unwrap();
            self.take(who, outputs);
        }
        panic!("the devices and the relay never come to rest");
    }

    /// Bytes of a member arrive everywhere, over a relay that keeps them if an honest one would.
    pub(super) fn inject(&mut self, bytes: &[u8]) {
        let message = RelayMsg::Envelope(bytes.to_vec());
        let sound = Envelope::parse(bytes).is_ok_and(|envelope| {
            let header = *envelope.header();
            let mut chains = self.relay.chains.iter();
            let known = chains.find_map(|chain| chain.device(&header.device));
            known.is_some_and(|known| envelope.verify(&known.keys.sign).is_ok())
        });
        if sound {
            let Answer { to_others, .. } = self.relay.handle(ClientMsg::Append(bytes.to_vec()));
            self.tell_others(None, &to_others);
            if !to_others.is_empty() {
                return;
            }
        }
        // A relay may also send what it should not.
        self.tell_others(None, &[message]);
    }

    pub(super) fn new_doc(&mut self, who: usize, ownership: Ownership) -> DocId {
        let device = &mut self.devices[who];
        let doc = device.home.new_document_id(ownership, &mut device.rng);
        doc.unwrap()
    }

    pub(super) fn put(&mut self, who: usize, doc: DocId, key: &str, value: &str) {
        let device = &mut self.devices[who];
        let put = device.home.change(self.now, &mut device.rng, doc, |tx| {
            tx.put(ROOT, key, value)
        });
        let ((), outputs) = put.unwrap();
        self.take(who, outputs);
    }

    pub(super) fn value(&mut self, who: usize, doc: DocId, key: &str) -> Option<String> {
        let document = self.devices[who].home.document(&doc).ok()?;
        let (value, _) = document.get(ROOT, key).unwrap()?;
        Some(value.as_str()?.to_owned())
    }

    pub(super) fn heads(&mut self, who: usize) -> BTreeMap<DocId, Vec<ChangeHash>> {
        let home = &mut self.devices[who].home;
        let ids: Vec<DocId> = home.documents().unwrap().iter().map(|doc| doc.id).collect();
        let mut all = BTreeMap::new();
        for id in ids {
            let mut heads = home.document(&id).unwrap().get_heads();
            heads.sort();
            all.insert(id, heads);
        }
        all
    }

    /// Ben's devices hold the same, and what he wrote is as he wrote it.
    pub(super) fn agrees(&mut self, scene: &Scene) {
        for who in [PHONE, LAPTOP] {
            let own = self.value(who, scene.own, "text");
            assert_eq!(own.as_deref(), Some("Ben's own"), "device {who}");
        }
        assert_eq!(
            self.heads(PHONE),
            self.heads(LAPTOP),
            "they decide differently"
        );
    }

    /// They do, and both can go on and be opened again.
    pub(super) fn life_goes_on(&mut self, scene: &Scene) {
        self.agrees(scene);
        let before = self.heads(PHONE);
        for who in [PHONE, LAPTOP] {
            self.restart(who);
        }
        assert_eq!(
            self.heads(PHONE),
            before,
            "not as it was before the restart"
        );
        for who in [PHONE, LAPTOP] {
            self.connect(who);
        }
        self.run();
        // Each writes, twice: a key change of the first may give the second a key it lacked.
        for round in ["one", "two"] {
            for who in [LAPTOP, PHONE] {
                self.put(who, scene.own, ["phone", "laptop"][who], round);
                self.run();
            }
        }
        for who in [PHONE, LAPTOP] {
            for key in ["phone", "laptop"] {
                let value = self.value(who, scene.own, key);
                assert_eq!(value.as_deref(), Some("two"), "{key} at device {who}");
            }
            let findings = self.devices[who].home.check().findings;
            assert!(findings.is_empty(), "device {who}: {findings:?}");
        }
        assert_eq!(
            self.heads(PHONE),
            self.heads(LAPTOP),
            "they decide differently"
        );
    }
}
