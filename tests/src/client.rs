//! A person: a home, and `ajar` processes that use it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::traced;

/// A person on one device.
pub struct Person {
    /// Name, as given to `ajar init`.
    pub name: String,
    /// Passphrase of the home.
    pub passphrase: String,
    folder: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    pub(crate) fn from(output: Output) -> Self {
        traced::note(&output.stderr);
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts success and returns the JSON on standard output.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts an exit status.
    #[must_use]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The error code in the JSON on standard error.
    #[must_use]
    pub fn error_code(&self) -> String {
        let line = self
            .err
            .lines()
            .rev()
            .find(|line| line.starts_with('{'))
            .unwrap_or_default();
        let json: Value = serde_json::from_str(line).unwrap_or_default();
        json["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Person {
    /// A person without a home yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            passphrase: format!("{name} quiet harbor linen oak"),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A person with a home that knows a relay.
    #[must_use]
    pub fn with_home(name: &str, relay: &str) -> Self {
        let person = Self::new(name);
        let words = person.folder.path().join("words.txt");
        let words = words.to_str().unwrap();
        let init = person.ajar(&[
            "init",
            "--name",
            name,
            "--relay",
            relay,
            "--words-file",
            words,
        ]);
        assert_eq!(init.code, 0, "{init:?}");
        std::fs::remove_file(words).unwrap();
        person
    }

    /// Folder of the home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// An `ajar --json` command for this home.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::binary("ajar"));
        command
            .arg("--json")
            .args(arguments)
            .env("AJAR_HOME", self.home())
            .env("AJAR_PASSPHRASE", &self.passphrase)
            .env_remove("AJAR_PRIVATE_PASSPHRASE")
            .stdin(Stdio::null());
        traced::talkative(&mut command);
        command
    }

    /// Runs a command to its end.
    #[must_use]
    pub fn ajar(&self, arguments: &[&str]) -> Said {
        Said::from(self.command(arguments).output().unwrap())
    }

    /// Runs a command with text on standard input.
    #[must_use]
    pub fn ajar_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The command may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Said::from(child.wait_with_output().unwrap())
    }

    /// Starts a command that goes on, and hears its lines.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::of(self.command(arguments))
    }

    /// Keeps an entry in *Only me*; returns its id.
    #[must_use]
    pub fn write(&self, title: &str, text: &str) -> String {
        let said = self.ajar_with_input(&["write", "--title", title, "-"], text);
        said.json()["id"].as_str().unwrap().to_owned()
    }

    /// Entries of the shared space, by text.
    #[must_use]
    pub fn shared_texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self
            .ajar(&["list", "--us"])
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["text"].as_str().unwrap_or_default().to_owned())
            .collect();
        texts.sort();
        texts
    }

    /// Syncs once and expects it to work.
    pub fn sync(&self) {
        let said = self.ajar(&["sync", "--timeout", "20"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

/// A command that goes on. Killed when dropped.
pub struct Running {
    /// The process.
    pub child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    /// Starts a command; standard input is what the command says.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let (say, errors) = channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                traced::note(format!("{line}\n").as_bytes());
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            errors,
        }
    }

    /// Waits for a JSON line whose `event` is this.
    #[must_use]
    pub fn event(&self, event: &str, within: Duration) -> Value {
        let until = Instant::now() + within;
        let mut seen = Vec::new();
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Ok(line) = self.lines.recv_timeout(left) else {
                break;
            };
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            if json["event"] == event {
                return json;
            }
            seen.push(line);
        }
        let errors: Vec<String> = self.errors.try_iter().collect();
        panic!("no event {event:?} within {within:?}; seen {seen:#?}, errors {errors:#?}");
    }

    /// The lines that are said within a time.
    #[must_use]
    pub fn heard(&self, within: Duration) -> Vec<String> {
        std::thread::sleep(within);
        self.lines.try_iter().collect()
    }

    /// Kills the process at once.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills the process at once; what it said until then.
    #[must_use]
    pub fn killed(mut self) -> Said {
        let _ = self.child.kill();
        self.end()
    }

    /// Waits for the end; the output is what no [`Self::event`] has taken.
    #[must_use]
    pub fn end(mut self) -> Said {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        // The threads that read end with the process, and with them the channels.
        let all = |lines: &Receiver<String>| lines.iter().collect::<Vec<_>>().join("\n");
        Said {
            code,
            out: all(&self.lines),
            err: all(&self.errors),
        }
    }

    /// Waits for the end and returns the exit status.
    #[must_use]
    pub fn wait(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pairs two people through their relay.
pub fn pair(ana: &Person, ben: &Person) {
    let pairing = ana.start(&["pair", "--yes"]);
    let code = pairing.event("code", Duration::from_secs(20));
    let joined = ben.ajar(&["join", code["invitation"].as_str().unwrap(), "--yes"]);
    assert_eq!(joined.code, 0, "{joined:?}");
    let paired = pairing.event("paired", Duration::from_secs(20));
    assert_eq!(paired["partner"], ben.name.as_str());
    assert_eq!(pairing.wait(), 0);
}
