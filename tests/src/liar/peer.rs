//! The server's side of QUIC with a raw public key, and one connection as it sees it.

use std::sync::Arc;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::version;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;

/// Of its key.
pub(super) const SEED: [u8; 32] = [42; 32];
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

pub(super) fn config() -> quinn::ServerConfig {
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
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    recv: RecvStream,
    buffer: Vec<u8>,
}

impl Peer {
    pub(super) fn new(connection: Connection, send: SendStream, recv: RecvStream) -> Self {
        Self {
            connection,
            send,
            recv,
            buffer: Vec::new(),
        }
    }

    /// The next message; `None` at the end. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Option<ClientMsg> {
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

    pub(super) async fn say(&mut self, message: &RelayMsg) {
        // Who has gone hears nothing.
        let _ = self.send.write_all(&message.to_frame()).await;
    }

    pub(super) async fn stay(mut self) {
        while self.hear().await.is_some() {}
        self.connection.closed().await;
    }
}
