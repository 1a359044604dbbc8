//! Folding a log into documents, and beginning from there.

use std::sync::Arc;
use std::time::Duration;

use ajar_engine::table::{Summarize, Summary};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::DocId;
use automerge::{Automerge, ROOT, ReadDoc};

use crate::removal::hide;
use crate::world::{ANA, BEN, LAPTOP, World};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600 + 1);

/// Ana and Ben have written `n` documents each and a common one.
fn written(seed: u64, n: usize) -> (World, Vec<DocId>) {
    let mut world = World::online(seed);
    let mut docs = Vec::new();
    for number in 0..n {
        for who in [ANA, BEN] {
            let doc = world.new_doc(who, Ownership::Mine);
            world.put(who, doc, "text", &format!("day {number} of {who}"));
            docs.push(doc);
        }
    }
    let common = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, common, "by", "Ana");
    world.run();
    world.put(BEN, common, "and", "Ben");
    docs.push(common);
    world.run();
    (world, docs)
}

#[test]
fn ben_endorses_anas_snapshot_with_his_next_words_and_the_relay_gives_up_the_log() {
    let (mut world, docs) = written(1, 5);
    world.snapshot(ANA);
    let before = world.relay.log.len();
    world.compare(BEN).unwrap();
    world.errands(BEN);
    // An envelope that nobody caused would tell Ana that Ben's phone is awake.
    assert_eq!(world.relay.log.len(), before);
    world.put(BEN, docs[1], "more", "words");
    world.run();
    assert_eq!(world.relay.log.len(), before + 2);
    world.errands(ANA);
    assert!(
        world.relay.trim.is_none(),
        "devices that come within a week go on from the log"
    );
    world.pass(WEEK);
    world.errands(ANA);
    assert!(world.relay.trim.is_some());
    assert!(world.relay.log.len() < 10, "{}", world.relay.log.len());
    world.rest();
    world.assert_converged();
    // Both go on writing.
    world.put(ANA, docs[0], "more", "of it");
    world.put(BEN, docs[1], "and", "more");
    world.run();
    world.assert_converged();
    for who in [ANA, BEN] {
        let checked = world.devices[who].home.check();
        assert_eq!(checked.findings, Vec::<String>::new());
        assert!(checked.envelopes < 12, "{}", checked.envelopes);
        world.restart(who);
    }
}

#[test]
fn a_new_device_begins_from_a_snapshot_of_its_own_party_and_goes_on_from_the_log() {
    let (mut world, docs) = written(2, 5);
    world.snapshot(ANA);
    world.put(BEN, docs[1], "after", "the snapshot");
    world.run();
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    assert!(!world.devices[laptop].home.packs_to_start().is_empty());
    world.start(laptop);
    world.assert_converged();
    assert_eq!(
        world.value(laptop, docs[1], "after").as_deref(),
        Some("the snapshot")
    );
    // It holds what it needs, and no more.
    let checked = world.devices[laptop].home.check();
    assert_eq!(checked.findings, Vec::<String>::new());
    world.restart(laptop);
    world.reconnect(laptop);
    world.put(laptop, docs[0], "from", "the laptop");
    world.run();
    world.assert_converged();
}

#[test]
fn a_new_device_does_not_believe_a_snapshot_that_only_the_partner_vouches_for() {
    let (mut world, docs) = written(3, 3);
    world.snapshot(BEN);
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    // The log is still there, so nothing is lost by that.
    assert!(world.devices[laptop].home.packs_to_start().is_empty());
    world.assert_converged();
    // With Ana's word it is good for the next one.
    world.compare(ANA).unwrap();
    world.put(ANA, docs[0], "more", "words");
    world.run();
    let tablet = world.link_offline(ANA);
    world.connect(tablet);
    world.run();
    assert!(!world.devices[tablet].home.packs_to_start().is_empty());
    world.start(tablet);
    world.assert_converged();
}

#[test]
fn a_device_that_was_away_for_a_year_jumps_and_keeps_what_it_wrote() {
    let (mut world, docs) = written(4, 3);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    let diary = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, diary, "text", "on a train, without a network");
    for n in 0..30 {
        world.put(ANA, docs[0], &format!("{n}"), "a year goes by");
        world.put(BEN, docs[1], &format!("{n}"), "a year goes by");
    }
    world.run();
    world.snapshot(ANA);
    world.compare(BEN).unwrap();
    world.put(BEN, docs[1], "last", "words");
    world.run();
    world.pass(WEEK);
    world.rest();
    assert!(world.relay.trim.is_some());
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.assert_converged();
    assert!(world.value(BEN, diary, "text").is_some());
    assert_eq!(
        world.devices[laptop].home.check().findings,
        Vec::<String>::new()
    );
    world.restart(laptop);
}

/// It counted on packs that were gone when it was signed: their documents were missing in it, and
/// whoever began from it did not have them. Seed 5220 of the simulation.
#[test]
fn a_snapshot_in_the_making_is_given_up_when_another_is_taken_over() {
    let mut world = World::online(23);
    let diary = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, diary, "text", "a first day");
    world.run();
    world.snapshot(BEN);
    world.rest();
    // Ana builds on Ben's packs. While hers are sealed, Ben packs the diary anew, since it has
    // changed, and she takes that over.
    world.devices[ANA].home.begin_snapshot().unwrap();
    let page = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, page, "text", "ours");
    world.put(ANA, diary, "text", "a better first day");
    world.run();
    world.snapshot(BEN);
    assert!(world.devices[ANA].home.is_making());
    while world.compare(ANA).is_some() {}
    assert!(!world.devices[ANA].home.is_making());
    world.pack_all(ANA);
    let device = &mut world.devices[ANA];
    let finished = device.home.finish_snapshot(world.now, &mut device.rng);
    assert!(finished.unwrap().is_none());
    world.rest();
    for who in [ANA, BEN] {
        let told = world.notices(who);
        let differs = |kind: &NoticeKind| matches!(kind, NoticeKind::SnapshotDiffers { .. });
        assert!(!told.iter().any(differs), "{who}: {told:?}");
    }
    // The next one is whole.
    world.snapshot(ANA);
    world.rest();
    let told = world.notices(BEN);
    assert_eq!(told, []);
}

#[test]
fn two_devices_make_a_snapshot_at_once_and_no_harm_is_done() {
    let (mut world, docs) = written(5, 3);
    for who in [ANA, BEN] {
        world.devices[who].home.begin_snapshot().unwrap();
        world.pack_all(who);
    }
    for who in [ANA, BEN] {
        let device = &mut world.devices[who];
        let outputs = device.home.finish_snapshot(world.now, &mut device.rng);
        world.take(who, outputs.unwrap().unwrap());
    }
    world.run();
    for who in [ANA, BEN] {
        world.compare(who);
    }
    world.put(ANA, docs[0], "more", "words");
    world.put(BEN, docs[1], "more", "words");
    world.run();
    world.pass(WEEK);
    world.rest();
    assert!(world.relay.trim.is_some());
    for who in [ANA, BEN] {
        assert!(world.notices(who).is_empty(), "{:?}", world.notices(who));
    }
    world.assert_converged();
    let laptop = world.link_offline(BEN);
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.assert_converged();
}

/// It had written more than the others, and asked the relay for the same again and again.
#[test]
fn a_device_that_wrote_more_while_it_was_away_than_all_others_jumps_too() {
    let (mut world, docs) = written(13, 3);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    let diary = world.new_doc(laptop, Ownership::Mine);
    for n in 0..60 {
        world.put(laptop, diary, &format!("{n}"), "on a train");
    }
    world.put(ANA, docs[0], "more", "words");
    world.run();
    world.snapshot(ANA);
    world.compare(BEN).unwrap();
    world.put(BEN, docs[1], "last", "words");
    world.run();
    world.pass(WEEK);
    world.rest();
    assert!(world.relay.trim.is_some());
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.assert_converged();
    assert!(world.value(BEN, diary, "59").is_some());
}

#[test]
fn a_snapshot_after_little_writing_uses_the_packs_of_the_last_one_again() {
    let (mut world, docs) = written(6, 4);
    world.snapshot(ANA);
    let packs = world.blobs.len();
    assert!(packs > 0);
    world.snapshot(ANA);
    assert_eq!(world.blobs.len(), packs, "nothing has changed");
    world.put(ANA, docs[0], "one", "word");
    world.run();
    world.snapshot(ANA);
    assert_eq!(world.blobs.len(), packs + 1);
    // Ben has compared the first pack; of the second he needs only what is new.
    assert_eq!(world.compare(BEN), Some(1));
    let status = world.notices(BEN);
    assert!(status.is_empty(), "{status:?}");
}

/// Files documents under their `month`, as a journal does.
struct ByMonth;

impl Summarize for ByMonth {
    fn version(&self) -> u32 {
        1
    }

    fn summarize(&self, doc: &Automerge) -> Option<Summary> {
        let month = doc.get(ROOT, "month").ok()??.0.into_string().ok()?;
        Some(Summary {
            shelf: month.parse().ok()?,
            sort: 0,
            head: Vec::new(),
            text: String::new(),
        })
    }
}

/// A journal of few words a month was once a pack for every month.
#[test]
fn months_of_the_past_share_a_pack_and_the_newest_has_its_own() {
    let mut world = World::online(12);
    let ana = &mut world.devices[ANA].home;
    ana.with_summarize(Arc::new(ByMonth));
    let docs: Vec<DocId> = (0..24)
        .map(|month| {
            let doc = world.new_doc(ANA, Ownership::Mine);
            world.put(ANA, doc, "month", &(100 + month).to_string());
            doc
        })
        .collect();
    world.run();
    let newest = |world: &World| {
        let packs = world.devices[ANA].home.packs_in_use();
        let packs = packs.iter().map(|pack| &world.blobs[pack].reference);
        let mut packs: Vec<_> = packs.map(|pack| (pack.shelf, pack.docs)).collect();
        packs.sort_by_key(|(shelf, _)| std::cmp::Reverse(*shelf));
        packs
    };
    world.snapshot(ANA);
    assert_eq!(newest(&world), [(123, 1), (122, 23)]);
    let made = world.blobs.len();

    // More of the same month leaves the past alone.
    let more = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, more, "month", "123");
    world.snapshot(ANA);
    assert_eq!(newest(&world), [(123, 2), (122, 23)]);
    assert_eq!(world.blobs.len(), made + 1);

    // A new month: the one before joins the past.
    let next = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, next, "month", "124");
    world.snapshot(ANA);
    assert_eq!(newest(&world), [(124, 1), (123, 25)]);

    // A month that is full stays as it is, and what comes to it later lies beside it.
    for _ in 0..2 {
        let mut noise = vec![0; 600_000];
        rand_core::Rng::fill_bytes(&mut world.devices[ANA].rng, &mut noise);
        let long: String = noise
            .iter()
            .map(|byte| char::from(byte % 64 + 32))
            .collect();
        world.put(ANA, docs[3], "text", &long);
    }
    world.snapshot(ANA);
    let full = newest(&world);
    assert_eq!(full, [(124, 1), (123, 21), (103, 1), (102, 3)]);
    let late = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, late, "month", "103");
    world.snapshot(ANA);
    assert_eq!(newest(&world), [(124, 1), (123, 22), (103, 1), (102, 3)]);
    world.snapshot(ANA);
    assert_eq!(newest(&world), [(124, 1), (123, 22), (103, 1), (102, 3)]);
    world.run();
    world.compare(BEN).unwrap();
    assert!(world.notices(BEN).is_empty());
}

#[test]
fn what_is_written_while_a_snapshot_is_made_is_packed_again() {
    let (mut world, docs) = written(7, 3);
    world.devices[ANA].home.begin_snapshot().unwrap();
    world.pack_all(ANA);
    world.put(ANA, docs[0], "meanwhile", "written");
    world.run();
    let device = &mut world.devices[ANA];
    let early = device.home.finish_snapshot(world.now, &mut device.rng);
    assert!(early.unwrap().is_none());
    world.pack_all(ANA);
    let device = &mut world.devices[ANA];
    let outputs = device.home.finish_snapshot(world.now, &mut device.rng);
    world.take(ANA, outputs.unwrap().unwrap());
    world.run();
    world.compare(BEN).unwrap();
    assert!(world.notices(BEN).is_empty());
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.assert_converged();
}

/// A program that runs for weeks made no copy any more, and no burn came to its end.
#[test]
fn a_snapshot_that_the_end_of_a_connection_cut_short_is_begun_again() {
    let (mut world, _) = written(13, 3);
    world.devices[ANA].home.begin_snapshot().unwrap();
    assert!(world.devices[ANA].home.is_making());
    world.reconnect(ANA);
    assert!(!world.devices[ANA].home.is_making());
    let device = &mut world.devices[ANA];
    assert!(device.home.next_pack().unwrap().is_none());
    let finished = device.home.finish_snapshot(world.now, &mut device.rng);
    assert!(finished.unwrap().is_none());
    world.snapshot(ANA);
    world.compare(BEN).unwrap();
    assert!(world.notices(BEN).is_empty());
}

#[test]
fn a_relay_that_lost_everything_is_filled_by_devices_that_have_given_up_their_log() {
    let (mut world, docs) = written(8, 3);
    world.snapshot(ANA);
    world.compare(BEN).unwrap();
    world.put(BEN, docs[1], "more", "words");
    world.run();
    world.pass(WEEK);
    world.rest();
    assert!(world.relay.trim.is_some());
    world.relay.wipe();
    world.reconnect(ANA);
    world.reconnect(BEN);
    assert!(world.relay.trim.is_some());
    let laptop = world.link_offline(ANA);
    world.connect(laptop);
    world.run();
    world.start(laptop);
    world.assert_converged();
    assert_eq!(
        world.devices[laptop].home.check().findings,
        Vec::<String>::new()
    );
    assert!(
        !world.notices(laptop).contains(&NoticeKind::RolledBack),
        "{:?}",
        world.notices(laptop)
    );
}

/// Ana's second snapshot came before Ben had looked at it; the first one had his word.
#[test]
fn the_log_is_given_up_to_the_newest_snapshot_that_both_have_signed() {
    let (mut world, docs) = written(9, 3);
    world.snapshot(ANA);
    world.compare(BEN).unwrap();
    world.put(BEN, docs[1], "more", "words");
    world.run();
    world.put(ANA, docs[0], "more", "words");
    world.run();
    world.snapshot(ANA);
    let ana = &mut world.devices[ANA];
    let send = ana.home.trim_now(world.now).unwrap();
    assert_eq!(send.len(), 1);
    world.say(ANA, send);
    world.run();
    assert!(world.relay.trim.is_some());
    world.rest();
    world.assert_converged();
}

/// A pack that was sealed before a removal held what the cut-off took away, and the snapshot was
/// taken for another history.
#[test]
fn what_a_removal_takes_away_while_ben_packs_is_not_in_his_snapshot() {
    for is_signed_before in [false, true] {
        let mut world = World::with_laptop(24);
        let (late, page) = (
            world.new_doc(LAPTOP, Ownership::Mine),
            world.new_doc(BEN, Ownership::Common),
        );
        world.put(BEN, page, "text", "our page");
        world.run();
        hide(&mut world, LAPTOP, ANA);
        world.put(LAPTOP, late, "text", "beyond the cut-off");
        world.put(LAPTOP, page, "too", "beyond the cut-off");
        world.run();
        assert!(world.value(BEN, late, "text").is_some());
        match is_signed_before {
            true => world.snapshot(BEN),
            false => {
                world.devices[BEN].home.begin_snapshot().unwrap();
                world.pack_all(BEN);
            }
        }
        world.remove(ANA, LAPTOP);
        assert_eq!(world.value(BEN, late, "text"), None);
        if is_signed_before {
            world.devices[BEN].home.begin_snapshot().unwrap();
        }
        loop {
            world.pack_all(BEN);
            let ben = &mut world.devices[BEN];
            let made = ben.home.finish_snapshot(world.now, &mut ben.rng).unwrap();
            if let Some(outputs) = made {
                world.take(BEN, outputs);
                break;
            }
        }
        world.run();
        world.compare(ANA).unwrap();
        let differs = |kind: &NoticeKind| matches!(kind, NoticeKind::SnapshotDiffers { .. });
        assert!(!world.notices(ANA).iter().any(differs));
    }
}
