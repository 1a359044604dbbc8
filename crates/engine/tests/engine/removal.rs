//! Removing a device: what it may still do, which is nothing, and the keys that change.

use ajar_crypto::seal::open_envelope;
use ajar_crypto::{EpochKey, Secret};
use ajar_engine::store::Store;
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::link::{Cutoff, LinkBody, RevokeReason};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DocId, Envelope, EnvelopeType, EpochId};
use automerge::ROOT;
use automerge::transaction::Transactable;

use crate::craft;
use crate::rogue::Rogue;
use crate::theft::by_device;
use crate::world::{ANA, BEN, World};

/// Every key in the key file of a device.
pub(crate) fn keys(world: &World, who: usize) -> Vec<(EpochId, EpochKey)> {
    let ring = world.devices[who].store.clone().load_keys().unwrap();
    let ring = ring.unwrap();
    ring[99..]
        .chunks_exact(64)
        .map(|entry| {
            let id = EpochId(entry[..32].try_into().unwrap());
            (id, EpochKey::new(Secret::from_slice(&entry[32..]).unwrap()))
        })
        .collect()
}

/// How many envelopes of the relay's log from `from` on one of these keys opens.
pub(crate) fn opened(world: &World, from: usize, keys: &[(EpochId, EpochKey)]) -> usize {
    let open = |bytes: &&Vec<u8>| {
        let envelope = Envelope::parse(bytes).unwrap();
        let mut chains = world.relay.chains.iter();
        let author = chains
            .find_map(|chain| chain.device(&envelope.header().device))
            .unwrap();
        let envelope = envelope.verify(&author.keys.sign).unwrap();
        keys.iter()
            .any(|(_, key)| open_envelope(&envelope, key).is_ok())
    };
    world.relay.log[from..].iter().filter(open).count()
}

/// An evil relay hands an envelope to one device.
fn hand(world: &mut World, who: usize, bytes: &[u8]) {
    let message = RelayMsg::Envelope(bytes.to_vec());
    let home = &mut world.devices[who].home;
    home.receive(world.now, vec![message]).unwrap();
}

/// The relay keeps what `author` writes from now on from `from`.
pub(crate) fn hide(world: &mut World, author: usize, from: usize) {
    let author = world.devices[author].home.device();
    world.fault = Some(Box::new(move |to, message| match &message {
        RelayMsg::Envelope(bytes)
            if to == from && Envelope::parse(bytes).unwrap().header().device == author =>
        {
            Vec::new()
        }
        _ => vec![message],
    }));
}

/// A key that lies beyond a cut-off: Ben's tablet joins; the laptop happens to be the one that
/// changes the key, and the phone, which has not heard of that, is about to remove the laptop.
/// Ben has written under it. The laptop, and what he wrote into.
pub(crate) fn under_a_key_from_beyond(world: &mut World) -> (usize, DocId) {
    let laptop = world.link(ANA);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(laptop, doc, "x", "1");
    world.run();
    let (_, request) = world.new_half(BEN);
    world.propose(BEN, &request).unwrap();
    world.run();
    hide(world, laptop, ANA);
    world.rotate(laptop);
    world.run();
    world.put(BEN, doc, "x", "under the laptop's key");
    world.run();
    (laptop, doc)
}

#[test]
fn a_removed_laptop_opens_nothing_new_and_nobody_takes_its_words() {
    let mut world = World::online(130);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Common);
    world.put(laptop, doc, "x", "kept");
    world.run();
    let mut thief = Rogue::of(&mut world, laptop);
    let first_words = thief.content(&ajar_protocol::changes::Changes::default());
    world.remove(ANA, laptop);
    let from = world.relay.log.len();
    // The relay, or whoever has its log, gives the thief everything that follows.
    world.put(BEN, doc, "x", "secret of Ben's");
    world.run();
    let tablet = world.link(ANA);
    world.put(tablet, doc, "x", "secret of Ana's");
    world.link(BEN);
    world.put(BEN, doc, "x", "another");
    world.run();
    assert!(world.relay.log.len() >= from + 5);
    let kept = keys(&world, laptop);
    assert_eq!(opened(&world, from, &kept), 0);
    assert!(opened(&world, 0, &kept) > 0, "the test opens what it can");
    assert!(opened(&world, from, &keys(&world, BEN)) >= 3);
    // What the laptop signs now, or had signed before and kept back, is taken by nobody.
    let later = {
        let mut at_thief = automerge::Automerge::new();
        let change = craft::edit(&mut at_thief, &thief.actor(&doc), |tx| tx.put(ROOT, "x", 1));
        thief.changes(doc, vec![change])
    };
    let expected = world.heads(ANA);
    for who in [ANA, BEN, tablet] {
        let frontier = world.devices[who].home.frontier().clone();
        for bytes in [&first_words, &later] {
            hand(&mut world, who, bytes);
        }
        assert_eq!(world.heads(who), expected, "{who}");
        assert_eq!(world.devices[who].home.frontier(), &frontier, "{who}");
        assert_eq!(world.devices[who].home.status().parked, 0, "{who}");
    }
    // Its earlier words stay, everywhere.
    let history = world.devices[BEN].home.document(&doc).unwrap();
    assert!(history.get_changes(&[]).len() >= 4);
    assert!(
        world
            .edit(laptop, doc, |tx| tx.put(ROOT, "x", "more"))
            .is_err()
    );
}

/// The laptop was handed the key of the first epoch, and that is again sealed to exactly those who
/// should read. Ben knows the links, and not yet the epochs that were made for them.
#[test]
fn an_epoch_from_before_a_laptop_came_and_went_is_not_written_under_again() {
    let mut world = World::online(137);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "before");
    world.run();
    hide(&mut world, ANA, BEN);
    let laptop = world.link(ANA);
    world.remove(ANA, laptop);
    let from = world.relay.log.len();
    world.put(BEN, doc, "x", "secret of Ben's");
    world.run();
    assert_eq!(opened(&world, from, &keys(&world, laptop)), 0);
    assert_eq!(
        world.value(ANA, doc, "x").as_deref(),
        Some("secret of Ben's")
    );
    world.fault = None;
    world.reconnect(BEN);
    world.put(ANA, doc, "y", "after");
    world.run();
    for who in [ANA, BEN] {
        assert_eq!(world.value(who, doc, "y").as_deref(), Some("after"));
        assert_eq!(
            world
                .notices(who)
                .iter()
                .filter(|n| matches!(n, NoticeKind::Unopenable { .. }))
                .count(),
            0
        );
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn a_removed_laptop_that_hears_of_it_keeps_its_own_words_and_is_closed() {
    let mut world = World::online(131);
    let laptop = world.link(ANA);
    world.disconnect(laptop);
    let doc = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, doc, "x", "never sent");
    let kept = world.devices[laptop].home.status().kept;
    world.remove(ANA, laptop);
    world.connect(laptop);
    world.run();
    assert_eq!(world.value(laptop, doc, "x").as_deref(), Some("never sent"));
    assert_eq!(world.devices[laptop].home.status().kept, kept);
    assert!(
        world
            .edit(laptop, doc, |tx| tx.put(ROOT, "x", "no"))
            .is_err()
    );
    assert!(world.value(ANA, doc, "x").is_none());
    assert!(world.value(BEN, doc, "x").is_none());
    world.restart(laptop);
    assert_eq!(world.value(laptop, doc, "x").as_deref(), Some("never sent"));
}

#[test]
fn two_removals_at_once_whose_key_changes_cross_end_in_one_key_for_those_who_stay() {
    let mut world = World::online(132);
    let hers = world.link(ANA);
    let his = world.link(BEN);
    let doc = world.new_doc(hers, Ownership::Common);
    world.put(hers, doc, "hers", "1");
    world.put(his, doc, "his", "1");
    world.run();
    world.disconnect(hers);
    world.disconnect(his);
    // The relay has taken both before either has heard of the other.
    world.propose_removal(ANA, hers);
    world.propose_removal(BEN, his);
    let stored = |m: &RelayMsg| matches!(m, RelayMsg::LinkStored { .. });
    for who in [ANA, BEN] {
        let inbox = &mut world.devices[who].inbox;
        let place = inbox.iter().position(stored).unwrap();
        inbox.swap(0, place);
        world.step(who, 1);
        world.rotate(who);
    }
    let epochs = world.relay.log.len();
    world.run();
    for bytes in &world.relay.log[epochs - 2..] {
        let header = *Envelope::parse(bytes).unwrap().header();
        assert_eq!(header.kind, EnvelopeType::Epoch);
    }
    // Each of the two is still sealed to one that is gone: the next writer merges.
    world.put(BEN, doc, "his", "2");
    world.put(ANA, doc, "hers", "2");
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    for gone in [hers, his] {
        let kept = keys(&world, gone);
        assert_eq!(opened(&world, epochs - 2, &kept), 0, "{gone}");
    }
    let newest: Vec<EpochId> = world.relay.log[epochs..]
        .iter()
        .map(|bytes| *Envelope::parse(bytes).unwrap().header())
        .filter(|header| header.kind == EnvelopeType::Changes)
        .map(|header| header.epoch)
        .collect();
    assert_eq!(newest.len(), 2);
    // Both may have merged at once; after that there is one.
    world.put(ANA, doc, "hers", "3");
    world.put(BEN, doc, "his", "3");
    world.run();
    let last: Vec<EpochId> = world.relay.log[world.relay.log.len() - 2..]
        .iter()
        .map(|bytes| Envelope::parse(bytes).unwrap().header().epoch)
        .collect();
    assert_eq!(last[0], last[1]);
    for who in [ANA, BEN] {
        world.restart(who);
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn what_was_written_under_a_key_from_beyond_the_cut_off_can_still_be_read() {
    let mut world = World::online(139);
    let (laptop, doc) = under_a_key_from_beyond(&mut world);
    let by_laptop = world.relay.log.iter().rev().find_map(|bytes| {
        let envelope = Envelope::parse(bytes).unwrap();
        (envelope.header().kind == EnvelopeType::Epoch).then(|| EpochId::from(envelope.id()))
    });
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(Some(newest.header().epoch), by_laptop);
    world.propose_removal(ANA, laptop);
    world.run();
    world.fault = None;
    world.reconnect(ANA);
    world.rotate(ANA);
    world.run();
    let read = world.value(ANA, doc, "x");
    assert_eq!(read.as_deref(), Some("under the laptop's key"));
    assert_eq!(world.heads(ANA), world.heads(BEN));
    assert_eq!(world.devices[ANA].home.status().parked, 0);
    // Nothing new stands on it: a relay that is filled anew will not have it.
    let kept = keys(&world, laptop);
    let from = world.relay.log.len();
    let mut envelopes = world
        .relay
        .log
        .iter()
        .map(|bytes| Envelope::parse(bytes).unwrap());
    let newest = envelopes
        .rfind(|e| e.header().kind == EnvelopeType::Epoch)
        .unwrap();
    let phone = world.secrets(ANA).public().sign;
    let newest = newest.verify(&phone).unwrap();
    let record = EpochRecord::parse(newest.body()).unwrap();
    assert!(!record.parents.is_empty() && !record.parents.contains(&by_laptop.unwrap()));
    world.put(BEN, doc, "x", "after");
    world.put(ANA, doc, "y", "after");
    world.run();
    assert_eq!(opened(&world, from, &kept), 0);
    assert_eq!(world.heads(ANA), world.heads(BEN));
    for who in [ANA, BEN] {
        world.restart(who);
        assert!(world.devices[who].home.check().findings.is_empty());
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn a_thief_cannot_fill_the_disk_with_keys_from_beyond_its_cut_off() {
    let mut world = World::online(140);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Common);
    world.put(laptop, doc, "x", "1");
    world.run();
    let mut thief = Rogue::of(&mut world, laptop);
    world.remove(ANA, laptop);
    let epochs = keys(&world, ANA).len();
    let to = thief.recipients();
    for _ in 0..40 {
        let bytes = thief.epoch(3, &[thief.epoch], &to);
        hand(&mut world, ANA, &bytes);
    }
    assert!(keys(&world, ANA).len() <= epochs + 16);
    let from = world.relay.log.len();
    world.put(ANA, doc, "x", "2");
    world.run();
    assert_eq!(opened(&world, from, &keys(&world, laptop)), 0);
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("2"));
    world.restart(ANA);
    assert_eq!(world.value(ANA, doc, "x").as_deref(), Some("2"));
}

/// What the laptop wrote beyond the cut-off was taken for something that a snapshot had folded
/// in, and stayed with Ben, or stood on what was not there.
#[test]
fn what_came_too_late_goes_also_when_the_log_before_it_was_given_up() {
    let mut world = World::online(31);
    let laptop = world.link(ANA);
    let page = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, page, "text", "our page");
    world.run();
    world.snapshot(ANA);
    world.rest();
    world.put(BEN, page, "text", "still ours");
    world.run();
    let week = std::time::Duration::from_secs(7 * 24 * 3600 + 1);
    world.pass(week);
    world.rest();
    assert!(world.relay.trim.is_some());
    world.put(ANA, page, "more", "words");
    world.run();
    // Ben has taken this in when he hears that the laptop had been removed before.
    world.put(laptop, page, "late", "CANARY-late");
    world.propose_removal(ANA, laptop);
    world.run();
    for who in [ANA, BEN] {
        assert_eq!(world.value(who, page, "late"), None, "{who}");
        let text = world.value(who, page, "text");
        assert_eq!(text.as_deref(), Some("still ours"), "{who}");
        let more = world.value(who, page, "more");
        assert_eq!(more.as_deref(), Some("words"), "{who}");
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

/// Every word brought another key: what the laptop had ended, nothing could follow.
#[test]
fn a_burn_whose_key_change_lies_beyond_a_cut_off_ends_no_key_for_ever() {
    let mut world = World::online(32);
    let laptop = world.link(ANA);
    let (hers, his) = (
        world.new_doc(ANA, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    let regretted = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, regretted, "text", "CANARY-regretted");
    world.put(ANA, hers, "text", "that may stay");
    world.run();
    let device = &mut world.devices[laptop];
    let burned = device
        .home
        .burn(world.now, &mut device.rng, &[regretted], &[]);
    world.take(laptop, burned.unwrap());
    world.run();
    let newest = |world: &World, nth: usize| {
        let bytes = world.relay.log.iter().rev().nth(nth).unwrap();
        Envelope::parse(bytes).unwrap()
    };
    assert_eq!(newest(&world, 0).header().kind, EnvelopeType::Epoch);
    let last = newest(&world, 1);
    assert_eq!(last.header().kind, EnvelopeType::Burn);
    // Ana removed it where she had heard of the burn only; by now everybody has both.
    let cutoff = Cutoff {
        device: last.header().device,
        counter: last.header().counter,
        id: last.id(),
        reason: RevokeReason::Lost,
    };
    let link = by_device(&mut world, ANA, LinkBody::DeviceRevoke(cutoff));
    world.inject_link(&link);
    world.run();
    world.pass(std::time::Duration::from_secs(120));
    world.rest();
    let epochs = |world: &World| {
        let kind = |bytes: &&Vec<u8>| Envelope::parse(bytes).unwrap().header().kind;
        let log = world.relay.log.iter();
        log.filter(|bytes| kind(bytes) == EnvelopeType::Epoch)
            .count()
    };
    let before = epochs(&world);
    for number in 0..5 {
        let value = format!("{number}");
        world.put(ANA, hers, "text", &value);
        world.put(BEN, his, "text", &value);
        world.run();
        for (who, doc) in [(BEN, hers), (ANA, his)] {
            let read = world.value(who, doc, "text");
            assert_eq!(read.as_deref(), Some(value.as_str()), "{who}");
        }
    }
    // One for the removal, at most one more where two were made at once.
    assert!(epochs(&world) <= before + 2, "{}", epochs(&world) - before);
    assert_eq!(world.value(BEN, regretted, "text"), None);
}
