//! What an edit, a start, a list and a search cost in a journal of a hundred to a hundred thousand
//! entries.
//!
//! `cargo run --release -p ajar-tests --bin growth -- [ENTRIES…]`
//!
//! Entries are made up, 900 characters each, in the space of one person; no relay takes part.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ajar_journal::{entry, summary};
use ajar_sync::automerge::Automerge;
use ajar_sync::automerge::transaction::Transaction;
use ajar_sync::{
    BatchEdit, Builder, DocId, KdfParams, NewHome, Ownership, Passphrase, RowQuery, Space,
    SpaceKind, Summarize, Summary,
};

type Failure = Box<dyn std::error::Error>;

const BATCH: usize = 256;
const EDITS: usize = 301;

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

fn builder(dir: &Path) -> Result<Builder, Failure> {
    let passphrase = Passphrase::new("quiet harbor linen oak")?;
    Ok(Builder::new(dir)
        .with_passphrase(passphrase)
        .with_kdf(KdfParams::FLOOR)
        .with_summarize(Arc::new(Journal)))
}

/// An entry of a decade, in no order of its days.
fn write(tx: &mut Transaction<'_>, number: usize) -> Result<(), String> {
    let day = number * 7919 % 3650;
    let date = format!(
        "{}-{:02}-{:02}",
        2016 + day / 365,
        day / 31 % 12 + 1,
        day % 28 + 1
    );
    let new = entry::NewEntry {
        title: None,
        date,
        text: format!("Entry {number}. ").repeat(900 / 14),
        tags: Vec::new(),
        created_at_ms: 0,
    };
    entry::create(tx, &new).map_err(|error| error.to_string())
}

fn fill(space: &Space, from: usize, to: usize) -> Result<Vec<DocId>, Failure> {
    let numbers: Vec<usize> = (from..to).collect();
    let mut ids = Vec::new();
    for batch in numbers.chunks(BATCH) {
        let mut edits = Vec::new();
        for number in batch.iter().copied() {
            let doc = space.create_document(Ownership::Mine)?.id();
            ids.push(doc);
            let apply = Box::new(move |tx: &mut Transaction<'_>| write(tx, number));
            edits.push(BatchEdit { doc, apply });
        }
        space.change_all(edits)?;
    }
    Ok(ids)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
fn main() -> Result<(), Failure> {
    let mut sizes: Vec<usize> = Vec::new();
    for argument in std::env::args().skip(1) {
        sizes.push(argument.parse()?);
    }
    if sizes.is_empty() {
        sizes = vec![100, 1000, 10_000, 90_000];
    }
    let folder = tempfile::tempdir()?;
    let new = NewHome {
        name: "Ana".to_owned(),
        device: "laptop".to_owned(),
        relay: None,
    };
    builder(folder.path())?.create(new)?.0.close()?;
    let mut have = 0;
    for size in sizes {
        let home = builder(folder.path())?.open()?;
        let me = home.space(SpaceKind::Private)?;
        let ids = fill(&me, have, size)?;
        have = size;
        home.close()?;
        let home = builder(folder.path())?.open()?;
        let me = home.space(SpaceKind::Private)?;
        let mut edits = Vec::new();
        for n in 0..EDITS {
            let doc = *ids.get(n * 7919 % ids.len()).ok_or("no entry")?;
            let text = Some(format!("Edited {n}. ").repeat(70));
            let began = Instant::now();
            me.document(doc).change(move |tx| {
                let edit = entry::Edit {
                    text,
                    saved_at_ms: 1,
                    ..entry::Edit::default()
                };
                entry::edit(tx, &edit).map(drop).map_err(|e| e.to_string())
            })?;
            edits.push(began.elapsed());
        }
        let began = Instant::now();
        let listed = me
            .rows(RowQuery {
                limit: 50,
                ..RowQuery::default()
            })?
            .len();
        let list = began.elapsed();
        home.close()?;
        let mut starts = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            let home = builder(folder.path())?.open()?;
            starts.push(began.elapsed());
            home.close()?;
        }
        println!(
            "{size} entries: edit {:.2?}, start with passphrase {:.2?}, list of {listed} {list:.2?}",
            median(edits),
            median(starts)
        );
    }
    Ok(())
}
