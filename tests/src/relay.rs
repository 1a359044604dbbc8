//! A relay process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::traced;

/// A relay with a data folder of its own. Killed when dropped.
pub struct Relay {
    folder: TempDir,
    process: Option<Child>,
    port: u16,
    log_level: &'static str,
}

impl Relay {
    /// Makes a data folder and starts the relay on a free port of the loopback.
    #[must_use]
    pub fn start() -> Self {
        Self::start_logging("trace")
    }

    /// The same without a log to speak of, for measuring.
    #[must_use]
    pub fn start_quiet() -> Self {
        Self::start_logging("warn")
    }

    fn start_logging(log_level: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut relay = Self {
            folder,
            process: None,
            port: 0,
            log_level,
        };
        let init = relay.command(&["init"]).output().unwrap();
        assert!(
            init.status.success(),
            "{}",
            String::from_utf8_lossy(&init.stderr)
        );
        // Tests open more codes in an hour than two people do.
        let path = relay.data().join("relay.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let config = config
            .replace(
                "# mailbox_opens_per_hour = 10",
                "mailbox_opens_per_hour = 10000",
            )
            .replace(
                "# mailbox_joins_per_hour = 30",
                "mailbox_joins_per_hour = 10000",
            )
            .replace("# refusal_milliseconds = 100", "refusal_milliseconds = 5");
        std::fs::write(&path, config).unwrap();
        relay.serve();
        relay
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::binary("ajar-relay"));
        command.args(arguments).arg("--data").arg(self.data());
        command
    }

    /// Starts the process, on the port it had before.
    pub fn serve(&mut self) {
        let ready = self.folder.path().join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let listen = format!("127.0.0.1:{}", self.port);
        let child = self
            .command(&["serve", "--listen", &listen])
            .arg("--ready-file")
            .arg(&ready)
            .env("AJAR_RELAY_LOG", self.log_level)
            .envs(traced::variables())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        let started = Instant::now();
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text;
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the relay did not start: {}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
        let listen = ready["listen"].as_str().unwrap();
        self.port = listen.rsplit(':').next().unwrap().parse().unwrap();
    }

    /// What the relay wrote to its log so far (level trace).
    #[must_use]
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// File of the log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("relay.log")
    }

    /// Folder with everything the relay ever wrote: data and log.
    #[must_use]
    pub fn everything(&self) -> &Path {
        self.folder.path()
    }

    /// A new address with a claim.
    #[must_use]
    pub fn invite(&self) -> String {
        let out = self
            .command(&["invite", "--json", "--host", "127.0.0.1"])
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        json["address"].as_str().unwrap().to_owned()
    }

    /// Kills the process at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Kills and starts again.
    pub fn restart(&mut self) {
        self.kill();
        self.serve();
    }

    /// Erases every dead record of its log, which it does not do of itself while the segment
    /// that holds one is not mostly dead.
    pub fn erase_dead(&mut self) {
        self.kill();
        let log = ajar_log::Options::new().open(&self.data().join("db"));
        let log = log.unwrap();
        log.erase_dead().unwrap();
        log.close().unwrap();
        self.serve();
    }

    /// A backup of its data folder. The relay must be down.
    #[must_use]
    pub fn backup(&self) -> TempDir {
        assert!(self.process.is_none(), "the relay runs");
        let backup = tempfile::tempdir().unwrap();
        crate::devices::copy_folder(&self.data(), backup.path());
        backup
    }

    /// Puts a backup in the place of its data folder. The relay must be down.
    pub fn restore(&self, backup: &TempDir) {
        assert!(self.process.is_none(), "the relay runs");
        std::fs::remove_dir_all(self.data()).unwrap();
        crate::devices::copy_folder(backup.path(), &self.data());
    }

    /// Puts another folder in the place of its data, as a relay does that keeps two worlds. It
    /// must be down before; it runs after. What was in use lies in that folder then.
    pub fn change_worlds(&mut self, other: &Path) {
        assert!(self.process.is_none(), "the relay runs");
        let aside = self.folder.path().join("aside");
        std::fs::rename(self.data(), &aside).unwrap();
        std::fs::rename(other, self.data()).unwrap();
        std::fs::rename(&aside, other).unwrap();
        self.serve();
    }

    /// The world as it is now once more, in a folder beside its data. It must be down.
    #[must_use]
    pub fn second_world(&self) -> PathBuf {
        assert!(self.process.is_none(), "the relay runs");
        let other = self.folder.path().join("second");
        crate::devices::copy_folder(&self.data(), &other);
        other
    }

    /// Deletes everything but the key and the configuration. The relay must be down.
    pub fn lose_disk(&self) {
        assert!(self.process.is_none(), "the relay runs");
        for name in ["db", "blobs", "claims"] {
            let path = self.data().join(name);
            if path.exists() {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}
