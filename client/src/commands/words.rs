//! `ajar words`: check the twelve words, or replace them.

use ajar_sync::{
    ConnectError, Error, Home, Misuse, RecoveryPhrase, Replaced, Sharing, SpaceKind, Travel,
    new_phrase,
};
use serde_json::{Value, json};

use crate::cli::{ReplaceWords, Words, WordsCommand};
use crate::context::{Context, Need};
use crate::names::{space_name, space_word};
use crate::output::Output;
use crate::report::Failure;
use crate::terminal;
use crate::words::{self, WordsFile};

/// When the new words were made and nothing was sent yet.
const NOTHING_DONE: &str =
    "Nothing was replaced: your old words are still the right ones. Begin again.";

pub(crate) fn run(context: &Context, args: &Words) -> Result<(), Failure> {
    match &args.command {
        WordsCommand::Check(_) => check(context),
        WordsCommand::Replace(args) => replace(context, args),
    }
}

fn check(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let phrase = words::typed("The twelve words")?;
    let checked = home.check_words(&phrase)?;
    if checked.spaces.contains(&(SpaceKind::Private, true)) {
        // Another device may have replaced them; what is founded here stands on these from now on.
        home.adopt_words(&phrase)?;
    }
    drop(phrase);
    let locked = !home.is_private_unlocked();
    home.close()?;
    let found: Vec<Value> = checked
        .spaces
        .iter()
        .map(|(kind, theirs)| json!({"space": space_word(*kind), "belongs": theirs}))
        .collect();
    if checked.spaces.iter().all(|(_, theirs)| !theirs) {
        return Err(wrong());
    }
    out.data(&json!({"spaces": found, "all": checked.all()}), || {
        let lines: Vec<String> = checked
            .spaces
            .iter()
            .map(|(kind, theirs)| {
                let what = if *theirs {
                    "bring back"
                } else {
                    "do NOT bring back"
                };
                format!("These words {what} {}.", space_name(*kind))
            })
            .collect();
        lines.join("\n")
    })?;
    if locked {
        out.talk(
            "Only me is locked and was not looked at; set AJAR_PRIVATE_PASSPHRASE to include it.",
        );
    }
    if !checked.all() {
        out.insist("A replacing of the words may have been cut short: `ajar words replace --again` finishes it.");
    }
    Ok(())
}

fn wrong() -> Failure {
    Failure::from(Error::from(Misuse::WrongWords))
}

fn replace(context: &Context, args: &ReplaceWords) -> Result<(), Failure> {
    let out = context.out;
    can_show(out, args)?;
    let home = context.open_home(Need::Private)?;
    can_reach(&home)?;
    let old = words::typed("The twelve words you have now")?;
    let checked = home.check_words(&old)?;
    if !args.again && checked.spaces.iter().all(|(_, theirs)| !theirs) {
        return Err(wrong());
    }
    let new = if args.again {
        words::typed("The new twelve words")?
    } else {
        make(context, args)?
    };
    if new == old {
        return Err(Failure::fixable(
            "same-words",
            "These are the same words twice; nothing was replaced.",
        ));
    }
    out.talk("Telling the relay and making new keys …");
    let replaced = context
        .block_on(home.replace_words(&old, &new, args.timeout))
        .map_err(explain)?;
    drop((old, new));
    tell(out, &home, &replaced)?;
    home.close()?;
    Ok(())
}

/// Refuses where one space would stay behind because its owner keeps it from the relay.
fn can_reach(home: &Home) -> Result<(), Failure> {
    let why = match (home.private_travel()?, home.sharing()) {
        (Travel::Off, _) => ConnectError::Off,
        (_, Ok(Sharing::Paused)) => ConnectError::Paused,
        _ => return Ok(()),
    };
    let hint = match why {
        ConnectError::Off => {
            "Words are replaced at the relay: first `ajar relay on`, and `ajar relay off` afterwards."
        }
        _ => "Words are replaced at the relay, in both spaces: first `ajar close resume`.",
    };
    Err(Failure::from(Error::Connect(why)).hint(hint))
}

/// Refuses to make words that nobody could see.
fn can_show(out: Output, args: &ReplaceWords) -> Result<(), Failure> {
    let seen = args.again || out.json || args.words_file.is_some() || terminal::can_ask();
    if !seen {
        return Err(Failure::fixable(
            "no-terminal",
            "There is no terminal to show the new words on; nothing was replaced.",
        )
        .hint("Use --words-file FILE, or --json to get them on standard output."));
    }
    Ok(())
}

/// New words, seen and checked before anything is sent.
fn make(context: &Context, args: &ReplaceWords) -> Result<RecoveryPhrase, Failure> {
    let out = context.out;
    let phrase = new_phrase()?;
    if let Some(path) = &args.words_file {
        let path = WordsFile::create(path)?.fill(&phrase, NOTHING_DONE)?;
        out.talk(format!(
            "The new words are in {}. Move them off this device, onto paper if you can.",
            path.display()
        ));
        return Ok(phrase);
    }
    if out.json {
        let words = phrase.words();
        out.json(&json!({"event": "words", "words": words.as_str()}))
            .map_err(|_| words::unseen(NOTHING_DONE))?;
        return Ok(phrase);
    }
    out.insist(
        "New words come in the place of the old ones. The old ones open nothing written afterwards and\n\
         bring nothing back; what somebody copied from the relay before stays open to them.",
    );
    words::show(out, &phrase).map_err(|_| words::unseen(NOTHING_DONE))?;
    let sure = args.yes
        || words::asked_back(out, &phrase)? && terminal::agrees("Replace the old words now?")?;
    if sure {
        Ok(phrase)
    } else {
        Err(Failure::fixable(
            "not-confirmed",
            "Nothing was replaced: your old words are still the right ones, and those just shown are worth nothing.",
        ))
    }
}

fn explain(error: Error) -> Failure {
    let cut_short = matches!(
        error,
        Error::Undelivered(_) | Error::Connect(_) | Error::MemberRefused(_)
    );
    if cut_short {
        let failure = super::device::not_there(error);
        return failure.hint(
            "Keep both sheets: the new words may count in part already. `ajar words replace --again` finishes it, with the old words and the new ones.",
        );
    }
    error.into()
}

fn tell(out: Output, home: &Home, replaced: &Replaced) -> Result<(), Failure> {
    let spaces =
        |kinds: &[SpaceKind]| -> Vec<&str> { kinds.iter().copied().map(space_word).collect() };
    out.data(
        &json!({
            "event": "replaced",
            "spaces": spaces(&replaced.replaced),
            "closed": spaces(&replaced.closed),
            "strangers": spaces(&replaced.strangers),
        }),
        || {
            let names: Vec<&str> = replaced.replaced.iter().copied().map(space_name).collect();
            let whole = replaced.closed.is_empty() && replaced.strangers.is_empty();
            let sheet = if whole { " Destroy the old sheet." } else { "" };
            format!(
                "The new words count now, for {}.{sheet}",
                names.join(" and ")
            )
        },
    )?;
    for kind in &replaced.closed {
        out.insist(format!(
            "{} was left or has ended, and stays on the old words: they still bring back what is there. Keep the old sheet for that, or destroy it for good.",
            space_name(*kind)
        ));
    }
    for kind in &replaced.strangers {
        out.insist(format!(
            "{} stands on other words, neither the old nor the new.",
            space_name(*kind)
        ));
    }
    if home
        .devices()?
        .iter()
        .filter(|device| device.active)
        .count()
        > 1
    {
        out.talk("Your other devices take it with their next exchange.");
    }
    Ok(())
}
