//! What a person's own devices tell each other inside the private space, and nobody else
//! (protocol §2.3): the names of the devices, which device of the private space is which of the
//! shared one, and what was decided about the shared space. Documents with fixed names, so
//! that nothing has to be searched for.

use std::collections::BTreeMap;

use ajar_engine::Ownership;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::{DeviceId, SpaceId};
use automerge::transaction::{Transactable, Transaction};
use automerge::{Automerge, AutomergeError, ObjType, ROOT, ReadDoc, Value};

use super::Home;
use crate::document::{ChangeError, Document};
use crate::error::Error;

/// Name of the document about the shared space and the key slots.
pub(super) const HOME: &str = "home";
/// Longest name of a device, in characters.
pub(crate) const DEVICE_NAME: usize = 64;

/// A device of one's own, as its owner knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceRecord {
    /// What its owner calls it.
    pub(crate) name: String,
    /// Its id in the private space, if it is there.
    pub(crate) private: Option<DeviceId>,
    /// Its id in the shared space, if it is there.
    pub(crate) shared: Option<DeviceId>,
}

impl DeviceRecord {
    fn document_name(&self) -> Option<String> {
        self.private.or(self.shared).map(|id| document_of(&id))
    }
}

fn document_of(id: &DeviceId) -> String {
    format!("device/{}", id.to_hex())
}

/// What was decided about the shared space, on whichever device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HomeRecord {
    /// The shared space, once there is one.
    pub(crate) shared: Option<SpaceId>,
    /// Address of its relay, without claim.
    pub(crate) relay: String,
    /// Whether it was left quietly.
    pub(crate) left_quietly: bool,
    /// Name of the partner, as exchanged when pairing.
    pub(crate) partner: String,
    /// Key slots that were used, and for which space.
    pub(crate) slots: BTreeMap<u8, SpaceId>,
}

impl Home {
    /// A document of the private space by its name; `None` while *Only me* is locked.
    fn named(&self, name: &str) -> Option<Document> {
        let space = self.unlocked()?;
        let id = space.named_document(Ownership::Mine, name).ok()?;
        Some(space.document(id))
    }

    /// Keeps name and ids of this device.
    pub(crate) fn note_this_device(&self) -> Result<(), Error> {
        let id = |kind| self.space(kind).and_then(|space| space.device()).ok();
        self.note_device(&DeviceRecord {
            name: self.device_name(),
            private: id(SpaceKind::Private),
            shared: id(SpaceKind::Shared),
        })
    }

    /// Keeps what a device is called and which ids it has; nothing happens while *Only me* is
    /// locked or not on this device.
    pub(crate) fn note_device(&self, record: &DeviceRecord) -> Result<(), Error> {
        let (Some(name), Some(space)) = (record.document_name(), self.unlocked()) else {
            return Ok(());
        };
        let document = space.document(space.named_document(Ownership::Mine, &name)?);
        let record = record.clone();
        changed(document.change(move |tx| {
            tx.put(ROOT, "schema", 1_u64)?;
            tx.put(ROOT, "kind", "device")?;
            put_if_new(tx, "name", &record.name)?;
            for (key, id) in [("private", record.private), ("shared", record.shared)] {
                if let Some(id) = id {
                    put_if_new(tx, key, &id.to_hex())?;
                }
            }
            Ok(())
        }))
    }

    /// What is known of the devices with these ids.
    pub(crate) fn device_records(&self, ids: &[DeviceId]) -> Vec<DeviceRecord> {
        let mut records: Vec<DeviceRecord> = Vec::new();
        for id in ids {
            let found = self.named(&document_of(id));
            let record = found.and_then(|document| document.read(read_device).ok());
            records.extend(record.filter(|record| !records.contains(record)));
        }
        records
    }

    /// What was decided about the shared space; empty while *Only me* is locked.
    pub(crate) fn home_record(&self) -> HomeRecord {
        let found = self.named(HOME);
        found
            .and_then(|document| document.read(read_home).ok())
            .unwrap_or_default()
    }

    /// Keeps what was decided about the shared space; nothing happens while *Only me* is
    /// locked or not on this device.
    pub(crate) fn note_home(&self, record: &HomeRecord) -> Result<(), Error> {
        let Some(space) = self.unlocked() else {
            return Ok(());
        };
        let document = space.document(space.named_document(Ownership::Mine, HOME)?);
        let record = record.clone();
        changed(document.change(move |tx| {
            tx.put(ROOT, "schema", 1_u64)?;
            tx.put(ROOT, "kind", "home")?;
            let shared = record.shared.map(|space| space.to_hex());
            put_if_new(tx, "shared", &shared.unwrap_or_default())?;
            put_if_new(tx, "relay", &record.relay)?;
            put_if_new(tx, "partner", &record.partner)?;
            let left = if record.left_quietly { "quiet" } else { "" };
            put_if_new(tx, "left", left)?;
            let slots = match tx.get(ROOT, "slots")? {
                Some((Value::Object(ObjType::Map), slots)) => slots,
                _ => tx.put_object(ROOT, "slots", ObjType::Map)?,
            };
            for (slot, space) in &record.slots {
                let key = slot.to_string();
                if text(tx, &slots, &key) != space.to_hex() {
                    tx.put(&slots, key, space.to_hex())?;
                }
            }
            Ok(())
        }))
    }

    fn unlocked(&self) -> Option<crate::space::Space> {
        let space = self.space(SpaceKind::Private).ok()?;
        Some(space.unnoticed())
    }
}

pub(super) fn changed(result: Result<(), ChangeError<AutomergeError>>) -> Result<(), Error> {
    match result {
        Ok(()) => Ok(()),
        Err(ChangeError::Failed(error)) => Err(error),
        Err(ChangeError::Refused(_)) => Err(Error::Bug("a record of the devices")),
    }
}

pub(super) fn put_if_new(
    tx: &mut Transaction<'_>,
    key: &str,
    value: &str,
) -> Result<(), AutomergeError> {
    if text(tx, &ROOT, key) == value {
        return Ok(());
    }
    tx.put(ROOT, key, value)
}

pub(super) fn text<D: ReadDoc>(doc: &D, object: &automerge::ObjId, key: &str) -> String {
    match doc.get(object, key) {
        Ok(Some((Value::Scalar(scalar), _))) => scalar.as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn read_device(doc: &Automerge) -> DeviceRecord {
    let name: String = text(doc, &ROOT, "name");
    DeviceRecord {
        name: name.chars().take(DEVICE_NAME).collect(),
        private: DeviceId::from_hex(&text(doc, &ROOT, "private")),
        shared: DeviceId::from_hex(&text(doc, &ROOT, "shared")),
    }
}

pub(super) fn read_home(doc: &Automerge) -> HomeRecord {
    let mut record = HomeRecord {
        shared: SpaceId::from_hex(&text(doc, &ROOT, "shared")),
        relay: text(doc, &ROOT, "relay"),
        partner: text(doc, &ROOT, "partner"),
        left_quietly: text(doc, &ROOT, "left") == "quiet",
        ..HomeRecord::default()
    };
    if let Ok(Some((Value::Object(ObjType::Map), slots))) = doc.get(ROOT, "slots") {
        for slot in 1..=8_u8 {
            if let Some(space) = SpaceId::from_hex(&text(doc, &slots, &slot.to_string())) {
                record.slots.insert(slot, space);
            }
        }
    }
    record
}
