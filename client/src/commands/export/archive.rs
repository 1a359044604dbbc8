//! Archives: ours, with everything, and those of other programs, with what is one's own.

use std::collections::HashMap;
use std::io::{self, Write as _};

use ajar_journal::export::archive::{About, Writer};
use ajar_journal::export::{self, Document, Given, Scope, dayone, jrnl};
use ajar_journal::imported::{Author as Wrote, Origin, Side};
use ajar_journal::{Photo, date};
use ajar_sync::{Home, Space, SpaceKind, doc_id_text};
use serde_json::json;
use zeroize::Zeroizing;

use super::{NOT_SEALED, say_left_out, spaces};
use crate::cli::{Export, ExportFormat};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::new_file::NewFile;
use crate::photo;
use crate::report::Failure;
use crate::{between, dates, ids, records};

/// What stays behind when other programs get something (design: the other's words never are).
const OWN_ONLY: &str = "Only your own entries are in it. What your partner wrote, and what you said to each other, is\n\
    not handed to other programs.";

pub(super) fn run(context: &Context, args: &Export, format: ExportFormat) -> Result<(), Failure> {
    let ours = format == ExportFormat::Ajar;
    if args.photos.is_some() {
        return Err(Failure::fixable(
            "usage",
            "--photos is for markdown and json; an archive has the photos in itself.",
        )
        .hint("Leave --photos out."));
    }
    if !ours && args.us {
        return Err(Failure::fixable(
            "own-only",
            "Other programs get only what you wrote in Only me, so nothing would be left.",
        )
        .hint("Leave --us out, or take --format ajar."));
    }
    let need = if args.me || !ours {
        Need::Private
    } else {
        Need::Home
    };
    let home = context.open_home(need)?;
    // Before anything is looked for: a name that cannot be is said at once.
    let mut new = NewFile::create("export-file", &args.file)?;
    let Collected {
        mut documents,
        unreadable,
        closed,
        places,
    } = collect(&home, args)?;
    let fetch = Fetch {
        context,
        args,
        places: &places,
    };
    let written = match format {
        ExportFormat::DayOne => day_one(&fetch, &mut new, &documents)?,
        ExportFormat::Jrnl => as_jrnl(&mut new, &documents)?,
        _ => everything(&fetch, &home, &mut new, &mut documents)?,
    };
    let locked = !args.us && !home.is_private_unlocked();
    drop(places);
    home.close()?;
    new.keep()?;
    let out = context.out;
    let value = json!({
        "file": args.file,
        "format": format_word(format),
        "count": written.count,
        "unreadable": unreadable,
        "closed_letters": closed,
        "photos": written.photos,
        "photos_missing": written.missing.len(),
        "missing": written.missing,
    });
    out.data(&value, || {
        let things = match (written.count, ours) {
            (1, true) => "1 record is".to_owned(),
            (many, true) => format!("{many} records are"),
            (1, false) => "1 entry is".to_owned(),
            (many, false) => format!("{many} entries are"),
        };
        format!("{things} in {}.", args.file.display())
    })?;
    say_left_out(out, locked, unreadable);
    if closed > 0 && ours {
        out.insist(format!(
            "Letters to you that are still closed, and are not in it: {closed}."
        ));
    }
    if !written.missing.is_empty() {
        out.insist(format!(
            "Photos or files that are not in it: {}",
            written.missing.join("; ")
        ));
    }
    if !ours {
        out.insist(OWN_ONLY);
    }
    out.talk(NOT_SEALED);
    Ok(())
}

fn format_word(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ajar => "ajar",
        ExportFormat::Markdown => "markdown",
        ExportFormat::Json => "json",
        ExportFormat::DayOne => "dayone",
        ExportFormat::Jrnl => "jrnl",
    }
}

/// What was written.
struct Written {
    count: usize,
    photos: usize,
    missing: Vec<String>,
}

/// Where the photos of a document lie, by the id that the document has now.
type Places = HashMap<String, Space>;

/// What is to be written.
struct Collected {
    documents: Vec<Document>,
    /// How many could not be read.
    unreadable: usize,
    /// How many letters of the other are still closed.
    closed: usize,
    places: Places,
}

/// Everything asked for that is open. What is gone, or closed to this person, is not in it.
fn collect(home: &Home, args: &Export) -> Result<Collected, Failure> {
    let names = Names::of(home);
    let today = dates::today();
    let (mut given, mut unreadable, mut places) = (Vec::new(), 0, Places::new());
    let mut closed = 0;
    for space in spaces(home, args)? {
        for info in space.documents()? {
            let read = space.document(info.id).read(export::take);
            let taken = match read.map_err(Failure::from) {
                Ok(Ok(Some(taken))) => taken,
                Ok(Ok(None)) => continue,
                Ok(Err(_)) => {
                    unreadable += 1;
                    continue;
                }
                // A damaged place on the disk takes one record, not the others.
                Err(failure) if records::is_damage(&failure) => {
                    unreadable += 1;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let author = Author::of(&space, info.owner);
            if between::may_go(taken.kind()) && between::is_gone(&space, info.id, author)? {
                continue;
            }
            if taken.is_closed(author == Author::Me, date::day(&today)) {
                closed += 1;
                continue;
            }
            let id = doc_id_text(info.id);
            let origin = origin(&space, author, &names);
            places.insert(id.clone(), space.clone());
            given.push(Given { id, origin, taken });
        }
    }
    Ok(Collected {
        documents: export::settle(given),
        unreadable,
        closed,
        places,
    })
}

fn origin(space: &Space, author: Author, names: &Names) -> Origin {
    let (author, author_name) = match author {
        Author::Me => (Wrote::Me, Some(names.own().to_owned())),
        Author::Partner => (Wrote::Partner, names.known_partner().map(str::to_owned)),
        Author::Both => (Wrote::Both, None),
    };
    Origin {
        space: match space.kind() {
            SpaceKind::Private => Side::Me,
            SpaceKind::Shared => Side::Us,
        },
        author,
        author_name,
    }
}

/// Brings photos from where they are.
struct Fetch<'a> {
    context: &'a Context,
    args: &'a Export,
    places: &'a Places,
}

impl Fetch<'_> {
    /// The bytes of a photo, or why there are none.
    fn bytes(
        &self,
        document: &Document,
        photo: &Photo,
    ) -> Result<Result<Zeroizing<Vec<u8>>, String>, Failure> {
        let Some(space) = self.places.get(document.now()) else {
            return Ok(Err("its place is not known".to_owned()));
        };
        let fetched = photo::bytes_of(space, &photo.content, self.args.timeout);
        match self.context.block_on(fetched) {
            Ok(bytes) => Ok(Ok(bytes)),
            // Without space for one there is none for the next.
            Err(failure) if failure.code() == "disk-full" => Err(failure),
            Err(failure) => Ok(Err(failure.message().to_owned())),
        }
    }
}

/// What cannot be had, in words.
fn missing(document: &Document, number: usize, why: &str) -> String {
    let id = ids::beginning(document.now().to_owned());
    format!("photo {number} of {id}: {why}")
}

/// Our own archive.
fn everything(
    fetch: &Fetch<'_>,
    home: &Home,
    new: &mut NewFile,
    documents: &mut [Document],
) -> Result<Written, Failure> {
    let (mut photos, mut without) = (0, Vec::new());
    let file = io::BufWriter::new(new.writer()?);
    let mut writer = Writer::new(file);
    for document in documents.iter_mut() {
        for (number, photo) in (1..).zip(document.photos().to_vec()) {
            match fetch.bytes(document, &photo)? {
                Ok(bytes) => {
                    let put = writer.media(&bytes, photo.media);
                    let name = put.map_err(|error| new.failed(&error))?;
                    document.note_file(&photo.id, &name);
                    photos += 1;
                }
                Err(why) => without.push(missing(document, number, &why)),
            }
        }
    }
    let (names, today) = (Names::of(home), dates::today());
    let scope = match (fetch.args.me, fetch.args.us) {
        (true, _) => Scope::Me,
        (_, true) => Scope::Us,
        _ => Scope::All,
    };
    let about = About {
        own_name: names.own(),
        partner: names.known_partner(),
        scope,
        today: date::day(&today),
        missing: &without,
    };
    let ended = writer.finish(documents, &about);
    let flushed = ended.and_then(|mut file| file.flush());
    flushed.map_err(|error| new.failed(&error))?;
    Ok(Written {
        count: documents.len(),
        photos,
        missing: without,
    })
}

/// Why an archive of another program could not be written.
enum Failed {
    File(io::Error),
    Other(Failure),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl Failed {
    fn of(self, new: &NewFile) -> Failure {
        match self {
            Self::File(error) => new.failed(&error),
            Self::Other(failure) => failure,
        }
    }
}

fn day_one(
    fetch: &Fetch<'_>,
    new: &mut NewFile,
    documents: &[Document],
) -> Result<Written, Failure> {
    let (mut photos, mut without) = (0, Vec::new());
    let file = io::BufWriter::new(new.writer()?);
    let mut export = dayone::Export::new(file);
    let put = export.entries(
        documents,
        &dates::Local::here(),
        &mut |document, photo| match fetch.bytes(document, photo) {
            Ok(Ok(bytes)) => {
                photos += 1;
                Ok(Some(bytes))
            }
            Ok(Err(why)) => {
                let number = document.photos().iter().position(|one| one == photo);
                without.push(missing(document, number.map_or(0, |at| at + 1), &why));
                Ok(None)
            }
            Err(failure) => Err(Failed::Other(failure)),
        },
    );
    put.map_err(|failed: Failed| failed.of(new))?;
    let ended = export.finish();
    let ended = ended.and_then(|(mut file, counts)| file.flush().map(|()| counts));
    let counts = ended.map_err(|error| new.failed(&error))?;
    let no_place = counts.left_out.saturating_sub(without.len());
    if no_place > 0 {
        without.push(format!(
            "{no_place} of a kind that Day One has no place for"
        ));
    }
    Ok(Written {
        count: counts.entries,
        photos,
        missing: without,
    })
}

fn as_jrnl(new: &mut NewFile, documents: &[Document]) -> Result<Written, Failure> {
    let written = jrnl::write(documents);
    let written = written.and_then(|(text, count)| {
        new.file().write_all(text.as_bytes())?;
        Ok(count)
    });
    let count = written.map_err(|error| new.failed(&error))?;
    Ok(Written {
        count,
        photos: 0,
        missing: Vec::new(),
    })
}
