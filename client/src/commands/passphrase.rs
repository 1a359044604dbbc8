//! `ajar passphrase`: another passphrase for this device.

use ajar_sync::vault::KdfParams;
use ajar_sync::{Error, SpaceKind};
use serde_json::json;

use crate::cli::ChangePassphrase;
use crate::context::Context;
use crate::report::Failure;
use crate::summaries;
use crate::unlock::{self, Known, Which};

pub(crate) fn run(context: &Context, args: &ChangePassphrase) -> Result<(), Failure> {
    let out = context.out;
    let dir = context.dir()?;
    if !dir.join("vault.hdr").exists() {
        return Err(Error::NoHome(dir).into());
    }
    let sources = context.sources();
    // The old one is needed twice: to open, and to prove that it is the owner who changes it.
    let journal = Known::find(sources, Which::Home, "The passphrase you have now: ")?;
    let mut private = sources
        .given(Which::Private)?
        .map(|_| Known::Outside(Which::Private));
    let open = |private: &Option<Known>| {
        let mut builder = summaries::builder(&dir).with_passphrase(journal.passphrase(sources)?);
        if let Some(private) = private {
            builder = builder.with_private_passphrase(private.passphrase(sources)?);
        }
        Ok::<_, Failure>(builder.open()?)
    };
    let mut home = open(&private)?;
    if args.me && !home.is_private_unlocked() {
        home.close()?;
        let question = "The passphrase that Only me has now: ";
        private = Some(Known::find(sources, Which::Private, question)?);
        home = open(&private)?;
    }
    let (kind, old) = if args.me {
        let own = private.as_ref().unwrap_or(&journal);
        (SpaceKind::Private, own.passphrase(sources)?)
    } else {
        (SpaceKind::Shared, journal.passphrase(sources)?)
    };
    let new = match (args.same, unlock::given_new()?) {
        (true, _) => journal.passphrase(sources)?,
        (false, Some(new)) => new,
        (false, None) if args.me => unlock::choose(out, "Passphrase of Only me")?,
        (false, None) => unlock::choose(out, "New passphrase")?,
    };
    context.block_on(home.change_passphrase(kind, old, new, KdfParams::DEFAULT))?;
    home.close()?;
    let changed = if args.me { "me" } else { "home" };
    out.data(&json!({"changed": changed, "same": args.same}), || {
        words(args).to_owned()
    })?;
    out.talk("An older copy of this folder, in a backup, still opens with the old one.");
    Ok(())
}

fn words(args: &ChangePassphrase) -> &'static str {
    match (args.me, args.same) {
        (true, true) => "Only me opens with the passphrase of the journal now.",
        (true, false) => "Only me has a passphrase of its own now.",
        (false, _) => "The journal opens with the new passphrase now.",
    }
}
