//! No bytes make a parser panic, and no two byte strings mean the same: whatever is accepted
//! is written back as it came.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ajar_protocol::address::RelayAddress;
use ajar_protocol::{
    DeviceId, DocId, EnvelopeId, Frontier, Link, PartyChain, Position,
    changes::{Changes, DocChanges},
    frame,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::samples::{self, Rewrite};

type Object = (&'static str, Rewrite, Vec<u8>);

static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(samples::objects);

/// Some messages are a tag and free bytes; for those other lengths are other messages.
fn ends_freely(name: &str, bytes: &[u8]) -> bool {
    let free = [
        frame::Tag::AppendLink,
        frame::Tag::Append,
        frame::Tag::Trim,
        frame::Tag::Trimmed,
        frame::Tag::MailboxSend,
        frame::Tag::Link,
        frame::Tag::Genesis,
        frame::Tag::Envelope,
        frame::Tag::MailboxMessage,
    ];
    name.starts_with("message") && free.iter().any(|tag| bytes.first() == Some(&(*tag as u8)))
}

fn is_canonical(name: &str, rewrite: Rewrite, bytes: &[u8]) {
    if let Ok(again) = rewrite(bytes) {
        assert_eq!(again, bytes, "{name} has two spellings");
    }
}

#[test]
fn every_valid_object_is_written_back_as_it_came() {
    for (name, rewrite, bytes) in OBJECTS.iter() {
        assert_eq!(rewrite(bytes).as_ref(), Ok(bytes), "{name}");
    }
}

#[test]
fn an_object_cut_short_anywhere_is_refused() {
    for (name, rewrite, bytes) in OBJECTS.iter() {
        if ends_freely(name, bytes) {
            continue;
        }
        for length in 0..bytes.len() {
            assert!(rewrite(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn an_object_with_one_byte_more_is_refused() {
    for (name, rewrite, bytes) in OBJECTS.iter() {
        if ends_freely(name, bytes) {
            continue;
        }
        for extra in [0, 1, 255] {
            let mut bytes = bytes.clone();
            bytes.push(extra);
            assert!(rewrite(&bytes).is_err(), "{name}");
        }
    }
}

#[test]
fn a_changed_byte_is_refused_or_means_something_else() {
    for (name, rewrite, bytes) in OBJECTS.iter() {
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                is_canonical(name, *rewrite, &bytes);
            }
        }
    }
}

#[test]
fn a_length_or_count_of_all_ones_never_reads_beyond_the_object() {
    for (name, rewrite, bytes) in OBJECTS.iter() {
        for width in [1, 2, 4, 8] {
            for at in 0..bytes.len().saturating_sub(width) {
                let mut bytes = bytes.clone();
                bytes[at..at + width].fill(0xff);
                is_canonical(name, *rewrite, &bytes);
            }
        }
    }
}

#[test]
fn a_chain_takes_none_of_its_own_links_with_a_changed_byte() {
    let whole = samples::long_chain();
    for seq in 1..whole.links().len() {
        let before = PartyChain::from_links(whole.links()[..seq].to_vec()).unwrap();
        let bytes = whole.links()[seq].as_bytes();
        for at in 0..bytes.len() {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            let Ok(link) = Link::parse(&bytes) else {
                continue;
            };
            let mut chain = before.clone();
            assert!(chain.append(link).is_err(), "link {seq}, byte {at}");
            assert_eq!(chain.next_seq(), before.next_seq());
        }
    }
}

fn position() -> impl Strategy<Value = Position> {
    (1..=u64::MAX, any::<[u8; 32]>()).prop_map(|(counter, id)| Position {
        counter,
        id: EnvelopeId(id),
    })
}

fn content() -> impl Strategy<Value = Changes> {
    let acks = btree_map(any::<[u8; 32]>(), position(), 0..20);
    let doc = (any::<u32>(), vec(vec(any::<u8>(), 0..40), 1..5));
    let docs = btree_map(any::<[u8; 16]>(), doc, 0..20);
    (any::<i64>(), acks, docs).prop_map(|(claimed_time_ms, acks, docs)| Changes {
        claimed_time_ms,
        acks: acks
            .into_iter()
            .map(|(device, position)| (DeviceId(device), position))
            .collect(),
        docs: docs
            .into_iter()
            .map(|(doc, (incarnation, changes))| DocChanges {
                doc: DocId(doc),
                incarnation,
                changes,
            })
            .collect(),
    })
}

/// Bytes of a valid object, damaged by overwriting, removing and inserting.
fn damaged() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let edit = (any::<prop::sample::Index>(), 0..3u8, vec(any::<u8>(), 1..9));
    let which = 0..OBJECTS.len();
    (which, vec(edit, 1..4)).prop_map(|(which, edits)| {
        let mut bytes = OBJECTS[which].2.clone();
        for (at, what, new) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let end = (at + new.len()).min(bytes.len());
            match what {
                0 => bytes[at..end].copy_from_slice(&new[..end - at]),
                1 => drop(bytes.drain(at..end)),
                _ => drop(bytes.splice(at..at, new)),
            }
        }
        (which, bytes)
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..600)) {
        for (name, rewrite) in samples::parsers() {
            is_canonical(name, rewrite, &bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_behind_a_sound_start_never_panic(
        kind in 1..9u8,
        rest in vec(any::<u8>(), 0..600),
    ) {
        let bytes = [&[1, kind, 0, 0][..], &rest].concat();
        for (name, rewrite) in samples::parsers() {
            is_canonical(name, rewrite, &bytes);
        }
    }

    #[test]
    fn arbitrary_messages_never_panic(tag: u8, rest in vec(any::<u8>(), 0..300)) {
        let bytes = [&[tag][..], &rest].concat();
        for (name, rewrite) in samples::parsers() {
            is_canonical(name, rewrite, &bytes);
        }
    }

    #[test]
    fn damaged_objects_never_panic((which, bytes) in damaged()) {
        let (name, rewrite, _) = &OBJECTS[which];
        is_canonical(name, *rewrite, &bytes);
    }

    #[test]
    fn arbitrary_addresses_never_panic(text in "\\PC{0,120}") {
        let _ = text.parse::<RelayAddress>();
        let _ = format!("ajar-relay:{text}").parse::<RelayAddress>();
    }

    #[test]
    fn what_is_read_as_an_address_is_written_to_the_same(
        host in "[a-z0-9.:%_-]{1,40}",
        port in 1..=u16::MAX,
        claim: Option<[u8; 16]>,
    ) {
        let address = RelayAddress { host, port, key: samples::RELAY_KEY, claim };
        prop_assert_eq!(address.to_string().parse::<RelayAddress>(), Ok(address));
    }

    #[test]
    fn content_survives(changes in content()) {
        let bytes = changes.encode().unwrap();
        prop_assert_eq!(Changes::decode(&bytes), Ok(changes));
    }

    #[test]
    fn frontiers_survive(rows in btree_map(any::<[u8; 32]>(), position(), 0..128)) {
        let rows: BTreeMap<_, _> = rows;
        let frontier: Frontier = rows
            .iter()
            .map(|(device, position)| (DeviceId(*device), *position))
            .collect();
        prop_assert_eq!(frontier.len(), rows.len());
        for (device, position) in &rows {
            prop_assert_eq!(frontier.of(&DeviceId(*device)), Some(*position));
            prop_assert_eq!(frontier.counter(&DeviceId(*device)), position.counter);
        }
        let message = ajar_protocol::client_msg::ClientMsg::Subscribe {
            chains: Vec::new(),
            frontier,
        };
        let frame = message.to_frame();
        prop_assert_eq!(
            ajar_protocol::client_msg::ClientMsg::parse(&frame[4..]),
            Ok(message)
        );
    }
}
