//! A point on the affect grid: how pleasant, and how much energy (Russell, Weiss and Mendelsohn
//! 1989). The grid has nine columns and nine rows; a point may lie anywhere between.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ends of both scales, in hundredths.
const END: i16 = 100;
/// Hundredths from one cell's middle to the next.
const CELL: i16 = 25;

/// A point on the grid, in hundredths from -100 to 100: whole numbers, so that every device and
/// every drawing agrees to the last digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    valence: i16,
    arousal: i16,
}

/// What was typed is no point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a point is two numbers from -1 to 1: how pleasant, then how much energy, as in -0.4,0.6")]
pub struct NoPoint;

impl Point {
    /// A point from hundredths; `None` outside -100 to 100.
    #[must_use]
    pub fn new(valence: i16, arousal: i16) -> Option<Self> {
        let holds = |n: i16| (-END..=END).contains(&n);
        (holds(valence) && holds(arousal)).then_some(Self { valence, arousal })
    }

    /// How pleasant: -100 (very unpleasant) to 100 (very pleasant).
    #[must_use]
    pub fn valence(self) -> i16 {
        self.valence
    }

    /// How much energy: -100 (very quiet) to 100 (very lively).
    #[must_use]
    pub fn arousal(self) -> i16 {
        self.arousal
    }

    /// Whether it lies on the pleasant side. The middle does not.
    #[must_use]
    pub fn is_pleasant(self) -> bool {
        self.valence > 0
    }

    /// Whether it lies on the unpleasant side. The middle does not.
    #[must_use]
    pub fn is_unpleasant(self) -> bool {
        self.valence < 0
    }

    /// Column and row of the nine by nine grid, each -4 to 4.
    #[must_use]
    pub fn cell(self) -> (i16, i16) {
        let cell = |n: i16| (n + n.signum() * CELL / 2) / CELL;
        (cell(self.valence), cell(self.arousal))
    }

    /// Square of the distance to another point, in hundredths.
    #[must_use]
    pub fn distance_squared(self, other: Self) -> i32 {
        let across = i32::from(self.valence) - i32::from(other.valence);
        let up = i32::from(self.arousal) - i32::from(other.arousal);
        across * across + up * up
    }

    /// The point in words, as on the axes of the grid.
    #[must_use]
    pub fn in_words(self) -> String {
        let (column, row) = self.cell();
        let pleasant = degree(
            column,
            "pleasant",
            "unpleasant",
            "neither pleasant nor unpleasant",
        );
        let lively = degree(row, "lively", "quiet", "neither lively nor quiet");
        format!("{pleasant}, {lively}")
    }
}

fn degree(steps: i16, more: &str, less: &str, middle: &str) -> String {
    let side = if steps > 0 { more } else { less };
    let how = match steps.abs() {
        0 => return middle.to_owned(),
        1 => "a little",
        2 => "fairly",
        3 => "quite",
        _ => "very",
    };
    format!("{how} {side}")
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{},{}",
            Hundredths(self.valence),
            Hundredths(self.arousal)
        )
    }
}

/// A number of hundredths as people write it.
struct Hundredths(i16);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let n = self.0.unsigned_abs();
        match (n / 100, n % 100) {
            (whole, 0) => write!(f, "{sign}{whole}"),
            (whole, rest) if rest % 10 == 0 => write!(f, "{sign}{whole}.{}", rest / 10),
            (whole, rest) => write!(f, "{sign}{whole}.{rest:02}"),
        }
    }
}

impl FromStr for Point {
    type Err = NoPoint;

    fn from_str(typed: &str) -> Result<Self, NoPoint> {
        let (valence, arousal) = typed.split_once(',').ok_or(NoPoint)?;
        let point = Self::new(hundredths(valence)?, hundredths(arousal)?);
        point.ok_or(NoPoint)
    }
}

/// `-0.4` as -40. More than two digits are more than a hand can mean, and are refused.
fn hundredths(typed: &str) -> Result<i16, NoPoint> {
    let typed = typed.trim();
    let (negative, number) = match typed.strip_prefix(['-', '\u{2212}']) {
        Some(number) => (true, number),
        None => (false, typed.strip_prefix('+').unwrap_or(typed)),
    };
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    let whole = if whole.is_empty() { "0" } else { whole };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if number.is_empty()
        || whole.len() > 1
        || rest.is_empty()
        || rest.len() > 2
        || !digits(whole)
        || !digits(rest)
    {
        return Err(NoPoint);
    }
    let rest = format!("{rest:0<2}");
    let number = format!("{whole}{rest}")
        .parse::<i16>()
        .map_err(|_| NoPoint)?;
    Ok(if negative { -number } else { number })
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.valence, self.arousal].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [valence, arousal] = <[i16; 2]>::deserialize(deserializer)?;
        Self::new(valence, arousal).ok_or_else(|| serde::de::Error::custom(NoPoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_and_written_as_people_do() {
        for (typed, written) in [
            ("-0.4,0.6", "-0.4,0.6"),
            (" 1 , -1.00", "1,-1"),
            ("+.05,0", "0.05,0"),
            ("0.25,-0.5", "0.25,-0.5"),
        ] {
            assert_eq!(typed.parse::<Point>().unwrap().to_string(), written);
        }
        for wrong in [
            "", "1", "1,", "1.01,0", "a,b", "0,2", "0.123,0", "1,1,1", "0.,0", "--1,0",
        ] {
            assert_eq!(wrong.parse::<Point>(), Err(NoPoint), "{wrong}");
        }
    }

    #[test]
    fn a_point_says_in_words_where_it_is() {
        let words = |typed: &str| typed.parse::<Point>().unwrap().in_words();
        assert_eq!(words("-0.5,0.75"), "fairly unpleasant, quite lively");
        assert_eq!(
            words("0.12,-1"),
            "neither pleasant nor unpleasant, very quiet"
        );
        assert_eq!(
            words("0.13,0"),
            "a little pleasant, neither lively nor quiet"
        );
    }

    #[test]
    fn cells_are_nine_by_nine_and_even() {
        let mut counts = std::collections::BTreeMap::new();
        for n in -END..=END {
            *counts
                .entry(Point::new(n, 0).unwrap().cell().0)
                .or_insert(0) += 1;
        }
        assert_eq!(
            counts.keys().copied().collect::<Vec<_>>(),
            (-4..=4).collect::<Vec<_>>()
        );
        assert_eq!(Point::new(100, -100).unwrap().cell(), (4, -4));
    }

    #[test]
    fn what_is_out_of_the_grid_is_no_point() {
        assert!(serde_json::from_str::<Point>("[-40,60]").is_ok());
        for wrong in ["[101,0]", "[0]", "\"0,0\"", "[0.5,0]", "[0,0,0]"] {
            assert!(serde_json::from_str::<Point>(wrong).is_err(), "{wrong}");
        }
    }
}
