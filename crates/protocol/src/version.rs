//! Versions: of the relay protocol (the ALPN) and of objects (their first byte).

/// ALPN of the relay protocol. Neutral on purpose: QUIC Initial packets can be read on the
/// path, and whoever owns the router should not learn which application this is (§2.8).
pub const ALPN: &[u8] = b"z1";
/// Version byte of every object of this protocol.
pub const OBJECT: u8 = 1;
/// The only cipher suite: XChaCha20-Poly1305, HKDF-SHA256, SHA-256, Ed25519, HPKE with
/// X25519, HKDF-SHA256 and ChaCha20-Poly1305. Suite 2 is reserved for a post-quantum KEM.
pub const SUITE: u8 = 1;
