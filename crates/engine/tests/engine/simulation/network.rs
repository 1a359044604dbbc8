//! Relays and connections. A connection is a stream in each direction: what is sent arrives in
//! order or not at all. So messages are lost when a connection breaks under them, and come in
//! another order only along different connections.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ajar_protocol::auth::permit;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Link, PartyChain, SpaceGenesis, SpaceId};
use ed25519_dalek::SigningKey;

use super::plan::{Dice, Traits};
use crate::toy_relay::{Answer, ToyRelay};

/// A relay and what it holds.
pub(super) struct Relay {
    secret: SigningKey,
    pub(super) spaces: BTreeMap<SpaceId, ToyRelay>,
}

impl Relay {
    pub(super) fn new(number: u8) -> Self {
        Self {
            secret: SigningKey::from_bytes(&[number + 7; 32]),
            spaces: BTreeMap::new(),
        }
    }

    pub(super) fn key(&self) -> [u8; 32] {
        self.secret.verifying_key().to_bytes()
    }

    fn introduce(&mut self, genesis: &[u8]) {
        let space = SpaceGenesis::parse(genesis).unwrap().id();
        let permit = Some(permit(&self.secret, &space));
        self.spaces.entry(space).or_insert_with(|| ToyRelay {
            permit,
            ..ToyRelay::default()
        });
    }

    /// A founding link that the relay has not seen.
    fn found(&mut self, space: &SpaceId, bytes: &[u8]) -> bool {
        let link = Link::parse(bytes).unwrap();
        let relay = self.spaces.get_mut(space).unwrap();
        let hash = link.hash();
        let known = |chain: &PartyChain| chain.head_at(0) == Some(hash);
        if link.seq > 0 || relay.chains.iter().any(known) {
            return false;
        }
        relay.chains.push(PartyChain::start(link).unwrap());
        true
    }

    /// Takes what a device says about its space.
    pub(super) fn hear(&mut self, space: &SpaceId, message: ClientMsg) -> Answer {
        match message {
            ClientMsg::Introduce { genesis, .. } => {
                self.introduce(&genesis);
                Answer::default()
            }
            ClientMsg::AppendLink(bytes) if self.found(space, &bytes) => Answer::default(),
            message => {
                let relay = self.spaces.get_mut(space).unwrap();
                relay.handle(message)
            }
        }
    }

    /// Lets a device in, or not.
    pub(super) fn greet(&self, space: &SpaceId) -> RelayMsg {
        match self.spaces.get(space) {
            Some(relay) => relay.welcome(),
            None => RelayMsg::Refused(Refusal::NotAdmitted),
        }
    }
}

/// What travels towards a relay.
#[derive(Debug)]
pub(super) enum Up {
    /// What comes before the login: the space itself.
    Introduction(Vec<ClientMsg>),
    Login,
    Say(ClientMsg),
}

/// One connection of one seat.
pub(super) struct Conn {
    pub(super) seat: usize,
    pub(super) relay: usize,
    pub(super) space: SpaceId,
    /// What is new is sent to it as it comes.
    pub(super) live: bool,
    pub(super) up: Way<Up>,
    pub(super) down: Way<RelayMsg>,
}

/// One direction: messages and when each arrives.
pub(super) struct Way<M> {
    under_way: VecDeque<(Duration, M)>,
    last: Duration,
}

impl<M> Way<M> {
    fn new() -> Self {
        Self {
            under_way: VecDeque::new(),
            last: Duration::ZERO,
        }
    }

    /// Sends a message; returns when it arrives.
    pub(super) fn send(&mut self, now: Duration, delay: Duration, message: M) -> Duration {
        let at = self.last.max(now + delay);
        self.last = at;
        self.under_way.push_back((at, message));
        at
    }

    /// Takes what has arrived, at most `most`.
    pub(super) fn arrived(&mut self, now: Duration, most: usize) -> Vec<M> {
        let there = self.under_way.iter().take_while(|(at, _)| *at <= now);
        let n = there.count().min(most);
        self.under_way
            .drain(..n)
            .map(|(_, message)| message)
            .collect()
    }

    /// Whether something waits that has arrived.
    pub(super) fn waits(&self, now: Duration) -> bool {
        self.under_way.front().is_some_and(|(at, _)| *at <= now)
    }
}

impl Conn {
    pub(super) fn new(seat: usize, relay: usize, space: SpaceId) -> Self {
        Self {
            seat,
            relay,
            space,
            live: false,
            up: Way::new(),
            down: Way::new(),
        }
    }
}

/// How long a message is under way: mostly as usual, now and then far longer.
pub(super) fn delay(dice: &mut Dice, traits: &Traits) -> Duration {
    let usual = dice.ms(1, traits.delay);
    match dice.chance(4) {
        true => usual * 20,
        false => usual,
    }
}

/// Whether the relay might send this twice without anything being wrong.
pub(super) fn may_come_twice(message: &RelayMsg) -> bool {
    matches!(
        message,
        RelayMsg::Envelope(_) | RelayMsg::Link(_) | RelayMsg::Stored(_)
    )
}
