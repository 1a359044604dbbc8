//! What no plot and no name ever says.

use super::*;

/// `docs` promise that nobody is summed up, measured or compared. Neither pictures nor sentences nor
/// what this crate offers to others may speak of it.
#[test]
fn nothing_is_scored() {
    const NEVER: [&str; 12] = [
        "score",
        "streak",
        "rating",
        "rate",
        "percent",
        "%",
        "average",
        "rank",
        "response time",
        "reply time",
        "correlat",
        "compatib",
    ];
    let spoken = |text: &str| {
        let text = text.to_lowercase();
        let words: Vec<_> = text
            .split(|c: char| !c.is_alphanumeric() && c != '%')
            .collect();
        let text = words.join(" ");
        NEVER.into_iter().find(|never| match *never {
            // Part of innocent words such as "separate".
            "rate" | "rank" | "rating" => {
                words.contains(never) || words.contains(&&*format!("{never}s"))
            }
            _ => text.contains(never),
        })
    };
    for insight in everything(60) {
        let Insight::Plot(plot) = insight else {
            panic!("sixty are enough");
        };
        let mut texts = vec![plot.name, plot.title, &plot.summary, plot.how];
        texts.extend(plot.caption);
        texts.extend(plot.table.headers.iter());
        texts.extend(plot.table.rows.iter().flatten().map(String::as_str));
        for text in texts {
            assert_eq!(spoken(text), None, "{text}");
        }
        let read = roxmltree::Document::parse(&plot.svg).unwrap();
        let texts = read.descendants().filter_map(|node| node.text());
        for text in texts {
            assert_eq!(spoken(text), None, "{text}");
        }
    }
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let line = line.trim();
                let Some(item) = line.strip_prefix("pub ") else {
                    continue;
                };
                seen += 1;
                // Names in snake and in camel case fall apart into words.
                let mut name = String::new();
                for c in item.replace('_', " ").chars() {
                    if c.is_uppercase() {
                        name.push(' ');
                    }
                    name.push(c);
                }
                assert_eq!(spoken(&name), None, "{}: {line}", path.display());
            }
        }
    }
    assert!(seen > 200);
}
