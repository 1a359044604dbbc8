//! The mark that an import leaves in its entries.

use std::collections::BTreeMap;

use ajar_journal::entry::{self, Edit};
use ajar_journal::import::{Imprint, Mark, is_untouched, put};
use ajar_journal::opening::{self, Stage};
use ajar_journal::schema;
use ajar_journal::summary::{self, Line};
use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc};

use crate::story::*;

fn mark() -> Mark {
    Mark {
        imprint: Imprint {
            batch: "0f".repeat(16),
            format: "dayone".to_owned(),
            source: "0A".to_owned(),
        },
        kept: BTreeMap::from([("place".to_owned(), "Kiel".to_owned())]),
    }
}

fn imported() -> Automerge {
    let mut doc = Automerge::new();
    change(&mut doc, |tx| {
        entry::create(tx, &letter("It rained."))?;
        put(tx, &mark())
    })
    .unwrap();
    doc
}

#[test]
fn the_mark_is_read_with_the_entry_and_stands_in_its_line() {
    let doc = imported();
    assert!(entry::read(&doc).unwrap().imported.as_deref() == Some(&mark()));
    let line = Line::decode(&summary::of(&doc).unwrap().head).unwrap();
    assert!(line.imported == Some(mark().imprint));
    let plain = entry::read(&kept("It rained.")).unwrap();
    assert!(plain.imported.is_none());
}

#[test]
fn an_entry_that_was_changed_or_opened_since_is_touched() {
    assert!(is_untouched(&imported()));
    let mut edited = imported();
    let edit = Edit {
        text: Some("It rained all day.".to_owned()),
        saved_at_ms: 9,
        ..Edit::default()
    };
    change(&mut edited, |tx| entry::edit(tx, &edit).map(drop)).unwrap();
    assert!(!is_untouched(&edited));
    assert!(entry::read(&edited).unwrap().imported.as_deref() == Some(&mark()));
    let mut opened = imported();
    change(&mut opened, |tx| {
        entry::note_opening(tx, &"0a".repeat(16), Stage::Room, 9)
    })
    .unwrap();
    assert!(!is_untouched(&opened));
}

/// Where Ana wrote before is nobody's business but hers.
#[test]
fn a_copy_that_is_opened_has_nothing_of_the_mark() {
    let entry = entry::read(&imported()).unwrap();
    let projection = opening::project(&entry, Stage::Room).unwrap();
    let mut copy = Automerge::new();
    change(&mut copy, |tx| {
        opening::create(tx, &projection, "2026-07-02").map(drop)
    })
    .unwrap();
    assert!(copy.get(ROOT, schema::IMPORTED).unwrap().is_none());
    let bytes = copy.save();
    let batch = mark().imprint.batch.into_bytes();
    assert!(!bytes.windows(batch.len()).any(|part| part == batch));
}

#[test]
fn a_mark_that_does_not_hold_leaves_the_entry_readable() {
    let mut doc = imported();
    doc.transact(|tx| tx.put(ROOT, schema::IMPORTED, 7))
        .unwrap();
    assert!(entry::read(&doc).unwrap().imported.is_none());
    let long = "x".repeat(100_000);
    doc.transact(|tx| {
        let map = tx.put_object(ROOT, schema::IMPORTED, ObjType::Map)?;
        tx.put(&map, schema::BATCH, long.as_str())
    })
    .unwrap();
    assert!(entry::read(&doc).unwrap().imported.is_none());
}
