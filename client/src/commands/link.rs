//! `ajar init --link`: this device becomes one more of a person who has a journal already.

use std::path::Path;
use std::time::Duration;

use ajar_journal::text::displayable_line;
use ajar_sync::{Builder, ConnectError, Error, Home, Invitation, LinkWords, NewDevice};
use serde_json::json;

use super::exchange;
use crate::cli::Init;
use crate::context::Context;
use crate::names::{space_name, space_word};
use crate::output::Output;
use crate::report::{Failure, sentence};
use crate::unlock::{self, Which};
use crate::{dirs, terminal};

/// How long the first exchange of each space may take; what is missing then comes later.
const FIRST_EXCHANGE: Duration = Duration::from_secs(60);

pub(super) fn run(context: &Context, args: &Init, dir: &Path, code: &str) -> Result<(), Failure> {
    let out = context.out;
    let code = terminal::given_or_asked(Some(code), "The code your other device shows:")?;
    let invitation: Invitation = code.parse().map_err(|error| {
        Failure::fixable("bad-code", error)
            .hint("Type it as your other device shows it. No code was used up.")
    })?;
    let relay = args
        .relay
        .as_deref()
        .map(super::init::address)
        .transpose()?;
    if relay.is_none() && invitation.relay().is_none() {
        return Err(Failure::from(Error::Connect(ConnectError::NoRelay)).hint(
            "Give the relay's address with --relay (`ajar relay show` on your other device), or the whole invitation. No code was used up.",
        ));
    }
    let sources = context.sources();
    let passphrase = match sources.given(Which::Home)? {
        Some(given) => given,
        None => unlock::choose(out, "Passphrase of this device")?,
    };
    let mut builder = Builder::new(dir).with_passphrase(passphrase);
    if let Some(private) = sources.given(Which::Private)? {
        builder = builder.with_private_passphrase(private);
    }
    let new = NewDevice {
        name: args.device.clone().unwrap_or_else(dirs::host_name),
        relay,
    };
    let linked = context.block_on(builder.link(new, &invitation, move |words| show(out, words)));
    let home = linked.map_err(explain)?;
    let told = tell(out, &home, args);
    // Somebody who reads nothing any more still has a device that should know everything.
    context.block_on(fetch(out, &home));
    home.close()?;
    told?;
    out.talk("There are no new twelve words: the ones you have stay. Next: `ajar list`.");
    Ok(())
}

fn show(out: Output, words: LinkWords) {
    let shown = if out.json {
        out.json(&json!({"event": "words", "words": words}))
    } else {
        out.plain(&format!("\n    {}\n", words.join(" ")))
    };
    if shown.is_err() {
        out.insist(
            "The words could not be shown on standard output. End with Ctrl-C, begin again.",
        );
        return;
    }
    out.talk("Find these four words on your other device, and choose their line there. Waiting …");
}

fn explain(error: Error) -> Failure {
    match error {
        Error::Pairing(_) => Failure::from(error)
            .hint("Begin again with a new code: `ajar device add` on your other device."),
        error => error.into(),
    }
}

fn tell(out: Output, home: &Home, args: &Init) -> Result<(), Failure> {
    let (name, device) = (home.name(), home.device_name());
    let spaces = home.spaces();
    let words: Vec<&str> = spaces
        .iter()
        .map(|space| space_word(space.kind()))
        .collect();
    let dir = home.dir();
    let told = out.data(
        &json!({"event": "linked", "home": dir, "name": name, "device": device, "spaces": words}),
        || {
            format!(
                "This device, {}, is one of {}'s now. The journal is in {}.",
                displayable_line(&device),
                displayable_line(&name),
                dir.display()
            )
        },
    );
    if args
        .name
        .as_deref()
        .is_some_and(|given| given.trim() != name)
    {
        out.talk(format!(
            "Your name stays {}, as on your other devices; the one given here was not used.",
            displayable_line(&name)
        ));
    }
    told
}

/// One exchange of each space. That it did not succeed is no failure of linking.
pub(super) async fn fetch(out: Output, home: &Home) {
    for space in home.spaces() {
        let name = space_name(space.kind());
        out.talk(format!("{name}: fetching what was written so far …"));
        match exchange(out, &space, FIRST_EXCHANGE).await {
            Ok(changed) => out.talk(format!(
                "{name}: everything is here ({changed} new or changed)."
            )),
            Err(error) => out.talk(format!(
                "{name}: not everything is here yet. {} `ajar sync` goes on where this ended.",
                sentence(&error.to_string())
            )),
        }
    }
}
