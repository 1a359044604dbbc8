//! `ajar import` of an archive that `ajar export` wrote: everything comes into Only me.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ajar_journal::import_ajar::{
    self, Archive, Bytes, Media, NoMedia, Record, Refused, Survey, Why,
};
use ajar_journal::imported::{self, Imported};
use ajar_journal::text::displayable_line;
use ajar_journal::tree;
use ajar_sync::{BatchEdit, ChangeError, DocId, Home, Ownership, Space, SpaceKind, doc_id_text};
use serde_json::json;

use crate::context::{Context, Need};
use crate::photo::{self, Placed};
use crate::records;
use crate::report::{Failure, named_file};

/// Records that are kept at once: all of them, or none.
const AT_ONCE: usize = 64;

/// Whether a file is one of these archives.
pub(super) fn is_one(file: &Path) -> bool {
    File::open(file).is_ok_and(import_ajar::is_ajar)
}

pub(super) fn run(context: &Context, file: &Path, dry_run: bool) -> Result<(), Failure> {
    let home = context.open_home(Need::Private)?;
    let mut archive = open(file)?;
    let here = here(&home)?;
    let survey = archive
        .survey(&here)
        .map_err(|error| refused(file, error))?;
    let mut told = Told::of(&survey);
    let mut batch = None;
    if !dry_run && !survey.ids.is_empty() {
        let id = ajar_sync::new_id()?;
        // Before anything is written: whatever happens, it can be undone.
        context
            .out
            .insist(format!("To undo this import: ajar import --undo {id}"));
        keep(
            context,
            &home,
            file,
            &mut archive,
            &survey,
            &here,
            &id,
            &mut told,
        )?;
        batch = Some(id);
    }
    home.close()?;
    told.say(context, dry_run, batch.as_deref())
}

fn open(file: &Path) -> Result<Archive<File>, Failure> {
    let opened = || File::open(file).map_err(Refused::from);
    let archive = opened().and_then(|one| Archive::open(one, opened()?));
    archive.map_err(|error| refused(file, error))
}

fn refused(file: &Path, error: Refused) -> Failure {
    let failure = Failure::fixable("import-file", format!("{}: {error}.", named_file(file)));
    match error {
        Refused::NotAjar => failure.hint("Name an archive that `ajar export FILE.zip` wrote."),
        Refused::Read(_) => failure.hint("Check the name of the file and that it is yours."),
        Refused::NoArchive | Refused::Damaged(_) => {
            failure.hint("If you have another copy of it, take that.")
        }
        Refused::Changed | Refused::NoManifest => failure.hint(
            "If you have another copy of it, take that. If you changed it yourself, take `manifest.json` out of it and try again.",
        ),
        _ => failure,
    }
}

/// The records in the journal, by the id that an archive has of them.
fn here(home: &Home) -> Result<BTreeMap<String, String>, Failure> {
    let mut here = BTreeMap::new();
    for space in home.spaces() {
        for info in space.documents()? {
            let id = doc_id_text(info.id);
            let read = space.document(info.id).read(|doc| {
                let fields = tree::read(doc).ok()?;
                Imported::of(&fields).map(|mark| mark.id)
            });
            match read.map_err(Failure::from) {
                Ok(Some(before)) => {
                    here.insert(before, id.clone());
                }
                Ok(None) => {}
                Err(failure) if records::is_damage(&failure) => {}
                Err(failure) => return Err(failure),
            }
            here.insert(id.clone(), id);
        }
    }
    Ok(here)
}

/// What came of it.
struct Told {
    imported: usize,
    photos: usize,
    here_already: usize,
    skipped: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl Told {
    fn of(survey: &Survey) -> Self {
        let skipped = survey.skipped.iter();
        let skipped = skipped.map(|one| (one.what.clone(), one.why.to_string()));
        let warnings = survey.without.iter();
        Self {
            imported: survey.ids.len(),
            photos: survey.photos,
            here_already: survey
                .skipped
                .iter()
                .filter(|one| one.why == Why::AlreadyHere)
                .count(),
            skipped: skipped.collect(),
            warnings: warnings
                .map(|(record, photo, why)| no_photo(record, photo, *why))
                .collect(),
        }
    }

    fn say(&self, context: &Context, dry_run: bool, batch: Option<&str>) -> Result<(), Failure> {
        let out = context.out;
        let skipped = self.skipped.iter();
        let skipped: Vec<_> = skipped
            .map(|(what, why)| json!({"what": what, "why": why}))
            .collect();
        let value = json!({
            "imported": self.imported,
            "photos": self.photos,
            "format": imported::FORMAT,
            "dry_run": dry_run,
            "skipped": skipped,
            "skipped_more": 0,
            "here_already": self.here_already,
            "warnings": self.warnings,
            "undo": batch,
        });
        out.data(&value, || {
            let would = if dry_run { " would come" } else { " came" };
            let records = match self.imported {
                1 => "1 record".to_owned(),
                many => format!("{many} records"),
            };
            let photos = match self.photos {
                0 => String::new(),
                1 => " with 1 photo".to_owned(),
                many => format!(" with {many} photos"),
            };
            format!("{records}{photos}{would} into Only me.")
        })?;
        match self.here_already {
            0 => {}
            1 => out.talk("1 is here already and stays as it is."),
            many => out.talk(format!("{many} are here already and stay as they are.")),
        }
        let already = Why::AlreadyHere.to_string();
        for (what, why) in self.skipped.iter().filter(|(_, why)| *why != already) {
            out.insist(format!("Left out: {}: {why}.", displayable_line(what)));
        }
        for warning in &self.warnings {
            out.insist(displayable_line(warning));
        }
        if !dry_run && self.imported > 0 {
            out.talk("Your partner sees nothing of it until you open it.");
        }
        Ok(())
    }
}

fn no_photo(record: &str, photo: &str, why: NoMedia) -> String {
    format!("A photo ({photo}) of {record} is left out: {why}.")
}

/// A record on its way.
struct Coming {
    doc: DocId,
    record: Arc<Record>,
    photos: Arc<BTreeMap<String, Bytes>>,
}

/// Keeps everything the survey found, some at a time.
#[expect(
    clippy::too_many_arguments,
    reason = "called once, with what `run` has"
)]
fn keep(
    context: &Context,
    home: &Home,
    file: &Path,
    archive: &mut Archive<File>,
    survey: &Survey,
    here: &BTreeMap<String, String>,
    batch: &str,
    told: &mut Told,
) -> Result<(), Failure> {
    let me = home.space(SpaceKind::Private)?;
    let mut docs = BTreeMap::new();
    let mut ids: BTreeMap<String, String> = here
        .iter()
        .filter(|(before, now)| before != now)
        .map(|(before, now)| (before.clone(), now.clone()))
        .collect();
    for id in &survey.ids {
        let doc = me.create_document(Ownership::Mine)?.id();
        docs.insert(id.clone(), doc);
        ids.insert(id.clone(), doc_id_text(doc));
    }
    let mut keeper = Keeper {
        me: &me,
        batch: batch.to_owned(),
        ids: Arc::new(ids),
        placed: Placed::none(&me),
        coming: Vec::new(),
        told,
    };
    let read = archive.each(survey, &mut |record, media: &mut Media<'_, File>| {
        let Some(doc) = docs.get(record.id()) else {
            return Ok(());
        };
        keeper.take(*doc, record, media).map_err(Stop::Failed)
    });
    match read {
        Ok(()) => keeper.flush(),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Refused(error)) => Err(refused(file, error)),
    }
    .inspect_err(|_| {
        let kept = here_of_batch(&me, batch).unwrap_or(0);
        if kept > 0 {
            context.out.insist(format!(
                "It was broken off. {kept} records are in Only me, each of them whole; the same command brings the rest."
            ));
        }
    })
}

/// How many records of a batch are kept.
fn here_of_batch(me: &Space, batch: &str) -> Result<usize, Failure> {
    let mut count = 0;
    for info in me.documents()? {
        let batch = batch.to_owned();
        let is_one = me.document(info.id).read(move |doc| {
            let fields = tree::read(doc).unwrap_or_default();
            Imported::of(&fields).is_some_and(|mark| mark.batch == batch)
        });
        count += usize::from(is_one.unwrap_or(false));
    }
    Ok(count)
}

/// Why reading ended.
enum Stop {
    Refused(Refused),
    Failed(Failure),
}

impl From<Refused> for Stop {
    fn from(error: Refused) -> Self {
        Self::Refused(error)
    }
}

struct Keeper<'a> {
    me: &'a Space,
    batch: String,
    ids: Arc<BTreeMap<String, String>>,
    placed: Placed<'a>,
    coming: Vec<Coming>,
    told: &'a mut Told,
}

impl Keeper<'_> {
    fn take(
        &mut self,
        doc: DocId,
        record: Record,
        media: &mut Media<'_, File>,
    ) -> Result<(), Failure> {
        let mut photos = BTreeMap::new();
        for (photo, file) in record.photos().filter(|(_, file)| file.is_some()) {
            let bytes = match media.bytes(file) {
                Ok(bytes) if record.length_of(photo) == Some(bytes.len() as u64) => bytes,
                // What is missing was told already.
                Err(NoMedia::Missing | NoMedia::NotThere) => continue,
                _ => {
                    let warning = no_photo(record.id(), photo, NoMedia::Damaged);
                    if !self.told.warnings.contains(&warning) {
                        self.told.photos = self.told.photos.saturating_sub(1);
                        self.told.warnings.push(warning);
                    }
                    continue;
                }
            };
            let content = self.placed.put(&bytes)?;
            let thumb = match photo::thumb(&bytes) {
                Some(thumb) => Some(self.placed.put(&thumb)?),
                None => None,
            };
            photos.insert(photo.to_owned(), Bytes { content, thumb });
        }
        self.coming.push(Coming {
            doc,
            record: Arc::new(record),
            photos: Arc::new(photos),
        });
        if self.coming.len() >= AT_ONCE {
            self.flush()?;
        }
        Ok(())
    }

    /// Keeps what has come, all of it or none.
    fn flush(&mut self) -> Result<(), Failure> {
        let coming = std::mem::take(&mut self.coming);
        let edits = coming.into_iter().map(|one| self.edit(one)).collect();
        match self.me.change_all(edits) {
            Ok(()) => {
                std::mem::replace(&mut self.placed, Placed::none(self.me)).kept();
                Ok(())
            }
            Err(ChangeError::Failed(error)) => Err(error.into()),
            Err(ChangeError::Refused(why)) => Err(Failure::fixable(
                "import-file",
                format!("It cannot be kept: {why}."),
            )),
        }
    }

    fn edit(&self, one: Coming) -> BatchEdit {
        let (batch, ids) = (self.batch.clone(), Arc::clone(&self.ids));
        BatchEdit {
            doc: one.doc,
            apply: Box::new(move |tx| {
                let written = one.record.write(tx, &batch, &ids, &one.photos);
                written.map_err(|error| error.to_string())
            }),
        }
    }
}
