//! Contents of SNAPSHOT and ENDORSE envelopes, and of the packs that hold a snapshot's
//! documents (protocol §2.10). This is the layout; what may be believed is decided by
//! `ajar-engine`.
//!
//! ```text
//! SNAPSHOT: u8 1 | i64 claimed_time_ms | head(lower) 32 | head(higher) 32 | previous snapshot 32
//!           | cover: u16 n { device 32, counter u64, envelope id 32 }
//!           | u16 n { device 32, counter u64, epoch id 32, number u64 }        retired epochs
//!           | u32 n { doc id 16 }                                              burned documents
//!           | u16 n { shelf u32, blob 32, key 32, salt 16, length u64, docs u32, digest 32 }
//! ENDORSE:  u8 1 | snapshot id 32 | signature 64     of the trim statement of that snapshot
//! pack:     u8 1 | u32 n { doc id 16, u16 n { head 32 }, length u32 } | the documents, saved
//! digest  = Hash("ajar/v1/pack-heads", for each document: doc id ‖ u16 n ‖ heads)
//! ```

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::frontier::Frontier;
use crate::id::{BlobId, DeviceId, DocId, EnvelopeId, EpochId, LinkHash, hash};
use crate::{label, limits};

const WHAT: &str = "snapshot";
const PACK: &str = "pack of a snapshot";

/// An epoch whose envelope and key are given up; later epochs may still name it as a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetiredEpoch {
    /// Author of the EPOCH envelope.
    pub device: DeviceId,
    /// Its place.
    pub counter: u64,
    /// The epoch.
    pub id: EpochId,
    /// Its number.
    pub number: u64,
}

/// Where a pack lies and what is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct PackRef {
    /// Shelf that its documents stand on; higher ones come first.
    pub shelf: u32,
    /// Its blob.
    pub blob: BlobId,
    /// Key of the blob. A secret: it only ever stands inside sealed content.
    pub key: [u8; 32],
    /// Salt of the blob.
    pub salt: [u8; 16],
    /// Length of its content in bytes, before padding.
    pub length: u64,
    /// Documents in it.
    pub docs: u32,
    /// Over its documents and their heads ([`pack_digest`]).
    pub digest: [u8; 32],
}

impl std::fmt::Debug for PackRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackRef")
            .field("shelf", &self.shelf)
            .field("blob", &self.blob)
            .field("docs", &self.docs)
            .finish_non_exhaustive()
    }
}

/// Content of a SNAPSHOT envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When, ms since 1970, as its author claims.
    pub claimed_time_ms: i64,
    /// Head of the lower party's chain.
    pub head_lower: LinkHash,
    /// Head of the higher party's chain, zero in a private space.
    pub head_higher: LinkHash,
    /// The snapshot before it, zero for the first.
    pub previous: EnvelopeId,
    /// Up to where it covers each device that has ever written.
    pub cover: Frontier,
    /// Epochs that are given up with it, ascending.
    pub retired: Vec<RetiredEpoch>,
    /// Documents that were burned, ascending.
    pub burned: Vec<DocId>,
    /// The documents, newest shelf first.
    pub packs: Vec<PackRef>,
}

impl Snapshot {
    /// Writes the content.
    ///
    /// # Errors
    /// [`Malformed`] when it is over a limit or not in order: what [`Self::decode`] would say.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        let too_large = |_| Malformed::TooLarge(WHAT);
        let mut out = Writer::with_capacity(1024 + self.packs.len() * 128 + self.burned.len() * 16);
        out.u8(1).i64(self.claimed_time_ms);
        out.raw(&self.head_lower.0)
            .raw(&self.head_higher.0)
            .raw(&self.previous.0);
        self.cover.encode(&mut out);
        out.u16(u16::try_from(self.retired.len()).map_err(too_large)?);
        for epoch in &self.retired {
            out.raw(&epoch.device.0).u64(epoch.counter);
            out.raw(&epoch.id.0).u64(epoch.number);
        }
        out.u32(u32::try_from(self.burned.len()).map_err(too_large)?);
        for doc in &self.burned {
            out.raw(&doc.0);
        }
        out.u16(u16::try_from(self.packs.len()).map_err(too_large)?);
        for pack in &self.packs {
            pack.encode(&mut out);
        }
        Ok(out.finish())
    }

    /// Reads the content.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let mut snapshot = Self {
            claimed_time_ms: reader.i64()?,
            head_lower: LinkHash(reader.array()?),
            head_higher: LinkHash(reader.array()?),
            previous: EnvelopeId(reader.array()?),
            cover: Frontier::decode(&mut reader)?,
            retired: Vec::new(),
            burned: Vec::new(),
            packs: Vec::new(),
        };
        for _ in 0..reader.u16()? {
            snapshot.retired.push(RetiredEpoch {
                device: DeviceId(reader.array()?),
                counter: reader.u64()?,
                id: EpochId(reader.array()?),
                number: reader.u64()?,
            });
        }
        for _ in 0..reader.u32()? {
            snapshot.burned.push(DocId(reader.array()?));
        }
        for _ in 0..reader.u16()? {
            snapshot.packs.push(PackRef::decode(&mut reader)?);
        }
        reader.finish()?;
        snapshot.check()?;
        Ok(snapshot)
    }

    /// One way only to say the same, and everything within its limit.
    fn check(&self) -> Result<(), Malformed> {
        if self.retired.len() > limits::RETIRED_EPOCHS
            || self.burned.len() > limits::BURNED_DOCS
            || self.packs.len() > limits::PACKS
        {
            return Err(Malformed::TooLarge(WHAT));
        }
        if !self.retired.is_sorted_by(|one, next| one < next)
            || !self.burned.is_sorted_by(|one, next| one < next)
            || !self.packs.is_sorted_by(|one, next| one.shelf >= next.shelf)
        {
            return Err(Malformed::Order(WHAT));
        }
        let whole = |pack: &PackRef| pack.docs > 0 && pack.length <= limits::BLOB_CONTENT;
        if !self.packs.iter().all(whole) {
            return Err(Malformed::Value(PACK));
        }
        Ok(())
    }
}

impl PackRef {
    /// Bytes of [`Self::encode`].
    pub const ENCODED: usize = 4 + 32 + 32 + 16 + 8 + 4 + 32;

    /// Writes the reference as it stands in a snapshot.
    pub fn encode(&self, out: &mut Writer) {
        out.u32(self.shelf).raw(&self.blob.0).raw(&self.key);
        out.raw(&self.salt).u64(self.length).u32(self.docs);
        out.raw(&self.digest);
    }

    /// Reads the reference.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            shelf: reader.u32()?,
            blob: BlobId(reader.array()?),
            key: reader.array()?,
            salt: reader.array()?,
            length: reader.u64()?,
            docs: reader.u32()?,
            digest: reader.array()?,
        })
    }
}

/// Content of an ENDORSE envelope: its author holds the same history as a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// Id of the SNAPSHOT envelope.
    pub snapshot: EnvelopeId,
    /// The author's signature of that snapshot's trim statement ([`crate::trim`]).
    pub signature: [u8; 64],
}

impl Endorsement {
    /// Writes the content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(97);
        out.u8(1).raw(&self.snapshot.0).raw(&self.signature);
        out.finish()
    }

    /// Reads the content.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, "endorsement");
        if reader.u8()? != 1 {
            return Err(Malformed::Version("endorsement"));
        }
        let endorsement = Self {
            snapshot: EnvelopeId(reader.array()?),
            signature: reader.array()?,
        };
        reader.finish()?;
        Ok(endorsement)
    }
}

/// One document of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedDoc<'a> {
    /// The document.
    pub doc: DocId,
    /// Its heads, ascending.
    pub heads: Vec<[u8; 32]>,
    /// Saved by Automerge, uncompressed.
    pub saved: &'a [u8],
}

/// What [`PackRef::digest`] is: over documents and heads, in the order of the pack.
#[must_use]
pub fn pack_digest<'a>(docs: impl Iterator<Item = (&'a DocId, &'a [[u8; 32]])>) -> [u8; 32] {
    let mut out = Writer::default();
    for (doc, heads) in docs {
        out.raw(&doc.0);
        out.u16(u16::try_from(heads.len()).unwrap_or(u16::MAX));
        for head in heads {
            out.raw(head);
        }
    }
    hash(label::PACK_HEADS, &[out.so_far()])
}

/// Writes a pack. Documents ascend by id.
///
/// # Errors
/// [`Malformed`] when something is over its limit.
pub fn encode_pack(docs: &[PackedDoc<'_>]) -> Result<Vec<u8>, Malformed> {
    let too_large = |_| Malformed::TooLarge(PACK);
    let mut out = Writer::default();
    out.u8(1).u32(u32::try_from(docs.len()).map_err(too_large)?);
    for doc in docs {
        if doc.heads.len() > limits::HEADS_PER_DOC {
            return Err(Malformed::TooLarge(PACK));
        }
        out.raw(&doc.doc.0);
        out.u16(u16::try_from(doc.heads.len()).map_err(too_large)?);
        for head in &doc.heads {
            out.raw(head);
        }
        out.u32(u32::try_from(doc.saved.len()).map_err(too_large)?);
    }
    for doc in docs {
        out.raw(doc.saved);
    }
    Ok(out.finish())
}

/// Reads a pack.
///
/// # Errors
/// [`Malformed`].
pub fn decode_pack(bytes: &[u8]) -> Result<Vec<PackedDoc<'_>>, Malformed> {
    let mut reader = Reader::new(bytes, PACK);
    if reader.u8()? != 1 {
        return Err(Malformed::Version(PACK));
    }
    let n = reader.u32()? as usize;
    // A row has at least 22 bytes.
    if n > reader.remaining() / 22 {
        return Err(Malformed::Truncated(PACK));
    }
    let mut rows: Vec<(DocId, Vec<[u8; 32]>, usize)> = Vec::with_capacity(n);
    for _ in 0..n {
        let doc = DocId(reader.array()?);
        if rows.last().is_some_and(|(last, ..)| *last >= doc) {
            return Err(Malformed::Order(PACK));
        }
        let count = usize::from(reader.u16()?);
        if count == 0 || count > limits::HEADS_PER_DOC {
            return Err(Malformed::TooLarge(PACK));
        }
        let heads = (0..count).map(|_| reader.array());
        let heads = heads.collect::<Result<Vec<[u8; 32]>, _>>()?;
        if !heads.is_sorted_by(|one, next| one < next) {
            return Err(Malformed::Order(PACK));
        }
        rows.push((doc, heads, reader.u32()? as usize));
    }
    let mut docs = Vec::with_capacity(n);
    for (doc, heads, length) in rows {
        let saved = reader.take(length)?;
        docs.push(PackedDoc { doc, heads, saved });
    }
    reader.finish()?;
    Ok(docs)
}

#[cfg(test)]
mod tests {
    use crate::frontier::Position;

    use super::*;

    fn snapshot() -> Snapshot {
        let device = DeviceId([1; 32]);
        let position = Position {
            counter: 7,
            id: EnvelopeId([2; 32]),
        };
        let pack = |shelf| PackRef {
            shelf,
            blob: BlobId([3; 32]),
            key: [4; 32],
            salt: [5; 16],
            length: 1000,
            docs: 2,
            digest: [6; 32],
        };
        Snapshot {
            claimed_time_ms: 1_767_225_600_000,
            head_lower: LinkHash([7; 32]),
            head_higher: LinkHash([8; 32]),
            previous: EnvelopeId([9; 32]),
            cover: [(device, position)].into_iter().collect(),
            retired: vec![RetiredEpoch {
                device,
                counter: 1,
                id: EpochId([10; 32]),
                number: 1,
            }],
            burned: vec![DocId([1; 16]), DocId([2; 16])],
            packs: vec![pack(24_300), pack(24_300), pack(24_299)],
        }
    }

    #[test]
    fn a_snapshot_is_the_same_after_its_bytes_and_no_part_of_it_can_be_missing() {
        let bytes = snapshot().encode().unwrap();
        assert_eq!(Snapshot::decode(&bytes), Ok(snapshot()));
        for length in 0..bytes.len() {
            assert!(Snapshot::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Snapshot::decode(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn shelves_burned_documents_and_epochs_have_one_order() {
        let mut shelves = snapshot();
        shelves.packs.reverse();
        let mut burned = snapshot();
        burned.burned.reverse();
        let mut twice = snapshot();
        twice.burned = vec![DocId([1; 16]); 2];
        for wrong in [shelves, burned, twice] {
            assert!(matches!(wrong.encode(), Err(Malformed::Order(_))));
        }
    }

    #[test]
    fn an_empty_pack_or_one_that_is_too_long_is_refused() {
        let mut empty = snapshot();
        empty.packs[0].docs = 0;
        let mut long = snapshot();
        long.packs[0].length = limits::BLOB_CONTENT + 1;
        for wrong in [empty, long] {
            assert!(wrong.encode().is_err());
        }
    }

    #[test]
    fn the_key_of_a_pack_is_not_in_what_a_log_would_show() {
        assert!(!format!("{:?}", snapshot()).contains("4, 4"));
    }

    #[test]
    fn a_pack_is_the_same_after_its_bytes_and_promises_nothing_it_does_not_hold() {
        let docs = [
            PackedDoc {
                doc: DocId([1; 16]),
                heads: vec![[1; 32], [2; 32]],
                saved: b"one",
            },
            PackedDoc {
                doc: DocId([2; 16]),
                heads: vec![[3; 32]],
                saved: b"",
            },
        ];
        let bytes = encode_pack(&docs).unwrap();
        assert_eq!(decode_pack(&bytes).unwrap(), docs);
        for length in 0..bytes.len() {
            assert!(decode_pack(&bytes[..length]).is_err(), "{length}");
        }
        assert!(decode_pack(&[bytes.clone(), vec![0]].concat()).is_err());
        let mut many = bytes;
        many[1..5].fill(0xff);
        assert!(decode_pack(&many).is_err());
    }

    #[test]
    fn the_digest_depends_on_every_document_and_head() {
        let (one, two) = (DocId([1; 16]), DocId([2; 16]));
        let (head, other) = ([[1; 32]], [[2; 32]]);
        let digest = |rows: &[(&DocId, &[[u8; 32]])]| pack_digest(rows.iter().copied());
        let whole = digest(&[(&one, &head), (&two, &other)]);
        for different in [
            digest(&[(&one, &head)]),
            digest(&[(&one, &other), (&two, &head)]),
            digest(&[(&two, &head), (&two, &other)]),
        ] {
            assert_ne!(whole, different);
        }
    }

    #[test]
    fn an_endorsement_is_the_same_after_its_bytes() {
        let endorsement = Endorsement {
            snapshot: EnvelopeId([1; 32]),
            signature: [2; 64],
        };
        let bytes = endorsement.encode();
        assert_eq!(Endorsement::decode(&bytes), Ok(endorsement));
        for length in 0..bytes.len() {
            assert!(Endorsement::decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
