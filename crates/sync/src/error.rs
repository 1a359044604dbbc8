//! Errors for people: what happened, and what to do next.

use std::io;
use std::path::PathBuf;

use ajar_crypto::EntropyFailed;
use ajar_crypto::vault::{KeyfileError, UnlockError};
use ajar_engine::pairing::FoundError;
use ajar_engine::recovery::RecoverError;
use ajar_engine::store::StoreError;
use ajar_engine::{EngineError, Misuse};
use ajar_protocol::relay_msg::Refusal;
use thiserror::Error;

/// Why there is no connection to the relay.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// No relay is configured.
    #[error("no relay is set up for this journal")]
    NoRelay,
    /// Nothing answered.
    #[error("the relay cannot be reached ({0})")]
    Unreachable(String),
    /// It answered with another key than the pinned one.
    #[error("This server is not the one you set up. Nothing was sent.")]
    WrongRelay,
    /// The relay does not know this space or device.
    #[error("the relay does not know this journal")]
    NotAdmitted,
    /// The claim in the address is used up or not the relay's.
    #[error("the relay does not accept the invitation: it is used up, or not from this relay")]
    BadClaim,
    /// The relay is full, stopping, or asks for patience.
    #[error("the relay cannot take anything at the moment")]
    Busy,
    /// The relay broke the protocol.
    #[error("the relay broke the protocol ({0}); nothing was accepted from it")]
    Violation(String),
    /// The connection was there and ended.
    #[error("the connection to the relay was lost")]
    Lost,
    /// Our own store failed while receiving.
    #[error("this device could not keep what it received: {0}")]
    Store(String),
    /// The time for it ran out.
    #[error("the relay did not answer in time")]
    TimedOut,
    /// The private space is kept on this device only.
    #[error("Only me stays on this device, as you asked; nothing of it was sent")]
    Off,
    /// The shared space rests on this device.
    #[error("your journal for two is paused on this device; nothing was sent")]
    Paused,
    /// The shared space was left quietly.
    #[error("you have left this journal quietly; nothing of it is sent any more")]
    Left,
}

/// Whether there is no space, or no quota, left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Why something failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No home at this place.
    #[error("there is no journal in {0}")]
    NoHome(PathBuf),
    /// A home is there already.
    #[error("there is already a journal in {0}; nothing was changed")]
    AlreadyThere(PathBuf),
    /// Another process has it open.
    #[error("another program is using this journal{}", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// Its process id, if known.
        pid: Option<u32>,
    },
    /// The passphrase does not open it.
    #[error("this passphrase does not open the journal")]
    WrongPassphrase,
    /// No passphrase was given.
    #[error("a passphrase is needed to open the journal")]
    NoPassphrase,
    /// A name that cannot be used.
    #[error("the name must have 1 to 64 characters")]
    BadName,
    /// *Only me* has a passphrase of its own, which was not given.
    #[error("Only me is locked")]
    PrivateLocked,
    /// There is no shared space yet.
    #[error("you are not paired with anyone yet")]
    NotPaired,
    /// The person is paired, but the shared space is not on this device.
    #[error("what is between you and your partner is not on this device")]
    NotOnThisDevice,
    /// There is a shared space with a partner who has written into it.
    #[error("you are already paired")]
    AlreadyPaired,
    /// The shared space was left quietly: nothing new can be written into it.
    #[error("you have left this journal quietly: it can be read, but nothing is added to it")]
    Left,
    /// The shared space has ended or was left, and this home has room for one only.
    #[error("the journal you had with someone has ended, and this place keeps it for you")]
    Parted,
    /// A file of the home cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Key file or vault header do not open.
    #[error("{0}")]
    Damaged(String),
    /// The disk is full.
    #[error("the disk is full: what was kept before is safe, this was not kept")]
    DiskFull,
    /// The store failed.
    #[error("{0}")]
    Store(String),
    /// The caller asked for what cannot be done.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// No randomness from the system.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// The space was closed while in use.
    #[error("the journal was closed")]
    Closed,
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Kept here, but not everything has reached the relay.
    #[error("kept here, not yet delivered: {0}")]
    Undelivered(ConnectError),
    /// The relay did not take a change of the person's devices; nothing changed.
    #[error("the relay did not take the change of your devices; nothing was changed")]
    MemberRefused(Refusal),
    /// Nothing at the relay belongs to the twelve words.
    #[error("this relay knows no journal that belongs to these twelve words")]
    NothingToRecover,
    /// The relay shows the shared space and not the private one.
    #[error("this relay has what is between you and your partner, but not Only me")]
    PrivateNotFound,
    /// The person did not go on after seeing what was found.
    #[error("nothing was brought back, and nothing was changed")]
    NotConfirmed,
    /// What was found cannot be recovered in the way asked for; nothing was changed.
    #[error(transparent)]
    Recover(RecoverError),
    /// The twelve words were replaced on another device, and this one does not know the new
    /// ones yet.
    #[error("your twelve words were replaced, and this device has not seen the new ones")]
    WordsReplaced,
    /// A photo or file is over 25 MiB.
    #[error("a photo or file can have at most 25 MiB")]
    BlobTooLarge,
    /// The content has another length than it had.
    #[error("the file changed while it was read; nothing of it was kept")]
    BlobChanged,
    /// The relay does not have a photo or file, or not yet.
    #[error("the relay does not have it: it may still be on its way from the other device")]
    BlobMissing,
    /// A photo or file is not what its record says. Nothing of it was shown or kept.
    #[error("it is damaged, and nothing of it was kept")]
    BlobDamaged,
    /// Pairing did not succeed; its code is used up.
    #[error("{0}")]
    Pairing(String),
    /// Too many wrong codes lately.
    #[error("Someone may be trying to guess. Use another network or pair in person.")]
    TooManyCodes,
    /// Our fault.
    #[error("a bug in Ajar: {0}")]
    Bug(&'static str),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        if is_full(&source) {
            return Self::DiskFull;
        }
        Self::Unreadable {
            path: path.into(),
            source,
        }
    }

    /// Exit status of a program that ends with this error: 1 the person can fix it, 2 a bug
    /// of ours, 3 locked, 4 kept but not delivered, 5 the relay broke the protocol.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::WrongPassphrase | Self::NoPassphrase | Self::PrivateLocked => 3,
            Self::Undelivered(ConnectError::WrongRelay | ConnectError::Violation(_))
            | Self::Connect(ConnectError::WrongRelay | ConnectError::Violation(_)) => 5,
            Self::Undelivered(
                ConnectError::NotAdmitted
                | ConnectError::BadClaim
                | ConnectError::NoRelay
                | ConnectError::Off
                | ConnectError::Paused
                | ConnectError::Left,
            )
            | Self::Connect(
                ConnectError::NotAdmitted
                | ConnectError::BadClaim
                | ConnectError::NoRelay
                | ConnectError::Off
                | ConnectError::Paused
                | ConnectError::Left,
            ) => 1,
            Self::Undelivered(_) | Self::Connect(_) => 4,
            Self::Bug(_) => 2,
            _ => 1,
        }
    }

    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "no-home",
            Self::AlreadyThere(_) => "already-there",
            Self::InUse { .. } => "in-use",
            Self::WrongPassphrase => "wrong-passphrase",
            Self::NoPassphrase => "no-passphrase",
            Self::BadName => "bad-name",
            Self::PrivateLocked => "private-locked",
            Self::NotPaired => "not-paired",
            Self::NotOnThisDevice => "not-on-this-device",
            Self::AlreadyPaired => "already-paired",
            Self::Left => "left",
            Self::Parted => "parted",
            Self::Unreadable { .. } => "unreadable",
            Self::Damaged(_) => "damaged",
            Self::DiskFull => "disk-full",
            Self::Store(_) => "store",
            Self::Misuse(Misuse::NoSuchDocument(_)) => "not-found",
            Self::Misuse(Misuse::NotYours(_)) => "not-yours",
            Self::Misuse(Misuse::StaleCopy) => "stale-copy",
            Self::Misuse(Misuse::WrongWords) => "wrong-words",
            Self::Misuse(_) => "refused",
            Self::Entropy(_) => "no-randomness",
            Self::Closed => "closed",
            Self::Connect(error) | Self::Undelivered(error) => error.code(),
            Self::MemberRefused(_) => "change-refused",
            Self::NothingToRecover => "nothing-to-recover",
            Self::PrivateNotFound => "private-not-found",
            Self::NotConfirmed => "not-confirmed",
            Self::Recover(_) => "not-recovered",
            Self::WordsReplaced => "words-replaced",
            Self::BlobTooLarge => "too-large",
            Self::BlobChanged => "file-changed",
            Self::BlobMissing => "not-there-yet",
            Self::BlobDamaged => "photo-damaged",
            Self::Pairing(_) => "pairing-failed",
            Self::TooManyCodes => "too-many-codes",
            Self::Bug(_) => "bug",
        }
    }

    /// What to do next, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoHome(_) => {
                "Start one with `ajar init --name YOUR-NAME`, or name another place with --home."
            }
            Self::AlreadyThere(_) => "Use it as it is, or choose another place with --home.",
            Self::InUse { .. } => {
                "Let it finish, or end it: `ajar lock` ends an `ajar sync --watch`. Then try again."
            }
            Self::WrongPassphrase => {
                "Try again. Capital letters count. Nobody can reset it; your twelve words bring the journal back in another folder: `ajar --home FOLDER recover`."
            }
            Self::NoPassphrase => "Set AJAR_PASSPHRASE, or use --passphrase-file FILE.",
            Self::PrivateLocked => "Give its own passphrase with AJAR_PRIVATE_PASSPHRASE.",
            Self::NotPaired => "One of you runs `ajar pair`, the other `ajar join CODE`.",
            Self::NotOnThisDevice => {
                "Add it from a device that has it: `ajar device add --spaces us` there, a new journal folder here."
            }
            Self::MemberRefused(_) => {
                "Run `ajar sync`, look at `ajar device list`, then try again."
            }
            Self::AlreadyPaired => "A space is for exactly two people, for ever.",
            Self::Left => {
                "Write in Only me instead. Nobody was told that you left; if you want to come back: `ajar close return`."
            }
            Self::Parted => {
                "It stays readable here and can be exported. To begin with someone anew, start in another folder: `ajar --home FOLDER init --name YOUR-NAME`."
            }
            Self::Unreadable { .. } => {
                "Check that the files belong to you and that the disk is there, then try again."
            }
            Self::Damaged(_) | Self::Store(_) => {
                "Run `ajar doctor`; it changes nothing and says what can be done."
            }
            Self::DiskFull => "Free some space, then do it again.",
            Self::Misuse(Misuse::StaleCopy) => {
                "Link this device anew: `ajar device add` on another device, `ajar init --link CODE` here in a new folder. What is only here can still be read and exported."
            }
            Self::Misuse(Misuse::Closed) => {
                "Take what you want to have elsewhere along (`ajar export FILE`). Only me goes on."
            }
            Self::Misuse(Misuse::Removed) => {
                "If this is still your device: `ajar device add` on another one, `ajar init --link CODE` here in a new folder."
            }
            Self::Connect(error) | Self::Undelivered(error) => return error.hint(),
            Self::NothingToRecover => {
                "Check the words and the relay's address on your sheet; if you have replaced your words, only the new ones count. A relay lets you try a few times an hour."
            }
            Self::PrivateNotFound => {
                "If Only me has another relay, give that one's address. If it never left your lost device, `ajar recover --without-me` brings back what you share."
            }
            Self::Recover(RecoverError::Left { .. }) => {
                "Begin again, look at the list of changes, and name the first one that is not yours: `ajar recover --undo NUMBER`."
            }
            Self::Recover(RecoverError::WrongWords) | Self::Misuse(Misuse::WrongWords) => {
                "Look for the newer sheet: only the words written down last count."
            }
            Self::WordsReplaced => {
                "Run `ajar words check` on this device with the new words, then try again."
            }
            Self::BlobTooLarge => "Make it smaller, or split it.",
            Self::BlobChanged => "Wait until the other program has finished, then try again.",
            Self::BlobMissing => {
                "Run `ajar sync` on the device it was added on, then try again here."
            }
            Self::BlobDamaged => {
                "Try again; if that does not help, add it anew from the device that has the file."
            }
            Self::Pairing(_) => "Begin again with a new code; each code works once.",
            Self::TooManyCodes => "Wait fifteen minutes before the next try.",
            Self::Bug(_) => "Please report it; nothing was lost.",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl ConnectError {
    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRelay => "no-relay",
            Self::Unreachable(_) => "relay-unreachable",
            Self::WrongRelay => "wrong-relay",
            Self::NotAdmitted => "not-admitted",
            Self::BadClaim => "bad-claim",
            Self::Busy => "relay-busy",
            Self::Violation(_) => "relay-violation",
            Self::Lost => "relay-lost",
            Self::Store(_) => "store",
            Self::TimedOut => "timeout",
            Self::Off => "travel-off",
            Self::Paused => "paused",
            Self::Left => "left",
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoRelay => {
                "Ask whoever runs your relay for an address (`ajar-relay invite` prints one)."
            }
            Self::Unreachable(_) | Self::Lost | Self::TimedOut | Self::Busy => {
                "Nothing is lost. It travels with the next `ajar sync` that reaches the relay."
            }
            Self::WrongRelay => {
                "Check the address with whoever runs the relay. If its key changed on purpose, it has a new address."
            }
            Self::NotAdmitted => {
                "If you removed this device, that is why: what is on it can be read and exported. If not, ask whoever runs the relay for a new address (`ajar-relay invite`), then `ajar relay move ADDRESS`."
            }
            Self::BadClaim => {
                "Ask whoever runs the relay for a new address (`ajar-relay invite`), then `ajar relay move ADDRESS`."
            }
            Self::Violation(_) => "Tell whoever runs the relay. Your journal here is complete.",
            Self::Store(_) => "Run `ajar doctor`.",
            Self::Off => {
                "`ajar relay on` lets it travel again, sealed: if this device is lost, so is what is only here."
            }
            Self::Paused => {
                "Nothing is lost. `ajar close resume` when you like; what you wrote goes then."
            }
            Self::Left => {
                "Nobody was told that you left; if you want to come back: `ajar close return`."
            }
        };
        Some(text.to_owned())
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Misuse(misuse) => Self::Misuse(misuse),
            EngineError::Store(StoreError::DiskFull) => Self::DiskFull,
            EngineError::Store(error) => Self::Store(error.to_string()),
            EngineError::Entropy(error) => Self::Entropy(error),
            EngineError::Damaged(what) => Self::Damaged(EngineError::Damaged(what).to_string()),
            EngineError::Bug(what) => Self::Bug(what),
            other => Self::Store(other.to_string()),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        EngineError::Store(error).into()
    }
}

impl From<RecoverError> for Error {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Entropy(error) => Self::Entropy(error),
            RecoverError::Bug(what) => Self::Bug(what),
            other => Self::Recover(other),
        }
    }
}

impl From<FoundError> for Error {
    fn from(error: FoundError) -> Self {
        match error {
            FoundError::Engine(error) => error.into(),
            other => Self::Pairing(other.to_string()),
        }
    }
}

impl From<UnlockError> for Error {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::WrongPassphrase => Self::WrongPassphrase,
            UnlockError::Entropy(error) => Self::Entropy(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<KeyfileError> for Error {
    fn from(error: KeyfileError) -> Self {
        match error {
            KeyfileError::Entropy(error) => Self::Entropy(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_or_quota_is_said_as_such() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(Error::io("a", kind.into()), Error::DiskFull));
        }
        let other = Error::io("a", io::ErrorKind::PermissionDenied.into());
        assert!(matches!(other, Error::Unreadable { .. }));
        assert!(matches!(Error::from(StoreError::DiskFull), Error::DiskFull));
    }

    #[test]
    fn what_a_person_can_do_next_is_said_where_something_can_be_done() {
        for error in [
            Error::WrongPassphrase,
            Error::InUse { pid: Some(7) },
            Error::DiskFull,
            Error::Connect(ConnectError::WrongRelay),
            Error::Undelivered(ConnectError::Lost),
        ] {
            assert!(error.hint().is_some(), "{error}");
        }
        assert_eq!(Error::Connect(ConnectError::WrongRelay).exit_code(), 5);
        assert_eq!(Error::PrivateLocked.exit_code(), 3);
    }
}
