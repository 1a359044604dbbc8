//! What the plots for oneself are made of: one's own entries and notes, and of the other only the
//! kind of an answer, and the points they chose to show.

use std::collections::{BTreeMap, BTreeSet};

use ajar_journal::Point;
use ajar_journal::entry::Entry;
use ajar_journal::insight::bodily::BodyMark;
use ajar_journal::insight::helped::Answered;
use ajar_journal::insight::opened::StageCount;
use ajar_journal::insight::readings::Reading;
use ajar_journal::insight::responses::FeltNote;
use ajar_journal::insight::{
    Felt, Insight, bodily, garden, helped, moved, opened, places, readings, responses,
};
use ajar_journal::opening::Opening;
use ajar_journal::records::{Felt as Note, Reflection, Response};
use ajar_journal::schema::Kind;
use ajar_journal::words::{self, Word};
use ajar_sync::{Home, Space, SpaceKind};

use super::super::notes;
use super::Asked;
use crate::names::Author;
use crate::records::{self, Record};
use crate::report::Failure;
use crate::shelf;

/// Names and questions, in the order they are listed in.
pub(super) const ALL: [(&str, &str); 8] = [
    (places::NAME, places::TITLE),
    (moved::NAME, moved::TITLE),
    (garden::NAME, garden::TITLE),
    (bodily::NAME, bodily::TITLE),
    (helped::NAME, helped::TITLE),
    (responses::NAME, responses::TITLE),
    (opened::NAME, opened::TITLE),
    (readings::NAME, readings::TITLE),
];

/// Everything of one's own, read once.
pub(super) struct Mine {
    entries: Vec<Entry>,
    notes: Vec<Note>,
    own_words: Vec<Word>,
    us: Option<Space>,
}

impl Mine {
    /// Reads Only me, which must be open.
    pub(super) fn of(home: &Home) -> Result<Self, Failure> {
        let me = home.space(SpaceKind::Private)?;
        let (mut entries, _) = records::all_of(&me, &Kind::Entry)?;
        // The same on every device, whatever came there first.
        entries.sort_by_cached_key(|located| (located.record.date().to_owned(), located.id));
        let entries = entries
            .into_iter()
            .filter_map(|located| match located.record {
                Record::Entry(entry) => Some(*entry),
                _ => None,
            });
        let notes = shelf::all::<Note>(&me)?.into_iter();
        Ok(Self {
            entries: entries.collect(),
            notes: notes.map(|kept| kept.record).collect(),
            own_words: notes::own_words(home)?,
            us: home.space(SpaceKind::Shared).ok(),
        })
    }

    /// The plot of a name; `None` if it is none of one's own.
    pub(super) fn plot(&self, name: &str, asked: &Asked) -> Result<Option<Insight>, Failure> {
        let plot = match name {
            places::NAME | moved::NAME => {
                let felt = self.felt(&mut self.own_words.clone());
                let period = asked.period(felt.iter().map(|one| one.day.as_str()))?;
                match name {
                    places::NAME => places::plot(&felt, &period),
                    _ => moved::plot(&felt, &period),
                }
            }
            garden::NAME => {
                let mut own = self.own_words.clone();
                let felt = self.felt(&mut own);
                let period = asked.period(felt.iter().map(|one| one.day.as_str()))?;
                garden::plot(&felt, &own, &period)
            }
            bodily::NAME => {
                let marks = self.marks();
                let period = asked.period(marks.iter().map(|one| one.day.as_str()))?;
                bodily::plot(&marks, &period)
            }
            helped::NAME => {
                let answered = self.answered()?;
                let period = asked.period(answered.iter().map(|one| one.day.as_str()))?;
                helped::plot(&answered, &period)
            }
            responses::NAME => self.responses(asked)?,
            opened::NAME => {
                let stages = self.stages();
                let period = asked.period(stages.iter().map(|one| one.day.as_str()))?;
                opened::plot(&stages, &period)
            }
            readings::NAME => {
                let readings = self.readings()?;
                let period = asked.period(readings.iter().map(|one| one.day.as_str()))?;
                readings::plot(&readings, &period)
            }
            _ => return Ok(None),
        };
        Ok(Some(plot))
    }

    /// The feelings noted. A word that is in no list becomes one of `own`, so that it has a flower
    /// as well.
    fn felt(&self, own: &mut Vec<Word>) -> Vec<Felt> {
        let mut felt = Vec::new();
        for entry in &self.entries {
            let feeling = &entry.layers.feeling;
            let Some(point) = feeling.point else {
                continue;
            };
            let mut ids = Vec::new();
            for typed in &feeling.words {
                let id = match words::find(typed, own) {
                    Some(word) => word.id().to_owned(),
                    None => {
                        // The points it was chosen at say where it is drawn.
                        let word = Word::new(typed.clone(), typed.clone(), point, None);
                        own.push(word);
                        typed.clone()
                    }
                };
                ids.push(id);
            }
            felt.push(Felt {
                day: entry.date.clone(),
                point,
                words: ids,
            });
        }
        felt
    }

    fn marks(&self) -> Vec<BodyMark> {
        let marks = self.entries.iter().flat_map(|entry| {
            let places = entry.layers.body.places.iter();
            places.map(|place| BodyMark {
                day: entry.date.clone(),
                region: place.region,
                change: place.change,
            })
        });
        marks.collect()
    }

    /// What was written and how far it was opened. What came from another journal counts once it
    /// is opened: bringing it here was no decision to keep it.
    fn stages(&self) -> Vec<StageCount> {
        let counted = self.entries.iter().filter_map(|entry| {
            let stage = entry.openings.iter().map(|opened| opened.stage).max();
            if stage.is_none() && entry.imported.is_some() {
                return None;
            }
            Some(StageCount {
                day: entry.date.clone(),
                stage,
                count: 1,
            })
        });
        counted.collect()
    }

    fn responses(&self, asked: &Asked) -> Result<Insight, Failure> {
        let notes = self.notes.iter().filter(|note| {
            let stops = [note.understood, note.validated, note.cared, note.felt];
            stops.iter().any(Option::is_some)
        });
        let notes: Vec<FeltNote> = notes
            .map(|note| FeltNote {
                day: note.on.clone(),
                understood: note.understood,
                validated: note.validated,
                cared: note.cared,
                felt: note.felt,
            })
            .collect();
        let stages = asked.opened.then(|| self.stages());
        let period = asked.period(notes.iter().map(|one| one.day.as_str()))?;
        Ok(responses::plot(&notes, stages.as_deref(), &period))
    }

    /// Where one was when one opened something, and after the answer; of the answer its kind.
    fn answered(&self) -> Result<Vec<Answered>, Failure> {
        let Some(us) = &self.us else {
            return Ok(Vec::new());
        };
        let answers = shelf::all::<Response>(us)?.into_iter();
        let kinds: BTreeMap<String, _> = answers
            .filter(|kept| kept.author == Author::Partner)
            .map(|kept| (kept.id_text(), kept.record.sort.family()))
            .collect();
        let mut before: BTreeMap<&str, Point> = BTreeMap::new();
        for entry in &self.entries {
            let openings = entry.openings.iter().map(|it| it.opening_id.as_str());
            let point = entry.layers.feeling.point;
            before.extend(openings.filter_map(|id| Some((id, point?))));
        }
        let answered = self.notes.iter().filter_map(|note| {
            Some(Answered {
                day: note.on.clone(),
                reply: *kinds.get(&note.about)?,
                before: *before.get(note.opening.as_str())?,
                after: note.after?,
            })
        });
        Ok(answered.collect())
    }

    /// One's own readings of what the other opened with a point to be seen.
    fn readings(&self) -> Result<Vec<Reading>, Failure> {
        let Some(us) = &self.us else {
            return Ok(Vec::new());
        };
        let reflections: Vec<Reflection> = shelf::all::<Reflection>(us)?
            .into_iter()
            .filter(|kept| kept.author == Author::Me)
            .map(|kept| kept.record)
            .collect();
        let about: BTreeSet<&str> = reflections.iter().map(|it| it.about.as_str()).collect();
        let mut shown: BTreeMap<String, Point> = BTreeMap::new();
        for (id, author, opening) in super::openings(us)? {
            if author == Author::Partner && about.contains(id.as_str()) {
                shown.extend(point_of(&opening).map(|point| (id, point)));
            }
        }
        let readings = reflections.iter().filter_map(|reflection| {
            Some(Reading {
                day: reflection.on.clone(),
                guess: reflection.point?,
                own: *shown.get(&reflection.about)?,
            })
        });
        Ok(readings.collect())
    }
}

fn point_of(opening: &Opening) -> Option<Point> {
    opening.layers.feeling.point
}
