//! Whose files these are, and whose folders are refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use ajar_tests::nobody::{self, STRANGER, User};
use serde_json::Value;

#[test]
fn t115_files_are_for_their_user_only_whatever_the_umask() {
    let user = User::typing("umask 000;");
    let (_relay, address) = user.serves();
    let path = |name: &str| {
        user.place(&format!("own/{name}"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    let words = path("words");
    let _ = user.does(&[
        "ajar",
        "init",
        "--name",
        "Ana",
        "--relay",
        &address,
        "--words-file",
        &words,
    ]);
    fs::write(
        user.place("photo.png"),
        include_bytes!("../../src/pixel.png"),
    )
    .unwrap();
    let photo = user.place("photo.png");
    let _ = user.does(&[
        "ajar",
        "write",
        "--photo",
        photo.to_str().unwrap(),
        "The sea.",
    ]);
    let _ = user.does(&["ajar", "sync"]);
    let _ = user.does(&[
        "ajar",
        "export",
        &path("all.md"),
        "--photos",
        &path("photos"),
    ]);
    let _ = user.does(&["ajar", "status"]);
    let list = user.does(&["ajar", "--json", "list"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let id = list[0]["id"].as_str().unwrap();
    let _ = user.does(&["ajar", "photo", id, "1", &path("again.png")]);
    let mut seen = 0;
    for place in ["home", "relay", "words", "all.md", "photos", "again.png"] {
        for (path, is_dir, mode) in nobody::modes(&user.place(&format!("own/{place}"))) {
            assert_eq!(
                mode,
                if is_dir { 0o700 } else { 0o600 },
                "{path:?} {mode:o}"
            );
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} files and folders");
}

#[test]
fn t115_folders_and_links_of_others_are_refused() {
    let user = User::typing("");
    let words = user.place("own/words");
    let _ = user.does(&[
        "ajar",
        "init",
        "--name",
        "Ana",
        "--words-file",
        words.to_str().unwrap(),
    ]);
    let relay = user.relay();
    let _ = user.does(&["ajar-relay", "init", "--data", relay.to_str().unwrap()]);
    // A lock that somebody turned into a link to another file: that file stays as it is.
    let (lock, victim) = (user.home().join("lock"), user.place("own/victim"));
    fs::write(&victim, "mine").unwrap();
    fs::set_permissions(&victim, PermissionsExt::from_mode(0o666)).unwrap();
    fs::remove_file(&lock).unwrap();
    symlink(&victim, &lock).unwrap();
    let refused = user.command(&["ajar", "list"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    fs::remove_file(&lock).unwrap();
    // A link of one's own is one's own business.
    let link = user.place("own/link");
    symlink(user.home(), &link).unwrap();
    let lists = |home: &Path| {
        let arguments = ["ajar", "--json", "--home", home.to_str().unwrap(), "list"];
        user.command(&arguments).output().unwrap()
    };
    if user.is_root() {
        lchown(&link, Some(user.uid), Some(user.uid)).unwrap();
    }
    assert!(lists(&link).status.success());
    if !user.is_root() {
        // Nobody else can give files away; a folder of root stands for that of a stranger.
        let foreign = ["ajar", "--json", "--home", "/usr", "init", "--name", "Ana"];
        let foreign = user.command(&foreign).output().unwrap();
        refuses(&foreign, "belongs to another user");
        return;
    }
    lchown(&link, Some(STRANGER), Some(STRANGER)).unwrap();
    refuses(&lists(&link), "a link of another user");
    chown(user.home(), Some(STRANGER), Some(STRANGER)).unwrap();
    fs::set_permissions(user.home(), PermissionsExt::from_mode(0o777)).unwrap();
    refuses(&lists(&user.home()), "belongs to another user");
    chown(&relay, Some(STRANGER), Some(STRANGER)).unwrap();
    fs::set_permissions(&relay, PermissionsExt::from_mode(0o777)).unwrap();
    for command in ["serve", "invite"] {
        let data = ["ajar-relay", command, "--data", relay.to_str().unwrap()];
        refuses(
            &user.command(&data).output().unwrap(),
            "belongs to another user",
        );
    }
}

fn refuses(output: &std::process::Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
}
