//! Files that say that they are pictures: decoding one costs no more than it may, and what is
//! written anew holds a picture and nothing else.

use std::io::Cursor;

use ajar_client::photo::strip;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use super::Fate;

/// What stands where a camera writes its notes.
const NOTE: &[u8] = b"52.5200 N 13.4050 E, Ana's camera";

/// A file as it is handed in.
pub fn photo(input: &[u8]) -> Option<Fate> {
    let Some(kept) = strip(input) else {
        return Fate::of("picture", false);
    };
    for bytes in [Some(&kept.bytes), kept.thumb.as_ref()]
        .into_iter()
        .flatten()
    {
        match bytes.as_slice() {
            [0xff, 0xd8, ..] => only_a_jpeg(bytes),
            [0x89, b'P', b'N', b'G', ..] => only_a_png(bytes),
            _ => panic!("neither JPEG nor PNG is kept"),
        }
        let noted = bytes.windows(NOTE.len()).any(|window| window == NOTE);
        assert!(!noted, "the camera's note is kept");
    }
    Fate::of("picture", true)
}

/// Walks the marks up to the coded bytes: tables, frame and scan, and the JFIF header.
fn only_a_jpeg(bytes: &[u8]) {
    let mut rest = &bytes[2..];
    loop {
        let [0xff, mark, high, low, ..] = rest else {
            panic!("no mark where one must be");
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match mark {
            0xe0 => assert_eq!(&rest[4..9], b"JFIF\0", "other notes are kept"),
            0xdb | 0xc4 | 0xc0 | 0xc2 | 0xdd => {}
            0xda => break,
            mark => panic!("a segment {mark:02x} is kept"),
        }
        rest = &rest[2 + length..];
    }
    let end = bytes.windows(2).position(|pair| pair == [0xff, 0xd9]);
    assert_eq!(end, Some(bytes.len() - 2), "something follows the picture");
}

/// Walks the chunks: header, palette, transparency, pixels, end.
fn only_a_png(bytes: &[u8]) {
    let mut rest = &bytes[8..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let name = &after[..4];
        let known = [&b"IHDR"[..], b"PLTE", b"tRNS", b"IDAT", b"IEND"];
        assert!(known.contains(&name), "a chunk {name:02x?} is kept");
        rest = &after[8 + usize::try_from(u32::from_be_bytes(*length)).unwrap()..];
    }
    assert!(rest.is_empty(), "something follows the picture");
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// An EXIF block: turned by a quarter, and a note.
fn exif() -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x02\0".to_vec();
    tiff.extend([0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
    let length = u8::try_from(NOTE.len()).unwrap();
    tiff.extend([0x0e, 1, 2, 0, length, 0, 0, 0, 38, 0, 0, 0]);
    tiff.extend([0; 4]);
    tiff.extend_from_slice(NOTE);
    tiff
}

fn jpeg_with_notes(jpeg: &[u8]) -> Vec<u8> {
    let segment = |mark: u8, body: &[u8]| {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xff, mark][..], &length, body].concat()
    };
    let exif = [b"Exif\0\0", exif().as_slice()].concat();
    let notes = [segment(0xe1, &exif), segment(0xfe, NOTE)].concat();
    [&jpeg[..2], &notes, &jpeg[2..], NOTE].concat()
}

fn png_with_notes(png: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        // Decoders do not look at the checksum of a chunk that they may pass over.
        [&length[..], name, body, &[0; 4]].concat()
    };
    let after_header = 8 + 25;
    let text = chunk(b"tEXt", &[b"Comment\0", NOTE].concat());
    [&png[..after_header], &text, &png[after_header..]].concat()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut picture = RgbImage::new(24, 16);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        *pixel = Rgb([x, y, x * y].map(|value| u8::try_from(value % 251).unwrap()));
    }
    let rgb = DynamicImage::from(picture);
    let rgba = DynamicImage::from(rgb.to_rgba8());
    let gray = DynamicImage::from(rgb.to_luma8());
    let deep = DynamicImage::from(rgb.to_rgb16());
    let jpeg = written(&rgb, ImageFormat::Jpeg);
    let png = written(&rgba, ImageFormat::Png);
    vec![
        jpeg_with_notes(&jpeg),
        jpeg,
        written(&gray, ImageFormat::Jpeg),
        png_with_notes(&png),
        png,
        written(&gray, ImageFormat::Png),
        written(&deep, ImageFormat::Png),
        written(&rgb, ImageFormat::WebP),
        written(&rgba, ImageFormat::WebP),
        written(&rgba, ImageFormat::Gif),
    ]
}
