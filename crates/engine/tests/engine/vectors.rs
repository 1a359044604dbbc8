//! Golden vectors of what the engine puts together: the messages of a partner pairing, and one
//! edit as a whole envelope. `AJAR_REGENERATE_VECTORS=1` writes the file instead of comparing.
//! A changed vector is a changed protocol.

use std::fmt::Write;
use std::path::PathBuf;

use ajar_crypto::RecoveryPhrase;
use ajar_engine::pairing::{OwnHalf, first_epoch, verdict};
use ajar_engine::store::MemoryStore;
use ajar_engine::{Now, Replica};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::{DocId, Envelope, id};
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ROOT};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

const NOW: Now = Now {
    wall_ms: 1_700_000_000_000,
    elapsed: std::time::Duration::ZERO,
};

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    let mut text = String::new();
    for byte in bytes.as_ref() {
        write!(text, "{byte:02x}").unwrap();
    }
    text.into()
}

fn check(name: &str, actual: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    if std::env::var_os("AJAR_REGENERATE_VECTORS").is_some_and(|value| value == "1") {
        let mut text = serde_json::to_string_pretty(actual).unwrap();
        text.push('\n');
        std::fs::write(path, text).unwrap();
        return;
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(&expected, actual, "{name}");
}

fn half(seed: u64) -> OwnHalf {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let words = RecoveryPhrase::generate(&mut rng).unwrap();
    let slot = words.slot_keys(1).unwrap().public();
    OwnHalf::new(NOW, &mut rng, &slot).unwrap()
}

#[test]
fn a_partner_pairing_and_the_first_edit() {
    let (ana, ben) = (half(1), half(2));
    let (offer_a, offer_b) = (ana.offer("Ana", Some([7; 16])), ben.offer("Ben", None));
    let (ana, signature_a) = ana.meet(&offer_b).unwrap();
    let (ben, signature_b) = ben.meet(&offer_a).unwrap();
    assert_eq!(ben.claim(), Some([7; 16]));
    let ana = ana.sign(&signature_b).unwrap();
    ben.sign(&signature_a).unwrap();
    let words = ana.words();
    let space = ana.confirmed(&verdict(true)).unwrap();
    let genesis = space.genesis.encode();

    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut replica = Replica::create(MemoryStore::default(), space).unwrap();
    let epoch = first_epoch(&mut replica, NOW, &mut rng).unwrap();
    let doc = DocId([1; 16]);
    replica.connected([9; 32]);
    let ((), outputs) = replica
        .change(NOW, &mut rng, doc, |tx| {
            tx.put(ROOT, "text", "hello")?;
            Ok::<_, AutomergeError>(())
        })
        .unwrap();
    // Not welcomed by a relay yet: nothing is sent.
    assert!(
        !outputs
            .send
            .iter()
            .any(|message| matches!(message, ClientMsg::Append(_)))
    );
    let device = replica.device();
    let position = replica.frontier().of(&device).unwrap();
    let actor = id::actor(&replica.space_id(), &device, &doc, 0);
    let envelope: Envelope = replica
        .envelope(&device, position.counter)
        .unwrap()
        .unwrap();
    check(
        "pairing.json",
        &json!({
            "now_ms": NOW.wall_ms,
            "offer_shower": hex(offer_a),
            "offer_enterer": hex(offer_b),
            "signature_shower": hex(signature_a),
            "signature_enterer": hex(signature_b),
            "verdict_same": hex(verdict(true)),
            "verdict_different": hex(verdict(false)),
            "genesis": hex(genesis),
            "words": words,
            "first_epoch": hex(epoch),
            "edit": {
                "doc": hex(doc),
                "actor": hex(actor),
                "counter": position.counter,
                "envelope_id": hex(position.id),
                "envelope": hex(envelope.as_bytes()),
            },
        }),
    );
}
