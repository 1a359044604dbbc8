//! `ajar status`: what is kept, what is delivered, and what a person should know. No network.

use ajar_sync::{Error, Home, OwnDevice, Sharing, Space, SpaceKind, SpaceStatus, Travel};
use serde_json::{Value, json};

use super::relay::{offer, open_text};
use super::{compare, evidence, last_heard};
use crate::cli::Status;
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name, space_word};
use crate::report::Failure;
use crate::{beginning, burns, dates, devices, fading, names, notices};

pub(crate) fn run(context: &Context, args: &Status) -> Result<(), Failure> {
    match args {
        Status {
            words: Some(space), ..
        } => compare::run(context, *space),
        Status {
            evidence: Some(file),
            ..
        } => evidence::run(context, file),
        Status { .. } => report(context),
    }
}

fn report(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let relay = home.relay().as_ref().map(open_text);
    let sharing = home.sharing().ok();
    let offered = home.relay_offered().as_ref().map(open_text);
    let travels = home
        .private_travel()
        .ok()
        .map(|travel| travel == Travel::Quiet);
    let (mut spaces, mut told, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let (mut changes, mut burned) = (Vec::new(), Vec::new());
    let now = dates::now_ms();
    for space in home.spaces() {
        let status = space.status()?.engine;
        let heard = last_heard(&space)?;
        let at = home.relay_of(space.kind()).as_ref().map(open_text);
        let mut value = to_json(&space, &status, heard, at.as_deref());
        lines.extend(words(&status, space.blobs_pending(), heard, &names));
        let (key, state) = match space.kind() {
            SpaceKind::Private => ("travels", json!(travels)),
            SpaceKind::Shared => ("sharing", json!(sharing.map(sharing_word))),
        };
        if let Value::Object(fields) = &mut value {
            fields.insert(key.to_owned(), state);
            let begun = beginning::to_json(beginning::noted(&space)?);
            fields.insert("beginning".to_owned(), begun);
        }
        lines.extend(match space.kind() {
            SpaceKind::Private if travels == Some(false) => {
                Some("  It is kept on this device only, as you asked.".to_owned())
            }
            SpaceKind::Private => None,
            SpaceKind::Shared => sharing.and_then(|sharing| resting(sharing, &names)),
        });
        if let Some(begun) = beginning::noted(&space)? {
            let (done, of) = (begun.done, begun.of);
            lines.push(format!(
                "  Older parts are still on their way: {done} of {of} are here. `ajar sync` brings the rest."
            ));
        }
        spaces.push(value);
        let burns = fading::Burns::of(&space)?;
        for burn in burns.told.iter().filter(|burn| burns::is_news(burn, now)) {
            lines.push(format!("  {}.", burns::words(burn, &names)));
            burned.push(burns::to_json(burn, space.kind()));
        }
        for notice in &status.notices {
            if burns.keeps_quiet(&notice.kind, notice.at_ms) {
                continue;
            }
            if let Some(change) = notices::own_change(notice, &space, &names) {
                if changes.contains(&change) {
                    continue;
                }
                changes.push(change);
            }
            let (_, text) = notices::words(notice, &space, &names);
            lines.push(format!("  {}: {text}", dates::local(notice.at_ms)));
            told.push(notices::to_json(notice, &space, &names));
        }
    }
    for (kind, why) in home.damaged() {
        spaces.push(json!({"kind": space_word(*kind), "locked": false, "damaged": why}));
    }
    lines.extend(names::damaged(&home));
    if !home.is_private_unlocked() && !names::is_damaged(&home, SpaceKind::Private) {
        spaces.push(json!({"kind": space_word(SpaceKind::Private), "locked": true}));
        lines.push("Only me: locked".to_owned());
    }
    let devices = home.devices()?;
    let others = devices.iter().any(|device| device.active && !device.this);
    let mut added = devices::lately_added(&devices, now);
    added.retain(|device| others || !device.this);
    lines.extend(added.iter().map(|device| news(device)));
    let added: Vec<Value> = added.into_iter().map(devices::to_json).collect();
    lines.push(match &relay {
        Some(relay) => format!("Relay: {relay}"),
        None => "Relay: none. What you write is kept on this device only.".to_owned(),
    });
    lines.extend(offered.as_deref().map(|offered| offer(&names, offered)));
    lines.extend(not_paired(&home));
    home.close()?;
    out.data(
        &json!({
            "spaces": spaces,
            "notices": told,
            "burns": burned,
            "added_lately": added,
            "relay_offered": offered,
        }),
        || lines.join("\n"),
    )
}

/// How things stand with the shared space, for scripts.
fn sharing_word(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Open => "open",
        Sharing::Paused => "paused",
        Sharing::Left => "left",
        Sharing::Ended => "ended",
    }
}

/// The same for people, when it is not as usual.
fn resting(sharing: Sharing, names: &Names) -> Option<String> {
    let text = match sharing {
        Sharing::Open => return None,
        Sharing::Paused => "  It rests on this device. `ajar close resume` ends that.".to_owned(),
        Sharing::Left => {
            "  You have left it quietly: it can be read, and nothing travels. `ajar close return` comes back."
                .to_owned()
        }
        Sharing::Ended => format!(
            "  It has ended: you and {} keep what is here, and nothing is added.",
            names.partner()
        ),
    };
    Some(text)
}

/// A device that came within the last week, and how to be rid of it.
fn news(device: &OwnDevice) -> String {
    let when = devices::since(device).map_or_else(String::new, dates::local);
    if device.this {
        return format!("This device was added to your others on {when}.");
    }
    format!(
        "Added to your devices on {when}: {}. Was it not you? Remove: ajar device remove {} --stolen",
        devices::called(device),
        devices::short(device)
    )
}

fn to_json(space: &Space, status: &SpaceStatus, heard: Option<i64>, relay: Option<&str>) -> Value {
    let devices: Vec<Value> = status
        .devices
        .iter()
        .map(|device| {
            json!({
                "id": device.id.to_hex(),
                "of": Author::of(space, Some(device.party)).word(),
                "this": device.this,
                "active": device.active,
                "since": i64::try_from(device.since_ms).ok().and_then(dates::utc),
            })
        })
        .collect();
    json!({
        "kind": space_word(status.kind),
        "locked": false,
        "devices": devices,
        "kept": status.kept,
        "delivered": status.delivered,
        "confirmed_by_partner": status.confirmed_by_partner,
        "photos_pending": space.blobs_pending(),
        "missing": status.missing,
        "stale": status.stale,
        "relay": relay,
        "last_heard": heard.and_then(dates::utc),
    })
}

fn words(status: &SpaceStatus, photos: usize, heard: Option<i64>, names: &Names) -> Vec<String> {
    let shared = status.kind == SpaceKind::Shared;
    let with = if shared {
        format!(" (with {})", names.partner())
    } else {
        String::new()
    };
    let waiting = status.kept.saturating_sub(status.delivered);
    let delivered = match waiting {
        0 if photos > 0 => "every word kept here is delivered".to_owned(),
        0 => "everything kept here is delivered".to_owned(),
        1 => "1 change is kept here and not yet delivered".to_owned(),
        many => format!("{many} changes are kept here and not yet delivered"),
    };
    let mut lines = vec![format!("{}{with}: {delivered}", space_name(status.kind))];
    match photos {
        0 => {}
        1 => lines.push("  1 photo or file is not delivered yet".to_owned()),
        many => lines.push(format!("  {many} photos and files are not delivered yet")),
    }
    lines.push(match heard {
        Some(at_ms) => format!("  last exchange with the relay: {}", dates::local(at_ms)),
        None => "  no exchange with the relay yet".to_owned(),
    });
    if shared && status.confirmed_by_partner < status.delivered {
        lines.push(format!(
            "  Not yet confirmed by {}'s devices.",
            names.partner()
        ));
    }
    if status.missing > 0 {
        lines.push(format!("  {} sent by others, not here yet", status.missing));
    }
    if status.stale {
        lines.push(
            "  This is an older copy of the journal; nothing can be written in it.".to_owned(),
        );
    }
    lines
}

fn not_paired(home: &Home) -> Option<String> {
    match home.space(SpaceKind::Shared) {
        Ok(_) => None,
        Err(Error::Damaged(_)) => None,
        Err(Error::NotOnThisDevice) => Some(
            "Us: not on this device. `ajar device add --spaces us` on one that has it, a new folder here."
                .to_owned(),
        ),
        Err(_) => {
            Some("Us: not yet. `ajar pair` on one side, `ajar join CODE` on the other.".to_owned())
        }
    }
}
