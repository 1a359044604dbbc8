//! One-time claims. `ajar-relay invite` writes `claims/<hash>.json`; the running relay looks a
//! presented claim up there and notes its uses in the store. The claim itself is written nowhere.

use std::fs;
use std::io;
use std::path::PathBuf;

use ajar_protocol::id::hash;
use serde::{Deserialize, Serialize};

use crate::data::{DataDir, DataError, create_folder, write_whole};

/// Label under which claims are hashed.
const LABEL: &str = "ajar/v1/relay-claim";
/// Longest claim file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// What a claim file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClaimFile {
    /// Spaces that this claim admits.
    spaces: u32,
}

/// Hash under which a claim is kept.
#[must_use]
pub fn claim_hash(claim: &[u8; 16]) -> [u8; 32] {
    hash(LABEL, &[claim])
}

/// The folder of claims.
#[derive(Clone, Debug)]
pub struct Claims {
    folder: PathBuf,
}

impl Claims {
    /// The claims of a data folder.
    #[must_use]
    pub fn of(data: &DataDir) -> Self {
        Self {
            folder: data.claims(),
        }
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        let name = data_encoding::HEXLOWER.encode(hash);
        self.folder.join(format!("{name}.json"))
    }

    /// Makes a new claim for `spaces` spaces; it can be used at once.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn create(&self, spaces: u32) -> Result<[u8; 16], DataError> {
        let mut claim = [0; 16];
        getrandom::fill(&mut claim).map_err(|_| DataError::Random)?;
        create_folder(&self.folder).map_err(|source| DataError::Io {
            what: "create",
            path: self.folder.clone(),
            source,
        })?;
        let text = serde_json::to_vec(&ClaimFile { spaces }).unwrap_or_default();
        write_whole(&self.path(&claim_hash(&claim)), &text)?;
        Ok(claim)
    }

    /// How many spaces the claim with this hash admits in all; `None` when there is no such
    /// claim (any more).
    ///
    /// # Errors
    /// The system's answer when the folder cannot be read.
    pub fn spaces(&self, hash: &[u8; 32]) -> io::Result<Option<u32>> {
        let path = self.path(hash);
        match fs::metadata(&path) {
            Ok(found) if found.len() <= MAX_FILE => {}
            Ok(_) => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        }
        let file: Option<ClaimFile> = serde_json::from_slice(&fs::read(&path)?).ok();
        Ok(file.map(|file| file.spaces))
    }

    /// Removes a claim that is used up, so that it stays so even when the store is lost.
    ///
    /// # Errors
    /// The system's answer.
    pub fn remove(&self, hash: &[u8; 32]) -> io::Result<()> {
        match fs::remove_file(self.path(hash)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_hash_and_its_text_is_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::of(&DataDir::new(dir.path()));
        let claim = claims.create(3).unwrap();
        let hash = claim_hash(&claim);
        assert_eq!(claims.spaces(&hash).unwrap(), Some(3));
        assert_eq!(claims.spaces(&[0; 32]).unwrap(), None);
        let hex = data_encoding::HEXLOWER.encode(&claim);
        for entry in fs::read_dir(dir.path().join("claims")).unwrap() {
            let path = entry.unwrap().path();
            assert!(!path.to_string_lossy().contains(&hex));
            assert!(!fs::read_to_string(path).unwrap().contains(&hex));
        }
        claims.remove(&hash).unwrap();
        claims.remove(&hash).unwrap();
        assert_eq!(claims.spaces(&hash).unwrap(), None);
    }
}
