//! `ajar relay`: which relay this journal uses.

use ajar_sync::{AddressError, RelayAddress};
use serde_json::json;

use crate::cli::{Relay, RelayCommand};
use crate::context::{Context, Need};
use crate::report::Failure;

pub(crate) fn run(context: &Context, args: &Relay) -> Result<(), Failure> {
    if let RelayCommand::Move { address } = &args.command {
        return set(context, address);
    }
    let home = context.open_home(Need::Home)?;
    let relay = home.relay();
    home.close()?;
    // The claim is a secret of the invitation; the address without it can be read out loud.
    let address = relay.map(|relay| relay.without_claim().to_string());
    if context.out.json {
        return context.out.json(&json!({"address": address}));
    }
    match address {
        Some(address) => context.out.plain(&address),
        None => {
            context
                .out
                .talk("No relay is set up. What you write is kept on this device only.");
            Ok(())
        }
    }
}

/// Takes another address. Nothing is sent: the next exchange fills the relay from what is here.
fn set(context: &Context, address: &str) -> Result<(), Failure> {
    let relay: RelayAddress = address
        .parse()
        .map_err(|error: AddressError| Failure::fixable("bad-relay", error))?;
    // Both spaces get the address, so both must be open.
    let home = context.open_home(Need::Private)?;
    let same = home.relay().is_some_and(|old| old.key == relay.key);
    home.set_relay(&relay)?;
    let paired = home.partner_name().is_some();
    home.close()?;
    let shown = relay.without_claim().to_string();
    context
        .out
        .data(&json!({"address": shown}), || shown.clone())?;
    context
        .out
        .talk("Next: `ajar sync` brings everything that is kept here to it.");
    if paired && !same {
        context
            .out
            .talk("Your partner has to do the same. They need the same address.");
    }
    Ok(())
}
