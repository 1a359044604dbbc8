//! Processes of a user without special rights, as people have: what root may do to any process
//! says nothing. Whoever runs the tests as root lends that user their programs.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A user that is nobody on this machine.
pub const NOBODY: u32 = 54_711;
/// Another one.
pub const STRANGER: u32 = 54_712;

/// A user with a folder and both programs.
pub struct User {
    folder: TempDir,
    /// Who that is, when the tests may choose it.
    pub uid: u32,
    is_root: bool,
    /// Goes before every command, in a shell.
    before: &'static str,
}

impl User {
    /// Someone who types this before every command (`umask 000;`).
    #[must_use]
    pub fn typing(before: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(folder.path()).unwrap().uid();
        let is_root = own == 0;
        let uid = if is_root { NOBODY } else { own };
        for name in ["ajar", "ajar-relay"] {
            std::fs::copy(crate::binary(name), folder.path().join(name)).unwrap();
        }
        let user = Self {
            folder,
            uid,
            is_root,
            before,
        };
        std::fs::set_permissions(user.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let own = user.place("own");
        std::fs::create_dir(&own).unwrap();
        if is_root {
            chown(&own, Some(uid), Some(uid)).unwrap();
        }
        user
    }

    /// Whether the tests may act as any user, and give files away.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// A path in the folder of this user.
    #[must_use]
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home of this user's journal.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.place("own/home")
    }

    /// The data of this user's relay.
    #[must_use]
    pub fn relay(&self) -> PathBuf {
        self.place("own/relay")
    }

    /// A command of this user; the first argument is the program.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_as(self.uid, arguments)
    }

    /// The same of another user, where the tests may choose.
    #[must_use]
    pub fn command_as(&self, uid: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{} exec \"$@\"", self.before), "sh"])
            .args(arguments)
            .current_dir(self.place("own"))
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.folder.path().display()),
            )
            .env("AJAR_HOME", self.home())
            .env("AJAR_PASSPHRASE", "quiet harbor linen oak")
            .env("TMPDIR", self.place("own"))
            .stdin(Stdio::null());
        if self.is_root {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Runs a command to its end, and expects it to work.
    #[must_use]
    pub fn does(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?} {output:?}");
        output
    }

    /// Starts this user's relay; it and its address.
    #[must_use]
    pub fn serves(&self) -> (Serving, String) {
        let data = self.relay();
        let data = data.to_str().unwrap();
        let _ = self.does(&["ajar-relay", "init", "--data", data]);
        let ready = self.place("own/ready.json");
        let listen = ["serve", "--listen", "127.0.0.1:0", "--data", data];
        let mut serving = self.command(&[&["ajar-relay"], &listen[..]].concat());
        serving.env("AJAR_RELAY_LOG", "warn");
        serving.args(["--ready-file", ready.to_str().unwrap()]);
        // A test that fails is not to wait for who inherited its output.
        let serving = serving.stdout(Stdio::null()).stderr(Stdio::null());
        let relay = Serving(serving.spawn().unwrap());
        until(|| ready.exists());
        let invite = ["invite", "--json", "--host", "127.0.0.1", "--data", data];
        let said = self.does(&[&["ajar-relay"], &invite[..]].concat());
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        (relay, said["address"].as_str().unwrap().to_owned())
    }
}

/// A process that goes on. Killed when dropped.
pub struct Serving(pub Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something that has to happen.
pub fn until(happened: impl Fn() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it did not happen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything below a folder, and the folder, with its mode.
#[must_use]
pub fn modes(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), metadata.is_dir(), metadata.mode() & 0o7777));
        if metadata.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    found
}
