//! Documents somebody made to hurt: each gives a typed error, for this record only.

use crate::story::*;
use ajar_journal::entry::{self, Edit};
use ajar_journal::history::versions;
use ajar_journal::opening::{self, Stage};
use ajar_journal::schema::{self, Kind};
use ajar_journal::{Error, Unreadable, profile};
use automerge::transaction::{Transactable, Transaction};
use automerge::{Automerge, ObjType, ROOT, ScalarValue};

const ID: &str = "00112233445566778899aabbccddeeff";

fn spoilt(doc: &Automerge, spoil: impl FnOnce(&mut Transaction<'_>)) -> Automerge {
    let mut doc = doc.fork();
    let mut tx = doc.transaction();
    spoil(&mut tx);
    tx.commit();
    doc
}

fn an_entry() -> Automerge {
    let mut doc = kept("one\ntwo");
    change(&mut doc, |tx| entry::note_opening(tx, ID, Stage::Room, 5)).unwrap();
    doc
}

fn an_opening() -> Automerge {
    let projection = opening::project(&read(&kept("one")), Stage::Room).unwrap();
    let mut doc = device(9);
    change(&mut doc, |tx| {
        opening::create(tx, &projection, "2026-07-03")
    })
    .unwrap();
    doc
}

/// One value of every type there is; each is wrong for most fields.
fn scalars() -> Vec<ScalarValue> {
    vec![
        ScalarValue::Null,
        ScalarValue::Boolean(false),
        ScalarValue::Int(-1),
        ScalarValue::Uint(u64::MAX),
        ScalarValue::F64(f64::NAN),
        ScalarValue::counter(3),
        ScalarValue::Timestamp(i64::MIN),
        ScalarValue::Bytes(vec![0xff; 9]),
        ScalarValue::Unknown {
            type_code: 12,
            bytes: vec![1, 2, 3],
        },
        ScalarValue::Str("\u{1b}[2J".into()),
    ]
}

#[test]
fn every_field_of_every_type_reads_or_gives_an_error_and_never_panics() {
    let entry_keys = [
        schema::SCHEMA,
        schema::KIND,
        schema::TITLE,
        schema::DATE,
        schema::BODY,
        schema::TAGS,
        schema::CREATED_AT,
        schema::SAVED_AT,
        schema::OPENINGS,
    ];
    let opening_keys = [
        schema::SCHEMA,
        schema::KIND,
        schema::STAGE,
        schema::TITLE,
        schema::DATE,
        schema::BODY,
        schema::OPENED_ON,
    ];
    let edit = Edit {
        text: Some("three".to_owned()),
        ..Edit::default()
    };
    let shared_edit = opening::Edit {
        text: Some("three".to_owned()),
        ..opening::Edit::default()
    };
    for value in scalars() {
        for key in entry_keys {
            let mut doc = spoilt(&an_entry(), |tx| tx.put(ROOT, key, value.clone()).unwrap());
            let fits = matches!(
                (key, &value),
                (schema::TITLE, ScalarValue::Str(_))
                    | (schema::SCHEMA, ScalarValue::Uint(_))
                    | (schema::CREATED_AT | schema::SAVED_AT, ScalarValue::Int(_))
            );
            assert_eq!(entry::read(&doc).is_ok(), fits, "{key} as {value:?}");
            assert_eq!(change(&mut doc, |tx| entry::edit(tx, &edit)).is_ok(), fits);
            if let Ok(found) = versions(&doc) {
                assert!(found.count() >= 1);
            }
        }
        for key in opening_keys {
            let mut doc = spoilt(&an_opening(), |tx| {
                tx.put(ROOT, key, value.clone()).unwrap()
            });
            let fits = matches!(
                (key, &value),
                (schema::TITLE, ScalarValue::Str(_)) | (schema::SCHEMA, ScalarValue::Uint(_))
            );
            assert_eq!(opening::read(&doc).is_ok(), fits, "{key} as {value:?}");
            assert_eq!(
                change(&mut doc, |tx| opening::edit(tx, &shared_edit)).is_ok(),
                fits
            );
        }
        let doc = spoilt(&device(1), |tx| {
            tx.put(ROOT, schema::SCHEMA, 1_u64).unwrap();
            tx.put(ROOT, schema::KIND, "profile").unwrap();
            tx.put(ROOT, schema::NAME, value.clone()).unwrap();
        });
        assert!(profile::read(&doc).is_err(), "a name that is {value:?}");
    }
    for key in entry_keys {
        for object in [ObjType::Map, ObjType::List, ObjType::Text] {
            let doc = spoilt(&an_entry(), |tx| {
                tx.put_object(ROOT, key, object).unwrap();
            });
            let fits = match key {
                schema::BODY => object == ObjType::List,
                schema::TAGS | schema::OPENINGS => object == ObjType::Map,
                _ => false,
            };
            assert_eq!(entry::read(&doc).is_ok(), fits, "{key} as {object:?}");
        }
    }
}

#[test]
fn a_field_that_is_not_there_is_named() {
    for key in [
        schema::SCHEMA,
        schema::KIND,
        schema::DATE,
        schema::BODY,
        schema::CREATED_AT,
    ] {
        let doc = spoilt(&an_entry(), |tx| tx.delete(ROOT, key).unwrap());
        assert_eq!(entry::read(&doc).err(), Some(Unreadable::Missing(key)));
    }
    assert_eq!(
        entry::read(&device(1)).err(),
        Some(Unreadable::Missing(schema::SCHEMA))
    );
}

#[test]
fn a_counter_for_a_title_and_a_number_for_a_date_are_named() {
    let doc = spoilt(&an_entry(), |tx| {
        tx.put(ROOT, schema::TITLE, ScalarValue::counter(1))
            .unwrap();
    });
    let wanted = Unreadable::WrongType {
        field: schema::TITLE,
        expected: "text",
    };
    assert_eq!(entry::read(&doc).err(), Some(wanted));
    let doc = spoilt(&an_entry(), |tx| {
        tx.put(ROOT, schema::DATE, 20_260_701_i64).unwrap()
    });
    let wanted = Unreadable::WrongType {
        field: schema::DATE,
        expected: "text",
    };
    assert_eq!(entry::read(&doc).err(), Some(wanted));
    let doc = spoilt(&an_entry(), |tx| {
        tx.put(ROOT, schema::DATE, "2026-02-30").unwrap()
    });
    assert_eq!(
        entry::read(&doc).err(),
        Some(Unreadable::BadValue(schema::DATE))
    );
}

#[test]
fn a_paragraph_that_is_no_string_is_refused_even_as_the_other_version() {
    use automerge::ReadDoc;
    let whole = an_entry();
    let list = whole.get(ROOT, schema::BODY).unwrap().unwrap().1;
    for value in scalars().into_iter().filter(|value| !value.is_str()) {
        let doc = spoilt(&whole, |tx| tx.put(&list, 0, value.clone()).unwrap());
        assert!(
            matches!(entry::read(&doc), Err(Unreadable::WrongType { .. })),
            "{value:?}"
        );
        // The same value, written at the same time as an honest one, wherever it ends up.
        for (honest, hostile) in [(2, 3), (3, 2)] {
            let mut honest = copy_to(&whole, honest);
            save(&mut honest, "changed\ntwo", 2);
            let mut other = copy_to(&whole, hostile);
            let mut tx = other.transaction();
            tx.put(&list, 0, value.clone()).unwrap();
            tx.commit();
            meet(&mut honest, &mut other);
            assert!(matches!(
                entry::read(&honest),
                Err(Unreadable::WrongType { .. })
            ));
        }
    }
    for object in [ObjType::Map, ObjType::List, ObjType::Text] {
        let doc = spoilt(&whole, |tx| {
            tx.insert_object(&list, 1, object).unwrap();
        });
        assert!(matches!(
            entry::read(&doc),
            Err(Unreadable::WrongType { .. })
        ));
    }
}

#[test]
fn what_is_larger_than_a_journal_writes_is_not_taken_in() {
    let doc = spoilt(&an_entry(), |tx| {
        tx.put(ROOT, schema::TITLE, "é".repeat(1001)).unwrap()
    });
    assert_eq!(
        entry::read(&doc).err(),
        Some(Unreadable::TooLarge(schema::TITLE))
    );
    let doc = spoilt(&an_entry(), |tx| {
        tx.put(ROOT, schema::KIND, "k".repeat(65)).unwrap()
    });
    assert_eq!(
        schema::kind_of(&doc).err(),
        Some(Unreadable::TooLarge(schema::KIND))
    );
    let doc = spoilt(&an_entry(), |tx| {
        let map = tx.put_object(ROOT, schema::TAGS, ObjType::Map).unwrap();
        for n in 0..=schema::MERGED_TAGS_MAX {
            tx.put(&map, n.to_string(), true).unwrap();
        }
    });
    assert_eq!(
        entry::read(&doc).err(),
        Some(Unreadable::TooLarge(schema::TAGS))
    );
    let doc = spoilt(&an_opening(), |tx| {
        let list = tx.put_object(ROOT, schema::BODY, ObjType::List).unwrap();
        let megabyte = "x".repeat(1 << 20);
        for n in 0..16 {
            tx.insert(&list, n, megabyte.as_str()).unwrap();
        }
    });
    assert_eq!(
        opening::read(&doc).err(),
        Some(Unreadable::TooLarge(schema::BODY))
    );
}

#[test]
fn an_opening_id_that_is_no_id_is_refused() {
    let doc = spoilt(&an_entry(), |tx| {
        let map = tx.put_object(ROOT, schema::OPENINGS, ObjType::Map).unwrap();
        tx.put_object(&map, "../../x", ObjType::Map).unwrap();
    });
    assert_eq!(
        entry::read(&doc).err(),
        Some(Unreadable::BadValue(schema::OPENINGS))
    );
}

#[test]
fn one_kind_is_not_read_as_another() {
    let wanted = Unreadable::OtherKind {
        wanted: Kind::Entry,
        found: Kind::Opening,
    };
    assert_eq!(entry::read(&an_opening()).err(), Some(wanted));
    assert!(opening::read(&an_entry()).is_err());
    assert!(profile::read(&an_entry()).is_err());
    let refused = change(&mut an_opening(), |tx| entry::edit(tx, &Edit::default()));
    assert!(matches!(
        refused,
        Err(Error::Unreadable(Unreadable::OtherKind { .. }))
    ));
    let refused = change(&mut an_opening(), |tx| {
        entry::note_opening(tx, ID, Stage::Room, 5)
    });
    assert!(matches!(
        refused,
        Err(Error::Unreadable(Unreadable::OtherKind { .. }))
    ));
}

#[test]
fn a_kind_of_a_newer_version_is_told_by_name_and_cannot_paint_the_terminal() {
    let doc = spoilt(&device(1), |tx| {
        tx.put(ROOT, schema::SCHEMA, 9_u64).unwrap();
        tx.put(ROOT, schema::KIND, "letter\u{1b}[2J").unwrap();
    });
    let kind = schema::kind_of(&doc).unwrap();
    assert_eq!(kind, Kind::Unknown("letter\u{1b}[2J".to_owned()));
    assert_eq!(kind.to_string(), "letter␛[2J");
    let error = entry::read(&doc).err().unwrap().to_string();
    assert!(
        error.contains("letter␛[2J") && !error.contains('\u{1b}'),
        "{error}"
    );
}
