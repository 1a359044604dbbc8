//! The journal as Automerge documents: schema, edits and queries.
//!
//! Documents in, documents out. Nothing here reads a clock, draws randomness, touches a key or the
//! network: ids and times are arguments. Writers take an open transaction
//! ([`automerge::transaction::Transactable`]); readers take anything that can be read
//! ([`automerge::ReadDoc`]).
//!
//! * A private [`entry`] is one document in the author's own space.
//! * An [`opening`] is one document in the shared space. It is made from a [`opening::Projection`],
//!   a copy that holds only what its stage shows.
//! * A [`photo`] in either of them names sealed bytes that lie elsewhere.
//! * An [`import`] reads what other journals export.
//! * A [`profile`] is the name a person goes by.
//!
//! Whatever a document holds was written by someone's device. Reading never panics and never
//! trusts a type or a size: a record that does not hold gives [`Unreadable`].

pub mod between;
mod body;
pub mod book;
pub mod calendar;
pub mod conversation;
pub mod date;
mod diff;
pub mod entry;
pub mod error;
pub mod export;
#[cfg(test)]
mod frozen;
pub mod history;
pub mod import;
pub mod import_ajar;
pub mod imported;
pub mod insight;
mod layered;
pub mod layers;
pub mod letters;
pub mod memory;
pub mod opening;
pub mod photo;
pub mod point;
pub mod profile;
pub mod query;
pub mod questions;
mod read;
pub mod record;
pub mod records;
pub mod rituals;
pub mod schema;
pub mod summary;
pub mod text;
pub mod tree;
pub mod words;

pub use body::Paragraph;
pub use error::{Error, Invalid, Unreadable};
pub use photo::{BlobRef, MediaType, Photo, PhotoCopy};
pub use point::Point;

/// Gives types that hold what people wrote a `Debug` that shows nothing of it.
macro_rules! redacted_debug {
    ($($name:ident),+ $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}
pub(crate) use redacted_debug;
