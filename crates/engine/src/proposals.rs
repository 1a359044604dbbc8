//! Proposing links: membership changes are online operations (protocol §2.3).
//!
//! A link is proposed to the relay, which accepts one link per place of a chain, and counts
//! here only when the relay has stored it. That keeps two honest devices from forking their
//! chain. A relay that lies about it gains nothing: what counts are the signatures.

use ajar_crypto::SlotKeys;
use ajar_protocol::chain::ChainError;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::link::{
    Cutoff, LeaveMode, Link, LinkBody, LinkPlace, NewDevice, RevokeReason, RootPublic, cosign_hash,
};
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{
    DeviceId, EnvelopeId, LinkHash, PartyChain, PartyId, Position, VerifiedEnvelope,
};

use crate::clock::Now;
use crate::error::{EngineError, Misuse};
use crate::membership::LinkRequest;
use crate::output::{Event, Outputs};
use crate::replica::Replica;
use crate::store::Store;

/// Links that one chain may claim for one day; 4096 are those of a life.
const LINKS_A_DAY: usize = 64;
/// A day, in ms.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// So long after a removal its cut-off may be raised, in ms: seven days.
const AMEND_MS: i64 = 7 * DAY_MS;

impl<S: Store> Replica<S> {
    /// Proposes to add a device. It is in the chain when [`crate::Event::Member`] says so.
    ///
    /// # Errors
    /// [`Misuse::NeedsRelay`] without a connection, [`Misuse::Closed`], [`Misuse::Removed`],
    /// [`Misuse::LimitReached`] at eight devices or 64 links within a day, [`Misuse::ChangeUnderWay`] until the relay
    /// has answered the one before, [`Misuse::Frozen`] while two lists of our devices are signed, [`Misuse::LinkOutdated`] when the request was made for
    /// another place or with keys that are in use.
    pub fn propose_device(
        &mut self,
        now: Now,
        request: &LinkRequest,
    ) -> Result<Outputs, EngineError> {
        let device = NewDevice {
            keys: request.keys,
            sealed_label: Vec::new(),
            proof: request.proof,
        };
        self.propose(now, LinkBody::DeviceAdd(device))
    }

    /// Proposes to remove one of our other devices. What it wrote up to what has arrived here
    /// stays; nothing later counts.
    ///
    /// # Errors
    /// As [`Self::propose_device`]; [`Misuse::NoSuchDevice`] when it is not an active device
    /// of ours, or this one.
    pub fn propose_removal(
        &mut self,
        now: Now,
        device: DeviceId,
        reason: RevokeReason,
    ) -> Result<Outputs, EngineError> {
        let ours = self.own_chain().active(&device).is_some();
        if !ours || device == self.space.device {
            return Err(Misuse::NoSuchDevice.into());
        }
        let last = self.progress.frontier.of(&device);
        let cutoff = Cutoff {
            device,
            counter: last.map_or(0, |last| last.counter),
            id: last.map_or(EnvelopeId::ZERO, |last| last.id),
            reason,
        };
        self.propose(now, LinkBody::DeviceRevoke(cutoff))
    }

    /// Proposes to leave the space. When the relay has stored the link, nobody writes into the
    /// space any more, on either side; reading stays. It cannot be taken back.
    ///
    /// # Errors
    /// [`Misuse::NeedsRelay`], [`Misuse::ChangeUnderWay`], [`Misuse::Closed`] when either
    /// party has left already, [`Misuse::Removed`].
    pub fn propose_leave(&mut self, now: Now, mode: LeaveMode) -> Result<Outputs, EngineError> {
        self.propose(now, LinkBody::Leave(mode))
    }

    /// Proposes other twelve words for this space: signed with the words in force and by this
    /// device, since neither alone may do it. The next write changes the key, to one that the
    /// old words do not open.
    ///
    /// # Errors
    /// As [`Self::propose_device`]; [`Misuse::WrongWords`] when `old` are not the words in
    /// force, [`Misuse::LinkOutdated`] when `new` was in use before.
    pub fn propose_root_replace(
        &mut self,
        now: Now,
        old: &SlotKeys,
        new: &RootPublic,
    ) -> Result<Outputs, EngineError> {
        self.may_propose()?;
        let in_force = self.root();
        if old.public().root != in_force {
            return Err(Misuse::WrongWords.into());
        }
        let place = self.next_place(now);
        let message = cosign_hash(&place.party, place.seq, &place.prev, new);
        let body = LinkBody::RootReplace {
            root: *new,
            cosigner: self.space.device.0,
            cosignature: self.space.secrets.sign_cosign(&message),
        };
        let link = Link::sign(place, body, in_force.root_id(), &old.root);
        self.send_proposal(link)
    }

    /// How many envelopes of a removed device have come on this connection that its cut-off
    /// takes nothing of, each following the one before.
    #[must_use]
    pub fn beyond(&self, device: &DeviceId) -> u64 {
        let cutoff = self.space.cutoff_of(device);
        self.beyond
            .get(device)
            .zip(cutoff)
            .map_or(0, |(last, cutoff)| last.counter.saturating_sub(cutoff))
    }

    /// Proposes to let in what a removed device of ours sent before it could hear of its
    /// removal: all that has come ([`Self::beyond`]). It can be done once, within seven days,
    /// and is for a device that was lost: whoever holds a stolen one may have written this.
    ///
    /// # Errors
    /// As [`Self::propose_device`]; [`Misuse::NoSuchDevice`] when it is no removed device of
    /// ours, [`Misuse::NothingBeyond`], [`Misuse::TooLate`].
    pub fn propose_amend(&mut self, now: Now, device: DeviceId) -> Result<Outputs, EngineError> {
        let chain = self.own_chain();
        let revoked = chain.device(&device).and_then(|device| device.revoked);
        let revocation = revoked.ok_or(Misuse::NoSuchDevice)?;
        let seq = usize::try_from(revocation.seq).unwrap_or(usize::MAX);
        let removed = chain
            .links()
            .get(seq)
            .map_or(0, |link| link.claimed_time_ms);
        let since = now
            .wall_ms
            .saturating_sub(i64::try_from(removed).unwrap_or(i64::MAX));
        if revocation.amended || since > AMEND_MS {
            return Err(Misuse::TooLate.into());
        }
        let last = self.beyond.get(&device).copied();
        let last = last.filter(|last| last.counter > revocation.cutoff.counter);
        let last = last.ok_or(Misuse::NothingBeyond)?;
        let cutoff = Cutoff {
            device,
            counter: last.counter,
            id: last.id,
            reason: revocation.cutoff.reason,
        };
        self.propose(now, LinkBody::RevokeAmend(cutoff))
    }

    /// Remembers an envelope beyond the cut-off of its author, if it follows what counts or
    /// the one remembered before. Only the last is kept: it names all before it.
    pub(crate) fn remember_beyond(&mut self, envelope: &VerifiedEnvelope) {
        let header = envelope.header();
        let revoked = self.space.device(&header.device);
        let Some(cutoff) = revoked.and_then(|(_, device)| device.revoked) else {
            return;
        };
        let end = Position {
            counter: cutoff.cutoff.counter,
            id: cutoff.cutoff.id,
        };
        let last = self.beyond.get(&header.device).copied().unwrap_or(end);
        if header.counter == last.counter.saturating_add(1) && header.prev == last.id {
            let next = Position {
                counter: header.counter,
                id: envelope.id(),
            };
            self.beyond.insert(header.device, next);
        }
    }

    fn propose(&mut self, now: Now, body: LinkBody) -> Result<Outputs, EngineError> {
        self.may_propose()?;
        // Nobody would take it.
        if self.is_frozen(self.space.own_party()) {
            return Err(Misuse::Frozen.into());
        }
        // What protects or ends is never refused for what someone else did before.
        let limited = !matches!(body, LinkBody::DeviceRevoke(_) | LinkBody::Leave(_));
        if limited && links_of_a_day(self.own_chain(), now) >= LINKS_A_DAY {
            return Err(Misuse::LimitReached.into());
        }
        let signer = self.space.device.0;
        let key = self.space.secrets.signing_key();
        let link = Link::sign(self.next_place(now), body, signer, key);
        self.send_proposal(link)
    }

    fn may_propose(&self) -> Result<(), Misuse> {
        self.may_write()?;
        if !self.is_welcomed() {
            return Err(Misuse::NeedsRelay);
        }
        // The relay answers by place alone: two links under way to one place could be
        // mistaken for each other.
        if self.proposed.is_some() {
            return Err(Misuse::ChangeUnderWay);
        }
        Ok(())
    }

    fn send_proposal(&mut self, link: Link) -> Result<Outputs, EngineError> {
        // What the others would refuse is not proposed.
        self.space.check(&link).map_err(|error| match error {
            ChainError::TooMany => Misuse::LimitReached,
            _ => Misuse::LinkOutdated,
        })?;
        let send = vec![ClientMsg::AppendLink(link.as_bytes().to_vec())];
        self.proposed = Some(link);
        Ok(Outputs {
            send,
            events: Vec::new(),
        })
    }

    fn next_place(&self, now: Now) -> LinkPlace {
        let claimed = u64::try_from(now.wall_ms).unwrap_or(0);
        self.own_chain().next_place(claimed)
    }

    /// A link has come to stand where one of ours was proposed to: ours, or another one, and
    /// then ours is refused whatever the relay says of it.
    pub(crate) fn place_taken(&mut self, party: PartyId, seq: u64, hash: LinkHash) {
        let there = |link: &Link| link.party == party && link.seq <= seq;
        if let Some(link) = self.proposed.take_if(|link| there(link))
            && link.hash() != hash
        {
            let refused = Event::LinkRefused(Refusal::Conflict);
            self.pending.events.push(refused);
        }
    }
}

/// Links of a chain that claim to be from the day before `now`.
fn links_of_a_day(chain: &PartyChain, now: Now) -> usize {
    let day = now.wall_ms.saturating_sub(DAY_MS)..=now.wall_ms;
    let claimed =
        |link: &&Link| i64::try_from(link.claimed_time_ms).is_ok_and(|at| day.contains(&at));
    chain.links().iter().filter(claimed).count()
}
