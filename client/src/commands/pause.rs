//! `ajar pause`: a break that either may call, with a time of return.

use ajar_journal::records::Pause;
use ajar_journal::text::displayable_line;
use ajar_sync::{Home, Space};
use serde_json::{Value, json};

use super::deliver::exchanged;
use super::doors;
use super::receiving::text_if;
use crate::cli::TakePause;
use crate::context::{Context, Need};
use crate::names::Names;
use crate::report::Failure;
use crate::{between, dates, shelf};

const MINUTE_MS: i64 = 60_000;

pub(crate) fn run(context: &Context, args: &TakePause) -> Result<(), Failure> {
    let now_ms = dates::now_ms();
    let minutes = match &args.until {
        Some(time) => Some((dates::next_time(time)? - now_ms).div_euclid(MINUTE_MS)),
        None => args.minutes,
    };
    if minutes.is_none() && !args.line.is_empty() {
        return Err(
            Failure::fixable("no-return", "A pause says when you are back.")
                .hint("ajar pause --minutes 40 'I care about this.'"),
        );
    }
    let back = minutes
        .map(|minutes| back_at(now_ms, minutes))
        .transpose()?;
    let home = context.open_home(Need::Home)?;
    let us = doors::shared(&home)?;
    let pause = match back {
        Some(back_at_ms) => Pause {
            back_at_ms,
            line: text_if(&args.line, "A line for them:")?,
            over: false,
            on: dates::today(),
        },
        None if !args.back => return show(context, home, &us),
        None => match between::own_pause(&us, now_ms)? {
            Some(pause) => Pause {
                over: true,
                ..pause
            },
            None => {
                home.close()?;
                let value = json!({"own": null, "delivered": true});
                let said = || "You are not pausing.".to_owned();
                return context.out.data(&value, said);
            }
        },
    };
    shelf::set(&us, between::PAUSE, pause.clone())?;
    let delivered = exchanged(context, &home, &us, args.wait.timeout);
    let name = Names::of(&home).partner().to_owned();
    home.close()?;
    let own = (!pause.over).then(|| to_json(&pause));
    let value = json!({"own": own, "delivered": delivered.is_ok()});
    context.out.data(&value, || match pause.over {
        true => "Good to have you back.".to_owned(),
        false => format!("{name} sees: {}.", words(&pause)),
    })?;
    delivered
}

fn back_at(now_ms: i64, minutes: i64) -> Result<i64, Failure> {
    Pause::back_after(now_ms, minutes).ok_or_else(|| {
        Failure::fixable("pause-length", "A pause is 20 minutes to a day.").hint(
            "Less does not calm a body down. For longer: say it in person, or `ajar capacity not-today`.",
        )
    })
}

fn show(context: &Context, home: Home, us: &Space) -> Result<(), Failure> {
    let now_ms = dates::now_ms();
    let own = between::own_pause(us, now_ms)?;
    let partner = between::partner_pause(us, now_ms)?;
    let name = Names::of(&home).partner().to_owned();
    home.close()?;
    let value = json!({
        "own": own.as_ref().map(to_json),
        "partner": partner.as_ref().map(to_json),
    });
    context.out.data(&value, || {
        let lines = [(own, "You"), (partner, &*name)];
        let lines = lines
            .iter()
            .filter_map(|(pause, who)| Some(format!("{who}: {}.", words(pause.as_ref()?))));
        let lines: Vec<String> = lines.collect();
        match lines.is_empty() {
            true => "Nobody is pausing.".to_owned(),
            false => lines.join("\n"),
        }
    })
}

fn to_json(pause: &Pause) -> Value {
    json!({"back_at": dates::utc(pause.back_at_ms), "line": pause.line})
}

/// “pausing, back at 20:40”, and the line.
fn words(pause: &Pause) -> String {
    let back = dates::clock(pause.back_at_ms);
    match &pause.line {
        Some(line) => format!("pausing, back at {back}: {}", displayable_line(line)),
        None => format!("pausing, back at {back}"),
    }
}
