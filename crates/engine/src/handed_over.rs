//! Epochs from beyond a cut-off, handed from one own device to another (protocol §2.7).
//!
//! Someone honest may have written under an epoch that a removed device made before they knew
//! of the removal. A relay that is filled anew does not take such an epoch, so a new device
//! gets it from the one that links it, often before the epochs that it stands on.

use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::{DeviceId, Envelope};

use crate::clock::Now;
use crate::epochs::Verdict;
use crate::error::EngineError;
use crate::rebuild::EPOCHS_BEYOND;
use crate::replica::Replica;
use crate::space::Space;
use crate::store::Store;

/// Bytes of epochs from beyond a cut-off that a new device is given: a removed device that
/// made large ones cannot make the rest too large to hand over.
const PACKED_BYTES: usize = 64 << 10;

/// What became of a stored epoch.
pub(crate) enum Stored {
    /// It is valid and was taken.
    Taken,
    /// It stands on something that has not arrived.
    Early,
    /// Its author misbehaved.
    Invalid,
    /// It is not there, or not its author's.
    Missing,
}

impl<S: Store> Replica<S> {
    /// Valid epochs from beyond the cut-off of their author, the earliest of each first: they
    /// are the ones that others may have written under before they knew.
    pub(crate) fn epochs_beyond(&mut self) -> Result<Vec<Envelope>, EngineError> {
        let mut places = self.meta.epochs.clone();
        places.retain(|(device, counter)| self.space.is_cut_off(device, *counter));
        places.sort_unstable();
        let mut room = PACKED_BYTES;
        let mut packed: Vec<Envelope> = Vec::new();
        for (device, counter) in places {
            let of_device = packed.iter().filter(|e| e.header().device == device);
            if of_device.count() >= EPOCHS_BEYOND {
                continue;
            }
            let Some(envelope) = self.stored_envelope(&device, counter)? else {
                continue;
            };
            let size = envelope.as_bytes().len();
            if size <= room {
                room -= size;
                packed.push(envelope);
            }
        }
        Ok(packed)
    }

    /// Judges an epoch that is stored, and takes it if it is valid; `seen_ms` as in
    /// [`crate::epochs::Epoch`].
    pub(crate) fn take_stored_epoch(
        &mut self,
        device: &DeviceId,
        counter: u64,
        seen_ms: i64,
    ) -> Result<Stored, EngineError> {
        let envelope = self.stored_envelope(device, counter)?;
        let (Some(envelope), Some((_, author))) = (envelope, self.space.device(device)) else {
            return Ok(Stored::Missing);
        };
        let Ok(envelope) = envelope.verify(&author.keys.sign) else {
            return Ok(Stored::Missing);
        };
        Ok(match self.epochs.judge(&self.space, &envelope) {
            Verdict::Valid(epoch, history) => {
                let id = envelope.id().into();
                self.epochs
                    .insert(&self.space, id, *epoch, history, seen_ms);
                Stored::Taken
            }
            Verdict::Early => Stored::Early,
            Verdict::Invalid => Stored::Invalid,
        })
    }

    /// After another epoch was taken: those that were handed over may stand on it.
    pub(crate) fn try_waiting_epochs(&mut self, now: Now) -> Result<(), EngineError> {
        let mut progress = true;
        while progress {
            progress = false;
            for (device, counter) in std::mem::take(&mut self.epochs.waiting) {
                match self.take_stored_epoch(&device, counter, now.wall_ms)? {
                    Stored::Taken => {
                        self.pending.keys = true;
                        progress = true;
                    }
                    Stored::Early => self.epochs.waiting.push((device, counter)),
                    Stored::Invalid | Stored::Missing => {}
                }
            }
        }
        Ok(())
    }
}

/// Of the envelopes that were handed over: epochs of this space that removed devices signed,
/// beyond their cut-off, one for each place and not too many of one device.
pub(crate) fn epochs_to_keep(space: &Space, handed: Vec<Envelope>) -> Vec<Envelope> {
    let mut kept: Vec<Envelope> = Vec::new();
    for envelope in handed {
        let header = *envelope.header();
        let same = kept.iter().filter(|e| e.header().device == header.device);
        let room = same.clone().count() < EPOCHS_BEYOND
            && same.clone().all(|e| e.header().counter != header.counter);
        let fits = header.kind == EnvelopeType::Epoch
            && header.space == space.id
            && space.is_cut_off(&header.device, header.counter);
        let author = space.device(&header.device);
        let signed = |envelope: Envelope| {
            author.is_some_and(|(_, author)| envelope.verify(&author.keys.sign).is_ok())
        };
        if room && fits && signed(envelope.clone()) {
            kept.push(envelope);
        }
    }
    kept
}
