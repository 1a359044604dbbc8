//! What the process does before it reads the relay's key.

use std::io::Write;

/// No core files, no other process of this user looking in, new files for this user only, and a
/// panic that prints no value.
pub(crate) fn process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit};
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        // A system that refuses either gives no reason to refuse to serve.
        let _ = rustix::process::setrlimit(Resource::Core, none);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    std::panic::set_hook(Box::new(|panic| {
        // The message of a panic may hold what somebody sent; the place cannot. What panicked is
        // one connection or one task: the others go on, and what they cannot go on without ends
        // the relay in order.
        let place = panic.location().map_or_else(
            || "an unknown place".to_owned(),
            |at| format!("{}:{}", without_home(at.file()), at.line()),
        );
        // Not through the log, which may be what panicked.
        let _ = writeln!(
            std::io::stderr().lock(),
            "ajar-relay: a mistake of its own (code P1 at {place}); what was stored stays stored. \
             Please report this line."
        );
    }));
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
    use crate::storage::StoreError;
    use std::process::Command;

    const CHILD: &str = "AJAR_RELAY_TEST_PANICS";

    /// Threat 112: a panic may be about what a member sent.
    #[test]
    fn t112_a_panic_of_the_relay_says_where_and_not_what() {
        const NAME: &str = "harden::tests::t112_a_panic_of_the_relay_says_where_and_not_what";
        if std::env::var_os(CHILD).is_some() {
            // The hook is for a whole process, so this one is of its own.
            process();
            let told = ["CANARY", "of", "a", "panic"].join("-");
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let ended = runtime.block_on(runtime.spawn(async move { panic!("{told}") }));
            // What the rest of the relay logs of it.
            let Err(ended) = ended;
            writeln!(std::io::stdout(), "{}", StoreError::from(ended)).unwrap();
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
        assert!(said.contains("code P1 at relay/src/harden.rs:"), "{said}");
        assert!(
            said.contains("storage: a task of the relay broke off"),
            "{said}"
        );
        assert!(!said.contains("CANARY"), "{said}");
    }

    #[test]
    fn the_place_of_a_panic_does_not_name_who_built_the_program() {
        let library = "/home/ana/.cargo/registry/src/index-1/quinn-0.11/src/connection.rs";
        assert_eq!(without_home(library), "quinn-0.11/src/connection.rs");
        assert_eq!(without_home("/home/ana/x.rs"), "x.rs");
        assert_eq!(without_home("relay/src/session.rs"), "relay/src/session.rs");
    }
}
