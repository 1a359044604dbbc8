use proptest::prelude::*;

use super::*;
use crate::records::{BidSort, NONCE_BYTES, Topic, When};

const DAY: &str = "2026-07-01";

fn id(n: usize) -> String {
    format!("{n:032x}")
}

fn shown(text: &str) -> Shown {
    Shown {
        text: Some(text.to_owned()),
        point: None,
        nonce: "07".repeat(NONCE_BYTES),
    }
}

fn sealed(id: &str, topic: Topic, text: &str) -> Sealed {
    Sealed {
        commit: commitment(id, &topic, &shown(text)),
        topic,
        shown: None,
        met: Vec::new(),
        on: DAY.to_owned(),
    }
}

/// Everything in the shared space: whose, its id, what it is, and what it says when it is shown.
#[derive(Clone, Default)]
struct Log(Vec<(bool, String, Sealed, String)>);

impl Log {
    fn seal(&mut self, ana: bool, text: &str) -> String {
        let id = id(self.0.len() + 1);
        let sealed = sealed(&id, Topic::Tune(DAY.to_owned()), text);
        self.0.push((ana, id.clone(), sealed, text.to_owned()));
        id
    }

    fn of(&self, ana: bool) -> Vec<Held<'_>> {
        let own = self.0.iter().filter(|(whose, ..)| *whose == ana);
        own.map(|(_, id, sealed, _)| Held { id, sealed }).collect()
    }

    /// What a device of one does that sees all of it; returns whether that was anything.
    fn show(&mut self, ana: bool) -> bool {
        let due = due(&self.of(ana), &self.of(!ana));
        for one in &due {
            let place = self.0.iter_mut().find(|(_, id, ..)| *id == one.id);
            let (_, id, sealed, text) = place.unwrap();
            assert!(opens(id, sealed, &shown(text)));
            sealed.shown = Some(shown(text));
            sealed.met.clone_from(&one.met);
        }
        !due.is_empty()
    }

    fn texts(&self, ana: bool) -> Vec<Vec<String>> {
        let rounds = rounds(&self.of(ana), &self.of(!ana));
        rounds
            .iter()
            .map(|round| match &round.theirs {
                Theirs::Open(all) => all
                    .iter()
                    .map(|(_, one)| one.text.clone().unwrap())
                    .collect(),
                Theirs::Closed | Theirs::False => Vec::new(),
            })
            .collect()
    }
}

#[test]
fn nobody_sees_before_both_have_sealed() {
    let mut log = Log::default();
    log.seal(true, "the sea");
    assert!(!log.show(true) && !log.show(false));
    assert!(rounds(&log.of(true), &log.of(false)).is_empty());
    log.seal(false, "the hills");
    assert!(log.show(true));
    assert_eq!(log.texts(false), [[""; 0]; 0], "Ben has not shown his");
    assert!(log.show(false));
    assert_eq!(log.texts(true), [["the hills"]]);
    assert_eq!(log.texts(false), [["the sea"]]);
    assert!(!log.show(true) && !log.show(false));
}

#[test]
fn whoever_seals_another_when_they_have_seen_yours_is_not_counted() {
    let mut log = Log::default();
    log.seal(true, "the sea");
    log.seal(false, "the hills");
    log.show(true);
    log.seal(false, "the sea, too");
    log.show(false);
    assert_eq!(log.texts(true), [["the hills"]]);
}

#[test]
fn whoever_seals_several_shows_all_of_them_or_none() {
    let mut log = Log::default();
    log.seal(true, "the sea");
    log.seal(false, "the hills");
    let sea = log.seal(false, "the sea");
    log.show(true);
    let mut only_one = log.clone();
    only_one.show(false);
    for (_, id, sealed, _) in &mut only_one.0 {
        if *id != sea && id != &super::tests::id(1) {
            sealed.shown = None;
        }
    }
    assert_eq!(only_one.texts(true), [[""; 0]]);
    log.show(false);
    assert_eq!(log.texts(true), [["the hills", "the sea"]]);
}

#[test]
fn what_was_not_sealed_is_not_shown() {
    let mut log = Log::default();
    log.seal(true, "the sea");
    let ben = log.seal(false, "the hills");
    log.show(true);
    log.show(false);
    let (_, _, sealed, _) = log.0.iter_mut().find(|(_, id, ..)| *id == ben).unwrap();
    sealed.shown = Some(shown("the sea"));
    let rounds = rounds(&log.of(true), &log.of(false));
    assert!(matches!(rounds.first().unwrap().theirs, Theirs::False));
}

#[test]
fn a_guess_waits_for_the_answer_and_not_for_another_guess() {
    let (question, ana, ben) = ("everyday.1".to_owned(), id(1), id(2));
    let guess = sealed(&ana, Topic::MapGuess(question.clone()), "tea");
    let other = sealed(&ben, Topic::MapGuess(question.clone()), "coffee");
    let answer = sealed(&ben, Topic::MapAnswer(question), "coffee");
    let own = [Held {
        id: &ana,
        sealed: &guess,
    }];
    let held = |sealed| [Held { id: &ben, sealed }];
    assert!(due(&own, &held(&other)).is_empty());
    assert_eq!(due(&own, &held(&answer)).len(), 1);
}

fn bid(fades_at_ms: i64) -> Bid {
    Bid {
        sort: BidSort::Hold,
        text: None,
        wish: When::Now,
        fades_at_ms,
        on: DAY.to_owned(),
    }
}

#[test]
fn a_bid_that_nobody_answered_is_gone_when_it_has_faded() {
    let bid = bid(3_600_000);
    assert!(!is_gone(&bid, false, 3_599_999));
    assert!(is_gone(&bid, false, 3_600_000));
    assert!(!is_gone(&bid, true, i64::MAX));
}

fn pick(question: &str, on: &str, draw: Option<&str>) -> Pick {
    Pick {
        question: question.to_owned(),
        draw: draw.map(|digit| digit.repeat(64)),
        on: on.to_owned(),
    }
}

#[test]
fn all_devices_take_the_same_of_several_picks_and_only_one_that_may_be_asked() {
    let mut picks = vec![
        pick("everyday.1", DAY, None),
        pick("people.2", DAY, None),
        pick("dreams.3", "2026-06-30", None),
    ];
    let one = agreed(&picks, DAY, |_| true).unwrap().to_owned();
    picks.reverse();
    assert_eq!(agreed(&picks, DAY, |_| true), Some(&*one));
    let other = agreed(&picks, DAY, |question| question != one).unwrap();
    assert_ne!(other, one);
    assert_eq!(agreed(&picks, DAY, |_| false), None);
}

#[test]
fn what_a_pick_hangs_on_is_of_earlier_days_in_any_order() {
    let early = [
        pick("a.1", "2026-06-29", Some("1")),
        pick("a.2", "2026-06-30", Some("2")),
    ];
    let with_today = [
        early[1].clone(),
        early[0].clone(),
        pick("a.3", DAY, Some("3")),
    ];
    assert_eq!(seed(&early, DAY), seed(&with_today, DAY));
    assert_ne!(seed(&early, DAY), seed(&early[..1], DAY));
}

#[test]
fn deep_questions_are_wanted_for_a_week_that_begins_on_monday() {
    let choices = |day: &str| Choices {
        on_this_day: false,
        heavy_days: false,
        ours: false,
        deep_in_week_of: Some(day.to_owned()),
        on: day.to_owned(),
    };
    // 2026-07-01 is a Wednesday.
    for (chosen, wanted) in [
        ("2026-06-28", false),
        ("2026-06-29", true),
        ("2026-07-05", true),
        ("2026-07-06", false),
    ] {
        assert_eq!(wants_deep(Some(&choices(chosen)), DAY), wanted, "{chosen}");
    }
    assert!(!wants_deep(None, DAY));
}

/// What happens in a run: one of several devices of either seals or shows, having seen so much of
/// what happened before.
#[derive(Debug, Clone)]
enum Step {
    Seal(bool),
    Show(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Seal),
        any::<bool>().prop_map(Step::Show)
    ]
}

proptest! {
    /// Whatever happens in whatever order, in the end each sees of the other what the other sees
    /// of themselves, and whatever came first makes no difference to what is seen.
    #[test]
    fn both_see_the_same_in_the_end_in_any_order(
        steps in prop::collection::vec(step(), 0..12),
        turn in 0usize..12,
    ) {
        let mut log = Log::default();
        for (n, step) in steps.iter().enumerate() {
            match step {
                Step::Seal(ana) => { log.seal(*ana, &format!("{n}")); }
                Step::Show(ana) => { log.show(*ana); }
            }
            let sealed = |ana| !log.of(ana).is_empty();
            for ana in [true, false] {
                let seen = log.texts(ana).iter().any(|texts| !texts.is_empty());
                prop_assert!(!seen || (sealed(true) && sealed(false)));
            }
        }
        while log.show(true) || log.show(false) {}
        for ana in [true, false] {
            let shows = rounds(&log.of(ana), &log.of(!ana));
            for round in &shows {
                prop_assert!(matches!(round.theirs, Theirs::Open(_)));
            }
            let mut other = log.clone();
            let turn = turn.min(other.0.len());
            other.0.rotate_left(turn);
            prop_assert!(rounds(&other.of(ana), &other.of(!ana)) == shows);
            prop_assert!(due(&other.of(ana), &other.of(!ana)).is_empty());
        }
    }
}
