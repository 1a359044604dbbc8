//! Several devices of one person, through the sync crate, against a real relay process.
#![expect(clippy::unwrap_used, reason = "a test fails where it breaks")]

use std::path::Path;
use std::time::Duration;

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{
    ChangeError, Error, Home, Invitation, Misuse, NewDevice, OwnDevice, Ownership, RevokeReason,
    Space, SpaceKind,
};
use ajar_tests::library::{WAIT, builder, home, pair, read, write};
use ajar_tests::relay::Relay;
use tempfile::TempDir;

const BOTH: [SpaceKind; 2] = [SpaceKind::Private, SpaceKind::Shared];

struct Device {
    dir: TempDir,
    home: Home,
}

impl Device {
    fn us(&self) -> Space {
        self.home.space(SpaceKind::Shared).unwrap()
    }

    fn me(&self) -> Space {
        self.home.space(SpaceKind::Private).unwrap()
    }

    async fn sync(&self) {
        for space in self.home.spaces() {
            space.sync(WAIT).await.unwrap();
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn person(name: &str, relay: &str) -> Device {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path(), name, relay);
    Device { dir, home }
}

type Linked = (Result<String, Error>, Result<Home, Error>);

/// The old device shows a code, the new one enters it; `pick` chooses a line.
async fn try_link(
    old: &Home,
    dir: &Path,
    name: &str,
    kinds: &[SpaceKind],
    pick: impl FnOnce(usize) -> Option<usize> + Send + 'static,
) -> Linked {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (show_words, words) = std::sync::mpsc::channel();
    let show = old.add_device(
        kinds,
        WAIT,
        move |code| tell.send(code).ok().unwrap(),
        move |candidate| {
            let right = words.recv().unwrap();
            let place = candidate.lines.iter().position(|line| *line == right);
            pick(place.unwrap())
        },
    );
    let enter = async {
        let invitation: Invitation = told.await.unwrap().invitation.parse().unwrap();
        let new = NewDevice {
            name: name.to_owned(),
            relay: None,
        };
        let on_words = move |words| show_words.send(words).unwrap();
        builder(dir).link(new, &invitation, on_words).await
    };
    tokio::join!(show, enter)
}

async fn link(old: &Device, name: &str, kinds: &[SpaceKind]) -> Device {
    let dir = tempfile::tempdir().unwrap();
    let (added, home) = try_link(&old.home, dir.path(), name, kinds, Some).await;
    assert_eq!(added.unwrap(), name);
    let home = home.unwrap();
    Device { dir, home }
}

fn named(home: &Home, name: &str) -> OwnDevice {
    let devices = home.devices().unwrap();
    let found = devices
        .into_iter()
        .find(|device| device.name.as_deref() == Some(name));
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_and_three_devices_have_the_same_journal() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (person("Ana", &address), person("Ben", &address));
    let before = write(&ana.me(), "before anything");
    pair(&ana.home, &ben.home).await;
    let old = write(&ana.us(), "before the phone");
    let phone = link(&ana, "phone", &BOTH).await;
    // From the second device, and after the first has gone on.
    let tablet = link(&phone, "tablet", &BOTH).await;
    let ben_phone = link(&ben, "Ben's phone", &BOTH).await;
    let ben_tablet = link(&ben, "Ben's tablet", &[SpaceKind::Shared]).await;
    let all = [&ana, &phone, &tablet, &ben, &ben_phone, &ben_tablet];
    let mut written = vec![(old, "before the phone".to_owned())];
    for (number, device) in all.iter().enumerate() {
        let text = format!("from device {number}");
        written.push((write(&device.us(), &text), text));
    }
    let private = write(&tablet.me(), "only Ana's");
    for _ in 0..2 {
        for device in all {
            device.sync().await;
        }
    }
    for (number, device) in all.iter().enumerate() {
        for (doc, text) in &written {
            let found = read(&device.us(), *doc);
            let status = device.us().status().unwrap().engine;
            assert_eq!(found.as_ref(), Some(text), "device {number}: {status:#?}");
        }
    }
    for device in [&ana, &phone, &tablet] {
        assert_eq!(
            read(&device.me(), before).as_deref(),
            Some("before anything")
        );
        assert_eq!(read(&device.me(), private).as_deref(), Some("only Ana's"));
        let names: Vec<_> = device.home.devices().unwrap();
        let names: Vec<_> = names.iter().filter_map(|d| d.name.as_deref()).collect();
        assert_eq!(names, ["Ana's laptop", "phone", "tablet"]);
    }
    assert_eq!(ben_phone.home.partner_name().as_deref(), Some("Ana"));
    assert!(matches!(
        ben_tablet.home.space(SpaceKind::Private),
        Err(Error::PrivateLocked)
    ));
    // Ben has three devices in the shared space and two in his own.
    let devices = ben_phone.home.devices().unwrap();
    let both = devices.iter().filter(|device| device.private.is_some());
    assert_eq!((devices.len(), both.count()), (3, 2));
    // A linked device opens again with its own passphrase.
    let Device { dir, home } = phone;
    home.close().unwrap();
    let home = builder(dir.path()).open().unwrap();
    assert_eq!(home.device_name(), "phone");
    assert_eq!(home.name(), "Ana");
    assert_eq!(home.devices().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_reads_nothing_new_and_what_it_writes_counts_nowhere() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (person("Ana", &address), person("Ben", &address));
    pair(&ana.home, &ben.home).await;
    let phone = link(&ana, "phone", &BOTH).await;
    let kept = write(&phone.us(), "from the phone");
    phone.sync().await;
    ana.sync().await;
    ben.sync().await;
    // Offline writes of the phone, from before it knows.
    let offline = write(&phone.us(), "from the phone, later");
    let lost = named(&ana.home, "phone");
    ana.home
        .remove_device(&lost, RevokeReason::Lost, WAIT)
        .await
        .unwrap();
    assert!(!named(&ana.home, "phone").active);
    let after = write(&ana.us(), "after the phone");
    let private = write(&ana.me(), "after the phone, only me");
    ana.sync().await;
    ben.sync().await;
    for space in phone.home.spaces() {
        let refused = space.sync(Duration::from_secs(3)).await;
        assert!(matches!(refused, Err(Error::Undelivered(_))), "{refused:?}");
    }
    for device in [&ana, &ben] {
        device.sync().await;
        assert_eq!(read(&device.us(), kept).as_deref(), Some("from the phone"));
        assert_eq!(read(&device.us(), offline), None);
    }
    assert_eq!(read(&phone.us(), after), None);
    assert_eq!(read(&phone.me(), private), None);
    // What it had stays readable for whoever holds it.
    assert_eq!(read(&phone.us(), kept).as_deref(), Some("from the phone"));
    // Removing it again is refused with a reason.
    let again = ana
        .home
        .remove_device(&named(&ana.home, "phone"), RevokeReason::Lost, WAIT)
        .await;
    assert!(matches!(again, Err(Error::Misuse(Misuse::NoSuchDevice))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_online_learns_that_it_was_removed_and_writes_no_more() {
    let relay = Relay::start();
    let address = relay.invite();
    let ana = person("Ana", &address);
    let phone = link(&ana, "phone", &[SpaceKind::Private]).await;
    phone.me().connect().unwrap();
    phone.me().relay_has_everything().await.unwrap();
    let lost = named(&ana.home, "phone");
    ana.home
        .remove_device(&lost, RevokeReason::Stolen, WAIT)
        .await
        .unwrap();
    let mut refused = None;
    for _ in 0..500 {
        let document = phone.me().create_document(Ownership::Mine).unwrap();
        let written = document.change(|tx| tx.put(ROOT, "text", "still here"));
        if let Err(ChangeError::Failed(error)) = written {
            refused = Some(error);
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(matches!(refused, Some(Error::Misuse(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_picks_the_wrong_words_adds_nothing_and_sends_no_key() {
    let relay = Relay::start();
    let ana = person("Ana", &relay.invite());
    for picked in [None, Some(1), Some(2)] {
        let dir = tempfile::tempdir().unwrap();
        let pick = move |right: usize| picked.map(|step| (right + step) % 3);
        let private = [SpaceKind::Private];
        let (added, home) = try_link(&ana.home, dir.path(), "phone", &private, pick).await;
        assert!(matches!(added, Err(Error::Pairing(_))), "{added:?}");
        assert!(matches!(home, Err(Error::Pairing(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(ana.home.devices().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_for_a_device_is_no_code_for_a_partner_and_the_other_way_round() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (person("Ana", &address), person("Ben", &address));
    let (tell, told) = tokio::sync::oneshot::channel();
    let kinds = [SpaceKind::Private];
    let show = ana.home.add_device(
        &kinds,
        WAIT,
        move |code| tell.send(code).ok().unwrap(),
        |_| Some(0),
    );
    let enter = async {
        let invitation: Invitation = told.await.unwrap().invitation.parse().unwrap();
        ben.home.join(&invitation, |_| true).await
    };
    let (shown, entered) = tokio::join!(show, enter);
    let Err(Error::Pairing(why)) = entered else {
        panic!("{entered:?}");
    };
    assert!(why.contains("add my own device"), "{why}");
    assert!(matches!(shown, Err(Error::Pairing(_))), "{shown:?}");

    let (tell, told) = tokio::sync::oneshot::channel();
    let show = ben
        .home
        .pair(move |code| tell.send(code).ok().unwrap(), |_| true);
    let dir = tempfile::tempdir().unwrap();
    let enter = async {
        let invitation: Invitation = told.await.unwrap().invitation.parse().unwrap();
        let new = NewDevice {
            name: "phone".to_owned(),
            relay: None,
        };
        builder(dir.path()).link(new, &invitation, |_| ()).await
    };
    let (shown, entered) = tokio::join!(show, enter);
    assert!(shown.is_err());
    let Err(Error::Pairing(why)) = entered else {
        panic!("linked");
    };
    assert!(why.contains("meeting a partner"), "{why}");
    assert!(ana.path().join("vault.hdr").exists());
}
