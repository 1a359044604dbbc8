//! What the operations of a change may refer to. Automerge takes a change whose operations
//! name objects that the change does not stand on, numbers that leave no room for more, or
//! nesting without end; what it makes of them can depend on what else has arrived. Honest
//! software never makes them, so they are refused everywhere alike.

use std::collections::{BTreeMap, HashMap};

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{Change, ChangeHash, ObjType};

use super::{Loaded, MAX_NESTING};

/// How far an actor has come: its last change and its highest operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) seq: u64,
    pub(crate) max_op: u64,
}

/// How far each actor has come.
pub(crate) type Past = BTreeMap<Vec<u8>, Reach>;

/// A change that was checked but is not applied yet.
struct Fresh {
    hash: ChangeHash,
    max_op: u64,
    /// What it stands on, and itself.
    past: Past,
}

/// Checks the changes of one envelope to one document, in their order.
pub(crate) struct History<'a> {
    loaded: &'a Loaded,
    fresh: Vec<Fresh>,
    /// Depth and type of the objects seen so far, by name.
    objects: HashMap<String, (usize, ObjType)>,
}

impl<'a> History<'a> {
    pub(crate) fn new(loaded: &'a Loaded) -> Self {
        Self {
            loaded,
            fresh: Vec::new(),
            objects: HashMap::new(),
        }
    }

    /// Whether everything that a change stands on is here.
    pub(crate) fn knows(&self, change: &Change) -> bool {
        change.deps().iter().all(|dep| {
            self.fresh.iter().any(|fresh| fresh.hash == *dep)
                || self.loaded.doc.get_change_meta_by_hash(dep).is_some()
        })
    }

    /// Whether a change whose dependencies are known is one that honest software makes.
    pub(crate) fn accept(&mut self, change: &Change) -> bool {
        let Some((mut past, highest)) = self.past_of(change) else {
            return false;
        };
        let actor = change.actor_id().to_bytes();
        let own = past.get(actor).copied().unwrap_or_default();
        // It stands on its actor's previous change, and its numbers follow all that it
        // stands on: far ahead, they would leave nothing for the next.
        if own.seq + 1 != change.seq() || change.start_op().get() != highest + 1 {
            return false;
        }
        let mut next = change.start_op().get();
        for op in change.decode().operations {
            let mine = Reach {
                seq: change.seq(),
                max_op: next - 1,
            };
            past.insert(actor.to_vec(), mine);
            if !refers_to(&op, &past) || !self.fits(&op, next, change) {
                return false;
            }
            next += 1;
        }
        let mine = Reach {
            seq: change.seq(),
            max_op: next - 1,
        };
        past.insert(actor.to_vec(), mine);
        self.fresh.push(Fresh {
            hash: change.hash(),
            max_op: next - 1,
            past,
        });
        true
    }

    /// What a change stands on, and the highest number in it.
    fn past_of(&self, change: &Change) -> Option<(Past, u64)> {
        let mut highest = 0;
        let mut stored = Vec::new();
        let mut past = Past::new();
        for dep in change.deps() {
            if let Some(fresh) = self.fresh.iter().find(|fresh| fresh.hash == *dep) {
                highest = highest.max(fresh.max_op);
                join(&mut past, &fresh.past);
            } else {
                highest = highest.max(self.loaded.doc.get_change_meta_by_hash(dep)?.max_op);
                stored.push(*dep);
            }
        }
        if !stored.is_empty() {
            join(&mut past, &self.stored_past(&stored));
        }
        Some((past, highest))
    }

    fn stored_past(&self, deps: &[ChangeHash]) -> Past {
        let mut past = self.loaded.latest.clone();
        let mut heads = self.loaded.doc.get_heads();
        heads.retain(|head| !deps.contains(head));
        if heads.is_empty() {
            return past;
        }
        // The changes of an actor are a line: those left out are its end.
        for later in self.loaded.doc.get_changes_meta(deps) {
            if let Some(reach) = past.get_mut(later.actor.to_bytes())
                && later.seq <= reach.seq
            {
                reach.seq = later.seq - 1;
                reach.max_op = later.start_op - 1;
            }
        }
        past.retain(|_, reach| reach.seq > 0);
        past
    }

    /// Whether the object of an operation exists and is of a type that has such operations,
    /// and, if the operation makes another object, that one lies no deeper than
    /// [`MAX_NESTING`]: deep nesting overflows the stack of whoever walks the document.
    fn fits(&mut self, op: &Op, number: u64, change: &Change) -> bool {
        let (depth, kind) = match &op.obj {
            ObjectId::Root => (0, ObjType::Map),
            ObjectId::Id(id) => {
                let name = id.to_string();
                let known = self.objects.get(&name).copied();
                let Some(object) = known.or_else(|| stored_object(&name, self.loaded)) else {
                    return false;
                };
                self.objects.insert(name, object);
                object
            }
        };
        if let OpType::Make(made) = op.action {
            if depth + 1 > MAX_NESTING {
                return false;
            }
            let name = format!("{number}@{}", change.actor_id());
            self.objects.insert(name, (depth + 1, made));
        }
        is_usual(op, kind.is_sequence())
    }
}

/// Whether Automerge itself makes operations of this form. It also takes others, and then
/// cannot load what it has saved.
fn is_usual(op: &Op, in_sequence: bool) -> bool {
    let key = match &op.key {
        Key::Map(_) => !in_sequence && !op.insert,
        Key::Seq(ElementId::Head) => in_sequence && op.insert,
        Key::Seq(ElementId::Id(_)) => in_sequence,
    };
    let replaces = !op.pred.is_empty();
    let form = match op.action {
        OpType::Make(_) | OpType::Put(_) if op.insert => !replaces,
        OpType::Make(_) | OpType::Put(_) => replaces || !in_sequence,
        OpType::Delete | OpType::Increment(_) => replaces && !op.insert,
        OpType::MarkBegin(_) | OpType::MarkEnd(_) => op.insert && !replaces,
    };
    key && form
}

fn join(past: &mut Past, more: &Past) {
    for (actor, reach) in more {
        let known = past.entry(actor.clone()).or_default();
        known.seq = known.seq.max(reach.seq);
        known.max_op = known.max_op.max(reach.max_op);
    }
}

/// Whether everything that an operation names lies in its past.
fn refers_to(op: &Op, past: &Past) -> bool {
    let within = |id: &OpId| {
        let OpId(number, actor) = id;
        let reach = past.get(actor.to_bytes());
        *number > 0 && reach.is_some_and(|reach| *number <= reach.max_op)
    };
    let object = match &op.obj {
        ObjectId::Root => true,
        ObjectId::Id(id) => within(id),
    };
    let key = match &op.key {
        Key::Map(_) | Key::Seq(ElementId::Head) => true,
        Key::Seq(ElementId::Id(id)) => within(id),
    };
    object && key && op.pred.iter().all(within)
}

fn stored_object(name: &str, loaded: &Loaded) -> Option<(usize, ObjType)> {
    let (object, kind) = loaded.doc.import(name).ok()?;
    let parents = automerge::ReadDoc::parents(&loaded.doc, object).ok()?;
    Some((parents.count(), kind))
}
