//! The table: what lists and searches need of every document, kept beside the documents in
//! the same batches, so that neither loads any of them.
//!
//! What a row holds is the application's to say ([`Summarize`]). The table can be made anew
//! from the documents at any time, so nothing that is wrong with it is an error for the
//! person: it is made anew then. Without an index there is no table; that is how one that is
//! outdated, damaged or half made is marked.

mod index;
mod page;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ajar_protocol::DocId;
use automerge::Automerge;

use crate::documents::DocMeta;
use crate::error::EngineError;
use crate::output::Event;
use crate::replica::Replica;
use crate::store::{Batch, Key, Store, StoreError};

use index::Index;
use page::{HEAD, Page, Place, Row, TEXT, Zstd};
pub use query::{RowQuery, TableRow};

/// Documents whose rows wait for the commit. All of them are still in memory then.
const TOUCHED: usize = 32;
/// Bytes of pages in memory after which they go into the pending batch.
const HELD: usize = 4 << 20;
/// Pages that stay in memory after a commit.
const KEPT: usize = 4;
/// Bytes of a batch after which making the table anew commits what it has.
const STEP: usize = 2 << 20;
/// Documents after which it does so too.
const STEP_DOCUMENTS: usize = 512;
/// So many numbers in a row without a page are the end of what an older table has left.
const LEFT_OVER: u32 = 256;

/// What a document is to lists and searches.
#[derive(Clone, PartialEq, Eq)]
pub struct Summary {
    /// What it is filed under: documents of one shelf go into a snapshot together.
    pub shelf: u32,
    /// What it is sorted by.
    pub sort: i64,
    /// What a line of a list needs, at most 4 KiB; the engine does not look into it. Without
    /// one, or with a longer one, the document has no row.
    pub head: Vec<u8>,
    /// What a search looks at, folded as the words looked for will be. What is longer than
    /// 1 MiB is cut.
    pub text: String,
}

impl std::fmt::Debug for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Summary").finish_non_exhaustive()
    }
}

/// What an application says about its documents.
pub trait Summarize: Send + Sync {
    /// Raised with every change of what [`Self::summarize`] gives: the table is made anew.
    fn version(&self) -> u32;

    /// What is kept of a document; `None` when it is nothing to list. Called on the thread of
    /// the replica after every change, with content that anybody may have written; a panic
    /// counts as `None`.
    fn summarize(&self, doc: &Automerge) -> Option<Summary>;

    /// What is to be said of a document that cannot be read from the disk.
    fn damaged(&self) -> Option<Summary> {
        None
    }
}

/// Whether there is a table.
enum State {
    /// Nobody has looked yet.
    Unread,
    /// There is none that holds.
    Missing,
    Ready(Index),
}

/// Why a row could not be put where it belongs.
enum Trouble {
    /// The table does not hold.
    Damaged,
    /// The store does not answer.
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(_) => Self::Damaged,
            other => Self::Store(other),
        }
    }
}

/// A page in memory.
struct Held {
    page: Page,
    /// No batch holds it yet.
    changed: bool,
    used: u64,
}

/// The table of a replica.
pub(crate) struct Table {
    summarize: Option<Arc<dyn Summarize>>,
    state: State,
    /// Documents that have changed since their rows were made.
    touched: BTreeSet<DocId>,
    pages: BTreeMap<u32, Held>,
    changed_index: bool,
    /// What another program has kept is gone, or there was nothing.
    gone: bool,
    /// The table is being made anew: its index is written at the end.
    building: bool,
    zstd: Zstd,
    clock: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            summarize: None,
            state: State::Unread,
            touched: BTreeSet::new(),
            pages: BTreeMap::new(),
            changed_index: false,
            gone: false,
            building: false,
            zstd: Zstd::default(),
            clock: 0,
        }
    }
}

impl Table {
    /// Forgets everything that was read: the store may hold something else.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            summarize: self.summarize.take(),
            ..Self::default()
        };
    }

    /// Finds out whether there is a table. `new`: the store holds no document yet.
    fn look(
        &mut self,
        store: &mut dyn Store,
        pending: &Batch,
        new: bool,
    ) -> Result<(), StoreError> {
        if !matches!(self.state, State::Unread) {
            return Ok(());
        }
        let version = self.summarize.as_ref().map(|summarize| summarize.version());
        let index = match load(&Key::TableIndex, store, pending) {
            Ok(bytes) => bytes.map(|bytes| Index::decode(&bytes).ok()),
            Err(Trouble::Damaged) => Some(None),
            Err(Trouble::Store(error)) => return Err(error),
        };
        self.state = match (index, version) {
            (Some(Some(index)), Some(version)) if index.version == version => State::Ready(index),
            (None, Some(version)) if new => State::Ready(Index::new(version)),
            _ => State::Missing,
        };
        Ok(())
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// There is no table from the next commit on, until it is made anew.
    fn give_up(&mut self, batch: &mut Batch) {
        self.state = State::Missing;
        self.pages.clear();
        self.changed_index = false;
        batch.delete(Key::TableIndex);
    }

    fn index(&mut self) -> Result<&mut Index, Trouble> {
        match &mut self.state {
            State::Ready(index) => Ok(index),
            _ => Err(Trouble::Damaged),
        }
    }

    fn page(
        &mut self,
        number: u32,
        store: &mut dyn Store,
        pending: &Batch,
    ) -> Result<&mut Held, Trouble> {
        self.clock += 1;
        let used = self.clock;
        if !self.pages.contains_key(&number) {
            let key = Key::TablePage(number);
            let record = load(&key, store, pending)?.ok_or(Trouble::Damaged)?;
            let page = Page::decode(&record, &mut self.zstd).ok_or(Trouble::Damaged)?;
            let changed = false;
            let held = Held {
                page,
                changed,
                used,
            };
            self.pages.insert(number, held);
        }
        let held = self.pages.get_mut(&number).ok_or(Trouble::Damaged)?;
        held.used = used;
        Ok(held)
    }

    /// Takes the row of that place out.
    fn take_out(
        &mut self,
        place: Place,
        store: &mut dyn Store,
        batch: &mut Batch,
    ) -> Result<(), Trouble> {
        let number = self.index()?.find(place).ok_or(Trouble::Damaged)?;
        let held = self.page(number, store, batch)?;
        if !held.page.remove(place) {
            return Err(Trouble::Damaged);
        }
        held.changed = true;
        if held.page.is_empty() {
            self.pages.remove(&number);
            self.index()?.remove(number);
            self.changed_index = true;
            batch.delete(Key::TablePage(number));
        }
        Ok(())
    }

    /// Puts a row in, over the one of the same place.
    fn put_in(
        &mut self,
        row: &Row<'_>,
        store: &mut dyn Store,
        batch: &mut Batch,
    ) -> Result<(), Trouble> {
        let number = match self.index()?.find(row.place) {
            Some(number) => number,
            None => self.add_page(row.place, Page::default())?,
        };
        let held = self.page(number, store, batch)?;
        if !held.page.put(row) {
            return Ok(());
        }
        held.changed = true;
        let mut open = vec![number];
        while let Some(number) = open.pop() {
            let held = self.page(number, store, batch)?;
            if let Some((first, behind)) = held.page.split(row.place) {
                let new = self.add_page(first, behind)?;
                open.extend([number, new]);
            }
        }
        let held: usize = self
            .pages
            .values()
            .map(|held| held.page.bytes().len())
            .sum();
        if held > HELD {
            self.flush(batch)?;
            self.pages.clear();
        }
        Ok(())
    }

    fn add_page(&mut self, first: Place, page: Page) -> Result<u32, Trouble> {
        let number = self.index()?.add(first);
        self.changed_index = true;
        self.clock += 1;
        let (changed, used) = (true, self.clock);
        let held = Held {
            page,
            changed,
            used,
        };
        self.pages.insert(number, held);
        Ok(number)
    }

    /// Puts changed pages into a batch.
    fn flush(&mut self, batch: &mut Batch) -> Result<(), Trouble> {
        for (number, held) in self.pages.iter_mut().filter(|(_, held)| held.changed) {
            let record = held.page.encode(&mut self.zstd).ok_or(Trouble::Damaged)?;
            batch.put(Key::TablePage(*number), record);
            held.changed = false;
        }
        Ok(())
    }

    /// Puts everything that has changed into the batch of a commit.
    pub(crate) fn save(&mut self, batch: &mut Batch) {
        if !self.is_ready() {
            return;
        }
        if self.flush(batch).is_err() {
            self.give_up(batch);
            return;
        }
        if self.changed_index
            && !self.building
            && let State::Ready(index) = &self.state
        {
            batch.put(Key::TableIndex, index.encode());
            self.changed_index = false;
        }
        while self.pages.len() > KEPT {
            let oldest = self.pages.iter().min_by_key(|(_, held)| held.used);
            let Some(number) = oldest.map(|(number, _)| *number) else {
                break;
            };
            self.pages.remove(&number);
        }
    }
}

/// A record as the pending batch would leave it.
fn load(key: &Key, store: &mut dyn Store, pending: &Batch) -> Result<Option<Vec<u8>>, Trouble> {
    match pending.pending(key) {
        Some(value) => Ok(value.cloned()),
        None => Ok(store.load(key)?),
    }
}

/// What the application says of a document.
fn summarize(by: &dyn Summarize, doc: &Automerge) -> Option<Summary> {
    // Whoever wrote the document may have meant to bring this down.
    let summary = catch_unwind(AssertUnwindSafe(|| by.summarize(doc)));
    let mut summary = summary.ok().flatten()?;
    if summary.head.len() > HEAD {
        summary.head.clear();
    }
    if summary.text.len() > TEXT {
        let mut ends = (0..=TEXT).rev();
        let end = ends.find(|end| summary.text.is_char_boundary(*end));
        summary.text.truncate(end.unwrap_or(0));
    }
    Some(summary)
}

impl<S: Store> Replica<S> {
    /// From now on, keeps the table that `summarize` describes. Without one, a table that
    /// another program has kept is let go with the first change.
    pub fn with_summarize(&mut self, summarize: Arc<dyn Summarize>) {
        self.table.summarize = Some(summarize);
        self.table.forget();
    }

    /// What [`Self::with_summarize`] was given.
    #[must_use]
    pub fn summarizer(&self) -> Option<Arc<dyn Summarize>> {
        self.table.summarize.clone()
    }

    /// Notes that a document has changed. Its row is made when much has, or at the commit.
    pub(crate) fn touch(&mut self, doc: DocId) -> Result<(), EngineError> {
        self.table.touched.insert(doc);
        if self.table.touched.len() < TOUCHED {
            return Ok(());
        }
        self.update_rows()
    }

    /// Makes the rows of what has changed.
    pub(crate) fn update_rows(&mut self) -> Result<(), EngineError> {
        if self.table.touched.is_empty() {
            return Ok(());
        }
        let touched = std::mem::take(&mut self.table.touched);
        let Some(by) = self.table.summarize.clone() else {
            return self.let_go();
        };
        for doc in touched {
            if let Some(row) = self.row(&doc)? {
                let summary = self.summary(&row, &*by)?;
                self.put_row(row, summary)?;
            }
        }
        Ok(())
    }

    /// Makes the row of a document that is at hand and need not be kept in memory for it.
    pub(crate) fn touch_at_hand(
        &mut self,
        doc: &DocId,
        at_hand: &Automerge,
    ) -> Result<(), EngineError> {
        let Some(by) = self.table.summarize.clone() else {
            return self.touch(*doc);
        };
        self.table.touched.remove(doc);
        if let Some(row) = self.row(doc)? {
            let summary = summarize(&*by, at_hand);
            self.put_row(row, summary)?;
        }
        Ok(())
    }

    /// Nobody says what rows should hold: a table that is there does not fit any more.
    fn let_go(&mut self) -> Result<(), EngineError> {
        if !self.table.gone && self.store.load(&Key::TableIndex)?.is_some() {
            self.pending.batch.delete(Key::TableIndex);
        }
        self.table.gone = true;
        Ok(())
    }

    /// What is to be said of a document.
    pub(super) fn summary(
        &mut self,
        row: &DocMeta,
        by: &dyn Summarize,
    ) -> Result<Option<Summary>, EngineError> {
        if !row.exists() {
            return Ok(None);
        }
        let (store, pending) = (&mut self.store, &self.pending.batch);
        match self.cache.load(row, store, pending) {
            Ok(loaded) => Ok(summarize(by, &loaded.doc)),
            Err(EngineError::Damaged(_) | EngineError::Store(StoreError::Damaged(_))) => {
                Ok(by.damaged())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the row of a document what `summary` says, and takes the old one out.
    fn put_row(&mut self, row: DocMeta, summary: Option<Summary>) -> Result<(), EngineError> {
        self.look()?;
        let shown = summary.as_ref().filter(|summary| !summary.head.is_empty());
        let before = row.in_table.then_some((row.sort, row.doc));
        let mut in_table = false;
        if self.table.is_ready() {
            match self.move_row(row.doc, before, shown) {
                Ok(()) => in_table = shown.is_some(),
                Err(Trouble::Damaged) => self.table.give_up(&mut self.pending.batch),
                Err(Trouble::Store(error)) => return Err(error.into()),
            }
        }
        let after = DocMeta {
            shelf: summary.as_ref().map_or(0, |summary| summary.shelf),
            sort: summary.as_ref().map_or(0, |summary| summary.sort),
            in_table,
            ..row
        };
        let known = self.row(&row.doc)?;
        if known != Some(after) {
            let update = |slot: &mut DocMeta| *slot = after;
            self.directory.update(row.doc, &mut self.store, update)?;
        }
        Ok(())
    }

    fn move_row(
        &mut self,
        doc: DocId,
        before: Option<Place>,
        shown: Option<&Summary>,
    ) -> Result<(), Trouble> {
        let (table, store) = (&mut self.table, &mut self.store);
        let batch = &mut self.pending.batch;
        let after = shown.map(|summary| (summary.sort, doc));
        if let Some(before) = before.filter(|before| Some(*before) != after) {
            table.take_out(before, store, batch)?;
        }
        if let (Some(place), Some(summary)) = (after, shown) {
            let (head, text) = (summary.head.as_slice(), summary.text.as_bytes());
            table.put_in(&Row { place, head, text }, store, batch)?;
        }
        Ok(())
    }

    /// The document is about to be removed, and its row with it.
    pub(crate) fn remove_row(&mut self, row: DocMeta) -> Result<(), EngineError> {
        if self.table.summarize.is_none() {
            return self.touch(row.doc);
        }
        self.table.touched.remove(&row.doc);
        self.put_row(row, None)
    }

    fn look(&mut self) -> Result<(), EngineError> {
        // In the store: the first documents are in the pending batch with their rows.
        let new = self.progress.documents.places == 0;
        let (store, pending) = (&mut self.store, &self.pending.batch);
        Ok(self.table.look(store, pending, new)?)
    }

    /// Makes sure that there is a table, if there can be one.
    pub(crate) fn ensure_table(&mut self) -> Result<(), EngineError> {
        self.look()?;
        if self.table.is_ready() {
            return Ok(());
        }
        self.rebuild_table()
    }

    /// Makes the table anew from all documents, in steps: memory stays bounded, and whoever
    /// dies in between finds no table and makes it anew. Loads every document.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn rebuild_table(&mut self) -> Result<(), EngineError> {
        let Some(by) = self.table.summarize.clone() else {
            return Ok(());
        };
        self.table.forget();
        self.pending.batch.delete(Key::TableIndex);
        self.commit_step()?;
        self.table.state = State::Ready(Index::new(by.version()));
        self.table.building = true;
        let built = self.build_table(&*by);
        if built.is_err() {
            self.table.forget();
        }
        built
    }

    fn build_table(&mut self, by: &dyn Summarize) -> Result<(), EngineError> {
        let mut waiting = 0;
        for doc in self.ids_from(0)? {
            let Some(row) = self.directory.peek(&doc, &mut self.store)? else {
                continue;
            };
            let summary = self.summary(&row, by)?;
            // What the row says of the old table counts for nothing.
            let in_table = false;
            self.put_row(DocMeta { in_table, ..row }, summary)?;
            waiting += 1;
            if waiting >= STEP_DOCUMENTS || self.pending.batch.bytes() > STEP {
                self.commit_step()?;
                waiting = 0;
            }
        }
        let State::Ready(index) = &self.table.state else {
            return Err(EngineError::Damaged("the table of what there is"));
        };
        let used: BTreeSet<u32> = index.pages().collect();
        let mut number = u32::try_from(used.len()).unwrap_or(u32::MAX);
        let mut empty = 0;
        while empty < LEFT_OVER {
            let key = Key::TablePage(number);
            // A page that cannot be read is one, too.
            if matches!(self.store.load(&key), Ok(None)) {
                empty += 1;
            } else {
                empty = 0;
                if !used.contains(&number) {
                    self.pending.batch.delete(key);
                }
            }
            number = number.saturating_add(1);
        }
        self.table.building = false;
        self.table.changed_index = true;
        self.commit_step()
    }

    /// Commits within a query. Whatever else was pending has told its events.
    fn commit_step(&mut self) -> Result<(), EngineError> {
        let events: Vec<Event> = self.commit()?;
        debug_assert!(events.is_empty(), "a query commits nothing of others");
        Ok(())
    }
}
