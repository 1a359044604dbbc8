//! Two devices of Ana change one record while they do not hear of each other. Whatever they did, and
//! in whatever order it reaches her other devices and Ben's, all of them read the same afterwards, and
//! something that can be read.

use ajar_journal::book::{self, Saying, Side};
use ajar_journal::record::{self, Record};
use ajar_journal::records::{
    Agreement, Capacity, Choices, Consent, Level, MapAnswer, MapSkip, MemoryRule, OwnWord, Passage,
    Pause, Pick,
};
use ajar_journal::{Point, summary};
use automerge::{ActorId, Automerge};
use proptest::prelude::*;
use proptest::sample::select;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// A device with everything that another has.
fn device(of: &Automerge, number: u8) -> Automerge {
    of.clone().with_actor(ActorId::from([number; 16]))
}

fn set<R: Record>(doc: &mut Automerge, record: &R) {
    let set = doc.transact(|tx| record::set(tx, record));
    set.map_err(|failed| failed.error).unwrap();
}

/// What stands in the table of a device.
fn row(doc: &Automerge) -> Option<Vec<u8>> {
    summary::of(doc).map(|summary| summary.head)
}

/// What Ana wrote, on her laptop and on her phone, one after the other; `None`: they meet.
type Acts<R> = Vec<Option<(bool, R)>>;

fn acts<R: Record + std::fmt::Debug>(
    record: impl Strategy<Value = R> + Clone,
) -> impl Strategy<Value = Acts<R>> {
    let act = prop_oneof![
        3 => (any::<bool>(), record.clone()).prop_map(Some),
        1 => Just(None),
    ];
    (record, prop::collection::vec(act, 0..8)).prop_map(|(first, mut acts)| {
        acts.insert(0, Some((true, first)));
        acts
    })
}

/// The record as all four devices read it in the end.
fn lived<R: Record>(acts: &Acts<R>) -> R {
    let nothing = Automerge::new();
    let (mut laptop, mut phone) = (device(&nothing, 1), device(&nothing, 2));
    for act in acts {
        match act {
            Some((true, record)) => set(&mut laptop, record),
            Some((false, record)) => set(&mut phone, record),
            None => {
                laptop.merge(&mut phone).unwrap();
                phone.merge(&mut laptop).unwrap();
            }
        }
    }
    // One of Ben's devices hears the laptop first, the other the phone.
    let mut first = device(&nothing, 3);
    first.merge(&mut laptop).unwrap();
    first.merge(&mut phone).unwrap();
    let mut second = device(&nothing, 4);
    second.merge(&mut phone).unwrap();
    second.merge(&mut laptop).unwrap();
    laptop.merge(&mut phone).unwrap();
    phone.merge(&mut laptop).unwrap();

    let read: R = record::read(&laptop).unwrap_or_else(|error| panic!("cannot be read: {error}"));
    for other in [&phone, &first, &second] {
        let other_read: R = record::read(other).unwrap();
        assert!(other_read == read, "two devices read different things");
        assert_eq!(row(other), row(&laptop));
    }
    read
}

/// Records of two keys and a few values: enough to mix what belongs together.
fn day() -> impl Strategy<Value = String> + Clone {
    select(vec!["2026-07-01", "2026-07-02", "2026-07-03"]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> + Clone {
    select(vec!["the sea", "the harbour", "oranges"]).prop_map(str::to_owned)
}

fn digest() -> impl Strategy<Value = String> + Clone {
    select(vec!["a", "b"]).prop_map(|it| it.repeat(64))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_ana_agrees_to_and_takes_back_is_the_same_everywhere(
        acts in acts((digest(), any::<bool>(), day()).prop_map(|(digest, given, on)| Consent {
            about: ID.to_owned(), digest, given, on,
        })),
        agreed in digest(),
    ) {
        let consent = lived(&acts);
        let standing = |side| book::standing(None, false, &agreed, [(side, &consent)]);
        let (hers, his) = (standing(Side::Mine).mine, standing(Side::Theirs).theirs);
        prop_assert_eq!(hers, his);
        prop_assert_eq!(hers == Saying::No, !consent.given);
        prop_assert_eq!(hers == Saying::Yes, consent.given && consent.digest == agreed);
    }

    #[test]
    fn a_break_and_the_room_for_each_other_are_the_same_everywhere(
        pauses in acts((0..4_i64, prop::option::of(text()), any::<bool>(), day()).prop_map(
            |(minutes, line, over, on)| Pause { back_at_ms: minutes * 60_000, line, over, on },
        )),
        rooms in acts((prop::option::of(select(vec![Level::Open, Level::Later])), day()).prop_map(
            |(level, on)| Capacity { level, on },
        )),
    ) {
        lived(&pauses);
        lived(&rooms);
    }

    #[test]
    fn what_ana_chose_for_herself_is_the_same_on_her_devices(
        choices in acts((any::<[bool; 3]>(), prop::option::of(day()), day()).prop_map(
            |([on_this_day, heavy_days, ours], deep_in_week_of, on)| Choices {
                on_this_day, heavy_days, ours, deep_in_week_of, on,
            },
        )),
        rules in acts((any::<bool>(), day()).prop_map(|(lifted, on)| MemoryRule {
            from: None, until: None, tag: Some("sea".to_owned()), record: None, lifted, on,
        })),
        words in acts((-100..=100_i16, prop::option::of(text()), day()).prop_map(
            |(at, family, on)| OwnWord {
                word: "fizzy".to_owned(),
                point: Point::new(at, -at).unwrap(),
                family,
                on,
            },
        )),
        skips in acts((any::<bool>(), day()).prop_map(|(lifted, on)| MapSkip {
            question: "people.1".to_owned(), lifted, on,
        })),
    ) {
        lived(&choices);
        lived(&rules);
        lived(&words);
        lived(&skips);
    }

    #[test]
    fn what_ana_wrote_for_both_is_the_same_everywhere(
        agreements in acts((text(), day()).prop_map(|(text, on)| Agreement { text, on })),
        passages in acts((text(), prop::option::of(1..=6_u8), day()).prop_map(
            |(text, section, on)| Passage {
                about: ID.to_owned(), text, section, margin: false, on, turn: 1,
            },
        )),
        answers in acts((text(), day()).prop_map(|(text, on)| MapAnswer {
            question: "people.1".to_owned(), text, on,
        })),
        picks in acts((select(vec!["people.1", "people.2"]), prop::option::of(digest()), day())
            .prop_map(|(question, draw, on)| Pick { question: question.to_owned(), draw, on })),
    ) {
        let agreement = lived(&agreements);
        lived(&passages);
        lived(&answers);
        lived(&picks);
        // Both sign the same words, or see that they do not.
        let mut doc = Automerge::new();
        set(&mut doc, &agreement);
        prop_assert_eq!(book::digest_of(&doc).unwrap(), agreement.digest());
    }
}
