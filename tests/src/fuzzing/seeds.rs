//! The committed vectors as inputs to begin from.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

/// Crates that have vectors.
const CRATES: [&str; 3] = ["protocol", "crypto", "engine"];

/// Every text in a vector that is hexadecimal, as bytes; and every other one as it is.
static VECTORS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for name in CRATES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
        let folder = folder.join(name).join("tests/vectors");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(path).unwrap();
            collect(&serde_json::from_str(&text).unwrap(), &mut all);
        }
    }
    all.sort();
    all.dedup();
    all
});

fn collect(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => into.push(from_hex(text).unwrap_or_else(|| text.clone().into())),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Object(values) => values.values().for_each(|value| collect(value, into)),
        _ => {}
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok());
    bytes.collect()
}

/// What the vectors of the protocol hold.
pub(super) fn vectors() -> &'static [Vec<u8>] {
    &VECTORS
}

/// The bytes that a field of a vector says in hexadecimal.
pub(super) fn bytes_of(field: &Value) -> Vec<u8> {
    from_hex(field.as_str().unwrap()).unwrap()
}
