//! `ajar photo`: writes one photo or file of an entry or opening into a new file. What is in it is
//! the matter of whatever program opens it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use ajar_journal::Photo;
use ajar_sync::Space;
use serde_json::json;

use crate::cli::TakePhoto;
use crate::context::{Context, Need};
use crate::photo::{in_space, length_words};
use crate::records;
use crate::report::Failure;

pub(crate) fn run(context: &Context, args: &TakePhoto) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let found = records::find(&home, &args.id)?;
    let located = found.located()?;
    let photo = nth(located.record.photos(), args.number)?;
    write(context, &found.space, photo, &args.file, args.timeout)?;
    home.close()?;
    let value = json!({
        "file": args.file,
        "type": photo.media,
        "bytes": photo.content.length,
    });
    context.out.data(&value, || {
        let length = length_words(photo.content.length);
        format!("{length} are in {}.", args.file.display())
    })?;
    context
        .out
        .talk("The file is not sealed: whoever gets it can look at it.");
    Ok(())
}

/// The photo of that number, counted from 1 as `show` does.
pub(super) fn nth(photos: &[Photo], number: usize) -> Result<&Photo, Failure> {
    let photo = number.checked_sub(1).and_then(|place| photos.get(place));
    photo.ok_or_else(|| {
        let what = match photos.len() {
            0 => "There are no photos in it.".to_owned(),
            1 => "There is one photo in it, number 1.".to_owned(),
            many => format!("There are {many} photos in it, 1 to {many}."),
        };
        Failure::fixable("no-such-photo", what).hint("`ajar show` lists them.")
    })
}

/// Writes a photo into a new file for this user only; half a file does not stay.
pub(super) fn write(
    context: &Context,
    space: &Space,
    photo: &Photo,
    path: &Path,
    wait: Duration,
) -> Result<(), Failure> {
    let trouble = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "something is there already".to_owned(),
            _ => error.to_string(),
        };
        Failure::fixable(
            "photo-file",
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
    let blob = in_space(&photo.content);
    let written = context
        .block_on(space.open_blob(&blob, &mut file, wait))
        .map_err(Failure::from)
        .and_then(|()| file.sync_all().map_err(trouble));
    written.inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}
