//! Layers: an arrow between our crates only points down, and what is dangerous or heavy is
//! only where it belongs. Above all, the relay is built without anything that could decrypt.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read the workspace should fail at the spot"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Our crates from the bottom up, each with the crates of ours that its code may use.
const LAYERS: [(&str, &[&str]); 9] = [
    ("ajar-protocol", &[]),
    ("ajar-log", &[]),
    ("ajar-crypto", &["ajar-protocol"]),
    ("ajar-engine", &["ajar-crypto", "ajar-protocol"]),
    ("ajar-journal", &[]),
    (
        "ajar-sync",
        &["ajar-engine", "ajar-crypto", "ajar-protocol", "ajar-log"],
    ),
    ("ajar-relay", &["ajar-protocol", "ajar-log"]),
    ("ajar-client", &["ajar-sync", "ajar-journal"]),
    (
        TESTS,
        &[
            "ajar-protocol",
            "ajar-log",
            "ajar-crypto",
            "ajar-engine",
            "ajar-journal",
            "ajar-sync",
            "ajar-relay",
            "ajar-client",
        ],
    ),
];

/// Uses everything, is used by nothing, is never shipped: places do not bind it.
const TESTS: &str = "ajar-tests";

/// Crates of others that may stand in the code of these crates of ours only.
const PLACES: [(&[&str], &[&str]); 6] = [
    (
        &["tokio", "quinn", "quinn-proto", "rustls"],
        &["ajar-sync", "ajar-relay", "ajar-client"],
    ),
    (&["sled"], &["ajar-log"]),
    (
        &[
            "chacha20poly1305",
            "hkdf",
            "hmac",
            "hpke",
            "argon2",
            "spake2",
            "bip39",
            "x25519-dalek",
        ],
        &["ajar-crypto"],
    ),
    // Sync hands Automerge's own types to whoever builds on it.
    (
        &["automerge"],
        &["ajar-engine", "ajar-journal", "ajar-sync"],
    ),
    (&["clap"], &["ajar-relay", "ajar-client"]),
    // Decoders of what anybody may have made: only where a person hands in a file.
    (&["image"], &["ajar-client"]),
];

/// What the relay must not be able to do, however far down. Not in this list: ring and rustls,
/// which are there for TLS between a device and the relay and never see a key of a space.
const NEVER_IN_RELAY: [&str; 14] = [
    "ajar-crypto",
    "ajar-engine",
    "ajar-sync",
    "ajar-journal",
    "ajar-client",
    "automerge",
    "chacha20poly1305",
    "hkdf",
    "hpke",
    "argon2",
    "spake2",
    "bip39",
    "x25519-dalek",
    "image",
];

/// One dependency line of one of our crates.
#[derive(Clone, Debug)]
struct Arrow {
    from: String,
    to: String,
    /// Only for its tests and benchmarks.
    dev: bool,
}

fn level(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(layer, _)| *layer == name)
}

/// What is wrong with these arrows, in words.
fn faults(arrows: &[Arrow]) -> Vec<String> {
    let mut faults = Vec::new();
    for Arrow { from, to, dev } in arrows {
        let Some(place) = level(from) else {
            faults.push(format!(
                "{from} is not in the layers; give it a place there first"
            ));
            continue;
        };
        if let Some(target) = level(to) {
            let may = LAYERS[place].1.contains(&to.as_str());
            // What a test uses is not shipped, but a circle is a circle.
            if !(may || *dev && target < place) {
                faults.push(format!("{from} -> {to} points up or past its layer"));
            }
            continue;
        }
        let misplaced = PLACES
            .iter()
            .any(|(crates, ours)| crates.contains(&to.as_str()) && !ours.contains(&from.as_str()));
        if misplaced && !dev && from != TESTS {
            faults.push(format!("{to} has no place in {from}"));
        }
    }
    faults
}

/// All that `root` needs to be built for people, itself included.
fn reach<'a>(root: &'a str, needs: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(name) = open.pop() {
        for next in needs.get(name).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

/// The workspace as built for this machine; other machines' crates need not be downloaded.
fn metadata() -> Metadata {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(["--filter-platform".to_owned(), host.to_owned()])
        .exec()
        .unwrap()
}

fn our_arrows(metadata: &Metadata) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            arrows.push(Arrow {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                dev: dependency.kind == DependencyKind::Development,
            });
        }
    }
    arrows
}

/// Name of every crate to the names of what it needs outside its tests.
fn needs(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let name = |id: &cargo_metadata::PackageId| metadata[id].name.to_string();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in &metadata.resolve.as_ref().unwrap().nodes {
        let row = needs.entry(name(&node.id)).or_default();
        for dependency in &node.deps {
            let shipped = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development);
            if shipped {
                row.insert(name(&dependency.pkg));
            }
        }
    }
    needs
}

#[test]
fn every_arrow_points_down_and_every_crate_is_in_its_place() {
    let metadata = metadata();
    let arrows = our_arrows(&metadata);
    let ours: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let layers: BTreeSet<_> = LAYERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, layers, "a crate of ours and its layer");
    assert!(
        arrows.iter().any(|arrow| arrow.to == "sled"),
        "nothing was read"
    );
    let faults = faults(&arrows);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_relay_is_built_without_anything_that_could_decrypt() {
    let metadata = metadata();
    let needs = needs(&metadata);
    let relay = reach("ajar-relay", &needs);
    for expected in ["ajar-protocol", "ajar-log", "quinn", "ring"] {
        assert!(
            relay.contains(expected),
            "{expected}: the tree was not read"
        );
    }
    let found: Vec<_> = NEVER_IN_RELAY
        .iter()
        .filter(|name| relay.contains(**name))
        .collect();
    assert!(found.is_empty(), "in the relay: {found:?}");
    // The names are spelled as in the tree: all of them are in the client.
    let client = reach("ajar-client", &needs);
    for name in NEVER_IN_RELAY {
        assert!(client.contains(name), "{name} is in no crate at all");
    }
}

#[test]
fn the_rules_catch_what_they_are_for() {
    let wrong = [
        ("ajar-protocol", "ajar-crypto", false),
        ("ajar-protocol", "ajar-crypto", true),
        ("ajar-log", "ajar-protocol", false),
        ("ajar-engine", "ajar-log", false),
        ("ajar-engine", "ajar-sync", true),
        ("ajar-journal", "ajar-engine", false),
        ("ajar-relay", "ajar-crypto", false),
        ("ajar-client", "ajar-engine", false),
        ("ajar-sync", "ajar-tests", true),
        ("ajar-common", "serde", false),
        ("ajar-engine", "tokio", false),
        ("ajar-journal", "sled", false),
        ("ajar-relay", "hkdf", false),
        ("ajar-client", "automerge", false),
        ("ajar-sync", "clap", false),
        ("ajar-journal", "image", false),
    ];
    let right = [
        ("ajar-engine", "ajar-log", true),
        ("ajar-relay", "ajar-crypto", true),
        ("ajar-sync", "ajar-engine", false),
        ("ajar-sync", "automerge", false),
        ("ajar-log", "sled", false),
        ("ajar-engine", "tokio", true),
        ("ajar-tests", "ajar-client", false),
        ("ajar-tests", "chacha20poly1305", false),
        ("ajar-protocol", "sha2", false),
    ];
    let arrow = |(from, to, dev): (&str, &str, bool)| Arrow {
        from: from.to_owned(),
        to: to.to_owned(),
        dev,
    };
    for case in wrong {
        assert_eq!(faults(&[arrow(case)]).len(), 1, "{case:?}");
    }
    for case in right {
        assert!(faults(&[arrow(case)]).is_empty(), "{case:?}");
    }
    let row = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let needs = BTreeMap::from([
        ("ajar-relay".to_owned(), row(&["a", "b"])),
        ("b".to_owned(), row(&["c", "ajar-relay"])),
        ("d".to_owned(), row(&["hkdf"])),
    ]);
    let expected = BTreeSet::from(["ajar-relay", "a", "b", "c"]);
    assert_eq!(reach("ajar-relay", &needs), expected);
}
