//! The attack catalogue, a relay that lies about data: worlds apart and joined, the beginning of
//! a log that is gone, floods and swapped places.

use std::time::{Duration, Instant};

use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DeviceId, DocId, Envelope};

use crate::world::{ANA, BEN, HOUR, LAPTOP, World, content_of};

/// More than a real device needs for it, on a slow machine under load.
const GENEROUS: Duration = Duration::from_secs(60);

fn counter_of(bytes: &[u8]) -> (DeviceId, u64) {
    let envelope = Envelope::parse(bytes).unwrap();
    (envelope.header().device, envelope.header().counter)
}

fn is_proof_of_anything(kind: &NoticeKind) -> bool {
    !matches!(kind, NoticeKind::DeviceAdded { .. })
}

#[test]
fn t003_swapped_envelopes_of_a_device_count_in_their_order_and_nothing_is_told() {
    let mut world = World::online(301);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..8 {
        world.put(ANA, doc, "n", &n.to_string());
    }
    let mut messages: Vec<RelayMsg> = world.devices[BEN].inbox.drain(..).collect();
    let envelopes = messages
        .iter_mut()
        .filter(|one| matches!(one, RelayMsg::Envelope(_)));
    let mut envelopes: Vec<&mut RelayMsg> = envelopes.collect();
    assert_eq!(envelopes.len(), 8);
    for pair in envelopes.chunks_exact_mut(2) {
        let (first, second) = pair.split_at_mut(1);
        std::mem::swap(&mut *first[0], &mut *second[0]);
    }
    for message in messages {
        let home = &mut world.devices[BEN].home;
        let outputs = home.receive(world.now, vec![message]).unwrap();
        world.take(BEN, outputs);
        assert_eq!(world.notices(BEN), []);
    }
    world.run();
    assert_eq!(world.value(BEN, doc, "n").as_deref(), Some("7"));
    world.assert_converged();
    // Nothing of it is remembered as missing.
    world.pass(25 * HOUR);
    for who in [ANA, BEN] {
        assert_eq!(world.notices(who), []);
        assert_eq!(world.devices[who].home.status().missing, 0);
    }
}

#[test]
fn t006_one_envelope_ten_thousand_times_is_taken_once_and_costs_little() {
    let mut world = World::online(601);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.put(ANA, doc, "n", "2");
    world.put(ANA, doc, "n", "3");
    let log = world.relay.log.clone();
    let again = |at: usize| vec![RelayMsg::Envelope(log[at].clone()); 10_000];
    // The last one first, before what it stands on: it waits once, not ten thousand times.
    world.devices[BEN].inbox.clear();
    let began = Instant::now();
    let home = &mut world.devices[BEN].home;
    let outputs = home.receive(world.now, again(log.len() - 1)).unwrap();
    assert_eq!(outputs.send.len(), 0);
    assert_eq!(home.status().parked, 1);
    world.reconnect(BEN);
    world.assert_converged();
    // And what has been taken is not taken again.
    let before = content_of(&mut world.devices[BEN].home);
    for at in [log.len() - 3, log.len() - 1] {
        let home = &mut world.devices[BEN].home;
        let outputs = home.receive(world.now, again(at)).unwrap();
        assert!(outputs.events.is_empty(), "{:?}", outputs.events);
        assert!(outputs.send.is_empty());
        assert_eq!(home.status().parked, 0);
        assert_eq!(content_of(home), before);
    }
    assert!(began.elapsed() < GENEROUS, "{:?}", began.elapsed());
    assert_eq!(world.notices(BEN), []);
    let checked = world.devices[BEN].home.check();
    assert_eq!(checked.findings, Vec::<String>::new());
    world.put(BEN, doc, "n", "4");
    world.run();
    world.assert_converged();
}

/// Two worlds: the phone in one, the laptop and Ben in the other. Everybody writes in both. The
/// world of the phone stays in the hands of whoever has both.
fn two_worlds(seed: u64) -> (World, Vec<Vec<u8>>, Vec<DocId>) {
    let mut world = World::with_laptop(seed);
    let mut docs = Vec::new();
    for who in [ANA, BEN, LAPTOP] {
        let doc = world.new_doc(who, Ownership::Mine);
        world.put(who, doc, "x", "before");
        docs.push(doc);
    }
    world.run();
    for who in [ANA, BEN, LAPTOP] {
        world.disconnect(who);
    }
    let other = world.relay.clone();
    let from = world.relay.log.len();
    world.connect(ANA);
    for n in 0..3 {
        world.put(ANA, docs[0], "x", &format!("phone {n}"));
        world.run();
    }
    world.disconnect(ANA);
    let phones = world.relay.log[from..].to_vec();
    world.relay = other;
    for who in [BEN, LAPTOP] {
        world.connect(who);
    }
    for n in 0..3 {
        world.put(BEN, docs[1], "x", &format!("ben {n}"));
        world.put(LAPTOP, docs[2], "x", &format!("laptop {n}"));
        world.run();
    }
    (world, phones, docs)
}

#[test]
fn t020_joining_two_worlds_shows_at_once_that_something_was_kept_back() {
    let (mut world, phones, docs) = two_worlds(2001);
    let phone = world.devices[ANA].home.device();
    for who in [BEN, LAPTOP] {
        assert_eq!(world.devices[who].home.status().missing, 0, "nobody knows");
    }
    // The relay joins them from here on, and says that all of the phone's is there already.
    let last = world.devices[ANA].home.frontier().of(&phone).unwrap();
    let honest = world.relay.frontier.clone();
    world.relay.frontier.set(phone, last);
    world.connect(ANA);
    world.run();
    world.put(ANA, docs[0], "x", "joined");
    world.run();
    // The phone gets all of the other world; the others see a gap of three.
    for who in [BEN, LAPTOP] {
        assert_eq!(world.devices[who].home.status().missing, 3, "device {who}");
        let told = world.notices(who);
        assert!(!told.iter().any(is_proof_of_anything), "{told:?}");
    }
    world.pass(25 * HOUR);
    let withheld = NoticeKind::Withheld {
        device: phone,
        missing: 3,
    };
    for who in [BEN, LAPTOP] {
        assert!(world.notices(who).contains(&withheld), "device {who}");
        world.restart(who);
        assert!(world.notices(who).contains(&withheld), "device {who}");
        world.connect(who);
    }
    // When the rest comes it is as if there had been one world.
    world.relay.frontier = honest;
    let own = |bytes: &Vec<u8>| counter_of(bytes).0 == phone;
    let joined: Vec<Vec<u8>> = world.relay.log.iter().filter(|b| own(b)).cloned().collect();
    world.relay.log.retain(|bytes| !phones.contains(bytes));
    let end = joined.len() - 1;
    world.relay.log.retain(|bytes| *bytes != joined[end]);
    world.relay.held.remove(&counter_of(&joined[end]));
    for who in [ANA, BEN, LAPTOP] {
        world.reconnect(who);
    }
    world.assert_converged();
    for who in [ANA, BEN, LAPTOP] {
        let told = world.notices(who);
        let withheld = |kind: &NoticeKind| matches!(kind, NoticeKind::Withheld { .. });
        assert!(!told.iter().any(withheld), "device {who}: {told:?}");
        let forked = |kind: &NoticeKind| {
            matches!(
                kind,
                NoticeKind::Forked { .. } | NoticeKind::ChainFork { .. }
            )
        };
        assert!(!told.iter().any(forked), "device {who}: {told:?}");
        assert_eq!(world.value(who, docs[0], "x").as_deref(), Some("joined"));
        assert_eq!(world.value(who, docs[1], "x").as_deref(), Some("ben 2"));
    }
}

#[test]
fn t020_who_comes_into_the_other_world_is_told_that_the_relay_knows_less_than_it_said() {
    let (mut world, _, docs) = two_worlds(2002);
    world.connect(ANA);
    world.run();
    assert!(world.notices(ANA).contains(&NoticeKind::RolledBack));
    world.assert_converged();
    for who in [ANA, BEN, LAPTOP] {
        assert_eq!(world.value(who, docs[0], "x").as_deref(), Some("phone 2"));
        assert_eq!(world.value(who, docs[2], "x").as_deref(), Some("laptop 2"));
        assert_eq!(world.devices[who].home.status().missing, 0);
    }
}

#[test]
fn t023_the_beginning_of_a_log_that_the_relay_lost_and_still_claims_is_missed_and_not_lost() {
    let mut world = World::online(2301);
    let (hers, his) = (
        world.new_doc(ANA, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    for n in 0..4 {
        world.put(ANA, hers, &n.to_string(), "hers");
        world.put(BEN, his, &n.to_string(), "his");
    }
    world.run();
    let laptop = world.link_offline(ANA);
    // Nobody has trimmed anything; its positions stay what they were.
    let lost = world.relay.log.drain(..5).collect::<Vec<_>>();
    for bytes in &lost {
        world.relay.held.remove(&counter_of(bytes));
    }
    world.connect(laptop);
    world.run();
    let before = world.heads(ANA);
    for who in [ANA, BEN] {
        world.reconnect(who);
        assert_eq!(world.heads(who), before, "who has it keeps it");
    }
    assert!(world.devices[laptop].home.status().missing > 0);
    world.pass(HOUR);
    world.pass(25 * HOUR);
    let told = world.notices(laptop);
    let withheld = |kind: &NoticeKind| matches!(kind, NoticeKind::Withheld { .. });
    assert!(told.iter().any(withheld), "{told:?}");
    for who in [ANA, BEN] {
        let told = world.notices(who);
        assert!(!told.iter().any(withheld), "device {who}: {told:?}");
    }
    // People go on, also on the laptop, and what it writes is read.
    world.put(ANA, hers, "on", "hers");
    world.run();
    // A relay that says what it has is filled by those who have it.
    for who in 0..world.devices.len() {
        world.disconnect(who);
    }
    world.relay.wipe();
    for who in [ANA, BEN, laptop] {
        world.connect(who);
        world.run();
    }
    world.reconnect(laptop);
    world.assert_converged();
    assert_eq!(world.value(laptop, hers, "0").as_deref(), Some("hers"));
    assert_eq!(world.value(laptop, his, "0").as_deref(), Some("his"));
    let told = world.notices(laptop);
    assert!(!told.iter().any(withheld), "{told:?}");
}
