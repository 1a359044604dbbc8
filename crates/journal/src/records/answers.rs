//! What is said about an opening: “I see you”, what was heard, whether that was it, answers, and
//! what helped. None of it happens by reading (design: the only states are those a person sends).

use serde::{Deserialize, Serialize};

use super::{needed, optional, record};
use crate::error::Invalid;
use crate::layers::{check_words, words};
use crate::point::Point;

words! {
    /// How somebody says that they have seen a door.
    Acknowledged, "answer" {
        /// I see you.
        Here = "here",
        /// I want to be all there, later.
        Later = "later",
        /// Not today, and not forgotten.
        NotToday = "not-today",
    }
}

/// “I see you”, given by choice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The opening.
    pub about: String,
    /// How.
    pub how: Acknowledged,
    /// When one will be there, in words: “20:00”, “tomorrow after breakfast”.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The day.
    pub on: String,
    /// Its place in the conversation.
    pub turn: u32,
}

record!(Acknowledge, about about, texts |me| me.at.as_deref().into_iter().collect(),
    check |me| optional("at", me.at.as_deref()));

/// What the reader heard: where on the grid, in which words, in one sentence.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reflection {
    /// The opening.
    pub about: String,
    /// Where the reader thinks its author is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// At most two words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// “What I hear is…”
    pub text: String,
    /// The first try is 1.
    pub attempt: u32,
    /// The day.
    pub on: String,
    /// Its place in the conversation.
    pub turn: u32,
}

record!(Reflection, about about, texts |me| vec![&me.text], check |me| {
    check_words(&me.words, 2)?;
    needed("text", &me.text)
});

words! {
    /// How well a reflection says what was meant. Only the author of the opening says so.
    Verdict, "answer" {
        /// That's it.
        Yes = "yes",
        /// Close.
        Close = "close",
        /// Not quite.
        No = "no",
    }
}

impl Verdict {
    /// What both read beside the reflection.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Yes => "that's it",
            Self::Close => "close",
            Self::No => "not quite",
        }
    }
}

/// What the author says of a reflection, or of a guess.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The reflection, or the guess.
    pub about: String,
    /// How well it says it.
    pub verdict: Verdict,
    /// What the author would add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The day.
    pub on: String,
    /// Its place in the conversation.
    pub turn: u32,
}

record!(Check, about about, texts |me| me.text.as_deref().into_iter().collect(),
    check |me| optional("text", me.text.as_deref()));

words! {
    /// The families of answers (Hofmann, Carpenter and Curtiss 2016: soothing, perspective taking,
    /// enhancing, social modelling; and what else partners do).
    Family, "kind of answer" {
        /// Listening, validating, comforting.
        Soothe = "soothe",
        /// Seeing it another way.
        Perspective = "perspective",
        /// Making the good last.
        Enhance = "enhance",
        /// Me too.
        Accompany = "accompany",
        /// Practical help.
        Practical = "practical",
        /// Being there, without words.
        Presence = "presence",
    }
}

words! {
    /// Kinds of answers that fit a need and a feeling.
    ResponseSort, "kind of answer" {
        /// Listening: saying back what was heard.
        Listen = "listen",
        /// “It makes sense that…”
        Validate = "validate",
        /// Comfort.
        Comfort = "comfort",
        /// Seeing it another way.
        AnotherWay = "another-way",
        /// Me too.
        MeToo = "me-too",
        /// Practical help.
        Help = "help",
        /// Tell me everything.
        TellMe = "tell-me",
        /// Why it matters for you.
        WhyItMatters = "why-it-matters",
        /// I'm proud of you.
        Proud = "proud",
        /// Living it again.
        Relive = "relive",
        /// Let's celebrate.
        Celebrate = "celebrate",
        /// Being there, without words.
        Presence = "presence",
    }
}

impl ResponseSort {
    /// The family it is of.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Listen | Self::Validate | Self::Comfort => Family::Soothe,
            Self::AnotherWay => Family::Perspective,
            Self::MeToo => Family::Accompany,
            Self::Help => Family::Practical,
            Self::TellMe | Self::WhyItMatters | Self::Proud | Self::Relive | Self::Celebrate => {
                Family::Enhance
            }
            Self::Presence => Family::Presence,
        }
    }
}

/// An answer to an opening, a bid or a page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// What it answers.
    pub about: String,
    /// What kind of answer.
    pub sort: ResponseSort,
    /// The words; none when somebody is just there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How long somebody stays, in minutes, 1 to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u8>,
    /// The day.
    pub on: String,
    /// Its place in the conversation.
    pub turn: u32,
}

record!(Response, about about, texts |me| me.text.as_deref().into_iter().collect(), check |me| {
    if me.minutes.is_some_and(|minutes| !(1..=60).contains(&minutes)) {
        return Err(Invalid::Field { field: "minutes", needs: "a number from 1 to 60" });
    }
    match (&me.text, me.sort) {
        (None, ResponseSort::Presence) => Ok(()),
        (None, _) => Err(Invalid::Field { field: "text", needs: "it is empty" }),
        (Some(text), _) => needed("text", text),
    }
});

/// What helped, in words, sent by choice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thanks {
    /// The answer that helped.
    pub about: String,
    /// What helped.
    pub text: String,
    /// The day.
    pub on: String,
    /// Its place in the conversation.
    pub turn: u32,
}

record!(Thanks, about about, texts |me| vec![&me.text], check |me| needed("text", &me.text));
