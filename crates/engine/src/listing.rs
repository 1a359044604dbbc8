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
