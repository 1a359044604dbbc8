"""HPKE of RFC 9180 in the one shape that section 2.7 uses.

Base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, single shot.
"""

from primitives import expand, extract, open_chacha, seal_chacha, u16, x25519, x25519_public

KEM_SUITE = b"KEM" + u16(0x0020)
HPKE_SUITE = b"HPKE" + u16(0x0020) + u16(0x0001) + u16(0x0003)
VERSION = b"HPKE-v1"


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(salt, VERSION + suite + label + ikm)


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, u16(length) + VERSION + suite + label + info, length)


def _shared_secret(dh: bytes, enc: bytes, recipient: bytes) -> bytes:
    prk = _labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
    return _labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + recipient, 32)


def _key_and_nonce(shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    psk_id_hash = _labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    info_hash = _labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    context = b"\0" + psk_id_hash + info_hash
    secret = _labeled_extract(HPKE_SUITE, shared_secret, b"secret", b"")
    key = _labeled_expand(HPKE_SUITE, secret, b"key", context, 32)
    return key, _labeled_expand(HPKE_SUITE, secret, b"base_nonce", context, 12)


def derive_secret(ikm: bytes) -> bytes:
    """DeriveKeyPair of RFC 9180, 7.1.3: the secret half."""
    prk = _labeled_extract(KEM_SUITE, b"", b"dkp_prk", ikm)
    return _labeled_expand(KEM_SUITE, prk, b"sk", b"", 32)


def open_base(secret: bytes, enc: bytes, info: bytes, aad: bytes, sealed: bytes) -> bytes:
    """What the holder of `secret` reads."""
    shared = _shared_secret(x25519(secret, enc), enc, x25519_public(secret))
    key, nonce = _key_and_nonce(shared, info)
    return open_chacha(key, nonce, aad, sealed)


def seal_base(
    ephemeral: bytes, recipient: bytes, info: bytes, aad: bytes, plain: bytes
) -> tuple[bytes, bytes]:
    """What a sender with this ephemeral secret makes: enc and ciphertext."""
    enc = x25519_public(ephemeral)
    shared = _shared_secret(x25519(ephemeral, recipient), enc, recipient)
    key, nonce = _key_and_nonce(shared, info)
    return enc, seal_chacha(key, nonce, aad, plain)
