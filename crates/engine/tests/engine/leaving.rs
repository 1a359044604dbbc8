//! Leaving: nobody writes any more, and both keep what is there.

use ajar_engine::{Misuse, NoticeKind, Ownership};
use ajar_protocol::DocId;
use ajar_protocol::link::{LeaveMode, RevokeReason};
use automerge::ROOT;
use automerge::transaction::Transactable;

use crate::linking::misuse;
use crate::world::{ANA, BEN, World};

fn propose_leave(world: &mut World, who: usize, mode: LeaveMode) {
    let home = &mut world.devices[who].home;
    let outputs = home.propose_leave(world.now, mode).unwrap();
    world.take(who, outputs);
}

/// Neither writes; all that was there can be read.
fn assert_closed(world: &mut World, who: usize, doc: DocId) {
    let refused = world.edit(who, doc, |tx| tx.put(ROOT, "x", "more"));
    let refused = refused.map_err(|error| error.to_string());
    assert_eq!(refused, Err(Misuse::Closed.to_string()), "{who}");
    assert_eq!(world.value(who, doc, "x").as_deref(), Some("kept"), "{who}");
    let sent = world.relay.log.len();
    world.rotate(who);
    world.run();
    assert_eq!(world.relay.log.len(), sent, "no key for what nobody writes");
}

#[test]
fn when_ana_ends_it_neither_writes_and_both_keep_what_is_there() {
    let mut world = World::online(200);
    let laptop = world.link(ANA);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "kept");
    world.run();
    propose_leave(&mut world, ANA, LeaveMode::Ended);
    // It counts when the relay has it, not before.
    world.put(ANA, doc, "y", "before the relay answered");
    world.run();
    let party = world.devices[ANA].home.own_party();
    for who in [ANA, laptop, BEN] {
        assert_closed(&mut world, who, doc);
        let told = NoticeKind::PartyLeft { party, seq: 2 };
        assert!(world.notices(who).contains(&told), "{who}");
        world.restart(who);
        assert_closed(&mut world, who, doc);
        world.connect(who);
        world.run();
        assert_closed(&mut world, who, doc);
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
    // Nor does anything change in it any more.
    let device = world.devices[laptop].home.device();
    let now = world.now;
    let home = &mut world.devices[ANA].home;
    let refused = home.propose_leave(now, LeaveMode::Ended);
    assert_eq!(misuse(refused), Misuse::Closed);
    let refused = home.propose_removal(now, device, RevokeReason::Lost);
    assert_eq!(misuse(refused), Misuse::Closed);
    let refused = world.devices[BEN].home.propose_leave(now, LeaveMode::Ended);
    assert_eq!(misuse(refused), Misuse::Closed);
}

#[test]
fn who_closes_without_a_word_is_not_announced() {
    let mut world = World::online(201);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "kept");
    world.run();
    propose_leave(&mut world, BEN, LeaveMode::QuietlyClosed);
    world.run();
    let party = world.devices[BEN].home.own_party();
    assert_eq!(world.notices(ANA), []);
    assert_eq!(
        world.notices(BEN),
        [NoticeKind::PartyLeft { party, seq: 1 }]
    );
    for who in [ANA, BEN] {
        assert_closed(&mut world, who, doc);
    }
}

#[test]
fn what_was_written_offline_before_hearing_of_the_end_stays_with_its_author() {
    let mut world = World::online(202);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "kept");
    world.run();
    world.disconnect(BEN);
    world.put(BEN, doc, "y", "offline");
    propose_leave(&mut world, ANA, LeaveMode::Ended);
    world.run();
    world.connect(BEN);
    world.run();
    assert_eq!(world.value(BEN, doc, "y").as_deref(), Some("offline"));
    assert_closed(&mut world, BEN, doc);
    assert_closed(&mut world, ANA, doc);
}

#[test]
fn leaving_needs_the_relay_and_a_refusal_leaves_all_as_it_was() {
    let mut world = World::founded(203);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    let home = &mut world.devices[ANA].home;
    let refused = home.propose_leave(world.now, LeaveMode::Ended);
    assert_eq!(misuse(refused), Misuse::NeedsRelay);
    world.connect(ANA);
    world.run();
    let home = &mut world.devices[ANA].home;
    let _never_arrives = home.propose_leave(world.now, LeaveMode::Ended).unwrap();
    world.reconnect(ANA);
    world.put(ANA, doc, "x", "2");
    assert_eq!(world.value(ANA, doc, "x").as_deref(), Some("2"));
}
