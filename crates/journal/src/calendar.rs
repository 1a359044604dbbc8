//! Months as a calendar shows them: weeks from Monday to Sunday.

use crate::date;

/// A week of a month: the days that are in it.
pub type Week = [Option<String>; 7];

/// The weeks of a month; `None` for one that no calendar has.
#[must_use]
pub fn weeks(year: u32, month: u32) -> Option<Vec<Week>> {
    let first = date::day_number(&format!("{year:04}-{month:02}-01"))?;
    let before = usize::try_from((first - 1).rem_euclid(7)).ok()?;
    let mut weeks: Vec<Week> = Vec::new();
    let mut week: Week = Week::default();
    for day in 1..=date::days_in(year, month)? {
        let place = (before + usize::try_from(day).ok()? - 1) % 7;
        if let Some(slot) = week.get_mut(place) {
            *slot = Some(format!("{year:04}-{month:02}-{day:02}"));
        }
        if place == 6 {
            weeks.push(std::mem::take(&mut week));
        }
    }
    if week.iter().any(Option::is_some) {
        weeks.push(week);
    }
    Some(weeks)
}

/// Year and month of `2026-07`, or the year of `2026`.
#[must_use]
pub fn parse(text: &str) -> Option<(u32, Option<u32>)> {
    let (year, month) = match text.split_once('-') {
        Some((year, month)) => (year, Some(month)),
        None => (text, None),
    };
    let whole = format!("{year}-{}-01", month.unwrap_or("01"));
    date::check(&whole).ok()?;
    let month = match month {
        Some(month) => Some(month.parse().ok()?),
        None => None,
    };
    Some((year.parse().ok()?, month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_all_its_days_in_their_places() {
        // The 1st of July 2026 is a Wednesday.
        let july = weeks(2026, 7).unwrap();
        assert_eq!(july.len(), 5);
        assert_eq!(july[0][2].as_deref(), Some("2026-07-01"));
        assert!(july[0][1].is_none());
        assert_eq!(july[4][4].as_deref(), Some("2026-07-31"));
        // February 2027 is four whole weeks.
        assert_eq!(weeks(2027, 2).unwrap().len(), 4);
        for (year, month) in [(2026, 0), (2026, 13), (0, 1), (10_000, 1)] {
            assert!(weeks(year, month).is_none(), "{year}-{month}");
        }
        for month in 1..=12 {
            let days = weeks(2024, month).unwrap().concat();
            let days: Vec<_> = days.into_iter().flatten().collect();
            assert_eq!(days.len(), date::days_in(2024, month).unwrap() as usize);
            assert!(days.is_sorted());
        }
    }

    #[test]
    fn months_and_years_are_read_as_they_are_written() {
        assert_eq!(parse("2026-07"), Some((2026, Some(7))));
        assert_eq!(parse("2026"), Some((2026, None)));
        for wrong in ["", "26", "2026-7", "2026-13", "2026-07-01", "+026", "2026-"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
