//! What the two look at together: the weather, the map and the joys.

use super::*;

pub(super) fn weather(n: i64) -> Vec<weather::SharedWeather> {
    let mut numbers = Numbers(31);
    let mut point = |valence: i64, arousal: i64| {
        Point::new(numbers.near(valence, 60), numbers.near(arousal, 60)).unwrap()
    };
    let one = |at: i64| weather::SharedWeather {
        day: day((at * 84 / n + at % 3).min(83)),
        mine: point(30, -10),
        theirs: point(10, 20),
    };
    (0..n).map(one).collect()
}

#[test]
fn the_weather_both_showed() {
    let draw = |days: &[weather::SharedWeather]| weather::plot(days, ["Ana", "Ben"], &period(84));
    let plot = same(&weather(26), draw, "weather.svg");
    says(
        &plot,
        "On 26 days you both showed your weather: between fairly unpleasant and very pleasant, and between quite quiet and quite lively.",
    );
}

pub(super) fn joys(days: &[i64]) -> Vec<joys::Joy> {
    let joy = |since: &i64| joys::Joy {
        day: day(*since),
        title: format!("number {since}"),
    };
    days.iter().map(joy).collect()
}

#[test]
fn joys_both_celebrated() {
    let joys = joys(&[3, 4, 17, 17, 40, 66, 80, 83, 100, 131, 150]);
    let plot = same(&joys, |joys| joys::plot(joys, &period(160)), "joys.svg");
    says(
        &plot,
        "You celebrated 11 joys on 10 days, the last on 11 November 2026.",
    );
}

/// All questions; at most this many are told.
pub(super) fn spots(most: usize) -> Vec<map::Spot> {
    use crate::questions::{Told, all, told};
    let mut numbers = Numbers(17);
    let mut left = most;
    let spot = |question: &crate::questions::Question| {
        let on = match numbers.below(3 + i64::from(question.depth.number())) {
            0 | 1 => Some(day(numbers.below(150))),
            2 => Some("2025-03-01".to_owned()),
            _ => None,
        };
        let mut told = told(on.as_deref(), &day(159), question.theme);
        let untold = question.theme == crate::questions::Theme::Dreams || left == 0;
        if untold {
            told = Told::Hollow;
        }
        left -= usize::from(told != Told::Hollow);
        map::Spot {
            theme: question.theme,
            depth: question.depth,
            told,
            on: on.filter(|_| !untold),
            text: question.text.clone(),
        }
    };
    all().iter().map(spot).collect()
}

#[test]
fn what_was_told() {
    let draw = |spots: &[map::Spot]| map::plot(spots, map::Whose::Mine, &period(160));
    let plot = same(&spots(64), draw, "map.svg");
    says(
        &plot,
        "Something is told of everyday, body and rest, inner weather, early years, people, work and purpose and the two of us; worth asking again: everyday, body and rest, inner weather, early years, people, work and purpose and the two of us.",
    );
    let mut many = spots(64);
    for _ in 0..3 {
        many.extend(many.clone());
    }
    let draw = |spots: &[map::Spot]| map::plot(spots, map::Whose::Theirs, &period(160));
    same(&many, draw, "");
}
