//! Errors of parsing: the bytes are not what the protocol allows.

use thiserror::Error;

/// Bytes that no honest peer sends (a *Violation* by whoever sent them), or that a newer
/// version of Ajar may have sent ([`Malformed::Version`] and its siblings).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end before the object does.
    #[error("{0}: cut short")]
    Truncated(&'static str),
    /// Bytes follow the object.
    #[error("{0}: longer than it says")]
    Trailing(&'static str),
    /// A length or count is above its limit.
    #[error("{0}: over its limit")]
    TooLarge(&'static str),
    /// The object's version is unknown here.
    #[error("{0}: made by a version of Ajar that this one does not know; update Ajar")]
    Version(&'static str),
    /// The object's kind is unknown here.
    #[error("{0}: of a kind that this version of Ajar does not know; update Ajar")]
    Kind(&'static str),
    /// A reserved flag or field is not zero.
    #[error("{0}: a reserved field is not zero")]
    Reserved(&'static str),
    /// A value is not allowed where it stands.
    #[error("{0}: not a valid value")]
    Value(&'static str),
    /// A public key is weak or no point on the curve.
    #[error("{0}: not a usable public key")]
    Key(&'static str),
    /// A signature does not verify.
    #[error("{0}: the signature does not match")]
    Signature(&'static str),
    /// The list is not in strictly ascending order.
    #[error("{0}: not in canonical order")]
    Order(&'static str),
}
