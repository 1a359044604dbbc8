//! Letters that open on a day or with a mood. They lie on their reader's device, and nothing that
//! shows, lists, finds or exports records gives their text to the reader before.

use crate::record;
use crate::records::{Letter, OpenWhen};
use crate::schema::Kind;
use crate::tree::Fields;

/// Whether a letter is closed to whoever looks at it. Its author may always read it.
#[must_use]
pub fn is_closed(letter: &Letter, by_me: bool, today: &str) -> bool {
    !by_me && !letter.is_open(today)
}

/// What its reader may know of when it opens.
#[must_use]
pub fn opens(letter: &Letter) -> Option<(&'static str, &str)> {
    match letter.open.as_ref()? {
        OpenWhen::Day(day) => Some(("day", day)),
        OpenWhen::Mood(mood) => Some(("mood", mood)),
    }
}

/// Takes out of the fields of a record what is closed to whoever looks at it. Returns whether
/// something was. A letter that does not hold is closed.
pub fn close(kind: &Kind, fields: &mut Fields, by_me: bool, today: &str) -> bool {
    if *kind != Kind::Letter || by_me {
        return false;
    }
    let letter = record::from_fields::<Letter>(fields.clone());
    if letter.is_ok_and(|letter| !is_closed(&letter, by_me, today)) {
        return false;
    }
    // Only the envelope stays: a field that this version does not know may hold anything.
    fields.retain(|name, _| matches!(name.as_str(), "title" | "open" | "on" | "kind" | "schema"));
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(open: &Value) -> Fields {
        match json!({
            "schema": 1, "kind": "letter", "title": "For July", "text": "the sea",
            "open": open, "on": "2026-06-01", "newer": "the sea",
        }) {
            Value::Object(fields) => fields,
            _ => Fields::new(),
        }
    }

    fn shown(open: &Value, by_me: bool, today: &str) -> bool {
        let mut fields = fields(open);
        let closed = close(&Kind::Letter, &mut fields, by_me, today);
        let text = Value::Object(fields).to_string();
        assert_eq!(closed, !text.contains("the sea"));
        assert!(text.contains("For July"));
        !closed
    }

    #[test]
    fn a_letter_opens_on_its_day_and_not_before() {
        let day = json!({"day": "2026-07-01"});
        assert!(!shown(&day, false, "2026-06-30"));
        assert!(shown(&day, false, "2026-07-01"));
        assert!(shown(&day, false, "2027-01-01"));
        assert!(shown(&day, true, "2026-06-30"));
    }

    #[test]
    fn a_letter_for_a_mood_is_never_open_by_itself() {
        let mood = json!({"mood": "sad"});
        assert!(!shown(&mood, false, "9999-12-31"));
        assert!(shown(&mood, true, "2026-06-30"));
    }

    #[test]
    fn what_does_not_hold_stays_closed() {
        assert!(!shown(&json!("whenever"), false, "9999-12-31"));
        assert!(!shown(&json!({"day": "soon"}), false, "9999-12-31"));
    }

    #[test]
    fn other_records_are_left_as_they_are() {
        let mut other = fields(&json!({"mood": "sad"}));
        assert!(!close(&Kind::Page, &mut other, false, "2026-07-01"));
        assert!(other.contains_key("text"));
    }
}
