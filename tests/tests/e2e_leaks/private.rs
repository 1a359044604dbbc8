//! What the other one, the relay, or somebody at the keyboard can tell of Only me.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{Home, Space, SpaceKind};
use ajar_tests::canary;
use ajar_tests::client::{Person, pair};
use ajar_tests::library;
use ajar_tests::recovery::with_variables;
use ajar_tests::relay::Relay;
use ajar_tests::searcher::{self, Keys};

const SOON: Duration = Duration::from_secs(60);

/// One of two worlds in which Ana and Ben do the same, and only Ana knows in which one she is.
struct World {
    relay: Relay,
    people: [Person; 2],
    homes: [Home; 2],
}

/// What is to be seen of the shared space by the relay and by Ben.
#[derive(Debug, PartialEq, Eq)]
struct View {
    envelopes: BTreeSet<Vec<u8>>,
    words: [&'static str; 4],
    ben: String,
    documents: usize,
}

impl World {
    async fn new() -> Self {
        let relay = Relay::start();
        let address = relay.invite();
        let people = ["Ana", "Ben"].map(|name| {
            let mut person = Person::new(name);
            person.passphrase = "quiet harbor linen oak".to_owned();
            person
        });
        let homes = people
            .each_ref()
            .map(|person| library::home(&person.home(), &person.name, &address));
        library::pair(&homes[0], &homes[1]).await;
        let world = Self {
            relay,
            people,
            homes,
        };
        world.exchange().await;
        world
    }

    fn us(&self) -> [Space; 2] {
        self.homes
            .each_ref()
            .map(|home| home.space(SpaceKind::Shared).unwrap())
    }

    /// Everybody delivers and receives, twice.
    async fn exchange(&self) {
        for home in self.homes.iter().chain(&self.homes) {
            for space in home.spaces() {
                space.connect().unwrap();
                space.sync(SOON).await.unwrap();
                space.disconnect().await;
            }
        }
    }

    /// Ana and Ben write to each other.
    async fn talk(&self) {
        let [ana, ben] = self.us();
        let _ = library::write(&ana, "the first thing");
        self.exchange().await;
        let _ = library::write(&ben, "an answer");
        self.exchange().await;
    }

    /// Ana keeps, changes and burns in Only me.
    async fn keep_to_herself(&self, items: usize, drafts: usize) {
        let me = self.homes[0].space(SpaceKind::Private).unwrap();
        for number in 0..items {
            let _ = library::write(&me, &format!("a thought {number}"));
        }
        for number in 0..drafts {
            let draft = library::write(&me, &format!("I hate {number}"));
            me.document(draft)
                .change(|tx| tx.put(ROOT, "text", "never mind"))
                .unwrap();
            me.burn(&[draft], &[]).unwrap();
        }
        self.exchange().await;
    }

    fn stored(&self) -> Vec<ajar_protocol::Envelope> {
        let mut keys = Keys::default();
        for person in &self.people {
            keys.add(person);
        }
        searcher::envelopes(&keys, &self.relay.data())
    }

    fn view(&self) -> View {
        let [ana, ben] = self.us();
        let id = ana.id().unwrap();
        let shared = self.stored().into_iter();
        let shared = shared.filter(|envelope| envelope.header().space == id);
        View {
            envelopes: shared
                .map(|envelope| envelope.as_bytes().to_vec())
                .collect(),
            words: ben.sync_words().unwrap(),
            ben: format!("{:?}", ben.status().unwrap().engine),
            documents: ben.documents().unwrap().len(),
        }
    }

    /// Of the shared space at the relay what could differ between two worlds: who, which, how long.
    fn shape(mut self) -> (Vec<(bool, u64, String, usize)>, serde_json::Value) {
        let [ana, ben] = self.us();
        let (id, ben) = (ana.id().unwrap(), ben.device().unwrap());
        let shared = self.stored().into_iter();
        let shared = shared.filter(|envelope| envelope.header().space == id);
        let mut rows: Vec<_> = shared
            .map(|envelope| {
                let header = envelope.header();
                let length = envelope.as_bytes().len();
                let kind = format!("{:?}", header.kind);
                (header.device == ben, header.counter, kind, length)
            })
            .collect();
        rows.sort();
        let id = id.to_hex();
        self.relay.kill();
        let spaces = std::process::Command::new(ajar_tests::binary("ajar-relay"))
            .args(["spaces", "--json", "--data"])
            .arg(self.relay.data())
            .output()
            .unwrap();
        let spaces: serde_json::Value = serde_json::from_slice(&spaces.stdout).unwrap();
        let mut all = spaces.as_array().unwrap().iter();
        let mut row = all.find(|row| row["id"] == *id).cloned().unwrap();
        row["id"] = serde_json::Value::Null;
        (rows, row)
    }
}

/// 500 items and 100 drafts that were changed and burned, or nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn t084_private_writing_leaves_no_trace_in_what_is_shared() {
    let (quiet, busy) = (World::new().await, World::new().await);
    for world in [&quiet, &busy] {
        world.talk().await;
    }
    let before = busy.view();
    assert!(before.envelopes.len() >= 3, "{}", before.envelopes.len());
    busy.keep_to_herself(500, 0).await;
    let me = busy.homes[0].space(SpaceKind::Private).unwrap();
    let me = me.id().unwrap();
    let private = busy.stored();
    let private = private.iter().filter(|one| one.header().space == me);
    assert!(private.count() >= 500, "the relay has what is private too");
    assert_eq!(busy.view(), before);
    busy.keep_to_herself(0, 100).await;
    assert_eq!(busy.view(), before);
    // What comes afterwards has the same places and the same lengths.
    for world in [&quiet, &busy] {
        world.talk().await;
    }
    assert_eq!(quiet.shape(), busy.shape());
}

#[test]
fn t087_no_key_or_id_links_the_spaces_of_a_person() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    for person in [&ana, &ben] {
        assert!(person.share("between us"));
        let _ = person.write("mine", "for me");
        person.sync();
    }
    let mut keys = Keys::default();
    keys.add(&ana);
    keys.add(&ben);
    let publics = keys.publics();
    let different: BTreeSet<&[u8; 32]> = publics.iter().collect();
    assert_eq!((publics.len(), different.len()), (12, 12));
    // What the headers say that lie at the relay: no device, key or envelope stands in two spaces.
    let mut spaces: BTreeMap<[u8; 32], BTreeSet<[u8; 32]>> = BTreeMap::new();
    for envelope in searcher::envelopes(&keys, &relay.data()) {
        let header = envelope.header();
        let ids = spaces.entry(header.space.0).or_default();
        ids.extend([header.device.0, header.epoch.0, envelope.id().0]);
    }
    spaces.values_mut().for_each(|ids| {
        ids.remove(&[0; 32]);
    });
    assert_eq!(spaces.len(), 3);
    let sum: usize = spaces.values().map(BTreeSet::len).sum();
    let all: BTreeSet<&[u8; 32]> = spaces.values().flatten().collect();
    assert!(sum > 12);
    assert_eq!(all.len(), sum);
}

/// Somebody at the keyboard who knows the passphrase of the journal, and not that of Only me.
#[test]
fn t088_a_locked_only_me_shows_nothing_in_any_command_and_leaves_nothing_outside() {
    const OWN: (&str, &str) = ("AJAR_PRIVATE_PASSPHRASE", "another one for me alone");
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    assert!(ben.share("CANARY-shared"));
    ana.sync();
    let new = [("AJAR_NEW_PASSPHRASE", OWN.1)];
    assert_eq!(with_variables(&ana, &["passphrase", "--me"], &new).code, 0);
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().to_str().unwrap();
    // Whatever a desktop would keep of what was opened lately lies below one of these.
    let places = [
        "HOME",
        "TMPDIR",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
    ]
    .map(|name| (name, folder));
    let export = ana.home().with_file_name("export.json");
    let looks = || -> Vec<(String, String)> {
        let _ = fs::remove_file(&export);
        let commands: [&[&str]; 10] = [
            &["status"],
            &["status", "--words"],
            &["list"],
            &["list", "--tag", "CANARY-tag"],
            &["search", "CANARY"],
            &["search", "private"],
            &["device", "list"],
            &["burn", "--status"],
            &["doctor"],
            &["export", export.to_str().unwrap()],
        ];
        let mut seen: Vec<_> = commands
            .map(|command| {
                let said = with_variables(&ana, command, &places);
                assert_eq!(said.code, 0, "{command:?} {said:?}");
                (without_room(&said.out), said.err)
            })
            .into();
        seen.push((fs::read_to_string(&export).unwrap(), String::new()));
        seen
    };
    let empty = looks();
    assert!(empty.iter().any(|(out, _)| out.contains("CANARY-shared")));
    for number in 0..5 {
        let text = format!("CANARY-private {number}");
        let write = [
            "write",
            "--title",
            "CANARY-title",
            "--tag",
            "CANARY-tag",
            &text,
        ];
        let variables = [&places[..], &[OWN]].concat();
        let said = with_variables(&ana, &write, &variables);
        assert_eq!(said.code, 0, "{said:?}");
    }
    for (full, empty) in looks().iter().zip(&empty) {
        assert_eq!(full, empty);
        // Nor does it set the title of a window, or anything else of a terminal.
        assert!(!full.0.contains('\u{1b}') && !full.1.contains('\u{1b}'));
    }
    assert_eq!(canary::files(Path::new(folder)).len(), 0);
    let canaries = ["CANARY-private", "CANARY-title", "CANARY-tag"];
    assert_eq!(canary::find_deep(&ana.home(), &canaries), []);
    let own = [&places[..], &[OWN]].concat();
    let found = with_variables(&ana, &["search", "CANARY-private"], &own).json();
    assert_eq!(found.as_array().unwrap().len(), 5, "with it, all is there");
}

/// What `doctor` says, without how much of the disk is free: others write there too.
fn without_room(said: &str) -> String {
    let mut words: Vec<&str> = said.split(' ').collect();
    while let Some(unit) = words.iter().position(|word| *word == "MiB") {
        words.drain(unit - 1..=unit);
    }
    words.join(" ")
}
