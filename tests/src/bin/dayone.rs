//! Writes a diary into a zip as Day One exports it, to try `ajar import` with.
//!
//! `cargo run -p ajar-tests --bin dayone -- DIARY.jsonl DAYONE.zip`
//!
//! The diary is a file with one JSON object a line: `{"date": "1660-01-01", "text": "…"}`.

use ajar_tests::dayone::{of_diary, read_diary};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [diary, zip] = arguments.as_slice() else {
        return Err("usage: dayone DIARY.jsonl DAYONE.zip".into());
    };
    let days = read_diary(&std::fs::read_to_string(diary)?)?;
    std::fs::write(zip, of_diary(&days))?;
    eprintln!("{} entries", days.len());
    Ok(())
}
