//! What a record said before: one version per save, oldest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use automerge::{Automerge, ChangeHash, ChangeMetadata, ObjId, ROOT, ScalarValue, Value};

use crate::body;
use crate::error::Unreadable;
use crate::read::View;
use crate::records;
use crate::redacted_debug;
use crate::schema::{self, Kind};

/// A record as one device saved it, with everything that device knew then.
#[derive(Clone, PartialEq, Eq)]
pub struct Version {
    /// The document's heads at which this is read: the change that saved it.
    pub heads: Vec<ChangeHash>,
    /// Automerge actor that saved it; stands for one device in one document.
    pub actor: Vec<u8>,
    /// When it was saved, milliseconds since 1970 (UTC); openings do not say.
    pub saved_at_ms: Option<i64>,
    /// The title then.
    pub title: Option<String>,
    /// The text then.
    pub text: String,
}

redacted_debug!(Version);

/// The versions of one document, read one at a time. See [`versions`].
pub struct Versions<'a> {
    doc: &'a Automerge,
    kind: Kind,
    saves: std::vec::IntoIter<Save>,
}

struct Save {
    hash: ChangeHash,
    actor: Vec<u8>,
    at_ms: Option<i64>,
}

/// The versions of `doc`, oldest first. A version never comes before one it was built on; saves
/// made at the same time on two devices come in order of their time, and in the same order on
/// every device. Each text is read when its turn comes: a long history of a long text is never in
/// memory at once, unless the caller collects it.
///
/// # Errors
/// [`Unreadable`] if the document holds no record. One version that cannot be read is one `Err`
/// item; the others still come.
pub fn versions(doc: &Automerge) -> Result<Versions<'_>, Unreadable> {
    let kind = View::now(doc).kind()?;
    let changes = doc.get_changes_meta(&[]);
    let mut nodes = Vec::with_capacity(changes.len());
    for change in &changes {
        let (at_ms, wrote) = saved_at(doc, change)?;
        // In an entry a save is what sets the time of saving; notes of openings are no saves.
        let is_save = wrote || kind != Kind::Entry;
        let actor = change.actor.to_bytes().to_vec();
        nodes.push((
            Save {
                hash: change.hash,
                actor,
                at_ms,
            },
            is_save,
        ));
    }
    let order = causal_order(&changes, |index| {
        nodes.get(index).and_then(|(save, _)| save.at_ms)
    });
    let mut rank = vec![0; nodes.len()];
    for (position, index) in order.into_iter().enumerate() {
        if let Some(rank) = rank.get_mut(index) {
            *rank = position;
        }
    }
    let mut ranked: Vec<_> = rank.into_iter().zip(nodes).collect();
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    let saves: Vec<Save> = ranked
        .into_iter()
        .filter(|(_, (_, is_save))| *is_save)
        .map(|(_, (save, _))| save)
        .collect();
    Ok(Versions {
        doc,
        kind,
        saves: saves.into_iter(),
    })
}

impl std::fmt::Debug for Versions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Versions")
            .field("left", &self.saves.len())
            .finish_non_exhaustive()
    }
}

impl Iterator for Versions<'_> {
    type Item = Result<Version, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let save = self.saves.next()?;
        let heads = vec![save.hash];
        let read = match self.kind {
            Kind::Entry | Kind::Opening => body_at(self.doc, &heads),
            _ => small_at(self.doc, &heads, &self.kind),
        };
        Some(read.map(|(title, text)| Version {
            text,
            title,
            actor: save.actor,
            saved_at_ms: save.at_ms,
            heads,
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.saves.size_hint()
    }
}

impl ExactSizeIterator for Versions<'_> {}

/// Title and text of an entry or opening as they were.
fn body_at(doc: &Automerge, heads: &[ChangeHash]) -> Result<(Option<String>, String), Unreadable> {
    let view = View::at(doc, heads);
    let (title, _) = view.titles()?;
    Ok((title, body::joined(&view.paragraphs()?)))
}

/// What one of the smaller records said: the texts that a search looks at.
fn small_at(
    doc: &Automerge,
    heads: &[ChangeHash],
    kind: &Kind,
) -> Result<(Option<String>, String), Unreadable> {
    let then = doc.fork_at(heads)?;
    let facts = records::facts(&then, kind)?;
    let text = facts.map(|facts| facts.texts.join("\n"));
    Ok((None, text.unwrap_or_default()))
}

/// The time of saving as `change` left it, and whether it was `change` that set it.
fn saved_at(
    doc: &Automerge,
    change: &ChangeMetadata<'_>,
) -> Result<(Option<i64>, bool), Unreadable> {
    let heads = [change.hash];
    let view = View::at(doc, &heads);
    let Some((value, id)) = view.get(&ROOT, schema::SAVED_AT)? else {
        return Ok((None, false));
    };
    let at_ms = match value {
        Value::Scalar(value) => match value.as_ref() {
            ScalarValue::Int(at_ms) => Some(*at_ms),
            _ => None,
        },
        Value::Object(_) => None,
    };
    let wrote = match &id {
        ObjId::Id(counter, actor, _) => {
            (change.start_op..=change.max_op).contains(counter) && *actor == *change.actor
        }
        ObjId::Root => false,
    };
    Ok((at_ms, wrote))
}

/// Indexes of `changes`, dependencies first; among those that could come next, the earliest.
fn causal_order(
    changes: &[ChangeMetadata<'_>],
    at_ms: impl Fn(usize) -> Option<i64>,
) -> Vec<usize> {
    let index: HashMap<ChangeHash, usize> = changes
        .iter()
        .enumerate()
        .map(|(index, change)| (change.hash, index))
        .collect();
    let mut waits = vec![0_usize; changes.len()];
    let mut followers = vec![Vec::new(); changes.len()];
    for (at, change) in changes.iter().enumerate() {
        for dep in change.deps.iter().filter_map(|dep| index.get(dep)) {
            if let (Some(waits), Some(followers)) = (waits.get_mut(at), followers.get_mut(*dep)) {
                *waits += 1;
                followers.push(at);
            }
        }
    }
    let key = |at: usize| Reverse((at_ms(at), changes.get(at).map(|change| change.hash), at));
    let mut ready: BinaryHeap<_> = waits
        .iter()
        .enumerate()
        .filter(|(_, waits)| **waits == 0)
        .map(|(at, _)| key(at))
        .collect();
    let mut order = Vec::with_capacity(changes.len());
    while let Some(Reverse((_, _, at))) = ready.pop() {
        order.push(at);
        for follower in followers.get(at).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(*follower) {
                *waits -= 1;
                if *waits == 0 {
                    ready.push(key(*follower));
                }
            }
        }
    }
    order
}
