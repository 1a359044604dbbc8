//! Files of a home that were changed, cut short or lost (threat 106): a clear answer, never a
//! panic, never another journal.

use std::fs;
use std::path::Path;

use ajar_sync::{Error, Home, SpaceKind};

use crate::people::{builder, passphrase, person};

/// Opens and says what came of it.
fn attempt(dir: &std::path::Path) -> Result<Home, Error> {
    builder(dir).open()
}

#[test]
fn without_the_passphrase_nothing_opens() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    let wrong = builder(&path).with_passphrase(passphrase("quiet harbor linen elm"));
    assert!(matches!(wrong.open(), Err(Error::WrongPassphrase)));
    let none = ajar_sync::Builder::new(&path);
    assert!(matches!(none.open(), Err(Error::NoPassphrase)));
    let nowhere = builder(&path.join("nowhere"));
    assert!(matches!(nowhere.open(), Err(Error::NoHome(_))));
    // None of it used anything up.
    attempt(&path).unwrap();
}

#[test]
fn a_vault_cut_short_or_grown_is_damaged() {
    let ana = person("Ana", None);
    let vault = ana.path().join("vault.hdr");
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    let whole = fs::read(&vault).unwrap();
    for length in [0, 1, 4, 5, 139, 140, whole.len() - 1] {
        fs::write(&vault, &whole[..length]).unwrap();
        assert!(matches!(attempt(&path), Err(Error::Damaged(_))), "{length}");
    }
    let grown = [whole.as_slice(), &vec![0; 1 << 20]].concat();
    fs::write(&vault, grown).unwrap();
    assert!(matches!(attempt(&path), Err(Error::Damaged(_))));
    fs::write(&vault, whole).unwrap();
    attempt(&path).unwrap();
}

/// A few bits of every field; each flip costs two key derivations.
#[test]
fn a_flipped_bit_of_the_vault_never_opens_another_journal() {
    let ana = person("Ana", None);
    let vault = ana.path().join("vault.hdr");
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    let whole = fs::read(&vault).unwrap();
    let private = 5 + 135;
    for place in [
        0,
        3,
        4,
        5,
        6,
        7,
        10,
        14,
        18,
        20,
        40,
        60,
        100,
        130,
        private - 1,
    ] {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x20;
        fs::write(&vault, &flipped).unwrap();
        let refused = attempt(&path);
        assert!(
            matches!(refused, Err(Error::Damaged(_) | Error::WrongPassphrase)),
            "byte {place}"
        );
    }
    // In the half of *Only me*: never an open private space. A changed kind or cost is said,
    // the rest cannot be told from another passphrase.
    for place in [private, private + 2, private + 20, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x20;
        fs::write(&vault, &flipped).unwrap();
        match attempt(&path) {
            Ok(home) => assert!(!home.is_private_unlocked(), "byte {place}"),
            Err(Error::Damaged(_)) => {}
            Err(error) => panic!("byte {place}: {error}"),
        }
    }
    // The slots changed places.
    let (front, slots) = whole.split_at(5);
    let (shared, only_me) = slots.split_at(135);
    fs::write(&vault, [front, only_me, shared].concat()).unwrap();
    assert!(attempt(&path).is_err());
}

/// Opens the home and asks for both spaces that there may be.
fn both(path: &Path) -> Result<(), Error> {
    let home = attempt(path)?;
    match home.space(SpaceKind::Shared) {
        Ok(_) | Err(Error::NotPaired) => {}
        Err(error) => return Err(error),
    }
    home.space(SpaceKind::Private).map(drop)
}

#[test]
fn a_changed_or_missing_key_file_is_said() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    for name in ["keys-shared.sealed", "keys-private.sealed"] {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        for length in [0, 1, 30, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..length]).unwrap();
            assert!(matches!(both(&path), Err(Error::Damaged(_))), "{length}");
        }
        for place in [0, 1, 2, 40, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[place] ^= 1;
            fs::write(&file, &flipped).unwrap();
            assert!(matches!(both(&path), Err(Error::Damaged(_))), "{place}");
        }
        fs::remove_file(&file).unwrap();
        let missing = both(&path);
        assert!(matches!(
            missing,
            Err(Error::Unreadable { .. } | Error::Damaged(_))
        ));
        fs::write(&file, whole).unwrap();
    }
    let (one, other) = (
        path.join("keys-shared.sealed"),
        path.join("keys-private.sealed"),
    );
    let (shared, private) = (fs::read(&one).unwrap(), fs::read(&other).unwrap());
    fs::write(&one, &private).unwrap();
    fs::write(&other, &shared).unwrap();
    assert!(matches!(attempt(&path), Err(Error::Damaged(_))));
    fs::write(&one, shared).unwrap();
    fs::write(&other, private).unwrap();
    attempt(&path).unwrap();
}

/// Somebody deletes the log but leaves the keys: said as damage, and nothing is made anew over it.
#[test]
fn a_lost_log_is_said_and_not_replaced_by_an_empty_journal() {
    let ana = person("Ana", None);
    let path = ana.path().to_owned();
    ana.home.close().unwrap();
    fs::remove_dir_all(path.join("private")).unwrap();
    for _ in 0..2 {
        let refused = both(&path);
        assert!(matches!(refused, Err(Error::Damaged(_) | Error::Store(_))));
    }
}
