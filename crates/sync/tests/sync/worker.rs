//! The thread behind a space: panics, work that asks for work, listeners that sleep.

use std::sync::mpsc;
use std::time::Duration;

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{BatchEdit, ChangeError, Error, Ownership, SpaceEvent, SpaceKind};

use crate::people::{open, person, read, write};

type Change = Result<(), ChangeError<ajar_sync::automerge::AutomergeError>>;

#[test]
fn a_change_that_panics_changes_nothing_and_the_space_goes_on() {
    let ana = person("Ana", None);
    let me = ana.me();
    let doc = write(&me, "before");
    let kept = me.status().unwrap().engine.kept;
    let failed: Change = me.document(doc).change(|tx| {
        tx.put(ROOT, "text", "half")?;
        panic!("the closure of a caller");
    });
    assert!(matches!(failed, Err(ChangeError::Failed(Error::Bug(_)))));
    assert_eq!(read(&me, doc).as_deref(), Some("before"));
    assert_eq!(me.status().unwrap().engine.kept, kept);
    let look = me.document(doc).read(|_| -> u8 { panic!("a reader") });
    assert!(matches!(look, Err(Error::Bug(_))));
    let second = write(&me, "after");
    let ana = ana.reopen();
    assert_eq!(read(&ana.me(), doc).as_deref(), Some("before"));
    assert_eq!(read(&ana.me(), second).as_deref(), Some("after"));
}

#[test]
fn a_batch_in_which_one_edit_panics_is_not_there_at_all() {
    let ana = person("Ana", None);
    let me = ana.me();
    let ids: Vec<_> = (0..3)
        .map(|_| me.create_document(Ownership::Mine).unwrap().id())
        .collect();
    let edits = ids
        .iter()
        .enumerate()
        .map(|(number, doc)| BatchEdit {
            doc: *doc,
            apply: Box::new(move |tx| {
                assert!(number < 2, "the third edit");
                tx.put(ROOT, "text", "x").map_err(|error| error.to_string())
            }),
        })
        .collect();
    let before = me.documents().unwrap();
    let failed = me.change_all(edits);
    assert!(matches!(failed, Err(ChangeError::Failed(Error::Bug(_)))));
    assert_eq!(me.documents().unwrap(), before);
    assert!(ids.iter().all(|doc| read(&me, *doc).is_none()));
}

/// It would wait for itself for ever.
#[test]
fn a_change_that_asks_its_own_space_gets_an_answer() {
    let ana = person("Ana", None);
    let me = ana.me();
    let doc = write(&me, "x");
    let (tell, told) = mpsc::channel();
    let inner = me.clone();
    std::thread::spawn(move || {
        let asked: Result<_, Error> = me.document(doc).read(move |_| inner.status().is_err());
        tell.send(asked.unwrap()).unwrap();
    });
    assert!(told.recv_timeout(Duration::from_secs(10)).unwrap());
}

/// The last handle of a home goes away inside a change: the thread cannot wait for itself.
#[test]
fn the_last_handle_may_go_away_inside_a_change() {
    let ana = person("Ana", None);
    let me = ana.me();
    let doc = write(&me, "x");
    let (home, dir) = (ana.home, ana.dir);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let changed: Change = me.document(doc).change(move |tx| {
            drop(home);
            tx.put(ROOT, "text", "y")
        });
        drop(me);
        tell.send(changed.is_ok()).unwrap();
    });
    assert!(told.recv_timeout(Duration::from_secs(10)).unwrap());
    for _ in 0..500 {
        match crate::people::builder(dir.path()).open() {
            Ok(home) => {
                let me = home.space(SpaceKind::Private).unwrap();
                assert_eq!(read(&me, doc).as_deref(), Some("y"));
                return;
            }
            Err(Error::InUse { .. }) => std::thread::sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the home was never let go of");
}

#[tokio::test]
async fn a_listener_that_slept_is_told_that_it_missed_something() {
    let ana = person("Ana", None);
    let me = ana.me();
    let mut events = me.events();
    let edits = (0..1100)
        .map(|_| BatchEdit {
            doc: me.create_document(Ownership::Mine).unwrap().id(),
            apply: Box::new(|tx| tx.put(ROOT, "text", "x").map_err(|e| e.to_string())),
        })
        .collect();
    me.change_all(edits).unwrap();
    assert_eq!(events.next().await, Some(SpaceEvent::Missed));
    let mut after = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(50), events.next()).await {
        after += 1;
    }
    assert_eq!(after, 1024);
}

/// A journal in which one entry is rewritten for years: the dead versions must not fill the disk.
#[test]
fn old_versions_give_their_space_back_when_the_home_is_closed() {
    let ana = person("Ana", None);
    let size = |dir: &std::path::Path| -> u64 {
        let log = std::fs::read_dir(dir.join("private").join("log")).unwrap();
        log.map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    };
    let value = |n: u32| {
        let mut bytes = vec![0; 1 << 20];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        bytes
    };
    for number in 0..20 {
        ana.me().set_local("draft", Some(value(number))).unwrap();
    }
    let before = size(ana.path());
    let ana = ana.reopen();
    let after = size(ana.path());
    assert!(before > 20 << 20 && after <= 12 << 20, "{before} {after}");
    assert_eq!(ana.me().local("draft").unwrap(), Some(value(19)));
    // And once more with what was reclaimed.
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    let home = open(&path);
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(me.local("draft").unwrap(), Some(value(19)));
    assert!(home.check().unwrap()[0].findings.is_empty());
}
