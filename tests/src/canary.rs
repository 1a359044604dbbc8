//! Looking for text that must be nowhere: in every usual disguise, also compressed, in every file
//! of a folder.

use std::path::{Path, PathBuf};

use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The forms in which a text could lie in a file: UTF-8, UTF-16LE, hex in either case, and
/// base64 at the three alignments.
#[must_use]
pub fn disguises(text: &str) -> Vec<Vec<u8>> {
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = disguises_of_bytes(text.as_bytes());
    forms.push(utf16);
    forms
}

/// The same for a key or an id, which is no text.
#[must_use]
pub fn disguises_of_bytes(bytes: &[u8]) -> Vec<Vec<u8>> {
    let plain = bytes.to_vec();
    let hex: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        plain.clone(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
    ];
    for shift in 0..3 {
        let padded = [vec![0; shift], plain.clone()].concat();
        let encoded = base64(&padded);
        // The characters that depend on what stands before and after are left out.
        let skip = if shift == 0 { 0 } else { shift + 1 };
        let keep = encoded.len().saturating_sub(skip + 3);
        forms.push(encoded.into_iter().skip(skip).take(keep).collect());
    }
    forms
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let mut word = 0u32;
        for place in 0..3 {
            word = (word << 8) | u32::from(chunk.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let index = (word >> (18 - 6 * place)) & 63;
            out.push(*ALPHABET.get(index as usize).unwrap());
        }
    }
    out
}

/// Files below `folder` that hold one of `texts` in some disguise.
#[must_use]
pub fn find(folder: &Path, texts: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for file in files(folder) {
        let content = std::fs::read(&file).unwrap_or_default();
        let name = file.to_string_lossy().into_owned();
        for text in texts {
            if is_in(&content, text) || name.contains(text) {
                found.push((file.clone(), (*text).to_owned()));
            }
        }
    }
    found
}

/// As [`find`], and in everything in those files that can be decompressed.
#[must_use]
pub fn find_deep(folder: &Path, texts: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = find(folder, texts);
    for file in files(folder) {
        let content = std::fs::read(&file).unwrap_or_default();
        let inflated = inflated(&content);
        let inside = texts.iter().filter(|text| is_in(&inflated, text));
        found.extend(inside.map(|text| (file.clone(), (*text).to_owned())));
    }
    found
}

/// Whether a text is in some bytes, in some disguise.
#[must_use]
pub fn is_in(content: &[u8], text: &str) -> bool {
    let forms = disguises(text);
    forms
        .iter()
        .any(|form| form.len() >= 6 && contains(content, form))
}

/// Whether a key or an id is in some bytes, in some disguise.
#[must_use]
pub fn holds(content: &[u8], key: &[u8]) -> bool {
    let forms = disguises_of_bytes(key);
    forms.iter().any(|form| contains(content, form))
}

/// Whatever comes out when decompressing from every byte on: DEFLATE, with or without the header
/// of zlib or gzip, and Zstandard.
#[must_use]
pub fn inflated(content: &[u8]) -> Vec<u8> {
    const MOST: usize = 1 << 14;
    let mut out = Vec::new();
    let mut room = vec![0; MOST];
    let mut state = DecompressorOxide::new();
    for at in 0..content.len() {
        let rest = &content[at..content.len().min(at + MOST)];
        if rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut decoder = zstd::stream::read::Decoder::new(&content[at..]).unwrap();
            // What comes before an error counts.
            let _ = std::io::copy(&mut decoder, &mut out);
        }
        // The end of a reserve of zeros, or of nothing at all, is no stream.
        if rest.first() == Some(&0) || rest.len() < 8 {
            continue;
        }
        state.init();
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (_, _, written) = decompress(&mut state, rest, &mut room, 0, flags);
        // A few bytes come out of anything.
        if written >= 8 {
            out.extend_from_slice(&room[..written]);
        }
    }
    out
}

/// All files below a folder.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                all.push(path);
            }
        }
    }
    all
}

/// Whether some bytes stand somewhere in others.
#[must_use]
pub fn contains(content: &[u8], form: &[u8]) -> bool {
    let Some(first) = form.first() else {
        return false;
    };
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.split_at(at).1;
        if rest.starts_with(form) {
            return true;
        }
        rest = rest.split_at(1).1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    #[test]
    fn a_text_is_found_in_every_disguise() {
        let text = "CANARY-of-this-test";
        let days = |from: u32| -> String {
            let lines = (from..from + 90).map(|n| format!("{}: rain, {} mm. ", n, n * n % 97));
            lines.collect()
        };
        let long = format!("{}{text}{}", days(100), days(300));
        let shift = |bytes: &[u8]| [b"x\x01\x02", bytes].concat();
        let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        for bytes in [text.as_bytes().to_vec(), hex.into_bytes()] {
            assert!(is_in(&shift(&bytes), text));
        }
        for before in ["", "a", "ab"] {
            assert!(is_in(
                &base64(format!("{before}{text} and more").as_bytes()),
                text
            ));
        }
        for packed in [
            compress_to_vec(long.as_bytes(), 6),
            compress_to_vec_zlib(long.as_bytes(), 9),
            zstd::encode_all(long.as_bytes(), 3).unwrap(),
        ] {
            assert!(!contains(&packed, text.as_bytes()), "it lies open");
            assert!(is_in(&inflated(&shift(&packed)), text));
        }
        assert!(!is_in(&inflated(b"nothing of it is here at all"), text));
    }
}
