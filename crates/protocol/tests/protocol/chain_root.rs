//! The twelve words: recovery and their replacement.

use ajar_protocol::chain::ChainError;
use ajar_protocol::link::signed_message;
use ajar_protocol::{LinkBody, Malformed, label};
use ed25519_dalek::Signer;

use crate::support::{
    Device, TIME, Words, add, ana, ben, cutoff, elsewhere, grow, next, receive, recover, refusal,
    replace_root, replace_root_at, revoke,
};

fn bad_cosignature() -> ChainError {
    ChainError::Malformed(Malformed::Signature("new words"))
}

#[test]
fn the_words_bring_a_new_device_in_and_put_all_others_out() {
    let mut ana = ana();
    let new = Device::new("Ana's new laptop");
    let gone = [cutoff(&ana.laptop, 12), cutoff(&ana.phone, 0)];
    let body = recover(&ana.chain, &new, &gone);
    grow(&mut ana.chain, body, &ana.words);
    assert!(ana.chain.active(&new.id()).is_some());
    assert!(ana.chain.active(&ana.laptop.id()).is_none());
    assert!(ana.chain.active(&ana.phone.id()).is_none());
    let body = add(&ana.chain, &Device::new("Ana's new phone"));
    grow(&mut ana.chain, body, &new);
}

#[test]
fn recovery_makes_room_for_itself_when_eight_devices_are_lost() {
    let mut ana = ana();
    let mut all = vec![cutoff(&ana.laptop, 1), cutoff(&ana.phone, 1)];
    for n in 3..=8 {
        let device = Device::new(&format!("device {n}"));
        let body = add(&ana.chain, &device);
        grow(&mut ana.chain, body, &ana.laptop);
        all.push(cutoff(&device, 1));
    }
    let new = Device::new("Ana's new laptop");
    let body = recover(&ana.chain, &new, &all);
    grow(&mut ana.chain, body, &ana.words);
    let left = ana
        .chain
        .devices()
        .filter(|(id, _)| ana.chain.active(id).is_some());
    assert_eq!(left.count(), 1);
}

#[test]
fn only_the_words_recover() {
    let mut ana = ana();
    let body = recover(&ana.chain, &Device::new("new"), &[cutoff(&ana.laptop, 1)]);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.phone),
        ChainError::NotAllowed
    );
}

#[test]
fn a_recovery_that_revokes_a_stranger_or_one_device_twice_is_refused_whole() {
    let mut ana = ana();
    let new = Device::new("new");
    let lists = [
        vec![cutoff(&ana.phone, 1), cutoff(&Device::new("stranger"), 1)],
        vec![cutoff(&ana.phone, 1), cutoff(&ana.phone, 2)],
        vec![cutoff(&ana.phone, 1), cutoff(&new, 1)],
    ];
    for list in lists {
        let body = recover(&ana.chain, &new, &list);
        assert_eq!(
            refusal(&mut ana.chain, body, &ana.words),
            ChainError::NotAllowed
        );
        assert!(ana.chain.active(&ana.phone.id()).is_some());
    }
}

#[test]
fn new_words_need_the_old_words_and_a_device() {
    let mut ana = ana();
    let new = Words::new("Ana's new words");
    let body = replace_root(&ana.chain, &new, &ana.phone);
    assert_eq!(
        refusal(&mut ana.chain, body.clone(), &ana.laptop),
        ChainError::NotAllowed,
        "two devices are not enough"
    );
    assert_eq!(
        refusal(&mut ana.chain, body.clone(), &new),
        ChainError::NotAllowed,
        "the new words do not put themselves in"
    );
    let stranger = Device::new("stranger");
    let by_stranger = replace_root(&ana.chain, &new, &stranger);
    assert_eq!(
        refusal(&mut ana.chain, by_stranger, &ana.words),
        ChainError::NotAllowed
    );
    grow(&mut ana.chain, body, &ana.words);
    assert_eq!(ana.chain.root(), &new.public);
    assert_eq!(ana.chain.root_at(1), Some(&ana.words.public));
    assert_eq!(ana.chain.root_at(2), Some(&new.public));
}

#[test]
fn the_devices_signature_under_new_words_counts_for_one_place_and_one_set_of_keys() {
    let (mut ana, ben) = (ana(), ben());
    let new = Words::new("Ana's new words");
    let place = ana.chain.next_place(TIME);
    let mut later = place;
    later.seq += 1;
    let mut other_party = place;
    other_party.party = ben.chain.id();
    for place in [later, other_party, elsewhere(place)] {
        let body = replace_root_at(&place, &new, &ana.phone);
        assert_eq!(refusal(&mut ana.chain, body, &ana.words), bad_cosignature());
    }
    let LinkBody::RootReplace {
        cosigner,
        cosignature,
        ..
    } = replace_root(&ana.chain, &new, &ana.phone)
    else {
        unreachable!("it was just made")
    };
    let swapped = LinkBody::RootReplace {
        root: Words::new("a thief's words").public,
        cosigner,
        cosignature,
    };
    assert_eq!(
        refusal(&mut ana.chain, swapped, &ana.words),
        bad_cosignature()
    );
    let link_signature = ana
        .phone
        .sign
        .sign(&signed_message(label::LINK_SIG, &[0; 32]))
        .to_bytes();
    let wrong_label = LinkBody::RootReplace {
        root: new.public,
        cosigner,
        cosignature: link_signature,
    };
    assert_eq!(
        refusal(&mut ana.chain, wrong_label, &ana.words),
        bad_cosignature()
    );
}

#[test]
fn a_revoked_device_does_not_cosign_new_words() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 1);
    grow(&mut ana.chain, body, &ana.laptop);
    let body = replace_root(&ana.chain, &Words::new("new"), &ana.phone);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.words),
        ChainError::NotAllowed
    );
}

#[test]
fn found_old_words_open_nothing_after_they_were_replaced() {
    let mut ana = ana();
    let new = Words::new("Ana's new words");
    let body = replace_root(&ana.chain, &new, &ana.phone);
    grow(&mut ana.chain, body, &ana.words);
    let thief = Device::new("a thief's laptop");
    let body = recover(&ana.chain, &thief, &[]);
    assert_eq!(
        refusal(&mut ana.chain, body.clone(), &ana.words),
        ChainError::NotAllowed
    );
    let link = next(&ana.chain, body, &new);
    receive(&mut ana.chain, &link).unwrap();
}

#[test]
fn words_that_were_used_before_are_refused() {
    let mut ana = ana();
    let body = replace_root(&ana.chain, &ana.words, &ana.phone);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.words),
        ChainError::KeyReuse
    );
    let mut one_key = Words::new("Ana's new words");
    one_key.public.login = ana.laptop.public.auth;
    let body = replace_root(&ana.chain, &one_key, &ana.phone);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.words),
        ChainError::KeyReuse
    );
}
