//! What needs both: the book, words and agreements are there as long as both want them, and no
//! longer. Nobody changes what the other wrote.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use ajar_tests::client::Person;
use ajar_tests::relay::Relay;
use ajar_tests::two::{ids, met};
use serde_json::Value;

/// Everything in the chapters of a person's book.
fn book(person: &Person) -> Vec<String> {
    let book = person.says(&["book"]);
    let chapters = book["chapters"].as_array().unwrap().iter();
    chapters
        .flat_map(|chapter| ids(&chapter["items"]))
        .collect()
}

/// Who something waits for.
fn waits(person: &Person, id: &str) -> Option<String> {
    let waiting = person.says(&["book", "waiting"]);
    let mut waiting = waiting.as_array().unwrap().iter();
    let one = waiting.find(|one| one["id"] == id)?;
    one["waits_for"].as_str().map(str::to_owned)
}

#[test]
fn something_is_in_the_book_when_both_have_put_it_there_and_either_takes_it_out() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let id = ana.opened("Harbour", "the lights");
    ben.sync();
    let put = ana.says(&["book", "put", &id]);
    assert_eq!(
        (&put["both"], &put["delivered"]),
        (&false.into(), &true.into())
    );
    ben.sync();
    assert!(book(&ana).is_empty() && book(&ben).is_empty());
    // It is not told whether Ben has seen it or does not want it.
    assert_eq!(waits(&ana, &id).as_deref(), Some("both"));
    assert_eq!(waits(&ben, &id).as_deref(), Some("me"));

    assert_eq!(ben.says(&["book", "put", &id])["both"], true);
    ana.sync();
    assert_eq!(book(&ana), [id.as_str()]);
    assert_eq!(book(&ben), [id.as_str()]);
    assert_eq!(waits(&ana, &id), None);

    for (who, other) in [(&ben, &ana), (&ana, &ben)] {
        assert_eq!(who.says(&["book", "take-out", &id])["changed"], true);
        other.sync();
        assert!(book(&ana).is_empty() && book(&ben).is_empty());
        // Whoever has said no is not asked again.
        assert_eq!(waits(who, &id), None);
        assert_eq!(who.says(&["book", "put", &id])["both"], true);
        other.sync();
        assert_eq!(book(other), [id.as_str()]);
    }

    // Another text is another thing: Ben has put in what stood there before.
    let edited = ana.ajar(&["edit", &id, "the lights, and then the dark"]);
    assert_eq!(edited.code, 0, "{edited:?}");
    ana.sync();
    ben.sync();
    assert!(book(&ana).is_empty() && book(&ben).is_empty());
    assert_eq!(waits(&ben, &id).as_deref(), Some("me"));
    assert_eq!(ben.says(&["book", "put", &id])["both"], true);

    // What is in Only me has no place there, and nothing is said about it to anybody.
    let private = ana.write("mine", "not yet");
    assert_eq!(ana.refused(&["book", "put", &private]), "only-me");
}

#[test]
fn a_page_is_written_by_both_and_each_paragraph_is_its_authors() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let page = ana.kept(&["book", "page", "new", "That evening", "--repair"]);
    let first = ana.kept(&[
        "book",
        "page",
        "write",
        &page,
        "--section",
        "1",
        "I came late.",
    ]);
    ben.sync();
    let part = ben.kept(&[
        "book",
        "page",
        "write",
        &page,
        "--section",
        "4",
        "I did not ask.",
    ]);
    let margin = ben.kept(&[
        "book",
        "page",
        "write",
        &page,
        "--margin",
        "It rained, too.",
    ]);
    ana.sync();
    for person in [&ana, &ben] {
        let shown = person.says(&["book", "page", "show", &page]);
        assert_eq!(
            ids(&shown["paragraphs"]),
            [&margin, &first, &part].map(String::clone)
        );
        let authors = shown["paragraphs"].as_array().unwrap().iter();
        let authors: Vec<&str> = authors
            .map(|p| p["author_name"].as_str().unwrap())
            .collect();
        assert_eq!(authors, ["Ben", "Ana", "Ben"]);
    }

    // Ben cannot put words into Ana's mouth, and is told whose they are.
    let refused = ben
        .ajar(&["book", "page", "edit", &first, "I did not want to come."])
        .exits(1);
    assert_eq!(refused.error_code(), "not-yours");
    assert!(
        refused.err.contains("Ana wrote this paragraph"),
        "{refused:?}"
    );

    let edit = [
        "book",
        "page",
        "edit",
        &first,
        "I came late, and did not say why.",
    ];
    assert_eq!(ana.ajar(&edit).code, 0);
    ben.sync();
    let history = ben.says(&["history", &first]);
    let texts: Vec<&Value> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["text"])
        .collect();
    assert_eq!(texts, ["I came late.", "I came late, and did not say why."]);
    assert_eq!(history[1]["author_name"], "Ana");

    // Withdrawing one's own is burning it.
    assert_eq!(ben.ajar(&["burn", &margin, "--yes"]).code, 0);
    ana.sync();
    let shown = ana.says(&["book", "page", "show", &page]);
    assert_eq!(ids(&shown["paragraphs"]), [first, part]);

    // Making the page was Ana's yes.
    assert!(book(&ana).is_empty());
    assert_eq!(ben.says(&["book", "put", &page])["both"], true);
    assert_eq!(book(&ben), [page]);
}

#[test]
fn a_day_to_remember_needs_both() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let day = [
        "book",
        "milestone",
        "The day we met",
        "2019-05-04",
        "--yearly",
    ];
    let id = ana.kept(&day);
    ben.sync();
    assert!(book(&ben).is_empty());
    assert_eq!(ben.says(&["book", "put", &id])["both"], true);
    ana.sync();
    let chapters = ana.says(&["book"])["chapters"].clone();
    assert_eq!(chapters[0]["year"], "2019");
    assert_eq!(ids(&chapters[0]["items"]), [id]);
}

#[test]
fn a_word_is_theirs_when_both_agree_to_its_meaning() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let add = [
        "word",
        "add",
        "sundaying",
        "doing nothing, together",
        "--point",
        "0.7,-0.5",
    ];
    let id = ana.kept(&add);
    ben.sync();
    for person in [&ana, &ben] {
        assert_eq!(
            person.says(&["word", "list"])["ours"],
            Value::Array(Vec::new())
        );
    }
    let waiting = ben.says(&["word", "list"])["waiting"].clone();
    assert_eq!(waiting[0]["waits_for"], "me");
    assert_eq!(waiting[0]["meaning"], "doing nothing, together");
    assert_eq!(ben.says(&["word", "agree", &id])["both"], true);
    ana.sync();
    let ours = ana.says(&["word", "list"])["ours"].clone();
    assert_eq!(
        (&ours[0]["word"], &ours[0]["point"]),
        (&"sundaying".into(), &"0.7,-0.5".into())
    );
    // Its author can take it back as well as the other.
    assert_eq!(ana.says(&["word", "withdraw", &id])["changed"], true);
    ben.sync();
    let list = ben.says(&["word", "list"]);
    assert!(ids(&list["ours"]).is_empty());
    // That Ana does not want it any more is not told: it waits, as if she had not decided.
    assert_eq!(list["waiting"][0]["waits_for"], "both");
    assert!(ids(&ana.says(&["word", "list"])["waiting"]).is_empty());
    assert_eq!(
        ben.refused(&["word", "agree", &ben.opened("a", "b")]),
        "other-kind"
    );
}

#[test]
fn an_agreement_holds_for_the_words_that_both_have_signed() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let id = ana.kept(&["agree", "new", "No phones at the table."]);
    ben.sync();
    let list = |person: &Person, part: &str| ids(&person.says(&["agree", "list"])[part]);
    assert!(list(&ana, "in_force").is_empty());
    assert_eq!(ben.says(&["agree", "sign", &id])["both"], true);
    ana.sync();
    assert_eq!(list(&ana, "in_force"), [id.as_str()]);

    // A change needs both again; both see it.
    let change = [
        "agree",
        "change",
        &id,
        "No phones at the table, nor in bed.",
    ];
    assert_eq!(ben.refused(&change), "not-yours");
    assert_eq!(ana.ajar(&change).code, 0);
    ben.sync();
    for person in [&ana, &ben] {
        assert!(list(person, "in_force").is_empty());
        assert_eq!(list(person, "waiting"), [id.as_str()]);
    }
    assert_eq!(
        ben.says(&["agree", "list"])["waiting"][0]["changed_since_signed"],
        true
    );
    let history = ben.says(&["history", &id]);
    assert_eq!(history[0]["text"], "No phones at the table.");
    assert_eq!(ben.says(&["agree", "sign", &id])["both"], true);

    // Leaving takes one, and is no secret.
    assert_eq!(ben.says(&["agree", "leave", &id])["changed"], true);
    ana.sync();
    for (person, who) in [(&ana, "partner"), (&ben, "me")] {
        assert!(list(person, "in_force").is_empty());
        let left = person.says(&["agree", "list"])["left"].clone();
        assert_eq!(
            (ids(&left), &left[0]["left_by"][0]),
            (vec![id.clone()], &who.into())
        );
    }
}

#[test]
fn without_the_relay_it_is_kept_and_travels_later() {
    let mut relay = Relay::start();
    let (ana, ben) = met(&relay);
    relay.kill();
    let said = ana
        .ajar(&["agree", "new", "We say hello first.", "--timeout", "1"])
        .exits(4);
    let kept: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(kept["delivered"], false);
    assert!(said.err.contains("not yet delivered"), "{said:?}");
    relay.serve();
    ana.sync();
    ben.sync();
    assert_eq!(
        ids(&ben.says(&["agree", "list"])["waiting"]),
        [kept["id"].as_str().unwrap()]
    );
}

#[test]
fn nothing_counts_and_nobody_alone_has_a_book() {
    let relay = Relay::start();
    let alone = Person::with_home("Ana", &relay.invite());
    for command in [&["book"][..], &["agree", "list"], &["ritual", "list"]] {
        assert_eq!(alone.refused(command), "not-paired", "{command:?}");
    }
    // Words of one's own need nobody else.
    let nothing: [Value; 0] = [];
    assert_eq!(
        alone.says(&["word", "list"])["own"].as_array().unwrap(),
        &nothing
    );
    let (ana, ben) = met(&relay);
    let id = ana.opened("Harbour", "the lights");
    ben.sync();
    let _ = (
        ana.says(&["book", "put", &id]),
        ben.says(&["book", "put", &id]),
    );
    for command in [
        &["book"][..],
        &["book", "waiting"],
        &["word", "list"],
        &["agree", "list"],
        &["ritual", "list"],
        &["letter", "list"],
        &["calendar"],
    ] {
        let said = ana.ajar(command);
        for word in [
            "count",
            "streak",
            "score",
            "percent",
            "read_at",
            "seen",
            "opened_at",
            "last_",
        ] {
            assert!(!said.out.contains(word), "{command:?}: {word}: {said:?}");
        }
    }
}
