//! One page of the table: rows one after another, in order, compressed as a whole.

use ajar_protocol::DocId;
use ajar_protocol::codec::Writer;

/// Where a row stands: by what the application sorts it by, then by the id of its document.
pub(super) type Place = (i64, DocId);

/// Size from which on a page with several rows is split, in bytes before compression. Smaller
/// pages cost a search more reads, larger ones cost every edit more writing.
pub(super) const PAGE: usize = 24 << 10;
/// Longest head of a row, in bytes.
pub(super) const HEAD: usize = 4 << 10;
/// Longest text of a row, in bytes.
pub(super) const TEXT: usize = 1 << 20;
/// Largest page, in bytes before compression: one of [`PAGE`] with the longest row there is.
const LARGEST: usize = PAGE + HEAD + TEXT + 64;
/// Level of zstd: pages are written far more often than they are large.
const LEVEL: i32 = 1;
const VERSION: u8 = 1;

/// One row, as it lies in its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) place: Place,
    pub(super) head: &'a [u8],
    pub(super) text: &'a [u8],
}

impl<'a> Row<'a> {
    /// The row at the beginning of `bytes`, which then begin behind it.
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (doc, rest) = bytes.split_first_chunk()?;
        let (sort, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (head, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        let place = (i64::from_be_bytes(*sort), DocId(*doc));
        Some(Self { place, head, text })
    }

    fn encode(&self) -> Vec<u8> {
        let (sort, doc) = self.place;
        let mut out = Writer::with_capacity(30 + self.head.len() + self.text.len());
        out.raw(&doc.0)
            .i64(sort)
            .bytes16(self.head)
            .bytes32(self.text);
        out.finish()
    }
}

/// The rows of a page, in order.
pub(super) struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        Row::take(&mut self.0)
    }
}

/// A page in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page(Vec<u8>);

impl Page {
    /// Reads a stored page; `None` when it does not hold.
    pub(super) fn decode(record: &[u8], zstd: &mut Zstd) -> Option<Self> {
        let (version, rest) = record.split_first()?;
        let (length, packed) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if *version != VERSION || length > LARGEST {
            return None;
        }
        let page = Self(zstd.expand(packed, length)?);
        let mut rest = page.0.as_slice();
        let mut last = None;
        while !rest.is_empty() {
            let row = Row::take(&mut rest)?;
            if last.is_some_and(|last| last >= row.place) {
                return None;
            }
            last = Some(row.place);
        }
        (page.0.len() == length).then_some(page)
    }

    /// The stored form: `u8 1 ‖ u32 length ‖ zstd`. `None` when zstd fails.
    pub(super) fn encode(&self, zstd: &mut Zstd) -> Option<Vec<u8>> {
        let packed = zstd.pack(&self.0)?;
        let mut out = Writer::with_capacity(5 + packed.len());
        out.u8(VERSION).u32(u32::try_from(self.0.len()).ok()?);
        out.raw(&packed);
        Some(out.finish())
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows(&self.0)
    }

    /// All bytes of all rows: what occurs nowhere in them occurs in no text.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the row of that place is, or where it would be: begin and end.
    fn find(&self, place: Place) -> (usize, usize) {
        let mut rest = self.0.as_slice();
        loop {
            let begin = self.0.len() - rest.len();
            let Some(row) = Row::take(&mut rest) else {
                return (begin, begin);
            };
            let end = self.0.len() - rest.len();
            if row.place == place {
                return (begin, end);
            }
            if row.place > place {
                return (begin, begin);
            }
        }
    }

    /// Puts a row in, over the one of the same place. `false` when it was there just so.
    pub(super) fn put(&mut self, row: &Row<'_>) -> bool {
        let (begin, end) = self.find(row.place);
        let bytes = row.encode();
        if self.0.get(begin..end) == Some(bytes.as_slice()) {
            return false;
        }
        self.0.splice(begin..end, bytes);
        true
    }

    /// Takes a row out; `false` when it was not there.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        let (begin, end) = self.find(place);
        self.0.drain(begin..end);
        begin < end
    }

    /// Splits a page that is too large. What comes behind it is returned, with its first
    /// place. A row put at the end begins a page of its own, so that what is written in order
    /// fills its pages.
    pub(super) fn split(&mut self, put: Place) -> Option<(Place, Self)> {
        if self.0.len() <= PAGE {
            return None;
        }
        let half = self.0.len() / 2;
        let mut rest = self.0.as_slice();
        let (mut cut, mut last) = (None, None);
        while !rest.is_empty() {
            let begin = self.0.len() - rest.len();
            let row = Row::take(&mut rest)?;
            if begin > 0 {
                last = Some((begin, row.place));
                // The first row that begins in the second half, or else the last one.
                if cut.is_none() && begin >= half {
                    cut = last;
                }
            }
        }
        let (begin, first) = match last {
            Some((begin, place)) if place == put => (begin, place),
            _ => cut.or(last)?,
        };
        let behind = self.0.split_off(begin);
        Some((first, Self(behind)))
    }
}

/// Packs pages and undoes it. What that needs costs more to make than to use, so it is kept.
#[derive(Default)]
pub(super) struct Zstd {
    packs: Option<zstd::bulk::Compressor<'static>>,
    expands: Option<zstd::bulk::Decompressor<'static>>,
}

impl Zstd {
    fn pack(&mut self, page: &[u8]) -> Option<Vec<u8>> {
        let zstd = match &mut self.packs {
            Some(zstd) => zstd,
            empty => empty.insert(zstd::bulk::Compressor::new(LEVEL).ok()?),
        };
        zstd.compress(page).ok()
    }

    /// What `packed` holds, if that is no more than `limit` bytes.
    fn expand(&mut self, packed: &[u8], limit: usize) -> Option<Vec<u8>> {
        let zstd = match &mut self.expands {
            Some(zstd) => zstd,
            empty => empty.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        zstd.decompress(packed, limit).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: u16) -> Place {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        (i64::from(n / 3) - 10, DocId(id))
    }

    fn row(n: u16, text: &[u8]) -> Row<'_> {
        let place = place(n);
        let head = b"head";
        Row { place, head, text }
    }

    fn page(numbers: &[u16], text: &[u8]) -> Page {
        let mut page = Page::default();
        for n in numbers {
            assert!(page.put(&row(*n, text)));
        }
        page
    }

    fn places(page: &Page) -> Vec<Place> {
        page.rows().map(|row| row.place).collect()
    }

    #[test]
    fn rows_are_in_order_however_they_came_and_one_replaces_its_own() {
        let mut page = page(&[5, 0, 9, 3], b"rain");
        assert_eq!(places(&page), [0, 3, 5, 9].map(place));
        assert!(page.put(&row(3, b"sea")));
        assert!(!page.put(&row(3, b"sea")));
        assert!(page.remove(place(5)) && !page.remove(place(5)));
        assert_eq!(places(&page), [0, 3, 9].map(place));
        assert_eq!(page.rows().nth(1).unwrap(), row(3, b"sea"));
        let mut zstd = Zstd::default();
        let record = page.encode(&mut zstd).unwrap();
        let again = Page::decode(&record, &mut zstd);
        assert_eq!(again, Some(page));
    }

    #[test]
    fn a_page_that_grows_is_split_in_the_middle_or_behind_what_came_last() {
        let text = vec![b'x'; 2500];
        let mut middle = page(&[1, 2, 3, 4, 5, 6, 7, 8, 9], &text);
        assert_eq!(middle.split(place(9)), None);
        let mut end = middle.clone();
        middle.put(&row(0, &text));
        let (first, behind) = middle.split(place(0)).unwrap();
        assert_eq!(first, place(5));
        assert_eq!((places(&middle).len(), places(&behind).len()), (5, 5));
        end.put(&row(10, &text));
        let (first, behind) = end.split(place(10)).unwrap();
        assert_eq!((first, places(&behind)), (place(10), vec![place(10)]));
        // One row alone stays whole.
        let long = vec![b'x'; TEXT];
        let mut alone = page(&[1], &long);
        assert_eq!(alone.split(place(1)), None);
        let mut zstd = Zstd::default();
        let record = alone.encode(&mut zstd).unwrap();
        let read = Page::decode(&record, &mut zstd);
        assert_eq!(read, Some(alone));
    }

    #[test]
    fn what_is_no_page_is_refused_and_nothing_expands_without_end() {
        let mut zstd = Zstd::default();
        let record = page(&[1, 2], b"rain").encode(&mut zstd).unwrap();
        for cut in 0..record.len() {
            assert_eq!(Page::decode(&record[..cut], &mut zstd), None, "{cut}");
        }
        let stored = |length: usize, plain: &[u8]| {
            let packed = zstd::bulk::compress(plain, 1).unwrap();
            let length = u32::try_from(length).unwrap().to_be_bytes();
            [&[VERSION][..], &length, &packed].concat()
        };
        let bomb = vec![0; 64 << 20];
        for length in [0, 1000, LARGEST, LARGEST + 1, bomb.len()] {
            let read = Page::decode(&stored(length, &bomb), &mut zstd);
            assert_eq!(read, None, "{length}");
        }
        let two = [row(2, b"").encode(), row(1, b"").encode()].concat();
        assert_eq!(Page::decode(&stored(two.len(), &two), &mut zstd), None);
        let twice = [row(1, b"").encode(), row(1, b"").encode()].concat();
        assert_eq!(Page::decode(&stored(twice.len(), &twice), &mut zstd), None);
        let one = row(1, b"").encode();
        assert!(Page::decode(&stored(one.len(), &one), &mut zstd).is_some());
        assert_eq!(Page::decode(&stored(one.len() + 1, &one), &mut zstd), None);
    }
}
