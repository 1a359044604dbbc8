//! How far a door is open: its stage, and the parts that are shown.
//!
//! Both stand in one value, so that two devices which open one door to different stages at the same
//! time do not mix: the one that was opened less far holds, and of two that were opened as far,
//! only what both show. What one opened after it knew of the other replaces it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Unreadable;
use crate::layers::{Layer, words};
use crate::schema;

/// How far an entry is opened. Later stages show more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Only that there is something.
    Knock,
    /// The feeling, without its story.
    Weather,
    /// The short of it.
    Gist,
    /// The text itself.
    Room,
}

impl Stage {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 4] = [Self::Knock, Self::Weather, Self::Gist, Self::Room];

    /// The word for it, in commands and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Knock => "knock",
            Self::Weather => "weather",
            Self::Gist => "gist",
            Self::Room => "room",
        }
    }

    /// What may be shown at this stage, besides the one sentence of a gist.
    #[must_use]
    pub fn may_show(self, part: Part) -> bool {
        match self {
            Self::Knock => false,
            Self::Weather | Self::Gist => part == Part::Feeling,
            Self::Room => true,
        }
    }

    /// What it shows when nothing is said.
    pub(super) fn usual(self) -> BTreeSet<Part> {
        match self {
            Self::Knock | Self::Gist => BTreeSet::new(),
            Self::Weather => BTreeSet::from([Part::Feeling]),
            Self::Room => BTreeSet::from([Part::Text, Part::Photos]),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = NoSuchStage;

    fn from_str(word: &str) -> Result<Self, NoSuchStage> {
        let mut stages = Self::ALL.into_iter();
        stages
            .find(|stage| stage.as_str() == word)
            .ok_or(NoSuchStage)
    }
}

/// The word names no stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such stage; choose knock, weather, gist or room")]
pub struct NoSuchStage;

words! {
    /// A part of an entry that can be shown.
    Part, "layer" {
        /// The layer of the body.
        Body = "body",
        /// The layer of the feeling.
        Feeling = "feeling",
        /// The layer of the thought.
        Thought = "thought",
        /// The layer of the echo.
        Echo = "echo",
        /// The layer of the want.
        Want = "want",
        /// Title and text.
        Text = "text",
        /// The photos and files.
        Photos = "photos",
    }
}

impl Part {
    /// The layer it is, if it is one.
    #[must_use]
    pub fn layer(self) -> Option<Layer> {
        match self {
            Self::Body => Some(Layer::Body),
            Self::Feeling => Some(Layer::Feeling),
            Self::Thought => Some(Layer::Thought),
            Self::Echo => Some(Layer::Echo),
            Self::Want => Some(Layer::Want),
            Self::Text | Self::Photos => None,
        }
    }
}

/// A stage and what is shown at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) stage: Stage,
    pub(super) parts: BTreeSet<Part>,
}

impl Door {
    pub(super) fn shows(&self, part: Part) -> bool {
        self.parts.contains(&part) && self.stage.may_show(part)
    }

    /// What holds, of what several devices wrote at the same time.
    pub(super) fn settled(words: &[String]) -> Result<Option<Self>, Unreadable> {
        let mut settled: Option<Self> = None;
        for word in words {
            let door: Self = word
                .parse()
                .map_err(|_| Unreadable::BadValue(schema::DOOR))?;
            settled = Some(match settled {
                None => door,
                Some(held) if held.stage < door.stage => held,
                Some(held) if held.stage > door.stage => door,
                Some(held) => Self {
                    stage: held.stage,
                    parts: held.parts.intersection(&door.parts).copied().collect(),
                },
            });
        }
        Ok(settled)
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.parts.iter().map(|part| part.as_str()).collect();
        write!(f, "{}/{}", self.stage, parts.join(","))
    }
}

impl FromStr for Door {
    type Err = NoSuchStage;

    fn from_str(text: &str) -> Result<Self, NoSuchStage> {
        let (stage, parts) = text.split_once('/').ok_or(NoSuchStage)?;
        // A part that a newer version has a word for is not shown here.
        let parts = parts.split(',').filter_map(|part| part.parse().ok());
        Ok(Self {
            stage: stage.parse()?,
            parts: parts.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Door::settled(&words).unwrap().unwrap().to_string()
    }

    #[test]
    fn of_two_at_the_same_time_the_lower_holds_in_whatever_order() {
        let all = ["room/text", "weather/feeling", "room/text,photos"];
        assert_eq!(settled(&all), "weather/feeling");
        assert_eq!(settled(&[all[2], all[1], all[0]]), "weather/feeling");
        assert_eq!(
            settled(&["room/body,text", "room/photos,text"]),
            "room/text"
        );
        assert_eq!(settled(&["gist/", "room/text"]), "gist/");
    }

    #[test]
    fn a_stage_shows_no_more_than_it_may() {
        let door: Door = "weather/feeling,text,newer".parse().unwrap();
        assert!(door.shows(Part::Feeling) && !door.shows(Part::Text));
        assert!("hall/text".parse::<Door>().is_err() && "room".parse::<Door>().is_err());
    }
}
