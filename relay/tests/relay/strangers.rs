//! What the relay does to those who are silent, slow, too many, or speak something else.

use std::time::{Duration, Instant};

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Frontier, limits as protocol, version};

use crate::client::{Client, PATIENCE, ana_at_home, connect};
use crate::people::append;
use crate::server::{TestRelay, generous};

#[tokio::test]
async fn another_alpn_and_another_key_are_refused_in_the_handshake() {
    let relay = TestRelay::start().await;
    let (listen, key) = (relay.ready.listen, relay.key());
    assert!(connect(listen, key, b"z0").await.is_err());
    assert!(connect(listen, key, b"h3").await.is_err());
    let mut other = key;
    other[0] ^= 1;
    assert!(connect(listen, other, version::ALPN).await.is_err());
    assert!(connect(listen, key, version::ALPN).await.is_ok());
}

#[tokio::test]
async fn a_silent_connection_is_closed_with_or_without_a_stream() {
    let mut limits = generous();
    limits.login_seconds = 1;
    let relay = TestRelay::with(limits).await;
    let start = Instant::now();
    let (_endpoint, silent) = connect(relay.ready.listen, relay.key(), version::ALPN)
        .await
        .unwrap();
    let mut slow = Client::stranger(&relay).await;
    // The beginning of a frame, and then nothing.
    slow.send.write_all(&[0, 0, 0]).await.unwrap();
    tokio::time::timeout(PATIENCE, silent.closed())
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, slow.connection.closed())
        .await
        .unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5));
}

#[tokio::test]
async fn one_byte_now_and_then_does_not_keep_a_stranger_connected() {
    let mut limits = generous();
    limits.login_seconds = 1;
    let relay = TestRelay::with(limits).await;
    let mut slow = Client::stranger(&relay).await;
    let start = Instant::now();
    let frame = ClientMsg::MailboxJoin(1234).to_frame();
    for byte in frame.iter().cycle() {
        if slow.send.write_all(&[*byte]).await.is_err() {
            break;
        }
        if slow.connection.close_reason().is_some() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_stranger_s_frame_is_bounded_whatever_length_it_claims() {
    let relay = TestRelay::start().await;
    let over = u32::try_from(protocol::FRAME_BEFORE_LOGIN + 1).unwrap();
    for length in [0, over, u32::MAX] {
        let mut client = Client::stranger(&relay).await;
        client.send.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(client.refusal().await, Refusal::Violation);
    }
}

#[tokio::test]
async fn a_stranger_can_neither_read_nor_append_nor_list() {
    let relay = TestRelay::start().await;
    let (home, _ana) = ana_at_home(&relay).await;
    let envelope = home.author(&home.parties[0].device).write(b"one");
    let chains = home.positions();
    let messages = [
        ClientMsg::Subscribe {
            chains,
            frontier: Frontier::default(),
        },
        append(&envelope),
        ClientMsg::AppendLink(home.links()[0].as_bytes().to_vec()),
        ClientMsg::MailboxSend(vec![1]),
    ];
    for message in messages {
        let mut client = Client::stranger(&relay).await;
        client.say(&message).await;
        assert_eq!(client.refusal().await, Refusal::Violation);
    }
    let mut client = Client::stranger(&relay).await;
    client.send.write_all(&[0, 0, 0, 2, 77, 0]).await.unwrap();
    assert_eq!(client.refusal().await, Refusal::Violation);
}

#[tokio::test]
async fn too_many_connections_from_one_address_are_refused_until_one_ends() {
    let mut limits = generous();
    limits.connections_per_address = 2;
    let relay = TestRelay::with(limits).await;
    let (home, _ana) = ana_at_home(&relay).await;
    let second = Client::member(&relay, &home, &home.parties[1].device).await;
    let (listen, key) = (relay.ready.listen, relay.key());
    assert!(connect(listen, key, version::ALPN).await.is_err());
    second.connection.close(0u32.into(), b"");
    second.endpoint.wait_idle().await;
    let start = Instant::now();
    while connect(listen, key, version::ALPN).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "the slot never came free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_never_reads_is_closed() {
    let mut limits = generous();
    limits.frame_seconds = 1;
    limits.live_queue_bytes = 100_000;
    let relay = TestRelay::with(limits).await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let mut deaf = Client::member(&relay, &home, &home.parties[1].device).await;
    deaf.subscribe(&home, Frontier::default()).await;
    for _ in 0..60 {
        ana.keep(&mut author, &[1; 100_000]).await;
    }
    tokio::time::timeout(PATIENCE, deaf.connection.closed())
        .await
        .unwrap();
    // Nobody else noticed.
    ana.keep(&mut author, b"still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_appends_without_hearing_its_answers_is_held_back_then_closed() {
    let mut limits = generous();
    limits.frame_seconds = 1;
    limits.appends_in_flight = 4;
    let relay = TestRelay::with(limits).await;
    let (home, mut ana) = ana_at_home(&relay).await;
    relay.store.pause();
    let mut author = home.author(&home.parties[0].device);
    let written: Vec<_> = (0..20).map(|_| author.write(&[1; 100])).collect();
    for envelope in &written {
        ana.say(&append(envelope)).await;
    }
    while relay.store.waiting() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(ana.hears_nothing().await);
    relay.store.resume();
    for envelope in &written {
        let stored = RelayMsg::Stored(crate::people::name(envelope));
        assert_eq!(ana.hear().await, Some(stored));
    }
}

#[tokio::test]
async fn an_upload_above_its_rate_is_slowed_not_refused() {
    let mut limits = generous();
    limits.upload_burst_bytes = u32::try_from(protocol::FRAME).unwrap();
    limits.upload_bytes_per_second = 1 << 20;
    let relay = TestRelay::with(limits).await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let start = Instant::now();
    for _ in 0..4 {
        ana.keep(&mut author, &vec![1; 700_000]).await;
    }
    // 2.8 MB, of which one is free, at one a second.
    assert!(start.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn a_stranger_gets_one_stream_and_no_other_channel() {
    let relay = TestRelay::start().await;
    let client = Client::stranger(&relay).await;
    let wait = Duration::from_millis(100);
    let second = tokio::time::timeout(wait, client.connection.open_bi()).await;
    assert!(second.is_err());
    let one_way = tokio::time::timeout(wait, client.connection.open_uni()).await;
    assert!(one_way.is_err());
    assert_eq!(client.connection.max_datagram_size(), None);
}

#[tokio::test]
async fn a_device_that_changes_its_network_stays_logged_in() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    ana.keep(&mut author, b"at home").await;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    ana.endpoint.rebind(socket).unwrap();
    ana.keep(&mut author, b"on the way").await;
    let heads = ajar_relay::storage::Store::heads(relay.store.as_ref(), &home.id()).unwrap();
    assert_eq!(heads[0].counter, 2);
}
