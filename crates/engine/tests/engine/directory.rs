//! The directory of documents: what opening reads, and homes from before it had rows of its
//! own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ajar_engine::outbox::{ChangeError, Edit};
use ajar_engine::store::{Batch, Key, Marker, MemoryStore, Store, StoreError};
use ajar_engine::{EngineError, Misuse, Ownership, Replica};
use ajar_protocol::DocId;
use ajar_protocol::codec::{Reader, Writer};
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ROOT};
use zeroize::Zeroizing;

use crate::world::{ANA, BEN, World, content_of, heads};

/// A store that notes what is read from it and written to it.
#[derive(Clone)]
pub(crate) struct Counting {
    inner: MemoryStore,
    pub(crate) loads: Arc<Mutex<Vec<Key>>>,
    pub(crate) written: Arc<Mutex<Vec<(Key, usize)>>>,
}

impl Counting {
    pub(crate) fn over(inner: MemoryStore) -> Self {
        let (loads, written) = Default::default();
        Self {
            inner,
            loads,
            written,
        }
    }

    /// What was read since the last time.
    pub(crate) fn take_loads(&self) -> Vec<Key> {
        std::mem::take(&mut self.loads.lock().unwrap())
    }

    /// What was written since the last time, with the bytes of each.
    pub(crate) fn take_written(&self) -> Vec<(Key, usize)> {
        std::mem::take(&mut self.written.lock().unwrap())
    }
}

impl Store for Counting {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.loads.lock().unwrap().push(key.clone());
        self.inner.load(key)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let writes = batch.clone().into_writes();
        let sizes = writes.map(|(key, value)| (key, value.map_or(0, |value| value.len())));
        self.written.lock().unwrap().extend(sizes);
        self.inner.commit(batch)
    }

    fn save_keys(&mut self, keys: &Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.inner.save_keys(keys)
    }

    fn load_keys(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.inner.load_keys()
    }

    fn mark(&mut self, marker: Option<(Marker, u8)>) -> Result<(), StoreError> {
        self.inner.mark(marker)
    }

    fn marked(&mut self) -> Result<Option<(Marker, u8)>, StoreError> {
        self.inner.marked()
    }
}

/// Ana writes so many documents.
fn write_many(world: &mut World, documents: u32) -> Vec<DocId> {
    let ids: Vec<DocId> = (0..documents)
        .map(|_| world.new_doc(ANA, Ownership::Common))
        .collect();
    for some in ids.chunks(200) {
        let edit = |doc: &DocId| Edit::<AutomergeError> {
            doc: *doc,
            apply: Box::new(|tx| tx.put(ROOT, "title", "Rain")),
        };
        let edits = some.iter().map(edit).collect();
        let now = world.now;
        let ana = &mut world.devices[ANA];
        let outputs = ana.home.change_all(now, &mut ana.rng, edits).unwrap();
        world.take(ANA, outputs);
    }
    ids
}

#[test]
fn opening_reads_and_an_edit_writes_the_same_however_many_documents_there_are() {
    let mut seen = BTreeMap::new();
    for documents in [10, 2000] {
        let mut world = World::online(200);
        let ids = write_many(&mut world, documents);
        let store = Counting::over(world.devices[ANA].store.copied());
        let mut home = Replica::open(store.clone()).unwrap();
        let opening = store.take_loads();
        let of_documents =
            |key: &Key| matches!(key, Key::DocPage(_) | Key::DocRow(_) | Key::DocChunk(..));
        assert!(!opening.iter().any(of_documents), "{opening:?}");
        let ana = &mut world.devices[ANA];
        store.take_written();
        home.change(world.now, &mut ana.rng, ids[3], |tx| {
            tx.put(ROOT, "title", "Snow")
        })
        .unwrap();
        let written: usize = store.take_written().iter().map(|(_, bytes)| bytes).sum();
        seen.insert(documents, (opening.len(), written));
        let status = home.status();
        assert_eq!(status.documents, ids.len());
    }
    assert_eq!(seen[&10], seen[&2000]);
}

#[test]
fn a_few_wanted_documents_are_found_without_reading_the_others() {
    let mut world = World::online(201);
    let ids = write_many(&mut world, 300);
    let store = Counting::over(world.devices[ANA].store.copied());
    let mut home = Replica::open(store.clone()).unwrap();
    store.take_loads();
    let wanted = ids[77];
    let found = home.documents_where(|doc| *doc == wanted).unwrap();
    assert_eq!(
        found.iter().map(|info| info.id).collect::<Vec<_>>(),
        [wanted]
    );
    let loads = store.take_loads();
    let rows = loads.iter().filter(|key| matches!(key, Key::DocRow(_)));
    assert_eq!(rows.count(), 1);
    assert_eq!(home.documents().unwrap().len(), 300);
}

#[test]
fn a_write_that_fails_leaves_the_directory_as_the_store_holds_it() {
    let mut world = World::online(202);
    write_many(&mut world, 64);
    let before = world.devices[ANA].home.documents().unwrap();
    let new = world.new_doc(ANA, Ownership::Common);
    let full = StoreError::DiskFull;
    world.devices[ANA].store.fail_next_commit(full);
    assert!(world.edit(ANA, new, |tx| tx.put(ROOT, "n", 1)).is_err());
    let home = &mut world.devices[ANA].home;
    assert_eq!(home.status().documents, 64);
    assert!(matches!(
        home.document(&new),
        Err(ajar_engine::EngineError::Misuse(Misuse::NoSuchDocument(_)))
    ));
    assert_eq!(home.documents().unwrap(), before);
    world.put(ANA, new, "n", "2");
    world.run();
    world.assert_converged();
    assert_eq!(world.devices[BEN].home.status().documents, 65);
    world.restart(ANA);
    assert_eq!(world.devices[ANA].home.status().documents, 65);
}

/// Found by fuzzing: adding it up ended the program.
#[test]
fn a_damaged_row_that_claims_every_byte_there_is_stops_neither_snapshots_nor_what_comes_in() {
    let mut world = World::online(203);
    let ids = write_many(&mut world, 2);
    world.run();
    let store = &mut world.devices[ANA].store;
    let mut batch = Batch::default();
    for doc in &ids {
        let mut row = store.load(&Key::DocRow(*doc)).unwrap().unwrap();
        // Behind the version, the place, the generation and the number of chunks.
        row[13..21].fill(0xff);
        batch.put(Key::DocRow(*doc), row);
    }
    store.commit(batch).unwrap();
    world.restart(ANA);
    world.connect(ANA);
    let refused = world.edit(ANA, ids[1], |tx| tx.put(ROOT, "title", "Snow"));
    assert!(matches!(
        refused,
        Err(ChangeError::Engine(EngineError::Misuse(
            Misuse::LimitReached
        )))
    ));
    let theirs = world.new_doc(BEN, Ownership::Mine);
    world.put(BEN, ids[0], "title", "Hail");
    world.put(BEN, theirs, "title", "Fog");
    world.run();
    assert_eq!(world.value(ANA, theirs, "title").as_deref(), Some("Fog"));
    let ana = &mut world.devices[ANA].home;
    ana.begin_snapshot().unwrap();
    assert!(ana.next_pack().unwrap().is_some());
}

/// Found by fuzzing: counting on ended the program.
#[test]
fn damaged_counts_are_an_error_for_a_new_document_and_nothing_for_the_others() {
    let mut world = World::online(204);
    let ids = write_many(&mut world, 2);
    let store = &mut world.devices[ANA].store;
    let mut progress = store.load(&Key::Frontier).unwrap().unwrap();
    // The counts are the last three numbers.
    let at = progress.len() - 12;
    progress[at..].fill(0xff);
    let mut batch = Batch::default();
    batch.put(Key::Frontier, progress);
    store.commit(batch).unwrap();
    world.restart(ANA);
    world.put(ANA, ids[1], "title", "Hail");
    assert_eq!(world.value(ANA, ids[1], "title").as_deref(), Some("Hail"));
    let new = world.new_doc(ANA, Ownership::Mine);
    let refused = world.edit(ANA, new, |tx| tx.put(ROOT, "title", "Fog"));
    assert!(refused.is_err());
    assert_eq!(world.value(ANA, ids[1], "title").as_deref(), Some("Hail"));
}

/// Rewrites a store as version 3 of the state had it: the directory as pages of 32 rows.
fn make_old(store: &mut MemoryStore) {
    let mut batch = Batch::default();
    let mut ids = Vec::new();
    for number in 0.. {
        let Some(page) = store.load(&Key::DocPage(number)).unwrap() else {
            break;
        };
        batch.delete(Key::DocPage(number));
        ids.extend(page.as_chunks().0.iter().map(|id| DocId(*id)));
    }
    for (number, some) in (0..).zip(ids.chunks(32)) {
        let mut page = Writer::default();
        for doc in some {
            let row = store.load(&Key::DocRow(*doc)).unwrap().unwrap();
            let mut reader = Reader::new(&row, "a row");
            reader.take(1 + 4).unwrap();
            page.raw(&doc.0).raw(reader.take(4 + 4 + 8 + 4).unwrap());
            batch.delete(Key::DocRow(*doc));
        }
        batch.put(Key::DocPage(number), page.finish());
    }
    let mut meta = store.load(&Key::Meta).unwrap().unwrap();
    meta[0] = 3;
    let pages = u32::try_from(ids.len().div_ceil(32)).unwrap();
    meta.splice(2..2, pages.to_be_bytes());
    batch.put(Key::Meta, meta);
    let mut progress = store.load(&Key::Frontier).unwrap().unwrap();
    progress[0] = 1;
    progress.truncate(progress.len() - 12);
    batch.put(Key::Frontier, progress);
    store.commit(batch).unwrap();
}

#[test]
fn a_home_from_before_opens_with_all_it_had_and_is_written_on() {
    let mut world = World::online(203);
    let ids = write_many(&mut world, 150);
    for n in 0..40 {
        world.put(ANA, ids[5], "title", &n.to_string());
    }
    world.run();
    let mut store = world.devices[ANA].store.clone();
    let before = content_of(&mut world.devices[ANA].home);
    let order = world.devices[ANA].home.documents().unwrap();
    make_old(&mut store);
    // Two deaths: before anything is changed, and a full disk.
    let untouched = store.copied();
    store.fail_next_commit(StoreError::DiskFull);
    assert!(Replica::open(store.clone()).is_err());
    let mut twice = Replica::open(untouched).unwrap();
    assert_eq!(content_of(&mut twice), before);
    world.restart(ANA);
    let home = &mut world.devices[ANA].home;
    assert_eq!(content_of(home), before);
    assert_eq!(home.documents().unwrap(), order);
    assert_eq!(home.status().documents, 150);
    assert!(home.check().findings.is_empty());
    world.connect(ANA);
    let new = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, new, "title", "later");
    world.put(ANA, ids[149], "title", "last");
    world.run();
    world.assert_converged();
    world.restart(ANA);
    assert_eq!(heads(&mut world.devices[ANA].home).len(), 151);
}
