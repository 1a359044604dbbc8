//! The questions Ana and Ben are asked.

use super::*;
use proptest::prelude::*;

const SEED: [u8; 32] = [7; 32];

fn day(number: u32) -> String {
    format!(
        "20{:02}-{:02}-{:02}",
        26 + number / 336,
        number / 28 % 12 + 1,
        number % 28 + 1
    )
}

fn dated(question: &str, day: &str) -> Dated {
    Dated {
        question: question.to_owned(),
        day: day.to_owned(),
    }
}

fn ours(id: &str, theme: Theme, depth: Depth) -> Question {
    Question {
        id: id.to_owned(),
        theme,
        depth,
        text: "Which of our walks was the best?".to_owned(),
    }
}

#[test]
fn the_list_has_eight_questions_a_theme_and_all_depths() {
    assert_eq!(all().len(), 64);
    for theme in Theme::ALL {
        let of: Vec<_> = all().iter().filter(|q| q.theme == theme).collect();
        assert_eq!(of.len(), 8, "{theme}");
        assert!(of.is_sorted_by_key(|q| q.depth));
        assert_eq!(theme.as_str().parse(), Ok(theme));
    }
    let of = |depth| all().iter().filter(|q| q.depth == depth).count();
    assert_eq!(Depth::ALL.map(of), [25, 24, 15]);
    for question in all() {
        assert!(question.text.ends_with('?') && !question.text.contains('"'));
    }
    assert!("fun".parse::<Theme>().is_err());
    assert_eq!(Depth::from_number(0), None);
}

/// Records keep these ids for ever: a question may be added at the end of its theme, and none may
/// change its place.
#[test]
fn ids_stay() {
    let hash = Sha256::digest(
        all()
            .iter()
            .map(|q| format!("{}\n", q.id))
            .collect::<String>(),
    );
    let texts = Sha256::digest(
        all()
            .iter()
            .map(|q| format!("{}\n", q.text))
            .collect::<String>(),
    );
    let short = |hash: &[u8]| {
        hash.iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    };
    assert_eq!(short(&hash), "481726623675a2b8");
    assert_eq!(short(&texts), "d4fb978831fe33e0");
    let third = by_id("everyday.3", &[]).unwrap();
    assert!(third.text.starts_with("Which household task"));
}

#[test]
fn answers_grow_old_by_theme() {
    let stale = |theme, today| is_stale("2026-01-01", today, theme);
    assert!(!stale(Theme::Weather, "2026-04-01"));
    assert!(stale(Theme::Weather, "2026-04-02"));
    assert!(!stale(Theme::People, "2026-06-30"));
    assert!(stale(Theme::People, "2026-07-01T08:00"));
    assert!(!stale(Theme::Dreams, "2027-01-01"));
    assert!(stale(Theme::Dreams, "2027-01-02"));
    assert!(!stale(Theme::Work, "2025-01-01"));
    assert!(is_stale("long ago", "2026-01-01", Theme::Early));
    assert_eq!(told(None, "2026-01-01", Theme::Us), Told::Hollow);
    assert_eq!(
        told(Some("2026-01-01"), "2026-01-01", Theme::Us),
        Told::Current
    );
    assert_eq!(
        told(Some("2025-01-01"), "2026-01-01", Theme::Us),
        Told::Ageing
    );
}

#[test]
fn what_to_ask_next_is_spread_over_the_themes() {
    let ids = |list: Vec<&Question>| list.into_iter().map(|q| q.id.clone()).collect::<Vec<_>>();
    let mut told_on = BTreeMap::new();
    let mut passed = BTreeSet::new();
    let next = ask_next("2026-07-01", &[], &told_on, &passed, false);
    assert_eq!(ids(next), ["everyday.1", "body.1", "weather.1"]);
    passed.insert("body.1".to_owned());
    told_on.insert("everyday.1".to_owned(), "2026-06-01".to_owned());
    let next = ask_next("2026-07-01", &[], &told_on, &passed, false);
    assert_eq!(ids(next), ["body.2", "weather.1", "early.1"]);
}

#[test]
fn when_all_is_told_only_what_grew_old_is_asked_again() {
    let mut told_on: BTreeMap<String, String> = all()
        .iter()
        .map(|q| (q.id.clone(), "2026-06-01".to_owned()))
        .collect();
    let none = BTreeSet::new();
    assert!(ask_next("2026-06-30", &[], &told_on, &none, true).is_empty());
    told_on.insert("early.8".to_owned(), "2025-01-01".to_owned());
    told_on.insert("work.2".to_owned(), "2026-01-01".to_owned());
    let ask = |deep| ask_next("2026-06-30", &[], &told_on, &none, deep);
    assert_eq!(ask(true).len(), 2);
    assert_eq!(ask(false).len(), 1);
    let own = [ours("q1", Theme::Early, Depth::Light)];
    assert_eq!(
        ask_next("2026-06-30", &own, &told_on, &none, false)[0].id,
        "q1"
    );
}

/// Every day Ana's and Ben's devices pick the same question and write it down.
#[test]
fn a_year_of_questions_asks_all_before_any_again() {
    let own = [ours("q1", Theme::Us, Depth::Deep)];
    let mut picked: Vec<Dated> = Vec::new();
    let mut answered: Vec<Dated> = Vec::new();
    let mut last_deep = false;
    for number in 0..400 {
        let today = day(number);
        let shared = Shared {
            ours: &own,
            picked: &picked,
            answered: &answered,
            both_want_deep: true,
            paused: number % 9 == 0,
        };
        let question = pick(&today, &SEED, shared).unwrap();
        let deep = question.depth == Depth::Deep;
        assert!(!(deep && (last_deep || shared.paused)), "{today}");
        last_deep = deep;
        let id = question.id.clone();
        if picked.iter().any(|dated| dated.question == id) {
            let asked = |q: &&Question| picked.iter().any(|dated| dated.question == q.id);
            let mut unasked = all().iter().chain(&own).filter(|q| !asked(q));
            assert!(unasked.all(|q| q.depth == Depth::Deep), "{today} {id}");
        }
        answered.push(dated(&id, &today));
        picked.push(dated(&id, &today));
    }
}

#[test]
fn what_happens_today_does_not_change_what_is_asked_today() {
    let mut picked = vec![
        dated("everyday.1", "2026-06-30"),
        dated("us.7", "2026-06-29"),
    ];
    let mut answered = vec![dated("everyday.1", "2026-06-30")];
    let before = Shared {
        picked: &picked,
        answered: &answered,
        both_want_deep: true,
        ..Shared::default()
    };
    let first = pick("2026-07-01", &SEED, before).unwrap().id.clone();
    picked.push(dated(&first, "2026-07-01T09:00"));
    answered.push(dated(&first, "2026-07-01"));
    answered.push(dated("us.1", "2026-07-02"));
    picked.reverse();
    let after = Shared {
        picked: &picked,
        answered: &answered,
        both_want_deep: true,
        ..Shared::default()
    };
    assert_eq!(pick("2026-07-01T23:00", &SEED, after).unwrap().id, first);
    assert_ne!(pick("2026-07-02", &SEED, after).unwrap().id, first);
}

#[test]
fn an_unknown_question_counts_as_deep() {
    let picked = [dated("of a newer version", "2026-06-30")];
    for n in 0..60 {
        let shared = Shared {
            picked: &picked,
            both_want_deep: true,
            ..Shared::default()
        };
        let question = pick("2026-07-01", &[n; 32], shared).unwrap();
        assert_ne!(question.depth, Depth::Deep);
    }
}

#[test]
fn the_secret_decides() {
    let picks: BTreeSet<_> = (0..60)
        .map(|n| {
            pick("2026-07-01", &[n; 32], Shared::default())
                .unwrap()
                .id
                .clone()
        })
        .collect();
    assert!(picks.len() > 25);
    assert_eq!(pick("2026-07-32", &SEED, Shared::default()), None);
    // The pick is part of what devices must agree on: it may not change from version to version.
    let fixed = pick("2026-07-01", &SEED, Shared::default()).unwrap();
    assert_eq!(fixed.id, "dreams.1");
}

proptest! {
    #[test]
    fn a_deep_question_needs_both(
        seed in any::<[u8; 32]>(),
        number in 0_u32..5000,
        told in prop::collection::vec((0_usize..64, 0_u32..5000), 0..80),
    ) {
        let told: Vec<_> = told
            .into_iter()
            .map(|(question, number)| dated(&all()[question].id, &day(number)))
            .collect();
        let shared = Shared { picked: &told, answered: &told, ..Shared::default() };
        let question = pick(&day(number), &seed, shared).unwrap();
        prop_assert!(question.depth != Depth::Deep);
    }
}
