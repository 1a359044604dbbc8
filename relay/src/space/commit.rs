//! From accepted to durable, or to forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use ajar_protocol::DeviceId;
use ajar_protocol::frame::{self, Tag};
use ajar_protocol::relay_msg::Refusal;

use super::pending::{Object, Pending};
use super::{Space, State, no_head};
use crate::outbox::{Item, What};
use crate::storage::{Head, StoreError, Write};

/// Most bytes and items of one commit.
const COMMIT_BYTES: usize = 4 << 20;
const COMMIT_ITEMS: usize = 512;
/// Bytes in front of an envelope in its frame.
const FRAMING: usize = frame::LENGTH + 1;

impl Space {
    /// The next commit, at most one at a time.
    pub(crate) fn next_commit(&self) -> Option<(Vec<Write>, usize)> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut writes = Vec::new();
        let mut bytes = 0;
        // Heads as this commit leaves them.
        let mut heads: BTreeMap<DeviceId, Head> = BTreeMap::new();
        while bytes < COMMIT_BYTES && writes.len() < COMMIT_ITEMS {
            let Some(pending) = state.queued.pop_front() else {
                break;
            };
            match &pending.object {
                Object::Envelope {
                    name,
                    kind,
                    frame,
                    old,
                } => {
                    let envelope = frame.split_at(FRAMING).1;
                    let head = head_of(&mut heads, state, name.device);
                    if !old {
                        (head.counter, head.id) = (name.counter, name.id);
                    }
                    head.bytes += envelope.len() as u64;
                    bytes += envelope.len();
                    writes.push(Write::Envelope {
                        space: self.id,
                        counter: name.counter,
                        kind: *kind,
                        head: *head,
                        bytes: envelope.to_vec(),
                    });
                }
                Object::Trim { floor, heads: new } => {
                    bytes += floor.record.len();
                    for head in new {
                        heads.insert(head.device, *head);
                    }
                    writes.push(Write::Trim {
                        space: self.id,
                        record: floor.record.to_vec(),
                        heads: new.clone(),
                    });
                }
                Object::Forget {
                    device,
                    counters,
                    bytes: freed,
                    ..
                } => {
                    let head = head_of(&mut heads, state, *device);
                    head.bytes = head.bytes.saturating_sub(*freed);
                    bytes += counters.len() * 128;
                    writes.push(Write::Forget {
                        space: self.id,
                        counters: counters.clone(),
                        head: *head,
                    });
                }
                Object::Link {
                    party,
                    seq,
                    bytes: link,
                    voided_to,
                    login,
                    ..
                } => {
                    let (space, party) = (self.id, *party);
                    bytes += link.len();
                    writes.push(Write::Link {
                        space,
                        party,
                        seq: *seq,
                        bytes: link.clone(),
                    });
                    // Those behind it that the new one does not replace itself.
                    writes.extend(voided_to.map(|to| Write::Unlink {
                        space,
                        party,
                        from: seq + 1,
                        to,
                    }));
                    writes.extend(login.map(|login| Write::Login { login, space }));
                }
            }
            state.in_flight.push(pending);
        }
        if writes.is_empty() {
            state.scheduled = false;
            None
        } else {
            Some((writes, bytes))
        }
    }

    /// Takes the end of a commit: acknowledges, or forgets and says so.
    pub(crate) fn settle(&self, result: Result<(), StoreError>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Err(error) = result {
            let reason = match error {
                StoreError::DiskFull => Refusal::DiskFull,
                _ => Refusal::Unavailable,
            };
            return roll_back(state, reason);
        }
        for pending in std::mem::take(&mut state.in_flight) {
            match &pending.object {
                Object::Envelope {
                    name, frame, old, ..
                } => {
                    if let Some(head) = state.heads.get_mut(&name.device) {
                        if !old {
                            (head.durable.counter, head.durable.id) = (name.counter, name.id);
                        }
                        head.durable.bytes += frame.len().saturating_sub(FRAMING) as u64;
                    }
                }
                Object::Trim { floor, heads } => self.settle_trim(state, floor, heads),
                Object::Forget { device, bytes, .. } => state.settle_forget(device, *bytes),
                Object::Link {
                    party,
                    seq,
                    bytes,
                    voided_to,
                    from,
                    ..
                } => {
                    if state.settle_link(party, *seq) {
                        for session in state.sessions.values() {
                            session.outbox.again();
                        }
                    }
                    let what = match voided_to {
                        Some(_) => What::Outranking(*party, *seq),
                        None => What::Link(*party, *seq),
                    };
                    let frame: Arc<[u8]> = frame::wrap(Tag::Link, bytes).into();
                    for (number, other) in &state.sessions {
                        other.outbox.push(Item {
                            what,
                            frame: (number != from).then(|| Arc::clone(&frame)),
                        });
                    }
                }
            }
            let answer = pending.stored();
            for waiter in pending.waiters {
                waiter.answer(answer.clone());
            }
        }
        // A link may have removed a device that is connected.
        state.expel();
    }
}

/// The head of a device as a commit has left it so far.
fn head_of<'a>(
    heads: &'a mut BTreeMap<DeviceId, Head>,
    state: &State,
    device: DeviceId,
) -> &'a mut Head {
    heads.entry(device).or_insert_with(|| {
        let known = state.heads.get(&device);
        known.map_or_else(|| no_head(device), |head| head.durable)
    })
}

/// Forgets everything that is not durable and tells those who wait.
pub(super) fn roll_back(state: &mut State, reason: Refusal) {
    let gone: Vec<Pending> = state
        .in_flight
        .drain(..)
        .chain(state.queued.drain(..))
        .collect();
    for head in state.heads.values_mut() {
        head.accepted = head.durable;
    }
    state.heads.retain(|_, head| head.durable.counter > 0);
    state.bytes = state.heads.values().map(|head| head.durable.bytes).sum();
    state.roll_back_trim();
    for chain in &mut state.chains {
        chain.roll_back();
    }
    state.expel();
    for pending in gone {
        let answer = pending.not_stored(reason);
        for waiter in pending.waiters {
            waiter.answer(answer.clone());
        }
    }
}
