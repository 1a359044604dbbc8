//! The conversation with one relay after login: what it lacks is sent in a bounded window,
//! what it sends is taken in batches (protocol §2.8, sync by frontier).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::link::Link;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{DeviceId, Envelope, EnvelopeId, Frontier, PartyChain, PartyId, Position};

use crate::clock::Now;
use crate::error::EngineError;
use crate::incoming::{Incoming, Kind};
use crate::notice::NoticeKind;
use crate::output::{Event, Outputs};
use crate::replica::Replica;
use crate::snapshot::Boot;
use crate::store::Store;

/// Envelopes sent and not yet confirmed.
const WINDOW: usize = 256;
/// Their bytes.
const WINDOW_BYTES: usize = 2 << 20;
/// How long to wait after a relay could not take more.
const PAUSE: Duration = Duration::from_secs(20);

/// State of one connection.
#[derive(Default)]
pub(crate) struct Uplink {
    relay: [u8; 32],
    /// It has never admitted this space, as far as this device knows.
    is_new: bool,
    welcomed: bool,
    /// At login it held less of this device than a relay had confirmed.
    pub(crate) is_behind: bool,
    /// What it said at login that it holds.
    held: Frontier,
    /// Up to where the relay has confirmed to hold each device.
    durable: BTreeMap<DeviceId, u64>,
    /// Up to where envelopes were sent.
    sent: BTreeMap<DeviceId, u64>,
    in_flight: BTreeMap<(DeviceId, u64), usize>,
    paused_until: Option<Duration>,
    caught_up: bool,
    /// Frontier at the last subscription, to tell progress from standing still.
    subscribed_at: Frontier,
    told_delivered: bool,
    /// Devices whose envelopes it will never take, as far as this connection goes.
    given_up: BTreeSet<DeviceId>,
    /// It is to be asked again for everything beyond our frontier.
    ask_again: bool,
    /// Devices of which it was asked to show the envelope that contradicts ours.
    asked: BTreeSet<DeviceId>,
    /// The same, for the next round: the place of each.
    to_ask: BTreeMap<DeviceId, u64>,
    /// Parties whose whole chain it is to be asked for in the next round.
    pub(crate) links_to_ask: BTreeSet<PartyId>,
    /// Parties whose whole chain it was asked for.
    pub(crate) asked_links: BTreeSet<PartyId>,
    /// What it sends for beginning from a snapshot.
    pub(crate) boot: Option<Boot>,
    /// How long the chains were when it was asked who the authors of a bootstrap are.
    pub(crate) asked_who: Option<Vec<u64>>,
    /// Snapshots that it was asked to trim to.
    pub(crate) trims: BTreeSet<EnvelopeId>,
    /// The last of these, until it answers.
    pub(crate) trimming: Option<TrimRecord>,
    /// It was given what must come before envelopes that follow our floors.
    refilled: bool,
    /// Parties of which it was sent the links that outrank its own.
    pub(crate) repeated_links: BTreeSet<PartyId>,
    /// Parties of which it says that it has fewer links than count here.
    shorter: BTreeSet<PartyId>,
    /// Chains of frozen parties with the links that would follow if their words said so.
    pub(crate) held_back: BTreeMap<PartyId, PartyChain>,
}

impl Uplink {
    fn in_flight_bytes(&self) -> usize {
        self.in_flight.values().sum()
    }
}

impl<S: Store> Replica<S> {
    /// A connection to a relay begins. Returns the subscription, which goes out in the same
    /// flight as the login.
    pub fn connected(&mut self, relay: [u8; 32]) -> ClientMsg {
        let is_new = self.is_new_here();
        let subscribe = match is_new {
            true => ClientMsg::Bootstrap,
            false => self.subscription(),
        };
        self.damaged = 0;
        self.uplink = Some(Uplink {
            relay,
            is_new: !self.has_permit(&relay),
            subscribed_at: self.progress.frontier.clone(),
            boot: is_new.then(Boot::default),
            ..Uplink::default()
        });
        subscribe
    }

    /// What is wanted of the relay. The last link of each chain comes again: if it is another
    /// one there, the chain was replaced, or there are two.
    pub(crate) fn subscription(&self) -> ClientMsg {
        let position = |chain: &PartyChain| ChainPosition {
            party: chain.id(),
            next: chain.last_seq(),
        };
        ClientMsg::Subscribe {
            chains: self.space.chains.iter().map(position).collect(),
            frontier: self.progress.frontier.clone(),
        }
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.uplink = None;
        (self.making, self.comparing, self.starting) = (None, None, None);
        self.proposed = None;
        self.parked.clear();
        self.beyond.clear();
    }

    /// Asks the relay once more, with this round, for everything beyond our frontier.
    pub(crate) fn ask_again(&mut self) {
        if let Some(uplink) = &mut self.uplink {
            uplink.ask_again = true;
        }
    }

    /// Whether a relay has let this device in.
    #[must_use]
    pub fn is_welcomed(&self) -> bool {
        self.uplink.as_ref().is_some_and(|uplink| uplink.welcomed)
    }

    /// Whether everything that the relay held at login has been received.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.uplink.as_ref().is_some_and(|uplink| uplink.caught_up)
    }

    /// Whether the relay has confirmed every envelope and link held here.
    #[must_use]
    pub fn relay_has_everything(&self) -> bool {
        let Some(uplink) = self.uplink.as_ref().filter(|uplink| uplink.welcomed) else {
            return false;
        };
        self.progress.frontier.rows().all(|(device, position)| {
            uplink.durable.get(device).copied().unwrap_or(0) >= position.counter
        })
    }

    /// Takes messages of the relay, makes what they bring durable in one batch, and returns
    /// what to send and to tell. On an error the connection must be closed; what was not
    /// kept comes again.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn receive<M: Into<Incoming>>(
        &mut self,
        now: Now,
        messages: Vec<M>,
    ) -> Result<Outputs, EngineError> {
        let messages = messages.into_iter().map(Into::into);
        let mut send = Vec::new();
        if let Err(error) = self.take_messages(now, messages, &mut send) {
            self.give_up_round();
            self.reread()?;
            return Err(error);
        }
        let again = self.uplink.as_mut().map(|uplink| &mut uplink.ask_again);
        if again.is_some_and(std::mem::take) {
            send.push(self.subscription());
        }
        let marked = !self.pending.batch.is_empty();
        let events = match self.commit() {
            Ok(events) => events,
            Err(error) => {
                self.give_up_round();
                return Err(error);
            }
        };
        if marked {
            self.store.mark(None)?;
        }
        let mut outputs = Outputs { send, events };
        outputs.send.extend(self.pump()?);
        if self.newly_delivered() {
            outputs.events.push(Event::Delivered);
        }
        Ok(outputs)
    }

    /// A round failed: the connection is to be closed, and what was not kept comes again.
    fn give_up_round(&mut self) {
        self.disconnected();
        // The envelope that was being applied did not kill anyone. Should this write fail
        // too, it is only counted once too often.
        let _uncleared = self.store.mark(None);
    }

    /// Time passes: pauses end, overdue things become notices.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn tick(&mut self, now: Now) -> Result<Outputs, EngineError> {
        self.overdue(now);
        if let Some(uplink) = &mut self.uplink
            && uplink
                .paused_until
                .is_some_and(|until| until <= now.elapsed)
        {
            uplink.paused_until = None;
            uplink.sent = uplink.durable.clone();
            uplink.in_flight.clear();
        }
        let events = self.commit()?;
        Ok(Outputs {
            send: self.pump()?,
            events,
        })
    }

    fn take_messages(
        &mut self,
        now: Now,
        messages: impl Iterator<Item = Incoming>,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        for message in messages {
            match message.0 {
                Kind::Message(message) => self.take_message(now, message, send)?,
                Kind::Envelope(envelope) => self.take_parsed(now, *envelope)?,
            }
        }
        // Within a round, the end of the round asks.
        if self.caught_up() {
            send.extend(self.ask_for_proof()?);
        }
        Ok(())
    }

    fn take_message(
        &mut self,
        now: Now,
        message: RelayMsg,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        match message {
            RelayMsg::Welcome {
                permit,
                chains,
                frontier,
            } => {
                self.welcome(now, permit, &chains, &frontier, send);
                self.compare(&frontier)?;
            }
            RelayMsg::Admitted(permit) => self.keep_permit(permit),
            RelayMsg::Link(bytes) => self.take_link(now, &bytes, send)?,
            RelayMsg::Envelope(bytes) => match Envelope::parse(&bytes) {
                Ok(envelope) => self.take_parsed(now, envelope)?,
                Err(_) => self.count_damaged(now),
            },
            RelayMsg::Trimmed(record) => self.take_trimmed(now, &record, send)?,
            RelayMsg::Ready => self.begin_start(now, send)?,
            RelayMsg::TrimStored(id) => self.trimmed(id)?,
            RelayMsg::TrimNotStored(id, reason) => self.not_trimmed(now, id, reason),
            RelayMsg::Stored(name) => self.stored(&name),
            RelayMsg::NotStored(name, reason) => self.not_stored(now, &name, reason),
            RelayMsg::LinkStored { party, seq } => self.link_stored(now, party, seq, send)?,
            RelayMsg::LinkNotStored { party, seq, reason } => {
                self.link_not_stored(now, party, seq, reason);
            }
            RelayMsg::CaughtUp => self.reached_the_end(now, send)?,
            // A refusal ends the connection, which is the driver's business; mailboxes and
            // recoveries are other kinds of connection.
            // Blobs are the driver's business too.
            RelayMsg::Refused(_)
            | RelayMsg::BlobsMissing(_)
            | RelayMsg::BlobsDeleted(_)
            | RelayMsg::Genesis(_)
            | RelayMsg::MailboxOpened(_)
            | RelayMsg::MailboxPeer(_)
            | RelayMsg::MailboxMessage(_) => {}
        }
        Ok(())
    }

    fn take_parsed(&mut self, now: Now, envelope: Envelope) -> Result<(), EngineError> {
        match self.is_booting() {
            true => self.take_boot_envelope(now, envelope),
            false => self.take_envelope(now, envelope),
        }
    }

    /// Whether what comes is for beginning from a snapshot.
    fn is_booting(&self) -> bool {
        let uplink = self.uplink.as_ref();
        uplink.is_some_and(|uplink| uplink.boot.is_some())
    }

    /// The relay has not given up what it was asked to: another device may have done it with a
    /// later snapshot, or it cannot now.
    fn not_trimmed(&mut self, now: Now, id: EnvelopeId, reason: Refusal) {
        if let Some(uplink) = &mut self.uplink {
            uplink
                .trimming
                .take_if(|record| record.statement.snapshot.id == id);
        }
        if reason.is_passing() && reason != Refusal::Gap {
            self.pause(now, reason);
        }
    }

    /// A link that was proposed counts from here on.
    fn link_stored(
        &mut self,
        now: Now,
        party: PartyId,
        seq: u64,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let ours = |link: &Link| link.party == party && link.seq == seq;
        match self.proposed.take_if(|link| ours(link)) {
            Some(link) => self.take_link(now, link.as_bytes(), send),
            None => {
                // A link counts here only when the relay has it, so it had this one before.
                let uplink = self.uplink.as_mut();
                if uplink.is_some_and(|uplink| uplink.shorter.remove(&party)) {
                    self.notice(now, NoticeKind::RolledBack);
                }
                Ok(())
            }
        }
    }

    /// The relay's word about a conflict proves nothing; a link that really stands there comes
    /// with its signature.
    fn link_not_stored(&mut self, now: Now, party: PartyId, seq: u64, reason: Refusal) {
        let ours = |link: &Link| link.party == party && link.seq == seq;
        let proposed = self.proposed.take_if(|link| ours(link)).is_some();
        if proposed {
            self.pending.events.push(Event::LinkRefused(reason));
        }
        if !reason.is_passing() || reason == Refusal::Gap {
            // A link that should be next does not fit its chain.
            self.ask_for_links(party);
        } else if !proposed {
            self.pause(now, reason);
        }
    }

    fn keep_permit(&mut self, permit: [u8; 64]) {
        let Some(relay) = self.uplink.as_ref().map(|uplink| uplink.relay) else {
            return;
        };
        // A permit that is not the relay's own would only fail later, when it is needed.
        let valid = ajar_protocol::auth::verify_permit(&relay, &self.space.id, &permit).is_ok();
        if valid && self.meta.permits.get(&relay) != Some(&permit) {
            self.meta.permits.insert(relay, permit);
            self.pending.meta = true;
        }
    }

    fn welcome(
        &mut self,
        now: Now,
        permit: [u8; 64],
        chains: &[ChainPosition],
        frontier: &Frontier,
        send: &mut Vec<ClientMsg>,
    ) {
        self.keep_permit(permit);
        let own = self.space.device;
        let held = frontier.counter(&own);
        if held < self.progress.delivered {
            if let Some(uplink) = &mut self.uplink {
                uplink.is_behind = true;
            }
            if self.uplink.as_ref().is_some_and(|uplink| uplink.is_new) {
                // What another relay has confirmed, this one never did.
                self.progress.delivered = held;
                self.pending.progress = true;
            } else {
                self.notice(now, NoticeKind::RolledBack);
            }
        } else if held > self.progress.delivered
            && frontier.of(&own) == self.progress.frontier.of(&own)
        {
            // It was stored, and the connection broke before that was confirmed. Nothing is left
            // to be sent whose confirmation would say so.
            self.progress.delivered = held;
            self.pending.progress = true;
        }
        let next_at_relay = |party: PartyId| {
            chains
                .iter()
                .find(|c| c.party == party)
                .map_or(0, |c| c.next)
        };
        let known = self.uplink.as_ref().is_some_and(|uplink| !uplink.is_new);
        let shorter = |chain: &&PartyChain| next_at_relay(chain.id()) < chain.next_seq();
        let shorter = self.space.chains.iter().filter(shorter);
        let shorter: BTreeSet<PartyId> = shorter.map(PartyChain::id).collect();
        for chain in &self.space.chains {
            let next = next_at_relay(chain.id());
            let missing = chain.links().iter().filter(|link| link.seq >= next);
            send.extend(missing.map(|link| ClientMsg::AppendLink(link.as_bytes().to_vec())));
        }
        let ours = &self.progress.frontier;
        let Some(uplink) = &mut self.uplink else {
            return;
        };
        uplink.welcomed = true;
        if known {
            uplink.shorter = shorter;
        }
        uplink.held = frontier.clone();
        for (device, position) in ours.rows() {
            // What a relay claims beyond our own frontier says nothing about what it has
            // of ours.
            let held = frontier.counter(device).min(position.counter);
            uplink.durable.insert(*device, held);
            uplink.sent.insert(*device, held);
        }
    }

    fn stored(&mut self, name: &EnvelopeName) {
        let Some(uplink) = &mut self.uplink else {
            return;
        };
        if uplink
            .in_flight
            .remove(&(name.device, name.counter))
            .is_none()
        {
            return;
        }
        // Confirmations come in the order of sending; a gap would be a lie, and then the
        // next login shows it.
        let durable = uplink.durable.entry(name.device).or_insert(0);
        *durable = (*durable).max(name.counter);
        if name.device == self.space.device && name.counter > self.progress.delivered {
            self.progress.delivered = name.counter;
            self.pending.progress = true;
        }
    }

    /// Asks for what is missing now.
    pub(crate) fn subscribe_anew(&mut self, send: &mut Vec<ClientMsg>) {
        let subscription = self.subscription();
        let ours = &self.progress.frontier;
        if let Some(uplink) = &mut self.uplink {
            uplink.subscribed_at = ours.clone();
            send.push(subscription);
        }
    }

    /// The words have decided about a chain: what the relay had refused may count again, and it may be asked
    /// for that chain again.
    pub(crate) fn forget_refusals(&mut self, party: &PartyId) {
        if let Some(uplink) = &mut self.uplink {
            uplink.asked_links.remove(party);
            uplink.repeated_links.remove(party);
            uplink.held_back.remove(party);
            uplink.shorter.remove(party);
            for device in std::mem::take(&mut uplink.given_up) {
                let durable = uplink.durable.get(&device).copied().unwrap_or(0);
                uplink.sent.insert(device, durable);
            }
        }
    }

    /// The frontier has jumped: what the relay holds of that it has said at login.
    pub(crate) fn jumped(&mut self) {
        if let Some(uplink) = &mut self.uplink {
            for (device, position) in self.progress.frontier.rows() {
                let held = uplink.held.counter(device).min(position.counter);
                for place in [&mut uplink.durable, &mut uplink.sent] {
                    let known = place.entry(*device).or_insert(0);
                    *known = (*known).max(held);
                }
            }
        }
    }

    /// The relay has this envelope: it came from there.
    pub(crate) fn relay_holds(&mut self, device: &DeviceId, counter: u64) {
        if let Some(uplink) = &mut self.uplink {
            for place in [&mut uplink.durable, &mut uplink.sent] {
                let held = place.entry(*device).or_insert(0);
                *held = (*held).max(counter);
            }
        }
    }

    /// Looks for places where the relay claims another envelope than ours.
    fn compare(&mut self, frontier: &Frontier) -> Result<(), EngineError> {
        for (device, theirs) in frontier.rows() {
            if theirs.counter <= self.progress.frontier.counter(device)
                && let Some(ours) = self.stored_envelope(device, theirs.counter)?
                && ours.id() != theirs.id
            {
                self.want_proof(device, theirs.counter);
            }
        }
        Ok(())
    }

    /// The relay is to be asked for the envelope that stands where one of ours should. Its word
    /// alone proves nothing; the signed envelope does, when it comes.
    fn want_proof(&mut self, device: &DeviceId, counter: u64) {
        if let Some(uplink) = &mut self.uplink
            && uplink.asked.insert(*device)
        {
            uplink.to_ask.insert(*device, counter);
        }
    }

    /// Asks for it, in a round of its own: who has heard all that the relay holds must have
    /// heard this too, or a copy would take what the relay has of its original for its own.
    fn ask_for_proof(&mut self) -> Result<Option<ClientMsg>, EngineError> {
        let Some(uplink) = &mut self.uplink else {
            return Ok(None);
        };
        let wanted = std::mem::take(&mut uplink.to_ask);
        let parties = std::mem::take(&mut uplink.links_to_ask);
        if wanted.is_empty() && parties.is_empty() {
            return Ok(None);
        }
        uplink.caught_up = false;
        let mut rows: BTreeMap<DeviceId, Position> = self
            .progress
            .frontier
            .rows()
            .map(|(device, position)| (*device, *position))
            .collect();
        for (device, counter) in wanted {
            let counter = counter.saturating_sub(1);
            match self.position_at(&device, counter)? {
                Some(before) => {
                    rows.insert(device, before);
                }
                // Behind what is folded in there is nothing to compare with.
                None if counter < self.folded.floors.counter(&device) => {}
                None => {
                    rows.remove(&device);
                }
            }
        }
        let ClientMsg::Subscribe { mut chains, .. } = self.subscription() else {
            return Ok(None);
        };
        let whole = chains.iter_mut();
        for chain in whole.filter(|chain| parties.contains(&chain.party)) {
            chain.next = 0;
        }
        let frontier = rows.into_iter().collect();
        Ok(Some(ClientMsg::Subscribe { chains, frontier }))
    }

    fn not_stored(&mut self, now: Now, name: &EnvelopeName, reason: Refusal) {
        let Some(uplink) = &mut self.uplink else {
            return;
        };
        uplink.in_flight.remove(&(name.device, name.counter));
        match reason {
            Refusal::Gap => {
                // Envelopes before it were refused; all go again after them.
                let durable = uplink.durable.get(&name.device).copied().unwrap_or(0);
                uplink.sent.insert(name.device, durable);
                self.pause(now, reason);
            }
            Refusal::Conflict => {
                uplink.given_up.insert(name.device);
                self.want_proof(&name.device, name.counter);
            }
            reason if reason.is_passing() => self.pause(now, reason),
            // Refused for good: it stays here, and the rest of this device's chain with it.
            _ => {
                uplink.given_up.insert(name.device);
            }
        }
    }

    fn pause(&mut self, now: Now, reason: Refusal) {
        if let Some(uplink) = &mut self.uplink
            && uplink.paused_until.is_none()
        {
            uplink.paused_until = Some(now.elapsed + PAUSE);
            self.pending.events.push(Event::RelayPaused(reason));
        }
    }

    fn reached_the_end(&mut self, now: Now, send: &mut Vec<ClientMsg>) -> Result<(), EngineError> {
        if let Some(subscription) = self.ask_for_proof()? {
            send.push(subscription);
            return Ok(());
        }
        let parked = !self.parked.is_empty();
        let subscription = self.subscription();
        let frontier = &self.progress.frontier;
        let Some(uplink) = &mut self.uplink else {
            return Ok(());
        };
        // Parked envelopes that were dropped for room come with another round, as long as
        // each round brings something.
        if parked && uplink.subscribed_at != *frontier {
            uplink.subscribed_at = frontier.clone();
            send.push(subscription);
            return Ok(());
        }
        uplink.caught_up = true;
        // It did not take the links, and what it showed instead does not explain why.
        let Uplink {
            shorter,
            asked_links,
            ..
        } = uplink;
        let said = shorter.len();
        shorter.retain(|party| !asked_links.contains(party));
        let unexplained = shorter.len() < said;
        if unexplained {
            self.notice(now, NoticeKind::RolledBack);
        }
        let before = self.progress.frontier.clone();
        self.try_deferred(now)?;
        self.settle(now)?;
        self.try_deferred(now)?;
        self.tell_without_key(now)?;
        self.pending.events.push(Event::CaughtUp);
        self.hear_of_parked(now);
        // What there was no room to park comes once more.
        if parked && self.progress.frontier != before {
            self.subscribe_anew(send);
        }
        Ok(())
    }

    fn newly_delivered(&mut self) -> bool {
        let everything = self.relay_has_everything();
        let Some(uplink) = &mut self.uplink else {
            return false;
        };
        let newly = everything && !uplink.told_delivered;
        uplink.told_delivered = everything;
        newly
    }

    /// Sends what the relay lacks, as far as the window allows.
    pub(crate) fn pump(&mut self) -> Result<Vec<ClientMsg>, EngineError> {
        let mut send = Vec::new();
        let Some(mut uplink) = self.uplink.take() else {
            return Ok(send);
        };
        let filled = self.fill_window(&mut uplink, &mut send);
        self.uplink = Some(uplink);
        filled.map(|()| send)
    }

    fn fill_window(
        &mut self,
        uplink: &mut Uplink,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        if uplink.welcomed && uplink.paused_until.is_none() {
            let rows: Vec<(DeviceId, u64)> = self
                .progress
                .frontier
                .rows()
                .map(|(d, p)| (*d, p.counter))
                .collect();
            'devices: for (device, last) in rows {
                while !uplink.given_up.contains(&device) {
                    let next = uplink.sent.get(&device).copied().unwrap_or(0) + 1;
                    let floor = self.folded.floors.counter(&device);
                    // Without a record only those who still hold the log can fill it.
                    if next <= floor && self.folded.trim.is_empty() {
                        uplink.given_up.insert(device);
                        break;
                    }
                    if next <= floor {
                        if !std::mem::replace(&mut uplink.refilled, true) {
                            send.extend(self.refill()?);
                        }
                        uplink.sent.insert(device, floor);
                        let durable = uplink.durable.entry(device).or_insert(0);
                        *durable = (*durable).max(floor);
                        continue;
                    }
                    if next > last {
                        break;
                    }
                    if uplink.in_flight.len() >= WINDOW || uplink.in_flight_bytes() >= WINDOW_BYTES
                    {
                        break 'devices;
                    }
                    let Some(envelope) = self.stored_envelope(&device, next)? else {
                        return Err(EngineError::Damaged("an envelope that was kept is missing"));
                    };
                    let bytes = envelope.as_bytes().to_vec();
                    uplink.in_flight.insert((device, next), bytes.len());
                    uplink.sent.insert(device, next);
                    uplink.told_delivered = false;
                    send.push(ClientMsg::Append(bytes));
                }
            }
        }
        Ok(())
    }
}
