//! Frames on a stream: `u32 length | u8 type | body`, where the length counts type and body.
//!
//! Frame numbers live in [`Tag`]; a removed number is never used again.

use crate::error::Malformed;

/// Length of the length field.
pub const LENGTH: usize = 4;

/// Type of a frame. Client and relay number their messages apart: below 128 the client
/// speaks, from 128 on the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// Client: login.
    Login = 1,
    /// Client: an unknown space presents its genesis and a claim or permit.
    Introduce = 2,
    /// Client: a party-chain link to store.
    AppendLink = 3,
    /// Client: catch up from here and stay subscribed.
    Subscribe = 4,
    /// Client: an envelope to store and forward.
    Append = 5,
    /// Client: send what a device needs that cannot go on from its frontier.
    Bootstrap = 6,
    /// Client: a signed trim record.
    Trim = 7,
    /// Client: which of these blobs are missing?
    AskBlobs = 8,
    /// Client: a signed deletion of blobs.
    DeleteBlobs = 9,
    /// Client: opens a pairing mailbox.
    MailboxOpen = 16,
    /// Client: joins a pairing mailbox.
    MailboxJoin = 17,
    /// Client: a message for the other side of the mailbox.
    MailboxSend = 18,
    /// Client, on a stream of its own: stores a blob.
    BlobPut = 32,
    /// Client, on a stream of its own: asks for a blob.
    BlobGet = 33,
    /// Relay: login accepted.
    Welcome = 128,
    /// Relay: refused; the connection ends.
    Refused = 129,
    /// Relay: the space is admitted.
    Admitted = 130,
    /// Relay: a party-chain link.
    Link = 131,
    /// Relay: a link is stored.
    LinkStored = 132,
    /// Relay: a link was not stored.
    LinkNotStored = 133,
    /// Relay: an envelope.
    Envelope = 134,
    /// Relay: an envelope is durable.
    Stored = 135,
    /// Relay: an envelope was not stored.
    NotStored = 136,
    /// Relay: everything stored up to now has been sent.
    CaughtUp = 137,
    /// Relay: genesis of the space that a recovery login has found.
    Genesis = 138,
    /// Relay: the log is trimmed to this; what was asked for begins before.
    Trimmed = 139,
    /// Relay: everything that a bootstrap needs has been sent.
    Ready = 140,
    /// Relay: the log is trimmed to the snapshot of this id.
    TrimStored = 141,
    /// Relay: it was not trimmed.
    TrimNotStored = 142,
    /// Relay: the mailbox is open under this number.
    MailboxOpened = 144,
    /// Relay: the other side is there.
    MailboxPeer = 145,
    /// Relay: a message from the other side.
    MailboxMessage = 146,
    /// Relay: these blobs are missing.
    BlobsMissing = 147,
    /// Relay: a deletion is done.
    BlobsDeleted = 148,
    /// Relay, on the stream of a blob: send from this offset.
    BlobFrom = 160,
    /// Relay, on the stream of a blob: it is durable.
    BlobStored = 161,
    /// Relay, on the stream of a blob: its length; the bytes follow.
    BlobIs = 162,
}

impl Tag {
    /// Tag of a byte, if it names one.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        use Tag::{
            Admitted, Append, AppendLink, AskBlobs, BlobFrom, BlobGet, BlobIs, BlobPut, BlobStored,
            BlobsDeleted, BlobsMissing, Bootstrap, CaughtUp, DeleteBlobs, Envelope, Genesis,
            Introduce, Link, LinkNotStored, LinkStored, Login, MailboxJoin, MailboxMessage,
            MailboxOpen, MailboxOpened, MailboxPeer, MailboxSend, NotStored, Ready, Refused,
            Stored, Subscribe, Trim, TrimNotStored, TrimStored, Trimmed, Welcome,
        };
        let all = [
            Login,
            Introduce,
            AppendLink,
            Subscribe,
            Append,
            Bootstrap,
            Trim,
            AskBlobs,
            DeleteBlobs,
            BlobPut,
            BlobGet,
            MailboxOpen,
            MailboxJoin,
            MailboxSend,
            Welcome,
            Refused,
            Admitted,
            Link,
            LinkStored,
            LinkNotStored,
            Envelope,
            Stored,
            NotStored,
            CaughtUp,
            Genesis,
            Trimmed,
            Ready,
            TrimStored,
            TrimNotStored,
            BlobsMissing,
            BlobsDeleted,
            BlobFrom,
            BlobStored,
            BlobIs,
            MailboxOpened,
            MailboxPeer,
            MailboxMessage,
        ];
        all.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// Wraps a body into a frame.
///
/// # Panics
/// When the body is 4 GiB or longer; bodies are bounded far below by their own limits.
#[must_use]
pub fn wrap(tag: Tag, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).expect("bodies are far below 4 GiB");
    let mut out = Vec::with_capacity(LENGTH + 1 + body.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.push(tag as u8);
    out.extend_from_slice(body);
    out
}

/// Checks the length field of a frame against the limit in force.
///
/// # Errors
/// [`Malformed::TooLarge`] over the limit, [`Malformed::Truncated`] when it is zero.
pub fn checked_length(field: [u8; LENGTH], limit: usize) -> Result<usize, Malformed> {
    let length = u32::from_be_bytes(field) as usize;
    match length {
        0 => Err(Malformed::Truncated("frame")),
        _ if length > limit => Err(Malformed::TooLarge("frame")),
        _ => Ok(length),
    }
}

/// Splits the content of a frame (what follows the length) into tag and body.
///
/// # Errors
/// [`Malformed::Truncated`] when empty, [`Malformed::Kind`] for an unknown tag.
pub fn split(content: &[u8]) -> Result<(Tag, &[u8]), Malformed> {
    let (tag, body) = content.split_first().ok_or(Malformed::Truncated("frame"))?;
    Ok((Tag::from_byte(*tag).ok_or(Malformed::Kind("frame"))?, body))
}
