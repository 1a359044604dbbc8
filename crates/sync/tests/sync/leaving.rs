//! Resting, leaving without a word, and ending for both.

use std::time::Duration;

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{ChangeError, ConnectError, Connection, Error, Misuse, Sharing, Space};

use crate::honest::Honest;
use crate::host::Seen;
use crate::people::{
    OTHER_WORDS, Person, WAIT, builder, called, eventually, open, pair, passphrase, person, read,
    until, write,
};

async fn couple(relay: &Honest) -> (Person, Person) {
    let (ana, ben) = (
        person("Ana", Some(relay.address())),
        person("Ben", Some(relay.address())),
    );
    pair(&ana.home, &ben.home).await;
    (ana, ben)
}

fn knocks(relay: &Honest) -> usize {
    Seen::count(&relay.host().seen.incoming)
}

fn try_to_write(space: &Space) -> Result<(), Error> {
    let document = space.create_document(ajar_sync::Ownership::Mine)?;
    match document.change(|tx| tx.put(ROOT, "text", "x")) {
        Ok(()) => Ok(()),
        Err(ChangeError::Failed(error)) => Err(error),
        Err(ChangeError::Refused(error)) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_in_a_pause_goes_when_it_ends() {
    let relay = Honest::start();
    let (ana, ben) = couple(&relay).await;
    ana.us().connect().unwrap();
    ana.us().relay_has_everything().await.unwrap();
    ana.home.pause().await.unwrap();
    assert_eq!(ana.home.sharing().unwrap(), Sharing::Paused);
    eventually(|| Seen::count(&relay.host().seen.open) == 0).await;
    let before = knocks(&relay);
    let ana = ana.reopen();
    let doc = write(&ana.us(), "in the pause");
    for refused in [ana.us().connect(), ana.us().sync(WAIT).await.map(drop)] {
        let paused = matches!(refused, Err(Error::Connect(ConnectError::Paused)));
        assert!(paused, "{refused:?}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(knocks(&relay), before);
    // Only me is no part of it.
    ana.me().sync(WAIT).await.unwrap();
    ana.home.resume().unwrap();
    ana.us().sync(WAIT).await.unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert_eq!(read(&ben.us(), doc).as_deref(), Some("in the pause"));
}

/// Whoever leaves like this may have reasons not to be heard from: not one packet.
#[tokio::test(flavor = "multi_thread")]
async fn who_left_quietly_is_not_heard_from_again() {
    let relay = Honest::start();
    let (ana, ben) = couple(&relay).await;
    let doc = write(&ben.us(), "before");
    ben.us().sync(WAIT).await.unwrap();
    ana.us().connect().unwrap();
    ana.us().relay_has_everything().await.unwrap();
    let unsent = write(&ana.us(), "never sent, perhaps");
    ana.home.leave_quietly().await.unwrap();
    assert_eq!(ana.us().status().unwrap().connection, Connection::Off);
    eventually(|| Seen::count(&relay.host().seen.open) == 0).await;
    let before = knocks(&relay);
    let ana = ana.reopen();
    assert_eq!(ana.home.sharing().unwrap(), Sharing::Left);
    for refused in [ana.us().connect(), ana.us().sync(WAIT).await.map(drop)] {
        let left = matches!(refused, Err(Error::Connect(ConnectError::Left)));
        assert!(left, "{refused:?}");
    }
    let refused = try_to_write(&ana.us()).unwrap_err();
    assert!(matches!(refused, Error::Left) && refused.hint().is_some());
    assert!(matches!(ana.home.pause().await, Err(Error::Left)));
    assert!(matches!(ana.home.resume(), Err(Error::Left)));
    let end = ana.home.end(WAIT).await;
    assert!(matches!(end, Err(Error::Connect(ConnectError::Left))));
    // Reading stays, and nobody else takes the place of what is here.
    assert_eq!(read(&ana.us(), doc).as_deref(), Some("before"));
    let anew = ana.home.pair(|_| (), |_| true).await;
    assert!(matches!(anew, Err(Error::Parted)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(knocks(&relay), before);
    // And back.
    ana.home.return_after_leaving().unwrap();
    assert_eq!(ana.home.sharing().unwrap(), Sharing::Open);
    let ana = ana.reopen();
    try_to_write(&ana.us()).unwrap();
    ana.us().sync(WAIT).await.unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert!(read(&ben.us(), unsent).is_some());
}

/// Leaving must be possible without the second passphrase; the others hear of it later.
#[tokio::test(flavor = "multi_thread")]
async fn leaving_while_only_me_is_locked_is_told_when_it_opens() {
    let relay = Honest::start();
    let dir = tempfile::tempdir().unwrap();
    let own = || builder(dir.path()).with_private_passphrase(passphrase(OTHER_WORDS));
    let (home, _) = own().create(called("Ana", Some(relay.address()))).unwrap();
    let ben = person("Ben", Some(relay.address()));
    pair(&home, &ben.home).await;
    home.close().unwrap();
    let home = open(dir.path());
    home.leave_quietly().await.unwrap();
    // Nobody was told, so it can be taken back here alone.
    home.return_after_leaving().unwrap();
    assert_eq!(home.sharing().unwrap(), Sharing::Open);
    home.leave_quietly().await.unwrap();
    home.close().unwrap();
    let home = own().open().unwrap();
    assert_eq!(home.sharing().unwrap(), Sharing::Left);
    home.close().unwrap();
    // It was told: coming back needs Only me, where it is kept.
    let home = open(dir.path());
    let locked = home.return_after_leaving();
    assert!(matches!(locked, Err(Error::PrivateLocked)));
    home.unlock_private(passphrase(OTHER_WORDS)).await.unwrap();
    home.return_after_leaving().unwrap();
    home.close().unwrap();
    assert_eq!(own().open().unwrap().sharing().unwrap(), Sharing::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ana_ends_is_ended_for_both_and_stays_readable() {
    let relay = Honest::start();
    let (ana, ben) = couple(&relay).await;
    let (hers, his) = (write(&ana.us(), "hers"), write(&ben.us(), "his"));
    ben.us().sync(WAIT).await.unwrap();
    ana.home.end(WAIT).await.unwrap();
    assert_eq!(ana.us().status().unwrap().connection, Connection::Off);
    // What she had written was delivered before.
    ben.us().sync(WAIT).await.unwrap();
    for person in [&ana, &ben] {
        assert_eq!(person.home.sharing().unwrap(), Sharing::Ended);
        let refused = try_to_write(&person.us());
        assert!(matches!(refused, Err(Error::Misuse(Misuse::Closed))));
        assert_eq!(read(&person.us(), hers).as_deref(), Some("hers"));
        assert_eq!(read(&person.us(), his).as_deref(), Some("his"));
        // Ending what has ended does nothing.
        person.home.end(WAIT).await.unwrap();
        let anew = person.home.pair(|_| (), |_| true).await;
        assert!(matches!(&anew, Err(error @ Error::Parted) if error.hint().is_some()));
    }
    let ana = ana.reopen();
    assert_eq!(ana.home.sharing().unwrap(), Sharing::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_needs_the_relay_and_changes_nothing_without_it() {
    let relay = Honest::start();
    let (ana, ben) = couple(&relay).await;
    let address = relay.address().clone();
    drop(relay);
    let refused = ana.home.end(Duration::from_millis(600)).await;
    assert!(matches!(refused, Err(Error::Undelivered(_))), "{refused:?}");
    assert_eq!(ana.home.sharing().unwrap(), Sharing::Open);
    try_to_write(&ana.us()).unwrap();
    assert_eq!(ana.us().status().unwrap().connection, Connection::Off);
    drop((address, ben));
    let alone = person("Eva", None);
    assert!(matches!(alone.home.end(WAIT).await, Err(Error::NotPaired)));
    assert!(matches!(
        alone.home.leave_quietly().await,
        Err(Error::NotPaired)
    ));
    assert!(matches!(alone.home.pause().await, Err(Error::NotPaired)));
}

/// Both press at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn two_ends_at_once_are_one_end() {
    let relay = Honest::start();
    let (ana, ben) = couple(&relay).await;
    for person in [&ana, &ben] {
        person.us().connect().unwrap();
        until(&person.us(), |c| matches!(c, Connection::Online { .. })).await;
    }
    let (hers, his) = tokio::join!(ana.home.end(WAIT), ben.home.end(WAIT));
    hers.unwrap();
    his.unwrap();
    for person in [ana, ben] {
        assert_eq!(person.home.sharing().unwrap(), Sharing::Ended);
        // The connection that was there before stays.
        let connection = person.us().status().unwrap().connection;
        assert!(matches!(connection, Connection::Online { .. }));
    }
}
