//! One space while somebody is connected: verified chains, heads, what is being written, and
//! the sessions to fan out to.
//!
//! Envelopes and links are *accepted* in memory, fanned out, then written one commit of the space
//! at a time, and only then acknowledged. When a commit fails, everything accepted but not
//! durable is answered "not stored" and forgotten, so that storage never has a gap.

mod commit;
mod pending;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ajar_protocol::chain::{AppendOutcome, ChainError};
use ajar_protocol::client_msg::ChainPosition;
use ajar_protocol::frame::{self, Tag};
use ajar_protocol::id::hash;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{
    DeviceId, EnvelopeId, Frontier, Link, LinkBody, PartyChain, PartyId, Position, SpaceId,
    VerifiedEnvelope, label,
};
use tokio::sync::mpsc;

use crate::outbox::{Cursor, Item, Outbox, What};
use crate::storage::Head;

use commit::roll_back;
pub(crate) use pending::Waiter;
use pending::{Object, Pending};

/// Who logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// An active device.
    Device(DeviceId),
    /// Somebody with the twelve words of this party: may fetch, and append RECOVER.
    Recovery(PartyId),
}

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
struct Chain {
    accepted: PartyChain,
    durable: u64,
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
    bytes: u64,
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
}

/// A space.
#[derive(Debug)]
pub(crate) struct Space {
    id: SpaceId,
    quota: u64,
    ready: mpsc::UnboundedSender<Arc<Space>>,
    state: Mutex<State>,
}

/// What happened to an envelope.
pub(crate) enum Verdict {
    /// It will be answered, or has been.
    Taken,
    /// Something with this counter is stored already: compare with it.
    Compare(Waiter),
}

/// What a session lacks of what is durable.
pub(crate) struct Missing {
    /// Links, as ranges `from..to` of sequence numbers.
    pub(crate) links: Vec<(PartyId, u64, u64)>,
    /// Envelopes, as ranges `from..=to` of counters.
    pub(crate) envelopes: Vec<(DeviceId, u64, u64)>,
}

impl Space {
    pub(crate) fn new(
        id: SpaceId,
        loaded: Loaded,
        quota: u64,
        ready: mpsc::UnboundedSender<Arc<Space>>,
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
        let chains = loaded.chains.into_iter().map(|chain| Chain {
            durable: chain.next_seq(),
            accepted: chain,
        });
        let state = State {
            chains: chains.collect(),
            bytes: heads.values().map(|head| head.durable.bytes).sum(),
            heads,
            ..State::default()
        };
        Self {
            id,
            quota,
            ready,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn id(&self) -> SpaceId {
        self.id
    }

    /// Whether this key may enter, and as whom.
    pub(crate) fn member(&self, device: &DeviceId, auth: &[u8; 32]) -> Option<Member> {
        let state = self.lock();
        state.chains.iter().find_map(|chain| {
            let chain = &chain.accepted;
            if *device == DeviceId::ZERO {
                return (chain.root().login == *auth).then(|| Member::Recovery(chain.id()));
            }
            let known = chain.active(device)?;
            (known.keys.auth == *auth).then_some(Member::Device(*device))
        })
    }

    /// Adds a session; ends with [`Self::leave`].
    pub(crate) fn enter(&self, member: Member, outbox: Arc<Outbox>) -> u64 {
        let mut state = self.lock();
        let number = state.next_session;
        state.next_session += 1;
        state.sessions.insert(number, Session { member, outbox });
        number
    }

    pub(crate) fn leave(&self, session: u64) {
        self.lock().sessions.remove(&session);
    }

    /// What is durable here, for the welcome.
    pub(crate) fn holds(&self) -> (Vec<ChainPosition>, Frontier) {
        let state = self.lock();
        let chains = state.chains.iter().map(|chain| ChainPosition {
            party: chain.accepted.id(),
            next: chain.durable,
        });
        let rows = state.heads.values().map(|head| head.durable);
        let frontier = rows
            .filter(|head| head.counter > 0)
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

    /// Makes the session live and says what it lacks of what is durable. What is accepted but
    /// not durable yet is queued at once, so nothing falls between the two.
    pub(crate) fn subscribe(&self, outbox: &Outbox, cursor: &Cursor) -> Missing {
        let state = self.lock();
        outbox.go_live();
        let mut missing = Missing {
            links: Vec::new(),
            envelopes: Vec::new(),
        };
        for chain in &state.chains {
            let party = chain.accepted.id();
            let from = cursor.links.get(&party).copied().unwrap_or(0);
            if from < chain.durable {
                missing.links.push((party, from, chain.durable));
            }
        }
        for (device, head) in &state.heads {
            let held = cursor.counters.get(device).copied().unwrap_or(0);
            if held < head.durable.counter {
                missing
                    .envelopes
                    .push((*device, held + 1, head.durable.counter));
            }
        }
        for pending in state.in_flight.iter().chain(&state.queued) {
            if let Object::Envelope { name, frame } = &pending.object
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

    /// Durable links `from..to` of a party, at most `most`.
    pub(crate) fn links(&self, party: &PartyId, from: u64, to: u64, most: usize) -> Vec<Vec<u8>> {
        let state = self.lock();
        let Some(chain) = state.chains.iter().find(|c| c.accepted.id() == *party) else {
            return Vec::new();
        };
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let links = chain.accepted.links().iter().skip(skip);
        links
            .take(count.min(most))
            .map(|link| link.as_bytes().to_vec())
            .collect()
    }

    /// Signing key of a device that is or was in the space.
    pub(crate) fn author(&self, device: &DeviceId) -> Option<[u8; 32]> {
        let state = self.lock();
        state
            .chains
            .iter()
            .find_map(|chain| chain.accepted.device(device))
            .map(|known| known.keys.sign)
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
        let known = state
            .chains
            .iter()
            .find_map(|chain| chain.accepted.device(&name.device));
        let Some(known) = known else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
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
        if state.bytes.saturating_add(size) > self.quota {
            // Once: a device that tries again and again must not fill the log.
            if !std::mem::replace(&mut state.quota_told, true) {
                tracing::warn!("a space has used up its quota (bytes_per_space)");
            }
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
            object: Object::Envelope { name, frame },
            waiters: vec![waiter],
        });
        self.schedule(state);
        Verdict::Taken
    }

    /// Takes a link: compare-and-swap on (party, seq) by the rules of the chain.
    pub(crate) fn append_link(
        self: &Arc<Self>,
        link: Link,
        waiter: Waiter,
        member: Option<Member>,
        session: u64,
    ) {
        let party = party_of(&link);
        let seq = link.seq;
        let mut guard = self.lock();
        let state = &mut *guard;
        let refuse = |waiter: Waiter, reason| {
            waiter.answer(RelayMsg::LinkNotStored { party, seq, reason });
        };
        if let Some(Member::Recovery(own)) = member
            && (own != party || !matches!(link.body, LinkBody::Recover { .. }))
        {
            return refuse(waiter, Refusal::NotAdmitted);
        }
        let Some(place) = state.chains.iter().position(|c| c.accepted.id() == party) else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
        let Some(mut grown) = state.chains.get(place).map(|c| c.accepted.clone()) else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
        let bytes = link.as_bytes().to_vec();
        let reason = match grown.append(link) {
            Ok(AppendOutcome::Known) => {
                let pending = state.in_flight.iter_mut().chain(&mut state.queued);
                for pending in pending {
                    if matches!(&pending.object, Object::Link { party: p, seq: s, .. }
                        if *p == party && *s == seq)
                    {
                        pending.waiters.push(waiter);
                        return;
                    }
                }
                waiter.answer(RelayMsg::LinkStored { party, seq });
                return;
            }
            Ok(AppendOutcome::Appended) => {
                let mut others = state.chains.iter().enumerate();
                let reused =
                    others.any(|(i, other)| i != place && other.accepted.shares_key_with(&grown));
                reused.then_some(Refusal::Violation)
            }
            Err(ChainError::Fork { .. }) => Some(Refusal::Conflict),
            Err(ChainError::Gap { .. }) => Some(Refusal::Gap),
            Err(ChainError::NotAllowed | ChainError::Left) => Some(Refusal::NotAdmitted),
            Err(ChainError::TooMany) => Some(Refusal::Quota),
            Err(_) => Some(Refusal::Violation),
        };
        if let Some(reason) = reason {
            return refuse(waiter, reason);
        }
        if let Some(chain) = state.chains.get_mut(place) {
            chain.accepted = grown;
        }
        let object = Object::Link {
            party,
            seq,
            bytes,
            from: session,
        };
        state.queued.push_back(Pending {
            object,
            waiters: vec![waiter],
        });
        self.schedule(state);
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

/// The party that a link belongs to; GENESIS makes it.
pub(crate) fn party_of(link: &Link) -> PartyId {
    if link.seq == 0 {
        PartyId(hash(label::PARTY_ID, &[&link.hash().0]))
    } else {
        link.party
    }
}
