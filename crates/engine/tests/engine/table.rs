//! The table of what there is: it follows every change, and nothing that happens to it is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ajar_engine::outbox::Edit;
use ajar_engine::store::{Batch, Key, MemoryStore, Store, StoreError};
use ajar_engine::table::{RowQuery, Summarize, Summary, TableRow};
use ajar_engine::{Ownership, Replica};
use ajar_protocol::DocId;
use automerge::transaction::Transactable;
use automerge::{Automerge, AutomergeError, ROOT, ReadDoc};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use crate::directory::Counting;
use crate::removal::hide;
use crate::world::{ANA, BEN, Home, World, rng};

/// Rows as a journal might have them: by `day`, with the title.
struct ByDay(u32);

impl Summarize for ByDay {
    fn version(&self) -> u32 {
        self.0
    }

    fn summarize(&self, doc: &Automerge) -> Option<Summary> {
        let get = |key| doc.get(ROOT, key).ok()??.0.into_string().ok();
        let title: String = get("title")?;
        assert_ne!(title, "panic", "somebody wrote what this cannot read");
        Some(Summary {
            shelf: 7,
            sort: get("day")?.parse().ok()?,
            head: title.clone().into_bytes(),
            text: get("text").unwrap_or(title),
        })
    }
}

/// A world in which everybody keeps a table.
fn world(seed: u64) -> World {
    let mut world = World::online(seed);
    for device in &mut world.devices {
        device.home.with_summarize(Arc::new(ByDay(1)));
    }
    world
}

fn write(world: &mut World, who: usize, doc: DocId, title: &str, day: i64) {
    world
        .edit(who, doc, |tx| {
            tx.put(ROOT, "title", title)?;
            tx.put(ROOT, "day", day.to_string())
        })
        .unwrap();
}

fn rows<S: Store>(home: &mut Replica<S>) -> Vec<(i64, String)> {
    let rows = home.rows(&RowQuery::default()).unwrap();
    rows.into_iter().map(seen).collect()
}

fn seen(row: TableRow) -> (i64, String) {
    (row.sort, String::from_utf8(row.head).unwrap())
}

fn titled(rows: &[(i64, &str)]) -> Vec<(i64, String)> {
    rows.iter()
        .map(|(day, title)| (*day, (*title).to_owned()))
        .collect()
}

/// Everything the table says, against the documents themselves.
fn assert_true(home: &mut Home) {
    let mut expected = BTreeSet::new();
    for info in home.documents().unwrap() {
        let doc = home.document(&info.id).unwrap();
        if let Some(summary) = ByDay(1).summarize(doc) {
            expected.insert((summary.sort, info.id, summary.head));
        }
    }
    let rows = home.rows(&RowQuery::default()).unwrap();
    let places: Vec<_> = rows.iter().map(|row| (row.sort, row.doc)).collect();
    assert!(places.is_sorted_by(|a, b| a > b), "newest first");
    let found = rows.into_iter().map(|row| (row.sort, row.doc, row.head));
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn rows_follow_what_is_written_here_and_there() {
    let mut world = world(300);
    let doc = world.new_doc(ANA, Ownership::Common);
    let other = world.new_doc(BEN, Ownership::Mine);
    write(&mut world, ANA, doc, "Rain", 10);
    write(&mut world, BEN, other, "Sea", 20);
    world.run();
    for who in [ANA, BEN] {
        let rows = rows(&mut world.devices[who].home);
        assert_eq!(rows, titled(&[(20, "Sea"), (10, "Rain")]));
    }
    // Another day moves the row, another title changes it.
    write(&mut world, BEN, doc, "Snow", 30);
    world.run();
    let expected = titled(&[(30, "Snow"), (20, "Sea")]);
    assert_eq!(rows(&mut world.devices[ANA].home), expected);
    assert_eq!(rows(&mut world.devices[BEN].home), expected);
    let all = world.devices[ANA].home.rows(&RowQuery::default()).unwrap();
    let ben = world.devices[BEN].home.own_party();
    assert_eq!((all[0].owner, all[1].owner), (None, Some(ben)));
    world.restart(ANA);
    let home = &mut world.devices[ANA].home;
    assert_eq!(
        home.rows(&RowQuery::default()).unwrap(),
        [],
        "nobody says how"
    );
    home.with_summarize(Arc::new(ByDay(1)));
    assert_eq!(rows(home), expected);
}

#[test]
fn what_cannot_be_summarized_has_no_row_and_brings_nothing_down() {
    let mut world = world(301);
    let good = world.new_doc(BEN, Ownership::Mine);
    let bad = world.new_doc(BEN, Ownership::Mine);
    let none = world.new_doc(BEN, Ownership::Mine);
    write(&mut world, BEN, good, "Rain", 10);
    world.put(BEN, none, "colour", "blue");
    // Ben's own software says nothing of it, so it goes through his as through hers.
    write(&mut world, BEN, bad, "Sea", 20);
    world.run();
    assert_eq!(rows(&mut world.devices[ANA].home).len(), 2);
    world.put(BEN, bad, "title", "panic");
    world.run();
    for who in [ANA, BEN] {
        let rows = rows(&mut world.devices[who].home);
        assert_eq!(rows, titled(&[(10, "Rain")]));
    }
    world.put(BEN, bad, "title", "Sun");
    world.put(BEN, good, "title", &"x".repeat(4097));
    world.run();
    let rows = rows(&mut world.devices[ANA].home);
    assert_eq!(rows, titled(&[(20, "Sun")]), "too long a head is none");
    world.assert_converged();
}

#[test]
fn a_cut_off_takes_the_rows_with_the_words() {
    let mut world = World::online(302);
    let laptop = world.link(ANA);
    for device in &mut world.devices {
        device.home.with_summarize(Arc::new(ByDay(1)));
    }
    let common = world.new_doc(ANA, Ownership::Common);
    write(&mut world, ANA, common, "Rain", 10);
    world.run();
    hide(&mut world, laptop, ANA);
    let late = world.new_doc(laptop, Ownership::Common);
    write(&mut world, laptop, late, "Late", 20);
    write(&mut world, laptop, common, "Stolen", 30);
    world.run();
    let both = titled(&[(30, "Stolen"), (20, "Late")]);
    assert_eq!(rows(&mut world.devices[BEN].home), both);
    // She removes it without having heard of what it wrote last.
    world.remove(ANA, laptop);
    for who in [ANA, BEN] {
        let home = &mut world.devices[who].home;
        assert_eq!(rows(home), titled(&[(10, "Rain")]), "device {who}");
        assert_true(home);
    }
}

#[test]
fn many_pages_answer_as_a_list_in_memory_would() {
    const SEED: u64 = 303;
    eprintln!("seed {SEED}");
    let mut world = world(SEED);
    let mut chance = rng(SEED);
    let mut model: BTreeMap<DocId, (i64, String)> = BTreeMap::new();
    let mut ids: Vec<DocId> = Vec::new();
    for round in 0..30 {
        let mut edits: Vec<Edit<'_, AutomergeError>> = Vec::new();
        for _ in 0..chance.next_u32() % 60 {
            let old = ids
                .get(chance.next_u32() as usize % (ids.len() + 3))
                .copied();
            let doc = old.unwrap_or_else(|| world.new_doc(ANA, Ownership::Common));
            if old.is_none() {
                ids.push(doc);
            }
            let day = i64::from(chance.next_u32() % 50);
            let text = words(&mut chance);
            model.insert(doc, (day, text.clone()));
            edits.push(Edit {
                doc,
                apply: Box::new(move |tx| {
                    tx.put(ROOT, "title", format!("day {day}"))?;
                    tx.put(ROOT, "day", day.to_string())?;
                    tx.put(ROOT, "text", text)
                }),
            });
        }
        let now = world.now;
        let ana = &mut world.devices[ANA];
        let outputs = ana.home.change_all(now, &mut ana.rng, edits).unwrap();
        world.take(ANA, outputs);
        if round % 10 == 9 {
            world.run();
            world.restart(ANA);
            world.devices[ANA].home.with_summarize(Arc::new(ByDay(1)));
            world.connect(ANA);
        }
        for who in [ANA, BEN]
            .into_iter()
            .take(1 + usize::from(round % 10 == 9))
        {
            let from = i64::from(chance.next_u32() % 50);
            let to = from + i64::from(chance.next_u32() % 50);
            let needle = format!("w{}", chance.next_u32() % 400);
            let limit = 1 + chance.next_u32() as usize % 40;
            let query = RowQuery {
                from,
                to,
                words: vec![needle.clone(), "w".to_owned()],
                ..RowQuery::default()
            };
            let home = &mut world.devices[who].home;
            let found: BTreeSet<DocId> = home
                .rows(&query)
                .unwrap()
                .iter()
                .map(|row| row.doc)
                .collect();
            let expected = model
                .iter()
                .filter(|(_, (day, text))| (from..=to).contains(day) && text.contains(&needle));
            let expected: BTreeSet<DocId> = expected.map(|(doc, _)| *doc).collect();
            assert_eq!(found, expected, "round {round}, device {who}");
            let some = home
                .rows(&RowQuery {
                    limit,
                    ..RowQuery::default()
                })
                .unwrap();
            let mut days: Vec<i64> = model.values().map(|(day, _)| *day).collect();
            days.sort_by(|a, b| b.cmp(a));
            let last = days.get(limit - 1).copied().unwrap_or(i64::MIN);
            days.retain(|day| *day >= last);
            let got: Vec<i64> = some.iter().map(|row| row.sort).collect();
            assert_eq!(got, days, "round {round}, device {who}: ties are whole");
        }
    }
    assert!(
        page(&world.devices[ANA].store, 5).is_some(),
        "several pages"
    );
    assert_true(&mut world.devices[ANA].home);
    assert_true(&mut world.devices[BEN].home);
}

/// Up to 6 kB that hardly repeats.
fn words(chance: &mut ChaCha20Rng) -> String {
    let count = chance.next_u32() % 600;
    let words: Vec<String> = (0..count)
        .map(|_| format!("w{}-{}", chance.next_u32() % 1000, chance.next_u32()))
        .collect();
    words.join(" ")
}

fn page(store: &MemoryStore, number: u32) -> Option<Vec<u8>> {
    store.clone().load(&Key::TablePage(number)).unwrap()
}

/// Ana with some documents of five thousand letters each.
fn some_pages(seed: u64, documents: i64) -> World {
    let mut world = world(seed);
    for day in 0..documents {
        let doc = world.new_doc(ANA, Ownership::Mine);
        let text = "x".repeat(5000) + &format!(" day{day} ");
        world
            .edit(ANA, doc, |tx| {
                tx.put(ROOT, "title", format!("Day {day}"))?;
                tx.put(ROOT, "text", text)?;
                tx.put(ROOT, "day", day.to_string())
            })
            .unwrap();
    }
    world
}

#[test]
fn a_list_reads_a_page_and_an_edit_writes_one() {
    let world = some_pages(304, 40);
    let store = Counting::over(world.devices[ANA].store.copied());
    let mut home = Replica::open(store.clone()).unwrap();
    home.with_summarize(Arc::new(ByDay(1)));
    store.take_loads();
    let query = RowQuery {
        limit: 3,
        ..RowQuery::default()
    };
    assert_eq!(home.rows(&query).unwrap().len(), 3);
    let loads = store.take_loads();
    assert_eq!(loads.len(), 2, "{loads:?}");
    assert!(page(&world.devices[ANA].store, 3).is_some());
    let doc = home.rows(&query).unwrap()[2].doc;
    store.take_written();
    let edit = |tx: &mut automerge::transaction::Transaction<'_>| tx.put(ROOT, "title", "New");
    home.change(world.now, &mut rng(1), doc, edit).unwrap();
    let of_table = |(key, _): &(Key, usize)| matches!(key, Key::TablePage(_) | Key::TableIndex);
    let written = store.take_written();
    assert_eq!(written.iter().filter(|write| of_table(write)).count(), 1);
    let search = RowQuery {
        words: vec!["day7 ".to_owned()],
        ..RowQuery::default()
    };
    let found = home.rows(&search).unwrap();
    assert_eq!(
        found.into_iter().map(seen).collect::<Vec<_>>(),
        titled(&[(7, "Day 7")])
    );
}

fn put(store: &mut MemoryStore, key: Key, value: Option<Vec<u8>>) {
    let mut batch = Batch::default();
    match value {
        Some(value) => batch.put(key, value),
        None => batch.delete(key),
    }
    store.commit(batch).unwrap();
}

#[test]
fn a_damaged_table_is_made_anew_without_a_word() {
    let mut world = some_pages(305, 40);
    let expected = rows(&mut world.devices[ANA].home);
    assert_eq!(expected.len(), 40);
    let record = page(&world.devices[ANA].store, 1).unwrap();
    let damages = [
        (Key::TablePage(1), None),
        (Key::TablePage(1), Some(vec![0; 100])),
        (Key::TablePage(1), Some(record[..record.len() / 2].to_vec())),
        (Key::TableIndex, None),
        (Key::TableIndex, Some(vec![9])),
    ];
    for (key, value) in damages {
        let store = &mut world.devices[ANA].store.clone();
        // What a larger table has left behind goes, too.
        put(store, Key::TablePage(60), Some(vec![1]));
        put(store, key.clone(), value.clone());
        world.restart(ANA);
        let home = &mut world.devices[ANA].home;
        home.with_summarize(Arc::new(ByDay(1)));
        assert_eq!(rows(home), expected, "{key:?} {value:?}");
        assert!(page(store, 60).is_none(), "{key:?}");
    }
    // An edit meets the damage first: it is kept, and the table goes.
    let store = &mut world.devices[ANA].store.clone();
    put(store, Key::TablePage(0), None);
    world.restart(ANA);
    let home = &mut world.devices[ANA].home;
    home.with_summarize(Arc::new(ByDay(1)));
    let doc = home.documents().unwrap()[0].id;
    world.put(ANA, doc, "title", "Kept");
    assert_eq!(world.value(ANA, doc, "title").as_deref(), Some("Kept"));
    assert_eq!(store.load(&Key::TableIndex).unwrap(), None);
    assert_true(&mut world.devices[ANA].home);
}

#[test]
fn another_version_or_a_program_without_a_table_makes_it_anew() {
    let mut world = some_pages(306, 12);
    let expected = rows(&mut world.devices[ANA].home);
    let store = world.devices[ANA].store.clone();
    let version = || {
        store
            .clone()
            .load(&Key::TableIndex)
            .unwrap()
            .map(|index| index[4])
    };
    world.restart(ANA);
    let home = &mut world.devices[ANA].home;
    home.with_summarize(Arc::new(ByDay(2)));
    assert_eq!(version(), Some(1), "not before somebody asks");
    assert_eq!(rows(home), expected);
    assert_eq!(version(), Some(2));
    // Without one, what is written is in no row: the table goes with the first change.
    world.restart(ANA);
    let doc = world.new_doc(ANA, Ownership::Mine);
    write(&mut world, ANA, doc, "Unseen", 99);
    assert_eq!(version(), None);
    let home = &mut world.devices[ANA].home;
    home.with_summarize(Arc::new(ByDay(2)));
    assert_eq!(rows(home)[0], (99, "Unseen".to_owned()));
}

#[test]
fn a_death_while_the_table_is_made_anew_leaves_none_and_the_next_one_is_whole() {
    let mut world = some_pages(307, 600);
    let expected = rows(&mut world.devices[ANA].home);
    let before = world.devices[ANA].store.commits();
    world.devices[ANA].home.rebuild_table().unwrap();
    let commits = world.devices[ANA].store.commits() - before;
    assert!(commits >= 3, "{commits}");
    assert_eq!(rows(&mut world.devices[ANA].home), expected);
    for died_at in 1..=commits {
        let store = Dying::over(world.devices[ANA].store.copied(), died_at);
        let mut home = Replica::open(store.clone()).unwrap();
        home.with_summarize(Arc::new(ByDay(1)));
        assert!(home.rebuild_table().is_err(), "{died_at}");
        let mut home = Replica::open(store.inner).unwrap();
        home.with_summarize(Arc::new(ByDay(1)));
        assert_eq!(rows(&mut home), expected, "{died_at}");
    }
}

#[test]
fn a_change_that_was_not_kept_has_no_row() {
    let mut world = some_pages(308, 12);
    let expected = rows(&mut world.devices[ANA].home);
    world.devices[ANA]
        .store
        .fail_next_commit(StoreError::DiskFull);
    let doc = world.new_doc(ANA, Ownership::Mine);
    let lost = world.edit(ANA, doc, |tx| {
        tx.put(ROOT, "title", "Lost")?;
        tx.put(ROOT, "day", "99")
    });
    assert!(lost.is_err());
    assert_eq!(rows(&mut world.devices[ANA].home), expected);
    write(&mut world, ANA, doc, "Kept", 98);
    assert_eq!(
        rows(&mut world.devices[ANA].home)[0],
        (98, "Kept".to_owned())
    );
}

/// A store whose machine dies with a commit, which is not kept.
#[derive(Clone)]
struct Dying {
    inner: MemoryStore,
    left: Arc<std::sync::atomic::AtomicU64>,
}

impl Dying {
    fn over(inner: MemoryStore, at: u64) -> Self {
        let left = Arc::new(at.into());
        Self { inner, left }
    }
}

impl Store for Dying {
    fn load(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load(key)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let before = self.left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if before == 1 {
            return Err(StoreError::Broken("died".to_owned()));
        }
        self.inner.commit(batch)
    }

    fn save_keys(&mut self, keys: &zeroize::Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        self.inner.save_keys(keys)
    }

    fn load_keys(&mut self) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        self.inner.load_keys()
    }

    fn mark(&mut self, marker: Option<(ajar_engine::store::Marker, u8)>) -> Result<(), StoreError> {
        self.inner.mark(marker)
    }

    fn marked(&mut self) -> Result<Option<(ajar_engine::store::Marker, u8)>, StoreError> {
        self.inner.marked()
    }
}
