"""The building blocks of docs/protocol.md, section 2.1, and the ciphers that it names."""

import functools
import hashlib
import hmac

import nacl.bindings
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import curve

TAG = 16
SMALL_ORDER_X25519 = {
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("ec" + "ff" * 30 + "7f"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
}


class Malformed(Exception):
    """Bytes that the specification says to refuse, with the rule that they break."""


class Unopened(Exception):
    """A seal, commitment or signature that does not fit."""


def prefixed(label: str) -> bytes:
    """`L(s)`: one byte of length, then the label."""
    return bytes([len(label)]) + label.encode("ascii")


def u8(number: int) -> bytes:
    return number.to_bytes(1, "big")


def u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac256(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def labelled_hash(label: str, data: bytes) -> bytes:
    """`Hash(s, x)`."""
    return sha256(prefixed(label) + data)


def sign(seed: bytes, label: str, digest: bytes) -> bytes:
    """`Sign(sk, s, h)`."""
    return curve.sign(seed, prefixed(label) + digest)


def verified(key: bytes, label: str, digest: bytes, signature: bytes) -> bool:
    """Whether a signature made by `Sign` is good, strictly."""
    return curve.verify_strict(key, prefixed(label) + digest, signature)


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract with SHA-256; an empty salt is 32 zero bytes."""
    return hmac256(salt or bytes(32), ikm)


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256."""
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac256(prk, block + info + bytes([number]))
        out, number = out + block, number + 1
    return out[:length]


def derive(ikm: bytes, salt: bytes, label: str, context: bytes, length: int) -> bytes:
    """`Derive(ikm, salt, s, c, n)`."""
    return expand(extract(salt, ikm), prefixed(label) + context, length)


def check_ed25519(key: bytes) -> bytes:
    """Section 2.1, keys are checked when they are read."""
    if curve.sound_point(key) is None:
        raise Malformed("unsound Ed25519 key")
    return key


def check_x25519(key: bytes) -> bytes:
    """Section 2.1, keys are checked when they are read."""
    if int.from_bytes(key, "little") >= curve.P or key in SMALL_ORDER_X25519:
        raise Malformed("unsound X25519 key")
    return key


@functools.cache
def x25519_public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519(secret: bytes, public: bytes) -> bytes:
    other = X25519PublicKey.from_public_bytes(check_x25519(public))
    return X25519PrivateKey.from_private_bytes(secret).exchange(other)


def open_xchacha(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    """XChaCha20-Poly1305, ciphertext with its tag behind."""
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
    except nacl.exceptions.CryptoError as error:
        raise Unopened("XChaCha20-Poly1305 tag") from error


def seal_xchacha(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, nonce, key)


def open_chacha(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    """ChaCha20-Poly1305 with the nonce of 12 bytes."""
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, aad)
    except InvalidTag as error:
        raise Unopened("ChaCha20-Poly1305 tag") from error


def seal_chacha(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce, plain, aad)


def chacha_stream(seed: bytes, length: int) -> bytes:
    """Section 3.4: the bytes that a ChaCha20 generator draws from its seed (zero nonce)."""
    return Cipher(algorithms.ChaCha20(seed, bytes(16)), None).encryptor().update(bytes(length))


@functools.cache
def argon2id(passphrase: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    """storage-format.md, section 2.1: version 0x13, 32 bytes."""
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(passphrase)


def padded_length(length: int) -> int:
    """`pad(n)` of section 2.13."""
    if length <= 1024:
        return 1024
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def pad(content: bytes) -> bytes:
    """Section 2.13: content, the mark, zeros."""
    total = padded_length(len(content) + 1)
    return content + b"\x80" + bytes(total - len(content) - 1)


def unpad(padded: bytes) -> bytes:
    """Section 2.13: refuses every padding but the one that `pad` makes."""
    stripped = padded.rstrip(b"\0")
    if not stripped.endswith(b"\x80") or pad(stripped[:-1]) != padded:
        raise Malformed("padding is not canonical")
    return stripped[:-1]
