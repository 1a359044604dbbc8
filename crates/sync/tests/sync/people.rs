//! Ana, Ben, their homes and what they write.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::automerge::{Automerge, ROOT, ReadDoc};
use ajar_sync::{
    Builder, Connection, DocId, Error, Found, Home, Invitation, KdfParams, NewHome, Ownership,
    Passphrase, RelayAddress, Space, SpaceKind,
};
use tempfile::TempDir;

pub(crate) const WAIT: Duration = Duration::from_secs(20);
pub(crate) const WORDS: &str = "quiet harbor linen oak";
pub(crate) const OTHER_WORDS: &str = "seven small brown owls";

pub(crate) fn passphrase(words: &str) -> Passphrase {
    Passphrase::new(words).unwrap()
}

pub(crate) fn builder(dir: &Path) -> Builder {
    Builder::new(dir)
        .with_passphrase(passphrase(WORDS))
        .with_kdf(KdfParams::FLOOR)
}

pub(crate) fn called(name: &str, relay: Option<&RelayAddress>) -> NewHome {
    NewHome {
        name: name.to_owned(),
        device: "laptop".to_owned(),
        relay: relay.cloned(),
    }
}

pub(crate) fn open(dir: &Path) -> Home {
    builder(dir).open().unwrap()
}

/// A home in a directory of its own.
pub(crate) struct Person {
    pub(crate) dir: TempDir,
    pub(crate) home: Home,
}

pub(crate) fn person(name: &str, relay: Option<&RelayAddress>) -> Person {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = builder(dir.path()).create(called(name, relay)).unwrap();
    Person { dir, home }
}

impl Person {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn us(&self) -> Space {
        self.home.space(SpaceKind::Shared).unwrap()
    }

    pub(crate) fn me(&self) -> Space {
        self.home.space(SpaceKind::Private).unwrap()
    }

    pub(crate) fn reopen(self) -> Self {
        self.home.close().unwrap();
        let home = open(self.dir.path());
        Self {
            dir: self.dir,
            home,
        }
    }

    pub(crate) fn paired(&self) -> bool {
        self.home.space(SpaceKind::Shared).is_ok()
    }
}

type Outcome = (Result<Found, Error>, Result<Found, Error>);

/// One shows a code, the other enters it, and both answer the question about the words.
pub(crate) async fn try_pair(ana: &Home, ben: &Home, answers: (bool, bool)) -> Outcome {
    let (tell, told) = tokio::sync::oneshot::channel();
    let show = ana.pair(
        move |code| drop(tell.send(code.invitation)),
        move |_| answers.0,
    );
    let enter = async {
        let invitation: Invitation = told.await.unwrap().parse().unwrap();
        ben.join(&invitation, move |_| answers.1).await
    };
    tokio::join!(show, enter)
}

pub(crate) async fn pair(ana: &Home, ben: &Home) {
    let (shown, entered) = try_pair(ana, ben, (true, true)).await;
    assert_eq!(shown.unwrap().words, entered.unwrap().words);
}

pub(crate) fn write(space: &Space, text: &str) -> DocId {
    let document = space.create_document(Ownership::Mine).unwrap();
    let text = text.to_owned();
    document
        .change(move |tx| tx.put(ROOT, "text", text))
        .unwrap();
    document.id()
}

pub(crate) fn read(space: &Space, doc: DocId) -> Option<String> {
    let look = |doc: &Automerge| {
        let (value, _) = doc.get(ROOT, "text").unwrap().unwrap();
        value.into_string().unwrap()
    };
    space.document(doc).read(look).ok()
}

/// Waits until the connection is as asked for.
pub(crate) async fn until(space: &Space, is_right: impl Fn(&Connection) -> bool) -> Connection {
    for _ in 0..2000 {
        let connection = space.status().unwrap().connection;
        if is_right(&connection) {
            return connection;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it stayed {:?}", space.status().unwrap().connection);
}

/// Waits until something is so.
pub(crate) async fn eventually(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be so");
}

/// Runs one ignored test in a process of its own, because it changes or measures the process.
pub(crate) fn alone(test: &str, variables: &[(&str, &OsStr)]) {
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
