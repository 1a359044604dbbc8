//! Errors of the replica, by fault: the caller, the machine, or us. What a peer does wrong
//! is no error here: it is dropped, counted and, where it matters, becomes a notice.

use ajar_crypto::EntropyFailed;
use ajar_crypto::seal::SealError;
use ajar_protocol::DocId;
use thiserror::Error;

use crate::store::StoreError;

/// The caller asked for what cannot be done.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// No document has this id.
    #[error("there is no such document")]
    NoSuchDocument(DocId),
    /// The document belongs to the other person.
    #[error("only the person who wrote it can change it")]
    NotYours(DocId),
    /// One change is larger than an envelope can carry.
    #[error("this is too long to be kept in one piece; write it in smaller parts")]
    TooLarge,
    /// A limit of a document, of the space, or of a day's changes of devices is reached.
    #[error("the limit for one document, for the number of documents or for devices is reached")]
    LimitReached,
    /// This copy of the home is behind its own past and may not write.
    #[error(
        "this looks like a restored copy; it can be read, but nothing new can be written on it"
    )]
    StaleCopy,
    /// It has to be done while the relay is there.
    #[error("this needs the relay, and the relay is not there")]
    NeedsRelay,
    /// No other active device of this person has this id.
    #[error("no other active device of yours is called that")]
    NoSuchDevice,
    /// A change of the membership was proposed and the relay has not answered yet.
    #[error("another change of your devices is under way; try again when it is done")]
    ChangeUnderWay,
    /// The proof of a new device is for another place, or its keys are in use already.
    #[error("what the new device sent does not fit any more; begin linking it again")]
    LinkOutdated,
    /// The twelve words are not those in force.
    #[error("these are not the twelve words of this journal, or they were replaced since")]
    WrongWords,
    /// This device was removed by another one of its person.
    #[error(
        "this device was removed from the journal; what is on it can be read and exported, nothing new can be written"
    )]
    Removed,
    /// Two lists of this person's devices are signed.
    #[error(
        "two different lists of your devices are signed; no device is added or removed any more until you recover with your twelve words"
    )]
    Frozen,
    /// A removed device has sent nothing beyond what already counts.
    #[error("nothing more of that device has arrived")]
    NothingBeyond,
    /// A removal was more than seven days ago, or more of the device was let in before.
    #[error("it is too late to let in more of what that device wrote")]
    TooLate,
    /// The relationship's space cannot be written any more.
    #[error("this space is closed; what is in it can be read and exported")]
    Closed,
}

/// Why an operation on a replica failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The caller's fault; nothing changed.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The store could not read or write; nothing changed, unless the error says that the
    /// home must be opened again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gave no randomness; nothing changed.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// Stored state contradicts itself.
    #[error("the store of this home is damaged ({0}); run `ajar doctor`")]
    Damaged(&'static str),
    /// Our fault.
    #[error("a bug in Ajar: {0}; please report it")]
    Bug(&'static str),
}

impl From<SealError> for EngineError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Entropy(error) => Self::Entropy(error),
            SealError::TooLarge => Self::Misuse(Misuse::TooLarge),
            _ => Self::Bug("an envelope could not be sealed"),
        }
    }
}
