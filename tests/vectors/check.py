#!/usr/bin/env python3
"""Checks every test vector against docs/protocol.md, with none of the project's own code.

    python3 tests/vectors/check.py              checks all files
    python3 tests/vectors/check.py --self-test  shows that a changed value is noticed

Needs the packages of requirements.txt; `tests/run` installs them and runs both.
"""

import sys
from collections.abc import Callable
from pathlib import Path

try:
    import checks_crypto
    import checks_engine
    import checks_folding
    import checks_frames
    import checks_protocol
    import checks_readers
    import selftest
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}; install tests/vectors/requirements.txt, or use tests/run")
from vector import Case, Failure, Library, load

ROOT = Path(__file__).resolve().parents[2]

CHECKS: dict[str, Callable[[Case, Library], int]] = {
    "crypto/blob": checks_crypto.blob,
    "crypto/envelope": checks_crypto.envelope,
    "crypto/epoch": checks_crypto.epoch,
    "crypto/local": checks_crypto.local,
    "crypto/padding": checks_crypto.padding,
    "crypto/pairing": checks_crypto.pairing,
    "crypto/recovery": checks_crypto.recovery,
    "crypto/vault_header": checks_crypto.vault_header,
    "crypto/words": checks_crypto.words,
    "engine/pairing": checks_engine.pairing,
    "protocol/addresses": checks_protocol.addresses,
    "protocol/blob_frames": checks_frames.blob_frames,
    "protocol/burn": checks_folding.burn,
    "protocol/chain": checks_protocol.chain,
    "protocol/changes": checks_protocol.changes,
    "protocol/client_frames": checks_frames.client_frames,
    "protocol/envelopes": checks_protocol.envelopes,
    "protocol/epoch_record": checks_protocol.epoch_record,
    "protocol/frontier": checks_protocol.frontier,
    "protocol/ids": checks_protocol.ids,
    "protocol/keys": checks_protocol.keys,
    "protocol/readers": checks_readers.readers,
    "protocol/relay_frames": checks_frames.relay_frames,
    "protocol/relay_login": checks_protocol.relay_login,
    "protocol/snapshot": checks_folding.snapshot,
    "protocol/space": checks_protocol.space,
    "protocol/trim": checks_folding.trim,
}


def check_file(library: Library, name: str) -> int:
    """Checks one file and says how many cases it has."""
    counts: list[int] = []
    library.root(name).run(lambda root: counts.append(CHECKS[name](root, library)))
    return counts[0]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--self-test"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        library = load(ROOT)
        for name in CHECKS:
            if name not in library.files:
                raise Failure(name, "the file is missing")
        for name in library.files:
            if name not in CHECKS:
                raise Failure(name, "no check knows this file; write one in tests/vectors")
            count = check_file(library, name)
            if not arguments:
                print(f"{name}.json: {count} cases")
        if arguments:
            selftest.run(library, check_file)
    except Failure as failure:
        print(f"WRONG: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
