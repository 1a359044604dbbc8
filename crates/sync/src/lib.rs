//! Encrypted Automerge sync for two people over a relay that cannot read.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ajar_sync::{Builder, Ownership, Passphrase, SpaceKind};
//! use ajar_sync::automerge::{ROOT, transaction::Transactable};
//!
//! let home = Builder::new("my-home").with_passphrase(Passphrase::new("four random words")?).open()?;
//! let us = home.space(SpaceKind::Shared)?;
//! let document = us.create_document(Ownership::Mine)?;
//! document.change(|tx| tx.put(ROOT, "text", "hello"))?; // durable here when it returns
//! us.connect()?;
//! us.relay_has_everything().await?; // "may I close the lid?"
//! # Ok(()) }
//! ```
//!
//! There is no call that sends plaintext, and no default that skips protection. A home is a
//! directory that one process at a time may open. In it, each space has a store sealed under
//! keys of its own, and one thread that owns its replica; handles talk to that thread.
//! Everything works offline and travels when a relay is there.

mod blobs;
mod chores;
mod clock;
mod core;
mod document;
mod driver;
mod error;
mod event;
mod folding;
mod home;
mod invitation;
mod linking;
mod membership;
mod pairing;
mod recovering;
mod space;
mod store;
mod talk;
mod transport;

pub use ajar_crypto::vault::{KdfParams, Passphrase};
pub use ajar_crypto::words::WordsError;
pub use ajar_crypto::{RecoveryPhrase, vault};
pub use ajar_engine::BurnStatus;
pub use ajar_engine::evidence::{Contradiction, Evidence, Statement};
pub use ajar_engine::recovery::{FoundChange, FoundDevice, RecoverError};
pub use ajar_engine::replica::DeviceStatus;
pub use ajar_engine::snapshot::StartProgress;
pub use ajar_engine::{
    DocInfo, Misuse, Notice, NoticeKind, Ownership, RowQuery, SpaceStatus, Summarize, Summary,
    TableRow,
};
pub use ajar_protocol::address::{AddressError, RelayAddress};
pub use ajar_protocol::genesis::SpaceKind;
pub use ajar_protocol::link::LinkKind;
pub use ajar_protocol::link::RevokeReason;
pub use ajar_protocol::relay_msg::Refusal;
pub use ajar_protocol::{BlobId, DeviceId, DocId, PartyId, SpaceId};
pub use automerge;

pub use blobs::BlobRef;
pub use document::{ChangeError, Document};
pub use error::{ConnectError, Error};
pub use event::{Connection, Events, SpaceEvent, SpaceReport, Synced};
pub use folding::Tidied;
pub use home::{
    Builder, CheckReport, Erased, Home, MissingSpace, Moved, NewDevice, NewHome, OwnDevice,
    Recovered, RecoveredSpace, Replaced, Review, Sharing, Travel, WordsCheck, erase_dir,
};
pub use invitation::{Invitation, InvitationError};
pub use linking::{Candidate, LinkWords};
pub use pairing::Found;
pub use space::{BatchEdit, Space};
pub use talk::PairingCode;

/// The text form of a document id: 32 hexadecimal digits.
#[must_use]
pub fn doc_id_text(doc: DocId) -> String {
    doc.to_hex()
}

/// 32 hexadecimal digits that nobody had before.
///
/// # Errors
/// [`Error::Entropy`].
pub fn new_id() -> Result<String, Error> {
    let mut id = [0; 16];
    ajar_crypto::Entropy::fill(&mut clock::entropy(), &mut id)?;
    Ok(DocId(id).to_hex())
}

/// Twelve words that nobody had before, to be put in the place of others
/// ([`Home::replace_words`]). Show them once; they are not kept anywhere.
///
/// # Errors
/// [`Error::Entropy`].
pub fn new_phrase() -> Result<RecoveryPhrase, Error> {
    Ok(RecoveryPhrase::generate(&mut clock::entropy())?)
}
