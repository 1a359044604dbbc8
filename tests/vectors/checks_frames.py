"""Every frame of docs/protocol.md, section 2.8, checked against the objects of the other files."""

from collections import Counter

import curve
from chain import genesis_is_signed
from checks_protocol import known_chain, known_devices
from frames import (
    BLOB,
    CLIENT,
    REFUSALS,
    RELAY,
    Answer,
    BlobDeletion,
    Introduction,
    Login,
    Message,
    Position,
    Side,
    permit_hash,
    read_frame,
    read_login,
)
from primitives import verified
from strict import refuses_damage
from vector import Case, Library
from wire import read_frontier, read_genesis, whole


def client_frames(root: Case, library: Library) -> int:
    """Every message of a client, but for those on the stream of a blob."""
    return _frames(root, library, CLIENT)


def blob_frames(root: Case, library: Library) -> int:
    """Every message of either side on the stream of a blob, but for Refused."""
    return _frames(root, library, BLOB)


def relay_frames(root: Case, library: Library) -> int:
    """Every message of a relay, but for those on the stream of a blob."""
    return _frames(root, library, RELAY)


def _frames(root: Case, library: Library, side: Side) -> int:
    seen: Counter[tuple[str, int | None]] = Counter()

    def frame(case: Case) -> None:
        data = case.bytes("frame")
        name, message = read_frame(data, side)
        refuses_damage(data, lambda reader: read_frame(reader.rest(), side))
        case.expect("tag", name)
        seen[name, _reason(name, message)] += 1
        case.require(_agrees(name, message, library), "differs from what other files say")

    count = root.each("list", frame)
    refusing = {"Refused", "LinkNotStored", "NotStored", "TrimNotStored"}
    for name, _body in side.values():
        reasons = REFUSALS if name in refusing else [None]
        for reason in reasons:
            what = name if reason is None else f"{name} for reason {reason}"
            root.require(seen[name, reason] > 0, f"no frame {what}")
            root.require(reason is None or seen[name, reason] == 1, f"two frames {what}")
    return count


def _reason(name: str, message: Message) -> int | None:
    if name == "Refused" and isinstance(message, int):
        return message
    return message.reason if isinstance(message, Answer) else None


def _agrees(name: str, message: Message, library: Library) -> bool:
    """Whether an object in a frame is the one that another file holds; true of what none holds."""
    match message:
        case bytes() if name in ("AppendLink", "Link"):
            return _is(message, library["protocol/chain"]["links"][1]["link"])
        case bytes() if name in ("Append", "Envelope"):
            return _is(message, library["protocol/envelopes"]["envelopes"][0]["envelope"])
        case Login():
            stated = library["protocol/relay_login"]["login"]["message"]
            return message == whole(bytes.fromhex(stated), read_login)
        case Introduction():
            return _introduced(message, library)
        case Position():
            rows = bytes.fromhex(library["protocol/frontier"]["bytes"])
            shared = library["protocol/space"]["shared"]
            parties = [bytes.fromhex(shared[name]) for name in ("lower", "higher")]
            same_rows = message.frontier == whole(rows, read_frontier)
            return same_rows and [party for party, _next in message.parties] == parties
        case BlobDeletion():
            # This vector is signed with the one key that relay_login.json tells.
            key = _relay_key(library)
            return verified(key, "ajar/v1/relay-cmd", message.digest, message.signature)
        case _:
            return True


def _is(body: bytes, stated: str) -> bool:
    return body == bytes.fromhex(stated)


def _relay_key(library: Library) -> bytes:
    return curve.public_key(bytes.fromhex(library["protocol/relay_login"]["permit"]["relay_seed"]))


def _introduced(message: Introduction, library: Library) -> bool:
    """The genesis is signed by those whom ids.json knows, and what admits it is known too."""
    spaces = library["protocol/space"]
    signers = [known_chain(library).first_device.sign]
    genesis = whole(message.genesis, read_genesis)
    if genesis.shared:
        signers.insert(0, list(known_devices(library).values())[2].sign)
    stated = spaces["shared" if genesis.shared else "private"]["space_id"]
    genesis_is_signed(genesis, signers)
    if message.permit is not None:
        # The permit of this vector is for the space of relay_login.json, not for the one beside it.
        digest = permit_hash(bytes.fromhex(library["protocol/relay_login"]["permit"]["space"]))
        key = _relay_key(library)
        admits = verified(key, "ajar/v1/relay-permit", digest, message.permit)
    else:
        claims = [row["claim"] for row in library["protocol/addresses"]]
        admits = message.claim is not None and message.claim.hex() in claims
    return admits and _is(genesis.space_id, stated)
