//! Questions for the map of each other: the sixty-four the journal offers, and a couple's own.
//!
//! A built-in question is known by its theme and its place in it, as in `everyday.3`. Themes are
//! petals, depths are rings; an answer grows old and is asked for again. Nothing here counts how
//! much anybody has told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::date;
use crate::redacted_debug;

/// How many questions [`ask_next`] suggests.
pub const ASK_NEXT: usize = 3;
/// Sets the hash of the daily pick apart from other uses of the same seed.
const PICK_LABEL: &[u8] = b"ajar 2026 daily question\0";

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Theme {
    /// Ordinary days.
    Everyday,
    /// Body and rest.
    Body,
    /// Feelings and how they show.
    Weather,
    /// Childhood and youth.
    Early,
    /// Friends and relatives.
    People,
    /// Work and purpose.
    Work,
    /// The two of us.
    Us,
    /// Dreams and meaning.
    Dreams,
}

impl Theme {
    /// All of them, in the order of the petals.
    pub const ALL: [Self; 8] = [
        Self::Everyday,
        Self::Body,
        Self::Weather,
        Self::Early,
        Self::People,
        Self::Work,
        Self::Us,
        Self::Dreams,
    ];

    /// The word for it, in ids and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Everyday => "everyday",
            Self::Body => "body",
            Self::Weather => "weather",
            Self::Early => "early",
            Self::People => "people",
            Self::Work => "work",
            Self::Us => "us",
            Self::Dreams => "dreams",
        }
    }

    /// Its name on pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everyday => "everyday",
            Self::Body => "body and rest",
            Self::Weather => "inner weather",
            Self::Early => "early years",
            Self::People => "people",
            Self::Work => "work and purpose",
            Self::Us => "the two of us",
            Self::Dreams => "dreams and meaning",
        }
    }

    /// For how many days an answer is taken as it was told. What changes with the weeks is asked
    /// sooner than what was long ago.
    #[must_use]
    pub fn fresh_for(self) -> i64 {
        match self {
            Self::Weather | Self::Work => 90,
            Self::Everyday | Self::Body | Self::People | Self::Us => 180,
            Self::Early | Self::Dreams => 365,
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word names no theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such theme; choose everyday, body, weather, early, people, work, us or dreams")]
pub struct NoSuchTheme;

impl FromStr for Theme {
    type Err = NoSuchTheme;

    fn from_str(word: &str) -> Result<Self, NoSuchTheme> {
        let mut all = Self::ALL.into_iter();
        all.find(|theme| theme.as_str() == word).ok_or(NoSuchTheme)
    }
}

/// How near a question comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Easily told.
    Light,
    /// Takes some trust.
    Middle,
    /// Only told, never guessed, and only asked when both want such questions.
    Deep,
}

impl Depth {
    /// All of them, from the innermost ring outwards.
    pub const ALL: [Self; 3] = [Self::Light, Self::Middle, Self::Deep];

    /// As a number, 1 to 3.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Light => 1,
            Self::Middle => 2,
            Self::Deep => 3,
        }
    }

    /// The depth of this number; `None` unless it is 1, 2 or 3.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Light),
            2 => Some(Self::Middle),
            3 => Some(Self::Deep),
            _ => None,
        }
    }

    /// Whether the other may guess the answer.
    #[must_use]
    pub fn may_be_guessed(self) -> bool {
        self != Self::Deep
    }
}

/// One question of the map.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// What records refer to: `everyday.3`, or the id of a couple's own question.
    pub id: String,
    /// What it is about.
    pub theme: Theme,
    /// How near it comes.
    pub depth: Depth,
    /// The question. A couple's own is shown through [`crate::text::displayable_line`].
    pub text: String,
}

redacted_debug!(Question);

/// The built-in questions, in the order of the list: by theme, then from light to deep.
#[must_use]
pub fn all() -> &'static [Question] {
    static QUESTIONS: LazyLock<Vec<Question>> =
        LazyLock::new(|| parse(include_str!("../data/map-questions.csv")));
    &QUESTIONS
}

/// The question of this id: a couple's own, or a built-in one.
#[must_use]
pub fn by_id<'a>(id: &str, ours: &'a [Question]) -> Option<&'a Question> {
    let mut offered = all().iter().chain(ours);
    offered.find(|question| question.id == id)
}

/// What is known of the answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Not told yet.
    Hollow,
    /// Told so long ago that it may have changed.
    Ageing,
    /// Told, and recent enough.
    Current,
}

/// Where the answer to a question of this theme stands on the day `today`.
#[must_use]
pub fn told(on: Option<&str>, today: &str, theme: Theme) -> Told {
    match on {
        None => Told::Hollow,
        Some(day) if is_stale(day, today, theme) => Told::Ageing,
        Some(_) => Told::Current,
    }
}

/// Whether an answer told on one day should be asked for again on another: "Still true?". A day
/// that is none counts as long ago, so that the owner is asked rather than misquoted.
#[must_use]
pub fn is_stale(told_on: &str, today: &str, theme: Theme) -> bool {
    let days = date::day_number(told_on).zip(date::day_number(today));
    days.is_none_or(|(told, today)| today - told > theme.fresh_for())
}

/// Up to [`ASK_NEXT`] questions that are hollow or ageing: the hollow first, the light before the
/// deeper, the longest untold first, each from another theme while there are themes left, those
/// with the fewest answers first.
///
/// `told_on` has the day of the last answer by question; `passed` are questions somebody skipped or
/// retired, which may be private, as the suggestion stays on this device. Deep questions come only
/// when `deep`.
#[must_use]
pub fn ask_next<'a>(
    today: &str,
    ours: &'a [Question],
    told_on: &BTreeMap<String, String>,
    passed: &BTreeSet<String>,
    deep: bool,
) -> Vec<&'a Question> {
    let day_told = |question: &Question| told_on.get(&question.id).map(String::as_str);
    let mut answers: BTreeMap<Theme, usize> = BTreeMap::new();
    for question in all().iter().chain(ours) {
        *answers.entry(question.theme).or_default() += usize::from(day_told(question).is_some());
    }
    let offered = all().iter().chain(ours);
    let mut open: Vec<_> = offered
        .filter(|question| deep || question.depth != Depth::Deep)
        .filter(|question| !passed.contains(&question.id))
        .map(|question| (told(day_told(question), today, question.theme), question))
        .filter(|(told, _)| *told != Told::Current)
        .collect();
    open.sort_by_key(|(told, question)| {
        let told_in_theme = answers.get(&question.theme).copied();
        let day = day_told(question).map(date::day);
        let theme = (told_in_theme, question.theme);
        (*told, question.depth, day, theme, place(&question.id))
    });
    let mut themes = BTreeSet::new();
    let (first, again): (Vec<_>, Vec<_>) = open
        .into_iter()
        .map(|(_, question)| question)
        .partition(|question| themes.insert(question.theme));
    first.into_iter().chain(again).take(ASK_NEXT).collect()
}

/// A question and the day it was picked or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// The question's id.
    pub question: String,
    /// The day, as in [`crate::date`].
    pub day: String,
}

/// What the daily pick hangs on: **shared records only**. Anything private in here, such as a
/// question somebody skipped, would show in what both are asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shared<'a> {
    /// The couple's own questions.
    pub ours: &'a [Question],
    /// Every question picked so far. Days from the pick's own on are not looked at, nor is order.
    pub picked: &'a [Dated],
    /// Every shared answer. Days from the pick's own on are not looked at, nor is order.
    pub answered: &'a [Dated],
    /// Whether both have asked for deep questions this week.
    pub both_want_deep: bool,
    /// Whether a pause was on when the day began.
    pub paused: bool,
}

/// Today's question for both: one that was never asked, or else one whose answer has grown old, or
/// else any. A deep one is picked only when both want it, never during a pause and never after
/// another deep one. The same records and the same shared secret give the same question on every
/// device; without the secret it cannot be told beforehand. `None` only if `day` is no date.
#[must_use]
pub fn pick<'a>(day: &str, seed: &[u8; 32], shared: Shared<'a>) -> Option<&'a Question> {
    date::check(day).ok()?;
    let day = date::day(day);
    let before = |dated: &&Dated| date::day(&dated.day) < day;
    let mut last_told: BTreeMap<&str, &str> = BTreeMap::new();
    for dated in shared.answered.iter().filter(before) {
        let told = last_told.entry(&dated.question).or_default();
        *told = date::day(&dated.day).max(*told);
    }
    let mut asked: BTreeSet<&str> = last_told.keys().copied().collect();
    asked.extend(
        shared
            .picked
            .iter()
            .filter(before)
            .map(|dated| &*dated.question),
    );
    let deep = shared.both_want_deep && !shared.paused && !after_deep(day, shared);
    let urgency = |question: &Question| match last_told.get(&*question.id) {
        _ if !asked.contains(&*question.id) => 0,
        Some(told) if is_stale(told, day, question.theme) => 1,
        _ => 2,
    };
    all()
        .iter()
        .chain(shared.ours)
        .filter(|question| deep || question.depth != Depth::Deep)
        .min_by_key(|question| (urgency(question), lot(seed, day, &question.id)))
}

/// Whether the last question before `day` was deep. One this device does not know may have been.
fn after_deep(day: &str, shared: Shared<'_>) -> bool {
    let before = shared
        .picked
        .iter()
        .filter(|dated| date::day(&dated.day) < day);
    let last = before.map(|dated| date::day(&dated.day)).max();
    let mut on_last = shared
        .picked
        .iter()
        .filter(|dated| Some(date::day(&dated.day)) == last);
    on_last.any(|dated| {
        by_id(&dated.question, shared.ours).is_none_or(|question| question.depth == Depth::Deep)
    })
}

/// A question's lot of the day. Every question draws its own, so a new one changes nothing for the
/// others.
fn lot(seed: &[u8; 32], day: &str, id: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(PICK_LABEL);
    hash.update(seed);
    hash.update(day.as_bytes());
    hash.update(id.as_bytes());
    hash.finalize().into()
}

/// Orders ids of one theme by their number, `everyday.2` before `everyday.10`.
fn place(id: &str) -> (Reverse<bool>, usize, &str) {
    let built_in = all().iter().position(|question| question.id == id);
    (
        Reverse(built_in.is_some()),
        built_in.unwrap_or_default(),
        id,
    )
}

/// Reads the list: theme, depth, and the question in quotation marks. A line that does not hold is
/// left out, and fails the tests.
fn parse(list: &str) -> Vec<Question> {
    let mut numbers: BTreeMap<Theme, u32> = BTreeMap::new();
    let mut questions = Vec::new();
    for line in list.lines().skip(1) {
        let mut parts = line.splitn(3, ',');
        let theme = parts.next().and_then(|name| {
            let mut all = Theme::ALL.into_iter();
            all.find(|theme| theme.name() == name)
        });
        let depth = parts.next().and_then(|depth| depth.parse().ok());
        let text = parts.next().map(|text| text.trim_matches('"').to_owned());
        let (Some(theme), Some(depth), Some(text)) =
            (theme, depth.and_then(Depth::from_number), text)
        else {
            continue;
        };
        let number = numbers.entry(theme).or_default();
        *number += 1;
        questions.push(Question {
            id: format!("{}.{number}", theme.as_str()),
            theme,
            depth,
            text,
        });
    }
    questions
}

#[cfg(test)]
mod tests;
