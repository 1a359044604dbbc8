//! `ajar export`: everything readable in one file: an archive with all there is, one text to read,
//! or what another program takes.

mod archive;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ajar_sync::{DocId, Error, Home, Space, SpaceKind};
use serde_json::{Value, json};

use super::{photo, show};
use crate::cli::{Export, ExportFormat};
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name};
use crate::new_file::NewFile;
use crate::output::Output;
use crate::records::{self, Located, Record};
use crate::report::{Exit, Failure};
use crate::{dates, ids};

pub(crate) fn run(context: &Context, args: &Export) -> Result<(), Failure> {
    match args.format() {
        ExportFormat::Markdown => text(context, args, false),
        ExportFormat::Json => text(context, args, true),
        format => archive::run(context, args, format),
    }
}

/// One text, to read or for a script.
fn text(context: &Context, args: &Export, json: bool) -> Result<(), Failure> {
    let out = context.out;
    let need = if args.me { Need::Private } else { Need::Home };
    let home = context.open_home(need)?;
    let (all, unreadable) = collect(&home, args)?;
    let names = Names::of(&home);
    let photos = match &args.photos {
        Some(dir) => Some(take_photos(context, &home, &all, dir, args)?),
        None => None,
    };
    let text = if json {
        as_json(&home, &all, &names, photos.as_ref())?
    } else {
        markdown(&all, &names, photos.as_ref())
    };
    let left_out = !args.us && !home.is_private_unlocked();
    home.close()?;
    write("export-file", &args.file, text.as_bytes())?;
    let missing = photos.as_ref().map_or(0, |photos| photos.missing);
    let value = json!({
        "file": args.file,
        "count": all.len(),
        "unreadable": unreadable,
        "photos": photos.as_ref().map(|photos| photos.files.len()),
        "photos_missing": missing,
    });
    out.data(&value, || {
        let things = match all.len() {
            1 => "1 entry or opening is".to_owned(),
            many => format!("{many} entries and openings are"),
        };
        format!("{things} in {}.", args.file.display())
    })?;
    say_left_out(out, left_out, unreadable);
    if missing > 0 {
        out.insist(format!(
            "{missing} photos or files could not be had and were left out; `ajar photo` says why."
        ));
    }
    let without = all
        .iter()
        .any(|located| !located.record.photos().is_empty());
    if without && photos.is_none() {
        out.insist("The photos are not in it; --photos DIR writes them beside it.");
    }
    out.talk(NOT_SEALED);
    Ok(())
}

const NOT_SEALED: &str =
    "The file is not sealed: whoever gets it can read it. Delete it when it has served.";

fn say_left_out(out: Output, locked: bool, unreadable: usize) {
    if locked {
        out.insist(
            "Only me is locked and was left out; set AJAR_PRIVATE_PASSPHRASE to include it.",
        );
    }
    if unreadable > 0 {
        out.insist(format!(
            "{unreadable} could not be read and were left out; `ajar doctor` says more."
        ));
    }
}

/// Everything asked for that is open, by day; and how many could not be read.
fn collect(home: &Home, args: &Export) -> Result<(Vec<Located>, usize), Failure> {
    let (mut all, mut unreadable) = (Vec::new(), 0);
    for space in spaces(home, args)? {
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

/// The spaces asked for, as far as they are open.
fn spaces(home: &Home, args: &Export) -> Result<Vec<Space>, Failure> {
    let mut spaces = Vec::new();
    for (kind, wanted) in [
        (SpaceKind::Private, !args.us),
        (SpaceKind::Shared, !args.me),
    ] {
        match home.space(kind) {
            _ if !wanted => {}
            Ok(space) => spaces.push(space),
            // What was asked for by name must not be left out without a word.
            Err(Error::NotPaired | Error::PrivateLocked | Error::NotOnThisDevice)
                if !args.me && !args.us => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(spaces)
}

/// Photos that were written beside the text.
struct Taken {
    /// By record and number: the path as the text names it.
    files: BTreeMap<(DocId, usize), String>,
    /// How many could not be had.
    missing: usize,
}

/// Writes all photos into a new folder. Their files are called after day, record and number:
/// the names that somebody else gave them are never used.
fn take_photos(
    context: &Context,
    home: &Home,
    all: &[Located],
    dir: &Path,
    args: &Export,
) -> Result<Taken, Failure> {
    let made = DirBuilder::new().mode(0o700).create(dir);
    made.map_err(|error| {
        Failure::fixable(
            "export-file",
            format!("Cannot make the folder {}: {error}.", dir.display()),
        )
        .hint("Name a folder that does not exist yet, in one you can write to.")
    })?;
    let beside = dir.parent() == args.file.parent();
    let shown = match dir.file_name().filter(|_| beside) {
        Some(name) => PathBuf::from(name),
        None => dir.canonicalize().unwrap_or_else(|_| dir.to_owned()),
    };
    let (mut files, mut missing) = (BTreeMap::new(), 0);
    for located in all {
        let space = home.space(located.space)?;
        let day = located.record.date().get(..10).unwrap_or("undated");
        for (number, taken) in (1..).zip(located.record.photos()) {
            let (short, ending) = (ids::short(located.id), taken.media.ending());
            let name = format!("{day}-{short}-{number}.{ending}");
            match photo::write(context, &space, taken, &dir.join(&name), args.timeout) {
                Ok(()) => {
                    let path = shown.join(&name).display().to_string();
                    files.insert((located.id, number), path);
                }
                // Without space for one there is none for the next.
                Err(failure) if matches!(failure.code(), "disk-full" | "photo-file") => {
                    return Err(failure);
                }
                Err(_) => missing += 1,
            }
        }
    }
    Ok(Taken { files, missing })
}

fn as_json(
    home: &Home,
    all: &[Located],
    names: &Names,
    photos: Option<&Taken>,
) -> Result<String, Failure> {
    let open = show::open_ids(home, |_| true)?;
    let values: Vec<Value> = all
        .iter()
        .map(|located| {
            let mut value = show::to_json(located, names, &open);
            let listed = value.get_mut("photos").and_then(Value::as_array_mut);
            for (number, photo) in (1..).zip(listed.into_iter().flatten()) {
                let file = photos.and_then(|taken| taken.files.get(&(located.id, number)));
                if let (Some(file), Some(photo)) = (file, photo.as_object_mut()) {
                    photo.insert("file".to_owned(), json!(file));
                }
            }
            value
        })
        .collect();
    let text = serde_json::to_string_pretty(&values)
        .map_err(|error| Failure::new(Exit::Bug, "bug", format!("cannot write JSON: {error}")))?;
    Ok(text + "\n")
}

fn markdown(all: &[Located], names: &Names, photos: Option<&Taken>) -> String {
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
            SpaceKind::Private if located.author != Author::Me => format!(
                "{}, written by {}",
                space_name(SpaceKind::Private),
                located.author_name(names)
            ),
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
        for (number, photo) in (1..).zip(record.photos()) {
            let words = show::photo_words(number, photo);
            let file = photos.and_then(|taken| taken.files.get(&(located.id, number)));
            match file {
                // A program that shows the text is not told to show what may be anything.
                Some(file) if photo.media.is_picture() && !photo.original => {
                    text.push_str(&format!("\n![{words}](<{file}>)\n"));
                }
                Some(file) => text.push_str(&format!("\n[{words}](<{file}>)\n")),
                None => text.push_str(&format!("\n({words})\n")),
            }
        }
    }
    text
}

/// A new file for this user only; half a file does not stay.
pub(super) fn write(code: &'static str, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut new = NewFile::create(code, path)?;
    let written = new.file().write_all(bytes);
    written.map_err(|error| new.failed(&error))?;
    new.keep()
}
