//! What people do, and what their devices do of themselves, as the applications do it.

use std::time::Duration;

use ajar_engine::membership::NewHalf;
use ajar_engine::outbox::ChangeError;
use ajar_engine::recovery::Finder;
use ajar_engine::snapshot::pack::{open_pack, seal_pack};
use ajar_engine::{Ownership, Replica};
use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::link::RevokeReason;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::snapshot::PackRef;
use ajar_protocol::{DocId, EnvelopeType};
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ROOT, ReadDoc};

use super::disk::Fault;
use super::oracle::{PRIVATE, Rule, WRITTEN};
use super::plan::{Deed, Dice};
use super::town::{Happening, Linking, SHARED, Town, is_changes, private_words};
use super::{Defect, Failure};
use crate::world::{rng, words};

/// Devices that one person has in one space, the lost ones too.
const SEATS: usize = 5;
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

    fn in_use_by(&self, person: usize, space: usize) -> Vec<usize> {
        let mut seats = self.in_use(space);
        seats.retain(|who| self.seats[*who].person == person);
        seats
    }

    // Writing.

    /// Puts a value into a document, and notes that it is kept if the engine says so.
    fn put(&mut self, who: usize, doc: DocId, key: &str, value: &str) -> Result<bool, Failure> {
        let seat = &self.seats[who];
        let (device, space) = (seat.device, seat.space);
        let before = seat
            .home
            .as_ref()
            .map(|home| home.frontier().counter(&device));
        if self.defect == Some(Defect::DiskLies) && space == SHARED {
            seat.disk.fail_at(0, Fault::Lies);
        }
        let outputs = self.act(who, "write", |home, now, rng| {
            let put = |tx: &mut automerge::transaction::Transaction<'_>| tx.put(ROOT, key, value);
            match home.change(now, rng, doc, put) {
                Ok(((), outputs)) => Ok(outputs),
                Err(ChangeError::Engine(error)) => Err(error),
                Err(ChangeError::<AutomergeError>::Refused(error)) => panic!("{error}"),
            }
        })?;
        let Some(outputs) = outputs else {
            self.seats[who].unsure = Some(doc);
            return Ok(false);
        };
        let home = self.seats[who].home.as_mut().unwrap();
        let document = home.document(&doc).unwrap();
        // A transaction stands on all there is, so it alone is at the end.
        let [hash] = document.get_heads()[..] else {
            panic!("a change is the head of its document");
        };
        let change = document.get_change_by_hash(&hash).unwrap();
        let deps = change.deps().to_vec();
        let counters = before.unwrap_or(0) + 1..=home.frontier().counter(&device);
        let envelope = counters
            .filter_map(|n| home.envelope(&device, n).unwrap())
            .find(is_changes)
            .unwrap();
        self.ledger.kept(who, space, doc, hash, deps, &envelope);
        self.say(format!("{}: {key} of {doc:?} is {hash}", self.name(who)));
        self.take(who, outputs)?;
        Ok(true)
    }

    fn canary(&mut self, mark: &str) -> String {
        self.ledger.canaries += 1;
        format!("{mark}-{}", self.ledger.canaries)
    }

    fn new_doc(&mut self, who: usize, ownership: Ownership) -> Result<Option<DocId>, Failure> {
        self.act(who, "new id", |home, _, rng| {
            home.new_document_id(ownership, rng)
        })
    }

    fn write_new(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
        let ownership = match dice.chance(40) {
            true => Ownership::Common,
            false => Ownership::Mine,
        };
        let mark = match self.seats[who].space {
            SHARED => WRITTEN,
            _ => PRIVATE,
        };
        let text = self.canary(mark);
        if let Some(doc) = self.new_doc(who, ownership)? {
            self.put(who, doc, "text", &text)?;
        }
        Ok(())
    }

    /// Something that is written when all is well.
    pub(super) fn last_words(&mut self, who: usize) -> Result<(), Failure> {
        if !self.seats[who].lost {
            self.write_new(who, &mut Dice::new(self.plan.seed, who as u64))?;
        }
        Ok(())
    }

    fn edit(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
        let mark = match self.seats[who].space {
            SHARED => WRITTEN,
            _ => PRIVATE,
        };
        for _ in 0..=dice.below(3) {
            let Some(doc) = self.some_doc(who, dice, true)? else {
                return Ok(());
            };
            let text = self.canary(mark);
            let key = ["text", "title", "mood"][dice.below(3)];
            self.put(who, doc, key, &text)?;
        }
        Ok(())
    }

    fn some_doc(
        &mut self,
        who: usize,
        dice: &mut Dice,
        writable: bool,
    ) -> Result<Option<DocId>, Failure> {
        let docs = self.act(who, "list", |home, _, _| home.documents())?;
        let docs = docs.unwrap_or_default().into_iter();
        let docs: Vec<DocId> = docs
            .filter(|doc| doc.writable || !writable)
            .map(|doc| doc.id)
            .collect();
        Ok(dice.pick(&docs))
    }

    fn draft(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let person = dice.below(2);
        let Some(who) = dice.pick(&self.in_use_by(person, 1 + person)) else {
            return Ok(());
        };
        let Some(doc) = self.new_doc(who, Ownership::Mine)? else {
            return Ok(());
        };
        for _ in 0..=dice.below(2) {
            let text = self.canary(PRIVATE);
            self.put(who, doc, "draft", &text)?;
        }
        let words = format!("words {}", dice.luck());
        self.put(who, doc, "to open", &words).map(drop)
    }

    fn open_to_other(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let person = dice.below(2);
        let own = dice.pick(&self.in_use_by(person, 1 + person));
        let shared = dice.pick(&self.in_use_by(person, SHARED));
        let (Some(own), Some(shared)) = (own, shared) else {
            return Ok(());
        };
        let Some(draft) = self.some_doc(own, dice, true)? else {
            return Ok(());
        };
        let mut read = |key: &str| {
            let home = self.seats[own].home.as_mut().unwrap();
            let document = home.document(&draft).unwrap();
            let value = document.get(ROOT, key).unwrap();
            value.and_then(|(value, _)| Some(value.as_str()?.to_owned()))
        };
        let (words, typed) = (read("to open"), read("draft"));
        let mut text = format!("{} {}", self.canary(WRITTEN), words.unwrap_or_default());
        if self.defect == Some(Defect::DraftLeaks) {
            text.push_str(&typed.unwrap_or_default());
        }
        if let Some(doc) = self.new_doc(shared, Ownership::Mine)?
            && self.put(shared, doc, "text", &text)?
        {
            self.ledger.opened.push((person, doc));
        }
        Ok(())
    }

    // Burning.

    fn take_back(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let Some((person, doc)) = dice.pick(&self.ledger.opened) else {
            return Ok(());
        };
        let Some(who) = dice.pick(&self.in_use_by(person, SHARED)) else {
            return Ok(());
        };
        self.burn(who, doc)
    }

    fn burn_some(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
        match self.some_doc(who, dice, false)? {
            Some(doc) => self.burn(who, doc),
            None => Ok(()),
        }
    }

    fn burn(&mut self, who: usize, doc: DocId) -> Result<(), Failure> {
        let device = self.seats[who].device;
        let home = self.seats[who].home.as_ref().unwrap();
        let before = home.frontier().counter(&device);
        self.ledger.burn_tried.insert(doc);
        let outputs = match self.defect == Some(Defect::BurnForgets) {
            true => self.act(who, "rotate", |home, now, rng| home.rotate(now, rng))?,
            false => self.act(who, "burn", |home, now, rng| {
                home.burn(now, rng, &[doc], &[])
            })?,
        };
        let Some(outputs) = outputs else {
            return Ok(());
        };
        let home = self.seats[who].home.as_mut().unwrap();
        let counters = before + 1..=home.frontier().counter(&device);
        let burn = counters
            .filter_map(|n| home.envelope(&device, n).unwrap())
            .find(|envelope| envelope.header().kind == EnvelopeType::Burn);
        let position = burn.map(|burn| (burn.header().counter, burn.id()));
        self.say(format!("{}: burns {doc:?}", self.name(who)));
        self.ledger.burned(who, &self.seats[who], doc, position);
        self.take(who, outputs)
    }

    // Members.

    fn is_online(&self, who: usize) -> bool {
        let seat = &self.seats[who];
        seat.conn.is_some() && seat.home.as_ref().is_some_and(Replica::caught_up)
    }

    fn link(&mut self, who: usize) -> Result<(), Failure> {
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

    fn revoke(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
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
    fn recover(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
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

    // Snapshots.

    fn begin_snapshot(&mut self, who: usize) -> Result<(), Failure> {
        if self.is_online(who) {
            let begun = self.act(who, "snapshot", |home, _, _| home.begin_snapshot())?;
            self.seats[who].makes_snapshot = begun.is_some();
            self.wake(who);
        }
        Ok(())
    }

    fn trim(&mut self, who: usize) -> Result<(), Failure> {
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

    fn opened(&self, pack: &PackRef) -> Result<ajar_engine::snapshot::pack::OpenedPack, Failure> {
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
