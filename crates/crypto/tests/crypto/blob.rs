//! Blobs: what a photo goes through, and everything that can be done to it on the way.

use ajar_crypto::{
    Secret,
    blob::{
        BlobKey, BlobOpenError, BlobOpener, BlobSealError, BlobSealer, CHUNK, SEALED_CHUNK,
        sealed_len,
    },
    kdf, label,
};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInOut};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::support::{Recorder, RunsDry};

const TAG: usize = SEALED_CHUNK - CHUNK;

/// Content that repeats at no power of two.
pub(crate) fn photo(length: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(length).collect()
}

pub(crate) fn blob_key() -> BlobKey {
    BlobKey::random(&mut Recorder::new(9)).unwrap()
}

pub(crate) fn seal(key: &BlobKey, content: &[u8], step: usize) -> (Vec<u8>, [u8; 32]) {
    let mut sealed = Vec::new();
    let mut sealer = BlobSealer::new(key, content.len() as u64).unwrap();
    for piece in content.chunks(step) {
        sealer.push(piece, &mut sealed).unwrap();
    }
    let id = sealer.finish(&mut sealed).unwrap();
    (sealed, id)
}

fn open(
    key: &BlobKey,
    id: [u8; 32],
    length: usize,
    sealed: &[u8],
    step: usize,
) -> Result<Vec<u8>, BlobOpenError> {
    let mut content = Vec::new();
    let mut opener = BlobOpener::new(key, id, length as u64)?;
    for piece in sealed.chunks(step) {
        opener.push(piece, &mut content)?;
    }
    opener.finish()?;
    Ok(content)
}

/// Opens bytes that the relay has no other name for: their own hash is the id.
fn open_as_named(key: &BlobKey, length: usize, sealed: &[u8]) -> Result<Vec<u8>, BlobOpenError> {
    open(key, Sha256::digest(sealed).into(), length, sealed, CHUNK)
}

/// The layout of protocol §2.12 once more, without streaming: what a faulty or hostile writer
/// may make of it, too.
fn chunk(key: &BlobKey, number: u64, last: bool, plaintext: &[u8]) -> Vec<u8> {
    let key: Secret<32> = kdf::derive(key.key().expose(), key.salt(), label::BLOB_KEY, &[]);
    let nonce = [&[0; 3][..], &number.to_be_bytes(), &[u8::from(last)]].concat();
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let mut buffer = plaintext.to_vec();
    ChaCha20Poly1305::new(key.expose().into())
        .encrypt_in_place(&nonce.into(), b"", &mut buffer)
        .unwrap();
    buffer
}

#[test]
fn ana_seals_a_photo_and_ben_opens_it_whatever_the_pieces() {
    let key = blob_key();
    for length in [
        0,
        1,
        1023,
        1024,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK - 1,
        200_000,
    ] {
        let photo = photo(length);
        let (sealed, id) = seal(&key, &photo, CHUNK);
        assert_eq!(sealed.len() as u64, sealed_len(length as u64).unwrap());
        assert_eq!(id, <[u8; 32]>::from(Sha256::digest(&sealed)));
        assert_eq!(seal(&key, &photo, 1 + length / 7), (sealed.clone(), id));
        for step in [SEALED_CHUNK, 1000, sealed.len()] {
            assert_eq!(
                open(&key, id, length, &sealed, step),
                Ok(photo.clone()),
                "{length}"
            );
        }
    }
}

#[test]
fn the_stream_is_the_layout_of_the_protocol() {
    let key = blob_key();
    let photo = photo(CHUNK + 1);
    let mut plaintext = photo.clone();
    plaintext.push(0x80);
    plaintext.resize(67_584, 0);
    let (first, second) = plaintext.split_at(CHUNK);
    let by_hand = [chunk(&key, 0, false, first), chunk(&key, 1, true, second)].concat();
    assert_eq!(seal(&key, &photo, CHUNK).0, by_hand);
}

#[test]
fn two_blobs_of_the_same_photo_have_nothing_in_common() {
    let mut entropy = Recorder::new(1);
    let [one, two] = [(), ()].map(|()| BlobKey::random(&mut entropy).unwrap());
    let photo = photo(3000);
    let ((one, one_id), (two, two_id)) = (seal(&one, &photo, 3000), seal(&two, &photo, 3000));
    assert_ne!(one_id, two_id);
    assert_eq!(one.len(), two.len());
    assert!(one.iter().zip(&two).filter(|(a, b)| a == b).count() < 100);
}

#[test]
fn truncated_at_a_chunk_boundary() {
    let key = blob_key();
    let (sealed, id) = seal(&key, &photo(200_000), CHUNK);
    for chunks in 0..3 {
        let cut = &sealed[..chunks * SEALED_CHUNK];
        let truncated = Err(BlobOpenError::Truncated);
        assert_eq!(open(&key, id, 200_000, cut, CHUNK), truncated);
        assert_eq!(open_as_named(&key, 200_000, cut), truncated);
    }
    // Told that it is shorter, too: the chunk that would be the last one is not marked as such.
    let shorter = CHUNK - 1;
    assert_eq!(
        open_as_named(&key, shorter, &sealed[..SEALED_CHUNK]),
        Err(BlobOpenError::NotOpened)
    );
}

#[test]
fn truncated_inside_a_chunk() {
    let key = blob_key();
    let (sealed, _) = seal(&key, &photo(100_000), CHUNK);
    for cut in [1, 16, SEALED_CHUNK - 1, SEALED_CHUNK + 1, sealed.len() - 1] {
        assert_eq!(
            open_as_named(&key, 100_000, &sealed[..cut]),
            Err(BlobOpenError::Truncated),
            "{cut}"
        );
    }
}

#[test]
fn two_chunks_swapped() {
    let key = blob_key();
    let (sealed, _) = seal(&key, &photo(200_000), CHUNK);
    let (first, rest) = sealed.split_at(SEALED_CHUNK);
    let (second, rest) = rest.split_at(SEALED_CHUNK);
    let swapped = [second, first, rest].concat();
    assert_eq!(
        open_as_named(&key, 200_000, &swapped),
        Err(BlobOpenError::NotOpened)
    );
}

#[test]
fn last_chunk_duplicated() {
    let key = blob_key();
    // A whole last chunk, so that the second one is in the place of another whole chunk.
    let (sealed, _) = seal(&key, &photo(2 * CHUNK - 1), CHUNK);
    let last = &sealed[SEALED_CHUNK..];
    assert_eq!(last.len(), SEALED_CHUNK);
    let twice = [&sealed, last].concat();
    assert_eq!(
        open_as_named(&key, 2 * CHUNK - 1, &twice),
        Err(BlobOpenError::TrailingBytes)
    );
    assert_eq!(
        open_as_named(&key, 3 * CHUNK - 1, &twice),
        Err(BlobOpenError::NotOpened)
    );
}

#[test]
fn last_chunk_not_marked_as_the_last() {
    let key = blob_key();
    let plaintext = ajar_crypto::pad::pad(b"a leaf");
    let unmarked = chunk(&key, 0, false, &plaintext);
    assert_eq!(
        open_as_named(&key, 6, &unmarked),
        Err(BlobOpenError::NotOpened)
    );
    let marked = chunk(&key, 0, true, &plaintext);
    assert_eq!(open_as_named(&key, 6, &marked), Ok(b"a leaf".to_vec()));
}

#[test]
fn a_chunk_before_the_last_marked_as_the_last() {
    let key = blob_key();
    let mut plaintext = photo(CHUNK + 1);
    plaintext.push(0x80);
    plaintext.resize(67_584, 0);
    let (first, second) = plaintext.split_at(CHUNK);
    let both = [chunk(&key, 0, true, first), chunk(&key, 1, true, second)].concat();
    assert_eq!(
        open_as_named(&key, CHUNK + 1, &both),
        Err(BlobOpenError::NotOpened)
    );
}

#[test]
fn wrong_key() {
    let key = blob_key();
    let (sealed, id) = seal(&key, &photo(5000), CHUNK);
    let wrong = BlobKey::new(Secret::new([1; 32]), *key.salt());
    assert_eq!(
        open(&wrong, id, 5000, &sealed, CHUNK),
        Err(BlobOpenError::NotOpened)
    );
}

#[test]
fn wrong_salt() {
    let key = blob_key();
    let (sealed, id) = seal(&key, &photo(5000), CHUNK);
    let wrong = BlobKey::new(key.key().clone(), [1; 16]);
    assert_eq!(
        open(&wrong, id, 5000, &sealed, CHUNK),
        Err(BlobOpenError::NotOpened)
    );
}

#[test]
fn another_blob_under_the_same_key() {
    let key = blob_key();
    let (_, wanted) = seal(&key, &photo(5000), CHUNK);
    let (other, _) = seal(&key, &vec![7; 5000], CHUNK);
    assert_eq!(
        open(&key, wanted, 5000, &other, CHUNK),
        Err(BlobOpenError::OtherBlob)
    );
}

#[test]
fn trailing_bytes() {
    let key = blob_key();
    for length in [10, CHUNK - 1] {
        let (mut sealed, _) = seal(&key, &photo(length), CHUNK);
        sealed.push(0);
        assert_eq!(
            open_as_named(&key, length, &sealed),
            Err(BlobOpenError::TrailingBytes)
        );
    }
}

#[test]
fn padding_that_is_not_canonical() {
    let key = blob_key();
    let bad = Err(BlobOpenError::BadPadding);
    let mut hidden = ajar_crypto::pad::pad(b"a leaf").to_vec();
    hidden[1000] = 1;
    assert_eq!(
        open_as_named(&key, 6, &chunk(&key, 0, true, &hidden)),
        bad,
        "bytes behind the mark"
    );
    let no_mark = vec![0; 1024];
    assert_eq!(
        open_as_named(&key, 6, &chunk(&key, 0, true, &no_mark)),
        bad,
        "no mark"
    );
    // Padded further than needed: a sign for whoever sees lengths.
    let mut longer = b"a leaf\x80".to_vec();
    longer.resize(2048, 0);
    let longer = chunk(&key, 0, true, &longer);
    assert!(open_as_named(&key, 6, &longer).is_err(), "longer");
}

#[test]
fn another_length_than_announced() {
    let key = blob_key();
    let (sealed, _) = seal(&key, &photo(500), CHUNK);
    for length in [0, 499, 501, 1023] {
        assert_eq!(
            open_as_named(&key, length, &sealed),
            Err(BlobOpenError::BadPadding),
            "{length}"
        );
    }
    assert_eq!(
        open_as_named(&key, 2000, &sealed),
        Err(BlobOpenError::Truncated)
    );
    let endless = BlobOpener::new(&key, [0; 32], u64::MAX);
    assert_eq!(endless.unwrap_err(), BlobOpenError::TooLarge);
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_read_is_not_sealed() {
    let (key, mut out) = (blob_key(), Vec::new());
    let mut grown = BlobSealer::new(&key, 10).unwrap();
    assert_eq!(
        grown.push(&[1; 11], &mut out),
        Err(BlobSealError::OtherLength)
    );
    let mut shrunk = BlobSealer::new(&key, 10).unwrap();
    shrunk.push(&[1; 9], &mut out).unwrap();
    assert_eq!(shrunk.finish(&mut out), Err(BlobSealError::OtherLength));
    let endless = BlobSealer::new(&key, u64::MAX);
    assert_eq!(endless.unwrap_err(), BlobSealError::TooLarge);
    assert_eq!(sealed_len(u64::MAX), None);
}

#[test]
fn no_randomness_no_key() {
    for good in 0..2 {
        assert!(BlobKey::random(&mut RunsDry { good }).is_err());
    }
}

#[test]
fn a_key_does_not_print_itself() {
    let key = BlobKey::new(Secret::new([0xab; 32]), [0xcd; 16]);
    assert_eq!(format!("{key:?}"), "BlobKey(..)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_sealed_comes_back(
        length in 0usize..200_000,
        step in 1usize..100_000,
        other in 1usize..100_000,
    ) {
        let (key, photo) = (blob_key(), photo(length));
        let (sealed, id) = seal(&key, &photo, step.max(length / 100));
        let again = open(&key, id, length, &sealed, other.max(length / 100));
        prop_assert_eq!(again, Ok(photo));
    }

    #[test]
    fn one_changed_bit_anywhere_is_found(length in 0usize..150_000, place in any::<usize>(), bit in 0u8..8) {
        let key = blob_key();
        let (mut sealed, id) = seal(&key, &photo(length), CHUNK);
        let place = place % sealed.len();
        sealed[place] ^= 1 << bit;
        prop_assert_eq!(open(&key, id, length, &sealed, CHUNK), Err(BlobOpenError::NotOpened));
    }

    #[test]
    fn bytes_from_anywhere_are_no_blob(bytes in proptest::collection::vec(any::<u8>(), 0..4000), length in 0usize..4000) {
        prop_assert!(open_as_named(&blob_key(), length, &bytes).is_err());
    }
}

#[test]
fn the_tag_is_what_sealing_adds() {
    assert_eq!(sealed_len(10), Some(1024 + TAG as u64));
    assert_eq!(sealed_len(CHUNK as u64 - 1), Some(SEALED_CHUNK as u64));
}
