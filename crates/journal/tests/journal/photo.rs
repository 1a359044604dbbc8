//! Photos of an entry, and what of them gets into the copy that Ben reads.

use std::collections::BTreeMap;

use crate::story::*;
use ajar_journal::entry;
use ajar_journal::opening::{self, Stage};
use ajar_journal::photo::{self, BlobRef, MediaType, Photo, PhotoCopy};
use ajar_journal::schema;
use ajar_journal::{Error, Invalid, Unreadable, profile};
use automerge::transaction::{Transactable, Transaction};
use automerge::{Automerge, ObjId, ObjType, ROOT, ReadDoc, ScalarValue};

fn blob(number: u8, length: u64) -> BlobRef {
    BlobRef {
        id: [number; 32],
        key: [number + 1; 32].into(),
        salt: [number + 2; 16],
        length,
    }
}

fn photo(number: u8) -> Photo {
    Photo {
        id: format!("{number:02x}").repeat(16),
        content: blob(number, 300_000),
        media: MediaType::Jpeg,
        size: Some((4000, 3000)),
        name: None,
        original: false,
        thumb: Some(blob(number + 3, 9000)),
    }
}

fn original(number: u8) -> Photo {
    Photo {
        name: Some("IMG_2041.HEIC".to_owned()),
        original: true,
        media: MediaType::Heic,
        size: None,
        thumb: None,
        ..photo(number)
    }
}

fn with_photos(photos: &[Photo]) -> Automerge {
    let mut doc = kept("We walked.");
    change(&mut doc, |tx| photo::add(tx, photos, 77)).unwrap();
    doc
}

fn copy_of(photo: &Photo, number: u8) -> PhotoCopy {
    PhotoCopy {
        id: format!("{number:02x}").repeat(16),
        content: blob(number, photo.content.length),
        thumb: photo
            .thumb
            .as_ref()
            .map(|thumb| blob(number + 3, thumb.length)),
    }
}

#[test]
fn ana_keeps_photos_in_order_and_takes_one_away() {
    let mut doc = with_photos(&[photo(0x50), original(0x10)]);
    change(&mut doc, |tx| photo::add(tx, &[photo(0x30)], 78)).unwrap();
    let entry = read(&doc);
    assert!(entry.photos == [photo(0x50), original(0x10), photo(0x30)]);
    assert_eq!(entry.saved_at_ms, 78);
    let gone = [entry.photos[0].id.clone(), "no such id".to_owned()];
    assert!(change(&mut doc, |tx| photo::remove(tx, &gone, 79)).unwrap());
    assert!(!change(&mut doc, |tx| photo::remove(tx, &gone, 80)).unwrap());
    let entry = read(&doc);
    assert!(entry.photos == [original(0x10), photo(0x30)]);
    assert_eq!(entry.saved_at_ms, 79);
}

#[test]
fn photos_from_two_devices_are_both_there() {
    let mut laptop = with_photos(&[photo(0x10)]);
    let mut phone = copy_to(&laptop, 2);
    change(&mut laptop, |tx| photo::add(tx, &[photo(0x20)], 2)).unwrap();
    change(&mut phone, |tx| photo::add(tx, &[photo(0x30)], 3)).unwrap();
    meet(&mut laptop, &mut phone);
    assert_eq!(read(&laptop).photos.len(), 3);
    assert!(read(&laptop) == read(&phone));
}

/// Threat 86: nothing of the private photo is in the copy.
#[test]
fn the_copy_has_the_photo_and_nothing_that_names_the_private_one() {
    let photos = [photo(0x10), original(0x20)];
    let mut doc = with_photos(&[photo(0x40)]);
    change(&mut doc, |tx| photo::add(tx, &photos, 78)).unwrap();
    // So that the places of the others say something about the private entry.
    change(&mut doc, |tx| photo::remove(tx, &[photo(0x40).id], 79)).unwrap();
    let entry = read(&doc);
    let copies: BTreeMap<_, _> = entry
        .photos
        .iter()
        .zip([0xa0, 0xc0])
        .map(|(photo, number)| (photo.id.clone(), copy_of(photo, number)))
        .collect();
    let projection = opening::project(&entry, Stage::Room).unwrap();
    let ready = projection.clone().with_copies(&entry, &copies).unwrap();
    let mut shared = device(9);
    // Without the copies nothing is written.
    let early = change(&mut shared, |tx| {
        opening::create(tx, &projection, "2026-07-03")
    });
    assert!(matches!(
        early,
        Err(Error::Invalid(Invalid::PhotosNotCopied))
    ));
    change(&mut shared, |tx| opening::create(tx, &ready, "2026-07-03")).unwrap();

    let opened = opening::read(&shared).unwrap();
    assert_eq!(opened.photos.len(), 2);
    assert_eq!(opened.photos[0].media, MediaType::Jpeg);
    assert_eq!(opened.photos[0].size, Some((4000, 3000)));
    assert_eq!(opened.photos[0].content.length, 300_000);
    assert!(opened.photos[1].original && opened.photos[1].name.is_none());
    let mut bytes = shared.save_nocompress();
    for change in shared.get_changes(&[]) {
        bytes.extend_from_slice(change.raw_bytes());
    }
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    for photo in &entry.photos {
        assert!(!holds(photo.id.as_bytes()));
        for blob in photo.blobs() {
            assert!(!holds(&blob.id) && !holds(&*blob.key) && !holds(&blob.salt));
        }
    }
    assert!(!holds(b"IMG_2041"));
    for (place, photo) in opened.photos.iter().enumerate() {
        let (_, map) = shared.get(ROOT, schema::PHOTOS).unwrap().unwrap();
        let (_, item) = shared.get(map, photo.id.as_str()).unwrap().unwrap();
        let (order, _) = shared.get(item, schema::ORDER).unwrap().unwrap();
        assert_eq!(order.as_i64(), i64::try_from(place).ok());
    }
}

#[test]
fn a_copy_that_reuses_an_id_a_key_or_a_salt_is_refused() {
    let entry = read(&with_photos(&[photo(0x10), photo(0x50)]));
    let good = || -> BTreeMap<String, PhotoCopy> {
        let numbers = [0xa0, 0xc0];
        let photos = entry.photos.iter().zip(numbers);
        photos
            .map(|(photo, number)| (photo.id.clone(), copy_of(photo, number)))
            .collect()
    };
    let ready = |copies: &BTreeMap<String, PhotoCopy>| {
        opening::project(&entry, Stage::Room)
            .unwrap()
            .with_copies(&entry, copies)
    };
    assert!(ready(&good()).is_ok());
    let (first, second) = (&entry.photos[0], &entry.photos[1]);
    type Spoil<'a> = Box<dyn Fn(&mut PhotoCopy) + 'a>;
    let spoils: [(&str, Spoil<'_>); 7] = [
        ("private id", Box::new(|copy| copy.id = second.id.clone())),
        (
            "blob id",
            Box::new(|copy| copy.content.id = first.content.id),
        ),
        (
            "key of the other one",
            Box::new(|copy| copy.content.key = second.content.key.clone()),
        ),
        (
            "salt",
            Box::new(|copy| copy.content.salt = first.content.salt),
        ),
        (
            "small picture",
            Box::new(|copy| copy.thumb = first.thumb.clone()),
        ),
        ("no small picture", Box::new(|copy| copy.thumb = None)),
        ("length", Box::new(|copy| copy.content.length += 1)),
    ];
    for (what, spoil) in spoils {
        let mut copies = good();
        spoil(copies.get_mut(&first.id).unwrap());
        assert_eq!(
            ready(&copies).err(),
            Some(Invalid::PhotosNotCopied),
            "{what}"
        );
    }
    let mut missing = good();
    missing.remove(&second.id);
    assert_eq!(ready(&missing).err(), Some(Invalid::PhotosNotCopied));
    let mut twice = good();
    let copy = twice[&first.id].clone();
    twice.insert(second.id.clone(), copy);
    assert_eq!(ready(&twice).err(), Some(Invalid::PhotosNotCopied));
}

#[test]
fn the_preview_names_the_photos_and_not_the_files() {
    let entry = read(&with_photos(&[photo(0x10), original(0x50)]));
    let shown = opening::preview(&opening::project(&entry, Stage::Room).unwrap());
    for part in [
        "Photo 1: image/jpeg, 4000 x 3000, 300000 bytes\n",
        "File 2: image/heic, 300000 bytes, the original",
        "Not the names of the files",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("IMG_2041"));
}

#[test]
fn a_name_put_into_an_opening_is_not_written() {
    let projection = opening::project(&read(&kept("one")), Stage::Room).unwrap();
    let mut shared = device(9);
    change(&mut shared, |tx| {
        opening::create(tx, &projection, "2026-07-03")?;
        photo::add(tx, &[original(0x10)], 99)
    })
    .unwrap();
    let bytes = shared.save_nocompress();
    assert!(!bytes.windows(8).any(|window| window == b"IMG_2041"));
    assert!(opening::read(&shared).unwrap().photos[0].name.is_none());
}

#[test]
fn what_cannot_be_a_photo_is_not_written() {
    let mut doc = with_photos(&[photo(0x10)]);
    type Spoil = fn(&mut Photo);
    let spoils: [(&str, Invalid, Spoil); 9] = [
        ("empty", Invalid::BadPhoto, |photo| photo.content.length = 0),
        ("over 25 MiB", Invalid::BadPhoto, |photo| {
            photo.content.length = (25 << 20) + 1;
        }),
        ("large thumb", Invalid::BadPhoto, |photo| {
            photo.thumb = Some(blob(1, (512 << 10) + 1));
        }),
        ("no height", Invalid::BadPhoto, |photo| {
            photo.size = Some((1, 0));
        }),
        ("id", Invalid::BadPhoto, |photo| photo.id.push('0')),
        ("id twice", Invalid::BadPhoto, |photo| {
            photo.id = "10".repeat(16);
        }),
        ("name of no original", Invalid::BadFileName, |photo| {
            photo.name = Some("a.jpg".to_owned());
        }),
        ("way in a name", Invalid::BadFileName, |photo| {
            (photo.original, photo.name) = (true, Some("../a.jpg".to_owned()));
        }),
        ("name that turns around", Invalid::BadFileName, |photo| {
            (photo.original, photo.name) = (true, Some("a\u{202e}gpj.exe".to_owned()));
        }),
    ];
    for (what, why, spoil) in spoils {
        let mut bad = photo(0x50);
        spoil(&mut bad);
        match change(&mut doc, |tx| photo::add(tx, &[bad], 1)) {
            Err(Error::Invalid(found)) => assert_eq!(found, why, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    let many: Vec<Photo> = (1..=64).map(|n| photo(0x10 + n)).collect();
    let refused = change(&mut doc, |tx| photo::add(tx, &many, 1));
    assert!(matches!(
        refused,
        Err(Error::Invalid(Invalid::TooManyPhotos))
    ));
    change(&mut doc, |tx| photo::add(tx, &many[1..], 1)).unwrap();
    assert_eq!(read(&doc).photos.len(), 64);
}

#[test]
fn a_profile_has_no_photos() {
    let mut doc = device(1);
    change(&mut doc, |tx| profile::create(tx, "Ana")).unwrap();
    assert!(change(&mut doc, |tx| photo::add(tx, &[photo(0x10)], 1)).is_err());
    assert!(change(&mut doc, |tx| photo::remove(tx, &[], 1)).is_err());
}

#[test]
fn a_kind_of_file_that_a_newer_version_knows_is_just_a_file() {
    assert_eq!(MediaType::from("model/obj".to_owned()), MediaType::Other);
    for word in ["image/jpeg", "application/pdf", "audio/mp4"] {
        assert_eq!(MediaType::from(word.to_owned()).as_str(), word);
    }
    assert!(MediaType::Heic.is_picture() && !MediaType::Pdf.is_picture());
}

#[test]
fn a_key_is_not_printed_and_not_written_out() {
    let photo = photo(0x10);
    assert!(!format!("{photo:?} {:?}", photo.content).contains("17"));
    let json = serde_json::to_string(&photo).unwrap();
    assert_eq!(
        json,
        r#"{"id":"10101010101010101010101010101010","type":"image/jpeg","size":[4000,3000],"name":null,"original":false}"#
    );
}

fn spoilt(spoil: impl FnOnce(&mut Transaction<'_>, &ObjId, &ObjId)) -> Result<(), Unreadable> {
    let mut doc = with_photos(&[original(0x20), photo(0x10)]);
    let (_, map) = doc.get(ROOT, schema::PHOTOS).unwrap().unwrap();
    let (_, item) = doc.get(&map, "10".repeat(16)).unwrap().unwrap();
    let mut tx = doc.transaction();
    spoil(&mut tx, &map, &item);
    tx.commit();
    entry::read(&doc).map(drop)
}

#[test]
fn every_field_of_every_type_is_an_error_and_never_a_panic() {
    let values = [
        ScalarValue::Null,
        ScalarValue::Int(-1),
        ScalarValue::Uint(u64::MAX),
        ScalarValue::Uint(0),
        ScalarValue::F64(f64::NAN),
        ScalarValue::Bytes(vec![7; 31]),
        ScalarValue::Str("x".repeat(5000).into()),
        ScalarValue::Str("..\u{202e}/\u{1b}[2J".into()),
    ];
    let keys = [
        schema::BLOB,
        schema::KEY,
        schema::SALT,
        schema::LENGTH,
        schema::WIDTH,
        schema::HEIGHT,
        schema::NAME,
        schema::THUMB,
        schema::ORIGINAL,
    ];
    for key in keys {
        for value in &values {
            let read = spoilt(|tx, _, item| tx.put(item, key, value.clone()).unwrap());
            assert!(read.is_err(), "{key} {value:?}");
        }
        let read = spoilt(|tx, _, item| drop(tx.put_object(item, key, ObjType::List).unwrap()));
        assert!(read.is_err(), "{key}");
    }
    for key in [schema::TYPE, schema::ORDER] {
        let read = spoilt(|tx, _, item| tx.put(item, key, ScalarValue::Null).unwrap());
        assert!(read.is_err(), "{key}");
        let read = spoilt(|tx, _, item| tx.delete(item, key).unwrap());
        assert!(read.is_err(), "{key}");
    }
}

#[test]
fn more_photos_than_a_journal_can_hold() {
    let read = spoilt(|tx, map, _| {
        for number in 0..300 {
            tx.put_object(map, format!("{number:032x}"), ObjType::Map)
                .unwrap();
        }
    });
    assert_eq!(read, Err(Unreadable::TooLarge(schema::PHOTOS)));
}

#[test]
fn a_photo_whose_id_is_none() {
    for id in ["x", &"0".repeat(31), &"G".repeat(32), &"A".repeat(32)] {
        let read = spoilt(|tx, map, _| drop(tx.put_object(map, id, ObjType::Map).unwrap()));
        assert_eq!(read, Err(Unreadable::BadValue(schema::PHOTOS)), "{id}");
    }
}

#[test]
fn a_photo_or_the_map_of_photos_that_is_something_else() {
    let read = spoilt(|tx, map, _| tx.put(map, "0".repeat(32), 1).unwrap());
    assert!(read.is_err());
    let read = spoilt(|tx, _, _| tx.put(ROOT, schema::PHOTOS, "photos").unwrap());
    assert!(read.is_err());
    // None at all, as in every entry from before there were photos.
    assert!(spoilt(|tx, _, _| tx.delete(ROOT, schema::PHOTOS).unwrap()).is_ok());
}
