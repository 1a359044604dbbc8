//! `ajar unlock`: tries the passphrase and says what it opens. Nothing stays open.

use serde_json::json;

use crate::cli::Unlock;
use crate::context::{Context, Need};
use crate::report::Failure;

pub(crate) fn run(context: &Context, args: &Unlock) -> Result<(), Failure> {
    let out = context.out;
    let need = if args.me { Need::Private } else { Need::Home };
    let home = context.open_home(need)?;
    let me = home.is_private_unlocked();
    home.close()?;
    out.data(&json!({"home": true, "me": me}), || words(me).to_owned())?;
    out.talk("Nothing stays open: every command asks anew, or reads AJAR_PASSPHRASE.");
    Ok(())
}

fn words(me: bool) -> &'static str {
    if me {
        "This opens the journal, and Only me."
    } else {
        "This opens the journal. Only me is not here, or has a passphrase of its own (`ajar unlock --me`)."
    }
}
