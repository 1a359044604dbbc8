//! Messages between client and relay, and between two devices that pair: what is accepted is
//! written back as it came. The first byte chooses who reads.

use std::sync::LazyLock;

use ajar_crypto::{DeviceSecrets, RecoveryPhrase};
use ajar_engine::membership::NewHalf;
use ajar_engine::pairing::OwnHalf;
use ajar_engine::store::MemoryStore;
use ajar_engine::{Replica, pairing};
use ajar_protocol::blob_msg::{BlobReply, BlobRequest};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::codec::Writer;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{BlobId, Malformed, envelope, frame, id, label, limits};

use super::Fate;
use super::scene::{LAPTOP_KEYS, SCENE};
use super::seeds::vectors;
use super::world::{agree, rng, start};

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
pub fn messages(input: &[u8]) -> Option<Fate> {
    let (who, bytes) = input.split_first()?;
    match who % 8 {
        4 => Fate::of("frame", whole_frame(bytes).is_ok()),
        5 => Fate::of("half of the partner", half_of_the_partner(bytes)),
        6 => Fate::of("first epoch", first_epoch(bytes)),
        7 => Fate::of("space for a new device", hand_over(bytes)),
        who => {
            let (name, rewrite) = READERS[usize::from(who)];
            let read = rewrite(bytes);
            let taken = read.is_ok();
            if let Ok(again) = read {
                assert_eq!(again, bytes, "{name}: a message has two spellings");
            }
            Fate::of(name, taken)
        }
    }
}

/// As a reader of a stream takes it: length, tag, body.
fn whole_frame(bytes: &[u8]) -> Result<(), Malformed> {
    let (field, rest) = bytes
        .split_first_chunk::<{ frame::LENGTH }>()
        .ok_or(Malformed::Truncated("frame"))?;
    for limit in [limits::FRAME_BEFORE_LOGIN, limits::FRAME] {
        let length = frame::checked_length(*field, limit)?;
        assert!(length > 0 && length <= limit);
        let content = rest.get(..length).ok_or(Malformed::Truncated("frame"))?;
        let (tag, body) = frame::split(content)?;
        assert_eq!(frame::wrap(tag, body), bytes[..frame::LENGTH + length]);
    }
    Ok(())
}

/// The offer of somebody who has not been paired yet, and the same bytes as their signature:
/// nobody has signed this genesis.
fn half_of_the_partner(bytes: &[u8]) -> bool {
    let mut rng = rng(90);
    let words = RecoveryPhrase::generate(&mut rng).unwrap();
    let slot = words.slot_keys(1).unwrap().public();
    let half = OwnHalf::new(start(), &mut rng, &slot).unwrap();
    let met = half.meet(bytes);
    let taken = met.is_ok();
    if let Ok((met, _)) = met {
        assert!(met.sign(bytes).is_err());
    }
    taken
}

/// Ben before the first epoch, and Ana's keys.
static PAIRED: LazyLock<(MemoryStore, DeviceSecrets)> = LazyLock::new(|| {
    let (ana, ben) = agree(91);
    let store = MemoryStore::default();
    drop(Replica::create(store.clone(), ben).unwrap());
    (store, ana.secrets)
});

/// The first key change, signed by Ana whatever it is.
fn first_epoch(unsigned: &[u8]) -> bool {
    let (store, ana) = &*PAIRED;
    let signature = ana.sign_envelope(&id::hash(label::ENV_HASH, &[unsigned]));
    let mut message = Writer::default();
    message.u8(4).bytes32(&[unsigned, &signature].concat());
    let store = store.copied();
    let mut ben = Replica::open(store.clone()).unwrap();
    let before = ben.frontier().clone();
    let _ = pairing::take_first_epoch(&mut ben, start(), &message.finish());
    let again = Replica::open(store).unwrap();
    assert_eq!(again.frontier(), ben.frontier(), "not as it was kept");
    *ben.frontier() != before
}

/// What an old device hands over to a new one: nothing but the offered space is taken.
fn hand_over(bytes: &[u8]) -> bool {
    let offer = SCENE.offer;
    let half = NewHalf::new(&mut rng(LAPTOP_KEYS), offer).unwrap();
    let space = half.take(bytes);
    if let Ok(space) = &space {
        assert_eq!(space.genesis.id(), offer.space);
    }
    space.is_ok()
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
    let mut rng = rng(94);
    let words = RecoveryPhrase::generate(&mut rng).unwrap();
    let slot = words.slot_keys(1).unwrap().public();
    let partner = OwnHalf::new(start(), &mut rng, &slot).unwrap();
    for claim in [None, Some([7; 16])] {
        all.push([&[5], partner.offer("Ana", claim).as_slice()].concat());
    }
    let (ana, _) = agree(91);
    let mut ana = Replica::create(MemoryStore::default(), ana).unwrap();
    let first = pairing::first_epoch(&mut ana, start(), &mut rng).unwrap();
    // Tag and length before the envelope, and its signature, are added again.
    let unsigned = &first[5..first.len() - envelope::SIGNATURE];
    all.push([&[6], unsigned].concat());
    all.push([&[7], SCENE.handed_over.as_slice()].concat());
    all
}
