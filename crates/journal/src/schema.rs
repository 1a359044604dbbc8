//! Keys, kinds and sizes of the records (`docs/architecture.md`, Documents).
//!
//! The root of every document is a map. Keys this version does not know are ignored on reading and
//! left alone on writing, so a newer version's records survive an older one's edits.

use std::fmt;

use automerge::ReadDoc;
use serde::{Deserialize, Serialize};

use crate::error::Unreadable;
use crate::read::View;

/// Version of the record layout this crate writes.
pub const SCHEMA_VERSION: u64 = 1;

/// Root key: layout version, an unsigned number.
pub const SCHEMA: &str = "schema";
/// Root key: kind of record, a string.
pub const KIND: &str = "kind";
/// Root key: title, a string; absent when there is none.
pub const TITLE: &str = "title";
/// Root key: the day (and time) the record is about, a string as in [`crate::date`].
pub const DATE: &str = "date";
/// Root key: list of paragraphs, each one scalar string.
pub const BODY: &str = "body";
/// Root key of an entry: map from tag to `true`.
pub const TAGS: &str = "tags";
/// Root key of an entry: when it was created, milliseconds since 1970 (UTC).
pub const CREATED_AT: &str = "created_at_ms";
/// Root key of an entry: when it was last saved, milliseconds since 1970 (UTC).
pub const SAVED_AT: &str = "saved_at_ms";
/// Root key of an entry: map from opening id to a map of [`STAGE`] and [`AT`].
pub const OPENINGS: &str = "openings";
/// Key of an opening, and of one item of [`OPENINGS`]: the stage's word.
pub const STAGE: &str = "stage";
/// Key of one item of [`OPENINGS`]: when, milliseconds since 1970 (UTC).
pub const AT: &str = "at_ms";
/// Root key of an opening: the day it was opened.
pub const OPENED_ON: &str = "opened_on";
/// Root key of an entry or an opening: map from a random id to a photo ([`crate::photo`]).
pub const PHOTOS: &str = "photos";
/// Key of a photo or thumb: SHA-256 of the ciphertext, 32 bytes.
pub const BLOB: &str = "blob";
/// Key of a photo or thumb: the blob's key, 32 bytes.
pub const KEY: &str = "key";
/// Key of a photo or thumb: the blob's salt, 16 bytes.
pub const SALT: &str = "salt";
/// Key of a photo or thumb: length of its content in bytes, an unsigned number.
pub const LENGTH: &str = "length";
/// Key of a photo: the word of its [`crate::MediaType`].
pub const TYPE: &str = "type";
/// Key of a photo: its place among the others, a number.
pub const ORDER: &str = "order";
/// Key of a photo: whether it is kept byte for byte.
pub const ORIGINAL: &str = "original";
/// Key of a photo: pixels, an unsigned number; absent when unknown.
pub const WIDTH: &str = "width";
/// Key of a photo: pixels, an unsigned number; there when [`WIDTH`] is.
pub const HEIGHT: &str = "height";
/// Key of a photo: map of [`BLOB`], [`KEY`], [`SALT`] and [`LENGTH`] of a small JPEG.
pub const THUMB: &str = "thumb";
/// Root key of a profile: the name, a string. Key of an original photo: the file's name.
pub const NAME: &str = "name";

/// Root key of an entry or an opening: map of [`crate::layers::Layers`].
pub const LAYERS: &str = "layers";
/// Root key of an entry: the word of its [`crate::entry::Sort`]; absent for a note.
pub const SORT: &str = "sort";
/// Root key of an entry: `true` if it is one to come back to.
pub const STARRED: &str = "starred";
/// Root key of an entry: `true` if it is not to come back by itself.
pub const LET_REST: &str = "let_rest";
/// Key of one item of [`OPENINGS`]: the word of its [`crate::entry::Intent`]; absent while it is
/// held.
pub const INTENT: &str = "intent";
/// Root key of an opening: stage and parts that are shown, in one value ([`crate::opening`]).
pub const DOOR: &str = "door";
/// Root key of an opening: its one sentence.
pub const GIST: &str = "gist";
/// Root key of an opening: the word of its [`crate::layers::Need`].
pub const NEED: &str = "need";
/// Root key of an opening: the word of its [`crate::records::When`].
pub const WHEN: &str = "when";
/// Root key of an opening: `false` if no answer is wanted.
pub const REPLY: &str = "reply";
/// Root key of a record that came out of a file: map of what an import notes ([`crate::import`],
/// and [`crate::imported`] for an archive of Ajar); absent otherwise.
pub const IMPORTED: &str = "imported";
/// Key of [`IMPORTED`]: the import, 32 hexadecimal digits.
pub const BATCH: &str = "batch";
/// Key of [`IMPORTED`]: the word of the format.
pub const FORMAT: &str = "format";
/// Key of [`IMPORTED`]: what the source calls the record, a string.
pub const SOURCE: &str = "source";
/// Key of [`IMPORTED`]: map from a name to a string, what else the source said.
pub const KEPT: &str = "kept";

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 1000;
/// Largest text a person may save, in bytes. A save is one change, and one change with all its
/// bookkeeping must fit into one envelope (1,000,000 bytes; `docs/protocol.md` §2.4).
pub const TEXT_BYTES_MAX: usize = 800_000;
/// Most paragraphs a person may save. Receivers refuse a change of more than 50,000 operations
/// (`docs/protocol.md` §2.6), and a rewrite needs up to two for each.
pub const PARAGRAPHS_MAX: usize = 16_384;
/// Largest body that is read, in bytes: several devices may have saved at the same time.
pub const MERGED_TEXT_BYTES_MAX: usize = 16 << 20;
/// Most paragraphs that are read.
pub const MERGED_PARAGRAPHS_MAX: usize = 1 << 17;
/// Most list operations one save may need.
pub(crate) const EDIT_STEPS_MAX: usize = 40_000;
/// Most tags a person may give.
pub const TAGS_MAX: usize = 64;
/// Most tags that are read: several devices may have added some at the same time.
pub const MERGED_TAGS_MAX: usize = 512;
/// Longest tag, in characters.
pub const TAG_CHARS_MAX: usize = 64;
/// Longest name of a person, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Most photos a person may add to one record.
pub const PHOTOS_MAX: usize = 64;
/// Most photos that are read: several devices may have added some at the same time.
pub const MERGED_PHOTOS_MAX: usize = 256;
/// Largest photo or file, in bytes (25 MiB; `docs/protocol.md` §2.12).
pub const PHOTO_BYTES_MAX: u64 = 25 << 20;
/// Largest small picture, in bytes (512 KiB; one of 512 pixels a side is far below).
pub const THUMB_BYTES_MAX: u64 = 512 << 10;
/// Longest side of a picture, in pixels: a JPEG has no longer one.
pub const PIXELS_SIDE_MAX: u32 = 65_535;
/// Longest name of a file, in characters.
pub const FILE_NAME_CHARS_MAX: usize = 255;
/// Most openings of one entry that are read.
pub const OPENINGS_MAX: usize = 4096;
/// Longest word for a kind or a stage, in characters.
pub(crate) const WORD_CHARS_MAX: usize = 64;

/// Declares [`Kind`] with the word of each.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// What kind of record a document holds.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Kind {
            $($(#[$doc])* $name,)+
            /// Something a newer version writes; its word, as found (show it through
            /// [`crate::text::displayable_line`]).
            Unknown(String),
        }

        impl Kind {
            /// All that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$name),+];

            /// The word stored under [`KIND`].
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $word,)+
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<String> for Kind {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$name,)+
                    _ => Self::Unknown(word),
                }
            }
        }
    };
}

kinds! {
    /// A private entry ([`crate::entry`]).
    Entry = "entry",
    /// A shared copy ([`crate::opening`]).
    Opening = "opening",
    /// A person's name ([`crate::profile`]).
    Profile = "profile",
    /// “I see you” ([`crate::records::Acknowledge`]).
    Acknowledge = "acknowledge",
    /// What somebody heard ([`crate::records::Reflection`]).
    Reflection = "reflection",
    /// Whether that was it ([`crate::records::Check`]).
    Check = "check",
    /// An answer ([`crate::records::Response`]).
    Response = "response",
    /// What helped ([`crate::records::Thanks`]).
    Thanks = "thanks",
    /// How an answer was for oneself ([`crate::records::Felt`]).
    Felt = "felt",
    /// What one hopes and fears ([`crate::records::Weighing`]).
    Weighing = "weighing",
    /// A small request ([`crate::records::Bid`]).
    Bid = "bid",
    /// An answer to one ([`crate::records::BidAnswer`]).
    BidAnswer = "bid-answer",
    /// What somebody has room for ([`crate::records::Capacity`]).
    Capacity = "capacity",
    /// A break with a time of return ([`crate::records::Pause`]).
    Pause = "pause",
    /// Something that is shown when both have committed themselves ([`crate::records::Sealed`]).
    Sealed = "sealed",
    /// What opens a sealed record, kept by its author ([`crate::records::Pending`]).
    Pending = "pending",
    /// A question of the couple's own ([`crate::records::Question`]).
    Question = "question",
    /// An answer about oneself ([`crate::records::MapAnswer`]).
    MapAnswer = "map-answer",
    /// A question somebody wants to leave out ([`crate::records::MapSkip`]).
    MapSkip = "map-skip",
    /// The question of a day ([`crate::records::Pick`]).
    Pick = "pick",
    /// Agreement to something that needs both ([`crate::records::Consent`]).
    Consent = "consent",
    /// A page of the book ([`crate::records::Page`]).
    Page = "page",
    /// A paragraph of a page ([`crate::records::Passage`]).
    Passage = "passage",
    /// A word of the couple's own ([`crate::records::OurWord`]).
    OurWord = "our-word",
    /// What both hold to ([`crate::records::Agreement`]).
    Agreement = "agreement",
    /// A day to remember ([`crate::records::Milestone`]).
    Milestone = "milestone",
    /// A letter ([`crate::records::Letter`]).
    Letter = "letter",
    /// Something done together again and again ([`crate::records::Ritual`]).
    Ritual = "ritual",
    /// That it was done ([`crate::records::RitualDone`]).
    RitualDone = "ritual-done",
    /// A word of one's own ([`crate::records::OwnWord`]).
    OwnWord = "own-word",
    /// What is not to come back by itself ([`crate::records::MemoryRule`]).
    MemoryRule = "memory-rule",
    /// What somebody chose for themselves ([`crate::records::Choices`]).
    Choices = "choices",
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::displayable_line(self.as_str()))
    }
}

impl Kind {
    /// Whether a list shows it by itself; the others are parts of something, or stay in the
    /// background.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        matches!(
            self,
            Self::Entry | Self::Opening | Self::Page | Self::Letter
        )
    }
}

/// Reads which kind of record `doc` holds. A newer layout is no error: what is known is read.
///
/// # Errors
/// [`Unreadable`] if the layout version or the kind is missing or of the wrong type.
pub fn kind_of<D: ReadDoc>(doc: &D) -> Result<Kind, Unreadable> {
    View::now(doc).kind()
}
