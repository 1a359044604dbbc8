//! Keeping what was read, batch by batch.

use std::path::Path;
use std::sync::Arc;

use ajar_journal::entry::{self, NewEntry};
use ajar_journal::import::{self, Format, Imported, Imprint, Mark, MediaRef, Members};
use ajar_journal::photo::is_file_name;
use ajar_journal::{Photo, photo, schema};
use ajar_sync::{BatchEdit, ChangeError, Ownership, Space};
use zeroize::Zeroizing;

use super::report::{Outcome, Progress};
use crate::cli::Import;
use crate::dates;
use crate::output::Output;
use crate::photo::{Placed, Prepared, prepare_bytes};
use crate::report::{Failure, named_file};

/// Entries of one durable batch.
const ENTRIES: usize = 256;
/// Text of one batch, in bytes: what is sealed at once is in memory.
const TEXT_BYTES: usize = 8 << 20;
/// Photos of one batch: what a sudden end leaves behind of them is sealed for ever.
const PHOTOS: usize = 32;

/// Keeps entries in a space.
pub(super) struct Keeper<'a> {
    out: Output,
    me: &'a Space,
    members: &'a mut dyn Members,
    format: Format,
    batch: String,
    original: bool,
    dry_run: bool,
}

/// An entry whose photos are sealed in the space, and go again unless it is kept.
struct Ready<'a> {
    label: String,
    photos: usize,
    write: Arc<Write>,
    placed: Placed<'a>,
}

/// What is written into one document.
struct Write {
    new: NewEntry,
    mark: Mark,
    photos: Vec<Photo>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        out: Output,
        me: &'a Space,
        members: &'a mut dyn Members,
        format: Format,
        batch: String,
        args: &Import,
    ) -> Self {
        Self {
            out,
            me,
            members,
            format,
            batch,
            original: args.original,
            dry_run: args.dry_run,
        }
    }

    /// Keeps all of them; what was kept when it fails stays, and is counted.
    pub(super) fn keep(
        mut self,
        entries: Vec<Imported>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let mut progress = Progress::new(self.out, entries.len());
        let mut batch = Vec::new();
        let (mut text, mut photos) = (0, 0);
        for (done, entry) in entries.into_iter().enumerate() {
            progress.show(done);
            text += entry.text.len();
            let Some(ready) = self.ready(entry, outcome)? else {
                continue;
            };
            photos += ready.photos;
            batch.push(ready);
            if batch.len() >= ENTRIES || text >= TEXT_BYTES || photos >= PHOTOS {
                self.seal(std::mem::take(&mut batch), outcome)?;
                (text, photos) = (0, 0);
            }
        }
        self.seal(batch, outcome)
    }

    /// Makes an entry ready, with its photos; `None` when nothing of it is left.
    fn ready(
        &mut self,
        entry: Imported,
        outcome: &mut Outcome,
    ) -> Result<Option<Ready<'a>>, Failure> {
        let mut placed = Placed::none(self.me);
        let (mut photos, mut count) = (Vec::new(), 0);
        for (number, media) in (1..).zip(&entry.media) {
            let what = || format!("photo or file {number} of {}", entry.label);
            if count >= schema::PHOTOS_MAX {
                let most = schema::PHOTOS_MAX;
                outcome.skip(what(), format!("an entry has at most {most} photos"));
                continue;
            }
            match self.prepare(media) {
                Ok(_) if self.dry_run => count += 1,
                Ok(prepared) => {
                    photos.push(placed.photo(prepared)?);
                    count += 1;
                }
                Err(why) => outcome.skip(what(), why),
            }
        }
        let bare = entry.title.is_none() && entry.text.trim().is_empty();
        if bare && count == 0 {
            outcome.skip(entry.label, "nothing of it could be taken");
            return Ok(None);
        }
        Ok(Some(Ready {
            label: entry.label,
            photos: count,
            placed,
            write: Arc::new(Write {
                new: NewEntry {
                    title: entry.title,
                    date: entry.date,
                    text: entry.text,
                    tags: entry.tags,
                    created_at_ms: dates::now_ms(),
                },
                mark: Mark {
                    imprint: Imprint {
                        batch: self.batch.clone(),
                        format: self.format.as_str().to_owned(),
                        source: entry.source_id,
                    },
                    kept: entry.kept,
                },
                photos,
            }),
        }))
    }

    /// A photo as `ajar write` would take it, or why not.
    fn prepare(&mut self, media: &MediaRef) -> Result<Prepared, String> {
        let member = self.members.list().get(media.member);
        let own = member.map(|member| member.file_name().to_owned());
        let names = media.name.iter().chain(&own);
        let name = names.clone().find(|name| is_file_name(name));
        let name = name.map_or("photo", String::as_str).to_owned();
        let bytes = self
            .members
            .read(media.member, schema::PHOTO_BYTES_MAX)
            .map_err(|unfit| unfit.to_string())?;
        if bytes.is_empty() {
            return Err("it is empty".to_owned());
        }
        prepare_bytes(Path::new(&name), Zeroizing::new(bytes), self.original).map_err(|failure| {
            let message = failure.message();
            let why = message
                .strip_prefix(&format!("{}: ", named_file(Path::new(&name))))
                .unwrap_or(message);
            match failure.code() {
                "not-a-photo" => format!("{why}; --original keeps such files as they are"),
                _ => why.to_owned(),
            }
        })
    }

    /// Keeps a batch whole. An entry that is refused all the same costs nothing but itself.
    fn seal(&mut self, batch: Vec<Ready<'a>>, outcome: &mut Outcome) -> Result<(), Failure> {
        if self.dry_run || batch.is_empty() {
            batch.iter().for_each(|ready| outcome.took(ready.photos));
            return Ok(());
        }
        let writes: Vec<Arc<Write>> = batch.iter().map(|ready| Arc::clone(&ready.write)).collect();
        match self.change(&writes) {
            Ok(()) => {
                for ready in batch {
                    outcome.took(ready.photos);
                    ready.placed.kept();
                }
                return Ok(());
            }
            Err(ChangeError::Failed(error)) => return Err(error.into()),
            Err(ChangeError::Refused(_)) => {}
        }
        for ready in batch {
            match self.change(std::slice::from_ref(&ready.write)) {
                Ok(()) => {
                    outcome.took(ready.photos);
                    ready.placed.kept();
                }
                Err(ChangeError::Refused(why)) => outcome.skip(ready.label, why),
                Err(ChangeError::Failed(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn change(&self, writes: &[Arc<Write>]) -> Result<(), ChangeError<String>> {
        let mut edits = Vec::with_capacity(writes.len());
        for write in writes {
            let write = Arc::clone(write);
            edits.push(BatchEdit {
                doc: self.me.create_document(Ownership::Mine)?.id(),
                apply: Box::new(move |tx| {
                    entry::create(tx, &write.new)
                        .and_then(|()| photo::add(tx, &write.photos, write.new.created_at_ms))
                        .and_then(|()| import::put(tx, &write.mark))
                        .map_err(|error| error.to_string())
                }),
            });
        }
        self.me.change_all(edits)
    }
}
