//! Ana opens an entry to Ben: what he gets, and everything he must not get.

use crate::story::*;
use ajar_journal::Point;
use ajar_journal::entry::{self, Entry};
use ajar_journal::layers::{Echo, Feeling, Layers, Thought};
use ajar_journal::opening::{self, CannotShow, Choice, Edit, Part, Projection, Stage};
use ajar_journal::profile;
use ajar_journal::schema::{self, Kind};
use ajar_journal::{Error, Invalid};
use automerge::Automerge;
use automerge::transaction::Transactable;

const OPENING_ID: &str = "00112233445566778899aabbccddeeff";

fn opened(projection: &Projection) -> Automerge {
    let mut shared = device(9);
    change(&mut shared, |tx| {
        opening::create(tx, projection, "2026-07-03")
    })
    .unwrap();
    shared
}

/// Every byte of the document, history included, not compressed.
fn bytes_of(doc: &Automerge) -> Vec<u8> {
    let mut bytes = doc.save_nocompress();
    for change in doc.get_changes(&[]) {
        bytes.extend_from_slice(change.raw_bytes());
    }
    bytes
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The signed LEB128 form in which Automerge stores a whole number.
fn stored_number(mut number: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if (number == 0 && byte & 0x40 == 0) || (number == -1 && byte & 0x40 != 0) {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

#[test]
fn ben_reads_the_title_the_day_and_the_text() {
    let entry = read(&kept("We walked.\nIt rained."));
    let shared = opened(&opening::project(&entry, Stage::Room).unwrap());
    assert_eq!(schema::kind_of(&shared).unwrap(), Kind::Opening);
    let opening = opening::read(&shared).unwrap();
    assert_eq!(opening.stage, Stage::Room);
    assert_eq!(opening.title.as_deref(), Some("By the sea"));
    assert_eq!(opening.date, "2026-07-01");
    assert_eq!(opening.text(), "We walked.\nIt rained.");
    assert_eq!(opening.opened_on, "2026-07-03");
}

#[test]
fn words_ana_took_out_before_opening_are_nowhere_in_the_shared_document() {
    let mut private = kept("We walked.\nI hated his coat.\nIt rained.");
    save(&mut private, "We walked.\nIt rained.", 1_782_934_999_777);
    let title = Some(Some("Rain".to_owned()));
    let edit = entry::Edit {
        title,
        saved_at_ms: 1_782_934_999_778,
        ..entry::Edit::default()
    };
    change(&mut private, |tx| entry::edit(tx, &edit)).unwrap();
    let shared = opened(&opening::project(&read(&private), Stage::Room).unwrap());

    let bytes = bytes_of(&shared);
    assert!(
        holds(&bytes, b"We walked.") && holds(&bytes, b"Rain"),
        "the search works"
    );
    assert!(
        holds(&bytes_of(&private), b"hated his coat"),
        "the private history keeps it"
    );
    for secret in ["hated", "his coat", "By the sea"] {
        assert!(!holds(&bytes, secret.as_bytes()), "{secret}");
    }
}

#[test]
fn no_tag_id_time_or_actor_of_the_private_entry_is_in_the_shared_document() {
    let mut private = kept("We walked.");
    save(&mut private, "We walked far.", 1_782_934_999_777);
    change(&mut private, |tx| {
        entry::note_opening(tx, OPENING_ID, Stage::Room, 1_783_000_000_555)
    })
    .unwrap();
    let bytes = bytes_of(&opened(
        &opening::project(&read(&private), Stage::Room).unwrap(),
    ));
    let private_bytes = bytes_of(&private);

    let mut secrets: Vec<Vec<u8>> = [1_782_934_200_123, 1_782_934_999_777, 1_783_000_000_555]
        .into_iter()
        .map(stored_number)
        .collect();
    for word in [
        "sea\0",
        "quiet",
        OPENING_ID,
        "21:30",
        "tags",
        "created_at_ms",
        "saved_at_ms",
    ] {
        secrets.push(word.trim_end_matches('\0').as_bytes().to_vec());
    }
    secrets.push([1; 16].to_vec());
    secrets.extend(
        private
            .get_changes(&[])
            .iter()
            .map(|change| change.hash().0.to_vec()),
    );
    for secret in secrets {
        let hash_or_found = secret.len() == 32 || holds(&private_bytes, &secret);
        assert!(hash_or_found, "the search would find it: {secret:?}");
        // The title says "By the sea"; as a tag it may not be there a second time.
        let times = bytes
            .windows(secret.len())
            .filter(|window| *window == secret)
            .count();
        let title = "By the sea"
            .as_bytes()
            .windows(secret.len())
            .filter(|w| *w == secret)
            .count();
        // The title is in the saved document and once more in the change itself.
        assert_eq!(times, title * 2, "{secret:?}");
    }
}

#[test]
fn two_entries_that_show_the_same_make_the_same_copy() {
    let long = kept("kept");
    let mut other = letter("something else entirely");
    other.tags.clear();
    other.date = "2026-07-01T03:03".to_owned();
    other.created_at_ms = 7;
    let mut short = device(2);
    change(&mut short, |tx| entry::create(tx, &other)).unwrap();
    save(&mut short, "kept", 8);
    let copies = [&long, &short].map(|doc| opening::project(&read(doc), Stage::Room).unwrap());
    assert!(copies[0] == copies[1]);
    assert_eq!(bytes_of(&opened(&copies[0])), bytes_of(&opened(&copies[1])));
}

#[test]
fn a_version_ana_did_not_choose_is_not_copied() {
    let mut laptop = kept("one");
    let mut phone = copy_to(&laptop, 2);
    save(&mut laptop, "from the laptop", 2);
    save(&mut phone, "from the phone", 3);
    meet(&mut laptop, &mut phone);
    let entry = read(&laptop);
    let bytes = bytes_of(&opened(&opening::project(&entry, Stage::Room).unwrap()));
    assert!(holds(&bytes, entry.paragraphs[0].text.as_bytes()));
    assert!(!holds(&bytes, entry.paragraphs[0].others[0].as_bytes()));
}

fn felt() -> Entry {
    let mut doc = kept("The whole story.");
    let layers = Layers {
        feeling: Feeling {
            point: Point::new(-50, 75),
            words: vec!["worried".to_owned()],
            certainty: None,
        },
        thought: Thought {
            story: Some("He forgot me.".to_owned()),
            ..Thought::default()
        },
        echo: Echo {
            text: Some("Waiting at the school gate.".to_owned()),
            era: None,
        },
        ..Layers::default()
    };
    doc.transact(|tx| entry::set_layers(tx, &layers, 9))
        .unwrap();
    read(&doc)
}

/// Everything that the entry of [`felt`] holds and that may be told apart in bytes.
const PARTS: [(Part, &str); 4] = [
    (Part::Text, "The whole story."),
    (Part::Feeling, "worried"),
    (Part::Thought, "He forgot me."),
    (Part::Echo, "Waiting at the school gate."),
];

fn choice(stage: Stage, parts: &[Part], gist: Option<&str>) -> Choice {
    Choice {
        parts: Some(parts.iter().copied().collect()),
        gist: gist.map(str::to_owned),
        ..Choice::from(stage)
    }
}

fn tells(doc: &Automerge, text: &str) -> bool {
    holds(&bytes_of(doc), text.as_bytes())
}

#[test]
fn a_stage_holds_what_it_shows_and_no_byte_of_anything_else() {
    let entry = felt();
    let stages = [
        (choice(Stage::Knock, &[], None), vec![]),
        (
            choice(Stage::Weather, &[Part::Feeling], None),
            vec![Part::Feeling],
        ),
        (choice(Stage::Gist, &[], Some("I am afraid.")), vec![]),
        (
            choice(Stage::Room, &[Part::Thought], None),
            vec![Part::Thought],
        ),
        (choice(Stage::Room, &[Part::Echo], None), vec![Part::Echo]),
    ];
    for (choice, shown) in stages {
        let stage = choice.stage;
        let gist = choice.gist.clone();
        let doc = opened(&opening::project(&entry, choice).unwrap());
        for (part, text) in PARTS {
            assert_eq!(tells(&doc, text), shown.contains(&part), "{stage} {part}");
        }
        let read = opening::read(&doc).unwrap();
        assert_eq!(
            (read.stage, read.parts.clone(), read.gist),
            (stage, shown, gist)
        );
    }
}

#[test]
fn a_stage_does_not_show_what_it_cannot() {
    let entry = felt();
    let cannot = |choice| opening::project(&entry, choice).err().unwrap();
    let early = choice(Stage::Weather, &[Part::Thought], None);
    assert_eq!(
        cannot(early),
        CannotShow::TooEarly(Part::Thought, Stage::Weather)
    );
    assert_eq!(cannot(choice(Stage::Gist, &[], None)), CannotShow::NoGist);
    let knock = choice(Stage::Knock, &[], Some("It is me."));
    assert_eq!(cannot(knock), CannotShow::GistTooEarly(Stage::Knock));
    let body = choice(Stage::Room, &[Part::Body], None);
    assert_eq!(cannot(body), CannotShow::Nothing(Part::Body));
    let plain = read(&kept("one"));
    let weather = opening::project(&plain, Stage::Weather).err();
    assert_eq!(weather, Some(CannotShow::Nothing(Part::Feeling)));
}

#[test]
fn a_door_opens_further_and_never_less_far() {
    let entry = felt();
    let project = |choice| opening::project(&entry, choice).unwrap();
    let mut doc = opened(&project(choice(Stage::Knock, &[], None)));
    for (choice, shows) in [
        (
            choice(Stage::Weather, &[Part::Feeling], None),
            vec![Part::Feeling],
        ),
        (
            choice(Stage::Gist, &[], Some("Afraid.")),
            vec![Part::Feeling],
        ),
        (
            choice(Stage::Room, &[Part::Text], None),
            vec![Part::Feeling, Part::Text],
        ),
    ] {
        let projection = project(choice);
        let raised = doc.transact(|tx| opening::raise(tx, &projection)).unwrap();
        assert!(raised.result);
        assert_eq!(opening::read(&doc).unwrap().parts, shows);
    }
    let read = opening::read(&doc).unwrap();
    assert_eq!(read.gist.as_deref(), Some("Afraid."));
    assert_eq!(read.text(), "The whole story.");
    assert!(!tells(&doc, "school gate") && !tells(&doc, "forgot"));
    let back = project(choice(Stage::Weather, &[Part::Feeling], None));
    assert!(doc.transact(|tx| opening::raise(tx, &back)).is_err());
    let same = project(choice(Stage::Room, &[Part::Text], None));
    let again = doc.transact(|tx| opening::raise(tx, &same)).unwrap();
    assert!(!again.result);
}

#[test]
fn opened_further_on_two_devices_at_once_the_lower_stage_holds_until_the_next() {
    let entry = felt();
    let project = |choice| opening::project(&entry, choice).unwrap();
    let knock = opened(&project(choice(Stage::Knock, &[], None)));
    let (mut laptop, mut phone) = (knock.fork(), knock.fork());
    let weather = project(choice(Stage::Weather, &[Part::Feeling], None));
    let room = project(choice(Stage::Room, &[Part::Text], None));
    laptop.transact(|tx| opening::raise(tx, &weather)).unwrap();
    phone.transact(|tx| opening::raise(tx, &room)).unwrap();
    let mut other = phone.fork();
    other.merge(&mut laptop.clone()).unwrap();
    laptop.merge(&mut phone).unwrap();
    for doc in [&laptop, &other] {
        let read = opening::read(doc).unwrap();
        assert_eq!(
            (read.stage, read.parts),
            (Stage::Weather, vec![Part::Feeling])
        );
        assert!(read.paragraphs.is_empty());
    }
    let room = project(choice(Stage::Room, &[Part::Thought], None));
    laptop.transact(|tx| opening::raise(tx, &room)).unwrap();
    let read = opening::read(&laptop).unwrap();
    assert_eq!(read.stage, Stage::Room);
    assert!(read.shows(Part::Thought) && read.layers.thought.story.is_some());
}

#[test]
fn the_text_of_a_door_that_does_not_show_it_cannot_be_edited_into_it() {
    let entry = felt();
    let weather = opening::project(&entry, Stage::Weather).unwrap();
    let mut doc = opened(&weather);
    let edit = Edit {
        text: Some("The whole story.".to_owned()),
        ..Edit::default()
    };
    assert!(doc.transact(|tx| opening::edit(tx, &edit)).is_err());
    assert!(!tells(&doc, "whole story"));
}

#[test]
fn an_opening_from_before_there_were_parts_is_a_room_with_its_text() {
    let mut doc = opened(&opening::project(&read(&kept("one")), Stage::Room).unwrap());
    doc.transact(|tx| {
        for key in [schema::DOOR, schema::WHEN, schema::REPLY] {
            tx.delete(automerge::ROOT, key)?;
        }
        Ok::<_, automerge::AutomergeError>(())
    })
    .unwrap();
    let read = opening::read(&doc).unwrap();
    assert_eq!((read.stage, read.text().as_str()), (Stage::Room, "one"));
    assert!(read.reply && read.shows(Part::Photos));
}

#[test]
fn the_preview_shows_everything_ben_gets_and_cannot_paint_the_terminal() {
    let mut new = letter("We walked.\n\u{1b}[2JIt rained.");
    new.tags = vec!["hidden-tag".to_owned()];
    let mut doc = device(1);
    change(&mut doc, |tx| entry::create(tx, &new)).unwrap();
    let shown = opening::preview(&opening::project(&read(&doc), Stage::Room).unwrap());
    for part in [
        "room",
        "By the sea",
        "2026-07-01",
        "We walked.\n␛[2JIt rained.",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    for part in ["21:30", "hidden-tag", "\u{1b}"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn ana_changes_the_shared_copy_and_no_time_is_told() {
    let mut shared = opened(&opening::project(&read(&kept("one\ntwo")), Stage::Room).unwrap());
    let edit = Edit {
        title: Some(None),
        date: Some("2026-07-02T23:59".to_owned()),
        text: Some("one\nthree".to_owned()),
        seen: None,
    };
    assert!(change(&mut shared, |tx| opening::edit(tx, &edit)).unwrap());
    assert!(!change(&mut shared, |tx| opening::edit(tx, &edit)).unwrap());
    let opening = opening::read(&shared).unwrap();
    assert_eq!(
        (opening.title.as_deref(), opening.date.as_str()),
        (None, "2026-07-02")
    );
    assert_eq!(opening.text(), "one\nthree");
    assert!(!holds(&bytes_of(&shared), b"23:59"));
    assert!(
        shared
            .get_changes(&[])
            .iter()
            .all(|change| change.timestamp() == 0)
    );
}

#[test]
fn the_time_of_opening_is_left_out() {
    let projection = opening::project(&read(&kept("one")), Stage::Room).unwrap();
    let mut shared = device(9);
    change(&mut shared, |tx| {
        opening::create(tx, &projection, "2026-07-03T04:05")
    })
    .unwrap();
    assert_eq!(opening::read(&shared).unwrap().opened_on, "2026-07-03");
    let refused = change(&mut device(9), |tx| {
        opening::create(tx, &projection, "yesterday")
    });
    assert!(matches!(refused, Err(Error::Invalid(Invalid::BadDate))));
}

#[test]
fn stages_are_written_as_on_the_command_line() {
    for word in ["knock", "weather", "gist", "room"] {
        assert_eq!(word.parse::<Stage>().unwrap().to_string(), word);
    }
    assert!("Room".parse::<Stage>().is_err());
    assert!(Stage::Knock < Stage::Room);
}

#[test]
fn ben_has_a_name_and_changes_it() {
    let mut doc = device(1);
    change(&mut doc, |tx| profile::create(tx, "Ben")).unwrap();
    assert_eq!(profile::read(&doc).unwrap().name, "Ben");
    assert!(change(&mut doc, |tx| profile::rename(tx, "Benedikt")).unwrap());
    assert!(!change(&mut doc, |tx| profile::rename(tx, "Benedikt")).unwrap());
    assert_eq!(profile::read(&doc).unwrap().name, "Benedikt");
    let long = "é".repeat(65);
    for bad in ["", "  ", "a\u{1b}[31m", "a\nb", "a\u{202E}b", &long] {
        let refused = change(&mut doc, |tx| profile::rename(tx, bad));
        assert!(
            matches!(refused, Err(Error::Invalid(Invalid::BadName))),
            "{bad:?}"
        );
    }
}
