//! The name a person goes by, for their partner to see.

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use serde::{Deserialize, Serialize};

use crate::entry::begin;
use crate::error::{Error, Invalid, Unreadable};
use crate::read::View;
use crate::redacted_debug;
use crate::schema::{self, Kind};
use crate::text::is_plain;

/// A person's profile.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// 1 to [`schema::NAME_CHARS_MAX`] characters, none of them a control character.
    pub name: String,
}

redacted_debug!(Profile);

/// Writes a profile into an empty document.
///
/// # Errors
/// [`Error::Invalid`] if the name cannot be one or the document is not empty.
pub fn create<T: Transactable>(tx: &mut T, name: &str) -> Result<(), Error> {
    check(name)?;
    begin(tx, &Kind::Profile)?;
    tx.put(ROOT, schema::NAME, name)?;
    Ok(())
}

/// Changes the name. Returns whether it did.
///
/// # Errors
/// [`Error::Invalid`] if the name cannot be one; [`Error::Unreadable`] if this is no profile.
pub fn rename<T: Transactable>(tx: &mut T, name: &str) -> Result<bool, Error> {
    check(name)?;
    if read(tx)?.name == name {
        return Ok(false);
    }
    tx.put(ROOT, schema::NAME, name)?;
    Ok(true)
}

/// Reads a profile.
///
/// # Errors
/// [`Unreadable`] if the document is of another kind, or the name is none.
pub fn read<D: ReadDoc>(doc: &D) -> Result<Profile, Unreadable> {
    let view = View::now(doc);
    view.expect_kind(Kind::Profile)?;
    let name = view.str(&ROOT, schema::NAME, schema::NAME_CHARS_MAX)?;
    check(&name).map_err(|_| Unreadable::BadValue(schema::NAME))?;
    Ok(Profile { name })
}

/// A name stands in front of what someone said: it must not be able to change how a line reads.
fn check(name: &str) -> Result<(), Invalid> {
    let long = name.chars().nth(schema::NAME_CHARS_MAX).is_some();
    if name.trim().is_empty() || long || !is_plain(name) {
        return Err(Invalid::BadName);
    }
    Ok(())
}
