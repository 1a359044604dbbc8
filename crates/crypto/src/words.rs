//! Bytes as words that people read aloud, from the English BIP-39 list (2048 words, 11 bits
//! each): pairing codes, safety words, sync words, and the words over a pairing.

use std::fmt;

use ajar_protocol::{PartyId, SpaceId, id::hash};
use bip39::Language;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    error::EntropyFailed,
    label,
    secret::{Entropy, random_bytes},
};

/// Words in a pairing code.
pub const PAIRING_WORDS: usize = 3;

/// Why typed words were not accepted. The words themselves are never repeated.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WordsError {
    /// Fewer words than needed.
    #[error("{found} words instead of {needed}; type all of them, with a space between")]
    TooFew {
        /// Words found.
        found: usize,
        /// Words needed.
        needed: usize,
    },
    /// More words than needed.
    #[error("more than {needed} words; type only the {needed} that were shown")]
    TooMany {
        /// Words needed.
        needed: usize,
    },
    /// A word that is not in the list, counted from 1.
    #[error("word {position} is not one of the words Ajar uses; check its spelling")]
    Unknown {
        /// Place of the word, counted from 1.
        position: usize,
    },
    /// All words exist, but their checksum does not fit.
    #[error("these words do not belong together; check each one, and their order")]
    Checksum,
}

/// The three words of a pairing code (protocol §2.9): 33 bits, used once.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingWords(Zeroizing<[u16; PAIRING_WORDS]>);

impl PairingWords {
    /// Draws three words.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        let mut words = Zeroizing::new([0; PAIRING_WORDS]);
        for word in words.iter_mut() {
            // 2048 divides 65536, so the mask keeps every word equally likely.
            *word = u16::from_be_bytes(random_bytes(entropy)?) & 0x7ff;
        }
        Ok(Self(words))
    }

    /// Reads three words, in any case, separated by spaces or hyphens. Nothing but the words:
    /// the digits of the code name the mailbox and are split off before.
    ///
    /// # Errors
    /// [`WordsError`]: too few, too many, or an unknown word with its position.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        Ok(Self(Zeroizing::new(parse_words(text)?)))
    }

    /// `word-word-word`, lower case: what is shown, and the password of the exchange.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PAIRING_WORDS * 9));
        for (place, index) in self.0.iter().enumerate() {
            if place > 0 {
                text.push('-');
            }
            text.push_str(word(*index));
        }
        text
    }
}

impl fmt::Debug for PairingWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingWords(..)")
    }
}

/// The six words (66 bits) that both partners compare after meeting (protocol §2.9).
/// The two parties are given in any order.
#[must_use]
pub fn safety_words(space: &SpaceId, one: &PartyId, other: &PartyId) -> [&'static str; 6] {
    let (lower, higher) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    first_words(&hash(label::SAFETY_WORDS, &[&space.0, &lower.0, &higher.0]))
}

/// Four words over the canonical bytes of a frontier (protocol §2.11): equal on both devices
/// when both have the same journal.
#[must_use]
pub fn sync_words(frontier: &[u8]) -> [&'static str; 4] {
    first_words(&hash(label::SYNC_WORDS, &[frontier]))
}

/// Four words over a pairing (protocol §2.9): `transcript` of the channel and, as `exchanged`,
/// all public keys and ids that went through it, in the order of the pairing messages.
#[must_use]
pub fn sas_words(transcript: &[u8; 32], exchanged: &[u8]) -> [&'static str; 4] {
    first_words(&hash(label::LINK_SAS, &[transcript, exchanged]))
}

/// Four random words that differ from `right` in every place: a wrong line for the person to
/// choose against, so that nobody confirms without looking (protocol §2.9).
///
/// # Errors
/// [`EntropyFailed`] when the source fails.
pub fn decoy_words(
    right: &[&'static str; 4],
    entropy: &mut dyn Entropy,
) -> Result<[&'static str; 4], EntropyFailed> {
    let mut line = *right;
    for (decoy, right) in line.iter_mut().zip(right) {
        let drawn = word(u16::from_be_bytes(random_bytes(entropy)?));
        // One deterministic step aside instead of a loop that a broken source could hold.
        *decoy = if drawn == *right {
            word(index_of(drawn).map_or(0, |index| index ^ 1))
        } else {
            drawn
        };
    }
    Ok(line)
}

/// Index of `word` in the list.
pub(crate) fn index_of(word: &str) -> Option<u16> {
    Language::English.find_word(word)
}

/// Splits, lower-cases and looks up exactly `N` words.
pub(crate) fn parse_words<const N: usize>(text: &str) -> Result<[u16; N], WordsError> {
    let mut found = 0;
    let mut unknown = None;
    let mut words = [0; N];
    for typed in text.split(separates).filter(|typed| !typed.is_empty()) {
        let Some(place) = words.get_mut(found) else {
            words.zeroize();
            return Err(WordsError::TooMany { needed: N });
        };
        found += 1;
        let lower = Zeroizing::new(typed.to_ascii_lowercase());
        match index_of(&lower) {
            Some(index) => *place = index,
            None => unknown = unknown.or(Some(found)),
        }
    }
    let refused = if found < N {
        WordsError::TooFew { found, needed: N }
    } else if let Some(position) = unknown {
        WordsError::Unknown { position }
    } else {
        return Ok(words);
    };
    words.zeroize();
    Err(refused)
}

/// Spaces, and every hyphen or dash that a phone's keyboard makes of one.
fn separates(c: char) -> bool {
    c.is_whitespace() || c == '-' || ('\u{2010}'..='\u{2015}').contains(&c)
}

/// The word for the lowest 11 bits of `index`.
fn word(index: u16) -> &'static str {
    Language::English
        .word_list()
        .get(usize::from(index & 0x7ff))
        .expect("11 bits stay below 2048")
}

/// The first `N` groups of 11 bits, most significant bit first.
fn first_words<const N: usize>(digest: &[u8; 32]) -> [&'static str; N] {
    const { assert!(N * 11 <= 256, "a digest has 256 bits") };
    std::array::from_fn(|place| {
        let bits = (place * 11..place * 11 + 11).map(|bit| {
            digest
                .get(bit / 8)
                .is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1)
        });
        word(bits.fold(0, |index, bit| index << 1 | u16::from(bit)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf::test_support::{BrokenEntropy, fixed_entropy};

    #[test]
    fn ben_types_the_code_in_his_own_way() {
        let words = PairingWords::random(&mut fixed_entropy(3)).unwrap();
        let shown = words.text();
        for typed in [
            shown.to_string(),
            shown.to_uppercase(),
            shown.replace('-', " "),
            format!("  {}\n", shown.replace('-', " – ")),
        ] {
            assert_eq!(PairingWords::parse(&typed).unwrap(), words);
        }
    }

    #[test]
    fn a_code_without_three_words_never_reaches_the_relay() {
        assert_eq!(
            PairingWords::parse(""),
            Err(WordsError::TooFew {
                found: 0,
                needed: 3
            })
        );
        assert_eq!(
            PairingWords::parse("4711"),
            Err(WordsError::TooFew {
                found: 1,
                needed: 3
            })
        );
        assert_eq!(
            PairingWords::parse("abandon-ability"),
            Err(WordsError::TooFew {
                found: 2,
                needed: 3
            })
        );
        assert_eq!(
            PairingWords::parse("able able able able"),
            Err(WordsError::TooMany { needed: 3 })
        );
    }

    #[test]
    fn a_misspelt_word_is_named_by_place_and_not_repeated() {
        let error = PairingWords::parse("abandon abilty able").unwrap_err();
        assert_eq!(error, WordsError::Unknown { position: 2 });
        assert!(!error.to_string().contains("abilty"));
    }

    #[test]
    fn pairing_words_do_not_print() {
        let words = PairingWords::parse("abandon ability able").unwrap();
        assert_eq!(format!("{words:?}"), "PairingWords(..)");
        assert!(PairingWords::random(&mut BrokenEntropy).is_err());
    }

    #[test]
    fn bits_are_taken_from_the_front_in_groups_of_eleven() {
        let mut digest = [0; 32];
        assert_eq!(first_words::<1>(&digest), ["abandon"]);
        digest[0] = 0xff;
        digest[1] = 0xe0;
        assert_eq!(first_words::<2>(&digest), ["zoo", "abandon"]);
        digest[1] = 0xe0 | 0x1f;
        digest[2] = 0xfc;
        assert_eq!(first_words::<3>(&digest), ["zoo", "zoo", "abandon"]);
    }

    #[test]
    fn ana_and_ben_see_the_same_words_whoever_is_named_first() {
        let (space, ana, ben) = (SpaceId([1; 32]), PartyId([2; 32]), PartyId([3; 32]));
        assert_eq!(
            safety_words(&space, &ana, &ben),
            safety_words(&space, &ben, &ana)
        );
        assert_ne!(
            safety_words(&space, &ana, &ben),
            safety_words(&SpaceId([4; 32]), &ana, &ben)
        );
    }

    #[test]
    fn a_wrong_line_shares_no_word_with_the_right_one() {
        let right = sas_words(&[7; 32], b"keys");
        for number in 0..50 {
            let wrong = decoy_words(&right, &mut fixed_entropy(number)).unwrap();
            assert!(
                wrong
                    .iter()
                    .zip(&right)
                    .all(|(wrong, right)| wrong != right)
            );
        }
        assert!(decoy_words(&right, &mut BrokenEntropy).is_err());
        assert_ne!(sas_words(&[7; 32], b"keys"), sas_words(&[8; 32], b"keys"));
        assert_ne!(sas_words(&[7; 32], b"keys"), sync_words(b"keys"));
    }
}
