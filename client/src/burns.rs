//! How far burning is, in words and for scripts: asked for, confirmed by some devices, keys
//! destroyed (`docs/protocol.md` §2.14). No state says more than is known.

use ajar_sync::{BurnStatus, SpaceKind};
use serde_json::{Value, json};

use crate::dates;
use crate::ids;
use crate::names::{Names, space_word};

/// Days for which `status` still tells of a burn that is done.
const TOLD_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// A stable word for scripts.
pub(crate) fn state(burn: &BurnStatus) -> &'static str {
    match (burn.keys_destroyed, burn.confirmed) {
        (true, _) => "destroyed",
        (false, 0) => "requested",
        (false, _) => "confirmed",
    }
}

/// Whether `status` tells of it.
pub(crate) fn is_news(burn: &BurnStatus, now_ms: i64) -> bool {
    // A time in the future is no reason to keep quiet.
    !burn.keys_destroyed || now_ms.saturating_sub(burn.at_ms) < TOLD_DAYS * DAY_MS
}

/// The shape scripts get.
pub(crate) fn to_json(burn: &BurnStatus, space: SpaceKind) -> Value {
    let ids: Vec<String> = burn.docs.iter().map(|doc| ids::text(*doc)).collect();
    json!({
        "ids": ids,
        "space": space_word(space),
        "own": burn.own,
        "at": dates::utc(burn.at_ms),
        "state": state(burn),
        "confirmed": burn.confirmed,
        "of": burn.of,
    })
}

/// One line: when, what, how far.
pub(crate) fn words(burn: &BurnStatus, names: &Names) -> String {
    let who = if burn.own {
        "burned"
    } else {
        &format!("{} burned", names.partner())
    };
    let what = match burn.docs.as_slice() {
        [doc] => ids::short(*doc),
        docs => format!("{} things", docs.len()),
    };
    format!("{}: {who} {what}; {}", dates::local(burn.at_ms), far(burn))
}

/// How far it is.
pub(crate) fn far(burn: &BurnStatus) -> String {
    let (confirmed, of) = (burn.confirmed, burn.of);
    match state(burn) {
        "destroyed" => "every device has confirmed it, and the keys are destroyed".to_owned(),
        "requested" => "gone from here; no device has confirmed it yet".to_owned(),
        _ if confirmed == of => {
            "every device has confirmed it; the keys are not destroyed yet".to_owned()
        }
        _ => format!("gone from here; confirmed by {confirmed} of {of} devices"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_sync::DocId;

    fn burn(confirmed: usize, keys_destroyed: bool) -> BurnStatus {
        BurnStatus {
            docs: vec![DocId([0xab; 16])],
            own: true,
            at_ms: 0,
            confirmed,
            of: 3,
            waits_for: Vec::new(),
            keys_destroyed,
        }
    }

    #[test]
    fn three_states_and_none_says_more_than_is_known() {
        let names = Names::new("Ana", Some("Ben"));
        let tell = |burn: &BurnStatus| (state(burn), far(burn));
        let (word, text) = tell(&burn(0, false));
        assert_eq!(word, "requested");
        assert!(!text.contains("destroyed"), "{text}");
        let (word, text) = tell(&burn(2, false));
        assert_eq!(word, "confirmed");
        assert!(text.ends_with("confirmed by 2 of 3 devices"), "{text}");
        let (word, text) = tell(&burn(3, false));
        assert_eq!(word, "confirmed");
        assert!(text.contains("not destroyed yet"), "{text}");
        assert_eq!(state(&burn(3, true)), "destroyed");
        let line = words(&burn(3, true), &names);
        assert!(line.contains("burned abababab"), "{line}");
    }

    #[test]
    fn scripts_get_the_shape_they_were_promised() {
        let expected = json!({
            "ids": ["ab".repeat(16)],
            "space": "us",
            "own": true,
            "at": "1970-01-01T00:00:00Z",
            "state": "confirmed",
            "confirmed": 1,
            "of": 3,
        });
        assert_eq!(to_json(&burn(1, false), SpaceKind::Shared), expected);
    }

    #[test]
    fn what_is_done_is_told_for_a_month() {
        assert!(is_news(&burn(0, false), i64::MAX));
        assert!(is_news(&burn(3, true), 29 * DAY_MS));
        assert!(!is_news(&burn(3, true), 30 * DAY_MS));
    }
}
