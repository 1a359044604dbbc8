//! A relay that lies: it lets in devices that were removed, keeps their removal from them, and
//! forwards what they write; or it stands between two devices that meet through a code.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use ajar_crypto::PairingWords;
use ajar_crypto::pairing::{CONFIRMATION, Enterer, Shower};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::auth::{Login, permit};
use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::{
    DeviceId, Envelope, Frontier, Link, PartyChain, Position, SpaceGenesis, SpaceId, label, version,
};
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const SEED: [u8; 32] = [42; 32];
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Which of two devices that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that shows the code.
    Shower,
    /// The one on which it is typed.
    Enterer,
}

/// A relay that lies, on the loopback. It ends when dropped.
pub struct Liar {
    address: RelayAddress,
    lies: Arc<Lies>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Lies {
    /// Whether it stands between those who meet.
    between: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nameplates: u32,
    mailboxes: BTreeMap<u32, oneshot::Sender<Peer>>,
    /// Size of each mailbox message that was sent.
    sent: Vec<(Side, usize)>,
    spaces: BTreeMap<SpaceId, Held>,
    /// Devices that logged in after they were removed.
    let_in: Vec<DeviceId>,
    /// Whether every envelope that it forwards is damaged on the way.
    damages: bool,
}

struct Held {
    genesis: SpaceGenesis,
    chains: Vec<PartyChain>,
    frontier: Frontier,
    envelopes: Vec<Vec<u8>>,
}

impl Liar {
    /// Lets everybody in who ever was a device, and never tells one that it was removed.
    #[must_use]
    pub fn lets_everybody_in() -> Self {
        Self::start(false)
    }

    /// Makes an exchange of its own with each of two devices that meet through a code.
    #[must_use]
    pub fn stands_between() -> Self {
        Self::start(true)
    }

    fn start(between: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let lies = Arc::new(Lies {
            between,
            ..Lies::default()
        });
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let inside = runtime.enter();
        let endpoint = Endpoint::server(config(), place).unwrap();
        drop(inside);
        let address = RelayAddress {
            host: "127.0.0.1".to_owned(),
            port: endpoint.local_addr().unwrap().port(),
            key: SigningKey::from_bytes(&SEED).verifying_key().to_bytes(),
            claim: Some([9; 16]),
        };
        let serving = Arc::clone(&lies);
        runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let lies = Arc::clone(&serving);
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else {
                        return;
                    };
                    if let Ok((send, recv)) = connection.accept_bi().await {
                        let peer = Peer {
                            connection,
                            send,
                            recv,
                            buffer: Vec::new(),
                        };
                        lies.serve(peer).await;
                    }
                });
            }
        });
        Self {
            address,
            lies,
            _runtime: runtime,
        }
    }

    /// Its address, with a claim.
    #[must_use]
    pub fn invite(&self) -> String {
        self.address.to_string()
    }

    /// Size of each mailbox message so far, and who sent it.
    #[must_use]
    pub fn mailbox(&self) -> Vec<(Side, usize)> {
        self.lies.state.lock().unwrap().sent.clone()
    }

    /// How often a device was let in after its removal.
    #[must_use]
    pub fn let_in(&self) -> usize {
        self.lies.state.lock().unwrap().let_in.len()
    }

    /// Lengths of all envelopes of one type, in the order in which they came.
    #[must_use]
    pub fn sizes(&self, kind: u8) -> Vec<usize> {
        let state = self.lies.state.lock().unwrap();
        let envelopes = state.spaces.values().flat_map(|held| &held.envelopes);
        let of_kind = envelopes.filter(|bytes| bytes[1] == kind);
        of_kind.map(Vec::len).collect()
    }

    /// From now on, every envelope that it forwards is damaged on the way, or none.
    pub fn damages(&self, damages: bool) {
        self.lies.state.lock().unwrap().damages = damages;
    }

    /// Envelopes that are kept from devices after their removal: the relay holds them, and
    /// honest devices should not take them.
    #[must_use]
    pub fn beyond(&self) -> usize {
        let state = self.lies.state.lock().unwrap();
        let beyond = |held: &Held| {
            let all = held.envelopes.iter();
            all.filter(|bytes| held.is_beyond(bytes)).count()
        };
        state.spaces.values().map(beyond).sum()
    }
}

fn config() -> quinn::ServerConfig {
    let der = [PKCS8_PREFIX.as_slice(), &SEED].concat();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider
        .key_provider
        .load_private_key(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)))
        .unwrap();
    let public = CertificateDer::from(key.public_key().unwrap().to_vec());
    let certified = CertifiedKey::new(vec![public], key);
    let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::new(certified));
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![version::ALPN.to_vec()];
    quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()))
}

/// One connection of a client.
struct Peer {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    buffer: Vec<u8>,
}

impl Peer {
    /// The next message; `None` at the end. Cancel-safe.
    async fn hear(&mut self) -> Option<ClientMsg> {
        loop {
            if let Some((field, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*field) as usize;
                if let Some(content) = rest.get(..length) {
                    let message = ClientMsg::parse(content).unwrap();
                    self.buffer.drain(..4 + length);
                    return Some(message);
                }
            }
            let chunk = self.recv.read_chunk(1 << 16, true).await.ok()??;
            self.buffer.extend_from_slice(&chunk.bytes);
        }
    }

    async fn say(&mut self, message: &RelayMsg) {
        // Who has gone hears nothing.
        let _ = self.send.write_all(&message.to_frame()).await;
    }

    async fn stay(mut self) {
        while self.hear().await.is_some() {}
        self.connection.closed().await;
    }
}

impl Lies {
    async fn serve(self: Arc<Self>, mut peer: Peer) {
        match peer.hear().await {
            Some(ClientMsg::MailboxOpen(purpose)) => self.open(peer, purpose).await,
            Some(ClientMsg::MailboxJoin(nameplate)) => self.join(peer, nameplate).await,
            Some(first) => self.space(peer, first).await,
            None => {}
        }
    }

    async fn open(&self, mut shower: Peer, purpose: Purpose) {
        let (hand_over, handed) = oneshot::channel();
        let nameplate = {
            let mut state = self.state.lock().unwrap();
            state.nameplates += 1;
            let nameplate = 4820 + state.nameplates;
            state.mailboxes.insert(nameplate, hand_over);
            nameplate
        };
        shower.say(&RelayMsg::MailboxOpened(nameplate)).await;
        let Ok(mut enterer) = handed.await else {
            return;
        };
        shower.say(&RelayMsg::MailboxPeer(purpose)).await;
        enterer.say(&RelayMsg::MailboxPeer(purpose)).await;
        if self.between {
            self.stand_between(shower, enterer, nameplate, purpose)
                .await;
        } else {
            self.forward(shower, enterer).await;
        }
    }

    async fn join(&self, mut peer: Peer, nameplate: u32) {
        let waiting = self.state.lock().unwrap().mailboxes.remove(&nameplate);
        match waiting {
            // Who opened it may have gone.
            Some(waiting) => drop(waiting.send(peer)),
            None => {
                peer.say(&RelayMsg::Refused(Refusal::NoMailbox)).await;
                peer.stay().await;
            }
        }
    }

    fn note(&self, side: Side, message: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.sent.push((side, message.len()));
    }

    async fn forward(&self, mut shower: Peer, mut enterer: Peer) {
        loop {
            tokio::select! {
                heard = shower.hear() => {
                    let Some(ClientMsg::MailboxSend(message)) = heard else { break };
                    self.note(Side::Shower, &message);
                    enterer.say(&RelayMsg::MailboxMessage(message)).await;
                }
                heard = enterer.hear() => {
                    let Some(ClientMsg::MailboxSend(message)) = heard else { break };
                    self.note(Side::Enterer, &message);
                    shower.say(&RelayMsg::MailboxMessage(message)).await;
                }
            }
        }
        // What was said last is on its way when one of them hangs up.
        let _ = (shower.send.finish(), enterer.send.finish());
        let both = async { tokio::join!(shower.connection.closed(), enterer.connection.closed()) };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), both).await;
    }

    /// An exchange with each of them, with three words that are guessed.
    async fn stand_between(
        &self,
        mut shower: Peer,
        mut enterer: Peer,
        nameplate: u32,
        purpose: Purpose,
    ) {
        let mut entropy = getrandom::SysRng;
        let guess = PairingWords::random(&mut entropy).unwrap();
        let key = SigningKey::from_bytes(&SEED).verifying_key().to_bytes();
        let number = nameplate.to_string();
        let (_, to_enterer) = Shower::start(purpose, &number, &key, &guess, &mut entropy).unwrap();
        let (as_enterer, mut to_shower) = {
            let (state, first) =
                Enterer::start(purpose, &number, &key, &guess, &mut entropy).unwrap();
            (state, first.to_vec())
        };
        if let Some(ClientMsg::MailboxSend(first)) = shower.hear().await {
            self.note(Side::Shower, &first);
            let (_, confirmation) = as_enterer.receive(&first).unwrap();
            to_shower.extend_from_slice(&confirmation);
            shower.say(&RelayMsg::MailboxMessage(to_shower)).await;
        }
        enterer
            .say(&RelayMsg::MailboxMessage(to_enterer.to_vec()))
            .await;
        if let Some(ClientMsg::MailboxSend(answer)) = enterer.hear().await {
            self.note(Side::Enterer, &answer);
            let confirmation = vec![7; CONFIRMATION];
            enterer.say(&RelayMsg::MailboxMessage(confirmation)).await;
        }
        // Whatever they say from now on is for the one in between.
        for (side, mut peer) in [(Side::Shower, shower), (Side::Enterer, enterer)] {
            while let Some(message) = peer.hear().await {
                if let ClientMsg::MailboxSend(message) = message {
                    self.note(side, &message);
                }
            }
        }
    }

    async fn space(&self, mut peer: Peer, first: ClientMsg) {
        let mut next = Some(first);
        let mut introduced: Option<(SpaceGenesis, Vec<Link>)> = None;
        while let Some(message) = next {
            match message {
                ClientMsg::Introduce { genesis, .. } => {
                    introduced = Some((SpaceGenesis::parse(&genesis).unwrap(), Vec::new()));
                }
                ClientMsg::AppendLink(bytes) => {
                    let (_, links) = introduced.as_mut().unwrap();
                    links.push(Link::parse(&bytes).unwrap());
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
            Held {
                genesis,
                chains: first.into_iter().map(start).collect(),
                frontier: Frontier::default(),
                envelopes: Vec::new(),
            }
        });
        for link in rest {
            held.append_link(&link);
        }
    }

    async fn member(&self, mut peer: Peer, login: Login) {
        let key = SigningKey::from_bytes(&SEED);
        let mut exporter = [0; 32];
        peer.connection
            .export_keying_material(&mut exporter, label::EXPORTER, b"")
            .unwrap();
        login
            .verify(&key.verifying_key().to_bytes(), &exporter)
            .unwrap();
        let welcome = {
            let mut state = self.state.lock().unwrap();
            let held = state.spaces.get(&login.space);
            let held = held.filter(|held| held.ever_knew(&login));
            let welcome = held.map(|held| RelayMsg::Welcome {
                permit: permit(&key, &held.genesis.id()),
                chains: held.positions(&login.device),
                frontier: held.frontier.clone(),
            });
            if held.is_some_and(|held| held.is_removed(&login.device)) {
                state.let_in.push(login.device);
            }
            welcome
        };
        let Some(welcome) = welcome else {
            peer.say(&RelayMsg::Refused(Refusal::NotAdmitted)).await;
            return peer.stay().await;
        };
        peer.say(&welcome).await;
        while let Some(message) = peer.hear().await {
            for answer in self.answer(&login, message) {
                peer.say(&answer).await;
            }
        }
    }

    fn answer(&self, login: &Login, message: ClientMsg) -> Vec<RelayMsg> {
        let mut state = self.state.lock().unwrap();
        let held = state.spaces.get_mut(&login.space).unwrap();
        match message {
            ClientMsg::Subscribe { chains, frontier } => {
                let mut answers = held.show(&login.device, &chains, &frontier);
                for answer in answers.iter_mut().filter(|_| state.damages) {
                    if let RelayMsg::Envelope(bytes) = answer {
                        *bytes.last_mut().unwrap() ^= 1;
                    }
                }
                answers
            }
            ClientMsg::Bootstrap => vec![RelayMsg::Ready],
            ClientMsg::Append(bytes) => vec![held.append(bytes)],
            ClientMsg::AppendLink(bytes) => vec![held.append_link(&Link::parse(&bytes).unwrap())],
            other => panic!("{other:?} after the login"),
        }
    }
}

impl Held {
    fn ever_knew(&self, login: &Login) -> bool {
        let mut devices = self
            .chains
            .iter()
            .filter_map(|chain| chain.device(&login.device));
        devices.any(|device| device.keys.auth == login.auth)
    }

    fn is_removed(&self, device: &DeviceId) -> bool {
        self.removed_at(device).is_some()
    }

    /// Place of the link that removed a device: where the chain ends that it is shown.
    fn removed_at(&self, device: &DeviceId) -> Option<(usize, u64)> {
        self.chains.iter().enumerate().find_map(|(place, chain)| {
            let revoked = chain.device(device)?.revoked?;
            Some((place, revoked.seq))
        })
    }

    /// How far a device is told that the chains go.
    fn positions(&self, device: &DeviceId) -> Vec<ChainPosition> {
        let removed = self.removed_at(device);
        let chains = self.chains.iter().enumerate();
        chains
            .map(|(place, chain)| ChainPosition {
                party: chain.id(),
                next: match removed {
                    Some((chain, at)) if chain == place => at,
                    _ => chain.next_seq(),
                },
            })
            .collect()
    }

    fn is_beyond(&self, bytes: &[u8]) -> bool {
        let header = *Envelope::parse(bytes).unwrap().header();
        let author = self
            .chains
            .iter()
            .find_map(|chain| chain.device(&header.device));
        let revoked = author.and_then(|author| author.revoked);
        revoked.is_some_and(|revoked| header.counter > revoked.cutoff.counter)
    }

    fn show(
        &self,
        device: &DeviceId,
        chains: &[ChainPosition],
        frontier: &Frontier,
    ) -> Vec<RelayMsg> {
        let mut answers = Vec::new();
        for (chain, shown) in self.chains.iter().zip(self.positions(device)) {
            let asked = chains.iter().find(|asked| asked.party == chain.id());
            let from = asked.map_or(0, |asked| asked.next);
            let links = chain.links().iter();
            let links = links.filter(|link| (from..shown.next).contains(&link.seq));
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

    /// Takes whatever it is given, also from who was removed.
    fn append(&mut self, bytes: Vec<u8>) -> RelayMsg {
        let envelope = Envelope::parse(&bytes).unwrap();
        let header = *envelope.header();
        let (device, counter, id) = (header.device, header.counter, envelope.id());
        if self.frontier.counter(&device) < counter {
            self.frontier.set(device, Position { counter, id });
            self.envelopes.push(bytes);
        }
        RelayMsg::Stored(EnvelopeName {
            device,
            counter,
            id,
        })
    }

    fn append_link(&mut self, link: &Link) -> RelayMsg {
        let (seq, party) = (link.seq, link.party);
        let known =
            |chain: &PartyChain| chain.id() == party || chain.head_at(0) == Some(link.hash());
        let chain = self.chains.iter_mut().find(|chain| known(chain));
        match chain.map(|chain| chain.append(link.clone())) {
            Some(Ok(_)) => RelayMsg::LinkStored { party, seq },
            _ => RelayMsg::LinkNotStored {
                party,
                seq,
                reason: Refusal::Conflict,
            },
        }
    }
}
