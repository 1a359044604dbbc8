//! Photos: Ana keeps them, the relay stores what it cannot read, Ben fetches what he wants to see.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ajar_sync::{BlobRef, Connection, Error, Space, SpaceEvent};

use crate::honest::Honest;
use crate::people::{Person, WAIT, eventually, pair, person, until, write};

fn photo(length: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(length).collect()
}

fn keep(space: &Space, photo: &[u8]) -> BlobRef {
    space.put_blob(&mut &photo[..], photo.len() as u64).unwrap()
}

async fn look(space: &Space, blob: &BlobRef) -> Result<Vec<u8>, Error> {
    let mut seen = Vec::new();
    space
        .open_blob(blob, &mut seen, WAIT)
        .await
        .inspect_err(|_| assert!(seen.is_empty(), "something was handed out"))?;
    Ok(seen)
}

fn folder(person: &Person, space: &str) -> PathBuf {
    person.path().join(space).join("blobs")
}

fn files(person: &Person, space: &str) -> Vec<String> {
    let listed = fs::read_dir(folder(person, space));
    let mut names: Vec<String> = listed
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn a_couple(relay: &Honest) -> (Person, Person) {
    let ana = person("Ana", Some(relay.address()));
    let ben = person("Ben", Some(relay.address()));
    pair(&ana.home, &ben.home).await;
    (ana, ben)
}

#[tokio::test(flavor = "multi_thread")]
async fn ana_keeps_a_photo_offline_and_ben_sees_it_when_it_has_travelled() {
    let relay = Honest::start();
    let (ana, ben) = a_couple(&relay).await;
    let sunset = photo(300_000);
    let blob = keep(&ana.us(), &sunset);
    assert_eq!(ana.us().blobs_pending(), 1);
    assert!(ana.us().has_blob(&blob.id));
    assert_eq!(look(&ana.us(), &blob).await.unwrap(), sunset);
    // Not there yet, and that is what Ben is told.
    let early = look(&ben.us(), &blob).await;
    assert!(matches!(early, Err(Error::BlobMissing)), "{early:?}");
    assert_eq!(files(&ben, "shared"), Vec::<String>::new());
    ana.us().sync(WAIT).await.unwrap();
    assert_eq!(ana.us().blobs_pending(), 0);
    assert!(relay.shelf().has(&blob.id));
    assert_eq!(look(&ben.us(), &blob).await.unwrap(), sunset);
    assert!(ben.us().has_blob(&blob.id));
    // A second look needs no relay.
    let sent = relay.shelf().sent.load(Ordering::SeqCst);
    drop(relay);
    assert_eq!(look(&ben.us(), &blob).await.unwrap(), sunset);
    assert_eq!(sent, 303_184);
}

/// Nobody closes the lid before a photo is there.
#[tokio::test(flavor = "multi_thread")]
async fn delivered_means_that_photos_are_delivered_too() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let me = ana.me();
    me.connect().unwrap();
    let delivered = |connection: &Connection| {
        let (caught_up, delivered) = (true, true);
        *connection
            == Connection::Online {
                caught_up,
                delivered,
            }
    };
    until(&me, delivered).await;
    let mut events = me.events();
    let blobs: Vec<BlobRef> = (1..6).map(|n| keep(&me, &photo(n * 100_000))).collect();
    write(&me, "with five photos");
    me.relay_has_everything().await.unwrap();
    assert!(blobs.iter().all(|blob| relay.shelf().has(&blob.id)));
    assert_eq!(me.blobs_pending(), 0);
    let told = async {
        while let Some(event) = events.next().await {
            if event == SpaceEvent::Delivered {
                return me.blobs_pending();
            }
        }
        usize::MAX
    };
    assert_eq!(tokio::time::timeout(WAIT, told).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_the_connection_died() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let blob = keep(&ana.me(), &photo(3_000_000));
    relay.shelf().cut_after.store(1_000_000, Ordering::SeqCst);
    ana.me().sync(WAIT).await.unwrap();
    assert!(relay.shelf().has(&blob.id));
    let received = relay.shelf().received.load(Ordering::SeqCst);
    assert!(received < 3_300_000, "sent anew: {received}");
    assert!(relay.host().seen.connections.load(Ordering::SeqCst) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_the_connection_died_also_after_a_restart() {
    let relay = Honest::start();
    let (ana, ben) = a_couple(&relay).await;
    let sunset = photo(3_000_000);
    let blob = keep(&ana.us(), &sunset);
    ana.us().sync(WAIT).await.unwrap();
    relay.shelf().cut_after.store(1_000_000, Ordering::SeqCst);
    assert_eq!(look(&ben.us(), &blob).await.unwrap(), sunset);
    let sent = relay.shelf().sent.load(Ordering::SeqCst);
    assert!(sent < 6_000_000, "sent anew: {sent}");
    // The next one is cut, and then the program ends.
    let dawn: Vec<u8> = sunset.iter().rev().copied().collect();
    let blob = keep(&ana.us(), &dawn);
    ana.us().sync(WAIT).await.unwrap();
    relay.shelf().cut_after.store(1_000_000, Ordering::SeqCst);
    let mut seen = Vec::new();
    let hurried = ben
        .us()
        .open_blob(&blob, &mut seen, Duration::from_millis(300))
        .await;
    if hurried.is_err() {
        let ben = ben.reopen();
        assert!(files(&ben, "shared").iter().any(|f| f.ends_with(".part")));
        assert_eq!(look(&ben.us(), &blob).await.unwrap(), dawn);
        assert!(files(&ben, "shared").iter().all(|f| !f.ends_with(".part")));
    }
}

/// Threat 25: other bytes, cut short, longer: nothing is handed out, nothing stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_gives_other_bytes_is_found_out() {
    let relay = Honest::start();
    let (ana, ben) = a_couple(&relay).await;
    let sunset = photo(200_000);
    let blob = keep(&ana.us(), &sunset);
    ana.us().sync(WAIT).await.unwrap();
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let spoils: [(&str, Spoil); 5] = [
        ("a changed byte", |mut bytes| {
            bytes[100_000] ^= 1;
            bytes
        }),
        ("cut at a chunk", |mut bytes| {
            bytes.truncate(65_552);
            bytes
        }),
        ("a byte more", |mut bytes| {
            bytes.push(0);
            bytes
        }),
        ("chunks swapped", |bytes| {
            let (first, rest) = bytes.split_at(65_552);
            let (second, rest) = rest.split_at(65_552);
            [second, first, rest].concat()
        }),
        ("nothing at all", |_| vec![0]),
    ];
    for (what, spoil) in spoils {
        relay.shelf().spoil(spoil);
        let seen = look(&ben.us(), &blob).await;
        assert!(matches!(seen, Err(Error::BlobDamaged)), "{what}: {seen:?}");
        assert_eq!(files(&ben, "shared"), Vec::<String>::new(), "{what}");
    }
    relay.shelf().be_honest();
    assert_eq!(look(&ben.us(), &blob).await.unwrap(), sunset);
}

/// What a relay gave wrong at first must not spoil what another gives right later.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_is_wrong_is_fetched_anew() {
    let relay = Honest::start();
    let (ana, ben) = a_couple(&relay).await;
    let sunset = photo(200_000);
    let blob = keep(&ana.us(), &sunset);
    ana.us().sync(WAIT).await.unwrap();
    assert_eq!(look(&ben.us(), &blob).await.unwrap(), sunset);
    let name = files(&ben, "shared").remove(0);
    let whole = folder(&ben, "shared").join(&name);
    let part = folder(&ben, "shared").join(format!("{name}.part"));
    fs::write(part, vec![7; 100_000]).unwrap();
    fs::remove_file(&whole).unwrap();
    assert_eq!(look(&ben.us(), &blob).await.unwrap(), sunset);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_length_in_a_record_is_damage() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let blob = keep(&ana.me(), &photo(5000));
    let (key, salt) = (*blob.key.key().expose(), *blob.key.salt());
    for (what, key, salt, length) in [
        ("key", [1; 32], salt, 5000),
        ("salt", key, [1; 16], 5000),
        ("length", key, salt, 4999),
        ("no length that can be", key, salt, u64::MAX),
    ] {
        let named = BlobRef::new(blob.id.0, &key, salt, length);
        let seen = look(&ana.me(), &named).await;
        assert!(matches!(seen, Err(Error::BlobDamaged)), "{what}: {seen:?}");
    }
    // The blob itself is right and stays.
    assert!(look(&ana.me(), &blob).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_rotted_on_the_disk_comes_from_the_relay_again() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let sunset = photo(100_000);
    let blob = keep(&ana.me(), &sunset);
    ana.me().sync(WAIT).await.unwrap();
    let path = folder(&ana, "private").join(&files(&ana, "private")[0]);
    let mut rotten = fs::read(&path).unwrap();
    rotten[50] ^= 0x10;
    fs::write(&path, rotten).unwrap();
    assert_eq!(look(&ana.me(), &blob).await.unwrap(), sunset);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_before_the_program_ended_is_sent_afterwards() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let blob = keep(&ana.me(), &photo(100_000));
    // Half of something that was being made, and a marker whose blob never got its name.
    fs::write(
        folder(&ana, "private").join(format!("new-{}", "a".repeat(32))),
        b"half",
    )
    .unwrap();
    fs::write(
        folder(&ana, "private").join(format!("{}.up", "b".repeat(32))),
        b"",
    )
    .unwrap();
    let ana = ana.reopen();
    assert_eq!(ana.me().blobs_pending(), 1);
    assert_eq!(files(&ana, "private").len(), 2);
    ana.me().sync(WAIT).await.unwrap();
    assert!(relay.shelf().has(&blob.id));
    assert_eq!(files(&ana, "private").len(), 1);
    assert_eq!(ana.reopen().me().blobs_pending(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_lost_its_disk_is_filled_again() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let blobs: Vec<BlobRef> = (1..4)
        .map(|n| keep(&ana.me(), &photo(n * 50_000)))
        .collect();
    write(&ana.me(), "three photos");
    ana.me().sync(WAIT).await.unwrap();
    relay.forget();
    assert_eq!(relay.shelf().count(), 0);
    ana.me().sync(WAIT).await.unwrap();
    assert_eq!(ana.me().blobs_pending(), 0);
    assert!(blobs.iter().all(|blob| relay.shelf().has(&blob.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_relay_gets_the_photos_too() {
    let (old, new) = (Honest::start(), Honest::seeded([43; 32]));
    let ana = person("Ana", Some(old.address()));
    let blob = keep(&ana.me(), &photo(50_000));
    write(&ana.me(), "a photo");
    ana.me().sync(WAIT).await.unwrap();
    ana.home.set_relay(new.address()).unwrap();
    ana.me().sync(WAIT).await.unwrap();
    assert!(new.shelf().has(&blob.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_is_taken_back_goes_here_and_at_the_relay() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let [kept, gone, unsent] = [50_000, 60_000, 70_000].map(photo);
    let (kept, gone) = (keep(&ana.me(), &kept), keep(&ana.me(), &gone));
    ana.me().sync(WAIT).await.unwrap();
    let unsent = keep(&ana.me(), &unsent);
    ana.me().forget_blobs(&[gone.id, unsent.id]).unwrap();
    assert!(!ana.me().has_blob(&gone.id) && !ana.me().has_blob(&unsent.id));
    assert_eq!(ana.me().blobs_pending(), 0);
    assert!(relay.shelf().has(&gone.id));
    // It is remembered until the relay has done it.
    let ana = ana.reopen();
    ana.me().connect().unwrap();
    eventually(|| !relay.shelf().has(&gone.id)).await;
    assert!(relay.shelf().has(&kept.id) && !relay.shelf().has(&unsent.id));
    let seen = look(&ana.me(), &gone).await;
    assert!(matches!(seen, Err(Error::BlobMissing)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_files_say_nothing_and_nothing_of_the_photo_is_in_them() {
    let relay = Honest::start();
    let ana = person("Ana", Some(relay.address()));
    let words = b"CANARY-7f3a in the picture".repeat(3000);
    let [one, two] = [0, 1].map(|_| keep(&ana.me(), &words));
    assert_ne!(one.id, two.id);
    let names = files(&ana, "private");
    assert_eq!(names.len(), 4, "{names:?}");
    let hex = |id: &[u8]| -> String { id.iter().take(4).map(|b| format!("{b:02x}")).collect() };
    for name in &names {
        assert!(!name.contains(&hex(&one.id.0)) && !name.contains(&hex(&two.id.0)));
        let content = fs::read(folder(&ana, "private").join(name)).unwrap();
        assert!(!content.windows(11).any(|window| window == b"CANARY-7f3a"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_changes_while_it_is_read_leaves_nothing() {
    let ana = person("Ana", None);
    let large = ana.me().put_blob(&mut std::io::empty(), (25 << 20) + 1);
    assert!(matches!(large, Err(Error::BlobTooLarge)), "{large:?}");
    for length in [99, 101] {
        let changed = ana.me().put_blob(&mut &photo(100)[..], length);
        assert!(matches!(changed, Err(Error::BlobChanged)), "{changed:?}");
    }
    assert_eq!(files(&ana, "private"), Vec::<String>::new());
    assert_eq!(ana.me().blobs_pending(), 0);
}

/// For packs: the ciphertext itself, by its id.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_travels_as_it_is() {
    let relay = Honest::start();
    let (ana, ben) = a_couple(&relay).await;
    let blob = keep(&ana.us(), &photo(100_000));
    let sealed = ana.us().sealed_blob(blob.id, WAIT).await.unwrap();
    ben.us().put_sealed_blob(blob.id, &sealed).unwrap();
    ben.us().sync(WAIT).await.unwrap();
    assert!(relay.shelf().has(&blob.id));
    let wrong = ben.us().put_sealed_blob(blob.id, &sealed[1..]);
    assert!(matches!(wrong, Err(Error::BlobDamaged)), "{wrong:?}");
    let name = files(&ben, "shared").remove(0);
    fs::remove_file(folder(&ben, "shared").join(name)).unwrap();
    relay.shelf().lose(&blob.id);
    ana.us().sync(WAIT).await.unwrap();
    assert_eq!(ben.us().sealed_blob(blob.id, WAIT).await.unwrap(), sealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_a_photo_that_is_not_here_is_not_waited_for() {
    let ana = person("Ana", None);
    let blob = BlobRef::new([1; 32], &[2; 32], [3; 16], 1000);
    let seen = look(&ana.me(), &blob).await;
    assert!(matches!(seen, Err(Error::Connect(_))), "{seen:?}");
}
