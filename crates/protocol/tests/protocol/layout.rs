//! The documented offsets and formulas, computed here by hand: a vector file alone would
//! happily pin a mistake.

use ajar_protocol::genesis::membership_head;
use ajar_protocol::link::{cosign_hash, proof_hash};
use ajar_protocol::{DocId, LinkBody, LinkHash, PartyId, SpaceId, id, label};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::samples;
use crate::space::shared;
use crate::support::{TIME, Words, ana, ben};

/// `Hash(s, x) = SHA-256(L(s) ‖ x)`.
fn hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut input = vec![u8::try_from(label.len()).unwrap()];
    input.extend(label.as_bytes());
    input.extend(parts.concat());
    Sha256::digest(input).into()
}

fn signed(key: &[u8; 32], label: &str, hash: &[u8; 32], signature: &[u8]) -> bool {
    let mut message = vec![u8::try_from(label.len()).unwrap()];
    message.extend(label.as_bytes());
    message.extend(hash);
    VerifyingKey::from_bytes(key)
        .unwrap()
        .verify(&message, &Signature::from_slice(signature).unwrap())
        .is_ok()
}

#[test]
fn a_link_is_laid_out_hashed_and_signed_as_documented() {
    let ana = ana();
    let [genesis, add] = ana.chain.links() else {
        unreachable!("Ana has two links")
    };
    let bytes = add.as_bytes();
    let n = bytes.len();
    assert_eq!(bytes[..4], [1, 2, 0, 0]);
    assert_eq!(bytes[4..36], ana.chain.id().0);
    assert_eq!(bytes[36..44], 1u64.to_be_bytes());
    assert_eq!(bytes[44..76], genesis.hash().0);
    assert_eq!(bytes[76..84], TIME.to_be_bytes());
    let body = usize::try_from(u32::from_be_bytes(bytes[84..88].try_into().unwrap())).unwrap();
    assert_eq!(n, 88 + body + 32 + 64);
    let keys = &ana.phone.public;
    assert_eq!(
        bytes[88..88 + 96],
        [keys.sign, keys.kem, keys.auth].concat()
    );
    assert_eq!(bytes[184..186], 11u16.to_be_bytes());
    assert_eq!(bytes[186..197], *b"sealed name");
    assert_eq!(body, 96 + 2 + 11 + 64);
    assert_eq!(bytes[88 + body..n - 64], ana.laptop.id().0);

    let expected = hash("ajar/v1/link-hash", &[&bytes[..n - 64]]);
    assert_eq!(add.hash().0, expected);
    let key = &ana.laptop.public.sign;
    assert!(signed(key, "ajar/v1/link-sig", &expected, &bytes[n - 64..]));
    let party = hash("ajar/v1/party-id", &[&genesis.hash().0]);
    assert_eq!(ana.chain.id().0, party);
    assert_eq!(genesis.as_bytes().len(), 88 + 209 + 32 + 64);
}

#[test]
fn ids_are_hashes_under_their_own_labels() {
    let ana = ana();
    let (keys, root) = (&ana.laptop.public, &ana.words.public);
    assert_eq!(
        keys.id().0,
        hash("ajar/v1/device-id", &[&keys.sign, &keys.kem, &keys.auth])
    );
    assert_eq!(root.root_id(), hash("ajar/v1/root-id", &[&root.root]));
    assert_eq!(
        root.recovery_id(),
        hash("ajar/v1/recovery-id", &[&root.recovery_kem])
    );
    let (space, doc) = (SpaceId([1; 32]), DocId([2; 16]));
    let actor = hash(
        "ajar/v1/actor",
        &[&[1; 32], &keys.id().0, &[2; 16], &[0, 0, 0, 5]],
    );
    assert_eq!(id::actor(&space, &keys.id(), &doc, 5), actor[..16]);
}

#[test]
fn proofs_and_cosignatures_bind_the_place_and_the_keys() {
    let (party, prev) = (PartyId([1; 32]), LinkHash([2; 32]));
    let keys = &ana().laptop.public;
    assert_eq!(
        proof_hash(&party, 7, &prev, keys),
        hash(
            "ajar/v1/link-pop",
            &[
                &[1; 32],
                &7u64.to_be_bytes(),
                &[2; 32],
                &keys.sign,
                &keys.kem,
                &keys.auth
            ]
        )
    );
    let root = Words::new("words").public;
    assert_eq!(
        cosign_hash(&party, 7, &prev, &root),
        hash(
            "ajar/v1/link-cosign",
            &[
                &[1; 32],
                &7u64.to_be_bytes(),
                &[2; 32],
                &root.root,
                &root.login,
                &root.recovery_kem
            ]
        )
    );
}

#[test]
fn an_envelope_is_laid_out_hashed_and_signed_as_documented() {
    let ana = ana();
    let envelope = samples::changes_envelope(&ana);
    let (bytes, header) = (envelope.as_bytes(), envelope.header());
    assert_eq!(bytes.len(), 1336, "312 bytes around 1024");
    assert_eq!(bytes[..4], [1, 1, 1, 0]);
    assert_eq!(bytes[4..36], header.space.0);
    assert_eq!(bytes[36..68], header.epoch.0);
    assert_eq!(bytes[68..100], ana.laptop.id().0);
    assert_eq!(bytes[100..108], 2u64.to_be_bytes());
    assert_eq!(bytes[108..140], header.prev.0);
    assert_eq!(bytes[140..172], header.mhead);
    assert_eq!(bytes[172..196], header.nonce);
    assert_eq!(bytes[196..228], header.commitment);
    assert_eq!(bytes[228..232], 1024u32.to_be_bytes());
    let id = hash("ajar/v1/env-hash", &[&bytes[..1336 - 64]]);
    assert_eq!(envelope.id().0, id);
    let key = &ana.laptop.public.sign;
    assert!(signed(key, "ajar/v1/env-sig", &id, &bytes[1336 - 64..]));
}

#[test]
fn an_epoch_envelope_has_no_tag_and_its_id_names_the_epoch() {
    let (ana, ben) = (ana(), ben());
    let envelope = samples::epoch_envelope(&ana, &ben);
    let record = samples::epoch_record(&ana, &ben).encode();
    let bytes = envelope.as_bytes();
    assert_eq!(bytes.len(), 232 + record.len() + 64);
    assert_eq!(bytes[232..bytes.len() - 64], record);
    let changes = samples::changes_envelope(&ana);
    assert_eq!(changes.header().epoch.0, envelope.id().0);
}

#[test]
fn an_epoch_record_is_laid_out_as_documented() {
    let (ana, ben) = (ana(), ben());
    let record = samples::epoch_record(&ana, &ben);
    let bytes = record.encode();
    assert_eq!(bytes[0], 1);
    assert_eq!(bytes[1..9], 3u64.to_be_bytes());
    assert_eq!(bytes[9..11], [6, 2]);
    assert_eq!(bytes[11..75], [[0x11; 32], [0x22; 32]].concat());
    assert_eq!(bytes[75..107], record.head_lower.0);
    assert_eq!(bytes[107..139], record.head_higher.0);
    assert_eq!(bytes[139..171], record.commitment);
    assert_eq!(usize::from(bytes[171]), record.seals.len());
    assert_eq!(bytes[172..204], record.seals[0].recipient);
    assert_eq!(bytes[204..236], record.seals[0].encapsulated);
    assert_eq!(bytes[236..284], record.seals[0].ciphertext);
    let end = 172 + record.seals.len() * 112;
    assert_eq!(bytes[end..end + 4], 144u32.to_be_bytes());
    assert_eq!(bytes[end + 4..end + 28], record.history_nonce);
    assert_eq!(bytes[end + 28..], record.history);
}

#[test]
fn a_space_genesis_is_laid_out_and_hashed_as_documented() {
    let (ana, ben) = (ana(), ben());
    let (genesis, [lower, higher]) = shared(&ana, &ben);
    let bytes = genesis.encode();
    assert!(lower.id() < higher.id());
    assert_eq!(bytes.len(), 228);
    assert_eq!(bytes[..4], [1, 2, 0, 0]);
    assert_eq!(bytes[4..36], lower.id().0);
    assert_eq!(bytes[36..68], higher.id().0);
    let id = hash("ajar/v1/space-id", &[&bytes[..100]]);
    assert_eq!(genesis.id().0, id);
    for (chain, at) in [(lower, 100), (higher, 164)] {
        let key = &chain.first_device().unwrap().sign;
        assert!(signed(key, "ajar/v1/space-sig", &id, &bytes[at..at + 64]));
    }
}

#[test]
fn a_membership_head_is_two_numbers_and_a_hash() {
    let (ana, ben) = (ana(), ben());
    let (_, [lower, higher]) = shared(&ana, &ben);
    let seqs = [lower.last_seq(), higher.last_seq()];
    let head = membership_head(&[lower, higher], &seqs).unwrap();
    let low = u32::try_from(seqs[0]).unwrap().to_be_bytes();
    let high = u32::try_from(seqs[1]).unwrap().to_be_bytes();
    assert_eq!((&head[..4], &head[4..8]), (&low[..], &high[..]));
    let full = hash("ajar/v1/mhead", &[&lower.head().0, &higher.head().0]);
    assert_eq!(head[8..], full[..24]);
    let alone = membership_head(&[&ana.chain], &[1]).unwrap();
    let full = hash("ajar/v1/mhead", &[&ana.chain.head().0, &[0; 32]]);
    assert_eq!(alone[8..], full[..24]);
}

#[test]
fn a_login_is_laid_out_and_signed_as_documented() {
    let ana = ana();
    let login = samples::login(&ana);
    let bytes = login.encode();
    assert_eq!(bytes.len(), 1 + 4 * 32 + 64);
    let message: [u8; 32] =
        Sha256::digest([&samples::EXPORTER[..], &bytes[1..129]].concat()).into();
    assert_eq!(bytes[1..33], samples::RELAY);
    assert_eq!(bytes[97..129], ana.laptop.public.auth);
    assert!(signed(
        &ana.laptop.public.auth,
        "ajar/v1/relay-auth",
        &message,
        &bytes[129..]
    ));
}

#[test]
fn labels_are_short_distinct_and_have_the_prefix() {
    let all = [
        label::ENV_HASH,
        label::ENV_SIG,
        label::LINK_HASH,
        label::LINK_SIG,
        label::LINK_POP,
        label::LINK_COSIGN,
        label::PARTY_ID,
        label::SPACE_ID,
        label::SPACE_SIG,
        label::DEVICE_ID,
        label::ROOT_ID,
        label::RECOVERY_ID,
        label::MHEAD,
        label::ACTOR,
        label::RELAY_AUTH,
        label::RELAY_PERMIT,
        label::SAFETY_WORDS,
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    for text in all {
        assert!(text.starts_with("ajar/v1/") && text.is_ascii());
        let prefixed = label::prefixed(text);
        assert_eq!(usize::from(prefixed[0]), text.len());
        assert_eq!(&prefixed[1..], text.as_bytes());
    }
    let policy = LinkBody::Policy { min_version: 1 };
    assert_eq!(policy.kind() as u8, 7, "numbers of kinds are never reused");
}
