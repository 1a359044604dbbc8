//! The layers of a record as they lie in its document.
//!
//! The map of all layers, and the map of each of them, begin with the first thing that is said
//! there. Two devices that begin at the same time leave two maps under one key, of which Automerge
//! shows one. Here they are read as one: what only one of them says counts, and where both say
//! something, what Automerge shows.

use automerge::transaction::Transactable;
use automerge::{ObjId, ObjType, ROOT, ReadDoc, Value as Found};
use serde_json::Value;

use crate::error::{Error, Unreadable};
use crate::layers::{Layer, Layers};
use crate::read::wrong;
use crate::schema::LAYERS;
use crate::tree::{self, Fields, Left};

/// What a document holds of layers.
pub(crate) struct Held {
    /// All of it, what a newer version wrote included.
    pub(crate) fields: Fields,
    /// Whether two maps were begun at once somewhere in it. What is taken away then has to be
    /// written as nothing, or the other map would show it again.
    begun_twice: bool,
}

/// Reads the layers of an entry or an opening.
pub(crate) fn read<D: ReadDoc>(doc: &D) -> Result<Layers, Unreadable> {
    held(doc)?.map_or_else(|| Ok(Layers::default()), |held| known(held.fields))
}

/// Reads all there is of layers; `None` if there is nothing.
pub(crate) fn held<D: ReadDoc>(doc: &D) -> Result<Option<Held>, Unreadable> {
    match doc.get(ROOT, LAYERS)? {
        None => return Ok(None),
        Some((Found::Object(ObjType::Map), _)) => {}
        Some(_) => return Err(wrong(LAYERS, "a map")),
    }
    let mut left = Left::of_a_record();
    let mut fields = Fields::new();
    let sets = maps(doc, &ROOT, LAYERS)?;
    let mut begun_twice = sets.len() > 1;
    for set in &sets {
        for (name, value) in tree::read_within(doc, set, &mut left)? {
            let before = fields.remove(&name);
            let Value::Object(shown) = value else {
                fields.insert(name, value);
                continue;
            };
            let mut layer = match before {
                Some(Value::Object(before)) => before,
                _ => Fields::new(),
            };
            let begun = maps(doc, set, &name)?;
            if begun.len() > 1 {
                begun_twice = true;
                for map in &begun {
                    layer.extend(tree::read_within(doc, map, &mut left)?);
                }
            } else {
                layer.extend(shown);
            }
            fields.insert(name, Value::Object(layer));
        }
    }
    if begun_twice {
        let layers = fields.values_mut().filter_map(Value::as_object_mut);
        layers.for_each(|layer| layer.retain(|_, value| !value.is_null()));
    }
    Ok(Some(Held {
        fields,
        begun_twice,
    }))
}

/// The maps that devices began under one key, the one that Automerge shows last.
fn maps<D: ReadDoc>(doc: &D, within: &ObjId, key: &str) -> Result<Vec<ObjId>, Unreadable> {
    let all = doc.get_all(within, key)?.into_iter();
    let maps = all.filter(|(value, _)| matches!(value, Found::Object(ObjType::Map)));
    Ok(maps.map(|(_, id)| id).collect())
}

fn known(fields: Fields) -> Result<Layers, Unreadable> {
    let layers: Layers =
        serde_json::from_value(Value::Object(fields)).map_err(|_| Unreadable::BadValue(LAYERS))?;
    let holds = layers.check();
    holds.map_err(|_| Unreadable::BadValue(LAYERS))?;
    Ok(layers)
}

/// Writes the layers of an entry or an opening; returns whether anything changed. What is as it was
/// is not written, and what this version does not know is left alone.
pub(crate) fn write<T: Transactable>(tx: &mut T, layers: &Layers) -> Result<bool, Error> {
    layers.check()?;
    let (now, begun_twice) = match held(tx)? {
        Some(held) => (known(held.fields)?, held.begun_twice),
        None => (Layers::default(), false),
    };
    if now == *layers {
        return Ok(false);
    }
    let (old, new) = (now.fields()?, layers.fields()?);
    let set = shown_or_begun(tx, &ROOT, LAYERS)?;
    if !begun_twice {
        return tree::update(tx, &set, &old, &new);
    }
    let layer_of = |all: &Fields, layer: Layer| {
        let fields = all.get(layer.as_str()).and_then(Value::as_object);
        fields.cloned().unwrap_or_default()
    };
    for &layer in Layer::ALL {
        let (old, mut new) = (layer_of(&old, layer), layer_of(&new, layer));
        for name in old.keys() {
            new.entry(name).or_insert(Value::Null);
        }
        new.retain(|name, value| old.get(name) != Some(value));
        if !new.is_empty() {
            let map = shown_or_begun(tx, &set, layer.as_str())?;
            tree::write(tx, &map, &new)?;
        }
    }
    Ok(true)
}

/// The map that Automerge shows under a key, or a new one.
fn shown_or_begun<T: Transactable>(tx: &mut T, within: &ObjId, key: &str) -> Result<ObjId, Error> {
    Ok(match tx.get(within, key)? {
        Some((Found::Object(ObjType::Map), map)) => map,
        _ => tx.put_object(within, key, ObjType::Map)?,
    })
}
