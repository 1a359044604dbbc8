//! `ajar device list` and `rename`.

use ajar_journal::text::displayable_line;
use ajar_sync::OwnDevice;
use serde_json::{Value, json};

use super::add::space_names;
use crate::cli::RenameDevice;
use crate::context::{Context, Need};
use crate::report::Failure;
use crate::{dates, devices};

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let all = home.devices()?;
    let locked = !home.is_private_unlocked();
    home.close()?;
    let value: Vec<Value> = all.iter().map(devices::to_json).collect();
    out.data(&value, || table(&all))?;
    if locked {
        out.talk("Only me is locked here: names of other devices, and what is only in it, are not known.");
    }
    Ok(())
}

fn table(all: &[OwnDevice]) -> String {
    let rows: Vec<[String; 4]> = all.iter().map(row).collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| {
                    let blanks = width.saturating_sub(cell.chars().count());
                    format!("{cell}{}", " ".repeat(blanks))
                })
                .collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

fn row(device: &OwnDevice) -> [String; 4] {
    let name = match &device.name {
        Some(name) => displayable_line(name),
        None => "(name not known here)".to_owned(),
    };
    let since = devices::since(device).map_or_else(String::new, dates::local);
    let mut state = match (device.active, device.this) {
        (true, true) => "this device".to_owned(),
        (true, false) => String::new(),
        (false, true) => "this device, removed".to_owned(),
        (false, false) => "removed".to_owned(),
    };
    state.insert_str(0, if state.is_empty() { "" } else { "· " });
    let about = format!("{} {state}", space_names(&devices::spaces(device)));
    [
        devices::short(device),
        name,
        format!("since {since}"),
        about,
    ]
}

/// Gives a device another name.
pub(super) fn rename(context: &Context, args: &RenameDevice) -> Result<(), Failure> {
    let out = context.out;
    // Names are kept in Only me, where only one's own devices see them.
    let home = context.open_home(Need::Private)?;
    let device = devices::find(home.devices()?, &args.device, |device| device.active)?;
    home.name_device(&device, &args.name)?;
    home.close()?;
    let name = displayable_line(args.name.trim());
    out.data(
        &json!({"id": device.id().map(|id| id.to_hex()), "name": args.name.trim()}),
        || format!("{} is called {name} now.", devices::called(&device)),
    )?;
    out.talk("Your other devices learn it with their next exchange.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_sync::DeviceId;

    #[test]
    fn a_table_names_this_device_and_those_that_are_gone() {
        let device = |name: Option<&str>, this, active| OwnDevice {
            name: name.map(str::to_owned),
            private: Some(DeviceId([1; 32])),
            shared: None,
            this,
            active,
            since_ms: 0,
        };
        let text = table(&[
            device(Some("laptop"), true, true),
            device(None, false, false),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("01010101  laptop "), "{text}");
        assert!(lines[0].ends_with("Only me · this device"), "{text}");
        assert!(lines[1].contains("name not known here"), "{text}");
        assert!(lines[1].ends_with("· removed"), "{text}");
    }
}
