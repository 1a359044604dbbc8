//! `ajar doctor`: looks at everything and explains. It changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ajar_sync::vault::VaultHeader;
use ajar_sync::{BurnStatus, Error, Home, Space, SpaceKind};
use serde::Serialize;
use serde_json::json;

use crate::cli::Doctor;
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name, space_word};
use crate::report::{Exit, Failure};
use crate::{burns, fading, ids, names};

/// Less free space than this is worth a word, in bytes: one segment of the store and some air.
const FREE_MIN: u64 = 256 << 20;

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn well(&mut self, what: &str, message: impl Into<String>) {
        self.0.push(Check {
            what: what.to_owned(),
            ok: true,
            message: message.into(),
            hint: None,
        });
    }

    /// Nothing is wrong, and something can be done.
    fn note(&mut self, what: &str, message: impl Into<String>, hint: &str) {
        self.0.push(Check {
            what: what.to_owned(),
            ok: true,
            message: message.into(),
            hint: Some(hint.to_owned()),
        });
    }

    fn bad(&mut self, what: &str, message: impl Into<String>, hint: &str) {
        let hint = Some(hint.to_owned());
        self.0.push(Check {
            what: what.to_owned(),
            ok: false,
            message: message.into(),
            hint,
        });
    }
}

pub(crate) fn run(context: &Context, args: &Doctor) -> Result<(), Failure> {
    let out = context.out;
    let dir = context.dir()?;
    if !dir.is_dir() {
        return Err(Error::NoHome(dir).into());
    }
    let mut checks = Checks::default();
    permissions(&mut checks, &dir);
    drafts(&mut checks, &dir);
    free_space(&mut checks, &dir);
    if header(&mut checks, &dir) {
        match context.open_home(Need::Home) {
            Ok(home) => {
                let looked =
                    inside(&mut checks, &home).and_then(|()| rebuild(&mut checks, &home, args));
                home.close()?;
                looked?;
            }
            // These two say nothing about the state of the journal.
            Err(failure) if failure.exit() == Exit::Locked || failure.code() == "in-use" => return Err(failure),
            Err(failure) => checks.bad("journal", failure.message(), failure.hint_text().unwrap_or(
                "Leave the folder as it is. Your other devices and the relay hold what was delivered.",
            )),
        }
    }
    tell(context, &checks)?;
    let bad = checks.0.iter().filter(|check| !check.ok).count();
    if bad == 0 {
        out.talk("All is well.");
        return Ok(());
    }
    let things = if bad == 1 {
        "One thing needs".to_owned()
    } else {
        format!("{bad} things need")
    };
    Err(Failure::fixable(
        "findings",
        match args.rebuild {
            true => format!("{things} your attention."),
            false => format!("{things} your attention; nothing was changed."),
        },
    ))
}

fn tell(context: &Context, checks: &Checks) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        let ok = checks.0.iter().all(|check| check.ok);
        return out.json(&json!({"ok": ok, "checks": checks.0}));
    }
    for check in &checks.0 {
        let mark = if check.ok { "ok " } else { "BAD" };
        out.plain(&format!("{mark}  {}: {}", check.what, check.message))?;
        if let Some(hint) = &check.hint {
            out.plain(&format!("     {hint}"))?;
        }
    }
    Ok(())
}

/// Whether others on this machine can read the files.
fn permissions(checks: &mut Checks, dir: &Path) {
    let mut open_to_others = Vec::new();
    let mut look = |path: &Path| match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            open_to_others.push(path.display().to_string());
        }
        Ok(_) | Err(_) => {}
    };
    look(dir);
    if let Ok(entries) = fs::read_dir(dir) {
        for entry in entries.flatten() {
            look(&entry.path());
        }
    }
    if open_to_others.is_empty() {
        checks.well("permissions", "only you can read the files");
    } else {
        let message = format!(
            "others on this machine may read {}",
            open_to_others.join(", ")
        );
        checks.bad(
            "permissions",
            message,
            "Everything in there is sealed, but close it all the same: chmod -R go= on the folder.",
        );
    }
}

/// Drafts that an editor left: the one place where words lie open.
fn drafts(checks: &mut Checks, dir: &Path) {
    let found: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("draft-"))
        .collect();
    if found.is_empty() {
        checks.well("drafts", "none left over");
    } else {
        let message = format!(
            "left by an editor, readable without a passphrase: {}",
            found.join(", ")
        );
        checks.bad(
            "drafts",
            message,
            "Keep what you need with `ajar write - < FOLDER/entry.md`, then delete them.",
        );
    }
}

fn free_space(checks: &mut Checks, dir: &Path) {
    match rustix::fs::statvfs(dir) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let mebibytes = free >> 20;
            if free < FREE_MIN {
                checks.bad(
                    "disk",
                    format!("only {mebibytes} MiB are free"),
                    "Free some space; a full disk keeps nothing new.",
                );
            } else {
                checks.well("disk", format!("{mebibytes} MiB are free"));
            }
        }
        Err(error) => checks.bad(
            "disk",
            format!("free space cannot be told: {error}"),
            "Check that the disk is there.",
        ),
    }
}

/// The vault header, as far as it can be judged without a passphrase.
fn header(checks: &mut Checks, dir: &Path) -> bool {
    const HINT: &str = "Put vault.hdr back from a backup of this folder. Without it nothing in the folder can be opened; another device, or your twelve words, can bring the journal back.";
    match fs::read(dir.join("vault.hdr")) {
        Err(error) => {
            checks.bad("vault.hdr", format!("it cannot be read: {error}"), HINT);
            false
        }
        Ok(bytes) => match VaultHeader::parse(&bytes) {
            Ok(_) => {
                checks.well("vault.hdr", "it is whole");
                true
            }
            Err(error) => {
                checks.bad("vault.hdr", error.to_string(), HINT);
                false
            }
        },
    }
}

/// Everything behind the passphrase.
fn inside(checks: &mut Checks, home: &Home) -> Result<(), Failure> {
    const HINT: &str = "Do not delete anything. Run `ajar sync` to deliver what is whole, and keep a copy of the folder.";
    for report in home.check()? {
        let what = format!(
            "{} ({})",
            space_name(report.space),
            space_word(report.space)
        );
        if report.findings.is_empty() {
            checks.well(
                &what,
                format!(
                    "envelopes: {}, documents: {}, all whole",
                    report.envelopes, report.documents
                ),
            );
        }
        for finding in report.findings {
            checks.bad(&what, finding, HINT);
        }
    }
    for (kind, why) in home.damaged() {
        let what = format!("{} ({})", space_name(*kind), space_word(*kind));
        checks.bad(
            &what,
            why.as_str(),
            "It cannot be opened here; the rest of the journal can. Keep a copy of the folder; another device of yours has it, or your twelve words bring back what the relay has: `ajar recover` in a new folder.",
        );
    }
    burned(checks, home)?;
    for space in home.spaces() {
        if space.status()?.engine.stale {
            checks.bad(
                space_name(space.kind()),
                "this is an older copy of the journal than the relay has seen",
                "Link this device anew: `ajar device add` on another one, `ajar init --link CODE` here in a new folder. What is only here can still be read and exported.",
            );
        }
    }
    if !home.is_private_unlocked() && !names::is_damaged(home, SpaceKind::Private) {
        checks.well(
            "Only me (me)",
            "locked, so not looked into; set AJAR_PRIVATE_PASSPHRASE to include it",
        );
    }
    match home.relay() {
        Some(relay) => checks.well("relay", relay.without_claim().to_string()),
        None => checks.well(
            "relay",
            "none set up: what you write is kept on this device only",
        ),
    }
    Ok(())
}

/// What was burned, and whose word is missing before its keys are destroyed.
fn burned(checks: &mut Checks, home: &Home) -> Result<(), Failure> {
    let names = Names::of(home);
    for space in home.spaces() {
        let what = format!("burned ({})", space_word(space.kind()));
        for burn in fading::Burns::of(&space)?.told {
            if burn.keys_destroyed {
                continue;
            }
            let (message, hint) = waiting(&burn, &space, &names);
            checks.note(&what, message, &hint);
        }
    }
    Ok(())
}

/// Why the keys of a burn are still there, and what helps.
fn waiting(burn: &BurnStatus, space: &Space, names: &Names) -> (String, String) {
    let (mut own, mut partners) = (Vec::new(), 0);
    for device in &burn.waits_for {
        match space.party_of_device(*device) {
            Some(party) if Author::of(space, Some(party)) == Author::Me => own.push(
                names
                    .device(*device)
                    .map_or_else(|| ids::beginning(device.to_hex()), str::to_owned),
            ),
            _ => partners += 1,
        }
    }
    let mut who = Vec::new();
    if !own.is_empty() {
        who.push(format!("your {}", own.join(", your ")));
    }
    match partners {
        0 => {}
        1 => who.push(format!("one device of {}", names.partner())),
        many => who.push(format!("{many} devices of {}", names.partner())),
    }
    let told = burns::words(burn, names);
    if who.is_empty() {
        return (
            told,
            "The next syncs destroy the keys, once the relay has given up what is left.".to_owned(),
        );
    }
    let hint = if own.is_empty() {
        "It goes on when they sync.".to_owned()
    } else {
        "`ajar sync` on each of yours; one that is gone for good: `ajar device remove`.".to_owned()
    };
    (format!("{told}; waiting for {}", who.join(" and ")), hint)
}

/// Makes the tables of lists and searches anew, if that was asked for.
fn rebuild(checks: &mut Checks, home: &Home, args: &Doctor) -> Result<(), Failure> {
    if args.rebuild {
        for space in home.spaces() {
            space.rebuild_table()?;
            let what = format!("table of {}", space_name(space.kind()));
            checks.well(&what, "made anew");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cut_short_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("vault.hdr"), b"AJAR").unwrap();
        let mut checks = Checks::default();
        assert!(!header(&mut checks, dir.path()));
        assert!(checks.0[0].hint.is_some());
    }

    #[test]
    fn a_folder_open_to_others_and_a_draft_left_over_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("draft-1-2");
        fs::create_dir(&draft).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        let mut checks = Checks::default();
        permissions(&mut checks, dir.path());
        drafts(&mut checks, dir.path());
        assert_eq!(checks.0.iter().filter(|check| !check.ok).count(), 2);
    }
}
