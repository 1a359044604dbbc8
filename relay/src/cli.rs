//! The command line of `ajar-relay`. stdout is data, stderr is talk.
//!
//! Exit codes: 0 done, 1 something the person can fix, 2 usage.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ajar_protocol::address::{AddressError, RelayAddress, base32, join_host_port};
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{Frontier, SpaceId};
use clap::Parser;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Cli, Command, ConfigCommand, Data};
use crate::claims::Claims;
use crate::config::{Config, ConfigError, with_port};
use crate::data::{DataDir, DataError, write_whole};
use crate::harden;
use crate::server::{Ready, ServeError, serve};
use crate::storage::{Head, LocalStore, Store, StoreError};

/// Port of addresses when `--host` names none.
const DEFAULT_PORT: u16 = 4433;
/// Variable with the level of the log.
const LOG: &str = "AJAR_RELAY_LOG";

/// A failure that the person can do something about; the message says what.
struct Failure {
    code: &'static str,
    message: String,
    json: bool,
}

/// What went wrong, with a stable word for scripts.
trait Trouble: fmt::Display {
    fn code(&self) -> &'static str {
        "failed"
    }
}

impl Trouble for &str {}
impl Trouble for String {}
impl Trouble for toml::ser::Error {}

impl Trouble for std::io::Error {
    fn code(&self) -> &'static str {
        "file"
    }
}

impl Trouble for AddressError {
    fn code(&self) -> &'static str {
        "bad-address"
    }
}

impl Trouble for ConfigError {
    fn code(&self) -> &'static str {
        "bad-config"
    }
}

impl Trouble for DataError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "already-there",
            Self::NotInitialised(_) => "no-relay",
            Self::Key(_) => "bad-key",
            Self::Foreign(_) => "not-yours",
            Self::Address(_) => "bad-address",
            Self::Random => "failed",
            Self::Io { .. } => "file",
        }
    }
}

impl Trouble for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Locked => "in-use",
            Self::DiskFull => "disk-full",
            Self::Damaged => "damaged",
            Self::Stopped(_) | Self::Failed(_) => "storage",
        }
    }
}

impl Trouble for ServeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Data(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Listen { .. } => "listen",
            Self::Tls(_) => "failed",
        }
    }
}

trait OrFail<T> {
    fn or_fail(self, json: bool) -> Result<T, Failure>;
}

impl<T, E: Trouble> OrFail<T> for Result<T, E> {
    fn or_fail(self, json: bool) -> Result<T, Failure> {
        self.map_err(|trouble| Failure {
            code: trouble.code(),
            message: trouble.to_string().trim_end().to_owned(),
            json,
        })
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    harden::process();
    // Usage errors end here with 2, help and version with 0.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = if failure.json {
                let Failure { code, message, .. } = failure;
                json!({"error": {"code": code, "message": message, "hint": null}}).to_string()
            } else {
                format!("ajar-relay: {}", failure.message)
            };
            note(&text);
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
    if let Some(path) = data.data.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(DataDir::new(path));
    }
    // The XDG rules: a path that is not absolute counts as not set.
    let folder = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let base =
        folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
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
            check_config(&data, config.as_deref(), listen)
        }
    }
}

fn check_config(
    data: &DataDir,
    file: Option<&Path>,
    listen: Option<SocketAddr>,
) -> Result<(), Failure> {
    let config = Config::load(data.root(), file, listen).or_fail(false)?;
    if file.is_none() && !data.config_file().exists() {
        let path = data.config_file();
        note(&format!(
            "{} is not there; these are the defaults:",
            path.display()
        ));
    }
    // What is printed is a whole configuration again.
    let advertise = match &config.advertise {
        Some(advertise) => format!("advertise = \"{advertise}\""),
        None => "# advertise is not set: invitations name the listen address".to_owned(),
    };
    let limits = toml::to_string(&config.limits).or_fail(false)?;
    let (listen, limits) = (config.listen, limits.trim_end());
    let text = format!("listen = \"{listen}\"\n{advertise}\n\n[limits]\n{limits}");
    print(&text, false)
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
    print_address(&address, json)
}

/// Prints an address, and on stderr what is easily overlooked about it.
fn print_address(address: &RelayAddress, json: bool) -> Result<(), Failure> {
    if json {
        return print(&json!({"address": address.to_string()}).to_string(), json);
    }
    print(&address.to_string(), json)?;
    if address.claim.is_some() {
        note("For both partners, in quotes:  ajar init --name NAME --relay 'ADDRESS'");
    }
    if is_loopback(&address.host) {
        let host = &address.host;
        note(&format!(
            "{host} is this machine only. For other machines: --host HOST, or advertise in relay.toml."
        ));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let ip: Result<IpAddr, _> = host.parse();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

/// Talk for the person. With stderr gone nobody is left to tell.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
    print_address(&address, json)
}

fn stopped_store(data: &DataDir, json: bool) -> Result<LocalStore, Failure> {
    data.identity().or_fail(json)?;
    LocalStore::open(&data.db(), &data.blobs())
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
        let mut envelopes = 0;
        for head in &heads {
            envelopes += stored_from(&store, &space, head, 1).or_fail(json)?;
        }
        let blobs = store.blobs(&space).or_fail(json)?;
        let parts = store.files().list(&space, true).or_fail(json)?;
        rows.push(SpaceRow {
            id: space.to_hex(),
            devices: heads.len(),
            envelopes,
            bytes: heads.iter().map(|head| head.bytes).sum(),
            blobs: blobs.len(),
            blob_bytes: blobs.iter().map(|blob| blob.length).sum::<u64>()
                + parts.iter().map(|part| part.length).sum::<u64>(),
            trimmed: store.trim(&space).or_fail(json)?.is_some(),
        });
    }
    if json {
        return print(&json!(rows).to_string(), json);
    }
    for row in rows {
        let SpaceRow {
            id,
            devices,
            envelopes,
            bytes,
            blobs,
            blob_bytes,
            trimmed,
        } = row;
        let trimmed = if trimmed { "  trimmed" } else { "" };
        print(
            &format!(
                "{id}  {devices} devices  {envelopes} envelopes  {bytes} bytes  \
                 {blobs} blobs  {blob_bytes} bytes{trimmed}"
            ),
            json,
        )?;
    }
    Ok(())
}

/// What `spaces` says of one space.
#[derive(serde::Serialize)]
struct SpaceRow {
    id: String,
    devices: usize,
    envelopes: u64,
    bytes: u64,
    blobs: usize,
    /// Parts of blobs included.
    blob_bytes: u64,
    trimmed: bool,
}

/// How many envelopes of a device are stored, from `from` on.
fn stored_from(
    store: &LocalStore,
    space: &SpaceId,
    head: &Head,
    mut from: u64,
) -> Result<u64, StoreError> {
    let mut count = 0;
    while from <= head.counter {
        let page = store.counters(space, &head.device, from, head.counter, 4096)?;
        let Some(last) = page.last() else {
            break;
        };
        from = last + 1;
        count += page.len() as u64;
    }
    Ok(count)
}

/// Up to where each device of a space is trimmed.
fn floors(store: &LocalStore, space: &SpaceId) -> Result<Frontier, StoreError> {
    let record = store.trim(space)?;
    let record = record.and_then(|bytes| TrimRecord::parse(&bytes).ok());
    Ok(record.map_or_else(Frontier::default, |record| record.statement.cover))
}

/// What of the blobs of a space is not what was stored.
fn damaged_blobs(store: &LocalStore, space: &SpaceId) -> Result<u64, StoreError> {
    let mut damaged = 0;
    for blob in store.blobs(space)? {
        let (mut hasher, mut at) = (Sha256::new(), 0);
        loop {
            let bytes = match store.files().read(space, &blob.id, true, at, 1 << 20) {
                Err(StoreError::Damaged) => break,
                bytes => bytes?,
            };
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            hasher.update(&bytes);
        }
        damaged += u64::from(at != blob.length || hasher.finalize().as_slice() != blob.id.0);
    }
    Ok(damaged)
}

fn doctor(data: &DataDir, json: bool) -> Result<(), Failure> {
    let store = stopped_store(data, json)?;
    let damaged = store.verify().or_fail(json)?;
    let spaces = store.spaces().or_fail(json)?;
    let (mut missing, mut blobs) = (0u64, 0u64);
    for space in &spaces {
        // What is folded into a snapshot is not missing.
        let floors = floors(&store, space).or_fail(json)?;
        for head in store.heads(space).or_fail(json)? {
            let floor = floors.counter(&head.device);
            let there = stored_from(&store, space, &head, floor + 1).or_fail(json)?;
            missing += head.counter.saturating_sub(floor).saturating_sub(there);
        }
        blobs += damaged_blobs(&store, space).or_fail(json)?;
    }
    let spaces = spaces.len();
    if json {
        let report = json!({
            "spaces": spaces, "damaged": damaged, "missing": missing, "damaged_blobs": blobs
        });
        print(&report.to_string(), json)?;
    } else {
        print(
            &format!(
                "{spaces} spaces, {damaged} damaged records, {missing} missing envelopes, \
                 {blobs} damaged blobs"
            ),
            json,
        )?;
    }
    if damaged == 0 && missing == 0 && blobs == 0 {
        Ok(())
    } else if damaged == 0 && missing == 0 {
        Err(
            "blobs are damaged. Nothing has to be done: the relay gives one up when somebody \
             fetches it, and then takes it again from a device that has it",
        )
        .or_fail(json)
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
    let level = std::env::var(LOG).unwrap_or_else(|_| "info".to_owned());
    let level: LevelFilter = level
        .parse()
        .map_err(|_| format!("{LOG}={level} is no log level; try info or debug"))
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
    if data.key_is_open_to_others() {
        tracing::warn!("others on this machine can read relay.key; run chmod 600 on it");
    }
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
