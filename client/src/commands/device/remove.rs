//! `ajar device remove`: it reads nothing new.

use ajar_sync::{Misuse, OwnDevice, RevokeReason};
use serde_json::json;

use crate::cli::RemoveDevice;
use crate::context::{Context, Need};
use crate::devices;
use crate::names::space_word;
use crate::report::Failure;
use crate::terminal;

pub(super) fn run(context: &Context, args: &RemoveDevice) -> Result<(), Failure> {
    let out = context.out;
    terminal::confirmable(args.yes, "Removing a device cannot be taken back")?;
    // Which device of Only me is which of Us stands in Only me.
    let need = if args.us { Need::Home } else { Need::Private };
    let home = context.open_home(need).map_err(explain)?;
    let mut device = devices::find(home.devices()?, &args.device, |device| device.active)?;
    if device.this {
        return Err(Failure::fixable(
            "this-device",
            "This is the device you are on; it cannot remove itself.",
        )
        .hint("Remove it from another one of yours, or take everything off it: `ajar erase`."));
    }
    if !device.active {
        return Err(Failure::from(ajar_sync::Error::from(Misuse::NoSuchDevice))
            .hint("It is removed already; `ajar device list` shows it."));
    }
    if args.us {
        device.private = None;
    }
    let name = devices::called(&device);
    let reason = reason(args);
    if !args.yes {
        out.insist(what_happens(&name, reason, device.shared.is_some()));
        if !terminal::agrees(&format!("Remove {name}?"))? {
            return Err(Failure::fixable("not-confirmed", "Nothing was removed."));
        }
    }
    context
        .block_on(home.remove_device(&device, reason, args.timeout))
        .map_err(super::not_there)?;
    home.close()?;
    out.data(&to_json(&device), || format!("{name} is removed."))?;
    out.talk(afterwards(reason));
    Ok(())
}

fn explain(failure: Failure) -> Failure {
    if failure.code() != "private-locked" {
        return failure;
    }
    failure.hint(
        "Which device is which stands in Only me: do it on a device that has it, or give its passphrase with AJAR_PRIVATE_PASSPHRASE. --us removes it from Us alone.",
    )
}

fn to_json(device: &OwnDevice) -> serde_json::Value {
    let spaces: Vec<&str> = devices::spaces(device)
        .into_iter()
        .map(space_word)
        .collect();
    json!({"removed": device.id().map(|id| id.to_hex()), "name": device.name, "spaces": spaces})
}

/// Lost, unless something else is said.
fn reason(args: &RemoveDevice) -> RevokeReason {
    match (args.stolen, args.retired) {
        (true, _) => RevokeReason::Stolen,
        (_, true) => RevokeReason::Retired,
        _ => RevokeReason::Lost,
    }
}

fn what_happens(name: &str, reason: RevokeReason, shared: bool) -> String {
    let mut text = format!(
        "{name} will read nothing new: new keys are made without it, and what it writes from now on\n\
         counts nowhere. What is on it stays on it, behind its passphrase. It cannot be taken back; it\n\
         would have to be added anew."
    );
    if shared {
        text.push_str("\nYour partner is told that you removed a device.");
    }
    if reason == RevokeReason::Stolen {
        text.push_str(
            "\nThe relay's copies are closed to it too. If its passphrase could be guessed, count what was\n\
             on it as read.",
        );
    }
    text
}

fn afterwards(reason: RevokeReason) -> &'static str {
    match reason {
        RevokeReason::Stolen => {
            "If your twelve words were with it: `ajar words replace`. They outrank every device, whatever\n\
             somebody does on that one meanwhile: `ajar recover` with them undoes it."
        }
        RevokeReason::Lost => {
            "Should something be missing that it delivered at the last moment: `ajar device keep`, within seven\n\
             days. What it never delivered is on it, and nowhere else."
        }
        RevokeReason::Retired => "Next, on that device: `ajar erase`.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thief_is_told_of_where_there_is_one() {
        let stolen = what_happens("phone", RevokeReason::Stolen, true);
        assert!(stolen.contains("count what was\non it as read"));
        assert!(afterwards(RevokeReason::Stolen).contains("ajar words replace"));
        let lost = what_happens("phone", RevokeReason::Lost, false);
        assert!(!lost.contains("guessed"));
        assert!(lost.contains("read nothing new") && !lost.contains("partner"));
    }
}
