//! Documents in memory: loaded when needed, dropped when unused or when in doubt.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ajar_protocol::DocId;
use ajar_protocol::codec::{Reader, Writer};
use automerge::{Automerge, Change};

use super::DocMeta;
use super::operations::Past;
use crate::error::EngineError;
use crate::store::{Batch, Key, Store};

/// Documents kept in memory.
const KEPT: usize = 128;
/// Chunks after which a document is compacted.
const COMPACT_AT: u32 = 32;
/// Largest compact form that is stored as one record (15 MiB; a record holds 16).
const LARGEST_BASE: usize = 15 << 20;

pub(crate) struct Loaded {
    pub(crate) doc: Automerge,
    /// How far each actor has come.
    pub(crate) latest: Past,
    /// Operations of all changes.
    pub(crate) ops: u64,
    /// It holds changes that no batch holds yet, so it must stay in memory.
    pub(crate) unstored: bool,
    used: u64,
}

impl Loaded {
    pub(crate) fn empty() -> Self {
        Self {
            doc: Automerge::new(),
            latest: Past::new(),
            ops: 0,
            unstored: false,
            used: 0,
        }
    }

    fn from_doc(doc: Automerge) -> Self {
        let mut latest = Past::new();
        let mut ops: u64 = 0;
        for change in doc.get_changes_meta(&[]) {
            let last = latest.entry(change.actor.to_bytes().to_vec()).or_default();
            last.seq = last.seq.max(change.seq);
            last.max_op = last.max_op.max(change.max_op);
            ops += (change.max_op + 1).saturating_sub(change.start_op);
        }
        Self {
            doc,
            latest,
            ops,
            unstored: false,
            used: 0,
        }
    }

    /// Number of an actor's last change, 0 when it has made none.
    pub(crate) fn last_seq(&self, actor: &[u8]) -> u64 {
        self.latest.get(actor).map_or(0, |reach| reach.seq)
    }
}

/// Writes the changes of one envelope as one chunk.
pub(crate) fn encode_chunk<'a>(changes: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Writer::default();
    for change in changes {
        out.bytes32(change);
    }
    out.finish()
}

fn decode_chunk(bytes: &[u8], into: &mut Vec<Change>) -> Result<(), EngineError> {
    let damaged = || EngineError::Damaged("changes of a document");
    let mut reader = Reader::new(bytes, "changes of a document");
    while reader.remaining() > 0 {
        let change = reader.bytes32(usize::MAX).map_err(|_| damaged())?;
        into.push(Change::from_bytes(change.to_vec()).map_err(|_| damaged())?);
    }
    Ok(())
}

#[derive(Default)]
pub(crate) struct Cache {
    loaded: HashMap<DocId, Loaded>,
    clock: u64,
}

impl Cache {
    /// The document as the store and the pending batch hold it.
    pub(crate) fn load(
        &mut self,
        meta: &DocMeta,
        store: &mut dyn Store,
        pending: &Batch,
    ) -> Result<&mut Loaded, EngineError> {
        self.clock += 1;
        if !self.loaded.contains_key(&meta.doc) {
            let loaded = read(meta, store, pending)?;
            self.insert(meta.doc, loaded);
        }
        let clock = self.clock;
        let loaded = self
            .loaded
            .get_mut(&meta.doc)
            .ok_or(EngineError::Bug("document cache"))?;
        loaded.used = clock;
        Ok(loaded)
    }

    pub(crate) fn insert(&mut self, doc: DocId, mut loaded: Loaded) {
        if self.loaded.len() >= KEPT
            && let Some(oldest) = self
                .loaded
                .iter()
                .filter(|(_, loaded)| !loaded.unstored)
                .min_by_key(|(_, loaded)| loaded.used)
                .map(|(doc, _)| *doc)
        {
            self.loaded.remove(&oldest);
        }
        self.clock += 1;
        loaded.used = self.clock;
        self.loaded.insert(doc, loaded);
    }

    pub(crate) fn take(&mut self, doc: &DocId) -> Option<Loaded> {
        self.loaded.remove(doc)
    }

    /// Forgets what memory says; the next use reads the store.
    pub(crate) fn drop_doc(&mut self, doc: &DocId) {
        self.loaded.remove(doc);
    }

    pub(crate) fn clear(&mut self) {
        self.loaded.clear();
    }
}

fn read(meta: &DocMeta, store: &mut dyn Store, pending: &Batch) -> Result<Loaded, EngineError> {
    let mut fetch = |key: Key| -> Result<Vec<u8>, EngineError> {
        match pending.pending(&key) {
            Some(value) => value.cloned(),
            None => store.load(&key)?,
        }
        .ok_or(EngineError::Damaged("a part of a document is missing"))
    };
    let base = match meta.generation {
        0 => None,
        generation => Some(fetch(Key::DocBase(meta.doc, generation))?),
    };
    let mut changes = Vec::new();
    for number in 0..meta.chunks {
        decode_chunk(
            &fetch(Key::DocChunk(meta.doc, meta.generation, number))?,
            &mut changes,
        )?;
    }
    // Stored bytes were accepted once, but a newer Automerge may judge them differently.
    let built = catch_unwind(AssertUnwindSafe(|| {
        let mut doc = match base {
            Some(base) => Automerge::load(&base)?,
            None => Automerge::new(),
        };
        doc.apply_changes(changes)?;
        Ok::<_, automerge::AutomergeError>(doc)
    }));
    match built {
        Ok(Ok(doc)) => Ok(Loaded::from_doc(doc)),
        _ => Err(EngineError::Damaged("a document cannot be read")),
    }
}

/// Deletes the stored form of a document.
pub(crate) fn delete_stored(meta: &DocMeta, batch: &mut Batch) {
    for number in 0..meta.chunks {
        batch.delete(Key::DocChunk(meta.doc, meta.generation, number));
    }
    if meta.generation > 0 {
        batch.delete(Key::DocBase(meta.doc, meta.generation));
    }
}

/// Adds one chunk to the stored form of a document, compacting it when there are many.
pub(crate) fn store_chunk(meta: &mut DocMeta, loaded: &Loaded, chunk: Vec<u8>, batch: &mut Batch) {
    meta.bytes = meta.bytes.saturating_add(chunk.len() as u64);
    let base = (meta.chunks + 1)
        .is_multiple_of(COMPACT_AT)
        .then(|| compact(&loaded.doc))
        .flatten();
    let Some(base) = base else {
        batch.put(Key::DocChunk(meta.doc, meta.generation, meta.chunks), chunk);
        meta.chunks += 1;
        return;
    };
    delete_stored(meta, batch);
    meta.generation += 1;
    meta.chunks = 0;
    batch.put(Key::DocBase(meta.doc, meta.generation), base);
}

/// Replaces the stored form of a document by these chunks, which `doc` was made from.
pub(crate) fn store_anew(
    meta: &mut DocMeta,
    doc: &Automerge,
    chunks: Vec<Vec<u8>>,
    batch: &mut Batch,
) {
    delete_stored(meta, batch);
    meta.bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let many = chunks.len() >= COMPACT_AT as usize;
    if let Some(base) = many.then(|| compact(doc)).flatten() {
        meta.generation += 1;
        meta.chunks = 0;
        batch.put(Key::DocBase(meta.doc, meta.generation), base);
        return;
    }
    meta.generation = 0;
    meta.chunks = 0;
    for chunk in chunks {
        batch.put(Key::DocChunk(meta.doc, 0, meta.chunks), chunk);
        meta.chunks += 1;
    }
}

/// Replaces the stored form of a document by a compact one: `saved`, if that is what `doc` was
/// made from.
pub(crate) fn store_base(
    meta: &mut DocMeta,
    doc: &Automerge,
    saved: Option<Vec<u8>>,
    batch: &mut Batch,
) {
    let base = match saved {
        Some(saved) if saved.len() <= LARGEST_BASE => Some(saved),
        _ => compact(doc),
    };
    let Some(base) = base else {
        let changes = doc.get_changes(&[]);
        let chunks = changes
            .iter()
            .map(|change| encode_chunk([change.raw_bytes()]));
        return store_anew(meta, doc, chunks.collect(), batch);
    };
    delete_stored(meta, batch);
    meta.generation += 1;
    meta.chunks = 0;
    meta.bytes = base.len() as u64;
    batch.put(Key::DocBase(meta.doc, meta.generation), base);
}

/// The compact form of a document, if it loads again. Otherwise its changes are kept as they
/// came: a member's odd operations must not cost the words of others.
fn compact(doc: &Automerge) -> Option<Vec<u8>> {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let saved = doc.save_nocompress();
        let again = Automerge::load(&saved).ok()?;
        (again.get_heads() == doc.get_heads() && saved.len() <= LARGEST_BASE).then_some(saved)
    }));
    attempt.ok().flatten()
}
