//! A person's own devices, as they name them and as they are shown.

use ajar_journal::text::displayable_line;
use ajar_sync::{OwnDevice, SpaceKind};
use serde_json::{Value, json};

use crate::dates;
use crate::ids::{self, PREFIX_MIN};
use crate::names::space_word;
use crate::report::Failure;

/// The one device among one's own that is called so: by its name, or by the beginning of an id.
/// Of several with the same name, the only one that `wanted` holds for.
pub(crate) fn find(
    devices: Vec<OwnDevice>,
    typed: &str,
    wanted: impl Fn(&OwnDevice) -> bool,
) -> Result<OwnDevice, Failure> {
    let typed = typed.trim();
    let mut found: Vec<OwnDevice> = devices
        .into_iter()
        .filter(|device| is_named(device, typed) || has_id(device, typed))
        .collect();
    if found.len() > 1 && found.iter().filter(|device| wanted(device)).count() == 1 {
        found.retain(|device| wanted(device));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(device), None) => Ok(device),
        (None, _) => Err(Failure::fixable(
            "no-such-device",
            format!("No device of yours is called {}.", displayable_line(typed)),
        )
        .hint("`ajar device list` shows names and ids.")),
        (Some(_), Some(_)) => Err(Failure::fixable(
            "ambiguous-device",
            format!(
                "More than one device of yours is called {}.",
                displayable_line(typed)
            ),
        )
        .hint("Use its id: `ajar device list` shows it.")),
    }
}

fn is_named(device: &OwnDevice, typed: &str) -> bool {
    device
        .name
        .as_deref()
        .is_some_and(|name| name.trim() == typed)
}

fn has_id(device: &OwnDevice, typed: &str) -> bool {
    let typed = typed.to_ascii_lowercase();
    let ids = [device.private, device.shared];
    typed.len() >= PREFIX_MIN
        && ids
            .iter()
            .flatten()
            .any(|id| id.to_hex().starts_with(&typed))
}

/// What it is called, safe to print: its name, or else the beginning of its id.
pub(crate) fn called(device: &OwnDevice) -> String {
    match &device.name {
        Some(name) => displayable_line(name),
        None => format!("the device {}", short(device)),
    }
}

/// The beginning of its id.
pub(crate) fn short(device: &OwnDevice) -> String {
    let id = device.id().map(|id| id.to_hex());
    ids::beginning(id.unwrap_or_default())
}

/// The spaces it is or was in.
pub(crate) fn spaces(device: &OwnDevice) -> Vec<SpaceKind> {
    let places = [
        (SpaceKind::Private, device.private),
        (SpaceKind::Shared, device.shared),
    ];
    places
        .into_iter()
        .filter_map(|(kind, id)| id.map(|_| kind))
        .collect()
}

/// When it was added, as its chain claims; in milliseconds since 1970.
pub(crate) fn since(device: &OwnDevice) -> Option<i64> {
    i64::try_from(device.since_ms).ok()
}

/// Days for which every device of a person says that there is a new one.
const NEWS_DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

/// Devices that came to the others lately and may still be there: what a person must notice who
/// did not add them. The first device of all came to nobody.
pub(crate) fn lately_added(devices: &[OwnDevice], now_ms: i64) -> Vec<&OwnDevice> {
    let lately = |device: &&OwnDevice| {
        let since = since(device).unwrap_or(i64::MAX);
        // A claimed time in the future is no reason to keep quiet.
        device.active && now_ms.saturating_sub(since) < NEWS_DAYS * DAY_MS
    };
    devices.iter().skip(1).filter(lately).collect()
}

/// `active` or `removed`.
pub(crate) fn state(device: &OwnDevice) -> &'static str {
    if device.active { "active" } else { "removed" }
}

/// The shape scripts get.
pub(crate) fn to_json(device: &OwnDevice) -> Value {
    let spaces: Vec<&str> = spaces(device).into_iter().map(space_word).collect();
    json!({
        "id": device.id().map(|id| id.to_hex()),
        "name": device.name,
        "this": device.this,
        "spaces": spaces,
        "state": state(device),
        "since": since(device).and_then(dates::utc),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_sync::DeviceId;

    fn device(name: &str, id: u8, active: bool) -> OwnDevice {
        OwnDevice {
            name: Some(name.to_owned()),
            private: Some(DeviceId([id; 32])),
            shared: Some(DeviceId([id ^ 0xff; 32])),
            this: false,
            active,
            since_ms: 1_782_000_000_000,
        }
    }

    #[test]
    fn a_device_is_found_by_its_name_and_by_either_of_its_ids() {
        let all = || vec![device("phone", 1, true), device("laptop", 2, true)];
        for typed in ["phone", " phone ", "0101", "FEFE"] {
            let found = find(all(), typed, |_| true).unwrap();
            assert_eq!(found.name.as_deref(), Some("phone"), "{typed}");
        }
        for (typed, code) in [
            ("Phone", "no-such-device"),
            ("010", "no-such-device"),
            ("", "no-such-device"),
        ] {
            assert_eq!(
                find(all(), typed, |_| true).unwrap_err().code(),
                code,
                "{typed}"
            );
        }
    }

    /// A phone was lost and removed, and the new one got the same name.
    #[test]
    fn the_phone_that_is_still_there_is_meant_and_never_one_of_two() {
        let all = vec![device("phone", 1, false), device("phone", 2, true)];
        let found = find(all.clone(), "phone", |device| device.active).unwrap();
        assert!(found.active);
        let late = find(all, "phone", |device| !device.active).unwrap();
        assert!(!late.active);
        let two = vec![device("phone", 1, true), device("phone", 2, true)];
        let code = find(two, "phone", |device| device.active).unwrap_err();
        assert_eq!(code.code(), "ambiguous-device");
    }

    #[test]
    fn a_device_that_somebody_else_may_have_added_is_news_for_a_week() {
        let mut all = vec![device("laptop", 1, true), device("phone", 2, true)];
        let added = 1_782_000_000_000;
        let news = |all: &[OwnDevice], days: i64| -> Vec<String> {
            let found = lately_added(all, added + days * DAY_MS);
            found
                .into_iter()
                .filter_map(|device| device.name.clone())
                .collect()
        };
        assert_eq!(news(&all, 0), ["phone"]);
        assert_eq!(news(&all, 6), ["phone"]);
        // Its clock was ahead, or it says so.
        assert_eq!(news(&all, -400), ["phone"]);
        assert!(news(&all, 7).is_empty());
        all[1].active = false;
        assert!(news(&all, 0).is_empty());
    }

    #[test]
    fn scripts_get_the_promised_shape() {
        let mut phone = device("phone", 1, false);
        phone.shared = None;
        assert_eq!(
            to_json(&phone),
            json!({
                "id": "01".repeat(32),
                "name": "phone",
                "this": false,
                "spaces": ["me"],
                "state": "removed",
                "since": "2026-06-21T00:00:00Z",
            })
        );
    }

    #[test]
    fn a_name_from_another_device_cannot_paint_the_terminal() {
        assert!(!called(&device("a\u{1b}[2J", 1, true)).contains('\u{1b}'));
    }
}
