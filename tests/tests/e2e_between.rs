//! What stands between Ana and Ben, with real processes: small requests, room, pauses, and what is
//! shown together.

use ajar_journal::records::{
    Answer, Bid, BidAnswer, BidSort, NONCE_BYTES, Sealed, Shown, Topic, When, commitment,
};
use ajar_journal::{Point, record};
use ajar_sync::doc_id_text;
use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use ajar_tests::rogue::put;
use serde_json::{Value, json};

/// Beginning of every hour.
const HOUR_MS: i64 = 3_600_000;

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

/// Runs a command and gives its JSON.
fn says(person: &Person, arguments: &[&str]) -> Value {
    person.ajar(arguments).json()
}

fn today(person: &Person) -> String {
    says(person, &["tune"])["day"].as_str().unwrap().to_owned()
}

/// Everything a person can get out of their journal, as text.
fn everything(person: &Person) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.json");
    let export = ["export", file.to_str().unwrap(), "--format", "json"];
    assert_eq!(person.ajar(&export).code, 0);
    let mut all = std::fs::read_to_string(&file).unwrap();
    for command in [
        vec!["list"],
        vec!["search", "the"],
        vec!["doors"],
        vec!["bid"],
        vec!["answer"],
        vec!["burn", "--status"],
        vec!["capacity"],
        vec!["pause"],
        vec!["tune"],
        vec!["question"],
        vec!["map"],
        vec!["map", "ask"],
    ] {
        let said = person.ajar(&command);
        assert_eq!(said.code, 0, "{command:?} {said:?}");
        all += &said.out;
    }
    all
}

#[test]
fn a_bid_is_answered_and_stays_a_conversation() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let bid = [
        "bid",
        "look",
        "the light over the harbour",
        "--wish",
        "tonight",
    ];
    let sent = says(&ana, &bid);
    let id = sent["id"].as_str().unwrap();
    assert_eq!(sent["delivered"], true);
    ben.sync();
    let waiting = says(&ben, &["answer"]);
    assert_eq!(waiting[0]["id"], id);
    assert_eq!(waiting[0]["kind"], "look");
    assert_eq!(waiting[0]["wish"], "tonight");
    assert_eq!(says(&ben, &["bid"]), json!([]), "it is not Ben's");

    let without_time = ben.ajar(&["answer", id, "yes-at"]);
    assert_eq!(
        (without_time.code, &*without_time.error_code()),
        (1, "invalid")
    );
    let answer = ["answer", id, "yes-at", "--at", "20:00", "I want to see it."];
    assert_eq!(ben.ajar(&answer).code, 0);
    ana.sync();
    let own = says(&ana, &["bid"]);
    assert_eq!(own[0]["answers"][0]["answer"], "yes-at");
    assert_eq!(own[0]["answers"][0]["text"], "I want to see it.");
    let said = own.to_string() + &waiting.to_string();
    for word in [
        "seen", "read", "_ms", "fade", "sent", "time", "count", "turn",
    ] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_bid_that_cannot_be_delivered_is_kept_and_travels_later() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    relay.kill();
    let kept = ana.ajar(&["bid", "miss", "--timeout", "1"]);
    assert_eq!(kept.code, 4, "{kept:?}");
    assert!(kept.err.contains("not yet delivered"), "{kept:?}");
    relay.serve();
    ana.sync();
    ben.sync();
    assert_eq!(says(&ben, &["answer"])[0]["kind"], "miss");
}

fn bid(text: &str, day: &str, fades_at_ms: i64) -> Bid {
    Bid {
        sort: BidSort::Hold,
        text: Some(text.to_owned()),
        wish: When::Now,
        fades_at_ms,
        on: day.to_owned(),
    }
}

#[test]
fn a_bid_that_fades_leaves_nothing_and_an_answered_one_stays() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    for person in [&ana, &ben] {
        person.sync();
    }
    let day = today(&ana);
    let before = [everything(&ana), everything(&ben)];
    let gone = ana.as_library(|us| {
        let name = format!("bid/{day}/{}/0", us.device().unwrap().to_hex());
        put(us, Some(&name), bid("the CANARY-faded", &day, HOUR_MS))
    });
    let gone = doc_id_text(gone);
    // Ben has it before it is burned, his phone only hears of the end.
    ben.sync();
    assert!(ben.ajar(&["show", &gone]).code == 1);
    assert!(ben.ajar(&["answer", &gone, "here"]).code == 1);
    let phone = ben.device("phone");
    ana.sync();
    for person in [&ben, &phone, &ana, &ben, &phone, &ana] {
        person.sync();
    }
    assert_eq!(everything(&ana), before[0]);
    assert_eq!(everything(&ben), before[1]);
    for person in [&ana, &ben, &phone] {
        let status = person.ajar(&["status"]).json();
        assert_eq!(status["burns"], json!([]), "{}", person.name);
        assert!(person.notices("burned").is_empty(), "{status}");
        assert!(!everything(person).contains("CANARY-faded"));
        person.as_library(|us| {
            let burned = us.documents_where({
                let gone = gone.clone();
                move |id| doc_id_text(*id) == gone
            });
            assert!(burned.unwrap().is_empty(), "it is burned");
        });
    }

    let answered = ana.as_library(|us| put(us, None, bid("the answered", &day, HOUR_MS)));
    let answered = doc_id_text(answered);
    ben.sync();
    ben.as_library(|us| {
        let answer = BidAnswer {
            about: answered.clone(),
            answer: Answer::WithYou,
            at: None,
            text: Some("the answer".to_owned()),
            on: day.clone(),
            turn: 1,
        };
        put(us, None, answer)
    });
    ana.sync();
    let found = says(&ana, &["search", "the answer"]);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    assert_eq!(
        says(&ana, &["bid"]),
        json!([]),
        "it does not stand any more"
    );
}

#[test]
fn room_is_seen_only_while_it_is_shown() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    assert_eq!(ana.ajar(&["capacity", "hide"]).code, 0);
    ana.sync();
    ben.sync();
    let kept = |person: &Person| {
        let status = person.ajar(&["status"]).json();
        let spaces = status["spaces"].as_array().unwrap().clone();
        let us = spaces.into_iter().find(|space| space["kind"] == "us");
        us.unwrap()["kept"].clone()
    };
    let before = kept(&ana);
    assert_eq!(ana.ajar(&["capacity", "hide"]).code, 0);
    assert_eq!(kept(&ana), before, "hiding nothing writes nothing");

    assert_eq!(says(&ben, &["capacity"])["partner"], Value::Null);
    assert_eq!(says(&ana, &["capacity", "later"])["shown"], "later");
    ben.sync();
    assert_eq!(says(&ben, &["capacity"])["partner"], "later");
    assert_eq!(says(&ben, &["capacity"])["own"], Value::Null);
    assert_eq!(ana.ajar(&["capacity", "hide"]).code, 0);
    ben.sync();
    assert_eq!(says(&ben, &["capacity"])["partner"], Value::Null);
    assert_eq!(ana.ajar(&["capacity", "tired"]).code, 2);
}

#[test]
fn a_pause_says_when_one_is_back() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    for wrong in ["19", "1441"] {
        let said = ana.ajar(&["pause", "--minutes", wrong]);
        assert_eq!((said.code, &*said.error_code()), (1, "pause-length"));
    }
    assert_eq!(ana.ajar(&["pause", "I care about this."]).code, 1);
    let called = ["pause", "--minutes", "40", "I care about this."];
    let back_at = says(&ana, &called)["own"]["back_at"].clone();
    ben.sync();
    let seen = says(&ben, &["pause"]);
    assert_eq!(seen["partner"]["back_at"], back_at);
    assert_eq!(seen["partner"]["line"], "I care about this.");
    assert_eq!(seen["own"], Value::Null);
    assert_eq!(ana.ajar(&["pause", "--back"]).code, 0);
    ben.sync();
    assert_eq!(says(&ben, &["pause"])["partner"], Value::Null);
}

#[test]
fn neither_sees_the_others_point_before_both_have_tuned_in() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let tuned = says(&ana, &["tune", "-0.5,0.25", "CANARY-ana and tired"]);
    assert_eq!(tuned["tuned_in"], true);
    assert_eq!((&tuned["mine"], &tuned["theirs"]), (&json!([]), &json!([])));
    assert_eq!(ana.ajar(&["tune", "0,0"]).error_code(), "tuned-in");
    ben.sync();
    let before = says(&ben, &["tune"]);
    assert_eq!(before["tuned_in"], false);
    assert!(!everything(&ben).contains("CANARY-ana"));
    let phone = ana.device("phone");
    let tuned = says(&ben, &["tune", "0.75,0", "CANARY-ben and calm"]);
    assert_eq!(
        tuned["theirs"],
        json!([]),
        "Ana's device has not heard of it"
    );
    // Any device of Ana's that has Only me shows what is due.
    phone.sync();
    ben.sync();
    ana.sync();
    for (person, mine, theirs) in [
        (&ben, "CANARY-ben and calm", "CANARY-ana and tired"),
        (&ana, "CANARY-ana and tired", "CANARY-ben and calm"),
        (&phone, "CANARY-ana and tired", "CANARY-ben and calm"),
    ] {
        let seen = says(person, &["tune"]);
        assert_eq!(seen["mine"][0]["text"], mine);
        assert_eq!(seen["theirs"][0]["text"], theirs);
        assert_eq!(seen["false"], false);
    }
}

fn shown(text: &str) -> Shown {
    Shown {
        text: Some(text.to_owned()),
        point: Point::new(0, 0),
        nonce: "07".repeat(NONCE_BYTES),
    }
}

#[test]
fn a_partner_who_shows_something_else_than_they_sealed_is_told_and_not_shown() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let day = today(&ana);
    let topic = Topic::Tune(day.clone());
    let (id, sealed) = ana.as_library(|us| {
        let document = us.create_document(ajar_sync::Ownership::Mine).unwrap();
        let id = doc_id_text(document.id());
        let sealed = Sealed {
            commit: commitment(&id, &topic, &shown("what I felt")),
            topic: topic.clone(),
            shown: None,
            met: Vec::new(),
            on: day.clone(),
        };
        let written = sealed.clone();
        document
            .change(move |tx| record::create(tx, &written))
            .unwrap();
        (document.id(), sealed)
    });
    ben.sync();
    assert_eq!(ben.ajar(&["tune", "0.5,0.5", "calm"]).code, 0);
    ana.as_library(|us| {
        let sealed = Sealed {
            shown: Some(shown("the CANARY-false, calm too")),
            ..sealed.clone()
        };
        let document = us.document(id);
        document
            .change(move |tx| record::update(tx, &sealed))
            .unwrap();
    });
    ben.sync();
    let seen = says(&ben, &["tune"]);
    assert_eq!(seen["false"], true, "{seen}");
    assert_eq!(seen["theirs"], json!([]));
    let told = ben.in_words(&["tune"]);
    assert!(told.contains("is not what Ana had sealed"), "{told}");
    assert!(!everything(&ben).contains("CANARY-false"));
}

#[test]
fn todays_question_is_the_same_for_both_and_answers_open_together() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let asked = says(&ana, &["question"]);
    assert_eq!(asked["question"], says(&ben, &["question"])["question"]);
    assert!(asked["question"]["depth"].as_u64().unwrap() < 3);
    let answered = says(&ana, &["question", "CANARY-bread"]);
    assert_eq!(answered["answered"], true);
    assert_eq!(answered["mine"], json!([]));
    ben.sync();
    assert!(!everything(&ben).contains("CANARY-bread"));
    assert_eq!(says(&ben, &["question"])["question"], asked["question"]);
    assert_eq!(ben.ajar(&["question", "the sea"]).code, 0);
    ana.sync();
    ben.sync();
    assert_eq!(
        says(&ben, &["question"])["theirs"][0]["text"],
        "CANARY-bread"
    );
    assert_eq!(says(&ana, &["question"])["theirs"][0]["text"], "the sea");
    assert_eq!(ana.ajar(&["question", "again"]).error_code(), "answered");

    let own = ["question", "--ask", "Which song is ours?", "--theme", "us"];
    let id = says(&ana, &own)["id"].as_str().unwrap().to_owned();
    ben.sync();
    assert!(says(&ben, &["map"])["theirs"].to_string().contains(&id));
}

#[test]
fn a_guess_and_an_answer_open_at_the_same_moment() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let question = "everyday.1";
    assert_eq!(
        ben.ajar(&["map", "guess", question, "CANARY-guess"]).code,
        0
    );
    ana.sync();
    assert!(!everything(&ana).contains("CANARY-guess"));
    assert_eq!(
        ana.ajar(&["map", "check", question, "yes"]).error_code(),
        "no-guess"
    );
    let together = ["map", "answer", question, "CANARY-tea", "--together"];
    assert_eq!(ana.ajar(&together).code, 0);
    ben.sync();
    ana.sync();
    let about_me = says(&ana, &["map", "show", question])["about_me"].clone();
    assert_eq!(about_me["mine"][0]["text"], "CANARY-tea");
    assert_eq!(about_me["theirs"][0]["text"], "CANARY-guess");
    let check = ["map", "check", question, "partly", "With milk."];
    assert_eq!(ana.ajar(&check).code, 0);
    ben.sync();
    let about_them = says(&ben, &["map", "show", question])["about_them"].clone();
    assert_eq!(about_them["theirs"][0]["text"], "CANARY-tea");
    assert_eq!(
        about_them["checks"],
        json!([{"verdict": "partly", "text": "With milk."}])
    );
    assert_eq!(
        ben.ajar(&["map", "check", question, "no"]).error_code(),
        "no-guess"
    );
    let row = |flower: &Value| {
        let rows = flower.as_array().unwrap().iter();
        rows.cloned()
            .find(|row| row["question"] == question)
            .unwrap()
    };
    assert_eq!(row(&says(&ben, &["map"])["theirs"])["state"], "answered");
    assert_eq!(row(&says(&ana, &["map"])["mine"])["state"], "answered");
    assert_eq!(row(&says(&ana, &["map"])["theirs"])["state"], "not yet");
}

#[test]
fn what_is_kept_and_left_out_makes_no_difference_to_the_other() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    for person in [&ana, &ben] {
        person.sync();
    }
    let before = everything(&ben);
    let suggested = says(&ana, &["map", "ask"]);
    let first = suggested["ask"][0]["question"].as_str().unwrap();
    assert_eq!(ana.ajar(&["map", "skip", first]).code, 0);
    assert_eq!(
        ana.ajar(&["map", "answer", "people.1", "CANARY-kept"]).code,
        0
    );
    assert_eq!(ana.ajar(&["map", "still-true", "people.1"]).code, 0);
    let mut documents = 0;
    ana.as_library(|us| documents = us.documents().unwrap().len());
    ana.sync();
    ben.sync();
    assert_eq!(everything(&ben), before);
    ben.as_library(|us| assert_eq!(us.documents().unwrap().len(), documents));
    assert!(
        !says(&ana, &["map", "ask"])["ask"]
            .to_string()
            .contains(first)
    );
    assert!(!says(&ana, &["map"])["mine"].to_string().contains(first));

    let share = ["map", "answer", "people.1", "the aunt", "--share"];
    assert_eq!(ana.ajar(&share).code, 0);
    ben.sync();
    assert_eq!(
        says(&ben, &["map", "show", "people.1"])["theirs"],
        "the aunt"
    );
    assert!(!everything(&ben).contains("CANARY-kept"));
}

#[test]
fn deep_questions_come_only_when_both_want_them_and_nobody_pauses() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let deepest = |person: &Person| {
        let map = says(person, &["map"]);
        let rows = map["theirs"].as_array().unwrap().clone();
        rows.iter().map(|row| row["depth"].as_u64().unwrap()).max()
    };
    assert_eq!(deepest(&ana), Some(2));
    assert_eq!(says(&ana, &["map", "deep", "on"])["both"], false);
    ben.sync();
    assert_eq!(deepest(&ben), Some(2));
    assert_eq!(says(&ben, &["map", "deep", "on"])["both"], true);
    ana.sync();
    assert_eq!(deepest(&ana), Some(3));
    let map = says(&ana, &["map"]);
    let rows = map["mine"].as_array().unwrap();
    let deep = rows.iter().find(|row| row["depth"] == 3).unwrap();
    let deep = deep["question"].as_str().unwrap();
    assert_eq!(
        ana.ajar(&["map", "guess", deep, "x"]).error_code(),
        "only-told"
    );
    assert_eq!(ben.ajar(&["pause", "--minutes", "30"]).code, 0);
    ana.sync();
    assert_eq!(deepest(&ana), Some(2));
    let share = ["map", "answer", deep, "x", "--share"];
    assert_eq!(ana.ajar(&share).error_code(), "not-this-week");
    assert_eq!(ben.ajar(&["pause", "--back"]).code, 0);
    assert_eq!(says(&ben, &["map", "deep", "off"])["both"], false);
    ana.sync();
    assert_eq!(deepest(&ana), Some(2));
}
