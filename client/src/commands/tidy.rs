//! `ajar tidy`: a copy of everything as it stands, and room at the relay.

use ajar_sync::{Error, SpaceKind, Tidied};
use serde_json::{Value, json};

use super::sync::is_chosen;
use crate::cli::Tidy;
use crate::context::{Context, Need};
use crate::names::{Names, space_name, space_word};
use crate::report::{Failure, sentence};

pub(crate) fn run(context: &Context, args: &Tidy) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    let (mut worst, mut resting): (Option<Failure>, Option<Failure>) = (None, None);
    for space in home.spaces() {
        let kind = space.kind();
        match context.block_on(space.tidy(args.timeout)) {
            Ok(tidied) => {
                values.push(to_json(kind, tidied));
                lines.push(format!(
                    "{}: {}",
                    space_name(kind),
                    words(kind, tidied, &names)
                ));
            }
            Err(error) => {
                let chosen = is_chosen(&error);
                let failure = not_done(error);
                values.push(json!({
                    "space": space_word(kind),
                    "snapshot": false,
                    "given_up": false,
                    "code": failure.code(),
                    "message": failure.message(),
                }));
                lines.push(format!(
                    "{}: {}",
                    space_name(kind),
                    sentence(failure.message())
                ));
                match chosen {
                    true => resting = Some(failure),
                    false => worst = worst.or(Some(failure)),
                }
            }
        }
    }
    let locked = !home.is_private_unlocked();
    home.close()?;
    let done = values.iter().any(|value| value.get("code").is_none());
    out.data(&json!({"spaces": values}), || lines.join("\n"))?;
    if locked {
        out.talk("Only me is locked and was left out; set AJAR_PRIVATE_PASSPHRASE to include it.");
    }
    match (worst, done) {
        (Some(failure), _) => Err(failure),
        // What a person decided is no failure, unless nothing else was there to be done.
        (None, false) => resting.map_or(Ok(()), Err),
        (None, true) => Ok(()),
    }
}

fn to_json(kind: SpaceKind, tidied: Tidied) -> Value {
    json!({
        "space": space_word(kind),
        "snapshot": tidied.snapshot,
        "given_up": tidied.trimmed,
    })
}

/// What came of it.
fn words(kind: SpaceKind, tidied: Tidied, names: &Names) -> String {
    match (tidied.snapshot, tidied.trimmed) {
        (true, true) => {
            "a copy was made, and the relay has given up what it, or the one before, folds in.".to_owned()
        }
        (false, true) => "the relay has given up what the last copy folds in.".to_owned(),
        (true, false) if kind == SpaceKind::Shared => format!(
            "a copy was made. {0}'s device has to look at it first: after {0}'s next sync, `ajar tidy` again; or leave it, it happens within a week or so.",
            names.partner()
        ),
        (true, false) => {
            "a copy was made; the relay has not given anything up yet. `ajar tidy` again, or leave it to the next syncs.".to_owned()
        }
        (false, false) => "nothing came of it in that time; everything is as it was.".to_owned(),
    }
}

/// Nothing is lost by a copy that was not made.
fn not_done(error: Error) -> Failure {
    let failure = Failure::from(error);
    let message = failure.message();
    let why = message.trim_start_matches("kept here, not yet delivered: ");
    let told = Failure::new(
        failure.exit(),
        failure.code(),
        format!("Everything is as it was: {why}"),
    );
    match failure.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}
