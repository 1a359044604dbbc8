//! The attack catalogue, what a member can cost: changes that stand on nothing, endless texts and
//! documents, and content that brings the process down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ajar_engine::store::{Batch, Key, Marker, MemoryStore, Store, StoreError};
use ajar_engine::{NoticeKind, Ownership, Replica};
use ajar_protocol::changes::{Changes, DocChanges};
use automerge::Automerge;
use automerge::ROOT;
use automerge::transaction::Transactable;
use zeroize::Zeroizing;

use crate::craft;
use crate::hostile::scene;
use crate::world::{ANA, BEN, HOUR, LAPTOP, RELAY, World, heads};

#[test]
fn t071_changes_that_stand_on_nothing_wait_within_bytes_and_go_with_the_connection() {
    let mut scene = scene(7101);
    // Each stands on a change under another actor that never comes.
    let words = "x".repeat(900 << 10);
    let mut never = Automerge::new();
    craft::edit(&mut never, &[7; 16], |tx| tx.put(ROOT, "x", 1));
    let mut size = 0;
    for _ in 0..30 {
        let doc = scene.world.new_doc(BEN, Ownership::Common);
        let actor = scene.ben.actor(&doc);
        let change = craft::edit(&mut never.fork(), &actor, |tx| {
            tx.put(ROOT, "x", words.as_str())
        });
        let envelope = scene.ben.changes(doc, vec![change]);
        size = envelope.len();
        scene.world.inject(envelope);
        scene.world.run();
    }
    let most = (16 << 20) / size;
    assert!(most < 30, "the test sends more than there is room for");
    let device = scene.ben.secrets.id();
    for round in 0..12 {
        for who in [ANA, LAPTOP] {
            let parked = scene.world.devices[who].home.status().parked;
            assert!((1..=most).contains(&parked), "{round}: {parked}");
        }
        // An hour, in steps of five minutes; the relay sends it all again each time.
        scene.world.pass(HOUR / 12);
        for who in [ANA, LAPTOP] {
            scene.world.disconnect(who);
            assert_eq!(scene.world.devices[who].home.status().parked, 0);
            scene.world.connect(who);
            scene.world.run();
        }
    }
    for who in [ANA, LAPTOP] {
        let told = scene.world.notices(who);
        assert!(
            !told
                .iter()
                .any(|kind| matches!(kind, NoticeKind::Forked { .. }))
        );
    }
    // They block nobody but him, and after a day it is told whose are missing.
    let hers = scene.world.new_doc(ANA, Ownership::Mine);
    scene.world.put(ANA, hers, "x", "goes on");
    scene.world.pass(25 * HOUR);
    for who in [ANA, LAPTOP] {
        let value = scene.world.value(who, hers, "x");
        assert_eq!(value.as_deref(), Some("goes on"), "device {who}");
        let told = scene.world.notices(who);
        let withheld = |kind: &NoticeKind| matches!(kind, NoticeKind::Withheld { device: one, .. } if *one == device);
        assert!(told.iter().any(withheld), "device {who}: {told:?}");
    }
    assert_eq!(scene.world.heads(ANA), scene.world.heads(LAPTOP));
}

#[test]
fn t072_a_text_that_grows_without_end_stops_at_its_limit_and_the_rest_goes_on() {
    let mut scene = scene(7201);
    let began = Instant::now();
    let doc = scene.world.new_doc(BEN, Ownership::Mine);
    let actor = scene.ben.actor(&doc);
    let mut at_ben = Automerge::new();
    let piece = "x".repeat(900 << 10);
    let mut refused = None;
    for n in 0..40 {
        let change = craft::edit(&mut at_ben, &actor, |tx| {
            tx.put(ROOT, n.to_string(), piece.as_str())
        });
        let envelope = scene.ben.changes(doc, vec![change]);
        scene.world.inject(envelope);
        scene.world.run();
        let (device, counter) = (scene.ben.secrets.id(), scene.ben.last.unwrap().counter);
        let left_out = NoticeKind::Unopenable { device, counter };
        let told = [ANA, LAPTOP].map(|who| scene.world.notices(who).contains(&left_out));
        assert_eq!(told[0], told[1], "everyone alike");
        if told[0] {
            refused = Some(n);
            break;
        }
    }
    // 32 MiB of changes: 36 pieces of 900 KiB, with what goes with each.
    assert_eq!(refused, Some(36));
    for who in [ANA, LAPTOP] {
        let info = scene.world.devices[who].home.documents().unwrap();
        let info = info.iter().find(|info| info.id == doc).unwrap();
        assert!(info.bytes <= 32 << 20, "{}", info.bytes);
    }
    scene.goes_on("after a text without end");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn t072_thousands_of_documents_and_deep_nesting_keep_nobody_from_going_on() {
    let mut scene = scene(7202);
    let began = Instant::now();
    let mut all = 0;
    for _ in 0..40 {
        let mut docs = Vec::new();
        for _ in 0..64 {
            let doc = scene.world.new_doc(BEN, Ownership::Mine);
            let actor = scene.ben.actor(&doc);
            let change = craft::edit(&mut Automerge::new(), &actor, |tx| tx.put(ROOT, "x", 1));
            docs.push(DocChanges {
                doc,
                incarnation: 0,
                changes: vec![change],
            });
        }
        docs.sort_by_key(|item| item.doc);
        all += docs.len();
        let envelope = scene.ben.content(&Changes {
            docs,
            ..Changes::default()
        });
        scene.world.inject(envelope);
        scene.world.run();
    }
    for who in [ANA, LAPTOP] {
        let status = scene.world.devices[who].home.status();
        assert!(status.documents > all);
        assert_eq!(status.parked, 0);
    }
    // Sixteen deep is the most.
    for (depth, counts) in [(16, true), (17, false), (2000, false)] {
        let doc = scene.world.new_doc(BEN, Ownership::Mine);
        let actor = scene.ben.actor(&doc);
        let change = craft::edit(&mut Automerge::new(), &actor, |tx| {
            let mut object = ROOT;
            for _ in 0..depth {
                object = tx.put_object(&object, "x", automerge::ObjType::Map)?;
            }
            Ok(())
        });
        let envelope = scene.ben.changes(doc, vec![change]);
        if counts {
            scene.world.inject(envelope);
            scene.world.run();
            assert!(scene.world.heads(LAPTOP).contains_key(&doc));
        } else {
            scene.is_left_out("too deep", envelope);
        }
    }
    scene.goes_on("after thousands of documents");
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// A store under which one envelope panics when it is applied, as Automerge might.
#[derive(Clone)]
struct Panicking {
    store: MemoryStore,
    on: Marker,
}

impl Store for Panicking {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.load(key)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.store.commit(batch)
    }

    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.store.load_keys()
    }

    fn save_keys(&mut self, keys: &Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.store.save_keys(keys)
    }

    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError> {
        self.store.mark(marker)?;
        // Here the changes of the envelope are applied.
        assert!(
            marker.is_none_or(|(marker, _)| marker != self.on),
            "as Automerge might"
        );
        Ok(())
    }

    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError> {
        self.store.marked()
    }
}

#[test]
fn t067_an_envelope_that_panics_is_set_aside_and_all_else_goes_on_also_after_a_restart() {
    let mut world = World::online(6701);
    let (bad, good) = (
        world.new_doc(BEN, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    world.disconnect(ANA);
    world.put(BEN, bad, "x", "deadly");
    let counter = world.devices[BEN].home.status().kept;
    world.put(BEN, good, "x", "harmless");
    world.put(BEN, bad, "y", "what stands on it");
    world.run();
    let device = world.devices[BEN].home.device();
    let store = Panicking {
        store: world.devices[ANA].store.clone(),
        on: Marker { device, counter },
    };
    let mut panics = 0;
    let mut home = loop {
        // Whoever runs the replica begins anew after a panic.
        let mut home = Replica::open(store.clone()).unwrap();
        let subscribe = home.connected(RELAY);
        let mut messages = vec![world.relay.welcome()];
        messages.extend(world.relay.handle(subscribe).to_sender);
        let received = catch_unwind(AssertUnwindSafe(|| {
            while !messages.is_empty() {
                let outputs = home
                    .receive(world.now, std::mem::take(&mut messages))
                    .unwrap();
                for question in outputs.send {
                    messages.extend(world.relay.handle(question).to_sender);
                }
            }
        }));
        match received {
            Ok(()) => break home,
            Err(_) => panics += 1,
        }
        assert!(panics < 5, "it never ends");
    };
    assert_eq!(panics, 2);
    let told = NoticeKind::Unopenable { device, counter };
    let kinds: Vec<NoticeKind> = home.status().notices.iter().map(|n| n.kind).collect();
    assert!(kinds.contains(&told), "{kinds:?}");
    assert!(home.document(&good).is_ok());
    assert!(home.document(&bad).is_err());
    drop(home);
    // In another process, with the store as it is.
    for _ in 0..2 {
        world.restart(ANA);
        world.connect(ANA);
        world.run();
        assert_eq!(world.value(ANA, good, "x").as_deref(), Some("harmless"));
        assert_eq!(world.value(ANA, bad, "x"), None);
        assert!(world.notices(ANA).contains(&told));
        assert!(world.devices[ANA].home.check().findings.is_empty());
    }
    let hers = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, hers, "x", "goes on");
    world.put(BEN, good, "x", "goes on");
    world.run();
    assert_eq!(world.value(BEN, hers, "x").as_deref(), Some("goes on"));
    assert_eq!(world.value(ANA, good, "x").as_deref(), Some("goes on"));
    let theirs = heads(&mut world.devices[BEN].home);
    let ours = heads(&mut world.devices[ANA].home);
    assert!(ours.iter().all(|(doc, at)| theirs.get(doc) == Some(at)));
}
