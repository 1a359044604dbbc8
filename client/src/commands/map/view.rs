//! What the map of each other is made of: the questions there are, and what each has told.

use std::collections::{BTreeMap, BTreeSet};

use ajar_journal::between;
use ajar_journal::date;
use ajar_journal::questions::{self, Depth, Question, Told};
use ajar_journal::records::{self, Felt, MapAnswer, MapSkip, Pick, Topic};
use ajar_sync::{Home, Space, SpaceKind};

use super::super::doors;
use super::super::together::Seals;
use crate::between as standing;
use crate::names::Author;
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids};

/// The couple's own questions, with the days on which they were asked.
pub(in super::super) fn ours(us: &Space) -> Result<Vec<(String, Question)>, Failure> {
    let kept = shelf::all::<records::Question>(us)?.into_iter();
    let read = |kept: Kept<records::Question>| {
        let question = Question {
            id: kept.id_text(),
            theme: kept.record.theme.parse().ok()?,
            depth: Depth::from_number(kept.record.depth.into())?,
            text: kept.record.text,
        };
        Some((kept.record.on, question))
    };
    Ok(kept.filter_map(read).collect())
}

/// The map as this device has it.
pub(super) struct View {
    pub(super) us: Space,
    /// Only me, if it is open.
    pub(super) me: Option<Space>,
    pub(super) today: String,
    pub(super) ours: Vec<Question>,
    pub(super) seals: Seals,
    /// Whether both want deep questions now.
    pub(super) deep: bool,
    pub(super) kept: Vec<MapAnswer>,
    shared: Vec<Kept<MapAnswer>>,
    picks: Vec<Kept<Pick>>,
}

impl View {
    pub(super) fn of(home: &Home) -> Result<Self, Failure> {
        let us = doors::shared(home)?;
        let me = home.space(SpaceKind::Private).ok();
        let today = dates::today();
        let kept = match &me {
            Some(me) => shelf::all::<MapAnswer>(me)?,
            None => Vec::new(),
        };
        Ok(Self {
            ours: ours(&us)?.into_iter().map(|(_, one)| one).collect(),
            seals: Seals::of(&us)?,
            deep: standing::deep(&us, &today, dates::now_ms())?,
            kept: kept.into_iter().map(|kept| kept.record).collect(),
            shared: shelf::all::<MapAnswer>(&us)?,
            picks: shelf::all::<Pick>(&us)?,
            us,
            me,
            today,
        })
    }

    /// The question somebody named, by its id or the beginning of one of the couple's own.
    pub(super) fn question(&self, typed: &str) -> Result<Question, Failure> {
        let typed = typed.trim();
        if let Some(question) = questions::by_id(typed, &self.ours) {
            return Ok(question.clone());
        }
        let begins = |question: &&Question| {
            typed.len() >= ids::PREFIX_MIN && question.id.starts_with(&typed.to_lowercase())
        };
        let mut ours = self.ours.iter().filter(begins);
        match (ours.next(), ours.next()) {
            (Some(question), None) => Ok(question.clone()),
            _ => Err(
                Failure::fixable("no-such-question", "There is no such question.")
                    .hint("`ajar map` lists them, as in everyday.3."),
            ),
        }
    }

    /// The day each question was last told, as far as the other may know; with what is kept, if
    /// that is wanted.
    pub(super) fn told_by(&self, author: Author, with_kept: bool) -> BTreeMap<String, String> {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        let mut tell = |question: &str, on: &str| {
            let day = told.entry(question.to_owned()).or_default();
            if date::day(on) > day.as_str() {
                *day = date::day(on).to_owned();
            }
        };
        for kept in self.shared.iter().filter(|kept| kept.author == author) {
            tell(&kept.record.question, &kept.record.on);
        }
        for (topic, sealed) in self.seals.told(author) {
            match topic {
                Topic::MapAnswer(question) => tell(question, &sealed.on),
                Topic::Question(day) => {
                    let picks = self.picks.iter().map(|kept| &kept.record);
                    let asked = between::agreed(picks, day, |_| true);
                    asked
                        .into_iter()
                        .for_each(|question| tell(question, &sealed.on));
                }
                Topic::Tune(_) | Topic::MapGuess(_) => {}
            }
        }
        if with_kept && author == Author::Me {
            self.kept
                .iter()
                .for_each(|answer| tell(&answer.question, &answer.on));
        }
        told
    }

    /// What somebody shared as their answer.
    pub(super) fn shared_by(&self, author: Author, question: &str) -> Option<&MapAnswer> {
        let mut by = self.shared.iter().filter(|kept| kept.author == author);
        let found = by.find(|kept| kept.record.question == question);
        found.map(|kept| &kept.record)
    }

    /// What one keeps as one's answer.
    pub(super) fn kept_for(&self, question: &str) -> Option<&MapAnswer> {
        self.kept.iter().find(|answer| answer.question == question)
    }

    /// The questions one leaves out.
    pub(super) fn skipped(&self) -> Result<BTreeSet<String>, Failure> {
        let Some(me) = &self.me else {
            return Ok(BTreeSet::new());
        };
        let skips = shelf::all::<MapSkip>(me)?.into_iter();
        let stands = skips.filter(|kept| !kept.record.lifted);
        Ok(stands.map(|kept| kept.record.question).collect())
    }

    /// Whether deep questions may come up here. After something that hurt they do not for a day, on
    /// this person's own devices only: what both are asked does not change.
    pub(super) fn may_go_deep(&self) -> Result<bool, Failure> {
        let Some(me) = self.me.as_ref().filter(|_| self.deep) else {
            return Ok(self.deep);
        };
        let lately = [self.today.clone(), dates::typed("yesterday")?];
        let felt = shelf::all::<Felt>(me)?;
        Ok(!felt
            .iter()
            .any(|kept| kept.record.hurt && lately.contains(&kept.record.on)))
    }

    /// All questions in their order, with what is told of them.
    pub(super) fn flower<'a>(
        &'a self,
        told: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (&'a Question, Told, Option<&'a String>)> {
        let all = questions::all().iter().chain(&self.ours);
        all.map(|question| {
            let on = told.get(&question.id);
            let state = questions::told(on.map(String::as_str), &self.today, question.theme);
            (question, state, on)
        })
    }
}
