//! One module per command.

mod agree;
mod bid;
mod book;
mod burn;
mod calendar;
mod capacity;
mod close;
mod compare;
mod day;
mod deliver;
mod demo;
mod device;
mod doctor;
mod doors;
mod edit;
mod erase;
mod evidence;
mod export;
mod history;
mod import;
mod init;
mod join;
mod letter;
mod link;
mod list;
mod lock;
mod map;
mod mute;
mod notes;
mod on_this_day;
mod open;
mod page;
mod pair;
mod passphrase;
mod pause;
mod photo;
mod question;
mod receiving;
mod recover;
mod relay;
mod ritual;
mod say;
mod search;
mod show;
mod status;
mod sync;
mod take_back;
mod tidy;
mod together;
mod tune;
mod unlock;
mod word;
mod words;
mod write;

use std::time::{Duration, Instant};

use ajar_sync::{ConnectError, Error, Misuse, Space, Synced};

use crate::cli::Command;
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
        Command::WordsFor(args) => notes::words_for(context, args),
        Command::Weigh(args) => notes::weigh(context, args),
        Command::Open(args) => open::run(context, args),
        Command::TakeBack(args) => take_back::run(context, args),
        Command::Doors(_) => doors::run(context),
        Command::See(args) => receiving::see(context, args),
        Command::Reflect(args) => receiving::reflect(context, args),
        Command::Check(args) => receiving::check(context, args),
        Command::Reply(args) => receiving::reply(context, args),
        Command::Felt(args) => notes::felt(context, args),
        Command::Thanks(args) => receiving::thanks(context, args),
        Command::Bid(args) => bid::run(context, args),
        Command::Answer(args) => bid::answer(context, args),
        Command::Capacity(args) => capacity::run(context, args),
        Command::Pause(args) => pause::run(context, args),
        Command::Tune(args) => tune::run(context, args),
        Command::Question(args) => question::run(context, args),
        Command::Map(args) => map::run(context, args),
        Command::List(args) => list::run(context, args),
        Command::Search(args) => search::run(context, args),
        Command::Show(args) => show::run(context, args),
        Command::Edit(args) => edit::run(context, args),
        Command::Photo(args) => photo::run(context, args),
        Command::History(args) => history::run(context, args),
        Command::Book(args) => book::run(context, args),
        Command::Word(args) => word::run(context, args),
        Command::Agree(args) => agree::run(context, args),
        Command::Letter(args) => letter::run(context, args),
        Command::Ritual(args) => ritual::run(context, args),
        Command::OnThisDay(args) => on_this_day::run(context, args),
        Command::Mute(args) => mute::run(context, args),
        Command::Calendar(args) => calendar::run(context, args),
        Command::Day(args) => day::run(context, args),
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
        Command::Import(args) => import::run(context, args),
        Command::Relay(args) => relay::run(context, args),
        Command::Demo(args) => demo::run(context, args),
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
