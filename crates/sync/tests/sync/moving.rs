//! Moving to another relay: the partner is told and asked, nobody is led anywhere.

use std::time::Duration;

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{ConnectError, Connection, Error, Ownership, RelayAddress, SpaceKind, Travel};

use crate::honest::Honest;
use crate::people::{Person, WAIT, eventually, pair, person, read, until, write};

const SHARED: Option<SpaceKind> = Some(SpaceKind::Shared);

async fn couple(relay: &Honest) -> (Person, Person) {
    let (ana, ben) = (
        person("Ana", Some(relay.address())),
        person("Ben", Some(relay.address())),
    );
    pair(&ana.home, &ben.home).await;
    (ana, ben)
}

fn key(person: &Person) -> [u8; 32] {
    person.home.relay().unwrap().key
}

/// What a partner's device writes, honest or not.
fn say(person: &Person, address: &str, at_ms: i64, over: &str) {
    let us = person.us();
    let id = us.named_document(Ownership::Mine, "relay").unwrap();
    let (address, over) = (address.to_owned(), over.to_owned());
    us.document(id)
        .change(
            move |tx| -> Result<(), ajar_sync::automerge::AutomergeError> {
                tx.put(ROOT, "schema", 1_i64)?;
                tx.put(ROOT, "kind", "relay")?;
                tx.put(ROOT, "address", address)?;
                tx.put(ROOT, "at_ms", at_ms)?;
                tx.put(ROOT, "over", over)
            },
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_is_told_asked_and_goes_along() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let (ana, ben) = couple(&old).await;
    let doc = write(&ana.us(), "before");
    ben.us().connect().unwrap();
    until(&ben.us(), |c| matches!(c, Connection::Online { .. })).await;
    assert_eq!(ben.home.relay_offered(), None);
    let moved = ana
        .home
        .move_relay(None, new.address(), WAIT)
        .await
        .unwrap();
    assert!(moved.told);
    assert_eq!(moved.spaces, [SpaceKind::Shared, SpaceKind::Private]);
    assert_eq!(ana.home.relay().as_ref(), Some(new.address()));
    assert_eq!(
        ana.home.relay_of(SpaceKind::Private).as_ref(),
        Some(new.address())
    );
    eventually(|| ben.home.relay_offered().is_some()).await;
    // Asked, not led: until Ben says so he stays where he is.
    assert_eq!(ben.home.relay_offered().as_ref(), Some(new.address()));
    assert_eq!(key(&ben), old.address().key);
    let answer = write(&ben.us(), "after");
    assert_eq!(new.logins(), 2);
    let went = ben.home.accept_relay_offer(WAIT).await.unwrap().unwrap();
    assert_eq!(went.spaces, [SpaceKind::Shared]);
    assert_eq!(ben.home.relay_offered(), None);
    assert_eq!(
        ben.home.relay_of(SpaceKind::Private).as_ref(),
        Some(old.address())
    );
    ana.us().sync(WAIT).await.unwrap();
    assert_eq!(read(&ana.us(), answer).as_deref(), Some("after"));
    assert_eq!(read(&ben.us(), doc).as_deref(), Some("before"));
    // Ben's answer is no offer back, on either side, also after opening anew.
    assert_eq!(ana.home.relay_offered(), None);
    let (ana, ben) = (ana.reopen(), ben.reopen());
    assert_eq!(
        (key(&ana), key(&ben)),
        (new.address().key, new.address().key)
    );
    assert!(ben.home.accept_relay_offer(WAIT).await.unwrap().is_none());
}

/// The old relay is gone: that is often why one moves.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_relay_that_is_gone_is_no_hindrance() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let (ana, ben) = couple(&old).await;
    let doc = write(&ana.us(), "before");
    drop(old);
    let moved = ana
        .home
        .move_relay(SHARED, new.address(), Duration::from_secs(4))
        .await
        .unwrap();
    assert!(!moved.told);
    // Ben hears of it in another way, and both have everything.
    ben.home.set_relay(new.address()).unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert_eq!(read(&ben.us(), doc).as_deref(), Some("before"));
    assert_eq!(ben.home.relay_offered(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_relay_that_is_not_there_changes_nothing() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let (ana, ben) = couple(&old).await;
    // Somebody else's key at that place, and nobody at all.
    let mut wrong = old.address().clone();
    wrong.key = new.address().key;
    let refused = ana.home.move_relay(SHARED, &wrong, WAIT).await;
    assert!(matches!(
        refused,
        Err(Error::Connect(ConnectError::WrongRelay))
    ));
    let nobody = new.address().clone();
    drop(new);
    let refused = ana.home.move_relay(SHARED, &nobody, WAIT).await;
    assert!(matches!(
        refused,
        Err(Error::Connect(ConnectError::Unreachable(_)))
    ));
    assert_eq!(key(&ana), old.address().key);
    ana.us().sync(WAIT).await.unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert_eq!(ben.home.relay_offered(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_ben_does_not_want_is_not_offered_twice() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let (ana, ben) = couple(&old).await;
    ana.home
        .move_relay(SHARED, new.address(), WAIT)
        .await
        .unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert!(ben.home.relay_offered().is_some());
    ben.home.decline_relay_offer().unwrap();
    assert_eq!(ben.home.relay_offered(), None);
    let ben = ben.reopen();
    assert_eq!(ben.home.relay_offered(), None);
    assert_eq!(key(&ben), old.address().key);
    // Ana moves on: that is another offer.
    let third = Honest::seeded([44; 32]);
    ana.home.set_relay(old.address()).unwrap();
    ana.home
        .move_relay(SHARED, third.address(), WAIT)
        .await
        .unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert_eq!(ben.home.relay_offered().as_ref(), Some(third.address()));
}

/// What comes from the partner's device is looked at, bounded, and never followed.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_the_partners_note_offers_nothing() {
    let relay = Honest::start();
    let (ana, ben) = couple(&relay).await;
    let sound = Honest::seeded([43; 32]).address().to_string();
    let long = format!("ajar-relay:{}:1#x", "a".repeat(100_000));
    for (address, at_ms, over) in [
        ("", 0, ""),
        ("ajar-relay:evil:1#short", i64::MAX, ""),
        (long.as_str(), 7, ""),
        (sound.as_str(), 7, long.as_str()),
    ] {
        say(&ben, address, at_ms, over);
        ben.us().sync(WAIT).await.unwrap();
        ana.us().sync(WAIT).await.unwrap();
        assert_eq!(ana.home.relay_offered(), None, "{at_ms}");
        assert_eq!(ana.home.follow_own_relay().unwrap(), []);
    }
    // Another type in the place of each field.
    say(&ben, &sound, 7, "");
    let us = ben.us();
    let id = us.named_document(Ownership::Mine, "relay").unwrap();
    for field in ["schema", "kind", "address", "at_ms", "over"] {
        say(&ben, &sound, 7, "");
        us.document(id)
            .change(move |tx| tx.put(ROOT, field, vec![0_u8; 9]))
            .unwrap();
        us.sync(WAIT).await.unwrap();
        ana.us().sync(WAIT).await.unwrap();
        let offered = ana.home.relay_offered();
        // Without a word about what it answers, it answers nothing.
        assert_eq!(offered.is_some(), field == "over", "{field}");
    }
    // A date at the end of time is an offer like any other, and no more after an answer.
    say(&ben, &sound, i64::MAX, "");
    us.sync(WAIT).await.unwrap();
    ana.us().sync(WAIT).await.unwrap();
    assert!(ana.home.relay_offered().is_some());
    ana.home.decline_relay_offer().unwrap();
    assert_eq!(ana.home.relay_offered(), None);
    assert_eq!(key(&ana), relay.address().key);
}

/// Both move at once, to different relays: one of the two is asked, so that they meet.
#[tokio::test(flavor = "multi_thread")]
async fn who_moved_first_is_asked_when_both_did() {
    let old = Honest::start();
    let (one, other) = (Honest::seeded([43; 32]), Honest::seeded([44; 32]));
    let (ana, ben) = couple(&old).await;
    ana.home
        .move_relay(SHARED, one.address(), WAIT)
        .await
        .unwrap();
    ben.home.set_relay(other.address()).unwrap();
    let address: RelayAddress = other.address().clone();
    say(&ben, &address.to_string(), i64::MAX, "");
    ben.home.set_relay(old.address()).unwrap();
    ben.us().sync(WAIT).await.unwrap();
    ben.home.set_relay(other.address()).unwrap();
    // Ana looks at the old one again, where Ben's word is.
    ana.home.set_relay(old.address()).unwrap();
    ana.us().sync(WAIT).await.unwrap();
    ana.home.set_relay(one.address()).unwrap();
    assert_eq!(ben.home.relay_offered(), None);
    assert_eq!(ana.home.relay_offered().as_ref(), Some(other.address()));
    ana.home.accept_relay_offer(WAIT).await.unwrap().unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert_eq!(key(&ana), key(&ben));
    assert_eq!(
        (ana.home.relay_offered(), ben.home.relay_offered()),
        (None, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_only_me_that_stays_here_gets_the_address_and_is_not_sent() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let ana = person("Ana", Some(old.address()));
    ana.home.set_private_travel(Travel::Off).await.unwrap();
    let moved = ana
        .home
        .move_relay(None, new.address(), WAIT)
        .await
        .unwrap();
    assert_eq!(moved.spaces, [SpaceKind::Shared, SpaceKind::Private]);
    assert!(!moved.told);
    assert_eq!((old.logins(), new.logins()), (0, 0));
    assert_eq!(
        ana.home.relay_of(SpaceKind::Private).as_ref(),
        Some(new.address())
    );
    let refused = ana.home.move_relay(SHARED, new.address(), WAIT).await;
    assert!(matches!(refused, Err(Error::NotPaired)));
}

/// A connection in the background goes over by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_connection_begins_anew_at_the_other_relay() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let ana = person("Ana", Some(old.address()));
    ana.me().connect().unwrap();
    ana.me().relay_has_everything().await.unwrap();
    ana.home.set_relay(new.address()).unwrap();
    let doc = write(&ana.me(), "x");
    tokio::time::timeout(WAIT, ana.me().relay_has_everything())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((old.logins(), new.logins()), (1, 1));
    assert!(read(&ana.me(), doc).is_some());
    let moved = ana
        .home
        .move_relay(Some(SpaceKind::Private), old.address(), WAIT);
    assert!(moved.await.unwrap().told);
    let connection = ana.me().status().unwrap().connection;
    assert!(
        matches!(connection, Connection::Online { .. }),
        "{connection:?}"
    );
}
