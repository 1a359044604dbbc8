//! Chunks of Automerge, written byte by byte as a hostile client would.

use std::sync::LazyLock;

use ajar_protocol::DocId;
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{Transactable, Transaction};
use automerge::{ActorId, Automerge, AutomergeError, ObjType, ROOT, ReadDoc, ScalarValue};
use sha2::{Digest, Sha256};

use super::scene::SCENE;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
pub(super) const DOCUMENT: u8 = 0;
pub(super) const CHANGE: u8 = 1;

pub(super) fn uleb(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// Reads a number and returns what follows.
pub(super) fn read_uleb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

/// A chunk with a right length and a right checksum.
pub(super) fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = uleb(body.len() as u64);
    let mut out = [&MAGIC[..], &[0; 4], &[kind], &length, body].concat();
    seal(&mut out);
    out
}

/// Makes the checksum of a chunk right.
pub(super) fn seal(chunk: &mut [u8]) {
    if let Some((front, hashed)) = chunk.split_at_mut_checked(8) {
        front[4..].copy_from_slice(&Sha256::digest(hashed)[..4]);
    }
}

/// What stands in a chunk.
pub(super) fn body(chunk: &[u8]) -> &[u8] {
    let (length, body) = read_uleb(&chunk[9..]).unwrap();
    assert_eq!(body.len(), length);
    body
}

/// A change in its parts: what stands before the columns, and each column.
pub(super) struct Parts {
    pub(super) front: Vec<u8>,
    pub(super) columns: Vec<(u8, Vec<u8>)>,
}

impl Parts {
    fn of(chunk: &[u8]) -> Self {
        let body = body(chunk);
        let mut rest = body;
        let number = |rest: &mut &[u8]| {
            let (value, after) = read_uleb(rest).unwrap();
            *rest = after;
            value
        };
        let deps = number(&mut rest);
        rest = &rest[deps * 32..];
        let actor = number(&mut rest);
        rest = &rest[actor..];
        // Number of the change, of its first operation, and time.
        for _ in 0..3 {
            number(&mut rest);
        }
        let message = number(&mut rest);
        rest = &rest[message..];
        for _ in 0..number(&mut rest) {
            let other = number(&mut rest);
            rest = &rest[other..];
        }
        let front = body[..body.len() - rest.len()].to_vec();
        let count = number(&mut rest);
        let specs: Vec<(usize, usize)> = (0..count)
            .map(|_| (number(&mut rest), number(&mut rest)))
            .collect();
        let mut columns = Vec::new();
        for (spec, length) in specs {
            columns.push((u8::try_from(spec).unwrap(), rest[..length].to_vec()));
            rest = &rest[length..];
        }
        Self { front, columns }
    }

    /// The change with these columns instead.
    pub(super) fn with(&self, columns: &[(u8, &[u8])]) -> Vec<u8> {
        let mut body = self.front.clone();
        body.extend(uleb(columns.len() as u64));
        for (spec, data) in columns {
            body.extend(uleb(u64::from(*spec)));
            body.extend(uleb(data.len() as u64));
        }
        for (_, data) in columns {
            body.extend_from_slice(data);
        }
        chunk(CHANGE, &body)
    }
}

/// Honest changes of Ana's to the common document, of every kind of operation.
pub(super) static SAMPLES: LazyLock<Vec<(Vec<u8>, Parts)>> = LazyLock::new(|| {
    let scene = &*SCENE;
    let actor = ActorId::from(scene.rogue.actor(&scene.common).as_slice());
    (0..9)
        .map(|kind| {
            let mut doc = Automerge::load(&scene.saved).unwrap();
            doc.set_actor(actor.clone());
            let mut tx = doc.transaction();
            apply(&mut tx, kind).unwrap();
            tx.commit();
            let change = doc.get_last_local_change().unwrap().raw_bytes().to_vec();
            let parts = Parts::of(&change);
            (change, parts)
        })
        .collect()
});

/// The first change of a document of Ana's.
pub(super) fn beginning(doc: &DocId) -> Vec<u8> {
    let mut new = Automerge::new();
    new.set_actor(ActorId::from(SCENE.rogue.actor(doc).as_slice()));
    let mut tx = new.transaction();
    tx.put(ROOT, "title", "a new page").unwrap();
    tx.commit();
    let change = new.get_last_local_change().unwrap();
    change.raw_bytes().to_vec()
}

fn apply(tx: &mut Transaction<'_>, kind: usize) -> Result<(), AutomergeError> {
    let object = |tx: &Transaction<'_>, key: &str| tx.get(ROOT, key).unwrap().unwrap().1;
    let (text, tags) = (object(tx, "body"), object(tx, "tags"));
    match kind {
        0 => tx.splice_text(&text, 2, 1, "words and words"),
        1 => tx.put(ROOT, "date", "2026-01-01"),
        2 => {
            tx.insert(&tags, 0, 1)?;
            tx.insert(&tags, 1, "two")?;
            tx.delete(&tags, 0)
        }
        3 => tx.mark(
            &text,
            Mark::new("bold".to_owned(), true, 0, 3),
            ExpandMark::Both,
        ),
        4 => {
            tx.put(ROOT, "n", ScalarValue::counter(1))?;
            tx.increment(ROOT, "n", 5)
        }
        5 => tx.delete(ROOT, "body"),
        6 => {
            let map = tx.put_object(ROOT, "meta", ObjType::Map)?;
            tx.put(&map, "bytes", vec![1u8; 30])?;
            tx.put(&map, "half", 0.5)?;
            let list = tx.put_object(&map, "list", ObjType::List)?;
            let inner = tx.insert_object(&list, 0, ObjType::Text)?;
            tx.splice_text(&inner, 0, 0, "deep")
        }
        7 => tx.put(&tags, 0, ScalarValue::Timestamp(5)),
        _ => tx.splice_text(&text, 0, 4, ""),
    }
}

/// Everything that a journal does with a document.
pub(super) fn use_document(doc: &Automerge) {
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
