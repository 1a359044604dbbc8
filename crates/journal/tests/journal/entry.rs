//! Ana keeps an entry and changes it on her laptop and her phone.

use crate::story::*;
use ajar_journal::entry::{self, Edit};
use ajar_journal::opening::Stage;
use ajar_journal::schema::{self, Kind};
use ajar_journal::{Error, Invalid};
use automerge::transaction::Transactable;
use automerge::{ObjType, ROOT, ReadDoc};
use proptest::prelude::*;

/// Text with many line breaks, carriage returns, controls and letters of several bytes.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\u{0}".to_owned()),
        Just("e\u{301}".to_owned()),
        Just("a".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_comes_back_byte_for_byte(first in any_text(), second in any_text()) {
        let mut doc = kept(&first);
        prop_assert_eq!(read(&doc).text(), first.clone());
        let changed = save(&mut doc, &second, 2);
        prop_assert_eq!(changed, first != second);
        let reloaded = automerge::Automerge::load(&doc.save()).unwrap();
        prop_assert_eq!(read(&reloaded).text(), second);
    }

    #[test]
    fn whatever_two_devices_save_every_new_line_is_still_there(
        base in proptest::collection::vec(0_u8..4, 0..8),
        laptop in proptest::collection::vec(0_u8..8, 0..8),
        phone in proptest::collection::vec(0_u8..8, 0..8),
    ) {
        let line = |who: &str, n: &u8| if *n < 4 { format!("old {n}") } else { format!("{who} {n}") };
        let text = |who: &str, lines: &[u8]| {
            lines.iter().map(|n| line(who, n)).collect::<Vec<_>>().join("\n")
        };
        let mut on_laptop = kept(&text("", &base));
        let mut on_phone = copy_to(&on_laptop, 2);
        save(&mut on_laptop, &text("laptop", &laptop), 2);
        save(&mut on_phone, &text("phone", &phone), 3);
        meet(&mut on_laptop, &mut on_phone);
        let entry = read(&on_laptop);
        prop_assert!(entry == read(&on_phone));
        let there = |line: &str| {
            entry.paragraphs.iter().any(|p| p.text == line || p.others.iter().any(|o| o == line))
        };
        for n in laptop.iter().filter(|n| **n >= 4) {
            prop_assert!(there(&line("laptop", n)));
        }
        for n in phone.iter().filter(|n| **n >= 4) {
            prop_assert!(there(&line("phone", n)));
        }
    }

    #[test]
    fn a_draft_begun_before_the_phones_save_loses_nothing_of_either(
        base in proptest::collection::vec(0_u8..4, 0..8),
        draft in proptest::collection::vec(0_u8..8, 0..8),
        phone in proptest::collection::vec(0_u8..8, 0..8),
    ) {
        let line = |who: &str, n: &u8| if *n < 4 { format!("old {n}") } else { format!("{who} {n}") };
        let text = |who: &str, lines: &[u8]| {
            lines.iter().map(|n| line(who, n)).collect::<Vec<_>>().join("\n")
        };
        let mut doc = kept(&text("", &base));
        let seen = read(&doc).paragraphs;
        save(&mut doc, &text("phone", &phone), 2);
        save_seen(&mut doc, &seen, &text("draft", &draft), 3);
        let now = read(&doc).text();
        for n in draft.iter().filter(|n| **n >= 4) {
            prop_assert!(now.split('\n').any(|l| l == line("draft", n)));
        }
        for n in phone.iter().filter(|n| **n >= 4) {
            prop_assert!(now.split('\n').any(|l| l == line("phone", n)));
        }
        if base == phone {
            prop_assert_eq!(now, text("draft", &draft));
        }
    }
}

#[test]
fn an_entry_reads_as_it_was_kept() {
    let doc = kept("We walked.\n\nIt rained.");
    assert_eq!(schema::kind_of(&doc).unwrap(), Kind::Entry);
    let entry = read(&doc);
    assert_eq!(entry.title.as_deref(), Some("By the sea"));
    assert_eq!(entry.date, "2026-07-01T21:30");
    assert_eq!(entry.text(), "We walked.\n\nIt rained.");
    assert_eq!(entry.paragraphs.len(), 3);
    assert_eq!(entry.tags, ["quiet", "sea"]);
    assert_eq!(entry.created_at_ms, 1_782_934_200_123);
    assert_eq!(entry.saved_at_ms, 1_782_934_200_123);
    assert!(entry.openings.is_empty());
    assert!(!entry.has_versions());
}

#[test]
fn edits_of_different_paragraphs_on_two_devices_merge() {
    let mut laptop = kept("one\ntwo\nthree");
    let mut phone = copy_to(&laptop, 2);
    save(&mut laptop, "ONE\ntwo\nthree", 2);
    save(&mut phone, "one\ntwo\nTHREE\nfour", 3);
    meet(&mut laptop, &mut phone);
    assert_eq!(read(&laptop).text(), "ONE\ntwo\nTHREE\nfour");
    assert!(!read(&laptop).has_versions());
}

#[test]
fn lines_two_devices_add_at_the_same_place_do_not_interleave() {
    let mut laptop = kept("start");
    let mut phone = copy_to(&laptop, 2);
    save(&mut laptop, "start\nl1\nl2\nl3", 2);
    save(&mut phone, "start\np1\np2\np3", 3);
    meet(&mut laptop, &mut phone);
    let text = read(&laptop).text();
    assert!(
        text.contains("l1\nl2\nl3") && text.contains("p1\np2\np3"),
        "{text}"
    );
}

#[test]
fn one_paragraph_changed_on_two_devices_keeps_both_until_a_person_chooses() {
    let mut laptop = kept("one\ntwo");
    let mut phone = copy_to(&laptop, 2);
    save(&mut laptop, "one\ntwo on the laptop", 2);
    save(&mut phone, "one\ntwo on the phone", 3);
    meet(&mut laptop, &mut phone);
    let entry = read(&laptop);
    assert!(entry.has_versions());
    let second = &entry.paragraphs[1];
    let mut both = vec![second.text.clone()];
    both.extend(second.others.clone());
    both.sort();
    assert_eq!(both, ["two on the laptop", "two on the phone"]);
    assert!(entry.paragraphs[0].others.is_empty());

    // Ana has both before her and saves what stands: that settles it, on both devices.
    let shown = entry.text();
    assert!(save_seen(&mut laptop, &entry.paragraphs, &shown, 4));
    meet(&mut laptop, &mut phone);
    assert!(!read(&phone).has_versions());
    assert_eq!(read(&phone).text(), shown);
}

#[test]
fn an_edit_of_the_title_alone_does_not_choose_between_two_texts() {
    let mut laptop = kept("one");
    let mut phone = copy_to(&laptop, 2);
    save(&mut laptop, "on the laptop", 2);
    save(&mut phone, "on the phone", 3);
    meet(&mut laptop, &mut phone);
    let retitle = Edit {
        title: Some(Some("Later".to_owned())),
        saved_at_ms: 4,
        ..Edit::default()
    };
    assert!(change(&mut laptop, |tx| entry::edit(tx, &retitle)).unwrap());
    assert_eq!(read(&laptop).paragraphs[0].others.len(), 1);
}

#[test]
fn a_version_that_arrived_while_writing_is_not_overwritten_unseen() {
    // Automerge shows one of two values by actor; whoever that is, the other must stay.
    for (here, there) in [(2, 3), (3, 2)] {
        let start = kept("one");
        let mut laptop = copy_to(&start, here);
        let mut phone = copy_to(&start, there);
        save(&mut laptop, "on the laptop", 2);
        let seen = read(&laptop).paragraphs;
        save(&mut phone, "on the phone", 3);
        meet(&mut laptop, &mut phone);
        save_seen(&mut laptop, &seen, "on the laptop, longer", 4);
        let entry = read(&laptop);
        let everything: Vec<&str> = entry
            .paragraphs
            .iter()
            .flat_map(|p| std::iter::once(&p.text).chain(&p.others))
            .map(String::as_str)
            .collect();
        assert!(everything.contains(&"on the phone"), "{everything:?}");
        assert!(
            everything.contains(&"on the laptop, longer"),
            "{everything:?}"
        );
    }
}

#[test]
fn a_draft_saved_twice_is_not_written_twice() {
    let mut doc = kept("one");
    let seen = read(&doc).paragraphs;
    assert!(save_seen(&mut doc, &seen, "one\ntwo", 2));
    assert!(!save_seen(&mut doc, &seen, "one\ntwo", 3));
    assert_eq!(read(&doc).text(), "one\ntwo");
    assert_eq!(read(&doc).saved_at_ms, 2);
}

#[test]
fn a_paragraph_removed_on_one_device_and_changed_on_the_other_stays() {
    let mut laptop = kept("one\ntwo");
    let mut phone = copy_to(&laptop, 2);
    save(&mut laptop, "one", 2);
    save(&mut phone, "one\ntwo, and more", 3);
    meet(&mut laptop, &mut phone);
    assert_eq!(read(&laptop).text(), "one\ntwo, and more");
}

#[test]
fn changing_one_paragraph_of_many_writes_only_that_one() {
    let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
    let mut doc = kept(&lines.join("\n"));
    let mut changed = lines.clone();
    changed[2500] = "other".to_owned();
    let before = doc.get_heads();
    save(&mut doc, &changed.join("\n"), 2);
    let written: usize = doc
        .get_changes(&before)
        .iter()
        .map(|change| change.len())
        .sum();
    assert_eq!(written, 2, "one paragraph and the time of saving");
}

#[test]
fn titles_given_on_two_devices_are_both_kept() {
    let mut laptop = kept("one");
    let mut phone = copy_to(&laptop, 2);
    for (doc, title) in [(&mut laptop, "Laptop"), (&mut phone, "Phone")] {
        let edit = Edit {
            title: Some(Some(title.to_owned())),
            ..Edit::default()
        };
        change(doc, |tx| entry::edit(tx, &edit)).unwrap();
    }
    meet(&mut laptop, &mut phone);
    let entry = read(&laptop);
    let mut both = entry.title_others.clone();
    both.extend(entry.title.clone());
    both.sort();
    assert_eq!(both, ["Laptop", "Phone"]);
    let settle = Edit {
        title: Some(entry.title),
        ..Edit::default()
    };
    assert!(change(&mut laptop, |tx| entry::edit(tx, &settle)).unwrap());
    assert!(read(&laptop).title_others.is_empty());
}

#[test]
fn every_field_can_be_changed_and_the_title_taken_away() {
    let mut doc = kept("one");
    let edit = Edit {
        title: Some(None),
        date: Some("2026-07-02".to_owned()),
        text: Some("two".to_owned()),
        seen: None,
        tags: Some(vec!["quiet".to_owned(), "home".to_owned()]),
        saved_at_ms: 9,
    };
    assert!(change(&mut doc, |tx| entry::edit(tx, &edit)).unwrap());
    let entry = read(&doc);
    assert_eq!(entry.title, None);
    assert_eq!(entry.date, "2026-07-02");
    assert_eq!(entry.text(), "two");
    assert_eq!(entry.tags, ["home", "quiet"]);
    assert_eq!(entry.saved_at_ms, 9);
    assert_eq!(entry.created_at_ms, 1_782_934_200_123);
    let again = Edit {
        saved_at_ms: 10,
        ..edit
    };
    assert!(!change(&mut doc, |tx| entry::edit(tx, &again)).unwrap());
    assert_eq!(read(&doc).saved_at_ms, 9);
}

#[test]
fn tags_added_on_two_devices_are_all_there() {
    let mut laptop = kept("one");
    let mut phone = copy_to(&laptop, 2);
    for (doc, tag) in [(&mut laptop, "home"), (&mut phone, "work")] {
        let tags = Some(vec!["sea".to_owned(), "quiet".to_owned(), tag.to_owned()]);
        change(doc, |tx| {
            entry::edit(
                tx,
                &Edit {
                    tags,
                    ..Edit::default()
                },
            )
        })
        .unwrap();
    }
    meet(&mut laptop, &mut phone);
    assert_eq!(read(&laptop).tags, ["home", "quiet", "sea", "work"]);
}

#[test]
fn a_tag_in_two_encodings_is_one_tag() {
    let mut new = letter("");
    new.tags = vec!["caf\u{e9}".to_owned(), "cafe\u{301}".to_owned()];
    let mut doc = device(1);
    change(&mut doc, |tx| entry::create(tx, &new)).unwrap();
    assert_eq!(
        read(&doc).tags,
        ["caf\u{e9}"],
        "stored as first written, not normalised"
    );
}

#[test]
fn what_a_newer_version_wrote_survives_this_ones_edit() {
    let mut doc = kept("one");
    let mut tx = doc.transaction();
    tx.put(ROOT, schema::SCHEMA, 7_u64).unwrap();
    tx.put(ROOT, "starred", true).unwrap();
    let place = tx.put_object(ROOT, "place", ObjType::Map).unwrap();
    tx.put(&place, "name", "Rügen").unwrap();
    tx.commit();
    save(&mut doc, "two", 2);
    assert_eq!(read(&doc).text(), "two");
    assert_eq!(
        doc.get(&place, "name").unwrap().unwrap().0.as_str(),
        Some("Rügen")
    );
    assert_eq!(
        doc.get(ROOT, "starred").unwrap().unwrap().0.as_bool(),
        Some(true)
    );
    assert_eq!(
        doc.get(ROOT, schema::SCHEMA).unwrap().unwrap().0.as_u64(),
        Some(7)
    );
}

#[test]
fn an_opening_is_noted_once_and_raising_it_changes_the_note() {
    let mut doc = kept("one");
    let id = "00112233445566778899aabbccddeeff";
    change(&mut doc, |tx| entry::note_opening(tx, id, Stage::Gist, 5)).unwrap();
    change(&mut doc, |tx| entry::note_opening(tx, id, Stage::Room, 6)).unwrap();
    let entry = read(&doc);
    assert_eq!(entry.openings.len(), 1);
    assert_eq!(entry.openings[0].opening_id, id);
    assert_eq!(entry.openings[0].stage, Stage::Room);
    assert_eq!(entry.openings[0].at_ms, 6);
    assert_eq!(
        entry.saved_at_ms, 1_782_934_200_123,
        "opening is not saving"
    );
    for bad in [
        "",
        "0011",
        "00112233445566778899AABBCCDDEEFF",
        "zz112233445566778899aabbccddeeff",
    ] {
        let refused = change(&mut doc, |tx| entry::note_opening(tx, bad, Stage::Room, 6));
        assert!(
            matches!(refused, Err(Error::Invalid(Invalid::BadOpeningId))),
            "{bad}"
        );
    }
}

#[test]
fn what_is_too_long_or_malformed_is_refused_and_leaves_nothing_behind() {
    let mut cases = Vec::new();
    let mut case = |wanted: Invalid, spoil: &dyn Fn(&mut entry::NewEntry)| {
        let mut new = letter("text");
        spoil(&mut new);
        cases.push((wanted, new));
    };
    case(Invalid::TitleTooLong, &|new| {
        new.title = Some("é".repeat(1001))
    });
    case(Invalid::TitleNotOneLine, &|new| {
        new.title = Some("a\nb".to_owned())
    });
    case(Invalid::BadDate, &|new| new.date = "2026-02-30".to_owned());
    case(Invalid::TextTooLong, &|new| {
        new.text = "x".repeat((1 << 20) + 1)
    });
    case(Invalid::TooManyTags, &|new| {
        new.tags = (0..65).map(|n| n.to_string()).collect()
    });
    case(Invalid::BadTag, &|new| new.tags = vec!["é".repeat(65)]);
    case(Invalid::BadTag, &|new| new.tags = vec![" ".to_owned()]);
    case(Invalid::BadTag, &|new| {
        new.tags = vec!["a\u{1b}".to_owned()]
    });
    for (wanted, new) in cases {
        let mut doc = device(1);
        let refused = change(&mut doc, |tx| entry::create(tx, &new));
        assert!(
            matches!(refused, Err(Error::Invalid(why)) if why == wanted),
            "{wanted:?}"
        );
        let mut doc = kept("before");
        let edit = Edit {
            title: Some(new.title),
            date: Some(new.date),
            text: Some(new.text),
            tags: Some(new.tags),
            ..Edit::default()
        };
        let refused = change(&mut doc, |tx| entry::edit(tx, &edit));
        assert!(
            matches!(refused, Err(Error::Invalid(why)) if why == wanted),
            "{wanted:?}"
        );
        assert_eq!(read(&doc).text(), "before");
    }
}

/// 800,000 bytes in 16,384 lines, each beginning with this.
fn longest(mark: &str) -> String {
    let mut lines: Vec<String> = (0..16_384).map(|n| format!("{mark}{n:0>46}")).collect();
    let missing = 800_000 - lines.join("\n").len();
    lines[0].push_str(&"x".repeat(missing));
    lines.join("\n")
}

#[test]
fn the_longest_entry_and_its_whole_rewrite_each_fit_into_one_envelope() {
    let mut new = letter(&longest("a"));
    assert_eq!(new.text.len(), schema::TEXT_BYTES_MAX);
    new.title = Some("é".repeat(1000));
    new.tags = (0..64).map(|n| format!("{n:0>64}")).collect();
    let mut doc = device(1);
    change(&mut doc, |tx| entry::create(tx, &new)).unwrap();
    assert_eq!(read(&doc).text(), new.text);
    assert!(save(&mut doc, &longest("b"), 2));
    assert_eq!(read(&doc).text(), longest("b"));
    let changes = doc.get_changes(&[]);
    assert_eq!(changes.len(), 2);
    for change in changes {
        // The envelope holds 1,000,000 bytes with its own framing; receivers take 50,000 operations.
        assert!(
            change.raw_bytes().len() < 990_000,
            "{} bytes",
            change.raw_bytes().len()
        );
        assert!(change.len() < 50_000, "{} operations", change.len());
    }
    assert!(save(&mut doc, "short again", 3));
    assert_eq!(read(&doc).text(), "short again");
}

#[test]
fn a_save_that_would_need_more_operations_than_receivers_take_is_refused() {
    let start = kept("");
    let mut merged = copy_to(&start, 2);
    for number in 3..6 {
        let mut other = copy_to(&start, number);
        save(&mut other, &longest("a"), i64::from(number));
        meet(&mut merged, &mut other);
    }
    let lines = read(&merged).paragraphs.len();
    assert!(lines > 40_000, "{lines} lines");
    let edit = Edit {
        text: Some("short".to_owned()),
        ..Edit::default()
    };
    let refused = change(&mut merged, |tx| entry::edit(tx, &edit));
    assert!(matches!(
        refused,
        Err(Error::Invalid(Invalid::EditTooLarge))
    ));
}

#[test]
fn a_second_record_in_one_document_is_refused() {
    let mut doc = kept("one");
    let refused = change(&mut doc, |tx| entry::create(tx, &letter("two")));
    assert!(matches!(
        refused,
        Err(Error::Invalid(Invalid::DocumentNotEmpty))
    ));
}

#[test]
fn what_ana_wrote_is_not_in_debug_output() {
    let entry = read(&kept("We walked."));
    let shown = format!(
        "{entry:?} {:?} {:?}",
        entry.paragraphs,
        letter("We walked.")
    );
    assert!(
        !shown.contains("walked") && !shown.contains("sea"),
        "{shown}"
    );
}

#[test]
fn a_draft_meets_what_arrived_meanwhile_line_by_line() {
    // What Ana saw, what the phone saved meanwhile, her draft, and what must stand then.
    for (seen, phone, draft, wanted) in [
        ("a\nb\nc", "a\nB\nc", "a\nb\nc\nd", "a\nB\nc\nd"),
        ("a\nb\nc", "a\nB\nc", "a\nb\nnew\nc", "a\nB\nnew\nc"),
        ("a\nb\nc", "a\nB\nc", "a\nmine\nc", "a\nB\nmine\nc"),
        ("a\nb\nc", "a\nB\nc", "A\nB\nc", "A\nB\nc"),
        ("a\nb\nc", "a\nB\nc", "a\nc", "a\nB\nc"),
        ("a\nb\nc", "a\nc", "a\nb\nC", "a\nC"),
        ("a\nb\nc", "top\na\nb\nc", "a\nb\nC", "top\na\nb\nC"),
        ("a\nb\nc", "a\nb\nc\nend", "a\nc", "a\nc\nend"),
    ] {
        let mut doc = kept(seen);
        let before = read(&doc).paragraphs;
        save(&mut doc, phone, 2);
        save_seen(&mut doc, &before, draft, 3);
        assert_eq!(read(&doc).text(), wanted, "{seen:?} {phone:?} {draft:?}");
    }
}

#[test]
fn changing_only_the_tags_is_a_save() {
    let mut doc = kept("one");
    let edit = Edit {
        tags: Some(Vec::new()),
        saved_at_ms: 7,
        ..Edit::default()
    };
    assert!(change(&mut doc, |tx| entry::edit(tx, &edit)).unwrap());
    assert!(read(&doc).tags.is_empty());
    assert_eq!(read(&doc).saved_at_ms, 7);
}
