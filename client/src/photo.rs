//! Photos and files on their way into the journal: what a file is, what of it may stay, and what
//! goes. A photo is decoded and written anew, so that nothing of the file comes along but what
//! can be seen; with `--original` a file is kept byte for byte. Nothing is ever shown here.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use ajar_journal::photo::is_file_name;
use ajar_journal::{BlobRef, MediaType, Photo, PhotoCopy};
use ajar_sync::{BlobId, Space};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};
use zeroize::Zeroizing;

use crate::output::Output;
use crate::report::{Failure, named_file};

/// Largest file, in bytes (25 MiB).
const FILE_MAX: u64 = ajar_journal::schema::PHOTO_BYTES_MAX;
/// Most pixels of a picture, looked at before anything is decoded.
const PIXELS_MAX: u64 = 40_000_000;
/// Most memory that decoding may take, in bytes: eight for each of those pixels, and some.
const DECODING_MAX: u64 = 400 << 20;
/// Quality of JPEGs that are written.
const QUALITY: u8 = 90;
/// Longest side of the small picture, in pixels, and its quality.
const THUMB_SIDE: u32 = 512;
const THUMB_QUALITY: u8 = 80;

/// A file as it is to be kept.
pub(crate) struct Prepared {
    bytes: Zeroizing<Vec<u8>>,
    media: MediaType,
    size: Option<(u32, u32)>,
    name: Option<String>,
    original: bool,
    thumb: Option<Zeroizing<Vec<u8>>>,
}

fn trouble(code: &'static str, path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::fixable(code, format!("{}: {what}", named_file(path)))
}

/// Reads a file and makes it ready to be kept.
pub(crate) fn prepare(path: &Path, original: bool) -> Result<Prepared, Failure> {
    prepare_bytes(path, read(path)?, original)
}

/// Makes the bytes of a file ready to be kept; its name is `path`.
pub(crate) fn prepare_bytes(
    path: &Path,
    bytes: Zeroizing<Vec<u8>>,
    original: bool,
) -> Result<Prepared, Failure> {
    let media = media_of(&bytes);
    if original {
        return keep_original(path, bytes, media);
    }
    let Stripped {
        media,
        size,
        bytes,
        thumb,
    } = stripped(path, &bytes)?;
    Ok(Prepared {
        bytes,
        media,
        size: Some(size),
        name: None,
        original: false,
        thumb,
    })
}

/// A picture written anew: nothing of the file it was is left but what can be seen.
pub struct Stripped {
    /// JPEG or PNG.
    pub media: MediaType,
    /// Width and height, upright, in pixels.
    pub size: (u32, u32),
    /// The file.
    pub bytes: Zeroizing<Vec<u8>>,
    /// A small JPEG of it, if that could be made.
    pub thumb: Option<Zeroizing<Vec<u8>>>,
}

/// Makes bytes ready to be kept as a picture, as it is done with a file that is handed in. `None`
/// when they are no picture, a damaged one, or too large a one.
#[must_use]
pub fn strip(bytes: &[u8]) -> Option<Stripped> {
    stripped(Path::new("photo"), bytes).ok()
}

fn stripped(path: &Path, bytes: &[u8]) -> Result<Stripped, Failure> {
    let media = media_of(bytes);
    let format = match media {
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::Png => ImageFormat::Png,
        MediaType::Webp => ImageFormat::WebP,
        MediaType::Gif => ImageFormat::Gif,
        _ => {
            let what = format!(
                "it is no JPEG, PNG, WebP or GIF ({}), so what it may say about place and time cannot be taken out",
                media.as_str()
            );
            return Err(trouble("not-a-photo", path, what)
                .hint("Save it as a JPEG first, or keep it byte for byte with --original."));
        }
    };
    let picture = decode(path, bytes, format)?;
    let (media, written) =
        write_anew(&picture, format).map_err(|error| unreadable(path, &error))?;
    if written.len() as u64 > FILE_MAX {
        return Err(too_large(path));
    }
    Ok(Stripped {
        media,
        size: (picture.width(), picture.height()),
        thumb: thumb_of(&picture),
        bytes: written,
    })
}

fn keep_original(
    path: &Path,
    bytes: Zeroizing<Vec<u8>>,
    media: MediaType,
) -> Result<Prepared, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let name = name.filter(|name| is_file_name(name)).ok_or_else(|| {
        trouble("bad-file-name", path, "its name cannot be kept as it is")
            .hint("Give the file a plain name of at most 255 characters.")
    })?;
    let format = format_of(media);
    // A picture that cannot be read is a file like any other.
    let picture = format.and_then(|format| decode(path, &bytes, format).ok());
    Ok(Prepared {
        name: Some(name.into_owned()),
        size: picture
            .as_ref()
            .map(|picture| (picture.width(), picture.height())),
        thumb: picture.as_ref().and_then(thumb_of),
        bytes,
        media,
        original: true,
    })
}

fn too_large(path: &Path) -> Failure {
    trouble("too-large", path, "it is over 25 MiB").hint("Make it smaller, then try again.")
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| {
        trouble("photo-file", path, format!("it cannot be read ({error})"))
            .hint("Check the name of the file and that it is yours.")
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(trouble("photo-file", path, "it is not a file").hint("Name one file."));
    }
    if metadata.len() == 0 {
        return Err(trouble("photo-file", path, "it is empty").hint("Name another file."));
    }
    if metadata.len() > FILE_MAX {
        return Err(too_large(path));
    }
    let capacity = usize::try_from(metadata.len()).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity + 1));
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(too_large(path));
    }
    Ok(bytes)
}

/// What a file says that it is, by its first bytes.
fn media_of(bytes: &[u8]) -> MediaType {
    let at = |place: usize, word: &[u8]| {
        let found = bytes.get(place..place + word.len());
        found == Some(word)
    };
    let any = |place, words: &[&[u8]]| words.iter().any(|word| at(place, word));
    if at(0, &[0xff, 0xd8, 0xff]) {
        MediaType::Jpeg
    } else if at(0, b"\x89PNG\r\n\x1a\n") {
        MediaType::Png
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        MediaType::Webp
    } else if any(0, &[b"GIF87a", b"GIF89a"]) {
        MediaType::Gif
    } else if any(
        4,
        &[b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1", b"ftypavi"],
    ) {
        MediaType::Heic
    } else if any(0, &[b"II*\0", b"MM\0*"]) {
        MediaType::Tiff
    } else if at(0, b"%PDF-") {
        MediaType::Pdf
    } else if at(4, b"ftypM4A") {
        MediaType::M4a
    } else if at(4, b"ftyp") {
        MediaType::Mp4
    } else if any(0, &[b"ID3", &[0xff, 0xfb], &[0xff, 0xf3]]) {
        MediaType::Mp3
    } else if at(0, b"OggS") {
        MediaType::Ogg
    } else if at(0, b"RIFF") && at(8, b"WAVE") {
        MediaType::Wav
    } else {
        MediaType::Other
    }
}

fn unreadable(path: &Path, error: &ImageError) -> Failure {
    match error {
        ImageError::Limits(_) => too_many_pixels(path),
        _ => trouble(
            "unreadable-photo",
            path,
            "it is damaged, or not what it says it is",
        )
        .hint("Open it elsewhere and save it anew, or keep it byte for byte with --original."),
    }
}

fn too_many_pixels(path: &Path) -> Failure {
    trouble(
        "too-many-pixels",
        path,
        "it has more than 40 million pixels",
    )
    .hint("Make it smaller, then try again.")
}

/// Decodes a picture, upright. Its size is looked at before, and memory is bounded.
fn decode(path: &Path, bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, Failure> {
    let failed = |error: ImageError| unreadable(path, &error);
    if format == ImageFormat::Jpeg && !is_whole_jpeg(bytes) {
        // The decoder would fill the rest with grey.
        return Err(trouble("truncated-photo", path, "it is cut short").hint(
            "Copy it anew from where it came, or keep what there is byte for byte with --original.",
        ));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODING_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(too_many_pixels(path));
    }
    let orientation = decoder.orientation().map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    hide_transparent(&mut picture);
    Ok(picture)
}

/// Whether a JPEG goes on to its end mark. What follows that is no part of the picture.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            // Fill bytes, and marks that stand alone.
            [0xff, 0xff, ..] => rest.get(1..).unwrap_or_default(),
            [0xff, 0xd9, ..] => return true,
            [0xff, 0x01 | 0xd0..=0xd8, rest @ ..] => rest,
            [0xff, mark, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(after) = rest.get(2 + length..) else {
                    return false;
                };
                if *mark == 0xda {
                    after_scan(after)
                } else {
                    after
                }
            }
            _ => return false,
        };
    }
}

/// What follows the coded bytes of a scan, in which `ff` is followed by zero or a restart.
fn after_scan(bytes: &[u8]) -> &[u8] {
    let mark = bytes
        .windows(2)
        .position(|pair| matches!(pair, [0xff, next] if !matches!(next, 0 | 0xd0..=0xd7)));
    mark.and_then(|mark| bytes.get(mark..)).unwrap_or_default()
}

/// Writes the pixels and nothing else: JPEG stays JPEG; PNG stays PNG, without loss; the first
/// picture of a GIF becomes PNG; WebP becomes PNG if something of it is transparent, else JPEG.
fn write_anew(
    picture: &DynamicImage,
    format: ImageFormat,
) -> Result<(MediaType, Zeroizing<Vec<u8>>), ImageError> {
    let mut out = Zeroizing::new(Vec::new());
    let as_png = match format {
        ImageFormat::Jpeg => false,
        ImageFormat::WebP => picture.color().has_alpha(),
        _ => true,
    };
    if as_png {
        picture.write_with_encoder(PngEncoder::new(&mut *out))?;
        return Ok((MediaType::Png, out));
    }
    jpeg(&picture.to_rgb8(), QUALITY, &mut out)?;
    Ok((MediaType::Jpeg, out))
}

/// Many editors keep the colours of what somebody has erased to transparency.
fn hide_transparent(picture: &mut DynamicImage) {
    fn clear<T: Copy + Default + PartialEq, const N: usize>(pixel: &mut [T; N]) {
        if pixel.last() == Some(&T::default()) {
            *pixel = [T::default(); N];
        }
    }
    match picture {
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels_mut().for_each(|p| clear(&mut p.0)),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels_mut().for_each(|p| clear(&mut p.0)),
        DynamicImage::ImageRgba8(pixels) => pixels.pixels_mut().for_each(|p| clear(&mut p.0)),
        DynamicImage::ImageRgba16(pixels) => pixels.pixels_mut().for_each(|p| clear(&mut p.0)),
        _ => {}
    }
}

fn jpeg(picture: &RgbImage, quality: u8, out: &mut Vec<u8>) -> Result<(), ImageError> {
    JpegEncoder::new_with_quality(out, quality).encode_image(picture)
}

/// A small JPEG; on white where the picture is transparent, so that what is hidden stays hidden.
fn thumb_of(picture: &DynamicImage) -> Option<Zeroizing<Vec<u8>>> {
    let small = if picture.width().max(picture.height()) > THUMB_SIDE {
        picture.thumbnail(THUMB_SIDE, THUMB_SIDE)
    } else {
        picture.clone()
    };
    let small = small.to_rgba8();
    let mut flat = RgbImage::new(small.width(), small.height());
    for (to, from) in flat.pixels_mut().zip(small.pixels()) {
        let [red, green, blue, alpha] = from.0;
        let on_white = |value: u8| {
            let (value, alpha) = (u32::from(value), u32::from(alpha));
            let mixed = (value * alpha + 255 * (255 - alpha)) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        *to = Rgb([red, green, blue].map(on_white));
    }
    let mut out = Zeroizing::new(Vec::new());
    jpeg(&flat, THUMB_QUALITY, &mut out).ok()?;
    (out.len() as u64 <= ajar_journal::schema::THUMB_BYTES_MAX).then_some(out)
}

/// A small picture of what comes in byte for byte, if it is a picture that can be read.
pub(crate) fn thumb(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let format = format_of(media_of(bytes))?;
    decode(Path::new("photo"), bytes, format)
        .ok()
        .as_ref()
        .and_then(thumb_of)
}

/// What decodes a picture of that kind.
fn format_of(media: MediaType) -> Option<ImageFormat> {
    match media {
        MediaType::Jpeg => Some(ImageFormat::Jpeg),
        MediaType::Png => Some(ImageFormat::Png),
        MediaType::Webp => Some(ImageFormat::WebP),
        MediaType::Gif => Some(ImageFormat::Gif),
        _ => None,
    }
}

/// Blobs that were put into a space and are to go again unless the record that names them is
/// kept.
pub(crate) struct Placed<'a> {
    space: &'a Space,
    ids: Vec<BlobId>,
}

impl<'a> Placed<'a> {
    pub(crate) fn none(space: &'a Space) -> Self {
        let ids = Vec::new();
        Self { space, ids }
    }

    /// The record is kept.
    pub(crate) fn kept(mut self) {
        self.ids.clear();
    }

    /// Seals bytes into the space.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<BlobRef, Failure> {
        let placed = self.space.put_blob(&mut &*bytes, bytes.len() as u64)?;
        self.ids.push(placed.id);
        Ok(BlobRef {
            id: placed.id.0,
            key: Zeroizing::new(*placed.key.key().expose()),
            salt: *placed.key.salt(),
            length: placed.length,
        })
    }

    /// Seals a file into the space.
    pub(crate) fn photo(&mut self, prepared: Prepared) -> Result<Photo, Failure> {
        Ok(Photo {
            id: ajar_sync::new_id()?,
            content: self.put(&prepared.bytes)?,
            media: prepared.media,
            size: prepared.size,
            name: prepared.name,
            original: prepared.original,
            thumb: match &prepared.thumb {
                Some(thumb) => Some(self.put(thumb)?),
                None => None,
            },
        })
    }

    /// Seals files into the space, one after the other.
    pub(crate) fn photos(
        &mut self,
        out: Output,
        args: &crate::cli::Photos,
    ) -> Result<Vec<Photo>, Failure> {
        if args.original {
            out.insist(
                "The files are kept byte for byte. They may say where, when and with what they were made.",
            );
        }
        let mut photos = Vec::new();
        for path in &args.photos {
            photos.push(self.photo(prepare(path, args.original)?)?);
        }
        Ok(photos)
    }

    /// Seals a photo of another space anew: nothing of it is as it was but the picture.
    pub(crate) async fn copy(
        &mut self,
        photo: &Photo,
        from: &Space,
        wait: std::time::Duration,
    ) -> Result<PhotoCopy, Failure> {
        let content = bytes_of(from, &photo.content, wait).await?;
        let content = self.put(&content)?;
        let thumb = match &photo.thumb {
            Some(thumb) => Some(self.put(&bytes_of(from, thumb, wait).await?)?),
            None => None,
        };
        Ok(PhotoCopy {
            id: ajar_sync::new_id()?,
            content,
            thumb,
        })
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if self.space.forget_blobs(&self.ids).is_err() {
            tracing::warn!("photos that were not kept could not be removed");
        }
    }
}

/// The bytes of a photo, from here or else from the relay.
pub(crate) async fn bytes_of(
    space: &Space,
    blob: &BlobRef,
    wait: std::time::Duration,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(blob.length.min(FILE_MAX)).unwrap_or(0),
    ));
    space.open_blob(&in_space(blob), &mut *bytes, wait).await?;
    Ok(bytes)
}

/// A reference as the space takes it.
pub(crate) fn in_space(blob: &BlobRef) -> ajar_sync::BlobRef {
    ajar_sync::BlobRef::new(blob.id, &blob.key, blob.salt, blob.length)
}

/// Ids of all blobs that photos name.
pub(crate) fn ids_of<'a>(photos: impl IntoIterator<Item = &'a Photo>) -> Vec<BlobId> {
    let blobs = photos.into_iter().flat_map(Photo::blobs);
    blobs.map(|blob| BlobId(blob.id)).collect()
}

/// A length as people read it.
pub(crate) fn length_words(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        1000..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests;
