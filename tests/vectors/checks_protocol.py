"""The vectors of `crates/protocol`: layouts, ids, chains, and what a relay sees.

Keys and ciphertexts in them are fixed bytes, so nothing opens; people recur from file to file, and
where they do, one file is checked against the other.
"""

import curve
from chain import Chain, genesis_is_signed
from content import check_epoch_place, epoch_of, read_changes, read_epoch
from frames import (
    Login,
    login_hash,
    permit_hash,
    read_address,
    read_login,
    write_address,
)
from primitives import (
    Malformed,
    check_ed25519,
    check_x25519,
    labelled_hash,
    prefixed,
    sign,
    verified,
)
from strict import refuses_damage
from vector import Case, Library
from wire import (
    EPOCH,
    DeviceKeys,
    Row,
    WordKeys,
    actor,
    cosign_hash,
    membership_head,
    party_id,
    proof_hash,
    read_envelope,
    read_frontier,
    read_genesis,
    read_link,
    whole,
)


def known_devices(library: Library) -> dict[bytes, DeviceKeys]:
    """The devices of ids.json by their ids."""
    devices = [
        DeviceKeys(*(bytes.fromhex(row[name]) for name in ("sign", "kem", "auth")))
        for row in library["protocol/ids"]["devices"]
    ]
    return {device.device_id: device for device in devices}


def known_chain(library: Library) -> Chain:
    """The chain of chain.json, cut after its first two links: so it stood when spaces were made."""
    links = [bytes.fromhex(row["link"]) for row in library["protocol/chain"]["links"][:2]]
    built = Chain(whole(links[0], read_link))
    built.append(whole(links[1], read_link))
    return built


def ids(root: Case, _library: Library) -> int:
    """2.1, 2.2, and the hashes of 2.3 and 2.6."""
    devices: dict[bytes, DeviceKeys] = {}
    words: dict[bytes, WordKeys] = {}

    def device(case: Case) -> None:
        keys = DeviceKeys(case.bytes("sign"), case.bytes("kem"), case.bytes("auth"))
        case.expect("sign", curve.public_key(case.bytes("sign_seed")))
        case.expect("auth", curve.public_key(case.bytes("auth_seed")))
        check_x25519(keys.kem)
        case.expect("device_id", keys.device_id)
        devices[keys.device_id] = keys

    def word_keys(case: Case) -> None:
        keys = WordKeys(case.bytes("root"), case.bytes("login"), case.bytes("recovery_kem"))
        case.expect("root", curve.public_key(case.bytes("root_seed")))
        check_ed25519(keys.login)
        check_x25519(keys.recovery)
        case.expect("root_id", keys.root_id)
        case.expect("recovery_id", keys.recovery_id)
        words[keys.root] = keys

    def proof(case: Case) -> None:
        party, seq, prev = case.bytes("party"), case.number("seq"), case.bytes("prev")
        case.expect("hash", proof_hash(party, seq, prev, devices[case.bytes("device")]))

    def cosign(case: Case) -> None:
        party, seq, prev = case.bytes("party"), case.number("seq"), case.bytes("prev")
        case.expect("hash", cosign_hash(party, seq, prev, words[case.bytes("root")]))

    def party(case: Case) -> None:
        case.expect("party_id", party_id(case.bytes("genesis_link_hash")))

    def label(case: Case) -> None:
        case.expect("bytes", prefixed(case.text("label")))

    def hashed(case: Case) -> None:
        parts = b"".join(bytes.fromhex(part) for part in case.value("parts"))
        case.expect("hash", labelled_hash(case.text("label"), parts))

    def actor_id(case: Case) -> None:
        space, author, doc = case.bytes("space"), case.bytes("device"), case.bytes("doc")
        case.expect("actor", actor(space, author, doc, case.number("incarnation")))

    count = root.each("devices", device) + root.each("words", word_keys)
    root.within("proof_hash", proof)
    root.within("cosign_hash", cosign)
    root.within("party", party)
    root.within("prefixed_label", label)
    root.within("hash", hashed)
    root.within("actor", actor_id)
    return count + 6


def keys(root: Case, _library: Library) -> int:
    """2.1, Keys are checked when they are read: at the edges of what is sound."""

    def key(case: Case) -> None:
        data = case.bytes("key")
        for kind, check in (("ed25519", check_ed25519), ("x25519", check_x25519)):
            try:
                sound = check(data) == data
            except Malformed:
                sound = False
            case.require(case.value(kind) is sound, f"{kind}: the specification says {sound}")

    return root.each("list", key)


def chain(root: Case, _library: Library) -> int:
    """2.3."""
    chains: list[Chain] = []

    def link(case: Case) -> None:
        data = case.bytes("link")
        found = whole(data, read_link)
        refuses_damage(data, read_link)
        case.expect("kind", found.kind)
        case.expect("party", found.party)
        case.expect("seq", found.seq)
        case.expect("prev", found.prev)
        case.expect("claimed_time_ms", found.claimed_time_ms)
        case.expect("signer", found.signer)
        case.expect("hash", found.hash)
        if chains:
            chains[0].append(found)
        else:
            chains.append(Chain(found))

    count = root.each("links", link)
    root.expect("party_id", chains[0].party)
    return count


def space(root: Case, library: Library) -> int:
    """2.3, Space genesis and Membership head."""
    own, devices = known_chain(library), known_devices(library)
    partner = list(devices.values())[2]

    def private(case: Case) -> None:
        data = case.bytes("genesis")
        found = whole(data, read_genesis)
        refuses_damage(data, read_genesis)
        case.require(not found.shared and found.parties == (own.party,), "another party")
        case.expect("party", own.party)
        case.expect("space_id", found.space_id)
        genesis_is_signed(found, [own.first_device.sign])

        def membership(inner: Case) -> None:
            seq, head = inner.number("seq"), inner.bytes("head")
            inner.require(own.links[seq].hash == head, "not the link at this place")
            inner.expect("mhead", membership_head((seq, 0), (head, bytes(32))))

        case.within("membership", membership)

    def shared(case: Case) -> None:
        data = case.bytes("genesis")
        found = whole(data, read_genesis)
        refuses_damage(data, read_genesis)
        case.require(found.shared, "not shared")
        case.expect("lower", found.parties[0])
        case.expect("higher", found.parties[1])
        case.expect("space_id", found.space_id)
        case.require(found.parties[1] == own.party, "the higher party is another")
        genesis_is_signed(found, [partner.sign, own.first_device.sign])

        def membership(inner: Case) -> None:
            low, high = (bytes.fromhex(head) for head in inner.value("heads"))
            seqs = inner.value("seqs")
            inner.require(party_id(low) == found.parties[0], "not the lower party's GENESIS")
            inner.require(own.links[seqs[1]].hash == high, "not the link at this place")
            inner.expect("mhead", membership_head((seqs[0], seqs[1]), (low, high)))

        case.within("membership", membership)

    root.within("private", private)
    root.within("shared", shared)
    return 2


def envelopes(root: Case, _library: Library) -> int:
    """2.4, of envelopes that do not open."""
    seed = root.bytes("sign_seed")
    before: list[bytes] = [bytes(32)]

    def envelope(case: Case) -> None:
        data = case.bytes("envelope")
        found = whole(data, read_envelope)
        refuses_damage(data, read_envelope)
        made = sign(seed, "ajar/v1/env-sig", found.envelope_id)
        case.require(made == found.signature, "signature")
        public = curve.public_key(seed)
        good = verified(public, "ajar/v1/env-sig", found.envelope_id, found.signature)
        case.require(good, "signature does not verify")
        case.expect("type", found.type)
        case.expect("space_id", found.space_id)
        case.expect("epoch_id", found.epoch_id)
        case.expect("device_id", found.device_id)
        case.expect("counter", found.counter)
        case.expect("prev", found.prev)
        case.expect("mhead", found.mhead)
        case.expect("nonce", found.nonce)
        case.expect("key_commit", found.key_commit)
        case.expect("ct_len", found.ct_len)
        case.expect("header", found.header)
        case.expect("envelope_id", found.envelope_id)
        case.require(found.prev == before[-1], "does not follow the one before")
        if found.type == EPOCH:
            epoch_of(found)
        before.append(found.envelope_id)

    return root.each("envelopes", envelope)


def epoch_record(root: Case, library: Library) -> int:
    """2.7, the payload, with the recipients at its heads."""
    payload = root.bytes("payload")
    epoch = read_epoch(payload)
    refuses_damage(payload, lambda reader: read_epoch(reader.rest()))
    root.expect("number", epoch.number)
    root.expect("reason", epoch.reason)
    root.expect("parents", [parent.hex() for parent in epoch.parents])
    root.expect("head_lower", epoch.heads[0])
    root.expect("head_higher", epoch.heads[1])
    root.expect("ek_commit", epoch.ek_commit)
    root.expect("history_aad", epoch.front)
    root.expect("history_nonce", epoch.hist_nonce)
    root.expect("history", epoch.hist)
    seals = iter(epoch.seals)

    def seal(case: Case) -> None:
        found = next(seals)
        case.expect("recipient", found.recipient)
        case.expect("enc", found.enc)
        case.expect("ct", found.ct)

    root.each("seals", seal)
    root.require(next(seals, None) is None, "the payload has more seals")
    own = known_chain(library)
    device = list(known_devices(library))[2]
    partner = {bytes.fromhex(library["protocol/ids"]["words"][2]["recovery_id"]), device}
    root.require(epoch.heads[1] == own.links[-1].hash, "not the head of the known chain")
    check_epoch_place(epoch, own.first_device.device_id, own.recipients() | partner, False)
    return 1


def _row(case: Case) -> Row:
    return Row(case.bytes("device"), case.number("counter"), case.bytes("id"))


def changes(root: Case, _library: Library) -> int:
    """2.4, Plaintext of CHANGES."""
    plaintext = root.bytes("plaintext")
    found = read_changes(plaintext)
    refuses_damage(plaintext, lambda reader: read_changes(reader.rest()))
    root.expect("claimed_time_ms", found.claimed_time_ms)
    root.expect("plaintext_head_when_compressed", bytes([1, 1]))
    acks: list[Row] = []
    root.each("acks", lambda case: acks.append(_row(case)))
    root.require(acks == found.acks, "other acknowledgements")
    documents = iter(found.documents)

    def document(case: Case) -> None:
        said = next(documents)
        case.expect("doc", said.doc_id)
        case.expect("incarnation", said.incarnation)
        case.expect("changes", [change.hex() for change in said.changes])

    root.each("docs", document)
    root.require(next(documents, None) is None, "the plaintext has more documents")
    return 1


def frontier(root: Case, _library: Library) -> int:
    """2.8."""
    data = root.bytes("bytes")
    refuses_damage(data, read_frontier)
    rows: list[Row] = []
    root.each("rows", lambda case: rows.append(_row(case)))
    root.require(rows == whole(data, read_frontier), "other rows")
    return 1


def relay_login(root: Case, library: Library) -> int:
    """2.8, Login, and the permit of 2.8, Address."""

    def login(case: Case) -> None:
        message = case.bytes("message")
        found: Login = whole(message, read_login)
        refuses_damage(message, read_login)
        case.expect("relay", found.relay)
        case.expect("space", found.space)
        case.expect("device", found.device)
        case.expect("exporter_label", "EXPORTER-ajar-v1-relay-auth")
        digest, seed = login_hash(case.bytes("exporter"), found), case.bytes("auth_seed")
        case.expect("hash", digest)
        case.require(found.auth == curve.public_key(seed), "another login key")
        case.require(found.auth == known_devices(library)[found.device].auth, "another device")
        case.require(found.signature == sign(seed, "ajar/v1/relay-auth", digest), "signature")
        good = verified(found.auth, "ajar/v1/relay-auth", digest, found.signature)
        case.require(good, "signature does not verify")

    def permit(case: Case) -> None:
        digest, seed = permit_hash(case.bytes("space")), case.bytes("relay_seed")
        case.expect("permit", sign(seed, "ajar/v1/relay-permit", digest))

    root.within("login", login)
    root.within("permit", permit)
    return 2


def addresses(root: Case, _library: Library) -> int:
    """2.8, Address."""

    def address(case: Case) -> None:
        text = case.text("address")
        found = read_address(text)
        case.expect("host", found.host)
        case.expect("port", found.port)
        case.expect("key", found.key)
        case.expect("claim", found.claim)
        case.require(write_address(found) == text, "writes itself in another way")
        front, tail = text.split("#")
        loud = tail.upper().replace("&CLAIM=", "&claim=")
        case.require(read_address(f" {front}#{loud}\n") == found, "capital letters, white space")

    return root.each("list", address)
