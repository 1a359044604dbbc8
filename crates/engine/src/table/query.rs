//! Asking the table.

use std::fmt;

use ajar_protocol::{DocId, PartyId};
use memchr::memmem::Finder;

use super::page::{Page, Row};
use super::{State, Trouble, load};
use crate::error::EngineError;
use crate::replica::Replica;
use crate::store::{Key, Store, StoreError};

/// Rows that are given beyond the limit because they sort as the last one within it.
const TIES: usize = 1024;

/// One row of the table.
#[derive(Clone, PartialEq, Eq)]
pub struct TableRow {
    /// The document.
    pub doc: DocId,
    /// Its owner; `None` when it is common.
    pub owner: Option<PartyId>,
    /// What it is sorted by.
    pub sort: i64,
    /// What the application keeps for a line of a list.
    pub head: Vec<u8>,
}

impl fmt::Debug for TableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = f.debug_struct("TableRow");
        row.field("doc", &self.doc).finish_non_exhaustive()
    }
}

/// Which rows to give: those of the greatest `sort` first.
pub struct RowQuery {
    /// From this `sort` on.
    pub from: i64,
    /// Up to and including this one.
    pub to: i64,
    /// About so many: those that sort as the last one are given as well (at most 1,024 more),
    /// so that the caller can put them in order.
    pub limit: usize,
    /// Only with all of these in the text, folded as the text is.
    pub words: Vec<String>,
    /// Only those for which this says so; asked before they count.
    #[expect(clippy::type_complexity, reason = "a name for it would be used once")]
    pub filter: Option<Box<dyn Fn(&TableRow) -> bool + Send>>,
}

impl Default for RowQuery {
    fn default() -> Self {
        Self {
            from: i64::MIN,
            to: i64::MAX,
            limit: usize::MAX,
            words: Vec::new(),
            filter: None,
        }
    }
}

impl fmt::Debug for RowQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowQuery").finish_non_exhaustive()
    }
}

impl<S: Store> Replica<S> {
    /// Rows of the table, those of the greatest `sort` first; without a summarizer, none.
    /// Reads only the pages that it needs, one at a time. Makes the table first if there is
    /// none, which takes a while.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn rows(&mut self, query: &RowQuery) -> Result<Vec<TableRow>, EngineError> {
        if self.table.summarize.is_none() {
            return Ok(Vec::new());
        }
        match self.ensure_table() {
            // There is no room to make it: that is no reason to show nothing.
            Err(EngineError::Store(StoreError::DiskFull)) => return self.rows_by_hand(query),
            ensured => ensured?,
        }
        match self.select(query) {
            Err(Trouble::Damaged) => {}
            Err(Trouble::Store(error)) => return Err(error.into()),
            Ok(rows) => return Ok(rows),
        }
        self.rebuild_table()?;
        self.select(query).map_err(|trouble| match trouble {
            Trouble::Damaged => EngineError::Damaged("the table of what there is"),
            Trouble::Store(error) => error.into(),
        })
    }

    /// As [`Self::rows`], from the documents: slower, and with all rows in memory.
    fn rows_by_hand(&mut self, query: &RowQuery) -> Result<Vec<TableRow>, EngineError> {
        let Some(by) = self.table.summarize.clone() else {
            return Ok(Vec::new());
        };
        let words: Vec<Finder<'_>> = query.words.iter().map(Finder::new).collect();
        let mut found = Vec::new();
        for doc in self.ids_from(0)? {
            let Some(row) = self.row(&doc)? else { continue };
            let Some(summary) = self.summary(&row, &*by)? else {
                continue;
            };
            let text = summary.text.as_bytes();
            let fits = !summary.head.is_empty()
                && (query.from..=query.to).contains(&summary.sort)
                && words.iter().all(|word| word.find(text).is_some());
            let row = TableRow {
                doc,
                owner: self.owner(&doc),
                sort: summary.sort,
                head: summary.head,
            };
            if fits && query.filter.as_ref().is_none_or(|filter| filter(&row)) {
                found.push(row);
            }
        }
        found.sort_by_key(|row| std::cmp::Reverse((row.sort, row.doc)));
        let mut shown = Vec::new();
        for row in found {
            if is_over(query.limit, row.sort, &shown) {
                break;
            }
            shown.push(row);
        }
        Ok(shown)
    }

    fn select(&mut self, query: &RowQuery) -> Result<Vec<TableRow>, Trouble> {
        let words: Vec<Finder<'_>> = query.words.iter().map(Finder::new).collect();
        let mut found: Vec<TableRow> = Vec::new();
        if query.limit == 0 || query.from > query.to {
            return Ok(found);
        }
        let (least, greatest) = (DocId([0; 16]), DocId([0xff; 16]));
        let State::Ready(index) = &self.table.state else {
            return Err(Trouble::Damaged);
        };
        for number in index.between((query.from, least), (query.to, greatest)) {
            let read;
            let page = match self.table.pages.get(&number) {
                Some(held) => &held.page,
                None => {
                    let key = Key::TablePage(number);
                    let record = load(&key, &mut self.store, &self.pending.batch)?;
                    let record = record.ok_or(Trouble::Damaged)?;
                    let page = Page::decode(&record, &mut self.table.zstd);
                    read = page.ok_or(Trouble::Damaged)?;
                    &read
                }
            };
            if words.iter().any(|word| word.find(page.bytes()).is_none()) {
                continue;
            }
            let rows: Vec<Row<'_>> = page.rows().collect();
            for row in rows.iter().rev() {
                let (sort, doc) = row.place;
                if sort < query.from || is_over(query.limit, sort, &found) {
                    return Ok(found);
                }
                let has = |word: &Finder<'_>| word.find(row.text).is_some();
                if sort > query.to || !words.iter().all(has) {
                    continue;
                }
                let row = TableRow {
                    doc,
                    owner: self.owner(&doc),
                    sort,
                    head: row.head.to_vec(),
                };
                if query.filter.as_ref().is_none_or(|filter| filter(&row)) {
                    found.push(row);
                }
            }
        }
        Ok(found)
    }
}

/// Whether a row that sorts so is not to follow what was found.
fn is_over(limit: usize, sort: i64, found: &[TableRow]) -> bool {
    let last_differs = found.last().is_some_and(|last| last.sort != sort);
    found.len() >= limit && (last_differs || found.len() >= limit.saturating_add(TIES))
}
