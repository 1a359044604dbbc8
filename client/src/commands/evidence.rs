//! `ajar status --evidence FILE`: the proofs of two different histories, in a file that somebody
//! can check who has neither Ajar nor any key. No network.

use std::path::Path;

use ajar_sync::{Contradiction, Evidence, Space, Statement};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::export;
use crate::context::{Context, Need};
use crate::dates;
use crate::names::{Author, space_word};
use crate::report::{Exit, Failure};

/// How somebody without Ajar checks the file. Every label and place in it is of
/// `docs/protocol.md`.
const HOW: [&str; 8] = [
    "All bytes are hexadecimal. L(s) is one byte with the length of the text s, then s. || joins.",
    "id of an envelope: SHA-256(L(\"ajar/v1/env-hash\") || bytes without the last 64). The last 64 bytes are an Ed25519 signature with `key` over L(\"ajar/v1/env-sig\") || id.",
    "In an envelope: bytes 68 to 99 are its device, 100 to 107 its place (most significant byte first), 108 to 139 the id of the envelope before it.",
    "id of a link: SHA-256(L(\"ajar/v1/link-hash\") || bytes without the last 64). The last 64 bytes are an Ed25519 signature with `key` over L(\"ajar/v1/link-sig\") || id.",
    "In a link: bytes 4 to 35 are its party, 36 to 43 its place, 44 to 75 the id of the link before it; the 32 bytes before the signature are its signer.",
    "signer: for a device SHA-256(L(\"ajar/v1/device-id\") || sign || kem || auth), where `key` is sign; for the twelve words SHA-256(L(\"ajar/v1/root-id\") || key).",
    "chain: the signed links of the party, the first one first. The device and its keys, or the key of the words, stand in one of them.",
    "An honest device signs one statement for each place, and each names the one before it. Two that contradict each other prove that the same key was used in two places: the device was copied or restored from a backup, or its keys were stolen. They do not prove who did it.",
];

pub(crate) fn run(context: &Context, file: &Path) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let mut pieces = Vec::new();
    for space in home.spaces() {
        for evidence in space.evidence()? {
            pieces.push(to_json(&space, &evidence)?);
        }
    }
    let locked = !home.is_private_unlocked();
    home.close()?;
    if pieces.is_empty() {
        let hint = match locked {
            true => "Only me is locked and was not looked at; set AJAR_PRIVATE_PASSPHRASE.",
            false => {
                "That is good. Other notices of `ajar status` leave nothing that is signed twice."
            }
        };
        let none = "There is no evidence: no two histories with one signature were seen here. No file was made.";
        return Err(Failure::fixable("no-evidence", none).hint(hint));
    }
    let value = json!({
        "what": "evidence of Ajar, version 1",
        "written": dates::utc(dates::now_ms()),
        "how_to_check": HOW,
        "evidence": pieces,
    });
    let text = serde_json::to_string_pretty(&value)
        .map_err(|error| Failure::new(Exit::Bug, "bug", format!("cannot write JSON: {error}")))?;
    export::write("evidence-file", file, (text + "\n").as_bytes())?;
    let count = pieces.len();
    out.data(&json!({"file": file, "count": count}), || {
        let pieces = match count {
            1 => "1 piece of evidence is".to_owned(),
            many => format!("{many} pieces of evidence are"),
        };
        format!("{pieces} in {}.", file.display())
    })?;
    if locked {
        out.insist("Only me is locked and was not looked at.");
    }
    out.talk(
        "Anybody can check the file; it says how. No word of yours and no secret key is in it.",
    );
    Ok(())
}

fn to_json(space: &Space, evidence: &Evidence) -> Result<Value, Failure> {
    let links = evidence.statements.iter().all(|s| s.is_link);
    let (code, place, says) = match (evidence.contradiction, links) {
        (Contradiction::SamePlace(place), false) => (
            "same-place",
            place,
            "Two different envelopes of one device stand at one place of its history.",
        ),
        (Contradiction::OtherBefore(place), false) => (
            "other-before",
            place,
            "An envelope of a device names another one before it than the one that stands there.",
        ),
        (Contradiction::SamePlace(place), true) => (
            "same-place",
            place,
            "Two different links stand at one place of a list of devices.",
        ),
        (Contradiction::OtherBefore(place), true) => (
            "other-before",
            place,
            "A link of a list of devices names another one before it than the one that stands there.",
        ),
        (Contradiction::OtherCutoff(place), _) => (
            "other-cutoff",
            place,
            "A link that removed a device names another envelope at this place than the one that the device signed.",
        ),
    };
    Ok(json!({
        "space": space_word(space.kind()),
        "space_id": space.id()?.to_hex(),
        "of": Author::of(space, Some(evidence.party)).word(),
        "party": evidence.party.to_hex(),
        "contradiction": code,
        "place": place,
        "says": says,
        "statements": evidence.statements.iter().map(statement).collect::<Vec<_>>(),
        "chain": evidence.chain.iter().map(|link| HEXLOWER.encode(link)).collect::<Vec<_>>(),
    }))
}

fn statement(statement: &Statement) -> Value {
    json!({
        "kind": if statement.is_link { "link" } else { "envelope" },
        "place": statement.place,
        "id": HEXLOWER.encode(&statement.id),
        "before": HEXLOWER.encode(&statement.before),
        "signer": HEXLOWER.encode(&statement.signer),
        "key": HEXLOWER.encode(&statement.key),
        "device": statement.device.map(|keys| json!({
            "sign": HEXLOWER.encode(&keys.sign),
            "kem": HEXLOWER.encode(&keys.kem),
            "auth": HEXLOWER.encode(&keys.auth),
        })),
        "bytes": HEXLOWER.encode(&statement.bytes),
    })
}
