//! Which relay each space uses, and moving to another one (protocol §2.8). The partner is told
//! inside the shared space, and goes along only when they say so; a person's own other devices
//! are told in the same place, and follow by themselves.

use std::time::Duration;

use ajar_engine::{Misuse, Ownership, Replica};
use ajar_protocol::DocId;
use ajar_protocol::address::{RelayAddress, base32};
use ajar_protocol::genesis::SpaceKind;
use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT, ReadDoc, Value};
use tokio::time::Instant;

use super::Home;
use super::held::Held;
use super::keyfile::KeyFile;
use super::mode::{self, may_travel};
use super::records::{put_if_new, text};
use crate::clock;
use crate::document::ChangeError;
use crate::error::{ConnectError, Error};
use crate::space::Space;
use crate::store::SealedStore;
use crate::transport::Wire;

/// Name of a person's own document about the relay of a space.
pub(super) const RELAY: &str = "relay";
/// Longest address that is looked at, in bytes.
const ADDRESS: usize = 512;
/// Local data: the own note that was followed last.
const FOLLOWED: &str = "sync/relay-followed";
/// Local data: the partner's note that was declined.
const DECLINED: &str = "sync/relay-declined";

/// What came of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Spaces that use the other relay now.
    pub spaces: Vec<SpaceKind>,
    /// Whether the partner and other own devices find the new address at the old relay; of
    /// the shared space when it has moved, else of the private one. If not, they must be told
    /// in another way.
    pub told: bool,
}

/// A word of a party about the relay it uses for a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    address: RelayAddress,
    at_ms: i64,
    /// Name of the other party's note that was known when this one was written.
    over: String,
}

impl Note {
    /// Tells notes apart: `at_ms:host:port#key`.
    fn name(&self) -> String {
        let (host, port) = (&self.address.host, self.address.port);
        format!("{}:{host}:{port}#{}", self.at_ms, base32(&self.address.key))
    }
}

/// Reads a note; anything else there is ignored.
fn read_note(doc: &Automerge) -> Option<Note> {
    let number = |key| match doc.get(ROOT, key) {
        Ok(Some((Value::Scalar(scalar), _))) => scalar.as_i64(),
        _ => None,
    };
    let bounded = |key| Some(text(doc, &ROOT, key)).filter(|text| text.len() <= ADDRESS);
    if number("schema") != Some(1) || text(doc, &ROOT, "kind") != RELAY {
        return None;
    }
    Some(Note {
        address: bounded("address")?.parse().ok()?,
        at_ms: number("at_ms")?,
        over: bounded("over")?,
    })
}

fn note_in(replica: &mut Replica<SealedStore>, id: &DocId) -> Option<Note> {
    replica.document(id).ok().and_then(read_note)
}

fn own_note(replica: &mut Replica<SealedStore>) -> Option<Note> {
    let id = replica.named_document_id(Ownership::Mine, RELAY);
    note_in(replica, &id)
}

fn partners_note(replica: &mut Replica<SealedStore>) -> Option<Note> {
    replica.partner()?;
    let id = replica.partners_document_id(RELAY);
    note_in(replica, &id)
}

fn is_noted(replica: &mut Replica<SealedStore>, name: &str, note: &Note) -> Result<bool, Error> {
    let noted = replica.local(name)?;
    Ok(noted.as_deref() == Some(note.name().as_bytes()))
}

fn keep(replica: &mut Replica<SealedStore>, name: &str, note: &Note) -> Result<(), Error> {
    Ok(replica.set_local(name, Some(note.name().into_bytes()))?)
}

/// Follows the person's own word, once: what the person decides on this device afterwards
/// holds. Returns whether the relay is another one now.
pub(super) fn follow_note(
    replica: &mut Replica<SealedStore>,
    keys: &KeyFile,
) -> Result<bool, Error> {
    let Some(note) = own_note(replica) else {
        return Ok(false);
    };
    if is_noted(replica, FOLLOWED, &note)? {
        return Ok(false);
    }
    let here: Option<RelayAddress> = keys.read(|keys| keys.relay.parse().ok());
    let another = here.is_none_or(|here| here.without_claim() != note.address.without_claim());
    if another {
        keys.update(|keys| keys.relay = note.address.to_string())?;
    }
    keep(replica, FOLLOWED, &note)?;
    Ok(another)
}

/// What the partner offers, unless this side has spoken later, or declined.
fn offer(replica: &mut Replica<SealedStore>, keys: &KeyFile) -> Result<Option<Note>, Error> {
    let Some(theirs) = partners_note(replica) else {
        return Ok(None);
    };
    let here: Option<RelayAddress> = keys.read(|keys| keys.relay.parse().ok());
    let is_here = here.is_some_and(|here| here.key == theirs.address.key);
    if is_here || is_noted(replica, DECLINED, &theirs)? {
        return Ok(None);
    }
    Ok(match own_note(replica) {
        Some(ours) if !is_later(&theirs, &ours) => None,
        _ => Some(theirs),
    })
}

/// Whether `theirs` is the later word. Who knew the other's note when writing is later,
/// whatever the clocks say; they decide only between notes that crossed.
fn is_later(theirs: &Note, ours: &Note) -> bool {
    let (knew_ours, knew_theirs) = (theirs.over == ours.name(), ours.over == theirs.name());
    knew_ours || (!knew_theirs && theirs.at_ms > ours.at_ms)
}

impl Home {
    fn held(&self, kind: SpaceKind) -> &Held {
        match kind {
            SpaceKind::Private => &self.inner.private,
            SpaceKind::Shared => &self.inner.shared,
        }
    }

    /// Address of the relay of the shared space, with its claim if there still is one. The
    /// private space uses the same one unless it was given another.
    #[must_use]
    pub fn relay(&self) -> Option<RelayAddress> {
        self.relay_of(SpaceKind::Shared)
    }

    /// Address of the relay of a space; `None` also while that space is locked.
    #[must_use]
    pub fn relay_of(&self, kind: SpaceKind) -> Option<RelayAddress> {
        self.held(kind).read(|keys| keys.relay.parse().ok())
    }

    /// Uses another relay for both spaces, from now on. Nobody is told: see
    /// [`Self::move_relay`]. *Only me* keeps its relay while it is locked.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::DiskFull`], [`Error::Closed`].
    pub fn set_relay(&self, relay: &RelayAddress) -> Result<(), Error> {
        self.set_relay_of(SpaceKind::Shared, relay)?;
        match self.set_relay_of(SpaceKind::Private, relay) {
            Err(Error::PrivateLocked) => Ok(()),
            set => set,
        }
    }

    /// Uses another relay for one space, from now on: a connection to the old one ends, and
    /// begins anew with the other. Nobody is told.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`], [`Error::Unreadable`], [`Error::DiskFull`],
    /// [`Error::Closed`].
    pub fn set_relay_of(&self, kind: SpaceKind, relay: &RelayAddress) -> Result<(), Error> {
        let Some(keys) = self.held(kind).get() else {
            return Err(match kind {
                SpaceKind::Private if !self.is_closed() => Error::PrivateLocked,
                _ => Error::Closed,
            });
        };
        keys.update(|keys| keys.relay = relay.to_string())?;
        if let Ok(space) = self.space(kind) {
            space.reroute();
        }
        Ok(())
    }

    /// The relay of a new shared space. A private space without a relay gets it too; one that
    /// has a relay keeps it, whichever relay the partner chose.
    pub(super) fn set_relay_of_pairing(&self, relay: &RelayAddress) -> Result<(), Error> {
        self.set_relay_of(SpaceKind::Shared, relay)?;
        let private = self.inner.private.get();
        if private.is_some_and(|keys| keys.read(|keys| keys.relay.is_empty())) {
            self.set_relay_of(SpaceKind::Private, relay)?;
        }
        Ok(())
    }

    /// Moves a space (both with `None`) to another relay: looks whether that relay is there,
    /// leaves word at the old one for the partner and for own other devices, changes over,
    /// and fills the new one with everything that is here. Nothing has changed when the new
    /// relay does not answer; an old one that does not is no hindrance.
    ///
    /// # Errors
    /// [`Error::Connect`] when the new relay is not there, or the space is not to travel;
    /// [`Error::Undelivered`] when the space has moved but the new relay has not taken
    /// everything within `timeout`: the next exchange goes on; [`Error::PrivateLocked`],
    /// [`Error::NotPaired`], [`Error::Left`], [`Error::Unreadable`], [`Error::DiskFull`].
    pub async fn move_relay(
        &self,
        which: Option<SpaceKind>,
        relay: &RelayAddress,
        timeout: Duration,
    ) -> Result<Moved, Error> {
        let _busy = self.inner.activity.busy();
        let kinds = match which {
            Some(kind) => vec![kind],
            None => {
                let mut kinds = vec![SpaceKind::Shared];
                kinds.extend(self.is_private_unlocked().then_some(SpaceKind::Private));
                kinds
            }
        };
        let begin = Instant::now();
        let mut open = Vec::new();
        for kind in &kinds {
            match self.space(*kind) {
                Ok(space) => open.push(space),
                // Not there yet, and moves along.
                Err(Error::NotPaired | Error::PrivateLocked) if which.is_none() => {}
                Err(error) => return Err(error),
            }
            match may_travel(self.held(*kind).read(|keys| keys.mode)) {
                Ok(()) | Err(ConnectError::Off) => {}
                Err(ConnectError::Left) => return Err(Error::Left),
                Err(why) => return Err(why.into()),
            }
        }
        let (_, _, closer) = Wire::connect(relay).await?.split();
        closer.close().await;

        let mut told = Vec::new();
        for space in &open {
            let noted = write_note(space, relay)?;
            // The rest of the time is for the new relay.
            told.push(noted && visit(space, begin + timeout / 2).await.is_ok());
        }
        let mut filled = Ok(());
        for kind in &kinds {
            let space = open.iter().find(|space| space.kind() == *kind);
            let was_on = match space {
                Some(space) => space.hang_up().await,
                None => false,
            };
            self.set_relay_of(*kind, relay)?;
            let Some(space) = space else { continue };
            let followed = space
                .worker()
                .call(|core| match own_note(&mut core.replica) {
                    Some(note) => keep(&mut core.replica, FOLLOWED, &note),
                    None => Ok(()),
                });
            followed??;
            if *kind == SpaceKind::Shared {
                self.note_relay(relay)?;
            }
            if was_on {
                space.connect()?;
            }
        }
        for space in &open {
            if self.held(space.kind()).read(|keys| keys.mode) != mode::OFF {
                filled = filled.and(visit(space, begin + timeout).await);
            }
        }
        filled?;
        Ok(Moved {
            spaces: kinds,
            told: told.first() == Some(&true),
        })
    }

    /// Tells own other devices, and a later recovery, where the shared space is.
    fn note_relay(&self, relay: &RelayAddress) -> Result<(), Error> {
        let mut record = self.home_record();
        if record.shared.is_some() {
            record.relay = relay.without_claim().to_string();
            self.note_home(&record)?;
        }
        Ok(())
    }

    /// The relay to which the partner has moved the shared space, when it is another one than
    /// here and this person has neither moved since nor declined. It comes from the partner's
    /// device and may be a relay of their own: show it, and go there only when the person says
    /// so.
    #[must_use]
    pub fn relay_offered(&self) -> Option<RelayAddress> {
        Some(self.offered().ok()??.address)
    }

    fn offered(&self) -> Result<Option<Note>, Error> {
        let space = self.space(SpaceKind::Shared)?.unnoticed();
        let keys = self.inner.shared.get().ok_or(Error::Closed)?;
        space
            .worker()
            .call(move |core| offer(&mut core.replica, &keys))?
    }

    /// Goes to the relay that the partner has moved to, with the shared space only; `None`
    /// when nothing is offered.
    ///
    /// # Errors
    /// As [`Self::move_relay`].
    pub async fn accept_relay_offer(&self, timeout: Duration) -> Result<Option<Moved>, Error> {
        let Some(offer) = self.offered()? else {
            return Ok(None);
        };
        let which = Some(SpaceKind::Shared);
        let moved = self.move_relay(which, &offer.address, timeout).await?;
        Ok(Some(moved))
    }

    /// Stays where it is: what is offered now is not offered again.
    ///
    /// # Errors
    /// [`Error::NotPaired`], [`Error::Closed`], [`Error::DiskFull`].
    pub fn decline_relay_offer(&self) -> Result<(), Error> {
        let Some(note) = self.offered()? else {
            return Ok(());
        };
        let space = self.space(SpaceKind::Shared)?;
        space
            .worker()
            .call(move |core| keep(&mut core.replica, DECLINED, &note))?
    }
}

/// Leaves word in the space; `false` when nothing can be written into it any more, and
/// whoever is still there stays at the old relay.
fn write_note(space: &Space, relay: &RelayAddress) -> Result<bool, Error> {
    let theirs = space
        .worker()
        .call(|core| partners_note(&mut core.replica))?;
    let over = theirs.map(|note| note.name()).unwrap_or_default();
    let (address, at_ms) = (relay.to_string(), clock::now().wall_ms);
    let id = space.named_document(Ownership::Mine, RELAY)?;
    let written = space
        .document(id)
        .change(move |tx| -> Result<(), automerge::AutomergeError> {
            put_if_new(tx, "kind", RELAY)?;
            tx.put(ROOT, "schema", 1_u64)?;
            // Always all three, so that of notes that crossed one is taken whole.
            tx.put(ROOT, "address", address)?;
            tx.put(ROOT, "at_ms", at_ms)?;
            tx.put(ROOT, "over", over)
        });
    match written {
        Ok(()) => Ok(true),
        Err(ChangeError::Failed(Error::Misuse(
            Misuse::Closed | Misuse::StaleCopy | Misuse::Removed,
        ))) => Ok(false),
        Err(ChangeError::Failed(error)) => Err(error),
        Err(ChangeError::Refused(_)) => Err(Error::Bug("a note about the relay")),
    }
}

/// One round with the relay that is set; a connection that was there before stays.
async fn visit(space: &Space, until: Instant) -> Result<(), Error> {
    let left = until.saturating_duration_since(Instant::now());
    space.sync(left).await.map(drop)
}
