//! Snapshots (protocol §2.10): a log that grows for years is folded into the documents it made,
//! so that a new device begins at once, a device that was away jumps, and a relay can give up
//! what nobody needs.
//!
//! * `making`: one device packs the documents, a pack at a time, and signs a SNAPSHOT.
//! * `checking`: the others compare it with what they hold, and ENDORSE it.
//! * `folding`: with a device of each party behind it, relay and devices give up the log.
//! * `starting`: a device without a past, or far behind, begins from it.

mod checking;
mod folding;
mod making;
pub mod pack;
mod starting;
mod state;

pub(crate) use checking::Comparing;
pub(crate) use making::Making;
pub use starting::StartProgress;
pub(crate) use starting::{Boot, Starting};
pub(crate) use state::{Folded, Seen, Standing};

use std::collections::{BTreeMap, BTreeSet};

use ajar_protocol::codec::Reader;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::Snapshot;
use ajar_protocol::trim::TrimStatement;
use ajar_protocol::{DocId, Frontier, SpaceId};
use automerge::{Automerge, Change, ChangeHash};

use crate::documents::prescan::prescan;
use crate::error::EngineError;
use crate::replica::Replica;
use crate::store::Store;

/// What devices sign of a snapshot.
pub(crate) fn statement(space: SpaceId, name: EnvelopeName, snapshot: &Snapshot) -> TrimStatement {
    let mut retired: Vec<_> = snapshot
        .retired
        .iter()
        .map(|epoch| (epoch.device, epoch.counter))
        .collect();
    retired.sort_unstable();
    retired.dedup();
    TrimStatement {
        space,
        snapshot: name,
        cover: snapshot.cover.clone(),
        retired,
    }
}

/// Whether one frontier is nowhere behind another.
pub(crate) fn reaches(frontier: &Frontier, cover: &Frontier) -> bool {
    let mut rows = cover.rows();
    rows.all(|(device, position)| frontier.counter(device) >= position.counter)
}

/// Sum of all counters, to tell which of two covers has come further.
pub(crate) fn extent(cover: &Frontier) -> u64 {
    let counters = cover.rows().map(|(_, position)| position.counter);
    counters.fold(0, u64::saturating_add)
}

/// Hashes of changes by document.
pub(crate) type Beyond = BTreeMap<DocId, BTreeSet<ChangeHash>>;

/// How a document here and the same one in a pack are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The same history.
    Equal,
    /// Here there is more, all of it from beyond the cover.
    More,
    /// There is more in the pack, and nothing here is missing there.
    Less,
    /// Each has something that it should not, or lacks something that it should have.
    Differs,
}

/// Compares a document with the one in a pack; `beyond` are the changes to it that are known to
/// come from envelopes after the cover.
pub(crate) fn relation(
    local: &Automerge,
    packed: &Automerge,
    beyond: Option<&BTreeSet<ChangeHash>>,
) -> Relation {
    let (ours, theirs) = (local.get_heads(), packed.get_heads());
    if ours == theirs {
        return Relation::Equal;
    }
    let is_beyond = |hash: &ChangeHash| beyond.is_some_and(|beyond| beyond.contains(hash));
    let holds = |doc: &Automerge, hash: &ChangeHash| doc.get_change_meta_by_hash(hash).is_some();
    let all_theirs = theirs.iter().all(|head| holds(local, head));
    let all_ours = if all_theirs {
        let extra = local.get_changes_meta(&theirs);
        extra.iter().all(|change| is_beyond(&change.hash))
    } else {
        let all = local.get_changes_meta(&[]);
        all.iter()
            .all(|change| holds(packed, &change.hash) || is_beyond(&change.hash))
    };
    match (all_theirs, all_ours) {
        (true, true) => Relation::More,
        (false, true) => Relation::Less,
        (_, false) => Relation::Differs,
    }
}

impl<S: Store> Replica<S> {
    /// Changes that came, or were made, in envelopes after a cover.
    pub(crate) fn changes_beyond(&mut self, cover: &Frontier) -> Result<Beyond, EngineError> {
        let rows: Vec<_> = self
            .progress
            .frontier
            .rows()
            .map(|(device, last)| (*device, cover.counter(device), last.counter))
            .collect();
        let mut beyond = Beyond::new();
        for (device, covered, last) in rows {
            for counter in covered + 1..=last {
                let Some((_, content)) = self.content_of(&device, counter)? else {
                    continue;
                };
                for item in &content.docs {
                    let hashes = item.changes.iter().filter_map(|bytes| hash_of(bytes));
                    beyond.entry(item.doc).or_default().extend(hashes);
                }
            }
        }
        Ok(beyond)
    }

    /// Adds changes from beyond a cover that came, or were made, since this was last looked for.
    pub(crate) fn look_beyond(
        &mut self,
        beyond: &mut Beyond,
        looked: &mut Frontier,
    ) -> Result<(), EngineError> {
        for (doc, hashes) in self.changes_beyond(looked)? {
            beyond.entry(doc).or_default().extend(hashes);
        }
        *looked = self.progress.frontier.clone();
        Ok(())
    }

    /// A snapshot that is kept here, opened again.
    pub(crate) fn snapshot_of(
        &mut self,
        name: &EnvelopeName,
    ) -> Result<Option<Snapshot>, EngineError> {
        let Some(envelope) = self.stored_envelope(&name.device, name.counter)? else {
            return Ok(None);
        };
        if envelope.id() != name.id {
            return Ok(None);
        }
        let Some((_, seqs, verified)) = self.verify_again(envelope)? else {
            return Ok(None);
        };
        let plaintext = self.open_plain(&seqs, &verified);
        Ok(match plaintext {
            crate::inbox::Plain::Content(content) => Snapshot::decode(&content).ok(),
            _ => None,
        })
    }
}

/// Hash of a change as it came, if it is one.
pub(crate) fn hash_of(bytes: &[u8]) -> Option<ChangeHash> {
    prescan(bytes).ok()?;
    Some(Change::from_bytes(bytes.to_vec()).ok()?.hash())
}

/// Reads `u32 n { doc 16 }`.
pub(crate) fn decode_docs(bytes: &[u8]) -> Result<Vec<DocId>, ajar_protocol::Malformed> {
    let mut reader = Reader::new(bytes, "documents of a pack");
    let mut docs = Vec::new();
    while reader.remaining() > 0 {
        docs.push(DocId(reader.array()?));
    }
    Ok(docs)
}

/// Writes what [`decode_docs`] reads.
pub(crate) fn encode_docs(docs: &[DocId]) -> Vec<u8> {
    docs.iter().flat_map(|doc| doc.0).collect()
}
