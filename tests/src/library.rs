//! Homes of the sync crate, used as a library.

use std::path::Path;
use std::time::Duration;

use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::automerge::{Automerge, ROOT, ReadDoc};
use ajar_sync::{
    Builder, DocId, Home, Invitation, KdfParams, NewHome, Ownership, Passphrase, Space,
};

/// How long something may take that has to happen.
pub const WAIT: Duration = Duration::from_secs(20);

/// A home in a directory, with the passphrase that all of them have.
#[must_use]
pub fn builder(dir: &Path) -> Builder {
    let passphrase = Passphrase::new("quiet harbor linen oak").unwrap();
    Builder::new(dir)
        .with_passphrase(passphrase)
        .with_kdf(KdfParams::FLOOR)
}

/// A new home of a person, on a laptop.
#[must_use]
pub fn home(dir: &Path, name: &str, relay: &str) -> Home {
    let new = NewHome {
        name: name.to_owned(),
        device: format!("{name}'s laptop"),
        relay: Some(relay.parse().unwrap()),
    };
    builder(dir).create(new).unwrap().0
}

/// Pairs two people, who both find the words the same and each other's names.
pub async fn pair(ana: &Home, ben: &Home) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let show = ana.pair(move |code| tell.send(code).ok().unwrap(), |_| true);
    let enter = async {
        let invitation: Invitation = told.await.unwrap().invitation.parse().unwrap();
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

/// Writes a text into a document of its own.
#[must_use]
pub fn write(space: &Space, text: &str) -> DocId {
    let document = space.create_document(Ownership::Mine).unwrap();
    let text = text.to_owned();
    document
        .change(move |tx| tx.put(ROOT, "text", text))
        .unwrap();
    document.id()
}

/// The text of a document, once it is here.
#[must_use]
pub fn read(space: &Space, doc: DocId) -> Option<String> {
    let look = |doc: &Automerge| {
        doc.get(ROOT, "text")
            .unwrap()
            .map(|(value, _)| value.into_string().unwrap())
    };
    space.document(doc).read(look).ok().flatten()
}
