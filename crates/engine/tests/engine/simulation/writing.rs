//! Writing, drafting, opening to the other, taking back and burning.

use ajar_engine::Ownership;
use ajar_engine::outbox::ChangeError;
use ajar_protocol::{DocId, EnvelopeType};
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ROOT, ReadDoc};

use super::disk::Fault;
use super::oracle::{PRIVATE, WRITTEN};
use super::plan::Dice;
use super::town::{SHARED, Town, is_changes};
use super::{Defect, Failure};

impl Town {
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

    pub(super) fn write_new(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
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

    pub(super) fn edit(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
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

    pub(super) fn draft(&mut self, dice: &mut Dice) -> Result<(), Failure> {
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

    pub(super) fn open_to_other(&mut self, dice: &mut Dice) -> Result<(), Failure> {
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

    pub(super) fn take_back(&mut self, dice: &mut Dice) -> Result<(), Failure> {
        let Some((person, doc)) = dice.pick(&self.ledger.opened) else {
            return Ok(());
        };
        let Some(who) = dice.pick(&self.in_use_by(person, SHARED)) else {
            return Ok(());
        };
        self.burn(who, doc)
    }

    pub(super) fn burn_some(&mut self, who: usize, dice: &mut Dice) -> Result<(), Failure> {
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
        self.ledger.burned(&self.seats[who], doc, position);
        self.take(who, outputs)
    }
}
