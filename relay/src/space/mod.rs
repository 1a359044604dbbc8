//! One space while somebody is connected: verified chains, heads, what is being written, and
//! the sessions to fan out to.
//!
//! Envelopes and links are *accepted* in memory, fanned out, then written one commit of the space
//! at a time, and only then acknowledged. When a commit fails, everything accepted but not
//! durable is answered "not stored" and forgotten, so that storage never has a gap.

mod blobs;
mod commit;
mod links;
mod pending;
mod trim;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ajar_protocol::client_msg::ChainPosition;
use ajar_protocol::frame::{self, Tag};
use ajar_protocol::genesis::membership_seqs;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{
    BlobId, DeviceId, EnvelopeId, Frontier, PartyChain, PartyId, Position, SpaceId,
    VerifiedEnvelope,
};
use tokio::sync::mpsc;

use crate::outbox::{Cursor, Item, Outbox, What};
use crate::storage::Head;

use blobs::Turn;
pub(crate) use blobs::{Held, Reservation};
use commit::roll_back;
use links::Chain;
pub(crate) use links::{Member, party_of};
pub(crate) use pending::Waiter;
use pending::{Object, Pending};
use trim::Below;
pub(crate) use trim::{Floor, look_up, rows};

/// Head of a device: as accepted, and as durable.
#[derive(Clone, Copy, Debug)]
struct DeviceHead {
    accepted: Head,
    durable: Head,
}

fn no_head(device: DeviceId) -> Head {
    Head {
        device,
        counter: 0,
        id: EnvelopeId::ZERO,
        bytes: 0,
    }
}

#[derive(Debug)]
struct Session {
    member: Member,
    outbox: Arc<Outbox>,
}

#[derive(Debug, Default)]
struct State {
    chains: Vec<Chain>,
    heads: BTreeMap<DeviceId, DeviceHead>,
    /// Of envelopes, as accepted.
    bytes: u64,
    /// Of blobs and of what is there of those that are being uploaded, and what was promised to
    /// uploads under way.
    blob_bytes: u64,
    /// The newest trim record, as accepted and as durable.
    floor: Option<Arc<Floor>>,
    durable_floor: Option<Arc<Floor>>,
    /// Blobs that are being written or deleted.
    turns: BTreeMap<BlobId, Turn>,
    /// Transfers of blobs under way.
    transfers: u32,
    /// Whether the log says already that the quota is used up.
    quota_told: bool,
    queued: VecDeque<Pending>,
    in_flight: Vec<Pending>,
    scheduled: bool,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
}

/// What a space that was loaded from storage consists of.
pub(crate) struct Loaded {
    pub(crate) chains: Vec<PartyChain>,
    pub(crate) heads: Vec<Head>,
    /// Bytes of blobs and of parts of blobs.
    pub(crate) blob_bytes: u64,
    /// The trim record.
    pub(crate) trim: Option<Vec<u8>>,
}

/// A space.
#[derive(Debug)]
pub(crate) struct Space {
    id: SpaceId,
    quota: u64,
    ready: mpsc::UnboundedSender<Arc<Space>>,
    /// Where to say that something is to be deleted.
    trims: mpsc::UnboundedSender<SpaceId>,
    state: Mutex<State>,
}

/// What happened to an envelope.
pub(crate) enum Verdict {
    /// It will be answered, or has been.
    Taken,
    /// Something with this counter is stored already: compare with it.
    Compare(Waiter),
    /// As [`Self::Compare`]; when nothing is there, store it with [`Space::append_old`].
    Old(Waiter),
}

/// What a session lacks of what is durable.
pub(crate) struct Missing {
    /// Links, as ranges `from..to` of sequence numbers.
    pub(crate) links: Vec<(PartyId, u64, u64)>,
    /// Envelopes, as ranges `from..=to` of counters.
    pub(crate) envelopes: Vec<(DeviceId, u64, u64)>,
    /// The trim record in place of envelopes: what is lacking begins before it.
    pub(crate) trimmed: Option<Arc<Floor>>,
}

impl Space {
    pub(crate) fn new(
        id: SpaceId,
        loaded: Loaded,
        quota: u64,
        ready: mpsc::UnboundedSender<Arc<Space>>,
        trims: mpsc::UnboundedSender<SpaceId>,
    ) -> Self {
        let heads: BTreeMap<DeviceId, DeviceHead> = loaded
            .heads
            .into_iter()
            .map(|head| {
                let both = DeviceHead {
                    accepted: head,
                    durable: head,
                };
                (head.device, both)
            })
            .collect();
        let chains = loaded.chains.into_iter().map(Chain::new);
        let floor = loaded.trim.and_then(|record| Floor::parse(&record));
        let state = State {
            chains: chains.collect(),
            bytes: heads.values().map(|head| head.durable.bytes).sum(),
            heads,
            blob_bytes: loaded.blob_bytes,
            durable_floor: floor.clone(),
            floor,
            ..State::default()
        };
        Self {
            id,
            quota,
            ready,
            trims,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn id(&self) -> SpaceId {
        self.id
    }

    /// Adds a session; ends with [`Self::leave`]. Who was removed since the login was checked is
    /// shown out at once.
    pub(crate) fn enter(&self, member: Member, outbox: Arc<Outbox>) -> u64 {
        let mut state = self.lock();
        let number = state.next_session;
        state.next_session += 1;
        state.sessions.insert(number, Session { member, outbox });
        state.expel();
        number
    }

    pub(crate) fn leave(&self, session: u64) {
        self.lock().sessions.remove(&session);
    }

    /// What is durable here, for the welcome. Devices that no chain names (any more) are left
    /// out: nothing of theirs is sent, and a frontier has no room for all that ever were.
    pub(crate) fn holds(&self) -> (Vec<ChainPosition>, Frontier) {
        let state = self.lock();
        let chains = state.chains.iter().map(|chain| ChainPosition {
            party: chain.accepted.id(),
            next: chain.durable,
        });
        let rows = state.heads.values().map(|head| head.durable);
        let frontier = rows
            .filter(|head| head.counter > 0 && state.names(&head.device))
            .map(|head| {
                let position = Position {
                    counter: head.counter,
                    id: head.id,
                };
                (head.device, position)
            })
            .collect();
        (chains.collect(), frontier)
    }

    /// All devices that a chain names.
    pub(crate) fn named(&self) -> BTreeSet<DeviceId> {
        let state = self.lock();
        let chains = state.chains.iter();
        chains
            .flat_map(|chain| chain.accepted.devices().map(|(id, _)| *id))
            .collect()
    }

    /// Makes the session live and says what it lacks of what is durable. What is accepted but
    /// not durable yet is queued at once, so nothing falls between the two. A session that begins
    /// before the floor does not become live.
    pub(crate) fn subscribe(&self, outbox: &Outbox, cursor: &Cursor) -> Missing {
        let state = self.lock();
        if let Some(missing) = state.trimmed(outbox, cursor) {
            return missing;
        }
        let mut missing = Missing {
            links: state.links_after(cursor, &outbox.go_live()),
            envelopes: Vec::new(),
            trimmed: None,
        };
        for (device, head) in &state.heads {
            let held = cursor.counters.get(device).copied().unwrap_or(0);
            if held < head.durable.counter && state.names(device) {
                missing
                    .envelopes
                    .push((*device, held + 1, head.durable.counter));
            }
        }
        for pending in state.in_flight.iter().chain(&state.queued) {
            if let Object::Envelope {
                name,
                frame,
                old: false,
                ..
            } = &pending.object
                && cursor.counters.get(&name.device).copied().unwrap_or(0) < name.counter
            {
                outbox.push(Item {
                    what: What::Envelope(name.device, name.counter),
                    frame: Some(Arc::clone(frame)),
                });
            }
        }
        missing
    }

    /// Takes a verified envelope of this space: checks its place, fans it out, queues it.
    pub(crate) fn append(
        self: &Arc<Self>,
        envelope: &VerifiedEnvelope,
        waiter: Waiter,
        session: u64,
    ) -> Verdict {
        let header = envelope.header();
        let name = EnvelopeName {
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        };
        let size = envelope.as_bytes().len() as u64;
        let mut guard = self.lock();
        let state = &mut *guard;
        let refuse = |waiter: Waiter, reason| {
            waiter.answer(RelayMsg::NotStored(name, reason));
            Verdict::Taken
        };
        let (lower, higher) = membership_seqs(&header.mhead);
        let known = state.chains.iter().zip([lower, higher]).find_map(|it| {
            let (chain, seen) = it;
            let known = chain.accepted.device(&name.device)?;
            Some((known, chain.accepted.left_at(seen).is_some()))
        });
        let Some((known, parted)) = known else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
        // What was written before may still come; whoever knew of leaving writes no more.
        if parted {
            return refuse(waiter, Refusal::NotAdmitted);
        }
        if let Some(revocation) = known.revoked {
            let cutoff = revocation.cutoff;
            let beyond = name.counter > cutoff.counter
                || (name.counter == cutoff.counter && name.id != cutoff.id);
            if beyond {
                return refuse(waiter, Refusal::Revoked);
            }
        }
        let head = state
            .heads
            .get(&name.device)
            .copied()
            .unwrap_or(DeviceHead {
                accepted: no_head(name.device),
                durable: no_head(name.device),
            });
        if let Some(below) = state.below_floor(&name, header.kind) {
            return match below {
                Below::Folded => {
                    waiter.answer(RelayMsg::Stored(name));
                    Verdict::Taken
                }
                Below::Epoch => Verdict::Old(waiter),
                Below::Refused(reason) => refuse(waiter, reason),
            };
        }
        if name.counter <= head.durable.counter {
            return Verdict::Compare(waiter);
        }
        if name.counter <= head.accepted.counter {
            let pending = state.in_flight.iter_mut().chain(&mut state.queued);
            for pending in pending {
                if let Object::Envelope { name: other, .. } = &pending.object
                    && other.device == name.device
                    && other.counter == name.counter
                {
                    if other.id != name.id {
                        return refuse(waiter, Refusal::Conflict);
                    }
                    pending.waiters.push(waiter);
                    return Verdict::Taken;
                }
            }
            return refuse(waiter, Refusal::Unavailable);
        }
        if name.counter != head.accepted.counter + 1 {
            return refuse(waiter, Refusal::Gap);
        }
        if header.prev != head.accepted.id {
            return refuse(waiter, Refusal::Conflict);
        }
        if !state.has_room(size, self.quota) {
            return refuse(waiter, Refusal::Quota);
        }
        state.bytes += size;
        let accepted = Head {
            device: name.device,
            counter: name.counter,
            id: name.id,
            bytes: head.accepted.bytes + size,
        };
        state
            .heads
            .insert(name.device, DeviceHead { accepted, ..head });
        let frame: Arc<[u8]> = frame::wrap(Tag::Envelope, envelope.as_bytes()).into();
        for (number, other) in &state.sessions {
            other.outbox.push(Item {
                what: What::Envelope(name.device, name.counter),
                frame: (*number != session).then(|| Arc::clone(&frame)),
            });
        }
        state.queued.push_back(Pending {
            object: Object::Envelope {
                name,
                kind: header.kind,
                frame,
                old: false,
            },
            waiters: vec![waiter],
        });
        self.schedule(state);
        Verdict::Taken
    }

    fn schedule(self: &Arc<Self>, state: &mut State) {
        if !state.scheduled {
            // The receiver is the committer, which ends after all sessions.
            state.scheduled = self.ready.send(Arc::clone(self)).is_ok();
            if !state.scheduled {
                roll_back(state, Refusal::Unavailable);
            }
        }
    }
}
