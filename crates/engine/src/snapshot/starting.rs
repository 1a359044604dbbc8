//! Beginning from a snapshot: a device without a past, or one that comes back when the log it
//! needs was given up. Documents of the newest shelf come first and can be read at once; the
//! frontier jumps to the cover when all are here.
//!
//! A snapshot is believed when a device of one's own party made or endorsed it. Otherwise a
//! partner could rewrite the past for a new phone: only the person can decide to trust that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{Endorsement, PackRef, Snapshot};
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{DeviceId, DocId, Envelope, EnvelopeId, Frontier, LinkHash, VerifiedEnvelope};

use super::pack::{OpenedDoc, OpenedPack};
use super::state::Standing;
use super::{Beyond, Relation, extent, reaches, relation};
use crate::clock::Now;
use crate::documents::{DocMeta, Owner, owner, store_base};
use crate::epochs::Verdict;
use crate::error::EngineError;
use crate::inbox::Plain;
use crate::notice::NoticeKind;
use crate::output::{Event, Outputs};
use crate::replica::Replica;
use crate::store::{Key, Store};

/// Snapshots and endorsements that are looked at in one bootstrap.
const SNAPSHOTS: usize = 9;
const ENDORSEMENTS: usize = 256;

/// What a relay has sent for a bootstrap.
#[derive(Default)]
pub(crate) struct Boot {
    /// It gave up the log up to here.
    pub(crate) trim: Option<TrimRecord>,
    /// Something came from a device that no chain names here: it may have joined since this
    /// device was linked, and a bootstrap brings no links.
    strangers: bool,
    snapshots: Vec<VerifiedEnvelope>,
    endorsements: Vec<VerifiedEnvelope>,
}

/// A snapshot that is being taken in.
pub(crate) struct Starting {
    name: EnvelopeName,
    snapshot: Snapshot,
    trim: Vec<u8>,
    /// Packs that are not here yet, newest shelf first.
    left: VecDeque<PackRef>,
    /// Those that are, by their number here.
    packs: Vec<(u32, Vec<DocId>)>,
    beyond: Beyond,
    /// How far `beyond` has been looked for: people write meanwhile.
    looked: Frontier,
}

/// How far the beginning from a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartProgress {
    /// Packs that are here.
    pub done: usize,
    /// Packs in all.
    pub of: usize,
}

/// Whether the keys that a snapshot destroys are destroyed already: until the relay has given up
/// what they open, somebody who was away may still bring something under one of them, and whoever
/// began without the key could never read it.
fn keys_are_given_up(snapshot: &Snapshot, trim: Option<&TrimRecord>) -> bool {
    let mut retired = snapshot.retired.iter();
    retired.all(|epoch| {
        let place = (epoch.device, epoch.counter);
        trim.is_some_and(|record| record.statement.retired.contains(&place))
    })
}

impl<S: Store> Replica<S> {
    /// Whether this device should begin from a snapshot rather than from the log.
    pub(crate) fn is_new_here(&self) -> bool {
        let own = self.space.device;
        let mut rows = self.progress.frontier.rows();
        rows.all(|(device, _)| *device == own)
    }

    /// The relay says that what was asked for begins before its log.
    pub(crate) fn take_trimmed(
        &mut self,
        now: Now,
        bytes: &[u8],
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let Ok(record) = TrimRecord::parse(bytes) else {
            self.count_damaged(now);
            return Ok(());
        };
        let names = record.statement.cover.rows().map(|(device, _)| *device);
        let names = names.chain(record.signatures.iter().map(|(device, _)| *device));
        if self.come_from_strangers(names) {
            return Ok(());
        }
        let chains: Vec<_> = self.space.chains.iter().collect();
        let sound = record.verify(&self.space.id, &chains, false).is_ok();
        // One that is behind us is no reason for anything; the relay may be an old copy.
        let ahead = !reaches(&self.progress.frontier, &record.statement.cover);
        if !sound || !ahead {
            self.count_damaged(now);
            return Ok(());
        }
        let Some(uplink) = &mut self.uplink else {
            return Ok(());
        };
        match &mut uplink.boot {
            Some(boot) => boot.trim = Some(record),
            None => {
                uplink.boot = Some(Boot {
                    trim: Some(record),
                    ..Boot::default()
                });
                send.push(ClientMsg::Bootstrap);
            }
        }
        Ok(())
    }

    /// Takes one envelope of a bootstrap. It stands alone: its signature is checked, and its
    /// place when its chain comes.
    pub(crate) fn take_boot_envelope(
        &mut self,
        now: Now,
        envelope: Envelope,
    ) -> Result<(), EngineError> {
        let header = *envelope.header();
        if self.come_from_strangers([header.device]) {
            return Ok(());
        }
        let author = self.space.device(&header.device);
        let key = author.map(|(_, author)| author.keys.sign);
        let fits = header.space == self.space.id
            && !self.space.is_cut_off(&header.device, header.counter)
            && !self.meta.forked.contains_key(&header.device);
        let verified = key.and_then(|key| envelope.verify(&key).ok());
        let Some(verified) = verified.filter(|_| fits) else {
            self.count_damaged(now);
            return Ok(());
        };
        let own = self.space.device;
        if header.device == own && header.counter > self.progress.frontier.counter(&own) {
            // Signed by our own key, and we have not written it: our next words must not take
            // its place.
            self.meta.stale = true;
            self.pending.meta = true;
            self.notice(now, NoticeKind::StaleCopy);
        }
        match header.kind {
            EnvelopeType::Epoch => return self.take_epoch_alone(now, &verified),
            EnvelopeType::Snapshot => self.keep_for_boot(verified, true),
            EnvelopeType::Endorse => self.keep_for_boot(verified, false),
            EnvelopeType::Changes | EnvelopeType::Burn => self.count_damaged(now),
        }
        Ok(())
    }

    /// Whether a bootstrap names a device that is not known here, and the links may bring it:
    /// they are asked for then, and again only if they have brought something.
    fn come_from_strangers(&mut self, devices: impl IntoIterator<Item = DeviceId>) -> bool {
        let seqs = self.space.seqs();
        let Some(uplink) = &mut self.uplink else {
            return false;
        };
        let Some(boot) = &mut uplink.boot else {
            return false;
        };
        let mut devices = devices.into_iter();
        let may_ask = uplink.asked_who.as_ref() != Some(&seqs);
        let stranger = may_ask && devices.any(|device| self.space.device(&device).is_none());
        boot.strangers |= stranger;
        stranger
    }

    fn keep_for_boot(&mut self, envelope: VerifiedEnvelope, snapshot: bool) {
        let uplink = self.uplink.as_mut();
        let Some(boot) = uplink.and_then(|uplink| uplink.boot.as_mut()) else {
            return;
        };
        let (kept, most) = match snapshot {
            true => (&mut boot.snapshots, SNAPSHOTS),
            false => (&mut boot.endorsements, ENDORSEMENTS),
        };
        if kept.len() < most {
            kept.push(envelope);
        }
    }

    /// Keeps an EPOCH that is not in its place yet; it counts for its key, and as ground of
    /// others.
    fn take_epoch_alone(
        &mut self,
        now: Now,
        envelope: &VerifiedEnvelope,
    ) -> Result<(), EngineError> {
        let header = *envelope.header();
        let place = (header.device, header.counter);
        let known = self.stored_envelope(&header.device, header.counter)?;
        if known.is_some() || self.meta.epochs.contains(&place) {
            return Ok(());
        }
        let waits = match self.epochs.judge(&self.space, envelope) {
            Verdict::Valid(epoch, history) => {
                let id = envelope.id().into();
                self.epochs
                    .insert(&self.space, id, *epoch, history, now.wall_ms);
                false
            }
            Verdict::Early | Verdict::Orphan => true,
            Verdict::Invalid => return Ok(()),
        };
        let key = Key::Envelope(header.device, header.counter);
        self.pending.batch.put(key, envelope.as_bytes().to_vec());
        self.meta.add_epoch(place.0, place.1, now.wall_ms);
        self.pending.meta = true;
        self.pending.keys = true;
        if waits {
            // Its key may be needed before it is known to be valid.
            self.epochs.take_key(&self.space, envelope);
            self.epochs.waiting.push(place);
        } else {
            self.try_waiting_epochs(now)?;
        }
        Ok(())
    }

    /// Everything that a bootstrap needs has come: chooses a snapshot, or goes on from the log.
    pub(crate) fn begin_start(
        &mut self,
        now: Now,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let Some(uplink) = &mut self.uplink else {
            return Ok(());
        };
        let Some(boot) = uplink.boot.take() else {
            return Ok(());
        };
        let may_ask = uplink.asked_who.as_ref() != Some(&self.space.seqs());
        let mut strangers = boot.strangers;
        let mut partner_only = false;
        let mut best: Option<(EnvelopeName, Snapshot)> = None;
        let needed = boot.trim.as_ref().map(|record| &record.statement.cover);
        for envelope in &boot.snapshots {
            let Some((name, snapshot)) = self.read_boot_snapshot(envelope)? else {
                continue;
            };
            let is_unknown = |device: &DeviceId| self.space.device(device).is_none();
            if snapshot.cover.rows().any(|(device, _)| is_unknown(device)) {
                strangers = true;
                continue;
            }
            let reaches_log = needed.is_none_or(|cover| reaches(&snapshot.cover, cover));
            let further =
                extent(&snapshot.cover) > best.as_ref().map_or(0, |(_, best)| extent(&best.cover));
            if !reaches_log || !further || !self.heads_are_ours(&snapshot) {
                continue;
            }
            if !keys_are_given_up(&snapshot, boot.trim.as_ref()) {
                continue;
            }
            if self.is_vouched_for(&name, &snapshot, &boot)? || self.folded.trusts_partner {
                best = Some((name, snapshot));
            } else {
                partner_only = true;
            }
        }
        if strangers && may_ask {
            self.ask_who(send);
            return Ok(());
        }
        match (best, boot.trim) {
            (Some((name, snapshot)), trim) => {
                // How much was written here meanwhile says nothing about what the others wrote.
                if reaches(&self.progress.frontier, &snapshot.cover) {
                    self.subscribe_anew(send);
                    return Ok(());
                }
                // With the keys that are about to go.
                let beyond = self.changes_beyond(&snapshot.cover)?;
                // What it has retired may be named as parent by the epochs that came.
                for epoch in &snapshot.retired {
                    self.epochs.retire(epoch.id, epoch.number);
                }
                self.try_waiting_epochs(now)?;
                let trim = trim.map(|record| record.encode()).unwrap_or_default();
                self.start_from(now, name, snapshot, trim, beyond)?;
                // Everything may have been burned: then there is no pack to wait for.
                match self.starting.take_if(|starting| starting.left.is_empty()) {
                    Some(starting) => self.end_start(now, starting, send),
                    None => Ok(()),
                }
            }
            (None, None) => {
                self.subscribe_anew(send);
                Ok(())
            }
            (None, Some(_)) => {
                let kind = match partner_only {
                    true => NoticeKind::OnlyPartnerVouches,
                    false => NoticeKind::RolledBack,
                };
                self.notice(now, kind);
                Ok(())
            }
        }
    }

    /// Asks for the links, with the log: if that is cut short, another bootstrap follows.
    fn ask_who(&mut self, send: &mut Vec<ClientMsg>) {
        let seqs = self.space.seqs();
        if let Some(uplink) = &mut self.uplink {
            uplink.asked_who = Some(seqs);
        }
        self.subscribe_anew(send);
    }

    /// Opens an envelope of a bootstrap with whatever key fits, whether or not its epoch is
    /// valid here yet: the commitment in the header tells.
    fn open_alone(&mut self, envelope: &VerifiedEnvelope) -> Result<Plain, EngineError> {
        let header = *envelope.header();
        let Some((place, author)) = self.space.device(&header.device) else {
            return Ok(Plain::Refused);
        };
        let author = author.clone();
        let seqs = match self.space.view(&header.mhead, place, &author) {
            crate::space::View::Links(seqs) => seqs,
            _ => return Ok(Plain::Refused),
        };
        Ok(match self.open_plain(&seqs, envelope) {
            Plain::Early => self.open_by_any_key(envelope),
            opened => opened,
        })
    }

    fn read_boot_snapshot(
        &mut self,
        envelope: &VerifiedEnvelope,
    ) -> Result<Option<(EnvelopeName, Snapshot)>, EngineError> {
        let header = envelope.header();
        let name = EnvelopeName {
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        };
        let Plain::Content(content) = self.open_alone(envelope)? else {
            return Ok(None);
        };
        let snapshot = Snapshot::decode(&content).ok();
        let sound = snapshot.filter(|snapshot| snapshot.cover.counter(&name.device) < name.counter);
        Ok(sound.map(|snapshot| (name, snapshot)))
    }

    /// Whether the chains that a snapshot was made under are part of ours.
    fn heads_are_ours(&self, snapshot: &Snapshot) -> bool {
        let heads = [snapshot.head_lower, snapshot.head_higher];
        let single = self.space.chains.len() == 1;
        let mut all = self.space.chains.iter().zip(heads);
        all.all(|(chain, head)| chain.seq_of(&head).is_some() || self.space.has_root_link())
            && (!single || snapshot.head_higher == LinkHash::ZERO)
    }

    /// Whether a device of our own party made or endorsed a snapshot.
    fn is_vouched_for(
        &mut self,
        name: &EnvelopeName,
        snapshot: &Snapshot,
        boot: &Boot,
    ) -> Result<bool, EngineError> {
        let own = self.space.place;
        let is_own = |device: &DeviceId| {
            let known = self.space.device(device);
            known.is_some_and(|(place, _)| place == own)
        };
        if is_own(&name.device) {
            return Ok(true);
        }
        // Whoever signed the trim to it has endorsed it.
        let signed = boot
            .trim
            .iter()
            .filter(|record| record.statement == super::statement(self.space.id, *name, snapshot));
        let mut signers = signed.flat_map(|record| &record.signatures);
        if signers.any(|(device, _)| is_own(device)) {
            return Ok(true);
        }
        let candidates: Vec<VerifiedEnvelope> = boot
            .endorsements
            .iter()
            .filter(|envelope| is_own(&envelope.header().device))
            .cloned()
            .collect();
        for envelope in candidates {
            let Plain::Content(content) = self.open_alone(&envelope)? else {
                continue;
            };
            let Ok(endorsement) = Endorsement::decode(&content) else {
                continue;
            };
            let device = envelope.header().device;
            if endorsement.snapshot == name.id
                && self.is_signed(name, snapshot, &device, &endorsement.signature)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The person lets a snapshot count that only the partner's devices vouch for.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn trust_partners_copy(&mut self) -> Result<(), EngineError> {
        self.folded.trusts_partner = true;
        self.folded.touch();
        self.commit().map(drop)
    }

    fn start_from(
        &mut self,
        now: Now,
        name: EnvelopeName,
        snapshot: Snapshot,
        trim: Vec<u8>,
        beyond: Beyond,
    ) -> Result<(), EngineError> {
        // Our own device has written more than we know: this home is a copy of an older state.
        let own = self.space.device;
        if snapshot.cover.counter(&own) > self.progress.frontier.counter(&own) {
            self.meta.stale = true;
            self.pending.meta = true;
            self.notice(now, NoticeKind::StaleCopy);
        }
        self.making = None;
        self.comparing = None;
        self.starting = Some(Starting {
            name,
            left: snapshot.packs.iter().cloned().collect(),
            snapshot,
            trim,
            packs: Vec::new(),
            beyond,
            looked: self.progress.frontier.clone(),
        });
        Ok(())
    }

    /// Packs that are needed to begin, newest shelf first.
    #[must_use]
    pub fn packs_to_start(&self) -> Vec<PackRef> {
        let starting = self.starting.iter();
        starting.flat_map(|s| s.left.iter().cloned()).collect()
    }

    /// How far the beginning from a snapshot is; `None` when there is none under way.
    #[must_use]
    pub fn start_progress(&self) -> Option<StartProgress> {
        self.starting.as_ref().map(|starting| StartProgress {
            done: starting.packs.len(),
            of: starting.packs.len() + starting.left.len(),
        })
    }

    /// A pack cannot be had, or is not what it says: the beginning is given up until the next
    /// connection. What was taken in stays.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn give_up_start(&mut self, now: Now, wrong: bool) -> Result<(), EngineError> {
        if let Some(starting) = self.starting.take()
            && wrong
        {
            let (device, counter) = (starting.name.device, starting.name.counter);
            self.tell_unsound(now, device, counter);
            self.commit()?;
        }
        Ok(())
    }

    /// Takes in one pack. With the last one, the frontier jumps.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`]; the connection must be closed then.
    pub fn take_pack(&mut self, now: Now, pack: OpenedPack) -> Result<Outputs, EngineError> {
        let taken = self.take_pack_in(now, pack);
        if taken.is_err() {
            self.starting = None;
            self.reread()?;
        }
        taken
    }

    fn take_pack_in(&mut self, now: Now, pack: OpenedPack) -> Result<Outputs, EngineError> {
        let Some(mut starting) = self.starting.take() else {
            return Ok(Outputs::default());
        };
        let wanted = starting.left.iter().position(|one| *one == pack.reference);
        let Some(wanted) = wanted else {
            self.starting = Some(starting);
            return Ok(Outputs::default());
        };
        starting.left.remove(wanted);
        self.look_beyond(&mut starting.beyond, &mut starting.looked)?;
        let number = self.folded.base.number();
        let mut docs = Vec::with_capacity(pack.docs.len());
        let mut bytes = 0;
        let mut is_stale = false;
        for packed in pack.docs {
            let doc = packed.doc;
            bytes += packed.saved.len() as u64;
            if self.folded.burned.contains(&doc) {
                is_stale = true;
                continue;
            }
            if !self.take_packed(&starting, number, packed)? {
                let (device, counter) = (starting.name.device, starting.name.counter);
                self.pending = crate::replica::Pending::default();
                self.reread()?;
                self.tell_unsound(now, device, counter);
                let events = self.commit()?;
                return Ok(Outputs {
                    events,
                    send: Vec::new(),
                });
            }
            docs.push(doc);
        }
        // What the next snapshot builds on, also if this beginning never comes to its end.
        self.list_pack(pack.reference.clone(), number, &docs, bytes);
        if is_stale {
            self.soil_pack(&pack.reference.blob);
        }
        starting.packs.push((number, docs));
        let mut send = Vec::new();
        if starting.left.is_empty() {
            self.end_start(now, starting, &mut send)?;
        } else {
            self.starting = Some(starting);
        }
        let events = self.commit()?;
        Ok(Outputs { send, events })
    }

    /// Takes in one document; `false` when what is here is not part of it.
    fn take_packed(
        &mut self,
        starting: &Starting,
        number: u32,
        packed: OpenedDoc,
    ) -> Result<bool, EngineError> {
        let OpenedDoc { doc, saved, loaded } = packed;
        let row = self.row(&doc)?;
        let here = row.filter(|row| row.exists());
        let (loaded, saved) = match here {
            None => (loaded, Some(saved)),
            Some(row) => {
                let batch = &self.pending.batch;
                let local = self.cache.load(&row, &mut self.store, batch)?;
                let beyond = starting.beyond.get(&doc);
                match relation(&local.doc, &loaded, beyond) {
                    Relation::Equal | Relation::More => {
                        self.soil(&doc, row.pack);
                        let file = |row: &mut DocMeta| row.pack = number;
                        self.directory.update(doc, &mut self.store, file)?;
                        return Ok(true);
                    }
                    Relation::Less => {
                        let mut whole = loaded;
                        let extra = whole.merge(&mut local.doc.clone());
                        if extra.is_err() {
                            return Ok(false);
                        }
                        (whole, None)
                    }
                    Relation::Differs => return Ok(false),
                }
            }
        };
        if let Some(row) = row {
            self.soil(&doc, row.pack);
        }
        let batch = &mut self.pending.batch;
        self.directory.update(doc, &mut self.store, |row| {
            store_base(row, &loaded, saved, batch);
            row.pack = number;
        })?;
        self.cache.drop_doc(&doc);
        self.touch_at_hand(&doc, &loaded)?;
        let place = owner(&doc).and_then(Owner::place);
        let place = place.unwrap_or(self.space.place);
        self.pending.events.push(Event::DocumentChanged {
            doc,
            by: self.space.party_of(place),
            device: starting.name.device,
            here: false,
        });
        Ok(true)
    }

    /// All packs are here.
    fn end_start(
        &mut self,
        now: Now,
        starting: Starting,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let mut starting = starting;
        self.look_beyond(&mut starting.beyond, &mut starting.looked)?;
        let Starting {
            name,
            snapshot,
            trim,
            packs,
            beyond,
            ..
        } = starting;
        for doc in &snapshot.burned {
            self.forget_document(doc)?;
        }
        if self.lacks(&packs, &beyond)? {
            self.tell_unsound(now, name.device, name.counter);
            return Ok(());
        }
        for (device, position) in snapshot.cover.rows() {
            if position.counter > self.progress.frontier.counter(device) {
                self.progress.frontier.set(*device, *position);
            }
            let heard = self.progress.heard.get(device);
            if heard.is_some_and(|(counter, _)| *counter <= position.counter) {
                self.progress.heard.remove(device);
                self.pending.notices |= self.notices.settle_withheld(device);
            }
        }
        self.pending.progress = true;
        self.jumped();
        self.parked.clear();
        self.retire(&snapshot);
        self.raise_floors(&snapshot.cover);
        if !trim.is_empty() {
            self.folded.trim = trim;
        }
        let new: BTreeSet<u32> = packs.iter().map(|(number, _)| *number).collect();
        let all = self.folded.base.packs.iter().map(|pack| pack.number);
        let old: Vec<u32> = all.filter(|number| !new.contains(number)).collect();
        for number in old {
            self.drop_pack(number)?;
        }
        for doc in beyond.keys() {
            if let Some(row) = self.row(doc)? {
                self.soil(doc, row.pack);
            }
        }
        self.folded.base.place = 0;
        self.set_base(name.id, &snapshot.cover);
        self.remember_snapshot(now, name, snapshot.cover, Standing::Endorsed);
        self.subscribe_anew(send);
        self.pending.events.push(Event::Started);
        Ok(())
    }

    /// Whether a document here is in none of the packs, though it was there at the cover.
    fn lacks(&mut self, packs: &[(u32, Vec<DocId>)], beyond: &Beyond) -> Result<bool, EngineError> {
        let there: BTreeMap<DocId, ()> = packs
            .iter()
            .flat_map(|(_, docs)| docs.iter().map(|doc| (*doc, ())))
            .collect();
        for doc in self.ids_from(0)? {
            if there.contains_key(&doc) {
                continue;
            }
            let Some(row) = self.row(&doc)?.filter(|row| row.exists()) else {
                continue;
            };
            let batch = &self.pending.batch;
            let local = self.cache.load(&row, &mut self.store, batch)?;
            let known = beyond.get(&doc);
            let is_beyond = |hash| known.is_some_and(|known| known.contains(hash));
            let changes = local.doc.get_changes_meta(&[]);
            if !changes.iter().all(|change| is_beyond(&change.hash)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Name of the snapshot that is being taken in.
    #[must_use]
    pub fn starts_from(&self) -> Option<EnvelopeId> {
        self.starting.as_ref().map(|starting| starting.name.id)
    }
}
