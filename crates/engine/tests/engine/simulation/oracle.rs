//! What must hold after every run, and what is written down during it to tell.

use std::collections::{BTreeMap, BTreeSet};

use ajar_crypto::seal::open_envelope;
use ajar_crypto::{EpochKey, Secret};
use ajar_engine::NoticeKind;
use ajar_engine::store::{Key, Store};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{DeviceId, DocId, Envelope, EnvelopeId, EnvelopeType, PartyChain, SpaceId};
use automerge::{ChangeHash, ReadDoc};
use memchr::memmem;

use super::Failure;
use super::plan::ALARMS;
use super::town::{Home, SHARED, Seat, Town};
use crate::toy_relay::ToyRelay;

/// In everything that is written into the shared space.
pub(super) const WRITTEN: &str = "CANARY-shared";
/// In everything that is written into a private space and not opened.
pub(super) const PRIVATE: &str = "CANARY-private";
/// In both.
const CANARY: &str = "CANARY";

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The engine never says that it has a bug or that its store is damaged, nor panics.
    Sound,
    /// The devices come to rest.
    Rest,
    /// The same documents with the same heads wherever they should be.
    Converged,
    /// What was said to be kept is there.
    Kept,
    /// What was burned is gone, for good.
    Burned,
    /// A removed device reads nothing that was written by those who knew.
    Removed,
    /// No counter is used twice, and nothing is sent that is not on disk.
    Counter,
    /// Nothing of a private space is seen elsewhere, and the relay sees no word at all.
    Private,
    /// Nobody is accused while all are honest.
    FalseAlarm,
}

/// An envelope as its author made it.
struct Written {
    space: usize,
    envelope: Envelope,
    /// Devices of which the author knew that they were removed.
    gone: BTreeSet<DeviceId>,
}

/// A change that the engine said to be kept.
struct Kept {
    seat: usize,
    space: usize,
    doc: DocId,
    hash: ChangeHash,
    deps: Vec<ChangeHash>,
    device: DeviceId,
    counter: u64,
    id: EnvelopeId,
}

struct Burned {
    space: usize,
    person: usize,
    doc: DocId,
    device: DeviceId,
    /// Where the burn stands, if it was made at all.
    position: Option<(u64, EnvelopeId)>,
}

/// What was written down during a run.
#[derive(Default)]
pub(super) struct Ledger {
    written: Vec<Written>,
    kept: Vec<Kept>,
    by_hash: BTreeMap<ChangeHash, usize>,
    accepted: BTreeMap<(SpaceId, DeviceId, u64), EnvelopeId>,
    sent: BTreeMap<(SpaceId, DeviceId, u64), (EnvelopeId, usize)>,
    burned: Vec<Burned>,
    pub(super) burn_tried: BTreeSet<DocId>,
    pub(super) opened: Vec<(usize, DocId)>,
    pub(super) canaries: usize,
    pub(super) recoveries: usize,
}

impl Ledger {
    pub(super) fn wrote(
        &mut self,
        _who: usize,
        space: usize,
        envelope: &Envelope,
        gone: &BTreeSet<DeviceId>,
    ) {
        self.written.push(Written {
            space,
            envelope: envelope.clone(),
            gone: gone.clone(),
        });
    }

    pub(super) fn kept(
        &mut self,
        seat: usize,
        space: usize,
        doc: DocId,
        hash: ChangeHash,
        deps: Vec<ChangeHash>,
        envelope: &Envelope,
    ) {
        let header = envelope.header();
        self.by_hash.insert(hash, self.kept.len());
        self.kept.push(Kept {
            seat,
            space,
            doc,
            hash,
            deps,
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        });
    }

    pub(super) fn knows(&self, hash: &ChangeHash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// A relay took an envelope that it did not have.
    pub(super) fn accepted(&mut self, space: SpaceId, bytes: &[u8]) {
        let envelope = Envelope::parse(bytes).unwrap();
        let header = envelope.header();
        let place = (space, header.device, header.counter);
        self.accepted.entry(place).or_insert(envelope.id());
    }

    pub(super) fn burned(
        &mut self,
        _who: usize,
        seat: &Seat,
        doc: DocId,
        position: Option<(u64, EnvelopeId)>,
    ) {
        self.burned.push(Burned {
            space: seat.space,
            person: seat.person,
            doc,
            device: seat.device,
            position,
        });
    }

    /// How many changes were kept.
    pub(super) fn changes(&self) -> usize {
        self.kept.len()
    }
}

pub(super) type Heads = BTreeMap<DocId, Vec<ChangeHash>>;

pub(super) fn heads(home: &mut Home) -> Heads {
    let docs = home.documents().unwrap();
    docs.iter()
        .map(|doc| {
            let mut heads = home.document(&doc.id).unwrap().get_heads();
            heads.sort();
            (doc.id, heads)
        })
        .collect()
}

fn contains(bytes: &[u8], what: &str) -> bool {
    memmem::find(bytes, what.as_bytes()).is_some()
}

/// Everything that a relay holds of a space.
fn memory(relay: &ToyRelay) -> Vec<&[u8]> {
    let links = relay.chains.iter().flat_map(PartyChain::links);
    let mut all: Vec<&[u8]> = links.map(|link| link.as_bytes()).collect();
    all.extend(relay.log.iter().map(Vec::as_slice));
    all.extend(relay.held.values().map(Envelope::as_bytes));
    all
}

/// Keys in a key file.
fn keys(seat: &mut Seat) -> Vec<EpochKey> {
    let ring = seat.disk.load_keys().unwrap().unwrap();
    let entries = ring[99..].chunks_exact(64);
    entries
        .map(|entry| EpochKey::new(Secret::from_slice(&entry[32..]).unwrap()))
        .collect()
}

impl Town {
    /// Looks at a message on its way to a relay.
    pub(super) fn examine_sent(&mut self, who: usize, message: &ClientMsg) -> Result<(), Failure> {
        let bytes = match message {
            ClientMsg::Append(bytes) | ClientMsg::AppendLink(bytes) | ClientMsg::Trim(bytes) => {
                bytes
            }
            _ => return Ok(()),
        };
        if contains(bytes, CANARY) {
            return Err(self.fail(Rule::Private, "words go to the relay"));
        }
        if !matches!(message, ClientMsg::Append(_)) {
            return Ok(());
        }
        let envelope = Envelope::parse(bytes).unwrap();
        let header = *envelope.header();
        let space = self.spaces[self.seats[who].space];
        let place = (space, header.device, header.counter);
        let first = *self
            .ledger
            .sent
            .entry(place)
            .or_insert((envelope.id(), who));
        let copied = self
            .seats
            .iter()
            .any(|seat| seat.device == header.device && seat.copied);
        if first.0 != envelope.id() && !(copied && first.1 != who) {
            let what = format!(
                "{} sends another envelope {} of {:?} than {} did",
                self.name(who),
                header.counter,
                header.device,
                self.name(first.1)
            );
            return Err(self.fail(Rule::Counter, what));
        }
        let key = Key::Envelope(header.device, header.counter);
        if self.seats[who].disk.load(&key).unwrap().as_deref() != Some(bytes) {
            let what = format!("{} sends what is not on disk", self.name(who));
            return Err(self.fail(Rule::Counter, what));
        }
        Ok(())
    }

    /// The chains of a space, as the relay that all use in the end has them.
    fn chains(&self, space: usize) -> &[PartyChain] {
        let relay = &self.relays[self.relay_of[0]].spaces[&self.spaces[space]];
        &relay.chains
    }

    fn has_removed(&self, space: usize) -> bool {
        let mut devices = self.chains(space).iter().flat_map(PartyChain::devices);
        devices.any(|(_, device)| device.revoked.is_some())
    }

    /// Seats that must all hold the same.
    fn members(&self, space: usize) -> Vec<usize> {
        let chains = self.chains(space);
        let active = |device: &DeviceId| chains.iter().any(|c| c.active(device).is_some());
        let seats = self.seats.iter().enumerate();
        let fresh = |seat: &Seat| {
            let home = seat.home.as_ref();
            home.is_some_and(|home| !home.status().stale)
        };
        seats
            .filter(|(_, seat)| seat.space == space && !seat.lost && active(&seat.device))
            .filter(|(_, seat)| fresh(seat))
            .map(|(who, _)| who)
            .collect()
    }

    /// Whether an envelope at this place counts in the end; `None` when it was never delivered.
    fn counts(
        &self,
        space: usize,
        device: &DeviceId,
        counter: u64,
        id: EnvelopeId,
    ) -> Option<bool> {
        let place = (self.spaces[space], *device, counter);
        let accepted = *self.ledger.accepted.get(&place)?;
        let author = self.chains(space).iter().find_map(|c| c.device(device));
        let within = author.is_some_and(|author| {
            let cutoff = author.revoked.map(|revoked| revoked.cutoff.counter);
            cutoff.is_none_or(|cutoff| counter <= cutoff)
        });
        Some(within && accepted == id)
    }

    /// Writes down how far everybody is, for whoever looks at a failure.
    pub(super) fn describe(&self) {
        for (number, relay) in self.relays.iter().enumerate() {
            for (space, relay) in &relay.spaces {
                let place = self.spaces.iter().position(|one| one == space);
                for bytes in &relay.log {
                    let Ok(envelope) = Envelope::parse(bytes) else {
                        continue;
                    };
                    let header = envelope.header();
                    self.say(format!(
                        "relay {number}, space {place:?}: {:?} {} of {:?} under {:?} is {:?}",
                        header.kind,
                        header.counter,
                        header.device,
                        header.epoch,
                        envelope.id()
                    ));
                }
                if let Some(trim) = &relay.trim {
                    let rows: Vec<_> = trim.statement.cover.rows().collect();
                    self.say(format!(
                        "relay {number}, space {place:?}: trimmed to {rows:?}"
                    ));
                }
            }
        }
        for (who, seat) in self.seats.iter().enumerate() {
            let Some(home) = &seat.home else { continue };
            let rows: Vec<_> = home
                .frontier()
                .rows()
                .map(|(d, p)| (*d, p.counter))
                .collect();
            let status = home.status();
            self.say(format!(
                "{} {:?} is at {rows:?}, {} wait, {} are missing; {:?}",
                self.name(who),
                seat.device,
                status.parked,
                status.missing,
                home.burns()
            ));
        }
    }

    /// All rules that are looked at when everything has come to rest.
    pub(super) fn examine(&mut self) -> Result<(), Failure> {
        for space in 0..self.spaces.len() {
            self.examine_stores(space)?;
            let heads = self.examine_heads(space)?;
            self.examine_kept(space, &heads)?;
            self.examine_burned(space, &heads)?;
            self.examine_removed(space)?;
        }
        self.examine_private()?;
        self.examine_notices()?;
        self.examine_restart()
    }

    fn examine_stores(&mut self, space: usize) -> Result<(), Failure> {
        for who in self.in_use(space) {
            let checked = self.seats[who].home.as_mut().unwrap().check();
            if !checked.findings.is_empty() {
                let what = format!("{}: {:?}", self.name(who), checked.findings);
                return Err(self.fail(Rule::Sound, what));
            }
        }
        Ok(())
    }

    fn examine_heads(&mut self, space: usize) -> Result<Heads, Failure> {
        let mut first: Option<(usize, Heads)> = None;
        for who in self.members(space) {
            let home = self.seats[who].home.as_mut().unwrap();
            let here = heads(home);
            let status = home.status();
            let frontier = home.frontier().clone();
            if status.parked + usize::try_from(status.missing).unwrap_or(1) > 0
                && self.ledger.recoveries == 0
            {
                let what = format!(
                    "{}: {} wait, {} are missing",
                    self.name(who),
                    status.parked,
                    status.missing
                );
                return Err(self.fail(Rule::Converged, what));
            }
            let Some((other, there)) = &first else {
                first = Some((who, here));
                continue;
            };
            let same = frontier == *self.seats[*other].home.as_ref().unwrap().frontier();
            if here != *there || !same {
                let differ: Vec<_> = here
                    .iter()
                    .filter(|(doc, heads)| there.get(doc) != Some(heads))
                    .chain(there.iter().filter(|(doc, _)| !here.contains_key(doc)))
                    .map(|(doc, _)| *doc)
                    .collect();
                let what = format!(
                    "{} and {} differ in {differ:?}{}",
                    self.name(who),
                    self.name(*other),
                    if same { "" } else { " and in their frontiers" }
                );
                return Err(self.fail(Rule::Converged, what));
            }
        }
        Ok(first.map(|(_, heads)| heads).unwrap_or_default())
    }

    /// Which kept changes must be there, by their place in the ledger. What stands on something
    /// that does not count does not count either.
    fn must_be_there(&self, space: usize, members: &[usize]) -> Result<Vec<bool>, Failure> {
        let mut must = Vec::with_capacity(self.ledger.kept.len());
        for kept in &self.ledger.kept {
            let counts = self.counts(kept.space, &kept.device, kept.counter, kept.id);
            if counts.is_none() && kept.space == space && members.contains(&kept.seat) {
                let what = format!(
                    "envelope {} of {} was kept and never reached the relay",
                    kept.counter,
                    self.name(kept.seat)
                );
                return Err(self.fail(Rule::Kept, what));
            }
            let grounded = kept.deps.iter().all(|dep| {
                let place = self.ledger.by_hash.get(dep);
                place.is_some_and(|place| must.get(*place).copied().unwrap_or(false))
            });
            must.push(counts == Some(true) && grounded);
        }
        Ok(must)
    }

    fn examine_kept(&mut self, space: usize, heads: &Heads) -> Result<(), Failure> {
        let members = self.members(space);
        let must = self.must_be_there(space, &members)?;
        for (place, must) in must.into_iter().enumerate() {
            let kept = &self.ledger.kept[place];
            if !must || kept.space != space {
                continue;
            }
            if !heads.contains_key(&kept.doc) && self.ledger.burn_tried.contains(&kept.doc) {
                continue;
            }
            let (doc, hash, author) = (kept.doc, kept.hash, kept.seat);
            // They are all alike.
            let Some(who) = members.first().copied() else {
                return Ok(());
            };
            let document = self.seats[who].home.as_mut().unwrap().document(&doc);
            let there = document.is_ok_and(|document| document.get_change_by_hash(&hash).is_some());
            if !there {
                let what = format!(
                    "{} kept {hash} of {doc:?}, and {} does not have it",
                    self.name(author),
                    self.name(who)
                );
                return Err(self.fail(Rule::Kept, what));
            }
        }
        Ok(())
    }

    fn examine_burned(&mut self, space: usize, heads: &Heads) -> Result<(), Failure> {
        let mut voices: BTreeMap<DocId, BTreeSet<usize>> = BTreeMap::new();
        let mut gone = BTreeSet::new();
        for burned in &self.ledger.burned {
            let Some((counter, id)) = burned.position else {
                gone.insert(burned.doc);
                continue;
            };
            if burned.space != space
                || self.counts(space, &burned.device, counter, id) != Some(true)
            {
                continue;
            }
            let voices = voices.entry(burned.doc).or_default();
            voices.insert(burned.person);
            if space != SHARED || voices.len() == 2 {
                gone.insert(burned.doc);
            }
        }
        if let Some(doc) = gone.iter().find(|doc| heads.contains_key(doc)) {
            let what = format!("{doc:?} was burned and is still there");
            return Err(self.fail(Rule::Burned, what));
        }
        self.examine_burned_keys(space, &gone)
    }

    /// Where a device says that the keys are destroyed, nothing of what was burned opens.
    fn examine_burned_keys(&mut self, space: usize, gone: &BTreeSet<DocId>) -> Result<(), Failure> {
        for who in self.members(space) {
            let burns = self.seats[who].home.as_ref().unwrap().burns();
            let destroyed = burns.iter().filter(|burn| burn.keys_destroyed);
            let docs: BTreeSet<DocId> = destroyed.flat_map(|burn| burn.docs.clone()).collect();
            if docs.is_empty() {
                continue;
            }
            let keys = keys(&mut self.seats[who]);
            for kept in self
                .ledger
                .kept
                .iter()
                .filter(|kept| docs.contains(&kept.doc))
            {
                let envelope = self
                    .ledger
                    .written
                    .iter()
                    .find(|w| w.envelope.id() == kept.id);
                let Some(envelope) = envelope else { continue };
                if self.opens(space, &envelope.envelope, &keys) {
                    let what = format!(
                        "{} still opens envelope {} with {:?}, of {} burned",
                        self.name(who),
                        kept.counter,
                        kept.doc,
                        gone.len()
                    );
                    return Err(self.fail(Rule::Burned, what));
                }
            }
        }
        Ok(())
    }

    fn opens(&self, space: usize, envelope: &Envelope, keys: &[EpochKey]) -> bool {
        let mut chains = self.chains(space).iter();
        let author = chains.find_map(|chain| chain.device(&envelope.header().device));
        let Some(author) = author else { return false };
        let envelope = envelope.clone().verify(&author.keys.sign).unwrap();
        keys.iter().any(|key| open_envelope(&envelope, key).is_ok())
    }

    fn examine_removed(&mut self, space: usize) -> Result<(), Failure> {
        for who in 0..self.seats.len() {
            if self.seats[who].space != space {
                continue;
            }
            let device = self.seats[who].device;
            let keys = keys(&mut self.seats[who]);
            for written in &self.ledger.written {
                if written.space != space || !written.gone.contains(&device) {
                    continue;
                }
                let header = written.envelope.header();
                let reaches = match header.kind {
                    EnvelopeType::Epoch => {
                        let bytes = written.envelope.as_bytes();
                        let end = bytes.len() - ajar_protocol::envelope::SIGNATURE;
                        let record = &bytes[ajar_protocol::envelope::HEADER..end];
                        let record = EpochRecord::parse(record).unwrap();
                        record.seals.iter().any(|seal| seal.recipient == device.0)
                    }
                    _ => self.opens(space, &written.envelope, &keys),
                };
                if reaches {
                    let what = format!(
                        "{} was removed and opens envelope {} of {:?}",
                        self.name(who),
                        header.counter,
                        header.device
                    );
                    return Err(self.fail(Rule::Removed, what));
                }
            }
        }
        Ok(())
    }

    fn examine_private(&mut self) -> Result<(), Failure> {
        for relay in &self.relays {
            for space in relay.spaces.values() {
                if memory(space).iter().any(|bytes| contains(bytes, CANARY)) {
                    return Err(self.fail(Rule::Private, "a relay holds words"));
                }
            }
        }
        if self
            .blobs
            .values()
            .any(|pack| contains(&pack.ciphertext, CANARY))
        {
            return Err(self.fail(Rule::Private, "a pack holds words"));
        }
        for who in 0..self.seats.len() {
            if self.seats[who].space != SHARED {
                continue;
            }
            let records = self.seats[who].disk.records();
            let mut found = records.iter().any(|(_, bytes)| contains(bytes, PRIVATE));
            if let Some(home) = &mut self.seats[who].home {
                for doc in home.documents().unwrap() {
                    let document = home.document(&doc.id).unwrap();
                    let changes = document.get_changes(&[]).into_iter();
                    found |= changes
                        .into_iter()
                        .any(|c| contains(c.raw_bytes(), PRIVATE));
                }
            }
            if found {
                let what = format!("{} holds words of a draft", self.name(who));
                return Err(self.fail(Rule::Private, what));
            }
        }
        Ok(())
    }

    fn examine_notices(&mut self) -> Result<(), Failure> {
        let moved = self.relay_of[0] > 0;
        let told_all = std::env::var_os(ALARMS).is_some();
        // A removed device is told what it cannot open, and why.
        let members: Vec<usize> = (0..self.spaces.len())
            .flat_map(|space| self.members(space))
            .collect();
        for who in members {
            let seat = &self.seats[who];
            let Some(home) = &seat.home else { continue };
            for notice in home.status().notices {
                let honest = match notice.kind {
                    NoticeKind::BadEpoch { .. } | NoticeKind::ChainFork { .. } => false,
                    // Known: a device that has taken in nothing of others yet is sent epochs of
                    // devices whose links it has not been sent, and calls them damaged.
                    NoticeKind::DamagedData => !told_all && self.plan.traits.has_newcomers(),
                    // Known: see `ALARMS`.
                    NoticeKind::SnapshotDiffers { .. } => !told_all && self.plan.traits.burns,
                    // What stands on words beyond a cut-off is left out, and that is said.
                    NoticeKind::Unopenable { .. } => self.has_removed(seat.space),
                    NoticeKind::Forked { .. } | NoticeKind::StaleCopy => {
                        self.seats.iter().any(|seat| seat.copied)
                    }
                    NoticeKind::RolledBack => moved,
                    NoticeKind::Withheld { .. } => {
                        self.ledger.recoveries > 0 || moved || self.plan.traits.members
                    }
                    _ => true,
                };
                if !honest {
                    let what = format!("{}: {:?}", self.name(who), notice.kind);
                    return Err(self.fail(Rule::FalseAlarm, what));
                }
            }
        }
        Ok(())
    }

    /// What is on disk is what was in memory.
    fn examine_restart(&mut self) -> Result<(), Failure> {
        for who in 0..self.seats.len() {
            let Some(home) = &mut self.seats[who].home else {
                continue;
            };
            let before = (heads(home), home.frontier().clone());
            self.open(who)?;
            let home = self.seats[who].home.as_mut().unwrap();
            if before != (heads(home), home.frontier().clone()) {
                let what = format!("{} is another one after a restart", self.name(who));
                return Err(self.fail(Rule::Kept, what));
            }
        }
        Ok(())
    }

    /// For a defect: what a removed device would have if somebody gave it the keys.
    pub(super) fn give_keys(&mut self) {
        let ring = self.seats[0].disk.load_keys().unwrap().unwrap();
        let removed: Vec<usize> = (0..self.seats.len())
            .filter(|who| self.seats[*who].space == SHARED)
            .filter(|who| !self.members(SHARED).contains(who))
            .collect();
        for who in removed {
            let own = self.seats[who].disk.load_keys().unwrap().unwrap();
            let mut given = own.clone();
            given.truncate(97);
            given.extend_from_slice(&ring[97..]);
            self.seats[who].disk.save_keys(&given).unwrap();
        }
    }
}
