//! A document's root as a tree of plain values, and back.
//!
//! The smaller records ([`crate::record`]) are read and written so, and an export holds every
//! record so, those of a newer version included. What JSON has no value for becomes a map with one
//! key that begins with `$`.

use automerge::transaction::Transactable;
use automerge::{ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value as Found};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Unreadable};

/// Fields of a map, in order of their names.
pub type Fields = Map<String, Value>;

/// Deepest nesting that is read or written.
pub(crate) const DEPTH_MAX: usize = 8;
/// Most values in one record.
pub(crate) const VALUES_MAX: usize = 200_000;
/// Most bytes of names and texts in one record.
const BYTES_MAX: usize = 16 << 20;
/// What the whole record is called in errors.
const WHOLE: &str = "fields";

/// Reads everything under the root, as every device shows it.
///
/// # Errors
/// [`Unreadable::TooLarge`], or [`Unreadable::Document`].
pub fn read<D: ReadDoc>(doc: &D) -> Result<Fields, Unreadable> {
    read_within(doc, &ROOT, &mut Left::of_a_record())
}

/// Reads everything in one map.
pub(crate) fn read_within<D: ReadDoc>(
    doc: &D,
    map: &ObjId,
    left: &mut Left,
) -> Result<Fields, Unreadable> {
    read_map(doc, map, DEPTH_MAX, left)
}

/// What may still be read.
pub(crate) struct Left {
    values: usize,
    bytes: usize,
}

impl Left {
    pub(crate) fn of_a_record() -> Self {
        Self {
            values: VALUES_MAX,
            bytes: BYTES_MAX,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Unreadable> {
        let too_large = Unreadable::TooLarge(WHOLE);
        self.values = self.values.checked_sub(1).ok_or(too_large.clone())?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }
}

fn read_map<D: ReadDoc>(
    doc: &D,
    map: &ObjId,
    depth: usize,
    left: &mut Left,
) -> Result<Fields, Unreadable> {
    let mut fields = Fields::new();
    for item in doc.map_range(map, ..) {
        left.take(item.key.len())?;
        let id = item.id();
        let value = read_value(doc, &item.value.into_value(), &id, depth, left)?;
        fields.insert(item.key.into_owned(), value);
    }
    Ok(fields)
}

fn read_value<D: ReadDoc>(
    doc: &D,
    value: &Found<'_>,
    id: &ObjId,
    depth: usize,
    left: &mut Left,
) -> Result<Value, Unreadable> {
    let deeper = || depth.checked_sub(1).ok_or(Unreadable::TooLarge(WHOLE));
    Ok(match value {
        Found::Scalar(scalar) => read_scalar(scalar, left)?,
        Found::Object(ObjType::Map | ObjType::Table) => {
            Value::Object(read_map(doc, id, deeper()?, left)?)
        }
        Found::Object(ObjType::List) => {
            let deeper = deeper()?;
            let mut list = Vec::new();
            for item in doc.list_range(id, ..) {
                left.take(0)?;
                let id = item.id();
                let value = item.value.into_value();
                list.push(read_value(doc, &value, &id, deeper, left)?);
            }
            Value::Array(list)
        }
        Found::Object(ObjType::Text) => {
            let text = doc.text(id)?;
            left.take(text.len())?;
            special("$text", Value::String(text))
        }
    })
}

fn read_scalar(scalar: &ScalarValue, left: &mut Left) -> Result<Value, Unreadable> {
    Ok(match scalar {
        ScalarValue::Str(text) => {
            left.take(text.len())?;
            Value::String(text.to_string())
        }
        ScalarValue::Int(number) => Value::from(*number),
        ScalarValue::Uint(number) => Value::from(*number),
        ScalarValue::Boolean(yes) => Value::Bool(*yes),
        ScalarValue::Null => Value::Null,
        ScalarValue::F64(number) => {
            Number::from_f64(*number).map_or_else(|| special("$float", Value::Null), Value::Number)
        }
        ScalarValue::Timestamp(ms) => special("$time", Value::from(*ms)),
        ScalarValue::Counter(counter) => special("$counter", Value::from(i64::from(counter))),
        ScalarValue::Bytes(bytes) => {
            left.take(bytes.len().saturating_mul(2))?;
            special("$bytes", Value::String(hex(bytes)))
        }
        ScalarValue::Unknown { type_code, .. } => special("$unknown", Value::from(*type_code)),
    })
}

fn special(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Writes `fields` into a map that has none of them.
pub(crate) fn write<T: Transactable>(
    tx: &mut T,
    map: &ObjId,
    fields: &Fields,
) -> Result<(), Error> {
    for (name, value) in fields {
        put(tx, map, name, value)?;
    }
    Ok(())
}

/// Makes of a map that says `old` one that says `new`: what is the same stays untouched, and so
/// does what neither names. Returns whether anything was written.
pub(crate) fn update<T: Transactable>(
    tx: &mut T,
    map: &ObjId,
    old: &Fields,
    new: &Fields,
) -> Result<bool, Error> {
    let mut changed = false;
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        tx.delete(map, name.as_str())?;
        changed = true;
    }
    for (name, value) in new {
        match (old.get(name), value) {
            (Some(same), _) if same == value => continue,
            (Some(Value::Object(old)), Value::Object(new)) => {
                if let Some((Found::Object(ObjType::Map), inner)) = tx.get(map, name.as_str())? {
                    changed |= update(tx, &inner, old, new)?;
                    continue;
                }
                put(tx, map, name, value)?;
            }
            _ => put(tx, map, name, value)?,
        }
        changed = true;
    }
    Ok(changed)
}

/// Writes `fields` as [`read`] gave them: what JSON has no value for becomes again what it was,
/// except that what had no number (`$float`) is none, and that of a type from the future
/// (`$unknown`) only its mark is left.
pub(crate) fn restore<T: Transactable>(
    tx: &mut T,
    map: &ObjId,
    fields: &Fields,
) -> Result<(), Error> {
    for (name, value) in fields {
        put_as(tx, map, name, value, Form::Named)?;
    }
    Ok(())
}

/// Whether maps with one key that begins with `$` stand for something else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Named,
}

/// What is written for a value.
enum Piece<'a> {
    Map(&'a Fields),
    List(&'a [Value]),
    Text(&'a str),
    Scalar(ScalarValue),
}

impl<'a> Piece<'a> {
    fn of(value: &'a Value, form: Form) -> Self {
        match value {
            Value::Object(fields) if form == Form::Named => {
                Self::named(fields).unwrap_or(Self::Map(fields))
            }
            Value::Object(fields) => Self::Map(fields),
            Value::Array(items) => Self::List(items),
            plain => Self::Scalar(scalar(plain)),
        }
    }

    fn named(fields: &'a Fields) -> Option<Self> {
        let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
        Some(match (name.as_str(), value) {
            ("$text", Value::String(text)) => Self::Text(text),
            ("$bytes", Value::String(hex)) => Self::Scalar(ScalarValue::Bytes(unhex(hex)?)),
            ("$time", number) => Self::Scalar(ScalarValue::Timestamp(number.as_i64()?)),
            ("$counter", number) => Self::Scalar(ScalarValue::Counter(number.as_i64()?.into())),
            ("$float", Value::Null) => Self::Scalar(ScalarValue::F64(f64::NAN)),
            _ => return None,
        })
    }
}

/// The bytes of lowercase hexadecimal digits, two for each.
fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// Writes a plain value, with two operations whatever was there before: Automerge leaves out a
/// value that is there already, and then what stands beside it would be newer than it.
pub(crate) fn put_anew<T: Transactable>(
    tx: &mut T,
    map: &ObjId,
    name: &str,
    value: &Value,
) -> Result<(), Error> {
    if tx.get(map, name)?.is_some() {
        tx.delete(map, name)?;
    } else {
        tx.put(map, name, !value.as_bool().unwrap_or_default())?;
    }
    put(tx, map, name, value)
}

fn put<T: Transactable>(tx: &mut T, map: &ObjId, name: &str, value: &Value) -> Result<(), Error> {
    put_as(tx, map, name, value, Form::Plain)
}

fn put_as<T: Transactable>(
    tx: &mut T,
    map: &ObjId,
    name: &str,
    value: &Value,
    form: Form,
) -> Result<(), Error> {
    match Piece::of(value, form) {
        Piece::Map(fields) => {
            let inner = tx.put_object(map, name, ObjType::Map)?;
            for (name, value) in fields {
                put_as(tx, &inner, name, value, form)?;
            }
        }
        Piece::List(items) => {
            let list = tx.put_object(map, name, ObjType::List)?;
            for (at, item) in items.iter().enumerate() {
                insert(tx, &list, at, item, form)?;
            }
        }
        Piece::Text(text) => {
            let inner = tx.put_object(map, name, ObjType::Text)?;
            tx.splice_text(&inner, 0, 0, text)?;
        }
        Piece::Scalar(value) => tx.put(map, name, value)?,
    }
    Ok(())
}

fn insert<T: Transactable>(
    tx: &mut T,
    list: &ObjId,
    at: usize,
    value: &Value,
    form: Form,
) -> Result<(), Error> {
    match Piece::of(value, form) {
        Piece::Map(fields) => {
            let inner = tx.insert_object(list, at, ObjType::Map)?;
            for (name, value) in fields {
                put_as(tx, &inner, name, value, form)?;
            }
        }
        Piece::List(items) => {
            let inner = tx.insert_object(list, at, ObjType::List)?;
            for (at, item) in items.iter().enumerate() {
                insert(tx, &inner, at, item, form)?;
            }
        }
        Piece::Text(text) => {
            let inner = tx.insert_object(list, at, ObjType::Text)?;
            tx.splice_text(&inner, 0, 0, text)?;
        }
        Piece::Scalar(value) => tx.insert(list, at, value)?,
    }
    Ok(())
}

fn scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Bool(yes) => ScalarValue::Boolean(*yes),
        Value::String(text) => ScalarValue::Str(text.as_str().into()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => ScalarValue::Int(number),
            (None, Some(number), _) => ScalarValue::Uint(number),
            (None, None, Some(number)) => ScalarValue::F64(number),
            (None, None, None) => ScalarValue::Null,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => ScalarValue::Null,
    }
}

#[cfg(test)]
mod tests {
    use automerge::Automerge;
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            _ => panic!("no map"),
        }
    }

    fn document(value: Value) -> Automerge {
        let mut doc = Automerge::new();
        doc.transact(|tx| write(tx, &ROOT, &fields(value))).unwrap();
        doc
    }

    #[test]
    fn what_was_written_is_read() {
        let value = json!({
            "a": "text", "b": -3, "c": true, "d": null, "e": [1, ["two"], {"three": 3}],
            "f": {"g": {"h": 0.5}}, "i": 18_446_744_073_709_551_615_u64,
        });
        assert_eq!(
            Value::Object(read(&document(value.clone())).unwrap()),
            value
        );
    }

    #[test]
    fn an_update_touches_only_what_differs_and_leaves_what_it_does_not_know() {
        let mut doc = document(json!({"a": 1, "b": {"x": "1", "y": "2"}, "newer": {"z": 9}}));
        let old = fields(json!({"a": 1, "b": {"x": "1", "y": "2"}}));
        let new = fields(json!({"a": 1, "b": {"x": "1", "y": "3"}, "c": [4]}));
        let before = doc.get_heads();
        let changed = doc.transact(|tx| update(tx, &ROOT, &old, &new)).unwrap();
        assert!(changed.result);
        let after = json!({"a": 1, "b": {"x": "1", "y": "3"}, "c": [4], "newer": {"z": 9}});
        assert_eq!(Value::Object(read(&doc).unwrap()), after);
        assert_eq!(doc.diff(&before, &doc.get_heads()).len(), 3);
        let again = doc.transact(|tx| update(tx, &ROOT, &new, &new)).unwrap();
        assert!(!again.result);
        let without = fields(json!({"c": [4]}));
        doc.transact(|tx| update(tx, &ROOT, &new, &without))
            .unwrap();
        let after = json!({"c": [4], "newer": {"z": 9}});
        assert_eq!(Value::Object(read(&doc).unwrap()), after);
    }

    #[test]
    fn two_devices_that_change_different_fields_both_count() {
        let mut laptop = document(json!({"a": {"x": 1, "y": 1}}));
        let mut phone = laptop.fork();
        let old = fields(json!({"a": {"x": 1, "y": 1}}));
        let (one, other) = (
            json!({"a": {"x": 2, "y": 1}}),
            json!({"a": {"x": 1, "y": 3}}),
        );
        laptop
            .transact(|tx| update(tx, &ROOT, &old, &fields(one)))
            .unwrap();
        phone
            .transact(|tx| update(tx, &ROOT, &old, &fields(other)))
            .unwrap();
        laptop.merge(&mut phone).unwrap();
        assert_eq!(
            Value::Object(read(&laptop).unwrap()),
            json!({"a": {"x": 2, "y": 3}})
        );
    }

    #[test]
    fn values_that_json_does_not_have_are_named() {
        let mut doc = Automerge::new();
        doc.transact(|tx| {
            tx.put(ROOT, "b", ScalarValue::Bytes(vec![0, 255]))?;
            tx.put(ROOT, "f", f64::NAN)?;
            tx.put(ROOT, "t", ScalarValue::Timestamp(7))?;
            let text = tx.put_object(ROOT, "x", ObjType::Text)?;
            tx.splice_text(&text, 0, 0, "é")
        })
        .unwrap();
        let value = json!({
            "b": {"$bytes": "00ff"}, "f": {"$float": null}, "t": {"$time": 7}, "x": {"$text": "é"},
        });
        assert_eq!(Value::Object(read(&doc).unwrap()), value);
    }

    #[test]
    fn what_was_read_is_restored_with_all_that_json_does_not_have() {
        let value = json!({
            "b": {"$bytes": "00ff"}, "c": {"$counter": -2}, "f": {"$float": null},
            "l": [{"$text": "in a list"}, [{"$time": 1}]], "n": 0.1, "m": -0.0, "t": {"$time": 7},
            "u": {"$unknown": 12}, "w": {"$bytes": "0G"}, "x": {"$text": "é"}, "y": {"$time": "no"},
            "z": {"$text": "two", "keys": 1},
        });
        let mut doc = Automerge::new();
        doc.transact(|tx| restore(tx, &ROOT, &fields(value.clone())))
            .unwrap();
        assert_eq!(Value::Object(read(&doc).unwrap()), value);
        let (found, _) = doc.get(ROOT, "b").unwrap().unwrap();
        assert_eq!(found, Found::from(ScalarValue::Bytes(vec![0, 255])));
        let (found, _) = doc.get(ROOT, "x").unwrap().unwrap();
        assert_eq!(found, Found::Object(ObjType::Text));
    }

    #[test]
    fn a_document_deeper_than_any_record_is_refused() {
        let mut doc = Automerge::new();
        doc.transact(|tx| {
            let mut map = ROOT;
            for _ in 0..DEPTH_MAX + 1 {
                map = tx.put_object(&map, "a", ObjType::Map)?;
            }
            Ok::<_, automerge::AutomergeError>(())
        })
        .unwrap();
        assert_eq!(read(&doc), Err(Unreadable::TooLarge(WHOLE)));
    }
}
