//! `ajar close`: resting, leaving quietly, ending. Both keep what is here.

use ajar_sync::{ConnectError, Error};
use serde_json::json;

use crate::cli::{Close, CloseCommand, End, Sure};
use crate::context::{Context, Need};
use crate::names::Names;
use crate::report::Failure;
use crate::terminal;

/// What is always offered before parting.
const EXPORT: &str = "Everything that is here stays readable here. To have it elsewhere too, first: `ajar export journal.md`.";

pub(crate) fn run(context: &Context, args: &Close) -> Result<(), Failure> {
    match &args.command {
        CloseCommand::Pause(sure) => pause(context, sure),
        CloseCommand::Resume => resume(context),
        CloseCommand::Quiet(sure) => quiet(context, sure),
        CloseCommand::Return(sure) => come_back(context, sure),
        CloseCommand::End(args) => end(context, args),
    }
}

/// Says what will happen and asks. Without a terminal only `--yes` is an answer.
fn sure(context: &Context, yes: bool, what: &str, question: &str) -> Result<(), Failure> {
    terminal::confirmable(yes, "This has to be confirmed")?;
    if yes {
        context.out.talk(what);
        return Ok(());
    }
    context.out.insist(what);
    if terminal::agrees(question)? {
        return Ok(());
    }
    Err(Failure::fixable(
        "not-confirmed",
        "Everything is as it was.",
    ))
}

fn tell(context: &Context, state: &str, words: &str) -> Result<(), Failure> {
    context.out.data(&json!({"us": state}), || words.to_owned())
}

fn pause(context: &Context, args: &Sure) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let partner = Names::of(&home).partner().to_owned();
    let what = format!(
        "Nothing of Us is sent or fetched by this device until `ajar close resume`. You can read and write;\n\
         it goes then. {partner} is told nothing, and sees nothing new from this device. Your other devices go on."
    );
    sure(context, args.yes, &what, "Let it rest?")?;
    context.block_on(home.pause())?;
    home.close()?;
    tell(context, "paused", "Us rests on this device.")
}

fn resume(context: &Context) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    home.resume()?;
    home.close()?;
    tell(
        context,
        "open",
        "Us is open again. `ajar sync` brings what was written meanwhile.",
    )
}

fn quiet(context: &Context, args: &Sure) -> Result<(), Failure> {
    // Your other devices hear of it inside Only me.
    let home = context.open_home(Need::Home)?;
    let partner = Names::of(&home).partner().to_owned();
    let what = format!(
        "{partner} will see nothing at all: no message, no sign. But silence itself can be noticed, and what\n\
         {partner} has stays with {partner}. Nothing of Us is sent or fetched any more; nothing can be added.\n\
         Your other devices follow with their next exchange of Only me: end `ajar sync --watch` on them, and\n\
         let this device exchange Only me once (`ajar sync`). It can be taken back (`ajar close return`).\n{EXPORT}"
    );
    sure(context, args.yes, &what, "Leave quietly?")?;
    context.block_on(home.leave_quietly())?;
    let locked = !home.is_private_unlocked();
    home.close()?;
    tell(context, "left", "You have left quietly. Nobody was told.")?;
    if locked {
        context.out.insist(
            "Only me is locked: your other devices hear of it only after it was open here once.",
        );
    }
    Ok(())
}

fn come_back(context: &Context, args: &Sure) -> Result<(), Failure> {
    let home = context.open_home(Need::Private)?;
    let partner = Names::of(&home).partner().to_owned();
    let what = format!(
        "From the next exchange on {partner} can see that this device is there again, and gets what you wrote\n\
         before and what was not sent. Your other devices stay silent until you do the same on them."
    );
    sure(context, args.yes, &what, "Come back?")?;
    home.return_after_leaving()?;
    home.close()?;
    tell(context, "open", "You are back. `ajar sync` makes it so.")
}

fn end(context: &Context, args: &End) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let partner = Names::of(&home).partner().to_owned();
    let what = format!(
        "This ends the journal between you and {partner}, on all devices, for ever. {partner} is told that you\n\
         ended it. Both of you keep what is here and can read and export it; nobody can add to it, and nobody\n\
         can take it back.\n{EXPORT}"
    );
    sure(context, args.yes, &what, "End it?")?;
    let ended = context.block_on(home.end(args.timeout));
    home.close()?;
    ended.map_err(explain)?;
    tell(
        context,
        "ended",
        "It has ended. Both of you keep what is here.",
    )
}

fn explain(error: Error) -> Failure {
    match error {
        Error::Connect(ConnectError::Left) | Error::Undelivered(ConnectError::Left) => {
            Failure::from(error).hint("You left quietly; to end it openly, come back first: `ajar close return`.")
        }
        Error::Connect(ConnectError::Paused) | Error::Undelivered(ConnectError::Paused) => {
            Failure::from(error).hint("It rests here; first `ajar close resume`.")
        }
        Error::Undelivered(_) => super::device::not_there(error).hint(
            "Only what the relay has stored has happened: try again, or look at `ajar status` after the next `ajar sync`.",
        ),
        error => error.into(),
    }
}
