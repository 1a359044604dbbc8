//! An honest relay in memory: what a relay must do with each message, and nothing more.

use std::collections::BTreeMap;

use ajar_protocol::chain::ChainError;
use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{DeviceId, Envelope, Frontier, Link, PartyChain, Position};

/// What one relay stores of one space.
#[derive(Clone, Default)]
pub(crate) struct ToyRelay {
    /// In the order of the genesis.
    pub(crate) chains: Vec<PartyChain>,
    /// In the order of arrival.
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) held: BTreeMap<(DeviceId, u64), Envelope>,
    pub(crate) frontier: Frontier,
    /// What it gives to spaces that it has admitted.
    pub(crate) permit: Option<[u8; 64]>,
    /// The log is trimmed to this.
    pub(crate) trim: Option<TrimRecord>,
    /// Envelopes that arrived once more.
    pub(crate) repeated: usize,
}

/// What the relay says, and to whom.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) to_sender: Vec<RelayMsg>,
    pub(crate) to_others: Vec<RelayMsg>,
}

impl ToyRelay {
    pub(crate) fn welcome(&self) -> RelayMsg {
        let position = |chain: &PartyChain| ChainPosition {
            party: chain.id(),
            next: chain.next_seq(),
        };
        RelayMsg::Welcome {
            permit: self.permit.unwrap_or([0; 64]),
            chains: self.chains.iter().map(position).collect(),
            frontier: self.frontier.clone(),
        }
    }

    pub(crate) fn handle(&mut self, message: ClientMsg) -> Answer {
        match message {
            ClientMsg::Subscribe { chains, frontier } => self.subscribe(&chains, &frontier),
            ClientMsg::Append(bytes) => self.append(&bytes),
            ClientMsg::AppendLink(bytes) => self.append_link(&bytes),
            ClientMsg::Bootstrap => self.bootstrap(),
            ClientMsg::Trim(bytes) => self.trim(&bytes),
            other => panic!("the replica said {other:?} to a relay that knows it"),
        }
    }

    fn subscribe(&self, chains: &[ChainPosition], frontier: &Frontier) -> Answer {
        let mut answer = Answer::default();
        for chain in &self.chains {
            let next = chains.iter().find(|c| c.party == chain.id()).unwrap().next;
            let missing = chain.links().iter().filter(|link| link.seq >= next);
            let links = missing.map(|link| RelayMsg::Link(link.as_bytes().to_vec()));
            answer.to_sender.extend(links);
        }
        let behind = |record: &&TrimRecord| {
            let mut rows = record.statement.cover.rows();
            rows.any(|(device, floor)| frontier.counter(device) < floor.counter)
        };
        if let Some(record) = self.trim.as_ref().filter(behind) {
            let trimmed = RelayMsg::Trimmed(record.encode());
            answer.to_sender.push(trimmed);
            return answer;
        }
        for bytes in &self.log {
            let header = *Envelope::parse(bytes).unwrap().header();
            if header.counter > frontier.counter(&header.device) {
                answer.to_sender.push(RelayMsg::Envelope(bytes.clone()));
            }
        }
        answer.to_sender.push(RelayMsg::CaughtUp);
        answer
    }

    fn bootstrap(&self) -> Answer {
        let mut answer = Answer::default();
        let out = &mut answer.to_sender;
        out.extend(
            self.trim
                .iter()
                .map(|record| RelayMsg::Trimmed(record.encode())),
        );
        for kind in [
            EnvelopeType::Epoch,
            EnvelopeType::Snapshot,
            EnvelopeType::Endorse,
        ] {
            let is_kind = |bytes: &&Vec<u8>| Envelope::parse(bytes).unwrap().header().kind == kind;
            let envelopes = self.log.iter().filter(is_kind);
            out.extend(envelopes.map(|bytes| RelayMsg::Envelope(bytes.clone())));
        }
        out.push(RelayMsg::Ready);
        answer
    }

    fn floor(&self, device: &DeviceId) -> u64 {
        let trim = self.trim.as_ref();
        trim.map_or(0, |record| record.statement.cover.counter(device))
    }

    /// As an honest relay does it; the checks that only matter against liars are left out.
    fn trim(&mut self, bytes: &[u8]) -> Answer {
        let mut answer = Answer::default();
        let record = TrimRecord::parse(bytes).unwrap();
        let statement = record.statement.clone();
        let id = statement.snapshot.id;
        let chains: Vec<&PartyChain> = self.chains.iter().collect();
        let is_new = self
            .trim
            .as_ref()
            .is_none_or(|old| old.statement.snapshot.id != id);
        if is_new && record.verify(&statement.space, &chains, true).is_err() {
            let refused = RelayMsg::TrimNotStored(id, Refusal::Violation);
            answer.to_sender.push(refused);
            return answer;
        }
        let mut rows = statement.cover.rows();
        if rows.any(|(device, floor)| self.floor(device) > floor.counter) {
            let refused = RelayMsg::TrimNotStored(id, Refusal::Conflict);
            answer.to_sender.push(refused);
            return answer;
        }
        let stays = |bytes: &Vec<u8>| {
            let header = *Envelope::parse(bytes).unwrap().header();
            let place = (header.device, header.counter);
            let covered = header.counter <= statement.cover.counter(&header.device);
            let epoch = header.kind == EnvelopeType::Epoch;
            !covered || epoch && !statement.retired.contains(&place)
        };
        self.log.retain(stays);
        self.held
            .retain(|_, envelope| stays(&envelope.as_bytes().to_vec()));
        for (device, floor) in statement.cover.rows() {
            if self.frontier.counter(device) < floor.counter {
                self.frontier.set(*device, *floor);
            }
        }
        self.trim = Some(record);
        answer.to_sender.push(RelayMsg::TrimStored(id));
        answer
    }

    fn append(&mut self, bytes: &[u8]) -> Answer {
        let envelope = Envelope::parse(bytes).unwrap();
        let header = *envelope.header();
        let name = EnvelopeName {
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        };
        let mut answer = Answer::default();
        let refuse = |reason| vec![RelayMsg::NotStored(name, reason)];
        let author = self.chains.iter().find_map(|c| c.device(&header.device));
        let Some(author) = author.cloned() else {
            answer.to_sender = refuse(Refusal::NotAdmitted);
            return answer;
        };
        envelope.clone().verify(&author.keys.sign).unwrap();
        let last = self.frontier.of(&header.device);
        if let Some(known) = self.held.get(&(header.device, header.counter)) {
            answer.to_sender = if known.id() == envelope.id() {
                self.repeated += 1;
                vec![RelayMsg::Stored(name)]
            } else {
                refuse(Refusal::Conflict)
            };
            return answer;
        }
        if header.counter <= self.floor(&header.device) {
            if header.kind == EnvelopeType::Epoch {
                self.held.insert((header.device, header.counter), envelope);
                self.log.insert(0, bytes.to_vec());
            }
            answer.to_sender.push(RelayMsg::Stored(name));
            return answer;
        }
        if let Some(revoked) = author.revoked
            && header.counter > revoked.cutoff.counter
        {
            answer.to_sender = refuse(Refusal::Revoked);
            return answer;
        }
        if header.counter != last.map_or(0, |l| l.counter) + 1 {
            answer.to_sender = refuse(Refusal::Gap);
            return answer;
        }
        if last.is_some_and(|l| l.id != header.prev) {
            answer.to_sender = refuse(Refusal::Conflict);
            return answer;
        }
        let position = Position {
            counter: header.counter,
            id: envelope.id(),
        };
        self.frontier.set(header.device, position);
        self.held.insert((header.device, header.counter), envelope);
        self.log.push(bytes.to_vec());
        answer.to_sender.push(RelayMsg::Stored(name));
        answer.to_others.push(RelayMsg::Envelope(bytes.to_vec()));
        answer
    }

    fn append_link(&mut self, bytes: &[u8]) -> Answer {
        let link = Link::parse(bytes).unwrap();
        let (party, seq) = (link.party, link.seq);
        let mut answer = Answer::default();
        // The first link of a chain has no party in its header.
        let hash = link.hash();
        let chain = self
            .chains
            .iter_mut()
            .find(|c| c.id() == party || c.head_at(0) == Some(hash))
            .unwrap();
        let known = chain.head_at(seq) == Some(hash);
        if let Err(error) = chain.append(link.clone()) {
            let Ok(outranked) = chain.outranked_by(link) else {
                let reason = match error {
                    ChainError::Gap { .. } => Refusal::Gap,
                    ChainError::NotAllowed => Refusal::NotAdmitted,
                    _ => Refusal::Conflict,
                };
                let refused = RelayMsg::LinkNotStored { party, seq, reason };
                answer.to_sender.push(refused);
                return answer;
            };
            *chain = outranked;
            self.drop_voided();
        }
        answer.to_sender.push(RelayMsg::LinkStored { party, seq });
        if !known {
            answer.to_others.push(RelayMsg::Link(bytes.to_vec()));
        }
        answer
    }

    /// Forgets what was written by devices that are in no chain any more.
    fn drop_voided(&mut self) {
        let chains = &self.chains;
        let is_in = |device: &DeviceId| chains.iter().any(|c| c.device(device).is_some());
        let author = |bytes: &Vec<u8>| Envelope::parse(bytes).unwrap().header().device;
        self.log.retain(|bytes| is_in(&author(bytes)));
        self.held.retain(|(device, _), _| is_in(device));
        let rows = self.frontier.rows().filter(|(device, _)| is_in(device));
        self.frontier = rows.map(|(d, p)| (*d, *p)).collect();
    }

    /// Loses everything but the founding links.
    pub(crate) fn wipe(&mut self) {
        let founding = |chain: &PartyChain| PartyChain::start(chain.links()[0].clone()).unwrap();
        *self = Self {
            chains: self.chains.iter().map(founding).collect(),
            ..Self::default()
        };
    }

    /// Goes back to the first `n` envelopes.
    pub(crate) fn roll_back(&mut self, n: usize) {
        let log = std::mem::take(&mut self.log);
        let chains = self.chains.clone();
        *self = Self {
            chains,
            ..Self::default()
        };
        for bytes in log.into_iter().take(n) {
            self.append(&bytes);
        }
    }

    /// Envelopes of one device, by counter.
    pub(crate) fn of(&self, device: &DeviceId) -> Vec<Vec<u8>> {
        self.held
            .range((*device, 0)..=(*device, u64::MAX))
            .map(|(_, envelope)| envelope.as_bytes().to_vec())
            .collect()
    }
}
