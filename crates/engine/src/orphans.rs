//! Epochs from their kept envelopes, and those of them that nothing may stand on (protocol
//! §2.7). Which are valid depends on the chains and on the envelopes that exist, never on the
//! order in which they came.

use std::collections::BTreeMap;

use ajar_crypto::EpochKey;
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::{DeviceId, EpochId, VerifiedEnvelope};

use crate::clock::Now;
use crate::epochs::Verdict;
use crate::error::EngineError;
use crate::loose::Source;
use crate::replica::Replica;
use crate::store::{Key, Store};

/// Orphans that are kept of one device. A thief can make others change the key as often as it
/// changes the members, which is about twice [`ajar_protocol::limits::DEVICES_EVER`] times.
pub(crate) const ORPHANS: usize = 256;

impl<S: Store> Replica<S> {
    /// Reads the epochs that the state names, and takes the keys of the key file.
    pub(crate) fn load_epochs(
        &mut self,
        keys: Vec<(EpochId, EpochKey)>,
    ) -> Result<(), EngineError> {
        let damaged = || EngineError::Damaged("an epoch");
        for epoch in &self.folded.retired {
            self.epochs.retire(epoch.id, epoch.number);
        }
        let mut kept = Vec::new();
        for (device, counter) in self.meta.epochs.clone() {
            let envelope = self.stored_envelope(&device, counter)?;
            let envelope = envelope.ok_or_else(damaged)?;
            let (_, author) = self.space.device(&device).ok_or_else(damaged)?;
            kept.push(envelope.verify(&author.keys.sign).map_err(|_| damaged())?);
        }
        let mut waiting = Vec::new();
        for (envelope, orphan) in self.judge_all(kept) {
            let (device, counter) = (envelope.header().device, envelope.header().counter);
            if orphan {
                self.epochs.take_orphan(&self.space, &envelope);
            } else if counter > self.progress.frontier.counter(&device) || self.meta.stale {
                // Handed over ahead of its place: it may wait for those that it stands on. A copy
                // that others have gone on without may wait for ever, and can still be read.
                waiting.push((device, counter));
            } else {
                return Err(damaged());
            }
        }
        self.epochs.waiting = waiting;
        for (id, key) in keys {
            self.epochs.offer_key(&self.space, id, key, Source::Own);
        }
        Ok(())
    }

    /// Takes the valid ones of these epochs, whatever their order. Returns the others, with
    /// whether they are orphans.
    fn judge_all(&mut self, mut waiting: Vec<VerifiedEnvelope>) -> Vec<(VerifiedEnvelope, bool)> {
        loop {
            let before = waiting.len();
            let mut later = Vec::new();
            for envelope in waiting {
                match self.epochs.judge(&self.space, &envelope) {
                    Verdict::Valid(epoch, history) => {
                        let seen = self.meta.epoch_seen(&epoch.device, epoch.counter);
                        let id = envelope.id().into();
                        self.epochs.insert(&self.space, id, *epoch, history, seen);
                    }
                    Verdict::Orphan => later.push((envelope, true)),
                    Verdict::Early | Verdict::Invalid => later.push((envelope, false)),
                }
            }
            if later.len() == before || later.is_empty() {
                return later;
            }
            waiting = later.into_iter().map(|(envelope, _)| envelope).collect();
        }
    }

    /// Judges orphans again after something has come: what they stand on was only late.
    pub(crate) fn retry_orphans(&mut self) -> Result<(), EngineError> {
        if self.epochs.orphans.is_empty() {
            return Ok(());
        }
        let mut waiting = Vec::new();
        for (device, counter) in self.epochs.orphans.clone() {
            let Some(envelope) = self.stored_envelope(&device, counter)? else {
                continue;
            };
            waiting.extend(
                self.verify_again(envelope)?
                    .map(|(_, _, verified)| verified),
            );
        }
        for (envelope, orphan) in self.judge_all(waiting) {
            if !orphan {
                let header = envelope.header();
                let place = (header.device, header.counter);
                self.epochs.orphans.remove(&place);
                self.epochs.loose.take(&envelope.id().into());
                self.meta
                    .retain_epochs(|device, counter| (*device, counter) != place);
                self.pending.meta = true;
            }
        }
        self.pending.keys = true;
        Ok(())
    }

    /// Judges all kept epochs anew, after a chain has been replaced. `kept` are the places of
    /// all EPOCH envelopes of devices that are in a chain.
    pub(crate) fn rejudge_epochs(
        &mut self,
        now: Now,
        kept: &[(DeviceId, u64)],
    ) -> Result<(), EngineError> {
        let keys = self.epochs.all_keys(&self.space.device);
        self.epochs = crate::epochs::Epochs::default();
        for epoch in &self.folded.retired {
            self.epochs.retire(epoch.id, epoch.number);
        }
        let mut waiting = Vec::new();
        for (device, counter) in kept {
            let envelope = self.stored_envelope(device, *counter)?;
            let Some(envelope) = envelope.filter(|one| one.header().kind == EnvelopeType::Epoch)
            else {
                continue;
            };
            waiting.extend(
                self.verify_again(envelope)?
                    .map(|(_, _, verified)| verified),
            );
        }
        let places = |list: &[VerifiedEnvelope]| -> Vec<(DeviceId, u64)> {
            let headers = list.iter().map(VerifiedEnvelope::header);
            headers
                .map(|header| (header.device, header.counter))
                .collect()
        };
        let all = places(&waiting);
        let mut left = self.judge_all(waiting);
        left.sort_by_key(|(envelope, _)| (envelope.header().device, envelope.header().counter));
        let mut gone = Vec::new();
        let mut orphans: BTreeMap<DeviceId, usize> = BTreeMap::new();
        for (envelope, orphan) in left {
            let (device, counter) = (envelope.header().device, envelope.header().counter);
            let count = orphans.entry(device).or_default();
            // From beyond a cut-off only valid ones are kept, as everywhere.
            if !orphan || *count >= ORPHANS || self.space.is_cut_off(&device, counter) {
                gone.push((device, counter));
                if counter > self.progress.frontier.counter(&device) {
                    self.pending.batch.delete(Key::Envelope(device, counter));
                }
            } else {
                *count += 1;
                self.epochs.take_orphan(&self.space, &envelope);
            }
        }
        self.meta
            .retain_epochs(|device, counter| all.contains(&(*device, counter)));
        for (device, counter) in all {
            self.meta.add_epoch(device, counter, now.wall_ms);
        }
        self.meta
            .retain_epochs(|device, counter| !gone.contains(&(*device, counter)));
        for (id, key) in keys {
            self.epochs.offer_key(&self.space, id, key, Source::Own);
        }
        self.pending.keys = true;
        self.pending.meta = true;
        Ok(())
    }
}
