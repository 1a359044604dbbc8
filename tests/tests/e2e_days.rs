//! What comes again: rituals and whose turn it is, old days and what rests, the calendar.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use ajar_tests::client::Person;
use ajar_tests::relay::Relay;
use ajar_tests::two::{ids, in_years, met};
use serde_json::Value;

/// One of the rituals that both want.
fn ritual(person: &Person, id: &str) -> Option<Value> {
    let list = person.says(&["ritual", "list"]);
    let mut all = list["rituals"].as_array().unwrap().iter();
    all.find(|one| one["id"] == id).cloned()
}

#[test]
fn an_exchange_diary_goes_from_one_to_the_other() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let id = ana.kept(&["ritual", "new", "--from", "diary"]);
    ben.sync();
    assert_eq!(
        ana.refused(&["ritual", "done", &id, "Too early."]),
        "not-both"
    );
    assert_eq!(ritual(&ben, &id), None);
    assert_eq!(ben.says(&["ritual", "agree", &id])["both"], true);
    ana.sync();
    let next = |person: &Person| ritual(person, &id).unwrap()["next_page"].clone();
    assert_eq!((next(&ana), next(&ben)), ("me".into(), "partner".into()));
    assert_eq!(
        ben.refused(&["ritual", "done", &id, "Me first."]),
        "not-your-turn"
    );
    assert_eq!(ana.refused(&["ritual", "done", &id, ""]), "empty");
    let _ = ana.kept(&["ritual", "done", &id, "One line."]);
    assert_eq!(
        ana.refused(&["ritual", "done", &id, "And another."]),
        "not-your-turn"
    );
    ben.sync();
    assert_eq!((next(&ana), next(&ben)), ("partner".into(), "me".into()));
    let _ = ben.kept(&["ritual", "pass", &id]);
    ana.sync();
    assert_eq!((next(&ana), next(&ben)), ("me".into(), "partner".into()));
    for person in [&ana, &ben] {
        let notes = person.says(&["ritual", "show", &id])["notes"].clone();
        let notes = notes.as_array().unwrap();
        assert_eq!(notes.len(), 1, "a pass leaves no trace: {notes:?}");
        assert_eq!(
            (&notes[0]["note"], &notes[0]["author_name"]),
            (&"One line.".into(), &"Ana".into())
        );
    }
    assert_eq!(ben.says(&["ritual", "end", &id])["changed"], true);
    ana.sync();
    assert_eq!((ritual(&ana, &id), ritual(&ben, &id)), (None, None));
    assert_eq!(
        ana.refused(&["ritual", "done", &id, "One more."]),
        "not-both"
    );
}

#[test]
fn a_ritual_is_due_until_one_of_the_two_has_done_it() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let walk = [
        "ritual",
        "new",
        "Walk",
        "--cadence",
        "weekly",
        "--step",
        "No phones",
    ];
    let id = ana.kept(&walk);
    ben.sync();
    let _ = ben.says(&["ritual", "agree", &id]);
    ana.sync();
    for person in [&ana, &ben] {
        let ritual = ritual(person, &id).unwrap();
        assert_eq!(
            (&ritual["due"], &ritual["next_page"]),
            (&true.into(), &Value::Null)
        );
        let mut fields: Vec<&String> = ritual.as_object().unwrap().keys().collect();
        fields.sort_unstable();
        let expected = [
            "author",
            "cadence",
            "due",
            "id",
            "name",
            "next_page",
            "steps",
            "waits_for",
        ];
        assert_eq!(fields, expected, "nothing is counted");
    }
    let _ = ben.kept(&["ritual", "done", &id]);
    ana.sync();
    assert_eq!(ritual(&ana, &id).unwrap()["due"], false);
    assert_eq!(ritual(&ben, &id).unwrap()["due"], false);
    assert_eq!(ana.refused(&["ritual", "pass", &id]), "no-turns");
    assert_eq!(
        ana.says(&["ritual", "library"]).as_array().unwrap().len(),
        5
    );
}

/// The titles that come back today.
fn back(person: &Person, more: &[&str]) -> Vec<String> {
    let said = person.says(&[&["on-this-day"], more].concat());
    let years = said["years"].as_array().unwrap().iter();
    let items = years.flat_map(|year| year["items"].as_array().unwrap().clone());
    let mut titles: Vec<String> = items
        .map(|item| item["title"].as_str().unwrap_or_default().to_owned())
        .collect();
    titles.sort();
    titles
}

fn write_on(person: &Person, title: &str, day: &str, tag: &str) -> String {
    person.kept(&[
        "write",
        "--title",
        title,
        "--date",
        day,
        "--tag",
        tag,
        "some words",
    ])
}

#[test]
fn old_days_come_back_only_to_whoever_wants_that_and_not_what_rests() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let last_year = in_years(&ana, -1);
    let sea = write_on(&ana, "Sea", &format!("{last_year}T21:30"), "holiday");
    let _ = write_on(&ana, "Ward", &last_year, "hospital");
    let _ = write_on(&ana, "Today", &in_years(&ana, 0), "holiday");
    let copy = ana.kept(&["open", &sea, "--stage", "room", "--yes"]);
    ben.sync();
    assert!(back(&ana, &[]).is_empty());
    let _ = (
        ana.says(&["on-this-day", "on"]),
        ben.says(&["on-this-day", "on"]),
    );
    assert_eq!(back(&ana, &[]), ["Sea", "Sea", "Ward"]);
    assert_eq!(back(&ben, &[]), ["Sea"]);

    let tag = ana.kept(&["mute", "--tag", "hospital"]);
    assert_eq!(back(&ana, &["--heavier"]), ["Sea", "Sea"]);
    // What Ana lets rest changes nothing that Ben sees, and Ben is sent nothing.
    let words = ben.says(&["status", "--words"]);
    let record = ana.kept(&["mute", "--record", &copy]);
    assert!(back(&ana, &[]).is_empty(), "an entry rests with its copy");
    ana.sync();
    ben.sync();
    assert_eq!(back(&ben, &[]), ["Sea"]);
    assert_eq!(ben.says(&["status", "--words"]), words);
    assert_eq!(
        ids(&ana.says(&["list", "--us"])),
        [copy],
        "lists find it all the same"
    );

    let mut muted = ids(&ana.says(&["mute", "list"]));
    muted.sort_unstable();
    let mut both = vec![tag.clone(), record.clone()];
    both.sort_unstable();
    assert_eq!(muted, both);
    for rule in [&tag, &record] {
        assert_eq!(ana.says(&["mute", "lift", rule])["changed"], true);
    }
    assert_eq!(back(&ana, &[]), ["Sea", "Sea", "Ward"]);
    let _ = ana.kept(&["mute", "--days", &format!("{last_year}..{last_year}")]);
    assert!(back(&ana, &[]).is_empty());
    let _ = ben.says(&["on-this-day", "off"]);
    assert!(back(&ben, &[]).is_empty());
    assert_eq!(
        ana.refused(&["mute", "--days", "2024-04-01..2024-03-01"]),
        "bad-date"
    );
}

#[test]
fn what_one_lets_rest_does_not_ask_them_for_the_book_either() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let id = ana.opened("Harbour", "the lights");
    let _ = ana.says(&["book", "put", &id]);
    ben.sync();
    assert_eq!(ids(&ben.says(&["book", "waiting"])), [id.as_str()]);
    let _ = ben.kept(&["mute", "--record", &id]);
    assert!(ids(&ben.says(&["book", "waiting"])).is_empty());
    ben.sync();
    ana.sync();
    assert_eq!(ana.says(&["book", "waiting"])[0]["waits_for"], "both");
}

#[test]
fn a_calendar_and_a_day_show_whose_is_what() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let hers = write_on(&ana, "Hers", "2024-07-01T08:00", "sea");
    let copy = ana.kept(&["open", &hers, "--stage", "room", "--yes"]);
    let entry = write_on(&ben, "His", "2024-07-01", "sea");
    let his = ben.kept(&["open", &entry, "--stage", "room", "--yes"]);
    ana.sync();
    for when in ["2024-07", "2024"] {
        let days = ana.says(&["calendar", when])["days"].clone();
        assert_eq!(days.as_array().unwrap().len(), 1);
        assert_eq!(days[0]["date"], "2024-07-01");
        assert_eq!(days[0]["only_me"][0], hers.as_str());
        assert_eq!(days[0]["by_me"][0], copy.as_str());
        assert_eq!(days[0]["by_partner"][0], his.as_str());
    }
    let shared = ana.says(&["calendar", "2024-07", "--us"])["days"][0].clone();
    assert_eq!(shared["only_me"], Value::Array(Vec::new()));
    let day = ana.says(&["day", "2024-07-01"]);
    assert_eq!(ids(&day["theirs"]), [his.as_str()]);
    assert_eq!(ids(&day["mine"]).len(), 2);
    assert_eq!(
        ids(&ana.says(&["day", "2024-07-01", "--us"])["mine"]),
        [copy.as_str()]
    );
    assert_eq!(ana.refused(&["calendar", "2024-13"]), "bad-date");

    // Lists and searches by author.
    assert_eq!(
        ids(&ana.says(&["list", "--author", "partner"])),
        [his.as_str()]
    );
    assert_eq!(
        ids(&ana.says(&["search", "--author", "partner", "words"])),
        [his]
    );
    let mine = ana.says(&[
        "search",
        "--author",
        "me",
        "--us",
        "--since",
        "2024-07-01",
        "words",
    ]);
    assert_eq!(ids(&mine), [copy]);
    assert!(ids(&ana.says(&["search", "--until", "2024-06-30", "words"])).is_empty());
    assert_eq!(ids(&ana.says(&["search", "--tag", "sea", "words"])), [hers]);
    assert!(ids(&ana.says(&["search", "--has-photo", "words"])).is_empty());
}
