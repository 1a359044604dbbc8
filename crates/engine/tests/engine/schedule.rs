//! Keys that have served long enough.

use ajar_crypto::DeviceSecrets;
use ajar_engine::Ownership;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::link::{Cutoff, Link, LinkBody, NewDevice, RevokeReason, proof_hash};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, EnvelopeType, EpochId};

use crate::new_words::newest_epoch;
use crate::world::{ANA, BEN, HOUR, World, rng, words};

const DAY: u32 = 24;

pub(crate) fn kinds(world: &World, from: usize) -> Vec<EnvelopeType> {
    let log = world.relay.log[from..].iter();
    log.map(|bytes| Envelope::parse(bytes).unwrap().header().kind)
        .collect()
}

/// Epoch of the newest envelope with changes.
pub(crate) fn written_under(world: &World) -> EpochId {
    let envelopes = world.relay.log.iter().rev();
    let mut headers = envelopes.map(|bytes| *Envelope::parse(bytes).unwrap().header());
    let changes = headers.find(|header| header.kind == EnvelopeType::Changes);
    changes.unwrap().epoch
}

#[test]
fn the_first_words_after_ninety_days_are_under_a_new_key() {
    let mut world = World::online(230);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    world.put(BEN, doc, "y", "1");
    world.run();
    let first = written_under(&world);
    world.pass(HOUR * (90 * DAY - 1));
    world.put(BEN, doc, "y", "2");
    assert_eq!(written_under(&world), first);
    // Time alone sends nothing: that would tell when a device is awake.
    let sent = world.relay.log.len();
    world.pass(HOUR * 30 * DAY);
    assert_eq!(world.relay.log.len(), sent);
    world.put(BEN, doc, "y", "3");
    world.run();
    use EnvelopeType::{Changes, Epoch};
    assert_eq!(kinds(&world, sent), [Epoch, Changes]);
    assert_eq!(newest_epoch(&world).reason, EpochReason::Periodic);
    assert_ne!(written_under(&world), first);
    let sent = world.relay.log.len();
    world.put(ANA, doc, "x", "2");
    world.put(BEN, doc, "y", "4");
    world.rotate(ANA);
    world.run();
    assert_eq!(kinds(&world, sent), [Changes, Changes]);
    assert_eq!(world.heads(ANA), world.heads(BEN));
    assert_eq!(world.value(ANA, doc, "y").as_deref(), Some("4"));
    // A device that is linked now reads all of it.
    let laptop = world.link(ANA);
    assert_eq!(world.heads(laptop), world.heads(BEN));
}

#[test]
fn rotating_on_purpose_changes_a_key_only_when_it_has_served() {
    let mut world = World::online(231);
    let sent = world.relay.log.len();
    world.rotate(ANA);
    assert_eq!(world.relay.log.len(), sent);
    // The first write after a start may be the first use that is known of a key.
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    world.run();
    world.pass(HOUR * 91 * DAY);
    let sent = world.relay.log.len();
    world.rotate(ANA);
    world.rotate(ANA);
    world.run();
    assert_eq!(kinds(&world, sent), [EnvelopeType::Epoch]);
}

#[test]
fn a_clock_that_went_back_changes_no_key_and_stops_nobody() {
    let mut world = World::online(232);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    let first = written_under(&world);
    for wall_ms in [world.now.wall_ms - 1, 1_000, 0, -5] {
        world.now.wall_ms = wall_ms;
        let text = wall_ms.to_string();
        world.put(ANA, doc, "x", &text);
        world.run();
        assert_eq!(world.value(BEN, doc, "x"), Some(text));
        assert_eq!(written_under(&world), first);
    }
}

#[test]
fn two_who_change_the_key_apart_meet_under_one() {
    let mut world = World::online(233);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    world.run();
    world.disconnect(ANA);
    world.disconnect(BEN);
    world.pass(HOUR * 100 * DAY);
    world.put(ANA, doc, "x", "2");
    world.put(BEN, doc, "y", "2");
    let sent = world.relay.log.len();
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    let made = kinds(&world, sent);
    assert_eq!(
        made.iter().filter(|k| **k == EnvelopeType::Epoch).count(),
        2
    );
    assert_eq!(world.heads(ANA), world.heads(BEN));
    let sent = world.relay.log.len();
    world.put(ANA, doc, "x", "3");
    let hers = written_under(&world);
    world.put(BEN, doc, "y", "3");
    let his = written_under(&world);
    world.run();
    assert_eq!(hers, his);
    assert_eq!(kinds(&world, sent), [EnvelopeType::Changes; 2]);
    assert_eq!(world.heads(ANA), world.heads(BEN));
    // The next change joins both.
    world.pass(HOUR * 91 * DAY);
    world.put(ANA, doc, "x", "4");
    world.run();
    let epoch = newest_epoch(&world);
    assert_eq!((epoch.reason, epoch.parents.len()), (EpochReason::Merge, 2));
}

#[test]
fn after_a_recovery_the_key_says_why_it_changed() {
    let mut world = World::online(234);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    world.run();
    world.disconnect(ANA);
    // Ana lost her phone and recovers with her words, elsewhere.
    let place = world.place(ANA);
    let phone = world.devices[ANA].home.device();
    let last = world.devices[BEN].home.frontier().of(&phone).unwrap();
    let chain = &mut world.relay.chains[place];
    let position = chain.next_place(0);
    let new = DeviceSecrets::generate(&mut rng(9)).unwrap();
    let proof = proof_hash(&position.party, position.seq, &position.prev, &new.public());
    let body = LinkBody::Recover {
        device: NewDevice {
            keys: new.public(),
            sealed_label: Vec::new(),
            proof: new.sign_proof(&proof),
        },
        revoked: vec![Cutoff {
            device: phone,
            counter: last.counter,
            id: last.id,
            reason: RevokeReason::Lost,
        }],
    };
    let root = words(234, ANA);
    let link = Link::sign(position, body, root.public().root.root_id(), &root.root);
    chain.append(link.clone()).unwrap();
    let message = RelayMsg::Link(link.as_bytes().to_vec());
    world.devices[BEN]
        .home
        .receive(world.now, vec![message])
        .unwrap();
    world.put(BEN, doc, "y", "welcome back");
    world.run();
    let epoch = newest_epoch(&world);
    assert_eq!(epoch.reason, EpochReason::Recover);
    let sealed_to = |id: [u8; 32]| epoch.seals.iter().any(|seal| seal.recipient == id);
    assert!(sealed_to(new.id().0) && !sealed_to(phone.0));
}
