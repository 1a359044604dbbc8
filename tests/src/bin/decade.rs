//! A journal of ten years in the shared space, with an answer to every day and a photo on every
//! tenth: what it costs at the relay before and after it is folded, how fast a new device has it, how fast a device catches
//! up, lists and searches.
//!
//! `cargo run --release -p ajar-tests --bin decade -- DIARY.jsonl [DIR]`
//!
//! The diary is a file with one JSON object a line: `{"date": "1660-01-01", "text": "…"}`. The
//! relay is a process of its own, and so is each new device that is measured.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ajar_journal::layers::Layers;
use ajar_journal::opening::Stage;
use ajar_journal::photo::{self, Photo};
use ajar_journal::{entry, opening, summary};
use ajar_sync::automerge::Automerge;
use ajar_sync::automerge::transaction::Transaction;
use ajar_sync::{
    BatchEdit, Builder, DocId, Home, Invitation, KdfParams, NewDevice, NewHome, Ownership,
    Passphrase, RowQuery, Space, SpaceEvent, SpaceKind, Summarize, Summary,
};
use ajar_tests::relay::Relay;
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

const BATCH: usize = 256;
const WAIT: Duration = Duration::from_secs(600);
const RUNS: usize = 5;
const EDITS: usize = 1000;
/// One day in so many has a photo, of so many bytes, with a small picture.
const PHOTO_EVERY: usize = 10;
const PHOTO: usize = 120_000;
const THUMB: usize = 12_000;

struct Journal;

impl Summarize for Journal {
    fn version(&self) -> u32 {
        1
    }

    fn summarize(&self, doc: &Automerge) -> Option<Summary> {
        let summary = summary::of(doc)?;
        Some(Summary {
            shelf: summary.shelf,
            sort: summary.sort,
            head: summary.head,
            text: summary.text,
        })
    }
}

#[derive(Clone)]
struct Day {
    date: String,
    text: String,
    photo: Option<Photo>,
}

fn read_diary(path: &str) -> Result<Vec<Day>, Failure> {
    let mut days = Vec::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let json: serde_json::Value = serde_json::from_str(line)?;
        let field = |name: &str| json.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        days.push(Day {
            date: field("date").ok_or("a line has no date")?,
            text: field("text").ok_or("a line has no text")?,
            photo: None,
        });
    }
    Ok(days)
}

/// Two hundred characters that no other answer has.
fn answer(number: usize) -> String {
    let words = [
        "harbor", "linen", "oak", "morning", "quiet", "letter", "rain", "window", "bread", "train",
        "garden", "slow", "warm", "afraid", "glad", "together", "tired", "open", "door", "later",
    ];
    let mut state = number as u64 * 6_364_136_223_846_793_005 + 1;
    let mut text = format!("Answer {number}:");
    while text.len() < 200 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        let word = words.get((state >> 33) as usize % words.len());
        text.push(' ');
        text.push_str(word.copied().unwrap_or_default());
    }
    text
}

fn builder(dir: &Path) -> Result<Builder, Failure> {
    let passphrase = Passphrase::new("quiet harbor linen oak")?;
    Ok(Builder::new(dir)
        .with_passphrase(passphrase)
        .with_kdf(KdfParams::FLOOR)
        .with_summarize(Arc::new(Journal)))
}

fn home(dir: &Path, name: &str, relay: &str) -> Result<Home, Failure> {
    let new = NewHome {
        name: name.to_owned(),
        device: "laptop".to_owned(),
        relay: Some(relay.parse()?),
    };
    Ok(builder(dir)?.create(new)?.0)
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

/// Links a device of Ana's for the shared space; it is closed again and has nothing yet.
async fn link(ana: &Home, dir: &Path) -> Result<(), Failure> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let add = ana.add_device(
        &[SpaceKind::Shared],
        WAIT,
        move |code| drop(tell.send(code)),
        |candidate| Some(candidate.right()),
    );
    let dir = dir.to_owned();
    let enter = async move {
        let invitation: Invitation = told.await?.invitation.parse()?;
        let new = NewDevice {
            name: "phone".to_owned(),
            relay: None,
        };
        let linked = builder(&dir)?.link(new, &invitation, |_| ()).await?;
        linked.close()?;
        Ok::<_, Failure>(())
    };
    let (added, entered) = tokio::join!(add, enter);
    added?;
    entered
}

type Write<T> = fn(&mut Transaction<'_>, &T) -> Result<(), String>;

fn keep<T: Send + Clone + 'static>(
    space: &Space,
    items: &[T],
    write: Write<T>,
) -> Result<Vec<DocId>, Failure> {
    let mut ids = Vec::new();
    for batch in items.chunks(BATCH) {
        let mut edits = Vec::new();
        for item in batch {
            let item = item.clone();
            let doc = space.create_document(Ownership::Mine)?.id();
            ids.push(doc);
            edits.push(BatchEdit {
                doc,
                apply: Box::new(move |tx| write(tx, &item)),
            });
        }
        space.change_all(edits)?;
    }
    Ok(ids)
}

fn open_day(tx: &mut Transaction<'_>, day: &Day) -> Result<(), String> {
    let entry = entry::Entry {
        title: None,
        title_others: Vec::new(),
        date: day.date.clone(),
        paragraphs: day
            .text
            .lines()
            .map(|line| ajar_journal::Paragraph {
                text: line.to_owned(),
                others: Vec::new(),
            })
            .collect(),
        tags: Vec::new(),
        created_at_ms: 0,
        saved_at_ms: 0,
        openings: Vec::new(),
        imported: None,
        photos: Vec::new(),
        layers: Layers::default(),
        sort: entry::Sort::Note,
        starred: false,
        let_rest: false,
    };
    let projection = opening::project(&entry, Stage::Room).map_err(|e| e.to_string())?;
    opening::create(tx, &projection, &day.date).map_err(|e| e.to_string())?;
    photo::add(tx, day.photo.as_slice(), 0).map_err(|e| e.to_string())
}

/// A photo of noise with its small picture.
fn photo(space: &Space, number: usize) -> Result<Photo, Failure> {
    let put = |length: usize| {
        let mut noise = vec![0; length];
        getrandom::fill(&mut noise)?;
        let blob = space.put_blob(&mut noise.as_slice(), length as u64)?;
        Ok::<_, Failure>(photo::BlobRef {
            id: blob.id.0,
            key: (*blob.key.key().expose()).into(),
            salt: *blob.key.salt(),
            length: blob.length,
        })
    };
    Ok(Photo {
        id: format!("{number:032x}"),
        content: put(PHOTO)?,
        media: photo::MediaType::Jpeg,
        size: Some((1600, 1200)),
        name: None,
        original: false,
        thumb: Some(put(THUMB)?),
    })
}

fn edit_day(tx: &mut Transaction<'_>) -> Result<(), String> {
    let now = opening::read(tx).map_err(|e| e.to_string())?;
    let edit = opening::Edit {
        text: Some(format!("{}\nAnd so to bed.", now.text())),
        ..opening::Edit::default()
    };
    opening::edit(tx, &edit)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// Bytes that files take on the disk.
fn on_disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = ajar_tests::canary::files(dir);
    let sizes = files.iter().filter_map(|file| std::fs::metadata(file).ok());
    sizes.map(|metadata| metadata.blocks() * 512).sum()
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "cp failed".into())
}

/// Peak of memory of this process so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let digits: String = line
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse::<u64>().unwrap_or(0) / 1024
}

/// What one device measures: connects, and tells when the first document, the end of the
/// beginning, and the end of the catching up have come.
async fn measure(dir: &Path) -> Result<(), Failure> {
    let home = builder(dir)?.open()?;
    let us = home.space(SpaceKind::Shared)?;
    let mut events = us.events();
    let began = Instant::now();
    us.connect()?;
    let (mut first, mut started) = (None, None);
    let mut changed = 0;
    loop {
        match events.next().await {
            Some(SpaceEvent::Document { here: false, .. }) => {
                changed += 1;
                first.get_or_insert_with(|| began.elapsed());
            }
            Some(SpaceEvent::Missed) => changed += 1,
            Some(SpaceEvent::Started) => started = Some(began.elapsed()),
            Some(SpaceEvent::CaughtUp) => break,
            Some(_) => {}
            None => return Err("closed".into()),
        }
    }
    let caught_up = began.elapsed();
    us.disconnect().await;
    let (sent, received) = us.traffic();
    let documents = us.documents()?.len();
    let listing = Instant::now();
    let listed = us
        .rows(RowQuery {
            limit: 50,
            ..RowQuery::default()
        })?
        .len();
    let listing = listing.elapsed();
    let words = vec!["navy".to_owned()];
    let searching = Instant::now();
    let found = us
        .rows(RowQuery {
            words,
            ..RowQuery::default()
        })?
        .len();
    let searching = searching.elapsed();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let report = json!({
        "first_ms": first.map(ms), "started_ms": started.map(ms), "caught_up_ms": ms(caught_up),
        "changed": changed, "documents": documents, "sent": sent, "received": received,
        "list_ms": ms(listing), "listed": listed, "search_ms": ms(searching), "found": found,
        "peak_mib": peak(),
    });
    print_line(&report.to_string());
    home.close()?;
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
fn print_line(line: &str) {
    println!("{line}");
}

/// Runs [`measure`] as a process of its own on a copy of a home.
fn measured(original: &Path, run: &Path) -> Result<serde_json::Value, Failure> {
    copy(original, run)?;
    let output = Command::new(std::env::current_exe()?)
        .arg("--measure")
        .arg(run)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(text.trim()).map_err(|e| format!("{e}: {text} {error}").into())
}

fn median(reports: &[serde_json::Value], name: &str) -> f64 {
    let values = reports
        .iter()
        .filter_map(|report| report.get(name)?.as_f64());
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Size of the text and the answers, a month at a time, as zstd makes it at level 19.
fn reference(days: &[Day]) -> Result<usize, Failure> {
    let mut months: std::collections::BTreeMap<&str, String> = Default::default();
    for (number, day) in days.iter().enumerate() {
        let month = months
            .entry(day.date.get(..7).unwrap_or_default())
            .or_default();
        month.push_str(&day.text);
        month.push_str(&answer(number));
    }
    let mut sum = 0;
    for month in months.values() {
        sum += zstd::bulk::compress(month.as_bytes(), 19)?.len();
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, dir] = arguments.as_slice()
        && flag == "--measure"
    {
        return measure(Path::new(dir)).await;
    }
    let path = arguments.first().ok_or("usage: decade DIARY.jsonl [DIR]")?;
    let mut days = read_diary(path)?;
    let text: usize = days.iter().map(|day| day.text.len()).sum();
    let small = reference(&days)?;
    print_line(&format!(
        "diary: {} days, {text} bytes; with answers, by month, zstd -19: {small} bytes",
        days.len()
    ));
    let temporary = tempfile::tempdir()?;
    let folder: PathBuf = arguments
        .get(1)
        .map_or(temporary.path().to_owned(), PathBuf::from);
    let relay = Relay::start_quiet();
    let address = relay.invite();
    let ana = home(&folder.join("ana"), "Ana", &address)?;
    let ben = home(&folder.join("ben"), "Ben", &address)?;
    pair(&ana, &ben).await?;
    let (us_ana, us_ben) = (ana.space(SpaceKind::Shared)?, ben.space(SpaceKind::Shared)?);

    for (number, day) in days.iter_mut().enumerate().step_by(PHOTO_EVERY) {
        day.photo = Some(photo(&us_ana, number)?);
    }
    let began = Instant::now();
    let openings = keep(&us_ana, &days, open_day)?;
    print_line(&format!("Ana keeps and opens: {:.2?}", began.elapsed()));
    for batch in openings.chunks(BATCH) {
        let edit = |doc: &DocId| BatchEdit {
            doc: *doc,
            apply: Box::new(edit_day),
        };
        us_ana.change_all(batch.iter().map(edit).collect())?;
    }
    let answers: Vec<Day> = (0..days.len())
        .filter_map(|n| {
            Some(Day {
                date: days.get(n)?.date.clone(),
                text: answer(n),
                photo: None,
            })
        })
        .collect();
    let replies = keep(&us_ben, &answers, open_day)?;
    let began = Instant::now();
    us_ana.sync(WAIT).await?;
    us_ben.sync(WAIT).await?;
    us_ana.sync(WAIT).await?;
    print_line(&format!("exchanged: {:.2?}", began.elapsed()));
    let (blobs, log) = (relay.data().join("blobs"), relay.data().join("db"));
    let photos = on_disk(&blobs);
    print_line(&format!(
        "relay's disk before: {photos} bytes of photos, {} in its log",
        on_disk(&log)
    ));

    let began = Instant::now();
    let tidied = us_ana.tidy(WAIT).await?;
    print_line(&format!(
        "Ana's snapshot: {:.2?} {tidied:?}",
        began.elapsed()
    ));
    let began = Instant::now();
    us_ben.sync(WAIT).await?;
    let first = *replies.first().ok_or("no answer")?;
    us_ben.document(first).change(edit_day)?;
    us_ben.sync(WAIT).await?;
    print_line(&format!(
        "Ben compares and endorses: {:.2?}",
        began.elapsed()
    ));
    let began = Instant::now();
    let tidied = us_ana.tidy(WAIT).await?;
    print_line(&format!(
        "Ana's second snapshot and trim: {:.2?} {tidied:?}",
        began.elapsed()
    ));
    us_ben.sync(WAIT).await?;
    us_ben.document(first).change(edit_day)?;
    us_ben.sync(WAIT).await?;
    let tidied = us_ana.tidy(WAIT).await?;
    us_ben.sync(WAIT).await?;
    // It gives room back at most once a minute.
    tokio::time::sleep(Duration::from_secs(70)).await;
    let (packs, log) = (on_disk(&blobs).saturating_sub(photos), on_disk(&log));
    let times = |bytes: u64| bytes as f64 / small as f64;
    print_line(&format!(
        "relay's disk after: the photos, {packs} bytes in packs ({:.2} times zstd -19), {log} in its \
         log: {:.2} times ({tidied:?})",
        times(packs),
        times(packs + log)
    ));

    let fresh = folder.join("fresh");
    link(&ana, &fresh).await?;
    let mut reports = Vec::new();
    for run in 0..RUNS {
        reports.push(measured(&fresh, &folder.join(format!("run{run}")))?);
    }
    print_line(&format!(
        "a new device, one run: {}",
        reports.first().ok_or("no run")?
    ));
    let figures = [
        "first_ms",
        "started_ms",
        "caught_up_ms",
        "received",
        "peak_mib",
        "list_ms",
        "search_ms",
    ];
    for name in figures {
        print_line(&format!("  {name}: {:.1}", median(&reports, name)));
    }

    for n in 0..EDITS {
        let doc = *replies.get(n % 50).ok_or("no answer")?;
        us_ben.document(doc).change(edit_day)?;
    }
    us_ben.sync(WAIT).await?;
    let behind = folder.join("run0");
    let mut reports = Vec::new();
    for run in 0..RUNS {
        reports.push(measured(&behind, &folder.join(format!("behind{run}")))?);
    }
    print_line(&format!(
        "a device {EDITS} edits behind, one run: {}",
        reports.first().ok_or("no run")?
    ));
    for name in ["first_ms", "caught_up_ms", "received", "peak_mib"] {
        print_line(&format!("  {name}: {:.1}", median(&reports, name)));
    }
    Ok(())
}
