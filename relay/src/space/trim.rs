//! The floor of a space: what a trim record covers (protocol §2.10). Envelopes at or below it are
//! folded into a snapshot and deleted here, but for EPOCHs that are not retired.

use std::collections::BTreeMap;
use std::sync::Arc;

use ajar_protocol::frame::{self, Tag};
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::trim::{TrimRecord, TrimStatement};
use ajar_protocol::{
    DeviceId, Envelope, EnvelopeId, EnvelopeType, Malformed, PartyChain, VerifiedEnvelope,
};

use super::pending::{Object, Pending, Waiter};
use super::{DeviceHead, Missing, Space, State, no_head};
use crate::outbox::{Cursor, Outbox};
use crate::storage::{Head, Store, StoreError};

/// A trim record.
#[derive(Debug)]
pub(crate) struct Floor {
    /// As received.
    pub(crate) record: Arc<[u8]>,
    pub(crate) statement: TrimStatement,
}

impl Floor {
    pub(super) fn parse(record: &[u8]) -> Option<Arc<Self>> {
        match TrimRecord::parse(record) {
            Ok(parsed) => Some(Arc::new(Self {
                record: record.into(),
                statement: parsed.statement,
            })),
            Err(_) => {
                tracing::warn!("a trim record is damaged in storage; its devices hold it");
                None
            }
        }
    }

    pub(crate) fn snapshot(&self) -> EnvelopeId {
        self.statement.snapshot.id
    }

    /// Whether an EPOCH that is covered is given up.
    pub(crate) fn retires(&self, device: &DeviceId, counter: u64) -> bool {
        let retired = &self.statement.retired;
        retired.binary_search(&(*device, counter)).is_ok()
    }
}

/// What happens to an envelope at or below the floor.
pub(super) enum Below {
    /// It is in the snapshot.
    Folded,
    /// An EPOCH, which is kept if nothing else stands in its place.
    Epoch,
    Refused(Refusal),
}

/// What has to be looked up before a trim record can be taken: envelopes of which it must have
/// the right id.
pub(crate) type Lookups = Vec<EnvelopeName>;

fn reason_of(error: &Malformed) -> Refusal {
    match error {
        // Somebody unknown or removed has signed, or nobody of a party.
        Malformed::Value(_) => Refusal::NotAdmitted,
        _ => Refusal::Violation,
    }
}

impl State {
    /// The floor that begins behind a session: what it lacks is not all here.
    fn behind(&self, cursor: &Cursor) -> Option<Arc<Floor>> {
        let floor = self.durable_floor.as_ref()?;
        let behind = floor.statement.cover.rows().any(|(device, row)| {
            let held = cursor.counters.get(device).copied().unwrap_or(0);
            held < row.counter && self.names(device)
        });
        behind.then(|| Arc::clone(floor))
    }

    /// What a session gets that is behind the floor; it is not live from then on.
    pub(super) fn trimmed(&self, outbox: &Outbox, cursor: &Cursor) -> Option<Missing> {
        let floor = self.behind(cursor)?;
        Some(Missing {
            links: self.links_after(cursor, &outbox.fall_silent()),
            envelopes: Vec::new(),
            trimmed: Some(floor),
        })
    }

    /// What happens to an envelope if it is at or below the floor.
    pub(super) fn below_floor(&self, name: &EnvelopeName, kind: EnvelopeType) -> Option<Below> {
        let floor = self.floor.as_ref()?;
        let row = floor.statement.cover.of(&name.device)?;
        if name.counter > row.counter {
            return None;
        }
        if name.counter == row.counter && name.id != row.id {
            return Some(Below::Refused(Refusal::Conflict));
        }
        if kind == EnvelopeType::Epoch && !floor.retires(&name.device, name.counter) {
            return Some(Below::Epoch);
        }
        let durable = self.durable_floor.as_ref();
        let durable = durable.map_or(0, |floor| floor.statement.cover.counter(&name.device));
        if name.counter <= durable {
            return Some(Below::Folded);
        }
        // Not yet said to be folded: as ever, but nothing is put below a head that will be set.
        let stored = self.heads.get(&name.device);
        let stored = stored.is_some_and(|head| name.counter <= head.durable.counter);
        (!stored).then_some(Below::Refused(Refusal::Unavailable))
    }

    pub(super) fn roll_back_trim(&mut self) {
        self.floor.clone_from(&self.durable_floor);
    }

    pub(super) fn settle_forget(&mut self, device: &DeviceId, bytes: u64) {
        if let Some(head) = self.heads.get_mut(device) {
            head.durable.bytes = head.durable.bytes.saturating_sub(bytes);
            head.accepted.bytes = head.accepted.bytes.saturating_sub(bytes);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.quota_told = false;
    }

    /// The id of an envelope that is accepted but not durable.
    fn pending_id(&self, device: &DeviceId, counter: u64) -> Option<EnvelopeId> {
        let mut pending = self.in_flight.iter().chain(&self.queued);
        pending.find_map(|pending| match &pending.object {
            Object::Envelope { name, .. } if name.device == *device && name.counter == counter => {
                Some(name.id)
            }
            _ => None,
        })
    }

    /// Checks a record against what is accepted; says what remains to be looked up, and the heads
    /// that it sets.
    fn check(&self, statement: &TrimStatement) -> Result<(Lookups, Vec<Head>), Refusal> {
        let before = self.floor.as_ref().map(|floor| &floor.statement.cover);
        let grown = before.is_none_or(|before| {
            before.rows().all(|(device, row)| {
                // A device that was voided is in no new record.
                let now = statement.cover.of(device);
                now.map_or(!self.names(device), |now| {
                    now.counter > row.counter || now == *row
                })
            }) && *before != statement.cover
        });
        if !grown {
            return Err(Refusal::Conflict);
        }
        let (mut lookups, mut heads) = (Lookups::new(), Vec::new());
        for (device, row) in statement.cover.rows() {
            let head = self.heads.get(device).copied();
            let head = head.map_or_else(|| no_head(*device), |head| head.accepted);
            if head.counter == 0 {
                heads.push(Head {
                    counter: row.counter,
                    id: row.id,
                    ..head
                });
                continue;
            }
            if head.counter < row.counter {
                return Err(Refusal::Gap);
            }
            let known = if head.counter == row.counter {
                Some(head.id)
            } else {
                self.pending_id(device, row.counter)
            };
            match known {
                Some(id) if id != row.id => return Err(Refusal::Conflict),
                Some(_) => {}
                None => lookups.push(EnvelopeName {
                    device: *device,
                    counter: row.counter,
                    id: row.id,
                }),
            }
        }
        let snapshot = statement.snapshot;
        match self.pending_id(&snapshot.device, snapshot.counter) {
            Some(id) if id != snapshot.id => return Err(Refusal::Conflict),
            Some(_) => {}
            None => lookups.push(snapshot),
        }
        Ok((lookups, heads))
    }
}

impl Space {
    /// The record that devices are told, as durable.
    pub(crate) fn floor(&self) -> Option<Arc<Floor>> {
        self.lock().durable_floor.clone()
    }

    /// What a session gets whose catch-up was overtaken by a trim.
    pub(crate) fn overtaken(&self, outbox: &Outbox, cursor: &Cursor) -> Option<Missing> {
        self.lock().trimmed(outbox, cursor)
    }

    /// Whether a record is to be looked at: who signed it, and what it says of what is here.
    /// `Ok(None)` for the record that is kept already.
    pub(crate) fn check_trim(&self, record: &TrimRecord) -> Result<Option<Lookups>, Refusal> {
        let state = self.lock();
        let kept = state.durable_floor.as_ref();
        if kept.is_some_and(|kept| kept.statement == record.statement) {
            return Ok(None);
        }
        // A removal that is being written may still fail, and a device that is being added too.
        if !state.chains.iter().all(super::Chain::is_settled) {
            return Err(Refusal::Unavailable);
        }
        let chains: Vec<&PartyChain> = state.chains.iter().map(|chain| &chain.accepted).collect();
        let verified = record.verify(&self.id, &chains, true);
        verified.map_err(|error| reason_of(&error))?;
        state
            .check(&record.statement)
            .map(|(lookups, _)| Some(lookups))
    }

    /// Takes a record that [`Self::check_trim`] has passed and whose lookups were right.
    pub(crate) fn trim(self: &Arc<Self>, record: &TrimRecord, waiter: Waiter) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let id = record.statement.snapshot.id;
        let accepted = state.floor.as_ref();
        if accepted.is_some_and(|floor| floor.statement == record.statement) {
            let mut pending = state.in_flight.iter_mut().chain(&mut state.queued);
            let same = pending.find(
                |it| matches!(&it.object, Object::Trim { floor, .. } if floor.snapshot() == id),
            );
            match same {
                Some(pending) => pending.waiters.push(waiter),
                None => waiter.answer(RelayMsg::TrimStored(id)),
            }
            return;
        }
        // Heads have only grown since, but another record may have come.
        let heads = match state.check(&record.statement) {
            Ok((_, heads)) => heads,
            Err(reason) => return waiter.answer(RelayMsg::TrimNotStored(id, reason)),
        };
        for head in &heads {
            let before = DeviceHead {
                accepted: *head,
                durable: no_head(head.device),
            };
            state.heads.insert(head.device, before);
        }
        let floor = Arc::new(Floor {
            record: record.encode().into(),
            statement: record.statement.clone(),
        });
        state.floor = Some(Arc::clone(&floor));
        state.queued.push_back(Pending {
            object: Object::Trim { floor, heads },
            waiters: vec![waiter],
        });
        self.schedule(state);
    }

    /// A record is durable: what it covers may go.
    pub(super) fn settle_trim(&self, state: &mut State, floor: &Arc<Floor>, heads: &[Head]) {
        state.durable_floor = Some(Arc::clone(floor));
        for head in heads {
            if let Some(known) = state.heads.get_mut(&head.device) {
                known.durable = *head;
            }
        }
        if !heads.is_empty() {
            // Nothing was sent to those who are live of what these heads stand for.
            for session in state.sessions.values() {
                session.outbox.again();
            }
        }
        // The receiver ends with the relay.
        let _ = self.trims.send(self.id);
    }

    /// Stores an EPOCH at or below the floor: no more is known of its place than its signature.
    /// Blocks for the index of storage.
    pub(crate) fn append_old(
        self: &Arc<Self>,
        store: &dyn Store,
        envelope: &VerifiedEnvelope,
        waiter: Waiter,
    ) {
        let header = envelope.header();
        let name = EnvelopeName {
            device: header.device,
            counter: header.counter,
            id: envelope.id(),
        };
        let size = envelope.as_bytes().len() as u64;
        let mut guard = self.lock();
        let state = &mut *guard;
        let refuse = |waiter: Waiter, reason| waiter.answer(RelayMsg::NotStored(name, reason));
        let pending = state.in_flight.iter_mut().chain(&mut state.queued);
        for pending in pending {
            if let Object::Envelope { name: other, .. } = &pending.object
                && (other.device, other.counter) == (name.device, name.counter)
            {
                if other.id != name.id {
                    return refuse(waiter, Refusal::Conflict);
                }
                return pending.waiters.push(waiter);
            }
        }
        // While nobody else can put something there.
        let here = store.counters(&self.id, &name.device, name.counter, name.counter, 1);
        let below = state.below_floor(&name, header.kind);
        if !here.is_ok_and(|here| here.is_empty()) || !matches!(below, Some(Below::Epoch)) {
            return refuse(waiter, Refusal::Unavailable);
        }
        if !state.has_room(size, self.quota) {
            return refuse(waiter, Refusal::Quota);
        }
        state.bytes += size;
        if let Some(head) = state.heads.get_mut(&name.device) {
            head.accepted.bytes += size;
        }
        let frame: Arc<[u8]> = frame::wrap(Tag::Envelope, envelope.as_bytes()).into();
        state.queued.push_back(Pending {
            object: Object::Envelope {
                name,
                kind: header.kind,
                frame,
                old: true,
            },
            waiters: vec![waiter],
        });
        self.schedule(state);
    }

    /// Deletes envelopes that the floor covers, of so many bytes.
    pub(crate) fn forget(
        self: &Arc<Self>,
        floor: &Floor,
        device: DeviceId,
        counters: Vec<u64>,
        bytes: u64,
        waiter: Waiter,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.queued.push_back(Pending {
            object: Object::Forget {
                device,
                counters,
                bytes,
                snapshot: floor.snapshot(),
            },
            waiters: vec![waiter],
        });
        self.schedule(state);
    }
}

/// Whether storage has nothing else in these places. What is not there was folded in before or
/// never came. Blocks for storage.
pub(crate) fn look_up(
    store: &dyn Store,
    space: &ajar_protocol::SpaceId,
    lookups: &Lookups,
) -> Result<bool, StoreError> {
    for name in lookups {
        let found = match store.envelope(space, &name.device, name.counter) {
            Err(StoreError::Damaged) => continue,
            found => found?,
        };
        let parsed = found.and_then(|bytes| Envelope::parse(&bytes).ok());
        if parsed.is_some_and(|envelope| envelope.id() != name.id) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Of each device the floor covers, how far.
pub(crate) fn rows(floor: &Floor) -> BTreeMap<DeviceId, u64> {
    let rows = floor.statement.cover.rows();
    rows.map(|(device, row)| (*device, row.counter)).collect()
}
