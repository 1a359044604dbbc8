//! Burning: what a person takes back is gone from view at once, and really forgotten when every
//! device has confirmed it (protocol §2.14).
//!
//! 1. BURN names the documents. Whoever takes it removes them and remembers their ids, so that
//!    nothing can bring them back.
//! 2. An EPOCH follows whose history is empty: whatever is written from then on is sealed under
//!    keys that lead to no old one. A SNAPSHOT without the documents follows.
//! 3. Every active device endorses such a snapshot. When they all have, and nothing beyond its
//!    cover is sealed under an old key, the log up to the cover is given up, with the old EPOCHs
//!    and their keys: at the relay and on each device.
//!
//! Only a party's own documents are burned on its word. For the other party's it is a request; a
//! common one needs both.

use std::collections::BTreeSet;

use ajar_crypto::Entropy;
use ajar_protocol::burn::Burn;
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::error::Malformed;
use ajar_protocol::snapshot::Snapshot;
use ajar_protocol::{BlobId, DeviceId, DocId, Frontier, limits};

use crate::clock::Now;
use crate::documents::{Owner, owner};
use crate::error::{EngineError, Misuse};
use crate::inbox::Plain;
use crate::notice::NoticeKind;
use crate::output::{Event, Outputs};
use crate::replica::Replica;
use crate::snapshot::{Seen, Standing, extent, reaches};
use crate::store::Store;

/// Burns that are remembered for telling how far they are.
const BURNS: usize = 64;

/// A BURN, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Burning {
    /// Its author and place.
    pub(crate) device: DeviceId,
    pub(crate) counter: u64,
    pub(crate) docs: Vec<DocId>,
    /// When it came, ms since 1970 by this device's clock.
    pub(crate) at_ms: i64,
    /// The keys to what is left of them were destroyed here.
    pub(crate) done: bool,
}

impl Burning {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.raw(&self.device.0).u64(self.counter);
        out.i64(self.at_ms).u8(u8::from(self.done));
        out.u16(u16::try_from(self.docs.len()).unwrap_or(u16::MAX));
        for doc in &self.docs {
            out.raw(&doc.0);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut burning = Self {
            device: DeviceId(reader.array()?),
            counter: reader.u64()?,
            at_ms: reader.i64()?,
            done: reader.u8()? != 0,
            docs: Vec::new(),
        };
        for _ in 0..reader.u16()? {
            burning.docs.push(DocId(reader.array()?));
        }
        Ok(burning)
    }

    /// Whether both had to want it.
    pub(crate) fn is_common(&self) -> bool {
        let mut docs = self.docs.iter();
        docs.any(|doc| owner(doc) == Some(Owner::Common))
    }

    pub(crate) fn is_covered(&self, cover: &Frontier) -> bool {
        cover.counter(&self.device) >= self.counter
    }
}

/// How far a burn is, for people: asked for, confirmed by some devices, forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurnStatus {
    /// The documents.
    pub docs: Vec<DocId>,
    /// Whether a device of this person wrote it.
    pub own: bool,
    /// When it came here, ms since 1970 by this device's clock.
    pub at_ms: i64,
    /// Active devices that have confirmed that they hold it no more.
    pub confirmed: usize,
    /// Active devices of both.
    pub of: usize,
    /// Those of them that have not.
    pub waits_for: Vec<DeviceId>,
    /// The keys to encrypted leftovers are destroyed on this device.
    pub keys_destroyed: bool,
}

impl<S: Store> Replica<S> {
    /// Burns documents: one's own at once; for those of the other person, and for common ones
    /// that the other has not burned too, it is a request. `blobs` are those that only these
    /// documents use. Durable when it returns.
    ///
    /// # Errors
    /// [`Misuse::NoSuchDocument`], [`Misuse::LimitReached`]; nothing is burned then.
    pub fn burn(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        docs: &[DocId],
        blobs: &[BlobId],
    ) -> Result<Outputs, EngineError> {
        self.may_write()?;
        for doc in docs {
            if !self.row(doc)?.is_some_and(|row| row.exists()) {
                return Err(Misuse::NoSuchDocument(*doc).into());
            }
        }
        let sorted: BTreeSet<DocId> = docs.iter().copied().collect();
        let blobs: BTreeSet<BlobId> = blobs.iter().copied().collect();
        if self.folded.burned.len() + sorted.len() > limits::BURNED_DOCS {
            return Err(Misuse::LimitReached.into());
        }
        let burn = Burn {
            claimed_time_ms: now.wall_ms,
            docs: sorted.into_iter().collect(),
            blobs: blobs.into_iter().collect(),
        };
        let written = self.write_burn(now, entropy, &burn);
        if written.is_err() && !self.is_clean() {
            self.reread()?;
        }
        written?;
        let events = self.commit()?;
        Ok(Outputs {
            events,
            send: self.pump().unwrap_or_default(),
        })
    }

    fn write_burn(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        burn: &Burn,
    ) -> Result<(), EngineError> {
        let content = burn.encode().map_err(|_| Misuse::LimitReached)?;
        let envelope = self.seal(now, entropy, EnvelopeType::Burn, &content)?;
        let (device, counter) = (self.space.device, envelope.header().counter);
        self.wrote = true;
        if self.apply_burn(now, self.space.place, device, counter, burn)? {
            self.new_epoch(now, entropy, Some(EpochReason::Burn))?;
        }
        Ok(())
    }

    /// Takes the content of a BURN that is in its place in its author's chain.
    pub(crate) fn take_burn(
        &mut self,
        now: Now,
        place: usize,
        device: DeviceId,
        counter: u64,
        content: &[u8],
    ) -> Result<(), EngineError> {
        match Burn::decode(content) {
            Ok(burn) => self
                .apply_burn(now, place, device, counter, &burn)
                .map(drop),
            Err(_) => {
                self.notice(now, NoticeKind::Unopenable { device, counter });
                Ok(())
            }
        }
    }

    /// Tries again a burn that waited for its key. Returns whether it was one and could be read.
    pub(crate) fn try_deferred_burn(
        &mut self,
        now: Now,
        device: &DeviceId,
        counter: u64,
    ) -> Result<bool, EngineError> {
        let envelope = self.stored_envelope(device, counter)?;
        let Some(envelope) = envelope.filter(|one| one.header().kind == EnvelopeType::Burn) else {
            return Ok(false);
        };
        let Some((place, seqs, verified)) = self.verify_again(envelope)? else {
            return Ok(false);
        };
        let Plain::Content(content) = self.open_plain(&seqs, &verified) else {
            return Ok(false);
        };
        self.meta.deferred.retain(|one| *one != (*device, counter));
        self.pending.meta = true;
        self.take_burn(now, place, *device, counter, &content)?;
        Ok(true)
    }

    /// Removes what a burn is good for; returns whether that is anything.
    fn apply_burn(
        &mut self,
        now: Now,
        place: usize,
        device: DeviceId,
        counter: u64,
        burn: &Burn,
    ) -> Result<bool, EngineError> {
        let party = self.space.party_of(place);
        let ours = place == self.space.place;
        let asked_before = self.folded.requests.len();
        let mut gone = Vec::new();
        for doc in &burn.docs {
            let counts = match owner(doc) {
                Some(Owner::Party(owner)) if owner == place => true,
                Some(Owner::Party(owner)) => {
                    if owner == self.space.place {
                        self.request(*doc)?;
                    }
                    false
                }
                Some(Owner::Common) => self.vote(*doc, place)?,
                None => false,
            };
            if counts && self.folded.burned.len() < limits::BURNED_DOCS {
                gone.push(*doc);
            }
        }
        for doc in &gone {
            if self.forget_document(doc)? {
                self.pending.events.push(Event::DocumentBurned {
                    doc: *doc,
                    by: party,
                });
            }
        }
        // A vote that is said again asks for nothing new.
        let asked = self.folded.requests.len();
        if !ours && asked > asked_before {
            let docs = asked as u64;
            self.notice(now, NoticeKind::BurnRequested { party, docs });
        }
        if gone.is_empty() {
            return Ok(false);
        }
        if !ours {
            self.notice(now, NoticeKind::Burned { party, counter });
        }
        if !burn.blobs.is_empty() {
            self.pending.events.push(Event::BlobsBurned {
                blobs: burn.blobs.clone(),
                by: party,
            });
        }
        // One that was begun again takes the place of the one that nobody finished.
        let waits = |burn: &Burning| {
            !burn.done && !self.is_answered(burn) && burn.docs.iter().all(|doc| gone.contains(doc))
        };
        let keep: Vec<bool> = self.folded.burns.iter().map(|burn| !waits(burn)).collect();
        let burns = &mut self.folded.burns;
        let mut keep = keep.into_iter();
        burns.retain(|_| keep.next().unwrap_or(true));
        if burns.len() >= BURNS {
            let done = burns.iter().position(|burn| burn.done);
            burns.remove(done.unwrap_or(0));
        }
        burns.push(Burning {
            device,
            counter,
            docs: gone,
            at_ms: now.wall_ms,
            done: false,
        });
        self.folded.touch();
        Ok(true)
    }

    /// Removes a document for good. What comes for it later is dropped. Returns whether it was
    /// there.
    pub(crate) fn forget_document(&mut self, doc: &DocId) -> Result<bool, EngineError> {
        if let Some(row) = self.row(doc)? {
            self.soil(doc, row.pack);
        }
        if self.folded.burned.insert(*doc) {
            self.folded.touch_burned();
        }
        if self.folded.requests.remove(doc) || self.folded.votes.remove(doc).is_some() {
            self.folded.touch();
        }
        self.remove_document(doc)
    }

    /// Burns that are not done here.
    pub(crate) fn pending_burns(&self) -> impl Iterator<Item = &Burning> {
        self.folded.burns.iter().filter(|burn| !burn.done)
    }

    /// Active devices of those who have not left.
    pub(crate) fn active_devices(&self) -> Vec<DeviceId> {
        let mut active = Vec::new();
        for chain in &self.space.chains {
            if chain.left_at(chain.last_seq()).is_some() {
                continue;
            }
            let devices = chain.devices();
            active.extend(
                devices
                    .filter(|(_, device)| device.revoked.is_none())
                    .map(|(id, _)| *id),
            );
        }
        active
    }

    fn has_endorsed(&self, seen: &Seen, device: &DeviceId) -> bool {
        let here = *device == self.space.device
            && matches!(seen.standing, Standing::Same | Standing::Endorsed);
        here || seen.endorsed.iter().any(|(signer, _)| signer == device)
    }

    /// The newest snapshot that is made without what a burn took away.
    fn answer_to(&self, burn: &Burning) -> Option<&Seen> {
        let good = self
            .folded
            .seen
            .iter()
            .filter(|seen| seen.standing != Standing::Differs)
            .filter(|seen| self.is_answered_within(burn, &seen.cover))
            .filter(|seen| !self.is_out_of_reach(&seen.cover));
        good.max_by_key(|seen| extent(&seen.cover))
    }

    /// Whether a snapshot has what every pending burn within its cover needs: all active
    /// devices behind it.
    pub(crate) fn burn_is_confirmed(&mut self, seen: &Seen) -> Result<bool, EngineError> {
        let active = self.active_devices();
        let all = active.iter().all(|device| self.has_endorsed(seen, device));
        let answered = {
            let mut covered = self.pending_burns().filter(|b| b.is_covered(&seen.cover));
            covered.all(|burn| self.is_answered_within(burn, &seen.cover))
        };
        Ok(answered && all && !self.old_beyond(&seen.cover)?)
    }

    /// Whether a snapshot covers a burn that is not done, or gives up keys that are here: the
    /// seven days do not make it ripe then, only the word of every device does.
    pub(crate) fn waits_for_all(&mut self, seen: &Seen) -> Result<bool, EngineError> {
        let is_covered = |burn: &Burning| burn.is_covered(&seen.cover);
        if self.pending_burns().any(is_covered) {
            return Ok(true);
        }
        if self.folded.retired.is_empty() {
            return Ok(false);
        }
        let snapshot = self.snapshot_of(&seen.name)?;
        Ok(snapshot.is_some_and(|snapshot| self.gives_up_keys(&snapshot)))
    }

    /// Whether an envelope beyond a cover is sealed under a key that is to be destroyed, or
    /// makes such a key.
    fn old_beyond(&mut self, cover: &Frontier) -> Result<bool, EngineError> {
        let doomed = self.doomed_epochs();
        if doomed.is_empty() {
            return Ok(false);
        }
        let rows = self.progress.frontier.rows();
        let rows: Vec<_> = rows
            .map(|(device, last)| (*device, cover.counter(device), last.counter))
            .collect();
        for (device, covered, last) in rows {
            for counter in covered + 1..=last {
                let Some(envelope) = self.stored_envelope(&device, counter)? else {
                    continue;
                };
                let epoch = match envelope.header().kind {
                    EnvelopeType::Epoch => envelope.id().into(),
                    _ => envelope.header().epoch,
                };
                if doomed.contains(&epoch) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether this device should make a snapshot for a burn: its own, or one of a device of
    /// its person that is not there any more.
    pub(crate) fn wants_burn_snapshot(&mut self) -> Result<bool, EngineError> {
        let active = self.active_devices();
        let pending: Vec<Burning> = self.pending_burns().cloned().collect();
        for burn in pending {
            // Without its epoch, a snapshot would not bring it any further.
            if !self.is_responsible(&burn.device) || !self.is_answered(&burn) {
                continue;
            }
            let Some(seen) = self.answer_to(&burn).cloned() else {
                return Ok(true);
            };
            let missing = active.iter().filter(|one| !self.has_endorsed(&seen, one));
            let missing: Vec<DeviceId> = missing.copied().collect();
            if !missing.is_empty() && self.leads_past(&burn) {
                return Ok(true);
            }
            // Who joined later has begun from this one, and does not endorse it, or from another.
            let joined = |device: &DeviceId| seen.cover.counter(device) == 0;
            if missing.iter().all(joined) && self.old_beyond(&seen.cover)? {
                return Ok(true);
            }
        }
        Ok(self.wants_leftovers_gone())
    }

    /// Whether a snapshot of somebody who had not heard of a burn covers what none of those does
    /// that end it: whoever begins from there can compare none of them.
    fn leads_past(&self, burn: &Burning) -> bool {
        let seen = self.folded.seen.iter();
        let seen = seen.filter(|seen| seen.standing != Standing::Differs);
        let (ends, others): (Vec<&Seen>, Vec<&Seen>) =
            seen.partition(|seen| self.is_answered_within(burn, &seen.cover));
        others.iter().any(|other| {
            let mut ends = ends.iter();
            reaches(&self.progress.frontier, &other.cover)
                && !ends.any(|seen| reaches(&seen.cover, &other.cover))
        })
    }

    /// Whether a cover ends beyond a cut-off: whoever hears of the removal before it has come that
    /// far never does.
    fn is_out_of_reach(&self, cover: &Frontier) -> bool {
        cover.rows().any(|(device, last)| {
            self.space.is_cut_off(device, last.counter)
                && self.progress.frontier.counter(device) < last.counter
        })
    }

    /// Whether this device does what is left to do of one: its own, or one of its person that is
    /// not there any more.
    pub(crate) fn is_responsible(&self, device: &DeviceId) -> bool {
        let active = self.active_devices();
        let own = active.iter().filter(|device| self.is_own(device));
        let gone = !active.contains(device) && self.is_own(device);
        *device == self.space.device || gone && own.min() == Some(&self.space.device)
    }

    fn is_own(&self, device: &DeviceId) -> bool {
        let known = self.space.device(device);
        known.is_some_and(|(place, _)| place == self.space.place)
    }

    /// Whether endorsing a snapshot confirms a burn: then it is done at once, whoever sees it.
    pub(crate) fn confirms_burn(&self, snapshot: &Snapshot) -> bool {
        let mut burns = self.pending_burns();
        burns.any(|burn| burn.is_covered(&snapshot.cover)) || self.gives_up_keys(snapshot)
    }

    /// Whether a snapshot names everything that was burned within its cover, and nothing else.
    pub(crate) fn burned_within(&self, snapshot: &Snapshot) -> bool {
        let named: BTreeSet<&DocId> = snapshot.burned.iter().collect();
        // Where the first of two votes lies is not known here: it may be beyond the cover.
        let late: BTreeSet<&DocId> = self
            .folded
            .burns
            .iter()
            .filter(|burn| !burn.is_covered(&snapshot.cover) || burn.is_common() && !burn.done)
            .flat_map(|burn| &burn.docs)
            .collect();
        let ours = self.folded.burned.iter();
        ours.clone()
            .all(|doc| named.contains(doc) || late.contains(doc))
            && named.iter().all(|doc| self.folded.burned.contains(*doc))
    }

    /// Whether the disk still holds dead records that must not stay.
    #[must_use]
    pub fn owes_scrub(&self) -> bool {
        self.folded.scrub && self.folded.sweep.is_empty()
    }

    /// The disk was scrubbed.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn scrubbed(&mut self) -> Result<(), EngineError> {
        self.folded.scrub = false;
        self.folded.touch();
        self.commit().map(drop)
    }

    /// How far each burn is, oldest first.
    #[must_use]
    pub fn burns(&self) -> Vec<BurnStatus> {
        let active = self.active_devices();
        let state = |burn: &Burning| {
            let seen = self.answer_to(burn);
            let has = |device: &DeviceId| {
                burn.done || seen.is_some_and(|seen| self.has_endorsed(seen, device))
            };
            let waits_for: Vec<DeviceId> = active
                .iter()
                .filter(|device| !has(device))
                .copied()
                .collect();
            BurnStatus {
                docs: burn.docs.clone(),
                own: self.is_own(&burn.device),
                at_ms: burn.at_ms,
                confirmed: active.len() - waits_for.len(),
                of: active.len(),
                waits_for,
                keys_destroyed: burn.done && !self.folded.scrub,
            }
        };
        self.folded.burns.iter().map(state).collect()
    }
}
