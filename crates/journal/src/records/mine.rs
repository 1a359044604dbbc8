//! What stays with its author, in the private space: how an answer was for them, what they hope and
//! fear, words of their own, what is to rest.

use serde::{Deserialize, Serialize};

use super::{one_line, optional, record};
use crate::date;
use crate::error::Invalid;
use crate::point::Point;

/// Best of the five stops of a felt note: 0, 2, 4, 6 and 8.
const STOP_MAX: u8 = 8;

/// How an answer was for the one who had shared something. Never in the shared space.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Felt {
    /// The answer.
    pub about: String,
    /// The opening it answered.
    pub opening: String,
    /// “They got what this was about for me”, 0 to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub understood: Option<u8>,
    /// “My feeling was allowed to be what it was”, 0 to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated: Option<u8>,
    /// “I matter to them in this”, 0 to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cared: Option<u8>,
    /// “I was not alone in it”, 0 to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub felt: Option<u8>,
    /// What they did or said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts: Option<String>,
    /// Where one is on the grid now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Point>,
    /// It hurt.
    #[serde(default)]
    pub hurt: bool,
    /// The day.
    pub on: String,
}

record!(Felt, about about, texts |me| me.acts.as_deref().into_iter().collect(), check |me| {
    if !crate::record::is_id(&me.opening) {
        return Err(Invalid::Field { field: "opening", needs: "an id of 32 hexadecimal digits" });
    }
    let stops = [me.understood, me.validated, me.cared, me.felt];
    if stops.iter().flatten().any(|stop| *stop > STOP_MAX) {
        return Err(Invalid::Field { field: "how it was", needs: "a number from 0 to 8" });
    }
    optional("what they did or said", me.acts.as_deref())
});

/// What somebody hopes and fears before they open something.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighing {
    /// The entry.
    pub about: String,
    /// What do I hope happens?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hope: Option<String>,
    /// What am I afraid of?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fear: Option<String>,
    /// What will I do if it goes badly?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Is this a good hour for us both?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_hour: Option<bool>,
    /// Keep it for longer than 90 days.
    #[serde(default)]
    pub keep: bool,
    /// The day.
    pub on: String,
}

impl Weighing {
    /// How long it is kept, in days.
    pub const DAYS: i64 = 90;

    /// Whether its time is over on a day, and nobody wants it kept. Of days that cannot be read it
    /// never is.
    #[must_use]
    pub fn is_over(&self, today: &str) -> bool {
        let days = [today, &self.on].map(date::day_number);
        let [Some(today), Some(on)] = days else {
            return false;
        };
        !self.keep && today - on >= Self::DAYS
    }
}

record!(Weighing, about about, texts |_me| Vec::new(), check |me| {
    optional("hope", me.hope.as_deref())?;
    optional("fear", me.fear.as_deref())?;
    optional("plan", me.plan.as_deref())
});

/// A word of one's own for a feeling.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnWord {
    /// The word.
    pub word: String,
    /// Where it lies.
    pub point: Point,
    /// The family it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// The day.
    pub on: String,
}

record!(
    OwnWord,
    texts | me | vec![&me.word],
    check | me | {
        me.family
            .as_deref()
            .map_or(Ok(()), |family| one_line("family", family))?;
        crate::layers::check_words(std::slice::from_ref(&me.word), 1)
    }
);

/// What is not to come back by itself: a span of days, a tag, or what somebody wrote.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRule {
    /// From this day on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Up to and including this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whatever has this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// One record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// It does not hold any more.
    #[serde(default)]
    pub lifted: bool,
    /// The day.
    pub on: String,
}

record!(
    MemoryRule,
    firm[("lifted", false)],
    texts | _me | Vec::new(),
    check | me | {
        for day in [&me.from, &me.until].into_iter().flatten() {
            date::check(day)?;
        }
        if me.from.is_none() && me.until.is_none() && me.tag.is_none() && me.record.is_none() {
            return Err(Invalid::Field {
                field: "rule",
                needs: "days, a tag or a record",
            });
        }
        me.tag.as_deref().map_or(Ok(()), |tag| one_line("tag", tag))
    }
);

/// What somebody chose for themselves. In the private space all of it; in the shared space only
/// whether they want the plots about both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// Old days come back on their day.
    #[serde(default)]
    pub on_this_day: bool,
    /// Unpleasant ones too.
    #[serde(default)]
    pub heavy_days: bool,
    /// Plots about both of what both have shown.
    #[serde(default)]
    pub ours: bool,
    /// Questions of the third depth may be asked in the week of this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep_in_week_of: Option<String>,
    /// The day.
    pub on: String,
}

// Whoever turned something off on one device has it off.
record!(
    Choices,
    firm [("heavy_days", false), ("on_this_day", false), ("ours", false)],
    texts | _me | Vec::new(),
    check | me | { me.deep_in_week_of.as_deref().map_or(Ok(()), date::check) }
);
