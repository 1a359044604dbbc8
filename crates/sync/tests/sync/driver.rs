//! The driver: presenting a space, hanging up, taking turns, and what `sync` leaves behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_sync::{ConnectError, Connection, Error, SpaceEvent};

use crate::honest::Honest;
use crate::host::{Host, Seen};
use crate::people::{WAIT, eventually, pair, person, read, until, write};

fn online(connection: &Connection) -> bool {
    matches!(connection, Connection::Online { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn ana_and_ben_read_each_other_live() {
    let relay = Honest::start();
    let (ana, ben) = (
        person("Ana", Some(relay.address())),
        person("Ben", Some(relay.address())),
    );
    pair(&ana.home, &ben.home).await;
    ben.us().connect().unwrap();
    until(&ben.us(), online).await;
    let mut events = ben.us().events();
    let doc = write(&ana.us(), "are you there");
    let synced = ana.us().sync(WAIT).await.unwrap();
    assert_eq!(synced.changed, 0);
    let heard = tokio::time::timeout(WAIT, async {
        loop {
            if let Some(SpaceEvent::Document { doc, .. }) = events.next().await {
                return doc;
            }
        }
    });
    assert_eq!(heard.await.unwrap(), doc);
    assert_eq!(read(&ben.us(), doc).as_deref(), Some("are you there"));
    for text in ["yes", "here", "and you"] {
        write(&ben.us(), text);
    }
    ben.us().relay_has_everything().await.unwrap();
    assert_eq!(ana.us().sync(WAIT).await.unwrap().changed, 3);
    // Ana was offline before and is again; Ben was online and still is.
    assert_eq!(ana.us().status().unwrap().connection, Connection::Off);
    ben.us().sync(WAIT).await.unwrap();
    assert!(online(&ben.us().status().unwrap().connection));
}

/// A relay that lost its disk admits its own spaces by the permit it gave them.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_forgot_everything_is_told_again_by_permit() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    write(&ana.me(), "x");
    ana.me().sync(WAIT).await.unwrap();
    assert_eq!(relay.introductions(), (1, 0));
    ana.me().sync(WAIT).await.unwrap();
    assert_eq!(relay.introductions(), (1, 0));
    relay.forget();
    let began = Instant::now();
    ana.me().sync(WAIT).await.unwrap();
    assert_eq!(relay.introductions(), (2, 1));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "no pause in between"
    );
}

/// A relay that refuses the introduction too must not be asked in a loop.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_presents_itself_once_and_then_waits() {
    let introduced = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&introduced);
    let host = Host::start(move |mut peer| {
        let introduced = Arc::clone(&counting);
        async move {
            while let Some(message) = peer.hear().await {
                match message {
                    ClientMsg::Introduce { .. } => {
                        introduced.fetch_add(1, Ordering::SeqCst);
                    }
                    ClientMsg::Login(_) => break,
                    _ => {}
                }
            }
            peer.say(&RelayMsg::Refused(Refusal::NotAdmitted)).await;
            peer.stay().await;
        }
    });
    let ana = person("Ana", Some(&host.address));
    ana.me().connect().unwrap();
    let waiting = until(&ana.me(), |c| matches!(c, Connection::Waiting { .. })).await;
    let Connection::Waiting { why, retry_in } = waiting else {
        panic!("{waiting:?}");
    };
    assert_eq!(why, ConnectError::NotAdmitted);
    assert!(retry_in >= Duration::from_secs(150), "{retry_in:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(introduced.load(Ordering::SeqCst), 1);
    assert_eq!(Seen::count(&host.seen.connections), 1);
    // A person who asks does not wait five minutes, and does not get the old answer.
    let result = ana.me().sync(WAIT).await;
    assert!(matches!(
        result,
        Err(Error::Undelivered(ConnectError::NotAdmitted))
    ));
    assert!(Seen::count(&host.seen.connections) >= 2);
    // It was connecting in the background before, and still is.
    let state = ana.me().status().unwrap().connection;
    assert!(matches!(state, Connection::Waiting { .. }), "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_twice_is_one_connection() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    for _ in 0..20 {
        ana.me().connect().unwrap();
    }
    until(&ana.me(), online).await;
    ana.me().connect().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(relay.logins(), 1);
    ana.me().disconnect().await;
    eventually(|| Seen::count(&relay.host().seen.open) == 0).await;
}

/// Hanging up while somebody else begins anew: the newer wish wins, and works.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_and_connecting_at_once_ends_in_one_of_both() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let me = ana.me();
    for _ in 0..10 {
        me.connect().unwrap();
        let hanging_up = {
            let me = me.clone();
            tokio::spawn(async move { me.disconnect().await })
        };
        tokio::task::yield_now().await;
        me.connect().unwrap();
        hanging_up.await.unwrap();
    }
    me.disconnect().await;
    assert_eq!(me.status().unwrap().connection, Connection::Off);
    eventually(|| Seen::count(&relay.host().seen.open) == 0).await;
    write(&me, "x");
    me.connect().unwrap();
    tokio::time::timeout(WAIT, me.relay_has_everything())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_does_not_wait_for_a_relay_that_is_not_there() {
    // Packets go there and nothing comes back.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut address = Host::start(|_| async {}).address.clone();
    address.port = silent.local_addr().unwrap().port();
    let ana = person("Ana", Some(&address));
    let me = ana.me();
    me.connect().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(me.status().unwrap().connection, Connection::Connecting);
    let began = Instant::now();
    me.disconnect().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(me.status().unwrap().connection, Connection::Off);
}

/// A new address counts from the next connection on, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_used_by_the_driver_that_runs() {
    let (old, new) = (Host::start(|_| async {}), Honest::start());
    let ana = person("Ana", Some(&old.address));
    let me = ana.me();
    write(&me, "x");
    me.connect().unwrap();
    until(&me, |c| matches!(c, Connection::Waiting { .. })).await;
    ana.home.set_relay(new.address()).unwrap();
    tokio::time::timeout(WAIT, me.relay_has_everything())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(new.logins(), 1);
}

/// The person presses Ctrl-C in the middle of a round.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_nobody_waits_for_any_more_hangs_up() {
    let host = Host::start(|mut peer| async move { peer.stay().await });
    let ana = person("Ana", Some(&host.address));
    let me = ana.me();
    let given_up = tokio::time::timeout(Duration::from_millis(500), me.sync(WAIT)).await;
    assert!(given_up.is_err());
    assert_eq!(me.status().unwrap().connection, Connection::Off);
    eventually(|| Seen::count(&host.seen.open) == 0).await;
}

/// The relay keeps the line open and takes nothing: hanging up is not blocked by what waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_takes_nothing_does_not_hold_anybody() {
    let host = Host::start(|mut peer| async move {
        peer.hear().await;
        peer.say(&RelayMsg::Welcome {
            permit: [0; 64],
            chains: Vec::new(),
            frontier: ajar_protocol::Frontier::default(),
        })
        .await;
        peer.connection.closed().await;
    });
    let ana = person("Ana", Some(&host.address));
    let me = ana.me();
    me.connect().unwrap();
    until(&me, online).await;
    let space = me.clone();
    tokio::task::spawn_blocking(move || {
        for number in 0..40_u8 {
            // Does not compress.
            let noise: String = (0..60_000_u32)
                .map(|i| {
                    char::from(
                        b'0' + u8::try_from(i.wrapping_mul(i + 7 * u32::from(number)) % 71)
                            .unwrap(),
                    )
                })
                .collect();
            write(&space, &noise);
        }
    })
    .await
    .unwrap();
    let result = me.sync(Duration::from_secs(1)).await;
    assert!(matches!(result, Err(Error::Undelivered(_))), "{result:?}");
    let began = Instant::now();
    me.disconnect().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(me.status().unwrap().engine.kept, 42);
}

/// A panic in a closure ends the connection it cannot vouch for; the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_panic_the_connection_comes_back() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let me = ana.me();
    let doc = write(&me, "x");
    me.connect().unwrap();
    me.relay_has_everything().await.unwrap();
    let space = me.clone();
    let failed = tokio::task::spawn_blocking(move || {
        space.document(doc).read(|_| -> u8 { panic!("a reader") })
    })
    .await
    .unwrap();
    assert!(failed.is_err());
    write(&me, "after");
    tokio::time::timeout(WAIT, me.relay_has_everything())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(relay.logins(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_the_answer_is_that_there_is_none() {
    let ana = person("Ana", None);
    let result = ana.me().sync(WAIT).await;
    assert!(matches!(result, Err(Error::Connect(ConnectError::NoRelay))));
    assert!(ana.home.pair(|_| (), |_| true).await.is_err());
}
