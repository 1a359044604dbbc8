//! The archive that Day One and programs like it read: `Journal.json` and a folder for each kind
//! of media. Only what the person wrote in their own space is in it.

use std::io::{self, Seek, Write};

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};
use zip::CompressionMethod;

use super::archive::Writer;
use super::{Document, Times, own_entries};
use crate::entry::Entry;
use crate::photo::{MediaType, Photo};

/// Where a kind of media stands: the list in an entry, the folder, and the address in a text.
struct Shelf {
    list: &'static str,
    folder: &'static str,
    address: &'static str,
}

fn shelf(media: MediaType) -> Option<Shelf> {
    let (list, folder, address) = match media {
        media if media.is_picture() => ("photos", "photos", "dayone-moment://"),
        MediaType::Pdf => ("pdfAttachments", "pdfs", "dayone-moment:/pdfAttachment/"),
        MediaType::Mp4 => ("videos", "videos", "dayone-moment:/video/"),
        MediaType::Mp3 | MediaType::M4a | MediaType::Ogg | MediaType::Wav => {
            ("audios", "audios", "dayone-moment:/audio/")
        }
        _ => return None,
    };
    Some(Shelf {
        list,
        folder,
        address,
    })
}

/// Its word for a kind of media, which is also the ending.
fn word(media: MediaType) -> &'static str {
    match media {
        MediaType::Jpeg => "jpeg",
        other => other.ending(),
    }
}

/// Ids there are of 32 capital hexadecimal digits.
fn id(id: &str) -> String {
    id.to_ascii_uppercase()
}

/// What is on its way into such an archive.
pub struct Export<W: Write + Seek> {
    writer: Writer<W>,
    entries: Vec<Value>,
    left_out: usize,
}

impl<W: Write + Seek> std::fmt::Debug for Export<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").finish_non_exhaustive()
    }
}

/// How much is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Entries.
    pub entries: usize,
    /// Photos and files it has no place for, or that could not be had.
    pub left_out: usize,
}

impl<W: Write + Seek> Export<W> {
    /// Begins one.
    pub fn new(out: W) -> Self {
        Self {
            writer: Writer::new(out),
            entries: Vec::new(),
            left_out: 0,
        }
    }

    /// Puts in all own entries. `bytes_of` gives the bytes of a photo, or none if they cannot be
    /// had.
    ///
    /// # Errors
    /// When it cannot be written, or as `bytes_of` says.
    #[expect(
        clippy::type_complexity,
        reason = "a type of its own would hide that it is a function handed in"
    )]
    pub fn entries<E: From<io::Error>, B: AsRef<[u8]>>(
        &mut self,
        documents: &[Document],
        times: &dyn Times,
        bytes_of: &mut dyn FnMut(&Document, &Photo) -> Result<Option<B>, E>,
    ) -> Result<(), E> {
        for (document, entry) in own_entries(documents) {
            let mut lists: Map<String, Value> = Map::new();
            let mut moments = String::new();
            for (order, photo) in (0..).zip(&entry.photos) {
                let shelf = shelf(photo.media);
                let bytes = match &shelf {
                    Some(_) => bytes_of(document, photo)?,
                    None => None,
                };
                let (Some(shelf), Some(bytes)) = (shelf, bytes) else {
                    self.left_out += 1;
                    continue;
                };
                let item = self.media(&shelf, photo, bytes.as_ref(), order)?;
                let list = lists.entry(shelf.list).or_insert_with(|| json!([]));
                if let Value::Array(list) = list {
                    list.push(item);
                }
                moments.push_str(&format!("\n\n![]({}{})", shelf.address, id(&photo.id)));
            }
            let mut value = values(document, entry, &moments, times);
            if let Value::Object(fields) = &mut value {
                fields.extend(lists);
            }
            self.entries.push(value);
        }
        Ok(())
    }

    fn media(
        &mut self,
        shelf: &Shelf,
        photo: &Photo,
        bytes: &[u8],
        order: u32,
    ) -> io::Result<Value> {
        let digest = Md5::digest(bytes);
        let md5: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        let word = word(photo.media);
        let name = format!("{}/{md5}.{word}", shelf.folder);
        self.writer.put(&name, bytes, CompressionMethod::Stored)?;
        let mut item = json!({
            "identifier": id(&photo.id),
            "md5": md5,
            "type": word,
            "orderInEntry": order,
        });
        if let Value::Object(item) = &mut item {
            if let Some((width, height)) = photo.size {
                item.insert("width".to_owned(), json!(width));
                item.insert("height".to_owned(), json!(height));
            }
            if let Some(name) = &photo.name {
                item.insert("filename".to_owned(), json!(name));
            }
            if shelf.folder != "photos" {
                item.insert("format".to_owned(), json!(word));
            }
        }
        Ok(item)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<(W, Counts)> {
        let counts = Counts {
            entries: self.entries.len(),
            left_out: self.left_out,
        };
        let journal = json!({"metadata": {"version": "1.0"}, "entries": self.entries});
        let text = serde_json::to_string_pretty(&journal)?;
        let deflated = CompressionMethod::Deflated;
        self.writer.put("Journal.json", text.as_bytes(), deflated)?;
        Ok((self.writer.end()?, counts))
    }
}

fn values(document: &Document, entry: &Entry, moments: &str, times: &dyn Times) -> Value {
    let mut text = match &entry.title {
        Some(title) => format!("# {title}\n\n"),
        None => String::new(),
    };
    text.push_str(&entry.text());
    // There a back-slash takes the meaning of what follows.
    let text = text.replace('\\', "\\\\") + moments;
    let all_day = !entry.date.contains('T');
    let created = if all_day {
        times.moment(&format!("{}T12:00", entry.date))
    } else {
        times.moment(&entry.date)
    };
    json!({
        "uuid": id(&document.id),
        "creationDate": created,
        "modifiedDate": times.utc(entry.saved_at_ms).unwrap_or_else(|| created.clone()),
        "timeZone": times.zone(),
        "isAllDay": all_day,
        "text": text.trim_start_matches('\n'),
        "tags": entry.tags,
        "starred": false,
        "isPinned": false,
    })
}
