//! A small client: one connection, one stream, messages as they are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::auth::verify_permit;
use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{
    DeviceId, Envelope, Frontier, Link, SpaceGenesis, SpaceId, frame, label, version,
};
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig,
};
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio::time::timeout;

use crate::people::{Author, Device, Home, append, append_link, login, name, party_of};
use crate::server::TestRelay;

/// DER in front of an Ed25519 public key.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Pin {
    spki: Vec<u8>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if end_entity.as_ref() == self.spki {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another key".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Connects with this pin and ALPN, from a socket of its own.
pub(crate) async fn connect(
    to: SocketAddr,
    pin: [u8; 32],
    alpn: &[u8],
) -> Result<(Endpoint, Connection), ConnectionError> {
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connection = connect_from(&endpoint, to, pin, alpn, None).await?;
    Ok((endpoint, connection))
}

/// TLS of a device: the pin instead of a name, and one ALPN.
pub(crate) fn tls(pin: [u8; 32], alpn: &[u8]) -> rustls::ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pin {
        spki: [SPKI.as_slice(), &pin].concat(),
        algorithms: provider.signature_verification_algorithms,
    };
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.enable_sni = false;
    tls
}

async fn connect_from(
    endpoint: &Endpoint,
    to: SocketAddr,
    pin: [u8; 32],
    alpn: &[u8],
    window: Option<u32>,
) -> Result<Connection, ConnectionError> {
    let tls = tls(pin, alpn);
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let mut transport = TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_secs(15)));
    if let Some(window) = window {
        transport.stream_receive_window(window.into());
    }
    config.transport_config(Arc::new(transport));
    let connecting = endpoint.connect_with(config, to, "relay").unwrap();
    timeout(PATIENCE, connecting).await.unwrap()
}

pub(crate) struct Client {
    // The connection lives as long as its endpoint.
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    relay: [u8; 32],
}

impl Client {
    /// A connected stranger.
    pub(crate) async fn to(address: SocketAddr, key: [u8; 32]) -> Self {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        Self::from(&endpoint, address, key).await
    }

    /// A connected stranger to whom the relay can say only so many bytes before it reads.
    pub(crate) async fn with_window(relay: &TestRelay, window: u32) -> Self {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        Self::open(&endpoint, relay.ready.listen, relay.key(), Some(window)).await
    }

    /// A connected stranger that shares a socket with others.
    pub(crate) async fn from(endpoint: &Endpoint, address: SocketAddr, key: [u8; 32]) -> Self {
        Self::open(endpoint, address, key, None).await
    }

    async fn open(
        endpoint: &Endpoint,
        address: SocketAddr,
        key: [u8; 32],
        window: Option<u32>,
    ) -> Self {
        let connecting = connect_from(endpoint, address, key, version::ALPN, window);
        let connection = connecting.await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        Self {
            endpoint: endpoint.clone(),
            connection,
            send,
            recv,
            relay: key,
        }
    }

    pub(crate) async fn stranger(relay: &TestRelay) -> Self {
        Self::to(relay.ready.listen, relay.key()).await
    }

    pub(crate) fn exporter(&self) -> [u8; 32] {
        let mut out = [0; 32];
        self.connection
            .export_keying_material(&mut out, label::EXPORTER, b"")
            .unwrap();
        out
    }

    pub(crate) async fn say(&mut self, message: &ClientMsg) {
        self.send.write_all(&message.to_frame()).await.unwrap();
    }

    /// The next message, or `None` when the relay has ended the stream or connection.
    pub(crate) async fn hear(&mut self) -> Option<RelayMsg> {
        timeout(PATIENCE, self.read()).await.expect("no answer")
    }

    async fn read(&mut self) -> Option<RelayMsg> {
        let mut field = [0; frame::LENGTH];
        self.recv.read_exact(&mut field).await.ok()?;
        let mut content = vec![0; u32::from_be_bytes(field) as usize];
        self.recv.read_exact(&mut content).await.ok()?;
        Some(RelayMsg::parse(&content).unwrap())
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        let mut byte = [0];
        let wait = Duration::from_millis(200);
        timeout(wait, self.recv.read(&mut byte)).await.is_err()
    }

    pub(crate) async fn hear_envelope(&mut self) -> Envelope {
        match self.hear().await {
            Some(RelayMsg::Envelope(bytes)) => Envelope::parse(&bytes).unwrap(),
            other => panic!("expected an envelope, heard {other:?}"),
        }
    }

    pub(crate) async fn hear_link(&mut self) -> Link {
        match self.hear().await {
            Some(RelayMsg::Link(bytes)) => Link::parse(&bytes).unwrap(),
            other => panic!("expected a link, heard {other:?}"),
        }
    }

    /// The links that end the session of somebody who was removed.
    pub(crate) async fn hear_removal(&mut self) -> Vec<Link> {
        let mut links = Vec::new();
        loop {
            match self.hear().await {
                Some(RelayMsg::Link(bytes)) => links.push(Link::parse(&bytes).unwrap()),
                Some(RelayMsg::Refused(Refusal::NotAdmitted)) => {
                    assert_eq!(self.hear().await, None, "nothing follows a refusal");
                    return links;
                }
                other => panic!("expected links and a refusal, heard {other:?}"),
            }
        }
    }

    /// The refusal that ends the connection.
    pub(crate) async fn refusal(&mut self) -> Refusal {
        match self.hear().await {
            Some(RelayMsg::Refused(reason)) => {
                assert_eq!(self.hear().await, None, "nothing follows a refusal");
                reason
            }
            other => panic!("expected a refusal, heard {other:?}"),
        }
    }

    pub(crate) async fn say_login(&mut self, space: SpaceId, device: DeviceId, auth: &SigningKey) {
        let login = login(&self.exporter(), &self.relay, space, device, auth);
        self.say(&ClientMsg::Login(login)).await;
    }

    pub(crate) async fn welcome(&mut self) -> (Vec<u64>, Frontier) {
        match self.hear().await {
            Some(RelayMsg::Welcome {
                chains, frontier, ..
            }) => (chains.iter().map(|at| at.next).collect(), frontier),
            other => panic!("expected a welcome, heard {other:?}"),
        }
    }

    /// Says the recovery login, with nothing but the words' login key.
    pub(crate) async fn say_words(&mut self, login: &SigningKey) {
        self.say_login(SpaceId::ZERO, DeviceId::ZERO, login).await;
    }

    /// Somebody with the words, welcomed: the genesis that was told, and the connection.
    pub(crate) async fn with_words(relay: &TestRelay, login: &SigningKey) -> (Self, SpaceGenesis) {
        let mut client = Self::stranger(relay).await;
        client.say_words(login).await;
        let genesis = client.genesis().await;
        match client.hear().await {
            Some(RelayMsg::Welcome { permit, .. }) => {
                verify_permit(&relay.key(), &genesis.id(), &permit).unwrap();
            }
            other => panic!("expected a welcome, heard {other:?}"),
        }
        (client, genesis)
    }

    /// The genesis of the space that the words have found.
    pub(crate) async fn genesis(&mut self) -> SpaceGenesis {
        match self.hear().await {
            Some(RelayMsg::Genesis(genesis)) => SpaceGenesis::parse(&genesis).unwrap(),
            other => panic!("expected a genesis, heard {other:?}"),
        }
    }

    /// Why the relay lets nobody in with these words.
    pub(crate) async fn words_refused(relay: &TestRelay, login: &SigningKey) -> Refusal {
        let mut client = Self::stranger(relay).await;
        client.say_words(login).await;
        client.refusal().await
    }

    /// Why the relay does not let a device in.
    pub(crate) async fn device_refused(relay: &TestRelay, home: &Home, device: &Device) -> Refusal {
        let mut client = Self::stranger(relay).await;
        client.say_login(home.id(), device.id(), &device.auth).await;
        client.refusal().await
    }

    pub(crate) async fn introduce(&mut self, home: &Home, credential: Credential) {
        self.say(&ClientMsg::Introduce {
            genesis: home.genesis.encode(),
            credential,
        })
        .await;
    }

    pub(crate) async fn subscribe(&mut self, home: &Home, frontier: Frontier) {
        let chains = home.positions();
        self.say(&ClientMsg::Subscribe { chains, frontier }).await;
    }

    /// Introduces a space and logs in as `device`.
    pub(crate) async fn founder(
        relay: &TestRelay,
        home: &Home,
        device: &Device,
        credential: Credential,
    ) -> Self {
        let mut client = Self::stranger(relay).await;
        client.found(home, device, credential).await;
        client
    }

    pub(crate) async fn found(&mut self, home: &Home, device: &Device, credential: Credential) {
        self.introduce(home, credential).await;
        let links = home.links();
        for link in &links {
            self.say(&append_link(link)).await;
        }
        self.say_login(home.id(), device.id(), &device.auth).await;
        assert!(matches!(self.hear().await, Some(RelayMsg::Admitted(_))));
        for link in &links {
            let heard = self.hear().await;
            assert!(
                matches!(heard, Some(RelayMsg::LinkStored { seq, .. }) if seq == link.seq),
                "{heard:?}"
            );
        }
        self.welcome().await;
    }

    /// Logs in to a known space.
    pub(crate) async fn member(relay: &TestRelay, home: &Home, device: &Device) -> Self {
        let mut client = Self::stranger(relay).await;
        client.say_login(home.id(), device.id(), &device.auth).await;
        client.welcome().await;
        client
    }

    /// Logs in and subscribes with nothing but the chains; returns when caught up, with what
    /// came.
    pub(crate) async fn reader(
        relay: &TestRelay,
        home: &Home,
        device: &Device,
    ) -> (Self, Vec<Envelope>) {
        let mut client = Self::member(relay, home, device).await;
        client.subscribe(home, Frontier::default()).await;
        let mut came = Vec::new();
        loop {
            match client.hear().await {
                Some(RelayMsg::CaughtUp) => return (client, came),
                Some(RelayMsg::Envelope(bytes)) => came.push(Envelope::parse(&bytes).unwrap()),
                other => panic!("expected an envelope, heard {other:?}"),
            }
        }
    }

    /// Appends a link and waits for its acknowledgement.
    pub(crate) async fn keep_link(&mut self, link: &Link) {
        self.say(&append_link(link)).await;
        let stored = RelayMsg::LinkStored {
            party: party_of(link),
            seq: link.seq,
        };
        assert_eq!(self.hear().await, Some(stored));
    }

    /// Appends a link and returns why it is not stored.
    pub(crate) async fn link_refused(&mut self, link: &Link) -> Refusal {
        self.say(&append_link(link)).await;
        match self.hear().await {
            Some(RelayMsg::LinkNotStored { party, seq, reason }) => {
                assert_eq!((party, seq), (party_of(link), link.seq));
                reason
            }
            other => panic!("expected a refused link, heard {other:?}"),
        }
    }

    /// Appends an envelope and returns why it is not stored.
    pub(crate) async fn envelope_refused(&mut self, envelope: &Envelope) -> Refusal {
        self.say(&append(envelope)).await;
        match self.hear().await {
            Some(RelayMsg::NotStored(heard, reason)) => {
                assert_eq!(heard, name(envelope));
                reason
            }
            other => panic!("expected a refused envelope, heard {other:?}"),
        }
    }

    /// Appends an envelope and waits for its acknowledgement.
    pub(crate) async fn keep_envelope(&mut self, envelope: &Envelope) {
        self.say(&append(envelope)).await;
        assert_eq!(self.hear().await, Some(RelayMsg::Stored(name(envelope))));
    }

    /// Appends the author's next envelope and waits for its acknowledgement.
    pub(crate) async fn keep(&mut self, author: &mut Author, text: &[u8]) -> Envelope {
        let envelope = author.write(text);
        self.say(&append(&envelope)).await;
        assert_eq!(self.hear().await, Some(RelayMsg::Stored(name(&envelope))));
        envelope
    }
}

/// A relay that knows the shared space of Ana and Ben, Ana logged in. Ana is the lower party.
pub(crate) async fn ana_at_home(relay: &TestRelay) -> (Home, Client) {
    let home = Home::shared("ana", "ben");
    let claim = Credential::Claim(relay.claim(1));
    let ana = Client::founder(relay, &home, &home.parties[0].device, claim).await;
    (home, ana)
}
