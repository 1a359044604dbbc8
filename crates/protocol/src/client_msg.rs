//! What a client says to a relay.

use crate::auth::Login;
use crate::blob_msg::{DeleteBlobs, read_blobs, write_blobs};
use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::frame::{self, Tag};
use crate::frontier::Frontier;
use crate::id::{BlobId, PartyId};
use crate::limits;
use crate::mailbox::Purpose;

/// Why a relay should admit a space that it does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// One-time token from `ajar-relay invite` (16 bytes).
    Claim([u8; 16]),
    /// The relay's own earlier permit (64 bytes).
    Permit([u8; 64]),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Claim(_) => "Claim(..)",
            Self::Permit(_) => "Permit(..)",
        })
    }
}

/// How far a client holds a party chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainPosition {
    /// The party.
    pub party: PartyId,
    /// Number of the next link.
    pub next: u64,
}

/// A message of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMsg {
    /// Enters a space.
    Login(Login),
    /// `genesis u16+… | u8 kind (1 claim, 2 permit) | credential 16 or 64`; the links of the
    /// parties follow as [`ClientMsg::AppendLink`], then the login.
    Introduce {
        /// Signed genesis.
        genesis: Vec<u8>,
        /// Claim or permit.
        credential: Credential,
    },
    /// A link of a party chain.
    AppendLink(Vec<u8>),
    /// `u8 n { party 32, next u64 } | frontier`: send what I lack, then whatever comes.
    Subscribe {
        /// Chains as held.
        chains: Vec<ChainPosition>,
        /// Envelopes as held.
        frontier: Frontier,
    },
    /// An envelope, own or another device's.
    Append(Vec<u8>),
    /// Nothing follows: send what a device needs that cannot go on from its frontier. The trim
    /// record, all EPOCHs, the newest snapshots and endorsements come, then
    /// [`RelayMsg::Ready`](crate::relay_msg::RelayMsg::Ready).
    Bootstrap,
    /// A trim record ([`crate::trim::TrimRecord`]).
    Trim(Vec<u8>),
    /// `u16 n { blob 32 }`, ascending: which of these are missing?
    AskBlobs(Vec<BlobId>),
    /// A signed deletion.
    DeleteBlobs(DeleteBlobs),
    /// `u8 purpose`
    MailboxOpen(Purpose),
    /// `u32 nameplate`
    MailboxJoin(u32),
    /// A message for the other side (≤ 16 KiB).
    MailboxSend(Vec<u8>),
}

/// Writes `u8 n { party 32, next u64 }`.
pub(crate) fn write_chains(out: &mut Writer, chains: &[ChainPosition]) {
    out.u8(u8::try_from(chains.len()).expect("a space has at most two parties"));
    for chain in chains {
        out.raw(&chain.party.0).u64(chain.next);
    }
}

/// Reads what [`write_chains`] wrote.
pub(crate) fn read_chains(reader: &mut Reader<'_>) -> Result<Vec<ChainPosition>, Malformed> {
    let n = usize::from(reader.u8()?);
    if n > 2 {
        return Err(Malformed::TooLarge("parties of a space"));
    }
    let chains = (0..n)
        .map(|_| {
            Ok(ChainPosition {
                party: PartyId(reader.array()?),
                next: reader.u64()?,
            })
        })
        .collect::<Result<Vec<_>, Malformed>>()?;
    match chains.as_slice() {
        [one, other] if one.party == other.party => Err(Malformed::Value("parties of a space")),
        _ => Ok(chains),
    }
}

impl ClientMsg {
    /// The message as a frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let tag = match self {
            Self::Login(login) => return frame::wrap(Tag::Login, &login.encode()),
            Self::Introduce {
                genesis,
                credential,
            } => {
                out.bytes16(genesis);
                match credential {
                    Credential::Claim(claim) => out.u8(1).raw(claim),
                    Credential::Permit(permit) => out.u8(2).raw(permit),
                };
                Tag::Introduce
            }
            Self::AppendLink(link) => return frame::wrap(Tag::AppendLink, link),
            Self::Subscribe { chains, frontier } => {
                write_chains(&mut out, chains);
                frontier.encode(&mut out);
                Tag::Subscribe
            }
            Self::Append(envelope) => return frame::wrap(Tag::Append, envelope),
            Self::Bootstrap => Tag::Bootstrap,
            Self::Trim(record) => return frame::wrap(Tag::Trim, record),
            Self::AskBlobs(blobs) => {
                write_blobs(&mut out, blobs);
                Tag::AskBlobs
            }
            Self::DeleteBlobs(command) => {
                return frame::wrap(Tag::DeleteBlobs, &command.encode());
            }
            Self::MailboxOpen(purpose) => {
                out.u8(*purpose as u8);
                Tag::MailboxOpen
            }
            Self::MailboxJoin(nameplate) => {
                out.u32(*nameplate);
                Tag::MailboxJoin
            }
            Self::MailboxSend(message) => return frame::wrap(Tag::MailboxSend, message),
        };
        frame::wrap(tag, &out.finish())
    }

    /// Parses the content of a frame.
    ///
    /// # Errors
    /// [`Malformed`]; a relay's tag is [`Malformed::Kind`].
    pub fn parse(content: &[u8]) -> Result<Self, Malformed> {
        let (tag, body) = frame::split(content)?;
        let mut reader = Reader::new(body, "message of a client");
        let message = match tag {
            Tag::Login => return Ok(Self::Login(Login::decode(body)?)),
            Tag::Introduce => {
                let genesis = reader.bytes16(limits::GENESIS)?.to_vec();
                let credential = match reader.u8()? {
                    1 => Credential::Claim(reader.array()?),
                    2 => Credential::Permit(reader.array()?),
                    _ => return Err(Malformed::Value("credential")),
                };
                Self::Introduce {
                    genesis,
                    credential,
                }
            }
            Tag::AppendLink => {
                return bounded(body, limits::LINK, "party-chain link").map(Self::AppendLink);
            }
            Tag::Subscribe => Self::Subscribe {
                chains: read_chains(&mut reader)?,
                frontier: Frontier::decode(&mut reader)?,
            },
            Tag::Append => return bounded(body, limits::ENVELOPE, "envelope").map(Self::Append),
            Tag::Bootstrap => Self::Bootstrap,
            Tag::Trim => return bounded(body, limits::TRIM, "trim record").map(Self::Trim),
            Tag::AskBlobs => Self::AskBlobs(read_blobs(&mut reader)?),
            Tag::DeleteBlobs => return DeleteBlobs::parse(body).map(Self::DeleteBlobs),
            Tag::MailboxOpen => Self::MailboxOpen(Purpose::from_byte(reader.u8()?)?),
            Tag::MailboxJoin => Self::MailboxJoin(reader.u32()?),
            Tag::MailboxSend => {
                return bounded(body, limits::MAILBOX_MESSAGE, "mailbox message")
                    .map(Self::MailboxSend);
            }
            _ => return Err(Malformed::Kind("message of a client")),
        };
        reader.finish()?;
        Ok(message)
    }
}

/// Copies a body that is at most `limit` bytes long.
pub(crate) fn bounded(body: &[u8], limit: usize, what: &'static str) -> Result<Vec<u8>, Malformed> {
    if body.len() > limit {
        Err(Malformed::TooLarge(what))
    } else {
        Ok(body.to_vec())
    }
}
