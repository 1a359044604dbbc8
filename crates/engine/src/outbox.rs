//! Writing: from an Automerge transaction to sealed envelopes on disk, in one batch.
//!
//! A change is kept when [`Replica::change`] returns: the sealed envelope, with its counter,
//! lies in the store before anything is sent, so that a counter can never be used twice.

use ajar_crypto::Entropy;
use ajar_crypto::epoch::{NewEpoch, create_epoch};
use ajar_crypto::seal::{Draft, Placement, seal_envelope};
use ajar_protocol::changes::{self, Changes, Compression, DocChanges};
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::frontier::Position;
use ajar_protocol::{DocId, Envelope, EnvelopeId, EpochId, id, limits};
use automerge::ActorId;
use automerge::transaction::Transaction;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::clock::Now;
use crate::documents::{self, Loaded, Reach, encode_chunk, prescan, store_chunk};
use crate::epochs::{Epoch, Ground};
use crate::error::{EngineError, Misuse};
use crate::output::{Event, Outputs};
use crate::replica::Replica;
use crate::store::{Key, Store};

/// Content up to this length is not compressed: padding would eat the gain.
const COMPRESS_FROM: usize = 1000;
/// Content after which a batch begins another envelope, in bytes.
const ENVELOPE_TARGET: usize = 192 << 10;

/// Why a change was not kept: the closure's own error, or the engine's.
#[derive(Debug, Error)]
pub enum ChangeError<E> {
    /// The closure refused; nothing changed.
    #[error("{0}")]
    Refused(E),
    /// The engine failed; nothing changed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A raw change and the number of its operations.
type Made = (Vec<u8>, u64);

/// A change of one document within a batch.
pub struct Edit<'a, E> {
    /// The document; an unknown id creates it.
    pub doc: DocId,
    /// What to do with it.
    #[expect(clippy::type_complexity, reason = "a name for it would be used once")]
    pub apply: Box<dyn FnOnce(&mut Transaction<'_>) -> Result<(), E> + 'a>,
}

impl<S: Store> Replica<S> {
    /// Changes one document in one transaction. When this returns, the change is durable.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing changed then.
    pub fn change<T, E>(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        doc: DocId,
        apply: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<(T, Outputs), ChangeError<E>> {
        let mut value = None;
        let edit = Edit {
            doc,
            apply: Box::new(|tx| {
                value = Some(apply(tx)?);
                Ok(())
            }),
        };
        let outputs = self.change_all(now, entropy, vec![edit])?;
        let value = value.ok_or(EngineError::Bug("a change was kept without being made"))?;
        Ok((value, outputs))
    }

    /// Changes many documents, all or none, in as few envelopes as possible and one durable
    /// batch.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing changed then.
    pub fn change_all<E>(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        edits: Vec<Edit<'_, E>>,
    ) -> Result<Outputs, ChangeError<E>> {
        self.may_write().map_err(EngineError::from)?;
        let touched: Vec<DocId> = edits.iter().map(|edit| edit.doc).collect();
        let kept = self.make(now, entropy, edits);
        if kept.is_err() {
            // Memory may be ahead of the store.
            for doc in &touched {
                self.cache.drop_doc(doc);
            }
            if !self.is_clean() {
                self.reread()?;
            }
        }
        // The change is kept, whatever becomes of sending: what cannot be read now stops the
        // next round of the connection.
        Ok(Outputs {
            events: kept?,
            send: self.pump().unwrap_or_default(),
        })
    }

    pub(crate) fn may_write(&self) -> Result<(), Misuse> {
        if self.meta.stale {
            return Err(Misuse::StaleCopy);
        }
        if self.is_removed() {
            return Err(Misuse::Removed);
        }
        let mut chains = self.space.chains.iter();
        if chains.any(|chain| chain.left_at(chain.last_seq()).is_some()) {
            return Err(Misuse::Closed);
        }
        Ok(())
    }

    fn make<E>(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        edits: Vec<Edit<'_, E>>,
    ) -> Result<Vec<Event>, ChangeError<E>> {
        let mut made: Vec<DocChanges> = Vec::new();
        let (mut size, mut ops) = (0, 0);
        for edit in edits {
            let doc = edit.doc;
            // A second change of a document stands on the first, which must be stored then.
            let again = made.iter().any(|item| item.doc == doc);
            if again || made.len() >= limits::DOCS_PER_ENVELOPE {
                self.seal_changes(now, entropy, std::mem::take(&mut made))?;
                (size, ops) = (0, 0);
            }
            let Some((raw, count)) = self.transact(edit)? else {
                continue;
            };
            let full =
                size + raw.len() > ENVELOPE_TARGET || ops + count > documents::MAX_ENVELOPE_OPS;
            if !made.is_empty() && full {
                self.seal_changes(now, entropy, std::mem::take(&mut made))?;
                (size, ops) = (0, 0);
            }
            size += raw.len() + 64;
            ops += count;
            let incarnation = self.row(&doc)?.map_or(0, |row| row.incarnation);
            made.push(DocChanges {
                doc,
                incarnation,
                changes: vec![raw],
            });
        }
        if !made.is_empty() {
            self.seal_changes(now, entropy, made)?;
            // What nobody would write for its own sake goes along.
            self.endorse_due(now, entropy, true)?;
            self.wrote = true;
        }
        Ok(self.commit()?)
    }

    /// Runs one transaction; `None` when nothing was done.
    fn transact<E>(&mut self, edit: Edit<'_, E>) -> Result<Option<Made>, ChangeError<E>> {
        let doc = edit.doc;
        if !documents::may_write(&doc, self.space.place) {
            return Err(EngineError::from(Misuse::NotYours(doc)).into());
        }
        if self.folded.burned.contains(&doc) {
            return Err(EngineError::from(Misuse::NoSuchDocument(doc)).into());
        }
        let row = self.row(&doc)?;
        if row.is_none() && self.directory.len() >= documents::MAX_DOCUMENTS {
            return Err(EngineError::from(Misuse::LimitReached).into());
        }
        let incarnation = row.map_or(0, |row| row.incarnation);
        let actor = id::actor(&self.space.id, &self.space.device, &doc, incarnation);
        let mut fresh = Loaded::empty();
        let loaded = match &row {
            Some(row) => self.cache.load(row, &mut self.store, &self.pending.batch)?,
            None => &mut fresh,
        };
        loaded.doc.set_actor(ActorId::from(actor.as_slice()));
        let mut tx = loaded.doc.transaction();
        if let Err(error) = (edit.apply)(&mut tx) {
            tx.rollback();
            return Err(ChangeError::Refused(error));
        }
        let (hash, _) = tx.commit();
        if hash.is_none() {
            return Ok(None);
        }
        let change = loaded
            .doc
            .get_last_local_change()
            .ok_or(EngineError::Bug("a committed change is not there"))?;
        let raw = change.raw_bytes().to_vec();
        let ops = change.len() as u64;
        let reach = Reach {
            seq: change.seq(),
            max_op: change.max_op(),
        };
        loaded.latest.insert(actor.to_vec(), reach);
        loaded.ops += ops;
        loaded.unstored = true;
        let too_many_ops = loaded.ops > documents::MAX_DOCUMENT_OPS;
        let bytes = row.map_or(0, |row| row.bytes);
        if raw.len() > limits::CHANGES_PLAINTEXT - 4096 || prescan::prescan(&raw).is_err() {
            return Err(EngineError::from(Misuse::TooLarge).into());
        }
        let after = bytes.saturating_add(raw.len() as u64);
        if too_many_ops || after > documents::MAX_DOCUMENT_BYTES {
            return Err(EngineError::from(Misuse::LimitReached).into());
        }
        if row.is_none() {
            self.cache.insert(doc, fresh);
        }
        Ok(Some((raw, ops)))
    }

    /// Seals one CHANGES envelope, with a new epoch before it if there is none to write
    /// under, and adds everything to the pending batch.
    fn seal_changes(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        mut docs: Vec<DocChanges>,
    ) -> Result<(), EngineError> {
        self.ensure_epoch(now, entropy)?;
        docs.sort_by_key(|item| item.doc);
        let acks: Vec<_> = self
            .progress
            .frontier
            .rows()
            .filter(|(device, position)| {
                **device != self.space.device && self.progress.acked.of(device) != Some(**position)
            })
            .map(|(device, position)| (*device, *position))
            .collect();
        let content = Changes {
            claimed_time_ms: now.wall_ms,
            acks,
            docs,
        };
        let encoded = content.encode().map_err(|_| Misuse::TooLarge)?;
        let plaintext = Zeroizing::new(compress(&encoded));
        let (epoch, key) = self
            .epochs
            .current(&self.space)
            .ok_or(EngineError::Bug("no epoch to write under"))?;
        let draft = Draft {
            kind: EnvelopeType::Changes,
            epoch,
            key,
            plaintext: &plaintext,
        };
        let envelope = seal_envelope(&self.placement()?, &draft, &self.space.secrets, entropy)?;
        for item in &content.docs {
            self.store_changes(&item.doc, item.changes.iter().map(Vec::as_slice))?;
            self.pending.events.push(Event::DocumentChanged {
                doc: item.doc,
                by: self.space.own_party(),
                device: self.space.device,
                here: true,
            });
        }
        for (device, position) in content.acks {
            self.progress.acked.set(device, position);
        }
        self.enqueue(&envelope);
        Ok(())
    }

    /// Adds a chunk of changes to the stored form of a loaded document.
    pub(crate) fn store_changes<'a>(
        &mut self,
        doc: &DocId,
        changes: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), EngineError> {
        let chunk = encode_chunk(changes);
        let mut loaded = self
            .cache
            .take(doc)
            .ok_or(EngineError::Bug("a document is not loaded"))?;
        let batch = &mut self.pending.batch;
        let mut pack = 0;
        self.directory.update(*doc, &mut self.store, |row| {
            store_chunk(row, &loaded, chunk, batch);
            pack = row.pack;
        })?;
        self.soil(doc, pack);
        loaded.unstored = false;
        self.cache.insert(*doc, loaded);
        self.touch(*doc)
    }

    /// Creates an epoch when there is none to write under, or it has served long enough.
    /// Needs public keys only, so it works offline.
    pub(crate) fn ensure_epoch(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), EngineError> {
        self.hand_on_doomed(now, entropy)?;
        if !self.needs_epoch(now)? {
            return Ok(());
        }
        self.new_epoch(now, entropy, None)
    }

    /// Creates an epoch that follows all that are known. One for a burn hands on no old key, and
    /// neither does any after it until the old ones are destroyed.
    pub(crate) fn new_epoch(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        forced: Option<EpochReason>,
    ) -> Result<(), EngineError> {
        let (parents, number, reason) = self.epochs.next(&self.space);
        let reason = forced.unwrap_or(reason);
        let history = self.history_to_hand_on(reason);
        let ground = Ground {
            parents,
            number,
            reason,
            history,
        };
        self.make_epoch_on(now, entropy, ground)
    }

    /// Creates an epoch on given ground, sealed to those who should read now.
    pub(crate) fn make_epoch_on(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        ground: Ground,
    ) -> Result<(), EngineError> {
        let Ground {
            parents,
            number,
            reason,
            history,
        } = ground;
        let seqs = self.space.seqs();
        let recipients = self
            .space
            .recipients(&seqs)
            .ok_or(EngineError::Bug("recipients of an epoch"))?;
        let head = |place: usize| {
            self.space
                .chains
                .get(place)
                .map_or(ajar_protocol::LinkHash::ZERO, |chain| chain.head())
        };
        let new = NewEpoch {
            number,
            reason,
            parents: &parents,
            head_lower: head(0),
            head_higher: head(1),
            recipients: &recipients,
            history: &history,
        };
        let (envelope, key) = create_epoch(&self.placement()?, &new, &self.space.secrets, entropy)?;
        let commitment = ajar_protocol::epoch::EpochRecord::parse(epoch_payload(&envelope))
            .map_err(|_| EngineError::Bug("an epoch of our own does not parse"))?
            .commitment;
        let epoch = Epoch {
            number,
            parents,
            seqs,
            recipients: recipients.iter().map(|recipient| recipient.id).collect(),
            commitment,
            reason,
            key: Some(key),
            shut: false,
            device: self.space.device,
            counter: envelope.header().counter,
            seen_ms: 0,
        };
        self.meta
            .add_epoch(epoch.device, epoch.counter, now.wall_ms);
        let id = EpochId::from(envelope.id());
        self.epochs
            .insert(&self.space, id, epoch, history, now.wall_ms);
        self.pending.meta = true;
        self.pending.keys = true;
        self.enqueue(&envelope);
        Ok(())
    }

    /// Makes sure that there is an epoch to write under and returns the newest EPOCH
    /// envelope of this device.
    pub(crate) fn make_epoch(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EngineError> {
        self.ensure_epoch(now, entropy)?;
        self.commit()?;
        let (device, counter) = self
            .meta
            .epochs
            .iter()
            .rev()
            .find(|(device, _)| *device == self.space.device)
            .copied()
            .ok_or(EngineError::Bug("no epoch of this device"))?;
        let envelope = self.stored_envelope(&device, counter)?;
        let envelope = envelope.ok_or(EngineError::Damaged("an epoch"))?;
        Ok(envelope.as_bytes().to_vec())
    }

    /// Place of this device's next envelope.
    pub(crate) fn placement(&self) -> Result<Placement, EngineError> {
        let (counter, prev) = match self.own_position() {
            Some(last) => (last.counter + 1, last.id),
            None => (1, EnvelopeId::ZERO),
        };
        Ok(Placement {
            space: self.space.id,
            counter,
            prev,
            mhead: self.space.mhead()?,
        })
    }

    pub(crate) fn enqueue(&mut self, envelope: &Envelope) {
        let header = envelope.header();
        self.pending.batch.put(
            Key::Envelope(header.device, header.counter),
            envelope.as_bytes().to_vec(),
        );
        self.progress.frontier.set(
            header.device,
            Position {
                counter: header.counter,
                id: envelope.id(),
            },
        );
        self.pending.progress = true;
    }
}

/// Payload of an EPOCH envelope.
fn epoch_payload(envelope: &Envelope) -> &[u8] {
    let bytes = envelope.as_bytes();
    let end = bytes
        .len()
        .saturating_sub(ajar_protocol::envelope::SIGNATURE);
    bytes
        .get(ajar_protocol::envelope::HEADER..end)
        .unwrap_or_default()
}

/// Compresses content where it pays (one author's own words only, so that no one else's
/// text shares a compression context with them).
fn compress(encoded: &[u8]) -> Vec<u8> {
    if encoded.len() > COMPRESS_FROM
        && let Ok(smaller) = zstd::bulk::compress(encoded, 3)
        && smaller.len() < encoded.len()
    {
        return changes::join(Compression::Zstd, &smaller);
    }
    changes::join(Compression::None, encoded)
}

/// Undoes [`compress`], never producing more than the limit.
pub(crate) fn expand(plaintext: &[u8]) -> Option<Changes> {
    let (compression, rest) = changes::split(plaintext).ok()?;
    match compression {
        Compression::None => Changes::decode(rest).ok(),
        Compression::Zstd => {
            let expanded =
                Zeroizing::new(zstd::bulk::decompress(rest, limits::CHANGES_PLAINTEXT).ok()?);
            Changes::decode(&expanded).ok()
        }
    }
}
