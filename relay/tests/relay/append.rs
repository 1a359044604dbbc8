//! Storing: order, duplicates, forks, and that an acknowledgement means durable.

use std::time::Duration;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{EnvelopeId, limits};
use ajar_relay::storage::{Store, StoreError};

use crate::client::{Client, ana_at_home};
use crate::people::{Device, append, append_link, name};
use crate::server::{TestRelay, generous};

async fn until(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never happened");
}

#[tokio::test]
async fn duplicates_are_acknowledged_again_and_forks_and_gaps_are_not_stored() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let first = ana.keep(&mut author, b"one").await;
    ana.say(&append(&first)).await;
    assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(&first))));

    let mut copied = home.author(&home.parties[0].device);
    let fork = copied.write(b"another one");
    ana.say(&append(&fork)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&fork), Refusal::Conflict))
    );
    // The right counter on top of the wrong history.
    let grafted = copied.write(b"two of another history");
    ana.say(&append(&grafted)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&grafted), Refusal::Conflict))
    );
    let second = author.write(b"two");
    let third = author.write(b"three");
    ana.say(&append(&third)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&third), Refusal::Gap))
    );
    for envelope in [&second, &third] {
        ana.say(&append(envelope)).await;
        assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(envelope))));
    }
    let device = home.parties[0].device.id();
    let stored = relay.store.envelope(&home.id(), &device, 1).unwrap();
    assert_eq!(stored.as_deref(), Some(first.as_bytes()));
}

#[tokio::test]
async fn forged_foreign_and_misplaced_envelopes_are_not_stored() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let good = author.write(b"one");
    let mut forged = good.as_bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    ana.say(&ClientMsg::Append(forged)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&good), Refusal::Violation))
    );
    let foreign = home.author(&Device::new("mallory")).write(b"mine");
    ana.say(&append(&foreign)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&foreign), Refusal::NotAdmitted))
    );
    let mut elsewhere = home.author(&home.parties[0].device);
    elsewhere.space = ajar_protocol::SpaceId([8; 32]);
    let elsewhere = elsewhere.write(b"another space");
    ana.say(&append(&elsewhere)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&elsewhere), Refusal::Violation))
    );
    assert_eq!(relay.store.heads(&home.id()).unwrap(), []);
    // The session is still good for the real thing.
    ana.say(&append(&good)).await;
    assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(&good))));
    // What is no envelope at all ends it.
    ana.say(&ClientMsg::Append(vec![1; 300])).await;
    assert_eq!(ana.refusal().await, Refusal::Violation);
}

#[tokio::test]
async fn the_other_sees_it_before_the_disk_has_it_and_the_author_hears_after() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let (mut ben, _) = Client::reader(&relay, &home, &home.parties[1].device).await;
    relay.store.pause();
    let mut author = home.author(&home.parties[0].device);
    let written = [
        author.write(b"one"),
        author.write(b"two"),
        author.write(b"three"),
    ];
    for envelope in &written {
        ana.say(&append(envelope)).await;
    }
    for envelope in &written {
        assert_eq!(ben.hear_envelope().await.id(), envelope.id());
    }
    // A repeat of something that is under way waits with it.
    ana.say(&append(&written[1])).await;
    until(|| relay.store.waiting() == 1).await;
    assert!(ana.hears_nothing().await, "acknowledged before durable");
    relay.store.resume();
    let mut acks = Vec::new();
    for _ in 0..4 {
        acks.push(ana.hear().await.unwrap());
    }
    for (envelope, times) in [(&written[0], 1), (&written[1], 2), (&written[2], 1)] {
        let stored = RelayMsg::Stored(name(envelope));
        assert_eq!(acks.iter().filter(|ack| **ack == stored).count(), times);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_serves_readers_and_recovers_without_a_gap() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let kept = ana.keep(&mut author, b"kept").await;

    relay.store.pause();
    relay.store.set_fault(Some(StoreError::DiskFull));
    let lost = [author.write(b"two"), author.write(b"three")];
    for envelope in &lost {
        ana.say(&append(envelope)).await;
    }
    let phone = Device::new("ana's phone");
    let added = home.parties[0].add(&phone);
    ana.say(&append_link(&added)).await;
    until(|| relay.store.waiting() == 1).await;
    relay.store.resume();
    for envelope in &lost {
        assert_eq!(
            ana.hear().await,
            Some(RelayMsg::NotStored(name(envelope), Refusal::DiskFull))
        );
    }
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkNotStored {
            reason: Refusal::DiskFull,
            ..
        })
    ));
    let (_, came) = Client::reader(&relay, &home, &home.parties[1].device).await;
    assert_eq!(came, [kept]);

    relay.store.set_fault(None);
    let out_of_order = &lost[1];
    ana.say(&append(out_of_order)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(out_of_order), Refusal::Gap))
    );
    for envelope in &lost {
        ana.say(&append(envelope)).await;
        assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(envelope))));
    }
    ana.say(&append_link(&added)).await;
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkStored { seq: 1, .. })
    ));
    home.parties[0].append(&added);
    Client::member(&relay, &home, &phone).await;
}

#[tokio::test]
async fn a_disk_that_confirms_nothing_ends_the_relay_with_an_error() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    relay
        .store
        .set_fault(Some(StoreError::Stopped("fdatasync".to_owned())));
    let mut author = home.author(&home.parties[0].device);
    let lost = author.write(b"one");
    ana.say(&append(&lost)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&lost), Refusal::Unavailable))
    );
    assert!(relay.ended().await.is_err());
}

#[tokio::test]
async fn a_space_over_its_quota_is_refused_and_still_read() {
    let mut limits = generous();
    limits.bytes_per_space = 3000;
    let relay = TestRelay::with(limits).await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let kept = [
        ana.keep(&mut author, &[1; 1024]).await,
        ana.keep(&mut author, &[2; 1024]).await,
    ];
    let over = author.write(&[3; 1024]);
    ana.say(&append(&over)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&over), Refusal::Quota))
    );
    let (_, came) = Client::reader(&relay, &home, &home.parties[1].device).await;
    assert_eq!(came, kept);
}

#[tokio::test]
async fn the_largest_envelope_passes_and_a_larger_frame_ends_the_session() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    ana.keep(&mut author, &vec![1; limits::ENVELOPE_CIPHERTEXT])
        .await;
    let length = u32::try_from(limits::FRAME + 1).unwrap();
    ana.send.write_all(&length.to_be_bytes()).await.unwrap();
    assert_eq!(ana.refusal().await, Refusal::Violation);
}

#[tokio::test]
async fn links_are_compared_and_swapped_and_reach_the_other() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let (mut ben, _) = Client::reader(&relay, &home, &home.parties[1].device).await;
    let party = &home.parties[0];
    let phone = party.add(&Device::new("ana's phone"));
    let tablet = party.add(&Device::new("ana's tablet"));
    ana.say(&append_link(&phone)).await;
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkStored { seq: 1, .. })
    ));
    assert_eq!(
        ben.hear().await,
        Some(RelayMsg::Link(phone.as_bytes().to_vec()))
    );
    // Two devices wanted the same place: the second must look again.
    ana.say(&append_link(&tablet)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::LinkNotStored {
            party: party.chain.id(),
            seq: 1,
            reason: Refusal::Conflict
        })
    );
    ana.say(&append_link(&phone)).await;
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkStored { seq: 1, .. })
    ));
    // Ben's device already stands in Ben's chain.
    let mut grown = party.clone();
    grown.append(&phone);
    let taken = grown.add(&home.parties[1].device);
    ana.say(&append_link(&taken)).await;
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkNotStored {
            reason: Refusal::Violation,
            ..
        })
    ));
    assert!(ben.hears_nothing().await);
}

#[tokio::test]
async fn a_clean_stop_answers_what_was_accepted() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    relay.store.pause();
    let mut author = home.author(&home.parties[0].device);
    let written = author.write(b"one");
    ana.say(&append(&written)).await;
    until(|| relay.store.waiting() == 1).await;
    let store = std::sync::Arc::clone(&relay.store);
    let stopping = tokio::spawn(relay.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.resume();
    assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(&written))));
    assert_eq!(ana.refusal().await, Refusal::Unavailable);
    stopping.await.unwrap().unwrap();
    let heads = store.heads(&home.id()).unwrap();
    assert_eq!(heads[0].id, written.id());
    assert_ne!(heads[0].id, EnvelopeId::ZERO);
}
