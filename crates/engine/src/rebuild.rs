//! The cut-off of a removed device (protocol §2.7): what it wrote later is undone, and what
//! others wrote on top of that is left out.
//!
//! Which content counts depends on the chains and on the envelopes that exist, never on what
//! arrived first. So content that stands on something a cut-off took away keeps its place in
//! its author's chain and is tried again whenever the relay has given all it has: a raised
//! cut-off may bring the ground back.

use std::collections::{BTreeMap, BTreeSet};

use ajar_protocol::changes::{Changes, DocChanges};
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::link::Cutoff;
use ajar_protocol::{DeviceId, DocId, Envelope, Frontier, PartyId, VerifiedEnvelope};
use automerge::{Change, ChangeHash};

use crate::clock::Now;
use crate::documents::{
    self, Intake, Loaded, apply, check_changes, encode_chunk, is_applied, store_anew,
};
use crate::epochs::Verdict;
use crate::error::EngineError;
use crate::inbox::{Content, Opened};
use crate::notice::NoticeKind;
use crate::output::Event;
use crate::replica::Replica;
use crate::snapshot::hash_of;
use crate::space::View;
use crate::store::{Key, Store};

/// Epochs beyond its cut-off that are kept of one removed device.
pub(crate) const EPOCHS_BEYOND: usize = 16;

/// So many tries of what has no ground may be made before it is left for the next time: a member
/// could otherwise bring a long line of changes in the wrong order, each pass over which takes
/// one. Every one is tried once at least.
const TRIES: usize = 1 << 14;

/// What goes with envelopes that do not count any more.
#[derive(Default)]
pub(crate) struct Touched {
    /// Documents that something goes from, with a device that had written it and its party.
    docs: BTreeMap<DocId, (DeviceId, PartyId)>,
    /// What goes: no kept envelope holds it, and no snapshot has folded it in.
    changes: BTreeSet<ChangeHash>,
}

impl Touched {
    pub(crate) fn extend(&mut self, other: Self) {
        self.docs.extend(other.docs);
        self.changes.extend(other.changes);
    }
}

/// One kept envelope with changes, by what it touches.
struct Written {
    device: DeviceId,
    counter: u64,
    docs: Vec<DocId>,
}

/// A document made anew, with the stored form of the changes in it.
struct Remade {
    loaded: Loaded,
    chunks: Vec<Vec<u8>>,
}

/// What replaying ended in.
struct Replayed {
    docs: BTreeMap<DocId, Remade>,
    /// Places in the list of those that stand on what is gone.
    groundless: Vec<usize>,
}

impl<S: Store> Replica<S> {
    /// Applies the cut-offs of a link that was just accepted.
    pub(crate) fn cut_off(&mut self, now: Now, cutoffs: &[Cutoff]) -> Result<(), EngineError> {
        let touched = self.cut(now, cutoffs)?;
        self.remake(now, touched)
    }

    /// Takes what lies beyond cut-offs out of the chains of its authors. Returns the documents
    /// that must be made anew for it.
    pub(crate) fn cut(&mut self, now: Now, cutoffs: &[Cutoff]) -> Result<Touched, EngineError> {
        let mut touched = Touched::default();
        // One that was taken out of its chain keeps all that it had.
        if self.space.is_outside() {
            return Ok(touched);
        }
        for cutoff in cutoffs {
            let device = cutoff.device;
            // A removed device keeps its own words for the person who holds it.
            if device == self.space.device {
                continue;
            }
            if let Some(parked) = self.parked.get_mut(&device) {
                parked.retain(|counter, _| *counter <= cutoff.counter);
                if parked.is_empty() {
                    self.parked.remove(&device);
                }
            }
            let known = self.progress.frontier.counter(&device);
            let keep = match self.stored_envelope(&device, cutoff.counter)? {
                Some(ours) if known >= cutoff.counter && ours.id() != cutoff.id => {
                    let counter = cutoff.counter;
                    self.keep_evidence(ours.as_bytes())?;
                    self.notice(now, NoticeKind::Forked { device, counter });
                    counter.saturating_sub(1)
                }
                _ => cutoff.counter,
            };
            // What is taken away had come in order: it may be let in again.
            if keep == cutoff.counter
                && let Some(last) = self.progress.frontier.of(&device)
                && known > keep
            {
                self.beyond.insert(device, last);
            }
            if known > keep {
                touched.extend(self.take_out(&device, keep)?);
            }
            self.cap_missing(&device, cutoff.counter);
        }
        Ok(touched)
    }

    /// A cut-off was raised: what it lets in is missing until it comes. What came before was
    /// let go, so the relay is asked for it once more.
    pub(crate) fn raise_cut_off(&mut self, now: Now, cutoff: &Cutoff) {
        self.hear_of(now, cutoff.device, cutoff.counter);
        if self.beyond.remove(&cutoff.device).is_some() || self.caught_up() {
            self.ask_again();
        }
    }

    /// Takes the envelopes of a device after `keep` out of its chain. Returns what they had
    /// touched.
    pub(crate) fn take_out(
        &mut self,
        device: &DeviceId,
        keep: u64,
    ) -> Result<Touched, EngineError> {
        let known = self.progress.frontier.counter(device);
        // What a snapshot has folded in cannot be taken out again.
        let keep = keep.max(self.folded.floors.counter(device));
        let mut touched = Touched::default();
        for counter in keep + 1..=known {
            if let Some((place, content)) = self.content_of(device, counter)? {
                let by = (*device, self.space.party_of(place));
                for item in &content.docs {
                    touched.docs.insert(item.doc, by);
                    let hashes = item.changes.iter().filter_map(|bytes| hash_of(bytes));
                    touched.changes.extend(hashes);
                }
            }
        }
        let docs: Vec<DocId> = touched.docs.keys().copied().collect();
        for doc in docs {
            if self.row(&doc)?.is_none() {
                touched.docs.remove(&doc);
            }
        }
        let last = self.position_at(device, keep)?;
        for counter in keep + 1..=known {
            // A valid epoch stays: others may have written under it before they knew.
            if !self.meta.epochs.contains(&(*device, counter)) {
                self.pending.batch.delete(Key::Envelope(*device, counter));
            }
        }
        let others = self.progress.frontier.rows().filter(|(d, _)| *d != device);
        let lowered = last.map(|position| (*device, position));
        self.progress.frontier = others
            .map(|(d, p)| (*d, *p))
            .chain(lowered)
            .collect::<Frontier>();
        self.meta
            .deferred
            .retain(|(author, counter)| author != device || *counter <= keep);
        self.pending.progress = true;
        self.pending.meta = true;
        Ok(touched)
    }

    /// Makes documents anew from the kept envelopes of all devices.
    pub(crate) fn remake(&mut self, now: Now, gone: Touched) -> Result<(), EngineError> {
        let Some(first) = gone.docs.values().next().copied() else {
            return Ok(());
        };
        let mut touched: BTreeSet<DocId> = gone.docs.keys().copied().collect();
        let written = self.written()?;
        let mut refused = BTreeSet::new();
        // An envelope counts as a whole or not at all: leaving one out may touch more
        // documents.
        let replayed = loop {
            let Some(replayed) = self.replay(&written, &touched, &gone.changes, &mut refused)?
            else {
                continue;
            };
            let groundless = replayed.groundless.iter().filter_map(|n| written.get(*n));
            let before = touched.len();
            touched.extend(groundless.flat_map(|written| written.docs.iter().copied()));
            if touched.len() == before {
                break replayed;
            }
        };
        for number in &replayed.groundless {
            let Some(Written {
                device,
                counter,
                docs,
            }) = written.get(*number)
            else {
                continue;
            };
            self.defer(*device, *counter);
            let (device, counter) = (*device, *counter);
            self.notice(now, NoticeKind::Unopenable { device, counter });
            if device == self.space.device {
                // Our next change there must not take the number of one that may come back.
                for doc in docs {
                    self.directory
                        .update(*doc, &mut self.store, |row| row.incarnation += 1)?;
                }
            }
        }
        for (doc, remade) in replayed.docs {
            let (device, by) = gone.docs.get(&doc).copied().unwrap_or(first);
            self.cache.drop_doc(&doc);
            // The pack that it is in still holds what has gone.
            let pack = self.row(&doc)?.map_or(0, |row| row.pack);
            self.soil(&doc, pack);
            let batch = &mut self.pending.batch;
            self.directory.update(doc, &mut self.store, |row| {
                store_anew(row, &remade.loaded.doc, remade.chunks, batch)
            })?;
            self.touch(doc)?;
            self.pending.events.push(Event::DocumentChanged {
                doc,
                by,
                device,
                here: false,
            });
        }
        Ok(())
    }

    /// Every kept envelope with changes that can be opened, in the order of each chain.
    fn written(&mut self) -> Result<Vec<Written>, EngineError> {
        let rows: Vec<(DeviceId, u64)> = self
            .progress
            .frontier
            .rows()
            .map(|(device, last)| (*device, last.counter))
            .collect();
        let mut written = Vec::new();
        for (device, last) in rows {
            for counter in self.folded.floors.counter(&device) + 1..=last {
                if let Some((_, content)) = self.content_of(&device, counter)? {
                    written.push(Written {
                        device,
                        counter,
                        docs: content.docs.iter().map(|item| item.doc).collect(),
                    });
                }
            }
        }
        Ok(written)
    }

    /// Applies what was applied to `touched` before, as far as it still can be. `None` when
    /// an envelope turned out not to be applicable: it is in `refused` then, and all begins
    /// anew.
    fn replay(
        &mut self,
        written: &[Written],
        touched: &BTreeSet<DocId>,
        gone: &BTreeSet<ChangeHash>,
        refused: &mut BTreeSet<usize>,
    ) -> Result<Option<Replayed>, EngineError> {
        let mut docs: BTreeMap<DocId, Remade> = BTreeMap::new();
        for doc in touched {
            docs.insert(*doc, self.ground(doc, written, gone)?);
        }
        let mut waiting = Vec::new();
        for (number, one) in written.iter().enumerate() {
            let touches = one.docs.iter().any(|doc| touched.contains(doc));
            if touches && !refused.contains(&number) && self.was_applied(one)? {
                waiting.push(number);
            }
        }
        loop {
            let before = waiting.len();
            let mut later = Vec::new();
            for number in waiting {
                let Some(one) = written.get(number) else {
                    continue;
                };
                let Some((place, content)) = self.content_of(&one.device, one.counter)? else {
                    continue;
                };
                match self.check_again(place, &one.device, &content, &docs) {
                    Content::Early => later.push(number),
                    Content::Refused => {
                        refused.insert(number);
                    }
                    Content::Ready(checked) => {
                        if !apply_again(&content, checked, &mut docs) {
                            refused.insert(number);
                            return Ok(None);
                        }
                    }
                }
            }
            if later.len() == before || later.is_empty() {
                let groundless = later;
                return Ok(Some(Replayed { docs, groundless }));
            }
            waiting = later;
        }
    }

    /// What a document is made anew from: nothing, or what a snapshot has folded in of it, which
    /// is all that no envelope holds, neither one that is kept nor one that goes.
    fn ground(
        &mut self,
        doc: &DocId,
        written: &[Written],
        gone: &BTreeSet<ChangeHash>,
    ) -> Result<Remade, EngineError> {
        let mut remade = Remade {
            loaded: Loaded::empty(),
            chunks: Vec::new(),
        };
        if self.folded.floors.is_empty() {
            return Ok(remade);
        }
        let Some(row) = self.row(doc)?.filter(|row| row.exists()) else {
            return Ok(remade);
        };
        let mut kept = gone.clone();
        for one in written.iter().filter(|one| one.docs.contains(doc)) {
            if let Some((_, content)) = self.content_of(&one.device, one.counter)? {
                let items = content.docs.iter().filter(|item| item.doc == *doc);
                let changes = items.flat_map(|item| &item.changes);
                kept.extend(changes.filter_map(|bytes| hash_of(bytes)));
            }
        }
        let batch = &self.pending.batch;
        let loaded = self.cache.load(&row, &mut self.store, batch)?;
        let all = loaded.doc.get_changes(&[]);
        let folded: Vec<Change> = all
            .into_iter()
            .filter(|change| !kept.contains(&change.hash()))
            .collect();
        let raw = folded.iter().map(|change| change.raw_bytes().to_vec());
        let raw: Vec<Vec<u8>> = raw.collect();
        if !raw.is_empty() {
            if !apply(&mut remade.loaded, folded) {
                return Err(EngineError::Bug("a document does not follow its own past"));
            }
            remade
                .chunks
                .push(encode_chunk(raw.iter().map(Vec::as_slice)));
        }
        Ok(remade)
    }

    /// Whether the changes of an envelope are in the documents as they were.
    fn was_applied(&mut self, written: &Written) -> Result<bool, EngineError> {
        match self.content_of(&written.device, written.counter)? {
            Some((_, content)) => self.is_in_documents(&content),
            None => Ok(false),
        }
    }

    /// Whether all these changes are in the documents.
    pub(crate) fn is_in_documents(&mut self, content: &Changes) -> Result<bool, EngineError> {
        for item in &content.docs {
            if self.folded.burned.contains(&item.doc) {
                continue;
            }
            let Some(row) = self.row(&item.doc)? else {
                return Ok(false);
            };
            let loaded = self
                .cache
                .load(&row, &mut self.store, &self.pending.batch)?;
            if !is_applied(item, loaded) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The content checks, against documents that are being made anew.
    fn check_again(
        &self,
        place: usize,
        device: &DeviceId,
        content: &Changes,
        docs: &BTreeMap<DocId, Remade>,
    ) -> Content {
        let mut ready = Vec::new();
        let mut room = documents::MAX_ENVELOPE_OPS;
        for item in &content.docs {
            let Some(remade) = docs.get(&item.doc) else {
                continue;
            };
            let loaded = &remade.loaded;
            match check_changes(&self.space.id, device, place, item, loaded, true, &mut room) {
                Intake::Ready(changes) => ready.push((item.doc, changes)),
                Intake::Early => return Content::Early,
                Intake::Refused => return Content::Refused,
            }
        }
        Content::Ready(ready)
    }

    /// Content of a kept envelope, if it can be opened.
    pub(crate) fn content_of(
        &mut self,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<(usize, Changes)>, EngineError> {
        Ok(match self.open_again(device, counter)? {
            Some((place, Opened::Content(content))) => Some((place, content)),
            _ => None,
        })
    }

    /// Opens a kept envelope with changes: the checks of §2.5 before those of the changes
    /// themselves. `None` when it is none, or when its author could not have written it.
    pub(crate) fn open_again(
        &mut self,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<(usize, Opened)>, EngineError> {
        let Some(envelope) = self.stored_envelope(device, counter)? else {
            return Ok(None);
        };
        if envelope.header().kind != EnvelopeType::Changes {
            return Ok(None);
        }
        let Some((place, seqs, verified)) = self.verify_again(envelope)? else {
            return Ok(None);
        };
        Ok(Some((place, self.open_content(&seqs, &verified))))
    }

    /// Verifies a kept envelope: with the place of its author's party, and the links that the
    /// author knew. `None` when its content is not to be looked at.
    pub(crate) fn verify_again(
        &self,
        envelope: Envelope,
    ) -> Result<Option<(usize, Vec<u64>, VerifiedEnvelope)>, EngineError> {
        let header = *envelope.header();
        let Some((place, author)) = self.space.device(&header.device) else {
            return Ok(None);
        };
        let View::Links(seqs) = self.space.view(&header.mhead, place, author) else {
            return Ok(None);
        };
        let place_in_chain = (header.device, header.counter);
        let shut = self.meta.quarantined.contains(&place_in_chain);
        if shut || !seqs.get(place).is_some_and(|seq| author.active_at(*seq)) {
            return Ok(None);
        }
        match envelope.verify(&author.keys.sign) {
            Ok(verified) => Ok(Some((place, seqs, verified))),
            Err(_) => Err(EngineError::Damaged("the signature of an envelope")),
        }
    }

    /// Remembers an envelope in its place whose content has no ground.
    pub(crate) fn defer(&mut self, device: DeviceId, counter: u64) {
        if !self.meta.deferred.contains(&(device, counter)) {
            self.meta.deferred.push((device, counter));
            self.pending.meta = true;
        }
    }

    /// Tries again what has no ground.
    pub(crate) fn try_deferred(&mut self, now: Now) -> Result<(), EngineError> {
        let mut progress = true;
        let mut tries: usize = 0;
        while progress && tries < TRIES {
            progress = false;
            tries = tries.saturating_add(self.meta.deferred.len());
            for (device, counter) in self.meta.deferred.clone() {
                if self.try_deferred_burn(now, &device, counter)? {
                    progress = true;
                    continue;
                }
                let Some((place, content)) = self.content_of(&device, counter)? else {
                    continue;
                };
                let Content::Ready(checked) = self.check_content(place, &device, &content)? else {
                    continue;
                };
                self.mark(device, counter)?;
                self.meta.deferred.retain(|one| *one != (device, counter));
                self.pending.meta = true;
                if self.apply_content(checked)? {
                    self.keep_content(place, device, &content)?;
                    self.read_acks(now, place, &content)?;
                    self.pending.notices |= self.notices.settle_unopenable(&device, counter);
                    progress = true;
                }
            }
        }
        Ok(())
    }

    /// Tells of what waits for a key when the relay has nothing more.
    pub(crate) fn tell_without_key(&mut self, now: Now) -> Result<(), EngineError> {
        for (device, counter) in self.meta.deferred.clone() {
            if let Some((_, Opened::Early)) = self.open_again(&device, counter)? {
                self.notice(now, NoticeKind::Unopenable { device, counter });
            }
        }
        Ok(())
    }

    /// Keeps a valid epoch that a removed device made beyond its cut-off, from when it was
    /// still a member: others may have written under it before they knew. Nobody who knows
    /// of the removal writes under it, since that device is among its recipients.
    pub(crate) fn keep_epoch_beyond(
        &mut self,
        now: Now,
        envelope: &VerifiedEnvelope,
    ) -> Result<bool, EngineError> {
        let header = *envelope.header();
        let (device, counter) = (header.device, header.counter);
        let given_up = self.epochs.is_retired(&envelope.id().into());
        if header.kind != EnvelopeType::Epoch || device == self.space.device || given_up {
            return Ok(false);
        }
        let beyond = self
            .meta
            .epochs
            .iter()
            .filter(|(author, at)| *author == device && self.space.is_cut_off(author, *at));
        let full = beyond.count() >= EPOCHS_BEYOND;
        if full || self.stored_envelope(&device, counter)?.is_some() {
            return Ok(false);
        }
        let Verdict::Valid(epoch, history) = self.epochs.judge(&self.space, envelope) else {
            return Ok(false);
        };
        // Every device has confirmed a burn that its author had not heard of: nobody has written
        // under it, and it may hold what was destroyed.
        if self.is_left_over(&epoch.parents) {
            return Ok(false);
        }
        let id = envelope.id().into();
        self.epochs
            .insert(&self.space, id, *epoch, history, now.wall_ms);
        self.meta.add_epoch(device, counter, now.wall_ms);
        let key = Key::Envelope(device, counter);
        self.pending.batch.put(key, envelope.as_bytes().to_vec());
        self.pending.meta = true;
        self.pending.keys = true;
        self.retry_orphans()?;
        Ok(true)
    }
}

/// Applies checked content to documents that are being made anew.
fn apply_again(
    content: &Changes,
    checked: Vec<(DocId, Vec<Change>)>,
    docs: &mut BTreeMap<DocId, Remade>,
) -> bool {
    for (doc, changes) in checked {
        let Some(remade) = docs.get_mut(&doc) else {
            continue;
        };
        if !apply(&mut remade.loaded, changes) {
            return false;
        }
        let of_doc = |item: &&DocChanges| item.doc == doc;
        let chunk = content
            .docs
            .iter()
            .find(of_doc)
            .map(|item| encode_chunk(item.changes.iter().map(Vec::as_slice)));
        remade.chunks.extend(chunk);
    }
    true
}
