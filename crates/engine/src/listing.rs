//! Which documents there are, without loading them, and letting go of one.

use ajar_protocol::{DocId, PartyId};

use crate::documents::{self, DocMeta, Owner, delete_stored};
use crate::error::EngineError;
use crate::replica::{DocInfo, Replica};
use crate::state::{Meta, Progress};
use crate::store::{Batch, Key, Store};

/// Brings what an older version wrote of the documents into the form of today, in one batch.
pub(crate) fn convert_directory<S: Store>(
    store: &mut S,
    meta: &mut Meta,
    progress: &mut Progress,
) -> Result<(), EngineError> {
    let Some(pages) = meta.old_pages else {
        return Ok(());
    };
    let mut batch = Batch::default();
    progress.documents = documents::convert(pages, store, &mut batch)?;
    meta.old_pages = None;
    batch.put(Key::Meta, meta.encode());
    batch.put(Key::Frontier, progress.encode());
    Ok(store.commit(batch)?)
}

impl<S: Store> Replica<S> {
    /// All documents, in the order in which they came. Reads what is known of each.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn documents(&mut self) -> Result<Vec<DocInfo>, EngineError> {
        self.documents_where(|_| true)
    }

    /// The documents whose ids are wanted, in the order in which they came. Reads all ids, and
    /// more only of those that are wanted.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn documents_where(
        &mut self,
        wanted: impl Fn(&DocId) -> bool,
    ) -> Result<Vec<DocInfo>, EngineError> {
        let mut infos = Vec::new();
        for doc in self.ids_from(0)?.iter().filter(|doc| wanted(doc)) {
            let row = self.directory.peek(doc, &mut self.store)?;
            if let Some(row) = row.filter(DocMeta::exists) {
                infos.push(self.info(doc, row.bytes));
            }
        }
        Ok(infos)
    }

    /// Ids of the documents that came after the first `place`, in the order in which they
    /// came; also of those that have no changes now ([`DocMeta::exists`]).
    pub(crate) fn ids_from(&mut self, place: u32) -> Result<Vec<DocId>, EngineError> {
        self.directory.ids_from(place, &mut self.store)
    }

    /// What is known of a document without loading it; `None` when it was never heard of.
    pub(crate) fn row(&mut self, doc: &DocId) -> Result<Option<DocMeta>, EngineError> {
        self.directory.row(doc, &mut self.store)
    }

    /// The party that owns a document; `None` when it is common.
    pub(crate) fn owner(&self, doc: &DocId) -> Option<PartyId> {
        match documents::owner(doc) {
            Some(Owner::Party(place)) => Some(self.space.party_of(place)),
            _ => None,
        }
    }

    fn info(&self, doc: &DocId, bytes: u64) -> DocInfo {
        let owner = self.owner(doc);
        let writable = documents::may_write(doc, self.space.place);
        DocInfo {
            id: *doc,
            owner,
            writable,
            bytes,
        }
    }

    /// Removes a document with all that is stored of it, but not the envelopes that made it;
    /// `false` when there is none. In the pending batch.
    pub(crate) fn remove_document(&mut self, doc: &DocId) -> Result<bool, EngineError> {
        let Some(row) = self.row(doc)? else {
            return Ok(false);
        };
        self.remove_row(row)?;
        delete_stored(&row, &mut self.pending.batch);
        self.cache.drop_doc(doc);
        self.directory.remove(doc, &mut self.store)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ajar_crypto::RecoveryPhrase;
    use automerge::transaction::Transactable;
    use automerge::{Automerge, AutomergeError, ROOT};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::clock::Now;
    use crate::documents::Ownership;
    use crate::pairing::OwnHalf;
    use crate::store::MemoryStore;
    use crate::table::{RowQuery, Summarize, Summary};

    struct Same;

    impl Summarize for Same {
        fn version(&self) -> u32 {
            1
        }

        fn summarize(&self, _: &Automerge) -> Option<Summary> {
            Some(Summary {
                shelf: 1,
                sort: 1,
                head: b"line".to_vec(),
                text: "words".to_owned(),
            })
        }
    }

    #[test]
    fn a_removed_document_is_in_no_list_and_nothing_of_it_is_stored() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let now = Now {
            wall_ms: 1_767_225_600_000,
            elapsed: std::time::Duration::ZERO,
        };
        let words = RecoveryPhrase::generate(&mut rng).unwrap();
        let slot = words.slot_keys(0).unwrap().public();
        let half = OwnHalf::new(now, &mut rng, &slot).unwrap();
        let store = MemoryStore::default();
        let mut home = Replica::create(store.clone(), half.found_private().unwrap()).unwrap();
        home.with_summarize(Arc::new(Same));
        let mut docs = Vec::new();
        for _ in 0..3 {
            let doc = home.new_document_id(Ownership::Mine, &mut rng).unwrap();
            // Enough for a base and some chunks.
            for n in 0..40 {
                home.change(now, &mut rng, doc, |tx| {
                    tx.put(ROOT, "n", n)?;
                    Ok::<_, AutomergeError>(())
                })
                .unwrap();
            }
            docs.push(doc);
        }
        let gone = docs.remove(1);
        let row = home.row(&gone).unwrap().unwrap();
        assert!(row.generation > 0 && row.chunks > 0 && row.in_table);
        assert!(home.remove_document(&gone).unwrap());
        assert!(!home.remove_document(&gone).unwrap());
        home.commit().unwrap();
        for _ in 0..2 {
            let ids: Vec<DocId> = home.documents().unwrap().iter().map(|doc| doc.id).collect();
            assert_eq!(ids, docs);
            assert_eq!(home.status().documents, 2);
            let rows = home.rows(&RowQuery::default()).unwrap();
            assert_eq!(rows.len(), 2);
            assert!(rows.iter().all(|row| row.doc != gone));
            assert!(home.document(&gone).is_err());
            home = Replica::open(store.clone()).unwrap();
            home.with_summarize(Arc::new(Same));
        }
        let mut store = store;
        let mut left = vec![Key::DocRow(gone), Key::DocBase(gone, row.generation)];
        left.extend((0..40).map(|n| Key::DocChunk(gone, row.generation, n)));
        for key in left {
            assert_eq!(store.load(&key).unwrap(), None, "{key:?}");
        }
        assert!(home.check().findings.is_empty());
    }
}
