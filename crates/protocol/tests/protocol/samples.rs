//! One valid object of every kind, and for each a way to read it and write it back.

use ajar_protocol::address::RelayAddress;
use ajar_protocol::auth::{Login, login_hash, permit};
use ajar_protocol::blob_msg::{BlobReply, BlobRequest, DeleteBlobs};
use ajar_protocol::changes::{Changes, DocChanges, join, split};
use ajar_protocol::client_msg::{ChainPosition, ClientMsg, Credential};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::envelope::{HEADER, TAG, assemble};
use ajar_protocol::epoch::{EpochReason, EpochRecord, EpochSeal, recipients};
use ajar_protocol::genesis::membership_head;
use ajar_protocol::id::hash;
use ajar_protocol::link::{LeaveMode, LinkPlace, signed_message};
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{
    BlobId, DeviceId, DocId, Envelope, EnvelopeHeader, EnvelopeId, EnvelopeType, EpochId, Frontier,
    Link, LinkBody, Malformed, PartyChain, PartyId, Position, SpaceGenesis, SpaceId, label,
};
use ed25519_dalek::{Signer, SigningKey};

use crate::space::{private, shared};
use crate::support::{
    Ana, Ben, Device, Signs, Words, amend, ana, ben, cutoff, genesis, grow, recover, replace_root,
    revoke,
};

pub(crate) const RELAY: [u8; 32] = [0x4e; 32];
pub(crate) const EXPORTER: [u8; 32] = [0xe5; 32];
/// A sound Ed25519 key: that of RFC 8032, test 1.
pub(crate) const RELAY_KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// `length` bytes that follow from `name`.
pub(crate) fn noise<const N: usize>(name: &str) -> [u8; N] {
    let mut out = [0; N];
    for (i, chunk) in out.chunks_mut(32).enumerate() {
        let block = hash(name, &[&[u8::try_from(i).unwrap()]]);
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    out
}

/// A chain that holds a link of every kind, in order.
pub(crate) fn long_chain() -> PartyChain {
    let Ana {
        words,
        laptop,
        phone,
        mut chain,
    } = ana();
    let body = revoke(&phone, 12);
    grow(&mut chain, body, &laptop);
    let body = amend(&phone, 15);
    grow(&mut chain, body, &laptop);
    let new = Device::new("Ana's new laptop");
    let body = recover(&chain, &new, &[cutoff(&laptop, 40)]);
    grow(&mut chain, body, &words);
    let body = replace_root(&chain, &Words::new("Ana's new words"), &new);
    grow(&mut chain, body, &words);
    grow(&mut chain, LinkBody::Policy { min_version: 1 }, &new);
    grow(&mut chain, LinkBody::Leave(LeaveMode::Ended), &new);
    chain
}

pub(crate) fn changes() -> Changes {
    let ack = |name: &str, counter| {
        let id = EnvelopeId(noise(name));
        let device = DeviceId(noise(&format!("device of {name}")));
        (device, Position { counter, id })
    };
    let doc = |name: &str, incarnation, changes: &[&[u8]]| DocChanges {
        doc: DocId(noise(name)),
        incarnation,
        changes: changes.iter().map(|change| change.to_vec()).collect(),
    };
    let mut changes = Changes {
        claimed_time_ms: -1,
        acks: vec![ack("one", 7), ack("two", u64::MAX)],
        docs: vec![
            doc("first doc", 0, &[b"one change", b""]),
            doc("second doc", 3, &[&noise::<300>("change")]),
        ],
    };
    changes.acks.sort_by_key(|(device, _)| *device);
    changes.docs.sort_by_key(|doc| doc.doc);
    changes
}

pub(crate) fn epoch_record(ana: &Ana, ben: &Ben) -> EpochRecord {
    let (_, [lower, higher]) = shared(ana, ben);
    let seqs = [lower.last_seq(), higher.last_seq()];
    let seals = recipients(&[lower, higher], &seqs)
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, recipient)| EpochSeal {
            recipient: recipient.id,
            encapsulated: noise(&format!("encapsulated {i}")),
            ciphertext: noise(&format!("sealed key {i}")),
        })
        .collect();
    EpochRecord {
        number: 3,
        reason: EpochReason::Merge,
        parents: vec![EpochId([0x11; 32]), EpochId([0x22; 32])],
        head_lower: lower.head(),
        head_higher: higher.head(),
        commitment: noise("commitment"),
        seals,
        history_nonce: noise("history nonce"),
        history: noise::<144>("history").to_vec(),
    }
}

fn signed(header: &EnvelopeHeader, body: &[u8], by: &Device) -> Envelope {
    assemble(header, body, |id| {
        by.sign
            .sign(&signed_message(label::ENV_SIG, &id.0))
            .to_bytes()
    })
    .unwrap()
}

/// Ana's first envelope in the shared space.
pub(crate) fn epoch_envelope(ana: &Ana, ben: &Ben) -> Envelope {
    let (genesis, [lower, higher]) = shared(ana, ben);
    let body = epoch_record(ana, ben).encode();
    let header = EnvelopeHeader {
        kind: EnvelopeType::Epoch,
        space: genesis.id(),
        epoch: EpochId::ZERO,
        device: ana.laptop.id(),
        counter: 1,
        prev: EnvelopeId::ZERO,
        mhead: membership_head(&[lower, higher], &[lower.last_seq(), higher.last_seq()]).unwrap(),
        nonce: [0; 24],
        commitment: [0; 32],
        length: u32::try_from(body.len()).unwrap(),
    };
    signed(&header, &body, &ana.laptop)
}

/// Ana's second envelope: the shape of CHANGES, with noise for ciphertext.
pub(crate) fn changes_envelope(ana: &Ana) -> Envelope {
    let first = epoch_envelope(ana, &ben());
    let body = noise::<{ 1024 + TAG }>("ciphertext");
    let header = EnvelopeHeader {
        kind: EnvelopeType::Changes,
        epoch: first.id().into(),
        counter: 2,
        prev: first.id(),
        nonce: noise("nonce"),
        commitment: noise("key commitment"),
        length: 1024,
        ..*first.header()
    };
    signed(&header, &body, &ana.laptop)
}

pub(crate) fn frontier() -> Frontier {
    let row = |name: &str, counter| {
        let id = EnvelopeId(noise(name));
        (
            DeviceId(noise(&format!("device of {name}"))),
            Position { counter, id },
        )
    };
    [row("one", 1), row("two", 40), row("three", u64::MAX)]
        .into_iter()
        .collect()
}

pub(crate) fn login(ana: &Ana) -> Login {
    let (space, device, auth) = (SpaceId([0x51; 32]), ana.laptop.id(), ana.laptop.public.auth);
    let message = login_hash(&EXPORTER, &RELAY, &space, &device, &auth);
    Login {
        relay: RELAY,
        space,
        device,
        auth,
        signature: ana
            .laptop
            .auth
            .sign(&signed_message(label::RELAY_AUTH, &message))
            .to_bytes(),
    }
}

pub(crate) fn login_message() -> ClientMsg {
    ClientMsg::Login(login(&ana()))
}

pub(crate) fn introduce_message() -> ClientMsg {
    ClientMsg::Introduce {
        genesis: shared(&ana(), &ben()).0.encode(),
        credential: Credential::Claim(noise("claim")),
    }
}

fn chains() -> Vec<ChainPosition> {
    let (genesis, next) = (shared(&ana(), &ben()).0, 2);
    genesis
        .parties()
        .into_iter()
        .map(|party| ChainPosition { party, next })
        .collect()
}

/// One message of every kind that a client sends.
pub(crate) fn client_messages() -> Vec<ClientMsg> {
    let key = SigningKey::from_bytes(&[3; 32]);
    vec![
        login_message(),
        introduce_message(),
        ClientMsg::Introduce {
            genesis: private(&ana()).encode(),
            credential: Credential::Permit(permit(&key, &SpaceId([0x51; 32]))),
        },
        ClientMsg::AppendLink(ana().chain.links()[1].as_bytes().to_vec()),
        ClientMsg::Subscribe {
            chains: chains(),
            frontier: frontier(),
        },
        ClientMsg::Append(epoch_envelope(&ana(), &ben()).as_bytes().to_vec()),
        ClientMsg::Bootstrap,
        ClientMsg::Trim(noise::<200>("trim record").to_vec()),
        ClientMsg::AskBlobs(vec![BlobId([1; 32]), BlobId([2; 32])]),
        ClientMsg::DeleteBlobs(DeleteBlobs::sign(
            SpaceId(noise("space")),
            DeviceId(noise("device")),
            vec![BlobId([1; 32])],
            &key,
        )),
        ClientMsg::MailboxOpen(Purpose::DeviceLink),
        ClientMsg::MailboxOpen(Purpose::PartnerLink),
        ClientMsg::MailboxJoin(4711),
        ClientMsg::MailboxSend(noise::<33>("PAKE message").to_vec()),
    ]
}

pub(crate) fn refusals() -> Vec<Refusal> {
    use Refusal::{
        BadCredential, Conflict, DiskFull, Gap, NoBlob, NoMailbox, NotAdmitted, Quota, RateLimited,
        Revoked, TooMany, Unavailable, Violation,
    };
    vec![
        NotAdmitted,
        BadCredential,
        Violation,
        Conflict,
        Gap,
        Quota,
        DiskFull,
        RateLimited,
        Unavailable,
        NoMailbox,
        Revoked,
        NoBlob,
        TooMany,
    ]
}

/// One frame of every kind on the stream of a blob.
pub(crate) fn blob_frames() -> Vec<Vec<u8>> {
    let blob = BlobId([1; 32]);
    vec![
        BlobRequest::Put { blob, length: 9 }.to_frame(),
        BlobRequest::Get { blob, offset: 3 }.to_frame(),
        BlobReply::From(3).to_frame(),
        BlobReply::Stored.to_frame(),
        BlobReply::Is(9).to_frame(),
    ]
}

/// One message of every kind that a relay sends.
pub(crate) fn relay_messages() -> Vec<RelayMsg> {
    let name = EnvelopeName {
        device: DeviceId(noise("device")),
        counter: 9,
        id: EnvelopeId(noise("envelope")),
    };
    let (party, seq) = (PartyId(noise("party")), 5);
    let mut all = vec![
        RelayMsg::Welcome {
            permit: noise("permit"),
            chains: chains(),
            frontier: frontier(),
        },
        RelayMsg::Admitted(noise("permit")),
        RelayMsg::Link(ana().chain.links()[1].as_bytes().to_vec()),
        RelayMsg::LinkStored { party, seq },
        RelayMsg::Envelope(epoch_envelope(&ana(), &ben()).as_bytes().to_vec()),
        RelayMsg::Stored(name),
        RelayMsg::CaughtUp,
        RelayMsg::Genesis(noise::<164>("genesis").to_vec()),
        RelayMsg::Trimmed(noise::<200>("trim record").to_vec()),
        RelayMsg::Ready,
        RelayMsg::TrimStored(EnvelopeId(noise("envelope"))),
        RelayMsg::BlobsMissing(vec![BlobId([1; 32])]),
        RelayMsg::BlobsDeleted(vec![BlobId([1; 32]), BlobId([2; 32])]),
        RelayMsg::MailboxOpened(9999),
        RelayMsg::MailboxPeer(Purpose::PartnerLink),
        RelayMsg::MailboxMessage(noise::<33>("PAKE message").to_vec()),
    ];
    for reason in refusals() {
        all.push(RelayMsg::Refused(reason));
        all.push(RelayMsg::LinkNotStored { party, seq, reason });
        all.push(RelayMsg::NotStored(name, reason));
        all.push(RelayMsg::TrimNotStored(name.id, reason));
    }
    all
}

pub(crate) fn addresses() -> Vec<RelayAddress> {
    let address = |host: &str, claim| RelayAddress {
        host: host.to_owned(),
        port: 4433,
        key: RELAY_KEY,
        claim,
    };
    vec![
        address("relay.example", Some(noise("claim"))),
        address("192.0.2.7", None),
        address("2001:db8::7", None),
    ]
}

/// Reads bytes and writes back what was understood, from the fields only.
pub(crate) type Rewrite = fn(&[u8]) -> Result<Vec<u8>, Malformed>;

fn link(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let link = Link::parse(bytes)?;
    let place = LinkPlace {
        party: link.party,
        seq: link.seq,
        prev: link.prev,
        claimed_time_ms: link.claimed_time_ms,
    };
    let nobody = Device::new("nobody");
    let again = Link::sign(place, link.body.clone(), link.signer, nobody.key());
    let (unsigned, _) = again.as_bytes().split_at(again.as_bytes().len() - 64);
    let (_, signature) = bytes.split_at(bytes.len() - 64);
    assert_eq!(again.hash(), link.hash());
    Ok([unsigned, signature].concat())
}

fn envelope(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let envelope = Envelope::parse(bytes)?;
    let rest = &envelope.as_bytes()[HEADER..];
    Ok([envelope.header().encode().as_slice(), rest].concat())
}

fn content(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (compression, rest) = split(bytes)?;
    Ok(join(compression, &Changes::decode(rest)?.encode()?))
}

fn frontier_alone(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes, "frontier");
    let frontier = Frontier::decode(&mut reader)?;
    reader.finish()?;
    let mut out = Writer::default();
    frontier.encode(&mut out);
    Ok(out.finish())
}

pub(crate) const PARSERS: [(&str, Rewrite); 8] = [
    ("link", link),
    ("space genesis", |b| Ok(SpaceGenesis::parse(b)?.encode())),
    ("envelope", envelope),
    ("epoch record", |b| Ok(EpochRecord::parse(b)?.encode())),
    ("content", content),
    ("frontier", frontier_alone),
    ("login", |b| Ok(Login::decode(b)?.encode())),
    ("message of a client", |b| {
        Ok(ClientMsg::parse(b)?.to_frame()[4..].to_vec())
    }),
];

pub(crate) const RELAY_PARSER: (&str, Rewrite) = ("message of a relay", |b| {
    Ok(RelayMsg::parse(b)?.to_frame()[4..].to_vec())
});

/// Every parser of this crate.
pub(crate) fn parsers() -> Vec<(&'static str, Rewrite)> {
    let mut all = PARSERS.to_vec();
    all.push(RELAY_PARSER);
    all
}

/// Valid objects with the parser that each is for.
pub(crate) fn objects() -> Vec<(&'static str, Rewrite, Vec<u8>)> {
    let (ana, ben) = (ana(), ben());
    let parsers = parsers();
    let parser = |wanted: &str| *parsers.iter().find(|(name, _)| *name == wanted).unwrap();
    let mut all: Vec<(&str, Vec<u8>)> = Vec::new();
    for link in long_chain().links() {
        all.push(("link", link.as_bytes().to_vec()));
    }
    all.push((
        "link",
        genesis(&ben.words, &ben.laptop, 0).as_bytes().to_vec(),
    ));
    all.push(("space genesis", private(&ana).encode()));
    all.push(("space genesis", shared(&ana, &ben).0.encode()));
    all.push(("envelope", epoch_envelope(&ana, &ben).as_bytes().to_vec()));
    all.push(("envelope", changes_envelope(&ana).as_bytes().to_vec()));
    all.push(("epoch record", epoch_record(&ana, &ben).encode()));
    for compression in [
        ajar_protocol::changes::Compression::None,
        ajar_protocol::changes::Compression::Zstd,
    ] {
        all.push(("content", join(compression, &changes().encode().unwrap())));
    }
    let mut out = Writer::default();
    frontier().encode(&mut out);
    all.push(("frontier", out.finish()));
    all.push(("frontier", vec![0, 0]));
    all.push(("login", login(&ana).encode()));
    for message in client_messages() {
        all.push(("message of a client", message.to_frame()[4..].to_vec()));
    }
    for message in relay_messages() {
        all.push(("message of a relay", message.to_frame()[4..].to_vec()));
    }
    all.into_iter()
        .map(|(name, bytes)| (name, parser(name).1, bytes))
        .collect()
}
