//! `manifest.json`: what an archive holds, and the hash of each file (`docs/export-format.md`).
//!
//! It tells whoever keeps an archive whether it is still what was written. It is not signed:
//! who changes a file on purpose can change its hash too.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FORMAT, VERSION};

/// Name of the file.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Which part of a journal an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that the exporter could read.
    All,
    /// What lies in the exporter's own space.
    Me,
    /// What lies between the two.
    Us,
}

impl Scope {
    /// In words, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::All => "everything that could be read",
            Self::Me => "what lies in Only me",
            Self::Us => "what lies between the two",
        }
    }
}

/// How much an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Records in `data.json`.
    pub(super) records: usize,
    /// Texts in `entries/`.
    pub(super) entries: usize,
    /// Files in `media/`.
    pub(super) media: usize,
    /// Photos and files that could not be had.
    pub(super) missing: usize,
}

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    /// Its length in bytes.
    pub(crate) length: u64,
    /// SHA-256 of its bytes, in 64 lowercase hexadecimal digits.
    pub(crate) sha256: String,
}

/// All of it, on its way out.
#[derive(Serialize)]
struct Whole<'a> {
    format: &'static str,
    version: u64,
    scope: Scope,
    counts: Counts,
    files: &'a BTreeMap<String, Print>,
}

/// Writes it.
pub(super) fn write(
    out: impl Write,
    scope: Scope,
    counts: Counts,
    files: &BTreeMap<String, Print>,
) -> io::Result<()> {
    let whole = Whole {
        format: FORMAT,
        version: VERSION,
        scope,
        counts,
        files,
    };
    let mut out = io::BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, &whole)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// What an import needs of it. The rest is not kept, however long it is.
#[derive(Deserialize)]
pub(crate) struct Expected {
    /// Version of the layout of the archive.
    pub(crate) version: u64,
    /// The hashes.
    pub(crate) files: ExpectedFiles,
}

/// The files that an import looks up here; photos have their hash in their name.
#[derive(Deserialize)]
pub(crate) struct ExpectedFiles {
    /// The records.
    #[serde(rename = "data.json")]
    pub(crate) data: Print,
}

/// Takes the print of what goes through, on the way in or out.
pub(crate) struct Printing<T> {
    inner: T,
    length: u64,
    hash: Sha256,
}

impl<T> Printing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            length: 0,
            hash: Sha256::new(),
        }
    }

    /// The print of all that went through until now.
    pub(crate) fn print(self) -> Print {
        let digest = self.hash.finalize();
        Print {
            length: self.length,
            sha256: digest.iter().map(|b| format!("{b:02x}")).collect(),
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
    }
}

impl<W: Write> Write for Printing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Printing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.note(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
