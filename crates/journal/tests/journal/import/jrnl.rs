//! JSON and text of jrnl.

use ajar_journal::import::{Format, OneFile, Refused, Unfit, read, recognise};

use super::{from_file, left_out, local, only, texts};

#[test]
fn the_json_of_jrnl_gives_title_text_day_time_tags_and_star() {
    let json = r#"{"tags":{"@sea":1},"entries":[
        {"title":"Rain.","body":"All day, @sea.\r\nAll night.","date":"2024-07-01","time":"21:30","tags":["@sea"],"starred":true},
        {"title":"No time","body":"","date":"2024-07-02"},
        {"title":"x","body":"","date":"02.07.2024","time":"10:00"},
        {"title":"y","body":"","date":"2024-07-02","time":"25:00"},
        7]}"#;
    let read = from_file("journal.json", json.as_bytes(), Format::Jrnl);
    let first = &read.entries[0];
    assert_eq!(first.title.as_deref(), Some("Rain."));
    assert_eq!(first.text, "All day, @sea.\nAll night.");
    assert_eq!(first.date, "2024-07-01T21:30");
    assert_eq!(first.tags, ["sea", "starred"]);
    assert_eq!(read.entries[1].date, "2024-07-02");
    assert_eq!(read.entries.len(), 2);
    assert_eq!(read.skipped.len(), 3, "{}", left_out(&read));
}

#[test]
fn the_text_of_jrnl_is_read_with_brackets() {
    let text = "\u{feff}[2024-07-01 21:30] Rain. All day @sea.\r\n\r\nAnd 2024-07-05 10:00 was no entry.\r\n[1] A footnote.\r\n\r\n[2024-07-02 09:00:15 PM] A star *\n[02/07/2024 10:00] Elsewhere\nlost\n[2024-07-03 10:00] Last\n";
    let read = from_file("journal.txt", text.as_bytes(), Format::Jrnl);
    let titles: Vec<_> = read.entries.iter().map(|e| e.title.as_deref()).collect();
    assert_eq!(titles, [Some("Rain."), Some("A star"), Some("Last")]);
    assert_eq!(
        read.entries[0].text,
        "All day @sea.\n\nAnd 2024-07-05 10:00 was no entry.\n[1] A footnote."
    );
    assert_eq!(read.entries[0].tags, ["sea"]);
    assert_eq!(read.entries[1].date, "2024-07-02T21:00");
    assert_eq!(read.entries[1].tags, ["starred"]);
    assert!(
        left_out(&read).starts_with("entry 3, at line 7: its date"),
        "{}",
        left_out(&read)
    );
    assert!(!left_out(&read).contains("Elsewhere"));
}

#[test]
fn the_text_of_jrnl_is_read_without_brackets() {
    let text = "2024-07-01 21:30 Rain\n2024-07-02 was a day.\n\n2024-07-03 08:00 Sun! At last.\n";
    let read = from_file("journal", text.as_bytes(), Format::Jrnl);
    assert_eq!(texts(&read), ["2024-07-02 was a day.", "At last."]);
    assert_eq!(read.entries[1].title.as_deref(), Some("Sun!"));
}

#[test]
fn the_same_words_of_the_same_minute_come_once_and_other_words_come_too() {
    let text = "[2024-07-01 21:30] Rain\n[2024-07-01 21:30] Rain\n[2024-07-01 21:30] Sun\n";
    let read = from_file("journal.txt", text.as_bytes(), Format::Jrnl);
    assert_eq!(read.entries.len(), 2);
    assert_eq!(
        left_out(&read),
        "entry 2 (2024-07-01): it is in there twice"
    );
    assert_ne!(read.entries[0].source_id, read.entries[1].source_id);
}

#[test]
fn a_first_line_too_long_for_a_title_stands_in_the_text() {
    let text = format!("[2024-07-01 21:30] {} end. More", "é".repeat(2000));
    let read = from_file("journal.txt", text.as_bytes(), Format::Jrnl);
    let entry = only(&read);
    assert_eq!(entry.title, None);
    assert!(entry.text.ends_with(" end.\n\nMore"));
    assert_eq!(read.warnings.len(), 1);
}

#[test]
fn text_that_is_not_utf_8_is_refused_as_a_whole_with_what_to_do() {
    let bytes = b"[2024-07-01 21:30] Gr\xfc\xdfe\n".to_vec();
    let mut file = OneFile::new("journal.txt", bytes);
    assert_eq!(recognise(&mut file), Ok(Format::Jrnl));
    let refused = read(&mut file, Format::Jrnl, &local).unwrap_err();
    assert_eq!(refused, Refused::Unfit(Unfit::NotText));
    assert!(refused.to_string().contains("iconv"));
}

#[test]
fn what_nobody_knows_is_not_guessed() {
    for bytes in [
        &b""[..],
        b"Dear diary,\n",
        b"\xff\xfe\0\0",
        b"{}",
        b"[]",
        b"{\"entries\":[]}",
        b"1",
        b"PK",
    ] {
        let mut file = OneFile::new("diary", bytes.to_vec());
        assert_eq!(recognise(&mut file), Err(Refused::Unclear), "{bytes:?}");
    }
}
