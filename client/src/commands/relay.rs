//! `ajar relay`: which relay this journal uses.

use serde_json::json;

use crate::cli::{Relay, RelayCommand};
use crate::context::{Context, Need};
use crate::report::Failure;

pub(crate) fn run(context: &Context, args: &Relay) -> Result<(), Failure> {
    let RelayCommand::Show = args.command;
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
