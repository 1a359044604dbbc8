//! Plaintext of CHANGES envelopes, before padding and sealing (protocol §2.4).
//!
//! ```text
//! u8 pver=1 | u8 comp (0 none, 1 zstd of all that follows) | i64 claimed_time_ms or 0
//! u8 n_ack   { device 32, counter u64, envelope id 32 }
//! u16 n_docs (≤ 64) { doc id 16, u32 incarnation, u16 n_changes (≤ 256) { u32 len, change } }
//! ```
//!
//! This module reads and writes the layout; who may write what is decided by `ajar-engine`.
//! Compression is applied by the engine to everything after the second byte.

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::frontier::Position;
use crate::id::{DeviceId, DocId, EnvelopeId};
use crate::limits;

const WHAT: &str = "content of an envelope";

/// How the part after the second byte is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// As it is.
    None = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// Changes of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocChanges {
    /// The document.
    pub doc: DocId,
    /// Incarnation of the author's actor: raised when a device starts over.
    pub incarnation: u32,
    /// Raw, uncompressed Automerge change chunks, in the author's order.
    pub changes: Vec<Vec<u8>>,
}

/// Content of one CHANGES envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Time its author claims, in ms since 1970, 0 for none.
    pub claimed_time_ms: i64,
    /// What the author had from other devices, where that changed since the author's
    /// previous envelope.
    pub acks: Vec<(DeviceId, Position)>,
    /// Changes by document.
    pub docs: Vec<DocChanges>,
}

/// Splits the two leading bytes from the part that may be compressed.
///
/// # Errors
/// [`Malformed`] for an unknown version or compression.
pub fn split(plaintext: &[u8]) -> Result<(Compression, &[u8]), Malformed> {
    let mut reader = Reader::new(plaintext, WHAT);
    if reader.u8()? != 1 {
        return Err(Malformed::Version(WHAT));
    }
    let compression = match reader.u8()? {
        0 => Compression::None,
        1 => Compression::Zstd,
        _ => return Err(Malformed::Kind(WHAT)),
    };
    let rest = reader.take(reader.remaining())?;
    Ok((compression, rest))
}

/// Joins the two leading bytes with the (compressed) rest.
#[must_use]
pub fn join(compression: Compression, rest: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(rest.len() + 2);
    out.u8(1).u8(compression as u8).raw(rest);
    out.finish()
}

impl Changes {
    /// Writes everything after the two leading bytes.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`] when a count or the total is over its limit; otherwise what
    /// [`Self::decode`] would say to the result.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let too_large = Malformed::TooLarge(WHAT);
        self.check()?;
        if self.acks.len() > limits::ACKS_PER_ENVELOPE
            || self.docs.len() > limits::DOCS_PER_ENVELOPE
        {
            return Err(too_large);
        }
        let mut out = Writer::default();
        out.i64(self.claimed_time_ms);
        out.u8(u8::try_from(self.acks.len()).map_err(|_| too_large)?);
        for (device, position) in &self.acks {
            out.raw(&device.0).u64(position.counter).raw(&position.id.0);
        }
        out.u16(u16::try_from(self.docs.len()).map_err(|_| too_large)?);
        for doc in &self.docs {
            if doc.changes.len() > limits::CHANGES_PER_DOC {
                return Err(too_large);
            }
            out.raw(&doc.doc.0).u32(doc.incarnation);
            out.u16(u16::try_from(doc.changes.len()).map_err(|_| too_large)?);
            for change in &doc.changes {
                out.bytes32(change);
            }
        }
        let bytes = out.finish();
        if bytes.len() > limits::CHANGES_PLAINTEXT {
            Err(too_large)
        } else {
            Ok(bytes)
        }
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(rest: &[u8]) -> Result<Self, Malformed> {
        if rest.len() > limits::CHANGES_PLAINTEXT {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut reader = Reader::new(rest, WHAT);
        let claimed_time_ms = reader.i64()?;
        let n = usize::from(reader.u8()?);
        if n > limits::ACKS_PER_ENVELOPE {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut acks: Vec<(DeviceId, Position)> = Vec::with_capacity(n);
        for _ in 0..n {
            let device = DeviceId(reader.array()?);
            let counter = reader.u64()?;
            acks.push((
                device,
                Position {
                    counter,
                    id: EnvelopeId(reader.array()?),
                },
            ));
        }
        let n = usize::from(reader.u16()?);
        if n > limits::DOCS_PER_ENVELOPE {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut docs: Vec<DocChanges> = Vec::with_capacity(n);
        for _ in 0..n {
            let doc = DocId(reader.array()?);
            let incarnation = reader.u32()?;
            let m = usize::from(reader.u16()?);
            if m > limits::CHANGES_PER_DOC {
                return Err(Malformed::TooLarge(WHAT));
            }
            let mut changes = Vec::with_capacity(m);
            for _ in 0..m {
                changes.push(reader.bytes32(limits::CHANGES_PLAINTEXT)?.to_vec());
            }
            docs.push(DocChanges {
                doc,
                incarnation,
                changes,
            });
        }
        reader.finish()?;
        let changes = Self {
            claimed_time_ms,
            acks,
            docs,
        };
        changes.check()?;
        Ok(changes)
    }

    /// One way only to say the same: ascending, no row that says nothing.
    fn check(&self) -> Result<(), Malformed> {
        if !self.acks.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Malformed::Order("acknowledgements"));
        }
        if !self.docs.is_sorted_by(|one, next| one.doc < next.doc) {
            return Err(Malformed::Order("documents of an envelope"));
        }
        if self.acks.iter().any(|(_, position)| position.counter == 0) {
            return Err(Malformed::Value("acknowledgement"));
        }
        if self.docs.iter().any(|doc| doc.changes.is_empty()) {
            return Err(Malformed::Value("document without a change"));
        }
        Ok(())
    }
}
