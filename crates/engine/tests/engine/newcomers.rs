//! Devices that join while something is burned, or while others join.

use std::time::Duration;

use ajar_engine::store::Store;
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::DocId;

use crate::world::{ANA, BEN, LAPTOP, World};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600 + 1);
/// After so long a key has served.
const SEASON: Duration = Duration::from_secs(91 * 24 * 3600);

fn burn(world: &mut World, who: usize, doc: DocId) {
    let device = &mut world.devices[who];
    let burned = device.home.burn(world.now, &mut device.rng, &[doc], &[]);
    world.take(who, burned.unwrap());
    world.run();
}

/// Ana's diary, and a page of both.
fn pages(world: &mut World) -> (DocId, DocId) {
    let diary = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, diary, "text", "that may stay");
    let page = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, page, "text", "our page");
    world.run();
    (diary, page)
}

fn assert_forgotten(world: &World, who: usize) {
    let burns = world.devices[who].home.burns();
    assert!(!burns.is_empty(), "{who}");
    for status in burns {
        assert!(status.keys_destroyed, "{who}: {status:?}");
    }
}

fn assert_not_told(world: &World, what: impl Fn(&NoticeKind) -> bool) {
    for who in 0..world.devices.len() {
        let notices = world.notices(who);
        assert!(!notices.iter().any(&what), "{who}: {notices:?}");
    }
}

/// The tablet had no key to what Ana wrote on the train: no epoch after a burn hands on old ones.
#[test]
fn a_tablet_that_joins_while_ana_is_away_and_burns_reads_what_she_wrote_there() {
    let mut world = World::online(1);
    let (diary, _) = pages(&mut world);
    let regretted = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, regretted, "text", "CANARY-regretted");
    world.run();
    world.disconnect(ANA);
    world.pass(SEASON);
    // Her key has served: this is under a new one, which the tablet is not sealed in.
    world.put(ANA, diary, "meanwhile", "on a train");
    burn(&mut world, ANA, regretted);
    let tablet = world.link(BEN);
    world.connect(ANA);
    world.run();
    world.rest();
    world.assert_converged();
    let read = world.value(tablet, diary, "meanwhile");
    assert_eq!(read.as_deref(), Some("on a train"));
    // What handed on the old keys went with them.
    for who in [ANA, BEN, tablet] {
        assert_forgotten(&world, who);
        let ring = world.devices[who].store.load_keys().unwrap().unwrap();
        assert_eq!((ring.len() - 99) % 64, 0);
        assert!(ring.len() <= 99 + 2 * 64, "{who}: {}", ring.len());
    }
}

/// Both were away, and each burned something under a key of their own.
#[test]
fn a_tablet_that_joins_while_both_burn_reads_what_both_wrote_there() {
    let mut world = World::online(2);
    let (diary, page) = pages(&mut world);
    let laptop = world.link(BEN);
    let regrets: Vec<DocId> = [ANA, BEN]
        .map(|who| {
            let doc = world.new_doc(who, Ownership::Mine);
            world.put(who, doc, "text", "CANARY-regretted");
            doc
        })
        .to_vec();
    world.run();
    for (who, regret) in [ANA, BEN].into_iter().zip(&regrets) {
        world.disconnect(who);
        world.pass(SEASON);
        let doc = if who == ANA { diary } else { page };
        world.put(who, doc, "meanwhile", "on a train");
        burn(&mut world, who, *regret);
    }
    let tablet = world.link(laptop);
    world.connect(ANA);
    world.run();
    world.connect(BEN);
    world.run();
    world.rest();
    world.assert_converged();
    for doc in [diary, page] {
        let read = world.value(tablet, doc, "meanwhile");
        assert_eq!(read.as_deref(), Some("on a train"));
    }
    for who in [ANA, BEN, laptop, tablet] {
        assert_forgotten(&world, who);
    }
}

/// Epochs of devices that the laptop had no links of counted as damaged.
#[test]
fn a_laptop_that_comes_late_is_not_told_that_devices_it_has_not_heard_of_are_damage() {
    for trimmed in [false, true] {
        let mut world = World::online(3);
        let (diary, page) = pages(&mut world);
        let laptop = world.link_offline(ANA);
        let mut tablet = BEN;
        for _ in 0..4 {
            tablet = world.link(tablet);
        }
        world.put(tablet, page, "from", "the last one");
        world.run();
        if trimmed {
            world.snapshot(tablet);
            world.rest();
            world.put(ANA, diary, "more", "of it");
            world.run();
            world.pass(WEEK);
            world.rest();
            assert!(world.relay.trim.is_some());
        }
        world.connect(laptop);
        world.run();
        world.rest();
        world.assert_converged();
        let read = world.value(laptop, page, "from");
        assert_eq!(read.as_deref(), Some("the last one"));
        assert_not_told(&world, |kind| {
            matches!(kind, NoticeKind::DamagedData | NoticeKind::RolledBack)
        });
    }
}

/// A relay that names devices of nobody is asked who they are once, and not for ever.
#[test]
fn a_relay_that_withholds_a_link_is_not_asked_for_it_without_end() {
    let mut world = World::online(4);
    pages(&mut world);
    let laptop = world.link_offline(ANA);
    let tablet = world.link(BEN);
    let other = world.link(tablet);
    let place = world.place(other);
    let known = world.devices[laptop].home.status().devices.len();
    world.fault = Some(Box::new(move |to, message| match message {
        ajar_protocol::relay_msg::RelayMsg::Link(_) if to == laptop => Vec::new(),
        message => vec![message],
    }));
    world.connect(laptop);
    world.run();
    let devices = world.devices[laptop].home.status().devices.len();
    assert_eq!(devices, known);
    world.fault = None;
    world.reconnect(laptop);
    world.rest();
    world.assert_converged();
    assert_eq!(world.place(BEN), place);
}

/// The pack of Ben's snapshot still held what Ana had burned, and hers named it again.
#[test]
fn a_pack_with_what_was_burned_meanwhile_is_not_used_again() {
    let mut world = World::online(5);
    let regretted = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, regretted, "text", "CANARY-regretted");
    world.run();
    world.disconnect(ANA);
    burn(&mut world, ANA, regretted);
    world.snapshot(BEN);
    world.connect(ANA);
    world.run();
    world.rest();
    world.assert_converged();
    assert_not_told(&world, |kind| {
        matches!(kind, NoticeKind::SnapshotDiffers { .. })
    });
    for who in [ANA, BEN] {
        assert_forgotten(&world, who);
        let packs = world.devices[who].home.packs_in_use();
        assert!(packs.is_empty(), "{who}: there is nothing left to pack");
    }
}

/// The same with a device that begins from such a pack.
#[test]
fn a_pack_that_a_device_begins_from_is_not_used_again_either() {
    let mut world = World::online(6);
    let (_, page) = pages(&mut world);
    let laptop = world.link(ANA);
    world.disconnect(ANA);
    burn(&mut world, ANA, page);
    let diary = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, diary, "text", "on a train");
    let regretted = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, regretted, "text", "CANARY-regretted");
    world.run();
    world.snapshot(laptop);
    world.put(BEN, page, "more", "words");
    world.rest();
    world.pass(WEEK);
    world.rest();
    assert!(world.relay.trim.is_some());
    world.connect(ANA);
    world.run();
    world.rest();
    burn(&mut world, BEN, page);
    world.rest();
    world.assert_converged();
    assert_eq!(world.value(laptop, page, "text"), None);
    assert_not_told(&world, |kind| {
        matches!(kind, NoticeKind::SnapshotDiffers { .. })
    });
}

/// Snapshots do not say that Ana has voted already.
#[test]
fn a_tablet_that_begins_between_two_votes_forgets_what_both_burned() {
    for votes_itself in [false, true] {
        let mut world = World::online(7);
        let (diary, page) = pages(&mut world);
        burn(&mut world, ANA, page);
        world.snapshot(BEN);
        world.compare(ANA);
        world.put(ANA, diary, "more", "of it");
        world.run();
        world.pass(WEEK);
        world.rest();
        assert!(world.relay.trim.is_some());
        let tablet = world.link_offline(BEN);
        world.connect(tablet);
        world.run();
        world.start(tablet);
        assert!(world.value(tablet, page, "text").is_some());
        assert_eq!(world.devices[tablet].home.burn_requests(), [page]);
        burn(&mut world, if votes_itself { tablet } else { BEN }, page);
        for who in [ANA, BEN, tablet] {
            assert_eq!(world.value(who, page, "text"), None, "{who}");
        }
        world.rest();
        world.assert_converged();
        for who in [ANA, BEN, tablet] {
            assert_forgotten(&world, who);
        }
    }
}

/// Ana has not compared the snapshot yet when Ben votes.
#[test]
fn a_vote_is_said_again_after_both_have_voted() {
    let mut world = World::online(8);
    let (_, page) = pages(&mut world);
    burn(&mut world, ANA, page);
    world.disconnect(ANA);
    world.snapshot(BEN);
    let tablet = world.link_offline(BEN);
    world.connect(tablet);
    world.run();
    world.start(tablet);
    burn(&mut world, BEN, page);
    assert!(world.value(tablet, page, "text").is_some());
    world.connect(ANA);
    world.run();
    world.rest();
    world.assert_converged();
    for who in [ANA, BEN, tablet] {
        assert_eq!(world.value(who, page, "text"), None, "{who}");
        assert_forgotten(&world, who);
    }
}

/// Neither knew of the other's vote, so neither had made the epoch that ends the keys.
#[test]
fn what_both_burn_at_the_same_time_is_forgotten_too() {
    let mut world = World::online(9);
    let (_, page) = pages(&mut world);
    for who in [ANA, BEN] {
        world.disconnect(who);
        burn(&mut world, who, page);
    }
    for who in [ANA, BEN] {
        world.connect(who);
    }
    world.run();
    world.rest();
    world.pass(Duration::from_secs(61));
    world.rest();
    world.assert_converged();
    for who in [ANA, BEN] {
        assert_eq!(world.value(who, page, "text"), None, "{who}");
        assert_forgotten(&world, who);
    }
}

/// The laptop began further on, and could not tell what came after Ben's cover: it took his
/// snapshot for another history.
#[test]
fn a_snapshot_from_before_the_one_a_laptop_began_from_is_not_another_history() {
    let mut world = World::online(10);
    let (diary, _) = pages(&mut world);
    world.disconnect(BEN);
    world.snapshot(BEN);
    world.put(ANA, diary, "more", "of it");
    world.run();
    world.snapshot(ANA);
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.connect(BEN);
    world.run();
    world.rest();
    world.assert_converged();
    assert_not_told(&world, |kind| {
        matches!(kind, NoticeKind::SnapshotDiffers { .. })
    });
}

/// In Ana's eyes Ben had voted last, and his snapshot from before he heard of her vote lacked
/// what both had burned by then.
#[test]
fn a_snapshot_made_between_two_votes_that_crossed_is_not_another_history() {
    let mut world = World::online(11);
    let (_, page) = pages(&mut world);
    for who in [ANA, BEN] {
        world.disconnect(who);
        burn(&mut world, who, page);
    }
    world.snapshot(BEN);
    for who in [ANA, BEN] {
        world.connect(who);
    }
    world.run();
    world.rest();
    world.pass(Duration::from_secs(61));
    world.rest();
    world.assert_converged();
    assert_not_told(&world, |kind| {
        matches!(kind, NoticeKind::SnapshotDiffers { .. })
    });
    for who in [ANA, BEN] {
        assert_forgotten(&world, who);
    }
}

/// The laptop was still taking packs in when Ana wrote on it, and took what she wrote for
/// something that the snapshot lacked.
#[test]
fn what_is_written_while_a_laptop_begins_or_ben_compares_does_not_contradict_the_snapshot() {
    let mut world = World::online(12);
    let (_, page) = pages(&mut world);
    world.snapshot(ANA);
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    let packs = world.devices[laptop].home.packs_to_start();
    assert!(!packs.is_empty());
    let diary = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, diary, "text", "cannot wait");
    world.start(laptop);
    let wanted = world.devices[BEN].home.snapshot_to_compare().unwrap();
    world.put(BEN, page, "more", "words");
    for pack in wanted.unwrap() {
        let opened = world.open(&pack);
        let home = &mut world.devices[BEN].home;
        home.compare_pack(world.now, opened).unwrap();
    }
    let late = world.new_doc(BEN, Ownership::Mine);
    world.put(BEN, late, "text", "in between");
    world.devices[BEN].home.end_comparing(world.now).unwrap();
    world.run();
    world.rest();
    world.assert_converged();
    assert_not_told(&world, |kind| {
        matches!(kind, NoticeKind::SnapshotDiffers { .. })
    });
}

/// Ben's snapshot covered what Ana's did not, so the tablet that began from it could not compare
/// hers, and her burn waited for its word for ever.
#[test]
fn a_tablet_that_begins_from_a_snapshot_beside_that_of_a_burn_confirms_the_burn() {
    let mut world = World::online(13);
    let (diary, page) = pages(&mut world);
    let regretted = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, regretted, "text", "CANARY-regretted");
    world.run();
    world.disconnect(BEN);
    world.put(BEN, page, "meanwhile", "on a train");
    world.snapshot(BEN);
    burn(&mut world, ANA, regretted);
    world.snapshot(ANA);
    world.disconnect(ANA);
    world.connect(BEN);
    world.run();
    let tablet = world.link_offline(BEN);
    world.connect(tablet);
    world.run();
    world.start(tablet);
    assert!(world.devices[tablet].home.folded_envelopes() > 0);
    world.connect(ANA);
    world.run();
    world.rest();
    world.put(ANA, diary, "more", "of it");
    world.run();
    world.rest();
    world.assert_converged();
    for who in [ANA, BEN, tablet] {
        assert_eq!(world.value(who, regretted, "text"), None, "{who}");
        assert_forgotten(&world, who);
    }
}

/// The same with a laptop that was away until the log had been given up to Ben's snapshot.
#[test]
fn a_laptop_that_jumps_to_a_snapshot_beside_that_of_a_burn_confirms_the_burn() {
    let mut world = World::with_laptop(15);
    let (diary, page) = pages(&mut world);
    let regretted = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, regretted, "text", "CANARY-regretted");
    world.put(LAPTOP, diary, "from", "the laptop");
    world.run();
    world.disconnect(LAPTOP);
    world.disconnect(BEN);
    world.put(BEN, page, "meanwhile", "on a train");
    world.snapshot(BEN);
    burn(&mut world, ANA, regretted);
    world.snapshot(ANA);
    world.connect(BEN);
    world.run();
    world.rest();
    world.put(ANA, diary, "more", "of it");
    world.run();
    world.pass(WEEK);
    world.rest();
    assert!(world.relay.trim.is_some());
    world.connect(LAPTOP);
    world.run();
    world.rest();
    world.assert_converged();
    for who in [ANA, BEN, LAPTOP] {
        assert_eq!(world.value(who, regretted, "text"), None, "{who}");
        assert_forgotten(&world, who);
    }
}

/// Ben had not heard that the burn had come to its end when he handed on old keys to his tablet.
/// To Ana and to the tablet these were keys that nobody had burned, and the snapshot that gave
/// them up was another history.
#[test]
fn old_keys_that_are_handed_on_after_the_end_of_a_burn_go_too() {
    for author in [ANA, BEN] {
        let mut world = World::online(14);
        let (diary, page) = pages(&mut world);
        let regretted = world.new_doc(author, Ownership::Mine);
        world.put(author, regretted, "text", "CANARY-regretted");
        world.run();
        burn(&mut world, author, regretted);
        world.snapshot(author);
        let other = if author == ANA { BEN } else { ANA };
        world.compare(other).unwrap();
        world.errands(other);
        world.errands(ANA);
        while world.devices[ANA].home.sweeps() {
            world.devices[ANA].home.sweep().unwrap();
        }
        world.devices[ANA].home.scrubbed().unwrap();
        assert!(world.devices[ANA].home.burns()[0].keys_destroyed);
        assert!(!world.devices[BEN].home.burns()[0].keys_destroyed);
        let tablet = world.link_offline(BEN);
        world.connect(tablet);
        world.run();
        world.rest();
        world.put(tablet, page, "from", "the tablet");
        world.put(ANA, diary, "more", "of it");
        world.run();
        world.rest();
        world.assert_converged();
        assert_not_told(&world, |kind| {
            matches!(kind, NoticeKind::SnapshotDiffers { .. })
        });
        for who in [ANA, BEN, tablet] {
            let ring = world.devices[who].store.load_keys().unwrap().unwrap();
            // That of the burn, and one that follows it.
            assert_eq!(ring.len(), 99 + 2 * 64, "{who}");
        }
        for who in [ANA, BEN] {
            assert_forgotten(&world, who);
        }
    }
}
