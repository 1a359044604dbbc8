//! The words people are offered.

use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn point(typed: &str) -> Point {
    typed.parse().unwrap()
}

fn own(id: &str, text: &str, at: &str, family: Option<Family>) -> Word {
    Word::new(id.to_owned(), text.to_owned(), point(at), family)
}

fn texts(words: &[&Word]) -> Vec<String> {
    words.iter().map(|word| word.text.clone()).collect()
}

fn assert_holds(at: Point, own: &[Word]) {
    let words = nearest(at, own);
    assert_eq!(words.len(), NEAREST);
    let families: BTreeSet<_> = words.iter().filter_map(|word| word.family).collect();
    assert!(families.len() >= NEAREST_FAMILIES, "{:?}", texts(&words));
    let far: Vec<_> = words
        .iter()
        .map(|word| at.distance_squared(word.point))
        .collect();
    assert!(far.is_sorted(), "{far:?}");
    let ids: BTreeSet<_> = words.iter().map(|word| word.id()).collect();
    let texts: BTreeSet<_> = words.iter().map(|word| folded(&word.text)).collect();
    assert_eq!((ids.len(), texts.len()), (NEAREST, NEAREST));
}

#[test]
fn the_list_holds_five_words_in_each_family() {
    assert_eq!(all().len(), 100);
    for family in Family::ALL {
        assert_eq!(of_family(family, &[]).len(), 5, "{family}");
        assert_eq!(family.as_str().parse(), Ok(family));
    }
    assert_eq!("rage".parse::<Family>(), Err(NoSuchFamily));
    for word in all() {
        assert_eq!(folded(&word.text), word.text);
    }
}

/// Records keep these ids for ever: a word may be added, and none may change or go.
#[test]
fn ids_stay() {
    let ids: Vec<_> = all().iter().map(Word::id).collect();
    let hash = Sha256::digest(ids.join("\n"));
    let hash: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    assert_eq!(hash, "0265762edc0db0c1");
    assert_eq!(by_id("joy.cheerful", &[]).unwrap().text(), "cheerful");
    assert!(by_id("joy.cheer", &[]).is_none());
}

#[test]
fn a_tap_offers_words_that_differ_in_meaning() {
    let words = nearest(point("-0.44,0.48"), &[]);
    let expected = ["embarrassed", "worried", "annoyed", "tense", "suspicious"];
    assert_eq!(texts(&words), expected);
    let words = nearest(point("-0.5,0.75"), &[]);
    assert!(texts(&words).contains(&"overwhelmed".to_owned()));
}

#[test]
fn every_cell_and_corner_of_the_grid_has_its_words() {
    for valence in -100..=100_i16 {
        for arousal in -100..=100_i16 {
            assert_holds(Point::new(valence, arousal).unwrap(), &[]);
        }
    }
}

#[test]
fn own_words_come_first_but_leave_room_for_other_families() {
    let crowd: Vec<_> = (0..20)
        .map(|n| {
            own(
                &format!("own{n:02}"),
                &format!("soft {n:02}"),
                "0.3,-0.3",
                None,
            )
        })
        .collect();
    let words = nearest(point("0.3,-0.3"), &crowd);
    assert_eq!(texts(&words)[..2], ["soft 00", "soft 01"]);
    assert_holds(point("0.3,-0.3"), &crowd);
}

#[test]
fn a_built_in_word_can_be_renamed_and_moved() {
    let mine = [own(
        "joy.cheerful",
        "Sunny",
        "-0.5,-0.5",
        Some(Family::Guard),
    )];
    let sunny = find("sunny", &mine).unwrap();
    assert_eq!(sunny.family(), Some(Family::Joy));
    assert_eq!(find("cheerful", &mine), Some(sunny));
    assert_eq!(by_id("joy.cheerful", &mine), Some(sunny));
    assert_eq!(nearest(point("-0.5,-0.5"), &mine)[0], sunny);
    assert!(!texts(&of_family(Family::Joy, &mine)).contains(&"cheerful".to_owned()));
    assert_eq!(of_family(Family::Joy, &mine).len(), 5);
}

#[test]
fn even_a_hundred_words_renamed_to_one_leave_five_to_choose_from() {
    let same: Vec<_> = all()
        .iter()
        .map(|word| own(word.id(), "meh", "0,0", None))
        .collect();
    assert_holds(point("0,0"), &same);
    assert_holds(point("1,1"), &same);
}

#[test]
fn a_typed_word_is_found() {
    let couple = [
        own("w1", "Sunday-ish", "0.4,-0.5", None),
        own("w2", "Tense", "-0.2,0.2", None),
    ];
    let id = |typed: &str| find(typed, &couple).map(Word::id);
    assert_eq!(id("  CHEERFUL "), Some("joy.cheerful"));
    assert_eq!(id("cozy"), Some("ease.cosy"));
    assert_eq!(id("Energized"), Some("energy.energised"));
    assert_eq!(id("energised"), Some("energy.energised"));
    assert_eq!(id("hurt.betrayed"), Some("hurt.betrayed"));
    assert_eq!(id("sunday-ISH"), Some("w1"));
    assert_eq!(id("tense"), Some("w2"));
    assert_eq!(id("hangry"), None);
    assert_eq!(id(""), None);
    for (_, id) in ALIASES {
        assert!(by_id(id, &[]).is_some());
    }
}

#[test]
fn a_family_is_ordered_by_how_lively_its_words_are() {
    let words = of_family(Family::Fear, &[]);
    let expected = ["panicked", "afraid", "anxious", "worried", "uneasy"];
    assert_eq!(texts(&words), expected);
    let mine = [own("w", "jittery", "-0.5,0.65", Some(Family::Fear))];
    assert_eq!(texts(&of_family(Family::Fear, &mine))[2], "jittery");
}

#[test]
fn a_debug_print_shows_no_word() {
    let word = own("w", "secret", "0,0", None);
    assert_eq!(format!("{word:?}"), "Word { .. }");
}

fn any_point() -> impl Strategy<Value = Point> {
    (-100..=100_i16, -100..=100_i16).prop_map(|(v, a)| Point::new(v, a).unwrap())
}

fn any_own() -> impl Strategy<Value = Vec<Word>> {
    let near = (-3..=3_i16, -3..=3_i16).prop_map(|(v, a)| Point::new(v, a).unwrap());
    let family = prop::option::of(prop::sample::select(Family::ALL.to_vec()));
    let id = prop_oneof![
        "[a-c]{1,2}",
        prop::sample::select(all()).prop_map(|word| word.id),
    ];
    let text = prop_oneof![
        "[a-cA-C]{1,2}",
        prop::sample::select(all()).prop_map(|word| word.text),
    ];
    let word = (id, text, prop_oneof![near, any_point()], family);
    let word = word.prop_map(|(id, text, point, family)| Word::new(id, text, point, family));
    prop::collection::vec(word, 0..40)
}

proptest! {
    #[test]
    fn whatever_words_people_add_there_are_five_of_three_families(
        at in any_point(),
        own in any_own(),
    ) {
        assert_holds(at, &own);
        let mut turned = own.clone();
        turned.reverse();
        prop_assert!(nearest(at, &own) == nearest(at, &turned));
    }
}
