//! Ben types the code that Ana shows; the relay and strangers try to take part.

use ajar_crypto::{
    PairingWords,
    pairing::{
        CHANNEL_MESSAGES, CHANNEL_PLAINTEXT, Channel, ChannelError, Enterer, EntererWaiting,
        PairingError, Purpose, Shower,
    },
    words::sas_words,
};

use crate::support::{Recorder, RunsDry};

const RELAY: [u8; 32] = [0x7e; 32];

fn words(text: &str) -> PairingWords {
    PairingWords::parse(text).unwrap()
}

fn show(purpose: Purpose, nameplate: &str, relay: &[u8; 32], code: &str) -> (Shower, [u8; 33]) {
    Shower::start(
        purpose,
        nameplate,
        relay,
        &words(code),
        &mut Recorder::new(1),
    )
    .unwrap()
}

fn enter(purpose: Purpose, nameplate: &str, relay: &[u8; 32], code: &str) -> (Enterer, [u8; 33]) {
    Enterer::start(
        purpose,
        nameplate,
        relay,
        &words(code),
        &mut Recorder::new(2),
    )
    .unwrap()
}

const CODE: &str = "apple river window";

/// Both sides up to the point where Ben waits for Ana's confirmation.
fn meet() -> (Shower, [u8; 33], EntererWaiting, [u8; 32]) {
    let (ana, msg_a) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
    let (ben, msg_b) = enter(Purpose::PartnerLink, "4711", &RELAY, CODE);
    let (ben, confirm_b) = ben.receive(&msg_a).unwrap();
    (ana, msg_b, ben, confirm_b)
}

fn paired() -> (Channel, Channel) {
    let (ana, msg_b, ben, confirm_b) = meet();
    let (ana, confirm_a) = ana.confirm(&msg_b, &confirm_b).unwrap();
    (ana, ben.confirm(&confirm_a).unwrap())
}

#[test]
fn ana_and_ben_talk_both_ways_and_see_the_same_words() {
    let (mut ana, mut ben) = paired();
    for n in 0..3u8 {
        let sealed = ana.seal(&[n; 100]).unwrap();
        assert_eq!(ben.open(&sealed).unwrap().as_slice(), [n; 100]);
        let sealed = ben.seal(b"").unwrap();
        assert!(ana.open(&sealed).unwrap().is_empty());
    }
    assert_eq!(ana.transcript(), ben.transcript());
    assert_eq!(
        sas_words(&ana.transcript(), b"keys"),
        sas_words(&ben.transcript(), b"keys")
    );
}

#[test]
fn other_words_another_purpose_relay_or_mailbox_do_not_pair() {
    for (purpose, nameplate, relay, code) in [
        (Purpose::PartnerLink, "4711", RELAY, "apple river winter"),
        (Purpose::DeviceLink, "4711", RELAY, CODE),
        (Purpose::PartnerLink, "4711", [0x7f; 32], CODE),
        (Purpose::PartnerLink, "4712", RELAY, CODE),
    ] {
        let (ana, msg_a) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
        let (ben, msg_b) = enter(purpose, nameplate, &relay, code);
        let (_, confirm_b) = ben.receive(&msg_a).unwrap();
        assert_eq!(
            ana.confirm(&msg_b, &confirm_b).unwrap_err(),
            PairingError::Mismatch,
            "{nameplate} {code}"
        );
    }
}

#[test]
fn the_enterer_notices_a_shower_who_only_guessed() {
    // Mallory sits in Ana's place without the words and answers with any confirmation.
    let (_, msg_a) = show(Purpose::PartnerLink, "4711", &RELAY, "zoo zoo zoo");
    let (ben, _) = enter(Purpose::PartnerLink, "4711", &RELAY, CODE);
    let (ben, confirm_b) = ben.receive(&msg_a).unwrap();
    // Sending Ben's own confirmation back to him is no confirmation.
    assert_eq!(ben.confirm(&confirm_b).unwrap_err(), PairingError::Mismatch);
}

#[test]
fn a_tampered_or_cut_confirmation_burns_the_code() {
    for damage in 0..32 {
        let (ana, msg_b, _, mut confirm_b) = meet();
        confirm_b[damage] ^= 0x80;
        assert_eq!(
            ana.confirm(&msg_b, &confirm_b).unwrap_err(),
            PairingError::Mismatch
        );
    }
    let (ana, msg_b, _, confirm_b) = meet();
    assert_eq!(
        ana.confirm(&msg_b, &confirm_b[..31]).unwrap_err(),
        PairingError::Mismatch
    );
    let (ana, msg_b, ben, confirm_b) = meet();
    let (_, mut confirm_a) = ana.confirm(&msg_b, &confirm_b).unwrap();
    confirm_a[0] ^= 1;
    assert_eq!(ben.confirm(&confirm_a).unwrap_err(), PairingError::Mismatch);
}

#[test]
fn a_changed_first_message_is_refused() {
    for place in 0..33 {
        let (ana, mut msg_b, _, confirm_b) = meet();
        msg_b[place] ^= 1;
        assert!(ana.confirm(&msg_b, &confirm_b).is_err(), "byte {place}");
    }
}

#[test]
fn a_first_message_sent_back_to_its_sender_is_refused() {
    let (ana, msg_a) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
    assert_eq!(
        ana.confirm(&msg_a, &[0; 32]).unwrap_err(),
        PairingError::BadMessage
    );
    let (ben, msg_b) = enter(Purpose::PartnerLink, "4711", &RELAY, CODE);
    assert_eq!(ben.receive(&msg_b).unwrap_err(), PairingError::BadMessage);
    // With only the side byte changed it is still no message of the other side.
    let (ana, mut reflected) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
    reflected[0] = b'B';
    assert_eq!(
        ana.confirm(&reflected, &[0; 32]).unwrap_err(),
        PairingError::Mismatch
    );
}

#[test]
fn points_of_small_order_wrong_lengths_and_non_points_are_refused() {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    for point in [
        // Order 1, 2, 4, 4, 8, 8, and two encodings of the neutral element that are not canonical.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
        // Not on the curve.
        "0200000000000000000000000000000000000000000000000000000000000000",
    ] {
        let (ana, _) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
        let message = [b"B".as_slice(), &hex(point)].concat();
        assert_eq!(
            ana.confirm(&message, &[0; 32]).unwrap_err(),
            PairingError::BadMessage,
            "{point}"
        );
    }
    for length in [0, 1, 32, 34] {
        let (ana, _) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
        assert_eq!(
            ana.confirm(&vec![b'B'; length], &[0; 32]).unwrap_err(),
            PairingError::BadMessage
        );
    }
}

#[test]
fn messages_cannot_be_repeated_reordered_or_reflected() {
    let (mut ana, mut ben) = paired();
    let first = ana.seal(b"one").unwrap();
    ben.open(&first).unwrap();
    assert_eq!(ben.open(&first).unwrap_err(), ChannelError::NotOpened);
    // The failure closed the channel, also for what would have been right.
    let second = ana.seal(b"two").unwrap();
    assert_eq!(ben.open(&second).unwrap_err(), ChannelError::Closed);
    assert_eq!(ben.seal(b"still there?").unwrap_err(), ChannelError::Closed);

    let (mut ana, mut ben) = paired();
    let _first = ana.seal(b"one").unwrap();
    let second = ana.seal(b"two").unwrap();
    assert_eq!(ben.open(&second).unwrap_err(), ChannelError::NotOpened);

    let (mut ana, _) = paired();
    let own = ana.seal(b"one").unwrap();
    assert_eq!(ana.open(&own).unwrap_err(), ChannelError::NotOpened);
}

#[test]
fn messages_of_another_pairing_with_the_same_code_do_not_open() {
    let (mut ana, _) = paired();
    let (other_ana, msg_a) = Shower::start(
        Purpose::PartnerLink,
        "4711",
        &RELAY,
        &words(CODE),
        &mut Recorder::new(9),
    )
    .unwrap();
    let (ben, msg_b) = enter(Purpose::PartnerLink, "4711", &RELAY, CODE);
    let (ben, confirm_b) = ben.receive(&msg_a).unwrap();
    let (_, confirm_a) = other_ana.confirm(&msg_b, &confirm_b).unwrap();
    let mut ben = ben.confirm(&confirm_a).unwrap();
    assert_eq!(
        ben.open(&ana.seal(b"one").unwrap()).unwrap_err(),
        ChannelError::NotOpened
    );
}

#[test]
fn the_channel_takes_sixteen_messages_of_sixteen_kibibytes_and_no_more() {
    let (mut ana, mut ben) = paired();
    let largest = vec![1; CHANNEL_PLAINTEXT];
    for _ in 0..CHANNEL_MESSAGES {
        let sealed = ana.seal(&largest).unwrap();
        assert_eq!(sealed.len(), 16 << 10);
        ben.open(&sealed).unwrap();
    }
    assert_eq!(ana.seal(b"one more").unwrap_err(), ChannelError::TooMany);
    assert_eq!(ben.open(&[0; 100]).unwrap_err(), ChannelError::TooMany);
    let (mut ana, mut ben) = paired();
    assert_eq!(
        ana.seal(&vec![1; CHANNEL_PLAINTEXT + 1]).unwrap_err(),
        ChannelError::TooLarge
    );
    assert_eq!(
        ben.open(&vec![1; (16 << 10) + 1]).unwrap_err(),
        ChannelError::TooLarge
    );
}

#[test]
fn a_code_without_digits_or_without_randomness_sends_nothing() {
    for nameplate in ["", "plum", "47 11", "123456789", "٤٧١١"] {
        let outcome = Shower::start(
            Purpose::PartnerLink,
            nameplate,
            &RELAY,
            &words(CODE),
            &mut Recorder::new(1),
        );
        assert_eq!(outcome.unwrap_err(), PairingError::Nameplate);
    }
    let outcome = Enterer::start(
        Purpose::DeviceLink,
        "1",
        &RELAY,
        &words(CODE),
        &mut RunsDry { good: 0 },
    );
    assert!(matches!(outcome, Err(PairingError::Entropy(_))));
    let outcome = Shower::start(
        Purpose::DeviceLink,
        "1",
        &RELAY,
        &words(CODE),
        &mut RunsDry { good: 0 },
    );
    assert!(matches!(outcome, Err(PairingError::Entropy(_))));
}

#[test]
fn nothing_of_a_pairing_prints_its_secrets() {
    let (ana, _) = show(Purpose::PartnerLink, "4711", &RELAY, CODE);
    assert_eq!(format!("{ana:?}"), "Shower(..)");
    let (channel, _) = paired();
    assert_eq!(format!("{channel:?}"), "Channel { open: true, .. }");
}
