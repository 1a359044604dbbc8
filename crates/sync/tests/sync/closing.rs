//! Closing while others still hold handles, wait for answers, or listen.

use std::sync::Barrier;
use std::time::Duration;

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{ChangeError, ConnectError, Connection, Error, SpaceKind};

use crate::honest::Honest;
use crate::people::{eventually, open, pair, person, read, until, write};

#[test]
fn handles_of_a_closed_home_say_so() {
    let ana = person("Ana", None);
    let (me, clone) = (ana.me(), ana.home.clone());
    let doc = write(&me, "x");
    ana.home.close().unwrap();
    assert!(matches!(me.status(), Err(Error::Closed)));
    assert!(matches!(me.document(doc).read(|_| ()), Err(Error::Closed)));
    assert!(matches!(
        me.connect(),
        Err(Error::Closed | Error::Connect(_))
    ));
    // Not "you are not paired with anyone": a person would pair again.
    for kind in [SpaceKind::Private, SpaceKind::Shared] {
        assert!(matches!(clone.space(kind), Err(Error::Closed)));
    }
}

/// Pairing on a clone of a closed home would have found no shared space and made a new one in
/// the place of the one that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_home_cannot_be_paired_anew() {
    let relay = Honest::start();
    let (ana, ben) = (
        person("Ana", Some(relay.address())),
        person("Ben", Some(relay.address())),
    );
    pair(&ana.home, &ben.home).await;
    let doc = write(&ana.us(), "ours");
    let clone = ana.home.clone();
    ana.home.close().unwrap();
    let again = clone.pair(|_| (), |_| true).await;
    assert!(matches!(again, Err(Error::Closed)));
    drop(clone);
    let home = open(ana.dir.path());
    let us = home.space(SpaceKind::Shared).unwrap();
    assert_eq!(read(&us, doc).as_deref(), Some("ours"));
}

/// Each caller gets its result or a clear error, and what was promised is there.
#[test]
fn closing_while_many_write_loses_nothing_that_was_confirmed() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    let me = ana.me();
    let barrier = Barrier::new(9);
    let confirmed: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let (me, barrier) = (me.clone(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut kept = Vec::new();
                    loop {
                        let Ok(document) = me.create_document(ajar_sync::Ownership::Mine) else {
                            return kept;
                        };
                        match document.change(|tx| tx.put(ROOT, "text", "kept")) {
                            Ok(()) => kept.push(document.id()),
                            Err(ChangeError::Failed(Error::Closed)) => return kept,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        barrier.wait();
        std::thread::sleep(Duration::from_millis(150));
        ana.home.close().unwrap();
        let done = writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap());
        done.collect()
    });
    assert!(!confirmed.is_empty());
    let home = open(&path);
    let me = home.space(SpaceKind::Private).unwrap();
    for doc in confirmed {
        assert_eq!(read(&me, doc).as_deref(), Some("kept"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_and_waiters_come_to_their_end() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let me = ana.me();
    let mut events = me.events();
    let listening = tokio::spawn(async move { while events.next().await.is_some() {} });
    // Nobody is connecting: an answer, not a wait for ever.
    let nobody = me.relay_has_everything().await;
    assert!(matches!(
        nobody,
        Err(Error::Undelivered(ConnectError::Lost))
    ));
    me.connect().unwrap();
    me.relay_has_everything().await.unwrap();
    ana.home.close().unwrap();
    tokio::time::timeout(Duration::from_secs(5), listening)
        .await
        .unwrap()
        .unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(5), me.relay_has_everything()).await;
    assert!(waited.unwrap().is_err());
    assert!(me.events().next().await.is_none());
}

/// Dropping is enough: no task goes on talking to the relay.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_home_hangs_up() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let me = ana.me();
    me.connect().unwrap();
    until(&me, |c| matches!(c, Connection::Online { .. })).await;
    drop(ana.home);
    eventually(|| crate::host::Seen::count(&relay.host().seen.open) == 0).await;
    let before = relay.logins();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(relay.logins(), before);
}
