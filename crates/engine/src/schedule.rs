//! When a key has served long enough (protocol §2.7): what a key that is stolen one day opens
//! is bounded, and so is what is ever sealed under one.

use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::{DeviceId, EpochId};

use crate::clock::Now;
use crate::epochs::Epoch;
use crate::error::EngineError;
use crate::replica::Replica;
use crate::store::Store;

/// An epoch serves so long after it was first seen here, in ms: 90 days.
const SERVES_MS: i64 = 90 * 24 * 3600 * 1000;
/// Envelopes that are written under one epoch.
const SERVES_ENVELOPES: u64 = 1 << 20;

impl Epoch {
    /// Whether it has served long enough. A clock that went back makes nothing due.
    fn has_served(&mut self, now: Now, written: u64) -> bool {
        if self.seen_ms == 0 {
            self.seen_ms = now.wall_ms;
        }
        let age = now.wall_ms.saturating_sub(self.seen_ms);
        age >= SERVES_MS || written >= SERVES_ENVELOPES
    }
}

impl<S: Store> Replica<S> {
    /// Whether the next write needs a new epoch.
    pub(crate) fn needs_epoch(&mut self, now: Now) -> Result<bool, EngineError> {
        let current = self.epochs.current(&self.space);
        let Some(id) = current.map(|(id, _)| id) else {
            return Ok(true);
        };
        if self.epochs.leaves_out(&self.space) {
            return Ok(true);
        }
        let burning = self.doomed_epochs();
        if burning.contains(&id) {
            return Ok(true);
        }
        if burning.is_empty() && self.epochs.has_unshared(&self.space) {
            return Ok(true);
        }
        let written = self.written_under(&id)?;
        let Some(current) = self.epochs.get_mut(&id) else {
            return Ok(true);
        };
        let unknown = current.seen_ms == 0;
        let served = current.has_served(now, written);
        if unknown {
            let (device, counter) = (current.device, current.counter);
            self.meta.set_epoch_seen(&device, counter, now.wall_ms);
            self.pending.meta = true;
        }
        Ok(served)
    }

    /// Envelopes written since an epoch began, at least those under it. Zero while there are
    /// too few in all for it to matter.
    fn written_under(&mut self, id: &EpochId) -> Result<u64, EngineError> {
        let rows = self.progress.frontier.rows();
        let rows: Vec<(DeviceId, u64)> = rows.map(|(d, last)| (*d, last.counter)).collect();
        let all = rows
            .iter()
            .fold(0, |sum: u64, row| sum.saturating_add(row.1));
        if all < SERVES_ENVELOPES {
            return Ok(0);
        }
        if let Some((_, before)) = self.epochs.before.filter(|(epoch, _)| epoch == id) {
            return Ok(all.saturating_sub(before));
        }
        let number = self.epochs.get(id).map_or(0, |epoch| epoch.number);
        let mut before: u64 = 0;
        for (device, last) in rows {
            let older = older(last, |counter| {
                Ok(self.epoch_number(&device, counter)? < number)
            })?;
            before = before.saturating_add(older);
        }
        self.epochs.before = Some((*id, before));
        Ok(all.saturating_sub(before))
    }

    /// Number of the epoch that an envelope was written under, or made.
    fn epoch_number(&mut self, device: &DeviceId, counter: u64) -> Result<u64, EngineError> {
        let Some(envelope) = self.stored_envelope(device, counter)? else {
            return Ok(0);
        };
        let header = envelope.header();
        let id = match header.kind {
            EnvelopeType::Epoch => envelope.id().into(),
            _ => header.epoch,
        };
        Ok(self.epochs.get(&id).map_or(0, |epoch| epoch.number))
    }
}

/// How many of the envelopes 1 to `last` come before the first that is not old. Numbers of
/// epochs grow along the chain of a device, so few have to be read.
fn older(
    last: u64,
    mut is_old: impl FnMut(u64) -> Result<bool, EngineError>,
) -> Result<u64, EngineError> {
    let (mut old, mut rest) = (0, last);
    while rest > 0 {
        let half = rest.div_ceil(2);
        if is_old(old + half)? {
            old += half;
            rest -= half;
        } else {
            rest = half - 1;
        }
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    const SEEN: i64 = 1_767_225_600_000;

    fn epoch(seen_ms: i64) -> Epoch {
        Epoch {
            number: 1,
            parents: Vec::new(),
            seqs: Vec::new(),
            recipients: BTreeSet::new(),
            commitment: [0; 32],
            reason: ajar_protocol::epoch::EpochReason::Add,
            key: None,
            shut: false,
            device: DeviceId([1; 32]),
            counter: 1,
            seen_ms,
        }
    }

    fn at(wall_ms: i64) -> Now {
        let elapsed = Duration::ZERO;
        Now { wall_ms, elapsed }
    }

    #[test]
    fn a_key_serves_ninety_days_or_a_million_envelopes() {
        let end = SEEN + SERVES_MS;
        assert!(!epoch(SEEN).has_served(at(end - 1), SERVES_ENVELOPES - 1));
        assert!(epoch(SEEN).has_served(at(end), 0));
        assert!(epoch(SEEN).has_served(at(SEEN), SERVES_ENVELOPES));
        for back in [SEEN - 1, 1, 0, -1, i64::MIN] {
            assert!(!epoch(SEEN).has_served(at(back), 0), "{back}");
        }
        assert!(epoch(1).has_served(at(i64::MAX), 0));
    }

    #[test]
    fn a_key_of_unknown_age_begins_to_serve_at_its_next_use() {
        let mut old = epoch(0);
        assert!(!old.has_served(at(SEEN), 0));
        assert!(!old.has_served(at(SEEN + SERVES_MS - 1), 0));
        assert!(old.has_served(at(SEEN + SERVES_MS), 0));
    }

    #[test]
    fn the_envelopes_before_a_key_are_counted_exactly_and_few_are_read() {
        for last in 0..70 {
            for first_new in 1..=last + 1 {
                let counted = older(last, |counter| {
                    assert!((1..=last).contains(&counter));
                    Ok(counter < first_new)
                });
                assert_eq!(counted.unwrap(), first_new - 1, "{first_new} of {last}");
            }
        }
        let mut read = 0;
        let counted = older(1 << 40, |counter| {
            read += 1;
            Ok(counter <= 12_345_678_901)
        });
        assert_eq!(counted.unwrap(), 12_345_678_901);
        assert!(read <= 41, "{read}");
    }
}
