//! Showing something at the same moment: both commit themselves first, then both show.
//!
//! A commitment is a hash over a random nonce, what is committed to and the document it stands in.
//! It says nothing about short answers that could be guessed, it cannot be kept while the answer is
//! changed, and a copy of it in somebody else's document opens nothing. Neither the relay nor
//! whoever is read first can gain by it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::{optional, record};
use crate::date;
use crate::error::Invalid;
use crate::point::Point;
use crate::record::is_id;
use crate::redacted_debug;

/// Length of a nonce, in bytes.
pub const NONCE_BYTES: usize = 32;
/// Most records of the other for which one is shown: one for each device is many.
pub const MET_MAX: usize = 64;
/// What the hash begins with.
const LABEL: &[u8] = b"ajar/journal/v1/reveal";

/// What is shown together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The question of a day.
    Question(String),
    /// Tuning in, on a day.
    Tune(String),
    /// What one says about oneself to a question of the map.
    MapAnswer(String),
    /// What the other guesses.
    MapGuess(String),
}

impl Topic {
    /// What the other has to commit themselves to.
    #[must_use]
    pub fn counterpart(&self) -> Self {
        match self {
            Self::Question(_) | Self::Tune(_) => self.clone(),
            Self::MapAnswer(question) => Self::MapGuess(question.clone()),
            Self::MapGuess(question) => Self::MapAnswer(question.clone()),
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Question(day) | Self::Tune(day) => date::check(day),
            Self::MapAnswer(question) | Self::MapGuess(question) => {
                super::map::check_question(question)
            }
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Question(day) => write!(f, "question/{day}"),
            Self::Tune(day) => write!(f, "tune/{day}"),
            Self::MapAnswer(question) => write!(f, "map-answer/{question}"),
            Self::MapGuess(question) => write!(f, "map-guess/{question}"),
        }
    }
}

impl FromStr for Topic {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let unknown = Invalid::Field {
            field: "topic",
            needs: "one that this version knows",
        };
        let (what, which) = text.split_once('/').ok_or(unknown)?;
        let which = which.to_owned();
        let topic = match what {
            "question" => Self::Question(which),
            "tune" => Self::Tune(which),
            "map-answer" => Self::MapAnswer(which),
            "map-guess" => Self::MapGuess(which),
            _ => return Err(unknown),
        };
        topic.check()?;
        Ok(topic)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What is shown in the end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// An answer, a guess, a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A point on the grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// [`NONCE_BYTES`] drawn at random, as hexadecimal digits.
    pub nonce: String,
}

redacted_debug!(Shown);

impl Shown {
    fn check(&self) -> Result<(), Invalid> {
        let hex = self.nonce.bytes().all(|b| b.is_ascii_hexdigit());
        if self.nonce.len() != 2 * NONCE_BYTES || !hex {
            let needs = "64 hexadecimal digits";
            return Err(Invalid::Field {
                field: "nonce",
                needs,
            });
        }
        if self.text.is_none() && self.point.is_none() {
            let needs = "it is empty";
            return Err(Invalid::Field {
                field: "text",
                needs,
            });
        }
        optional("text", self.text.as_deref())
    }
}

/// The commitment to `shown` in the document `doc` (its id as text): 64 hexadecimal digits.
#[must_use]
pub fn commitment(doc: &str, topic: &Topic, shown: &Shown) -> String {
    let point = shown.point.map(|point| point.to_string());
    let topic = topic.to_string();
    let mut hash = Sha256::new();
    // Each part with its length and whether it is there: no two sets of parts run together.
    for part in [
        Some(doc),
        Some(&topic),
        Some(&shown.nonce),
        shown.text.as_deref(),
        point.as_deref(),
    ] {
        hash.update([u8::from(part.is_some())]);
        let part = part.unwrap_or_default();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = Sha256::new()
        .chain_update(LABEL)
        .chain_update(hash.finalize());
    digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Something that is shown when both have committed themselves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// What it is about.
    pub topic: Topic,
    /// The commitment: 64 hexadecimal digits.
    pub commit: String,
    /// What was committed to, once it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// Ids of the other's sealed records in exchange for which it is shown
    /// ([`crate::between::due`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub met: Vec<String>,
    /// The day.
    pub on: String,
}

impl Sealed {
    /// What it shows, if it does and that is what was committed to in the document `doc`.
    #[must_use]
    pub fn opened(&self, doc: &str) -> Option<&Shown> {
        let shown = self.shown.as_ref()?;
        (commitment(doc, &self.topic, shown) == self.commit).then_some(shown)
    }

    /// Whether it shows something that was never committed to.
    #[must_use]
    pub fn is_false(&self, doc: &str) -> bool {
        self.shown.is_some() && self.opened(doc).is_none()
    }
}

record!(
    Sealed,
    texts
        | me
        | me.shown
            .iter()
            .filter_map(|shown| shown.text.as_deref())
            .collect(),
    check | me | {
        let hex = me.commit.bytes().all(|b| b.is_ascii_hexdigit());
        if me.commit.len() != 64 || !hex {
            return Err(Invalid::Field {
                field: "commit",
                needs: "64 hexadecimal digits",
            });
        }
        if me.met.len() > MET_MAX || !me.met.iter().all(|id| is_id(id)) {
            let needs = "ids of at most 64 records";
            return Err(Invalid::Field {
                field: "met",
                needs,
            });
        }
        me.topic.check()?;
        me.shown.as_ref().map_or(Ok(()), Shown::check)
    }
);

/// What opens a sealed record of one's own, kept in the private space.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The sealed record.
    pub about: String,
    /// What it is about.
    pub topic: Topic,
    /// What will be shown.
    pub shown: Shown,
    /// It was shown, or will not be.
    #[serde(default)]
    pub over: bool,
    /// The day.
    pub on: String,
}

record!(Pending, about about, texts |_me| Vec::new(), check |me| {
    me.topic.check()?;
    me.shown.check()
});

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = "00000000000000000000000000000001";

    fn shown(text: &str) -> Shown {
        Shown {
            text: Some(text.to_owned()),
            point: None,
            nonce: "07".repeat(NONCE_BYTES),
        }
    }

    fn sealed(shows: Shown) -> Sealed {
        let topic = Topic::Question("2026-07-01".to_owned());
        Sealed {
            commit: commitment(DOC, &topic, &shown("the sea")),
            topic,
            shown: Some(shows),
            met: Vec::new(),
            on: "2026-07-01".to_owned(),
        }
    }

    #[test]
    fn only_what_was_committed_to_is_shown() {
        assert!(sealed(shown("the sea")).opened(DOC).is_some());
        let other = sealed(shown("the hills"));
        assert!(other.opened(DOC).is_none() && other.is_false(DOC));
        let point = Shown {
            point: Point::new(0, 0),
            ..shown("the sea")
        };
        assert!(sealed(point).is_false(DOC));
    }

    #[test]
    fn a_commitment_that_was_copied_opens_nothing() {
        let ben = "00000000000000000000000000000002";
        assert!(sealed(shown("the sea")).opened(ben).is_none());
    }

    #[test]
    fn a_topic_comes_back_as_it_was_and_has_a_counterpart() {
        for text in [
            "question/2026-07-01",
            "tune/2026-07-01",
            "map-answer/everyday.3",
        ] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        let guess: Topic = "map-guess/everyday.3".parse().unwrap();
        assert_eq!(guess.counterpart().to_string(), "map-answer/everyday.3");
        assert_eq!(guess.counterpart().counterpart(), guess);
        for wrong in [
            "",
            "tune",
            "tune/",
            "tune/2026-02-30",
            "x/2026-07-01",
            "map-guess/a b",
        ] {
            assert!(wrong.parse::<Topic>().is_err(), "{wrong}");
        }
    }
}
