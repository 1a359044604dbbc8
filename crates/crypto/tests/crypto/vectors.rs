//! Golden vectors: all inputs, the randomness drawn, and the bytes that come out.
//!
//! With `AJAR_REGENERATE_VECTORS=1` in the environment these tests write the files instead of
//! comparing. A changed vector is a changed protocol: it needs a new version, not a new file.

use std::{fs, path::PathBuf};

use ajar_crypto::{
    EpochKey, PairingWords, RecoveryPhrase, Secret,
    blob::{BlobKey, CHUNK},
    epoch::{NewEpoch, create_epoch, open_epoch},
    kdf, label,
    pad::{pad, padded_len},
    pairing::{Enterer, Purpose, Shower},
    seal::{Draft, open_envelope, seal_envelope},
    vault::{KdfParams, LocalKeys, Passphrase, SegmentKey, VaultHeader, VaultSlot, WhichSpace},
    words::{safety_words, sas_words, sync_words},
};
use ajar_protocol::{
    EnvelopeType, EpochId, LinkHash, PartyId, SpaceId,
    epoch::{EpochReason, Recipient},
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::blob;
use crate::support::{Recorder, device, epoch_key, first_place};

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    HEXLOWER.encode(bytes.as_ref()).into()
}

/// Compares `actual` with the file, or writes the file when asked to.
fn check(name: &str, actual: &Value) {
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

#[test]
fn padding() {
    let lengths = [
        0, 1, 1023, 1024, 1025, 1087, 1088, 1089, 2047, 2048, 2049, 4097, 10_000, 65_535, 65_537,
        262_144, 262_145, 1_000_000, 1_048_576,
    ];
    let table: Vec<Value> = lengths
        .iter()
        .map(|length| json!({ "length": length, "padded": padded_len(*length) }))
        .collect();
    let padded = pad(b"hello");
    let text =
        json!({ "content": hex(b"hello"), "first_8": hex(&padded[..8]), "length": padded.len() });
    check("padding.json", &json!({ "padded_len": table, "pad": text }));
}

/// The byte at place `i` of the content is `i mod 251`.
#[test]
fn blob() {
    let mut entropy = Recorder::new(9);
    let key = BlobKey::random(&mut entropy).unwrap();
    let derived: Secret<32> = kdf::derive(key.key().expose(), key.salt(), label::BLOB_KEY, &[]);
    let cases: Vec<Value> = [
        ("empty", 0),
        ("one byte", 1),
        ("one whole chunk with its mark", CHUNK - 1),
        ("exactly 64 KiB", CHUNK),
        ("64 KiB and one byte", CHUNK + 1),
    ]
    .iter()
    .map(|(name, length)| {
        let (sealed, id) = blob::seal(&key, &blob::photo(*length), CHUNK);
        let mut case = json!({
            "name": name,
            "length": length,
            "sealed_length": sealed.len(),
            "first_32": hex(&sealed[..32]),
            "last_32": hex(&sealed[sealed.len() - 32..]),
            "blob_id": hex(id),
        });
        if sealed.len() < 2000 {
            case["sealed"] = hex(&sealed);
        }
        case
    })
    .collect();
    let vector = json!({
        "randomness": hex(&entropy.drawn),
        "randomness_order": "key 32, salt 16",
        "key": hex(key.key().expose()),
        "salt": hex(key.salt()),
        "stream_key": hex(derived.expose()),
        "content": "the byte at place i is i mod 251",
        "cases": cases,
    });
    check("blob.json", &vector);
}

#[test]
fn recovery_phrase_to_slot_keys() {
    let phrases = [
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
    ];
    let cases: Vec<Value> = phrases
        .iter()
        .flat_map(|words| [0, 1, 8].map(|slot| (*words, slot)))
        .map(|(words, slot)| {
            let phrase = RecoveryPhrase::parse(words).unwrap();
            assert_eq!(*phrase.words(), *words);
            let keys = phrase.slot_keys(slot).unwrap();
            let public = keys.public().root;
            json!({
                "words": words,
                "slot": slot,
                "root_seed": hex(keys.root.to_bytes()),
                "login_seed": hex(keys.login.to_bytes()),
                "recovery_kem_secret": hex(keys.recovery_kem.to_bytes()),
                "root_pk": hex(public.root),
                "login_pk": hex(public.login),
                "rk_pk": hex(public.recovery_kem),
            })
        })
        .collect();
    check("recovery.json", &Value::from(cases));
}

#[test]
fn envelope() {
    let (ana, key, place) = (device(1), epoch_key(2), first_place());
    let epoch = EpochId([0xe1; 32]);
    let plaintext = b"The plum tree by the river is in flower.";
    let mut entropy = Recorder::new(7);
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch,
        key: &key,
        plaintext,
    };
    let envelope = seal_envelope(&place, &draft, &ana, &mut entropy).unwrap();
    let header = *envelope.header();
    let salt = [header.nonce.as_slice(), &header.device.0].concat();
    let keys = kdf::derive::<64>(
        key.expose(),
        &salt,
        label::ENV_KEY,
        &[&place.space.0, &epoch.0, &[1]],
    );
    let verified = envelope.clone().verify(&ana.public().sign).unwrap();
    assert_eq!(
        open_envelope(&verified, &key).unwrap().as_slice(),
        plaintext
    );
    let vector = json!({
        "device_secrets": hex(ana.to_bytes().expose()),
        "device_id": hex(ana.id()),
        "epoch_key": hex(key.expose()),
        "type": 1,
        "space_id": hex(place.space),
        "epoch_id": hex(epoch),
        "counter": place.counter,
        "prev": hex(place.prev),
        "mhead": hex(place.mhead),
        "plaintext": hex(plaintext),
        "randomness": hex(&entropy.drawn),
        "envelope_key": hex(&keys.expose()[..32]),
        "key_commit": hex(&keys.expose()[32..]),
        "envelope_id": hex(envelope.id()),
        "envelope": hex(envelope.as_bytes()),
    });
    check("envelope.json", &vector);
}

#[test]
fn epoch() {
    let (ana, ben, place) = (device(1), device(2), first_place());
    let recipients = [&ana, &ben].map(|device| Recipient {
        id: device.id().0,
        kem: device.public().kem,
    });
    let history = [
        (EpochId([9; 32]), epoch_key(4)),
        (EpochId([5; 32]), epoch_key(5)),
    ];
    let new = NewEpoch {
        number: 4,
        reason: EpochReason::Revoke,
        parents: &[EpochId([5; 32])],
        head_lower: LinkHash([2; 32]),
        head_higher: LinkHash([3; 32]),
        recipients: &recipients,
        history: &history,
    };
    let mut entropy = Recorder::new(8);
    let (envelope, key) = create_epoch(&place, &new, &ana, &mut entropy).unwrap();
    let verified = envelope.clone().verify(&ana.public().sign).unwrap();
    assert_eq!(
        open_epoch(&verified, &ben.id().0, ben.kem_secret())
            .unwrap()
            .key,
        key
    );
    let entry =
        |(id, key): &(EpochId, EpochKey)| json!({ "epoch_id": hex(id), "key": hex(key.expose()) });
    let vector = json!({
        "author_secrets": hex(ana.to_bytes().expose()),
        "space_id": hex(place.space),
        "mhead": hex(place.mhead),
        "number": new.number,
        "reason": 3,
        "parents": [hex([5; 32])],
        "head_lower": hex(new.head_lower),
        "head_higher": hex(new.head_higher),
        "recipients": recipients.map(|r| json!({ "id": hex(r.id), "kem_pk": hex(r.kem) })),
        "ben_kem_secret": hex(ben.kem_secret().to_bytes()),
        "history": history.iter().map(entry).collect::<Vec<_>>(),
        "randomness": hex(&entropy.drawn),
        "randomness_order": "epoch key 32, history nonce 24, seed 32 of ChaCha20 for the HPKE ephemeral keys",
        "epoch_key": hex(key.expose()),
        "envelope": hex(envelope.as_bytes()),
    });
    check("epoch.json", &vector);
}

#[test]
fn pairing() {
    let cases = [
        (Purpose::PartnerLink, "partner-link"),
        (Purpose::DeviceLink, "device-link"),
    ];
    let vectors: Vec<Value> = cases
        .iter()
        .map(|(purpose, name)| {
            let words = PairingWords::parse("apple river window").unwrap();
            let (nameplate, relay) = ("4711", [0x7e; 32]);
            let (mut random_a, mut random_b) = (Recorder::new(1), Recorder::new(2));
            let (ana, msg_a) =
                Shower::start(*purpose, nameplate, &relay, &words, &mut random_a).unwrap();
            let (ben, msg_b) =
                Enterer::start(*purpose, nameplate, &relay, &words, &mut random_b).unwrap();
            let (ben, confirm_b) = ben.receive(&msg_a).unwrap();
            let (mut ana, confirm_a) = ana.confirm(&msg_b, &confirm_b).unwrap();
            let mut ben = ben.confirm(&confirm_a).unwrap();
            json!({
                "purpose": name,
                "nameplate": nameplate,
                "relay_pk": hex(relay),
                "words": *words.text(),
                "shower_seed": hex(&random_a.drawn),
                "enterer_seed": hex(&random_b.drawn),
                "msg_a": hex(msg_a),
                "msg_b": hex(msg_b),
                "confirm_b": hex(confirm_b),
                "confirm_a": hex(confirm_a),
                "transcript": hex(ana.transcript()),
                "from_shower": [hex(ana.seal(b"one").unwrap()), hex(ana.seal(b"two").unwrap())],
                "from_enterer": [hex(ben.seal(b"one").unwrap())],
                "sas_of_no_keys": sas_words(&ana.transcript(), b""),
            })
        })
        .collect();
    check("pairing.json", &Value::from(vectors));
}

#[test]
fn vault_header() {
    let mut entropy = Recorder::new(3);
    let (shared_lmk, private_lmk) = (Secret::new([1; 32]), Secret::new([2; 32]));
    let words = ["four plain words here", "caf\u{e9} by the r\u{ed}o"];
    let mut slot = |which, text: &str, lmk| {
        VaultSlot::create(
            which,
            &Passphrase::new(text).unwrap(),
            KdfParams::FLOOR,
            lmk,
            &mut entropy,
        )
        .unwrap()
    };
    let shared = slot(WhichSpace::Shared, words[0], &shared_lmk);
    let private = slot(WhichSpace::Private, words[1], &private_lmk);
    let header = VaultHeader::new(shared, private).unwrap();
    let vector = json!({
        "memory_kib": KdfParams::FLOOR.memory_kib(),
        "passes": KdfParams::FLOOR.passes(),
        "lanes": KdfParams::FLOOR.lanes(),
        "shared": { "passphrase": words[0], "lmk": hex(shared_lmk.expose()) },
        "private": { "passphrase": words[1], "lmk": hex(private_lmk.expose()) },
        "randomness": hex(&entropy.drawn),
        "randomness_order": "shared salt 16, shared nonce 24, private salt 16, private nonce 24",
        "header": hex(header.encode()),
    });
    check("vault_header.json", &vector);
}

#[test]
fn key_file_names_and_records() {
    let lmk = Secret::new([1; 32]);
    let keys = LocalKeys::derive(&lmk);
    let mut entropy = Recorder::new(4);
    let content = b"device keys and epoch keys";
    let sealed = keys
        .seal_keyfile(WhichSpace::Shared, content, &mut entropy)
        .unwrap();
    let mut record_entropy = Recorder::new(5);
    let segment = SegmentKey::new(Secret::new([3; 32]));
    let record = segment
        .seal_record(b"place", b"value", &mut record_entropy)
        .unwrap();
    let vector = json!({
        "lmk": hex(lmk.expose()),
        "value_key": hex(keys.value_key().expose()),
        "keyfile_key": hex(kdf::derive::<32>(lmk.expose(), &[], label::KEYFILE, &[]).expose()),
        "name": { "logical": hex(b"doc 1"), "hidden": hex(keys.name(b"doc 1")) },
        "keyfile": {
            "which": 2,
            "content": hex(content),
            "nonce": hex(&entropy.drawn),
            "length": sealed.len(),
            "first_96": hex(&sealed[..96]),
            "hash_under_label_x": hex(ajar_protocol::id::hash("x", &[&sealed])),
        },
        "record": {
            "key": hex(segment.expose()),
            "aad": hex(b"place"),
            "value": hex(b"value"),
            "nonce": hex(&record_entropy.drawn),
            "sealed": hex(record),
        },
    });
    check("local.json", &vector);
}

#[test]
fn words_for_people() {
    let (space, lower, higher) = (
        SpaceId([0x51; 32]),
        PartyId([0x0a; 32]),
        PartyId([0x0b; 32]),
    );
    let vector = json!({
        "safety_words": {
            "space_id": hex(space),
            "party_lower": hex(lower),
            "party_higher": hex(higher),
            "words": safety_words(&space, &lower, &higher),
        },
        "sync_words": { "frontier": hex(b"frontier"), "words": sync_words(b"frontier") },
        "sas_words": { "transcript": hex([7; 32]), "exchanged": hex(b"keys"), "words": sas_words(&[7; 32], b"keys") },
    });
    check("words.json", &vector);
}
