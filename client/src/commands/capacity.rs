//! `ajar capacity`: how much room somebody has today, seen only while they show it.

use ajar_journal::records::{Capacity, Level};
use ajar_sync::{Home, Space};
use serde_json::json;

use super::deliver::exchanged;
use super::doors;
use crate::cli::{Room, RoomChoice};
use crate::context::{Context, Need};
use crate::names::Names;
use crate::report::Failure;
use crate::{between, dates, shelf};

pub(crate) fn run(context: &Context, args: &Room) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = doors::shared(&home)?;
    let Some(choice) = args.room else {
        return show(context, home, &us);
    };
    let today = dates::today();
    let level = match choice {
        RoomChoice::Show(level) => Some(level),
        RoomChoice::Hide => None,
    };
    if level.is_none() && between::own_capacity(&us, &today)?.is_none() {
        home.close()?;
        let value = json!({"shown": null, "delivered": true});
        // Nothing is written: whoever never showed anything leaves no trace of hiding it.
        return context.out.data(&value, || "Nothing is shown.".to_owned());
    }
    shelf::set(&us, between::CAPACITY, Capacity { level, on: today })?;
    let delivered = exchanged(context, &home, &us, args.wait.timeout);
    let name = Names::of(&home).partner().to_owned();
    home.close()?;
    let value = json!({"shown": level, "delivered": delivered.is_ok()});
    context.out.data(&value, || match level {
        Some(level) => format!("Today {name} sees: {}.", level.in_words()),
        None => "Nothing is shown any more.".to_owned(),
    })?;
    delivered
}

fn show(context: &Context, home: Home, us: &Space) -> Result<(), Failure> {
    let today = dates::today();
    let own = between::own_capacity(us, &today)?;
    let partner = between::partner_capacity(us, &today)?;
    let name = Names::of(&home).partner().to_owned();
    home.close()?;
    context
        .out
        .data(&json!({"own": own, "partner": partner}), || {
            let own = own.map_or("You show nothing today.".to_owned(), |level| {
                format!("You show: {}.", level.in_words())
            });
            match partner.map(Level::in_words) {
                Some(level) => format!("{own}\n{name}: {level}."),
                None => own,
            }
        })
}
