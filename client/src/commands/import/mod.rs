//! `ajar import`: what was written elsewhere comes into Only me. No network.
//!
//! The file is read whole before anything is written, photo by photo and entry by entry while it is
//! written. What is kept is kept in whole batches: whenever the process dies, there are whole entries
//! only, and the id that undoes them was printed before the first.

mod archive;
mod keep;
mod report;
mod source;
mod undo;

use std::collections::HashSet;
use std::path::Path;

use ajar_journal::import::{self, Format, Imprint, Reading, Refused};
use ajar_journal::summary::Line;
use ajar_sync::{DocId, RowQuery, Space, SpaceKind};

use crate::cli::{Import, ImportFormat};
use crate::context::{Context, Need};
use crate::dates;
use crate::report::{Failure, named_file};
use keep::Keeper;
use report::Outcome;
use source::Source;

pub(crate) fn run(context: &Context, args: &Import) -> Result<(), Failure> {
    match (&args.undo, &args.file) {
        (Some(undo), _) => undo::run(context, undo, args),
        (None, Some(file)) => bring(context, file, args),
        // The options ask for one of the two.
        (None, None) => Err(Failure::fixable("import-file", "Nothing was named.")
            .hint("Name a file or folder: `ajar import FILE`.")),
    }
}

fn bring(context: &Context, file: &Path, args: &Import) -> Result<(), Failure> {
    let out = context.out;
    let is_ours = match args.format {
        Some(format) => format == ImportFormat::Ajar,
        None => archive::is_one(file),
    };
    if is_ours {
        return archive::run(context, file, args.dry_run);
    }
    // The file first: a passphrase is asked for nothing when it cannot be read.
    let mut source = Source::open(file)?;
    let format = match args.format.and_then(ImportFormat::of_others) {
        Some(format) => format,
        None => import::recognise(source.members()).map_err(|why| refused(file, &why))?,
    };
    let zones = dates::Zones::default();
    let local = |at_ms, zone: &str| zones.local(at_ms, zone);
    let mut reading =
        import::read(source.members(), format, &local).map_err(|why| refused(file, &why))?;
    warn_of_the_future(&mut reading);

    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let found = std::mem::take(&mut reading.entries);
    let mut outcome = Outcome::of(reading, args.dry_run);
    let known = known(&me, format)?;
    let new: Vec<_> = found
        .into_iter()
        .filter(|entry| {
            let here = known.contains(&entry.source_id);
            if here {
                outcome.here_already(&entry.label);
            }
            !here
        })
        .collect();
    if args.original && new.iter().any(|entry| !entry.media.is_empty()) {
        out.insist(
            "The files are kept byte for byte. They may say where, when and with what they were made.",
        );
    }
    let batch = ajar_sync::new_id()?;
    if !args.dry_run && !new.is_empty() {
        outcome.undo = Some(batch.clone());
        // Before anything is written: whatever happens, it can be undone.
        out.insist(format!("To undo this import: ajar import --undo {batch}"));
    }
    let keeper = Keeper::new(out, &me, source.members(), format, batch, args);
    let kept = keeper.keep(new, &mut outcome);
    let closed = home.close();
    kept.map_err(|failure| cut_short(failure, &outcome))?;
    closed?;
    outcome.tell(out)
}

/// Ids by which what this format has brought before is known here.
fn known(me: &Space, format: Format) -> Result<HashSet<String>, Failure> {
    let imprints = imprints(me)?.into_iter();
    let of_format = imprints.filter(|(_, imprint)| imprint.format == format.as_str());
    Ok(of_format.map(|(_, imprint)| imprint.source).collect())
}

/// All records of lists that were imported. No document is loaded for it.
fn imprints(me: &Space) -> Result<Vec<(DocId, Imprint)>, Failure> {
    let imprint = |head: &[u8]| Line::decode(head).and_then(|line| line.imported);
    let rows = me.rows(RowQuery {
        filter: Some(Box::new(move |row| imprint(&row.head).is_some())),
        ..RowQuery::default()
    })?;
    let rows = rows.into_iter();
    Ok(rows
        .filter_map(|row| Some((row.doc, imprint(&row.head)?)))
        .collect())
}

/// A clock elsewhere, or a slip of the finger: it is kept, and said.
fn warn_of_the_future(reading: &mut Reading) {
    let future = reading
        .entries
        .iter()
        .filter(|entry| dates::is_to_come(&entry.date))
        .count();
    if future > 0 {
        reading
            .warnings
            .push(format!("{future} entries are dated in the future."));
    }
}

/// Why nothing can be read from a file, and what to do about it.
fn refused(file: &Path, why: &Refused) -> Failure {
    let name = named_file(file);
    let (code, hint) = match why {
        Refused::Unclear => (
            "unclear-format",
            "Say what wrote it with --format dayone, jrnl, journey or markdown. Give the zip of Day One or \
             Journey as it was exported; `jrnl --export json` writes what can be read of jrnl.",
        ),
        Refused::TooManyMembers => (
            "import-file",
            "Name the folder or the zip that holds the journal and little else.",
        ),
        Refused::BadArchive => (
            "import-file",
            "Export it again, or copy it here once more: part of it may be missing.",
        ),
        Refused::Unfit(_) => (
            "import-file",
            "Export it again, in several parts if it is very large.",
        ),
    };
    Failure::fixable(code, format!("{name}: {why}. Nothing was imported.")).hint(hint)
}

/// What was kept before something went wrong stays, and that is said.
fn cut_short(failure: Failure, outcome: &Outcome) -> Failure {
    if outcome.imported == 0 || outcome.undo.is_none() {
        return failure;
    }
    let next = failure.hint_text().map(|hint| format!("{hint} "));
    let hint = format!(
        "{}{} entries are in Only me. Import the same file again to go on; what is here is left out. Or undo it with the id above.",
        next.unwrap_or_default(),
        outcome.imported
    );
    failure.hint(hint)
}
