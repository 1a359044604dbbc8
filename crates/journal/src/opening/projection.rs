//! What a partner would get: a copy that holds what was chosen, and nothing else of the entry.

use std::collections::{BTreeMap, BTreeSet};

use super::door::{Door, Part, Stage};
use crate::entry::Entry;
use crate::error::Invalid;
use crate::layers::{Layer, Layers, Need};
use crate::photo::{self, MediaType, Photo, PhotoCopy};
use crate::records::When;
use crate::text::{displayable, displayable_line};
use crate::{date, redacted_debug};

/// What somebody wants to show of an entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Choice {
    /// How far.
    pub stage: Stage,
    /// Which parts; `None` for what is usual at this stage.
    pub parts: Option<BTreeSet<Part>>,
    /// The one sentence of a gist.
    pub gist: Option<String>,
    /// What would help.
    pub need: Option<Need>,
    /// When an answer would be good.
    pub when: When,
    /// Whether an answer is wanted at all.
    pub reply: bool,
}

impl From<Stage> for Choice {
    fn from(stage: Stage) -> Self {
        Self {
            stage,
            parts: None,
            gist: None,
            need: None,
            when: When::Whenever,
            reply: true,
        }
    }
}

/// Why something cannot be shown so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotShow {
    /// The entry has none of what was chosen.
    #[error("this entry has no {0} to show; nothing was shown to anyone")]
    Nothing(Part),
    /// A gist is one sentence, and none was given.
    #[error("a gist is one sentence, and none was given; nothing was shown to anyone")]
    NoGist,
    /// The sentence is for a later stage.
    #[error("a {0} has no sentence; a gist has, and a room; nothing was shown to anyone")]
    GistTooEarly(Stage),
    /// The part belongs to a later stage.
    #[error("{0} is not shown at {1}, only in a room; nothing was shown to anyone")]
    TooEarly(Part, Stage),
}

/// Exactly what the partner gets. Only [`project`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Projection {
    pub(super) door: Door,
    pub(super) title: Option<String>,
    pub(super) date: Option<String>,
    pub(super) text: String,
    pub(super) gist: Option<String>,
    pub(super) layers: Layers,
    pub(super) need: Option<Need>,
    pub(super) when: When,
    pub(super) reply: bool,
    pub(super) photos: Vec<Shown>,
    /// Set by [`Projection::with_copies`], one for each of `photos`.
    pub(super) copies: Vec<Photo>,
}

/// What is shown of a photo before it is sealed anew.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it is.
    pub media: MediaType,
    /// Length in bytes.
    pub length: u64,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Kept byte for byte.
    pub original: bool,
}

redacted_debug!(Choice, Projection, Shown);

impl Shown {
    fn of(photo: &Photo) -> Self {
        Self {
            media: photo.media,
            length: photo.content.length,
            size: photo.size,
            original: photo.original,
        }
    }
}

impl Projection {
    /// The stage it shows.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.door.stage
    }

    /// The parts it shows.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.door.parts.iter().copied()
    }

    /// The title, if the entry has one and the text is shown.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The day the entry is about, without a time. A knock does not tell it.
    #[must_use]
    pub fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    /// The text as it stands, without earlier or other versions; empty unless it is shown.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The one sentence.
    #[must_use]
    pub fn gist(&self) -> Option<&str> {
        self.gist.as_deref()
    }

    /// The layers that are shown.
    #[must_use]
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// What would help.
    #[must_use]
    pub fn need(&self) -> Option<Need> {
        self.need
    }

    /// When an answer would be good.
    #[must_use]
    pub fn when(&self) -> When {
        self.when
    }

    /// Whether an answer is wanted.
    #[must_use]
    pub fn is_reply_wanted(&self) -> bool {
        self.reply
    }

    /// The photos and files, in their order. Their names stay private.
    #[must_use]
    pub fn photos(&self) -> &[Shown] {
        &self.photos
    }

    /// Puts in the photos, sealed anew: `copies` has one for each photo of the `entry` that was
    /// projected, by its private id. Nothing that names the private ones gets through.
    ///
    /// # Errors
    /// [`Invalid::PhotosNotCopied`] when one is missing, or shares id, key or salt with anything
    /// in the entry.
    pub fn with_copies(
        mut self,
        entry: &Entry,
        copies: &BTreeMap<String, PhotoCopy>,
    ) -> Result<Self, Invalid> {
        if self.photos.is_empty() {
            return Ok(self);
        }
        let copies = photo::copies(entry, copies)?;
        if !copies.iter().map(Shown::of).eq(self.photos.iter().cloned()) {
            return Err(Invalid::PhotosNotCopied);
        }
        self.copies = copies;
        Ok(self)
    }
}

/// Copies what was chosen: a pure function of the entry and the choice; nothing else of the entry
/// gets through. Before the copy can be written, its photos are sealed anew
/// ([`Projection::with_copies`]).
///
/// # Errors
/// [`CannotShow`].
pub fn project(entry: &Entry, choice: impl Into<Choice>) -> Result<Projection, CannotShow> {
    let choice = choice.into();
    let stage = choice.stage;
    let named = choice.parts.is_some();
    let parts = choice.parts.unwrap_or_else(|| stage.usual());
    if let Some(part) = parts.iter().find(|part| !stage.may_show(**part)) {
        return Err(CannotShow::TooEarly(*part, stage));
    }
    match (&choice.gist, stage) {
        (None, Stage::Gist) => return Err(CannotShow::NoGist),
        (Some(_), Stage::Knock | Stage::Weather) => return Err(CannotShow::GistTooEarly(stage)),
        _ => {}
    }
    let present = entry.layers.present();
    let holds = |part: &Part| match part.layer() {
        Some(layer) => present.contains(&layer),
        None if !named => true,
        None if *part == Part::Text => entry.title.is_some() || !entry.text().trim().is_empty(),
        None => !entry.photos.is_empty(),
    };
    if let Some(part) = parts.iter().find(|part| !holds(part)) {
        return Err(CannotShow::Nothing(*part));
    }
    let layers: Vec<Layer> = parts.iter().filter_map(|part| part.layer()).collect();
    let with_text = parts.contains(&Part::Text);
    let photos = entry
        .photos
        .iter()
        .filter(|_| parts.contains(&Part::Photos));
    Ok(Projection {
        title: entry.title.clone().filter(|_| with_text),
        date: (stage > Stage::Knock).then(|| date::day(&entry.date).to_owned()),
        text: if with_text {
            entry.text()
        } else {
            String::new()
        },
        gist: choice.gist,
        layers: entry.layers.only(&layers),
        need: choice.need,
        when: choice.when,
        reply: choice.reply,
        photos: photos.map(Shown::of).collect(),
        copies: Vec::new(),
        door: Door { stage, parts },
    })
}

/// What the partner would get, in words, safe to print on a terminal.
#[must_use]
pub fn preview(projection: &Projection) -> String {
    let mut lines = vec![format!(
        "Opened as {}. Your partner gets a copy of exactly this:",
        projection.stage()
    )];
    if projection.stage() == Stage::Knock {
        lines.push("Something is moving in you. Nothing of what it is.".to_owned());
    }
    let with_text = projection.door.shows(Part::Text);
    if with_text {
        lines.push(match projection.title() {
            Some(title) => format!("Title: {}", displayable_line(title)),
            None => "No title.".to_owned(),
        });
    }
    if let Some(day) = projection.date() {
        lines.push(format!("Day: {}", displayable_line(day)));
    }
    if let Some(gist) = projection.gist() {
        lines.push(format!("In one sentence: {}", displayable_line(gist)));
    }
    for (name, value) in projection.layers().lines() {
        lines.push(format!("{name}: {}", displayable(&value)));
    }
    if let Some(need) = projection.need() {
        lines.push(format!("What would help: {need}"));
    }
    if projection.when() != When::Whenever {
        lines.push(format!("When: {}", projection.when()));
    }
    if !projection.is_reply_wanted() {
        lines.push("No answer is needed.".to_owned());
    }
    if with_text {
        lines.push(format!("Text:\n\n{}\n", displayable(projection.text())));
    }
    let photos = preview_photos(projection.photos());
    let rest = "Also the day you open it. Not your tags, not the time, not earlier versions.";
    format!("{}\n{photos}{rest}\n", lines.join("\n"))
}

/// One line for each photo, and a word about those that may tell more than they show.
fn preview_photos(photos: &[Shown]) -> String {
    let mut lines = String::new();
    for (number, photo) in (1..).zip(photos) {
        let (media, bytes) = (photo.media.as_str(), photo.length);
        lines += &match photo.size {
            Some((width, height)) => {
                format!("Photo {number}: {media}, {width} x {height}, {bytes} bytes")
            }
            None => format!("File {number}: {media}, {bytes} bytes"),
        };
        lines += if photo.original {
            ", the original: it may say where, when and with what it was made\n"
        } else {
            "\n"
        };
    }
    if !lines.is_empty() {
        lines += "Not the names of the files.\n\n";
    }
    lines
}
