//! Ben brings a long line of changes, each of which stands on the next, so that every look at
//! what waits takes one of them only.

use ajar_engine::Ownership;
use ajar_protocol::changes::{Changes, DocChanges};
use ajar_protocol::{Envelope, id};
use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};

use crate::craft;
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, LAPTOP, World};

/// Changes in the line: half the square of it is more than is tried in one go.
const LINE: u32 = 300;

#[test]
fn changes_in_the_wrong_order_come_bit_by_bit_and_do_not_hold_up_a_device() {
    let mut world = World::with_laptop(970);
    // Only after a removal does anything wait in its place.
    world.remove(ANA, LAPTOP);
    let first = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, first, "y", "under the new key");
    world.run();
    let mut ben = Rogue::of(&mut world, BEN);
    world.disconnect(BEN);
    let doc = world.new_doc(BEN, Ownership::Common);
    let mut theirs = Automerge::new();
    let mut line = Vec::new();
    for incarnation in 0..LINE {
        let actor = id::actor(&ben.space, &ben.secrets.id(), &doc, incarnation);
        let text = incarnation.to_string();
        let change = craft::edit(&mut theirs, &actor, |tx| tx.put(ROOT, "x", text));
        line.push(DocChanges {
            doc,
            incarnation,
            changes: vec![change],
        });
    }
    for item in line.into_iter().rev() {
        let content = Changes {
            docs: vec![item],
            ..Changes::default()
        };
        let envelope = ben.content(&content);
        world.inject(envelope);
    }
    world.run();
    let last = (LINE - 1).to_string();
    // All that was sent has its place, and what came after it counts.
    let counter = world.devices[ANA].home.frontier();
    let counter = counter.counter(&ben.secrets.id());
    assert_eq!(Some(counter), ben.last.map(|last| last.counter));
    let hers = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, hers, "y", "goes on");
    world.reconnect(ANA);
    assert_ne!(world.value(ANA, doc, "x"), Some(last.clone()), "in one go");
    for _ in 0..4 {
        world.reconnect(ANA);
    }
    assert_eq!(world.value(ANA, doc, "x"), Some(last));
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(newest.header().device, world.devices[ANA].home.device());
}
