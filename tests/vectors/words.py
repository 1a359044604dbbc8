"""The twelve words and the words that people compare: docs/protocol.md, sections 2.2 and 2.9."""

import importlib.resources
import re
from dataclasses import dataclass

import curve
from primitives import (
    Malformed,
    expand,
    extract,
    labelled_hash,
    prefixed,
    sha256,
    u8,
    x25519_public,
)
from wire import WordKeys, demand

# 2.1: the words of BIP-39 in English, a line feed after each.
WORD_LIST_HASH = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"


def _load_words() -> list[str]:
    data = (importlib.resources.files("mnemonic") / "wordlist" / "english.txt").read_bytes()
    if sha256(data).hex() != WORD_LIST_HASH:
        raise SystemExit("the word list of the package `mnemonic` is not that of BIP-39")
    return data.decode("ascii").split()


WORDS = _load_words()
PLACES = {word: place for place, word in enumerate(WORDS)}


def words_of(digest: bytes, count: int) -> list[str]:
    """The first groups of 11 bits, most significant bit first, as words."""
    bits = int.from_bytes(digest, "big")
    total = 8 * len(digest)
    return [WORDS[bits >> (total - 11 * (place + 1)) & 2047] for place in range(count)]


def safety_words(space_id: bytes, lower: bytes, higher: bytes) -> list[str]:
    """2.9: the six words after pairing."""
    return words_of(labelled_hash("ajar/v1/safety-words", space_id + lower + higher), 6)


def sas_words(transcript: bytes, exchanged: bytes) -> list[str]:
    """2.9, Own device: the four words of a new device."""
    return words_of(labelled_hash("ajar/v1/link-sas", transcript + exchanged), 4)


def sync_words(frontier: bytes) -> list[str]:
    """3.1: reserved, four words over an encoded frontier."""
    return words_of(labelled_hash("ajar/v1/sync-words", frontier), 4)


def entropy_of(phrase: str) -> bytes:
    """2.2: the 16 bytes that twelve words stand for; the last four bits are a checksum."""
    typed = re.split(r"[\s\-\u2010-\u2015]+", phrase.strip().lower())
    demand(len(typed) == 12, "not twelve words")
    bits = 0
    for word in typed:
        if word not in PLACES:
            raise Malformed("not a word of the list")
        bits = bits << 11 | PLACES[word]
    entropy = (bits >> 4).to_bytes(16, "big")
    demand(sha256(entropy)[0] >> 4 == bits & 15, "checksum of the words")
    return entropy


@dataclass(frozen=True)
class SlotKeys:
    """The secrets of one slot, and their public halves."""

    root_seed: bytes
    login_seed: bytes
    recovery_secret: bytes
    public: WordKeys


def slot_keys(entropy: bytes, slot: int) -> SlotKeys:
    """2.2, From the twelve words."""
    prk = extract(b"ajar/v1/recovery", entropy)
    name = expand(prk, prefixed("ajar/v1/recovery") + b"slot" + u8(slot), 16)
    root = expand(prk, prefixed("ajar/v1/party-root") + name, 32)
    login = expand(prk, prefixed("ajar/v1/party-login") + name, 32)
    recovery = expand(prk, prefixed("ajar/v1/party-recovery-kem") + name, 32)
    public = WordKeys(curve.public_key(root), curve.public_key(login), x25519_public(recovery))
    return SlotKeys(root, login, recovery, public)
