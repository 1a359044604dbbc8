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
use ajar_protocol::{DeviceId, DocId, Frontier, Position, VerifiedEnvelope};
use automerge::Change;

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
use crate::store::{Key, Store};

/// Epochs beyond its cut-off that are kept of one removed device.
pub(crate) const EPOCHS_BEYOND: usize = 16;

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
                self.undo(now, device, keep, known)?;
            }
            self.cap_missing(&device, cutoff.counter);
        }
        Ok(())
    }

    /// A cut-off was raised: what it lets in is missing until it comes. What came before was
    /// let go, so the relay is asked for it once more.
    pub(crate) fn raise_cut_off(&mut self, now: Now, cutoff: &Cutoff) {
        self.hear_of(now, cutoff.device, cutoff.counter);
        if self.beyond.remove(&cutoff.device).is_some() || self.caught_up() {
            self.ask_again();
        }
    }

    /// Takes the envelopes of a device after `keep` out of its chain, and what they did out
    /// of the documents.
    fn undo(
        &mut self,
        now: Now,
        device: DeviceId,
        keep: u64,
        known: u64,
    ) -> Result<(), EngineError> {
        let mut touched = BTreeSet::new();
        for counter in keep + 1..=known {
            if let Some((_, content)) = self.content_of(&device, counter)? {
                touched.extend(content.docs.iter().map(|item| item.doc));
            }
        }
        touched.retain(|doc| self.directory.row(doc).is_some());
        let last = self.stored_envelope(&device, keep)?;
        for counter in keep + 1..=known {
            // A valid epoch stays: others may have written under it before they knew.
            if !self.meta.epochs.contains(&(device, counter)) {
                self.pending.batch.delete(Key::Envelope(device, counter));
            }
        }
        let others = self.progress.frontier.rows().filter(|(d, _)| **d != device);
        let lowered = last.map(|envelope| {
            let position = Position {
                counter: keep,
                id: envelope.id(),
            };
            (device, position)
        });
        self.progress.frontier = others
            .map(|(d, p)| (*d, *p))
            .chain(lowered)
            .collect::<Frontier>();
        self.meta
            .deferred
            .retain(|(author, counter)| *author != device || *counter <= keep);
        self.pending.progress = true;
        self.pending.meta = true;
        self.remake(now, device, touched)
    }

    /// Makes documents anew from the kept envelopes of all devices.
    fn remake(
        &mut self,
        now: Now,
        removed: DeviceId,
        mut touched: BTreeSet<DocId>,
    ) -> Result<(), EngineError> {
        if touched.is_empty() {
            return Ok(());
        }
        let written = self.written()?;
        let mut refused = BTreeSet::new();
        // An envelope counts as a whole or not at all: leaving one out may touch more
        // documents.
        let replayed = loop {
            let Some(replayed) = self.replay(&written, &touched, &mut refused)? else {
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
                    self.directory.update(*doc, |row| row.incarnation += 1);
                }
            }
        }
        let by = self.space.device(&removed).map(|(place, _)| place);
        for (doc, remade) in replayed.docs {
            self.cache.drop_doc(&doc);
            let batch = &mut self.pending.batch;
            self.directory.update(doc, |row| {
                store_anew(row, &remade.loaded, remade.chunks, batch)
            });
            self.pending.events.push(Event::DocumentChanged {
                doc,
                by: self.space.party_of(by.unwrap_or_default()),
                device: removed,
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
            for counter in 1..=last {
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
        refused: &mut BTreeSet<usize>,
    ) -> Result<Option<Replayed>, EngineError> {
        let mut docs: BTreeMap<DocId, Remade> = BTreeMap::new();
        for doc in touched {
            let loaded = Loaded::empty();
            let chunks = Vec::new();
            docs.insert(*doc, Remade { loaded, chunks });
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

    /// Whether the changes of an envelope are in the documents as they were.
    fn was_applied(&mut self, written: &Written) -> Result<bool, EngineError> {
        let Some((_, content)) = self.content_of(&written.device, written.counter)? else {
            return Ok(false);
        };
        for item in &content.docs {
            let Some(row) = self.directory.row(&item.doc).copied() else {
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

    /// Content of a kept envelope, if it can be opened: the checks of §2.5 before those of
    /// the changes themselves.
    fn content_of(
        &mut self,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<(usize, Changes)>, EngineError> {
        let Some(envelope) = self.stored_envelope(device, counter)? else {
            return Ok(None);
        };
        let header = *envelope.header();
        let Some((place, author)) = self.space.device(device) else {
            return Ok(None);
        };
        let usable = header.kind == EnvelopeType::Changes
            && !self.meta.quarantined.contains(&(*device, counter));
        let Ok(Some(seqs)) = self.space.seqs_of(&header.mhead) else {
            return Ok(None);
        };
        if !usable || !seqs.get(place).is_some_and(|seq| author.active_at(*seq)) {
            return Ok(None);
        }
        let Ok(verified) = envelope.verify(&author.keys.sign) else {
            return Err(EngineError::Damaged("the signature of an envelope"));
        };
        Ok(match self.open_content(&seqs, &verified) {
            Opened::Content(content) => Some((place, content)),
            Opened::Early | Opened::Refused => None,
        })
    }

    /// Remembers an envelope in its place whose content has no ground.
    pub(crate) fn defer(&mut self, device: DeviceId, counter: u64) {
        if !self.meta.deferred.contains(&(device, counter)) {
            self.meta.deferred.push((device, counter));
            self.pending.meta = true;
        }
    }

    /// Tries again what has no ground.
    pub(crate) fn try_deferred(&mut self) -> Result<(), EngineError> {
        let mut progress = true;
        while progress {
            progress = false;
            for (device, counter) in self.meta.deferred.clone() {
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
                    self.pending.notices |= self.notices.settle_unopenable(&device, counter);
                    progress = true;
                }
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
        if header.kind != EnvelopeType::Epoch || device == self.space.device {
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
        let id = envelope.id().into();
        self.epochs
            .insert(&self.space, id, *epoch, history, now.wall_ms);
        self.meta.epochs.push((device, counter));
        let key = Key::Envelope(device, counter);
        self.pending.batch.put(key, envelope.as_bytes().to_vec());
        self.pending.meta = true;
        self.pending.keys = true;
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
