//! Looking for text that must be nowhere: in every usual disguise, in every file of a folder.

use std::path::{Path, PathBuf};

/// The forms in which a text could lie in a file: UTF-8, UTF-16LE, hex in either case, and
/// base64 at the three alignments.
#[must_use]
pub fn disguises(text: &str) -> Vec<Vec<u8>> {
    let plain = text.as_bytes().to_vec();
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        plain.clone(),
        utf16,
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
            let hidden = disguises(text)
                .iter()
                .any(|form| form.len() >= 6 && contains(&content, form));
            if hidden || name.contains(text) {
                found.push((file.clone(), (*text).to_owned()));
            }
        }
    }
    found
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
