//! The archive: a zip that is read without Ajar, and holds everything (`docs/export-format.md`).

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::manifest::{self, Counts, MANIFEST, Print, Printing, Scope};
use super::reading::Book;
use super::{Data, Document, markdown, page};
use crate::photo::MediaType;

/// Name of the file that holds everything.
pub const DATA: &str = "data.json";
/// Folder of the photos and files.
pub const MEDIA: &str = "media";

/// What the archive says about itself, to those who read it.
pub struct About<'a> {
    /// Whose journal it is.
    pub own_name: &'a str,
    /// Whom it is kept with.
    pub partner: Option<&'a str>,
    /// Which part of the journal is in it.
    pub scope: Scope,
    /// The day it is written; letters are open or closed on it.
    pub today: &'a str,
    /// Lines about photos that could not be had.
    pub missing: &'a [String],
}

impl std::fmt::Debug for About<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("About").finish_non_exhaustive()
    }
}

/// Writes an archive from front to back: first photos, then the rest.
pub struct Writer<W: Write + Seek> {
    zip: ZipWriter<W>,
    /// What is in it so far.
    files: BTreeMap<String, Print>,
}

impl<W: Write + Seek> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// One time for everything in an archive: when it was made is nobody's matter.
pub(super) fn options(compression: CompressionMethod) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(compression)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o600)
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// The name in an archive of what has these bytes.
#[must_use]
pub fn media_name(bytes: &[u8], media: MediaType) -> String {
    format!("{MEDIA}/{}.{}", sha256(bytes), media.ending())
}

impl<W: Write + Seek> Writer<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self {
            zip: ZipWriter::new(out),
            files: BTreeMap::new(),
        }
    }

    /// Puts in a photo or file, unless it is there already; returns its name in the archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn media(&mut self, bytes: &[u8], media: MediaType) -> io::Result<String> {
        let name = media_name(bytes, media);
        self.put(&name, bytes, CompressionMethod::Stored)?;
        Ok(name)
    }

    /// Whether that is in it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Puts in a file of a name, unless there is one.
    pub(super) fn put(
        &mut self,
        name: &str,
        bytes: &[u8],
        compression: CompressionMethod,
    ) -> io::Result<()> {
        if self.has(name) {
            return Ok(());
        }
        self.write(name, compression, |out| out.write_all(bytes))
    }

    /// Puts in a file as it is being written.
    fn write(
        &mut self,
        name: &str,
        compression: CompressionMethod,
        write: impl FnOnce(&mut Printing<&mut ZipWriter<W>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.zip.start_file(name, options(compression))?;
        let mut out = Printing::new(&mut self.zip);
        write(&mut out)?;
        self.files.insert(name.to_owned(), out.print());
        Ok(())
    }

    /// Ends an archive that holds no more than this.
    pub(super) fn end(self) -> io::Result<W> {
        Ok(self.zip.finish()?)
    }

    /// Puts in everything else, and ends the archive. Each photo whose file is in it was noted
    /// ([`Document::note_file`]).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, documents: &[Document], about: &About<'_>) -> io::Result<W> {
        let media = self.files.len();
        self.write(DATA, CompressionMethod::Deflated, |out| {
            let mut out = io::BufWriter::new(out);
            serde_json::to_writer_pretty(&mut out, &Data::of(documents))?;
            out.write_all(b"\n")?;
            out.flush()
        })?;
        let book = Book::of(documents, about.today);
        for reading in &book.readings {
            let text = markdown::of(reading);
            self.put(&reading.file, text.as_bytes(), CompressionMethod::Deflated)?;
        }
        let page = page::of(&book, about);
        self.put("index.html", page.as_bytes(), CompressionMethod::Deflated)?;
        let readme = readme(documents.len(), book.readings.len(), about);
        self.put("README.txt", readme.as_bytes(), CompressionMethod::Deflated)?;
        let counts = Counts {
            records: documents.len(),
            entries: book.readings.len(),
            media,
            missing: about.missing.len(),
        };
        self.zip
            .start_file(MANIFEST, options(CompressionMethod::Deflated))?;
        manifest::write(&mut self.zip, about.scope, counts, &self.files)?;
        self.end()
    }
}

fn readme(records: usize, readings: usize, about: &About<'_>) -> String {
    let whose = match about.partner {
        Some(partner) => format!("{}, kept with {partner}", about.own_name),
        None => about.own_name.to_owned(),
    };
    let records = match records {
        1 => "1 record".to_owned(),
        many => format!("{many} records"),
    };
    let mut text = format!(
        "This is the journal of {whose}: {}.\n\
         \n\
         It was written by Ajar, a private journal for two. Nothing in here is sealed: whoever has this\n\
         file can read it. Keep it where only you can get at it, and delete it when it has served.\n\
         \n\
         index.html      Open it in any browser: everything to read on one page, without a network.\n\
         entries/        The same, one file for each ({readings}), by year. Any editor opens them.\n\
         media/          Photos and files. Each is called after what is in it (SHA-256).\n\
         data.json       Everything ({records}) for programs. `ajar import` reads it.\n\
         manifest.json   What is in here, and the SHA-256 of each file.\n\
         \n\
         Each record says who wrote it. What something said before, and anything burned, is not in here.\n",
        about.scope.words()
    );
    if !about.missing.is_empty() {
        text.push_str("\nThese photos and files could not be had and are not in here:\n");
        for line in about.missing {
            text.push_str(&format!("- {line}\n"));
        }
    }
    text
}
