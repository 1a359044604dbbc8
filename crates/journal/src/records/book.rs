//! Our book: what enters only when both say so, pages whose paragraphs are signed, our words,
//! agreements, days to remember, letters and rituals.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{needed, one_line, optional, record};
use crate::date;
use crate::error::Invalid;
use crate::layers::words;
use crate::point::Point;

/// Hash of texts somebody agrees to: 64 hexadecimal digits. Another text has another one.
#[must_use]
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(b"ajar/journal/v1/consent");
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// What one person says to something that needs both. It counts as long as it is given, and only
/// for what stood there then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// What it is about.
    pub about: String,
    /// What was agreed to, by its [`digest`].
    pub digest: String,
    /// Yes, or not any more.
    pub given: bool,
    /// The day.
    pub on: String,
}

// A yes to some words and a no to others must not become a yes to those; and a no that one device
// said holds against a yes of another that had not heard of it.
record!(Consent, together ["digest", "given", "on"], firm [("given", false)], about about, texts |_me| Vec::new(), check |me| {
    let hex = me.digest.bytes().all(|b| b.is_ascii_hexdigit());
    if me.digest.len() != 64 || !hex {
        return Err(Invalid::Field { field: "digest", needs: "64 hexadecimal digits" });
    }
    Ok(())
});

/// A page of the book. Its paragraphs are [`Passage`]s, each of whoever wrote it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What it is called.
    pub title: String,
    /// It asks the six things of a repair page.
    #[serde(default)]
    pub repair: bool,
    /// The day it is about.
    pub on: String,
}

impl Page {
    /// What a repair page asks of each.
    pub const REPAIR: [&'static str; 6] = [
        "What happened, as I saw it",
        "What I felt",
        "What I think you may have felt",
        "My part",
        "One thing I would do differently",
        "What I would like from you",
    ];

    /// What somebody agrees to who puts it into the book.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&["page", &self.title])
    }
}

record!(
    Page,
    texts | me | vec![&me.title],
    check | me | one_line("title", &me.title)
);

/// A paragraph, signed by the device of whoever wrote it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The page.
    pub about: String,
    /// The paragraph.
    pub text: String,
    /// Which question of a repair page it answers, 1 to 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<u8>,
    /// It is a note in the margin.
    #[serde(default)]
    pub margin: bool,
    /// The day.
    pub on: String,
    /// Its place on the page.
    pub turn: u32,
}

record!(Passage, about about, texts |me| vec![&me.text], check |me| {
    if me.section.is_some_and(|section| !(1..=6).contains(&section)) {
        return Err(Invalid::Field { field: "section", needs: "a number from 1 to 6" });
    }
    needed("text", &me.text)
});

/// A word of the couple's own. It is theirs when both say so.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurWord {
    /// The word.
    pub word: String,
    /// What it means between the two.
    pub meaning: String,
    /// Where it lies on the grid, if it is a feeling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// The day.
    pub on: String,
}

impl OurWord {
    /// What the other agrees to.
    #[must_use]
    pub fn digest(&self) -> String {
        let point = self
            .point
            .map(|point| point.to_string())
            .unwrap_or_default();
        digest(&["word", &self.word, &self.meaning, &point])
    }
}

record!(
    OurWord,
    texts | me | vec![&me.word, &me.meaning],
    check | me | {
        crate::layers::check_words(std::slice::from_ref(&me.word), 1)?;
        needed("meaning", &me.meaning)
    }
);

/// Something both hold to, once both have signed these words. Leaving it takes one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// What.
    pub text: String,
    /// The day.
    pub on: String,
}

impl Agreement {
    /// What both sign.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&["agreement", &self.text])
    }
}

record!(
    Agreement,
    texts | me | vec![&me.text],
    check | me | needed("text", &me.text)
);

/// A day to remember.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// What it is called.
    pub name: String,
    /// Every year.
    #[serde(default)]
    pub yearly: bool,
    /// The day.
    pub on: String,
}

impl Milestone {
    /// What the other agrees to.
    #[must_use]
    pub fn digest(&self) -> String {
        let yearly = if self.yearly { "yearly" } else { "once" };
        digest(&["milestone", &self.name, &self.on, yearly])
    }
}

record!(
    Milestone,
    texts | me | vec![&me.name],
    check | me | one_line("name", &me.name)
);

/// When a letter opens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenWhen {
    /// From a day on.
    Day(String),
    /// When its reader feels so: “I am sad”. The reader decides.
    Mood(String),
}

crate::redacted_debug!(OpenWhen);

/// A letter to the other, closed until a day or a mood.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// What stands on the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The letter.
    pub text: String,
    /// When it opens; at once if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenWhen>,
    /// The day it was written.
    pub on: String,
}

impl Letter {
    /// Whether its reader may open it on `today` without saying that the mood is there.
    #[must_use]
    pub fn is_open(&self, today: &str) -> bool {
        match &self.open {
            None => true,
            Some(OpenWhen::Day(day)) => date::day(today) >= date::day(day),
            Some(OpenWhen::Mood(_)) => false,
        }
    }
}

record!(
    Letter,
    texts | me | me.title.as_deref().into_iter().collect(),
    check | me | {
        me.title
            .as_deref()
            .map_or(Ok(()), |title| one_line("title", title))?;
        match &me.open {
            Some(OpenWhen::Day(day)) => date::check(day)?,
            Some(OpenWhen::Mood(mood)) => one_line("mood", mood)?,
            None => {}
        }
        needed("text", &me.text)
    }
);

words! {
    /// How often something is done.
    Cadence, "cadence" {
        /// Every day.
        Daily = "daily",
        /// Every week.
        Weekly = "weekly",
        /// Every month.
        Monthly = "monthly",
        /// In turns, whenever: an exchange diary.
        Turns = "turns",
        /// When both feel like it.
        Whenever = "whenever",
    }
}

/// Something done together again and again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ritual {
    /// What it is called.
    pub name: String,
    /// How often.
    pub cadence: Cadence,
    /// What it consists of; at most 16 lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// It has ended.
    #[serde(default)]
    pub ended: bool,
    /// The day.
    pub on: String,
}

impl Ritual {
    /// What the other agrees to.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut parts = vec!["ritual", &self.name, self.cadence.as_str()];
        parts.extend(self.steps.iter().map(String::as_str));
        digest(&parts)
    }
}

record!(
    Ritual,
    texts | me | {
        std::iter::once(&me.name)
            .chain(&me.steps)
            .map(String::as_str)
            .collect()
    },
    check | me | {
        if me.steps.len() > 16 {
            return Err(Invalid::Field {
                field: "steps",
                needs: "at most 16",
            });
        }
        me.steps
            .iter()
            .try_for_each(|step| one_line("step", step))?;
        one_line("name", &me.name)
    }
);

/// That somebody did it, or passed the turn. Nothing counts how often.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RitualDone {
    /// The ritual.
    pub about: String,
    /// A note, or the page of an exchange diary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The turn is passed on without a page.
    #[serde(default)]
    pub passed: bool,
    /// The day.
    pub on: String,
    /// Its place among the others.
    pub turn: u32,
}

record!(RitualDone, about about, texts |me| me.note.as_deref().into_iter().collect(),
    check |me| optional("note", me.note.as_deref()));
