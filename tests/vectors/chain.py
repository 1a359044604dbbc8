"""Party chains and spaces: the rules of docs/protocol.md, section 2.3.

Forks and links that outrank others are left to the engine's tests; here a chain only grows.
"""

from primitives import verified
from wire import (
    ZERO,
    CutOff,
    DeviceKeys,
    Genesis,
    Link,
    Reader,
    cosign_hash,
    demand,
    party_id,
    proof_hash,
    read_link,
    whole,
)


class Chain:
    """One party: the state that its links make, each verified when it is taken."""

    def __init__(self, genesis: Link) -> None:
        demand(genesis.kind == "Genesis", "the first link is not GENESIS")
        demand(genesis.seq == 0, "GENESIS: seq")
        demand(genesis.prev == ZERO and genesis.party == ZERO, "GENESIS: prev or party")
        assert genesis.words is not None and genesis.device is not None
        self.words = genesis.words
        self.party = party_id(genesis.hash)
        self.links: list[Link] = []
        self.ever: dict[bytes, DeviceKeys] = {}
        self.active: set[bytes] = set()
        self.cut_offs: dict[bytes, CutOff] = {}
        self.amended: set[bytes] = set()
        self.keys: set[bytes] = set()
        self.min_version = 0
        self.left = False
        self._use_keys(genesis.words.all + genesis.device.all)
        device = genesis.device
        demand(genesis.signer == device.device_id, "GENESIS: signer is not its own device")
        demand(_signed(genesis, device.sign), "GENESIS: signature")
        self.ever[device.device_id] = device
        self.active.add(device.device_id)
        self.first_device = device
        self.links.append(genesis)

    def append(self, link: Link) -> None:
        """Takes the next link, or refuses it for the first rule that it breaks."""
        last = self.links[-1]
        demand(link.seq == len(self.links), "seq is not the next place")
        demand(link.party == self.party, "another party")
        demand(link.prev == last.hash, "prev is not the last link")
        demand(not self.left, "nothing follows LEAVE")
        demand(len(self.links) < 4096, "too many links")
        by_root = link.signer == self.words.root_id
        demand(by_root or link.signer in self.active, "signer may not")
        key = self.words.root if by_root else self.ever[link.signer].sign
        demand(_signed(link, key), "link signature")
        rule = getattr(self, f"_take_{link.kind.lower()}", None)
        demand(rule is not None, "GENESIS after the first link")
        assert rule is not None
        rule(link, by_root)
        self.links.append(link)

    def recipients(self) -> set[bytes]:
        """2.7, Recipients: this party's part of them, at its last link."""
        devices = set() if self.left else self.active
        return {self.words.recovery_id} | devices

    def _use_keys(self, keys: list[bytes]) -> None:
        demand(len(set(keys)) == len(keys), "the same key twice")
        demand(not self.keys & set(keys), "a key was used before in this chain")
        self.keys |= set(keys)

    def _add(self, link: Link, staying: int) -> None:
        device = link.device
        assert device is not None
        digest = proof_hash(link.party, link.seq, link.prev, device)
        demand(verified(device.sign, "ajar/v1/link-pop", digest, link.proof), "proof")
        demand(staying < 8 and len(self.ever) < 64, "too many devices")
        self._use_keys(device.all)
        self.ever[device.device_id] = device
        self.active.add(device.device_id)

    def _revoke(self, cut_off: CutOff) -> None:
        demand(cut_off.device in self.active, "the revoked device is not active")
        self.active.remove(cut_off.device)
        self.cut_offs[cut_off.device] = cut_off

    def _take_deviceadd(self, link: Link, by_root: bool) -> None:
        demand(not by_root, "DEVICE_ADD by a root")
        self._add(link, len(self.active))

    def _take_devicerevoke(self, link: Link, _by_root: bool) -> None:
        demand(link.signer != link.cut_offs[0].device, "a device revokes itself")
        self._revoke(link.cut_offs[0])

    def _take_recover(self, link: Link, by_root: bool) -> None:
        demand(by_root, "RECOVER by a device")
        for cut_off in link.cut_offs:
            self._revoke(cut_off)
        self._add(link, len(self.active))

    def _take_rootreplace(self, link: Link, by_root: bool) -> None:
        demand(by_root, "ROOT_REPLACE by a device")
        demand(link.cosigner in self.active, "the cosigner is not active")
        assert link.words is not None
        digest = cosign_hash(link.party, link.seq, link.prev, link.words)
        key = self.ever[link.cosigner].sign
        demand(verified(key, "ajar/v1/link-cosign", digest, link.cosignature), "cosignature")
        self._use_keys(link.words.all)
        self.words = link.words

    def _take_leave(self, _link: Link, _by_root: bool) -> None:
        self.left = True

    def _take_policy(self, link: Link, by_root: bool) -> None:
        demand(not by_root, "POLICY by a root")
        assert link.min_version is not None
        demand(link.min_version >= self.min_version, "min_version is lowered")
        self.min_version = link.min_version

    def _take_revokeamend(self, link: Link, by_root: bool) -> None:
        demand(not by_root, "REVOKE_AMEND by a root")
        new = link.cut_offs[0]
        old = self.cut_offs.get(new.device)
        demand(old is not None, "the amended device is not revoked")
        assert old is not None
        demand(new.device not in self.amended, "amended before")
        demand(new.counter > old.counter, "the new cut-off is not higher")
        self.amended.add(new.device)
        self.cut_offs[new.device] = CutOff(new.device, new.counter, new.envelope_id, old.reason)


def _signed(link: Link, key: bytes) -> bool:
    return verified(key, "ajar/v1/link-sig", link.hash, link.signature)


def chain_of(links: list[bytes]) -> Chain:
    """A chain from the bytes of its links."""
    chain = Chain(whole(links[0], read_link))
    for link in links[1:]:
        chain.append(whole(link, read_link))
    return chain


def genesis_is_signed(genesis: Genesis, sign_keys: list[bytes]) -> None:
    """2.3, Space genesis: each party's first device has signed the space id."""
    demand(len(sign_keys) == len(genesis.signatures), "a signature for each party")
    for key, signature in zip(sign_keys, genesis.signatures):
        good = verified(key, "ajar/v1/space-sig", genesis.space_id, signature)
        demand(good, "genesis signature")


def read_one_link(reader: Reader) -> Link:
    """A link inside `u16+…`."""
    return whole(reader.counted(2, 4280), read_link)
