//! Membership heads, and who receives the key of an epoch before and after each change.

use ajar_protocol::epoch::{Recipient, recipients};
use ajar_protocol::genesis::{membership_head, membership_seqs};
use ajar_protocol::link::LeaveMode;
use ajar_protocol::{LinkBody, PartyChain};

use crate::support::{
    Ana, Ben, Device, Words, add, ana, ben, cutoff, grow, recover, replace_root, revoke,
};

fn device(device: &Device) -> Recipient {
    Recipient {
        id: device.id().0,
        kem: device.public.kem,
    }
}

fn recovery(words: &Words) -> Recipient {
    Recipient {
        id: words.public.recovery_id(),
        kem: words.public.recovery_kem,
    }
}

fn sorted(mut all: Vec<Recipient>) -> Option<Vec<Recipient>> {
    all.sort();
    Some(all)
}

/// Chains in the order of the space, with sequence numbers given for Ana and Ben.
fn view<'a>(ana: &'a Ana, ben: &'a Ben, seqs: (u64, u64)) -> (Vec<&'a PartyChain>, Vec<u64>) {
    let mut sides = [(&ana.chain, seqs.0), (&ben.chain, seqs.1)];
    sides.sort_by_key(|(chain, _)| chain.id());
    sides.into_iter().unzip()
}

fn of(ana: &Ana, ben: &Ben, seqs: (u64, u64)) -> Option<Vec<Recipient>> {
    let (chains, seqs) = view(ana, ben, seqs);
    recipients(&chains, &seqs)
}

#[test]
fn a_device_receives_epochs_from_its_adding_until_its_revocation() {
    let (mut ana, ben) = (ana(), ben());
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    let tablet = Device::new("Ana's tablet");
    let body = add(&ana.chain, &tablet);
    grow(&mut ana.chain, body, &ana.laptop);
    let always = [
        recovery(&ana.words),
        recovery(&ben.words),
        device(&ana.laptop),
        device(&ben.laptop),
    ];
    let with = |more: &[Recipient]| sorted([&always[..], more].concat());
    assert_eq!(of(&ana, &ben, (0, 0)), with(&[]));
    assert_eq!(of(&ana, &ben, (1, 0)), with(&[device(&ana.phone)]));
    assert_eq!(of(&ana, &ben, (2, 0)), with(&[]));
    assert_eq!(of(&ana, &ben, (3, 0)), with(&[device(&tablet)]));
    assert_eq!(of(&ana, &ben, (4, 0)), None, "no such link yet");
    assert_eq!(of(&ana, &ben, (3, 1)), None);
    assert_eq!(of(&ana, &ben, (u64::MAX, 0)), None);
}

#[test]
fn a_party_that_left_keeps_only_its_recovery_key() {
    let (mut ana, ben) = (ana(), ben());
    grow(
        &mut ana.chain,
        LinkBody::Leave(LeaveMode::Ended),
        &ana.laptop,
    );
    let before = vec![
        recovery(&ana.words),
        recovery(&ben.words),
        device(&ana.laptop),
        device(&ana.phone),
        device(&ben.laptop),
    ];
    assert_eq!(of(&ana, &ben, (1, 0)), sorted(before));
    let after = vec![
        recovery(&ana.words),
        recovery(&ben.words),
        device(&ben.laptop),
    ];
    assert_eq!(of(&ana, &ben, (2, 0)), sorted(after));
}

#[test]
fn a_recovered_party_receives_on_its_new_device_only() {
    let (mut ana, ben) = (ana(), ben());
    let new = Device::new("Ana's new laptop");
    let gone = [cutoff(&ana.laptop, 1), cutoff(&ana.phone, 1)];
    let body = recover(&ana.chain, &new, &gone);
    grow(&mut ana.chain, body, &ana.words);
    let after = vec![
        recovery(&ana.words),
        recovery(&ben.words),
        device(&new),
        device(&ben.laptop),
    ];
    assert_eq!(of(&ana, &ben, (2, 0)), sorted(after));
}

#[test]
fn new_words_receive_in_place_of_the_old_ones() {
    let (mut ana, ben) = (ana(), ben());
    let new = Words::new("Ana's new words");
    let body = replace_root(&ana.chain, &new, &ana.phone);
    grow(&mut ana.chain, body, &ana.words);
    let before = of(&ana, &ben, (1, 0)).unwrap();
    let after = of(&ana, &ben, (2, 0)).unwrap();
    assert!(before.contains(&recovery(&ana.words)) && !before.contains(&recovery(&new)));
    assert!(!after.contains(&recovery(&ana.words)) && after.contains(&recovery(&new)));
}

#[test]
fn a_private_space_is_received_by_its_own_party_alone() {
    let ana = ana();
    let own = vec![
        recovery(&ana.words),
        device(&ana.laptop),
        device(&ana.phone),
    ];
    assert_eq!(recipients(&[&ana.chain], &[1]), sorted(own));
}

#[test]
fn a_membership_head_names_both_chains_and_nothing_shorter() {
    let (ana, ben) = (ana(), ben());
    let (chains, seqs) = view(&ana, &ben, (1, 0));
    let head = membership_head(&chains, &seqs).unwrap();
    assert_eq!(membership_seqs(&head), (seqs[0], seqs[1]));
    let (_, earlier) = view(&ana, &ben, (0, 0));
    assert_ne!(Some(head), membership_head(&chains, &earlier));
    let (_, later) = view(&ana, &ben, (2, 0));
    assert_eq!(membership_head(&chains, &later), None);
    assert_eq!(membership_head(&chains, &[u64::MAX, 0]), None);
    let swapped = [chains[1], chains[0]];
    assert_ne!(
        Some(head),
        membership_head(&swapped, &[seqs[1], seqs[0]]),
        "the order of the parties counts"
    );
}

#[test]
fn a_private_membership_head_has_zeros_for_the_other_party() {
    let ana = ana();
    let head = membership_head(&[&ana.chain], &[1]).unwrap();
    assert_eq!(membership_seqs(&head), (1, 0));
    assert_eq!(
        Some(head),
        membership_head(&[&ana.chain], &[1, 7]),
        "a number without a chain says nothing"
    );
}
