//! The town: everybody's devices, the relays, and a clock that jumps from one thing that
//! happens to the next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ajar_crypto::RecoveryPhrase;
use ajar_engine::membership::NewHalf;
use ajar_engine::pairing::{self, OwnHalf};
use ajar_engine::replica::NewSpace;
use ajar_engine::snapshot::pack::SealedPack;
use ajar_engine::store::{Key, Store};
use ajar_engine::{EngineError, Now, Replica};
use ajar_protocol::{BlobId, DeviceId, DocId, Envelope, SpaceId};
use rand_chacha::ChaCha20Rng;

use super::disk::Disk;
use super::ledger::Ledger;
use super::network::{Conn, Relay};
use super::oracle::Rule;
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
    pub(super) number: u64,
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

    pub(super) fn at(&mut self, moment: Duration, what: Happening) {
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

pub(super) fn private_words(seed: u64, who: usize) -> RecoveryPhrase {
    RecoveryPhrase::generate(&mut rng(seed * 1000 + 600 + who as u64)).unwrap()
}
