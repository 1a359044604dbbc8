//! What the twelve words found, and what the person decides about it (protocol §2.18).

use ajar_engine::recovery::{Found, FoundChange, FoundDevice};
use ajar_protocol::SpaceId;
use ajar_protocol::address::RelayAddress;
use ajar_protocol::genesis::SpaceKind;

/// A space that the words found. What it says comes from signatures of the person's and the
/// partner's devices, as far as the relay showed them.
#[derive(Clone, Debug)]
pub struct RecoveredSpace {
    /// Its id.
    pub id: SpaceId,
    /// Private or shared.
    pub kind: SpaceKind,
    /// Slot of the words that it stands on.
    pub slot: u8,
    /// Relay at which it was found.
    pub relay: RelayAddress,
    /// Devices ever, of both people.
    pub devices: Vec<FoundDevice>,
    /// What happened to the list of the person's own devices since the beginning, oldest
    /// first: whoever does not know one of these changes undoes from there on.
    pub changes: Vec<FoundChange>,
    /// Envelopes that the relay showed.
    pub envelopes: u64,
    /// Time of the newest words, ms since 1970, as their author claimed: what was written later
    /// is not at the relay, or it hides it.
    pub written_ms: Option<i64>,
    /// Messages of the relay that were damaged or out of place.
    pub dropped: u64,
    /// Key changes that the words do not open: what was written under them stays closed.
    pub unopened: usize,
    /// The change with which the person left the space. Only undoing it brings the space back.
    pub left: Option<u64>,
    /// Whether the partner has ended it: it can be read, and not written any more.
    pub partner_left: bool,
    /// Whether it is made part of the home.
    pub taken: bool,
}

/// A shared space of which the private one tells, and that no relay showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSpace {
    /// Its id.
    pub space: SpaceId,
    /// The relay that it was at, without claim; empty if unknown.
    pub relay: String,
}

/// What the words found, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Everything found, *Only me* first.
    pub spaces: Vec<RecoveredSpace>,
    /// Slots for which a relay showed something that is no space of these words.
    pub unsound: Vec<u8>,
    /// The shared space, if there is one and no relay showed it. Try again later, or with
    /// another relay, by [`super::Home::recover_shared`].
    pub missing: Option<MissingSpace>,
    /// Whether the shared space was left without a word. It stays where it is then, and the
    /// partner hears nothing of this recovery.
    pub left_quietly: bool,
    /// Whether everything that the relay showed is here and the keys are changed. If not, it
    /// is to be finished by [`super::Home::finish_recovery`] when the relay is there.
    pub complete: bool,
}

impl Recovered {
    pub(super) fn of(&self, kind: SpaceKind) -> impl Iterator<Item = &RecoveredSpace> {
        self.spaces.iter().filter(move |space| space.kind == kind)
    }

    pub(super) fn taken(&mut self, id: SpaceId) {
        for space in &mut self.spaces {
            space.taken |= space.id == id;
        }
    }
}

/// What a person decides after seeing what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Whether to go on. If not, nothing is changed, here or at the relay.
    pub go_on: bool,
    /// Whether devices that are still in the list stay; else all are removed as lost.
    pub keep_devices: bool,
    /// For each space whose list of devices somebody else has changed: the first change that
    /// is not the person's own. It and everything after it is undone.
    pub undo_from: Vec<(SpaceId, u64)>,
    /// Whether to go on without *Only me* if it was not found. The home has none then: a second
    /// one under the same words would be one too many for their keys.
    pub without_private: bool,
}

impl Review {
    /// Goes on and removes all devices that there were.
    #[must_use]
    pub fn go_on() -> Self {
        Self {
            go_on: true,
            ..Self::default()
        }
    }

    pub(super) fn undo(&self, space: SpaceId) -> Option<u64> {
        let mut all = self.undo_from.iter();
        all.find(|(of, _)| *of == space).map(|(_, from)| *from)
    }

    /// Whether a space can be recovered as decided.
    pub(super) fn allows(&self, found: &Found) -> bool {
        let undo = self.undo(found.space());
        found
            .left()
            .is_none_or(|left| undo.is_some_and(|from| from <= left))
    }
}

/// What was found, with the relay it was found at.
pub(super) struct Place {
    pub(super) found: Box<Found>,
    pub(super) relay: RelayAddress,
}

impl Place {
    pub(super) fn describe(&self) -> RecoveredSpace {
        let found = &self.found;
        RecoveredSpace {
            id: found.space(),
            kind: found.kind(),
            slot: found.slot(),
            relay: self.relay.clone(),
            devices: found.devices(),
            changes: found.changes(),
            envelopes: found.envelopes(),
            written_ms: found.written_ms(),
            dropped: found.dropped(),
            unopened: found.unopened(),
            left: found.left(),
            partner_left: found.partner_left(),
            taken: false,
        }
    }
}
