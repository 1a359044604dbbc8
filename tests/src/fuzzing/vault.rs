//! The files that a passphrase opens: `vault.hdr` and the sealed key file. The first byte chooses
//! what is done with the rest.

use std::sync::LazyLock;

use ajar_crypto::Secret;
use ajar_crypto::vault::{KdfParams, LocalKeys, Passphrase, UnlockError, VaultHeader, WhichSpace};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;

use super::Fate;
use super::seeds::bytes_of;

struct Vault {
    header: VaultHeader,
    bytes: Vec<u8>,
    keys: LocalKeys,
    keyfile: Vec<u8>,
}

const CONTENT: &[u8] = b"device keys and epoch keys";

static VAULT: LazyLock<Vault> = LazyLock::new(|| {
    let text = include_str!("../../../crates/crypto/tests/vectors/vault_header.json");
    let vector: Value = serde_json::from_str(text).unwrap();
    let bytes = bytes_of(&vector["header"]);
    let keys = LocalKeys::derive(&Secret::new([1; 32]));
    let mut rng = ChaCha20Rng::seed_from_u64(60);
    let keyfile = keys.seal_keyfile(WhichSpace::Shared, CONTENT, &mut rng);
    Vault {
        header: VaultHeader::parse(&bytes).unwrap(),
        bytes,
        keys,
        keyfile: keyfile.unwrap(),
    }
});

/// A changed `vault.hdr`, or a changed key file.
pub fn vault(input: &[u8]) -> Option<Fate> {
    let (what, rest) = input.split_first()?;
    match what % 3 {
        0 => Fate::of("header", header(rest)),
        1 => Fate::of("slot", unlock(rest)),
        _ => Fate::of("key file", altered_keyfile(rest)),
    }
}

fn header(bytes: &[u8]) -> bool {
    let Ok(header) = VaultHeader::parse(bytes) else {
        return false;
    };
    assert_eq!(
        header.encode().as_slice(),
        bytes,
        "a header has two spellings"
    );
    for which in [WhichSpace::Shared, WhichSpace::Private] {
        let slot = header.slot(which);
        assert_eq!(slot.which(), Some(which));
        let Ok(params) = slot.params() else {
            continue;
        };
        let (floor, ceiling) = (KdfParams::FLOOR, KdfParams::CEILING);
        let within = |of: fn(&KdfParams) -> u32| (of(&floor)..=of(&ceiling)).contains(&of(&params));
        assert!(
            within(KdfParams::memory_kib) && within(KdfParams::passes) && within(KdfParams::lanes),
            "{params:?} would be tried"
        );
    }
    true
}

/// A slot opens as it was written, and in no other form. Only what asks for no more than the
/// floor is tried: the rest would take too long.
fn unlock(bytes: &[u8]) -> bool {
    let Ok(header) = VaultHeader::parse(bytes) else {
        return false;
    };
    let slot = header.slot(WhichSpace::Shared);
    if slot.params() != Ok(KdfParams::FLOOR) {
        return false;
    }
    let passphrase = Passphrase::new("four plain words here").unwrap();
    let opened = slot.unlock(&passphrase);
    if slot == VAULT.header.slot(WhichSpace::Shared) {
        assert_eq!(opened, Ok(Secret::new([1; 32])));
    } else {
        assert_eq!(opened, Err(UnlockError::WrongPassphrase));
    }
    true
}

/// The key file with some of its bytes changed: three for the place, one for the change.
fn altered_keyfile(edits: &[u8]) -> bool {
    let mut sealed = VAULT.keyfile.clone();
    for edit in edits.chunks_exact(4) {
        let at = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        match sealed.len() {
            0 => {}
            // Beyond the end: cut, so that every length comes up.
            length if at >= length => sealed.truncate(at % length),
            _ => sealed[at] ^= edit[3],
        }
    }
    let opened = VAULT.keys.open_keyfile(WhichSpace::Shared, &sealed);
    if sealed == VAULT.keyfile {
        assert_eq!(opened.unwrap().as_slice(), CONTENT);
    } else {
        assert!(opened.is_err(), "a changed key file opens");
    }
    sealed == VAULT.keyfile
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![
        [&[0], VAULT.bytes.as_slice()].concat(),
        [&[1], VAULT.bytes.as_slice()].concat(),
        vec![2],
        vec![2, 0, 0, 0, 1],
        vec![2, 0, 1, 0, 0xff, 1, 0xff, 0xff, 0],
    ]
}
