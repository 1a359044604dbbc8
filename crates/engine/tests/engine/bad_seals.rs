//! Ben makes a key change that only some can open. Seals cannot be checked by those they are
//! not for, so it must be the same key change to everyone: else one bad seal would cut Ana's
//! devices off from each other, or her words off from what she writes.

use std::time::Duration;

use ajar_crypto::RecoveryPhrase;
use ajar_engine::recovery::Finder;
use ajar_engine::store::{Key, Store};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::Envelope;
use ajar_protocol::relay_msg::RelayMsg;

use crate::rogue::Rogue;
use crate::world::{ANA, BEN, Device, LAPTOP, RELAY, World, rng};

const NINETY_DAYS: Duration = Duration::from_secs(90 * 24 * 3600);

/// Ben's key change, with nonsense in place of the seal to one recipient.
fn spoilt(world: &mut World, victim: [u8; 32]) -> Rogue {
    let mut ben = Rogue::of(world, BEN);
    world.disconnect(BEN);
    let mut to = ben.recipients();
    let kem = ben.secrets.public().kem;
    let seal = to.iter_mut().find(|recipient| recipient.id == victim);
    seal.expect("the victim is a recipient").kem = kem;
    let epoch = ben.epoch(3, &[ben.epoch], &to);
    let envelope = Envelope::parse(&epoch).expect("an epoch");
    ben.epoch = envelope.id().into();
    world.inject(epoch);
    world.run();
    ben
}

#[test]
fn a_seal_that_is_bad_for_one_of_anas_devices_does_not_part_it_from_the_others() {
    let mut world = World::with_laptop(960);
    let laptop = world.devices[LAPTOP].home.device();
    let ben = spoilt(&mut world, laptop.0);
    let device = ben.secrets.id();
    assert!(
        world
            .notices(LAPTOP)
            .contains(&NoticeKind::BadEpoch { device })
    );
    // The phone got a good seal, and writes under the new key.
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "x", "under Ben's key");
    world.run();
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(newest.header().epoch, ben.epoch);
    assert_eq!(world.value(LAPTOP, doc, "x"), None);
    // The laptop goes on meanwhile, under a key that it has, and the phone reads it.
    let other = world.new_doc(LAPTOP, Ownership::Mine);
    world.put(LAPTOP, other, "x", "from the laptop");
    world.run();
    let seen = world.value(ANA, other, "x");
    assert_eq!(seen.as_deref(), Some("from the laptop"));
    world.restart(LAPTOP);
    world.connect(LAPTOP);
    world.run();
    // With the next key change the phone hands on what the laptop was denied.
    world.pass(NINETY_DAYS);
    world.put(ANA, doc, "y", "later");
    world.run();
    let seen = ["x", "y"].map(|key| world.value(LAPTOP, doc, key));
    let expected = ["under Ben's key", "later"].map(|text| Some(text.to_owned()));
    assert_eq!(seen, expected);
    world.restart(LAPTOP);
    assert_eq!(world.heads(ANA), world.heads(LAPTOP));
    assert_eq!(world.devices[LAPTOP].home.status().parked, 0);
}

/// Nobody but the words can tell that the seal to them is nonsense.
#[test]
fn what_was_written_under_a_key_that_ben_kept_from_the_words_comes_back_with_a_later_one() {
    let seed = 961;
    let mut world = World::with_laptop(seed);
    let phrase = RecoveryPhrase::generate(&mut rng(seed * 1000 + 1)).unwrap();
    let keys = phrase.slot_keys(1).unwrap();
    let ben = spoilt(&mut world, keys.public().root.recovery_id());
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "x", "under Ben's key");
    world.run();
    let newest = Envelope::parse(world.relay.log.last().unwrap()).unwrap();
    assert_eq!(newest.header().epoch, ben.epoch);
    world.pass(NINETY_DAYS);
    world.put(ANA, doc, "y", "later");
    world.run();

    let genesis = world.devices[ANA].store.load(&Key::Genesis).unwrap();
    let mut finder = Finder::new(RELAY, keys.public());
    finder.take(&keys, RelayMsg::Genesis(genesis.unwrap()));
    for chain in &world.relay.chains {
        for link in chain.links() {
            finder.take(&keys, RelayMsg::Link(link.as_bytes().to_vec()));
        }
    }
    for bytes in &world.relay.log {
        finder.take(&keys, RelayMsg::Envelope(bytes.clone()));
    }
    let found = finder.finish().unwrap();
    assert_eq!((found.unopened(), found.dropped()), (0, 0));
    let recovery = found.recover(world.now, &mut rng(seed), &keys, &[], None);
    let recovery = recovery.unwrap();
    world.disconnect(ANA);
    world.disconnect(LAPTOP);
    let place = world.place(ANA);
    world.relay.chains[place]
        .append(recovery.link().clone())
        .unwrap();
    let again = world.devices.len();
    world
        .devices
        .push(Device::create(recovery.into_space(), seed + 1));
    world.connect(again);
    world.run();
    let seen = ["x", "y"].map(|key| world.value(again, doc, key));
    let expected = ["under Ben's key", "later"].map(|text| Some(text.to_owned()));
    assert_eq!(seen, expected);
}
