//! What must hold after every run.

use std::collections::BTreeMap;

use ajar_engine::NoticeKind;
use ajar_engine::store::{Key, Store};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::{DeviceId, DocId, Envelope, EnvelopeId, PartyChain};
use automerge::{ChangeHash, ReadDoc};
use memchr::memmem;

use super::Failure;
use super::town::{Home, Seat, Town};

/// In everything that is written into the shared space.
pub(super) const WRITTEN: &str = "CANARY-shared";
/// In everything that is written into a private space and not opened.
pub(super) const PRIVATE: &str = "CANARY-private";
/// In both.
pub(super) const CANARY: &str = "CANARY";

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

pub(super) fn contains(bytes: &[u8], what: &str) -> bool {
    memmem::find(bytes, what.as_bytes()).is_some()
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
    pub(super) fn chains(&self, space: usize) -> &[PartyChain] {
        let relay = &self.relays[self.relay_of[0]].spaces[&self.spaces[space]];
        &relay.chains
    }

    fn has_removed(&self, space: usize) -> bool {
        let mut devices = self.chains(space).iter().flat_map(PartyChain::devices);
        devices.any(|(_, device)| device.revoked.is_some())
    }

    /// Seats that must all hold the same.
    pub(super) fn members(&self, space: usize) -> Vec<usize> {
        let chains = self.chains(space);
        let active = |device: &DeviceId| chains.iter().any(|c| c.active(device).is_some());
        let seats = self.seats.iter().enumerate();
        let fresh = |seat: &Seat| {
            let home = seat.home.as_ref();
            home.is_some_and(|home| !home.status().stale) && !Self::has_split(seat)
        };
        seats
            .filter(|(_, seat)| seat.space == space && !seat.lost && active(&seat.device))
            .filter(|(_, seat)| fresh(seat))
            .map(|(who, _)| who)
            .collect()
    }

    /// A home and its copy both wrote, and the log was given up to what the copy wrote: what the
    /// home has is not part of it, so it takes nothing and says so (protocol §2.10).
    fn has_split(seat: &Seat) -> bool {
        let notices = seat.home.iter().flat_map(|home| home.status().notices);
        let mut notices = notices.map(|notice| notice.kind);
        seat.copied && notices.any(|kind| matches!(kind, NoticeKind::SnapshotDiffers { .. }))
    }

    /// Whether an envelope at this place counts in the end; `None` when it was never delivered.
    pub(super) fn counts(
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

    fn examine_notices(&mut self) -> Result<(), Failure> {
        let moved = self.relay_of[0] > 0;
        // A removed device is told what it cannot open, and why.
        let members: Vec<usize> = (0..self.spaces.len())
            .flat_map(|space| self.members(space))
            .collect();
        for who in members {
            let seat = &self.seats[who];
            let Some(home) = &seat.home else { continue };
            for notice in home.status().notices {
                let honest = match notice.kind {
                    NoticeKind::BadEpoch { .. }
                    | NoticeKind::ChainFork { .. }
                    | NoticeKind::DamagedData
                    | NoticeKind::SnapshotDiffers { .. } => false,
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
}
