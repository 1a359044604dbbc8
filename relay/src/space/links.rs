//! The party chains of a space: who may enter, what a link changes, and who has to go.

use std::collections::BTreeMap;
use std::sync::Arc;

use ajar_protocol::chain::{AppendOutcome, ChainError};
use ajar_protocol::id::hash;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{DeviceId, Link, LinkBody, PartyChain, PartyId, label};

use super::pending::{Object, Pending, Waiter};
use super::{Space, State};
use crate::outbox::{Cursor, Outbox};

/// Who logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// An active device.
    Device {
        /// The own party.
        party: PartyId,
        /// The device.
        device: DeviceId,
    },
    /// Somebody with the twelve words: may fetch, and append RECOVER of the own party.
    Recovery {
        /// The own party.
        party: PartyId,
        /// The login key, which counts as long as the words are not replaced.
        login: [u8; 32],
    },
}

/// A chain, with what of it is not durable yet.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) accepted: PartyChain,
    /// How many links of [`Self::stored`] are durable.
    pub(super) durable: u64,
    /// The chain in storage, while a link that outranks a part of it is being written.
    outranked: Option<PartyChain>,
}

impl Chain {
    pub(super) fn new(chain: PartyChain) -> Self {
        Self {
            durable: chain.next_seq(),
            accepted: chain,
            outranked: None,
        }
    }

    /// The chain whose first [`Self::durable`] links are in storage.
    pub(super) fn stored(&self) -> &PartyChain {
        self.outranked.as_ref().unwrap_or(&self.accepted)
    }

    /// Whether all that was accepted is durable.
    pub(super) fn is_settled(&self) -> bool {
        self.outranked.is_none() && self.durable == self.accepted.next_seq()
    }

    /// The link at `seq` is durable, and with it that it outranked others.
    fn settle(&mut self, seq: u64) {
        self.outranked = None;
        self.durable = seq + 1;
    }

    /// Back to what is durable.
    pub(super) fn roll_back(&mut self) {
        if let Some(stored) = self.outranked.take() {
            self.accepted = stored;
        } else if self.durable < self.accepted.next_seq() {
            let keep = usize::try_from(self.durable).unwrap_or(usize::MAX);
            let links = self.accepted.links().iter().take(keep).cloned();
            // These links made this very chain before; GENESIS is always durable.
            if let Ok(shorter) = PartyChain::from_links(links) {
                self.accepted = shorter;
            }
        }
    }
}

impl State {
    /// Whether a device is or was in a chain.
    pub(super) fn names(&self, device: &DeviceId) -> bool {
        let mut chains = self.chains.iter();
        chains.any(|chain| chain.accepted.device(device).is_some())
    }

    /// Whether a link has removed a member, durably: until then it may still be taken back, and
    /// cannot be sent to the one it removes.
    fn has_removed(&self, member: &Member) -> bool {
        let (Member::Device { party, .. } | Member::Recovery { party, .. }) = member;
        let mut chains = self.chains.iter();
        let Some(chain) = chains.find(|chain| chain.accepted.id() == *party) else {
            return true;
        };
        let stays = match member {
            Member::Device { device, .. } => chain.accepted.active(device).is_some(),
            Member::Recovery { login, .. } => chain.accepted.root().login == *login,
        };
        !stays && chain.is_settled()
    }

    /// Ends the sessions of those who were removed.
    pub(super) fn expel(&self) {
        for session in self.sessions.values() {
            if self.has_removed(&session.member) {
                session.outbox.expel();
            }
        }
    }

    /// The link at `seq` of a party is durable. Returns whether it names a device again of which
    /// envelopes are here that were not sent while no chain named it.
    pub(super) fn settle_link(&mut self, party: &PartyId, seq: u64) -> bool {
        let mut chains = self.chains.iter_mut();
        let Some(chain) = chains.find(|chain| chain.accepted.id() == *party) else {
            return false;
        };
        chain.settle(seq);
        let mut devices = chain.accepted.devices();
        devices.any(|(id, device)| {
            device.added == seq && self.heads.get(id).is_some_and(|h| h.durable.counter > 0)
        })
    }

    /// Durable links that a session lacks, as ranges `from..to` of sequence numbers.
    pub(super) fn links_after(
        &self,
        cursor: &Cursor,
        rewound: &BTreeMap<PartyId, u64>,
    ) -> Vec<(PartyId, u64, u64)> {
        let lacking = self.chains.iter().map(|chain| {
            let party = chain.accepted.id();
            let held = cursor.links.get(&party).copied().unwrap_or(0);
            let from = held.min(rewound.get(&party).copied().unwrap_or(held));
            // Who claims more than there is gets the last one: a part of it may be outranked.
            let from = if from > chain.durable {
                chain.durable.saturating_sub(1)
            } else {
                from
            };
            (party, from, chain.durable)
        });
        lacking.filter(|(_, from, to)| from < to).collect()
    }
}

fn reason_of(error: &ChainError) -> Refusal {
    match error {
        ChainError::Fork { .. } => Refusal::Conflict,
        ChainError::Gap { .. } => Refusal::Gap,
        ChainError::NotAllowed | ChainError::Left => Refusal::NotAdmitted,
        ChainError::TooMany => Refusal::Quota,
        _ => Refusal::Violation,
    }
}

/// The chain with a link that was refused as a fork, if the words signed it and outrank what
/// stands in its place. The root is looked at first, because the rest costs more.
fn outranked(chain: &Chain, link: Link) -> Result<PartyChain, Refusal> {
    let root = chain.accepted.root_at(link.seq.saturating_sub(1));
    if root.is_none_or(|root| root.root_id() != link.signer) {
        return Err(Refusal::Conflict);
    }
    let outranked = chain.accepted.outranked_by(link);
    let grown = outranked.map_err(|error| reason_of(&error))?;
    // What is voided must be what storage holds.
    chain
        .is_settled()
        .then_some(grown)
        .ok_or(Refusal::Unavailable)
}

impl Space {
    /// Whether this key may enter, and as whom.
    pub(crate) fn member(&self, device: &DeviceId, auth: &[u8; 32]) -> Option<Member> {
        let state = self.lock();
        state.chains.iter().find_map(|chain| {
            let chain = &chain.accepted;
            if *device == DeviceId::ZERO {
                return (chain.root().login == *auth).then(|| Member::Recovery {
                    party: chain.id(),
                    login: *auth,
                });
            }
            let known = chain.active(device)?;
            (known.keys.auth == *auth).then(|| Member::Device {
                party: chain.id(),
                device: *device,
            })
        })
    }

    /// Durable links that a session lacks, before it ends.
    pub(crate) fn last_links(&self, outbox: &Outbox, cursor: &Cursor) -> Vec<(PartyId, u64, u64)> {
        let state = self.lock();
        state.links_after(cursor, &outbox.abandon())
    }

    /// Durable links `from..to` of a party, at most `most`.
    pub(crate) fn links(&self, party: &PartyId, from: u64, to: u64, most: usize) -> Vec<Vec<u8>> {
        let state = self.lock();
        let Some(chain) = state.chains.iter().find(|c| c.accepted.id() == *party) else {
            return Vec::new();
        };
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        // An outranking link may have made the chain shorter since somebody asked.
        let count = usize::try_from(to.min(chain.durable).saturating_sub(from));
        let links = chain.stored().links().iter().skip(skip);
        links
            .take(count.unwrap_or(usize::MAX).min(most))
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

    /// Takes a link: compare-and-swap on (party, seq) by the rules of the chain. A link that the
    /// words signed takes the place of device-signed ones, which are voided with all that follow.
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
        if let Some(Member::Recovery { party: own, .. }) = member
            && (own != party || !matches!(link.body, LinkBody::Recover { .. }))
        {
            return refuse(waiter, Refusal::NotAdmitted);
        }
        let Some(place) = state.chains.iter().position(|c| c.accepted.id() == party) else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
        let Some(chain) = state.chains.get(place) else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
        let bytes = link.as_bytes().to_vec();
        let login = match &link.body {
            LinkBody::RootReplace { root, .. } => Some(root.login),
            _ => None,
        };
        let mut grown = chain.accepted.clone();
        let voided_to = match grown.append(link.clone()) {
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
            Ok(AppendOutcome::Appended) => None,
            Err(ChainError::Fork { .. }) => match outranked(chain, link) {
                Ok(outranking) => {
                    grown = outranking;
                    Some(chain.durable)
                }
                Err(reason) => return refuse(waiter, reason),
            },
            Err(error) => return refuse(waiter, reason_of(&error)),
        };
        let mut others = state.chains.iter().enumerate();
        if others.any(|(i, other)| i != place && other.accepted.shares_key_with(&grown)) {
            return refuse(waiter, Refusal::Violation);
        }
        if let Some(chain) = state.chains.get_mut(place) {
            let before = std::mem::replace(&mut chain.accepted, grown);
            if voided_to.is_some() {
                chain.outranked = Some(before);
            }
        }
        let object = Object::Link {
            party,
            seq,
            bytes,
            voided_to,
            login,
            from: session,
        };
        state.queued.push_back(Pending {
            object,
            waiters: vec![waiter],
        });
        self.schedule(state);
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
