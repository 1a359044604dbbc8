//! `ajar join`: enters the code the partner's device shows.

use ajar_sync::Invitation;

use super::pair::{can_confirm, confirm, finish};
use crate::cli::Join;
use crate::context::{Context, Need};
use crate::report::Failure;
use crate::terminal;

pub(crate) fn run(context: &Context, args: &Join) -> Result<(), Failure> {
    let out = context.out;
    let code = args.invitation.as_deref();
    let code = terminal::given_or_asked(code, "The code your partner's device shows:")?;
    let invitation: Invitation = code.parse().map_err(|error| {
        Failure::fixable("bad-code", error)
            .hint("Type it as your partner's device shows it. No code was used up.")
    })?;
    can_confirm(args.yes)?;
    let home = context.open_home(Need::Home)?;
    let yes = args.yes;
    let found = context.block_on(home.join(&invitation, move |found| confirm(out, found, yes)))?;
    finish(context, home, &found)
}
