//! What happens on ordinary days: writing together, apart, in batches, and coming back.

use ajar_engine::outbox::{ChangeError, Edit};
use ajar_engine::pairing::{self, FoundError, OwnHalf};
use ajar_engine::{EngineError, Event, Misuse, NoticeKind, Ownership, Replica};
use ajar_protocol::{DocId, Envelope, EnvelopeType};
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ObjType, ROOT, ReadDoc};

use crate::world::{ANA, BEN, Device, LAPTOP, World, agree, content_of, rng, start};

#[test]
fn the_first_words_travel_both_ways() {
    let mut world = World::online(1);
    let hers = world.new_doc(ANA, Ownership::Mine);
    let his = world.new_doc(BEN, Ownership::Mine);
    world.put(ANA, hers, "title", "Tuesday");
    world.put(BEN, his, "title", "Rain again");
    world.run();
    assert_eq!(world.value(BEN, hers, "title").as_deref(), Some("Tuesday"));
    assert_eq!(
        world.value(ANA, his, "title").as_deref(),
        Some("Rain again")
    );
    world.assert_converged();

    let ana = &world.devices[ANA];
    let party = ana.home.own_party();
    assert!(world.devices[BEN].events.contains(&Event::DocumentChanged {
        doc: hers,
        by: party,
        device: ana.home.device(),
        here: false,
    }));
    assert!(ana.events.contains(&Event::Delivered));
    let docs = world.devices[BEN].home.documents().unwrap();
    let hers_at_ben = docs.iter().find(|doc| doc.id == hers).unwrap();
    assert_eq!(hers_at_ben.owner, Some(party));
    assert!(!hers_at_ben.writable);
}

#[test]
fn what_was_received_is_not_sent_back_to_the_relay() {
    let mut world = World::online(2);
    let doc = world.new_doc(ANA, Ownership::Common);
    for n in 0..20 {
        world.put(ANA, doc, "n", &n.to_string());
    }
    world.run();
    world.reconnect(BEN);
    assert_eq!(world.relay.repeated, 0);
    assert!(world.devices[BEN].home.relay_has_everything());
}

#[test]
fn two_days_apart_converge_to_the_same_heads() {
    let mut world = World::online(3);
    let doc = world.new_doc(ANA, Ownership::Common);
    let text = world
        .edit(ANA, doc, |tx| tx.put_object(ROOT, "body", ObjType::Text))
        .unwrap();
    world.run();
    world.disconnect(ANA);
    world.disconnect(BEN);
    for n in 0..30 {
        world
            .edit(ANA, doc, |tx| tx.splice_text(&text, 0, 0, "a"))
            .unwrap();
        world
            .edit(BEN, doc, |tx| tx.splice_text(&text, 0, 0, "b"))
            .unwrap();
        let own = world.new_doc(BEN, Ownership::Mine);
        world.put(BEN, own, "n", &n.to_string());
    }
    world.connect(BEN);
    world.connect(ANA);
    world.run();
    world.assert_converged();
    let merged = world.devices[BEN].home.document(&doc).unwrap();
    let body = merged.text(&text).unwrap();
    assert_eq!(body.matches('a').count(), 30);
    assert_eq!(body.matches('b').count(), 30);
    assert_eq!(world.notices(ANA), []);
}

#[test]
fn three_hundred_documents_are_kept_in_one_commit_and_few_envelopes() {
    let mut world = World::online(4);
    let docs: Vec<DocId> = (0..300)
        .map(|_| world.new_doc(ANA, Ownership::Mine))
        .collect();
    let before = world.devices[ANA].store.commits();
    let ana = &mut world.devices[ANA];
    let edits = docs.iter().enumerate().map(|(n, doc)| Edit {
        doc: *doc,
        apply: Box::new(move |tx| tx.put(ROOT, "n", i64::try_from(n).unwrap())),
    });
    let edits: Vec<Edit<'_, AutomergeError>> = edits.collect();
    let outputs = ana.home.change_all(world.now, &mut ana.rng, edits).unwrap();
    assert_eq!(ana.store.commits(), before + 1);
    let sent = outputs.send.len();
    world.say(ANA, outputs.send);
    world.run();
    assert_eq!(sent, 300usize.div_ceil(64));
    world.assert_converged();
    assert_eq!(world.devices[BEN].home.status().documents, 300);
}

#[test]
fn a_batch_whose_last_edit_fails_keeps_nothing() {
    let mut world = World::online(5);
    let known = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, known, "title", "before");
    world.run();
    let ana = &mut world.devices[ANA];
    let before = content_of(&mut ana.home);
    let mut edits: Vec<Edit<'_, &'static str>> = Vec::new();
    for _ in 0..100 {
        let doc = ana
            .home
            .new_document_id(Ownership::Mine, &mut ana.rng)
            .unwrap();
        edits.push(Edit {
            doc,
            apply: Box::new(|tx| tx.put(ROOT, "n", 1).map_err(|_| "put")),
        });
    }
    edits.push(Edit {
        doc: known,
        apply: Box::new(|tx| {
            tx.put(ROOT, "title", "after").unwrap();
            Err("Ana changed her mind")
        }),
    });
    let refused = ana.home.change_all(world.now, &mut ana.rng, edits);
    assert!(matches!(
        refused,
        Err(ChangeError::Refused("Ana changed her mind"))
    ));
    assert_eq!(content_of(&mut ana.home), before);
    assert_eq!(world.value(ANA, known, "title").as_deref(), Some("before"));
    // And nothing of it turns up later.
    world.put(ANA, known, "title", "later");
    world.restart(ANA);
    world.connect(ANA);
    world.run();
    world.assert_converged();
    assert_eq!(world.devices[BEN].home.status().documents, 1);
}

#[test]
fn many_edits_of_one_document_in_one_batch_stay_in_order() {
    let mut world = World::online(6);
    let doc = world.new_doc(ANA, Ownership::Common);
    let ana = &mut world.devices[ANA];
    let edits = (0..50).map(|n: i64| Edit {
        doc,
        apply: Box::new(move |tx| tx.put(ROOT, "n", n)),
    });
    let edits: Vec<Edit<'_, AutomergeError>> = edits.collect();
    let outputs = ana.home.change_all(world.now, &mut ana.rng, edits).unwrap();
    world.say(ANA, outputs.send);
    world.run();
    world.assert_converged();
    let at_ben = world.devices[BEN].home.document(&doc).unwrap();
    let (value, _) = at_ben.get(ROOT, "n").unwrap().unwrap();
    assert_eq!(value.as_i64(), Some(49));
    world.restart(ANA);
    world.restart(BEN);
    world.assert_converged();
}

#[test]
fn an_edit_that_does_nothing_makes_no_envelope() {
    let mut world = World::online(7);
    let doc = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, doc, "title", "x");
    let kept = world.devices[ANA].home.status().kept;
    let commits = world.devices[ANA].store.commits();
    world.edit(ANA, doc, |_| Ok(())).unwrap();
    assert_eq!(world.devices[ANA].home.status().kept, kept);
    assert_eq!(world.devices[ANA].store.commits(), commits);
}

#[test]
fn a_document_compacted_over_a_hundred_edits_opens_equal() {
    let mut world = World::online(8);
    let doc = world.new_doc(ANA, Ownership::Common);
    let text = world
        .edit(ANA, doc, |tx| tx.put_object(ROOT, "body", ObjType::Text))
        .unwrap();
    world.run();
    for n in 0..100 {
        let who = if n % 3 == 0 { BEN } else { ANA };
        let word = format!("{n} ");
        world
            .edit(who, doc, |tx| tx.splice_text(&text, 0, 0, &word))
            .unwrap();
        world.run();
    }
    let before = world.heads(ANA);
    for who in [ANA, BEN] {
        world.restart(who);
        assert_eq!(world.heads(who), before);
    }
    // Writing goes on from the compacted form, with the right sequence numbers.
    world.connect(ANA);
    world.connect(BEN);
    for who in [ANA, BEN] {
        world
            .edit(who, doc, |tx| tx.splice_text(&text, 0, 0, "more "))
            .unwrap();
        world.run();
    }
    world.assert_converged();
    assert_eq!(world.notices(ANA), []);
    assert_eq!(world.notices(BEN), []);
}

#[test]
fn a_thousand_documents_fit_although_few_stay_in_memory() {
    let mut world = World::online(9);
    let docs: Vec<DocId> = (0..400)
        .map(|_| world.new_doc(BEN, Ownership::Mine))
        .collect();
    for doc in &docs {
        world.put(BEN, *doc, "n", "1");
    }
    for doc in docs.iter().rev() {
        world.put(BEN, *doc, "n", "2");
    }
    world.run();
    world.assert_converged();
    world.restart(ANA);
    assert_eq!(world.value(ANA, docs[0], "n").as_deref(), Some("2"));
    assert_eq!(world.value(ANA, docs[399], "n").as_deref(), Some("2"));
}

#[test]
fn ben_cannot_write_into_what_is_anas() {
    let mut world = World::online(10);
    let hers = world.new_doc(ANA, Ownership::Mine);
    world.put(ANA, hers, "title", "mine");
    world.run();
    let refused = world.edit(BEN, hers, |tx| tx.put(ROOT, "title", "his"));
    assert!(matches!(
        refused,
        Err(ChangeError::Engine(EngineError::Misuse(Misuse::NotYours(doc)))) if doc == hers
    ));
    assert_eq!(world.value(BEN, hers, "title").as_deref(), Some("mine"));
    // Nor into an id of the reserved pattern.
    let reserved = DocId([0xff; 16]);
    assert!(
        world
            .edit(BEN, reserved, |tx| tx.put(ROOT, "x", 1))
            .is_err()
    );
}

#[test]
fn too_much_for_one_envelope_is_refused_and_the_next_words_are_kept() {
    let mut world = World::online(11);
    let doc = world.new_doc(ANA, Ownership::Mine);
    let long = "x".repeat(1_200_000);
    let refused = world.edit(ANA, doc, |tx| tx.put(ROOT, "body", long.as_str()));
    assert!(matches!(
        refused,
        Err(ChangeError::Engine(EngineError::Misuse(Misuse::TooLarge)))
    ));
    assert!(world.value(ANA, doc, "body").is_none());
    let fits = "y".repeat(900_000);
    world.put(ANA, doc, "body", &fits);
    world.run();
    assert_eq!(world.value(BEN, doc, "body"), Some(fits));
    world.assert_converged();
}

#[test]
fn acknowledgements_show_what_ben_has_also_after_a_restart() {
    let mut world = World::online(12);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.put(ANA, doc, "n", "2");
    world.run();
    let status = world.devices[ANA].home.status();
    assert_eq!(
        (status.kept, status.delivered, status.confirmed_by_partner),
        (3, 3, 0)
    );
    world.put(BEN, doc, "n", "3");
    world.run();
    assert_eq!(world.devices[ANA].home.status().confirmed_by_partner, 3);
    world.restart(ANA);
    assert_eq!(world.devices[ANA].home.status().confirmed_by_partner, 3);
}

/// Found by fuzzing: the status said that it was waiting, until Ana wrote again.
#[test]
fn what_the_relay_stored_before_the_connection_broke_counts_as_delivered_afterwards() {
    let mut world = World::online(14);
    let doc = world.new_doc(ANA, Ownership::Common);
    world.put(ANA, doc, "n", "1");
    world.run();
    world.put(ANA, doc, "n", "2");
    // It is at the relay; that it was stored is not heard of here.
    world.disconnect(ANA);
    let status = world.devices[ANA].home.status();
    assert_eq!((status.kept, status.delivered), (3, 2));
    world.connect(ANA);
    world.run();
    assert_eq!(world.devices[ANA].home.status().delivered, 3);
    world.restart(ANA);
    assert_eq!(world.devices[ANA].home.status().delivered, 3);
}

#[test]
fn anas_laptop_reads_everything_and_writes_as_ana() {
    let mut world = World::online(13);
    let early = world.new_doc(BEN, Ownership::Mine);
    world.put(BEN, early, "title", "before the laptop");
    world.run();
    let mut world = {
        drop(world);
        let mut world = World::with_laptop(13);
        let doc = world.new_doc(BEN, Ownership::Mine);
        world.put(BEN, doc, "title", "hello laptop");
        let hers = world.new_doc(ANA, Ownership::Mine);
        world.put(ANA, hers, "title", "from the phone");
        world.run();
        world.put(LAPTOP, hers, "title", "from the laptop");
        world.run();
        assert_eq!(
            world.value(BEN, hers, "title").as_deref(),
            Some("from the laptop")
        );
        world
    };
    world.assert_converged();
    let party = world.devices[ANA].home.own_party();
    assert!(
        world
            .notices(BEN)
            .contains(&NoticeKind::DeviceAdded { party, seq: 1 })
    );
    let devices = world.devices[BEN].home.status().devices;
    assert_eq!(devices.len(), 3);
    assert_eq!(devices.iter().filter(|d| d.this).count(), 1);
}

#[test]
fn a_private_space_holds_its_words_for_one() {
    let mut rng = rng(14);
    let words = ajar_crypto::RecoveryPhrase::generate(&mut rng).unwrap();
    let half = OwnHalf::new(start(), &mut rng, &words.slot_keys(0).unwrap().public()).unwrap();
    let mut ana = Device::create(half.found_private().unwrap(), 14);
    assert_eq!(ana.home.partner(), None);
    let doc = ana
        .home
        .new_document_id(Ownership::Mine, &mut ana.rng)
        .unwrap();
    ana.home
        .change(start(), &mut ana.rng, doc, |tx| {
            tx.put(ROOT, "draft", "not yet")
        })
        .unwrap();
    let before = content_of(&mut ana.home);
    drop(ana.home);
    let mut again = Replica::open(ana.store.clone()).unwrap();
    assert_eq!(content_of(&mut again), before);
}

#[test]
fn words_that_differ_pair_nobody() {
    let half = |seed| {
        let mut rng = rng(seed);
        let words = ajar_crypto::RecoveryPhrase::generate(&mut rng).unwrap();
        OwnHalf::new(start(), &mut rng, &words.slot_keys(1).unwrap().public()).unwrap()
    };
    let (ana, ben, mallory) = (half(1), half(2), half(3));
    let (offer_a, offer_m) = (ana.offer("Ana", None), mallory.offer("Ben", Some([1; 16])));
    let offer_b = ben.offer("Ben", None);
    // Someone in the middle gives Ana another half; the signatures and words then differ.
    let (ana, signature_a) = ana.meet(&offer_m).unwrap();
    let (ben, signature_b) = ben.meet(&offer_a).unwrap();
    assert_eq!(ana.claim(), Some([1; 16]));
    assert!(matches!(
        ana.sign(&signature_b),
        Err(FoundError::Malformed(_))
    ));
    assert!(matches!(
        ben.sign(&signature_a),
        Err(FoundError::Malformed(_))
    ));
    // A person who says no ends it, and so does noise.
    let agreed = |seed| {
        let (one, other) = (half(seed), half(seed + 1));
        let (offer, answer) = (one.offer("A", None), other.offer("B", None));
        let (one, _) = one.meet(&answer).unwrap();
        let (_, signature) = other.meet(&offer).unwrap();
        one.sign(&signature).unwrap()
    };
    let refused = agreed(20).confirmed(&pairing::verdict(false));
    assert!(matches!(refused, Err(FoundError::WordsDiffer)));
    assert!(agreed(30).confirmed(&[3, 2]).is_err());
    // An offer that echoes one's own keys is refused.
    let own = half(40);
    let echo = own.offer("Ben", None);
    assert!(matches!(
        own.meet(&echo),
        Err(FoundError::Malformed(_) | FoundError::Chain)
    ));
    for cut in 0..offer_b.len() {
        assert!(half(50).meet(&offer_b[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_first_epoch_lets_both_write_offline_at_once() {
    let mut world = World::founded(15);
    let (hers, his) = (
        world.new_doc(ANA, Ownership::Mine),
        world.new_doc(BEN, Ownership::Mine),
    );
    world.put(ANA, hers, "x", "1");
    world.put(BEN, his, "x", "1");
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    world.assert_converged();
    let kinds: Vec<EnvelopeType> = world
        .relay
        .log
        .iter()
        .map(|bytes| Envelope::parse(bytes).unwrap().header().kind)
        .collect();
    let epochs = kinds.iter().filter(|kind| **kind == EnvelopeType::Epoch);
    assert_eq!(epochs.count(), 1, "{kinds:?}");
}

#[test]
fn local_data_stays_here_and_outlives_a_restart() {
    let mut world = World::online(16);
    let sent = world.relay.log.len();
    let ana = &mut world.devices[ANA];
    ana.home.set_local("drafts", Some(vec![1, 2, 3])).unwrap();
    world.restart(ANA);
    let ana = &mut world.devices[ANA];
    assert_eq!(ana.home.local("drafts").unwrap(), Some(vec![1, 2, 3]));
    ana.home.set_local("drafts", None).unwrap();
    assert_eq!(ana.home.local("drafts").unwrap(), None);
    assert_eq!(world.relay.log.len(), sent);
}

#[test]
fn an_actor_names_its_device() {
    let mut world = World::online(17);
    let doc = world.new_doc(BEN, Ownership::Common);
    world.put(BEN, doc, "x", "1");
    world.run();
    let ben = world.devices[BEN].home.device();
    let ana = &mut world.devices[ANA];
    let changes = ana.home.document(&doc).unwrap().get_changes(&[]);
    let actor = changes[0].actor_id().to_bytes().to_vec();
    assert_eq!(ana.home.device_of_actor(&doc, &actor), Some(ben));
    assert_eq!(ana.home.device_of_actor(&doc, &[0; 16]), None);
    assert_eq!(ana.home.party_of_device(&ben), ana.home.partner());
}

#[test]
fn a_home_without_its_genesis_or_keys_says_so() {
    use ajar_engine::store::{Batch, Key, Store};
    let (ana, _) = agree(18);
    let device = Device::create(ana, 18);
    let empty = ajar_engine::store::MemoryStore::default();
    assert!(matches!(Replica::open(empty), Err(EngineError::Damaged(_))));
    for key in [Key::Genesis, Key::Meta, Key::Frontier] {
        let mut store = device.store.copied();
        let mut batch = Batch::default();
        batch.delete(key);
        store.commit(batch).unwrap();
        assert!(matches!(Replica::open(store), Err(EngineError::Damaged(_))));
    }
}

#[test]
fn every_kind_of_edit_is_taken_in_by_the_other() {
    use automerge::marks::{ExpandMark, Mark};
    let mut world = World::online(19);
    let doc = world.new_doc(ANA, Ownership::Common);
    let (text, list, map) = world
        .edit(ANA, doc, |tx| {
            let text = tx.put_object(ROOT, "text", ObjType::Text)?;
            tx.splice_text(&text, 0, 0, "a first line 😀")?;
            let list = tx.put_object(ROOT, "list", ObjType::List)?;
            tx.insert(&list, 0, "one")?;
            tx.insert(&list, 1, 2)?;
            let map = tx.insert_object(&list, 2, ObjType::Map)?;
            tx.put(&map, "score", automerge::ScalarValue::counter(1))?;
            Ok((text, list, map))
        })
        .unwrap();
    world.run();
    // Both at once, so that keys and elements conflict.
    world.disconnect(ANA);
    world.disconnect(BEN);
    for who in [ANA, BEN] {
        for round in 0..3 {
            world
                .edit(who, doc, |tx| {
                    tx.put(ROOT, "title", format!("{who} {round}"))?;
                    tx.put(&list, 0, format!("{who} {round}"))?;
                    tx.put_object(&list, 1, ObjType::Text)?;
                    tx.increment(&map, "score", 2)?;
                    tx.splice_text(&text, 1, 2, "XYZ")?;
                    tx.update_text(&text, format!("another line {who} {round}"))?;
                    let bold = Mark::new("bold".to_owned(), true, 0, 4);
                    tx.mark(&text, bold, ExpandMark::After)?;
                    tx.unmark(&text, "bold", 1, 2, ExpandMark::None)?;
                    let block = tx.split_block(&text, 3)?;
                    tx.put(&block, "type", "paragraph")?;
                    tx.put(ROOT, "gone", 1)?;
                    tx.delete(ROOT, "gone")
                })
                .unwrap();
        }
    }
    world.edit(ANA, doc, |tx| tx.delete(&list, 0)).unwrap();
    world.edit(BEN, doc, |tx| tx.join_block(&text, 3)).unwrap();
    world.connect(ANA);
    world.connect(BEN);
    world.run();
    world.put(ANA, doc, "title", "after both");
    world.edit(BEN, doc, |tx| tx.delete(ROOT, "text")).unwrap();
    world.run();
    assert_eq!(world.notices(ANA), []);
    assert_eq!(world.notices(BEN), []);
    world.assert_converged();
    world.restart(BEN);
    world.assert_converged();
}

#[test]
fn a_relay_is_logged_into_and_told_who_is_in_the_space() {
    use ajar_protocol::client_msg::{ClientMsg, Credential};
    use ajar_protocol::relay_msg::RelayMsg;
    let mut world = World::online(20);
    let key = world.secrets(BEN);
    let relay = key.auth_key();
    let relay_key = relay.verifying_key().to_bytes();
    let ana = &mut world.devices[ANA].home;
    let login = ana.login(&relay_key, &[5; 32]);
    assert!(login.verify(&relay_key, &[5; 32]).is_ok());
    assert!(
        login.verify(&relay_key, &[6; 32]).is_err(),
        "another session"
    );
    assert!(login.verify(&[9; 32], &[5; 32]).is_err(), "another relay");
    // Without claim and permit there is nothing to say.
    assert!(ana.introduction(&relay_key, None).is_none());
    let messages = ana.introduction(&relay_key, Some([1; 16])).unwrap();
    assert!(matches!(
        &messages[..],
        [
            ClientMsg::Introduce {
                credential: Credential::Claim(_),
                ..
            },
            ClientMsg::AppendLink(_),
            ClientMsg::AppendLink(_)
        ]
    ));
    // A permit that this relay has not signed is not kept; its own is, and preferred.
    let space = ana.space_id();
    let permit = ajar_protocol::auth::permit(relay, &space);
    for (given, kept) in [([3; 64], false), (permit, true)] {
        let _subscribe = ana.connected(relay_key);
        ana.receive(world.now, vec![RelayMsg::Admitted(given)])
            .unwrap();
        assert_eq!(ana.has_permit(&relay_key), kept);
    }
    world.restart(ANA);
    let ana = &world.devices[ANA].home;
    let messages = ana.introduction(&relay_key, Some([1; 16])).unwrap();
    assert!(matches!(
        messages[0],
        ClientMsg::Introduce { credential: Credential::Permit(p), .. } if p == permit
    ));
}
