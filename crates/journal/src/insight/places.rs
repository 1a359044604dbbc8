//! *Where have I been?* The points of a period on the affect grid.

use std::collections::BTreeMap;

use super::contour::Density;
use super::exact::{int, median};
use super::plane::Plane;
use super::svg::{Anchor, Paint, Svg};
use super::{
    Felt, Insight, MIDDLE_FROM, Period, Plot, SHOWN_FROM, Table, TooFew, both_in_words, counted,
    sentence, within,
};
use crate::date;
use crate::point::Point;

/// What the plot is called.
pub const NAME: &str = "where-have-i-been";
/// The question it answers.
pub const TITLE: &str = "Where have I been?";
/// Fewer points are drawn as they are.
pub const BANDS_FROM: usize = 12;

const HOW: &str = "Every moment you placed on the grid counts once. Fewer than twelve are drawn as \
    they are. Of more, a soft density is drawn: half of it lies inside the band \"often\", eight \
    tenths reach to the edge of \"sometimes\", and nineteen of twenty parts to the edge of \
    \"rarely\". Nothing is known about the moments you did not note.";

const PLANE: Plane = Plane {
    x: 700,
    y: 240,
    size: 4600,
};
const SIZE: (i32, i32) = (5600, 5640);

/// Draws where somebody's feelings lay. **Own data only.**
#[must_use]
pub fn plot(felt: &[Felt], period: &Period) -> Insight {
    let felt = within(felt, period, |felt| &felt.day);
    let n = felt.len();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let points: Vec<Point> = felt.iter().map(|felt| felt.point).collect();
    let density = (n >= BANDS_FROM).then(|| Density::of(&points));
    let summary = summary(&points, density.as_ref());
    let mut svg = Svg::new(NAME, SIZE, TITLE, &summary);
    PLANE.draw(&mut svg, false);
    match density {
        Some(density) => draw_bands(&mut svg, &density),
        None => draw_points(&mut svg, &points),
    }
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&felt),
        how: HOW,
    }))
}

fn summary(points: &[Point], density: Option<&Density>) -> String {
    let n = counted(points.len(), "moment", "moments");
    if let Some(place) = density.and_then(Density::densest) {
        return format!("Of {n}, the most lie around {}.", place.in_words());
    }
    let across = || points.iter().map(|point| point.valence());
    let up = || points.iter().map(|point| point.arousal());
    if points.len() >= MIDDLE_FROM {
        let middle = |numbers: Vec<i32>| i16::try_from(median(numbers)).ok();
        let middle = middle(across().map(i32::from).collect())
            .zip(middle(up().map(i32::from).collect()))
            .and_then(|(valence, arousal)| Point::new(valence, arousal));
        if let Some(middle) = middle {
            return format!("The middle of {n} is {}.", middle.in_words());
        }
    }
    let ends = |valence: Option<i16>, arousal: Option<i16>| {
        let point = Point::new(valence.unwrap_or(0), arousal.unwrap_or(0));
        point.map(both_in_words).unwrap_or_default()
    };
    let (least, quietest) = ends(across().min(), up().min());
    let (most, liveliest) = ends(across().max(), up().max());
    let range = |from: String, to: String| match from == to {
        true => format!("all {from}"),
        false => format!("from {from} to {to}"),
    };
    let (pleasant, lively) = (range(least, most), range(quietest, liveliest));
    format!("{}: {pleasant}, and {lively}.", sentence(&n))
}

/// The three bands: the widest first, the next on top of it. They differ in tone and in outline.
fn draw_bands(svg: &mut Svg, density: &Density) {
    let bands = [
        (95, "rarely", "0.18", "1.5 4"),
        (80, "sometimes", "0.3", "7 4"),
        (50, "often", "0.55", "none"),
    ];
    let samples = PLANE.y + PLANE.size + 450;
    let left = |name: usize| PLANE.x + 3120 - 1560 * int(name);
    for (band, (share, name, tone, dashes)) in bands.into_iter().enumerate() {
        svg.group()
            .fill(Paint::Mark)
            .set("fill-opacity", tone)
            .stroke(Paint::Mark)
            .set("stroke-linecap", "round")
            .set("stroke-dasharray", dashes)
            .px(&[("stroke-width", 15)])
            .open();
        let outline = density.outline(density.level_around(share), PLANE);
        svg.path(&outline).set("fill-rule", "evenodd").end();
        // A sample lies on those of the wider bands, as the band itself does.
        for sample in band..bands.len() {
            let rect = svg
                .rect((left(sample), samples), (260, 160))
                .px(&[("rx", 50)]);
            let covered = if sample == band {
                rect
            } else {
                rect.set("stroke", "none")
            };
            covered.end();
        }
        svg.close();
        svg.words((left(band) + 340, samples + 130), Anchor::Start, name);
    }
}

/// Each place once, as a ring for every moment there.
fn draw_points(svg: &mut Svg, points: &[Point]) {
    let mut places: BTreeMap<Point, usize> = BTreeMap::new();
    for point in points {
        *places.entry(*point).or_default() += 1;
    }
    svg.group()
        .fill(Paint::Mark)
        .set("fill-opacity", "0.75")
        .stroke(Paint::Paper)
        .px(&[("stroke-width", 15)])
        .open();
    for (point, n) in &places {
        svg.circle(PLANE.place(*point), 60 + 12 * int(*n)).end();
    }
    svg.close();
    let below = PLANE.y + PLANE.size + 590;
    let note = "each dot is a moment, a larger one is several";
    svg.aside((PLANE.x, below), Anchor::Start, note);
}

fn table(felt: &[&Felt]) -> Table {
    let mut cells: BTreeMap<(String, String), (usize, &str)> = BTreeMap::new();
    for felt in felt {
        let cell = cells.entry(both_in_words(felt.point)).or_default();
        *cell = (cell.0 + 1, date::day(&felt.day));
    }
    let mut cells: Vec<_> = cells.into_iter().collect();
    cells.sort_by_key(|(_, (n, _))| *n);
    let rows = cells.into_iter().rev();
    let rows = rows.map(|((pleasant, lively), (n, last))| {
        vec![pleasant, lively, n.to_string(), last.to_owned()]
    });
    let headers = vec!["How pleasant", "How lively", "Times", "Last"];
    Table::new(headers, rows.collect())
}
