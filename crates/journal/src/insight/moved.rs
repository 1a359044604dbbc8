//! *How did it move?* Pleasantness and energy over time, as two ribbons of steps.

use super::period::in_words;
use super::ribbon::{LEFT, RIGHT, Ribbon, time_axis};
use super::svg::{Paint, Path, Svg};
use super::{
    Felt, GAP_DAYS, Insight, MIDDLE_FROM, Period, Plot, SHOWN_FROM, Table, TooFew, both_in_words,
    counted, listed, sentence, within,
};
use crate::date;
use crate::point::Point;

/// What the plot is called.
pub const NAME: &str = "how-did-it-move";
/// The question it answers.
pub const TITLE: &str = "How did it move?";

const HOW: &str = "Each mark is a moment you noted. The ribbon keeps its height until the next \
    moment; where more than three days lie between two, it is left blank, as nothing is known of \
    them. Where many moments share a place, one mark stands for them.";

/// More moments than this are gathered into narrow columns, from their lowest to their highest.
const STEPS_MAX: usize = 400;
/// Width of such a column, in tenths.
const COLUMN: i32 = 30;

const SIZE: (i32, i32) = (5600, 4000);
const PLEASANT: Ribbon = Ribbon {
    y: 200,
    height: 1500,
    ends: ["pleasant", "unpleasant"],
};
const LIVELY: Ribbon = Ribbon {
    y: 2000,
    height: 1500,
    ends: ["lively", "quiet"],
};

/// Draws how somebody's feelings moved. **Own data only.**
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
    let runs = runs(&felt);
    let summary = summary(&felt, &runs);
    let mut svg = Svg::new(NAME, SIZE, TITLE, &summary);
    svg.hatch("below", Paint::CoolTint, Paint::Paper, 60);
    for (ribbon, side) in [
        (PLEASANT, Point::valence as fn(Point) -> i16),
        (LIVELY, Point::arousal),
    ] {
        ribbon.draw(&mut svg);
        let mut steps = Vec::new();
        for run in &runs {
            let places = run.iter().filter_map(|felt| {
                let x = period.place(&felt.day, LEFT, RIGHT)?;
                Some((x, ribbon.place(side(felt.point))))
            });
            steps.push(places.collect::<Vec<_>>());
        }
        if n > STEPS_MAX {
            draw_columns(&mut svg, &steps);
        } else {
            draw_steps(&mut svg, ribbon.place(0), &steps, n);
        }
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
        table: table(&felt),
        how: HOW,
    }))
}

/// The moments, divided where more than [`GAP_DAYS`] lie between two.
fn runs<'a>(felt: &[&'a Felt]) -> Vec<Vec<&'a Felt>> {
    let mut runs: Vec<Vec<&Felt>> = Vec::new();
    let mut last_day = None;
    for felt in felt {
        let day = date::day_number(&felt.day);
        let apart = day.zip(last_day).map(|(day, last)| day - last);
        match runs.last_mut() {
            Some(run) if apart.is_some_and(|days| days <= GAP_DAYS) => run.push(felt),
            _ => runs.push(vec![felt]),
        }
        last_day = day;
    }
    runs
}

/// Areas above and below the middle, the line of steps on them, and a mark for each moment.
fn draw_steps(svg: &mut Svg, middle: i32, runs: &[Vec<(i32, i32)>], n: usize) {
    let below = svg.filling("below");
    let mut above = Path::default();
    let mut under = Path::default();
    let mut line = Path::default();
    for run in runs {
        for (n, ((x, y), (next, _))) in run.iter().zip(run.iter().skip(1)).enumerate() {
            let area = |path: Path| path.to(*x, middle).up(*y).across(*next).up(middle).close();
            if *y < middle {
                above = area(above);
            } else if *y > middle {
                under = area(under);
            }
            line = if n == 0 { line.to(*x, *y) } else { line.up(*y) }.across(*next);
        }
        if let (Some((_, y)), true) = (run.last(), run.len() > 1) {
            line = line.up(*y);
        }
    }
    svg.path(&above).fill(Paint::WarmTint).end();
    svg.path(&under).set("fill", below).end();
    svg.path(&line)
        .set("fill", "none")
        .stroke(Paint::Axis)
        .px(&[("stroke-width", 12)])
        .end();
    let r = if n > 90 { 22 } else { 36 };
    svg.group()
        .stroke(Paint::Paper)
        .px(&[("stroke-width", 8)])
        .open();
    for (x, y) in runs.iter().flatten() {
        mark(svg, (*x, *y), r, middle);
    }
    svg.close();
}

/// A circle above the middle, a diamond below, a square on it.
fn mark(svg: &mut Svg, (x, y): (i32, i32), r: i32, middle: i32) {
    if y < middle {
        svg.circle((x, y), r).fill(Paint::Warm).end();
    } else if y > middle {
        let r = r * 5 / 4;
        let diamond = Path::default().to(x, y - r).line(x + r, y).line(x, y + r);
        svg.path(&diamond.line(x - r, y).close())
            .fill(Paint::Cool)
            .end();
    } else {
        svg.rect((x - r, y - r), (2 * r, 2 * r))
            .fill(Paint::Axis)
            .end();
    }
}

/// Many moments: a bar for each narrow column, from the lowest to the highest in it.
fn draw_columns(svg: &mut Svg, runs: &[Vec<(i32, i32)>]) {
    let mut columns = std::collections::BTreeMap::new();
    for (x, y) in runs.iter().flatten() {
        let column = columns.entry(x / COLUMN * COLUMN).or_insert((*y, *y));
        *column = (column.0.min(*y), column.1.max(*y));
    }
    for (paint, ends) in [(Paint::MarkTint, false), (Paint::Mark, true)] {
        let mut bars = Path::default();
        for (x, (top, bottom)) in &columns {
            let bar = |path: Path, from: i32, to: i32| {
                let path = path.to(*x, from).across(*x + COLUMN - 8);
                path.up(to).across(*x).close()
            };
            if ends {
                bars = bar(bar(bars, *top - 12, *top + 12), *bottom - 12, *bottom + 12);
            } else {
                bars = bar(bars, *top, *bottom);
            }
        }
        svg.path(&bars).fill(paint).end();
    }
}

fn summary(felt: &[&Felt], runs: &[Vec<&Felt>]) -> String {
    let range = |side: fn(Point) -> i16, part: fn(Point) -> String| {
        let least = felt.iter().min_by_key(|felt| side(felt.point));
        let most = felt.iter().max_by_key(|felt| side(felt.point));
        let ends = least.zip(most).map(|(a, b)| (part(a.point), part(b.point)));
        match ends {
            Some((low, high)) if low != high => format!("between {low} and {high}"),
            Some((same, _)) => format!("always {same}"),
            None => String::new(),
        }
    };
    let pleasant = range(Point::valence, |point| both_in_words(point).0);
    let lively = range(Point::arousal, |point| both_in_words(point).1);
    let n = counted(felt.len(), "moment", "moments");
    let range = format!("{}, {pleasant}, and {lively}.", sentence(&n));
    let stays = if felt.len() < MIDDLE_FROM {
        Vec::new()
    } else {
        stays(runs)
    };
    match stays.len() {
        0 => range,
        1 => format!("{range} The longest stay: {}.", listed(&stays)),
        _ => format!("{range} The longest stays: {}.", listed(&stays)),
    }
}

/// The two longest times on one side of the middle without a gap, in the order of time.
fn stays(runs: &[Vec<&Felt>]) -> Vec<String> {
    let mut stays = Vec::new();
    for run in runs {
        for stay in run.chunk_by(|a, b| a.point.valence().signum() == b.point.valence().signum()) {
            let (Some(first), Some(last)) = (stay.first(), stay.last()) else {
                continue;
            };
            let ends = date::day_number(&first.day).zip(date::day_number(&last.day));
            let days = ends.map_or(0, |(first, last)| last - first + 1);
            if days > 1 {
                stays.push((days, *first));
            }
        }
    }
    // The sort is stable: of equally long ones the earlier comes first.
    stays.sort_by_key(|(days, _)| std::cmp::Reverse(*days));
    stays.truncate(2);
    stays.sort_by_key(|(_, first)| &first.day);
    let in_words = stays.into_iter().map(|(days, first)| {
        let side = match first.point.valence().signum() {
            1 => "on the pleasant side",
            -1 => "on the unpleasant side",
            _ => "in the middle",
        };
        format!("{days} days {side} from {}", in_words(&first.day))
    });
    in_words.collect()
}

fn table(felt: &[&Felt]) -> Table {
    let rows = felt.iter().map(|felt| {
        let (pleasant, lively) = both_in_words(felt.point);
        vec![felt.day.replace('T', " "), pleasant, lively]
    });
    let headers = vec!["When", "How pleasant", "How lively"];
    Table::new(headers, rows.collect())
}
