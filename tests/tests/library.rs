//! The sync crate by itself, against a real relay process.

use std::time::{Duration, Instant};

use ajar_sync::{SpaceEvent, SpaceKind};
use ajar_tests::library::{WAIT, builder, home, pair, read, write};
use ajar_tests::relay::Relay;

#[tokio::test(flavor = "multi_thread")]
async fn ana_and_ben_write_to_each_other_live() {
    let relay = Relay::start();
    let address = relay.invite();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ana = home(here.path(), "Ana", &address);
    let ben = home(there.path(), "Ben", &address);
    pair(&ana, &ben).await;
    let (us_ana, us_ben) = (
        ana.space(SpaceKind::Shared).unwrap(),
        ben.space(SpaceKind::Shared).unwrap(),
    );
    us_ana.connect().unwrap();
    us_ben.connect().unwrap();
    us_ana.relay_has_everything().await.unwrap();
    us_ben.relay_has_everything().await.unwrap();

    let mut events = us_ben.events();
    let began = Instant::now();
    let doc = write(&us_ana, "I was afraid on the stairs");
    let seen = tokio::time::timeout(WAIT, async {
        loop {
            if let Some(SpaceEvent::Document {
                doc, here: false, ..
            }) = events.next().await
            {
                return doc;
            }
        }
    });
    assert_eq!(seen.await.unwrap(), doc);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        read(&us_ben, doc).as_deref(),
        Some("I was afraid on the stairs")
    );

    let answer = write(&us_ben, "I did not know");
    us_ben.relay_has_everything().await.unwrap();
    us_ana.sync(WAIT).await.unwrap();
    assert_eq!(read(&us_ana, answer).as_deref(), Some("I did not know"));
    us_ana.disconnect().await;
    us_ben.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_offline_travels_later_and_survives_closing() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ana = home(here.path(), "Ana", &address);
    let ben = home(there.path(), "Ben", &address);
    pair(&ana, &ben).await;
    relay.kill();
    let doc_ana = write(&ana.space(SpaceKind::Shared).unwrap(), "from Ana, offline");
    let doc_ben = write(&ben.space(SpaceKind::Shared).unwrap(), "from Ben, offline");
    ana.close().unwrap();
    ben.close().unwrap();
    relay.serve();
    let open = |dir: &std::path::Path| builder(dir).open();
    let ana = open(here.path()).unwrap();
    let ben = open(there.path()).unwrap();
    let (us_ana, us_ben) = (
        ana.space(SpaceKind::Shared).unwrap(),
        ben.space(SpaceKind::Shared).unwrap(),
    );
    us_ana.sync(WAIT).await.unwrap();
    us_ben.sync(WAIT).await.unwrap();
    us_ana.sync(WAIT).await.unwrap();
    assert_eq!(read(&us_ana, doc_ben).as_deref(), Some("from Ben, offline"));
    assert_eq!(read(&us_ben, doc_ana).as_deref(), Some("from Ana, offline"));
}
