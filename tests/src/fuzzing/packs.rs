//! Snapshots of a member whose keys are real: documents as Automerge saves them, packs of them,
//! and the snapshot that names them. Opening and comparing never panics, and nothing that is here
//! is changed by it. The first byte chooses what the rest is.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ajar_crypto::blob::{BlobKey, BlobSealer};
use ajar_engine::documents::prescan::prescan_document;
use ajar_engine::snapshot::pack::{OpenedPack, open_pack};
use ajar_protocol::snapshot::{
    PackRef, PackedDoc, Snapshot, decode_pack, encode_pack, pack_digest,
};
use ajar_protocol::{BlobId, DocId, EnvelopeId, EnvelopeType, LinkHash, PartyChain};
use automerge::Automerge;

use super::Fate;
use super::craft::{DOCUMENT, body, chunk, read_uleb, uleb};
use super::scene::{SCENE, Scene};
use super::world::{LAPTOP, PHONE, rng};

/// What the rest of an input is.
const WAYS: [&str; 3] = ["document", "content of a pack", "compressed pack"];

/// A snapshot of Ana's with a hostile pack.
pub fn packs(input: &[u8]) -> Option<Fate> {
    let (how, rest) = input.split_first()?;
    let scene = &*SCENE;
    let way = WAYS[usize::from(how % 3)];
    let content = match how % 3 {
        // A document, its own heads made right.
        0 => of_document(scene.common, &with_heads(rest)),
        1 => rest.to_vec(),
        // Compressed bytes as they are.
        _ => {
            let pack = seal(rest, &decode(rest).unwrap_or_default());
            return Fate::of(way, open_pack(&pack.0, &pack.1).is_ok());
        }
    };
    let small = zstd::bulk::compress(&content, 1).unwrap();
    let (reference, ciphertext) = seal(&small, &content);
    let Ok(opened) = open_pack(&reference, &ciphertext) else {
        return Fate::of(way, false);
    };
    compare(scene, &reference, opened, &ciphertext);
    Fate::of(way, true)
}

/// Decompresses what is small.
fn decode(small: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::decompress(small, 1 << 20).ok()
}

/// Both of Ben's devices compare the snapshot with what they hold.
fn compare(scene: &Scene, reference: &PackRef, opened: OpenedPack, ciphertext: &[u8]) {
    let mut world = scene.begin();
    let before = world.heads(PHONE);
    let chain = |place: usize| scene.rogue.chains.get(place);
    let head = |place: usize| chain(place).map_or(LinkHash::ZERO, PartyChain::head);
    let snapshot = Snapshot {
        claimed_time_ms: 0,
        head_lower: head(0),
        head_higher: head(1),
        previous: EnvelopeId::ZERO,
        cover: world.relay.frontier.clone(),
        retired: Vec::new(),
        burned: Vec::new(),
        packs: vec![reference.clone()],
    };
    let content = snapshot.encode().unwrap();
    let envelope = scene.rogue.seal(EnvelopeType::Snapshot, &content).unwrap();
    world.inject(envelope.as_bytes());
    world.run();
    let again = open_pack(reference, ciphertext).unwrap();
    let verdicts = [(PHONE, opened), (LAPTOP, again)].map(|(who, opened)| {
        let home = &mut world.devices[who].home;
        let wanted = home.snapshot_to_compare().unwrap();
        assert_eq!(wanted.as_deref(), Some(std::slice::from_ref(reference)));
        home.compare_pack(world.now, opened).unwrap();
        home.end_comparing(world.now).unwrap();
        let notices = home.status().notices;
        let kinds = notices.iter().map(|notice| format!("{:?}", notice.kind));
        kinds.filter(|kind| kind.contains("Snapshot")).count()
    });
    assert_eq!(verdicts[0], verdicts[1], "they judge differently");
    assert_eq!(world.heads(PHONE), before, "looking changed something");
    world.life_goes_on(scene);
}

/// A pack of one document, with the heads that Automerge finds in it.
fn of_document(doc: DocId, saved: &[u8]) -> Vec<u8> {
    let mut heads = heads_in(saved).unwrap_or_default();
    if heads.is_empty() {
        heads.push([1; 32]);
    }
    encode_pack(&[PackedDoc { doc, heads, saved }]).unwrap_or_default()
}

/// A document from what stands behind its heads, with the heads that it has then.
fn with_heads(rest: &[u8]) -> Vec<u8> {
    let Some((front, after)) = rest.split_first() else {
        return Vec::new();
    };
    let front = usize::from(*front).min(after.len());
    let (actors, after) = after.split_at(front);
    let with = |heads: &[[u8; 32]]| {
        let count = uleb(heads.len() as u64);
        let body = [actors, &count, heads.as_flattened(), after].concat();
        chunk(DOCUMENT, &body)
    };
    // Where the heads are, behind the columns, depends on their number: guess one, then ask.
    let guess = with(&[[1; 32]]);
    match heads_in(&guess) {
        Some(heads) => with(&heads),
        None => guess,
    }
}

/// Heads that Automerge finds in a document, as a pack lists them. Nobody hands it here either what
/// is refused before Automerge sees it.
fn heads_in(saved: &[u8]) -> Option<Vec<[u8; 32]>> {
    prescan_document(saved).ok()?;
    let load = || Automerge::load_unverified_heads(saved).ok();
    let doc = catch_unwind(AssertUnwindSafe(load)).ok()??;
    // Those that it says it has are the ones that were written down, right or not.
    let count = || {
        let changes = doc.get_changes(&[]);
        let mut heads: BTreeSet<[u8; 32]> = changes.iter().map(|one| one.hash().0).collect();
        for before in changes.iter().flat_map(|one| one.deps()) {
            heads.remove(&before.0);
        }
        heads.into_iter().collect()
    };
    catch_unwind(AssertUnwindSafe(count)).ok()
}

/// Seals what is compressed already, and says of it what is true.
fn seal(small: &[u8], content: &[u8]) -> (PackRef, Vec<u8>) {
    let key = BlobKey::random(&mut rng(5)).unwrap();
    let length = small.len() as u64;
    let mut sealer = BlobSealer::new(&key, length).unwrap();
    let mut ciphertext = Vec::new();
    sealer.push(small, &mut ciphertext).unwrap();
    let id = sealer.finish(&mut ciphertext).unwrap();
    let docs = decode_pack(content).unwrap_or_default();
    let reference = PackRef {
        shelf: 24_300,
        blob: BlobId(id),
        key: *key.key().expose(),
        salt: *key.salt(),
        length,
        docs: u32::try_from(docs.len()).unwrap().max(1),
        digest: pack_digest(docs.iter().map(|doc| (&doc.doc, doc.heads.as_slice()))),
    };
    (reference, ciphertext)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let scene = &*SCENE;
    let body = body(&scene.saved);
    let mut rest = body;
    let (actors, after) = read_uleb(rest).unwrap();
    rest = after;
    for _ in 0..actors {
        let (length, after) = read_uleb(rest).unwrap();
        rest = &after[length..];
    }
    let front = body.len() - rest.len();
    let (count, after) = read_uleb(rest).unwrap();
    let behind = &after[32 * count..];
    let split = [&[u8::try_from(front).unwrap()], &body[..front], behind].concat();
    let content = of_document(scene.common, &scene.saved);
    let small = zstd::bulk::compress(&content, 3).unwrap();
    vec![
        [&[0], split.as_slice()].concat(),
        [&[1], content.as_slice()].concat(),
        [&[2], small.as_slice()].concat(),
    ]
}
