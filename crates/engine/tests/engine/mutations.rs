//! Changes that were honest once and then altered: whatever the replica takes in, it can
//! read, save, compact, open and go on from.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ajar_engine::Ownership;
use ajar_engine::documents::prescan::prescan;
use ajar_protocol::relay_msg::RelayMsg;
use automerge::transaction::Transactable;
use automerge::{Automerge, Change, ObjType, ROOT, ReadDoc};
use proptest::prelude::*;
use rand_core::Rng;

use crate::content::ordinary;
use crate::craft;
use crate::hostile::scene;
use crate::world::{ANA, LAPTOP, RELAY, rng};

fn below(rng: &mut impl Rng, n: usize) -> usize {
    usize::try_from(rng.next_u64() % n as u64).unwrap()
}

/// Alters a few bytes behind the header and makes the checksum right again.
fn mutate(rng: &mut impl Rng, change: &[u8]) -> Vec<u8> {
    let mut bytes = change.to_vec();
    for _ in 0..=below(rng, 3) {
        let place = 11 + below(rng, bytes.len() - 11);
        match below(rng, 4) {
            0 => bytes[place] = bytes[place].wrapping_add(1),
            1 => bytes[place] = bytes[place].wrapping_sub(1),
            2 => bytes[place] ^= 1 << below(rng, 8),
            _ => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][below(rng, 5)],
        }
    }
    craft::with_checksum(bytes)
}

/// Everything that a journal does with a document.
fn use_document(doc: &Automerge) {
    for key in ["body", "tags", "meta", "date"] {
        let Ok(Some((_, object))) = doc.get(ROOT, key) else {
            continue;
        };
        let _text = doc.text(&object);
        let _marks = doc.marks(&object);
        let _length = doc.length(&object);
    }
    let _all = doc.hydrate(None);
    let _changes = doc.get_changes(&[]).len();
}

#[test]
fn ten_thousand_altered_changes_neither_crash_nor_poison_a_replica() {
    let mut scene = scene(130);
    let doc = scene.doc;
    let actor = scene.ben.actor(&doc);
    let (_, text) = scene.at_ben.get(ROOT, "body").unwrap().unwrap();
    let mut samples = Vec::new();
    for kind in 0..8 {
        let mut copy = scene.at_ben.fork();
        samples.push(craft::edit(&mut copy, &actor, |tx| match kind {
            0 => tx.splice_text(&text, 2, 1, "words and words"),
            1 => tx.put(ROOT, "date", "2026-01-01"),
            2 => {
                let list = tx.put_object(ROOT, "tags", ObjType::List)?;
                tx.insert(&list, 0, 1)?;
                tx.insert(&list, 1, "two")?;
                tx.delete(&list, 0)
            }
            3 => tx.mark(
                &text,
                automerge::marks::Mark::new("bold".to_owned(), true, 0, 3),
                automerge::marks::ExpandMark::Both,
            ),
            4 => {
                tx.put(ROOT, "n", automerge::ScalarValue::counter(1))?;
                tx.increment(ROOT, "n", 5)
            }
            5 => tx.delete(ROOT, "body"),
            6 => {
                let map = tx.put_object(ROOT, "meta", ObjType::Map)?;
                tx.put(&map, "bytes", vec![1u8; 30])?;
                tx.put(&map, "half", 0.5)
            }
            _ => tx.splice_text(&text, 0, 4, ""),
        }));
    }
    let start = scene.world.devices[ANA].store.copied();
    let mut rng = rng(130);
    let mut taken = 0;
    for round in 0..10_000 {
        let sample = &samples[round % samples.len()];
        let altered = mutate(&mut rng, sample);
        if altered == *sample || prescan(&altered).is_err() {
            continue;
        }
        // Only what Automerge itself can parse is worth an envelope.
        let parsed = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(altered.clone())));
        if !matches!(parsed, Ok(Ok(_))) {
            continue;
        }
        let last = scene.ben.last;
        let envelope = scene.ben.changes(doc, vec![altered.clone()]);
        scene.ben.last = last;
        let store = start.copied();
        let mut home = ajar_engine::Replica::open(store.clone()).unwrap();
        let _subscribe = home.connected(RELAY);
        home.receive(scene.world.now, vec![RelayMsg::Ready])
            .unwrap();
        home.receive(scene.world.now, vec![RelayMsg::Envelope(envelope)])
            .unwrap();
        let heads = home.document(&doc).unwrap().get_heads();
        if heads == scene.at_ben.get_heads() {
            continue;
        }
        taken += 1;
        let good = catch_unwind(AssertUnwindSafe(|| {
            use_document(home.document(&doc).unwrap());
            // Enough of Ana's own edits to compact the document around it.
            let mut entropy = crate::world::rng(1);
            for n in 0..33 {
                home.change(scene.world.now, &mut entropy, doc, |tx| {
                    tx.put(ROOT, "n", n)
                })
                .unwrap();
            }
            drop(home);
            let mut home = ajar_engine::Replica::open(store).unwrap();
            use_document(home.document(&doc).unwrap());
        }));
        assert!(good.is_ok(), "poisoned in round {round} by {altered:02x?}");
    }
    assert!(taken > 100, "the mutations hardly reach Automerge: {taken}");
    // And the scene itself is still good.
    scene.world.put(ANA, doc, "x", "end");
    scene.world.run();
    assert_eq!(scene.world.value(LAPTOP, doc, "x").as_deref(), Some("end"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn altered_changes_that_pass_the_prescan_stay_small(
        which in 0usize..200,
        seed in any::<u64>(),
    ) {
        thread_local! {
            static SAMPLES: Vec<Vec<u8>> = ordinary();
        }
        let sample = SAMPLES.with(|samples| samples[which].clone());
        let altered = mutate(&mut rng(seed), &sample);
        if prescan(&altered).is_ok() {
            let parsed = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(altered)));
            if let Ok(Ok(change)) = parsed {
                prop_assert!(change.len() as u64 <= ajar_engine::documents::prescan::MAX_ROWS);
            }
        }
    }
}

#[test]
fn an_owned_document_cannot_be_poisoned_from_outside() {
    let mut scene = scene(131);
    let hers = scene.world.new_doc(ANA, Ownership::Mine);
    scene.world.put(ANA, hers, "x", "1");
    scene.world.run();
    let copy = scene.world.devices[ANA]
        .home
        .document(&hers)
        .unwrap()
        .fork();
    let actor = scene.ben.actor(&hers);
    let honest = craft::edit(&mut copy.fork(), &actor, |tx| tx.put(ROOT, "x", "2"));
    let mut rng = rng(131);
    let before = scene.world.heads(ANA);
    for _ in 0..50 {
        let altered = mutate(&mut rng, &honest);
        let envelope = scene.ben.changes(hers, vec![altered]);
        scene.world.inject(envelope);
    }
    scene.world.run();
    assert_eq!(scene.world.heads(ANA), before);
}
