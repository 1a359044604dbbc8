//! What a file says beside its picture, and what of it gets into the journal.

use std::fs;
use std::path::PathBuf;

use image::{Rgba, RgbaImage};
use tempfile::TempDir;

use super::*;

const CANARIES: [&str; 6] = [
    "CANARY-camera",
    "CANARY-gps",
    "CANARY-comment",
    "CANARY-xmp",
    "CANARY-trailing",
    "CANARY-text",
];

fn picture() -> DynamicImage {
    let byte = |number: u32| number.to_be_bytes()[3];
    let paint = |x: u32, y: u32| Rgb([byte(x * 6), byte(y * 12), 128]);
    RgbImage::from_fn(40, 20, paint).into()
}

fn as_jpeg() -> Vec<u8> {
    let mut out = Vec::new();
    jpeg(&picture().to_rgb8(), 90, &mut out).unwrap();
    out
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn length_of(bytes: &[u8]) -> u32 {
    bytes.len().try_into().unwrap()
}

/// EXIF as a camera held upright writes it: maker, turned by 90 degrees, a place.
fn exif() -> Vec<u8> {
    let (make, datum) = (b"CANARY-camera\0", b"CANARY-gps 48.8584 N\0");
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [
            &tag.to_be_bytes()[..],
            &kind.to_be_bytes(),
            &count.to_be_bytes(),
            &value.to_be_bytes(),
        ]
        .concat()
    };
    let (first, gps) = (8u32, 8 + 2 + 3 * 12 + 4);
    let make_at = gps + 2 + 12 + 4;
    let datum_at = make_at + length_of(make);
    [
        &b"Exif\0\0MM\0*"[..],
        &first.to_be_bytes(),
        &3u16.to_be_bytes(),
        &entry(0x010f, 2, length_of(make), make_at),
        &entry(0x0112, 3, 1, 6 << 16),
        &entry(0x8825, 4, 1, gps),
        &[0; 4],
        &1u16.to_be_bytes(),
        &entry(0x0012, 2, length_of(datum), datum_at),
        &[0; 4],
        make,
        datum,
    ]
    .concat()
}

fn segment(mark: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, mark], &length[..], content].concat()
}

fn telling_jpeg() -> Vec<u8> {
    let plain = as_jpeg();
    [
        &plain[..2],
        &segment(0xe1, &exif()),
        &segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x>CANARY-xmp</x>"),
        &segment(0xfe, b"CANARY-comment"),
        &plain[2..],
        b"CANARY-trailing",
    ]
    .concat()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn prepared(name: &str, content: &[u8], original: bool) -> Result<Prepared, Failure> {
    let folder = Folder::new();
    prepare(&folder.file(name, content), original)
}

fn refused(content: &[u8]) -> Failure {
    match prepared("photo", content, false) {
        Err(failure) => failure,
        Ok(_) => panic!("it was taken"),
    }
}

fn tells(bytes: &[u8]) -> Vec<&'static str> {
    let holds = |word: &&str| bytes.windows(word.len()).any(|at| at == word.as_bytes());
    CANARIES.into_iter().filter(holds).collect()
}

#[test]
fn nothing_but_the_picture_gets_in() {
    let telling = telling_jpeg();
    assert_eq!(tells(&telling).len(), 5, "the test tests something");
    let kept = prepared("CANARY-name.jpg", &telling, false).unwrap();
    assert_eq!(tells(&kept.bytes), Vec::<&str>::new());
    assert_eq!(tells(kept.thumb.as_ref().unwrap()), Vec::<&str>::new());
    assert!(!kept.bytes.windows(4).any(|at| at == b"Exif"));
    assert_eq!((kept.name, kept.original), (None, false));
    assert_eq!(kept.media, MediaType::Jpeg);
    // Held upright, as the file says.
    assert_eq!(kept.size, Some((20, 40)));
    let again = image::load_from_memory(&kept.bytes).unwrap();
    assert_eq!((again.width(), again.height()), (20, 40));
}

#[test]
fn a_png_stays_as_it_looks_and_loses_its_texts() {
    let plain = written(&picture(), ImageFormat::Png);
    // A text chunk right after the header, with its checksum.
    let text = b"tEXtComment\0CANARY-text";
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    let length = (length_of(text) - 4).to_be_bytes();
    let chunk = [&length[..], text, &(!crc).to_be_bytes()].concat();
    let telling = [&plain[..33], &chunk, &plain[33..], b"CANARY-trailing"].concat();
    assert_eq!(tells(&telling).len(), 2);
    let kept = prepared("a.png", &telling, false).unwrap();
    assert_eq!(tells(&kept.bytes), Vec::<&str>::new());
    assert_eq!(kept.media, MediaType::Png);
    let again = image::load_from_memory(&kept.bytes).unwrap();
    assert_eq!(again.to_rgb8(), picture().to_rgb8());
}

#[test]
fn webp_and_gif_become_what_fits() {
    let webp = written(&picture(), ImageFormat::WebP);
    let kept = prepared("a.webp", &webp, false).unwrap();
    assert_eq!(kept.media, MediaType::Jpeg);
    let glass = RgbaImage::from_pixel(30, 30, Rgba([200, 0, 0, 100]));
    let webp = written(&glass.clone().into(), ImageFormat::WebP);
    let kept = prepared("a.webp", &webp, false).unwrap();
    assert_eq!(kept.media, MediaType::Png);
    assert_eq!(
        image::load_from_memory(&kept.bytes).unwrap().to_rgba8(),
        glass
    );
    let gif = written(&picture().to_rgba8().into(), ImageFormat::Gif);
    let kept = prepared("a.gif", &gif, false).unwrap();
    assert_eq!((kept.media, kept.size), (MediaType::Png, Some((40, 20))));
}

/// Who erases a face to transparency has erased it.
#[test]
fn colours_that_transparency_hides_do_not_come_along() {
    let mut erased = RgbaImage::from_pixel(8, 8, Rgba([200, 10, 10, 0]));
    erased.put_pixel(0, 0, Rgba([1, 2, 3, 4]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let file = written(&erased.clone().into(), format);
        let kept = prepared("a.png", &file, false).unwrap();
        let seen = image::load_from_memory(&kept.bytes).unwrap().to_rgba8();
        assert_eq!(seen.get_pixel(0, 0).0, [1, 2, 3, 4]);
        let rest = seen.pixels().skip(1);
        assert_eq!(rest.filter(|pixel| pixel.0 != [0; 4]).count(), 0);
    }
}

#[test]
fn an_original_is_kept_byte_for_byte_and_its_small_picture_tells_nothing() {
    let telling = telling_jpeg();
    let kept = prepared("CANARY-name.jpg", &telling, true).unwrap();
    assert!(*kept.bytes == telling && kept.original);
    assert_eq!(kept.name.as_deref(), Some("CANARY-name.jpg"));
    assert_eq!(kept.size, Some((20, 40)));
    assert_eq!(tells(kept.thumb.as_ref().unwrap()), Vec::<&str>::new());
}

#[test]
fn any_file_can_be_an_original_and_no_other_than_a_photo_can_be_a_photo() {
    let files: [(&str, &[u8], MediaType); 7] = [
        ("a.pdf", b"%PDF-1.7 x", MediaType::Pdf),
        ("a.heic", b"\0\0\0\x18ftypheic....", MediaType::Heic),
        ("a.m4a", b"\0\0\0\x18ftypM4A ....", MediaType::M4a),
        ("a.mp3", b"ID3\x03......", MediaType::Mp3),
        ("a.svg", b"<svg><script>1</script></svg>", MediaType::Other),
        ("a.jpg", b"<html>not what its name says", MediaType::Other),
        ("a.bin", b"\0", MediaType::Other),
    ];
    for (name, content, media) in files {
        let kept = prepared(name, content, true).unwrap();
        assert_eq!((kept.media, &kept.bytes[..]), (media, content), "{name}");
        assert!(kept.size.is_none() && kept.thumb.is_none(), "{name}");
        let failure = refused(content);
        assert_eq!(failure.code(), "not-a-photo", "{name}");
        assert!(failure.hint_text().unwrap().contains("--original"));
    }
}

#[test]
fn a_truncated_photo_is_not_filled_with_grey() {
    let whole = as_jpeg();
    assert!(is_whole_jpeg(&whole) && is_whole_jpeg(&telling_jpeg()));
    for length in (4..whole.len() - 2).step_by(7).chain([whole.len() - 1]) {
        let failure = refused(&whole[..length]);
        assert_eq!(failure.code(), "truncated-photo", "{length}");
    }
    let png = written(&picture(), ImageFormat::Png);
    for length in [20, 33, 60, png.len() - 20] {
        assert_eq!(refused(&png[..length]).code(), "unreadable-photo");
    }
}

/// A thumbnail inside the EXIF has an end mark of its own, which is not that of the photo.
#[test]
fn the_end_of_a_thumbnail_is_not_the_end_of_the_photo() {
    let whole = as_jpeg();
    let inner = segment(0xe1, &[&b"Exif\0\0"[..], &whole].concat());
    let with_thumb = [&whole[..2], &inner, &whole[2..]].concat();
    assert!(is_whole_jpeg(&with_thumb));
    assert!(!is_whole_jpeg(&with_thumb[..with_thumb.len() - 30]));
}

/// Threat 81: sizes are looked at before memory is taken.
#[test]
fn a_picture_with_a_thousand_million_pixels_is_not_decoded() {
    let mut png = written(&picture(), ImageFormat::Png);
    png[16..20].copy_from_slice(&40_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&30_000u32.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &png[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    assert_eq!(refused(&png).code(), "too-many-pixels");
    let mut gif = written(&picture().to_rgba8().into(), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert!(["too-many-pixels", "unreadable-photo"].contains(&refused(&gif).code()));
}

#[test]
fn bytes_from_anywhere_after_a_true_beginning_give_an_error() {
    for (start, step) in [
        (&[0xff, 0xd8, 0xff][..], 3),
        (b"\x89PNG\r\n\x1a\n", 5),
        (b"RIFF\x20\0\0\0WEBPVP8 ", 7),
        (b"GIF89a", 11),
    ] {
        let mut bytes = start.to_vec();
        bytes.extend((0..2000u32).map(|n| (n * step * 37 % 251).to_be_bytes()[3]));
        assert!(prepared("x", &bytes, false).is_err());
    }
}

#[test]
fn what_is_too_large_empty_or_no_file_is_said_as_such() {
    let folder = Folder::new();
    let code = |path: &Path| prepare(path, true).err().unwrap().code();
    let large = folder.file("large.jpg", b"");
    fs::File::options()
        .write(true)
        .open(&large)
        .unwrap()
        .set_len(FILE_MAX + 1)
        .unwrap();
    assert_eq!(code(&large), "too-large");
    assert_eq!(code(&folder.file("empty", b"")), "photo-file");
    assert_eq!(code(folder.0.path()), "photo-file");
    assert_eq!(code(Path::new("/nowhere/at/all")), "photo-file");
    assert_eq!(code(Path::new("/dev/zero")), "photo-file");
    let evil = folder.file("a\u{202e}gpj.exe", b"x");
    assert_eq!(code(&evil), "bad-file-name");
}

#[test]
fn the_small_picture_is_small_and_hides_what_is_hidden() {
    let wide: DynamicImage = RgbImage::from_pixel(2000, 100, Rgb([9, 9, 9])).into();
    let thumb = image::load_from_memory(&thumb_of(&wide).unwrap()).unwrap();
    assert_eq!((thumb.width(), thumb.height()), (512, 26));
    // Black under nothing at all: white.
    let hidden: DynamicImage = RgbaImage::from_pixel(64, 64, Rgba([0, 0, 0, 0])).into();
    let thumb = image::load_from_memory(&thumb_of(&hidden).unwrap()).unwrap();
    assert!(thumb.to_rgb8().pixels().all(|pixel| pixel.0[0] > 250));
}

#[test]
fn lengths_are_said_so_that_they_can_be_read() {
    for (bytes, words) in [
        (7, "7 bytes"),
        (1001, "2 kB"),
        (2_345_678, "2.3 MB"),
        (26_214_400, "26.2 MB"),
    ] {
        assert_eq!(length_words(bytes), words);
    }
}
