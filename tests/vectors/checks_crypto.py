"""The vectors of `crates/crypto`: everything in them opens, so everything is opened."""

import curve
import hpke
from content import (
    envelope_key,
    epoch_commitment,
    epoch_of,
    open_envelope,
    open_history,
    open_seal,
)
from local import (
    Slot,
    hidden_name,
    local_key,
    open_blob,
    open_record,
    open_slot,
    read_vault,
    seal_blob,
    seal_key_file,
    stream_key,
)
from pairing import (
    Code,
    drawn_scalar,
    message_a,
    message_b,
    open_channel,
    seal_channel,
    session,
)
from primitives import (
    Malformed,
    chacha_stream,
    check_x25519,
    labelled_hash,
    pad,
    padded_length,
    sign,
    unpad,
    verified,
    x25519_public,
)
from vector import Case, Library
from wire import DeviceKeys, Envelope, read_envelope, whole
from words import entropy_of, safety_words, sas_words, slot_keys, sync_words


def padding(root: Case, _library: Library) -> int:
    """2.13."""

    def one_pad(case: Case) -> None:
        content = case.bytes("content")
        padded = pad(content)
        case.expect("first_8", padded[:8])
        case.expect("length", len(padded))
        case.require(unpad(padded) == content, "padding does not come off again")
        for wrong in (padded[:-1], padded + b"\0", padded[:-1] + b"\1", bytes(1024)):
            try:
                unpad(wrong)
            except Malformed:
                continue
            case.require(False, "padding that is not canonical was taken")

    root.within("pad", one_pad)
    count = root.each(
        "padded_len", lambda case: case.expect("padded", padded_length(case.number("length")))
    )
    return count + 1


def blob(root: Case, _library: Library) -> int:
    """2.12."""
    key, salt = root.bytes("key"), root.bytes("salt")
    root.expect("randomness_order", "key 32, salt 16")
    root.expect("randomness", key + salt)
    root.expect("stream_key", stream_key(key, salt))
    root.expect("content", "the byte at place i is i mod 251")

    def stream(case: Case) -> None:
        length = case.number("length")
        content = bytes(place % 251 for place in range(length))
        case.text("name")
        sealed = seal_blob(key, salt, content)
        if "sealed" in case.data:
            case.expect("sealed", sealed)
        case.expect("sealed_length", len(sealed))
        case.expect("first_32", sealed[:32])
        case.expect("last_32", sealed[-32:])
        opened = open_blob(key, salt, length, case.bytes("blob_id"), sealed)
        case.require(opened == content, "other content")

    return root.each("cases", stream)


def _device(secrets: bytes) -> tuple[bytes, DeviceKeys]:
    """3.4: the three secrets of a device in the order in which they are drawn."""
    seed, kem, auth = secrets[:32], secrets[32:64], secrets[64:]
    public = DeviceKeys(curve.public_key(seed), x25519_public(kem), curve.public_key(auth))
    return kem, public


def _envelope_by(case: Case, secrets: bytes) -> tuple[Envelope, DeviceKeys]:
    """Reads and verifies the case's envelope, and makes its signature again."""
    envelope = whole(case.bytes("envelope"), read_envelope)
    device = _device(secrets)[1]
    case.require(envelope.device_id == device.device_id, "another device wrote it")
    good = verified(device.sign, "ajar/v1/env-sig", envelope.envelope_id, envelope.signature)
    case.require(good, "signature")
    made = sign(secrets[:32], "ajar/v1/env-sig", envelope.envelope_id)
    case.require(made == envelope.signature, "not the signature that its key makes")
    case.expect("space_id", envelope.space_id)
    case.expect("mhead", envelope.mhead)
    return envelope, device


def envelope(root: Case, _library: Library) -> int:
    """2.4."""
    found, _device_keys = _envelope_by(root, root.bytes("device_secrets"))
    root.expect("type", found.type)
    root.expect("counter", found.counter)
    root.expect("device_id", found.device_id)
    root.expect("prev", found.prev)
    root.expect("epoch_id", found.epoch_id)
    root.expect("envelope_id", found.envelope_id)
    root.expect("key_commit", found.key_commit)
    root.expect("randomness", found.nonce)
    epoch_key = root.bytes("epoch_key")
    key, _commitment = envelope_key(
        epoch_key, found.nonce, found.device_id, found.space_id, found.epoch_id, found.type
    )
    root.expect("envelope_key", key)
    root.expect("plaintext", open_envelope(found, epoch_key))
    return 1


def epoch(root: Case, _library: Library) -> int:
    """2.7."""
    secrets, ben = root.bytes("author_secrets"), root.bytes("ben_kem_secret")
    found, author = _envelope_by(root, secrets)
    payload = epoch_of(found)
    root.expect("number", payload.number)
    root.expect("reason", payload.reason)
    root.expect("parents", [parent.hex() for parent in payload.parents])
    root.expect("head_lower", payload.heads[0])
    root.expect("head_higher", payload.heads[1])
    order = "epoch key 32, history nonce 24, seed 32 of ChaCha20 for the HPKE ephemeral keys"
    root.expect("randomness_order", order)
    randomness, epoch_key = root.bytes("randomness"), root.bytes("epoch_key")
    root.require(randomness[:56] == epoch_key + payload.hist_nonce, "randomness: key, nonce")
    root.require(
        epoch_commitment(epoch_key, found.space_id, payload.number) == payload.ek_commit,
        "ek_commit",
    )
    drawn = chacha_stream(randomness[56:], 32 * len(payload.seals))
    known: dict[bytes, bytes] = {}

    def recipient(case: Case) -> None:
        kem_pk, named = check_x25519(case.bytes("kem_pk")), case.bytes("id")
        known[named] = kem_pk
        holders = [s for s in (secrets[32:64], ben) if x25519_public(s) == kem_pk]
        case.require(len(holders) == 1, "no secret for this recipient")
        case.require(named != author.device_id or kem_pk == author.kem, "not the author's key")
        opened = open_seal(found, payload, named, holders[0])
        case.require(opened == epoch_key, "the seal holds another key")
        place = [seal.recipient for seal in payload.seals].index(named)
        ephemeral = hpke.derive_secret(drawn[32 * place : 32 * place + 32])
        case.require(
            x25519_public(ephemeral) == payload.seals[place].enc, "not the ephemeral key drawn"
        )

    count = root.each("recipients", recipient)
    root.require(sorted(known) == [seal.recipient for seal in payload.seals], "other recipients")
    history = open_history(found, payload, epoch_key)
    stated: dict[bytes, bytes] = {}
    root.each("history", lambda case: stated.update({case.bytes("epoch_id"): case.bytes("key")}))
    root.require(history == stated, "hist holds other keys")
    return count


def recovery(root: Case, _library: Library) -> int:
    """2.2."""

    def slot(case: Case) -> None:
        keys = slot_keys(entropy_of(case.text("words")), case.number("slot"))
        case.expect("root_seed", keys.root_seed)
        case.expect("login_seed", keys.login_seed)
        case.expect("recovery_kem_secret", keys.recovery_secret)
        case.expect("root_pk", keys.public.root)
        case.expect("login_pk", keys.public.login)
        case.expect("rk_pk", keys.public.recovery)

    return root.each("list", slot)


def pairing(root: Case, _library: Library) -> int:
    """2.9, The exchange."""

    def exchange(case: Case) -> None:
        relay_pk, words = case.bytes("relay_pk"), case.text("words")
        code = Code(case.text("purpose"), case.text("nameplate"), relay_pk, words)
        x = drawn_scalar(case.bytes("shower_seed"))
        y = drawn_scalar(case.bytes("enterer_seed"))
        msg_a, msg_b = message_a(code, x), message_b(code, y)
        case.expect("msg_a", msg_a)
        case.expect("msg_b", msg_b)
        shower = session(code, x, True, msg_a, msg_b)
        case.require(shower == session(code, y, False, msg_a, msg_b), "the sides differ")
        case.expect("transcript", shower.transcript)
        case.expect("confirm_a", shower.confirm_a)
        case.expect("confirm_b", shower.confirm_b)
        case.expect("sas_of_no_keys", sas_words(shower.transcript, b""))
        for field, key in (("from_shower", shower.key_ab), ("from_enterer", shower.key_ba)):
            sealed = [bytes.fromhex(text) for text in case.value(field)]
            opened = open_channel(key, shower.transcript, sealed)
            case.require(seal_channel(key, shower.transcript, opened) == sealed, field)

    return root.each("list", exchange)


def words(root: Case, _library: Library) -> int:
    """2.9 and 3.1."""

    def safety(case: Case) -> None:
        lower, higher = case.bytes("party_lower"), case.bytes("party_higher")
        case.expect("words", safety_words(case.bytes("space_id"), lower, higher))

    def sas(case: Case) -> None:
        case.expect("words", sas_words(case.bytes("transcript"), case.bytes("exchanged")))

    root.within("safety_words", safety)
    root.within("sas_words", sas)
    root.within("sync_words", lambda case: case.expect("words", sync_words(case.bytes("frontier"))))
    return 3


def vault_header(root: Case, _library: Library) -> int:
    """storage-format.md, 2.1."""
    slots = read_vault(root.bytes("header"))
    drawn = b""
    for name, which in (("shared", 2), ("private", 1)):
        slot = slots[which]
        root.expect("memory_kib", slot.memory_kib)
        root.expect("passes", slot.passes)
        root.expect("lanes", slot.lanes)
        drawn += slot.salt + slot.nonce

        def opened(case: Case, slot: Slot = slot) -> None:
            case.expect("lmk", open_slot(slot, case.text("passphrase")))

        root.within(name, opened)
    order = "shared salt 16, shared nonce 24, private salt 16, private nonce 24"
    root.expect("randomness_order", order)
    root.expect("randomness", drawn)
    return 2


def local(root: Case, _library: Library) -> int:
    """storage-format.md, 2.2, 3.1 and 4.2."""
    lmk = root.bytes("lmk")
    root.expect("keyfile_key", local_key(lmk, "keyfile"))
    root.expect("value_key", local_key(lmk, "db-value"))

    def key_file(case: Case) -> None:
        which, nonce = case.number("which"), case.bytes("nonce")
        sealed = seal_key_file(lmk, which, nonce, case.bytes("content"))
        case.expect("length", len(sealed))
        case.expect("first_96", sealed[:96])
        case.expect("hash_under_label_x", labelled_hash("x", sealed))

    def record(case: Case) -> None:
        sealed = case.bytes("sealed")
        case.expect("nonce", sealed[:24])
        case.expect("value", open_record(case.bytes("key"), case.bytes("aad"), sealed))

    root.within("keyfile", key_file)
    root.within("record", record)
    root.within("name", lambda case: case.expect("hidden", hidden_name(lmk, case.bytes("logical"))))
    return 3
