//! `ajar device`: a person's own devices.

mod add;
mod keep;
mod list;
mod remove;

use ajar_sync::Error;

use crate::cli::{Device, DeviceCommand};
use crate::context::Context;
use crate::report::Failure;

pub(crate) fn run(context: &Context, args: &Device) -> Result<(), Failure> {
    match &args.command {
        DeviceCommand::Add(args) => add::run(context, args),
        DeviceCommand::List(_) => list::run(context),
        DeviceCommand::Remove(args) => remove::run(context, args),
        DeviceCommand::Keep(args) => keep::run(context, args),
        DeviceCommand::Rename(args) => list::rename(context, args),
    }
}

/// A change of devices or words that did not get through: nothing of it is kept to be sent later, so
/// it must not be called undelivered.
pub(super) fn not_there(error: Error) -> Failure {
    match error {
        Error::Undelivered(why) => {
            let failure = Failure::from(Error::Undelivered(why.clone()));
            Failure::new(failure.exit(), failure.code(), why)
                .hint("What the relay has stored has happened, nothing else. Look at `ajar device list` after the next `ajar sync`, and try again.")
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_sync::ConnectError;

    #[test]
    fn a_device_that_was_not_removed_is_not_called_undelivered() {
        let failure = not_there(Error::Undelivered(ConnectError::TimedOut));
        assert!(
            !failure.message().contains("Kept here"),
            "{}",
            failure.message()
        );
        assert_eq!(failure.exit().number(), 4);
        assert_eq!(failure.code(), "timeout");
    }
}
