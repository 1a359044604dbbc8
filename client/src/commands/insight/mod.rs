//! `ajar insight`: looking back, by oneself and a little together. Pictures, sentences and tables
//! are made by `ajar_journal::insight`; here is what they are made of.

mod mine;
mod ours;

use std::path::Path;

use ajar_journal::date;
use ajar_journal::insight::{self as plots, Period, Plot, Table};
use ajar_journal::opening::Opening;
use ajar_journal::schema::Kind;
use ajar_journal::text::displayable_line;
use ajar_sync::{Home, Space, doc_id_text};
use serde_json::{Value, json};

use self::mine::Mine;
use super::export;
use crate::cli::{Insight, InsightCommand};
use crate::context::{Context, Need};
use crate::dates;
use crate::names::Author;
use crate::records::{self, Record};
use crate::report::Failure;

/// Widest column of a table on a screen, in characters.
const COLUMN_MAX: usize = 48;

/// The days and options somebody asked for.
struct Asked {
    since: Option<String>,
    until: Option<String>,
    opened: bool,
}

pub(crate) fn run(context: &Context, args: &Insight) -> Result<(), Failure> {
    if let Some(InsightCommand::Ours(args)) = &args.command {
        return ours::choose(context, args);
    }
    let asked = Asked::of(args)?;
    match args.name.as_deref().map(str::trim) {
        None => list(context, &asked),
        Some(name) => show(context, name, args.svg.as_deref(), &asked),
    }
}

impl Asked {
    fn of(args: &Insight) -> Result<Self, Failure> {
        let day = |typed: &Option<String>| {
            let day = typed.as_deref().map(dates::typed).transpose()?;
            Ok::<_, Failure>(day.map(|day| date::day(&day).to_owned()))
        };
        let (since, until) = (day(&args.since)?, day(&args.until)?);
        if let (Some(since), Some(until)) = (&since, &until)
            && since > until
        {
            return Err(wrong_order());
        }
        Ok(Self {
            since,
            until,
            opened: args.opened,
        })
    }

    /// Whether a day was asked for.
    fn holds(&self, day: &str) -> bool {
        let day = date::day(day);
        self.since.as_deref().is_none_or(|since| since <= day)
            && self.until.as_deref().is_none_or(|until| day <= until)
    }

    /// The days to look at: those asked for; where nothing was said, from the first record to the
    /// last. It does not hang on the day it is looked at, so neither does the picture.
    fn period<'a>(&self, days: impl Iterator<Item = &'a str>) -> Result<Period, Failure> {
        let held = Period::spanning(days.filter(|day| self.holds(day)));
        let today = dates::today();
        let edge = |given: &Option<String>, other: &Option<String>, held: Option<&str>| {
            let edge = given.as_deref().or(held).or(other.as_deref());
            edge.unwrap_or(&today).to_owned()
        };
        let first = edge(&self.since, &self.until, held.as_ref().map(Period::first));
        let last = edge(&self.until, &self.since, held.as_ref().map(Period::last));
        Period::new(&first, &last).ok_or_else(wrong_order)
    }
}

fn wrong_order() -> Failure {
    Failure::fixable("bad-date", "These days are in the wrong order.")
        .hint("--since is the earlier one.")
}

/// What there is to look at. How much there is of anything is not said.
fn list(context: &Context, asked: &Asked) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let mine = home.is_private_unlocked().then(|| Mine::of(&home));
    let mine = mine.transpose()?;
    let both = ours::are_on(&home)?;
    let mut rows = Vec::new();
    for (name, title) in mine::ALL {
        let plot = match &mine {
            Some(mine) => mine.plot(name, asked)?,
            None => None,
        };
        rows.push((name, title, "mine", state(plot.as_ref(), "locked")));
    }
    for (name, title) in ours::all() {
        let plot = match both {
            true => ours::plot(&home, name, asked)?,
            false => None,
        };
        rows.push((name, title, "ours", state(plot.as_ref(), "off")));
    }
    home.close()?;
    let values: Vec<Value> = rows
        .iter()
        .map(|(name, title, of, state)| {
            json!({"name": name, "title": title, "of": of, "state": state})
        })
        .collect();
    let value = json!({"ours": both, "plots": values});
    context.out.data(&value, || {
        let lines = rows.iter().map(|(name, title, _, state)| {
            let line = format!("{name:<20} {title:<31} {}", in_words(state));
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    if mine.is_none() {
        context
            .out
            .talk("Only me is locked; set AJAR_PRIVATE_PASSPHRASE to look at your own.");
    }
    if !both {
        context.out.talk(
            "Those about both of you are there while both have them on: ajar insight ours on",
        );
    }
    Ok(())
}

fn state(insight: Option<&plots::Insight>, without: &'static str) -> &'static str {
    match insight {
        Some(plots::Insight::Plot(_)) => "enough",
        Some(plots::Insight::TooFew(_)) => "not-yet",
        None => without,
    }
}

fn in_words(state: &str) -> &'static str {
    match state {
        "enough" => "there is enough",
        "not-yet" => "not enough yet",
        "locked" => "Only me is locked",
        _ => "not on for both",
    }
}

fn show(context: &Context, name: &str, svg: Option<&Path>, asked: &Asked) -> Result<(), Failure> {
    let insight = if mine::ALL.iter().any(|(known, _)| *known == name) {
        let home = context.open_home(Need::Private)?;
        let insight = Mine::of(&home)?.plot(name, asked)?;
        home.close()?;
        insight
    } else if ours::all().iter().any(|(known, _)| *known == name) {
        let home = context.open_home(Need::Home)?;
        let insight = of_both(&home, name, asked)?;
        home.close()?;
        insight
    } else {
        None
    };
    let insight = insight.ok_or_else(|| {
        Failure::fixable(
            "no-such-insight",
            "There is nothing of this name to look at.",
        )
        .hint("`ajar insight` lists the names.")
    })?;
    match insight {
        plots::Insight::Plot(plot) => {
            if let Some(path) = svg {
                export::write("svg-file", path, plot.svg.as_bytes())?;
            }
            context.out.data(&to_json(&plot), || words(&plot))?;
            if svg.is_some() {
                context
                    .out
                    .talk("The picture is not encrypted: whoever has the file can see it.");
            }
            Ok(())
        }
        plots::Insight::TooFew(few) if svg.is_none() => {
            let value = json!({
                "name": few.name,
                "title": few.title,
                "state": "not-yet",
                "needed": few.needed,
            });
            context.out.data(&value, || {
                format!("{}\nNot enough yet: it takes {}.", few.title, few.needed)
            })
        }
        plots::Insight::TooFew(few) => Err(Failure::fixable(
            "too-few",
            format!("There is not enough to draw yet: it takes {}.", few.needed),
        )
        .hint("No file was written. Other days may have more: --since and --until choose them.")),
    }
}

fn of_both(home: &Home, name: &str, asked: &Asked) -> Result<Option<plots::Insight>, Failure> {
    if !ours::are_on(home)? {
        return Err(Failure::fixable(
            "ours-off",
            "What is about both of you is there while both have it on.",
        )
        .hint("For your part: ajar insight ours on"));
    }
    ours::plot(home, name, asked)
}

/// The shape scripts get. The picture is in the file that was asked for.
fn to_json(plot: &Plot) -> Value {
    json!({
        "name": plot.name,
        "title": plot.title,
        "state": "enough",
        "n": plot.n,
        "since": plot.period.first(),
        "until": plot.period.last(),
        "summary": plot.summary,
        "caption": plot.caption,
        "how": plot.how,
        "headers": plot.table.headers,
        "rows": plot.table.rows,
        "left_out": plot.table.left_out,
    })
}

/// All of it for people.
fn words(plot: &Plot) -> String {
    let mut lines = vec![
        plot.title.to_owned(),
        displayable_line(&plot.summary),
        format!("n {}, {}", plot.n, plot.period.in_words()),
    ];
    lines.extend(plot.caption.map(str::to_owned));
    lines.push(String::new());
    lines.extend(table(&plot.table));
    if plot.table.left_out > 0 {
        lines.push("(Earlier rows are left out; --until goes back to them.)".to_owned());
    }
    lines.push(String::new());
    lines.push(plot.how.to_owned());
    lines.join("\n")
}

/// A table as lines, its columns as wide as what is in them.
fn table(table: &Table) -> Vec<String> {
    let headers: Vec<String> = table.headers.iter().map(|it| (*it).to_owned()).collect();
    let all: Vec<Vec<String>> = [&headers]
        .into_iter()
        .chain(&table.rows)
        .map(|row| row.iter().map(|cell| displayable_line(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.chars().count().min(COLUMN_MAX));
        widths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}", width = *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// The openings in Us, with their ids and authors.
fn openings(us: &Space) -> Result<Vec<(String, Author, Opening)>, Failure> {
    let (openings, _) = records::all_of(us, &Kind::Opening)?;
    let openings = openings.into_iter().filter_map(|located| {
        let id = doc_id_text(located.id);
        match located.record {
            Record::Opening(opening) => Some((id, located.author, *opening)),
            _ => None,
        }
    });
    Ok(openings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(since: Option<&str>, until: Option<&str>) -> Asked {
        Asked {
            since: since.map(str::to_owned),
            until: until.map(str::to_owned),
            opened: false,
        }
    }

    fn period(asked: &Asked, days: &[&str]) -> [String; 2] {
        let period = asked.period(days.iter().copied()).unwrap();
        [period.first().to_owned(), period.last().to_owned()]
    }

    #[test]
    fn the_days_are_those_asked_for_or_those_there_are() {
        let days = ["2026-07-03T10:00", "2026-07-01", "2026-08-09"];
        let all = asked(None, None);
        assert_eq!(period(&all, &days), ["2026-07-01", "2026-08-09"]);
        let since = asked(Some("2026-07-02"), None);
        assert_eq!(period(&since, &days), ["2026-07-02", "2026-08-09"]);
        // Days without records are days as well.
        let both = asked(Some("2026-06-01"), Some("2026-07-31"));
        assert_eq!(period(&both, &days), ["2026-06-01", "2026-07-31"]);
        let early = asked(None, Some("2026-01-31"));
        assert_eq!(period(&early, &days), ["2026-01-31", "2026-01-31"]);
        let today = dates::today();
        assert_eq!(period(&all, &[]), [today.clone(), today]);
    }

    #[test]
    fn no_name_is_there_twice() {
        let mine = mine::ALL.iter().map(|(name, _)| *name);
        let ours = ours::all();
        let mut names: Vec<_> = mine.chain(ours.iter().map(|(name, _)| *name)).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!((all, names.len()), (12, 12));
        assert!(!names.contains(&"ours"));
    }
}
