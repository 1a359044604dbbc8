//! `ajar recover`: everything back from the twelve words and the relay's address.

mod found;

use ajar_journal::text::displayable_line;
use ajar_sync::{Error, Home, NewHome, Recovered, RecoveryPhrase, RelayAddress, Review, SpaceKind};
use serde_json::{Value, json};

use crate::cli::Recover;
use crate::context::{Context, Need};
use crate::names::{space_name, space_word};
use crate::output::Output;
use crate::report::Failure;
use crate::unlock::{self, Which};
use crate::{dirs, records, summaries, terminal, words};

/// What the person said beforehand.
struct Said {
    keep_devices: bool,
    undo: Vec<usize>,
    without_me: bool,
    yes: bool,
}

pub(crate) fn run(context: &Context, args: &Recover) -> Result<(), Failure> {
    let out = context.out;
    let dir = context.dir()?;
    let relay = super::init::address(&args.relay)?;
    super::init::check_name(&args.name)?;
    if !args.yes && !out.json && !terminal::can_ask() {
        return Err(Failure::fixable(
            "no-terminal",
            "What the words find has to be looked at, and there is no terminal to ask on.",
        )
        .hint("Use --json and answer on standard input, or --yes."));
    }
    let said = Said {
        keep_devices: args.keep_devices,
        undo: args.undo.clone(),
        without_me: args.without_me,
        yes: args.yes,
    };
    if dir.join("vault.hdr").exists() {
        return rest(context, args, &relay, said);
    }
    let phrase = words::typed("The twelve words")?;
    let sources = context.sources();
    let passphrase = match sources.given(Which::Home)? {
        Some(given) => given,
        None => unlock::choose(out, "Passphrase of this device")?,
    };
    let mut builder = summaries::builder(&dir).with_passphrase(passphrase);
    if let Some(private) = sources.given(Which::Private)? {
        builder = builder.with_private_passphrase(private);
    }
    let new = NewHome {
        name: args.name.clone(),
        device: args.device.clone().unwrap_or_else(dirs::host_name),
        relay: Some(relay),
    };
    out.talk("Looking what these words find at the relay …");
    let review = move |found: &Recovered| review(out, found, &said);
    let recovered = context.block_on(builder.recover(new, phrase, args.timeout, review));
    let (home, told) = recovered.map_err(explain)?;
    // What was noted about this device goes along.
    context.block_on(super::link::fetch(out, &home));
    let shown = tell(out, &home, &told);
    home.close()?;
    shown?;
    finish(out, &told);
    Ok(())
}

/// The shared space of a journal that was brought back without it.
fn rest(
    context: &Context,
    args: &Recover,
    relay: &RelayAddress,
    said: Said,
) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    if home.space(SpaceKind::Shared).is_ok() {
        return Err(Error::AlreadyThere(home.dir().to_owned()).into());
    }
    let phrase: RecoveryPhrase = words::typed("The twelve words")?;
    out.talk("Only me is here. Looking for what you share …");
    let review = move |found: &Recovered| review(out, found, &said);
    let told = context.block_on(home.recover_shared(&phrase, Some(relay), args.timeout, review));
    drop(phrase);
    let told = told.map_err(explain)?;
    let shown = tell(out, &home, &told);
    home.close()?;
    shown?;
    finish(out, &told);
    Ok(())
}

/// Shows what was found and asks.
fn review(out: Output, found: &Recovered, said: &Said) -> Review {
    let refused = Review::default();
    if found::show(out, found, said.keep_devices).is_err() {
        return refused;
    }
    let mut undo = said.undo.clone();
    if !said.yes {
        match answer(out) {
            Answer::Yes => {}
            Answer::No => return refused,
            Answer::Undo(number) => undo.push(number),
        }
    }
    let undo_from = match found::undo(found, &undo) {
        Ok(undo_from) => undo_from,
        Err(why) => {
            out.insist(why);
            return refused;
        }
    };
    Review {
        go_on: true,
        keep_devices: said.keep_devices,
        undo_from,
        without_private: said.without_me,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Undo(usize),
}

fn answer(out: Output) -> Answer {
    let question = "Bring it back? yes, no, or the number of the first change that is not yours:";
    // For a script what was found is the question; standard error is lines of JSON there.
    let typed = if out.json {
        terminal::answer()
    } else {
        terminal::ask(question)
    };
    match typed {
        Ok(Some(typed)) => parse(&typed),
        Ok(None) | Err(_) => Answer::No,
    }
}

fn parse(typed: &str) -> Answer {
    match typed.trim().to_lowercase().as_str() {
        "y" | "yes" => Answer::Yes,
        number => number.parse().map_or(Answer::No, Answer::Undo),
    }
}

fn explain(error: Error) -> Failure {
    match error {
        Error::PrivateNotFound => Failure::from(error).hint(
            "If Only me has another relay, give that one's address. If it never left your lost device, --without-me brings back what you share.",
        ),
        Error::Recover(_) => Failure::from(error).hint(
            "Begin again, look at the list of changes, and name the first one that is not yours: --undo NUMBER.",
        ),
        error => error.into(),
    }
}

fn tell(out: Output, home: &Home, told: &Recovered) -> Result<(), Failure> {
    let mut spaces: Vec<Value> = Vec::new();
    let mut lines = Vec::new();
    for space in home.spaces() {
        let (all, unreadable) = records::all(&space)?;
        let kind = space.kind();
        spaces.push(
            json!({"kind": space_word(kind), "entries": all.len(), "unreadable": unreadable}),
        );
        lines.push(format!("{}: {} brought back.", space_name(kind), all.len()));
    }
    let missing: Vec<Value> = told
        .missing
        .iter()
        .map(|missing| json!({"kind": space_word(SpaceKind::Shared), "id": missing.space.to_hex(), "relay": missing.relay}))
        .collect();
    let dir = home.dir();
    lines.push(format!("The journal is in {}.", dir.display()));
    out.data(
        &json!({
            "event": "recovered",
            "home": dir,
            "spaces": spaces,
            "missing": missing,
            "complete": told.complete,
            "left_quietly": told.left_quietly,
        }),
        || lines.join("\n"),
    )
}

fn finish(out: Output, told: &Recovered) {
    if let Some(missing) = &told.missing {
        let at = if missing.relay.is_empty() {
            "its relay is not known".to_owned()
        } else {
            format!("it was at {}", displayable_line(&missing.relay))
        };
        out.insist(format!(
            "What you share was not found: {at}. Try again with that relay's address: the same command."
        ));
    }
    if told.left_quietly {
        out.talk("You had left what you share quietly; it stays so, and nobody hears of this.");
    }
    if !told.complete && told.missing.is_none() {
        out.insist("Not everything is here yet; `ajar sync` goes on where this ended.");
    }
    out.talk(
        "Next: new words, if somebody may have seen these: `ajar words replace`. And look at\n\
         `ajar device list`.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_brings_anything_back() {
        assert_eq!(parse(" Yes\n"), Answer::Yes);
        assert_eq!(parse("4"), Answer::Undo(4));
        for no in ["", "no", "-1", "4 5", "undo"] {
            assert_eq!(parse(no), Answer::No, "{no:?}");
        }
    }
}
