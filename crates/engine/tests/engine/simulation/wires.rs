//! Connections: who is connected to which relay, and what comes of what arrives.

use std::time::Duration;

use ajar_protocol::SpaceId;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;

use super::network::{Conn, Up, delay, may_come_twice};
use super::town::{Happening, Home, Town};
use super::{Defect, Failure};

impl Town {
    pub(super) fn dial(&mut self, who: usize) -> Result<(), Failure> {
        let relay = self.seats[who].relay;
        let space = self.spaces[self.seats[who].space];
        let key = self.relays[relay].key();
        let seat = &mut self.seats[who];
        if seat.conn.is_some() || seat.lost {
            return Ok(());
        }
        if seat.away_until > self.now.elapsed {
            let until = seat.away_until;
            self.at(until, Happening::Dial(who));
            return Ok(());
        }
        let Some(home) = &mut seat.home else {
            return Ok(());
        };
        let introduce = seat.introduce || !home.has_permit(&key);
        let introduction = home.introduction(&key, Some([1; 16])).unwrap();
        let subscribe = home.connected(key);
        self.number += 1;
        let number = self.number;
        seat.conn = Some(number);
        seat.introduce = false;
        self.conns.insert(number, Conn::new(who, relay, space));
        if introduce {
            self.send_up(number, Up::Introduction(introduction));
        }
        self.send_up(number, Up::Login);
        self.send_up(number, Up::Say(subscribe));
        if !self.calm && self.dice.chance(self.plan.traits.cuts) {
            let after = self.dice.ms(1, self.plan.traits.delay * 30);
            self.later(after, Happening::Cut(number));
        }
        Ok(())
    }

    pub(super) fn send_up(&mut self, number: u64, what: Up) {
        let delay = delay(&mut self.dice, &self.plan.traits);
        if let Some(conn) = self.conns.get_mut(&number) {
            let at = conn.up.send(self.now.elapsed, delay, what);
            self.at(at, Happening::Up(number));
        }
    }

    fn send_down(&mut self, number: u64, messages: &[RelayMsg]) {
        for message in messages {
            let twice =
                !self.calm && may_come_twice(message) && self.dice.chance(self.plan.traits.twice);
            for _ in 0..=usize::from(twice) {
                let delay = delay(&mut self.dice, &self.plan.traits);
                if let Some(conn) = self.conns.get_mut(&number) {
                    let at = conn.down.send(self.now.elapsed, delay, message.clone());
                    self.at(at, Happening::Down(number));
                }
            }
        }
    }

    /// Ends a connection: what is under way is lost.
    pub(super) fn cut(&mut self, number: u64) {
        let Some(conn) = self.conns.remove(&number) else {
            return;
        };
        let seat = &mut self.seats[conn.seat];
        seat.conn = None;
        if let Some(home) = &mut seat.home {
            home.disconnected();
        }
        let again = self.dice.ms(1, 3000);
        self.later(again, Happening::Dial(conn.seat));
    }

    pub(super) fn hang_up(&mut self, who: usize) {
        if let Some(conn) = self.seats[who].conn {
            self.cut(conn);
        }
    }

    pub(super) fn reach_relay(&mut self, number: u64) -> Result<(), Failure> {
        let Some(conn) = self.conns.get_mut(&number) else {
            return Ok(());
        };
        let (relay, space, who) = (conn.relay, conn.space, conn.seat);
        for what in conn.up.arrived(self.now.elapsed, usize::MAX) {
            match what {
                Up::Introduction(messages) => {
                    for message in messages {
                        let answer = self.relays[relay].hear(&space, message);
                        self.tell_all(relay, &space, &answer.to_others);
                    }
                }
                Up::Login => {
                    let greeting = self.relays[relay].greet(&space);
                    self.send_down(number, &[greeting]);
                }
                // It was refused; the connection is about to end.
                Up::Say(_) if !self.relays[relay].spaces.contains_key(&space) => {}
                Up::Say(message) => self.relay_hears(number, relay, &space, who, message)?,
            }
        }
        Ok(())
    }

    fn relay_hears(
        &mut self,
        number: u64,
        relay: usize,
        space: &SpaceId,
        who: usize,
        message: ClientMsg,
    ) -> Result<(), Failure> {
        let asks = matches!(message, ClientMsg::Subscribe { .. } | ClientMsg::Bootstrap);
        let answer = self.relays[relay].hear(space, message);
        if asks {
            let live = answer.to_sender.last() == Some(&RelayMsg::CaughtUp);
            if let Some(conn) = self.conns.get_mut(&number) {
                conn.live = live;
            }
        }
        for message in &answer.to_others {
            if let RelayMsg::Envelope(bytes) = message {
                self.ledger.accepted(*space, bytes);
            }
        }
        if self.defect == Some(Defect::RelayHides) && who != 0 {
            self.send_down(number, &answer.to_sender);
            return Ok(());
        }
        self.send_down(number, &answer.to_sender);
        // The sender knows already.
        let was_live = self
            .conns
            .get_mut(&number)
            .map(|conn| std::mem::take(&mut conn.live));
        self.tell_all(relay, space, &answer.to_others);
        if let (Some(conn), Some(live)) = (self.conns.get_mut(&number), was_live) {
            conn.live = live;
        }
        Ok(())
    }

    /// A relay sends something to everybody who is connected and up to date.
    pub(super) fn tell_all(&mut self, relay: usize, space: &SpaceId, messages: &[RelayMsg]) {
        let there = |conn: &Conn| conn.live && conn.relay == relay && conn.space == *space;
        let to = self.conns.iter().filter(|(_, conn)| there(conn));
        let to: Vec<u64> = to.map(|(number, _)| *number).collect();
        for number in to {
            self.send_down(number, messages);
        }
    }

    pub(super) fn reach_seat(&mut self, number: u64) -> Result<(), Failure> {
        let most = match self.calm {
            true => usize::MAX,
            false => 1 + self.dice.below(40),
        };
        let now = self.now.elapsed;
        let Some(conn) = self.conns.get_mut(&number) else {
            return Ok(());
        };
        let who = conn.seat;
        let messages = conn.down.arrived(now, most);
        if conn.down.waits(now) {
            self.later(Duration::from_millis(1), Happening::Down(number));
        }
        if messages.is_empty() {
            return Ok(());
        }
        if messages.iter().any(|m| matches!(m, RelayMsg::Refused(_))) {
            self.seats[who].introduce = true;
            self.cut(number);
            return Ok(());
        }
        self.act_and_send(who, "receive", |home, now, _| home.receive(now, messages))?;
        let owes = |home: &mut Home| home.caught_up() && home.owes_epoch();
        if self.seats[who].home.as_mut().is_some_and(owes) {
            self.act_and_send(who, "rotate", |home, now, rng| home.rotate(now, rng))?;
        }
        self.go_on_linking(who)?;
        self.wake(who);
        Ok(())
    }

    /// A device looks after a while whether there is something to do.
    pub(super) fn wake(&mut self, who: usize) {
        if !std::mem::replace(&mut self.seats[who].does_chores, true) {
            let after = self.dice.ms(50, 300);
            self.later(after, Happening::Chores(who));
        }
    }
}
