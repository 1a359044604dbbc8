//! What twelve words found at a relay, on a screen and in JSON. Everything in it was shown by the
//! relay and signed by devices.

use ajar_sync::{
    FoundChange, FoundDevice, LinkKind, Recovered, RecoveredSpace, SpaceId, SpaceKind,
};
use serde_json::{Value, json};

use crate::dates;
use crate::ids;
use crate::names::{space_name, space_word};
use crate::output::Output;
use crate::report::Failure;

/// Every change of every space with the number it is called by, from 1.
fn numbered(found: &Recovered) -> impl Iterator<Item = (usize, &RecoveredSpace, &FoundChange)> {
    let all = found
        .spaces
        .iter()
        .flat_map(|space| space.changes.iter().map(move |change| (space, change)));
    all.zip(1..)
        .map(|((space, change), number)| (number, space, change))
}

/// The changes from which on a person undoes, one for each space; or why that cannot be.
pub(super) fn undo(found: &Recovered, numbers: &[usize]) -> Result<Vec<(SpaceId, u64)>, String> {
    let mut undo: Vec<(SpaceId, u64)> = Vec::new();
    for wanted in numbers {
        let change = numbered(found).find(|(number, _, _)| number == wanted);
        let Some((_, space, change)) = change else {
            return Err(format!("There is no change with the number {wanted}."));
        };
        if !change.undoable {
            return Err(format!(
                "Change {wanted} cannot be undone: the words confirmed it themselves."
            ));
        }
        // Of two in one space the earlier one counts: it undoes the later one too.
        match undo.iter_mut().find(|(id, _)| *id == space.id) {
            Some((_, from)) => *from = (*from).min(change.seq),
            None => undo.push((space.id, change.seq)),
        }
    }
    Ok(undo)
}

pub(super) fn show(out: Output, found: &Recovered, keep_devices: bool) -> Result<(), Failure> {
    if out.json {
        return out.json(&to_json(found));
    }
    let mut numbers = numbered(found);
    for space in &found.spaces {
        out.insist(heading(space));
        for device in space.devices.iter().filter(|device| device.own) {
            out.insist(device_line(device));
        }
        for _ in &space.changes {
            if let Some((number, _, change)) = numbers.next() {
                out.insist(change_line(number, change));
            }
        }
        for warning in warnings(space) {
            out.insist(format!("    {warning}"));
        }
    }
    for slot in &found.unsound {
        out.insist(format!(
            "The relay showed something else that is no journal of these words (place {slot}); it is left alone."
        ));
    }
    out.insist(if keep_devices {
        "\nYour devices stay in the list, as you asked: whoever has one goes on reading."
    } else {
        "\nEvery device of yours that is in the list is removed as lost; this one takes their place."
    });
    let is_shared = |space: &RecoveredSpace| space.kind == SpaceKind::Shared;
    if found.spaces.iter().any(is_shared) {
        out.insist("Your partner is told that you recovered.");
    }
    Ok(())
}

fn pieces(count: u64) -> String {
    match count {
        1 => "1 sealed piece".to_owned(),
        many => format!("{many} sealed pieces"),
    }
}

fn heading(space: &RecoveredSpace) -> String {
    let newest = match space.written_ms {
        Some(at_ms) => format!("the newest from {}", dates::local(at_ms)),
        None => "no time known".to_owned(),
    };
    format!(
        "\n{}: {}, {newest}.",
        space_name(space.kind),
        pieces(space.envelopes)
    )
}

fn at(ms: u64) -> String {
    i64::try_from(ms).map_or_else(|_| "an unknown time".to_owned(), dates::local)
}

fn device_line(device: &FoundDevice) -> String {
    let state = if device.active { "" } else { ", removed" };
    let unseen = match device.unseen {
        0 => String::new(),
        missing => format!("; {missing} that others have seen are not here"),
    };
    format!(
        "    device {}  since {}{state}, {}{unseen}",
        ids::beginning(device.id.to_hex()),
        at(device.since_ms),
        pieces(device.envelopes)
    )
}

fn change_line(number: usize, change: &FoundChange) -> String {
    let by = match change.by {
        Some(device) => format!("by the device {}", ids::beginning(device.to_hex())),
        None => "with the twelve words".to_owned(),
    };
    let fixed = if change.undoable {
        ""
    } else {
        "  (cannot be undone)"
    };
    format!(
        "    change {number}: {}, {}, {by}{fixed}",
        what(change),
        at(change.claimed_ms)
    )
}

fn what(change: &FoundChange) -> String {
    let device = change.device.map(|device| ids::beginning(device.to_hex()));
    let device = device.as_deref().unwrap_or("?");
    match change.kind {
        LinkKind::Genesis => "the beginning".to_owned(),
        LinkKind::DeviceAdd => format!("device {device} added"),
        LinkKind::DeviceRevoke => format!("device {device} removed"),
        LinkKind::Recover => format!("recovered on device {device}"),
        LinkKind::RootReplace => "the twelve words replaced".to_owned(),
        LinkKind::Leave => "the journal ended".to_owned(),
        LinkKind::Policy => "older versions of Ajar shut out".to_owned(),
        LinkKind::RevokeAmend => format!("more let in of device {device}"),
    }
}

/// A stable word for scripts.
fn word(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Genesis => "begun",
        LinkKind::DeviceAdd => "device-added",
        LinkKind::DeviceRevoke => "device-removed",
        LinkKind::Recover => "recovered",
        LinkKind::RootReplace => "words-replaced",
        LinkKind::Leave => "left",
        LinkKind::Policy => "versions-shut-out",
        LinkKind::RevokeAmend => "cutoff-raised",
    }
}

fn warnings(space: &RecoveredSpace) -> Vec<String> {
    let mut all = Vec::new();
    if space.left.is_some() {
        all.push(
            "You ended it, so says the last change. If that was not you, give its number."
                .to_owned(),
        );
    }
    if space.partner_left {
        all.push("Your partner has ended it: it can be read, and nothing is added.".to_owned());
    }
    if space.unopened > 0 {
        all.push(format!(
            "{} key changes are not open to these words.",
            space.unopened
        ));
    }
    if space.dropped > 0 {
        all.push(format!(
            "{} pieces from the relay were damaged and left out.",
            space.dropped
        ));
    }
    all
}

fn to_json(found: &Recovered) -> Value {
    let spaces: Vec<Value> = found
        .spaces
        .iter()
        .map(|space| {
            let devices: Vec<Value> = space.devices.iter().map(device_json).collect();
            let changes: Vec<Value> = numbered(found)
                .filter(|(_, of, _)| of.id == space.id)
                .map(|(number, _, change)| change_json(number, change))
                .collect();
            json!({
                "kind": space_word(space.kind),
                "envelopes": space.envelopes,
                "written": space.written_ms.and_then(dates::utc),
                "left": space.left.is_some(),
                "partner_left": space.partner_left,
                "unopened": space.unopened,
                "damaged": space.dropped,
                "devices": devices,
                "changes": changes,
            })
        })
        .collect();
    json!({"event": "found", "spaces": spaces, "unsound": found.unsound})
}

fn utc(ms: u64) -> Option<String> {
    i64::try_from(ms).ok().and_then(dates::utc)
}

fn device_json(device: &FoundDevice) -> Value {
    json!({
        "id": device.id.to_hex(),
        "of": if device.own { "me" } else { "partner" },
        "active": device.active,
        "since": utc(device.since_ms),
        "envelopes": device.envelopes,
        "unseen": device.unseen,
    })
}

fn change_json(number: usize, change: &FoundChange) -> Value {
    json!({
        "number": number,
        "what": word(change.kind),
        "device": change.device.map(|device| device.to_hex()),
        "by": change.by.map(|device| device.to_hex()),
        "at": utc(change.claimed_ms),
        "undoable": change.undoable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_sync::{DeviceId, RelayAddress};

    fn change(seq: u64, undoable: bool) -> FoundChange {
        FoundChange {
            seq,
            kind: LinkKind::DeviceRevoke,
            by: Some(DeviceId([1; 32])),
            device: Some(DeviceId([2; 32])),
            claimed_ms: 1_782_000_000_000,
            undoable,
        }
    }

    fn space(id: u8, kind: SpaceKind, changes: Vec<FoundChange>) -> RecoveredSpace {
        RecoveredSpace {
            id: SpaceId([id; 32]),
            kind,
            slot: 0,
            relay: RelayAddress {
                host: "relay.example".to_owned(),
                port: 4433,
                key: [3; 32],
                claim: None,
            },
            devices: Vec::new(),
            changes,
            envelopes: 7,
            written_ms: None,
            dropped: 0,
            unopened: 0,
            left: None,
            partner_left: false,
            taken: false,
        }
    }

    fn found() -> Recovered {
        let me = vec![change(1, false), change(2, true)];
        let us = vec![change(1, true), change(2, true)];
        Recovered {
            spaces: vec![
                space(1, SpaceKind::Private, me),
                space(2, SpaceKind::Shared, us),
            ],
            ..Recovered::default()
        }
    }

    #[test]
    fn changes_are_numbered_through_both_spaces() {
        let found = found();
        let value = to_json(&found);
        assert_eq!(value["event"], "found");
        assert_eq!(value["spaces"][0]["changes"][1]["number"], 2);
        assert_eq!(value["spaces"][1]["changes"][0]["number"], 3);
        assert_eq!(value["spaces"][1]["changes"][0]["what"], "device-removed");
        let thiefs = undo(&found, &[2, 3]).unwrap();
        assert_eq!(thiefs, [(SpaceId([1; 32]), 2), (SpaceId([2; 32]), 1)]);
    }

    #[test]
    fn the_earlier_of_two_numbers_undoes_both_and_what_cannot_be_undone_is_said() {
        let found = found();
        assert_eq!(undo(&found, &[4, 3]).unwrap(), [(SpaceId([2; 32]), 1)]);
        assert!(undo(&found, &[1]).unwrap_err().contains("cannot be undone"));
        for none in [0, 5, usize::MAX] {
            assert!(undo(&found, &[none]).is_err(), "{none}");
        }
        assert!(undo(&found, &[]).unwrap().is_empty());
    }
}
