//! What the smaller records hold ([`crate::record`]).

mod answers;
mod bids;
mod book;
mod map;
mod mine;
mod reveal;

use automerge::ReadDoc;

pub use answers::{
    Acknowledge, Acknowledged, Check, Family, Reflection, Response, ResponseSort, Thanks, Verdict,
};
pub use bids::{Answer, Bid, BidAnswer, BidSort, Capacity, Level, Pause, When};
pub use book::{
    Agreement, Cadence, Consent, Letter, Milestone, OpenWhen, OurWord, Page, Passage, Ritual,
    RitualDone, digest,
};
pub use map::{GuessVerdict, MapAnswer, MapSkip, Pick, Question};
pub use mine::{Choices, Felt, MemoryRule, OwnWord, Weighing};
pub use reveal::{MET_MAX, NONCE_BYTES, Pending, Sealed, Shown, Topic, commitment};

use crate::error::{Invalid, Unreadable};
use crate::record::Record;
use crate::redacted_debug;
use crate::schema::Kind;
use crate::text::check_text;
use crate::tree::Fields;

/// Longest text of an answer, a page's paragraph or a question, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Longest text of one line, in characters.
pub const LINE_CHARS_MAX: usize = 140;

/// What lists and searches need of a smaller record.
#[derive(Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its day.
    pub day: String,
    /// The record it is about.
    pub about: Option<String>,
    /// What a search looks at.
    pub texts: Vec<String>,
    /// All it holds.
    pub fields: Fields,
}

redacted_debug!(Facts);

fn facts_of<R: Record, D: ReadDoc>(doc: &D) -> Result<Facts, Unreadable> {
    let record: R = crate::record::read(doc)?;
    Ok(Facts {
        day: record.day().to_owned(),
        about: record.about().map(str::to_owned),
        texts: record.texts().into_iter().map(str::to_owned).collect(),
        fields: crate::record::settled::<R, D>(doc)?,
    })
}

/// Reads what lists and searches need; `None` when the document holds none of the smaller records.
///
/// # Errors
/// [`Unreadable`].
pub fn facts<D: ReadDoc>(doc: &D, kind: &Kind) -> Result<Option<Facts>, Unreadable> {
    let facts = match kind {
        Kind::Entry | Kind::Opening | Kind::Profile | Kind::Unknown(_) => return Ok(None),
        Kind::Acknowledge => facts_of::<Acknowledge, D>(doc),
        Kind::Reflection => facts_of::<Reflection, D>(doc),
        Kind::Check => facts_of::<Check, D>(doc),
        Kind::Response => facts_of::<Response, D>(doc),
        Kind::Thanks => facts_of::<Thanks, D>(doc),
        Kind::Felt => facts_of::<Felt, D>(doc),
        Kind::Weighing => facts_of::<Weighing, D>(doc),
        Kind::Bid => facts_of::<Bid, D>(doc),
        Kind::BidAnswer => facts_of::<BidAnswer, D>(doc),
        Kind::Capacity => facts_of::<Capacity, D>(doc),
        Kind::Pause => facts_of::<Pause, D>(doc),
        Kind::Sealed => facts_of::<Sealed, D>(doc),
        Kind::Pending => facts_of::<Pending, D>(doc),
        Kind::Question => facts_of::<Question, D>(doc),
        Kind::MapAnswer => facts_of::<MapAnswer, D>(doc),
        Kind::MapSkip => facts_of::<MapSkip, D>(doc),
        Kind::Pick => facts_of::<Pick, D>(doc),
        Kind::Consent => facts_of::<Consent, D>(doc),
        Kind::Page => facts_of::<Page, D>(doc),
        Kind::Passage => facts_of::<Passage, D>(doc),
        Kind::OurWord => facts_of::<OurWord, D>(doc),
        Kind::Agreement => facts_of::<Agreement, D>(doc),
        Kind::Milestone => facts_of::<Milestone, D>(doc),
        Kind::Letter => facts_of::<Letter, D>(doc),
        Kind::Ritual => facts_of::<Ritual, D>(doc),
        Kind::RitualDone => facts_of::<RitualDone, D>(doc),
        Kind::OwnWord => facts_of::<OwnWord, D>(doc),
        Kind::MemoryRule => facts_of::<MemoryRule, D>(doc),
        Kind::Choices => facts_of::<Choices, D>(doc),
    };
    facts.map(Some)
}

/// Checks a text that need not be there.
fn optional(field: &'static str, text: Option<&str>) -> Result<(), Invalid> {
    check_text(field, text.unwrap_or(" "), TEXT_BYTES_MAX)
}

/// Checks a text that must say something.
fn needed(field: &'static str, text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        let needs = "it is empty";
        return Err(Invalid::Field { field, needs });
    }
    check_text(field, text, TEXT_BYTES_MAX)
}

/// Checks a text of one line.
fn one_line(field: &'static str, text: &str) -> Result<(), Invalid> {
    let long = text.chars().nth(LINE_CHARS_MAX).is_some();
    if text.trim().is_empty() || long || text.chars().any(char::is_control) {
        let needs = "one line of 1 to 140 characters";
        return Err(Invalid::Field { field, needs });
    }
    Ok(())
}

/// Implements [`Record`] for a type with the field `on`. What belongs together and what is firm
/// comes first, where there is any.
macro_rules! record {
    (
        $name:ident,
        $(together $together:expr,)?
        $(firm $firm:expr,)?
        $(about $about:ident,)?
        texts |$me:ident| $texts:expr,
        check $check:expr
    ) => {
        crate::redacted_debug!($name);

        impl crate::record::Record for $name {
            const KIND: crate::schema::Kind = crate::schema::Kind::$name;
            $(const TOGETHER: &'static [&'static str] = &$together;)?
            $(const FIRM: &'static [(&'static str, bool)] = &$firm;)?

            fn day(&self) -> &str {
                &self.on
            }

            fn check(&self) -> Result<(), crate::error::Invalid> {
                let check: fn(&Self) -> Result<(), crate::error::Invalid> = $check;
                check(self)
            }

            $(fn about(&self) -> Option<&str> {
                Some(&self.$about)
            })?

            fn texts(&self) -> Vec<&str> {
                let $me = self;
                $texts
            }
        }
    };
}
use record;
