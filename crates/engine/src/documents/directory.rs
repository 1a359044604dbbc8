//! The directory of documents: a record for each, read when somebody asks for it, and pages
//! of ids in the order in which documents came, read when somebody wants to see all. Opening
//! a replica reads neither, so that it costs the same however much there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ajar_protocol::DocId;
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;

use crate::error::EngineError;
use crate::store::{Batch, Key, Store};

/// Ids on one page.
const PER_PAGE: u32 = 64;
/// Rows kept in memory besides those not written yet.
const KEPT: usize = 1024;
/// Stands on a page where a document was removed: no party may own such an id.
const GONE: DocId = DocId([0xff; 16]);
/// Bit of the flags: the document has a row in the table.
const IN_TABLE: u8 = 1;

/// What is known of a document without loading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DocMeta {
    pub(crate) doc: DocId,
    /// How many documents came before it.
    pub(crate) place: u32,
    /// Raised each time the changes are compacted into a base.
    pub(crate) generation: u32,
    /// Chunks of changes since the base.
    pub(crate) chunks: u32,
    /// Bytes of all changes ever accepted.
    pub(crate) bytes: u64,
    /// Incarnation of this device's actor.
    pub(crate) incarnation: u32,
    /// Number of the pack of a snapshot that holds it as it is; 0 for none.
    pub(crate) pack: u32,
    /// What the application files it under: with others of its shelf it goes into one pack.
    pub(crate) shelf: u32,
    /// Where the application sorts it.
    pub(crate) sort: i64,
    /// Whether it has a row in the table, under `sort`.
    pub(crate) in_table: bool,
}

impl DocMeta {
    pub(crate) fn new(doc: DocId, place: u32) -> Self {
        Self {
            doc,
            place,
            generation: 0,
            chunks: 0,
            bytes: 0,
            incarnation: 0,
            pack: 0,
            shelf: 0,
            sort: 0,
            in_table: false,
        }
    }

    /// Whether it has any changes. One that only a removed device made, beyond its cut-off,
    /// has none: its row stays for the incarnation, and nobody is shown it.
    pub(crate) fn exists(&self) -> bool {
        self.bytes > 0
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(42);
        out.u8(1).u32(self.place);
        out.u32(self.generation).u32(self.chunks);
        out.u64(self.bytes).u32(self.incarnation);
        out.u32(self.pack).u32(self.shelf).i64(self.sort);
        out.u8(if self.in_table { IN_TABLE } else { 0 });
        out.finish()
    }

    pub(crate) fn decode(doc: DocId, bytes: &[u8]) -> Result<Self, Malformed> {
        let what = "row of a document";
        let mut reader = Reader::new(bytes, what);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(what));
        }
        let row = Self {
            doc,
            place: reader.u32()?,
            generation: reader.u32()?,
            chunks: reader.u32()?,
            bytes: reader.u64()?,
            incarnation: reader.u32()?,
            pack: reader.u32()?,
            shelf: reader.u32()?,
            sort: reader.i64()?,
            in_table: reader.u8()? & IN_TABLE != 0,
        };
        reader.finish()?;
        Ok(row)
    }
}

/// How many documents there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Places given so far; that of a removed document is not given again.
    pub(crate) places: u32,
    /// Documents that have a row.
    pub(crate) rows: u32,
    /// Those among them that have changes.
    pub(crate) existing: u32,
}

/// A row in memory; `None` when the document has none.
struct Kept {
    row: Option<DocMeta>,
    /// No batch holds it yet, so it must stay in memory.
    dirty: bool,
    used: u64,
}

#[derive(Default)]
pub(crate) struct Directory {
    counts: Counts,
    rows: HashMap<DocId, Kept>,
    /// Pages with changes that no batch holds yet, and the last one.
    pages: BTreeMap<u32, Vec<DocId>>,
    changed: BTreeSet<u32>,
    clock: u64,
    /// Rows from which on some are forgotten.
    full_at: usize,
}

impl Directory {
    pub(crate) fn new(counts: Counts) -> Self {
        Self {
            counts,
            ..Self::default()
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Documents that have a row.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.counts.rows).unwrap_or(usize::MAX)
    }

    /// What is known of a document; `None` when it has no row.
    pub(crate) fn row(
        &mut self,
        doc: &DocId,
        store: &mut dyn Store,
    ) -> Result<Option<DocMeta>, EngineError> {
        self.clock += 1;
        if let Some(kept) = self.rows.get_mut(doc) {
            kept.used = self.clock;
            return Ok(kept.row);
        }
        let row = read_row(doc, store)?;
        self.keep(*doc, row, false);
        Ok(row)
    }

    /// As [`Self::row`], without keeping it in memory: for going through all of them.
    pub(crate) fn peek(
        &self,
        doc: &DocId,
        store: &mut dyn Store,
    ) -> Result<Option<DocMeta>, EngineError> {
        match self.rows.get(doc) {
            Some(kept) => Ok(kept.row),
            None => read_row(doc, store),
        }
    }

    /// Changes a row, creating it in the next place if need be.
    pub(crate) fn update(
        &mut self,
        doc: DocId,
        store: &mut dyn Store,
        change: impl FnOnce(&mut DocMeta),
    ) -> Result<(), EngineError> {
        let known = self.row(&doc, store)?;
        let mut row = match known {
            Some(row) => row,
            None => self.append(doc, store)?,
        };
        change(&mut row);
        self.recount(known, Some(row));
        self.keep(doc, Some(row), true);
        Ok(())
    }

    /// Removes a document: what is left is an empty place. `false` when it had no row.
    pub(crate) fn remove(
        &mut self,
        doc: &DocId,
        store: &mut dyn Store,
    ) -> Result<bool, EngineError> {
        let Some(row) = self.row(doc, store)? else {
            return Ok(false);
        };
        let number = row.place / PER_PAGE;
        let page = self.page(number, store)?;
        let slot = page.iter_mut().find(|id| *id == doc);
        *slot.ok_or(EngineError::Damaged("the directory of documents"))? = GONE;
        self.changed.insert(number);
        self.recount(Some(row), None);
        self.keep(*doc, None, true);
        Ok(true)
    }

    /// Ids of the documents that came after the first `place`, in the order in which they
    /// came.
    pub(crate) fn ids_from(
        &self,
        place: u32,
        store: &mut dyn Store,
    ) -> Result<Vec<DocId>, EngineError> {
        let mut ids = Vec::new();
        let mut skip = usize::try_from(place % PER_PAGE).unwrap_or(0);
        for number in place / PER_PAGE..self.counts.places.div_ceil(PER_PAGE) {
            let read;
            let page = match self.pages.get(&number) {
                Some(page) => page,
                None => {
                    read = read_page(number, store)?;
                    &read
                }
            };
            ids.extend(page.iter().skip(skip).filter(|id| **id != GONE));
            skip = 0;
        }
        Ok(ids)
    }

    /// Puts what has changed into a batch.
    pub(crate) fn save(&mut self, batch: &mut Batch) {
        for (doc, kept) in self.rows.iter_mut().filter(|(_, kept)| kept.dirty) {
            kept.dirty = false;
            match &kept.row {
                Some(row) => batch.put(Key::DocRow(*doc), row.encode()),
                None => batch.delete(Key::DocRow(*doc)),
            }
        }
        for number in std::mem::take(&mut self.changed) {
            if let Some(page) = self.pages.get(&number) {
                batch.put(Key::DocPage(number), encode_page(page));
            }
        }
        let last = self.counts.places / PER_PAGE;
        self.pages.retain(|number, _| *number == last);
        self.forget_some();
        self.full_at = 0;
    }

    /// A new row in the next place.
    fn append(&mut self, doc: DocId, store: &mut dyn Store) -> Result<DocMeta, EngineError> {
        let place = self.counts.places;
        let places = place.checked_add(1);
        let places = places.ok_or(EngineError::Damaged("the directory of documents"))?;
        let number = place / PER_PAGE;
        if place.is_multiple_of(PER_PAGE) {
            self.pages.insert(number, Vec::new());
        }
        self.page(number, store)?.push(doc);
        self.changed.insert(number);
        self.counts.places = places;
        Ok(DocMeta::new(doc, place))
    }

    fn page(&mut self, number: u32, store: &mut dyn Store) -> Result<&mut Vec<DocId>, EngineError> {
        use std::collections::btree_map::Entry;
        Ok(match self.pages.entry(number) {
            Entry::Occupied(page) => page.into_mut(),
            Entry::Vacant(empty) => empty.insert(read_page(number, store)?),
        })
    }

    fn recount(&mut self, before: Option<DocMeta>, after: Option<DocMeta>) {
        let exists = |row: Option<DocMeta>| u32::from(row.is_some_and(|row| row.exists()));
        let has_row = |row: Option<DocMeta>| u32::from(row.is_some());
        let counts = &mut self.counts;
        // What was kept of these may be damaged.
        let next = |count: u32, more, less| count.saturating_add(more).saturating_sub(less);
        counts.rows = next(counts.rows, has_row(after), has_row(before));
        counts.existing = next(counts.existing, exists(after), exists(before));
    }

    fn keep(&mut self, doc: DocId, row: Option<DocMeta>, dirty: bool) {
        if self.rows.len() >= self.full_at.max(2 * KEPT) {
            self.forget_some();
            self.full_at = self.rows.len() + KEPT / 2;
        }
        self.clock += 1;
        let used = self.clock;
        let dirty = dirty || self.rows.get(&doc).is_some_and(|kept| kept.dirty);
        self.rows.insert(doc, Kept { row, dirty, used });
    }

    /// Forgets what was not used for longest, but nothing that no batch holds.
    fn forget_some(&mut self) {
        let clean = self.rows.values().filter(|kept| !kept.dirty);
        let mut used: Vec<u64> = clean.map(|kept| kept.used).collect();
        let Some(surplus) = used.len().checked_sub(KEPT).filter(|surplus| *surplus > 0) else {
            return;
        };
        let (_, oldest_kept, _) = used.select_nth_unstable(surplus);
        let bound = *oldest_kept;
        self.rows.retain(|_, kept| kept.dirty || kept.used >= bound);
    }
}

fn read_row(doc: &DocId, store: &mut dyn Store) -> Result<Option<DocMeta>, EngineError> {
    store
        .load(&Key::DocRow(*doc))?
        .map(|bytes| DocMeta::decode(*doc, &bytes))
        .transpose()
        .map_err(|_| EngineError::Damaged("what is known of a document"))
}

fn encode_page(ids: &[DocId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

fn read_page(number: u32, store: &mut dyn Store) -> Result<Vec<DocId>, EngineError> {
    let missing = EngineError::Damaged("a page of the directory is missing");
    let bytes = store.load(&Key::DocPage(number))?.ok_or(missing)?;
    let (ids, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(EngineError::Damaged("the directory of documents"));
    }
    Ok(ids.iter().map(|id| DocId(*id)).collect())
}

/// Brings a directory from before rows had records of their own into this form: pages of 32
/// rows, all of which were read at every start. Everything is in `batch` then; what the store
/// holds stays as it is until that is committed.
pub(crate) fn convert(
    pages: u32,
    store: &mut dyn Store,
    batch: &mut Batch,
) -> Result<Counts, EngineError> {
    let damaged = |_: Malformed| EngineError::Damaged("the directory of documents");
    let mut directory = Directory::default();
    for number in 0..pages {
        let missing = EngineError::Damaged("a page of the directory is missing");
        let bytes = store.load(&Key::DocPage(number))?.ok_or(missing)?;
        for row in old_rows(&bytes).map_err(damaged)? {
            // Nothing is looked up in the store: it holds pages of the old form.
            let place = directory.counts.places;
            if place.is_multiple_of(PER_PAGE) {
                directory.pages.insert(place / PER_PAGE, Vec::new());
            }
            if let Some(page) = directory.pages.get_mut(&(place / PER_PAGE)) {
                page.push(row.doc);
            }
            directory.changed.insert(place / PER_PAGE);
            directory.counts.places += 1;
            let row = DocMeta { place, ..row };
            directory.recount(None, Some(row));
            batch.put(Key::DocRow(row.doc), row.encode());
        }
        batch.delete(Key::DocPage(number));
    }
    directory.save(batch);
    Ok(directory.counts)
}

/// Rows of one page of the old form.
fn old_rows(bytes: &[u8]) -> Result<Vec<DocMeta>, Malformed> {
    let mut reader = Reader::new(bytes, "directory of documents");
    let mut rows = Vec::new();
    while reader.remaining() > 0 {
        let mut row = DocMeta::new(DocId(reader.array()?), 0);
        row.generation = reader.u32()?;
        row.chunks = reader.u32()?;
        row.bytes = reader.u64()?;
        row.incarnation = reader.u32()?;
        rows.push(row);
    }
    reader.finish()?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn doc(n: u32) -> DocId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        DocId(id)
    }

    fn commit(directory: &mut Directory, store: &mut MemoryStore) -> usize {
        let mut batch = Batch::default();
        directory.save(&mut batch);
        let writes = batch.clone().into_writes().count();
        store.commit(batch).unwrap();
        writes
    }

    /// A directory of so many documents, the last of them without changes.
    fn filled(documents: u32, store: &mut MemoryStore) -> Directory {
        let mut directory = Directory::default();
        for n in 0..documents {
            let bytes = if n + 1 == documents { 0 } else { 7 };
            let update = directory.update(doc(n), store, |row| row.bytes = bytes);
            update.unwrap();
        }
        commit(&mut directory, store);
        directory
    }

    #[test]
    fn an_edit_writes_one_row_and_a_new_document_one_page_more() {
        for documents in [1, 63, 64, 65, 5000] {
            let mut store = MemoryStore::default();
            let mut directory = filled(documents, &mut store);
            let raise = |row: &mut DocMeta| row.chunks += 1;
            directory.update(doc(0), &mut store, raise).unwrap();
            assert_eq!(commit(&mut directory, &mut store), 1, "{documents}");
            directory.update(doc(documents), &mut store, raise).unwrap();
            assert_eq!(commit(&mut directory, &mut store), 2, "{documents}");
            let mut again = Directory::new(directory.counts());
            let (first, last) = (doc(0), doc(documents));
            assert_eq!(again.row(&first, &mut store).unwrap().unwrap().chunks, 1);
            let row = again.row(&last, &mut store).unwrap().unwrap();
            assert_eq!((row.chunks, row.place), (1, documents));
            let ids = again.ids_from(0, &mut store).unwrap();
            assert_eq!(ids, (0..=documents).map(doc).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_in_memory_are_bounded_and_those_not_written_stay() {
        let mut store = MemoryStore::default();
        let mut directory = filled(5000, &mut store);
        assert!(directory.rows.len() <= KEPT);
        let change = |row: &mut DocMeta| row.sort = -3;
        directory.update(doc(17), &mut store, change).unwrap();
        for n in 0..5000 {
            assert!(directory.row(&doc(n), &mut store).unwrap().is_some());
            assert!(directory.rows.len() <= 2 * KEPT);
        }
        commit(&mut directory, &mut store);
        let mut again = Directory::new(directory.counts());
        let row = again.row(&doc(17), &mut store).unwrap().unwrap();
        assert_eq!((row.sort, row.place), (-3, 17));
    }

    #[test]
    fn a_removed_document_leaves_an_empty_place() {
        let mut store = MemoryStore::default();
        let mut directory = filled(130, &mut store);
        let counts = |places, rows, existing| Counts {
            places,
            rows,
            existing,
        };
        assert_eq!(directory.counts(), counts(130, 130, 129));
        for n in [0, 64, 129] {
            assert!(directory.remove(&doc(n), &mut store).unwrap());
            assert!(!directory.remove(&doc(n), &mut store).unwrap());
            assert_eq!(directory.row(&doc(n), &mut store).unwrap(), None);
        }
        assert_eq!(directory.counts(), counts(130, 127, 127));
        let before = directory.ids_from(60, &mut store).unwrap();
        commit(&mut directory, &mut store);
        let mut again = Directory::new(directory.counts());
        assert_eq!(again.ids_from(60, &mut store).unwrap(), before);
        assert_eq!(before.len(), 70 - 2);
        assert_eq!(before[4], doc(65));
        assert_eq!(again.ids_from(130, &mut store).unwrap(), []);
        assert_eq!(again.row(&doc(64), &mut store).unwrap(), None);
        // The same id once more is a new document.
        again
            .update(doc(64), &mut store, |row| row.bytes = 1)
            .unwrap();
        assert_eq!(again.counts(), counts(131, 128, 128));
        assert_eq!(again.ids_from(129, &mut store).unwrap(), [doc(64)]);
    }

    #[test]
    fn a_document_that_loses_its_changes_does_not_exist_until_it_has_some_again() {
        let mut store = MemoryStore::default();
        let mut directory = filled(2, &mut store);
        assert_eq!(directory.counts().existing, 1);
        let put = |bytes| move |row: &mut DocMeta| row.bytes = bytes;
        directory.update(doc(0), &mut store, put(0)).unwrap();
        assert_eq!(directory.counts().existing, 0);
        directory.update(doc(1), &mut store, put(9)).unwrap();
        directory.update(doc(1), &mut store, put(12)).unwrap();
        assert_eq!(directory.counts().existing, 1);
    }

    #[test]
    fn a_row_is_the_same_when_read_and_cut_or_longer_it_is_an_error() {
        let row = DocMeta {
            place: 1,
            generation: 2,
            chunks: 3,
            bytes: 4,
            incarnation: 5,
            pack: 6,
            shelf: u32::MAX,
            sort: i64::MIN,
            in_table: true,
            ..DocMeta::new(doc(8), 0)
        };
        let bytes = row.encode();
        assert_eq!(DocMeta::decode(doc(8), &bytes), Ok(row));
        for cut in 0..bytes.len() {
            assert!(DocMeta::decode(doc(8), &bytes[..cut]).is_err(), "{cut}");
        }
        assert!(DocMeta::decode(doc(8), &[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn a_page_that_is_cut_or_missing_is_damage() {
        let mut store = MemoryStore::default();
        let mut directory = filled(3, &mut store);
        for page in [None, Some(vec![0; 47])] {
            let mut batch = Batch::default();
            match page {
                Some(page) => batch.put(Key::DocPage(0), page),
                None => batch.delete(Key::DocPage(0)),
            }
            store.commit(batch).unwrap();
            directory = Directory::new(directory.counts());
            let read = directory.ids_from(0, &mut store);
            assert!(matches!(read, Err(EngineError::Damaged(_))));
            let added = directory.update(doc(9), &mut store, |_| ());
            assert!(matches!(added, Err(EngineError::Damaged(_))));
        }
    }

    /// Pages as version 3 of the state had them.
    fn old_pages(documents: u32) -> Vec<Vec<u8>> {
        let all: Vec<u32> = (0..documents).collect();
        let page = |numbers: &[u32]| {
            let mut out = Writer::default();
            for n in numbers {
                out.raw(&doc(*n).0).u32(*n + 1).u32(*n + 2);
                out.u64((*n).into()).u32(*n + 4);
            }
            out.finish()
        };
        all.chunks(32).map(page).collect()
    }

    #[test]
    fn pages_of_rows_become_rows_and_pages_of_ids() {
        for documents in [0, 1, 32, 33, 64, 65, 200] {
            let mut store = MemoryStore::default();
            let mut batch = Batch::default();
            let pages = old_pages(documents);
            for (number, page) in (0..).zip(&pages) {
                batch.put(Key::DocPage(number), page.clone());
            }
            store.commit(batch).unwrap();
            let mut batch = Batch::default();
            let old = u32::try_from(pages.len()).unwrap();
            let counts = convert(old, &mut store, &mut batch).unwrap();
            store.commit(batch).unwrap();
            let existing = documents.saturating_sub(1);
            let expected = Counts {
                places: documents,
                rows: documents,
                existing,
            };
            assert_eq!(counts, expected);
            let mut directory = Directory::new(counts);
            let ids = directory.ids_from(0, &mut store).unwrap();
            assert_eq!(ids, (0..documents).map(doc).collect::<Vec<_>>());
            for n in 0..documents {
                let row = directory.row(&doc(n), &mut store).unwrap().unwrap();
                let expected = DocMeta {
                    generation: n + 1,
                    chunks: n + 2,
                    bytes: n.into(),
                    incarnation: n + 4,
                    ..DocMeta::new(doc(n), n)
                };
                assert_eq!(row, expected);
            }
            let beyond = Key::DocPage(documents.div_ceil(PER_PAGE));
            assert_eq!(store.load(&beyond).unwrap(), None);
        }
    }

    #[test]
    fn a_cut_page_of_rows_is_damage_and_nothing_is_changed() {
        let page = old_pages(1).remove(0);
        for cut in 1..page.len() {
            let mut store = MemoryStore::default();
            let mut batch = Batch::default();
            batch.put(Key::DocPage(0), page[..cut].to_vec());
            store.commit(batch).unwrap();
            let read = convert(1, &mut store, &mut Batch::default());
            assert!(matches!(read, Err(EngineError::Damaged(_))), "{cut}");
        }
    }
}
