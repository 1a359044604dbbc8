//! Twelve words and what follows from them (protocol §2.2, §2.18): for each of nine slots
//! (0 private, 1 to 8 shared) a root key, a login key and a recovery key. After setup a device
//! keeps only the public halves.

use std::fmt;

use ajar_protocol::link::RootPublic;
use bip39::{Language, Mnemonic};
use ed25519_dalek::SigningKey;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    device::sign,
    error::EntropyFailed,
    kdf::Expander,
    label,
    secret::{Entropy, Secret},
    words::{WordsError, parse_words},
};

/// Words in a recovery phrase.
pub const PHRASE_WORDS: usize = 12;
/// Slots a phrase has keys for: one private space and eight shared ones.
pub const SLOTS: u8 = 9;

/// The phrase has no such slot.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a recovery phrase has keys for one private and eight shared spaces, no more")]
pub struct NoSuchSlot;

/// Twelve words, 128 bits: they outrank every device. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryPhrase(Secret<16>);

impl RecoveryPhrase {
    /// Draws a new phrase.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        Secret::random(entropy).map(Self)
    }

    /// Reads twelve words, in any case, separated by spaces, line ends or hyphens.
    ///
    /// # Errors
    /// [`WordsError`]: a wrong number of words, an unknown word with its position, or a
    /// checksum that shows a word wrong or out of order.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let indices = Zeroizing::new(parse_words::<PHRASE_WORDS>(text)?);
        let mut canonical = Zeroizing::new(String::with_capacity(PHRASE_WORDS * 9));
        for index in indices.iter() {
            let word = Language::English
                .word_list()
                .get(usize::from(*index))
                .ok_or(WordsError::Checksum)?;
            canonical.push_str(word);
            canonical.push(' ');
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, canonical.trim_end())
            .map_err(|_| WordsError::Checksum)?;
        let (mut entropy, length) = mnemonic.to_entropy_array();
        let phrase = entropy
            .get(..length)
            .and_then(Secret::from_slice)
            .map(Self)
            .ok_or(WordsError::Checksum);
        entropy.zeroize();
        phrase
    }

    /// The twelve words, lower case, with single spaces. To be shown once and written down.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, self.0.expose())
            .expect("128 bits make twelve words");
        let mut text = Zeroizing::new(String::with_capacity(PHRASE_WORDS * 9));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The keys of one slot: 0 for the private space, 1 to 8 for shared ones (§2.2).
    ///
    /// # Errors
    /// [`NoSuchSlot`] from 9 on.
    pub fn slot_keys(&self, slot: u8) -> Result<SlotKeys, NoSuchSlot> {
        if slot >= SLOTS {
            return Err(NoSuchSlot);
        }
        let expander = Expander::extract(label::RECOVERY.as_bytes(), self.0.expose());
        // Keys hang on a derived name, not on the bare number, so that a slot's keys can be
        // told apart from anything else ever derived from the phrase.
        let name = expander.expand::<16>(label::RECOVERY, &[b"slot", &[slot]]);
        let key = |label| expander.expand::<32>(label, &[name.expose()]);
        Ok(SlotKeys {
            slot,
            root: SigningKey::from_bytes(key(label::PARTY_ROOT).expose()),
            login: SigningKey::from_bytes(key(label::PARTY_LOGIN).expose()),
            recovery_kem: StaticSecret::from(*key(label::PARTY_RECOVERY_KEM).expose()),
        })
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

/// The secret keys of one slot. Held only while a phrase is being used; each key wipes itself.
pub struct SlotKeys {
    /// Number of the slot, 0 to 8.
    pub slot: u8,
    /// Ed25519: signs links that outrank the party's devices.
    pub root: SigningKey,
    /// Ed25519: logs in at the relay during recovery, and nowhere else.
    pub login: SigningKey,
    /// X25519: opens every epoch of the slot's space.
    pub recovery_kem: StaticSecret,
}

impl SlotKeys {
    /// Signs the hash of a recovery login (§2.8).
    #[must_use]
    pub fn sign_relay_auth(&self, hash: &[u8; 32]) -> [u8; 64] {
        sign(&self.login, ajar_protocol::label::RELAY_AUTH, hash)
    }

    /// What the device keeps and the party's GENESIS link publishes.
    #[must_use]
    pub fn public(&self) -> SlotPublic {
        SlotPublic {
            slot: self.slot,
            root: RootPublic {
                root: self.root.verifying_key().to_bytes(),
                login: self.login.verifying_key().to_bytes(),
                recovery_kem: PublicKey::from(&self.recovery_kem).to_bytes(),
            },
        }
    }
}

impl fmt::Debug for SlotKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotKeys")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// The public half of a slot (protocol §2.2): all that stays on a device after setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPublic {
    /// Number of the slot, 0 to 8.
    pub slot: u8,
    /// Root, login and recovery key.
    pub root: RootPublic,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf::test_support::{BrokenEntropy, fixed_entropy};

    fn phrase() -> RecoveryPhrase {
        RecoveryPhrase::generate(&mut fixed_entropy(9)).unwrap()
    }

    #[test]
    fn ana_writes_her_words_down_and_types_them_back() {
        let words = phrase().words();
        assert_eq!(words.split(' ').count(), PHRASE_WORDS);
        assert_eq!(RecoveryPhrase::parse(&words).unwrap(), phrase());
        assert_eq!(
            RecoveryPhrase::parse(&words.to_uppercase().replace(' ', "\n ")).unwrap(),
            phrase()
        );
    }

    #[test]
    fn each_way_to_mistype_has_its_own_answer() {
        let words = phrase().words();
        let mut list: Vec<&str> = words.split(' ').collect();
        assert_eq!(
            RecoveryPhrase::parse(&list[..11].join(" ")),
            Err(WordsError::TooFew {
                found: 11,
                needed: 12
            })
        );
        assert_eq!(
            RecoveryPhrase::parse(&format!("{} zoo", *words)),
            Err(WordsError::TooMany { needed: 12 })
        );
        let first = list[0];
        list[0] = "jurnal";
        assert_eq!(
            RecoveryPhrase::parse(&list.join(" ")),
            Err(WordsError::Unknown { position: 1 })
        );
        list[0] = first;
        list.swap(0, 1);
        assert_eq!(
            RecoveryPhrase::parse(&list.join(" ")),
            Err(WordsError::Checksum)
        );
    }

    #[test]
    fn slots_share_no_key() {
        let publics: Vec<_> = (0..SLOTS)
            .map(|slot| phrase().slot_keys(slot).unwrap().public())
            .collect();
        let mut values: Vec<[u8; 32]> = publics
            .iter()
            .flat_map(|public| {
                [
                    public.root.root,
                    public.root.login,
                    public.root.recovery_kem,
                ]
            })
            .collect();
        values.sort();
        assert!(values.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(publics.iter().all(|public| public.root.check().is_ok()));
        assert_eq!(phrase().slot_keys(9).unwrap_err(), NoSuchSlot);
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(format!("{:?}", phrase()), "RecoveryPhrase(..)");
        assert_eq!(
            format!("{:?}", phrase().slot_keys(2).unwrap()),
            "SlotKeys { slot: 2, .. }"
        );
    }

    #[test]
    fn no_randomness_means_no_phrase() {
        assert_eq!(
            RecoveryPhrase::generate(&mut BrokenEntropy).unwrap_err(),
            EntropyFailed
        );
    }
}
