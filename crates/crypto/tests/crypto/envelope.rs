//! Ana's laptop seals, Ben's phone opens, and everybody in between fails.

use ajar_crypto::{
    DeviceSecrets, EpochKey, kdf, label,
    seal::{Draft, OpenError, Placement, SealError, open_envelope, seal_envelope},
};
use ajar_protocol::{
    DeviceId, Envelope, EnvelopeHeader, EnvelopeId, EnvelopeType, EpochId, SpaceId,
    envelope::{HEADER, SIGNATURE, assemble},
};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

use crate::support::{Recorder, RunsDry, SPACE, device, epoch_key, first_place};

const EPOCH: EpochId = EpochId([0xe1; 32]);
const TEXT: &[u8] = b"The plum tree by the river is in flower.";

fn seal(author: &DeviceSecrets, key: &EpochKey, plaintext: &[u8]) -> Envelope {
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch: EPOCH,
        key,
        plaintext,
    };
    seal_envelope(&first_place(), &draft, author, &mut Recorder::new(7)).unwrap()
}

/// Parses, verifies and opens, as a receiver who knows the author's key does.
fn receive(bytes: &[u8], author: &DeviceSecrets, key: &EpochKey) -> Option<Vec<u8>> {
    let envelope = Envelope::parse(bytes)
        .ok()?
        .verify(&author.public().sign)
        .ok()?;
    open_envelope(&envelope, key)
        .ok()
        .map(|content| content.to_vec())
}

/// Signs a changed header and body again, as a member with a valid device could.
fn resign(header: &EnvelopeHeader, body: &[u8], signer: &DeviceSecrets) -> Envelope {
    assemble(header, body, |id| signer.sign_envelope(&id.0)).unwrap()
}

fn body(envelope: &Envelope) -> &[u8] {
    &envelope.as_bytes()[HEADER..envelope.as_bytes().len() - SIGNATURE]
}

fn open_resigned(
    header: &EnvelopeHeader,
    body: &[u8],
    signer: &DeviceSecrets,
    key: &EpochKey,
) -> OpenError {
    let envelope = resign(header, body, signer)
        .verify(&signer.public().sign)
        .unwrap();
    open_envelope(&envelope, key).unwrap_err()
}

#[test]
fn ben_reads_what_ana_wrote_and_a_short_day_is_1336_bytes() {
    let (ana, key) = (device(1), epoch_key(2));
    let envelope = seal(&ana, &key, TEXT);
    assert_eq!(envelope.as_bytes().len(), 1336);
    assert_eq!(receive(envelope.as_bytes(), &ana, &key).unwrap(), TEXT);
    // Nothing of the text is in the bytes that the relay stores.
    assert!(
        !envelope
            .as_bytes()
            .windows(8)
            .any(|window| TEXT.windows(8).any(|text| text == window))
    );
}

/// Threat 124: a broken generator that gives both devices the same 24 bytes. The device is part of
/// the key, so the same nonce is never used twice under one key.
#[test]
fn t124_the_same_random_bytes_on_two_devices_reuse_no_key_stream() {
    let (ana, ben, key) = (device(1), device(3), epoch_key(2));
    let (hers, his) = (seal(&ana, &key, TEXT), seal(&ben, &key, TEXT));
    let nonce = |envelope: &Envelope| envelope.header().nonce;
    assert_eq!(nonce(&hers), nonce(&his), "the generator is broken");
    let same = body(&hers).iter().zip(body(&his)).filter(|(a, b)| a == b);
    // Of 1040 bytes, about four are the same by chance; with one key stream, all would be.
    assert!(same.count() < 40);
    for (envelope, author, other) in [(&hers, &ana, &ben), (&his, &ben, &ana)] {
        assert_eq!(receive(envelope.as_bytes(), author, &key).unwrap(), TEXT);
        assert_eq!(receive(envelope.as_bytes(), other, &key), None);
    }
}

#[test]
fn every_flipped_byte_of_an_envelope_is_refused() {
    let (ana, key) = (device(1), epoch_key(2));
    let envelope = seal(&ana, &key, TEXT);
    for place in 0..envelope.as_bytes().len() {
        let mut bytes = envelope.as_bytes().to_vec();
        bytes[place] ^= 1;
        assert!(receive(&bytes, &ana, &key).is_none(), "byte {place}");
    }
}

#[test]
fn every_flipped_byte_is_refused_even_with_a_new_valid_signature() {
    let (ana, key) = (device(1), epoch_key(2));
    let envelope = seal(&ana, &key, TEXT);
    let signed = envelope.as_bytes().len() - SIGNATURE;
    for place in 0..signed {
        let mut bytes = envelope.as_bytes().to_vec();
        bytes[place] ^= 1;
        let Ok(changed) = Envelope::parse(&bytes) else {
            continue;
        };
        bytes[signed..].copy_from_slice(&ana.sign_envelope(&changed.id().0));
        let verified = Envelope::parse(&bytes)
            .unwrap()
            .verify(&ana.public().sign)
            .unwrap();
        assert!(open_envelope(&verified, &key).is_err(), "byte {place}");
    }
}

#[test]
fn ben_cannot_put_his_name_under_anas_words() {
    let (ana, ben, key) = (device(1), device(3), epoch_key(2));
    let envelope = seal(&ana, &key, TEXT);
    let mut header = *envelope.header();
    header.device = ben.id();
    assert_eq!(
        open_resigned(&header, body(&envelope), &ben, &key),
        OpenError::WrongKey
    );
}

#[test]
fn the_relay_cannot_move_an_envelope_to_another_space_epoch_or_type() {
    let (ana, key) = (device(1), epoch_key(2));
    let envelope = seal(&ana, &key, TEXT);
    let original = *envelope.header();
    for header in [
        EnvelopeHeader {
            space: SpaceId([9; 32]),
            ..original
        },
        EnvelopeHeader {
            epoch: EpochId([9; 32]),
            ..original
        },
        EnvelopeHeader {
            kind: EnvelopeType::Burn,
            ..original
        },
        EnvelopeHeader {
            device: DeviceId([9; 32]),
            ..original
        },
        EnvelopeHeader {
            nonce: [9; 24],
            ..original
        },
    ] {
        assert_eq!(
            open_resigned(&header, body(&envelope), &ana, &key),
            OpenError::WrongKey
        );
    }
    // These are not inputs of the key, but they are authenticated with the text.
    for header in [
        EnvelopeHeader {
            counter: 2,
            prev: EnvelopeId([9; 32]),
            ..original
        },
        EnvelopeHeader {
            mhead: [9; 32],
            ..original
        },
    ] {
        assert_eq!(
            open_resigned(&header, body(&envelope), &ana, &key),
            OpenError::NotOpened
        );
    }
}

#[test]
fn the_key_of_another_epoch_is_noticed_before_decryption() {
    let ana = device(1);
    let envelope = seal(&ana, &epoch_key(2), TEXT)
        .verify(&ana.public().sign)
        .unwrap();
    assert_eq!(
        open_envelope(&envelope, &epoch_key(4)),
        Err(OpenError::WrongKey)
    );
}

/// Encrypts as the protocol does, but with a commitment and a padding of the attacker's choice.
fn forge(
    ana: &DeviceSecrets,
    key: &EpochKey,
    commitment: Option<[u8; 32]>,
    padded: &[u8],
) -> OpenError {
    let mut header = *seal(ana, key, TEXT).header();
    header.length = u32::try_from(padded.len()).unwrap();
    let salt = [header.nonce.as_slice(), &header.device.0].concat();
    let context: [&[u8]; 3] = [&header.space.0, &header.epoch.0, &[header.kind as u8]];
    let keys = kdf::derive::<64>(key.expose(), &salt, label::ENV_KEY, &context);
    let right: [u8; 32] = keys.expose()[32..].try_into().unwrap();
    header.commitment = commitment.unwrap_or(right);
    let cipher = XChaCha20Poly1305::new(&Key::try_from(&keys.expose()[..32]).unwrap());
    let aad = header.encode();
    let payload = Payload {
        msg: padded,
        aad: &aad,
    };
    let body = cipher
        .encrypt(&XNonce::from(header.nonce), payload)
        .unwrap();
    open_resigned(&header, &body, ana, key)
}

#[test]
fn a_ciphertext_that_would_open_under_an_uncommitted_key_is_not_opened() {
    // One ciphertext that opens to two texts under two keys needs a header that commits to
    // neither, or to the other one. The tag here is valid; only the commitment is not.
    let (ana, key) = (device(1), epoch_key(2));
    let padded = ajar_crypto::pad::pad(TEXT);
    assert_eq!(
        forge(&ana, &key, Some([0; 32]), &padded),
        OpenError::WrongKey
    );
    let mut almost = *seal(&ana, &key, TEXT).header();
    almost.commitment[31] ^= 1;
    assert_eq!(
        forge(&ana, &key, Some(almost.commitment), &padded),
        OpenError::WrongKey
    );
}

#[test]
fn a_member_cannot_mark_envelopes_by_their_padding() {
    let (ana, key) = (device(1), epoch_key(2));
    let mut longer = TEXT.to_vec();
    longer.push(0x80);
    longer.resize(2048, 0);
    assert_eq!(forge(&ana, &key, None, &longer), OpenError::BadPadding);
    let mut marked = ajar_crypto::pad::pad(TEXT).to_vec();
    *marked.last_mut().unwrap() = 1;
    assert_eq!(forge(&ana, &key, None, &marked), OpenError::BadPadding);
    assert_eq!(forge(&ana, &key, None, &[0; 1024]), OpenError::BadPadding);
}

#[test]
fn the_longest_content_fits_and_one_byte_more_does_not() {
    let (ana, key) = (device(1), epoch_key(2));
    let longest = vec![0x41; (1 << 20) - 1];
    let envelope = seal(&ana, &key, &longest);
    assert_eq!(receive(envelope.as_bytes(), &ana, &key).unwrap(), longest);
    let too_long = vec![0x41; 1 << 20];
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch: EPOCH,
        key: &key,
        plaintext: &too_long,
    };
    assert_eq!(
        seal_envelope(&first_place(), &draft, &ana, &mut Recorder::new(7)),
        Err(SealError::TooLarge)
    );
}

#[test]
fn no_randomness_no_envelope_and_no_zero_nonce() {
    let (ana, key) = (device(1), epoch_key(2));
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch: EPOCH,
        key: &key,
        plaintext: TEXT,
    };
    assert!(matches!(
        seal_envelope(&first_place(), &draft, &ana, &mut RunsDry { good: 0 }),
        Err(SealError::Entropy(_))
    ));
}

#[test]
fn a_wrong_place_in_the_chain_is_not_signed() {
    let (ana, key) = (device(1), epoch_key(2));
    let draft = Draft {
        kind: EnvelopeType::Changes,
        epoch: EPOCH,
        key: &key,
        plaintext: TEXT,
    };
    for (counter, prev) in [
        (0, EnvelopeId::ZERO),
        (1, EnvelopeId([1; 32])),
        (2, EnvelopeId::ZERO),
    ] {
        let place = Placement {
            space: SPACE,
            counter,
            prev,
            mhead: [0; 32],
        };
        let outcome = seal_envelope(&place, &draft, &ana, &mut Recorder::new(7));
        assert!(matches!(outcome, Err(SealError::Malformed(_))), "{counter}");
    }
    let epoch = Draft {
        kind: EnvelopeType::Epoch,
        ..draft
    };
    assert_eq!(
        seal_envelope(&first_place(), &epoch, &ana, &mut Recorder::new(7)),
        Err(SealError::WrongType)
    );
}
