//! Processes that say all they can: every log there is at its finest, every hook for secrets of
//! TLS, a temporary folder of their own; and an eye on what the system shows of them to others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

/// Set once for a whole test program.
static TRACED: OnceLock<Traced> = OnceLock::new();

/// Where the processes of this test program leave what they leave.
pub struct Traced {
    folder: TempDir,
}

/// From now on, every process of this test program says all it can.
#[must_use]
pub fn on() -> &'static Traced {
    TRACED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Traced { folder }
    })
}

impl Traced {
    /// What all `ajar` processes said on stderr.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("client.log")
    }

    /// Their temporary folder.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// The file that TLS libraries write session keys into when they are asked to.
    #[must_use]
    pub fn key_log(&self) -> PathBuf {
        self.folder.path().join("sslkeys")
    }

    /// All of that.
    #[must_use]
    pub fn everything(&self) -> &Path {
        self.folder.path()
    }
}

/// Variables that make programs say all they can; none before [`on`].
#[must_use]
pub fn variables() -> Vec<(&'static str, OsString)> {
    let Some(traced) = TRACED.get() else {
        return Vec::new();
    };
    vec![
        ("RUST_LOG", "trace".into()),
        ("RUST_BACKTRACE", "full".into()),
        ("RUST_LIB_BACKTRACE", "full".into()),
        ("SSLKEYLOGFILE", traced.key_log().into()),
        ("TMPDIR", traced.temporary().into()),
    ]
}

/// Makes an `ajar` command say all it can.
pub(crate) fn talkative(command: &mut Command) {
    if TRACED.get().is_some() {
        command.arg("--verbose").envs(variables());
    }
}

/// Keeps what an `ajar` process said on stderr.
pub(crate) fn note(said: &[u8]) {
    if let Some(traced) = TRACED.get() {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(traced.log());
        log.unwrap().write_all(said).unwrap();
    }
}

/// One process as any user of the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Number of the process that started it.
    pub parent: u32,
    /// Its arguments, with zero bytes between them.
    pub arguments: Vec<u8>,
    /// Its name, as `ps` shows it.
    pub name: Vec<u8>,
}

/// Looks at all processes that this test started, again and again, until it is asked what it saw.
pub struct Eye {
    over: Arc<AtomicBool>,
    looking: Option<JoinHandle<BTreeSet<Seen>>>,
}

impl Eye {
    /// Opens it.
    #[must_use]
    pub fn open() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&over);
        let looking = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !closing.load(Ordering::SeqCst) {
                seen.extend(processes());
                std::thread::sleep(Duration::from_millis(3));
            }
            seen
        });
        Self {
            over,
            looking: Some(looking),
        }
    }

    /// Closes it; what it saw.
    #[must_use]
    pub fn close(mut self) -> BTreeSet<Seen> {
        self.over.store(true, Ordering::SeqCst);
        self.looking.take().unwrap().join().unwrap()
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// What this test started, and what that started: other tests run beside it.
fn processes() -> Vec<Seen> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    // A process may end while it is looked at.
    let all: BTreeMap<u32, Seen> = all
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, seen(&entry.path())?))
        })
        .collect();
    let own = std::process::id();
    let started = |seen: &Seen| {
        let parents = std::iter::successors(Some(seen.parent), |parent| {
            all.get(parent).map(|seen| seen.parent)
        });
        parents.take(64).any(|parent| parent == own)
    };
    all.values().filter(|seen| started(seen)).cloned().collect()
}

fn seen(process: &Path) -> Option<Seen> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(Seen {
        parent: parent.trim().parse().ok()?,
        arguments: std::fs::read(process.join("cmdline")).ok()?,
        name: std::fs::read(process.join("comm")).ok()?,
    })
}
