//! What is written down during a run, to tell afterwards what must hold.

use std::collections::{BTreeMap, BTreeSet};

use ajar_protocol::envelope::{EnvelopeHeader, HEADER, SIGNATURE};
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{DeviceId, DocId, Envelope, EnvelopeId, EpochId, Frontier, SpaceId};
use automerge::ChangeHash;

use super::town::Seat;

/// An envelope as its author made it.
pub(super) struct Written {
    pub(super) space: usize,
    pub(super) envelope: Envelope,
    /// Devices of which the author knew that they were removed.
    pub(super) gone: BTreeSet<DeviceId>,
    /// Its author had the epoch, or one that this follows, and not yet all that came before it.
    pub(super) ahead: bool,
}

/// A change that the engine said to be kept.
pub(super) struct Kept {
    pub(super) seat: usize,
    pub(super) space: usize,
    pub(super) doc: DocId,
    pub(super) hash: ChangeHash,
    pub(super) deps: Vec<ChangeHash>,
    pub(super) device: DeviceId,
    pub(super) counter: u64,
    pub(super) id: EnvelopeId,
}

pub(super) struct Burned {
    pub(super) space: usize,
    pub(super) person: usize,
    pub(super) doc: DocId,
    pub(super) device: DeviceId,
    /// Where the burn stands, if it was made at all.
    pub(super) position: Option<(u64, EnvelopeId)>,
}

/// What was written down during a run.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) written: Vec<Written>,
    pub(super) kept: Vec<Kept>,
    pub(super) by_hash: BTreeMap<ChangeHash, usize>,
    pub(super) accepted: BTreeMap<(SpaceId, DeviceId, u64), EnvelopeId>,
    pub(super) sent: BTreeMap<(SpaceId, DeviceId, u64), (EnvelopeId, usize)>,
    pub(super) burned: Vec<Burned>,
    pub(super) burn_tried: BTreeSet<DocId>,
    pub(super) opened: Vec<(usize, DocId)>,
    pub(super) canaries: usize,
    pub(super) recoveries: usize,
}

impl Ledger {
    pub(super) fn wrote(
        &mut self,
        space: usize,
        envelope: &Envelope,
        gone: &BTreeSet<DeviceId>,
        frontier: &Frontier,
    ) {
        // A copy takes over the epochs that its original made.
        let mut known = self.written.iter();
        if known.any(|known| known.envelope.id() == envelope.id()) {
            return;
        }
        let ahead = self.stands_on(envelope.header().epoch, |place| {
            frontier.counter(&place.device) < place.counter
        });
        self.written.push(Written {
            space,
            envelope: envelope.clone(),
            gone: gone.clone(),
            ahead,
        });
    }

    /// Whether an epoch, or one that it follows, is such a one. Whoever begins may make an epoch
    /// of its own after one that it has ahead of its place.
    fn stands_on(&self, epoch: EpochId, is_such: impl Fn(&EnvelopeHeader) -> bool) -> bool {
        let mut next = vec![epoch];
        let mut looked_at = BTreeSet::new();
        while let Some(id) = next.pop() {
            let mut written = self.written.iter().map(|written| &written.envelope);
            let Some(one) = written.find(|one| EpochId::from(one.id()) == id) else {
                continue;
            };
            if is_such(one.header()) {
                return true;
            }
            if looked_at.insert(id) {
                let bytes = one.as_bytes();
                let record = EpochRecord::parse(&bytes[HEADER..bytes.len() - SIGNATURE]);
                next.extend(record.unwrap().parents);
            }
        }
        false
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

    pub(super) fn burned(&mut self, seat: &Seat, doc: DocId, position: Option<(u64, EnvelopeId)>) {
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
