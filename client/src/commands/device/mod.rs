//! `ajar device`: a person's own devices.

mod add;
mod keep;
mod list;
mod remove;

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
