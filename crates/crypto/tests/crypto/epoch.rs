//! Ana's laptop rotates the key; her phone, Ben's phone and both recovery keys receive it.

use ajar_crypto::{
    DeviceSecrets, EpochKey, RecoveryPhrase,
    epoch::{NewEpoch, OpenEpochError, create_epoch, open_epoch},
    kdf, label,
    pad::pad,
    seal::{Draft, SealError, open_envelope, seal_envelope},
};
use ajar_protocol::{
    Envelope, EnvelopeHeader, EnvelopeId, EnvelopeType, EpochId, LinkHash, VerifiedEnvelope,
    envelope::assemble,
    epoch::{EpochReason, EpochRecord, Recipient},
};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hpke::{
    Deserializable, Kem, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::support::{Recorder, RunsDry, SPACE, device, epoch_key, first_place};

fn recipient(device: &DeviceSecrets) -> Recipient {
    Recipient {
        id: device.id().0,
        kem: device.public().kem,
    }
}

fn new_epoch<'a>(recipients: &'a [Recipient], history: &'a [(EpochId, EpochKey)]) -> NewEpoch<'a> {
    NewEpoch {
        number: 4,
        reason: EpochReason::Periodic,
        parents: &[EpochId([1; 32])],
        head_lower: LinkHash([2; 32]),
        head_higher: LinkHash([3; 32]),
        recipients,
        history,
    }
}

fn create(
    author: &DeviceSecrets,
    recipients: &[Recipient],
    history: &[(EpochId, EpochKey)],
) -> (VerifiedEnvelope, EpochKey) {
    let (envelope, key) = create_epoch(
        &first_place(),
        &new_epoch(recipients, history),
        author,
        &mut Recorder::new(8),
    )
    .unwrap();
    (envelope.verify(&author.public().sign).unwrap(), key)
}

/// The record changed by `change` and signed again under `header`, as a hostile author could.
fn hostile(
    epoch: &VerifiedEnvelope,
    author: &DeviceSecrets,
    header: &EnvelopeHeader,
    change: impl FnOnce(&mut EpochRecord),
) -> VerifiedEnvelope {
    let mut record = EpochRecord::parse(epoch.body()).unwrap();
    change(&mut record);
    let payload = record.encode();
    let header = EnvelopeHeader {
        length: u32::try_from(payload.len()).unwrap(),
        ..*header
    };
    assemble(&header, &payload, |id| author.sign_envelope(&id.0))
        .unwrap()
        .verify(&author.public().sign)
        .unwrap()
}

fn open_as(epoch: &VerifiedEnvelope, device: &DeviceSecrets) -> Result<EpochKey, OpenEpochError> {
    open_epoch(epoch, &device.id().0, device.kem_secret()).map(|opened| opened.key)
}

#[test]
fn every_recipient_gets_the_same_key_and_all_older_ones() {
    let (ana, ben) = (device(1), device(2));
    let words = RecoveryPhrase::generate(&mut Recorder::new(3)).unwrap();
    let root = words.slot_keys(1).unwrap();
    let recovery = root.public().root;
    let recovery_id = recovery.recovery_id();
    let recipients = [
        recipient(&ana),
        recipient(&ben),
        Recipient {
            id: recovery_id,
            kem: recovery.recovery_kem,
        },
    ];
    let old = [
        (EpochId([9; 32]), epoch_key(4)),
        (EpochId([5; 32]), epoch_key(5)),
    ];
    let (epoch, key) = create(&ana, &recipients, &old);

    for opened in [
        open_epoch(&epoch, &ana.id().0, ana.kem_secret()).unwrap(),
        open_epoch(&epoch, &ben.id().0, ben.kem_secret()).unwrap(),
        open_epoch(&epoch, &recovery_id, &root.recovery_kem).unwrap(),
    ] {
        assert_eq!(opened.key, key);
        let mut expected = old.to_vec();
        expected.reverse();
        assert_eq!(opened.history, expected);
    }

    // And the key works: Ben writes under it, Ana reads.
    let epoch_id = EpochId::from(epoch.id());
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch: epoch_id,
        key: &key,
        plaintext: b"hello",
    };
    let envelope = seal_envelope(&first_place(), &draft, &ben, &mut Recorder::new(9)).unwrap();
    let envelope = envelope.verify(&ben.public().sign).unwrap();
    assert_eq!(open_envelope(&envelope, &key).unwrap().as_slice(), b"hello");
}

#[test]
fn a_revoked_device_is_not_a_recipient_and_another_devices_seal_is_of_no_use_to_it() {
    let (ana, ben, stolen) = (device(1), device(2), device(6));
    let (epoch, _) = create(&ana, &[recipient(&ana), recipient(&ben)], &[]);
    assert_eq!(open_as(&epoch, &stolen), Err(OpenEpochError::NotARecipient));
    assert_eq!(
        open_epoch(&epoch, &ben.id().0, stolen.kem_secret()).unwrap_err(),
        OpenEpochError::WrongKey
    );
}

#[test]
fn seals_cannot_be_swapped_between_recipients_or_moved_to_another_envelope() {
    let (ana, ben) = (device(1), device(2));
    let (epoch, _) = create(&ana, &[recipient(&ana), recipient(&ben)], &[]);
    let swapped = hostile(&epoch, &ana, epoch.header(), |record| {
        let other = record.seals[1].clone();
        let first = record.seals[0].clone();
        record.seals[0] = ajar_protocol::epoch::EpochSeal {
            recipient: first.recipient,
            ..other.clone()
        };
        record.seals[1] = ajar_protocol::epoch::EpochSeal {
            recipient: other.recipient,
            ..first
        };
    });
    assert_eq!(open_as(&swapped, &ana), Err(OpenEpochError::WrongKey));
    assert_eq!(open_as(&swapped, &ben), Err(OpenEpochError::WrongKey));

    let later = EnvelopeHeader {
        counter: 2,
        prev: EnvelopeId([7; 32]),
        ..*epoch.header()
    };
    assert_eq!(
        open_as(&hostile(&epoch, &ana, &later, |_| ()), &ben),
        Err(OpenEpochError::WrongKey)
    );
    let renumbered = hostile(&epoch, &ana, epoch.header(), |record| record.number = 5);
    assert_eq!(open_as(&renumbered, &ben), Err(OpenEpochError::WrongKey));
    let recommitted = hostile(&epoch, &ana, epoch.header(), |record| {
        record.commitment[0] ^= 1
    });
    assert_eq!(open_as(&recommitted, &ben), Err(OpenEpochError::WrongKey));
}

#[test]
fn an_author_who_gives_ben_another_key_than_ana_is_caught_by_ben() {
    let (ana, ben) = (device(1), device(2));
    let (epoch, _) = create(&ana, &[recipient(&ana), recipient(&ben)], &[]);
    let forked = hostile(&epoch, &ana, epoch.header(), |record| {
        let (commitment, number) = (record.commitment, record.number);
        let seal = record
            .seals
            .iter_mut()
            .find(|seal| seal.recipient == ben.id().0)
            .unwrap();
        let info = [
            &label::prefixed(label::EPOCH_SEAL),
            SPACE.0.as_slice(),
            &number.to_be_bytes(),
            &commitment,
            &seal.recipient,
        ]
        .concat();
        let (encapsulated, ciphertext) =
            hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &<X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&ben.public().kem).unwrap(),
                &info,
                &[0x66; 32],
                epoch.aad(),
                &mut ChaCha20Rng::from_seed([6; 32]),
            )
            .unwrap();
        seal.encapsulated.copy_from_slice(&encapsulated.to_bytes());
        seal.ciphertext = ciphertext.try_into().unwrap();
    });
    assert_eq!(open_as(&forked, &ben), Err(OpenEpochError::CommitMismatch));
}

#[test]
fn older_keys_that_were_changed_or_are_out_of_order_are_refused() {
    let ana = device(1);
    let old = [(EpochId([5; 32]), epoch_key(5))];
    let (epoch, key) = create(&ana, &[recipient(&ana)], &old);
    let flipped = hostile(&epoch, &ana, epoch.header(), |record| {
        record.history[0] ^= 1
    });
    assert_eq!(open_as(&flipped, &ana), Err(OpenEpochError::HistoryDamaged));
    let reparented = hostile(&epoch, &ana, epoch.header(), |record| {
        record.parents[0] = EpochId([8; 32])
    });
    assert_eq!(
        open_as(&reparented, &ana),
        Err(OpenEpochError::HistoryDamaged)
    );

    // Two entries for one epoch, or half an entry, sealed with the right key: the history of
    // `old` has the same padded length, so header and seals stay valid.
    let entry = [[5; 32], [1; 32]].concat();
    for content in [entry.repeat(2), entry[..40].to_vec()] {
        let forged = hostile(&epoch, &ana, epoch.header(), |record| {
            let history_key = kdf::derive::<32>(key.expose(), &[], label::EPOCH_HIST, &[]);
            let aad = [epoch.aad(), &record.encode_front()].concat();
            record.history = XChaCha20Poly1305::new(&Key::from(*history_key.expose()))
                .encrypt(
                    &XNonce::from(record.history_nonce),
                    Payload {
                        msg: &pad(&content),
                        aad: &aad,
                    },
                )
                .unwrap();
        });
        assert_eq!(open_as(&forged, &ana), Err(OpenEpochError::HistoryDamaged));
    }
}

#[test]
fn the_number_of_old_keys_is_not_seen_from_outside() {
    let ana = device(1);
    let few = create(&ana, &[recipient(&ana)], &[]).0;
    let history: Vec<_> = (0..15).map(|n| (EpochId([n; 32]), epoch_key(n))).collect();
    let more = create(&ana, &[recipient(&ana)], &history).0;
    assert_eq!(few.as_bytes().len(), more.as_bytes().len());
}

#[test]
fn a_key_of_low_order_is_an_error_and_not_a_panic() {
    let ana = device(1);
    for kem in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let recipients = [
            recipient(&ana),
            Recipient {
                id: [0xff; 32],
                kem,
            },
        ];
        let outcome = create_epoch(
            &first_place(),
            &new_epoch(&recipients, &[]),
            &ana,
            &mut Recorder::new(8),
        );
        assert_eq!(outcome.unwrap_err(), SealError::UnusableKey);
    }
    // And an encapsulated key of low order does not make a receiver panic either.
    let (epoch, _) = create(&ana, &[recipient(&ana)], &[]);
    let zero = hostile(&epoch, &ana, epoch.header(), |record| {
        record.seals[0].encapsulated = [0; 32]
    });
    assert_eq!(open_as(&zero, &ana), Err(OpenEpochError::WrongKey));
}

#[test]
fn a_recipient_twice_too_many_recipients_or_repeated_history_is_not_signed() {
    let ana = device(1);
    let twice = [recipient(&ana), recipient(&ana)];
    let attempt = |recipients: &[Recipient], history: &[(EpochId, EpochKey)]| {
        create_epoch(
            &first_place(),
            &new_epoch(recipients, history),
            &ana,
            &mut Recorder::new(8),
        )
        .unwrap_err()
    };
    assert!(matches!(attempt(&twice, &[]), SealError::Malformed(_)));
    let many: Vec<_> = (0..19)
        .map(|n| Recipient {
            id: [n; 32],
            kem: ana.public().kem,
        })
        .collect();
    assert_eq!(attempt(&many, &[]), SealError::TooLarge);
    let repeated = [
        (EpochId([5; 32]), epoch_key(5)),
        (EpochId([5; 32]), epoch_key(6)),
    ];
    assert_eq!(
        attempt(&[recipient(&ana)], &repeated),
        SealError::RepeatedHistory
    );
    let endless: Vec<_> = (0..1024u32)
        .map(|n| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            (EpochId(id), epoch_key(5))
        })
        .collect();
    assert_eq!(attempt(&[recipient(&ana)], &endless), SealError::TooLarge);
}

#[test]
fn a_source_that_runs_dry_half_way_makes_no_epoch() {
    let ana = device(1);
    for good in 0..3 {
        let outcome = create_epoch(
            &first_place(),
            &new_epoch(&[recipient(&ana)], &[]),
            &ana,
            &mut RunsDry { good },
        );
        assert!(
            matches!(outcome, Err(SealError::Entropy(_))),
            "after {good} draws"
        );
    }
}

#[test]
fn text_is_not_opened_as_a_key_and_a_key_not_as_text() {
    let (ana, key) = (device(1), epoch_key(2));
    let (epoch, _) = create(&ana, &[recipient(&ana)], &[]);
    assert_eq!(
        open_envelope(&epoch, &key),
        Err(ajar_crypto::seal::OpenError::WrongType)
    );
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch: EpochId([1; 32]),
        key: &key,
        plaintext: b"x",
    };
    let text: Envelope =
        seal_envelope(&first_place(), &draft, &ana, &mut Recorder::new(9)).unwrap();
    let text = text.verify(&ana.public().sign).unwrap();
    assert_eq!(open_as(&text, &ana), Err(OpenEpochError::WrongType));
}
