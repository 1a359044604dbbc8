//! The attack catalogue, lists of devices: two of them, one from before, one with a stranger.

use std::time::Duration;

use ajar_crypto::DeviceSecrets;
use ajar_crypto::epoch::open_epoch;
use ajar_engine::{Misuse, NoticeKind, Ownership};
use ajar_protocol::link::{Link, LinkBody, LinkPlace, NewDevice, RevokeReason, proof_hash};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DeviceId, Envelope, EnvelopeType};

use crate::linking::misuse;
use crate::theft::{Theft, by_device, nothing_of, recover, recovered_home};
use crate::world::{ANA, BEN, LAPTOP, World, rng};

const NINETY_DAYS: Duration = Duration::from_secs(90 * 24 * 3600);

fn hand(world: &mut World, who: usize, link: &Link) {
    let message = RelayMsg::Link(link.as_bytes().to_vec());
    let outputs = world.devices[who].home.receive(world.now, vec![message]);
    world.take(who, outputs.unwrap());
    world.run();
}

/// Devices of both as one device has them.
fn list(world: &World, who: usize) -> Vec<(DeviceId, bool)> {
    let devices = world.devices[who].home.status().devices;
    devices.iter().map(|one| (one.id, one.active)).collect()
}

/// The thief with Ana's phone signs two links for one place, and a relay shows the second to Ben
/// and to the tablet. The second one.
fn fork(theft: &mut Theft) -> Link {
    let laptop = theft.world.devices[theft.laptop].home.device();
    let policy = LinkBody::Policy { min_version: 1 };
    let one = by_device(&mut theft.world, ANA, policy);
    let other = LinkBody::DeviceRevoke(nothing_of(laptop));
    let other = by_device(&mut theft.world, ANA, other);
    theft.world.inject_link(&one);
    theft.world.run();
    for who in [BEN, theft.tablet] {
        hand(&mut theft.world, who, &other);
        hand(&mut theft.world, who, &other);
    }
    other
}

#[test]
fn t045_after_a_fork_of_a_chain_no_further_link_of_it_counts() {
    let seed = 4501;
    let mut theft = Theft::new(seed);
    let other = fork(&mut theft);
    let (tablet, laptop) = (theft.tablet, theft.laptop);
    let forked = NoticeKind::ChainFork { party: other.party };
    let before = [BEN, tablet].map(|who| list(&theft.world, who));
    // The laptop, which was shown one list only, adds a device: to the relay nothing is wrong.
    let (_, request) = theft.world.new_half(laptop);
    let added = request.keys.id();
    theft.world.propose(laptop, &request).unwrap();
    theft.world.run();
    assert!(theft.world.devices[laptop].home.is_active(&added));
    for _ in 0..2 {
        for (who, before) in [BEN, tablet].into_iter().zip(&before) {
            assert_eq!(list(&theft.world, who), *before, "device {who}");
            assert!(theft.world.notices(who).contains(&forked), "device {who}");
            let home = &theft.world.devices[who].home;
            assert!(!home.is_active(&added), "device {who}");
        }
        // Nor do they propose what nobody there would take. Ben's own list is not frozen.
        let home = &mut theft.world.devices[tablet].home;
        let (now, phone) = (theft.world.now, theft.phone.device);
        let refused = home.propose_removal(now, phone, RevokeReason::Stolen);
        assert_eq!(misuse(refused), Misuse::Frozen);
        for who in [BEN, tablet] {
            theft.world.restart(who);
            theft.world.connect(who);
            theft.world.run();
        }
    }
    // Reading and writing go on, and what is written is read by all.
    theft.put(BEN, theft.his, "meanwhile");
    theft.put(laptop, theft.common, "meanwhile");
    theft.world.run();
    theft.world.pass(Duration::from_secs(1));
    let ben = theft.world.new_half(BEN).1;
    theft.world.propose(BEN, &ben).unwrap();
    theft.world.run();
    let bens = ben.keys.id();
    assert!(theft.world.devices[BEN].home.is_active(&bens));
    assert!(theft.world.devices[tablet].home.is_active(&bens));
    for who in [laptop, tablet] {
        let seen = theft.value(who, theft.his, &format!("meanwhile ({})", theft.seq));
        assert_eq!(seen, Some(format!("{BEN}")), "device {who}");
    }
    // The words, on top of what the relay has, decide for everyone.
    let place = theft.world.place(laptop);
    let seq = theft.world.relay.chains[place].next_seq();
    let (link, secrets) = recover(&theft.world, seed, seq, vec![theft.phone]);
    theft.world.inject_link(&link);
    let new = recovered_home(&mut theft.world, seed, secrets);
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.stolen = theft.world.new_doc(BEN, Ownership::Common);
    theft.assert_healed(new);
    theft.everyone_writes_on(new);
    // What they have decided against does not freeze anyone again.
    let expected = list(&theft.world, BEN);
    for who in theft.honest(new) {
        hand(&mut theft.world, who, &other);
        hand(&mut theft.world, who, &other);
        assert_eq!(list(&theft.world, who), expected, "device {who}");
        assert!(!theft.world.notices(who).contains(&forked), "device {who}");
        assert!(theft.world.devices[who].home.is_active(&added));
    }
}

#[test]
fn t045_the_words_in_the_place_of_the_fork_void_both_sides_and_what_was_held_back() {
    let mut theft = Theft::new(4502);
    let other = fork(&mut theft);
    let (_, request) = theft.world.new_half(theft.laptop);
    theft.world.propose(theft.laptop, &request).unwrap();
    theft.world.run();
    let new = theft.outrank();
    theft.world.run();
    theft.everyone_comes_back(new);
    theft.stolen = theft.world.new_doc(BEN, Ownership::Common);
    theft.assert_healed(new);
    let expected = list(&theft.world, BEN);
    for who in theft.honest(new) {
        hand(&mut theft.world, who, &other);
        assert_eq!(list(&theft.world, who), expected, "device {who}");
        let home = &theft.world.devices[who].home;
        assert!(!home.is_active(&request.keys.id()), "device {who}");
    }
    theft.everyone_writes_on(new);
}

#[test]
fn t044_a_list_from_before_a_removal_is_refused_and_told() {
    for links_only in [false, true] {
        let mut world = World::online(4401);
        let laptop = world.link(ANA);
        let doc = world.new_doc(laptop, Ownership::Common);
        world.put(laptop, doc, "x", "before");
        world.run();
        let old = world.relay.clone();
        world.remove(ANA, laptop);
        world.put(BEN, doc, "y", "after");
        world.run();
        let removed = world.devices[laptop].home.device();
        for who in [ANA, BEN] {
            assert!(!world.notices(who).contains(&NoticeKind::RolledBack));
            world.disconnect(who);
        }
        world.disconnect(laptop);
        match links_only {
            true => world.relay.chains = old.chains,
            false => world.relay = old,
        }
        for who in [BEN, ANA] {
            world.connect(who);
            world.run();
            assert!(world.notices(who).contains(&NoticeKind::RolledBack) || who == ANA);
            assert!(!world.devices[who].home.is_active(&removed), "device {who}");
        }
        // The longer list is the relay's again.
        let place = world.place(ANA);
        let chain = &world.relay.chains[place];
        assert!(chain.active(&removed).is_none());
        // Nothing that is written from now on is for the removed one.
        world.put(BEN, doc, "y", "on");
        world.put(ANA, doc, "x", "on");
        world.run();
        assert_eq!(world.heads(ANA), world.heads(BEN));
        assert_eq!(
            world.devices[ANA].home.frontier(),
            world.devices[BEN].home.frontier()
        );
        // Once the relay is as it should be, it is not told again.
        for who in [ANA, BEN] {
            world.devices[who].home.dismiss_notices().unwrap();
            world.reconnect(who);
            assert_eq!(world.notices(who), [], "device {who}");
        }
    }
}

#[test]
fn t044_a_list_that_the_words_made_shorter_is_no_list_from_before() {
    let mut theft = Theft::new(4402);
    let (laptop, tablet) = (theft.laptop, theft.tablet);
    // The thief signs five links; the laptop has them all, and is away when the words outrank
    // the first of them.
    for version in 1..=5 {
        let min_version = version;
        let link = by_device(&mut theft.world, ANA, LinkBody::Policy { min_version });
        theft.world.inject_link(&link);
        theft.world.run();
    }
    theft.world.disconnect(laptop);
    let new = theft.outrank();
    theft.world.run();
    let place = theft.world.place(BEN) ^ 1;
    assert_eq!(theft.world.relay.chains[place].next_seq(), theft.seq + 1);
    theft.everyone_comes_back(new);
    for who in [laptop, tablet, BEN, new] {
        let told = theft.world.notices(who);
        assert!(!told.contains(&NoticeKind::RolledBack), "device {who}");
    }
}

/// A DEVICE_ADD for a device of the relay's, at a place, with a good proof of its keys.
fn ghost(place: LinkPlace, ghost: &DeviceSecrets, signer: &DeviceSecrets) -> Link {
    let hash = proof_hash(&place.party, place.seq, &place.prev, &ghost.public());
    let body = LinkBody::DeviceAdd(NewDevice {
        keys: ghost.public(),
        sealed_label: Vec::new(),
        proof: ghost.sign_proof(&hash),
    });
    Link::sign(place, body, signer.id().0, signer.signing_key())
}

#[test]
fn t032_a_device_that_the_relay_puts_into_a_list_is_in_nobodys_list_and_no_key_is_for_it() {
    let mut world = World::with_laptop(3201);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "before");
    world.run();
    let stranger = DeviceSecrets::generate(&mut rng(3202)).unwrap();
    let before: Vec<_> = [ANA, BEN, LAPTOP].map(|who| list(&world, who)).to_vec();
    let ben = world.secrets(BEN);
    let place = world.relay.chains[world.place(ANA)].next_place(0);
    let own = ghost(place, &stranger, &stranger);
    // Signed by the other person's device, in its own name; and in the name of Ana's phone.
    let foreign = ghost(place, &stranger, &ben);
    let phone = world.devices[ANA].home.device();
    let mut forged = foreign.as_bytes().to_vec();
    let signer = forged.windows(32).position(|part| part == ben.id().0);
    let signer = signer.expect("a link names its signer");
    forged[signer..signer + 32].copy_from_slice(&phone.0);
    let mut unsigned = forged.clone();
    let at = unsigned.len() - 64;
    unsigned[at..].fill(0);
    let links = [own.as_bytes(), foreign.as_bytes(), &forged, &unsigned];
    for (who, before) in [ANA, BEN, LAPTOP].into_iter().zip(&before) {
        for bytes in links {
            let message = vec![RelayMsg::Link(bytes.to_vec())];
            let home = &mut world.devices[who].home;
            let outputs = home.receive(world.now, message).unwrap();
            world.take(who, outputs);
            assert_eq!(list(&world, who), *before, "device {who}");
        }
        world.run();
        // The relay sent what is no link; nobody is said to have two lists.
        let kinds = world.notices(who);
        assert!(kinds.contains(&NoticeKind::DamagedData), "{kinds:?}");
        let fork = |kind: &NoticeKind| matches!(kind, NoticeKind::ChainFork { .. });
        assert!(!kinds.iter().any(fork), "{kinds:?}");
        world.restart(who);
        world.connect(who);
        world.run();
        assert_eq!(list(&world, who), *before, "device {who}");
    }
    // The next key is for those who were there before.
    let from = world.relay.log.len();
    world.pass(NINETY_DAYS);
    world.put(ANA, doc, "x", "under a new key");
    world.run();
    let mut epochs = 0;
    let author = world.secrets(ANA).public().sign;
    for bytes in &world.relay.log[from..] {
        let envelope = Envelope::parse(bytes).unwrap();
        if envelope.header().kind != EnvelopeType::Epoch {
            continue;
        }
        epochs += 1;
        let envelope = envelope.verify(&author).unwrap();
        let (id, kem) = (stranger.id().0, stranger.kem_secret());
        assert!(open_epoch(&envelope, &id, kem).is_err());
    }
    assert_eq!(epochs, 1);
    assert_eq!(
        world.value(BEN, doc, "x").as_deref(),
        Some("under a new key")
    );
    world.assert_converged();
}
