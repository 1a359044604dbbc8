"""Shows that the checker can fail: every value of every file is changed, one at a time.

A change is noticed if the check of its file fails. What is not noticed has to stand in
`SAYS_NOTHING` with its reason, and what stands there has to be unnoticed still.
"""

import copy
import re
from collections.abc import Callable, Iterator

from vector import Failure, Json, Library

Path = tuple[str | int, ...]

_OPAQUE = "the frame bounds it and the vector does not say what is in it; its length is checked"
_NAMES = "any id and number make such a frame and the vector names none; its length is checked"

# File, and the frame's tag or the value's name: why some change of it cannot be noticed.
SAYS_NOTHING: dict[str, str] = {
    "crypto/blob cases.name": "for people; the length says the same",
    "crypto/padding padded_len.length": "many lengths are padded to the same one",
    "engine/pairing offer_shower": "the claim at its end is told in no other place",
    "protocol/ids words.login": "no seed of it is given; one of three stands in a cosignature",
    "protocol/blob_frames BlobFrom": _NAMES,
    "protocol/blob_frames BlobGet": _NAMES,
    "protocol/blob_frames BlobIs": _NAMES,
    "protocol/blob_frames BlobPut": _NAMES,
    "protocol/client_frames AskBlobs": _NAMES,
    "protocol/client_frames MailboxJoin": _NAMES,
    "protocol/client_frames MailboxSend": _OPAQUE,
    "protocol/client_frames Trim": _OPAQUE,
    "protocol/keys key": "other keys are as sound or unsound; the verdicts beside them are checked",
    "protocol/readers bytes": "many objects have the same layout; the bits of it are checked",
    "protocol/relay_frames Admitted": "the permit in it is random; relay_login.json has a real one",
    "protocol/relay_frames BlobsDeleted": _NAMES,
    "protocol/relay_frames BlobsMissing": _NAMES,
    "protocol/relay_frames Genesis": _OPAQUE,
    "protocol/relay_frames LinkNotStored": _NAMES,
    "protocol/relay_frames LinkStored": _NAMES,
    "protocol/relay_frames MailboxMessage": _OPAQUE,
    "protocol/relay_frames MailboxOpened": _NAMES,
    "protocol/relay_frames NotStored": _NAMES,
    "protocol/relay_frames Stored": _NAMES,
    "protocol/relay_frames TrimNotStored": _NAMES,
    "protocol/relay_frames TrimStored": _NAMES,
    "protocol/relay_frames Trimmed": _OPAQUE,
}

# Of all others, a check notices at least some changes.
FOR_PEOPLE = {"crypto/blob cases.name"}


def run(library: Library, check_file: Callable[[Library, str], int]) -> None:
    """Changes every value; raises `Failure` with all that no check notices."""
    wrong: list[str] = []
    silent: set[str] = set()
    heard: set[str] = set()
    tried = 0
    for name, data in library.files.items():
        for path, value in _leaves(data):
            place, noticed = _name(name, data, path), 0
            changes = list(_changed(value))
            tried += len(changes)
            for changed in changes:
                damaged = library.with_changed(name, _replaced(data, path, changed))
                if _fails(damaged, name, check_file):
                    noticed += 1
            if noticed > 0:
                heard.add(place)
            if noticed == len(changes):
                continue
            silent.add(place)
            if place not in SAYS_NOTHING:
                where = ".".join(str(key) for key in path)
                wrong.append(f"{name} {where}: {len(changes) - noticed} of {len(changes)} pass")
    for place in SAYS_NOTHING:
        if place not in silent:
            wrong.append(f"{place}: is noticed after all, take it off the list")
        if place not in heard and place not in FOR_PEOPLE:
            wrong.append(f"{place}: no change at all is noticed")
    if wrong:
        raise Failure("self-test", "\n  ".join(["changes that nothing notices:", *wrong]))
    print(f"self-test: {tried} changed values, all noticed but {len(silent)} kinds with a reason")


def _fails(library: Library, name: str, check_file: Callable[[Library, str], int]) -> bool:
    try:
        check_file(library, name)
    except Failure:
        return True
    return False


def _leaves(data: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    if isinstance(data, (dict, list)):
        items = data.items() if isinstance(data, dict) else enumerate(data)
        for key, item in items:
            yield from _leaves(item, (*path, key))
    elif data is not None:
        yield path, data


def _is_hex(value: Json) -> bool:
    return isinstance(value, str) and re.fullmatch(r"([0-9a-f]{2})+", value) is not None


def _changed(value: Json) -> Iterator[Json]:
    """The value with its first, its middle and its last byte changed, or with another number.

    The bits that change are none of those that X25519 overwrites in a secret.
    """
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif _is_hex(value):
        data = bytes.fromhex(value)
        for at in sorted({0, len(data) // 2, len(data) - 1}):
            yield (data[:at] + bytes([data[at] ^ 0x28]) + data[at + 1 :]).hex()
    elif value == "":
        yield "00"
    else:
        yield value[:-1] + ("a" if value[-1] != "a" else "b")


def _replaced(data: Json, path: Path, value: Json) -> Json:
    changed = copy.deepcopy(data)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return changed


def _name(file: str, data: Json, path: Path) -> str:
    """The file, and the tag of the frame or the name of the value."""
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    if isinstance(holder, dict) and path[-1] == "frame":
        return f"{file} {holder['tag']}"
    return f"{file} {'.'.join(key for key in path if isinstance(key, str))}"
