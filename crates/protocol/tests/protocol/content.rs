//! Envelopes, epoch records, contents and frontiers as bytes.

use ajar_protocol::changes::{Changes, Compression, DocChanges, join, split};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::envelope::{HEADER, SIGNATURE, TAG, assemble};
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{
    DeviceId, DocId, Envelope, EnvelopeId, EnvelopeType, EpochId, Frontier, Malformed, Position,
    limits,
};

use crate::samples;
use crate::support::{ana, ben};

fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn an_unknown_version_type_suite_or_flag_is_refused() {
    let envelope = samples::changes_envelope(&ana());
    let refused = |at, value| Envelope::parse(&with(envelope.as_bytes(), at, &[value]));
    for value in [0, 2, 255] {
        assert!(matches!(refused(0, value), Err(Malformed::Version(_))));
        assert!(matches!(refused(2, value), Err(Malformed::Version(_))));
    }
    for value in [0, 6, 255] {
        assert!(matches!(refused(1, value), Err(Malformed::Kind(_))));
    }
    for value in [1, 0x80] {
        assert!(matches!(refused(3, value), Err(Malformed::Reserved(_))));
    }
}

#[test]
fn a_zero_counter_is_refused() {
    let envelope = samples::changes_envelope(&ana());
    let bytes = with(envelope.as_bytes(), 100, &[0; 8]);
    assert!(matches!(Envelope::parse(&bytes), Err(Malformed::Value(_))));
    let bytes = with(&bytes, 108, &[0; 32]);
    assert!(matches!(Envelope::parse(&bytes), Err(Malformed::Value(_))));
}

#[test]
fn the_first_envelope_has_no_predecessor_and_every_other_has_one() {
    let ana = ana();
    let first = samples::epoch_envelope(&ana, &ben());
    let second = samples::changes_envelope(&ana);
    assert_eq!((first.header().counter, second.header().counter), (1, 2));
    let bytes = with(first.as_bytes(), 108, &[1]);
    assert!(matches!(Envelope::parse(&bytes), Err(Malformed::Value(_))));
    let bytes = with(second.as_bytes(), 108, &[0; 32]);
    assert!(matches!(Envelope::parse(&bytes), Err(Malformed::Value(_))));
    let bytes = with(second.as_bytes(), 100, &1u64.to_be_bytes());
    assert!(matches!(Envelope::parse(&bytes), Err(Malformed::Value(_))));
}

#[test]
fn an_epoch_envelope_with_an_epoch_nonce_or_commitment_is_refused() {
    let envelope = samples::epoch_envelope(&ana(), &ben());
    for at in [36, 67, 172, 195, 196, 227] {
        let bytes = with(envelope.as_bytes(), at, &[1]);
        assert!(
            matches!(Envelope::parse(&bytes), Err(Malformed::Reserved(_))),
            "{at}"
        );
    }
}

#[test]
fn a_length_of_four_gibibytes_or_one_over_the_limit_is_refused() {
    let envelope = samples::changes_envelope(&ana());
    let over = u32::try_from(limits::ENVELOPE_CIPHERTEXT + 1).unwrap();
    for length in [u32::MAX, over] {
        let bytes = with(envelope.as_bytes(), 228, &length.to_be_bytes());
        assert!(matches!(
            Envelope::parse(&bytes),
            Err(Malformed::TooLarge(_))
        ));
    }
    assert!(matches!(
        Envelope::parse(&vec![1; limits::ENVELOPE + 1]),
        Err(Malformed::TooLarge(_))
    ));
}

#[test]
fn the_largest_envelope_is_accepted_and_one_byte_more_is_not() {
    let ana = ana();
    let mut header = *samples::changes_envelope(&ana).header();
    header.length = u32::try_from(limits::ENVELOPE_CIPHERTEXT).unwrap();
    let body = vec![0; limits::ENVELOPE_CIPHERTEXT + TAG];
    let envelope = assemble(&header, &body, |_| [0; SIGNATURE]).unwrap();
    assert_eq!(envelope.as_bytes().len(), limits::ENVELOPE);
    header.length += 1;
    let body = vec![0; limits::ENVELOPE_CIPHERTEXT + TAG + 1];
    assert!(matches!(
        assemble(&header, &body, |_| [0; SIGNATURE]),
        Err(Malformed::TooLarge(_))
    ));
}

#[test]
fn a_body_that_is_not_as_long_as_its_header_says_is_refused() {
    let ana = ana();
    let header = *samples::changes_envelope(&ana).header();
    let said = header.length as usize + TAG;
    for length in [0, said - 1, said + 1] {
        assert!(assemble(&header, &vec![0; length], |_| [0; SIGNATURE]).is_err());
    }
}

#[test]
fn every_changed_byte_of_an_envelope_is_rejected() {
    let ana = ana();
    let envelope = samples::changes_envelope(&ana);
    let key = &ana.laptop.public.sign;
    assert!(envelope.clone().verify(key).is_ok());
    for at in 0..envelope.as_bytes().len() {
        let mut bytes = envelope.as_bytes().to_vec();
        bytes[at] ^= 1;
        let verified = Envelope::parse(&bytes).and_then(|envelope| envelope.verify(key));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn an_envelope_under_another_key_is_refused() {
    let (ana, ben) = (ana(), ben());
    let envelope = samples::changes_envelope(&ana);
    for key in [
        ben.laptop.public.sign,
        ana.phone.public.sign,
        ana.laptop.public.auth,
    ] {
        assert!(matches!(
            envelope.clone().verify(&key),
            Err(Malformed::Signature(_))
        ));
    }
    for key in crate::link::weak_ed25519() {
        assert!(matches!(
            envelope.clone().verify(&key),
            Err(Malformed::Key(_))
        ));
    }
}

#[test]
fn a_verified_envelope_gives_the_header_as_received_and_the_body() {
    let ana = ana();
    let envelope = samples::changes_envelope(&ana);
    let bytes = envelope.as_bytes().to_vec();
    let id = envelope.id();
    let verified = envelope.verify(&ana.laptop.public.sign).unwrap();
    assert_eq!(verified.aad(), &bytes[..HEADER]);
    assert_eq!(verified.body(), &bytes[HEADER..bytes.len() - SIGNATURE]);
    assert_eq!(verified.id(), id);
    assert_eq!(verified.header().kind, EnvelopeType::Changes);
    assert_eq!(verified.as_bytes(), bytes);
}

#[test]
fn an_epoch_record_with_an_unknown_version_or_reason_is_refused() {
    let bytes = samples::epoch_record(&ana(), &ben()).encode();
    assert!(matches!(
        EpochRecord::parse(&with(&bytes, 0, &[2])),
        Err(Malformed::Version(_))
    ));
    for reason in [0, 8] {
        assert!(matches!(
            EpochRecord::parse(&with(&bytes, 9, &[reason])),
            Err(Malformed::Value(_))
        ));
    }
}

#[test]
fn unordered_or_repeated_recipients_and_parents_are_refused() {
    let record = samples::epoch_record(&ana(), &ben());
    let mut swapped = record.clone();
    swapped.seals.swap(0, 1);
    let mut twice = record.clone();
    twice.seals[1] = twice.seals[0].clone();
    for record in [swapped, twice] {
        assert!(matches!(
            EpochRecord::parse(&record.encode()),
            Err(Malformed::Order("recipients of an epoch"))
        ));
    }
    let mut swapped = record.clone();
    swapped.parents = vec![EpochId([2; 32]), EpochId([1; 32])];
    let mut twice = record;
    twice.parents = vec![EpochId([2; 32]), EpochId([2; 32])];
    for record in [swapped, twice] {
        assert!(matches!(
            EpochRecord::parse(&record.encode()),
            Err(Malformed::Order("parents of an epoch"))
        ));
    }
}

#[test]
fn an_epoch_record_over_its_limits_is_refused() {
    let record = samples::epoch_record(&ana(), &ben());
    let mut parents = record.clone();
    parents.parents = (0..5).map(|n| EpochId([n; 32])).collect();
    let mut seals = record.clone();
    seals.seals = (0..19)
        .map(|n| {
            let mut seal = record.seals[0].clone();
            seal.recipient = [n; 32];
            seal
        })
        .collect();
    let mut history = record.clone();
    history.history = vec![0; limits::EPOCH_HISTORY + 1];
    for record in [parents, seals, history] {
        assert!(matches!(
            EpochRecord::parse(&record.encode()),
            Err(Malformed::TooLarge(_))
        ));
    }
    let bytes = record.encode();
    let length_at = record.encode_front().len();
    assert!(matches!(
        EpochRecord::parse(&with(&bytes, length_at, &[0xff; 4])),
        Err(Malformed::TooLarge(_))
    ));
}

#[test]
fn the_front_of_an_epoch_record_ends_where_its_history_begins() {
    let record = samples::epoch_record(&ana(), &ben());
    let (front, whole) = (record.encode_front(), record.encode());
    assert_eq!(front, whole[..front.len()]);
    assert_eq!(whole.len(), front.len() + 4 + 24 + record.history.len());
}

#[test]
fn content_with_unordered_acknowledgements_or_documents_is_refused_both_ways() {
    let changes = samples::changes();
    let mut acks = changes.clone();
    acks.acks.reverse();
    let mut ack_twice = changes.clone();
    ack_twice.acks[1].0 = ack_twice.acks[0].0;
    for changes in [acks, ack_twice] {
        assert!(matches!(changes.encode(), Err(Malformed::Order(_))));
    }
    let mut docs = changes.clone();
    docs.docs.reverse();
    let mut doc_twice = changes.clone();
    doc_twice.docs[1].doc = doc_twice.docs[0].doc;
    for changes in [docs, doc_twice] {
        assert!(matches!(changes.encode(), Err(Malformed::Order(_))));
    }
    // The same as bytes: device of the second acknowledgement becomes that of the first.
    let bytes = changes.encode().unwrap();
    let first = bytes[9..41].to_vec();
    assert!(matches!(
        Changes::decode(&with(&bytes, 9 + 72, &first)),
        Err(Malformed::Order("acknowledgements"))
    ));
}

#[test]
fn an_acknowledgement_of_nothing_is_refused() {
    let mut changes = samples::changes();
    let bytes = changes.encode().unwrap();
    assert!(matches!(
        Changes::decode(&with(&bytes, 9 + 32, &[0; 8])),
        Err(Malformed::Value(_))
    ));
    changes.acks[0].1.counter = 0;
    assert!(matches!(changes.encode(), Err(Malformed::Value(_))));
}

#[test]
fn a_document_without_changes_is_refused() {
    let mut changes = samples::changes();
    changes.docs[0].changes.clear();
    assert!(matches!(changes.encode(), Err(Malformed::Value(_))));
    let mut out = Writer::default();
    out.i64(0).u8(0).u16(1).raw(&[1; 16]).u32(0).u16(0);
    assert!(matches!(
        Changes::decode(&out.finish()),
        Err(Malformed::Value(_))
    ));
}

#[test]
fn content_over_its_limits_is_refused_both_ways() {
    let ack = |n: u8| {
        let position = Position {
            counter: 1,
            id: EnvelopeId([1; 32]),
        };
        (DeviceId([n; 32]), position)
    };
    let doc = |n: u8, changes: usize| DocChanges {
        doc: DocId([n; 16]),
        incarnation: 0,
        changes: vec![vec![]; changes],
    };
    let content = |acks: u8, docs: u8, changes: usize| Changes {
        claimed_time_ms: 0,
        acks: (0..acks).map(ack).collect(),
        docs: (0..docs).map(|n| doc(n, changes)).collect(),
    };
    assert!(content(128, 64, 256).encode().is_ok());
    for content in [content(129, 0, 1), content(0, 65, 1), content(0, 1, 257)] {
        assert!(matches!(content.encode(), Err(Malformed::TooLarge(_))));
    }
    let mut large = content(0, 1, 1);
    large.docs[0].changes[0] = vec![0; limits::CHANGES_PLAINTEXT];
    assert!(matches!(large.encode(), Err(Malformed::TooLarge(_))));
    assert!(matches!(
        Changes::decode(&vec![0; limits::CHANGES_PLAINTEXT + 1]),
        Err(Malformed::TooLarge(_))
    ));
    let mut acks = Writer::default();
    acks.i64(0).u8(129);
    let mut docs = Writer::default();
    docs.i64(0).u8(0).u16(u16::MAX);
    let mut changes = Writer::default();
    changes.i64(0).u8(0).u16(1).raw(&[1; 16]).u32(0).u16(257);
    let mut change = Writer::default();
    change.i64(0).u8(0).u16(1).raw(&[1; 16]).u32(0).u16(1);
    change.u32(u32::MAX);
    for bytes in [acks, docs, changes, change] {
        assert!(matches!(
            Changes::decode(&bytes.finish()),
            Err(Malformed::TooLarge(_))
        ));
    }
}

#[test]
fn an_unknown_content_version_or_compression_is_refused() {
    for compression in [Compression::None, Compression::Zstd] {
        let joined = join(compression, b"rest");
        assert_eq!(split(&joined), Ok((compression, &b"rest"[..])));
    }
    assert!(matches!(split(&[2, 0]), Err(Malformed::Version(_))));
    assert!(matches!(split(&[1, 2]), Err(Malformed::Kind(_))));
    assert!(matches!(split(&[1]), Err(Malformed::Truncated(_))));
    assert!(matches!(split(&[]), Err(Malformed::Truncated(_))));
}

fn read_frontier(bytes: &[u8]) -> Result<Frontier, Malformed> {
    let mut reader = Reader::new(bytes, "frontier");
    let frontier = Frontier::decode(&mut reader)?;
    reader.finish()?;
    Ok(frontier)
}

#[test]
fn an_unordered_or_repeated_frontier_is_refused() {
    let mut out = Writer::default();
    samples::frontier().encode(&mut out);
    let bytes = out.finish();
    assert_eq!(read_frontier(&bytes), Ok(samples::frontier()));
    let (one, other) = (&bytes[2..74], &bytes[74..146]);
    let swapped = [&bytes[..2], other, one, &bytes[146..]].concat();
    let twice = [&bytes[..2], one, one, &bytes[146..]].concat();
    for bytes in [swapped, twice] {
        assert!(matches!(read_frontier(&bytes), Err(Malformed::Order(_))));
    }
}

#[test]
fn a_frontier_row_of_nothing_is_refused() {
    let mut out = Writer::default();
    samples::frontier().encode(&mut out);
    let bytes = with(&out.finish(), 2 + 32, &[0; 8]);
    assert!(matches!(read_frontier(&bytes), Err(Malformed::Value(_))));
}

#[test]
fn a_frontier_of_more_devices_than_two_parties_can_have_is_refused() {
    let mut out = Writer::default();
    let full: Frontier = (0..=255u8)
        .take(limits::FRONTIER)
        .map(|n| {
            let id = EnvelopeId([n; 32]);
            (DeviceId([n; 32]), Position { counter: 1, id })
        })
        .collect();
    full.encode(&mut out);
    let bytes = out.finish();
    assert_eq!(read_frontier(&bytes), Ok(full));
    let over = u16::try_from(limits::FRONTIER + 1).unwrap();
    for n in [over, u16::MAX] {
        let bytes = with(&bytes, 0, &n.to_be_bytes());
        assert!(matches!(read_frontier(&bytes), Err(Malformed::TooLarge(_))));
    }
}
