//! What devices do of themselves while they are connected: snapshots above all.

use ajar_engine::Replica;
use ajar_engine::snapshot::pack::{OpenedPack, open_pack, seal_pack};
use ajar_protocol::snapshot::PackRef;

use super::Failure;
use super::oracle::Rule;
use super::town::Town;

impl Town {
    pub(super) fn begin_snapshot(&mut self, who: usize) -> Result<(), Failure> {
        if self.is_online(who) {
            let begun = self.act(who, "snapshot", |home, _, _| home.begin_snapshot())?;
            self.seats[who].makes_snapshot = begun.is_some();
            self.wake(who);
        }
        Ok(())
    }

    pub(super) fn trim(&mut self, who: usize) -> Result<(), Failure> {
        if self.is_online(who)
            && let Some(send) = self.act(who, "trim", |home, now, _| home.trim_now(now))?
        {
            self.send(who, send)?;
        }
        Ok(())
    }

    /// Goes on with a snapshot that was begun; it may take several visits.
    fn go_on_with_snapshot(&mut self, who: usize) -> Result<(), Failure> {
        loop {
            // The end of a connection, or a beginning from another snapshot, ended it.
            if !self.seats[who]
                .home
                .as_ref()
                .is_some_and(Replica::is_making)
            {
                self.seats[who].makes_snapshot = false;
                return Ok(());
            }
            while let Some(Some(plain)) = self.act(who, "chores", |home, _, _| home.next_pack())? {
                let sealed = seal_pack(&plain, &mut self.seats[who].rng).unwrap();
                let reference = sealed.reference.clone();
                self.blobs.insert(reference.blob, sealed);
                self.act(who, "chores", |home, _, _| {
                    home.pack_sealed(reference);
                    Ok(())
                })?;
                if !self.calm && self.dice.chance(30) {
                    self.wake(who);
                    return Ok(());
                }
            }
            let finished = self.act(who, "chores", |home, now, rng| {
                home.finish_snapshot(now, rng)
            })?;
            match finished {
                Some(Some(outputs)) => {
                    self.say(format!("{}: a snapshot is made", self.name(who)));
                    self.seats[who].makes_snapshot = false;
                    return self.take(who, outputs);
                }
                // Something changed meanwhile.
                Some(None) => {}
                None => {
                    self.seats[who].makes_snapshot = false;
                    return self
                        .act(who, "chores", |home, _, _| {
                            home.give_up_snapshot();
                            Ok(())
                        })
                        .map(drop);
                }
            }
        }
    }

    fn opened(&self, pack: &PackRef) -> Result<OpenedPack, Failure> {
        let Some(sealed) = self.blobs.get(&pack.blob) else {
            return Err(self.fail(Rule::Sound, "a pack was never uploaded"));
        };
        Ok(open_pack(pack, &sealed.ciphertext).unwrap())
    }

    /// What a device does of itself while it is connected.
    pub(super) fn chores(&mut self, who: usize) -> Result<(), Failure> {
        self.seats[who].does_chores = false;
        if self.seats[who].conn.is_none() || self.seats[who].home.is_none() {
            return Ok(());
        }
        let packs = self.act(who, "chores", |home, _, _| {
            let started = home.start_progress().is_some();
            Ok(started.then(|| home.packs_to_start()))
        })?;
        for pack in packs.flatten().unwrap_or_default() {
            if !self.calm && self.dice.chance(10) {
                self.act(who, "chores", |home, now, _| home.give_up_start(now, false))?;
                self.hang_up(who);
                return Ok(());
            }
            let opened = self.opened(&pack)?;
            self.act_and_send(who, "chores", |home, now, _| home.take_pack(now, opened))?;
        }
        let packs = self.act(who, "chores", |home, _, _| home.snapshot_to_compare())?;
        if let Some(Some(packs)) = packs {
            for pack in packs {
                let opened = self.opened(&pack)?;
                self.act(who, "chores", |home, now, _| home.compare_pack(now, opened))?;
            }
            self.act(who, "chores", |home, now, _| home.end_comparing(now))?;
        }
        self.act_and_send(who, "chores", |home, now, rng| home.errands(now, rng))?;
        if !self.seats[who].makes_snapshot
            && self.act(who, "chores", |home, _, _| home.snapshot_due())? == Some(true)
        {
            let begun = self.act(who, "chores", |home, _, _| home.begin_snapshot())?;
            self.seats[who].makes_snapshot = begun.is_some();
        }
        if self.seats[who].makes_snapshot {
            self.go_on_with_snapshot(who)?;
        }
        while self.seats[who].home.as_ref().is_some_and(Replica::sweeps) {
            if self
                .act(who, "chores", |home, _, _| home.sweep())?
                .is_none()
            {
                return Ok(());
            }
        }
        if self.seats[who]
            .home
            .as_ref()
            .is_some_and(Replica::owes_scrub)
        {
            self.act(who, "chores", |home, _, _| home.scrubbed())?;
        }
        Ok(())
    }
}
