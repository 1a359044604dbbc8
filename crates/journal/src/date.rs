//! Days and times as people write them: `YYYY-MM-DD`, or `YYYY-MM-DDTHH:MM` in local time.
//!
//! Strings of this form sort as the calendar does.

use crate::error::Invalid;

/// Length of the day part, in bytes.
const DAY_LEN: usize = 10;

/// Checks that `date` is a day of the calendar (years 0001 to 9999), with or without a time.
///
/// # Errors
/// [`Invalid::BadDate`].
pub fn check(date: &str) -> Result<(), Invalid> {
    parse(date).ok_or(Invalid::BadDate)
}

/// The day of a checked date: the time, if there is one, is left out.
#[must_use]
pub fn day(date: &str) -> &str {
    date.get(..DAY_LEN).unwrap_or(date)
}

/// Steps of [`moment`] in a day: the day itself, and its minutes.
const DAY_STEPS: i64 = 1 + 24 * 60;

/// A number that orders as dates do: a day, then its minutes, then the next day. `None` for
/// what is no date.
#[must_use]
pub fn moment(date: &str) -> Option<i64> {
    parse(date)?;
    let minutes = match date.split_once('T') {
        Some((_, time)) => {
            let (hour, minute) = time.split_once(':')?;
            1 + number(hour, 2)? * 60 + number(minute, 2)?
        }
        None => 0,
    };
    let (year, month, day) = parts(date)?;
    let before = i64::from(year) - 1;
    let days = before * 365 + before / 4 - before / 100 + before / 400;
    let months: u32 = (1..month).filter_map(|month| days_in(year, month)).sum();
    Some((days + i64::from(months + day)) * DAY_STEPS + i64::from(minutes))
}

/// First and last [`moment`] of the day of a date.
#[must_use]
pub fn moments(date: &str) -> Option<(i64, i64)> {
    let first = moment(day(date))?;
    Some((first, first + DAY_STEPS - 1))
}

/// Number of the day of a date, one more for each day of the calendar; 1 is Monday, 0001-01-01.
#[must_use]
pub fn day_number(date: &str) -> Option<i64> {
    Some(moment(day(date))? / DAY_STEPS)
}

/// The month of a date, `year × 12 + month`.
pub(crate) fn month(date: &str) -> Option<u32> {
    let (year, month, _) = parts(date)?;
    Some(year * 12 + month)
}

/// Year, month and day of a checked date.
fn parts(date: &str) -> Option<(u32, u32, u32)> {
    let mut parts = day(date).split('-');
    let mut next = |len| number(parts.next()?, len);
    Some((next(4)?, next(2)?, next(2)?))
}

fn parse(date: &str) -> Option<()> {
    let (day, time) = match date.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (date, None),
    };
    let mut parts = day.split('-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2)?;
    let day = number(parts.next()?, 2)?;
    let whole = parts.next().is_none() && year >= 1 && day >= 1;
    let in_month = day <= days_in(year, month)?;
    let time = match time {
        None => true,
        Some(time) => {
            let (hour, minute) = time.split_once(':')?;
            number(hour, 2)? < 24 && number(minute, 2)? < 60
        }
    };
    (whole && in_month && time).then_some(())
}

/// Exactly `len` ASCII digits; `str::parse` alone would take a sign.
fn number(digits: &str, len: usize) -> Option<u32> {
    let plain = digits.len() == len && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

pub(crate) fn days_in(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_that_exist_are_taken() {
        for date in [
            "2026-07-01",
            "2026-07-01T00:00",
            "2026-07-01T23:59",
            "2024-02-29",
            "2000-02-29",
            "0001-01-01",
            "9999-12-31T12:30",
        ] {
            assert_eq!(check(date), Ok(()), "{date}");
        }
    }

    #[test]
    fn days_that_do_not_exist_and_other_spellings_are_refused() {
        for date in [
            "",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "0000-01-01",
            "2026-1-1",
            "+026-01-01",
            "2026-01-+1",
            "2026-01-01-01",
            "2026-01-01T",
            "2026-01-01T24:00",
            "2026-01-01T12:60",
            "2026-01-01T1:30",
            "2026-01-01T12:30:00",
            "2026-01-01T12:30Z",
            "2026-01-01 12:30",
            " 2026-01-01",
            "2026-01-01\n",
            "٢٠٢٦-٠١-٠١",
        ] {
            assert_eq!(check(date), Err(Invalid::BadDate), "{date:?}");
        }
    }

    #[test]
    fn moments_are_in_the_order_of_the_dates() {
        let mut last: Option<(String, i64)> = None;
        for year in [
            "0001", "1899", "1900", "1999", "2000", "2024", "2026", "9999",
        ] {
            for month in 1..=12 {
                for day in 1..=31 {
                    for time in ["", "T00:00", "T00:01", "T23:59"] {
                        let date = format!("{year}-{month:02}-{day:02}{time}");
                        let Some(moment) = moment(&date) else {
                            assert_eq!(check(&date), Err(Invalid::BadDate), "{date}");
                            continue;
                        };
                        let (first, end) = moments(&date).unwrap();
                        assert!((first..=end).contains(&moment));
                        if let Some((before, at)) = &last {
                            assert!(*before < date && *at < moment, "{before} {date}");
                        }
                        last = Some((date, moment));
                    }
                }
            }
        }
        let next = |a, b| moments(a).unwrap().1 + 1 == moment(b).unwrap();
        assert!(next("2024-02-28T10:00", "2024-02-29"));
        assert!(next("1900-02-28", "1900-03-01") && next("2025-12-31", "2026-01-01"));
        assert_eq!(moment("2026-02-29"), None);
        let (leap, then) = (day_number("2024-02-29T23:59"), day_number("2024-03-01"));
        assert_eq!(leap.map(|n| n + 1), then);
        assert_eq!(day_number("2026-06-29").map(|n| n % 7), Some(1), "a Monday");
        assert_eq!(month("2026-07-01T21:30"), Some(2026 * 12 + 7));
    }

    #[test]
    fn days_are_numbered_without_gaps_and_the_first_is_a_monday() {
        assert_eq!(day_number("0001-01-01"), Some(1));
        let (thursday, friday) = (day_number("2026-12-31"), day_number("2027-01-01T09:00"));
        assert_eq!(thursday.map(|day| day + 1), friday);
        assert_eq!(thursday.map(|day| day % 7), Some(4));
        assert_eq!(day_number("2026-02-29"), None);
    }

    #[test]
    fn the_day_leaves_the_time_out() {
        assert_eq!(day("2026-07-01T21:30"), "2026-07-01");
        assert_eq!(day("2026-07-01"), "2026-07-01");
    }
}
