//! Bounded reading and writing of fixed layouts: integers are big-endian, nothing is
//! self-describing, no length is trusted before it is checked.

use crate::error::Malformed;

/// Reads a byte slice from front to back; never allocates more than the slice holds.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`; `what` names the object in errors.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// Name of the object for errors.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next `n` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self
            .rest
            .split_at_checked(n)
            .ok_or(Malformed::Truncated(self.what))?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes a fixed array.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when fewer bytes are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Malformed::Truncated(self.what))?;
        self.rest = tail;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Takes a big-endian `u16`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Takes a big-endian `u32`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Takes a big-endian `u64`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Takes a big-endian `i64`.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Takes bytes behind a `u32` length of at most `limit`.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`] over the limit, [`Malformed::Truncated`] when bytes are missing.
    pub fn bytes32(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        if length > limit {
            return Err(Malformed::TooLarge(self.what));
        }
        self.take(length)
    }

    /// Takes bytes behind a `u16` length of at most `limit`.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`] over the limit, [`Malformed::Truncated`] when bytes are missing.
    pub fn bytes16(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = usize::from(self.u16()?);
        if length > limit {
            return Err(Malformed::TooLarge(self.what));
        }
        self.take(length)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Malformed::Trailing`] when bytes are left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing(self.what))
        }
    }
}

/// Writes fixed layouts into a growing buffer.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
        }
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Appends a big-endian `u16`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a big-endian `u32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a big-endian `u64`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a big-endian `i64`.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends bytes behind their `u32` length.
    ///
    /// # Panics
    /// When `bytes` is 4 GiB or longer, which no object of the protocol is.
    pub fn bytes32(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("objects are far below 4 GiB"))
            .raw(bytes)
    }

    /// Appends bytes behind their `u16` length.
    ///
    /// # Panics
    /// When `bytes` is 64 KiB or longer; callers check the limit of their field before.
    pub fn bytes16(&mut self, bytes: &[u8]) -> &mut Self {
        self.u16(u16::try_from(bytes.len()).expect("the field's limit is below 64 KiB"))
            .raw(bytes)
    }

    /// What has been written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// What has been written so far, for hashing a prefix.
    #[must_use]
    pub fn so_far(&self) -> &[u8] {
        &self.out
    }
}
