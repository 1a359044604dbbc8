//! Devices of two people and their relays on a clock that nobody waits for: every message,
//! failure and deed follows from a seed, and what must hold is looked at when all has come to
//! rest. The engine is the real one; connections and disks are made to fail.
//!
//! `AJAR_SEEDS` says how many seeds are run and `AJAR_SEED` from which on; docs/contributing.md has
//! the others. A seed that failed is
//! added to `seeds.txt` and is run first from then on.

mod calls;
mod chores;
mod deeds;
mod disk;
mod ledger;
mod members;
mod network;
mod oracle;
mod plan;
mod report;
mod secrets;
mod tests;
mod town;
mod wires;
mod writing;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use oracle::Rule;
use plan::Plan;
use town::{Happening, Town};

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    rule: Rule,
    what: String,
}

/// Something wrong that is put in on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// Disks say that they have kept what they have not.
    DiskLies,
    /// The relay tells nobody what it was told.
    RelayHides,
    /// What was typed goes along with what is opened.
    DraftLeaks,
    /// Words reach the relay.
    RelayReads,
    /// Burning does nothing.
    BurnForgets,
    /// Removed devices are given the keys all the same.
    KeysAreGiven,
    /// A home was copied, and nobody says so.
    SecretCopy,
}

/// What happened, line by line, and the rule that failed.
struct Run {
    trace: Vec<String>,
    failure: Option<Failure>,
    /// Changes that were kept, as a measure of what was done.
    changes: usize,
}

fn run(plan: &Plan, defect: Option<Defect>) -> Run {
    let trace = Rc::new(RefCell::new(Vec::new()));
    let changes = Rc::new(RefCell::new(0));
    let live = || {
        let mut town = Town::new(plan.clone(), defect, Rc::clone(&trace));
        let lived = town.live();
        if lived.is_err() {
            town.describe();
        }
        *changes.borrow_mut() = town.ledger.changes();
        lived
    };
    let lived = catch_unwind(AssertUnwindSafe(live));
    let lived = lived.unwrap_or_else(|_| {
        let what = "something panicked".to_owned();
        let rule = Rule::Sound;
        Err(Failure { rule, what })
    });
    let changes = *changes.borrow();
    Run {
        trace: trace.take(),
        failure: lived.err(),
        changes,
    }
}

/// The fewest steps of a plan with which the same rule still fails.
fn minimise(plan: &Plan, defect: Option<Defect>, rule: Rule) -> Plan {
    let mut least = plan.clone();
    let mut chunk = least.steps.len().max(2) / 2;
    loop {
        let mut at = 0;
        while at < least.steps.len() {
            let mut fewer = least.clone();
            let end = (at + chunk).min(fewer.steps.len());
            fewer.steps.drain(at..end);
            let failure = run(&fewer, defect).failure;
            match failure.is_some_and(|failure| failure.rule == rule) {
                true => least = fewer,
                false => at += chunk,
            }
        }
        if chunk == 1 {
            return least;
        }
        chunk /= 2;
    }
}

impl Town {
    /// From the first step to the last rule.
    fn live(&mut self) -> Result<(), Failure> {
        self.say(format!("{:?}", self.plan.traits));
        let mut at = Duration::from_secs(1);
        for number in 0..self.plan.steps.len() {
            at += self.plan.steps[number].after;
            self.later(at, Happening::Step(number));
        }
        self.run()?;
        self.come_to_rest()?;
        if self.defect == Some(Defect::KeysAreGiven) {
            self.give_keys();
        }
        if self.defect == Some(Defect::RelayReads) {
            let relay = self.relays[0].spaces.values_mut().next().unwrap();
            relay.log.push(b"CANARY".to_vec());
        }
        self.examine()
    }

    /// Nothing fails any more, everybody uses one relay, and all has time.
    fn come_to_rest(&mut self) -> Result<(), Failure> {
        self.say("# all is well from here on");
        self.calm = true;
        self.relay_of = [self.relay_of[0].max(self.relay_of[1]); 2];
        for who in 0..self.seats.len() {
            let seat = &mut self.seats[who];
            seat.disk.heal();
            seat.away_until = Duration::ZERO;
            if seat.relay != self.relay_of[0] {
                seat.relay = self.relay_of[0];
                self.hang_up(who);
            }
            self.open(who)?;
        }
        self.run()?;
        self.wait()?;
        // A key that a device lacks may come with the next words of somebody who has it.
        for who in (0..self.seats.len()).rev() {
            self.last_words(who)?;
            self.run()?;
        }
        self.wait()
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let mut before = None;
        // What waits for days, waits now.
        for round in 0..60 {
            let days = if round % 8 == 7 { 8 } else { 0 };
            let wait = Duration::from_secs(days * 24 * 3600 + 30);
            self.pass_to(self.now.elapsed + wait);
            self.tick()?;
            for who in 0..self.seats.len() {
                self.wake(who);
            }
            self.run()?;
            let state = self.state();
            if days > 0 {
                if before.as_ref() == Some(&state) {
                    return Ok(());
                }
                before = Some(state);
            }
        }
        Err(self.fail(Rule::Rest, "there is always something to do"))
    }

    fn state(&self) -> Vec<u64> {
        let mut state = Vec::new();
        for seat in &self.seats {
            if let Some(home) = &seat.home {
                let rows = home.frontier().rows();
                state.extend(rows.map(|(_, position)| position.counter));
                state.push(home.folded_envelopes());
            }
        }
        for relay in &self.relays {
            state.extend(relay.spaces.values().map(|relay| relay.log.len() as u64));
        }
        state
    }
}
