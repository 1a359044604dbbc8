//! Burning, with the commands that a person types: what is gone at once, what is gone when every
//! device has confirmed it, and who decides. In the end somebody who has every disk and every key
//! that is left looks for it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails where it breaks"
)]

use std::path::Path;
use std::time::Duration;

use ajar_journal::opening;
use ajar_sync::{BlobId, Builder, Passphrase, SpaceKind, doc_id_text};
use ajar_tests::client::{Person, pair};
use ajar_tests::recovery::{notices, with_words};
use ajar_tests::relay::Relay;
use ajar_tests::searcher::{Keys, Opened, search};
use serde_json::{Value, json};

const STAYS: &str = "kelp-STAYS-CANARY-lantern";
const TEXT: &str = "saltmarsh-BURNED-CANARY-thimble";
const TITLE: &str = "quartz-BURNED-TITLE-heron";
const PHOTO: &str = "umber-BURNED-PHOTO-gannet";
/// Rounds of exchanges after which everything must be confirmed.
const ROUNDS: usize = 6;

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

/// Keeps an entry and opens it; the ids of both.
fn opened(person: &Person, text: &str) -> (String, String) {
    let entry = person.write("title", text);
    let open = person.ajar(&["open", &entry, "--stage", "room", "--yes"]);
    let opening = open.json()["id"].as_str().unwrap().to_owned();
    (entry, opening)
}

fn burns(person: &Person) -> Vec<Value> {
    let status = person.ajar(&["burn", "--status"]).json();
    status["burns"].as_array().unwrap().clone()
}

fn states(person: &Person) -> Vec<String> {
    let burns = burns(person).into_iter();
    burns
        .map(|burn| burn["state"].as_str().unwrap().to_owned())
        .collect()
}

fn all_destroyed(person: &Person) -> bool {
    let states = states(person);
    !states.is_empty() && states.iter().all(|state| state == "destroyed")
}

/// Everybody exchanges until all keys are destroyed everywhere. Returns the states that were seen.
fn until_destroyed(people: &[&Person]) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        for person in people {
            person.sync();
            seen.extend(states(person));
        }
        if people.iter().all(|person| all_destroyed(person)) {
            seen.dedup();
            return seen;
        }
    }
    let last: Vec<_> = people.iter().map(|person| burns(person)).collect();
    panic!("not destroyed after {ROUNDS} rounds: {last:#?}");
}

/// Looks with every key that these people and the words have.
fn search_all(relay: &Relay, people: &[&Person], words: &str) -> Opened {
    let mut keys = Keys::default();
    for person in people {
        keys.add(person);
    }
    keys.add_words(words);
    let homes: Vec<_> = people.iter().map(|person| person.home()).collect();
    let mut folders: Vec<&Path> = homes.iter().map(AsRef::as_ref).collect();
    folders.push(relay.everything());
    search(
        keys,
        &folders,
        &[STAYS, TEXT, TITLE, PHOTO],
        &[PHOTO_LENGTH],
    )
}

const PHOTO_LENGTH: u64 = 5000;

fn has(opened: &Opened, text: &str) -> bool {
    opened.found.iter().any(|(found, _)| found == text)
}

#[test]
fn what_was_burned_is_nowhere_once_all_have_confirmed_whatever_keys_are_left() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let (ana, words) = with_words("Ana", &address, &[]);
    let ben = Person::with_home("Ben", &address);
    pair(&ana, &ben);
    let phone = ana.device("phone");
    let all = [&ana, &phone, &ben];
    let _ = opened(&ana, STAYS);

    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photo.bin");
    let mut bytes = vec![0; 5000];
    getrandom::fill(&mut bytes).unwrap();
    bytes[2000..2000 + PHOTO.len()].copy_from_slice(PHOTO.as_bytes());
    std::fs::write(&photo, &bytes).unwrap();
    let photo = photo.to_str().unwrap();
    let writing = [
        "write",
        "--title",
        TITLE,
        "--photo",
        photo,
        "--original",
        "-",
    ];
    let entry = ana.ajar_with_input(&writing, TEXT).json()["id"].clone();
    let entry = entry.as_str().unwrap();
    let open = ana.ajar(&["open", entry, "--stage", "room", "--yes"]);
    let opening = open.json()["id"].as_str().unwrap().to_owned();
    for person in all {
        person.sync();
    }
    assert!(ben.shared_texts().contains(&TEXT.to_owned()));
    for (number, person) in all.into_iter().enumerate() {
        let here = folder.path().join(number.to_string());
        let took = person.ajar(&["photo", &opening, "1", here.to_str().unwrap()]);
        assert_eq!(took.code, 0, "{took:?}");
        assert_eq!(std::fs::read(here).unwrap(), bytes);
    }

    // A search that finds nothing proves nothing unless it finds what is there.
    let before = search_all(&relay, &all, &words);
    for text in [STAYS, TEXT, TITLE, PHOTO] {
        assert!(has(&before, text), "{text}: {before:#?}");
    }

    // Without a relay it is gone from here, and nobody says more than that.
    relay.kill();
    let burning = ["burn", entry, "--with-openings", "--yes", "--timeout", "2"];
    let burned = ana.ajar(&burning).exits(4);
    let told: Value = serde_json::from_str(&burned.out).unwrap();
    assert_eq!(told["burned"], json!([opening, entry]), "{burned:?}");
    assert_eq!(told["delivered"], false);
    assert!(
        burned
            .err
            .contains("Ben's app removes it when it next syncs."),
        "{burned:?}"
    );
    assert_eq!(states(&ana), ["requested", "requested"]);
    assert_eq!(
        burns(&ana)
            .iter()
            .map(|b| b["confirmed"].clone())
            .collect::<Vec<_>>(),
        [0, 0]
    );
    for (id, space) in [(entry, "me"), (opening.as_str(), "us")] {
        assert_eq!(ana.ajar(&["show", id]).exits(1).error_code(), "not-found");
        assert_eq!(ana.texts(space), [STAYS]);
    }

    relay.serve();
    let seen = until_destroyed(&all);
    assert!(seen.iter().any(|state| state == "confirmed"), "{seen:?}");
    for person in all {
        assert_eq!(person.texts("us"), [STAYS]);
        assert_eq!(person.ajar(&["doctor"]).code, 0);
    }
    assert!(notices(&ben).iter().any(|(code, _)| code == "burned"));

    // Dead records lie at the relay until it gives the room back, old EPOCHs among them, which the
    // lasting keys of devices and the words still open. It deletes in the background, and what a
    // restart interrupts goes on after it.
    let burned = [TEXT, TITLE, PHOTO];
    let mut attempts = 0;
    let after = loop {
        relay.erase_dead();
        let after = search_all(&relay, &all, &words);
        attempts += 1;
        if attempts == 10 || !burned.iter().any(|text| has(&after, text)) {
            break after;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    assert!(has(&after, STAYS), "{after:#?}");
    for text in burned {
        assert!(!has(&after, text), "{text}: {after:#?}");
    }
    // Life goes on under the new keys.
    assert!(ben.share("after the fire"));
    ana.sync();
    phone.sync();
    for person in [&ana, &phone] {
        assert!(person.texts("us").contains(&"after the fire".to_owned()));
    }
}

#[test]
fn a_device_that_is_away_holds_the_keys_back_until_it_is_removed() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let phone = ana.device("phone");
    let (_, opening) = opened(&ana, TEXT);
    for person in [&ana, &phone, &ben] {
        person.sync();
    }
    assert_eq!(ana.ajar(&["burn", &opening, "--yes"]).code, 0);
    for person in [&ben, &ana, &ben, &ana] {
        person.sync();
    }
    let waiting = burns(&ana);
    assert_eq!(waiting[0]["state"], "confirmed", "{waiting:#?}");
    assert_eq!(
        (&waiting[0]["confirmed"], &waiting[0]["of"]),
        (&json!(2), &json!(3))
    );
    let doctor = ana.ajar(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(doctor.out.contains("waiting for your phone"), "{doctor:?}");
    let status = ana.ajar(&["status"]).json();
    assert_eq!(status["burns"], json!(waiting));
    // Ben is told how many, and no name.
    let told = ben.ajar(&["doctor"]);
    assert!(told.out.contains("one device of Ana"), "{told:?}");
    assert!(!told.out.contains("phone"), "{told:?}");

    ana.remove("phone", "--lost");
    until_destroyed(&[&ana, &ben]);
    assert_eq!(ben.shared_texts(), Vec::<String>::new());
}

#[test]
fn what_ana_wrote_is_anas_to_burn_and_ben_can_only_ask() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let (entry, opening) = opened(&ana, TEXT);
    ben.sync();
    let asked = ben.ajar(&["burn", &opening, "--yes"]);
    let told = asked.json();
    assert_eq!(
        (&told["burned"], &told["asked"]),
        (&json!([]), &json!([opening]))
    );
    assert!(
        asked.err.contains("Ana is asked; it is Ana's to decide"),
        "{asked:?}"
    );
    assert_eq!(burns(&ben), Vec::<Value>::new());
    ana.sync();
    let codes: Vec<String> = notices(&ana).into_iter().map(|(code, _)| code).collect();
    assert!(codes.contains(&"burn-asked".to_owned()), "{codes:?}");
    let list = ana.ajar(&["burn", "--asked"]).json();
    assert_eq!(list["asked"][0]["id"], json!(opening), "{list}");
    assert_eq!(list["asked"][0]["text"], TEXT);
    // Nobody burns by not answering.
    for person in [&ana, &ben] {
        person.sync();
        assert_eq!(person.shared_texts(), [TEXT]);
    }
    let no = ana.ajar(&["burn", "--asked", "--no"]).json();
    assert_eq!(no, json!({"dismissed": 1}));
    assert_eq!(ana.ajar(&["burn", "--asked"]).json(), json!({"asked": []}));
    assert_eq!(ana.shared_texts(), [TEXT]);

    // Asked again, Ana agrees; her entry stays, and can be opened again.
    assert_eq!(ben.ajar(&["burn", &opening, "--yes"]).code, 0);
    ana.sync();
    assert_eq!(
        ana.ajar(&["burn", "--asked"]).json()["asked"][0]["id"],
        json!(opening)
    );
    assert_eq!(ana.ajar(&["burn", &opening, "--yes"]).code, 0);
    until_destroyed(&[&ana, &ben]);
    assert_eq!(ana.ajar(&["burn", "--asked"]).json(), json!({"asked": []}));
    assert_eq!(ben.shared_texts(), Vec::<String>::new());
    assert_eq!(ana.texts("me"), [TEXT]);
    let again = ana
        .ajar(&["open", &entry, "--stage", "room", "--yes"])
        .json();
    assert_ne!(again["id"], json!(opening));
    ben.sync();
    assert_eq!(ben.shared_texts(), [TEXT]);
}

#[test]
fn burning_an_entry_leaves_what_was_opened_from_it_unless_told_otherwise() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let (entry, opening) = opened(&ana, TEXT);
    ben.sync();
    let burned = ana.ajar(&["burn", &entry, "--yes"]);
    assert_eq!(burned.json()["burned"], json!([entry]));
    let short = opening.get(..8).unwrap();
    assert!(
        burned.err.contains("Opened to Ben, and staying:"),
        "{burned:?}"
    );
    assert!(burned.err.contains(short), "{burned:?}");
    assert_eq!(ben.shared_texts(), [TEXT]);
    assert_eq!(ana.shared_texts(), [TEXT]);
    // Without a terminal and without --yes nothing is burned.
    let refused = ana.ajar(&["burn", &opening]).exits(1);
    assert_eq!(refused.error_code(), "no-terminal", "{refused:?}");
    assert_eq!(ana.shared_texts(), [TEXT]);
}

#[test]
fn a_burn_of_bens_takes_no_photo_of_anas() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photo.bin");
    std::fs::write(&photo, vec![7; 5000]).unwrap();
    let writing = [
        "write",
        "--photo",
        photo.to_str().unwrap(),
        "--original",
        "with a photo",
    ];
    let entry = ana.ajar(&writing).json()["id"].as_str().unwrap().to_owned();
    let open = ana
        .ajar(&["open", &entry, "--stage", "room", "--yes"])
        .json();
    let opening = open["id"].as_str().unwrap();
    ben.sync();
    {
        let passphrase = Passphrase::new(&ben.passphrase).unwrap();
        let home = Builder::new(ben.home())
            .with_passphrase(passphrase)
            .open()
            .unwrap();
        let us = home.space(SpaceKind::Shared).unwrap();
        let all = us.documents().unwrap();
        let found = all
            .iter()
            .find(|info| doc_id_text(info.id) == opening)
            .unwrap();
        let read = us.document(found.id).read(opening::read).unwrap().unwrap();
        let blobs: Vec<BlobId> = read
            .photos
            .iter()
            .flat_map(ajar_journal::Photo::blobs)
            .map(|blob| BlobId(blob.id))
            .collect();
        assert_eq!(blobs.len(), 1);
        let own = ajar_tests::library::write(&us, "mine");
        us.burn(&[own], &blobs).unwrap();
        home.close().unwrap();
    }
    ben.sync();
    ana.sync();
    relay.kill();
    let here = folder.path().join("here");
    let took = ana.ajar(&[
        "photo",
        opening,
        "1",
        here.to_str().unwrap(),
        "--timeout",
        "2",
    ]);
    assert_eq!(took.code, 0, "{took:?}");
}
