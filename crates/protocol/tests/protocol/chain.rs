//! A chain is one line of links, and what ends or bounds it.

use ajar_protocol::chain::{AppendOutcome, ChainError, genesis_place};
use ajar_protocol::link::{LeaveMode, LinkPlace};
use ajar_protocol::{Link, LinkBody, LinkHash, Malformed, PartyChain, PartyId, limits};

use crate::support::{
    Device, Signs, TIME, Words, add, amend, ana, ben, genesis, genesis_body, grow, next, receive,
    recover, refusal, refused, replace_root, revoke, start,
};

#[test]
fn the_first_device_starts_the_chain() {
    let (words, laptop) = (Words::new("Ana's words"), Device::new("Ana's laptop"));
    let chain = start(&words, &laptop);
    assert_eq!(chain.last_seq(), 0);
    assert_eq!(chain.next_seq(), 1);
    assert_eq!(chain.first_device(), Some(&laptop.public));
    assert_eq!(chain.root(), &words.public);
    assert_eq!(chain.slot(), 1);
    assert!(chain.active(&laptop.id()).is_some());
    assert_eq!(chain.head(), chain.links()[0].hash());
    assert_eq!(chain.head_at(0), Some(chain.head()));
    assert_eq!(chain.head_at(1), None);
    assert_eq!(chain.seq_of(&chain.head()), Some(0));
    assert_eq!(chain.seq_of(&LinkHash([1; 32])), None);
}

#[test]
fn a_genesis_signed_by_another_device_is_refused() {
    let (words, laptop, other) = (
        Words::new("Ana's words"),
        Device::new("Ana's laptop"),
        Device::new("someone's laptop"),
    );
    let body = genesis_body(&words, &laptop, 1);
    let by_other = Link::sign(
        genesis_place(TIME),
        body.clone(),
        other.signer(),
        other.key(),
    );
    assert_eq!(
        PartyChain::start(by_other).unwrap_err(),
        ChainError::NotAllowed
    );
    let forged = Link::sign(
        genesis_place(TIME),
        body.clone(),
        laptop.signer(),
        other.key(),
    );
    assert!(matches!(
        PartyChain::start(forged).unwrap_err(),
        ChainError::Malformed(Malformed::Signature(_))
    ));
    let by_root = Link::sign(genesis_place(TIME), body, words.signer(), words.key());
    assert_eq!(
        PartyChain::start(by_root).unwrap_err(),
        ChainError::NotAllowed
    );
}

#[test]
fn a_genesis_that_claims_a_place_in_a_chain_is_refused() {
    let (words, laptop) = (Words::new("Ana's words"), Device::new("Ana's laptop"));
    let zero = genesis_place(TIME);
    let places = [
        LinkPlace {
            party: PartyId([1; 32]),
            ..zero
        },
        LinkPlace { seq: 1, ..zero },
        LinkPlace {
            prev: LinkHash([1; 32]),
            ..zero
        },
    ];
    for place in places {
        let body = genesis_body(&words, &laptop, 1);
        let link = Link::sign(place, body, laptop.signer(), laptop.key());
        assert_eq!(PartyChain::start(link).unwrap_err(), ChainError::Genesis);
    }
}

#[test]
fn a_chain_that_begins_with_anything_but_genesis_is_refused() {
    let ana = ana();
    let second = ana.chain.links()[1].clone();
    assert_eq!(PartyChain::start(second).unwrap_err(), ChainError::Genesis);
    assert_eq!(PartyChain::from_links([]).unwrap_err(), ChainError::Genesis);
}

#[test]
fn a_second_genesis_is_refused() {
    let mut ana = ana();
    let body = genesis_body(&Words::new("other words"), &Device::new("other"), 1);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.laptop),
        ChainError::Genesis
    );
}

#[test]
fn a_chain_read_back_from_its_links_is_the_same() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 3);
    grow(&mut ana.chain, body, &ana.laptop);
    let read: Vec<Link> = ana
        .chain
        .links()
        .iter()
        .map(|link| Link::parse(link.as_bytes()).unwrap())
        .collect();
    let again = PartyChain::from_links(read).unwrap();
    assert_eq!(format!("{again:?}"), format!("{:?}", ana.chain));
}

#[test]
fn the_same_link_twice_is_known_and_changes_nothing() {
    let mut ana = ana();
    for link in ana.chain.links().to_vec() {
        assert_eq!(receive(&mut ana.chain, &link), Ok(AppendOutcome::Known));
    }
    assert_eq!(ana.chain.next_seq(), 2);
}

#[test]
fn a_link_after_a_missing_one_is_a_gap() {
    let mut ana = ana();
    let place = LinkPlace {
        seq: 3,
        ..ana.chain.next_place(TIME)
    };
    let body = LinkBody::Policy { min_version: 1 };
    let link = Link::sign(place, body, ana.laptop.signer(), ana.laptop.key());
    let gap = ChainError::Gap {
        expected: 2,
        found: 3,
    };
    assert_eq!(refused(&mut ana.chain, &link), gap);
}

#[test]
fn a_place_far_beyond_the_chain_is_only_a_gap() {
    let mut ana = ana();
    let place = LinkPlace {
        seq: u64::MAX,
        ..ana.chain.next_place(TIME)
    };
    let body = LinkBody::Policy { min_version: 1 };
    let link = Link::sign(place, body, ana.laptop.signer(), ana.laptop.key());
    assert!(matches!(
        refused(&mut ana.chain, &link),
        ChainError::Gap { .. }
    ));
}

#[test]
fn a_link_of_another_party_is_refused() {
    let (mut ana, ben) = (ana(), ben());
    let place = LinkPlace {
        party: ben.chain.id(),
        ..ana.chain.next_place(TIME)
    };
    let body = LinkBody::Policy { min_version: 1 };
    let link = Link::sign(place, body, ana.laptop.signer(), ana.laptop.key());
    assert_eq!(refused(&mut ana.chain, &link), ChainError::WrongParty);
}

#[test]
fn the_partners_device_cannot_sign_a_link_of_mine() {
    let (mut ana, ben) = (ana(), ben());
    let bodies = [
        add(&ana.chain, &Device::new("ghost")),
        revoke(&ana.phone, 1),
        recover(&ana.chain, &Device::new("ghost"), &[]),
        LinkBody::Leave(LeaveMode::Ended),
        LinkBody::Policy { min_version: 2 },
    ];
    for body in bodies {
        assert_eq!(
            refusal(&mut ana.chain, body.clone(), &ben.laptop),
            ChainError::NotAllowed
        );
        assert_eq!(
            refusal(&mut ana.chain, body, &ben.words),
            ChainError::NotAllowed
        );
    }
}

#[test]
fn a_link_under_my_name_with_another_key_is_refused() {
    let (mut ana, ben) = (ana(), ben());
    let place = ana.chain.next_place(TIME);
    for signer in [ana.laptop.signer(), ana.words.signer()] {
        let link = Link::sign(place, revoke(&ana.phone, 1), signer, ben.laptop.key());
        assert!(matches!(
            refused(&mut ana.chain, &link),
            ChainError::Malformed(Malformed::Signature(_))
        ));
    }
}

#[test]
fn after_leaving_nothing_follows_not_even_with_the_words() {
    for mode in [LeaveMode::QuietlyClosed, LeaveMode::Ended] {
        let mut ana = ana();
        grow(&mut ana.chain, LinkBody::Leave(mode), &ana.phone);
        assert_eq!(ana.chain.left_at(1), None);
        assert_eq!(ana.chain.left_at(2), Some(mode));
        assert_eq!(ana.chain.left_at(9), Some(mode));
        let new = Device::new("Ana's tablet");
        let bodies = [
            add(&ana.chain, &new),
            revoke(&ana.laptop, 1),
            LinkBody::Leave(mode),
            LinkBody::Policy { min_version: 9 },
        ];
        for body in bodies {
            assert_eq!(refusal(&mut ana.chain, body, &ana.phone), ChainError::Left);
        }
        let bodies = [
            recover(&ana.chain, &new, &[]),
            replace_root(&ana.chain, &Words::new("new words"), &ana.phone),
        ];
        for body in bodies {
            assert_eq!(refusal(&mut ana.chain, body, &ana.words), ChainError::Left);
        }
    }
}

#[test]
fn the_words_can_leave_when_no_device_is_left() {
    let mut ben = ben();
    let body = LinkBody::Leave(LeaveMode::Ended);
    grow(&mut ben.chain, body, &ben.words);
    assert_eq!(ben.chain.left_at(1), Some(LeaveMode::Ended));
}

#[test]
fn the_lowest_accepted_version_never_falls() {
    let mut ana = ana();
    assert_eq!(ana.chain.min_version(), 0);
    grow(
        &mut ana.chain,
        LinkBody::Policy { min_version: 2 },
        &ana.phone,
    );
    assert_eq!(ana.chain.min_version(), 2);
    let lower = LinkBody::Policy { min_version: 1 };
    assert_eq!(
        refusal(&mut ana.chain, lower, &ana.phone),
        ChainError::NotAllowed
    );
    let by_words = LinkBody::Policy { min_version: 3 };
    assert_eq!(
        refusal(&mut ana.chain, by_words, &ana.words),
        ChainError::NotAllowed
    );
    assert_eq!(ana.chain.min_version(), 2);
}

#[test]
fn a_chain_ends_at_its_ceiling_of_links() {
    let mut ben = ben();
    for _ in 1..limits::CHAIN_LINKS {
        let link = next(&ben.chain, LinkBody::Policy { min_version: 1 }, &ben.laptop);
        ben.chain.append(link).unwrap();
    }
    assert_eq!(ben.chain.links().len(), limits::CHAIN_LINKS);
    let body = LinkBody::Policy { min_version: 1 };
    let link = next(&ben.chain, body, &ben.laptop);
    assert_eq!(ben.chain.append(link), Err(ChainError::TooMany));
}

#[test]
fn an_amendment_needs_a_revocation() {
    let mut ana = ana();
    let bodies = [amend(&ana.phone, 9), amend(&Device::new("never seen"), 9)];
    for body in bodies {
        assert_eq!(
            refusal(&mut ana.chain, body, &ana.laptop),
            ChainError::NotAllowed
        );
    }
}

#[test]
fn two_chains_of_the_same_keys_differ_by_their_random_bytes() {
    let (words, laptop) = (Words::new("Ana's words"), Device::new("Ana's laptop"));
    let one = start(&words, &laptop);
    let body = LinkBody::Genesis {
        slot: 1,
        root: words.public,
        device: laptop.public,
        random: [0x6b; 16],
    };
    let link = Link::sign(genesis_place(TIME), body, laptop.signer(), laptop.key());
    assert_ne!(one.id(), PartyChain::start(link).unwrap().id());
    assert_eq!(
        one.id(),
        PartyChain::start(genesis(&words, &laptop, 1)).unwrap().id()
    );
}
