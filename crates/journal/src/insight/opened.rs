//! *How far did I open?* Own stages by month.

use std::collections::BTreeMap;

use super::exact::int;
use super::period::{day_of, month_name};
use super::svg::{Anchor, Paint, Svg};
use super::{Insight, Period, Plot, SHOWN_FROM, Table, TooFew, counted, listed, sentence, within};
use crate::date;
use crate::opening::Stage;
use crate::redacted_debug;

/// What the plot is called.
pub const NAME: &str = "how-far-did-i-open";
/// The question it answers.
pub const TITLE: &str = "How far did I open?";

const HOW: &str = "Each thing you wrote counts once, in the month it is about, as far as you have \
    opened it by now. What you kept is counted here only, on your own devices. Opening more is not \
    better: some things are yours.";

/// More months than this are drawn as quarters, and more quarters as years.
const BARS_MAX: u32 = 18;
const SIZE: (i32, i32) = (5600, 3700);
const LEFT: i32 = 300;
const WIDTH: i32 = 5000;
const TOP: i32 = 300;
const HEIGHT: i32 = 2400;

/// The stages from the closed door on, with their names.
const STAGES: [(Option<Stage>, &str); 5] = [
    (None, "kept"),
    (Some(Stage::Knock), "knock"),
    (Some(Stage::Weather), "weather"),
    (Some(Stage::Gist), "gist"),
    (Some(Stage::Room), "room"),
];

/// How many things of one day reached a stage. **Own data only**; above all of what was kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageCount {
    /// The day they are about, as in [`crate::date`].
    pub day: String,
    /// The furthest stage; `None` for what was kept.
    pub stage: Option<Stage>,
    /// How many.
    pub count: u32,
}

redacted_debug!(StageCount);

/// Counts by stage, in the order of [`STAGES`].
type Counts = [u64; 5];

/// Draws how far somebody opened what they wrote. **Own data only.**
#[must_use]
pub fn plot(counts: &[StageCount], period: &Period) -> Insight {
    let counts = within(counts, period, |count| &count.day);
    let (months, total) = by_month(&counts);
    let n = usize::try_from(total.iter().sum::<u64>()).unwrap_or(usize::MAX);
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let summary = summary(&total, n);
    let mut svg = Svg::new(NAME, SIZE, TITLE, &summary);
    svg.dots("knock", Paint::Paper, Paint::Mark, 60);
    svg.hatch("weather", Paint::MarkTint, Paint::Paper, 60);
    svg.hatch("gist", Paint::MarkTint, Paint::Mark, 60);
    draw_bars(&mut svg, period, &months);
    draw_names(&mut svg);
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&months),
        how: HOW,
    }))
}

fn by_month(counts: &[&StageCount]) -> (BTreeMap<u32, Counts>, Counts) {
    let mut months: BTreeMap<u32, Counts> = BTreeMap::new();
    let mut total = Counts::default();
    for count in counts {
        let Some(month) = date::month(&count.day) else {
            continue;
        };
        let month = months.entry(month).or_default();
        let places = STAGES.iter().zip(month.iter_mut().zip(total.iter_mut()));
        for ((stage, _), (in_month, in_all)) in places {
            if *stage == count.stage {
                *in_month = in_month.saturating_add(count.count.into());
                *in_all = in_all.saturating_add(count.count.into());
            }
        }
    }
    months.retain(|_, counts| counts.iter().any(|n| *n > 0));
    (months, total)
}

fn draw_bars(svg: &mut Svg, period: &Period, months: &BTreeMap<u32, Counts>) {
    let ends = date::month(period.first()).zip(date::month(period.last()));
    let (first, last) = ends.unwrap_or_default();
    let span = last.saturating_sub(first) + 1;
    let mut together = [1, 3, 12].into_iter();
    let together = together.find(|months| span.div_ceil(*months) <= BARS_MAX);
    // Beyond that, decades and centuries: as many years as leave few enough bars.
    let together = together.unwrap_or_else(|| span.div_ceil(12 * (BARS_MAX - 1)) * 12);
    let slot_of = |month: u32| month.saturating_sub(1) / together;
    let mut slots: BTreeMap<u32, Counts> = BTreeMap::new();
    for (month, counts) in months {
        let slot = slots.entry(slot_of(*month)).or_default();
        for (sum, n) in slot.iter_mut().zip(counts) {
            *sum = sum.saturating_add(*n);
        }
    }
    let height_of = |counts: &Counts| counts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let tallest = slots.values().map(height_of).max().unwrap_or(1).max(1);
    let (from, to) = (slot_of(first), slot_of(last));
    let bars = i32::try_from(to - from + 1).unwrap_or(i32::MAX);
    let step = (WIDTH / bars).min(900);
    let bar = (step * 7 / 10).min(520);
    for slot in from..=to {
        let x = LEFT + i32::try_from(slot - from).unwrap_or(0) * step + (step - bar) / 2;
        if let Some(counts) = slots.get(&slot) {
            draw_bar(svg, x, bar, counts, tallest);
            let n = height_of(counts).to_string();
            let top = TOP + HEIGHT - scaled(height_of(counts), tallest);
            svg.aside((x + bar / 2, top - 60), Anchor::Middle, &n);
        }
        let day = day_of(slot * together + 1, 1);
        let year = day.get(..4).unwrap_or_default();
        let short: String = month_name(&day).chars().take(3).collect();
        let name = if together < 12 { &*short } else { year };
        let below = TOP + HEIGHT + 220;
        svg.aside((x + bar / 2, below), Anchor::Middle, name);
        if together < 12 && (slot == from || short == "Jan") {
            svg.aside((x + bar / 2, below + 170), Anchor::Middle, year);
        }
    }
    svg.line((LEFT, TOP + HEIGHT), (LEFT + WIDTH, TOP + HEIGHT))
        .stroke(Paint::Axis)
        .end();
}

fn draw_bar(svg: &mut Svg, x: i32, width: i32, counts: &Counts, tallest: u64) {
    svg.group()
        .stroke(Paint::Mark)
        .px(&[("stroke-width", 12)])
        .open();
    let mut below = 0_u64;
    for ((_, name), n) in STAGES.iter().zip(counts).filter(|(_, n)| **n > 0) {
        let bottom = TOP + HEIGHT - scaled(below, tallest);
        below = below.saturating_add(*n);
        let top = TOP + HEIGHT - scaled(below, tallest);
        draw_stage(svg, (x, top), (width, bottom - top), name);
    }
    svg.close();
}

/// A rectangle filled as the stage is: empty for what was kept, full for the room.
fn draw_stage(svg: &mut Svg, at: (i32, i32), size: (i32, i32), stage: &str) {
    let filling = svg.filling(stage);
    let rect = svg.rect(at, size);
    match stage {
        "kept" => rect.fill(Paint::Paper),
        "room" => rect.fill(Paint::Mark),
        _ => rect.set("fill", filling),
    }
    .end();
}

fn draw_names(svg: &mut Svg) {
    let y = TOP + HEIGHT + 640;
    svg.group()
        .stroke(Paint::Mark)
        .px(&[("stroke-width", 12)])
        .open();
    for (n, (_, name)) in STAGES.iter().enumerate() {
        draw_stage(
            svg,
            (LEFT + (1000 * int(n) + if n > 2 { 120 } else { 0 }), y),
            (240, 170),
            name,
        );
    }
    svg.close();
    for (n, (_, name)) in STAGES.iter().enumerate() {
        svg.words(
            (
                LEFT + 310 + (1000 * int(n) + if n > 2 { 120 } else { 0 }),
                y + 140,
            ),
            Anchor::Start,
            name,
        );
    }
}

fn scaled(n: u64, tallest: u64) -> i32 {
    let part = u128::from(n) * u128::from(HEIGHT.unsigned_abs()) / u128::from(tallest.max(1));
    i32::try_from(part).unwrap_or(HEIGHT)
}

fn summary(total: &Counts, n: usize) -> String {
    let parts = STAGES.iter().zip(total).filter(|(_, n)| **n > 0);
    let parts: Vec<_> = parts
        .map(|((stage, name), n)| match stage {
            None => format!("{n} kept"),
            Some(_) => format!("{n} opened as {name}"),
        })
        .collect();
    let n = counted(n, "thing", "things");
    format!("Of {n} written: {}.", listed(&parts))
}

fn table(months: &BTreeMap<u32, Counts>) -> Table {
    let rows = months.iter().map(|(month, counts)| {
        let day = day_of(*month, 1);
        let name = format!("{} {}", month_name(&day), day.get(..4).unwrap_or_default());
        let mut row = vec![sentence(&name)];
        row.extend(counts.iter().map(u64::to_string));
        row
    });
    let headers = vec!["Month", "Kept", "Knock", "Weather", "Gist", "Room"];
    Table::new(headers, rows.collect())
}
