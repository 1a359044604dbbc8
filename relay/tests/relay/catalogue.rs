//! The attack catalogue, the relay as a host: strangers, floods, what is no QUIC, full spaces, and
//! a device that walks. Numbers are those of the catalogue.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ajar_protocol::blob_msg::BlobReply;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::version;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rustls::client::Tls13ClientSessionValue;
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue};
use rustls::pki_types::ServerName;
use tokio::net::UdpSocket;

use crate::client::{Client, PATIENCE, ana_at_home, tls};
use crate::people::Home;
use crate::server::{TestRelay, generous};
use crate::transfer::{Sealed, begin, get, put};

/// Chance that is the same every time.
fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut word = seed;
    move || {
        word = word.wrapping_mul(6_364_136_223_846_793_005);
        word = word.wrapping_add(1_442_695_040_888_963_407);
        word >> 33
    }
}

/// Keeps every ticket, and counts them.
#[derive(Debug, Default)]
struct Tickets(AtomicUsize);

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: rustls::NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

#[tokio::test]
async fn t030_there_is_no_ticket_so_there_is_no_first_flight_to_replay() {
    let relay = TestRelay::start().await;
    let tickets = Arc::new(Tickets::default());
    let mut tls = tls(relay.key(), version::ALPN);
    tls.enable_early_data = true;
    tls.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
    let quic = QuicClientConfig::try_from(tls).unwrap();
    let config = ClientConfig::new(Arc::new(quic));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..2 {
        let connecting = endpoint.connect_with(config.clone(), relay.ready.listen, "relay");
        let connecting = connecting.unwrap().into_0rtt();
        let Err(connecting) = connecting else {
            panic!("there is early data");
        };
        let connection = connecting.await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        let open = ClientMsg::MailboxOpen(Purpose::PartnerLink).to_frame();
        send.write_all(&open).await.unwrap();
        // Once it has answered, whatever belongs to the handshake has come, too.
        recv.read_exact(&mut [0; 4]).await.unwrap();
        connection.close(0u32.into(), b"");
        assert_eq!(tickets.0.load(Ordering::SeqCst), 0);
    }
}

/// Guesses a nameplate from an address; what the relay says.
async fn guess(relay: &TestRelay, from: IpAddr, nameplate: u32) -> RelayMsg {
    let endpoint = Endpoint::client(SocketAddr::new(from, 0)).unwrap();
    let mut mallory = Client::from(&endpoint, relay.ready.listen, relay.key()).await;
    mallory.say(&ClientMsg::MailboxJoin(nameplate)).await;
    mallory.hear().await.expect("an answer")
}

#[tokio::test]
async fn t053_a_thousand_guesses_are_thirty_and_each_spoils_one_code_at_most() {
    let mut limits = generous();
    limits.mailbox_joins_per_hour = 30;
    let relay = TestRelay::with(limits).await;
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut ana = Client::stranger(&relay).await;
        ana.say(&ClientMsg::MailboxOpen(Purpose::PartnerLink)).await;
        match ana.hear().await {
            Some(RelayMsg::MailboxOpened(nameplate)) => open.push((ana, nameplate)),
            other => panic!("expected a nameplate, heard {other:?}"),
        }
    }
    // Every second guess is right by chance, which is more than a stranger can hope for.
    let mut next = chance(53);
    let (mut found, mut none, mut slowed) = (0, 0, 0);
    for number in 0..1000 {
        let nameplate = match number % 2 {
            0 => open[number / 2 % open.len()].1,
            _ => 1000 + u32::try_from(next() % 9000).unwrap(),
        };
        match guess(&relay, "127.0.0.9".parse().unwrap(), nameplate).await {
            RelayMsg::MailboxPeer(_) => found += 1,
            RelayMsg::Refused(Refusal::NoMailbox) => none += 1,
            RelayMsg::Refused(Refusal::RateLimited) => slowed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((found + none, slowed), (30, 970));
    assert!((1..=30).contains(&found), "{found}");
    // Whoever has a code that was not hit meets as if nothing had been.
    let mut met = 0;
    for (mut ana, nameplate) in open.split_off(open.len() - 20) {
        let mut ben = Client::stranger(&relay).await;
        ben.say(&ClientMsg::MailboxJoin(nameplate)).await;
        match ben.hear().await {
            Some(RelayMsg::MailboxPeer(_)) => {
                assert!(matches!(ana.hear().await, Some(RelayMsg::MailboxPeer(_))));
                met += 1;
            }
            heard => assert_eq!(heard, Some(RelayMsg::Refused(Refusal::NoMailbox))),
        }
    }
    assert!(met >= 10, "{met}");
}

/// The first packets of clients that ask for connections.
async fn first_packets(relay: &TestRelay, many: usize) -> Vec<Vec<u8>> {
    let quic = QuicClientConfig::try_from(tls(relay.key(), version::ALPN)).unwrap();
    let config = ClientConfig::new(Arc::new(quic));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut packets = Vec::new();
    for _ in 0..many {
        let catcher = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = catcher.local_addr().unwrap();
        let _connecting = endpoint.connect_with(config.clone(), to, "relay").unwrap();
        let mut packet = vec![0; 2000];
        let length = catcher.recv(&mut packet).await.unwrap();
        assert!(length >= 1200, "{length}");
        packet.truncate(length);
        packets.push(packet);
    }
    packets
}

/// All that comes to a socket until nothing more does.
async fn answers(socket: &UdpSocket) -> usize {
    let (mut bytes, mut packet) = (0, vec![0; 2000]);
    let wait = Duration::from_millis(150);
    while let Ok(length) = tokio::time::timeout(wait, socket.recv(&mut packet)).await {
        bytes += length.unwrap();
    }
    bytes
}

#[tokio::test]
async fn t095_an_address_that_proves_nothing_gets_one_small_answer_and_members_are_served() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    // From a false address one sees no answer, and can send the first packet only.
    let mut sockets = Vec::new();
    for (number, packet) in first_packets(&relay, 500).await.iter().enumerate() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(relay.ready.listen).await.unwrap();
        socket.send(packet).await.unwrap();
        sockets.push(socket);
        if number % 50 == 0 {
            ana.keep(&mut author, b"meanwhile").await;
        }
    }
    for socket in sockets.iter().step_by(100) {
        let answered = answers(socket).await;
        assert!(answered > 0, "there is no answer at all");
        assert!(answered * 3 <= 1200, "{answered} bytes");
    }
    ana.keep(&mut author, b"afterwards").await;
    Client::stranger(&relay).await;
}

#[tokio::test]
async fn t098_what_is_no_quic_harms_nobody() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let first = first_packets(&relay, 1).await.concat();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(relay.ready.listen).await.unwrap();
    let mut next = chance(98);
    for number in 0..20_000u32 {
        let length = usize::try_from(next() % 1500).unwrap();
        let bytes: Vec<u8> = match number % 4 {
            // Anything.
            0 => (0..length).map(|_| next().to_le_bytes()[0]).collect(),
            // A header of version 1, and then anything.
            1 => {
                let mut bytes = first[..length.min(first.len())].to_vec();
                let from = bytes.len().min(24);
                bytes[from..].fill_with(|| next().to_le_bytes()[0]);
                bytes
            }
            // A true first packet with a bit changed, or cut short.
            2 => {
                let mut bytes = first.clone();
                let at = usize::try_from(next()).unwrap() % bytes.len();
                bytes[at] ^= 1 << (next() % 8);
                bytes
            }
            _ => first[..length.min(first.len())].to_vec(),
        };
        // The system may drop what is too much at once.
        let _ = socket.send(&bytes).await;
        if number % 2000 == 0 {
            ana.keep(&mut author, b"meanwhile").await;
        }
    }
    ana.keep(&mut author, b"afterwards").await;
    Client::stranger(&relay).await;
    relay.stop().await.unwrap();
}

#[tokio::test]
async fn t101_a_space_that_is_full_fills_nobody_elses_and_can_still_be_read() {
    let mut limits = generous();
    limits.bytes_per_space = 50_000;
    let relay = TestRelay::with(limits).await;
    let (full, mut ana) = ana_at_home(&relay).await;
    let mut author = full.author(&full.parties[0].device);
    let mut kept = 0;
    let refused = loop {
        let envelope = author.write(&[7; 5000]);
        ana.say(&crate::people::append(&envelope)).await;
        match ana.hear().await {
            Some(RelayMsg::Stored(_)) => kept += 1,
            Some(RelayMsg::NotStored(_, reason)) => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused, Refusal::Quota);
    assert!(kept > 3, "{kept}");
    // Another couple at the same relay goes on.
    let others = Home::shared("cora", "dan");
    let claim = ajar_protocol::client_msg::Credential::Claim(relay.claim(1));
    let device = &others.parties[0].device;
    let mut cora = Client::founder(&relay, &others, device, claim).await;
    let mut writes = others.author(device);
    for _ in 0..kept {
        cora.keep(&mut writes, &[7; 5000]).await;
    }
    let (_ben, came) = Client::reader(&relay, &full, &full.parties[1].device).await;
    assert_eq!(came.len(), kept);
}

#[tokio::test]
async fn t102_an_upload_goes_on_while_the_device_changes_its_network_twice() {
    let relay = TestRelay::start().await;
    let (_home, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(102, 1_500_000);
    let (mut stream, from) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    assert_eq!(from, 0);
    for part in photo.bytes.chunks(500_000) {
        stream.send.write_all(part).await.unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        ana.endpoint.rebind(socket).unwrap();
    }
    stream.send.finish().unwrap();
    assert_eq!(stream.hear().await, BlobReply::Stored);
    let whole = get(&ana.connection, photo.id, 0).await.unwrap();
    assert_eq!(whole, (photo.length(), photo.bytes.clone()));
    // And nothing of it is there twice.
    assert_eq!(put(&ana.connection, &photo).await, Ok(photo.length()));
    tokio::time::timeout(PATIENCE, relay.stop())
        .await
        .unwrap()
        .unwrap();
}
