//! Golden vectors of what folds a log: snapshots, endorsements, packs, burns, trim records.

use ajar_protocol::burn::Burn;
use ajar_protocol::codec::Writer;
use ajar_protocol::link::signed_message;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{
    Endorsement, PackRef, PackedDoc, RetiredEpoch, Snapshot, encode_pack, pack_digest,
};
use ajar_protocol::trim::{TrimRecord, TrimStatement};
use ajar_protocol::{BlobId, DeviceId, DocId, EnvelopeId, EpochId, Frontier, Position, label};
use ed25519_dalek::Signer;
use serde_json::{Value, json};

use crate::samples::noise;
use crate::space::shared;
use crate::support::{Device, ana, ben};
use crate::vectors::{check, hex};

/// Up to where the snapshot covers Ana's laptop, which makes it with its next envelope, and Ben.
fn cover() -> Frontier {
    let mut cover = Frontier::default();
    for (device, counter, name) in [
        (ana().laptop.id(), 8, "laptop 8"),
        (ben().laptop.id(), 3, "ben 3"),
    ] {
        let id = EnvelopeId(noise(name));
        cover.set(device, Position { counter, id });
    }
    cover
}

fn statement() -> TrimStatement {
    let laptop = ana().laptop.id();
    TrimStatement {
        space: shared(&ana(), &ben()).0.id(),
        snapshot: EnvelopeName {
            device: laptop,
            counter: 9,
            id: EnvelopeId(noise("snapshot")),
        },
        cover: cover(),
        retired: vec![(laptop, 1), (laptop, 5)],
    }
}

fn signed(device: &Device) -> (DeviceId, [u8; 64]) {
    let message = signed_message(label::RELAY_CMD, &statement().hash());
    (device.id(), device.sign.sign(&message).to_bytes())
}

fn encoded(frontier: &Frontier) -> Value {
    let mut out = Writer::default();
    frontier.encode(&mut out);
    hex(out.finish())
}

fn pack_ref(shelf: u32, name: &str, length: u64, docs: u32, digest: [u8; 32]) -> PackRef {
    PackRef {
        shelf,
        blob: BlobId(noise(name)),
        key: noise("key of a pack"),
        salt: noise("salt of a pack"),
        length,
        docs,
        digest,
    }
}

#[test]
fn snapshots_packs_and_endorsements() {
    let docs = [
        PackedDoc {
            doc: DocId([1; 16]),
            heads: vec![[2; 32]],
            saved: b"a document as Automerge saves it",
        },
        PackedDoc {
            doc: DocId([0x41; 16]),
            heads: vec![[3; 32], [4; 32]],
            saved: b"another",
        },
    ];
    let pack = encode_pack(&docs).unwrap();
    let digest = pack_digest(docs.iter().map(|doc| (&doc.doc, doc.heads.as_slice())));
    let packs = vec![
        pack_ref(
            u32::MAX,
            "pack",
            u64::try_from(pack.len()).unwrap(),
            2,
            digest,
        ),
        pack_ref(24_316, "older pack", 70_000, 31, noise("digest")),
        pack_ref(24_316, "as old a pack", 1, 1, noise("another digest")),
    ];
    let laptop = ana().laptop.id();
    let retired: Vec<RetiredEpoch> = [(1, "epoch 1", 1), (5, "epoch 3", 3)]
        .map(|(counter, name, number)| RetiredEpoch {
            device: laptop,
            counter,
            id: EpochId(noise(name)),
            number,
        })
        .to_vec();
    let chains = [ben().chain, ana().chain];
    let [head_lower, head_higher] = chains.map(|chain| chain.links().last().unwrap().hash());
    let snapshot = Snapshot {
        claimed_time_ms: -2,
        head_lower,
        head_higher,
        previous: EnvelopeId(noise("snapshot before")),
        cover: cover(),
        retired: retired.clone(),
        burned: vec![DocId([5; 16]), DocId([6; 16])],
        packs: packs.clone(),
    };
    let packs: Vec<Value> = packs
        .iter()
        .map(|pack| {
            json!({
                "shelf": pack.shelf,
                "blob": hex(pack.blob),
                "key": hex(pack.key),
                "salt": hex(pack.salt),
                "length": pack.length,
                "docs": pack.docs,
                "digest": hex(pack.digest),
            })
        })
        .collect();
    let retired: Vec<Value> = retired
        .iter()
        .map(|epoch| {
            json!({
                "device": hex(epoch.device),
                "counter": epoch.counter,
                "id": hex(epoch.id),
                "number": epoch.number,
            })
        })
        .collect();
    let docs: Vec<Value> = docs
        .iter()
        .map(|doc| {
            let heads: Vec<Value> = doc.heads.iter().map(hex).collect();
            json!({ "doc": hex(doc.doc), "heads": heads, "saved": hex(doc.saved) })
        })
        .collect();
    let (_, signature) = signed(&ana().laptop);
    let endorsement = Endorsement {
        snapshot: statement().snapshot.id,
        signature,
    };
    check(
        "snapshot.json",
        &json!({
            "snapshot": {
                "claimed_time_ms": snapshot.claimed_time_ms,
                "head_lower": hex(snapshot.head_lower),
                "head_higher": hex(snapshot.head_higher),
                "previous": hex(snapshot.previous),
                "cover": encoded(&snapshot.cover),
                "retired": retired,
                "burned": snapshot.burned.iter().map(hex).collect::<Vec<Value>>(),
                "packs": packs,
                "plaintext": hex(snapshot.encode().unwrap()),
            },
            "pack": { "docs": docs, "digest": hex(digest), "plaintext": hex(pack) },
            "endorsement": {
                "snapshot": hex(endorsement.snapshot),
                "signature": hex(endorsement.signature),
                "plaintext": hex(endorsement.encode()),
            },
        }),
    );
}

#[test]
fn burn() {
    let burn = Burn {
        claimed_time_ms: 1_777_593_600_000,
        docs: vec![DocId([1; 16]), DocId([0x41; 16])],
        blobs: vec![BlobId([7; 32])],
    };
    check(
        "burn.json",
        &json!({
            "claimed_time_ms": burn.claimed_time_ms,
            "docs": burn.docs.iter().map(hex).collect::<Vec<Value>>(),
            "blobs": burn.blobs.iter().map(hex).collect::<Vec<Value>>(),
            "plaintext": hex(burn.encode().unwrap()),
        }),
    );
}

#[test]
fn trim_record() {
    let statement = statement();
    let mut signatures = vec![signed(&ana().laptop), signed(&ben().laptop)];
    signatures.sort_unstable();
    let rows: Vec<Value> = signatures
        .iter()
        .map(|(device, signature)| json!({ "device": hex(device), "signature": hex(signature) }))
        .collect();
    let retired: Vec<Value> = statement
        .retired
        .iter()
        .map(|(device, counter)| json!({ "device": hex(device), "counter": counter }))
        .collect();
    let vector = json!({
        "space": hex(statement.space),
        "device": hex(statement.snapshot.device),
        "counter": statement.snapshot.counter,
        "snapshot": hex(statement.snapshot.id),
        "cover": encoded(&statement.cover),
        "retired": retired,
        "statement": hex(statement.encode()),
        "hash": hex(statement.hash()),
        "signatures": rows,
        "record": hex(TrimRecord { statement, signatures }.encode()),
    });
    check("trim.json", &vector);
}
