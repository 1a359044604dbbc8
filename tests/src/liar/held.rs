//! What the relay holds of a space, and how it shows it.
#![expect(clippy::indexing_slicing, reason = "a test fails where it breaks")]

use ajar_protocol::auth::Login;
use ajar_protocol::client_msg::ChainPosition;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{DeviceId, Envelope, Frontier, Link, PartyChain, Position, SpaceGenesis};

use super::Twists;
use crate::random::Random;

#[derive(Clone)]
pub(super) struct Held {
    pub(super) genesis: SpaceGenesis,
    pub(super) chains: Vec<PartyChain>,
    pub(super) frontier: Frontier,
    pub(super) envelopes: Vec<Vec<u8>>,
}

impl Held {
    pub(super) fn counter(&self, device: &DeviceId) -> u64 {
        self.frontier.counter(device)
    }

    /// What it says that it holds.
    pub(super) fn claimed(&self, claims: Option<u64>) -> Frontier {
        let mut frontier = self.frontier.clone();
        if let Some(counter) = claims {
            for (device, position) in self.frontier.rows() {
                let id = position.id;
                frontier.set(*device, Position { counter, id });
            }
        }
        match claims {
            Some(0) => Frontier::default(),
            _ => frontier,
        }
    }

    /// Envelopes beyond the cut-off of a device.
    pub(super) fn beyond(&self) -> usize {
        let all = self.envelopes.iter();
        all.filter(|bytes| self.is_beyond(bytes)).count()
    }

    pub(super) fn ever_knew(&self, login: &Login) -> bool {
        let mut devices = self
            .chains
            .iter()
            .filter_map(|chain| chain.device(&login.device));
        devices.any(|device| device.keys.auth == login.auth)
    }

    pub(super) fn is_removed(&self, device: &DeviceId) -> bool {
        self.removed_at(device).is_some()
    }

    /// Place of the link that removed a device: where the chain ends that it is shown.
    fn removed_at(&self, device: &DeviceId) -> Option<(usize, u64)> {
        self.chains.iter().enumerate().find_map(|(place, chain)| {
            let revoked = chain.device(device)?.revoked?;
            Some((place, revoked.seq))
        })
    }

    /// How far a device is told that the chains go.
    pub(super) fn positions(&self, device: &DeviceId) -> Vec<ChainPosition> {
        let removed = self.removed_at(device);
        let chains = self.chains.iter().enumerate();
        chains
            .map(|(place, chain)| ChainPosition {
                party: chain.id(),
                next: match removed {
                    Some((chain, at)) if chain == place => at,
                    _ => chain.next_seq(),
                },
            })
            .collect()
    }

    fn is_beyond(&self, bytes: &[u8]) -> bool {
        let header = *Envelope::parse(bytes).unwrap().header();
        let author = self
            .chains
            .iter()
            .find_map(|chain| chain.device(&header.device));
        let revoked = author.and_then(|author| author.revoked);
        revoked.is_some_and(|revoked| header.counter > revoked.cutoff.counter)
    }

    pub(super) fn show(
        &self,
        device: &DeviceId,
        chains: &[ChainPosition],
        frontier: &Frontier,
        twists: &Twists,
    ) -> Vec<RelayMsg> {
        let mut answers = Vec::new();
        for (chain, shown) in self.chains.iter().zip(self.positions(device)) {
            let asked = chains.iter().find(|asked| asked.party == chain.id());
            let from = asked.map_or(0, |asked| asked.next);
            let links = chain.links().iter();
            let links = links.filter(|link| (from..shown.next).contains(&link.seq));
            answers.extend(links.map(|link| RelayMsg::Link(link.as_bytes().to_vec())));
        }
        answers.extend(twists.links.iter().cloned().map(RelayMsg::Link));
        let is_missing = |bytes: &&Vec<u8>| {
            let header = *Envelope::parse(bytes).unwrap().header();
            let hidden = twists.hidden.iter().any(|hidden| {
                let counters = hidden.from..hidden.from.saturating_add(hidden.count);
                hidden.to.contains(device)
                    && hidden.of == header.device
                    && counters.contains(&header.counter)
            });
            header.counter > frontier.counter(&header.device) && !hidden
        };
        let mut missing: Vec<Vec<u8>> = self.envelopes.iter().filter(is_missing).cloned().collect();
        for (number, bytes) in missing.iter_mut().enumerate().filter(|_| twists.damaged) {
            let bits = bytes.len() * 8;
            let bit = (number * 7919 + 977) % bits;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let mut shown = Vec::new();
        for _ in 0..=twists.repeats {
            shown.extend(missing.iter().cloned());
        }
        if let Some(seed) = twists.shuffled {
            Random::of(seed).shuffle(&mut shown);
        }
        answers.extend(shown.into_iter().map(RelayMsg::Envelope));
        answers.push(RelayMsg::CaughtUp);
        answers
    }

    /// Takes whatever it is given, also from who was removed.
    pub(super) fn append(&mut self, bytes: Vec<u8>, keeps: bool) -> RelayMsg {
        let envelope = Envelope::parse(&bytes).unwrap();
        let header = *envelope.header();
        let (device, counter, id) = (header.device, header.counter, envelope.id());
        if keeps && self.frontier.counter(&device) < counter {
            self.frontier.set(device, Position { counter, id });
            self.envelopes.push(bytes);
        }
        RelayMsg::Stored(EnvelopeName {
            device,
            counter,
            id,
        })
    }

    pub(super) fn append_link(&mut self, link: &Link) -> RelayMsg {
        let (seq, party) = (link.seq, link.party);
        let known =
            |chain: &PartyChain| chain.id() == party || chain.head_at(0) == Some(link.hash());
        let chain = self.chains.iter_mut().find(|chain| known(chain));
        match chain.map(|chain| chain.append(link.clone())) {
            Some(Ok(_)) => RelayMsg::LinkStored { party, seq },
            _ => RelayMsg::LinkNotStored {
                party,
                seq,
                reason: Refusal::Conflict,
            },
        }
    }
}
