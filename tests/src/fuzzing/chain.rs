//! Links of a party chain, changed and signed anew by whoever: a device comes in, goes, or is
//! replaced only by the signature of a device or of the words that may do it. The first byte
//! chooses who signs, the second what is made right again, the rest is a link without signature.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ajar_crypto::{DeviceSecrets, RecoveryPhrase, SlotKeys};
use ajar_protocol::chain::{AppendOutcome, genesis_place};
use ajar_protocol::link::{
    Cutoff, LeaveMode, LinkPlace, NewDevice, RevokeReason, cosign_hash, proof_hash, signed_message,
};
use ajar_protocol::{
    DeviceId, EnvelopeId, Link, LinkBody, LinkHash, LinkKind, PartyChain, id, label,
};
use ed25519_dalek::{Signer, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::Fate;

const TIME: u64 = 1_777_593_600_000;
/// Where a body begins, and where the keys of a new device end in it.
const BODY: usize = 88;
const KEYS: usize = 96;

struct Cast {
    chain: PartyChain,
    /// Everybody who signs: id that stands in a link, key.
    signers: Vec<([u8; 32], SigningKey)>,
    /// Of those, the first ones may sign: laptop, phone, words.
    may: usize,
    newcomer: DeviceSecrets,
    links: Vec<Vec<u8>>,
}

fn words(rng: &mut ChaCha20Rng) -> SlotKeys {
    let words = RecoveryPhrase::generate(rng).unwrap();
    words.slot_keys(1).unwrap()
}

fn device(rng: &mut ChaCha20Rng) -> DeviceSecrets {
    DeviceSecrets::generate(rng).unwrap()
}

fn proven(device: &DeviceSecrets, place: &LinkPlace) -> NewDevice {
    let message = proof_hash(&place.party, place.seq, &place.prev, &device.public());
    NewDevice {
        keys: device.public(),
        sealed_label: b"sealed name".to_vec(),
        proof: device.sign_proof(&message),
    }
}

fn cutoff(device: &DeviceSecrets, counter: u64) -> Cutoff {
    Cutoff {
        device: device.id(),
        counter,
        id: EnvelopeId([0xc0; 32]),
        reason: RevokeReason::Lost,
    }
}

/// Ana with laptop, phone, and a tablet that was removed.
static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(50);
    let (root, other_root) = (words(&mut rng), words(&mut rng));
    let (laptop, phone, tablet) = (device(&mut rng), device(&mut rng), device(&mut rng));
    let (stranger, newcomer) = (device(&mut rng), device(&mut rng));
    let body = LinkBody::Genesis {
        slot: 1,
        root: root.public().root,
        device: laptop.public(),
        random: [0x6a; 16],
    };
    let by_laptop = |place, body| Link::sign(place, body, laptop.id().0, laptop.signing_key());
    let genesis = by_laptop(genesis_place(TIME), body);
    let mut chain = PartyChain::start(genesis).unwrap();
    let mut links = Vec::new();
    for body in [
        LinkBody::DeviceAdd(proven(&phone, &chain.next_place(TIME))),
        LinkBody::Policy { min_version: 1 },
    ] {
        chain
            .append(by_laptop(chain.next_place(TIME), body))
            .unwrap();
    }
    let added = LinkBody::DeviceAdd(proven(&tablet, &chain.next_place(TIME)));
    chain
        .append(by_laptop(chain.next_place(TIME), added))
        .unwrap();
    let removed = LinkBody::DeviceRevoke(cutoff(&tablet, 12));
    chain
        .append(by_laptop(chain.next_place(TIME), removed))
        .unwrap();
    links.extend(chain.links().iter().map(|link| link.as_bytes().to_vec()));
    let place = chain.next_place(TIME);
    let new_root = other_root.public().root;
    let message = cosign_hash(&place.party, place.seq, &place.prev, &new_root);
    let next = [
        LinkBody::DeviceAdd(proven(&newcomer, &place)),
        LinkBody::DeviceRevoke(cutoff(&phone, 3)),
        LinkBody::RevokeAmend(cutoff(&tablet, 15)),
        LinkBody::Recover {
            device: proven(&newcomer, &place),
            revoked: vec![cutoff(&laptop, 40), cutoff(&phone, 2)],
        },
        LinkBody::RootReplace {
            root: new_root,
            cosigner: laptop.id().0,
            cosignature: laptop.sign_cosign(&message),
        },
        LinkBody::Policy { min_version: 2 },
        LinkBody::Leave(LeaveMode::Ended),
    ];
    for body in next {
        links.push(by_laptop(place, body).as_bytes().to_vec());
    }
    let mut signers = vec![
        (laptop.id().0, laptop.signing_key().clone()),
        (phone.id().0, phone.signing_key().clone()),
        (root.public().root.root_id(), root.root.clone()),
    ];
    let may = signers.len();
    for other in [&tablet, &stranger, &newcomer] {
        signers.push((other.id().0, other.signing_key().clone()));
    }
    signers.push((new_root.root_id(), other_root.root.clone()));
    Cast {
        chain,
        signers,
        may,
        newcomer,
        links,
    }
});

/// A link of anybody's.
pub fn chain(input: &[u8]) -> Option<Fate> {
    let cast = &*CAST;
    let ([who, right], rest) = input.split_first_chunk::<2>()?;
    let who = usize::from(*who) % cast.signers.len();
    let (signer, key) = &cast.signers[who];
    let mut bytes = rest.to_vec();
    make_right(cast, *right, signer, &mut bytes);
    let hash = id::hash(label::LINK_HASH, &[&bytes]);
    let signature = key.sign(&signed_message(label::LINK_SIG, &hash));
    bytes.extend_from_slice(&signature.to_bytes());
    let Ok(link) = Link::parse(&bytes) else {
        return Fate::of("link", false);
    };
    let may = who < cast.may;
    let mut after = cast.chain.clone();
    let outcome = after.append(link.clone());
    let taken = outcome == Ok(AppendOutcome::Appended);
    match outcome {
        Ok(AppendOutcome::Known) => unchanged(&cast.chain, &after),
        Ok(AppendOutcome::Appended) => {
            assert!(may, "signer {who} may not sign a {:?}", link.body.kind());
            assert_eq!(after.links().last(), Some(&link));
            judge(&cast.chain, &after, &link);
        }
        Err(_) => unchanged(&cast.chain, &after),
    }
    // And as one that outranks what stands in its place.
    if let Ok(other) = cast.chain.outranked_by(link.clone()) {
        assert_eq!(who, 2, "only the words outrank a device");
        let kept = usize::try_from(link.seq).unwrap();
        let before = cast.chain.links()[..kept].iter().cloned();
        judge(&PartyChain::from_links(before).unwrap(), &other, &link);
    }
    Fate::of("link", taken)
}

/// What stands at a fixed place in front, as bits of `right` say: party, number and link before;
/// length of the body; signer; proof of the newcomer.
fn make_right(cast: &Cast, right: u8, signer: &[u8; 32], bytes: &mut [u8]) {
    if bytes.len() < BODY + 32 {
        return;
    }
    let place = cast.chain.next_place(TIME);
    if right & 1 != 0 {
        bytes[4..36].copy_from_slice(&place.party.0);
        bytes[36..44].copy_from_slice(&place.seq.to_be_bytes());
        bytes[44..76].copy_from_slice(&place.prev.0);
    }
    let end = bytes.len() - 32;
    if right & 2 != 0 {
        let length = u32::try_from(end - BODY).unwrap();
        bytes[84..BODY].copy_from_slice(&length.to_be_bytes());
    }
    if right & 4 != 0 {
        bytes[end..].copy_from_slice(signer);
    }
    let is_new = [LinkKind::DeviceAdd as u8, LinkKind::Recover as u8].contains(&bytes[1]);
    if right & 8 != 0 && is_new && end > BODY + KEYS + 2 {
        let fields: [u8; BODY] = bytes[..BODY].try_into().unwrap();
        let party = fields[4..36].try_into().unwrap();
        let seq = u64::from_be_bytes(fields[36..44].try_into().unwrap());
        let prev = fields[44..76].try_into().unwrap();
        let keys = cast.newcomer.public();
        let message = proof_hash(&ajar_protocol::PartyId(party), seq, &LinkHash(prev), &keys);
        let name = &bytes[BODY + KEYS..BODY + KEYS + 2];
        let at = BODY + KEYS + 2 + usize::from(u16::from_be_bytes([name[0], name[1]]));
        if let Some(proof) = bytes[..end].get_mut(at..at + 64) {
            proof.copy_from_slice(&cast.newcomer.sign_proof(&message));
        }
    }
}

fn ids(chain: &PartyChain) -> BTreeSet<DeviceId> {
    chain.devices().map(|(id, _)| *id).collect()
}

fn unchanged(before: &PartyChain, after: &PartyChain) {
    assert_eq!(after.head(), before.head(), "a refused link left a trace");
    assert_eq!(ids(after), ids(before));
    assert_eq!(after.root(), before.root());
}

/// What one more link may do, and that it can be read again.
fn judge(before: &PartyChain, after: &PartyChain, link: &Link) {
    let (old, new) = (ids(before), ids(after));
    let came: Vec<&DeviceId> = new.difference(&old).collect();
    match &link.body {
        LinkBody::DeviceAdd(device) | LinkBody::Recover { device, .. } => {
            assert_eq!(came, [&device.keys.id()], "another device came in");
        }
        _ => assert!(came.is_empty(), "a device came in by the way"),
    }
    assert!(old.is_subset(&new), "a device is forgotten");
    let gone = |id: &&DeviceId| before.active(id).is_some() && after.active(id).is_none();
    let gone: BTreeSet<&DeviceId> = old.iter().filter(gone).collect();
    let named: BTreeSet<&DeviceId> = match &link.body {
        LinkBody::DeviceRevoke(cutoff) => [&cutoff.device].into(),
        LinkBody::Recover { revoked, .. } => revoked.iter().map(|one| &one.device).collect(),
        _ => BTreeSet::new(),
    };
    assert_eq!(gone, named, "other devices are gone than those named");
    if !matches!(link.body, LinkBody::RootReplace { .. }) {
        assert_eq!(after.root(), before.root());
    }
    let again = after
        .links()
        .iter()
        .map(|link| Link::parse(link.as_bytes()));
    let again = PartyChain::from_links(again.map(Result::unwrap)).unwrap();
    assert_eq!(format!("{again:?}"), format!("{after:?}"));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let cast = &*CAST;
    let mut all = Vec::new();
    for link in &cast.links {
        let unsigned = &link[..link.len() - 64];
        for (who, right) in [
            (0, 0),
            (0, 15),
            (1, 7),
            (2, 5),
            (2, 15),
            (3, 7),
            (4, 7),
            (5, 15),
        ] {
            all.push([&[who, right], unsigned].concat());
        }
    }
    all
}
