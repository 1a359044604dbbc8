//! What people and third persons can compare (protocol §2.11): words over how far this replica
//! is, and the pairs of signed statements that contradict each other.

use ajar_crypto::words::sync_words;
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::link::{Cutoff, DevicePublic, Link, LinkBody};
use ajar_protocol::{DeviceId, Envelope, EnvelopeId, Frontier, PartyChain, PartyId, limits};

use crate::error::EngineError;
use crate::replica::Replica;
use crate::store::{Key, Store};

/// Pieces of evidence that are kept.
const KEPT: u32 = 64;
/// First byte of a record that holds both statements. One that begins with another byte is a
/// single envelope, as earlier versions kept it.
const PAIR: u8 = 2;

/// In what two signed statements contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// Two different ones stand at this place: counter of envelopes, number of links.
    SamePlace(u64),
    /// The one at this place names another one before it than the one that stands there.
    OtherBefore(u64),
    /// A link that removed the device names another envelope at this counter.
    OtherCutoff(u64),
}

/// One signed statement: an envelope or a link, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// All of its bytes; the last 64 are the signature.
    pub bytes: Vec<u8>,
    /// Whether it is a link.
    pub is_link: bool,
    /// Its place: counter of an envelope, number of a link.
    pub place: u64,
    /// Its id or hash, over which the signature goes.
    pub id: [u8; 32],
    /// Id of the one before it.
    pub before: [u8; 32],
    /// Id of the device or root key that signed.
    pub signer: [u8; 32],
    /// The Ed25519 key that signed.
    pub key: [u8; 32],
    /// All public keys of that device, unless the twelve words signed.
    pub device: Option<DevicePublic>,
}

/// Two statements that an honest signer never makes both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Whose devices or words signed.
    pub party: PartyId,
    /// In what they contradict each other.
    pub contradiction: Contradiction,
    /// The one that was here, and the one that came.
    pub statements: [Statement; 2],
    /// The party's links as far as they are known here: they say whose keys these are.
    pub chain: Vec<Vec<u8>>,
}

fn encode_pair(here: &[u8], came: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(9 + here.len() + came.len());
    out.u8(PAIR).bytes32(here).bytes32(came);
    out.finish()
}

fn decode_pair(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
    let mut reader = Reader::new(bytes, "evidence");
    if reader.u8()? != PAIR {
        return Err(Malformed::Version("evidence"));
    }
    let here = reader.bytes32(limits::ENVELOPE)?.to_vec();
    let came = reader.bytes32(limits::ENVELOPE)?.to_vec();
    reader.finish()?;
    Ok((here, came))
}

/// What a link says of the last envelope of a device.
fn cutoff_in<'a>(link: &'a Link, device: &DeviceId) -> Option<&'a Cutoff> {
    match &link.body {
        LinkBody::DeviceRevoke(cutoff) | LinkBody::RevokeAmend(cutoff) => {
            (cutoff.device == *device).then_some(cutoff)
        }
        LinkBody::Recover { revoked, .. } => revoked.iter().find(|c| c.device == *device),
        _ => None,
    }
}

impl<S: Store> Replica<S> {
    /// Four words over the membership and how far every device's envelopes are known: the same
    /// on two devices exactly when both hold the same history.
    ///
    /// # Errors
    /// [`EngineError::Bug`] without a membership.
    pub fn sync_words(&self) -> Result<[&'static str; 4], EngineError> {
        let mut state = Writer::default();
        state.raw(&self.space.mhead()?);
        let rows = self.progress.frontier.rows();
        // A device that no chain names does not count, wherever a trace of it is left.
        let rows = rows.filter(|(device, _)| self.space.device(device).is_some());
        let frontier: Frontier = rows.map(|(device, last)| (*device, *last)).collect();
        frontier.encode(&mut state);
        Ok(sync_words(&state.finish()))
    }

    /// The kept evidence, oldest first. What lacks its counterpart proves nothing and is left
    /// out.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn evidence(&mut self) -> Result<Vec<Evidence>, EngineError> {
        let mut all = Vec::new();
        for number in 0..self.meta.evidence {
            let Some(record) = self.store.load(&Key::Evidence(number))? else {
                continue;
            };
            let pair = match record.first() {
                Some(&PAIR) => {
                    let pair = decode_pair(&record);
                    Some(pair.map_err(|_| EngineError::Damaged("evidence"))?)
                }
                _ => self
                    .counterpart(&record)?
                    .map(|here| (here, record.to_vec())),
            };
            all.extend(pair.and_then(|(here, came)| self.judge(&here, &came)));
        }
        Ok(all)
    }

    /// Keeps an envelope that contradicts what is here, with what it contradicts.
    pub(crate) fn keep_evidence(&mut self, came: &[u8]) -> Result<(), EngineError> {
        match self.counterpart(came)? {
            Some(here) => self.keep_pair(&here, came),
            None => Ok(()),
        }
    }

    /// Keeps a link that contradicts ours.
    pub(crate) fn keep_link_evidence(&mut self, link: &Link) -> Result<(), EngineError> {
        let chain = self.space.chains.iter().find(|c| c.id() == link.party);
        let ours = chain.and_then(|chain| {
            let at = |seq: u64| chain.links().get(usize::try_from(seq).ok()?);
            at(link.seq).or_else(|| at(link.seq.checked_sub(1)?))
        });
        match ours.map(|ours| ours.as_bytes().to_vec()) {
            Some(here) => self.keep_pair(&here, link.as_bytes()),
            None => Ok(()),
        }
    }

    fn keep_pair(&mut self, here: &[u8], came: &[u8]) -> Result<(), EngineError> {
        let record = encode_pair(here, came);
        // Whoever repeats one proof is not to wash away the room for others.
        for number in 0..self.meta.evidence {
            let key = Key::Evidence(number);
            let known = match self.pending.batch.pending(&key) {
                Some(pending) => pending.is_some_and(|known| *known == record),
                None => self.store.load(&key)?.is_some_and(|known| *known == record),
            };
            if known {
                return Ok(());
            }
        }
        if self.meta.evidence < KEPT {
            self.pending
                .batch
                .put(Key::Evidence(self.meta.evidence), record);
            self.meta.evidence += 1;
            self.pending.meta = true;
        }
        Ok(())
    }

    /// What is here and contradicts an envelope, as bytes.
    fn counterpart(&mut self, came: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let Ok(envelope) = Envelope::parse(came) else {
            return Ok(None);
        };
        let header = *envelope.header();
        let same = self.stored_envelope(&header.device, header.counter)?;
        if let Some(ours) = same.filter(|ours| ours.id() != envelope.id()) {
            return Ok(Some(ours.as_bytes().to_vec()));
        }
        if let Some(link) = self.cutoff_against(&header.device, header.counter, envelope.id()) {
            return Ok(Some(link));
        }
        let before = match header.counter.checked_sub(1) {
            Some(before) => self.stored_envelope(&header.device, before)?,
            None => None,
        };
        let before = before.filter(|ours| ours.id() != header.prev);
        Ok(before.map(|ours| ours.as_bytes().to_vec()))
    }

    /// The link that names another last envelope of a device at `counter`.
    fn cutoff_against(&self, device: &DeviceId, counter: u64, id: EnvelopeId) -> Option<Vec<u8>> {
        let (place, _) = self.space.device(device)?;
        let links = self.space.chains.get(place)?.links().iter();
        let mut against = links.filter(|link| {
            cutoff_in(link, device).is_some_and(|cut| cut.counter == counter && cut.id != id)
        });
        against.next().map(|link| link.as_bytes().to_vec())
    }

    /// The pair as evidence; `None` when it is none, or nobody here knows its signers.
    fn judge(&self, here: &[u8], came: &[u8]) -> Option<Evidence> {
        let statements = [self.statement(here)?, self.statement(came)?];
        let [one, other] = &statements;
        let contradiction = match (one.is_link, other.is_link) {
            (true, false) => Contradiction::OtherCutoff(other.place),
            (false, true) => return None,
            _ if one.place == other.place && one.id != other.id => {
                Contradiction::SamePlace(one.place)
            }
            _ if other.place.checked_sub(1) == Some(one.place) && other.before != one.id => {
                Contradiction::OtherBefore(other.place)
            }
            _ => return None,
        };
        let chain = self.chain_of(&other.signer)?;
        Some(Evidence {
            party: chain.id(),
            contradiction,
            chain: chain
                .links()
                .iter()
                .map(|link| link.as_bytes().to_vec())
                .collect(),
            statements,
        })
    }

    fn statement(&self, bytes: &[u8]) -> Option<Statement> {
        // The third byte tells them apart: 1 in an envelope, 0 in a link.
        if let Ok(envelope) = Envelope::parse(bytes) {
            let header = *envelope.header();
            let (_, device) = self.space.device(&header.device)?;
            return Some(Statement {
                bytes: bytes.to_vec(),
                is_link: false,
                place: header.counter,
                id: envelope.id().0,
                before: header.prev.0,
                signer: header.device.0,
                key: device.keys.sign,
                device: Some(device.keys),
            });
        }
        let link = Link::parse(bytes).ok()?;
        let chain = self.chain_of(&link.signer)?;
        let device = chain
            .device(&DeviceId(link.signer))
            .map(|device| device.keys);
        let root = || root_of(chain, &link.signer);
        Some(Statement {
            bytes: bytes.to_vec(),
            is_link: true,
            place: link.seq,
            id: link.hash().0,
            before: link.prev.0,
            signer: link.signer,
            key: device.map(|keys| keys.sign).or_else(root)?,
            device,
        })
    }

    /// The chain in which a key stands that signs.
    fn chain_of(&self, signer: &[u8; 32]) -> Option<&PartyChain> {
        let knows = |chain: &&PartyChain| {
            chain.device(&DeviceId(*signer)).is_some() || root_of(chain, signer).is_some()
        };
        self.space.chains.iter().find(knows)
    }
}

/// The root key of that id, in force now or before.
fn root_of(chain: &PartyChain, id: &[u8; 32]) -> Option<[u8; 32]> {
    let mut roots = chain.links().iter().filter_map(|link| match &link.body {
        LinkBody::Genesis { root, .. } | LinkBody::RootReplace { root, .. } => Some(root),
        _ => None,
    });
    roots
        .find(|root| root.root_id() == *id)
        .map(|root| root.root)
}
