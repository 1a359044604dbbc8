"""The vectors of `crates/engine`: a pairing above the channel, and the first edit after it."""

from chain import genesis_is_signed
from content import check_epoch_place, epoch_of
from pairing import (
    Offer,
    assembled_genesis,
    read_first_epoch,
    read_offer,
    read_signature,
    read_verdict,
)
from primitives import verified
from strict import refuses_damage
from vector import Case, Library
from wire import (
    CHANGES,
    Envelope,
    actor,
    membership_head,
    read_envelope,
    read_genesis,
    whole,
)
from words import safety_words


def _signed(envelope: Envelope, key: bytes) -> bool:
    return verified(key, "ajar/v1/env-sig", envelope.envelope_id, envelope.signature)


def pairing(root: Case, _library: Library) -> int:
    """2.9, The sequence: messages 4 to 7, and a CHANGES envelope of the shower."""
    offers: list[Offer] = []
    signatures: list[bytes] = []
    for side in ("shower", "enterer"):
        offer, signature = root.bytes(f"offer_{side}"), root.bytes(f"signature_{side}")
        refuses_damage(offer, read_offer)
        refuses_damage(signature, read_signature)
        offers.append(whole(offer, read_offer))
        signatures.append(whole(signature, read_signature))
        root.expect("now_ms", offers[-1].claimed_time_ms)
    assembled = assembled_genesis(offers, signatures)
    root.expect("genesis", assembled)
    genesis = whole(assembled, read_genesis)
    parties = sorted(offers, key=lambda offer: offer.chain.party)
    genesis_is_signed(genesis, [offer.chain.first_device.sign for offer in parties])
    for name, same in (("verdict_same", True), ("verdict_different", False)):
        root.require(whole(root.bytes(name), read_verdict) is same, name)
    root.expect("words", safety_words(genesis.space_id, *genesis.parties))

    heads = tuple(offer.chain.links[-1].hash for offer in parties)
    mhead = membership_head((0, 0), (heads[0], heads[1]))
    shower = offers[0].chain
    device = shower.first_device

    first = whole(root.bytes("first_epoch"), read_first_epoch)
    refuses_damage(root.bytes("first_epoch"), read_first_epoch)
    epoch = epoch_of(first)
    root.require(_signed(first, device.sign), "first epoch: signature")
    root.require(first.device_id == device.device_id and first.counter == 1, "first epoch: place")
    root.require(first.space_id == genesis.space_id and first.mhead == mhead, "first epoch: space")
    root.require(
        (epoch.number, epoch.reason, epoch.parents) == (1, 1, []), "first epoch: not first"
    )
    root.require(epoch.heads == heads, "first epoch: heads")
    recipients = parties[0].chain.recipients() | parties[1].chain.recipients()
    check_epoch_place(epoch, device.device_id, recipients, False)

    def edit(case: Case) -> None:
        found = whole(case.bytes("envelope"), read_envelope)
        refuses_damage(case.bytes("envelope"), read_envelope)
        case.require(_signed(found, device.sign), "signature")
        case.require(found.type == CHANGES and found.device_id == device.device_id, "author")
        case.require(found.space_id == genesis.space_id and found.mhead == mhead, "space")
        case.require(found.prev == found.epoch_id == first.envelope_id, "not after the epoch")
        case.expect("counter", found.counter)
        case.expect("envelope_id", found.envelope_id)
        doc = case.bytes("doc")
        case.require(doc[0] >> 6 == (0 if parties[0] is offers[0] else 1), "not its author's")
        case.expect("actor", actor(found.space_id, found.device_id, doc, 0))

    root.within("edit", edit)
    return 2
