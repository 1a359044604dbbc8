"""What is sealed on disk or as a stream: storage-format.md, and section 2.12 of protocol.md."""

import hashlib
import unicodedata
from dataclasses import dataclass

from primitives import (
    TAG,
    Unopened,
    argon2id,
    derive,
    hmac256,
    open_chacha,
    open_xchacha,
    pad,
    prefixed,
    seal_chacha,
    seal_xchacha,
    unpad,
)
from wire import Reader, demand, whole

BLOCK = 65_536
CHUNK = 65_536


@dataclass(frozen=True)
class Slot:
    """storage-format.md, 2.1: one passphrase slot; `front` is what the MAC covers."""

    which: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    nonce: bytes
    sealed: bytes
    mac: bytes
    front: bytes


def _read_slot(reader: Reader) -> Slot:
    start = reader.position
    which = reader.unsigned(1)
    demand(reader.unsigned(1) == 1, "vault: unknown kdf")
    memory, passes, lanes = reader.unsigned(4), reader.unsigned(4), reader.unsigned(4)
    demand(memory >= 19_456 and passes >= 2 and lanes >= 1, "vault: downgrade")
    demand(memory <= 1 << 20 and passes <= 16 and lanes <= 16, "vault: too costly")
    salt = reader.take(16)
    demand(reader.unsigned(1) == 1, "vault: unknown mode")
    nonce, sealed = reader.take(24), reader.take(48)
    front = reader.data[start : reader.position]
    mac = reader.take(32)
    return Slot(which, memory, passes, lanes, salt, nonce, sealed, mac, front)


def _read_vault(reader: Reader) -> dict[int, Slot]:
    demand(reader.take(4) == b"AJAR", "vault: not a vault")
    demand(reader.unsigned(1) == 1, "vault: unknown version")
    shared, private = _read_slot(reader), _read_slot(reader)
    demand((shared.which, private.which) == (2, 1), "vault: slots out of order")
    return {2: shared, 1: private}


def read_vault(header: bytes) -> dict[int, Slot]:
    """storage-format.md, 2.1: both slots by what they open."""
    return whole(header, _read_vault)


def open_slot(slot: Slot, passphrase: str) -> bytes:
    """The local master key."""
    typed = passphrase.encode("utf-8")
    demand(1 <= len(typed) <= 1024, "vault: length of the passphrase")
    normal = unicodedata.normalize("NFC", passphrase).encode("utf-8")
    stretched = argon2id(normal, slot.salt, slot.memory_kib, slot.passes, slot.lanes)
    keys = derive(stretched, b"", "ajar/v1/vault-kek", b"", 64)
    if hmac256(keys[32:], slot.front) != slot.mac:
        raise Unopened("vault MAC")
    return open_xchacha(keys[:32], slot.nonce, slot.front[:55], slot.sealed)


def local_key(lmk: bytes, purpose: str) -> bytes:
    """`keyfile`, `db-name` or `db-value`."""
    return derive(lmk, b"", f"ajar/v1/{purpose}", b"", 32)


def seal_key_file(lmk: bytes, which: int, nonce: bytes, content: bytes) -> bytes:
    """storage-format.md, 2.2."""
    padded = content + b"\x80"
    padded += bytes(-len(padded) % BLOCK)
    front = bytes([1, which])
    aad = prefixed("ajar/v1/keyfile") + front
    sealed = seal_xchacha(local_key(lmk, "keyfile"), nonce, aad, padded)
    return front + nonce + sealed


def hidden_name(lmk: bytes, logical: bytes) -> bytes:
    """storage-format.md, 3.1."""
    return hmac256(local_key(lmk, "db-name"), logical)


def open_record(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    """storage-format.md, 4.2: the nonce stands in front."""
    return open_xchacha(key, sealed[:24], aad, sealed[24:])


def stream_key(key: bytes, salt: bytes) -> bytes:
    """2.12."""
    return derive(key, salt, "ajar/v1/blob-key", b"", 32)


def _chunk_nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def seal_blob(key: bytes, salt: bytes, content: bytes) -> bytes:
    """2.12, The stream."""
    plain, opened_with, out = pad(content), stream_key(key, salt), b""
    for at in range(0, len(plain), CHUNK):
        nonce = _chunk_nonce(at // CHUNK, at + CHUNK >= len(plain))
        out += seal_chacha(opened_with, nonce, b"", plain[at : at + CHUNK])
    return out


def open_blob(key: bytes, salt: bytes, length: int, blob_id: bytes, sealed: bytes) -> bytes:
    """2.12: every chunk, the padding, the length and the id."""
    plain, opened_with, step = b"", stream_key(key, salt), CHUNK + TAG
    for at in range(0, len(sealed), step):
        nonce = _chunk_nonce(at // step, at + step >= len(sealed))
        plain += open_chacha(opened_with, nonce, b"", sealed[at : at + step])
    content = unpad(plain)
    demand(len(content) == length, "blob: length")
    if hashlib.sha256(sealed).digest() != blob_id:
        raise Unopened("blob: hash")
    return content
