//! Reading fields out of a document nobody vouches for, now or as it was.

use automerge::{ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};

use crate::body::Paragraph;
use crate::error::Unreadable;
use crate::schema::{self, Kind};

/// A document as it is, or as it was at some heads.
pub(crate) struct View<'a, D> {
    doc: &'a D,
    heads: Option<&'a [ChangeHash]>,
}

impl<'a, D: ReadDoc> View<'a, D> {
    pub(crate) fn now(doc: &'a D) -> Self {
        Self { doc, heads: None }
    }

    pub(crate) fn at(doc: &'a D, heads: &'a [ChangeHash]) -> Self {
        let heads = Some(heads);
        Self { doc, heads }
    }

    pub(crate) fn kind(&self) -> Result<Kind, Unreadable> {
        match self
            .scalar(&ROOT, schema::SCHEMA)?
            .ok_or(Unreadable::Missing(schema::SCHEMA))?
        {
            ScalarValue::Uint(1..) => {}
            ScalarValue::Uint(0) => return Err(Unreadable::BadValue(schema::SCHEMA)),
            _ => return Err(wrong(schema::SCHEMA, "a positive number")),
        }
        self.str(&ROOT, schema::KIND, schema::WORD_CHARS_MAX)
            .map(Kind::from)
    }

    pub(crate) fn expect_kind(&self, wanted: Kind) -> Result<(), Unreadable> {
        let found = self.kind()?;
        if found == wanted {
            Ok(())
        } else {
            Err(Unreadable::OtherKind { wanted, found })
        }
    }

    pub(crate) fn get(
        &self,
        obj: &ObjId,
        key: &str,
    ) -> Result<Option<(Value<'_>, ObjId)>, Unreadable> {
        Ok(match self.heads {
            None => self.doc.get(obj, key)?,
            Some(heads) => self.doc.get_at(obj, key, heads)?,
        })
    }

    pub(crate) fn scalar(
        &self,
        obj: &ObjId,
        key: &'static str,
    ) -> Result<Option<ScalarValue>, Unreadable> {
        match self.get(obj, key)? {
            None => Ok(None),
            Some((Value::Scalar(value), _)) => Ok(Some(value.into_owned())),
            Some((Value::Object(_), _)) => Err(wrong(key, "a plain value")),
        }
    }

    /// A string of at most `max` characters.
    pub(crate) fn str(
        &self,
        obj: &ObjId,
        key: &'static str,
        max: usize,
    ) -> Result<String, Unreadable> {
        match self.scalar(obj, key)?.ok_or(Unreadable::Missing(key))? {
            ScalarValue::Str(text) => bounded(key, &text, max),
            _ => Err(wrong(key, "text")),
        }
    }

    /// A word that need not be there.
    pub(crate) fn word(&self, key: &'static str) -> Result<Option<String>, Unreadable> {
        match self.scalar(&ROOT, key)? {
            None => Ok(None),
            Some(ScalarValue::Str(word)) => bounded(key, &word, schema::WORD_CHARS_MAX).map(Some),
            Some(_) => Err(wrong(key, "text")),
        }
    }

    /// A text of at most `max` bytes that need not be there.
    pub(crate) fn text(&self, key: &'static str, max: usize) -> Result<Option<String>, Unreadable> {
        match self.scalar(&ROOT, key)? {
            None => Ok(None),
            Some(ScalarValue::Str(text)) if text.len() <= max => Ok(Some(text.to_string())),
            Some(ScalarValue::Str(_)) => Err(Unreadable::TooLarge(key)),
            Some(_) => Err(wrong(key, "text")),
        }
    }

    /// A mark; `false` when it is not there.
    pub(crate) fn flag(&self, key: &'static str) -> Result<bool, Unreadable> {
        self.flag_or(key, false)
    }

    /// A mark, and what holds when it is not there.
    pub(crate) fn flag_or(&self, key: &'static str, usual: bool) -> Result<bool, Unreadable> {
        match self.scalar(&ROOT, key)? {
            None => Ok(usual),
            Some(ScalarValue::Boolean(yes)) => Ok(yes),
            Some(_) => Err(wrong(key, "yes or no")),
        }
    }

    /// Every text under a root key: more than one when devices wrote at the same time.
    pub(crate) fn all_words(&self, key: &'static str) -> Result<Vec<String>, Unreadable> {
        let mut words = Vec::new();
        for (value, _) in self.doc.get_all(ROOT, key)? {
            match &value {
                Value::Scalar(value) => match value.as_ref() {
                    ScalarValue::Str(word) => {
                        words.push(bounded(key, word, schema::TITLE_CHARS_MAX)?);
                    }
                    _ => return Err(wrong(key, "text")),
                },
                Value::Object(_) => return Err(wrong(key, "text")),
            }
        }
        Ok(words)
    }

    pub(crate) fn int(&self, obj: &ObjId, key: &'static str) -> Result<i64, Unreadable> {
        match self.scalar(obj, key)?.ok_or(Unreadable::Missing(key))? {
            ScalarValue::Int(number) => Ok(number),
            _ => Err(wrong(key, "a whole number")),
        }
    }

    pub(crate) fn date(&self, key: &'static str) -> Result<String, Unreadable> {
        let date = self.str(&ROOT, key, schema::WORD_CHARS_MAX)?;
        crate::date::check(&date).map_err(|_| Unreadable::BadValue(key))?;
        Ok(date)
    }

    /// The title, and the other titles if devices wrote different ones at the same time.
    pub(crate) fn titles(&self) -> Result<(Option<String>, Vec<String>), Unreadable> {
        let key = schema::TITLE;
        let values = match self.heads {
            None => self.doc.get_all(ROOT, key)?,
            Some(heads) => self.doc.get_all_at(ROOT, key, heads)?,
        };
        let mut titles = Vec::new();
        for (value, _) in values {
            let title = match &value {
                Value::Scalar(value) => value.as_ref(),
                Value::Object(_) => return Err(wrong(key, "text")),
            };
            match title {
                ScalarValue::Str(text) => titles.push(bounded(key, text, schema::TITLE_CHARS_MAX)?),
                _ => return Err(wrong(key, "text")),
            }
        }
        let title = titles.pop();
        titles.retain(|other| Some(other) != title.as_ref());
        titles.dedup();
        Ok((title, titles))
    }

    /// The object of type `wanted` under a root key; `None` if the key is not there.
    pub(crate) fn object(
        &self,
        key: &'static str,
        wanted: ObjType,
    ) -> Result<Option<ObjId>, Unreadable> {
        match self.get(&ROOT, key)? {
            None => Ok(None),
            Some((Value::Object(found), id)) if found == wanted => Ok(Some(id)),
            Some(_) if wanted == ObjType::List => Err(wrong(key, "a list")),
            Some(_) => Err(wrong(key, "a map")),
        }
    }

    /// The body's list.
    pub(crate) fn body_list(&self) -> Result<ObjId, Unreadable> {
        self.object(schema::BODY, ObjType::List)?
            .ok_or(Unreadable::Missing(schema::BODY))
    }

    /// The body, paragraph by paragraph, with every value devices wrote at the same time.
    pub(crate) fn paragraphs(&self) -> Result<Vec<Paragraph>, Unreadable> {
        let list = self.body_list()?;
        let items = match self.heads {
            None => self.doc.list_range(&list, ..),
            Some(heads) => self.doc.list_range_at(&list, .., heads),
        };
        let mut left = schema::MERGED_TEXT_BYTES_MAX;
        let mut paragraphs = Vec::new();
        for item in items {
            if paragraphs.len() >= schema::MERGED_PARAGRAPHS_MAX {
                return Err(Unreadable::TooLarge(schema::BODY));
            }
            let text = paragraph_text(item.value.into_value(), &mut left)?;
            let mut others = Vec::new();
            if item.conflict {
                let values = match self.heads {
                    None => self.doc.get_all(&list, item.index)?,
                    Some(heads) => self.doc.get_all_at(&list, item.index, heads)?,
                };
                for (value, _) in values {
                    let other = paragraph_text(value, &mut left)?;
                    if other != text && !others.contains(&other) {
                        others.push(other);
                    }
                }
            }
            paragraphs.push(Paragraph { text, others });
        }
        Ok(paragraphs)
    }

    /// Keys of a root map with the type of each value's object id; empty if the map is not there.
    pub(crate) fn map_items(
        &self,
        key: &'static str,
        max: usize,
    ) -> Result<Vec<(String, Value<'static>, ObjId)>, Unreadable> {
        let Some(map) = self.object(key, ObjType::Map)? else {
            return Ok(Vec::new());
        };
        let range = match self.heads {
            None => self.doc.map_range(&map, ..),
            Some(heads) => self.doc.map_range_at(&map, .., heads),
        };
        let mut items = Vec::new();
        for item in range {
            if items.len() >= max {
                return Err(Unreadable::TooLarge(key));
            }
            let id = item.id();
            items.push((item.key.into_owned(), item.value.into_value(), id));
        }
        Ok(items)
    }

    /// The plain values of a map, at most `max` of them.
    pub(crate) fn scalars(&self, map: &ObjId, max: usize) -> Vec<(String, ScalarValue)> {
        let range = match self.heads {
            None => self.doc.map_range(map, ..),
            Some(heads) => self.doc.map_range_at(map, .., heads),
        };
        let scalars = range.filter_map(|item| {
            let value = match item.value.into_value() {
                Value::Scalar(value) => value.into_owned(),
                Value::Object(_) => return None,
            };
            Some((item.key.into_owned(), value))
        });
        scalars.take(max).collect()
    }
}

pub(crate) fn wrong(field: &'static str, expected: &'static str) -> Unreadable {
    Unreadable::WrongType { field, expected }
}

/// `text`, if it has at most `max` characters.
pub(crate) fn bounded(field: &'static str, text: &str, max: usize) -> Result<String, Unreadable> {
    if text.chars().nth(max).is_some() {
        return Err(Unreadable::TooLarge(field));
    }
    Ok(text.to_owned())
}

/// One paragraph's string; its bytes and its line break are taken off `left`.
fn paragraph_text(value: Value<'_>, left: &mut usize) -> Result<String, Unreadable> {
    let text = match value {
        Value::Scalar(value) => match value.into_owned() {
            ScalarValue::Str(text) => text.to_string(),
            _ => return Err(wrong(schema::BODY, "a list of texts")),
        },
        Value::Object(_) => return Err(wrong(schema::BODY, "a list of texts")),
    };
    let rest = left.checked_sub(text.len().saturating_add(1));
    *left = rest.ok_or(Unreadable::TooLarge(schema::BODY))?;
    Ok(text)
}
