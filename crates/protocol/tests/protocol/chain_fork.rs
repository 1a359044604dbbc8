//! Two links at one place. A fork stops membership changes until the twelve words decide, so
//! only what the party itself signed may count as one.

use ajar_protocol::chain::{AppendOutcome, ChainError};
use ajar_protocol::link::LinkPlace;
use ajar_protocol::{Link, LinkBody, Malformed, PartyChain};

use crate::support::{
    Device, Signs, TIME, Words, add, ana, ben, elsewhere, genesis, grow, receive, recover, refused,
    replace_root, revoke,
};

fn policy(place: LinkPlace, by: &impl Signs) -> Link {
    let body = LinkBody::Policy { min_version: 5 };
    Link::sign(place, body, by.signer(), by.key())
}

/// The place of Ana's second link.
fn occupied(chain: &PartyChain) -> LinkPlace {
    LinkPlace {
        party: chain.id(),
        seq: 1,
        prev: chain.head_at(0).unwrap(),
        claimed_time_ms: TIME,
    }
}

#[test]
fn another_link_of_my_device_at_an_occupied_place_is_a_fork() {
    let mut ana = ana();
    let link = policy(occupied(&ana.chain), &ana.laptop);
    assert_eq!(refused(&mut ana.chain, &link), ChainError::Fork { seq: 1 });
}

#[test]
fn a_link_of_the_words_at_an_occupied_place_is_a_fork() {
    let mut ana = ana();
    let link = policy(occupied(&ana.chain), &ana.words);
    assert_eq!(refused(&mut ana.chain, &link), ChainError::Fork { seq: 1 });
}

#[test]
fn a_next_link_on_another_branch_is_a_fork_of_what_is_below() {
    let mut ana = ana();
    let link = policy(elsewhere(ana.chain.next_place(TIME)), &ana.laptop);
    assert_eq!(refused(&mut ana.chain, &link), ChainError::Fork { seq: 1 });
}

#[test]
fn the_words_win_a_fork_on_the_shortened_chain() {
    let mut ana = ana();
    let thief = Device::new("a thief's laptop");
    let body = add(&ana.chain, &thief);
    grow(&mut ana.chain, body, &ana.phone);
    let mut shorter = PartyChain::from_links(ana.chain.links()[..2].to_vec()).unwrap();
    let body = recover(&shorter, &Device::new("Ana's new laptop"), &[]);
    let link = Link::sign(
        shorter.next_place(TIME),
        body,
        ana.words.signer(),
        ana.words.key(),
    );
    assert_eq!(refused(&mut ana.chain, &link), ChainError::Fork { seq: 2 });
    assert_eq!(receive(&mut shorter, &link), Ok(AppendOutcome::Appended));
    assert!(shorter.device(&thief.id()).is_none());
    let outranked = ana.chain.outranked_by(link).unwrap();
    assert_eq!(outranked.head(), shorter.head());
    assert!(outranked.device(&thief.id()).is_none());
}

#[test]
fn a_device_outranks_nobody() {
    let mut ana = ana();
    let other = policy(ana.chain.next_place(TIME), &ana.phone);
    let body = add(&ana.chain, &Device::new("a thief's laptop"));
    grow(&mut ana.chain, body, &ana.phone);
    let seq = other.seq;
    let refused = ana.chain.outranked_by(other).unwrap_err();
    assert_eq!(refused, ChainError::Fork { seq });
}

/// A member fills its chain, and the relay shows one contradicting link after the other: refusing
/// them must not cost as much as reading the whole chain.
#[test]
fn a_fork_of_a_device_in_a_long_chain_is_refused_without_reading_it_anew() {
    let mut ana = ana();
    for _ in 0..1500 {
        grow(
            &mut ana.chain,
            LinkBody::Policy { min_version: 1 },
            &ana.phone,
        );
    }
    let begin = std::time::Instant::now();
    let read = PartyChain::from_links(ana.chain.links().to_vec());
    assert_eq!(read.unwrap().head(), ana.chain.head());
    let once = begin.elapsed();
    let late = Link::sign(
        LinkPlace {
            seq: ana.chain.last_seq(),
            ..occupied(&ana.chain)
        },
        LinkBody::Policy { min_version: 5 },
        ana.phone.signer(),
        ana.phone.key(),
    );
    let begin = std::time::Instant::now();
    for _ in 0..20 {
        let refused = ana.chain.outranked_by(late.clone()).unwrap_err();
        assert_eq!(refused, ChainError::Fork { seq: late.seq });
    }
    assert!(begin.elapsed() < once, "as long as reading it 20 times");
}

/// Someone with the old words must not undo that they were replaced.
#[test]
fn replaced_words_do_not_void_what_the_words_signed() {
    let mut ana = ana();
    let early = PartyChain::from_links(ana.chain.links().to_vec()).unwrap();
    let body = add(&ana.chain, &Device::new("a tablet"));
    grow(&mut ana.chain, body, &ana.phone);
    let body = recover(&ana.chain, &Device::new("Ana's new laptop"), &[]);
    grow(&mut ana.chain, body, &ana.words);
    let body = recover(&early, &Device::new("a thief's laptop"), &[]);
    let place = early.next_place(TIME);
    let link = Link::sign(place, body, ana.words.signer(), ana.words.key());
    let seq = link.seq;
    let refused = ana.chain.outranked_by(link).unwrap_err();
    assert_eq!(refused, ChainError::Fork { seq });
}

#[test]
fn nothing_outranks_the_beginning_and_nothing_lies_beyond_the_end() {
    let ana = ana();
    for seq in [0, ana.chain.next_seq() + 1] {
        let place = LinkPlace {
            seq,
            ..ana.chain.next_place(TIME)
        };
        let link = policy(place, &ana.words);
        assert!(matches!(
            ana.chain.outranked_by(link),
            Err(ChainError::Gap { .. })
        ));
    }
}

#[test]
fn a_strangers_link_at_an_occupied_place_is_no_fork() {
    let (mut ana, ben) = (ana(), ben());
    for place in [occupied(&ana.chain), elsewhere(ana.chain.next_place(TIME))] {
        for link in [policy(place, &ben.laptop), policy(place, &ben.words)] {
            assert_eq!(refused(&mut ana.chain, &link), ChainError::NotAllowed);
        }
    }
}

#[test]
fn a_forged_link_under_my_name_at_an_occupied_place_is_no_fork() {
    let (mut ana, ben) = (ana(), ben());
    for place in [occupied(&ana.chain), elsewhere(ana.chain.next_place(TIME))] {
        for signer in [ana.laptop.signer(), ana.words.signer()] {
            let body = LinkBody::Policy { min_version: 5 };
            let link = Link::sign(place, body, signer, ben.laptop.key());
            assert!(matches!(
                refused(&mut ana.chain, &link),
                ChainError::Malformed(Malformed::Signature(_))
            ));
        }
    }
}

#[test]
fn a_link_of_another_party_at_an_occupied_place_is_no_fork() {
    let (mut ana, ben) = (ana(), ben());
    let place = LinkPlace {
        party: ben.chain.id(),
        ..occupied(&ana.chain)
    };
    let link = policy(place, &ana.laptop);
    assert_eq!(refused(&mut ana.chain, &link), ChainError::WrongParty);
    let other_genesis = genesis(&ben.words, &ben.laptop, 1);
    assert_eq!(
        refused(&mut ana.chain, &other_genesis),
        ChainError::WrongParty
    );
}

#[test]
fn a_stolen_device_cannot_freeze_the_chain_after_its_revocation() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    let body = LinkBody::Policy { min_version: 1 };
    grow(&mut ana.chain, body, &ana.laptop);
    let at = |seq: u64| LinkPlace {
        party: ana.chain.id(),
        seq,
        prev: ana.chain.head_at(seq - 1).unwrap(),
        claimed_time_ms: TIME,
    };
    let (after, before) = (policy(at(3), &ana.phone), policy(at(2), &ana.phone));
    assert_eq!(refused(&mut ana.chain, &after), ChainError::NotAllowed);
    assert_eq!(
        refused(&mut ana.chain, &before),
        ChainError::Fork { seq: 2 },
        "it was active when link 2 was written, so this is a race or a theft"
    );
}

#[test]
fn replaced_words_cannot_freeze_the_chain_after_their_replacement() {
    let mut ana = ana();
    let body = replace_root(&ana.chain, &Words::new("Ana's new words"), &ana.phone);
    grow(&mut ana.chain, body, &ana.words);
    let body = LinkBody::Policy { min_version: 1 };
    grow(&mut ana.chain, body, &ana.laptop);
    let place = LinkPlace {
        party: ana.chain.id(),
        seq: 3,
        prev: ana.chain.head_at(2).unwrap(),
        claimed_time_ms: TIME,
    };
    let link = policy(place, &ana.words);
    assert_eq!(refused(&mut ana.chain, &link), ChainError::NotAllowed);
}

#[test]
fn another_signature_under_the_same_link_is_no_fork() {
    // The chain hashes content, not signatures.
    let mut ana = ana();
    let mut bytes = ana.chain.links()[1].as_bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let link = Link::parse(&bytes).unwrap();
    assert_eq!(ana.chain.append(link), Ok(AppendOutcome::Known));
}
