//! Devices come, go, and are counted.

use ajar_protocol::chain::ChainError;
use ajar_protocol::link::{LinkPlace, NewDevice, RevokeReason};
use ajar_protocol::{DeviceId, EnvelopeId, LinkBody, Malformed, PartyId, limits};

use crate::support::{
    Device, TIME, Words, add, amend, ana, ben, cutoff, elsewhere, grow, proven, recover, refusal,
    revoke, start,
};

#[test]
fn an_added_device_is_active_and_may_add_another() {
    let mut ana = ana();
    let tablet = Device::new("Ana's tablet");
    let body = add(&ana.chain, &tablet);
    grow(&mut ana.chain, body, &ana.phone);
    let known = ana.chain.active(&tablet.id()).unwrap();
    assert_eq!(known.keys, tablet.public);
    assert_eq!(known.sealed_label, b"sealed name");
    assert_eq!((known.added, known.added_time_ms), (2, TIME));
    assert_eq!(ana.chain.devices().count(), 3);
}

#[test]
fn a_device_without_proof_of_its_keys_is_refused() {
    let mut ana = ana();
    let tablet = Device::new("Ana's tablet");
    let place = ana.chain.next_place(TIME);
    let no_proof = NewDevice {
        proof: [0; 64],
        ..proven(&tablet, place)
    };
    let other_seq = LinkPlace {
        seq: place.seq + 1,
        ..place
    };
    let other_party = LinkPlace {
        party: PartyId([9; 32]),
        ..place
    };
    let mut other_keys = proven(&tablet, place);
    other_keys.keys.kem = Device::new("someone else").public.kem;
    let by_another = NewDevice {
        keys: tablet.public,
        ..proven(&Device::new("someone else"), place)
    };
    let bodies = [
        no_proof,
        proven(&tablet, other_seq),
        proven(&tablet, elsewhere(place)),
        proven(&tablet, other_party),
        other_keys,
        by_another,
    ];
    for (i, device) in bodies.into_iter().enumerate() {
        let error = refusal(
            &mut ana.chain,
            LinkBody::DeviceAdd(device.clone()),
            &ana.phone,
        );
        assert_eq!(
            error,
            ChainError::Malformed(Malformed::Signature("proof of a new device")),
            "case {i}"
        );
        let revoked = vec![];
        let error = refusal(
            &mut ana.chain,
            LinkBody::Recover { device, revoked },
            &ana.words,
        );
        assert_eq!(
            error,
            ChainError::Malformed(Malformed::Signature("proof of a new device")),
            "case {i}"
        );
    }
}

#[test]
fn the_words_alone_do_not_add_a_device_quietly() {
    // RECOVER is the loud form that every screen shows as such.
    let mut ana = ana();
    let body = add(&ana.chain, &Device::new("Ana's tablet"));
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.words),
        ChainError::NotAllowed
    );
}

#[test]
fn a_key_that_is_in_the_chain_already_is_refused() {
    let mut ana = ana();
    let new = Device::new("Ana's tablet");
    let taken = [
        ana.laptop.public.sign,
        ana.laptop.public.kem,
        ana.laptop.public.auth,
        ana.words.public.root,
        ana.words.public.login,
        ana.words.public.recovery_kem,
    ];
    for key in taken {
        // An Ed25519 key may not be sound as an X25519 key and the other way round.
        let mut device = Device::new("Ana's tablet");
        device.public.auth = key;
        if device.public.check().is_err() {
            device.public.auth = new.public.auth;
            device.public.kem = key;
        }
        if device.public.check().is_err() {
            continue;
        }
        let body = add(&ana.chain, &device);
        assert_eq!(
            refusal(&mut ana.chain, body, &ana.phone),
            ChainError::KeyReuse
        );
    }
    let body = add(&ana.chain, &ana.laptop);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.phone),
        ChainError::KeyReuse
    );
}

#[test]
fn one_key_for_two_purposes_of_a_device_is_refused() {
    let mut ana = ana();
    let mut device = Device::new("Ana's tablet");
    device.public.auth = device.public.sign;
    let body = add(&ana.chain, &device);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.phone),
        ChainError::KeyReuse
    );
}

#[test]
fn a_revoked_device_never_returns_under_its_keys() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    let body = add(&ana.chain, &ana.phone);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.laptop),
        ChainError::KeyReuse
    );
}

#[test]
fn a_ninth_device_is_refused_until_one_has_gone() {
    let mut ana = ana();
    let others: Vec<Device> = (3..=8)
        .map(|n| Device::new(&format!("device {n}")))
        .collect();
    for device in &others {
        let body = add(&ana.chain, device);
        grow(&mut ana.chain, body, &ana.laptop);
    }
    let ninth = Device::new("device 9");
    let body = add(&ana.chain, &ninth);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.laptop),
        ChainError::TooMany
    );
    let body = recover(&ana.chain, &ninth, &[]);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.words),
        ChainError::TooMany
    );
    let body = revoke(&others[0], 0);
    grow(&mut ana.chain, body, &ana.laptop);
    let body = add(&ana.chain, &ninth);
    grow(&mut ana.chain, body, &ana.laptop);
}

#[test]
fn a_sixty_fifth_device_is_refused_for_ever() {
    let words = Words::new("Ana's words");
    let first = Device::new("device 0");
    let mut chain = start(&words, &first);
    let mut last = first;
    for n in 1..limits::DEVICES_EVER {
        let device = Device::new(&format!("device {n}"));
        let body = add(&chain, &device);
        grow(&mut chain, body, &last);
        let body = revoke(&last, 0);
        grow(&mut chain, body, &device);
        last = device;
    }
    assert_eq!(chain.devices().count(), limits::DEVICES_EVER);
    let body = add(&chain, &Device::new("device 64"));
    assert_eq!(refusal(&mut chain, body, &last), ChainError::TooMany);
    let body = recover(&chain, &Device::new("device 64"), &[cutoff(&last, 0)]);
    assert_eq!(refusal(&mut chain, body, &words), ChainError::TooMany);
}

#[test]
fn a_device_cannot_revoke_itself_but_the_words_can_revoke_the_last_one() {
    let mut ben = ben();
    let body = revoke(&ben.laptop, 7);
    assert_eq!(
        refusal(&mut ben.chain, body.clone(), &ben.laptop),
        ChainError::NotAllowed
    );
    grow(&mut ben.chain, body, &ben.words);
    assert!(ben.chain.active(&ben.laptop.id()).is_none());
    let known = ben.chain.device(&ben.laptop.id()).unwrap();
    let revocation = known.revoked.unwrap();
    assert_eq!((revocation.seq, revocation.amended), (1, false));
    assert_eq!(revocation.cutoff, cutoff(&ben.laptop, 7));
}

#[test]
fn revoking_twice_or_an_unknown_device_is_refused() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    for body in [revoke(&ana.phone, 5), revoke(&Device::new("never seen"), 5)] {
        assert_eq!(
            refusal(&mut ana.chain, body.clone(), &ana.laptop),
            ChainError::NotAllowed
        );
        assert_eq!(
            refusal(&mut ana.chain, body, &ana.words),
            ChainError::NotAllowed
        );
    }
}

#[test]
fn a_revoked_device_signs_nothing_more() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    let bodies = [
        add(&ana.chain, &Device::new("Ana's tablet")),
        revoke(&ana.laptop, 1),
        amend(&ana.phone, 9),
        LinkBody::Policy { min_version: 1 },
    ];
    for body in bodies {
        assert_eq!(
            refusal(&mut ana.chain, body, &ana.phone),
            ChainError::NotAllowed
        );
    }
}

#[test]
fn a_cutoff_is_raised_once_and_never_lowered() {
    let mut ana = ana();
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    for counter in [0, 3, 4] {
        let body = amend(&ana.phone, counter);
        assert_eq!(
            refusal(&mut ana.chain, body, &ana.laptop),
            ChainError::NotAllowed
        );
    }
    let body = amend(&ana.phone, 7);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.words),
        ChainError::NotAllowed
    );
    let mut raised = cutoff(&ana.phone, 7);
    raised.id = EnvelopeId([0xd1; 32]);
    raised.reason = RevokeReason::Stolen;
    grow(&mut ana.chain, LinkBody::RevokeAmend(raised), &ana.laptop);
    let known = ana.chain.device(&ana.phone.id()).unwrap().revoked.unwrap();
    assert_eq!((known.cutoff.counter, known.cutoff.id), (7, raised.id));
    assert_eq!(known.cutoff.reason, RevokeReason::Lost, "the reason stays");
    assert_eq!(known.seq, 2, "it left when it left");
    let body = amend(&ana.phone, 8);
    assert_eq!(
        refusal(&mut ana.chain, body, &ana.laptop),
        ChainError::NotAllowed
    );
}

#[test]
fn a_device_is_active_from_its_adding_to_just_before_its_revocation() {
    let mut ana = ana();
    let body = LinkBody::Policy { min_version: 1 };
    grow(&mut ana.chain, body, &ana.phone);
    let body = revoke(&ana.phone, 4);
    grow(&mut ana.chain, body, &ana.laptop);
    let active = |device: &DeviceId| {
        let known = ana.chain.device(device).unwrap();
        [0, 1, 2, 3, 4].map(|seq| known.active_at(seq))
    };
    assert_eq!(active(&ana.phone.id()), [false, true, true, false, false]);
    assert_eq!(active(&ana.laptop.id()), [true; 5]);
}
