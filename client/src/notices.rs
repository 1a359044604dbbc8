//! What was detected, in words for a person (`docs/protocol.md` §2.11). The partner is never
//! blamed for what a relay could have done.

use ajar_sync::{DeviceId, Notice, NoticeKind, PartyId, Space};
use serde_json::{Value, json};

use crate::dates;
use crate::names::{Author, Names};

/// Whose, as a notice says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Mine,
    Partners,
    Nobodys,
}

/// A stable word for scripts, and the sentence.
pub(crate) fn words(notice: &Notice, space: &Space, names: &Names) -> (&'static str, String) {
    let of_party = |party: Option<PartyId>| match party {
        None => Whose::Nobodys,
        Some(party) if Author::of(space, Some(party)) == Author::Me => Whose::Mine,
        Some(_) => Whose::Partners,
    };
    let of_device = |device: DeviceId| match names.device(device) {
        Some(name) => format!("your device {name}"),
        None => of_party(space.party_of_device(device)).device(names),
    };
    // Which of one's own devices a change is about.
    let about = |party: PartyId, seq: u64| {
        let own = Author::of(space, Some(party)) == Author::Me;
        let device = own.then(|| space.device_of_change(seq).ok().flatten());
        device.flatten().and_then(|device| names.device(device))
    };
    match notice.kind {
        NoticeKind::Withheld { device, missing } => withheld(missing, &of_device(device)),
        NoticeKind::Forked { device, .. } => forked(&of_device(device)),
        NoticeKind::StaleCopy => (
            "stale-copy",
            "This looks like a restored copy: this device has already sent more than is here. Nothing new can be written on it.".to_owned(),
        ),
        NoticeKind::RolledBack => (
            "rolled-back",
            "The server returned an older version. Nothing was lost here.".to_owned(),
        ),
        NoticeKind::BadEpoch { device } => (
            "bad-epoch",
            format!("A key change from {} was not valid and was ignored.", of_device(device)),
        ),
        NoticeKind::DamagedData => ("damaged-data", "The server sent damaged data.".to_owned()),
        NoticeKind::Unopenable { device, .. } => (
            "unopenable",
            format!("Part of what {} sent could not be opened and was left out.", of_device(device)),
        ),
        NoticeKind::DeviceAdded { party, seq } => (
            "device-added",
            changed(&of_party(Some(party)).person(names), "added", about(party, seq)),
        ),
        NoticeKind::DeviceRemoved { party, seq } => (
            "device-removed",
            changed(&of_party(Some(party)).person(names), "removed", about(party, seq)),
        ),
        NoticeKind::Recovered { party, .. } => (
            "recovered",
            format!("{} recovered the journal on a new device.", of_party(Some(party)).person(names)),
        ),
        NoticeKind::WordsReplaced { .. } => (
            "words-replaced",
            "You replaced the twelve words. The old ones open nothing that is written from now on.".to_owned(),
        ),
        NoticeKind::CutoffRaised { .. } => (
            "cutoff-raised",
            "You let in more of what a removed device of yours had sent.".to_owned(),
        ),
        NoticeKind::PartyLeft { party, .. } => ("left", left(of_party(Some(party)), names)),
        NoticeKind::OwnDeviceRemoved => (
            "removed-here",
            "This device was removed from the journal. What is on it can be read and exported; nothing new can be written.".to_owned(),
        ),
        NoticeKind::SnapshotDiffers { device, .. } => (
            "history-differs",
            format!("A copy of the past that {} made differs from what is here. It was not used, and nothing here was changed.", of_device(device)),
        ),
        NoticeKind::OnlyPartnerVouches => (
            "partner-vouches",
            format!("Only {}'s device can vouch for this copy of what was written earlier, so it was not used. If you trust it: `ajar sync --trust-partner-copy`.", names.partner()),
        ),
        NoticeKind::BurnRequested { docs, .. } => (
            "burn-asked",
            match docs {
                1 => format!("{} asks you to burn something that stands open between you. It is yours to decide: `ajar burn --asked` shows it.", names.partner()),
                docs => format!("{} asks you to burn {docs} things that stand open between you. It is yours to decide: `ajar burn --asked` shows them.", names.partner()),
            },
        ),
        NoticeKind::Burned { party, .. } => (
            "burned",
            match of_party(Some(party)) {
                Whose::Mine => "You burned something on another device. It is gone from here too.".to_owned(),
                _ => format!("{} burned something. It is gone from here too.", names.partner()),
            },
        ),
        NoticeKind::ChainFork { party } => (
            "chain-fork",
            match of_party(Some(party)) {
                Whose::Mine => "Two different lists of your own devices are signed with your keys. No device is added or removed any more.".to_owned(),
                _ => format!("Two different lists of {}'s devices carry valid signatures. No device is added or removed any more.", names.partner()),
            },
        ),
    }
}

/// Which of one's own devices came or went, under one id for both spaces: what happened in both
/// is told once.
pub(crate) fn own_change(
    notice: &Notice,
    space: &Space,
    names: &Names,
) -> Option<(DeviceId, bool)> {
    let (party, seq, added) = match notice.kind {
        NoticeKind::DeviceAdded { party, seq } => (party, seq, true),
        NoticeKind::DeviceRemoved { party, seq } => (party, seq, false),
        _ => return None,
    };
    if Author::of(space, Some(party)) != Author::Me {
        return None;
    }
    let device = space.device_of_change(seq).ok().flatten()?;
    Some((names.one_id(device), added))
}

/// The shape scripts get.
pub(crate) fn to_json(notice: &Notice, space: &Space, names: &Names) -> Value {
    let (code, text) = words(notice, space, names);
    json!({"code": code, "text": text, "at": dates::utc(notice.at_ms)})
}

impl Whose {
    fn device(self, names: &Names) -> String {
        match self {
            Self::Mine => "your own device".to_owned(),
            Self::Partners => format!("{}'s device", names.partner()),
            Self::Nobodys => "an unknown device".to_owned(),
        }
    }

    fn person(self, names: &Names) -> String {
        match self {
            Self::Mine => "You".to_owned(),
            Self::Partners => names.partner().to_owned(),
            Self::Nobodys => "Somebody".to_owned(),
        }
    }
}

/// A change of somebody's devices; one's own is called by its name where that is known.
fn changed(person: &str, what: &str, device: Option<&str>) -> String {
    match device {
        Some(device) => format!("{person} {what} a device: {device}."),
        None => format!("{person} {what} a device."),
    }
}

fn left(whose: Whose, names: &Names) -> String {
    match whose {
        Whose::Mine => {
            "You have ended this journal between you. Both of you keep what is here.".to_owned()
        }
        _ => format!(
            "{} has ended this journal between you. Both of you keep what is here.",
            whose.person(names)
        ),
    }
}

fn withheld(missing: u64, device: &str) -> (&'static str, String) {
    let entries = if missing == 1 {
        "1 entry".to_owned()
    } else {
        format!("{missing} entries")
    };
    (
        "withheld",
        format!("The server hasn't delivered {entries} that {device} sent."),
    )
}

fn forked(device: &str) -> (&'static str, String) {
    (
        "forked",
        format!(
            "Two different histories carry the signature of {device}. Either that device was copied or restored from a backup, or its keys were stolen."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partners_devices_have_no_name_here_and_ones_own_do() {
        assert_eq!(changed("Ben", "added", None), "Ben added a device.");
        assert_eq!(
            changed("You", "removed", Some("phone")),
            "You removed a device: phone."
        );
    }

    #[test]
    fn who_ended_it_is_said_and_that_nothing_is_taken_away() {
        let names = Names::new("Ana", Some("Ben"));
        assert_eq!(
            left(Whose::Partners, &names),
            "Ben has ended this journal between you. Both of you keep what is here."
        );
        assert_eq!(
            left(Whose::Mine, &names),
            "You have ended this journal between you. Both of you keep what is here."
        );
    }

    #[test]
    fn every_notice_says_what_the_documentation_says() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let dir = tempfile::tempdir().unwrap();
        let passphrase = ajar_sync::Passphrase::new("quiet harbor linen oak").unwrap();
        let (home, _) = ajar_sync::Builder::new(dir.path().join("home"))
            .with_passphrase(passphrase)
            .with_kdf(ajar_sync::KdfParams::FLOOR)
            .create(ajar_sync::NewHome {
                name: "Ana".to_owned(),
                device: "laptop".to_owned(),
                relay: None,
            })
            .unwrap();
        let space = home.space(ajar_sync::SpaceKind::Private).unwrap();
        let names = Names::new("Ana", Some("Ben"));
        let (own, device) = (space.own_party(), space.device().unwrap());
        let (partner, unknown) = (PartyId([2; 32]), DeviceId([3; 32]));
        let kinds = [
            NoticeKind::Withheld { device, missing: 2 },
            NoticeKind::Forked { device, counter: 1 },
            NoticeKind::Forked {
                device: unknown,
                counter: 1,
            },
            NoticeKind::StaleCopy,
            NoticeKind::RolledBack,
            NoticeKind::BadEpoch { device },
            NoticeKind::DamagedData,
            NoticeKind::Unopenable { device, counter: 1 },
            NoticeKind::DeviceAdded {
                party: partner,
                seq: 1,
            },
            NoticeKind::DeviceRemoved { party: own, seq: 9 },
            NoticeKind::Recovered {
                party: partner,
                seq: 1,
            },
            NoticeKind::ChainFork { party: own },
            NoticeKind::ChainFork { party: partner },
            NoticeKind::WordsReplaced { party: own, seq: 1 },
            NoticeKind::PartyLeft {
                party: partner,
                seq: 1,
            },
            NoticeKind::CutoffRaised { party: own, seq: 1 },
            NoticeKind::OwnDeviceRemoved,
            NoticeKind::SnapshotDiffers { device, counter: 1 },
            NoticeKind::OnlyPartnerVouches,
            NoticeKind::BurnRequested {
                party: partner,
                docs: 1,
            },
            NoticeKind::Burned {
                party: own,
                counter: 1,
            },
            NoticeKind::Burned {
                party: partner,
                counter: 1,
            },
        ];
        for kind in kinds {
            let (code, said) = words(&Notice { kind, at_ms: 0 }, &space, &names);
            let row = documented(code)
                .replace("NAME", "Ben")
                .replace(" N ", " 2 ");
            let fits = ["your own device", "an unknown device"]
                .into_iter()
                .any(|device| {
                    let row = row.replace("DEVICE", device);
                    ["You", "Ben"]
                        .into_iter()
                        .any(|p| row.replace("PERSON", p).contains(&said))
                });
            assert!(fits, "{code}: {said}\n{row}");
        }
    }

    /// The words of a notice in the table of the protocol, with all of its rows.
    fn documented(code: &str) -> String {
        let page = include_str!("../../docs/protocol.md");
        let table = page.split("#### Notices").nth(1).unwrap();
        let lines = table.lines();
        let mut rows = lines.skip_while(|line| !line.starts_with(&format!("| `{code}` |")));
        let first = rows
            .next()
            .unwrap_or_else(|| panic!("{code} is not documented"));
        let more = rows.take_while(|line| line.starts_with("| |"));
        std::iter::once(first)
            .chain(more)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_withheld_entry_is_the_servers_doing_in_the_words() {
        let names = Names::new("Ana", Some("Ben"));
        let (code, text) = withheld(2, &Whose::Partners.device(&names));
        assert_eq!(code, "withheld");
        assert_eq!(
            text,
            "The server hasn't delivered 2 entries that Ben's device sent."
        );
        let (_, text) = withheld(1, &Whose::Mine.device(&names));
        assert_eq!(
            text,
            "The server hasn't delivered 1 entry that your own device sent."
        );
    }
}
