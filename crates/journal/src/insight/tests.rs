//! What Ana sees when she looks back. Every picture is compared byte by byte with the one committed
//! in `tests/insight`; set `AJAR_PLOTS=write` to write them anew, and look at them.

use std::path::Path;

use super::*;
use crate::layers::Region;
use crate::records::Family;

/// Numbers that look drawn at random and are the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }

    /// Around `middle`, most of them near.
    fn near(&mut self, middle: i64, spread: i64) -> i16 {
        let sum: i64 = (0..3).map(|_| self.below(2 * spread + 1) - spread).sum();
        i16::try_from((middle + sum / 2).clamp(-100, 100)).unwrap()
    }
}

fn day(since_june: i64) -> String {
    let month = 6 + since_june / 28;
    format!(
        "{}-{:02}-{:02}",
        2026 + (month - 1) / 12,
        (month - 1) % 12 + 1,
        since_june % 28 + 1
    )
}

fn period(days: i64) -> Period {
    Period::new("2026-06-01", &day(days - 1)).unwrap()
}

/// A summer of Ana's: two moods, and a week away.
fn summer(n: i64) -> Vec<Felt> {
    let mut numbers = Numbers(4);
    let mut felt = Vec::new();
    for at in 0..n {
        let since = at * 84 / n;
        if (30..39).contains(&since) {
            continue;
        }
        let heavy = (48..60).contains(&since) || numbers.below(4) == 0;
        let point = if heavy {
            Point::new(numbers.near(-55, 40), numbers.near(45, 45))
        } else {
            Point::new(numbers.near(50, 50), numbers.near(-20, 60))
        };
        let offered = crate::words::nearest(point.unwrap(), &[]);
        let words = offered.iter().take(2).map(|word| word.id().to_owned());
        felt.push(Felt {
            day: format!("{}T{:02}:30", day(since), 7 + numbers.below(15)),
            point: point.unwrap(),
            words: words.collect(),
        });
    }
    felt
}

/// The plot, checked in every way that holds for all of them.
fn shown(insight: Insight, file: &str) -> Plot {
    let Insight::Plot(plot) = insight else {
        panic!("{file}: too few");
    };
    let read = roxmltree::Document::parse(&plot.svg).unwrap();
    let root = read.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    let labelled = root.attribute("aria-labelledby").unwrap();
    let text = |id: &str| {
        let node = read
            .descendants()
            .find(|node| node.attribute("id") == Some(id));
        node.unwrap().text().unwrap().to_owned()
    };
    let labels: Vec<_> = labelled.split(' ').map(text).collect();
    assert_eq!(labels, [plot.title.to_owned(), plot.summary.clone()]);
    for node in read.descendants().filter(roxmltree::Node::is_element) {
        assert!(!["script", "style", "image", "use", "a"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on") && attribute.name() != "href");
            assert!(attribute.name() != "style", "a page's policy may forbid it");
            let value = attribute.value();
            assert!(
                !value.contains("url(") || value.starts_with("url(#ajar-"),
                "{value}"
            );
        }
    }
    assert!(plot.svg.len() < 300_000, "{file}: {} bytes", plot.svg.len());
    assert!(plot.title.ends_with('?') && plot.summary.ends_with('.'));
    assert!(plot.table.rows.len() <= TABLE_ROWS_MAX);
    for row in &plot.table.rows {
        assert_eq!(row.len(), plot.table.headers.len());
    }
    if !file.is_empty() {
        compare(&plot.svg, file);
    }
    *plot
}

fn says(plot: &Plot, summary: &str) {
    if std::env::var_os("AJAR_PLOTS").is_some() {
        eprintln!("SAYS {}", plot.summary);
        return;
    }
    assert_eq!(plot.summary, summary);
}

fn compare(svg: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/insight")
        .join(file);
    if std::env::var_os("AJAR_PLOTS").is_some() {
        std::fs::write(&path, svg).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        svg == expected,
        "{file} is drawn otherwise than before; look at it, then AJAR_PLOTS=write"
    );
}

/// The same plot again from the same records in another order.
fn same<T: Clone>(records: &[T], draw: impl Fn(&[T]) -> Insight, file: &str) -> Plot {
    let plot = shown(draw(records), file);
    let mut turned = records.to_vec();
    turned.reverse();
    assert!(
        draw(&turned) == Insight::Plot(Box::new(plot.clone())),
        "{file}: order matters"
    );
    plot
}

#[test]
fn where_ana_has_been() {
    let plot = same(
        &summer(120),
        |felt| places::plot(felt, &period(84)),
        "where-many.svg",
    );
    says(
        &plot,
        "Of 107 moments, the most lie around fairly pleasant, a little quiet.",
    );
    let plot = same(
        &summer(10),
        |felt| places::plot(felt, &period(84)),
        "where-few.svg",
    );
    says(
        &plot,
        "The middle of 9 moments is neither pleasant nor unpleasant, a little lively.",
    );
}

#[test]
fn how_it_moved() {
    let plot = same(
        &summer(70),
        |felt| moved::plot(felt, &period(84)),
        "moved.svg",
    );
    says(
        &plot,
        "62 moments, between quite unpleasant and very pleasant, and between quite quiet and very lively. The longest stays: 8 days on the unpleasant side from 21 July 2026 and 9 days on the pleasant side from 11 August 2026.",
    );
    same(
        &summer(3000),
        |felt| moved::plot(felt, &period(84)),
        "moved-many.svg",
    );
}

fn answered(n: i64) -> Vec<helped::Answered> {
    let mut numbers = Numbers(11);
    let kinds = [
        Family::Soothe,
        Family::Soothe,
        Family::Enhance,
        Family::Practical,
        Family::Perspective,
    ];
    let one = |at| {
        let kind = numbers.below(5);
        let reply = if at == 0 {
            Family::Presence
        } else {
            kinds[usize::try_from(kind).unwrap()]
        };
        let glad = if reply == Family::Enhance { 90 } else { 0 };
        helped::Answered {
            day: day(at * 84 / n),
            reply,
            before: Point::new(numbers.near(glad - 50, 40), numbers.near(30, 60)).unwrap(),
            after: Point::new(numbers.near(glad - 10, 50), numbers.near(glad / 2 - 20, 40))
                .unwrap(),
        }
    };
    (0..n).map(one).collect()
}

#[test]
fn what_helped() {
    let draw = |answered: &[helped::Answered]| helped::plot(answered, &period(84));
    let plot = same(&answered(36), draw, "helped.svg");
    says(
        &plot,
        "After \"comfort\" it was mostly more pleasant and calmer; after \"practical help\" it was mostly more pleasant and calmer.",
    );
    assert_eq!(plot.caption, Some(NOT_A_CAUSE));
    same(&answered(5000), draw, "");
}

fn readings(n: i64) -> Vec<readings::Reading> {
    let mut numbers = Numbers(5);
    let one = |at| {
        let (valence, arousal) = (numbers.near(-10, 90), numbers.near(10, 70));
        let differ = |n: i16, by: i16| (n + by).clamp(-100, 100);
        readings::Reading {
            day: day(at * 84 / n),
            guess: Point::new(valence, arousal).unwrap(),
            own: Point::new(
                differ(valence, numbers.near(0, 25)),
                differ(arousal, numbers.near(25, 30)),
            )
            .unwrap(),
        }
    };
    (0..n).map(one).collect()
}

#[test]
fn where_readings_differed() {
    let draw = |list: &[readings::Reading]| readings::plot(list, &period(84));
    let plot = same(&readings(14), draw, "readings.svg");
    says(&plot, "I tend to place you calmer than you are.");
    let plot = same(&readings(5), draw, "");
    says(
        &plot,
        "5 readings, each an arrow to where you said you were.",
    );
}

fn notes(n: i64) -> Vec<responses::FeltNote> {
    let mut numbers = Numbers(8);
    let mut stop = |least: i64| {
        let stop = u8::try_from((least + numbers.below(10 - least)) / 2 * 2).unwrap();
        (numbers.below(6) > 0).then_some(stop)
    };
    let one = |at: i64| responses::FeltNote {
        day: day((at * 84 / n + at * at * 7 % 5).min(83)),
        understood: stop(3),
        validated: stop(0),
        cared: stop(5),
        felt: (at < 3).then_some(4),
    };
    (0..n).map(one).collect()
}

fn stages(n: i64) -> Vec<opened::StageCount> {
    use crate::opening::Stage;
    let mut numbers = Numbers(21);
    let one = |at| {
        let stage = match numbers.below(9) {
            0..4 => None,
            4 => Some(Stage::Knock),
            5 => Some(Stage::Weather),
            6 => Some(Stage::Gist),
            _ => Some(Stage::Room),
        };
        opened::StageCount {
            day: day(at * 160 / n),
            stage,
            count: 1,
        }
    };
    (0..n).map(one).collect()
}

#[test]
fn how_it_was() {
    let plot = same(
        &notes(22),
        |notes| responses::plot(notes, None, &period(84)),
        "responses.svg",
    );
    says(
        &plot,
        "Understood fully, allowed partly and cared for fully: the middle of each, from 22 times.",
    );
    assert_eq!(plot.caption, None);
    let stages = stages(40);
    let draw = |notes: &[responses::FeltNote]| responses::plot(notes, Some(&stages), &period(84));
    let plot = same(&notes(22), draw, "responses-opened.svg");
    assert_eq!(plot.caption, Some(NOT_A_CAUSE));
}

#[test]
fn how_far_ana_opened() {
    let plot = same(
        &stages(90),
        |stages| opened::plot(stages, &period(160)),
        "opened.svg",
    );
    says(
        &plot,
        "Of 90 things written: 44 kept, 4 opened as knock, 9 opened as weather, 10 opened as gist and 23 opened as room.",
    );
}

#[test]
fn which_words() {
    let mut felt = summer(90);
    for felt in felt.iter_mut().skip(3).step_by(9) {
        felt.words.push("own".to_owned());
    }
    felt[0].words.push("of a newer version".to_owned());
    let own = [crate::words::Word::new(
        "own".to_owned(),
        "Sunday-ish & <slow>".to_owned(),
        Point::new(40, -60).unwrap(),
        None,
    )];
    let plot = same(
        &felt,
        |felt| garden::plot(felt, &own, &period(84)),
        "words.svg",
    );
    says(
        &plot,
        "You chose \"trusting\", \"Sunday-ish & <slow>\" and \"jealous\" most often.",
    );
}

fn marks(n: i64) -> Vec<bodily::BodyMark> {
    let mut numbers = Numbers(3);
    let often = [
        Region::Chest,
        Region::Throat,
        Region::Belly,
        Region::Shoulders,
        Region::Hands,
        Region::Legs,
    ];
    let mut one = |at| {
        let region = match numbers.below(5) {
            0 => Region::ALL[usize::try_from(numbers.below(16)).unwrap()],
            _ => often[usize::try_from(numbers.below(6)).unwrap()],
        };
        let more = match region {
            Region::Chest => 2,
            Region::Throat | Region::Belly => 1,
            Region::Legs => -2,
            Region::Hands => -1,
            _ => 0,
        };
        let change = i8::try_from((more + numbers.below(3) - 1).clamp(-2, 2)).unwrap();
        bodily::BodyMark {
            day: day(at * 84 / n),
            region,
            change,
        }
    };
    (0..n).map(|at| one(at)).collect()
}

#[test]
fn where_in_the_body() {
    let draw = |marks: &[bodily::BodyMark]| bodily::plot(marks, &period(84));
    let plot = same(&marks(70), draw, "body.svg");
    says(
        &plot,
        "Of 70 marks the most are at throat (more), legs (much less) and belly (more).",
    );
    let mut odd = marks(3);
    odd.push(bodily::BodyMark {
        day: day(1),
        region: Region::Skin,
        change: 100,
    });
    assert!(matches!(
        draw(&odd),
        Insight::TooFew(TooFew {
            n: 3,
            needed: 4,
            ..
        })
    ));
}

fn weather(n: i64) -> Vec<weather::SharedWeather> {
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
    says(&plot, "?");
}

#[test]
fn joys_both_celebrated() {
    let joy = |since: i64| joys::Joy {
        day: day(since),
        title: format!("number {since}"),
    };
    let joys: Vec<_> = [3, 4, 17, 17, 40, 66, 80, 83, 100, 131, 150]
        .map(joy)
        .into();
    let plot = same(&joys, |joys| joys::plot(joys, &period(160)), "joys.svg");
    says(&plot, "?");
}

fn spots() -> Vec<map::Spot> {
    use crate::questions::{Told, all, told};
    let mut numbers = Numbers(17);
    let spot = |question: &crate::questions::Question| {
        let on = match numbers.below(3 + i64::from(question.depth.number())) {
            0 | 1 => Some(day(numbers.below(150))),
            2 => Some("2025-03-01".to_owned()),
            _ => None,
        };
        let mut told = told(on.as_deref(), &day(159), question.theme);
        let untold = question.theme == crate::questions::Theme::Dreams;
        if untold {
            told = Told::Hollow;
        }
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
    let plot = same(&spots(), draw, "map.svg");
    says(&plot, "?");
    let mut many = spots();
    for _ in 0..3 {
        many.extend(many.clone());
    }
    let draw = |spots: &[map::Spot]| map::plot(spots, map::Whose::Theirs, &period(160));
    same(&many, draw, "");
}

/// Everything Ana could ever look at, with `n` records for each.
fn everything(n: i64) -> Vec<Insight> {
    let days = period(160);
    let own = [];
    vec![
        places::plot(&summer(n), &days),
        moved::plot(&summer(n), &days),
        garden::plot(&summer(n), &own, &days),
        bodily::plot(&marks(n), &days),
        helped::plot(&answered(n), &days),
        responses::plot(&notes(n), Some(&stages(n)), &days),
        opened::plot(&stages(n), &days),
        readings::plot(&readings(n), &days),
        weather::plot(&weather(n), ["Ana", "Ben"], &days),
        map::plot(&spots(), map::Whose::Mine, &days),
    ]
}

#[test]
fn three_records_are_too_few_for_any_plot() {
    for insight in everything(3) {
        match insight {
            Insight::TooFew(few) => assert!(few.n <= 3 && few.needed == SHOWN_FROM),
            Insight::Plot(plot) => assert_eq!(plot.name, "map-mine"),
        }
    }
}

#[test]
fn a_long_life_is_still_a_small_picture_soon_drawn() {
    let felt = summer(100_000);
    let words = ["joy.cheerful", "fear.worried"].map(str::to_owned).to_vec();
    let started = std::time::Instant::now();
    let mut plots = vec![
        shown(places::plot(&felt, &period(84)), ""),
        shown(moved::plot(&felt, &period(84)), ""),
    ];
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let mut felt = felt;
    for felt in &mut felt {
        felt.words.clone_from(&words);
    }
    plots.push(shown(garden::plot(&felt, &[], &period(84)), ""));
    plots.push(shown(bodily::plot(&marks(100_000), &period(84)), ""));
    plots.push(shown(helped::plot(&answered(100_000), &period(84)), ""));
    plots.push(shown(
        responses::plot(&notes(100_000), Some(&stages(100_000)), &period(160)),
        "",
    ));
    plots.push(shown(opened::plot(&stages(100_000), &period(160)), ""));
    plots.push(shown(readings::plot(&readings(100_000), &period(84)), ""));
    plots.push(shown(
        weather::plot(&weather(100_000), ["Ana", "Ben"], &period(84)),
        "",
    ));
    assert!(plots.iter().all(|plot| plot.n > 1000));
    let ages = Period::new("0001-01-01", "9999-12-31").unwrap();
    shown(opened::plot(&stages(50), &ages), "");
    shown(moved::plot(&summer(50), &ages), "");
    let joy = |since| joys::Joy {
        day: day(since),
        title: "<b>".to_owned(),
    };
    let joys: Vec<_> = (0..400).map(joy).collect();
    shown(joys::plot(&joys, &ages), "");
}

/// `docs` promise that nobody is summed up, measured or compared. Neither pictures nor sentences nor
/// what this crate offers to others may speak of it.
#[test]
fn nothing_is_scored() {
    const NEVER: [&str; 12] = [
        "score",
        "streak",
        "rating",
        "rate",
        "percent",
        "%",
        "average",
        "rank",
        "response time",
        "reply time",
        "correlat",
        "compatib",
    ];
    let spoken = |text: &str| {
        let text = text.to_lowercase();
        let words: Vec<_> = text
            .split(|c: char| !c.is_alphanumeric() && c != '%')
            .collect();
        let text = words.join(" ");
        NEVER.into_iter().find(|never| match *never {
            // Part of innocent words such as "separate".
            "rate" | "rank" | "rating" => {
                words.contains(never) || words.contains(&&*format!("{never}s"))
            }
            _ => text.contains(never),
        })
    };
    for insight in everything(60) {
        let Insight::Plot(plot) = insight else {
            panic!("sixty are enough");
        };
        let mut texts = vec![plot.name, plot.title, &plot.summary, plot.how];
        texts.extend(plot.caption);
        texts.extend(plot.table.headers.iter());
        texts.extend(plot.table.rows.iter().flatten().map(String::as_str));
        for text in texts {
            assert_eq!(spoken(text), None, "{text}");
        }
        let read = roxmltree::Document::parse(&plot.svg).unwrap();
        let texts = read.descendants().filter_map(|node| node.text());
        for text in texts {
            assert_eq!(spoken(text), None, "{text}");
        }
    }
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let line = line.trim();
                let Some(item) = line.strip_prefix("pub ") else {
                    continue;
                };
                seen += 1;
                // Names in snake and in camel case fall apart into words.
                let mut name = String::new();
                for c in item.replace('_', " ").chars() {
                    if c.is_uppercase() {
                        name.push(' ');
                    }
                    name.push(c);
                }
                assert_eq!(spoken(&name), None, "{}: {line}", path.display());
            }
        }
    }
    assert!(seen > 200);
}
