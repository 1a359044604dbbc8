//! `ajar calendar`: a month or a year, and which days hold something. The marks differ by shape;
//! the legend says in words what they mean.

use std::collections::BTreeMap;

use ajar_journal::calendar::{self, Week};
use ajar_journal::date;
use ajar_journal::query::Filter;
use ajar_sync::{Home, SpaceKind};
use serde_json::{Value, json};

use crate::cli::Calendar;
use crate::context::{Context, Need};
use crate::lines::{self, Wanted};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::{dates, ids};

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

/// What a day holds: ids, by whose it is and who can read it.
#[derive(Default)]
struct Held {
    only_me: Vec<String>,
    by_me: Vec<String>,
    by_partner: Vec<String>,
}

impl Held {
    /// A mark for each, always in the same place.
    fn marks(&self) -> String {
        let mark = |ids: &[String], mark| if ids.is_empty() { ' ' } else { mark };
        [
            mark(&self.only_me, '■'),
            mark(&self.by_me, '●'),
            mark(&self.by_partner, '▲'),
        ]
        .iter()
        .collect()
    }
}

pub(crate) fn run(context: &Context, args: &Calendar) -> Result<(), Failure> {
    let out = context.out;
    let when = match &args.when {
        Some(when) => when.clone(),
        None => dates::today().get(..7).unwrap_or_default().to_owned(),
    };
    let (year, month) = calendar::parse(&when).ok_or_else(|| {
        Failure::fixable("bad-date", "This is neither a month nor a year.")
            .hint("Write it as 2026-07, or 2026.")
    })?;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let locked = !home.is_private_unlocked();
    let held = held(&home, args.us, year, month)?;
    home.close()?;
    let months: Vec<u32> = month.map_or_else(|| (1..=12).collect(), |month| vec![month]);
    if out.json {
        let days: Vec<Value> = held.iter().map(|(day, held)| to_json(day, held)).collect();
        out.json(&json!({"when": when, "days": days}))?;
    } else {
        for (place, month) in months.iter().enumerate() {
            let gap = if place > 0 { "\n" } else { "" };
            let weeks = calendar::weeks(year, *month).unwrap_or_default();
            out.plain(&format!("{gap}{}", page(year, *month, &weeks, &held)))?;
        }
        out.plain(&legend(&names, args.us))?;
    }
    if locked && !args.us {
        out.talk("Only me is locked and not in it; set AJAR_PRIVATE_PASSPHRASE to see it.");
    }
    Ok(())
}

/// The days that hold something.
fn held(
    home: &Home,
    us_only: bool,
    year: u32,
    month: Option<u32>,
) -> Result<BTreeMap<String, Held>, Failure> {
    let (first, last) = match month {
        Some(month) => (month, month),
        None => (1, 12),
    };
    let weeks = calendar::weeks(year, last).unwrap_or_default();
    let days = weeks.into_iter().flatten().flatten();
    let wanted = Wanted {
        me: false,
        us: us_only,
        filter: Filter {
            since: Some(format!("{year:04}-{first:02}-01")),
            until: days.last(),
            ..Filter::default()
        },
        author: None,
        words: Vec::new(),
    };
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    for space in lines::spaces(home, &wanted)? {
        for (listed, item) in lines::select(&space, &wanted)? {
            let day = held.entry(date::day(&item.date).to_owned()).or_default();
            let ids = match (space.kind(), listed.author) {
                (SpaceKind::Private, _) => &mut day.only_me,
                (SpaceKind::Shared, Author::Partner) => &mut day.by_partner,
                (SpaceKind::Shared, Author::Me | Author::Both) => &mut day.by_me,
            };
            ids.push(ids::text(listed.id));
        }
    }
    for day in held.values_mut() {
        for ids in [&mut day.only_me, &mut day.by_me, &mut day.by_partner] {
            ids.sort_unstable();
        }
    }
    Ok(held)
}

fn to_json(day: &str, held: &Held) -> Value {
    json!({
        "date": day,
        "only_me": held.only_me,
        "by_me": held.by_me,
        "by_partner": held.by_partner,
    })
}

fn page(year: u32, month: u32, weeks: &[Week], held: &BTreeMap<String, Held>) -> String {
    let place = usize::try_from(month).unwrap_or_default().wrapping_sub(1);
    let name = MONTHS.get(place).copied().unwrap_or_default();
    let mut lines = vec![
        format!("{name} {year}"),
        "Mo     Tu     We     Th     Fr     Sa     Su".to_owned(),
    ];
    for week in weeks {
        let cells = week.iter().map(|day| match day {
            None => " ".repeat(6),
            Some(day) => {
                let marks = held.get(day).map(Held::marks).unwrap_or_default();
                format!("{} {marks:<3}", day.get(8..).unwrap_or_default())
            }
        });
        let line = cells.collect::<Vec<_>>().join(" ");
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn legend(names: &Names, us_only: bool) -> String {
    let partner = names.partner();
    let mine = format!("● from you, to both of you   ▲ from {partner}");
    match us_only {
        true => format!("\n{mine}"),
        false => format!("\n■ in Only me   {mine}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_shows_marks_by_shape_in_the_place_of_their_day() {
        let ids = vec!["a".to_owned()];
        let mut held = BTreeMap::new();
        let day = Held {
            only_me: ids.clone(),
            by_partner: ids,
            ..Held::default()
        };
        held.insert("2026-07-01".to_owned(), day);
        let weeks = calendar::weeks(2026, 7).unwrap();
        let page = page(2026, 7, &weeks, &held);
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], "July 2026");
        assert_eq!(lines[1].find("We"), Some(14));
        assert!(lines[2].starts_with(&format!("{}01 ■ ▲", " ".repeat(14))));
        assert_eq!(
            lines.last().unwrap().trim_end(),
            "27     28     29     30     31"
        );
    }
}
