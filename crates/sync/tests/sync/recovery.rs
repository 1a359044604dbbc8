//! Ana has lost every device and has twelve words and the address of a relay (protocol §2.18).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ajar_protocol::relay_msg::RelayMsg;
use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{
    Builder, ConnectError, DeviceId, DocId, Error, Home, LinkKind, Misuse, NoticeKind, Ownership,
    Recovered, RecoveryPhrase, RelayAddress, Review, Space, SpaceKind,
};
use tempfile::TempDir;

use crate::honest::Honest;
use crate::people::{
    Person, WAIT, builder, called, eventually, open, pair, person, read, until, write,
};

/// Ana with her words, and Ben, paired; each has written something.
struct Couple {
    relay: Honest,
    words: RecoveryPhrase,
    ana: Person,
    ben: Person,
    mine: DocId,
    ours: DocId,
    bens: DocId,
}

async fn couple() -> Couple {
    let relay = Honest::start();
    let dir = tempfile::tempdir().unwrap();
    let new = called("Ana", Some(relay.address()));
    let (home, words) = builder(dir.path()).create(new).unwrap();
    let ana = Person { dir, home };
    let ben = person("Ben", Some(relay.address()));
    pair(&ana.home, &ben.home).await;
    let mine = write(&ana.me(), "only mine");
    let ours = write(&ana.us(), "for Ben");
    let bens = write(&ben.us(), "for Ana");
    for space in [ana.me(), ana.us(), ben.me(), ben.us(), ana.us()] {
        space.sync(WAIT).await.unwrap();
    }
    Couple {
        relay,
        words,
        ana,
        ben,
        mine,
        ours,
        bens,
    }
}

/// Homes differ in their folders only.
struct Again {
    dir: TempDir,
    home: Home,
    told: Recovered,
}

impl Again {
    fn space(&self, kind: SpaceKind) -> Space {
        self.home.space(kind).unwrap()
    }
}

fn yes(_: &Recovered) -> Review {
    Review::go_on()
}

async fn try_recover(
    relay: &RelayAddress,
    words: &RecoveryPhrase,
    review: impl FnOnce(&Recovered) -> Review + Send + 'static,
) -> Result<Again, Error> {
    let dir = tempfile::tempdir().unwrap();
    let recovered =
        builder(dir.path()).recover(called("Ana", Some(relay)), words.clone(), WAIT, review);
    let (home, told) = recovered.await?;
    Ok(Again { dir, home, told })
}

async fn recover(relay: &RelayAddress, words: &RecoveryPhrase) -> Again {
    try_recover(relay, words, yes).await.unwrap()
}

fn text(space: &Space, doc: DocId) -> Option<String> {
    read(space, doc)
}

fn kinds(space: &Space) -> Vec<NoticeKind> {
    let notices = space.status().unwrap().engine.notices;
    notices.iter().map(|notice| notice.kind).collect()
}

fn is_active(space: &Space, device: DeviceId) -> bool {
    let devices = space.status().unwrap().engine.devices;
    devices.iter().any(|one| one.id == device && one.active)
}

#[tokio::test(flavor = "multi_thread")]
async fn ana_loses_her_only_device_and_has_everything_back() {
    let couple = couple().await;
    let old = [couple.ana.me(), couple.ana.us()].map(|space| space.device().unwrap());
    let again = try_recover(couple.relay.address(), &couple.words, |told| {
        assert_eq!(told.spaces.len(), 2);
        assert!(told.spaces.iter().all(|space| {
            space.envelopes > 0 && space.written_ms.is_some() && space.dropped == 0
        }));
        let own = told.spaces[1].devices.iter().filter(|device| device.own);
        assert_eq!(own.count(), 1);
        Review::go_on()
    })
    .await
    .unwrap();
    assert!(again.told.complete, "{:?}", again.told);
    assert!(again.told.spaces.iter().all(|space| space.taken));
    let (me, us) = (
        again.space(SpaceKind::Private),
        again.space(SpaceKind::Shared),
    );
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    assert_eq!(text(&us, couple.ours).as_deref(), Some("for Ben"));
    assert_eq!(text(&us, couple.bens).as_deref(), Some("for Ana"));
    assert_eq!(again.home.partner_name().as_deref(), Some("Ben"));
    assert!(!is_active(&me, old[0]) && !is_active(&us, old[1]));

    // Ben is told, and both go on.
    couple.ben.us().sync(WAIT).await.unwrap();
    let told = kinds(&couple.ben.us());
    let party = us.own_party();
    assert!(
        told.iter()
            .any(|kind| matches!(kind, NoticeKind::Recovered { party: p, .. } if *p == party)),
        "{told:?}"
    );
    let back = write(&us, "I am back");
    us.sync(WAIT).await.unwrap();
    couple.ben.us().sync(WAIT).await.unwrap();
    assert_eq!(text(&couple.ben.us(), back).as_deref(), Some("I am back"));
    let welcome = write(&couple.ben.us(), "welcome");
    couple.ben.us().sync(WAIT).await.unwrap();
    us.sync(WAIT).await.unwrap();
    assert_eq!(text(&us, welcome).as_deref(), Some("welcome"));

    // Whoever has the old device neither reads nor writes.
    write(&couple.ana.us(), "the thief's words");
    let refused = couple.ana.us().sync(WAIT).await;
    assert!(
        matches!(refused, Err(Error::Undelivered(ConnectError::NotAdmitted))),
        "{refused:?}"
    );
    assert_eq!(text(&couple.ana.us(), back), None);
    assert_eq!(text(&couple.ana.us(), welcome), None);

    // After a restart all is there, and nothing is left to finish.
    let Again { dir, home, .. } = again;
    home.close().unwrap();
    let home = open(dir.path());
    home.finish_recovery(Duration::from_millis(1))
        .await
        .unwrap();
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    assert_eq!(home.device_name(), "laptop");
    assert!(home.check_words(&couple.words).unwrap().all());
}

/// A connected partner sees it while it happens.
#[tokio::test(flavor = "multi_thread")]
async fn ben_sees_the_recovery_while_he_is_connected() {
    let couple = couple().await;
    let us = couple.ben.us();
    us.connect().unwrap();
    us.relay_has_everything().await.unwrap();
    let again = recover(couple.relay.address(), &couple.words).await;
    let device = again.space(SpaceKind::Shared).device().unwrap();
    eventually(|| is_active(&couple.ben.us(), device)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_nobody_find_nothing_and_leave_nothing() {
    let couple = couple().await;
    let stranger = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let new = called("Ana", Some(couple.relay.address()));
    let tried = builder(dir.path()).recover(new, stranger.clone(), WAIT, yes);
    let Err(error) = tried.await else {
        panic!("found something")
    };
    assert!(matches!(error, Error::NothingToRecover), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(couple.relay.recoveries(), 9);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // They are not those of this home either.
    let check = couple.ana.home.check_words(&stranger).unwrap();
    assert!(check.spaces.iter().all(|(_, theirs)| !theirs));
    assert!(couple.ana.home.check_words(&couple.words).unwrap().all());
    assert!(!couple.ben.home.check_words(&couple.words).unwrap().all());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_go_on_changes_nothing() {
    let couple = couple().await;
    let device = couple.ana.us().device().unwrap();
    let before = couple.relay.chain(&device).next_seq();
    let refused = try_recover(couple.relay.address(), &couple.words, |_| Review::default()).await;
    assert!(matches!(refused, Err(Error::NotConfirmed)));
    assert_eq!(couple.relay.chain(&device).next_seq(), before);
    couple.ana.us().sync(WAIT).await.unwrap();
    // Nor does one for whom there is a home already, before anything is asked.
    let logins = couple.relay.recoveries();
    let new = called("Ana", Some(couple.relay.address()));
    let there = builder(couple.ana.path()).recover(new, couple.words.clone(), WAIT, yes);
    assert!(matches!(there.await, Err(Error::AlreadyThere(_))));
    assert_eq!(couple.relay.recoveries(), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_not_lost_may_stay() {
    let couple = couple().await;
    let kept = couple.ana.us().device().unwrap();
    let keep = |_: &Recovered| Review {
        keep_devices: true,
        ..Review::go_on()
    };
    let again = try_recover(couple.relay.address(), &couple.words, keep)
        .await
        .unwrap();
    assert!(again.told.complete);
    let us = again.space(SpaceKind::Shared);
    assert!(is_active(&us, kept));
    couple.ana.us().sync(WAIT).await.unwrap();
    let doc = write(&us, "on both");
    us.sync(WAIT).await.unwrap();
    couple.ana.us().sync(WAIT).await.unwrap();
    assert_eq!(text(&couple.ana.us(), doc).as_deref(), Some("on both"));
}

/// The machine dies, or the disk is full, after the link is at the relay: the next attempt
/// begins afresh and removes the device that the first one added.
#[tokio::test(flavor = "multi_thread")]
async fn a_death_in_the_middle_is_made_up_for_by_the_next_attempt() {
    let couple = couple().await;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("home");
    let store = dir.join("private");
    let new = || called("Ana", Some(couple.relay.address()));
    // Something that is not ours is in the way of the store, from the question on.
    let in_the_way = store.clone();
    couple.relay.tamper(move |message| {
        if in_the_way.parent().is_some_and(std::path::Path::exists) {
            // While the home is being made, and the link not stored yet.
            let _ = std::fs::write(&in_the_way, "in the way");
        }
        Some(message.clone())
    });
    let died = builder(&dir).recover(new(), couple.words.clone(), WAIT, yes);
    assert!(died.await.is_err());
    couple.relay.tamper(|message| Some(message.clone()));
    assert!(dir.join("unfinished").exists());
    assert!(!dir.join("vault.hdr").exists());
    std::fs::remove_file(&store).unwrap();

    let (home, told) = builder(&dir)
        .recover(new(), couple.words.clone(), WAIT, yes)
        .await
        .unwrap();
    assert!(told.complete);
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    let devices = me.status().unwrap().engine.devices;
    assert_eq!(devices.len(), 3);
    assert_eq!(devices.iter().filter(|device| device.active).count(), 1);
    let us = home.space(SpaceKind::Shared).unwrap();
    assert_eq!(text(&us, couple.bens).as_deref(), Some("for Ana"));
    assert!(!dir.join("unfinished").exists());
}

/// The relay shows the private space, and the shared one only later.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hides_the_shared_space_is_told_and_it_comes_later() {
    let couple = couple().await;
    couple.relay.tamper(|message| match message {
        RelayMsg::Genesis(bytes) if bytes[1] == 2 => None,
        other => Some(other.clone()),
    });
    let again = recover(couple.relay.address(), &couple.words).await;
    let missing = again.told.missing.as_ref().unwrap();
    assert_eq!(
        missing.space,
        couple.ben.us().status().unwrap().engine.space
    );
    assert!(!again.told.complete);
    let me = again.space(SpaceKind::Private);
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    assert!(again.home.space(SpaceKind::Shared).is_err());
    let hidden = again.home.recover_shared(&couple.words, None, WAIT, yes);
    assert!(hidden.await.unwrap().missing.is_some());
    let stranger = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    let refused = again.home.recover_shared(&stranger, None, WAIT, yes).await;
    assert!(matches!(refused, Err(Error::Misuse(Misuse::WrongWords))));

    couple.relay.tamper(|message| Some(message.clone()));
    let told = again
        .home
        .recover_shared(&couple.words, None, WAIT, yes)
        .await
        .unwrap();
    assert!(told.complete && told.missing.is_none());
    let us = again.space(SpaceKind::Shared);
    assert_eq!(text(&us, couple.bens).as_deref(), Some("for Ana"));
    let twice = again.home.recover_shared(&couple.words, None, WAIT, yes);
    assert!(matches!(twice.await, Err(Error::AlreadyPaired)));
}

/// *Only me* is at another relay, or was never at any.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_private_space_the_person_decides() {
    let couple = couple().await;
    couple.relay.tamper(|message| match message {
        RelayMsg::Genesis(bytes) if bytes[1] == 1 => None,
        other => Some(other.clone()),
    });
    let refused = try_recover(couple.relay.address(), &couple.words, yes).await;
    let Err(error @ Error::PrivateNotFound) = refused else {
        panic!("recovered without *Only me*")
    };
    assert!(error.hint().is_some());
    let without = |_: &Recovered| Review {
        without_private: true,
        ..Review::go_on()
    };
    let again = try_recover(couple.relay.address(), &couple.words, without)
        .await
        .unwrap();
    assert!(again.told.complete);
    let us = again.space(SpaceKind::Shared);
    assert_eq!(text(&us, couple.ours).as_deref(), Some("for Ben"));
    let private = again.home.space(SpaceKind::Private);
    assert!(matches!(private, Err(Error::PrivateLocked)));
    let Again { dir, home, .. } = again;
    home.close().unwrap();
    assert!(open(dir.path()).space(SpaceKind::Private).is_err());
}

/// The shared space is at another relay than the one on the sheet.
#[tokio::test(flavor = "multi_thread")]
async fn the_shared_space_is_found_at_the_relay_that_the_private_one_names() {
    let couple = couple().await;
    // Only the private space was ever brought to this one.
    let sheet = Honest::seeded([7; 32]);
    couple.ana.us().disconnect().await;
    couple.ana.home.set_relay(sheet.address()).unwrap();
    couple.ana.me().sync(WAIT).await.unwrap();
    let again = recover(sheet.address(), &couple.words).await;
    assert!(again.told.complete, "{:?}", again.told);
    let us = again.space(SpaceKind::Shared);
    assert_eq!(text(&us, couple.bens).as_deref(), Some("for Ana"));
    let me = again.space(SpaceKind::Private);
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    couple.ben.us().sync(WAIT).await.unwrap();
    let device = us.device().unwrap();
    assert!(is_active(&couple.ben.us(), device));
}

/// The relay went back in time: what is not there is not invented, and Ben's words expose it.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hides_the_newest_words_is_found_out() {
    let couple = couple().await;
    let hidden = write(&couple.ana.us(), "the newest");
    couple.ana.us().sync(WAIT).await.unwrap();
    couple.ben.us().sync(WAIT).await.unwrap();
    write(&couple.ben.us(), "I have read it");
    couple.ben.us().sync(WAIT).await.unwrap();
    let space = couple.ben.us().status().unwrap().engine.space;
    let lost = couple.ana.us().device().unwrap();
    couple.relay.lose(&space, 2);
    let again = recover(couple.relay.address(), &couple.words).await;
    let us = again.space(SpaceKind::Shared);
    assert_eq!(text(&us, hidden), None);
    couple.ben.us().sync(WAIT).await.unwrap();
    us.sync(WAIT).await.unwrap();
    let withheld = NoticeKind::Withheld {
        device: lost,
        missing: 1,
    };
    assert!(kinds(&us).contains(&withheld), "{:?}", kinds(&us));
}

/// Every second envelope comes damaged the first time: it is dropped and counted, and what
/// was whole counts. Nothing of the rest is lost, since the second time all comes whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_sends_damaged_envelopes_is_not_believed() {
    let couple = couple().await;
    let turn = Arc::new(AtomicU8::new(0));
    couple.relay.tamper(move |message| match message {
        RelayMsg::Envelope(bytes) if turn.fetch_add(1, Ordering::SeqCst) % 2 == 1 => {
            let mut bytes = bytes.clone();
            bytes[300] ^= 1;
            Some(RelayMsg::Envelope(bytes))
        }
        other => Some(other.clone()),
    });
    let seen = try_recover(couple.relay.address(), &couple.words, |told| {
        assert!(told.spaces.iter().any(|space| space.dropped > 0));
        Review::default()
    });
    assert!(matches!(seen.await, Err(Error::NotConfirmed)));
    // Links that are not what they say: the space is none.
    couple.relay.tamper(|message| match message {
        RelayMsg::Link(bytes) => {
            let mut bytes = bytes.clone();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            Some(RelayMsg::Link(bytes))
        }
        other => Some(other.clone()),
    });
    let nonsense = try_recover(couple.relay.address(), &couple.words, yes).await;
    assert!(matches!(
        nonsense,
        Err(Error::Connect(ConnectError::Violation(_)))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_words_bring_everything_back_and_the_old_ones_nothing() {
    let couple = couple().await;
    let home = &couple.ana.home;
    let new = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    let stranger = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    let wrong = home.replace_words(&stranger, &new, WAIT).await;
    assert!(matches!(wrong, Err(Error::Misuse(Misuse::WrongWords))));
    let replaced = home.replace_words(&couple.words, &new, WAIT).await.unwrap();
    assert_eq!(replaced.replaced.len(), 2);
    assert!(replaced.strangers.is_empty() && replaced.closed.is_empty());
    assert!(home.check_words(&new).unwrap().all());
    assert!(!home.check_words(&couple.words).unwrap().all());
    // Once more: all is done, and nothing happens.
    let device = couple.ana.us().device().unwrap();
    let links = couple.relay.chain(&device).next_seq();
    let again = home.replace_words(&couple.words, &new, WAIT).await.unwrap();
    assert_eq!(again, replaced);
    assert_eq!(couple.relay.chain(&device).next_seq(), links);

    let after = write(&couple.ana.us(), "after the change");
    couple.ana.us().sync(WAIT).await.unwrap();
    let old = try_recover(couple.relay.address(), &couple.words, yes).await;
    assert!(matches!(old, Err(Error::NothingToRecover)));
    let again = recover(couple.relay.address(), &new).await;
    assert!(again.told.complete);
    assert!(again.told.spaces.iter().all(|space| space.unopened == 0));
    let us = again.space(SpaceKind::Shared);
    assert_eq!(text(&us, after).as_deref(), Some("after the change"));
    assert_eq!(text(&us, couple.bens).as_deref(), Some("for Ana"));
    let me = again.space(SpaceKind::Private);
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
}

/// The relay is gone after the first of both spaces: the same words finish it, and until then
/// it can be seen which space stands on which.
#[tokio::test(flavor = "multi_thread")]
async fn replacing_words_goes_on_where_it_was_interrupted() {
    let couple = couple().await;
    let home = &couple.ana.home;
    let new = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    let us = couple.ana.us().status().unwrap().engine.space;
    couple.relay.shut(Some(us));
    let cut_short = home.replace_words(&couple.words, &new, WAIT).await;
    assert!(matches!(cut_short, Err(Error::Undelivered(_))));
    let check = home.check_words(&new).unwrap();
    let half = [(SpaceKind::Private, true), (SpaceKind::Shared, false)];
    assert_eq!(check.spaces, half);
    couple.relay.shut(None);
    let done = home.replace_words(&couple.words, &new, WAIT).await.unwrap();
    assert_eq!(done.replaced.len(), 2);
    let again = recover(couple.relay.address(), &new).await;
    assert!(again.told.complete);
    let us = again.space(SpaceKind::Shared);
    assert_eq!(text(&us, couple.bens).as_deref(), Some("for Ana"));
}

/// Ana had left without a word. Her words bring *Only me* back, and Ben hears nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_was_left_quietly_hears_nothing_of_a_recovery() {
    let couple = couple().await;
    let me = couple.ana.me();
    let record = me.named_document(Ownership::Mine, "home").unwrap();
    me.document(record)
        .change(|tx| tx.put(ROOT, "left", "quiet"))
        .unwrap();
    me.sync(WAIT).await.unwrap();
    let device = couple.ana.us().device().unwrap();
    let before = couple.relay.chain(&device).next_seq();
    let again = recover(couple.relay.address(), &couple.words).await;
    assert!(again.told.complete && again.told.left_quietly);
    assert!(again.home.space(SpaceKind::Shared).is_err());
    let me = again.space(SpaceKind::Private);
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    couple.ben.us().sync(WAIT).await.unwrap();
    assert_eq!(couple.relay.chain(&device).next_seq(), before);
    assert_eq!(kinds(&couple.ben.us()), []);
}

/// Ana has left without a word, and now somebody has seen her words. New ones for *Only me* are
/// possible, and Ben hears nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn who_left_quietly_can_replace_the_words_without_being_heard() {
    let couple = couple().await;
    let home = &couple.ana.home;
    let device = couple.ana.us().device().unwrap();
    let before = couple.relay.chain(&device).next_seq();
    home.leave_quietly().await.unwrap();
    let new = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    for _ in 0..2 {
        let replaced = home.replace_words(&couple.words, &new, WAIT).await.unwrap();
        assert_eq!(replaced.replaced, [SpaceKind::Private]);
        assert_eq!(replaced.closed, [SpaceKind::Shared]);
    }
    assert_eq!(couple.relay.chain(&device).next_seq(), before);
    // Should Ana come back, the same words finish it.
    home.return_after_leaving().unwrap();
    let replaced = home.replace_words(&couple.words, &new, WAIT).await.unwrap();
    assert_eq!(replaced.replaced.len(), 2);
    assert!(home.check_words(&new).unwrap().all());
}

/// The relay is gone as soon as the home is there: the rest follows when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_did_not_give_at_once_comes_when_it_is_back() {
    let couple = couple().await;
    let us = couple.ana.us().status().unwrap().engine.space;
    couple.ana.me().sync(WAIT).await.unwrap();
    let space = couple.ana.me().status().unwrap().engine.space;
    // Recovery logins are let in as long as the link is not there; the device is not.
    let new = called("Ana", Some(couple.relay.address()));
    let dir = tempfile::tempdir().unwrap();
    let shut = Arc::clone(couple.relay.relay());
    let wait = Duration::from_secs(3);
    let review = move |_: &Recovered| {
        shut.shut_for_devices(space);
        Review::go_on()
    };
    let recovering = builder(dir.path()).recover(new, couple.words.clone(), wait, review);
    let (home, told) = recovering.await.unwrap();
    assert!(!told.complete);
    assert!(home.space(SpaceKind::Shared).is_err());
    assert!(home.finish_recovery(wait).await.is_err());
    couple.relay.shut(None);
    home.finish_recovery(WAIT).await.unwrap();
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(text(&me, couple.mine).as_deref(), Some("only mine"));
    let told = home
        .recover_shared(&couple.words, None, WAIT, yes)
        .await
        .unwrap();
    assert!(told.complete);
    let shared = home.space(SpaceKind::Shared).unwrap();
    assert_eq!(shared.status().unwrap().engine.space, us);
    assert_eq!(text(&shared, couple.bens).as_deref(), Some("for Ana"));
}

/// A person who looks at the list of changes and does not know one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_not_the_persons_own_is_undone() {
    let couple = couple().await;
    // Somebody who once had the words recovered on another machine and kept the phone.
    let keep = |_: &Recovered| Review {
        keep_devices: true,
        ..Review::go_on()
    };
    let other = try_recover(couple.relay.address(), &couple.words, keep)
        .await
        .unwrap();
    other.home.close().unwrap();
    let undo = |told: &Recovered| {
        let undo_from = told.spaces.iter().map(|space| {
            let change = space.changes.last().unwrap();
            assert_eq!((change.kind, change.by), (LinkKind::Recover, None));
            assert!(!change.undoable);
            (space.id, change.seq)
        });
        Review {
            undo_from: undo_from.collect(),
            ..Review::go_on()
        }
    };
    // What was done with the words is not undone with them: removing is the way.
    let refused = try_recover(couple.relay.address(), &couple.words, undo).await;
    assert!(
        matches!(refused, Err(Error::Recover(_))),
        "{:?}",
        refused.err()
    );
    let again = recover(couple.relay.address(), &couple.words).await;
    let devices = again
        .space(SpaceKind::Shared)
        .status()
        .unwrap()
        .engine
        .devices;
    let own = again.space(SpaceKind::Shared).own_party();
    let active = devices.iter().filter(|d| d.party == own && d.active);
    assert_eq!(active.count(), 1);
}

/// Words that were replaced on one device must not be stood on by another one that does not
/// know it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_missed_the_new_words_founds_nothing_on_the_old_ones() {
    let relay = Honest::start();
    let dir = tempfile::tempdir().unwrap();
    let new = called("Ana", Some(relay.address()));
    let (home, words) = builder(dir.path()).create(new).unwrap();
    let laptop = Person { dir, home };
    laptop.me().sync(WAIT).await.unwrap();
    let keep = |_: &Recovered| Review {
        keep_devices: true,
        ..Review::go_on()
    };
    let phone = try_recover(relay.address(), &words, keep).await.unwrap();
    let newer = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    phone
        .home
        .replace_words(&words, &newer, WAIT)
        .await
        .unwrap();
    laptop.me().sync(WAIT).await.unwrap();
    let ben = person("Ben", Some(relay.address()));
    let refused = laptop.home.pair(|_| (), |_| true).await;
    assert!(
        matches!(refused, Err(Error::WordsReplaced)),
        "{:?}",
        refused.err()
    );
    let wrong = laptop.home.adopt_words(&words);
    assert!(matches!(wrong, Err(Error::Misuse(Misuse::WrongWords))));
    laptop.home.adopt_words(&newer).unwrap();
    pair(&laptop.home, &ben.home).await;
    assert!(laptop.home.check_words(&newer).unwrap().all());
    let used = laptop.us();
    until(&used, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_nothing_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let words = RecoveryPhrase::generate(&mut getrandom::SysRng).unwrap();
    let none = builder(dir.path()).recover(called("Ana", None), words.clone(), WAIT, yes);
    assert!(matches!(
        none.await,
        Err(Error::Connect(ConnectError::NoRelay))
    ));
    let unlocked = Builder::new(dir.path()).recover(called("Ana", None), words, WAIT, yes);
    assert!(matches!(unlocked.await, Err(Error::NoPassphrase)));
}
