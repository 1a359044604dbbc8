//! Entropy for tests: one source that repeats and remembers, one that fails.

use ajar_crypto::seal::Placement;
use ajar_crypto::{DeviceSecrets, EpochKey};
use ajar_protocol::{EnvelopeId, SpaceId};
use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};

/// Gives the same bytes for the same number, and keeps what it gave.
pub(crate) struct Recorder {
    rng: ChaCha20Rng,
    pub(crate) drawn: Vec<u8>,
}

impl Recorder {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            rng: ChaCha20Rng::from_seed([number; 32]),
            drawn: Vec::new(),
        }
    }
}

impl TryRng for Recorder {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("secrets are drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("secrets are drawn as bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.rng.try_fill_bytes(out)?;
        self.drawn.extend_from_slice(out);
        Ok(())
    }
}

impl TryCryptoRng for Recorder {}

/// Gives its first `good` draws, then fails, as a source does that runs dry half-way.
pub(crate) struct RunsDry {
    pub(crate) good: usize,
}

impl TryRng for RunsDry {
    type Error = std::fmt::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::fmt::Error)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::fmt::Error)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.good = self.good.checked_sub(1).ok_or(std::fmt::Error)?;
        out.fill(0x42);
        Ok(())
    }
}

impl TryCryptoRng for RunsDry {}

pub(crate) const SPACE: SpaceId = SpaceId([0x51; 32]);

pub(crate) fn device(number: u8) -> DeviceSecrets {
    DeviceSecrets::generate(&mut Recorder::new(number)).unwrap()
}

pub(crate) fn epoch_key(number: u8) -> EpochKey {
    EpochKey::random(&mut Recorder::new(number)).unwrap()
}

/// The author's first envelope in the space.
pub(crate) fn first_place() -> Placement {
    Placement {
        space: SPACE,
        counter: 1,
        prev: EnvelopeId::ZERO,
        mhead: [0x3d; 32],
    }
}
