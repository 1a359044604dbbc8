//! The index of envelopes that are not CHANGES, for data folders that were written before there
//! was one: built once for each space, when it is first opened.

use ajar_protocol::{Envelope, EnvelopeType, SpaceId};

use super::{Store, StoreError, Write, commit_now};

/// Counters read at a time.
const PAGE: usize = 1024;

/// Builds the index of a space unless it is there. Blocks for storage: every envelope is read,
/// once in the life of a data folder. What is damaged is passed over.
///
/// # Errors
/// [`StoreError`]; the next opening of the space tries again.
pub(crate) fn build(store: &dyn Store, space: &SpaceId) -> Result<(), StoreError> {
    if store.specials_indexed(space)? {
        return Ok(());
    }
    let mut found = Vec::new();
    for head in store.heads(space)? {
        let device = head.device;
        let mut from = 1;
        loop {
            let counters = store.counters(space, &device, from, head.counter, PAGE)?;
            let Some(last) = counters.last() else {
                break;
            };
            from = last + 1;
            for counter in counters {
                let bytes = match store.envelope(space, &device, counter) {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) | Err(StoreError::Damaged) => continue,
                    Err(other) => return Err(other),
                };
                let kind = Envelope::parse(&bytes).map(|envelope| envelope.header().kind);
                let arrival = store.arrival(space, &device, counter)?;
                if let (Ok(kind), Some(arrival)) = (kind, arrival)
                    && kind != EnvelopeType::Changes
                {
                    found.push((arrival, kind, device, counter));
                }
            }
        }
    }
    found.sort_unstable_by_key(|(arrival, ..)| *arrival);
    let space = *space;
    let all = found.into_iter();
    let all = all.map(|(_, kind, device, counter)| (kind, device, counter));
    commit_now(
        store,
        vec![Write::Specials {
            space,
            all: all.collect(),
        }],
    )
}
