//! `data.json`, one record at a time. No more than one is ever in memory, and its size is bounded
//! while it is read: a few bytes of an archive can say a great deal.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};

use super::Refused;
use crate::tree;

/// Bytes of `data.json` that one record may take: escapes make of one byte up to six.
const RECORD_BYTES_MAX: u64 = 64 << 20;
/// A record lies in a map beside its id and author, and its fields in a map of their own.
const DEPTH_MAX: usize = tree::DEPTH_MAX + 2;
/// Each list counts once more, for its end; and there are some values beside the fields.
const VALUES_MAX: usize = 2 * tree::VALUES_MAX + 16;

/// What `data.json` says that it is.
#[derive(Default)]
pub(super) struct Head {
    pub(super) format: Option<String>,
    pub(super) version: Option<u64>,
}

/// Reads all of it; each record is handed out with its number, counted from 1.
pub(super) fn read(data: impl Read, each: super::Each<'_>) -> Result<Head, Refused> {
    let meter = Rc::new(Cell::new(0));
    let metered = Metered {
        inner: BufReader::new(data),
        read: Rc::clone(&meter),
    };
    let mut refused = None;
    let mut head = Head::default();
    let mut from = serde_json::Deserializer::from_reader(metered);
    let whole = Whole {
        head: &mut head,
        each,
        refused: &mut refused,
        meter: &meter,
    };
    let read = from.deserialize_map(whole).and_then(|()| from.end());
    match (refused, read) {
        (Some(refused), _) => Err(refused),
        (None, Ok(())) => Ok(head),
        (None, Err(error)) if error.is_io() => match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::FileTooLarge => Err(Refused::RecordTooLarge),
            error if error.kind() == io::ErrorKind::InvalidData => Err(Refused::NoArchive),
            error => Err(Refused::Read(error)),
        },
        (None, Err(error)) => Err(Refused::Damaged(error.line())),
    }
}

/// Counts what is read of one record, and ends when that is too much.
struct Metered<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        if self.read.get() > RECORD_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(read)
    }
}

/// The whole file.
struct Whole<'a, 'b> {
    head: &'a mut Head,
    each: super::Each<'b>,
    refused: &'a mut Option<Refused>,
    meter: &'a Cell<u64>,
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of a journal")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "format" => self.head.format = Some(map.next_value()?),
                "version" => self.head.version = Some(map.next_value()?),
                "documents" => map.next_value_seed(Records {
                    each: &mut *self.each,
                    refused: &mut *self.refused,
                    meter: self.meter,
                })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The list of records.
struct Records<'a, 'b> {
    each: &'a mut (dyn FnMut(usize, Value) -> Result<(), Refused> + 'b),
    refused: &'a mut Option<Refused>,
    meter: &'a Cell<u64>,
}

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for number in 1.. {
            self.meter.set(0);
            let mut left = VALUES_MAX;
            let bounded = Bounded {
                left: &mut left,
                depth: DEPTH_MAX,
            };
            let next = items.next_element_seed(bounded);
            if left == 0 {
                *self.refused = Some(Refused::RecordTooLarge);
            }
            let Some(value) = next? else { break };
            if let Err(refused) = (self.each)(number, value) {
                *self.refused = Some(refused);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A value that is no larger and no deeper than any record.
struct Bounded<'a> {
    left: &'a mut usize,
    depth: usize,
}

impl Bounded<'_> {
    fn too_large<E: serde::de::Error>(left: &mut usize) -> E {
        // What is left says why.
        *left = 0;
        E::custom("larger than any record")
    }

    fn inner<E: serde::de::Error>(&mut self) -> Result<Bounded<'_>, E> {
        match (self.left.checked_sub(2), self.depth.checked_sub(1)) {
            (Some(left), Some(depth)) => {
                *self.left = left + 1;
                let left = &mut *self.left;
                Ok(Bounded { left, depth })
            }
            _ => Err(Self::too_large(self.left)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let inner = self.inner()?;
            match items.next_element_seed(inner)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = items.next_key::<String>()? {
            let inner = self.inner()?;
            map.insert(key, items.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}
