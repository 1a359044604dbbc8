//! Messages between client and relay, and between two devices that pair: what is accepted is
//! written back as it came. The first byte chooses who reads.

use std::sync::LazyLock;

use ajar_crypto::RecoveryPhrase;
use ajar_engine::membership::{LinkOffer, NewHalf};
use ajar_engine::pairing::{OwnHalf, verdict};
use ajar_engine::replica::NewSpace;
use ajar_engine::store::MemoryStore;
use ajar_engine::{Replica, pairing};
use ajar_protocol::blob_msg::{BlobReply, BlobRequest};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::codec::Reader;
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{BlobId, Malformed, frame, limits};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::seeds::vectors;
use super::world::{agree, start};

/// Who reads the content of a frame: what follows its length.
const READERS: [(&str, super::objects::Rewrite); 4] = [
    ("relay", |b| {
        Ok(ClientMsg::parse(b)?.to_frame()[frame::LENGTH..].to_vec())
    }),
    ("client", |b| {
        Ok(RelayMsg::parse(b)?.to_frame()[frame::LENGTH..].to_vec())
    }),
    ("relay, on the stream of a blob", |b| {
        Ok(BlobRequest::parse(b)?.to_frame()[frame::LENGTH..].to_vec())
    }),
    ("client, on the stream of a blob", |b| {
        Ok(BlobReply::parse(b)?.to_frame()[frame::LENGTH..].to_vec())
    }),
];

/// Any message.
pub fn messages(input: &[u8]) {
    let Some((who, bytes)) = input.split_first() else {
        return;
    };
    match who % 8 {
        4 => whole_frame(bytes),
        5 => purpose(bytes),
        6 => pairing_message(bytes),
        7 => hand_over(bytes),
        who => {
            let (name, rewrite) = READERS[usize::from(who)];
            if let Ok(again) = rewrite(bytes) {
                assert_eq!(again, bytes, "{name}: a message has two spellings");
            }
        }
    }
}

/// As a reader of a stream takes it: length, tag, body.
fn whole_frame(bytes: &[u8]) {
    let read = |limit| -> Result<(), Malformed> {
        let (field, rest) = bytes
            .split_first_chunk::<{ frame::LENGTH }>()
            .ok_or(Malformed::Truncated("frame"))?;
        let length = frame::checked_length(*field, limit)?;
        assert!(length > 0 && length <= limit);
        let content = rest.get(..length).ok_or(Malformed::Truncated("frame"))?;
        let (tag, body) = frame::split(content)?;
        assert_eq!(frame::wrap(tag, body), bytes[..frame::LENGTH + length]);
        Ok(())
    };
    for limit in [limits::FRAME_BEFORE_LOGIN, limits::FRAME] {
        let _ = read(limit);
    }
}

fn purpose(bytes: &[u8]) {
    for byte in bytes {
        if let Ok(purpose) = Purpose::from_byte(*byte) {
            assert_eq!(purpose as u8, *byte);
        }
    }
}

fn own_half() -> OwnHalf {
    let mut rng = ChaCha20Rng::seed_from_u64(90);
    let words = RecoveryPhrase::generate(&mut rng).unwrap();
    let slot = words.slot_keys(1).unwrap().public();
    OwnHalf::new(start(), &mut rng, &slot).unwrap()
}

/// What a partner who has not been paired yet says: offer, signature, verdict, first epoch.
fn pairing_message(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    if kind % 2 == 0 {
        // The offer of anybody, then their signature: nobody has signed this genesis.
        if let Ok((met, _)) = own_half().meet(bytes) {
            assert!(met.sign(bytes).is_err());
        }
        return;
    }
    static SPACE: LazyLock<MemoryStore> = LazyLock::new(|| {
        let (_, ben) = agree(91);
        let store = MemoryStore::default();
        drop(Replica::create(store.clone(), ben).unwrap());
        store
    });
    let mut ben = Replica::open(SPACE.copied()).unwrap();
    let epochs = ben.frontier().clone();
    if pairing::take_first_epoch(&mut ben, start(), bytes).is_err() {
        assert_eq!(
            *ben.frontier(),
            epochs,
            "refused, and yet something is kept"
        );
    }
}

/// What an old device hands over to a new one: nothing but the offered space is taken.
fn hand_over(bytes: &[u8]) {
    let offer = LinkOffer::decode(&mut Reader::new(&offered(), "offer")).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(92);
    let half = NewHalf::new(&mut rng, offer).unwrap();
    if let Ok(space) = half.take(bytes) {
        let NewSpace { genesis, .. } = space;
        assert_eq!(genesis.id(), offer.space);
    }
}

fn offered() -> Vec<u8> {
    static OFFER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (ana, _) = agree(93);
        let home = Replica::create(MemoryStore::default(), ana).unwrap();
        home.link_offer().encode()
    });
    OFFER.clone()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let blob = BlobId([1; 32]);
    let blobs = [
        BlobRequest::Put { blob, length: 9 }.to_frame(),
        BlobRequest::Get { blob, offset: 3 }.to_frame(),
        BlobReply::From(3).to_frame(),
        BlobReply::Stored.to_frame(),
        BlobReply::Is(9).to_frame(),
        BlobReply::Refused(Refusal::NoBlob).to_frame(),
    ];
    for bytes in vectors().iter().chain(&blobs) {
        // In vectors a frame stands with its length.
        let content = bytes.get(frame::LENGTH..).unwrap_or_default();
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        if content.is_empty() || bytes[..frame::LENGTH] != length {
            continue;
        }
        all.push([&[4], bytes.as_slice()].concat());
        for (who, (_, rewrite)) in (0_u8..).zip(READERS) {
            if rewrite(content).is_ok() {
                all.push([&[who], content].concat());
            }
        }
    }
    all.push(vec![5, 1, 2, 3]);
    let mut rng = ChaCha20Rng::seed_from_u64(94);
    let words = RecoveryPhrase::generate(&mut rng).unwrap();
    let slot = words.slot_keys(1).unwrap().public();
    let partner = OwnHalf::new(start(), &mut rng, &slot).unwrap();
    let offer = partner.offer("Ana", Some([7; 16]));
    all.push([&[6, 0], offer.as_slice()].concat());
    all.push([&[6, 0][..], &verdict(true)].concat());
    let (ana, _) = agree(91);
    let mut ana = Replica::create(MemoryStore::default(), ana).unwrap();
    let first = pairing::first_epoch(&mut ana, start(), &mut rng).unwrap();
    all.push([&[6, 1], first.as_slice()].concat());
    all.push([&[7], &handed_over()[..]].concat());
    all
}

/// A hand-over to another device than the one that reads it.
fn handed_over() -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(95);
    let (ana, _) = agree(93);
    let mut home = Replica::create(MemoryStore::default(), ana).unwrap();
    let _first = pairing::first_epoch(&mut home, start(), &mut rng).unwrap();
    home.pack().unwrap().to_vec()
}
