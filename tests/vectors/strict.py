"""Whether a reader is strict: docs/protocol.md, section 2.1, missing bytes and bytes left over."""

from collections.abc import Callable

from primitives import Malformed
from wire import Reader, whole


def refuses_damage(data: bytes, item: Callable[[Reader], object]) -> None:
    """Every front of the object, and the object with one more byte, has to be refused."""
    for damaged in [data[:end] for end in range(len(data))] + [data + b"\0"]:
        try:
            whole(damaged, item)
        except Malformed:
            continue
        raise AssertionError(f"an object of {len(data)} bytes was taken with {len(damaged)}")
