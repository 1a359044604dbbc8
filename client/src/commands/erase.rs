//! `ajar erase`: destroys this journal on this device.

use ajar_sync::erase_dir;
use serde_json::json;

use crate::cli::Erase;
use crate::context::{Context, Need};
use crate::report::Failure;
use crate::{terminal, words};

const WHAT: &str = "This destroys the keys of this journal on this device, and then everything of it. What was not\n\
    delivered is gone with it. It does not reach: backups and copies of the folder, your other devices,\n\
    your partner's copy of what you opened, and the sealed data at the relay, which your twelve words\n\
    can still bring back.";

pub(crate) fn run(context: &Context, args: &Erase) -> Result<(), Failure> {
    let out = context.out;
    let dir = context.dir()?;
    terminal::confirmable(args.yes, "Erasing cannot be taken back")?;
    if !args.yes {
        out.insist(format!("{WHAT}\nThe journal is in {}.", dir.display()));
        confirm(context)?;
    }
    let erased = erase_dir(&dir)?;
    out.data(&json!({"erased": dir, "left": erased.left}), || {
        format!("The journal in {} is gone from this device.", dir.display())
    })?;
    if !erased.left.is_empty() {
        let names: Vec<String> = erased
            .left
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        out.insist(format!(
            "What is not the journal's was left in the folder: {}.",
            names.join(", ")
        ));
    }
    out.talk("Your other devices still list this one: `ajar device remove` there.");
    Ok(())
}

/// A yes typed by habit must not be enough.
fn confirm(context: &Context) -> Result<(), Failure> {
    let question = "Type erase to destroy it, or words to check your twelve words first:";
    for _ in 0..3 {
        let answer = terminal::ask(question)?;
        match answer
            .as_deref()
            .map(|answer| answer.trim().to_lowercase())
            .as_deref()
        {
            Some("erase") => return Ok(()),
            Some("words") => check(context)?,
            _ => break,
        }
    }
    Err(Failure::fixable("not-confirmed", "Nothing was erased."))
}

fn check(context: &Context) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let checked =
        words::typed("The twelve words").and_then(|phrase| Ok(home.check_words(&phrase)?));
    home.close()?;
    context.out.insist(match checked {
        Ok(checked) if checked.all() => "These words bring back what the relay has.".to_owned(),
        Ok(_) => "These are not the words of this journal, or not of all of it.".to_owned(),
        Err(failure) => failure.message().to_owned(),
    });
    Ok(())
}
