//! Ana and Ben, and the devices they write on.

use ajar_journal::entry::{self, Edit, Entry, NewEntry};
use ajar_journal::{Error, Paragraph};
use automerge::transaction::Transaction;
use automerge::{ActorId, Automerge};

/// A document on the device with this number.
pub(crate) fn device(number: u8) -> Automerge {
    Automerge::new().with_actor(ActorId::from([number; 16]))
}

/// The same document on another of the person's devices.
pub(crate) fn copy_to(doc: &Automerge, number: u8) -> Automerge {
    doc.fork().with_actor(ActorId::from([number; 16]))
}

/// One change, kept only if it succeeded.
pub(crate) fn change<R>(
    doc: &mut Automerge,
    write: impl FnOnce(&mut Transaction<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let mut tx = doc.transaction();
    match write(&mut tx) {
        Ok(result) => {
            tx.commit();
            Ok(result)
        }
        Err(error) => {
            assert_eq!(tx.rollback(), 0, "a refused write left something behind");
            Err(error)
        }
    }
}

pub(crate) fn letter(text: &str) -> NewEntry {
    NewEntry {
        title: Some("By the sea".to_owned()),
        date: "2026-07-01T21:30".to_owned(),
        text: text.to_owned(),
        tags: vec!["sea".to_owned(), "quiet".to_owned()],
        created_at_ms: 1_782_934_200_123,
    }
}

pub(crate) fn kept(text: &str) -> Automerge {
    let mut doc = device(1);
    change(&mut doc, |tx| entry::create(tx, &letter(text))).expect("a letter can be kept");
    doc
}

pub(crate) fn save(doc: &mut Automerge, text: &str, at_ms: i64) -> bool {
    let edit = Edit {
        text: Some(text.to_owned()),
        saved_at_ms: at_ms,
        ..Edit::default()
    };
    change(doc, |tx| entry::edit(tx, &edit)).expect("the text can be saved")
}

pub(crate) fn save_seen(doc: &mut Automerge, seen: &[Paragraph], text: &str, at_ms: i64) -> bool {
    let edit = Edit {
        text: Some(text.to_owned()),
        seen: Some(seen.to_vec()),
        saved_at_ms: at_ms,
        ..Edit::default()
    };
    change(doc, |tx| entry::edit(tx, &edit)).expect("the text can be saved")
}

pub(crate) fn read(doc: &Automerge) -> Entry {
    entry::read(doc).expect("the entry can be read")
}

pub(crate) fn meet(a: &mut Automerge, b: &mut Automerge) {
    a.merge(b).expect("merges");
    b.merge(a).expect("merges");
    assert_eq!(a.get_heads(), b.get_heads());
}
