//! What nobody exports in good faith.

use std::io::{Cursor, Write};

use ajar_journal::import::{
    Archive, FORMATS, Format, Members, OneFile, Refused, Unfit, read, recognise, safe_name,
};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{archive, from, from_file, from_zip, left_out, local, texts, zip};

const MIB: usize = 1 << 20;

fn day_one(entries: &str) -> String {
    format!("{{\"metadata\":{{\"version\":\"1.0\"}},\"entries\":[{entries}]}}")
}

fn entry(uuid: &str, text: &str) -> String {
    let date = "\"creationDate\":\"2024-07-01T10:00:00Z\",\"timeZone\":\"UTC\"";
    format!("{{\"uuid\":\"{uuid}\",{date},\"text\":\"{text}\"}}")
}

/// Changes two bytes at an offset in every header of members, local and central.
fn patched(mut zip: Vec<u8>, local_at: usize, central_at: usize, value: u16) -> Vec<u8> {
    let mut at = 0;
    while at + 4 <= zip.len() {
        let offset = match &zip[at..at + 4] {
            b"PK\x03\x04" => Some(local_at),
            b"PK\x01\x02" => Some(central_at),
            _ => None,
        };
        if let Some(offset) = offset {
            zip[at + offset..at + offset + 2].copy_from_slice(&value.to_le_bytes());
        }
        at += 1;
    }
    zip
}

#[test]
fn names_that_lead_out_absolute_names_and_links_are_refused_and_the_rest_goes_on() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    let journal = day_one(&entry("01", "Here"));
    for name in [
        "../../etc/cron.d/x",
        "/etc/passwd",
        "..\\..\\x",
        "C:\\x",
        "a/../../b",
    ] {
        writer.start_file(name, options).unwrap();
        writer.write_all(b"x").unwrap();
    }
    writer
        .add_symlink("photos/aa.jpeg", "/etc/passwd", options)
        .unwrap();
    writer.start_file("Journal.json", options).unwrap();
    writer.write_all(journal.as_bytes()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let mut archive = archive(bytes);
    assert_eq!(archive.list().len(), 1);
    let read = from(&mut archive, Format::DayOne);
    assert_eq!(texts(&read), ["Here"]);
    assert_eq!(read.skipped.len(), 6, "{}", left_out(&read));
    assert!(left_out(&read).contains("it is a link to another file"));
}

#[test]
fn a_name_within_the_folder_is_kept_and_no_other() {
    for (name, safe) in [
        ("a.md", "a.md"),
        ("./a//b.md", "a/b.md"),
        ("a\\b.md", "a/b.md"),
        ("…/..a/b..md", "…/..a/b..md"),
    ] {
        assert_eq!(safe_name(name).as_deref(), Ok(safe));
    }
    let long = "x".repeat(5000);
    for name in [
        "", "/", ".", "..", "a/..", "/a", "\\a", "c:a", "a\0b", "a\nb", &long,
    ] {
        assert!(safe_name(name).is_err(), "{name:?}");
    }
}

#[test]
fn a_bomb_is_refused_however_small_it_says_it_is() {
    let bomb = zip(&[("a.md", &vec![b' '; 64 * MIB]), ("2024-01-01.md", b"Rain.")]);
    assert!(bomb.len() < MIB);
    let read = from(&mut archive(bomb.clone()), Format::Markdown);
    assert_eq!(texts(&read), ["Rain."]);
    assert!(left_out(&read).contains("too large"), "{}", left_out(&read));
    // The same, and its headers say that it is one byte.
    let mut liar = bomb;
    let true_length = u32::try_from(64 * MIB).unwrap().to_le_bytes();
    for at in 0..liar.len() - 28 {
        let place = match &liar[at..at + 4] {
            b"PK\x03\x04" => at + 22,
            b"PK\x01\x02" => at + 24,
            _ => continue,
        };
        if liar[place..place + 4] == true_length {
            liar[place..place + 4].copy_from_slice(&1_u32.to_le_bytes());
        }
    }
    let mut archive = archive(liar);
    assert_eq!(archive.list()[0].size, 1);
    // Below what this file may be, and far above what its packed bytes can hold.
    let most = 60 * u64::try_from(MIB).unwrap();
    assert!(matches!(
        archive.read(0, most),
        Err(Unfit::Bomb | Unfit::Damaged)
    ));
    assert_eq!(archive.read(1, most).unwrap(), b"Rain.");
}

#[test]
fn a_json_that_unpacks_a_thousandfold_is_refused() {
    let json = day_one(&entry("01", &" ".repeat(100 * MIB)));
    let mut archive = archive(zip(&[("Journal.json", json.as_bytes())]));
    assert_eq!(archive.read(0, u64::MAX), Err(Unfit::Bomb));
    assert_eq!(recognise(&mut archive), Err(Refused::Unclear));
}

#[test]
fn many_names_for_the_same_packed_bytes_are_a_bomb_too() {
    // Each read is within its own limit; what they unpack together is not.
    let bytes = zip(&[("a.md", &vec![b'x'; 3 * MIB])]);
    let mut archive = archive(bytes);
    let read = (0..100).map(|_| archive.read(0, u64::MAX));
    let refused = read.filter(|read| *read == Err(Unfit::Bomb)).count();
    assert!((70..90).contains(&refused), "{refused}");
}

#[test]
fn of_two_files_of_one_name_the_last_counts_and_that_is_said() {
    let twice = zip(&[("2024-01-01.md", b"Rain."), ("2024-01-0x.md", b"Sun.")]);
    let mut bytes = twice;
    while let Some(at) = bytes.windows(10).position(|name| name == b"2024-01-0x") {
        bytes[at + 9] = b'1';
    }
    let read = from(&mut archive(bytes), Format::Markdown);
    assert_eq!(texts(&read), ["Sun."]);
    assert!(left_out(&read).contains("twice"), "{}", left_out(&read));
}

#[test]
fn a_zip_that_is_cut_short_or_is_none_is_refused() {
    let whole = zip(&[("Journal.json", day_one(&entry("01", "Here")).as_bytes())]);
    for length in [0, 4, 30, whole.len() / 2, whole.len() - 1] {
        let opened = Archive::open(Cursor::new(whole[..length].to_vec()));
        assert_eq!(opened.map(drop), Err(Refused::BadArchive), "{length}");
    }
}

#[test]
fn a_locked_member_and_an_unknown_packing_are_said() {
    let whole = zip(&[("2024-01-01.md", b"Rain."), ("2024-01-02.md", b"Sun.")]);
    let locked = from(
        &mut archive(patched(whole.clone(), 6, 8, 1)),
        Format::Markdown,
    );
    assert!(
        left_out(&locked).contains("password"),
        "{}",
        left_out(&locked)
    );
    let packed = from(
        &mut archive(patched(whole.clone(), 8, 10, 14)),
        Format::Markdown,
    );
    assert!(
        left_out(&packed).contains("packed in a way"),
        "{}",
        left_out(&packed)
    );
    // A wrong checksum costs nothing but the file.
    let mut damaged = whole;
    let at = damaged
        .windows(5)
        .position(|part| part == b"Rain.")
        .unwrap();
    damaged[at] = b'P';
    let read = from(&mut archive(damaged), Format::Markdown);
    assert_eq!(texts(&read), ["Sun."]);
    assert_eq!(left_out(&read), "2024-01-01.md: it is damaged");
}

#[test]
fn a_zip_with_more_files_than_anybody_has_is_refused_before_they_are_listed() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for number in 0..200_001 {
        writer.start_file(format!("{number}"), options).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let opened = Archive::open(Cursor::new(bytes));
    assert_eq!(opened.map(drop), Err(Refused::TooManyMembers));
}

#[test]
fn a_bad_escape_a_huge_number_and_deep_nesting_cost_one_entry_each() {
    let deep = format!(
        "{{\"uuid\":\"04\",\"x\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let entries = [
        entry("01", "first"),
        entry("02", "\\ud83d alone"),
        entry("03", "x").replace("\"03\"", "1e999"),
        deep,
        "{\"uuid\" \"05\"}".to_owned(),
        entry("06", "caf\\u00e9"),
        entry("07", "twice").replace("\"07\",", "\"06x\",\"uuid\":\"07\","),
    ];
    let json = day_one(&entries.join(","));
    let read = from_zip(&[("Journal.json", json.as_bytes())], Format::DayOne);
    assert_eq!(texts(&read), ["first", "café", "twice"]);
    assert_eq!(read.entries[2].source_id, "07");
    assert_eq!(read.skipped.len(), 4, "{}", left_out(&read));
}

#[test]
fn a_journal_that_is_cut_short_gives_what_is_whole() {
    let json = day_one(&[entry("01", "first"), entry("02", "second")].join(","));
    let read = from_file(
        "Journal.json",
        &json.as_bytes()[..json.len() - 20],
        Format::DayOne,
    );
    assert_eq!(texts(&read), ["first"]);
    assert!(left_out(&read).starts_with("the end of Journal.json: the file is cut short"));
}

#[test]
fn bytes_that_are_no_text_stand_as_signs_and_are_counted() {
    let mut json = day_one(&[entry("01", "Gr@e"), entry("02", "fine")].join(",")).into_bytes();
    let at = json.iter().position(|byte| *byte == b'@').unwrap();
    json[at] = 0xfc;
    let read = from_file("Journal.json", &json, Format::DayOne);
    assert_eq!(texts(&read), ["Gr\u{fffd}e", "fine"]);
    assert!(
        read.warnings[0].starts_with("1 entries had characters"),
        "{:?}",
        read.warnings
    );
}

#[test]
fn a_million_things_that_are_no_entries_are_counted_and_not_listed() {
    let json = day_one(&"0,".repeat(300_000));
    let mut file = OneFile::new("Journal.json", json.into_bytes());
    let read = read(&mut file, Format::DayOne, &local).unwrap();
    assert!(read.entries.is_empty());
    assert_eq!(read.skipped.len(), 10_000);
    assert!(read.skipped_more > 100_000);
}

#[test]
fn ids_tags_titles_and_notes_that_are_too_long_are_shortened_or_hashed() {
    let long = "y".repeat(5000);
    let tags: Vec<String> = (0..100).map(|tag| format!("\"t{tag}\"")).collect();
    let more = format!(
        "\"tags\":[\"{long}\",\"a\\u0000b\",{}],\"location\":{{\"placeName\":\"{long}\"}},\"text\":\"# {long}\\n\\nRest\"",
        tags.join(",")
    );
    let one = entry(&long, "").replace("\"text\":\"\"", &more);
    let read = from_file("Journal.json", day_one(&one).as_bytes(), Format::DayOne);
    let entry = super::only(&read);
    assert!(entry.source_id.starts_with("sha256-") && entry.source_id.len() == 39);
    assert_eq!(entry.tags.len(), 64);
    assert_eq!(entry.title, None);
    assert!(entry.text.ends_with("\n\nRest"));
    assert_eq!(entry.kept["place"].len(), 200);
    assert_eq!(read.warnings.len(), 2, "{:?}", read.warnings);
}

/// Bytes that reach somewhere: parts of what each format is made of.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        &b"{\"entries\":["[..],
        &b"{\"uuid\":\"01\",\"creationDate\":\"2024-07-01T10:00:00Z\",\"text\":\""[..],
        &b"{\"date_journal\":1719873000000,\"text\":\"<p>"[..],
        &b"{\"title\":\"a\",\"body\":\"b\",\"date\":\"2024-07-01\",\"time\":\"10:00\"}"[..],
        &b"\"photos\":[{\"identifier\":\"AA\",\"md5\":\"aa\"}]"[..],
        &b"![](dayone-moment://AA)"[..],
        &b"[2024-07-01 10:00] Rain. @sea *\n"[..],
        &b"---\ndate: 2024-07-01\ntags: [a, b]\n---\n"[..],
        &b"![a](b.png) ![[c]] ![](<d"[..],
        &b"\"},"[..],
        &b"]}"[..],
        &b"\\u00"[..],
        &b"\xff\xc3"[..],
        "é…\u{feff}".as_bytes(),
        &b"\n"[..],
        &b"&amp;<br><!--"[..],
    ]);
    let any = proptest::collection::vec(any::<u8>(), 0..8);
    let piece = prop_oneof![4 => part.prop_map(<[u8]>::to_vec), 1 => any];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_any_reader(bytes in parts(), other in parts()) {
        let zipped = zip(&[("Journal.json", &bytes), ("2024-07-01.md", &other), ("b.png", &bytes)]);
        for format in FORMATS {
            let mut file = OneFile::new("2024-07-01.md", bytes.clone());
            let _ = recognise(&mut file);
            let _ = read(&mut file, format, &local);
            let mut archive = archive(zipped.clone());
            let _ = recognise(&mut archive);
            let reading = read(&mut archive, format, &local).unwrap();
            for entry in &reading.entries {
                prop_assert!(ajar_journal::date::check(&entry.date).is_ok());
                prop_assert!(entry.media.iter().all(|media| media.member < 3));
            }
        }
    }

    #[test]
    fn no_bytes_panic_the_zip(mut bytes in Just(zip(&[("a.md", b"Rain."), ("b.md", &[b'x'; 500])])), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(mut archive) = Archive::open(Cursor::new(bytes)) {
            for place in 0..archive.list().len() {
                let _ = archive.read(place, 1 << 20);
            }
        }
    }
}
