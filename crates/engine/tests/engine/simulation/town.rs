//! The town: everybody's devices, the relays, and a clock that jumps from one thing that
//! happens to the next.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ajar_crypto::RecoveryPhrase;
use ajar_engine::membership::NewHalf;
use ajar_engine::pairing::{self, OwnHalf};
use ajar_engine::replica::NewSpace;
use ajar_engine::snapshot::pack::SealedPack;
use ajar_engine::store::{Key, Store, StoreError};
use ajar_engine::{EngineError, Event, Now, Outputs, Replica};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{BlobId, DeviceId, DocId, Envelope, SpaceId};
use rand_chacha::ChaCha20Rng;

use super::disk::Disk;
use super::network::{Conn, Relay, Up, delay, may_come_twice};
use super::oracle::{Ledger, Rule};
use super::plan::{Dice, Plan};
use super::{Defect, Failure};
use crate::world::{agree, rng, start};

pub(super) type Home = Replica<Disk>;

/// The space of both, and each one's own.
pub(super) const SHARED: usize = 0;

/// What is to happen at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    Step(usize),
    /// Something reaches the relay.
    Up(u64),
    /// Something reaches a device.
    Down(u64),
    Dial(usize),
    Cut(u64),
    /// A process is started again.
    Open(usize),
    /// What a device does of itself.
    Chores(usize),
}

/// A link to a new device that its old one waits for.
pub(super) struct Linking {
    pub(super) half: NewHalf,
    pub(super) device: DeviceId,
}

/// One replica on one device.
pub(super) struct Seat {
    pub(super) person: usize,
    pub(super) space: usize,
    /// `None` while no process runs.
    pub(super) home: Option<Home>,
    pub(super) disk: Disk,
    pub(super) rng: ChaCha20Rng,
    pub(super) device: DeviceId,
    pub(super) conn: Option<u64>,
    pub(super) relay: usize,
    pub(super) away_until: Duration,
    /// Nobody will ever use it again.
    pub(super) lost: bool,
    /// Its home was copied, or is a copy.
    pub(super) copied: bool,
    pub(super) linking: Option<Linking>,
    /// The relay did not know the space.
    pub(super) introduce: bool,
    pub(super) does_chores: bool,
    pub(super) makes_snapshot: bool,
    /// A write into it failed, and it may be there all the same.
    pub(super) unsure: Option<DocId>,
}

pub(super) struct Town {
    pub(super) plan: Plan,
    pub(super) defect: Option<Defect>,
    pub(super) now: Now,
    pub(super) dice: Dice,
    queue: BTreeMap<(Duration, u64), Happening>,
    number: u64,
    pub(super) relays: Vec<Relay>,
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) seats: Vec<Seat>,
    pub(super) spaces: [SpaceId; 3],
    pub(super) blobs: BTreeMap<BlobId, SealedPack>,
    pub(super) ledger: Ledger,
    pub(super) trace: Rc<RefCell<Vec<String>>>,
    /// Nothing goes wrong any more.
    pub(super) calm: bool,
    /// The relay that a person uses.
    pub(super) relay_of: [usize; 2],
    /// Copies of homes that nobody uses yet.
    pub(super) backups: Vec<(usize, Disk)>,
}

impl Town {
    /// Ana and Ben have paired and hold the first epoch; each has a private space.
    pub(super) fn new(plan: Plan, defect: Option<Defect>, trace: Rc<RefCell<Vec<String>>>) -> Self {
        let seed = plan.seed;
        let (ana, ben) = agree(seed);
        let private = |who: usize| {
            let mut rng = rng(seed * 1000 + 500 + who as u64);
            let words = private_words(seed, who);
            let slot = words.slot_keys(0).unwrap().public();
            OwnHalf::new(start(), &mut rng, &slot)
                .unwrap()
                .found_private()
                .unwrap()
        };
        let founding = [
            (0, SHARED, ana),
            (1, SHARED, ben),
            (0, 1, private(0)),
            (1, 2, private(1)),
        ];
        let spaces = [
            founding[0].2.genesis.id(),
            founding[2].2.genesis.id(),
            founding[3].2.genesis.id(),
        ];
        let mut town = Self {
            dice: Dice::new(seed, 2),
            plan,
            defect,
            now: start(),
            queue: BTreeMap::new(),
            number: 0,
            relays: (0..3).map(Relay::new).collect(),
            conns: BTreeMap::new(),
            seats: Vec::new(),
            spaces,
            blobs: BTreeMap::new(),
            ledger: Ledger::default(),
            trace,
            calm: false,
            relay_of: [0; 2],
            backups: Vec::new(),
        };
        for (person, space, new) in founding {
            town.settle_in(person, space, new).unwrap();
        }
        let [ana, ben, ..] = &mut town.seats[..] else {
            panic!("two seats at least");
        };
        let ana_home = ana.home.as_mut().unwrap();
        let first = pairing::first_epoch(ana_home, town.now, &mut ana.rng).unwrap();
        pairing::take_first_epoch(ben.home.as_mut().unwrap(), town.now, &first).unwrap();
        town
    }

    /// A new replica begins.
    pub(super) fn settle_in(
        &mut self,
        person: usize,
        space: usize,
        new: NewSpace,
    ) -> Result<usize, EngineError> {
        let disk = Disk::default();
        let home = Replica::create(disk.clone(), new)?;
        let who = self.seats.len();
        self.seats.push(Seat {
            person,
            space,
            device: home.device(),
            home: Some(home),
            disk,
            rng: rng(self.plan.seed * 1000 + 100 + who as u64),
            conn: None,
            relay: self.relay_of[person],
            away_until: Duration::ZERO,
            lost: false,
            copied: false,
            linking: None,
            introduce: false,
            does_chores: false,
            makes_snapshot: false,
            unsure: None,
        });
        self.later(Duration::from_millis(1), Happening::Dial(who));
        Ok(who)
    }

    /// A second home of the same device.
    pub(super) fn copy_of(&mut self, who: usize, disk: Disk) -> usize {
        let copy = self.seats.len();
        let told = self.defect != Some(Defect::SecretCopy);
        let original = &mut self.seats[who];
        original.copied = told;
        let seat = Seat {
            person: original.person,
            space: original.space,
            home: None,
            disk,
            rng: rng(self.plan.seed * 1000 + 100 + copy as u64),
            device: original.device,
            conn: None,
            relay: original.relay,
            away_until: Duration::ZERO,
            lost: false,
            copied: told,
            linking: None,
            introduce: false,
            does_chores: false,
            makes_snapshot: false,
            unsure: None,
        };
        self.seats.push(seat);
        copy
    }

    pub(super) fn say(&self, what: impl Into<String>) {
        let at = self.now.elapsed.as_millis();
        let mut trace = self.trace.borrow_mut();
        trace.push(format!("{at:>12} {}", what.into()));
    }

    /// How a seat is called in the trace.
    pub(super) fn name(&self, who: usize) -> String {
        let seat = &self.seats[who];
        let person = ["Ana", "Ben"][seat.person];
        let space = ["shared", "own", "own"][seat.space];
        format!("{person}{who}/{space}")
    }

    pub(super) fn fail(&self, rule: Rule, what: impl Into<String>) -> Failure {
        let what = what.into();
        self.say(format!("FAILED {rule:?}: {what}"));
        Failure { rule, what }
    }

    pub(super) fn later(&mut self, after: Duration, what: Happening) {
        self.number += 1;
        self.queue
            .insert((self.now.elapsed + after, self.number), what);
    }

    fn at(&mut self, moment: Duration, what: Happening) {
        self.later(moment.saturating_sub(self.now.elapsed), what);
    }

    pub(super) fn pass_to(&mut self, moment: Duration) {
        let passed = moment.saturating_sub(self.now.elapsed);
        self.now.elapsed += passed;
        self.now.wall_ms += i64::try_from(passed.as_millis()).unwrap();
    }

    /// Everything that is to happen happens, and what follows from it.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        for left in (0..20_000).rev() {
            let Some(((at, _), what)) = self.queue.pop_first() else {
                return Ok(());
            };
            self.pass_to(at);
            if left < 60 {
                self.say(format!("{what:?}"));
            }
            match what {
                Happening::Step(number) => {
                    self.step(number)?;
                    self.tick()?;
                }
                Happening::Up(conn) => self.reach_relay(conn)?,
                Happening::Down(conn) => self.reach_seat(conn)?,
                Happening::Dial(who) => self.dial(who)?,
                Happening::Cut(conn) => self.cut(conn),
                Happening::Open(who) => self.open(who)?,
                Happening::Chores(who) => self.chores(who)?,
            }
        }
        Err(self.fail(Rule::Rest, "the devices never come to rest"))
    }

    /// Time is told to all that run.
    pub(super) fn tick(&mut self) -> Result<(), Failure> {
        for who in 0..self.seats.len() {
            self.act_and_send(who, "tick", |home, now, _| home.tick(now))?;
        }
        Ok(())
    }

    // Connections.

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

    fn send_up(&mut self, number: u64, what: Up) {
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

    fn reach_relay(&mut self, number: u64) -> Result<(), Failure> {
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
            return Ok(self.send_down(number, &answer.to_sender));
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

    fn reach_seat(&mut self, number: u64) -> Result<(), Failure> {
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

    // Calls of the engine.

    /// Lets the engine of a seat do something; what it writes is noted, and a failure of the
    /// disk does what it does to the process.
    pub(super) fn act<T>(
        &mut self,
        who: usize,
        what: &str,
        work: impl FnOnce(&mut Home, Now, &mut ChaCha20Rng) -> Result<T, EngineError>,
    ) -> Result<Option<T>, Failure> {
        let now = self.now;
        let seat = &mut self.seats[who];
        let Some(home) = &mut seat.home else {
            return Ok(None);
        };
        let before = home.frontier().counter(&seat.device);
        let known_gone = gone(home);
        match work(home, now, &mut seat.rng) {
            Ok(value) => {
                if what != "receive" {
                    self.note_written(who, before, &known_gone);
                }
                Ok(Some(value))
            }
            Err(error) => {
                self.failed(who, what, &error)?;
                Ok(None)
            }
        }
    }

    /// As [`Self::act`], and what is to be sent is sent.
    pub(super) fn act_and_send(
        &mut self,
        who: usize,
        what: &str,
        work: impl FnOnce(&mut Home, Now, &mut ChaCha20Rng) -> Result<Outputs, EngineError>,
    ) -> Result<bool, Failure> {
        let Some(outputs) = self.act(who, what, work)? else {
            return Ok(false);
        };
        self.take(who, outputs)?;
        Ok(true)
    }

    pub(super) fn take(&mut self, who: usize, outputs: Outputs) -> Result<(), Failure> {
        for event in outputs.events {
            if matches!(event, Event::LinkRefused(_)) {
                self.say(format!("{}: a link was refused", self.name(who)));
                self.seats[who].linking = None;
            }
        }
        self.send(who, outputs.send)
    }

    pub(super) fn send(&mut self, who: usize, messages: Vec<ClientMsg>) -> Result<(), Failure> {
        let Some(number) = self.seats[who].conn else {
            if !messages.is_empty() {
                let what = format!("{} sent without a connection", self.name(who));
                return Err(self.fail(Rule::Sound, what));
            }
            return Ok(());
        };
        for message in messages {
            self.examine_sent(who, &message)?;
            self.send_up(number, Up::Say(message));
        }
        Ok(())
    }

    fn note_written(&mut self, who: usize, before: u64, known_gone: &BTreeSet<DeviceId>) {
        let seat = &mut self.seats[who];
        let Some(home) = &mut seat.home else { return };
        let after = home.frontier().counter(&seat.device);
        for counter in before + 1..=after {
            let envelope = home.envelope(&seat.device, counter).unwrap().unwrap();
            self.ledger.wrote(who, seat.space, &envelope, known_gone);
        }
        if after > before && seat.conn.is_some() {
            self.wake(who);
        }
    }

    fn failed(&mut self, who: usize, what: &str, error: &EngineError) -> Result<(), Failure> {
        self.say(format!("{}: {what}: {error}", self.name(who)));
        let in_round = ["receive", "tick", "chores", "rotate"].contains(&what);
        match error {
            EngineError::Misuse(_) => {}
            EngineError::Store(StoreError::DiskFull) => {
                if in_round {
                    self.hang_up(who);
                }
            }
            EngineError::Store(StoreError::Broken(_)) => self.fall(who),
            error => {
                let what = format!("{}: {what}: {error}", self.name(who));
                return Err(self.fail(Rule::Sound, what));
            }
        }
        Ok(())
    }

    /// The disk of a seat is broken, or its process dies; it is started again later.
    pub(super) fn fall(&mut self, who: usize) {
        self.hang_up(who);
        let seat = &mut self.seats[who];
        // A process whose disk failed may run on for a while, and must not write.
        if seat.disk.is_dead() || self.dice.chance(50) {
            seat.home = None;
        }
        seat.linking = None;
        let after = self.dice.ms(1, 5000);
        self.later(after, Happening::Open(who));
    }

    /// A process is started on the disk of a seat.
    pub(super) fn open(&mut self, who: usize) -> Result<(), Failure> {
        self.hang_up(who);
        let seat = &mut self.seats[who];
        if seat.lost {
            return Ok(());
        }
        seat.home = None;
        seat.disk.revive();
        match Replica::open(seat.disk.clone()) {
            Ok(home) => seat.home = Some(home),
            Err(error @ EngineError::Store(_)) => {
                self.say(format!("{}: open: {error}", self.name(who)));
                let after = self.dice.ms(1, 5000);
                self.later(after, Happening::Open(who));
                return Ok(());
            }
            Err(error) => {
                let what = format!("{} does not open: {error}", self.name(who));
                return Err(self.fail(Rule::Sound, what));
            }
        }
        self.seats[who].makes_snapshot = false;
        self.learn_what_was_kept(who);
        let after = self.dice.ms(1, 1000);
        self.later(after, Happening::Dial(who));
        Ok(())
    }

    /// A write that was reported as failed may have been kept.
    fn learn_what_was_kept(&mut self, who: usize) {
        let seat = &mut self.seats[who];
        let (Some(doc), Some(home)) = (seat.unsure.take(), &mut seat.home) else {
            return;
        };
        let Ok(document) = home.document(&doc) else {
            return;
        };
        let last = document.get_changes(&[]).into_iter();
        let last: Vec<_> = last
            .map(|change| {
                (
                    change.hash(),
                    change.deps().to_vec(),
                    change.actor_id().clone(),
                )
            })
            .filter(|(hash, ..)| !self.ledger.knows(hash))
            .collect();
        for (hash, deps, actor) in last {
            if home.device_of_actor(&doc, actor.to_bytes()) == Some(seat.device) {
                let counter = home.frontier().counter(&seat.device);
                let envelope = (1..=counter).rev().find_map(|n| {
                    home.envelope(&seat.device, n)
                        .ok()
                        .flatten()
                        .filter(is_changes)
                });
                if let Some(envelope) = envelope {
                    self.ledger
                        .kept(who, seat.space, doc, hash, deps, &envelope);
                }
            }
        }
    }

    /// Envelopes of other devices are in the store of a seat as they were sent.
    pub(super) fn genesis(&mut self, space: usize) -> Vec<u8> {
        let seat = self.seats.iter_mut().find(|seat| seat.space == space);
        let genesis = seat.unwrap().disk.load(&Key::Genesis).unwrap();
        genesis.unwrap()
    }
}

pub(super) fn is_changes(envelope: &Envelope) -> bool {
    envelope.header().kind == ajar_protocol::EnvelopeType::Changes
}

/// Devices of which a home knows that they may not read any more.
pub(super) fn gone(home: &Home) -> BTreeSet<DeviceId> {
    let devices = home.status().devices.into_iter();
    devices.filter(|d| !d.active).map(|d| d.id).collect()
}

pub(super) fn private_words(seed: u64, who: usize) -> RecoveryPhrase {
    RecoveryPhrase::generate(&mut rng(seed * 1000 + 600 + who as u64)).unwrap()
}
