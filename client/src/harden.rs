//! What the process does before it holds a secret (`docs/protocol.md` §2.16, Process).

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

/// No core files, no other process of this user looking in, new files for this user only, and a
/// panic that prints no value.
pub(crate) fn process() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A system that refuses either gives no reason to refuse the person their journal.
    let _ = rustix::process::setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    {
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
    std::panic::set_hook(Box::new(|panic| {
        // The message of a panic may hold what somebody wrote; the place cannot. Most panics
        // of libraries are caught and answered where they happen, so nothing is said here.
        let place = panic
            .location()
            .map(|place| (without_home(place.file()).to_owned(), place.line()));
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

/// Where the last panic happened.
static LAST_PANIC: Mutex<Option<(String, u32)>> = Mutex::new(None);

/// Says where a panic that nobody caught happened, and nothing of what it was about.
pub(crate) fn tell_panic() {
    let place = LAST_PANIC
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let (file, line) = place.unwrap_or_else(|| ("unknown place".to_owned(), 0));
    let _ = writeln!(
        std::io::stderr().lock(),
        "Ajar met a mistake of its own and stopped (code P1 at {file}:{line}).\n\
         What was kept stays kept. Please report this line."
    );
}

/// The place of a source file, for people: those of libraries begin with the home of whoever built
/// this, which is nobody's business.
fn without_home(file: &str) -> &str {
    let library = file.split_once("/registry/src/");
    match library.and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, rest)) => rest,
        None if file.starts_with('/') => file.rsplit('/').next().unwrap_or(file),
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "AJAR_TEST_PANICS";

    /// Threat 112: a panic may be about what somebody wrote.
    #[test]
    fn t112_a_panic_says_where_and_not_what() {
        const NAME: &str = "harden::tests::t112_a_panic_says_where_and_not_what";
        if std::env::var_os(CHILD).is_some() {
            // The hook is for a whole process, so this one is of its own.
            process();
            let told = ["CANARY", "of", "a", "panic"].join("-");
            let thread = std::thread::spawn({
                let told = told.clone();
                move || panic!("{told}")
            });
            assert!(thread.join().is_err());
            assert!(std::panic::catch_unwind(|| panic!("{told}")).is_err());
            tell_panic();
            std::process::exit(0);
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("code P1 at client/src/harden.rs:"), "{said}");
        assert!(!said.contains("CANARY"), "{said}");
    }

    #[test]
    fn the_place_of_a_panic_does_not_name_who_built_the_program() {
        let library = "/home/ana/.cargo/registry/src/index-1/quinn-0.11/src/connection.rs";
        assert_eq!(without_home(library), "quinn-0.11/src/connection.rs");
        assert_eq!(without_home("/home/ana/x.rs"), "x.rs");
        assert_eq!(without_home("client/src/names.rs"), "client/src/names.rs");
    }
}
