//! `ajar device add`: shows a code, then lets the person find the new device's words.

use std::io::{self, BufRead, Read};

use ajar_journal::text::displayable_line;
use ajar_sync::{Candidate, ConnectError, Error, Home, PairingCode, SpaceKind};
use serde_json::json;

use crate::cli::{AddDevice, SpaceName};
use crate::context::{Context, Need};
use crate::names::{space_name, space_word};
use crate::output::Output;
use crate::report::Failure;
use crate::terminal;

/// How often a line is asked for when the answer was no line at all.
const TRIES: usize = 3;
/// Longest answer that is read, in bytes.
const ANSWER: u64 = 256;

pub(crate) fn run(context: &Context, args: &AddDevice) -> Result<(), Failure> {
    let out = context.out;
    if !args.yes && !out.json && !terminal::can_ask() {
        return Err(Failure::fixable(
            "no-terminal",
            "Somebody has to find the new device's words here, and there is no terminal to ask on.",
        )
        .hint("Use --json and answer on standard input, or --yes where both devices are in your own hands."));
    }
    // Opening asks for the passphrase: nobody adds a device at a screen that was left alone.
    let need = if args.spaces.contains(&SpaceName::Me) {
        Need::Private
    } else {
        Need::Home
    };
    let home = context.open_home(need)?;
    if home.relay().is_none() {
        return Err(Error::Connect(ConnectError::NoRelay).into());
    }
    let kinds = kinds(out, &home, &args.spaces)?;
    let private = kinds.contains(&SpaceKind::Private);
    let (yes, wait) = (args.yes, args.timeout);
    out.talk("Bringing everything up to date with the relay first …");
    let added = context.block_on(home.add_device(
        &kinds,
        wait,
        move |code| show_code(out, &code, private),
        move |candidate| choose(out, candidate, yes),
    ));
    let added = added.map_err(super::not_there)?;
    home.close()?;
    let words: Vec<&str> = kinds.iter().copied().map(space_word).collect();
    let name = displayable_line(&added);
    out.data(
        &json!({"event": "linked", "name": added, "spaces": words}),
        || format!("{name} is one of your devices now."),
    )?;
    out.talk("It fetches what it does not have yet. `ajar device list` shows all of them.");
    Ok(())
}

/// What the new device is to get.
fn kinds(out: Output, home: &Home, asked: &[SpaceName]) -> Result<Vec<SpaceKind>, Failure> {
    if asked.is_empty() {
        let kinds: Vec<SpaceKind> = home.spaces().iter().map(|space| space.kind()).collect();
        if !home.is_private_unlocked() {
            out.insist(
                "Only me is locked here and is left out; set AJAR_PRIVATE_PASSPHRASE to include it.",
            );
        }
        return Ok(kinds);
    }
    let mut kinds = Vec::new();
    for (name, kind) in [
        (SpaceName::Me, SpaceKind::Private),
        (SpaceName::Us, SpaceKind::Shared),
    ] {
        if asked.contains(&name) {
            home.space(kind)?;
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

fn show_code(out: Output, code: &PairingCode, private: bool) {
    let shown = if out.json {
        out.json(&json!({"event": "code", "code": code.code, "invitation": code.invitation}))
    } else {
        out.plain(&format!(
            "Code:        {}\nInvitation:  {}",
            code.code, code.invitation
        ))
    };
    if shown.is_err() {
        out.insist("The code could not be shown on standard output. End with Ctrl-C, begin again.");
        return;
    }
    // A warning that quiet must not swallow.
    out.insist(warning(private));
    out.talk(
        "There: `ajar init --link CODE --relay ADDRESS`, or with the whole invitation instead of the\n\
         code and the address. It works once, for ten minutes. Waiting …",
    );
}

fn warning(private: bool) -> &'static str {
    if private {
        "Type this only into a device in your hands. Whoever has these words can read everything you\n\
         write, also the private part."
    } else {
        "Type this only into a device in your hands. Whoever has these words can read everything you\n\
         write to each other."
    }
}

/// Which line stands on the new device. No answer is none.
fn choose(out: Output, candidate: &Candidate, yes: bool) -> Option<usize> {
    let name = displayable_line(&candidate.name);
    if yes {
        out.talk(format!(
            "{name} asks to be added. Taken without comparing words, as you asked."
        ));
        return Some(candidate.right());
    }
    if out.json {
        let asked = json!({"event": "choose", "name": candidate.name, "lines": candidate.lines});
        out.json(&asked).ok()?;
        let mut answer = String::new();
        let read = io::stdin().lock().take(ANSWER).read_line(&mut answer);
        return read
            .ok()
            .and_then(|_| place(&answer, candidate.lines.len()));
    }
    out.insist(format!(
        "\n{name} asks to be added. One of these lines stands on its screen:\n"
    ));
    for (number, line) in candidate.lines.iter().enumerate() {
        out.insist(format!("    {}.  {}", number + 1, line.join(" ")));
    }
    out.insist("");
    for _ in 0..TRIES {
        let question = "Which one? 1, 2 or 3; no if none of them:";
        let answer = terminal::ask(question).ok().flatten()?;
        if matches!(
            answer.trim().to_lowercase().as_str(),
            "no" | "n" | "none" | "0"
        ) {
            return None;
        }
        if let Some(place) = place(&answer, candidate.lines.len()) {
            return Some(place);
        }
    }
    None
}

/// The place that an answer names, from 0.
fn place(answer: &str, count: usize) -> Option<usize> {
    let number: usize = answer.trim().parse().ok()?;
    (1..=count).contains(&number).then(|| number - 1)
}

/// Names of spaces as a sentence takes them.
pub(super) fn space_names(kinds: &[SpaceKind]) -> String {
    let names: Vec<&str> = kinds.iter().copied().map(space_name).collect();
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_that_was_shown_can_be_chosen() {
        assert_eq!(place("1\n", 3), Some(0));
        assert_eq!(place(" 3 ", 3), Some(2));
        for none in ["", "0", "4", "-1", "one", "1 2"] {
            assert_eq!(place(none, 3), None, "{none:?}");
        }
    }

    #[test]
    fn the_private_part_is_named_where_it_is_handed_over() {
        assert!(warning(true).contains("also the private part"));
        assert!(!warning(false).contains("private"));
    }
}
