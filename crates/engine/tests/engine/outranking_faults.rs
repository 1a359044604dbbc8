//! The twelve words against a thief, with relays that lie, orders that differ, and disks that fail.

use ajar_crypto::RecoveryPhrase;
use ajar_engine::store::{Store, StoreError};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::link::{Cutoff, Link, LinkBody, RevokeReason, cosign_hash, signed_message};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{EnvelopeId, label};
use automerge::ROOT;
use automerge::transaction::Transactable;
use ed25519_dalek::Signer;
use rand_core::Rng;

use crate::rogue::Rogue;
use crate::theft::{Theft, by_device, by_words, nothing_of, recover};
use crate::world::{ANA, BEN, Device, World, rng};

/// A replica that is fed by hand, without a world.
fn receive(world: &World, home: &mut crate::world::Home, link: &Link) {
    let message = RelayMsg::Link(link.as_bytes().to_vec());
    home.receive(world.now, vec![message]).unwrap();
}

#[test]
fn the_link_of_the_words_may_come_at_any_time_among_what_it_voids() {
    let mut theft = Theft::new(704);
    theft.world.disconnect(theft.tablet);
    let store = theft.world.devices[theft.tablet].store.copied();
    let known = theft.world.relay.log.len();
    theft.steal();
    let place = theft.world.place(ANA);
    let void = theft.world.relay.chains[place].links().to_vec();
    let from = usize::try_from(theft.seq).unwrap();
    let envelopes = theft.world.relay.log[known..].to_vec();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    let chain = &theft.world.relay.chains[place];
    let root = RelayMsg::Link(chain.links()[from].as_bytes().to_vec());
    let bens = &theft.world.relay.chains[place ^ 1];
    let links = bens.links().iter().chain(&void[from..]);
    let links = links.map(|link| RelayMsg::Link(link.as_bytes().to_vec()));
    let all: Vec<RelayMsg> = links
        .chain(envelopes.into_iter().map(RelayMsg::Envelope))
        .collect();
    for at in 0..=all.len() {
        let seed = 704_000 + at as u64;
        let mut rng = rng(seed);
        let mut messages = all.clone();
        messages.insert(at, root.clone());
        messages.push(RelayMsg::CaughtUp);
        let store = store.copied();
        let mut home = ajar_engine::Replica::open(store.clone()).unwrap();
        let _subscribe = home.connected(crate::world::RELAY);
        while !messages.is_empty() {
            let n = 1 + usize::try_from(rng.next_u64() % messages.len() as u64).unwrap();
            let batch = messages.drain(..n).collect();
            let _answers = home.receive(theft.world.now, batch).unwrap();
        }
        drop(home);
        let home = ajar_engine::Replica::open(store.clone()).unwrap();
        let who = theft.world.devices.len();
        theft.world.devices.push(Device::with(home, store, seed));
        for _ in 0..2 {
            theft.world.reconnect(who);
        }
        let expected = theft.world.heads(BEN);
        assert_eq!(theft.world.heads(who), expected, "at {at}, seed {seed}");
        let bens = theft.world.devices[BEN].home.frontier().clone();
        assert_eq!(theft.world.devices[who].home.frontier(), &bens, "at {at}");
        let status = theft.world.devices[who].home.status();
        assert_eq!((status.parked, status.missing), (0, 0), "at {at}");
        assert!(theft.world.devices[who].home.check().findings.is_empty());
        let forked = |n: &NoticeKind| matches!(n, NoticeKind::ChainFork { .. });
        assert!(!theft.world.notices(who).iter().any(forked), "at {at}");
        theft.world.devices.pop();
    }
}

#[test]
fn a_replacement_that_does_not_reach_the_disk_leaves_all_as_it_was_and_is_done_again() {
    let mut theft = Theft::new(705);
    theft.steal();
    let before = theft.world.heads(BEN);
    let frontier = theft.world.devices[BEN].home.frontier().clone();
    let devices = theft.world.devices[BEN].home.status().devices;
    let new = theft.outrank();
    let ben = &mut theft.world.devices[BEN];
    ben.store.fail_next_commit(StoreError::DiskFull);
    let messages: Vec<RelayMsg> = ben.inbox.drain(..).collect();
    assert!(ben.home.receive(theft.world.now, messages).is_err());
    for _ in 0..2 {
        assert_eq!(theft.world.heads(BEN), before);
        let home = &mut theft.world.devices[BEN].home;
        assert_eq!(home.frontier(), &frontier);
        assert_eq!(home.status().devices, devices);
        assert!(home.check().findings.is_empty());
        theft.world.restart(BEN);
    }
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_lying_relay_that_tells_only_one_device_of_the_words_changes_nothing_in_the_end() {
    let mut theft = Theft::new(706);
    theft.steal();
    let ben2 = theft.ben2;
    let place = theft.world.place(ANA);
    let from = theft.seq;
    theft.world.fault = Some(Box::new(move |to, message| match &message {
        RelayMsg::Link(bytes) => {
            let link = Link::parse(bytes).unwrap();
            let hidden = to == ben2 && link.seq >= from;
            if hidden { Vec::new() } else { vec![message] }
        }
        _ => vec![message],
    }));
    let new = theft.outrank();
    theft.world.run();
    theft.put(BEN, theft.his, "told");
    theft.put(ben2, theft.his, "not told");
    theft.world.run();
    theft.put(BEN, theft.his, "told again");
    theft.world.run();
    let chain = |world: &World, who: usize| world.devices[who].home.status().devices;
    assert_ne!(chain(&theft.world, BEN), chain(&theft.world, ben2));
    assert!(theft.world.relay.chains[place].last_seq() >= from);
    theft.world.fault = None;
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_relay_that_lost_everything_and_was_filled_by_one_who_had_not_heard_learns_the_truth() {
    let mut theft = Theft::new(707);
    theft.steal();
    theft.world.disconnect(theft.ben2);
    let new = theft.outrank();
    theft.world.run();
    let others = [BEN, theft.laptop, theft.tablet, new];
    theft.all_come_back(&others);
    for who in 0..theft.world.devices.len() {
        theft.world.disconnect(who);
    }
    theft.world.relay.wipe();
    // Ben's second device fills it with what the words had voided.
    theft.world.connect(theft.ben2);
    theft.world.run();
    let place = theft.world.place(ANA);
    let thief = theft.world.devices[theft.thieves[0]].home.device();
    assert!(theft.world.relay.chains[place].device(&thief).is_some());
    theft.world.connect(BEN);
    theft.world.run();
    assert!(theft.world.relay.chains[place].device(&thief).is_none());
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn words_that_were_replaced_void_nothing_that_came_before_or_after() {
    let seed = 709;
    let mut theft = Theft::new(seed);
    let tablet = theft.world.secrets(theft.tablet);
    let new_words = RecoveryPhrase::generate(&mut rng(seed)).unwrap();
    let root = new_words.slot_keys(1).unwrap().public().root;
    let body = LinkBody::Policy { min_version: 1 };
    let policy = by_device(&mut theft.world, ANA, body);
    theft.world.inject_link(&policy);
    let link = by_words(&theft.world, seed, theft.seq + 1, |chain| {
        let hash = cosign_hash(&chain.id(), chain.next_seq(), &chain.head(), &root);
        let message = signed_message(label::LINK_COSIGN, &hash);
        let cosignature = tablet.signing_key().sign(&message).to_bytes();
        LinkBody::RootReplace {
            root,
            cosigner: tablet.id().0,
            cosignature,
        }
    });
    theft.world.inject_link(&link);
    theft.world.run();
    let party = theft.world.devices[theft.tablet].home.own_party();
    for seq in [theft.seq - 1, theft.seq, theft.seq + 1] {
        let (old, _) = recover(&theft.world, seed, seq, Vec::new());
        for who in [BEN, theft.tablet] {
            let before = theft.world.devices[who].home.status().devices;
            let now = &theft.world;
            let (now, bytes) = (now.now, old.as_bytes().to_vec());
            let home = &mut theft.world.devices[who].home;
            for _ in 0..2 {
                home.receive(now, vec![RelayMsg::Link(bytes.clone())])
                    .unwrap();
            }
            assert_eq!(home.status().devices, before);
            let told = theft.world.notices(who);
            assert!(told.contains(&NoticeKind::ChainFork { party }), "{told:?}");
        }
    }
}

#[test]
fn the_words_end_a_fork_that_the_thief_had_made() {
    let mut theft = Theft::new(716);
    let laptop = theft.world.devices[theft.laptop].home.device();
    let one = by_device(
        &mut theft.world,
        ANA,
        LinkBody::DeviceRevoke(nothing_of(laptop)),
    );
    let other = by_device(&mut theft.world, ANA, LinkBody::Policy { min_version: 1 });
    theft.world.inject_link(&one);
    theft.world.run();
    let (now, party) = (theft.world.now, one.party);
    let forked = NoticeKind::ChainFork { party };
    for who in [BEN, theft.tablet] {
        let bytes = other.as_bytes().to_vec();
        let home = &mut theft.world.devices[who].home;
        // The first time, the device asks whether there is more to it.
        for expected in [1, 0] {
            let message = vec![RelayMsg::Link(bytes.clone())];
            let outputs = home.receive(now, message).unwrap();
            assert_eq!(outputs.send.len(), expected);
        }
        assert!(theft.world.notices(who).contains(&forked));
    }
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.stolen = theft.world.new_doc(BEN, Ownership::Common);
    theft.assert_healed(new);
    for who in [BEN, theft.tablet] {
        theft.world.restart(who);
        assert!(!theft.world.notices(who).contains(&forked));
    }
}

#[test]
fn two_links_of_the_words_at_one_place_the_first_that_came_stays() {
    let seed = 710;
    let mut theft = Theft::new(seed);
    theft.steal();
    let (one, _) = recover(&theft.world, seed, theft.seq, vec![theft.phone]);
    let (other, _) = recover(&theft.world, seed, theft.seq, Vec::new());
    assert_ne!(one.hash(), other.hash());
    let (now, party) = (theft.world.now, one.party);
    for (first, second, who) in [(&one, &other, BEN), (&other, &one, theft.ben2)] {
        theft.world.disconnect(who);
        let mut home = ajar_engine::Replica::open(theft.world.devices[who].store.copied()).unwrap();
        receive(&theft.world, &mut home, first);
        let devices = home.status().devices;
        receive(&theft.world, &mut home, second);
        assert_eq!(home.status().devices, devices);
        let kinds: Vec<NoticeKind> = home.status().notices.iter().map(|n| n.kind).collect();
        assert!(kinds.contains(&NoticeKind::ChainFork { party }));
        home.tick(now).unwrap();
    }
}

/// The thief names another envelope than the laptop's own as the last that counts: that would
/// make the laptop look as if it had two histories.
#[test]
fn a_thief_cannot_make_an_honest_device_look_forked_for_ever() {
    let mut theft = Theft::new(713);
    let laptop = theft.world.devices[theft.laptop].home.device();
    let last = theft.world.relay.frontier.of(&laptop).unwrap();
    theft.world.disconnect(theft.tablet);
    theft.put(theft.laptop, theft.common, "sent just before");
    theft.world.run();
    theft.cutoff = Some(Cutoff {
        device: laptop,
        counter: last.counter + 1,
        id: EnvelopeId([9; 32]),
        reason: RevokeReason::Lost,
    });
    theft.steal();
    theft.world.connect(theft.tablet);
    theft.world.run();
    let counter = last.counter + 1;
    let forked = NoticeKind::Forked {
        device: laptop,
        counter,
    };
    for who in [BEN, theft.tablet] {
        assert!(theft.world.notices(who).contains(&forked), "device {who}");
    }
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
}

#[test]
fn a_member_cannot_fill_the_disk_with_keys_that_nothing_stands_on() {
    let mut theft = Theft::new(714);
    theft.steal();
    let void = theft.world.relay.chains.clone();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    let mut ben = Rogue::of(&mut theft.world, theft.ben2);
    theft.world.disconnect(theft.ben2);
    ben.chains = void;
    let to = ben.recipients();
    let keys = |world: &World| {
        let ring = world.devices[BEN].store.clone().load_keys().unwrap();
        (ring.unwrap().len() - 99) / 64
    };
    let before = keys(&theft.world);
    for _ in 0..300 {
        let bytes = ben.epoch(9, &[ben.epoch], &to);
        theft.world.inject(bytes);
        theft.world.run();
    }
    let after = keys(&theft.world);
    assert!(
        (before + 200..=before + 256).contains(&after),
        "{before} {after}"
    );
    // Honest people go on, with as many key changes as it takes to hand them on: one.
    theft.world.put(BEN, theft.his, "on", "ben");
    theft.world.run();
    let changes = theft.key_changes();
    theft.world.put(BEN, theft.his, "on", "ben again");
    theft.world.run();
    assert_eq!(theft.key_changes(), changes);
    assert_eq!(
        theft.value(new, theft.his, "on").as_deref(),
        Some("ben again")
    );
    theft.world.restart(BEN);
}

/// Ana and Ben write and come and go while the thief does, and the words come at some moment.
#[test]
fn whatever_the_order_everyone_honest_ends_with_the_same() {
    for seed in 7200..7212 {
        let mut theft = Theft::new(seed);
        let mut rng = rng(seed);
        let mut below = move |n: usize| usize::try_from(rng.next_u64() % n as u64).unwrap();
        theft.steal();
        let shared = theft.world.new_doc(BEN, Ownership::Common);
        let mut new = None;
        let words_at = below(120);
        // The relay keeps some things from some, for a while.
        let mut lies = crate::world::rng(seed + 1);
        theft.world.fault = Some(Box::new(move |_, message| match &message {
            RelayMsg::Link(_) | RelayMsg::Envelope(_) if lies.next_u64().is_multiple_of(8) => {
                Vec::new()
            }
            _ => vec![message],
        }));
        for turn in 0..120 {
            if turn == words_at {
                new = Some(theft.outrank());
            }
            let count = theft.world.devices.len();
            let who = below(count);
            let world = &mut theft.world;
            match below(8) {
                0 if world.devices[who].online => world.disconnect(who),
                0 | 1 if !world.devices[who].online => world.connect(who),
                2 | 3 => {
                    let waiting = &mut world.devices[who].inbox;
                    let n = waiting.len();
                    if n > 1 && below(2) == 0 {
                        waiting.swap(below(n), n - 1);
                    }
                    world.step(who, 1 + below(5));
                }
                4 => world.rotate(who),
                5 => {
                    let online = world.devices[who].online;
                    world.restart(who);
                    if online {
                        world.connect(who);
                    }
                }
                _ => {
                    // Whoever may, on top of whatever is there.
                    let doc = [shared, theft.stolen][below(2)];
                    let (key, value) = (format!("{}", below(4)), format!("{turn}"));
                    let _closed = world.edit(who, doc, |tx| tx.put(ROOT, key, value));
                }
            }
        }
        let new = new.unwrap();
        theft.world.run();
        theft.world.fault = None;
        theft.everyone_comes_back(new);
        let expected = theft.world.heads(BEN);
        for who in theft.honest(new) {
            assert_eq!(
                theft.world.heads(who),
                expected,
                "seed {seed}, device {who}"
            );
            for (doc, key, value) in theft.wrote.clone() {
                let found = theft.value(who, doc, &key);
                assert_eq!(found, Some(value), "seed {seed}, device {who}: {key}");
            }
            let status = theft.world.devices[who].home.status();
            assert_eq!((status.parked, status.missing), (0, 0), "seed {seed}");
        }
    }
}
