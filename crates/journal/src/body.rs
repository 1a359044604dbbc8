//! A body: a list of paragraphs, each one scalar string (`docs/performance.md`, Choices).
//!
//! Text is split at `\n` and joined with `\n`, so every text comes back byte for byte. An edit is
//! a difference by paragraph: edits of different paragraphs on two devices merge; two edits of one
//! paragraph are both kept, as values of the same list element.

use automerge::transaction::Transactable;
use automerge::{AutomergeError, ObjId, ObjType, ROOT, ScalarValue, hydrate};
use serde::{Deserialize, Serialize};

use crate::diff;
use crate::error::{Error, Invalid};
use crate::read::View;
use crate::schema::{
    BODY, EDIT_STEPS_MAX, MERGED_PARAGRAPHS_MAX, MERGED_TEXT_BYTES_MAX, PARAGRAPHS_MAX,
    TEXT_BYTES_MAX,
};

/// One paragraph of a body, without its line break.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Paragraph {
    /// The text every device shows.
    pub text: String,
    /// What other devices wrote into the same paragraph at the same time. Nothing typed is
    /// dropped: a person chooses, and saving settles it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

crate::redacted_debug!(Paragraph);

/// The text of a body: its paragraphs joined with `\n`.
#[must_use]
pub(crate) fn joined(paragraphs: &[Paragraph]) -> String {
    let texts: Vec<&str> = paragraphs.iter().map(|p| p.text.as_str()).collect();
    texts.join("\n")
}

pub(crate) fn check(text: &str) -> Result<(), Invalid> {
    let lines = text.split('\n').nth(PARAGRAPHS_MAX).is_some();
    if text.len() > TEXT_BYTES_MAX || lines {
        Err(Invalid::TextTooLong)
    } else {
        Ok(())
    }
}

/// Writes a whole new body.
pub(crate) fn create<T: Transactable>(tx: &mut T, text: &str) -> Result<(), AutomergeError> {
    let list = tx.put_object(ROOT, BODY, ObjType::List)?;
    tx.splice(&list, 0, 0, text.split('\n').map(scalar))
}

/// Changes the body to `text`. `seen` is what the person had in front of them when they began, or
/// `None` for what the document holds now. What arrived in the meantime stays, and where both
/// changed one paragraph, both are kept one after the other. Returns whether anything was written.
pub(crate) fn edit<T: Transactable>(
    tx: &mut T,
    seen: Option<&[Paragraph]>,
    text: &str,
) -> Result<bool, Error> {
    check(text)?;
    let (list, current) = {
        let view = View::now(tx);
        (view.body_list()?, view.paragraphs()?)
    };
    let seen = match seen {
        None => current.as_slice(),
        // Saving the same words twice (a retry) must not write them twice.
        Some(seen) if seen != current && joined(&current) == text => return Ok(false),
        Some(seen) => seen,
    };
    let new: Vec<&str> = text.split('\n').collect();
    let steps = plan(seen, &new, &current);
    let after = Cost::of(&current, &steps);
    if after.operations > EDIT_STEPS_MAX {
        return Err(Invalid::EditTooLarge.into());
    }
    if after.bytes > MERGED_TEXT_BYTES_MAX || after.paragraphs > MERGED_PARAGRAPHS_MAX {
        return Err(Invalid::MergedTextTooLong.into());
    }
    apply(tx, &list, &steps)?;
    Ok(!steps.is_empty())
}

fn scalar(text: &str) -> hydrate::Value {
    hydrate::Value::Scalar(ScalarValue::Str(text.into()))
}

/// One change of the list. `at` counts in the list as it is before all steps, and never falls.
#[derive(PartialEq, Eq)]
enum Step<'a> {
    Put { at: usize, text: &'a str },
    Remove { at: usize },
    Insert { at: usize, texts: &'a [&'a str] },
}

/// Where the paragraphs a person saw are in the list now.
struct Places {
    /// For each paragraph seen, its index now; `None` if someone changed or removed it meanwhile.
    exact: Vec<Option<usize>>,
    /// Index now of the first paragraph kept at or after each one seen.
    next: Vec<usize>,
}

impl Places {
    fn new(seen: &[Paragraph], current: &[Paragraph]) -> Self {
        let mut exact = vec![None; seen.len()];
        for (from, to) in diff::kept(seen, current) {
            if let Some(place) = exact.get_mut(from) {
                *place = Some(to);
            }
        }
        let mut next = vec![current.len(); seen.len()];
        let mut following = current.len();
        for (place, next) in exact.iter().zip(&mut next).rev() {
            following = place.unwrap_or(following);
            *next = following;
        }
        Self { exact, next }
    }

    fn of(&self, seen: usize) -> Option<usize> {
        self.exact.get(seen).copied().flatten()
    }

    /// First index now that belongs after everything up to and including `seen`.
    fn after(&self, seen: usize, end: usize) -> usize {
        match self.of(seen) {
            Some(at) => at + 1,
            None => self.next.get(seen).copied().unwrap_or(end),
        }
    }

    /// First index now that may hold what someone else made of `seen`.
    fn gap_start(&self, seen: usize) -> usize {
        let kept = self.exact.iter().take(seen).rev().find_map(|place| *place);
        kept.map_or(0, |at| at + 1)
    }
}

fn plan<'a>(seen: &'a [Paragraph], new: &'a [&'a str], current: &[Paragraph]) -> Vec<Step<'a>> {
    let places = Places::new(seen, current);
    let pairs = diff::kept(seen.iter().map(|p| p.text.as_str()), new.iter().copied());
    let mut steps = Vec::new();
    let mut from = 0;
    let end = diff::Hunk {
        old: seen.len()..seen.len(),
        new: new.len()..new.len(),
    };
    for hunk in diff::hunks(&pairs, seen.len(), new.len())
        .into_iter()
        .chain([end])
    {
        // Unchanged, but there were several versions: the person has seen them and saved this one.
        for index in from..hunk.old.start {
            if let (Some(at), Some(p)) = (places.of(index), seen.get(index))
                && !p.others.is_empty()
            {
                steps.push(Step::Put { at, text: &p.text });
            }
        }
        from = hunk.old.end;
        let mut replacing = new.get(hunk.new.clone()).unwrap_or(&[]);
        for index in hunk.old.clone() {
            let replacement = replacing.split_first();
            match (places.of(index), replacement) {
                (Some(at), Some((text, _))) => steps.push(Step::Put { at, text }),
                (Some(at), None) => steps.push(Step::Remove { at }),
                (None, Some((text, _))) => {
                    let at = places.after(index, current.len());
                    let theirs = current.get(places.gap_start(index)..at).unwrap_or(&[]);
                    if !theirs.iter().any(|p| p.text == *text) {
                        let texts = replacing.get(..1).unwrap_or(&[]);
                        steps.push(Step::Insert { at, texts });
                    }
                }
                (None, None) => {}
            }
            replacing = replacement.map_or(&[], |(_, rest)| rest);
        }
        if !replacing.is_empty() {
            let before = hunk.old.end.checked_sub(1);
            let at = before.map_or(0, |index| places.after(index, current.len()));
            steps.push(Step::Insert {
                at,
                texts: replacing,
            });
        }
    }
    steps
}

/// What a body would be after some steps, and what they take.
struct Cost {
    /// Bytes of all values, with one line break each.
    bytes: usize,
    paragraphs: usize,
    /// Operations in the change, counting every value that is replaced.
    operations: usize,
}

impl Cost {
    fn of(current: &[Paragraph], steps: &[Step<'_>]) -> Self {
        let size =
            |p: &Paragraph| p.text.len() + 1 + p.others.iter().map(|o| o.len() + 1).sum::<usize>();
        let (mut bytes, mut paragraphs) = (current.iter().map(size).sum::<usize>(), current.len());
        let (mut bytes_gone, mut gone, mut operations) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Put { at, .. } | Step::Remove { at } => {
                    bytes_gone += current.get(*at).map_or(0, size);
                    operations += 1 + current.get(*at).map_or(0, |p| p.others.len());
                }
                Step::Insert { .. } => {}
            }
            match step {
                Step::Put { text, .. } => bytes += text.len() + 1,
                Step::Remove { .. } => gone += 1,
                Step::Insert { texts, .. } => {
                    bytes += texts.iter().map(|text| text.len() + 1).sum::<usize>();
                    paragraphs += texts.len();
                    operations += texts.len();
                }
            }
        }
        Self {
            bytes: bytes.saturating_sub(bytes_gone),
            paragraphs: paragraphs.saturating_sub(gone),
            operations,
        }
    }
}

/// Runs of new paragraphs go in front to back: that way two devices' runs do not interleave.
fn apply<T: Transactable>(
    tx: &mut T,
    list: &ObjId,
    steps: &[Step<'_>],
) -> Result<(), AutomergeError> {
    let (mut inserted, mut removed) = (0, 0);
    for step in steps {
        match step {
            Step::Put { at, text } => tx.put(list, at + inserted - removed, *text)?,
            Step::Remove { at } => {
                tx.delete(list, at + inserted - removed)?;
                removed += 1;
            }
            Step::Insert { at, texts } => {
                let values = texts.iter().map(|text| scalar(text));
                tx.splice(list, at + inserted - removed, 0, values)?;
                inserted += texts.len();
            }
        }
    }
    Ok(())
}
