//! Things done together again and again: which are due, whose turn it is, and some to begin with.
//!
//! Nothing here counts how often something was done, or for how long it was not.

use crate::book::Side;
use crate::date;
use crate::records::{Cadence, RitualDone};

/// Whether the day, week or month of `today` is still without it. Once one of the two has done it,
/// it is done: nobody owes it. What has no rhythm is never due.
#[must_use]
pub fn is_due<'a>(cadence: Cadence, today: &str, done: impl IntoIterator<Item = &'a str>) -> bool {
    let Some(now) = period(cadence, today) else {
        return false;
    };
    !done
        .into_iter()
        .any(|day| period(cadence, day) == Some(now))
}

/// Number of the day, week or month a day is in; weeks begin on Monday.
fn period(cadence: Cadence, day: &str) -> Option<i64> {
    match cadence {
        Cadence::Daily => date::day_number(day),
        Cadence::Weekly => Some((date::day_number(day)? - 1).div_euclid(7)),
        Cadence::Monthly => {
            date::check(day).ok()?;
            date::month(day).map(i64::from)
        }
        Cadence::Turns | Cadence::Whenever => None,
    }
}

/// Whose page comes next. `begins` is who writes the first one: whoever proposed the diary. If both
/// wrote at the same time, the same of the two counts as the later one everywhere.
#[must_use]
pub fn next<'a>(
    begins: Side,
    pages: impl IntoIterator<Item = (Side, &'a str, &'a RitualDone)>,
) -> Side {
    let last = pages
        .into_iter()
        .max_by_key(|(_, id, page)| (page.turn, *id));
    last.map_or(begins, |(side, ..)| side.other())
}

/// The place after all the others.
#[must_use]
pub fn next_place(turns: impl IntoIterator<Item = u32>) -> u32 {
    turns
        .into_iter()
        .max()
        .map_or(1, |turn| turn.saturating_add(1))
}

/// Shown once, with an exchange diary.
pub const DIARY_RULES: &str = "One line is enough. A missed week is just a week. Photos are welcome, never owed. \
     The next page belongs to whoever's turn it is, whenever.";

/// A ritual to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its word.
    pub word: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// How often.
    pub cadence: Cadence,
    /// What it consists of.
    pub steps: &'static [&'static str],
}

/// Rituals to begin with; any of them can be changed, or left.
pub const LIBRARY: &[Template] = &[
    Template {
        word: "hello",
        name: "Hello and goodbye",
        cadence: Cadence::Daily,
        steps: &[
            "Before you part: one thing the other has ahead of them today",
            "When you meet again: stop what you are doing, and say hello first",
        ],
    },
    Template {
        word: "evening",
        name: "Evening three lines",
        cadence: Cadence::Daily,
        steps: &[
            "Something from today",
            "Something I felt",
            "Something for tomorrow",
        ],
    },
    Template {
        word: "weekly-talk",
        name: "Weekly talk, 20 minutes",
        cadence: Cadence::Weekly,
        steps: &[
            "1 thank-you each that names an act",
            "1 thing that was heavy, with a need",
            "1 door still open",
            "1 thing to look forward to",
        ],
    },
    Template {
        word: "gratitude",
        name: "Gratitude log",
        cadence: Cadence::Whenever,
        steps: &["One thing you did that I am glad of, and what it changed for me"],
    },
    Template {
        word: "diary",
        name: "Exchange diary",
        cadence: Cadence::Turns,
        steps: &[
            "One line is enough",
            "A missed week is just a week",
            "Photos are welcome, never owed",
        ],
    },
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_a_week_and_a_month_begin_anew() {
        // 2026-12-31 is a Thursday.
        let done = ["2026-12-28"];
        for (cadence, today, due) in [
            (Cadence::Daily, "2026-12-28", false),
            (Cadence::Daily, "2026-12-29", true),
            (Cadence::Weekly, "2027-01-03", false),
            (Cadence::Weekly, "2027-01-04", true),
            (Cadence::Weekly, "2026-12-27", true),
            (Cadence::Monthly, "2026-12-31", false),
            (Cadence::Monthly, "2027-01-01", true),
            (Cadence::Whenever, "2027-01-01", false),
            (Cadence::Turns, "2027-01-01", false),
        ] {
            assert_eq!(is_due(cadence, today, done), due, "{cadence} {today}");
        }
        assert!(is_due(Cadence::Daily, "2026-12-28", []));
    }

    fn page(turn: u32, passed: bool) -> RitualDone {
        RitualDone {
            about: "0".repeat(32),
            note: None,
            passed,
            on: "2026-07-01".to_owned(),
            turn,
        }
    }

    #[test]
    fn a_page_or_a_pass_hands_the_diary_over() {
        assert_eq!(next(Side::Mine, []), Side::Mine);
        let (first, pass) = (page(1, false), page(2, true));
        assert_eq!(next(Side::Mine, [(Side::Mine, "a", &first)]), Side::Theirs);
        let pages = [(Side::Theirs, "b", &pass), (Side::Mine, "a", &first)];
        assert_eq!(next(Side::Mine, pages), Side::Mine);
        assert_eq!(next_place([1, 2]), 3);
        assert_eq!(next_place([]), 1);
        assert_eq!(next_place([u32::MAX]), u32::MAX);
    }

    #[test]
    fn the_library_can_be_kept_as_it_is() {
        use crate::record::Record as _;
        for template in LIBRARY {
            let ritual = crate::records::Ritual {
                name: template.name.to_owned(),
                cadence: template.cadence,
                steps: template.steps.iter().map(|s| (*s).to_owned()).collect(),
                ended: false,
                on: "2026-07-01".to_owned(),
            };
            assert_eq!(ritual.check(), Ok(()), "{}", template.word);
        }
    }

    proptest! {
        #[test]
        fn whose_turn_it_is_depends_on_no_order_and_on_no_device(
            pages in proptest::collection::vec((any::<bool>(), 1_u32..4), 0..6),
            mine_begins in any::<bool>(),
        ) {
            let side = |mine| if mine { Side::Mine } else { Side::Theirs };
            let ids: Vec<String> = (0..pages.len()).map(|n| format!("{n:032x}")).collect();
            let records: Vec<RitualDone> = pages.iter().map(|(_, turn)| page(*turn, false)).collect();
            let all: Vec<_> = pages
                .iter()
                .zip(&ids)
                .zip(&records)
                .map(|(((mine, _), id), record)| (side(*mine), id.as_str(), record))
                .collect();
            let here = next(side(mine_begins), all.iter().copied());
            let there = all.iter().rev().map(|(side, id, record)| (side.other(), *id, *record));
            prop_assert_eq!(next(side(!mine_begins), there), here.other());
        }
    }
}
