//! The trim of a space's log (protocol §2.10): a statement of what a snapshot has folded in,
//! signed by a device of each party. On it, a relay and the devices give up the envelopes that
//! are covered.
//!
//! ```text
//! statement: u8 1 | space 32 | device 32 | counter u64 | snapshot id 32
//!            | cover: u16 n { device 32, counter u64, envelope id 32 }
//!            | u16 n { device 32, counter u64 }                       epochs that are retired
//! record:    statement | u8 n { device 32, signature 64 }
//! signature = Sign(sign_sk, "ajar/v1/relay-cmd", Hash("ajar/v1/trim", statement))
//! ```

use crate::chain::PartyChain;
use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::frontier::Frontier;
use crate::id::{DeviceId, EnvelopeId, SpaceId, hash};
use crate::keys::verify;
use crate::relay_msg::EnvelopeName;
use crate::{label, limits};

const WHAT: &str = "trim record";

/// What a snapshot has folded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrimStatement {
    /// The space.
    pub space: SpaceId,
    /// The SNAPSHOT envelope.
    pub snapshot: EnvelopeName,
    /// Up to where it covers each device that has ever written.
    pub cover: Frontier,
    /// EPOCH envelopes at or below the cover that nobody needs any more, ascending. All other
    /// EPOCH envelopes stay.
    pub retired: Vec<(DeviceId, u64)>,
}

impl TrimStatement {
    /// The statement as signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(256 + self.cover.len() * 72 + self.retired.len() * 40);
        out.u8(1).raw(&self.space.0).raw(&self.snapshot.device.0);
        out.u64(self.snapshot.counter).raw(&self.snapshot.id.0);
        self.cover.encode(&mut out);
        out.u16(u16::try_from(self.retired.len()).unwrap_or(u16::MAX));
        for (device, counter) in &self.retired {
            out.raw(&device.0).u64(*counter);
        }
        out.finish()
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let space = SpaceId(reader.array()?);
        let snapshot = EnvelopeName {
            device: DeviceId(reader.array()?),
            counter: reader.u64()?,
            id: EnvelopeId(reader.array()?),
        };
        let cover = Frontier::decode(reader)?;
        let n = usize::from(reader.u16()?);
        if n > limits::RETIRED_EPOCHS {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut retired: Vec<(DeviceId, u64)> = Vec::with_capacity(n);
        for _ in 0..n {
            let place = (DeviceId(reader.array()?), reader.u64()?);
            if retired.last().is_some_and(|last| *last >= place) {
                return Err(Malformed::Order(WHAT));
            }
            if place.1 > cover.counter(&place.0) {
                return Err(Malformed::Value("an epoch beyond the cover"));
            }
            retired.push(place);
        }
        let ahead = snapshot.counter > cover.counter(&snapshot.device);
        if !ahead {
            return Err(Malformed::Value("a snapshot that covers itself"));
        }
        Ok(Self {
            space,
            snapshot,
            cover,
            retired,
        })
    }

    /// What devices sign.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(label::TRIM, &[&self.encode()])
    }
}

/// A statement with signatures, as devices give it to a relay and the relay to devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrimRecord {
    /// The statement.
    pub statement: TrimStatement,
    /// Device and signature, ascending by device.
    pub signatures: Vec<(DeviceId, [u8; 64])>,
}

impl TrimRecord {
    /// The record as sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(&self.statement.encode());
        out.u8(u8::try_from(self.signatures.len()).unwrap_or(u8::MAX));
        for (device, signature) in &self.signatures {
            out.raw(&device.0).raw(signature);
        }
        out.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`]; the signatures are not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > limits::TRIM {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut reader = Reader::new(bytes, WHAT);
        let statement = TrimStatement::decode(&mut reader)?;
        let n = usize::from(reader.u8()?);
        if n == 0 || n > 2 * limits::ACTIVE_DEVICES {
            return Err(Malformed::TooLarge(WHAT));
        }
        let mut signatures: Vec<(DeviceId, [u8; 64])> = Vec::with_capacity(n);
        for _ in 0..n {
            let device = DeviceId(reader.array()?);
            if signatures.last().is_some_and(|(last, _)| *last >= device) {
                return Err(Malformed::Order(WHAT));
            }
            signatures.push((device, reader.array()?));
        }
        reader.finish()?;
        Ok(Self {
            statement,
            signatures,
        })
    }

    /// Checks every signature against the chains of the space. A device of each party that has
    /// not left must have signed, and no device of the cover may be unknown. For a record that
    /// is `new`, devices that were removed do not count; one that was accepted before stays good
    /// whoever is removed later.
    ///
    /// # Errors
    /// [`Malformed::Value`] when somebody is unknown or a party is missing,
    /// [`Malformed::Signature`].
    pub fn verify(
        &self,
        space: &SpaceId,
        chains: &[&PartyChain],
        new: bool,
    ) -> Result<(), Malformed> {
        if self.statement.space != *space {
            return Err(Malformed::Value("space of a trim record"));
        }
        let party_of = |device: &DeviceId| {
            chains
                .iter()
                .position(|chain| chain.device(device).is_some())
        };
        if self
            .statement
            .cover
            .rows()
            .any(|(device, _)| party_of(device).is_none())
        {
            return Err(Malformed::Value("device of a trim record"));
        }
        let hash = self.statement.hash();
        let mut signed = vec![false; chains.len()];
        for (device, signature) in &self.signatures {
            let place = party_of(device).ok_or(Malformed::Value("signer of a trim record"))?;
            let known = chains.get(place).and_then(|chain| chain.device(device));
            let known = known.ok_or(Malformed::Value("signer of a trim record"))?;
            verify(&known.keys.sign, label::RELAY_CMD, &hash, signature, WHAT)?;
            let counts = !new || known.revoked.is_none();
            if let Some(signed) = signed.get_mut(place) {
                *signed |= counts;
            }
        }
        let needed = |chain: &PartyChain| chain.left_at(chain.last_seq()).is_none();
        let missing = chains
            .iter()
            .zip(&signed)
            .any(|(chain, signed)| needed(chain) && !signed);
        if missing || !signed.contains(&true) {
            return Err(Malformed::Value(
                "a party that has not signed a trim record",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::frontier::Position;

    use super::*;

    fn record() -> TrimRecord {
        let (one, two) = (DeviceId([1; 32]), DeviceId([2; 32]));
        let position = |counter| Position {
            counter,
            id: EnvelopeId([9; 32]),
        };
        let statement = TrimStatement {
            space: SpaceId([7; 32]),
            snapshot: EnvelopeName {
                device: one,
                counter: 11,
                id: EnvelopeId([8; 32]),
            },
            cover: [(one, position(10)), (two, position(4))]
                .into_iter()
                .collect(),
            retired: vec![(one, 1), (two, 4)],
        };
        TrimRecord {
            statement,
            signatures: vec![(one, [3; 64]), (two, [4; 64])],
        }
    }

    #[test]
    fn a_record_is_the_same_after_its_bytes_and_no_part_of_it_can_be_missing() {
        let bytes = record().encode();
        assert_eq!(TrimRecord::parse(&bytes), Ok(record()));
        for length in 0..bytes.len() {
            assert!(TrimRecord::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(TrimRecord::parse(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn a_snapshot_that_covers_itself_is_refused() {
        let mut record = record();
        record.statement.snapshot.counter = 10;
        assert!(TrimRecord::parse(&record.encode()).is_err());
    }

    #[test]
    fn an_epoch_beyond_the_cover_cannot_be_retired() {
        let mut record = record();
        record.statement.retired = vec![(DeviceId([2; 32]), 5)];
        assert!(TrimRecord::parse(&record.encode()).is_err());
    }

    #[test]
    fn signatures_and_epochs_out_of_order_or_twice_are_refused() {
        let mut swapped = record();
        swapped.signatures.reverse();
        assert!(TrimRecord::parse(&swapped.encode()).is_err());
        let mut twice = record();
        twice.statement.retired = vec![(DeviceId([1; 32]), 1), (DeviceId([1; 32]), 1)];
        assert!(TrimRecord::parse(&twice.encode()).is_err());
    }
}
