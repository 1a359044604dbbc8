//! Markdown: a folder or a zip of files, one for each entry, with pictures beside them.

use super::dayone::heading;
use super::front::{self, Front};
use super::pictures::pictures;
use super::reading::{Draft, Places, Reading};
use super::{Member, Members, Unfit};
use crate::date;

/// Largest file of one entry that is looked at, in bytes.
const FILE_BYTES_MAX: u64 = 8 << 20;

pub(super) fn is_markdown(member: &Member) -> bool {
    member.ends_with(".md") || member.ends_with(".markdown")
}

pub(super) fn read(members: &mut dyn Members, into: &mut Reading) {
    let places = Places::of(members);
    let single = members.is_single();
    let mut order: Vec<usize> = (0..members.list().len()).collect();
    let name = |place: &usize| {
        let member = members.list().get(*place);
        member.map(|member| member.name.clone()).unwrap_or_default()
    };
    // Folders give their files in any order.
    order.sort_by_cached_key(name);
    let mut found = false;
    for place in order {
        let Some(member) = members.list().get(place) else {
            continue;
        };
        if !is_markdown(member) && !single {
            continue;
        }
        found = true;
        let name = member.name.clone();
        let label = crate::text::displayable_line(&name);
        let bytes = match members.read(place, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(unfit) => {
                into.skip(label, unfit);
                continue;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => file(&text, &name, label, &places, into),
            Err(_) => into.skip(label, Unfit::NotText),
        }
    }
    if !found {
        into.skip("the whole folder", "there is no Markdown file in it");
    }
}

fn file(text: &str, name: &str, label: String, places: &Places, into: &mut Reading) {
    let (front, text) = front::part(text);
    let (date, named) = match dated(&front, name) {
        Ok(dated) => dated,
        Err(why) => {
            into.skip(label, why);
            return;
        }
    };
    let (head, rest) = match &front.title {
        Some(title) => (Some(title.clone()), text),
        None => {
            let (head, rest) = heading(text);
            match head {
                Some(head) => (Some(head.to_owned()), rest),
                None => (named, text),
            }
        }
    };
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (text, media) = pictures(rest, folder, places, &label, into);
    into.take(Draft {
        label,
        title: head,
        date,
        text,
        tags: front.tags,
        media,
        // Two files of one name in two folders are two entries, so only an id of its own counts.
        source_id: front.id,
        ..Draft::default()
    });
}

/// The date, and what the name of the file says behind it.
fn dated(front: &Front, name: &str) -> Result<(String, Option<String>), &'static str> {
    let from_name = from_name(name);
    let Some(written) = &front.date else {
        return from_name.ok_or(
            "it has no date; write `date: 2026-07-01` between two lines of `---` at its top, or put the day in front of its name",
        );
    };
    let date =
        local_time(written).ok_or("its date is not written as 2026-07-01 or 2026-07-01 21:30")?;
    Ok((date, from_name.and_then(|(_, rest)| rest)))
}

/// A day, with the time as it is written there: where it was written is where it was.
fn local_time(written: &str) -> Option<String> {
    let written = written.trim();
    let whole = written.replacen(' ', "T", 1);
    for length in [16, 10] {
        if let Some(front) = whole.get(..length)
            && date::check(front).is_ok()
        {
            let rest = whole.get(length..).unwrap_or_default();
            let ends = |c: char| ":.,+-Z T".contains(c) || c.is_ascii_digit();
            return rest.chars().all(ends).then(|| front.to_owned());
        }
    }
    None
}

/// The day at the beginning of the file's name, or of the folder it is in; and the words behind it.
fn from_name(name: &str) -> Option<(String, Option<String>)> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let parts = std::iter::once(stem).chain(name.rsplit('/').skip(1).take(1));
    for part in parts {
        let Some(day) = part.get(..10).filter(|day| date::check(day).is_ok()) else {
            continue;
        };
        let rest = part.get(10..).unwrap_or_default();
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let rest = rest.trim_matches([' ', '-', '_', '.', '–']);
        // An id is no title.
        let id = rest.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let title = Some(rest.to_owned()).filter(|_| !id);
        return Some((day.to_owned(), title));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_comes_from_the_name_of_the_file_or_of_its_folder() {
        let day = |name: &str| from_name(name);
        let some =
            |day: &str, title: Option<&str>| Some((day.to_owned(), title.map(str::to_owned)));
        assert_eq!(day("2026-07-01.md"), some("2026-07-01", None));
        assert_eq!(
            day("a/2026-07-01 Rain at sea.md"),
            some("2026-07-01", Some("Rain at sea"))
        );
        let folder = "2026-07-01-4F3A99C0/index.markdown";
        assert_eq!(day(folder), some("2026-07-01", None));
        for none in [
            "notes.md",
            "2026-02-30.md",
            "2026-07-011.md",
            "20260701.md",
            "é.md",
        ] {
            assert_eq!(day(none), None, "{none}");
        }
    }

    #[test]
    fn a_date_is_taken_as_it_is_written() {
        for (written, date) in [
            ("2026-07-01", "2026-07-01"),
            ("2026-07-01 21:30", "2026-07-01T21:30"),
            ("2026-07-01T21:30:15.250+02:00", "2026-07-01T21:30"),
            ("2026-07-01T21:30:15Z", "2026-07-01T21:30"),
        ] {
            assert_eq!(local_time(written).as_deref(), Some(date), "{written}");
        }
        for wrong in ["", "July 1", "2026-02-30", "2026-07-01 soon", "01.07.2026"] {
            assert_eq!(local_time(wrong), None, "{wrong}");
        }
    }
}
