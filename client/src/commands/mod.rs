//! One module per command.

mod burn;
mod close;
mod compare;
mod demo;
mod device;
mod doctor;
mod edit;
mod erase;
mod evidence;
mod export;
mod history;
mod import_ajar;
mod init;
mod join;
mod link;
mod list;
mod lock;
mod open;
mod pair;
mod passphrase;
mod photo;
mod recover;
mod relay;
mod search;
mod show;
mod status;
mod sync;
mod tidy;
mod unlock;
mod words;
mod write;

use std::time::{Duration, Instant};

use ajar_sync::{ConnectError, Error, Misuse, Space, Synced};

use crate::cli::{Command, Import, ImportFormat};
use crate::context::Context;
use crate::names::space_word;
use crate::output::Output;
use crate::report::Failure;
use crate::{beginning, dates};

/// Name of the sealed local note of when a space last exchanged with the relay: milliseconds
/// since 1970, 8 bytes, big-endian.
const LAST_HEARD: &str = "client/last-heard";

pub(crate) fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    let _runtime = context.enter();
    dates::check_clock()?;
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Pair(args) => pair::run(context, args),
        Command::Join(args) => join::run(context, args),
        Command::Device(args) => device::run(context, args),
        Command::Write(args) => write::run(context, args),
        Command::Open(args) => open::run(context, args),
        Command::List(args) => list::run(context, args),
        Command::Search(args) => search::run(context, args),
        Command::Show(args) => show::run(context, args),
        Command::Edit(args) => edit::run(context, args),
        Command::Photo(args) => photo::run(context, args),
        Command::History(args) => history::run(context, args),
        Command::Burn(args) => burn::run(context, args),
        Command::Tidy(args) => tidy::run(context, args),
        Command::Sync(args) => sync::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::Doctor(args) => doctor::run(context, args),
        Command::Lock(_) => lock::run(context),
        Command::Unlock(args) => unlock::run(context, args),
        Command::Passphrase(args) => passphrase::run(context, args),
        Command::Words(args) => words::run(context, args),
        Command::Recover(args) => recover::run(context, args),
        Command::Close(args) => close::run(context, args),
        Command::Erase(args) => erase::run(context, args),
        Command::Export(args) => export::run(context, args),
        Command::Import(args) => import(context, args),
        Command::Relay(args) => relay::run(context, args),
        Command::Demo(args) => demo::run(context, args),
    }
}

/// Brings in a file, of whatever kind it is.
fn import(context: &Context, args: &Import) -> Result<(), Failure> {
    match args.format {
        None if args.file.is_file() && !import_ajar::is_one(&args.file) => {
            let name = args.file.display().to_string();
            let name = ajar_journal::text::displayable_line(&name);
            Err(Failure::fixable(
                "import-file",
                format!("{name} is nothing that can be brought in."),
            )
            .hint("Name an archive that `ajar export FILE.zip` wrote."))
        }
        None | Some(ImportFormat::Ajar) => import_ajar::run(context, &args.file, args.dry_run),
    }
}

/// One round with the relay for one space; notes when it succeeded. A copy that was restored
/// receives what is there to be read, but delivers nothing, and that must not look like success.
async fn exchange(out: Output, space: &Space, timeout: Duration) -> Result<usize, Error> {
    let began = Instant::now();
    let work = sync_on(space, timeout);
    let synced = beginning::watched(out, space, Result::is_ok, work).await;
    let (sent, received) = space.traffic();
    tracing::info!(
        space = space_word(space.kind()),
        sent_bytes = sent,
        received_bytes = received,
        took_ms = began.elapsed().as_millis(),
        "exchange with the relay",
    );
    let synced = synced?;
    note_heard(space);
    if space.status()?.engine.stale {
        return Err(Misuse::StaleCopy.into());
    }
    Ok(synced.changed)
}

/// One round. As long as a beginning goes on, time is not up.
async fn sync_on(space: &Space, timeout: Duration) -> Result<Synced, Error> {
    space.connect()?;
    let mut before = None;
    let synced = loop {
        let synced = space.sync(timeout).await;
        let progress = tokio::task::block_in_place(|| space.start_progress())?;
        let waits = matches!(synced, Err(Error::Undelivered(ConnectError::Busy)));
        if !waits || progress.is_none() || progress == before {
            break synced;
        }
        before = progress;
    };
    space.disconnect().await;
    synced
}

/// Notes that the relay was heard just now. Only `status` reads it, so a failure is no reason to
/// spoil what went before.
fn note_heard(space: &Space) {
    let now = dates::now_ms().to_be_bytes().to_vec();
    if let Err(error) = tokio::task::block_in_place(|| space.set_local(LAST_HEARD, Some(now))) {
        tracing::info!(
            code = error.code(),
            "the time of this exchange was not noted"
        );
    }
}

/// When the relay was last heard, in milliseconds since 1970.
fn last_heard(space: &Space) -> Result<Option<i64>, Failure> {
    let noted = space.local(LAST_HEARD)?;
    Ok(noted
        .and_then(|bytes| bytes.try_into().ok())
        .map(i64::from_be_bytes))
}
