//! A disk that is full when it matters: nothing that was kept is lost, and the same command works
//! once there is room again. Homes lie on small file systems of their own here.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use serde_json::Value;

/// Runs a test of this file again where it may mount, which nobody outside sees; `true` there.
fn may_mount(test: &str) -> bool {
    const INSIDE: &str = "AJAR_TEST_MAY_MOUNT";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let out = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("this test needs `unshare` (package util-linux)");
    let (said, errors) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{said}\n{errors}");
    assert!(said.contains("1 passed"), "{said}\n{errors}");
    false
}

/// A home's own file system, in memory.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn below(person: &Person, mebibytes: u32) -> Self {
        let at = person.home();
        std::fs::create_dir(&at).unwrap();
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "this test needs `mount`: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { at }
    }

    /// Fills it but for so many bytes.
    fn fill(&self, left: u64) {
        let mut filler = File::create(self.filler()).unwrap();
        let piece = vec![0xaa; 4096];
        while filler.write_all(&piece).is_ok() {}
        let filler = OpenOptions::new().write(true).open(self.filler()).unwrap();
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(left)).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

fn photo_in(folder: &Path) -> String {
    let photo = folder.join("photo.bin");
    let mut bytes = vec![0; 2_000_000];
    getrandom::fill(&mut bytes).unwrap();
    std::fs::write(&photo, bytes).unwrap();
    photo.to_str().unwrap().to_owned()
}

/// `doctor` finds nothing wrong but that the disk is small.
fn is_whole(person: &Person) {
    let said = person.ajar(&["doctor"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let checks = told["checks"].as_array().unwrap().iter();
    let mut bad = checks.filter(|check| check["ok"] == false);
    assert!(bad.all(|check| check["what"] == "disk"), "{said:?}");
}

#[test]
fn a_photo_and_a_burn_find_no_room_and_nothing_is_lost() {
    if !may_mount("a_photo_and_a_burn_find_no_room_and_nothing_is_lost") {
        return;
    }
    let relay = Relay::start();
    let ana = Person::new("Ana");
    let disk = SmallDisk::below(&ana, 40);
    let init = ana.ajar(&["init", "--name", "Ana", "--relay", &relay.invite(), "--yes"]);
    assert_eq!(init.code, 0, "{init:?}");
    let kept = ana.write("kept", "kept before");
    let folder = tempfile::tempdir().unwrap();
    let photo = photo_in(folder.path());
    let writing = ["write", "--photo", &photo, "--original", "with a photo"];

    disk.fill(256 << 10);
    let full = ana.ajar(&writing).exits(1);
    assert_eq!(full.error_code(), "disk-full", "{full:?}");
    disk.free();
    assert_eq!(ana.texts("me"), ["kept before"]);
    assert_eq!(ana.ajar(&writing).code, 0);
    assert_eq!(ana.texts("me"), ["kept before", "with a photo"]);
    ana.sync();

    disk.fill(0);
    let full = ana.ajar(&["burn", &kept, "--yes"]);
    let burned = full.code == 0;
    // It is burned or it is not: never said and not done, never done in part.
    assert!(burned || full.error_code() == "disk-full", "{full:?}");
    disk.free();
    let there = ana.texts("me").contains(&"kept before".to_owned());
    assert_eq!(there, !burned, "{full:?}");
    if there {
        assert_eq!(ana.ajar(&["burn", &kept, "--yes"]).code, 0);
    }
    ana.sync();
    assert_eq!(ana.texts("me"), ["with a photo"]);
    let states = ana.ajar(&["burn", "--status"]).json();
    assert_eq!(states["burns"][0]["state"], "destroyed", "{states}");
    is_whole(&ana);
}

#[test]
fn a_device_far_behind_has_no_room_for_the_copy_and_begins_from_it_later() {
    if !may_mount("a_device_far_behind_has_no_room_for_the_copy_and_begins_from_it_later") {
        return;
    }
    let relay = Relay::start();
    let address = relay.invite();
    let ana = Person::with_home("Ana", &address);
    let ben = Person::new("Ben");
    let disk = SmallDisk::below(&ben, 40);
    let init = ben.ajar(&["init", "--name", "Ben", "--relay", &address, "--yes"]);
    assert_eq!(init.code, 0, "{init:?}");
    pair(&ana, &ben);
    let desk = ben.device("desk");
    let mut expected = Vec::new();
    for number in 0..4 {
        let text = format!("{number} {}", "a long day by the sea ".repeat(8000));
        assert!(ana.share(&text));
        expected.push(text);
    }
    desk.sync();
    ana.sync();
    let tidied = ana.ajar(&["tidy"]);
    assert_eq!(tidied.code, 0, "{tidied:?}");
    desk.sync();
    assert!(desk.share("from the desk"));
    expected.push("from the desk".to_owned());
    desk.sync();
    ana.sync();
    let tidied = ana.ajar(&["tidy"]).json();
    let mut spaces = tidied["spaces"].as_array().unwrap().iter();
    let us = spaces.find(|space| space["space"] == "us").unwrap();
    assert_eq!(us["given_up"], true, "{tidied}");
    // A device of Ben's agrees to the newest copy, so that his laptop may begin from it.
    desk.sync();
    assert!(desk.share("from the desk again"));
    expected.push("from the desk again".to_owned());
    desk.sync();

    // The laptop has slept all the while, and its disk is full.
    disk.fill(0);
    let full = ben.ajar(&["sync", "--timeout", "10"]);
    assert_ne!(full.code, 0, "{full:?}");
    disk.free();
    ben.sync();
    expected.sort();
    assert_eq!(ben.texts("us"), expected);
    is_whole(&ben);
}
