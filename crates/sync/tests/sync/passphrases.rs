//! New passphrases, one of its own for Only me, and a death in between.

use std::fs;

use ajar_sync::{Error, Home, KdfParams, SpaceKind};

use crate::people::{OTHER_WORDS, WORDS, builder, open, passphrase, person, read, write};

const NEW_WORDS: &str = "nine tall yellow reeds";

async fn change(home: &Home, kind: SpaceKind, old: &str, new: &str) -> Result<(), Error> {
    let (old, new) = (passphrase(old), passphrase(new));
    home.change_passphrase(kind, old, new, KdfParams::FLOOR)
        .await
}

#[tokio::test]
async fn only_me_gets_a_passphrase_of_its_own_and_gives_it_back() {
    let ana = person("Ana", None);
    let doc = write(&ana.me(), "mine alone");
    let private = SpaceKind::Private;
    change(&ana.home, private, WORDS, OTHER_WORDS)
        .await
        .unwrap();
    // Nothing is locked by it.
    assert!(read(&ana.me(), doc).is_some());
    let ana = ana.reopen();
    assert!(!ana.home.is_private_unlocked());
    let old = ana.home.unlock_private(passphrase(WORDS)).await;
    assert!(matches!(old, Err(Error::WrongPassphrase)));
    ana.home
        .unlock_private(passphrase(OTHER_WORDS))
        .await
        .unwrap();
    assert_eq!(read(&ana.me(), doc).as_deref(), Some("mine alone"));
    // The journal's own changes without it, and it can be the same again.
    let shared = SpaceKind::Shared;
    change(&ana.home, shared, WORDS, NEW_WORDS).await.unwrap();
    change(&ana.home, private, OTHER_WORDS, NEW_WORDS)
        .await
        .unwrap();
    ana.home.close().unwrap();
    let home = builder(ana.dir.path())
        .with_passphrase(passphrase(NEW_WORDS))
        .open()
        .unwrap();
    assert!(home.is_private_unlocked());
}

/// A person who changes the passphrase expects that the old one opens nothing any more.
#[tokio::test]
async fn only_me_goes_along_with_the_passphrase_of_the_journal() {
    let ana = person("Ana", None);
    let doc = write(&ana.me(), "mine");
    change(&ana.home, SpaceKind::Shared, WORDS, NEW_WORDS)
        .await
        .unwrap();
    ana.home.close().unwrap();
    let path = ana.dir.path();
    assert!(matches!(builder(path).open(), Err(Error::WrongPassphrase)));
    let home = builder(path)
        .with_passphrase(passphrase(NEW_WORDS))
        .open()
        .unwrap();
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(read(&me, doc).as_deref(), Some("mine"));
    let old = home.unlock_private(passphrase(WORDS)).await;
    assert!(matches!(old, Err(Error::WrongPassphrase)));
}

#[tokio::test]
async fn without_the_old_one_nothing_changes() {
    let ana = person("Ana", None);
    let vault = ana.path().join("vault.hdr");
    let before = fs::read(&vault).unwrap();
    for kind in [SpaceKind::Private, SpaceKind::Shared] {
        let refused = change(&ana.home, kind, OTHER_WORDS, NEW_WORDS).await;
        assert!(matches!(refused, Err(Error::WrongPassphrase)));
    }
    assert_eq!(fs::read(&vault).unwrap(), before);
    let clone = ana.home.clone();
    ana.home.close().unwrap();
    let closed = change(&clone, SpaceKind::Shared, WORDS, NEW_WORDS).await;
    assert!(matches!(closed, Err(Error::Closed)));
}

/// The machine dies while the file is being replaced: the new one is not in its place yet.
#[tokio::test]
async fn a_death_in_between_leaves_the_old_passphrase() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    let (vault, half) = (path.join("vault.hdr"), path.join("vault.new"));
    let before = fs::read(&vault).unwrap();
    change(&ana.home, SpaceKind::Shared, WORDS, NEW_WORDS)
        .await
        .unwrap();
    ana.home.close().unwrap();
    let after = fs::read(&vault).unwrap();
    for length in [0, 100, after.len()] {
        fs::write(&vault, &before).unwrap();
        fs::write(&half, &after[..length]).unwrap();
        let home = open(&path);
        change(&home, SpaceKind::Private, WORDS, OTHER_WORDS)
            .await
            .unwrap();
        assert!(!half.exists(), "{length}");
        home.close().unwrap();
    }
}

/// A disk that is full, or anything else in the way of the new file.
#[tokio::test]
async fn what_cannot_be_written_leaves_the_old_passphrase() {
    let ana = person("Ana", None);
    fs::create_dir(ana.path().join("vault.new")).unwrap();
    let failed = change(&ana.home, SpaceKind::Shared, WORDS, NEW_WORDS).await;
    assert!(matches!(failed, Err(Error::Unreadable { .. })));
    fs::remove_dir(ana.path().join("vault.new")).unwrap();
    let ana = ana.reopen();
    assert!(ana.home.is_private_unlocked());
}
