//! Content of BURN envelopes: documents and blobs to be forgotten (protocol §2.14).
//!
//! ```text
//! u8 1 | i64 claimed_time_ms | u16 n { doc id 16 } | u16 n { blob id 32 }
//! ```

use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{BlobId, DocId};
use crate::limits;

const WHAT: &str = "burn";

/// Content of a BURN envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Burn {
    /// When, ms since 1970, as its author claims.
    pub claimed_time_ms: i64,
    /// The documents, ascending. Those of the author's party are burned; for those of the other
    /// party it is a request; a common one is burned when both have said so.
    pub docs: Vec<DocId>,
    /// Blobs that only these documents used, ascending.
    pub blobs: Vec<BlobId>,
}

impl Burn {
    /// Writes the content.
    ///
    /// # Errors
    /// [`Malformed`]: what [`Self::decode`] would say.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        self.check()?;
        let too_large = |_| Malformed::TooLarge(WHAT);
        let mut out = Writer::default();
        out.u8(1).i64(self.claimed_time_ms);
        out.u16(u16::try_from(self.docs.len()).map_err(too_large)?);
        for doc in &self.docs {
            out.raw(&doc.0);
        }
        out.u16(u16::try_from(self.blobs.len()).map_err(too_large)?);
        for blob in &self.blobs {
            out.raw(&blob.0);
        }
        Ok(out.finish())
    }

    /// Reads the content.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let mut burn = Self {
            claimed_time_ms: reader.i64()?,
            ..Self::default()
        };
        for _ in 0..reader.u16()? {
            burn.docs.push(DocId(reader.array()?));
        }
        for _ in 0..reader.u16()? {
            burn.blobs.push(BlobId(reader.array()?));
        }
        reader.finish()?;
        burn.check()?;
        Ok(burn)
    }

    fn check(&self) -> Result<(), Malformed> {
        if self.docs.len() > limits::DOCS_PER_BURN || self.blobs.len() > limits::BLOBS_PER_BURN {
            return Err(Malformed::TooLarge(WHAT));
        }
        if self.docs.is_empty() {
            return Err(Malformed::Value(WHAT));
        }
        if !self.docs.is_sorted_by(|one, next| one < next)
            || !self.blobs.is_sorted_by(|one, next| one < next)
        {
            return Err(Malformed::Order(WHAT));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burn_is_the_same_after_its_bytes_and_has_one_order() {
        let burn = Burn {
            claimed_time_ms: 5,
            docs: vec![DocId([1; 16]), DocId([2; 16])],
            blobs: vec![BlobId([3; 32])],
        };
        let bytes = burn.encode().unwrap();
        assert_eq!(Burn::decode(&bytes), Ok(burn.clone()));
        for length in 0..bytes.len() {
            assert!(Burn::decode(&bytes[..length]).is_err(), "{length}");
        }
        let mut reversed = burn.clone();
        reversed.docs.reverse();
        assert!(reversed.encode().is_err());
        let nothing = Burn::default();
        assert!(nothing.encode().is_err());
    }
}
