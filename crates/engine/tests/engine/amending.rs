//! A lost device: letting in what it had sent before it could hear of its removal.

use ajar_engine::{Misuse, NoticeKind, Ownership};
use ajar_protocol::DeviceId;
use ajar_protocol::relay_msg::RelayMsg;

use crate::linking::misuse;
use crate::removal::hide;
use crate::rogue::Rogue;
use crate::undoing::late;
use crate::world::{ANA, BEN, HOUR, World};

fn amend(world: &mut World, who: usize, device: DeviceId) {
    let home = &mut world.devices[who].home;
    let outputs = home.propose_amend(world.now, device).unwrap();
    world.take(who, outputs);
    world.run();
}

#[test]
fn what_a_lost_laptop_had_sent_is_let_in_and_counts_everywhere() {
    let mut case = late(220);
    let world = &mut case.world;
    let laptop = world.devices[case.laptop].home.device();
    world.remove(ANA, case.laptop);
    world.put(BEN, case.late, "ben", "meanwhile");
    world.run();
    assert!(world.devices[BEN].home.document(&case.alone).is_err());
    world.fault = None;
    world.reconnect(ANA);
    assert_eq!(world.devices[ANA].home.beyond(&laptop), 3);
    amend(world, ANA, laptop);
    // Nobody had to connect anew.
    for who in [ANA, BEN] {
        let mut value = |doc, key| world.value(who, doc, key);
        assert_eq!(value(case.common, "late").as_deref(), Some("laptop"));
        assert_eq!(value(case.late, "late").as_deref(), Some("laptop"));
        assert_eq!(value(case.late, "answer").as_deref(), Some("ben"));
        assert_eq!(value(case.alone, "late").as_deref(), Some("laptop"));
        assert_eq!(value(case.his, "with the answer").as_deref(), Some("ben"));
        assert_eq!(value(case.late, "ben").as_deref(), Some("meanwhile"));
        let status = world.devices[who].home.status();
        assert_eq!((status.parked, status.missing), (0, 0), "{who}");
        assert_eq!(world.devices[who].home.beyond(&laptop), 0);
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
    let party = world.devices[ANA].home.own_party();
    let told = NoticeKind::CutoffRaised { party, seq: 3 };
    assert!(world.notices(ANA).contains(&told));
    assert!(!world.notices(BEN).contains(&told), "it is Ana's business");
    // Once.
    let home = &mut world.devices[ANA].home;
    let twice = home.propose_amend(world.now, laptop);
    assert_eq!(misuse(twice), Misuse::TooLate);
    for who in [ANA, BEN] {
        world.restart(who);
        assert!(world.devices[who].home.check().findings.is_empty());
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
    // A device that is linked now comes to the same.
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    let tablet = world.link(ANA);
    assert_eq!(world.heads(tablet), world.heads(BEN));
}

#[test]
fn a_tablet_that_had_it_all_before_the_removal_can_let_it_in_at_once() {
    let mut world = World::online(221);
    let laptop = world.link(ANA);
    let tablet = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Common);
    world.put(laptop, doc, "early", "1");
    world.run();
    hide(&mut world, laptop, ANA);
    world.put(laptop, doc, "late", "1");
    world.put(laptop, doc, "late", "2");
    world.run();
    let device = world.devices[laptop].home.device();
    world.disconnect(laptop);
    world.remove(ANA, laptop);
    assert!(world.value(tablet, doc, "late").is_none());
    assert_eq!(world.devices[ANA].home.beyond(&device), 0, "never came");
    assert_eq!(world.devices[tablet].home.beyond(&device), 2);
    world.fault = None;
    amend(&mut world, tablet, device);
    for who in [ANA, BEN, tablet] {
        assert_eq!(world.value(who, doc, "late").as_deref(), Some("2"), "{who}");
    }
    assert_eq!(world.heads(ANA), world.heads(tablet));
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn what_is_let_in_and_does_not_come_is_missed_after_a_day() {
    let mut case = late(222);
    let world = &mut case.world;
    let laptop = world.devices[case.laptop].home.device();
    world.remove(ANA, case.laptop);
    world.fault = None;
    world.reconnect(ANA);
    hide(world, case.laptop, BEN);
    amend(world, ANA, laptop);
    assert_eq!(world.devices[BEN].home.status().missing, 3);
    world.pass(25 * HOUR);
    let told = NoticeKind::Withheld {
        device: laptop,
        missing: 3,
    };
    assert!(world.notices(BEN).contains(&told));
    world.fault = None;
    world.reconnect(BEN);
    assert_eq!(world.heads(ANA), world.heads(BEN));
    assert!(!world.notices(BEN).contains(&told));
}

#[test]
fn only_a_removed_device_of_ones_own_that_sent_more_within_seven_days() {
    let mut case = late(223);
    let world = &mut case.world;
    let laptop = world.devices[case.laptop].home.device();
    let ids = [
        world.devices[ANA].home.device(),
        world.devices[BEN].home.device(),
        laptop,
        DeviceId([9; 32]),
    ];
    let now = world.now;
    for id in ids {
        let refused = world.devices[ANA].home.propose_amend(now, id);
        assert_eq!(misuse(refused), Misuse::NoSuchDevice, "still active");
    }
    world.remove(ANA, case.laptop);
    let refused = world.devices[ANA].home.propose_amend(now, laptop);
    assert_eq!(misuse(refused), Misuse::NothingBeyond);
    let refused = world.devices[BEN].home.propose_amend(now, laptop);
    assert_eq!(misuse(refused), Misuse::NoSuchDevice, "not Ben's");
    world.fault = None;
    world.reconnect(ANA);
    world.disconnect(ANA);
    let home = &mut world.devices[ANA].home;
    assert_eq!(home.beyond(&laptop), 0, "what came is not remembered");
    world.connect(ANA);
    world.run();
    assert_eq!(world.devices[ANA].home.beyond(&laptop), 3);
    world.pass(7 * 24 * HOUR);
    let mut later = world.now;
    later.wall_ms += 1;
    let refused = world.devices[ANA].home.propose_amend(later, laptop);
    assert_eq!(misuse(refused), Misuse::TooLate);
    // Exactly seven days are not more than seven days; and a clock that went back is no
    // reason to refuse.
    world.devices[ANA]
        .home
        .propose_amend(world.now, laptop)
        .unwrap();
    world.reconnect(ANA);
    amend(world, ANA, laptop);
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn envelopes_that_do_not_follow_what_counts_are_not_beyond_it() {
    let mut world = World::online(224);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Common);
    world.put(laptop, doc, "x", "1");
    world.run();
    let mut thief = Rogue::of(&mut world, laptop);
    world.remove(ANA, laptop);
    let device = thief.secrets.id();
    let mut words = || thief.content(&ajar_protocol::changes::Changes::default());
    let sent = [words(), words(), words()];
    let mut forged = sent[0].clone();
    let end = forged.len() - 1;
    forged[end] ^= 1;
    let mut hand = |bytes: &Vec<u8>| {
        let message = RelayMsg::Envelope(bytes.clone());
        let home = &mut world.devices[ANA].home;
        home.receive(world.now, vec![message]).unwrap();
        home.beyond(&device)
    };
    let counts = [&sent[1], &forged, &sent[0], &sent[2], &sent[0], &sent[1]].map(&mut hand);
    assert_eq!(counts, [0, 0, 1, 1, 1, 2]);
    assert_eq!(hand(&sent[2]), 3);
    // The same places again, with other words: the first that came stay.
    assert_eq!(world.heads(ANA), world.heads(BEN));
}
