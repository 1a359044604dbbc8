//! Where points lie dense: a kernel density on a fixed lattice, and the outlines of its bands.
//!
//! The points are first counted by hundredths, so that neither their order nor their number
//! matters to how the sums come out.

use std::collections::BTreeMap;

use super::exact::{exp_minus, int, round, sixth_root};
use super::plane::Plane;
use super::svg::Path;
use crate::point::Point;

/// Steps of the lattice along each side.
const STEPS: i32 = 64;
/// Hundredths along each side.
const SIDE: i32 = 200;
/// Smallest width of the kernel, in hundredths: less would show the hand, not the feeling.
const WIDTH_MIN: f64 = 12.0;

/// How densely points lie, at the crossings of a lattice over the grid.
pub(super) struct Density {
    /// Row by row from the quiet end, each from the unpleasant one.
    rows: Vec<Vec<f64>>,
}

impl Density {
    /// The density of points with a Gaussian kernel, as wide as Silverman's rule says for two
    /// dimensions and never narrower than [`WIDTH_MIN`].
    pub(super) fn of(points: &[Point]) -> Self {
        let width = width(points);
        let kernel = |at: i32, step: i32| {
            let apart = (f64::from(at) - f64::from(step * SIDE) / f64::from(STEPS)) / width;
            exp_minus(apart * apart / 2.0)
        };
        let mut counts: BTreeMap<i32, BTreeMap<i32, f64>> = BTreeMap::new();
        for point in points {
            let (across, up) = (
                i32::from(point.valence()) + 100,
                i32::from(point.arousal()) + 100,
            );
            *counts.entry(up).or_default().entry(across).or_default() += 1.0;
        }
        // A Gaussian of two dimensions is one of each: first along, then up.
        let along: BTreeMap<i32, Vec<f64>> = counts
            .into_iter()
            .map(|(up, row)| {
                let sum = |step| row.iter().map(|(at, n)| n * kernel(*at, step)).sum();
                (up, (0..=STEPS).map(sum).collect())
            })
            .collect();
        let mut rows = Vec::new();
        for step in 0..=STEPS {
            let mut row = vec![0.0; STEPS as usize + 1];
            for (up, sums) in &along {
                let weight = kernel(*up, step);
                for (sum, part) in row.iter_mut().zip(sums) {
                    *sum += weight * part;
                }
            }
            rows.push(row);
        }
        Self { rows }
    }

    /// The level above which this share, in hundredths, of all that is drawn lies.
    pub(super) fn level_around(&self, share: u32) -> f64 {
        let mut all: Vec<f64> = self.rows.iter().flatten().copied().collect();
        all.sort_by(|a, b| b.total_cmp(a));
        let wanted = all.iter().sum::<f64>() * f64::from(share) / 100.0;
        let mut sum = 0.0;
        for level in all {
            sum += level;
            if sum >= wanted {
                return level;
            }
        }
        0.0
    }

    /// Where it is densest.
    pub(super) fn densest(&self) -> Option<Point> {
        let mut best: Option<(f64, i32, i32)> = None;
        for (up, row) in self.rows.iter().enumerate() {
            for (across, level) in row.iter().enumerate() {
                if best.is_none_or(|(most, ..)| *level > most) {
                    best = Some((*level, int(across), int(up)));
                }
            }
        }
        let (_, across, up) = best?;
        let hundredths = |step: i32| i16::try_from(step * SIDE / STEPS - 100).ok();
        Point::new(hundredths(across)?, hundredths(up)?)
    }

    /// The outline of everything above a level, as closed lines on a plane. Along the edge of the
    /// grid it follows the edge.
    pub(super) fn outline(&self, level: f64, plane: Plane) -> Path {
        let mut path = Path::default();
        for line in self.loops(level) {
            let mut places = line
                .into_iter()
                .map(|edge| self.crossing(edge, level, plane));
            if let Some((x, y)) = places.next() {
                let mut last = (x, y);
                path = path.to(x, y);
                for place in places {
                    if place != last {
                        path = path.line(place.0, place.1);
                    }
                    last = place;
                }
                path = path.close();
            }
        }
        path
    }

    /// The level at a crossing. Around the lattice runs one row of nothing, which closes lines.
    fn at(&self, across: i32, up: i32) -> f64 {
        let row = usize::try_from(up).ok().and_then(|up| self.rows.get(up));
        let level = row.zip(usize::try_from(across).ok());
        level
            .and_then(|(row, across)| row.get(across))
            .copied()
            .unwrap_or(0.0)
    }

    /// Closed lines around what is above the level, each as the edges of the lattice it crosses.
    /// Every edge is left to one side only, with the higher ground on the left.
    fn loops(&self, level: f64) -> Vec<Vec<Edge>> {
        let mut next: BTreeMap<Edge, Edge> = BTreeMap::new();
        for up in -1..=STEPS {
            for across in -1..=STEPS {
                next.extend(self.through(across, up, level));
            }
        }
        let mut loops = Vec::new();
        while let Some((first, mut edge)) = next.pop_first() {
            let mut line = vec![first];
            while edge != first {
                line.push(edge);
                let Some(following) = next.remove(&edge) else {
                    break;
                };
                edge = following;
            }
            loops.push(line);
        }
        loops
    }

    /// The lines through one square of the lattice, each from the edge it enters by to the one it
    /// leaves by.
    fn through(&self, across: i32, up: i32, level: f64) -> Vec<(Edge, Edge)> {
        let corners = [(0, 0), (1, 0), (1, 1), (0, 1)];
        let levels = corners.map(|(x, y)| self.at(across + x, up + y));
        let [a, b, c, d] = levels.map(|corner| corner > level);
        let south = Edge::new(across, up, true);
        let north = Edge::new(across, up + 1, true);
        let west = Edge::new(across, up, false);
        let east = Edge::new(across + 1, up, false);
        // Where two opposite corners are high, the middle decides whether they touch.
        let touch = levels.iter().sum::<f64>() / 4.0 > level;
        match (a, b, c, d) {
            (false, false, false, false) | (true, true, true, true) => vec![],
            (true, false, false, false) => vec![(south, west)],
            (false, true, false, false) => vec![(east, south)],
            (false, false, true, false) => vec![(north, east)],
            (false, false, false, true) => vec![(west, north)],
            (true, true, false, false) => vec![(east, west)],
            (false, true, true, false) => vec![(north, south)],
            (false, false, true, true) => vec![(west, east)],
            (true, false, false, true) => vec![(south, north)],
            (false, true, true, true) => vec![(west, south)],
            (true, false, true, true) => vec![(south, east)],
            (true, true, false, true) => vec![(east, north)],
            (true, true, true, false) => vec![(north, west)],
            (true, false, true, false) if touch => vec![(south, east), (north, west)],
            (true, false, true, false) => vec![(south, west), (north, east)],
            (false, true, false, true) if touch => vec![(west, south), (east, north)],
            (false, true, false, true) => vec![(east, south), (west, north)],
        }
    }

    /// Where the level lies on an edge, on the plane.
    fn crossing(&self, edge: Edge, level: f64, plane: Plane) -> (i32, i32) {
        let (across, up) = (edge.across, edge.up);
        let (to_across, to_up) = if edge.along {
            (across + 1, up)
        } else {
            (across, up + 1)
        };
        let (from, to) = (self.at(across, up), self.at(to_across, to_up));
        let part = if from == to {
            0.5
        } else {
            (level - from) / (to - from)
        };
        let between = |a: i32, b: i32| {
            let (a, b) = (f64::from(a.clamp(0, STEPS)), f64::from(b.clamp(0, STEPS)));
            (a + (b - a) * part) * f64::from(plane.size) / f64::from(STEPS)
        };
        let (x, y) = (between(across, to_across), between(up, to_up));
        (plane.x + round(x), plane.y + plane.size - round(y))
    }
}

/// An edge of the lattice, from a crossing along or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    up: i32,
    across: i32,
    along: bool,
}

impl Edge {
    fn new(across: i32, up: i32, along: bool) -> Self {
        Self { up, across, along }
    }
}

/// The kernel's width in hundredths.
fn width(points: &[Point]) -> f64 {
    let n = f64::from(int(points.len()).max(1));
    let spread = |of: fn(Point) -> i16| {
        let (mut sum, mut squares) = (0_i64, 0_i64);
        for point in points {
            let x = i64::from(of(*point));
            sum += x;
            squares += x * x;
        }
        let whole = |n: i64| f64::from(i32::try_from(n).unwrap_or(i32::MAX));
        let mean = whole(sum) / n;
        (squares as f64 / n - mean * mean).max(0.0)
    };
    let spread = ((spread(Point::valence) + spread(Point::arousal)) / 2.0).sqrt();
    (spread / sixth_root(n)).max(WIDTH_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: Plane = Plane {
        x: 0,
        y: 0,
        size: 2000,
    };

    fn points(all: &[(i16, i16)]) -> Vec<Point> {
        all.iter()
            .map(|(v, a)| Point::new(*v, *a).unwrap())
            .collect()
    }

    #[test]
    fn the_densest_place_is_where_the_points_are() {
        let points = points(&[(50, -50), (50, -50), (52, -48), (-80, 80)]);
        let density = Density::of(&points);
        let at = density.densest().unwrap();
        assert!(at.distance_squared(Point::new(50, -50).unwrap()) < 20);
        assert!(density.level_around(50) > density.level_around(95));
    }

    #[test]
    fn two_heaps_have_two_outlines_closed_even_in_the_corners() {
        let mut heaps = vec![Point::new(96, 96).unwrap(); 4000];
        heaps.resize(8000, Point::new(-96, -96).unwrap());
        let density = Density::of(&heaps);
        let level = density.level_around(50);
        let loops = density.loops(level);
        assert_eq!(loops.len(), 2);
        for line in &loops {
            for edge in line {
                let (x, y) = density.crossing(*edge, level, PLANE);
                assert!((0..=2000).contains(&x) && (0..=2000).contains(&y));
            }
        }
    }

    #[test]
    fn one_place_many_times_has_the_narrowest_kernel() {
        assert_eq!(width(&[Point::new(30, 30).unwrap(); 50]), WIDTH_MIN);
        assert_eq!(width(&[]), WIDTH_MIN);
    }
}
