//! `ajar lock`: ends the process that holds the journal open, in order.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ajar_sync::Error;
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::json;

use crate::context::Context;
use crate::report::Failure;
use crate::unlock::without_secrets;

/// How long a process may take to end when asked.
const ENDING: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Most bytes of a process id in the lock file.
const PID: u64 = 20;

pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let dir = context.dir()?;
    if !dir.join("vault.hdr").exists() {
        return Err(Error::NoHome(dir).into());
    }
    let Some(pid) = holder(&dir)? else {
        return out.data(&json!({"locked": true, "ended": null}), || {
            "It is locked: nothing has this journal open.".to_owned()
        });
    };
    let process = process(pid).filter(|process| process.uid == getuid().as_raw());
    let stays = process.as_ref().is_some_and(Process::stays);
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let (true, Some(target)) = (stays, target) else {
        return Err(Failure::from(Error::InUse { pid: Some(pid) }).hint(
            "Only `ajar sync --watch` is ended by this. Let the other one finish: it may hold a text that is not kept yet.",
        ));
    };
    // It may end by itself meanwhile.
    let _gone = kill_process(target, Signal::TERM);
    let until = Instant::now() + ENDING;
    while holder(&dir)? == Some(pid) {
        if Instant::now() > until {
            return Err(Failure::from(Error::InUse { pid: Some(pid) }).hint(format!(
                "It was told to end and did not within {} seconds. `kill -9 {pid}` ends it; what was kept is safe.",
                ENDING.as_secs()
            )));
        }
        sleep(LOOK_EVERY);
    }
    out.data(&json!({"locked": true, "ended": pid}), || {
        format!("Locked: the process {pid} has ended, and its keys with it.")
    })
}

/// The process that has the journal open; 0 when it did not say which it is.
fn holder(dir: &Path) -> Result<Option<u32>, Failure> {
    let path = dir.join("lock");
    let trouble = |error: std::io::Error| -> Failure {
        Error::Unreadable {
            path: path.clone(),
            source: error,
        }
        .into()
    };
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(nofollow).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.take(PID).read_to_string(&mut pid);
            Ok(Some(
                read.ok().and_then(|_| pid.trim().parse().ok()).unwrap_or(0),
            ))
        }
        Err(TryLockError::Error(error)) => Err(trouble(error)),
    }
}

/// What the system says about a process.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    uid: u32,
    args: Vec<String>,
}

impl Process {
    /// Whether it is an `ajar` that stays until it is told to end.
    fn stays(&self) -> bool {
        let program = self.args.first().map(Path::new);
        let is_ajar = program
            .and_then(Path::file_name)
            .is_some_and(|name| name == "ajar");
        let has = |wanted: &str| self.args.iter().any(|arg| arg == wanted);
        is_ajar && has("sync") && has("--watch")
    }
}

fn process(pid: u32) -> Option<Process> {
    from_proc(pid).or_else(|| from_ps(pid))
}

/// From `/proc`, where there is one.
fn from_proc(pid: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uid = uid.split_whitespace().next()?.parse().ok()?;
    let args = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let args = args.split(|byte| *byte == 0).filter(|arg| !arg.is_empty());
    let args = args
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    Some(Process { uid, args })
}

/// From `ps`, which every other system has.
fn from_ps(pid: u32) -> Option<Process> {
    let mut ps = Command::new("ps");
    let said = without_secrets(&mut ps)
        .args(["-o", "uid=,args=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut words = said.split_whitespace().map(str::to_owned);
    let uid = words.next()?.parse().ok()?;
    Some(Process {
        uid,
        args: words.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(args: &[&str]) -> Process {
        Process {
            uid: 1,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }

    #[test]
    fn only_a_watch_is_told_to_end_and_no_editor_loses_a_text() {
        assert!(called(&["/usr/bin/ajar", "--home", "x", "sync", "--watch"]).stays());
        assert!(!called(&["ajar", "write"]).stays());
        assert!(!called(&["ajar", "sync"]).stays());
        assert!(!called(&["vim", "sync", "--watch"]).stays());
        assert!(!called(&[]).stays());
    }

    #[test]
    fn the_system_says_whose_a_process_is_and_how_it_was_called() {
        let own = process(std::process::id()).unwrap();
        assert_eq!(own.uid, getuid().as_raw());
        assert!(!own.args.is_empty());
    }

    #[test]
    fn a_journal_that_nobody_holds_is_locked_already() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        let path = dir.path().join("lock");
        fs::write(&path, "4711").unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        let held = fs::File::open(&path).unwrap();
        held.try_lock().unwrap();
        assert_eq!(holder(dir.path()).unwrap(), Some(4711));
        fs::write(&path, "who knows").unwrap();
        assert_eq!(holder(dir.path()).unwrap(), Some(0));
    }
}
