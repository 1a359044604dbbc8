//! Changes of documents from a member whose keys are real: no panic of Automerge comes out,
//! nobody's words are lost, and both of Ben's devices decide alike. The first byte chooses how
//! deep the rest goes: columns of a change, body of a change, changes of several documents, content.

use ajar_protocol::changes::{Changes, Compression, DocChanges, join, split};
use ajar_protocol::{DocId, EnvelopeType};

use super::Fate;
use super::craft::{self, SAMPLES, chunk, use_document};
use super::scene::{SCENE, Scene};
use super::world::{LAPTOP, PHONE, World};

/// What the rest of an input is.
const WAYS: [&str; 4] = [
    "columns of a change",
    "body of a change",
    "changes",
    "content",
];

/// First bytes from here on ask for every check, also when nothing was taken.
const FULL: u8 = 0xc0;

/// An envelope of Ana's with hostile content.
pub fn changes(input: &[u8]) -> Option<Fate> {
    let (how, rest) = input.split_first()?;
    let scene = &*SCENE;
    let way = WAYS[usize::from(how % 4)];
    let content = match how % 4 {
        0 => of_change(scene, columns(rest)),
        1 => of_change(scene, chunk(craft::CHANGE, rest)),
        2 => join(Compression::None, &checksums_made_right(rest)),
        _ => rest.to_vec(),
    };
    // None: too large for an envelope.
    let envelope = scene.rogue.seal(EnvelopeType::Changes, &content)?;
    let mut world = scene.begin();
    let before = world.heads(PHONE);
    world.inject(envelope.as_bytes());
    world.run();
    let taken = world.heads(PHONE) != before;
    if taken {
        go_on(&mut world, scene.common);
    }
    // Ten times slower: not for everything that was refused.
    if taken || *how >= FULL {
        world.life_goes_on(scene);
    } else {
        world.agrees(scene);
    }
    // What is compressed is hardly ever a change afterwards: there, being read is far enough.
    Fate::of(way, taken || how % 4 == 3 && is_read(&content))
}

/// Changes with their checksums made right, where there are any to be found.
fn checksums_made_right(bytes: &[u8]) -> Vec<u8> {
    let Ok(mut content) = Changes::decode(bytes) else {
        return bytes.to_vec();
    };
    for change in content.docs.iter_mut().flat_map(|one| &mut one.changes) {
        craft::seal(change);
    }
    content.encode().unwrap_or_else(|_| bytes.to_vec())
}

fn is_read(content: &[u8]) -> bool {
    match split(content) {
        Ok((Compression::None, rest)) => Changes::decode(rest).is_ok(),
        Ok((Compression::Zstd, small)) => {
            zstd::bulk::decompress(small, 1 << 20).is_ok_and(|rest| Changes::decode(&rest).is_ok())
        }
        Err(_) => false,
    }
}

/// What was taken in can be read, and written to until it is stored anew.
fn go_on(world: &mut World, doc: DocId) {
    for who in [PHONE, LAPTOP] {
        if let Ok(document) = world.devices[who].home.document(&doc) {
            use_document(document);
        }
    }
    for n in 0..33 {
        world.put(PHONE, doc, "n", &n.to_string());
    }
    world.run();
    assert_eq!(world.value(LAPTOP, doc, "n").as_deref(), Some("32"));
}

fn of_change(scene: &Scene, change: Vec<u8>) -> Vec<u8> {
    let content = Changes {
        docs: vec![DocChanges {
            doc: scene.common,
            incarnation: 0,
            changes: vec![change],
        }],
        ..Changes::default()
    };
    let encoded = content.encode().unwrap_or_default();
    join(Compression::None, &encoded)
}

/// A change of the common document and beginnings of new ones: damage in one leaves the others.
fn of_several(scene: &Scene, sample: &[u8]) -> Vec<u8> {
    let of = |doc: DocId, change: Vec<u8>| DocChanges {
        doc,
        incarnation: 0,
        changes: vec![change],
    };
    let mut docs = vec![of(scene.common, sample.to_vec())];
    docs.extend(scene.fresh.map(|doc| of(doc, craft::beginning(&doc))));
    docs.sort_by_key(|one| one.doc);
    let content = Changes {
        docs,
        ..Changes::default()
    };
    content.encode().unwrap()
}

/// A change whose front is right: which sample it is taken from, then for each column what it is,
/// its length, and its bytes.
fn columns(input: &[u8]) -> Vec<u8> {
    let Some((which, mut rest)) = input.split_first() else {
        return Vec::new();
    };
    let (_, parts) = &SAMPLES[usize::from(*which) % SAMPLES.len()];
    let mut columns = Vec::new();
    while let Some(([spec, length], after)) = rest.split_first_chunk::<2>() {
        let (data, after) = after.split_at(usize::from(*length).min(after.len()));
        columns.push((*spec, data));
        rest = after;
    }
    parts.with(&columns)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let scene = &*SCENE;
    for (which, (change, parts)) in (0_u8..).zip(SAMPLES.iter()) {
        let mut structured = vec![0, which];
        for (spec, data) in &parts.columns {
            structured.extend([*spec, u8::try_from(data.len()).unwrap()]);
            structured.extend_from_slice(data);
        }
        assert_eq!(columns(&structured[1..]), *change, "the parts do not fit");
        all.push(structured);
        all.push([&[1], craft::body(change)].concat());
    }
    for (change, _) in SAMPLES.iter() {
        all.push([&[2], of_several(scene, change).as_slice()].concat());
    }
    let content = of_several(scene, &SAMPLES[0].0);
    let small = zstd::bulk::compress(&content, 3).unwrap();
    // A change that says it is of somebody else: every check, for what is refused.
    all.push([&[FULL + 1], craft::body(&craft::beginning(&scene.own))].concat());
    for (compression, rest) in [(Compression::None, &content), (Compression::Zstd, &small)] {
        all.push([&[3], join(compression, rest).as_slice()].concat());
    }
    all
}
