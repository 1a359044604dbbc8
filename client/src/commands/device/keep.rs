//! `ajar device keep`: lets in what a lost device had written and not delivered in time.

use ajar_sync::{Error, Misuse};
use serde_json::json;

use crate::cli::KeepDevice;
use crate::context::{Context, Need};
use crate::devices;
use crate::report::Failure;
use crate::terminal;

pub(super) fn run(context: &Context, args: &KeepDevice) -> Result<(), Failure> {
    let out = context.out;
    terminal::confirmable(
        args.yes,
        "Whether the device was only lost is for you to say",
    )?;
    let home = context.open_home(Need::Private)?;
    let device = devices::find(home.devices()?, &args.device, |device| !device.active)?;
    let name = devices::called(&device);
    if device.active {
        return Err(Failure::fixable(
            "still-active",
            format!("{name} is not removed; everything it delivers counts."),
        ));
    }
    if !args.yes {
        out.insist(format!(
            "What {name} wrote before it could hear of its removal will count as yours. If somebody else\n\
             had it, leave it: they may have written it. This can be done once."
        ));
        if !terminal::agrees(&format!("Was {name} only lost, and never in other hands?"))? {
            return Err(Failure::fixable("not-confirmed", "Nothing was let in."));
        }
    }
    let kept = context.block_on(home.keep_late_entries(&device, args.timeout));
    home.close()?;
    let kept = kept.map_err(|error| explain(error, &name))?;
    let value =
        json!({"device": device.id().map(|id| id.to_hex()), "name": device.name, "kept": kept});
    out.data(&value, || match kept {
        1 => format!("1 change from {name} counts now."),
        many => format!("{many} changes from {name} count now."),
    })?;
    out.talk("Your partner's and your other devices take them with their next exchange.");
    Ok(())
}

fn explain(error: Error, name: &str) -> Failure {
    let hint = match &error {
        Error::Misuse(Misuse::NothingBeyond) => format!(
            "Only what had reached the relay before the removal can be let in. What is on {name} can be read and exported there."
        ),
        Error::Misuse(Misuse::TooLate) => {
            "It can be done once, within seven days of the removal. What is on that device can be read and exported there.".to_owned()
        }
        _ => return super::not_there(error),
    };
    Failure::from(error).hint(hint)
}
