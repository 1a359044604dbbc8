//! One record of an archive: what holds of it, and how it is written.

use std::collections::BTreeMap;

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::entry;
use crate::error::{Error, Unreadable};
use crate::export::{FILE, is_of_machines, renamed};
use crate::imported::{Imported, Origin};
use crate::opening;
use crate::photo::{BlobRef, put_blob};
use crate::profile;
use crate::record::is_id;
use crate::records;
use crate::schema::{self, Kind};
use crate::tree::{self, Fields};

/// Largest change that is kept at once, in bytes (`docs/protocol.md` §2.4), without what else lies
/// in an envelope.
const CHANGE_BYTES_MAX: usize = 990_000;
/// Numbers of a photo that are never negative.
const UNSIGNED: [&str; 3] = [schema::LENGTH, schema::WIDTH, schema::HEIGHT];

/// Why a record is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It is no map of id, author, space and fields.
    #[error("it has no id, author or space that can be")]
    NoRecord,
    /// It says neither what it is nor how it is laid out.
    #[error("it does not say what kind of record it is")]
    NoKind,
    /// It is about devices.
    #[error("it is about devices and no part of a journal")]
    OfMachines,
    /// It is in the journal.
    #[error("it is here already")]
    AlreadyHere,
    /// The archive has another with this id.
    #[error("another one in the archive has the same id")]
    Twice,
    /// It does not hold.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It was put together from several devices, and is too much to be kept at once.
    #[error("it is too large to be kept at once")]
    TooLarge,
}

/// Where the bytes of a photo are now.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes {
    /// The photo.
    pub content: BlobRef,
    /// A small picture of it.
    pub thumb: Option<BlobRef>,
}

/// A record of an archive.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    id: String,
    origin: Origin,
    layout: u64,
    kind: Kind,
    /// Everything but layout, kind, photos and an earlier mark.
    fields: Fields,
    /// `None` where there is no place for any.
    photos: Option<Fields>,
    before: Option<Value>,
}

crate::redacted_debug!(Bytes, Record);

impl Record {
    /// Reads one; or else its id, if it has one, and why it is none.
    pub(super) fn of(value: Value) -> Result<Self, (String, Why)> {
        let id = value.get("id").and_then(Value::as_str);
        let id = id.filter(|id| is_id(id)).unwrap_or_default().to_owned();
        Self::read(&id, value).map_err(|why| (id, why))
    }

    fn read(id: &str, mut value: Value) -> Result<Self, Why> {
        let Some(Value::Object(mut fields)) = value.get_mut("fields").map(Value::take) else {
            return Err(Why::NoRecord);
        };
        let origin: Origin = serde_json::from_value(value).map_err(|_| Why::NoRecord)?;
        if id.is_empty() || !origin.holds() {
            return Err(Why::NoRecord);
        }
        let layout = fields.remove(schema::SCHEMA);
        let layout = layout.and_then(|layout| layout.as_u64());
        let Some(Value::String(kind)) = fields.remove(schema::KIND) else {
            return Err(Why::NoKind);
        };
        let long = kind.chars().nth(schema::WORD_CHARS_MAX).is_some();
        let kind = Kind::from(kind);
        if is_of_machines(&kind) {
            return Err(Why::OfMachines);
        }
        let before = fields.remove(schema::IMPORTED);
        let photos = match (&kind, fields.get_mut(schema::PHOTOS)) {
            (Kind::Entry | Kind::Opening, Some(photos)) => match photos.take() {
                Value::Object(photos) if photos.len() <= schema::MERGED_PHOTOS_MAX => {
                    fields.remove(schema::PHOTOS);
                    Some(photos)
                }
                _ => return Err(Unreadable::BadValue(schema::PHOTOS).into()),
            },
            _ => None,
        };
        let photo_holds = |(id, photo): (&String, &Value)| is_id(id) && photo.is_object();
        if !photos.iter().flatten().all(photo_holds) {
            return Err(Unreadable::BadValue(schema::PHOTOS).into());
        }
        Ok(Self {
            id: id.to_owned(),
            origin,
            layout: layout.filter(|it| *it > 0 && !long).ok_or(Why::NoKind)?,
            kind,
            fields,
            photos,
            before,
        })
    }

    /// Its id in the archive.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its photos by their ids, with the file that each is said to be.
    pub fn photos(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let photos = self.photos.iter().flatten();
        photos.map(|(id, photo)| (id.as_str(), photo.get(FILE).and_then(Value::as_str)))
    }

    /// How long a photo is said to be.
    #[must_use]
    pub fn length_of(&self, photo: &str) -> Option<u64> {
        self.photos
            .as_ref()?
            .get(photo)?
            .get(schema::LENGTH)?
            .as_u64()
    }

    /// Whether what it says holds, by writing it down and reading it again.
    pub(super) fn check(&self) -> Result<(), Why> {
        let photos = self.photos().filter(|(_, file)| file.is_some());
        let photos = photos
            .map(|(id, _)| {
                // Any will do: nothing is looked for there.
                let content = BlobRef {
                    id: [0; 32],
                    key: Zeroizing::new([0; 32]),
                    salt: [0; 16],
                    length: self.length_of(id).unwrap_or(0),
                };
                let thumb = None;
                (id.to_owned(), Bytes { content, thumb })
            })
            .collect();
        let mut doc = Automerge::new();
        let same = BTreeMap::new();
        let batch = "0".repeat(32);
        doc.transact(|tx| self.write(tx, &batch, &same, &photos))
            .map_err(|failed| match failed.error {
                Error::Unreadable(error) => Why::Unreadable(error),
                Error::Invalid(_) | Error::Document(_) => Why::NoRecord,
            })?;
        let change = doc.get_last_local_change();
        if change.is_some_and(|change| change.raw_bytes().len() > CHANGE_BYTES_MAX) {
            return Err(Why::TooLarge);
        }
        match &self.kind {
            Kind::Entry => drop(entry::read(&doc)?),
            Kind::Opening => drop(opening::read(&doc)?),
            Kind::Profile => drop(profile::read(&doc)?),
            kind => drop(records::facts(&doc, kind)?),
        }
        tree::read(&doc)?;
        Ok(())
    }

    /// Writes it into an empty document. `ids` has the new id of each record that came along, by
    /// the one in the archive; `photos` has what of the photos is there.
    ///
    /// # Errors
    /// [`Error`]; nothing may be kept then.
    pub fn write<T: Transactable>(
        &self,
        tx: &mut T,
        batch: &str,
        ids: &BTreeMap<String, String>,
        photos: &BTreeMap<String, Bytes>,
    ) -> Result<(), Error> {
        entry::begin(tx, &self.kind)?;
        if self.layout != schema::SCHEMA_VERSION {
            tx.put(ROOT, schema::SCHEMA, self.layout)?;
        }
        let fields = renamed(self.fields.clone(), ids);
        tree::restore(tx, &ROOT, &fields)?;
        let mut without = Fields::new();
        let map = match &self.photos {
            Some(_) => Some(tx.put_object(ROOT, schema::PHOTOS, ObjType::Map)?),
            None => None,
        };
        for (id, photo) in self.photos.iter().flatten() {
            let Value::Object(photo) = photo else {
                continue;
            };
            let mut photo = photo.clone();
            photo.remove(FILE);
            let (Some(bytes), Some(map)) = (photos.get(id), &map) else {
                without.insert(id.clone(), Value::Object(photo));
                continue;
            };
            let item = tx.put_object(map, id.as_str(), ObjType::Map)?;
            for key in UNSIGNED {
                if let Some(number) = photo.get(key).and_then(Value::as_u64) {
                    photo.remove(key);
                    tx.put(&item, key, number)?;
                }
            }
            for key in [schema::BLOB, schema::KEY, schema::SALT, schema::THUMB] {
                photo.remove(key);
            }
            tree::restore(tx, &item, &photo)?;
            put_blob(tx, &item, &bytes.content)?;
            if let Some(thumb) = &bytes.thumb {
                let item = tx.put_object(&item, schema::THUMB, ObjType::Map)?;
                put_blob(tx, &item, thumb)?;
            }
        }
        let mark = Imported {
            batch: batch.to_owned(),
            id: self.id.clone(),
            origin: self.origin.clone(),
            before: self.before.clone(),
            without,
        };
        let mark = json!({ schema::IMPORTED: mark.to_value() });
        if let Value::Object(mark) = mark {
            tree::restore(tx, &ROOT, &mark)?;
        }
        Ok(())
    }
}
