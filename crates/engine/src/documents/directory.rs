//! The directory of documents: small pages, so that a new document rewrites little.

use std::collections::{BTreeMap, BTreeSet};

use ajar_protocol::DocId;
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;

use crate::store::{Batch, Key};

const PER_PAGE: usize = 32;

/// What is known of a document without loading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DocMeta {
    pub(crate) doc: DocId,
    /// Raised each time the changes are compacted into a base.
    pub(crate) generation: u32,
    /// Chunks of changes since the base.
    pub(crate) chunks: u32,
    /// Bytes of all changes ever accepted.
    pub(crate) bytes: u64,
    /// Incarnation of this device's actor.
    pub(crate) incarnation: u32,
}

impl DocMeta {
    /// Whether it has any changes. One that only a removed device made, beyond its cut-off,
    /// has none: its row stays for the incarnation, and nobody is shown it.
    pub(crate) fn exists(&self) -> bool {
        self.bytes > 0
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    rows: Vec<DocMeta>,
    places: BTreeMap<DocId, usize>,
    dirty: BTreeSet<usize>,
}

impl Directory {
    pub(crate) fn pages(&self) -> usize {
        self.rows.len().div_ceil(PER_PAGE)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> &[DocMeta] {
        &self.rows
    }

    pub(crate) fn row(&self, doc: &DocId) -> Option<&DocMeta> {
        self.places.get(doc).and_then(|place| self.rows.get(*place))
    }

    /// Changes a row, creating it at the end of the last page if need be.
    pub(crate) fn update(&mut self, doc: DocId, change: impl FnOnce(&mut DocMeta)) {
        let place = *self.places.entry(doc).or_insert(self.rows.len());
        if place == self.rows.len() {
            self.rows.push(DocMeta {
                doc,
                generation: 0,
                chunks: 0,
                bytes: 0,
                incarnation: 0,
            });
        }
        if let Some(row) = self.rows.get_mut(place) {
            change(row);
        }
        self.dirty.insert(place / PER_PAGE);
    }

    /// Puts the changed pages into a batch.
    pub(crate) fn save(&mut self, batch: &mut Batch) {
        for page in std::mem::take(&mut self.dirty) {
            let mut out = Writer::with_capacity(PER_PAGE * 36);
            for row in self.rows.iter().skip(page * PER_PAGE).take(PER_PAGE) {
                out.raw(&row.doc.0).u32(row.generation).u32(row.chunks);
                out.u64(row.bytes).u32(row.incarnation);
            }
            let number = u32::try_from(page).unwrap_or(u32::MAX);
            batch.put(Key::DocPage(number), out.finish());
        }
    }

    /// Reads one page behind those read before.
    pub(crate) fn load_page(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(bytes, "directory of documents");
        while reader.remaining() > 0 {
            let row = DocMeta {
                doc: DocId(reader.array()?),
                generation: reader.u32()?,
                chunks: reader.u32()?,
                bytes: reader.u64()?,
                incarnation: reader.u32()?,
            };
            self.places.insert(row.doc, self.rows.len());
            self.rows.push(row);
        }
        reader.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(n: u8) -> DocId {
        DocId([n; 16])
    }

    #[test]
    fn a_new_document_rewrites_one_page_and_all_are_found_again() {
        let mut directory = Directory::default();
        for n in 0..100 {
            directory.update(doc(n), |row| row.bytes = n.into());
        }
        let mut batch = Batch::default();
        directory.save(&mut batch);
        let pages: Vec<Vec<u8>> = batch.into_writes().filter_map(|(_, page)| page).collect();
        assert_eq!(pages.len(), directory.pages());
        let mut again = Directory::default();
        for page in &pages {
            again.load_page(page).unwrap();
        }
        assert_eq!(again.rows(), directory.rows());
        assert_eq!(again.row(&doc(99)).unwrap().bytes, 99);
        again.update(doc(100), |row| row.chunks = 1);
        let mut batch = Batch::default();
        again.save(&mut batch);
        assert_eq!(batch.into_writes().count(), 1);
    }

    #[test]
    fn a_cut_page_is_an_error() {
        let mut directory = Directory::default();
        directory.update(doc(1), |_| ());
        let mut batch = Batch::default();
        directory.save(&mut batch);
        let page = batch.into_writes().find_map(|(_, page)| page).unwrap();
        for cut in 1..page.len() {
            assert!(Directory::default().load_page(&page[..cut]).is_err());
        }
    }
}
