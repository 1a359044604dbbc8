//! An honest relay with as little as the tests need: mailboxes, spaces, live forwarding. A
//! test may let it meddle with mailbox messages, forget everything, or cut lines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ajar_protocol::auth::{Login, permit};
use ajar_protocol::client_msg::{ChainPosition, ClientMsg, Credential};
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{
    AppendOutcome, DeviceId, Envelope, EnvelopeType, Frontier, Link, LinkBody, PartyChain,
    Position, SpaceGenesis, SpaceId,
};
use ajar_sync::RelayAddress;
use ed25519_dalek::SigningKey;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::host::{Host, Peer};
use crate::shelf::{Aborted, Shelf};

/// What becomes of a mailbox message: its bytes, or nothing and the line is cut.
pub(crate) type Meddle = dyn Fn(Sender, usize, Vec<u8>) -> Option<Vec<u8>> + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Shower,
    Enterer,
}

type Half = (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>);

struct Waiting {
    purpose: Purpose,
    half: Half,
    joined: oneshot::Sender<()>,
}

/// What becomes of a message in a recovery login: it is shown as it is, changed, or not.
pub(crate) type Tamper = dyn Fn(&RelayMsg) -> Option<RelayMsg> + Send + Sync;

struct Held {
    genesis: SpaceGenesis,
    /// In the order of the genesis.
    chains: Vec<PartyChain>,
    frontier: Frontier,
    envelopes: Vec<Vec<u8>>,
    live: broadcast::Sender<(usize, RelayMsg)>,
}

impl Held {
    fn welcome(&self, key: &SigningKey) -> RelayMsg {
        let position = |chain: &PartyChain| ChainPosition {
            party: chain.id(),
            next: chain.next_seq(),
        };
        RelayMsg::Welcome {
            permit: permit(key, &self.genesis.id()),
            chains: self.chains.iter().map(position).collect(),
            frontier: self.frontier.clone(),
        }
    }

    fn is_member(&self, login: &Login) -> bool {
        let mut chains = self.chains.iter();
        chains.any(|chain| {
            let device = chain.active(&login.device);
            device.is_some_and(|device| device.keys.auth == login.auth)
                || login.device == DeviceId::ZERO && chain.root().login == login.auth
        })
    }

    fn append_link(&mut self, by: usize, link: Link) -> RelayMsg {
        let (seq, party) = (link.seq, link.party);
        let known =
            |chain: &PartyChain| chain.id() == party || chain.head_at(0) == Some(link.hash());
        let Some(chain) = self.chains.iter_mut().find(|chain| known(chain)) else {
            let reason = Refusal::NotAdmitted;
            return RelayMsg::LinkNotStored { party, seq, reason };
        };
        match chain.append(link.clone()) {
            Ok(AppendOutcome::Known) => return RelayMsg::LinkStored { party, seq },
            Ok(AppendOutcome::Appended) => {}
            Err(_) => match chain.outranked_by(link.clone()) {
                Ok(replaced) => *chain = replaced,
                Err(_) => {
                    let reason = Refusal::Conflict;
                    return RelayMsg::LinkNotStored { party, seq, reason };
                }
            },
        }
        let _ = self
            .live
            .send((by, RelayMsg::Link(link.as_bytes().to_vec())));
        RelayMsg::LinkStored { party, seq }
    }

    fn append(&mut self, by: usize, bytes: Vec<u8>) -> RelayMsg {
        let envelope = Envelope::parse(&bytes).unwrap();
        let header = *envelope.header();
        let (device, counter, id) = (header.device, header.counter, envelope.id());
        let name = EnvelopeName {
            device,
            counter,
            id,
        };
        let author = self.chains.iter().find_map(|chain| chain.device(&device));
        let cut = author.and_then(|author| author.revoked);
        if cut.is_some_and(|revoked| counter > revoked.cutoff.counter) {
            return RelayMsg::NotStored(name, Refusal::Revoked);
        }
        if self.frontier.counter(&device) < counter {
            self.frontier.set(device, Position { counter, id });
            self.envelopes.push(bytes.clone());
            let _ = self.live.send((by, RelayMsg::Envelope(bytes)));
        }
        RelayMsg::Stored(name)
    }

    fn show(&self, chains: &[ChainPosition], frontier: &Frontier) -> Vec<RelayMsg> {
        let mut answers = Vec::new();
        for chain in &self.chains {
            let asked = chains.iter().find(|asked| asked.party == chain.id());
            let next = asked.map_or(0, |asked| asked.next);
            let links = chain.links().iter().filter(|link| link.seq >= next);
            answers.extend(links.map(|link| RelayMsg::Link(link.as_bytes().to_vec())));
        }
        let missing = self.envelopes.iter().filter(|bytes| {
            let header = *Envelope::parse(bytes).unwrap().header();
            header.counter > frontier.counter(&header.device)
        });
        answers.extend(missing.map(|bytes| RelayMsg::Envelope(bytes.clone())));
        answers.push(RelayMsg::CaughtUp);
        answers
    }
}

#[derive(Default)]
struct State {
    mailboxes: BTreeMap<u32, Waiting>,
    spaces: BTreeMap<SpaceId, Held>,
}

pub(crate) struct Honest {
    host: Host,
    relay: Arc<Relay>,
}

pub(crate) struct Relay {
    key: SigningKey,
    state: Mutex<State>,
    nameplates: AtomicU32,
    introductions: AtomicUsize,
    by_permit: AtomicUsize,
    logins: AtomicUsize,
    recoveries: AtomicUsize,
    /// Purpose that joiners are told, whatever the truth is.
    purpose: Option<Purpose>,
    meddle: Box<Meddle>,
    /// A space that no device is let into.
    shut: Mutex<Option<SpaceId>>,
    /// Blobs, and what is done to them.
    shelf: Arc<Shelf>,
    /// What recovery logins are shown.
    tamper: Mutex<Box<Tamper>>,
}

impl Honest {
    pub(crate) fn start() -> Self {
        Self::meddling(|_, _, message| Some(message))
    }

    pub(crate) fn meddling(
        meddle: impl Fn(Sender, usize, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(None, Box::new(meddle))
    }

    pub(crate) fn start_with(purpose: Option<Purpose>, meddle: Box<Meddle>) -> Self {
        Self::begin([42; 32], purpose, meddle)
    }

    /// With an identity of its own.
    pub(crate) fn seeded(seed: [u8; 32]) -> Self {
        Self::begin(seed, None, Box::new(|_, _, message| Some(message)))
    }

    fn begin(seed: [u8; 32], purpose: Option<Purpose>, meddle: Box<Meddle>) -> Self {
        let relay = Arc::new(Relay {
            key: SigningKey::from_bytes(&seed),
            state: Mutex::default(),
            nameplates: AtomicU32::new(4821),
            introductions: AtomicUsize::new(0),
            by_permit: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            recoveries: AtomicUsize::new(0),
            purpose,
            meddle,
            shut: Mutex::default(),
            shelf: Arc::default(),
            tamper: Mutex::new(Box::new(|message| Some(message.clone()))),
        });
        let serving = Arc::clone(&relay);
        let serve = move |peer| Arc::clone(&serving).serve(peer);
        let host = Host::start_with(seed, ajar_protocol::version::ALPN, serve);
        Self { host, relay }
    }

    pub(crate) fn address(&self) -> &RelayAddress {
        &self.host.address
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Introductions so far, and how many of them with a permit.
    pub(crate) fn introductions(&self) -> (usize, usize) {
        let count = |n: &AtomicUsize| n.load(Ordering::SeqCst);
        (
            count(&self.relay.introductions),
            count(&self.relay.by_permit),
        )
    }

    pub(crate) fn logins(&self) -> usize {
        self.relay.logins.load(Ordering::SeqCst)
    }

    /// Recovery logins so far, also those that found nothing.
    pub(crate) fn recoveries(&self) -> usize {
        self.relay.recoveries.load(Ordering::SeqCst)
    }

    /// What recovery logins are shown from now on. Without the genesis, nothing at all.
    pub(crate) fn tamper(
        &self,
        tamper: impl Fn(&RelayMsg) -> Option<RelayMsg> + Send + Sync + 'static,
    ) {
        *self.relay.tamper.lock().unwrap() = Box::new(tamper);
    }

    pub(crate) fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// Lets no device into this space from now on; recovery logins find it.
    pub(crate) fn shut(&self, space: Option<SpaceId>) {
        *self.relay.shut.lock().unwrap() = space;
    }

    /// Goes back in time: the last envelopes that it holds of a space are gone.
    pub(crate) fn lose(&self, space: &SpaceId, last: usize) {
        let mut state = self.relay.state.lock().unwrap();
        let held = state.spaces.get_mut(space).unwrap();
        let kept = held.envelopes.len() - last;
        let kept: Vec<_> = held.envelopes.drain(..kept).collect();
        held.envelopes.clear();
        held.frontier = Frontier::default();
        for bytes in kept {
            held.append(usize::MAX, bytes);
        }
    }

    /// Links of the party with this device.
    pub(crate) fn chain(&self, device: &DeviceId) -> PartyChain {
        let state = self.relay.state.lock().unwrap();
        let mut chains = state.spaces.values().flat_map(|held| &held.chains);
        chains
            .find(|chain| chain.device(device).is_some())
            .unwrap()
            .clone()
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.relay.shelf
    }

    /// Loses all data.
    pub(crate) fn forget(&self) {
        self.relay.shelf.forget();
        self.relay.state.lock().unwrap().spaces.clear();
    }
}

impl Relay {
    pub(crate) fn shut_for_devices(&self, space: SpaceId) {
        *self.shut.lock().unwrap() = Some(space);
    }

    async fn serve(self: Arc<Self>, mut peer: Peer) {
        match peer.hear().await {
            Some(ClientMsg::MailboxOpen(purpose)) => self.open(peer, purpose).await,
            Some(ClientMsg::MailboxJoin(nameplate)) => self.join(peer, nameplate).await,
            Some(first) => self.space(peer, first).await,
            None => {}
        }
    }

    async fn open(&self, mut peer: Peer, purpose: Purpose) {
        let nameplate = self.nameplates.fetch_add(1, Ordering::SeqCst);
        let (to_enterer, from_shower) = mpsc::channel(16);
        let (to_shower, from_enterer) = mpsc::channel(16);
        let (joined, was_joined) = oneshot::channel();
        let waiting = Waiting {
            purpose,
            half: (to_shower, from_shower),
            joined,
        };
        let known = self
            .state
            .lock()
            .unwrap()
            .mailboxes
            .insert(nameplate, waiting);
        assert!(known.is_none());
        peer.say(&RelayMsg::MailboxOpened(nameplate)).await;
        tokio::select! {
            joined = was_joined => if joined.is_err() { return },
            _ = peer.connection.closed() => return,
        }
        peer.say(&RelayMsg::MailboxPeer(purpose)).await;
        self.forward(peer, Sender::Shower, (to_enterer, from_enterer))
            .await;
    }

    async fn join(&self, mut peer: Peer, nameplate: u32) {
        let waiting = self.state.lock().unwrap().mailboxes.remove(&nameplate);
        let Some(waiting) = waiting else {
            peer.say(&RelayMsg::Refused(Refusal::NoMailbox)).await;
            return peer.stay().await;
        };
        let purpose = self.purpose.unwrap_or(waiting.purpose);
        peer.say(&RelayMsg::MailboxPeer(purpose)).await;
        waiting.joined.send(()).unwrap();
        self.forward(peer, Sender::Enterer, waiting.half).await;
    }

    async fn forward(&self, mut peer: Peer, from: Sender, (to, mut messages): Half) {
        let mut count = 0;
        loop {
            tokio::select! {
                heard = peer.hear() => {
                    let Some(ClientMsg::MailboxSend(message)) = heard else { return };
                    let Some(message) = (self.meddle)(from, count, message) else { return };
                    count += 1;
                    if to.send(message).await.is_err() { return }
                }
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    peer.say(&RelayMsg::MailboxMessage(message)).await;
                }
            }
        }
    }

    async fn space(&self, mut peer: Peer, first: ClientMsg) {
        let mut next = Some(first);
        let mut introduced: Option<(SpaceGenesis, Vec<Link>)> = None;
        while let Some(message) = next {
            match message {
                ClientMsg::Introduce {
                    genesis,
                    credential,
                } => {
                    self.introductions.fetch_add(1, Ordering::SeqCst);
                    if let Credential::Permit(_) = credential {
                        self.by_permit.fetch_add(1, Ordering::SeqCst);
                    }
                    introduced = Some((SpaceGenesis::parse(&genesis).unwrap(), Vec::new()));
                }
                ClientMsg::AppendLink(bytes) => {
                    let link = Link::parse(&bytes).unwrap();
                    introduced.as_mut().unwrap().1.push(link);
                }
                ClientMsg::Login(login) => {
                    if let Some((genesis, links)) = introduced {
                        self.admit(genesis, links);
                    }
                    return self.member(peer, login).await;
                }
                other => panic!("{other:?} before the login"),
            }
            next = peer.hear().await;
        }
    }

    fn admit(&self, genesis: SpaceGenesis, links: Vec<Link>) {
        let mut state = self.state.lock().unwrap();
        let (first, rest): (Vec<Link>, Vec<Link>) =
            links.into_iter().partition(|link| link.seq == 0);
        let held = state.spaces.entry(genesis.id()).or_insert_with(|| {
            let start = |link: Link| PartyChain::start(link).unwrap();
            let chains: Vec<PartyChain> = first.into_iter().map(start).collect();
            genesis.verify(&chains.iter().collect::<Vec<_>>()).unwrap();
            Held {
                genesis,
                chains,
                frontier: Frontier::default(),
                envelopes: Vec::new(),
                live: broadcast::channel(1024).0,
            }
        });
        for link in rest {
            held.append_link(usize::MAX, link);
        }
    }

    async fn member(&self, mut peer: Peer, mut login: Login) {
        let recovery = login.device == DeviceId::ZERO;
        let counter = match recovery {
            true => &self.recoveries,
            false => &self.logins,
        };
        counter.fetch_add(1, Ordering::SeqCst);
        let key = self.key.verifying_key().to_bytes();
        login.verify(&key, &peer.exporter()).unwrap();
        let shut = *self.shut.lock().unwrap();
        let admitted = {
            let state = self.state.lock().unwrap();
            let found = match recovery {
                true => state.spaces.values().find(|held| held.is_member(&login)),
                false => state
                    .spaces
                    .get(&login.space)
                    .filter(|h| h.is_member(&login)),
            };
            let open = found.filter(|held| recovery || Some(held.genesis.id()) != shut);
            open.and_then(|held| {
                login.space = held.genesis.id();
                let genesis = RelayMsg::Genesis(held.genesis.encode());
                let first = match recovery {
                    true => vec![self.tampered(&genesis)?, held.welcome(&self.key)],
                    false => vec![held.welcome(&self.key)],
                };
                Some((first, held.live.subscribe()))
            })
        };
        let Some((first, mut live)) = admitted else {
            peer.say(&RelayMsg::Refused(Refusal::NotAdmitted)).await;
            return peer.stay().await;
        };
        for message in first {
            peer.say(&message).await;
        }
        let serving = Arc::clone(&self.shelf).serve(login.space, peer.connection.clone());
        let _streams = Aborted(tokio::spawn(serving));
        loop {
            tokio::select! {
                heard = peer.hear() => {
                    let Some(message) = heard else { return };
                    let Some(answers) = self.answer(&login, peer.number, message) else {
                        return;
                    };
                    for answer in answers {
                        peer.say(&answer).await;
                    }
                }
                news = live.recv() => {
                    let Ok((by, message)) = news else { return };
                    if by != peer.number {
                        peer.say(&message).await;
                    }
                    if !self.is_member(&login) {
                        peer.say(&RelayMsg::Refused(Refusal::NotAdmitted)).await;
                        return peer.stay().await;
                    }
                }
            }
        }
    }

    fn is_member(&self, login: &Login) -> bool {
        let state = self.state.lock().unwrap();
        let held = state.spaces.get(&login.space);
        held.is_some_and(|held| held.is_member(login))
    }

    fn tampered(&self, message: &RelayMsg) -> Option<RelayMsg> {
        (self.tamper.lock().unwrap())(message)
    }

    /// `None` when the space was forgotten meanwhile.
    fn answer(&self, login: &Login, by: usize, message: ClientMsg) -> Option<Vec<RelayMsg>> {
        let mut state = self.state.lock().unwrap();
        let held = state.spaces.get_mut(&login.space)?;
        let recovery = login.device == DeviceId::ZERO;
        Some(match message {
            ClientMsg::Subscribe { chains, frontier } => {
                let shown = held.show(&chains, &frontier);
                match recovery {
                    true => shown.iter().filter_map(|m| self.tampered(m)).collect(),
                    false => shown,
                }
            }
            ClientMsg::Append(bytes) => {
                assert!(!recovery, "a recovery login writes nothing");
                vec![held.append(by, bytes)]
            }
            ClientMsg::AppendLink(bytes) => {
                let link = Link::parse(&bytes).unwrap();
                let recover = matches!(link.body, LinkBody::Recover { .. });
                assert!(recover || !recovery, "a recovery login recovers");
                vec![held.append_link(by, link)]
            }
            // It gives nothing up, so there is no trim record.
            ClientMsg::Bootstrap => {
                let kind = |bytes: &Vec<u8>| Envelope::parse(bytes).unwrap().header().kind;
                let all = held.envelopes.iter();
                let needed = all.filter(|bytes| kind(bytes) != EnvelopeType::Changes);
                let mut answers: Vec<RelayMsg> = needed
                    .map(|bytes| RelayMsg::Envelope(bytes.clone()))
                    .collect();
                answers.push(RelayMsg::Ready);
                answers
            }
            ClientMsg::AskBlobs(asked) => {
                vec![RelayMsg::BlobsMissing(
                    self.shelf.missing(login.space, &asked),
                )]
            }
            ClientMsg::DeleteBlobs(command) => {
                let chains: Vec<&PartyChain> = held.chains.iter().collect();
                command.verify(&login.space, &chains).unwrap();
                self.shelf.delete(login.space, &command.blobs);
                vec![RelayMsg::BlobsDeleted(command.blobs)]
            }
            other => panic!("{other:?} after the login"),
        })
    }
}
