//! `ajar-relay`.

fn main() -> std::process::ExitCode {
    ajar_relay::cli::main()
}
