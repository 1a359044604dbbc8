//! Objects of the protocol: what is accepted is written back as it came, so that no two byte
//! strings mean the same. The first byte chooses the decoder.

use ajar_crypto::DeviceSecrets;
use ajar_engine::membership::{LinkOffer, LinkRequest, NewHalf};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::auth::Login;
use ajar_protocol::blob_msg::DeleteBlobs;
use ajar_protocol::burn::Burn;
use ajar_protocol::changes::{Changes, join, split};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::envelope::HEADER;
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::link::LinkPlace;
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{
    Endorsement, PackRef, PackedDoc, RetiredEpoch, Snapshot, decode_pack, encode_pack,
};
use ajar_protocol::trim::{TrimRecord, TrimStatement};
use ajar_protocol::{
    BlobId, DeviceId, DocId, Envelope, EnvelopeId, EpochId, Frontier, Link, LinkHash, Malformed,
    Position, SpaceGenesis, SpaceId,
};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::Fate;
use super::seeds::vectors;

/// Reads bytes and writes back what was understood, from the fields only.
pub(super) type Rewrite = fn(&[u8]) -> Result<Vec<u8>, Malformed>;

/// Every decoder of an object, by the byte that chooses it.
const DECODERS: [(&str, Rewrite); 16] = [
    ("envelope", envelope),
    ("link", link),
    ("space genesis", |b| Ok(SpaceGenesis::parse(b)?.encode())),
    ("epoch record", |b| Ok(EpochRecord::parse(b)?.encode())),
    ("content", content),
    ("frontier", frontier),
    ("login", |b| Ok(Login::decode(b)?.encode())),
    ("trim record", |b| Ok(TrimRecord::parse(b)?.encode())),
    ("snapshot", |b| Snapshot::decode(b)?.encode()),
    ("endorsement", |b| Ok(Endorsement::decode(b)?.encode())),
    ("burn", |b| Burn::decode(b)?.encode()),
    ("pack", |b| encode_pack(&decode_pack(b)?)),
    ("deletion of blobs", |b| Ok(DeleteBlobs::parse(b)?.encode())),
    ("place for a device", offer),
    ("keys of a new device", request),
    ("relay address", address),
];

/// Any object.
pub fn objects(input: &[u8]) -> Option<Fate> {
    let (which, bytes) = input.split_first()?;
    let (name, rewrite) = DECODERS[usize::from(*which) % DECODERS.len()];
    let read = rewrite(bytes);
    let taken = read.is_ok();
    if let Ok(again) = read {
        assert_eq!(again, bytes, "{name} has two spellings");
    }
    Fate::of(name, taken)
}

fn envelope(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let envelope = Envelope::parse(bytes)?;
    let rest = &envelope.as_bytes()[HEADER..];
    Ok([envelope.header().encode().as_slice(), rest].concat())
}

fn link(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let link = Link::parse(bytes)?;
    let place = LinkPlace {
        party: link.party,
        seq: link.seq,
        prev: link.prev,
        claimed_time_ms: link.claimed_time_ms,
    };
    let nobody = SigningKey::from_bytes(&[1; 32]);
    let again = Link::sign(place, link.body.clone(), link.signer, &nobody);
    assert_eq!(again.hash(), link.hash());
    let (unsigned, _) = again.as_bytes().split_at(again.as_bytes().len() - 64);
    let (_, signature) = bytes.split_at(bytes.len() - 64);
    Ok([unsigned, signature].concat())
}

fn content(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (compression, rest) = split(bytes)?;
    Ok(join(compression, &Changes::decode(rest)?.encode()?))
}

fn frontier(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes, "frontier");
    let frontier = Frontier::decode(&mut reader)?;
    reader.finish()?;
    let mut out = Writer::default();
    frontier.encode(&mut out);
    Ok(out.finish())
}

fn offer(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes, "offer");
    let offer = LinkOffer::decode(&mut reader)?;
    reader.finish()?;
    Ok(offer.encode())
}

fn request(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes, "request");
    let request = LinkRequest::decode(&mut reader)?;
    reader.finish()?;
    Ok(request.encode())
}

/// People type addresses: case and blanks around one do not matter, and once written by us it is
/// read as the same.
fn address(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Value("address"))?;
    let read = |text: &str| text.parse::<RelayAddress>();
    let address = read(text).map_err(|_| Malformed::Value("address"))?;
    assert_eq!(read(&address.to_string()).as_ref(), Ok(&address));
    Ok(bytes.to_vec())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let made = made();
    for (which, (name, rewrite)) in DECODERS.iter().enumerate() {
        let which = u8::try_from(which).unwrap();
        let all_known = vectors().iter().chain(&made);
        let sound = all_known.filter(|bytes| rewrite(bytes).is_ok());
        let before = all.len();
        all.extend(sound.map(|bytes| [&[which], bytes.as_slice()].concat()));
        assert!(all.len() > before, "no {name} to begin from");
    }
    all
}

/// Objects that no vector holds yet.
fn made() -> Vec<Vec<u8>> {
    let (one, two) = (DeviceId([1; 32]), DeviceId([2; 32]));
    let position = |counter| Position {
        counter,
        id: EnvelopeId([9; 32]),
    };
    let cover: Frontier = [(one, position(10)), (two, position(4))]
        .into_iter()
        .collect();
    let statement = TrimStatement {
        space: SpaceId([7; 32]),
        snapshot: EnvelopeName {
            device: one,
            counter: 11,
            id: EnvelopeId([8; 32]),
        },
        cover: cover.clone(),
        retired: vec![(one, 1), (two, 4)],
    };
    let trim = TrimRecord {
        statement,
        signatures: vec![(one, [3; 64]), (two, [4; 64])],
    };
    let pack = |shelf| PackRef {
        shelf,
        blob: BlobId([3; 32]),
        key: [4; 32],
        salt: [5; 16],
        length: 1000,
        docs: 2,
        digest: [6; 32],
    };
    let snapshot = Snapshot {
        claimed_time_ms: 1_767_225_600_000,
        head_lower: LinkHash([7; 32]),
        head_higher: LinkHash([8; 32]),
        previous: EnvelopeId([9; 32]),
        cover,
        retired: vec![RetiredEpoch {
            device: one,
            counter: 1,
            id: EpochId([10; 32]),
            number: 1,
        }],
        burned: vec![DocId([1; 16]), DocId([2; 16])],
        packs: vec![pack(24_300), pack(24_300), pack(24_299)],
    };
    let endorsement = Endorsement {
        snapshot: EnvelopeId([1; 32]),
        signature: [2; 64],
    };
    let burn = Burn {
        claimed_time_ms: 5,
        docs: vec![DocId([1; 16]), DocId([2; 16])],
        blobs: vec![BlobId([3; 32])],
    };
    let packed = [
        PackedDoc {
            doc: DocId([1; 16]),
            heads: vec![[1; 32], [2; 32]],
            saved: b"one",
        },
        PackedDoc {
            doc: DocId([2; 16]),
            heads: vec![[3; 32]],
            saved: b"",
        },
    ];
    let key = SigningKey::from_bytes(&[3; 32]);
    let deletion = DeleteBlobs::sign(SpaceId([7; 32]), one, vec![BlobId([1; 32])], &key);
    let offer = [&[2][..], &[7; 32], &[8; 32], &3_u64.to_be_bytes(), &[9; 32]].concat();
    let read = LinkOffer::decode(&mut Reader::new(&offer, "offer")).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let request = NewHalf::new(&mut rng, read).unwrap().request();
    // Another device's keys in the same form.
    let keys = DeviceSecrets::generate(&mut rng).unwrap().public();
    let other = [&keys.sign[..], &keys.kem, &keys.auth, &[0; 64]].concat();
    vec![
        trim.encode(),
        snapshot.encode().unwrap(),
        endorsement.encode(),
        burn.encode().unwrap(),
        encode_pack(&packed).unwrap(),
        deletion.encode(),
        offer,
        request.encode(),
        other,
    ]
}
