//! Bringing back a space with the twelve words when every device is lost (protocol §2.2,
//! §2.18). Pure: what a relay shows goes in, a RECOVER link and a space for this device come
//! out.

mod finder;
mod keys;

use std::collections::BTreeMap;

use ajar_crypto::{DeviceSecrets, Entropy, EntropyFailed, EpochKey, SlotKeys, SlotPublic};
use ajar_protocol::auth::{Login, login_hash};
use ajar_protocol::chain::ChainError;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::{
    Cutoff, Link, LinkBody, LinkKind, NewDevice, RevokeReason, RootPublic, proof_hash,
};
use ajar_protocol::{
    DeviceId, EnvelopeId, EpochId, Frontier, PartyChain, PartyId, Position, SpaceGenesis, SpaceId,
};
use thiserror::Error;

pub use self::finder::{FindError, Finder};
use crate::clock::Now;
use crate::notice::NoticeKind;
use crate::replica::{NewSpace, Replica};
use crate::store::Store;

/// The recovery login of one slot of the words, for one TLS session (protocol §2.8). It names
/// neither space nor device: whoever has lost everything knows neither.
#[must_use]
pub fn login(keys: &SlotKeys, relay: &[u8; 32], exporter: &[u8; 32]) -> Login {
    let auth = keys.public().root.login;
    let (space, device) = (SpaceId::ZERO, DeviceId::ZERO);
    let hash = login_hash(exporter, relay, &space, &device, &auth);
    Login {
        relay: *relay,
        space,
        device,
        auth,
        signature: keys.sign_relay_auth(&hash),
    }
}

/// Asks for everything there is.
#[must_use]
pub fn subscription() -> ClientMsg {
    ClientMsg::Subscribe {
        chains: Vec::new(),
        frontier: Frontier::default(),
    }
}

/// Why a space that was found cannot be recovered in the way asked for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoverError {
    /// The person has left the space, by the link at this place, and nothing can follow it:
    /// only undoing from there on makes a recovery possible.
    #[error("this journal was left; only undoing that brings it back")]
    Left {
        /// Place of the LEAVE link.
        seq: u64,
    },
    /// Nothing from this place on can be undone: there is nothing, or something after it was
    /// done with the words themselves.
    #[error("what was done with the twelve words cannot be undone")]
    NotUndoable,
    /// The chain is full: 64 devices ever, 8 at a time.
    #[error("this journal has had as many devices as it can have")]
    TooMany,
    /// The keys are not those in force.
    #[error("these are not the twelve words of this journal, or they were replaced since")]
    WrongWords,
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// Our fault.
    #[error("a bug in Ajar: {0}; please report it")]
    Bug(&'static str),
}

/// A device of a found space, as its chain says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its party.
    pub party: PartyId,
    /// Whether it belongs to whoever has the words.
    pub own: bool,
    /// Whether it may read and write.
    pub active: bool,
    /// Since when, ms since 1970, as its chain claims.
    pub since_ms: u64,
    /// Envelopes of it that the relay showed.
    pub envelopes: u64,
    /// How many more of them somebody has seen whose words the relay does show: it hides
    /// them, or has lost them.
    pub unseen: u64,
}

/// A link of one's own chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundChange {
    /// Its place.
    pub seq: u64,
    /// What it does.
    pub kind: LinkKind,
    /// The device that signed it; `None` when it was signed with the words.
    pub by: Option<DeviceId>,
    /// The device that it is about, if it is about one.
    pub device: Option<DeviceId>,
    /// When, ms since 1970, as it claims.
    pub claimed_ms: u64,
    /// Whether a recovery can undo it and everything after it.
    pub undoable: bool,
}

/// A space that a relay showed, with all its signatures checked.
pub struct Found {
    genesis: SpaceGenesis,
    /// In the order of the genesis.
    chains: Vec<PartyChain>,
    place: usize,
    slot: SlotPublic,
    frontier: Frontier,
    /// The furthest envelope of each device that another one says to have seen.
    seen: BTreeMap<DeviceId, u64>,
    epoch_keys: Vec<(EpochId, EpochKey)>,
    unopened: usize,
    permits: Option<([u8; 32], [u8; 64])>,
    envelopes: u64,
    dropped: u64,
    written_ms: Option<i64>,
}

/// A recovery that is signed and that no relay has stored yet.
pub struct Recovery {
    link: Link,
    new: NewSpace,
}

impl Recovery {
    /// The RECOVER link, to be stored by the relay.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The space for [`Replica::create`], once the relay has stored the link.
    #[must_use]
    pub fn into_space(self) -> NewSpace {
        self.new
    }
}

impl Found {
    /// Id of the space.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        self.genesis.id()
    }

    /// Private or shared.
    #[must_use]
    pub fn kind(&self) -> SpaceKind {
        self.genesis.kind()
    }

    /// Slot of the words that it stands on.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.slot.slot
    }

    /// Envelopes that the relay showed, each in its place and signed, and those before them
    /// that a device of each party says it has given up.
    #[must_use]
    pub fn envelopes(&self) -> u64 {
        self.envelopes
    }

    /// Messages of the relay that were damaged or out of place.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Epochs of which no key was found: what was written under them stays closed.
    #[must_use]
    pub fn unopened(&self) -> usize {
        self.unopened
    }

    /// Time of the newest words, ms since 1970, as their author claimed.
    #[must_use]
    pub fn written_ms(&self) -> Option<i64> {
        self.written_ms
    }

    /// How far each device had come.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The chains, in the order of the genesis.
    #[must_use]
    pub fn chains(&self) -> &[PartyChain] {
        &self.chains
    }

    fn own(&self) -> Result<&PartyChain, RecoverError> {
        let chain = self.chains.get(self.place);
        chain.ok_or(RecoverError::Bug("no chain of our own"))
    }

    /// All devices ever of both parties.
    #[must_use]
    pub fn devices(&self) -> Vec<FoundDevice> {
        let mut found = Vec::new();
        for (place, chain) in self.chains.iter().enumerate() {
            found.extend(chain.devices().map(|(id, device)| FoundDevice {
                id: *id,
                party: chain.id(),
                own: place == self.place,
                active: device.revoked.is_none(),
                since_ms: device.added_time_ms,
                envelopes: self.frontier.counter(id),
                unseen: self.unseen(id),
            }));
        }
        found
    }

    fn unseen(&self, device: &DeviceId) -> u64 {
        let furthest = self.seen.get(device).copied().unwrap_or(0);
        furthest.saturating_sub(self.frontier.counter(device))
    }

    /// What happened to one's own chain after it was founded, oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<FoundChange> {
        let Some(chain) = self.chains.get(self.place) else {
            return Vec::new();
        };
        let links = chain.links().iter().skip(1);
        let mut backwards = links.clone().rev();
        let last_by_words = backwards.find(|link| by_words(chain, link));
        let fixed = last_by_words.map_or(0, |link| link.seq);
        links
            .map(|link| FoundChange {
                seq: link.seq,
                kind: link.body.kind(),
                by: (!by_words(chain, link)).then_some(DeviceId(link.signer)),
                device: subject(&link.body),
                claimed_ms: link.claimed_time_ms,
                undoable: link.seq > fixed,
            })
            .collect()
    }

    /// Place of one's own LEAVE link.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let chain = self.chains.get(self.place)?;
        chain.left_at(chain.last_seq())?;
        Some(chain.last_seq())
    }

    /// Whether the other party has left.
    #[must_use]
    pub fn partner_left(&self) -> bool {
        let mut others = self.chains.iter().enumerate();
        others
            .any(|(place, chain)| place != self.place && chain.left_at(chain.last_seq()).is_some())
    }

    /// Signs a RECOVER link for a new device here: at the head of the chain, or in the place
    /// of the link `undo_from`, which voids it and everything after it. All other devices
    /// that are active there are removed as lost, at the position that the relay showed,
    /// except those to `keep`.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub fn recover(
        &self,
        now: Now,
        entropy: &mut dyn Entropy,
        keys: &SlotKeys,
        keep: &[DeviceId],
        undo_from: Option<u64>,
    ) -> Result<Recovery, RecoverError> {
        let chain = self.own()?;
        let base = match undo_from {
            Some(seq) => self.before(seq)?,
            None => chain.clone(),
        };
        if let (Some(seq), None) = (self.left(), undo_from) {
            return Err(RecoverError::Left { seq });
        }
        if keys.public().root != *base.root() {
            return Err(RecoverError::WrongWords);
        }
        let secrets = DeviceSecrets::generate(entropy)?;
        let place = base.next_place(u64::try_from(now.wall_ms).unwrap_or(0));
        let public = secrets.public();
        let proof = proof_hash(&place.party, place.seq, &place.prev, &public);
        let device = NewDevice {
            keys: public,
            sealed_label: Vec::new(),
            proof: secrets.sign_proof(&proof),
        };
        let leaving = base.devices().filter(|(id, device)| {
            let kept = keep.contains(id);
            device.revoked.is_none() && !kept
        });
        let revoked = leaving.map(|(id, _)| self.cutoff(*id)).collect();
        let body = LinkBody::Recover { device, revoked };
        let link = Link::sign(place, body, base.root().root_id(), &keys.root);
        let mut recovered = base;
        recovered
            .append(link.clone())
            .map_err(|error| match error {
                ChainError::TooMany => RecoverError::TooMany,
                _ => RecoverError::Bug("a recovery that is not valid"),
            })?;
        let mut chains = self.chains.clone();
        if let Some(own) = chains.get_mut(self.place) {
            *own = recovered;
        }
        let new = NewSpace {
            genesis: self.genesis.clone(),
            promised: self.promised(&chains),
            chains,
            secrets,
            epoch_keys: self.epoch_keys.clone(),
            permits: self.permits.into_iter().collect(),
            epochs_beyond: Vec::new(),
        };
        Ok(Recovery { link, new })
    }

    /// The chain as it was before the link at `seq`, if a recovery may take its place.
    fn before(&self, seq: u64) -> Result<PartyChain, RecoverError> {
        let undoable = self.changes().into_iter().find(|change| change.seq == seq);
        if !undoable.is_some_and(|change| change.undoable) {
            return Err(RecoverError::NotUndoable);
        }
        let kept = self.own()?.links().iter();
        let kept = kept.filter(|link| link.seq < seq).cloned();
        PartyChain::from_links(kept).map_err(|_| RecoverError::Bug("a part of a chain"))
    }

    /// What must come when everything is fetched, as far as the chains let it count.
    fn promised(&self, chains: &[PartyChain]) -> Frontier {
        let devices = chains.iter().flat_map(PartyChain::devices);
        devices
            .filter_map(|(id, device)| {
                let last = self.frontier.of(id)?;
                let counts = device
                    .revoked
                    .map_or(last, |revoked| capped(last, revoked.cutoff));
                (counts.counter > 0).then_some((*id, counts))
            })
            .collect()
    }

    /// Up to what was shown, and no further on anybody's word: whoever has a lost device may
    /// have added another one to vouch for what that device has yet to write.
    fn cutoff(&self, device: DeviceId) -> Cutoff {
        let last = self.frontier.of(&device);
        Cutoff {
            device,
            counter: last.map_or(0, |last| last.counter),
            id: last.map_or(EnvelopeId::ZERO, |last| last.id),
            reason: RevokeReason::Lost,
        }
    }
}

/// As far as a position counts when its device is removed there.
fn capped(last: Position, cutoff: Cutoff) -> Position {
    if cutoff.counter >= last.counter {
        return last;
    }
    Position {
        counter: cutoff.counter,
        id: cutoff.id,
    }
}

/// Whether a link was signed with the words in force before it.
fn by_words(chain: &PartyChain, link: &Link) -> bool {
    let root = chain.root_at(link.seq.saturating_sub(1));
    root.is_some_and(|root| root.root_id() == link.signer)
}

fn subject(body: &LinkBody) -> Option<DeviceId> {
    match body {
        LinkBody::DeviceAdd(device) | LinkBody::Recover { device, .. } => Some(device.keys.id()),
        LinkBody::DeviceRevoke(cutoff) | LinkBody::RevokeAmend(cutoff) => Some(cutoff.device),
        _ => None,
    }
}

impl<S: Store> Replica<S> {
    /// Root keys that the space began with.
    #[must_use]
    pub fn first_root(&self) -> Option<RootPublic> {
        self.own_chain().root_at(0).copied()
    }

    /// Whether this device came by a recovery and has written nothing yet: nobody else's key
    /// is changed, and nothing of its own is said.
    #[must_use]
    pub fn is_recovery_unfinished(&self) -> bool {
        let mut links = self.own_chain().links().iter();
        let ours = |link: &&Link| subject(&link.body) == Some(self.space.device);
        let recovered = links
            .find(ours)
            .is_some_and(|link| link.body.kind() == LinkKind::Recover);
        recovered && self.own_position().is_none()
    }

    /// Somebody has seen more of a device than counted when it was recovered from: the relay
    /// did not show it then. That is told at once, because it is cut off for good.
    pub(crate) fn tell_lost(&mut self, now: Now, device: &DeviceId, counter: u64) {
        let chain = self.own_chain();
        let Some(revoked) = chain.device(device).and_then(|device| device.revoked) else {
            return;
        };
        let mut links = chain.links().iter();
        let link = links.find(|link| link.seq == revoked.seq);
        let recovered = link.is_some_and(|link| link.body.kind() == LinkKind::Recover);
        if recovered && counter > revoked.cutoff.counter {
            let (device, missing) = (*device, counter - revoked.cutoff.counter);
            self.notice(now, NoticeKind::Withheld { device, missing });
        }
    }
}
