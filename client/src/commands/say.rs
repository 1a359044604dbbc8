//! Saying yes to something that needs both, or not any more: what `book put`, `word agree`,
//! `agree sign`, `ritual agree` and their opposites have in common.

use ajar_journal::book::Standing;
use ajar_journal::schema::Kind;
use ajar_sync::SpaceKind;
use serde_json::json;

use super::deliver::{self, deliver};
use crate::cli::One;
use crate::consents;
use crate::context::{Context, Need};
use crate::names::Names;
use crate::records::{Found, Located};
use crate::report::Failure;
use crate::{ids, records};

/// What is said, and to what.
pub(super) struct Said<'a> {
    pub(super) one: &'a One,
    /// Yes, or not any more.
    pub(super) given: bool,
    /// The kinds it can be said to.
    pub(super) to: fn(&Kind) -> bool,
    /// What those are, for an error: “no word”.
    pub(super) otherwise: &'static str,
}

/// What came of it.
pub(super) struct Outcome<'a> {
    pub(super) located: &'a Located,
    pub(super) standing: Standing,
    pub(super) changed: bool,
    pub(super) names: &'a Names,
}

/// Keeps it, exchanges once, and says what `words` make of it.
pub(super) fn say(
    context: &Context,
    said: &Said<'_>,
    words: impl FnOnce(&Outcome<'_>) -> String,
) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let found = records::find(&home, &said.one.id)?;
    let located = of_kind(&found, said.to, said.otherwise)?;
    if said.given && located.is_closed() && records::opens_by_day(&located) {
        return Err(Failure::fixable(
            "not-yet",
            "This letter is still closed; nobody can agree to what they have not read.",
        )
        .hint("Put it in when it has opened."));
    }
    let (standing, changed) = consents::say(&found, &located, said.given)?;
    let words = words(&Outcome {
        located: &located,
        standing,
        changed,
        names: &names,
    });
    let delivery = deliver(context, home, &us, said.one.patience.timeout)?;
    let value = json!({
        "id": ids::text(located.id),
        "both": standing.is_both(),
        "changed": changed,
        "delivered": delivery.is_done(),
    });
    out.data(&value, || ids::short(located.id))?;
    delivery.told(out, &words)
}

/// The record that was named, if it stands between the two and is of one of these kinds.
pub(super) fn of_kind(
    found: &Found,
    wanted: fn(&Kind) -> bool,
    otherwise: &'static str,
) -> Result<Located, Failure> {
    if found.space.kind() != SpaceKind::Shared {
        return Err(Failure::fixable(
            "only-me",
            "This is in Only me, where your partner cannot see it; nothing was done.",
        )
        .hint("Open it first (ajar open), then take the id of the copy."));
    }
    let located = found.located()?;
    if !wanted(&located.record.kind()) {
        return Err(Failure::fixable("other-kind", otherwise));
    }
    Ok(located)
}
