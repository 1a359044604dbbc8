//! Intake of changes from other devices: every rule of §2.6, before and after Automerge.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ajar_protocol::changes::DocChanges;
use ajar_protocol::{DeviceId, SpaceId, id};
use automerge::legacy::{ObjectId, OpType};
use automerge::{Change, ChangeHash, ReadDoc};

use super::{Loaded, MAX_NESTING, may_write, prescan};

/// What became of the changes of one document.
pub(crate) enum Intake {
    /// Checked; may be applied.
    Ready(Vec<Change>),
    /// Something it stands on has not arrived.
    Early,
    /// No honest device sends this.
    Refused,
}

/// Checks the changes of one document against everything that can be known before they are
/// applied. Pure: `loaded` is not touched.
pub(crate) fn check_changes(
    space: &SpaceId,
    device: &DeviceId,
    place: usize,
    item: &DocChanges,
    loaded: &Loaded,
) -> Intake {
    if !may_write(&item.doc, place) {
        return Intake::Refused;
    }
    let actor = id::actor(space, device, &item.doc, item.incarnation);
    let mut seq = loaded.seqs.get(actor.as_slice()).copied().unwrap_or(0);
    let mut fresh: Vec<ChangeHash> = Vec::new();
    let mut changes = Vec::with_capacity(item.changes.len());
    for bytes in &item.changes {
        if prescan::prescan(bytes).is_err() {
            return Intake::Refused;
        }
        let Ok(Ok(change)) = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(bytes.clone())))
        else {
            return Intake::Refused;
        };
        // Automerge does not compare the checksum of a chunk with its hash.
        let checksum = bytes.get(4..8);
        let hash = change.hash();
        seq += 1;
        if checksum != hash.0.get(..4)
            || change.actor_id().to_bytes() != actor
            || change.seq() != seq
            || change.len() as u64 > prescan::MAX_ROWS
            || change.timestamp() != 0
            || change.message().is_some()
        {
            return Intake::Refused;
        }
        let known = |dep: &ChangeHash| {
            fresh.contains(dep) || loaded.doc.get_change_meta_by_hash(dep).is_some()
        };
        if !change.deps().iter().all(known) {
            return Intake::Early;
        }
        fresh.push(hash);
        changes.push(change);
    }
    match catch_unwind(AssertUnwindSafe(|| shallow(&changes, loaded))) {
        Ok(true) => Intake::Ready(changes),
        _ => Intake::Refused,
    }
}

/// Whether no object made by these changes lies deeper than [`MAX_NESTING`]. Deep nesting
/// overflows the stack of whoever walks the document.
fn shallow(changes: &[Change], loaded: &Loaded) -> bool {
    let mut depths: HashMap<String, usize> = HashMap::new();
    for change in changes {
        let makes_objects = |op: &automerge::legacy::Op| matches!(op.action, OpType::Make(_));
        let expanded = change.decode();
        for (offset, op) in expanded.operations.iter().enumerate() {
            if !makes_objects(op) {
                continue;
            }
            let parent = match &op.obj {
                ObjectId::Root => 0,
                ObjectId::Id(id) => {
                    let name = id.to_string();
                    match depths.get(&name) {
                        Some(depth) => *depth,
                        None => match stored_depth(&name, loaded) {
                            Some(depth) => depth,
                            None => return false,
                        },
                    }
                }
            };
            if parent + 1 > MAX_NESTING {
                return false;
            }
            let id = format!(
                "{}@{}",
                change.start_op().get() + offset as u64,
                change.actor_id()
            );
            depths.insert(id, parent + 1);
        }
    }
    true
}

fn stored_depth(name: &str, loaded: &Loaded) -> Option<usize> {
    let object = loaded.doc.import_obj(name).ok()?;
    loaded.doc.parents(object).ok().map(Iterator::count)
}

/// Applies checked changes. `false` when Automerge refused or panicked: the document in
/// memory must then be dropped.
pub(crate) fn apply(loaded: &mut Loaded, changes: Vec<Change>) -> bool {
    let last: Vec<(Vec<u8>, u64)> = changes
        .iter()
        .map(|c| (c.actor_id().to_bytes().to_vec(), c.seq()))
        .collect();
    let heads: Vec<ChangeHash> = changes.iter().map(Change::hash).collect();
    let applied = catch_unwind(AssertUnwindSafe(|| {
        loaded.doc.apply_changes(changes).is_ok()
    }));
    if !matches!(applied, Ok(true)) {
        return false;
    }
    // A change that Automerge queued instead of applying would be lost.
    if !heads
        .iter()
        .all(|hash| loaded.doc.get_change_meta_by_hash(hash).is_some())
    {
        return false;
    }
    for (actor, seq) in last {
        loaded.seqs.insert(actor, seq);
    }
    true
}
