//! Own devices: linking one, what it is given, and several of them together.

use ajar_engine::membership::NewHalf;
use ajar_engine::{Event, NoticeKind, Ownership};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, EnvelopeType};
use rand_core::Rng;

use crate::world::{ANA, BEN, Device, HOUR, World, rng};

/// What the relay hides from one device.
fn hide(world: &mut World, from: usize, hidden: impl Fn(&Envelope) -> bool + 'static) {
    world.fault = Some(Box::new(move |to, message| match &message {
        RelayMsg::Envelope(bytes) if to == from && hidden(&Envelope::parse(bytes).unwrap()) => {
            Vec::new()
        }
        _ => vec![message],
    }));
}

/// What a laptop of Ana's says of itself: it was added.
fn added(world: &World) -> NoticeKind {
    let party = world.devices[ANA].home.own_party();
    NoticeKind::DeviceAdded { party, seq: 1 }
}

fn links(world: &World, who: usize) -> usize {
    world.devices[who].home.status().devices.len()
}

#[test]
fn a_linked_laptop_has_what_was_before_and_writes_as_ana() {
    let mut world = World::online(100);
    let (hers, his) = (
        world.new_doc(ANA, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    world.put(ANA, hers, "x", "before");
    world.put(BEN, his, "x", "before");
    world.run();
    let laptop = world.link(ANA);
    assert_eq!(world.value(laptop, hers, "x").as_deref(), Some("before"));
    assert_eq!(world.value(laptop, his, "x").as_deref(), Some("before"));
    world.put(BEN, his, "x", "after");
    world.put(laptop, hers, "x", "from the laptop");
    world.run();
    world.assert_converged();
    assert_eq!(world.value(laptop, his, "x").as_deref(), Some("after"));
    // Ben sees Ana's words, on a device of hers.
    let ana = world.devices[ANA].home.own_party();
    let device = world.devices[laptop].home.device();
    let seen = Event::DocumentChanged {
        doc: hers,
        by: ana,
        device,
        here: false,
    };
    assert!(world.devices[BEN].events.contains(&seen));
    assert_eq!(world.devices[BEN].home.party_of_device(&device), Some(ana));
    for who in [ANA, BEN, laptop] {
        assert_eq!(world.notices(who), [added(&world)], "{who}");
        assert!(world.devices[who].home.is_active(&device));
    }
    world.restart(laptop);
    world.connect(laptop);
    world.run();
    world.assert_converged();
}

#[test]
fn the_partner_writes_to_a_laptop_that_has_never_been_online() {
    let mut world = World::online(101);
    let laptop = world.link_offline(ANA);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "for both");
    world.run();
    // It may write before it has heard anything.
    let own = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, own, "x", "offline");
    world.connect(laptop);
    world.run();
    world.assert_converged();
    assert_eq!(world.value(laptop, doc, "x").as_deref(), Some("for both"));
    assert_eq!(world.value(BEN, own, "x").as_deref(), Some("offline"));
}

#[test]
fn three_and_three_devices_converge_whatever_the_order() {
    for seed in 0..12 {
        let mut world = World::online(102);
        let mut rng = rng(seed);
        let mut below = |n: usize| usize::try_from(rng.next_u64() % n as u64).unwrap();
        for by in [ANA, BEN, ANA, BEN] {
            world.link(by);
        }
        let count = world.devices.len();
        assert_eq!(count, 6);
        let common = world.new_doc(ANA, Ownership::Common);
        for turn in 0..120 {
            let who = below(count);
            match below(6) {
                0 if world.devices[who].online => world.disconnect(who),
                0 | 1 => {
                    if !world.devices[who].online {
                        world.connect(who);
                    }
                }
                2 => {
                    let waiting = &mut world.devices[who].inbox;
                    let n = waiting.len();
                    // Nothing promises an order between different devices.
                    if n > 1 && below(2) == 0 {
                        waiting.swap(below(n), n - 1);
                    }
                    world.step(who, 1 + below(5));
                }
                3 => {
                    let own = world.new_doc(who, Ownership::Mine);
                    world.put(who, own, "x", &turn.to_string());
                }
                _ => world.put(who, common, &below(4).to_string(), &turn.to_string()),
            }
        }
        for who in 0..count {
            world.reconnect(who);
        }
        for who in 0..count {
            world.reconnect(who);
        }
        world.assert_converged();
        for who in 0..count {
            assert_eq!(world.devices[who].home.status().missing, 0, "seed {seed}");
            assert_eq!(links(&world, who), 6);
        }
    }
}

#[test]
fn what_the_phone_had_at_linking_is_missed_until_it_comes() {
    let mut world = World::online(103);
    let doc = world.new_doc(BEN, Ownership::Mine);
    world.put(BEN, doc, "x", "1");
    world.put(BEN, doc, "x", "2");
    world.run();
    let laptop = world.link_offline(ANA);
    let ben = world.devices[BEN].home.device();
    let promised = world.devices[ANA].home.frontier().clone();
    let all: u64 = promised.rows().map(|(_, last)| last.counter).sum();
    assert_eq!(world.devices[laptop].home.status().missing, all);
    hide(&mut world, laptop, move |e| e.header().device == ben);
    world.connect(laptop);
    world.run();
    assert_eq!(world.devices[laptop].home.status().missing, 2);
    assert_eq!(world.notices(laptop), [added(&world)]);
    // A laptop that is opened anew every few hours still comes to a whole day.
    for _ in 0..9 {
        world.pass(3 * HOUR);
        world.restart(laptop);
        world.connect(laptop);
        world.run();
    }
    let told = NoticeKind::Withheld {
        device: ben,
        missing: 2,
    };
    assert_eq!(world.notices(laptop), [added(&world), told]);
    world.fault = None;
    world.reconnect(laptop);
    assert_eq!(world.notices(laptop), [added(&world)]);
    assert_eq!(world.value(laptop, doc, "x").as_deref(), Some("2"));
    assert_eq!(world.devices[laptop].home.status().missing, 0);
}

#[test]
fn one_envelope_that_the_relay_hides_from_the_laptop_is_noticed() {
    let mut world = World::online(104);
    let doc = world.new_doc(ANA, Ownership::Mine);
    let laptop = world.link(ANA);
    let phone = world.devices[ANA].home.device();
    let hidden = world.devices[ANA].home.status().kept + 1;
    hide(&mut world, laptop, move |e| {
        e.header().device == phone && e.header().counter == hidden
    });
    world.put(ANA, doc, "x", "hidden");
    world.put(ANA, doc, "x", "shown");
    world.run();
    assert_eq!(world.devices[laptop].home.status().missing, 1);
    assert!(world.value(laptop, doc, "x").is_none());
    world.pass(25 * HOUR);
    let told = NoticeKind::Withheld {
        device: phone,
        missing: 1,
    };
    assert_eq!(world.notices(laptop), [added(&world), told]);
}

/// The phone dies after the relay has taken the link and before it has changed the key.
fn half_linked(seed: u64) -> (World, NewHalf) {
    let mut world = World::online(seed);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "before");
    world.run();
    let (half, request) = world.new_half(ANA);
    world.propose(ANA, &request).unwrap();
    world.run();
    assert_eq!(links(&world, ANA), 3);
    world.restart(ANA);
    assert_eq!(links(&world, ANA), 3, "the link is kept");
    (world, half)
}

/// Gives the space to the half-linked laptop, after the repair.
fn finish(world: &mut World, half: NewHalf) {
    let space = half.take(&world.devices[ANA].home.pack().unwrap()).unwrap();
    let laptop = world.devices.len();
    world.devices.push(Device::create(space, 9));
    world.connect(laptop);
    world.run();
    let doc = world.new_doc(BEN, Ownership::Mine);
    world.put(BEN, doc, "x", "after");
    world.run();
    world.assert_converged();
    assert_eq!(world.value(laptop, doc, "x").as_deref(), Some("after"));
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(newest.header().kind, EnvelopeType::Changes);
}

#[test]
fn a_death_between_link_and_key_change_is_repaired_by_whoever_writes_next() {
    for who in [ANA, BEN] {
        let (mut world, half) = half_linked(105);
        world.connect(ANA);
        world.run();
        let before = world.relay.log.len();
        let doc = world.new_doc(who, Ownership::Mine);
        world.put(who, doc, "x", "1");
        world.run();
        let kinds: Vec<EnvelopeType> = world.relay.log[before..]
            .iter()
            .map(|bytes| Envelope::parse(bytes).unwrap().header().kind)
            .collect();
        assert_eq!(kinds, [EnvelopeType::Epoch, EnvelopeType::Changes]);
        finish(&mut world, half);
    }
}

#[test]
fn a_death_between_link_and_key_change_is_repaired_by_rotating() {
    for who in [ANA, BEN] {
        let (mut world, half) = half_linked(106);
        world.connect(ANA);
        world.run();
        let before = world.relay.log.len();
        world.rotate(who);
        world.run();
        assert_eq!(world.relay.log.len(), before + 1);
        // Once is enough, for everyone.
        world.rotate(ANA);
        world.rotate(BEN);
        world.run();
        assert_eq!(world.relay.log.len(), before + 1);
        finish(&mut world, half);
    }
}

#[test]
fn a_laptop_that_was_handed_no_new_key_makes_one_itself() {
    let (mut world, half) = half_linked(107);
    // No repair: the pack is from before the key change.
    world.connect(ANA);
    world.run();
    finish(&mut world, half);
}

#[test]
fn a_year_offline_and_five_key_changes_later_the_laptop_has_everything() {
    let mut world = World::online(118);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    let doc = world.new_doc(ANA, Ownership::Common);
    let mut month = 0;
    let mut write = |world: &mut World| {
        month += 1;
        world.pass(73 * 24 * HOUR);
        for who in [ANA, BEN] {
            world.put(who, doc, &format!("{who}"), &format!("month {month}"));
            world.run();
        }
    };
    let tablet = world.link(ANA);
    write(&mut world);
    let his = world.link(BEN);
    write(&mut world);
    world.remove(ANA, tablet);
    write(&mut world);
    world.remove(BEN, his);
    write(&mut world);
    let last = world.link(ANA);
    write(&mut world);
    // Written offline, a year ago and now.
    let own = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, own, "x", "all along");
    world.connect(laptop);
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    // Its key was old too, and the one that it made had never heard of Ana's newest device:
    // whoever writes next passes it on.
    assert_ne!(world.heads(ANA), world.heads(last));
    world.put(ANA, doc, "0", "welcome back");
    world.run();
    let expected = world.heads(ANA);
    for who in [BEN, laptop, last] {
        assert_eq!(world.heads(who), expected, "{who}");
    }
    assert_eq!(world.value(laptop, doc, "1").as_deref(), Some("month 5"));
    assert_eq!(world.value(BEN, own, "x").as_deref(), Some("all along"));
    assert_eq!(world.devices[laptop].home.status().parked, 0);
    world.put(laptop, doc, "0", "back");
    world.run();
    assert_eq!(world.value(BEN, doc, "0").as_deref(), Some("back"));
}
