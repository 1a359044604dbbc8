//! The command line of `ajar-relay`. stdout is data, stderr is talk.
//!
//! Exit codes: 0 done, 1 something the person can fix, 2 usage.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ajar_protocol::address::{base32, join_host_port};
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use tokio::sync::oneshot;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::claims::Claims;
use crate::config::{Config, with_port};
use crate::data::{DataDir, write_whole};
use crate::server::{Ready, serve};
use crate::storage::{LocalStore, Store, StoreError};

/// Port of addresses when `--host` names none.
const DEFAULT_PORT: u16 = 4433;

/// Stores and forwards the sealed journal of two people. It cannot read any of it.
#[derive(Debug, Parser)]
#[command(name = "ajar-relay", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The data folder, for every command.
#[derive(Debug, Args)]
pub struct Data {
    /// Data folder [default: `$XDG_DATA_HOME/ajar-relay` or `~/.local/share/ajar-relay`]
    #[arg(long, value_name = "DIR", env = "AJAR_RELAY_DATA")]
    pub data: Option<PathBuf>,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a data folder with a new key, and prints the address
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
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs the relay until it is told to stop (SIGTERM or Ctrl-C)
    Serve {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// UDP address to listen on; port 0 takes a free one [default: relay.toml, else `[::]:4433`]
        #[arg(long, value_name = "IP:PORT", env = "AJAR_RELAY_LISTEN")]
        listen: Option<SocketAddr>,
        /// Writes the listen address and the relay address here, as JSON, once ready
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
        /// Configuration instead of relay.toml in the data folder
        #[arg(long, value_name = "FILE", env = "AJAR_RELAY_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Prints an address with a new claim, good for one couple; works while the relay runs
    Invite {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Name or address under which devices reach this machine
        #[arg(long, value_name = "HOST[:PORT]")]
        host: Option<String>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the spaces with their sizes; the relay must be stopped
    Spaces {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reads and checks everything that is stored; the relay must be stopped
    Doctor {
        /// Data folder.
        #[command(flatten)]
        data: Data,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Looks at the configuration
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// Commands about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Checks the configuration and prints what is in force
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

/// A failure that the person can do something about.
struct Failure {
    message: String,
    json: bool,
}

trait OrFail<T> {
    fn or_fail(self, json: bool) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, json: bool) -> Result<T, Failure> {
        self.map_err(|e| Failure {
            message: e.to_string(),
            json,
        })
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Usage errors end here with 2, help and version with 0.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = if failure.json {
                json!({"error": {"code": "failed", "message": failure.message}}).to_string()
            } else {
                format!("ajar-relay: {}", failure.message)
            };
            // With stderr gone nobody is left to tell.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(1)
        }
    }
}

fn print(text: &str, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .or_fail(json)
}

fn data_dir(data: Data, json: bool) -> Result<DataDir, Failure> {
    if let Some(path) = data.data {
        return Ok(DataDir::new(path));
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local").join("share")));
    match base {
        Some(base) => Ok(DataDir::new(base.join("ajar-relay"))),
        None => Err("no home folder is known; name one with --data DIR").or_fail(json),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init {
            data,
            listen,
            host,
            json,
        } => init(&data_dir(data, json)?, listen, host.as_deref(), json),
        Command::Serve {
            data,
            listen,
            ready_file,
            config,
        } => {
            let data = data_dir(data, false)?;
            run_server(&data, listen, ready_file.as_deref(), config.as_deref())
        }
        Command::Invite { data, host, json } => {
            invite(&data_dir(data, json)?, host.as_deref(), json)
        }
        Command::Spaces { data, json } => spaces(&data_dir(data, json)?, json),
        Command::Doctor { data, json } => doctor(&data_dir(data, json)?, json),
        Command::Config {
            command:
                ConfigCommand::Check {
                    data,
                    config,
                    listen,
                },
        } => {
            let data = data_dir(data, false)?;
            let config = Config::load(data.root(), config.as_deref(), listen).or_fail(false)?;
            let limits = toml::to_string(&config.limits).or_fail(false)?;
            let advertise = config
                .advertise
                .as_deref()
                .unwrap_or("(the listen address)");
            let listen = config.listen;
            print(
                &format!("listen = {listen}\nadvertise = {advertise}\n\n[limits]\n{limits}"),
                false,
            )
        }
    }
}

fn init(
    data: &DataDir,
    listen: Option<SocketAddr>,
    host: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let port = listen.map_or(DEFAULT_PORT, |listen| listen.port());
    let advertise = host
        .map(|host| with_port(host, port).map(|(host, port)| join_host_port(&host, port)))
        .transpose()
        .or_fail(json)?;
    let identity = data.init(listen, advertise.as_deref()).or_fail(json)?;
    let config = Config::load(data.root(), None, listen).or_fail(json)?;
    let address = config.address(&identity, config.listen).or_fail(json)?;
    if address.port == 0 {
        let key = base32(&identity.public());
        return if json {
            print(&json!({"address": null, "key": key}).to_string(), json)
        } else {
            print(
                &format!("key {key}; `serve` takes a free port and prints the address"),
                json,
            )
        };
    }
    if json {
        print(&json!({"address": address.to_string()}).to_string(), json)
    } else {
        print(&address.to_string(), json)
    }
}

fn invite(data: &DataDir, host: Option<&str>, json: bool) -> Result<(), Failure> {
    let identity = data.identity().or_fail(json)?;
    let config = Config::load(data.root(), None, None).or_fail(json)?;
    let mut address = config
        .invitation_address(data, &identity, host)
        .or_fail(json)?;
    let claims = Claims::of(data);
    address.claim = Some(
        claims
            .create(config.limits.spaces_per_claim)
            .or_fail(json)?,
    );
    if json {
        print(&json!({"address": address.to_string()}).to_string(), json)
    } else {
        print(&address.to_string(), json)
    }
}

fn stopped_store(data: &DataDir, json: bool) -> Result<LocalStore, Failure> {
    data.identity().or_fail(json)?;
    LocalStore::open(&data.db())
        .map_err(|e| match e {
            StoreError::Locked => {
                "the relay is running; stop it first (`serve` holds the data folder)".to_owned()
            }
            other => other.to_string(),
        })
        .or_fail(json)
}

fn spaces(data: &DataDir, json: bool) -> Result<(), Failure> {
    let store = stopped_store(data, json)?;
    let mut rows = Vec::new();
    for space in store.spaces().or_fail(json)? {
        let heads = store.heads(&space).or_fail(json)?;
        let envelopes: u64 = heads.iter().map(|head| head.counter).sum();
        let bytes: u64 = heads.iter().map(|head| head.bytes).sum();
        rows.push((space.to_hex(), heads.len(), envelopes, bytes));
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, devices, envelopes, bytes)| {
                json!({"id": id, "devices": devices, "envelopes": envelopes, "bytes": bytes})
            })
            .collect();
        return print(&json!(rows).to_string(), json);
    }
    for (id, devices, envelopes, bytes) in rows {
        print(
            &format!("{id}  {devices} devices  {envelopes} envelopes  {bytes} bytes"),
            json,
        )?;
    }
    Ok(())
}

fn doctor(data: &DataDir, json: bool) -> Result<(), Failure> {
    let store = stopped_store(data, json)?;
    let damaged = store.verify().or_fail(json)?;
    let spaces = store.spaces().or_fail(json)?;
    let mut missing = 0u64;
    for space in &spaces {
        for head in store.heads(space).or_fail(json)? {
            for counter in 1..=head.counter {
                let found = store.arrival(space, &head.device, counter).or_fail(json)?;
                missing += u64::from(found.is_none());
            }
        }
    }
    let spaces = spaces.len();
    if json {
        print(
            &json!({"spaces": spaces, "damaged": damaged, "missing": missing}).to_string(),
            json,
        )?;
    } else {
        print(
            &format!("{spaces} spaces, {damaged} damaged records, {missing} missing envelopes"),
            json,
        )?;
    }
    if damaged == 0 && missing == 0 {
        Ok(())
    } else {
        Err(
            "the store is damaged. The devices hold everything: stop the relay, move db/ away and \
             start it again; they fill it",
        )
        .or_fail(json)
    }
}

fn run_server(
    data: &DataDir,
    listen: Option<SocketAddr>,
    ready_file: Option<&Path>,
    config: Option<&Path>,
) -> Result<(), Failure> {
    let level = std::env::var("AJAR_RELAY_LOG").unwrap_or_else(|_| "info".to_owned());
    let level: LevelFilter = level
        .parse()
        .map_err(|_| format!("AJAR_RELAY_LOG={level} is no log level; try info or debug"))
        .or_fail(false)?;
    // Libraries below us write addresses into their traces; ours hold none, at any level.
    let filter = Targets::new()
        .with_target("ajar_relay", level)
        .with_target("ajar_log", level);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
    let config = Config::load(data.root(), config, listen).or_fail(false)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .or_fail(false)?;
    runtime.block_on(async {
        let stop = stop_signal().or_fail(false)?;
        let (tell, told) = oneshot::channel();
        let (give_up, given_up) = oneshot::channel();
        let announce = async {
            let announced = match told.await {
                Ok(ready) => announce(&ready, ready_file),
                // The server ends by itself; its error is the one to show.
                Err(_) => Ok(()),
            };
            if announced.is_err() {
                // Somebody waits for the ready file in vain: better to stop and say so.
                let _ = give_up.send(());
            }
            announced
        };
        let stop = async {
            tokio::select! {
                () = stop => {}
                Ok(()) = given_up => {}
            }
        };
        let (served, announced) = tokio::join!(serve(config, tell, stop), announce);
        served.or_fail(false)?;
        announced
    })
}

fn announce(ready: &Ready, file: Option<&Path>) -> Result<(), Failure> {
    let (listen, address) = (ready.listen, &ready.address);
    if let Some(file) = file {
        let text = json!({"listen": listen.to_string(), "address": address.to_string()});
        write_whole(file, format!("{text}\n").as_bytes()).or_fail(false)?;
    }
    print(
        &format!("ready: listening on {listen}, address {address}"),
        false,
    )
}

/// Completes at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // A terminal that goes away ends the relay as cleanly as a request.
        let mut hangup = signal(SignalKind::hangup())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // Without a way to be told, run until killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
