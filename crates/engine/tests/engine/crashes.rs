//! Processes that die: at any commit, and again and again on one envelope.

use ajar_engine::store::{Batch, Key, Marker, MemoryStore, Store, StoreError};
use ajar_engine::{NoticeKind, Ownership, Replica};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DeviceId, Envelope};
use zeroize::Zeroizing;

use crate::world::{ANA, BEN, RELAY, World, heads};

/// Forwards to a store until it "dies": from then on nothing is written any more.
struct Dying {
    inner: MemoryStore,
    left: u32,
}

impl Dying {
    fn alive(&mut self) -> Result<(), StoreError> {
        if self.left == 0 {
            return Err(StoreError::Broken("the process died".to_owned()));
        }
        self.left -= 1;
        Ok(())
    }
}

impl Store for Dying {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load(key)
    }
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.commit(batch)
    }
    fn save_keys(&mut self, keys: &Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.save_keys(keys)
    }
    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.inner.load_keys()
    }
    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.mark(marker)
    }
    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError> {
        self.inner.marked()
    }
}

#[test]
fn ana_may_die_at_any_write_while_receiving_and_still_converges() {
    let mut world = World::without_epoch(80);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.connect(BEN);
    for n in 0..6 {
        world.put(BEN, doc, "n", &n.to_string());
        world.run();
    }
    let start = world.devices[ANA].store.copied();
    let messages: Vec<RelayMsg> = [world.relay.welcome(), RelayMsg::Ready]
        .into_iter()
        .chain(world.relay.log.iter().cloned().map(RelayMsg::Envelope))
        .collect();
    let expected = world.heads(BEN);
    let mut finished = false;
    for left in 0..60 {
        let store = start.copied();
        let dying = Dying {
            inner: store.clone(),
            left,
        };
        let mut home = Replica::open(dying).unwrap();
        let _subscribe = home.connected(RELAY);
        finished = messages
            .iter()
            .all(|message| home.receive(world.now, vec![message.clone()]).is_ok());
        drop(home);
        // A new process: everything comes again.
        let mut home = Replica::open(store).unwrap();
        let _subscribe = home.connected(RELAY);
        home.receive(world.now, messages.clone()).unwrap();
        assert_eq!(heads(&mut home), expected, "died after {left} writes");
        if finished {
            break;
        }
    }
    assert!(finished, "the test never reached the end");
}

#[test]
fn ana_may_die_at_any_write_while_writing_and_never_uses_a_counter_twice() {
    let world = World::without_epoch(81);
    let start = world.devices[ANA].store.copied();
    let mut finished = false;
    for left in 0..40 {
        let store = start.copied();
        let dying = Dying {
            inner: store.clone(),
            left,
        };
        let mut home = Replica::open(dying).unwrap();
        let mut entropy = crate::world::rng(left.into());
        let _subscribe = home.connected(RELAY);
        let welcome = world.relay.welcome();
        let mut sent = Vec::new();
        let mut write = || {
            sent.extend(home.receive(world.now, vec![welcome.clone()])?.send);
            for n in 0..5 {
                let doc = home.new_document_id(Ownership::Mine, &mut entropy)?;
                let put = |tx: &mut automerge::transaction::Transaction<'_>| {
                    automerge::transaction::Transactable::put(tx, automerge::ROOT, "n", n)
                };
                match home.change(world.now, &mut entropy, doc, put) {
                    Ok((_, outputs)) => sent.extend(outputs.send),
                    Err(ajar_engine::outbox::ChangeError::Engine(error)) => return Err(error),
                    Err(other) => panic!("{other}"),
                }
            }
            Ok(())
        };
        finished = write().is_ok();
        drop(home);
        let mut home = Replica::open(store.clone()).unwrap();
        // Whatever was sent is on disk, byte for byte.
        let mut store = store;
        for message in &sent {
            if let ajar_protocol::client_msg::ClientMsg::Append(bytes) = message {
                let header = *Envelope::parse(bytes).unwrap().header();
                let kept = store
                    .load(&Key::Envelope(header.device, header.counter))
                    .unwrap();
                assert_eq!(kept.as_ref(), Some(bytes), "died after {left} writes");
            }
        }
        let kept = home.status().kept;
        let doc = home.new_document_id(Ownership::Mine, &mut entropy).unwrap();
        let put = |tx: &mut automerge::transaction::Transaction<'_>| {
            automerge::transaction::Transactable::put(tx, automerge::ROOT, "n", 9)
        };
        home.change(world.now, &mut entropy, doc, put).unwrap();
        assert!(home.status().kept > kept);
        if finished {
            break;
        }
    }
    assert!(finished, "the test never reached the end");
}

/// What a process leaves that dies while it applies an envelope.
fn die_on(store: &MemoryStore, device: DeviceId, counter: u64) {
    let mut store = store.clone();
    let attempt = match store.marked().unwrap() {
        Some((marker, attempt)) if marker == (Marker { device, counter }) => attempt + 1,
        _ => 1,
    };
    store
        .mark(Some((Marker { device, counter }, attempt)))
        .unwrap();
}

#[test]
fn an_envelope_that_killed_the_process_twice_is_set_aside_and_all_else_goes_on() {
    let mut world = World::online(82);
    let (bad, good) = (
        world.new_doc(BEN, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    world.disconnect(ANA);
    world.put(BEN, bad, "x", "deadly");
    let counter = world.devices[BEN].home.status().kept;
    world.put(BEN, good, "x", "harmless");
    world.run();
    let device = world.devices[BEN].home.device();
    die_on(&world.devices[ANA].store, device, counter);
    // Once may be chance: it is tried again, and here the process dies again.
    world.restart(ANA);
    die_on(&world.devices[ANA].store, device, counter);
    world.restart(ANA);
    world.connect(ANA);
    world.run();
    assert!(world.value(ANA, bad, "x").is_none());
    assert_eq!(world.value(ANA, good, "x").as_deref(), Some("harmless"));
    assert_eq!(
        world.notices(ANA),
        [NoticeKind::Unopenable { device, counter }]
    );
    assert_eq!(world.devices[ANA].store.clone().marked().unwrap(), None);
    // It is remembered, and the chain is whole.
    world.restart(ANA);
    world.connect(ANA);
    world.run();
    assert!(world.value(ANA, bad, "x").is_none());
    assert_eq!(
        world.devices[ANA].home.frontier(),
        world.devices[BEN].home.frontier()
    );
}

#[test]
fn one_death_on_an_envelope_is_forgiven() {
    let mut world = World::online(83);
    let doc = world.new_doc(BEN, Ownership::Mine);
    world.disconnect(ANA);
    world.put(BEN, doc, "x", "fine");
    let counter = world.devices[BEN].home.status().kept;
    let device = world.devices[BEN].home.device();
    die_on(&world.devices[ANA].store, device, counter);
    world.restart(ANA);
    world.connect(ANA);
    world.run();
    world.assert_converged();
    assert_eq!(world.devices[ANA].store.clone().marked().unwrap(), None);
}

#[test]
fn a_full_disk_is_no_death_of_the_envelope_that_met_it() {
    let mut world = World::online(84);
    let doc = world.new_doc(BEN, Ownership::Mine);
    world.disconnect(ANA);
    world.put(BEN, doc, "x", "fine");
    for _ in 0..3 {
        world.restart(ANA);
        let ana = &mut world.devices[ANA];
        let _subscribe = ana.home.connected(RELAY);
        ana.store.fail_next_commit(StoreError::DiskFull);
        let bytes = world.relay.log.last().unwrap().clone();
        let messages = vec![RelayMsg::Ready, RelayMsg::Envelope(bytes)];
        let full = ana.home.receive(world.now, messages);
        assert!(full.is_err());
        assert_eq!(ana.store.clone().marked().unwrap(), None);
    }
    world.restart(ANA);
    world.connect(ANA);
    world.run();
    world.assert_converged();
    assert_eq!(world.notices(ANA), []);
}
