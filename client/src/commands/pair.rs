//! `ajar pair`: shows a code and waits for the partner. What both sides do alike is here too.

use std::time::Duration;

use ajar_journal::profile;
use ajar_journal::text::displayable_line;
use ajar_sync::{Found, Home, Ownership, PairingCode, SpaceKind};
use serde_json::json;

use super::exchange;
use crate::cli::Pair;
use crate::context::{Context, Need};
use crate::output::Output;
use crate::report::Failure;
use crate::terminal;

/// How long the first exchange after meeting may take. It may as well happen later.
const FIRST_EXCHANGE: Duration = Duration::from_secs(8);

pub(crate) fn run(context: &Context, args: &Pair) -> Result<(), Failure> {
    let out = context.out;
    can_confirm(args.yes)?;
    let home = context.open_home(Need::Home)?;
    let (yes, show) = (args.yes, move |code: PairingCode| show_code(out, &code));
    let found = context.block_on(home.pair(show, move |found| confirm(out, found, yes)))?;
    finish(context, home, &found)
}

/// Refuses to begin when nobody could compare the words at the end.
pub(super) fn can_confirm(yes: bool) -> Result<(), Failure> {
    if yes || terminal::can_ask() {
        return Ok(());
    }
    Err(Failure::fixable(
        "no-terminal",
        "Both of you have to compare six words, and there is no terminal to ask on.",
    )
    .hint("Use --yes only where both sides are in your own hands."))
}

fn show_code(out: Output, code: &PairingCode) {
    let shown = if out.json {
        out.json(&json!({"event": "code", "code": code.code, "invitation": code.invitation}))
    } else {
        out.plain(&format!(
            "Code:        {}\nInvitation:  {}",
            code.code, code.invitation
        ))
    };
    if shown.is_ok() {
        out.talk(
            "Read the code to your partner, or send the invitation over a way you trust.\n\
             They enter it with `ajar join`. It works once, for ten minutes. Waiting …",
        );
    } else {
        out.insist("The code could not be shown on standard output. End with Ctrl-C, begin again.");
    }
}

/// Whether both see the same six words. No answer is a no.
pub(super) fn confirm(out: Output, found: &Found, yes: bool) -> bool {
    let partner = displayable_line(&found.partner);
    let words = format!(
        "Here is {partner}. Six words, the same on both sides if nobody stands in between:\n\n    {}\n",
        found.words.join(" ")
    );
    if yes {
        out.talk(words);
        return true;
    }
    // Whoever is asked about them must see them, quiet or not.
    out.insist(words);
    terminal::agrees("Read them to each other. Do you both see these words?").unwrap_or(false)
}

/// What both sides do once they have met: the own name as a document, one exchange, and the news.
pub(super) fn finish(context: &Context, home: Home, found: &Found) -> Result<(), Failure> {
    let out = context.out;
    let us = home.space(SpaceKind::Shared)?;
    let name = home.name();
    us.create_document(Ownership::Mine)?
        .change(move |tx| profile::create(tx, &name))?;
    let delivered = context.block_on(exchange(out, &us, FIRST_EXCHANGE)).is_ok();
    home.close()?;
    let partner = displayable_line(&found.partner);
    out.data(
        &json!({"event": "paired", "partner": found.partner, "safety_words": found.words}),
        || format!("You and {partner} have a journal between you now."),
    )?;
    if !delivered {
        out.talk("The relay did not take the first exchange yet; `ajar sync` catches up.");
    }
    out.talk("Next: `ajar write`, then `ajar open ID --stage room` to show something.");
    Ok(())
}
