//! A device of the relay's own, and links that would put it into somebody's list.

use ajar_crypto::DeviceSecrets;
use ajar_protocol::link::{LinkBody, NewDevice, proof_hash};
use ajar_protocol::{Link, PartyChain};

/// At the next place of a chain, with a good proof of its keys: signed by itself, and signed by
/// itself in the name of the chain's first device.
pub(super) fn links(chain: &PartyChain) -> Vec<Vec<u8>> {
    let ghost = DeviceSecrets::generate(&mut getrandom::SysRng).unwrap();
    let place = chain.next_place(0);
    let hash = proof_hash(&place.party, place.seq, &place.prev, &ghost.public());
    let signed_as = |signer: [u8; 32]| {
        let body = LinkBody::DeviceAdd(NewDevice {
            keys: ghost.public(),
            sealed_label: Vec::new(),
            proof: ghost.sign_proof(&hash),
        });
        let link = Link::sign(place, body, signer, ghost.signing_key());
        link.as_bytes().to_vec()
    };
    let first = chain.devices().next().map(|(id, _)| id.0);
    let names = [Some(ghost.id().0), first];
    names.into_iter().flatten().map(signed_as).collect()
}
