//! Writes the inputs that each fuzzing target begins from to where cargo-fuzz looks for them:
//! `tests/fuzz/corpus/TARGET/`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for whoever works on this"
)]

use std::path::Path;

use ajar_tests::fuzzing::{TARGETS, runner};

fn main() {
    for target in &TARGETS {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let folder = fuzz.join("corpus").join(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut inputs = (target.seeds)();
        inputs.extend(runner::kept(target));
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), input).unwrap();
        }
        println!("{}: {} inputs", target.name, inputs.len());
    }
}
