//! Arrows on the affect grid.

use std::collections::BTreeMap;

use super::exact::{int, median, round};
use super::plane::Plane;
use super::svg::{Paint, Path, Svg};
use crate::point::Point;

/// More different arrows than this are gathered by the cells of the grid.
const SINGLE_MAX: usize = 200;
/// Most arrows drawn after that, the commonest.
const DRAWN_MAX: usize = 300;
/// Hundredths from which on a direction is told: half a cell of the grid.
const TOLD_FROM: i32 = 12;

/// From one point to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrow {
    pub(super) from: Point,
    pub(super) to: Point,
}

/// Which way the arrows point in the middle: hundredths across and up.
pub(super) fn middle_way(arrows: &[Arrow]) -> (i32, i32) {
    let way = |side: fn(Point) -> i16| {
        let ways = arrows.iter();
        median(
            ways.map(|a| i32::from(side(a.to)) - i32::from(side(a.from)))
                .collect(),
        )
    };
    (way(Point::valence), way(Point::arousal))
}

/// One word for each direction that is long enough to tell: across, then up.
pub(super) fn directions(
    (across, up): (i32, i32),
    [left, right]: [&'static str; 2],
    [down, above]: [&'static str; 2],
) -> Vec<&'static str> {
    let word = |n: i32, less, more| match n {
        n if n <= -TOLD_FROM => Some(less),
        n if n >= TOLD_FROM => Some(more),
        _ => None,
    };
    let words = [word(across, left, right), word(up, down, above)];
    words.into_iter().flatten().collect()
}

/// Draws all arrows; equal ones once and a little thicker.
pub(super) fn draw(svg: &mut Svg, plane: Plane, arrows: &[Arrow]) {
    let mut counts: BTreeMap<Arrow, usize> = BTreeMap::new();
    for arrow in arrows {
        *counts.entry(*arrow).or_default() += 1;
    }
    if counts.len() > SINGLE_MAX {
        let cells = counts;
        counts = BTreeMap::new();
        for (arrow, n) in cells {
            let (from, to) = (cell_middle(arrow.from), cell_middle(arrow.to));
            *counts.entry(Arrow { from, to }).or_default() += n;
        }
    }
    let mut common: Vec<_> = counts.into_iter().collect();
    common.sort_by_key(|(arrow, n)| (std::cmp::Reverse(*n), *arrow));
    common.truncate(DRAWN_MAX);
    let faint = if common.len() > 40 { "0.65" } else { "0.85" };
    svg.group()
        .stroke(Paint::Mark)
        .set("stroke-opacity", faint)
        .set("stroke-linecap", "round")
        .set("stroke-linejoin", "round")
        .set("fill", "none")
        .open();
    for (arrow, n) in common {
        let (from, to) = (plane.place(arrow.from), plane.place(arrow.to));
        let thick = (12 + 2 * int(n)).min(30);
        one(svg, from, to, 80).px(&[("stroke-width", thick)]).end();
    }
    svg.close();
}

/// Draws the middle arrow, bold, with an edge that parts it from those below.
pub(super) fn draw_middle(svg: &mut Svg, plane: Plane, arrows: &[Arrow]) {
    let start = |side: fn(Point) -> i16| {
        median(
            arrows
                .iter()
                .map(|arrow| i32::from(side(arrow.from)))
                .collect(),
        )
    };
    let (across, up) = (start(Point::valence), start(Point::arousal));
    let (right, above) = middle_way(arrows);
    let end = |n: i32| n.clamp(-100, 100);
    let (from, to) = (
        plane.at(across, up),
        plane.at(end(across + right), end(up + above)),
    );
    for (paint, width) in [(Paint::Paper, 90), (Paint::Warm, 44)] {
        one(svg, from, to, 150)
            .set("fill", "none")
            .stroke(paint)
            .px(&[("stroke-width", width)])
            .set("stroke-linecap", "round")
            .set("stroke-linejoin", "round")
            .end();
    }
}

/// A line with two barbs at its end, or a ring where nothing moved.
fn one<'a>(svg: &'a mut Svg, from: (i32, i32), to: (i32, i32), barb: i32) -> super::svg::Tag<'a> {
    let (across, down) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = (across * across + down * down).sqrt();
    if length < 1.0 {
        return svg.circle(from, barb / 2);
    }
    let barb = f64::from(barb).min(length * 0.6);
    let (x, y) = (across / length * barb, down / length * barb);
    // Barbs stand off the line by some thirty degrees.
    let side = |turn: f64| {
        let (x, y) = (x * 0.87 - y * turn, y * 0.87 + x * turn);
        (to.0 - round(x), to.1 - round(y))
    };
    let ((left_x, left_y), (right_x, right_y)) = (side(0.5), side(-0.5));
    let path = Path::default().to(from.0, from.1).line(to.0, to.1);
    svg.path(
        &path
            .to(left_x, left_y)
            .line(to.0, to.1)
            .line(right_x, right_y),
    )
}

fn cell_middle(point: Point) -> Point {
    let (column, row) = point.cell();
    Point::new(column * 25, row * 25).unwrap_or(point)
}
