//! The journal as one page: no scripts, nothing from elsewhere, to be opened without a network,
//! and to be printed.

use super::archive::About;
use super::markdown::{is_safe_to_show, words};
use super::reading::{Book, Note, Reading, short};
use crate::date;
use crate::imported::{Author, Side};
use crate::text::{displayable, displayable_line};

const STYLE: &str = include_str!("page.css");

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

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A text that means nothing on a page but itself.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

fn line(text: &str) -> String {
    escaped(&displayable_line(text))
}

fn block(text: &str) -> String {
    escaped(&displayable(text))
}

/// Day, name of the month and the year of a checked date.
fn parts(date: &str) -> Option<(u32, &'static str, u32)> {
    let mut parts = date::day(date).split('-').map(str::parse::<u32>);
    let year = parts.next()?.ok()?;
    let month = usize::try_from(parts.next()?.ok()?).ok()?;
    let day = parts.next()?.ok()?;
    Some((day, MONTHS.get(month.checked_sub(1)?)?, year))
}

/// A day as people say it.
fn day_words(date: &str) -> String {
    match parts(date) {
        Some((day, month, year)) => format!("{day} {month} {year}"),
        None => line(date),
    }
}

/// The weekday of a date; `None` for what is no date.
fn weekday(date: &str) -> Option<&'static str> {
    let after_monday = (date::day_number(date)? - 1).rem_euclid(7);
    DAYS.get(usize::try_from(after_monday).ok()?).copied()
}

/// A day with its weekday, and the time if there is one.
fn when(date: &str) -> String {
    let weekday = weekday(date);
    let mut words = match weekday {
        Some(weekday) => format!("{weekday}, {}", day_words(date)),
        None => day_words(date),
    };
    if let Some((_, time)) = date.split_once('T') {
        words.push_str(&format!(", {}", line(time)));
    }
    words
}

pub(super) fn of(book: &Book<'_>, about: &About<'_>) -> String {
    let title = format!("The journal of {}", about.own_name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        line(&title)
    );
    page.push_str(&cover(book, about));
    page.push_str(&contents(book));
    page.push_str("<main>\n");
    let mut year = "";
    for reading in &book.readings {
        if reading.year() != year {
            let first = if year.is_empty() { " first" } else { "" };
            year = reading.year();
            let shown = line(year);
            page.push_str(&format!(
                "<h2 class=\"year{first}\" id=\"y{shown}\">{shown}</h2>\n"
            ));
        }
        page.push_str(&article(reading));
    }
    if !book.small.is_empty() {
        page.push_str("<h2 class=\"year\" id=\"small\">Small things</h2>\n<div class=\"notes\">\n");
        for small in &book.small {
            page.push_str(&note(small, true));
        }
        page.push_str("</div>\n");
    }
    page.push_str("</main>\n<footer>Written by Ajar, a private journal for two. ");
    page.push_str("Whoever has this page can read it.</footer>\n</body>\n</html>\n");
    page
}

fn cover(book: &Book<'_>, about: &About<'_>) -> String {
    let with = match about.partner {
        Some(partner) => format!("<p class=\"with\">with {}</p>\n", line(partner)),
        None => String::new(),
    };
    let count = match book.readings.len() {
        0 => "Nothing to read yet".to_owned(),
        1 => "One page".to_owned(),
        many => format!("{many} pages"),
    };
    let span = match (book.readings.first(), book.readings.last()) {
        (Some(first), Some(last)) if date::day(first.date) != date::day(last.date) => {
            format!(" · {} – {}", day_words(first.date), day_words(last.date))
        }
        (Some(only), _) => format!(" · {}", day_words(only.date)),
        _ => String::new(),
    };
    format!(
        "<header class=\"cover\">\n<h1>{}</h1>\n{with}<p class=\"span small\">{count}{span}</p>\n</header>\n",
        line(about.own_name)
    )
}

fn contents(book: &Book<'_>) -> String {
    let mut text = String::from("<nav aria-label=\"Contents\">\n");
    let mut year = "";
    for reading in &book.readings {
        if reading.year() != year {
            if !year.is_empty() {
                text.push_str("</ol>\n");
            }
            year = reading.year();
            let shown = line(year);
            text.push_str(&format!(
                "<h2><a href=\"#y{shown}\">{shown}</a></h2>\n<ol>\n"
            ));
        }
        let day = parts(reading.date).map_or_else(
            || line(reading.date),
            |(day, month, _)| format!("{day} {}", month.get(..3).unwrap_or(month)),
        );
        let whose = whose(reading)
            .map(|whose| format!("<i>{whose}</i>"))
            .unwrap_or_default();
        text.push_str(&format!(
            "<li><a href=\"#e{}\"><time>{day}</time><span dir=\"auto\">{}</span>{whose}</a></li>\n",
            line(&reading.document.id),
            escaped(&reading.heading()),
        ));
    }
    if !year.is_empty() {
        text.push_str("</ol>\n");
    }
    if !book.small.is_empty() {
        text.push_str("<h2><a href=\"#small\">Small things</a></h2>\n");
    }
    text.push_str("</nav>\n");
    text
}

/// Whose something is, where that is not oneself alone.
fn whose(reading: &Reading<'_>) -> Option<String> {
    let origin = &reading.document.origin;
    match (origin.space, origin.author) {
        (Side::Me, Author::Me) => None,
        (_, Author::Me) => Some("between us".to_owned()),
        _ => Some(line(origin.who())),
    }
}

fn article(reading: &Reading<'_>) -> String {
    let origin = &reading.document.origin;
    let shared = origin.space == Side::Us || !reading.opened.is_empty();
    let class = if shared { "us" } else { "me" };
    let id = line(&reading.document.id);
    let mut text = format!("<article id=\"e{id}\" class=\"{class}\">\n");
    let time = format!(
        "<time datetime=\"{}\">{}</time>",
        line(reading.date),
        when(reading.date)
    );
    match reading.title.filter(|title| !title.trim().is_empty()) {
        Some(title) => text.push_str(&format!(
            "<p class=\"when\">{time}</p>\n<h3 dir=\"auto\">{}</h3>\n",
            line(title)
        )),
        None => text.push_str(&format!("<h3 class=\"when\">{time}</h3>\n")),
    }
    for other in reading.title_others {
        text.push_str(&or(other));
    }
    text.push_str(&format!("<p class=\"by\">{}</p>\n", by(reading)));
    if let Some(closed) = &reading.closed {
        text.push_str(&format!("<p class=\"closed\">{}</p>\n", escaped(closed)));
    }
    text.push_str(&body(reading));
    text.push_str(&layers(reading));
    text.push_str(&media(reading));
    if !reading.tags.is_empty() {
        let tags: Vec<String> = reading
            .tags
            .iter()
            .map(|tag| format!("<span>{}</span>", line(tag)))
            .collect();
        text.push_str(&format!("<p class=\"tags\">{}</p>\n", tags.join("\n")));
    }
    if !reading.notes.is_empty() {
        text.push_str("<div class=\"notes\">\n");
        for one in &reading.notes {
            text.push_str(&note(one, false));
        }
        text.push_str("</div>\n");
    }
    text.push_str("</article>\n");
    text
}

/// Who wrote it and who can read it: in words, and by a sign that is not only a colour.
fn by(reading: &Reading<'_>) -> String {
    let origin = &reading.document.origin;
    let who = line(origin.who());
    let id = line(short(&reading.document.id));
    let mut text = match (origin.space, origin.author) {
        (Side::Me, Author::Me) if reading.opened.is_empty() => "● Only me".to_owned(),
        (Side::Me, Author::Me) => {
            let days: Vec<String> = reading.opened.iter().map(|day| day_words(day)).collect();
            format!("◐ Opened on {}", days.join(", "))
        }
        (Side::Me, _) => format!("● Only me, written by {who}"),
        (Side::Us, Author::Both) => "○ Between us".to_owned(),
        (Side::Us, _) => match reading.stage() {
            Some(stage) => format!("○ Opened by {who} ({stage})"),
            None => format!("○ Between us, by {who}"),
        },
    };
    text.push_str(&format!(" <span class=\"soft\">· {id}</span>"));
    text
}

fn or(other: &str) -> String {
    format!(
        "<p class=\"or\" dir=\"auto\">or, written at the same time: {}</p>\n",
        block(other)
    )
}

/// Lines that follow each other are one paragraph; a blank line begins the next.
fn body(reading: &Reading<'_>) -> String {
    let mut text = String::new();
    let mut lines: Vec<String> = Vec::new();
    let flush = |lines: &mut Vec<String>, text: &mut String| {
        if !lines.is_empty() {
            text.push_str(&format!("<p dir=\"auto\">{}</p>\n", lines.join("\n")));
            lines.clear();
        }
    };
    for paragraph in &reading.paragraphs {
        if paragraph.text.trim().is_empty() {
            flush(&mut lines, &mut text);
        } else {
            lines.push(block(&paragraph.text));
        }
        if !paragraph.others.is_empty() {
            flush(&mut lines, &mut text);
            for other in &paragraph.others {
                text.push_str(&or(other));
            }
        }
    }
    flush(&mut lines, &mut text);
    if text.is_empty() {
        return text;
    }
    format!("<div class=\"text\">\n{text}</div>\n")
}

/// The layers of a feeling, as a list of names and what they say.
fn layers(reading: &Reading<'_>) -> String {
    if reading.layers.is_empty() {
        return String::new();
    }
    let rows = reading.layers.iter().map(|(name, said)| {
        let said = block(said);
        format!("<dt>{name}</dt><dd dir=\"auto\">{said}</dd>\n")
    });
    format!("<dl class=\"layers\">\n{}</dl>\n", rows.collect::<String>())
}

fn media(reading: &Reading<'_>) -> String {
    let author = reading.document.origin.author;
    let (mut pictures, mut files) = (String::new(), String::new());
    for (number, (photo, file)) in (1..).zip(reading.photos()) {
        let words = escaped(&words(number, photo));
        match file.map(escaped) {
            Some(file) if is_safe_to_show(photo, author) => {
                let size = photo.size.map_or_else(String::new, |(width, height)| {
                    format!(" width=\"{width}\" height=\"{height}\"")
                });
                pictures.push_str(&format!(
                    "<figure><a href=\"{file}\"><img src=\"{file}\" alt=\"{words}\" loading=\"lazy\"{size}></a></figure>\n"
                ));
            }
            Some(file) => {
                files.push_str(&format!("<li><a href=\"{file}\">{words}</a></li>\n"));
            }
            None => files.push_str(&format!(
                "<li class=\"soft\">{words}, not in this archive</li>\n"
            )),
        }
    }
    let mut text = String::new();
    if !pictures.is_empty() {
        text.push_str(&format!("<div class=\"photos\">\n{pictures}</div>\n"));
    }
    if !files.is_empty() {
        text.push_str(&format!("<ul class=\"files\">\n{files}</ul>\n"));
    }
    text
}

fn note(note: &Note<'_>, dated: bool) -> String {
    let origin = &note.document.origin;
    let day = if dated {
        format!(" · {}", day_words(note.date))
    } else {
        String::new()
    };
    let only = if origin.space == Side::Me {
        " · only me"
    } else {
        ""
    };
    format!(
        "<div class=\"note\"><p class=\"who\"><b>{}</b> · {}{day}{only}</p><p dir=\"auto\">{}</p></div>\n",
        line(origin.who()),
        note.what,
        block(&note.text),
    )
}
