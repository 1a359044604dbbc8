//! What somebody on the path can read of QUIC: the Initial packets. Their keys follow from a
//! connection id that is sent in the clear (RFC 9001, section 5.2).

use std::collections::BTreeMap;

use rustls::Side;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{DirectionalKeys, Keys, Version};

use crate::wire::Datagram;

/// QUIC version 1 on the wire.
const V1: [u8; 4] = [0, 0, 0, 1];

/// One Initial packet that was opened.
#[derive(Debug)]
pub struct Initial {
    /// Whether the device sent it.
    pub by_device: bool,
    /// Its frames.
    pub frames: Vec<u8>,
    /// The TLS bytes in it, by their offset.
    pub crypto: BTreeMap<u64, Vec<u8>>,
}

/// What could be read.
#[derive(Debug, Default)]
pub struct Read {
    /// Initial packets, in order.
    pub initials: Vec<Initial>,
    /// Initial packets that no key opened.
    pub closed: usize,
    /// Retry packets.
    pub retries: usize,
}

/// Opens every Initial packet in what was captured.
#[must_use]
pub fn read(captured: &[Datagram]) -> Read {
    let mut read = Read::default();
    // Ids from which keys follow: what devices first call the relay by, also after a Retry.
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for datagram in captured {
        let mut rest = datagram.bytes.as_slice();
        while let Some(packet) = Long::parse(rest) {
            rest = &rest[packet.end..];
            if packet.kind == 3 {
                read.retries += 1;
            }
            if packet.kind != 0 {
                continue;
            }
            if datagram.by_device && !ids.contains(&packet.to) {
                ids.push(packet.to.clone());
            }
            let opened = ids.iter().rev().find_map(|id| {
                let side = if datagram.by_device {
                    Side::Server
                } else {
                    Side::Client
                };
                packet.open(&keys(id, side).remote)
            });
            match opened {
                None => read.closed += 1,
                Some(frames) => read.initials.push(Initial {
                    by_device: datagram.by_device,
                    crypto: crypto(&frames),
                    frames,
                }),
            }
        }
    }
    read
}

fn keys(id: &[u8], side: Side) -> Keys {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    suite.quic_suite().unwrap().keys(id, side, Version::V1)
}

/// A packet with a long header.
struct Long<'a> {
    kind: u8,
    to: Vec<u8>,
    /// The packet from its first byte to its last.
    bytes: &'a [u8],
    /// Where the packet number begins.
    number_at: usize,
    /// Where the packet ends.
    end: usize,
}

impl<'a> Long<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        if first & 0x80 == 0 || bytes.get(1..5)? != V1 {
            return None;
        }
        let kind = first >> 4 & 3;
        let mut at = 5;
        let id = |at: &mut usize| {
            let length = usize::from(*bytes.get(*at)?);
            let id = bytes.get(*at + 1..*at + 1 + length)?;
            *at += 1 + length;
            Some(id.to_vec())
        };
        let to = id(&mut at)?;
        let _from = id(&mut at)?;
        if kind == 3 {
            // A Retry has neither length nor number, and stands alone.
            let end = bytes.len();
            return Some(Self {
                kind,
                to,
                bytes,
                number_at: end,
                end,
            });
        }
        if kind == 0 {
            let (token, size) = number(&bytes[at..])?;
            at += size + usize::try_from(token).ok()?;
        }
        let (length, size) = number(bytes.get(at..)?)?;
        at += size;
        let end = at + usize::try_from(length).ok()?;
        let bytes = bytes.get(..end)?;
        Some(Self {
            kind,
            to,
            bytes,
            number_at: at,
            end,
        })
    }

    fn open(&self, keys: &DirectionalKeys) -> Option<Vec<u8>> {
        let mut packet = self.bytes.to_vec();
        let at = self.number_at;
        let sample = packet
            .get(at + 4..at + 4 + keys.header.sample_len())?
            .to_vec();
        let mut first = packet[0];
        let mut number: [u8; 4] = packet[at..at + 4].try_into().unwrap();
        keys.header
            .decrypt_in_place(&sample, &mut first, &mut number)
            .ok()?;
        let length = usize::from(first & 3) + 1;
        packet[0] = first;
        packet[at..at + length].copy_from_slice(&number[..length]);
        // The numbers of Initial packets are small: they are sent whole.
        let number = number[..length]
            .iter()
            .fold(0, |n, byte| n << 8 | u64::from(*byte));
        let (header, payload) = packet.split_at_mut(at + length);
        let frames = keys.packet.decrypt_in_place(number, header, payload).ok()?;
        Some(frames.to_vec())
    }
}

/// A number of variable length, and how many bytes it takes.
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let size = 1usize << (first >> 6);
    let rest = bytes.get(1..size)?;
    let value = rest
        .iter()
        .fold(u64::from(first & 0x3f), |n, byte| n << 8 | u64::from(*byte));
    Some((value, size))
}

/// The TLS bytes in the frames of an Initial packet.
fn crypto(frames: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    let next = |at: &mut usize| {
        let (value, size) = number(&frames[*at..]).unwrap();
        *at += size;
        value
    };
    while at < frames.len() {
        match next(&mut at) {
            // Padding and ping.
            0 | 1 => {}
            // Acknowledgements.
            2 => {
                let [_, _, ranges, _] = [(); 4].map(|()| next(&mut at));
                for _ in 0..ranges * 2 {
                    next(&mut at);
                }
            }
            6 => {
                let offset = next(&mut at);
                let length = usize::try_from(next(&mut at)).unwrap();
                found.insert(offset, frames[at..at + length].to_vec());
                at += length;
            }
            // The end of a connection; the reason is the rest.
            0x1c => break,
            other => panic!("frame {other:#x} in an Initial packet"),
        }
    }
    found
}

/// The extensions of a ClientHello, by their number.
#[must_use]
pub fn client_hello(tls: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    assert_eq!(tls[0], 1, "a ClientHello");
    let two = |at: usize| usize::from(u16::from_be_bytes([tls[at], tls[at + 1]]));
    // Type and length 4, version 2, random 32.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(tls[at]);
    at += 2 + two(at);
    at += 1 + usize::from(tls[at]);
    let end = at + 2 + two(at);
    at += 2;
    let mut extensions = BTreeMap::new();
    while at < end {
        let (kind, length) = (two(at), two(at + 2));
        let content = tls[at + 4..at + 4 + length].to_vec();
        extensions.insert(u16::try_from(kind).unwrap(), content);
        at += 4 + length;
    }
    extensions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's Initial packet of RFC 9001, appendix A.2: its first bytes on the wire. The
    /// rest is padding, so only the header is looked at.
    #[test]
    fn the_keys_are_those_of_the_rfc() {
        let id = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
        let keys = keys(&id, Side::Server).remote;
        let sample = [
            0xd1, 0xb1, 0xc9, 0x8d, 0xd7, 0x68, 0x9f, 0xb8, 0xec, 0x11, 0xd2, 0x42, 0xb1, 0x23,
            0xdc, 0x9b,
        ];
        let (mut first, mut number) = (0xc0, [0x7b, 0x9a, 0xec, 0x34]);
        keys.header
            .decrypt_in_place(&sample, &mut first, &mut number)
            .unwrap();
        assert_eq!((first, number), (0xc3, [0, 0, 0, 2]));
    }
}
