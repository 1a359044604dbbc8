"""What folds a log: docs/protocol.md, sections 2.10 (snapshots, trim records) and 2.14 (burns)."""

from dataclasses import dataclass

from primitives import labelled_hash, u16
from wire import Reader, Row, demand, demand_ascending, read_frontier

LARGEST_CONTENT = 26_214_400


@dataclass(frozen=True)
class GivenUp:
    """An epoch that a snapshot gives up."""

    device: bytes
    counter: int
    epoch_id: bytes
    number: int


@dataclass(frozen=True)
class PackPlace:
    """Where a pack lies, and what opens it."""

    shelf: int
    blob: bytes
    key: bytes
    salt: bytes
    length: int
    docs: int
    digest: bytes


@dataclass(frozen=True)
class Snapshot:
    """The plaintext of SNAPSHOT."""

    claimed_time_ms: int
    heads: tuple[bytes, bytes]
    previous: bytes
    cover: list[Row]
    given_up: list[GivenUp]
    burned: list[bytes]
    packs: list[PackPlace]


def _read_given_up(reader: Reader) -> GivenUp:
    return GivenUp(reader.take(32), reader.unsigned(8), reader.take(32), reader.unsigned(8))


def _read_pack_place(reader: Reader) -> PackPlace:
    shelf, blob, key, salt = (
        reader.unsigned(4),
        reader.take(32),
        reader.take(32),
        reader.take(16),
    )
    length, docs = reader.unsigned(8), reader.unsigned(4)
    demand(length <= LARGEST_CONTENT, "SNAPSHOT: a pack over the cap of a blob")
    demand(docs >= 1, "SNAPSHOT: a pack without documents")
    return PackPlace(shelf, blob, key, salt, length, docs, reader.take(32))


def _place_key(device: bytes, counter: int) -> bytes:
    return device + counter.to_bytes(8, "big")


def read_snapshot(reader: Reader) -> Snapshot:
    """2.10, What travels."""
    demand(reader.unsigned(1) == 1, "SNAPSHOT: version")
    time, heads = reader.signed(8), (reader.take(32), reader.take(32))
    previous, cover = reader.take(32), read_frontier(reader)
    given_up = reader.repeated(2, 1024, _read_given_up)
    demand_ascending([_place_key(epoch.device, epoch.counter) for epoch in given_up])
    burned = reader.repeated(4, 20_000, lambda inner: inner.take(16))
    demand_ascending(burned)
    packs = reader.repeated(2, 4096, _read_pack_place)
    shelves = [pack.shelf for pack in packs]
    demand(shelves == sorted(shelves, reverse=True), "SNAPSHOT: shelves do not go down")
    return Snapshot(time, heads, previous, cover, given_up, burned, packs)


def read_endorsement(reader: Reader) -> tuple[bytes, bytes]:
    """The snapshot's id, and the signature of its trim statement."""
    demand(reader.unsigned(1) == 1, "ENDORSE: version")
    return reader.take(32), reader.take(64)


@dataclass(frozen=True)
class Packed:
    """A document in a pack."""

    doc_id: bytes
    heads: list[bytes]
    saved: bytes


def _read_packed_row(reader: Reader) -> tuple[bytes, list[bytes], int]:
    doc_id = reader.take(16)
    heads = reader.repeated(2, 1024, lambda inner: inner.take(32))
    demand(len(heads) >= 1, "pack: a document without heads")
    demand_ascending(heads)
    return doc_id, heads, reader.unsigned(4)


def read_pack(reader: Reader) -> list[Packed]:
    """2.10: what is sealed as the blob of a pack, expanded."""
    demand(reader.unsigned(1) == 1, "pack: version")
    count = reader.unsigned(4)
    rows = [_read_packed_row(reader) for _ in range(count)]
    demand_ascending([doc_id for doc_id, _heads, _length in rows])
    return [Packed(doc_id, heads, reader.take(length)) for doc_id, heads, length in rows]


def pack_digest(documents: list[Packed]) -> bytes:
    parts = [
        document.doc_id + u16(len(document.heads)) + b"".join(document.heads)
        for document in documents
    ]
    return labelled_hash("ajar/v1/pack-heads", b"".join(parts))


@dataclass(frozen=True)
class TrimRecord:
    """A statement of what a snapshot folds in, and who signed it."""

    space: bytes
    snapshot: Row
    cover: list[Row]
    given_up: list[tuple[bytes, int]]
    statement: bytes
    signatures: list[tuple[bytes, bytes]]

    @property
    def digest(self) -> bytes:
        return labelled_hash("ajar/v1/trim", self.statement)


def read_trim(reader: Reader) -> TrimRecord:
    """2.10, Giving up the log."""
    start = reader.position
    demand(reader.unsigned(1) == 1, "trim: version")
    space = reader.take(32)
    snapshot = Row(reader.take(32), reader.unsigned(8), reader.take(32))
    cover = read_frontier(reader)
    covered = {row.device: row.counter for row in cover}
    demand(covered.get(snapshot.device, 0) < snapshot.counter, "trim: a snapshot covers itself")
    given_up = reader.repeated(2, 1024, lambda inner: (inner.take(32), inner.unsigned(8)))
    demand_ascending([_place_key(device, counter) for device, counter in given_up])
    within = all(counter <= covered.get(device, 0) for device, counter in given_up)
    demand(within, "trim: gives up an epoch beyond the cover")
    statement = reader.data[start : reader.position]
    signatures = reader.repeated(1, 16, lambda inner: (inner.take(32), inner.take(64)))
    demand(len(signatures) >= 1, "trim: nobody has signed")
    demand_ascending([device for device, _signature in signatures])
    return TrimRecord(space, snapshot, cover, given_up, statement, signatures)


@dataclass(frozen=True)
class Burn:
    """The plaintext of BURN."""

    claimed_time_ms: int
    docs: list[bytes]
    blobs: list[bytes]


def read_burn(reader: Reader) -> Burn:
    """2.14."""
    demand(reader.unsigned(1) == 1, "BURN: version")
    time = reader.signed(8)
    docs = reader.repeated(2, 256, lambda inner: inner.take(16))
    blobs = reader.repeated(2, 4096, lambda inner: inner.take(32))
    demand(len(docs) >= 1, "BURN: no document")
    demand_ascending(docs)
    demand_ascending(blobs)
    return Burn(time, docs, blobs)
