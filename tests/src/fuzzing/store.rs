//! Damage in what a replica keeps for itself: opening and using it gives errors, never a panic.
//! The first byte chooses the record, the rest is what stands in it.

use ajar_engine::store::{Batch, Key, MemoryStore, Store};
use ajar_engine::{Ownership, Replica};
use ajar_protocol::relay_msg::RelayMsg;
use automerge::ROOT;
use automerge::transaction::Transactable;
use zeroize::Zeroizing;

use super::Fate;
use super::scene::SCENE;
use super::world::{relay_key, rng, start};

/// The records that a small space has; the key ring is one more.
fn records() -> Vec<Key> {
    let scene = &*SCENE;
    let mut all = vec![
        Key::Genesis,
        Key::Meta,
        Key::Frontier,
        Key::Notices,
        Key::DocPage(0),
        Key::Folded,
        Key::Base,
        Key::Burned,
        Key::PackDocs(0),
        Key::TableIndex,
        Key::TablePage(0),
        Key::Evidence(0),
        Key::Local("drafts".to_owned()),
    ];
    for chain in &scene.rogue.chains {
        all.extend((0..chain.next_seq()).map(|seq| Key::Link(chain.id(), seq)));
        for (device, _) in chain.devices() {
            all.extend((1..4).map(|counter| Key::Envelope(*device, counter)));
        }
    }
    for doc in [scene.common, scene.own] {
        all.push(Key::DocRow(doc));
        all.push(Key::DocBase(doc, 1));
        all.extend((0..3).map(|number| Key::DocChunk(doc, 0, number)));
    }
    all
}

/// One record is other bytes.
pub fn store(input: &[u8]) -> Option<Fate> {
    let (which, rest) = input.split_first()?;
    let mut store = SCENE.store();
    let records = records();
    match records.get(usize::from(*which) % (records.len() + 1)) {
        Some(key) => {
            let mut batch = Batch::default();
            batch.put(key.clone(), rest.to_vec());
            store.commit(batch).unwrap();
        }
        None => store.save_keys(&Zeroizing::new(rest.to_vec())).unwrap(),
    }
    Fate::of("record", use_it(store))
}

/// Everything that reads a record; errors are what is expected here. Says whether it opened.
fn use_it(store: MemoryStore) -> bool {
    let Ok(mut home) = Replica::open(store) else {
        return false;
    };
    let scene = &*SCENE;
    let _ = home.check();
    let _ = home.status();
    let _ = home.documents();
    let _ = home.local("drafts");
    for doc in [scene.common, scene.own] {
        let _ = home.document(&doc);
    }
    let _ = home.connected(relay_key().verifying_key().to_bytes());
    for bytes in scene.log() {
        let _ = home.receive(start(), vec![RelayMsg::Envelope(bytes.clone())]);
    }
    let _ = home.tick(start());
    let mut entropy = rng(30);
    for doc in [scene.common, scene.own] {
        let _ = home.change(start(), &mut entropy, doc, |tx| {
            tx.put(ROOT, "text", "more")
        });
    }
    let _ = home.new_document_id(Ownership::Mine, &mut entropy);
    if home.begin_snapshot().is_ok() {
        while let Ok(Some(_)) = home.next_pack() {
            home.give_up_snapshot();
        }
    }
    let _ = home.pack();
    let _ = home.check();
    true
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut store = SCENE.store();
    let mut all = Vec::new();
    for (which, key) in (0_u8..).zip(records()) {
        if let Some(bytes) = store.load(&key).unwrap() {
            all.push([&[which], bytes.as_slice()].concat());
        }
    }
    let ring = store.load_keys().unwrap().unwrap();
    let which = u8::try_from(records().len()).unwrap();
    all.push([&[which], ring.as_slice()].concat());
    all
}
