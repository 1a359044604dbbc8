//! Catch-up from storage, then live, without a gap.

use std::collections::BTreeMap;

use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, Frontier, Position};

use crate::client::{Client, ana_at_home};
use crate::people::{Device, append, append_link, name};
use crate::server::{TestRelay, generous};

#[tokio::test]
async fn a_new_device_gets_links_then_everything_in_order_of_arrival() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let mut by_ana = home.author(&home.parties[0].device);
    let mut by_ben = home.author(&home.parties[1].device);
    let mut written = Vec::new();
    for round in 0..20 {
        written.push(ana.keep(&mut by_ana, &[round; 10]).await);
        written.push(ben.keep(&mut by_ben, &[round; 10]).await);
    }
    let mut reader = Client::stranger(&relay).await;
    let device = &home.parties[1].device;
    // Login and subscription in one flight.
    reader.say_login(home.id(), device.id(), &device.auth).await;
    reader
        .say(&ClientMsg::Subscribe {
            chains: Vec::new(),
            frontier: Frontier::default(),
        })
        .await;
    reader.welcome().await;
    for link in home.links() {
        assert_eq!(reader.hear_link().await, link);
    }
    for envelope in &written {
        assert_eq!(reader.hear_envelope().await.id(), envelope.id());
    }
    assert_eq!(reader.hear().await, Some(RelayMsg::CaughtUp));
}

#[tokio::test]
async fn only_what_is_missing_is_sent_and_of_impossible_claims_the_last_link() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let device = &home.parties[0].device;
    let mut author = home.author(device);
    ana.keep(&mut author, b"one").await;
    let held = author.frontier();
    let second = ana.keep(&mut author, b"two").await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    ben.subscribe(&home, held).await;
    assert_eq!(ben.hear_envelope().await.id(), second.id());
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));

    let mut boaster = Client::member(&relay, &home, &home.parties[1].device).await;
    let far = Position {
        counter: u64::MAX,
        id: second.id(),
    };
    let nobody = Device::new("nobody").id();
    boaster
        .say(&ClientMsg::Subscribe {
            chains: vec![ChainPosition {
                party: home.parties[0].chain.id(),
                next: u64::MAX,
            }],
            frontier: [(device.id(), far), (nobody, far)].into_iter().collect(),
        })
        .await;
    // Who has more links than the relay may hold what was outranked: the last one says so. The
    // other chain was not named, so its one link comes.
    for link in home.links() {
        assert_eq!(boaster.hear_link().await, link);
    }
    assert_eq!(boaster.hear().await, Some(RelayMsg::CaughtUp));
    // And live ones come all the same.
    let third = ana.keep(&mut author, b"three").await;
    assert_eq!(boaster.hear_envelope().await.id(), third.id());
}

/// Hears envelopes until `last` has come, checking that no device's line has a gap or goes
/// back; repeats of the latest are harmless.
async fn hear_without_gap(client: &mut Client, last: &Envelope) -> usize {
    let mut counters: BTreeMap<_, u64> = BTreeMap::new();
    let mut heard = 0;
    loop {
        match client.hear().await {
            Some(RelayMsg::Envelope(bytes)) => {
                let envelope = Envelope::parse(&bytes).unwrap();
                let known = counters.entry(envelope.header().device).or_default();
                let counter = envelope.header().counter;
                assert!(counter <= *known + 1, "a gap before {counter}");
                *known = (*known).max(counter);
                heard += 1;
                if envelope.id() == last.id() {
                    return heard;
                }
            }
            Some(RelayMsg::CaughtUp) => {}
            other => panic!("expected an envelope, heard {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catch_up_while_the_other_writes_has_no_gap() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let early: Vec<Envelope> = (0..600)
        .map(|n: u32| author.write(&n.to_be_bytes()))
        .collect();
    let late: Vec<Envelope> = (0..600)
        .map(|n: u32| author.write(&n.to_be_bytes()))
        .collect();
    let last = late[599].clone();
    let write = |envelopes: Vec<Envelope>, mut ana: Client| async move {
        for some in envelopes.chunks(50) {
            for envelope in some {
                ana.say(&append(envelope)).await;
            }
            for envelope in some {
                assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(envelope))));
            }
        }
        ana
    };
    ana = write(early, ana).await;
    let writing = tokio::spawn(write(late, ana));
    for _ in 0..5 {
        let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
        ben.subscribe(&home, Frontier::default()).await;
        assert!(hear_without_gap(&mut ben, &last).await >= 1200);
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_falls_behind_gets_everything_from_storage() {
    let mut limits = generous();
    limits.live_queue_bytes = 20_000;
    let relay = TestRelay::with(limits).await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let (mut ben, _) = Client::reader(&relay, &home, &home.parties[1].device).await;
    let mut author = home.author(&home.parties[0].device);
    let mut last = None;
    // Far more than the queue and the send window of one connection hold.
    for _ in 0..400 {
        last = Some(ana.keep(&mut author, &[1; 10_000]).await);
    }
    assert!(hear_without_gap(&mut ben, &last.unwrap()).await >= 400);
}

#[tokio::test]
async fn what_is_under_way_reaches_a_reader_that_comes_just_then() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let first = ana.keep(&mut author, b"one").await;
    relay.store.pause();
    let second = author.write(b"two");
    ana.say(&append(&second)).await;
    while relay.store.waiting() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (mut ben, came) = Client::reader(&relay, &home, &home.parties[1].device).await;
    assert_eq!(came, [first]);
    assert_eq!(ben.hear_envelope().await.id(), second.id());
    relay.store.resume();
}

#[tokio::test]
async fn whoever_asks_for_the_last_link_again_gets_that_and_nothing_else() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = home.parties[0].add(&Device::new("ana's phone"));
    ana.keep_link(&phone).await;
    home.parties[0].append(&phone);
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let mut chains = home.positions();
    for at in &mut chains {
        at.next -= 1;
    }
    ben.say(&ClientMsg::Subscribe {
        chains,
        frontier: Frontier::default(),
    })
    .await;
    for party in &home.parties {
        assert_eq!(Some(&ben.hear_link().await), party.chain.links().last());
    }
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
    assert!(ben.hears_nothing().await);
}

#[tokio::test]
async fn a_reader_behind_on_links_gets_the_new_ones() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let phone = home.parties[0].add(&Device::new("ana's phone"));
    ana.say(&append_link(&phone)).await;
    ana.hear().await.unwrap();
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    ben.subscribe(&home, Frontier::default()).await;
    assert_eq!(
        ben.hear().await,
        Some(RelayMsg::Link(phone.as_bytes().to_vec()))
    );
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
}
