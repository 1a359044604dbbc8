//! Key changes: honest, concurrent, and hostile.

use ajar_crypto::{DeviceSecrets, Secret};
use ajar_engine::store::Store;
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::epoch::Recipient;
use ajar_protocol::link::{Cutoff, Link, LinkBody, RevokeReason};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, EnvelopeType, EpochId};

use crate::rogue::Rogue;
use crate::world::{ANA, BEN, LAPTOP, World, content_of, rng};

fn epochs_at(world: &mut World, who: usize) -> usize {
    let ring = world.devices[who].store.load_keys().unwrap().unwrap();
    (ring.len() - 99) / 64
}

#[test]
fn two_first_epochs_made_apart_merge() {
    let mut world = World::without_epoch(70);
    let (hers, his) = (
        world.new_doc(ANA, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    world.put(ANA, hers, "x", "1");
    world.put(BEN, his, "x", "1");
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    world.assert_converged();
    assert_eq!(
        (epochs_at(&mut world, ANA), epochs_at(&mut world, BEN)),
        (2, 2)
    );
    // Both go on under the same one, at once and without a third.
    world.put(ANA, hers, "x", "2");
    world.put(BEN, his, "x", "2");
    world.run();
    world.assert_converged();
    let newest: Vec<EpochId> = world.relay.log[world.relay.log.len() - 2..]
        .iter()
        .map(|bytes| Envelope::parse(bytes).unwrap().header().epoch)
        .collect();
    assert_eq!(newest[0], newest[1]);
    for who in [ANA, BEN] {
        world.restart(who);
    }
    world.assert_converged();
}

/// One hostile epoch of Ben's: ignored on Ana's devices, told, and nothing stops.
fn is_ignored(name: &str, make: impl FnOnce(&mut Rogue) -> Vec<u8>) {
    let mut world = World::with_laptop(71);
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let epochs = epochs_at(&mut world, ANA);
    let bad = make(&mut ben);
    world.inject(bad.clone());
    world.run();
    let device = ben.secrets.id();
    for who in [ANA, LAPTOP] {
        assert_eq!(
            world.notices(who).last(),
            Some(&NoticeKind::BadEpoch { device }),
            "{name}"
        );
        assert_eq!(epochs_at(&mut world, who), epochs, "{name}");
    }
    // What is sealed under the key change that nobody accepted waits in vain, alone.
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "goes on");
    world.run();
    assert_eq!(
        world.value(LAPTOP, doc, "x").as_deref(),
        Some("goes on"),
        "{name}"
    );
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(newest.header().epoch, ben.epoch, "{name}");
    // The sender's chain is not cut: its next honest words count.
    let next = ben.content(&ajar_protocol::changes::Changes::default());
    world.inject(next);
    world.run();
    let counter = ben.last.unwrap().counter;
    assert_eq!(
        world.devices[ANA].home.frontier().counter(&device),
        counter,
        "{name}"
    );
    world.restart(ANA);
    world.restart(LAPTOP);
    assert_eq!(world.heads(ANA), world.heads(LAPTOP), "{name}");
}

#[test]
fn an_epoch_with_a_ghost_recipient_is_ignored() {
    is_ignored("ghost", |ben| {
        let ghost = DeviceSecrets::generate(&mut rng(9)).unwrap().public();
        let mut to = ben.recipients();
        to.push(Recipient {
            id: ghost.id().0,
            kem: ghost.kem,
        });
        ben.epoch(3, &[ben.epoch], &to)
    });
}

#[test]
fn an_epoch_that_leaves_out_a_device_or_a_recovery_key_is_ignored() {
    for place in 0..5 {
        is_ignored("missing", |ben| {
            let mut to = ben.recipients();
            assert_eq!(to.len(), 5, "three devices and two recovery keys");
            to.remove(place);
            ben.epoch(3, &[ben.epoch], &to)
        });
    }
}

#[test]
fn an_epoch_with_a_wrong_number_is_ignored() {
    for number in [0, 1, 2, 4, u64::MAX] {
        is_ignored("number", |ben| {
            let to = ben.recipients();
            ben.epoch(number, &[ben.epoch], &to)
        });
    }
}

#[test]
fn an_epoch_sealed_to_another_key_than_a_devices_own_is_ignored() {
    is_ignored("swapped keys", |ben| {
        let mut to = ben.recipients();
        let kem = ben.secrets.public().kem;
        for recipient in &mut to {
            recipient.kem = kem;
        }
        ben.epoch(3, &[ben.epoch], &to)
    });
}

#[test]
fn an_epoch_that_commits_to_another_key_is_ignored() {
    is_ignored("commitment", |ben| {
        // Signed again after the commitment was changed.
        let to = ben.recipients();
        let before = ben.last;
        let bytes = ben.epoch(3, &[ben.epoch], &to);
        ben.last = before;
        let envelope = Envelope::parse(&bytes).unwrap();
        let mut payload = bytes[232..bytes.len() - 64].to_vec();
        // pver 1, number 8, reason 1, n 1, parent 32, heads 64, then the commitment.
        payload[107] ^= 1;
        let forged = ajar_protocol::envelope::assemble(envelope.header(), &payload, |id| {
            ben.secrets.sign_envelope(&id.0)
        });
        let forged = forged.unwrap();
        ben.last = Some(ajar_protocol::Position {
            counter: forged.header().counter,
            id: forged.id(),
        });
        forged.as_bytes().to_vec()
    });
}

#[test]
fn an_epoch_of_noise_is_ignored() {
    is_ignored("noise", |ben| {
        let to = ben.recipients();
        let before = ben.last;
        let bytes = ben.epoch(3, &[ben.epoch], &to);
        ben.last = before;
        let mut header = *Envelope::parse(&bytes).unwrap().header();
        header.length = 100;
        let forged = ajar_protocol::envelope::assemble(&header, &[0xee; 100], |id| {
            ben.secrets.sign_envelope(&id.0)
        });
        let forged = forged.unwrap();
        ben.last = Some(ajar_protocol::Position {
            counter: forged.header().counter,
            id: forged.id(),
        });
        forged.as_bytes().to_vec()
    });
}

#[test]
fn an_epoch_on_an_unknown_parent_waits_and_blocks_only_its_author() {
    let mut world = World::with_laptop(72);
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let to = ben.recipients();
    let waiting = ben.epoch(3, &[EpochId([5; 32])], &to);
    world.inject(waiting);
    for _ in 0..300 {
        let more = ben.content(&ajar_protocol::changes::Changes::default());
        world.inject(more);
    }
    world.run();
    let status = world.devices[ANA].home.status();
    assert!((1..=256).contains(&status.parked), "{}", status.parked);
    assert_eq!(
        world
            .notices(ANA)
            .iter()
            .filter(|n| matches!(n, NoticeKind::BadEpoch { .. }))
            .count(),
        0
    );
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "goes on");
    world.run();
    assert_eq!(world.value(LAPTOP, doc, "x").as_deref(), Some("goes on"));
    // Reconnecting does not turn into an endless request.
    world.reconnect(ANA);
    assert!(world.devices[ANA].home.caught_up());
    // What waits is not silently forgotten: it counts as missing.
    assert!(world.devices[ANA].home.status().missing > 0);
}

#[test]
fn an_old_epoch_shown_again_is_not_the_newest() {
    let mut world = World::with_laptop(73);
    let first = world
        .relay
        .log
        .iter()
        .find(|bytes| Envelope::parse(bytes).unwrap().header().kind == EnvelopeType::Epoch)
        .unwrap()
        .clone();
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    let before = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    let again = RelayMsg::Envelope(first);
    world.devices[ANA]
        .home
        .receive(world.now, vec![again])
        .unwrap();
    world.put(ANA, doc, "x", "2");
    let after = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(before.header().epoch, after.header().epoch);
}

/// Ana's phone removes her laptop.
fn revoke_laptop(world: &mut World) -> Link {
    let phone = world.secrets(ANA);
    let place = world.place(ANA);
    let laptop = world.devices[LAPTOP].home.device();
    let last = world.devices[ANA].home.frontier().of(&laptop).unwrap();
    let chain = &world.relay.chains[place];
    let body = LinkBody::DeviceRevoke(Cutoff {
        device: laptop,
        counter: last.counter,
        id: last.id,
        reason: RevokeReason::Stolen,
    });
    let link = Link::sign(chain.next_place(0), body, phone.id().0, phone.signing_key());
    world.relay.chains[place].append(link.clone()).unwrap();
    link
}

#[test]
fn a_removed_laptop_reads_and_writes_nothing_more() {
    let mut world = World::with_laptop(74);
    let doc = world.new_doc(LAPTOP, Ownership::Common);
    world.put(LAPTOP, doc, "n", "1");
    world.run();
    let mut thief = Rogue::of(&mut world, LAPTOP);
    let link = revoke_laptop(&mut world);
    for who in [ANA, BEN] {
        let link = RelayMsg::Link(link.as_bytes().to_vec());
        world.devices[who]
            .home
            .receive(world.now, vec![link])
            .unwrap();
    }
    let party = world.devices[ANA].home.own_party();
    assert!(
        world
            .notices(BEN)
            .contains(&NoticeKind::DeviceRemoved { party, seq: 2 })
    );
    // Ben writes first: his device makes the epoch that shuts the laptop out.
    world.put(BEN, doc, "n", "secret");
    world.run();
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    let ring = world.devices[LAPTOP].store.load_keys().unwrap().unwrap();
    assert!(
        !ring[99..]
            .chunks_exact(64)
            .any(|entry| entry[..32] == newest.header().epoch.0)
    );
    let key = ring[99..]
        .chunks_exact(64)
        .map(|entry| Secret::from_slice(&entry[32..]).unwrap());
    let ben = world.secrets(BEN).public().sign;
    let envelope = newest.verify(&ben).unwrap();
    for key in key {
        let key = ajar_crypto::EpochKey::new(key);
        assert!(ajar_crypto::seal::open_envelope(&envelope, &key).is_err());
    }
    // An evil relay carries the thief's words; nobody takes them.
    let before = content_of(&mut world.devices[ANA].home);
    for epoch_of_thief in 0..3 {
        let words = thief.content(&ajar_protocol::changes::Changes {
            claimed_time_ms: epoch_of_thief,
            ..ajar_protocol::changes::Changes::default()
        });
        for who in [ANA, BEN] {
            let words = RelayMsg::Envelope(words.clone());
            world.devices[who]
                .home
                .receive(world.now, vec![words])
                .unwrap();
        }
    }
    assert_eq!(content_of(&mut world.devices[ANA].home), before);
    assert_eq!(content_of(&mut world.devices[BEN].home), before);
    // The laptop itself can still show what it had, and says why it cannot write.
    let link = RelayMsg::Link(link.as_bytes().to_vec());
    world.devices[LAPTOP]
        .home
        .receive(world.now, vec![link])
        .unwrap();
    assert_eq!(world.value(LAPTOP, doc, "n").as_deref(), Some("1"));
    let refused = world.edit(LAPTOP, doc, |tx| {
        automerge::transaction::Transactable::put(tx, automerge::ROOT, "n", "2")
    });
    assert!(refused.is_err());
}

#[test]
fn writing_under_the_epoch_from_before_a_removal_that_one_knows_is_left_out() {
    let mut world = World::with_laptop(75);
    let doc = world.new_doc(LAPTOP, Ownership::Common);
    world.put(LAPTOP, doc, "n", "1");
    world.run();
    let old = Rogue::of(&mut world, BEN);
    let link = revoke_laptop(&mut world);
    let message = RelayMsg::Link(link.as_bytes().to_vec());
    world.devices[ANA]
        .home
        .receive(world.now, vec![message])
        .unwrap();
    // Ben knows of the removal (his membership view says so) and keeps the old key.
    let mut ben = Rogue::of(&mut world, BEN);
    assert_ne!(ben.mhead, old.mhead);
    assert_eq!(ben.epoch, old.epoch);
    let mut at_ben = automerge::Automerge::new();
    let common = world.new_doc(BEN, Ownership::Common);
    let change = crate::craft::edit(&mut at_ben, &ben.actor(&common), |tx| {
        automerge::transaction::Transactable::put(tx, automerge::ROOT, "n", 1)
    });
    let bytes = ben.changes(common, vec![change]);
    world.inject(bytes);
    world.run();
    assert!(world.value(ANA, common, "n").is_none());
    let (device, counter) = (ben.secrets.id(), ben.last.unwrap().counter);
    assert!(
        world
            .notices(ANA)
            .contains(&NoticeKind::Unopenable { device, counter })
    );
}

#[test]
fn two_devices_removed_apart_end_in_an_epoch_that_neither_can_open() {
    let mut world = World::with_laptop(76);
    let doc = world.new_doc(LAPTOP, Ownership::Common);
    world.put(LAPTOP, doc, "n", "1");
    world.run();
    world.disconnect(ANA);
    world.disconnect(BEN);
    world.disconnect(LAPTOP);
    // Ana removes the laptop and writes; Ben, who has not heard of it, writes too.
    let link = revoke_laptop(&mut world);
    let message = RelayMsg::Link(link.as_bytes().to_vec());
    world.devices[ANA]
        .home
        .receive(world.now, vec![message])
        .unwrap();
    world.put(ANA, doc, "hers", "1");
    world.put(BEN, doc, "his", "1");
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    world.put(BEN, doc, "his", "2");
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    let laptop = world.devices[LAPTOP].store.load_keys().unwrap().unwrap();
    assert!(
        !laptop[99..]
            .chunks_exact(64)
            .any(|entry| entry[..32] == newest.header().epoch.0)
    );
}

/// Ana was away for two changes of the key, and a tablet was linked that she had not heard of. `by`
/// writes first when she is back, and so hands on both keys.
fn back_from_sea(seed: u64, by: usize) {
    let season = std::time::Duration::from_secs(91 * 24 * 3600);
    let mut world = World::online(seed);
    let diary = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, diary, "spring", "home");
    world.run();
    world.disconnect(ANA);
    let tablet = world.link(BEN);
    for time in ["summer", "autumn"] {
        world.pass(season);
        world.put(ANA, diary, time, "at sea");
    }
    world.connect(ANA);
    world.run();
    world.put(by, diary, "winter", "home");
    world.run();
    for time in ["summer", "autumn"] {
        let found = world.value(tablet, diary, time);
        assert_eq!(found.as_deref(), Some("at sea"), "{time}");
    }
    world.assert_converged();
}

/// What Ana wrote under the first of two keys holds up the epoch of the second, and the history that
/// has both comes behind them: the tablet used the first key and had forgotten the second by then.
#[test]
fn one_history_opens_two_epochs_of_which_one_still_waits_for_its_turn() {
    back_from_sea(330, ANA);
}

/// The epoch with that history is Ben's. It stands on one that waits behind what Ana wrote, which
/// waits for the key in that history.
#[test]
fn a_key_is_taken_from_an_epoch_that_stands_on_what_waits_for_this_key() {
    back_from_sea(331, BEN);
}
