//! Frontiers: how far each device's chain of envelopes is known (protocol §2.8, D13).

use std::collections::BTreeMap;

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{DeviceId, EnvelopeId};
use crate::limits;

/// The last envelope of one device: its counter (from 1) and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Counter of the envelope.
    pub counter: u64,
    /// Id of the envelope.
    pub id: EnvelopeId,
}

/// Device → last known envelope. A device without envelopes has no row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    rows: BTreeMap<DeviceId, Position>,
}

impl Frontier {
    /// Position of `device`, if it has written anything.
    #[must_use]
    pub fn of(&self, device: &DeviceId) -> Option<Position> {
        self.rows.get(device).copied()
    }

    /// Counter of `device`, 0 when it has written nothing.
    #[must_use]
    pub fn counter(&self, device: &DeviceId) -> u64 {
        self.rows.get(device).map_or(0, |row| row.counter)
    }

    /// Sets the position of `device`.
    pub fn set(&mut self, device: DeviceId, position: Position) {
        self.rows.insert(device, position);
    }

    /// Rows in ascending order of device id.
    pub fn rows(&self) -> impl Iterator<Item = (&DeviceId, &Position)> {
        self.rows.iter()
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no device has written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes `u16 n { device 32, counter u64, envelope_id 32 }`.
    pub fn encode(&self, out: &mut Writer) {
        out.u16(u16::try_from(self.rows.len()).unwrap_or(u16::MAX));
        for (device, row) in &self.rows {
            out.raw(&device.0).u64(row.counter).raw(&row.id.0);
        }
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] when it is too long, cut short, or not strictly ascending.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let n = usize::from(reader.u16()?);
        if n > limits::FRONTIER {
            return Err(Malformed::TooLarge("frontier"));
        }
        let mut rows = BTreeMap::new();
        let mut previous: Option<DeviceId> = None;
        for _ in 0..n {
            let device = DeviceId(reader.array()?);
            if previous.is_some_and(|p| p >= device) {
                return Err(Malformed::Order("frontier"));
            }
            previous = Some(device);
            let position = Position {
                counter: reader.u64()?,
                id: EnvelopeId(reader.array()?),
            };
            if position.counter == 0 {
                return Err(Malformed::Value("frontier counter"));
            }
            rows.insert(device, position);
        }
        Ok(Self { rows })
    }
}

impl FromIterator<(DeviceId, Position)> for Frontier {
    fn from_iter<I: IntoIterator<Item = (DeviceId, Position)>>(rows: I) -> Self {
        Self {
            rows: rows.into_iter().collect(),
        }
    }
}
