//! Relay addresses as people copy them.

use ajar_protocol::address::{
    AddressError, RelayAddress, base32, from_base32, host_port, join_host_port,
};

use crate::samples;

fn parse(text: &str) -> Result<RelayAddress, AddressError> {
    text.parse()
}

#[test]
fn an_address_survives_being_written_and_read() {
    for address in samples::addresses() {
        assert_eq!(parse(&address.to_string()), Ok(address.clone()));
        assert_eq!(parse(&format!("  {address}\n")), Ok(address.clone()));
        let kept = address.without_claim();
        assert_eq!(kept.claim, None);
        assert_eq!(parse(&kept.to_string()), Ok(kept));
    }
}

#[test]
fn an_address_read_aloud_in_capitals_is_the_same() {
    let address = &samples::addresses()[0];
    let text = address.to_string();
    let (place, key) = text.split_once('#').unwrap();
    let (key, claim) = key.split_once("&claim=").unwrap();
    let loud = format!(
        "{place}#{}&claim={}",
        key.to_ascii_uppercase(),
        claim.to_ascii_uppercase()
    );
    assert_eq!(parse(&loud).as_ref(), Ok(address));
}

#[test]
fn a_damaged_address_names_the_part_to_copy_again() {
    let key = base32(&samples::RELAY_KEY);
    let whole = format!("relay.example:4433#{key}");
    let cases = [
        (whole.clone(), AddressError::Scheme),
        (format!("https://{whole}"), AddressError::Scheme),
        (
            "ajar-relay:relay.example:4433".to_owned(),
            AddressError::Key,
        ),
        (
            "ajar-relay:relay.example:4433#".to_owned(),
            AddressError::Key,
        ),
        (
            format!("ajar-relay:relay.example:4433#{}", &key[1..]),
            AddressError::Key,
        ),
        (
            format!("ajar-relay:relay.example:4433#{key}a"),
            AddressError::Key,
        ),
        (
            format!("ajar-relay:relay.example:4433#{}1", &key[..51]),
            AddressError::Key,
        ),
        (
            format!("ajar-relay:relay.example#{key}"),
            AddressError::HostPort,
        ),
        (format!("ajar-relay::4433#{key}"), AddressError::HostPort),
        (format!("ajar-relay:#{key}"), AddressError::HostPort),
        (format!("ajar-relay:{whole}&claim="), AddressError::Claim),
        (
            format!("ajar-relay:{whole}&claim=aaaa"),
            AddressError::Claim,
        ),
        (format!("ajar-relay:{whole}&other=aaaa"), AddressError::Key),
    ];
    for (text, error) in cases {
        assert_eq!(parse(&text), Err(error), "{text}");
    }
}

#[test]
fn a_weak_relay_key_is_refused() {
    for key in crate::link::weak_ed25519() {
        let text = format!("ajar-relay:relay.example:4433#{}", base32(&key));
        assert_eq!(parse(&text), Err(AddressError::Key));
    }
}

#[test]
fn hosts_and_ports_that_could_mean_something_else_are_refused() {
    let long = "a".repeat(256);
    let bad = [
        "relay.example:0",
        "relay.example:65536",
        "relay.example:-1",
        "relay.example:+443",
        "relay.example: 443",
        "relay.example:",
        "::1:443",
        "[::1:443",
        "::1]:443",
        "[]:443",
        "relay example:443",
        "relay/../example:443",
        "relay@example:443",
        "rel\u{430}y.example:443",
        &format!("{long}:443"),
    ];
    for text in bad {
        assert_eq!(host_port(text), Err(AddressError::HostPort), "{text}");
    }
}

#[test]
fn hosts_and_ports_survive_being_joined() {
    for (host, port) in [
        ("relay.example", 1),
        ("192.0.2.7", 65_535),
        ("2001:db8::7", 443),
        ("fe80::1%eth0", 443),
    ] {
        let joined = join_host_port(host, port);
        assert_eq!(host_port(&joined), Ok((host.to_owned(), port)), "{joined}");
    }
}

#[test]
fn base32_with_stray_bits_is_refused() {
    // 52 characters hold 260 bits: the last four must be zero for one key to have one text.
    let mut text = base32(&[0; 32]);
    assert_eq!(from_base32(&text), Some(vec![0; 32]));
    text.replace_range(51.., "b");
    assert_eq!(from_base32(&text), None);
}

#[test]
fn a_claim_does_not_show_in_debug_output() {
    let address = &samples::addresses()[0];
    let claim = base32(&address.claim.unwrap());
    let shown = format!("{address:?}");
    assert!(!shown.contains(&claim) && !shown.contains("16,") && shown.contains(".."));
    assert!(address.to_string().contains(&claim), "it is for a person");
}
