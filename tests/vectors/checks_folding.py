"""The vectors of snapshots, packs, endorsements, trim records and burns."""

from checks_protocol import known_devices
from folding import (
    pack_digest,
    read_burn,
    read_endorsement,
    read_pack,
    read_snapshot,
    read_trim,
)
from primitives import verified
from strict import refuses_damage
from vector import Case, Library
from wire import read_frontier, whole


def snapshot(root: Case, library: Library) -> int:
    """2.10: SNAPSHOT, a pack of it, and ENDORSE."""
    trim = library["protocol/trim"]

    def folded(case: Case) -> None:
        plaintext = case.bytes("plaintext")
        found = whole(plaintext, read_snapshot)
        refuses_damage(plaintext, read_snapshot)
        case.expect("claimed_time_ms", found.claimed_time_ms)
        case.expect("head_lower", found.heads[0])
        case.expect("head_higher", found.heads[1])
        heads = library["protocol/space"]["shared"]["membership"]["heads"]
        case.require([head.hex() for head in found.heads] == heads, "heads of another space")
        case.expect("previous", found.previous)
        case.require(whole(case.bytes("cover"), read_frontier) == found.cover, "another cover")
        case.expect("burned", [doc.hex() for doc in found.burned])
        given_up, packs = iter(found.given_up), iter(found.packs)

        def epoch(inner: Case) -> None:
            said = next(given_up)
            inner.expect("device", said.device)
            inner.expect("counter", said.counter)
            inner.expect("id", said.epoch_id)
            inner.expect("number", said.number)

        def place(inner: Case) -> None:
            said = next(packs)
            inner.expect("shelf", said.shelf)
            inner.expect("blob", said.blob)
            inner.expect("key", said.key)
            inner.expect("salt", said.salt)
            inner.expect("length", said.length)
            inner.expect("docs", said.docs)
            inner.expect("digest", said.digest)

        count = case.each("retired", epoch) + case.each("packs", place)
        case.require(count == len(found.given_up) + len(found.packs), "the plaintext has more")

    def pack(case: Case) -> None:
        plaintext = case.bytes("plaintext")
        found = whole(plaintext, read_pack)
        refuses_damage(plaintext, read_pack)
        case.expect("digest", pack_digest(found))
        documents = iter(found)

        def document(inner: Case) -> None:
            said = next(documents)
            inner.expect("doc", said.doc_id)
            inner.expect("heads", [head.hex() for head in said.heads])
            inner.expect("saved", said.saved)

        case.require(case.each("docs", document) == len(found), "the pack has more documents")
        named = library["protocol/snapshot"]["snapshot"]["packs"][0]
        facts = (pack_digest(found).hex(), len(found), len(plaintext))
        case.require(
            facts == (named["digest"], named["docs"], named["length"]),
            "the snapshot names another pack",
        )

    def endorsement(case: Case) -> None:
        plaintext = case.bytes("plaintext")
        named, signature = whole(plaintext, read_endorsement)
        refuses_damage(plaintext, read_endorsement)
        case.expect("snapshot", named)
        case.expect("signature", signature)
        case.require(named.hex() == trim["snapshot"], "endorses another snapshot")
        given = {row["device"]: row["signature"] for row in trim["signatures"]}
        case.require(signature.hex() == given[trim["device"]], "not its author's signature")

    root.within("snapshot", folded)
    root.within("pack", pack)
    root.within("endorsement", endorsement)
    return 3


def trim(root: Case, library: Library) -> int:
    """2.10, Giving up the log."""
    record = root.bytes("record")
    found = whole(record, read_trim)
    refuses_damage(record, read_trim)
    root.expect("space", found.space)
    root.require(found.space.hex() == library["protocol/space"]["shared"]["space_id"], "space")
    root.expect("device", found.snapshot.device)
    root.expect("counter", found.snapshot.counter)
    root.expect("snapshot", found.snapshot.envelope_id)
    root.require(whole(root.bytes("cover"), read_frontier) == found.cover, "another cover")
    root.expect("statement", found.statement)
    root.expect("hash", found.digest)
    devices = known_devices(library)
    given_up, signatures = iter(found.given_up), iter(found.signatures)

    def epoch(case: Case) -> None:
        device, counter = next(given_up)
        case.expect("device", device)
        case.expect("counter", counter)

    def signed(case: Case) -> None:
        device, signature = next(signatures)
        case.expect("device", device)
        case.expect("signature", signature)
        key = devices[device].sign
        good = verified(key, "ajar/v1/relay-cmd", found.digest, signature)
        case.require(good, "signature does not verify")

    count = root.each("retired", epoch) + root.each("signatures", signed)
    root.require(count == len(found.given_up) + len(found.signatures), "the record has more")
    return 1


def burn(root: Case, _library: Library) -> int:
    """2.14."""
    plaintext = root.bytes("plaintext")
    found = whole(plaintext, read_burn)
    refuses_damage(plaintext, read_burn)
    root.expect("claimed_time_ms", found.claimed_time_ms)
    root.expect("docs", [doc.hex() for doc in found.docs])
    root.expect("blobs", [blob.hex() for blob in found.blobs])
    return 1
