//! Whoever answers at the relay's address: the wrong key, the wrong language, garbage, floods,
//! silence (threats 27, 30, 31, 113).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Frontier, limits, version};
use ajar_sync::{ConnectError, Connection, Error};

use crate::host::{Host, Peer, Seen};
use crate::people::{alone, person, until};

/// Longer than every attempt below takes.
const SHORT: Duration = Duration::from_secs(3);

async fn sync_error(host: &Host) -> ConnectError {
    let ana = person("Ana", Some(&host.address));
    match ana.me().sync(SHORT).await {
        Err(Error::Undelivered(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn welcome() -> RelayMsg {
    RelayMsg::Welcome {
        permit: [0; 64],
        chains: Vec::new(),
        frontier: Frontier::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_than_the_pinned_one_gets_not_one_byte() {
    let mut host = Host::start_with([7; 32], version::ALPN, |mut peer| async move {
        peer.stay().await;
    });
    let other = Host::start_with([8; 32], version::ALPN, |_| async {});
    host.address.key = other.address.key;
    let began = Instant::now();
    let why = sync_error(&host).await;
    assert_eq!(why, ConnectError::WrongRelay);
    assert!(why.to_string().contains("Nothing was sent"));
    // Said at once, not when the time is over.
    assert!(began.elapsed() < SHORT, "{:?}", began.elapsed());
    assert!(Seen::count(&host.seen.incoming) > 0, "it was never asked");
    assert_eq!(Seen::count(&host.seen.connections), 0);
    assert_eq!(Seen::count(&host.seen.streams), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_refused_in_the_handshake() {
    for alpn in [&b"h3"[..], b"z0", b"z2"] {
        let host = Host::start_with([42; 32], alpn, |mut peer| async move {
            peer.stay().await;
        });
        let why = sync_error(&host).await;
        assert!(matches!(why, ConnectError::Unreachable(_)), "{why:?}");
        assert_eq!(Seen::count(&host.seen.streams), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_no_disaster() {
    let host = Host::start(|_| async {});
    let address = host.address.clone();
    drop(host);
    let ana = person("Ana", Some(&address));
    let Err(error) = ana.me().sync(Duration::from_secs(6)).await else {
        panic!("delivered to nobody");
    };
    let unreached = matches!(
        error,
        Error::Undelivered(ConnectError::Unreachable(_) | ConnectError::TimedOut)
    );
    assert!(unreached, "{error:?}");
    assert_eq!(error.exit_code(), 4);
    assert_eq!(ana.me().status().unwrap().connection, Connection::Off);
}

/// What each relay says after the login, and what comes of it.
async fn said(bytes: Vec<u8>) -> ConnectError {
    let bytes = Arc::new(bytes);
    let host = Host::start(move |mut peer| {
        let bytes = Arc::clone(&bytes);
        async move {
            peer.hear().await;
            peer.raw(&bytes).await;
            peer.stay().await;
        }
    });
    sync_error(&host).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_ends_the_connection() {
    let oversize = u32::try_from(limits::FRAME + 1).unwrap().to_be_bytes();
    let garbage: [&[u8]; 7] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0, 0, 0, 0],
        &[0xff; 64],
        &oversize,
        // An unknown tag, a client's tag, a Welcome that is cut short.
        &[0, 0, 0, 1, 200],
        &[0, 0, 0, 1, 1],
        &[0, 0, 0, 3, 128, 1, 2],
    ];
    for bytes in garbage {
        let why = said(bytes.to_vec()).await;
        assert!(
            matches!(why, ConnectError::Violation(_)),
            "{bytes:?}: {why:?}"
        );
        assert_eq!(Error::Undelivered(why).exit_code(), 5);
    }
}

/// A frame that never ends costs what has arrived of it, and nothing else happens.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_is_waited_for_and_then_given_up() {
    let host = Host::start(|mut peer| async move {
        peer.hear().await;
        peer.raw(&[0, 0x0f, 0, 0, 134, 1, 2, 3]).await;
        peer.stay().await;
    });
    let ana = person("Ana", Some(&host.address));
    let result = ana.me().sync(Duration::from_secs(1)).await;
    assert!(matches!(
        result,
        Err(Error::Undelivered(ConnectError::TimedOut))
    ));
    assert_eq!(ana.me().status().unwrap().connection, Connection::Off);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hangs_up_at_once_is_left_in_peace() {
    let host = Host::start(|mut peer| async move {
        peer.hear().await;
        peer.say(&welcome()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    let ana = person("Ana", Some(&host.address));
    ana.me().connect().unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let tries = Seen::count(&host.seen.connections);
    // 0.25, 0.5, 1, 2 seconds, each less up to a half.
    assert!((2..=7).contains(&tries), "{tries}");
    ana.me().disconnect().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Seen::count(&host.seen.connections), tries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_never_answers_costs_one_timeout() {
    let host = Host::start(|mut peer| async move { peer.stay().await });
    let ana = person("Ana", Some(&host.address));
    let began = Instant::now();
    let result = ana.me().sync(Duration::from_millis(700)).await;
    assert!(matches!(
        result,
        Err(Error::Undelivered(ConnectError::TimedOut))
    ));
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(ana.me().status().unwrap().connection, Connection::Off);
}

async fn flood(mut peer: Peer, bytes: Vec<u8>, sent: Arc<AtomicUsize>) {
    peer.hear().await;
    peer.say(&welcome()).await;
    while peer.raw(&bytes).await {
        sent.fetch_add(bytes.len(), Ordering::SeqCst);
    }
}

/// Small messages, as many as the line takes: the journal stays usable, memory stays bounded
/// (flow control holds the rest back at the relay), and hanging up works.
#[test]
fn a_flood_of_messages_does_not_drown_the_journal() {
    alone("transport::takes_a_flood", &[]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures memory: run alone by a_flood_of_messages_does_not_drown_the_journal"]
async fn takes_a_flood() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let host = Host::start(move |peer| {
        let bytes = RelayMsg::CaughtUp.to_frame().repeat(10_000);
        flood(peer, bytes, Arc::clone(&counting))
    });
    let ana = person("Ana", Some(&host.address));
    let me = ana.me();
    let before = memory();
    me.connect().unwrap();
    until(&me, |c| matches!(c, Connection::Online { .. })).await;
    let deadline = Instant::now() + Duration::from_secs(15);
    while sent.load(Ordering::SeqCst) < 8 << 20 && Instant::now() < deadline {
        let began = Instant::now();
        let space = me.clone();
        tokio::task::spawn_blocking(move || crate::people::write(&space, "meanwhile"))
            .await
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    }
    let (flooded, grown) = (sent.load(Ordering::SeqCst), memory().saturating_sub(before));
    assert!(flooded > 2 << 20, "only {flooded} bytes came through");
    assert!(grown < 96 << 20, "{grown} bytes more than before");
    tokio::time::timeout(Duration::from_secs(5), me.disconnect())
        .await
        .unwrap();
}

/// Resident memory of this process, in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * 4096
}

/// Threat 113: the names of keys of a session are what a debugger wants and a thief too.
#[test]
fn session_keys_are_never_written_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.log");
    let variable = ("SSLKEYLOGFILE", file.as_os_str());
    alone(
        "transport::connects_for_the_test_of_key_logging",
        &[variable],
    );
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by session_keys_are_never_written_to_a_file"]
async fn connects_for_the_test_of_key_logging() {
    let relay = crate::honest::Honest::start();
    let ana = person("Ana", Some(relay.address()));
    ana.me().sync(crate::people::WAIT).await.unwrap();
    assert!(std::env::var_os("SSLKEYLOGFILE").is_some());
}

/// The lines of a home's two spaces are separate connections, and a name with two addresses is
/// tried at both.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_up_and_each_address_gets_its_turn() {
    let relay = crate::honest::Honest::start();
    let mut address = relay.address().clone();
    // Where ::1 comes first, nobody listens there.
    "localhost".clone_into(&mut address.host);
    let ana = person("Ana", Some(&address));
    ana.me().sync(crate::people::WAIT).await.unwrap();
    address.host = "no-such-name.invalid".to_owned();
    ana.home.set_relay(&address).unwrap();
    let result = ana.me().sync(Duration::from_secs(6)).await;
    let unknown = matches!(
        result,
        Err(Error::Undelivered(
            ConnectError::Unreachable(_) | ConnectError::TimedOut
        ))
    );
    assert!(unknown, "{result:?}");
}
