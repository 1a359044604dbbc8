//! Giving up what a snapshot has folded in: at the relay, on a record that a device of each
//! party has signed, and then here. EPOCH envelopes stay until they are retired.

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::Snapshot;
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{BlobId, DeviceId, EnvelopeId, Frontier, Position};

use super::state::Standing;
use super::{Seen, extent, reaches, statement};
use crate::clock::Now;
use crate::error::EngineError;
use crate::output::Event;
use crate::replica::Replica;
use crate::store::{Key, Store};

/// How long the log is kept after a snapshot was seen, in ms: devices that come within a week
/// go on from it. What is burned does not wait.
pub(crate) const SEVEN_DAYS_MS: i64 = 7 * 24 * 3600 * 1000;
/// Envelopes that are deleted in one batch.
const SWEPT: u64 = 4096;

impl<S: Store> Replica<S> {
    /// The best record that could be given to a relay now and was not yet, on this connection.
    /// `at_once`: without the seven days.
    fn trim_record(&mut self, now: Now, at_once: bool) -> Result<Option<TrimRecord>, EngineError> {
        let floors = extent(&self.folded.floors);
        let good = |seen: &&Seen| {
            let same = matches!(seen.standing, Standing::Same | Standing::Endorsed);
            let ahead = extent(&seen.cover) > floors && reaches(&seen.cover, &self.folded.floors);
            same && ahead
        };
        let mut good: Vec<Seen> = self.folded.seen.iter().filter(good).cloned().collect();
        // Where two lie side by side, and somebody else has had the log given up to one, the
        // relay refuses the other.
        if let Some(uplink) = &self.uplink {
            good.retain(|seen| !uplink.trims.contains(&seen.name.id));
        }
        good.sort_by_key(|seen| extent(&seen.cover));
        while let Some(seen) = good.pop() {
            let age = now.wall_ms.saturating_sub(seen.seen_ms);
            let is_ripe = match self.waits_for_all(&seen)? {
                true => self.burn_is_confirmed(&seen)?,
                false => at_once || age >= SEVEN_DAYS_MS,
            };
            // The newest may lack the word of the other party, and an older one have it.
            if is_ripe && let Some(record) = self.record_of(&seen)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The record of a snapshot, if a device of each party has signed it.
    fn record_of(&mut self, seen: &Seen) -> Result<Option<TrimRecord>, EngineError> {
        let Some(snapshot) = self.snapshot_of(&seen.name)? else {
            return Ok(None);
        };
        let statement = statement(self.space.id, seen.name, &snapshot);
        let own = self.space.device;
        let mut signatures = seen.endorsed.clone();
        if !signatures.iter().any(|(signer, _)| *signer == own) {
            let hash = statement.hash();
            signatures.push((own, self.space.secrets.sign_relay_command(&hash)));
        }
        let active = |device: &DeviceId| {
            let known = self.space.device(device);
            known.is_some_and(|(_, device)| device.revoked.is_none())
        };
        signatures.retain(|(device, _)| active(device));
        signatures.sort_unstable_by_key(|(device, _)| *device);
        let record = TrimRecord {
            statement,
            signatures,
        };
        let chains: Vec<_> = self.space.chains.iter().collect();
        let sound = record.verify(&self.space.id, &chains, true).is_ok();
        Ok(sound.then_some(record))
    }

    /// Asks the relay to give up what a snapshot has folded in, if one is ripe for it; once for
    /// each on a connection, one after the other.
    pub(crate) fn trim_when_ripe(
        &mut self,
        now: Now,
        at_once: bool,
    ) -> Result<Vec<ClientMsg>, EngineError> {
        let waits = self.uplink.as_ref().is_some_and(|u| u.trimming.is_some());
        if waits || !self.relay_has_everything() {
            return Ok(Vec::new());
        }
        let Some(record) = self.trim_record(now, at_once)? else {
            return Ok(Vec::new());
        };
        let Some(uplink) = &mut self.uplink else {
            return Ok(Vec::new());
        };
        uplink.trims.insert(record.statement.snapshot.id);
        uplink.trimming = Some(record.clone());
        Ok(vec![ClientMsg::Trim(record.encode())])
    }

    /// Whether the relay is being asked to give something up, or is to be.
    pub(crate) fn is_trimming(&mut self, now: Now) -> Result<bool, EngineError> {
        let Some(uplink) = &self.uplink else {
            return Ok(false);
        };
        Ok(uplink.trimming.is_some() || self.trim_record(now, false)?.is_some())
    }

    /// Envelopes of all devices that are given up here.
    #[must_use]
    pub fn folded_envelopes(&self) -> u64 {
        extent(&self.folded.floors)
    }

    /// Gives the log up without waiting the seven days after an endorsement: somebody wants the room.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn trim_now(&mut self, now: Now) -> Result<Vec<ClientMsg>, EngineError> {
        self.trim_when_ripe(now, true)
    }

    /// The relay has given up what the snapshot of this id has folded in.
    pub(crate) fn trimmed(&mut self, id: EnvelopeId) -> Result<(), EngineError> {
        let ours = |record: &mut TrimRecord| record.statement.snapshot.id == id;
        let uplink = self.uplink.as_mut();
        let record = uplink.and_then(|uplink| uplink.trimming.take_if(ours));
        let Some(record) = record else {
            return Ok(());
        };
        let name = record.statement.snapshot;
        let Some(snapshot) = self.snapshot_of(&name)? else {
            return Ok(());
        };
        self.folded.trim = record.encode();
        self.retire(&snapshot);
        self.raise_floors(&snapshot.cover);
        self.let_packs_go(&snapshot);
        Ok(())
    }

    /// Whoever begins now begins from this snapshot or a later one: packs of earlier ones that
    /// these do without are of no use.
    fn let_packs_go(&mut self, snapshot: &Snapshot) {
        let packs = &self.folded.base.packs;
        let used = |blob: &BlobId| {
            packs.iter().any(|pack| pack.pack.blob == *blob)
                || snapshot.packs.iter().any(|pack| pack.blob == *blob)
        };
        let all = std::mem::take(&mut self.folded.obsolete);
        let (used, gone): (Vec<BlobId>, Vec<BlobId>) = all.into_iter().partition(used);
        self.folded.obsolete = used;
        self.folded.touch();
        if !gone.is_empty() {
            self.pending.events.push(Event::PacksObsolete(gone));
        }
    }

    /// Envelopes up to a cover are not kept any more. They are deleted in batches, also after
    /// a death in between.
    pub(crate) fn raise_floors(&mut self, cover: &Frontier) {
        for (device, position) in cover.rows() {
            let floor = self.folded.floors.counter(device);
            if position.counter > floor {
                let range = (*device, floor + 1, position.counter);
                self.folded.sweep.push(range);
                self.folded.floors.set(*device, *position);
            }
        }
        self.folded.touch();
    }

    /// Whether there is more to delete.
    #[must_use]
    pub fn sweeps(&self) -> bool {
        !self.folded.sweep.is_empty()
    }

    /// Deletes some of what is to be deleted.
    ///
    /// # Errors
    /// [`EngineError::Store`]; it goes on with the next call.
    pub fn sweep(&mut self) -> Result<(), EngineError> {
        let Some((device, from, to)) = self.folded.sweep.pop() else {
            return Ok(());
        };
        let until = to.min(from.saturating_add(SWEPT));
        for counter in from..=until {
            let place = (device, counter);
            // Keys come with their epochs; what waits in its place may find its ground yet.
            if !self.meta.epochs.contains(&place) && !self.meta.deferred.contains(&place) {
                self.pending.batch.delete(Key::Envelope(device, counter));
            }
        }
        if until < to {
            self.folded.sweep.push((device, until + 1, to));
        }
        self.folded.touch();
        self.commit().map(drop)
    }

    /// Position of an envelope that was accepted, if it is known: the envelope is kept, or was
    /// the last one that was given up.
    pub(crate) fn position_at(
        &mut self,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Position>, EngineError> {
        let floor = self.floor(device);
        if let Some(floor) = floor.filter(|floor| floor.counter == counter) {
            return Ok(Some(floor));
        }
        let envelope = self.stored_envelope(device, counter)?;
        Ok(envelope.map(|envelope| Position {
            counter,
            id: envelope.id(),
        }))
    }

    /// Position of the last envelope of a device that is not kept.
    pub(crate) fn floor(&self, device: &DeviceId) -> Option<Position> {
        self.folded.floors.of(device)
    }

    /// What a relay must be given before it can take envelopes that follow our floors: the
    /// trim record, and the EPOCHs below it.
    pub(crate) fn refill(&mut self) -> Result<Vec<ClientMsg>, EngineError> {
        let mut send = vec![ClientMsg::Trim(self.folded.trim.clone())];
        let places = self.meta.epochs.clone();
        for (device, counter) in places {
            if self.folded.is_folded(&device, counter)
                && let Some(envelope) = self.stored_envelope(&device, counter)?
            {
                send.push(ClientMsg::Append(envelope.as_bytes().to_vec()));
            }
        }
        Ok(send)
    }

    /// Packs that snapshots use which may still be asked for: their files stay.
    #[must_use]
    pub fn packs_in_use(&self) -> Vec<ajar_protocol::BlobId> {
        let base = &self.folded.base;
        base.packs.iter().map(|pack| pack.pack.blob).collect()
    }

    /// The snapshot that this device stands on, for telling.
    #[must_use]
    pub fn base_snapshot(&self) -> Option<EnvelopeId> {
        (self.folded.base.id != EnvelopeId::ZERO).then_some(self.folded.base.id)
    }

    /// Snapshots known here: name, covered envelopes, and how many devices endorse each.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(EnvelopeName, u64, usize)> {
        let seen = self.folded.seen.iter();
        seen.map(|seen| (seen.name, extent(&seen.cover), seen.endorsed.len()))
            .collect()
    }
}
