//! A QUIC server with a raw public key, and a script for what it does with each connection.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{label, version};
use ajar_sync::RelayAddress;
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, RecvStream, SendStream, VarInt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use tokio::task::JoinHandle;

const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What the server has seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Packets that asked for a connection.
    pub(crate) incoming: AtomicUsize,
    /// Handshakes completed.
    pub(crate) connections: AtomicUsize,
    /// Streams on which at least one byte came.
    pub(crate) streams: AtomicUsize,
    /// Connections that are open now.
    pub(crate) open: AtomicUsize,
}

impl Seen {
    pub(crate) fn count(of: &AtomicUsize) -> usize {
        of.load(Ordering::SeqCst)
    }
}

/// A running server; it ends when dropped.
pub(crate) struct Host {
    pub(crate) address: RelayAddress,
    pub(crate) seen: Arc<Seen>,
    endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.endpoint.close(VarInt::from_u32(0), b"");
        self.task.abort();
    }
}

impl Host {
    pub(crate) fn start<F, Done>(handle: F) -> Self
    where
        F: Fn(Peer) -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        Self::start_with([42; 32], version::ALPN, handle)
    }

    pub(crate) fn start_with<F, Done>(seed: [u8; 32], alpn: &[u8], handle: F) -> Self
    where
        F: Fn(Peer) -> Done + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = Endpoint::server(config(&seed, alpn), place).unwrap();
        let address = RelayAddress {
            host: "127.0.0.1".to_owned(),
            port: endpoint.local_addr().unwrap().port(),
            key: SigningKey::from_bytes(&seed).verifying_key().to_bytes(),
            claim: Some([9; 16]),
        };
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(serve(endpoint.clone(), Arc::clone(&seen), Arc::new(handle)));
        Self {
            address,
            seen,
            endpoint,
            task,
        }
    }
}

async fn serve<F, Done>(endpoint: Endpoint, seen: Arc<Seen>, handle: Arc<F>)
where
    F: Fn(Peer) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    while let Some(incoming) = endpoint.accept().await {
        seen.incoming.fetch_add(1, Ordering::SeqCst);
        let (seen, handle) = (Arc::clone(&seen), Arc::clone(&handle));
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else {
                return;
            };
            let number = seen.connections.fetch_add(1, Ordering::SeqCst);
            seen.open.fetch_add(1, Ordering::SeqCst);
            if let Ok((send, recv)) = connection.accept_bi().await {
                seen.streams.fetch_add(1, Ordering::SeqCst);
                let peer = Peer {
                    number,
                    connection: connection.clone(),
                    send,
                    recv,
                    buffer: Vec::new(),
                };
                handle(peer).await;
            }
            connection.close(VarInt::from_u32(0), b"");
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn config(seed: &[u8; 32], alpn: &[u8]) -> quinn::ServerConfig {
    let der = [PKCS8_PREFIX.as_slice(), seed].concat();
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
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut config =
        quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(40).try_into().unwrap()));
    config.transport_config(Arc::new(transport));
    config
}

/// One connection of a client, as the server sees it.
pub(crate) struct Peer {
    /// Connections before this one.
    pub(crate) number: usize,
    pub(crate) connection: quinn::Connection,
    send: SendStream,
    recv: RecvStream,
    buffer: Vec<u8>,
}

impl Peer {
    /// The next message of the client; `None` at the end. Cancel-safe.
    pub(crate) async fn hear(&mut self) -> Option<ClientMsg> {
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

    pub(crate) async fn say(&mut self, message: &RelayMsg) -> bool {
        self.raw(&message.to_frame()).await
    }

    /// Sends bytes that may be no message at all.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> bool {
        self.send.write_all(bytes).await.is_ok()
    }

    pub(crate) fn exporter(&self) -> [u8; 32] {
        let mut out = [0; 32];
        self.connection
            .export_keying_material(&mut out, label::EXPORTER, b"")
            .unwrap();
        out
    }

    /// Keeps the connection open until the client ends it.
    pub(crate) async fn stay(&mut self) {
        while self.hear().await.is_some() {}
        self.connection.closed().await;
    }
}
