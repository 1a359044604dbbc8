//! *What helped?* From the point at an opening to the point after a reply, by kind of reply.

use std::collections::BTreeMap;

use super::arrows::{self, Arrow};
use super::exact::int;
use super::plane::Plane;
use super::svg::{Anchor, Paint, Svg};
use super::{
    Insight, MIDDLE_FROM, NOT_A_CAUSE, Period, Plot, SHOWN_FROM, Table, TooFew, counted, listed,
    sentence, within,
};
use crate::point::Point;
use crate::records::Family;
use crate::redacted_debug;

/// What the plot is called.
pub const NAME: &str = "what-helped";
/// The question it answers.
pub const TITLE: &str = "What helped?";

const HOW: &str = "An arrow goes from the point you opened with to the point you noted after the \
    reply. Kinds of reply with fewer than four arrows are not drawn. From eight on the bold arrow \
    is the one in the middle. It shows what came after a reply, which is not always what came of \
    it.";

/// As a kind of reply stands above its arrows.
fn name(reply: Family) -> &'static str {
    match reply {
        Family::Soothe => "comfort",
        Family::Perspective => "another way to see it",
        Family::Enhance => "being glad with me",
        Family::Accompany => "me too",
        Family::Practical => "practical help",
        Family::Presence => "staying with me",
    }
}

/// An opening that was answered, and how it felt before and after. **Own data only:** openings and
/// notes of this person. Of the reply nothing but its kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answered {
    /// The day of the note, as in [`crate::date`].
    pub day: String,
    /// What kind of reply came.
    pub reply: Family,
    /// The point of the opening.
    pub before: Point,
    /// The point noted afterwards.
    pub after: Point,
}

redacted_debug!(Answered);

/// Draws what came after replies. **Own data only.**
#[must_use]
pub fn plot(answered: &[Answered], period: &Period) -> Insight {
    let answered = within(answered, period, |answered| &answered.day);
    let n = answered.len();
    let mut kinds: BTreeMap<Family, Vec<Arrow>> = BTreeMap::new();
    for one in &answered {
        let (from, to) = (one.before, one.after);
        kinds.entry(one.reply).or_default().push(Arrow { from, to });
    }
    let (kinds, rare): (Vec<_>, Vec<_>) = kinds
        .into_iter()
        .partition(|(_, arrows)| arrows.len() >= SHOWN_FROM);
    if kinds.is_empty() {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let summary = summary(&kinds, n);
    let rows = int(kinds.len().div_ceil(2));
    let note = if rare.is_empty() { 0 } else { 300 };
    let mut svg = Svg::new(NAME, (5600, rows * 2700 + 100 + note), TITLE, &summary);
    for (place, (kind, arrows)) in kinds.iter().enumerate() {
        let (column, row) = (int(place % 2), int(place / 2));
        let plane = Plane {
            x: 520 + column * 2760,
            y: 420 + row * 2700,
            size: 2060,
        };
        svg.words((plane.x, plane.y - 130), Anchor::Start, name(*kind));
        let count = format!("n {}", arrows.len());
        svg.aside((plane.x + plane.size, plane.y - 130), Anchor::End, &count);
        plane.draw(&mut svg, true);
        arrows::draw(&mut svg, plane, arrows);
        if arrows.len() >= MIDDLE_FROM {
            arrows::draw_middle(&mut svg, plane, arrows);
        }
    }
    if !rare.is_empty() {
        let rare: Vec<_> = rare.iter().map(|(kind, _)| name(*kind)).collect();
        let text = format!("Too few to draw yet: {}.", listed(&rare));
        svg.styled((520, rows * 2700 + 200), Anchor::Start, Paint::Soft)
            .set("font-size", "12")
            .text(&text);
    }
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: Some(NOT_A_CAUSE),
        period: period.clone(),
        n,
        table: table(&answered),
        how: HOW,
    }))
}

fn summary(kinds: &[(Family, Vec<Arrow>)], n: usize) -> String {
    let told = kinds
        .iter()
        .filter(|(_, arrows)| arrows.len() >= MIDDLE_FROM);
    let told = told.map(|(kind, arrows)| {
        let way = arrows::middle_way(arrows);
        let words = arrows::directions(
            way,
            ["less pleasant", "more pleasant"],
            ["calmer", "livelier"],
        );
        let kind = name(*kind);
        match words.is_empty() {
            true => format!("after \"{kind}\" about the same"),
            false => format!("after \"{kind}\" it was mostly {}", listed(&words)),
        }
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        let replies = counted(n, "reply", "replies");
        return format!(
            "{}, each an arrow from before to after.",
            sentence(&replies)
        );
    }
    format!("{}.", sentence(&told.join("; ")))
}

fn table(answered: &[&Answered]) -> Table {
    let rows = answered.iter().map(|one| {
        vec![
            crate::date::day(&one.day).to_owned(),
            name(one.reply).to_owned(),
            one.before.in_words(),
            one.after.in_words(),
        ]
    });
    let headers = vec!["Day", "Reply", "Before", "After"];
    Table::new(headers, rows.collect())
}
