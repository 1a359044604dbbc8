//! What a removed device wrote beyond its cut-off, where it had already arrived.

use ajar_engine::store::StoreError;
use ajar_engine::{Event, NoticeKind, Ownership};
use ajar_protocol::DocId;
use ajar_protocol::link::{Cutoff, Link, LinkBody, RevokeReason};
use ajar_protocol::relay_msg::RelayMsg;
use automerge::ROOT;
use automerge::transaction::Transactable;
use rand_core::Rng;

use crate::removal::hide;
use crate::world::{ANA, BEN, HOUR, World, rng};

/// Ana's laptop wrote more than her phone knew of when it removed it; Ben had it all, and had
/// answered. What is in the world then.
pub(crate) struct Late {
    pub(crate) world: World,
    pub(crate) laptop: usize,
    /// Made by the laptop before the cut-off.
    pub(crate) common: DocId,
    /// Made by the laptop after the cut-off, in which Ben answered.
    pub(crate) late: DocId,
    /// Made by the laptop after the cut-off; nobody answered.
    pub(crate) alone: DocId,
    /// Ben's own, to which he wrote in one go with an answer.
    pub(crate) his: DocId,
    /// Ben's last envelope before the removal.
    answer: u64,
}

pub(crate) fn late(seed: u64) -> Late {
    let mut world = World::online(seed);
    let laptop = world.link(ANA);
    let common = world.new_doc(laptop, Ownership::Common);
    let his = world.new_doc(BEN, Ownership::Mine);
    world.put(laptop, common, "early", "laptop");
    world.put(BEN, his, "early", "ben");
    world.run();
    world.put(BEN, common, "ben", "before");
    world.run();
    hide(&mut world, laptop, ANA);
    let late = world.new_doc(laptop, Ownership::Common);
    let alone = world.new_doc(laptop, Ownership::Mine);
    world.put(laptop, common, "late", "laptop");
    world.put(laptop, late, "late", "laptop");
    world.put(laptop, alone, "late", "laptop");
    world.run();
    // Ben answers in what is to go, and writes to his own in the same envelope.
    let put = |key: &'static str, value: &'static str| -> ajar_engine::outbox::Edit<'_, _> {
        let doc = match key {
            "answer" => late,
            _ => his,
        };
        ajar_engine::outbox::Edit {
            doc,
            apply: Box::new(move |tx| tx.put(ROOT, key, value)),
        }
    };
    let edits = vec![put("answer", "ben"), put("with the answer", "ben")];
    let ben = &mut world.devices[BEN];
    let outputs = ben.home.change_all(world.now, &mut ben.rng, edits).unwrap();
    world.say(BEN, outputs.send);
    world.put(BEN, common, "ben", "after");
    world.run();
    let answer = world.devices[BEN].home.status().kept;
    Late {
        world,
        laptop,
        common,
        late,
        alone,
        his,
        answer,
    }
}

impl Late {
    /// What Ana's phone and Ben must both have in the end.
    fn assert_undone(&mut self) {
        let world = &mut self.world;
        assert_eq!(world.heads(ANA), world.heads(BEN));
        let frontiers = [ANA, BEN].map(|who| world.devices[who].home.frontier().clone());
        assert_eq!(frontiers[0], frontiers[1]);
        for who in [ANA, BEN] {
            let mut value = |doc, key| world.value(who, doc, key);
            assert_eq!(value(self.common, "early").as_deref(), Some("laptop"));
            assert_eq!(value(self.common, "late"), None);
            assert_eq!(value(self.common, "ben").as_deref(), Some("before"));
            assert_eq!(value(self.his, "early").as_deref(), Some("ben"));
            assert_eq!(value(self.his, "with the answer"), None, "all or none");
            for gone in [self.late, self.alone] {
                assert!(world.devices[who].home.document(&gone).is_err());
                let docs = world.devices[who].home.documents().unwrap();
                assert!(docs.iter().all(|doc| doc.id != gone));
            }
            let status = world.devices[who].home.status();
            assert_eq!((status.parked, status.missing), (0, 0), "{who}");
            assert_eq!(status.documents, 2);
            let device = world.devices[BEN].home.device();
            for counter in [self.answer - 1, self.answer] {
                let told = NoticeKind::Unopenable { device, counter };
                assert!(world.notices(who).contains(&told), "{who} {counter}");
            }
            assert!(world.devices[who].home.check().findings.is_empty());
        }
    }
}

#[test]
fn what_a_removed_laptop_wrote_beyond_its_cut_off_is_undone_where_it_had_arrived() {
    let mut case = late(133);
    let world = &mut case.world;
    let laptop = world.devices[case.laptop].home.device();
    let ana = world.devices[ANA].home.own_party();
    world.remove(ANA, case.laptop);
    let changed = |doc| Event::DocumentChanged {
        doc,
        by: ana,
        device: laptop,
        here: false,
    };
    for doc in [case.common, case.late, case.alone, case.his] {
        assert!(world.devices[BEN].events.contains(&changed(doc)), "{doc:?}");
    }
    case.assert_undone();
    for who in [ANA, BEN] {
        case.world.restart(who);
    }
    case.assert_undone();
    for who in [ANA, BEN] {
        case.world.connect(who);
    }
    case.world.run();
    case.assert_undone();
    // Nothing is told to be missing later, whatever Ben's acknowledgements say.
    case.world.pass(30 * HOUR);
    let withheld = |n: &NoticeKind| matches!(n, NoticeKind::Withheld { .. });
    assert!(!case.world.notices(ANA).iter().any(withheld));
}

#[test]
fn after_an_undoing_both_write_on_in_the_same_documents() {
    let mut case = late(134);
    case.world.remove(ANA, case.laptop);
    let world = &mut case.world;
    for n in 0..3 {
        for doc in [case.common, case.late, case.his] {
            world.put(BEN, doc, "ben", &format!("on {n}"));
        }
        world.put(ANA, case.common, "ana", &format!("on {n}"));
        world.put(ANA, case.late, "ana", &format!("on {n}"));
        world.run();
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
    assert_eq!(world.value(ANA, case.late, "ben").as_deref(), Some("on 2"));
    assert_eq!(world.value(BEN, case.late, "ana").as_deref(), Some("on 2"));
    assert_eq!(world.value(ANA, case.his, "ben").as_deref(), Some("on 2"));
    // Who wrote what is still known.
    let ben = world.devices[BEN].home.device();
    let phone = world.devices[ANA].home.device();
    let document = world.devices[ANA].home.document(&case.late).unwrap();
    let actors: Vec<Vec<u8>> = document
        .get_changes(&[])
        .iter()
        .map(|change| change.actor_id().to_bytes().to_vec())
        .collect();
    let home = &world.devices[ANA].home;
    for actor in actors {
        let who = home.device_of_actor(&case.late, &actor);
        assert!(who == Some(ben) || who == Some(phone));
    }
    // A device that is linked now comes to the same.
    world.fault = None;
    let tablet = world.link(ANA);
    assert_eq!(world.heads(tablet), world.heads(BEN));
    assert_eq!(world.devices[tablet].home.status().parked, 0);
    for who in [ANA, BEN, tablet] {
        world.restart(who);
        assert!(world.devices[who].home.check().findings.is_empty());
    }
    assert_eq!(world.heads(tablet), world.heads(BEN));
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn the_cut_off_may_arrive_before_between_or_after_what_it_cuts() {
    let mut case = late(135);
    case.world.fault = None;
    let start = case.world.link_offline(BEN);
    let store = case.world.devices[start].store.copied();
    case.world.remove(ANA, case.laptop);
    let world = &mut case.world;
    world.put(BEN, case.late, "ben", "again");
    world.run();
    let expected = world.heads(ANA);
    assert_eq!(world.heads(BEN), expected);
    let place = world.place(ANA);
    let link = world.relay.chains[place].links().last().unwrap();
    let link = RelayMsg::Link(link.as_bytes().to_vec());
    let log = world.relay.log.clone();
    for at in 0..=log.len() {
        let mut home = ajar_engine::Replica::open(store.copied()).unwrap();
        let _subscribe = home.connected(crate::world::RELAY);
        home.receive(world.now, vec![RelayMsg::Ready]).unwrap();
        let mut messages: Vec<RelayMsg> = log.iter().cloned().map(RelayMsg::Envelope).collect();
        messages.insert(at, link.clone());
        messages.push(RelayMsg::CaughtUp);
        let mut rng = rng(at as u64);
        let mut rest = messages.as_slice();
        while !rest.is_empty() {
            let n = 1 + usize::try_from(rng.next_u64() % rest.len() as u64).unwrap();
            let (now, later) = rest.split_at(n);
            let outputs = home.receive(world.now, now.to_vec()).unwrap();
            if outputs.send.len() == 1 && later.is_empty() {
                // It asks once more for what it had no room for: nothing.
                home.receive(world.now, vec![RelayMsg::CaughtUp]).unwrap();
            }
            rest = later;
        }
        assert_eq!(crate::world::heads(&mut home), expected, "at {at}");
        assert_eq!(home.status().parked, 0, "at {at}");
        assert!(home.check().findings.is_empty());
        drop(home);
    }
}

#[test]
fn a_raised_cut_off_brings_back_what_it_had_left_without_ground() {
    let mut case = late(136);
    let world = &mut case.world;
    let laptop = world.devices[case.laptop].home.device();
    let last = world.devices[case.laptop]
        .home
        .frontier()
        .of(&laptop)
        .unwrap();
    world.remove(ANA, case.laptop);
    world.put(BEN, case.common, "ben", "meanwhile");
    world.put(BEN, case.late, "ben", "meanwhile");
    world.run();
    case.world.fault = None;
    let world = &mut case.world;
    // "It sent three more before you removed it: keep them?"
    let phone = world.secrets(ANA);
    let place = world.place(ANA);
    let body = LinkBody::RevokeAmend(Cutoff {
        device: laptop,
        counter: last.counter,
        id: last.id,
        reason: RevokeReason::Lost,
    });
    let position = world.relay.chains[place].next_place(0);
    let link = Link::sign(position, body, phone.id().0, phone.signing_key());
    world.relay.chains[place].append(link).unwrap();
    for _ in 0..2 {
        for who in [ANA, BEN] {
            world.reconnect(who);
        }
    }
    for who in [ANA, BEN] {
        assert_eq!(
            world.value(who, case.late, "answer").as_deref(),
            Some("ben")
        );
        assert_eq!(
            world.value(who, case.late, "late").as_deref(),
            Some("laptop")
        );
        assert_eq!(
            world.value(who, case.alone, "late").as_deref(),
            Some("laptop")
        );
        let kept = world.value(who, case.his, "with the answer");
        assert_eq!(kept.as_deref(), Some("ben"));
        let unopenable = |n: &NoticeKind| matches!(n, NoticeKind::Unopenable { .. });
        assert!(!world.notices(who).iter().any(unopenable), "{who}");
        assert_eq!(world.devices[who].home.status().parked, 0);
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
    world.put(BEN, case.late, "ben", "on");
    world.put(BEN, case.common, "ben", "on");
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    for who in [ANA, BEN] {
        world.restart(who);
    }
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn a_long_document_is_undone_across_its_compactions() {
    let mut world = World::online(137);
    let laptop = world.link(ANA);
    let doc = world.new_doc(laptop, Ownership::Common);
    for n in 0..50 {
        let who = [laptop, BEN][n % 2];
        world.put(who, doc, &format!("{}", n % 7), &format!("{n}"));
        world.run();
    }
    hide(&mut world, laptop, ANA);
    let before = world.heads(ANA);
    for n in 0..40 {
        world.put(laptop, doc, &format!("{}", n % 7), &format!("late {n}"));
    }
    world.run();
    assert_ne!(world.heads(BEN), before);
    world.remove(ANA, laptop);
    assert_eq!(world.heads(BEN), before);
    for n in 0..70 {
        world.put(BEN, doc, "ben", &format!("{n}"));
    }
    world.run();
    assert_eq!(world.heads(ANA), world.heads(BEN));
    world.restart(BEN);
    assert_eq!(world.heads(ANA), world.heads(BEN));
}

#[test]
fn an_undoing_that_does_not_reach_the_disk_is_done_again() {
    let mut case = late(138);
    let world = &mut case.world;
    world.propose_removal(ANA, case.laptop);
    world.step(ANA, 9);
    world.rotate(ANA);
    let before = world.heads(BEN);
    let frontier = world.devices[BEN].home.frontier().clone();
    world.devices[BEN]
        .store
        .fail_next_commit(StoreError::DiskFull);
    let ben = &mut world.devices[BEN];
    let messages: Vec<RelayMsg> = ben.inbox.drain(..).collect();
    assert!(ben.home.receive(world.now, messages).is_err());
    assert_eq!(world.heads(BEN), before);
    assert_eq!(world.devices[BEN].home.frontier(), &frontier);
    world.restart(BEN);
    assert_eq!(world.heads(BEN), before);
    world.connect(BEN);
    world.run();
    case.assert_undone();
}
