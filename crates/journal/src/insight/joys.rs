//! *What did we celebrate?* A calendar of the joys both celebrated.

use std::collections::BTreeMap;

use super::exact::{int, round, sin_cos};
use super::period::{day_of, in_words, month_name};
use super::svg::{Anchor, Paint, Path, Svg};
use super::{Insight, Period, Plot, SHOWN_FROM, Table, TooFew, counted, within};
use crate::date;
use crate::redacted_debug;
use crate::text::displayable_line;

/// What the plot is called.
pub const NAME: &str = "joys";
/// The question it answers.
pub const TITLE: &str = "What did we celebrate?";
/// Most months drawn, the last of the period.
pub const MONTHS_MAX: usize = 12;

const HOW: &str = "A sun stands on each day with something you celebrated together, out of what \
    you have both shown. The last twelve months of the period are drawn; the table goes further \
    back. Other days are just days.";

/// Size of a day, and of a month with what parts it from the next.
const DAY: i32 = 225;
const MONTH: (i32, i32) = (1820, 1900);
const LEFT: i32 = 200;
const TOP: i32 = 380;
const COLUMNS: i32 = 3;

/// Something celebrated together. **Shared records only.**
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Joy {
    /// The day, as in [`crate::date`].
    pub day: String,
    /// What it was, as both may read it; may be empty.
    pub title: String,
}

redacted_debug!(Joy);

/// Draws the joys both celebrated. **Shared records only.**
#[must_use]
pub fn plot(joys: &[Joy], period: &Period) -> Insight {
    let joys = within(joys, period, |joy| &joy.day);
    let n = joys.len();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let mut days: BTreeMap<&str, usize> = BTreeMap::new();
    for joy in &joys {
        *days.entry(date::day(&joy.day)).or_default() += 1;
    }
    let mut months = period.months();
    months.drain(..months.len().saturating_sub(MONTHS_MAX));
    let summary = summary(&joys, days.len());
    let rows = (int(months.len()) + COLUMNS - 1) / COLUMNS;
    let size = (5600, TOP + rows * MONTH.1 - 100);
    let mut svg = Svg::new(NAME, size, TITLE, &summary);
    for (n, month) in months.iter().enumerate() {
        let (column, row) = (int(n) % COLUMNS, int(n) / COLUMNS);
        let corner = (LEFT + column * MONTH.0, TOP + row * MONTH.1);
        draw_month(&mut svg, corner, month, &days);
    }
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&joys),
        how: HOW,
    }))
}

/// A month in weeks from Monday, a dot for a day and a sun for a joy.
fn draw_month(svg: &mut Svg, (left, top): (i32, i32), month: &str, days: &BTreeMap<&str, usize>) {
    let name = format!(
        "{} {}",
        month_name(month),
        month.get(..4).unwrap_or_default()
    );
    svg.words((left, top), Anchor::Start, &name);
    let Some((number, first)) = date::month(month).zip(date::day_number(month)) else {
        return;
    };
    let lead = i32::try_from((first - 1).rem_euclid(7)).unwrap_or(0);
    let mut suns = Vec::new();
    svg.group().fill(Paint::Axis).open();
    for day in 1..=31_u8 {
        let date = day_of(number, day.into());
        if date::check(&date).is_err() {
            break;
        }
        let at = lead + i32::from(day) - 1;
        let middle = (left + DAY / 2 + at % 7 * DAY, top + 220 + at / 7 * DAY);
        match days.get(&*date) {
            Some(n) => suns.push((middle, day, *n)),
            None => svg.circle(middle, 14).end(),
        }
    }
    svg.close();
    for (middle, day, n) in suns {
        draw_sun(svg, middle, day, n);
    }
}

/// A sun with the day's number; with a second ring of rays when there was more than one joy.
fn draw_sun(svg: &mut Svg, (x, y): (i32, i32), day: u8, n: usize) {
    let rays = if n > 1 { 16 } else { 8 };
    let mut path = Path::default();
    for ray in 0..rays {
        let (sin, cos) = sin_cos(ray, rays);
        let at = |out: f64| (x + round(out * sin), y - round(out * cos));
        let ((from_x, from_y), (to_x, to_y)) = (at(95.0), at(122.0));
        path = path.to(from_x, from_y).line(to_x, to_y);
    }
    svg.path(&path)
        .stroke(Paint::Warm)
        .px(&[("stroke-width", 18)])
        .set("stroke-linecap", "round")
        .end();
    svg.circle((x, y), 82).fill(Paint::Warm).end();
    svg.styled((x, y + 36), Anchor::Middle, Paint::Paper)
        .set("font-size", "10")
        .set("font-weight", "600")
        .text(&day.to_string());
}

fn summary(joys: &[&Joy], days: usize) -> String {
    let last = joys
        .last()
        .map(|joy| in_words(&joy.day))
        .unwrap_or_default();
    let n = counted(joys.len(), "joy", "joys");
    let days = counted(days, "day", "days");
    format!("You celebrated {n} on {days}, the last on {last}.")
}

fn table(joys: &[&Joy]) -> Table {
    let rows = joys.iter().map(|joy| {
        let title = displayable_line(joy.title.trim());
        vec![date::day(&joy.day).to_owned(), title]
    });
    Table::new(vec!["Day", "What"], rows.collect())
}
