//! Words for feelings: the hundred the journal offers, and those people add.
//!
//! The list and its places on the grid are our own judgement, not norms. Words are suggestions:
//! choosing one never moves a person's point.
//!
//! A built-in word is known by its family and its English text, as in `joy.cheerful`. The id stays
//! when the text is translated, renamed or moved. People's own words come as a list of [`Word`]s
//! with whatever ids their records have; one that bears a built-in id takes that word's place.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::point::Point;
use crate::redacted_debug;

/// How many words [`nearest`] gives.
pub const NEAREST: usize = 5;
/// Of how many families they are at least: worry, annoyance and embarrassment lie at the same
/// point and mean different things.
pub const NEAREST_FAMILIES: usize = 3;

/// Other spellings of built-in words, and their ids.
const ALIASES: [(&str, &str); 3] = [
    ("cozy", "ease.cosy"),
    ("cosey", "ease.cosy"),
    ("energized", "energy.energised"),
];

macro_rules! families {
    ($($family:ident $word:literal $doc:literal),+ $(,)?) => {
        /// A family of words that are close in meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Family {
            $(#[doc = $doc] $family),+
        }

        impl Family {
            /// All of them, from the pleasant and lively around to the guarded.
            pub const ALL: [Self; 20] = [$(Self::$family),+];

            /// The word for it, in ids, documents and on pages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$family => $word),+
                }
            }
        }
    };
}

families! {
    Joy "joy" "Gladness and play.",
    Energy "energy" "Drive and excitement.",
    Pride "pride" "Having done or dared something.",
    Love "love" "Warmth for somebody.",
    Gratitude "gratitude" "Having been given something.",
    Hope "hope" "Trust in what comes.",
    Wonder "wonder" "Interest and surprise.",
    Calm "calm" "Peace.",
    Ease "ease" "Comfort and relief.",
    Quiet "quiet" "Stillness and looking back.",
    Mixed "mixed" "Two things at once, or not knowing.",
    Weary "weary" "Tiredness and emptiness.",
    Sadness "sadness" "Loss and heaviness.",
    Loneliness "loneliness" "Being far from others.",
    Hurt "hurt" "Having been let down or wounded.",
    Fear "fear" "Worry about what may come.",
    Pressure "pressure" "Too much at once.",
    Anger "anger" "Something is in the way or unjust.",
    Shame "shame" "Something is wrong with me or what I did.",
    Guard "guard" "Suspicion, envy and disgust.",
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word names no family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such family of words; `joy`, `calm`, `hurt` and seventeen others exist")]
pub struct NoSuchFamily;

impl FromStr for Family {
    type Err = NoSuchFamily;

    fn from_str(word: &str) -> Result<Self, NoSuchFamily> {
        let mut all = Self::ALL.into_iter();
        all.find(|family| family.as_str() == word)
            .ok_or(NoSuchFamily)
    }
}

/// A word for a feeling, with its place on the grid.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    id: String,
    text: String,
    point: Point,
    family: Option<Family>,
}

redacted_debug!(Word);

impl Word {
    /// A person's or a couple's own word. One with a built-in id is that word renamed or moved,
    /// and stays in its family whatever `family` says.
    #[must_use]
    pub fn new(id: String, text: String, point: Point, family: Option<Family>) -> Self {
        let family = built_in(&id).map_or(family, |word| word.family);
        Self {
            id,
            text,
            point,
            family,
        }
    }

    /// What records refer to: `joy.cheerful`, or the id of somebody's own word.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The word itself. Somebody's own word is shown through [`crate::text::displayable_line`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it lies on the grid.
    #[must_use]
    pub fn point(&self) -> Point {
        self.point
    }

    /// Its family. Somebody's own word may have none.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        self.family
    }
}

/// The hundred built-in words, in the order of the list: by family, as in [`Family::ALL`].
#[must_use]
pub fn all() -> &'static [Word] {
    static WORDS: LazyLock<Vec<Word>> = LazyLock::new(|| {
        let list = include_str!("../data/emotion-words.csv");
        // A line that does not hold is left out here, and fails the tests below.
        list.lines().skip(1).filter_map(parse).collect()
    });
    &WORDS
}

/// The word of this id: somebody's own, or a built-in one.
#[must_use]
pub fn by_id<'a>(id: &str, own: &'a [Word]) -> Option<&'a Word> {
    let mine = own.iter().filter(|word| word.id == id).min_by_key(in_order);
    mine.or_else(|| built_in(id))
}

/// The word somebody typed, whatever its case and spacing: first among their own words, then among
/// the built-in ones and their other spellings, then by id. A built-in word that was renamed is
/// still found by its old name.
#[must_use]
pub fn find<'a>(typed: &str, own: &'a [Word]) -> Option<&'a Word> {
    let typed = folded(typed);
    let mine = own.iter().filter(|word| folded(&word.text) == typed);
    if let Some(word) = mine.min_by_key(in_order) {
        return Some(word);
    }
    let mut aliases = ALIASES.iter();
    let alias = aliases
        .find(|(spelling, _)| *spelling == typed)
        .map(|(_, id)| *id);
    let named = all().iter().find(|word| word.text == typed);
    let id = named.map(Word::id).or(alias).unwrap_or(&typed);
    by_id(id, own)
}

/// Exactly [`NEAREST`] words for a point, nearest first, from at least [`NEAREST_FAMILIES`]
/// families; words without a family count for none. Among words equally near, people's own come
/// first. No two of them read the same. The order of `own` does not matter.
#[must_use]
pub fn nearest(point: Point, own: &[Word]) -> Vec<&Word> {
    let changed: BTreeSet<&str> = own.iter().map(Word::id).collect();
    let kept = all().iter().filter(|word| !changed.contains(word.id()));
    let ours = own.iter().map(|word| (word, false));
    let mut words: Vec<_> = ours.chain(kept.map(|word| (word, true))).collect();
    words.sort_by_key(|(word, offered)| {
        (point.distance_squared(word.point), *offered, in_order(word))
    });
    let mut chosen = Chosen::default();
    for (word, _) in words {
        chosen.offer(word);
    }
    // Somebody may have renamed every built-in word to the same text. The plain list helps out.
    let mut rest: Vec<_> = all().iter().collect();
    rest.sort_by_key(|word| (point.distance_squared(word.point), in_order(word)));
    for word in rest {
        chosen.offer(word);
    }
    let mut words = chosen.words;
    words.sort_by_key(|word| point.distance_squared(word.point));
    words
}

/// The words of one family, the liveliest first: a hand's breadth of closer words to choose from.
#[must_use]
pub fn of_family(family: Family, own: &[Word]) -> Vec<&Word> {
    let changed: BTreeSet<&str> = own.iter().map(Word::id).collect();
    let kept = all().iter().filter(|word| !changed.contains(word.id()));
    let words = own.iter().chain(kept);
    let mut words: Vec<_> = words.filter(|word| word.family == Some(family)).collect();
    words.sort_by_key(|word| {
        let point = word.point;
        (
            Reverse(point.arousal()),
            Reverse(point.valence()),
            in_order(word),
        )
    });
    words
}

/// What [`nearest`] has chosen so far.
#[derive(Default)]
struct Chosen<'a> {
    words: Vec<&'a Word>,
    families: BTreeSet<Family>,
    texts: BTreeSet<String>,
}

impl<'a> Chosen<'a> {
    /// Takes the word if there is room for it: the last places wait for families still missing.
    fn offer(&mut self, word: &'a Word) {
        let room = NEAREST.saturating_sub(self.words.len());
        let missing = NEAREST_FAMILIES.saturating_sub(self.families.len());
        let brings_family = word.family.is_some_and(|f| !self.families.contains(&f));
        let taken = self.words.iter().any(|other| other.id == word.id);
        if room == 0 || taken || (room <= missing && !brings_family) {
            return;
        }
        if self.texts.insert(folded(&word.text)) {
            self.families.extend(word.family);
            self.words.push(word);
        }
    }
}

fn built_in(id: &str) -> Option<&'static Word> {
    all().iter().find(|word| word.id == id)
}

/// Settles what would otherwise hang on the order of a list.
fn in_order<'a>(word: &&'a Word) -> (&'a str, &'a str, Point, Option<Family>) {
    (&word.id, &word.text, word.point, word.family)
}

/// Text as it is compared: composed, in lower case, with single spaces.
fn folded(text: &str) -> String {
    let lower: String = text.nfkc().collect::<String>().to_lowercase();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One line of the list: word, valence, arousal, family.
fn parse(line: &str) -> Option<Word> {
    let mut parts = line.split(',');
    let (text, valence, arousal) = (parts.next()?, parts.next()?, parts.next()?);
    let family = parts.next()?.parse::<Family>().ok()?;
    let point = format!("{valence},{arousal}").parse().ok()?;
    Some(Word {
        id: format!("{family}.{text}"),
        text: text.to_owned(),
        point,
        family: Some(family),
    })
}

#[cfg(test)]
mod tests;
