//! Links as bytes: what a parser must refuse before any chain sees it.

use ajar_protocol::chain::{ChainError, genesis_place};
use ajar_protocol::link::{RevokeReason, RootPublic, verifying_key};
use ajar_protocol::{Link, LinkBody, Malformed, PartyChain, limits};

use crate::support::{
    Ana, Device, Signs, TIME, Words, add, ana, cutoff, genesis, genesis_body, next, recover,
    refusal, replace_root, revoke,
};

/// The neutral element of Edwards25519: every signature of a certain shape verifies under it.
pub(crate) const IDENTITY: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 1;
    key
};

/// Keys under which strict verification would be meaningless, or that are no points.
pub(crate) fn weak_ed25519() -> Vec<[u8; 32]> {
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let mut negative_identity = IDENTITY;
    negative_identity[31] |= 0x80;
    vec![
        IDENTITY,
        negative_identity,
        minus_one,
        [0; 32],
        no_point,
        [0xff; 32],
    ]
}

/// X25519 points that make a shared secret of zero, and second spellings of points.
pub(crate) fn bad_x25519() -> Vec<[u8; 32]> {
    let hex = |text: &str| -> [u8; 32] {
        data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .unwrap()
            .try_into()
            .unwrap()
    };
    let low = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .map(hex);
    let mut all = low.to_vec();
    all.extend(low.map(|mut key| {
        key[31] |= 0x80;
        key
    }));
    let nine_plus_p = hex("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    let mut nine_with_top_bit = [0; 32];
    (nine_with_top_bit[0], nine_with_top_bit[31]) = (9, 0x80);
    all.extend([nine_plus_p, nine_with_top_bit]);
    all
}

fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn an_unknown_version_kind_or_flag_is_refused() {
    let (words, laptop) = (Words::new("Ana's words"), Device::new("Ana's laptop"));
    let link = genesis(&words, &laptop, 0);
    let bytes = link.as_bytes();
    for version in [0, 2, 255] {
        assert!(matches!(
            Link::parse(&with(bytes, 0, &[version])),
            Err(Malformed::Version(_))
        ));
    }
    for kind in [0, 9, 255] {
        assert!(matches!(
            Link::parse(&with(bytes, 1, &[kind])),
            Err(Malformed::Kind(_))
        ));
    }
    for flags in [[0, 1], [0x80, 0]] {
        assert!(matches!(
            Link::parse(&with(bytes, 2, &flags)),
            Err(Malformed::Reserved(_))
        ));
    }
}

#[test]
fn a_body_length_of_four_gibibytes_is_refused() {
    let link = genesis(&Words::new("words"), &Device::new("laptop"), 0);
    let bytes = with(link.as_bytes(), 84, &[0xff; 4]);
    assert!(matches!(Link::parse(&bytes), Err(Malformed::TooLarge(_))));
    let over = u32::try_from(limits::LINK_BODY + 1).unwrap().to_be_bytes();
    let bytes = with(link.as_bytes(), 84, &over);
    assert!(matches!(Link::parse(&bytes), Err(Malformed::TooLarge(_))));
    assert!(matches!(
        Link::parse(&vec![1; limits::LINK + 1]),
        Err(Malformed::TooLarge(_))
    ));
}

#[test]
fn a_body_shorter_or_longer_than_its_kind_is_refused() {
    let link = genesis(&Words::new("words"), &Device::new("laptop"), 0);
    let bytes = link.as_bytes();
    let length = u32::from_be_bytes(bytes[84..88].try_into().unwrap());
    for (said, pad) in [(length - 1, 0), (length + 1, 1)] {
        let mut bytes = with(bytes, 84, &said.to_be_bytes());
        // Keep the whole link consistent, so that only the body is at fault.
        let signer_at = bytes.len() - 96;
        if pad == 1 {
            bytes.insert(signer_at, 0);
        } else {
            bytes.remove(signer_at - 1);
        }
        assert!(matches!(
            Link::parse(&bytes),
            Err(Malformed::Truncated(_) | Malformed::Trailing(_))
        ));
    }
}

#[test]
fn a_key_slot_beyond_the_eighth_shared_one_is_refused() {
    let (words, laptop) = (Words::new("words"), Device::new("laptop"));
    for slot in 0..=8 {
        assert!(Link::parse(genesis(&words, &laptop, slot).as_bytes()).is_ok());
    }
    let link = genesis(&words, &laptop, 9);
    assert!(matches!(
        Link::parse(link.as_bytes()),
        Err(Malformed::Value("key slot"))
    ));
}

#[test]
fn weak_ed25519_keys_are_refused() {
    for key in weak_ed25519() {
        assert!(verifying_key(&key, "key").is_err(), "{key:02x?}");
        let mut device = Device::new("laptop").public;
        device.sign = key;
        assert!(device.check().is_err());
        let mut device = Device::new("laptop").public;
        device.auth = key;
        assert!(device.check().is_err());
        let words = Words::new("words").public;
        for root in [
            RootPublic { root: key, ..words },
            RootPublic {
                login: key,
                ..words
            },
        ] {
            assert!(root.check().is_err());
        }
    }
}

#[test]
fn low_order_and_non_canonical_x25519_keys_are_refused() {
    for key in bad_x25519() {
        let mut device = Device::new("laptop").public;
        device.kem = key;
        assert_eq!(
            device.check(),
            Err(Malformed::Key("epoch key")),
            "{key:02x?}"
        );
        let mut words = Words::new("words").public;
        words.recovery_kem = key;
        assert_eq!(words.check(), Err(Malformed::Key("epoch key")));
    }
    // The base point is fine, and so is the largest coordinate below p - 1.
    let mut below = [0xff; 32];
    (below[0], below[31]) = (0xeb, 0x7f);
    let mut nine = [0; 32];
    nine[0] = 9;
    for key in [nine, below] {
        let mut device = Device::new("laptop").public;
        device.kem = key;
        assert_eq!(device.check(), Ok(()));
    }
}

#[test]
fn a_weak_key_is_refused_wherever_it_stands_in_a_link() {
    let Ana {
        words,
        laptop,
        chain,
        ..
    } = ana();
    let genesis = genesis(&words, &laptop, 1);
    let add = next(&chain, add(&chain, &Device::new("new")), &laptop);
    let replace = next(
        &chain,
        replace_root(&chain, &Words::new("new"), &laptop),
        &words,
    );
    // Offsets of Ed25519 and of X25519 keys within the body, which begins at 88.
    let places: [(&Link, &[usize], &[usize]); 3] = [
        (&genesis, &[1, 33, 97, 161], &[65, 129]),
        (&add, &[0, 64], &[32]),
        (&replace, &[0, 32], &[64]),
    ];
    for (link, ed, x) in places {
        for at in ed {
            let bytes = with(link.as_bytes(), 88 + at, &IDENTITY);
            assert!(
                matches!(Link::parse(&bytes), Err(Malformed::Key(_))),
                "{at}"
            );
        }
        for at in x {
            let bytes = with(link.as_bytes(), 88 + at, &[0; 32]);
            assert!(
                matches!(Link::parse(&bytes), Err(Malformed::Key(_))),
                "{at}"
            );
        }
    }
}

#[test]
fn a_weak_key_is_refused_by_the_chain_too_when_the_link_was_never_parsed() {
    let mut bad = Device::new("new");
    bad.public.kem = [0; 32];
    let words = Words::new("Ana's words");
    let link = Link::sign(
        genesis_place(TIME),
        genesis_body(&words, &bad, 1),
        bad.signer(),
        bad.key(),
    );
    assert!(matches!(
        PartyChain::start(link),
        Err(ChainError::Malformed(Malformed::Key(_)))
    ));
    let Ana {
        laptop, mut chain, ..
    } = ana();
    let link = next(&chain, add(&chain, &bad), &laptop);
    assert!(matches!(
        chain.append(link),
        Err(ChainError::Malformed(Malformed::Key(_)))
    ));
}

#[test]
fn a_sealed_name_over_its_limit_is_refused() {
    let mut ana = ana();
    for (length, fits) in [(256, true), (257, false), (65_535, false)] {
        let LinkBody::DeviceAdd(mut device) = add(&ana.chain, &Device::new("new")) else {
            unreachable!("it was just made")
        };
        device.sealed_label = vec![7; length];
        let link = next(&ana.chain, LinkBody::DeviceAdd(device), &ana.laptop);
        assert_eq!(Link::parse(link.as_bytes()).is_ok(), fits, "{length}");
    }
    let LinkBody::DeviceAdd(mut device) = add(&ana.chain, &Device::new("new")) else {
        unreachable!("it was just made")
    };
    device.sealed_label = vec![7; 257];
    assert!(matches!(
        refusal(&mut ana.chain, LinkBody::DeviceAdd(device), &ana.laptop),
        ChainError::Malformed(Malformed::TooLarge(_))
    ));
}

#[test]
fn a_recovery_that_revokes_more_than_eight_devices_is_refused() {
    let ana = ana();
    let list: Vec<_> = (0..9)
        .map(|n| cutoff(&Device::new(&format!("device {n}")), 1))
        .collect();
    let new = Device::new("new");
    let link = next(
        &ana.chain,
        recover(&ana.chain, &new, &list[..8]),
        &ana.words,
    );
    assert!(Link::parse(link.as_bytes()).is_ok());
    let link = next(&ana.chain, recover(&ana.chain, &new, &list), &ana.words);
    assert!(matches!(
        Link::parse(link.as_bytes()),
        Err(Malformed::TooLarge(_))
    ));
}

#[test]
fn a_cutoff_has_a_counter_and_an_envelope_or_neither() {
    let ana = ana();
    let link = next(&ana.chain, revoke(&ana.phone, 3), &ana.laptop);
    // body: device 32 | counter 8 | envelope 32 | reason
    let no_counter = with(link.as_bytes(), 88 + 32, &[0; 8]);
    let no_envelope = with(link.as_bytes(), 88 + 40, &[0; 32]);
    for bytes in [no_counter, no_envelope] {
        assert!(matches!(
            Link::parse(&bytes),
            Err(Malformed::Value("cut-off of a revocation"))
        ));
    }
    let link = next(&ana.chain, revoke(&ana.phone, 0), &ana.laptop);
    assert!(Link::parse(link.as_bytes()).is_ok());
}

#[test]
fn an_unknown_reason_mode_or_policy_flag_is_refused() {
    let ana = ana();
    let revoke = next(&ana.chain, revoke(&ana.phone, 3), &ana.laptop);
    for reason in [0, 4, 255] {
        let bytes = with(revoke.as_bytes(), 88 + 72, &[reason]);
        assert!(matches!(
            Link::parse(&bytes),
            Err(Malformed::Value("reason of a revocation"))
        ));
    }
    for reason in [
        RevokeReason::Lost,
        RevokeReason::Stolen,
        RevokeReason::Retired,
    ] {
        let bytes = with(revoke.as_bytes(), 88 + 72, &[reason as u8]);
        let LinkBody::DeviceRevoke(cutoff) = Link::parse(&bytes).unwrap().body else {
            unreachable!("the kind is not touched")
        };
        assert_eq!(cutoff.reason, reason);
    }
    let leave = LinkBody::Leave(ajar_protocol::link::LeaveMode::Ended);
    let leave = next(&ana.chain, leave, &ana.laptop);
    for mode in [0, 3] {
        let bytes = with(leave.as_bytes(), 88, &[mode]);
        assert!(matches!(
            Link::parse(&bytes),
            Err(Malformed::Value("mode of leaving"))
        ));
    }
    let policy = next(&ana.chain, LinkBody::Policy { min_version: 1 }, &ana.laptop);
    let bytes = with(policy.as_bytes(), 88 + 2, &[0, 1]);
    assert!(matches!(
        Link::parse(&bytes),
        Err(Malformed::Reserved("policy flags"))
    ));
}
