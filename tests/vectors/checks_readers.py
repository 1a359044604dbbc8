"""What readers take and what they refuse: every byte of every object changed, in both languages."""

import functools
from collections.abc import Callable

from content import read_epoch, read_expanded_changes
from frames import CLIENT, RELAY, read_login, read_message
from primitives import Malformed
from vector import Case, Library
from wire import Reader, read_envelope, read_frontier, read_genesis, read_link, whole

READERS: dict[str, Callable[[Reader], object]] = {
    "link": read_link,
    "space genesis": read_genesis,
    "envelope": read_envelope,
    "epoch record": lambda reader: read_epoch(reader.rest()),
    "content": read_expanded_changes,
    "frontier": read_frontier,
    "login": read_login,
    "message of a client": lambda reader: read_message(reader, CLIENT),
    "message of a relay": lambda reader: read_message(reader, RELAY),
}


def _is_taken(item: Callable[[Reader], object], data: bytes) -> bool:
    try:
        whole(data, item)
    except Malformed:
        return False
    return True


@functools.cache
def _taken(name: str, data: bytes, change: int) -> bytes:
    """For each byte a bit, the first one highest: whether the object stays one if it changes."""
    bits = ""
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
        bits += "1" if _is_taken(READERS[name], changed) else "0"
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def readers(root: Case, _library: Library) -> int:
    """2.1, and the layouts of 2.3, 2.4, 2.7 and 2.8."""
    seen = set()

    def verdicts(case: Case) -> None:
        name, data = case.text("object"), case.bytes("bytes")
        case.require(_is_taken(READERS[name], data), "the object itself is refused")
        case.expect("taken_01", _taken(name, data, 0x01))
        case.expect("taken_80", _taken(name, data, 0x80))
        seen.add(name)

    count = root.each("list", verdicts)
    root.require(seen == set(READERS), "an object is missing")
    return count
