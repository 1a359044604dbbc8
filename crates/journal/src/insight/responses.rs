//! *How was it for me?* Four strips of dots, one for each side of being answered.

use std::collections::BTreeSet;

use super::exact::median;
use super::opened::StageCount;
use super::ribbon::{LEFT, RIGHT, time_axis};
use super::svg::{Anchor, Paint, Svg};
use super::{
    Insight, MIDDLE_FROM, NOT_A_CAUSE, Period, Plot, SHOWN_FROM, Table, TooFew, counted, listed,
    sentence, within,
};
use crate::date;
use crate::opening::Stage;
use crate::redacted_debug;

/// What the plot is called.
pub const NAME: &str = "how-was-it-for-me";
/// The question it answers.
pub const TITLE: &str = "How was it for me?";
/// Highest stop of an answer. Five stops have words: 0, 2, 4, 6 and 8.
pub const STOP_MAX: u8 = 8;

const HOW: &str = "Each dot is one answer you gave after a reply, at the stop you chose. The four \
    sides stand apart and are never taken together. What you skipped is left out. Only you see \
    this.";

/// More dots than this in a strip are drawn once for each narrow column.
const DOTS_MAX: usize = 400;
/// Width of such a column, in tenths.
const COLUMN: i32 = 40;
/// Height of a strip and of what lies between two.
const STRIP: i32 = 1000;
const STEP: i32 = 1560;
const TOP: i32 = 520;

/// What somebody noted after replies to an opening: how far each sentence was true for them, from 0
/// (not at all) to 8 (fully). **Own data only;** these notes never leave the person's own devices.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeltNote {
    /// The day, as in [`crate::date`].
    pub day: String,
    /// "They got what this was about for me."
    pub understood: Option<u8>,
    /// "My feeling was allowed to be what it was."
    pub validated: Option<u8>,
    /// "I matter to them in this."
    pub cared: Option<u8>,
    /// "I was not alone in it."
    pub felt: Option<u8>,
}

redacted_debug!(FeltNote);

/// One strip: its sentence, a short name for tables, and which answer it shows.
type Side = (&'static str, &'static str, fn(&FeltNote) -> Option<u8>);

const SIDES: [Side; 4] = [
    (
        "They got what this was about for me.",
        "Understood",
        |note| note.understood,
    ),
    (
        "My feeling was allowed to be what it was.",
        "Allowed",
        |note| note.validated,
    ),
    ("I matter to them in this.", "Cared for", |note| note.cared),
    ("I was not alone in it.", "Not alone", |note| note.felt),
];

/// Draws how replies were for somebody. **Own data only.** With `opened`, the own stages of the
/// same days stand below, and the caption says that neither explains the other.
#[must_use]
pub fn plot(notes: &[FeltNote], opened: Option<&[StageCount]>, period: &Period) -> Insight {
    let notes = within(notes, period, |note| &note.day);
    let n = notes.len();
    let most = SIDES
        .iter()
        .map(|(.., side)| answers(&notes, *side).len())
        .max();
    if most.unwrap_or(0) < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let opened = opened.map(|opened| within(opened, period, |count| &count.day));
    let summary = summary(&notes);
    let heights = SIDES.iter().map(|(.., side)| step(&answers(&notes, *side)));
    let heights = heights.sum::<i32>() + if opened.is_some() { STEP } else { 0 };
    let axis = TOP + heights - 430;
    let mut svg = Svg::new(NAME, (5600, axis + 380), TITLE, &summary);
    let mut top = TOP;
    for (sentence, _, side) in SIDES {
        let answers = answers(&notes, side);
        draw_strip(&mut svg, top, sentence, &answers, period);
        top += step(&answers);
    }
    if let Some(opened) = &opened {
        draw_opened(&mut svg, top, opened, period);
    }
    time_axis(&mut svg, period, axis);
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: opened.is_some().then_some(NOT_A_CAUSE),
        period: period.clone(),
        n,
        table: table(&notes),
        how: HOW,
    }))
}

/// The answers to one sentence: the day and the stop.
fn answers<'a>(notes: &[&'a FeltNote], side: fn(&FeltNote) -> Option<u8>) -> Vec<(&'a str, u8)> {
    let answered = notes
        .iter()
        .filter_map(|note| Some((&*note.day, side(note)?)));
    answered.filter(|(_, stop)| *stop <= STOP_MAX).collect()
}

/// Height of a strip and what parts it from the next.
fn step(answers: &[(&str, u8)]) -> i32 {
    if answers.len() < SHOWN_FROM {
        600
    } else {
        STEP
    }
}

fn draw_strip(svg: &mut Svg, top: i32, sentence: &str, answers: &[(&str, u8)], period: &Period) {
    svg.words((100, top - 180), Anchor::Start, sentence);
    if answers.len() < SHOWN_FROM {
        svg.aside((100, top), Anchor::Start, "fewer than four answers yet");
        return;
    }
    let count = format!("n {}", answers.len());
    svg.aside((RIGHT, top - 180), Anchor::End, &count);
    draw_stops(
        svg,
        top,
        ["fully", "mostly", "partly", "a little", "not at all"],
    );
    let dots = answers.iter().filter_map(|(day, stop)| {
        let x = period.place(day, LEFT, RIGHT)?;
        Some((
            x,
            top + STRIP - i32::from(*stop) * STRIP / i32::from(STOP_MAX),
        ))
    });
    draw_dots(svg, dots.collect());
}

fn draw_opened(svg: &mut Svg, top: i32, opened: &[&StageCount], period: &Period) {
    svg.words((100, top - 180), Anchor::Start, "And how far I opened:");
    draw_stops(svg, top, ["room", "gist", "weather", "knock", "kept"]);
    let dots = opened
        .iter()
        .filter(|count| count.count > 0)
        .filter_map(|count| {
            let x = period.place(&count.day, LEFT, RIGHT)?;
            let height = match count.stage {
                None => 0,
                Some(Stage::Knock) => 1,
                Some(Stage::Weather) => 2,
                Some(Stage::Gist) => 3,
                Some(Stage::Room) => 4,
            };
            Some((x, top + STRIP - height * STRIP / 4))
        });
    draw_dots(svg, dots.collect());
}

fn draw_stops(svg: &mut Svg, top: i32, names: [&str; 5]) {
    for (y, name) in (top..).step_by(STRIP as usize / 4).zip(names) {
        svg.line((LEFT, y), (RIGHT, y)).stroke(Paint::Line).end();
        svg.aside((LEFT - 100, y + 42), Anchor::End, name);
    }
}

fn draw_dots(svg: &mut Svg, dots: Vec<(i32, i32)>) {
    let crowded = dots.len() > DOTS_MAX;
    let column = |x: i32| if crowded { x / COLUMN * COLUMN } else { x };
    let places: BTreeSet<_> = dots.into_iter().map(|(x, y)| (column(x), y)).collect();
    let r = if crowded { 20 } else { 42 };
    svg.group()
        .fill(Paint::Mark)
        .stroke(Paint::Paper)
        .px(&[("stroke-width", 8)])
        .open();
    for place in places {
        svg.circle(place, r).end();
    }
    svg.close();
}

/// The word of a stop, or of the one below.
fn stop_in_words(stop: i32) -> &'static str {
    match stop {
        ..=1 => "not at all",
        2 | 3 => "a little",
        4 | 5 => "partly",
        6 | 7 => "mostly",
        8.. => "fully",
    }
}

fn summary(notes: &[&FeltNote]) -> String {
    let mut middles = Vec::new();
    for (_, name, side) in SIDES {
        let stops = answers(notes, side);
        if stops.len() >= MIDDLE_FROM {
            let stops = stops.into_iter().map(|(_, stop)| i32::from(stop));
            let middle = stop_in_words(median(stops.collect()));
            middles.push(format!("{} {middle}", name.to_lowercase()));
        }
    }
    let n = counted(notes.len(), "time", "times");
    if middles.is_empty() {
        return format!("You noted {n} how it was; each dot is one answer.");
    }
    let middles = sentence(&listed(&middles));
    format!("{middles}: the middle of each, from {n}.")
}

fn table(notes: &[&FeltNote]) -> Table {
    let rows = notes.iter().map(|note| {
        let mut row = vec![date::day(&note.day).to_owned()];
        row.extend(SIDES.iter().map(|(.., side)| {
            let stop = side(note).filter(|stop| *stop <= STOP_MAX);
            stop.map_or("skipped", |stop| stop_in_words(stop.into()))
                .to_owned()
        }));
        row
    });
    let mut headers = vec!["Day"];
    headers.extend(SIDES.iter().map(|(_, name, _)| *name));
    Table::new(headers, rows.collect())
}
