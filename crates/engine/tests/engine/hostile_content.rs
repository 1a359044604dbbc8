//! A member seals hostile content, or moves ciphertext to where it does not belong.

use ajar_engine::Ownership;
use ajar_protocol::changes::{Changes, Compression, DocChanges, join};
use ajar_protocol::codec::Writer;
use ajar_protocol::{Envelope, EnvelopeHeader, EnvelopeType, EpochId, SpaceId};
use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};

use crate::craft::{self, Craft};
use crate::hostile::scene;
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, content_of, start};

#[test]
fn content_that_is_cut_or_out_of_order_or_over_a_limit_is_left_out() {
    let mut scene = scene(112);
    let change = scene.change();
    let good = Changes {
        docs: vec![DocChanges {
            doc: scene.doc,
            incarnation: 0,
            changes: vec![change.clone()],
        }],
        ..Changes::default()
    };
    let encoded = good.encode().unwrap();
    for cut in [0, 1, 8, 9, 10, 26, 31, 36, encoded.len() - 1] {
        let plaintext = join(Compression::None, &encoded[..cut]);
        let envelope = scene.ben.seal(EnvelopeType::Changes, &plaintext);
        scene.is_left_out("cut", envelope);
    }
    let long = [encoded.as_slice(), &[0]].concat();
    for plaintext in [
        Vec::new(),
        vec![1],
        vec![2, 0],
        vec![1, 2],
        join(Compression::None, &long),
        join(Compression::Zstd, &encoded),
    ] {
        let envelope = scene.ben.seal(EnvelopeType::Changes, &plaintext);
        scene.is_left_out("version or length", envelope);
    }
    let many = |docs: u16, changes: u16, same: bool| {
        let mut out = Writer::default();
        out.i64(0).u8(0).u16(docs);
        for n in 0..docs {
            let mut id = [0x80; 16];
            id[1..3].copy_from_slice(&(if same { 0 } else { n }).to_be_bytes());
            out.raw(&id).u32(0).u16(changes);
            for _ in 0..changes {
                out.bytes32(&change);
            }
        }
        join(Compression::None, &out.finish())
    };
    for plaintext in [
        many(65, 1, false),
        many(2, 1, true),
        many(1, 0, false),
        many(1, 257, false),
    ] {
        let envelope = scene.ben.seal(EnvelopeType::Changes, &plaintext);
        scene.is_left_out("counts", envelope);
    }
}

#[test]
fn compression_bombs_are_left_out() {
    let mut scene = scene(113);
    let zeros = vec![0; 100 << 20];
    let bomb = zstd::bulk::compress(&zeros, 19).unwrap();
    drop(zeros);
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let twice = zstd::bulk::compress(&bomb, 19).unwrap();
    for bomb in [bomb.clone(), twice, bomb[..bomb.len() / 2].to_vec()] {
        let plaintext = join(Compression::Zstd, &bomb);
        let envelope = scene.ben.seal(EnvelopeType::Changes, &plaintext);
        scene.is_left_out("zstd", envelope);
    }
}

#[test]
fn a_good_change_beside_a_bad_one_is_left_out_with_it() {
    let mut scene = scene(114);
    let good_doc = scene.world.new_doc(BEN, Ownership::Mine);
    let good = craft::edit(&mut Automerge::new(), &scene.ben.actor(&good_doc), |tx| {
        tx.put(ROOT, "x", 1)
    });
    let bomb = Craft::nulls(&scene.ben.actor(&scene.doc), 1 << 40).bytes();
    let item = |doc, change| DocChanges {
        doc,
        incarnation: 0,
        changes: vec![change],
    };
    let mut docs = vec![item(good_doc, good), item(scene.doc, bomb)];
    docs.sort_by_key(|item| item.doc);
    let envelope = scene.ben.content(&Changes {
        docs,
        ..Changes::default()
    });
    scene.is_left_out("all or none", envelope);
    assert!(scene.world.value(ANA, good_doc, "x").is_none());
}

#[test]
fn a_snapshot_a_burn_or_an_endorsement_that_is_none_is_left_out() {
    let mut scene = scene(115);
    for kind in [
        EnvelopeType::Snapshot,
        EnvelopeType::Burn,
        EnvelopeType::Endorse,
    ] {
        let envelope = scene.ben.seal(kind, &[1, 2, 3]);
        scene.is_left_out("type", envelope);
    }
}

/// Takes an envelope of Ana's, changes its header, and signs it as Ben's next.
fn resign(ben: &mut Rogue, bytes: &[u8], edit: impl FnOnce(&mut EnvelopeHeader)) -> Vec<u8> {
    let envelope = Envelope::parse(bytes).unwrap();
    let last = ben.last.unwrap();
    let mut header = *envelope.header();
    header.device = ben.secrets.id();
    header.counter = last.counter + 1;
    header.prev = last.id;
    header.mhead = ben.mhead;
    edit(&mut header);
    let body = &bytes[232..bytes.len() - 64];
    let signed =
        ajar_protocol::envelope::assemble(&header, body, |id| ben.secrets.sign_envelope(&id.0));
    let signed = signed.unwrap();
    ben.last = Some(ajar_protocol::Position {
        counter: header.counter,
        id: signed.id(),
    });
    signed.as_bytes().to_vec()
}

#[test]
fn ciphertext_moved_to_another_author_type_or_place_does_not_open() {
    let mut scene = scene(116);
    let anas = scene
        .world
        .relay
        .of(&scene.world.devices[ANA].home.device());
    let anas = anas.last().unwrap().clone();
    let greeting = scene.ben.content(&Changes::default());
    scene.world.inject(greeting);
    scene.world.run();
    let stolen = resign(&mut scene.ben, &anas, |_| ());
    scene.is_left_out("another author", stolen);
    // Ben's own ciphertext under another type, epoch or membership view.
    let change = scene.change();
    let own = scene.ben.changes(scene.doc, vec![change]);
    scene.world.inject(own.clone());
    scene.world.run();
    let moved = resign(&mut scene.ben, &own, |_| ());
    scene.is_left_out("another place", moved);
    let burn = resign(&mut scene.ben, &own, |header| {
        header.kind = EnvelopeType::Snapshot
    });
    scene.is_left_out("another type", burn);
    // The first epoch, which the laptop was no recipient of but has from history.
    let first = scene.world.relay.log.iter().find_map(|bytes| {
        let envelope = Envelope::parse(bytes).unwrap();
        let is_epoch = envelope.header().kind == EnvelopeType::Epoch;
        is_epoch.then(|| EpochId::from(envelope.id()))
    });
    let other = resign(&mut scene.ben, &own, |header| header.epoch = first.unwrap());
    scene.is_left_out("another epoch", other);
    let view = resign(&mut scene.ben, &own, |header| header.mhead[31] ^= 1);
    scene.is_left_out("another view of the membership", view);
}

#[test]
fn an_envelope_moved_to_another_space_and_signed_again_is_dropped() {
    let mut scene = scene(117);
    let change = scene.change();
    let own = scene.ben.changes(scene.doc, vec![change]);
    let elsewhere = resign(&mut scene.ben, &own, |header| {
        header.space = SpaceId([8; 32])
    });
    let message = ajar_protocol::relay_msg::RelayMsg::Envelope(elsewhere);
    let before = content_of(&mut scene.world.devices[ANA].home);
    scene.world.devices[ANA]
        .home
        .receive(start(), vec![message])
        .unwrap();
    assert_eq!(content_of(&mut scene.world.devices[ANA].home), before);
}
