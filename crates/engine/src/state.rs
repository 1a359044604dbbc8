//! The records in which a replica keeps its own state.

use std::collections::BTreeMap;

use ajar_crypto::{DeviceSecrets, EpochKey, Secret};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::{DeviceId, EpochId, Frontier};
use zeroize::Zeroizing;

use crate::documents::Counts;
use crate::error::EngineError;

/// Slowly changing state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Links of each chain.
    pub(crate) links: Vec<u64>,
    /// Pages of rows that an older version wrote; they are to be converted.
    pub(crate) old_pages: Option<u32>,
    /// Epochs by the envelope that created them, in order of arrival.
    pub(crate) epochs: Vec<(DeviceId, u64)>,
    /// When each of them was first seen here, in ms since 1970 by this device's clock; 0 when
    /// that is not known. One for each epoch.
    pub(crate) epoch_seen: Vec<i64>,
    /// Permits by relay key.
    pub(crate) permits: BTreeMap<[u8; 32], [u8; 64]>,
    /// Devices with two histories, and the counter from which on nothing of theirs counts.
    pub(crate) forked: BTreeMap<DeviceId, u64>,
    /// Envelopes that must not be opened again.
    pub(crate) quarantined: Vec<(DeviceId, u64)>,
    /// Envelopes in their place whose content stands on what a cut-off took away.
    pub(crate) deferred: Vec<(DeviceId, u64)>,
    /// This copy is behind its own device.
    pub(crate) stale: bool,
    /// Pieces of evidence kept.
    pub(crate) evidence: u32,
    /// Place of our own party in the genesis: the twelve words may have taken this device out
    /// of its chain. `None` when an older version wrote this.
    pub(crate) place: Option<u8>,
}

/// Written for a place that is not known.
const NO_PLACE: u8 = u8::MAX;

impl Meta {
    /// Adds an epoch by the envelope that created it, unless it is known; `seen_ms` as in
    /// [`Self::epoch_seen`].
    pub(crate) fn add_epoch(&mut self, device: DeviceId, counter: u64, seen_ms: i64) {
        if !self.epochs.contains(&(device, counter)) {
            self.epoch_seen.resize(self.epochs.len(), 0);
            self.epochs.push((device, counter));
            self.epoch_seen.push(seen_ms);
        }
    }

    /// When an epoch was first seen here; 0 when that is not known.
    pub(crate) fn epoch_seen(&self, device: &DeviceId, counter: u64) -> i64 {
        let place = self.place_of_epoch(device, counter);
        let seen = place.and_then(|place| self.epoch_seen.get(place));
        seen.copied().unwrap_or(0)
    }

    /// Notes when an epoch of unknown age was first used here.
    pub(crate) fn set_epoch_seen(&mut self, device: &DeviceId, counter: u64, seen_ms: i64) {
        self.epoch_seen.resize(self.epochs.len(), 0);
        let place = self.place_of_epoch(device, counter);
        if let Some(seen) = place.and_then(|place| self.epoch_seen.get_mut(place)) {
            *seen = seen_ms;
        }
    }

    fn place_of_epoch(&self, device: &DeviceId, counter: u64) -> Option<usize> {
        let mut epochs = self.epochs.iter();
        epochs.position(|(d, c)| d == device && *c == counter)
    }

    /// Keeps the epochs for which `keep` says so.
    pub(crate) fn retain_epochs(&mut self, mut keep: impl FnMut(&DeviceId, u64) -> bool) {
        self.epoch_seen.resize(self.epochs.len(), 0);
        let both = self.epochs.drain(..).zip(self.epoch_seen.drain(..));
        let kept: Vec<_> = both
            .filter(|((device, counter), _)| keep(device, *counter))
            .collect();
        (self.epochs, self.epoch_seen) = kept.into_iter().unzip();
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        out.u8(4).u8(u8::from(self.stale)).u32(self.evidence);
        out.u32(count(self.links.len()));
        for links in &self.links {
            out.u64(*links);
        }
        out.u32(count(self.epochs.len()));
        for (device, counter) in &self.epochs {
            out.raw(&device.0).u64(*counter);
        }
        out.u32(count(self.permits.len()));
        for (relay, permit) in &self.permits {
            out.raw(relay).raw(permit);
        }
        out.u32(count(self.forked.len()));
        for (device, counter) in &self.forked {
            out.raw(&device.0).u64(*counter);
        }
        for list in [&self.quarantined, &self.deferred] {
            out.u32(count(list.len()));
            for (device, counter) in list {
                out.raw(&device.0).u64(*counter);
            }
        }
        out.u8(self.place.unwrap_or(NO_PLACE));
        for number in 0..self.epochs.len() {
            out.i64(self.epoch_seen.get(number).copied().unwrap_or(0));
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, "state of a replica");
        let version = reader.u8()?;
        if !(1..=4).contains(&version) {
            return Err(Malformed::Version("state of a replica"));
        }
        let stale = reader.u8()? != 0;
        // Up to version 3, the directory was pages of rows.
        let old_pages = (version < 4).then(|| reader.u32()).transpose()?;
        let mut meta = Self {
            stale,
            old_pages,
            evidence: reader.u32()?,
            ..Self::default()
        };
        for _ in 0..reader.u32()? {
            meta.links.push(reader.u64()?);
        }
        for _ in 0..reader.u32()? {
            meta.epochs.push((DeviceId(reader.array()?), reader.u64()?));
        }
        for _ in 0..reader.u32()? {
            meta.permits.insert(reader.array()?, reader.array()?);
        }
        for _ in 0..reader.u32()? {
            meta.forked.insert(DeviceId(reader.array()?), reader.u64()?);
        }
        for _ in 0..reader.u32()? {
            meta.quarantined
                .push((DeviceId(reader.array()?), reader.u64()?));
        }
        // Version 1 had no list of what a cut-off left without ground.
        for _ in 0..if version == 1 { 0 } else { reader.u32()? } {
            meta.deferred
                .push((DeviceId(reader.array()?), reader.u64()?));
        }
        // Versions 1 and 2 had no place and no times.
        if version >= 3 {
            meta.place = Some(reader.u8()?).filter(|place| *place != NO_PLACE);
        }
        for _ in 0..meta.epochs.len() {
            let seen = if version >= 3 { reader.i64()? } else { 0 };
            meta.epoch_seen.push(seen);
        }
        reader.finish()?;
        Ok(meta)
    }
}

/// State that moves with every envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How far every device's chain is applied here.
    pub(crate) frontier: Frontier,
    /// What our own envelopes have acknowledged so far.
    pub(crate) acked: Frontier,
    /// Own counter up to which a relay has confirmed to hold us.
    pub(crate) delivered: u64,
    /// Own counter up to which the partner's devices have said to hold us.
    pub(crate) confirmed: u64,
    /// Envelopes that others have seen and we have not: counter, and since when (ms).
    pub(crate) heard: BTreeMap<DeviceId, (u64, i64)>,
    /// How many documents there are.
    pub(crate) documents: Counts,
}

impl Progress {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(2);
        self.frontier.encode(&mut out);
        self.acked.encode(&mut out);
        out.u64(self.delivered).u64(self.confirmed);
        out.u32(u32::try_from(self.heard.len()).unwrap_or(u32::MAX));
        for (device, (counter, since)) in &self.heard {
            out.raw(&device.0).u64(*counter).i64(*since);
        }
        let Counts {
            places,
            rows,
            existing,
        } = self.documents;
        out.u32(places).u32(rows).u32(existing);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, "frontier of a replica");
        let version = reader.u8()?;
        if !(1..=2).contains(&version) {
            return Err(Malformed::Version("frontier of a replica"));
        }
        let mut progress = Self {
            frontier: Frontier::decode(&mut reader)?,
            acked: Frontier::decode(&mut reader)?,
            delivered: reader.u64()?,
            confirmed: reader.u64()?,
            heard: BTreeMap::new(),
            documents: Counts::default(),
        };
        for _ in 0..reader.u32()? {
            let device = DeviceId(reader.array()?);
            progress
                .heard
                .insert(device, (reader.u64()?, reader.i64()?));
        }
        // Before version 2, the documents were counted at every start.
        if version >= 2 {
            progress.documents = Counts {
                places: reader.u32()?,
                rows: reader.u32()?,
                existing: reader.u32()?,
            };
        }
        reader.finish()?;
        Ok(progress)
    }
}

/// Writes the key ring: `u8 1 | device secrets 96 | u16 n { epoch 32, key 32 }`.
pub(crate) fn encode_keys(
    secrets: &DeviceSecrets,
    epochs: &[(EpochId, EpochKey)],
) -> Zeroizing<Vec<u8>> {
    // Room for all from the start: a buffer that grows leaves copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(1 + 96 + 2 + epochs.len() * 64));
    out.push(1);
    out.extend_from_slice(secrets.to_bytes().expose());
    out.extend_from_slice(
        &u16::try_from(epochs.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    for (id, key) in epochs {
        out.extend_from_slice(&id.0);
        out.extend_from_slice(key.expose());
    }
    out
}

/// Reads the key ring.
pub(crate) fn decode_keys(
    bytes: &[u8],
) -> Result<(DeviceSecrets, Vec<(EpochId, EpochKey)>), EngineError> {
    let damaged = |_| EngineError::Damaged("the key file");
    let mut reader = Reader::new(bytes, "key ring");
    if reader.u8().map_err(damaged)? != 1 {
        return Err(EngineError::Damaged("the key file is of another version"));
    }
    let secrets = DeviceSecrets::from_bytes(&Secret::new(reader.array().map_err(damaged)?));
    let mut epochs = Vec::new();
    for _ in 0..reader.u16().map_err(damaged)? {
        let id = EpochId(reader.array().map_err(damaged)?);
        epochs.push((
            id,
            EpochKey::new(Secret::new(reader.array().map_err(damaged)?)),
        ));
    }
    reader.finish().map_err(damaged)?;
    Ok((secrets, epochs))
}

#[cfg(test)]
mod tests {
    use ajar_protocol::{EnvelopeId, Position};

    use super::*;

    fn meta() -> Meta {
        Meta {
            links: vec![3, 1],
            old_pages: None,
            epochs: vec![(DeviceId([1; 32]), 1), (DeviceId([2; 32]), 9)],
            epoch_seen: vec![0, 1_767_225_600_000],
            permits: BTreeMap::from([([4; 32], [5; 64])]),
            forked: BTreeMap::from([(DeviceId([6; 32]), 8)]),
            quarantined: vec![(DeviceId([7; 32]), 2)],
            deferred: vec![(DeviceId([8; 32]), 5), (DeviceId([8; 32]), 6)],
            stale: true,
            evidence: 3,
            place: Some(1),
        }
    }

    fn progress() -> Progress {
        let position = Position {
            counter: 4,
            id: EnvelopeId([3; 32]),
        };
        Progress {
            frontier: [(DeviceId([1; 32]), position)].into_iter().collect(),
            acked: [(DeviceId([2; 32]), position)].into_iter().collect(),
            delivered: 3,
            confirmed: 2,
            heard: BTreeMap::from([(DeviceId([9; 32]), (u64::MAX, -5))]),
            documents: Counts {
                places: 9,
                rows: 8,
                existing: 7,
            },
        }
    }

    #[test]
    fn state_is_the_same_after_a_restart() {
        assert_eq!(Meta::decode(&meta().encode()), Ok(meta()));
        assert_eq!(Progress::decode(&progress().encode()), Ok(progress()));
    }

    #[test]
    fn state_from_before_cut_offs_is_still_read() {
        let mut old = before_places();
        old.deferred.clear();
        let mut bytes = with_pages(&old, 1);
        bytes.truncate(bytes.len() - NEW - 4);
        assert_eq!(Meta::decode(&bytes), Ok(old));
    }

    /// Bytes that version 3 adds to [`meta`]: the place, and a time for each of two epochs.
    const NEW: usize = 1 + 2 * 8;

    fn before_places() -> Meta {
        Meta {
            epoch_seen: vec![0, 0],
            place: None,
            old_pages: Some(7),
            ..meta()
        }
    }

    /// As version 3 wrote it, but for the number of the version.
    fn with_pages(meta: &Meta, version: u8) -> Vec<u8> {
        let mut bytes = meta.encode();
        bytes[0] = version;
        bytes.splice(2..2, meta.old_pages.unwrap().to_be_bytes());
        bytes
    }

    #[test]
    fn state_and_progress_from_when_the_directory_was_pages_of_rows_are_still_read() {
        let old = Meta {
            old_pages: Some(7),
            ..meta()
        };
        assert_eq!(Meta::decode(&with_pages(&old, 3)), Ok(old));
        let old = Progress {
            documents: Counts::default(),
            ..progress()
        };
        let mut bytes = old.encode();
        bytes.truncate(bytes.len() - 12);
        bytes[0] = 1;
        assert_eq!(Progress::decode(&bytes), Ok(old));
    }

    #[test]
    fn state_from_before_places_and_times_is_still_read() {
        let mut bytes = with_pages(&before_places(), 2);
        bytes.truncate(bytes.len() - NEW);
        assert_eq!(Meta::decode(&bytes), Ok(before_places()));
    }

    #[test]
    fn an_epoch_comes_once_and_goes_with_its_time() {
        let (one, other) = (DeviceId([1; 32]), DeviceId([2; 32]));
        let mut meta = Meta::default();
        meta.add_epoch(one, 1, 10);
        meta.add_epoch(other, 1, 20);
        meta.add_epoch(one, 1, 30);
        meta.add_epoch(other, 2, 40);
        meta.retain_epochs(|device, counter| *device == other && counter == 2);
        assert_eq!((meta.epochs, meta.epoch_seen), (vec![(other, 2)], vec![40]));
    }

    #[test]
    fn cut_or_longer_state_is_an_error_and_no_panic() {
        let (meta, progress) = (meta().encode(), progress().encode());
        for cut in 0..meta.len() {
            assert!(Meta::decode(&meta[..cut]).is_err(), "cut at {cut}");
        }
        for cut in 0..progress.len() {
            assert!(Progress::decode(&progress[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Meta::decode(&[meta, vec![0]].concat()).is_err());
        assert!(Progress::decode(&[progress, vec![0]].concat()).is_err());
        // A count that promises more than there is.
        let mut many = Meta::default().encode();
        let end = many.len() - 1;
        many[end - 4..end].fill(0xff);
        assert!(Meta::decode(&many).is_err());
    }

    #[test]
    fn a_key_ring_opens_as_it_was_and_not_when_cut() {
        let secrets = DeviceSecrets::from_bytes(&Secret::new([7; 96]));
        let epochs = vec![(EpochId([1; 32]), EpochKey::new(Secret::new([2; 32])))];
        let ring = encode_keys(&secrets, &epochs);
        let (again, keys) = decode_keys(&ring).unwrap();
        assert_eq!(again.id(), secrets.id());
        assert_eq!(keys, epochs);
        for cut in 0..ring.len() {
            assert!(decode_keys(&ring[..cut]).is_err(), "cut at {cut}");
        }
    }
}
