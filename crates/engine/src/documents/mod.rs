//! Documents: one Automerge document per thing that a person may burn.
//!
//! Whose a document is stands in its id, so that every device decides alike, whatever
//! arrives first: the two highest bits say whether it belongs to the lower party, the higher
//! party, or to both. Only the owner's devices may write into an owned document.

mod directory;
mod intake;
mod loaded;
mod operations;
pub mod prescan;

use ajar_crypto::{Entropy, EntropyFailed};
use ajar_protocol::id::hash;
use ajar_protocol::{DocId, SpaceId, label};

pub(crate) use directory::{Counts, Directory, DocMeta, convert};
pub(crate) use intake::{Intake, apply, check_changes, is_applied};
pub(crate) use loaded::{
    Cache, Loaded, delete_stored, encode_chunk, store_anew, store_base, store_chunk,
};
pub(crate) use operations::Reach;

/// Documents of one space; a hundred thousand is thirty a day for nine years.
pub const MAX_DOCUMENTS: usize = 100_000;
/// Bytes of changes that one document may hold (32 MiB).
pub const MAX_DOCUMENT_BYTES: u64 = 32 << 20;
/// Operations of all changes that one document may hold: a longer history takes seconds to
/// load.
pub const MAX_DOCUMENT_OPS: u64 = 5_000_000;
/// Operations of all changes in one envelope: applying them takes about a second at worst.
/// One change of [`prescan::MAX_ROWS`] always fits.
pub const MAX_ENVELOPE_OPS: u64 = 100_000;
/// Depth of maps and lists in a document.
pub const MAX_NESTING: usize = 16;

/// Whose a new document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Only the devices of the person who creates it may write.
    Mine,
    /// Both may write.
    Common,
}

/// Whose a document is, as its id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The party at this place of the genesis: 0 lower, 1 higher.
    Party(usize),
    /// Both.
    Common,
}

/// Owner of a document; `None` for the pattern that is reserved.
pub(crate) fn owner(doc: &DocId) -> Option<Owner> {
    let [first, ..] = doc.0;
    match first >> 6 {
        0 => Some(Owner::Party(0)),
        1 => Some(Owner::Party(1)),
        2 => Some(Owner::Common),
        _ => None,
    }
}

/// Whether the party at `place` may write into `doc`.
pub(crate) fn may_write(doc: &DocId, place: usize) -> bool {
    match owner(doc) {
        Some(Owner::Party(owner)) => owner == place,
        Some(Owner::Common) => true,
        None => false,
    }
}

/// A random id for a document that belongs to the party at `place` or to both.
pub(crate) fn new_id(
    ownership: Ownership,
    place: usize,
    entropy: &mut dyn Entropy,
) -> Result<DocId, EntropyFailed> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(tagged(bytes, ownership, place))
}

/// The id of the document that has a name in a space: every device finds it without a search.
/// Those of the party at `place`, or of both, have different ids for one name.
pub(crate) fn named_id(space: &SpaceId, ownership: Ownership, place: usize, name: &str) -> DocId {
    let digest = hash(label::NAMED_DOC, &[&space.0, name.as_bytes()]);
    let (bytes, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
    tagged(*bytes, ownership, place)
}

fn tagged(mut bytes: [u8; 16], ownership: Ownership, place: usize) -> DocId {
    let tag: u8 = match (ownership, place) {
        (Ownership::Common, _) => 2,
        (Ownership::Mine, 0) => 0,
        (Ownership::Mine, _) => 1,
    };
    let [first, ..] = &mut bytes;
    *first = (*first & 0x3f) | (tag << 6);
    DocId(bytes)
}
