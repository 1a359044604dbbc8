//! Destroying a home on this device: keys first, nothing that is not ours, and again after a
//! death in the middle.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ajar_sync::{Error, SpaceKind, erase_dir};

use crate::honest::Honest;
use crate::people::{builder, called, open, pair, person, read, write};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_home_is_left_and_what_is_ones_own_stays() {
    let relay = Honest::start();
    let (ana, ben) = (
        person("Ana", Some(relay.address())),
        person("Ben", Some(relay.address())),
    );
    pair(&ana.home, &ben.home).await;
    let doc = write(&ana.us(), "ours");
    ana.us().sync(crate::people::WAIT).await.unwrap();
    let path = ana.path().to_owned();
    fs::write(path.join("letter"), "dear").unwrap();
    fs::create_dir(path.join("draft-letters")).unwrap();
    fs::create_dir(path.join("draft-17-1790000000000")).unwrap();
    fs::write(path.join("draft-17-1790000000000/entry.md"), "half a sent").unwrap();
    fs::write(path.join("private/photo"), "of her").unwrap();
    let us = ana.us();
    let mut files: Vec<_> = ["vault.hdr", "keys-shared.sealed", "keys-private.sealed"]
        .iter()
        .map(|name| fs::File::open(path.join(name)).unwrap())
        .collect();
    let erased = ana.home.erase().unwrap();
    let stays = ["draft-letters", "letter", "private"];
    assert_eq!(erased.left, stays.map(PathBuf::from));
    assert_eq!(names(&path), stays);
    assert_eq!(names(&path.join("private")), ["photo"]);
    // Who still holds a handle, or the files, has nothing.
    assert!(matches!(us.status(), Err(Error::Closed)));
    for file in &mut files {
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert!(content.iter().all(|byte| *byte == 0) && !content.is_empty());
    }
    assert!(matches!(builder(&path).open(), Err(Error::NoHome(_))));
    // Nobody is told, and the partner keeps what they have.
    ben.us().sync(crate::people::WAIT).await.unwrap();
    assert_eq!(read(&ben.us(), doc).as_deref(), Some("ours"));
    fs::remove_dir_all(path.join("private")).unwrap();
    builder(&path).create(called("Eva", None)).unwrap();
}

/// The machine dies at any step; doing it again finishes it.
#[test]
fn wherever_erasing_ended_it_can_be_done_again() {
    let whole = person("Ana", None);
    write(&whole.me(), "x");
    let source = whole.path().to_owned();
    whole.home.close().unwrap();
    let all = ["vault.hdr", "keys-private.sealed", "keys-shared.sealed"];
    for step in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        copy(&source, dir.path());
        fs::write(dir.path().join("letter"), "dear").unwrap();
        fs::write(dir.path().join("erasing"), "").unwrap();
        for name in all.iter().take(step) {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        if step == 2 {
            fs::write(dir.path().join(all[2]), [0; 9]).unwrap();
        }
        if step >= 4 {
            fs::remove_dir_all(dir.path().join("private/index")).unwrap();
        }
        if step >= 5 {
            for segment in fs::read_dir(dir.path().join("private/log")).unwrap() {
                fs::remove_file(segment.unwrap().path()).unwrap();
            }
            for file in ["checkpoint", "lock"] {
                fs::remove_file(dir.path().join("private").join(file)).unwrap();
            }
            let _ = fs::remove_file(dir.path().join("private/applying"));
        }
        if step >= 6 {
            fs::remove_dir_all(dir.path().join("private")).unwrap();
        }
        if step >= 7 {
            fs::remove_file(dir.path().join("lock")).unwrap();
        }
        assert!(step == 0 || builder(dir.path()).open().is_err());
        // Nothing new is begun on what is half gone.
        assert!(builder(dir.path()).create(called("Eva", None)).is_err());
        let erased = erase_dir(dir.path()).unwrap();
        assert_eq!(erased.left, [PathBuf::from("letter")], "step {step}");
        assert_eq!(names(dir.path()), ["letter"], "step {step}");
        // And once more: there is nothing any more that is ours.
        assert!(matches!(erase_dir(dir.path()), Err(Error::NoHome(_))));
    }
}

#[test]
fn what_was_never_a_journal_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("private/log")).unwrap();
    fs::write(
        dir.path().join("private/log/0000000000000001.seg"),
        "tree rings",
    )
    .unwrap();
    fs::write(dir.path().join("lock"), "of a canal").unwrap();
    assert!(matches!(erase_dir(dir.path()), Err(Error::NoHome(_))));
    assert!(matches!(
        erase_dir(&dir.path().join("x")),
        Err(Error::NoHome(_))
    ));
    assert_eq!(names(dir.path()), ["lock", "private"]);
    assert_eq!(fs::read(dir.path().join("lock")).unwrap(), b"of a canal");
}

/// Ana never paired; the folder `shared` is one of hers.
#[test]
fn a_folder_of_ones_own_with_the_name_of_a_store_stays() {
    let ana = person("Ana", None);
    let shared = ana.path().join("shared");
    fs::create_dir_all(shared.join("log")).unwrap();
    fs::write(shared.join("log/ship.seg"), "day 1").unwrap();
    fs::write(shared.join("log/0000000000000001.seg"), "day 2").unwrap();
    fs::write(shared.join("lock"), "of a canal").unwrap();
    let erased = ana.home.erase().unwrap();
    assert_eq!(erased.left, [PathBuf::from("shared")]);
    assert_eq!(names(&shared), ["lock", "log"]);
    assert_eq!(
        names(&shared.join("log")),
        ["0000000000000001.seg", "ship.seg"]
    );
}

#[test]
fn links_are_removed_and_never_followed() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (vault, keys, store) = (
        elsewhere.path().join("vault"),
        elsewhere.path().join("backup"),
        elsewhere.path().join("store"),
    );
    // The vault is a link, the keys have another name in a backup, the store is a link.
    fs::rename(path.join("vault.hdr"), &vault).unwrap();
    symlink(&vault, path.join("vault.hdr")).unwrap();
    fs::hard_link(path.join("keys-shared.sealed"), &keys).unwrap();
    fs::rename(path.join("private"), &store).unwrap();
    symlink(&store, path.join("private")).unwrap();
    let before = (
        fs::read(&vault).unwrap(),
        fs::read(&keys).unwrap(),
        names(&store),
    );
    let erased = erase_dir(&path).unwrap();
    assert_eq!(erased.left, [PathBuf::from("private")]);
    let after = (
        fs::read(&vault).unwrap(),
        fs::read(&keys).unwrap(),
        names(&store),
    );
    assert_eq!(before, after);
}

#[test]
fn a_home_in_use_is_not_erased_and_a_damaged_one_can_be() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    assert!(matches!(erase_dir(&path), Err(Error::InUse { .. })));
    assert!(ana.home.space(SpaceKind::Private).is_ok());
    ana.home.close().unwrap();
    open(&path).close().unwrap();
    fs::write(path.join("vault.hdr"), "AJ").unwrap();
    fs::write(path.join("keys-private.new"), "half").unwrap();
    assert!(matches!(builder(&path).open(), Err(Error::Damaged(_))));
    assert_eq!(erase_dir(&path).unwrap().left, Vec::<PathBuf>::new());
}

/// On a clone that another one has closed, and from inside a change.
#[test]
fn a_closed_home_can_still_be_erased() {
    let ana = person("Ana", None);
    let (clone, me) = (ana.home.clone(), ana.me());
    let doc = write(&me, "x");
    let inside = ana.home.clone();
    let refused = me.document(doc).read(move |_| inside.erase().is_err());
    assert!(refused.unwrap());
    ana.home.close().unwrap();
    assert_eq!(clone.erase().unwrap().left, Vec::<PathBuf>::new());
    assert_eq!(names(ana.dir.path()), Vec::<String>::new());
}
