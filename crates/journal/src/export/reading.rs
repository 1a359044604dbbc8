//! What there is to read, in the order in which one reads it: entries, openings, pages and letters
//! by day, each with what was said about it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Document, Shown};
use crate::body::Paragraph;
use crate::date;
use crate::imported::{Author, Side};
use crate::opening::Stage;
use crate::photo::Photo;
use crate::records::{Letter, OpenWhen};
use crate::schema::Kind;
use crate::text::{displayable_line, first_line};

/// How many records lie between one and what it is about, at most.
const CHAIN_MAX: usize = 8;

/// Something to read.
pub(super) struct Reading<'a> {
    pub(super) document: &'a Document,
    /// The file of it in the archive.
    pub(super) file: String,
    pub(super) date: &'a str,
    pub(super) title: Option<&'a str>,
    pub(super) title_others: &'a [String],
    pub(super) paragraphs: Vec<Paragraph>,
    pub(super) tags: &'a [String],
    /// The layers of a feeling, and its gist: what each is called, and what it says.
    pub(super) layers: Vec<(&'static str, String)>,
    /// Whether its author starred it.
    pub(super) starred: bool,
    /// Why there is nothing of it to read yet.
    pub(super) closed: Option<String>,
    /// Days on which it was opened as it stands.
    pub(super) opened: Vec<&'a str>,
    pub(super) notes: Vec<Note<'a>>,
}

/// Something small that somebody said.
pub(super) struct Note<'a> {
    pub(super) document: &'a Document,
    pub(super) what: &'static str,
    pub(super) date: &'a str,
    pub(super) text: String,
    turn: u64,
}

/// All that there is to read.
pub(super) struct Book<'a> {
    pub(super) readings: Vec<Reading<'a>>,
    /// What is about nothing that stands there.
    pub(super) small: Vec<Note<'a>>,
}

impl Reading<'_> {
    /// What to call it.
    pub(super) fn heading(&self) -> String {
        let title = self.title.filter(|title| !title.trim().is_empty());
        let words = || {
            self.layers
                .first()
                .map(|(_, words)| displayable_line(words))
        };
        let heading = match title {
            Some(title) => displayable_line(title),
            None => match displayable_line(&first_line(&self.paragraphs)) {
                line if line.is_empty() => words().unwrap_or_default(),
                line => line,
            },
        };
        if heading.is_empty() {
            "Without words".to_owned()
        } else {
            heading
        }
    }

    pub(super) fn photos(&self) -> impl Iterator<Item = (&Photo, Option<&str>)> {
        let photos = self.document.photos().iter();
        photos.map(|photo| (photo, self.document.file(photo)))
    }

    pub(super) fn year(&self) -> &str {
        self.date.get(..4).unwrap_or("0000")
    }

    pub(super) fn stage(&self) -> Option<Stage> {
        match &self.document.shown {
            Shown::Opening(opening) => Some(opening.stage),
            _ => None,
        }
    }
}

impl<'a> Book<'a> {
    /// `today` decides which letters are open.
    pub(super) fn of(documents: &'a [Document], today: &str) -> Self {
        let same = opened_as_they_stand(documents);
        let mut readings: Vec<Reading<'a>> = documents
            .iter()
            .filter(|document| !same.contains_key(document.id.as_str()))
            .filter_map(|document| reading(document, today))
            .collect();
        for reading in &mut readings {
            let id = reading.document.id.as_str();
            let opened = same.values().filter(|(entry, _)| *entry == id);
            reading.opened = opened.map(|(_, day)| *day).collect();
        }
        readings.sort_by(|one, other| {
            let key = |reading: &Reading<'a>| (reading.date, reading.document.id.as_str());
            key(one).cmp(&key(other))
        });
        name_files(&mut readings);
        let mut book = Self {
            readings,
            small: Vec::new(),
        };
        book.place_notes(documents, &same);
        book
    }

    /// Puts what was said where it belongs.
    fn place_notes(
        &mut self,
        documents: &'a [Document],
        same: &BTreeMap<&'a str, (&'a str, &'a str)>,
    ) {
        let places: HashMap<&str, usize> = (0..)
            .zip(&self.readings)
            .map(|(at, reading)| (reading.document.id.as_str(), at))
            .collect();
        let abouts: HashMap<&str, &str> = documents
            .iter()
            .filter_map(|document| Some((document.id.as_str(), about(document)?)))
            .collect();
        let place = |document: &'a Document| {
            let mut id = about(document)?;
            for _ in 0..CHAIN_MAX {
                id = same.get(id).map_or(id, |(entry, _)| entry);
                if let Some(at) = places.get(id) {
                    return Some(*at);
                }
                id = abouts.get(id)?;
            }
            None
        };
        let (mut placed, mut small) = (Vec::new(), Vec::new());
        for note in documents.iter().filter_map(note) {
            match place(note.document) {
                Some(at) => placed.push((at, note)),
                None => small.push(note),
            }
        }
        let order = |note: &Note<'a>| (note.turn, note.date, note.document.id.as_str());
        placed.sort_by(|(_, one), (_, other)| order(one).cmp(&order(other)));
        for (at, note) in placed {
            if let Some(reading) = self.readings.get_mut(at) {
                reading.notes.push(note);
            }
        }
        small.sort_by(|one, other| {
            let key = |note: &Note<'a>| (note.date, note.document.id.as_str());
            key(one).cmp(&key(other))
        });
        self.small = small;
    }
}

/// Own openings that say just what their entry says: by their id, the entry and the day.
fn opened_as_they_stand(documents: &[Document]) -> BTreeMap<&str, (&str, &str)> {
    let openings: HashMap<&str, &Document> = documents
        .iter()
        .filter(|one| matches!(one.shown, Shown::Opening(_)) && super::is_own(one))
        .map(|one| (one.id.as_str(), one))
        .collect();
    let mut same = BTreeMap::new();
    for document in documents {
        let Shown::Entry(entry) = &document.shown else {
            continue;
        };
        let noted = document.fields.get(crate::schema::OPENINGS);
        let noted = noted.and_then(|noted| noted.as_object());
        for id in noted.into_iter().flat_map(|noted| noted.keys()) {
            let Some(copy) = openings.get(id.as_str()) else {
                continue;
            };
            if let Shown::Opening(opening) = &copy.shown
                && opening.title == entry.title
                && opening.text() == entry.text()
                && opening.layers == entry.layers
                && opening.photos.len() == entry.photos.len()
            {
                let day = opening.opened_on.as_str();
                same.insert(copy.id.as_str(), (document.id.as_str(), day));
            }
        }
    }
    same
}

fn reading<'a>(document: &'a Document, today: &str) -> Option<Reading<'a>> {
    let mut reading = Reading {
        document,
        file: String::new(),
        date: "",
        title: None,
        title_others: &[],
        paragraphs: Vec::new(),
        tags: &[],
        layers: Vec::new(),
        starred: false,
        closed: None,
        opened: Vec::new(),
        notes: Vec::new(),
    };
    match &document.shown {
        Shown::Entry(entry) => {
            reading.date = &entry.date;
            reading.title = entry.title.as_deref();
            reading.title_others = &entry.title_others;
            reading.paragraphs.clone_from(&entry.paragraphs);
            reading.tags = &entry.tags;
            reading.layers = entry.layers.lines();
            reading.starred = entry.starred;
        }
        Shown::Opening(opening) => {
            reading.date = &opening.date;
            reading.title = opening.title.as_deref();
            reading.title_others = &opening.title_others;
            reading.paragraphs.clone_from(&opening.paragraphs);
            let gist = opening.gist.clone().map(|gist| ("In a sentence", gist));
            reading.layers = gist.into_iter().chain(opening.layers.lines()).collect();
        }
        Shown::Small(facts) if document.kind.is_listed() => {
            reading.date = &facts.day;
            reading.title = document.fields.get("title").and_then(|it| it.as_str());
            if document.kind == Kind::Letter {
                let letter: Letter = crate::record::from_fields(document.fields.clone()).ok()?;
                reading.closed = closed(document, &letter, today);
                if reading.closed.is_none() {
                    reading.paragraphs = paragraphs(&letter.text);
                }
            }
        }
        Shown::Small(_) | Shown::Other => return None,
    }
    Some(reading)
}

/// A letter to oneself is read when its time has come; what one wrote oneself, always.
fn closed(document: &Document, letter: &Letter, today: &str) -> Option<String> {
    if document.origin.author != Author::Partner || letter.is_open(today) {
        return None;
    }
    Some(match &letter.open {
        Some(OpenWhen::Day(day)) => format!("Closed until {}.", date::day(day)),
        Some(OpenWhen::Mood(mood)) => format!("To be opened when: {}.", displayable_line(mood)),
        None => return None,
    })
}

fn paragraphs(text: &str) -> Vec<Paragraph> {
    let paragraph = |text: &str| Paragraph {
        text: text.to_owned(),
        others: Vec::new(),
    };
    text.split('\n').map(paragraph).collect()
}

/// The file of each: its day and the beginning of its id, or the whole id where two begin alike.
fn name_files(readings: &mut [Reading<'_>]) {
    let mut names = HashSet::new();
    for reading in readings {
        let (year, day) = (reading.year().to_owned(), date::day(reading.date));
        let id = reading.document.id.as_str();
        let mut name = format!("entries/{year}/{day}-{}.md", short(id));
        if names.contains(&name) {
            name = format!("entries/{year}/{day}-{id}.md");
        }
        names.insert(name.clone());
        reading.file = name;
    }
}

/// The beginning of an id, as people see it.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn about(document: &Document) -> Option<&str> {
    document.fields.get("about")?.as_str()
}

fn note(document: &Document) -> Option<Note<'_>> {
    let Shown::Small(facts) = &document.shown else {
        return None;
    };
    let what = what(&document.kind, document.origin.space)?;
    let text = facts.texts.join("\n");
    (!text.trim().is_empty()).then_some(Note {
        document,
        what,
        date: &facts.day,
        text,
        turn: document
            .fields
            .get("turn")
            .and_then(|turn| turn.as_u64())
            .unwrap_or_default(),
    })
}

/// What a small record is called; `None` for what stays in the background or is told otherwise.
fn what(kind: &Kind, space: Side) -> Option<&'static str> {
    Some(match kind {
        Kind::Acknowledge => "I see you",
        Kind::Reflection => "what I hear",
        Kind::Check => "whether that was it",
        Kind::Response => "an answer",
        Kind::Thanks => "what helped",
        Kind::Felt => "how it was for me",
        Kind::Weighing => "before opening it",
        Kind::Bid => "a small request",
        Kind::BidAnswer => "an answer",
        Kind::Capacity => "what I have room for",
        Kind::Pause => "a pause",
        Kind::Sealed => "shown together",
        Kind::Question => "a question of ours",
        Kind::MapAnswer if space == Side::Me => "about me, kept",
        Kind::MapAnswer => "about me",
        Kind::Passage => "on the page",
        Kind::OurWord => "a word of ours",
        Kind::Agreement => "an agreement",
        Kind::Milestone => "a day to remember",
        Kind::Ritual => "a ritual",
        Kind::RitualDone => "done again",
        Kind::OwnWord => "a word of mine",
        _ => return None,
    })
}
