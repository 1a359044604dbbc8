//! Mutations that follow from a number.

use crate::random::Random;

/// Longest input: what a mutation makes longer is cut.
const LONGEST: usize = 1 << 16;

/// What lengths and counts are changed into.
const LENGTHS: [u64; 8] = [
    0,
    1,
    0x7f,
    0xff,
    0xffff,
    1 << 31,
    0xffff_ffff,
    0xffff_ffff_ffff_ffff,
];

fn below(random: &mut Random, limit: usize) -> usize {
    usize::try_from(random.below(limit.max(1) as u64)).unwrap()
}

/// Where something begins and how long it is, within `length` bytes: mostly short.
fn range(random: &mut Random, length: usize) -> std::ops::Range<usize> {
    let from = below(random, length);
    let most = match random.below(3) {
        0 => 4,
        1 => 64,
        _ => length,
    };
    let count = 1 + below(random, most.min(length - from));
    from..(from + count).min(length)
}

/// `seed` after one mutation, or up to four; some take a part of `other`.
pub(super) fn mutated(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let times = [1, 1, 1, 2, 4][below(random, 5)];
    for _ in 0..times {
        if bytes.is_empty() {
            bytes.push(0);
        }
        once(random, &mut bytes, other);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn once(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = below(random, bytes.len());
    match random.below(11) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = bytes[at].wrapping_add(1),
        2 => bytes[at] = bytes[at].wrapping_sub(1),
        3 => bytes[at] = below(random, 256).to_le_bytes()[0],
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(range(random, bytes.len()))),
        6 => length_field(random, bytes, at),
        7 => repeat(random, bytes),
        8 => {
            let taken = match other.is_empty() {
                true => vec![0xff],
                false => other[range(random, other.len())].to_vec(),
            };
            let over = (at + taken.len()).min(bytes.len());
            let end = if random.below(2) == 0 { over } else { at };
            bytes.splice(at..end, taken);
        }
        9 => {
            let zone = range(random, bytes.len());
            let value = [0, 0xff, 0x80][below(random, 3)];
            bytes[zone].fill(value);
        }
        _ => {
            let zone = range(random, bytes.len());
            let moved: Vec<u8> = bytes.drain(zone).collect();
            let to = below(random, bytes.len() + 1);
            bytes.splice(to..to, moved);
        }
    }
}

/// Writes one of [`LENGTHS`] over one, two, four or eight bytes, in either order.
fn length_field(random: &mut Random, bytes: &mut [u8], at: usize) {
    let width = [1, 2, 4, 8][below(random, 4)];
    let value = LENGTHS[below(random, LENGTHS.len())];
    let mut field = value.to_be_bytes()[8 - width..].to_vec();
    if random.below(2) == 0 {
        field.reverse();
    }
    let end = (at + width).min(bytes.len());
    bytes[at..end].copy_from_slice(&field[..end - at]);
}

fn repeat(random: &mut Random, bytes: &mut Vec<u8>) {
    let zone = range(random, bytes.len());
    let end = zone.end;
    let times = match random.below(4) {
        0 => below(random, 1000),
        _ => 1 + below(random, 3),
    };
    let piece = bytes[zone].to_vec();
    let room = LONGEST.saturating_sub(bytes.len()) / piece.len().max(1);
    bytes.splice(end..end, piece.repeat(times.min(room)));
}
