//! Names of records in the log: one letter for the kind, then ids, then a big-endian number, so
//! that the order of the bytes is the order of the numbers.

use ajar_protocol::{DeviceId, PartyId, SpaceId};

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
