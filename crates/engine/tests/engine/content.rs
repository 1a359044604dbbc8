//! Reading hostile bytes: prescan and content, on anything at all.

use std::time::{Duration, Instant};

use ajar_engine::documents::prescan::{self, Refused, prescan};
use ajar_protocol::changes::{Changes, split};
use automerge::transaction::Transactable;
use automerge::{Automerge, Change, ObjType, ROOT, ReadDoc};
use proptest::prelude::*;
use rand_core::Rng;

use crate::craft::{self, Craft};
use crate::world::rng;

const ACTOR: [u8; 16] = [4; 16];

/// Two hundred edits of every ordinary kind.
pub(crate) fn ordinary() -> Vec<Vec<u8>> {
    let mut doc = Automerge::new();
    let mut rng = rng(5);
    let mut below = |n: usize| usize::try_from(rng.next_u64() % n as u64).unwrap();
    let mut changes = vec![craft::edit(&mut doc, &ACTOR, |tx| {
        let text = tx.put_object(ROOT, "body", ObjType::Text)?;
        tx.splice_text(&text, 0, 0, "Am Anfang — ünd 😀")?;
        let list = tx.put_object(ROOT, "tags", ObjType::List)?;
        tx.insert(&list, 0, "rain")
    })];
    let (_, text) = doc.get(ROOT, "body").unwrap().unwrap();
    let (_, list) = doc.get(ROOT, "tags").unwrap().unwrap();
    for n in 0..199 {
        let length = doc.length(&text);
        let word = "words ".repeat(1 + below(if n % 50 == 0 { 2000 } else { 8 }));
        let place = below(length + 1);
        let gone = below((length - place).min(5) + 1);
        let counter = i64::from(n);
        let kind = below(6);
        changes.push(craft::edit(&mut doc, &ACTOR, |tx| match kind {
            0 => tx.put(ROOT, "date", "2026-01-01"),
            1 => tx.insert(&list, 0, counter),
            2 => tx.put(ROOT, "score", automerge::ScalarValue::counter(counter)),
            3 => {
                let map = tx.put_object(ROOT, "meta", ObjType::Map)?;
                tx.put(&map, "bytes", vec![7u8; 300])?;
                tx.put(&map, "half", 0.5)
            }
            _ => tx.splice_text(&text, place, isize::try_from(gone).unwrap(), &word),
        }));
    }
    changes
}

#[test]
fn two_hundred_ordinary_edits_pass() {
    for (n, change) in ordinary().iter().enumerate() {
        assert_eq!(prescan(change), Ok(()), "edit {n}");
    }
}

#[test]
fn bombs_are_refused_within_a_millisecond() {
    let deps = Craft {
        deps: vec![[1; 32]; 257],
        ..Craft::nulls(&ACTOR, 1)
    };
    let others = Craft {
        others: vec![vec![1; 16]; 65],
        ..Craft::nulls(&ACTOR, 1)
    };
    let column = |spec, data: Vec<u8>| Craft {
        columns: vec![(spec, data)],
        ..Craft::nulls(&ACTOR, 1)
    };
    let max = craft::uleb(u64::MAX);
    let cases = [
        (Craft::nulls(&ACTOR, 50_001), Refused::TooMany),
        (Craft::nulls(&ACTOR, 10_000_000), Refused::TooMany),
        (Craft::nulls(&ACTOR, i64::MAX), Refused::TooMany),
        (deps, Refused::TooMany),
        (others, Refused::TooMany),
        // Booleans that add up to more than a u64 holds.
        (
            column(craft::INSERT, [max.clone(), max.clone()].concat()),
            Refused::TooMany,
        ),
        // A run of nulls; a literal run of the lowest number; a group of many rows.
        (
            column(craft::ACTION, [craft::sleb(0), max.clone()].concat()),
            Refused::TooMany,
        ),
        (
            column(craft::ACTION, craft::sleb(i64::MIN)),
            Refused::TooMany,
        ),
        (
            column(craft::PRED_GROUP, [craft::sleb(1), max.clone()].concat()),
            Refused::TooMany,
        ),
        (
            column(
                craft::PRED_GROUP,
                [craft::sleb(40_000), craft::uleb(2)].concat(),
            ),
            Refused::TooMany,
        ),
        (
            column(craft::ACTION | craft::DEFLATE_BIT, vec![0]),
            Refused::Compressed,
        ),
    ];
    for (n, (case, refused)) in cases.iter().enumerate() {
        let bytes = case.bytes();
        let began = Instant::now();
        assert_eq!(prescan(&bytes), Err(*refused), "case {n}");
        assert!(began.elapsed() < Duration::from_millis(1), "case {n}");
    }
    for kind in [craft::DOCUMENT, craft::DEFLATED, craft::BUNDLE] {
        assert_eq!(
            prescan(&craft::chunk(kind, &[0; 40])),
            Err(Refused::ChunkType)
        );
    }
    let good = Craft::nulls(&ACTOR, 1).bytes();
    let more = [good.as_slice(), &[0]].concat();
    assert_eq!(prescan(&more), Err(Refused::Length));
    for cut in 0..good.len() {
        assert!(prescan(&good[..cut]).is_err(), "cut at {cut}");
    }
    // The longest input that may come, all of it runs: still linear.
    let runs = column(
        craft::ACTION,
        [craft::sleb(1), craft::uleb(1)].concat().repeat(400_000),
    );
    let bytes = runs.bytes();
    let began = Instant::now();
    assert_eq!(prescan(&bytes), Err(Refused::TooMany));
    assert!(began.elapsed() < Duration::from_millis(50));
}

#[test]
fn what_passes_has_no_more_rows_than_promised() {
    let largest = Craft::nulls(&ACTOR, 50_000).bytes();
    assert_eq!(prescan(&largest), Ok(()));
    let change = Change::from_bytes(largest).unwrap();
    assert_eq!(change.len() as u64, prescan::MAX_ROWS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _refused = prescan(&bytes);
        let _refused = prescan(&craft::chunk(craft::CHANGE, &bytes));
        let _malformed = Changes::decode(&bytes);
        if let Ok((_, rest)) = split(&bytes) {
            let _malformed = Changes::decode(rest);
        }
    }

    #[test]
    fn content_survives_its_encoding(
        time in any::<i64>(),
        docs in proptest::collection::btree_map(
            any::<[u8; 16]>(),
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..5),
            0..20,
        ),
    ) {
        let content = Changes {
            claimed_time_ms: time,
            acks: Vec::new(),
            docs: docs
                .into_iter()
                .map(|(doc, changes)| ajar_protocol::changes::DocChanges {
                    doc: ajar_protocol::DocId(doc),
                    incarnation: 0,
                    changes,
                })
                .collect(),
        };
        let encoded = content.encode().unwrap();
        prop_assert_eq!(Changes::decode(&encoded).unwrap(), content);
        for cut in 0..encoded.len() {
            prop_assert!(Changes::decode(&encoded[..cut]).is_err());
        }
    }
}
