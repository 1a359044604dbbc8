//! People who keep their twelve words, lose devices and come back.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::client::{Person, Said};

/// The longest a step of a story may take.
pub const SOON: Duration = Duration::from_secs(20);

/// A person with a home and the twelve words on paper. `more` goes to `ajar init`.
#[must_use]
pub fn with_words(name: &str, relay: &str, more: &[&str]) -> (Person, String) {
    let person = Person::new(name);
    let usual = [
        "init", "--name", name, "--relay", relay, "--device", "laptop",
    ];
    let init = person.ajar(&[&usual, more].concat()).json();
    let words = init["words"].as_str().unwrap().to_owned();
    (person, words)
}

/// One more device of the same person, linked by two processes.
#[must_use]
pub fn link(old: &Person, device: &str) -> Person {
    let new = Person::new(&old.name);
    let adding = old.start(&["device", "add", "--yes"]);
    let code = adding.event("code", SOON);
    let invitation = code["invitation"].as_str().unwrap();
    let linked = new.ajar(&["init", "--link", invitation, "--device", device]);
    assert_eq!(linked.code, 0, "{linked:?}");
    let _ = adding.event("linked", SOON);
    assert_eq!(adding.wait(), 0);
    new
}

/// Starts `ajar recover` on an empty machine, and gives it the words.
#[must_use]
pub fn recovering(person: &Person, relay: &str, words: &str, more: &[&str]) -> Child {
    let usual = [
        "recover",
        "--name",
        &person.name,
        "--relay",
        relay,
        "--device",
        "new laptop",
    ];
    begin(person.command(&[&usual, more].concat()), words)
}

/// Recovers on an empty machine; what it said, whatever came of it.
#[must_use]
pub fn try_recover(person: &Person, relay: &str, words: &str, more: &[&str]) -> Said {
    end(recovering(person, relay, words, more))
}

/// Recovers on an empty machine and expects it to work.
#[must_use]
pub fn recover(name: &str, relay: &str, words: &str, more: &[&str]) -> Person {
    let person = Person::new(name);
    let said = try_recover(&person, relay, words, &[&["--yes"], more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let told = event(&said, "recovered");
    assert_eq!(told["complete"], true, "{said:?}");
    person
}

/// Starts a command with a text on standard input.
#[must_use]
pub fn begin(mut command: Command, input: &str) -> Child {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child
}

/// Waits for the end of a command.
#[must_use]
pub fn end(child: Child) -> Said {
    Said::from(child.wait_with_output().unwrap())
}

/// Runs a command with other variables.
#[must_use]
pub fn with_variables(person: &Person, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = person.command(arguments);
    command.envs(variables.iter().copied());
    end(begin(command, ""))
}

/// The JSON line with this event.
#[must_use]
pub fn event(said: &Said, name: &str) -> Value {
    let lines = said.out.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = lines.find(|line| line["event"] == name);
    found.unwrap_or_else(|| panic!("no event {name}: {said:?}"))
}

/// What the error says and what it advises.
#[must_use]
pub fn error(said: &Said) -> (String, String) {
    let lines = said.err.lines().rev();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let json = lines.next().unwrap_or_default();
    let text = |key: &str| json["error"][key].as_str().unwrap_or_default().to_owned();
    (text("message"), text("hint"))
}

/// The codes of all notices in `ajar status`.
#[must_use]
pub fn notices(person: &Person) -> Vec<(String, String)> {
    let status = person.ajar(&["status"]).json();
    let notices = status["notices"].as_array().unwrap();
    let text = |notice: &Value, key: &str| notice[key].as_str().unwrap_or_default().to_owned();
    notices
        .iter()
        .map(|notice| (text(notice, "code"), text(notice, "text")))
        .collect()
}

/// Everything that `ajar list` prints of a space.
#[must_use]
pub fn listed(person: &Person, which: &str) -> Value {
    person.ajar(&["list", which]).json()
}

/// The texts in a space, in order.
#[must_use]
pub fn texts(person: &Person, which: &str) -> Vec<String> {
    let list = listed(person, which);
    let items = list.as_array().unwrap().iter();
    let mut texts: Vec<String> = items
        .map(|item| item["text"].as_str().unwrap_or_default().to_owned())
        .collect();
    texts.sort();
    texts
}

/// Keeps an entry and opens it to the partner.
pub fn open(person: &Person, text: &str) {
    let id = person.write("opened", text);
    let opened = person.ajar(&["open", &id, "--stage", "room", "--yes"]);
    assert_eq!(opened.code, 0, "{opened:?}");
}

/// The same home once more, as a thief or a backup has it.
#[must_use]
pub fn copy_of(person: &Person) -> Person {
    let mut copy = Person::new(&person.name);
    copy.passphrase.clone_from(&person.passphrase);
    copy_folder(&person.home(), &copy.home());
    copy
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
