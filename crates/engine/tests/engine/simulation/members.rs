//! Devices come and go: linked, removed, brought back by the words.

use ajar_engine::Replica;
use ajar_engine::membership::NewHalf;
use ajar_engine::recovery::Finder;
use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::link::RevokeReason;
use ajar_protocol::relay_msg::RelayMsg;

use super::Failure;
use super::oracle::Rule;
use super::plan::Dice;
use super::town::{Linking, SHARED, Town, private_words};
use crate::world::{rng, words};

/// Devices that one person has in one space, the lost ones too.
const SEATS: usize = 5;

impl Town {
    pub(super) fn is_online(&self, who: usize) -> bool {
        let seat = &self.seats[who];
        seat.conn.is_some() && seat.home.as_ref().is_some_and(Replica::caught_up)
    }

    pub(super) fn link(&mut self, who: usize) -> Result<(), Failure> {
        let seat = &self.seats[who];
        let (person, space) = (seat.person, seat.space);
        let same = |other: &&super::town::Seat| (other.person, other.space) == (person, space);
        let many = self.seats.iter().filter(same).count() >= SEATS;
        if many || seat.linking.is_some() || !self.is_online(who) {
            return Ok(());
        }
        let offered = self.act(who, "offer", |home, _, rng| {
            NewHalf::new(rng, home.link_offer())
        })?;
        let half = offered.unwrap();
        let request = half.request();
        let proposed = self.act_and_send(who, "propose", |home, now, _| {
            home.propose_device(now, &request)
        })?;
        if proposed {
            let device = request.keys.id();
            self.seats[who].linking = Some(Linking { half, device });
        }
        Ok(())
    }

    /// The new device is in the chain: the key changes, and it is given the space.
    pub(super) fn go_on_linking(&mut self, who: usize) -> Result<(), Failure> {
        let seat = &mut self.seats[who];
        let Some(home) = &seat.home else {
            return Ok(());
        };
        let there = |linking: &mut Linking| home.is_active(&linking.device);
        let Some(linking) = seat.linking.take_if(there) else {
            return Ok(());
        };
        if !self.act_and_send(who, "rotate", |home, now, rng| home.rotate(now, rng))? {
            return Ok(());
        }
        let Some(pack) = self.act(who, "pack", |home, _, _| home.pack())? else {
            return Ok(());
        };
        match linking.half.take(&pack) {
            Ok(space) => {
                let (person, kind) = (self.seats[who].person, self.seats[who].space);
                let new = self.settle_in(person, kind, space).unwrap();
                self.say(format!(
                    "{} is linked by {}",
                    self.name(new),
                    self.name(who)
                ));
                Ok(())
            }
            Err(error) => Err(self.fail(Rule::Sound, format!("a pack was refused: {error}"))),
        }
    }

    pub(super) fn revoke(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
        if !self.is_online(who) {
            return Ok(());
        }
        let home = self.seats[who].home.as_ref().unwrap();
        let own = home.device();
        let devices = home.own_chain().devices();
        let others: Vec<_> = devices
            .filter(|(id, device)| **id != own && device.revoked.is_none())
            .map(|(id, _)| *id)
            .collect();
        let Some(device) = dice.pick(&others) else {
            return Ok(());
        };
        let reason = [RevokeReason::Lost, RevokeReason::Stolen][dice.below(2)];
        self.say(format!("{}: removes {device:?}", self.name(who)));
        self.act_and_send(who, "remove", |home, now, _| {
            home.propose_removal(now, device, reason)
        })
        .map(drop)
    }

    /// A person loses devices, some of which somebody else goes on using, and comes back with
    /// nothing but the words.
    pub(super) fn recover(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
        let (person, space) = (self.seats[who].person, self.seats[who].space);
        let keys = match space {
            SHARED => words(self.plan.seed, person),
            _ => private_words(self.plan.seed, person).slot_keys(0).unwrap(),
        };
        let (relay, id) = (self.relay_of[person], self.spaces[space]);
        if !self.relays[relay].spaces.contains_key(&id) {
            return Ok(());
        }
        let genesis = self.genesis(space);
        let mut finder = Finder::new(self.relays[relay].key(), keys.public());
        finder.take(&keys, RelayMsg::Genesis(genesis));
        finder.take(&keys, self.relays[relay].greet(&id));
        let mut asks = vec![ajar_engine::recovery::subscription()];
        while !asks.is_empty() {
            for mut ask in std::mem::take(&mut asks) {
                if let ClientMsg::Subscribe { chains, .. } = &mut ask {
                    let of = self.relays[relay].spaces[&id].chains.iter();
                    let position = |party| ChainPosition { party, next: 0 };
                    *chains = of.map(|chain| position(chain.id())).collect();
                }
                for answer in self.relays[relay].hear(&id, ask).to_sender {
                    finder.take(&keys, answer);
                }
            }
            asks = finder.asks();
        }
        if !finder.caught_up() {
            return Err(self.fail(Rule::Sound, "the words never hear the end"));
        }
        let found = match finder.finish() {
            Ok(found) => found,
            Err(error) => {
                return Err(self.fail(Rule::Sound, format!("the words find nothing: {error}")));
            }
        };
        let mut rng = rng(dice.luck());
        let recovery = match found.recover(self.now, &mut rng, &keys, &[], None) {
            Ok(recovery) => recovery,
            Err(error) => {
                self.say(format!("not recovered: {error}"));
                return Ok(());
            }
        };
        for other in 0..self.seats.len() {
            let seat = &self.seats[other];
            if (seat.person, seat.space) == (person, space) && dice.chance(60) {
                self.hang_up(other);
                let seat = &mut self.seats[other];
                (seat.lost, seat.home) = (true, None);
            }
        }
        let link = ClientMsg::AppendLink(recovery.link().as_bytes().to_vec());
        let answer = self.relays[relay].hear(&id, link);
        if !matches!(answer.to_sender[..], [RelayMsg::LinkStored { .. }]) {
            let what = format!("a recovery is refused: {:?}", answer.to_sender);
            return Err(self.fail(Rule::Sound, what));
        }
        self.tell_all(relay, &id, &answer.to_others);
        let new = self
            .settle_in(person, space, recovery.into_space())
            .unwrap();
        self.ledger.recoveries += 1;
        self.say(format!("{} comes by the words", self.name(new)));
        Ok(())
    }
}
