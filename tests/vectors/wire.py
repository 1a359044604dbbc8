"""Reading the layouts of docs/protocol.md: links, geneses, envelopes and frontiers.

Every reader takes exactly the bytes of its object (2.1) and raises `Malformed` for all others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from primitives import (
    TAG,
    Malformed,
    check_ed25519,
    check_x25519,
    labelled_hash,
    u32,
    u64,
)

ZERO = bytes(32)
T = TypeVar("T")

LINK_KINDS = {
    1: "Genesis",
    2: "DeviceAdd",
    3: "DeviceRevoke",
    4: "Recover",
    5: "RootReplace",
    6: "Leave",
    7: "Policy",
    8: "RevokeAmend",
}
CHANGES, SNAPSHOT, EPOCH, BURN, ENDORSE = 1, 2, 3, 4, 5
HEADER = 232


def demand(condition: bool, rule: str) -> None:
    """Refuses the object with the rule that it breaks."""
    if not condition:
        raise Malformed(rule)


class Reader:
    """Takes bytes from the front; nothing is read beyond the end and nothing may be left over."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, length: int) -> bytes:
        end = self.position + length
        demand(end <= len(self.data), "bytes are missing")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def signed(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big", signed=True)

    def counted(self, width: int, most: int) -> bytes:
        """`u16+…` and its like."""
        length = self.unsigned(width)
        demand(length <= most, "a length is over its cap")
        return self.take(length)

    def repeated(self, width: int, most: int, item: Callable[["Reader"], T]) -> list[T]:
        """A count and then so many items."""
        count = self.unsigned(width)
        demand(count <= most, "a list is over its cap")
        return [item(self) for _ in range(count)]

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.position)

    def end(self) -> None:
        demand(self.position == len(self.data), "bytes are left over")


def whole(data: bytes, item: Callable[[Reader], T]) -> T:
    """An object that is all of these bytes."""
    reader = Reader(data)
    result = item(reader)
    reader.end()
    return result


def demand_ascending(keys: list[bytes]) -> None:
    """2.1: strictly ascending by the bytes of the key."""
    demand(all(a < b for a, b in zip(keys, keys[1:])), "not strictly ascending")


@dataclass(frozen=True)
class DeviceKeys:
    """The three public keys of a device (2.2)."""

    sign: bytes
    kem: bytes
    auth: bytes

    @property
    def device_id(self) -> bytes:
        return labelled_hash("ajar/v1/device-id", self.sign + self.kem + self.auth)

    @property
    def all(self) -> list[bytes]:
        return [self.sign, self.kem, self.auth]


@dataclass(frozen=True)
class WordKeys:
    """The three public keys that the twelve words give for one slot (2.2)."""

    root: bytes
    login: bytes
    recovery: bytes

    @property
    def root_id(self) -> bytes:
        return labelled_hash("ajar/v1/root-id", self.root)

    @property
    def recovery_id(self) -> bytes:
        return labelled_hash("ajar/v1/recovery-id", self.recovery)

    @property
    def all(self) -> list[bytes]:
        return [self.root, self.login, self.recovery]


def read_device_keys(reader: Reader) -> DeviceKeys:
    sign, kem, auth = check_ed25519(reader.take(32)), reader.take(32), reader.take(32)
    return DeviceKeys(sign, check_x25519(kem), check_ed25519(auth))


def read_word_keys(reader: Reader) -> WordKeys:
    root, login = check_ed25519(reader.take(32)), check_ed25519(reader.take(32))
    return WordKeys(root, login, check_x25519(reader.take(32)))


@dataclass(frozen=True)
class Row:
    """A place in a device's chain of envelopes: a row of a frontier, or an acknowledgement."""

    device: bytes
    counter: int
    envelope_id: bytes


def read_row(reader: Reader) -> Row:
    row = Row(reader.take(32), reader.unsigned(8), reader.take(32))
    demand(row.counter >= 1, "a row with counter 0")
    return row


def read_frontier(reader: Reader) -> list[Row]:
    """2.8."""
    rows = reader.repeated(2, 128, read_row)
    demand_ascending([row.device for row in rows])
    return rows


@dataclass(frozen=True)
class CutOff:
    """From which place on a removed device counts no more (2.3)."""

    device: bytes
    counter: int
    envelope_id: bytes
    reason: int


def read_cut_off(reader: Reader) -> CutOff:
    cut = CutOff(reader.take(32), reader.unsigned(8), reader.take(32), reader.unsigned(1))
    demand((cut.counter == 0) == (cut.envelope_id == ZERO), "cut-off: counter and id disagree")
    demand(1 <= cut.reason <= 3, "cut-off: unknown reason")
    return cut


@dataclass(frozen=True)
class Link:
    """One link of a party chain (2.3), with the fields that its kind has."""

    kind: str
    party: bytes
    seq: int
    prev: bytes
    claimed_time_ms: int
    signer: bytes
    signature: bytes
    hash: bytes
    slot: int | None = None
    words: WordKeys | None = None
    device: DeviceKeys | None = None
    label: bytes = b""
    proof: bytes = b""
    cut_offs: tuple[CutOff, ...] = ()
    cosigner: bytes = b""
    cosignature: bytes = b""
    min_version: int | None = None


def _read_body(kind: str, reader: Reader) -> dict[str, Any]:
    """The fields of `Link` that this kind has; they differ too much for one type."""
    body: dict[str, Any] = {}
    if kind == "Genesis":
        body["slot"] = reader.unsigned(1)
        demand(body["slot"] <= 8, "slot above 8")
        body["words"] = read_word_keys(reader)
        body["device"] = read_device_keys(reader)
        reader.take(16)
    elif kind in ("DeviceAdd", "Recover"):
        body["device"] = read_device_keys(reader)
        body["label"] = reader.counted(2, 256)
        body["proof"] = reader.take(64)
        if kind == "Recover":
            body["cut_offs"] = tuple(reader.repeated(1, 8, read_cut_off))
    elif kind in ("DeviceRevoke", "RevokeAmend"):
        body["cut_offs"] = (read_cut_off(reader),)
    elif kind == "RootReplace":
        body["words"] = read_word_keys(reader)
        body["cosigner"], body["cosignature"] = reader.take(32), reader.take(64)
    elif kind == "Leave":
        demand(reader.unsigned(1) in (1, 2), "LEAVE: unknown mode")
    else:
        body["min_version"] = reader.unsigned(2)
        demand(reader.unsigned(2) == 0, "POLICY: flags")
    return body


def read_link(reader: Reader) -> Link:
    """2.3, Link."""
    start = reader.position
    demand(reader.unsigned(1) == 1, "link: version")
    number = reader.unsigned(1)
    demand(number in LINK_KINDS, "link: unknown kind")
    kind = LINK_KINDS[number]
    demand(reader.unsigned(2) == 0, "link: flags")
    party, seq, prev, time = (
        reader.take(32),
        reader.unsigned(8),
        reader.take(32),
        reader.unsigned(8),
    )
    body = whole(reader.counted(4, 4096), lambda inner: _read_body(kind, inner))
    signer = reader.take(32)
    digest = labelled_hash("ajar/v1/link-hash", reader.data[start : reader.position])
    return Link(kind, party, seq, prev, time, signer, reader.take(64), digest, **body)


def party_id(genesis_link_hash: bytes) -> bytes:
    """2.2."""
    return labelled_hash("ajar/v1/party-id", genesis_link_hash)


@dataclass(frozen=True)
class Genesis:
    """What founds a space (2.3)."""

    shared: bool
    parties: tuple[bytes, ...]
    randoms: tuple[bytes, ...]
    signatures: tuple[bytes, ...]
    space_id: bytes


def read_genesis(reader: Reader) -> Genesis:
    """2.3, Space genesis."""
    start = reader.position
    demand(reader.unsigned(1) == 1, "genesis: version")
    kind = reader.unsigned(1)
    demand(kind in (1, 2), "genesis: unknown kind")
    demand(reader.unsigned(2) == 0, "genesis: flags")
    lower, higher = reader.take(32), reader.take(32)
    randoms = (reader.take(16), reader.take(16))
    space_id = labelled_hash("ajar/v1/space-id", reader.data[start : reader.position])
    if kind == 1:
        demand(higher == ZERO and randoms[1] == bytes(16), "private genesis with a second party")
        return Genesis(False, (lower,), randoms[:1], (reader.take(64),), space_id)
    demand(lower < higher, "the lower party comes first")
    signatures = (reader.take(64), reader.take(64))
    return Genesis(True, (lower, higher), randoms, signatures, space_id)


def membership_head(seqs: tuple[int, int], heads: tuple[bytes, bytes]) -> bytes:
    """2.3, Membership head; in a private space the second pair is 0 and 32 zero bytes."""
    digest = labelled_hash("ajar/v1/mhead", heads[0] + heads[1])
    return u32(seqs[0]) + u32(seqs[1]) + digest[:24]


@dataclass(frozen=True)
class Envelope:
    """One envelope (2.4); `content` is the ciphertext with its tag, or the payload of an EPOCH."""

    type: int
    space_id: bytes
    epoch_id: bytes
    device_id: bytes
    counter: int
    prev: bytes
    mhead: bytes
    nonce: bytes
    key_commit: bytes
    ct_len: int
    content: bytes
    signature: bytes
    header: bytes
    envelope_id: bytes


def read_envelope(reader: Reader) -> Envelope:
    """2.4, and check 1 of 2.5."""
    start = reader.position
    demand(reader.unsigned(1) == 1, "envelope: version")
    kind = reader.unsigned(1)
    demand(CHANGES <= kind <= ENDORSE, "envelope: unknown type")
    demand(reader.unsigned(1) == 1, "envelope: unknown suite")
    demand(reader.unsigned(1) == 0, "envelope: flags")
    space_id, epoch_id, device_id = reader.take(32), reader.take(32), reader.take(32)
    counter, prev, mhead = reader.unsigned(8), reader.take(32), reader.take(32)
    nonce, key_commit, ct_len = reader.take(24), reader.take(32), reader.unsigned(4)
    demand(ct_len <= 1_048_576, "envelope: ct_len over its cap")
    header = reader.data[start : reader.position]
    content = reader.take(ct_len if kind == EPOCH else ct_len + TAG)
    envelope_id = labelled_hash("ajar/v1/env-hash", header + content)
    signature = reader.take(64)
    demand(counter >= 1, "envelope: counter 0")
    demand((prev == ZERO) == (counter == 1), "envelope: prev is zero for counter 1 and only then")
    if kind == EPOCH:
        demand(epoch_id + nonce + key_commit == bytes(88), "EPOCH: a field that is not zero")
    return Envelope(
        kind, space_id, epoch_id, device_id, counter, prev, mhead, nonce, key_commit, ct_len,
        content, signature, header, envelope_id,
    )  # fmt: skip


def actor(space_id: bytes, device_id: bytes, doc_id: bytes, incarnation: int) -> bytes:
    """2.6."""
    parts = space_id + device_id + doc_id + u32(incarnation)
    return labelled_hash("ajar/v1/actor", parts)[:16]


def proof_hash(party: bytes, seq: int, prev: bytes, device: DeviceKeys) -> bytes:
    """`P` of 2.3."""
    parts = party + u64(seq) + prev + b"".join(device.all)
    return labelled_hash("ajar/v1/link-pop", parts)


def cosign_hash(party: bytes, seq: int, prev: bytes, words: WordKeys) -> bytes:
    """`C` of 2.3."""
    parts = party + u64(seq) + prev + b"".join(words.all)
    return labelled_hash("ajar/v1/link-cosign", parts)
