//! `ajar export`: everything readable in one file, for reading and keeping. The formats of other
//! programs are another matter.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ajar_sync::{Error, Home, SpaceKind};
use serde_json::{Value, json};

use super::show;
use crate::cli::{Export, ExportFormat};
use crate::context::{Context, Need};
use crate::names::{Names, space_name};
use crate::records::{self, Located, Record};
use crate::report::{Exit, Failure};
use crate::{dates, ids};

pub(crate) fn run(context: &Context, args: &Export) -> Result<(), Failure> {
    let out = context.out;
    let need = if args.me { Need::Private } else { Need::Home };
    let home = context.open_home(need)?;
    let (all, unreadable) = collect(&home, args)?;
    let names = Names::of(&home);
    let text = match args.format {
        ExportFormat::Markdown => markdown(&all, &names),
        ExportFormat::Json => as_json(&home, &all, &names)?,
    };
    let left_out = !args.us && !home.is_private_unlocked();
    home.close()?;
    write(&args.file, text.as_bytes())?;
    let value = json!({"file": args.file, "count": all.len(), "unreadable": unreadable});
    out.data(&value, || {
        let things = match all.len() {
            1 => "1 entry or opening is".to_owned(),
            many => format!("{many} entries and openings are"),
        };
        format!("{things} in {}.", args.file.display())
    })?;
    if left_out {
        out.insist(
            "Only me is locked and was left out; set AJAR_PRIVATE_PASSPHRASE to include it.",
        );
    }
    if unreadable > 0 {
        out.insist(format!(
            "{unreadable} could not be read and were left out; `ajar doctor` says more."
        ));
    }
    out.talk("The file is not sealed: whoever gets it can read it. Delete it when it has served.");
    Ok(())
}

/// Everything asked for that is open, by day; and how many could not be read.
fn collect(home: &Home, args: &Export) -> Result<(Vec<Located>, usize), Failure> {
    let (mut all, mut unreadable) = (Vec::new(), 0);
    for (kind, wanted) in [
        (SpaceKind::Private, !args.us),
        (SpaceKind::Shared, !args.me),
    ] {
        if !wanted {
            continue;
        }
        let space = match home.space(kind) {
            Ok(space) => space,
            // What was asked for by name must not be left out without a word.
            Err(Error::NotPaired | Error::PrivateLocked | Error::NotOnThisDevice)
                if !args.me && !args.us =>
            {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (records, failed) = records::all(&space)?;
        all.extend(records);
        unreadable += failed;
    }
    all.sort_by(|one, other| {
        let key = |located: &Located| (located.record.date().to_owned(), located.id);
        key(one).cmp(&key(other))
    });
    Ok((all, unreadable))
}

fn as_json(home: &Home, all: &[Located], names: &Names) -> Result<String, Failure> {
    let open = show::open_ids(home, |_| true)?;
    let values: Vec<Value> = all
        .iter()
        .map(|located| show::to_json(located, names, &open))
        .collect();
    let text = serde_json::to_string_pretty(&values)
        .map_err(|error| Failure::new(Exit::Bug, "bug", format!("cannot write JSON: {error}")))?;
    Ok(text + "\n")
}

fn markdown(all: &[Located], names: &Names) -> String {
    let mut text = format!(
        "# The journal of {}\n\nWritten out on {}.\n",
        names.own(),
        dates::today()
    );
    for located in all {
        let record = &located.record;
        let day = record.date().replacen('T', " ", 1);
        text.push_str("\n---\n\n## ");
        match record.title() {
            Some(title) => text.push_str(&format!("{day} · {title}")),
            None => text.push_str(&day),
        }
        let place = match located.space {
            SpaceKind::Private => space_name(SpaceKind::Private).to_owned(),
            SpaceKind::Shared => format!("opened by {}", names.name(located.author)),
        };
        text.push_str(&format!("\n\n*{place} · {}*\n", ids::short(located.id)));
        for other in record.title_others() {
            text.push_str(&format!("\n(or, written at the same time: {other})\n"));
        }
        if let Record::Entry(entry) = record
            && !entry.tags.is_empty()
        {
            text.push_str(&format!("\nTags: {}\n", entry.tags.join(", ")));
        }
        for paragraph in record.paragraphs() {
            text.push_str(&format!("\n{}\n", paragraph.text));
            for other in &paragraph.others {
                text.push_str(&format!("\n> (or, written at the same time: {other})\n"));
            }
        }
    }
    text
}

/// A new file for this user only; half a file does not stay.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let trouble = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "something is there already".to_owned(),
            _ => error.to_string(),
        };
        Failure::fixable(
            "export-file",
            format!("Cannot write {}: {why}.", path.display()),
        )
        .hint("Name a file that does not exist yet, in a folder you can write to.")
    };
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(trouble)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        trouble(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_export_is_for_this_user_only_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.md");
        write(&path, b"words").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = write(&path, b"other words").unwrap_err();
        assert_eq!(again.code(), "export-file");
        assert_eq!(fs::read(&path).unwrap(), b"words");
    }
}
