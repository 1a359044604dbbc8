//! Opening an entry to a partner: a copy in the shared space that holds what its stage shows.
//!
//! Nothing moves from the private space: the words are copied into a new document without their
//! history (`docs/protocol.md` §2.15). The copy knows no private id, time, tag or size. It can be
//! opened further; it is closed again only by burning it.

mod door;
mod projection;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use serde::Serialize;

use door::Door;
pub use door::{NoSuchStage, Part, Stage};
pub use projection::{CannotShow, Choice, Projection, Shown, preview, project};

use crate::body::{self, Paragraph};
use crate::date;
use crate::entry::{begin, check_title, put_title};
use crate::error::{Error, Invalid, Unreadable};
use crate::layered;
use crate::layers::{Layer, Layers, Need};
use crate::photo::{self, Photo};
use crate::read::View;
use crate::records::When;
use crate::redacted_debug;
use crate::schema::{self, Kind};
use crate::text::check_text;

/// Longest sentence of a gist, in bytes.
pub const GIST_BYTES_MAX: usize = 2000;

/// An opening as both partners read it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// The stage its author opened it to.
    pub stage: Stage,
    /// What is shown at it.
    pub parts: Vec<Part>,
    /// The title, if it has one.
    pub title: Option<String>,
    /// Titles the author's devices gave at the same time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub title_others: Vec<String>,
    /// The day it is about; of a knock, the day it was opened.
    pub date: String,
    /// The one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gist: Option<String>,
    /// The layers that are shown.
    #[serde(skip_serializing_if = "Layers::is_empty")]
    pub layers: Layers,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub need: Option<Need>,
    /// When an answer would be good.
    pub when: When,
    /// Whether an answer is wanted.
    pub reply: bool,
    /// The text; [`Opening::text`] joins it.
    pub paragraphs: Vec<Paragraph>,
    /// Photos and files, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<Photo>,
    /// The day it was opened.
    pub opened_on: String,
}

impl Opening {
    /// The text: paragraphs joined with line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        body::joined(&self.paragraphs)
    }

    /// Whether a part is shown.
    #[must_use]
    pub fn shows(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn door(&self) -> Door {
        Door {
            stage: self.stage,
            parts: self.parts.iter().copied().collect(),
        }
    }
}

/// What the author saved in the shared copy. `None` leaves a field as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// A new title, or `Some(None)` to take it away.
    pub title: Option<Option<String>>,
    /// A new date; only its day is shared.
    pub date: Option<String>,
    /// The whole new text.
    pub text: Option<String>,
    /// What the author had in front of them, as in [`crate::entry::Edit::seen`].
    pub seen: Option<Vec<Paragraph>>,
}

redacted_debug!(Opening, Edit);

fn check(projection: &Projection, opened_on_day: &str) -> Result<(), Error> {
    check_title(projection.title())?;
    if let Some(day) = projection.date() {
        date::check(day)?;
    }
    date::check(opened_on_day)?;
    body::check(&projection.text)?;
    projection.layers.check()?;
    check_text("gist", projection.gist().unwrap_or(" "), GIST_BYTES_MAX)?;
    if projection.copies.len() != projection.photos.len() {
        return Err(Invalid::PhotosNotCopied.into());
    }
    Ok(())
}

/// Writes the copy into an empty document of the shared space, all keys in this one transaction.
/// `opened_on_day` is the day of opening; a time in it is left out.
///
/// # Errors
/// [`Error::Invalid`] if something is too long, a date does not exist or the document is not
/// empty; [`Invalid::PhotosNotCopied`] if photos were not sealed anew. Nothing is written then.
pub fn create<T: Transactable>(
    tx: &mut T,
    projection: &Projection,
    opened_on_day: &str,
) -> Result<(), Error> {
    check(projection, opened_on_day)?;
    let opened_on = date::day(opened_on_day);
    begin(tx, &Kind::Opening)?;
    put_door(tx, &projection.door)?;
    if let Some(title) = projection.title() {
        tx.put(ROOT, schema::TITLE, title)?;
    }
    tx.put(ROOT, schema::DATE, projection.date().unwrap_or(opened_on))?;
    tx.put(ROOT, schema::OPENED_ON, opened_on)?;
    if let Some(gist) = projection.gist() {
        tx.put(ROOT, schema::GIST, gist)?;
    }
    put_wishes(tx, projection)?;
    body::create(tx, &projection.text)?;
    layered::write(tx, &projection.layers)?;
    photo::add(tx, &projection.copies, 0)
}

/// Opens a door further: what `projection` shows comes to what is shown already. Returns whether
/// that is anything more.
///
/// # Errors
/// As [`create`]; [`Error::Unreadable`] if this is no opening; [`Invalid::Field`] if it is open
/// further already. Nothing is written then.
pub fn raise<T: Transactable>(tx: &mut T, projection: &Projection) -> Result<bool, Error> {
    let now = read(tx)?;
    check(projection, &now.opened_on)?;
    if projection.stage() < now.stage {
        let needs = "a later one: it is open further than that already";
        return Err(Invalid::Field {
            field: "stage",
            needs,
        }
        .into());
    }
    let mut door = projection.door.clone();
    door.parts.extend(&now.parts);
    let is_new = |part| door.shows(part) && !now.shows(part);
    let mut changed = false;
    if is_new(Part::Text) {
        changed |= body::edit(tx, None, &projection.text)?;
        if let Some(title) = projection.title() {
            tx.put(ROOT, schema::TITLE, title)?;
        }
    }
    if is_new(Part::Photos) {
        photo::add(tx, &projection.copies, 0)?;
    }
    let shown = |layer: &Layer| now.layers.present().contains(layer);
    let new: Vec<Layer> = projection.layers.present();
    let new: Vec<Layer> = new.into_iter().filter(|layer| !shown(layer)).collect();
    let mut layers = now.layers.clone();
    layers.take(&projection.layers, &new);
    changed |= layered::write(tx, &layers)?;
    if let Some(gist) = projection.gist()
        && now.gist.as_deref() != Some(gist)
    {
        tx.put(ROOT, schema::GIST, gist)?;
        changed = true;
    }
    if let Some(day) = projection.date().filter(|day| *day != now.date) {
        tx.put(ROOT, schema::DATE, day)?;
    }
    if door != now.door() {
        changed = true;
    }
    if changed {
        put_wishes(tx, projection)?;
        put_door(tx, &door)?;
    }
    Ok(changed)
}

/// Stage and parts in one value; the stage alone too, for versions that know no parts.
fn put_door<T: Transactable>(tx: &mut T, door: &Door) -> Result<(), Error> {
    tx.put(ROOT, schema::STAGE, door.stage.as_str())?;
    tx.put(ROOT, schema::DOOR, door.to_string())?;
    Ok(())
}

fn put_wishes<T: Transactable>(tx: &mut T, projection: &Projection) -> Result<(), Error> {
    if let Some(need) = projection.need() {
        tx.put(ROOT, schema::NEED, need.as_str())?;
    }
    tx.put(ROOT, schema::WHEN, projection.when().as_str())?;
    tx.put(ROOT, schema::REPLY, projection.is_reply_wanted())?;
    Ok(())
}

/// Reads an opening: what its door shows, and nothing of what may lie behind it.
///
/// # Errors
/// [`Unreadable`] if the document is of another kind or something in it does not hold.
pub fn read<D: ReadDoc>(doc: &D) -> Result<Opening, Unreadable> {
    let view = View::now(doc);
    view.expect_kind(Kind::Opening)?;
    let door = read_door(&view)?;
    let (title, title_others) = match door.shows(Part::Text) {
        true => view.titles()?,
        false => (None, Vec::new()),
    };
    let layers = Layer::ALL.iter().copied();
    let layers: Vec<Layer> = layers
        .filter(|layer| {
            door.parts
                .iter()
                .any(|p| p.layer() == Some(*layer) && door.shows(*p))
        })
        .collect();
    let mut paragraphs = view.paragraphs()?;
    if !door.shows(Part::Text) {
        paragraphs.clear();
    }
    let mut photos = photo::read(&view)?;
    if !door.shows(Part::Photos) {
        photos.clear();
    }
    let need = view.word(schema::NEED)?.and_then(|word| word.parse().ok());
    let when = view.word(schema::WHEN)?.and_then(|word| word.parse().ok());
    Ok(Opening {
        parts: Part::ALL
            .iter()
            .copied()
            .filter(|part| door.shows(*part))
            .collect(),
        title,
        title_others,
        date: view.date(schema::DATE)?,
        gist: match door.stage >= Stage::Gist {
            true => view.text(schema::GIST, GIST_BYTES_MAX)?,
            false => None,
        },
        layers: layered::read(doc)?.only(&layers),
        need,
        when: when.unwrap_or(When::Whenever),
        reply: view.flag_or(schema::REPLY, true)?,
        paragraphs,
        photos,
        opened_on: view.date(schema::OPENED_ON)?,
        stage: door.stage,
    })
}

fn read_door<D: ReadDoc>(view: &View<'_, D>) -> Result<Door, Unreadable> {
    let stage = view.str(&ROOT, schema::STAGE, schema::WORD_CHARS_MAX)?;
    let stage: Stage = stage
        .parse()
        .map_err(|_| Unreadable::BadValue(schema::STAGE))?;
    if let Some(door) = Door::settled(&view.all_words(schema::DOOR)?)? {
        return Ok(door);
    }
    // From before there were parts: a room that shows text and photos.
    Ok(Door {
        parts: stage.usual(),
        stage,
    })
}

/// Saves the author's later changes of the shared copy. No time of saving is written: it would
/// tell when the author sat down. Returns whether anything changed.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Unreadable`]; nothing is written then. Title and text can be
/// changed only where they are shown.
pub fn edit<T: Transactable>(tx: &mut T, edit: &Edit) -> Result<bool, Error> {
    let now = read(tx)?;
    if (edit.text.is_some() || edit.title.is_some()) && !now.shows(Part::Text) {
        let needs = "it is not open yet; change the entry, or open it as a room";
        return Err(Invalid::Field {
            field: "text",
            needs,
        }
        .into());
    }
    if let Some(title) = &edit.title {
        check_title(title.as_deref())?;
    }
    if let Some(date) = &edit.date {
        date::check(date)?;
    }
    let mut changed = match &edit.text {
        Some(text) => body::edit(tx, edit.seen.as_deref(), text)?,
        None => false,
    };
    if let Some(title) = &edit.title {
        changed |= put_title(
            tx,
            title.as_deref(),
            now.title.as_deref(),
            &now.title_others,
        )?;
    }
    if let Some(day) = edit
        .date
        .as_deref()
        .map(date::day)
        .filter(|day| *day != now.date)
    {
        tx.put(ROOT, schema::DATE, day)?;
        changed = true;
    }
    Ok(changed)
}
