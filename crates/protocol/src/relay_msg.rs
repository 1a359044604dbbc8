//! What a relay says to a client. Nothing in here decides about membership or content: a
//! client checks everything itself.

use crate::blob_msg::{read_blobs, write_blobs};
use crate::client_msg::{ChainPosition, bounded, read_chains, write_chains};
use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::frame::{self, Tag};
use crate::frontier::Frontier;
use crate::id::{BlobId, DeviceId, EnvelopeId, PartyId};
use crate::limits;
use crate::mailbox::Purpose;

/// Why something was refused; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Unknown space, unknown or revoked key: one answer for all, so that strangers learn
    /// nothing.
    NotAdmitted = 1,
    /// The claim is unknown or used up, or the permit is not this relay's.
    BadCredential = 2,
    /// The message breaks the protocol.
    Violation = 3,
    /// Another object stands at this place already.
    Conflict = 4,
    /// Objects before this one are missing.
    Gap = 5,
    /// The space has used up what this relay gives it.
    Quota = 6,
    /// The relay's disk is full; reading goes on.
    DiskFull = 7,
    /// Too many requests; try again later.
    RateLimited = 8,
    /// The relay is stopping or cannot reach its storage; try again later.
    Unavailable = 9,
    /// No such mailbox: never opened, used, or expired.
    NoMailbox = 10,
    /// The author's device has been revoked before this envelope.
    Revoked = 11,
    /// No such blob in this space.
    NoBlob = 12,
    /// Too many transfers of blobs at a time.
    TooMany = 13,
}

impl Refusal {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            1 => Self::NotAdmitted,
            2 => Self::BadCredential,
            3 => Self::Violation,
            4 => Self::Conflict,
            5 => Self::Gap,
            6 => Self::Quota,
            7 => Self::DiskFull,
            8 => Self::RateLimited,
            9 => Self::Unavailable,
            10 => Self::NoMailbox,
            11 => Self::Revoked,
            12 => Self::NoBlob,
            13 => Self::TooMany,
            _ => return Err(Malformed::Value("reason of a refusal")),
        })
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Gap
                | Self::Quota
                | Self::DiskFull
                | Self::RateLimited
                | Self::Unavailable
                | Self::TooMany
        )
    }
}

/// Names one envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeName {
    /// Author.
    pub device: DeviceId,
    /// Its counter.
    pub counter: u64,
    /// Its id.
    pub id: EnvelopeId,
}

/// A message of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayMsg {
    /// `permit 64 | u8 n { party 32, next u64 } | frontier`: what the relay holds.
    Welcome {
        /// Permit for this space.
        permit: [u8; 64],
        /// Chains as the relay holds them.
        chains: Vec<ChainPosition>,
        /// Envelopes as the relay holds them.
        frontier: Frontier,
    },
    /// `u8 reason`: the connection ends.
    Refused(Refusal),
    /// `permit 64`: the space is known from now on; links and login follow.
    Admitted([u8; 64]),
    /// A party-chain link.
    Link(Vec<u8>),
    /// `party 32 | seq u64`: the link is durable.
    LinkStored {
        /// The party.
        party: PartyId,
        /// Place of the link.
        seq: u64,
    },
    /// `party 32 | seq u64 | u8 reason`
    LinkNotStored {
        /// The party.
        party: PartyId,
        /// Place of the link.
        seq: u64,
        /// Why.
        reason: Refusal,
    },
    /// An envelope.
    Envelope(Vec<u8>),
    /// `device 32 | counter u64 | id 32`: the envelope is durable.
    Stored(EnvelopeName),
    /// `device 32 | counter u64 | id 32 | u8 reason`
    NotStored(EnvelopeName, Refusal),
    /// Everything that was stored when the subscription began has been sent.
    CaughtUp,
    /// The signed genesis of the space, before the welcome of a recovery login: whoever has
    /// only the twelve words does not know it.
    Genesis(Vec<u8>),
    /// A trim record ([`crate::trim::TrimRecord`]): what was subscribed to begins before it, or
    /// a bootstrap begins with it.
    Trimmed(Vec<u8>),
    /// Everything that a bootstrap needs has been sent.
    Ready,
    /// `id 32`: trimmed to this snapshot, durably.
    TrimStored(EnvelopeId),
    /// `id 32 | u8 reason`
    TrimNotStored(EnvelopeId, Refusal),
    /// `u16 n { blob 32 }`, ascending: of those asked about, these are missing.
    BlobsMissing(Vec<BlobId>),
    /// `u16 n { blob 32 }`, ascending: these are not there any more.
    BlobsDeleted(Vec<BlobId>),
    /// `u32 nameplate`
    MailboxOpened(u32),
    /// `u8 purpose`: the other side is there.
    MailboxPeer(Purpose),
    /// A message of the other side.
    MailboxMessage(Vec<u8>),
}

fn write_name(out: &mut Writer, name: &EnvelopeName) {
    out.raw(&name.device.0).u64(name.counter).raw(&name.id.0);
}

fn read_name(reader: &mut Reader<'_>) -> Result<EnvelopeName, Malformed> {
    Ok(EnvelopeName {
        device: DeviceId(reader.array()?),
        counter: reader.u64()?,
        id: EnvelopeId(reader.array()?),
    })
}

impl RelayMsg {
    /// The message as a frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let tag = match self {
            Self::Welcome {
                permit,
                chains,
                frontier,
            } => {
                out.raw(permit);
                write_chains(&mut out, chains);
                frontier.encode(&mut out);
                Tag::Welcome
            }
            Self::Refused(reason) => {
                out.u8(*reason as u8);
                Tag::Refused
            }
            Self::Admitted(permit) => {
                out.raw(permit);
                Tag::Admitted
            }
            Self::Link(link) => return frame::wrap(Tag::Link, link),
            Self::LinkStored { party, seq } => {
                out.raw(&party.0).u64(*seq);
                Tag::LinkStored
            }
            Self::LinkNotStored { party, seq, reason } => {
                out.raw(&party.0).u64(*seq).u8(*reason as u8);
                Tag::LinkNotStored
            }
            Self::Envelope(envelope) => return frame::wrap(Tag::Envelope, envelope),
            Self::Stored(name) => {
                write_name(&mut out, name);
                Tag::Stored
            }
            Self::NotStored(name, reason) => {
                write_name(&mut out, name);
                out.u8(*reason as u8);
                Tag::NotStored
            }
            Self::CaughtUp => Tag::CaughtUp,
            Self::Genesis(genesis) => return frame::wrap(Tag::Genesis, genesis),
            Self::Trimmed(record) => return frame::wrap(Tag::Trimmed, record),
            Self::Ready => Tag::Ready,
            Self::TrimStored(id) => {
                out.raw(&id.0);
                Tag::TrimStored
            }
            Self::TrimNotStored(id, reason) => {
                out.raw(&id.0).u8(*reason as u8);
                Tag::TrimNotStored
            }
            Self::BlobsMissing(blobs) => {
                write_blobs(&mut out, blobs);
                Tag::BlobsMissing
            }
            Self::BlobsDeleted(blobs) => {
                write_blobs(&mut out, blobs);
                Tag::BlobsDeleted
            }
            Self::MailboxOpened(nameplate) => {
                out.u32(*nameplate);
                Tag::MailboxOpened
            }
            Self::MailboxPeer(purpose) => {
                out.u8(*purpose as u8);
                Tag::MailboxPeer
            }
            Self::MailboxMessage(message) => return frame::wrap(Tag::MailboxMessage, message),
        };
        frame::wrap(tag, &out.finish())
    }

    /// Parses the content of a frame.
    ///
    /// # Errors
    /// [`Malformed`]; a client's tag is [`Malformed::Kind`].
    pub fn parse(content: &[u8]) -> Result<Self, Malformed> {
        let (tag, body) = frame::split(content)?;
        let mut reader = Reader::new(body, "message of a relay");
        let message = match tag {
            Tag::Welcome => Self::Welcome {
                permit: reader.array()?,
                chains: read_chains(&mut reader)?,
                frontier: Frontier::decode(&mut reader)?,
            },
            Tag::Refused => Self::Refused(Refusal::from_byte(reader.u8()?)?),
            Tag::Admitted => Self::Admitted(reader.array()?),
            Tag::Link => return bounded(body, limits::LINK, "party-chain link").map(Self::Link),
            Tag::LinkStored => Self::LinkStored {
                party: PartyId(reader.array()?),
                seq: reader.u64()?,
            },
            Tag::LinkNotStored => Self::LinkNotStored {
                party: PartyId(reader.array()?),
                seq: reader.u64()?,
                reason: Refusal::from_byte(reader.u8()?)?,
            },
            Tag::Envelope => {
                return bounded(body, limits::ENVELOPE, "envelope").map(Self::Envelope);
            }
            Tag::Stored => Self::Stored(read_name(&mut reader)?),
            Tag::NotStored => {
                let name = read_name(&mut reader)?;
                Self::NotStored(name, Refusal::from_byte(reader.u8()?)?)
            }
            Tag::CaughtUp => Self::CaughtUp,
            Tag::Genesis => return bounded(body, limits::GENESIS, "genesis").map(Self::Genesis),
            Tag::Trimmed => {
                return bounded(body, limits::TRIM, "trim record").map(Self::Trimmed);
            }
            Tag::Ready => Self::Ready,
            Tag::TrimStored => Self::TrimStored(EnvelopeId(reader.array()?)),
            Tag::TrimNotStored => {
                let id = EnvelopeId(reader.array()?);
                Self::TrimNotStored(id, Refusal::from_byte(reader.u8()?)?)
            }
            Tag::BlobsMissing => Self::BlobsMissing(read_blobs(&mut reader)?),
            Tag::BlobsDeleted => Self::BlobsDeleted(read_blobs(&mut reader)?),
            Tag::MailboxOpened => Self::MailboxOpened(reader.u32()?),
            Tag::MailboxPeer => Self::MailboxPeer(Purpose::from_byte(reader.u8()?)?),
            Tag::MailboxMessage => {
                return bounded(body, limits::MAILBOX_MESSAGE, "mailbox message")
                    .map(Self::MailboxMessage);
            }
            _ => return Err(Malformed::Kind("message of a relay")),
        };
        reader.finish()?;
        Ok(message)
    }
}
