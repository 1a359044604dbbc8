//! People who keep their twelve words, lose devices and come back; and a wire between them and
//! their relay on which every packet is counted.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
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

/// A wire to a relay: it carries datagrams both ways and counts those that devices send.
pub struct Wire {
    port: u16,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Wire {
    /// Lays a wire to the relay of this address.
    #[must_use]
    pub fn to(address: &str) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = front.local_addr().unwrap().port();
        let relay: SocketAddr = format!("127.0.0.1:{}", port_of(address)).parse().unwrap();
        let (sent, over) = (Arc::default(), Arc::default());
        let wire = Self { port, sent, over };
        let (sent, over) = (Arc::clone(&wire.sent), Arc::clone(&wire.over));
        front
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        std::thread::spawn(move || carry(&front, relay, &sent, &over));
        wire
    }

    /// The same address, by this wire.
    #[must_use]
    pub fn address(&self, address: &str) -> String {
        let from = format!("127.0.0.1:{}#", port_of(address));
        let here = address.replace(&from, &format!("127.0.0.1:{}#", self.port));
        assert_ne!(here, address);
        here
    }

    /// Datagrams that devices have sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn port_of(address: &str) -> &str {
    let place = address.split('#').next().unwrap();
    place.rsplit(':').next().unwrap()
}

fn carry(front: &UdpSocket, relay: SocketAddr, sent: &AtomicU64, over: &Arc<AtomicBool>) {
    let mut buffer = [0; 1 << 16];
    let mut devices: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    while !over.load(Ordering::SeqCst) {
        let Ok((length, device)) = front.recv_from(&mut buffer) else {
            continue;
        };
        sent.fetch_add(1, Ordering::SeqCst);
        let back = devices.entry(device).or_insert_with(|| {
            let back = UdpSocket::bind("127.0.0.1:0").unwrap();
            back.connect(relay).unwrap();
            back.set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let answers = back.try_clone().unwrap();
            let (front, over) = (front.try_clone().unwrap(), Arc::clone(over));
            std::thread::spawn(move || answer(&answers, &front, device, &over));
            back
        });
        // A datagram may be lost.
        let _ = back.send(&buffer[..length]);
    }
}

fn answer(back: &UdpSocket, front: &UdpSocket, device: SocketAddr, over: &AtomicBool) {
    let mut buffer = [0; 1 << 16];
    while !over.load(Ordering::SeqCst) {
        if let Ok(length) = back.recv(&mut buffer) {
            let _ = front.send_to(&buffer[..length], device);
        }
    }
}
