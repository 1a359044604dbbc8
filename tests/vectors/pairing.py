"""The exchange of a code and what follows it: docs/protocol.md, section 2.9."""

from dataclasses import dataclass

import curve
from chain import Chain, read_one_link
from primitives import (
    chacha_stream,
    expand,
    extract,
    hmac256,
    open_chacha,
    prefixed,
    seal_chacha,
    sha256,
    u8,
)
from wire import Envelope, Reader, demand, read_envelope, whole


def _given_point(text: str) -> curve.Point:
    point = curve.sound_point(bytes.fromhex(text))
    assert point is not None
    return point


M = _given_point("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312")
N = _given_point("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3")


@dataclass(frozen=True)
class Code:
    """What both sides of an exchange know before it."""

    purpose: str
    nameplate: str
    relay_pk: bytes
    words: str

    def identity(self, role: bytes) -> bytes:
        label = prefixed(f"ajar/v1/pair/{self.purpose}")
        return label + role + self.nameplate.encode("ascii") + self.relay_pk

    @property
    def password(self) -> bytes:
        return self.words.encode("ascii")

    @property
    def scalar(self) -> int:
        """`w`."""
        stretched = expand(extract(b"", self.password), b"SPAKE2 pw", 48)
        return int.from_bytes(stretched, "big") % curve.ORDER


def drawn_scalar(seed: bytes) -> int:
    """3.4: 64 bytes of the generator, little-endian, mod the order."""
    return int.from_bytes(chacha_stream(seed, 64), "little") % curve.ORDER


def _blind(scalar: int, w: int, blind: curve.Point) -> bytes:
    return curve.compress(curve.add(curve.multiply(scalar, curve.BASE), curve.multiply(w, blind)))


def message_a(code: Code, x: int) -> bytes:
    return b"\x41" + _blind(x, code.scalar, M)


def message_b(code: Code, y: int) -> bytes:
    return b"\x42" + _blind(y, code.scalar, N)


@dataclass(frozen=True)
class Session:
    """What both sides have after messages 1 to 3."""

    transcript: bytes
    confirm_a: bytes
    confirm_b: bytes
    key_ab: bytes
    key_ba: bytes


def session(code: Code, scalar: int, is_shower: bool, msg_a: bytes, msg_b: bytes) -> Session:
    """What the side with this scalar gets from both first messages."""
    theirs, first, blind = (msg_b, b"\x42", N) if is_shower else (msg_a, b"\x41", M)
    demand(len(theirs) == 33 and theirs[:1] == first, "SPAKE2: not the other side's message")
    point = curve.sound_point(theirs[1:])
    demand(point is not None, "SPAKE2: no sound point")
    assert point is not None
    unblinded = curve.add(point, curve.negate(curve.multiply(code.scalar, blind)))
    z = curve.compress(curve.multiply(scalar, unblinded))
    id_a, id_b = code.identity(b"show"), code.identity(b"enter")
    key = sha256(sha256(code.password) + sha256(id_a) + sha256(id_b) + msg_a[1:] + msg_b[1:] + z)
    transcript = sha256(u8(1) + id_a + id_b + msg_a + msg_b)
    prk = extract(transcript, key)

    def expanded(label: str) -> bytes:
        return expand(prk, prefixed(f"ajar/v1/{label}"), 32)

    return Session(
        transcript,
        hmac256(expanded("pair-confirm-a"), transcript),
        hmac256(expanded("pair-confirm-b"), transcript),
        expanded("pair-key-ab"),
        expanded("pair-key-ba"),
    )


def _nonce(number: int) -> bytes:
    return bytes(11) + u8(number)


def open_channel(key: bytes, transcript: bytes, sealed: list[bytes]) -> list[bytes]:
    """Every message of one direction, in order."""
    demand(len(sealed) <= 16, "too many channel messages")
    opened = []
    for number, message in enumerate(sealed):
        opened.append(open_chacha(key, _nonce(number), transcript, message))
    return opened


def seal_channel(key: bytes, transcript: bytes, messages: list[bytes]) -> list[bytes]:
    return [
        seal_chacha(key, _nonce(number), transcript, message)
        for number, message in enumerate(messages)
    ]


@dataclass(frozen=True)
class Offer:
    """Message 4."""

    random: bytes
    chain: Chain
    claimed_time_ms: int
    name: str
    claim: bytes | None


def read_offer(reader: Reader) -> Offer:
    demand(reader.unsigned(1) == 1, "offer: not an offer")
    random = reader.take(16)
    link = read_one_link(reader)
    name = reader.counted(1, 255).decode("utf-8")
    has_claim = reader.unsigned(1)
    demand(has_claim in (0, 1), "offer: has_claim")
    claim = reader.take(16) if has_claim else None
    return Offer(random, Chain(link), link.claimed_time_ms, name, claim)


def read_signature(reader: Reader) -> bytes:
    demand(reader.unsigned(1) == 2, "signature: not a signature")
    return reader.take(64)


def read_verdict(reader: Reader) -> bool:
    demand(reader.unsigned(1) == 3, "verdict: not a verdict")
    verdict = reader.unsigned(1)
    demand(verdict in (0, 1), "verdict: neither same nor different")
    return verdict == 1


def read_first_epoch(reader: Reader) -> Envelope:
    demand(reader.unsigned(1) == 4, "first epoch: not one")
    return whole(reader.counted(4, 1_048_888), read_envelope)


def assembled_genesis(offers: list[Offer], signatures: list[bytes]) -> bytes:
    """2.3: the shared genesis that follows from both offers, lower party first."""
    order = sorted(range(2), key=lambda side: offers[side].chain.party)
    front = b"\x01\x02\x00\x00"
    front += b"".join(offers[side].chain.party for side in order)
    front += b"".join(offers[side].random for side in order)
    return front + b"".join(signatures[side] for side in order)
