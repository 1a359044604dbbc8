//! Disks that are full or broken, and a system without randomness.

use ajar_crypto::{Entropy, EntropyFailed};
use ajar_engine::outbox::ChangeError;
use ajar_engine::pairing::OwnHalf;
use ajar_engine::store::StoreError;
use ajar_engine::{EngineError, Ownership};
use ajar_protocol::Envelope;
use automerge::ROOT;
use automerge::transaction::Transactable;

use crate::world::{ANA, BEN, World, content_of, rng, start};

/// A source that fails after a number of draws.
struct Failing {
    good: u32,
    rng: rand_chacha::ChaCha20Rng,
    drawn: Vec<Vec<u8>>,
}

impl Entropy for Failing {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyFailed> {
        if self.good == 0 {
            out.fill(0);
            return Err(EntropyFailed);
        }
        self.good -= 1;
        self.rng.fill(out)?;
        self.drawn.push(out.to_vec());
        Ok(())
    }
}

#[test]
fn a_full_disk_keeps_nothing_and_the_next_words_are_kept_and_sent() {
    let mut world = World::online(90);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.run();
    let before = content_of(&mut world.devices[ANA].home);
    let sent = world.relay.log.len();
    world.devices[ANA]
        .store
        .fail_next_commit(StoreError::DiskFull);
    let full = world.edit(ANA, doc, |tx| tx.put(ROOT, "n", "lost"));
    assert!(matches!(
        full,
        Err(ChangeError::Engine(EngineError::Store(
            StoreError::DiskFull
        )))
    ));
    assert_eq!(content_of(&mut world.devices[ANA].home), before);
    assert_eq!(world.relay.log.len(), sent, "nothing left this device");
    // Room again: the connection is still good.
    world.put(ANA, doc, "n", "2");
    world.run();
    assert_eq!(world.value(BEN, doc, "n").as_deref(), Some("2"));
    world.assert_converged();
    assert_eq!(world.notices(BEN), []);
    world.restart(ANA);
    world.assert_converged();
}

#[test]
fn a_full_disk_at_the_first_epoch_leaves_no_key_without_its_epoch() {
    let mut world = World::without_epoch(91);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.devices[ANA]
        .store
        .fail_next_commit(StoreError::DiskFull);
    assert!(world.edit(ANA, doc, |tx| tx.put(ROOT, "n", 1)).is_err());
    assert_eq!(world.devices[ANA].home.status().kept, 0);
    world.put(ANA, doc, "n", "2");
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    world.assert_converged();
    world.restart(ANA);
    world.connect(ANA);
    world.put(ANA, doc, "n", "3");
    world.run();
    world.assert_converged();
}

#[test]
fn a_broken_disk_stops_writing_until_the_home_is_opened_again() {
    let mut world = World::online(92);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.run();
    let broken = StoreError::Broken("EIO".to_owned());
    world.devices[ANA].store.fail_next_commit(broken);
    assert!(world.edit(ANA, doc, |tx| tx.put(ROOT, "n", "2")).is_err());
    // The disk would answer again, but what it holds is unknown.
    for _ in 0..2 {
        let refused = world.edit(ANA, doc, |tx| tx.put(ROOT, "n", "3"));
        assert!(matches!(
            refused,
            Err(ChangeError::Engine(EngineError::Store(StoreError::Broken(
                _
            ))))
        ));
    }
    assert!(
        world.devices[ANA]
            .home
            .set_local("x", Some(vec![1]))
            .is_err()
    );
    assert_eq!(
        world.value(ANA, doc, "n").as_deref(),
        Some("1"),
        "reading goes on"
    );
    world.restart(ANA);
    world.connect(ANA);
    world.put(ANA, doc, "n", "4");
    world.run();
    world.assert_converged();
}

#[test]
fn a_full_disk_while_receiving_loses_nothing_that_the_relay_holds() {
    let mut world = World::online(93);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.disconnect(ANA);
    for n in 0..5 {
        world.put(BEN, doc, "n", &n.to_string());
    }
    world.run();
    let before = content_of(&mut world.devices[ANA].home);
    let ana = &mut world.devices[ANA];
    let _subscribe = ana.home.connected([7; 32]);
    ana.store.fail_next_commit(StoreError::DiskFull);
    let mail = world.relay.log.iter().cloned();
    let mail = mail
        .map(ajar_protocol::relay_msg::RelayMsg::Envelope)
        .collect();
    assert!(ana.home.receive(world.now, mail).is_err());
    assert_eq!(content_of(&mut ana.home), before);
    assert!(!ana.home.caught_up(), "the connection is to be closed");
    world.connect(ANA);
    world.run();
    world.assert_converged();
}

#[test]
fn without_randomness_nothing_is_written_and_no_counter_is_spent() {
    let mut world = World::without_epoch(94);
    let doc = world.new_doc(ANA, Ownership::Mine);
    let mut needed = None;
    for good in 0..20 {
        let before = content_of(&mut world.devices[ANA].home);
        let commits = world.devices[ANA].store.commits();
        let mut entropy = Failing {
            good,
            rng: rng(95),
            drawn: Vec::new(),
        };
        let ana = &mut world.devices[ANA];
        let made = ana
            .home
            .change(world.now, &mut entropy, doc, |tx| tx.put(ROOT, "n", 1));
        if made.is_ok() {
            needed = Some(good);
            break;
        }
        assert!(matches!(
            made,
            Err(ChangeError::Engine(EngineError::Entropy(_)))
        ));
        assert_eq!(content_of(&mut ana.home), before, "after {good} good draws");
        assert_eq!(ana.store.commits(), commits);
    }
    // Epoch key, history nonce, HPKE seed; then the nonce of the envelope.
    assert_eq!(needed, Some(4));
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    world.assert_converged();
    for bytes in &world.relay.log {
        let header = *Envelope::parse(bytes).unwrap().header();
        if header.kind == ajar_protocol::EnvelopeType::Changes {
            assert_ne!(header.nonce, [0; 24]);
            assert_ne!(header.commitment, [0; 32]);
        }
    }
}

#[test]
fn without_randomness_no_keys_and_no_ids_are_made() {
    let words = ajar_crypto::RecoveryPhrase::generate(&mut rng(96)).unwrap();
    let slot = words.slot_keys(1).unwrap().public();
    let mut world = World::online(96);
    for good in 0..3 {
        let mut entropy = Failing {
            good,
            rng: rng(97),
            drawn: Vec::new(),
        };
        let half = OwnHalf::new(start(), &mut entropy, &slot);
        assert!(
            matches!(half.err(), Some(EngineError::Entropy(_))),
            "{good}"
        );
    }
    let mut none = Failing {
        good: 0,
        rng: rng(98),
        drawn: Vec::new(),
    };
    let ana = &mut world.devices[ANA];
    assert!(
        ana.home
            .new_document_id(Ownership::Mine, &mut none)
            .is_err()
    );
}

#[test]
fn no_nonce_is_drawn_twice() {
    let mut world = World::online(99);
    let doc = world.new_doc(ANA, Ownership::Common);
    let mut entropy = Failing {
        good: u32::MAX,
        rng: rng(99),
        drawn: Vec::new(),
    };
    for n in 0..50 {
        let ana = &mut world.devices[ANA];
        ana.home
            .change(world.now, &mut entropy, doc, |tx| tx.put(ROOT, "n", n))
            .unwrap();
    }
    assert_eq!(entropy.drawn.len(), 50);
    world.reconnect(ANA);
    let mut nonces: Vec<[u8; 24]> = world
        .relay
        .log
        .iter()
        .map(|bytes| Envelope::parse(bytes).unwrap().header().nonce)
        .filter(|nonce| *nonce != [0; 24])
        .collect();
    let all = nonces.len();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!((nonces.len(), all), (50, 50));
}
