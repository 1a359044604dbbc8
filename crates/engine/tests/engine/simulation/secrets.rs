//! What must not be readable: what was burned, what a removed device should not see, and words
//! at the relay or in the wrong space.

use std::collections::{BTreeMap, BTreeSet};

use ajar_crypto::seal::open_envelope;
use ajar_crypto::{EpochKey, Secret};
use ajar_engine::BurnStatus;
use ajar_engine::store::Store;
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{DeviceId, DocId, Envelope, EnvelopeType, PartyChain};

use super::Failure;
use super::oracle::{CANARY, Heads, PRIVATE, Rule, contains};
use super::town::{Home, SHARED, Seat, Town};
use crate::toy_relay::ToyRelay;

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
    pub(super) fn examine_burned(&mut self, space: usize, heads: &Heads) -> Result<(), Failure> {
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
        self.examine_burns_end(space)?;
        self.examine_burned_keys(space, &gone)
    }

    /// When everybody is there, every burn comes to its end.
    fn examine_burns_end(&mut self, space: usize) -> Result<(), Failure> {
        let members = self.members(space);
        let is_member = |device: &DeviceId| {
            let mut devices = members.iter().map(|who| self.seats[*who].device);
            devices.any(|member| member == *device)
        };
        let mut devices = self.chains(space).iter().flat_map(PartyChain::devices);
        let absent = devices.any(|(id, device)| device.revoked.is_none() && !is_member(id));
        let copied = self.seats.iter().any(|seat| seat.copied);
        if absent || copied {
            return Ok(());
        }
        // Known: who missed the end of a burn waits for the word of devices that joined after it,
        // until the next snapshot.
        let has_open = |device: &DeviceId, docs: &[DocId]| {
            let seats = self.seats.iter().filter(|seat| seat.device == *device);
            let mut burns = seats
                .filter_map(|seat| seat.home.as_ref())
                .flat_map(Home::burns);
            burns.any(|burn| !burn.keys_destroyed && burn.docs == docs)
        };
        for who in members {
            let burns = self.seats[who].home.as_ref().unwrap().burns();
            let waits = |burn: &BurnStatus| {
                let mut devices = burn.waits_for.iter();
                let waits = devices.any(|device| has_open(device, &burn.docs));
                !burn.keys_destroyed && (waits || burn.waits_for.is_empty())
            };
            if let Some(burn) = burns.iter().find(|burn| waits(burn)) {
                let what = format!("{} waits for ever: {burn:?}", self.name(who));
                return Err(self.fail(Rule::Burned, what));
            }
        }
        Ok(())
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
                // Known: who is still taking in the log for the first time may have the epoch of
                // a burn before the burn, and write under it into what was burned.
                let Some(envelope) = envelope.filter(|written| !written.ahead) else {
                    continue;
                };
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

    pub(super) fn examine_removed(&mut self, space: usize) -> Result<(), Failure> {
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

    pub(super) fn examine_private(&mut self) -> Result<(), Failure> {
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
