//! Randomness as an argument, and the container for fixed-size secrets.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::EntropyFailed;

/// A source of secret randomness that is allowed to fail. Implemented for every
/// cryptographic generator of `rand_core`; the operating system's is the one to pass in.
pub trait Entropy {
    /// Fills all of `out`.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails; `out` is then all zero and must not be used.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyFailed>;
}

impl<R: TryCryptoRng> Entropy for R {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyFailed> {
        self.try_fill_bytes(out).map_err(|_| {
            out.fill(0);
            EntropyFailed
        })
    }
}

/// `N` public random bytes: nonces, salts.
pub(crate) fn random_bytes<const N: usize>(
    entropy: &mut dyn Entropy,
) -> Result<[u8; N], EntropyFailed> {
    let mut out = [0; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

/// A generator for libraries that cannot take a failing one: 32 bytes are drawn first, so a
/// failure of the source is seen here and not inside the library.
pub(crate) fn seeded_rng(entropy: &mut dyn Entropy) -> Result<ChaCha20Rng, EntropyFailed> {
    let seed = Secret::<32>::random(entropy)?;
    Ok(ChaCha20Rng::from_seed(*seed.expose()))
}

/// `N` secret bytes on the heap, wiped when dropped, compared in constant time and never
/// printed. It stays in one place when the value moves.
#[derive(Clone)]
pub struct Secret<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// Takes over `bytes`. The caller's own copy, if it keeps one, is the caller's to wipe.
    #[must_use]
    pub fn new(bytes: [u8; N]) -> Self {
        let mut secret = Self::zero();
        secret.0.copy_from_slice(&bytes);
        let _wiped = Zeroizing::new(bytes);
        secret
    }

    /// Copies a slice of exactly `N` bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zero();
        if bytes.len() != N {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// Draws `N` random bytes.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source fails.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyFailed> {
        let mut secret = Self::zero();
        entropy.fill(secret.expose_mut())?;
        Ok(secret)
    }

    /// The bytes. Do not copy them to where they are not wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn zero() -> Self {
        Self(Box::new(Zeroizing::new([0; N])))
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf::test_support::{BrokenEntropy, fixed_entropy};

    #[test]
    fn a_secret_never_prints_its_bytes() {
        let secret = Secret::new([0xab; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn a_failing_source_gives_no_secret_and_leaves_no_half_filled_buffer() {
        assert_eq!(
            Secret::<32>::random(&mut BrokenEntropy).unwrap_err(),
            EntropyFailed
        );
        let mut buffer = [7; 16];
        assert_eq!(BrokenEntropy.fill(&mut buffer), Err(EntropyFailed));
        assert_eq!(buffer, [0; 16]);
        assert!(seeded_rng(&mut BrokenEntropy).is_err());
    }

    #[test]
    fn secrets_are_equal_by_content_and_length_is_exact() {
        let mut entropy = fixed_entropy(1);
        let one = Secret::<32>::random(&mut entropy).unwrap();
        let two = Secret::<32>::random(&mut entropy).unwrap();
        assert_ne!(one, two);
        assert_eq!(Secret::from_slice(one.expose()), Some(one.clone()));
        assert_eq!(Secret::<32>::from_slice(&[0; 31]), None);
    }
}
