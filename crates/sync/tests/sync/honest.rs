//! An honest relay with as little as the tests need: mailboxes, spaces, live forwarding. A
//! test may let it meddle with mailbox messages, forget everything, or cut lines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ajar_protocol::auth::{Login, permit};
use ajar_protocol::client_msg::{ChainPosition, ClientMsg, Credential};
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{Envelope, Frontier, Link, Position, SpaceGenesis, SpaceId};
use ajar_sync::RelayAddress;
use ed25519_dalek::SigningKey;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::host::{Host, Peer};

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

struct Held {
    chains: Vec<ChainPosition>,
    frontier: Frontier,
    envelopes: Vec<Vec<u8>>,
    live: broadcast::Sender<(usize, Vec<u8>)>,
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

struct Relay {
    key: SigningKey,
    state: Mutex<State>,
    nameplates: AtomicU32,
    introductions: AtomicUsize,
    by_permit: AtomicUsize,
    logins: AtomicUsize,
    /// Purpose that joiners are told, whatever the truth is.
    purpose: Option<Purpose>,
    meddle: Box<Meddle>,
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
        let seed = [42; 32];
        let relay = Arc::new(Relay {
            key: SigningKey::from_bytes(&seed),
            state: Mutex::default(),
            nameplates: AtomicU32::new(4821),
            introductions: AtomicUsize::new(0),
            by_permit: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            purpose,
            meddle,
        });
        let serving = Arc::clone(&relay);
        let host = Host::start(move |peer| Arc::clone(&serving).serve(peer));
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

    /// Loses all data.
    pub(crate) fn forget(&self) {
        self.relay.state.lock().unwrap().spaces.clear();
    }
}

impl Relay {
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
        while let Some(message) = next {
            match message {
                ClientMsg::Introduce {
                    genesis,
                    credential,
                } => {
                    self.introduce(&genesis, credential);
                }
                ClientMsg::AppendLink(_) => {}
                ClientMsg::Login(login) => return self.member(peer, login).await,
                other => panic!("{other:?} before the login"),
            }
            next = peer.hear().await;
        }
    }

    fn introduce(&self, genesis: &[u8], credential: Credential) {
        self.introductions.fetch_add(1, Ordering::SeqCst);
        if let Credential::Permit(_) = credential {
            self.by_permit.fetch_add(1, Ordering::SeqCst);
        }
        let genesis = SpaceGenesis::parse(genesis).unwrap();
        let position = |party| ChainPosition { party, next: 1 };
        let held = Held {
            chains: genesis.parties().into_iter().map(position).collect(),
            frontier: Frontier::default(),
            envelopes: Vec::new(),
            live: broadcast::channel(1024).0,
        };
        let mut state = self.state.lock().unwrap();
        state.spaces.entry(genesis.id()).or_insert(held);
    }

    async fn member(&self, mut peer: Peer, login: Login) {
        self.logins.fetch_add(1, Ordering::SeqCst);
        let key = self.key.verifying_key().to_bytes();
        login.verify(&key, &peer.exporter()).unwrap();
        let welcome = {
            let state = self.state.lock().unwrap();
            state.spaces.get(&login.space).map(|held| {
                let welcome = RelayMsg::Welcome {
                    permit: permit(&self.key, &login.space),
                    chains: held.chains.clone(),
                    frontier: held.frontier.clone(),
                };
                (welcome, held.live.subscribe())
            })
        };
        let Some((welcome, mut live)) = welcome else {
            peer.say(&RelayMsg::Refused(Refusal::NotAdmitted)).await;
            return peer.stay().await;
        };
        peer.say(&welcome).await;
        loop {
            tokio::select! {
                heard = peer.hear() => {
                    let Some(message) = heard else { return };
                    let Some(answers) = self.answer(&login.space, peer.number, message) else {
                        return;
                    };
                    for answer in answers {
                        peer.say(&answer).await;
                    }
                }
                news = live.recv() => {
                    let Ok((by, envelope)) = news else { return };
                    if by != peer.number {
                        peer.say(&RelayMsg::Envelope(envelope)).await;
                    }
                }
            }
        }
    }

    /// `None` when the space was forgotten meanwhile.
    fn answer(&self, space: &SpaceId, by: usize, message: ClientMsg) -> Option<Vec<RelayMsg>> {
        let mut state = self.state.lock().unwrap();
        let held = state.spaces.get_mut(space)?;
        Some(match message {
            ClientMsg::Subscribe { frontier, .. } => {
                let mut answers: Vec<_> = held
                    .envelopes
                    .iter()
                    .filter(|bytes| {
                        let header = *Envelope::parse(bytes).unwrap().header();
                        header.counter > frontier.counter(&header.device)
                    })
                    .map(|bytes| RelayMsg::Envelope(bytes.clone()))
                    .collect();
                answers.push(RelayMsg::CaughtUp);
                answers
            }
            ClientMsg::Append(bytes) => {
                let envelope = Envelope::parse(&bytes).unwrap();
                let (header, id) = (*envelope.header(), envelope.id());
                if held.frontier.counter(&header.device) < header.counter {
                    let counter = header.counter;
                    held.frontier.set(header.device, Position { counter, id });
                    held.envelopes.push(bytes.clone());
                    let _ = held.live.send((by, bytes));
                }
                vec![RelayMsg::Stored(EnvelopeName {
                    device: header.device,
                    counter: header.counter,
                    id,
                })]
            }
            ClientMsg::AppendLink(bytes) => {
                let Link { party, seq, .. } = Link::parse(&bytes).unwrap();
                vec![RelayMsg::LinkStored { party, seq }]
            }
            other => panic!("{other:?} after the login"),
        })
    }
}
