//! What people are told of links, and how many links a day allows.

use ajar_engine::store::Store;
use ajar_engine::{Misuse, NoticeKind, Ownership};
use ajar_protocol::link::{Link, LinkBody};
use ajar_protocol::relay_msg::RelayMsg;

use crate::linking::misuse;
use crate::world::{ANA, BEN, HOUR, World};

#[test]
fn ben_is_told_of_each_device_of_anas_and_not_only_of_the_first() {
    let mut world = World::online(250);
    let party = world.devices[ANA].home.own_party();
    let laptop = world.link(ANA);
    let tablet = world.link(ANA);
    world.remove(ANA, laptop);
    world.remove(ANA, tablet);
    let told = [
        NoticeKind::DeviceAdded { party, seq: 1 },
        NoticeKind::DeviceAdded { party, seq: 2 },
        NoticeKind::DeviceRemoved { party, seq: 3 },
        NoticeKind::DeviceRemoved { party, seq: 4 },
    ];
    for who in [ANA, BEN] {
        assert_eq!(world.notices(who), told, "{who}");
        world.restart(who);
        assert_eq!(world.notices(who), told, "{who}");
    }
    // The tablet came with the laptop in its pack: that is no news to it.
    assert_eq!(
        world.notices(tablet),
        [told[1], told[2], NoticeKind::OwnDeviceRemoved]
    );
}

#[test]
fn a_removed_laptop_says_that_it_was_removed_and_refuses_for_that_reason() {
    let mut world = World::online(251);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Common);
    world.put(laptop, doc, "x", "1");
    world.run();
    assert!(!world.devices[laptop].home.is_removed());
    world.remove(ANA, laptop);
    assert!(world.devices[laptop].home.is_removed());
    assert!(!world.devices[ANA].home.is_removed());
    let party = world.devices[ANA].home.own_party();
    let told = [
        NoticeKind::DeviceAdded { party, seq: 1 },
        NoticeKind::OwnDeviceRemoved,
    ];
    for _ in 0..2 {
        assert_eq!(world.notices(laptop), told);
        let refused = world.edit(laptop, doc, |tx| {
            automerge::transaction::Transactable::put(tx, automerge::ROOT, "x", "2")
        });
        let refused = refused.map_err(|error| error.to_string());
        assert_eq!(refused, Err(Misuse::Removed.to_string()));
        assert_eq!(world.value(laptop, doc, "x").as_deref(), Some("1"));
        world.restart(laptop);
    }
    world.devices[laptop].home.dismiss_notices().unwrap();
    assert_eq!(world.notices(laptop), [NoticeKind::OwnDeviceRemoved]);
}

/// Ana's phone makes links that change nothing, as many as asked.
fn idle_links(world: &mut World, count: usize) {
    let phone = world.secrets(ANA);
    let place = world.place(ANA);
    let claimed = u64::try_from(world.now.wall_ms).unwrap();
    for _ in 0..count {
        let chain = &mut world.relay.chains[place];
        let body = LinkBody::Policy { min_version: 0 };
        let at = chain.next_place(claimed);
        let link = Link::sign(at, body, phone.id().0, phone.signing_key());
        chain.append(link.clone()).unwrap();
        let message = RelayMsg::Link(link.as_bytes().to_vec());
        for who in 0..world.devices.len() {
            let home = &mut world.devices[who].home;
            home.receive(world.now, vec![message.clone()]).unwrap();
        }
    }
}

#[test]
fn sixty_four_links_a_day_are_enough_and_protecting_oneself_is_always_allowed() {
    let mut world = World::online(252);
    let laptop = world.link(ANA);
    world.pass(25 * HOUR);
    idle_links(&mut world, 63);
    let tablet = world.link(ANA);
    world.pass(HOUR);
    let (_, request) = world.new_half(ANA);
    assert_eq!(misuse(world.propose(ANA, &request)), Misuse::LimitReached);
    // Not Ben's limit.
    world.link(BEN);
    // Whoever made all these links must not be able to stay by it.
    world.remove(ANA, laptop);
    world.remove(ANA, tablet);
    let (_, request) = world.new_half(ANA);
    assert_eq!(misuse(world.propose(ANA, &request)), Misuse::LimitReached);
    world.pass(23 * HOUR);
    world.pass(HOUR);
    world.link(ANA);
}

#[test]
fn nothing_is_told_of_founding_and_policies() {
    let mut world = World::online(253);
    idle_links(&mut world, 3);
    for who in [ANA, BEN] {
        assert_eq!(world.notices(who), []);
        assert!(world.devices[who].store.load_keys().unwrap().is_some());
    }
}
