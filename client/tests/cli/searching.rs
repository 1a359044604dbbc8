//! Finding words again, and lists that load nothing.

use serde_json::Value;

use super::Ana;

/// Ana with three entries.
fn written() -> Ana {
    let ana = Ana::with_home();
    for (title, day, tag, text) in [
        (
            "Rain",
            "2026-07-01",
            "sea",
            "It RAINED all day by the harbour.",
        ),
        (
            "Été",
            "2026-07-02T09:00",
            "café",
            "Warm rain, and then sun.",
        ),
        ("Snow", "2026-01-05", "hills", "No colours left."),
    ] {
        let args = ["write", "--title", title, "--date", day, "--tag", tag, text];
        assert!(ana.ajar(&args).status.success());
    }
    ana
}

fn titles(found: &Value) -> Vec<&str> {
    let found = found.as_array().unwrap().iter();
    found.map(|one| one["title"].as_str().unwrap()).collect()
}

#[test]
fn all_words_must_occur_in_title_text_or_tags() {
    let ana = written();
    let found = |words: &[&str]| {
        let found = ana.json(&[&["search"], words].concat());
        titles(&found).join(" ")
    };
    assert_eq!(found(&["rain"]), "Été Rain");
    assert_eq!(found(&["RAIN", "harbour"]), "Rain");
    assert_eq!(found(&["rain harbour"]), "Rain");
    assert_eq!(found(&["e\u{301}te\u{301}"]), "Été");
    assert_eq!(found(&["hills"]), "Snow");
    assert_eq!(found(&["rain", "snow"]), "");
    assert_eq!(found(&["--limit", "1", "rain"]), "Été");
    assert_eq!(found(&["--us", "rain"]), "");
    assert_eq!(found(&["--me", "rain"]), "Été Rain");
    let whole = ana.json(&["search", "harbour"]);
    assert_eq!(whole, ana.json(&["list", "--tag", "sea"]));
    let lines = ana.ajar(&["search", "rain"]).stdout;
    assert_eq!(lines, ana.ajar(&["list", "--since", "2026-07-01"]).stdout);
    assert_eq!(ana.fails(&["search", "  "]), ("no-words".to_owned(), 1));
    assert_eq!(ana.fails(&["search"]), ("usage".to_owned(), 2));
}

#[test]
fn what_is_edited_is_found_by_its_new_words_and_in_its_new_place() {
    let ana = written();
    let list = ana.json(&["list"]);
    assert_eq!(titles(&list), ["Été", "Rain", "Snow"]);
    let snow = list[2]["id"].as_str().unwrap();
    let args = ["edit", snow, "--date", "2026-08-01", "Colours again."];
    assert!(ana.ajar(&args).status.success());
    assert_eq!(titles(&ana.json(&["list"])), ["Snow", "Été", "Rain"]);
    assert_eq!(titles(&ana.json(&["list", "--limit", "1"])), ["Snow"]);
    assert_eq!(titles(&ana.json(&["search", "again"])), ["Snow"]);
    assert_eq!(titles(&ana.json(&["search", "left"])), [""; 0]);
    let bounds = ["list", "--since", "2026-07-01", "--until", "2026-07-02"];
    assert_eq!(titles(&ana.json(&bounds)), ["Été", "Rain"]);
}

#[test]
fn an_entry_with_more_tags_than_a_line_can_hold_is_listed_by_each_of_them() {
    let ana = written();
    let tags: Vec<String> = (0..60).map(|n| format!("{n:0>64}")).collect();
    let title = "A long title. ".repeat(70);
    let mut args = vec!["write", "--title", title.trim(), "--date", "2026-09-01"];
    for tag in &tags {
        args.extend(["--tag", tag]);
    }
    args.push("Much to say.");
    assert!(ana.ajar(&args).status.success());
    for tag in [&tags[0], &tags[59]] {
        let found = ana.json(&["list", "--tag", tag]);
        assert_eq!(titles(&found), [title.trim()]);
    }
    let line = ana.ajar(&["list", "--limit", "1"]).stdout;
    assert!(String::from_utf8(line).unwrap().contains(title.trim()));
}

#[test]
fn the_doctor_makes_the_tables_anew_when_told() {
    let ana = written();
    let before = ana.json(&["list"]);
    let checks = ana.json(&["doctor", "--rebuild"]);
    let told = checks["checks"].as_array().unwrap().iter();
    let tables = told.filter(|check| check["what"] == "table of Only me");
    assert_eq!(tables.count(), 1, "{checks}");
    assert_eq!(ana.json(&["list"]), before);
    let usual = ana.json(&["doctor"]).to_string();
    assert!(!usual.contains("table"), "{usual}");
}
