//! Writes a real diary through the library, opens all of it to the partner, syncs, and says
//! how long each step took and how many bytes crossed.
//!
//! `cargo run --release -p ajar-tests --bin diary -- DIARY.jsonl [--one-by-one]`
//!
//! The diary is a file with one JSON object a line: `{"date": "1660-01-01", "text": "…"}`.
//! The relay is a process of its own; Ana and Ben are two homes in this process.

use std::time::{Duration, Instant};

use ajar_journal::opening::Stage;
use ajar_journal::{entry, opening};
use ajar_sync::{
    BatchEdit, Builder, DocId, Home, Invitation, NewHome, Ownership, Passphrase, Space, SpaceKind,
};
use ajar_tests::relay::Relay;

type Failure = Box<dyn std::error::Error>;

/// Entries per durable batch.
const BATCH: usize = 256;
const WAIT: Duration = Duration::from_secs(600);

struct Day {
    date: String,
    text: String,
}

fn read_diary(path: &str) -> Result<Vec<Day>, Failure> {
    let mut days = Vec::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let json: serde_json::Value = serde_json::from_str(line)?;
        let field = |name: &str| json.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        let day = Day {
            date: field("date").ok_or("a line has no date")?,
            text: field("text").ok_or("a line has no text")?,
        };
        days.push(day);
    }
    Ok(days)
}

fn home(dir: &std::path::Path, name: &str, relay: &str) -> Result<Home, Failure> {
    let new = NewHome {
        name: name.to_owned(),
        device: "laptop".to_owned(),
        relay: Some(relay.parse()?),
    };
    let passphrase = Passphrase::new("quiet harbor linen oak")?;
    Ok(Builder::new(dir).with_passphrase(passphrase).create(new)?.0)
}

async fn pair(ana: &Home, ben: &Home) -> Result<(), Failure> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let show = ana.pair(move |code| drop(tell.send(code)), |_| true);
    let enter = async {
        let invitation: Invitation = told.await?.invitation.parse()?;
        ben.join(&invitation, |_| true).await?;
        Ok::<_, Failure>(())
    };
    let (shown, entered) = tokio::join!(show, enter);
    shown?;
    entered
}

/// Keeps one batch of changes, each in a new document.
fn keep<T: Send + 'static>(
    space: &Space,
    items: Vec<T>,
    write: impl Fn(&mut ajar_sync::automerge::transaction::Transaction<'_>, &T) -> Result<(), String>
    + Send
    + Clone
    + 'static,
) -> Result<Vec<DocId>, Failure> {
    let mut ids = Vec::new();
    let mut edits = Vec::new();
    for item in items {
        let doc = space.create_document(Ownership::Mine)?.id();
        ids.push(doc);
        let write = write.clone();
        edits.push(BatchEdit {
            doc,
            apply: Box::new(move |tx| write(tx, &item)),
        });
    }
    space.change_all(edits)?;
    Ok(ids)
}

fn chunks<T>(items: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut all = Vec::new();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        all.push(items.by_ref().take(size).collect());
    }
    all
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let one_by_one = arguments.iter().any(|argument| argument == "--one-by-one");
    let path = arguments
        .iter()
        .find(|argument| !argument.starts_with("--"));
    let path = path.ok_or("usage: diary DIARY.jsonl [--one-by-one]")?;
    let days = read_diary(path)?;
    let characters: usize = days.iter().map(|day| day.text.len()).sum();
    println!("diary: {} entries, {characters} bytes of text", days.len());
    let count = days.len();
    let size = if one_by_one { 1 } else { BATCH };

    let relay = Relay::start();
    let address = relay.invite();
    let folder = tempfile::tempdir()?;
    let ana = home(&folder.path().join("ana"), "Ana", &address)?;
    let ben = home(&folder.path().join("ben"), "Ben", &address)?;
    pair(&ana, &ben).await?;
    let me = ana.space(SpaceKind::Private)?;
    let (us_ana, us_ben) = (ana.space(SpaceKind::Shared)?, ben.space(SpaceKind::Shared)?);

    let began = Instant::now();
    let mut entries = Vec::new();
    for batch in chunks(days, size) {
        entries.extend(keep(&me, batch, |tx, day: &Day| {
            let new = entry::NewEntry {
                title: None,
                date: day.date.clone(),
                text: day.text.clone(),
                tags: Vec::new(),
                created_at_ms: 0,
            };
            entry::create(tx, &new).map_err(|error| error.to_string())
        })?);
    }
    println!("kept in Only me, durable: {:.2?}", began.elapsed());

    let began = Instant::now();
    let mut projections = Vec::new();
    for id in &entries {
        let entry = me.document(*id).read(entry::read)??;
        projections.push(opening::project(&entry, Stage::Room)?);
    }
    for batch in chunks(projections, size) {
        keep(&us_ana, batch, |tx, projection: &opening::Projection| {
            opening::create(tx, projection, "2026-01-01").map_err(|error| error.to_string())
        })?;
    }
    println!("opened to Ben, durable here: {:.2?}", began.elapsed());

    let began = Instant::now();
    us_ana.sync(WAIT).await?;
    let (sent, received) = us_ana.traffic();
    println!(
        "Ana to relay: {:.2?}, {sent} bytes sent, {received} received",
        began.elapsed()
    );

    let began = Instant::now();
    us_ben.sync(WAIT).await?;
    let (sent, received) = us_ben.traffic();
    println!(
        "relay to Ben: {:.2?}, {received} bytes received, {sent} sent",
        began.elapsed()
    );
    let theirs = us_ben.documents()?.len();
    if theirs != count {
        return Err(format!("Ben has {theirs} of {count} documents").into());
    }

    let began = Instant::now();
    me.sync(WAIT).await?;
    let (sent, _) = me.traffic();
    println!(
        "Only me to relay: {:.2?}, {sent} bytes sent",
        began.elapsed()
    );
    let stored: u64 = ajar_tests::canary::files(&relay.data().join("db"))
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|metadata| {
            use std::os::unix::fs::MetadataExt;
            metadata.blocks() * 512
        })
        .sum();
    println!("relay's disk: {stored} bytes");
    Ok(())
}
