//! *Which words?* A garden: a flower for each family of words, where its moments lay.

use std::collections::BTreeMap;

use super::exact::{int, round, sin_cos};
use super::plane::Plane;
use super::svg::{Anchor, Paint, Path, Svg};
use super::{Felt, Insight, Period, Plot, SHOWN_FROM, Table, TooFew, label, listed, within};
use crate::date;
use crate::words::{self, Family, Word};

/// What the plot is called.
pub const NAME: &str = "which-words";
/// The question it answers.
pub const TITLE: &str = "Which words?";

const HOW: &str = "A flower stands for a family of words, at the middle of the points you gave \
    those moments, not at the list's. Its size goes with how often you chose from the family, and \
    it has a petal for each of your words in it, the commonest at the top. Neighbours are moved \
    apart a little where they would cover each other.";

/// Most flowers drawn, those chosen most. The table has the rest.
const FLOWERS_MAX: usize = 16;
/// Most petals of a flower.
const PETALS_MAX: usize = 8;
/// Smallest and largest half-width of a flower, in tenths.
const RADIUS: (i32, i32) = (130, 420);
/// Rounds of moving flowers apart.
const ROUNDS: usize = 120;

const PLANE: Plane = Plane {
    x: 700,
    y: 240,
    size: 4600,
};
const SIZE: (i32, i32) = (5600, 5240);

/// How often a word was chosen.
struct Use<'a> {
    word: &'a Word,
    count: usize,
    first: &'a str,
    last: &'a str,
    across: i64,
    up: i64,
}

/// A flower in the making: a family, or somebody's own word without one.
struct Flower<'a> {
    name: String,
    words: Vec<&'a Use<'a>>,
    /// Where it belongs.
    root: (i32, i32),
    /// Where it is drawn.
    place: (i32, i32),
    radius: i32,
    pleasant: bool,
}

/// Draws which words somebody chose. **Own data only.** `own` are their own and the couple's words;
/// ids that are neither these nor built in are left out.
#[must_use]
pub fn plot(felt: &[Felt], own: &[Word], period: &Period) -> Insight {
    let felt = within(felt, period, |felt| &felt.day);
    let uses = uses(&felt, own);
    let chosen = |felt: &&&Felt| felt.words.iter().any(|id| words::by_id(id, own).is_some());
    let n = felt.iter().filter(chosen).count();
    if n < SHOWN_FROM {
        return Insight::TooFew(TooFew {
            name: NAME,
            title: TITLE,
            n,
            needed: SHOWN_FROM,
        });
    }
    let summary = summary(&uses);
    let mut flowers = flowers(&uses);
    part(&mut flowers);
    let mut svg = Svg::new(NAME, SIZE, TITLE, &summary);
    PLANE.draw(&mut svg, false);
    for flower in &flowers {
        draw_flower(&mut svg, flower);
    }
    draw_names(&mut svg, &flowers);
    Insight::Plot(Box::new(Plot {
        name: NAME,
        title: TITLE,
        svg: svg.finish(),
        summary,
        caption: None,
        period: period.clone(),
        n,
        table: table(&uses),
        how: HOW,
    }))
}

/// The words chosen, the commonest first.
fn uses<'a>(felt: &[&'a Felt], own: &'a [Word]) -> Vec<Use<'a>> {
    let mut uses: BTreeMap<&str, Use<'a>> = BTreeMap::new();
    for felt in felt {
        for id in &felt.words {
            let Some(word) = words::by_id(id, own) else {
                continue;
            };
            let day = date::day(&felt.day);
            let one = uses.entry(id).or_insert(Use {
                word,
                count: 0,
                first: day,
                last: day,
                across: 0,
                up: 0,
            });
            one.count += 1;
            one.last = day;
            one.across += i64::from(felt.point.valence());
            one.up += i64::from(felt.point.arousal());
        }
    }
    let mut uses: Vec<_> = uses.into_values().collect();
    uses.sort_by_key(|one| (std::cmp::Reverse(one.count), one.word.id()));
    uses
}

fn flowers<'a>(uses: &'a [Use<'a>]) -> Vec<Flower<'a>> {
    // Words without a family stand for themselves.
    let mut beds: BTreeMap<(Option<Family>, &str), Vec<&Use<'_>>> = BTreeMap::new();
    for one in uses {
        let family = one.word.family();
        let id = if family.is_some() { "" } else { one.word.id() };
        beds.entry((family, id)).or_default().push(one);
    }
    let mut beds: Vec<_> = beds.into_iter().collect();
    let count_of = |words: &[&Use<'_>]| words.iter().map(|one| one.count).sum::<usize>();
    beds.sort_by_key(|(_, words)| std::cmp::Reverse(count_of(words)));
    beds.truncate(FLOWERS_MAX);
    let most = beds
        .iter()
        .map(|(_, words)| count_of(words))
        .max()
        .unwrap_or(1);
    let flower = |((family, _), words): ((Option<Family>, &str), Vec<&'a Use<'a>>)| {
        let count = count_of(&words);
        let total = i64::try_from(count).unwrap_or(i64::MAX).max(1);
        let mean = |sum: i64| i32::try_from(sum.div_euclid(total)).unwrap_or(0);
        let across = mean(words.iter().map(|one| one.across).sum());
        let up = mean(words.iter().map(|one| one.up).sum());
        let own = words.first().map(|one| label(one.word.text()));
        let part = f64::from(int(count)) / f64::from(int(most));
        let root = PLANE.at(across, up);
        Flower {
            name: family.map_or_else(|| own.unwrap_or_default(), |f| f.as_str().to_owned()),
            words,
            root,
            place: root,
            radius: round(f64::from(RADIUS.1) * part.sqrt()).max(RADIUS.0),
            pleasant: across >= 0,
        }
    };
    beds.into_iter().map(flower).collect()
}

/// Moves flowers apart that cover each other, a little each round, and keeps them on the plane.
fn part(flowers: &mut [Flower<'_>]) {
    for _ in 0..ROUNDS {
        let places: Vec<_> = flowers.iter().map(|f| (f.place, f.radius)).collect();
        for (n, flower) in flowers.iter_mut().enumerate() {
            let (mut x, mut y) = flower.place;
            for (other, (place, radius)) in places.iter().enumerate().filter(|(m, _)| *m != n) {
                let (apart_x, apart_y) = (flower.place.0 - place.0, flower.place.1 - place.1);
                // A name stands under each, so they need more room above one another.
                let (wide, high) = (f64::from(apart_x), f64::from(apart_y) * 0.8);
                let far = (wide * wide + high * high).sqrt();
                let wanted = f64::from(flower.radius + radius + 240);
                if far >= wanted {
                    continue;
                }
                if far < 1.0 {
                    // On the same spot: to different sides by their order.
                    x += if other < n { 20 } else { -20 };
                    continue;
                }
                let push = (wanted - far) / far / 8.0;
                x += round(f64::from(apart_x) * push);
                y += round(f64::from(apart_y) * push);
            }
            // It is drawn home as well.
            x += (flower.root.0 - x) / 40;
            y += (flower.root.1 - y) / 40;
            let r = flower.radius;
            flower.place = (
                x.clamp(PLANE.x + r + 60, PLANE.x + PLANE.size - r - 60),
                y.clamp(PLANE.y + r + 60, PLANE.y + PLANE.size - r - 340),
            );
        }
    }
}

fn draw_flower(svg: &mut Svg, flower: &Flower<'_>) {
    let (strong, tint) = match flower.pleasant {
        true => (Paint::Warm, Paint::WarmTint),
        false => (Paint::Cool, Paint::CoolTint),
    };
    let (x, y) = flower.place;
    let petals = flower.words.len().clamp(1, PETALS_MAX);
    let steps = int(petals);
    // Petals are as wide as their number leaves room for.
    let reach = flower.radius;
    let width = reach * 10 / (steps.max(3) * 4 + 6);
    svg.group()
        .fill(tint)
        .stroke(strong)
        .px(&[("stroke-width", 12)])
        .set("stroke-linejoin", "round")
        .open();
    for step in 0..steps {
        let (sin, cos) = sin_cos(step, steps);
        let turned = |out: i32, side: i32| {
            let (out, side) = (f64::from(out), f64::from(side));
            (
                x + round(out * sin + side * cos),
                y - round(out * cos - side * sin),
            )
        };
        let start = turned(reach / 8, 0);
        let tip = turned(reach, 0);
        let (wide, full) = (width * 3 / 2, reach * 19 / 20);
        let path = Path::default()
            .to(start.0, start.1)
            .curve(turned(reach / 3, -wide), turned(full, -wide), tip)
            .curve(turned(full, wide), turned(reach / 3, wide), start)
            .close();
        svg.path(&path).end();
    }
    svg.circle((x, y), reach / 5).fill(strong).end();
    svg.close();
}

/// The family under its flower, and its commonest words where there is room.
fn draw_names(svg: &mut Svg, flowers: &[Flower<'_>]) {
    let beneath =
        |flower: &Flower<'_>, down: i32| (flower.place.0, flower.place.1 + flower.radius + down);
    let mut taken = Vec::new();
    for flower in flowers {
        let r = flower.radius;
        taken.push(Area::around(flower.place, r, r));
        taken.push(Area::of_text(beneath(flower, 150), &flower.name));
    }
    for flower in flowers {
        svg.styled(beneath(flower, 150), Anchor::Middle, Paint::Ink)
            .set("font-size", "13")
            .text(&flower.name);
        let words: Vec<_> = flower
            .words
            .iter()
            .map(|one| label(one.word.text()))
            .collect();
        for n in [2, 1] {
            let words: Vec<_> = words.iter().take(n).map(String::as_str).collect();
            let (text, at) = (words.join(", "), beneath(flower, 280));
            let area = Area::of_text(at, &text);
            if text == flower.name || taken.iter().any(|other| area.meets(*other)) {
                continue;
            }
            taken.push(area);
            svg.styled(at, Anchor::Middle, Paint::Soft)
                .set("font-size", "11")
                .text(&text);
            break;
        }
    }
}

/// Where something stands, as its middle and half its size.
#[derive(Clone, Copy)]
struct Area {
    middle: (i32, i32),
    half: (i32, i32),
}

impl Area {
    fn around(middle: (i32, i32), wide: i32, high: i32) -> Self {
        let half = (wide, high);
        Self { middle, half }
    }

    /// A small line of text. Its width is a guess, as fonts differ.
    fn of_text((x, y): (i32, i32), text: &str) -> Self {
        Self::around((x, y - 35), int(text.chars().count()) * 34, 60)
    }

    fn meets(self, other: Self) -> bool {
        let near = |a: i32, b: i32, half: i32| (a - b).abs() < half;
        near(self.middle.0, other.middle.0, self.half.0 + other.half.0)
            && near(self.middle.1, other.middle.1, self.half.1 + other.half.1)
    }
}

fn summary(uses: &[Use<'_>]) -> String {
    let named = uses
        .iter()
        .take(3)
        .map(|one| format!("\"{}\"", label(one.word.text())));
    let named: Vec<_> = named.collect();
    match uses.len() {
        0..=3 => format!("You chose {}.", listed(&named)),
        _ => format!("You chose {} most often.", listed(&named)),
    }
}

fn table(uses: &[Use<'_>]) -> Table {
    // Of a long list the commonest stay, not the last.
    let rows: Vec<_> = uses
        .iter()
        .take(super::TABLE_ROWS_MAX)
        .map(|one| {
            vec![
                label(one.word.text()),
                one.word.family().map_or("", Family::as_str).to_owned(),
                one.count.to_string(),
                one.first.to_owned(),
                one.last.to_owned(),
            ]
        })
        .collect();
    let left_out = uses.len() - rows.len();
    Table {
        left_out,
        ..Table::new(vec!["Word", "Family", "Times", "First", "Last"], rows)
    }
}
