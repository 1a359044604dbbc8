//! Ana's disk in the hands of others, and in her own after a spilled coffee.

use ajar_crypto::{
    Secret,
    vault::{
        KEYFILE_BLOCK, KEYFILE_LARGEST, KdfParams, KeyfileError, LocalKeys, Passphrase,
        PassphraseError, RECORD_OVERHEAD, SegmentKey, UnlockError, VAULT_HEADER, VAULT_SLOT,
        VaultHeader, VaultHeaderError, VaultSlot, WhichSpace,
    },
};

use crate::support::{Recorder, RunsDry};

const SHARED_AT: usize = 5;
const PRIVATE_AT: usize = 5 + VAULT_SLOT;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn lmk(number: u8) -> Secret<32> {
    Secret::new([number; 32])
}

fn slot(which: WhichSpace, text: &str, key: &Secret<32>, random: u8) -> VaultSlot {
    VaultSlot::create(
        which,
        &passphrase(text),
        KdfParams::FLOOR,
        key,
        &mut Recorder::new(random),
    )
    .unwrap()
}

fn vault() -> [u8; VAULT_HEADER] {
    let shared = slot(WhichSpace::Shared, "four plain words here", &lmk(1), 1);
    let private = slot(WhichSpace::Private, "four other words here", &lmk(2), 2);
    VaultHeader::new(shared, private).unwrap().encode()
}

fn unlock(bytes: &[u8], which: WhichSpace, text: &str) -> Result<Secret<32>, UnlockError> {
    VaultHeader::parse(bytes)
        .unwrap()
        .slot(which)
        .unlock(&passphrase(text))
}

#[test]
fn each_passphrase_opens_its_own_space_only() {
    let bytes = vault();
    assert_eq!(
        unlock(&bytes, WhichSpace::Shared, "four plain words here"),
        Ok(lmk(1))
    );
    assert_eq!(
        unlock(&bytes, WhichSpace::Private, "four other words here"),
        Ok(lmk(2))
    );
    assert_eq!(
        unlock(&bytes, WhichSpace::Private, "four plain words here"),
        Err(UnlockError::WrongPassphrase)
    );
    assert_eq!(
        unlock(&bytes, WhichSpace::Shared, "four plain words"),
        Err(UnlockError::WrongPassphrase)
    );
}

#[test]
fn one_passphrase_for_both_still_gives_unrelated_slots() {
    let shared = slot(WhichSpace::Shared, "same", &lmk(1), 1);
    let private = slot(WhichSpace::Private, "same", &lmk(1), 2);
    let bytes = VaultHeader::new(shared, private).unwrap().encode();
    let (one, other) = (&bytes[SHARED_AT..PRIVATE_AT], &bytes[PRIVATE_AT..]);
    assert_ne!(one[14..30], other[14..30], "salt");
    assert_ne!(one[31..], other[31..]);
}

#[test]
fn every_changed_byte_of_a_slot_keeps_it_shut_and_leaves_the_other_alone() {
    let bytes = vault();
    for place in SHARED_AT + 1..PRIVATE_AT {
        let mut changed = bytes;
        changed[place] ^= 1;
        assert!(
            unlock(&changed, WhichSpace::Shared, "four plain words here").is_err(),
            "byte {place}"
        );
    }
    let mut changed = bytes;
    changed[SHARED_AT + 6..SHARED_AT + 14].fill(0xff);
    assert_eq!(
        unlock(&changed, WhichSpace::Private, "four other words here"),
        Ok(lmk(2))
    );
}

#[test]
fn slots_cannot_be_swapped_even_with_their_names_changed() {
    let bytes = vault();
    let mut swapped = bytes;
    swapped[SHARED_AT..PRIVATE_AT].copy_from_slice(&bytes[PRIVATE_AT..]);
    swapped[PRIVATE_AT..].copy_from_slice(&bytes[SHARED_AT..PRIVATE_AT]);
    assert_eq!(VaultHeader::parse(&swapped), Err(VaultHeaderError::Damaged));
    swapped[SHARED_AT] = WhichSpace::Shared as u8;
    swapped[PRIVATE_AT] = WhichSpace::Private as u8;
    assert_eq!(
        unlock(&swapped, WhichSpace::Shared, "four other words here"),
        Err(UnlockError::WrongPassphrase)
    );
}

#[test]
fn cheap_guessing_and_memory_bombs_are_refused_before_any_work() {
    let bytes = vault();
    let with = |at: usize, value: u32| {
        let mut changed = bytes;
        changed[SHARED_AT + at..SHARED_AT + at + 4].copy_from_slice(&value.to_be_bytes());
        // A header that is worked on first would answer "wrong passphrase", or not at all: four
        // tebibytes and four billion passes are among the values below.
        unlock(&changed, WhichSpace::Shared, "four plain words here").unwrap_err()
    };
    let (memory, passes, lanes) = (2, 6, 10);
    assert_eq!(with(memory, 8), UnlockError::Downgraded);
    assert_eq!(with(memory, (19 << 10) - 1), UnlockError::Downgraded);
    assert_eq!(with(passes, 1), UnlockError::Downgraded);
    assert_eq!(with(lanes, 0), UnlockError::Downgraded);
    assert_eq!(with(memory, (1 << 20) + 1), UnlockError::TooCostly);
    assert_eq!(with(memory, u32::MAX), UnlockError::TooCostly);
    assert_eq!(with(passes, 17), UnlockError::TooCostly);
    assert_eq!(with(passes, u32::MAX), UnlockError::TooCostly);
    assert_eq!(with(lanes, u32::MAX), UnlockError::TooCostly);
}

#[test]
fn a_newer_kind_of_slot_asks_for_an_update() {
    let bytes = vault();
    for at in [1, 30] {
        let mut changed = bytes;
        changed[SHARED_AT + at] = 2;
        assert_eq!(
            unlock(&changed, WhichSpace::Shared, "four plain words here"),
            Err(UnlockError::Unknown)
        );
    }
    let mut newer = bytes;
    newer[4] = 2;
    assert_eq!(VaultHeader::parse(&newer), Err(VaultHeaderError::Version));
}

#[test]
fn cut_or_grown_headers_and_other_files_are_refused() {
    let bytes = vault();
    for length in 0..VAULT_HEADER {
        assert_eq!(
            VaultHeader::parse(&bytes[..length]),
            Err(VaultHeaderError::Damaged),
            "{length}"
        );
    }
    assert_eq!(
        VaultHeader::parse(&[bytes.as_slice(), &[0]].concat()),
        Err(VaultHeaderError::Damaged)
    );
    let mut other = bytes;
    other[0] = b'a';
    assert_eq!(VaultHeader::parse(&other), Err(VaultHeaderError::Damaged));
}

#[test]
fn a_new_passphrase_for_one_space_does_not_touch_the_other() {
    let header = VaultHeader::parse(&vault()).unwrap();
    let changed = header
        .clone()
        .with_slot(slot(WhichSpace::Private, "new words", &lmk(2), 3))
        .unwrap();
    assert_eq!(
        changed.slot(WhichSpace::Shared),
        header.slot(WhichSpace::Shared)
    );
    assert_eq!(
        changed
            .slot(WhichSpace::Private)
            .unlock(&passphrase("new words")),
        Ok(lmk(2))
    );
    let shared = slot(WhichSpace::Shared, "x", &lmk(1), 1);
    assert_eq!(
        VaultHeader::new(shared.clone(), shared),
        Err(VaultHeaderError::Damaged)
    );
}

#[test]
fn an_accent_typed_on_another_keyboard_is_the_same_passphrase() {
    let composed = slot(WhichSpace::Shared, "caf\u{e9}", &lmk(1), 1);
    assert_eq!(composed.unlock(&passphrase("cafe\u{301}")), Ok(lmk(1)));
    assert_eq!(Passphrase::new("").unwrap_err(), PassphraseError::Empty);
    assert_eq!(
        Passphrase::new(&"x".repeat(1025)).unwrap_err(),
        PassphraseError::TooLong
    );
    assert_eq!(format!("{:?}", passphrase("secret")), "Passphrase(..)");
}

#[test]
fn no_randomness_no_slot_no_key_file_no_record() {
    for good in 0..2 {
        let outcome = VaultSlot::create(
            WhichSpace::Shared,
            &passphrase("x"),
            KdfParams::FLOOR,
            &lmk(1),
            &mut RunsDry { good },
        );
        assert!(
            matches!(outcome, Err(UnlockError::Entropy(_))),
            "after {good} draws"
        );
    }
    let keys = LocalKeys::derive(&lmk(1));
    assert!(matches!(
        keys.seal_keyfile(WhichSpace::Shared, b"", &mut RunsDry { good: 0 }),
        Err(KeyfileError::Entropy(_))
    ));
    assert!(
        keys.value_key()
            .seal_record(b"", b"", &mut RunsDry { good: 0 })
            .is_err()
    );
}

#[test]
fn key_files_have_one_length_and_open_for_their_own_space_only() {
    let keys = LocalKeys::derive(&lmk(1));
    let mut entropy = Recorder::new(4);
    let small = keys
        .seal_keyfile(WhichSpace::Shared, b"keys", &mut entropy)
        .unwrap();
    let larger = keys
        .seal_keyfile(WhichSpace::Shared, &[0; KEYFILE_BLOCK - 1], &mut entropy)
        .unwrap();
    assert_eq!(small.len(), larger.len());
    assert_eq!(
        keys.open_keyfile(WhichSpace::Shared, &small)
            .unwrap()
            .as_slice(),
        b"keys"
    );
    assert_eq!(
        *keys.open_keyfile(WhichSpace::Shared, &larger).unwrap(),
        [0; KEYFILE_BLOCK - 1]
    );

    assert_eq!(
        keys.open_keyfile(WhichSpace::Private, &small),
        Err(KeyfileError::Damaged)
    );
    let mut renamed = small.clone();
    renamed[1] = WhichSpace::Private as u8;
    assert_eq!(
        keys.open_keyfile(WhichSpace::Private, &renamed),
        Err(KeyfileError::Damaged)
    );
    let other = LocalKeys::derive(&lmk(2));
    assert_eq!(
        other.open_keyfile(WhichSpace::Shared, &small),
        Err(KeyfileError::Damaged)
    );

    let grown = keys
        .seal_keyfile(WhichSpace::Shared, &[7; KEYFILE_BLOCK], &mut entropy)
        .unwrap();
    assert_eq!(grown.len(), small.len() + KEYFILE_BLOCK);
    assert_eq!(
        *keys.open_keyfile(WhichSpace::Shared, &grown).unwrap(),
        [7; KEYFILE_BLOCK]
    );
    let too_large = vec![0; KEYFILE_LARGEST];
    assert_eq!(
        keys.seal_keyfile(WhichSpace::Shared, &too_large, &mut entropy),
        Err(KeyfileError::TooLarge)
    );
}

#[test]
fn a_damaged_or_newer_key_file_is_named_as_such() {
    let keys = LocalKeys::derive(&lmk(1));
    let sealed = keys
        .seal_keyfile(WhichSpace::Shared, b"keys", &mut Recorder::new(4))
        .unwrap();
    for place in (1..sealed.len())
        .step_by(997)
        .chain(1..60)
        .chain(sealed.len() - 20..sealed.len())
    {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(
            keys.open_keyfile(WhichSpace::Shared, &changed),
            Err(KeyfileError::Damaged),
            "byte {place}"
        );
    }
    for length in [0, 1, 2, 25, 41, sealed.len() - 1] {
        assert_eq!(
            keys.open_keyfile(WhichSpace::Shared, &sealed[..length]),
            Err(KeyfileError::Damaged)
        );
    }
    let mut newer = sealed;
    newer[0] = 2;
    assert_eq!(
        keys.open_keyfile(WhichSpace::Shared, &newer),
        Err(KeyfileError::Version)
    );
}

#[test]
fn a_record_opens_only_in_its_place_and_never_twice_the_same() {
    let key = SegmentKey::random(&mut Recorder::new(5)).unwrap();
    let mut entropy = Recorder::new(6);
    let one = key
        .seal_record(b"segment 1, record 1", b"value", &mut entropy)
        .unwrap();
    let two = key
        .seal_record(b"segment 1, record 1", b"value", &mut entropy)
        .unwrap();
    assert_ne!(one, two);
    assert_eq!(one.len(), b"value".len() + RECORD_OVERHEAD);
    assert_eq!(
        key.open_record(b"segment 1, record 1", &one)
            .unwrap()
            .as_slice(),
        b"value"
    );
    assert!(key.open_record(b"segment 1, record 2", &one).is_err());
    let again = SegmentKey::new(Secret::new(*key.expose()));
    assert!(again.open_record(b"segment 1, record 1", &two).is_ok());
    for place in 0..one.len() {
        let mut changed = one.clone();
        changed[place] ^= 1;
        assert!(
            key.open_record(b"segment 1, record 1", &changed).is_err(),
            "byte {place}"
        );
        assert!(
            key.open_record(b"segment 1, record 1", &one[..place])
                .is_err(),
            "length {place}"
        );
    }
}

#[test]
fn names_of_the_two_spaces_have_nothing_in_common() {
    let (shared, private) = (LocalKeys::derive(&lmk(1)), LocalKeys::derive(&lmk(2)));
    assert_eq!(shared.name(b"doc 1"), shared.name(b"doc 1"));
    assert_ne!(shared.name(b"doc 1"), shared.name(b"doc 2"));
    assert_ne!(shared.name(b"doc 1"), private.name(b"doc 1"));
    assert_eq!(format!("{shared:?}"), "LocalKeys(..)");
}
