//! Making a snapshot. The documents are packed a pack at a time, so that the person who writes
//! meanwhile never waits; what they change in between is packed again before the snapshot is
//! signed. Packs that have not changed since the last snapshot are used again by their id, so
//! that a month of writing costs little.

use std::collections::{BTreeMap, BTreeSet};

use ajar_crypto::Entropy;
use ajar_crypto::seal::{Draft, seal_envelope};
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{
    Endorsement, PackRef, PackedDoc, Snapshot, encode_pack, pack_digest,
};
use ajar_protocol::{BlobId, DocId, Envelope, EnvelopeId, Frontier, LinkHash, PartyChain, limits};
use zeroize::Zeroizing;

use super::pack::{PackError, PlainPack, heads};
use super::state::{BasePack, Seen, Standing};
use super::{decode_docs, encode_docs, extent, statement};
use crate::clock::Now;
use crate::error::{EngineError, Misuse};
use crate::output::Outputs;
use crate::replica::Replica;
use crate::store::{Key, Store};

/// Envelopes after the last snapshot from which on a new one is due.
const DUE_ENVELOPES: u64 = 512;
/// Bytes of changes in one pack, unless one document has more. Larger packs compress better and
/// need fewer requests; smaller ones cost less when a document of long ago changes.
const PACK_BYTES: u64 = 512 << 10;
/// The shelf of what is needed before anything else.
const AT_ONCE: u32 = u32::MAX;
/// Snapshots that are remembered.
const SEEN: usize = 16;

/// A snapshot in the making.
#[derive(Default)]
pub(crate) struct Making {
    /// Packs to be made, the last one first.
    todo: Vec<(u32, Vec<DocId>)>,
    /// The one that is being sealed.
    current: Option<Vec<DocId>>,
    done: Vec<(PackRef, Vec<DocId>)>,
    /// Numbers of packs of the last snapshot that are used again.
    reused: BTreeSet<u32>,
    /// Documents that changed since they were packed.
    pub(crate) touched: BTreeSet<DocId>,
}

/// A document, its heads, and how Automerge saves it.
type Saved = (DocId, Vec<[u8; 32]>, Vec<u8>);

impl<S: Store> Replica<S> {
    /// Whether a new snapshot is worth making, on this device, now. Devices find it due at
    /// different times, so that mostly one makes it; two at once do no harm.
    ///
    /// In a shared space only after something that was written here: an envelope that nobody
    /// caused would tell that the device is awake.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn snapshot_due(&mut self) -> Result<bool, EngineError> {
        let idle = self.making.is_none() && self.starting.is_none();
        if !idle || self.lacks_content() || !self.caught_up() || self.may_write().is_err() {
            return Ok(false);
        }
        if self.wants_burn_snapshot()? {
            return Ok(true);
        }
        let base = &self.folded.base;
        let written = extent(&self.progress.frontier).saturating_sub(extent(&base.cover));
        // Between once and twice the measure, by device.
        let [first, ..] = self.space.device.0;
        let jitter = DUE_ENVELOPES * u64::from(first) / 256;
        let ours = self.progress.frontier.counter(&self.space.device);
        let in_company = self.space.partner().is_none()
            || self.wrote && ours > base.cover.counter(&self.space.device);
        Ok(in_company && written >= DUE_ENVELOPES + jitter)
    }

    /// Whether envelopes lie here that wait for their keys, in a space of one person: a snapshot
    /// would cover them without their content, and this person's word alone lets them be given
    /// up. In a space of two, a device of the partner compares before that.
    fn lacks_content(&self) -> bool {
        self.space.partner().is_none() && !self.meta.deferred.is_empty()
    }

    /// Begins a snapshot; one that was begun before is given up.
    ///
    /// # Errors
    /// [`Misuse`] when nothing may be written here; [`EngineError::Store`].
    pub fn begin_snapshot(&mut self) -> Result<(), EngineError> {
        self.may_write()?;
        if self.starting.is_some() || self.lacks_content() {
            return Err(Misuse::NeedsRelay.into());
        }
        // Rows from before there was a table do not say which shelf a document stands on.
        self.ensure_table()?;
        self.making = Some(Making::default());
        let base = self.folded.base.clone();
        let mut open = BTreeSet::new();
        for pack in base.packs.iter().filter(|pack| pack.dirty) {
            open.extend(self.pack_docs(pack.number)?);
        }
        open.extend(self.unpacked(base.place)?);
        let clean = base.packs.iter().filter(|pack| !pack.dirty);
        let reused = clean.map(|pack| pack.number).collect();
        if let Some(making) = &mut self.making {
            making.reused = reused;
        }
        self.plan(open)
    }

    /// Whether a snapshot is in the making. An error of the store, the end of a connection and a
    /// beginning from somebody's snapshot end it.
    #[must_use]
    pub fn is_making(&self) -> bool {
        self.making.is_some()
    }

    /// Gives up a snapshot in the making. What was sealed of it is of no use.
    pub fn give_up_snapshot(&mut self) {
        self.making = None;
    }

    /// Documents in a pack of the last snapshot.
    pub(crate) fn pack_docs(&mut self, number: u32) -> Result<Vec<DocId>, EngineError> {
        let damaged = || EngineError::Damaged("the list of a pack");
        let key = Key::PackDocs(number);
        let bytes = match self.pending.batch.pending(&key) {
            Some(pending) => pending.cloned(),
            None => self.store.load(&key)?,
        };
        decode_docs(&bytes.ok_or_else(damaged)?).map_err(|_| damaged())
    }

    /// Documents from a place of arrival on that are in no pack.
    fn unpacked(&mut self, from: u32) -> Result<Vec<DocId>, EngineError> {
        let mut found = Vec::new();
        for doc in self.ids_from(from)? {
            if self.row(&doc)?.is_some_and(|row| row.pack == 0) {
                found.push(doc);
            }
        }
        Ok(found)
    }

    /// Plans packs for these documents. Neighbouring shelves share a pack; the newest one, which is
    /// read first and grows, has packs of its own, and so have those at both ends ([`Section`]).
    fn plan(&mut self, open: BTreeSet<DocId>) -> Result<(), EngineError> {
        let mut docs = BTreeMap::new();
        for doc in open {
            self.lay_out(doc, &mut docs)?;
        }
        let reused = self.making.as_ref().map(|making| making.reused.clone());
        let reused = reused.unwrap_or_default();
        let packs = self.folded.base.packs.iter();
        let mut kept: Vec<BasePack> = packs
            .filter(|pack| reused.contains(&pack.number))
            .cloned()
            .collect();
        kept.sort_by_key(|pack| pack.pack.shelf);
        let shelves: BTreeSet<u32> = docs.keys().map(|(shelf, _)| *shelf).collect();
        let all = shelves.iter().copied();
        let all = all.chain(kept.iter().map(|pack| pack.pack.shelf));
        let newest = all.filter(|shelf| *shelf != AT_ONCE).max();
        let section = |shelf: u32| match shelf {
            0 => Section::Unfiled,
            AT_ONCE => Section::AtOnce,
            shelf if Some(shelf) == newest => Section::Newest,
            _ => Section::Past,
        };
        let apart = to_take_apart(&kept, &shelves, section);
        for number in &apart {
            for doc in self.pack_docs(*number)? {
                self.lay_out(doc, &mut docs)?;
            }
        }
        let mut todo: Vec<(u32, Vec<DocId>)> = Vec::new();
        let mut bytes = 0;
        for ((shelf, doc), size) in docs {
            // A damaged row may claim any size.
            let with = size.saturating_add(bytes);
            let fits = |at: u32| section(at) == section(shelf) && with <= PACK_BYTES;
            match todo.last_mut() {
                Some((at, pack)) if fits(*at) => {
                    *at = shelf;
                    pack.push(doc);
                    bytes = with;
                }
                _ => {
                    todo.push((shelf, vec![doc]));
                    bytes = size;
                }
            }
        }
        for (_, pack) in &mut todo {
            pack.sort_unstable();
        }
        if let Some(making) = &mut self.making {
            making.todo.extend(todo);
            making.reused.retain(|number| !apart.contains(number));
        }
        Ok(())
    }

    /// Lays a document out to be packed: by shelf, with its size.
    fn lay_out(
        &mut self,
        doc: DocId,
        docs: &mut BTreeMap<(u32, DocId), u64>,
    ) -> Result<(), EngineError> {
        if let Some(row) = self.row(&doc)?.filter(|row| row.exists()) {
            docs.insert((row.shelf, doc), row.bytes);
        }
        Ok(())
    }

    /// The next pack to be sealed; `None` when all are. [`Self::pack_sealed`] says that it is.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn next_pack(&mut self) -> Result<Option<PlainPack>, EngineError> {
        loop {
            let Some(making) = &mut self.making else {
                return Ok(None);
            };
            let Some((shelf, docs)) = making.todo.pop() else {
                return Ok(None);
            };
            for doc in &docs {
                making.touched.remove(doc);
            }
            let mut packed: Vec<Saved> = Vec::with_capacity(docs.len());
            for doc in docs {
                // It may have been burned meanwhile.
                let Some(row) = self.row(&doc)?.filter(|row| row.exists()) else {
                    continue;
                };
                let batch = &self.pending.batch;
                let loaded = self.cache.load(&row, &mut self.store, batch)?;
                packed.push((doc, heads(&loaded.doc), loaded.doc.save_nocompress()));
            }
            if packed.is_empty() {
                continue;
            }
            let docs: Vec<DocId> = packed.iter().map(|(doc, ..)| *doc).collect();
            let pack = plain(shelf, &packed)?;
            if let Some(making) = &mut self.making {
                making.current = Some(docs);
            }
            return Ok(Some(pack));
        }
    }

    /// The pack that was given out last is sealed and lies where it can be uploaded from.
    pub fn pack_sealed(&mut self, reference: PackRef) {
        if let Some(making) = &mut self.making
            && let Some(docs) = making.current.take()
        {
            making.done.push((reference, docs));
        }
    }

    /// Signs the snapshot, if no document has changed since it was packed; otherwise those are
    /// packed again ([`Self::next_pack`]), and `None` is returned.
    ///
    /// # Errors
    /// [`EngineError`]; the snapshot can be finished later.
    pub fn finish_snapshot(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<Outputs>, EngineError> {
        self.may_write()?;
        let Some(making) = &mut self.making else {
            return Ok(None);
        };
        if !making.todo.is_empty() || making.current.is_some() {
            return Ok(None);
        }
        let touched = std::mem::take(&mut making.touched);
        if !touched.is_empty() {
            self.pack_again(&touched)?;
            return Ok(None);
        }
        let signed = self.sign_snapshot(now, entropy);
        if signed.is_err() && !self.is_clean() {
            self.reread()?;
        }
        signed?;
        let events = self.commit()?;
        self.making = None;
        let send = self.pump()?;
        Ok(Some(Outputs { send, events }))
    }

    /// Packs that hold a document that changed are made anew.
    fn pack_again(&mut self, touched: &BTreeSet<DocId>) -> Result<(), EngineError> {
        let mut open = touched.clone();
        if let Some(making) = &mut self.making {
            let has = |docs: &[DocId]| docs.iter().any(|doc| touched.contains(doc));
            let (again, kept) = std::mem::take(&mut making.done)
                .into_iter()
                .partition(|(_, docs)| has(docs));
            making.done = kept;
            let again: Vec<(PackRef, Vec<DocId>)> = again;
            open.extend(again.into_iter().flat_map(|(_, docs)| docs));
        }
        let dirty = self.folded.base.packs.iter().filter(|pack| pack.dirty);
        let dirty: Vec<u32> = dirty.map(|pack| pack.number).collect();
        for number in dirty {
            let was_reused = match &mut self.making {
                Some(making) => making.reused.remove(&number),
                None => false,
            };
            if was_reused {
                open.extend(self.pack_docs(number)?);
            }
        }
        self.plan(open)
    }

    fn sign_snapshot(&mut self, now: Now, entropy: &mut dyn Entropy) -> Result<(), EngineError> {
        self.ensure_epoch(now, entropy)?;
        let making = self.making.as_ref();
        let making = making.ok_or(EngineError::Bug("no snapshot in the making"))?;
        let (reused, done) = (making.reused.clone(), making.done.clone());
        let head = |place: usize| {
            let chain = self.space.chains.get(place);
            chain.map_or(LinkHash::ZERO, PartyChain::head)
        };
        let base = &self.folded.base;
        let old = base.packs.iter().filter(|p| reused.contains(&p.number));
        let mut packs: Vec<PackRef> = old.map(|pack| pack.pack.clone()).collect();
        packs.extend(done.iter().map(|(reference, _)| reference.clone()));
        packs.sort_by(|one, other| (other.shelf, one.blob).cmp(&(one.shelf, other.blob)));
        let cover = self.progress.frontier.clone();
        let snapshot = Snapshot {
            claimed_time_ms: now.wall_ms,
            head_lower: head(0),
            head_higher: head(1),
            previous: base.id,
            retired: self.epochs_to_retire(&cover),
            burned: self.folded.burned.iter().copied().collect(),
            cover,
            packs,
        };
        let content = snapshot.encode().map_err(|_| Misuse::LimitReached)?;
        let envelope = self.seal(now, entropy, EnvelopeType::Snapshot, &content)?;
        let header = envelope.header();
        let name = EnvelopeName {
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        };
        self.stack(&snapshot, name.id, reused, done)?;
        self.remember_snapshot(now, name, snapshot.cover.clone(), Standing::Endorsed);
        self.endorse(now, entropy, name, &snapshot)
    }

    /// Makes a snapshot the one that the next builds on.
    fn stack(
        &mut self,
        snapshot: &Snapshot,
        id: EnvelopeId,
        reused: BTreeSet<u32>,
        done: Vec<(PackRef, Vec<DocId>)>,
    ) -> Result<(), EngineError> {
        let gone: Vec<u32> = self
            .folded
            .base
            .packs
            .iter()
            .map(|pack| pack.number)
            .filter(|number| !reused.contains(number))
            .collect();
        for number in gone {
            self.drop_pack(number)?;
        }
        for (pack, docs) in done {
            self.add_pack(pack, &docs)?;
        }
        self.folded.base.place = self.directory.counts().places;
        self.set_base(id, &snapshot.cover);
        Ok(())
    }

    /// Takes a pack out of the list; its documents are in none.
    pub(crate) fn drop_pack(&mut self, number: u32) -> Result<(), EngineError> {
        for doc in self.pack_docs(number)? {
            self.file(&doc, number, 0)?;
        }
        let mut packs = self.folded.base.packs.iter();
        if let Some(gone) = packs.find(|pack| pack.number == number) {
            self.folded.obsolete.push(gone.pack.blob);
            self.folded.touch();
        }
        self.folded.base.packs.retain(|pack| pack.number != number);
        self.pending.batch.delete(Key::PackDocs(number));
        self.folded.touch_base();
        Ok(())
    }

    /// Adds a pack to the list, with its documents.
    pub(crate) fn add_pack(&mut self, pack: PackRef, docs: &[DocId]) -> Result<(), EngineError> {
        let number = self.folded.base.number();
        let mut bytes = 0_u64;
        for doc in docs {
            bytes = bytes.saturating_add(self.row(doc)?.map_or(0, |row| row.bytes));
            self.file(doc, 0, number)?;
        }
        self.list_pack(pack, number, docs, bytes);
        Ok(())
    }

    /// Adds a pack to the list; the rows of its documents name it already.
    pub(crate) fn list_pack(&mut self, pack: PackRef, number: u32, docs: &[DocId], bytes: u64) {
        self.folded.obsolete.retain(|blob| *blob != pack.blob);
        // From a beginning that was given up; its documents are in the new one.
        let packs = self.folded.base.packs.iter();
        let same = packs.filter(|known| known.pack.blob == pack.blob);
        let same: Vec<u32> = same.map(|known| known.number).collect();
        for number in &same {
            self.pending.batch.delete(Key::PackDocs(*number));
        }
        let base = &mut self.folded.base.packs;
        base.retain(|known| !same.contains(&known.number));
        let list = encode_docs(docs);
        self.pending.batch.put(Key::PackDocs(number), list);
        self.folded.base.packs.push(BasePack {
            number,
            pack,
            bytes,
            dirty: false,
        });
        self.folded.touch_base();
    }

    /// Notes in the row of a document which pack it is in; `from` 0 for whatever it was in.
    fn file(&mut self, doc: &DocId, from: u32, to: u32) -> Result<(), EngineError> {
        let Some(row) = self.row(doc)?.filter(|row| from == 0 || row.pack == from) else {
            return Ok(());
        };
        if row.pack != to {
            let store = &mut self.store;
            self.directory.update(*doc, store, |row| row.pack = to)?;
        }
        Ok(())
    }

    pub(crate) fn set_base(&mut self, id: EnvelopeId, cover: &Frontier) {
        self.folded.base.id = id;
        self.folded.base.cover = cover.clone();
        self.folded.touch_base();
    }

    /// A pack of the snapshot that new ones build on holds what is not here any more, so it must
    /// not be used again.
    pub(crate) fn soil_pack(&mut self, blob: &BlobId) {
        let mut packs = self.folded.base.packs.iter_mut();
        if let Some(pack) = packs.find(|one| one.pack.blob == *blob) {
            pack.dirty = true;
            self.folded.touch_base();
        }
    }

    /// A document changes: the pack that it is in is not the last word any more.
    pub(crate) fn soil(&mut self, doc: &DocId, pack: u32) {
        if let Some(making) = &mut self.making {
            making.touched.insert(*doc);
        }
        let mut packs = self.folded.base.packs.iter_mut();
        if pack != 0
            && let Some(pack) = packs.find(|one| one.number == pack && !one.dirty)
        {
            pack.dirty = true;
            self.folded.touch_base();
        }
    }

    /// Endorses a snapshot: says, with a signature that a relay can check, that this device
    /// holds the same.
    pub(crate) fn endorse(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        name: EnvelopeName,
        snapshot: &Snapshot,
    ) -> Result<(), EngineError> {
        let hash = statement(self.space.id, name, snapshot).hash();
        let signature = self.space.secrets.sign_relay_command(&hash);
        let endorsement = Endorsement {
            snapshot: name.id,
            signature,
        };
        self.repeat_votes(now, entropy)?;
        self.ensure_epoch(now, entropy)?;
        let content = endorsement.encode();
        self.seal(now, entropy, EnvelopeType::Endorse, &content)?;
        let device = self.space.device;
        let mut seen = self.folded.seen.iter_mut();
        if let Some(seen) = seen.find(|seen| seen.name == name) {
            seen.standing = Standing::Endorsed;
            seen.endorsed.retain(|(signer, _)| *signer != device);
            seen.endorsed.push((device, signature));
        }
        self.folded.touch();
        Ok(())
    }

    /// Seals content of a kind of its own under the current epoch and puts it into the outbox.
    pub(crate) fn seal(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        kind: EnvelopeType,
        content: &[u8],
    ) -> Result<Envelope, EngineError> {
        self.ensure_epoch(now, entropy)?;
        let current = self.epochs.current(&self.space);
        let (epoch, key) = current.ok_or(EngineError::Bug("no epoch to write under"))?;
        let draft = Draft {
            kind,
            epoch,
            key,
            plaintext: content,
        };
        let place = self.placement()?;
        let envelope = seal_envelope(&place, &draft, &self.space.secrets, entropy)?;
        self.enqueue(&envelope);
        Ok(envelope)
    }

    /// Remembers a snapshot, and forgets those that nothing can come of any more.
    pub(crate) fn remember_snapshot(
        &mut self,
        now: Now,
        name: EnvelopeName,
        cover: Frontier,
        standing: Standing,
    ) {
        let seen = &mut self.folded.seen;
        if seen.iter().any(|one| one.name == name) {
            return;
        }
        seen.push(Seen {
            name,
            cover,
            seen_ms: now.wall_ms,
            standing,
            endorsed: Vec::new(),
        });
        // The oldest goes first, and one that was found to differ before that.
        while seen.len() > SEEN {
            let worst = seen
                .iter()
                .position(|one| one.standing == Standing::Differs);
            seen.remove(worst.unwrap_or(0));
        }
        self.folded.touch();
    }
}

/// Parts of a journal that share no pack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// Shelf 0, which the application has given no number.
    Unfiled,
    Past,
    Newest,
    /// Shelf [`AT_ONCE`].
    AtOnce,
}

/// Numbers of packs, sorted by shelf, that are made anew: small ones on or next above a shelf that
/// has something to be packed, and neighbours in the past that fit into one.
fn to_take_apart(
    kept: &[BasePack],
    shelves: &BTreeSet<u32>,
    section: impl Fn(u32) -> Section,
) -> BTreeSet<u32> {
    let mut apart = BTreeSet::new();
    let small = |pack: &&BasePack| pack.bytes < PACK_BYTES / 2;
    for shelf in shelves {
        let at = |pack: &&BasePack| {
            pack.pack.shelf >= *shelf && section(pack.pack.shelf) == section(*shelf)
        };
        apart.extend(kept.iter().filter(small).find(at).map(|pack| pack.number));
    }
    let is_past = |pack: &&BasePack| section(pack.pack.shelf) == Section::Past;
    let past: Vec<&BasePack> = kept.iter().filter(is_past).collect();
    for pair in past.windows(2) {
        if pair.iter().map(|pack| pack.bytes).sum::<u64>() <= PACK_BYTES {
            apart.extend(pair.iter().map(|pack| pack.number));
        }
    }
    apart
}

fn plain(shelf: u32, packed: &[Saved]) -> Result<PlainPack, EngineError> {
    let rows: Vec<PackedDoc<'_>> = packed
        .iter()
        .map(|(doc, heads, saved)| PackedDoc {
            doc: *doc,
            heads: heads.clone(),
            saved,
        })
        .collect();
    let heads = packed.iter().map(|(doc, heads, _)| (doc, heads.as_slice()));
    let content = encode_pack(&rows).map_err(|_| Misuse::LimitReached)?;
    Ok(PlainPack {
        shelf,
        docs: u32::try_from(packed.len()).unwrap_or(u32::MAX),
        digest: pack_digest(heads),
        content: Zeroizing::new(content),
    })
}

impl From<PackError> for EngineError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Entropy(error) => Self::Entropy(error),
            PackError::TooLarge => Self::Misuse(Misuse::LimitReached),
            PackError::Damaged | PackError::Content => Self::Damaged("a pack of a snapshot"),
        }
    }
}

const _: () = assert!(limits::PACKS * PackRef::ENCODED < limits::CHANGES_PLAINTEXT);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ajar_crypto::RecoveryPhrase;
    use ajar_protocol::DeviceId;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use crate::pairing::OwnHalf;
    use crate::store::MemoryStore;

    use super::*;

    /// The relay would give up an envelope whose content nobody here has read yet.
    #[test]
    fn ana_alone_makes_no_snapshot_while_something_waits_for_its_key() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let now = Now {
            wall_ms: 1_767_225_600_000,
            elapsed: Duration::ZERO,
        };
        let words = RecoveryPhrase::generate(&mut rng).unwrap();
        let slot = words.slot_keys(0).unwrap().public();
        let half = OwnHalf::new(now, &mut rng, &slot).unwrap();
        let space = half.found_private().unwrap();
        let mut ana = Replica::create(MemoryStore::default(), space).unwrap();
        ana.meta.deferred.push((DeviceId([7; 32]), 3));
        assert!(ana.begin_snapshot().is_err());
        ana.meta.deferred.clear();
        ana.begin_snapshot().unwrap();
    }
}
