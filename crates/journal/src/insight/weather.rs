//! *What was our weather?* The points of days when both chose to show theirs.

use std::collections::BTreeSet;

use super::ribbon::{LEFT, RIGHT, Ribbon, time_axis};
use super::svg::{Anchor, Paint, Path, Svg};
use super::{
    Insight, Period, Plot, SHOWN_FROM, Table, TooFew, both_in_words, counted, label, within,
};
use crate::date;
use crate::point::Point;
use crate::redacted_debug;

/// What the plot is called.
pub const NAME: &str = "shared-weather";
/// The question it answers.
pub const TITLE: &str = "What was our weather?";

const HOW: &str = "Only days on which both of you placed a point and showed it to each other. Each \
    of you has a shape of their own. Nothing is drawn between the two, and nothing is made of how \
    near or far they are. Either of you can switch this off for both.";

/// More days than this are drawn once for each narrow column and cell of the grid.
const DAYS_MAX: usize = 400;
/// Width of such a column, in tenths.
const COLUMN: i32 = 40;
const SIZE: (i32, i32) = (5600, 4400);
const PLEASANT: Ribbon = Ribbon {
    y: 560,
    height: 1500,
    ends: ["pleasant", "unpleasant"],
};
const LIVELY: Ribbon = Ribbon {
    y: 2360,
    height: 1500,
    ends: ["lively", "quiet"],
};

/// A day on which both showed their point. **Shared points only:** a day on which one of them did
/// not must not be handed in, nor a point either kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedWeather {
    /// The day, as in [`crate::date`].
    pub day: String,
    /// The point of the one who looks.
    pub mine: Point,
    /// The other's.
    pub theirs: Point,
}

redacted_debug!(SharedWeather);

/// Draws the weather both showed, under the two names. **Shared points only.**
#[must_use]
pub fn plot(days: &[SharedWeather], names: [&str; 2], period: &Period) -> Insight {
    let days = within(days, period, |weather| &weather.day);
    let n = days.len();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let names = names.map(label);
    let summary = summary(&days);
    let mut svg = Svg::new(NAME, SIZE, TITLE, &summary);
    draw_names(&mut svg, &names);
    for (ribbon, side) in [
        (PLEASANT, Point::valence as fn(Point) -> i16),
        (LIVELY, Point::arousal),
    ] {
        ribbon.draw(&mut svg);
        let place = |weather: &SharedWeather, point: Point| {
            let x = period.place(&weather.day, LEFT, RIGHT)?;
            Some((x, ribbon.place(side(point))))
        };
        let mine = days.iter().filter_map(|day| place(day, day.mine));
        let theirs = days.iter().filter_map(|day| place(day, day.theirs));
        let [mine, theirs] = [
            apart(mine.collect(), ribbon),
            apart(theirs.collect(), ribbon),
        ];
        let small = n > 60;
        marks(&mut svg, Paint::Cool, &theirs, |svg, place| {
            diamond(svg, place, small)
        });
        marks(&mut svg, Paint::Warm, &mine, |svg, place| {
            circle(svg, place, small)
        });
    }
    time_axis(&mut svg, period, LIVELY.y + LIVELY.height + 120);
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&days),
        how: HOW,
    }))
}

/// Every place once; of very many one for each column and cell.
fn apart(places: Vec<(i32, i32)>, ribbon: Ribbon) -> BTreeSet<(i32, i32)> {
    let crowded = places.len() > DAYS_MAX;
    let cell = ribbon.height / 16;
    let place = |(x, y): (i32, i32)| match crowded {
        true => (
            x / COLUMN * COLUMN,
            ribbon.y + (y - ribbon.y + cell / 2) / cell * cell,
        ),
        false => (x, y),
    };
    places.into_iter().map(place).collect()
}

fn marks(
    svg: &mut Svg,
    paint: Paint,
    places: &BTreeSet<(i32, i32)>,
    mark: impl Fn(&mut Svg, (i32, i32)),
) {
    svg.group()
        .stroke(paint)
        .fill(Paint::Paper)
        .set("fill-opacity", "0.6")
        .px(&[("stroke-width", 16)])
        .open();
    for place in places {
        mark(svg, *place);
    }
    svg.close();
}

fn circle(svg: &mut Svg, place: (i32, i32), small: bool) {
    svg.circle(place, if small { 24 } else { 40 }).end();
}

fn diamond(svg: &mut Svg, (x, y): (i32, i32), small: bool) {
    let r = if small { 32 } else { 52 };
    let path = Path::default().to(x, y - r).line(x + r, y).line(x, y + r);
    svg.path(&path.line(x - r, y).close()).end();
}

fn draw_names(svg: &mut Svg, [mine, theirs]: &[String; 2]) {
    let y = 240;
    let one = |at| BTreeSet::from([at]);
    marks(svg, Paint::Warm, &one((LEFT + 40, y)), |svg, at| {
        circle(svg, at, false)
    });
    svg.words((LEFT + 150, y + 50), Anchor::Start, mine);
    marks(svg, Paint::Cool, &one((LEFT + 2240, y)), |svg, at| {
        diamond(svg, at, false)
    });
    svg.words((LEFT + 2350, y + 50), Anchor::Start, theirs);
}

/// The range of both together: there is nobody to be above or below.
fn summary(days: &[&SharedWeather]) -> String {
    let points = || days.iter().flat_map(|day| [day.mine, day.theirs]);
    let range = |side: fn(&Point) -> i16, part: fn(Point) -> String| {
        let ends = points().min_by_key(side).zip(points().max_by_key(side));
        match ends.map(|(least, most)| (part(least), part(most))) {
            Some((low, high)) if low != high => format!("between {low} and {high}"),
            Some((same, _)) => format!("always {same}"),
            None => String::new(),
        }
    };
    let pleasant = range(|point| point.valence(), |point| both_in_words(point).0);
    let lively = range(|point| point.arousal(), |point| both_in_words(point).1);
    let n = counted(days.len(), "day", "days");
    format!("On {n} you both showed your weather: {pleasant}, and {lively}.")
}

fn table(days: &[&SharedWeather]) -> Table {
    let rows = days.iter().map(|weather| {
        vec![
            date::day(&weather.day).to_owned(),
            weather.mine.in_words(),
            weather.theirs.in_words(),
        ]
    });
    Table::new(vec!["Day", "Me", "You"], rows.collect())
}
