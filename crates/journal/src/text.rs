//! Showing text somebody else may have written. Storage keeps every byte; only the display changes.

use unicode_normalization::char::is_combining_mark;

use crate::body::Paragraph;
use crate::error::Invalid;

/// Longest first line, in characters.
const FIRST_LINE_CHARS_MAX: usize = 60;

/// `text` safe to print on a terminal or put on a page: control characters (which could move the
/// cursor or hide a line), escape sequences and characters that reverse the reading direction
/// become visible signs. Line breaks and tabs stay; a Windows line break becomes a plain one.
#[must_use]
pub fn displayable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            _ => shown.push(sign(c)),
        }
    }
    shown
}

/// Like [`displayable`], for places of one line: line breaks and tabs become signs as well.
#[must_use]
pub fn displayable_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if matches!(c, '\u{2028}' | '\u{2029}') {
                '\u{FFFD}'
            } else {
                sign(c)
            }
        })
        .collect()
}

/// The first line that says something, for a record without a title: at most 60 characters, never
/// cut inside a character and its marks. Empty if there is nothing but blanks. Not yet displayable.
#[must_use]
pub fn first_line(paragraphs: &[Paragraph]) -> String {
    let lines = paragraphs.iter().map(|p| p.text.trim());
    shortened(lines)
}

/// As [`first_line`], of one text.
pub(crate) fn first_line_of(text: &str) -> String {
    shortened(text.lines().map(str::trim))
}

fn shortened<'a>(mut lines: impl Iterator<Item = &'a str>) -> String {
    let line = lines.find(|line| !line.is_empty()).unwrap_or("");
    if line.chars().nth(FIRST_LINE_CHARS_MAX).is_none() {
        return line.to_owned();
    }
    // One place is for the ellipsis. What is cut must not begin with a mark of what stays.
    let mut kept: Vec<char> = line.chars().take(FIRST_LINE_CHARS_MAX).collect();
    while let Some(c) = kept.pop() {
        let joined = kept.last() == Some(&'\u{200D}');
        if !(is_combining_mark(c) || is_joiner(c) || joined) {
            break;
        }
    }
    let kept: String = kept.into_iter().collect();
    format!("{}…", kept.trim_end())
}

/// Checks a text that is kept whole: something is in it, and no more than `max` bytes.
pub(crate) fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), Invalid> {
    let needs = if text.is_empty() {
        "it is empty"
    } else if text.len() > max {
        "it is too long; shorten it"
    } else {
        return Ok(());
    };
    Err(Invalid::Field { field, needs })
}

/// Whether `text` has no character that [`displayable_line`] would replace.
pub(crate) fn is_plain(text: &str) -> bool {
    displayable_line(text) == text
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200D}' | '\u{FE00}'..='\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}')
}

/// `c` itself, or the sign that stands for it.
fn sign(c: char) -> char {
    match c {
        // Unicode has a picture for each of these.
        '\u{00}'..='\u{1F}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{FFFD}'),
        '\u{7F}' => '\u{2421}',
        '\u{80}'..='\u{9F}' => '\u{FFFD}',
        // Embeddings, overrides and isolates; deprecated format characters; annotations.
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}' => '\u{FFFD}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> String {
        first_line(&[Paragraph {
            text: text.to_owned(),
            others: Vec::new(),
        }])
    }

    #[test]
    fn escape_sequences_cannot_paint_the_terminal() {
        assert_eq!(displayable("\u{1b}[2J\u{1b}]0;x\u{7}"), "␛[2J␛]0;x␇");
        assert_eq!(displayable("\u{9b}31m"), "\u{FFFD}31m");
        assert_eq!(displayable("kept\rGONE\u{8}\u{7f}"), "kept␍GONE␈␡");
    }

    #[test]
    fn reversed_reading_is_made_visible() {
        assert_eq!(
            displayable("a\u{202E}b\u{2066}c\u{2069}"),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}"
        );
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        let text = "Grüße\n\tשלום 👩‍👩‍👧 e\u{301} 日本";
        assert_eq!(displayable(text), text);
        assert_eq!(displayable("one\r\ntwo"), "one\ntwo");
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(displayable_line("a\nb\u{2028}c\td"), "a␊b\u{FFFD}c␉d");
    }

    #[test]
    fn the_first_line_skips_blank_ones_and_is_cut_between_characters() {
        let blank = |text: &str| Paragraph {
            text: text.to_owned(),
            others: Vec::new(),
        };
        assert_eq!(
            first_line(&[blank(""), blank("  \r"), blank(" Sea ")]),
            "Sea"
        );
        assert_eq!(first_line(&[]), "");
        assert_eq!(line(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(line(&"é".repeat(61)), format!("{}…", "é".repeat(59)));
        let accents = format!("{}e\u{301}{}", "x".repeat(58), "y".repeat(9));
        assert_eq!(line(&accents), format!("{}…", "x".repeat(58)));
    }

    proptest! {
        #[test]
        fn nothing_displayable_controls_a_terminal(text in any::<String>()) {
            for c in displayable(&text).chars() {
                prop_assert!(!c.is_control() || c == '\n' || c == '\t');
            }
            prop_assert!(!displayable_line(&text).chars().any(char::is_control));
            prop_assert!(line(&text).chars().count() <= 60);
        }
    }
}
