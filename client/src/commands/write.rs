//! `ajar write`: keeps an entry in Only me. No network.

use ajar_journal::entry::{self, NewEntry};
use ajar_journal::layers::Layers;
use ajar_journal::photo;
use ajar_sync::{Ownership, SpaceKind, doc_id_text};
use serde_json::json;

use crate::cli::Write;
use crate::compose::Composed;
use crate::context::{Context, Need};
use crate::photo::Placed;
use crate::report::Failure;
use crate::{compose, dates, ids, terminal};

pub(crate) fn run(context: &Context, args: &Write) -> Result<(), Failure> {
    let out = context.out;
    let date = args.about.date.as_deref().map(dates::typed).transpose()?;
    // The passphrase first: nobody types a page to learn afterwards that it cannot be kept.
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    // The photos first, for the same reason.
    let mut placed = Placed::none(&me);
    let photos = placed.photos(out, &args.photos)?;
    let title = terminal::given_or_asked_if(args.about.title.as_deref(), "Title:")?;
    let tags = terminal::each_given_or_asked(&args.about.tags, "Tag:")?;
    let layers = args.feeling.over(Layers::default())?;
    // A feeling needs no words.
    let composed = match args.text.is_empty() && args.feeling.is_given() {
        true => Composed::nothing(),
        false => compose::text(out, &context.dir()?, &args.text, None)?,
    };
    if photos.is_empty() && layers.is_empty() {
        compose::not_empty(&composed.text)?;
    }
    let new = NewEntry {
        title: title.filter(|title| !title.trim().is_empty()),
        date: date.unwrap_or_else(dates::this_minute),
        text: composed.text.clone(),
        tags,
        created_at_ms: dates::now_ms(),
    };
    let sort = args.feeling.sort;
    let kept = me
        .create_document(Ownership::Mine)
        .map_err(Failure::from)
        .and_then(|document| {
            document.change(move |tx| {
                entry::create(tx, &new)?;
                entry::set_layers(tx, &layers, new.created_at_ms)?;
                entry::mark(tx, sort, None, None)?;
                photo::add(tx, &photos, new.created_at_ms)
            })?;
            Ok(document.id())
        });
    let id = match kept {
        Ok(id) => id,
        Err(failure) => return Err(composed.not_kept(failure)),
    };
    drop(composed);
    placed.kept();
    home.close()?;
    out.data(&json!({"id": doc_id_text(id)}), || ids::short(id))?;
    out.talk("Kept in Only me.");
    Ok(())
}
