//! What is left in the memory of a process that locked, and what a guess costs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ajar_crypto::vault::{KdfParams, VAULT_SLOT, VaultHeader, WhichSpace};
use ajar_sync::SpaceKind;
use ajar_tests::client::Person;
use ajar_tests::recovery::with_variables;
use ajar_tests::relay::Relay;
use ajar_tests::searcher::Keys;
use ajar_tests::{canary, library};

/// Home of the process that is looked into; set, this test is that process.
const LOOKED_INTO: &str = "AJAR_TEST_LOOKED_INTO";

/// Says how far it is, and waits.
fn reached(what: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "reached {what}").unwrap();
    out.flush().unwrap();
    let mut line = [0];
    let _ = std::io::stdin().read(&mut line).unwrap();
}

fn opens_and_locks(dir: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let home = library::builder(dir).open().unwrap();
    let me = home.space(SpaceKind::Private).unwrap();
    let _ = library::write(&me, "a text to seal");
    reached("open");
    home.lock_private().unwrap();
    reached("private");
    home.close().unwrap();
    reached("closed");
}

/// How often each key is in the writable memory of a process.
fn keys_in(process: u32, keys: &[[u8; 32]]) -> Vec<usize> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut counts = vec![0; keys.len()];
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let at = |hex| u64::from_str_radix(hex, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(at(to) - at(from)).unwrap()];
        // What the system keeps for itself cannot be read.
        if memory.read_exact_at(&mut bytes, at(from)).is_err() {
            continue;
        }
        for (count, key) in counts.iter_mut().zip(keys) {
            *count += usize::from(canary::contains(&bytes, key));
        }
    }
    counts
}

#[test]
fn t111_no_key_is_in_memory_after_locking() {
    const NAME: &str = "memory::t111_no_key_is_in_memory_after_locking";
    if let Some(dir) = std::env::var_os(LOOKED_INTO) {
        opens_and_locks(Path::new(&dir));
        std::process::exit(0);
    }
    let relay = Relay::start();
    let mut ana = Person::new("Ana");
    ana.passphrase = "quiet harbor linen oak".to_owned();
    {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let home = library::home(&ana.home(), "Ana", &relay.invite());
        let me = home.space(SpaceKind::Private).unwrap();
        let _ = library::write(&me, "the first text");
        home.close().unwrap();
    }
    let mut keys = Keys::default();
    keys.add(&ana);
    let keys = keys.secrets();
    assert!(keys.len() >= 4, "{}", keys.len());
    let mut looked_into = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(LOOKED_INTO, ana.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut tell = looked_into.stdin.take().unwrap();
    let mut said = BufReader::new(looked_into.stdout.take().unwrap()).lines();
    let mut counts = Vec::new();
    for stage in ["open", "private", "closed"] {
        let wanted = format!("reached {stage}");
        let line = said.find(|line| line.as_ref().unwrap().contains(&wanted));
        assert!(line.is_some(), "it ended before it was {stage}");
        counts.push(keys_in(looked_into.id(), &keys));
        tell.write_all(b"\n").unwrap();
    }
    assert!(looked_into.wait().unwrap().success());
    let held = |counts: &[usize]| counts.iter().filter(|count| **count > 0).count();
    let held: Vec<usize> = counts.iter().map(|counts| held(counts)).collect();
    assert!(
        held[0] >= 4,
        "the search finds them while it is open: {held:?}"
    );
    assert!(held[1] < held[0], "those of Only me go first: {held:?}");
    assert_eq!(held[2], 0, "{counts:?}");
}

#[test]
fn t107_a_guess_costs_what_argon2_costs_and_damage_answers_like_a_wrong_one() {
    let relay = Relay::start();
    let ana = Person::with_home("Ana", &relay.invite());
    let header = VaultHeader::parse(&fs::read(ana.home().join("vault.hdr")).unwrap()).unwrap();
    for which in [WhichSpace::Private, WhichSpace::Shared] {
        let cost = header.slot(which).params().unwrap();
        assert_eq!(cost, KdfParams::DEFAULT, "{which:?}");
    }
    let guess = |passphrase: &str| {
        let said = with_variables(&ana, &["unlock"], &[("AJAR_PASSPHRASE", passphrase)]).exits(3);
        assert_eq!(said.error_code(), "wrong-passphrase");
        said.err
    };
    let answer = guess("a good guess, but wrong");
    // With the last check of both slots broken, the right passphrase gets the same answer: nothing
    // in the file tells a wrong guess from damage before all the work is done.
    let path = ana.home().join("vault.hdr");
    let mut broken = fs::read(&path).unwrap();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    broken[last - VAULT_SLOT] ^= 1;
    fs::write(&path, &broken).unwrap();
    assert_eq!(guess(&ana.passphrase), answer);
}
