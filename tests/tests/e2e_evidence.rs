//! What people see of a relay that keeps two worlds, of a copied device and of damage: words to
//! compare, notices, and a file that somebody can check who has no Ajar.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ajar_tests::canary;
use ajar_tests::client::{Person, pair};
use ajar_tests::liar::{Liar, Twists};
use ajar_tests::relay::Relay;
use ajar_tests::searcher::Keys;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn two(address: &str) -> (Person, Person) {
    let (ana, ben) = (
        Person::with_home("Ana", address),
        Person::with_home("Ben", address),
    );
    pair(&ana, &ben);
    for person in [&ana, &ben, &ana] {
        person.sync();
    }
    (ana, ben)
}

/// What `status --words` says: the words, and whether they can be compared.
fn words(person: &Person, space: &str) -> (Vec<String>, bool) {
    let said = person.ajar(&["status", "--words", space]).json();
    let words = said["words"].as_array().unwrap().iter();
    let words: Vec<String> = words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(words.len(), 4, "{said}");
    (words, said["comparable"].as_bool().unwrap())
}

#[test]
fn words_are_the_same_when_both_have_everything_and_only_then() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let alone = Person::with_home("Cleo", &address);
    let refused = alone.ajar(&["status", "--words"]).exits(1);
    assert_eq!(refused.error_code(), "not-paired");

    let (ana, ben) = two(&relay.invite());
    let laptop = ana.device("laptop");
    for device in [&ana, &ben, &laptop] {
        device.sync();
    }
    let before = words(&ana, "us");
    assert!(before.1);
    for device in [&ben, &laptop] {
        assert_eq!(words(device, "us"), before);
    }
    assert_eq!(words(&ana, "me"), words(&laptop, "me"));
    assert_ne!(words(&ana, "me"), before);
    assert_ne!(words(&ana, "me").0, words(&ben, "me").0);

    // What is on its way is said, and the words differ meanwhile.
    relay.kill();
    assert!(!ana.share("on its way"));
    let (differ, comparable) = words(&ana, "us");
    assert!(!comparable);
    assert_ne!(differ, before.0);
    let mut plain = ana.command(&["status", "--words"]);
    let plain = plain.env("COLUMNS", "200").output().unwrap();
    assert!(plain.status.success());
    relay.serve();
    for device in [&ana, &ben, &laptop, &ana, &ben, &laptop] {
        device.sync();
    }
    for device in [&ana, &ben, &laptop] {
        assert_eq!(words(device, "us"), (differ.clone(), true));
    }
    // A private word changes nothing that Ben could see, and those of Only me.
    let mine = words(&ana, "me");
    let _ = ana.write("private", "a thought");
    assert_eq!(words(&ana, "us"), (differ, true));
    assert_ne!(words(&ana, "me").0, mine.0);
}

/// Threats 19 and 20: nothing that travels tells of two worlds; the words do.
#[test]
fn words_stay_different_in_two_worlds_and_are_the_same_when_these_meet() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    relay.kill();
    let other = relay.second_world();
    relay.serve();
    assert!(ana.share("in Ana's world"));
    relay.kill();
    relay.change_worlds(&other);
    assert!(ben.share("in Ben's world"));
    for _ in 0..2 {
        ben.sync();
    }
    let (hers, his) = (words(&ana, "us"), words(&ben, "us"));
    assert!(hers.1 && his.1, "each believes to have everything");
    assert_ne!(hers.0, his.0);
    for person in [&ana, &ben, &ana, &ben] {
        person.sync();
    }
    assert_eq!(words(&ana, "us"), words(&ben, "us"));
    assert_eq!(ana.shared_texts(), ["in Ana's world", "in Ben's world"]);
    assert_eq!(ben.shared_texts(), ana.shared_texts());
    let told = ana.notices("rolled-back");
    assert_eq!(
        told,
        ["The server returned an older version. Nothing was lost here."]
    );
}

#[test]
fn a_copied_device_in_two_worlds_leaves_evidence_that_anybody_can_check() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    let copy = ana.copy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proof.json");
    let path = file.to_str().unwrap();
    let none = ben.ajar(&["status", "--evidence", path]).exits(1);
    assert_eq!(none.error_code(), "no-evidence", "{none:?}");
    assert!(!file.exists());

    relay.kill();
    let other = relay.second_world();
    relay.serve();
    assert!(ana.share("CANARY-from the original"));
    ben.sync();
    assert!(ben.share("CANARY-an answer"));
    relay.kill();
    relay.change_worlds(&other);
    assert!(copy.share("CANARY-from the copy"));
    assert!(copy.share("CANARY-and more of it"));
    ben.sync();
    assert_eq!(
        ben.notices("forked"),
        [
            "Two different histories carry the signature of Ana's device. Either that device was copied or restored from a backup, or its keys were stolen."
        ]
    );
    assert!(
        !ben.shared_texts()
            .contains(&"CANARY-from the copy".to_owned())
    );

    let said = ben.ajar(&["status", "--evidence", path]).json();
    assert_eq!(said, json!({"file": path, "count": 1}));
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read(&file).unwrap();
    let again = ben.ajar(&["status", "--evidence", path]).exits(1);
    assert_eq!(again.error_code(), "evidence-file");
    assert_eq!(fs::read(&file).unwrap(), text, "nothing is overwritten");
    assert_eq!(
        canary::find_deep(folder.path(), &["CANARY", "Ana quiet", "Ben quiet"]),
        []
    );
    no_secret_is_in(&text, &ben);
    let evidence: Value = serde_json::from_slice(&text).unwrap();
    let pieces = evidence["evidence"].as_array().unwrap();
    assert_eq!(
        (pieces[0]["of"].as_str(), pieces[0]["space"].as_str()),
        (Some("partner"), Some("us"))
    );
    check(&pieces[0]).unwrap();
    // The check itself can fail.
    let mut forged = pieces[0].clone();
    let bytes = forged["statements"][1]["bytes"]
        .as_str()
        .unwrap()
        .replacen("00", "01", 1);
    forged["statements"][1]["bytes"] = json!(bytes);
    assert!(check(&forged).is_err());
}

/// Threat 7, as a person sees it.
#[test]
fn damaged_data_is_told_and_the_rest_goes_on() {
    let liar = Liar::lets_everybody_in();
    let (ana, ben) = two(&liar.invite());
    liar.twist(Twists {
        damaged: true,
        ..Twists::default()
    });
    for text in ["one", "two", "three"] {
        assert!(ana.share(text));
    }
    let _ = ben.ajar(&["sync", "--timeout", "5"]);
    assert_eq!(
        ben.notices("damaged-data"),
        ["The server sent damaged data."]
    );
    assert!(ben.shared_texts().is_empty());
    liar.is_honest();
    ben.sync();
    assert_eq!(ben.shared_texts().len(), 3);
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap().as_bytes();
    let pairs = text
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn labelled(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let length = u8::try_from(label.len()).unwrap();
    [&[length], label.as_bytes(), &parts.concat()].concat()
}

fn hash(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    Sha256::digest(labelled(label, parts)).to_vec()
}

/// Checks a piece of evidence as the file says, with nothing of Ajar.
fn check(piece: &Value) -> Result<(), String> {
    let mut found = Vec::new();
    let mut signer = Vec::new();
    for statement in piece["statements"].as_array().unwrap() {
        let (bytes, key) = (unhex(&statement["bytes"]), unhex(&statement["key"]));
        let (content, signature) = bytes.split_at(bytes.len() - 64);
        assert_eq!(statement["kind"], "envelope");
        let id = hash("ajar/v1/env-hash", &[content]);
        let key = VerifyingKey::from_bytes(&key.try_into().unwrap()).unwrap();
        let signature = Signature::from_slice(signature).unwrap();
        let signed = labelled("ajar/v1/env-sig", &[&id]);
        key.verify_strict(&signed, &signature)
            .map_err(|error| error.to_string())?;
        let keys = ["sign", "kem", "auth"].map(|name| unhex(&statement["device"][name]));
        assert_eq!(keys[0], key.to_bytes());
        let device = hash("ajar/v1/device-id", &[&keys[0], &keys[1], &keys[2]]);
        assert_eq!(
            (&bytes[68..100], unhex(&statement["signer"])),
            (&device[..], device.clone())
        );
        let place = u64::from_be_bytes(bytes[100..108].try_into().unwrap());
        assert_eq!(
            (statement["place"].as_u64(), unhex(&statement["id"])),
            (Some(place), id.clone())
        );
        found.push((place, id, bytes[108..140].to_vec()));
        signer.push(keys.concat());
    }
    let [(one, id, _), (other, other_id, before)] = &found[..] else {
        return Err("two statements".to_owned());
    };
    let contradicts = one == other && id != other_id || one + 1 == *other && id != before;
    assert!(contradicts, "{piece}");
    // Both were signed by one device, which stands in the signed list of the party.
    assert_eq!(signer[0], signer[1]);
    let chain: Vec<Vec<u8>> = piece["chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(unhex)
        .collect();
    let genesis = hash("ajar/v1/link-hash", &[&chain[0][..chain[0].len() - 64]]);
    assert_eq!(
        hash("ajar/v1/party-id", &[&genesis]),
        unhex(&piece["party"])
    );
    assert!(chain.iter().any(|link| canary::contains(link, &signer[0])));
    Ok(())
}

/// Nothing in the file opens anything: no key of the home is in it.
fn no_secret_is_in(text: &[u8], person: &Person) {
    let mut keys = Keys::default();
    keys.add(person);
    let secrets = keys.secrets();
    assert!(secrets.len() > 6);
    for secret in secrets {
        assert!(!canary::holds(text, &secret));
    }
}
