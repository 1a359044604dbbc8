//! Devices that were removed, and parties that have left.

use ajar_protocol::Frontier;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_relay::storage::StoreError;

use crate::client::{Client, ana_at_home};
use crate::people::{Device, Home, append, append_link, name};
use crate::server::{TestRelay, until_waiting};

/// Ana's phone, which her laptop has added.
async fn with_phone(home: &mut Home, ana: &mut Client) -> Device {
    let phone = Device::new("ana's phone");
    let added = home.parties[0].add(&phone);
    ana.keep_link(&added).await;
    home.parties[0].append(&added);
    phone
}

#[tokio::test]
async fn a_removed_device_hears_that_it_was_removed_and_nothing_after_it() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = with_phone(&mut home, &mut ana).await;
    let (mut live, _) = Client::reader(&relay, &home, &phone).await;
    // This one never said what it has.
    let mut silent = Client::member(&relay, &home, &phone).await;

    let removed = home.parties[0].revoke(&phone, None);
    ana.keep_link(&removed).await;
    assert_eq!(live.hear_removal().await, std::slice::from_ref(&removed));
    home.parties[0].append(&removed);
    assert_eq!(silent.hear_removal().await, home.links());
    let refused = Client::device_refused(&relay, &home, &phone).await;
    assert_eq!(refused, Refusal::NotAdmitted);
    assert!(ana.hears_nothing().await, "the others stay");
}

#[tokio::test]
async fn a_removal_that_the_disk_did_not_take_removes_nobody() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = with_phone(&mut home, &mut ana).await;
    let (mut thief, _) = Client::reader(&relay, &home, &phone).await;
    let removed = home.parties[0].revoke(&phone, None);

    relay.store.pause();
    relay.store.set_fault(Some(StoreError::DiskFull));
    ana.say(&append_link(&removed)).await;
    until_waiting(&relay).await;
    assert!(thief.hears_nothing().await, "it is not durable yet");
    relay.store.resume();
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkNotStored {
            reason: Refusal::DiskFull,
            ..
        })
    ));
    assert!(thief.hears_nothing().await, "it was taken back");

    relay.store.set_fault(None);
    ana.keep_link(&removed).await;
    assert_eq!(thief.hear_removal().await, [removed]);
}

#[tokio::test]
async fn a_removal_counts_although_what_came_after_it_found_the_disk_full() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = with_phone(&mut home, &mut ana).await;
    let (mut thief, _) = Client::reader(&relay, &home, &phone).await;
    let removed = home.parties[0].revoke(&phone, None);
    let mut grown = home.parties[0].clone();
    grown.append(&removed);
    let tablet = grown.add(&Device::new("ana's tablet"));

    relay.store.pause();
    ana.say(&append_link(&removed)).await;
    until_waiting(&relay).await;
    ana.say(&append_link(&tablet)).await;
    assert!(ana.hears_nothing().await, "both are under way");
    // Nothing else of this test runs between these two.
    relay.store.resume();
    relay.store.set_fault(Some(StoreError::DiskFull));
    let heard = [ana.hear().await, ana.hear().await];
    assert!(
        matches!(
            heard,
            [
                Some(RelayMsg::LinkStored { seq: 2, .. }),
                Some(RelayMsg::LinkNotStored { seq: 3, .. })
            ]
        ),
        "{heard:?}"
    );
    assert_eq!(thief.hear_removal().await, [removed]);
}

#[tokio::test]
async fn a_device_that_is_removed_while_it_is_welcomed_does_not_stay() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = with_phone(&mut home, &mut ana).await;
    // Its login is good, but it does not take the welcome yet.
    let mut thief = Client::with_window(&relay, 16).await;
    thief.say_login(home.id(), phone.id(), &phone.auth).await;
    assert!(ana.hears_nothing().await, "time for the login");
    let removed = home.parties[0].revoke(&phone, None);
    ana.keep_link(&removed).await;
    let (chains, _) = thief.welcome().await;
    assert_eq!(chains, [2, 1], "the welcome is from before");
    assert!(thief.hear_removal().await.contains(&removed));
}

#[tokio::test]
async fn what_a_removed_device_wrote_before_its_cutoff_is_filled_in_by_others() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = with_phone(&mut home, &mut ana).await;
    let mut author = home.author(&phone);
    // None of it came from the phone itself.
    let written = [author.write(b"one"), author.write(b"two")];
    let late = author.write(b"three");
    let removed = home.parties[0].revoke(&phone, Some(name(&written[1])));
    ana.keep_link(&removed).await;
    for envelope in &written {
        ana.say(&append(envelope)).await;
        assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(envelope))));
    }
    assert_eq!(ana.envelope_refused(&late).await, Refusal::Revoked);
    home.parties[0].append(&removed);
    let (_, came) = Client::reader(&relay, &home, &home.parties[1].device).await;
    assert_eq!(came, written);
}

#[tokio::test]
async fn a_party_that_left_fetches_and_fills_in_and_writes_no_more() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let device = home.parties[0].device.clone();
    let mut author = home.author(&device);
    let kept = ana.keep(&mut author, b"kept").await;
    let before = author.write(b"written before, sent after");
    let left = home.parties[0].leave();
    ana.keep_link(&left).await;
    let mut grown = home.clone();
    grown.parties[0].append(&left);

    let (mut ana, came) = Client::reader(&relay, &grown, &device).await;
    assert_eq!(came, std::slice::from_ref(&kept));
    ana.say(&append(&before)).await;
    assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(&before))));
    author.has_seen(&grown);
    let after = author.write(b"after");
    assert_eq!(ana.envelope_refused(&after).await, Refusal::NotAdmitted);
    // No link of a device follows, and none of the words.
    let laptop = Device::new("ana's new laptop");
    for link in [
        grown.parties[0].add(&laptop),
        grown.parties[0].recover(&laptop),
    ] {
        assert_eq!(ana.link_refused(&link).await, Refusal::NotAdmitted);
    }
    // Nor does a device contradict it in its place.
    let other = home.parties[0].add(&laptop);
    assert_eq!(ana.link_refused(&other).await, Refusal::Conflict);

    // The other one has not left: what Ben wrote meanwhile still comes.
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let mut by_ben = home.author(&home.parties[1].device);
    by_ben.has_seen(&grown);
    let answer = ben.keep(&mut by_ben, b"an answer").await;
    assert_eq!(ana.hear_envelope().await.id(), answer.id());

    // A thief left, not Ana: the words say so, in the place of the leaving.
    let (mut words, _) = Client::with_words(&relay, &home.parties[0].login).await;
    let recovered = home.parties[0].recover(&laptop);
    words.keep_link(&recovered).await;
    home.parties[0].append(&recovered);
    let mut ana = Client::member(&relay, &home, &laptop).await;
    let mut author = home.author(&laptop);
    author.has_seen(&home);
    ana.keep(&mut author, b"here I am").await;
    // Ben has been here all the time, and is told although he says that he has as many links.
    ben.subscribe(&home, Frontier::default()).await;
    assert_eq!(ben.hear_link().await, recovered);
    let ids: Vec<_> = [&kept, &before, &answer].map(|e| e.id()).into();
    for id in ids {
        assert_eq!(ben.hear_envelope().await.id(), id);
    }
    assert_eq!(name(&ben.hear_envelope().await).device, laptop.id());
}
