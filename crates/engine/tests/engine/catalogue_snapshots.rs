//! The attack catalogue, snapshots: one with another past in it, covers that lie, and packs that
//! expand without end.

use std::time::{Duration, Instant};

use ajar_crypto::blob::{BlobKey, BlobSealer};
use ajar_engine::snapshot::pack::{PackError, SealedPack, open_pack};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::snapshot::{
    Endorsement, PackRef, PackedDoc, Snapshot, encode_pack, pack_digest,
};
use ajar_protocol::trim::TrimStatement;
use ajar_protocol::{
    BlobId, DocId, Envelope, EnvelopeId, EnvelopeType, Frontier, PartyChain, Position, id,
};
use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};

use crate::craft;
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, LAPTOP, World, rng};

fn differs(world: &World, who: usize) -> bool {
    let one = |kind: &NoticeKind| matches!(kind, NoticeKind::SnapshotDiffers { .. });
    world.notices(who).iter().any(one)
}

/// A pack whose content is any bytes, compressed by whoever makes it.
fn sealed(compressed: &[u8], docs: u32, digest: [u8; 32]) -> SealedPack {
    let key = BlobKey::random(&mut rng(65)).unwrap();
    let length = compressed.len() as u64;
    let mut sealer = BlobSealer::new(&key, length).unwrap();
    let mut ciphertext = Vec::new();
    sealer.push(compressed, &mut ciphertext).unwrap();
    let blob = BlobId(sealer.finish(&mut ciphertext).unwrap());
    let reference = PackRef {
        shelf: 0,
        blob,
        key: *key.key().expose(),
        salt: *key.salt(),
        length,
        docs,
        digest,
    };
    SealedPack {
        reference,
        ciphertext,
    }
}

/// All documents of Ben's, with one of them changed, in one pack that is what it says.
fn packed(world: &mut World, altered: Option<(DocId, &Automerge)>) -> SealedPack {
    let mut saved = Vec::new();
    for doc in world.heads(BEN).into_keys() {
        let ours = world.devices[BEN].home.document(&doc).unwrap();
        let it = altered.filter(|(other, _)| *other == doc);
        let it = it.map_or(ours, |(_, altered)| altered);
        let mut heads: Vec<[u8; 32]> = it.get_heads().iter().map(|head| head.0).collect();
        heads.sort_unstable();
        saved.push((doc, heads, it.save_nocompress()));
    }
    let docs: Vec<PackedDoc<'_>> = saved
        .iter()
        .map(|(doc, heads, saved)| PackedDoc {
            doc: *doc,
            heads: heads.clone(),
            saved,
        })
        .collect();
    let content = encode_pack(&docs).unwrap();
    let digest = pack_digest(docs.iter().map(|doc| (&doc.doc, doc.heads.as_slice())));
    let small = zstd::bulk::compress(&content, 3).unwrap();
    let pack = sealed(&small, u32::try_from(docs.len()).unwrap(), digest);
    assert!(open_pack(&pack.reference, &pack.ciphertext).is_ok());
    pack
}

/// Ben's snapshot with this pack and this cover; in the relay.
fn publish(world: &mut World, ben: &mut Rogue, pack: SealedPack, cover: Frontier) -> EnvelopeName {
    let chains: Vec<&PartyChain> = world.relay.chains.iter().collect();
    let snapshot = Snapshot {
        claimed_time_ms: 0,
        head_lower: chains[0].head(),
        head_higher: chains[1].head(),
        previous: EnvelopeId::ZERO,
        cover,
        retired: Vec::new(),
        burned: Vec::new(),
        packs: vec![pack.reference.clone()],
    };
    world.blobs.insert(pack.reference.blob, pack);
    let bytes = ben.seal(EnvelopeType::Snapshot, &snapshot.encode().unwrap());
    let envelope = Envelope::parse(&bytes).unwrap();
    world.inject(bytes);
    world.run();
    EnvelopeName {
        device: envelope.header().device,
        counter: envelope.header().counter,
        id: envelope.id(),
    }
}

#[test]
fn t079_another_past_in_a_snapshot_that_only_bens_devices_vouch_for_is_told_and_not_loaded() {
    let mut world = World::with_laptop(7901);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "text", "as Ana wrote it");
    world.run();
    let second = world.link(BEN);
    world.put(BEN, doc, "his", "words");
    world.run();
    // The same document with another text, as if Ana's phone had written it.
    let phone = world.devices[ANA].home.device();
    let space = world.devices[ANA].home.space_id();
    let actor = id::actor(&space, &phone, &doc, 0);
    let mut altered = Automerge::new();
    craft::edit(&mut altered, &actor, |tx| tx.put(ROOT, "text", "altered"));
    let pack = packed(&mut world, Some((doc, &altered)));
    let cover = world.relay.frontier.clone();
    let mut ben = Rogue::of(&mut world, BEN);
    let mut other = Rogue::of(&mut world, second);
    for who in [BEN, second] {
        world.disconnect(who);
    }
    let name = publish(&mut world, &mut ben, pack, cover.clone());
    let statement = TrimStatement {
        space,
        snapshot: name,
        cover,
        retired: Vec::new(),
    };
    let endorsement = Endorsement {
        snapshot: name.id,
        signature: other.secrets.sign_relay_command(&statement.hash()),
    };
    let endorsement = other.seal(EnvelopeType::Endorse, &endorsement.encode());
    world.inject(endorsement);
    world.run();
    let before = world.heads(ANA);
    for who in [ANA, LAPTOP] {
        assert_eq!(world.compare(who), Some(1), "device {who}");
        for _ in 0..2 {
            assert!(differs(&world, who), "device {who}");
            assert_eq!(world.heads(who), before, "device {who}");
            let text = world.value(who, doc, "text");
            assert_eq!(text.as_deref(), Some("as Ana wrote it"), "device {who}");
            world.restart(who);
            world.connect(who);
            world.run();
        }
        assert_eq!(world.compare(who), None, "it is not looked at again");
    }
    let sent = world.relay.log.len();
    world.put(ANA, doc, "on", "and on");
    world.run();
    assert_eq!(world.relay.log.len(), sent + 1, "no endorsement goes along");
    // A new device of Ana's, to which the relay shows nothing of the log but this.
    let tablet = world.link_offline(ANA);
    let log = world.relay.log.clone();
    world.relay.log.retain(|bytes| {
        let kind = Envelope::parse(bytes).unwrap().header().kind;
        kind != EnvelopeType::Changes
    });
    world.connect(tablet);
    world.run();
    assert!(world.devices[tablet].home.packs_to_start().is_empty());
    assert_eq!(world.value(tablet, doc, "text"), None, "rather nothing");
    assert!(world.devices[tablet].home.status().missing > 0);
    world.relay.log = log;
    world.reconnect(tablet);
    assert_eq!(world.heads(tablet), world.heads(ANA));
    assert_eq!(world.heads(LAPTOP), world.heads(ANA));
    let text = world.value(tablet, doc, "text");
    assert_eq!(text.as_deref(), Some("as Ana wrote it"));
}

#[test]
fn t024_a_snapshot_that_covers_what_nobody_wrote_is_never_vouched_for_nor_begun_from() {
    for (seed, ahead) in [(2401, 5), (2402, u64::MAX >> 1), (2403, 0)] {
        let mut world = World::with_laptop(seed);
        let doc = world.new_doc(ANA, Ownership::Common);
        world.put(ANA, doc, "text", "as it was");
        world.run();
        let pack = packed(&mut world, None);
        let mut ben = Rogue::of(&mut world, BEN);
        world.disconnect(BEN);
        // Ahead of what the phone has written, or as far, with another envelope in that place.
        let phone = world.devices[ANA].home.device();
        let mut cover = world.relay.frontier.clone();
        let counter = cover.counter(&phone) + ahead;
        let id = EnvelopeId([9; 32]);
        cover.set(phone, Position { counter, id });
        publish(&mut world, &mut ben, pack, cover);
        let sent = world.relay.log.len();
        for who in [ANA, LAPTOP] {
            world.compare(who);
            world.errands(who);
        }
        // It comes to be reached; what lies between is not in it.
        for n in 0..6 {
            world.put(ANA, doc, "n", &n.to_string());
        }
        world.run();
        for who in [ANA, LAPTOP] {
            world.compare(who);
            world.errands(who);
            assert_eq!(differs(&world, who), ahead < 6, "{ahead}: device {who}");
        }
        let hers = world.new_doc(LAPTOP, Ownership::Mine);
        world.put(LAPTOP, hers, "x", "1");
        world.run();
        assert_eq!(world.relay.log.len(), sent + 7, "nobody endorses it");
        assert!(world.relay.trim.is_none());
        let tablet = world.link_offline(ANA);
        world.connect(tablet);
        world.run();
        assert!(world.devices[tablet].home.packs_to_start().is_empty());
        for who in [LAPTOP, tablet] {
            assert_eq!(world.heads(who), world.heads(ANA), "device {who}");
            let findings = world.devices[who].home.check().findings;
            assert_eq!(findings, Vec::<String>::new());
            assert_eq!(world.devices[who].home.status().parked, 0);
        }
    }
}

/// Highest resident memory of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// One zstd frame of `blocks` blocks that each stand for 128 KiB of zeros in four bytes.
fn bomb(blocks: usize, claimed: Option<u64>) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd];
    match claimed {
        // A window of 1 MiB, and no size.
        None => out.extend([0, 10 << 3]),
        // A window of 1 MiB, and a size.
        Some(size) => {
            out.extend([0xc0, 10 << 3]);
            out.extend(size.to_le_bytes());
        }
    }
    for n in 1..=blocks {
        let header: u32 = (128 << 10) << 3 | 1 << 1 | u32::from(n == blocks);
        out.extend(&header.to_le_bytes()[..3]);
        out.push(0);
    }
    out
}

#[test]
fn t065_a_pack_that_expands_without_end_is_refused_at_a_hard_limit() {
    let small = bomb(4, None);
    let plain = zstd::stream::decode_all(small.as_slice()).unwrap();
    assert_eq!(plain.len(), 512 << 10, "it is a frame");
    // Half a gigabyte, 64 gigabytes, and frames that lie about what they hold.
    let blocks = [4096, 524_288];
    let huge = [Some(u64::MAX), Some(1 << 40)];
    let bombs = blocks.map(|blocks| bomb(blocks, None));
    let liars = huge.map(|claimed| bomb(16, claimed));
    for (n, bomb) in bombs.iter().chain(&liars).enumerate() {
        let pack = sealed(bomb, 1, [0; 32]);
        let (before, began) = (peak_memory(), Instant::now());
        let opened = open_pack(&pack.reference, &pack.ciphertext).map(drop);
        assert_eq!(opened, Err(PackError::Content), "{n}");
        assert!(began.elapsed() < Duration::from_secs(20), "{n}");
        // Other tests of this process need some too; 64 gigabytes it is not.
        let grown = peak_memory().saturating_sub(before);
        assert!(grown < 1 << 30, "{n}: {grown}");
    }
    // A device that is to compare it says so, and goes on.
    let mut world = World::with_laptop(6501);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "text", "as it was");
    world.run();
    let cover = world.relay.frontier.clone();
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let pack = sealed(&bombs[1], 1, [0; 32]);
    publish(&mut world, &mut ben, pack, cover);
    for who in [ANA, LAPTOP] {
        let packs = world.devices[who]
            .home
            .snapshot_to_compare()
            .unwrap()
            .unwrap();
        let opened = open_pack(&packs[0], &world.blobs[&packs[0].blob].ciphertext);
        assert_eq!(opened.map(drop), Err(PackError::Content));
        world.devices[who].home.pack_is_wrong(world.now).unwrap();
        assert!(differs(&world, who));
        world.restart(who);
        world.connect(who);
        world.run();
        assert!(differs(&world, who));
        assert_eq!(world.compare(who), None);
    }
    world.put(ANA, doc, "text", "and on");
    world.run();
    assert_eq!(world.value(LAPTOP, doc, "text").as_deref(), Some("and on"));
    assert_eq!(world.heads(ANA), world.heads(LAPTOP));
}
