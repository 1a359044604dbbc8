//! Photos and files of an entry or an opening. The bytes lie elsewhere, as sealed blobs
//! (`docs/protocol.md` §2.12); the record names them and holds their keys.
//!
//! ```text
//! photos   map: random id, 32 hex digits → map
//!   blob 32 bytes | key 32 bytes | salt 16 bytes | length (bytes of the content)
//!   type (a word of [`MediaType`]) | order | original | width, height (pictures) | name (originals)
//!   thumb  map of blob, key, salt, length: a small JPEG
//! ```

use std::collections::{BTreeMap, HashSet};

use automerge::transaction::Transactable;
use automerge::{ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::entry::Entry;
use crate::error::{Error, Invalid, Unreadable};
use crate::read::{View, wrong};
use crate::redacted_debug;
use crate::schema::{self, Kind};
use crate::text::is_plain;

/// Where a blob is and what opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// SHA-256 of the ciphertext.
    pub id: [u8; 32],
    /// Its key.
    pub key: Zeroizing<[u8; 32]>,
    /// Its salt.
    pub salt: [u8; 16],
    /// Length of the content in bytes, 1 to [`schema::PHOTO_BYTES_MAX`].
    pub length: u64,
}

/// What a file is, from a closed list. It is told, never tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
pub enum MediaType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `image/gif`
    Gif,
    /// `image/heic`
    Heic,
    /// `image/tiff`
    Tiff,
    /// `application/pdf`
    Pdf,
    /// `audio/mpeg`
    Mp3,
    /// `audio/mp4`
    M4a,
    /// `audio/ogg`
    Ogg,
    /// `audio/wav`
    Wav,
    /// `video/mp4`
    Mp4,
    /// `application/octet-stream`: anything else, and what a newer version has a word for.
    Other,
}

impl MediaType {
    /// All of them with their words and usual file endings.
    const TABLE: [(Self, &'static str, &'static str); 13] = [
        (Self::Jpeg, "image/jpeg", "jpg"),
        (Self::Png, "image/png", "png"),
        (Self::Webp, "image/webp", "webp"),
        (Self::Gif, "image/gif", "gif"),
        (Self::Heic, "image/heic", "heic"),
        (Self::Tiff, "image/tiff", "tiff"),
        (Self::Pdf, "application/pdf", "pdf"),
        (Self::Mp3, "audio/mpeg", "mp3"),
        (Self::M4a, "audio/mp4", "m4a"),
        (Self::Ogg, "audio/ogg", "ogg"),
        (Self::Wav, "audio/wav", "wav"),
        (Self::Mp4, "video/mp4", "mp4"),
        (Self::Other, "application/octet-stream", "bin"),
    ];

    fn row(self) -> (Self, &'static str, &'static str) {
        let mut rows = Self::TABLE.into_iter();
        rows.find(|(media, ..)| *media == self).unwrap_or((
            Self::Other,
            "application/octet-stream",
            "bin",
        ))
    }

    /// The word in documents and for people, as in `Content-Type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The usual ending of such a file, without the dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        self.row().2
    }

    /// Whether it is a picture that has a width and a height.
    #[must_use]
    pub fn is_picture(self) -> bool {
        self.as_str().starts_with("image/")
    }
}

impl From<String> for MediaType {
    fn from(word: String) -> Self {
        let mut rows = Self::TABLE.into_iter();
        rows.find(|(_, known, _)| *known == word)
            .map_or(Self::Other, |(media, ..)| media)
    }
}

impl From<MediaType> for &'static str {
    fn from(media: MediaType) -> Self {
        media.as_str()
    }
}

/// A photo or file as a record names it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Photo {
    /// 32 lowercase hexadecimal digits, drawn at random.
    pub id: String,
    /// The bytes.
    #[serde(skip)]
    pub content: BlobRef,
    /// What they are.
    #[serde(rename = "type")]
    pub media: MediaType,
    /// Width and height in pixels, of a picture that could be measured.
    pub size: Option<(u32, u32)>,
    /// The file's name; only of an original in an entry, never in an opening.
    pub name: Option<String>,
    /// Kept byte for byte, with all that the file says about place, time and device.
    pub original: bool,
    /// A JPEG of at most 512 pixels a side.
    #[serde(skip)]
    pub thumb: Option<BlobRef>,
}

/// The bytes of a photo sealed anew for the shared space: nothing of it is as it was.
#[derive(Clone, PartialEq, Eq)]
pub struct PhotoCopy {
    /// A new random id.
    pub id: String,
    /// The bytes under a new key.
    pub content: BlobRef,
    /// The small picture under a new key, if there is one.
    pub thumb: Option<BlobRef>,
}

redacted_debug!(BlobRef, Photo, PhotoCopy);

impl Photo {
    /// The blobs it names.
    pub fn blobs(&self) -> impl Iterator<Item = &BlobRef> {
        std::iter::once(&self.content).chain(&self.thumb)
    }

    /// The photo as it stands in the shared space, with the blobs of `copy`.
    fn copied(&self, copy: &PhotoCopy) -> Self {
        Self {
            id: copy.id.clone(),
            content: copy.content.clone(),
            media: self.media,
            size: self.size,
            name: None,
            original: self.original,
            thumb: copy.thumb.clone(),
        }
    }
}

/// What the partner would get of the entry's photos, by the private photo's id.
///
/// # Errors
/// [`Invalid::PhotosNotCopied`] when a copy is missing, is of another length, or shares an id, a
/// key or a salt with anything in the entry.
pub(crate) fn copies(
    entry: &Entry,
    copies: &BTreeMap<String, PhotoCopy>,
) -> Result<Vec<Photo>, Invalid> {
    let mut used: HashSet<&[u8]> = HashSet::new();
    for photo in &entry.photos {
        used.insert(photo.id.as_bytes());
        for blob in photo.blobs() {
            used.extend([&blob.id[..], &blob.key[..], &blob.salt[..]]);
        }
    }
    let mut copied = Vec::new();
    for photo in &entry.photos {
        let copy = copies.get(&photo.id).ok_or(Invalid::PhotosNotCopied)?;
        let lengths = |content: &BlobRef, thumb: &Option<BlobRef>| {
            (content.length, thumb.as_ref().map(|thumb| thumb.length))
        };
        let same = lengths(&copy.content, &copy.thumb) == lengths(&photo.content, &photo.thumb);
        let mut new = vec![copy.id.as_bytes()];
        for blob in std::iter::once(&copy.content).chain(&copy.thumb) {
            new.extend([&blob.id[..], &blob.key[..], &blob.salt[..]]);
        }
        if !same || !new.into_iter().all(|bytes| used.insert(bytes)) {
            return Err(Invalid::PhotosNotCopied);
        }
        copied.push(photo.copied(copy));
    }
    Ok(copied)
}

/// Adds photos to an entry or an opening, after those it has. `saved_at_ms` is noted in an entry
/// and nowhere in an opening; neither is a name.
///
/// # Errors
/// [`Error::Invalid`] if there are too many or one cannot be; [`Error::Unreadable`] if this is
/// neither an entry nor an opening. Nothing is written then.
pub fn add<T: Transactable>(tx: &mut T, new: &[Photo], saved_at_ms: i64) -> Result<(), Error> {
    let (kind, map, there, next) = {
        let view = View::now(tx);
        let there = read_ordered(&view)?;
        let next = there.last().map_or(0, |(order, _)| order.saturating_add(1));
        let ids: HashSet<String> = there.into_iter().map(|(_, photo)| photo.id).collect();
        (
            attachable(&view)?,
            view.object(schema::PHOTOS, ObjType::Map)?,
            ids,
            next,
        )
    };
    if there.len() + new.len() > schema::PHOTOS_MAX {
        return Err(Invalid::TooManyPhotos.into());
    }
    let mut ids = there;
    for photo in new {
        check(photo)?;
        if !ids.insert(photo.id.clone()) {
            return Err(Invalid::BadPhoto.into());
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let map = match map {
        Some(map) => map,
        None => tx.put_object(ROOT, schema::PHOTOS, ObjType::Map)?,
    };
    for (order, photo) in (next..).zip(new) {
        let item = tx.put_object(&map, photo.id.as_str(), ObjType::Map)?;
        put_blob(tx, &item, &photo.content)?;
        tx.put(&item, schema::TYPE, photo.media.as_str())?;
        tx.put(&item, schema::ORDER, order)?;
        tx.put(&item, schema::ORIGINAL, photo.original)?;
        if let Some((width, height)) = photo.size {
            tx.put(&item, schema::WIDTH, u64::from(width))?;
            tx.put(&item, schema::HEIGHT, u64::from(height))?;
        }
        if let Some(name) = photo.name.as_deref().filter(|_| kind == Kind::Entry) {
            tx.put(&item, schema::NAME, name)?;
        }
        if let Some(thumb) = &photo.thumb {
            let item = tx.put_object(&item, schema::THUMB, ObjType::Map)?;
            put_blob(tx, &item, thumb)?;
        }
    }
    if kind == Kind::Entry {
        tx.put(ROOT, schema::SAVED_AT, saved_at_ms)?;
    }
    Ok(())
}

/// Takes photos out of an entry or an opening, by their ids; ids that are not there are no
/// error. Returns whether anything changed. The blobs are the caller's to delete.
///
/// # Errors
/// [`Error::Unreadable`] if this is neither an entry nor an opening.
pub fn remove<T: Transactable>(
    tx: &mut T,
    ids: &[String],
    saved_at_ms: i64,
) -> Result<bool, Error> {
    let (kind, map, there) = {
        let view = View::now(tx);
        let items = view.map_items(schema::PHOTOS, schema::MERGED_PHOTOS_MAX)?;
        let there: HashSet<String> = items.into_iter().map(|(id, ..)| id).collect();
        let map = view.object(schema::PHOTOS, ObjType::Map)?;
        (attachable(&view)?, map, there)
    };
    let gone: HashSet<&String> = ids.iter().filter(|id| there.contains(*id)).collect();
    let Some(map) = map.filter(|_| !gone.is_empty()) else {
        return Ok(false);
    };
    for id in gone {
        tx.delete(&map, id.as_str())?;
    }
    if kind == Kind::Entry {
        tx.put(ROOT, schema::SAVED_AT, saved_at_ms)?;
    }
    Ok(true)
}

/// The photos of a record, in their order.
pub(crate) fn read<D: ReadDoc>(view: &View<'_, D>) -> Result<Vec<Photo>, Unreadable> {
    let photos = read_ordered(view)?;
    Ok(photos.into_iter().map(|(_, photo)| photo).collect())
}

fn attachable<D: ReadDoc>(view: &View<'_, D>) -> Result<Kind, Unreadable> {
    match view.kind()? {
        kind @ (Kind::Entry | Kind::Opening) => Ok(kind),
        found => Err(Unreadable::OtherKind {
            wanted: Kind::Entry,
            found,
        }),
    }
}

fn read_ordered<D: ReadDoc>(view: &View<'_, D>) -> Result<Vec<(i64, Photo)>, Unreadable> {
    let key = schema::PHOTOS;
    let mut photos = Vec::new();
    for (id, value, item) in view.map_items(key, schema::MERGED_PHOTOS_MAX)? {
        if !is_id(&id) {
            return Err(Unreadable::BadValue(key));
        }
        if value != Value::Object(ObjType::Map) {
            return Err(wrong(key, "a map of photos"));
        }
        photos.push((view.int(&item, schema::ORDER)?, read_one(view, id, &item)?));
    }
    photos.sort_by(|(one, a), (other, b)| (one, &a.id).cmp(&(other, &b.id)));
    Ok(photos)
}

fn read_one<D: ReadDoc>(view: &View<'_, D>, id: String, item: &ObjId) -> Result<Photo, Unreadable> {
    let media = view.str(item, schema::TYPE, schema::WORD_CHARS_MAX)?;
    let size = match view.scalar(item, schema::WIDTH)? {
        None => None,
        Some(_) => Some((
            pixels(view, item, schema::WIDTH)?,
            pixels(view, item, schema::HEIGHT)?,
        )),
    };
    let name = match view.scalar(item, schema::NAME)? {
        None => None,
        Some(_) => {
            let name = view.str(item, schema::NAME, schema::FILE_NAME_CHARS_MAX)?;
            if !is_file_name(&name) {
                return Err(Unreadable::BadValue(schema::NAME));
            }
            Some(name)
        }
    };
    let original = match view
        .scalar(item, schema::ORIGINAL)?
        .ok_or(Unreadable::Missing(schema::ORIGINAL))?
    {
        ScalarValue::Boolean(original) => original,
        _ => return Err(wrong(schema::ORIGINAL, "yes or no")),
    };
    let thumb = match view.get(item, schema::THUMB)? {
        None => None,
        Some((Value::Object(ObjType::Map), thumb)) => {
            Some(read_blob(view, &thumb, schema::THUMB_BYTES_MAX)?)
        }
        Some(_) => return Err(wrong(schema::THUMB, "a map")),
    };
    Ok(Photo {
        id,
        content: read_blob(view, item, schema::PHOTO_BYTES_MAX)?,
        media: media.into(),
        size,
        name,
        original,
        thumb,
    })
}

fn pixels<D: ReadDoc>(
    view: &View<'_, D>,
    item: &ObjId,
    key: &'static str,
) -> Result<u32, Unreadable> {
    let side = uint(view, item, key)?;
    u32::try_from(side)
        .ok()
        .filter(|side| (1..=schema::PIXELS_SIDE_MAX).contains(side))
        .ok_or(Unreadable::BadValue(key))
}

fn uint<D: ReadDoc>(
    view: &View<'_, D>,
    item: &ObjId,
    key: &'static str,
) -> Result<u64, Unreadable> {
    match view.scalar(item, key)?.ok_or(Unreadable::Missing(key))? {
        ScalarValue::Uint(number) => Ok(number),
        _ => Err(wrong(key, "a positive number")),
    }
}

fn bytes<D: ReadDoc, const N: usize>(
    view: &View<'_, D>,
    item: &ObjId,
    key: &'static str,
) -> Result<[u8; N], Unreadable> {
    match view.scalar(item, key)?.ok_or(Unreadable::Missing(key))? {
        ScalarValue::Bytes(bytes) => bytes.try_into().map_err(|_| Unreadable::BadValue(key)),
        _ => Err(wrong(key, "bytes")),
    }
}

fn read_blob<D: ReadDoc>(
    view: &View<'_, D>,
    item: &ObjId,
    most: u64,
) -> Result<BlobRef, Unreadable> {
    let length = uint(view, item, schema::LENGTH)?;
    if length == 0 {
        return Err(Unreadable::BadValue(schema::LENGTH));
    }
    if length > most {
        return Err(Unreadable::TooLarge(schema::LENGTH));
    }
    Ok(BlobRef {
        id: bytes(view, item, schema::BLOB)?,
        key: Zeroizing::new(bytes(view, item, schema::KEY)?),
        salt: bytes(view, item, schema::SALT)?,
        length,
    })
}

pub(crate) fn put_blob<T: Transactable>(
    tx: &mut T,
    item: &ObjId,
    blob: &BlobRef,
) -> Result<(), Error> {
    tx.put(item, schema::BLOB, blob.id.to_vec())?;
    tx.put(item, schema::KEY, blob.key.to_vec())?;
    tx.put(item, schema::SALT, blob.salt.to_vec())?;
    tx.put(item, schema::LENGTH, blob.length)?;
    Ok(())
}

fn check(photo: &Photo) -> Result<(), Invalid> {
    let name = photo.name.as_deref();
    if name.is_some_and(|name| !photo.original || !is_file_name(name)) {
        return Err(Invalid::BadFileName);
    }
    let side = |side| (1..=schema::PIXELS_SIDE_MAX).contains(&side);
    let sizes = photo.size.is_none_or(|(w, h)| side(w) && side(h));
    let within = |blob: &BlobRef, most| (1..=most).contains(&blob.length);
    let thumb = photo.thumb.as_ref();
    if is_id(&photo.id)
        && sizes
        && within(&photo.content, schema::PHOTO_BYTES_MAX)
        && thumb.is_none_or(|thumb| within(thumb, schema::THUMB_BYTES_MAX))
    {
        Ok(())
    } else {
        Err(Invalid::BadPhoto)
    }
}

/// Whether `name` can be kept: one line, nothing that changes how it reads, no way elsewhere.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.chars().nth(schema::FILE_NAME_CHARS_MAX).is_none()
        && is_plain(name)
        && !name.contains(['/', '\\'])
}

fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
