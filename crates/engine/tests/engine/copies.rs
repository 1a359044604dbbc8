//! A home that was copied or restored from a backup, and devices with two histories.

use ajar_engine::outbox::ChangeError;
use ajar_engine::{EngineError, Misuse, NoticeKind, Ownership, Replica};
use ajar_protocol::relay_msg::RelayMsg;
use automerge::ROOT;
use automerge::transaction::Transactable;

use crate::rogue::Rogue;
use crate::world::{ANA, BEN, Device, LAPTOP, World, content_of};

/// Ana's home is copied; both copies are then used. The copy becomes device 2.
fn with_copy(seed: u64) -> World {
    let mut world = World::online(seed);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "before the copy");
    world.run();
    let store = world.devices[ANA].store.copied();
    let home = Replica::open(store.clone()).unwrap();
    world.devices.push(Device::with(home, store, seed + 77));
    world
}

const COPY: usize = LAPTOP;

fn refuses_to_write(world: &mut World, who: usize) {
    let doc = world.new_doc(who, Ownership::Common);
    let refused = world.edit(who, doc, |tx| tx.put(ROOT, "x", 1));
    assert!(matches!(
        refused,
        Err(ChangeError::Engine(EngineError::Misuse(Misuse::StaleCopy)))
    ));
}

#[test]
fn a_restored_copy_notices_before_it_writes_and_goes_on_reading() {
    let mut world = with_copy(60);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "after the copy");
    world.run();
    world.connect(COPY);
    world.run();
    assert!(world.devices[COPY].home.status().stale);
    assert_eq!(world.notices(COPY), [NoticeKind::StaleCopy]);
    refuses_to_write(&mut world, COPY);
    assert_eq!(
        world.value(COPY, doc, "n").as_deref(),
        Some("after the copy")
    );
    // It cannot be forgotten by a restart, nor dismissed.
    world.restart(COPY);
    world.devices[COPY].home.dismiss_notices().unwrap();
    assert_eq!(world.notices(COPY), [NoticeKind::StaleCopy]);
    refuses_to_write(&mut world, COPY);
    // The others were never disturbed.
    assert_eq!(world.notices(ANA), []);
    assert_eq!(world.notices(BEN), []);
    world.put(ANA, doc, "n", "and on");
    world.run();
    assert_eq!(world.value(BEN, doc, "n").as_deref(), Some("and on"));
}

#[test]
fn a_copy_that_wrote_offline_learns_it_when_the_relay_shows_the_other_history() {
    for extra in [0, 1, 2] {
        let mut world = with_copy(61);
        let doc = world.new_doc(ANA, Ownership::Common);
        world.put(ANA, doc, "n", "the phone");
        world.run();
        let lost = world.new_doc(COPY, Ownership::Common);
        for n in 0..=extra {
            world.put(COPY, lost, "n", &n.to_string());
        }
        world.connect(COPY);
        world.run();
        assert!(world.devices[COPY].home.status().stale, "{extra} more");
        let notices = world.notices(COPY);
        assert!(notices.contains(&NoticeKind::StaleCopy), "{notices:?}");
        refuses_to_write(&mut world, COPY);
        assert_eq!(
            world.value(COPY, lost, "n"),
            Some(extra.to_string()),
            "still read"
        );
        // Nothing of the copy's own history got into the chain of the device.
        world.reconnect(ANA);
        world.reconnect(BEN);
        assert_eq!(world.notices(BEN), []);
        assert_eq!(world.heads(ANA), world.heads(BEN));
    }
}

#[test]
fn two_histories_of_bens_device_are_proved_and_what_follows_does_not_count() {
    let mut world = World::with_laptop(62);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "n", "common past");
    world.run();
    let mut one = Rogue::of(&mut world, BEN);
    let mut other = Rogue::of(&mut world, BEN);
    other.rng = crate::world::rng(667);
    world.disconnect(BEN);
    let empty = ajar_protocol::changes::Changes::default();
    let (first, second) = (one.content(&empty), other.content(&empty));
    let send = |world: &mut World, who: usize, bytes: &[u8]| {
        let message = RelayMsg::Envelope(bytes.to_vec());
        world.devices[who]
            .home
            .receive(world.now, vec![message])
            .unwrap();
    };
    // An evil relay shows one to the phone and the other to the laptop; then they meet.
    send(&mut world, ANA, &first);
    send(&mut world, LAPTOP, &second);
    send(&mut world, ANA, &second);
    send(&mut world, LAPTOP, &first);
    let device = one.secrets.id();
    let counter = one.last.unwrap().counter;
    for who in [ANA, LAPTOP] {
        let forked = NoticeKind::Forked { device, counter };
        assert_eq!(
            world
                .notices(who)
                .iter()
                .filter(|kind| **kind == forked)
                .count(),
            1
        );
        let before = content_of(&mut world.devices[who].home);
        send(&mut world, who, &one.content(&empty));
        assert_eq!(content_of(&mut world.devices[who].home), before);
        one = Rogue::of(&mut world, BEN);
    }
    // It stays so after a restart, and Ana goes on writing.
    world.restart(ANA);
    let forked = NoticeKind::Forked { device, counter };
    world.devices[ANA].home.dismiss_notices().unwrap();
    assert!(world.notices(ANA).contains(&forked));
    world.put(ANA, doc, "n", "onwards");
}

#[test]
fn proofs_are_not_washed_away_by_a_flood_of_lesser_notices() {
    let mut world = World::online(63);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.run();
    let mut ben = Rogue::of(&mut world, BEN);
    let mut twin = Rogue::of(&mut world, BEN);
    twin.rng = crate::world::rng(668);
    world.disconnect(BEN);
    // The proof first arrives by way of an acknowledgement of something Ana never wrote.
    let ana = world.devices[ANA].home.device();
    let lie = ben.content(&ajar_protocol::changes::Changes {
        acks: vec![(
            ana,
            ajar_protocol::Position {
                counter: 1,
                id: ajar_protocol::EnvelopeId([1; 32]),
            },
        )],
        ..ajar_protocol::changes::Changes::default()
    });
    world.inject(lie);
    for n in 0..100u8 {
        let junk = ben.seal(ajar_protocol::EnvelopeType::Changes, &[n; 40]);
        world.inject(junk);
    }
    world.run();
    let notices = world.notices(ANA);
    assert_eq!(notices.len(), ajar_engine::notice::KEPT);
    let forked = NoticeKind::Forked {
        device: ana,
        counter: 1,
    };
    assert!(notices.contains(&forked));
    world.restart(ANA);
    assert_eq!(world.notices(ANA), notices);
}

/// The epoch came ahead of its place, and the words of the copy took that place: the home did not
/// open any more.
#[test]
fn a_copy_from_before_the_first_words_does_not_write_over_what_its_original_wrote() {
    let mut world = World::without_epoch(64);
    let store = world.devices[ANA].store.copied();
    let home = Replica::open(store.clone()).unwrap();
    world.devices.push(Device::with(home, store, 141));
    world.connect(ANA);
    world.run();
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "n", "after the copy");
    world.run();
    // The bootstrap brings the epoch, and the log has not come yet.
    world.connect(COPY);
    world.step(COPY, 3);
    assert!(world.devices[COPY].home.status().stale);
    refuses_to_write(&mut world, COPY);
    world.run();
    world.restart(COPY);
    assert_eq!(world.notices(COPY), [NoticeKind::StaleCopy]);
}
