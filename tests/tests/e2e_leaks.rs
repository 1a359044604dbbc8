//! What may leave a process or a disk, and what may not: each test is a row of the catalogue of
//! attacks.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ajar_sync::SpaceKind;
use ajar_tests::client::{Person, pair};
use ajar_tests::nobody::{self, STRANGER, Serving, User};
use ajar_tests::relay::Relay;
use ajar_tests::searcher::Keys;
use ajar_tests::story::{self, TYPED, UNTYPED};
use ajar_tests::traced::{self, Eye};
use ajar_tests::wire::{Datagram, Wire};
use ajar_tests::{canary, initial, library};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// The relay's disk and log, the client's logs, homes at rest, temporary files and processes
/// after a long story, with everything set to say as much as it can.
#[test]
fn t091_t092_t104_t112_t113_t114_a_long_story_leaks_nothing() {
    let traced = traced::on();
    let eye = Eye::open();
    let mut story = story::told();
    let seen = eye.close();
    story.relay.kill();
    let secrets: Vec<&str> = story.secrets.iter().map(String::as_str).collect();
    let all = [&TYPED[..], &UNTYPED, &secrets].concat();

    // 91 and 92: the relay.
    assert_eq!(
        canary::find_deep(story.relay.everything(), &all),
        [],
        "the relay"
    );
    for file in canary::files(story.relay.everything()) {
        let content = fs::read(&file).unwrap();
        let held = story
            .keys
            .iter()
            .filter(|key| canary::holds(&content, *key));
        assert_eq!(held.count(), 0, "keys in {file:?}");
    }
    let log = story.relay.log_text();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log says all: {log}"
    );
    let addresses = log.lines().filter(|line| line.contains("127.0.0.1:"));
    let others: Vec<&str> = addresses.filter(|line| !line.contains("listen")).collect();
    assert_eq!(others, [""; 0], "addresses of devices in the log");

    // 104: homes at rest.
    for person in &story.people {
        assert_eq!(canary::find_deep(&person.home(), &all), [], "a home");
    }
    // 112 and 113: logs, temporary files, and the file for keys of TLS.
    let said = fs::read_to_string(traced.log()).unwrap();
    assert!(
        said.contains("exchange with the relay"),
        "the log says all: {said}"
    );
    assert!(!traced.key_log().exists(), "keys of TLS were written");
    assert_eq!(canary::files(&traced.temporary()), [PathBuf::new(); 0]);
    assert_eq!(canary::find_deep(traced.everything(), &all), [], "{said}");
    assert!(
        story
            .keys
            .iter()
            .all(|key| !canary::holds(said.as_bytes(), key))
    );

    // 114: what others see of processes. What a person types, others see on the process that
    // was typed, and nowhere else.
    let own = std::process::id();
    let typed = seen.iter().filter(|seen| seen.parent == own);
    assert!(typed.clone().count() > 30, "the eye was open");
    for seen in &seen {
        let shown = [&seen.arguments[..], &seen.name].concat();
        let texts = if seen.parent == own {
            [&UNTYPED[..], &secrets[..2], &secrets[3..]].concat()
        } else {
            all.clone()
        };
        let texts: Vec<&str> = texts
            .into_iter()
            .filter(|text| canary::is_in(&shown, text))
            .collect();
        assert_eq!(texts, [""; 0], "{}", String::from_utf8_lossy(&shown));
    }
    // 94, once more with everything in it.
    nothing_shows(&story.wire.captured(), &all, &story.keys);
}

/// 200 entries of 1 to 900 characters, and some long ones.
#[test]
fn t093_the_size_of_what_is_sent_says_nothing_about_short_entries() {
    let liar = ajar_tests::liar::Liar::lets_everybody_in();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let home = library::home(&folder.path().join("home"), "Ana", &liar.invite());
    let space = home.space(SpaceKind::Private).unwrap();
    let _ = library::write(&space, "the first one");
    let sync = |count: usize| {
        space.connect().unwrap();
        runtime.block_on(space.sync(SOON)).unwrap();
        runtime.block_on(space.disconnect());
        let sizes = liar.sizes(1);
        assert!(sizes.len() >= count, "{sizes:?}");
        sizes
    };
    let before = sync(1).len();
    for number in 0..200 {
        let _ = library::write(&space, &"x".repeat(1 + number * 899 / 199));
    }
    let sizes = sync(before + 200);
    let odd: Vec<&usize> = sizes[before..]
        .iter()
        .filter(|size| **size != 1336)
        .collect();
    assert_eq!(odd, [&0; 0], "every short entry is as long as any other");
    for length in [1_500, 9_000, 70_000] {
        // No text that compresses, so that the sizes are large too.
        let text: String = (0..length)
            .map(|n: u32| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90))
            .collect();
        let _ = library::write(&space, &text);
    }
    for size in &sync(sizes.len() + 3)[sizes.len()..] {
        let padded = u64::try_from(size - 232 - 16 - 64).unwrap();
        assert!(
            padded == 1024 || padme(padded) == padded,
            "{size} is no size of Padmé"
        );
    }
    home.close().unwrap();
}

/// The next size that Padmé allows.
fn padme(length: u64) -> u64 {
    let exponent = length.ilog2();
    let last = exponent - (exponent.ilog2() + 1);
    let mask = (1 << last) - 1;
    (length + mask) & !mask
}

#[test]
fn t094_a_capture_shows_no_name_no_id_and_no_product() {
    let relay = Relay::start();
    let given = relay.invite();
    let wire = Wire::to(&given);
    let address = wire.address(&given);
    let (ana, ben) = (
        Person::with_home("CANARY-ana", &address),
        Person::with_home("CANARY-ben", &address),
    );
    pair(&ana, &ben);
    assert!(ana.share("CANARY-text"));
    ana.sync();
    ben.sync();
    let mut keys = Keys::default();
    keys.add(&ana);
    keys.add(&ben);
    let mut ids = keys.secrets();
    for person in [&ana, &ben] {
        let status = person.ajar(&["status"]).json();
        for space in status["spaces"].as_array().unwrap() {
            ids.extend(
                space["devices"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|d| id(&d["id"])),
            );
        }
    }
    nothing_shows(
        &wire.captured(),
        &["CANARY-ana", "CANARY-ben", "CANARY-text"],
        &ids,
    );
}

fn id(hex: &Value) -> [u8; 32] {
    let hex = hex.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

/// What the wire carried, with the Initial packets opened, shows none of it.
fn nothing_shows(captured: &[Datagram], texts: &[&str], ids: &[[u8; 32]]) {
    let read = initial::read(captured);
    let hellos = read.initials.iter().filter(|packet| packet.by_device);
    let hellos: Vec<_> = hellos.filter_map(|packet| packet.crypto.get(&0)).collect();
    assert!(
        hellos.len() >= 4 && read.closed == 0,
        "{} closed",
        read.closed
    );
    assert!(
        read.initials.iter().any(|packet| !packet.by_device),
        "the relay's side is read too"
    );
    for hello in hellos {
        let extensions = initial::client_hello(hello);
        assert!(!extensions.contains_key(&0), "a server name");
        assert!(!extensions.contains_key(&42), "early data");
        assert!(!extensions.contains_key(&41), "a ticket");
        assert_eq!(extensions[&16], [0, 3, 2, b'z', b'1'], "ALPN");
    }
    let opened = read.initials.iter().map(|packet| packet.frames.as_slice());
    let raw = captured.iter().map(|datagram| datagram.bytes.as_slice());
    for bytes in opened.chain(raw) {
        let lower = bytes.to_ascii_lowercase();
        for word in ["ajar", "quinn", "rustls", "journal", "diary"] {
            assert!(!canary::contains(&lower, word.as_bytes()), "{word}");
        }
        assert!(texts.iter().all(|text| !canary::is_in(bytes, text)));
        for id in ids {
            assert!(!canary::contains(bytes, id) && !canary::contains(bytes, &id[..8]));
        }
    }
}

/// A journal that stays open, and a relay, of a user without special rights.
#[test]
fn t110_no_core_is_written_and_nobody_looks_into_a_process() {
    let user = User::typing("ulimit -c unlimited;");
    let (mut relay, address) = user.serves();
    let words = user.place("own/words");
    let init = [
        "ajar",
        "init",
        "--name",
        "Ana",
        "--relay",
        &address,
        "--words-file",
    ];
    let _ = user.does(&[&init[..], &[words.to_str().unwrap()]].concat());
    // A journal stays open while a code waits for somebody.
    let mut pairing = user.command(&["ajar", "--json", "pair"]);
    let mut pairing = Serving(pairing.stdout(Stdio::piped()).spawn().unwrap());
    let mut out = BufReader::new(pairing.0.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("invitation") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the pairing ended");
    }
    for Serving(process) in [&mut pairing, &mut relay] {
        let proc = PathBuf::from(format!("/proc/{}", process.id()));
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        let fields: Vec<&str> = core.split_whitespace().collect();
        assert_eq!(fields[4..6], ["0", "0"], "{core}");
        // What a process that may be looked into has belongs to its user.
        assert_eq!(fs::metadata(&proc).unwrap().uid(), user.uid);
        for name in ["mem", "environ", "maps"] {
            assert_ne!(
                fs::metadata(proc.join(name)).unwrap().uid(),
                user.uid,
                "{name}"
            );
            let path = proc.join(name);
            let reading = user
                .command(&["cat", path.to_str().unwrap()])
                .output()
                .unwrap();
            assert!(
                !reading.status.success() && reading.stdout.is_empty(),
                "{name} was read"
            );
        }
        let killed = Command::new("kill")
            .args(["-SEGV", &process.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let end = process.wait().unwrap();
        assert_eq!((end.signal(), end.core_dumped()), (Some(11), false));
    }
    let left = canary::files(&user.place("own"));
    let named = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("core")
    };
    assert!(!left.iter().any(named), "{left:?}");
}

#[test]
fn t114_an_editor_gets_a_text_to_change_and_no_passphrase() {
    let user = User::typing("umask 000;");
    let words = user.place("own/words");
    let _ = user.does(&[
        "ajar",
        "init",
        "--name",
        "Ana",
        "--words-file",
        words.to_str().unwrap(),
    ]);
    let editor = user.place("own/editor");
    let script = "#!/bin/sh\nenv > env\ntr '\\0' ' ' < /proc/$PPID/cmdline > arguments\n\
                  ls -ld \"$1\" \"$(dirname \"$1\")\" > modes\nprintf 'CANARY-edited' > \"$1\"\n\
                  cp \"$1\" \"$1~\"\n";
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, PermissionsExt::from_mode(0o755)).unwrap();
    let secrets = [
        ("AJAR_PASSPHRASE", "quiet harbor linen oak"),
        ("AJAR_PRIVATE_PASSPHRASE", "quiet harbor linen oak"),
        ("AJAR_NEW_PASSPHRASE", "CANARY-new-passphrase"),
    ];
    let eye = Eye::open();
    // It asks an editor only where there is a terminal.
    let mut writing = user.command(&["script", "-qec", "ajar --json write", "/dev/null"]);
    let wrote = writing
        .env("EDITOR", &editor)
        .envs(secrets)
        .output()
        .unwrap();
    let seen = eye.close();
    assert!(wrote.status.success(), "{wrote:?}");
    let env = fs::read_to_string(user.place("own/env")).unwrap();
    assert!(env.contains("AJAR_HOME"), "{env}");
    for (name, secret) in secrets {
        assert!(
            !env.contains(name) && !env.contains(secret),
            "{name}: {env}"
        );
        let shown = seen
            .iter()
            .filter(|seen| canary::is_in(&seen.arguments, secret));
        assert_eq!(shown.count(), 0, "{name}");
    }
    let modes = fs::read_to_string(user.place("own/modes")).unwrap();
    assert!(
        modes.contains("-rw-------") && modes.contains("drwx------"),
        "{modes}"
    );
    let list = user.does(&["ajar", "--json", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("CANARY-edited"));
    assert_eq!(
        canary::find_deep(&user.home(), &["CANARY-edited"]),
        [],
        "the draft and its backup"
    );
    let left = fs::read_dir(user.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        !left
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with("draft"))
    );
}

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
    fs::write(user.place("photo.png"), include_bytes!("../src/pixel.png")).unwrap();
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
        // Nobody else can give files away, so the rest cannot be set up.
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
