//! The map of you: questions, what somebody says of themselves, and the question of a day.

use serde::{Deserialize, Serialize};

use super::{needed, record};
use crate::error::Invalid;
use crate::layers::words;
use crate::record::is_id;

/// Longest id of a built-in question, in characters.
const QUESTION_CHARS_MAX: usize = 64;

/// Checks the id of a question: that of a built-in one (`theme.number`), or of a document.
pub(super) fn check_question(id: &str) -> Result<(), Invalid> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let holds = !id.is_empty() && id.len() <= QUESTION_CHARS_MAX && id.bytes().all(plain);
    if holds || is_id(id) {
        return Ok(());
    }
    let needs = "the id of a question";
    Err(Invalid::Field {
        field: "question",
        needs,
    })
}

/// A question of the couple's own. It belongs to whoever asked it first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its theme's id.
    pub theme: String,
    /// How deep it goes, 1 to 3.
    pub depth: u8,
    /// The question.
    pub text: String,
    /// The day.
    pub on: String,
}

record!(
    Question,
    texts | me | vec![&me.text],
    check | me | {
        if !(1..=3).contains(&me.depth) {
            return Err(Invalid::Field {
                field: "depth",
                needs: "1, 2 or 3",
            });
        }
        check_question(&me.theme)?;
        needed("text", &me.text)
    }
);

/// What somebody says of themselves: in the private space when it is kept, in the shared one when
/// it is shared.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapAnswer {
    /// The question.
    pub question: String,
    /// The answer.
    pub text: String,
    /// The day it was told, or was last said to be still true.
    pub on: String,
}

record!(
    MapAnswer,
    texts | me | vec![&me.text],
    check | me | {
        check_question(&me.question)?;
        needed("text", &me.text)
    }
);

/// A question somebody wants to leave out. Only in the private space: leaving out is not seen.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapSkip {
    /// The question.
    pub question: String,
    /// Ask again after all.
    #[serde(default)]
    pub lifted: bool,
    /// The day.
    pub on: String,
}

record!(
    MapSkip,
    firm[("lifted", false)],
    texts | _me | Vec::new(),
    check | me | check_question(&me.question)
);

words! {
    /// How well a guess says what is true. Only the one it is about says so.
    GuessVerdict, "answer" {
        /// Yes.
        Yes = "yes",
        /// In part.
        Partly = "partly",
        /// No, and here's…
        No = "no",
    }
}

/// The question of a day, so that a device which comes late takes the one that was asked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The question.
    pub question: String,
    /// 64 hexadecimal digits drawn at random, on which the picks of later days hang: whoever is
    /// not one of the two cannot tell them beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<String>,
    /// The day.
    pub on: String,
}

record!(
    Pick,
    texts | _me | Vec::new(),
    check | me | {
        let hex = |draw: &String| draw.len() == 64 && draw.bytes().all(|b| b.is_ascii_hexdigit());
        if !me.draw.as_ref().is_none_or(hex) {
            let needs = "64 hexadecimal digits";
            return Err(Invalid::Field {
                field: "draw",
                needs,
            });
        }
        check_question(&me.question)
    }
);
