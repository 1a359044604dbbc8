//! *What have we told each other?* The map as a flower: a petal for each theme, a ring for each
//! depth, a spot for each question.

use std::collections::BTreeMap;

use super::exact::{int, round, sin_cos};
use super::svg::{Anchor, Paint, Path, Svg};
use super::{Insight, Period, Plot, SHOWN_FROM, Table, TooFew, listed};
use crate::questions::{Depth, Theme, Told};
use crate::redacted_debug;
use crate::text::displayable_line;

const HOW: &str = "A petal is a theme, and the questions go deeper from the middle outwards. A \
    full spot was told and is recent, a half-open one was told so long ago that it may have \
    changed, and an empty ring was not told yet. Nothing is to be completed here.";

const SIZE: (i32, i32) = (6400, 6260);
const MIDDLE: (i32, i32) = (3200, 2860);
/// Steps of a whole turn in which angles are given.
const TURN: i32 = 3600;
/// Distance of the two rows of spots of each ring from the middle, and how many fit.
const ROWS: [[(i32, usize); 2]; 3] = [
    [(640, 2), (880, 4)],
    [(1220, 5), (1450, 6)],
    [(1790, 6), (2020, 5)],
];
/// Distance of two spots of a row.
const SPOT_STEP: i32 = 175;
/// Half-width of a spot.
const SPOT: i32 = 62;
/// Outer end of the petals.
const TIP: i32 = 2330;

/// Whose answers a map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// What the person who looks told about themselves.
    Mine,
    /// What the other told.
    Theirs,
}

impl Whose {
    /// What the plot is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mine => "map-mine",
            Self::Theirs => "map-theirs",
        }
    }

    /// The question it answers.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Mine => "What have I told you?",
            Self::Theirs => "What have you told me?",
        }
    }
}

/// A question and where its answer stands. **Shared answers only** for the other's map; for one's
/// own, kept answers may count as told, as nobody else sees it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// What it is about.
    pub theme: Theme,
    /// How near it comes.
    pub depth: Depth,
    /// Where the answer stands ([`crate::questions::told`]).
    pub told: Told,
    /// The day it was last told, as in [`crate::date`].
    pub on: Option<String>,
    /// The question.
    pub text: String,
}

redacted_debug!(Spot);

/// Draws a map. The period only says for which days it stands; nothing is left out by it.
#[must_use]
pub fn plot(spots: &[Spot], whose: Whose, period: &Period) -> Insight {
    let (name, title) = (whose.name(), whose.title());
    let n = spots.len();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name,
            title,
            n,
            needed: SHOWN_FROM,
        });
    }
    let mut spots: Vec<_> = spots.iter().collect();
    spots.sort();
    let summary = summary(&spots);
    let mut svg = Svg::new(name, SIZE, title, &summary);
    for (petal, theme) in Theme::ALL.into_iter().enumerate() {
        draw_petal(&mut svg, int(petal) * TURN / 8);
        for (depth, rows) in Depth::ALL.into_iter().zip(ROWS) {
            let of: Vec<_> = spots
                .iter()
                .filter(|spot| spot.theme == theme && spot.depth == depth)
                .map(|spot| spot.told)
                .collect();
            draw_spots(&mut svg, int(petal) * TURN / 8, rows, &of);
        }
        draw_name(&mut svg, int(petal) * TURN / 8, theme);
    }
    svg.circle(MIDDLE, 300)
        .fill(Paint::MarkTint)
        .stroke(Paint::Mark)
        .end();
    draw_key(&mut svg);
    Insight::Plot(Box::new(Plot {
        name,
        title,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&spots),
        how: HOW,
    }))
}

/// Where something lies at an angle from the top, this far out and to the side.
fn at(angle: i32, out: i32, side: i32) -> (i32, i32) {
    let (sin, cos) = sin_cos(angle, TURN);
    let (out, side) = (f64::from(out), f64::from(side));
    (
        MIDDLE.0 + round(out * sin + side * cos),
        MIDDLE.1 - round(out * cos - side * sin),
    )
}

fn draw_petal(svg: &mut Svg, angle: i32) {
    let low = |side: i32| at(angle, 700, side * 330);
    let start = at(angle, 260, 0);
    let tip = at(angle, TIP, 0);
    let wide = |side: i32| at(angle, 1560, side * 640);
    let round_tip = |side: i32| (at(angle, 2000, side * 700), at(angle, TIP, side * 420));
    let (left, right) = (round_tip(-1), round_tip(1));
    let outline = Path::default()
        .to(start.0, start.1)
        .curve(low(-1), at(angle, 1180, -570), wide(-1))
        .curve(left.0, left.1, tip)
        .curve(right.1, right.0, wide(1))
        .curve(at(angle, 1180, 570), low(1), start)
        .close();
    svg.path(&outline)
        .fill(Paint::Paper)
        .stroke(Paint::Axis)
        .px(&[("stroke-width", 12)])
        .end();
    // The rings are parted by arcs.
    svg.group()
        .set("fill", "none")
        .stroke(Paint::Line)
        .px(&[("stroke-width", 12)])
        .open();
    for (out, half) in [(1050, 360), (1620, 560)] {
        let (from, to) = (at(angle, out, -half), at(angle, out, half));
        let bend = |side| at(angle, out + half / 4, side * half / 3);
        let arc = Path::default()
            .to(from.0, from.1)
            .curve(bend(-1), bend(1), to);
        svg.path(&arc).end();
    }
    svg.close();
}

/// The spots of one ring in two rows; what does not fit is in the table.
fn draw_spots(svg: &mut Svg, angle: i32, rows: [(i32, usize); 2], told: &[Told]) {
    let [inner, outer] = rows;
    let room = inner.1 + outer.1;
    let shown = told.len().min(room);
    let first = (shown / 2).min(inner.1).max(shown.saturating_sub(outer.1));
    let first = if shown <= outer.1.min(3) { 0 } else { first };
    // A single row stands in the middle of its ring.
    let out = if first == 0 {
        (inner.0 + outer.0) / 2
    } else {
        outer.0
    };
    for (out, told) in [
        (inner.0, told.iter().take(first).collect::<Vec<_>>()),
        (out, told.iter().take(shown).skip(first).collect()),
    ] {
        let half = (int(told.len()) - 1) * SPOT_STEP / 2;
        for (n, told) in told.into_iter().enumerate() {
            // Spots lie on a circle around the middle of the flower: the outer ones a little lower.
            let side = int(n) * SPOT_STEP - half;
            let lower = side * side / (2 * out.max(1));
            draw_spot(svg, at(angle, out - lower, side), *told);
        }
    }
}

fn draw_spot(svg: &mut Svg, (x, y): (i32, i32), told: Told) {
    match told {
        Told::Current => {
            svg.circle((x, y), SPOT)
                .fill(Paint::Warm)
                .stroke(Paint::Warm)
                .px(&[("stroke-width", 14)])
                .end();
        }
        Told::Ageing => {
            svg.circle((x, y), SPOT)
                .fill(Paint::WarmTint)
                .stroke(Paint::Warm)
                .px(&[("stroke-width", 18)])
                .set("stroke-dasharray", "2.6 2.6")
                .end();
            svg.circle((x, y), SPOT / 3).fill(Paint::Warm).end();
        }
        Told::Hollow => {
            svg.circle((x, y), SPOT)
                .fill(Paint::Paper)
                .stroke(Paint::Axis)
                .px(&[("stroke-width", 10)])
                .end();
        }
    }
}

/// The theme's name beyond its petal, in two lines when it is long.
fn draw_name(svg: &mut Svg, angle: i32, theme: Theme) {
    let (x, y) = at(angle, TIP + 150, 0);
    let anchor = match x - MIDDLE.0 {
        ..-300 => Anchor::End,
        -300..=300 => Anchor::Middle,
        301.. => Anchor::Start,
    };
    let name = theme.name();
    let lines: Vec<&str> = match name.split_once(" and ") {
        Some((first, _)) if anchor != Anchor::Middle => {
            let (first, rest) = name.split_at(first.len());
            vec![first, rest.trim_start()]
        }
        _ => vec![name],
    };
    let up = match y - MIDDLE.1 {
        ..-300 => int(lines.len() - 1) * 180,
        -300..=300 => int(lines.len() - 1) * 90 - 50,
        301.. => -110,
    };
    for (n, line) in lines.into_iter().enumerate() {
        svg.words((x, y - up + int(n) * 180), anchor, line);
    }
}

fn draw_key(svg: &mut Svg) {
    let y = SIZE.1 - 250;
    for (x, told, text) in [
        (700, Told::Current, "told"),
        (2100, Told::Ageing, "told a while ago"),
        (4450, Told::Hollow, "not told yet"),
    ] {
        draw_spot(svg, (x, y), told);
        svg.words((x + 150, y + 50), Anchor::Start, text);
    }
}

/// Which themes have something, in words: there is no count to raise.
fn summary(spots: &[&Spot]) -> String {
    let mut themes: BTreeMap<Theme, Vec<Told>> = BTreeMap::new();
    for spot in spots {
        themes.entry(spot.theme).or_default().push(spot.told);
    }
    let with = |wanted: fn(&[Told]) -> bool| {
        let themes = themes.iter().filter(|(_, told)| wanted(told));
        themes.map(|(theme, _)| theme.name()).collect::<Vec<_>>()
    };
    let told = with(|told| told.iter().any(|told| *told != Told::Hollow));
    let ageing = with(|told| told.contains(&Told::Ageing));
    let told = match (told.len(), themes.len()) {
        (0, _) => "Nothing is told yet".to_owned(),
        (some, all) if some == all => "Something is told in every theme".to_owned(),
        _ => format!("Something is told of {}", listed(&told)),
    };
    match ageing.is_empty() {
        true => format!("{told}."),
        false => format!("{told}; worth asking again: {}.", listed(&ageing)),
    }
}

fn table(spots: &[&Spot]) -> Table {
    let rows = spots.iter().map(|spot| {
        let told = match spot.told {
            Told::Current => "told",
            Told::Ageing => "told a while ago",
            Told::Hollow => "not told yet",
        };
        vec![
            spot.theme.name().to_owned(),
            spot.depth.number().to_string(),
            displayable_line(&spot.text),
            told.to_owned(),
            spot.on
                .as_deref()
                .map(crate::date::day)
                .unwrap_or_default()
                .to_owned(),
        ]
    });
    let headers = vec!["Theme", "Depth", "Question", "State", "Last told"];
    Table::new(headers, rows.collect())
}
