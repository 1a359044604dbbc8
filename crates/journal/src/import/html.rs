//! The words of a page of HTML. Nothing of it is ever shown as HTML; what is no word is left out.

/// Elements that begin a new line.
const BLOCKS: [&str; 20] = [
    "address",
    "article",
    "blockquote",
    "br",
    "div",
    "dd",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "li",
    "ol",
    "pre",
    "section",
    "tr",
    "ul",
];
/// Elements whose content is for machines.
const SILENT: [&str; 4] = ["head", "script", "style", "title"];
/// Longest name of a character, in bytes.
const ENTITY_BYTES_MAX: usize = 12;

/// Whether a text is HTML rather than words in which a `<` stands.
pub(super) fn is_html(text: &str) -> bool {
    let text = text.trim_start();
    let Some(rest) = text.strip_prefix('<') else {
        return false;
    };
    let name = name_of(rest);
    matches!(
        name.as_str(),
        "!doctype" | "html" | "body" | "p" | "span" | "b" | "i" | "em" | "strong"
    ) || BLOCKS.contains(&name.as_str())
}

/// The words, with line breaks where the page has them.
pub(super) fn words(html: &str) -> String {
    let mut out = Lines::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.text(before);
        let Some(after) = tag.get(1..) else { break };
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?');
        if !after.starts_with(begins) {
            out.text("<");
            rest = after;
            continue;
        }
        let name = name_of(after);
        rest = end_of_tag(after);
        if SILENT.contains(&name.as_str()) {
            rest = behind(rest, &name);
        } else if name == "p" || name == "/p" {
            out.paragraph();
        } else if name == "br" {
            out.line();
        } else if name == "li" {
            out.line_begin();
            out.text("- ");
        } else if BLOCKS.contains(&name.trim_start_matches('/')) {
            out.line_begin();
        }
    }
    out.text(rest);
    out.end()
}

/// Name of the element, in small letters, with a `/` at an end.
fn name_of(tag: &str) -> String {
    let stop = |(at, c): &(usize, char)| {
        let first = *at == 0 && matches!(c, '/' | '!');
        first || c.is_ascii_alphanumeric()
    };
    let name = tag.char_indices().take(16).take_while(stop);
    name.map(|(_, c)| c.to_ascii_lowercase()).collect()
}

/// What follows the `>` that ends a tag; one in quotes does not.
fn end_of_tag(tag: &str) -> &str {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return tag.get(at + 1..).unwrap_or_default(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end of an element.
fn behind<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some((_, after)) = rest.split_once("</") {
        let found = after
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name));
        if found {
            return end_of_tag(after);
        }
        rest = after;
    }
    ""
}

/// Lines in the making. Blanks and line breaks of the source are blanks.
#[derive(Default)]
struct Lines {
    out: String,
    blank: bool,
}

impl Lines {
    fn text(&mut self, html: &str) {
        for c in Characters(html) {
            match c {
                Character::Written(' ' | '\t' | '\n' | '\r') => self.blank = true,
                Character::Written(c) | Character::Named(c) => {
                    if self.blank && !self.out.is_empty() && !self.out.ends_with('\n') {
                        self.out.push(' ');
                    }
                    self.blank = false;
                    self.out.push(if c == '\u{a0}' { ' ' } else { c });
                }
            }
        }
    }

    fn line(&mut self) {
        self.blank = false;
        self.out.push('\n');
    }

    fn line_begin(&mut self) {
        self.blank = false;
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn paragraph(&mut self) {
        self.line_begin();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn end(self) -> String {
        self.out.trim_end().trim_start_matches('\n').to_owned()
    }
}

enum Character {
    Written(char),
    Named(char),
}

/// The characters of a text; `&amp;` and the like are one.
struct Characters<'a>(&'a str);

impl Iterator for Characters<'_> {
    type Item = Character;

    fn next(&mut self) -> Option<Character> {
        let first = self.0.chars().next()?;
        if first == '&'
            && let Some((named, rest)) = named(self.0)
        {
            self.0 = rest;
            return Some(Character::Named(named));
        }
        self.0 = self.0.get(first.len_utf8()..).unwrap_or_default();
        Some(Character::Written(first))
    }
}

fn named(text: &str) -> Option<(char, &str)> {
    let bytes = text.as_bytes();
    let end = bytes
        .iter()
        .take(ENTITY_BYTES_MAX)
        .position(|byte| *byte == b';')?;
    let (name, rest) = (text.get(1..end)?, text.get(end + 1..)?);
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "hellip" => '…',
        "ndash" => '–',
        "mdash" => '—',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "deg" => '°',
        "euro" => '€',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number).filter(|c| *c != '\0')?
        }
    };
    Some((c, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paragraphs_breaks_and_lists_become_lines() {
        let html = "<p dir=\"auto\">It   rained.</p>\n<p>All<br>day &amp; night.</p><ul><li>one</li><li>two</li></ul><div>end</div>";
        assert_eq!(
            words(html),
            "It rained.\n\nAll\nday & night.\n\n- one\n- two\nend"
        );
        assert_eq!(
            words("<h1>Sea</h1>Sand <b>and</b> <i>salt</i>"),
            "Sea\nSand and salt"
        );
        assert_eq!(words("<div>a</div><div><br></div><div>b</div>"), "a\n\nb");
    }

    #[test]
    fn what_is_for_machines_is_left_out() {
        let html = "<html><head><title>x</title></head><style>p{}</style><SCRIPT>if (a<b) alert('</p>')</SCRIPT>Sea<!-- <p>no</p> --><img alt='a>b' src=x>.";
        assert_eq!(words(html), "Sea.");
        assert_eq!(words("open <script>for ever"), "open");
        assert_eq!(words("cut <p short"), "cut");
    }

    #[test]
    fn named_characters_become_themselves_and_unknown_ones_stay() {
        assert_eq!(
            words("&lt;3 &#9731; &#x1F30A;&nbsp;&eacute; &unknown; &#xD800; & &"),
            "<3 ☃ 🌊 é &unknown; &#xD800; & &"
        );
        assert_eq!(words("2 < 3 and a<b>c"), "2 < 3 and ac");
    }

    #[test]
    fn words_in_which_a_sign_stands_are_no_page() {
        for page in [
            "<p>Sea",
            " <div dir=auto>",
            "<!DOCTYPE html>",
            "<html>",
            "<h1>a",
        ] {
            assert!(is_html(page), "{page}");
        }
        for text in ["", "Sea <p>", "<3 you", "< 5", "<Ben> hello"] {
            assert!(!is_html(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_page_gives_words_no_longer_than_itself(html in "[<>/a-z &;#0-9é\"'!-]{0,200}") {
            prop_assert!(words(&html).len() <= html.len() + 2);
        }
    }
}
