//! *Where in the body?* A figure of our own, each place shaded by its mean change.

use std::collections::BTreeMap;

use super::exact::int;
use super::svg::{Anchor, Paint, Path, Px, Svg};
use super::{Insight, Period, Plot, SHOWN_FROM, Table, TooFew, counted, listed, sentence, within};
use crate::date;
use crate::layers::Region;
use crate::redacted_debug;

/// What the plot is called.
pub const NAME: &str = "where-in-the-body";
/// The question it answers.
pub const TITLE: &str = "Where in the body?";

const HOW: &str = "Each place is shaded by the mean of the changes you marked there: from much \
    less to much more than usual. A place marked fewer than four times is hatched, as little is \
    known of it. Places you never marked stay white.";

/// Change goes from minus this to this.
const CHANGE_MAX: i8 = 2;
const SIZE: (i32, i32) = (5600, 4900);
/// Middles of the two figures, from the front and from behind, and their crowns.
const FRONT: i32 = 900;
const BEHIND: i32 = 4700;
const TOP: i32 = 200;
/// Size of a figure in hundredths of what the places are measured in.
const SCALE: i32 = 86;
/// Left end of the names between them, and height of one.
const NAMES: i32 = 1860;
const ROW: i32 = 275;

/// One place in the body, marked in one record. **Own data only.**
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyMark {
    /// The day, as in [`crate::date`].
    pub day: String,
    /// Where.
    pub region: Region,
    /// How it changed, from -2 (much less) to 2 (much more). Others are left out.
    pub change: i8,
}

redacted_debug!(BodyMark);

/// What is known of one place.
#[derive(Clone, Copy, Default)]
struct Marks<'a> {
    sum: i32,
    count: usize,
    last: &'a str,
}

impl Marks<'_> {
    /// The mean change, as a whole step.
    fn mean(self) -> i32 {
        let n = int(self.count).max(1);
        (2 * self.sum.abs() + n) / (2 * n) * self.sum.signum()
    }

    fn in_words(self) -> &'static str {
        match self.mean() {
            ..=-2 => "much less",
            -1 => "less",
            0 => "as ever",
            1 => "more",
            2.. => "much more",
        }
    }

    fn sign(self) -> &'static str {
        match self.mean() {
            ..=-2 => "−−",
            -1 => "−",
            0 => "=",
            1 => "+",
            2.. => "++",
        }
    }
}

/// Draws where in the body somebody noticed a change. **Own data only.** For one family of words
/// the caller hands in the marks of those records alone.
#[must_use]
pub fn plot(marks: &[BodyMark], period: &Period) -> Insight {
    let marks = within(marks, period, |mark| &mark.day);
    let marks = marks.into_iter();
    let marks: Vec<_> = marks
        .filter(|mark| mark.change.unsigned_abs() <= CHANGE_MAX.unsigned_abs())
        .collect();
    let n = marks.len();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let mut places: BTreeMap<Region, Marks<'_>> = BTreeMap::new();
    for mark in &marks {
        let place = places.entry(mark.region).or_default();
        place.sum = place.sum.saturating_add(mark.change.into());
        place.count += 1;
        place.last = date::day(&mark.day);
    }
    let summary = summary(&places, n);
    let mut svg = Svg::new(NAME, SIZE, TITLE, &summary);
    svg.hatch("few-less", Paint::CoolTint, Paint::Cool, 60);
    svg.hatch("few-more", Paint::WarmTint, Paint::Warm, 60);
    svg.hatch("few-same", Paint::Paper, Paint::Axis, 60);
    svg.clip("outline", &silhouette());
    draw_figure(&mut svg, FRONT, &places, |region| region != Region::Back);
    draw_figure(&mut svg, BEHIND, &places, |region| region == Region::Back);
    draw_names(&mut svg, &places);
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&places),
        how: HOW,
    }))
}

/// Where a place lies on the figure, measured from its middle line and its crown.
enum Shape {
    /// Across the middle: its right half, from the top down.
    Across(&'static [(i32, i32)]),
    /// On both sides: the right one.
    Pair(&'static [(i32, i32)]),
    Round((i32, i32), (i32, i32)),
    Jaw,
    Heart,
}

/// The place's shape. What lies beyond the outline is cut off; the skin is the outline itself.
fn shape(region: Region) -> Option<Shape> {
    Some(match region {
        Region::Head => Shape::Round((0, 390), (300, 370)),
        Region::Face => Shape::Round((0, 440), (185, 205)),
        Region::Jaw => Shape::Jaw,
        Region::Throat => Shape::Across(&[(200, 700), (200, 930), (120, 1000)]),
        Region::Shoulders => Shape::Pair(&[
            (200, 900),
            (800, 900),
            (800, 1300),
            (460, 1300),
            (380, 1090),
        ]),
        Region::Chest => Shape::Across(&[(150, 1010), (400, 1080), (465, 1330), (450, 1560)]),
        Region::Heart => Shape::Heart,
        Region::Back => Shape::Across(&[(150, 990), (400, 1080), (465, 1330), (450, 2350)]),
        Region::Stomach => Shape::Across(&[(460, 1560), (460, 1930)]),
        Region::Belly => Shape::Across(&[(480, 1930), (480, 2350)]),
        Region::Hips => Shape::Across(&[(500, 2350), (500, 2820), (250, 2820), (0, 2900)]),
        Region::Arms => Shape::Pair(&[
            (460, 1300),
            (900, 1300),
            (1000, 2310),
            (600, 2310),
            (475, 1500),
        ]),
        Region::Hands => Shape::Pair(&[(600, 2310), (1000, 2310), (1000, 2900), (600, 2900)]),
        Region::Legs => Shape::Pair(&[(0, 2900), (250, 2820), (600, 2820), (600, 4560), (0, 4560)]),
        Region::Feet => Shape::Pair(&[(0, 4560), (600, 4560), (600, 5000), (0, 5000)]),
        Region::Skin => return None,
    })
}

impl Shape {
    fn path(&self) -> Path {
        let outline = |path: Path, points: Vec<(i32, i32)>| {
            let mut points = points.into_iter();
            let Some((x, y)) = points.next() else {
                return path;
            };
            points
                .fold(path.to(x, y), |path, (x, y)| path.line(x, y))
                .close()
        };
        let mirrored = |points: &[(i32, i32)]| {
            let points = points.iter().rev();
            points.map(|(x, y)| (-x, *y)).collect::<Vec<_>>()
        };
        match self {
            Self::Across(right) => {
                let mut points = right.to_vec();
                points.extend(mirrored(right));
                outline(Path::default(), points)
            }
            Self::Pair(right) => {
                let path = outline(Path::default(), right.to_vec());
                outline(path, mirrored(right))
            }
            Self::Round((x, y), (wide, high)) => oval((*x, *y), (*wide, *high)),
            Self::Jaw => Path::default()
                .to(-235, 570)
                .curve((-160, 830), (160, 830), (235, 570))
                .curve((130, 690), (-130, 690), (-235, 570))
                .close(),
            Self::Heart => Path::default()
                .to(120, 1420)
                .curve((-80, 1290), (20, 1120), (120, 1230))
                .curve((220, 1120), (320, 1290), (120, 1420))
                .close(),
        }
    }
}

/// An oval of four curves.
fn oval((x, y): (i32, i32), (wide, high): (i32, i32)) -> Path {
    let (bend_x, bend_y) = (wide * 55 / 100, high * 55 / 100);
    let (left, right, top, bottom) = (x - wide, x + wide, y - high, y + high);
    Path::default()
        .to(x, top)
        .curve((x + bend_x, top), (right, y - bend_y), (right, y))
        .curve((right, y + bend_y), (x + bend_x, bottom), (x, bottom))
        .curve((x - bend_x, bottom), (left, y + bend_y), (left, y))
        .curve((left, y - bend_y), (x - bend_x, top), (x, top))
        .close()
}

/// The right half of the body below the head, from the neck down and up the inside of the leg: each
/// curve as two places it bends towards and its end.
const BODY: [[(i32, i32); 3]; 16] = [
    [(108, 760), (105, 840), (125, 890)],
    [(160, 990), (390, 970), (530, 1060)],
    [(650, 1130), (690, 1260), (710, 1400)],
    [(745, 1670), (800, 1980), (850, 2270)],
    [(890, 2420), (900, 2590), (850, 2690)],
    [(810, 2760), (735, 2740), (722, 2660)],
    [(705, 2530), (710, 2430), (682, 2310)],
    [(620, 2030), (560, 1790), (500, 1530)],
    [(485, 1470), (470, 1440), (458, 1440)],
    [(445, 1690), (365, 1830), (375, 1980)],
    [(385, 2180), (455, 2330), (465, 2580)],
    [(475, 3130), (420, 3630), (395, 3980)],
    [(385, 4230), (350, 4430), (335, 4610)],
    [(370, 4730), (450, 4790), (410, 4850)],
    [(360, 4890), (190, 4890), (140, 4840)],
    [(105, 4300), (125, 3400), (0, 2850)],
];
/// Where that half begins.
const NECK: (i32, i32) = (108, 700);

/// Head and body in one outline each.
fn silhouette() -> [Path; 2] {
    let mut path = Path::default().to(NECK.0, NECK.1);
    for [first, second, end] in BODY {
        path = path.curve(first, second, end);
    }
    // Back up the other side: the same curves mirrored, from their ends to their beginnings.
    let mirrored = |(x, y): (i32, i32)| (-x, y);
    let ends = BODY
        .iter()
        .map(|[.., end]| *end)
        .rev()
        .skip(1)
        .chain([NECK]);
    for ([first, second, _], end) in BODY.iter().rev().zip(ends) {
        path = path.curve(mirrored(*second), mirrored(*first), mirrored(end));
    }
    [path.close(), oval((0, 390), (300, 370))]
}

/// Places that lie on top of a larger one.
fn is_detail(region: Region) -> bool {
    matches!(region, Region::Face | Region::Jaw | Region::Heart)
}

fn draw_figure(
    svg: &mut Svg,
    middle: i32,
    places: &BTreeMap<Region, Marks<'_>>,
    shown: fn(Region) -> bool,
) {
    let turned = format!("translate({} {}) scale(0.{SCALE})", Px(middle), Px(TOP));
    svg.group().set("transform", turned).open();
    let outlines = silhouette();
    if let Some(marks) = places.get(&Region::Skin).filter(|_| shown(Region::Skin)) {
        for (wider, fill) in [(210, Fill::Plain(Paint::Axis)), (190, fill(svg, *marks))] {
            for outline in &outlines {
                let halo = svg.path(outline).set("stroke-linejoin", "round");
                let halo = halo.px(&[("stroke-width", wider)]);
                match &fill {
                    Fill::Plain(paint) => halo.stroke(*paint),
                    Fill::Filling(filling) => halo.set("stroke", filling),
                }
                .end();
            }
        }
    }
    let clip = svg.filling("outline");
    let [body, head] = &outlines;
    svg.path(body).fill(Paint::Paper).end();
    svg.group()
        .set("clip-path", &clip)
        .stroke(Paint::Axis)
        .px(&[("stroke-width", 8)])
        .open();
    // The head hides the upper end of the throat, and small places lie on large ones.
    let under = |region: &Region| *region != Region::Head && !is_detail(*region);
    for region in Region::ALL.iter().copied().filter(under) {
        draw_place(svg, region, places, shown);
    }
    svg.close();
    outline(svg, body);
    svg.path(head).fill(Paint::Paper).end();
    draw_place(svg, Region::Head, places, shown);
    outline(svg, head);
    svg.group()
        .stroke(Paint::Axis)
        .px(&[("stroke-width", 10)])
        .open();
    for region in Region::ALL
        .iter()
        .copied()
        .filter(|region| is_detail(*region))
    {
        draw_place(svg, region, places, shown);
    }
    svg.close();
    svg.close();
    let name = if shown(Region::Back) {
        "from behind"
    } else {
        "from the front"
    };
    svg.aside((middle, SIZE.1 - 130), Anchor::Middle, name);
}

fn outline(svg: &mut Svg, path: &Path) {
    svg.path(path)
        .set("fill", "none")
        .stroke(Paint::Axis)
        .px(&[("stroke-width", 18)])
        .end();
}

fn draw_place(
    svg: &mut Svg,
    region: Region,
    places: &BTreeMap<Region, Marks<'_>>,
    shown: fn(Region) -> bool,
) {
    let marks = places.get(&region).filter(|_| shown(region));
    let Some((marks, shape)) = marks.zip(shape(region)) else {
        return;
    };
    let fill = fill(svg, *marks);
    let path = svg.path(&shape.path());
    match fill {
        Fill::Plain(paint) => path.fill(paint),
        Fill::Filling(filling) => path.set("fill", filling),
    }
    .end();
}

/// How a place is filled.
enum Fill {
    Plain(Paint),
    Filling(String),
}

fn fill(svg: &Svg, marks: Marks<'_>) -> Fill {
    let mean = marks.mean();
    if marks.count < SHOWN_FROM {
        let name = match mean {
            ..0 => "few-less",
            0 => "few-same",
            1.. => "few-more",
        };
        return Fill::Filling(svg.filling(name));
    }
    Fill::Plain(match mean {
        ..=-2 => Paint::Cool,
        -1 => Paint::CoolTint,
        0 => Paint::MarkTint,
        1 => Paint::WarmTint,
        2.. => Paint::Warm,
    })
}

/// The names of the places between the figures, each with a line to where it is.
fn draw_names(svg: &mut Svg, places: &BTreeMap<Region, Marks<'_>>) {
    let rows = [
        Region::Head,
        Region::Face,
        Region::Jaw,
        Region::Throat,
        Region::Shoulders,
        Region::Heart,
        Region::Chest,
        Region::Back,
        Region::Stomach,
        Region::Arms,
        Region::Belly,
        Region::Hands,
        Region::Hips,
        Region::Legs,
        Region::Feet,
        Region::Skin,
    ];
    for (row, region) in rows.into_iter().enumerate() {
        let y = 340 + int(row) * ROW;
        let Some(marks) = places.get(&region) else {
            svg.styled((NAMES + 320, y), Anchor::Start, Paint::Soft)
                .set("font-size", "12")
                .text(region.as_str());
            continue;
        };
        if let Some((x, at)) = anchor(region) {
            let end = if region == Region::Back {
                NAMES + 2020
            } else {
                NAMES - 30
            };
            svg.line((x, at), (end, y - 45)).stroke(Paint::Axis).end();
            svg.circle((x, at), 22).fill(Paint::Ink).end();
        }
        svg.words((NAMES + 140, y), Anchor::Middle, marks.sign());
        svg.words((NAMES + 320, y), Anchor::Start, region.as_str());
        let known = format!("{}, {}", marks.in_words(), marks.count);
        svg.aside((NAMES + 1150, y), Anchor::Start, &known);
    }
}

/// Where the line from a name ends.
fn anchor(region: Region) -> Option<(i32, i32)> {
    let (x, y) = match region {
        Region::Head => (190, 200),
        Region::Face => (130, 480),
        Region::Jaw => (110, 690),
        Region::Throat => (50, 860),
        Region::Shoulders => (540, 1180),
        Region::Chest => (320, 1480),
        Region::Heart => (170, 1300),
        Region::Back => (-200, 1700),
        Region::Stomach => (260, 1750),
        Region::Belly => (280, 2140),
        Region::Hips => (330, 2600),
        Region::Arms => (660, 1800),
        Region::Hands => (790, 2520),
        Region::Legs => (290, 3500),
        Region::Feet => (290, 4750),
        Region::Skin => return None,
    };
    let middle = if region == Region::Back {
        BEHIND
    } else {
        FRONT
    };
    Some((middle + x * SCALE / 100, TOP + y * SCALE / 100))
}

fn summary(places: &BTreeMap<Region, Marks<'_>>, n: usize) -> String {
    let mut known: Vec<_> = places.iter().collect();
    known.sort_by_key(|(region, marks)| (std::cmp::Reverse(marks.count), **region));
    let told = known
        .iter()
        .filter(|(_, marks)| marks.count >= SHOWN_FROM)
        .take(3);
    let told: Vec<_> = told
        .map(|(region, marks)| format!("{region} ({})", marks.in_words()))
        .collect();
    let n = counted(n, "mark", "marks");
    match told.is_empty() {
        true => format!("{} on the body, nowhere more than three.", sentence(&n)),
        false => format!("Of {n} the most are at {}.", listed(&told)),
    }
}

fn table(places: &BTreeMap<Region, Marks<'_>>) -> Table {
    let rows = places.iter().map(|(region, marks)| {
        vec![
            sentence(region.as_str()),
            marks.in_words().to_owned(),
            marks.count.to_string(),
            marks.last.to_owned(),
        ]
    });
    Table::new(
        vec!["Place", "On the whole", "Times", "Last"],
        rows.collect(),
    )
}
