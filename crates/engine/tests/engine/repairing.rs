//! A link without its key change: whoever is left makes it. And what a refilled relay lacks.

use ajar_engine::Ownership;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::{DocId, Envelope, EnvelopeType};

use crate::new_words::newest_epoch;
use crate::removal::{keys, opened, under_a_key_from_beyond};
use crate::schedule::{kinds, written_under};
use crate::world::{ANA, BEN, HOUR, World};

/// Ana's phone has removed her laptop and is gone for good before it changed the key. She has
/// a tablet, and Ben a tablet too. Returns the removed one, hers and his.
fn half_removed(seed: u64) -> (World, DocId, usize, usize, usize) {
    let mut world = World::online(seed);
    let laptop = world.link(ANA);
    let hers = world.link(ANA);
    let his = world.link(BEN);
    let doc = world.new_doc(laptop, Ownership::Common);
    world.put(laptop, doc, "x", "before");
    world.run();
    world.disconnect(laptop);
    world.propose_removal(ANA, laptop);
    world.run();
    world.disconnect(ANA);
    (world, doc, laptop, hers, his)
}

#[test]
fn the_key_change_after_a_removal_is_made_by_whoever_writes_when_the_remover_is_gone() {
    for writer in 0..3 {
        let (mut world, doc, laptop, hers, his) = half_removed(240);
        let who = [hers, his, BEN][writer];
        let from = world.relay.log.len();
        world.put(who, doc, "x", "after");
        world.run();
        use EnvelopeType::{Changes, Epoch};
        assert_eq!(kinds(&world, from), [Epoch, Changes], "{who}");
        assert_eq!(newest_epoch(&world).reason, EpochReason::Revoke);
        assert_eq!(opened(&world, from, &keys(&world, laptop)), 0, "{who}");
        for reader in [hers, his, BEN] {
            let read = world.value(reader, doc, "x");
            assert_eq!(read.as_deref(), Some("after"), "{who} for {reader}");
        }
        // The next one has nothing to repair.
        let from = world.relay.log.len();
        world.put(hers, doc, "x", "again");
        world.run();
        assert_eq!(kinds(&world, from), [Changes]);
    }
}

#[test]
fn two_who_repair_at_once_end_under_one_key() {
    let (mut world, doc, laptop, hers, his) = half_removed(241);
    let from = world.relay.log.len();
    // Both change the key and write before either hears of the other.
    for who in [hers, his] {
        world.disconnect(who);
        world.rotate(who);
        world.put(who, doc, &format!("{who}"), "apart");
    }
    world.connect(hers);
    world.connect(his);
    world.run();
    let made = kinds(&world, from);
    let epochs = made.iter().filter(|k| **k == EnvelopeType::Epoch).count();
    assert_eq!(epochs, 2);
    for who in [hers, his, BEN] {
        assert_eq!(world.heads(who), world.heads(hers), "{who}");
        assert_eq!(world.devices[who].home.status().parked, 0);
    }
    let mut under = Vec::new();
    for who in [hers, his, BEN] {
        world.put(who, doc, &format!("{who}"), "together");
        under.push(written_under(&world));
    }
    world.run();
    assert!(under.iter().all(|epoch| *epoch == under[0]), "{under:?}");
    assert_eq!(opened(&world, from, &keys(&world, laptop)), 0);
    assert_eq!(world.heads(hers), world.heads(BEN));
}

#[test]
fn two_removals_whose_keys_were_changed_offline_merge_for_those_who_stay() {
    let mut world = World::online(242);
    let hers = world.link(ANA);
    let his = world.link(BEN);
    let doc = world.new_doc(hers, Ownership::Common);
    world.put(hers, doc, "x", "1");
    world.put(his, doc, "y", "1");
    world.run();
    world.disconnect(hers);
    world.disconnect(his);
    world.propose_removal(ANA, hers);
    world.propose_removal(BEN, his);
    // Each hears that its own link is stored, and then nothing for a while.
    let stored = |m: &ajar_protocol::relay_msg::RelayMsg| {
        matches!(m, ajar_protocol::relay_msg::RelayMsg::LinkStored { .. })
    };
    let from = world.relay.log.len();
    for who in [ANA, BEN] {
        let inbox = &mut world.devices[who].inbox;
        let place = inbox.iter().position(stored).unwrap();
        inbox.swap(0, place);
        world.step(who, 1);
        world.disconnect(who);
        world.rotate(who);
        world.put(who, doc, &format!("{who}"), "offline");
    }
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    let from_merge = world.relay.log.len();
    world.put(BEN, doc, "y", "2");
    world.run();
    let epoch = newest_epoch(&world);
    assert_eq!((epoch.reason, epoch.parents.len()), (EpochReason::Merge, 2));
    world.put(ANA, doc, "x", "2");
    world.run();
    use EnvelopeType::{Changes, Epoch};
    assert_eq!(kinds(&world, from_merge), [Epoch, Changes, Changes]);
    for gone in [hers, his] {
        let kept = keys(&world, gone);
        assert_eq!(opened(&world, from_merge, &kept), 0, "{gone}");
        assert!(opened(&world, 0, &kept) > 0);
    }
    // Each removal shut out its own device from what was written offline.
    let of = |world: &World, who: usize| {
        let device = world.devices[who].home.device();
        let log = world.relay.log[from..from_merge].iter();
        log.filter(|bytes| Envelope::parse(bytes).unwrap().header().device == device)
            .count()
    };
    assert_eq!((of(&world, ANA), of(&world, BEN)), (2, 2));
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn a_laptop_linked_at_a_refilled_relay_reads_what_was_under_a_removed_devices_key() {
    let mut world = World::online(243);
    let (laptop, doc) = under_a_key_from_beyond(&mut world);
    let device = world.devices[laptop].home.device();
    world.disconnect(laptop);
    world.propose_removal(ANA, laptop);
    world.run();
    world.fault = None;
    world.reconnect(ANA);
    world.rotate(ANA);
    world.run();
    // The relay loses everything and is filled anew by Ana and Ben.
    world.relay.wipe();
    for _ in 0..2 {
        for who in [ANA, BEN] {
            world.reconnect(who);
        }
    }
    let held = world.relay.of(&device);
    let cutoff = world.devices[ANA].home.frontier().counter(&device);
    assert_eq!(held.len() as u64, cutoff, "not the key beyond the cut-off");
    // Two in a row: what was handed over is handed on.
    world.pass(HOUR);
    let first = world.link(ANA);
    let second = world.link(first);
    for who in [first, second] {
        let read = world.value(who, doc, "x");
        assert_eq!(read.as_deref(), Some("under the laptop's key"), "{who}");
        assert_eq!(world.heads(who), world.heads(BEN), "{who}");
        assert_eq!(world.devices[who].home.status().parked, 0);
        world.restart(who);
        assert_eq!(world.heads(who), world.heads(BEN), "{who}");
        assert!(world.devices[who].home.check().findings.is_empty());
    }
    // Nothing new is written under it.
    let from = world.relay.log.len();
    let kept = keys(&world, laptop);
    world.connect(first);
    world.run();
    world.put(first, doc, "x", "after");
    world.run();
    assert_eq!(opened(&world, from, &kept), 0);
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("after"));
}

#[test]
fn a_new_device_that_restarts_before_it_has_connected_keeps_what_it_was_handed() {
    let mut world = World::online(244);
    let (laptop, doc) = under_a_key_from_beyond(&mut world);
    world.disconnect(laptop);
    world.propose_removal(ANA, laptop);
    world.run();
    world.fault = None;
    world.reconnect(ANA);
    world.relay.wipe();
    world.reconnect(ANA);
    world.reconnect(BEN);
    world.pass(HOUR);
    let tablet = world.link_offline(ANA);
    world.restart(tablet);
    world.restart(tablet);
    assert_eq!(world.value(tablet, doc, "x"), None);
    world.connect(tablet);
    world.run();
    let read = world.value(tablet, doc, "x");
    assert_eq!(read.as_deref(), Some("under the laptop's key"));
}
