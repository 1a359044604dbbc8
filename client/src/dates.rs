//! Days as people type them, and times as people read them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::SystemTime;

use ajar_journal::Invalid;
use ajar_journal::date;
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

use crate::report::Failure;

/// The first second of the year 9999 (UTC), in seconds since 1970.
const YEAR_9999: i64 = 253_370_764_800;

/// Now, in milliseconds since 1970 (UTC).
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Refuses a clock that no calendar and no store can work with: before 1970 or after 9999. Any other
/// wrong time only makes wrong dates.
pub(crate) fn check_clock() -> Result<(), Failure> {
    possible(SystemTime::now())
}

fn possible(now: SystemTime) -> Result<(), Failure> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok();
    let now = now.and_then(|now| i64::try_from(now.as_secs()).ok());
    if now.is_some_and(|now| now < YEAR_9999) {
        return Ok(());
    }
    Err(Failure::fixable(
        "bad-clock",
        "This device's clock shows a time before 1970 or after 9999; nothing was done.",
    )
    .hint("Set the clock, then do it again."))
}

/// Today's day where this device is.
pub(crate) fn today() -> String {
    Zoned::now().strftime("%Y-%m-%d").to_string()
}

/// What an entry is about when nothing is said: now, to the minute.
pub(crate) fn this_minute() -> String {
    Zoned::now().strftime("%Y-%m-%dT%H:%M").to_string()
}

/// A day, with or without a time, as typed.
pub(crate) fn typed(text: &str) -> Result<String, Failure> {
    parse(text, &Zoned::now()).map_err(|error| {
        Failure::fixable(
            "bad-date",
            format!(
                "“{}” is no day: {error}.",
                ajar_journal::text::displayable_line(text)
            ),
        )
    })
}

fn parse(text: &str, now: &Zoned) -> Result<String, Invalid> {
    let text = text.trim();
    let day = match text.to_lowercase().as_str() {
        "today" => Some(now.date()),
        "yesterday" => now.date().checked_sub(1.day()).ok(),
        _ => None,
    };
    if let Some(day) = day {
        return Ok(day.strftime("%Y-%m-%d").to_string());
    }
    // A blank between day and time is how most people write it.
    let written = text.replacen(' ', "T", 1);
    date::check(&written)?;
    Ok(written)
}

/// Most time zones that are remembered: far more than a person has been in.
const ZONES_MAX: usize = 1000;

/// Time zones by their IANA names, as this system knows them.
#[derive(Default)]
pub(crate) struct Zones(RefCell<HashMap<String, Option<TimeZone>>>);

impl Zones {
    /// The local day and time at a moment, `2026-07-01T21:30`; `None` when there is no such zone
    /// or time.
    pub(crate) fn local(&self, at_ms: i64, zone: &str) -> Option<String> {
        let at = Timestamp::from_millisecond(at_ms).ok()?;
        let mut known = self.0.borrow_mut();
        if known.len() >= ZONES_MAX && !known.contains_key(zone) {
            return None;
        }
        let found = known.entry(zone.to_owned()).or_insert_with(|| match zone {
            "UTC" | "GMT" | "Etc/UTC" => Some(TimeZone::UTC),
            _ => TimeZone::get(zone).ok(),
        });
        let local = at.to_zoned(found.clone()?);
        Some(local.strftime("%Y-%m-%dT%H:%M").to_string())
    }
}

/// Whether a day is still to come here; somewhere it may be tomorrow already.
pub(crate) fn is_to_come(date: &str) -> bool {
    comes_after(date, &Zoned::now())
}

fn comes_after(date: &str, now: &Zoned) -> bool {
    let tomorrow = now.date().checked_add(1.day());
    let tomorrow = tomorrow.map(|day| day.strftime("%Y-%m-%d").to_string());
    tomorrow.is_ok_and(|tomorrow| date::day(date) > tomorrow.as_str())
}

/// A moment where this device is, to the minute: `2026-07-01 21:30`.
pub(crate) fn local(at_ms: i64) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => at
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// The days from `count` before a moment to the day after it, which is a day somewhere already.
pub(crate) fn days_before(at_ms: i64, count: i64) -> Vec<String> {
    let Ok(at) = Timestamp::from_millisecond(at_ms) else {
        return Vec::new();
    };
    let day = at.to_zoned(TimeZone::UTC).date();
    let days = (-1..=count).filter_map(|back| day.checked_sub(back.days()).ok());
    days.map(|day| day.strftime("%Y-%m-%d").to_string())
        .collect()
}

/// The next time that a clock here shows this time of day, in milliseconds since 1970.
pub(crate) fn next_time(typed: &str) -> Result<i64, Failure> {
    next_after(typed, &Zoned::now()).ok_or_else(|| {
        let typed = ajar_journal::text::displayable_line(typed);
        Failure::fixable("bad-time", format!("“{typed}” is no time of day."))
            .hint("Write hours and minutes, as in 20:40.")
    })
}

fn next_after(typed: &str, now: &Zoned) -> Option<i64> {
    let time = jiff::civil::Time::strptime("%H:%M", typed.trim()).ok()?;
    let today = now.with().time(time).build().ok()?;
    let next = match today > *now {
        true => today,
        false => today.checked_add(1.day()).ok()?,
    };
    Some(next.timestamp().as_millisecond())
}

/// The time of day of a moment where this device is; with the day, if that is not today.
pub(crate) fn clock(at_ms: i64) -> String {
    let local = local(at_ms);
    match local.split_once(' ') {
        Some((day, time)) if day == today() => time.to_owned(),
        _ => local,
    }
}

/// A moment for scripts, in UTC: `2026-07-01T19:30:00Z`; `None` for one no calendar has.
pub(crate) fn utc(at_ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Times where this device is, for other programs. What an entry is about is a day or a time where
/// its writer was; other programs want a moment, so this device's zone is taken for it.
pub(crate) struct Local {
    zone: TimeZone,
    name: String,
}

impl Local {
    pub(crate) fn here() -> Self {
        let zone = TimeZone::system();
        match zone.iana_name().map(str::to_owned) {
            Some(name) => Self { zone, name },
            // A zone without a name would be no use to anybody else.
            None => Self {
                zone: TimeZone::UTC,
                name: "UTC".to_owned(),
            },
        }
    }
}

impl ajar_journal::export::Times for Local {
    fn moment(&self, date: &str) -> String {
        let at = jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M", date);
        let at = at.and_then(|at| at.to_zoned(self.zone.clone()));
        match at {
            Ok(at) => at.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Err(_) => format!("{date}:00Z"),
        }
    }

    fn utc(&self, at_ms: i64) -> Option<String> {
        utc(at_ms)
    }

    fn zone(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(text: &str) -> Result<String, Invalid> {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now = jiff::civil::date(2026, 3, 1).at(0, 10, 0, 0).to_zoned(zone);
        let now = now.expect("a fixed offset has every time");
        parse(text, &now)
    }

    #[test]
    fn days_are_read_as_people_type_them() {
        assert_eq!(at("today").unwrap(), "2026-03-01");
        assert_eq!(at("Yesterday").unwrap(), "2026-02-28");
        assert_eq!(at(" 2026-07-01 ").unwrap(), "2026-07-01");
        assert_eq!(at("2026-07-01T21:30").unwrap(), "2026-07-01T21:30");
        assert_eq!(at("2026-07-01 21:30").unwrap(), "2026-07-01T21:30");
    }

    #[test]
    fn a_moment_is_told_as_the_clock_on_the_wall_told_it() {
        let zones = Zones::default();
        let local = |at_ms, zone| zones.local(at_ms, zone);
        assert_eq!(local(0, "UTC").as_deref(), Some("1970-01-01T00:00"));
        let summer = 1_719_873_000_000;
        let berlin = local(summer, "Europe/Berlin");
        assert_eq!(berlin.as_deref(), Some("2024-07-02T00:30"));
        let kathmandu = local(summer, "Asia/Kathmandu");
        assert_eq!(kathmandu.as_deref(), Some("2024-07-02T04:15"));
        for nowhere in ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime"] {
            assert_eq!(local(summer, nowhere), None, "{nowhere}");
        }
        assert_eq!(local(i64::MAX, "UTC"), None);
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let now = jiff::civil::date(2026, 12, 31).at(20, 30, 0, 0);
        let now = now.to_zoned(TimeZone::UTC).unwrap();
        let after = |typed| next_after(typed, &now).and_then(utc);
        assert_eq!(after("20:40").as_deref(), Some("2026-12-31T20:40:00Z"));
        assert_eq!(after("20:30").as_deref(), Some("2027-01-01T20:30:00Z"));
        for wrong in ["", "24:00", "20", "20:60", "soon", "20:40:00"] {
            assert_eq!(after(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_what_is_after_tomorrow_is_to_come() {
        let now = jiff::civil::date(2026, 12, 31).at(23, 30, 0, 0);
        let now = now.to_zoned(TimeZone::UTC).unwrap();
        for past in ["1970-01-01", "2026-12-31T23:59", "2027-01-01T12:00"] {
            assert!(!comes_after(past, &now), "{past}");
        }
        for future in ["2027-01-02", "2027-01-02T00:00", "9999-12-31"] {
            assert!(comes_after(future, &now), "{future}");
        }
    }

    #[test]
    fn a_moment_that_no_calendar_has_is_said_to_be_unknown() {
        for lie in [i64::MIN, i64::MAX, -400_000_000_000_000] {
            assert_eq!(local(lie), "an unknown time");
            assert_eq!(utc(lie), None);
        }
        assert_eq!(utc(-1_000).as_deref(), Some("1969-12-31T23:59:59Z"));
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for wrong in [
            "",
            "tomorrowish",
            "2026-02-30",
            "01.07.2026",
            "2026-07-01 25:00",
            "2026-07-01  21:30",
        ] {
            assert_eq!(at(wrong), Err(Invalid::BadDate), "{wrong:?}");
        }
    }

    #[test]
    fn a_day_and_time_is_a_moment_where_one_is() {
        use ajar_journal::export::Times as _;
        let berlin = Local {
            zone: TimeZone::fixed(jiff::tz::offset(2)),
            name: "Europe/Berlin".to_owned(),
        };
        assert_eq!(berlin.moment("2026-07-01T21:30"), "2026-07-01T19:30:00Z");
        assert_eq!(berlin.moment("2026-07-01T01:00"), "2026-06-30T23:00:00Z");
    }

    #[test]
    fn a_clock_no_calendar_knows_is_refused_and_any_other_is_taken() {
        let second = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        assert!(possible(second(0)).is_ok() && possible(second(20_000_000_000)).is_ok());
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        for wrong in [before, second(300_000_000_000)] {
            assert_eq!(possible(wrong).unwrap_err().code(), "bad-clock");
        }
        assert_eq!(
            utc(YEAR_9999 * 1000).as_deref(),
            Some("9999-01-01T00:00:00Z")
        );
    }

    #[test]
    fn a_moment_for_scripts_is_in_utc() {
        assert_eq!(utc(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            utc(1_782_934_200_123).as_deref(),
            Some("2026-07-01T19:30:00Z")
        );
        assert_eq!(utc(i64::MAX), None);
    }
}
