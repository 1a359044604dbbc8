//! What goes by itself: bids that have faded, and weighings after their time. They are burned, and
//! nothing tells of it.
//!
//! A burn is told of everywhere, with a day and a number. For a bid that nobody answered that would
//! be the very label that a faded bid must not have, and what one once feared is not to be
//! remembered by its end. So these documents have names, from which every device can tell that a
//! burn was of them and keep quiet about it, also a device that never had them.

use std::collections::HashSet;

use ajar_journal::records::Weighing;
use ajar_sync::{
    BurnStatus, DeviceId, DocId, Document, Error, NoticeKind, Ownership, Space, SpaceKind,
};

use crate::between;
use crate::report::Failure;
use crate::{dates, shelf};

/// Sealed local note of the day on which something was burned by itself last.
const BURNED_ON: &str = "client/faded-burned";
/// Documents of one device and day that have names; a burn of more is told of.
const NAMED: u32 = 8;

/// Documents that go by themselves.
struct Fading {
    /// What their names begin with.
    name: &'static str,
    /// Days before a burn on which they may have been made.
    days: i64,
}

/// In Us. Four weeks until a bid fades, and two months until a device of its author's syncs.
const BIDS: Fading = Fading {
    name: "bid",
    days: 90,
};
/// In Only me. As long as one is kept, and three months until a device syncs.
const WEIGHINGS: Fading = Fading {
    name: "weighing",
    days: Weighing::DAYS + 90,
};

impl Fading {
    /// What goes by itself in a space.
    fn of(kind: SpaceKind) -> Self {
        match kind {
            SpaceKind::Shared => BIDS,
            SpaceKind::Private => WEIGHINGS,
        }
    }

    fn name_of(&self, day: &str, device: DeviceId, number: u32) -> String {
        format!("{}/{day}/{}/{number}", self.name, device.to_hex())
    }
}

/// A document for a new bid in Us, or a new weighing in Only me.
pub(crate) fn new_document(space: &Space, day: &str) -> Result<Document, Failure> {
    let device = space.device()?;
    let fading = Fading::of(space.kind());
    let burned: HashSet<DocId> = space
        .burns()?
        .into_iter()
        .flat_map(|burn| burn.docs)
        .collect();
    for number in 0..NAMED {
        let id = space.named_document(Ownership::Mine, &fading.name_of(day, device, number))?;
        // A document that was burned never comes back.
        if !burned.contains(&id) && space.documents_where(move |known| *known == id)?.is_empty() {
            return Ok(space.document(id));
        }
    }
    Ok(space.create_document(Ownership::Mine)?)
}

/// Burns what goes by itself, all at once and at most once a day: each burn makes new keys, and one
/// for each bid would say when it faded. Returns whether there was any.
fn burn(space: &Space) -> Result<bool, Failure> {
    let today = dates::today();
    let burned_on = Some(today.clone().into_bytes());
    if space.local(BURNED_ON)? == burned_on {
        return Ok(false);
    }
    let gone = match space.kind() {
        SpaceKind::Shared => between::own_gone(space, dates::now_ms())?,
        SpaceKind::Private => weighings_gone(space, &today)?,
    };
    if gone.is_empty() {
        return Ok(false);
    }
    space.burn(&gone, &[])?;
    space.set_local(BURNED_ON, burned_on)?;
    Ok(true)
}

/// Weighings whose time is over and that nobody wanted kept.
fn weighings_gone(me: &Space, today: &str) -> Result<Vec<DocId>, Failure> {
    let all = shelf::all::<Weighing>(me)?.into_iter();
    let gone = all.filter(|kept| kept.record.is_over(today));
    Ok(gone.map(|kept| kept.id).collect())
}

/// The same within an exchange that is for something else: what does not succeed is tried again with
/// the next one.
pub(crate) fn burn_quietly(space: &Space) -> bool {
    let burned = tokio::task::block_in_place(|| burn(space));
    burned.unwrap_or_else(|failure| {
        tracing::info!(code = failure.code(), "what has faded was not burned yet");
        false
    })
}

/// What is told of burns in a space: nothing of those that were only of what goes by itself.
pub(crate) struct Burns {
    /// Those to be told of.
    pub(crate) told: Vec<BurnStatus>,
    /// When the others came.
    quiet: HashSet<i64>,
}

impl Burns {
    pub(crate) fn of(space: &Space) -> Result<Self, Error> {
        let all = space.burns()?;
        if all.is_empty() {
            return Ok(Self {
                told: all,
                quiet: HashSet::new(),
            });
        }
        let faded = Faded::of(space, all.iter().map(|burn| burn.at_ms))?;
        let (quiet, told): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|burn| burn.docs.iter().all(|doc| faded.0.contains(doc)));
        Ok(Self {
            told,
            quiet: quiet.iter().map(|burn| burn.at_ms).collect(),
        })
    }

    /// Whether a notice is only of what went by itself.
    pub(crate) fn keeps_quiet(&self, kind: &NoticeKind, at_ms: i64) -> bool {
        matches!(kind, NoticeKind::Burned { .. }) && self.quiet.contains(&at_ms)
    }
}

/// Ids that documents have which go by themselves.
struct Faded(HashSet<DocId>);

impl Faded {
    /// Those that may have been burned at these moments.
    fn of(space: &Space, at_ms: impl Iterator<Item = i64>) -> Result<Self, Error> {
        let fading = Fading::of(space.kind());
        let days = at_ms.flat_map(|at| dates::days_before(at, fading.days));
        let mut days: Vec<String> = days.collect();
        days.sort_unstable();
        days.dedup();
        let mut ids = HashSet::new();
        for device in space.status()?.engine.devices {
            let own = device.party == space.own_party();
            for day in &days {
                for number in 0..NAMED {
                    let name = fading.name_of(day, device.id, number);
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

/// Whether a document that is burned just now was one of them.
pub(crate) fn went_by_itself(space: &Space, doc: DocId) -> Result<bool, Error> {
    let faded = Faded::of(space, std::iter::once(dates::now_ms()))?;
    Ok(faded.0.contains(&doc))
}
