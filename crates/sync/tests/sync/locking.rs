//! Locking Only me or everything, by hand and when nobody does anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{Connection, Error, SpaceKind};

use crate::honest::Honest;
use crate::host::Seen;
use crate::people::{OTHER_WORDS, WORDS, eventually, open, passphrase, person, read, until, write};

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_only_me_hangs_up_and_opens_again() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let me = ana.me();
    let doc = write(&me, "mine alone");
    me.connect().unwrap();
    until(&me, |c| matches!(c, Connection::Online { .. })).await;
    ana.home.lock_private().unwrap();
    assert!(!ana.home.is_private_unlocked());
    assert!(matches!(
        ana.home.space(SpaceKind::Private),
        Err(Error::PrivateLocked)
    ));
    assert!(matches!(me.document(doc).read(|_| ()), Err(Error::Closed)));
    assert!(matches!(me.connect(), Err(Error::Closed)));
    eventually(|| Seen::count(&relay.host().seen.open) == 0).await;
    assert!(me.events().next().await.is_none());
    // Nothing happens the second time.
    ana.home.lock_private().unwrap();
    assert_eq!(ana.home.name(), "Ana");

    let wrong = ana.home.unlock_private(passphrase(OTHER_WORDS)).await;
    assert!(matches!(wrong, Err(Error::WrongPassphrase)));
    assert!(!ana.home.is_private_unlocked());
    ana.home.unlock_private(passphrase(WORDS)).await.unwrap();
    assert_eq!(read(&ana.me(), doc).as_deref(), Some("mine alone"));
    // The old handle stays what it is.
    assert!(matches!(me.status(), Err(Error::Closed)));
    // Open already: the passphrase is looked at all the same.
    let wrong = ana.home.unlock_private(passphrase(OTHER_WORDS)).await;
    assert!(matches!(wrong, Err(Error::WrongPassphrase)));
    ana.home.unlock_private(passphrase(WORDS)).await.unwrap();
    ana.me().sync(crate::people::WAIT).await.unwrap();
}

/// Text that was typed and not saved.
#[tokio::test]
async fn a_draft_is_kept_before_locking_and_there_afterwards() {
    let ana = person("Ana", None);
    ana.home.before_lock(|space| {
        let draft = b"half a sent".to_vec();
        space.set_local("draft", Some(draft)).unwrap();
    });
    ana.home.lock_private().unwrap();
    ana.home.unlock_private(passphrase(WORDS)).await.unwrap();
    let draft = ana.me().local("draft").unwrap();
    assert_eq!(draft.as_deref(), Some(&b"half a sent"[..]));
    // Closing asks as well.
    ana.me().set_local("draft", None).unwrap();
    let ana = ana.reopen();
    assert!(ana.me().local("draft").unwrap().is_some());
}

/// An application that hangs, or fails, must not keep the keys in memory.
#[test]
fn a_draft_that_is_never_kept_does_not_keep_the_journal_open() {
    let ana = person("Ana", None);
    ana.home.before_lock(|_| panic!("an application's own bug"));
    let began = Instant::now();
    ana.home.lock_private().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4));
    let ana = ana.reopen();
    ana.home.before_lock(|_| {
        loop {
            std::thread::park();
        }
    });
    let began = Instant::now();
    ana.home.lock_private().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(!ana.home.is_private_unlocked());
}

#[tokio::test]
async fn a_change_under_way_is_finished_before_locking() {
    let ana = person("Ana", None);
    let me = ana.me();
    let doc = write(&me, "before");
    let inside = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&inside);
    let changing = std::thread::spawn(move || {
        me.document(doc).change(move |tx| {
            tell.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(300));
            tx.put(ROOT, "text", "after")
        })
    });
    eventually(|| inside.load(Ordering::SeqCst)).await;
    ana.home.lock_private().unwrap();
    assert!(changing.join().unwrap().is_ok());
    ana.home.unlock_private(passphrase(WORDS)).await.unwrap();
    assert_eq!(read(&ana.me(), doc).as_deref(), Some("after"));
}

/// It would wait for itself for ever.
#[test]
fn locking_from_inside_a_change_is_refused() {
    let ana = person("Ana", None);
    let (me, home) = (ana.me(), ana.home.clone());
    let doc = write(&me, "x");
    let refused = me.document(doc).read(move |_| home.lock_private().is_err());
    assert!(refused.unwrap());
    assert!(ana.home.is_private_unlocked());
}

#[test]
fn only_me_locks_when_nobody_does_anything_in_it_and_then_everything_closes() {
    let ana = person("Ana", None);
    let (me, clone) = (ana.me(), ana.home.clone());
    let doc = write(&me, "x");
    let (private, all) = (Duration::from_millis(1500), Duration::from_millis(3000));
    ana.home.set_idle(Some(private), Some(all)).unwrap();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        assert!(read(&me, doc).is_some());
    }
    // A screen that shows the state is nobody who does something.
    let began = Instant::now();
    while ana.home.is_private_unlocked() {
        let _ = me.status();
        std::thread::sleep(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(began.elapsed() >= Duration::from_millis(1000));
    assert_eq!(ana.home.name(), "Ana");
    while !matches!(clone.space(SpaceKind::Shared), Err(Error::Closed)) {
        std::thread::sleep(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(began.elapsed() >= Duration::from_millis(2500));
    assert_eq!(clone.name(), "");
    assert!(matches!(
        clone.set_idle(Some(private), None),
        Err(Error::Closed)
    ));
    // Handles are still held, and it can be opened again all the same.
    let home = open(ana.path());
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(read(&me, doc).as_deref(), Some("x"));
}

#[test]
fn without_a_limit_nothing_locks() {
    let ana = person("Ana", None);
    let short = Duration::from_millis(300);
    ana.home.set_idle(Some(short), Some(short)).unwrap();
    ana.home.set_idle(None, None).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(ana.home.is_private_unlocked());
    // A limit that was set ends with the home, and not the other way round.
    ana.home
        .set_idle(Some(Duration::from_secs(3600)), None)
        .unwrap();
    drop(ana.home);
    open(ana.dir.path()).close().unwrap();
}
