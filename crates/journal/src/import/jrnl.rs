//! jrnl: its JSON, and the text file it keeps.

use serde_json::Value;

use super::reading::{Draft, Reading};
use super::{Members, Refused, TEXT_FILE_BYTES_MAX, Unfit, json};
use crate::date;

/// Longest beginning of a line that is looked at for a date, in bytes.
const HEAD_BYTES_MAX: usize = 48;

pub(super) fn read(members: &mut dyn Members, into: &mut Reading) -> Result<(), Refused> {
    for place in 0..members.list().len() {
        let name = members
            .list()
            .get(place)
            .map(|member| crate::text::displayable_line(&member.name))
            .unwrap_or_default();
        let bytes = match members.read(place, TEXT_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(unfit) if members.is_single() => return Err(unfit.into()),
            Err(unfit) => {
                into.skip(name, unfit);
                continue;
            }
        };
        if json::entries(&bytes).found {
            from_json(&bytes, into);
        } else if let Ok(text) = std::str::from_utf8(&bytes) {
            from_text(text, into);
        } else if members.is_single() {
            return Err(Unfit::NotText.into());
        } else {
            into.skip(name, Unfit::NotText);
        }
    }
    Ok(())
}

/// Whether a file begins as a journal of jrnl does.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let front = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let front = String::from_utf8_lossy(front);
    let lines = front.trim_start_matches('\u{feff}').lines();
    let first = lines.map(str::trim_end).find(|line| !line.is_empty());
    first.is_some_and(|line| !matches!(head(line, line.starts_with('[')), Head::None))
}

fn from_json(bytes: &[u8], into: &mut Reading) {
    let elements = json::entries(bytes);
    for (number, span) in (1..).zip(elements.spans) {
        let label = format!("entry {number}");
        let value = bytes.get(span).and_then(json::value);
        let Some((value, damaged)) = value.filter(|(value, _)| value.is_object()) else {
            into.skip(label, "it is damaged");
            continue;
        };
        if damaged {
            into.count("entries had characters that are no text; they stand as \u{fffd}");
        }
        json_entry(&value, label, into);
    }
    if !elements.whole {
        into.skip(
            "the end of the file",
            "it is cut short, or has too many entries; export it again",
        );
    }
}

fn json_entry(value: &Value, label: String, into: &mut Reading) {
    let day = json::text(value, "date").unwrap_or_default();
    let time = json::text(value, "time").unwrap_or_default();
    let written = match time.trim() {
        "" => day.trim().to_owned(),
        time => format!("{} {time}", day.trim()),
    };
    let Some(date) = day_and_time(&written) else {
        into.skip(label, "its date is not written as 2026-07-01 21:30");
        return;
    };
    let mut tags = json::texts(value, "tags");
    if json::is_set(value, "starred") {
        tags.push("starred".to_owned());
    }
    into.take(Draft {
        label: format!("{label} ({})", date::day(&date)),
        title: json::text(value, "title"),
        text: json::text(value, "body").unwrap_or_default(),
        date,
        tags,
        ..Draft::default()
    });
}

/// What the beginning of a line is.
#[derive(Debug, PartialEq, Eq)]
enum Head<'a> {
    /// The date of an entry, and the rest of the line.
    Date(String, &'a str),
    /// What looks like a date and is none that can be told without guessing.
    Unclear,
    /// Part of a text.
    None,
}

/// Where a text file is between two dates.
enum Place<'a> {
    /// Nothing was there yet.
    Begin,
    /// In what is left out.
    Skipping,
    /// In an entry.
    Entry(String, Vec<&'a str>),
}

fn from_text(text: &str, into: &mut Reading) {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().find(|line| !line.trim().is_empty());
    let brackets = first.is_some_and(|line| line.starts_with('['));
    let (mut number, mut place) = (0, Place::Begin);
    for (line_number, line) in (1..).zip(text.lines()) {
        match (head(line, brackets), &mut place) {
            (Head::Date(date, rest), _) => {
                let before = std::mem::replace(&mut place, Place::Entry(date, vec![rest]));
                close(before, number, into);
                number += 1;
            }
            (Head::Unclear, _) => {
                close(std::mem::replace(&mut place, Place::Skipping), number, into);
                number += 1;
                into.skip(
                    format!("entry {number}, at line {line_number}"),
                    "its date is not written as 2026-07-01 21:30; set `timeformat: '%Y-%m-%d %H:%M'` in jrnl and export again",
                );
            }
            (Head::None, Place::Entry(_, lines)) => lines.push(line),
            (Head::None, Place::Begin) if !line.trim().is_empty() => {
                into.skip(
                    format!("line {line_number} and what follows it"),
                    "it stands before the first date",
                );
                place = Place::Skipping;
            }
            (Head::None, _) => {}
        }
    }
    close(place, number, into);
}

fn close(place: Place<'_>, number: usize, into: &mut Reading) {
    if let Place::Entry(date, lines) = place {
        text_entry(date, &lines, number, into);
    }
}

fn text_entry(date: String, lines: &[&str], number: usize, into: &mut Reading) {
    let first = lines.first().map_or("", |line| line.trim());
    let star = |line: &str| line == "*" || line.ends_with(" *") || line.starts_with("* ");
    let starred = star(first);
    let first = match starred {
        true => first.trim_matches('*').trim(),
        false => first,
    };
    let (title, rest) = sentence(first);
    let mut text: Vec<&str> = Vec::new();
    text.extend(Some(rest).filter(|rest| !rest.is_empty()));
    text.extend(lines.iter().skip(1));
    let text = text.join("\n");
    let mut tags = tags_in(first);
    tags.extend(tags_in(&text));
    if starred {
        tags.push("starred".to_owned());
    }
    into.take(Draft {
        label: format!("entry {number} ({})", date::day(&date)),
        title: Some(title.to_owned()),
        date,
        text,
        tags,
        ..Draft::default()
    });
}

/// jrnl takes the first sentence as the title.
fn sentence(line: &str) -> (&str, &str) {
    let mut chars = line.char_indices().peekable();
    while let Some((_, c)) = chars.next() {
        if matches!(c, '.' | '!' | '?' | '…')
            && let Some((next, ' ')) = chars.peek()
            && let Some((title, rest)) = line.split_at_checked(*next)
        {
            return (title, rest.trim_start());
        }
    }
    (line, "")
}

/// Words with an `@` before them, as jrnl finds tags. They stay in the text.
fn tags_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"'));
    let tags = words.filter_map(|word| word.strip_prefix('@'));
    let letters = |tag: &str| {
        let end = tag.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/')));
        tag.get(..end.unwrap_or(tag.len())).map(str::to_lowercase)
    };
    tags.filter_map(letters)
        .filter(|tag| !tag.is_empty())
        .collect()
}

fn head(line: &str, brackets: bool) -> Head<'_> {
    if brackets {
        let Some((inner, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']'))
        else {
            return Head::None;
        };
        if inner.len() > HEAD_BYTES_MAX {
            return Head::None;
        }
        return match day_and_time(inner) {
            Some(date) => Head::Date(date, rest.trim_start()),
            None if looks_like_a_date(inner) => Head::Unclear,
            None => Head::None,
        };
    }
    // Without brackets only a date and a time together begin an entry: texts have dates too.
    let mut ends: Vec<usize> = line
        .char_indices()
        .take(HEAD_BYTES_MAX)
        .filter(|(_, c)| *c == ' ')
        .map(|(at, _)| at)
        .take(3)
        .collect();
    if line.len() <= HEAD_BYTES_MAX {
        ends.push(line.len());
    }
    for end in ends.into_iter().rev() {
        let Some((front, rest)) = line.split_at_checked(end) else {
            continue;
        };
        if let Some(date) = day_and_time(front).filter(|date| date.contains('T')) {
            return Head::Date(date, rest.trim_start());
        }
    }
    Head::None
}

/// A text of nothing but what dates are made of.
fn looks_like_a_date(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let others = |c: char| " ./-:,TZ+AMPamp".contains(c) || c.is_ascii_digit();
    (4..=20).contains(&digits) && text.chars().all(others)
}

/// `2026-07-01`, `2026-07-01 21:30`, with seconds, or with AM or PM.
fn day_and_time(text: &str) -> Option<String> {
    let mut parts = text.split_whitespace();
    let day = parts.next()?;
    let Some(time) = parts.next() else {
        let plain = day.len() == 10;
        return (plain && date::check(day).is_ok()).then(|| day.to_owned());
    };
    let half = parts.next().map(str::to_ascii_uppercase);
    if parts.next().is_some() {
        return None;
    }
    let mut clock = time.split(':');
    let mut number = || {
        let part = clock.next()?;
        let plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u32>().ok()).flatten()
    };
    let (hour, minute) = (number()?, number()?);
    let seconds = time.matches(':').count() == 2;
    if seconds {
        number().filter(|second| *second < 60)?;
    } else if time.matches(':').count() != 1 {
        return None;
    }
    let hour = match (half.as_deref(), hour) {
        (None, hour) => hour,
        (Some("AM"), 12) => 0,
        (Some("AM"), hour @ 1..=11) => hour,
        (Some("PM"), 12) => 12,
        (Some("PM"), hour @ 1..=11) => hour + 12,
        _ => return None,
    };
    let date = format!("{day}T{hour:02}:{minute:02}");
    date::check(&date).ok()?;
    Some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_where_they_can_be_read_in_one_way_only() {
        for (text, date) in [
            ("2026-07-01", "2026-07-01"),
            ("2026-07-01 21:30", "2026-07-01T21:30"),
            ("2026-07-01 09:05:59", "2026-07-01T09:05"),
            ("2026-07-01 09:30:00 PM", "2026-07-01T21:30"),
            ("2026-07-01 12:15 am", "2026-07-01T00:15"),
        ] {
            assert_eq!(day_and_time(text).as_deref(), Some(date), "{text}");
        }
        for wrong in [
            "",
            "01.07.2026 21:30",
            "07/01/26",
            "2026-02-30 10:00",
            "2026-07-01 25:00",
            "2026-07-01 13:00 PM",
            "2026-07-01 10:00:00:00",
            "2026-07-01 10",
            "2026-7-1 10:00",
        ] {
            assert_eq!(day_and_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_in_another_order_is_seen_and_not_guessed() {
        assert_eq!(head("[01.07.2026 21:30] Rain", true), Head::Unclear);
        assert_eq!(head("[2026-02-30 21:30] Rain", true), Head::Unclear);
        assert_eq!(head("[see below] Rain", true), Head::None);
        assert_eq!(head("[1] a footnote", true), Head::None);
        assert_eq!(head("2026-07-01 was a day", false), Head::None);
        assert_eq!(
            head("2026-07-01 21:30 Rain. All day", false),
            Head::Date("2026-07-01T21:30".to_owned(), "Rain. All day")
        );
        assert_eq!(
            head("2026-07-01 09:30 PM", false),
            Head::Date("2026-07-01T21:30".to_owned(), "")
        );
    }

    #[test]
    fn the_first_sentence_is_the_title() {
        assert_eq!(sentence("Rain. All day."), ("Rain.", "All day."));
        assert_eq!(sentence("Rain all day"), ("Rain all day", ""));
        assert_eq!(
            sentence("Version 1.2 is out! Go"),
            ("Version 1.2 is out!", "Go")
        );
        assert_eq!(
            tags_in("a @sea, @Salt-Air (@x) me@home"),
            ["sea", "salt-air", "x"]
        );
    }
}
