//! What people compare in person, and what they can show a third person: sync words, and pairs
//! of signed statements that contradict each other.

use ajar_engine::evidence::{Contradiction, Evidence};
use ajar_engine::store::{Batch, Key, Store};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::changes::Changes;
use ajar_protocol::link::{Cutoff, LinkBody, NewDevice, RevokeReason, proof_hash};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, EnvelopeId, Link, PartyChain};

use crate::rogue::Rogue;
use crate::world::{ANA, BEN, LAPTOP, World, rng};

fn receive(world: &mut World, who: usize, message: RelayMsg) {
    let now = world.now;
    world.devices[who].home.receive(now, vec![message]).unwrap();
}

fn send(world: &mut World, who: usize, bytes: &[u8]) {
    receive(world, who, RelayMsg::Envelope(bytes.to_vec()));
}

fn evidence(world: &mut World, who: usize) -> Vec<Evidence> {
    world.devices[who].home.evidence().unwrap()
}

/// Two rogues with the keys of one device of Ben's, who part here.
fn twins(world: &mut World) -> (Rogue, Rogue) {
    let (one, mut other) = (Rogue::of(world, BEN), Rogue::of(world, BEN));
    other.rng = rng(667);
    world.disconnect(BEN);
    (one, other)
}

#[test]
fn words_are_the_same_exactly_when_both_have_everything() {
    let mut world = World::with_laptop(70);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.run();
    let before = world.sync_words(ANA);
    for who in [BEN, LAPTOP] {
        assert_eq!(world.sync_words(who), before, "device {who}");
    }
    world.disconnect(ANA);
    world.put(ANA, doc, "n", "2");
    assert_ne!(world.sync_words(ANA), before);
    assert_eq!(world.sync_words(BEN), before, "nothing has arrived");
    let alone = world.sync_words(ANA);
    world.restart(ANA);
    assert_eq!(world.sync_words(ANA), alone, "a restart changes nothing");
    world.reconnect(ANA);
    for who in [ANA, BEN, LAPTOP] {
        assert_eq!(world.sync_words(who), alone, "device {who}");
    }
}

#[test]
fn words_tell_that_a_removal_was_kept_from_one_of_them() {
    let mut world = World::with_laptop(71);
    world.disconnect(BEN);
    world.remove(ANA, LAPTOP);
    assert_ne!(world.sync_words(ANA), world.sync_words(BEN));
    world.reconnect(BEN);
    assert_eq!(world.sync_words(ANA), world.sync_words(BEN));
}

#[test]
fn words_stay_different_after_a_clean_fork_and_evidence_is_there_when_it_ends() {
    let mut world = World::with_laptop(72);
    let (mut one, mut other) = twins(&mut world);
    let empty = Changes::default();
    // A relay shows one history of Ben's phone to Ana's phone, and the other to her laptop.
    for _ in 0..3 {
        let (first, second) = (one.content(&empty), other.content(&empty));
        send(&mut world, ANA, &first);
        send(&mut world, LAPTOP, &second);
        assert_ne!(world.sync_words(ANA), world.sync_words(LAPTOP));
    }
    for who in [ANA, LAPTOP] {
        assert_eq!(evidence(&mut world, who), []);
        let forked = |n: &NoticeKind| matches!(n, NoticeKind::Forked { .. });
        assert!(
            !world.notices(who).iter().any(forked),
            "nobody can know yet"
        );
    }
    // What follows in one world does not fit the other.
    let next = other.content(&empty);
    send(&mut world, ANA, &next);
    let found = evidence(&mut world, ANA);
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    let counter = other.last.unwrap().counter;
    assert_eq!(found.contradiction, Contradiction::OtherBefore(counter));
    let [here, came] = &found.statements;
    assert_eq!(came.bytes, next);
    assert_eq!((here.place + 1, came.place), (counter, counter));
    assert_ne!(here.id, came.before);
    assert_eq!(found.party, world.devices[BEN].home.own_party());
    assert_ne!(world.sync_words(ANA), world.sync_words(LAPTOP));
}

#[test]
fn two_envelopes_at_one_place_are_kept_once_and_outlive_a_restart() {
    let mut world = World::online(73);
    let (mut one, mut other) = twins(&mut world);
    let empty = Changes::default();
    let (first, second) = (one.content(&empty), other.content(&empty));
    for bytes in [&first, &second, &second, &first] {
        send(&mut world, ANA, bytes);
    }
    world.restart(ANA);
    world.connect(ANA);
    send(&mut world, ANA, &second);
    let found = evidence(&mut world, ANA);
    let counter = one.last.unwrap().counter;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].contradiction, Contradiction::SamePlace(counter));
    let keys = one.secrets.public();
    for (statement, bytes) in found[0].statements.iter().zip([&first, &second]) {
        assert_eq!(&statement.bytes, bytes);
        assert_eq!((statement.key, statement.device), (keys.sign, Some(keys)));
        let envelope = Envelope::parse(&statement.bytes).unwrap();
        assert_eq!(envelope.id().0, statement.id);
        assert!(envelope.verify(&statement.key).is_ok());
    }
    let links = found[0].chain.iter().map(|link| Link::parse(link).unwrap());
    let chain = PartyChain::from_links(links).unwrap();
    assert_eq!(chain.id(), found[0].party);
    assert!(chain.device(&one.secrets.id()).is_some());
}

#[test]
fn a_single_envelope_as_earlier_versions_kept_it_finds_its_counterpart() {
    let mut world = World::online(74);
    let (mut one, mut other) = twins(&mut world);
    let empty = Changes::default();
    let (first, second) = (one.content(&empty), other.content(&empty));
    send(&mut world, ANA, &first);
    send(&mut world, ANA, &second);
    let paired = evidence(&mut world, ANA);
    let mut batch = Batch::default();
    batch.put(Key::Evidence(0), second);
    world.devices[ANA].store.commit(batch).unwrap();
    world.restart(ANA);
    assert_eq!(evidence(&mut world, ANA), paired);
}

#[test]
fn two_links_at_one_place_are_evidence() {
    let mut world = World::online(75);
    let place = world.place(ANA);
    let before = world.relay.chains[place].clone();
    world.link(ANA);
    let phone = world.secrets(ANA);
    let thief = ajar_crypto::DeviceSecrets::generate(&mut rng(1)).unwrap();
    let position = before.next_place(0);
    let proof = proof_hash(
        &position.party,
        position.seq,
        &position.prev,
        &thief.public(),
    );
    let body = LinkBody::DeviceAdd(NewDevice {
        keys: thief.public(),
        sealed_label: Vec::new(),
        proof: thief.sign_proof(&proof),
    });
    let seq = position.seq;
    let link = Link::sign(position, body, phone.id().0, phone.signing_key());
    for _ in 0..2 {
        receive(&mut world, BEN, RelayMsg::Link(link.as_bytes().to_vec()));
    }
    let party = world.devices[ANA].home.own_party();
    assert!(
        world
            .notices(BEN)
            .contains(&NoticeKind::ChainFork { party })
    );
    let found = evidence(&mut world, BEN);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].contradiction, Contradiction::SamePlace(seq));
    assert_eq!(found[0].party, party);
    assert_eq!(found[0].statements[1].bytes, link.as_bytes());
    for statement in &found[0].statements {
        assert!(statement.is_link);
        let link = Link::parse(&statement.bytes).unwrap();
        assert!(link.verify(&statement.key).is_ok());
    }
}

#[test]
fn a_removal_that_names_another_last_envelope_is_evidence() {
    let mut world = World::with_laptop(76);
    let doc = world.new_doc(LAPTOP, Ownership::Common);
    world.put(LAPTOP, doc, "n", "1");
    world.run();
    let laptop = world.devices[LAPTOP].home.device();
    let counter = world.devices[BEN].home.frontier().counter(&laptop);
    let cutoff = Cutoff {
        device: laptop,
        counter,
        id: EnvelopeId([9; 32]),
        reason: RevokeReason::Lost,
    };
    let phone = world.secrets(ANA);
    let chain = &world.relay.chains[world.place(ANA)];
    let body = LinkBody::DeviceRevoke(cutoff);
    let link = Link::sign(chain.next_place(0), body, phone.id().0, phone.signing_key());
    receive(&mut world, BEN, RelayMsg::Link(link.as_bytes().to_vec()));
    let found = evidence(&mut world, BEN);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].contradiction, Contradiction::OtherCutoff(counter));
    let [said, wrote] = &found[0].statements;
    assert_eq!((said.is_link, wrote.is_link), (true, false));
    assert_eq!(said.bytes, link.as_bytes());
}
