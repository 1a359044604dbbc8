//! Rows of what there is: kept in every space of a home, however it is opened.

use std::sync::Arc;

use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::automerge::{Automerge, ROOT, ReadDoc};
use ajar_sync::{Builder, ChangeError, RowQuery, Space, Summarize, Summary};

use crate::honest::Honest;
use crate::people::{self, WAIT, WORDS, called, pair, passphrase, write};

/// The text is the line.
struct Texts;

impl Summarize for Texts {
    fn version(&self) -> u32 {
        1
    }

    fn summarize(&self, doc: &Automerge) -> Option<Summary> {
        let (text, _) = doc.get(ROOT, "text").ok()??;
        let text = text.into_string().ok()?;
        Some(Summary {
            shelf: 1,
            sort: i64::try_from(text.len()).ok()?,
            head: text.clone().into_bytes(),
            text,
        })
    }
}

fn builder(dir: &std::path::Path) -> Builder {
    people::builder(dir).with_summarize(Arc::new(Texts))
}

fn lines(space: &Space) -> Vec<String> {
    let rows = space.rows(RowQuery::default()).unwrap();
    let text = |head| String::from_utf8(head).unwrap();
    rows.into_iter().map(|row| text(row.head)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_there_after_a_panic_a_lock_and_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = builder(dir.path()).create(called("Ana", None)).unwrap();
    let me = home.space(ajar_sync::SpaceKind::Private).unwrap();
    let doc = write(&me, "rain");
    let failed: Result<(), ChangeError<String>> = me.document(doc).change(|tx| {
        let _ = tx.put(ROOT, "text", "half");
        panic!("the closure of a caller");
    });
    assert!(failed.is_err());
    write(&me, "the sea");
    assert_eq!(lines(&me), ["the sea", "rain"]);
    home.lock_private().unwrap();
    home.unlock_private(passphrase(WORDS)).await.unwrap();
    let me = home.space(ajar_sync::SpaceKind::Private).unwrap();
    write(&me, "sun");
    assert_eq!(lines(&me), ["the sea", "rain", "sun"]);
    home.close().unwrap();
    // Whoever opens it without a word about rows has none, and those that follow are whole.
    let home = people::open(dir.path());
    let me = home.space(ajar_sync::SpaceKind::Private).unwrap();
    assert_eq!(lines(&me), Vec::<String>::new());
    write(&me, "written unseen");
    home.close().unwrap();
    let home = builder(dir.path()).open().unwrap();
    let me = home.space(ajar_sync::SpaceKind::Private).unwrap();
    assert_eq!(lines(&me), ["written unseen", "the sea", "rain", "sun"]);
    me.rebuild_table().unwrap();
    assert_eq!(lines(&me), ["written unseen", "the sea", "rain", "sun"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_in_a_space_that_was_just_founded_has_rows() {
    let relay = Honest::start();
    let homes = ["Ana", "Ben"].map(|name| {
        let dir = tempfile::tempdir().unwrap();
        let new = called(name, Some(relay.address()));
        let (home, _) = builder(dir.path()).create(new).unwrap();
        (dir, home)
    });
    let [(_, ana), (_, ben)] = &homes;
    pair(ana, ben).await;
    let kind = ajar_sync::SpaceKind::Shared;
    let (hers, his) = (ana.space(kind).unwrap(), ben.space(kind).unwrap());
    write(&hers, "from Ana");
    hers.sync(WAIT).await.unwrap();
    his.sync(WAIT).await.unwrap();
    assert_eq!(lines(&his), ["from Ana"]);
    assert_eq!(lines(&hers), ["from Ana"]);
    let rows = his.rows(RowQuery::default()).unwrap();
    assert_eq!(rows.first().unwrap().owner, Some(hers.own_party()));
}
