//! The real binary on a real folder: blobs as files, and what a trim gives back to the disk.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{EnvelopeType, Frontier};
use ajar_relay::claims::Claims;
use ajar_relay::data::DataDir;
use ajar_relay::storage::{LocalStore, Store, Write};

use crate::binary::{Process, run};
use crate::people::{Home, append};
use crate::transfer::{Sealed, begin, get, put};
use crate::trim::{record, statement};

fn init(data: &Path, limits: &str) -> Credential {
    assert!(run(data, &["init", "--host", "127.0.0.1"]).status.success());
    std::fs::write(data.join("relay.toml"), format!("[limits]\n{limits}")).unwrap();
    Credential::Claim(Claims::of(&DataDir::new(data)).create(1).unwrap())
}

/// Bytes that the files of a folder take.
fn size(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        // It may have gone since it was listed.
        let Ok(file) = entry.unwrap().metadata() else {
            continue;
        };
        sum += file.len();
    }
    sum
}

#[tokio::test]
async fn an_upload_survives_the_death_of_the_relay_wherever_it_happens() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let claim = init(data, "");
    let home = Home::private("ana");
    let device = &home.parties[0].device;
    let photo = Sealed::new(1, 900_000);
    let folder = data.join("blobs").join(home.id().to_hex());
    let part = folder.join(format!("{}.part", photo.id.to_hex()));

    let relay = Process::start(data, "127.0.0.1:0");
    let mut ana = relay.client().await;
    ana.found(&home, device, claim).await;
    let (mut stream, _) = begin(&ana.connection, &photo, photo.length())
        .await
        .unwrap();
    stream
        .send
        .write_all(&photo.bytes[..500_000])
        .await
        .unwrap();
    while std::fs::metadata(&part).map_or(0, |file| file.len()) < 400_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.kill();

    let relay = Process::start(data, "127.0.0.1:0");
    let (ana, _) = relay.member(&home).await;
    assert!(put(&ana.connection, &photo).await.unwrap() >= 400_000);
    let whole = folder.join(photo.id.to_hex());
    assert!(whole.exists() && !part.exists());
    let came = get(&ana.connection, photo.id, 0).await.unwrap();
    assert_eq!(came.1, photo.bytes);
    relay.kill();

    // Between the file and the record.
    let store = LocalStore::open(&data.join("db"), &data.join("blobs")).unwrap();
    let blob = store.blob(&home.id(), &photo.id).unwrap().unwrap();
    let (tell, told) = mpsc::channel();
    let unblob = Write::Unblob {
        space: home.id(),
        blob,
    };
    store.commit(vec![unblob], Box::new(move |done| tell.send(done).unwrap()));
    told.recv().unwrap().unwrap();
    store.close().unwrap();
    drop(store);
    let relay = Process::start(data, "127.0.0.1:0");
    let (mut ana, _) = relay.member(&home).await;
    assert_eq!(ana.missing(&[&photo]).await, [photo.id]);
    assert_eq!(put(&ana.connection, &photo).await, Ok(photo.length()));
    assert_eq!(ana.missing(&[&photo]).await, []);
    assert_eq!(relay.stop().0, 0);

    let said = |words: &[&str]| {
        let output = run(data, words);
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (_, spaces) = said(&["spaces"]);
    assert!(spaces.contains("1 blobs  900000 bytes"), "{spaces}");
    assert!(said(&["doctor"]).0);
    let mut bytes = photo.bytes.clone();
    bytes[7] ^= 1;
    std::fs::write(&whole, bytes).unwrap();
    let (well, report) = said(&["doctor"]);
    assert!(!well && report.contains("1 damaged blobs"), "{report}");
}

#[tokio::test]
async fn a_trim_gives_the_disk_its_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let claim = init(
        data,
        "upload_burst_bytes = 2000000000\nupload_bytes_per_second = 2000000000\n",
    );
    let home = Home::private("ana");
    let device = &home.parties[0].device;
    let relay = Process::start(data, "127.0.0.1:0");
    let mut ana = relay.client().await;
    ana.found(&home, device, claim).await;
    let mut author = home.author(device);
    let epoch = author.write_as(EnvelopeType::Epoch, b"a key");
    ana.keep_envelope(&epoch).await;
    for round in 0..200 {
        ana.keep(&mut author, &vec![round; 1_000_000]).await;
    }
    let cover = author.frontier();
    let snapshot = author.write_as(EnvelopeType::Snapshot, b"all");
    ana.keep_envelope(&snapshot).await;
    let log = data.join("db").join("log");
    let before = size(&log);
    let statement = statement(home.id(), &snapshot, &[cover], &[]);
    let start = Instant::now();
    ana.say(&ClientMsg::Trim(record(&statement, &[device])))
        .await;
    assert_eq!(ana.hear().await, Some(RelayMsg::TrimStored(snapshot.id())));
    let answered = start.elapsed();
    // Appends go on meanwhile.
    let (mut appends, mut slowest) = (0, Duration::ZERO);
    while size(&log) > 2 * (64 << 20) + 4096 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{} bytes",
            size(&log)
        );
        let one = Instant::now();
        let envelope = author.write(b"a word");
        ana.say(&append(&envelope)).await;
        assert!(matches!(ana.hear().await, Some(RelayMsg::Stored(_))));
        slowest = slowest.max(one.elapsed());
        appends += 1;
    }
    eprintln!(
        "{before} bytes became {} in {:?}; the record was answered after {answered:?}; of {appends} \
         appends meanwhile the slowest took {slowest:?}",
        size(&log),
        start.elapsed(),
    );
    assert_eq!(relay.stop().0, 0);
    let relay = Process::start(data, "127.0.0.1:0");
    let mut late = relay.client().await;
    late.say_login(home.id(), device.id(), &device.auth).await;
    late.welcome().await;
    late.subscribe(&home, Frontier::default()).await;
    assert!(matches!(late.hear().await, Some(RelayMsg::Trimmed(_))));
    let (_, came) = late.bootstrap().await;
    assert_eq!(came.len(), 2);
    assert_eq!(came[0].id(), epoch.id());
    late.subscribe(&home, statement.cover.clone()).await;
    for _ in 0..=appends {
        late.hear_envelope().await;
    }
    assert_eq!(late.hear().await, Some(RelayMsg::CaughtUp));
    assert_eq!(relay.stop().0, 0);
    assert!(run(data, &["doctor"]).status.success());
}
