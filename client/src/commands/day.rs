//! `ajar day`: one day, side by side: what this person holds of it, and what the partner opened.

use ajar_journal::date;
use ajar_journal::query::{Filter, Item};
use ajar_journal::text::displayable_line;
use ajar_sync::SpaceKind;
use serde_json::{Value, json};

use crate::cli::Day;
use crate::context::{Context, Need};
use crate::lines::{self, Wanted};
use crate::names::{Author, Names, space_name};
use crate::records::Located;
use crate::report::Failure;
use crate::{dates, ids};

/// Characters in one column.
const COLUMN: usize = 36;

pub(crate) fn run(context: &Context, args: &Day) -> Result<(), Failure> {
    let out = context.out;
    let day = date::day(&dates::typed(&args.date)?).to_owned();
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let locked = !home.is_private_unlocked();
    let wanted = Wanted {
        me: false,
        us: args.us,
        filter: Filter {
            since: Some(day.clone()),
            until: Some(day.clone()),
            ..Filter::default()
        },
        author: None,
        words: Vec::new(),
    };
    let (mut mine, mut theirs): (Vec<Located>, Vec<Located>) = (Vec::new(), Vec::new());
    for space in lines::spaces(&home, &wanted)? {
        for (listed, _) in lines::select(&space, &wanted)? {
            if let Some(located) = listed.located()? {
                match located.author {
                    Author::Partner => theirs.push(located),
                    Author::Me | Author::Both => mine.push(located),
                }
            }
        }
    }
    home.close()?;
    // As the day went.
    for side in [&mut mine, &mut theirs] {
        side.sort_by(|one, other| {
            let key = |located: &Located| (located.record.date().to_owned(), located.id);
            key(one).cmp(&key(other))
        });
    }
    if out.json {
        let values = |side: &[Located]| -> Vec<Value> {
            side.iter().map(|one| one.to_json(&names)).collect()
        };
        out.json(&json!({"date": day, "mine": values(&mine), "theirs": values(&theirs)}))?;
    } else if mine.is_empty() && theirs.is_empty() {
        out.talk("Nothing stands here for this day.");
    } else {
        out.plain(&day)?;
        out.plain(&side_by_side(
            &column(names.own(), &mine),
            &column(names.partner(), &theirs),
        ))?;
    }
    if locked && !args.us {
        out.talk("Only me is locked and not in it; set AJAR_PRIVATE_PASSPHRASE to see it.");
    }
    Ok(())
}

/// The lines of one side.
fn column(name: &str, side: &[Located]) -> Vec<String> {
    let mut lines = vec![name.to_owned(), "-".repeat(COLUMN)];
    for (place, located) in side.iter().enumerate() {
        if place > 0 {
            lines.push(String::new());
        }
        let item = located.record.item(located.id);
        let time = located.record.date().split_once('T');
        let time = time.map(|(_, time)| format!("{time} ")).unwrap_or_default();
        let place = match located.space {
            SpaceKind::Private => format!(" · {}", space_name(SpaceKind::Private)),
            SpaceKind::Shared => String::new(),
        };
        lines.push(format!("{time}{}{place}", ids::short(located.id)));
        lines.extend(wrapped(&heading(located, &item)));
    }
    lines
}

fn heading(located: &Located, item: &Item) -> String {
    match located.record.title() {
        Some(title) => displayable_line(title),
        None => lines::heading(item),
    }
}

/// A line in pieces that fit into a column, broken between words where there are any.
fn wrapped(text: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let pieces: Vec<char> = word.chars().collect();
        for piece in pieces.chunks(COLUMN) {
            let length = line.chars().count();
            if length > 0 && length + 1 + piece.len() > COLUMN {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(piece);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn side_by_side(left: &[String], right: &[String]) -> String {
    let longest = left.len().max(right.len());
    let rows = (0..longest).map(|row| {
        let cell = |side: &[String]| side.get(row).cloned().unwrap_or_default();
        let line = format!("{:<COLUMN$}   {}", cell(left), cell(right));
        line.trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_stay_beside_each_other() {
        let text = "word ".repeat(20);
        let left = wrapped(&text);
        assert!(left.len() > 2 && left.iter().all(|line| line.chars().count() <= COLUMN));
        let both = side_by_side(&left, &["right".to_owned()]);
        let first = both.lines().next().unwrap();
        assert_eq!(first.find("right"), Some(COLUMN + 3));
        let long = "é".repeat(COLUMN * 2);
        assert_eq!(wrapped(&long).len(), 2);
    }
}
