//! The `ajar` binary: a private journal for two. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ajar_client::main()
}
