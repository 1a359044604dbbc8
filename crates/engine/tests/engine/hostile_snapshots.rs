//! Snapshots that lie: empty ones that cover everything, heads that are not those of the bytes,
//! old ones and those of other spaces.

use ajar_engine::snapshot::pack::{PackError, open_pack, seal_pack};
use ajar_engine::{NoticeKind, Ownership};
use ajar_protocol::snapshot::Snapshot;
use ajar_protocol::{Envelope, EnvelopeId, EnvelopeType, EpochId, LinkHash, PartyChain};

use crate::hostile::scene;
use crate::rogue::Rogue;
use crate::world::{ANA, BEN, LAPTOP, World};

fn differs(kinds: &[NoticeKind]) -> bool {
    let one = |kind: &NoticeKind| matches!(kind, NoticeKind::SnapshotDiffers { .. });
    kinds.iter().any(one)
}

/// Threats 16 and 79.
#[test]
fn an_empty_snapshot_with_a_large_cover_is_told_and_neither_endorsed_nor_begun_from() {
    let mut scene = scene(201);
    let head = |place: usize| {
        let chain: Option<&PartyChain> = scene.ben.chains.get(place);
        chain.map_or(LinkHash::ZERO, PartyChain::head)
    };
    let snapshot = Snapshot {
        claimed_time_ms: 0,
        head_lower: head(0),
        head_higher: head(1),
        previous: EnvelopeId::ZERO,
        cover: scene.world.relay.frontier.clone(),
        retired: Vec::new(),
        burned: Vec::new(),
        packs: Vec::new(),
    };
    let content = snapshot.encode().unwrap();
    let envelope = scene.ben.seal(EnvelopeType::Snapshot, &content);
    let world = &mut scene.world;
    world.inject(envelope);
    world.run();
    let before = world.heads(ANA);
    for who in [ANA, LAPTOP] {
        assert_eq!(world.compare(who), Some(0));
        assert!(differs(&world.notices(who)), "{who}");
    }
    let sent = world.relay.log.len();
    world.put(ANA, scene.doc, "life", "goes on");
    world.run();
    assert_eq!(world.relay.log.len(), sent + 1, "no endorsement goes along");
    let phone = world.link_offline(ANA);
    world.connect(phone);
    world.run();
    assert!(world.devices[phone].home.packs_to_start().is_empty());
    assert!(world.heads(phone).len() >= before.len());
    assert_eq!(world.heads(phone), world.heads(ANA));
}

#[test]
fn a_snapshot_that_burns_what_nobody_burned_is_told() {
    let mut scene = scene(202);
    let snapshot = Snapshot {
        claimed_time_ms: 0,
        head_lower: LinkHash::ZERO,
        head_higher: LinkHash::ZERO,
        previous: EnvelopeId::ZERO,
        cover: scene.world.relay.frontier.clone(),
        retired: Vec::new(),
        burned: vec![scene.doc],
        packs: Vec::new(),
    };
    let content = snapshot.encode().unwrap();
    let envelope = scene.ben.seal(EnvelopeType::Snapshot, &content);
    let world = &mut scene.world;
    world.inject(envelope);
    world.run();
    world.compare(ANA);
    assert!(differs(&world.notices(ANA)));
    assert!(
        world.heads(ANA).contains_key(&scene.doc),
        "nothing is burned by that"
    );
}

#[test]
fn a_pack_whose_heads_key_or_bytes_are_not_what_is_said_is_refused_before_it_is_used() {
    let mut world = World::online(203);
    let doc = world.new_doc(ANA, ajar_engine::Ownership::Mine);
    world.put(ANA, doc, "text", "as it was");
    world.run();
    let ana = &mut world.devices[ANA];
    ana.home.begin_snapshot().unwrap();
    let plain = ana.home.next_pack().unwrap().unwrap();
    let sealed = seal_pack(&plain, &mut ana.rng).unwrap();
    let open = |change: &dyn Fn(&mut ajar_protocol::snapshot::PackRef)| {
        let mut reference = sealed.reference.clone();
        change(&mut reference);
        open_pack(&reference, &sealed.ciphertext).map(drop)
    };
    assert_eq!(open(&|_| ()), Ok(()));
    assert_eq!(open(&|it| it.digest[0] ^= 1), Err(PackError::Content));
    assert_eq!(open(&|it| it.docs += 1), Err(PackError::Content));
    assert_eq!(open(&|it| it.key[0] ^= 1), Err(PackError::Damaged));
    assert_eq!(open(&|it| it.blob.0[0] ^= 1), Err(PackError::Damaged));
    assert_eq!(open(&|it| it.length += 1), Err(PackError::Damaged));
    for at in [0, sealed.ciphertext.len() / 2, sealed.ciphertext.len() - 1] {
        let mut altered = sealed.ciphertext.clone();
        altered[at] ^= 1;
        let opened = open_pack(&sealed.reference, &altered).map(drop);
        assert_eq!(opened, Err(PackError::Damaged), "{at}");
    }
    let cut = &sealed.ciphertext[..sealed.ciphertext.len() - 1];
    assert!(open_pack(&sealed.reference, cut).is_err());
}

/// Threat 24: a relay cannot sign; it can only show something that was signed elsewhere.
#[test]
fn a_snapshot_of_another_couple_is_dropped() {
    let mut others = World::online(204);
    let doc = others.new_doc(ANA, ajar_engine::Ownership::Mine);
    others.put(ANA, doc, "text", "of others");
    others.run();
    others.snapshot(ANA);
    let foreign = others.relay.log.clone();
    let mut world = World::online(205);
    let own = world.new_doc(ANA, ajar_engine::Ownership::Mine);
    world.put(ANA, own, "text", "our own");
    world.run();
    let laptop = world.link_offline(ANA);
    world.relay.log.extend(foreign);
    world.connect(laptop);
    world.run();
    assert!(world.devices[laptop].home.packs_to_start().is_empty());
    assert_eq!(world.heads(laptop), world.heads(ANA));
}

/// Threat 16: the relay goes back to a snapshot from before it was trimmed.
#[test]
fn a_snapshot_from_before_the_trim_is_not_begun_from() {
    let mut world = World::online(206);
    let doc = world.new_doc(ANA, ajar_engine::Ownership::Mine);
    world.put(ANA, doc, "text", "first");
    world.run();
    world.snapshot(ANA);
    let old = world.relay.log.clone();
    world.put(ANA, doc, "text", "second");
    world.run();
    world.snapshot(ANA);
    world.compare(crate::world::BEN);
    let bens = world.new_doc(crate::world::BEN, ajar_engine::Ownership::Mine);
    world.put(crate::world::BEN, bens, "text", "his");
    world.run();
    let laptop = world.link_offline(ANA);
    let send = world.devices[ANA].home.trim_now(world.now).unwrap();
    world.say(ANA, send);
    world.run();
    assert!(world.relay.trim.is_some());
    // It shows the trim record and, of snapshots, only the one from before.
    let kind = |bytes: &Vec<u8>| ajar_protocol::Envelope::parse(bytes).unwrap().header().kind;
    world
        .relay
        .log
        .retain(|bytes| kind(bytes) != EnvelopeType::Snapshot);
    let earlier = old
        .into_iter()
        .filter(|bytes| kind(bytes) == EnvelopeType::Snapshot);
    world.relay.log.extend(earlier);
    world.connect(laptop);
    world.run();
    assert!(world.devices[laptop].home.packs_to_start().is_empty());
    assert!(world.notices(laptop).contains(&NoticeKind::RolledBack));
}

/// Ids of the epochs in the relay's log.
fn epochs(world: &World) -> Vec<EpochId> {
    let log = world.relay.log.iter();
    let all = log.map(|bytes| Envelope::parse(bytes).unwrap());
    let epochs = all.filter(|envelope| envelope.header().kind == EnvelopeType::Epoch);
    epochs.map(|envelope| envelope.id().into()).collect()
}

/// Two burns after the first epoch was given up, Ana knew its number only until she closed her
/// journal: Ben's epoch counted, and then nothing told why.
#[test]
fn an_epoch_on_one_that_was_given_up_long_ago_does_not_keep_a_home_from_opening() {
    let mut world = World::online(205);
    let first = epochs(&world)[0];
    for text in ["CANARY-one", "CANARY-two"] {
        let doc = world.new_doc(ANA, Ownership::Mine);
        world.put(ANA, doc, "text", text);
        world.run();
        let ana = &mut world.devices[ANA];
        let burned = ana.home.burn(world.now, &mut ana.rng, &[doc], &[]);
        world.take(ANA, burned.unwrap());
        world.run();
        world.rest();
    }
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "text", "that stays");
    world.run();
    assert!(
        world.devices[ANA]
            .home
            .burns()
            .iter()
            .all(|burn| burn.keys_destroyed)
    );
    let mut ben = Rogue::of(&mut world, BEN);
    let to = ben.recipients();
    let mut parents = [first, ben.epoch];
    parents.sort_unstable();
    let epoch = ben.epoch(4, &parents, &to);
    world.inject(epoch);
    world.step(ANA, 64);
    world.restart(ANA);
    world.connect(ANA);
    world.step(ANA, 64);
    world.put(ANA, doc, "text", "goes on");
    world.restart(ANA);
    assert_eq!(world.value(ANA, doc, "text").as_deref(), Some("goes on"));
    let bad = |kind: &NoticeKind| matches!(kind, NoticeKind::BadEpoch { .. });
    assert!(!world.notices(ANA).iter().any(bad));
}
