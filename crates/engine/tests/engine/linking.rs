//! Proposing a new device: refusals, races, limits, and what a hostile relay may say.

use ajar_crypto::DeviceSecrets;
use ajar_engine::membership::{LinkOffer, LinkRequest};
use ajar_engine::{EngineError, Event, Misuse, NoticeKind, Ownership};
use ajar_protocol::codec::Reader;
use ajar_protocol::link::{Link, LinkBody, RevokeReason};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{DeviceId, PartyId};

use crate::world::{ANA, BEN, HOUR, World, rng};

fn links(world: &World, who: usize) -> usize {
    world.devices[who].home.status().devices.len()
}

pub(crate) fn misuse<T>(result: Result<T, EngineError>) -> Misuse {
    match result {
        Err(EngineError::Misuse(misuse)) => misuse,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn a_refused_link_changes_nothing_and_works_later() {
    for reason in [Refusal::Conflict, Refusal::Unavailable, Refusal::DiskFull] {
        let mut world = World::online(108);
        let (_, request) = world.new_half(ANA);
        let outputs = world.devices[ANA].home.propose_device(world.now, &request);
        assert_eq!(outputs.unwrap().send.len(), 1);
        // The relay did not even store it.
        let offer = world.devices[ANA].home.link_offer();
        let party = world.devices[ANA].home.own_party();
        let seq = world.relay.chains[world.place(ANA)].next_seq();
        let refused = RelayMsg::LinkNotStored { party, seq, reason };
        let home = &mut world.devices[ANA].home;
        let outputs = home.receive(world.now, vec![refused]).unwrap();
        assert_eq!(outputs.events, [Event::LinkRefused(reason)]);
        assert_eq!(home.link_offer(), offer);
        assert_eq!(world.notices(ANA), []);
        assert_eq!(links(&world, ANA), 2);
        world.propose(ANA, &request).unwrap();
        world.run();
        assert_eq!(links(&world, ANA), 3);
        assert_eq!(links(&world, BEN), 3);
    }
}

#[test]
fn a_ninth_device_is_one_too_many_until_one_is_removed() {
    let mut world = World::online(109);
    for _ in 0..7 {
        world.link(ANA);
    }
    let (_, request) = world.new_half(ANA);
    assert_eq!(misuse(world.propose(ANA, &request)), Misuse::LimitReached);
    world.remove(ANA, 3);
    let ninth = world.link(ANA);
    let doc = world.new_doc(ninth, Ownership::Common);
    world.put(ninth, doc, "x", "1");
    world.run();
    assert_eq!(world.value(BEN, doc, "x").as_deref(), Some("1"));
    // Eight of hers do not count against him.
    world.link(BEN);
}

#[test]
fn linking_and_removing_need_the_relay() {
    let mut world = World::founded(110);
    let (_, request) = world.new_half(ANA);
    assert_eq!(misuse(world.propose(ANA, &request)), Misuse::NeedsRelay);
    world.connect(ANA);
    world.run();
    let laptop = world.link(ANA);
    world.disconnect(ANA);
    let device = world.devices[laptop].home.device();
    let home = &mut world.devices[ANA].home;
    let refused = home.propose_removal(world.now, device, RevokeReason::Lost);
    assert_eq!(misuse(refused), Misuse::NeedsRelay);
}

#[test]
fn only_another_active_device_of_ones_own_can_be_removed() {
    let mut world = World::online(111);
    let laptop = world.link(ANA);
    let gone = world.link(ANA);
    world.remove(ANA, gone);
    let ids = [
        world.devices[ANA].home.device(),
        world.devices[BEN].home.device(),
        world.devices[gone].home.device(),
        DeviceId([9; 32]),
    ];
    let home = &mut world.devices[ANA].home;
    for id in ids {
        let refused = home.propose_removal(world.now, id, RevokeReason::Retired);
        assert_eq!(misuse(refused), Misuse::NoSuchDevice, "{id:?}");
    }
    // The removed one may remove nobody.
    let victim = world.devices[laptop].home.device();
    let home = &mut world.devices[gone].home;
    let refused = home.propose_removal(world.now, victim, RevokeReason::Stolen);
    assert_eq!(misuse(refused), Misuse::Removed);
}

#[test]
fn two_changes_at_once_are_not_mistaken_for_each_other() {
    let mut world = World::online(112);
    let laptop = world.link(ANA);
    let (_, request) = world.new_half(ANA);
    world.propose(ANA, &request).unwrap();
    // The relay's answer names a place only, and both would go to the same one.
    let device = world.devices[laptop].home.device();
    let home = &mut world.devices[ANA].home;
    let refused = home.propose_removal(world.now, device, RevokeReason::Lost);
    assert_eq!(misuse(refused), Misuse::ChangeUnderWay);
    world.run();
    assert_eq!(links(&world, ANA), 4);
    world.remove(ANA, laptop);
    assert!(!world.devices[BEN].home.is_active(&device));
    // A connection that broke before the answer does not stand in the way of the next.
    world.now.elapsed += HOUR;
    let (_, request) = world.new_half(ANA);
    let home = &mut world.devices[ANA].home;
    let _lost = home.propose_device(world.now, &request).unwrap();
    world.reconnect(ANA);
    world.propose(ANA, &request).unwrap();
    world.run();
    assert_eq!(links(&world, BEN), 5);
}

#[test]
fn when_phone_and_laptop_link_at_once_one_is_told_to_begin_again() {
    let mut world = World::online(113);
    let laptop = world.link(ANA);
    let (_, by_phone) = world.new_half(ANA);
    world.now.elapsed += HOUR;
    let (_, by_laptop) = world.new_half(laptop);
    world.propose(ANA, &by_phone).unwrap();
    world.propose(laptop, &by_laptop).unwrap();
    world.run();
    let refused = Event::LinkRefused(Refusal::Conflict);
    assert!(world.devices[laptop].events.contains(&refused));
    assert!(!world.devices[ANA].events.contains(&refused));
    // A relay that now says the laptop's was stored after all is not believed.
    let party = world.devices[laptop].home.own_party();
    let seq = world.relay.chains[world.place(ANA)].last_seq();
    let lie = RelayMsg::LinkStored { party, seq };
    let home = &mut world.devices[laptop].home;
    home.receive(world.now, vec![lie]).unwrap();
    for who in [ANA, BEN, laptop] {
        assert_eq!(links(&world, who), 4);
        let forked = |n: &NoticeKind| matches!(n, NoticeKind::ChainFork { .. });
        assert!(!world.notices(who).iter().any(forked));
    }
    // What was for that place is of no use any more.
    assert_eq!(
        misuse(world.propose(laptop, &by_laptop)),
        Misuse::LinkOutdated
    );
}

#[test]
fn a_pack_of_another_space_or_damaged_is_refused() {
    let mut world = World::online(114);
    let mut other = World::online(115);
    let (_, request) = world.new_half(ANA);
    world.propose(ANA, &request).unwrap();
    world.run();
    world.rotate(ANA);
    // The new half is drawn from the same seed each time.
    let mut again = World::online(114);
    let mut half = || again.new_half(ANA).0;
    let good = world.devices[ANA].home.pack().unwrap();
    let theirs = other.devices[ANA].home.pack().unwrap();
    assert!(half().take(&theirs).is_err());
    for cut in (0..good.len()).step_by(7) {
        assert!(half().take(&good[..cut]).is_err(), "cut at {cut}");
    }
    assert!(half().take(&[good.as_slice(), &[0]].concat()).is_err());
    // Genesis and chains are signed; the last link ends long before the keys begin.
    let place = world.place(ANA);
    let link = world.relay.chains[place]
        .links()
        .last()
        .unwrap()
        .as_bytes()
        .to_vec();
    let end = good.windows(link.len()).position(|w| w == link).unwrap() + link.len();
    for at in (0..end).step_by(11) {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        assert!(half().take(&bad).is_err(), "changed at {at}");
    }
    // From before the link: this device is not in it.
    let mut fresh = World::online(114);
    let early = fresh.devices[ANA].home.pack().unwrap();
    assert!(half().take(&early).is_err());
    // The partner's half of a pack is no place for it either.
    let (stranger, _) = fresh.new_half(BEN);
    assert!(stranger.take(&good).is_err());
    assert!(half().take(&good).is_ok());
}

#[test]
fn a_proof_for_another_place_or_person_is_refused() {
    let mut world = World::online(116);
    let (_, old) = world.new_half(ANA);
    let (_, his) = world.new_half(BEN);
    world.link(BEN);
    world.link(ANA);
    assert_eq!(misuse(world.propose(ANA, &old)), Misuse::LinkOutdated);
    assert_eq!(misuse(world.propose(ANA, &his)), Misuse::LinkOutdated);
    // A proof by other keys than those it is shown with.
    let (_, good) = world.new_half(ANA);
    world.now.elapsed += HOUR;
    let (_, other) = world.new_half(ANA);
    let mixed = [&other.encode()[..96], &good.encode()[96..]].concat();
    let mixed = LinkRequest::decode(&mut Reader::new(&mixed, "request")).unwrap();
    assert_eq!(misuse(world.propose(ANA, &mixed)), Misuse::LinkOutdated);
    assert_eq!(links(&world, ANA), 4);
    world.propose(ANA, &good).unwrap();
    world.run();
    assert_eq!(links(&world, BEN), 5);
}

#[test]
fn one_device_cannot_belong_to_both() {
    let mut world = World::online(117);
    let laptop = world.link(ANA);
    // Ana's laptop proves its keys for a place in Ben's chain.
    let keys = world.secrets(laptop);
    let offer = world.devices[BEN].home.link_offer();
    let place = world.relay.chains[world.place(BEN)].next_place(0);
    let hash =
        ajar_protocol::link::proof_hash(&place.party, place.seq, &place.prev, &keys.public());
    let public = keys.public();
    let request = [
        public.sign.as_slice(),
        &public.kem,
        &public.auth,
        &keys.sign_proof(&hash),
    ]
    .concat();
    let request = LinkRequest::decode(&mut Reader::new(&request, "request")).unwrap();
    assert_eq!(misuse(world.propose(BEN, &request)), Misuse::LinkOutdated);
    assert_eq!(world.devices[BEN].home.link_offer(), offer);
}

#[test]
fn a_confirmation_of_what_was_never_proposed_changes_nothing() {
    let mut world = World::online(119);
    let before = world.devices[ANA].home.link_offer();
    let parties = [
        world.devices[ANA].home.own_party(),
        world.devices[BEN].home.own_party(),
        PartyId([7; 32]),
    ];
    for party in parties {
        for seq in [0, 1, 2, u64::MAX] {
            let lie = RelayMsg::LinkStored { party, seq };
            let home = &mut world.devices[ANA].home;
            let outputs = home.receive(world.now, vec![lie]).unwrap();
            assert!(outputs.events.is_empty() && outputs.send.is_empty());
        }
    }
    assert_eq!(world.devices[ANA].home.link_offer(), before);
    assert_eq!(world.notices(ANA), []);
    // Nor does one for another place than the proposed.
    let (_, request) = world.new_half(ANA);
    let home = &mut world.devices[ANA].home;
    let _sent = home.propose_device(world.now, &request).unwrap();
    let lie = RelayMsg::LinkStored {
        party: home.own_party(),
        seq: 2,
    };
    home.receive(world.now, vec![lie]).unwrap();
    assert_eq!(links(&world, ANA), 2);
}

#[test]
fn a_link_that_the_relay_only_claimed_to_have_stored_reaches_it_later() {
    let mut world = World::online(120);
    let (_, request) = world.new_half(ANA);
    let home = &mut world.devices[ANA].home;
    let _kept_back = home.propose_device(world.now, &request).unwrap();
    let lie = RelayMsg::LinkStored {
        party: home.own_party(),
        seq: 1,
    };
    home.receive(world.now, vec![lie]).unwrap();
    assert_eq!((links(&world, ANA), links(&world, BEN)), (3, 2));
    world.reconnect(ANA);
    assert_eq!(links(&world, BEN), 3);
}

#[test]
fn the_relays_word_about_a_conflict_is_no_notice_and_a_signed_link_is() {
    let mut world = World::online(121);
    let place = world.place(ANA);
    let before = world.relay.chains[place].clone();
    world.link(ANA);
    let party = world.devices[ANA].home.own_party();
    let lie = RelayMsg::LinkNotStored {
        party,
        seq: 1,
        reason: Refusal::Conflict,
    };
    for who in [ANA, BEN] {
        let home = &mut world.devices[who].home;
        home.receive(world.now, vec![lie.clone()]).unwrap();
    }
    let forked = NoticeKind::ChainFork { party };
    assert!(!world.notices(ANA).contains(&forked));
    assert!(!world.notices(BEN).contains(&forked));
    // Whoever holds the phone's keys signs another second link.
    let phone = world.secrets(ANA);
    let thief = DeviceSecrets::generate(&mut rng(1)).unwrap();
    let position = before.next_place(0);
    let device = ajar_protocol::link::NewDevice {
        keys: thief.public(),
        sealed_label: Vec::new(),
        proof: thief.sign_proof(&ajar_protocol::link::proof_hash(
            &position.party,
            position.seq,
            &position.prev,
            &thief.public(),
        )),
    };
    let body = LinkBody::DeviceAdd(device);
    let link = Link::sign(position, body, phone.id().0, phone.signing_key());
    for who in [ANA, BEN] {
        let proof = RelayMsg::Link(link.as_bytes().to_vec());
        world.devices[who]
            .home
            .receive(world.now, vec![proof])
            .unwrap();
        assert!(world.notices(who).contains(&forked));
        assert!(!world.devices[who].home.is_active(&thief.id()));
        assert_eq!(links(&world, who), 3);
    }
}

#[test]
fn an_offer_or_request_that_is_cut_or_noise_is_an_error() {
    let mut world = World::online(122);
    let offer = world.devices[ANA].home.link_offer().encode();
    let (_, request) = world.new_half(ANA);
    let request = request.encode();
    let read_offer = |bytes: &[u8]| LinkOffer::decode(&mut Reader::new(bytes, "offer"));
    let read_request = |bytes: &[u8]| LinkRequest::decode(&mut Reader::new(bytes, "request"));
    for cut in 0..offer.len() {
        assert!(read_offer(&offer[..cut]).is_err(), "cut at {cut}");
    }
    for cut in 0..request.len() {
        assert!(read_request(&request[..cut]).is_err(), "cut at {cut}");
    }
    let mut odd = offer.clone();
    odd[0] = 3;
    assert!(read_offer(&odd).is_err());
    // A key that anyone can sign for.
    let mut weak = request.clone();
    weak[..32].fill(0);
    weak[0] = 1;
    assert!(read_request(&weak).is_err());
    assert!(read_offer(&offer).is_ok() && read_request(&request).is_ok());
}

/// Ben makes links that say nothing, as many as his chain takes in a while.
#[test]
fn a_partner_with_a_thousand_links_does_not_keep_ana_from_adding_a_device() {
    let mut world = World::online(119);
    let secrets = world.secrets(BEN);
    for _ in 0..1000 {
        let chain = &world.relay.chains[world.place(BEN)];
        let body = LinkBody::Policy { min_version: 0 };
        let signer = secrets.id().0;
        let link = Link::sign(chain.next_place(0), body, signer, secrets.signing_key());
        world.inject_link(&link);
    }
    world.run();
    let pack = world.devices[ANA].home.pack().unwrap();
    assert!(pack.len() < 32 << 10, "{}", pack.len());
    let tablet = world.link(ANA);
    let doc = world.new_doc(BEN, Ownership::Mine);
    world.put(BEN, doc, "x", "1");
    world.run();
    assert_eq!(world.value(tablet, doc, "x").as_deref(), Some("1"));
    let view = |who: usize| world.devices[who].home.status().devices.len();
    assert_eq!(view(tablet), view(ANA));
}
