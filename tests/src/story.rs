//! A long story with real processes, in which everything that must not leak has an unmistakable
//! text, a canary.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Person;
use crate::recovery::{event, try_recover, with_variables};
use crate::relay::Relay;
use crate::searcher::Keys;
use crate::wire::Wire;

const SOON: Duration = Duration::from_secs(30);

/// What a person types as an argument; whoever sees the process that was typed sees it.
pub const TYPED: [&str; 5] = [
    "CANARY-name-ana",
    "CANARY-name-ben",
    "CANARY-device-laptop",
    "CANARY-device-tablet",
    "CANARY-file-name",
];

/// Names that a program tells the person who uses it.
pub const NAMES: [&str; 4] = [
    "CANARY-name-ana",
    "CANARY-name-ben",
    "CANARY-device-laptop",
    "CANARY-device-tablet",
];

/// What comes from standard input, from a file or from the other person.
pub const UNTYPED: [&str; 10] = [
    "CANARY-title",
    "CANARY-tag",
    "CANARY-private-text",
    "CANARY-deleted-text",
    "CANARY-opened-text",
    "CANARY-answer-text",
    "CANARY-burned-text",
    "CANARY-late-text",
    "CANARY-exif",
    "CANARY-wrong-guess",
];

/// Everything that has happened, and where.
pub struct Story {
    /// The relay, with all that it wrote.
    pub relay: Relay,
    /// Every home there was.
    pub people: Vec<Person>,
    /// The twelve words of both, passphrases and the three words of codes.
    pub secrets: Vec<String>,
    /// Keys of all homes, and everything that the wires carried.
    pub keys: Vec<[u8; 32]>,
    /// The wire between all devices and the relay.
    pub wire: Wire,
    _camera: TempDir,
}

/// Tells it.
#[must_use]
pub fn told() -> Story {
    let relay = Relay::start();
    let given = relay.invite();
    let wire = Wire::to(&given);
    let address = wire.address(&given);
    let camera = tempfile::tempdir().unwrap();
    let (ana, words) = begun("CANARY-name-ana", "CANARY-device-laptop", &address);
    let (ben, his_words) = begun("CANARY-name-ben", "his computer", &address);
    let mut secrets = vec![words.clone(), his_words];
    secrets.push(met(&ana, &ben));

    let photo = photo(camera.path());
    let photo = photo.to_str().unwrap();
    let writing = ["write", "--title", "-", "--tag", "-", "--photo", photo, "-"];
    let written = ana.ajar_with_input(
        &writing,
        "CANARY-title\nCANARY-tag\nCANARY-private-text and CANARY-deleted-text",
    );
    let id = written.json()["id"].as_str().unwrap().to_owned();
    let edited = ana.ajar_with_input(&["edit", &id, "-"], "CANARY-private-text, and this is left");
    assert_eq!(edited.code, 0, "{edited:?}");
    ana.sync();
    let watch = ben.start(&["sync", "--watch"]);
    let _ = watch.event("caught-up", SOON);
    assert!(ana.share("CANARY-opened-text"));
    let seen = watch.event("document", SOON);
    assert_eq!(seen["title"], "shared");
    watch.kill();
    assert!(ben.share("CANARY-answer-text"));
    ana.sync();
    let burnt = ana.write("gone", "CANARY-burned-text");
    assert!(ana.open(&burnt));
    assert_eq!(ana.ajar(&["burn", &burnt, "--yes"]).code, 0);
    ben.sync();
    // A copy of everything, for the relay to fold the rest in.
    let tidied = ana.ajar(&["tidy"]);
    assert_eq!(tidied.code, 0, "{tidied:?}");
    // Reading, and mistakes.
    for command in [
        vec!["list"],
        vec!["show", &id],
        vec!["history", &id],
        vec!["search", "and"],
        vec!["status"],
        vec!["status", "--words"],
        vec!["device", "list"],
        vec!["doctor"],
        vec![
            "photo",
            &id,
            "1",
            camera.path().join("again.jpg").to_str().unwrap(),
        ],
    ] {
        let said = ana.ajar(&command);
        assert_eq!(said.code, 0, "{command:?} {said:?}");
    }
    let guess = [("AJAR_PASSPHRASE", "CANARY-wrong-guess")];
    assert_eq!(with_variables(&ana, &["list"], &guess).code, 3);
    let long = "CANARY-private-text ".repeat(2_000_000);
    assert_ne!(ana.ajar_with_input(&["write", "-"], &long).code, 0);

    let tablet = ana.device("CANARY-device-tablet");
    assert!(tablet.share("CANARY-late-text"));
    ben.sync();
    let back = Person::new(&ana.name);
    let said = try_recover(&back, &address, &words, &["--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(event(&said, "recovered")["complete"], true);
    assert!(
        back.shared_texts()
            .contains(&"CANARY-answer-text".to_owned())
    );
    ben.sync();

    let people = vec![ana, ben, tablet, back];
    secrets.extend(people.iter().map(|person| person.passphrase.clone()));
    let mut keys = Keys::default();
    for person in &people {
        keys.add(person);
    }
    let keys = keys.secrets();
    Story {
        relay,
        people,
        secrets,
        keys,
        wire,
        _camera: camera,
    }
}

/// A person with a home, and the twelve words.
fn begun(name: &str, device: &str, address: &str) -> (Person, String) {
    let person = Person::new(name);
    let arguments = [
        "init", "--name", name, "--device", device, "--relay", address,
    ];
    let said = person.ajar(&arguments).json();
    (person, said["words"].as_str().unwrap().to_owned())
}

/// Both meet; returns the secret words of the code.
fn met(ana: &Person, ben: &Person) -> String {
    let pairing = ana.start(&["pair", "--yes"]);
    let code = pairing.event("code", SOON);
    let joined = ben.ajar_with_input(&["join", "--yes"], code["invitation"].as_str().unwrap());
    assert_eq!(joined.code, 0, "{joined:?}");
    assert_eq!(pairing.wait(), 0);
    let code = code["code"].as_str().unwrap();
    code.split_once('-').unwrap().1.to_owned()
}

/// The smallest picture there is, as a camera that tells too much writes it.
fn photo(folder: &Path) -> PathBuf {
    /// One grey pixel.
    const PIXEL: &[u8] = include_bytes!("pixel.png");
    let path = folder.join("CANARY-file-name.png");
    // A text chunk, where cameras put what they know, right after the header.
    let (header, rest) = PIXEL.split_at(8 + 25);
    let content = b"eXIfCANARY-exif 48.8584 N";
    let length = u32::try_from(content.len() - 4).unwrap().to_be_bytes();
    let sum = checksum(content).to_be_bytes();
    std::fs::write(&path, [header, &length, content, &sum, rest].concat()).unwrap();
    path
}

/// The checksum of a chunk of PNG.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
