//! Blobs: uploads that are cut and go on, what is refused, who may delete.

use std::time::Duration;

use ajar_protocol::blob_msg::{BlobReply, BlobRequest};
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{BlobId, limits};
use ajar_relay::storage::{Store, StoreError};
use quinn::VarInt;

use crate::client::{Client, ana_at_home};
use crate::people::{Device, Home};
use crate::server::{TestRelay, generous};
use crate::transfer::{Sealed, Stream, begin, get, put};

async fn until(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never happened");
}

/// How much of an upload is there.
fn part_of(relay: &TestRelay, home: &Home, blob: &Sealed) -> u64 {
    let parts = relay.store.files().list(&home.id(), true).unwrap();
    let part = parts.iter().find(|part| part.blob == blob.id);
    part.map_or(0, |part| part.length)
}

#[tokio::test]
async fn a_photo_of_ana_reaches_ben_whole() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let photo = Sealed::new(1, 300_000);
    let tiny = Sealed::new(2, 1);
    assert_eq!(ana.missing(&[&photo, &tiny]).await.len(), 2);
    assert_eq!(put(&ana.connection, &photo).await, Ok(0));
    assert_eq!(put(&ana.connection, &tiny).await, Ok(0));
    assert_eq!(ben.missing(&[&photo, &tiny]).await, []);
    for blob in [&photo, &tiny] {
        let whole = (blob.length(), blob.bytes.clone());
        assert_eq!(get(&ben.connection, blob.id, 0).await, Ok(whole));
    }
    // Once more costs nothing.
    assert_eq!(put(&ben.connection, &photo).await, Ok(photo.length()));
    let unknown = BlobId([9; 32]);
    let refused = get(&ben.connection, unknown, 0).await;
    assert_eq!(refused, Err(Refusal::NoBlob));
    assert_eq!(relay.store.blobs(&home.id()).unwrap()[0].party, 0);
    // It is still there after a stop and a start.
    let relay = relay.restart().await;
    let ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let came = get(&ben.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
}

#[tokio::test]
async fn an_upload_that_is_cut_goes_on_where_it_was() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 1_000_000);
    let (mut stream, _) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    stream
        .send
        .write_all(&photo.bytes[..500_000])
        .await
        .unwrap();
    let there = || part_of(&relay, &home, &photo);
    until(|| there() >= 400_000).await;
    ana.connection.close(VarInt::from_u32(0), b"");
    let ana = Client::member(&relay, &home, &home.parties[0].device).await;
    let offset = put(&ana.connection, &photo).await.unwrap();
    assert!((400_000..=500_000).contains(&offset), "{offset}");
    let came = get(&ana.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
}

#[tokio::test]
async fn a_download_that_is_cut_goes_on_where_it_was() {
    let relay = TestRelay::start().await;
    let (_, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 1_000_000);
    put(&ana.connection, &photo).await.unwrap();
    let request = BlobRequest::Get {
        blob: photo.id,
        offset: 0,
    };
    let mut stream = Stream::ask(&ana.connection, &request).await;
    assert_eq!(stream.hear().await, BlobReply::Is(photo.length()));
    let mut first = vec![0; 123_456];
    stream.recv.read_exact(&mut first).await.unwrap();
    drop(stream);
    let (length, rest) = get(&ana.connection, photo.id, 123_456).await.unwrap();
    assert_eq!(length, photo.length());
    assert_eq!([first, rest].concat(), photo.bytes);
    // From its end nothing follows, and beyond it is nonsense.
    let (_, rest) = get(&ana.connection, photo.id, length).await.unwrap();
    assert!(rest.is_empty());
    let beyond = get(&ana.connection, photo.id, length + 1).await;
    assert_eq!(beyond, Err(Refusal::Violation));
}

#[tokio::test]
async fn wrong_bytes_are_forgotten_and_the_right_ones_come_after_them() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 200_000);
    let mut wrong = photo.clone();
    wrong.bytes[100_000] ^= 1;
    assert_eq!(put(&ana.connection, &wrong).await, Err(Refusal::Violation));
    assert_eq!(relay.store.files().list(&home.id(), false), Ok(vec![]));
    // Longer than said: nothing stays. Shorter: as if it had been cut.
    let (mut stream, _) = begin(&ana.connection, &photo, 150_000).await.unwrap();
    stream.send.write_all(&photo.bytes).await.unwrap();
    assert_eq!(stream.refusal().await, Refusal::Violation);
    assert_eq!(relay.store.files().list(&home.id(), false), Ok(vec![]));
    let (mut stream, _) = begin(&ana.connection, &photo, 250_000).await.unwrap();
    stream.send.write_all(&photo.bytes).await.unwrap();
    stream.send.finish().unwrap();
    assert_eq!(stream.refusal().await, Refusal::Violation);
    assert_eq!(put(&ana.connection, &photo).await, Ok(200_000));
    // Whoever says another length of what is stored lies.
    let other = begin(&ana.connection, &photo, 1).await;
    assert_eq!(other.err(), Some(Refusal::Violation));
    // Too long for any blob, and nothing at all.
    for length in [0, limits::BLOB + 1] {
        let refused = begin(&ana.connection, &Sealed::new(2, 1), length).await;
        assert_eq!(refused.err(), Some(Refusal::Violation));
    }
}

#[tokio::test]
async fn two_who_upload_the_same_do_not_disturb_each_other() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let photo = Sealed::new(1, 800_000);
    let (mut slow, _) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    slow.send.write_all(&photo.bytes[..200_000]).await.unwrap();
    let (first, second) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            slow.send.write_all(&photo.bytes[200_000..]).await.unwrap();
            slow.send.finish().unwrap();
            slow.hear().await
        },
        put(&ben.connection, &photo),
    );
    assert_eq!(first, BlobReply::Stored);
    assert_eq!(second, Ok(photo.length()), "it waited and was told");
    let came = get(&ben.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
}

#[tokio::test]
async fn a_device_that_comes_back_does_not_wait_for_its_dead_connection() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 800_000);
    let (mut dead, _) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    dead.send.write_all(&photo.bytes[..200_000]).await.unwrap();
    // Another network; the relay does not know yet that nothing comes from the old one.
    let again = Client::member(&relay, &home, &home.parties[0].device).await;
    assert!(put(&again.connection, &photo).await.is_ok());
}

#[tokio::test]
async fn strangers_and_the_removed_get_nothing_and_the_words_only_fetch() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 100_000);
    put(&ana.connection, &photo).await.unwrap();
    let stranger = Client::stranger(&relay).await;
    let opened = tokio::time::timeout(Duration::from_millis(200), stranger.connection.open_bi());
    assert!(opened.await.is_err(), "a stranger has one stream");

    let party = &home.parties[0];
    let (mut words, _) = Client::with_words(&relay, &party.login).await;
    let came = get(&words.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
    assert_eq!(words.missing(&[&photo]).await, []);
    let refused = put(&words.connection, &Sealed::new(2, 10)).await;
    assert_eq!(refused, Err(Refusal::NotAdmitted));
    let device = party.device.clone();
    assert_eq!(words.delete(&home, &device, &[&photo]).await, []);

    let phone = Device::new("ana's phone");
    let link = party.add(&phone);
    ana.keep_link(&link).await;
    home.parties[0].append(&link);
    let mut lost = Client::member(&relay, &home, &phone).await;
    let other = Sealed::new(3, 500_000);
    let (mut stream, _) = begin(&lost.connection, &other, other.length())
        .await
        .unwrap();
    stream
        .send
        .write_all(&other.bytes[..100_000])
        .await
        .unwrap();
    let link = home.parties[0].revoke(&phone, None);
    ana.keep_link(&link).await;
    lost.hear_removal().await;
    let _ = stream.send.write_all(&other.bytes[100_000..]).await;
    assert_eq!(stream.rest().await, None, "its transfers end with it");
    assert_eq!(ana.missing(&[&other]).await, [other.id]);
    // What it signed counts no more, whoever brings it.
    assert_eq!(ana.delete(&home, &phone, &[&photo]).await, []);
}

#[tokio::test]
async fn only_the_party_that_brought_a_blob_deletes_it() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let (hers, his, never) = (
        Sealed::new(1, 100_000),
        Sealed::new(2, 100_000),
        Sealed::new(3, 9),
    );
    put(&ana.connection, &hers).await.unwrap();
    put(&ben.connection, &his).await.unwrap();
    let (a, b) = (&home.parties[0].device, &home.parties[1].device);
    assert_eq!(ben.delete(&home, b, &[&hers]).await, []);
    let mut forged = b.clone();
    forged.sign = Device::new("mallory").sign;
    assert_eq!(ana.delete(&home, &forged, &[&his]).await, []);
    assert_eq!(ana.missing(&[&hers, &his]).await, []);
    let mut gone = vec![hers.id, never.id];
    gone.sort_unstable();
    for _ in 0..2 {
        // Again is no error.
        assert_eq!(ana.delete(&home, a, &[&hers, &his, &never]).await, gone);
    }
    assert_eq!(ana.missing(&[&hers, &his]).await, [hers.id]);
    let refused = get(&ben.connection, hers.id, 0).await;
    assert_eq!(refused, Err(Refusal::NoBlob));
    let left = relay.store.files().list(&home.id(), false).unwrap();
    assert_eq!(left.len(), 1, "his is there, hers is off the disk");
    // It may come again.
    assert_eq!(put(&ben.connection, &hers).await, Ok(0));
}

#[tokio::test]
async fn blobs_and_parts_of_blobs_count_into_the_quota() {
    let relay = TestRelay::with(ajar_relay::Limits {
        bytes_per_space: 300_000,
        ..generous()
    })
    .await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let device = home.parties[0].device.clone();
    let (one, two) = (Sealed::new(1, 200_000), Sealed::new(2, 150_000));
    put(&ana.connection, &one).await.unwrap();
    assert_eq!(put(&ana.connection, &two).await, Err(Refusal::Quota));
    let mut author = home.author(&device);
    let large = author.clone().write(&vec![0; 120_000]);
    assert_eq!(ana.envelope_refused(&large).await, Refusal::Quota);
    ana.keep(&mut author, b"a word").await;
    // What an upload under way will need counts from its beginning.
    let small = Sealed::new(3, 90_000);
    let (mut stream, _) = begin(&ana.connection, &small, small.length())
        .await
        .unwrap();
    let envelope = author.clone().write(&vec![0; 20_000]);
    assert_eq!(ana.envelope_refused(&envelope).await, Refusal::Quota);
    stream.send.reset(VarInt::from_u32(0)).unwrap();
    assert_eq!(ana.delete(&home, &device, &[&one]).await, [one.id]);
    put(&ana.connection, &two).await.unwrap();
    // It counts the same after the space was loaded again.
    let parts = Sealed::new(4, 140_000);
    let (mut stream, _) = begin(&ana.connection, &parts, parts.length())
        .await
        .unwrap();
    stream
        .send
        .write_all(&parts.bytes[..130_000])
        .await
        .unwrap();
    let there = || part_of(&relay, &home, &parts);
    until(|| there() >= 65_536).await;
    stream.send.finish().unwrap();
    stream.refusal().await;
    drop(ana);
    let ana = loop {
        let mut ana = Client::member(&relay, &home, &device).await;
        // The old session may still be ending.
        if ana
            .envelope_refused(&author.clone().write(&vec![0; 90_000]))
            .await
            == Refusal::Quota
        {
            break ana;
        }
    };
    assert!(put(&ana.connection, &parts).await.unwrap() >= 65_536);
}

#[tokio::test]
async fn a_full_disk_refuses_keeps_what_came_and_goes_on() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let (there, photo) = (Sealed::new(1, 100_000), Sealed::new(2, 500_000));
    put(&ana.connection, &there).await.unwrap();
    let (mut stream, _) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    stream
        .send
        .write_all(&photo.bytes[..200_000])
        .await
        .unwrap();
    let part = || part_of(&relay, &home, &photo);
    until(|| part() > 100_000).await;
    relay.store.set_fault(Some(StoreError::DiskFull));
    let _ = stream.send.write_all(&photo.bytes[200_000..]).await;
    assert_eq!(stream.refusal().await, Refusal::DiskFull);
    let came = get(&ana.connection, there.id, 0).await.unwrap();
    assert_eq!(came.1, there.bytes, "reading goes on");
    relay.store.set_fault(None);
    assert!(put(&ana.connection, &photo).await.unwrap() > 100_000);
}

#[tokio::test]
async fn a_death_between_the_file_and_its_record_costs_nothing() {
    let relay = TestRelay::start().await;
    let (_, mut ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 100_000);
    put(&ana.connection, &photo).await.unwrap();
    relay.store.forget_blobs();
    assert_eq!(ana.missing(&[&photo]).await, [photo.id]);
    let refused = get(&ana.connection, photo.id, 0).await;
    assert_eq!(refused, Err(Refusal::NoBlob));
    assert_eq!(put(&ana.connection, &photo).await, Ok(photo.length()));
    assert_eq!(ana.missing(&[&photo]).await, []);
}

#[tokio::test]
async fn a_blob_that_the_disk_changed_is_asked_for_again() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 100_000);
    put(&ana.connection, &photo).await.unwrap();
    relay.store.damage(&home.id(), &photo.id);
    let request = BlobRequest::Get {
        blob: photo.id,
        offset: 0,
    };
    let mut stream = Stream::ask(&ana.connection, &request).await;
    assert_eq!(stream.rest().await, None, "it is cut, not ended");
    assert_eq!(ana.missing(&[&photo]).await, [photo.id]);
    assert_eq!(put(&ana.connection, &photo).await, Ok(0));
    let came = get(&ana.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
}

#[tokio::test]
async fn a_thousand_streams_are_four_and_questions_are_answered_at_a_bounded_rate() {
    let relay = TestRelay::start().await;
    let (_, mut ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 1_000_000);
    put(&ana.connection, &photo).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..1000 {
        let opening = ana.connection.open_bi();
        match tokio::time::timeout(Duration::from_millis(100), opening).await {
            Ok(stream) => open.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    assert_eq!(open.len(), 4);
    for (send, _) in &mut open {
        // No request at all.
        send.write_all(&[0, 0, 0, 40, 77]).await.unwrap();
        send.finish().unwrap();
    }
    drop(open);
    assert_eq!(ana.missing(&[&photo]).await, []);
    assert!(get(&ana.connection, photo.id, 0).await.is_ok());
}

#[tokio::test]
async fn one_space_cannot_take_all_transfers() {
    let relay = TestRelay::with(ajar_relay::Limits {
        blob_transfers_per_space: 2,
        blob_transfers: 3,
        ..generous()
    })
    .await;
    let (_, ana) = ana_at_home(&relay).await;
    let mut held = Vec::new();
    for seed in 0..2 {
        held.push(
            begin(&ana.connection, &Sealed::new(seed, 1000), 1000)
                .await
                .unwrap(),
        );
    }
    let third = begin(&ana.connection, &Sealed::new(9, 1000), 1000).await;
    assert_eq!(third.err(), Some(Refusal::TooMany));
    drop(held);
    // A stream that was let go frees its place.
    loop {
        match put(&ana.connection, &Sealed::new(9, 1000)).await {
            Ok(_) => break,
            Err(reason) => assert_eq!(reason, Refusal::TooMany),
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_cut_a_week_ago_is_swept_and_one_of_yesterday_is_not() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let (old, new) = (Sealed::new(1, 200_000), Sealed::new(2, 200_000));
    for (blob, days) in [(&old, 6), (&new, 1)] {
        let (mut stream, _) = begin(&ana.connection, blob, blob.length()).await.unwrap();
        stream.send.write_all(&blob.bytes[..100_000]).await.unwrap();
        stream.send.finish().unwrap();
        stream.refusal().await;
        relay.store.age_files(Duration::from_secs(days * 24 * 3600));
    }
    drop(ana);
    let relay = relay.restart().await;
    until(|| part_of(&relay, &home, &old) == 0).await;
    assert_eq!(part_of(&relay, &home, &new), 100_000);
    let ana = Client::member(&relay, &home, &home.parties[0].device).await;
    assert_eq!(put(&ana.connection, &new).await, Ok(100_000));
    assert_eq!(put(&ana.connection, &old).await, Ok(0));
}

#[tokio::test]
async fn files_of_a_store_that_was_lost_are_kept_for_a_week() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 100_000);
    put(&ana.connection, &photo).await.unwrap();
    relay.store.forget_blobs();
    relay.store.age_files(Duration::from_secs(365 * 24 * 3600));
    drop(ana);
    let relay = relay.restart().await;
    until(|| part_of(&relay, &home, &photo) == photo.length()).await;
    let ana = Client::member(&relay, &home, &home.parties[0].device).await;
    assert_eq!(put(&ana.connection, &photo).await, Ok(photo.length()));
    let came = get(&ana.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
}

#[tokio::test]
async fn a_clean_stop_lets_a_transfer_come_to_its_end() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let photo = Sealed::new(1, 400_000);
    let (mut stream, _) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    stream
        .send
        .write_all(&photo.bytes[..100_000])
        .await
        .unwrap();
    until(|| part_of(&relay, &home, &photo) > 0).await;
    let store = std::sync::Arc::clone(&relay.store);
    let (stopped, heard) = tokio::join!(relay.stop(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream
            .send
            .write_all(&photo.bytes[100_000..])
            .await
            .unwrap();
        stream.send.finish().unwrap();
        stream.hear().await
    });
    stopped.unwrap();
    assert_eq!(heard, BlobReply::Stored);
    assert_eq!(store.blobs(&home.id()).unwrap().len(), 1);
}
