//! Bids that have faded: they are burned, and nothing tells of it.
//!
//! A burn is told of everywhere, with a day and a number. For a bid that nobody answered that would
//! be the very label that a faded bid must not have. So the documents of bids have names, from
//! which every device of both can tell that a burn was of bids and keep quiet about it, also a
//! device that never had them.

use std::collections::HashSet;

use ajar_sync::{
    BurnStatus, DeviceId, DocId, Document, Error, NoticeKind, Ownership, Space, SpaceKind,
};

use crate::between;
use crate::dates;
use crate::report::Failure;

/// Sealed local note of the day on which faded bids were burned last.
const BURNED_ON: &str = "client/faded-burned";
/// Bids of one device and day that have names; a burn of more is told of.
const NAMED: u32 = 8;
/// Days before a burn on which its bids may have been made: four weeks until they fade, and two
/// months until a device of their author's syncs.
const DAYS: i64 = 90;

fn name_of(day: &str, device: DeviceId, number: u32) -> String {
    format!("bid/{day}/{}/{number}", device.to_hex())
}

/// A document for a new bid.
pub(crate) fn new_document(us: &Space, day: &str) -> Result<Document, Failure> {
    let device = us.device()?;
    let burned: HashSet<DocId> = us.burns()?.into_iter().flat_map(|burn| burn.docs).collect();
    for number in 0..NAMED {
        let id = us.named_document(Ownership::Mine, &name_of(day, device, number))?;
        // A document that was burned never comes back.
        if !burned.contains(&id) && us.documents_where(move |known| *known == id)?.is_empty() {
            return Ok(us.document(id));
        }
    }
    Ok(us.create_document(Ownership::Mine)?)
}

/// Burns one's own bids that have faded without an answer, all at once and at most once a day: each
/// burn makes new keys, and one for each bid would say when it faded. Returns whether there were any.
pub(crate) fn burn(us: &Space, now_ms: i64) -> Result<bool, Failure> {
    let today = dates::today().into_bytes();
    if us.local(BURNED_ON)?.as_ref() == Some(&today) {
        return Ok(false);
    }
    let gone = between::own_gone(us, now_ms)?;
    if gone.is_empty() {
        return Ok(false);
    }
    us.burn(&gone, &[])?;
    us.set_local(BURNED_ON, Some(today))?;
    Ok(true)
}

/// The same within an exchange that is for something else: what does not succeed is tried again with
/// the next one.
pub(crate) fn burn_quietly(us: &Space) -> bool {
    let burned = tokio::task::block_in_place(|| burn(us, dates::now_ms()));
    burned.unwrap_or_else(|failure| {
        tracing::info!(code = failure.code(), "faded bids were not burned yet");
        false
    })
}

/// What is told of burns in a space: nothing of those that were of faded bids alone.
pub(crate) struct Burns {
    /// Those to be told of.
    pub(crate) told: Vec<BurnStatus>,
    /// When the others came.
    quiet: HashSet<i64>,
}

impl Burns {
    pub(crate) fn of(space: &Space) -> Result<Self, Error> {
        let all = space.burns()?;
        if all.is_empty() || space.kind() != SpaceKind::Shared {
            return Ok(Self {
                told: all,
                quiet: HashSet::new(),
            });
        }
        let bids = Bids::of(space, all.iter().map(|burn| burn.at_ms))?;
        let (quiet, told): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|burn| burn.docs.iter().all(|doc| bids.0.contains(doc)));
        Ok(Self {
            told,
            quiet: quiet.iter().map(|burn| burn.at_ms).collect(),
        })
    }

    /// Whether a notice is only of faded bids.
    pub(crate) fn keeps_quiet(&self, kind: &NoticeKind, at_ms: i64) -> bool {
        matches!(kind, NoticeKind::Burned { .. }) && self.quiet.contains(&at_ms)
    }
}

/// Ids that bids have.
struct Bids(HashSet<DocId>);

impl Bids {
    /// Those that may have been burned at these moments.
    fn of(space: &Space, at_ms: impl Iterator<Item = i64>) -> Result<Self, Error> {
        let mut days: Vec<String> = at_ms.flat_map(|at| dates::days_before(at, DAYS)).collect();
        days.sort_unstable();
        days.dedup();
        let mut ids = HashSet::new();
        for device in space.status()?.engine.devices {
            let own = device.party == space.own_party();
            for day in &days {
                for number in 0..NAMED {
                    let name = name_of(day, device.id, number);
                    ids.insert(match own {
                        true => space.named_document(Ownership::Mine, &name)?,
                        false => space.partners_document(&name)?,
                    });
                }
            }
        }
        Ok(Self(ids))
    }
}

/// Whether a document that is burned just now was a bid.
pub(crate) fn is_bid(space: &Space, doc: DocId) -> Result<bool, Error> {
    let bids = Bids::of(space, std::iter::once(dates::now_ms()))?;
    Ok(bids.0.contains(&doc))
}
