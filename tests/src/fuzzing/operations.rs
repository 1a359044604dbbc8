//! One replica in everyday use, with a disk that fills up, a connection that comes and goes, and
//! ends without warning: what it said was kept is there afterwards, and reaches the other device.
//! The input is a list of things to do, a byte or two for each.

use std::collections::BTreeMap;

use ajar_engine::outbox::ChangeError;
use ajar_engine::snapshot::pack::seal_pack;
use ajar_engine::store::StoreError;
use ajar_engine::{EngineError, Outputs, Ownership};
use ajar_protocol::DocId;
use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};

use super::Fate;
use super::scene::SCENE;
use super::world::{LAPTOP, PHONE, World};

/// Things to do with one input: beyond this nothing new happens.
const MOST: usize = 120;

struct Day {
    world: World,
    /// What was kept.
    kept: BTreeMap<DocId, BTreeMap<String, String>>,
    local: Option<Vec<u8>>,
    written: u32,
}

/// A list of things to do.
pub fn operations(input: &[u8]) -> Option<Fate> {
    let scene = &*SCENE;
    let mut world = scene.begin();
    world.disconnect(LAPTOP);
    let own = [("text".to_owned(), "Ben's own".to_owned())];
    let mut day = Day {
        world,
        kept: [(scene.own, own.into())].into(),
        local: None,
        written: 0,
    };
    let mut bytes = input.iter().copied();
    for _ in 0..MOST {
        let Some(what) = bytes.next() else {
            break;
        };
        day.act(what, &mut bytes);
    }
    day.restart();
    day.arrives();
    Fate::of("day", day.written > 0)
}

impl Day {
    fn act(&mut self, what: u8, bytes: &mut impl Iterator<Item = u8>) {
        let mut next = || bytes.next().unwrap_or(0);
        match what % 18 {
            0 => {
                let doc = self.world.new_doc(PHONE, Ownership::Mine);
                self.write(doc, "text", 1);
            }
            1 => self.write_some(next(), "text", 3),
            2 => self.write_some(next(), "title", 1),
            3 => {
                let length = usize::from(next()) * 40;
                self.write_some(next(), "long", length);
            }
            4 => self.delete(next()),
            5 => self.restart(),
            6 => self.world.connect(PHONE),
            7 => self.world.disconnect(PHONE),
            8 => self.world.run(),
            9 => {
                self.fails_next(StoreError::DiskFull);
                self.write_some(next(), "text", 2);
                self.fails_no_more();
            }
            10 => {
                self.fails_next(StoreError::Broken("EIO".to_owned()));
                self.write_some(next(), "text", 2);
                self.fails_no_more();
                self.restart();
            }
            11 => {
                self.fails_next(StoreError::DiskFull);
                self.receive_one();
                self.fails_no_more();
            }
            12 => self.pass(next()),
            13 => self.snapshot(),
            14 => self.burn(next()),
            15 => self.set_local(next()),
            16 => {
                let phone = &mut self.world.devices[PHONE];
                let outputs = phone.home.rotate(self.world.now, &mut phone.rng);
                self.world.take(PHONE, outputs.unwrap());
            }
            _ => self.chores(),
        }
    }

    fn some_doc(&self, which: u8) -> DocId {
        let place = usize::from(which) % self.kept.len().max(1);
        let known = self.kept.keys().nth(place);
        known.copied().unwrap_or(SCENE.own)
    }

    fn write_some(&mut self, which: u8, key: &str, length: usize) {
        if self.kept.is_empty() {
            return;
        }
        self.write(self.some_doc(which), key, length);
    }

    /// Writes; what is said to be kept counts from now on, and what is refused does not.
    fn write(&mut self, doc: DocId, key: &str, length: usize) {
        self.written += 1;
        let value = format!("{} ", self.written).repeat(length.max(1));
        let phone = &mut self.world.devices[PHONE];
        let put = phone
            .home
            .change(self.world.now, &mut phone.rng, doc, |tx| {
                tx.put(ROOT, key, value.as_str())
            });
        if let Some(outputs) = usual(put.map(|((), outputs)| outputs)) {
            self.kept
                .entry(doc)
                .or_default()
                .insert(key.to_owned(), value);
            self.world.take(PHONE, outputs);
        }
    }

    fn delete(&mut self, which: u8) {
        let doc = self.some_doc(which);
        let Some(key) = self
            .kept
            .get(&doc)
            .and_then(|keys| keys.keys().next().cloned())
        else {
            return;
        };
        let phone = &mut self.world.devices[PHONE];
        let deleted = phone
            .home
            .change(self.world.now, &mut phone.rng, doc, |tx| {
                tx.delete(ROOT, key.as_str())
            });
        if let Some(outputs) = usual(deleted.map(|((), outputs)| outputs)) {
            self.kept.entry(doc).or_default().remove(&key);
            self.world.take(PHONE, outputs);
        }
    }

    fn fails_next(&mut self, error: StoreError) {
        self.world.devices[PHONE].store.fail_next_commit(error);
    }

    /// Uses up a failure that met no commit.
    fn fails_no_more(&mut self) {
        let home = &mut self.world.devices[PHONE].home;
        let _ = home.set_local("nothing", Some(vec![1]));
        let _ = home.set_local("nothing", None);
        self.check();
    }

    fn receive_one(&mut self) {
        let now = self.world.now;
        let phone = &mut self.world.devices[PHONE];
        let Some(message) = phone.inbox.pop_front() else {
            return;
        };
        match phone.home.receive(now, vec![message]) {
            Ok(outputs) => self.world.take(PHONE, outputs),
            // The message is lost here: begin again, as the driver does.
            Err(EngineError::Store(_)) => self.world.disconnect(PHONE),
            Err(error) => panic!("a full disk makes {error}"),
        }
    }

    fn pass(&mut self, hours: u8) {
        let hours = std::time::Duration::from_secs(u64::from(hours) * 3600);
        self.world.now.elapsed += hours;
        self.world.now.wall_ms += i64::try_from(hours.as_millis()).unwrap();
        let outputs = self.world.devices[PHONE].home.tick(self.world.now);
        self.world.take(PHONE, outputs.unwrap());
    }

    fn snapshot(&mut self) {
        let phone = &mut self.world.devices[PHONE];
        phone.home.begin_snapshot().unwrap();
        while let Some(plain) = phone.home.next_pack().unwrap() {
            let sealed = seal_pack(&plain, &mut phone.rng).unwrap();
            phone.home.pack_sealed(sealed.reference);
        }
        let finished = phone.home.finish_snapshot(self.world.now, &mut phone.rng);
        if let Some(outputs) = finished.unwrap() {
            self.world.take(PHONE, outputs);
        }
    }

    fn burn(&mut self, which: u8) {
        let doc = self.some_doc(which);
        if self.kept.len() < 2 || self.kept[&doc].is_empty() {
            return;
        }
        let phone = &mut self.world.devices[PHONE];
        let burned = phone.home.burn(self.world.now, &mut phone.rng, &[doc], &[]);
        if let Some(outputs) = usual(burned.map_err(ChangeError::<automerge::AutomergeError>::from))
        {
            self.kept.remove(&doc);
            self.world.take(PHONE, outputs);
        }
    }

    fn set_local(&mut self, byte: u8) {
        let home = &mut self.world.devices[PHONE].home;
        home.set_local("drafts", Some(vec![byte])).unwrap();
        self.local = Some(vec![byte]);
    }

    fn chores(&mut self) {
        let phone = &mut self.world.devices[PHONE];
        let outputs: Outputs = phone.home.errands(self.world.now, &mut phone.rng).unwrap();
        while phone.home.sweeps() {
            phone.home.sweep().unwrap();
        }
        if phone.home.owes_scrub() {
            phone.home.scrubbed().unwrap();
        }
        self.world.take(PHONE, outputs);
    }

    fn restart(&mut self) {
        self.world.restart(PHONE);
        self.check();
        let findings = self.world.devices[PHONE].home.check().findings;
        assert!(findings.is_empty(), "{findings:?}");
    }

    /// Everything that was kept is there.
    fn check(&mut self) {
        let home = &mut self.world.devices[PHONE].home;
        let local = home.local("drafts").unwrap();
        assert_eq!(local, self.local, "local data is lost");
        self.has_all(PHONE);
    }

    fn has_all(&mut self, who: usize) {
        for (doc, expected) in &self.kept {
            let document = self.world.devices[who].home.document(doc);
            let document = document.unwrap_or_else(|error| panic!("{doc:?} at {who}: {error}"));
            for (key, value) in expected {
                let found = document.get(ROOT, key.as_str()).unwrap();
                let found = found.and_then(|(found, _)| Some(found.as_str()?.to_owned()));
                assert_eq!(found.as_ref(), Some(value), "{key} of {doc:?} at {who}");
            }
        }
    }

    /// All of it reaches the laptop, and the relay has confirmed it.
    fn arrives(&mut self) {
        for who in [PHONE, LAPTOP] {
            self.world.connect(who);
        }
        self.world.run();
        self.check();
        self.has_all(LAPTOP);
        assert_eq!(self.world.heads(PHONE), self.world.heads(LAPTOP));
        let status = self.world.devices[PHONE].home.status();
        assert_eq!(status.delivered, status.kept, "not all was delivered");
    }
}

/// What was done; `None` when the disk was full or broken, or a limit was reached.
fn usual<E: std::fmt::Debug>(done: Result<Outputs, ChangeError<E>>) -> Option<Outputs> {
    match done {
        Ok(outputs) => Some(outputs),
        Err(ChangeError::Engine(EngineError::Store(_))) => None,
        Err(error) => panic!("{error:?}"),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 1, 0, 5, 6, 8, 2, 0, 7, 5],
        vec![6, 8, 0, 3, 200, 0, 9, 0, 10, 0, 6, 8, 11, 5],
        vec![0, 0, 0, 6, 8, 13, 1, 1, 13, 14, 1, 8, 17, 5, 17],
        vec![12, 255, 12, 255, 12, 255, 1, 0, 16, 6, 8, 16, 5],
        vec![15, 7, 4, 0, 5, 15, 8, 6, 11, 11, 11, 5],
        // Forty changes of one document: it is stored anew.
        [[1, 0]; 40].concat(),
    ]
}
