"""What travels between a device and a relay: docs/protocol.md, section 2.8."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from primitives import (
    Malformed,
    check_ed25519,
    labelled_hash,
    sha256,
)
from wire import (
    Reader,
    Row,
    demand,
    demand_ascending,
    read_frontier,
    whole,
)

LARGEST_FRAME = 1_048_952
LARGEST_BLOB = 30_408_704
REFUSALS = range(1, 14)


@dataclass(frozen=True)
class Login:
    """2.8, Login."""

    relay: bytes
    space: bytes
    device: bytes
    auth: bytes
    signature: bytes


@dataclass(frozen=True)
class Introduction:
    """A space, and why the relay should take it."""

    genesis: bytes
    claim: bytes | None
    permit: bytes | None


@dataclass(frozen=True)
class Position:
    """What a side has: the next link of each party, and the frontier."""

    permit: bytes
    parties: list[tuple[bytes, int]]
    frontier: list[Row]


@dataclass(frozen=True)
class BlobDeletion:
    """2.12, Transfers: a signed command."""

    space: bytes
    device: bytes
    blobs: list[bytes]
    digest: bytes
    signature: bytes


@dataclass(frozen=True)
class Answer:
    """A name of something, and a reason if it was refused."""

    name: bytes
    number: int | None
    reason: int | None


Message = Login | Introduction | Position | BlobDeletion | Answer | list[bytes] | bytes | int


def read_login(reader: Reader) -> Login:
    demand(reader.unsigned(1) == 1, "login: version")
    relay, space, device = reader.take(32), reader.take(32), reader.take(32)
    # Not checked for soundness (2.1): it has to equal a key that a chain names, and those are.
    return Login(relay, space, device, reader.take(32), reader.take(64))


def login_hash(exporter: bytes, login: Login) -> bytes:
    """The hash that a login signs; without a label of its own."""
    return sha256(exporter + login.relay + login.space + login.device + login.auth)


def permit_hash(space: bytes) -> bytes:
    return labelled_hash("ajar/v1/relay-permit", space)


def _read_introduction(reader: Reader) -> Introduction:
    genesis = reader.counted(2, 1024)
    kind = reader.unsigned(1)
    demand(kind in (1, 2), "introduction: unknown kind")
    if kind == 1:
        return Introduction(genesis, reader.take(16), None)
    return Introduction(genesis, None, reader.take(64))


def _read_subscription(reader: Reader) -> Position:
    parties = reader.repeated(1, 2, lambda inner: (inner.take(32), inner.unsigned(8)))
    demand(len({party for party, _ in parties}) == len(parties), "the same party twice")
    return Position(b"", parties, read_frontier(reader))


def _read_welcome(reader: Reader) -> Position:
    permit = reader.take(64)
    position = _read_subscription(reader)
    return Position(permit, position.parties, position.frontier)


def _read_blob_ids(reader: Reader) -> list[bytes]:
    blobs = reader.repeated(2, 1024, lambda inner: inner.take(32))
    demand_ascending(blobs)
    return blobs


def _read_deletion(reader: Reader) -> BlobDeletion:
    start = reader.position
    demand(reader.unsigned(1) == 1, "deletion: version")
    space, device, blobs = reader.take(32), reader.take(32), _read_blob_ids(reader)
    command = reader.data[start : reader.position]
    digest = labelled_hash("ajar/v1/delete-blobs", command)
    return BlobDeletion(space, device, blobs, digest, reader.take(64))


def _read_blob_length(reader: Reader) -> int:
    length = reader.unsigned(8)
    demand(length <= LARGEST_BLOB, "longer than a blob can be")
    return length


def _blob_and(reader: Reader, least: int) -> Answer:
    """A blob, and its length or a place in it."""
    blob, number = reader.take(32), _read_blob_length(reader)
    demand(number >= least, "an empty blob")
    return Answer(blob, number, None)


def _read_nothing(_reader: Reader) -> bytes:
    return b""


def _read_purpose(reader: Reader) -> int:
    purpose = reader.unsigned(1)
    demand(purpose in (1, 2), "unknown purpose")
    return purpose


def _read_reason(reader: Reader) -> int:
    reason = reader.unsigned(1)
    demand(reason in REFUSALS, "unknown reason")
    return reason


def _opaque(most: int) -> Callable[[Reader], bytes]:
    def read(reader: Reader) -> bytes:
        body = reader.rest()
        demand(len(body) <= most, "a body is over its cap")
        return body

    return read


def _answer(numbers: int, name: int, refused: bool) -> Callable[[Reader], Answer]:
    """A name of `name` bytes; with a number in front of its last 32 bytes if there is one."""

    def read(reader: Reader) -> Answer:
        first = reader.take(32)
        number = reader.unsigned(8) if numbers else None
        rest = reader.take(name - 32)
        return Answer(first + rest, number, _read_reason(reader) if refused else None)

    return read


# By tag: the name of the message, and the reader of its body.
Side = dict[int, tuple[str, Callable[[Reader], Message]]]

# Links, envelopes, geneses and trim records travel as bytes: the frame bounds them, and whoever
# takes them out reads them.
CLIENT: Side = {
    1: ("Login", read_login),
    2: ("Introduce", _read_introduction),
    3: ("AppendLink", _opaque(4280)),
    4: ("Subscribe", _read_subscription),
    5: ("Append", _opaque(1_048_888)),
    6: ("Bootstrap", _read_nothing),
    7: ("Trim", _opaque(65_536)),
    8: ("AskBlobs", _read_blob_ids),
    9: ("DeleteBlobs", _read_deletion),
    16: ("MailboxOpen", _read_purpose),
    17: ("MailboxJoin", lambda reader: reader.unsigned(4)),
    18: ("MailboxSend", _opaque(16_384)),
}
RELAY: Side = {
    128: ("Welcome", _read_welcome),
    129: ("Refused", _read_reason),
    130: ("Admitted", lambda reader: reader.take(64)),
    131: ("Link", _opaque(4280)),
    132: ("LinkStored", _answer(1, 32, False)),
    133: ("LinkNotStored", _answer(1, 32, True)),
    134: ("Envelope", _opaque(1_048_888)),
    135: ("Stored", _answer(1, 64, False)),
    136: ("NotStored", _answer(1, 64, True)),
    137: ("CaughtUp", _read_nothing),
    138: ("Genesis", _opaque(1024)),
    139: ("Trimmed", _opaque(65_536)),
    140: ("Ready", _read_nothing),
    141: ("TrimStored", _answer(0, 32, False)),
    142: ("TrimNotStored", _answer(0, 32, True)),
    144: ("MailboxOpened", lambda reader: reader.unsigned(4)),
    145: ("MailboxPeer", _read_purpose),
    146: ("MailboxMessage", _opaque(16_384)),
    147: ("BlobsMissing", _read_blob_ids),
    148: ("BlobsDeleted", _read_blob_ids),
}

BLOB: Side = {
    32: ("BlobPut", lambda reader: _blob_and(reader, 1)),
    33: ("BlobGet", lambda reader: _blob_and(reader, 0)),
    160: ("BlobFrom", _read_blob_length),
    161: ("BlobStored", _read_nothing),
    162: ("BlobIs", _read_blob_length),
}


def read_message(content: Reader, side: Side) -> tuple[str, Message]:
    """A tag and its body, all that is left."""
    tag = content.unsigned(1)
    demand(tag in side, "frame: unknown tag")
    name, body = side[tag]
    return name, whole(content.rest(), body)


def read_frame(frame: bytes, side: Side) -> tuple[str, Message]:
    """2.8, Frames: the name of the message and what it says."""
    reader = Reader(frame)
    length = reader.unsigned(4)
    demand(0 < length <= LARGEST_FRAME, "frame: length")
    content = Reader(reader.take(length))
    reader.end()
    return read_message(content, side)


@dataclass(frozen=True)
class Address:
    """2.8, Address; an IPv6 host without its brackets."""

    host: str
    port: int
    key: bytes
    claim: bytes | None


def _from_base32(text: str, characters: int, name: str) -> bytes:
    demand(len(text) == characters, f"address: {name} is incomplete")
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError as error:
        raise Malformed(f"address: {name} is mistyped") from error
    demand(_to_base32(data) == text.lower(), f"address: {name} has stray bits")
    return data


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def read_address(text: str) -> Address:
    pattern = r"ajar-relay:(\[[^\]]*\]|[^:\[\]]*):([0-9]+)#([^&]*)(?:&claim=(.*))?"
    match = re.fullmatch(pattern, text.strip())
    if match is None:
        raise Malformed("address: no host, port and key")
    host, port = match[1].removeprefix("[").removesuffix("]"), int(match[2])
    demand(re.fullmatch(r"[A-Za-z0-9.:%_-]{1,255}", host) is not None, "address: host")
    demand(1 <= port <= 65535, "address: port")
    key = check_ed25519(_from_base32(match[3], 52, "key"))
    claim = None if match[4] is None else _from_base32(match[4], 26, "claim")
    return Address(host, port, key, claim)


def write_address(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    claim = "" if address.claim is None else f"&claim={_to_base32(address.claim)}"
    return f"ajar-relay:{host}:{address.port}#{_to_base32(address.key)}{claim}"
