//! JSON that anybody may have written: entry by entry, so that one that does not hold costs nothing
//! but itself, and never more memory than its own length allows for.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most values of one entry that are looked at: far more than any program writes.
const NODES_MAX: usize = 20_000;
/// Most entries of one file that are looked at.
const ENTRIES_MAX: usize = 2 * super::ENTRIES_MAX;

/// The places of the elements of the list `entries`.
pub(super) struct Elements {
    pub(super) spans: Vec<Range<usize>>,
    /// There is such a list.
    pub(super) found: bool,
    /// The list goes on to its end, and there are not too many elements in it.
    pub(super) whole: bool,
}

/// Finds the elements of the list `entries` in an object. Nothing is parsed, so nothing in an element
/// can hide those behind it; nothing is nested in the program, however deep the JSON is.
pub(super) fn entries(bytes: &[u8]) -> Elements {
    let mut elements = Elements {
        spans: Vec::new(),
        found: false,
        whole: false,
    };
    let (mut depth, mut at, mut inside) = (0_usize, 0, false);
    let (mut last_text, mut key): (&[u8], &[u8]) = (b"", b"");
    let mut start = None;
    while let Some(byte) = bytes.get(at) {
        if inside && depth == 2 && start.is_none() && !byte.is_ascii_whitespace() {
            start = (!matches!(byte, b',' | b']')).then_some(at);
        }
        match byte {
            b'"' => {
                let end = text_end(bytes, at);
                if depth == 1 {
                    last_text = bytes.get(at + 1..end).unwrap_or_default();
                }
                at = end;
            }
            b':' if depth == 1 => key = last_text,
            b'{' | b'[' => {
                if depth == 1 && *byte == b'[' && key == b"entries" {
                    (inside, elements.found, elements.whole) = (true, true, false);
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if inside && depth == 1 {
                    elements.spans.extend(start.take().map(|start| start..at));
                    (inside, elements.whole) = (false, true);
                }
            }
            b',' if inside && depth == 2 => {
                elements.spans.extend(start.take().map(|start| start..at));
                if elements.spans.len() >= ENTRIES_MAX {
                    elements.whole = false;
                    return elements;
                }
            }
            _ => {}
        }
        at += 1;
    }
    elements.whole &= !inside;
    elements
}

/// The place of the `"` that ends the text which begins at `at`, or the end of the bytes.
fn text_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// One value, with at most [`NODES_MAX`] others in it; the rest is passed over. Of a key that is there
/// twice the last one counts. Also says whether some of it was not UTF-8.
pub(super) fn value(bytes: &[u8]) -> Option<(Value, bool)> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let damaged = std::str::from_utf8(bytes).is_err();
    let mut left = NODES_MAX;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Bounded { left: &mut left }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some((value, damaged))
}

struct Bounded<'a> {
    left: &'a mut usize,
}

impl Bounded<'_> {
    fn take(&mut self) -> bool {
        let some = *self.left > 0;
        *self.left = self.left.saturating_sub(1);
        some
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while self.take() {
            match list.next_element_seed(Bounded { left: self.left })? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while self.take() {
            match map.next_key::<String>()? {
                Some(key) => {
                    let value = map.next_value_seed(Bounded { left: self.left })?;
                    values.insert(key, value);
                }
                None => return Ok(Value::Object(values)),
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(values))
    }
}

/// A text under a key; a number counts as the text that it is.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a key says yes.
pub(super) fn is_set(value: &Value, key: &str) -> bool {
    match value.get(key) {
        Some(Value::Bool(set)) => *set,
        Some(Value::Number(number)) => number.as_i64() == Some(1),
        _ => false,
    }
}

/// The values of a list under a key; none where there is no list.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of a list under a key.
pub(super) fn texts(value: &Value, key: &str) -> Vec<String> {
    let texts = list(value, key).iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<&str> {
        let elements = entries(json.as_bytes());
        let spans = elements.spans.into_iter();
        spans.map(|span| json[span].trim_end()).collect()
    }

    #[test]
    fn elements_are_found_whatever_is_in_them() {
        let json = r#"{"metadata":{"entries":[9]}, "entries" : [ {"a":"]}\"[,"}, 7 , [1,[2]],"x" ], "z":[1]}"#;
        assert_eq!(found(json), [r#"{"a":"]}\"[,"}"#, "7", "[1,[2]]", r#""x""#]);
        assert!(entries(json.as_bytes()).whole);
        assert!(found(r#"{"entries":[]}"#).is_empty());
        assert!(!entries(b"[1,2]").found);
        assert!(!entries(br#"{"entries":{"a":1}}"#).found);
    }

    #[test]
    fn a_file_that_is_cut_short_gives_what_is_whole() {
        let elements = entries(br#"{"entries":[{"a":1},{"b":2},{"c"#);
        assert_eq!(elements.spans.len(), 2);
        assert!(elements.found && !elements.whole);
    }

    #[test]
    fn a_hundred_thousand_brackets_are_no_trouble() {
        let json = format!(
            r#"{{"entries":[{}{},{{"a":1}}]}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let elements = entries(json.as_bytes());
        assert_eq!(elements.spans.len(), 2);
        assert!(value(&json.as_bytes()[elements.spans[0].clone()]).is_none());
        assert!(value(&json.as_bytes()[elements.spans[1].clone()]).is_some());
    }

    #[test]
    fn more_values_than_an_entry_can_hold_are_passed_over() {
        let json = format!(r#"{{"a":[{}0],"b":1}}"#, "0,".repeat(100_000));
        let (value, _) = value(json.as_bytes()).unwrap();
        assert!(list(&value, "a").len() <= NODES_MAX);
        assert!(value.get("b").is_none());
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts() {
        let (value, damaged) = value(b"{\"a\":\"x\xff\",\"a\":3}").unwrap();
        assert_eq!(text(&value, "a").as_deref(), Some("3"));
        assert!(damaged);
    }
}
