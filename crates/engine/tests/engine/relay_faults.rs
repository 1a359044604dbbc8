//! A relay that loses, repeats, reorders, damages, rolls back or lies.

use ajar_engine::{Event, NoticeKind, Ownership, Replica};
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{DeviceId, Envelope, EnvelopeId, Frontier, Position};
use rand_core::Rng;

use crate::world::{ANA, BEN, LAPTOP, RELAY, World, content_of, heads, rng};

/// A number below `n`.
fn below(rng: &mut impl Rng, n: usize) -> usize {
    usize::try_from(rng.next_u64() % n as u64).unwrap()
}

fn shuffle<T>(rng: &mut impl Rng, list: &mut [T]) {
    for last in (1..list.len()).rev() {
        list.swap(last, below(rng, last + 1));
    }
}

#[test]
fn a_relay_that_lost_its_disk_is_refilled_by_either_side() {
    for who in [ANA, BEN] {
        let mut world = World::online(30);
        let doc = world.new_doc(ANA, Ownership::Common);
        for n in 0..10 {
            world.put(ANA, doc, "n", &n.to_string());
            world.run();
            world.put(BEN, doc, "n", &(n + 100).to_string());
            world.run();
        }
        let held = world.relay.frontier.clone();
        world.disconnect(ANA);
        world.disconnect(BEN);
        world.relay.wipe();
        world.connect(who);
        world.run();
        assert_eq!(world.relay.frontier, held);
        assert!(world.devices[who].home.relay_has_everything());
        assert!(world.notices(who).contains(&NoticeKind::RolledBack));
        world.connect(1 - who);
        world.run();
        world.assert_converged();
    }
}

#[test]
fn a_wiped_relay_gets_the_links_back_too() {
    let mut world = World::with_laptop(31);
    let doc = world.new_doc(LAPTOP, Ownership::Mine);
    world.put(LAPTOP, doc, "x", "1");
    world.run();
    for who in [ANA, BEN, LAPTOP] {
        world.disconnect(who);
    }
    let held = world.relay.frontier.clone();
    world.relay.wipe();
    world.connect(BEN);
    world.run();
    assert_eq!(world.relay.frontier, held);
    world.connect(LAPTOP);
    world.connect(ANA);
    world.run();
    world.assert_converged();
}

#[test]
fn a_relay_rolled_back_by_a_week_changes_nothing_and_gets_the_rest_again() {
    for restarted in [false, true] {
        let mut world = World::online(32);
        let doc = world.new_doc(ANA, Ownership::Common);
        for n in 0..12 {
            world.put(ANA, doc, "n", &n.to_string());
        }
        world.run();
        let held = world.relay.frontier.clone();
        let before = world.heads(ANA);
        world.disconnect(ANA);
        world.disconnect(BEN);
        if restarted {
            world.restart(ANA);
        }
        world.relay.roll_back(4);
        world.connect(ANA);
        world.run();
        assert_eq!(world.heads(ANA), before);
        assert!(world.notices(ANA).contains(&NoticeKind::RolledBack));
        assert_eq!(world.relay.frontier, held);
    }
}

#[test]
fn a_thousand_orders_with_repeats_end_in_the_same_heads() {
    let mut world = World::with_laptop(33);
    let reader = world.devices[LAPTOP].store.copied();
    world.disconnect(LAPTOP);
    let doc = world.new_doc(ANA, Ownership::Common);
    let mut coin = rng(33);
    for n in 0..12 {
        for who in [ANA, BEN] {
            world.put(who, doc, "n", &format!("{who} {n}"));
            if below(&mut coin, 3) == 0 {
                world.run();
            }
        }
    }
    world.run();
    let expected = world.heads(ANA);
    let known = world.devices[LAPTOP].home.frontier().clone();
    let news: Vec<Vec<u8>> = world
        .relay
        .log
        .iter()
        .filter(|bytes| {
            let header = *Envelope::parse(bytes).unwrap().header();
            header.counter > known.counter(&header.device)
        })
        .cloned()
        .collect();
    for seed in 0..1000 {
        let mut rng = rng(seed);
        let mut order = news.clone();
        for _ in 0..below(&mut rng, 12) {
            order.push(news[below(&mut rng, news.len())].clone());
        }
        shuffle(&mut rng, &mut order);
        let mut home = Replica::open(reader.copied()).unwrap();
        let _subscribe = home.connected(RELAY);
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + below(&mut rng, rest.len()));
            let messages = now.iter().cloned().map(RelayMsg::Envelope).collect();
            home.receive(world.now, messages).unwrap();
            rest = later;
        }
        assert_eq!(heads(&mut home), expected, "seed {seed}");
        assert_eq!(home.status().parked, 0, "seed {seed}");
        assert_eq!(home.status().missing, 0, "seed {seed}");
    }
}

#[test]
fn writing_goes_on_under_any_order_of_arrival() {
    for seed in 0..60 {
        let mut rng = rng(seed);
        let mut world = World::online(34);
        let doc = world.new_doc(ANA, Ownership::Common);
        for n in 0..40 {
            let who = below(&mut rng, 2);
            match below(&mut rng, 6) {
                0 => {
                    let waiting = world.devices[who].inbox.len();
                    let mut inbox: Vec<RelayMsg> = world.devices[who].inbox.drain(..).collect();
                    if waiting > 1 {
                        shuffle(&mut rng, &mut inbox);
                        let again = inbox[below(&mut rng, waiting)].clone();
                        inbox.push(again);
                    }
                    world.devices[who].inbox.extend(inbox);
                }
                1 | 2 => world.step(who, 3),
                3 if below(&mut rng, 4) == 0 => {
                    world.disconnect(who);
                    world.connect(who);
                }
                4 if below(&mut rng, 4) == 0 => {
                    world.restart(who);
                    world.connect(who);
                }
                _ => world.put(who, doc, "n", &format!("{who} {n}")),
            }
        }
        // A shuffled CaughtUp or Welcome may have been early; one more round settles all.
        world.run();
        world.reconnect(ANA);
        world.reconnect(BEN);
        eprintln!("seed {seed}");
        world.assert_converged();
    }
}

#[test]
fn a_dropped_envelope_parks_the_later_ones_and_they_apply_when_it_comes() {
    let mut world = World::online(35);
    let doc = world.new_doc(ANA, Ownership::Common);
    let mut dropped = None;
    world.put(ANA, doc, "n", "0");
    world.run();
    for n in 1..=5 {
        world.put(ANA, doc, "n", &n.to_string());
        if n == 2 {
            dropped = world.devices[BEN].inbox.pop_back();
        }
    }
    world.run();
    assert_eq!(world.value(BEN, doc, "n").as_deref(), Some("1"));
    let status = world.devices[BEN].home.status();
    assert_eq!((status.parked, status.missing), (3, 3));
    // Ben writes meanwhile, and an edit of his that fails loses nothing that waits.
    assert!(
        world
            .edit::<()>(BEN, doc, |_| Err(automerge::AutomergeError::NotAnObject))
            .is_err()
    );
    world.put(BEN, doc, "his", "words");
    world.devices[BEN].inbox.push_back(dropped.unwrap());
    world.run();
    world.assert_converged();
    assert_eq!(world.value(BEN, doc, "n").as_deref(), Some("5"));
    assert_eq!(world.devices[BEN].home.status().missing, 0);
}

#[test]
fn what_was_dropped_comes_with_the_next_connection() {
    let mut world = World::online(36);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..5 {
        world.put(ANA, doc, "n", &n.to_string());
        if n == 1 {
            world.devices[BEN].inbox.pop_back();
        }
    }
    world.run();
    world.reconnect(BEN);
    world.assert_converged();
}

#[test]
fn a_replay_of_everything_changes_nothing_now_and_after_a_restart() {
    let mut world = World::online(37);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..10 {
        world.put(ANA, doc, "n", &n.to_string());
        world.run();
        world.put(BEN, doc, "n", &n.to_string());
        world.run();
    }
    let log = world.relay.log.clone();
    for round in 0..2 {
        for who in [ANA, BEN] {
            let before = content_of(&mut world.devices[who].home);
            let commits = world.devices[who].store.commits();
            let replay = log.iter().cloned().map(RelayMsg::Envelope).collect();
            let outputs = world.devices[who].home.receive(world.now, replay).unwrap();
            assert_eq!(outputs.events, [], "round {round}");
            assert_eq!(content_of(&mut world.devices[who].home), before);
            assert_eq!(world.devices[who].store.commits(), commits);
            assert_eq!(world.notices(who), []);
            world.restart(who);
        }
    }
}

#[test]
fn an_envelope_with_any_one_byte_flipped_changes_nothing() {
    let mut world = World::online(38);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "title", "Sunday");
    world.devices[BEN].inbox.clear();
    let good = world.relay.log.last().unwrap().clone();
    let before = content_of(&mut world.devices[BEN].home);
    let commits = world.devices[BEN].store.commits();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        let outputs = world.devices[BEN]
            .home
            .receive(world.now, vec![RelayMsg::Envelope(bad)])
            .unwrap();
        let told = |e: &Event| !matches!(e, Event::Notice(_));
        assert!(!outputs.events.iter().any(told), "byte {place}");
    }
    assert_eq!(content_of(&mut world.devices[BEN].home), before);
    assert_eq!(world.notices(BEN), [NoticeKind::DamagedData]);
    // Only the one notice was ever written.
    assert_eq!(world.devices[BEN].store.commits(), commits + 1);
    for length in [0, 1, 231, 232, 247, 248, good.len() - 1] {
        let cut = RelayMsg::Envelope(good[..length].to_vec());
        world.devices[BEN]
            .home
            .receive(world.now, vec![cut])
            .unwrap();
    }
    let long = RelayMsg::Envelope([good.as_slice(), &[0]].concat());
    world.devices[BEN]
        .home
        .receive(world.now, vec![long])
        .unwrap();
    assert_eq!(content_of(&mut world.devices[BEN].home), before);
    // The true one still counts.
    let true_one = RelayMsg::Envelope(good);
    world.devices[BEN]
        .home
        .receive(world.now, vec![true_one])
        .unwrap();
    assert_eq!(world.value(BEN, doc, "title").as_deref(), Some("Sunday"));
}

#[test]
fn an_envelope_of_another_space_is_dropped() {
    let mut world = World::online(39);
    let mut other = World::online(139);
    let doc = other.new_doc(ANA, Ownership::Common);
    other.put(ANA, doc, "x", "1");
    let before = content_of(&mut world.devices[BEN].home);
    for bytes in other.relay.log.clone() {
        world.devices[BEN]
            .home
            .receive(world.now, vec![RelayMsg::Envelope(bytes)])
            .unwrap();
    }
    assert_eq!(content_of(&mut world.devices[BEN].home), before);
    assert_eq!(world.devices[BEN].home.status().parked, 0);
}

#[test]
fn envelopes_of_invented_devices_do_not_pile_up() {
    let mut world = World::online(40);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    let real = world.relay.log.last().unwrap().clone();
    let mut rng = rng(40);
    let mut flood = Vec::new();
    for _ in 0..2000 {
        let mut invented = real.clone();
        rng.fill_bytes(&mut invented[68..100]);
        flood.push(RelayMsg::Envelope(invented));
    }
    world.devices[BEN].home.receive(world.now, flood).unwrap();
    assert!(world.devices[BEN].home.status().parked <= 16);
    world.run();
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("1"));
}

#[test]
fn invented_frontiers_neither_lose_nor_loop() {
    let mut world = World::online(41);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..5 {
        world.put(ANA, doc, "n", &n.to_string());
    }
    world.run();
    let device = world.devices[ANA].home.device();
    let ben = world.devices[BEN].home.device();
    let id = EnvelopeId([9; 32]);
    for counter in [1, 6, u64::MAX] {
        world.disconnect(ANA);
        let _subscribe = world.devices[ANA].home.connected(RELAY);
        let frontier: Frontier = [device, ben, DeviceId([1; 32])]
            .into_iter()
            .map(|device| (device, Position { counter, id }))
            .collect();
        let RelayMsg::Welcome { permit, chains, .. } = world.relay.welcome() else {
            unreachable!();
        };
        let lie = RelayMsg::Welcome {
            permit,
            chains,
            frontier,
        };
        let outputs = world.devices[ANA]
            .home
            .receive(world.now, vec![lie])
            .unwrap();
        assert!(outputs.send.len() < 10, "{}", outputs.send.len());
        let done = world.devices[ANA]
            .home
            .receive(world.now, vec![RelayMsg::CaughtUp; 3])
            .unwrap();
        assert!(done.send.len() <= 1);
    }
    world.connect(ANA);
    world.run();
    world.assert_converged();
    assert!(!world.devices[ANA].home.status().stale);
}

#[test]
fn a_relays_word_alone_neither_stops_writing_nor_accuses_anyone() {
    let mut world = World::online(42);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(BEN, doc, "n", "1");
    world.put(ANA, doc, "n", "1");
    let envelope = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    let of = |device| EnvelopeName {
        device,
        counter: envelope.header().counter,
        id: envelope.id(),
    };
    let (ana, ben) = (
        world.devices[ANA].home.device(),
        world.devices[BEN].home.device(),
    );
    let lies = [ana, ben]
        .map(|device| RelayMsg::NotStored(of(device), Refusal::Conflict))
        .to_vec();
    let outputs = world.devices[ANA]
        .home
        .receive(world.now, lies.clone())
        .unwrap();
    assert_eq!(outputs.send.len(), 1, "it asks for the proof of both");
    assert!(!world.devices[ANA].home.caught_up(), "until it is heard");
    let outputs = world.devices[ANA].home.receive(world.now, lies).unwrap();
    assert_eq!(outputs.send.len(), 0, "and asks once");
    // The answer to the question is not in the lies.
    world.reconnect(ANA);
    world.run();
    assert_eq!(world.notices(ANA), []);
    world.put(ANA, doc, "n", "still writing");
    world.reconnect(ANA);
    world.reconnect(BEN);
    world.assert_converged();
}

#[test]
fn a_relay_without_room_is_asked_again_after_a_pause() {
    let mut world = World::online(43);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.devices[ANA].online = false;
    let ana = &mut world.devices[ANA];
    let (_, outputs) = ana
        .home
        .change(world.now, &mut ana.rng, doc, |tx| {
            automerge::transaction::Transactable::put(tx, automerge::ROOT, "n", 1)
        })
        .unwrap();
    ana.online = true;
    let names: Vec<RelayMsg> = outputs
        .send
        .iter()
        .map(|message| {
            let ajar_protocol::client_msg::ClientMsg::Append(bytes) = message else {
                panic!("only envelopes are sent");
            };
            let envelope = Envelope::parse(bytes).unwrap();
            let name = EnvelopeName {
                device: envelope.header().device,
                counter: envelope.header().counter,
                id: envelope.id(),
            };
            RelayMsg::NotStored(name, Refusal::DiskFull)
        })
        .collect();
    assert!(!names.is_empty());
    let outputs = ana.home.receive(world.now, names).unwrap();
    assert_eq!(outputs.events, [Event::RelayPaused(Refusal::DiskFull)]);
    assert!(outputs.send.is_empty());
    world.pass(std::time::Duration::from_secs(10));
    assert!(!world.devices[ANA].home.relay_has_everything());
    world.pass(std::time::Duration::from_secs(11));
    assert!(world.devices[ANA].home.relay_has_everything());
    world.run();
    world.assert_converged();
}

#[test]
fn a_week_of_writing_goes_out_in_a_bounded_window() {
    let mut world = World::founded(44);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..700 {
        world.put(ANA, doc, "n", &n.to_string());
    }
    let _subscribe = world.devices[ANA].home.connected(RELAY);
    let welcome = world.relay.welcome();
    let outputs = world.devices[ANA]
        .home
        .receive(world.now, vec![welcome])
        .unwrap();
    assert_eq!(outputs.send.len(), 256);
    world.reconnect(ANA);
    world.connect(BEN);
    world.run();
    world.assert_converged();
}

/// Ana moves: what the old relay had confirmed, the new one never did.
#[test]
fn a_relay_that_is_new_is_not_told_that_it_has_lost_something() {
    let mut world = World::online(41);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..5 {
        world.put(ANA, doc, "n", &n.to_string());
    }
    world.run();
    let held = world.relay.frontier.clone();
    let ana = &mut world.devices[ANA].home;
    assert!(ana.status().delivered > 0);
    ana.disconnected();
    let other = [9; 32];
    let _subscribe = ana.connected(other);
    let welcome = RelayMsg::Welcome {
        permit: [0; 64],
        chains: Vec::new(),
        frontier: Frontier::default(),
    };
    ana.receive(world.now, vec![welcome]).unwrap();
    assert_eq!(ana.status().delivered, 0);
    assert_eq!(world.notices(ANA), []);
    assert_eq!(world.relay.frontier, held);
}
