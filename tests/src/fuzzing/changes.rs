//! Changes of documents from a member whose keys are real: no panic of Automerge comes out,
//! nobody's words are lost, and both of Ben's devices decide alike. The first byte chooses how
//! deep the rest goes: columns of a change, body of a change, a change, a content.

use ajar_protocol::changes::{Changes, Compression, DocChanges, join};
use ajar_protocol::{DocId, EnvelopeType};

use super::craft::{self, SAMPLES, chunk, use_document};
use super::scene::{SCENE, Scene};
use super::world::{LAPTOP, PHONE, World};

/// An envelope of Ana's with hostile content.
pub fn changes(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else {
        return;
    };
    let scene = &*SCENE;
    let content = match how % 5 {
        0 => of_change(scene, columns(rest)),
        1 => of_change(scene, chunk(craft::CHANGE, rest)),
        2 => of_change(scene, rest.to_vec()),
        3 => join(Compression::None, rest),
        _ => rest.to_vec(),
    };
    let Some(envelope) = scene.rogue.seal(EnvelopeType::Changes, &content) else {
        return;
    };
    let mut world = scene.begin();
    let before = world.heads(PHONE);
    world.inject(envelope.as_bytes());
    world.run();
    if world.heads(PHONE) != before {
        taken(&mut world, scene.common);
    }
    world.life_goes_on(scene);
}

/// What was taken in can be read, and written to until it is stored anew.
fn taken(world: &mut World, doc: DocId) {
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
        all.push([&[2], change.as_slice()].concat());
    }
    let content = of_change(scene, SAMPLES[0].0.clone());
    all.push([&[3], &content[2..]].concat());
    all.push([&[4], content.as_slice()].concat());
    let small = zstd::bulk::compress(&content[2..], 3).unwrap();
    all.push([&[4], join(Compression::Zstd, &small).as_slice()].concat());
    all
}
