//! What two devices of one person say at the same time does not become something that neither said.

use ajar_journal::book::{self, Saying, Side};
use ajar_journal::entry;
use ajar_journal::layers::{Body, Layers, Need, Thought};
use ajar_journal::record::{self, Record};
use ajar_journal::records::{Capacity, Choices, Consent, Level, MapSkip, MemoryRule, Pause, facts};
use ajar_journal::schema::Kind;
use automerge::Automerge;
use proptest::prelude::*;

use crate::story::{copy_to, device, kept, meet};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn set<R: Record>(doc: &mut Automerge, record: &R) {
    crate::story::change(doc, |tx| record::set(tx, record)).unwrap();
}

/// The record when both devices have met, whichever of the two has the greater number.
fn met<R: Record>(laptop: &Automerge, phone: &Automerge) -> R {
    let (mut one, mut other) = (laptop.clone(), phone.clone());
    meet(&mut one, &mut other);
    let here: R = record::read(&one).unwrap();
    assert!(record::read::<R, _>(&other).unwrap() == here);
    here
}

fn consent(digit: &str, given: bool) -> Consent {
    Consent {
        about: ID.to_owned(),
        digest: digit.repeat(64),
        given,
        on: "2026-07-01".to_owned(),
    }
}

fn says(consent: &Consent, digit: &str) -> Saying {
    let said = [(Side::Mine, consent)];
    book::standing(None, false, &digit.repeat(64), said).mine
}

#[test]
fn a_no_to_new_words_and_a_yes_to_old_ones_are_no_yes_to_the_new_ones() {
    for (first, second) in [(1, 2), (2, 1)] {
        let mut laptop = device(first);
        set(&mut laptop, &consent("a", true));
        let mut phone = copy_to(&laptop, second);
        // On the laptop Ana hesitates and says yes again to what she sees there.
        set(&mut laptop, &consent("a", false));
        set(&mut laptop, &consent("a", true));
        // On the phone she has seen what Ben made of it, and does not want it.
        set(&mut phone, &consent("b", false));
        let consent = met(&laptop, &phone);
        assert_eq!(says(&consent, "b"), Saying::No);
        assert_eq!(says(&consent, "a"), Saying::No);
    }
}

#[test]
fn a_no_said_again_to_new_words_stays_one() {
    for (first, second) in [(1, 2), (2, 1)] {
        let mut laptop = device(first);
        set(&mut laptop, &consent("a", false));
        let mut phone = copy_to(&laptop, second);
        set(&mut laptop, &consent("a", true));
        set(&mut phone, &consent("b", false));
        assert_eq!(says(&met(&laptop, &phone), "b"), Saying::No);
    }
}

#[test]
fn after_the_no_that_held_ana_can_say_yes_and_lists_say_what_holds() {
    let mut laptop = device(1);
    set(&mut laptop, &consent("a", true));
    let mut phone = copy_to(&laptop, 2);
    set(&mut phone, &consent("a", false));
    set(&mut laptop, &consent("a", false));
    set(&mut laptop, &consent("a", true));
    meet(&mut laptop, &mut phone);
    let listed = facts(&laptop, &Kind::Consent).unwrap().unwrap();
    assert_eq!(listed.fields.get("given"), Some(&false.into()));
    set(&mut phone, &consent("a", true));
    assert_eq!(says(&met(&laptop, &phone), "a"), Saying::Yes);
}

#[test]
fn what_ana_turned_off_on_one_device_is_off() {
    let choices = |ours, heavy_days| Choices {
        on_this_day: true,
        heavy_days,
        ours,
        deep_in_week_of: None,
        on: "2026-07-01".to_owned(),
    };
    let rule = |lifted| MemoryRule {
        from: None,
        until: None,
        tag: Some("sea".to_owned()),
        record: None,
        lifted,
        on: "2026-07-01".to_owned(),
    };
    let skip = |lifted| MapSkip {
        question: "people.1".to_owned(),
        lifted,
        on: "2026-07-01".to_owned(),
    };
    assert_eq!(
        turned(&choices(true, true), &choices(false, false)),
        choices(false, false)
    );
    assert_eq!(turned(&rule(true), &rule(false)), rule(false), "it rests");
    assert_eq!(
        turned(&skip(true), &skip(false)),
        skip(false),
        "it is left out"
    );
}

/// Both devices have the first; one takes the second, the other thinks of it and comes back. When
/// they have met, either can turn it round.
fn turned<R: Record + std::fmt::Debug>(now: &R, then: &R) -> R {
    let lived = |first, second| {
        let mut laptop = device(first);
        set(&mut laptop, now);
        let mut phone = copy_to(&laptop, second);
        set(&mut phone, then);
        set(&mut laptop, then);
        set(&mut laptop, now);
        let here = met::<R>(&laptop, &phone);
        meet(&mut laptop, &mut phone);
        set(&mut phone, now);
        assert_eq!(met::<R>(&laptop, &phone), *now, "turned on again");
        here
    };
    let here = lived(1, 2);
    assert_eq!(lived(2, 1), here);
    here
}

#[test]
fn room_said_for_one_day_is_not_room_on_another() {
    let room = |level, on: &str| Capacity {
        level,
        on: on.to_owned(),
    };
    let mut laptop = device(2);
    set(&mut laptop, &room(Some(Level::NotToday), "2026-07-01"));
    let mut phone = copy_to(&laptop, 1);
    set(&mut laptop, &room(Some(Level::Open), "2026-07-01"));
    set(&mut phone, &room(Some(Level::NotToday), "2026-07-02"));
    let met: Capacity = met(&laptop, &phone);
    assert!(
        met != room(Some(Level::Open), "2026-07-02"),
        "nobody said so"
    );
}

fn say(doc: &mut Automerge, layers: &Layers) -> bool {
    crate::story::change(doc, |tx| entry::set_layers(tx, layers, 1_782_934_200_124)).unwrap()
}

fn said(doc: &Automerge) -> Layers {
    entry::read(doc).unwrap().layers
}

fn happened(text: &str) -> Layers {
    Layers {
        thought: Thought {
            happened: Some(text.to_owned()),
            ..Thought::default()
        },
        ..Layers::default()
    }
}

fn sensed(energy: i8) -> Layers {
    Layers {
        body: Body {
            energy: Some(energy),
            ..Body::default()
        },
        ..Layers::default()
    }
}

/// Ana says one thing on her laptop and another on her phone, before they have met.
fn begun_twice(one: &Layers, other: &Layers) -> [Automerge; 2] {
    let mut laptop = kept("The door stood open.");
    let mut phone = copy_to(&laptop, 2);
    say(&mut laptop, one);
    say(&mut phone, other);
    meet(&mut laptop, &mut phone);
    [laptop, phone]
}

#[test]
fn the_first_layers_of_two_devices_are_both_there() {
    let both = Layers {
        body: sensed(-1).body,
        ..happened("He left early.")
    };
    for doc in begun_twice(&happened("He left early."), &sensed(-1)) {
        assert!(said(&doc) == both);
    }
    for doc in begun_twice(&sensed(-1), &happened("He left early.")) {
        assert!(said(&doc) == both);
    }
}

#[test]
fn the_first_words_of_two_devices_within_one_layer_are_both_there() {
    let story = Layers {
        thought: Thought {
            story: Some("He is tired of me.".to_owned()),
            ..Thought::default()
        },
        ..Layers::default()
    };
    let mut both = happened("He left early.");
    both.thought.story.clone_from(&story.thought.story);
    for doc in begun_twice(&happened("He left early."), &story) {
        assert!(said(&doc) == both);
    }
    // The layers were there already, and that of the thought was begun on both.
    let mut laptop = kept("The door stood open.");
    say(&mut laptop, &sensed(-1));
    let mut phone = copy_to(&laptop, 2);
    let with_body = |layers: &Layers| Layers {
        body: sensed(-1).body,
        ..layers.clone()
    };
    say(&mut laptop, &with_body(&story));
    say(&mut phone, &with_body(&happened("He left early.")));
    meet(&mut laptop, &mut phone);
    assert!(said(&laptop) == with_body(&both) && said(&phone) == with_body(&both));
}

#[test]
fn what_was_begun_twice_can_be_changed_and_taken_away_from_either_device() {
    let lived = |one: &Layers, other: &Layers| {
        let [mut laptop, mut phone] = begun_twice(one, other);
        let changed = Layers {
            body: sensed(2).body,
            ..happened("He left at six.")
        };
        assert!(say(&mut phone, &changed), "something was written");
        assert!(!say(&mut phone, &changed), "and nothing the second time");
        meet(&mut laptop, &mut phone);
        assert!(said(&laptop) == changed);
        say(&mut laptop, &sensed(2));
        meet(&mut laptop, &mut phone);
        assert!(said(&phone) == sensed(2));
        say(&mut phone, &Layers::default());
        assert!(said(&phone).is_empty());
        say(&mut phone, &happened("He came back."));
        meet(&mut laptop, &mut phone);
        assert!(said(&laptop) == happened("He came back."));
    };
    lived(&happened("He left early."), &sensed(-1));
    lived(&sensed(-1), &happened("He left early."));
}

#[test]
fn what_a_third_device_says_meanwhile_is_not_lost_when_the_two_have_met() {
    let mut laptop = kept("The door stood open.");
    let mut phone = copy_to(&laptop, 2);
    say(&mut laptop, &happened("He left early."));
    let mut tablet = copy_to(&laptop, 3);
    say(&mut phone, &sensed(-1));
    meet(&mut laptop, &mut phone);
    let mut more = said(&laptop);
    more.want.need = Some(Need::Hear);
    say(&mut laptop, &more);
    let mut heard = said(&tablet);
    heard.thought.sure = Some(40);
    say(&mut tablet, &heard);
    meet(&mut laptop, &mut tablet);
    more.thought.sure = Some(40);
    assert!(said(&laptop) == more && said(&tablet) == more);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Of what is said as one, everything is from one device.
    #[test]
    fn what_is_said_as_one_stays_as_it_was_said(
        said in prop::collection::vec((where_said(), 0..3_u8, 0..3_u8, any::<bool>()), 2..9),
    ) {
        let day = |n: u8| format!("2026-07-{:02}", n + 1);
        let rooms = said.iter().map(|(place, day_of, level, _)| (*place, Capacity {
            level: [None, Some(Level::Open), Some(Level::Later)][usize::from(*level)],
            on: day(*day_of),
        }));
        one_of_them(&rooms.collect::<Vec<_>>());
        let breaks = said.iter().map(|(place, day_of, minutes, over)| (*place, Pause {
            back_at_ms: i64::from(*minutes) * 60_000,
            line: over.then(|| format!("{minutes}")),
            over: *over && *minutes == 0,
            on: day(*day_of),
        }));
        one_of_them(&breaks.collect::<Vec<_>>());
        let words = said.iter().map(|(place, day_of, digit, _)| (*place, Consent {
            on: day(*day_of),
            ..consent(&digit.to_string(), true)
        }));
        one_of_them(&words.collect::<Vec<_>>());
    }
}

/// Where something is said: on one of the two devices, or on the laptop when they have just met.
#[derive(Clone, Copy, Debug)]
enum Place {
    Laptop,
    Phone,
    Met,
}

fn where_said() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => Just(Place::Laptop),
        3 => Just(Place::Phone),
        1 => Just(Place::Met),
    ]
}

fn one_of_them<R: Record>(said: &[(Place, R)]) {
    let (mut laptop, mut phone) = (device(1), device(2));
    for (place, record) in said {
        match place {
            Place::Laptop => set(&mut laptop, record),
            Place::Phone => set(&mut phone, record),
            Place::Met => {
                meet(&mut laptop, &mut phone);
                set(&mut laptop, record);
            }
        }
    }
    let met: R = met(&laptop, &phone);
    assert!(said.iter().any(|(_, one)| *one == met), "nobody said this");
}
