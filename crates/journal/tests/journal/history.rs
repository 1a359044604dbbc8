//! What an entry said before.

use crate::story::*;
use ajar_journal::entry;
use ajar_journal::history::{Version, versions};
use ajar_journal::opening::{self, Stage};
use ajar_journal::record;
use ajar_journal::records::{Letter, Passage};
use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc};

fn all(doc: &Automerge) -> Vec<Version> {
    let versions = versions(doc).expect("the document holds a record");
    versions
        .collect::<Result<_, _>>()
        .expect("every version can be read")
}

fn texts(doc: &Automerge) -> Vec<String> {
    all(doc).into_iter().map(|version| version.text).collect()
}

#[test]
fn every_save_is_a_version_and_a_note_of_an_opening_is_none() {
    let mut doc = kept("one");
    save(&mut doc, "two", 1_782_934_300_000);
    let id = "00112233445566778899aabbccddeeff";
    change(&mut doc, |tx| entry::note_opening(tx, id, Stage::Room, 1)).unwrap();
    let title = Some(Some("Later".to_owned()));
    let edit = entry::Edit {
        title,
        saved_at_ms: 1_782_934_400_000,
        ..entry::Edit::default()
    };
    change(&mut doc, |tx| entry::edit(tx, &edit)).unwrap();
    let versions = all(&doc);
    assert_eq!(texts(&doc), ["one", "two", "two"]);
    let titles: Vec<_> = versions
        .iter()
        .map(|v| v.title.as_deref().unwrap())
        .collect();
    assert_eq!(titles, ["By the sea", "By the sea", "Later"]);
    let times: Vec<_> = versions.iter().map(|v| v.saved_at_ms.unwrap()).collect();
    assert_eq!(
        times,
        [1_782_934_200_123, 1_782_934_300_000, 1_782_934_400_000]
    );
    assert!(versions.iter().all(|version| version.actor == [1; 16]));
}

#[test]
fn concurrent_saves_come_by_time_and_the_same_on_both_devices() {
    let mut laptop = kept("one\ntwo");
    let mut phone = copy_to(&laptop, 2);
    let start = 1_782_934_300_000;
    save(&mut laptop, "one\nlaptop first", start + 1);
    save(&mut phone, "phone second\ntwo", start + 2);
    save(&mut laptop, "one\nlaptop third", start + 3);
    save(&mut phone, "phone fourth\ntwo", start + 4);
    meet(&mut laptop, &mut phone);
    save(&mut laptop, "phone fourth\nlaptop third\nend", start + 5);
    meet(&mut laptop, &mut phone);
    let expected = [
        "one\ntwo",
        "one\nlaptop first",
        "phone second\ntwo",
        "one\nlaptop third",
        "phone fourth\ntwo",
        "phone fourth\nlaptop third\nend",
    ];
    assert_eq!(texts(&laptop), expected);
    assert_eq!(texts(&phone), expected);
    assert_eq!(texts(&Automerge::load(&phone.save()).unwrap()), expected);
    let actors: Vec<u8> = all(&phone).iter().map(|version| version.actor[0]).collect();
    assert_eq!(actors, [1, 1, 2, 1, 2, 1]);
}

#[test]
fn a_wrong_clock_never_puts_a_version_before_the_one_it_was_built_on() {
    let mut laptop = kept("one");
    save(&mut laptop, "two", 9_000_000_000_000);
    save(&mut laptop, "three", 5);
    assert_eq!(texts(&laptop), ["one", "two", "three"]);
}

#[test]
fn a_version_that_cannot_be_read_does_not_hide_the_others() {
    let mut doc = kept("one");
    let mut tx = doc.transaction();
    tx.put(ROOT, "title", 5_i64).unwrap();
    tx.put(ROOT, "saved_at_ms", 1_782_934_300_000_i64).unwrap();
    tx.commit();
    let mut tx = doc.transaction();
    tx.put(ROOT, "title", "Repaired").unwrap();
    tx.put(ROOT, "saved_at_ms", 1_782_934_400_000_i64).unwrap();
    tx.commit();
    let found: Vec<_> = versions(&doc).unwrap().collect();
    assert_eq!(found.len(), 3);
    assert!(found[0].is_ok() && found[1].is_err() && found[2].is_ok());
}

#[test]
fn a_shared_copy_has_versions_without_times() {
    let projection = opening::project(&read(&kept("one")), Stage::Room).unwrap();
    let mut shared = device(9);
    change(&mut shared, |tx| {
        opening::create(tx, &projection, "2026-07-03")
    })
    .unwrap();
    let edit = opening::Edit {
        text: Some("two".to_owned()),
        ..opening::Edit::default()
    };
    change(&mut shared, |tx| opening::edit(tx, &edit)).unwrap();
    assert_eq!(texts(&shared), ["one", "two"]);
    assert!(
        all(&shared)
            .iter()
            .all(|version| version.saved_at_ms.is_none())
    );
}

#[test]
fn a_thousand_versions_on_two_devices_are_all_found() {
    let lines: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
    let mut laptop = kept(&lines.join("\n"));
    let mut phone = copy_to(&laptop, 2);
    let mut written = [lines.clone(), lines];
    for n in 0..1000 {
        let (doc, lines) = if n % 2 == 0 {
            (&mut laptop, &mut written[0])
        } else {
            (&mut phone, &mut written[1])
        };
        lines[n % 40] = format!("line {} of save {n}", n % 40);
        let at_ms = 1_782_934_300_000 + i64::try_from(n).unwrap();
        assert!(save(doc, &lines.join("\n"), at_ms));
    }
    meet(&mut laptop, &mut phone);
    let start = std::time::Instant::now();
    let found = all(&laptop);
    let took = start.elapsed();
    assert_eq!(found.len(), 1001);
    for (n, version) in found.iter().skip(1).enumerate() {
        assert!(
            version.text.contains(&format!("of save {n}")),
            "save {n} is not in its place"
        );
    }
    assert!(took.as_secs() < 20, "took {took:?}");
}

#[test]
fn a_document_without_a_record_has_no_history() {
    let mut doc = device(1);
    assert!(versions(&doc).is_err());
    let mut tx = doc.transaction();
    tx.put_object(ROOT, "body", ObjType::List).unwrap();
    tx.commit();
    assert_eq!(doc.keys(ROOT).count(), 1);
    assert!(versions(&doc).is_err());
}

#[test]
fn a_paragraph_of_a_page_says_what_it_said_before() {
    let mut passage = Passage {
        about: "0".repeat(32),
        text: "I came late.".to_owned(),
        section: None,
        margin: false,
        on: "2026-07-01".to_owned(),
        turn: 1,
    };
    let mut doc = Automerge::new();
    change(&mut doc, |tx| record::create(tx, &passage)).unwrap();
    passage.text.push_str(" I did not say why.");
    change(&mut doc, |tx| record::update(tx, &passage)).unwrap();
    assert_eq!(
        texts(&doc),
        ["I came late.", "I came late. I did not say why."]
    );
    assert!(
        all(&doc)
            .iter()
            .all(|version| version.saved_at_ms.is_none())
    );
}

#[test]
fn the_history_of_a_letter_does_not_say_what_is_in_it() {
    let letter = Letter {
        title: Some("For our day".to_owned()),
        text: "the pebble".to_owned(),
        open: None,
        on: "2026-07-01".to_owned(),
    };
    let mut doc = Automerge::new();
    change(&mut doc, |tx| record::create(tx, &letter)).unwrap();
    assert_eq!(texts(&doc), ["For our day"]);
}
