"""What envelopes hold: the plaintext of CHANGES (2.4), the payload and the seals of EPOCH (2.7)."""

from dataclasses import dataclass

import hpke
from primitives import (
    Malformed,
    Unopened,
    derive,
    hmac256,
    open_xchacha,
    prefixed,
    u8,
    u64,
    unpad,
)
from wire import (
    EPOCH,
    ZERO,
    Envelope,
    Reader,
    Row,
    demand,
    demand_ascending,
    read_row,
    whole,
)


@dataclass(frozen=True)
class Document:
    """The changes of one document in an envelope."""

    doc_id: bytes
    incarnation: int
    changes: list[bytes]


@dataclass(frozen=True)
class Changes:
    """The plaintext of CHANGES."""

    claimed_time_ms: int
    acks: list[Row]
    documents: list[Document]


def _read_document(reader: Reader) -> Document:
    doc_id, incarnation = reader.take(16), reader.unsigned(4)
    changes = reader.repeated(2, 256, lambda inner: inner.counted(4, 1_000_000))
    demand(len(changes) >= 1, "a document without a change")
    return Document(doc_id, incarnation, changes)


def _read_changes_content(reader: Reader) -> Changes:
    time = reader.signed(8)
    acks = reader.repeated(1, 128, read_row)
    demand_ascending([ack.device for ack in acks])
    documents = reader.repeated(2, 64, _read_document)
    demand_ascending([document.doc_id for document in documents])
    return Changes(time, acks, documents)


def read_expanded_changes(reader: Reader) -> tuple[bool, Changes]:
    """Whether CHANGES travels compressed, and what it says once that was undone."""
    demand(reader.unsigned(1) == 1, "CHANGES: pver")
    compression = reader.unsigned(1)
    demand(compression in (0, 1), "CHANGES: unknown compression")
    content = reader.rest()
    demand(len(content) <= 1_000_000, "CHANGES: content over its cap")
    return compression == 1, whole(content, _read_changes_content)


def read_changes(plaintext: bytes) -> Changes:
    """2.4, Plaintext of CHANGES."""
    compressed, changes = whole(plaintext, read_expanded_changes)
    if compressed:
        # No vector is compressed; one that comes to be must not pass unread.
        raise NotImplementedError("a compressed CHANGES needs zstd, which check.py does not have")
    return changes


def envelope_key(
    epoch_key: bytes, nonce: bytes, device: bytes, space: bytes, epoch: bytes, kind: int
) -> tuple[bytes, bytes]:
    """`K` and `C` of 2.4."""
    both = derive(epoch_key, nonce + device, "ajar/v1/env-key", space + epoch + u8(kind), 64)
    return both[:32], both[32:]


def open_envelope(envelope: Envelope, epoch_key: bytes) -> bytes:
    """Check 21 of 2.5: commitment, tag, padding; gives the plaintext."""
    key, commitment = envelope_key(
        epoch_key,
        envelope.nonce,
        envelope.device_id,
        envelope.space_id,
        envelope.epoch_id,
        envelope.type,
    )
    if commitment != envelope.key_commit:
        raise Unopened("key_commit")
    return unpad(open_xchacha(key, envelope.nonce, envelope.header, envelope.content))


@dataclass(frozen=True)
class Seal:
    """An epoch key, sealed to one recipient."""

    recipient: bytes
    enc: bytes
    ct: bytes


@dataclass(frozen=True)
class Epoch:
    """The payload of an EPOCH; `front` is what `hist` authenticates of it."""

    number: int
    reason: int
    parents: list[bytes]
    heads: tuple[bytes, bytes]
    ek_commit: bytes
    seals: list[Seal]
    hist_nonce: bytes
    hist: bytes
    front: bytes


def _read_seal(reader: Reader) -> Seal:
    return Seal(reader.take(32), reader.take(32), reader.take(48))


def _read_epoch(reader: Reader) -> Epoch:
    demand(reader.unsigned(1) == 1, "EPOCH: pver")
    number, reason = reader.unsigned(8), reader.unsigned(1)
    demand(number >= 1, "EPOCH: number 0")
    demand(1 <= reason <= 7, "EPOCH: unknown reason")
    parents = reader.repeated(1, 4, lambda inner: inner.take(32))
    demand_ascending(parents)
    heads, ek_commit = (reader.take(32), reader.take(32)), reader.take(32)
    seals = reader.repeated(1, 18, _read_seal)
    demand_ascending([seal.recipient for seal in seals])
    front = reader.data[: reader.position]
    hist_len = reader.unsigned(4)
    demand(hist_len <= 65_536, "EPOCH: hist_len over its cap")
    nonce = reader.take(24)
    return Epoch(
        number, reason, parents, heads, ek_commit, seals, nonce, reader.take(hist_len), front
    )


def read_epoch(payload: bytes) -> Epoch:
    """2.7: the payload of EPOCH."""
    return whole(payload, _read_epoch)


def epoch_of(envelope: Envelope) -> Epoch:
    """The payload of an envelope that has to be an EPOCH."""
    demand(envelope.type == EPOCH, "not an EPOCH")
    return read_epoch(envelope.content)


def epoch_commitment(epoch_key: bytes, space_id: bytes, number: int) -> bytes:
    """`ek_commit` of 2.7."""
    return hmac256(epoch_key, prefixed("ajar/v1/epoch-commit") + space_id + u64(number))


def seal_info(space_id: bytes, epoch: Epoch, recipient: bytes) -> bytes:
    """HPKE `info` of 2.7."""
    return (
        prefixed("ajar/v1/epoch-seal") + space_id + u64(epoch.number) + epoch.ek_commit + recipient
    )


def open_seal(envelope: Envelope, epoch: Epoch, recipient: bytes, secret: bytes) -> bytes:
    """The epoch key for the recipient that holds `secret`; checks `ek_commit` (check 8 of 2.7)."""
    seal = next((seal for seal in epoch.seals if seal.recipient == recipient), None)
    if seal is None:
        raise Unopened("not among the recipients")
    info = seal_info(envelope.space_id, epoch, recipient)
    key = hpke.open_base(secret, seal.enc, info, envelope.header, seal.ct)
    if epoch_commitment(key, envelope.space_id, epoch.number) != epoch.ek_commit:
        raise Unopened("ek_commit")
    return key


def open_history(envelope: Envelope, epoch: Epoch, epoch_key: bytes) -> dict[bytes, bytes]:
    """`hist` of 2.7: the keys of older epochs by their ids."""
    key = derive(epoch_key, b"", "ajar/v1/epoch-hist", b"", 32)
    plain = unpad(open_xchacha(key, epoch.hist_nonce, envelope.header + epoch.front, epoch.hist))
    if len(plain) % 64 != 0:
        raise Malformed("hist: entries are not whole")
    rows = [(plain[at : at + 32], plain[at + 32 : at + 64]) for at in range(0, len(plain), 64)]
    demand_ascending([epoch_id for epoch_id, _ in rows])
    return dict(rows)


def check_epoch_place(epoch: Epoch, author: bytes, recipients: set[bytes], private: bool) -> None:
    """Checks 2, 6 and 7 of 2.7, for recipients that were computed at the heads."""
    demand(not private or epoch.heads[1] == ZERO, "EPOCH: private space with a second head")
    demand({seal.recipient for seal in epoch.seals} == recipients, "EPOCH: wrong recipients")
    demand(author in recipients, "EPOCH: the author is not a recipient")
