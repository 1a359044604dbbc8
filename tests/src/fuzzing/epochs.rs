//! Key changes of a member whose keys are real. Whatever they are, no device comes in or goes by
//! them, and Ben's devices go on reading each other. The first byte chooses whether the rest is
//! the record or the whole envelope without its signature.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ajar_crypto::epoch::{NewEpoch, create_epoch};
use ajar_protocol::envelope::{self, HEADER, assemble};
use ajar_protocol::epoch::{EpochReason, recipients};
use ajar_protocol::{DeviceId, Envelope, PartyChain, id, label};

use super::Fate;
use super::scene::{SCENE, Scene};
use super::world::{PHONE, World, rng};

/// Ana's next envelope if she changes the key honestly.
static HONEST: LazyLock<Envelope> = LazyLock::new(|| {
    let rogue = &SCENE.rogue;
    let chains: Vec<&PartyChain> = rogue.chains.iter().collect();
    let seqs: Vec<u64> = chains.iter().map(|chain| chain.last_seq()).collect();
    let new = NewEpoch {
        number: number() + 1,
        reason: EpochReason::Periodic,
        parents: &[rogue.epoch],
        head_lower: chains[0].head(),
        head_higher: chains[1].head(),
        recipients: &recipients(&chains, &seqs).unwrap(),
        history: &[(rogue.epoch, rogue.key.clone())],
    };
    let made = create_epoch(&rogue.place, &new, &rogue.secrets, &mut rng(40));
    made.unwrap().0
});

/// Number of the epoch in force: the first one, and one for Ben's laptop.
fn number() -> u64 {
    let is_it = |number: &u64| {
        let rogue = &SCENE.rogue;
        let epoch = SCENE.envelope(&rogue.epoch.0);
        let body = &epoch[HEADER..];
        body[1..9] == number.to_be_bytes()
    };
    (0..10).find(is_it).unwrap()
}

/// A key change of Ana's.
pub fn epochs(input: &[u8]) -> Option<Fate> {
    let (how, rest) = input.split_first()?;
    let way = ["record", "envelope"][usize::from(how % 2)];
    let scene = &*SCENE;
    let sign = |id: &[u8; 32]| scene.rogue.secrets.sign_envelope(id);
    let bytes = if how % 2 == 0 {
        let mut header = *HONEST.header();
        header.length = u32::try_from(rest.len()).unwrap();
        match assemble(&header, rest, |id| sign(&id.0)) {
            Ok(envelope) => envelope.as_bytes().to_vec(),
            Err(_) => return Fate::of(way, false),
        }
    } else {
        let signature = sign(&id::hash(label::ENV_HASH, &[rest]));
        [rest, &signature].concat()
    };
    let mut world = scene.begin();
    let before = devices(&mut world);
    let known = scene.rogue.known(&world);
    world.inject(&bytes);
    world.run();
    let taken = scene.rogue.known(&world) != known;
    assert_eq!(devices(&mut world), before, "a key change is no link");
    world.life_goes_on(scene);
    assert_eq!(devices(&mut world), before, "a key change is no link");
    Fate::of(way, taken)
}

/// Every device, and whether it is active.
fn devices(world: &mut World) -> BTreeMap<DeviceId, bool> {
    let status = world.devices[PHONE].home.status();
    let devices = status.devices.iter();
    devices.map(|device| (device.id, device.active)).collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let bytes = HONEST.as_bytes();
    let unsigned = &bytes[..bytes.len() - envelope::SIGNATURE];
    vec![
        [&[0], &unsigned[HEADER..]].concat(),
        [&[1], unsigned].concat(),
    ]
}

impl Scene {
    /// The envelope of this id.
    fn envelope(&self, id: &[u8; 32]) -> Vec<u8> {
        let mut log = self.log().iter();
        let found = log.find(|bytes| Envelope::parse(bytes).unwrap().id().0 == *id);
        found.unwrap().clone()
    }
}
