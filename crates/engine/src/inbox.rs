//! Receiving: the ordered checks of protocol §2.5. Whether an envelope counts depends on its
//! bytes, its chain and what it stands on, never on when it arrives, so that all honest
//! devices decide alike.
//!
//! An envelope that is in its place in its author's chain but whose content breaks a rule is
//! kept (others may need it for the chain) and its content is left out, all of it.

use std::collections::BTreeMap;

use ajar_crypto::epoch::open_epoch;
use ajar_crypto::seal::{OpenError, open_envelope};
use ajar_protocol::changes::Changes;
use ajar_protocol::envelope::{EnvelopeHeader, EnvelopeType};
use ajar_protocol::frontier::Position;
use ajar_protocol::{DeviceId, DocId, Envelope, EnvelopeId, VerifiedEnvelope};
use automerge::Change;
use zeroize::Zeroizing;

use crate::clock::Now;
use crate::documents::{self, Intake, Loaded, apply, check_changes};
use crate::epochs::Verdict;
use crate::error::EngineError;
use crate::notice::NoticeKind;
use crate::orphans::ORPHANS;
use crate::outbox::expand;
use crate::output::Event;
use crate::replica::Replica;
use crate::space::View;
use crate::store::{Key, Store};

/// Parked envelopes of one device.
const PARKED: usize = 256;
/// Bytes of parked envelopes of one device.
const PARKED_BYTES: usize = 16 << 20;
/// Parked envelopes of devices that no chain names. Their signatures cannot be checked, so
/// anyone could have made them; the link that names a device comes before its envelopes.
const PARKED_UNKNOWN: usize = 16;
/// Damaged objects after which a person is told.
const DAMAGED_NOTICE: u32 = 3;
/// Envelopes of one device that wait in their place for what a cut-off may have taken away.
const DEFERRED: usize = 1024;
/// Envelopes of one device that wait in their place for their key.
const AWAITING_KEY: usize = 4096;
/// Up to so many of them are tried again with every envelope that comes.
const DEFERRED_TRIED: usize = 32;

/// What became of one envelope.
enum Taken {
    /// It extends its author's chain; the content was applied or left out.
    Accepted,
    /// Nothing to do, or nothing to do with it.
    Dropped,
    /// It stands on something that has not arrived.
    Early,
    /// As [`Self::Early`], and it has given keys that others may wait for.
    Ahead,
}

impl<S: Store> Replica<S> {
    /// Takes one envelope from the relay.
    pub(crate) fn take_envelope(
        &mut self,
        now: Now,
        envelope: Envelope,
    ) -> Result<(), EngineError> {
        let is_epoch = envelope.header().kind == EnvelopeType::Epoch;
        let taken = self.consider(now, envelope)?;
        if matches!(taken, Taken::Accepted | Taken::Ahead) {
            self.settle(now)?;
            // A long list waits for keys, or for the next time that the relay has given
            // everything.
            let few = self.meta.deferred.len() <= DEFERRED_TRIED;
            if self.caught_up() && (few || is_epoch) {
                self.try_deferred(now)?;
            }
        }
        Ok(())
    }

    /// After progress: parked envelopes may have become possible.
    pub(crate) fn settle(&mut self, now: Now) -> Result<(), EngineError> {
        let mut progress = true;
        while progress {
            progress = false;
            let devices: Vec<DeviceId> = self.parked.keys().copied().collect();
            for device in devices {
                while let Some(envelope) = self.next_parked(&device) {
                    match self.consider(now, envelope)? {
                        Taken::Accepted => progress = true,
                        Taken::Dropped => {}
                        Taken::Early => break,
                        Taken::Ahead => {
                            progress = true;
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the parked envelope that is next in its author's chain; forgets older ones.
    fn next_parked(&mut self, device: &DeviceId) -> Option<Envelope> {
        let next = self.progress.frontier.counter(device) + 1;
        let parked = self.parked.get_mut(device)?;
        *parked = parked.split_off(&next);
        let envelope = parked.remove(&next);
        if parked.is_empty() {
            self.parked.remove(device);
        }
        envelope
    }

    fn park(&mut self, envelope: Envelope) {
        let parked = self.parked.entry(envelope.header().device).or_default();
        parked.insert(envelope.header().counter, envelope);
        let too_much = |parked: &BTreeMap<u64, Envelope>| {
            parked.len() > PARKED
                || parked.values().map(|e| e.as_bytes().len()).sum::<usize>() > PARKED_BYTES
        };
        // The furthest go first: they are fetched again when the gap has closed.
        while too_much(parked) {
            parked.pop_last();
        }
    }

    fn park_unknown(&mut self, envelope: Envelope) {
        let unknown: usize = self
            .parked
            .iter()
            .filter(|(device, _)| self.space.device(device).is_none())
            .map(|(_, parked)| parked.len())
            .sum();
        if unknown < PARKED_UNKNOWN {
            self.park(envelope);
        }
    }

    fn consider(&mut self, now: Now, envelope: Envelope) -> Result<Taken, EngineError> {
        let header = *envelope.header();
        // 1. The space it came in.
        if header.space != self.space.id {
            self.count_damaged(now);
            return Ok(Taken::Dropped);
        }
        if self.folded.is_folded(&header.device, header.counter) {
            self.relay_holds(&header.device, header.counter);
            return Ok(Taken::Dropped);
        }
        let known = self.progress.frontier.of(&header.device);
        let counter = known.map_or(0, |position| position.counter);
        if header.counter <= counter && self.is_stored(&header.device, &envelope)? {
            self.relay_holds(&header.device, header.counter);
            return Ok(Taken::Dropped);
        }
        // 2. Its author, in a chain that is long enough.
        let Some((place, author)) = self.space.device(&header.device) else {
            self.park_unknown(envelope);
            return Ok(Taken::Early);
        };
        let author = author.clone();
        // 3. The signature.
        let mut unverified = envelope;
        let key = author.keys.sign;
        let checked = unverified.check_signature(&key);
        let Ok(verified) = checked.and_then(|()| unverified.clone().verify(&key)) else {
            self.count_damaged(now);
            return Ok(Taken::Dropped);
        };
        // 4. The chain of the device.
        if self.meta.forked.contains_key(&header.device) {
            return Ok(Taken::Dropped);
        }
        if header.device == self.space.device && header.counter > counter {
            // Signed by our own key, and we have not written it: this home is a copy of an
            // older state.
            self.meta.stale = true;
            self.pending.meta = true;
            self.notice(now, NoticeKind::StaleCopy);
        }
        if header.counter <= counter {
            self.fork(now, &verified)?;
            return Ok(Taken::Dropped);
        }
        if self.space.is_cut_off(&header.device, header.counter) {
            self.remember_beyond(&verified);
            return Ok(match self.keep_epoch_beyond(now, &verified)? {
                true => Taken::Accepted,
                false => Taken::Dropped,
            });
        }
        if header.counter > counter + 1 {
            self.hear_of(now, header.device, header.counter - 1);
            let learned = self.pending_keys_of(&verified);
            self.park(unverified);
            return Ok(if learned { Taken::Ahead } else { Taken::Early });
        }
        if header.prev != known.map_or(EnvelopeId::ZERO, |position| position.id) {
            self.fork(now, &verified)?;
            return Ok(Taken::Dropped);
        }
        // 5. The cut-off of a revoked device.
        if let Some(revocation) = author.revoked {
            let cutoff = revocation.cutoff;
            // What was beyond an earlier cut-off may still lie here, and be another one.
            let kept = self.stored_envelope(&header.device, header.counter)?;
            let differs = kept.is_some_and(|kept| kept.id() != verified.id());
            if differs || header.counter == cutoff.counter && verified.id() != cutoff.id {
                self.fork(now, &verified)?;
                return Ok(Taken::Dropped);
            }
        }
        // The author's view of the membership.
        let seqs = match self.space.view(&header.mhead, place, &author) {
            View::Links(seqs) => seqs,
            View::Early => {
                self.park(unverified);
                return Ok(Taken::Early);
            }
            View::Wrong => return self.leave_out(now, &verified),
        };
        if !seqs.get(place).is_some_and(|seq| author.active_at(*seq)) {
            return self.leave_out(now, &verified);
        }
        if self
            .meta
            .quarantined
            .contains(&(header.device, header.counter))
        {
            return self.leave_out(now, &verified);
        }
        match header.kind {
            EnvelopeType::Epoch => self.take_epoch(now, verified, unverified),
            EnvelopeType::Changes => self.take_changes(now, place, &seqs, verified, unverified),
            EnvelopeType::Snapshot | EnvelopeType::Burn | EnvelopeType::Endorse => {
                self.take_other(now, place, &seqs, verified, unverified)
            }
        }
    }

    /// Takes keys that were missing from the history of an epoch that is not next in its
    /// author's chain yet, or that stands on one that has not come: what stands before them may be
    /// waiting for just these keys, and so may epochs that are still to come. Returns whether one
    /// that is here got its key.
    fn pending_keys_of(&mut self, envelope: &VerifiedEnvelope) -> bool {
        if envelope.header().kind != EnvelopeType::Epoch {
            return false;
        }
        let kem = self.space.secrets.kem_secret();
        let Ok(opened) = open_epoch(envelope, &self.space.device.0, kem) else {
            return false;
        };
        let author = envelope.header().device;
        let mut learned = false;
        for (id, key) in opened.history {
            learned |= self.epochs.take_early_key(&self.space, id, key, author);
        }
        self.pending.keys |= learned;
        learned
    }

    fn take_epoch(
        &mut self,
        now: Now,
        envelope: VerifiedEnvelope,
        unverified: Envelope,
    ) -> Result<Taken, EngineError> {
        let header = *envelope.header();
        match self.epochs.judge(&self.space, &envelope) {
            Verdict::Valid(epoch, history) => {
                let id = envelope.id().into();
                let (shut, device) = (epoch.shut, header.device);
                self.epochs
                    .insert(&self.space, id, *epoch, history, now.wall_ms);
                if shut {
                    self.notice(now, NoticeKind::BadEpoch { device });
                }
                // It may be here from before a cut-off was raised.
                let place = (header.device, header.counter);
                self.meta.add_epoch(place.0, place.1, now.wall_ms);
                self.epochs.waiting.retain(|waiting| *waiting != place);
                self.pending.meta = true;
                self.pending.keys = true;
                self.advance(&envelope);
                self.try_waiting_epochs(now)?;
                self.retry_orphans()?;
                Ok(Taken::Accepted)
            }
            Verdict::Orphan if self.epochs.orphans_of(&header.device) < ORPHANS => {
                self.epochs.take_orphan(&self.space, &envelope);
                self.meta
                    .add_epoch(header.device, header.counter, now.wall_ms);
                self.pending.meta = true;
                self.pending.keys = true;
                self.advance(&envelope);
                self.try_waiting_epochs(now)?;
                Ok(Taken::Accepted)
            }
            Verdict::Early => {
                let learned = self.pending_keys_of(&envelope);
                self.park(unverified);
                Ok(if learned { Taken::Ahead } else { Taken::Early })
            }
            Verdict::Orphan | Verdict::Invalid => {
                self.notice(
                    now,
                    NoticeKind::BadEpoch {
                        device: header.device,
                    },
                );
                self.advance(&envelope);
                Ok(Taken::Accepted)
            }
        }
    }

    /// Snapshots, endorsements and burns.
    fn take_other(
        &mut self,
        now: Now,
        place: usize,
        seqs: &[u64],
        envelope: VerifiedEnvelope,
        unverified: Envelope,
    ) -> Result<Taken, EngineError> {
        let header = *envelope.header();
        let (device, counter) = (header.device, header.counter);
        let content = match self.open_plain(seqs, &envelope) {
            Plain::Content(content) => content,
            Plain::Early if self.may_await_key(&header) => {
                // A burn waits for its key; the others say nothing that has to be heard.
                if header.kind == EnvelopeType::Burn {
                    self.defer(device, counter);
                }
                self.advance(&envelope);
                return Ok(Taken::Accepted);
            }
            Plain::Early => {
                self.park(unverified);
                return Ok(Taken::Early);
            }
            Plain::Refused => return self.leave_out(now, &envelope),
        };
        self.advance(&envelope);
        match header.kind {
            EnvelopeType::Snapshot => self.take_snapshot(now, &envelope, &content),
            EnvelopeType::Endorse => self.take_endorsement(now, &device, counter, &content)?,
            EnvelopeType::Burn => self.take_burn(now, place, device, counter, &content)?,
            EnvelopeType::Changes | EnvelopeType::Epoch => {}
        }
        Ok(Taken::Accepted)
    }

    fn take_changes(
        &mut self,
        now: Now,
        place: usize,
        seqs: &[u64],
        envelope: VerifiedEnvelope,
        unverified: Envelope,
    ) -> Result<Taken, EngineError> {
        let header = *envelope.header();
        // 6 and 7.
        let content = match self.open_content(seqs, &envelope) {
            Opened::Content(content) => content,
            Opened::Early if self.may_await_key(&header) => {
                // Its key may come with a later envelope of the same author.
                self.defer(header.device, header.counter);
                self.advance(&envelope);
                return Ok(Taken::Accepted);
            }
            Opened::Early => {
                self.park(unverified);
                return Ok(Taken::Early);
            }
            Opened::Refused => return self.leave_out(now, &envelope),
        };
        // 9. The content, all or none.
        let checked = match self.check_content(place, &header.device, &content)? {
            Content::Ready(checked) => checked,
            Content::Early if self.may_defer(&header.device) => {
                self.read_acks(now, place, &content)?;
                self.defer(header.device, header.counter);
                return self.leave_out(now, &envelope);
            }
            Content::Early => {
                self.park(unverified);
                return Ok(Taken::Early);
            }
            Content::Refused => return self.leave_out(now, &envelope),
        };
        self.mark(header.device, header.counter)?;
        if !self.apply_content(checked)? {
            return self.leave_out(now, &envelope);
        }
        self.keep_content(place, header.device, &content)?;
        // 8. What its author has seen.
        self.read_acks(now, place, &content)?;
        // 10. With the next commit.
        self.advance(&envelope);
        Ok(Taken::Accepted)
    }

    /// Checks 6 and 7: the epoch, whether its author may use it, and what is inside.
    pub(crate) fn open_content(&self, seqs: &[u64], envelope: &VerifiedEnvelope) -> Opened {
        match self.open_plain(seqs, envelope) {
            Plain::Content(plaintext) => {
                expand(&plaintext).map_or(Opened::Refused, Opened::Content)
            }
            Plain::Early => Opened::Early,
            Plain::Refused => Opened::Refused,
        }
    }

    /// As [`Self::open_content`], whatever kind of content it is.
    pub(crate) fn open_plain(&self, seqs: &[u64], envelope: &VerifiedEnvelope) -> Plain {
        let header = envelope.header();
        let Some(epoch) = self.epochs.get(&header.epoch) else {
            return match self.space.has_root_link() {
                true => self.open_by_any_key(envelope),
                false => Plain::Early,
            };
        };
        let revoked_then = self.space.revoked_at(&epoch.seqs);
        let knows = self.space.revoked_at(seqs);
        if !epoch.recipients.contains(&header.device.0)
            || !knows.iter().all(|device| revoked_then.contains(device))
        {
            return Plain::Refused;
        }
        let Some(key) = &epoch.key else {
            return Plain::Early;
        };
        open_envelope(envelope, key).map_or(Plain::Refused, Plain::Content)
    }

    /// Opens content under an epoch that has no valid record here. The commitment in the
    /// envelope tells the key, and nothing else about such an epoch counts.
    pub(crate) fn open_by_any_key(&self, envelope: &VerifiedEnvelope) -> Plain {
        for key in self.epochs.loose.of(&envelope.header().epoch) {
            match open_envelope(envelope, key) {
                Err(OpenError::WrongKey) => {}
                Err(_) => return Plain::Refused,
                Ok(plaintext) => return Plain::Content(plaintext),
            }
        }
        Plain::Early
    }

    /// Whether content whose key is not here is to wait in its place: its epoch may stand on
    /// what the twelve words took away, and then its author hands on the key later.
    fn may_await_key(&self, header: &EnvelopeHeader) -> bool {
        let waiting = self.meta.deferred.iter();
        self.space.has_root_link()
            && self.epochs.get(&header.epoch).is_none()
            && waiting.filter(|(d, _)| *d == header.device).count() < AWAITING_KEY
    }

    /// Whether content that stands on something missing is to wait in its place, so that the
    /// rest of its author's chain goes on: after a removal it may stand on what nobody
    /// accepts any more, and the relay has nothing more to give.
    fn may_defer(&self, device: &DeviceId) -> bool {
        let waiting = self.meta.deferred.iter().filter(|(d, _)| d == device);
        self.space.has_removed() && self.caught_up() && waiting.count() < DEFERRED
    }

    /// Adds content that was applied to the stored documents, and tells.
    pub(crate) fn keep_content(
        &mut self,
        place: usize,
        device: DeviceId,
        content: &Changes,
    ) -> Result<(), EngineError> {
        for item in &content.docs {
            if self.folded.burned.contains(&item.doc) {
                continue;
            }
            self.store_changes(&item.doc, item.changes.iter().map(Vec::as_slice))?;
            self.pending.events.push(Event::DocumentChanged {
                doc: item.doc,
                by: self.space.party_of(place),
                device,
                here: device == self.space.device,
            });
        }
        Ok(())
    }

    pub(crate) fn check_content(
        &mut self,
        place: usize,
        device: &DeviceId,
        content: &Changes,
    ) -> Result<Content, EngineError> {
        let mut ready = Vec::with_capacity(content.docs.len());
        let mut created = 0;
        let mut room = documents::MAX_ENVELOPE_OPS;
        let gaps = self
            .meta
            .deferred
            .iter()
            .any(|(author, _)| author == device);
        for item in &content.docs {
            // What was burned does not come back.
            if self.folded.burned.contains(&item.doc) {
                continue;
            }
            let size: u64 = item.changes.iter().map(|change| change.len() as u64).sum();
            let row = self.row(&item.doc)?;
            let empty = Loaded::empty();
            let loaded = match &row {
                Some(row) => {
                    if row.bytes.saturating_add(size) > documents::MAX_DOCUMENT_BYTES {
                        return Ok(Content::Refused);
                    }
                    self.cache.load(row, &mut self.store, &self.pending.batch)?
                }
                None => {
                    created += 1;
                    if self.directory.len() + created > documents::MAX_DOCUMENTS {
                        return Ok(Content::Refused);
                    }
                    &empty
                }
            };
            match check_changes(&self.space.id, device, place, item, loaded, gaps, &mut room) {
                Intake::Ready(changes) => ready.push((item.doc, changes)),
                Intake::Early => return Ok(Content::Early),
                Intake::Refused => return Ok(Content::Refused),
            }
        }
        Ok(Content::Ready(ready))
    }

    /// Applies checked changes of several documents; `false` when Automerge would not, with
    /// all of them as they were.
    pub(crate) fn apply_content(
        &mut self,
        checked: Vec<(DocId, Vec<Change>)>,
    ) -> Result<bool, EngineError> {
        let mut touched = Vec::with_capacity(checked.len());
        let mut good = true;
        for (doc, changes) in checked {
            let mut loaded = match self.row(&doc)? {
                Some(row) => {
                    self.cache
                        .load(&row, &mut self.store, &self.pending.batch)?;
                    self.cache
                        .take(&doc)
                        .ok_or(EngineError::Bug("a document is not loaded"))?
                }
                None => Loaded::empty(),
            };
            good = apply(&mut loaded, changes);
            self.cache.insert(doc, loaded);
            touched.push(doc);
            if !good {
                break;
            }
        }
        if !good {
            for doc in touched {
                self.cache.drop_doc(&doc);
            }
        }
        Ok(good)
    }

    /// Moves the frontier past an envelope and keeps it.
    fn advance(&mut self, envelope: &VerifiedEnvelope) {
        let header = envelope.header();
        let key = Key::Envelope(header.device, header.counter);
        self.pending.batch.put(key, envelope.as_bytes().to_vec());
        let position = Position {
            counter: header.counter,
            id: envelope.id(),
        };
        self.progress.frontier.set(header.device, position);
        self.pending.progress = true;
        self.relay_holds(&header.device, header.counter);
        let caught_up = self
            .progress
            .heard
            .get(&header.device)
            .is_some_and(|(counter, _)| *counter <= header.counter);
        if caught_up {
            self.progress.heard.remove(&header.device);
            if self.notices.settle_withheld(&header.device) {
                self.pending.notices = true;
            }
        }
    }

    /// Keeps an envelope in its chain and leaves its content out.
    fn leave_out(&mut self, now: Now, envelope: &VerifiedEnvelope) -> Result<Taken, EngineError> {
        let header = envelope.header();
        self.notice(
            now,
            NoticeKind::Unopenable {
                device: header.device,
                counter: header.counter,
            },
        );
        self.advance(envelope);
        Ok(Taken::Accepted)
    }

    fn is_stored(&mut self, device: &DeviceId, envelope: &Envelope) -> Result<bool, EngineError> {
        let counter = envelope.header().counter;
        let stored = self.stored_envelope(device, counter)?;
        Ok(stored.is_some_and(|stored| stored.id() == envelope.id()))
    }

    /// Two envelopes at one place, both signed: keeps the proof and stops at the split. Not
    /// for a removed device: its cut-off says where its history ends, and what it signs
    /// afterwards must not keep that from those who still lack it. It is told of once.
    fn fork(&mut self, now: Now, envelope: &VerifiedEnvelope) -> Result<(), EngineError> {
        let header = *envelope.header();
        if header.device == self.space.device {
            self.meta.stale = true;
            self.notice(now, NoticeKind::StaleCopy);
        } else if self.space.cutoff_of(&header.device).is_none() {
            self.meta.forked.insert(header.device, header.counter);
        } else {
            let of = |kind: &NoticeKind| matches!(kind, NoticeKind::Forked { device, .. } if *device == header.device);
            if self.notices.all().iter().any(|told| of(&told.kind)) {
                return Ok(());
            }
        }
        self.notice(
            now,
            NoticeKind::Forked {
                device: header.device,
                counter: header.counter,
            },
        );
        self.keep_evidence(envelope.as_bytes())?;
        self.pending.meta = true;
        Ok(())
    }

    /// Takes the first epoch from a pairing channel instead of a relay.
    pub(crate) fn take_first_epoch(&mut self, now: Now, bytes: &[u8]) -> Result<(), EngineError> {
        match Envelope::parse(bytes) {
            Ok(envelope) => self.take_envelope(now, envelope)?,
            Err(_) => self.count_damaged(now),
        }
        self.commit().map(drop)
    }

    pub(crate) fn count_damaged(&mut self, now: Now) {
        self.damaged = self.damaged.saturating_add(1);
        if self.damaged == DAMAGED_NOTICE {
            self.notice(now, NoticeKind::DamagedData);
        }
    }
}

/// What opening one envelope gave, before it is read.
pub(crate) enum Plain {
    Content(Zeroizing<Vec<u8>>),
    Early,
    Refused,
}

/// What opening one envelope gave.
pub(crate) enum Opened {
    Content(Changes),
    Early,
    Refused,
}

/// Verdict on the content of one envelope.
pub(crate) enum Content {
    Ready(Vec<(DocId, Vec<Change>)>),
    Early,
    Refused,
}
