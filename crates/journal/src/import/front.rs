//! The lines between `---` at the top of a Markdown file: of YAML as much as journals write there.

/// What stands at the top of a file.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) date: Option<String>,
    pub(super) title: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) id: Option<String>,
}

/// Most lines that are looked at.
const LINES_MAX: usize = 1000;

/// Parts a file into what stands at its top and its text.
pub(super) fn part(text: &str) -> (Front, &str) {
    let text = text.trim_start_matches('\u{feff}');
    let none = (Front::default(), text);
    let Some((first, mut rest)) = text.split_once('\n') else {
        return none;
    };
    if first.trim_end() != "---" {
        return none;
    }
    let mut lines = Vec::new();
    while lines.len() < LINES_MAX {
        let (line, after) = match rest.split_once('\n') {
            Some((line, after)) => (line, after),
            None if rest.is_empty() => return none,
            None => (rest, ""),
        };
        rest = after;
        if matches!(line.trim_end(), "---" | "...") {
            return (read(&lines), rest);
        }
        lines.push(line.trim_end());
    }
    none
}

fn read(lines: &[&str]) -> Front {
    let mut front = Front::default();
    let mut in_tags = false;
    for line in lines {
        // A list goes on in lines that begin with a dash.
        if let Some(item) = line.trim_start().strip_prefix("- ") {
            if in_tags {
                front.tags.push(unquoted(item));
            }
            continue;
        }
        in_tags = false;
        if line.starts_with([' ', '\t', '#']) {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "date" => front.date = some(value),
            "created" | "created_at" | "datetime" if front.date.is_none() => {
                front.date = some(value);
            }
            "title" => front.title = some(value),
            "id" | "uuid" => front.id = some(value),
            "tags" | "tag" | "keywords" => {
                in_tags = value.is_empty();
                front.tags.extend(several(value));
            }
            _ => {}
        }
    }
    front
}

fn some(value: &str) -> Option<String> {
    Some(unquoted(value)).filter(|value| !value.is_empty())
}

/// `[a, "b c"]`, or words with commas between them.
fn several(value: &str) -> Vec<String> {
    let inner = value
        .strip_prefix('[')
        .and_then(|value| value.strip_suffix(']'))
        .unwrap_or(value);
    let parts = inner.split(',').map(unquoted);
    parts.filter(|tag| !tag.is_empty()).collect()
}

/// A value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        let inner = value
            .strip_prefix(quote)
            .and_then(|value| value.strip_suffix(quote));
        if let Some(inner) = inner {
            return match quote {
                '"' => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
                _ => inner.replace("''", "'"),
            };
        }
    }
    let value = value.split(" #").next().unwrap_or(value);
    value.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_title_and_tags_are_read_as_people_write_them() {
        let text = "---\r\ntitle: \"By: the \\\"sea\\\"\" \r\ndate: 2026-07-01 # guessed\r\ntags: [sea, 'salt air']\r\nmood:\r\n  - no tag\r\n---\r\nIt rained.";
        let (front, rest) = part(text);
        assert_eq!(front.title.as_deref(), Some("By: the \"sea\""));
        assert_eq!(front.date.as_deref(), Some("2026-07-01"));
        assert_eq!(front.tags, ["sea", "salt air"]);
        assert_eq!(rest, "It rained.");
        let (front, _) = part("---\ntags:\n- sea\n  - sand\nTitle: x\n- y\n...\n");
        assert_eq!(front.tags, ["sea", "sand"]);
        let (front, _) = part("---\ntags: sea, sand\ncreated: 2026-01-01\n---");
        assert_eq!(front.tags, ["sea", "sand"]);
        assert_eq!(front.date.as_deref(), Some("2026-01-01"));
    }

    #[test]
    fn a_rule_at_the_top_that_nothing_ends_is_text() {
        for text in ["---\nIt rained.", "---", "", "--- \n", "It\n---\nrained"] {
            assert_eq!(part(text), (Front::default(), text), "{text:?}");
        }
        assert_eq!(part("---\n---").1, "");
    }
}
