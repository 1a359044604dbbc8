//! Which page of the table holds what.

use std::collections::BTreeSet;

use ajar_protocol::DocId;
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;

use super::page::Place;

/// Before every row: where the first page begins, whatever is on it.
const LEAST: Place = (i64::MIN, DocId([0; 16]));

/// The pages in their order. A row belongs to the last page that begins at or before it, so
/// that only splitting and removing pages changes the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Version of the summarizer that made the rows.
    pub(super) version: u32,
    pages: Vec<(Place, u32)>,
}

impl Index {
    pub(super) fn new(version: u32) -> Self {
        let pages = Vec::new();
        Self { version, pages }
    }

    /// Numbers of the pages, in order.
    pub(super) fn pages(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.pages.iter().map(|(_, number)| *number)
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    /// The page that a row belongs to; `None` when there is no page.
    pub(super) fn find(&self, place: Place) -> Option<u32> {
        let behind = self.pages.partition_point(|(first, _)| *first <= place);
        let page = self.pages.get(behind.saturating_sub(1));
        page.map(|(_, number)| *number)
    }

    /// Numbers of the pages in which rows from `from` to `to` may be, the last first.
    pub(super) fn between(&self, from: Place, to: Place) -> Vec<u32> {
        let begin = self.pages.partition_point(|(first, _)| *first <= from);
        let end = self.pages.partition_point(|(first, _)| *first <= to);
        let some = self.pages.get(begin.saturating_sub(1)..end);
        some.unwrap_or_default()
            .iter()
            .rev()
            .map(|(_, number)| *number)
            .collect()
    }

    /// Adds a page that begins at `first` and returns its number, the smallest that is free:
    /// numbers stay as few as there ever were pages.
    pub(super) fn add(&mut self, first: Place) -> u32 {
        let used: BTreeSet<u32> = self.pages().collect();
        let free = (0..).zip(&used).find(|(number, used)| number != *used);
        let number = match free {
            Some((number, _)) => number,
            None => u32::try_from(used.len()).unwrap_or(u32::MAX),
        };
        let at = self.pages.partition_point(|(other, _)| *other <= first);
        self.pages.insert(at, (first, number));
        self.begin_at_least();
        number
    }

    pub(super) fn remove(&mut self, number: u32) {
        self.pages.retain(|(_, other)| *other != number);
        self.begin_at_least();
    }

    fn begin_at_least(&mut self) {
        if let Some((first, _)) = self.pages.first_mut() {
            *first = LEAST;
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(9 + self.pages.len() * 28);
        out.u8(1).u32(self.version);
        out.u32(u32::try_from(self.pages.len()).unwrap_or(u32::MAX));
        for ((sort, doc), number) in &self.pages {
            out.u32(*number).i64(*sort).raw(&doc.0);
        }
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let what = "index of the table";
        let mut reader = Reader::new(bytes, what);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(what));
        }
        let mut index = Self::new(reader.u32()?);
        for _ in 0..reader.u32()? {
            let number = reader.u32()?;
            let place = (reader.i64()?, DocId(reader.array()?));
            index.pages.push((place, number));
        }
        reader.finish()?;
        let numbers: BTreeSet<u32> = index.pages().collect();
        let begins = index.pages.first().is_none_or(|(first, _)| *first == LEAST);
        if numbers.len() != index.len() || !begins || !index.pages.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Malformed::Version(what));
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sort: i64) -> Place {
        (sort, DocId([1; 16]))
    }

    #[test]
    fn a_row_is_looked_for_on_the_last_page_that_begins_before_it() {
        let mut index = Index::new(1);
        assert_eq!(index.find(place(5)), None);
        assert_eq!(index.between(place(1), place(9)), []);
        for sort in [10, 30, 20] {
            index.add(place(sort));
        }
        for (sort, page) in [(5, 0), (10, 0), (19, 0), (20, 2), (29, 2), (30, 1), (99, 1)] {
            assert_eq!(index.find(place(sort)), Some(page), "{sort}");
        }
        assert_eq!(index.between(place(-9), place(99)), [1, 2, 0]);
        assert_eq!(index.between(place(12), place(20)), [2, 0]);
        assert_eq!(index.between(place(20), place(29)), [2]);
        assert_eq!(index.between(place(1), place(2)), [0]);
        assert_eq!(index.between(place(40), place(50)), [1]);
        index.remove(0);
        assert_eq!(index.find(place(5)), Some(2));
        assert_eq!(index.add(place(15)), 0, "the number is free again");
        assert_eq!(index.add(place(40)), 3);
        assert_eq!(Index::decode(&index.encode()), Ok(index));
    }

    #[test]
    fn an_index_that_is_cut_or_out_of_order_is_an_error() {
        let mut index = Index::new(7);
        index.add(place(1));
        index.add(place(2));
        let bytes = index.encode();
        for cut in 0..bytes.len() {
            assert!(Index::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        index.pages.reverse();
        assert!(Index::decode(&index.encode()).is_err());
        for wrong in [[(LEAST, 4), (place(2), 4)], [(place(1), 1), (place(2), 2)]] {
            index.pages = wrong.to_vec();
            assert!(Index::decode(&index.encode()).is_err());
        }
    }
}
