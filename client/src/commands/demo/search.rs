//! Looks through every byte of a folder for words, in the forms in which words could lie there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64_NOPAD, HEXLOWER, HEXUPPER};

use crate::report::Failure;

/// What a search went through, and where something was found.
#[derive(Debug, Default)]
pub(super) struct Searched {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) found: Vec<PathBuf>,
}

/// Searches a folder and everything below it.
pub(super) fn folder(root: &Path, texts: &[&str]) -> Result<Searched, Failure> {
    let needles: Vec<Vec<u8>> = texts.iter().flat_map(|text| forms(text)).collect();
    let mut searched = Searched::default();
    walk(root, &needles, &mut searched).map_err(|error| {
        Failure::fixable(
            "demo",
            format!("the relay's folder cannot be searched: {error}."),
        )
    })?;
    Ok(searched)
}

fn walk(folder: &Path, needles: &[Vec<u8>], searched: &mut Searched) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), needles, searched)?;
            continue;
        }
        let bytes = fs::read(entry.path())?;
        searched.files += 1;
        // The store reserves space ahead: zeros at the end are nothing that was stored.
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let bytes = bytes.get(..end).unwrap_or(&bytes);
        searched.bytes += bytes.len() as u64;
        let name = entry.file_name();
        let holds =
            |needle: &Vec<u8>| contains(bytes, needle) || contains(name.as_encoded_bytes(), needle);
        if needles.iter().any(holds) {
            searched.found.push(entry.path());
        }
    }
    Ok(())
}

/// A text as UTF-8, UTF-16 (both orders), hexadecimal, and base64 at each of its three offsets.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![
        bytes.to_vec(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
    ];
    for offset in 0..3 {
        // Only whole groups of three bytes encode the same whatever stands around them.
        let rest = bytes.get(offset..).unwrap_or_default();
        let whole = rest.get(..rest.len() - rest.len() % 3).unwrap_or_default();
        if !whole.is_empty() {
            forms.push(BASE64_NOPAD.encode(whole).into_bytes());
        }
    }
    forms
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else {
        return true;
    };
    let mut from = 0;
    while let Some(left) = hay.get(from..) {
        let Some(at) = left.iter().position(|byte| byte == first) else {
            return false;
        };
        if left
            .get(at + 1..)
            .is_some_and(|after| after.starts_with(rest))
        {
            return true;
        }
        from += at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search that finds nothing proves nothing unless it finds what is there.
    #[test]
    fn words_are_found_in_every_form_they_could_lie_in() {
        let text = "By the sea, löud";
        let surrounded =
            |prefix: &str| BASE64_NOPAD.encode(format!("{prefix}{text} and more").as_bytes());
        let hidden: Vec<Vec<u8>> = vec![
            format!("xx{text}yy").into_bytes(),
            format!("a{text}")
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            format!("a{text}")
                .encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect(),
            format!("00{}", HEXLOWER.encode(text.as_bytes())).into_bytes(),
            HEXUPPER.encode(text.as_bytes()).into_bytes(),
            surrounded("").into_bytes(),
            surrounded("p").into_bytes(),
            surrounded("pr").into_bytes(),
        ];
        for (number, bytes) in hidden.into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("db")).unwrap();
            fs::write(dir.path().join("db/segment"), bytes).unwrap();
            fs::write(dir.path().join("other"), [0u8; 64]).unwrap();
            let searched = folder(dir.path(), &[text]).unwrap();
            assert_eq!(
                (searched.files, searched.found.len()),
                (2, 1),
                "form {number}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sealed"), b"By the se\0a By the s").unwrap();
        let searched = folder(dir.path(), &["By the sea"]).unwrap();
        assert!(searched.found.is_empty());
        assert_eq!(searched.bytes, 20);
        assert!(contains(b"aab", b"ab") && !contains(b"aa", b"ab") && !contains(b"", b"a"));
    }
}
