//! *Where did my readings differ?* From where I placed the other to where they said they were.

use super::arrows::{self, Arrow};
use super::plane::Plane;
use super::svg::{Anchor, Svg};
use super::{
    Insight, MIDDLE_FROM, Period, Plot, SHOWN_FROM, Table, TooFew, counted, listed, sentence,
    within,
};
use crate::point::Point;
use crate::redacted_debug;

/// What the plot is called.
pub const NAME: &str = "my-readings";
/// The question it answers.
pub const TITLE: &str = "Where did my readings differ?";

const HOW: &str = "Each arrow goes from where you thought they were to where they said they were, \
    for doors whose author showed the point. It is about your readings alone, and nobody else sees \
    it. Most of us guess from our own mood; asking is better than guessing well.";

const PLANE: Plane = Plane {
    x: 700,
    y: 240,
    size: 4600,
};

/// A reflection's point, and the point the author had shown. **Own readings only,** of openings
/// whose author showed theirs; never what the other reads in this person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// The day of the reflection, as in [`crate::date`].
    pub day: String,
    /// Where this person placed the author.
    pub guess: Point,
    /// Where the author said they were.
    pub own: Point,
}

redacted_debug!(Reading);

/// Draws how somebody's readings lay to what was shown. **Own data only,** and only if asked for.
#[must_use]
pub fn plot(readings: &[Reading], period: &Period) -> Insight {
    let readings = within(readings, period, |reading| &reading.day);
    let n = readings.len();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let arrows = readings.iter().map(|reading| Arrow {
        from: reading.guess,
        to: reading.own,
    });
    let arrows: Vec<_> = arrows.collect();
    let summary = summary(&arrows);
    let mut svg = Svg::new(NAME, (5600, 5600), TITLE, &summary);
    PLANE.draw(&mut svg, false);
    arrows::draw(&mut svg, PLANE, &arrows);
    let below = PLANE.y + PLANE.size + 560;
    let note = "from my guess to your own point; a ring is the same place";
    svg.aside((PLANE.x, below), Anchor::Start, note);
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&readings),
        how: HOW,
    }))
}

/// The direction alone: how far, or how often right, is nobody's measure.
fn summary(arrows: &[Arrow]) -> String {
    if arrows.len() < MIDDLE_FROM {
        let n = counted(arrows.len(), "reading", "readings");
        return format!(
            "{}, each an arrow to where you said you were.",
            sentence(&n)
        );
    }
    let (across, up) = arrows::middle_way(arrows);
    let words = arrows::directions(
        (-across, -up),
        ["less happy", "happier"],
        ["calmer", "livelier"],
    );
    match words.is_empty() {
        true => "I lean to neither side in where I place you.".to_owned(),
        false => format!("I tend to place you {} than you are.", listed(&words)),
    }
}

fn table(readings: &[&Reading]) -> Table {
    let rows = readings.iter().map(|reading| {
        vec![
            crate::date::day(&reading.day).to_owned(),
            reading.guess.in_words(),
            reading.own.in_words(),
        ]
    });
    let headers = vec!["Day", "Where I placed you", "Where you were"];
    Table::new(headers, rows.collect())
}
