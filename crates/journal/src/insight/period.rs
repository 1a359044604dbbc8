//! The days a plot looks at, and how they are written along its edge.

use crate::date;

/// Most ticks along an axis of time.
const TICKS_MAX: usize = 8;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The days a plot looks at, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    first: String,
    last: String,
    start: i64,
    end: i64,
}

impl Period {
    /// From one day to another; `None` if one is no day of the calendar or they are in the wrong
    /// order.
    #[must_use]
    pub fn new(first: &str, last: &str) -> Option<Self> {
        let (start, _) = date::moments(first)?;
        let (_, end) = date::moments(last)?;
        (start < end).then(|| Self {
            first: date::day(first).to_owned(),
            last: date::day(last).to_owned(),
            start,
            end,
        })
    }

    /// The shortest period with all these days; `None` if there is no day among them.
    pub fn spanning<'a>(days: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let days = days.into_iter().filter(|day| date::check(day).is_ok());
        let days: Vec<_> = days.map(date::day).collect();
        Self::new(days.iter().min()?, days.iter().max()?)
    }

    /// The first day.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// The last day.
    #[must_use]
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Whether a day, or a time of it, lies within.
    #[must_use]
    pub fn holds(&self, day: &str) -> bool {
        date::moment(day).is_some_and(|moment| (self.start..=self.end).contains(&moment))
    }

    /// As in `1 July to 30 September 2026`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let year = |day: &str| day.get(..4).map(str::to_owned);
        if self.first == self.last {
            return in_words(&self.first);
        }
        let mut first = in_words(&self.first);
        if year(&self.first) == year(&self.last)
            && let Some((without, _)) = first.rsplit_once(' ')
        {
            first = without.to_owned();
        }
        format!("{first} to {}", in_words(&self.last))
    }

    /// Where a date lies between `left` and `right`.
    pub(super) fn place(&self, day: &str, left: i32, right: i32) -> Option<i32> {
        let since = date::moment(day)? - self.start;
        let across = i64::from(right - left) * since / (self.end - self.start).max(1);
        i32::try_from(across).ok().map(|across| left + across)
    }

    /// The first days of all months in it, and of the month it begins in.
    pub(super) fn months(&self) -> Vec<String> {
        match date::month(&self.first).zip(date::month(&self.last)) {
            Some((first, last)) => (first..=last).map(|month| day_of(month, 1)).collect(),
            None => Vec::new(),
        }
    }

    /// A few days to write along the edge, with what to write.
    pub(super) fn ticks(&self) -> Vec<(String, String)> {
        let months = self.months();
        let wanted: [(&[u32], usize); 4] = [(&[], 1), (&[1, 8, 15, 22], 1), (&[1], 1), (&[1], 3)];
        for (days, every) in wanted {
            // More than this many months never fit.
            if months.len() > TICKS_MAX * every + every {
                continue;
            }
            let every_day: Vec<u32> = (1..=31).collect();
            let days = if days.is_empty() { &every_day } else { days };
            let months = months.iter().filter_map(|month| date::month(month));
            let months = months.filter(|month| (*month as usize - 1).is_multiple_of(every));
            let ticks: Vec<_> = months
                .flat_map(|month| days.iter().map(move |day| day_of(month, *day)))
                .filter(|day| self.holds(day))
                .collect();
            if (2..=TICKS_MAX).contains(&ticks.len()) || (ticks.len() == 1 && days.len() > 4) {
                return named(ticks, days.len() > 1);
            }
        }
        let mut years: Vec<_> = months
            .into_iter()
            .filter(|day| day.ends_with("-01-01") && self.holds(day))
            .collect();
        let every = years.len().div_ceil(TICKS_MAX).max(1);
        years = years.into_iter().step_by(every).collect();
        let name = |day: &String| day.get(..4).unwrap_or_default().to_owned();
        years
            .into_iter()
            .map(|day| (day.clone(), name(&day)))
            .collect()
    }
}

/// Short names for ticks: the year is told once and where it changes.
fn named(ticks: Vec<String>, with_day: bool) -> Vec<(String, String)> {
    let mut year_told = String::new();
    let mut month_told = None;
    let mut named = Vec::new();
    for day in ticks {
        let year = day.get(..4).unwrap_or_default().to_owned();
        let month = date::month(&day);
        let short: String = month_name(&day).chars().take(3).collect();
        let number = day.get(8..).unwrap_or_default().trim_start_matches('0');
        let mut name = match (with_day, month == month_told) {
            (true, true) => number.to_owned(),
            (true, false) => format!("{number} {short}"),
            (false, _) => short,
        };
        if year != year_told && !with_day {
            name = format!("{name} {year}");
        }
        year_told = year;
        month_told = month;
        named.push((day, name));
    }
    named
}

/// As in `1 July 2026`. What is no date stays as it is.
pub(super) fn in_words(day: &str) -> String {
    let day = date::day(day);
    match (day.get(..4), day.get(8..)) {
        (Some(year), Some(number)) if date::check(day).is_ok() => {
            let (number, year) = (number.trim_start_matches('0'), year.trim_start_matches('0'));
            format!("{number} {} {year}", month_name(day))
        }
        _ => day.to_owned(),
    }
}

/// The month's name.
pub(super) fn month_name(day: &str) -> &'static str {
    let month = date::month(day).map_or(0, |month| (month as usize + 11) % 12);
    MONTHS.get(month).copied().unwrap_or_default()
}

/// A day of a month given as [`date::month`] gives it. It need not exist.
pub(super) fn day_of(month: u32, day: u32) -> String {
    let month = month.saturating_sub(1);
    format!("{:04}-{:02}-{day:02}", month / 12, month % 12 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(first: &str, last: &str) -> Vec<String> {
        let ticks = Period::new(first, last).unwrap().ticks();
        ticks.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn ticks_are_few_and_in_words() {
        assert_eq!(ticks("2026-07-01", "2026-07-01"), ["1 Jul"]);
        assert_eq!(
            ticks("2026-06-29", "2026-07-02"),
            ["29 Jun", "30", "1 Jul", "2"]
        );
        let weeks = ["1 Jul", "8", "15", "22", "1 Aug", "8"];
        assert_eq!(ticks("2026-06-30", "2026-08-10"), weeks);
        let months = ["Dec 2025", "Jan 2026", "Feb", "Mar", "Apr"];
        assert_eq!(ticks("2025-11-20", "2026-04-03"), months);
        let quarters = ["Apr 2025", "Jul", "Oct", "Jan 2026"];
        assert_eq!(ticks("2025-03-01", "2026-03-03"), quarters);
        let years = ["2020", "2021", "2022", "2023", "2024", "2025", "2026"];
        assert_eq!(ticks("2019-03-01", "2026-03-03"), years);
        assert!(ticks("0001-01-01", "9999-12-31").len() <= TICKS_MAX);
    }

    #[test]
    fn a_period_has_an_order_and_says_itself() {
        let period = Period::new("2026-07-01T12:00", "2026-09-30").unwrap();
        assert_eq!(period.in_words(), "1 July to 30 September 2026");
        assert!(period.holds("2026-07-01") && period.holds("2026-09-30T23:59"));
        assert!(!period.holds("2026-10-01") && !period.holds("soon"));
        assert_eq!(Period::new("2026-07-02", "2026-07-01"), None);
        assert_eq!(Period::new("2026-07-02", "2026-07-32"), None);
        let days = ["2026-01-05T10:00", "never", "2025-12-31"];
        let spanning = Period::spanning(days).unwrap();
        assert_eq!(spanning.in_words(), "31 December 2025 to 5 January 2026");
        assert_eq!(Period::spanning(["never"]), None);
        let one = Period::new("2026-07-01", "2026-07-01").unwrap();
        assert_eq!(one.in_words(), "1 July 2026");
        assert_eq!(one.months(), ["2026-07-01"]);
    }
}
