//! Calls of the engine, and what a failing disk does to the process that made them.

use std::collections::BTreeSet;

use ajar_engine::store::StoreError;
use ajar_engine::{EngineError, Event, Now, Outputs, Replica};
use ajar_protocol::DeviceId;
use ajar_protocol::client_msg::ClientMsg;
use rand_chacha::ChaCha20Rng;

use super::Failure;
use super::network::Up;
use super::oracle::Rule;
use super::town::{Happening, Home, Town, is_changes};

impl Town {
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
        let frontier = home.frontier().clone();
        let after = frontier.counter(&seat.device);
        for counter in before + 1..=after {
            // A copy that begins from a snapshot skips what its original wrote.
            let Some(envelope) = home.envelope(&seat.device, counter).unwrap() else {
                assert!(seat.copied, "an envelope of its own is missing");
                continue;
            };
            self.ledger
                .wrote(seat.space, &envelope, known_gone, &frontier);
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
}

/// Devices of which a home knows that they may not read any more.
pub(super) fn gone(home: &Home) -> BTreeSet<DeviceId> {
    let devices = home.status().devices.into_iter();
    devices.filter(|d| !d.active).map(|d| d.id).collect()
}
