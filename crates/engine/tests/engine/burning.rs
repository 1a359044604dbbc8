//! Taking back what was said.

use std::time::Duration;

use ajar_engine::store::{Key, Store, StoreError};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::DocId;
use ajar_protocol::link::RevokeReason;

use crate::removal::hide;
use crate::world::{ANA, BEN, LAPTOP, World};

fn burn(world: &mut World, who: usize, docs: &[DocId]) {
    let device = &mut world.devices[who];
    let outputs = device
        .home
        .burn(world.now, &mut device.rng, docs, &[])
        .unwrap();
    world.take(who, outputs);
    world.run();
}

/// Ana has written something that she will take back, and both have written other things.
fn regretted(seed: u64) -> (World, DocId, Vec<DocId>) {
    let mut world = World::online(seed);
    let mut others = Vec::new();
    for who in [ANA, BEN] {
        let doc = world.new_doc(who, Ownership::Mine);
        world.put(who, doc, "text", "that may stay");
        others.push(doc);
    }
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "text", "CANARY-regretted");
    world.run();
    (world, doc, others)
}

#[test]
fn what_ana_burns_is_gone_everywhere_and_its_keys_are_destroyed_when_all_have_confirmed() {
    let (mut world, doc, others) = regretted(1);
    let laptop = world.link(ANA);
    burn(&mut world, ANA, &[doc]);
    for who in [ANA, BEN, laptop] {
        assert_eq!(world.value(who, doc, "text"), None, "{who}");
    }
    let status = world.devices[ANA].home.burns().remove(0);
    assert_eq!((status.confirmed, status.of), (0, 3));
    assert!(!status.keys_destroyed);
    world.rest();
    let status = world.devices[ANA].home.burns().remove(0);
    assert_eq!((status.confirmed, status.of), (3, 3));
    assert!(status.keys_destroyed);
    world.assert_converged();
    // No relay has an envelope under an old key any more, and no device has an old key.
    for who in [ANA, BEN, laptop] {
        let ring = world.devices[who].store.load_keys().unwrap().unwrap();
        assert_eq!(
            ring.len(),
            1 + 96 + 2 + 64,
            "one key is left on device {who}"
        );
    }
    for who in [ANA, BEN, laptop] {
        world.restart(who);
        world.connect(who);
    }
    world.run();
    world.put(ANA, others[0], "life", "goes on");
    world.put(BEN, others[1], "life", "goes on");
    world.run();
    world.assert_converged();
    let tablet = world.link_offline(BEN);
    world.connect(tablet);
    world.run();
    world.start(tablet);
    world.assert_converged();
    assert_eq!(world.value(tablet, doc, "text"), None);
    assert_eq!(
        world.notices(BEN).len(),
        1 + 1 + 1,
        "{:?}",
        world.notices(BEN)
    );
}

#[test]
fn a_burn_waits_for_a_device_that_is_away() {
    let (mut world, doc, _) = regretted(2);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    burn(&mut world, ANA, &[doc]);
    world.rest();
    let status = world.devices[ANA].home.burns().remove(0);
    assert_eq!((status.confirmed, status.of), (2, 3));
    assert!(!status.keys_destroyed);
    world.connect(laptop);
    world.run();
    world.rest();
    let status = world.devices[ANA].home.burns().remove(0);
    assert!(status.keys_destroyed, "{status:?}");
    world.assert_converged();
}

#[test]
fn a_device_that_never_comes_back_is_removed_and_the_burn_goes_on() {
    let (mut world, doc, _) = regretted(3);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    burn(&mut world, ANA, &[doc]);
    world.rest();
    world.remove(ANA, laptop);
    world.rest();
    let status = world.devices[ANA].home.burns().remove(0);
    assert!(status.keys_destroyed, "{status:?}");
}

#[test]
fn what_was_written_under_an_old_key_meanwhile_is_not_lost() {
    let (mut world, doc, others) = regretted(4);
    world.disconnect(BEN);
    world.put(BEN, others[1], "meanwhile", "on a train");
    burn(&mut world, ANA, &[doc]);
    world.rest();
    world.connect(BEN);
    world.run();
    world.rest();
    world.assert_converged();
    let status = world.devices[ANA].home.burns().remove(0);
    assert!(status.keys_destroyed, "{status:?}");
    assert!(world.value(ANA, others[1], "meanwhile").is_some());
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.assert_converged();
}

#[test]
fn both_burn_something_at_the_same_time() {
    let (mut world, doc, others) = regretted(5);
    world.disconnect(BEN);
    world.disconnect(ANA);
    burn(&mut world, ANA, &[doc]);
    burn(&mut world, BEN, &[others[1]]);
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    world.rest();
    world.assert_converged();
    for who in [ANA, BEN] {
        for status in world.devices[who].home.burns() {
            assert!(status.keys_destroyed, "{who}: {status:?}");
        }
        let ring = world.devices[who].store.load_keys().unwrap().unwrap();
        assert_eq!(
            ring.len(),
            1 + 96 + 2 + 64,
            "one key is left on device {who}"
        );
    }
}

/// Threat 77.
#[test]
fn ben_cannot_burn_what_ana_wrote_he_can_only_ask() {
    let (mut world, doc, _) = regretted(6);
    burn(&mut world, BEN, &[doc]);
    assert!(world.value(ANA, doc, "text").is_some());
    assert!(world.value(BEN, doc, "text").is_some());
    let asked = |kind: &NoticeKind| matches!(kind, NoticeKind::BurnRequested { docs: 1, .. });
    assert!(world.notices(ANA).iter().any(asked));
    assert_eq!(world.devices[ANA].home.burn_requests(), [doc]);
    burn(&mut world, ANA, &[doc]);
    assert_eq!(world.value(BEN, doc, "text"), None);
    assert!(world.devices[ANA].home.burn_requests().is_empty());
}

#[test]
fn what_both_wrote_is_burned_when_both_say_so() {
    let mut world = World::online(7);
    let common = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, common, "text", "our page");
    world.run();
    burn(&mut world, ANA, &[common]);
    for who in [ANA, BEN] {
        assert!(world.value(who, common, "text").is_some());
    }
    burn(&mut world, BEN, &[common]);
    for who in [ANA, BEN] {
        assert_eq!(world.value(who, common, "text"), None);
    }
    world.rest();
    assert!(world.devices[BEN].home.burns()[0].keys_destroyed);
}

/// Threat 78.
#[test]
fn what_is_burned_does_not_come_back_with_a_change_that_was_under_way() {
    let (mut world, doc, _) = regretted(8);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    world.put(laptop, doc, "text", "CANARY-rewritten");
    let other = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, other, "text", "something else");
    burn(&mut world, ANA, &[doc]);
    world.connect(laptop);
    world.run();
    world.rest();
    for who in [ANA, BEN, laptop] {
        assert_eq!(world.value(who, doc, "text"), None, "{who}");
        assert!(world.value(who, other, "text").is_some(), "{who}");
    }
    assert!(world.edit(ANA, doc, |_| Ok(())).is_err());
    world.assert_converged();
}

#[test]
fn a_disk_that_fills_up_at_a_step_of_a_burn_leaves_it_to_be_done() {
    let (mut world, doc, _) = regretted(9);
    burn(&mut world, ANA, &[doc]);
    let full = |world: &World, who: usize| {
        world.devices[who]
            .store
            .fail_next_commit(StoreError::DiskFull);
    };
    world.devices[ANA].home.begin_snapshot().unwrap();
    world.pack_all(ANA);
    full(&world, ANA);
    let ana = &mut world.devices[ANA];
    let failed = ana.home.finish_snapshot(world.now, &mut ana.rng);
    assert!(failed.is_err());
    assert!(world.devices[ANA].home.snapshot_due().unwrap());
    world.snapshot(ANA);
    full(&world, BEN);
    let packs = world.devices[BEN]
        .home
        .snapshot_to_compare()
        .unwrap()
        .unwrap();
    for pack in &packs {
        let opened = world.open(pack);
        world.devices[BEN]
            .home
            .compare_pack(world.now, opened)
            .unwrap();
    }
    assert!(world.devices[BEN].home.end_comparing(world.now).is_err());
    world.compare(BEN).unwrap();
    full(&world, BEN);
    let ben = &mut world.devices[BEN];
    assert!(ben.home.errands(world.now, &mut ben.rng).is_err());
    world.rest();
    for who in [ANA, BEN] {
        let status = world.devices[who].home.burns().remove(0);
        assert!(status.keys_destroyed, "{who}: {status:?}");
        assert!(
            world.devices[who]
                .store
                .load(&Key::Folded)
                .unwrap()
                .is_some()
        );
    }
    world.assert_converged();
}

/// Whoever began from the snapshot of the burn had no old key, and waited for ever.
#[test]
fn a_laptop_that_is_linked_during_a_burn_reads_what_comes_late_under_the_old_key() {
    let (mut world, doc, others) = regretted(10);
    world.disconnect(BEN);
    world.put(BEN, others[1], "meanwhile", "on a train");
    burn(&mut world, ANA, &[doc]);
    world.rest();
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    world.rest();
    world.connect(BEN);
    world.run();
    world.rest();
    world.assert_converged();
    assert!(world.value(laptop, others[1], "meanwhile").is_some());
    for who in [ANA, BEN, laptop] {
        assert_eq!(world.value(who, doc, "text"), None);
        let status = world.devices[who].home.burns().remove(0);
        assert!(status.keys_destroyed, "{who}: {status:?}");
    }
}

/// There is no pack with which the beginning could end.
#[test]
fn a_laptop_begins_where_everything_was_burned() {
    let mut world = World::online(11);
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "text", "CANARY-regretted");
    world.run();
    burn(&mut world, ANA, &[doc]);
    world.rest();
    assert!(world.devices[ANA].home.burns()[0].keys_destroyed);
    let laptop = world.link(ANA);
    world.assert_converged();
    let next = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, next, "text", "another day");
    world.run();
    world.assert_converged();
    assert!(world.value(BEN, next, "text").is_some());
}

/// Each made a snapshot that lacked a little of the other's. The log was given up to one, and
/// Ben asked for the other and never again.
#[test]
fn of_two_snapshots_side_by_side_both_settle_for_the_one_that_the_relay_took() {
    let (mut world, doc, others) = regretted(12);
    for who in [ANA, BEN] {
        world.disconnect(who);
    }
    burn(&mut world, ANA, &[doc]);
    burn(&mut world, BEN, &[others[1]]);
    for who in [ANA, BEN] {
        world.connect(who);
    }
    world.run();
    for who in [ANA, BEN] {
        world.disconnect(who);
        world.snapshot(who);
    }
    for who in [ANA, BEN] {
        world.connect(who);
    }
    world.run();
    for who in [ANA, BEN] {
        world.compare(who).unwrap();
        world.errands(who);
    }
    world.run();
    world.rest();
    world.assert_converged();
    for who in [ANA, BEN] {
        for status in world.devices[who].home.burns() {
            assert!(status.keys_destroyed, "{who}: {status:?}");
        }
    }
}

/// The key under which everybody writes is the only one that is left.
fn assert_one_key(world: &mut World, devices: &[usize]) {
    for who in devices {
        let ring = world.devices[*who].store.load_keys().unwrap().unwrap();
        assert_eq!(ring.len(), 1 + 96 + 2 + 64, "{who}");
    }
}

/// What the first burn had ended, the snapshot of the second did not name again.
#[test]
fn a_laptop_that_missed_the_end_of_a_burn_forgets_with_the_next_one() {
    let (mut world, doc, others) = regretted(13);
    let laptop = world.link(ANA);
    burn(&mut world, ANA, &[doc]);
    world.snapshot(ANA);
    for who in [BEN, laptop] {
        world.compare(who).unwrap();
        world.errands(who);
    }
    world.disconnect(laptop);
    world.rest();
    assert!(world.devices[ANA].home.burns()[0].keys_destroyed);
    assert!(!world.devices[laptop].home.burns()[0].keys_destroyed);
    burn(&mut world, ANA, &[others[0]]);
    world.rest();
    world.connect(laptop);
    world.run();
    world.rest();
    world.assert_converged();
    for status in world.devices[laptop].home.burns() {
        assert!(status.keys_destroyed, "{status:?}");
    }
    assert_one_key(&mut world, &[ANA, BEN, laptop]);
    world.restart(laptop);
}

/// No snapshot covers what lies beyond a cut-off, so none named the key change there.
#[test]
fn a_key_change_beyond_a_cut_off_goes_with_the_burn_that_ends_it() {
    let mut world = World::with_laptop(14);
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "text", "CANARY-regretted");
    let page = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, page, "text", "our page");
    world.run();
    world.pass(Duration::from_secs(91 * 24 * 3600));
    hide(&mut world, LAPTOP, ANA);
    world.put(LAPTOP, doc, "more", "under a new key");
    world.run();
    world.remove(ANA, LAPTOP);
    burn(&mut world, ANA, &[doc]);
    world.rest();
    let status = world.devices[BEN].home.burns().remove(0);
    assert!(status.keys_destroyed, "{status:?}");
    assert_one_key(&mut world, &[ANA, BEN]);
    // The relay has it still, and sends it with each connection.
    world.fault = None;
    for who in [ANA, BEN] {
        world.restart(who);
        world.connect(who);
    }
    world.run();
    world.put(BEN, page, "more", "words");
    world.run();
    assert_one_key(&mut world, &[ANA, BEN]);
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

/// The laptop was removed while Ana's snapshot was on its way, which covered what lay beyond the
/// cut-off by then: Ben could not compare it, and nobody made another.
#[test]
fn a_burn_does_not_wait_for_a_snapshot_that_ends_beyond_a_cut_off() {
    let mut world = World::with_laptop(15);
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "text", "CANARY-regretted");
    world.run();
    let laptop = world.devices[LAPTOP].home.device();
    let ana = &mut world.devices[ANA];
    let removal = ana
        .home
        .propose_removal(world.now, laptop, RevokeReason::Lost)
        .unwrap();
    world.disconnect(BEN);
    let late = world.new_doc(LAPTOP, Ownership::Mine);
    world.put(LAPTOP, late, "text", "beyond the cut-off");
    world.run();
    burn(&mut world, ANA, &[doc]);
    world.snapshot(ANA);
    world.take(ANA, removal);
    world.run();
    world.rotate(ANA);
    world.run();
    world.connect(BEN);
    world.run();
    world.rest();
    for who in [ANA, BEN] {
        let status = world.devices[who].home.burns().remove(0);
        assert!(status.keys_destroyed, "{who}: {status:?}");
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
}
