//! Blobs between a device and its relay (protocol §2.12): each transfer has a stream of its own
//! within the connection of a member. The first frame of each side is one of these; the bytes
//! of the blob follow it bare, up to the end of the stream.
//!
//! ```text
//! put:    client BlobPut{blob 32, length u64}      relay BlobFrom{offset u64}: what it holds already
//!         client bytes from there, end of stream   relay BlobStored
//! get:    client BlobGet{blob 32, offset u64}      relay BlobIs{length u64}, bytes from offset, end
//! either: relay Refused{reason}
//! ```

use ed25519_dalek::{Signer, SigningKey};

use crate::chain::PartyChain;
use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::frame::{self, Tag};
use crate::id::{BlobId, DeviceId, SpaceId, hash};
use crate::keys::{signed_message, verify};
use crate::relay_msg::{Refusal, RelayMsg};
use crate::{label, limits};

const WHAT: &str = "message about a blob";

/// What a client asks on a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobRequest {
    /// `blob 32 | length u64`: store this one.
    Put {
        /// Its id.
        blob: BlobId,
        /// Length of its ciphertext in bytes, 1 to [`limits::BLOB`].
        length: u64,
    },
    /// `blob 32 | offset u64`: send this one.
    Get {
        /// Its id.
        blob: BlobId,
        /// How much of it is there already, in bytes.
        offset: u64,
    },
}

/// What a relay answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobReply {
    /// `offset u64`: send from here on; all of it when that is the length.
    From(u64),
    /// It is durable.
    Stored,
    /// `length u64`: this is how long the whole is; the bytes from the offset follow.
    Is(u64),
    /// `u8 reason`.
    Refused(Refusal),
}

impl BlobRequest {
    /// The message as a frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(40);
        let tag = match self {
            Self::Put { blob, length } => {
                out.raw(&blob.0).u64(*length);
                Tag::BlobPut
            }
            Self::Get { blob, offset } => {
                out.raw(&blob.0).u64(*offset);
                Tag::BlobGet
            }
        };
        frame::wrap(tag, &out.finish())
    }

    /// Parses the content of a frame.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(content: &[u8]) -> Result<Self, Malformed> {
        let (tag, body) = frame::split(content)?;
        let mut reader = Reader::new(body, WHAT);
        let blob = BlobId(reader.array()?);
        let number = reader.u64()?;
        let too_long = number > limits::BLOB;
        reader.finish()?;
        match tag {
            Tag::BlobPut if too_long || number == 0 => Err(Malformed::TooLarge(WHAT)),
            Tag::BlobGet if too_long => Err(Malformed::TooLarge(WHAT)),
            Tag::BlobPut => Ok(Self::Put {
                blob,
                length: number,
            }),
            Tag::BlobGet => Ok(Self::Get {
                blob,
                offset: number,
            }),
            _ => Err(Malformed::Kind(WHAT)),
        }
    }
}

impl BlobReply {
    /// Longest frame of a reply, in bytes.
    pub const LONGEST: usize = frame::LENGTH + 1 + 8;

    /// The message as a frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(8);
        let tag = match self {
            Self::From(offset) => {
                out.u64(*offset);
                Tag::BlobFrom
            }
            Self::Stored => Tag::BlobStored,
            Self::Is(length) => {
                out.u64(*length);
                Tag::BlobIs
            }
            Self::Refused(reason) => return RelayMsg::Refused(*reason).to_frame(),
        };
        frame::wrap(tag, &out.finish())
    }

    /// Parses the content of a frame.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(content: &[u8]) -> Result<Self, Malformed> {
        let (tag, body) = frame::split(content)?;
        let mut reader = Reader::new(body, WHAT);
        let reply = match tag {
            Tag::BlobFrom => Self::From(reader.u64()?),
            Tag::BlobStored => Self::Stored,
            Tag::BlobIs => Self::Is(reader.u64()?),
            Tag::Refused => match RelayMsg::parse(content)? {
                RelayMsg::Refused(reason) => return Ok(Self::Refused(reason)),
                _ => return Err(Malformed::Kind(WHAT)),
            },
            _ => return Err(Malformed::Kind(WHAT)),
        };
        reader.finish()?;
        match reply {
            Self::From(n) | Self::Is(n) if n > limits::BLOB => Err(Malformed::TooLarge(WHAT)),
            reply => Ok(reply),
        }
    }
}

/// A signed command to delete blobs.
///
/// ```text
/// u8 1 | space 32 | device 32 | u16 n { blob 32 } | signature 64
/// signature = Sign(sign_sk, "ajar/v1/relay-cmd", Hash("ajar/v1/delete-blobs", all before))
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteBlobs {
    /// The space.
    pub space: SpaceId,
    /// Who says so.
    pub device: DeviceId,
    /// The blobs, ascending.
    pub blobs: Vec<BlobId>,
    /// Signature of the device.
    pub signature: [u8; 64],
}

impl DeleteBlobs {
    /// What the device signs with its envelope key.
    #[must_use]
    pub fn hash_of(space: &SpaceId, device: &DeviceId, blobs: &[BlobId]) -> [u8; 32] {
        hash(label::DELETE_BLOBS, &[&Self::body(space, device, blobs)])
    }

    /// Signs a command. For tests and tools; devices sign with their own secrets.
    #[must_use]
    pub fn sign(
        space: SpaceId,
        device: DeviceId,
        mut blobs: Vec<BlobId>,
        key: &SigningKey,
    ) -> Self {
        blobs.sort_unstable();
        blobs.dedup();
        let hash = Self::hash_of(&space, &device, &blobs);
        let signature = key
            .sign(&signed_message(label::RELAY_CMD, &hash))
            .to_bytes();
        Self {
            space,
            device,
            blobs,
            signature,
        }
    }

    fn body(space: &SpaceId, device: &DeviceId, blobs: &[BlobId]) -> Vec<u8> {
        let mut out = Writer::with_capacity(67 + blobs.len() * 32);
        out.u8(1).raw(&space.0).raw(&device.0);
        out.u16(u16::try_from(blobs.len()).unwrap_or(u16::MAX));
        for blob in blobs {
            out.raw(&blob.0);
        }
        out.finish()
    }

    /// The command as sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Self::body(&self.space, &self.device, &self.blobs);
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads what [`Self::encode`] wrote; the signature is not checked.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let (space, device) = (SpaceId(reader.array()?), DeviceId(reader.array()?));
        let blobs = read_blobs(&mut reader)?;
        let signature = reader.array()?;
        reader.finish()?;
        Ok(Self {
            space,
            device,
            blobs,
            signature,
        })
    }

    /// Checks that an active device of one of the chains signed this for this space; returns
    /// the place of its party.
    ///
    /// # Errors
    /// [`Malformed::Value`], [`Malformed::Signature`].
    pub fn verify(&self, space: &SpaceId, chains: &[&PartyChain]) -> Result<usize, Malformed> {
        if self.space != *space {
            return Err(Malformed::Value("space of a deletion"));
        }
        let mut all = chains.iter().enumerate();
        let signer = all.find_map(|(place, chain)| Some((place, chain.device(&self.device)?)));
        let active = signer.filter(|(_, device)| device.revoked.is_none());
        let (place, device) = active.ok_or(Malformed::Value("signer of a deletion"))?;
        let hash = Self::hash_of(&self.space, &self.device, &self.blobs);
        let key = &device.keys.sign;
        verify(key, label::RELAY_CMD, &hash, &self.signature, WHAT)?;
        Ok(place)
    }
}

/// Writes `u16 n { blob 32 }`.
pub(crate) fn write_blobs(out: &mut Writer, blobs: &[BlobId]) {
    out.u16(u16::try_from(blobs.len()).unwrap_or(u16::MAX));
    for blob in blobs {
        out.raw(&blob.0);
    }
}

/// Reads what [`write_blobs`] wrote: ascending, within the limit of one message.
pub(crate) fn read_blobs(reader: &mut Reader<'_>) -> Result<Vec<BlobId>, Malformed> {
    let n = usize::from(reader.u16()?);
    if n > limits::BLOBS_PER_MESSAGE {
        return Err(Malformed::TooLarge(WHAT));
    }
    let mut blobs: Vec<BlobId> = Vec::with_capacity(n);
    for _ in 0..n {
        let blob = BlobId(reader.array()?);
        if blobs.last().is_some_and(|last| *last >= blob) {
            return Err(Malformed::Order(WHAT));
        }
        blobs.push(blob);
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(frame: &[u8]) -> &[u8] {
        &frame[frame::LENGTH..]
    }

    #[test]
    fn requests_and_replies_survive_their_frames() {
        let blob = BlobId([1; 32]);
        for request in [
            BlobRequest::Put { blob, length: 1 },
            BlobRequest::Put {
                blob,
                length: limits::BLOB,
            },
            BlobRequest::Get { blob, offset: 0 },
        ] {
            assert_eq!(
                BlobRequest::parse(content(&request.to_frame())),
                Ok(request)
            );
        }
        for reply in [
            BlobReply::From(5),
            BlobReply::Stored,
            BlobReply::Is(limits::BLOB),
            BlobReply::Refused(Refusal::NoBlob),
        ] {
            let frame = reply.to_frame();
            assert!(frame.len() <= BlobReply::LONGEST);
            assert_eq!(BlobReply::parse(content(&frame)), Ok(reply));
        }
    }

    #[test]
    fn an_empty_blob_and_one_over_the_limit_are_refused() {
        let blob = BlobId([1; 32]);
        for length in [0, limits::BLOB + 1, u64::MAX] {
            let put = BlobRequest::Put { blob, length };
            assert!(BlobRequest::parse(content(&put.to_frame())).is_err());
        }
        let get = BlobRequest::Get {
            blob,
            offset: limits::BLOB + 1,
        };
        assert!(BlobRequest::parse(content(&get.to_frame())).is_err());
        let is = BlobReply::Is(limits::BLOB + 1);
        assert!(BlobReply::parse(content(&is.to_frame())).is_err());
    }

    #[test]
    fn a_deletion_is_the_same_after_its_bytes_and_names_nothing_twice() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let blobs = vec![BlobId([2; 32]), BlobId([1; 32]), BlobId([2; 32])];
        let command = DeleteBlobs::sign(SpaceId([1; 32]), DeviceId([2; 32]), blobs, &key);
        assert_eq!(command.blobs.len(), 2);
        let bytes = command.encode();
        assert_eq!(DeleteBlobs::parse(&bytes), Ok(command.clone()));
        for length in 0..bytes.len() {
            assert!(DeleteBlobs::parse(&bytes[..length]).is_err(), "{length}");
        }
        let mut twice = command;
        twice.blobs = vec![BlobId([1; 32]); 2];
        assert!(DeleteBlobs::parse(&twice.encode()).is_err());
    }
}
