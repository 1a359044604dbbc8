//! `ajar word keep` and `ajar word drop`: words of one's own for feelings. They stay in Only me.

use ajar_journal::records::OwnWord;
use ajar_journal::text::displayable_line;
use ajar_sync::{Home, SpaceKind};
use serde_json::{Value, json};

use crate::cli::{DropWord, KeepWord};
use crate::context::{Context, Need};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids, terminal};

pub(crate) fn keep(context: &Context, args: &KeepWord) -> Result<(), Failure> {
    let typed = terminal::given_or_asked(Some(&args.word), "Word:")?;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let word = OwnWord {
        word: typed.trim().to_owned(),
        point: args.point,
        family: args.family.map(|family| family.as_str().to_owned()),
        on: dates::today(),
    };
    let known = shelf::all::<OwnWord>(&me)?.into_iter();
    let known: Vec<_> = known
        .filter(|kept| reads_as(&kept.record, &word.word))
        .collect();
    let (id, words) = match known.first() {
        Some(kept) => {
            shelf::save(&me, kept.id, word)?;
            (kept.id, "It lies there now. Only you see it.")
        }
        None => (
            shelf::keep(&me, word)?,
            "Kept in Only me. It is offered where it lies.",
        ),
    };
    home.close()?;
    let out = context.out;
    out.data(&json!({"id": ids::text(id)}), || ids::short(id))?;
    out.talk(words);
    Ok(())
}

pub(crate) fn give_up(context: &Context, args: &DropWord) -> Result<(), Failure> {
    let typed = terminal::given_or_asked(Some(&args.word), "Word:")?;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let mut gone = shelf::all::<OwnWord>(&me)?;
    let all_of_it: Vec<_> = gone
        .extract_if(.., |kept| reads_as(&kept.record, &typed))
        .map(|kept| kept.id)
        .collect();
    let docs = match all_of_it.is_empty() {
        false => all_of_it,
        true => vec![find(gone, &typed)?.id],
    };
    me.burn(&docs, &[])?;
    home.close()?;
    let out = context.out;
    let ids: Vec<Value> = docs.iter().map(|id| json!(ids::text(*id))).collect();
    out.data(&json!({"dropped": ids}), String::new)?;
    out.talk("It is no word of yours any more. What you wrote with it stays as it is.");
    Ok(())
}

/// Whether a word reads like what was typed, whatever its case.
fn reads_as(own: &OwnWord, typed: &str) -> bool {
    own.word.trim().to_lowercase() == typed.trim().to_lowercase()
}

fn find(kept: Vec<Kept<OwnWord>>, typed: &str) -> Result<Kept<OwnWord>, Failure> {
    shelf::find(kept, typed).map_err(|failure| match failure.code() {
        "bad-id" | "not-found" => Failure::fixable(
            "not-found",
            format!("“{}” is no word of your own.", displayable_line(typed)),
        )
        .hint("`ajar word list` shows them."),
        _ => failure,
    })
}

/// One's own words, or none while Only me is locked.
pub(super) fn of(home: &Home) -> Result<Vec<Kept<OwnWord>>, Failure> {
    match home.space(SpaceKind::Private) {
        Ok(me) => shelf::all(&me),
        Err(_) => Ok(Vec::new()),
    }
}

/// A word with its place, safe to print.
pub(super) fn line(kept: &Kept<OwnWord>) -> String {
    let (id, word) = (ids::short(kept.id), displayable_line(&kept.record.word));
    format!("{id}  {word}  (your own; {})", kept.record.point.in_words())
}

/// The shape scripts get.
pub(super) fn to_json(kept: &Kept<OwnWord>) -> Value {
    json!({
        "id": ids::text(kept.id),
        "word": kept.record.word,
        "point": kept.record.point.to_string(),
        "family": kept.record.family,
    })
}
