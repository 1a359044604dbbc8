//! Frames, messages, logins and permits.

use ajar_protocol::auth::{Login, permit, verify_permit};
use ajar_protocol::client_msg::{ChainPosition, ClientMsg, Credential};
use ajar_protocol::frame::{self, Tag};
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Frontier, Malformed, PartyId, SpaceId, limits};
use ed25519_dalek::SigningKey;

use crate::samples;
use crate::support::ana;

fn content(frame: &[u8]) -> &[u8] {
    let length = frame::checked_length(frame[..4].try_into().unwrap(), limits::FRAME).unwrap();
    assert_eq!(length, frame.len() - 4);
    &frame[4..]
}

#[test]
fn every_message_of_a_client_survives_its_frame() {
    for message in samples::client_messages() {
        let frame = message.to_frame();
        assert_eq!(ClientMsg::parse(content(&frame)), Ok(message));
    }
}

#[test]
fn every_message_of_a_relay_survives_its_frame() {
    for message in samples::relay_messages() {
        let frame = message.to_frame();
        assert_eq!(RelayMsg::parse(content(&frame)), Ok(message));
    }
}

#[test]
fn the_two_sides_do_not_understand_each_others_messages() {
    for message in samples::client_messages() {
        assert!(matches!(
            RelayMsg::parse(content(&message.to_frame())),
            Err(Malformed::Kind(_))
        ));
    }
    for message in samples::relay_messages() {
        assert!(matches!(
            ClientMsg::parse(content(&message.to_frame())),
            Err(Malformed::Kind(_))
        ));
    }
}

#[test]
fn an_empty_frame_or_an_unknown_tag_is_refused() {
    for parse in [
        |b: &[u8]| ClientMsg::parse(b).map(drop),
        |b: &[u8]| RelayMsg::parse(b).map(drop),
    ] {
        assert!(matches!(parse(&[]), Err(Malformed::Truncated(_))));
        for tag in [0, 10, 15, 19, 34, 127, 149, 159, 163, 255] {
            assert!(matches!(parse(&[tag]), Err(Malformed::Kind(_))));
        }
    }
}

#[test]
fn tags_are_distinct_and_each_side_has_its_half() {
    let tags: Vec<Tag> = (0..=255).filter_map(Tag::from_byte).collect();
    let messages = samples::client_messages()
        .iter()
        .map(ClientMsg::to_frame)
        .chain(samples::relay_messages().iter().map(RelayMsg::to_frame))
        .map(|frame| frame[4])
        .collect::<std::collections::BTreeSet<u8>>();
    // Those of blobs have a stream of their own.
    let blobs = samples::blob_frames().into_iter().map(|frame| frame[4]);
    let messages: std::collections::BTreeSet<u8> = messages.into_iter().chain(blobs).collect();
    let all: std::collections::BTreeSet<u8> = tags.iter().map(|tag| *tag as u8).collect();
    assert_eq!(messages, all, "a tag without a sample, or the reverse");
    for message in samples::client_messages() {
        assert!(message.to_frame()[4] < 128);
    }
    for message in samples::relay_messages() {
        assert!(message.to_frame()[4] >= 128);
    }
}

#[test]
fn a_frame_length_of_zero_or_over_the_limit_in_force_is_refused() {
    let limit = limits::FRAME_BEFORE_LOGIN;
    let length = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    assert_eq!(frame::checked_length(length(1), limit), Ok(1));
    assert_eq!(frame::checked_length(length(limit), limit), Ok(limit));
    assert!(matches!(
        frame::checked_length(length(0), limit),
        Err(Malformed::Truncated(_))
    ));
    for field in [length(limit + 1), [0xff; 4]] {
        assert!(matches!(
            frame::checked_length(field, limit),
            Err(Malformed::TooLarge(_))
        ));
    }
}

#[test]
fn every_object_fits_into_a_frame() {
    // `content` holds the frame against its limit.
    let message = ClientMsg::Append(vec![0; limits::ENVELOPE]);
    content(&message.to_frame());
    // What a stranger sends has to fit into what strangers are given.
    let before_login = [samples::login_message(), samples::introduce_message()];
    for message in before_login {
        assert!(message.to_frame().len() <= limits::FRAME_BEFORE_LOGIN);
    }
}

#[test]
fn objects_over_their_limit_are_refused_inside_a_frame_too() {
    let frames = [
        (Tag::AppendLink, limits::LINK),
        (Tag::Append, limits::ENVELOPE),
        (Tag::MailboxSend, limits::MAILBOX_MESSAGE),
    ];
    for (tag, limit) in frames {
        let at = frame::wrap(tag, &vec![0; limit]);
        assert!(ClientMsg::parse(&at[4..]).is_ok());
        let over = frame::wrap(tag, &vec![0; limit + 1]);
        assert!(matches!(
            ClientMsg::parse(&over[4..]),
            Err(Malformed::TooLarge(_))
        ));
    }
    let frames = [
        (Tag::Link, limits::LINK),
        (Tag::Envelope, limits::ENVELOPE),
        (Tag::MailboxMessage, limits::MAILBOX_MESSAGE),
    ];
    for (tag, limit) in frames {
        let at = frame::wrap(tag, &vec![0; limit]);
        assert!(RelayMsg::parse(&at[4..]).is_ok());
        let over = frame::wrap(tag, &vec![0; limit + 1]);
        assert!(matches!(
            RelayMsg::parse(&over[4..]),
            Err(Malformed::TooLarge(_))
        ));
    }
    let mut genesis = vec![Tag::Introduce as u8, 0xff, 0xff];
    genesis.extend([0; 100]);
    assert!(matches!(
        ClientMsg::parse(&genesis),
        Err(Malformed::TooLarge(_))
    ));
}

#[test]
fn a_subscription_to_three_parties_or_one_twice_is_refused() {
    let chain = |n: u8| ChainPosition {
        party: PartyId([n; 32]),
        next: 1,
    };
    let subscribe = |chains: &[ChainPosition]| {
        let message = ClientMsg::Subscribe {
            chains: chains.to_vec(),
            frontier: Frontier::default(),
        };
        ClientMsg::parse(&message.to_frame()[4..])
    };
    assert!(subscribe(&[]).is_ok());
    assert!(subscribe(&[chain(2), chain(1)]).is_ok());
    assert!(matches!(
        subscribe(&[chain(1), chain(2), chain(3)]),
        Err(Malformed::TooLarge(_))
    ));
    assert!(matches!(
        subscribe(&[chain(1), chain(1)]),
        Err(Malformed::Value(_))
    ));
}

#[test]
fn unknown_purposes_credentials_and_refusals_are_refused() {
    for purpose in [0, 3, 255] {
        assert!(matches!(
            ClientMsg::parse(&[Tag::MailboxOpen as u8, purpose]),
            Err(Malformed::Value(_))
        ));
        assert!(matches!(
            RelayMsg::parse(&[Tag::MailboxPeer as u8, purpose]),
            Err(Malformed::Value(_))
        ));
    }
    for kind in [0, 3] {
        let mut bytes = vec![Tag::Introduce as u8, 0, 0, kind];
        bytes.extend([0; 64]);
        assert!(matches!(ClientMsg::parse(&bytes), Err(Malformed::Value(_))));
    }
    for reason in [0, 14, 255] {
        assert!(matches!(
            RelayMsg::parse(&[Tag::Refused as u8, reason]),
            Err(Malformed::Value(_))
        ));
    }
}

#[test]
fn a_refusal_that_may_pass_says_so() {
    let passing: Vec<u8> = samples::refusals()
        .into_iter()
        .filter(|reason| reason.is_passing())
        .map(|reason| reason as u8)
        .collect();
    assert_eq!(passing, [5, 6, 7, 8, 9, 13]);
    assert_eq!(samples::refusals().len(), Refusal::TooMany as usize);
}

#[test]
fn credentials_do_not_show_in_debug_output() {
    let claim = format!("{:?}", Credential::Claim([0xab; 16]));
    let permit = format!("{:?}", Credential::Permit([0xab; 64]));
    assert_eq!(
        (claim.as_str(), permit.as_str()),
        ("Claim(..)", "Permit(..)")
    );
    let message = format!("{:?}", samples::introduce_message());
    assert!(message.contains("Claim(..)"));
}

#[test]
fn a_login_counts_for_one_relay_one_session_and_one_device() {
    let ana = ana();
    let (relay, exporter) = (samples::RELAY, samples::EXPORTER);
    let login = samples::login(&ana);
    assert_eq!(login.verify(&relay, &exporter), Ok(()));
    assert_eq!(Login::decode(&login.encode()), Ok(login));
    assert!(matches!(
        login.verify(&[8; 32], &exporter),
        Err(Malformed::Value(_))
    ));
    let mut other_session = exporter;
    other_session[31] ^= 1;
    assert!(matches!(
        login.verify(&relay, &other_session),
        Err(Malformed::Signature(_))
    ));
    let changed = [
        Login {
            space: SpaceId([1; 32]),
            ..login
        },
        Login {
            device: ana.phone.id(),
            ..login
        },
        Login {
            auth: ana.phone.public.auth,
            ..login
        },
        Login {
            signature: [0; 64],
            ..login
        },
    ];
    for login in changed {
        assert!(matches!(
            login.verify(&relay, &exporter),
            Err(Malformed::Signature(_))
        ));
    }
}

#[test]
fn a_login_forwarded_to_another_relay_is_refused_there() {
    let login = samples::login(&ana());
    let rewritten = Login {
        relay: [8; 32],
        ..login
    };
    assert!(matches!(
        rewritten.verify(&[8; 32], &samples::EXPORTER),
        Err(Malformed::Signature(_))
    ));
}

#[test]
fn a_login_under_a_weak_key_is_refused() {
    for auth in crate::link::weak_ed25519() {
        let login = Login {
            auth,
            ..samples::login(&ana())
        };
        assert!(matches!(
            login.verify(&samples::RELAY, &samples::EXPORTER),
            Err(Malformed::Key(_))
        ));
    }
}

#[test]
fn a_login_of_another_version_is_refused() {
    let mut bytes = samples::login(&ana()).encode();
    bytes[0] = 2;
    assert!(matches!(Login::decode(&bytes), Err(Malformed::Version(_))));
}

#[test]
fn a_permit_counts_for_one_space_of_one_relay() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let relay = key.verifying_key().to_bytes();
    let space = SpaceId([4; 32]);
    let permit = permit(&key, &space);
    assert_eq!(verify_permit(&relay, &space, &permit), Ok(()));
    assert!(verify_permit(&relay, &SpaceId([5; 32]), &permit).is_err());
    let other = SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes();
    assert!(verify_permit(&other, &space, &permit).is_err());
}

#[test]
fn a_purpose_keeps_its_number() {
    for purpose in [Purpose::DeviceLink, Purpose::PartnerLink] {
        assert_eq!(Purpose::from_byte(purpose as u8), Ok(purpose));
    }
}
