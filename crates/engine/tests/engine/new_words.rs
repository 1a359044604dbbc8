//! Other twelve words: signed with the old ones and by a device, told to nobody else.

use ajar_crypto::RecoveryPhrase;
use ajar_engine::{EngineError, Misuse, NoticeKind, Ownership};
use ajar_protocol::epoch::{EpochReason, EpochRecord};
use ajar_protocol::{Envelope, EnvelopeType};

use crate::linking::misuse;
use crate::world::{ANA, BEN, World, rng, words};

fn replace(
    world: &mut World,
    who: usize,
    old: &ajar_crypto::SlotKeys,
    new: &ajar_crypto::SlotKeys,
) -> Result<(), EngineError> {
    let home = &mut world.devices[who].home;
    let outputs = home.propose_root_replace(world.now, old, &new.public().root)?;
    world.take(who, outputs);
    Ok(())
}

fn fresh(seed: u64) -> ajar_crypto::SlotKeys {
    let words = RecoveryPhrase::generate(&mut rng(seed)).unwrap();
    words.slot_keys(1).unwrap()
}

/// The newest epoch that the relay holds.
pub(crate) fn newest_epoch(world: &World) -> EpochRecord {
    let envelopes = world.relay.log.iter().rev();
    let mut epochs = envelopes
        .map(|bytes| Envelope::parse(bytes).unwrap())
        .filter(|envelope| envelope.header().kind == EnvelopeType::Epoch);
    let epoch = epochs.next().unwrap();
    let mut chains = world.relay.chains.iter();
    let author = chains.find_map(|chain| chain.device(&epoch.header().device));
    let epoch = epoch.verify(&author.unwrap().keys.sign).unwrap();
    EpochRecord::parse(epoch.body()).unwrap()
}

#[test]
fn anas_new_words_are_in_force_on_her_devices_and_open_what_is_written_next() {
    let mut world = World::online(210);
    let laptop = world.link(ANA);
    let (old, new) = (words(210, ANA), fresh(1));
    assert_eq!(world.devices[ANA].home.root(), old.public().root);
    assert_eq!(world.devices[ANA].home.slot(), 1);
    replace(&mut world, ANA, &old, &new).unwrap();
    assert_eq!(world.devices[ANA].home.root(), old.public().root, "not yet");
    world.run();
    for who in [ANA, laptop] {
        assert_eq!(world.devices[who].home.root(), new.public().root);
        world.restart(who);
        assert_eq!(world.devices[who].home.root(), new.public().root);
        world.connect(who);
    }
    world.run();
    assert_eq!(
        world.devices[BEN].home.root(),
        words(210, BEN).public().root
    );
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "for the new words");
    world.run();
    let epoch = newest_epoch(&world);
    let sealed_to = |id: [u8; 32]| epoch.seals.iter().any(|seal| seal.recipient == id);
    assert!(sealed_to(new.public().root.recovery_id()));
    assert!(!sealed_to(old.public().root.recovery_id()));
    let seen = world.value(laptop, doc, "x");
    assert_eq!(seen.as_deref(), Some("for the new words"));
    // It is Ana's business only.
    let party = world.devices[ANA].home.own_party();
    let told = NoticeKind::WordsReplaced { party, seq: 2 };
    assert!(world.notices(ANA).contains(&told));
    assert!(world.notices(laptop).contains(&told));
    assert!(!world.notices(BEN).contains(&told));
}

#[test]
fn only_the_words_in_force_can_be_replaced_and_not_by_ones_that_were_used() {
    let mut world = World::online(211);
    let (old, new) = (words(211, ANA), fresh(2));
    let wrong = [words(211, BEN), fresh(3)];
    for wrong in wrong {
        let refused = replace(&mut world, ANA, &wrong, &new);
        assert_eq!(misuse(refused), Misuse::WrongWords);
    }
    let same = replace(&mut world, ANA, &old, &old);
    assert_eq!(misuse(same), Misuse::LinkOutdated);
    replace(&mut world, ANA, &old, &new).unwrap();
    let twice = replace(&mut world, ANA, &old, &fresh(4));
    assert_eq!(misuse(twice), Misuse::ChangeUnderWay);
    world.run();
    let again = replace(&mut world, ANA, &old, &fresh(4));
    assert_eq!(misuse(again), Misuse::WrongWords);
    let back = replace(&mut world, ANA, &new, &old);
    assert_eq!(misuse(back), Misuse::LinkOutdated);
    replace(&mut world, ANA, &new, &fresh(4)).unwrap();
    world.disconnect(ANA);
    let offline = replace(&mut world, ANA, &new, &fresh(5));
    assert_eq!(misuse(offline), Misuse::NeedsRelay);
}

#[test]
fn new_words_alone_are_no_reason_to_call_it_a_removal() {
    let mut world = World::online(212);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "x", "1");
    replace(&mut world, ANA, &words(212, ANA), &fresh(6)).unwrap();
    world.run();
    world.put(ANA, doc, "x", "2");
    world.run();
    assert_eq!(newest_epoch(&world).reason, EpochReason::Add);
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("2"));
}
