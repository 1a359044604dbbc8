//! The sync crate by itself, against a real relay process.
#![expect(clippy::unwrap_used, reason = "a test fails where it breaks")]

use std::time::{Duration, Instant};

use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::automerge::{ROOT, ReadDoc};
use ajar_sync::{
    Builder, DocId, Home, Invitation, KdfParams, NewHome, Ownership, Passphrase, Space, SpaceEvent,
    SpaceKind,
};
use ajar_tests::relay::Relay;

const WAIT: Duration = Duration::from_secs(20);

fn passphrase() -> Passphrase {
    Passphrase::new("quiet harbor linen oak").unwrap()
}

fn home(dir: &std::path::Path, name: &str, relay: &str) -> Home {
    let new = NewHome {
        name: name.to_owned(),
        device: "laptop".to_owned(),
        relay: Some(relay.parse().unwrap()),
    };
    let builder = Builder::new(dir)
        .with_passphrase(passphrase())
        .with_kdf(KdfParams::FLOOR);
    builder.create(new).unwrap().0
}

async fn pair(ana: &Home, ben: &Home) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let show = ana.pair(move |code| tell.send(code).ok().unwrap(), |_| true);
    let enter = async {
        let code = told.await.unwrap();
        let invitation: Invitation = code.invitation.parse().unwrap();
        ben.join(&invitation, |_| true).await
    };
    let (shown, entered) = tokio::join!(show, enter);
    let (shown, entered) = (shown.unwrap(), entered.unwrap());
    assert_eq!(shown.words, entered.words);
    assert_eq!(
        (shown.partner.as_str(), entered.partner.as_str()),
        ("Ben", "Ana")
    );
}

fn write(space: &Space, text: &str) -> DocId {
    let document = space.create_document(Ownership::Mine).unwrap();
    let text = text.to_owned();
    document
        .change(move |tx| tx.put(ROOT, "text", text))
        .unwrap();
    document.id()
}

fn read(space: &Space, doc: DocId) -> Option<String> {
    let look = |doc: &ajar_sync::automerge::Automerge| {
        doc.get(ROOT, "text")
            .unwrap()
            .map(|(value, _)| value.into_string().unwrap())
    };
    space.document(doc).read(look).ok().flatten()
}

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
    let open = |dir: &std::path::Path| Builder::new(dir).with_passphrase(passphrase()).open();
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
