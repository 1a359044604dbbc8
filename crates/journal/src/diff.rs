//! Which paragraphs two texts have in common, in order.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// Largest table of the exact comparison, in cells of two bytes.
const CELLS_MAX: usize = 1_000_000;

/// A run that differs: `old` was replaced by `new` (either may be empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
}

/// Pairs (index in `old`, index in `new`) of items kept, both strictly increasing. A longest such
/// list, unless the middle that differs is larger than about a thousand paragraphs on both sides.
pub(crate) fn kept<T: Eq + Hash>(
    old: impl IntoIterator<Item = T>,
    new: impl IntoIterator<Item = T>,
) -> Vec<(usize, usize)> {
    // Comparing small numbers instead of paragraphs keeps the table cheap.
    let mut numbers = HashMap::new();
    let mut number = |item: T| {
        let next = numbers.len();
        *numbers.entry(item).or_insert(next)
    };
    let old: Vec<usize> = old.into_iter().map(&mut number).collect();
    let new: Vec<usize> = new.into_iter().map(&mut number).collect();
    let mut pairs = Vec::new();
    common(&old, &new, (0, 0), true, &mut pairs);
    pairs
}

/// The runs between kept pairs.
pub(crate) fn hunks(pairs: &[(usize, usize)], old_len: usize, new_len: usize) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let (mut old, mut new) = (0, 0);
    for &(o, n) in pairs.iter().chain([&(old_len, new_len)]) {
        if o > old || n > new {
            hunks.push(Hunk {
                old: old..o,
                new: new..n,
            });
        }
        (old, new) = (o + 1, n + 1);
    }
    hunks
}

/// Appends the pairs of `old` and `new`, which start at `offset` of the whole.
fn common(
    old: &[usize],
    new: &[usize],
    offset: (usize, usize),
    anchor: bool,
    pairs: &mut Vec<(usize, usize)>,
) {
    let head = old.iter().zip(new).take_while(|(o, n)| o == n).count();
    let (old, new) = (
        old.get(head..).unwrap_or(&[]),
        new.get(head..).unwrap_or(&[]),
    );
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(o, n)| o == n)
        .count();
    let (old_mid, new_mid) = (old.len() - tail, new.len() - tail);
    let mid = (
        old.get(..old_mid).unwrap_or(&[]),
        new.get(..new_mid).unwrap_or(&[]),
    );
    let at = (offset.0 + head, offset.1 + head);

    pairs.extend((0..head).map(|i| (offset.0 + i, offset.1 + i)));
    if (mid.0.len() + 1).saturating_mul(mid.1.len() + 1) <= CELLS_MAX {
        let found = longest(mid.0, mid.1);
        pairs.extend(found.into_iter().map(|(o, n)| (at.0 + o, at.1 + n)));
    } else if anchor {
        between_anchors(mid.0, mid.1, at, pairs);
    }
    pairs.extend((0..tail).map(|i| (at.0 + old_mid + i, at.1 + new_mid + i)));
}

/// Longest common subsequence by the table; the caller bounds its size.
#[expect(
    clippy::indexing_slicing,
    reason = "every index is below the lengths the table was made of"
)]
fn longest(old: &[usize], new: &[usize]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    // The smaller side has at most 1,000 items, so a length fits in two bytes.
    let mut table = vec![0_u16; (old.len() + 1) * width];
    for o in (0..old.len()).rev() {
        for n in (0..new.len()).rev() {
            table[o * width + n] = if old[o] == new[n] {
                table[(o + 1) * width + n + 1] + 1
            } else {
                table[(o + 1) * width + n].max(table[o * width + n + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut o, mut n) = (0, 0);
    while o < old.len() && n < new.len() {
        if old[o] == new[n] {
            pairs.push((o, n));
            (o, n) = (o + 1, n + 1);
        } else if table[(o + 1) * width + n] >= table[o * width + n + 1] {
            o += 1;
        } else {
            n += 1;
        }
    }
    pairs
}

/// For very long middles: paragraphs that occur once on both sides hold the rest in place.
fn between_anchors(
    old: &[usize],
    new: &[usize],
    offset: (usize, usize),
    pairs: &mut Vec<(usize, usize)>,
) {
    let new_once = once(new);
    let mut both: Vec<(usize, usize)> = once(old)
        .into_iter()
        .filter_map(|(item, o)| new_once.get(&item).map(|n| (o, *n)))
        .collect();
    both.sort_unstable();
    let (mut o, mut n) = (0, 0);
    for (next_o, next_n) in increasing(&both)
        .into_iter()
        .chain([(old.len(), new.len())])
    {
        let gap = (
            old.get(o..next_o).unwrap_or(&[]),
            new.get(n..next_n).unwrap_or(&[]),
        );
        common(gap.0, gap.1, (offset.0 + o, offset.1 + n), false, pairs);
        if next_o < old.len() {
            pairs.push((offset.0 + next_o, offset.1 + next_n));
        }
        (o, n) = (next_o + 1, next_n + 1);
    }
}

/// Items that occur exactly once, with their index.
fn once(items: &[usize]) -> HashMap<usize, usize> {
    let mut seen: HashMap<usize, Option<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        seen.entry(*item)
            .and_modify(|at| *at = None)
            .or_insert(Some(index));
    }
    seen.into_iter()
        .filter_map(|(item, at)| at.map(|at| (item, at)))
        .collect()
}

/// A longest part of `pairs` (sorted by the first) whose second rises too.
#[expect(
    clippy::indexing_slicing,
    reason = "every index was pushed together with its pair"
)]
fn increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        let rank = ends.partition_point(|end| pairs[*end].1 < pair.1);
        before.push(rank.checked_sub(1).map(|rank| ends[rank]));
        if rank == ends.len() {
            ends.push(index);
        } else {
            ends[rank] = index;
        }
    }
    let mut chain = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        chain.push(pairs[index]);
        next = before[index];
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rebuilt(old: &[u16], new: &[u16]) -> (Vec<u16>, usize) {
        let pairs = kept(old, new);
        let mut out = Vec::new();
        let mut at = 0;
        for hunk in hunks(&pairs, old.len(), new.len()) {
            out.extend(&old[at..hunk.old.start]);
            out.extend(&new[hunk.new.clone()]);
            at = hunk.old.end;
        }
        out.extend(&old[at..]);
        (out, pairs.len())
    }

    proptest! {
        #[test]
        fn hunks_turn_the_old_into_the_new(
            old in proptest::collection::vec(0_u16..6, 0..40),
            new in proptest::collection::vec(0_u16..6, 0..40),
        ) {
            prop_assert_eq!(rebuilt(&old, &new).0, new);
        }
    }

    #[test]
    fn one_inserted_paragraph_is_one_hunk() {
        let pairs = kept([1, 2, 3], [1, 9, 2, 3]);
        assert_eq!(
            hunks(&pairs, 3, 4),
            [Hunk {
                old: 1..1,
                new: 1..2
            }]
        );
    }

    #[test]
    fn a_middle_too_large_for_the_table_is_held_by_paragraphs_that_occur_once() {
        let old: Vec<u16> = (0..3000).collect();
        let new: Vec<u16> = old
            .iter()
            .map(|n| if n % 7 == 0 { n + 10_000 } else { *n })
            .collect();
        let (out, kept) = rebuilt(&old, &new);
        assert_eq!(out, new);
        assert_eq!(kept, old.iter().filter(|n| *n % 7 != 0).count());
    }

    #[test]
    fn hundreds_of_thousands_of_blank_lines_are_compared_quickly() {
        let old = vec![0_u16; 400_000];
        let mut new = vec![1_u16; 300_000];
        new[150_000] = 0;
        assert_eq!(rebuilt(&old, &new).0, new);
    }
}
