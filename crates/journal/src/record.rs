//! The smaller records: one document each, plain fields under its root.
//!
//! Each belongs to the person who wrote it, since only their devices may write into it. A record
//! about another one names it; nothing is ever written into what somebody else wrote. Keys that
//! this version does not know are left alone.
//!
//! What stands in the shared space knows days and no times: neither when something was written nor
//! how long an answer took. Records of one conversation are in order by their `turn`, one more than
//! the highest that their author had before them.
//!
//! Two devices of one person may write into one record at the same time, and Automerge then settles
//! each field by itself. What is one statement only as a whole ([`Record::TOGETHER`]) would become
//! something that neither device said, so it is written as a whole. And a mark that keeps something
//! from others ([`Record::FIRM`]) is not undone by a device that had not heard of it.

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc, ScalarValue, Value as Found};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::date;
use crate::entry::begin;
use crate::error::{Error, Invalid, Unreadable};
use crate::read::View;
use crate::schema::{self, Kind};
use crate::tree::{self, Fields};

/// What the fields are called in errors.
const FIELDS: &str = "fields";

/// A record of plain fields.
pub trait Record: Serialize + DeserializeOwned + Clone + PartialEq {
    /// What it is called in documents.
    const KIND: Kind;

    /// Fields that say one thing together: when one of them changes, all of them are written, and
    /// what is missing as null. All devices then settle all of them the same way, since such blocks
    /// have the same shape and stand before or after each other as wholes.
    const TOGETHER: &'static [&'static str] = &[];

    /// Marks of which one value holds, whatever else was written at the same time.
    const FIRM: &'static [(&'static str, bool)] = &[];

    /// The day it is about, or was written.
    fn day(&self) -> &str;

    /// Checks everything that its types do not.
    ///
    /// # Errors
    /// [`Invalid`].
    fn check(&self) -> Result<(), Invalid>;

    /// Id of the record it is about: 32 hexadecimal digits.
    fn about(&self) -> Option<&str> {
        None
    }

    /// What a search looks at.
    fn texts(&self) -> Vec<&str> {
        Vec::new()
    }
}

fn check<R: Record>(record: &R) -> Result<(), Invalid> {
    date::check(record.day())?;
    if record.about().is_some_and(|id| !is_id(id)) {
        return Err(Invalid::Field {
            field: "about",
            needs: "an id of 32 hexadecimal digits",
        });
    }
    record.check()
}

/// Whether this is the text form of a document id.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn fields<R: Record>(record: &R) -> Result<Fields, Invalid> {
    let unwritable = Invalid::Field {
        field: FIELDS,
        needs: "values that can be written down",
    };
    let Ok(Value::Object(mut fields)) = serde_json::to_value(record) else {
        return Err(unwritable);
    };
    for name in R::TOGETHER {
        fields.entry(*name).or_insert(Value::Null);
    }
    Ok(fields)
}

/// Fields of a record as its devices have settled them.
///
/// # Errors
/// [`Unreadable`].
pub(crate) fn settled<R: Record, D: ReadDoc>(doc: &D) -> Result<Fields, Unreadable> {
    let mut fields = tree::read(doc)?;
    for (name, firm) in R::FIRM {
        let at_once = doc.get_all(ROOT, *name)?;
        let holds = |(value, _): &(Found<'_>, _)| matches!(value, Found::Scalar(it) if **it == ScalarValue::Boolean(*firm));
        if at_once.iter().any(holds) {
            fields.insert((*name).to_owned(), Value::Bool(*firm));
        }
    }
    Ok(fields)
}

/// Writes a record into an empty document.
///
/// # Errors
/// [`Error::Invalid`]; nothing is written then.
pub fn create<R: Record, T: Transactable>(tx: &mut T, record: &R) -> Result<(), Error> {
    check(record)?;
    let fields = fields(record)?;
    begin(tx, &R::KIND)?;
    tree::write(tx, &ROOT, &fields)
}

/// Reads a record.
///
/// # Errors
/// [`Unreadable`] if the document is of another kind or something in it does not hold.
pub fn read<R: Record, D: ReadDoc>(doc: &D) -> Result<R, Unreadable> {
    View::now(doc).expect_kind(R::KIND)?;
    from_fields(settled::<R, D>(doc)?)
}

/// Makes a record of fields that were read, and checks it.
///
/// # Errors
/// [`Unreadable::BadValue`].
pub fn from_fields<R: Record>(fields: Fields) -> Result<R, Unreadable> {
    let record: R =
        serde_json::from_value(Value::Object(fields)).map_err(|_| Unreadable::BadValue(FIELDS))?;
    check(&record).map_err(|_| Unreadable::BadValue(FIELDS))?;
    Ok(record)
}

/// Saves a record as it should be; fields that are as they were are not written. Returns whether
/// anything was.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Unreadable`]; nothing is written then.
pub fn update<R: Record, T: Transactable>(tx: &mut T, new: &R) -> Result<bool, Error> {
    check(new)?;
    let old: R = read(tx)?;
    let (mut old, new) = (fields(&old)?, fields(new)?);
    let together = R::TOGETHER.iter().copied();
    let changed = together.clone().any(|name| old.get(name) != new.get(name));
    if changed {
        for name in together {
            let value = new.get(name).unwrap_or(&Value::Null);
            tree::put_anew(tx, &ROOT, name, value)?;
            old.insert(name.to_owned(), value.clone());
        }
    }
    let others = tree::update(tx, &ROOT, &old, &new)?;
    Ok(changed || others)
}

/// Writes a record into a document that has one name and exists from its first record on.
///
/// # Errors
/// As [`create`] and [`update`].
pub fn set<R: Record, T: Transactable>(tx: &mut T, record: &R) -> Result<bool, Error> {
    if tx.get(ROOT, schema::KIND)?.is_some() {
        return update(tx, record);
    }
    create(tx, record)?;
    Ok(true)
}
