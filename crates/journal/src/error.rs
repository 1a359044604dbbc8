//! What can go wrong when a record is written or read. No message repeats what a person wrote.

use automerge::AutomergeError;

use crate::schema::{self, Kind};

/// A write that did not happen. The transaction holds nothing of it unless it is [`Error::Document`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The words handed in cannot be kept as they are.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The record to be changed cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The document refused the operation: roll the transaction back.
    #[error("the document refused the change; nothing of it may be kept")]
    Document(#[from] AutomergeError),
}

/// Why a value cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The title has more than [`schema::TITLE_CHARS_MAX`] characters.
    #[error(
        "the title is longer than {} characters; shorten it",
        schema::TITLE_CHARS_MAX
    )]
    TitleTooLong,
    /// The title has a line break or another control character.
    #[error("a title is one line without control characters; put the rest into the text")]
    TitleNotOneLine,
    /// The text has more than [`schema::TEXT_BYTES_MAX`] bytes or
    /// [`schema::PARAGRAPHS_MAX`] lines.
    #[error(
        "the text is larger than {} bytes or {} lines; split it into several entries",
        schema::TEXT_BYTES_MAX,
        schema::PARAGRAPHS_MAX
    )]
    TextTooLong,
    /// Too many lines change at once.
    #[error("this save changes too many lines at once; save it in two or three parts")]
    EditTooLarge,
    /// The text and what another device wrote meanwhile are too much together.
    #[error("together with the other version the text is too large; shorten it, then save again")]
    MergedTextTooLong,
    /// More than [`schema::TAGS_MAX`] tags.
    #[error("more than {} tags; remove some", schema::TAGS_MAX)]
    TooManyTags,
    /// A tag is empty, longer than [`schema::TAG_CHARS_MAX`] characters or has control characters.
    #[error(
        "a tag has 1 to {} characters and no control characters",
        schema::TAG_CHARS_MAX
    )]
    BadTag,
    /// Not a day that exists.
    #[error("write the date as 2026-07-01 or 2026-07-01T21:30; the day must exist")]
    BadDate,
    /// A name is empty, longer than [`schema::NAME_CHARS_MAX`] characters or has control characters.
    #[error(
        "a name has 1 to {} characters and no control characters",
        schema::NAME_CHARS_MAX
    )]
    BadName,
    /// More than [`schema::PHOTOS_MAX`] photos.
    #[error(
        "more than {} photos; put the others into another entry",
        schema::PHOTOS_MAX
    )]
    TooManyPhotos,
    /// A photo with an id, a size or a length that cannot be.
    #[error("a photo is empty, too large, or named twice")]
    BadPhoto,
    /// A file name that is empty, too long, or could mislead whoever reads it.
    #[error("the file's name cannot be kept as it is; rename the file")]
    BadFileName,
    /// The photos were not all sealed anew for the shared space.
    #[error("the photos were not made ready to be opened; nothing was shown to anyone")]
    PhotosNotCopied,
    /// An opening id that is not 32 lowercase hexadecimal digits.
    #[error("an opening id is 32 lowercase hexadecimal digits")]
    BadOpeningId,
    /// A field of a smaller record.
    #[error("{field}: {needs}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it should be.
        needs: &'static str,
    },
    /// A record may only be created in a document that holds nothing yet.
    #[error("the document already holds a record; create this one in a new document")]
    DocumentNotEmpty,
}

/// Why a record cannot be read. It says where, never what was there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A field every record of this kind has is not there.
    #[error("the record has no `{0}`: part of it may not have arrived yet, sync and try again")]
    Missing(&'static str),
    /// A field holds something of another type.
    #[error("the record's `{field}` is not {expected}; update Ajar and try again")]
    WrongType {
        /// The key.
        field: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// A field has the right type but a value that cannot be.
    #[error("the record's `{0}` holds a value that cannot be; update Ajar and try again")]
    BadValue(&'static str),
    /// A field is larger than anything this journal writes.
    #[error("the record's `{0}` is larger than a journal can write; update Ajar and try again")]
    TooLarge(&'static str),
    /// The record is of another kind than asked for.
    #[error("this is not the kind of record asked for: wanted {wanted}, found {found}")]
    OtherKind {
        /// What the caller wanted to read.
        wanted: Kind,
        /// What the document says it is.
        found: Kind,
    },
    /// The document could not answer.
    #[error("the document could not be read; sync and try again")]
    Document,
}

impl From<AutomergeError> for Unreadable {
    fn from(_: AutomergeError) -> Self {
        Self::Document
    }
}
