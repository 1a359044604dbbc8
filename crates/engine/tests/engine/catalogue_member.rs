//! The attack catalogue, a member with a changed program: other keys, lies about what it has
//! seen, and what was burned coming back.

use ajar_crypto::epoch::open_epoch;
use ajar_crypto::pad::pad;
use ajar_crypto::{kdf, label};
use ajar_engine::store::Store;
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::changes::Changes;
use ajar_protocol::envelope::{EnvelopeHeader, assemble};
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{DocId, Envelope, EnvelopeId, Position};
use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeS, Serializable};

use crate::craft;
use crate::removal::hide;
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, HOUR, LAPTOP, World, content_of, rng};

/// The epoch, with a seal to one recipient that opens well and holds another key.
fn with_another_key(rogue: &mut Rogue, epoch: &[u8], victim: [u8; 32]) -> Vec<u8> {
    let author = rogue.secrets.public().sign;
    let epoch = Envelope::parse(epoch).unwrap().verify(&author).unwrap();
    let to = rogue.recipients();
    let kem = to.iter().find(|one| one.id == victim).unwrap().kem;
    let mut record = EpochRecord::parse(epoch.body()).unwrap();
    let (number, commitment) = (record.number, record.commitment);
    let mut seals = record.seals.iter_mut();
    let seal = seals.find(|seal| seal.recipient == victim).unwrap();
    let info = [
        &label::prefixed(label::EPOCH_SEAL),
        rogue.space.0.as_slice(),
        &number.to_be_bytes(),
        &commitment,
        &victim,
    ]
    .concat();
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &<X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&kem).unwrap(),
            &info,
            &[0x66; 32],
            epoch.aad(),
            &mut rng(36),
        )
        .unwrap();
    seal.encapsulated.copy_from_slice(&encapsulated.to_bytes());
    seal.ciphertext = ciphertext.try_into().unwrap();
    // To everyone else all is as it should be: the older keys are sealed anew over the seals.
    let (own, kem) = (rogue.secrets.id(), rogue.secrets.kem_secret());
    let opened = open_epoch(&epoch, &own.0, kem).unwrap();
    let mut history = Vec::new();
    for (id, key) in &opened.history {
        history.extend([id.0, *key.expose()].concat());
    }
    let key = kdf::derive::<32>(opened.key.expose(), &[], label::EPOCH_HIST, &[]);
    let aad = [epoch.aad(), &record.encode_front()].concat();
    let msg = &pad(&history);
    let payload = Payload { msg, aad: &aad };
    record.history = XChaCha20Poly1305::new(&Key::from(*key.expose()))
        .encrypt(&XNonce::from(record.history_nonce), payload)
        .unwrap();
    let payload = record.encode();
    let header = EnvelopeHeader {
        length: u32::try_from(payload.len()).unwrap(),
        ..*epoch.header()
    };
    let signed = assemble(&header, &payload, |id| rogue.secrets.sign_envelope(&id.0)).unwrap();
    rogue.last = Some(Position {
        counter: header.counter,
        id: signed.id(),
    });
    rogue.epoch = signed.id().into();
    signed.as_bytes().to_vec()
}

#[test]
fn t036_another_key_for_one_recipient_is_told_by_it_and_parts_nobody() {
    let mut world = World::with_laptop(3601);
    let laptop = world.devices[LAPTOP].home.device();
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let device = ben.secrets.id();
    let to = ben.recipients();
    let epoch = ben.epoch(3, &[ben.epoch], &to);
    let epoch = with_another_key(&mut ben, &epoch, laptop.0);
    world.inject(epoch);
    world.run();
    let bad = NoticeKind::BadEpoch { device };
    assert!(world.notices(LAPTOP).contains(&bad));
    // To the phone nothing is wrong: its own seal is good.
    assert!(!world.notices(ANA).contains(&bad));
    let (hers, other) = (
        world.new_doc(ANA, Ownership::Mine),
        world.new_doc(LAPTOP, Ownership::Mine),
    );
    world.put(ANA, hers, "x", "under Ben's key");
    world.put(LAPTOP, other, "x", "from the laptop");
    world.run();
    assert_eq!(world.value(LAPTOP, hers, "x"), None, "and no other text");
    assert_eq!(
        world.value(ANA, other, "x").as_deref(),
        Some("from the laptop")
    );
    // No key that Ben invented is kept.
    let ring = world.devices[LAPTOP].store.load_keys().unwrap().unwrap();
    assert!(!ring.windows(32).any(|part| part == [0x66; 32]));
    world.restart(LAPTOP);
    world.connect(LAPTOP);
    world.run();
    world.pass(90 * 24 * HOUR);
    world.put(ANA, hers, "y", "later");
    world.run();
    assert_eq!(
        world.value(LAPTOP, hers, "x").as_deref(),
        Some("under Ben's key")
    );
    assert_eq!(world.heads(ANA), world.heads(LAPTOP));
    assert_eq!(world.devices[LAPTOP].home.status().parked, 0);
    assert_eq!(world.devices[LAPTOP].home.status().missing, 0);
}

#[test]
fn t083_lies_about_what_was_seen_hide_no_later_gap_and_no_fork() {
    let mut world = World::with_laptop(8301);
    let doc = world.new_doc(LAPTOP, Ownership::Mine);
    world.put(LAPTOP, doc, "x", "1");
    world.run();
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let (phone, laptop) = (
        world.devices[ANA].home.device(),
        world.devices[LAPTOP].home.device(),
    );
    let lie = |counter| Position {
        counter,
        id: EnvelopeId([3; 32]),
    };
    let mut acks = vec![(phone, lie(900)), (laptop, lie(u64::MAX))];
    acks.sort_by_key(|(device, _)| *device);
    let envelope = ben.content(&Changes {
        acks,
        ..Changes::default()
    });
    world.inject(envelope);
    world.run();
    let withheld = |world: &World| {
        let told = world.notices(ANA);
        let of = |kind: &NoticeKind| matches!(kind, NoticeKind::Withheld { device, .. } if *device == laptop);
        told.iter().any(of)
    };
    // A real gap follows: the relay keeps one of the laptop's from the phone.
    hide(&mut world, LAPTOP, ANA);
    world.put(LAPTOP, doc, "x", "2");
    world.run();
    world.fault = None;
    world.put(LAPTOP, doc, "x", "3");
    world.run();
    assert_eq!(world.devices[ANA].home.status().parked, 1);
    assert_eq!(world.value(ANA, doc, "x").as_deref(), Some("1"));
    world.pass(25 * HOUR);
    assert!(withheld(&world));
    // Whoever waves it away is told again: it is still so, also after a restart.
    world.devices[ANA].home.dismiss_notices().unwrap();
    assert!(!withheld(&world));
    world.pass(HOUR);
    assert!(withheld(&world));
    world.restart(ANA);
    assert!(withheld(&world));
    world.connect(ANA);
    world.run();
    assert_eq!(world.value(ANA, doc, "x").as_deref(), Some("3"));
    let hers = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, hers, "x", "goes on");
    world.run();
    assert_eq!(world.heads(ANA), world.heads(LAPTOP));
    // Two histories of the laptop are still told, whoever shows them.
    let counter = world.devices[ANA].home.frontier().counter(&laptop);
    let envelope = ben.content(&Changes {
        acks: vec![(laptop, lie(counter))],
        ..Changes::default()
    });
    world.inject(envelope);
    world.run();
    let forked = NoticeKind::Forked {
        device: laptop,
        counter,
    };
    assert!(world.notices(ANA).contains(&forked));
    for who in [ANA, LAPTOP] {
        assert!(!world.devices[who].home.status().stale);
    }
}

fn burn(world: &mut World, who: usize, doc: DocId) {
    let device = &mut world.devices[who];
    let outputs = device.home.burn(world.now, &mut device.rng, &[doc], &[]);
    world.take(who, outputs.unwrap());
    world.run();
}

#[test]
fn t078_what_was_burned_does_not_come_back_whoever_writes_into_it() {
    let mut world = World::with_laptop(7801);
    let (his, common) = (
        world.new_doc(BEN, Ownership::Mine),
        world.new_doc(ANA, Ownership::Common),
    );
    for doc in [his, common] {
        world.put(BEN, doc, "x", "CANARY");
    }
    world.run();
    let past = [his, common].map(|doc| world.devices[BEN].home.document(&doc).unwrap().fork());
    burn(&mut world, BEN, his);
    burn(&mut world, BEN, common);
    burn(&mut world, ANA, common);
    let both = [his, common];
    let gone = |world: &mut World, devices: &[usize]| {
        for who in devices {
            for doc in both {
                assert_eq!(world.value(*who, doc, "x"), None, "device {who}");
                assert!(!world.heads(*who).contains_key(&doc), "device {who}");
            }
        }
    };
    gone(&mut world, &[ANA, BEN, LAPTOP]);
    // He writes on in what he kept of them, and from nothing.
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let mut write = |world: &mut World, n: u32| {
        for (doc, past) in both.into_iter().zip(&past) {
            for mut from in [past.fork(), Automerge::new()] {
                let actor = ben.actor(&doc);
                let change = craft::edit(&mut from, &actor, |tx| tx.put(ROOT, "x", n));
                let envelope = ben.changes(doc, vec![change]);
                world.inject(envelope);
                world.run();
            }
        }
    };
    write(&mut world, 1);
    gone(&mut world, &[ANA, LAPTOP]);
    for who in [ANA, LAPTOP] {
        world.restart(who);
        world.connect(who);
        world.run();
    }
    gone(&mut world, &[ANA, LAPTOP]);
    write(&mut world, 2);
    gone(&mut world, &[ANA, LAPTOP]);
    // Nor by way of a snapshot that is made now, and a device that begins from it.
    world.snapshot(ANA);
    world.compare(LAPTOP);
    let tablet = world.link_offline(ANA);
    world.connect(tablet);
    world.run();
    world.start(tablet);
    gone(&mut world, &[ANA, LAPTOP, tablet]);
    write(&mut world, 3);
    gone(&mut world, &[ANA, LAPTOP, tablet]);
    let hers = world.new_doc(tablet, Ownership::Mine);
    world.put(tablet, hers, "x", "goes on");
    world.run();
    for who in [ANA, LAPTOP] {
        assert_eq!(
            content_of(&mut world.devices[who].home).0,
            world.heads(tablet)
        );
    }
}
