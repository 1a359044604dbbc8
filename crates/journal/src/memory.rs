//! What may come back on its day, and what is to rest.
//!
//! The rules are each person's own and stay in their private space: what one of them mutes changes
//! nothing that the other sees.

use unicode_normalization::UnicodeNormalization;

use crate::date;
use crate::records::MemoryRule;

/// Something that could come back.
#[derive(Clone, Copy)]
pub struct Old<'a> {
    /// Its id, and the ids of what is the same thing elsewhere: an entry and the copies opened
    /// from it rest together.
    pub ids: &'a [String],
    /// The day it is about.
    pub day: &'a str,
    /// Its tags.
    pub tags: &'a [String],
}

impl std::fmt::Debug for Old<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Old").finish_non_exhaustive()
    }
}

/// Whether `today` is the day of `day` in a later year. In a year without a 29th of February its
/// day is the 28th.
#[must_use]
pub fn is_anniversary(day: &str, today: &str) -> bool {
    let (Some(then), Some(now)) = (year_and_rest(day), year_and_rest(today)) else {
        return false;
    };
    let leap = |year: &str| date::check(&format!("{year}-02-29")).is_ok();
    let moved = then.1 == "-02-29" && now.1 == "-02-28" && !leap(now.0);
    then.0 < now.0 && (then.1 == now.1 || moved)
}

/// The year and the rest of a date that holds.
fn year_and_rest(date: &str) -> Option<(&str, &str)> {
    date::check(date).ok()?;
    date::day(date).split_at_checked(4)
}

/// Whether one of these rules holds for it.
#[must_use]
pub fn rests<'a>(old: &Old<'_>, rules: impl IntoIterator<Item = &'a MemoryRule>) -> bool {
    rules.into_iter().any(|rule| holds(rule, old))
}

/// Whether all that a rule says is so.
fn holds(rule: &MemoryRule, old: &Old<'_>) -> bool {
    let day = date::day(old.day);
    let says_something =
        rule.from.is_some() || rule.until.is_some() || rule.tag.is_some() || rule.record.is_some();
    let same = |tag: &String, wanted: &str| tag.nfc().eq(wanted.nfc());
    !rule.lifted
        && says_something
        && rule
            .from
            .as_deref()
            .is_none_or(|from| date::day(from) <= day)
        && rule
            .until
            .as_deref()
            .is_none_or(|until| day <= date::day(until))
        && rule
            .tag
            .as_deref()
            .is_none_or(|wanted| old.tags.iter().any(|tag| same(tag, wanted)))
        && rule
            .record
            .as_ref()
            .is_none_or(|record| old.ids.contains(record))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule() -> MemoryRule {
        MemoryRule {
            from: None,
            until: None,
            tag: None,
            record: None,
            lifted: false,
            on: "2026-07-01".to_owned(),
        }
    }

    #[test]
    fn a_day_comes_back_in_later_years_only() {
        assert!(is_anniversary("2024-07-01T21:30", "2026-07-01"));
        assert!(!is_anniversary("2026-07-01", "2026-07-01"));
        assert!(!is_anniversary("2027-07-01", "2026-07-01"));
        assert!(!is_anniversary("2024-07-02", "2026-07-01"));
        assert!(!is_anniversary("soon", "2026-07-01"));
    }

    #[test]
    fn the_29th_of_february_has_a_day_every_year() {
        assert!(is_anniversary("2024-02-29", "2025-02-28"));
        assert!(is_anniversary("2024-02-29", "2028-02-29"));
        assert!(!is_anniversary("2024-02-29", "2028-02-28"));
        assert!(is_anniversary("2023-02-28", "2024-02-28"));
    }

    #[test]
    fn days_tags_and_records_rest() {
        let ids = ["a".repeat(32), "b".repeat(32)];
        let tags = ["cafe\u{301}".to_owned()];
        let old = Old {
            ids: &ids,
            day: "2024-07-01T21:30",
            tags: &tags,
        };
        let days = |from: &str, until: &str| MemoryRule {
            from: Some(from.to_owned()),
            until: Some(until.to_owned()),
            ..rule()
        };
        let tag = |tag: &str| MemoryRule {
            tag: Some(tag.to_owned()),
            ..rule()
        };
        let record = |id: &str| MemoryRule {
            record: Some(id.repeat(32)),
            ..rule()
        };
        for (rule, muted) in [
            (days("2024-07-01", "2024-07-01"), true),
            (days("2024-06-01", "2024-06-30"), false),
            (days("2024-07-02", "2024-07-03"), false),
            (tag("caf\u{e9}"), true),
            (tag("cafe"), false),
            (record("b"), true),
            (record("c"), false),
            (rule(), false),
        ] {
            assert_eq!(rests(&old, [&rule]), muted);
            let lifted = MemoryRule {
                lifted: true,
                ..rule
            };
            assert!(!rests(&old, [&lifted]));
        }
    }

    proptest! {
        #[test]
        fn rules_hold_in_any_order(days in proptest::collection::vec((1_u32..28, 1_u32..28, any::<bool>()), 0..6), day in 1_u32..28) {
            let rules: Vec<MemoryRule> = days
                .iter()
                .map(|(from, until, lifted)| MemoryRule {
                    from: Some(format!("2024-07-{from:02}")),
                    until: Some(format!("2024-07-{until:02}")),
                    lifted: *lifted,
                    ..rule()
                })
                .collect();
            let day = format!("2024-07-{day:02}");
            let old = Old { ids: &[], day: &day, tags: &[] };
            prop_assert_eq!(rests(&old, &rules), rests(&old, rules.iter().rev()));
        }
    }
}
