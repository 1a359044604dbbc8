//! What somebody on the path, and the relay by the sizes, can tell.

use std::time::Duration;

use ajar_sync::SpaceKind;
use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use ajar_tests::searcher::Keys;
use ajar_tests::wire::{Datagram, Wire};
use ajar_tests::{canary, initial, library};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

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
            .map(|n: u32| n.wrapping_mul(2_654_435_761) >> 25)
            .map(|n| char::from(b'!' + u8::try_from(n % 90).unwrap()))
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
pub(crate) fn nothing_shows(captured: &[Datagram], texts: &[&str], ids: &[[u8; 32]]) {
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
