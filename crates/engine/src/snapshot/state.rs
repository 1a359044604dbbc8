//! What a replica remembers of snapshots, of what it has given up, and of what was burned.

use std::collections::{BTreeMap, BTreeSet};

use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{PackRef, RetiredEpoch};
use ajar_protocol::{BlobId, DeviceId, DocId, EnvelopeId, EpochId, Frontier};

use crate::burning::Burning;
use crate::store::{Batch, Key};

const WHAT: &str = "state of snapshots";

/// Where a snapshot of somebody stands with this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// Not compared yet.
    New = 0,
    /// Compared and found the same; not endorsed yet.
    Same = 1,
    /// Endorsed, or our own.
    Endorsed = 2,
    /// Another history.
    Differs = 3,
}

impl Standing {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            0 => Self::New,
            1 => Self::Same,
            2 => Self::Endorsed,
            3 => Self::Differs,
            _ => return Err(Malformed::Value(WHAT)),
        })
    }
}

/// A SNAPSHOT that has come, or was made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) name: EnvelopeName,
    /// Up to where it covers each device.
    pub(crate) cover: Frontier,
    /// When it came, in ms since 1970 by this device's clock.
    pub(crate) seen_ms: i64,
    pub(crate) standing: Standing,
    /// Devices that endorse it, with their signatures of its statement.
    pub(crate) endorsed: Vec<(DeviceId, [u8; 64])>,
}

/// A pack of the snapshot that new ones build on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BasePack {
    /// Names it in the rows of its documents; never used twice.
    pub(crate) number: u32,
    pub(crate) pack: PackRef,
    /// Bytes of changes of its documents when it was packed, or as it holds them.
    pub(crate) bytes: u64,
    /// A document in it has changed since.
    pub(crate) dirty: bool,
}

/// The last snapshot that this device made, checked or began from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// Its envelope; zero before there was any.
    pub(crate) id: EnvelopeId,
    pub(crate) cover: Frontier,
    pub(crate) packs: Vec<BasePack>,
    /// Documents that came before this place are all in packs.
    pub(crate) place: u32,
    /// Number of the next pack.
    pub(crate) next: u32,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            id: EnvelopeId::ZERO,
            cover: Frontier::default(),
            packs: Vec::new(),
            place: 0,
            next: 0,
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// Envelopes of each device up to here are not kept, except EPOCHs.
    pub(crate) floors: Frontier,
    /// The trim record behind the floors, as a relay needs it; empty for none.
    pub(crate) trim: Vec<u8>,
    /// Epochs that were given up and that others may name as parents.
    pub(crate) retired: Vec<RetiredEpoch>,
    /// Envelopes, `from..=to`, that are still to be deleted.
    pub(crate) sweep: Vec<(DeviceId, u64, u64)>,
    /// Dead records must be erased from the disk.
    pub(crate) scrub: bool,
    /// The person lets the partner's devices alone vouch for the past.
    pub(crate) trusts_partner: bool,
    pub(crate) seen: Vec<Seen>,
    /// Packs that newer snapshots do without, until the log is given up to one of those.
    pub(crate) obsolete: Vec<BlobId>,
    pub(crate) burns: Vec<Burning>,
    /// Documents of ours that the partner asked to burn.
    pub(crate) requests: BTreeSet<DocId>,
    /// Common documents that one party has burned: the place of that party.
    pub(crate) votes: BTreeMap<DocId, u8>,
    pub(crate) burned: BTreeSet<DocId>,
    pub(crate) base: Base,
    changed: Changed,
}

/// Which of the three records differ from the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changed {
    state: bool,
    base: bool,
    burned: bool,
}

impl Folded {
    /// The state will be written with the next commit.
    pub(crate) fn touch(&mut self) {
        self.changed.state = true;
    }

    pub(crate) fn touch_base(&mut self) {
        self.changed.base = true;
    }

    pub(crate) fn touch_burned(&mut self) {
        self.changed.burned = true;
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.changed == Changed::default()
    }

    /// Puts what has changed into a batch.
    pub(crate) fn save(&mut self, batch: &mut Batch) {
        let changed = std::mem::take(&mut self.changed);
        if changed.state {
            batch.put(Key::Folded, self.encode());
        }
        if changed.base {
            batch.put(Key::Base, self.base.encode());
        }
        if changed.burned {
            let burned: Vec<DocId> = self.burned.iter().copied().collect();
            batch.put(Key::Burned, super::encode_docs(&burned));
        }
    }

    /// Whether an envelope is one that is not kept any more.
    pub(crate) fn is_folded(&self, device: &DeviceId, counter: u64) -> bool {
        counter <= self.floors.counter(device)
    }

    fn encode(&self) -> Vec<u8> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut out = Writer::default();
        out.u8(1);
        self.floors.encode(&mut out);
        out.bytes32(&self.trim).u32(count(self.retired.len()));
        for epoch in &self.retired {
            out.raw(&epoch.device.0).u64(epoch.counter);
            out.raw(&epoch.id.0).u64(epoch.number);
        }
        out.u32(count(self.sweep.len()));
        for (device, from, to) in &self.sweep {
            out.raw(&device.0).u64(*from).u64(*to);
        }
        out.u8(u8::from(self.scrub))
            .u8(u8::from(self.trusts_partner));
        out.u32(count(self.seen.len()));
        for seen in &self.seen {
            write_name(&mut out, &seen.name);
            seen.cover.encode(&mut out);
            out.i64(seen.seen_ms).u8(seen.standing as u8);
            out.u32(count(seen.endorsed.len()));
            for (device, signature) in &seen.endorsed {
                out.raw(&device.0).raw(signature);
            }
        }
        out.u32(count(self.obsolete.len()));
        for blob in &self.obsolete {
            out.raw(&blob.0);
        }
        out.u32(count(self.burns.len()));
        for burn in &self.burns {
            burn.encode(&mut out);
        }
        out.u32(count(self.requests.len()));
        for doc in &self.requests {
            out.raw(&doc.0);
        }
        out.u32(count(self.votes.len()));
        for (doc, place) in &self.votes {
            out.raw(&doc.0).u8(*place);
        }
        out.finish()
    }

    /// Reads the three records; each may be missing.
    pub(crate) fn decode(
        state: Option<Vec<u8>>,
        base: Option<Vec<u8>>,
        burned: Option<Vec<u8>>,
    ) -> Result<Self, Malformed> {
        let mut folded = match state {
            Some(bytes) => Self::decode_state(&bytes)?,
            None => Self::default(),
        };
        if let Some(bytes) = base {
            folded.base = Base::decode(&bytes)?;
        }
        if let Some(bytes) = burned {
            folded.burned = super::decode_docs(&bytes)?.into_iter().collect();
        }
        Ok(folded)
    }

    fn decode_state(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let mut folded = Self {
            floors: Frontier::decode(&mut reader)?,
            trim: reader.bytes32(usize::MAX)?.to_vec(),
            ..Self::default()
        };
        for _ in 0..reader.u32()? {
            folded.retired.push(RetiredEpoch {
                device: DeviceId(reader.array()?),
                counter: reader.u64()?,
                id: EpochId(reader.array()?),
                number: reader.u64()?,
            });
        }
        for _ in 0..reader.u32()? {
            let device = DeviceId(reader.array()?);
            folded.sweep.push((device, reader.u64()?, reader.u64()?));
        }
        folded.scrub = reader.u8()? != 0;
        folded.trusts_partner = reader.u8()? != 0;
        for _ in 0..reader.u32()? {
            let mut seen = Seen {
                name: read_name(&mut reader)?,
                cover: Frontier::decode(&mut reader)?,
                seen_ms: reader.i64()?,
                standing: Standing::from_byte(reader.u8()?)?,
                endorsed: Vec::new(),
            };
            for _ in 0..reader.u32()? {
                seen.endorsed
                    .push((DeviceId(reader.array()?), reader.array()?));
            }
            folded.seen.push(seen);
        }
        for _ in 0..reader.u32()? {
            folded.obsolete.push(BlobId(reader.array()?));
        }
        for _ in 0..reader.u32()? {
            folded.burns.push(Burning::decode(&mut reader)?);
        }
        for _ in 0..reader.u32()? {
            folded.requests.insert(DocId(reader.array()?));
        }
        for _ in 0..reader.u32()? {
            folded.votes.insert(DocId(reader.array()?), reader.u8()?);
        }
        reader.finish()?;
        Ok(folded)
    }
}

impl Base {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(256 + self.packs.len() * (PackRef::ENCODED + 13));
        out.u8(1).raw(&self.id.0);
        self.cover.encode(&mut out);
        out.u32(self.place).u32(self.next);
        out.u32(u32::try_from(self.packs.len()).unwrap_or(u32::MAX));
        for pack in &self.packs {
            out.u32(pack.number).u8(u8::from(pack.dirty));
            out.u64(pack.bytes);
            pack.pack.encode(&mut out);
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let mut base = Self {
            id: EnvelopeId(reader.array()?),
            cover: Frontier::decode(&mut reader)?,
            place: reader.u32()?,
            next: reader.u32()?,
            packs: Vec::new(),
        };
        for _ in 0..reader.u32()? {
            base.packs.push(BasePack {
                number: reader.u32()?,
                dirty: reader.u8()? != 0,
                bytes: reader.u64()?,
                pack: PackRef::decode(&mut reader)?,
            });
        }
        reader.finish()?;
        Ok(base)
    }

    /// Number for a new pack.
    pub(crate) fn number(&mut self) -> u32 {
        // 0 says that a document is in no pack.
        self.next = self.next.saturating_add(1);
        self.next
    }

    pub(crate) fn pack(&self, blob: &BlobId) -> Option<&BasePack> {
        self.packs.iter().find(|pack| pack.pack.blob == *blob)
    }
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
