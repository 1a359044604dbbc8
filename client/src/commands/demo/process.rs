//! Child processes that end with the demo, whatever happens.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::STEP;
use crate::context::Context;
use crate::report::Failure;

const LOOK_EVERY: Duration = Duration::from_millis(15);
/// How long a process may take to stop when asked.
const STOPPING: Duration = Duration::from_secs(8);

/// Whether somebody pressed Ctrl-C.
pub(super) struct Interrupt {
    asked: Arc<AtomicBool>,
    listener: JoinHandle<()>,
}

impl Interrupt {
    pub(super) fn listen(context: &Context) -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&asked);
        // The handler is in place when this returns, so nothing falls between.
        let mut signals = super::super::sync::Stop::new()?;
        let listener = context.spawn(async move {
            signals.asked().await;
            told.store(true, Ordering::Relaxed);
        });
        Ok(Self { asked, listener })
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.asked.load(Ordering::Relaxed) {
            Err(Failure::fixable("interrupted", "you asked it to.")
                .hint("Its processes are stopped."))
        } else {
            Ok(())
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// A running process; its output goes to files, so that it can never block on a full pipe.
pub(super) struct Running<'a> {
    child: Child,
    what: String,
    stdout: PathBuf,
    stderr: PathBuf,
    interrupt: &'a Interrupt,
}

/// A process that has ended.
pub(super) struct Ended {
    pub(super) what: String,
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl<'a> Running<'a> {
    /// Starts `command`; `what` names it in messages, `logs` is a folder for its output.
    pub(super) fn start(
        mut command: Command,
        what: String,
        logs: &Path,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Failure> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        interrupt.check()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (stdout, stderr) = (
            logs.join(format!("{number:03}.out")),
            logs.join(format!("{number:03}.err")),
        );
        let failed = |error: io::Error| {
            Failure::fixable("demo", format!("`{what}` did not start: {error}."))
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).map_err(failed)?)
            .stderr(File::create(&stderr).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            child,
            what,
            stdout,
            stderr,
            interrupt,
        })
    }

    /// Waits until the process has ended, or `what_else` gives something.
    fn wait_for<T>(
        &mut self,
        mut what_else: impl FnMut(&Self) -> Option<T>,
    ) -> Result<Result<T, ExitStatus>, Failure> {
        let deadline = Instant::now() + STEP;
        loop {
            self.interrupt.check()?;
            if let Some(found) = what_else(self) {
                return Ok(Ok(found));
            }
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(Err(status)),
                Ok(None) if Instant::now() < deadline => sleep(LOOK_EVERY),
                Ok(None) => {
                    let message = format!(
                        "`{}` took longer than {} seconds.",
                        self.what,
                        STEP.as_secs()
                    );
                    return Err(Failure::fixable("demo", message));
                }
                Err(error) => {
                    return Err(Failure::fixable(
                        "demo",
                        format!("`{}` is lost: {error}.", self.what),
                    ));
                }
            }
        }
    }

    /// Waits until it has ended.
    pub(super) fn end(mut self) -> Result<Ended, Failure> {
        match self.wait_for(|_| None::<()>)? {
            Ok(()) => Err(Failure::fixable("demo", "a process ended in no way")),
            Err(status) => Ok(self.ended(status)),
        }
    }

    /// Waits until it has ended, and ended well.
    pub(super) fn end_well(self) -> Result<Ended, Failure> {
        let ended = self.end()?;
        if ended.status.success() {
            return Ok(ended);
        }
        Err(ended.failure())
    }

    /// Waits for the first line on stdout while it keeps running.
    pub(super) fn first_line(&mut self) -> Result<String, Failure> {
        let found = self.wait_for(|running| {
            let text = fs::read_to_string(&running.stdout).ok()?;
            text.split_once('\n').map(|(line, _)| line.to_owned())
        })?;
        found.map_err(|status| self.ended(status).failure())
    }

    /// Waits for a file to hold something while it keeps running.
    pub(super) fn file(&mut self, path: &Path) -> Result<String, Failure> {
        let found = self.wait_for(|_| {
            fs::read_to_string(path)
                .ok()
                .filter(|text| text.ends_with('\n'))
        })?;
        found.map_err(|status| self.ended(status).failure())
    }

    /// Asks it to stop, as Ctrl-C would, and waits.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        self.ask_to_stop();
        let deadline = Instant::now() + STOPPING;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.ended(status).failure()),
                Ok(None) if Instant::now() < deadline => sleep(LOOK_EVERY),
                Ok(None) | Err(_) => {
                    return Err(Failure::fixable(
                        "demo",
                        format!("`{}` did not stop when asked.", self.what),
                    ));
                }
            }
        }
    }

    fn ask_to_stop(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself.
            let _ = kill_process(id, Signal::TERM);
        }
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Ended {
            what: self.what.clone(),
            status,
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    pub(super) fn failure(&self) -> Failure {
        let said = reason(self.stderr.trim());
        let said = if said.is_empty() {
            self.status.to_string()
        } else {
            said
        };
        Failure::fixable("demo", format!("`{}` failed: {said}", self.what))
    }
}

/// What a process said last: the sentence in it, if it is an error as JSON.
fn reason(said: &str) -> String {
    let last = said.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_default();
    let message = error.get("error").and_then(|error| error.get("message"));
    message.and_then(Value::as_str).unwrap_or(said).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calm() -> Interrupt {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        Interrupt {
            asked: Arc::new(AtomicBool::new(false)),
            listener: runtime.spawn(async {}),
        }
    }

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    #[test]
    fn a_step_that_fails_says_which_and_why() {
        let (logs, interrupt) = (tempfile::tempdir().unwrap(), calm());
        let start = |script| {
            Running::start(sh(script), "a step".to_owned(), logs.path(), &interrupt).unwrap()
        };
        let failure = start("echo too late >&2; exit 3").end_well().err().unwrap();
        assert_eq!(failure.message(), "`a step` failed: too late");
        let as_json =
            r#"echo talk >&2; echo '{"error":{"message":"a \"quoted\" word"}}' >&2; exit 1"#;
        let failure = start(as_json).end_well().err().unwrap();
        assert_eq!(failure.message(), "`a step` failed: a \"quoted\" word");
        let ended = start("echo done; exit 4").end().unwrap();
        assert_eq!(
            (ended.status.code(), ended.stdout.as_str()),
            (Some(4), "done\n")
        );
        let failure = start("exit 1").first_line().err().unwrap();
        assert!(failure.message().contains("a step"));
    }

    #[test]
    fn a_process_ends_with_its_handle_and_when_interrupted() {
        let (logs, interrupt) = (tempfile::tempdir().unwrap(), calm());
        let mut running = Running::start(
            sh("echo up; exec sleep 60"),
            "sleeper".to_owned(),
            logs.path(),
            &interrupt,
        )
        .unwrap();
        assert_eq!(running.first_line().unwrap(), "up");
        let id = running.child.id();
        drop(running);
        assert!(!Path::new(&format!("/proc/{id}/cmdline")).exists() || !cfg!(target_os = "linux"));
        interrupt.asked.store(true, Ordering::Relaxed);
        let refused = Running::start(sh("true"), "late".to_owned(), logs.path(), &interrupt);
        assert_eq!(refused.err().unwrap().code(), "interrupted");
    }
}
