//! Folders and zips of Markdown.

use ajar_journal::import::Format;

use super::{from_file, from_zip, left_out, only};

#[test]
fn a_file_has_what_stands_at_its_top_and_the_pictures_beside_it() {
    let text = "---\r\ndate: 2024-07-01 21:30\r\ntags:\r\n  - sea\r\n---\r\n# Rain\r\n\r\nIt rained.\r\n\r\n![](img/a%20b.png)\r\n\r\n![The pier](../c.JPG) ![far](https://example.org/x.png) ![](../../etc/p.png) [link](a.md)\r\n";
    let files: &[(&str, &[u8])] = &[
        ("notes/2020-01-01.md", text.as_bytes()),
        ("notes/img/A B.png", b"a"),
        ("c.jpg", b"c"),
    ];
    let read = from_zip(files, Format::Markdown);
    let entry = only(&read);
    assert_eq!(entry.date, "2024-07-01T21:30");
    assert_eq!(entry.title.as_deref(), Some("Rain"));
    assert_eq!(entry.tags, ["sea"]);
    assert_eq!(
        entry.text,
        "It rained.\n\nThe pier ![far](https://example.org/x.png) ![](../../etc/p.png) [link](a.md)"
    );
    let media: Vec<usize> = entry.media.iter().map(|media| media.member).collect();
    assert_eq!(media, [1, 2]);
    assert_eq!(left_out(&read).lines().count(), 1, "{}", left_out(&read));
}

#[test]
fn the_day_may_stand_in_the_name_and_files_without_one_are_said() {
    let files: &[(&str, &[u8])] = &[
        ("2024-07-02 Sun at last.md", b"Warm."),
        (
            "2024-07-01-0f3a/index.markdown",
            b"Rain. ![[a.png]] ![[gone.png]]",
        ),
        ("attachments/a.png", b"a"),
        ("todo.md", b"Milk"),
        ("2024-07-03.md", b"Gr\xfc\xdfe"),
        ("2024-07-04.md", b"---\ndate: next week\n---\nx"),
        (".obsidian/app.json", b"{}"),
    ];
    let read = from_zip(files, Format::Markdown);
    assert_eq!(read.entries.len(), 2);
    assert_eq!(read.entries[0].text, "Rain.  ![[gone.png]]");
    assert_eq!(read.entries[0].media.len(), 1);
    assert_eq!(read.entries[1].title.as_deref(), Some("Sun at last"));
    let left_out = left_out(&read);
    for part in [
        "todo.md: it has no date",
        "2024-07-03.md: it is not UTF-8",
        "2024-07-04.md: its date is not written",
        "picture of 2024-07-01",
    ] {
        assert!(left_out.contains(part), "{left_out}");
    }
}

#[test]
fn one_file_alone_is_an_entry() {
    let read = from_file("2024-07-02.md", b"Warm.", Format::Markdown);
    assert_eq!(only(&read).date, "2024-07-02");
    assert!(only(&read).source_id.starts_with("sha256-"));
}
