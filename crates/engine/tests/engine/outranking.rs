//! A stolen, unlocked phone, and the twelve words that outrank it.

use ajar_engine::NoticeKind;
use ajar_protocol::link::{Cutoff, LeaveMode, LinkBody, RevokeReason};
use automerge::ROOT;
use automerge::transaction::Transactable;

use crate::theft::{Theft, by_device};
use crate::world::{ANA, BEN};

#[test]
fn the_words_undo_a_theft_and_nothing_that_anyone_honest_wrote_is_lost() {
    let mut theft = Theft::new(700);
    theft.steal();
    for who in [BEN, theft.tablet, theft.ben2] {
        // As long as nobody has spoken the words, the thief's word counts.
        assert_eq!(theft.value(who, theft.common, "laptop"), None);
        assert!(theft.value(who, theft.stolen, "thief").is_some());
    }
    let new = theft.outrank();
    theft.world.run();
    // On the same connection, what the thief had taken away comes again.
    for who in [BEN, theft.tablet, theft.ben2] {
        let found = theft.value(who, theft.common, "laptop");
        assert_eq!(found.as_deref(), Some("before"), "device {who}");
        assert_eq!(theft.value(who, theft.stolen, "thief"), None);
    }
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    for who in theft.honest(new) {
        theft.world.restart(who);
    }
    theft.assert_healed(new);
    for who in theft.honest(new) {
        theft.world.connect(who);
    }
    theft.world.run();
    theft.everyone_writes_on(new);
    theft.assert_healed(new);
    // And then the key changes no more.
    let changes = theft.key_changes();
    for _ in 0..3 {
        theft.everyone_writes_on(new);
    }
    assert_eq!(theft.key_changes(), changes);
    // A device that is linked now has it all from the start.
    let linked = theft.world.link(new);
    theft.laptop = linked;
    theft.assert_healed(new);
    let ana = theft.world.devices[new].home.own_party();
    for who in [BEN, theft.tablet] {
        let notices = theft.world.notices(who);
        assert!(
            notices
                .iter()
                .any(|kind| matches!(kind, NoticeKind::Recovered { party, .. } if *party == ana))
        );
    }
}

#[test]
fn whenever_a_process_dies_and_begins_again_a_theft_is_undone() {
    let mut theft = Theft::new(701);
    theft.restarts = true;
    theft.steal();
    let new = theft.outrank();
    theft.rest();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
    theft.assert_healed(new);
}

/// Their own chains are as long as the relay's or longer, so it would never send the link.
#[test]
fn devices_that_were_away_when_the_words_were_spoken_learn_of_it_and_keep_what_they_wrote() {
    let mut theft = Theft::new(702);
    theft.world.disconnect(theft.tablet);
    theft.steal();
    theft.world.disconnect(theft.ben2);
    theft.world.disconnect(BEN);
    for who in [BEN, theft.ben2] {
        for n in 0..3 {
            let text = format!("{n}");
            theft
                .world
                .put(who, theft.his, &format!("offline {who}"), &text);
        }
    }
    let new = theft.outrank();
    theft.world.run();
    // They write on, under the thief's view, long after.
    theft.put(theft.ben2, theft.his, "late");
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

/// More than fits among what waits in memory, all before the key that opens it.
#[test]
fn a_long_time_under_the_thiefs_view_is_read_by_those_the_thief_had_shut_out() {
    let mut theft = Theft::new(703);
    theft.steal();
    for n in 0..300 {
        theft.world.put(BEN, theft.his, "many", &n.to_string());
    }
    theft.world.run();
    let new = theft.outrank();
    theft.world.run();
    // The laptop is back before Ben has handed on the keys.
    theft.world.connect(theft.laptop);
    theft.world.run();
    let laptop = theft.laptop;
    assert_eq!(theft.value(laptop, theft.his, "many"), None);
    let told = |n: &NoticeKind| matches!(n, NoticeKind::Unopenable { .. });
    assert!(theft.world.notices(laptop).iter().any(told));
    theft.world.restart(laptop);
    theft.world.connect(laptop);
    theft.world.run();
    theft.world.put(BEN, theft.his, "after", "ben");
    theft.world.run();
    for who in [laptop, theft.tablet] {
        assert_eq!(theft.value(who, theft.his, "many").as_deref(), Some("299"));
        assert_eq!(theft.value(who, theft.his, "after").as_deref(), Some("ben"));
    }
    assert!(!theft.world.notices(laptop).iter().any(told));
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
}

/// Ana's new device changes the key first, so that Ben has one to write under: nothing but the
/// others' need makes him hand on those that only he has.
#[test]
fn keys_that_only_ben_has_are_handed_on_although_there_is_one_to_write_under() {
    let mut theft = Theft::new(715);
    theft.steal();
    theft.world.disconnect(BEN);
    theft.world.disconnect(theft.ben2);
    let new = theft.outrank();
    theft.world.connect(new);
    theft.world.run();
    theft.world.rotate(new);
    theft.world.run();
    theft.world.connect(theft.laptop);
    theft.world.run();
    theft.world.connect(BEN);
    theft.world.run();
    theft.world.restart(BEN);
    theft.world.connect(BEN);
    theft.world.run();
    theft.put(BEN, theft.his, "after");
    let ben = theft.world.devices[BEN].home.device();
    assert_eq!(theft.maker_of_key(), ben);
    theft.world.run();
    theft.world.connect(theft.ben2);
    theft.world.run();
    theft.assert_healed(new);
}

#[test]
fn a_space_that_the_thief_left_is_open_again() {
    let seed = 708;
    let mut theft = Theft::new(seed);
    let link = by_device(&mut theft.world, ANA, LinkBody::Leave(LeaveMode::Ended));
    theft.world.inject_link(&link);
    theft.world.run();
    let his = theft.his;
    let refused = theft.world.edit(BEN, his, |tx| tx.put(ROOT, "x", "closed"));
    assert!(refused.is_err());
    let new = theft.outrank();
    theft.world.run();
    theft.world.put(BEN, his, "x", "open");
    theft.world.run();
    assert_eq!(theft.value(theft.laptop, his, "x").as_deref(), Some("open"));
    theft.world.connect(new);
    theft.world.run();
    assert_eq!(theft.value(new, his, "x").as_deref(), Some("open"));
    theft.world.restart(BEN);
    theft.world.put(BEN, his, "x", "still open");
}

#[test]
fn a_device_that_the_words_take_away_keeps_its_home_to_read_and_writes_no_more() {
    let mut theft = Theft::new(711);
    theft.steal();
    let [first, second] = theft.thieves[..] else {
        panic!("two thieves");
    };
    let stolen = theft.stolen;
    let kept = theft.world.devices[first].home.status().kept;
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    for who in [first, second] {
        for _ in 0..2 {
            let value = theft.value(who, stolen, "thief");
            assert_eq!(value.as_deref(), Some("3"), "device {who}");
            let refused = theft.world.edit(who, stolen, |tx| tx.put(ROOT, "x", "no"));
            assert!(refused.is_err());
            let ana = theft.world.devices[theft.tablet].home.own_party();
            assert_eq!(theft.world.devices[who].home.own_party(), ana);
            theft.world.restart(who);
        }
    }
    assert_eq!(theft.world.devices[first].home.status().kept, kept);
    assert!(theft.world.devices[first].home.check().findings.is_empty());
    theft.assert_healed(new);
}

#[test]
fn years_later_another_device_is_stolen_and_the_words_undo_that_too() {
    let mut theft = Theft::new(712);
    theft.steal();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    // The tablet this time; Ben's second device sleeps through the end of it.
    theft.thief = theft.tablet;
    let tablet = theft.world.devices[theft.tablet].home.device();
    let last = theft.world.relay.frontier.of(&tablet).unwrap();
    theft.phone = Cutoff {
        device: tablet,
        counter: last.counter,
        id: last.id,
        reason: RevokeReason::Stolen,
    };
    theft.seq = theft.world.relay.chains[theft.world.place(BEN) ^ 1].next_seq();
    theft.put(new, theft.common, "between");
    theft.world.run();
    theft.steal();
    theft.world.disconnect(theft.ben2);
    theft.put(theft.ben2, theft.his, "offline");
    let newer = theft.outrank();
    theft.world.run();
    let again = [BEN, theft.laptop, theft.ben2, new, newer];
    theft.all_come_back(&again);
    theft.assert_healed(new);
    theft.assert_healed(newer);
    for who in again {
        theft.world.restart(who);
        theft.world.connect(who);
    }
    theft.world.run();
    theft.everyone_writes_on(new);
    theft.assert_healed(newer);
}
