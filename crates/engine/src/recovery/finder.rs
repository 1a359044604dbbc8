//! Taking in what a relay shows of one space in a recovery login. Nothing of it is believed
//! but what the signatures say; what does not fit is dropped and counted.

use std::collections::BTreeMap;

use ajar_crypto::seal::open_envelope;
use ajar_crypto::{SlotKeys, SlotPublic};
use ajar_protocol::auth::verify_permit;
use ajar_protocol::chain::ChainError;
use ajar_protocol::changes::Changes;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::link::Link;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{
    DeviceId, Envelope, EnvelopeId, Frontier, PartyChain, PartyId, Position, SpaceGenesis,
    VerifiedEnvelope,
};
use thiserror::Error;

use super::Found;
use super::keys::FoundKeys;
use crate::outbox::expand;

/// Of each device, the last envelope with changes is kept to see when it was written, unless
/// it is longer than this.
const LAST: usize = 256 << 10;

/// Why what a relay showed is no space that these words can bring back.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindError {
    /// Genesis or chains are missing, damaged, or do not belong together.
    #[error("what the relay showed is not a whole space")]
    Unsound,
    /// No party of the space stands on these words now.
    #[error("the space that the relay showed does not belong to these words")]
    NotTheirs,
}

/// How far one device has come.
#[derive(Default)]
struct Author {
    last: Option<Position>,
    /// Its last envelope with changes.
    changes: Option<VerifiedEnvelope>,
}

/// Takes the messages of one recovery login and keeps what a recovery needs: chains,
/// positions and epoch keys. Its memory is bounded by the limits on devices and links, not by
/// what the relay sends.
pub struct Finder {
    relay: [u8; 32],
    slot: SlotPublic,
    permit: Option<[u8; 64]>,
    genesis: Option<SpaceGenesis>,
    chains: BTreeMap<PartyId, PartyChain>,
    authors: BTreeMap<DeviceId, Author>,
    /// The furthest envelope of each device that others say to have seen.
    seen: BTreeMap<DeviceId, u64>,
    keys: FoundKeys,
    envelopes: u64,
    dropped: u64,
    caught_up: bool,
    /// The log is given up to here; what comes until the relay is ready stands alone.
    trim: Option<TrimRecord>,
    booting: bool,
    asks: Vec<ClientMsg>,
}

impl Finder {
    /// For one slot of the words, at the relay with this key.
    #[must_use]
    pub fn new(relay: [u8; 32], slot: SlotPublic) -> Self {
        Self {
            relay,
            slot,
            permit: None,
            genesis: None,
            chains: BTreeMap::new(),
            authors: BTreeMap::new(),
            seen: BTreeMap::new(),
            keys: FoundKeys::default(),
            envelopes: 0,
            dropped: 0,
            caught_up: false,
            trim: None,
            booting: false,
            asks: Vec::new(),
        }
    }

    /// Whether the relay says that this is all.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.caught_up
    }

    /// What to say to the relay before it goes on.
    pub fn asks(&mut self) -> Vec<ClientMsg> {
        std::mem::take(&mut self.asks)
    }

    /// Takes one message of the relay. The keys are those of the slot.
    pub fn take(&mut self, keys: &SlotKeys, message: RelayMsg) {
        let taken = match message {
            RelayMsg::Genesis(bytes) => self.take_genesis(&bytes),
            RelayMsg::Welcome { permit, .. } => self.take_permit(permit),
            RelayMsg::Link(bytes) => self.take_link(&bytes),
            RelayMsg::Envelope(bytes) if self.booting => self.take_alone(keys, &bytes),
            RelayMsg::Envelope(bytes) => self.take_envelope(keys, &bytes),
            RelayMsg::Trimmed(bytes) => self.take_trim(&bytes),
            RelayMsg::Ready => self.take_ready(),
            RelayMsg::CaughtUp => {
                self.caught_up = true;
                Some(())
            }
            _ => None,
        };
        if taken.is_none() {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn take_genesis(&mut self, bytes: &[u8]) -> Option<()> {
        let genesis = SpaceGenesis::parse(bytes).ok()?;
        // The first one stays: everything after it was looked at in its light.
        if self.genesis.is_none() {
            self.genesis = Some(genesis);
        }
        Some(())
    }

    fn take_permit(&mut self, permit: [u8; 64]) -> Option<()> {
        let space = self.genesis.as_ref()?.id();
        verify_permit(&self.relay, &space, &permit).ok()?;
        self.permit = Some(permit);
        Some(())
    }

    fn take_link(&mut self, bytes: &[u8]) -> Option<()> {
        let link = Link::parse(bytes).ok()?;
        let parties = self.genesis.as_ref()?.parties();
        if link.seq == 0 {
            let chain = PartyChain::start(link).ok()?;
            let id = parties.into_iter().find(|party| *party == chain.id())?;
            self.chains.entry(id).or_insert(chain);
            return Some(());
        }
        let chain = self.chains.get_mut(&link.party)?;
        match chain.append(link.clone()) {
            Ok(_) => Some(()),
            Err(ChainError::Fork { .. }) => {
                *chain = chain.outranked_by(link).ok()?;
                Some(())
            }
            Err(_) => None,
        }
    }

    /// The log begins later: what comes before is vouched for by a device of each party.
    fn take_trim(&mut self, bytes: &[u8]) -> Option<()> {
        let record = TrimRecord::parse(bytes).ok()?;
        let genesis = self.genesis.as_ref()?;
        let parties = genesis.parties();
        let chains = parties.iter().map(|party| self.chains.get(party));
        let chains = chains.collect::<Option<Vec<&PartyChain>>>()?;
        record.verify(&genesis.id(), &chains, false).ok()?;
        if self.trim.is_none() {
            for (device, position) in record.statement.cover.rows() {
                let author = self.authors.entry(*device).or_default();
                let known = author.last.map_or(0, |last| last.counter);
                if position.counter > known {
                    self.envelopes = self.envelopes.saturating_add(position.counter - known);
                    author.last = Some(*position);
                }
            }
            self.trim = Some(record);
            self.booting = true;
            self.asks.push(ClientMsg::Bootstrap);
        }
        Some(())
    }

    fn take_ready(&mut self) -> Option<()> {
        let booting = std::mem::take(&mut self.booting);
        if booting {
            let authors = self.authors.iter();
            let frontier = authors.filter_map(|(device, author)| Some((*device, author.last?)));
            self.asks.push(ClientMsg::Subscribe {
                chains: Vec::new(),
                frontier: frontier.collect(),
            });
        }
        booting.then_some(())
    }

    /// Takes an envelope that is not in its place: only keys are of use.
    fn take_alone(&mut self, keys: &SlotKeys, bytes: &[u8]) -> Option<()> {
        let envelope = Envelope::parse(bytes).ok()?;
        let header = *envelope.header();
        if header.space != self.genesis.as_ref()?.id() {
            return None;
        }
        let sign = self.device_key(&header.device)?;
        let verified = envelope.verify(&sign).ok()?;
        if header.kind == EnvelopeType::Epoch {
            let recipient = self.slot.root.recovery_id();
            self.keys.take(&verified, &recipient, keys)?;
        }
        Some(())
    }

    fn take_envelope(&mut self, keys: &SlotKeys, bytes: &[u8]) -> Option<()> {
        let envelope = Envelope::parse(bytes).ok()?;
        let header = *envelope.header();
        if header.space != self.genesis.as_ref()?.id() {
            return None;
        }
        let device = header.device;
        let sign = self.device_key(&device)?;
        let verified = envelope.verify(&sign).ok()?;
        let author = self.authors.entry(device).or_default();
        let (counter, prev) = match author.last {
            Some(last) if last.counter == header.counter && last.id == verified.id() => {
                return Some(());
            }
            Some(last) => (last.counter.checked_add(1)?, last.id),
            None => (1, EnvelopeId::ZERO),
        };
        if header.counter != counter || header.prev != prev {
            return None;
        }
        author.last = Some(Position {
            counter,
            id: verified.id(),
        });
        self.envelopes = self.envelopes.saturating_add(1);
        match header.kind {
            EnvelopeType::Epoch => {
                let recipient = self.slot.root.recovery_id();
                self.keys.take(&verified, &recipient, keys)?;
            }
            EnvelopeType::Changes => {
                let acks = self.open(&verified).map(|content| content.acks);
                for (of, position) in acks.unwrap_or_default() {
                    // Of devices that there are: a member may claim what it likes.
                    if of != device && self.device_key(&of).is_some() {
                        let seen = self.seen.entry(of).or_default();
                        *seen = position.counter.max(*seen);
                    }
                }
                if bytes.len() <= LAST
                    && let Some(author) = self.authors.get_mut(&device)
                {
                    author.changes = Some(verified);
                }
            }
            _ => {}
        }
        Some(())
    }

    fn open(&self, envelope: &VerifiedEnvelope) -> Option<Changes> {
        let key = self.keys.get(&envelope.header().epoch)?;
        expand(&open_envelope(envelope, key).ok()?)
    }

    fn device_key(&self, device: &DeviceId) -> Option<[u8; 32]> {
        let device = self
            .chains
            .values()
            .find_map(|chain| chain.device(device))?;
        Some(device.keys.sign)
    }

    /// What was found.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn finish(mut self) -> Result<Found, FindError> {
        let genesis = self.genesis.take().ok_or(FindError::Unsound)?;
        let chains: Vec<PartyChain> = genesis
            .parties()
            .iter()
            .filter_map(|party| self.chains.get(party).cloned())
            .collect();
        genesis
            .verify(&chains.iter().collect::<Vec<_>>())
            .map_err(|_| FindError::Unsound)?;
        let place = chains
            .iter()
            .position(|chain| chain.slot() == self.slot.slot && *chain.root() == self.slot.root)
            .ok_or(FindError::NotTheirs)?;
        let known = |device: &DeviceId| chains.iter().any(|chain| chain.device(device).is_some());
        self.authors.retain(|device, _| known(device));
        let frontier: Frontier = self
            .authors
            .iter()
            .filter_map(|(device, author)| author.last.map(|last| (*device, last)))
            .collect();
        let changes = self.authors.values().filter_map(|a| a.changes.as_ref());
        let written_ms = changes
            .filter_map(|envelope| Some(self.open(envelope)?.claimed_time_ms))
            .max();
        Ok(Found {
            seen: self.seen,
            unopened: self.keys.unopened(),
            epoch_keys: self.keys.into_keys(),
            permits: self.permit.map(|permit| (self.relay, permit)),
            envelopes: self.envelopes,
            dropped: self.dropped,
            slot: self.slot,
            genesis,
            chains,
            place,
            frontier,
            written_ms,
        })
    }
}
