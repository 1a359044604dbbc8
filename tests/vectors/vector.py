"""Vector files as trees of cases that remember which of their values a check has looked at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = Any
Plain = bytes | int | str | list[str] | None


class Failure(Exception):
    """A case that is wrong: where it stands, and what is wrong about it."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")


class Case:
    """One object of a vector file. Reading a value marks it; `run` refuses what stays unmarked."""

    def __init__(self, place: str, data: dict[str, Json]) -> None:
        self.place = place
        self.data = data
        self.unread = set(data)

    def value(self, key: str) -> Json:
        if key not in self.data:
            raise Failure(self.place, f"`{key}` is missing")
        self.unread.discard(key)
        return self.data[key]

    def bytes(self, key: str) -> bytes:
        return bytes.fromhex(self.value(key))

    def number(self, key: str) -> int:
        number = self.value(key)
        if type(number) is not int:
            raise Failure(self.place, f"`{key}` is not a whole number")
        return number

    def text(self, key: str) -> str:
        return str(self.value(key))

    def expect(self, key: str, actual: Plain) -> None:
        """Compares what the file says with what the specification gives."""
        stated = self.value(key)
        shown: Json = actual.hex() if isinstance(actual, bytes) else actual
        if stated != shown or type(stated) is not type(shown):
            raise Failure(self.place, f"`{key}` is {stated}, the specification gives {shown}")

    def require(self, condition: bool, rule: str) -> None:
        """Something else that has to hold."""
        if not condition:
            raise Failure(self.place, rule)

    def within(self, key: str, check: Callable[["Case"], None]) -> None:
        """Checks an object inside this one."""
        Case(f"{self.place} {key}", self.value(key)).run(check)

    def each(self, key: str, check: Callable[["Case"], None]) -> int:
        """Checks every object of a list, and says how many there are."""
        items = self.value(key)
        for number, item in enumerate(items):
            Case(f"{self.place} {key}[{number}]", item).run(check)
        self.require(len(items) > 0, f"`{key}` is empty")
        return len(items)

    def run(self, check: Callable[["Case"], None]) -> None:
        """Runs a check; whatever goes wrong in it names this case."""
        try:
            check(self)
        except Failure:
            raise
        except Exception as error:
            raise Failure(self.place, f"{type(error).__name__}: {error}") from error
        if self.unread:
            raise Failure(self.place, f"no check looks at {', '.join(sorted(self.unread))}")


class Library:
    """All vector files, by `crate/name`. Checks look into other files where people recur."""

    def __init__(self, files: dict[str, Json]) -> None:
        self.files = files

    def __getitem__(self, name: str) -> Json:
        return self.files[name]

    def with_changed(self, name: str, data: Json) -> "Library":
        """The same library, but for one file."""
        return Library({**self.files, name: data})

    def root(self, name: str) -> Case:
        """A file as a case; one that is a list is an object with the key `list`."""
        data = self.files[name]
        return Case(f"{name}.json", {"list": data} if isinstance(data, list) else data)


def load(root: Path) -> Library:
    """Every vector file of the repository, whether a check knows it or not."""
    files: dict[str, Json] = {}
    for folder in sorted([*root.glob("crates/*/tests/vectors"), *root.glob("*/tests/vectors")]):
        owner = folder.parents[1].name
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                continue
            name = f"{owner}/{path.relative_to(folder).with_suffix('')}"
            if path.suffix != ".json" or name in files:
                raise Failure(str(path.relative_to(root)), "not a vector file")
            try:
                files[name] = json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise Failure(name, f"not JSON: {error}") from error
    return Library(files)
