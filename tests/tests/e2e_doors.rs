//! From a private feeling to being understood: Ana keeps a feeling in layers and opens it as far as
//! she likes; Ben says what he hears before he replies; what stays hers leaves no trace.
#![expect(clippy::unwrap_used, reason = "a test fails where it breaks")]

use ajar_sync::{Builder, Passphrase, SpaceKind};
use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use serde_json::{Value, json};

fn two(relay: &mut Relay) -> (Person, Person) {
    let (ana, ben) = (
        Person::with_home("Ana", &relay.invite()),
        Person::with_home("Ben", &relay.invite()),
    );
    pair(&ana, &ben);
    for person in [&ana, &ben, &ana] {
        person.sync();
    }
    (ana, ben)
}

fn id(said: &Value) -> String {
    said["id"].as_str().unwrap().to_owned()
}

/// A feeling with all five layers.
fn feeling(ana: &Person) -> String {
    let said = ana.ajar(&[
        "write",
        "--point",
        "-0.5,0.75",
        "--word",
        "worried",
        "--certainty",
        "mixed",
        "--body",
        "chest:-1:tight",
        "--breath",
        "shallow",
        "--happened",
        "He came home late.",
        "--story",
        "He forgot me.",
        "--echo",
        "Waiting at the school gate.",
        "--era",
        "childhood",
        "--urge",
        "withdraw",
        "--would-help",
        "hear",
        "The whole evening.",
    ]);
    id(&said.json())
}

/// What each layer says and the others do not.
const LAYERS: [(&str, &str); 6] = [
    ("text", "The whole evening."),
    ("body", "tight"),
    ("feeling", "worried"),
    ("thought", "He forgot me."),
    ("echo", "school gate"),
    ("want", "withdraw"),
];

/// Everything that can be read in the shared space of a home, by the crate and not by the commands.
fn everything_shared(person: &Person) -> String {
    let passphrase = Passphrase::new(&person.passphrase).unwrap();
    let builder = Builder::new(person.home()).with_passphrase(passphrase);
    let home = builder.open().unwrap();
    let us = home.space(SpaceKind::Shared).unwrap();
    let mut all = String::new();
    for info in us.documents().unwrap() {
        let fields = us.document(info.id).read(ajar_journal::tree::read);
        all += &serde_json::to_string(&fields.unwrap().unwrap()).unwrap();
    }
    home.close().unwrap();
    all
}

fn does(person: &Person, arguments: &[&str]) {
    let said = person.ajar(arguments);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn any_subset_of_layers_is_kept_and_shown_again() {
    let relay = Relay::start();
    let ana = Person::with_home("Ana", &relay.invite());
    let id = feeling(&ana);
    let shown = ana.ajar(&["show", &id]).json();
    let layers = &shown["layers"];
    assert_eq!(layers["feeling"]["point"], json!([-50, 75]));
    assert_eq!(layers["body"]["places"][0]["sensation"], "tight");
    assert_eq!(layers["echo"]["era"], "childhood");
    // One tap is enough.
    let least = ana.ajar(&["write", "--point", "0.25,0"]).json();
    let least = ana.ajar(&["show", least["id"].as_str().unwrap()]).json();
    assert_eq!(least["layers"], json!({"feeling": {"point": [25, 0]}}));
    let words = ana.ajar(&["words-for", "-0.5,0.75"]).json();
    let families = words
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word["family"].clone());
    let families: std::collections::BTreeSet<String> =
        families.map(|family| family.to_string()).collect();
    assert!(words.as_array().unwrap().len() == 5 && families.len() >= 3);
    let found = ana.ajar(&["search", "forgot"]).json();
    assert_eq!(found[0]["id"], id);
    does(&ana, &["edit", &id, "--word", "torn"]);
    let edited = ana.ajar(&["show", &id]).json();
    assert_eq!(edited["layers"]["feeling"]["words"], json!(["torn"]));
    assert_eq!(edited["layers"]["feeling"]["point"], json!([-50, 75]));
}

#[test]
fn each_stage_brings_ben_exactly_what_it_shows() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&mut relay);
    let entry = feeling(&ana);
    let told = |ben: &Person| {
        ben.sync();
        let all = everything_shared(ben);
        let tells = LAYERS.iter().filter(|(_, text)| all.contains(text));
        tells.map(|(layer, _)| *layer).collect::<Vec<_>>()
    };
    let opens = |stage: &str, more: &[&str]| {
        let mut arguments = vec!["open", &entry, "--stage", stage, "--yes"];
        arguments.extend(more);
        does(&ana, &arguments);
    };
    opens("knock", &["--need", "hear", "--when", "tonight"]);
    assert!(told(&ben).is_empty());
    let doors = ben.ajar(&["doors"]).json();
    assert_eq!(doors[0]["stage"], "knock");
    assert_eq!(doors[0]["need"], "hear");
    let door = id(&doors[0]);

    opens("weather", &[]);
    assert_eq!(told(&ben), ["feeling"]);
    opens("gist", &["--gist", "I am afraid of being left."]);
    assert_eq!(told(&ben), ["feeling"]);
    let shown = ben.ajar(&["show", &door]).json();
    assert_eq!(shown["gist"], "I am afraid of being left.");
    opens("room", &["--layers", "thought,text"]);
    assert_eq!(told(&ben), ["text", "feeling", "thought"]);

    // The echo is asked about twice, and a door never closes again by opening it less far.
    let echo = [
        "open", &entry, "--stage", "room", "--layers", "echo", "--yes",
    ];
    assert_eq!(ana.ajar(&echo).exits(1).error_code(), "echo-asked-twice");
    let less = ana
        .ajar(&["open", &entry, "--stage", "weather", "--yes"])
        .exits(1);
    assert_eq!(less.error_code(), "already-open");
    assert_eq!(told(&ben), ["text", "feeling", "thought"]);

    does(&ana, &["take-back", &entry, "--yes"]);
    assert!(told(&ben).is_empty());
    assert_eq!(ben.ajar(&["doors"]).json(), json!([]));
    let kept = ana.ajar(&["show", &entry]).json();
    assert_eq!(kept["openings"], json!([]));
    assert_eq!(kept["text"], "The whole evening.");
}

#[test]
fn holding_and_closing_send_nothing() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&mut relay);
    let entry = feeling(&ana);
    does(&ana, &["open", &entry, "--stage", "weather", "--yes"]);
    ben.sync();
    let (hers, his) = (everything_shared(&ana), everything_shared(&ben));
    for intent in ["--hold", "--close"] {
        does(&ana, &["open", &entry, intent]);
        ana.sync();
        ben.sync();
        assert_eq!(everything_shared(&ana), hers);
        assert_eq!(everything_shared(&ben), his);
    }
    let shown = ana.ajar(&["show", &entry]).json();
    assert_eq!(shown["openings"][0]["intent"], "close");
}

#[test]
fn ben_says_what_he_hears_before_he_replies_and_only_ana_says_whether_that_was_it() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&mut relay);
    let entry = feeling(&ana);
    let open = [
        "open", &entry, "--stage", "weather", "--need", "hear", "--yes",
    ];
    let door = id(&ana.ajar(&open).json());
    ben.sync();
    let reply = ["reply", &door, "--kind", "validate", "It makes sense."];
    assert_eq!(ben.ajar(&reply).exits(1).error_code(), "reflect-first");
    let said = ben
        .ajar(&["reflect", &door, "--word", "lonely", "You felt left."])
        .json();
    let reflection = id(&said);
    let help = ben
        .ajar(&["reply", &door, "--kind", "help", "Call me earlier."])
        .exits(1);
    assert!(help.err.contains("They asked to be heard."), "{}", help.err);
    let response = id(&ben.ajar(&reply).json());
    let own = ben.ajar(&["check", &reflection, "yes"]).exits(1);
    assert_eq!(own.error_code(), "not-yours");

    ana.sync();
    does(&ana, &["check", &reflection, "close", "And angry."]);
    does(
        &ana,
        &[
            "felt",
            &response,
            "--understood",
            "6",
            "--cared",
            "8",
            "--acts",
            "CANARY",
        ],
    );
    does(&ana, &["thanks", &response, "That you asked."]);
    ben.sync();
    let thread = ben.ajar(&["show", &door]).json()["thread"].clone();
    let kinds: Vec<&str> = thread
        .as_array()
        .unwrap()
        .iter()
        .map(|said| said["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["reflection", "response", "check", "thanks"]);
    assert_eq!(thread[2]["verdict"], "close");
    assert_eq!(
        ana.ajar(&["show", &door]).json()["thread"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(ben.ajar(&["doors"]).json(), json!([]));
    // How it was for her is nowhere in what he has.
    for person in [&ana, &ben] {
        let shared = everything_shared(person);
        assert!(!shared.contains("CANARY") && !shared.contains("\"felt\""));
        for forbidden in ["read_at", "seen_at", "delivered", "_ms", "latency", "count"] {
            assert!(!shared.contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn a_door_that_needs_no_answer_takes_none() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&mut relay);
    let entry = feeling(&ana);
    let open = [
        "open",
        &entry,
        "--stage",
        "weather",
        "--no-reply-wanted",
        "--yes",
    ];
    let door = id(&ana.ajar(&open).json());
    ben.sync();
    for refused in [
        vec!["see", &door],
        vec!["reflect", &door, "You felt left."],
        vec!["reply", &door, "--skip-reflecting", "I am here."],
    ] {
        assert_eq!(ben.ajar(&refused).exits(1).error_code(), "no-answer-wanted");
    }
}

#[test]
fn weighing_says_nothing_below_four_doors_and_stays_in_only_me() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&mut relay);
    let mut evidence = Vec::new();
    for number in 0..4 {
        let entry = id(&ana
            .ajar(&["write", "--word", "hurt", "--point", "-0.5,0", "CANARY"])
            .json());
        evidence.push(ana.ajar(&["weigh", &entry]).json()["evidence"].clone());
        let open = ["open", &entry, "--stage", "weather", "--yes"];
        let door = id(&ana.ajar(&open).json());
        ben.sync();
        let reply = ["reply", &door, "--skip-reflecting", "I am on your side."];
        let response = id(&ben.ajar(&reply).json());
        ana.sync();
        let cared = if number == 0 { "2" } else { "8" };
        does(&ana, &["felt", &response, "--cared", cared]);
    }
    assert_eq!(evidence, vec![json!([]); 4]);
    let entry = id(&ana.ajar(&["write", "--word", "hurt", "Again."]).json());
    let weighed = ana.ajar(&["weigh", &entry, "--fear", "CANARY"]).json();
    let expected = json!([{"word": "hurt", "doors": 4, "cared": 3, "understood": 0, "hurt": 0}]);
    assert_eq!(weighed["evidence"], expected);
    ana.sync();
    ben.sync();
    assert!(!everything_shared(&ben).contains("CANARY"));
}

#[test]
fn bens_home_is_the_same_to_read_whether_ana_has_no_private_thing_or_many() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&mut relay);
    let commands = [vec!["list"], vec!["doors"], vec!["search", "CANARY"]];
    let seen = |ben: &Person| {
        ben.sync();
        let mut all: Vec<String> = commands.iter().map(|it| ben.ajar(it).out).collect();
        all.push(everything_shared(ben));
        all
    };
    let before = seen(&ben);
    for number in 0..25 {
        let text = format!("CANARY {number}");
        does(
            &ana,
            &["write", "--word", "worried", "--echo", "CANARY", &text],
        );
    }
    ana.sync();
    assert_eq!(seen(&ben), before);
}
