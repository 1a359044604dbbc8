//! Space genesis: exactly these one or two parties, for ever.

use ajar_protocol::chain::genesis_place;
use ajar_protocol::genesis::{Founder, GenesisBody, SpaceKind};
use ajar_protocol::{Link, LinkBody, Malformed, PartyChain, PartyId, SpaceGenesis};

use crate::support::{Ana, Ben, Signs, TIME, ana, ben};

fn founder(chain: &PartyChain, random: u8) -> Founder {
    Founder {
        party: chain.id(),
        random: [random; 16],
    }
}

/// The shared space of Ana and Ben, and their chains with the lower party first.
pub(crate) fn shared<'a>(ana: &'a Ana, ben: &'a Ben) -> (SpaceGenesis, [&'a PartyChain; 2]) {
    let body = GenesisBody::shared(founder(&ana.chain, 1), founder(&ben.chain, 2)).unwrap();
    let mut sides = [
        (&ana.chain, body.sign(&ana.laptop.sign)),
        (&ben.chain, body.sign(&ben.laptop.sign)),
    ];
    sides.sort_by_key(|(chain, _)| chain.id());
    let signatures = sides.iter().map(|(_, signature)| *signature).collect();
    let genesis = SpaceGenesis::new(body, signatures).unwrap();
    (genesis, sides.map(|(chain, _)| chain))
}

/// Ana's private space.
pub(crate) fn private(ana: &Ana) -> SpaceGenesis {
    let body = GenesisBody::private(founder(&ana.chain, 1));
    SpaceGenesis::new(body, vec![body.sign(&ana.laptop.sign)]).unwrap()
}

#[test]
fn both_partners_derive_the_same_space_in_either_order() {
    let (ana, ben) = (ana(), ben());
    let (one, other) = (founder(&ana.chain, 1), founder(&ben.chain, 2));
    let body = GenesisBody::shared(one, other).unwrap();
    assert_eq!(body, GenesisBody::shared(other, one).unwrap());
    let (genesis, chains) = shared(&ana, &ben);
    assert_eq!(genesis.verify(&chains), Ok(()));
    assert_eq!(genesis.id(), body.space_id());
    assert_eq!(genesis.kind(), SpaceKind::Shared);
    assert_eq!(genesis.parties(), chains.map(PartyChain::id));
    let parsed = SpaceGenesis::parse(&genesis.encode()).unwrap();
    assert_eq!(parsed, genesis);
}

#[test]
fn a_private_space_has_one_party() {
    let ana = ana();
    let genesis = private(&ana);
    assert_eq!(genesis.verify(&[&ana.chain]), Ok(()));
    assert_eq!(genesis.parties(), [ana.chain.id()]);
    assert_eq!(genesis.kind(), SpaceKind::Private);
    assert_eq!(SpaceGenesis::parse(&genesis.encode()), Ok(genesis));
}

#[test]
fn other_random_bytes_are_another_space() {
    let (ana, ben) = (ana(), ben());
    let body =
        |random| GenesisBody::shared(founder(&ana.chain, random), founder(&ben.chain, 2)).unwrap();
    assert_ne!(body(1).space_id(), body(3).space_id());
}

#[test]
fn a_space_of_one_party_twice_is_refused() {
    let (ana, ben) = (ana(), ben());
    assert!(GenesisBody::shared(founder(&ana.chain, 1), founder(&ana.chain, 2)).is_err());
    let (genesis, _) = shared(&ana, &ben);
    let mut bytes = genesis.encode();
    let lower = bytes[4..36].to_vec();
    bytes[36..68].copy_from_slice(&lower);
    assert!(matches!(
        SpaceGenesis::parse(&bytes),
        Err(Malformed::Order(_))
    ));
}

#[test]
fn parties_in_descending_order_are_refused() {
    let (ana, ben) = (ana(), ben());
    let (genesis, _) = shared(&ana, &ben);
    let bytes = genesis.encode();
    let swapped = [&bytes[..4], &bytes[36..68], &bytes[4..36], &bytes[68..]].concat();
    assert!(matches!(
        SpaceGenesis::parse(&swapped),
        Err(Malformed::Order(_))
    ));
}

#[test]
fn a_private_space_with_something_where_the_second_party_would_be_is_refused() {
    let ana = ana();
    let bytes = private(&ana).encode();
    for at in [36, 67, 84, 99] {
        let mut bytes = bytes.clone();
        bytes[at] = 1;
        assert!(matches!(
            SpaceGenesis::parse(&bytes),
            Err(Malformed::Order(_))
        ));
    }
}

#[test]
fn an_unknown_version_kind_or_flag_is_refused() {
    let bytes = private(&ana()).encode();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        SpaceGenesis::parse(&bytes)
    };
    assert!(matches!(with(0, 2), Err(Malformed::Version(_))));
    assert!(matches!(with(1, 0), Err(Malformed::Kind(_))));
    assert!(matches!(with(1, 3), Err(Malformed::Kind(_))));
    assert!(matches!(with(2, 1), Err(Malformed::Reserved(_))));
    assert!(matches!(with(3, 1), Err(Malformed::Reserved(_))));
    // A private genesis read as a shared one lacks a signature and a second party.
    assert!(with(1, 2).is_err());
}

#[test]
fn a_genesis_without_both_signatures_is_refused() {
    let (ana, ben) = (ana(), ben());
    let (genesis, _) = shared(&ana, &ben);
    let body = GenesisBody::shared(founder(&ana.chain, 1), founder(&ben.chain, 2)).unwrap();
    for count in [0, 1, 3] {
        assert!(SpaceGenesis::new(body, vec![[0; 64]; count]).is_err());
    }
    let bytes = genesis.encode();
    assert!(matches!(
        SpaceGenesis::parse(&bytes[..164]),
        Err(Malformed::Truncated(_))
    ));
}

#[test]
fn a_signature_of_anyone_but_the_first_device_is_refused() {
    let (ana, ben) = (ana(), ben());
    let (_, chains) = shared(&ana, &ben);
    let body = GenesisBody::shared(founder(&ana.chain, 1), founder(&ben.chain, 2)).unwrap();
    let signers = [
        (&ana.phone.sign, &ben.laptop.sign),
        (&ana.words.root, &ben.laptop.sign),
        (&ana.laptop.auth, &ben.laptop.sign),
        (&ana.laptop.sign, &ana.laptop.sign),
        (&ben.laptop.sign, &ana.laptop.sign),
    ];
    for (of_ana, of_ben) in signers {
        let mut sides = [
            (ana.chain.id(), body.sign(of_ana)),
            (ben.chain.id(), body.sign(of_ben)),
        ];
        sides.sort_by_key(|(party, _)| *party);
        let signatures = sides.map(|(_, signature)| signature).to_vec();
        let genesis = SpaceGenesis::new(body, signatures).unwrap();
        assert!(matches!(
            genesis.verify(&chains),
            Err(Malformed::Signature(_))
        ));
    }
}

#[test]
fn other_chains_than_those_named_are_refused() {
    let (ana, ben) = (ana(), ben());
    let (genesis, [lower, higher]) = shared(&ana, &ben);
    for chains in [
        &[][..],
        &[lower],
        &[higher],
        &[higher, lower],
        &[lower, lower],
        &[lower, higher, higher],
    ] {
        assert!(matches!(genesis.verify(chains), Err(Malformed::Value(_))));
    }
    assert!(private(&ana).verify(&[&ben.chain]).is_err());
}

#[test]
fn a_key_that_stands_in_both_chains_is_refused() {
    let (ana, ben) = (ana(), ben());
    let changes: [fn(&Ana, &mut Ben); 3] = [
        |ana, ben| ben.laptop.public.kem = ana.laptop.public.kem,
        |ana, ben| ben.laptop.public.auth = ana.phone.public.auth,
        |ana, ben| ben.words.public.recovery_kem = ana.words.public.recovery_kem,
    ];
    assert!(!ana.chain.shares_key_with(&ben.chain));
    for change in changes {
        let mut twin = crate::support::ben();
        change(&ana, &mut twin);
        let body = LinkBody::Genesis {
            slot: 1,
            root: twin.words.public,
            device: twin.laptop.public,
            random: [0; 16],
        };
        let link = Link::sign(
            genesis_place(TIME),
            body,
            twin.laptop.signer(),
            twin.laptop.key(),
        );
        twin.chain = PartyChain::start(link).unwrap();
        assert!(ana.chain.shares_key_with(&twin.chain));
        assert!(twin.chain.shares_key_with(&ana.chain));
        let (genesis, chains) = shared(&ana, &twin);
        assert!(matches!(genesis.verify(&chains), Err(Malformed::Key(_))));
    }
    assert!(ana.chain.uses_key(&ana.words.public.login));
    assert!(!ana.chain.uses_key(&ben.words.public.login));
    assert_ne!(ana.chain.id(), PartyId::ZERO);
}
