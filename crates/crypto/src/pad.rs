//! Length hiding: `content ‖ 0x80 ‖ 0x00…`, up to the larger of 1024 bytes and the Padmé
//! length (protocol §2.13), which costs at most 12 % and leaks O(log log n) bits of length.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead::TAG;

/// Smallest padded length, in bytes: what most days of a journal fit in.
pub const SMALLEST: usize = 1024;

pub(crate) const END_OF_CONTENT: u8 = 0x80;

/// The padding is not the one that [`pad`] produces.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the padding is not canonical; the sender's software is faulty")]
pub struct BadPadding;

/// The length to which `length` bytes (content and its end mark) are padded.
/// `max(1024, Padmé(length))`, in bytes.
#[must_use]
pub fn padded_len(length: usize) -> usize {
    if length <= SMALLEST {
        return SMALLEST;
    }
    // Padmé keeps as many significant bits as the exponent's own length has.
    let exponent = length.ilog2();
    let free_bits = exponent - (exponent.ilog2() + 1);
    let mask = (1usize << free_bits) - 1;
    length.saturating_add(mask) & !mask
}

/// Pads `content` to [`padded_len`]`(content.len() + 1)`.
#[must_use]
pub fn pad(content: &[u8]) -> Zeroizing<Vec<u8>> {
    pad_to(content, padded_len(content.len() + 1))
}

/// Undoes [`pad`].
///
/// # Errors
/// [`BadPadding`] when the end mark is missing, anything but zeros follows it, or the total
/// is not the one length that `pad` would have chosen.
pub fn unpad(padded: &[u8]) -> Result<&[u8], BadPadding> {
    let content = strip(padded)?;
    if padded.len() == padded_len(content.len() + 1) {
        Ok(content)
    } else {
        Err(BadPadding)
    }
}

/// Pads to exactly `total` bytes, with room left for a tag so that sealing in place does not
/// move the plaintext. `total` must be larger than the content.
pub(crate) fn pad_to(content: &[u8], total: usize) -> Zeroizing<Vec<u8>> {
    debug_assert!(content.len() < total);
    let mut out = Zeroizing::new(Vec::with_capacity(total.max(content.len() + 1) + TAG));
    out.extend_from_slice(content);
    out.push(END_OF_CONTENT);
    if out.len() < total {
        out.resize(total, 0);
    }
    out
}

/// Everything before the end mark, without a check of the total length.
pub(crate) fn strip(padded: &[u8]) -> Result<&[u8], BadPadding> {
    let mark = padded
        .iter()
        .rposition(|byte| *byte != 0)
        .ok_or(BadPadding)?;
    match padded.split_at_checked(mark) {
        Some((content, [END_OF_CONTENT, ..])) => Ok(content),
        _ => Err(BadPadding),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_that_looks_like_padding_survives() {
        for content in [
            &b""[..],
            b"\0\0\0",
            b"\x80",
            b"\x80\0\0",
            &[0; 1023],
            &[0x80; 1024],
        ] {
            assert_eq!(unpad(&pad(content)).unwrap(), content);
        }
    }

    #[test]
    fn a_longer_total_than_needed_is_refused() {
        // A peer could otherwise mark its envelopes by their length.
        let padded = pad_to(b"hello", 2048);
        assert_eq!(unpad(&padded), Err(BadPadding));
        assert_eq!(unpad(&pad_to(b"hello", 1023)), Err(BadPadding));
    }

    #[test]
    fn missing_mark_and_hidden_bytes_after_the_mark_are_refused() {
        assert_eq!(unpad(&[]), Err(BadPadding));
        assert_eq!(unpad(&[0; 1024]), Err(BadPadding));
        let mut padded = pad(b"hello");
        padded[1000] = 1;
        assert_eq!(unpad(&padded), Err(BadPadding));
    }

    #[test]
    fn the_largest_length_does_not_overflow() {
        assert!(padded_len(usize::MAX) >= usize::MAX / 2);
    }

    proptest! {
        #[test]
        fn padding_costs_at_most_twelve_percent_and_is_stable(length in 1usize..4_000_000) {
            let padded = padded_len(length);
            prop_assert!(padded >= length.max(SMALLEST));
            prop_assert_eq!(padded_len(padded), padded);
            prop_assert!(length <= SMALLEST || (padded - length) * 100 <= length * 12);
        }

        #[test]
        fn what_was_padded_comes_back(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let padded = pad(&content);
            prop_assert_eq!(padded.len(), padded_len(content.len() + 1));
            prop_assert_eq!(unpad(&padded).unwrap(), content.as_slice());
        }
    }
}
