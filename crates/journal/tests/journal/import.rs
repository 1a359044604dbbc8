//! What other journals export, and what nobody exports in good faith.

mod dayone;
mod hostile;
mod journey;
mod jrnl;
mod mark;
mod markdown;

use std::io::{Cursor, Write};

use ajar_journal::import::{Archive, Format, Imported, Members, OneFile, Reading, read, recognise};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip of these files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let method = match bytes.len() {
            0..200 => CompressionMethod::Stored,
            _ => CompressionMethod::Deflated,
        };
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn archive(bytes: Vec<u8>) -> Archive<Cursor<Vec<u8>>> {
    Archive::open(Cursor::new(bytes)).unwrap()
}

/// Two zones are enough for Ana: hers, and the one of the clock.
pub(crate) fn local(at_ms: i64, zone: &str) -> Option<String> {
    let hours = match zone {
        "UTC" => 0,
        "Europe/Berlin" => 2,
        "Pacific/Auckland" => 12,
        _ => return None,
    };
    let minutes = at_ms.div_euclid(60_000).checked_add(hours * 60)?;
    let (mut days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let mut year = 1970;
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = if leap { 366 } else { 365 };
        if days < 0 || year > 2100 {
            return None;
        }
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let date = |month: u32, day: i64| {
        let (hour, minute) = (minute / 60, minute % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}")
    };
    for month in 1..=12 {
        let length = (28..=31)
            .rev()
            .find(|day| ajar_journal::date::check(&date(month, *day)).is_ok())?;
        if days < length {
            return Some(date(month, days + 1));
        }
        days -= length;
    }
    None
}

pub(crate) fn from(members: &mut dyn Members, format: Format) -> Reading {
    assert_eq!(recognise(members), Ok(format));
    read(members, format, &local).unwrap()
}

pub(crate) fn from_zip(files: &[(&str, &[u8])], format: Format) -> Reading {
    from(&mut archive(zip(files)), format)
}

pub(crate) fn from_file(name: &str, bytes: &[u8], format: Format) -> Reading {
    from(&mut OneFile::new(name, bytes.to_vec()), format)
}

/// What was left out, in one text.
pub(crate) fn left_out(reading: &Reading) -> String {
    let lines = reading.skipped.iter();
    let lines: Vec<String> = lines
        .map(|one| format!("{}: {}", one.what, one.why))
        .collect();
    lines.join("\n")
}

pub(crate) fn texts(reading: &Reading) -> Vec<&str> {
    let entries = reading.entries.iter();
    entries.map(|entry| entry.text.as_str()).collect()
}

pub(crate) fn only(reading: &Reading) -> &Imported {
    assert_eq!(reading.entries.len(), 1, "{}", left_out(reading));
    &reading.entries[0]
}
