//! The commands of `ajar-relay`, their options and their help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Stores and forwards the sealed journal of two people. It cannot read any of it.
#[derive(Debug, Parser)]
#[command(
    name = "ajar-relay",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Begin with:  ajar-relay init --host relay.example.org\n             \
                  ajar-relay serve\n             \
                  ajar-relay invite   (an address for one couple)"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The data folder, for every command.
#[derive(Debug, Args)]
pub struct Data {
    /// Data folder [default: ajar-relay in `$XDG_DATA_HOME` or in `~/.local/share`]
    #[arg(long, value_name = "DIR", env = "AJAR_RELAY_DATA")]
    pub data: Option<PathBuf>,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a data folder with a new key, and print the address
    #[command(after_help = "Example:  ajar-relay init --host relay.example.org")]
    Init {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// UDP address to write into relay.toml
        #[arg(long, value_name = "IP:PORT", env = "AJAR_RELAY_LISTEN")]
        listen: Option<SocketAddr>,
        /// Name or address under which devices reach this machine
        #[arg(long, value_name = "HOST[:PORT]")]
        host: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the relay until it is told to stop (SIGTERM or Ctrl-C)
    #[command(after_help = "Example:  ajar-relay serve --listen 0.0.0.0:4433")]
    Serve {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// UDP address to listen on; port 0 takes a free one [default: relay.toml, else `[::]:4433`]
        #[arg(long, value_name = "IP:PORT", env = "AJAR_RELAY_LISTEN")]
        listen: Option<SocketAddr>,
        /// Write the listen address and the relay address here, as JSON, once ready
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
        /// Configuration instead of relay.toml in the data folder
        #[arg(long, value_name = "FILE", env = "AJAR_RELAY_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Print an address with a new claim, good for one couple; works while the relay runs
    #[command(after_help = "Example:  ajar-relay invite --host relay.example.org")]
    Invite {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Name or address under which devices reach this machine
        #[arg(long, value_name = "HOST[:PORT]")]
        host: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the spaces with their sizes; the relay must be stopped
    #[command(after_help = "Example:  ajar-relay spaces --json")]
    Spaces {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read and check everything that is stored; the relay must be stopped
    #[command(after_help = "Example:  ajar-relay doctor")]
    Doctor {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at the configuration
    #[command(
        after_help = "Example:  ajar-relay config check",
        disable_help_subcommand = true
    )]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// Commands about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and print what is in force
    #[command(after_help = "Example:  ajar-relay config check --config new.toml")]
    Check {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Configuration instead of relay.toml in the data folder
        #[arg(long, value_name = "FILE", env = "AJAR_RELAY_CONFIG")]
        config: Option<PathBuf>,
        /// UDP address instead of that in the configuration
        #[arg(long, value_name = "IP:PORT", env = "AJAR_RELAY_LISTEN")]
        listen: Option<SocketAddr>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn shows_an_example(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path}");
        let after = command.get_after_help().expect(path).to_string();
        assert!(after.contains(path), "{path}: {after}");
        for below in command.get_subcommands() {
            shows_an_example(below, &format!("{path} {}", below.get_name()));
        }
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        shows_an_example(&command, "ajar-relay");
    }
}
