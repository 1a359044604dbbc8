//! Intake of changes from other devices: every rule of §2.6, before and after Automerge.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ajar_protocol::changes::DocChanges;
use ajar_protocol::{DeviceId, SpaceId, id};
use automerge::{Automerge, Change, ChangeHash};

use super::operations::{History, Reach};
use super::{Loaded, MAX_DOCUMENT_OPS, may_write, prescan};

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
/// applied. Pure: `loaded` is not touched. `gaps`: earlier changes of this device may have
/// been left without ground by a cut-off. `room` is what is left of the operations that one
/// envelope may hold.
pub(crate) fn check_changes(
    space: &SpaceId,
    device: &DeviceId,
    place: usize,
    item: &DocChanges,
    loaded: &Loaded,
    gaps: bool,
    room: &mut u64,
) -> Intake {
    if !may_write(&item.doc, place) {
        return Intake::Refused;
    }
    let actor = id::actor(space, device, &item.doc, item.incarnation);
    let mut seq = loaded.last_seq(&actor);
    let mut ops = loaded.ops;
    let mut history = History::new(loaded);
    let mut changes = Vec::with_capacity(item.changes.len());
    for bytes in &item.changes {
        if prescan::prescan(bytes).is_err() {
            return Intake::Refused;
        }
        let Ok(Ok(change)) = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(bytes.clone())))
        else {
            return Intake::Refused;
        };
        let count = change.len() as u64;
        let Some(left) = room.checked_sub(count) else {
            return Intake::Refused;
        };
        *room = left;
        ops += count;
        // Automerge does not compare the checksum of a chunk with its hash.
        let checksum = bytes.get(4..8);
        seq += 1;
        // Ahead of what is here, because what it stands on is not.
        let known = history.knows(&change);
        let gap = gaps && change.seq() > seq && !known;
        if checksum != change.hash().0.get(..4)
            || change.actor_id().to_bytes() != actor
            || (change.seq() != seq && !gap)
            || count > prescan::MAX_ROWS
            || ops > MAX_DOCUMENT_OPS
            || change.timestamp() != 0
            || change.message().is_some()
            || !change.extra_bytes().is_empty()
        {
            return Intake::Refused;
        }
        if !known {
            return Intake::Early;
        }
        let accepted = catch_unwind(AssertUnwindSafe(|| history.accept(&change)));
        if !matches!(accepted, Ok(true)) {
            return Intake::Refused;
        }
        changes.push(change);
    }
    Intake::Ready(changes)
}

/// Whether the changes of one document are in it.
pub(crate) fn is_applied(item: &DocChanges, loaded: &Loaded) -> bool {
    item.changes.iter().all(|bytes| {
        let change = prescan::prescan(bytes).ok().and_then(|()| {
            catch_unwind(AssertUnwindSafe(|| Change::from_bytes(bytes.clone()).ok()))
                .ok()
                .flatten()
        });
        change.is_some_and(|change| loaded.doc.get_change_meta_by_hash(&change.hash()).is_some())
    })
}

/// Whether a document gives back exactly the changes that were applied to it. Automerge keeps
/// operations, not bytes: a change that it queued, understood in part, or would write in
/// another way is lost, and the document cannot be saved and loaded any more.
fn gives_back(doc: &Automerge, before: &[ChangeHash], applied: &BTreeSet<ChangeHash>) -> bool {
    let returned: BTreeSet<ChangeHash> = doc.get_changes(before).iter().map(Change::hash).collect();
    returned == *applied
}

/// Applies checked changes. `false` when Automerge refused or panicked: the document in
/// memory must then be dropped.
pub(crate) fn apply(loaded: &mut Loaded, changes: Vec<Change>) -> bool {
    let latest: Vec<(Vec<u8>, Reach)> = changes
        .iter()
        .map(|change| {
            let reach = Reach {
                seq: change.seq(),
                max_op: change.max_op(),
            };
            (change.actor_id().to_bytes().to_vec(), reach)
        })
        .collect();
    let ops: u64 = changes.iter().map(|change| change.len() as u64).sum();
    let hashes: BTreeSet<ChangeHash> = changes.iter().map(Change::hash).collect();
    let applied = catch_unwind(AssertUnwindSafe(|| {
        let before = loaded.doc.get_heads();
        loaded.doc.apply_changes(changes).is_ok() && gives_back(&loaded.doc, &before, &hashes)
    }));
    if !matches!(applied, Ok(true)) {
        return false;
    }
    loaded.latest.extend(latest);
    loaded.ops += ops;
    loaded.unstored = true;
    true
}
