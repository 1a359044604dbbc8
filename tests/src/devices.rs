//! Several devices of one person: linked by the commands that a person types, copied as a
//! backup copies them, and what is seen on each.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Person, Running, Said};

/// How long a step of adding a device may take.
const STEP: Duration = Duration::from_secs(20);

impl Person {
    /// One more device of this person, with both spaces, linked by this one.
    #[must_use]
    pub fn device(&self, name: &str) -> Self {
        self.device_in(name, "me,us")
    }

    /// One more device of this person, with these spaces (`me`, `us` or `me,us`).
    #[must_use]
    pub fn device_in(&self, name: &str, spaces: &str) -> Self {
        let new = Self::new(&self.name);
        let adding = self.start(&["device", "add", "--spaces", spaces, "--yes"]);
        let code = adding.event("code", STEP);
        let linking = new.link(code["invitation"].as_str().unwrap(), name);
        let (added, linked) = (adding.end(), linking.end());
        assert_eq!(added.code, 0, "{added:?} {linked:?}");
        assert_eq!(linked.code, 0, "{linked:?} {added:?}");
        new
    }

    /// Starts the new device's side with what the old one shows.
    #[must_use]
    pub fn link(&self, invitation: &str, name: &str) -> Running {
        self.start(&["init", "--link", invitation, "--device", name])
    }

    /// Starts adding a device; which line is right is said by [`Running::answer`].
    #[must_use]
    pub fn adding(&self, spaces: &str) -> Running {
        let mut command = self.command(&["device", "add", "--spaces", spaces]);
        command.stdin(Stdio::piped());
        Running::of(command)
    }

    /// A copy of the home as it is now, as a backup has it.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new(&self.name);
        copy_folder(&self.home(), &copy.home());
        copy
    }

    /// Keeps an entry in *Only me* and opens it; returns whether the relay has it already.
    pub fn share(&self, text: &str) -> bool {
        let id = self.write("shared", text);
        self.open(&id)
    }

    /// Opens an entry; returns whether the relay has it already.
    pub fn open(&self, id: &str) -> bool {
        let opened = self.ajar(&["open", id, "--stage", "room", "--yes", "--timeout", "3"]);
        assert!(matches!(opened.code, 0 | 1 | 4), "{opened:?}");
        opened.code == 0
    }

    /// What is in a space, by text: `me` or `us`.
    #[must_use]
    pub fn texts(&self, space: &str) -> Vec<String> {
        let list = self.ajar(&["list"]).json();
        texts_of(&list, space)
    }

    /// What `device list` says.
    #[must_use]
    pub fn devices(&self) -> Vec<Value> {
        let list = self.ajar(&["device", "list"]).json();
        list.as_array().unwrap().clone()
    }

    /// Names of the devices with this state, sorted; those without a name are `?`.
    #[must_use]
    pub fn device_names(&self, state: &str) -> Vec<String> {
        let all = self.devices();
        let named = all.iter().filter(|device| device["state"] == state);
        let mut names: Vec<String> = named
            .map(|device| device["name"].as_str().unwrap_or("?").to_owned())
            .collect();
        names.sort();
        names
    }

    /// The notices of `status` with this code, as sentences.
    #[must_use]
    pub fn notices(&self, code: &str) -> Vec<String> {
        let status = self.ajar(&["status"]).json();
        notices_of(&status, code)
    }

    /// Codes of all notices of `status`, sorted.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let status = self.ajar(&["status"]).json();
        let all = status["notices"].as_array().unwrap().iter();
        let codes = all.map(|notice| notice["code"].as_str().unwrap().to_owned());
        let mut codes: Vec<String> = codes.collect();
        codes.sort();
        codes
    }

    /// How much others have sent into the shared space that is not here, as far as this device
    /// knows.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let status = self.ajar(&["status"]).json();
        let all = status["spaces"].as_array().unwrap().iter();
        let us = all.filter(|space| space["kind"] == "us");
        us.map(|space| space["missing"].as_u64().unwrap()).sum()
    }

    /// Removes a device.
    pub fn remove(&self, name: &str, reason: &str) {
        let said = self.ajar(&["device", "remove", name, reason, "--yes"]);
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// Whether nothing at all is in the folder of the home.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        let inside = std::fs::read_dir(self.home());
        inside.map_or(true, |mut inside| inside.next().is_none())
    }
}

impl Running {
    /// Lets it end by itself, or kills it when it takes too long.
    pub fn end_or_kill(mut self, within: Duration) {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    /// Types a line.
    pub fn answer(&mut self, line: &str) {
        let typing = self.child.stdin.as_mut().unwrap();
        writeln!(typing, "{line}").unwrap();
    }
}

/// Texts of one space in the output of `list`, sorted.
#[must_use]
pub fn texts_of(list: &Value, space: &str) -> Vec<String> {
    let all = list.as_array().unwrap();
    let of_space = all.iter().filter(|item| item["space"] == space);
    let mut texts: Vec<String> = of_space
        .map(|item| item["text"].as_str().unwrap_or_default().to_owned())
        .collect();
    texts.sort();
    texts
}

/// Sentences of the notices with a code in the output of `status`.
#[must_use]
pub fn notices_of(status: &Value, code: &str) -> Vec<String> {
    let all = status["notices"].as_array().unwrap();
    let of_code = all.iter().filter(|notice| notice["code"] == code);
    of_code
        .map(|notice| notice["text"].as_str().unwrap().to_owned())
        .collect()
}

/// An attempt to add a device in which the person names a line: `place` is given the three
/// lines and the words on the new device's screen, and returns what is typed.
#[must_use]
pub fn choose(
    old: &Person,
    new: &Person,
    name: &str,
    place: impl FnOnce(&[Vec<String>], &[String]) -> String,
) -> (Said, Said) {
    let mut adding = old.adding("me");
    let code = adding.event("code", STEP);
    let linking = new.link(code["invitation"].as_str().unwrap(), name);
    let words = strings(&linking.event("words", STEP)["words"]);
    let asked = adding.event("choose", STEP);
    assert_eq!(asked["name"], name);
    let lines: Vec<Vec<String>> = asked["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(strings)
        .collect();
    adding.answer(&place(&lines, &words));
    (adding.end(), linking.end())
}

fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().unwrap().iter();
    all.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
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

/// Does the same on several devices at once.
pub fn all_at_once(devices: &[&Person], work: impl Fn(&Person) + Sync) {
    std::thread::scope(|scope| {
        for device in devices {
            scope.spawn(|| work(device));
        }
    });
}
