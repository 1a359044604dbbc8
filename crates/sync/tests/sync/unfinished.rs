//! A machine that dies while a home is being made, and an init that meets what is not its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ajar_engine::pairing::OwnHalf;
use ajar_engine::store::{MemoryStore, Store, StoreError};
use ajar_engine::{Now, Replica};
use ajar_sync::{Error, SpaceKind};

use crate::people::{builder, called, open, person, read, write};

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

/// All states between two steps of making a home, with the temporary files of a write that
/// was cut off.
#[test]
fn wherever_making_a_home_ended_the_next_init_makes_one() {
    let whole = person("Ana", None);
    let source = whole.path().to_owned();
    whole.home.close().unwrap();
    let steps: [&[&str]; 7] = [
        &[],
        &["lock"],
        &["lock", "keys-shared.new"],
        &["lock", "keys-shared.sealed", "keys-private.new"],
        &["lock", "keys-shared.sealed", "keys-private.sealed"],
        &[
            "lock",
            "keys-shared.sealed",
            "keys-private.sealed",
            "private",
        ],
        &[
            "lock",
            "keys-shared.sealed",
            "keys-private.sealed",
            "private",
            "vault.new",
        ],
    ];
    for (step, names) in steps.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter"), "dear").unwrap();
        if step > 1 {
            fs::write(dir.path().join("unfinished"), "").unwrap();
        }
        for name in *names {
            let (from, to) = (source.join(name), dir.path().join(name));
            if from.is_dir() {
                copy(&from, &to);
            } else if from.exists() {
                fs::copy(&from, &to).unwrap();
            } else {
                fs::write(&to, b"cut o").unwrap();
            }
        }
        assert!(matches!(builder(dir.path()).open(), Err(Error::NoHome(_))));
        let (home, _) = builder(dir.path()).create(called("Eva", None)).unwrap();
        let doc = write(&home.space(SpaceKind::Private).unwrap(), "hello");
        home.close().unwrap();
        let home = open(dir.path());
        assert_eq!(home.name(), "Eva", "step {step}");
        let me = home.space(SpaceKind::Private).unwrap();
        assert_eq!(read(&me, doc).as_deref(), Some("hello"));
        assert_eq!(fs::read(dir.path().join("letter")).unwrap(), b"dear");
        assert!(!dir.path().join("unfinished").exists());
        assert!(!dir.path().join("keys-private.new").exists());
    }
}

/// Died after the vault was there and before the note was gone: it is a home, and a vault that
/// gets lost years later must not let an init remove what it finds.
#[test]
fn a_home_that_was_opened_is_never_again_unfinished() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    fs::write(path.join("unfinished"), "").unwrap();
    let again = builder(&path).create(called("Eva", None));
    assert!(matches!(again, Err(Error::AlreadyThere(_))));
    let home = open(&path);
    assert_eq!(home.name(), "Ana");
    assert!(!path.join("unfinished").exists());
}

/// A backup is being put back, the vault has not arrived yet, and somebody runs init.
#[test]
fn init_does_not_remove_a_journal_that_lacks_its_vault() {
    let ana = person("Ana", None);
    let doc = write(&ana.me(), "years of it");
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    let vault = fs::read(path.join("vault.hdr")).unwrap();
    fs::remove_file(path.join("vault.hdr")).unwrap();
    let refused = builder(&path).create(called("Ana", None));
    let Err(Error::Damaged(what)) = refused else {
        panic!("a journal was replaced");
    };
    assert!(what.contains("backup"), "{what}");
    fs::write(path.join("vault.hdr"), vault).unwrap();
    let home = open(&path);
    let me = home.space(SpaceKind::Private).unwrap();
    assert_eq!(read(&me, doc).as_deref(), Some("years of it"));
}

/// A person's own folder happens to have the name of a store.
#[test]
fn folders_of_the_person_are_neither_used_nor_removed() {
    for name in ["private", "shared"] {
        let dir = tempfile::tempdir().unwrap();
        let photo = dir.path().join(name).join("photo");
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(&photo, "sea").unwrap();
        for _ in 0..2 {
            let refused = builder(dir.path()).create(called("Ana", None));
            assert!(matches!(refused, Err(Error::Unreadable { .. })));
        }
        assert_eq!(fs::read(&photo).unwrap(), b"sea");
        // The same with the remains of a creation that died before it made a store.
        fs::write(dir.path().join("unfinished"), "").unwrap();
        fs::write(dir.path().join("keys-private.sealed"), "half").unwrap();
        assert!(builder(dir.path()).create(called("Ana", None)).is_err());
        assert_eq!(fs::read(&photo).unwrap(), b"sea");
    }
}

/// The second of two inits saw no vault, waited at the lock, and must not clear what the first
/// one has made meanwhile.
#[test]
fn many_inits_at_once_make_one_home_and_clear_none() {
    let dir = tempfile::tempdir().unwrap();
    let made: Vec<String> = std::thread::scope(|scope| {
        let inits: Vec<_> = (0..8)
            .map(|number| {
                let dir = dir.path();
                scope.spawn(move || {
                    std::thread::sleep(std::time::Duration::from_millis(number * 40));
                    let name = format!("Ana {number}");
                    let made = builder(dir).create(called(&name, None));
                    made.ok().map(|(home, _)| {
                        home.close().unwrap();
                        name
                    })
                })
            })
            .collect();
        let done = inits.into_iter().filter_map(|init| init.join().unwrap());
        done.collect()
    });
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(open(dir.path()).name(), made[0]);
}

/// Keys before content would be a home that never opens again, if the machine died in between.
#[test]
fn a_replica_has_keys_only_when_it_is_whole() {
    let mut entropy = getrandom::SysRng;
    let phrase = ajar_crypto::RecoveryPhrase::generate(&mut entropy).unwrap();
    let slot = phrase.slot_keys(1).unwrap().public();
    let now = Now {
        wall_ms: 1,
        elapsed: Duration::ZERO,
    };
    let mut store = MemoryStore::default();
    let mut found = || {
        let half = OwnHalf::new(now, &mut entropy, &slot).unwrap();
        half.found_private().unwrap()
    };
    store.fail_next_commit(StoreError::DiskFull);
    assert!(Replica::create(store.clone(), found()).is_err());
    assert!(store.load_keys().unwrap().is_none());
    Replica::create(store.clone(), found()).unwrap();
    assert!(store.load_keys().unwrap().is_some());
}

/// Died between the store of a shared space and its key ring: no shared space, no harm.
#[test]
fn a_store_without_a_key_ring_is_no_shared_space() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    copy(&path.join("private"), &path.join("shared"));
    fs::write(path.join("shared").join("odd"), "x").unwrap();
    let home = open(&path);
    assert!(matches!(
        home.space(SpaceKind::Shared),
        Err(Error::NotPaired)
    ));
    assert!(home.space(SpaceKind::Private).is_ok());
}
