//! Ajar on the command line: a private, end-to-end encrypted journal for two.
//!
//! stdout is data, stderr is talk; every command that prints state has `--json`; the exit codes
//! are a table ([`report`]). Nothing secret is taken from the argument list.

mod beginning;
mod between;
mod burns;
mod cli;
mod commands;
mod compose;
mod consents;
mod context;
mod dates;
mod devices;
mod dirs;
mod fading;
mod harden;
mod ids;
mod lines;
mod names;
mod new_file;
mod notices;
mod output;
pub mod photo;
mod records;
pub mod report;
mod shelf;
mod summaries;
mod terminal;
mod thread;
mod unlock;
mod words;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use context::Context;
use report::{Exit, Failure};

/// Runs `ajar` with the arguments of this process; the exit code is one of [`report::Exit`].
#[must_use]
pub fn main() -> ExitCode {
    harden::process();
    let exit = std::panic::catch_unwind(AssertUnwindSafe(|| run(std::env::args_os().collect())));
    let exit = exit.unwrap_or_else(|_| {
        // A panic is our bug, never the person's.
        harden::tell_panic();
        Exit::Bug
    });
    ExitCode::from(exit.number())
}

fn run(args: Vec<OsString>) -> Exit {
    let json = args.iter().any(|arg| arg == "--json");
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if json && error.use_stderr() => {
            let message = first_paragraph(&error.render().to_string());
            let failure = Failure::new(Exit::Bug, "usage", message).hint("Run it with --help.");
            return failure.tell(true);
        }
        Err(error) => {
            // `--help` arrives here too. If nobody can read it, there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Bug
            } else {
                Exit::Done
            };
        }
    };
    let json = cli.global.json;
    let context = match Context::new(&cli.global) {
        Ok(context) => context,
        Err(failure) => return failure.tell(json),
    };
    match commands::run(&context, &cli.command) {
        Ok(()) => Exit::Done,
        Err(failure) => failure.tell(json),
    }
}

/// What is wrong with the arguments, in one line: what stands before the first blank line (the
/// names of missing arguments stand in lines of their own).
fn first_paragraph(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_argument_is_named_to_a_script_too() {
        let error = Cli::try_parse_from(["ajar", "open", "3f2a"]).unwrap_err();
        let said = first_paragraph(&error.render().to_string());
        assert!(said.contains("--stage <STAGE>"), "{said}");
        assert!(!said.contains(['\n', '\u{1b}']), "{said:?}");
    }
}
