//! A member signs hostile changes with real keys. Every honest device leaves the whole
//! envelope out alike, nobody panics, and all else goes on.

use std::time::{Duration, Instant};

use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::DocId;
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, ObjType, ROOT, ReadDoc};

use crate::craft::{self, Craft};
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, LAPTOP, World, content_of};

/// Highest resident memory of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Ana with phone and laptop, and what Ben's keys can do.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) ben: Rogue,
    /// A document of both, with a text, that everyone has.
    pub(crate) doc: DocId,
    /// Ben's view of it.
    pub(crate) at_ben: Automerge,
    written: u32,
}

pub(crate) fn scene(seed: u64) -> Scene {
    let mut world = World::with_laptop(seed);
    let doc = world.new_doc(ANA, Ownership::Common);
    world
        .edit(ANA, doc, |tx| {
            let text = tx.put_object(ROOT, "body", ObjType::Text)?;
            tx.splice_text(&text, 0, 0, "ours")
        })
        .unwrap();
    world.run();
    let at_ben = world.devices[BEN].home.document(&doc).unwrap().fork();
    let ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    Scene {
        world,
        ben,
        doc,
        at_ben,
        written: 0,
    }
}

impl Scene {
    /// Ben's next change of the common document.
    pub(crate) fn change(&mut self) -> Vec<u8> {
        let actor = self.ben.actor(&self.doc);
        self.written += 1;
        let words = if self.written == 1 {
            "words".to_owned()
        } else {
            format!("words {}", self.written)
        };
        craft::edit(&mut self.at_ben, &actor, |tx| tx.put(ROOT, "his", words))
    }

    /// The envelope arrives everywhere, and its content nowhere.
    pub(crate) fn is_left_out(&mut self, name: &str, envelope: Vec<u8>) {
        let before = [ANA, LAPTOP].map(|who| content_of(&mut self.world.devices[who].home).0);
        let (peak, began) = (peak_memory(), Instant::now());
        self.world.inject(envelope);
        self.world.run();
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: too slow");
        let grown = peak_memory().saturating_sub(peak);
        assert!(grown < 256 << 20, "{name}: {grown} bytes of memory");
        let (device, counter) = (self.ben.secrets.id(), self.ben.last.unwrap().counter);
        for (who, before) in [ANA, LAPTOP].into_iter().zip(before) {
            assert_eq!(self.world.heads(who), before, "{name}: changed something");
            assert_eq!(
                self.world.notices(who).last(),
                Some(&NoticeKind::Unopenable { device, counter }),
                "{name}"
            );
            assert_eq!(self.world.devices[who].home.status().parked, 0, "{name}");
        }
        self.goes_on(name);
    }

    /// Ana's devices still write to each other, and an honest change of Ben's still counts.
    pub(crate) fn goes_on(&mut self, name: &str) {
        let (device, counter) = (self.ben.secrets.id(), self.ben.last.unwrap().counter);
        let honest = self.world.new_doc(BEN, Ownership::Mine);
        let change = craft::edit(&mut Automerge::new(), &self.ben.actor(&honest), |tx| {
            tx.put(ROOT, "honest", name)
        });
        let envelope = self.ben.changes(honest, vec![change]);
        self.world.inject(envelope);
        let hers = self.world.new_doc(ANA, Ownership::Mine);
        self.world.put(ANA, hers, "x", name);
        self.world.run();
        assert_eq!(self.world.value(LAPTOP, hers, "x").as_deref(), Some(name));
        for who in [ANA, LAPTOP] {
            let applied = self.world.devices[who].home.frontier().counter(&device);
            assert_eq!(applied, counter + 1, "{name}");
            let value = self.world.value(who, honest, "honest");
            assert_eq!(value.as_deref(), Some(name), "{name}");
        }
        assert_eq!(self.world.heads(ANA), self.world.heads(LAPTOP), "{name}");
        for who in [ANA, LAPTOP] {
            self.world.restart(who);
            self.world.connect(who);
        }
        self.world.run();
        assert_eq!(self.world.heads(ANA), self.world.heads(LAPTOP), "{name}");
    }

    pub(crate) fn changes_are_left_out(&mut self, name: &str, changes: Vec<Vec<u8>>) {
        let envelope = self.ben.changes(self.doc, changes);
        self.is_left_out(name, envelope);
    }
}

#[test]
fn an_honest_change_made_this_way_counts() {
    let mut scene = scene(100);
    let change = scene.change();
    let envelope = scene.ben.changes(scene.doc, vec![change]);
    scene.world.inject(envelope);
    scene.world.run();
    for who in [ANA, LAPTOP] {
        assert_eq!(
            scene.world.value(who, scene.doc, "his").as_deref(),
            Some("words")
        );
        let party = scene.world.devices[ANA].home.own_party();
        let added = NoticeKind::DeviceAdded { party, seq: 1 };
        assert_eq!(scene.world.notices(who), [added]);
    }
    scene.goes_on("honest");
}

#[test]
fn ben_writing_into_what_is_anas_is_left_out() {
    let mut scene = scene(101);
    let hers = scene.world.new_doc(ANA, Ownership::Mine);
    scene.world.put(ANA, hers, "title", "mine");
    scene.world.run();
    let document = scene.world.devices[ANA].home.document(&hers).unwrap();
    let mut copy = document.fork();
    let change = craft::edit(&mut copy, &scene.ben.actor(&hers), |tx| {
        tx.put(ROOT, "title", "his")
    });
    let envelope = scene.ben.changes(hers, vec![change]);
    scene.is_left_out("Ana's document", envelope);
    // A new document with an id that says it is hers, or with a reserved id.
    for first in [hers.0[0] & 0xc0, 0xc0] {
        let doc = DocId([first; 16]);
        let change = craft::edit(&mut Automerge::new(), &scene.ben.actor(&doc), |tx| {
            tx.put(ROOT, "title", "his")
        });
        let envelope = scene.ben.changes(doc, vec![change]);
        scene.is_left_out("an id of hers", envelope);
    }
}

#[test]
fn a_change_under_someone_elses_actor_is_left_out() {
    let mut scene = scene(102);
    let anas = {
        let document = scene.world.devices[ANA].home.document(&scene.doc).unwrap();
        document.get_changes(&[])[0].actor_id().to_bytes().to_vec()
    };
    let other_doc = scene.ben.actor(&DocId([0x80; 16])).to_vec();
    let incarnation = {
        let (space, device) = (scene.ben.space, scene.ben.secrets.id());
        ajar_protocol::id::actor(&space, &device, &scene.doc, 1).to_vec()
    };
    for actor in [
        anas,
        other_doc,
        incarnation,
        vec![1; 16],
        vec![1],
        vec![0; 64],
    ] {
        let mut copy = scene.at_ben.fork();
        let change = craft::edit(&mut copy, &actor, |tx| tx.put(ROOT, "x", 1));
        scene.changes_are_left_out("actor", vec![change]);
    }
}

#[test]
fn two_changes_at_one_place_of_an_actor_are_left_out() {
    let mut scene = scene(103);
    let actor = scene.ben.actor(&scene.doc);
    let mut twin = scene.at_ben.fork();
    let first = scene.change();
    let second = craft::edit(&mut twin, &actor, |tx| tx.put(ROOT, "his", "other words"));
    scene.changes_are_left_out("both in one envelope", vec![first.clone(), second.clone()]);
    let envelope = scene.ben.changes(scene.doc, vec![first.clone()]);
    scene.world.inject(envelope);
    scene.world.run();
    scene.changes_are_left_out("the second in a later envelope", vec![second]);
    scene.changes_are_left_out("the same once more", vec![first]);
}

#[test]
fn a_change_that_skips_a_number_of_its_actor_is_left_out() {
    let mut scene = scene(104);
    let _first = scene.change();
    let second = scene.change();
    scene.changes_are_left_out("gap", vec![second]);
    let first = {
        let mut copy = scene.world.devices[BEN]
            .home
            .document(&scene.doc)
            .unwrap()
            .fork();
        craft::edit(&mut copy, &scene.ben.actor(&scene.doc), |tx| {
            tx.put(ROOT, "x", 1)
        })
    };
    // Order within an envelope counts too.
    let third = scene.change();
    scene.changes_are_left_out("order", vec![third, first]);
}

#[test]
fn changes_on_what_nobody_has_wait_within_bounds_and_block_only_their_author() {
    let mut scene = scene(105);
    let mut craft = Craft::nulls(&scene.ben.actor(&scene.doc), 1);
    craft.deps = vec![[9; 32]];
    let envelope = scene.ben.changes(scene.doc, vec![craft.bytes()]);
    scene.world.inject(envelope);
    for n in 0..600u64 {
        craft.seq = n + 2;
        let envelope = scene.ben.changes(scene.doc, vec![craft.bytes()]);
        scene.world.inject(envelope);
    }
    scene.world.run();
    for who in [ANA, LAPTOP] {
        assert_eq!(scene.world.devices[who].home.status().parked, 256);
        assert_eq!(
            scene
                .world
                .notices(who)
                .iter()
                .filter(|n| matches!(n, NoticeKind::Unopenable { .. }))
                .count(),
            0
        );
    }
    let hers = scene.world.new_doc(ANA, Ownership::Mine);
    scene.world.put(ANA, hers, "x", "goes on");
    scene.world.run();
    assert_eq!(
        scene.world.value(LAPTOP, hers, "x").as_deref(),
        Some("goes on")
    );
    scene.world.reconnect(LAPTOP);
    assert!(scene.world.devices[LAPTOP].home.caught_up());
}

#[test]
fn run_length_bombs_are_left_out() {
    let mut scene = scene(106);
    for n in [50_001, 10_000_000, 1 << 62, i64::MAX] {
        let mut bomb = Craft::nulls(&scene.ben.actor(&scene.doc), n);
        scene.changes_are_left_out("nulls", vec![bomb.bytes()]);
        // All in one column, the others honest.
        for column in 0..bomb.columns.len() {
            let mut one = Craft::nulls(&scene.ben.actor(&scene.doc), 1);
            one.columns[column] = bomb.columns[column].clone();
            scene.changes_are_left_out("one column", vec![one.bytes()]);
        }
        bomb.columns.retain(|(spec, _)| *spec == craft::ACTION);
        scene.changes_are_left_out("actions only", vec![bomb.bytes()]);
    }
}

#[test]
fn bombs_of_many_small_changes_are_left_out() {
    let mut scene = scene(107);
    let actor = scene.ben.actor(&scene.doc);
    let mut changes = Vec::new();
    for n in 0..256u64 {
        let mut craft = Craft::nulls(&actor, 50_000);
        craft.seq = n + 1;
        craft.start_op = 10 + n * 50_000;
        changes.push(craft.bytes());
    }
    scene.changes_are_left_out("12.8 million operations in 25 kB", changes);
}

#[test]
fn other_kinds_of_chunks_are_left_out() {
    let mut scene = scene(108);
    let document = scene.at_ben.save();
    let long = "many words ".repeat(200);
    let actor = scene.ben.actor(&scene.doc);
    let mut copy = scene.at_ben.fork();
    copy.set_actor(ActorId::from(actor.as_slice()));
    let mut tx = copy.transaction();
    tx.put(ROOT, "long", long.as_str()).unwrap();
    tx.commit();
    let deflated = copy.get_last_local_change().unwrap().bytes().to_vec();
    assert_eq!(deflated[8], craft::DEFLATED);
    scene.changes_are_left_out("a compressed change", vec![deflated]);
    assert_eq!(document[8], craft::DOCUMENT);
    scene.changes_are_left_out("a document", vec![document]);
    let good = scene.change();
    for kind in [craft::DOCUMENT, craft::DEFLATED, craft::BUNDLE, 4, 255] {
        let chunk = craft::chunk(kind, &good[11..]);
        scene.changes_are_left_out("kind", vec![chunk]);
    }
    let mut column = Craft::nulls(&actor, 1);
    for (spec, _) in &mut column.columns {
        *spec |= craft::DEFLATE_BIT;
    }
    scene.changes_are_left_out("compressed columns", vec![column.bytes()]);
}

#[test]
fn damaged_changes_are_left_out() {
    let mut scene = scene(109);
    let good = scene.change();
    let mut checksum = good.clone();
    checksum[5] ^= 1;
    scene.changes_are_left_out("checksum", vec![checksum]);
    scene.changes_are_left_out(
        "two in one item",
        vec![[good.clone(), good.clone()].concat()],
    );
    scene.changes_are_left_out("empty", vec![Vec::new()]);
    for cut in [1, 8, 9, 20, 60, good.len() - 1] {
        scene.changes_are_left_out("cut", vec![good[..cut].to_vec()]);
    }
    scene.changes_are_left_out("good then bad", vec![good, vec![1, 2, 3]]);
}

#[test]
fn times_and_messages_inside_changes_are_left_out() {
    let mut scene = scene(110);
    let actor = scene.ben.actor(&scene.doc);
    let options = [
        CommitOptions::default().with_time(1_700_000_000),
        CommitOptions::default().with_time(i64::MIN),
        CommitOptions::default().with_message("typed at night"),
    ];
    for options in options {
        let mut copy = scene.at_ben.fork();
        copy.set_actor(ActorId::from(actor.as_slice()));
        let mut tx = copy.transaction();
        tx.put(ROOT, "x", 1).unwrap();
        tx.commit_with(options);
        let change = copy.get_last_local_change().unwrap().raw_bytes().to_vec();
        scene.changes_are_left_out("metadata", vec![change]);
    }
}

#[test]
fn deep_nesting_is_left_out_at_once_and_bit_by_bit() {
    let mut scene = scene(111);
    let actor = scene.ben.actor(&scene.doc);
    for depth in [17, 3000] {
        let mut copy = scene.at_ben.fork();
        let change = craft::edit(&mut copy, &actor, |tx| {
            let mut parent = ROOT;
            for _ in 0..depth {
                parent = tx.put_object(&parent, "deeper", ObjType::Map)?;
            }
            Ok(())
        });
        scene.changes_are_left_out("nesting", vec![change]);
    }
    // Sixteen are fine; one more in a later envelope is not.
    let mut parent = ROOT;
    let sixteen = craft::edit(&mut scene.at_ben, &actor, |tx| {
        for _ in 0..16 {
            parent = tx
                .put_object(&parent, "deeper", ObjType::List)
                .or_else(|_| tx.insert_object(&parent, 0, ObjType::List))?;
        }
        Ok(())
    });
    let envelope = scene.ben.changes(scene.doc, vec![sixteen]);
    scene.world.inject(envelope);
    scene.world.run();
    let deepest = scene.world.heads(LAPTOP)[&scene.doc].clone();
    assert_eq!(deepest, scene.at_ben.get_heads(), "sixteen levels are fine");
    let one_more = craft::edit(&mut scene.at_ben, &actor, |tx| {
        tx.insert_object(&parent, 0, ObjType::Text).map(|_| ())
    });
    scene.changes_are_left_out("one more", vec![one_more]);
}

#[test]
fn a_change_of_an_object_outside_its_own_past_is_left_out_whatever_arrived_first() {
    let mut scene = scene(118);
    // Ana's phone makes an object; Ben's change names it without standing on it.
    scene
        .world
        .edit(ANA, scene.doc, |tx| {
            tx.put_object(ROOT, "list", ObjType::Map)
        })
        .unwrap();
    // Her laptop has not heard of it yet.
    let held = std::mem::take(&mut scene.world.devices[LAPTOP].inbox);
    let actor = scene.ben.actor(&scene.doc);
    let document = scene.world.devices[ANA].home.document(&scene.doc).unwrap();
    let knowing = document.fork();
    let (_, list) = ReadDoc::get(&knowing, ROOT, "list").unwrap().unwrap();
    let old = scene.at_ben.get_heads();
    let honest = craft::edit(&mut scene.at_ben.fork(), &actor, |tx| tx.put(ROOT, "x", 1));
    let number = automerge::Change::from_bytes(honest).unwrap().start_op();
    for nested in [false, true] {
        let change = craft::edit(&mut knowing.fork(), &actor, |tx| {
            if nested {
                tx.put_object(&list, "x", ObjType::Map).map(|_| ())
            } else {
                tx.put(&list, "x", 1)
            }
        });
        let parsed = automerge::Change::from_bytes(change.clone()).unwrap();
        let dep = parsed.deps()[0].0;
        // The same change, made to stand on what came before Ana's.
        let place = change.windows(32).position(|w| w == dep).unwrap();
        let mut lying = change.clone();
        lying[place..place + 32].copy_from_slice(&old[0].0);
        // Behind the dependency: actor (1 + 16), sequence number (1), first number.
        lying[place + 50] = u8::try_from(number.get()).unwrap();
        let lying = craft::with_checksum(lying);
        let parsed = automerge::Change::from_bytes(lying.clone()).unwrap();
        assert_eq!((parsed.deps(), parsed.start_op()), (&old[..], number));
        let envelope = scene.ben.changes(scene.doc, vec![lying]);
        scene.world.inject(envelope);
        scene.world.run();
        let (device, counter) = (scene.ben.secrets.id(), scene.ben.last.unwrap().counter);
        for who in [ANA, LAPTOP] {
            let told = NoticeKind::Unopenable { device, counter };
            assert_eq!(scene.world.notices(who).last(), Some(&told), "device {who}");
        }
    }
    scene.world.devices[LAPTOP].inbox = held;
    scene.world.run();
    assert_eq!(scene.world.heads(ANA), scene.world.heads(LAPTOP));
    scene.goes_on("outside its past");
}

#[test]
fn operation_numbers_that_leave_no_room_or_repeat_are_left_out() {
    let mut scene = scene(119);
    let actor = scene.ben.actor(&scene.doc);
    let heads: Vec<[u8; 32]> = scene.at_ben.get_heads().iter().map(|head| head.0).collect();
    let first = scene.change();
    let next = automerge::Change::from_bytes(first)
        .unwrap()
        .start_op()
        .get();
    for start_op in [
        1,
        next - 1,
        next + 1,
        u64::from(u32::MAX) - 1,
        u64::from(u32::MAX) + 1,
    ] {
        let mut craft = Craft::nulls(&actor, 1);
        craft.deps.clone_from(&heads);
        craft.start_op = start_op;
        scene.changes_are_left_out("numbers", vec![craft.bytes()]);
    }
    // With the number that follows it is an ordinary change.
    let mut craft = Craft::nulls(&actor, 1);
    craft.deps = heads;
    craft.start_op = next;
    let envelope = scene.ben.changes(scene.doc, vec![craft.bytes()]);
    scene.world.inject(envelope);
    scene.world.run();
    assert_eq!(scene.world.heads(ANA)[&scene.doc].len(), 1);
    scene.world.put(ANA, scene.doc, "x", "room for more");
    scene.goes_on("numbers");
}

#[test]
fn a_change_that_does_not_stand_on_its_authors_last_is_left_out() {
    let mut scene = scene(120);
    let actor = scene.ben.actor(&scene.doc);
    let before = scene.at_ben.fork();
    let first = scene.change();
    let envelope = scene.ben.changes(scene.doc, vec![first]);
    scene.world.inject(envelope);
    scene.world.run();
    let mut craft = Craft::nulls(&actor, 1);
    craft.seq = 2;
    craft.deps = before.get_heads().iter().map(|head| head.0).collect();
    craft.start_op = 1 + before
        .get_changes(&[])
        .iter()
        .map(automerge::Change::max_op)
        .max()
        .unwrap();
    scene.changes_are_left_out("beside its own", vec![craft.bytes()]);
}

#[test]
fn two_histories_of_one_document_within_one_envelope_count_in_their_order() {
    let mut scene = scene(121);
    let changes = vec![scene.change(), scene.change(), scene.change()];
    let envelope = scene.ben.changes(scene.doc, changes);
    // Ana writes at the same time, so that Ben's changes stand beside hers.
    scene.world.put(ANA, scene.doc, "hers", "beside");
    scene.world.run();
    scene.world.inject(envelope);
    scene.world.run();
    assert_eq!(
        scene.world.value(ANA, scene.doc, "his").as_deref(),
        Some("words 3")
    );
    assert_eq!(scene.world.heads(ANA)[&scene.doc].len(), 2);
    scene.world.put(LAPTOP, scene.doc, "hers", "after both");
    scene.world.run();
    assert_eq!(scene.world.heads(ANA)[&scene.doc].len(), 1);
    scene.goes_on("in order");
}
