//! Records as the first layout writes them, one of each kind. They must be read for ever: whoever
//! changes a layout adds a file of the new one beside this, and leaves this one as it is.

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};
use serde_json::Value;

use crate::schema::{self, Kind};
use crate::tree::{self, Fields};
use crate::{entry, opening, profile, records, summary};

fn frozen() -> Fields {
    serde_json::from_str(include_str!("v1.json")).unwrap()
}

fn document(fields: &Fields) -> Automerge {
    let mut doc = Automerge::new();
    doc.transact(|tx| {
        tree::restore(tx, &ROOT, fields)?;
        // JSON does not say whether a number has a sign.
        tx.put(ROOT, schema::SCHEMA, 1_u64)
            .map_err(crate::Error::from)
    })
    .unwrap();
    doc
}

#[test]
fn every_kind_of_the_first_layout_is_frozen_and_still_read() {
    let frozen = frozen();
    for kind in Kind::KNOWN {
        let word = kind.as_str();
        let Some(Value::Object(fields)) = frozen.get(word) else {
            panic!("no {word} is frozen");
        };
        let doc = document(fields);
        assert_eq!(schema::kind_of(&doc).unwrap(), *kind);
        match kind {
            Kind::Entry => drop(entry::read(&doc).unwrap()),
            Kind::Opening => drop(opening::read(&doc).unwrap()),
            Kind::Profile => drop(profile::read(&doc).unwrap()),
            _ => assert!(records::facts(&doc, kind).unwrap().is_some(), "{word}"),
        }
        let unreadable = summary::unreadable().head;
        assert_ne!(
            summary::of(&doc).map(|it| it.head),
            Some(unreadable),
            "{word}"
        );
        assert_eq!(tree::read(&doc).unwrap(), *fields, "{word}");
    }
    assert_eq!(frozen.len(), Kind::KNOWN.len());
}

#[test]
fn what_the_first_layout_says_is_understood() {
    let frozen = frozen();
    let read = |word: &str| document(frozen[word].as_object().unwrap());
    let entry = entry::read(&read("entry")).unwrap();
    assert_eq!(entry.title.as_deref(), Some("Monday"));
    assert_eq!(entry.text(), "The evening.");
    assert_eq!(entry.tags, ["sea"]);
    assert!(entry.starred);
    assert_eq!(entry.layers.feeling.words, ["worried"]);
    assert_eq!(entry.layers.thought.story.as_deref(), Some("He forgot me."));
    let opening = opening::read(&read("opening")).unwrap();
    assert_eq!(opening.stage, opening::Stage::Weather);
    assert_eq!(opening.layers.feeling.words, ["worried"]);
    assert_eq!(opening.layers.thought.story, None);
}
