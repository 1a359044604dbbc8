//! What other devices have seen and this one has not.

use std::time::Duration;

use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, EnvelopeId, Position, changes::Changes};

use crate::rogue::Rogue;
use crate::world::{ANA, BEN, HOUR, LAPTOP, World};

/// A relay that keeps one device's envelopes from another.
fn withhold(world: &mut World, author: usize, from: usize) {
    let author = world.devices[author].home.device();
    world.fault = Some(Box::new(move |to, message| {
        let hidden = match &message {
            RelayMsg::Envelope(bytes) => {
                to == from && Envelope::parse(bytes).unwrap().header().device == author
            }
            _ => false,
        };
        if hidden { Vec::new() } else { vec![message] }
    }));
}

#[test]
fn what_the_phone_has_seen_and_the_laptop_not_becomes_a_notice_after_a_day() {
    let mut world = World::with_laptop(50);
    let party = world.devices[ANA].home.own_party();
    let added = NoticeKind::DeviceAdded { party, seq: 1 };
    withhold(&mut world, BEN, LAPTOP);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "n", "1");
    world.put(BEN, doc, "n", "2");
    world.run();
    assert_eq!(
        world.devices[LAPTOP].home.status().missing,
        0,
        "nobody has told"
    );
    // The phone's next words acknowledge what it has from Ben.
    let hers = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, hers, "x", "1");
    world.run();
    assert_eq!(world.devices[LAPTOP].home.status().missing, 2);
    world.pass(23 * HOUR);
    assert_eq!(world.notices(LAPTOP), [added], "not yet a day");
    world.pass(2 * HOUR);
    let device = world.devices[BEN].home.device();
    let told = NoticeKind::Withheld { device, missing: 2 };
    assert_eq!(world.notices(LAPTOP), [added, told]);
    world.pass(2 * HOUR);
    assert_eq!(world.notices(LAPTOP).len(), 2, "told once");
    // It counts also after a restart, and is settled when the envelopes come.
    world.restart(LAPTOP);
    assert_eq!(world.devices[LAPTOP].home.status().missing, 2);
    world.fault = None;
    world.connect(LAPTOP);
    world.run();
    assert_eq!(world.notices(LAPTOP), [added]);
    assert_eq!(world.devices[LAPTOP].home.status().missing, 0);
    world.assert_converged();
}

#[test]
fn a_gap_before_what_arrived_is_withheld_too() {
    let mut world = World::online(51);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.devices[BEN].inbox.clear();
    world.put(ANA, doc, "n", "2");
    world.run();
    assert_eq!(world.devices[BEN].home.status().missing, 1);
    world.pass(Duration::from_secs(25 * 3600));
    let device = world.devices[ANA].home.device();
    let told = NoticeKind::Withheld { device, missing: 1 };
    assert_eq!(world.notices(BEN), [told]);
    world.reconnect(BEN);
    assert_eq!(world.notices(BEN), []);
    world.assert_converged();
}

#[test]
fn silence_alone_is_no_accusation() {
    let mut world = World::online(52);
    withhold(&mut world, BEN, ANA);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "n", "1");
    world.pass(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(world.notices(ANA), []);
}

#[test]
fn lies_about_what_ana_wrote_are_counted_and_break_nothing() {
    let mut world = World::online(53);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.run();
    let mut ben = Rogue::of(&mut world, BEN);
    let (ana, own) = (world.devices[ANA].home.device(), ben.secrets.id());
    let ack = |counter| Position {
        counter,
        id: EnvelopeId([3; 32]),
    };
    let mut acks = vec![(ana, ack(u64::MAX)), (own, ack(u64::MAX))];
    acks.sort_by_key(|(device, _)| *device);
    let lie = ben.content(&Changes {
        acks,
        ..Changes::default()
    });
    world.inject(lie);
    world.run();
    let status = world.devices[ANA].home.status();
    assert_eq!(status.missing, u64::MAX);
    assert_eq!(status.confirmed_by_partner, 0);
    assert!(!status.stale);
    world.pass(25 * HOUR);
    assert_eq!(world.notices(ANA).len(), 2);
    // An acknowledgement of another envelope than Ana's is a fork, told and no more.
    let lie = ben.content(&Changes {
        acks: vec![(ana, ack(1))],
        ..Changes::default()
    });
    world.inject(lie);
    world.run();
    let forked = NoticeKind::Forked {
        device: ana,
        counter: 1,
    };
    assert!(world.notices(ANA).contains(&forked));
    world.put(ANA, doc, "n", "2");
    assert_eq!(world.devices[ANA].home.status().confirmed_by_partner, 0);
}
