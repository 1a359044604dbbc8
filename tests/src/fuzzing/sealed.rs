//! A sealed envelope, changed and signed anew by the member who wrote it: it opens as it was
//! sealed, and in no other form. The input is header and ciphertext, without the signature.

use std::sync::LazyLock;

use ajar_crypto::seal::{Draft, Placement, open_envelope, seal_envelope};
use ajar_crypto::{DeviceSecrets, EpochKey, Secret};
use ajar_protocol::{Envelope, EnvelopeId, EnvelopeType, EpochId, SpaceId, envelope, id, label};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::Fate;

struct Sealed {
    device: DeviceSecrets,
    key: EpochKey,
    /// Header and ciphertext of each, and what it says.
    all: Vec<(Vec<u8>, Vec<u8>)>,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(70);
    let device = DeviceSecrets::generate(&mut rng).unwrap();
    let key = EpochKey::new(Secret::new([5; 32]));
    let contents = [
        (EnvelopeType::Changes, Vec::new()),
        (EnvelopeType::Changes, b"afraid on the stairs".to_vec()),
        (EnvelopeType::Burn, vec![7; 1500]),
        (EnvelopeType::Snapshot, vec![0; 1023]),
        (EnvelopeType::Endorse, vec![0x80; 300]),
    ];
    let mut all = Vec::new();
    for (counter, (kind, content)) in (1..).zip(contents) {
        let place = Placement {
            space: SpaceId([1; 32]),
            counter,
            prev: EnvelopeId(if counter == 1 { [0; 32] } else { [2; 32] }),
            mhead: [3; 32],
        };
        let draft = Draft {
            kind,
            epoch: EpochId([4; 32]),
            key: &key,
            plaintext: &content,
        };
        let envelope = seal_envelope(&place, &draft, &device, &mut rng).unwrap();
        let unsigned = envelope.as_bytes().len() - envelope::SIGNATURE;
        all.push((envelope.as_bytes()[..unsigned].to_vec(), content));
    }
    Sealed { device, key, all }
});

/// Header and ciphertext with the author's own signature.
pub fn sealed(input: &[u8]) -> Option<Fate> {
    let id = id::hash(label::ENV_HASH, &[input]);
    let signature = SEALED.device.sign_envelope(&id);
    let Ok(envelope) = Envelope::parse(&[input, &signature].concat()) else {
        return Fate::of("envelope", false);
    };
    let verified = envelope.verify(&SEALED.device.public().sign).unwrap();
    let known = SEALED.all.iter().find(|(bytes, _)| bytes == input);
    match (open_envelope(&verified, &SEALED.key), known) {
        (Ok(opened), Some((_, content))) => assert_eq!(opened.as_slice(), content),
        (Ok(_), None) => panic!("a changed envelope opens"),
        (Err(error), Some(_)) => panic!("what was sealed does not open: {error}"),
        (Err(_), None) => {}
    }
    Fate::of("envelope", true)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    SEALED.all.iter().map(|(bytes, _)| bytes.clone()).collect()
}
