//! What people do: one deed of the plan after the other.

use std::time::Duration;

use super::Failure;
use super::disk::Fault;
use super::plan::{Deed, Dice};
use super::town::{Happening, SHARED, Town};

const DAY: u64 = 24 * 3600;

impl Town {
    pub(super) fn step(&mut self, number: usize) -> Result<(), Failure> {
        let step = self.plan.steps[number];
        let mut dice = Dice::new(step.luck, 3);
        let space = match dice.chance(80) {
            true => SHARED,
            false => 1 + dice.below(2),
        };
        let Some(who) = dice.pick(&self.in_use(space)) else {
            return Ok(());
        };
        self.say(format!("# {number} {:?} {}", step.deed, self.name(who)));
        match step.deed {
            Deed::Write => self.write_new(who, &mut dice),
            Deed::Edit => self.edit(who, &mut dice),
            Deed::Draft => self.draft(&mut dice),
            Deed::Open => self.open_to_other(&mut dice),
            Deed::TakeBack => self.take_back(&mut dice),
            Deed::Burn => self.burn_some(who, &mut dice),
            Deed::Link => self.link(who),
            Deed::Revoke => self.revoke(who, &mut dice),
            Deed::Rotate => self
                .act_and_send(who, "rotate", |home, now, rng| home.rotate(now, rng))
                .map(drop),
            Deed::Recover => self.recover(who, &mut dice),
            Deed::Snapshot => self.begin_snapshot(who),
            Deed::Trim => self.trim(who),
            Deed::Move => {
                self.move_on(self.seats[who].person);
                Ok(())
            }
            Deed::Restore => self.restore(who, &mut dice),
            Deed::Cut => {
                self.hang_up(who);
                Ok(())
            }
            Deed::Away => {
                let away = Duration::from_secs(1 + dice.luck() % (2 * DAY));
                self.seats[who].away_until = self.now.elapsed + away;
                self.hang_up(who);
                Ok(())
            }
            Deed::Die => {
                self.hang_up(who);
                let seat = &mut self.seats[who];
                (seat.home, seat.linking) = (None, None);
                self.later(dice.ms(1, 5000), Happening::Open(who));
                Ok(())
            }
            Deed::Fail => {
                let faults = [
                    Fault::DiesBefore,
                    Fault::DiesAfter,
                    Fault::FailsWithout,
                    Fault::FailsWith,
                    Fault::Full(1 + u32::try_from(dice.below(5)).unwrap()),
                ];
                let fault = dice.pick(&faults).unwrap();
                let write = u32::try_from(dice.below(8)).unwrap();
                self.say(format!("{}: {fault:?} in {write}", self.name(who)));
                self.seats[who].disk.fail_at(write, fault);
                Ok(())
            }
            Deed::Pass => {
                let days = [1, 8, 30, 91][dice.below(4)];
                self.pass_to(self.now.elapsed + Duration::from_secs(days * DAY));
                Ok(())
            }
        }
    }

    /// Seats of a space on which a process runs.
    pub(super) fn in_use(&self, space: usize) -> Vec<usize> {
        let seats = self.seats.iter().enumerate();
        seats
            .filter(|(_, seat)| seat.space == space && !seat.lost && seat.home.is_some())
            .map(|(who, _)| who)
            .collect()
    }

    pub(super) fn in_use_by(&self, person: usize, space: usize) -> Vec<usize> {
        let mut seats = self.in_use(space);
        seats.retain(|who| self.seats[*who].person == person);
        seats
    }

    // Relays and copies.

    /// All devices of a person go to the next relay, when none of them is changing its chain:
    /// two relays may each take another link for one place.
    fn move_on(&mut self, person: usize) {
        let at = self.relay_of[person];
        let next = (at + 1).min(self.relays.len() - 1);
        for who in 0..self.seats.len() {
            if self.seats[who].person == person {
                self.hang_up(who);
            }
        }
        let told = self
            .seats
            .iter()
            .filter(|seat| seat.person == person)
            .all(|seat| {
                let relay = self.relays[at].spaces.get(&self.spaces[seat.space]);
                let (Some(home), Some(relay)) = (&seat.home, relay) else {
                    return seat.lost;
                };
                let ours = home.own_chain();
                let theirs = relay.chains.iter().find(|chain| chain.id() == ours.id());
                theirs.is_some_and(|theirs| theirs.head() == ours.head())
            });
        if !told {
            return;
        }
        self.say(format!("moves to relay {next}"));
        self.relay_of[person] = next;
        for seat in &mut self.seats {
            if seat.person == person {
                (seat.relay, seat.linking) = (next, None);
            }
        }
    }

    /// Backs up a home, or brings back a copy from a backup: instead of the home, or beside it.
    fn restore(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
        let backup = self.backups.iter().position(|(of, _)| *of == who);
        let Some(backup) = backup else {
            let disk = self.seats[who].disk.copied();
            self.backups.push((who, disk));
            return Ok(());
        };
        let (_, disk) = self.backups.swap_remove(backup);
        if dice.chance(50) {
            self.hang_up(who);
            let seat = &mut self.seats[who];
            (seat.lost, seat.home) = (true, None);
        }
        let copy = self.copy_of(who, disk);
        self.say(format!(
            "{} is a copy of {}",
            self.name(copy),
            self.name(who)
        ));
        self.open(copy)
    }
}
