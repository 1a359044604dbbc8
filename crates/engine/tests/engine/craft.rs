//! Automerge chunks written byte by byte, as a hostile client would.

use automerge::transaction::Transaction;
use automerge::{ActorId, Automerge, AutomergeError};
use sha2::{Digest, Sha256};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
pub(crate) const DOCUMENT: u8 = 0;
pub(crate) const CHANGE: u8 = 1;
pub(crate) const DEFLATED: u8 = 2;
pub(crate) const BUNDLE: u8 = 3;

/// Columns of operations: id in the high bits, type in the low three.
pub(crate) const KEY_STRING: u64 = 21;
pub(crate) const INSERT: u64 = 52;
pub(crate) const ACTION: u64 = 66;
pub(crate) const VALUE_META: u64 = 86;
pub(crate) const PRED_GROUP: u64 = 112;
pub(crate) const DEFLATE_BIT: u64 = 8;

pub(crate) fn uleb(mut value: u64) -> Vec<u8> {
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

pub(crate) fn sleb(mut value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// A chunk with a right checksum.
pub(crate) fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut hashed = vec![kind];
    hashed.extend(uleb(body.len() as u64));
    hashed.extend_from_slice(body);
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&Sha256::digest(&hashed)[..4]);
    out.extend(hashed);
    out
}

/// The same chunk with its checksum made right again.
pub(crate) fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > 8 {
        let digest = Sha256::digest(&bytes[8..]);
        bytes[4..8].copy_from_slice(&digest[..4]);
    }
    bytes
}

/// A change of which every field can be lied about.
#[derive(Clone)]
pub(crate) struct Craft {
    pub(crate) deps: Vec<[u8; 32]>,
    pub(crate) actor: Vec<u8>,
    pub(crate) seq: u64,
    pub(crate) start_op: u64,
    pub(crate) others: Vec<Vec<u8>>,
    pub(crate) columns: Vec<(u64, Vec<u8>)>,
}

impl Craft {
    /// `n` operations that each put null under one key, in a few bytes.
    pub(crate) fn nulls(actor: &[u8], n: i64) -> Self {
        let key = [sleb(n), vec![1, b'k']].concat();
        Self {
            deps: Vec::new(),
            actor: actor.to_vec(),
            seq: 1,
            start_op: 1,
            others: Vec::new(),
            columns: vec![
                (KEY_STRING, key),
                (INSERT, uleb(n.unsigned_abs())),
                (ACTION, [sleb(n), uleb(1)].concat()),
                (VALUE_META, [sleb(n), uleb(0)].concat()),
                (PRED_GROUP, [sleb(n), uleb(0)].concat()),
            ],
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = uleb(self.deps.len() as u64);
        body.extend(self.deps.iter().flatten());
        body.extend(uleb(self.actor.len() as u64));
        body.extend_from_slice(&self.actor);
        body.extend(uleb(self.seq));
        body.extend(uleb(self.start_op));
        body.extend(sleb(0));
        body.extend(uleb(0));
        body.extend(uleb(self.others.len() as u64));
        for other in &self.others {
            body.extend(uleb(other.len() as u64));
            body.extend_from_slice(other);
        }
        body.extend(uleb(self.columns.len() as u64));
        for (spec, data) in &self.columns {
            body.extend(uleb(*spec));
            body.extend(uleb(data.len() as u64));
        }
        for (_, data) in &self.columns {
            body.extend_from_slice(data);
        }
        chunk(CHANGE, &body)
    }
}

/// An honest change: one transaction on `doc` under `actor`.
pub(crate) fn edit(
    doc: &mut Automerge,
    actor: &[u8],
    apply: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
) -> Vec<u8> {
    doc.set_actor(ActorId::from(actor));
    let mut tx = doc.transaction();
    apply(&mut tx).unwrap();
    tx.commit();
    doc.get_last_local_change().unwrap().raw_bytes().to_vec()
}
