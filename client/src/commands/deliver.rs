//! What is written into Us is kept first; then there is one exchange with the relay.

use std::time::Duration;

use ajar_sync::{Error, Home, Space, SpaceKind};

use super::{exchange, together};
use crate::context::Context;
use crate::output::Output;
use crate::report::{Exit, Failure};

/// The shared space, or what to do when there is none yet.
pub(super) fn us(home: &Home) -> Result<Space, Failure> {
    match home.space(SpaceKind::Shared) {
        Err(Error::NotPaired) => Err(Failure::fixable(
            "not-paired",
            "This is for both of you, and you have not met here yet.",
        )
        .hint("Meet your partner first: `ajar pair` on one side, `ajar join CODE` on the other.")),
        other => Ok(other?),
    }
}

/// Whether what was kept has reached the relay.
pub(super) struct Delivery(Option<Failure>);

/// One exchange with the relay for what was kept in Us, and showing what can be shown then
/// ([`together`]).
pub(super) fn exchanged(
    context: &Context,
    home: &Home,
    us: &Space,
    timeout: Duration,
) -> Result<(), Failure> {
    let once = || context.block_on(exchange(context.out, us, timeout));
    let delivered = once().and_then(|_| match together::show_due_quietly(home) {
        0 => Ok(()),
        _ => once().map(drop),
    });
    delivered.map_err(undelivered)
}

/// Exchanges and closes the journal.
pub(super) fn deliver(
    context: &Context,
    home: Home,
    us: &Space,
    timeout: Duration,
) -> Result<Delivery, Failure> {
    let delivered = exchanged(context, &home, us, timeout);
    home.close()?;
    Ok(Delivery(delivered.err()))
}

impl Delivery {
    pub(super) fn is_done(&self) -> bool {
        self.0.is_none()
    }

    /// Says how it went, after the data.
    pub(super) fn told(self, out: Output, words: &str) -> Result<(), Failure> {
        out.talk(words);
        self.0.map_or(Ok(()), Err)
    }
}

/// It is kept whatever the relay does; only a relay that lies is worse than not delivered.
fn undelivered(error: Error) -> Failure {
    let failure = Failure::from(error);
    if failure.exit() == Exit::Broke {
        return failure;
    }
    let hint = failure
        .hint_text()
        .unwrap_or("It travels with the next `ajar sync` that reaches the relay.")
        .to_owned();
    let why = failure
        .message()
        .trim_start_matches("kept here, not yet delivered: ");
    let message = format!("Kept here, not yet delivered: {why}");
    Failure::new(Exit::Undelivered, failure.code(), message).hint(hint)
}
