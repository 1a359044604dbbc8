//! The zip of Day One.

use ajar_journal::import::Format;
use serde_json::{Value, json};

use super::{from_file, from_zip, left_out, only, texts};

fn journal(entries: &[Value]) -> Vec<u8> {
    json!({"metadata": {"version": "1.0"}, "entries": entries})
        .to_string()
        .into_bytes()
}

fn entry(uuid: &str, text: &str) -> Value {
    json!({
        "uuid": uuid,
        "creationDate": "2024-07-01T22:30:00Z",
        "modifiedDate": "2024-07-02T08:00:00Z",
        "timeZone": "Europe/Berlin",
        "text": text,
        "richText": "{\"contents\":[{\"text\":\"never read\"}]}",
        "starred": false,
    })
}

#[test]
fn an_entry_has_its_own_day_and_time_its_heading_and_its_plain_words() {
    let mut full = entry("0A", "# By the sea\n\nIt rained \\(again\\)\\. 50 \\* 2");
    full["tags"] = json!(["sea", "sea", " #salt air "]);
    full["starred"] = json!(true);
    full["location"] = json!({"placeName": "Pier 7", "localityName": "Kiel", "country": "Germany", "latitude": 54.3});
    full["weather"] =
        json!({"temperatureCelsius": 17.6, "conditionsDescription": "Rain", "windBearing": 360});
    full["photos"] = json!([{"fnumber": "(null)", "md5": 7}]);
    let read = from_zip(&[("Journal.json", &journal(&[full]))], Format::DayOne);
    let entry = only(&read);
    // Half past ten in the evening in UTC is the next day in Berlin.
    assert_eq!(entry.date, "2024-07-02T00:30");
    assert_eq!(entry.title.as_deref(), Some("By the sea"));
    assert_eq!(entry.text, "It rained (again). 50 * 2");
    assert_eq!(entry.tags, ["sea", "salt air", "starred"]);
    assert_eq!(entry.source_id, "0A");
    assert_eq!(entry.label, "entry 1 (2024-07-02)");
    assert_eq!(entry.kept["place"], "Pier 7, Kiel, Germany");
    assert_eq!(entry.kept["weather"], "18 °C, Rain");
    assert!(left_out(&read).contains("photo or file 1 of entry 1"));
    assert!(!left_out(&read).contains("rained"));
}

#[test]
fn photos_stand_in_the_order_of_the_text_and_are_found_without_their_type() {
    let mut full = entry(
        "0A",
        "One\n\n![](dayone-moment://BB)\n\nTwo\n\n![](dayone-moment://AA)",
    );
    full["photos"] = json!([
        {"identifier": "AA", "md5": "aa11", "type": "jpeg", "orderInEntry": 0, "filename": "IMG_1.JPG"},
        {"identifier": "BB", "md5": "BB22"},
        {"identifier": "CC", "md5": "cc33", "type": "png"},
        {"identifier": "DD", "md5": "dd44", "type": "jpeg"},
    ]);
    full["pdfAttachments"] = json!([{"identifier": "EE", "md5": "ee55"}]);
    let files: &[(&str, &[u8])] = &[
        ("photos/aa11.jpeg", b"a"),
        ("photos/bb22.jpeg", b"b"),
        ("photos/cc33.jpeg", b"c"),
        ("pdfs/ee55.pdf", b"e"),
        ("photos/0000.jpeg", b"nobody's"),
    ];
    let journal = journal(&[full]);
    let mut all = files.to_vec();
    all.push(("Journal.json", &journal));
    let read = from_zip(&all, Format::DayOne);
    let entry = only(&read);
    assert_eq!(entry.text, "One\n\nTwo");
    let media: Vec<usize> = entry.media.iter().map(|media| media.member).collect();
    assert_eq!(media, [1, 0, 2, 3]);
    assert_eq!(entry.media[1].name.as_deref(), Some("IMG_1.JPG"));
    assert_eq!(
        left_out(&read),
        "photo or file 4 of entry 1 (2024-07-02): its file is not in the zip"
    );
}

#[test]
fn all_journals_of_the_zip_come_and_an_entry_of_two_devices_comes_once() {
    let one = journal(&[entry("0A", "Mine"), entry("0B", "Both")]);
    let two = journal(&[entry("0B", "Both"), entry("0C", "Work")]);
    let files: &[(&str, &[u8])] = &[
        ("Journal.json", &one),
        ("Work.json", &two),
        ("photos/settings.json", b"{}"),
    ];
    let read = from_zip(files, Format::DayOne);
    assert_eq!(texts(&read), ["Mine", "Both", "Work"]);
    assert_eq!(read.entries[2].tags, ["Work"]);
    assert_eq!(
        left_out(&read),
        "entry 1 of Work.json (2024-07-02): it is in there twice"
    );
}

#[test]
fn one_journal_alone_gives_no_tag_and_needs_no_zip() {
    let read = from_file(
        "Journal.json",
        &journal(&[entry("0A", "Mine")]),
        Format::DayOne,
    );
    assert!(only(&read).tags.is_empty());
}

#[test]
fn an_entry_that_does_not_hold_costs_nothing_but_itself() {
    let mut no_date = entry("02", "a");
    no_date["creationDate"] = json!("2024-02-30T10:00:00Z");
    let mut far = entry("03", "b");
    far["creationDate"] = json!("292277026596-01-01T00:00:00Z");
    let mut late = entry("04", "c");
    late["creationDate"] = json!("9999-12-31T23:59:00Z");
    let large = "x".repeat(800_001);
    let many = "\n".repeat(17_000) + "x\n.\n" + &"y\n".repeat(17_000);
    let entries = [
        entry("01", "first"),
        no_date,
        far,
        late,
        entry("05", &large),
        entry("06", &many),
        json!("words"),
        json!({"uuid": 7, "text": ["no"], "creationDate": {"a": 1}}),
        entry("09", "last"),
    ];
    let read = from_zip(&[("Journal.json", &journal(&entries))], Format::DayOne);
    assert_eq!(texts(&read), ["first", "last"]);
    assert_eq!(read.skipped.len(), 7, "{}", left_out(&read));
}

#[test]
fn a_time_zone_that_nobody_knows_is_said() {
    let mut lost = entry("01", "first");
    lost["timeZone"] = json!("Mars/Olympus");
    let mut none = entry("02", "second");
    none.as_object_mut().unwrap().remove("timeZone");
    let read = from_zip(&[("Journal.json", &journal(&[lost, none]))], Format::DayOne);
    assert_eq!(read.entries[0].date, "2024-07-01T22:30");
    assert!(
        read.warnings[0].starts_with("2 entries do not say where"),
        "{:?}",
        read.warnings
    );
}

#[test]
fn words_are_taken_from_rich_text_only_where_there_are_no_others() {
    let mut bare = entry("01", "");
    bare.as_object_mut().unwrap().remove("text");
    bare["richText"] = json!(r#"{"contents":[{"text":"It "},{"text":"rained.\n"}]}"#);
    let read = from_zip(
        &[("Journal.json", &journal(&[bare, entry("02", "")]))],
        Format::DayOne,
    );
    assert_eq!(texts(&read), ["It rained."]);
    assert_eq!(
        left_out(&read),
        "entry 2 (2024-07-02): there is nothing in it"
    );
}
