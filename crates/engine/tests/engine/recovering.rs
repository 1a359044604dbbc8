//! All devices are lost, and the twelve words bring the space back (protocol §2.18): from an
//! honest relay, and from one that damages or hides what it holds.

use ajar_crypto::{RecoveryPhrase, SlotKeys};
use ajar_engine::recovery::{FindError, Finder, Found, RecoverError};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::link::{LeaveMode, LinkKind};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DeviceId, DocId, SpaceGenesis};

use crate::world::{ANA, BEN, Device, LAPTOP, RELAY, World, rng};
use ajar_engine::store::{Key, Store};

/// The words that Ana (1) or Ben (2) wrote down when they paired.
fn words(seed: u64, who: u64) -> RecoveryPhrase {
    RecoveryPhrase::generate(&mut rng(seed * 1000 + who)).unwrap()
}

fn keys(seed: u64, who: u64) -> SlotKeys {
    words(seed, who).slot_keys(1).unwrap()
}

/// Everything that an honest relay shows to the words.
fn shown(world: &mut World) -> Vec<RelayMsg> {
    let genesis = world.devices[ANA].store.load(&Key::Genesis).unwrap();
    let mut shown = vec![RelayMsg::Genesis(genesis.unwrap()), world.relay.welcome()];
    for chain in &world.relay.chains {
        let links = chain.links().iter();
        shown.extend(links.map(|link| RelayMsg::Link(link.as_bytes().to_vec())));
    }
    let log = world.relay.log.iter().cloned();
    shown.extend(log.map(RelayMsg::Envelope));
    shown.push(RelayMsg::CaughtUp);
    shown
}

fn find(keys: &SlotKeys, shown: Vec<RelayMsg>) -> Result<Found, FindError> {
    let mut finder = Finder::new(RELAY, keys.public());
    for message in shown {
        finder.take(keys, message);
    }
    assert!(finder.caught_up());
    finder.finish()
}

/// A device of Ana's with nothing but the words, after the relay has stored its link and given
/// everything.
fn recovered(world: &mut World, seed: u64, found: &Found) -> usize {
    let mut rng = rng(seed + 77);
    let recovery = found
        .recover(world.now, &mut rng, &keys(seed, 1), &[], None)
        .unwrap();
    let link = recovery.link().clone();
    let place = world.place(ANA);
    world.relay.chains[place].append(link.clone()).unwrap();
    let live = RelayMsg::Link(link.as_bytes().to_vec());
    for device in &mut world.devices {
        if device.online {
            device.inbox.push_back(live.clone());
        }
    }
    world
        .devices
        .push(Device::create(recovery.into_space(), seed + 78));
    let who = world.devices.len() - 1;
    world.connect(who);
    world.run();
    world.rotate(who);
    world.run();
    who
}

fn written(world: &mut World, by: usize, text: &str) -> DocId {
    let doc = world.new_doc(by, Ownership::Mine);
    world.put(by, doc, "text", text);
    world.run();
    doc
}

#[test]
fn ana_loses_every_device_and_the_words_bring_everything_back() {
    let seed = 900;
    let mut world = World::with_laptop(seed);
    let docs = [
        (written(&mut world, ANA, "from the phone"), "from the phone"),
        (written(&mut world, LAPTOP, "the laptop's"), "the laptop's"),
        (written(&mut world, BEN, "from Ben"), "from Ben"),
    ];
    let lost = [ANA, LAPTOP].map(|who| world.devices[who].home.device());
    world.disconnect(ANA);
    world.disconnect(LAPTOP);
    let found = find(&keys(seed, 1), shown(&mut world)).unwrap();
    assert_eq!(found.unopened(), 0);
    assert_eq!(found.envelopes(), world.relay.log.len() as u64);
    assert_eq!(found.written_ms(), Some(world.now.wall_ms));
    assert!(found.devices().iter().filter(|d| d.own).all(|d| d.active));
    let changes: Vec<_> = found.changes().iter().map(|c| c.kind).collect();
    assert_eq!(changes, [LinkKind::DeviceAdd]);

    let again = recovered(&mut world, seed, &found);
    for (doc, text) in docs {
        assert_eq!(world.value(again, doc, "text").as_deref(), Some(text));
    }
    assert_eq!(world.devices[again].home.status().missing, 0);
    for device in lost {
        assert!(!world.devices[again].home.is_active(&device));
        assert!(!world.devices[BEN].home.is_active(&device));
    }
    let party = world.devices[again].home.own_party();
    let told =
        |kind: &NoticeKind| matches!(kind, NoticeKind::Recovered { party: p, .. } if *p == party);
    assert!(world.notices(BEN).iter().any(told));

    // Both go on, and the lost phone neither reads nor writes.
    let from_ana = written(&mut world, again, "I am back");
    let from_ben = written(&mut world, BEN, "welcome");
    assert_eq!(
        world.value(BEN, from_ana, "text").as_deref(),
        Some("I am back")
    );
    assert_eq!(
        world.value(again, from_ben, "text").as_deref(),
        Some("welcome")
    );
    let epoch = |world: &World, by: usize| {
        let bytes = world.relay.of(&world.devices[by].home.device());
        let last = ajar_protocol::Envelope::parse(bytes.last().unwrap()).unwrap();
        last.header().epoch
    };
    assert_eq!(epoch(&world, BEN), epoch(&world, again));
    world.put(ANA, docs[0].0, "text", "the thief's words");
    world.connect(ANA);
    world.run();
    assert_eq!(
        world.value(BEN, docs[0].0, "text").as_deref(),
        Some("from the phone")
    );
    assert_eq!(world.value(ANA, from_ben, "text"), None);
    assert!(world.devices[ANA].home.is_removed());
}

#[test]
fn a_device_that_is_still_there_may_be_kept() {
    let seed = 901;
    let mut world = World::with_laptop(seed);
    let laptop = world.devices[LAPTOP].home.device();
    let found = find(&keys(seed, 1), shown(&mut world)).unwrap();
    let recovery = found
        .recover(world.now, &mut rng(1), &keys(seed, 1), &[laptop], None)
        .unwrap();
    let space = recovery.into_space();
    let chain = space.chains.iter().find(|c| c.device(&laptop).is_some());
    let active = chain
        .unwrap()
        .devices()
        .filter(|(_, d)| d.revoked.is_none());
    assert_eq!(active.count(), 2);
    assert!(chain.unwrap().active(&laptop).is_some());
}

#[test]
fn words_of_somebody_else_find_nothing() {
    let mut world = World::with_laptop(902);
    let stranger = keys(903, 1);
    assert_eq!(
        find(&stranger, shown(&mut world)).err(),
        Some(FindError::NotTheirs)
    );
    // The right words at another slot.
    let other = words(902, 1).slot_keys(2).unwrap();
    assert_eq!(
        find(&other, shown(&mut world)).err(),
        Some(FindError::NotTheirs)
    );
    let found = find(&keys(902, 1), shown(&mut world)).unwrap();
    let refused = found.recover(world.now, &mut rng(1), &stranger, &[], None);
    assert_eq!(refused.err(), Some(RecoverError::WrongWords));
    // Ben's words recover Ben.
    let bens = find(&keys(902, 2), shown(&mut world)).unwrap();
    assert_eq!(bens.devices().iter().filter(|d| d.own).count(), 1);
}

/// A relay that went back in time: what it hides cannot come back, and Ben's words say so.
#[test]
fn a_relay_that_hides_the_newest_words_is_found_out_by_bens() {
    let seed = 904;
    let mut world = World::online(seed);
    let old = written(&mut world, ANA, "old");
    let whole = world.relay.log.len();
    let hidden = written(&mut world, ANA, "hidden");
    let from_ben = written(&mut world, BEN, "I saw both");
    world.disconnect(ANA);
    world.disconnect(BEN);
    let phone = world.devices[ANA].home.device();
    let counter = world.relay.frontier.counter(&phone);

    // It hides only the phone's last envelope: Ben's, which it shows, gives it away.
    let mut partial = shown(&mut world);
    let last = world.relay.of(&phone).pop().unwrap();
    partial.retain(|message| *message != RelayMsg::Envelope(last.clone()));
    let found = find(&keys(seed, 1), partial).unwrap();
    let device = found.devices().into_iter().find(|d| d.id == phone).unwrap();
    assert_eq!((device.envelopes, device.unseen), (counter - 1, 1));

    // It hides everything from then on: nothing shows that, until Ben comes.
    world.relay.roll_back(whole);
    let found = find(&keys(seed, 1), shown(&mut world)).unwrap();
    assert_eq!(found.frontier().counter(&phone), counter - 1);
    assert!(found.devices().iter().all(|device| device.unseen == 0));
    let again = recovered(&mut world, seed, &found);
    assert_eq!(world.value(again, old, "text").as_deref(), Some("old"));
    let withheld = NoticeKind::Withheld {
        device: phone,
        missing: 1,
    };
    assert!(!world.notices(again).contains(&withheld));
    world.connect(BEN);
    world.run();
    assert!(world.notices(again).contains(&withheld));
    assert_eq!(world.value(again, hidden, "text"), None);
    assert_eq!(
        world.value(again, from_ben, "text").as_deref(),
        Some("I saw both")
    );
    assert_eq!(world.heads(again), world.heads(BEN));
}

/// Every message with one byte changed, cut short, or in another order: nothing panics, nothing
/// is believed, and what is whole is still found.
#[test]
fn a_relay_that_sends_damaged_data_is_not_believed_and_brings_nothing_down() {
    let seed = 905;
    let mut world = World::with_laptop(seed);
    written(&mut world, ANA, "whole");
    let good = shown(&mut world);
    let keys = keys(seed, 1);
    let clean = find(&keys, good.clone()).unwrap();
    let mut damaged = 0;
    for (place, message) in good.iter().enumerate() {
        let Some(bytes) = bytes_of(message) else {
            continue;
        };
        let step = (bytes.len() / 40).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x10;
            let mut shown = good.clone();
            shown.insert(place, with_bytes(message, bytes.clone()));
            bytes.truncate(at);
            shown.insert(place, with_bytes(message, bytes));
            damaged += 1;
            match find(&keys, shown) {
                Ok(found) => {
                    assert_eq!(found.space(), clean.space());
                    assert!(found.dropped() > clean.dropped(), "{place} {at}");
                    assert_eq!(found.frontier(), clean.frontier(), "{place} {at}");
                    assert_eq!(found.chains().len(), 2);
                }
                // A genesis that is another one: then nothing fits.
                Err(error) => assert_eq!((place, error), (0, FindError::Unsound)),
            }
        }
    }
    assert!(damaged > 100);
    let mut backwards = good;
    backwards.reverse();
    let mut finder = Finder::new(RELAY, keys.public());
    for message in backwards {
        finder.take(&keys, message);
    }
    assert_eq!(finder.finish().err(), Some(FindError::Unsound));
}

fn bytes_of(message: &RelayMsg) -> Option<&[u8]> {
    match message {
        RelayMsg::Genesis(bytes) | RelayMsg::Link(bytes) | RelayMsg::Envelope(bytes) => Some(bytes),
        _ => None,
    }
}

fn with_bytes(message: &RelayMsg, bytes: Vec<u8>) -> RelayMsg {
    match message {
        RelayMsg::Genesis(_) => RelayMsg::Genesis(bytes),
        RelayMsg::Link(_) => RelayMsg::Link(bytes),
        _ => RelayMsg::Envelope(bytes),
    }
}

/// A relay that leaves out one envelope in the middle of a chain: nothing after it counts,
/// since it may be anything.
#[test]
fn after_a_gap_nothing_of_a_device_counts() {
    let seed = 906;
    let mut world = World::online(seed);
    for n in 0..4 {
        written(&mut world, ANA, &format!("{n}"));
    }
    let phone = world.devices[ANA].home.device();
    let second = world.relay.of(&phone)[1].clone();
    let mut partial = shown(&mut world);
    partial.retain(|message| *message != RelayMsg::Envelope(second.clone()));
    let found = find(&keys(seed, 1), partial).unwrap();
    assert_eq!(found.frontier().counter(&phone), 1);
    assert!(found.dropped() >= 3);
}

/// A thief with Ana's unlocked phone removes her laptop, adds a device and leaves. The person
/// says from which link on that is undone.
#[test]
fn what_a_thief_did_to_the_list_of_devices_is_undone_with_the_words() {
    let seed = 907;
    let mut world = World::with_laptop(seed);
    let doc = written(&mut world, LAPTOP, "the laptop's words");
    let laptop = world.devices[LAPTOP].home.device();
    world.disconnect(LAPTOP);
    world.remove(ANA, LAPTOP);
    let thief = world.link(ANA);
    let thief = world.devices[thief].home.device();
    let now = world.now;
    let phone = &mut world.devices[ANA];
    let left = phone.home.propose_leave(now, LeaveMode::Ended).unwrap();
    world.say(ANA, left.send);
    world.run();

    let found = find(&keys(seed, 1), shown(&mut world)).unwrap();
    let changes = found.changes();
    let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
    let done = [
        LinkKind::DeviceAdd,
        LinkKind::DeviceRevoke,
        LinkKind::DeviceAdd,
        LinkKind::Leave,
    ];
    assert_eq!(kinds, done);
    assert!(
        changes
            .iter()
            .all(|change| change.undoable && change.by.is_some())
    );
    assert_eq!(changes[1].device, Some(laptop));
    assert_eq!(found.left(), Some(4));

    let keys = keys(seed, 1);
    let recover = |keep: &[DeviceId], at| found.recover(now, &mut rng(5), &keys, keep, at);
    let refused = |at| recover(&[], at).err();
    assert_eq!(refused(None), Some(RecoverError::Left { seq: 4 }));
    assert_eq!(refused(Some(0)), Some(RecoverError::NotUndoable));
    assert_eq!(refused(Some(5)), Some(RecoverError::NotUndoable));
    // The LEAVE alone: the laptop stays removed, the thief's device goes.
    let space = recover(&[], Some(4)).unwrap().into_space();
    let chain = space
        .chains
        .iter()
        .find(|c| c.device(&laptop).is_some())
        .unwrap();
    assert!(chain.active(&thief).is_none() && chain.active(&laptop).is_none());
    assert_eq!(chain.left_at(chain.last_seq()), None);
    // All of it: the laptop is there again, with everything that it wrote.
    let recovery = recover(&[laptop], Some(2)).unwrap();
    let place = world.place(ANA);
    let relay = &world.relay.chains[place];
    let chain = relay.outranked_by(recovery.link().clone()).unwrap();
    assert!(chain.active(&laptop).is_some() && chain.device(&thief).is_none());
    world.relay.chains[place] = chain;
    world
        .devices
        .push(Device::create(recovery.into_space(), 55));
    let again = world.devices.len() - 1;
    world.disconnect(ANA);
    world.disconnect(BEN);
    world.connect(again);
    world.run();
    assert_eq!(
        world.value(again, doc, "text").as_deref(),
        Some("the laptop's words")
    );
    world.rotate(again);
    written(&mut world, again, "mine again");
}

#[test]
fn replaced_words_recover_everything_and_the_old_ones_nothing() {
    let seed = 908;
    let mut world = World::online(seed);
    let before = written(&mut world, ANA, "before");
    let (old, new) = (keys(seed, 1), keys(seed, 9));
    let now = world.now;
    let phone = &mut world.devices[ANA];
    let replaced = phone
        .home
        .propose_root_replace(now, &old, &new.public().root)
        .unwrap();
    world.say(ANA, replaced.send);
    world.run();
    world.rotate(ANA);
    let after = written(&mut world, ANA, "after");
    assert_eq!(
        find(&old, shown(&mut world)).err(),
        Some(FindError::NotTheirs)
    );
    // Whoever has the old words and a copy of everything opens nothing new.
    let last = world.relay.of(&world.devices[ANA].home.device());
    let sign = world.secrets(ANA).public().sign;
    let epochs = last.iter().filter_map(|bytes| {
        let envelope = ajar_protocol::Envelope::parse(bytes).unwrap();
        let verified = envelope.verify(&sign).unwrap();
        let id = old.public().root.recovery_id();
        ajar_crypto::epoch::open_epoch(&verified, &id, &old.recovery_kem).ok()
    });
    assert_eq!(epochs.count(), 1);
    let found = find(&new, shown(&mut world)).unwrap();
    assert_eq!(found.unopened(), 0);
    let refused = found.recover(now, &mut rng(3), &old, &[], None);
    assert_eq!(refused.err(), Some(RecoverError::WrongWords));
    // What was done with words is not undone by words.
    let refused = found.recover(now, &mut rng(3), &new, &[], Some(1));
    assert_eq!(refused.err(), Some(RecoverError::NotUndoable));
    let recovery = found.recover(now, &mut rng(3), &new, &[], None).unwrap();
    let place = world.place(ANA);
    world.relay.chains[place]
        .append(recovery.link().clone())
        .unwrap();
    world.disconnect(ANA);
    world.disconnect(BEN);
    world
        .devices
        .push(Device::create(recovery.into_space(), 56));
    let again = world.devices.len() - 1;
    world.connect(again);
    world.run();
    for (doc, text) in [(before, "before"), (after, "after")] {
        assert_eq!(world.value(again, doc, "text").as_deref(), Some(text));
    }
}

/// Between the link and the key change of new words the machine died: until somebody writes,
/// nothing is sealed to the new words, and that is said.
#[test]
fn words_that_were_replaced_without_a_key_change_say_what_stays_closed() {
    let seed = 909;
    let mut world = World::online(seed);
    written(&mut world, ANA, "before");
    let (old, new) = (keys(seed, 1), keys(seed, 9));
    let now = world.now;
    let phone = &mut world.devices[ANA];
    let replaced = phone
        .home
        .propose_root_replace(now, &old, &new.public().root)
        .unwrap();
    world.say(ANA, replaced.send);
    world.run();
    let found = find(&new, shown(&mut world)).unwrap();
    assert_eq!((found.unopened(), found.written_ms()), (1, None));
    // Ben writes: his device makes the change that hers did not.
    written(&mut world, BEN, "hello");
    let found = find(&new, shown(&mut world)).unwrap();
    assert_eq!(found.unopened(), 0);
    assert!(found.written_ms().is_some());
}

/// Whoever was founded with the words of both is found with either.
#[test]
fn a_genesis_that_names_others_is_not_taken_for_ours() {
    let mut world = World::online(910);
    let mut other = World::online(911);
    let stranger = other.devices[ANA]
        .store
        .load(&Key::Genesis)
        .unwrap()
        .unwrap();
    SpaceGenesis::parse(&stranger).unwrap();
    let mut shown = shown(&mut world);
    shown[0] = RelayMsg::Genesis(stranger);
    assert_eq!(find(&keys(910, 1), shown).err(), Some(FindError::Unsound));
}
