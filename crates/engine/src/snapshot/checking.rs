//! Receiving snapshots and endorsements, comparing a snapshot with what is here, endorsing it.
//! A device that holds a history of its own never loads a snapshot over it.

use std::collections::BTreeSet;

use ajar_crypto::Entropy;
use ajar_protocol::link::verify;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{Endorsement, PackRef, Snapshot};
use ajar_protocol::{BlobId, DeviceId, DocId, Frontier, VerifiedEnvelope, label};

use super::pack::OpenedPack;
use super::state::{Seen, Standing};
use super::{Beyond, Relation, extent, reaches, relation, statement};
use crate::clock::Now;
use crate::error::EngineError;
use crate::notice::NoticeKind;
use crate::replica::Replica;
use crate::store::Store;

/// A snapshot that is being compared.
pub(crate) struct Comparing {
    name: EnvelopeName,
    snapshot: Snapshot,
    /// Packs that have to be looked at.
    left: Vec<PackRef>,
    beyond: Beyond,
    /// How far `beyond` has been looked for: people write meanwhile.
    looked: Frontier,
    /// Documents found so far, by pack.
    found: Vec<(PackRef, Vec<DocId>)>,
    /// Packs that hold what was burned beyond the cover.
    stale: Vec<BlobId>,
}

impl<S: Store> Replica<S> {
    /// Takes the content of a SNAPSHOT that is in its place in its author's chain.
    pub(crate) fn take_snapshot(&mut self, now: Now, envelope: &VerifiedEnvelope, content: &[u8]) {
        let header = envelope.header();
        let name = EnvelopeName {
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        };
        match Snapshot::decode(content) {
            // Nobody can cover what they have not written yet.
            Ok(snapshot) if snapshot.cover.counter(&name.device) < name.counter => {
                self.remember_snapshot(now, name, snapshot.cover, Standing::New);
            }
            Ok(_) => self.tell_unsound(now, name.device, name.counter),
            Err(_) => self.tell_unread(now, name.device, name.counter),
        }
    }

    fn tell_unread(&mut self, now: Now, device: DeviceId, counter: u64) {
        self.notice(now, NoticeKind::Unopenable { device, counter });
    }

    pub(crate) fn tell_unsound(&mut self, now: Now, device: DeviceId, counter: u64) {
        self.notice(now, NoticeKind::SnapshotDiffers { device, counter });
    }

    /// Takes the content of an ENDORSE.
    pub(crate) fn take_endorsement(
        &mut self,
        now: Now,
        device: &DeviceId,
        counter: u64,
        content: &[u8],
    ) -> Result<(), EngineError> {
        let Ok(endorsement) = Endorsement::decode(content) else {
            self.tell_unread(now, *device, counter);
            return Ok(());
        };
        let known = self.folded.seen.iter();
        let mut known = known.filter(|seen| seen.name.id == endorsement.snapshot);
        let Some(name) = known.next().map(|seen| seen.name) else {
            return Ok(());
        };
        let Some(snapshot) = self.snapshot_of(&name)? else {
            return Ok(());
        };
        if self.is_signed(&name, &snapshot, device, &endorsement.signature) {
            let mut seen = self.folded.seen.iter_mut();
            if let Some(seen) = seen.find(|seen| seen.name == name) {
                seen.endorsed.retain(|(signer, _)| signer != device);
                seen.endorsed.push((*device, endorsement.signature));
                self.folded.touch();
            }
        }
        Ok(())
    }

    /// Whether a device has signed the statement of a snapshot.
    pub(crate) fn is_signed(
        &self,
        name: &EnvelopeName,
        snapshot: &Snapshot,
        device: &DeviceId,
        signature: &[u8; 64],
    ) -> bool {
        let Some((_, known)) = self.space.device(device) else {
            return false;
        };
        let hash = statement(self.space.id, *name, snapshot).hash();
        let key = &known.keys.sign;
        verify(key, label::RELAY_CMD, &hash, signature, "endorsement").is_ok()
    }

    /// A snapshot of another device that should be compared now, and the packs that are needed
    /// for it. Those that were compared before, and in which nothing has changed since, are
    /// not asked for again.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn snapshot_to_compare(&mut self) -> Result<Option<Vec<PackRef>>, EngineError> {
        if self.starting.is_some() || !self.caught_up() || self.may_write().is_err() {
            return Ok(None);
        }
        if let Some(comparing) = &self.comparing {
            return Ok(Some(comparing.left.clone()));
        }
        let newest = self.folded.seen.iter();
        let newest = newest.filter(|seen| seen.standing == Standing::New && self.can_compare(seen));
        let newest = newest.max_by_key(|seen| extent(&seen.cover));
        let Some(name) = newest.map(|seen| seen.name) else {
            return Ok(None);
        };
        let Some(snapshot) = self.snapshot_of(&name)? else {
            self.stand(&name, Standing::Differs);
            return Ok(None);
        };
        if self.lacks_votes(&snapshot) {
            return Ok(None);
        }
        let base = &self.folded.base;
        let known = |pack: &PackRef| {
            let known = base.pack(&pack.blob);
            known.is_some_and(|known| !known.dirty && known.pack == *pack)
        };
        let left = snapshot.packs.iter().filter(|pack| !known(pack));
        let left: Vec<PackRef> = left.cloned().collect();
        let beyond = self.changes_beyond(&snapshot.cover)?;
        self.comparing = Some(Comparing {
            name,
            snapshot,
            left: left.clone(),
            beyond,
            looked: self.progress.frontier.clone(),
            found: Vec::new(),
            stale: Vec::new(),
        });
        Ok(Some(left))
    }

    /// Whether a cover that is reached here names the envelopes that are here. Whoever vouches
    /// for it lets the others go on from where it says.
    fn covers_what_is_here(&mut self, cover: &Frontier) -> Result<bool, EngineError> {
        for (device, theirs) in cover.rows() {
            let ours = self.position_at(device, theirs.counter)?;
            if ours.is_some_and(|ours| ours.id != theirs.id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all of a cover is here, and what came after it can be told from what came before:
    /// of what was given up, only the end is known.
    pub(crate) fn can_compare(&self, seen: &Seen) -> bool {
        reaches(&self.progress.frontier, &seen.cover) && reaches(&seen.cover, &self.folded.floors)
    }

    /// A pack of the snapshot that is being compared cannot be had: another time.
    pub fn give_up_comparing(&mut self) {
        self.comparing = None;
    }

    /// The pack is not what its snapshot says: whoever made it is not honest.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn pack_is_wrong(&mut self, now: Now) -> Result<(), EngineError> {
        if let Some(comparing) = self.comparing.take() {
            self.differs(now, &comparing.name);
            self.commit()?;
        }
        Ok(())
    }

    fn differs(&mut self, now: Now, name: &EnvelopeName) {
        self.stand(name, Standing::Differs);
        self.tell_unsound(now, name.device, name.counter);
    }

    fn stand(&mut self, name: &EnvelopeName, standing: Standing) {
        let mut seen = self.folded.seen.iter_mut();
        if let Some(seen) = seen.find(|seen| seen.name == *name) {
            seen.standing = standing;
            self.folded.touch();
        }
    }

    /// Compares one pack.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn compare_pack(&mut self, now: Now, pack: OpenedPack) -> Result<(), EngineError> {
        let Some(mut comparing) = self.comparing.take() else {
            return Ok(());
        };
        let wanted = comparing.left.iter().position(|one| *one == pack.reference);
        let Some(wanted) = wanted else {
            self.comparing = Some(comparing);
            return Ok(());
        };
        comparing.left.remove(wanted);
        self.look_beyond(&mut comparing.beyond, &mut comparing.looked)?;
        let mut docs = Vec::with_capacity(pack.docs.len());
        for packed in &pack.docs {
            let row = self.row(&packed.doc)?.filter(|row| row.exists());
            // A document that is not here was burned, perhaps beyond the cover, or never was.
            let Some(row) = row else {
                if self.folded.burned.contains(&packed.doc)
                    && !comparing.snapshot.burned.contains(&packed.doc)
                {
                    comparing.stale.push(pack.reference.blob);
                    continue;
                }
                self.differs(now, &comparing.name);
                return self.commit().map(drop);
            };
            let batch = &self.pending.batch;
            let local = self.cache.load(&row, &mut self.store, batch)?;
            let beyond = comparing.beyond.get(&packed.doc);
            let relation = relation(&local.doc, &packed.loaded, beyond);
            if !matches!(relation, Relation::Equal | Relation::More) {
                self.differs(now, &comparing.name);
                return self.commit().map(drop);
            }
            docs.push(packed.doc);
        }
        comparing.found.push((pack.reference, docs));
        self.comparing = Some(comparing);
        Ok(())
    }

    /// Ends a comparison, all of whose packs were found to be the same: nothing that is here
    /// may be missing there. The snapshot is endorsed with the next thing that is written, or
    /// at once where that tells nobody anything.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn end_comparing(&mut self, now: Now) -> Result<(), EngineError> {
        let whole = self
            .comparing
            .take_if(|comparing| comparing.left.is_empty());
        let Some(mut comparing) = whole else {
            return Ok(());
        };
        self.look_beyond(&mut comparing.beyond, &mut comparing.looked)?;
        if !self.covers_what_is_here(&comparing.snapshot.cover)?
            || !self.is_whole(&comparing)?
            || !self.may_retire(&comparing.snapshot)
        {
            self.differs(now, &comparing.name);
            return self.commit().map(drop);
        }
        self.stand(&comparing.name, Standing::Same);
        self.settle_burns()?;
        if extent(&comparing.snapshot.cover) >= extent(&self.folded.base.cover) {
            self.build_on(&comparing)?;
        }
        self.commit().map(drop)
    }

    /// Whether every document here is in the snapshot, unless it came from beyond its cover, and
    /// what was burned within the cover is said to be.
    fn is_whole(&mut self, comparing: &Comparing) -> Result<bool, EngineError> {
        let mut there: BTreeSet<DocId> = BTreeSet::new();
        for (_, docs) in &comparing.found {
            there.extend(docs);
        }
        let found: Vec<BlobId> = comparing.found.iter().map(|(pack, _)| pack.blob).collect();
        let packs = comparing.snapshot.packs.iter();
        let known: Vec<u32> = packs
            .filter(|pack| !found.contains(&pack.blob))
            .filter_map(|pack| self.folded.base.pack(&pack.blob))
            .map(|pack| pack.number)
            .collect();
        for number in known {
            there.extend(self.pack_docs(number)?);
        }
        for doc in self.ids_from(0)? {
            if there.contains(&doc) {
                continue;
            }
            let Some(row) = self.row(&doc)?.filter(|row| row.exists()) else {
                continue;
            };
            let beyond = comparing.beyond.get(&doc);
            let batch = &self.pending.batch;
            let local = self.cache.load(&row, &mut self.store, batch)?;
            let changes = local.doc.get_changes_meta(&[]);
            let is_beyond = |hash| beyond.is_some_and(|beyond| beyond.contains(hash));
            if !changes.iter().all(|change| is_beyond(&change.hash)) {
                return Ok(false);
            }
        }
        Ok(self.burned_within(&comparing.snapshot))
    }

    /// New snapshots build on this one: packs that both have stay, the rest is exchanged.
    fn build_on(&mut self, comparing: &Comparing) -> Result<(), EngineError> {
        // One in the making counts on packs that may go now: signed all the same, it would lack
        // their documents.
        self.making = None;
        let packs = &comparing.snapshot.packs;
        let stays = |blob: &BlobId| packs.iter().any(|pack| pack.blob == *blob);
        let found = |blob: &BlobId| comparing.found.iter().any(|(pack, _)| pack.blob == *blob);
        let base = self.folded.base.packs.iter();
        let gone: Vec<u32> = base
            .filter(|pack| !stays(&pack.pack.blob) || found(&pack.pack.blob))
            .map(|pack| pack.number)
            .collect();
        for number in gone {
            self.drop_pack(number)?;
        }
        for (pack, docs) in &comparing.found {
            self.add_pack(pack.clone(), docs)?;
        }
        for blob in &comparing.stale {
            self.soil_pack(blob);
        }
        // What changed beyond the cover is not in these packs as it is here.
        for doc in comparing.beyond.keys() {
            if let Some(row) = self.row(doc)? {
                self.soil(doc, row.pack);
            }
        }
        let mut place = 0;
        for (at, doc) in self.ids_from(0)?.into_iter().enumerate() {
            if self.row(&doc)?.is_some_and(|row| row.pack == 0) {
                break;
            }
            place = u32::try_from(at + 1).unwrap_or(u32::MAX);
        }
        self.folded.base.place = place;
        self.set_base(comparing.name.id, &comparing.snapshot.cover);
        Ok(())
    }

    /// Writes endorsements that are due. With `company`, something else is written anyway.
    pub(crate) fn endorse_due(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
        company: bool,
    ) -> Result<(), EngineError> {
        let same = |seen: &&super::Seen| seen.standing == Standing::Same;
        let due: Vec<EnvelopeName> = self
            .folded
            .seen
            .iter()
            .filter(same)
            .map(|s| s.name)
            .collect();
        let quiet = self.space.partner().is_none();
        for name in due {
            let Some(snapshot) = self.snapshot_of(&name)? else {
                continue;
            };
            if company || quiet || self.confirms_burn(&snapshot) {
                self.endorse(now, entropy, name, &snapshot)?;
            }
        }
        Ok(())
    }

    /// Whether an endorsement waits for somebody to write something.
    #[must_use]
    pub fn owes_endorsement(&self) -> bool {
        let mut seen = self.folded.seen.iter();
        seen.any(|seen| seen.standing == Standing::Same)
    }
}
