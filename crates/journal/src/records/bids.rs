//! Small requests and their answers; what somebody has room for; pauses.

use serde::{Deserialize, Serialize};

use super::{one_line, optional, record};
use crate::error::Invalid;
use crate::layers::words;

words! {
    /// When somebody would like an answer.
    When, "wish" {
        /// Now, if you can.
        Now = "now",
        /// Tonight.
        Tonight = "tonight",
        /// Whenever.
        Whenever = "whenever",
    }
}

words! {
    /// What a bid asks for.
    BidSort, "kind of bid" {
        /// Look at this.
        Look = "look",
        /// Thinking of you.
        Thinking = "thinking",
        /// Tell me about it.
        TellMe = "tell-me",
        /// Hold me.
        Hold = "hold",
        /// Help me with something.
        Help = "help",
        /// Laugh with me.
        Laugh = "laugh",
        /// Celebrate with me.
        Celebrate = "celebrate",
        /// I miss you.
        Miss = "miss",
        /// I need quiet.
        Quiet = "quiet",
        /// I'm sorry.
        Sorry = "sorry",
        /// I'm here.
        Here = "here",
    }
}

impl BidSort {
    /// The bid as a sentence.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Look => "Look at this",
            Self::Thinking => "Thinking of you",
            Self::TellMe => "Tell me about it",
            Self::Hold => "Hold me",
            Self::Help => "Help me with",
            Self::Laugh => "Laugh with me",
            Self::Celebrate => "Celebrate with me",
            Self::Miss => "I miss you",
            Self::Quiet => "I need quiet",
            Self::Sorry => "I'm sorry",
            Self::Here => "I'm here",
        }
    }
}

/// A small request. When it fades, nothing says so.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// What for.
    pub sort: BidSort,
    /// At most 140 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When an answer would be good.
    pub wish: When,
    /// When it is gone, milliseconds since 1970 (UTC), a whole hour: it must not tell when it
    /// was sent.
    pub fades_at_ms: i64,
    /// The day.
    pub on: String,
}

/// One hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

impl Bid {
    /// The time of fading `hours` after `now_ms`, on the next whole hour.
    #[must_use]
    pub fn fades_after(now_ms: i64, hours: u32) -> i64 {
        let at = now_ms.saturating_add(i64::from(hours).saturating_mul(HOUR_MS));
        let beyond = at.rem_euclid(HOUR_MS);
        if beyond == 0 {
            at
        } else {
            at.saturating_add(HOUR_MS - beyond)
        }
    }

    /// Whether it is gone.
    #[must_use]
    pub fn has_faded(&self, now_ms: i64) -> bool {
        now_ms >= self.fades_at_ms
    }
}

record!(
    Bid,
    texts | me | me.text.as_deref().into_iter().collect(),
    check | me | {
        if me.fades_at_ms.rem_euclid(HOUR_MS) != 0 {
            return Err(Invalid::Field {
                field: "fade",
                needs: "a whole hour",
            });
        }
        me.text
            .as_deref()
            .map_or(Ok(()), |text| one_line("text", text))
    }
);

words! {
    /// How a bid is answered. There is no word for turning away.
    Answer, "answer" {
        /// Here.
        Here = "here",
        /// Tell me more.
        TellMore = "tell-me-more",
        /// Yes, at a time.
        YesAt = "yes-at",
        /// Not now, but at a time.
        NotNow = "not-now",
        /// With you in this.
        WithYou = "with-you",
    }
}

impl Answer {
    /// The answer as a person says it; a time follows where there is one.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::TellMore => "tell me more",
            Self::YesAt => "yes, at",
            Self::NotNow => "can't now; at",
            Self::WithYou => "with you in this",
        }
    }
}

/// An answer to a bid.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidAnswer {
    /// The bid.
    pub about: String,
    /// How.
    pub answer: Answer,
    /// When, in words; for `yes-at` and `not-now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// More words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The day.
    pub on: String,
    /// Its place in the conversation.
    pub turn: u32,
}

record!(BidAnswer, about about, texts |me| me.text.as_deref().into_iter().collect(), check |me| {
    optional("at", me.at.as_deref())?;
    if me.at.is_none() && matches!(me.answer, Answer::YesAt | Answer::NotNow) {
        return Err(Invalid::Field { field: "at", needs: "when, as in --at 20:00" });
    }
    optional("text", me.text.as_deref())
});

words! {
    /// How much room somebody has.
    Level, "level" {
        /// Open now.
        Open = "open",
        /// Later today.
        Later = "later",
        /// Not today.
        NotToday = "not-today",
    }
}

impl Level {
    /// How much, as a person says it.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Open => "open now",
            Self::Later => "later today",
            Self::NotToday => "not today",
        }
    }
}

/// What somebody has room for. It is in the shared space only while its owner shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// How much; `None` when it is not shown any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The day it holds for.
    pub on: String,
}

// Room is for a day, and is not taken to another one.
record!(Capacity, together ["level", "on"], texts | _me | Vec::new(), check | _me | Ok(()));

/// A break that either may call, with a time of return.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When one will be back, milliseconds since 1970 (UTC), a whole minute.
    pub back_at_ms: i64,
    /// A line for the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Its owner is back.
    #[serde(default)]
    pub over: bool,
    /// The day.
    pub on: String,
}

/// Shortest and longest pause, in minutes: 20 minutes and a day.
pub(super) const PAUSE_MINUTES: std::ops::RangeInclusive<i64> = 20..=24 * 60;

impl Pause {
    /// The time of return `minutes` after `now_ms`, a whole minute; `None` when that is no pause:
    /// less than 20 minutes does not calm a body down, and more than a day is no pause.
    #[must_use]
    pub fn back_after(now_ms: i64, minutes: i64) -> Option<i64> {
        let at = now_ms.checked_add(minutes.checked_mul(60_000)?)?;
        PAUSE_MINUTES
            .contains(&minutes)
            .then(|| at.saturating_add(59_999).div_euclid(60_000) * 60_000)
    }

    /// Whether it goes on.
    #[must_use]
    pub fn goes_on(&self, now_ms: i64) -> bool {
        !self.over && now_ms < self.back_at_ms
    }
}

record!(
    Pause,
    together ["back_at_ms", "line", "on", "over"],
    texts | me | me.line.as_deref().into_iter().collect(),
    check | me | {
        if me.back_at_ms.rem_euclid(60_000) != 0 {
            return Err(Invalid::Field {
                field: "back",
                needs: "a whole minute",
            });
        }
        me.line
            .as_deref()
            .map_or(Ok(()), |line| one_line("line", line))
    }
);
