//! HKDF-SHA256 and HMAC-SHA256. Every `info` starts with `L(label)` (protocol §2.1), which is
//! why the functions take the label apart from the rest.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{label::prefixed, secret::Secret};

/// HKDF after extraction: expands one secret into keys with different labels.
pub(crate) struct Expander(Hkdf<Sha256>);

impl Expander {
    /// `PRK = HKDF-Extract(salt, ikm)`. An empty `salt` is HKDF's default salt.
    pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), ikm))
    }

    /// `HKDF-Expand(PRK, L(label) ‖ context…, N)`.
    pub(crate) fn expand<const N: usize>(&self, label: &str, context: &[&[u8]]) -> Secret<N> {
        const { assert!(N <= 255 * 32, "HKDF-SHA256 gives at most 8160 bytes") };
        let label = prefixed(label);
        let mut info = Vec::with_capacity(1 + context.len());
        info.push(label.as_slice());
        info.extend_from_slice(context);
        let mut out = Secret::zero();
        self.0
            .expand_multi_info(&info, out.expose_mut())
            .expect("the length was checked at compile time");
        out
    }
}

/// `HKDF-SHA256(ikm, salt, info = L(label) ‖ context…)` of `N` bytes.
#[must_use]
pub fn derive<const N: usize>(
    ikm: &[u8],
    salt: &[u8],
    label: &str,
    context: &[&[u8]],
) -> Secret<N> {
    Expander::extract(salt, ikm).expand(label, context)
}

/// `HMAC-SHA256(key, parts…)`, 32 bytes.
#[must_use]
pub fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Constant-time comparison of two byte strings; different lengths are unequal.
#[must_use]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
pub(crate) mod test_support {
    //! Sources of randomness for tests: one that fails, one that repeats.

    use rand_chacha::ChaCha20Rng;
    use rand_core::{SeedableRng, TryCryptoRng, TryRng};
    use thiserror::Error;

    /// The same bytes for the same number, in every run.
    pub(crate) fn fixed_entropy(number: u8) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([number; 32])
    }

    /// A source whose operating system has no randomness to give.
    pub(crate) struct BrokenEntropy;

    #[derive(Debug, Error)]
    #[error("broken on purpose")]
    pub(crate) struct Broken;

    impl TryRng for BrokenEntropy {
        type Error = Broken;

        fn try_next_u32(&mut self) -> Result<u32, Broken> {
            Err(Broken)
        }

        fn try_next_u64(&mut self) -> Result<u64, Broken> {
            Err(Broken)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Broken> {
            // A real source may have written some of it before it failed.
            if let Some(first) = out.first_mut() {
                *first = 1;
            }
            Err(Broken)
        }
    }

    impl TryCryptoRng for BrokenEntropy {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_and_context_cannot_trade_bytes() {
        let one: Secret<32> = derive(b"ikm", b"salt", "ab", &[b"c"]);
        let two: Secret<32> = derive(b"ikm", b"salt", "a", &[b"bc"]);
        assert_ne!(one, two);
    }

    #[test]
    fn hmac_matches_rfc_4231_case_2_padded_key() {
        // "Jefe" as HMAC key equals the same key zero-padded to 32 bytes.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = data_encoding::HEXLOWER
            .decode(b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
            .unwrap();
        assert_eq!(
            mac(&key, &[b"what do ya want ", b"for nothing?"]).as_slice(),
            expected
        );
    }

    #[test]
    fn different_lengths_are_never_the_same() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"ab"));
        assert!(!same(b"abc", b"abd"));
    }
}
