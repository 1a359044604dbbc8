//! The handshake: TLS 1.3 over QUIC, the relay's raw public key, one neutral ALPN, no tickets,
//! no early data (protocol §2.8).

use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::{limits, version};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, ServerConfig, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::identity::Identity;

/// PKCS#8 version 1 around an Ed25519 seed (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Handshakes that may wait to be looked at.
const INCOMING: usize = 256;
/// Bytes buffered for one handshake that waits, and for all.
const INCOMING_BYTES: u64 = 64 << 10;
const INCOMING_BYTES_TOTAL: u64 = 8 << 20;
/// Bytes in flight to a connection before writing waits.
const SEND_WINDOW: u64 = 1 << 20;
/// Unread bytes that the relay holds for a stranger.
const STRANGER_WINDOW: u32 = 64 << 10;
/// Unread bytes that it holds for a member: one frame and a little more.
pub(crate) const MEMBER_WINDOW: u32 = 1_250_000;
/// A connection without any packet for so long is gone.
const IDLE: Duration = Duration::from_secs(30);

/// Lets a relay that was started again answer packets of connections of its former life with a
/// stateless reset (RFC 9000, 10.3): devices then connect again at once. With the random keys
/// that are usual they would go on talking to nobody until their idle time of 30 s is over.
pub(crate) fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let key = |label: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(label);
        hash.update(identity.seed());
        Zeroizing::new(<[u8; 32]>::from(hash.finalize()))
    };
    let reset = key(b"ajar-relay stateless reset");
    let reset = hmac::Key::new(hmac::HMAC_SHA256, reset.as_slice());
    let ids = key(b"ajar-relay connection ids");
    let ids = ids
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    config
}

/// Builds the QUIC server configuration for this identity.
///
/// # Errors
/// [`rustls::Error`] when the TLS library refuses the key, which no Ed25519 seed causes.
pub(crate) fn server_config(identity: &Identity) -> Result<ServerConfig, rustls::Error> {
    let mut der = Zeroizing::new(Vec::with_capacity(48));
    der.extend_from_slice(&PKCS8_PREFIX);
    der.extend_from_slice(identity.seed());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice())).clone_key(),
    )?;
    let public = key
        .public_key()
        .ok_or_else(|| rustls::Error::General("the key has no public half".to_owned()))?;
    let public = CertificateDer::from(public.as_ref().to_vec());
    let resolver =
        AlwaysResolvesServerRawPublicKeys::new(Arc::new(CertifiedKey::new(vec![public], key)));
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![version::ALPN.to_vec()];
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let quic =
        QuicServerConfig::try_from(tls).map_err(|e| rustls::Error::General(e.to_string()))?;

    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(MEMBER_WINDOW))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .send_window(SEND_WINDOW)
        .max_idle_timeout(Some(IDLE.try_into().map_err(|_| {
            rustls::Error::General("the idle time is a constant that fits".to_owned())
        })?));
    const { assert!(limits::FRAME < MEMBER_WINDOW as usize) };

    let mut config = ServerConfig::with_crypto(Arc::new(quic));
    config
        .transport_config(Arc::new(transport))
        .migration(true)
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
    Ok(config)
}
