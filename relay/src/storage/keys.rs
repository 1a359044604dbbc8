//! Names of records in the log: one letter for the kind, then ids, then a big-endian number, so
//! that the order of the bytes is the order of the numbers.

use ajar_protocol::{BlobId, DeviceId, EnvelopeType, PartyId, SpaceId};

use super::{Blob, Special};

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// Genesis of a space.
pub(super) fn genesis(space: &SpaceId) -> Vec<u8> {
    join(b'g', &[&space.0])
}

/// What all geneses begin with.
pub(super) const GENESES: &[u8] = b"g";

/// Says that every login key is indexed.
pub(super) const LOGINS_COMPLETE: &[u8] = b"r";

/// What the geneses of all spaces begin with whose ids begin with `byte`.
pub(super) fn geneses_beginning(byte: u8) -> Vec<u8> {
    join(b'g', &[&[byte]])
}

/// Space of a recovery login key.
pub(super) fn login(key: &[u8; 32]) -> Vec<u8> {
    join(b'r', &[key])
}

/// The space that a genesis key names.
pub(super) fn space_of(key: &[u8]) -> Option<SpaceId> {
    key.strip_prefix(GENESES)?.try_into().ok().map(SpaceId)
}

/// Link of a party chain.
pub(super) fn link(space: &SpaceId, party: &PartyId, seq: u64) -> Vec<u8> {
    join(b'l', &[&space.0, &party.0, &seq.to_be_bytes()])
}

/// Envelope.
pub(super) fn envelope(space: &SpaceId, device: &DeviceId, counter: u64) -> Vec<u8> {
    join(b'e', &[&space.0, &device.0, &counter.to_be_bytes()])
}

/// The envelopes of one device from `from` to `to`, as a range.
pub(super) fn envelopes(
    space: &SpaceId,
    device: &DeviceId,
    from: u64,
    to: u64,
) -> (Vec<u8>, Vec<u8>) {
    let mut end = envelope(space, device, to);
    end.push(0);
    (envelope(space, device, from), end)
}

/// The counter that the key of an envelope ends with.
pub(super) fn counter_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// An envelope that is not CHANGES, by its order of arrival among those of its space; device and
/// counter stand in the key, so that a list costs no reading.
pub(super) fn special(space: &SpaceId, kind: EnvelopeType, special: &Special) -> Vec<u8> {
    let Special {
        arrival,
        device,
        counter,
    } = special;
    let (arrival, counter) = (arrival.to_be_bytes(), counter.to_be_bytes());
    join(
        b'i',
        &[&space.0, &[kind as u8], &arrival, &device.0, &counter],
    )
}

/// The envelopes of a kind that arrived from `from` on, as a range.
pub(super) fn specials(space: &SpaceId, kind: EnvelopeType, from: u64) -> (Vec<u8>, Vec<u8>) {
    let (this, next) = (kind as u8, kind as u8 + 1);
    (
        join(b'i', &[&space.0, &[this], &from.to_be_bytes()]),
        join(b'i', &[&space.0, &[next]]),
    )
}

/// What the key of such an envelope says.
pub(super) fn special_of(key: &[u8]) -> Option<Special> {
    let (rest, counter) = key.split_last_chunk()?;
    let (rest, device) = rest.split_last_chunk()?;
    let (_, arrival) = rest.split_last_chunk()?;
    Some(Special {
        arrival: u64::from_be_bytes(*arrival),
        device: DeviceId(*device),
        counter: u64::from_be_bytes(*counter),
    })
}

/// The next number of arrival in a space; there when the envelopes that are not CHANGES are
/// indexed.
pub(super) fn arrivals(space: &SpaceId) -> Vec<u8> {
    join(b'n', &[&space.0])
}

/// Newest trim record of a space.
pub(super) fn trim(space: &SpaceId) -> Vec<u8> {
    join(b't', &[&space.0])
}

/// Says that what the trim record covers may still be here.
pub(super) fn trimming(space: &SpaceId) -> Vec<u8> {
    join(TRIMMING[0], &[&space.0])
}

/// What all keys of [`trimming`] begin with.
pub(super) const TRIMMING: &[u8; 1] = b"u";

/// The space that such a key names.
pub(super) fn trimming_of(key: &[u8]) -> Option<SpaceId> {
    key.strip_prefix(TRIMMING)?.try_into().ok().map(SpaceId)
}

/// A stored blob; its party and length stand in the key, so that the sum of a space costs no
/// reading.
pub(super) fn blob(space: &SpaceId, blob: &Blob) -> Vec<u8> {
    let length = blob.length.to_be_bytes();
    join(b'b', &[&space.0, &blob.id.0, &[blob.party], &length])
}

/// What all blobs of a space begin with.
pub(super) fn blobs(space: &SpaceId) -> Vec<u8> {
    join(b'b', &[&space.0])
}

/// What the key of one blob begins with.
pub(super) fn blob_named(space: &SpaceId, id: &BlobId) -> Vec<u8> {
    join(b'b', &[&space.0, &id.0])
}

/// What the key of a blob says.
pub(super) fn blob_of(key: &[u8]) -> Option<Blob> {
    let (rest, length) = key.split_last_chunk()?;
    let (party, rest) = rest.split_last()?;
    Some(Blob {
        id: BlobId(*rest.last_chunk()?),
        party: *party,
        length: u64::from_be_bytes(*length),
    })
}

/// Head of a device.
pub(super) fn head(space: &SpaceId, device: &DeviceId) -> Vec<u8> {
    join(b'f', &[&space.0, &device.0])
}

/// What all heads of a space begin with.
pub(super) fn heads(space: &SpaceId) -> Vec<u8> {
    join(b'f', &[&space.0])
}

/// Uses of a claim.
pub(super) fn claim(hash: &[u8; 32]) -> Vec<u8> {
    join(b'c', &[hash])
}
