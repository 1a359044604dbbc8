//! Golden vectors: every byte layout with the values that it was made from.
//!
//! With `AJAR_REGENERATE_VECTORS=1` in the environment these tests write the files instead of
//! comparing. A changed vector is a changed protocol: it needs a new version, not a new file.

use std::collections::BTreeSet;
use std::{fs, path::PathBuf};

use ajar_protocol::auth::{login_hash, permit};
use ajar_protocol::changes::{Compression, join};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::codec::Writer;
use ajar_protocol::frame::Tag;
use ajar_protocol::genesis::membership_head;
use ajar_protocol::link::{cosign_hash, proof_hash};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DevicePublic, DocId, Link, LinkHash, PartyId, SpaceId, id, label};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::samples;
use crate::space::{private, shared};
use crate::support::{Device, Words, ana, ben};

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    HEXLOWER.encode(bytes.as_ref()).into()
}

/// Compares `actual` with the file, or writes the file when asked to.
pub(crate) fn check(name: &str, actual: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    if std::env::var_os("AJAR_REGENERATE_VECTORS").is_some_and(|value| value == "1") {
        let mut text = serde_json::to_string_pretty(actual).unwrap();
        text.push('\n');
        fs::write(path, text).unwrap();
        return;
    }
    let expected: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(&expected, actual, "{name}");
}

fn device(device: &Device) -> Value {
    json!({
        "sign_seed": hex(device.sign.to_bytes()),
        "auth_seed": hex(device.auth.to_bytes()),
        "sign": hex(device.public.sign),
        "kem": hex(device.public.kem),
        "auth": hex(device.public.auth),
        "device_id": hex(device.id()),
    })
}

fn words(words: &Words) -> Value {
    json!({
        "root_seed": hex(words.root.to_bytes()),
        "root": hex(words.public.root),
        "login": hex(words.public.login),
        "recovery_kem": hex(words.public.recovery_kem),
        "root_id": hex(words.public.root_id()),
        "recovery_id": hex(words.public.recovery_id()),
    })
}

#[test]
fn ids_and_hashes() {
    let (ana, ben) = (ana(), ben());
    let (party, prev) = (PartyId([1; 32]), LinkHash([2; 32]));
    let (space, doc) = (SpaceId([3; 32]), DocId([4; 16]));
    let laptop = ana.laptop.id();
    let new = Words::new("Ana's new words");
    let vector = json!({
        "hash": { "label": "x", "parts": [hex(b"one"), hex(b""), hex(b"two")],
                  "hash": hex(id::hash("x", &[b"one", b"", b"two"])) },
        "prefixed_label": { "label": label::DEVICE_ID, "bytes": hex(label::prefixed(label::DEVICE_ID)) },
        "devices": [device(&ana.laptop), device(&ana.phone), device(&ben.laptop)],
        "words": [words(&ana.words), words(&new), words(&ben.words)],
        "party": { "genesis_link_hash": hex(ana.chain.links()[0].hash()), "party_id": hex(ana.chain.id()) },
        "actor": { "space": hex(space), "device": hex(laptop), "doc": hex(doc), "incarnation": 5,
                   "actor": hex(id::actor(&space, &laptop, &doc, 5)) },
        "proof_hash": { "party": hex(party), "seq": 7, "prev": hex(prev), "device": hex(laptop),
                        "hash": hex(proof_hash(&party, 7, &prev, &ana.laptop.public)) },
        "cosign_hash": { "party": hex(party), "seq": 7, "prev": hex(prev), "root": hex(new.public.root),
                         "hash": hex(cosign_hash(&party, 7, &prev, &new.public)) },
    });
    check("ids.json", &vector);
}

fn link(link: &Link) -> Value {
    json!({
        "kind": format!("{:?}", link.body.kind()),
        "seq": link.seq,
        "party": hex(link.party),
        "prev": hex(link.prev),
        "claimed_time_ms": link.claimed_time_ms,
        "signer": hex(link.signer),
        "link": hex(link.as_bytes()),
        "hash": hex(link.hash()),
    })
}

#[test]
fn links_of_every_kind() {
    let chain = samples::long_chain();
    let kinds: std::collections::BTreeSet<u8> = chain
        .links()
        .iter()
        .map(|link| link.body.kind() as u8)
        .collect();
    assert_eq!(kinds.len(), 8, "a kind of link has no vector");
    let links: Vec<Value> = chain.links().iter().map(link).collect();
    check(
        "chain.json",
        &json!({ "party_id": hex(chain.id()), "links": links }),
    );
}

#[test]
fn space_genesis_and_membership() {
    let (ana, ben) = (ana(), ben());
    let (genesis, [lower, higher]) = shared(&ana, &ben);
    let seqs = [lower.last_seq(), higher.last_seq()];
    let vector = json!({
        "private": {
            "party": hex(ana.chain.id()),
            "genesis": hex(private(&ana).encode()),
            "space_id": hex(private(&ana).id()),
            "membership": { "seq": 1, "head": hex(ana.chain.head()),
                            "mhead": hex(membership_head(&[&ana.chain], &[1]).unwrap()) },
        },
        "shared": {
            "lower": hex(lower.id()),
            "higher": hex(higher.id()),
            "genesis": hex(genesis.encode()),
            "space_id": hex(genesis.id()),
            "membership": { "seqs": seqs, "heads": [hex(lower.head()), hex(higher.head())],
                            "mhead": hex(membership_head(&[lower, higher], &seqs).unwrap()) },
        },
    });
    check("space.json", &vector);
}

#[test]
fn login_and_permit() {
    let ana = ana();
    let login = samples::login(&ana);
    let relay = SigningKey::from_bytes(&[3; 32]);
    let message = login_hash(
        &samples::EXPORTER,
        &login.relay,
        &login.space,
        &login.device,
        &login.auth,
    );
    let vector = json!({
        "login": {
            "exporter_label": String::from_utf8(label::EXPORTER.to_vec()).unwrap(),
            "exporter": hex(samples::EXPORTER),
            "relay": hex(login.relay),
            "space": hex(login.space),
            "device": hex(login.device),
            "auth_seed": hex(ana.laptop.auth.to_bytes()),
            "hash": hex(message),
            "message": hex(login.encode()),
        },
        "permit": {
            "relay_seed": hex(relay.to_bytes()),
            "space": hex(login.space),
            "permit": hex(permit(&relay, &login.space)),
        },
    });
    check("relay_login.json", &vector);
}

#[test]
fn envelopes() {
    let (ana, ben) = (ana(), ben());
    let envelopes = [
        samples::epoch_envelope(&ana, &ben),
        samples::changes_envelope(&ana),
    ];
    let vectors: Vec<Value> = envelopes
        .iter()
        .map(|envelope| {
            let header = envelope.header();
            json!({
                "type": header.kind as u8,
                "space_id": hex(header.space),
                "epoch_id": hex(header.epoch),
                "device_id": hex(header.device),
                "counter": header.counter,
                "prev": hex(header.prev),
                "mhead": hex(header.mhead),
                "nonce": hex(header.nonce),
                "key_commit": hex(header.commitment),
                "ct_len": header.length,
                "header": hex(header.encode()),
                "envelope_id": hex(envelope.id()),
                "envelope": hex(envelope.as_bytes()),
            })
        })
        .collect();
    let vector = json!({ "sign_seed": hex(ana.laptop.sign.to_bytes()), "envelopes": vectors });
    check("envelopes.json", &vector);
}

#[test]
fn epoch_record() {
    let record = samples::epoch_record(&ana(), &ben());
    let seals: Vec<Value> = record
        .seals
        .iter()
        .map(|seal| {
            json!({
                "recipient": hex(seal.recipient),
                "enc": hex(seal.encapsulated),
                "ct": hex(seal.ciphertext),
            })
        })
        .collect();
    let vector = json!({
        "number": record.number,
        "reason": record.reason as u8,
        "parents": record.parents.iter().map(hex).collect::<Vec<_>>(),
        "head_lower": hex(record.head_lower),
        "head_higher": hex(record.head_higher),
        "ek_commit": hex(record.commitment),
        "seals": seals,
        "history_nonce": hex(record.history_nonce),
        "history": hex(&record.history),
        "history_aad": hex(record.encode_front()),
        "payload": hex(record.encode()),
    });
    check("epoch_record.json", &vector);
}

#[test]
fn content_of_changes() {
    let changes = samples::changes();
    let acks: Vec<Value> = changes
        .acks
        .iter()
        .map(|(device, at)| json!({ "device": hex(device), "counter": at.counter, "id": hex(at.id) }))
        .collect();
    let docs: Vec<Value> = changes
        .docs
        .iter()
        .map(|doc| {
            let changes: Vec<Value> = doc.changes.iter().map(hex).collect();
            json!({ "doc": hex(doc.doc), "incarnation": doc.incarnation, "changes": changes })
        })
        .collect();
    let content = changes.encode().unwrap();
    let vector = json!({
        "claimed_time_ms": changes.claimed_time_ms,
        "acks": acks,
        "docs": docs,
        "plaintext": hex(join(Compression::None, &content)),
        "plaintext_head_when_compressed": hex(&join(Compression::Zstd, &content)[..2]),
    });
    check("changes.json", &vector);
}

#[test]
fn frontier() {
    let frontier = samples::frontier();
    let rows: Vec<Value> = frontier
        .rows()
        .map(|(device, at)| json!({ "device": hex(device), "counter": at.counter, "id": hex(at.id) }))
        .collect();
    let mut out = Writer::default();
    frontier.encode(&mut out);
    check(
        "frontier.json",
        &json!({ "rows": rows, "bytes": hex(out.finish()) }),
    );
}

fn frame(bytes: &[u8]) -> Value {
    let tag = Tag::from_byte(bytes[4]).unwrap();
    json!({ "tag": format!("{tag:?}"), "frame": hex(bytes) })
}

#[test]
fn frames_of_clients() {
    let frames: Vec<Value> = samples::client_messages()
        .iter()
        .map(|message| frame(&ClientMsg::to_frame(message)))
        .collect();
    check("client_frames.json", &Value::from(frames));
}

#[test]
fn frames_of_relays() {
    let frames: Vec<Value> = samples::relay_messages()
        .iter()
        .map(|message| frame(&RelayMsg::to_frame(message)))
        .collect();
    check("relay_frames.json", &Value::from(frames));
}

#[test]
fn frames_about_blobs() {
    let frames: Vec<Value> = samples::blob_frames()
        .iter()
        .map(|bytes| frame(bytes))
        .collect();
    check("blob_frames.json", &Value::from(frames));
}

/// For each byte of an object, a bit: whether the object is still one with this byte changed.
fn taken(rewrite: samples::Rewrite, bytes: &[u8], change: u8) -> Value {
    let mut bits = vec![0u8; bytes.len().div_ceil(8)];
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= change;
        if rewrite(&changed).is_ok() {
            bits[at / 8] |= 0x80 >> (at % 8);
        }
    }
    hex(bits)
}

/// What a reader takes and what it refuses, with every byte of every object changed.
#[test]
fn every_changed_byte() {
    let mut seen = BTreeSet::new();
    let objects: Vec<Value> = samples::objects()
        .into_iter()
        .filter(|(name, _, bytes)| !name.starts_with("message") || seen.insert(bytes[0]))
        .map(|(name, rewrite, bytes)| {
            json!({
                "object": name,
                "bytes": hex(&bytes),
                "taken_01": taken(rewrite, &bytes, 0x01),
                "taken_80": taken(rewrite, &bytes, 0x80),
            })
        })
        .collect();
    check("readers.json", &Value::from(objects));
}

/// A number as the 32 little-endian bytes of a key: `low` in front, `fill` up to the last byte.
fn key(low: u8, fill: u8, last: u8) -> [u8; 32] {
    let mut key = [fill; 32];
    (key[0], key[31]) = (low, last);
    key
}

/// Keys at the edges of what is sound, each in the place of a sound one.
#[test]
fn sound_and_unsound_keys() {
    let sound = ana().laptop.public;
    let mut edges: Vec<[u8; 32]> = vec![sound.sign, sound.kem];
    for last in [0x00, 0x80] {
        edges.extend((0..=9).map(|low| key(low, 0, last)));
    }
    for last in [0x7f, 0xff] {
        edges.extend((0xe8..=0xff).map(|low| key(low, 0xff, last)));
    }
    // Of order eight on edwards25519, and on curve25519.
    for text in [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ] {
        let mut edge: [u8; 32] = HEXLOWER
            .decode(text.as_bytes())
            .unwrap()
            .try_into()
            .unwrap();
        edges.push(edge);
        edge[31] |= 0x80;
        edges.push(edge);
    }
    let keys: Vec<Value> = edges
        .into_iter()
        .map(|edge| {
            let as_sign = DevicePublic {
                sign: edge,
                ..sound
            };
            let as_kem = DevicePublic { kem: edge, ..sound };
            json!({
                "key": hex(edge),
                "ed25519": as_sign.check().is_ok(),
                "x25519": as_kem.check().is_ok(),
            })
        })
        .collect();
    check("keys.json", &Value::from(keys));
}

#[test]
fn relay_addresses() {
    let addresses: Vec<Value> = samples::addresses()
        .iter()
        .map(|address| {
            json!({
                "host": address.host,
                "port": address.port,
                "key": hex(address.key),
                "claim": address.claim.map(hex),
                "address": address.to_string(),
            })
        })
        .collect();
    check("addresses.json", &Value::from(addresses));
}
