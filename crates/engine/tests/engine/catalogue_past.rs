//! The attack catalogue, a removed device that signs another past than the one that counts.

use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DocId, Envelope, Position};
use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};

use crate::craft;
use crate::removal::hide;
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, World};

fn hand(world: &mut World, who: usize, bytes: &[u8]) {
    let message = RelayMsg::Envelope(bytes.to_vec());
    let outputs = world.devices[who].home.receive(world.now, vec![message]);
    world.take(who, outputs.unwrap());
}

/// Another past for a device, from the envelope after `counter` on.
fn other_past(world: &mut World, who: usize, counter: u64, doc: DocId) -> Vec<Vec<u8>> {
    let device = world.devices[who].home.device();
    let last = world.relay.frontier.of(&device).unwrap();
    let mut thief = Rogue::of(world, who);
    let before = world.relay.of(&device);
    let before = before.get(usize::try_from(counter).unwrap() - 1).unwrap();
    thief.last = Some(Position {
        counter,
        id: Envelope::parse(before).unwrap().id(),
    });
    let mut at_thief = Automerge::new();
    (counter..last.counter)
        .map(|n| {
            let value = format!("another past {n}");
            let actor = thief.actor(&doc);
            let change = craft::edit(&mut at_thief, &actor, |tx| tx.put(ROOT, "x", value));
            thief.changes(doc, vec![change])
        })
        .collect()
}

#[test]
fn t042_another_past_that_a_removed_device_signs_is_proved_and_refused() {
    let mut world = World::online(4201);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Mine);
    for n in 0..4 {
        world.put(laptop, doc, "x", &n.to_string());
    }
    world.run();
    let device = world.devices[laptop].home.device();
    let last = world.relay.frontier.counter(&device);
    let forged = other_past(&mut world, laptop, last - 2, doc);
    // The relay has kept the last one from Ben when the laptop is removed.
    world.remove(ANA, laptop);
    world.disconnect(laptop);
    let expected = world.heads(ANA);
    for who in [ANA, BEN] {
        for _ in 0..2 {
            for bytes in &forged {
                hand(&mut world, who, bytes);
            }
            assert_eq!(world.heads(who), expected, "device {who}");
            let told = world.notices(who);
            let forked = |kind: &&NoticeKind| matches!(kind, NoticeKind::Forked { device: one, .. } if *one == device);
            let first = NoticeKind::Forked {
                device,
                counter: last - 1,
            };
            assert_eq!(told.iter().filter(forked).collect::<Vec<_>>(), [&first]);
            world.restart(who);
            world.connect(who);
            world.run();
        }
    }
    world.put(ANA, doc, "x", "on");
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("on"));
}

#[test]
fn t042_at_the_cut_off_only_what_it_names_counts_for_who_still_lacks_it() {
    let mut world = World::online(4202);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, doc, "x", "0");
    world.put(laptop, doc, "x", "1");
    world.run();
    hide(&mut world, laptop, BEN);
    world.put(laptop, doc, "x", "2");
    world.put(laptop, doc, "x", "3");
    world.run();
    let device = world.devices[laptop].home.device();
    let last = world.relay.frontier.counter(&device);
    let mut earlier = other_past(&mut world, laptop, last - 3, doc);
    world.remove(ANA, laptop);
    world.disconnect(laptop);
    assert_eq!(
        world.devices[BEN].home.frontier().counter(&device),
        last - 2
    );
    // One for a place that Ben has, and, when he has all but the last, one for that.
    hand(&mut world, BEN, &earlier.remove(0));
    let told = NoticeKind::Forked {
        device,
        counter: last - 2,
    };
    assert!(
        world.notices(BEN).contains(&told),
        "{:?}",
        world.notices(BEN)
    );
    let true_one = world.relay.of(&device);
    let at = true_one.len();
    hand(&mut world, BEN, &true_one[at - 2]);
    assert_eq!(
        world.devices[BEN].home.frontier().counter(&device),
        last - 1
    );
    let forged = other_past(&mut world, laptop, last - 1, doc).remove(0);
    hand(&mut world, BEN, &forged);
    assert_eq!(
        world.devices[BEN].home.frontier().counter(&device),
        last - 1
    );
    // The true one comes in the end, and both have the same.
    world.fault = None;
    world.reconnect(BEN);
    assert_eq!(world.heads(ANA), world.heads(BEN));
    assert_eq!(
        world.devices[ANA].home.frontier(),
        world.devices[BEN].home.frontier()
    );
    assert_eq!(world.devices[BEN].home.status().missing, 0);
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("3"));
    // Ana, who was shown nothing, is told nothing of it.
    let forked = |kind: &NoticeKind| matches!(kind, NoticeKind::Forked { .. });
    assert!(!world.notices(ANA).iter().any(forked));
}
