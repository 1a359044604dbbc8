//! `ajar sync`: one exchange for both spaces, or staying in touch with `--watch`.

use std::time::Duration;

use ajar_journal::schema::Kind;
use ajar_journal::text::displayable_line;
use ajar_sync::{
    ConnectError, Connection, DocId, Error, Home, NoticeKind, PartyId, Space, SpaceEvent, SpaceKind,
};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{exchange, last_heard, note_heard, together};
use crate::cli::Sync;
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name, space_word};
use crate::output::Output;
use crate::records::Content;
use crate::report::{Exit, Failure, sentence};
use crate::{beginning, between, fading, ids, lines, names, notices, records};

/// Longest time for the exchange of Only me when a watch begins.
const GREETING: Duration = Duration::from_secs(8);

pub(crate) fn run(context: &Context, args: &Sync) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    if home.relay().is_none() {
        return Err(Error::Connect(ConnectError::NoRelay).into());
    }
    if args.trust_partner_copy {
        home.space(SpaceKind::Shared)?.trust_partners_copy()?;
    }
    let done = if args.watch {
        context.block_on(watch(context.out, &home, args.timeout))
    } else {
        context.block_on(once(context.out, &home, args.timeout))
    };
    let closed = home.close();
    done?;
    Ok(closed?)
}

async fn once(out: Output, home: &Home, timeout: Duration) -> Result<(), Failure> {
    let (me, us) = (
        open_whole(home, SpaceKind::Private)?,
        open_whole(home, SpaceKind::Shared)?,
    );
    if me.is_none() && us.is_none() && home.damaged().is_empty() {
        return Err(Error::PrivateLocked.into());
    }
    // Only me first: another device of this person may have left the shared space quietly, or moved
    // it, and then not even a login may be sent.
    let me_done = maybe(out, me.as_ref(), timeout).await;
    let mut us_done = maybe(out, us.as_ref(), timeout).await;
    if let (Some(us), Some(Ok(changed))) = (&us, &mut us_done)
        && goes_on(home, us)
    {
        match exchange(out, us, timeout).await {
            Ok(more) => *changed += more,
            Err(error) => us_done = Some(Err(error)),
        }
    }
    let mut results = vec![(SpaceKind::Shared, us_done), (SpaceKind::Private, me_done)];
    for (kind, why) in home.damaged() {
        results.push((*kind, Some(Err(Error::Damaged(why.clone())))));
    }
    let mut lines: Vec<Value> = Vec::new();
    let mut worst: Option<Failure> = None;
    // What a person decided is no failure, unless nothing else was there to be done.
    let (mut resting, mut exchanged): (Option<Failure>, bool) = (None, false);
    for (kind, result) in results {
        let Some(result) = result else { continue };
        match result {
            Ok(changed) => {
                exchanged = true;
                lines.push(json!({"space": space_word(kind), "synced": true, "changed": changed}));
                let news = match changed {
                    0 => "nothing new".to_owned(),
                    1 => "1 thing new or changed".to_owned(),
                    many => format!("{many} things new or changed"),
                };
                out.talk(format!(
                    "{}: delivered and received, {news}.",
                    space_name(kind)
                ));
            }
            Err(error) => {
                let chosen = is_chosen(&error);
                let failure = explain(home, kind, error);
                lines.push(json!({
                    "space": space_word(kind),
                    "synced": false,
                    "code": failure.code(),
                    "message": failure.message(),
                }));
                if chosen {
                    out.talk(sentence(failure.message()));
                    resting = Some(failure);
                } else if worst.as_ref().is_none_or(|worst| {
                    // A relay that lies goes before one that is away.
                    failure.exit() == Exit::Broke && worst.exit() != Exit::Broke
                }) {
                    worst = Some(failure);
                }
            }
        }
    }
    if exchanged && let Err(error) = home.finish_recovery(timeout).await {
        tracing::info!(code = error.code(), "the recovery is not finished yet");
    }
    if out.json {
        out.json(&json!({"spaces": lines}))?;
    }
    if me.is_none() && !names::is_damaged(home, SpaceKind::Private) {
        out.talk("Only me is locked and was left out; set AJAR_PRIVATE_PASSPHRASE to include it.");
    }
    match (worst, exchanged) {
        (Some(failure), _) => Err(failure),
        (None, false) => resting.map_or(Ok(()), Err),
        (None, true) => Ok(()),
    }
}

/// What follows by itself from what has arrived; returns whether that has to be delivered.
fn goes_on(home: &Home, us: &Space) -> bool {
    let shown = together::show_due_quietly(home);
    fading::burn_quietly(us) || shown > 0
}

/// Whether a space was not exchanged because its owner wants it so.
pub(super) fn is_chosen(error: &Error) -> bool {
    let (Error::Connect(why) | Error::Undelivered(why)) = error else {
        return false;
    };
    matches!(
        why,
        ConnectError::Off | ConnectError::Paused | ConnectError::Left
    )
}

/// The space, or `None` also if it is damaged, which is told apart.
fn open_whole(home: &Home, kind: SpaceKind) -> Result<Option<Space>, Failure> {
    match home.space(kind) {
        Err(Error::Damaged(_)) => Ok(None),
        _ => open(home, kind),
    }
}

/// The space, or `None` if it is locked or not there yet.
fn open(home: &Home, kind: SpaceKind) -> Result<Option<Space>, Failure> {
    match home.space(kind) {
        Ok(space) => Ok(Some(space)),
        Err(Error::PrivateLocked | Error::NotPaired | Error::NotOnThisDevice) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn maybe(
    out: Output,
    space: Option<&Space>,
    timeout: Duration,
) -> Option<Result<usize, Error>> {
    match space {
        Some(space) => Some(exchange(out, space, timeout).await),
        None => None,
    }
}

/// What stands in the way. A device that may not begin from the copy that there is waits for
/// nothing that a relay could do.
fn explain(home: &Home, kind: SpaceKind, error: Error) -> Failure {
    let space = match &error {
        Error::Undelivered(ConnectError::Busy) => home.space(kind).ok(),
        _ => None,
    };
    // Once an exchange has succeeded, that is over.
    let vouches = space.is_some_and(|space| {
        let heard = last_heard(&space).ok().flatten().unwrap_or(i64::MIN);
        let notices = space.status().map(|status| status.engine.notices);
        notices.unwrap_or_default().iter().any(|notice| {
            matches!(notice.kind, NoticeKind::OnlyPartnerVouches) && notice.at_ms > heard
        })
    });
    if !vouches {
        return error.into();
    }
    let partner = Names::of(home).partner().to_owned();
    Failure::fixable(
        "partner-vouches",
        format!("Only {partner}'s device can vouch for the copy of what was written earlier; it was not used."),
    )
    .hint("Let another device of yours sync and write something, or, if you trust this copy: `ajar sync --trust-partner-copy`.")
}

/// Stays with the shared space until a signal. Only me is exchanged at the beginning, and then it is
/// locked: while this runs nobody else can write in it, so there is nothing to say at the end, and
/// a device that is taken away in the middle holds no key to it.
async fn watch(out: Output, home: &Home, timeout: Duration) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let us = home.space(SpaceKind::Shared)?;
    let me = open_whole(home, SpaceKind::Private)?;
    let mut teller = Teller {
        out,
        names: Names::of(home),
        space: us.clone(),
        last: None,
    };
    let mut events = us.events();
    if let Some(me) = me {
        // First of all, as in a single exchange.
        let done = tokio::select! {
            () = stop.asked() => return Ok(()),
            done = exchange(out, &me, timeout.min(GREETING)) => done,
        };
        if let Err(error) = done
            && !is_chosen(&error)
        {
            out.talk(format!("Only me: {}", sentence(&error.to_string())));
        }
        together::show_due_quietly(home);
    }
    tokio::task::block_in_place(|| home.lock_private())?;
    us.connect()?;
    let told = loop {
        tokio::select! {
            () = stop.asked() => break Ok(()),
            event = events.next() => {
                let Some(event) = event else {
                    break Err(Failure::from(Error::Closed));
                };
                if let Err(failure) = tokio::task::block_in_place(|| teller.tell(event)) {
                    break Err(failure);
                }
            }
        }
    };
    us.disconnect().await;
    told
}

/// SIGINT (Ctrl-C) and SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn new() -> Result<Self, Failure> {
        let handler = |kind| {
            signal(kind).map_err(|error| {
                Failure::fixable("system", format!("Cannot listen for signals: {error}."))
            })
        };
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
        })
    }

    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Says what happens, a line for each thing.
struct Teller {
    out: Output,
    names: Names,
    space: Space,
    /// The last state of the connection that was told.
    last: Option<(&'static str, Option<&'static str>)>,
}

impl Teller {
    fn tell(&mut self, event: SpaceEvent) -> Result<(), Failure> {
        match event {
            // What was done here is known here.
            SpaceEvent::Document { here: true, .. } => Ok(()),
            SpaceEvent::Document { doc, by, .. } => self.document(doc, by),
            SpaceEvent::Burned { doc, .. } if fading::is_bid(&self.space, doc)? => Ok(()),
            SpaceEvent::Burned { doc, by } => {
                let author = Author::of(&self.space, Some(by));
                let name = self.names.name(author);
                self.line(
                    &json!({
                        "event": "burned",
                        "space": "us",
                        "id": ids::text(doc),
                        "author": author.word(),
                        "author_name": name,
                    }),
                    &format!("{}  {name}: burned", ids::short(doc)),
                )
            }
            SpaceEvent::Started => {
                beginning::ended(&self.space);
                self.line(
                    &json!({"event": "started", "space": "us"}),
                    "What was written before is here.",
                )
            }
            SpaceEvent::CaughtUp => {
                note_heard(&self.space);
                self.line(
                    &json!({"event": "caught-up", "space": "us"}),
                    "Everything that waited at the relay is here.",
                )
            }
            SpaceEvent::Delivered => self.line(
                &json!({"event": "delivered", "space": "us"}),
                "The relay has everything written here.",
            ),
            SpaceEvent::Notice(notice) => {
                if fading::Burns::of(&self.space)?.keeps_quiet(&notice.kind, notice.at_ms) {
                    return Ok(());
                }
                let (_, text) = notices::words(&notice, &self.space, &self.names);
                let mut value = notices::to_json(&notice, &self.space, &self.names);
                if let Value::Object(fields) = &mut value {
                    fields.insert("event".to_owned(), json!("notice"));
                    fields.insert("space".to_owned(), json!("us"));
                }
                self.line(&value, &text)
            }
            SpaceEvent::Connection(connection) => self.connection(&connection),
            SpaceEvent::Missed => self.line(
                &json!({"event": "missed", "space": "us"}),
                "More arrived than could be said one by one; `ajar list --us` shows all of it.",
            ),
            // The devices of a party: the notice that comes with it says it in words.
            _ => Ok(()),
        }
    }

    fn document(&self, doc: DocId, by: PartyId) -> Result<(), Failure> {
        let content = match records::read(&self.space.document(doc)) {
            // Burned since, or damaged, which lists say.
            Err(failure) if failure.code() == "not-found" || records::is_damage(&failure) => {
                return Ok(());
            }
            content => content?,
        };
        let Content::Record(record) = content else {
            return Ok(());
        };
        // A yes or a no is no news: it would tell of a no that is nobody's to tell.
        if record.kind() == Kind::Consent {
            return Ok(());
        }
        let author = Author::of(&self.space, Some(by));
        if between::may_go(&record.kind()) && between::is_gone(&self.space, doc, author)? {
            return Ok(());
        }
        let name = self.names.name(author);
        let value = json!({
            "event": "document",
            "space": "us",
            "id": ids::text(doc),
            "author": author.word(),
            "author_name": name,
            "kind": record.kind().as_str(),
            "title": record.title(),
        });
        let heading = lines::heading(&record.item(doc));
        self.line(&value, &format!("{}  {name}: {heading}", ids::short(doc)))
    }

    fn connection(&mut self, connection: &Connection) -> Result<(), Failure> {
        let (state, why) = match connection {
            Connection::Off => ("off", None),
            Connection::Connecting => ("connecting", None),
            Connection::Online { .. } => ("online", None),
            Connection::Waiting { why, .. } => ("waiting", Some(why.code())),
        };
        // Trying again for the same reason is no news.
        let retrying =
            state == "connecting" && self.last.is_some_and(|(last, _)| last == "waiting");
        if retrying || self.last == Some((state, why)) {
            return Ok(());
        }
        self.last = Some((state, why));
        let mut value = json!({"event": "connection", "space": "us", "state": state});
        let words = match connection {
            Connection::Off => "Not connected.".to_owned(),
            Connection::Connecting => "Connecting …".to_owned(),
            Connection::Online { .. } => "Connected.".to_owned(),
            Connection::Waiting { why, retry_in } => {
                let reason = displayable_line(&why.to_string());
                if let Value::Object(fields) = &mut value {
                    fields.insert("code".to_owned(), json!(why.code()));
                    fields.insert("message".to_owned(), json!(reason));
                    fields.insert("retry_in_s".to_owned(), json!(retry_in.as_secs()));
                }
                format!(
                    "{} Everything you wrote is kept here; trying again.",
                    sentence(&reason)
                )
            }
        };
        self.line(&value, &words)
    }

    fn line(&self, value: &Value, words: &str) -> Result<(), Failure> {
        self.out.data(value, || words.to_owned())
    }
}
